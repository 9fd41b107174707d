/* Sizes and numbers as people write them: what is accepted means one thing only, and nothing wraps. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>

#include "core/parse.h"

#define KIB (1ULL << 10)
#define MIB (1ULL << 20)
#define GIB (1ULL << 30)
#define TIB (1ULL << 40)

static void sizes_are_powers_of_1024(void **state)
{
	static const struct {
		const char *text;
		uint64_t size;
	} rows[] = {
		{"0", 0},
		{"1", 1},
		{"10", 10},
		{"00010", 10},
		{"10B", 10},
		{"10b", 10},
		{"0K", 0},
		{"1K", KIB},
		{"1k", KIB},
		{"1Ki", KIB},
		{"1kI", KIB},
		{"1KB", KIB},
		{"1kb", KIB},
		{"1KiB", KIB},
		{"1kib", KIB},
		{"1KIB", KIB},
		{"512K", 512 * KIB},
		{"1M", MIB},
		{"1m", MIB},
		{"64MiB", 64 * MIB},
		{"64 MiB", 64 * MIB},
		{"64\tmib", 64 * MIB},
		{"1G", GIB},
		{"1g", GIB},
		{"2Gi", 2 * GIB},
		{"1T", TIB},
		{"2tb", 2 * TIB},
		{"1TiB", TIB},
		/* blanks around a value are what a profile file leaves */
		{" 10", 10},
		{"10 ", 10},
		{"  1.5 G  ", GIB + GIB / 2},
		/* decimals */
		{"1.5K", KIB + KIB / 2},
		{"1.5G", GIB + GIB / 2},
		{"0.5T", TIB / 2},
		{"0.25M", MIB / 4},
		{"1.0K", KIB},
		{"1.000000000G", GIB},
		{"1.50000000000000000000000000G", GIB + GIB / 2},
		/* rounded down to a byte */
		{"0.1K", 102},
		{"0.999K", 1022},
		{"0.0001K", 0},
		{"0.000000001T", 1099},
		{"1.999999999K", 2047},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t size = 0xdead;
		int r = size_parse(rows[i].text, &size);

		if (r != 0 || size != rows[i].size)
			fail_msg("\"%s\": %d, %llu; expected %llu", rows[i].text, r, (unsigned long long)size,
			         (unsigned long long)rows[i].size);
	}
}

static void the_largest_size_of_each_unit_is_2_64_less_one_unit(void **state)
{
	static const struct {
		const char *text;
		int result;
		uint64_t size;
	} rows[] = {
		{"18446744073709551615", 0, UINT64_MAX},
		{"18446744073709551615B", 0, UINT64_MAX},
		{"18446744073709551616", -ERANGE, 0},
		{"18446744073709551625", -ERANGE, 0},
		{"18446744073709551620", -ERANGE, 0},
		{"184467440737095516150", -ERANGE, 0},
		{"99999999999999999999999999999999999999999999", -ERANGE, 0},
		{"18014398509481983K", 0, UINT64_MAX - (KIB - 1)},
		{"18014398509481984K", -ERANGE, 0},
		{"18014398509481984.5K", -ERANGE, 0},
		{"17592186044415M", 0, UINT64_MAX - (MIB - 1)},
		{"17592186044416M", -ERANGE, 0},
		{"17179869183G", 0, UINT64_MAX - (GIB - 1)},
		{"17179869184G", -ERANGE, 0},
		{"16777215T", 0, UINT64_MAX - (TIB - 1)},
		{"16777216T", -ERANGE, 0},
		{"16777217T", -ERANGE, 0},
		{"18446744073709551615T", -ERANGE, 0},
		{"18446744073709551615K", -ERANGE, 0},
		/* 2^40 - 2^40/10^9, rounded down, above the largest whole number of T */
		{"16777215.999999999T", 0, UINT64_MAX - (TIB - 1) + 1099511626676ULL},
		{"18014398509481983.999K", 0, UINT64_MAX - (KIB - 1) + 1022},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t size = 0;
		int r = size_parse(rows[i].text, &size);

		if (r != rows[i].result || (r == 0 && size != rows[i].size))
			fail_msg("\"%s\": %d, %llu; expected %d, %llu", rows[i].text, r,
			         (unsigned long long)size, rows[i].result, (unsigned long long)rows[i].size);
	}
}

static void what_is_no_size_is_refused(void **state)
{
	static const char *const rows[] = {
		"",
		" ",
		"K",
		"B",
		"iB",
		".",
		".5",
		".5G",
		"1.",
		"1.G",
		"1.5.5G",
		"1..5G",
		"1,5G",
		"1_000",
		"1 000",
		"-1",
		"-0",
		"+1",
		"- 1K",
		"0x10",
		"1e3",
		"1KK",
		"1KM",
		"1Kx",
		"1BK",
		"1BB",
		"1iB",
		"1i",
		"1iK",
		"1KiBB",
		"1K iB",
		"1Ki B",
		"1P",
		"1E",
		"1 P",
		"1KiB 2",
		"1K,",
		"10%",
		"infinity",
		"nan",
		"unlimited",
		"1\xc2\xa0K",
		"\xff",
		"1\xff",
		"1K\x01",
		/* "decimals with a suffix only": half a byte is nothing */
		"1.5",
		"1.5B",
		"0.5",
		"0.1b",
		"1.0",
		"1.0B",
		"0.0",
		"1.00000000001",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t size = 0;
		int r = size_parse(rows[i], &size);

		if (r != -EINVAL)
			fail_msg("\"%s\": %d, %llu; expected -EINVAL", rows[i], r, (unsigned long long)size);
	}
}

static void numbers_are_decimal_and_in_range(void **state)
{
	static const struct {
		const char *text;
		uint64_t low, high;
		int result;
		uint64_t number;
	} rows[] = {
		{"0", 0, 10, 0, 0},
		{"10", 0, 10, 0, 10},
		{"010", 0, 10, 0, 10},
		{"0000000000000000000000000000007", 0, 10, 0, 7},
		{"11", 0, 10, -ERANGE, 0},
		{"0", 1, 10, -ERANGE, 0},
		{"1", 1, 1, 0, 1},
		{"65535", 1, 65535, 0, 65535},
		{"65536", 1, 65535, -ERANGE, 0},
		{"18446744073709551615", 0, UINT64_MAX, 0, UINT64_MAX},
		{"18446744073709551616", 0, UINT64_MAX, -ERANGE, 0},
		{"18446744073709551617", 0, 10, -ERANGE, 0},
		{"36893488147419103233", 0, 10, -ERANGE, 0},
		{"", 0, 10, -EINVAL, 0},
		{" 1", 0, 10, -EINVAL, 0},
		{"1 ", 0, 10, -EINVAL, 0},
		{"1\n", 0, 10, -EINVAL, 0},
		{"+1", 0, 10, -EINVAL, 0},
		{"-1", 0, UINT64_MAX, -EINVAL, 0},
		{"0x1", 0, 10, -EINVAL, 0},
		{"1a", 0, 10, -EINVAL, 0},
		{"a1", 0, 10, -EINVAL, 0},
		{"1.0", 0, 10, -EINVAL, 0},
		{"1K", 0, 2000, -EINVAL, 0},
		{"1,2", 0, 10, -EINVAL, 0},
		{"\xd9\xa3", 0, 10, -EINVAL, 0}, /* an Arabic three */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t number = 0;
		int r = number_parse(rows[i].text, rows[i].low, rows[i].high, &number);

		if (r != rows[i].result || (r == 0 && number != rows[i].number))
			fail_msg("\"%s\" in %llu..%llu: %d, %llu; expected %d, %llu", rows[i].text,
			         (unsigned long long)rows[i].low, (unsigned long long)rows[i].high, r,
			         (unsigned long long)number, rows[i].result,
			         (unsigned long long)rows[i].number);
	}
}

/* Every byte behind a good size: what is accepted is known by name. */
static void no_other_byte_follows_a_size(void **state)
{
	(void)state;
	for (unsigned byte = 1; byte < 256; byte++) {
		const char text[] = {'7', (char)byte, '\0'};
		static const char accepted[] = "0123456789KkMmGgTtBb \t\n\v\f\r";
		uint64_t size;
		int wanted = __builtin_strchr(accepted, (int)byte) != NULL ? 0 : -EINVAL;

		if (size_parse(text, &size) != wanted)
			fail_msg("7 and byte %#x: expected %d", byte, wanted);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_powers_of_1024),
		cmocka_unit_test(the_largest_size_of_each_unit_is_2_64_less_one_unit),
		cmocka_unit_test(what_is_no_size_is_refused),
		cmocka_unit_test(numbers_are_decimal_and_in_range),
		cmocka_unit_test(no_other_byte_follows_a_size),
	};

	return cmocka_run_group_tests_name("parse", tests, NULL, NULL);
}
