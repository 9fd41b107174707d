/* The grammar of net-allow and net-deny: what is accepted, and in which words the rest is refused. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "netpolicy/rule.h"

/* Every name is a documentation address. */
static int resolve_any(const void *context, const char *name, struct net_addr *addrs, size_t room,
                       sl_error *error)
{
	(void)context, (void)name, (void)error;
	assert_true(room > 0);
	addrs[0] = (struct net_addr){.family = AF_INET, .bytes = {192, 0, 2, 1}};
	return 1;
}

/* A rule is shown as the table prints it: one canonical spelling each, a line a protocol. */
static void rule_show(const char *rule, char *lines, size_t size)
{
	struct net_rules rules = {.allow = {&rule, 1}, .resolve = resolve_any, .refresh = true};
	struct net_table *table;
	struct net_need need;
	sl_error error = {0};
	char *text = NULL;
	size_t text_size = 0;
	FILE *out = open_memstream(&text, &text_size);

	assert_non_null(out);
	if (net_table_build(&rules, &table, &need, &error) < 0)
		fail_msg("\"%s\": %s", rule, error.message);
	assert_int_equal(net_table_print(table, out), 0);
	fclose(out);
	snprintf(lines, size, "%s", text);
	free(text);
	net_need_clear(&need);
	net_table_free(table);
}

/* The lines of "tcp", "udp" and "icmp" among `schemes`, each with that target. A pinned address is left out. */
static void rule_expect(const char *why, const char *rule, const char *schemes, const char *target)
{
	static const char *const names[] = {"tcp", "udp", "icmp"};
	char shown[1024], expected[1024] = "", got[1024] = "";

	rule_show(rule, shown, sizeof(shown));
	for (char *line, *rest = shown; (line = strsep(&rest, "\n")) != NULL && *line != '\0';)
		if (strchr(line, '(') == NULL)
			snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s ", line);
	for (size_t i = 0; i < 3; i++)
		if (strstr(schemes, names[i]) != NULL)
			snprintf(expected + strlen(expected), sizeof(expected) - strlen(expected), "%s://%s ",
			         names[i], target);
	if (strcmp(got, expected) != 0)
		fail_msg("%s: \"%s\" gave %s, expected %s", why, rule, got, expected);
}

static void every_form_of_the_grammar_is_read(void **state)
{
	static const struct {
		const char *why, *rule, *expected;
	} rows[] = {
		{"anything", "*", "*:*"},
		{"empty target, all ports", ":*", "*:*"},
		{"both starred", "*:*", "*:*"},
		{"empty target", ":443", "*:443"},
		{"starred target", "*:443", "*:443"},
		{"lowest and highest port", "*:65535,1", "*:1,65535"},
		{"a range", "*:8000-8080", "*:8000-8080"},
		{"a range of one", "*:80-80", "*:80"},
		{"all that can be listed is still no *", "*:1-65535", "*:1-65535"},
		{"lists are sorted and merged", "*:90,80,81-85,84-89,443", "*:80-90,443"},
		{"leading zeros", "*:0080", "*:80"},
		{"IPv4, all ports", "1.2.3.4", "1.2.3.4:*"},
		{"IPv4, starred", "1.2.3.4:*", "1.2.3.4:*"},
		{"IPv4 and ports", "1.2.3.4:80,443", "1.2.3.4:80,443"},
		{"CIDR", "10.0.0.0/8", "10.0.0.0/8:*"},
		{"CIDR and port", "10.0.0.0/8:80", "10.0.0.0/8:80"},
		{"host bits are masked", "10.9.8.7/8:80", "10.0.0.0/8:80"},
		{"a whole family", "0.0.0.0/0:80", "0.0.0.0/0:80"},
		{"the other whole family", "::/0", "[::/0]:*"},
		{"a whole prefix is an address", "1.2.3.4/32:80", "1.2.3.4:80"},
		{"bare IPv6", "2001:db8::1", "[2001:db8::1]:*"},
		{"bare IPv6, all of it", "1:2:3:4:5:6:7:8", "[1:2:3:4:5:6:7:8]:*"},
		{"what looks like a port belongs to a bare IPv6", "::1:80", "[::0.1.0.128]:*"},
		{"bare IPv6 CIDR", "2001:db8::ff/32", "[2001:db8::/32]:*"},
		{"brackets", "[::1]", "[::1]:*"},
		{"brackets and star", "[::1]:*", "[::1]:*"},
		{"brackets and ports", "[::1]:80,443", "[::1]:80,443"},
		{"CIDR in brackets", "[2001:db8::/64]:80", "[2001:db8::/64]:80"},
		{"capitals", "[2001:DB8::A]:80", "[2001:db8::a]:80"},
		{"mapped", "[::ffff:1.2.3.4]:80", "1.2.3.4:80"},
		{"mapped in hexadecimal", "::ffff:102:304", "1.2.3.4:*"},
		{"mapped CIDR", "[::ffff:10.0.0.0/104]:80", "10.0.0.0/8:80"},
		{"all that is mapped", "[::ffff:0:0/96]:80", "0.0.0.0/0:80"},
		{"more than mapped stays IPv6", "[::ffff:0:0/95]:80", "[::fffe:0:0/95]:80"},
		{"scope by index", "[fe80::1%7]:80", "[fe80::1%7]:80"},
		{"bare with scope", "fe80::1%7", "[fe80::1%7]:*"},
		{"scope of a prefix", "[fe80::%7/64]:80", "[fe80::%7/64]:80"},
		{"the widest prefix with a scope", "[fe80::%7/10]:80", "[fe80::%7/10]:80"},
		{"a link-local prefix on any interface", "[fe80::/10]:80", "[fe80::/10]:80"},
		{"the last prefix that may miss its scope", "fe80::/127", "[fe80::/127]:*"},
		{"link-local multicast with scope", "[ff02::1%7]:80", "[ff02::1%7]:80"},
		{"a prefix of zeros is no address", "0.0.0.0/31", "0.0.0.0/31:*"},
		{"a prefix of zeros is no address", "::/127", "[::/127]:*"},
		{"link-local is interface-local too, for multicast", "[ff01::1%7]:80", "[ff01::1%7]:80"},
		{"a name", "example.org", "example.org:*"},
		{"a name and ports", "example.org:80,443", "example.org:80,443"},
		{"a name and a star", "example.org:*", "example.org:*"},
		{"a name in capitals", "WWW.Example.ORG:80", "www.example.org:80"},
		{"a name with the dot at its end", "example.org.:80", "example.org:80"},
		{"one label", "localhost:80", "localhost:80"},
		{"digits, but not at the end", "1.2.3.example", "1.2.3.example:*"},
		{"a label of digits and letters at the end", "x.1a", "x.1a:*"},
		{"hexadecimal, but for one letter", "0x12g", "0x12g:*"},
		{"underscores and hyphens", "_sip.a--b.example.org", "_sip.a--b.example.org:*"},
		{"one letter", "a", "a:*"},
		{"punycode", "xn--bcher-kva.example", "xn--bcher-kva.example:*"},
		{"a label of 63", "a12345678901234567890123456789012345678901234567890123456789012.org",
	         "a12345678901234567890123456789012345678901234567890123456789012.org:*"},
		{"a wildcard", "*.example.org", "*.example.org:*"},
		{"a wildcard and ports", "*.Example.Org.:443", "*.example.org:443"},
		{"a wildcard of one label", "*.internal", "*.internal:*"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		static const char *const schemes[] = {"", "tcp://", "udp://"};

		for (size_t k = 0; k < 3; k++) {
			char rule[300], again[300];

			snprintf(rule, sizeof(rule), "%s%s", schemes[k], rows[i].rule);
			snprintf(again, sizeof(again), "%s%s", schemes[k], rows[i].expected);
			assert_int_equal(rule_check("net-allow", rule, NULL), 0);
			rule_expect(rows[i].why, rule, k == 0 ? "tcp udp" : schemes[k], rows[i].expected);
			rule_expect(rows[i].why, again, k == 0 ? "tcp udp" : schemes[k], rows[i].expected);
		}
	}
}

static void icmp_rules_have_no_ports(void **state)
{
	static const struct {
		const char *rule, *expected;
	} rows[] = {
		{"icmp://*", "*"},
		{"icmp://1.2.3.4", "1.2.3.4"},
		{"icmp://10.9.9.9/8", "10.0.0.0/8"},
		{"icmp://::1", "[::1]"},
		{"icmp://[::1]", "[::1]"},
		{"icmp://2001:db8::/32", "[2001:db8::/32]"},
		{"icmp://[2001:db8::/32]", "[2001:db8::/32]"},
		{"icmp://fe80::1%7", "[fe80::1%7]"},
		{"icmp://::ffff:1.2.3.4", "1.2.3.4"},
		{"icmp://example.org", "example.org"},
		{"icmp://*.example.org", "*.example.org"},
	};
	static const char *const bad[] = {
		"icmp://1.2.3.4:80",
		"icmp://1.2.3.4:*",
		"icmp://*:*",
		"icmp://:80",
		"icmp://*:",
		"icmp://[::1]:80",
		"icmp://[::1]:",
		"icmp://1.2.3.4:",
		"icmp://1:2:3",
		"icmp://example.org:80",
		"icmp://*.example.org:1",
		"icmp://::1:2:3:4:5:6:7:8",
		"icmp://[::1]:*",
		"icmp://:",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		rule_expect("icmp", rows[i].rule, "icmp", rows[i].expected);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		sl_error error = {0};

		assert_int_equal(rule_check("net-allow", bad[i], &error), -EINVAL);
		if (strstr(error.message, "icmp:// takes no ports") == NULL)
			fail_msg("\"%s\": %s", bad[i], error.message);
	}
}

static void deny_rules_take_addresses_only(void **state)
{
	static const char *const good[] = {"*",         ":25",        "tcp://*:25", "udp://10.0.0.0/8",
	                                   "icmp://*",  "[::1]:1-2",  "fe80::1%7",  "169.254.0.0/16",
	                                   "1.2.3.4:5", "tcp://[::1]"};
	static const char *const names[] = {"example.org", "*.example.org:80", "tcp://localhost",
	                                    "icmp://a.b", "udp://a:53"};
	sl_error error;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_int_equal(rule_check("net-deny", good[i], NULL), 0);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_int_equal(rule_check("net-allow", names[i], NULL), 0);
		assert_int_equal(rule_check("net-deny", names[i], &error), -EINVAL);
		if (strncmp(error.message, "net-deny \"", 10) != 0 ||
		    strstr(error.message, "tomorrow") == NULL ||
		    strstr(error.message, "takes addresses and CIDRs") == NULL)
			fail_msg("%s", error.message);
	}
	/* What is wrong in any key is said first. */
	assert_int_equal(rule_check("net-deny", "1.2.3", &error), -EINVAL);
	assert_non_null(strstr(error.message, "no IPv4 address"));
}

static void every_bad_rule_is_refused_in_words_that_help(void **state)
{
	static const struct {
		const char *why, *rule;
		const char *words[3]; /* all of them in the message */
	} rows[] = {
		{"nothing", "", {"write *"}},
		{"nothing behind the scheme", "tcp://", {"\"tcp://\"", "write *"}},
		{"unknown scheme", "http://1.2.3.4", {"scheme", "\"http\"", "tcp://, udp:// or icmp://"}},
		{"capital scheme", "TCP://1.2.3.4", {"scheme", "\"TCP\"", "lower case"}},
		{"empty scheme", "://1.2.3.4", {"scheme", "\"\""}},
		{"two schemes", "tcp://tcp://1.2.3.4", {"port \"//1.2.3.4\""}},
		{"an old spelling of an address",
	         "127.1:80",
	         {"\"127.1\"", "no IPv4 address", "four numbers"}},
		{"a number too large", "256.1.1.1", {"\"256.1.1.1\"", "no IPv4 address", "0..255"}},
		{"three numbers", "1.2.3", {"no IPv4 address"}},
		{"five numbers", "1.2.3.4.5", {"no IPv4 address"}},
		{"one number", "2130706433", {"no IPv4 address"}},
		{"a leading zero", "01.2.3.4", {"without leading zeros"}},
		{"hexadecimal", "0x7f.0.0.1", {"no IPv4 address"}},
		{"hexadecimal at the end", "127.0.0.0x1", {"no IPv4 address"}},
		{"hexadecimal in capitals", "0X7F000001", {"no IPv4 address"}},
		{"nothing but the mark of hexadecimal", "0x", {"no IPv4 address"}},
		{"an address and a dot", "1.2.3.4.", {"no IPv4 address"}},
		{"a name that ends in a number", "example.1", {"no IPv4 address"}},
		{"a wildcard before numbers", "*.2.3.4", {"\"*.2.3.4\"", "no IPv4 address"}},
		{"a star in a name", "www.*.org", {"*.name", "in front only"}},
		{"a star in a label", "w*.example.org", {"*.name"}},
		{"a star without a dot", "*example.org", {"*.name"}},
		{"two stars", "*.*.org", {"*.name"}},
		{"a star at the end", "example.*", {"*.name"}},
		{"a star and a dot", "*.", {"\"*.\"", "a label"}},
		{"a star and two dots", "*..", {"a label"}},
		{"stars", "**", {"*.name"}},
		{"a dot", ".", {"\".\"", "a label"}},
		{"a dot in front", ".example.org", {"a label"}},
		{"two dots", "example..org", {"a label"}},
		{"two dots at the end", "example.org..", {"a label"}},
		{"a hyphen in front", "-a.org", {"\"-\""}},
		{"a hyphen at the end of a label", "a-.org", {"\"-\""}},
		{"a label of 64",
	         "a123456789012345678901234567890123456789012345678901234567890123.org",
	         {"63 bytes"}},
		{"other letters",
	         "b\xc3\xbc"
	         "cher.example",
	         {"no host name", "letters, digits"}},
		{"a user", "me@example.org", {"no host name"}},
		{"a path", "example.org/index", {"before the \"/\""}},
		{"a URL", "https://example.org", {"scheme \"https\""}},
		{"a blank", " 1.2.3.4", {"\" 1.2.3.4\"", "no IP address"}},
		{"a scope on IPv4", "1.2.3.4%7", {"no IP address"}},
		{"a name with a prefix", "example.com/8", {"before the \"/\""}},
		{"no port", "1.2.3.4:", {"no ports", "ranges"}},
		{"no port for any", ":", {"no ports"}},
		{"no port for *", "*:", {"no ports"}},
		{"no port behind brackets", "[::1]:", {"no ports"}},
		{"port 0", "*:0", {"port \"0\"", "1..65535"}},
		{"port too large", "*:65536", {"port \"65536\"", "1..65535"}},
		{"port beyond 64 bits", "*:18446744073709551617", {"port", "1..65535"}},
		{"port name", "*:http", {"port \"http\"", "number"}},
		{"signed port", "*:+80", {"port \"+80\""}},
		{"blank before a port", "*: 80", {"port \" 80\""}},
		{"blank in a list", "*:80, 443", {"port \" 443\""}},
		{"empty element", "*:80,,443", {"empty port", "list"}},
		{"empty first element", "*:,80", {"empty port"}},
		{"empty last element", "*:80,", {"empty port"}},
		{"* before numbers", "*:*,80", {"\"*\"", "mixed"}},
		{"* behind numbers", "*:80,*", {"\"*\"", "mixed"}},
		{"reversed range", "*:90-80", {"\"90-80\"", "reversed", "low-high"}},
		{"range without an end", "*:80-", {"port \"\"", "1..65535"}},
		{"range without a start", "*:-80", {"port \"\""}},
		{"range of three", "*:1-2-3", {"port \"2-3\""}},
		{"range to *", "*:80-*", {"port \"*\""}},
		{"range from 0", "*:0-80", {"port \"0\""}},
		{"range past the end", "*:80-65536", {"port \"65536\""}},
		{"IPv4 prefix too long", "10.0.0.0/33", {"prefix", "\"10.0.0.0/33\"", "0..32"}},
		{"IPv6 prefix too long", "2001:db8::/129", {"prefix", "0..128"}},
		{"prefix too long in brackets", "[2001:db8::/129]:80", {"prefix", "0..128"}},
		{"no prefix", "10.0.0.0/", {"prefix", "0..32"}},
		{"netmask", "10.0.0.0/255.0.0.0", {"prefix", "0..32"}},
		{"ports behind a bare IPv6 CIDR", "2001:db8::/32:80", {"prefix", "[address/prefix]:ports"}},
		{"missing ]", "[::1:80", {"missing \"]\""}},
		{"junk behind ]", "[::1]80", {"\"80\"", "behind \"]\"", "expected \":\""}},
		{"prefix behind ]", "[fe80::]/64", {"\"/64\"", "behind \"]\""}},
		{"nothing in brackets", "[]:80", {"no IPv6 address"}},
		{"* in brackets", "[*]:80", {"\"*\"", "no IPv6 address"}},
		{"IPv4 in brackets", "[1.2.3.4]:80", {"brackets", "\"1.2.3.4\""}},
		{"a name in brackets", "[example.com]:80", {"no IPv6 address"}},
		{"bad IPv6", "2001:db8:::1", {"\"2001:db8:::1\"", "no IPv6 address", "[address]:ports"}},
		{"two ports", "1.2.3.4:80:90", {"no IPv6 address"}},
		{"IPv4 zero", "0.0.0.0", {"write *", "127.0.0.1"}},
		{"IPv4 zero with a port", "0.0.0.0:80", {"write *", "127.0.0.1"}},
		{"IPv4 zero as a prefix", "0.0.0.0/32:80", {"write *"}},
		{"IPv6 zero", "::", {"write *", "::1"}},
		{"IPv6 zero with a port", "[::]:80", {"write *", "127.0.0.1"}},
		{"IPv6 zero as a prefix", "::/128", {"write *"}},
		{"mapped zero", "[::ffff:0.0.0.0]:80", {"write *", "127.0.0.1"}},
		{"link-local without scope", "[fe80::1]:80", {"link-local", "address%interface"}},
		{"bare link-local without scope", "fe80::1", {"link-local", "address%interface"}},
		{"link-local /128 without scope", "fe80::1/128", {"address%interface"}},
		{"last link-local", "febf:ffff::1", {"address%interface"}},
		{"link-local multicast", "ff02::1", {"address%interface"}},
		{"no such interface", "[fe80::1%nonesuch0]:80", {"\"fe80::1%nonesuch0\"", "interface"}},
		{"no interface", "fe80::1%", {"interface"}},
		{"interface 0", "fe80::1%0", {"interface"}},
		{"scope of a global address", "2001:db8::1%7", {"link-local", "only"}},
		{"scope of a mapped address", "::ffff:1.2.3.4%7", {"link-local", "only"}},
		{"scope of a prefix wider than link-local", "fe80::%7/9", {"link-local", "only"}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		sl_error error = {0};
		int r = rule_check("net-allow", rows[i].rule, &error);

		if (r != -EINVAL || error.code != r)
			fail_msg("%s: \"%s\" gave %d (%s)", rows[i].why, rows[i].rule, r, error.message);
		if (strncmp(error.message, "net-allow \"", 11) != 0)
			fail_msg("%s: \"%s\" does not name its key", rows[i].why, error.message);
		for (size_t w = 0; w < 3 && rows[i].words[w] != NULL; w++)
			if (strstr(error.message, rows[i].words[w]) == NULL)
				fail_msg("%s: \"%s\" lacks \"%s\"", rows[i].why, error.message,
				         rows[i].words[w]);
		assert_int_equal(rule_check("net-allow", rows[i].rule, NULL), r);
	}
}

/* A long text at each place of the grammar: the message stays whole, and ends with what was expected. */
static void long_rules_are_quoted_in_part(void **state)
{
	static const struct {
		const char *before, *after, *end;
	} rows[] = {
		{"", "", "at most 253 bytes"},
		{"", "://", "or none"},
		{"*:", "", "1..65535"},
		{"*:80-", "", "1..65535"},
		{"[", "]", "written [address]:ports"},
		{"[::1]", "", "or nothing"},
		{"fe80::1%", "", "written [address]:ports"},
		{"", "/8", "before the \"/\""},
		{"::/", "", "written [address]:ports"},
		{"10.0.0.0/", "", "before the \"/\""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char rule[5000], middle[4001];
		sl_error error;
		const char *tail;

		memset(middle, 'y', sizeof(middle) - 1);
		middle[sizeof(middle) - 1] = '\0';
		snprintf(rule, sizeof(rule), "%s%s%s", rows[i].before, middle, rows[i].after);
		memset(&error, 'E', sizeof(error));
		assert_true(rule_check("net-allow", rule, &error) < 0);
		assert_non_null(memchr(error.message, '\0', sizeof(error.message)));
		assert_non_null(strstr(error.message, "y...\": "));
		tail = error.message + strlen(error.message) - strlen(rows[i].end);
		if (strcmp(tail, rows[i].end) != 0)
			fail_msg("\"%s\" does not end in \"%s\"", error.message, rows[i].end);
	}
}

static void control_bytes_do_not_reach_the_message(void **state)
{
	sl_error error;

	(void)state;
	assert_int_equal(rule_check("net-allow", "a\033[2J\nb\x7f", &error), -EINVAL);
	assert_null(strpbrk(error.message, "\033\n\x7f"));
}

/* A formatted endpoint is a rule for just that endpoint. */
static void a_formatted_endpoint_is_a_rule(void **state)
{
	static const char *const texts[] = {"1.2.3.4:80", "255.255.255.255:65535", "[2001:db8::1]:1",
	                                    "[fe80::1%7]:443", "[::1]:8080"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct net_rule rule;
		struct net_endpoint endpoint;
		char text[NET_ENDPOINT_TEXT];

		assert_int_equal(rule_parse("net-allow", texts[i], &rule, NULL), 0);
		endpoint = (struct net_endpoint){.addr = rule.addr, .port = rule.ports.ranges[0].low};
		net_endpoint_format(&endpoint, text, sizeof(text));
		assert_string_equal(text, texts[i]);
		rule_clear(&rule);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_form_of_the_grammar_is_read),
		cmocka_unit_test(icmp_rules_have_no_ports),
		cmocka_unit_test(deny_rules_take_addresses_only),
		cmocka_unit_test(every_bad_rule_is_refused_in_words_that_help),
		cmocka_unit_test(long_rules_are_quoted_in_part),
		cmocka_unit_test(control_bytes_do_not_reach_the_message),
		cmocka_unit_test(a_formatted_endpoint_is_a_rule),
	};

	return cmocka_run_group_tests_name("rule", tests, NULL, NULL);
}
