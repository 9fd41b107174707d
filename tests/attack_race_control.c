/* The control of attack_race: the same body against a gate that decides and then lets the kernel do it
 * (tests/broken/continues.c). It must win here, or it could not have won there. And once more with Landlock
 * left in place: the wall that stands behind the gate holds alone.
 *
 * alone: two threads race only where each has a processor.
 */
#include <stdio.h>

#include "tests/broken/continues.h"
#include "tests/common/common.h"
#include "tests/race_body.h"

static const struct race_case races[] = {
	{"broken: port, thread, blocking", WRITER_THREAD, FLIP_PORT, false, 0},
	{"broken: port, thread, non-blocking", WRITER_THREAD, FLIP_PORT, true, 0},
	{"broken: v4 address, thread, blocking", WRITER_THREAD, FLIP_V4, false, 0},
	{"broken: v6 address, thread, blocking", WRITER_THREAD, FLIP_V6, false, 0},
	{"broken: port, other process, blocking", WRITER_PROCESS, FLIP_PORT, false, 0},
	{"broken: mapping", WRITER_MAPPING, FLIP_PORT, false, 0},
	{"broken: number", WRITER_NUMBER, FLIP_PORT, false, 0},
	/* The last: Landlock does not know UDP. */
	{"broken: number, UDP", WRITER_UDP, FLIP_PORT, false, 0},
};
enum { RACES = sizeof(races) / sizeof(races[0]) };

static void a_gate_that_checks_and_continues_loses_every_race(void **state)
{
	(void)state;
	broken_without_landlock = true;
	for (size_t i = 0; i < RACES; i++)
		assert_true(race_play(&races[i], 10, true).wins > 0);
}

static void behind_the_broken_gate_Landlock_still_refuses(void **state)
{
	(void)state;
	broken_without_landlock = false;
	for (size_t i = 0; i < RACES - 1; i++)
		assert_int_equal(race_play(&races[i], long_run() ? 10 : 0.7, false).wins, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_gate_that_checks_and_continues_loses_every_race),
		cmocka_unit_test(behind_the_broken_gate_Landlock_still_refuses),
	};

	return cmocka_run_group_tests_name("race_control", tests, NULL, NULL);
}
