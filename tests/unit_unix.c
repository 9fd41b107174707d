/* Values of net-allow-unix: what each means, and what means nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "core/unix_need.h"

static void values_mean_one_thing(void **state)
{
	static const struct {
		const char *text;
		bool any, abstract, datagrams;
		const char *name;
	} rows[] = {
		{"*", true, false, true, "*"},
		{"/run/x", false, false, false, "/run/x"},
		{"run", false, false, false, "run"},
		{"./*", false, false, false, "./*"},
		{"**", false, false, false, "**"},
		{"./@x", false, false, false, "./@x"},
		{"./dgram:x", false, false, false, "./dgram:x"},
		{"dgram:/run/x", false, false, true, "/run/x"},
		{"dgram:dgram:x", false, false, true, "dgram:x"},
		{"@x", false, true, false, "x"},
		{"@@", false, true, false, "@"},
		{"@*", false, true, false, "*"},
		{"dgram:@x", false, true, true, "x"},
		{"DGRAM:@x", false, false, false, "DGRAM:@x"},
		{"/\xff\x01", false, false, false, "/\xff\x01"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct unix_rule rule;
		sl_error error = {0};

		if (unix_rule_parse("key", rows[i].text, &rule, &error) != 0)
			fail_msg("%s: %s", rows[i].text, error.message);
		assert_int_equal(rule.any, rows[i].any);
		assert_int_equal(rule.abstract, rows[i].abstract);
		assert_int_equal(rule.datagrams, rows[i].datagrams);
		assert_string_equal(rule.name, rows[i].name);
	}
}

static void fails(const char *text, const char *part)
{
	struct unix_rule rule;
	sl_error error = {0};

	assert_int_equal(unix_rule_parse("the-key", text, &rule, &error), -EINVAL);
	assert_int_equal(error.code, -EINVAL);
	assert_ptr_equal(strstr(error.message, "the-key: "), error.message);
	if (strstr(error.message, part) == NULL)
		fail_msg("%s: no \"%s\" in it", error.message, part);
	assert_int_equal(unix_rule_parse("the-key", text, &rule, NULL), -EINVAL);
}

static void what_means_nothing_is_an_error(void **state)
{
	static char text[PATH_MAX + 2];
	struct unix_rule rule;

	(void)state;
	fails("", "a path");
	fails("@", "a name after the @");
	fails("dgram:", "after dgram:");
	fails("dgram:@", "a name after the @");
	fails("dgram:*", "write \"*\"");
	fails("@\033[2J"
	      "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
	      "01234567",
	      "107");
	/* The longest, and one more. */
	memset(text, 'x', sizeof(text) - 1);
	text[0] = '@';
	text[108] = '\0';
	assert_int_equal(unix_rule_parse("key", text, &rule, NULL), 0);
	text[108] = 'x';
	text[109] = '\0';
	fails(text, "107");
	memset(text, 'x', sizeof(text) - 1);
	text[PATH_MAX - 1] = '\0';
	assert_int_equal(unix_rule_parse("key", text, &rule, NULL), 0);
	text[PATH_MAX - 1] = 'x';
	text[PATH_MAX] = '\0';
	fails(text, "too long");
}

static struct unix_need need_of(char *const *values, size_t count)
{
	struct value_list list = {.items = (char **)values, .count = count};
	struct unix_need need = {true, true, true};

	unix_need_read(&list, &need);
	return need;
}

static void the_plan_is_told_what_is_needed(void **state)
{
	char any[] = "*", path[] = "/a", datagrams[] = "dgram:@a";
	char *const all[] = {path, any}, *const listed[] = {path, datagrams};
	struct unix_need need;

	(void)state;
	need = need_of(NULL, 0);
	assert_false(need.any || need.named || need.datagrams);
	need = need_of(all, 1);
	assert_true(!need.any && need.named && !need.datagrams);
	need = need_of(all, 2);
	assert_true(need.any && need.named && !need.datagrams);
	need = need_of(listed, 2);
	assert_true(!need.any && need.named && need.datagrams);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_mean_one_thing),
		cmocka_unit_test(what_means_nothing_is_an_error),
		cmocka_unit_test(the_plan_is_told_what_is_needed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
