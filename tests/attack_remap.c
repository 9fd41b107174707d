/* A moved port that is given up between the look and the connect: the supervisor waits there, for as long as it takes to
 * close the port inside and to open it outside. Linked with --wrap=connect_guarded. */
#include "tests/remap_outsider.h"

#include <pthread.h>

#include "supervise/gate.h"

enum { PAUSE_US = 200000 };

int __real_connect_guarded(int socket, const struct sockaddr_storage *address, socklen_t size, bool *raced);
int __wrap_connect_guarded(int socket, const struct sockaddr_storage *address, socklen_t size, bool *raced);

int __wrap_connect_guarded(int socket, const struct sockaddr_storage *address, socklen_t size, bool *raced)
{
	double until = seconds_now() + PAUSE_US / 1e6;

	/* One of the calls that the supervisor's filter leaves it; signals end it early. */
	while (seconds_now() < until)
		poll(NULL, 0, 10);
	return __real_connect_guarded(socket, address, size, raced);
}

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
static int called_meanwhile(bool given_up)
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
	EXPECT(call.heard == (given_up ? '-' : 'k'));
	return call.code;
}

static int called_and_kept(void *context)
{
	(void)context;
	return called_meanwhile(false);
}

static int called_and_given_up(void *context)
{
	(void)context;
	return called_meanwhile(true);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_port_that_is_kept_is_reached, outsider_open,
	                                        outsider_close),
		cmocka_unit_test_setup_teardown(a_port_that_is_given_up_is_not, outsider_open,
	                                        outsider_close),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
