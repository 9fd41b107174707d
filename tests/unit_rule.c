/* The grammar of net-allow and net-allow-bind: what is accepted, and in which words the rest is refused. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "netpolicy/rule.h"

/* A rule is shown as the table prints it: one canonical spelling each. */
static void rule_show(const char *rule, char *line, size_t size)
{
	struct net_table *table;
	struct net_need need;
	sl_error error = {0};
	char *text = NULL;
	size_t text_size = 0;
	FILE *out = open_memstream(&text, &text_size);

	assert_non_null(out);
	if (net_table_build(&rule, 1, &table, &need, &error) < 0)
		fail_msg("\"%s\": %s", rule, error.message);
	assert_int_equal(net_table_print(table, out), 0);
	fclose(out);
	text[strcspn(text, "\n")] = '\0';
	snprintf(line, size, "%s", text);
	free(text);
	net_need_clear(&need);
	net_table_free(table);
}

static void every_form_of_the_grammar_is_read(void **state)
{
	static const struct {
		const char *why, *rule, *expected;
	} rows[] = {
		{"anything", "*", "tcp://*:*"},
		{"empty target, all ports", ":*", "tcp://*:*"},
		{"both starred", "*:*", "tcp://*:*"},
		{"with a scheme", "tcp://*", "tcp://*:*"},
		{"empty target", ":443", "tcp://*:443"},
		{"starred target", "*:443", "tcp://*:443"},
		{"scheme and empty target", "tcp://:443", "tcp://*:443"},
		{"lowest and highest port", "*:65535,1", "tcp://*:1,65535"},
		{"a range", "*:8000-8080", "tcp://*:8000-8080"},
		{"a range of one", "*:80-80", "tcp://*:80"},
		{"all that can be listed is still no *", "*:1-65535", "tcp://*:1-65535"},
		{"lists are sorted and merged", "*:90,80,81-85,84-89,443", "tcp://*:80-90,443"},
		{"leading zeros", "*:0080", "tcp://*:80"},
		{"IPv4, all ports", "1.2.3.4", "tcp://1.2.3.4:*"},
		{"IPv4, starred", "1.2.3.4:*", "tcp://1.2.3.4:*"},
		{"IPv4 and ports", "1.2.3.4:80,443", "tcp://1.2.3.4:80,443"},
		{"CIDR", "10.0.0.0/8", "tcp://10.0.0.0/8:*"},
		{"CIDR and port", "tcp://10.0.0.0/8:80", "tcp://10.0.0.0/8:80"},
		{"host bits are masked", "10.9.8.7/8:80", "tcp://10.0.0.0/8:80"},
		{"a whole family", "0.0.0.0/0:80", "tcp://0.0.0.0/0:80"},
		{"the other whole family", "::/0", "tcp://[::/0]:*"},
		{"a whole prefix is an address", "1.2.3.4/32:80", "tcp://1.2.3.4:80"},
		{"bare IPv6", "2001:db8::1", "tcp://[2001:db8::1]:*"},
		{"bare IPv6, all of it", "1:2:3:4:5:6:7:8", "tcp://[1:2:3:4:5:6:7:8]:*"},
		{"what looks like a port belongs to a bare IPv6", "::1:80", "tcp://[::0.1.0.128]:*"},
		{"bare IPv6 CIDR", "2001:db8::ff/32", "tcp://[2001:db8::/32]:*"},
		{"brackets", "[::1]", "tcp://[::1]:*"},
		{"brackets and star", "[::1]:*", "tcp://[::1]:*"},
		{"brackets and ports", "[::1]:80,443", "tcp://[::1]:80,443"},
		{"CIDR in brackets", "tcp://[2001:db8::/64]:80", "tcp://[2001:db8::/64]:80"},
		{"capitals", "[2001:DB8::A]:80", "tcp://[2001:db8::a]:80"},
		{"mapped", "[::ffff:1.2.3.4]:80", "tcp://1.2.3.4:80"},
		{"mapped in hexadecimal", "::ffff:102:304", "tcp://1.2.3.4:*"},
		{"mapped CIDR", "[::ffff:10.0.0.0/104]:80", "tcp://10.0.0.0/8:80"},
		{"all that is mapped", "[::ffff:0:0/96]:80", "tcp://0.0.0.0/0:80"},
		{"more than mapped stays IPv6", "[::ffff:0:0/95]:80", "tcp://[::fffe:0:0/95]:80"},
		{"scope by index", "[fe80::1%7]:80", "tcp://[fe80::1%7]:80"},
		{"bare with scope", "fe80::1%7", "tcp://[fe80::1%7]:*"},
		{"scope of a prefix", "[fe80::%7/64]:80", "tcp://[fe80::%7/64]:80"},
		{"the widest prefix with a scope", "[fe80::%7/10]:80", "tcp://[fe80::%7/10]:80"},
		{"a link-local prefix on any interface", "[fe80::/10]:80", "tcp://[fe80::/10]:80"},
		{"the last prefix that may miss its scope", "fe80::/127", "tcp://[fe80::/127]:*"},
		{"link-local multicast with scope", "[ff02::1%7]:80", "tcp://[ff02::1%7]:80"},
		{"a prefix of zeros is no address", "0.0.0.0/31", "tcp://0.0.0.0/31:*"},
		{"a prefix of zeros is no address", "::/127", "tcp://[::/127]:*"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char once[128], twice[128];

		assert_int_equal(rule_check(rows[i].rule, NULL), 0);
		rule_show(rows[i].rule, once, sizeof(once));
		if (strcmp(once, rows[i].expected) != 0)
			fail_msg("%s: \"%s\" gave %s, expected %s", rows[i].why, rows[i].rule, once,
			         rows[i].expected);
		rule_show(once, twice, sizeof(twice));
		assert_string_equal(once, twice);
	}
}

static void every_bad_rule_is_refused_in_words_that_help(void **state)
{
	static const struct {
		const char *why, *rule;
		int code;
		const char *words[3]; /* all of them in the message */
	} rows[] = {
		{"nothing", "", -EINVAL, {"write *"}},
		{"nothing behind the scheme", "tcp://", -EINVAL, {"\"tcp://\"", "write *"}},
		{"UDP",
	         "udp://1.2.3.4:53",
	         -ENOTSUP,
	         {"net-allow \"udp://1.2.3.4:53\": UDP rules are not enforced yet, so they are not accepted"}},
		{"UDP to anywhere", "udp://*", -ENOTSUP, {"UDP", "not enforced yet"}},
		{"ICMP", "icmp://*", -ENOTSUP, {"ICMP", "not enforced yet"}},
		{"unknown scheme", "http://1.2.3.4", -EINVAL, {"scheme", "\"http\"", "tcp://"}},
		{"capital scheme", "TCP://1.2.3.4", -EINVAL, {"scheme", "\"TCP\"", "lower case"}},
		{"empty scheme", "://1.2.3.4", -EINVAL, {"scheme", "\"\""}},
		{"two schemes", "tcp://tcp://1.2.3.4", -ENOTSUP, {"\"tcp\" is no IP address"}},
		{"a name", "example.com", -ENOTSUP, {"\"example.com\"", "names", "write an address"}},
		{"a name and a port", "example.com:443", -ENOTSUP, {"\"example.com\"", "names"}},
		{"a short name", "localhost", -ENOTSUP, {"names"}},
		{"a wildcard name", "*.example.com:80", -ENOTSUP, {"names", "write an address"}},
		{"an old spelling of an address", "127.1:80", -ENOTSUP, {"\"127.1\"", "write an address"}},
		{"a number too large", "256.1.1.1", -ENOTSUP, {"no IP address"}},
		{"a blank", " 1.2.3.4", -ENOTSUP, {"\" 1.2.3.4\"", "no IP address"}},
		{"a scope on IPv4", "1.2.3.4%7", -ENOTSUP, {"no IP address"}},
		{"a name with a prefix", "example.com/8", -EINVAL, {"before the \"/\""}},
		{"no port", "1.2.3.4:", -EINVAL, {"no ports", "ranges"}},
		{"no port for any", ":", -EINVAL, {"no ports"}},
		{"no port for *", "*:", -EINVAL, {"no ports"}},
		{"no port behind brackets", "[::1]:", -EINVAL, {"no ports"}},
		{"port 0", "*:0", -EINVAL, {"port \"0\"", "1..65535"}},
		{"port too large", "*:65536", -EINVAL, {"port \"65536\"", "1..65535"}},
		{"port beyond 64 bits", "*:18446744073709551617", -EINVAL, {"port", "1..65535"}},
		{"port name", "*:http", -EINVAL, {"port \"http\"", "number"}},
		{"signed port", "*:+80", -EINVAL, {"port \"+80\""}},
		{"blank before a port", "*: 80", -EINVAL, {"port \" 80\""}},
		{"blank in a list", "*:80, 443", -EINVAL, {"port \" 443\""}},
		{"empty element", "*:80,,443", -EINVAL, {"empty port", "list"}},
		{"empty first element", "*:,80", -EINVAL, {"empty port"}},
		{"empty last element", "*:80,", -EINVAL, {"empty port"}},
		{"* before numbers", "*:*,80", -EINVAL, {"\"*\"", "mixed"}},
		{"* behind numbers", "*:80,*", -EINVAL, {"\"*\"", "mixed"}},
		{"reversed range", "*:90-80", -EINVAL, {"\"90-80\"", "reversed", "low-high"}},
		{"range without an end", "*:80-", -EINVAL, {"port \"\"", "1..65535"}},
		{"range without a start", "*:-80", -EINVAL, {"port \"\""}},
		{"range of three", "*:1-2-3", -EINVAL, {"port \"2-3\""}},
		{"range to *", "*:80-*", -EINVAL, {"port \"*\""}},
		{"range from 0", "*:0-80", -EINVAL, {"port \"0\""}},
		{"range past the end", "*:80-65536", -EINVAL, {"port \"65536\""}},
		{"IPv4 prefix too long", "10.0.0.0/33", -EINVAL, {"prefix", "\"10.0.0.0/33\"", "0..32"}},
		{"IPv6 prefix too long", "2001:db8::/129", -EINVAL, {"prefix", "0..128"}},
		{"prefix too long in brackets", "[2001:db8::/129]:80", -EINVAL, {"prefix", "0..128"}},
		{"no prefix", "10.0.0.0/", -EINVAL, {"prefix", "0..32"}},
		{"netmask", "10.0.0.0/255.0.0.0", -EINVAL, {"prefix", "0..32"}},
		{"ports behind a bare IPv6 CIDR",
	         "2001:db8::/32:80",
	         -EINVAL,
	         {"prefix", "[address/prefix]:ports"}},
		{"missing ]", "[::1:80", -EINVAL, {"missing \"]\""}},
		{"junk behind ]", "[::1]80", -EINVAL, {"\"80\"", "behind \"]\"", "expected \":\""}},
		{"prefix behind ]", "[fe80::]/64", -EINVAL, {"\"/64\"", "behind \"]\""}},
		{"nothing in brackets", "[]:80", -EINVAL, {"no IPv6 address"}},
		{"* in brackets", "[*]:80", -EINVAL, {"\"*\"", "no IPv6 address"}},
		{"IPv4 in brackets", "[1.2.3.4]:80", -EINVAL, {"brackets", "\"1.2.3.4\""}},
		{"a name in brackets", "[example.com]:80", -EINVAL, {"no IPv6 address"}},
		{"bad IPv6",
	         "2001:db8:::1",
	         -EINVAL,
	         {"\"2001:db8:::1\"", "no IPv6 address", "[address]:ports"}},
		{"two ports", "1.2.3.4:80:90", -EINVAL, {"no IPv6 address"}},
		{"IPv4 zero", "0.0.0.0", -EINVAL, {"write *", "127.0.0.1"}},
		{"IPv4 zero with a port", "0.0.0.0:80", -EINVAL, {"write *", "127.0.0.1"}},
		{"IPv4 zero as a prefix", "0.0.0.0/32:80", -EINVAL, {"write *"}},
		{"IPv6 zero", "::", -EINVAL, {"write *", "::1"}},
		{"IPv6 zero with a port", "[::]:80", -EINVAL, {"write *", "127.0.0.1"}},
		{"IPv6 zero as a prefix", "::/128", -EINVAL, {"write *"}},
		{"mapped zero", "[::ffff:0.0.0.0]:80", -EINVAL, {"write *", "127.0.0.1"}},
		{"link-local without scope", "[fe80::1]:80", -EINVAL, {"link-local", "address%interface"}},
		{"bare link-local without scope", "fe80::1", -EINVAL, {"link-local", "address%interface"}},
		{"link-local /128 without scope", "fe80::1/128", -EINVAL, {"address%interface"}},
		{"last link-local", "febf:ffff::1", -EINVAL, {"address%interface"}},
		{"link-local multicast", "ff02::1", -EINVAL, {"address%interface"}},
		{"no such interface",
	         "[fe80::1%nonesuch0]:80",
	         -EINVAL,
	         {"\"fe80::1%nonesuch0\"", "interface"}},
		{"no interface", "fe80::1%", -EINVAL, {"interface"}},
		{"interface 0", "fe80::1%0", -EINVAL, {"interface"}},
		{"scope of a global address", "2001:db8::1%7", -EINVAL, {"link-local", "only"}},
		{"scope of a mapped address", "::ffff:1.2.3.4%7", -EINVAL, {"link-local", "only"}},
		{"scope of a prefix wider than link-local", "fe80::%7/9", -EINVAL, {"link-local", "only"}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		sl_error error = {0};
		int r = rule_check(rows[i].rule, &error);

		if (r != rows[i].code || error.code != r)
			fail_msg("%s: \"%s\" gave %d (%s), expected %d", rows[i].why, rows[i].rule, r,
			         error.message, rows[i].code);
		if (strncmp(error.message, "net-allow \"", 11) != 0)
			fail_msg("%s: \"%s\" does not name its key", rows[i].why, error.message);
		for (size_t w = 0; w < 3 && rows[i].words[w] != NULL; w++)
			if (strstr(error.message, rows[i].words[w]) == NULL)
				fail_msg("%s: \"%s\" lacks \"%s\"", rows[i].why, error.message,
				         rows[i].words[w]);
		assert_int_equal(rule_check(rows[i].rule, NULL), r);
	}
}

/* A long text at each place of the grammar: the message stays whole, and ends with what was expected. */
static void long_rules_are_quoted_in_part(void **state)
{
	static const struct {
		const char *before, *after, *end;
	} rows[] = {
		{"", "", "write an address"},
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
		assert_true(rule_check(rule, &error) < 0);
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
	assert_int_equal(rule_check("a\033[2J\nb\x7f", &error), -ENOTSUP);
	assert_null(strpbrk(error.message, "\033\n\x7f"));
}

static void bind_ports_are_appended(void **state)
{
	static const struct {
		const char *why, *text, *expected;
		bool all;
	} rows[] = {
		{"one", "80", "80-80 ", false},
		{"0 is an ephemeral port", "0", "0-0 ", false},
		{"all", "*", "", true},
		{"list", "443,80", "80-80 443-443 ", false},
		{"range", "8000-8080,65535", "8000-8080 65535-65535 ", false},
		{"all of them, by number", "0-65535", "0-65535 ", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct port_set ports = {0};
		bool all = false;
		char got[128] = "";

		assert_int_equal(bind_ports_parse(rows[i].text, &ports, &all, NULL), 0);
		for (size_t p = 0; p < ports.count; p++)
			snprintf(got + strlen(got), sizeof(got) - strlen(got), "%u-%u ", ports.ranges[p].low,
			         ports.ranges[p].high);
		if (strcmp(got, rows[i].expected) != 0 || all != rows[i].all)
			fail_msg("%s: got %s(%d), expected %s", rows[i].why, got, all, rows[i].expected);
		port_set_clear(&ports);
	}
}

static void bind_ports_add_up_and_all_stays(void **state)
{
	struct port_set ports = {0};
	bool all = true;

	(void)state;
	assert_int_equal(bind_ports_parse("90,70", &ports, &all, NULL), 0);
	assert_int_equal(bind_ports_parse("80", &ports, &all, NULL), 0);
	assert_true(all);
	assert_int_equal(ports.count, 3);
	assert_true(port_set_has(&ports, 70) && port_set_has(&ports, 80) && port_set_has(&ports, 90));
	assert_false(port_set_has(&ports, 85));
	port_set_clear(&ports);
}

static void bad_bind_ports_change_nothing(void **state)
{
	static const struct {
		const char *text, *word;
	} rows[] = {
		{"", "no ports"},         {"80,", "empty port"}, {"81,*", "mixed"},
		{"81,65536", "0..65535"}, {"90-80", "reversed"}, {"81,x", "0..65535"},
		{"**", "0..65535"},       {":80", "0..65535"},   {"127.0.0.1:80", "0..65535"},
		{"-1", "0..65535"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct port_set ports = {0};
		bool all = false;
		sl_error error = {0};

		assert_int_equal(port_set_add(&ports, 7, 7), 0);
		assert_int_equal(bind_ports_parse(rows[i].text, &ports, &all, &error), -EINVAL);
		assert_int_equal(error.code, -EINVAL);
		assert_int_equal(strncmp(error.message, "net-allow-bind \"", 16), 0);
		if (strstr(error.message, rows[i].word) == NULL)
			fail_msg("\"%s\" lacks \"%s\"", error.message, rows[i].word);
		assert_false(all);
		assert_int_equal(ports.count, 1);
		port_set_clear(&ports);
	}
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

		assert_int_equal(rule_parse(texts[i], &rule, NULL), 0);
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
		cmocka_unit_test(every_bad_rule_is_refused_in_words_that_help),
		cmocka_unit_test(long_rules_are_quoted_in_part),
		cmocka_unit_test(control_bytes_do_not_reach_the_message),
		cmocka_unit_test(bind_ports_are_appended),
		cmocka_unit_test(bind_ports_add_up_and_all_stays),
		cmocka_unit_test(bad_bind_ports_change_nothing),
		cmocka_unit_test(a_formatted_endpoint_is_a_rule),
	};

	return cmocka_run_group_tests_name("rule", tests, NULL, NULL);
}
