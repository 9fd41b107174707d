/* net-allow-bind and net-deny-bind: what is read, what they leave together, and the port sets under both. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "netpolicy/netpolicy.h"

#define VALUES_MAX 6

static struct text_list list_make(const char *const *values)
{
	size_t count = 0;

	while (count < VALUES_MAX && values[count] != NULL)
		count++;
	return (struct text_list){values, count};
}

/* "tcp 80-80,443-443 udp! *": "!" is named, "*" any, "-" nothing. */
static void binds_show(const struct net_binds *binds, char *shown, size_t size)
{
	*shown = '\0';
	for (int protocol = NET_TCP; protocol <= NET_UDP; protocol++) {
		const struct port_set *ports = &binds->protocols[protocol].ports;

		snprintf(shown + strlen(shown), size - strlen(shown), "%s%s ",
		         protocol == NET_TCP ? "tcp" : " udp", binds->protocols[protocol].named ? "!" : "");
		if (binds->protocols[protocol].any || ports->count == 0)
			strcat(shown, binds->protocols[protocol].any ? "*" : "-");
		for (size_t i = 0; i < ports->count; i++)
			snprintf(shown + strlen(shown), size - strlen(shown), "%s%u-%u", i == 0 ? "" : ",",
			         ports->ranges[i].low, ports->ranges[i].high);
	}
}

static void allow_less_deny(void **state)
{
	static const struct {
		const char *why;
		const char *allow[VALUES_MAX], *deny[VALUES_MAX];
		const char *expected;
	} rows[] = {
		{"nothing", {NULL}, {NULL}, "tcp - udp -"},
		{"one", {"80"}, {NULL}, "tcp 80-80 udp 80-80"},
		{"0 is an ephemeral port", {"0"}, {NULL}, "tcp 0-0 udp 0-0"},
		{"all", {"*"}, {NULL}, "tcp * udp *"},
		{"all of one", {"tcp://*"}, {NULL}, "tcp! * udp -"},
		{"all of each", {"tcp://*", "udp://*"}, {NULL}, "tcp! * udp! *"},
		{"a list", {"443,80"}, {NULL}, "tcp 80-80,443-443 udp 80-80,443-443"},
		{"a range", {"tcp://8000-8080,65535"}, {NULL}, "tcp! 8000-8080,65535-65535 udp -"},
		{"all of them, by number", {"0-65535"}, {NULL}, "tcp * udp *"},
		{"all but 0, by number", {"udp://1-65535"}, {NULL}, "tcp - udp! 1-65535"},
		{"all of them, by halves", {"0-32767", "32768-65535"}, {NULL}, "tcp * udp *"},
		{"they add up",
	         {"80", "tcp://81", "udp://90", "80-82"},
	         {NULL},
	         "tcp! 80-82 udp! 80-82,90-90"},
		{"all and a part", {"80", "*"}, {NULL}, "tcp * udp *"},
		{"all, and a part that is named", {"udp://80", "*"}, {NULL}, "tcp * udp! *"},
		{"deny alone", {NULL}, {"80"}, "tcp - udp -"},
		{"deny wins", {"80"}, {"80"}, "tcp - udp -"},
		{"deny of another", {"80"}, {"81"}, "tcp 80-80 udp 80-80"},
		{"deny within", {"80-90"}, {"85"}, "tcp 80-84,86-90 udp 80-84,86-90"},
		{"deny of one protocol", {"80"}, {"udp://80"}, "tcp 80-80 udp -"},
		{"deny of one does not name it", {"80-81"}, {"udp://80"}, "tcp 80-81 udp 81-81"},
		{"all but one", {"*"}, {"22"}, "tcp 0-21,23-65535 udp 0-21,23-65535"},
		{"all but 0", {"*"}, {"0"}, "tcp 1-65535 udp 1-65535"},
		{"all but the last", {"tcp://*"}, {"65535"}, "tcp! 0-65534 udp -"},
		{"all but the privileged", {"*"}, {"1-1023"}, "tcp 0-0,1024-65535 udp 0-0,1024-65535"},
		{"all but some lists", {"tcp://*"}, {"1-10,20", "15-25"}, "tcp! 0-0,11-14,26-65535 udp -"},
		{"all but all", {"*"}, {"*"}, "tcp - udp -"},
		{"all but all of one", {"*"}, {"tcp://*"}, "tcp - udp *"},
		{"named, and nothing left", {"udp://53"}, {"53"}, "tcp - udp -"},
		{"named, and something left", {"udp://53,54"}, {"53"}, "tcp - udp! 54-54"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct net_binds binds;
		sl_error error = {0};
		char shown[256];

		if (net_binds_build(list_make(rows[i].allow), list_make(rows[i].deny), &binds, &error) < 0)
			fail_msg("%s: %s", rows[i].why, error.message);
		binds_show(&binds, shown, sizeof(shown));
		if (strcmp(shown, rows[i].expected) != 0)
			fail_msg("%s: got \"%s\", expected \"%s\"", rows[i].why, shown, rows[i].expected);
		net_binds_clear(&binds);
	}
}

static void each_port_of_each_protocol(void **state)
{
	static const char *const allow[] = {"tcp://*", "udp://53,0"}, *const deny[] = {"25"};
	struct net_binds binds;

	(void)state;
	assert_int_equal(
		net_binds_build((struct text_list){allow, 2}, (struct text_list){deny, 1}, &binds, NULL), 0);
	for (unsigned port = 0; port <= 65535; port++) {
		assert_int_equal(net_binds_allow(&binds, NET_TCP, (uint16_t)port), port != 25);
		assert_int_equal(net_binds_allow(&binds, NET_UDP, (uint16_t)port), port == 53 || port == 0);
		assert_false(net_binds_allow(&binds, NET_ICMP, (uint16_t)port));
	}
	net_binds_clear(&binds);
	assert_false(net_binds_allow(&binds, NET_TCP, 80));
	assert_int_equal(
		net_binds_build((struct text_list){allow, 1}, (struct text_list){NULL, 0}, &binds, NULL), 0);
	assert_true(net_binds_allow(&binds, NET_TCP, 0) && net_binds_allow(&binds, NET_TCP, 65535));
	assert_false(net_binds_allow(&binds, NET_UDP, 80));
	net_binds_clear(&binds);
}

static void bad_values_are_refused_in_words_that_help(void **state)
{
	static const struct {
		const char *text, *word;
	} rows[] = {
		{"", "no ports"},
		{"tcp://", "no ports"},
		{"80,", "empty port"},
		{"81,*", "mixed"},
		{"81,65536", "0..65535"},
		{"90-80", "reversed"},
		{"81,x", "0..65535"},
		{"**", "0..65535"},
		{":80", "0..65535"},
		{"127.0.0.1:80", "0..65535"},
		{"*:80", "0..65535"},
		{"-1", "0..65535"},
		{"icmp://*", "expected tcp:// or udp://, in lower case"},
		{"UDP://53", "scheme \"UDP\""},
		{"://53", "scheme \"\""},
		{"tcp://udp://53", "0..65535"},
	};
	static const char *const keys[] = {"net-allow-bind", "net-deny-bind"};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
		const char *key = keys[i % 2], *texts[] = {"7", rows[i / 2].text};
		struct text_list good = {texts, 1}, bad = {texts, 2};
		struct net_binds binds;
		sl_error error = {0};

		assert_int_equal(bind_check(key, rows[i / 2].text, &error), -EINVAL);
		assert_int_equal(error.code, -EINVAL);
		assert_int_equal(strncmp(error.message, key, strlen(key)), 0);
		if (strstr(error.message, rows[i / 2].word) == NULL)
			fail_msg("\"%s\" lacks \"%s\"", error.message, rows[i / 2].word);
		assert_int_equal(net_binds_build(i % 2 ? good : bad, i % 2 ? bad : good, &binds, &error),
		                 -EINVAL);
		assert_int_equal(strncmp(error.message, key, strlen(key)), 0);
		for (int protocol = NET_TCP; protocol <= NET_UDP; protocol++)
			assert_null(binds.protocols[protocol].ports.ranges);
	}
}

static void good_values_are_accepted(void **state)
{
	static const char *const texts[] = {"*", "0", "65535", "tcp://*", "udp://0-65535", "1,2,3-4"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(bind_check("net-allow-bind", texts[i], NULL), 0);
}

/* Port sets against 65536 booleans. */

static uint64_t seed = 20240607;

static unsigned draw(unsigned limit)
{
	seed ^= seed >> 12;
	seed ^= seed << 25;
	seed ^= seed >> 27;
	return (unsigned)((seed * 0x2545F4914F6CDD1Dull) >> 33) % limit;
}

/* Some ranges in 0..99, in both forms; now and then the ends of all ports. */
static void set_draw(struct port_set *set, bool plain[100])
{
	*set = (struct port_set){0};
	memset(plain, 0, 100);
	for (unsigned i = draw(8); i > 0; i--) {
		unsigned low = draw(100), high = low + draw(100 - low);

		if (draw(3) > 0)
			high = low + (high - low) / 8;
		assert_int_equal(port_set_add(set, (uint16_t)low, (uint16_t)high), 0);
		memset(plain + low, 1, high - low + 1);
	}
	port_set_normalize(set);
}

static void set_check(const struct port_set *set, const bool plain[100])
{
	for (unsigned port = 0; port < 100; port++)
		assert_int_equal(port_set_has(set, (uint16_t)port), plain[port]);
	for (size_t i = 1; i < set->count; i++)
		assert_true(set->ranges[i].low > set->ranges[i - 1].high + 1);
}

static void port_sets_agree_with_lists_of_booleans(void **state)
{
	unsigned covered = 0;

	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		struct port_set a, b;
		bool in_a[100], in_b[100], covers = true;

		set_draw(&a, in_a);
		set_draw(&b, in_b);
		set_check(&a, in_a);
		for (unsigned port = 0; port < 100; port++)
			covers &= in_a[port] || !in_b[port];
		assert_int_equal(port_set_covers(&a, &b), covers);
		covered += covers;
		if (draw(2)) {
			assert_int_equal(port_set_copy(&a, &b), 0);
			for (unsigned port = 0; port < 100; port++)
				in_a[port] |= in_b[port];
		} else {
			assert_int_equal(port_set_subtract(&a, &b), 0);
			for (unsigned port = 0; port < 100; port++)
				in_a[port] &= !in_b[port];
		}
		set_check(&a, in_a);
		/* What is left can be added to. */
		assert_int_equal(port_set_add(&a, 200, 300), 0);
		port_set_normalize(&a);
		assert_true(port_set_has(&a, 250) && !port_set_has(&a, 199));
		port_set_clear(&a);
		port_set_clear(&b);
	}
	assert_in_range(covered, 1000, 19000);
}

static void the_ends_of_all_ports_can_be_taken_away(void **state)
{
	struct port_set all = {0}, ends = {0};

	(void)state;
	assert_int_equal(port_set_add(&all, 0, 65535), 0);
	assert_int_equal(port_set_add(&ends, 0, 0), 0);
	assert_int_equal(port_set_add(&ends, 65535, 65535), 0);
	assert_int_equal(port_set_subtract(&all, &ends), 0);
	assert_int_equal(all.count, 1);
	assert_int_equal(all.ranges[0].low, 1);
	assert_int_equal(all.ranges[0].high, 65534);
	port_set_clear(&ends);
	assert_int_equal(port_set_add(&ends, 0, 65535), 0);
	assert_int_equal(port_set_subtract(&all, &ends), 0);
	assert_int_equal(all.count, 0);
	port_set_clear(&all);
	port_set_clear(&ends);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(allow_less_deny),
		cmocka_unit_test(each_port_of_each_protocol),
		cmocka_unit_test(good_values_are_accepted),
		cmocka_unit_test(bad_values_are_refused_in_words_that_help),
		cmocka_unit_test(port_sets_agree_with_lists_of_booleans),
		cmocka_unit_test(the_ends_of_all_ports_can_be_taken_away),
	};

	return cmocka_run_group_tests_name("binds", tests, NULL, NULL);
}
