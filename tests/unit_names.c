/* Host names: resolved once at start, refused where they lead to what no name may have, and pinned while running. */
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

#include "core/error.h"
#include "netpolicy/names.h"
#include "netpolicy/netpolicy.h"

#define LIST_MAX 8

static struct net_addr addr_make(const char *text)
{
	struct net_addr addr = {.family = strchr(text, ':') == NULL ? AF_INET : AF_INET6};

	if (inet_pton(addr.family, text, addr.bytes) != 1)
		fail_msg("no address: %s", text);
	return addr;
}

/* What the names of these tests have. */
static const struct {
	const char *name;
	const char *addrs[4];
} hosts[] = {
	{"one.example", {"192.0.2.1"}},
	{"two.example", {"192.0.2.2", "2001:db8::2"}},
	{"twice.example", {"192.0.2.3", "192.0.2.3", "::ffff:192.0.2.3"}},
	{"www.two.example", {"192.0.2.4"}},
	{"a.b.c.example", {"192.0.2.5"}},
	{"localhost", {"127.0.0.1", "::1"}},
	{"internal.example", {"10.1.2.3"}},
	{"mixed.example", {"192.0.2.6", "10.1.2.3"}},
	{"mixed6.example", {"2001:db8::6", "fd12::1"}},
	{"empty.example", {NULL}},
};

static unsigned resolve_calls;

static int resolve_hosts(const void *context, const char *name, struct net_addr *addrs, size_t room,
                         sl_error *error)
{
	(void)context;
	resolve_calls++;
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		size_t count = 0;

		if (strcmp(hosts[i].name, name) != 0)
			continue;
		for (; count < 4 && hosts[i].addrs[count] != NULL; count++) {
			assert_true(count < room);
			addrs[count] = addr_make(hosts[i].addrs[count]);
		}
		return (int)count;
	}
	/* "at-ADDRESS": has that, with "_" for the colon. */
	if (strncmp(name, "at-", 3) == 0) {
		char text[64];

		snprintf(text, sizeof(text), "%s", name + 3);
		text[strlen(text) - strlen(".example")] = '\0';
		for (char *byte = text; *byte != '\0'; byte++)
			*byte = *byte == '_' ? ':' : *byte;
		addrs[0] = addr_make("192.0.2.9"); /* a good one does not help */
		addrs[1] = addr_make(text);
		return 2;
	}
	return error_set(error, -ENOENT, "nobody knows it");
}

static struct net_rules rules_make(const char *const *allow, const char *const *deny)
{
	struct net_rules rules = {.allow = {allow, 0}, .deny = {deny, 0}, .resolve = resolve_hosts};

	while (allow != NULL && rules.allow.count < LIST_MAX && allow[rules.allow.count] != NULL)
		rules.allow.count++;
	while (deny != NULL && rules.deny.count < LIST_MAX && deny[rules.deny.count] != NULL)
		rules.deny.count++;
	return rules;
}

static struct net_table *table_make(struct net_rules rules)
{
	struct net_table *table;
	struct net_need need;
	sl_error error = {0};

	if (net_table_build(&rules, &table, &need, &error) < 0)
		fail_msg("%s", error.message);
	net_need_clear(&need);
	return table;
}

static bool decide(const struct net_table *table, const struct net_pins *pins, int64_t now,
                   enum net_protocol protocol, const char *address, uint16_t port)
{
	struct net_endpoint endpoint = {.addr = addr_make(address), .port = port};

	return net_decide(table, pins, now, protocol, &endpoint);
}

static void all_addresses_of_a_name_are_pinned_to_its_protocol_and_ports(void **state)
{
	static const char *const allow[] = {"tcp://two.example:443", "udp://one.example", NULL};
	struct net_table *table = table_make(rules_make(allow, NULL));

	(void)state;
	assert_true(decide(table, NULL, 0, NET_TCP, "192.0.2.2", 443));
	assert_true(decide(table, NULL, 0, NET_TCP, "2001:db8::2", 443));
	assert_true(decide(table, NULL, 0, NET_UDP, "192.0.2.1", 7));
	assert_false(decide(table, NULL, 0, NET_TCP, "192.0.2.2", 80));
	assert_false(decide(table, NULL, 0, NET_UDP, "192.0.2.2", 443));
	assert_false(decide(table, NULL, 0, NET_TCP, "192.0.2.1", 443));
	assert_false(decide(table, NULL, 0, NET_TCP, "192.0.2.3", 443));
	net_table_free(table);
}

static void a_name_is_asked_for_once(void **state)
{
	static const char *const allow[] = {"one.example:80",
	                                    "ONE.example.:443",
	                                    "icmp://one.example",
	                                    "two.example",
	                                    "*.one.example",
	                                    "1.2.3.4",
	                                    NULL};

	(void)state;
	resolve_calls = 0;
	net_table_free(table_make(rules_make(allow, NULL)));
	assert_int_equal(resolve_calls, 2);
}

static void an_address_that_is_given_twice_is_one(void **state)
{
	static const char *const allow[] = {"twice.example", NULL};
	struct net_table *table = table_make(rules_make(allow, NULL));
	const struct net_addr *addrs;
	size_t count;

	(void)state;
	assert_int_equal(net_table_name(table, "twice.example", &addrs, &count), NET_NAME_PINNED);
	assert_int_equal(count, 1);
	assert_int_equal(addrs[0].family, AF_INET);
	assert_true(decide(table, NULL, 0, NET_TCP, "192.0.2.3", 1));
	net_table_free(table);
}

static void a_name_that_cannot_be_had_is_an_error_that_names_it(void **state)
{
	static const struct {
		const char *name;
		bool public_only;
		int code;
		const char *words[2];
	} rows[] = {
		{"unknown.example", false, -ENOENT, {"nobody knows it"}},
		{"empty.example", false, -ENOENT, {"no address"}},
		{"at-0.0.0.0.example", false, -EACCES, {"0.0.0.0", "unspecified"}},
		{"at-0.1.2.3.example", false, -EACCES, {"0.1.2.3", "unspecified"}},
		{"at-169.254.169.254.example", false, -EACCES, {"169.254.169.254", "link-local"}},
		{"at-100.100.100.200.example", false, -EACCES, {"metadata"}},
		{"at-224.0.0.251.example", false, -EACCES, {"multicast"}},
		{"at-255.255.255.255.example", false, -EACCES, {"broadcast"}},
		{"at-__.example", false, -EACCES, {"unspecified"}},
		{"at-fe80__1.example", false, -EACCES, {"fe80::1", "link-local"}},
		{"at-ff02__1.example", false, -EACCES, {"multicast"}},
		{"at-fd00_ec2__254.example", false, -EACCES, {"fd00:ec2::254", "metadata"}},
		{"at-fd20_ce__254.example", false, -EACCES, {"metadata"}},
		{"at-__ffff_169.254.169.254.example", false, -EACCES, {"169.254.169.254", "link-local"}},
		{"at-__169.254.169.254.example", false, -EACCES, {"link-local"}},
		{"at-64_ff9b__169.254.169.254.example", false, -EACCES, {"link-local"}},
		{"at-2002_a9fe_a9fe__1.example", false, -EACCES, {"link-local"}},
		{"localhost", true, -EACCES, {"127.0.0.1", "net-public-only"}},
		{"internal.example", true, -EACCES, {"10.1.2.3", "net-public-only"}},
		{"mixed.example", true, -EACCES, {"10.1.2.3", "private"}},
		{"mixed6.example", true, -EACCES, {"fd12::1", "private"}},
		{"at-172.20.0.1.example", true, -EACCES, {"private"}},
		{"at-192.168.0.1.example", true, -EACCES, {"private"}},
		{"at-100.64.0.1.example", true, -EACCES, {"private"}},
		{"at-198.18.0.1.example", true, -EACCES, {"private"}},
		{"at-64_ff9b__10.0.0.1.example", true, -EACCES, {"private"}},
		{"at-__1.example", true, -EACCES, {"loopback"}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *allow[] = {"1.2.3.4", "one.example", rows[i].name, NULL};
		struct net_rules rules = rules_make(allow, NULL);
		struct net_table *table = (void *)1;
		struct net_need need = {.names = true};
		sl_error error = {0};

		rules.public_only = rows[i].public_only;
		assert_int_equal(net_table_build(&rules, &table, &need, &error), rows[i].code);
		assert_int_equal(error.code, rows[i].code);
		assert_null(table);
		assert_false(need.names);
		if (strncmp(error.message, "net-allow \"", 11) != 0 ||
		    strstr(error.message, rows[i].name) == NULL)
			fail_msg("\"%s\" does not name %s", error.message, rows[i].name);
		for (size_t w = 0; w < 2 && rows[i].words[w] != NULL; w++)
			if (strstr(error.message, rows[i].words[w]) == NULL)
				fail_msg("\"%s\" lacks \"%s\"", error.message, rows[i].words[w]);
		assert_int_equal(net_table_build(&rules, &table, &need, NULL), rows[i].code);
	}
}

static void private_and_loopback_answers_are_pinned_at_start(void **state)
{
	static const char *const allow[] = {"localhost:80", "internal.example", "mixed6.example", NULL};
	struct net_table *table = table_make(rules_make(allow, NULL));

	(void)state;
	assert_true(decide(table, NULL, 0, NET_TCP, "127.0.0.1", 80));
	assert_true(decide(table, NULL, 0, NET_TCP, "::1", 80));
	assert_false(decide(table, NULL, 0, NET_TCP, "127.0.0.1", 81));
	assert_true(decide(table, NULL, 0, NET_UDP, "10.1.2.3", 1));
	assert_true(decide(table, NULL, 0, NET_UDP, "fd12::1", 1));
	net_table_free(table);
}

static void public_answers_pass_with_public_only(void **state)
{
	static const char *const allow[] = {"two.example", NULL};
	struct net_rules rules = rules_make(allow, NULL);
	struct net_table *table;

	(void)state;
	rules.public_only = true;
	table = table_make(rules);
	assert_true(decide(table, NULL, 0, NET_TCP, "2001:db8::2", 80));
	net_table_free(table);
}

static void what_the_rules_say_of_a_name(void **state)
{
	static const char *const allow[] = {"two.example", "*.two.example:1", "a.b.c.example",
	                                    "*.c.example", "1.2.3.4",         NULL};
	static const struct {
		const char *name;
		enum net_name plain, refreshed;
		size_t count;
	} rows[] = {
		{"two.example", NET_NAME_PINNED, NET_NAME_OPEN, 2},
		{"www.two.example", NET_NAME_OPEN, NET_NAME_OPEN, 0},
		{"a.b.two.example", NET_NAME_OPEN, NET_NAME_OPEN, 0},
		{"a.b.c.example", NET_NAME_PINNED, NET_NAME_OPEN, 1},
		{"b.c.example", NET_NAME_OPEN, NET_NAME_OPEN, 0},
		{"x.a.b.c.example", NET_NAME_OPEN, NET_NAME_OPEN, 0},
		{"c.example", NET_NAME_UNKNOWN, NET_NAME_UNKNOWN, 0},
		{"example", NET_NAME_UNKNOWN, NET_NAME_UNKNOWN, 0},
		{"xtwo.example", NET_NAME_UNKNOWN, NET_NAME_UNKNOWN, 0},
		{"two.example.org", NET_NAME_UNKNOWN, NET_NAME_UNKNOWN, 0},
		{"1.2.3.4", NET_NAME_UNKNOWN, NET_NAME_UNKNOWN, 0},
		{"*.two.example", NET_NAME_OPEN, NET_NAME_OPEN, 0},
		{"", NET_NAME_UNKNOWN, NET_NAME_UNKNOWN, 0},
		{".", NET_NAME_UNKNOWN, NET_NAME_UNKNOWN, 0},
		{".two.example", NET_NAME_OPEN, NET_NAME_OPEN, 0},
	};

	(void)state;
	for (int refresh = 0; refresh < 2; refresh++) {
		struct net_rules rules = rules_make(allow, NULL);
		struct net_table *table;

		rules.refresh = refresh;
		table = table_make(rules);
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
			const struct net_addr *addrs;
			size_t count;
			enum net_name said = net_table_name(table, rows[i].name, &addrs, &count);

			if (said != (refresh ? rows[i].refreshed : rows[i].plain) || count != rows[i].count ||
			    (addrs != NULL) != (count > 0))
				fail_msg("%s: %d with %zu", rows[i].name, said, count);
		}
		net_table_free(table);
	}
}

static void a_table_without_names_knows_none(void **state)
{
	static const char *const allow[] = {"1.2.3.4", "*", NULL};
	struct net_table *table = table_make(rules_make(allow, NULL));
	struct net_pins pins = {0};
	struct net_addr addr = addr_make("192.0.2.77");
	const struct net_addr *addrs;
	size_t count;

	(void)state;
	assert_int_equal(net_table_name(table, "one.example", &addrs, &count), NET_NAME_UNKNOWN);
	assert_int_equal(net_pins_add(&pins, table, "one.example", &addr, 10), -ENOENT);
	net_table_free(table);
}

static int pin(struct net_pins *pins, const struct net_table *table, const char *name, const char *address,
               int64_t expires)
{
	struct net_addr addr = addr_make(address);

	return net_pins_add(pins, table, name, &addr, expires);
}

static void a_pin_lets_an_address_in_until_it_expires(void **state)
{
	static const char *const allow[] = {"tcp://*.two.example:443", "icmp://*.two.example", NULL};
	struct net_table *table = table_make(rules_make(allow, NULL));
	struct net_pins pins = {0};

	(void)state;
	assert_false(decide(table, &pins, 100, NET_TCP, "192.0.2.77", 443));
	assert_int_equal(pin(&pins, table, "www.two.example", "192.0.2.77", 160), 0);
	assert_true(decide(table, &pins, 100, NET_TCP, "192.0.2.77", 443));
	assert_true(decide(table, &pins, 159, NET_TCP, "192.0.2.77", 443));
	assert_true(decide(table, &pins, 159, NET_ICMP, "192.0.2.77", 0));
	assert_false(decide(table, &pins, 160, NET_TCP, "192.0.2.77", 443));
	assert_false(decide(table, &pins, 100, NET_TCP, "192.0.2.77", 80));
	assert_false(decide(table, &pins, 100, NET_UDP, "192.0.2.77", 443));
	assert_false(decide(table, &pins, 100, NET_TCP, "192.0.2.78", 443));
	assert_false(decide(table, NULL, 100, NET_TCP, "192.0.2.77", 443));
	/* IPv4 bytes in front of an IPv6 address are another address. */
	assert_false(decide(table, &pins, 100, NET_TCP, "c000:24d::", 443));
	assert_int_equal(pin(&pins, table, "www.two.example", "::ffff:192.0.2.80", 160), 0);
	assert_true(decide(table, &pins, 100, NET_TCP, "192.0.2.80", 443));
	net_table_free(table);
}

static void a_pin_is_extended_and_never_shortened(void **state)
{
	static const char *const allow[] = {"*.two.example", NULL};
	struct net_table *table = table_make(rules_make(allow, NULL));
	struct net_pins pins = {0};

	(void)state;
	assert_int_equal(pin(&pins, table, "a.two.example", "192.0.2.77", 10), 0);
	assert_int_equal(pin(&pins, table, "b.two.example", "192.0.2.77", 20), 0);
	assert_int_equal(pin(&pins, table, "a.two.example", "192.0.2.77", 7), 0);
	assert_int_equal(pins.used, 1);
	assert_true(decide(table, &pins, 19, NET_TCP, "192.0.2.77", 1));
	assert_false(decide(table, &pins, 20, NET_TCP, "192.0.2.77", 1));
	/* One that has expired comes back. */
	assert_int_equal(pin(&pins, table, "a.two.example", "192.0.2.77", 40), 0);
	assert_int_equal(pins.used, 1);
	assert_true(decide(table, &pins, 39, NET_TCP, "192.0.2.77", 1));
	net_table_free(table);
}

static void an_address_of_two_rules_has_two_pins(void **state)
{
	static const char *const allow[] = {"*.two.example:80", "*.one.example:443", NULL};
	struct net_table *table = table_make(rules_make(allow, NULL));
	struct net_pins pins = {0};

	(void)state;
	assert_int_equal(pin(&pins, table, "a.two.example", "192.0.2.77", 10), 0);
	assert_false(decide(table, &pins, 0, NET_TCP, "192.0.2.77", 443));
	assert_int_equal(pin(&pins, table, "a.one.example", "192.0.2.77", 20), 0);
	assert_true(decide(table, &pins, 0, NET_TCP, "192.0.2.77", 443));
	assert_true(decide(table, &pins, 0, NET_TCP, "192.0.2.77", 80));
	assert_false(decide(table, &pins, 15, NET_TCP, "192.0.2.77", 80));
	assert_true(decide(table, &pins, 15, NET_TCP, "192.0.2.77", 443));
	net_table_free(table);
}

static void a_pin_is_only_for_an_open_name(void **state)
{
	static const char *const allow[] = {"one.example", "*.two.example", NULL};
	struct net_rules rules = rules_make(allow, NULL);
	struct net_table *table = table_make(rules);
	struct net_pins pins = {0};

	(void)state;
	assert_int_equal(pin(&pins, table, "one.example", "192.0.2.77", 10), -ENOENT);
	assert_int_equal(pin(&pins, table, "two.example", "192.0.2.77", 10), -ENOENT);
	assert_int_equal(pin(&pins, table, "three.example", "192.0.2.77", 10), -ENOENT);
	assert_int_equal(pins.used, 0);
	assert_int_equal(pin(&pins, table, "a.b.two.example", "192.0.2.77", 10), 0);
	net_table_free(table);

	rules.refresh = true;
	table = table_make(rules);
	pins = (struct net_pins){0};
	assert_int_equal(pin(&pins, table, "one.example", "192.0.2.77", 10), 0);
	assert_int_equal(pin(&pins, table, "three.example", "192.0.2.77", 10), -ENOENT);
	assert_true(decide(table, &pins, 0, NET_TCP, "192.0.2.77", 80));
	assert_true(decide(table, &pins, 0, NET_TCP, "192.0.2.1", 80)); /* that of the start stays */
	net_table_free(table);
}

/* People have internal hosts. What one had at start was taken then, and is no news later; another is. */
static void a_private_address_of_the_start_is_accepted_again(void **state)
{
	static const char *const allow[] = {"tcp://internal.example:443", "tcp://*.two.example:443", NULL};
	struct net_rules rules = rules_make(allow, NULL);
	struct net_table *table;
	struct net_pins pins = {0};

	(void)state;
	rules.refresh = true;
	table = table_make(rules);
	assert_int_equal(pin(&pins, table, "internal.example", "10.1.2.3", 10), 0);
	assert_int_equal(pin(&pins, table, "internal.example", "::ffff:10.1.2.3", 10), 0);
	assert_int_equal(pin(&pins, table, "internal.example", "10.1.2.4", 10), -EACCES);
	assert_int_equal(pin(&pins, table, "internal.example", "127.0.0.1", 10), -EACCES);
	assert_int_equal(pin(&pins, table, "www.two.example", "10.1.2.3", 10), -EACCES);
	assert_int_equal(pins.used, 0);
	assert_true(decide(table, &pins, 0, NET_TCP, "10.1.2.3", 443));
	assert_false(decide(table, &pins, 0, NET_TCP, "10.1.2.3", 80));
	net_table_free(table);
}

static void the_answers_that_are_accepted_while_running(void **state)
{
	static const struct {
		const char *why, *address;
		const char *allow[LIST_MAX];
		bool public_only;
		int r;
	} rows[] = {
		{"public", "192.0.2.77", {NULL}, false, 0},
		{"public, only public", "192.0.2.77", {NULL}, true, 0},
		{"loopback", "127.0.0.1", {NULL}, false, -EACCES},
		{"loopback of IPv6", "::1", {NULL}, false, -EACCES},
		{"private", "10.1.2.3", {NULL}, false, -EACCES},
		{"private of IPv6", "fd12::1", {NULL}, false, -EACCES},
		{"private in NAT64", "64:ff9b::10.1.2.3", {NULL}, false, -EACCES},
		{"mapped private", "::ffff:10.1.2.3", {NULL}, false, -EACCES},
		{"any address names none", "10.1.2.3", {"*"}, false, -EACCES},
		{"nor at a port", "10.1.2.3", {":443"}, false, -EACCES},
		{"another range", "10.1.2.3", {"10.2.0.0/16", "192.168.0.0/16"}, false, -EACCES},
		{"the other family", "::1", {"127.0.0.0/8"}, false, -EACCES},
		{"its address", "10.1.2.3", {"10.1.2.3"}, false, 0},
		{"its range", "10.1.2.3", {"10.0.0.0/8:1"}, false, 0},
		{"its range in another protocol", "10.1.2.3", {"udp://10.0.0.0/8:1"}, false, 0},
		{"its range, mapped", "::ffff:10.1.2.3", {"10.0.0.0/8"}, false, 0},
		{"loopback with a rule", "127.0.0.1", {"127.0.0.0/8"}, false, 0},
		{"loopback of IPv6 with a rule", "::1", {"[::1]:80"}, false, 0},
		{"IPv6 range", "fd12::1", {"fd12::/16"}, false, 0},
		{"a name with that address is no rule of addresses",
	         "10.1.2.3",
	         {"internal.example"},
	         false,
	         -EACCES},
		{"its range, only public", "10.1.2.3", {"10.0.0.0/8"}, true, -EACCES},
		{"metadata", "169.254.169.254", {NULL}, false, -EACCES},
		{"metadata with a rule", "169.254.169.254", {"169.254.169.254"}, false, -EACCES},
		{"metadata of others", "100.100.100.200", {"100.64.0.0/10"}, false, -EACCES},
		{"metadata, mapped", "::ffff:169.254.169.254", {"169.254.0.0/16"}, false, -EACCES},
		{"link-local", "fe80::1", {"fe80::/10"}, false, -EACCES},
		{"unspecified", "0.0.0.0", {"0.0.0.0/8"}, false, -EACCES},
		{"unspecified of IPv6", "::", {"::/0"}, false, -EACCES},
		{"multicast", "224.0.0.1", {"224.0.0.0/4"}, false, -EACCES},
		{"multicast of IPv6", "ff02::1", {"ff00::/8"}, false, -EACCES},
		{"broadcast", "255.255.255.255", {"255.255.255.255"}, false, -EACCES},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *allow[LIST_MAX + 1] = {"tcp://*.two.example:443"};
		struct net_rules rules;
		struct net_table *table;
		struct net_pins pins = {0};
		int r;

		for (size_t a = 0; a + 1 < LIST_MAX && rows[i].allow[a] != NULL; a++)
			allow[a + 1] = rows[i].allow[a];
		rules = rules_make(allow, NULL);
		rules.public_only = rows[i].public_only;
		table = table_make(rules);
		r = pin(&pins, table, "www.two.example", rows[i].address, 10);
		if (r != rows[i].r)
			fail_msg("%s: %d, expected %d", rows[i].why, r, rows[i].r);
		/* A private address is answered, and the rule that names it says what of it may be reached. */
		assert_int_equal(pins.used, r == 0 && rows[i].allow[0] == NULL);
		if (r == 0 && rows[i].allow[0] != NULL)
			assert_int_equal(decide(table, &pins, 0, NET_TCP, rows[i].address, 443),
			                 decide(table, NULL, 0, NET_TCP, rows[i].address, 443));
		net_table_free(table);
	}
}

static void deny_wins_over_pins(void **state)
{
	static const char *const allow[] = {"one.example", "*.two.example", NULL};
	static const char *const deny[] = {"192.0.2.0/28", "192.0.2.77:25", NULL};
	struct net_table *table = table_make(rules_make(allow, deny));
	struct net_pins pins = {0};

	(void)state;
	assert_int_equal(pin(&pins, table, "a.two.example", "192.0.2.77", 10), 0);
	assert_false(decide(table, &pins, 0, NET_TCP, "192.0.2.77", 25));
	assert_true(decide(table, &pins, 0, NET_TCP, "192.0.2.77", 26));
	assert_false(decide(table, &pins, 0, NET_TCP, "192.0.2.1", 26));
	net_table_free(table);
}

static void pins_are_bounded_and_reused(void **state)
{
	static const char *const allow[] = {"*.two.example", NULL};
	struct net_table *table = table_make(rules_make(allow, NULL));
	struct net_pins *pins = test_calloc(1, sizeof(*pins));
	struct net_addr addr = addr_make("198.51.0.0");

	(void)state;
	for (int i = 0; i < NET_PINS_MAX; i++) {
		addr.bytes[2] = (uint8_t)(i >> 8), addr.bytes[3] = (uint8_t)i;
		assert_int_equal(net_pins_add(pins, table, "a.two.example", &addr, i == 700 ? 10 : 20), 0);
	}
	assert_true(decide(table, pins, 9, NET_TCP, "198.51.2.188", 1)); /* the 700th */
	/* One that is there takes no other's place; a new one takes that of the one that would end first. */
	assert_int_equal(pin(pins, table, "a.two.example", "198.51.3.255", 30), 0);
	assert_true(decide(table, pins, 9, NET_TCP, "198.51.2.188", 1));
	assert_int_equal(pin(pins, table, "a.two.example", "192.0.2.77", 30), 0);
	assert_true(decide(table, pins, 9, NET_TCP, "192.0.2.77", 1));
	assert_false(decide(table, pins, 9, NET_TCP, "198.51.2.188", 1));
	assert_true(decide(table, pins, 9, NET_TCP, "198.51.0.0", 1));
	assert_int_equal(pin(pins, table, "a.two.example", "192.0.2.78", 30), 0);
	assert_true(decide(table, pins, 9, NET_TCP, "192.0.2.77", 1));
	assert_int_equal(pins->used, NET_PINS_MAX);
	test_free(pins);
	net_table_free(table);
}

/* The deepest name there can be: 127 labels, below a rule at its top. */
static void the_deepest_name_is_found(void **state)
{
	static const char *const allow[] = {"*.x", "*.y.x:2", NULL};
	struct net_table *table = table_make(rules_make(allow, NULL));
	const struct net_addr *addrs;
	char name[254];
	size_t count;

	(void)state;
	for (size_t i = 0; i < 253; i++)
		name[i] = i % 2 ? '.' : i == 252 ? 'x' : 'a';
	name[253] = '\0';
	assert_int_equal(net_table_name(table, name, &addrs, &count), NET_NAME_OPEN);
	name[252] = 'z';
	assert_int_equal(net_table_name(table, name, &addrs, &count), NET_NAME_UNKNOWN);
	net_table_free(table);
}

/* getaddrinfo(3) itself, with the one name that needs nobody. */
static void the_system_resolves_localhost(void **state)
{
	static const char *const allow[] = {"localhost:80", NULL};
	struct net_addr addrs[NET_NAME_ADDRS_MAX];
	struct net_rules rules = rules_make(allow, NULL);
	struct net_table *table;
	sl_error error = {0};
	int count = name_resolve(NULL, "localhost", addrs, NET_NAME_ADDRS_MAX, &error);

	(void)state;
	assert_in_range(count, 1, 4);
	assert_int_equal(name_resolve(NULL, "localhost", addrs, 1, &error), 1);
	rules.resolve = NULL;
	table = table_make(rules);
	assert_true(decide(table, NULL, 0, NET_TCP, "127.0.0.1", 80) ||
	            decide(table, NULL, 0, NET_TCP, "::1", 80));
	net_table_free(table);
}

static void what_the_system_cannot_resolve_says_why(void **state)
{
	struct net_addr addrs[1];
	sl_error error = {0};

	(void)state;
	/* Two dots in a row: refused before anybody is asked. */
	assert_true(name_resolve(NULL, "a..b", addrs, 1, &error) < 0);
	assert_non_null(strstr(error.message, "cannot be resolved: "));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_addresses_of_a_name_are_pinned_to_its_protocol_and_ports),
		cmocka_unit_test(a_name_is_asked_for_once),
		cmocka_unit_test(an_address_that_is_given_twice_is_one),
		cmocka_unit_test(a_name_that_cannot_be_had_is_an_error_that_names_it),
		cmocka_unit_test(private_and_loopback_answers_are_pinned_at_start),
		cmocka_unit_test(public_answers_pass_with_public_only),
		cmocka_unit_test(what_the_rules_say_of_a_name),
		cmocka_unit_test(a_table_without_names_knows_none),
		cmocka_unit_test(a_pin_lets_an_address_in_until_it_expires),
		cmocka_unit_test(a_pin_is_extended_and_never_shortened),
		cmocka_unit_test(an_address_of_two_rules_has_two_pins),
		cmocka_unit_test(a_pin_is_only_for_an_open_name),
		cmocka_unit_test(a_private_address_of_the_start_is_accepted_again),
		cmocka_unit_test(the_answers_that_are_accepted_while_running),
		cmocka_unit_test(deny_wins_over_pins),
		cmocka_unit_test(pins_are_bounded_and_reused),
		cmocka_unit_test(the_deepest_name_is_found),
		cmocka_unit_test(the_system_resolves_localhost),
		cmocka_unit_test(what_the_system_cannot_resolve_says_why),
	};

	return cmocka_run_group_tests_name("names", tests, NULL, NULL);
}
