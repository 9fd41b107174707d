/* A moved port that is given up between the look and the connect: the supervisor waits there, for as long as it takes to
 * close the port inside and to open it outside. */
#include "tests/remap_outsider.h"

#include <pthread.h>

enum { PAUSE_US = 200000 };

struct call_once {
	int code;
	char heard;
};

static void *call_once(void *argument)
{
	struct call_once *call = argument;
	struct timeval limit = {1, 0};
	int fd = stream_socket();

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	call->code = connect_to(fd, HOST1, outsider.port);
	if (read(fd, &call->heard, 1) != 1)
		call->heard = '-';
	close(fd);
	return NULL;
}

/* Whom a connect meets that was begun while the sandbox had the port: itself, or, when it is given up, nobody. */
static int called_meanwhile(bool given_up, char expected)
{
	int listener = served(stream_socket(), HOST1, outsider.port), fd;
	uint16_t real = real_of(IPPROTO_TCP, outsider.port);
	struct call_once call = {0};
	pthread_t thread;

	EXPECT(listener >= 0 && real != outsider.port);
	EXPECT(pthread_create(&thread, NULL, call_once, &call) == 0);
	usleep(PAUSE_US / 4);
	if (given_up) {
		close(listener);
		EXPECT(outsider_tell('b', real) == 0);
	} else {
		EXPECT((fd = accept(listener, NULL, NULL)) >= 0 && write(fd, "k", 1) == 1);
	}
	pthread_join(thread, NULL);
	EXPECT(call.heard == expected);
	return call.code;
}

static int called_and_kept(void *context)
{
	(void)context;
	return called_meanwhile(false, 'k');
}

static int called_and_given_up(void *context)
{
	(void)context;
	return called_meanwhile(true, '-');
}

static int called_and_met_a_stranger(void *context)
{
	(void)context;
	return called_meanwhile(true, 'x');
}

static void a_port_that_is_kept_is_reached(void **state)
{
	(void)state;
	assert_int_equal(attempt_confined(REMAPPED, called_and_kept, NULL), 0);
}

static void a_port_that_is_given_up_is_not(void **state)
{
	(void)state;
	assert_int_equal(attempt_confined(REMAPPED, called_and_given_up, NULL), ECONNREFUSED);
}

/* The control: a supervisor that does not look again leads to whoever has the port now. */
static void who_looks_once_meets_a_stranger(void **state)
{
	(void)state;
	flawed.looks_once = true;
	assert_int_equal(attempt_confined(REMAPPED, called_and_met_a_stranger, NULL), 0);
	flawed.looks_once = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_port_that_is_kept_is_reached, outsider_open,
	                                        outsider_close),
		cmocka_unit_test_setup_teardown(who_looks_once_meets_a_stranger, outsider_open,
	                                        outsider_close),
		cmocka_unit_test_setup_teardown(a_port_that_is_given_up_is_not, outsider_open,
	                                        outsider_close),
	};

	signal(SIGPIPE, SIG_IGN);
	flawed.pause_us = PAUSE_US;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
