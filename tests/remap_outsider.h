/* An outsider that has a port, and what the tests of port-remap do with sockets. */
#ifndef SL_TESTS_REMAP_OUTSIDER_H
#define SL_TESTS_REMAP_OUTSIDER_H

#include "supervise/gate.h"
#include "supervise/remap.h"
#include "tests/common/common.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HOST1 = INADDR_LOOPBACK, HOST2 = INADDR_LOOPBACK + 1 };

/* ---- a supervisor that is slow, or broken on purpose ---- */

/* Read by the supervisor, which is forked from here. Linked with --wrap=connect_guarded,--wrap=remap_confirm. */
static struct {
	int pause_us; /* between the look and the connect */
	bool looks_once; /* it takes the port for the sandbox's still, whoever has it now: the control of what must not be met */
} flawed;

int __real_connect_guarded(int socket, const struct sockaddr_storage *address, socklen_t size, bool *raced);
int __wrap_connect_guarded(int socket, const struct sockaddr_storage *address, socklen_t size, bool *raced);
bool __real_remap_confirm(struct gate *gate, const struct net_endpoint *endpoint);
bool __wrap_remap_confirm(struct gate *gate, const struct net_endpoint *endpoint);

int __wrap_connect_guarded(int socket, const struct sockaddr_storage *address, socklen_t size, bool *raced)
{
	double until = seconds_now() + flawed.pause_us / 1e6;

	/* One of the calls that the supervisor's filter leaves it; signals end it early. */
	while (seconds_now() < until)
		poll(NULL, 0, flawed.pause_us / 1000);
	return __real_connect_guarded(socket, address, size, raced);
}

bool __wrap_remap_confirm(struct gate *gate, const struct net_endpoint *endpoint)
{
	return flawed.looks_once || __real_remap_confirm(gate, endpoint);
}

/* ---- sockets ---- */

static inline struct sockaddr_in address_of(uint32_t host, uint16_t port)
{
	return (struct sockaddr_in){AF_INET, htons(port), {htonl(host)}, {0}};
}

static inline int stream_socket(void)
{
	return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static inline int datagram_socket(void)
{
	return socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

static inline int bind_to(int fd, uint32_t host, uint16_t port)
{
	struct sockaddr_in address = address_of(host, port);

	return bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? errno : 0;
}

static inline int connect_to(int fd, uint32_t host, uint16_t port)
{
	struct sockaddr_in address = address_of(host, port);

	return connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? errno : 0;
}

static inline uint16_t port_of(int fd, int (*name)(int fd, struct sockaddr *address, socklen_t *size))
{
	struct sockaddr_in address;
	socklen_t size = sizeof(address);

	return name(fd, (struct sockaddr *)&address, &size) < 0 ? 0 : ntohs(address.sin_port);
}

/* Fresh, bound, and where it is a stream listening; or a negative errno. */
static inline int served(int fd, uint32_t host, uint16_t port)
{
	int r = bind_to(fd, host, port);

	if (r == 0 && listen(fd, 8) < 0 && errno != EOPNOTSUPP)
		r = errno;
	if (r == 0)
		return fd;
	close(fd);
	return -r;
}

/* What the port of the sandbox is for everybody else; the port itself where the map does not name it. */
static inline uint16_t real_of(int protocol, uint16_t port)
{
	struct sl_port_mapping mappings[64];
	int count = sl_port_mappings(mappings, 64);

	for (int i = 0; i < count && i < 64; i++)
		if (mappings[i].protocol == protocol && mappings[i].asked == port)
			return mappings[i].real;
	return port;
}

static inline bool hears(int listener, int connected)
{
	int fd = accept(listener, NULL, NULL);
	char byte = 0;
	bool heard = fd >= 0 && write(connected, "k", 1) == 1 && read(fd, &byte, 1) == 1 && byte == 'k';

	close(fd);
	return heard;
}

/* ---- the outsider ---- */

/* Has a port of 127.0.0.1 for TCP, UDP or both, and does as it is told. Says 'o' to each connection there, and 'x' at a
 * port that it was told of. */
static struct {
	pid_t pid;
	int talk;
	uint16_t port;
} outsider;

struct order {
	char what; /* 'f': free the port; 'b': listen on `port` too */
	uint16_t port;
};

static inline void outsider_greet(int listener, const char *word)
{
	int fd = accept(listener, NULL, NULL);

	if (fd >= 0 && write(fd, word, 1) == 1)
		close(fd);
}

static inline void outsider_obey(int talk, int *listeners, int datagrams)
{
	struct order order;
	int result = 0;

	if (read(talk, &order, sizeof(order)) != sizeof(order))
		_exit(0);
	if (order.what == 'f') {
		close(listeners[0]);
		close(datagrams);
		listeners[0] = -1;
	} else {
		close(listeners[1]);
		listeners[1] = served(stream_socket(), HOST1, order.port);
		result = listeners[1] < 0 ? -listeners[1] : 0;
	}
	if (write(talk, &result, sizeof(result)) != sizeof(result))
		_exit(1);
}

static inline void outsider_main(int talk, int listener, int datagrams)
{
	int listeners[2] = {listener, -1};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		struct pollfd all[3] = {{.fd = talk, .events = POLLIN},
		                        {.fd = listeners[0], .events = POLLIN},
		                        {.fd = listeners[1], .events = POLLIN}};

		poll(all, 3, -1);
		for (int i = 0; i < 2; i++)
			if (all[i + 1].revents & POLLIN)
				outsider_greet(listeners[i], i == 0 ? "o" : "x");
		if (all[0].revents)
			outsider_obey(talk, listeners, datagrams);
	}
}

static inline int outsider_tell(char what, uint16_t port)
{
	struct order order = {what, port};
	int result;

	if (write(outsider.talk, &order, sizeof(order)) != sizeof(order) ||
	    read(outsider.talk, &result, sizeof(result)) != sizeof(result))
		return -1;
	return result;
}

static inline void outsider_start(uint32_t host, bool udp)
{
	int listener = stream_socket(), datagrams = datagram_socket(), talk[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, talk), 0);
	assert_int_equal(bind_to(listener, host, 0), 0);
	outsider.port = port_of(listener, getsockname);
	assert_int_equal(listen(listener, 64), 0);
	if (udp)
		assert_int_equal(bind_to(datagrams, host, outsider.port), 0);
	if ((outsider.pid = process_fork()) == 0) {
		close(talk[0]);
		outsider_main(talk[1], listener, datagrams);
	}
	outsider.talk = talk[0];
	close(talk[1]);
	close(listener);
	close(datagrams);
}

static inline int outsider_open(void **state)
{
	(void)state;
	outsider_start(HOST1, true);
	return 0;
}

static inline int outsider_open_tcp(void **state)
{
	(void)state;
	outsider_start(HOST1, false);
	return 0;
}

static inline int outsider_open_any(void **state)
{
	(void)state;
	outsider_start(INADDR_ANY, false);
	return 0;
}

static inline int outsider_close(void **state)
{
	(void)state;
	process_kill(outsider.pid, SIGKILL);
	waitpid(outsider.pid, NULL, 0);
	close(outsider.talk);
	return 0;
}

/* The port of the outsider, and nothing else, out and in; with the key, and without. */
#define GATE(...)                                                                       \
	POLICY("net-allow", text_of("127.0.0.0/8:%u", outsider.port), "net-allow-bind", \
	       text_of("%u", outsider.port) __VA_OPT__(, ) __VA_ARGS__)
#define REMAPPED GATE("port-remap", "")

#endif
