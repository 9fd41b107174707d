/* What a look at the listener tells the supervisor: descriptors of other kinds show the kernel's answers. */
#include "tests/common/common.h"

#include <poll.h>
#include <unistd.h>

#include "supervise/gate.h"

static int revents_of(int fd)
{
	struct pollfd ready = {.fd = fd, .events = POLLIN};

	assert_true(poll(&ready, 1, 0) >= 0);
	return ready.revents;
}

static void a_call_that_waits_is_seen(void **state)
{
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(notify_ready(ends[0], -1), 0);
	assert_int_equal(write(ends[1], "x", 1), 1);
	assert_int_equal(notify_ready(ends[0], -1), 1);
	close(ends[0]);
	close(ends[1]);
}

/* Nobody is left who could call. */
static void the_end_is_seen(void **state)
{
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	close(ends[1]);
	assert_int_equal(revents_of(ends[0]), POLLHUP);
	assert_int_equal(notify_ready(ends[0], -1), -EPIPE);
	close(ends[0]);
	assert_int_equal(revents_of(ends[0]), POLLNVAL);
	assert_int_equal(notify_ready(ends[0], -1), -EPIPE);
}

/* POLLERR alone: the kernel was interrupted while it looked. A supervisor that left then would leave everybody without
 * an answer for good. */
static void an_interrupted_look_is_no_end(void **state)
{
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	close(ends[0]);
	assert_int_equal(revents_of(ends[1]), POLLERR);
	assert_int_equal(notify_ready(ends[1], -1), 0);
	close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_that_waits_is_seen),
		cmocka_unit_test(the_end_is_seen),
		cmocka_unit_test(an_interrupted_look_is_no_end),
	};

	return cmocka_run_group_tests_name("notify", tests, NULL, NULL);
}
