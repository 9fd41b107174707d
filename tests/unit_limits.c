/* The arithmetic of the limits over a whole tree: no clock, no kernel. */
#include "tests/common/common.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "supervise/cputime.h"
#include "supervise/limits.h"
#include "supervise/lines.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)

static void the_pause_is_never_longer_than_the_headroom_can_take(void **state)
{
	(void)state;
	for (unsigned cpus = 1; cpus <= 64; cpus *= 2)
		for (uint64_t headroom = 0; headroom < 64 * GIB; headroom = headroom * 2 + MIB) {
			int pause = memory_pause(headroom, cpus, 100);

			assert_in_range(pause, 2, 1000);
			/* 4 GiB/s for each CPU, or the least that there is. */
			if (pause > 2)
				assert_true((uint64_t)pause * cpus * 4 * MIB <= headroom);
		}
}

static void looking_takes_no_more_than_a_twentieth_and_never_waits_long_for_that(void **state)
{
	(void)state;
	assert_int_equal(memory_pause(0, 2, 0), 2);
	assert_int_equal(memory_pause(0, 2, 1000), 20);
	assert_int_equal(memory_pause(0, 2, 10000000), 50);
	assert_int_equal(memory_pause(100 * GIB, 2, 0), 1000);
}

/* A made-up tree that uses `busy` CPUs whenever it is not stopped, for ten seconds: what it had of one CPU, in percent. */
static double share_of(unsigned percent, unsigned cpus, double busy, int64_t grain)
{
	struct throttle throttle;
	int64_t now = 1000, used = 0, end = now + 10000000;

	throttle_begin(&throttle, percent, cpus, now);
	while (now < end) {
		int64_t shown = grain > 0 ? used / grain * grain : used;
		int64_t wait = 1000 * (int64_t)throttle_count(&throttle, now, shown);

		assert_true(wait > 0);
		if (!throttle.stopped)
			used += (int64_t)((double)wait * busy);
		now += wait;
	}
	return 100.0 * (double)used / 10000000;
}

static void the_share_is_kept_in_the_long_run(void **state)
{
	static const unsigned percents[] = {1, 5, 10, 25, 50, 75, 90, 99, 100, 150, 350};

	(void)state;
	for (size_t i = 0; i < sizeof(percents) / sizeof(percents[0]); i++)
		for (int grain = 0; grain <= 10000; grain += 10000) {
			double share = share_of(percents[i], 4, 4, grain), few = percents[i] * 0.05 + 3;

			if (share > percents[i] + few || share < percents[i] - few)
				fail_msg("%u %%: %.1f, in grains of %d us", percents[i], share, grain);
		}
}

static void who_takes_less_is_never_stopped(void **state)
{
	struct throttle throttle;

	(void)state;
	throttle_begin(&throttle, 50, 2, 0);
	for (int64_t now = 0; now < 10000000; now += 10000) {
		throttle_count(&throttle, now, now * 45 / 100);
		assert_false(throttle.stopped);
	}
}

static void who_does_nothing_is_looked_at_seldom_and_saves_up_no_more_than_a_period(void **state)
{
	struct throttle throttle;
	int64_t now = 0;
	int wait = 0, counts = 0;

	(void)state;
	throttle_begin(&throttle, 50, 2, now);
	for (; now < 3600 * 1000000ll; now += 1000ll * wait, counts++)
		wait = throttle_count(&throttle, now, 0);
	assert_in_range(wait, 150, 1000);
	assert_true(counts < 3600 * 6);
	assert_true(throttle.credit <= 50000);
}

static void a_count_that_goes_back_is_taken_for_all_that_there_was(void **state)
{
	struct throttle throttle;

	(void)state;
	throttle_begin(&throttle, 50, 2, 0);
	throttle_count(&throttle, 1000, 40000);
	assert_false(throttle.stopped);
	throttle_count(&throttle, 51000, 30000);
	assert_true(throttle.stopped);
}

static void a_pause_does_not_count(void **state)
{
	struct throttle throttle;

	(void)state;
	throttle_begin(&throttle, 50, 2, 0);
	throttle_count(&throttle, 100000, 400000);
	assert_true(throttle.stopped);
	throttle_skip(&throttle, 200000, 400000);
	assert_false(throttle.stopped);
	assert_int_equal(throttle.credit, -300000);
}

static void the_bound_counts_what_was_let_through(void **state)
{
	struct process_bound bound = {.limit = 3, .counted = 1};

	(void)state;
	assert_true(process_fits(&bound));
	bound.since = 1;
	assert_true(process_fits(&bound));
	bound.since = 2;
	assert_false(process_fits(&bound));
	assert_false(process_fits(&(struct process_bound){.limit = 1, .counted = 1}));
}

static void lines_of_any_length_are_read(void **state)
{
	static struct lines lines;
	char path[512], longer[3 * LINES_ROOM];
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "%s/lines", scratch());
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	dprintf(fd, "one\n\n%s\nfour\ncut off", longer);
	lseek(fd, 0, SEEK_SET);
	lines_begin(&lines, fd);
	assert_string_equal(lines_next(&lines), "one");
	assert_string_equal(lines_next(&lines), "");
	assert_int_equal(strlen(lines_next(&lines)), LINES_ROOM);
	assert_string_equal(lines_next(&lines), "four");
	assert_null(lines_next(&lines));
	close(fd);
	assert_int_equal(text_number("a\nKey: 12 kB\n", "\nKey:"), 12);
	assert_int_equal(text_number("a\nKey: 12 kB\n", "\nNo:"), 0);
}

/* Walks tell hundredths of seconds: up to one behind for each kind of time of each process, never ahead for long. */
static void rounding_is_not_missed_time(void **state)
{
	struct cputime cputime = {.event = -1};

	(void)state;
	for (int64_t now = 0; now < 100000000; now += 1000000)
		cputime_compare(&cputime, (now + now % 7 * 3000) / 20000 * 20000, now, 1);
	assert_int_equal(cputime.missed, 0);
}

/* The event counts nothing any more: all but the first of it is added. */
static void what_the_event_lost_is_added(void **state)
{
	struct cputime cputime = {.event = -1};

	(void)state;
	cputime_compare(&cputime, 5000000, 5000000, 3);
	for (int64_t walked = 6000000; walked <= 15000000; walked += 1000000)
		cputime_compare(&cputime, walked, 5000000, 3);
	assert_in_range(cputime.missed, 9900000, 10000000);
}

/* Who has had much that no walk saw has no credit from that: it was counted. */
static void counted_time_is_no_credit(void **state)
{
	struct cputime cputime = {.event = -1};

	(void)state;
	cputime_compare(&cputime, 0, 60000000, 1);
	cputime_compare(&cputime, 10000000, 60000000, 1);
	assert_in_range(cputime.missed, 9900000, 10000000);
}

/* A walk that goes back, as for children that nobody waits for, takes nothing away. */
static void a_walk_that_goes_back_takes_nothing(void **state)
{
	struct cputime cputime = {.event = -1};

	(void)state;
	cputime_compare(&cputime, 1000000, 1000000, 1);
	cputime_compare(&cputime, 500000, 1500000, 1);
	cputime_compare(&cputime, 1000000, 2000000, 1);
	assert_int_equal(cputime.missed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_pause_is_never_longer_than_the_headroom_can_take),
		cmocka_unit_test(looking_takes_no_more_than_a_twentieth_and_never_waits_long_for_that),
		cmocka_unit_test(the_share_is_kept_in_the_long_run),
		cmocka_unit_test(who_takes_less_is_never_stopped),
		cmocka_unit_test(who_does_nothing_is_looked_at_seldom_and_saves_up_no_more_than_a_period),
		cmocka_unit_test(a_count_that_goes_back_is_taken_for_all_that_there_was),
		cmocka_unit_test(a_pause_does_not_count),
		cmocka_unit_test(the_bound_counts_what_was_let_through),
		cmocka_unit_test(lines_of_any_length_are_read),
		cmocka_unit_test(rounding_is_not_missed_time),
		cmocka_unit_test(what_the_event_lost_is_added),
		cmocka_unit_test(counted_time_is_no_credit),
		cmocka_unit_test(a_walk_that_goes_back_takes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
