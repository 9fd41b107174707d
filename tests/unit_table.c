/* The compiled table: single decisions by hand, and 200,000 random ones against a matcher that knows no
 * sorting, no segments and no masks. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "netpolicy/netpolicy.h"

#define RULES_MAX 8 /* in a row of a table by hand */

static size_t rules_count(const char *const *rules)
{
	size_t count = 0;

	while (count < RULES_MAX && rules[count] != NULL)
		count++;
	return count;
}

static struct net_table *table_make(const char *const *rules, size_t count, struct net_need *need)
{
	struct net_table *table;
	sl_error error = {0};

	if (net_table_build(rules, count, &table, need, &error) < 0)
		fail_msg("%s", error.message);
	return table;
}

/* "address", of either family: by way of a sockaddr, as a target gives it. */
static struct net_endpoint endpoint_make(const char *address, uint16_t port, uint32_t scope)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_scope_id = scope};
	struct net_endpoint endpoint;

	if (inet_pton(AF_INET, address, &in.sin_addr) == 1) {
		assert_int_equal(net_endpoint_read(AF_INET, &in, sizeof(in), &endpoint), NET_ENDPOINT);
		return endpoint;
	}
	assert_int_equal(inet_pton(AF_INET6, address, &in6.sin6_addr), 1);
	assert_int_equal(net_endpoint_read(AF_INET6, &in6, sizeof(in6), &endpoint), NET_ENDPOINT);
	return endpoint;
}

static void single_decisions(void **state)
{
	static const struct {
		const char *why;
		const char *rules[RULES_MAX];
		const char *address;
		uint16_t port;
		uint32_t scope;
		bool allowed;
	} rows[] = {
		{"no rule", {NULL}, "1.2.3.4", 80, 0, false},
		{"anything", {"*"}, "1.2.3.4", 80, 0, true},
		{"anything, IPv6", {"*"}, "2001:db8::1", 80, 0, true},
		{"anything, port 0", {"*"}, "1.2.3.4", 0, 0, true},
		{"listed ports never hold 0", {"*:1-65535"}, "1.2.3.4", 0, 0, false},
		{"any address at its port", {":443"}, "9.9.9.9", 443, 0, true},
		{"any address at another", {":443"}, "9.9.9.9", 442, 0, false},
		{"any address, link-local", {":443"}, "fe80::1", 443, 3, true},
		{"port 1", {"1.2.3.4:1"}, "1.2.3.4", 1, 0, true},
		{"port 0 beside 1", {"1.2.3.4:1"}, "1.2.3.4", 0, 0, false},
		{"port 65535", {"1.2.3.4:65535"}, "1.2.3.4", 65535, 0, true},
		{"port 65534", {"1.2.3.4:65535"}, "1.2.3.4", 65534, 0, false},
		{"range, low end", {"1.2.3.4:80-90"}, "1.2.3.4", 80, 0, true},
		{"range, high end", {"1.2.3.4:80-90"}, "1.2.3.4", 90, 0, true},
		{"range, below", {"1.2.3.4:80-90"}, "1.2.3.4", 79, 0, false},
		{"range, above", {"1.2.3.4:80-90"}, "1.2.3.4", 91, 0, false},
		{"v4 /0, lowest", {"0.0.0.0/0"}, "0.0.0.1", 80, 0, true},
		{"v4 /0, highest", {"0.0.0.0/0"}, "255.255.255.255", 80, 0, true},
		{"v4 /0 is no IPv6", {"0.0.0.0/0"}, "::1", 80, 0, false},
		{"v4 /1, inside", {"128.0.0.0/1"}, "255.255.255.255", 80, 0, true},
		{"v4 /1, outside", {"128.0.0.0/1"}, "127.255.255.255", 80, 0, false},
		{"v4 /31, inside", {"10.0.0.2/31"}, "10.0.0.3", 80, 0, true},
		{"v4 /31, behind", {"10.0.0.2/31"}, "10.0.0.4", 80, 0, false},
		{"v4 /31, before", {"10.0.0.2/31"}, "10.0.0.1", 80, 0, false},
		{"v4 /32, next", {"10.0.0.2"}, "10.0.0.3", 80, 0, false},
		{"v6 /0", {"::/0"}, "ffff::1", 80, 0, true},
		{"v6 /0 is no IPv4", {"::/0"}, "1.2.3.4", 80, 0, false},
		{"v6 /0 is no mapped IPv4", {"::/0"}, "::ffff:1.2.3.4", 80, 0, false},
		{"a mapped prefix below 96 is no IPv4",
	         {"[::ffff:0:0/95]:80"},
	         "::ffff:1.2.3.4",
	         80,
	         0,
	         false},
		{"v6 /1, inside", {"8000::/1"}, "ffff::", 80, 0, true},
		{"v6 /1, outside", {"8000::/1"}, "7fff::", 80, 0, false},
		{"v6 /64, the last bit before it", {"2001:db8::/64"}, "2001:db8:0:1::", 80, 0, false},
		{"v6 /65, the first bit of the low half",
	         {"2001:db8::/65"},
	         "2001:db8::8000:0:0:0",
	         80,
	         0,
	         false},
		{"v6 /65, inside", {"2001:db8::/65"}, "2001:db8::7fff:0:0:1", 80, 0, true},
		{"v6 /127, inside", {"2001:db8::2/127"}, "2001:db8::3", 80, 0, true},
		{"v6 /127, outside", {"2001:db8::2/127"}, "2001:db8::4", 80, 0, false},
		{"v6 /128", {"2001:db8::2"}, "2001:db8::2", 80, 0, true},
		{"v6 /128, next", {"2001:db8::2"}, "2001:db8::3", 80, 0, false},
		{"mapped spelling, IPv4 rule", {"1.2.3.4:80"}, "::ffff:1.2.3.4", 80, 0, true},
		{"mapped rule", {"[::ffff:1.2.3.4]:80"}, "1.2.3.4", 80, 0, true},
		{"mapped CIDR rule", {"[::ffff:10.0.0.0/104]:80"}, "10.9.9.9", 80, 0, true},
		{"same leading bytes, other family", {"2001:db8::/32"}, "32.1.13.184", 80, 0, false},
		{"0.0.0.0 is judged as loopback", {"127.0.0.1:80"}, "0.0.0.0", 80, 0, true},
		{"0.0.0.0 is not in 0.0.0.0/8", {"0.0.0.0/8"}, "0.0.0.0", 80, 0, false},
		{":: is judged as loopback", {"[::1]:80"}, "::", 80, 0, true},
		{"mapped zero is judged as loopback", {"127.0.0.1:80"}, "::ffff:0.0.0.0", 80, 0, true},
		{"a longer prefix with the wrong port does not hide",
	         {"10.0.0.1:80", "10.0.0.0/8:81"},
	         "10.0.0.1",
	         81,
	         0,
	         true},
		{"nor a shorter one", {"10.0.0.1:80", "10.0.0.0/8:81"}, "10.0.0.1", 80, 0, true},
		{"a port of the one is no port of the other",
	         {"10.0.0.1:80", "10.0.0.0/8:81"},
	         "10.0.0.2",
	         80,
	         0,
	         false},
		{"equal targets add up",
	         {"10.0.0.1:80", "10.0.0.9:82", "10.0.0.1:81"},
	         "10.0.0.1",
	         81,
	         0,
	         true},
		{"equal targets keep the first",
	         {"10.0.0.1:80", "10.0.0.9:82", "10.0.0.1:81"},
	         "10.0.0.1",
	         80,
	         0,
	         true},
		{"any address adds up", {":80", "*:81"}, "10.0.0.1", 81, 0, true},
		{"scope fits", {"[fe80::1%7]:80"}, "fe80::1", 80, 7, true},
		{"another scope", {"[fe80::1%7]:80"}, "fe80::1", 80, 8, false},
		{"scope missing", {"[fe80::1%7]:80"}, "fe80::1", 80, 0, false},
		{"prefix on any interface", {"[fe80::/10]:80"}, "fe80::1", 80, 8, true},
		{"prefix on any interface, none given", {"[fe80::/10]:80"}, "fe80::1", 80, 0, true},
		{"prefix on one interface", {"[fe80::%7/10]:80"}, "fe80::1", 80, 7, true},
		{"prefix on another", {"[fe80::%7/10]:80"}, "fe80::1", 80, 8, false},
		{"scopes of one address, first",
	         {"[fe80::1%7]:80", "[fe80::1%9]:81"},
	         "fe80::1",
	         80,
	         7,
	         true},
		{"scopes of one address, second",
	         {"[fe80::1%7]:80", "[fe80::1%9]:81"},
	         "fe80::1",
	         81,
	         9,
	         true},
		{"scopes of one address, crossed",
	         {"[fe80::1%7]:80", "[fe80::1%9]:81"},
	         "fe80::1",
	         80,
	         9,
	         false},
		{"any scope beside one, by the one",
	         {"[fe80::/64]:80", "[fe80::%9/64]:81"},
	         "fe80::1",
	         81,
	         9,
	         true},
		{"any scope beside one, by any",
	         {"[fe80::/64]:80", "[fe80::%9/64]:81"},
	         "fe80::1",
	         80,
	         9,
	         true},
		{"any scope beside one, crossed",
	         {"[fe80::/64]:80", "[fe80::%9/64]:81"},
	         "fe80::1",
	         81,
	         8,
	         false},
		{"the scope of a global address does not matter",
	         {"[2001:db8::1]:80"},
	         "2001:db8::1",
	         80,
	         9,
	         true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct net_need need;
		struct net_table *table = table_make(rows[i].rules, rules_count(rows[i].rules), &need);
		struct net_endpoint endpoint = endpoint_make(rows[i].address, rows[i].port, rows[i].scope);

		if (net_table_allows(table, &endpoint) != rows[i].allowed)
			fail_msg("%s: expected %s", rows[i].why, rows[i].allowed ? "allowed" : "denied");
		net_need_clear(&need);
		net_table_free(table);
	}
}

static void what_the_plan_must_arrange(void **state)
{
	static const struct {
		const char *why;
		const char *rules[RULES_MAX];
		bool tcp_any, gate;
		const char *any_ports;
	} rows[] = {
		{"no rule", {NULL}, false, false, ""},
		{"anything", {"*"}, true, false, ""},
		{"anything beside ports", {":80", "*"}, true, false, ""},
		{"anything covers addresses", {"1.2.3.4:80", "*", "::/0"}, true, false, ""},
		{"any address at ports",
	         {":80", "*:443,8000-8010"},
	         false,
	         false,
	         "80-80 443-443 8000-8010 "},
		{"a list of all ports is a list", {"*:1-65535"}, false, false, "1-65535 "},
		{"an address", {"1.2.3.4:80"}, false, true, ""},
		{"a family is addresses", {"0.0.0.0/0", "::/0"}, false, true, ""},
		{"an address beside a port", {"1.2.3.4:80", ":443"}, false, true, "443-443 "},
		{"an address that is covered", {"1.2.3.4:443", ":443"}, false, false, "443-443 "},
		{"covered by touching ranges", {"1.2.3.4:80-90", ":80-85", ":86-90"}, false, false, "80-90 "},
		{"one port too many", {"1.2.3.4:80-91", ":80-90"}, false, true, "80-90 "},
		{"one port too few below", {"1.2.3.4:79-90", ":80-90"}, false, true, "80-90 "},
		{"over a gap", {"1.2.3.4:80-90", ":80-84", ":86-90"}, false, true, "80-84 86-90 "},
		{"one covered, the other not", {"1.2.3.4:80", "1.2.3.5:81", ":80"}, false, true, "80-80 "},
		{"all ports are more than 1-65535", {"1.2.3.4", "*:1-65535"}, false, true, "1-65535 "},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct net_need need;
		char ports[128] = "";

		net_table_free(table_make(rows[i].rules, rules_count(rows[i].rules), &need));
		for (size_t p = 0; p < need.any_ports.count; p++)
			snprintf(ports + strlen(ports), sizeof(ports) - strlen(ports), "%u-%u ",
			         need.any_ports.ranges[p].low, need.any_ports.ranges[p].high);
		if (need.tcp_any != rows[i].tcp_any || need.gate != rows[i].gate ||
		    strcmp(ports, rows[i].any_ports) != 0)
			fail_msg("%s: any %d gate %d ports \"%s\"", rows[i].why, need.tcp_any, need.gate,
			         ports);
		net_need_clear(&need);
	}
}

static char *table_text(const char *const *rules, size_t count)
{
	struct net_need need;
	struct net_table *table = table_make(rules, count, &need);
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	assert_int_equal(net_table_print(table, out), 0);
	fclose(out);
	net_need_clear(&need);
	net_table_free(table);
	return text;
}

static void a_printed_table_is_a_rule_list_that_prints_the_same(void **state)
{
	static const char *const rules[] = {
		"[2001:db8::1]:443", "10.0.0.1:80",   "10.1.2.3/8",      "10.0.0.1:90,81", ":22",
		"[fe80::1%7]:80",    "[fe80::/10]:1", "[fe80::1%12]:80", "2001:db8::/32",  "*:8000-8010",
		"9.0.0.0/8:1-65535",
	};
	static const char expected[] = "tcp://*:22,8000-8010\n"
				       "tcp://9.0.0.0/8:1-65535\n"
				       "tcp://10.0.0.0/8:*\n"
				       "tcp://10.0.0.1:80-81,90\n"
				       "tcp://[fe80::/10]:1\n"
				       "tcp://[2001:db8::/32]:*\n"
				       "tcp://[2001:db8::1]:443\n"
				       "tcp://[fe80::1%7]:80\n"
				       "tcp://[fe80::1%12]:80\n";
	char *first = table_text(rules, sizeof(rules) / sizeof(rules[0])), *second, *copy, *rest;
	const char *lines[16];
	size_t count = 0;

	(void)state;
	assert_string_equal(first, expected);
	copy = rest = strdup(first);
	for (char *line; (line = strsep(&rest, "\n")) != NULL && *line != '\0';)
		lines[count++] = line;
	second = table_text(lines, count);
	assert_string_equal(first, second);
	free(first);
	free(second);
	free(copy);
}

static void printing_to_a_full_device_is_an_error(void **state)
{
	const char *rule = "1.2.3.4:80";
	struct net_need need;
	struct net_table *table = table_make(&rule, 1, &need);
	FILE *full = fopen("/dev/full", "w");

	(void)state;
	assert_non_null(full);
	setvbuf(full, NULL, _IONBF, 0);
	assert_int_equal(net_table_print(table, full), -EIO);
	fclose(full);
	net_need_clear(&need);
	net_table_free(table);
}

static void a_bad_rule_leaves_nothing_behind(void **state)
{
	static const char *const rules[] = {":80", "1.2.3.4:81", "1.2.3.4:0"};
	struct net_table *table = (void *)1;
	struct net_need need = {.gate = true};
	sl_error error;

	(void)state;
	assert_int_equal(net_table_build(rules, 3, &table, &need, &error), -EINVAL);
	assert_null(table);
	assert_false(need.gate || need.tcp_any);
	assert_int_equal(need.any_ports.count, 0);
	assert_null(need.any_ports.ranges);
	assert_non_null(strstr(error.message, "1.2.3.4:0"));
	assert_int_equal(error.code, -EINVAL);
	net_table_free(NULL);
}

/* The other matcher. A rule is what the test drew, never what the parser made of its text. */

struct drawn {
	struct net_addr addr; /* family AF_UNSPEC: any */
	unsigned prefix;
	unsigned ports[2][2]; /* two ranges */
};

static uint64_t seed;

/* xorshift64*: the same cases on every machine. */
static unsigned draw(unsigned limit)
{
	seed ^= seed >> 12;
	seed ^= seed << 25;
	seed ^= seed >> 27;
	return (unsigned)((seed * 0x2545F4914F6CDD1Dull) >> 33) % limit;
}

/* Few different bytes, so that addresses share prefixes and often meet. */
static struct net_addr addr_draw(void)
{
	struct net_addr addr = {.family = draw(2) ? AF_INET : AF_INET6};
	static const uint8_t bytes[] = {0x00, 0x01, 0x80, 0xff};

	for (unsigned i = 0; i < (addr.family == AF_INET ? 4 : 16); i++)
		addr.bytes[i] = draw(4) == 0 ? bytes[draw(4)] : 0x0a;
	if (addr.family == AF_INET6) {
		addr.bytes[0] = 0xfe; /* half of it link-local */
		addr.bytes[1] = draw(2) ? 0x80 : 0x0a;
		if (addr.bytes[1] == 0x80)
			addr.scope = 1 + draw(3);
	}
	return addr;
}

static struct drawn rule_draw(void)
{
	static const uint8_t lengths_v4[] = {0, 1, 7, 8, 9, 15, 16, 24, 31, 32};
	static const uint8_t lengths_v6[] = {0, 1, 10, 16, 63, 64, 65, 96, 127, 128};
	struct drawn rule = {.addr = addr_draw()};

	for (unsigned i = 0; i < 2; i++) {
		rule.ports[i][0] = 1 + draw(8);
		rule.ports[i][1] = rule.ports[i][0] + draw(2);
	}
	if (draw(16) == 0)
		rule.addr = (struct net_addr){.family = AF_UNSPEC};
	else
		rule.prefix = rule.addr.family == AF_INET ? lengths_v4[draw(10)] : lengths_v6[draw(10)];
	/* What the grammar does not let through: a scope on less than link-local, none on a whole address. */
	if (rule.prefix < 10 || (rule.prefix < 128 && draw(2)))
		rule.addr.scope = 0;
	return rule;
}

static void rule_write(const struct drawn *rule, char *text, size_t size)
{
	char addr[INET6_ADDRSTRLEN] = "", scope[16] = "";

	if (rule->addr.family != AF_UNSPEC)
		inet_ntop(rule->addr.family, rule->addr.bytes, addr, sizeof(addr));
	if (rule->addr.scope != 0)
		snprintf(scope, sizeof(scope), "%%%u", rule->addr.scope);
	snprintf(text, size,
	         rule->addr.family == AF_UNSPEC ? "%s%s%.0u:%u-%u,%u-%u"
	         : rule->addr.family == AF_INET ? "%s%s/%u:%u-%u,%u-%u"
	                                        : "[%s%s/%u]:%u-%u,%u-%u",
	         addr, scope, rule->prefix, rule->ports[0][0], rule->ports[0][1], rule->ports[1][0],
	         rule->ports[1][1]);
}

static bool bit(const uint8_t *bytes, unsigned index)
{
	return bytes[index / 8] >> (7 - index % 8) & 1;
}

static bool drawn_matches(const struct drawn *rule, const struct net_endpoint *endpoint)
{
	bool port = false;

	for (unsigned i = 0; i < 2; i++)
		port |= endpoint->port >= rule->ports[i][0] && endpoint->port <= rule->ports[i][1];
	if (rule->addr.family == AF_UNSPEC)
		return port;
	for (unsigned i = 0; i < rule->prefix; i++)
		if (bit(rule->addr.bytes, i) != bit(endpoint->addr.bytes, i))
			return false;
	return port && rule->addr.family == endpoint->addr.family &&
	       (rule->addr.scope == 0 || rule->addr.scope == endpoint->addr.scope);
}

enum { DRAWN_RULES = 40, DRAWN_TABLES = 2000, DRAWN_ENDPOINTS = 100 };

/* An endpoint near a rule, or anywhere. */
static struct net_endpoint endpoint_draw(const struct drawn *rules, unsigned count)
{
	struct net_endpoint endpoint = {.addr = addr_draw(), .port = (uint16_t)draw(10)};
	const struct drawn *near = &rules[draw(count)];

	if (draw(2) && near->addr.family != AF_UNSPEC) {
		endpoint.addr = near->addr;
		endpoint.addr.bytes[draw(near->addr.family == AF_INET ? 4 : 16)] ^= (uint8_t)(1 << draw(8));
	}
	return endpoint;
}

static unsigned table_compare(unsigned count)
{
	struct drawn rules[DRAWN_RULES];
	char texts[DRAWN_RULES][96];
	const char *pointers[DRAWN_RULES];
	struct net_need need;
	struct net_table *table;
	unsigned allowed = 0;

	for (unsigned i = 0; i < count; i++) {
		rules[i] = rule_draw();
		rule_write(&rules[i], texts[i], sizeof(texts[i]));
		pointers[i] = texts[i];
	}
	table = table_make(pointers, count, &need);
	for (unsigned e = 0; e < DRAWN_ENDPOINTS; e++) {
		struct net_endpoint endpoint = endpoint_draw(rules, count);
		bool expected = false;
		char text[NET_ENDPOINT_TEXT];

		for (unsigned i = 0; i < count; i++)
			expected |= drawn_matches(&rules[i], &endpoint);
		net_endpoint_format(&endpoint, text, sizeof(text));
		if (net_table_allows(table, &endpoint) != expected)
			fail_msg("%s among %u rules from %s: expected %d", text, count, texts[0], expected);
		allowed += expected;
	}
	net_need_clear(&need);
	net_table_free(table);
	return allowed;
}

static void random_decisions_agree_with_a_naive_matcher(void **state)
{
	unsigned allowed = 0, total = DRAWN_TABLES * DRAWN_ENDPOINTS;

	(void)state;
	seed = 20240607;
	for (unsigned i = 0; i < DRAWN_TABLES; i++)
		allowed += table_compare(1 + draw(DRAWN_RULES));
	/* A comparison that is always "no" would prove nothing. */
	assert_in_range(allowed, total / 5, total - total / 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(single_decisions),
		cmocka_unit_test(what_the_plan_must_arrange),
		cmocka_unit_test(a_printed_table_is_a_rule_list_that_prints_the_same),
		cmocka_unit_test(printing_to_a_full_device_is_an_error),
		cmocka_unit_test(a_bad_rule_leaves_nothing_behind),
		cmocka_unit_test(random_decisions_agree_with_a_naive_matcher),
	};

	return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
