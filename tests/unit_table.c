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

/* "example.org" and all else is at 192.0.2.1 and 2001:db8:ff::1. */
static int resolve_any(const void *context, const char *name, struct net_addr *addrs, size_t room,
                       sl_error *error)
{
	(void)context, (void)name, (void)error;
	assert_true(room >= 2);
	addrs[0] = (struct net_addr){.family = AF_INET, .bytes = {192, 0, 2, 1}};
	addrs[1] =
		(struct net_addr){.family = AF_INET6, .bytes = {0x20, 0x01, 0x0d, 0xb8, 0, 0xff, [15] = 1}};
	return 2;
}

static size_t rules_count(const char *const *rules)
{
	size_t count = 0;

	while (count < RULES_MAX && rules[count] != NULL)
		count++;
	return count;
}

static struct net_table *table_make_of(struct net_rules rules, struct net_need *need)
{
	struct net_table *table;
	sl_error error = {0};

	rules.resolve = resolve_any;
	if (net_table_build(&rules, &table, need, &error) < 0)
		fail_msg("%s", error.message);
	return table;
}

static struct net_table *table_make(const char *const *rules, size_t count, struct net_need *need)
{
	return table_make_of((struct net_rules){.allow = {rules, count}}, need);
}

/* "address", of either family: by way of a sockaddr, as a target gives it. */
static struct net_endpoint endpoint_make(const char *address, uint16_t port, uint32_t scope)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_scope_id = scope};
	struct net_endpoint endpoint;

	if (inet_pton(AF_INET, address, &in.sin_addr) == 1) {
		assert_int_equal(
			net_endpoint_read(AF_INET, NET_TCP, NET_CALL_CONNECT, &in, sizeof(in), &endpoint),
			NET_ENDPOINT);
		return endpoint;
	}
	assert_int_equal(inet_pton(AF_INET6, address, &in6.sin6_addr), 1);
	assert_int_equal(net_endpoint_read(AF_INET6, NET_TCP, NET_CALL_CONNECT, &in6, sizeof(in6), &endpoint),
	                 NET_ENDPOINT);
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

		for (int protocol = NET_TCP; protocol <= NET_UDP; protocol++)
			if (net_decide(table, NULL, 0, protocol, &endpoint) != rows[i].allowed)
				fail_msg("%s: expected %s", rows[i].why,
				         rows[i].allowed ? "allowed" : "denied");
		assert_false(net_decide(table, NULL, 0, NET_ICMP, &endpoint));
		net_need_clear(&need);
		net_table_free(table);
	}
}

/* "tui" for what is allowed, "-" for what is not. */
static void decisions_show(const struct net_table *table, const struct net_endpoint *endpoint, char shown[4])
{
	for (int protocol = 0; protocol < NET_PROTOCOLS; protocol++)
		shown[protocol] = net_decide(table, NULL, 0, protocol, endpoint) ? "tui"[protocol] : '-';
	shown[3] = '\0';
}

static void protocols_and_denials(void **state)
{
	static const struct {
		const char *why;
		const char *allow[RULES_MAX], *deny[RULES_MAX];
		const char *address;
		uint16_t port;
		uint32_t scope;
		const char *expected;
	} rows[] = {
		{"no scheme", {"1.2.3.4:53"}, {NULL}, "1.2.3.4", 53, 0, "tu-"},
		{"tcp", {"tcp://1.2.3.4:53"}, {NULL}, "1.2.3.4", 53, 0, "t--"},
		{"udp", {"udp://1.2.3.4:53"}, {NULL}, "1.2.3.4", 53, 0, "-u-"},
		{"icmp", {"icmp://1.2.3.4"}, {NULL}, "1.2.3.4", 0, 0, "--i"},
		{"icmp does not look at ports", {"icmp://1.2.3.4"}, {NULL}, "1.2.3.4", 65535, 0, "--i"},
		{"icmp to anyone", {"icmp://*"}, {NULL}, "::1", 7, 0, "--i"},
		{"icmp elsewhere", {"icmp://1.2.3.4"}, {NULL}, "1.2.3.5", 0, 0, "---"},
		{"anything is no icmp", {"*"}, {NULL}, "1.2.3.4", 0, 0, "tu-"},
		{"each its own", {"tcp://*:1", "udp://*:2", "icmp://*"}, {NULL}, "1.2.3.4", 1, 0, "t-i"},
		{"each its own, crossed",
	         {"tcp://*:1", "udp://*:2", "icmp://*"},
	         {NULL},
	         "1.2.3.4",
	         2,
	         0,
	         "-ui"},
		{"one target, ports of both",
	         {"tcp://1.2.3.4:1", "udp://1.2.3.4:2"},
	         {NULL},
	         "1.2.3.4",
	         2,
	         0,
	         "-u-"},
		{"nothing is allowed, nothing is denied", {NULL}, {"1.2.3.4"}, "1.2.3.5", 1, 0, "---"},
		{"deny wins", {"1.2.3.4"}, {"1.2.3.4"}, "1.2.3.4", 1, 0, "---"},
		{"deny wins over any", {"*"}, {"1.2.3.4"}, "1.2.3.4", 1, 0, "---"},
		{"next to it", {"*"}, {"1.2.3.4"}, "1.2.3.5", 1, 0, "tu-"},
		{"a wide deny wins over a narrow allow",
	         {"10.1.2.3:80"},
	         {"10.0.0.0/8"},
	         "10.1.2.3",
	         80,
	         0,
	         "---"},
		{"a narrow deny in a wide allow", {"10.0.0.0/8"}, {"10.1.2.3:80"}, "10.1.2.3", 80, 0, "---"},
		{"at another port", {"10.0.0.0/8"}, {"10.1.2.3:80"}, "10.1.2.3", 81, 0, "tu-"},
		{"deny any port", {"10.0.0.0/8"}, {":25"}, "10.1.2.3", 25, 0, "---"},
		{"deny any port, another", {"10.0.0.0/8"}, {":25"}, "10.1.2.3", 26, 0, "tu-"},
		{"deny everything", {"*", "icmp://*"}, {"*"}, "10.1.2.3", 26, 0, "--i"},
		{"deny of one protocol", {"*"}, {"tcp://1.2.3.4"}, "1.2.3.4", 1, 0, "-u-"},
		{"deny of the other", {"*", "icmp://*"}, {"udp://1.2.3.4"}, "1.2.3.4", 1, 0, "t-i"},
		{"deny of icmp", {"*", "icmp://*"}, {"icmp://1.2.3.4"}, "1.2.3.4", 1, 0, "tu-"},
		{"deny without a scheme is no deny of icmp",
	         {"*", "icmp://*"},
	         {"1.2.3.4"},
	         "1.2.3.4",
	         1,
	         0,
	         "--i"},
		{"deny, mapped spelling", {"*"}, {"1.2.3.4"}, "::ffff:1.2.3.4", 1, 0, "---"},
		{"deny of loopback, 0.0.0.0", {"*"}, {"127.0.0.0/8"}, "0.0.0.0", 1, 0, "---"},
		{"deny of loopback, ::", {"*"}, {"[::1]:1"}, "::", 1, 0, "---"},
		{"deny of IPv4 loopback is not of ::1", {"*"}, {"127.0.0.0/8"}, "::1", 1, 0, "tu-"},
		{"nor is that of 0.0.0.0/8", {"*"}, {"0.0.0.0/8"}, "::1", 1, 0, "tu-"},
		{"deny of all IPv4", {"*"}, {"0.0.0.0/0"}, "1.2.3.4", 1, 0, "---"},
		{"deny of all IPv4, IPv6", {"*"}, {"0.0.0.0/0"}, "2001:db8::1", 1, 0, "tu-"},
		{"NAT64", {"*"}, {"10.0.0.0/8"}, "64:ff9b::10.1.2.3", 1, 0, "---"},
		{"NAT64 of another", {"*"}, {"10.0.0.0/8"}, "64:ff9b::11.1.2.3", 1, 0, "tu-"},
		{"NAT64 at another port", {"*"}, {"10.0.0.0/8:2"}, "64:ff9b::10.1.2.3", 1, 0, "tu-"},
		{"beside NAT64", {"*"}, {"10.0.0.0/8"}, "64:ff9b:0:0:0:1:a01:203", 1, 0, "tu-"},
		{"6to4", {"*"}, {"10.0.0.0/8"}, "2002:a01:203::1", 1, 0, "---"},
		{"6to4 of another", {"*"}, {"10.0.0.0/8"}, "2002:b01:203::1", 1, 0, "tu-"},
		{"IPv4-compatible", {"*"}, {"10.0.0.0/8"}, "::10.1.2.3", 1, 0, "---"},
		{"IPv4-compatible of another", {"*"}, {"10.0.0.0/8"}, "::11.1.2.3", 1, 0, "tu-"},
		{"IPv4-compatible, the second", {"*"}, {"0.0.0.0/8"}, "::2", 1, 0, "---"},
		{"what embeds needs a rule of its own",
	         {"10.0.0.0/8"},
	         {NULL},
	         "64:ff9b::10.1.2.3",
	         1,
	         0,
	         "---"},
		{"and has one", {"64:ff9b::/96"}, {NULL}, "64:ff9b::10.1.2.3", 1, 0, "tu-"},
		{"embedded, protocols apart", {"*"}, {"udp://10.0.0.0/8"}, "64:ff9b::10.1.2.3", 1, 0, "t--"},
		{"deny of a scope", {"*"}, {"[fe80::1%7]:1"}, "fe80::1", 1, 7, "---"},
		{"deny of a scope, another", {"*"}, {"[fe80::1%7]:1"}, "fe80::1", 1, 8, "tu-"},
		{"deny of a scope, none given", {"*"}, {"[fe80::1%7]:1"}, "fe80::1", 1, 0, "---"},
		{"deny of any scope", {"*"}, {"fe80::/10"}, "fe80::1", 1, 8, "---"},
		{"a name's address", {"example.org:443"}, {NULL}, "192.0.2.1", 443, 0, "tu-"},
		{"a name's other address", {"example.org:443"}, {NULL}, "2001:db8:ff::1", 443, 0, "tu-"},
		{"a name's address, another port", {"example.org:443"}, {NULL}, "192.0.2.1", 80, 0, "---"},
		{"a name's protocol", {"udp://example.org:443"}, {NULL}, "192.0.2.1", 443, 0, "-u-"},
		{"a name and icmp", {"icmp://example.org"}, {NULL}, "192.0.2.1", 443, 0, "--i"},
		{"a name, denied by address", {"example.org"}, {"192.0.2.1:443"}, "192.0.2.1", 443, 0, "---"},
		{"a name's neighbour", {"example.org"}, {NULL}, "192.0.2.2", 443, 0, "---"},
		{"a wildcard alone reaches nothing", {"*.example.org"}, {NULL}, "192.0.2.1", 443, 0, "---"},
		{"a name below a wildcard has its ports too",
	         {"www.example.org:80", "tcp://*.example.org:443"},
	         {NULL},
	         "192.0.2.1",
	         443,
	         0,
	         "t--"},
		{"and keeps its own",
	         {"www.example.org:80", "tcp://*.example.org:443"},
	         {NULL},
	         "192.0.2.1",
	         80,
	         0,
	         "tu-"},
		{"and those of all above",
	         {"a.b.example.org:80", "*.b.example.org:1", "*.org:443"},
	         {NULL},
	         "192.0.2.1",
	         443,
	         0,
	         "tu-"},
		{"the name itself is not below",
	         {"example.org:80", "*.example.org:443"},
	         {NULL},
	         "192.0.2.1",
	         443,
	         0,
	         "---"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct net_need need;
		struct net_table *table =
			table_make_of((struct net_rules){.allow = {rows[i].allow, rules_count(rows[i].allow)},
		                                         .deny = {rows[i].deny, rules_count(rows[i].deny)}},
		                      &need);
		struct net_endpoint endpoint = endpoint_make(rows[i].address, rows[i].port, rows[i].scope);
		char shown[4];

		decisions_show(table, &endpoint, shown);
		if (strcmp(shown, rows[i].expected) != 0)
			fail_msg("%s: %s, expected %s", rows[i].why, shown, rows[i].expected);
		net_need_clear(&need);
		net_table_free(table);
	}
}

/* "ALL", "443,8000-8010" (ports), "parts" or "-"; of TCP, UDP and ICMP. */
static void need_show(const struct net_need *need, char *shown, size_t size)
{
	*shown = '\0';
	for (int protocol = 0; protocol < NET_PROTOCOLS; protocol++) {
		static const char *const words[] = {
			[NET_NOTHING] = "-", [NET_PORTS] = "ports", [NET_PARTS] = "parts", [NET_ALL] = "ALL"};

		snprintf(shown + strlen(shown), size - strlen(shown), "%s%s", protocol == 0 ? "" : " ",
		         words[need->extent[protocol]]);
	}
	for (size_t p = 0; p < need->tcp_ports.count; p++)
		snprintf(shown + strlen(shown), size - strlen(shown), " %u-%u", need->tcp_ports.ranges[p].low,
		         need->tcp_ports.ranges[p].high);
}

static void what_the_plan_must_arrange(void **state)
{
	static const struct {
		const char *why;
		const char *allow[RULES_MAX], *deny[RULES_MAX];
		const char *expected;
	} rows[] = {
		{"no rule", {NULL}, {NULL}, "- - -"},
		{"deny rules alone", {NULL}, {"*", "1.2.3.4"}, "- - -"},
		{"anything", {"*"}, {NULL}, "ALL ALL -"},
		{"anything of each", {"*", "icmp://*"}, {NULL}, "ALL ALL ALL"},
		{"anything of TCP", {"tcp://*"}, {NULL}, "ALL - -"},
		{"anything of UDP", {"udp://*"}, {NULL}, "- ALL -"},
		{"anything of ICMP", {"icmp://*"}, {NULL}, "- - ALL"},
		{"anything beside ports", {":80", "*"}, {NULL}, "ALL ALL -"},
		{"anything covers addresses", {"1.2.3.4:80", "*", "::/0"}, {NULL}, "ALL ALL -"},
		{"anything covers names", {"example.org", "*.example.org", "*"}, {NULL}, "ALL ALL -"},
		{"any address at ports",
	         {"tcp://:80", "tcp://*:443,8000-8010"},
	         {NULL},
	         "ports - - 80-80 443-443 8000-8010"},
		{"ports are no answer for UDP", {":80"}, {NULL}, "ports parts - 80-80"},
		{"a list of all ports is a list", {"*:1-65535"}, {NULL}, "ports parts - 1-65535"},
		{"an address", {"tcp://1.2.3.4:80"}, {NULL}, "parts - -"},
		{"an address of UDP", {"udp://1.2.3.4:80"}, {NULL}, "- parts -"},
		{"an address of ICMP", {"icmp://1.2.3.4"}, {NULL}, "- - parts"},
		{"a family is addresses", {"tcp://0.0.0.0/0", "tcp://::/0"}, {NULL}, "parts - -"},
		{"an address beside a port", {"tcp://1.2.3.4:80", "tcp://:443"}, {NULL}, "parts - -"},
		{"an address that is covered",
	         {"tcp://1.2.3.4:443", "tcp://:443"},
	         {NULL},
	         "ports - - 443-443"},
		{"covered in the other protocol only",
	         {"1.2.3.4:443", "tcp://:443"},
	         {NULL},
	         "ports parts - 443-443"},
		{"covered by touching ranges",
	         {"tcp://1.2.3.4:80-90", "tcp://:80-85", "tcp://:86-90"},
	         {NULL},
	         "ports - - 80-90"},
		{"one port too many", {"tcp://1.2.3.4:80-91", "tcp://:80-90"}, {NULL}, "parts - -"},
		{"one port too few below", {"tcp://1.2.3.4:79-90", "tcp://:80-90"}, {NULL}, "parts - -"},
		{"over a gap", {"tcp://1.2.3.4:80-90", "tcp://:80-84", "tcp://:86-90"}, {NULL}, "parts - -"},
		{"one covered, the other not",
	         {"tcp://1.2.3.4:80", "tcp://1.2.3.5:81", "tcp://:80"},
	         {NULL},
	         "parts - -"},
		{"all ports are more than 1-65535",
	         {"tcp://1.2.3.4", "tcp://*:1-65535"},
	         {NULL},
	         "parts - -"},
		{"a name", {"tcp://example.org:80"}, {NULL}, "parts - -"},
		{"a wildcard", {"tcp://*.example.org:80"}, {NULL}, "parts - -"},
		{"a name of ICMP", {"icmp://example.org"}, {NULL}, "- - parts"},
		{"a wildcard of ICMP", {"icmp://*.example.org"}, {NULL}, "- - parts"},
		{"a name that is covered", {"tcp://example.org:80", "tcp://:80"}, {NULL}, "ports - - 80-80"},
		{"a wildcard that is covered",
	         {"tcp://*.example.org:80", "tcp://:80"},
	         {NULL},
	         "ports - - 80-80"},
		{"a wildcard that is not", {"tcp://*.example.org:81", "tcp://:80"}, {NULL}, "parts - -"},
		{"all but a port", {"tcp://*"}, {":25"}, "ports - - 0-24 26-65535"},
		{"all but the first and the last", {"tcp://*"}, {":1-2,65535"}, "ports - - 0-0 3-65534"},
		{"all but what was denied for UDP", {"tcp://*"}, {"udp://:25"}, "ALL - -"},
		{"all of UDP but a port", {"udp://*"}, {":25"}, "- parts -"},
		{"ports less ports", {"tcp://:20-30,80"}, {":25", ":80-90"}, "ports - - 20-24 26-30"},
		{"ports less all of them", {"tcp://:25"}, {":20-30"}, "- - -"},
		{"everything denied", {"*", "icmp://*"}, {"*", "icmp://*"}, "- - -"},
		{"everything denied, by families", {"*"}, {"0.0.0.0/0", "::/0"}, "- - -"},
		{"one family denied", {"tcp://*"}, {"0.0.0.0/0"}, "parts - -"},
		{"the other family denied", {"tcp://*"}, {"::/0"}, "parts - -"},
		{"both families at one port", {"tcp://:25"}, {"0.0.0.0/0:25", "::/0"}, "- - -"},
		{"ICMP denied", {"icmp://*"}, {"icmp://*"}, "- - -"},
		{"ICMP denied somewhere", {"icmp://*"}, {"icmp://10.0.0.0/8"}, "- - parts"},
		{"an address denied", {"tcp://*"}, {"10.0.0.0/8"}, "parts - -"},
		{"an address denied at a port", {"tcp://*"}, {"10.0.0.0/8:80"}, "parts - -"},
		{"an address denied where nothing is allowed",
	         {"tcp://:80"},
	         {"10.0.0.0/8:25"},
	         "ports - - 80-80"},
		{"an address denied where something is", {"tcp://:80"}, {"10.0.0.0/8:25,80"}, "parts - -"},
		{"an address denied at a port that is denied anyway",
	         {"tcp://:25,80"},
	         {"10.0.0.0/8:25", ":25"},
	         "ports - - 80-80"},
		{"an address allowed and denied", {"1.2.3.4"}, {"1.2.3.4"}, "- - -"},
		{"an address denied by its range", {"1.2.3.4"}, {"1.2.3.0/24"}, "- - -"},
		{"an address denied at its ports",
	         {"1.2.3.4:80-90"},
	         {"1.2.3.0/24:80-85", "1.2.3.4:86-90"},
	         "- - -"},
		{"an address denied but for a port",
	         {"tcp://1.2.3.4:80-91"},
	         {"1.2.3.0/24:80-90"},
	         "parts - -"},
		{"a range denied in part", {"tcp://1.2.3.0/24"}, {"1.2.3.4"}, "parts - -"},
		{"a range denied in its first half", {"tcp://10.0.0.0/8"}, {"10.0.0.0/9"}, "parts - -"},
		{"both families denied in their first halves",
	         {"udp://*"},
	         {"0.0.0.0/1", "::/1"},
	         "- parts -"},
		{"a range denied by another interface", {"tcp://fe80::%7/64"}, {"fe80::%8/64"}, "parts - -"},
		{"a range denied by its interface", {"tcp://fe80::%7/64"}, {"fe80::%7/64"}, "- - -"},
		{"a range denied by any interface", {"tcp://fe80::%7/64"}, {"fe80::/10"}, "- - -"},
		{"any interface denied by one", {"tcp://fe80::/64"}, {"fe80::%7/64"}, "parts - -"},
		{"an address denied for any address", {"1.2.3.4:25"}, {":25"}, "- - -"},
		{"an address of which nothing more than ports is left",
	         {"tcp://1.2.3.4:25,80", "tcp://:80"},
	         {":25"},
	         "ports - - 80-80"},
		{"a name denied by its addresses",
	         {"example.org"},
	         {"192.0.2.0/24", "2001:db8::/32"},
	         "- - -"},
		{"a name denied by one of them", {"tcp://example.org"}, {"192.0.2.0/24"}, "parts - -"},
		{"a wildcard denied by its port", {"*.example.org:80"}, {":80"}, "- - -"},
		{"a wildcard is not denied by addresses",
	         {"tcp://*.example.org:80"},
	         {"10.0.0.0/8"},
	         "parts - -"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct net_need need;
		char shown[256];

		net_table_free(
			table_make_of((struct net_rules){.allow = {rows[i].allow, rules_count(rows[i].allow)},
		                                         .deny = {rows[i].deny, rules_count(rows[i].deny)}},
		                      &need));
		need_show(&need, shown, sizeof(shown));
		if (strcmp(shown, rows[i].expected) != 0)
			fail_msg("%s: %s, expected %s", rows[i].why, shown, rows[i].expected);
		net_need_clear(&need);
		assert_int_equal(need.tcp_ports.count, 0);
	}
}

static void names_are_announced(void **state)
{
	static const struct {
		const char *rule;
		bool names;
	} rows[] = {{"*", false}, {"1.2.3.4", false}, {"example.org", true}, {"*.example.org", true}};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct net_need need;

		net_table_free(table_make(&rows[i].rule, 1, &need));
		assert_int_equal(need.names, rows[i].names);
		net_need_clear(&need);
	}
}

static char *table_text(struct net_rules rules)
{
	struct net_need need;
	struct net_table *table = table_make_of(rules, &need);
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
		"tcp://[2001:db8::1]:443",
		"tcp://10.0.0.1:80",
		"tcp://10.1.2.3/8",
		"10.0.0.1:90,81",
		"tcp://:22",
		"tcp://[fe80::1%7]:80",
		"tcp://[fe80::/10]:1",
		"tcp://[fe80::1%12]:80",
		"tcp://2001:db8::/32",
		"tcp://*:8000-8010",
		"tcp://9.0.0.0/8:1-65535",
		"icmp://10.0.0.0/8",
		"icmp://*",
		"udp://*:53",
		"icmp://::1",
	};
	static const char expected[] = "tcp://*:22,8000-8010\n"
				       "tcp://9.0.0.0/8:1-65535\n"
				       "tcp://10.0.0.0/8:*\n"
				       "tcp://10.0.0.1:80-81,90\n"
				       "tcp://[fe80::/10]:1\n"
				       "tcp://[2001:db8::/32]:*\n"
				       "tcp://[2001:db8::1]:443\n"
				       "tcp://[fe80::1%7]:80\n"
				       "tcp://[fe80::1%12]:80\n"
				       "udp://*:53\n"
				       "udp://10.0.0.1:81,90\n"
				       "icmp://*\n"
				       "icmp://10.0.0.0/8\n"
				       "icmp://[::1]\n";
	char *first = table_text((struct net_rules){.allow = {rules, sizeof(rules) / sizeof(rules[0])}});
	char *second, *copy, *rest;
	const char *lines[32];
	size_t count = 0;

	(void)state;
	assert_string_equal(first, expected);
	copy = rest = strdup(first);
	for (char *line; (line = strsep(&rest, "\n")) != NULL && *line != '\0';)
		lines[count++] = line;
	second = table_text((struct net_rules){.allow = {lines, count}});
	assert_string_equal(first, second);
	free(first);
	free(second);
	free(copy);
}

static void a_printed_table_says_whose_an_address_is_and_what_is_denied(void **state)
{
	static const char *const allow[] = {"tcp://example.org:443", "tcp://1.2.3.4:80", "tcp://*.b.org:1",
	                                    "icmp://A.org"};
	static const char *const deny[] = {"10.0.0.0/8:25", "icmp://*"};
	struct net_rules rules = {.allow = {allow, 4}, .deny = {deny, 2}};
	char *text = table_text(rules);

	(void)state;
	assert_string_equal(text, "tcp://1.2.3.4:80\n"
	                          "tcp://192.0.2.1:443 (example.org)\n"
	                          "tcp://[2001:db8:ff::1]:443 (example.org)\n"
	                          "tcp://*.b.org:1\n"
	                          "icmp://192.0.2.1 (a.org)\n"
	                          "icmp://[2001:db8:ff::1] (a.org)\n"
	                          "deny tcp://10.0.0.0/8:25\n"
	                          "deny udp://10.0.0.0/8:25\n"
	                          "deny icmp://*\n");
	free(text);
	/* Names that may be asked for again are rules, and not only addresses. */
	rules = (struct net_rules){.allow = {allow, 1}, .refresh = true};
	text = table_text(rules);
	assert_string_equal(text, "tcp://example.org:443\n"
	                          "tcp://192.0.2.1:443 (example.org)\n"
	                          "tcp://[2001:db8:ff::1]:443 (example.org)\n");
	free(text);
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
	struct net_need need = {.names = true};
	struct net_rules bad = {.allow = {rules, 3}}, bad_deny = {.allow = {rules, 2}, .deny = {rules, 3}};
	sl_error error;

	(void)state;
	assert_int_equal(net_table_build(&bad, &table, &need, &error), -EINVAL);
	assert_null(table);
	assert_int_equal(need.extent[NET_TCP], NET_NOTHING);
	assert_false(need.names);
	assert_null(need.tcp_ports.ranges);
	assert_non_null(strstr(error.message, "1.2.3.4:0"));
	assert_int_equal(error.code, -EINVAL);
	assert_int_equal(strncmp(error.message, "net-allow", 9), 0);
	table = (void *)1;
	assert_int_equal(net_table_build(&bad_deny, &table, &need, &error), -EINVAL);
	assert_null(table);
	assert_null(need.tcp_ports.ranges);
	assert_int_equal(strncmp(error.message, "net-deny", 8), 0);
	net_table_free(NULL);
}

/* The other matcher. A rule is what the test drew, never what the parser made of its text. */

struct drawn {
	bool deny;
	unsigned protocols;   /* a bit each; TCP and UDP only */
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

	rule.deny = draw(8) == 0;
	rule.protocols = 1 + draw(3);

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
	int used = snprintf(text, size, "%s",
	                    rule->protocols == 1   ? "tcp://"
	                    : rule->protocols == 2 ? "udp://"
	                                           : "");

	if (rule->addr.family != AF_UNSPEC)
		inet_ntop(rule->addr.family, rule->addr.bytes, addr, sizeof(addr));
	if (rule->addr.scope != 0)
		snprintf(scope, sizeof(scope), "%%%u", rule->addr.scope);
	snprintf(text + used, size - (size_t)used,
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
	       (rule->addr.scope == 0 || rule->addr.scope == endpoint->addr.scope ||
	        (rule->deny && endpoint->addr.scope == 0));
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

static bool drawn_decide(const struct drawn *rules, unsigned count, int protocol,
                         const struct net_endpoint *endpoint)
{
	bool allowed = false, denied = false;

	for (unsigned i = 0; i < count; i++) {
		if (!(rules[i].protocols & 1u << protocol) || !drawn_matches(&rules[i], endpoint))
			continue;
		*(rules[i].deny ? &denied : &allowed) = true;
	}
	return allowed && !denied;
}

/* What the extent promises, at one endpoint. */
static void need_compare(const struct net_need *need, int protocol, const struct net_endpoint *endpoint,
                         bool allowed)
{
	switch (need->extent[protocol]) {
	case NET_NOTHING:
		assert_false(allowed);
		break;
	case NET_ALL:
		assert_true(allowed);
		break;
	case NET_PORTS:
		assert_int_equal(allowed, port_set_has(&need->tcp_ports, endpoint->port));
		break;
	case NET_PARTS:
		break;
	}
}

static unsigned table_compare(unsigned count)
{
	struct drawn rules[DRAWN_RULES];
	char texts[DRAWN_RULES][96];
	const char *allow[DRAWN_RULES], *deny[DRAWN_RULES];
	struct net_rules all = {.allow = {allow, 0}, .deny = {deny, 0}};
	struct net_need need;
	struct net_table *table;
	unsigned allowed = 0;

	for (unsigned i = 0; i < count; i++) {
		rules[i] = rule_draw();
		rule_write(&rules[i], texts[i], sizeof(texts[i]));
		if (rules[i].deny)
			deny[all.deny.count++] = texts[i];
		else
			allow[all.allow.count++] = texts[i];
	}
	table = table_make_of(all, &need);
	for (unsigned e = 0; e < DRAWN_ENDPOINTS; e++) {
		struct net_endpoint endpoint = endpoint_draw(rules, count);
		int protocol = draw(2) ? NET_TCP : NET_UDP;
		bool expected = drawn_decide(rules, count, protocol, &endpoint);
		char text[NET_ENDPOINT_TEXT];

		net_endpoint_format(&endpoint, text, sizeof(text));
		if (net_decide(table, NULL, 0, protocol, &endpoint) != expected)
			fail_msg("%s among %u rules from %s: expected %d", text, count, texts[0], expected);
		need_compare(&need, protocol, &endpoint, expected);
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
	assert_in_range(allowed, total / 10, total - total / 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(single_decisions),
		cmocka_unit_test(protocols_and_denials),
		cmocka_unit_test(names_are_announced),
		cmocka_unit_test(what_the_plan_must_arrange),
		cmocka_unit_test(a_printed_table_is_a_rule_list_that_prints_the_same),
		cmocka_unit_test(a_printed_table_says_whose_an_address_is_and_what_is_denied),
		cmocka_unit_test(printing_to_a_full_device_is_an_error),
		cmocka_unit_test(a_bad_rule_leaves_nothing_behind),
		cmocka_unit_test(random_decisions_agree_with_a_naive_matcher),
	};

	return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
