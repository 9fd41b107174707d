/* What of a sandbox is thought out and not done: the table of its states, which descriptors a command gets, durations,
 * and the size of what keeper, supervisor and owner say to each other. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/parse.h"
#include "supervise/keeper.h"
#include "supervise/sandbox_state.h"
#include "supervise/stdio.h"

/* ---- states ---- */

struct cell {
	bool set;
	enum sandbox_step step;
	int code;
	enum sl_state next;
};

#define NO(code_)                                             \
	{                                                     \
		true, STEP_REFUSE, -(code_), SL_STATE_CREATED \
	}
#define DO(state)                                     \
	{                                             \
		true, STEP_ORDER, 0, SL_STATE_##state \
	}
#define IS(state)                                       \
	{                                               \
		true, STEP_NOTHING, 0, SL_STATE_##state \
	}
#define WAITS(state)                                  \
	{                                             \
		true, STEP_AWAIT, 0, SL_STATE_##state \
	}
#define ENDS                                      \
	{                                         \
		true, STEP_END, 0, SL_STATE_ENDED \
	}

/* A row a state, a column an event, in the order of SANDBOX_EVENTS:
 * START, PAUSE, RESUME, FREEZE, THAW, SIGNAL, KILL, WAIT, EXECED, FAILED, ENDED, LOST. */
static const struct cell wanted[STATE_COUNT][EVENT_COUNT] = {
	{DO(STARTING), NO(EINVAL), NO(EINVAL), NO(EINVAL), NO(EINVAL), NO(EINVAL), DO(CREATED), NO(EINVAL),
         NO(EPROTO), IS(CREATED), ENDS, ENDS},
	{NO(EALREADY), NO(EAGAIN), NO(EALREADY), NO(EAGAIN), NO(EALREADY), NO(EAGAIN), DO(STARTING),
         WAITS(STARTING), IS(RUNNING), IS(STARTING), ENDS, ENDS},
	{NO(EALREADY), DO(PAUSED), NO(EALREADY), DO(FROZEN), NO(EALREADY), DO(RUNNING), DO(RUNNING),
         WAITS(RUNNING), NO(EPROTO), NO(EPROTO), ENDS, ENDS},
	{NO(EALREADY), NO(EALREADY), DO(RUNNING), NO(EBUSY), NO(EBUSY), DO(PAUSED), DO(PAUSED), WAITS(PAUSED),
         NO(EPROTO), NO(EPROTO), ENDS, ENDS},
	{NO(EALREADY), NO(EBUSY), NO(EBUSY), NO(EALREADY), DO(RUNNING), DO(FROZEN), DO(FROZEN), WAITS(FROZEN),
         NO(EPROTO), NO(EPROTO), ENDS, ENDS},
	{NO(ESRCH), NO(ESRCH), NO(ESRCH), NO(ESRCH), NO(ESRCH), NO(ESRCH), IS(ENDED), IS(ENDED), NO(EPROTO),
         NO(EPROTO), NO(EPROTO), IS(ENDED)},
};

static void every_event_in_every_state_is_decided(void **state)
{
	(void)state;
	assert_int_equal(STATE_COUNT, 6);
	assert_int_equal(EVENT_COUNT, 12);
	for (int at = 0; at < STATE_COUNT; at++)
		for (int event = 0; event < EVENT_COUNT; event++) {
			const struct transition *got =
				sandbox_transition((enum sl_state)at, (enum sandbox_event)event);
			const struct cell *cell = &wanted[at][event];

			assert_true(cell->set);
			if (got->step != cell->step || got->code != cell->code ||
			    (got->step != STEP_REFUSE && got->next != cell->next))
				fail_msg("%s in state %s: step %d, code %d, then %d",
				         sandbox_event_name((enum sandbox_event)event),
				         sandbox_state_name((enum sl_state)at), got->step, got->code,
				         got->next);
			/* A refusal without an errno would be a success; and a cell that nobody has filled in is one. */
			assert_int_equal(got->step == STEP_REFUSE, got->code < 0);
		}
}

static void states_and_events_have_names(void **state)
{
	(void)state;
	for (int i = 0; i < STATE_COUNT; i++)
		assert_true(strlen(sandbox_state_name((enum sl_state)i)) > 4);
	for (int i = 0; i < EVENT_COUNT; i++)
		assert_true(strlen(sandbox_event_name((enum sandbox_event)i)) > 3);
}

/* ---- descriptors ---- */

static int plan_of(const sl_stdio *stdio, struct stdio_plan *plan, sl_error *error)
{
	static const int none[] = {0};
	struct stdio_ends ends;
	int r = stdio_open(stdio, none, 0, plan, &ends, error);

	if (r == 0)
		stdio_close(&ends);
	return r;
}

static int extras_try(const sl_descriptor *extra, size_t count)
{
	const sl_stdio stdio = {.extra = extra, .extra_count = count};
	struct stdio_plan plan;
	sl_error error;

	return plan_of(&stdio, &plan, &error);
}

#define EXTRAS(...)                                      \
	extras_try((const sl_descriptor[]){__VA_ARGS__}, \
	           sizeof((const sl_descriptor[]){__VA_ARGS__}) / sizeof(sl_descriptor))
#define GIVE(target, source) ((sl_descriptor){target, source})

static void descriptors_are_given_once_and_exist(void **state)
{
	(void)state;
	assert_int_equal(EXTRAS(GIVE(3, 0)), 0);
	assert_int_equal(EXTRAS(GIVE(1023, 0)), 0);
	assert_int_equal(EXTRAS(GIVE(1024, 0)), -EINVAL);
	assert_int_equal(EXTRAS(GIVE(-1, 0)), -EINVAL);
	assert_int_equal(EXTRAS(GIVE(3, 0), GIVE(3, 1)), -EINVAL);
	assert_int_equal(EXTRAS(GIVE(0, 1)), -EINVAL); /* stdin is inherited */
	assert_int_equal(EXTRAS(GIVE(3, 0), GIVE(4, 0)), 0);
	assert_int_equal(EXTRAS(GIVE(3, -1)), -EBADF);
	assert_int_equal(EXTRAS(GIVE(3, 900)), -EBADF);
	assert_int_equal(extras_try(NULL, 0), 0);
	assert_int_equal(extras_try(NULL, 1), -EINVAL);
}

static void so_many_descriptors_are_given_and_no_more(void **state)
{
	sl_descriptor extra[STDIO_MAX];
	struct stdio_plan plan;
	sl_error error;

	(void)state;
	for (int i = 0; i < STDIO_MAX; i++)
		extra[i] = GIVE(3 + i, 0);
	/* The streams count too. */
	assert_int_equal(extras_try(extra, STDIO_MAX - 3), 0);
	assert_int_equal(extras_try(extra, STDIO_MAX - 2), -EMFILE);
	/* They are sorted, however they come. */
	for (int i = 0; i < 20; i++)
		extra[i] = GIVE(40 - i, 0);
	assert_int_equal(plan_of(&(sl_stdio){.extra = extra, .extra_count = 20}, &plan, &error), 0);
	assert_int_equal(plan.count, 23);
	for (size_t i = 1; i < plan.count; i++)
		assert_true(plan.moves[i - 1].target < plan.moves[i].target);
	assert_int_equal(stdio_above(&plan), 41);
}

static void streams_are_of_a_known_kind(void **state)
{
	struct stdio_plan plan;
	sl_error error;

	(void)state;
	assert_int_equal(plan_of(&(sl_stdio){.in = {4, 0}}, &plan, &error), -EINVAL);
	assert_int_equal(plan_of(&(sl_stdio){.in = {-1, 0}}, &plan, &error), -EINVAL);
	assert_int_equal(plan_of(&(sl_stdio){.err = {SL_STREAM_GIVEN, 900}}, &plan, &error), -EBADF);
	assert_int_equal(plan_of(&(sl_stdio){.err = {SL_STREAM_GIVEN, 1}}, &plan, &error), 0);
	assert_int_equal(plan_of(NULL, &plan, &error), 0);
}

static void a_failure_leaves_nothing_open(void **state)
{
	const sl_descriptor bad = GIVE(5, 900);
	const sl_stdio stdio = {{SL_STREAM_PIPE, 0}, {SL_STREAM_PIPE, 0}, {SL_STREAM_NULL, 0}, &bad, 1};
	int before = dup(0), after;
	struct stdio_plan plan;
	sl_error error;

	(void)state;
	close(before);
	assert_int_equal(plan_of(&stdio, &plan, &error), -EBADF);
	assert_non_null(strstr(error.message, "900"));
	after = dup(0);
	close(after);
	assert_int_equal(after, before);
}

static void what_is_not_open_is_not_inherited(void **state)
{
	static const int kept[] = {0, 1, 2, 7};
	struct stdio_plan plan;
	struct stdio_ends ends;
	int saved = fcntl(0, F_DUPFD_CLOEXEC, 100);
	sl_error error;
	int r;

	(void)state;
	assert_int_equal(dup2(1, 7), 7);
	close(0);
	r = stdio_open(NULL, kept, 4, &plan, &ends, &error);
	dup2(saved, 0);
	close(saved);
	close(7);
	assert_int_equal(r, 0);
	assert_int_equal(plan.count, 3);
	assert_int_equal(plan.moves[0].target, 1);
	assert_int_equal(plan.moves[2].target, 7);
	stdio_close(&ends);
}

static ino_t inode_of(int fd)
{
	struct stat status;

	assert_int_equal(fstat(fd, &status), 0);
	return status.st_ino;
}

/* Each source lies where another one is to go. */
static void descriptors_that_change_places_arrive(void **state)
{
	int first[2], second[2];
	ino_t inodes[2];
	struct stdio_plan plan;
	sl_error error;

	(void)state;
	assert_int_equal(pipe(first) | pipe(second), 0);
	assert_int_equal(dup2(first[0], 33), 33);
	assert_int_equal(dup2(second[0], 34), 34);
	inodes[0] = inode_of(33);
	inodes[1] = inode_of(34);
	{
		const sl_descriptor swap[] = {GIVE(33, 34), GIVE(34, 33), GIVE(35, 34), GIVE(36, 36)};

		assert_int_equal(dup2(33, 36), 36);
		assert_int_equal(plan_of(&(sl_stdio){.extra = swap, .extra_count = 4}, &plan, &error), 0);
	}
	assert_int_equal(stdio_above(&plan), 37);
	assert_int_equal(stdio_lift(&plan, stdio_above(&plan)), 0);
	for (size_t i = 0; i < plan.count; i++)
		assert_true(plan.moves[i].source >= 37);
	assert_int_equal(stdio_settle(&plan), 0);
	assert_int_equal(inode_of(33), inodes[1]);
	assert_int_equal(inode_of(34), inodes[0]);
	assert_int_equal(inode_of(35), inodes[1]);
	assert_int_equal(inode_of(36), inodes[0]);
	assert_int_equal(fcntl(36, F_GETFD), 0); /* open across exec, though it was there already */
	for (size_t i = 0; i < plan.count; i++)
		close(plan.moves[i].source);
	for (int fd = 33; fd <= 36; fd++)
		close(fd);
	for (int i = 0; i < 2; i++) {
		close(first[i]);
		close(second[i]);
	}
}

/* ---- durations and messages ---- */

static void durations_are_read(void **state)
{
	static const struct {
		const char *text;
		int result;
		uint64_t milliseconds;
	} rows[] = {
		{"30", 0, 30000},
		{"1.5s", 0, 1500},
		{"300ms", 0, 300},
		{"10m", 0, 600000},
		{"2h", 0, 7200000},
		{"1d", 0, 86400000},
		{"366d", 0, 366ull * 86400000},
		{"0.001", 0, 1},
		{"0.5ms", -ERANGE, 0},
		{"0", -ERANGE, 0},
		{"367d", -ERANGE, 0},
		{"366.5d", -ERANGE, 0},
		{"99999999999999999999", -ERANGE, 0},
		{"", -EINVAL, 0},
		{"-1", -EINVAL, 0},
		{"+1", -EINVAL, 0},
		{" 1", -EINVAL, 0},
		{"1 s", -EINVAL, 0},
		{"1.", -EINVAL, 0},
		{".5", -EINVAL, 0},
		{"1w", -EINVAL, 0},
		{"1ss", -EINVAL, 0},
		{"0x10", -EINVAL, 0},
		{"1e3", -EINVAL, 0},
		{"inf", -EINVAL, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t got = 0;
		int r = duration_parse(rows[i].text, &got);

		if (r != rows[i].result || (r == 0 && got != rows[i].milliseconds))
			fail_msg("\"%s\": %d, %llu ms", rows[i].text, r, (unsigned long long)got);
	}
}

/* A pipe takes PIPE_BUF bytes whole, and what is written by one program is read by the same one. */
static void messages_are_small_and_without_holes(void **state)
{
	(void)state;
	assert_int_equal(sizeof(struct failure), 256);
	assert_int_equal(sizeof(struct keeper_report), 12 + sizeof(struct failure));
	assert_int_equal(sizeof(struct keeper_order), 8);
	assert_true(sizeof(struct keeper_report) <= 512);
	assert_true(sizeof(((sl_failure *)NULL)->step) >= sizeof(((struct failure *)NULL)->step));
	/* One byte goes with a descriptor: no report can be taken for that. */
	assert_true(sizeof(struct keeper_report) > 1 && sizeof(struct keeper_order) > 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_event_in_every_state_is_decided),
		cmocka_unit_test(states_and_events_have_names),
		cmocka_unit_test(descriptors_are_given_once_and_exist),
		cmocka_unit_test(so_many_descriptors_are_given_and_no_more),
		cmocka_unit_test(streams_are_of_a_known_kind),
		cmocka_unit_test(a_failure_leaves_nothing_open),
		cmocka_unit_test(what_is_not_open_is_not_inherited),
		cmocka_unit_test(descriptors_that_change_places_arrive),
		cmocka_unit_test(durations_are_read),
		cmocka_unit_test(messages_are_small_and_without_holes),
	};

	return cmocka_run_group_tests_name("sandbox", tests, NULL, NULL);
}
