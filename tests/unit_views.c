/* What viewed files say, made from what real ones say: any number of CPUs, odd files, and no room. */
#include "tests/common/common.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervise/views.h"

static char made[1 << 20];

typedef size_t (*cut_fn)(const char *from, size_t size, unsigned cpus, char *to, size_t room);

static const char *cut(cut_fn fn, const char *from, unsigned cpus)
{
	size_t size = fn(from, strlen(from), cpus, made, sizeof(made) - 1);

	assert_true(size < sizeof(made));
	made[size] = '\0';
	return made;
}

#define CPU(n) "processor\t: " n "\nmodel name\t: X\nflags\t\t: fpu vme\n\n"

static void cpuinfo_has_as_many_parts(void **state)
{
	(void)state;
	assert_string_equal(cut(cpuinfo_cut, CPU("0") CPU("1") CPU("2"), 1), CPU("0"));
	assert_string_equal(cut(cpuinfo_cut, CPU("0") CPU("1") CPU("2"), 2), CPU("0") CPU("1"));
	assert_string_equal(cut(cpuinfo_cut, CPU("0") CPU("1"), 2), CPU("0") CPU("1"));
	assert_string_equal(cut(cpuinfo_cut, CPU("0") CPU("1"), 1024), CPU("0") CPU("1"));
	assert_string_equal(cut(cpuinfo_cut, "", 1), "");
	assert_string_equal(cut(cpuinfo_cut, "no end", 1), "no end");
}

#define REST "intr 99 1 2\nctxt 5\nbtime 7\nprocesses 4\ncpu\ncpufreq 3\n"

static void stat_sums_what_it_shows(void **state)
{
	const char *all = "cpu  11 22 33 44\ncpu0 1 2 3 4\ncpu1 10 20 30 40\n" REST;

	(void)state;
	assert_string_equal(cut(stat_cut, all, 1), "cpu  1 2 3 4\ncpu0 1 2 3 4\n" REST);
	assert_string_equal(cut(stat_cut, all, 2), all);
	assert_string_equal(cut(stat_cut, all, 9), all);
	/* Numbers of CPUs that are not online are not there. */
	assert_string_equal(cut(stat_cut, "cpu  9 9\ncpu3 1 2\ncpu17 3 4\ncpu18 5 6\n", 2),
	                    "cpu  4 6\ncpu3 1 2\ncpu17 3 4\n");
	/* The largest numbers; more of them than there are today. */
	assert_string_equal(
		cut(stat_cut, "cpu  1\ncpu0 18446744073709551615 1 1 1 1 1 1 1 1 1 7 8\n", 1),
		"cpu  18446744073709551615 1 1 1 1 1 1 1 1 1\ncpu0 18446744073709551615 1 1 1 1 1 1 1 1 1 7 8\n");
	assert_string_equal(cut(stat_cut, "", 1), "");
	assert_string_equal(cut(stat_cut, "cpu0 x\ncpu1", 1), "cpu0 x\n");
}

/* Whatever the room, nothing is written behind it: what does not fit is missing. */
static void no_room_is_no_overflow(void **state)
{
	const char *stat = "cpu  11 22 33 44\ncpu0 1 2 3 4\ncpu1 10 20 30 40\n" REST,
		   *info = CPU("0") CPU("1");

	(void)state;
	for (size_t room = 0; room < 256; room++) {
		char *to = malloc(room + 1);

		assert_non_null(to);
		to[room] = '!';
		assert_true(stat_cut(stat, strlen(stat), 2, to, room) <= room);
		assert_int_equal(to[room], '!');
		assert_true(cpuinfo_cut(info, strlen(info), 2, to, room) <= room);
		assert_int_equal(to[room], '!');
		free(to);
	}
}

/* Cut off at each byte, and a byte of it changed: what comes out is never larger than there is room. */
static void odd_files_are_survived(void **state)
{
	char text[] = "cpu  11 22 33 44\ncpu0 1 2 3 4\ncpu1 10 20 30 40\nintr 1\n\n";

	(void)state;
	for (size_t size = 0; size < sizeof(text); size++)
		for (int byte = 0; byte < 256; byte += 3) {
			char *copy = malloc(size + 1);

			assert_non_null(copy);
			memcpy(copy, text, size);
			if (size > 0)
				copy[size / 2] = (char)byte;
			assert_true(stat_cut(copy, size, 2, made, 128) <= 128);
			assert_true(cpuinfo_cut(copy, size, 1, made, 128) <= 128);
			free(copy);
		}
}

static void the_lowest_bits_stay(void **state)
{
	unsigned long mask[2];

	(void)state;
	for (unsigned cpus = 0; cpus < 130; cpus++) {
		memset(mask, 0xff, sizeof(mask));
		mask_cut(mask, 2, cpus);
		assert_int_equal(mask[0], cpus >= 64 ? ~0ul : (1ul << cpus) - 1);
		assert_int_equal(mask[1], cpus >= 128 ? ~0ul : cpus <= 64 ? 0 : (1ul << (cpus - 64)) - 1);
	}
	mask[0] = 0xf0f0;
	mask[1] = 1;
	mask_cut(mask, 2, 5);
	assert_int_equal(mask[0], 0x10f0);
	assert_int_equal(mask[1], 0);
	mask[0] = 0xff;
	mask_cut(mask, 0, 1);
	assert_int_equal(mask[0], 0xff);
}

static void lists_are_counted(void **state)
{
	static const struct {
		const char *text;
		unsigned count;
	} rows[] = {{"0\n", 1}, {"0-3\n", 4}, {"0-3,8\n", 5}, {"0,2-3,5-6", 5},
	            {"", 0},    {"\n", 0},    {"x", 0},       {"3-1", 0},
	            {"0-", 0},  {"0,", 0},    {"0-,1\n", 0},  {"0-4294967295", 0},
	            {"7", 1}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (list_count(rows[i].text) != rows[i].count)
			fail_msg("%s: %u", rows[i].text, list_count(rows[i].text));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cpuinfo_has_as_many_parts), cmocka_unit_test(stat_sums_what_it_shows),
		cmocka_unit_test(no_room_is_no_overflow),    cmocka_unit_test(odd_files_are_survived),
		cmocka_unit_test(the_lowest_bits_stay),      cmocka_unit_test(lists_are_counted),
	};

	return cmocka_run_group_tests_name("views", tests, NULL, NULL);
}
