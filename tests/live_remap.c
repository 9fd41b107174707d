/* port-remap: two of whatever binds the same port see that port, both of them, and nothing else changes. An outsider,
 * which is not confined, has the port; each attempt also runs bare, or without the key, where it must fail. */
#include "tests/remap_outsider.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static void remapped_only(attempt_fn attempt)
{
	assert_int_equal(attempt_bare(attempt, NULL), EADDRINUSE);
	assert_int_equal(attempt_confined(GATE(), attempt, NULL), EADDRINUSE);
	assert_int_equal(attempt_confined(REMAPPED, attempt, NULL), 0);
}

/* ---- one sandbox ---- */

static int tcp_used(void *context)
{
	int listener = served(stream_socket(), HOST1, outsider.port), client = stream_socket(), fd;
	struct sockaddr_in peer;
	socklen_t size = sizeof(peer);

	(void)context;
	if (listener < 0)
		return -listener;
	EXPECT(port_of(listener, getsockname) == outsider.port);
	EXPECT(real_of(IPPROTO_TCP, outsider.port) != outsider.port);
	EXPECT(connect_to(client, HOST1, outsider.port) == 0);
	EXPECT(port_of(client, getpeername) == outsider.port);
	EXPECT((fd = accept(listener, (struct sockaddr *)&peer, &size)) >= 0);
	EXPECT(ntohs(peer.sin_port) == port_of(client, getsockname));
	EXPECT(port_of(fd, getsockname) == outsider.port);
	EXPECT(port_of(fd, getpeername) == port_of(client, getsockname));
	EXPECT(write(client, "k", 1) == 1 && read(fd, &(char){0}, 1) == 1);
	/* Connections outlive the listener, and so does what they show. */
	close(listener);
	EXPECT(real_of(IPPROTO_TCP, outsider.port) == outsider.port);
	EXPECT(port_of(client, getpeername) == outsider.port);
	EXPECT(port_of(fd, getsockname) == outsider.port);
	return 0;
}

static void a_taken_tcp_port_works_all_the_same(void **state)
{
	(void)state;
	remapped_only(tcp_used);
}

static int udp_used(void *context)
{
	int server = served(datagram_socket(), HOST1, outsider.port), client = datagram_socket();
	struct sockaddr_in address = address_of(HOST1, outsider.port);
	char byte = 0;

	(void)context;
	if (server < 0)
		return -server;
	EXPECT(port_of(server, getsockname) == outsider.port);
	EXPECT(real_of(IPPROTO_UDP, outsider.port) != outsider.port);
	EXPECT(sendto(client, "a", 1, 0, (struct sockaddr *)&address, sizeof(address)) == 1);
	EXPECT(recv(server, &byte, 1, 0) == 1 && byte == 'a');
	EXPECT(connect_to(client, HOST1, outsider.port) == 0);
	EXPECT(port_of(client, getpeername) == outsider.port);
	EXPECT(send(client, "b", 1, 0) == 1 && recv(server, &byte, 1, 0) == 1 && byte == 'b');
	return 0;
}

static void a_taken_udp_port_works_all_the_same(void **state)
{
	(void)state;
	remapped_only(udp_used);
}

/* The client's own port is granted, and moved; the server answers to what it sees, which only it grants. */
static int udp_answered(void *context)
{
	int server = datagram_socket(), client = served(datagram_socket(), HOST1, outsider.port);
	struct sockaddr_in address;
	socklen_t size = sizeof(address);
	char byte = 0;

	if (client < 0)
		return -client;
	EXPECT(bind_to(server, HOST2, *(uint16_t *)context) == 0);
	EXPECT(connect_to(server, HOST1, outsider.port) == 0);
	EXPECT(send(server, "q", 1, 0) == 1);
	EXPECT(recvfrom(client, &byte, 1, 0, (struct sockaddr *)&address, &size) == 1 && byte == 'q');
	EXPECT(sendto(client, "a", 1, 0, (struct sockaddr *)&address, size) == 1);
	EXPECT(recv(server, &byte, 1, 0) == 1 && byte == 'a');
	address = address_of(HOST1, real_of(IPPROTO_UDP, outsider.port));
	EXPECT(connect_to(server, HOST1, ntohs(address.sin_port)) == 0);
	return 0;
}

static void a_source_that_is_seen_can_be_answered(void **state)
{
	uint16_t port = 0;
	int fd = datagram_socket();

	(void)state;
	assert_int_equal(bind_to(fd, HOST2, 0), 0);
	port = port_of(fd, getsockname);
	close(fd);
	assert_int_equal(attempt_bare(udp_answered, &port), EADDRINUSE);
	assert_int_equal(attempt_confined(POLICY("net-allow", text_of("127.0.0.1:%u", outsider.port),
	                                         "net-allow", text_of("127.0.0.2:%u", port), "net-allow-bind",
	                                         text_of("%u,%u", outsider.port, port), "port-remap", ""),
	                                  udp_answered, &port),
	                 0);
}

static int protocols_compared(void *context)
{
	int tcp = served(stream_socket(), HOST1, outsider.port);
	int udp = served(datagram_socket(), HOST1, outsider.port);

	(void)context;
	EXPECT(udp >= 0);
	EXPECT(real_of(IPPROTO_UDP, outsider.port) == outsider.port);
	EXPECT(tcp < 0 || real_of(IPPROTO_TCP, outsider.port) != outsider.port);
	EXPECT(port_of(udp, getsockname) == outsider.port);
	return tcp < 0 ? -tcp : 0;
}

static void tcp_and_udp_are_apart(void **state)
{
	(void)state;
	remapped_only(protocols_compared);
}

static int freed_and_bound_again(void *context)
{
	int first = served(stream_socket(), HOST1, outsider.port), second;

	(void)context;
	if (first < 0)
		return -first;
	EXPECT(real_of(IPPROTO_TCP, outsider.port) != outsider.port);
	EXPECT(outsider_tell('f', 0) == 0);
	/* As long as it is bound it stays where it is, and its port is taken. */
	EXPECT(served(stream_socket(), HOST1, outsider.port) == -EADDRINUSE);
	close(first);
	EXPECT((second = served(stream_socket(), HOST1, outsider.port)) >= 0);
	EXPECT(sl_port_mappings(NULL, 0) == 0);
	EXPECT(port_of(second, getsockname) == outsider.port);
	return 0;
}

static void a_port_that_is_free_again_is_the_port(void **state)
{
	(void)state;
	assert_int_equal(attempt_bare(freed_and_bound_again, NULL), EADDRINUSE);
	assert_int_equal(attempt_confined(REMAPPED, freed_and_bound_again, NULL), 0);
}

/* ---- conflicts inside ---- */

static int inside_taken(void *context)
{
	int first = served(stream_socket(), HOST1, outsider.port), one = 1, again = stream_socket();

	(void)context;
	if (first < 0)
		return -first;
	EXPECT(served(stream_socket(), HOST1, outsider.port) == -EADDRINUSE);
	EXPECT(served(stream_socket(), INADDR_ANY, outsider.port) == -EADDRINUSE);
	setsockopt(again, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	EXPECT(bind_to(again, HOST1, outsider.port) == EADDRINUSE);
	EXPECT(bind_to(first, HOST1, outsider.port) == EINVAL);
	return 0;
}

static void what_the_sandbox_has_itself_is_taken(void **state)
{
	(void)state;
	remapped_only(inside_taken);
}

/* A port that the kernel has given counts as asked for. */
static int ephemeral_taken(void *context)
{
	int first = served(stream_socket(), HOST1, 0);
	uint16_t port = port_of(first, getsockname);

	(void)context;
	EXPECT(port != 0);
	EXPECT(served(stream_socket(), HOST1, port) == -EADDRINUSE);
	close(first);
	EXPECT(served(stream_socket(), HOST1, port) >= 0);
	return 0;
}

static void an_ephemeral_port_is_taken_too(void **state)
{
	(void)state;
	assert_int_equal(attempt_bare(ephemeral_taken, NULL), 0);
	assert_int_equal(
		attempt_confined(POLICY("net-allow-bind", "*", "port-remap", ""), ephemeral_taken, NULL), 0);
}

static int reuse_bound(int option, uint16_t port)
{
	int fd = stream_socket(), one = 1;

	setsockopt(fd, SOL_SOCKET, option, &one, sizeof(one));
	return served(fd, HOST1, port);
}

static int ports_shared(void *context)
{
	int first = reuse_bound(SO_REUSEPORT, outsider.port), second, client = stream_socket();

	(void)context;
	if (first < 0)
		return -first;
	EXPECT((second = reuse_bound(SO_REUSEPORT, outsider.port)) >= 0);
	EXPECT(sl_port_mappings(NULL, 0) == 1);
	EXPECT(served(stream_socket(), HOST1, outsider.port) == -EADDRINUSE);
	close(first);
	EXPECT(sl_port_mappings(NULL, 0) == 1);
	EXPECT(connect_to(client, HOST1, outsider.port) == 0 && hears(second, client));
	close(second);
	EXPECT(sl_port_mappings(NULL, 0) == 0);
	return 0;
}

static void reuseport_shares_inside(void **state)
{
	(void)state;
	remapped_only(ports_shared);
}

/* Bare, the second one gets half of the first one's connections. */
static int shared_with_outside(void *context)
{
	int fd = reuse_bound(SO_REUSEPORT, *(uint16_t *)context);

	EXPECT(fd >= 0);
	return real_of(IPPROTO_TCP, *(uint16_t *)context) == *(uint16_t *)context ? EADDRINUSE : 0;
}

static void reuseport_does_not_share_with_others(void **state)
{
	int fd = reuse_bound(SO_REUSEPORT, 0);
	uint16_t port = port_of(fd, getsockname);

	(void)state;
	assert_int_equal(attempt_bare(shared_with_outside, &port), EADDRINUSE);
	assert_int_equal(attempt_confined(POLICY("net-allow-bind", text_of("%u", port), "port-remap", ""),
	                                  shared_with_outside, &port),
	                 0);
	close(fd);
}

static int addresses_apart(void *context)
{
	int first = served(stream_socket(), HOST1, outsider.port);
	int second = served(stream_socket(), HOST2, outsider.port), client = stream_socket(),
	    other = stream_socket();

	(void)context;
	if (first < 0)
		return -first;
	EXPECT(second >= 0);
	EXPECT(sl_port_mappings(NULL, 0) == 1);
	EXPECT(connect_to(client, HOST1, outsider.port) == 0 && hears(first, client));
	EXPECT(connect_to(other, HOST2, outsider.port) == 0 && hears(second, other));
	EXPECT(port_of(client, getpeername) == outsider.port && port_of(other, getpeername) == outsider.port);
	EXPECT(served(stream_socket(), INADDR_ANY, outsider.port) == -EADDRINUSE);
	return 0;
}

static void addresses_have_ports_of_their_own(void **state)
{
	(void)state;
	remapped_only(addresses_apart);
}

static int six_bind(int fd, const struct in6_addr *host, uint16_t port)
{
	struct sockaddr_in6 address = {AF_INET6, htons(port), 0, *host, 0};

	return bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? errno : listen(fd, 8) < 0;
}

/* :: takes IPv4 too, and is taken where that is. */
static int both_families(void *context)
{
	int dual = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), r, client = stream_socket(), zero = 0;
	int only = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in6 name;
	socklen_t size = sizeof(name);

	(void)context;
	setsockopt(dual, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	if ((r = six_bind(dual, &in6addr_any, outsider.port)) != 0)
		return r;
	EXPECT(getsockname(dual, (struct sockaddr *)&name, &size) == 0 &&
	       ntohs(name.sin6_port) == outsider.port);
	EXPECT(connect_to(client, HOST1, outsider.port) == 0 && hears(dual, client));
	EXPECT(port_of(client, getpeername) == outsider.port);
	EXPECT(six_bind(only, &in6addr_loopback, outsider.port) == EADDRINUSE);
	return 0;
}

static void families_share_a_port(void **state)
{
	(void)state;
	remapped_only(both_families);
}

/* ---- the end of an entry ---- */

static int copies_keep(void *context)
{
	int first = served(stream_socket(), HOST1, outsider.port), copy, hold[2];
	pid_t child;

	(void)context;
	if (first < 0)
		return -first;
	EXPECT((copy = dup(first)) >= 0 && pipe(hold) == 0);
	close(first);
	EXPECT(sl_port_mappings(NULL, 0) == 1);
	if ((child = fork()) == 0) {
		close(hold[1]);
		_exit(read(hold[0], &(char){0}, 1) != 0);
	}
	EXPECT(child > 0);
	close(copy);
	EXPECT(sl_port_mappings(NULL, 0) == 1);
	close(hold[1]);
	EXPECT(exit_of(child) == 0);
	EXPECT(sl_port_mappings(NULL, 0) == 0);
	return 0;
}

static void an_entry_lives_as_long_as_its_socket(void **state)
{
	(void)state;
	remapped_only(copies_keep);
}

static int mappings_read(void *context)
{
	struct sl_port_mapping mapping[2] = {{.protocol = 7}, {.protocol = 7}};
	int first;

	(void)context;
	EXPECT(sl_port_mappings(NULL, 1) == -EINVAL);
	if (sl_port_mappings(mapping, 2) == -ENOTSUP)
		return ENOTSUP;
	EXPECT(sl_port_mappings(mapping, 2) == 0 && mapping[0].protocol == 7);
	EXPECT((first = served(stream_socket(), HOST1, outsider.port)) >= 0);
	EXPECT(served(datagram_socket(), HOST1, outsider.port) >= 0);
	EXPECT(sl_port_mappings(mapping, 1) == 2 && mapping[1].protocol == 7);
	EXPECT(mapping[0].protocol == IPPROTO_TCP && mapping[0].asked == outsider.port);
	EXPECT(mapping[0].real != outsider.port && strcmp(mapping[0].address, "127.0.0.1") == 0);
	EXPECT(sl_port_mappings((void *)8, 2) == -EFAULT);
	return 0;
}

static void the_map_can_be_read(void **state)
{
	(void)state;
	assert_int_equal(attempt_bare(mappings_read, NULL), ENOTSUP);
	assert_int_equal(attempt_confined(GATE(), mappings_read, NULL), ENOTSUP);
	assert_int_equal(attempt_confined(REMAPPED, mappings_read, NULL), 0);
}

static int told_of(void *context)
{
	int fd = served(stream_socket(), HOST1, outsider.port), other;

	(void)context;
	if (fd < 0)
		return -fd;
	EXPECT((other = served(datagram_socket(), HOST1, outsider.port)) >= 0);
	/* The supervisor is well. */
	EXPECT(sl_port_mappings(NULL, 0) == 2);
	return 0;
}

static void who_wants_to_hears_of_it(void **state)
{
	char text[512], wanted[160];
	int ends[2];
	ssize_t n;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(attempt_bare(told_of, NULL), EADDRINUSE);
	assert_int_equal(attempt_confined(GATE("port-remap", "", "port-map-fd", text_of("%d", ends[1])),
	                                  told_of, NULL),
	                 0);
	close(ends[1]);
	assert_true((n = read(ends[0], text, sizeof(text) - 1)) > 0);
	text[n] = '\0';
	for (int udp = 0; udp < 2; udp++) {
		snprintf(wanted, sizeof(wanted),
		         "{\"protocol\":\"%s\",\"address\":\"127.0.0.1\",\"virtual\":%u,\"real\":",
		         udp ? "udp" : "tcp", outsider.port);
		assert_non_null(strstr(text, wanted));
	}
	assert_non_null(strstr(text, "}\n{"));
	/* End of file: neither the supervisor nor anybody else has it. */
	assert_int_equal(read(ends[0], text, sizeof(text)), 0);
	close(ends[0]);
}

static void who_does_not_read_stops_nobody(void **state)
{
	char block[4096] = {0};
	int ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	while (write(ends[1], block, sizeof(block)) > 0)
		;
	fcntl(ends[1], F_SETFL, 0);
	assert_int_equal(attempt_confined(GATE("port-remap", "", "port-map-fd", text_of("%d", ends[1])),
	                                  told_of, NULL),
	                 0);
	close(ends[0]);
	assert_int_equal(attempt_confined(GATE("port-remap", "", "port-map-fd", text_of("%d", ends[1])),
	                                  told_of, NULL),
	                 0);
	close(ends[1]);
}

/* ---- names, as the kernel tells them ---- */

struct name_case {
	int room;
	bool no_address, no_room, bad_address, bad_room;
};

static int name_told(int fd, const struct name_case *how, char *bytes)
{
	socklen_t room = (socklen_t)how->room;
	void *address = how->no_address ? NULL : how->bad_address ? (void *)8 : bytes;
	socklen_t *size = how->no_room ? NULL : how->bad_room ? (void *)8 : &room;

	memset(bytes, 'x', 64);
	if (syscall(SYS_getsockname, fd, address, size) < 0)
		return -errno;
	return (int)room;
}

/* Of a moved socket, and of one that nothing was done to: the same but for the rest of the address. */
static int names_compared(void *context)
{
	static const struct name_case cases[] = {
		{.room = 16},
		{.room = 64},
		{.room = 7},
		{.room = 0},
		{.room = -1},
		{.room = 16, .no_address = true},
		{.room = 0, .no_address = true},
		{.room = 16, .no_room = true},
		{.room = 16, .bad_address = true},
		{.room = -1, .bad_address = true},
		{.room = 16, .bad_room = true},
	};
	int moved = served(stream_socket(), HOST1, outsider.port), plain = stream_socket();
	char told[64], expected[64];

	(void)context;
	if (moved < 0)
		return -moved;
	EXPECT(bind_to(plain, HOST2, outsider.port) == 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int got = name_told(moved, &cases[i], told), want = name_told(plain, &cases[i], expected);

		if (cases[i].room >= 8 && want > 0)
			expected[7] = told[7] = 0; /* 127.0.0.1, 127.0.0.2 */
		if (got != want || memcmp(told, expected, sizeof(told)) != 0)
			fprintf(stderr, "# case %zu: %d, natively %d\n", i, got, want);
		EXPECT(got == want && memcmp(told, expected, sizeof(told)) == 0);
	}
	EXPECT(name_told(-1, &cases[0], told) == -EBADF);
	EXPECT(name_told(0, &cases[0], told) == -ENOTSOCK);
	EXPECT(port_of(moved, getpeername) == 0 && errno == ENOTCONN);
	return 0;
}

static void names_are_told_as_by_the_kernel(void **state)
{
	(void)state;
	remapped_only(names_compared);
}

/* ---- accept ---- */

struct accepting {
	int listener;
	uint16_t free;
};

/* A client whose own port was moved. */
static int caller_open(int listener_port)
{
	int client = stream_socket();

	if (bind_to(client, HOST1, outsider.port) != 0 ||
	    connect_to(client, HOST2, (uint16_t)listener_port) != 0)
		return -1;
	return client;
}

static int callers_seen(void *context)
{
	uint16_t port = *(uint16_t *)context;
	int listener = served(stream_socket(), HOST2, port), client, fd;
	struct sockaddr_in peer;
	socklen_t size = sizeof(peer);

	if ((client = caller_open(port)) < 0)
		return EADDRINUSE;
	EXPECT((fd = accept4(listener, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK)) >= 0);
	EXPECT(ntohs(peer.sin_port) == outsider.port && size == sizeof(peer));
	EXPECT(port_of(fd, getpeername) == outsider.port);
	EXPECT(fcntl(fd, F_GETFD) == 0 && fcntl(fd, F_GETFL) & O_NONBLOCK);
	EXPECT(write(client, "k", 1) == 1);
	EXPECT(poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 5000) == 1);
	EXPECT(read(fd, &(char){0}, 1) == 1);
	close(fd);
	/* Nobody more: at once, after a while, and with what cannot be. */
	fcntl(listener, F_SETFL, O_NONBLOCK);
	EXPECT(accept(listener, (struct sockaddr *)&peer, &size) < 0 && errno == EAGAIN);
	fcntl(listener, F_SETFL, 0);
	setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){0, 50000}, sizeof(struct timeval));
	EXPECT(accept(listener, (struct sockaddr *)&peer, &size) < 0 && errno == EAGAIN);
	EXPECT(accept4(listener, (struct sockaddr *)&peer, &size, 1) < 0 && errno == EINVAL);
	EXPECT(accept(client, (struct sockaddr *)&peer, &size) < 0 && errno == EINVAL);
	EXPECT(accept(-1, (struct sockaddr *)&peer, &size) < 0 && errno == EBADF);
	return 0;
}

#define REMAPPED_AND(port)                                                                             \
	POLICY("net-allow", text_of("127.0.0.1:%u", outsider.port), "net-allow",                       \
	       text_of("127.0.0.2:%u", port), "net-allow-bind", text_of("%u,%u", outsider.port, port), \
	       "port-remap", "")

static void a_callers_port_is_shown(void **state)
{
	uint16_t port = port_free();

	(void)state;
	assert_int_equal(attempt_bare(callers_seen, &port), EADDRINUSE);
	assert_int_equal(attempt_confined(REMAPPED_AND(port), callers_seen, &port), 0);
}

/* Each gets a number of its own, however many: the supervisor's ticks must not come between a descriptor and its answer. */
static int callers_counted(void *context)
{
	uint16_t port = *(uint16_t *)context;
	int listener = served(stream_socket(), HOST2, port), first = caller_open(port), fd, wrong = 0;
	struct sockaddr_in peer;
	socklen_t size = sizeof(peer);

	EXPECT(first >= 0 && (fd = accept4(listener, (struct sockaddr *)&peer, &size, 0)) > 2);
	for (int i = 0; i < 3000; i++) {
		struct linger reset = {.l_onoff = 1};
		int client = stream_socket(), next = dup(listener);

		close(next);
		setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		EXPECT(connect_to(client, HOST2, port) == 0);
		fd = accept4(listener, (struct sockaddr *)&peer, &size, 0);
		wrong += fd != next;
		close(client);
		close(next);
	}
	EXPECT(wrong == 0);
	return 0;
}

static void many_accepts_give_as_many_descriptors(void **state)
{
	uint16_t port = port_free();

	(void)state;
	assert_int_equal(attempt_confined(REMAPPED_AND(port), callers_counted, &port), 0);
}

static void *call_later(void *argument)
{
	int *fds = argument;

	usleep(100000);
	fds[1] = connect_to(fds[0], HOST2, (uint16_t)fds[2]);
	return NULL;
}

static void signal_nothing(int number)
{
	(void)number;
}

/* A blocking accept waits in the supervisor: for a caller, and for a signal. */
static int callers_awaited(void *context)
{
	uint16_t port = *(uint16_t *)context;
	int listener = served(stream_socket(), HOST2, port), call[3] = {stream_socket(), -1, port}, fd;
	struct sigaction action = {.sa_handler = signal_nothing};
	struct itimerval soon = {{0, 0}, {0, 100000}};
	struct sockaddr_in peer;
	socklen_t size = sizeof(peer);
	pthread_t thread;

	if (bind_to(call[0], HOST1, outsider.port) != 0)
		return EADDRINUSE;
	EXPECT(pthread_create(&thread, NULL, call_later, call) == 0);
	fd = accept4(listener, (struct sockaddr *)&peer, &size, SOCK_CLOEXEC);
	EXPECT(fd >= 0);
	pthread_join(thread, NULL);
	EXPECT(call[1] == 0 && ntohs(peer.sin_port) == outsider.port);
	EXPECT(fcntl(fd, F_GETFD) == FD_CLOEXEC && !(fcntl(fd, F_GETFL) & O_NONBLOCK));
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
	EXPECT(accept(listener, (struct sockaddr *)&peer, &size) < 0 && errno == EINTR);
	return 0;
}

static void an_accept_waits_for_callers(void **state)
{
	uint16_t port = port_free();

	(void)state;
	assert_int_equal(attempt_bare(callers_awaited, &port), EADDRINUSE);
	assert_int_equal(attempt_confined(REMAPPED_AND(port), callers_awaited, &port), 0);
}

/* No number left, no room for the address: the errno, and everything goes on. */
static int callers_without_room(void *context)
{
	uint16_t port = *(uint16_t *)context;
	int listener = served(stream_socket(), HOST2, port), client = caller_open(port), next;
	struct rlimit limit, none;
	struct sockaddr_in peer;
	socklen_t size = sizeof(peer);
	int second = stream_socket();

	if (client < 0)
		return EADDRINUSE;
	EXPECT(getrlimit(RLIMIT_NOFILE, &limit) == 0 && (next = dup(0)) >= 0);
	close(next);
	none = limit;
	none.rlim_cur = (rlim_t)next;
	EXPECT(setrlimit(RLIMIT_NOFILE, &none) == 0);
	EXPECT(accept(listener, (struct sockaddr *)&peer, &size) < 0 && errno == EMFILE);
	EXPECT(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	EXPECT(connect_to(second, HOST2, port) == 0);
	EXPECT(accept(listener, (struct sockaddr *)8, &size) < 0 && errno == EFAULT);
	return 0;
}

static void an_accept_without_room_fails(void **state)
{
	uint16_t port = port_free();

	(void)state;
	assert_int_equal(attempt_bare(callers_without_room, &port), EADDRINUSE);
	assert_int_equal(attempt_confined(REMAPPED_AND(port), callers_without_room, &port), 0);
}

/* ---- a full queue ---- */

/* *last is the first that the kernel drops the SYN of, and sends it again after a second. */
static int queue_filled(int listener, int *last)
{
	EXPECT(listen(listener, 0) == 0);
	for (int i = 0; i < 8; i++) {
		int r = connect_to(*last = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0),
		                   HOST1, outsider.port);

		if (r == ECONNREFUSED)
			return 0;
		EXPECT(r == 0 || r == EINPROGRESS);
	}
	return 10000 + __LINE__;
}

static void *accept_later(void *argument)
{
	usleep(300000);
	for (int i = 0; i < 20; i++, usleep(100000))
		accept_all(*(int *)argument);
	return NULL;
}

static int queue_waited_for(void *context)
{
	int listener = served(stream_socket(), HOST1, outsider.port), client = stream_socket(), last;
	pthread_t thread;

	(void)context;
	if (listener < 0)
		return -listener;
	EXPECT(queue_filled(listener, &last) == 0);
	EXPECT(pthread_create(&thread, NULL, accept_later, &listener) == 0);
	EXPECT(connect_to(client, HOST1, outsider.port) == 0);
	pthread_join(thread, NULL);
	return 0;
}

static void a_full_queue_refuses_who_does_not_wait(void **state)
{
	(void)state;
	remapped_only(queue_waited_for);
}

static int syn_sent_again(void *context)
{
	int listener = served(stream_socket(), HOST1, outsider.port), last;
	uint16_t real = real_of(IPPROTO_TCP, outsider.port);
	struct tcp_info info;
	socklen_t size = sizeof(info);

	(void)context;
	if (listener < 0)
		return -listener;
	EXPECT(queue_filled(listener, &last) == 0);
	close(listener);
	EXPECT(outsider_tell('b', real) == 0);
	usleep(1500000);
	EXPECT(getsockopt(last, IPPROTO_TCP, TCP_INFO, &info, &size) == 0);
	EXPECT(info.tcpi_state == TCP_CLOSE);
	return 0;
}

static void no_syn_outlives_the_port(void **state)
{
	(void)state;
	remapped_only(syn_sent_again);
}

/* ---- two sandboxes ---- */

struct inmate {
	pid_t pid;
	int talk;
	uint16_t real;
};

/* Binds, tells what it got; when told to, reaches itself. Or reaches for the port that it is told. */
static int inmate_live(int talk)
{
	int listener = served(stream_socket(), HOST1, outsider.port), own = stream_socket(),
	    foreign = stream_socket();
	uint16_t real = real_of(IPPROTO_TCP, outsider.port), other;
	int result;

	EXPECT(listener >= 0);
	EXPECT(write(talk, &real, sizeof(real)) == sizeof(real));
	EXPECT(read(talk, &other, sizeof(other)) == sizeof(other));
	EXPECT(connect_to(own, HOST1, outsider.port) == 0 && hears(listener, own));
	EXPECT(port_of(listener, getsockname) == outsider.port);
	result = connect_to(foreign, HOST1, other);
	EXPECT(write(talk, &result, sizeof(result)) == sizeof(result));
	EXPECT(read(talk, &other, sizeof(other)) == sizeof(other));
	return 0;
}

static struct inmate inmate_start(void)
{
	sl_policy *policy = policy_of(REMAPPED);
	struct inmate inmate;
	int talk[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, talk), 0);
	if ((inmate.pid = process_fork()) == 0) {
		close(talk[0]);
		_exit(sl_confine_self(policy, NULL) < 0 ? 2 : inmate_live(talk[1]) != 0);
	}
	close(talk[1]);
	sl_policy_free(policy);
	inmate.talk = talk[0];
	assert_int_equal(read(inmate.talk, &inmate.real, sizeof(inmate.real)), sizeof(inmate.real));
	return inmate;
}

static int inmate_reach(const struct inmate *inmate, uint16_t port)
{
	int result;

	assert_int_equal(write(inmate->talk, &port, sizeof(port)), sizeof(port));
	assert_int_equal(read(inmate->talk, &result, sizeof(result)), sizeof(result));
	return result;
}

static void inmate_end(const struct inmate *inmate)
{
	uint16_t nothing = 0;

	assert_int_equal(write(inmate->talk, &nothing, sizeof(nothing)), sizeof(nothing));
	assert_int_equal(exit_of(inmate->pid), 0);
	close(inmate->talk);
}

/* The other one's real port is no port that a rule names. Bare it can be reached. */
static void each_sandbox_has_the_port(void **state)
{
	struct inmate first = inmate_start(), second = inmate_start();

	(void)state;
	assert_int_not_equal(first.real, second.real);
	assert_int_not_equal(first.real, outsider.port);
	assert_int_not_equal(second.real, outsider.port);
	assert_int_equal(inmate_reach(&second, first.real), EACCES);
	assert_int_equal(inmate_reach(&first, second.real), EACCES);
	assert_int_equal(tcp_try(AF_INET, first.real), 0);
	inmate_end(&first);
	inmate_end(&second);
}

/* ---- what must not be gained ---- */

static int ungranted_bound(void *context)
{
	int fd = served(stream_socket(), HOST1, *(uint16_t *)context);

	return fd < 0 ? -fd : 0;
}

static int ungranted_udp_bound(void *context)
{
	return bind_to(datagram_socket(), HOST1, *(uint16_t *)context);
}

static void only_granted_ports_are_bound(void **state)
{
	uint16_t taken = 0;
	int fd = tcp_listener(AF_INET, &taken), other = datagram_socket();

	(void)state;
	assert_int_equal(bind_to(other, HOST1, taken), 0);
	for (int udp = 0; udp < 2; udp++) {
		attempt_fn attempt = udp ? ungranted_udp_bound : ungranted_bound;

		assert_int_equal(attempt_bare(attempt, &taken), EADDRINUSE);
		assert_int_equal(attempt_confined(REMAPPED, attempt, &taken), EACCES);
		assert_int_equal(attempt_confined(POLICY("net-allow-bind", text_of("tcp://%u", taken),
		                                         "net-allow-bind", text_of("udp://%u", taken),
		                                         "port-remap", ""),
		                                  attempt, &taken),
		                 0);
	}
	close(fd);
	close(other);
}

/* Once the sandbox has closed it, the port may be anybody's, and only its own number is granted. */
static int stale_used(void *context)
{
	int listener = served(stream_socket(), HOST1, outsider.port), client = stream_socket();
	uint16_t real = real_of(IPPROTO_TCP, outsider.port);
	char byte = 0;

	(void)context;
	EXPECT(listener >= 0 && real != outsider.port);
	close(listener);
	EXPECT(outsider_tell('b', real) == 0);
	EXPECT(connect_to(client, HOST1, outsider.port) == 0);
	EXPECT(port_of(client, getpeername) == outsider.port);
	EXPECT(read(client, &byte, 1) == 1 && byte == 'o');
	return connect_to(stream_socket(), HOST1, real);
}

static void a_closed_port_leads_nowhere(void **state)
{
	(void)state;
	assert_int_equal(attempt_confined(REMAPPED, stale_used, NULL), EACCES);
}

/* What a supervisor waits between the look and the connect, so that it is overtaken: one that does not wait hardly ever is,
 * and the control would not meet anybody. */
enum { MEANWHILE_US = 2000 };

struct calling {
	volatile bool done;
	int strangers, answered;
};

static void *call_on(void *argument)
{
	struct calling *calling = argument;

	while (!calling->done) {
		int fd = stream_socket();
		struct timeval limit = {0, 2000};
		char byte = 0;

		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
		if (connect_to(fd, HOST1, outsider.port) == 0 && read(fd, &byte, 1) == 1) {
			calling->answered += byte == 'o';
			calling->strangers += byte == 'x';
		}
		close(fd);
	}
	return NULL;
}

/* The port changes hands while another thread connects. It may meet the sandbox, or the outsider where that is granted;
 * never the outsider at the port that was given up. */
static int ports_given_up(void *context)
{
	const bool *meets_strangers = context;
	struct calling calling = {0};
	pthread_t thread;

	EXPECT(pthread_create(&thread, NULL, call_on, &calling) == 0);
	for (int round = 0; round < 200 && !(*meets_strangers && calling.strangers > 0); round++) {
		int listener = served(stream_socket(), HOST1, outsider.port), r;
		uint16_t real = real_of(IPPROTO_TCP, outsider.port);

		EXPECT(listener >= 0 && real != outsider.port);
		usleep((useconds_t)round % 7 * 100);
		close(listener);
		r = outsider_tell('b', real);
		EXPECT(r == 0 || r == EADDRINUSE);
		usleep((useconds_t)round % 5 * 100);
	}
	calling.done = true;
	pthread_join(thread, NULL);
	fprintf(stderr, "# answered %d times, by strangers %d times\n", calling.answered, calling.strangers);
	EXPECT(*meets_strangers ? calling.strangers > 0 : calling.strangers == 0 && calling.answered > 0);
	return 0;
}

static void a_port_that_is_given_up_meanwhile_leads_nowhere(void **state)
{
	bool met = false;

	(void)state;
	assert_int_equal(attempt_confined(REMAPPED, ports_given_up, &met), 0);
	flawed.pause_us = MEANWHILE_US;
	assert_int_equal(attempt_confined(REMAPPED, ports_given_up, &met), 0);
	flawed.pause_us = 0;
}

/* The control: the same race against a supervisor that does not look again. */
static void a_port_that_is_given_up_leads_astray_who_looks_once(void **state)
{
	bool met = true;

	(void)state;
	flawed.pause_us = MEANWHILE_US;
	flawed.looks_once = true;
	assert_int_equal(attempt_confined(REMAPPED, ports_given_up, &met), 0);
	flawed.looks_once = false;
	flawed.pause_us = 0;
}

/* 127.0.0.1, 127.0.0.2, ... each moved, until there is no room; and room again. */
static int map_flooded(void *context)
{
	int fds[300], moved = 0, r = 0, fd;

	(void)context;
	for (unsigned i = 0; i < 300; i++) {
		fds[i] = stream_socket();
		if ((r = bind_to(fds[i], HOST1 + i, outsider.port)) == 0)
			moved++;
		else
			EXPECT(r == EADDRINUSE);
	}
	if (moved == 0)
		return EADDRINUSE;
	EXPECT(moved == 256 && sl_port_mappings(NULL, 0) == 256);
	/* What needs no room has it. */
	EXPECT((fd = stream_socket()) >= 0 && connect_to(fd, HOST1, outsider.port) == ECONNREFUSED);
	for (unsigned i = 0; i < 300; i++)
		close(fds[i]);
	EXPECT((fd = served(stream_socket(), HOST1 + 299, outsider.port)) >= 0);
	EXPECT(sl_port_mappings(NULL, 0) == 1);
	return 0;
}

static void a_full_map_refuses_and_recovers(void **state)
{
	(void)state;
	remapped_only(map_flooded);
}

struct flipping {
	int number, sources[2];
	volatile bool done;
};

static void *flip(void *argument)
{
	struct flipping *flipping = argument;

	for (unsigned i = 0; !flipping->done; i++)
		dup2(flipping->sources[i % 2], flipping->number);
	return NULL;
}

/* The number means a TCP or a UDP socket, by turns. Whichever is bound shows the port, and the map names no more than
 * are bound. */
static int numbers_raced(void *context)
{
	(void)context;
	for (int round = 0; round < 150; round++) {
		struct flipping flipping = {.sources = {stream_socket(), datagram_socket()}};
		int bound = 0, count;
		pthread_t thread;

		flipping.number = dup(flipping.sources[0]);
		EXPECT(pthread_create(&thread, NULL, flip, &flipping) == 0);
		for (int i = 0; i < 10; i++)
			bound += bind_to(flipping.number, HOST1, outsider.port) == 0;
		flipping.done = true;
		pthread_join(thread, NULL);
		count = sl_port_mappings(NULL, 0);
		for (int i = 0; i < 2; i++) {
			uint16_t port = port_of(flipping.sources[i], getsockname);

			EXPECT(port == 0 || port == outsider.port);
			bound -= port == outsider.port;
			count -= port == outsider.port;
			close(flipping.sources[i]);
		}
		EXPECT(bound == 0 && count == 0);
		close(flipping.number);
		EXPECT(sl_port_mappings(NULL, 0) == 0);
	}
	return 0;
}

static void a_number_that_changes_its_meaning_confuses_nothing(void **state)
{
	(void)state;
	assert_int_equal(attempt_confined(REMAPPED, numbers_raced, NULL), 0);
}

#define WITH(test, open) cmocka_unit_test_setup_teardown(test, open, outsider_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(a_taken_tcp_port_works_all_the_same, outsider_open),
		WITH(a_taken_udp_port_works_all_the_same, outsider_open),
		WITH(a_source_that_is_seen_can_be_answered, outsider_open),
		WITH(tcp_and_udp_are_apart, outsider_open_tcp),
		WITH(a_port_that_is_free_again_is_the_port, outsider_open),
		WITH(what_the_sandbox_has_itself_is_taken, outsider_open),
		cmocka_unit_test(an_ephemeral_port_is_taken_too),
		WITH(reuseport_shares_inside, outsider_open),
		cmocka_unit_test(reuseport_does_not_share_with_others),
		WITH(addresses_have_ports_of_their_own, outsider_open_tcp),
		WITH(families_share_a_port, outsider_open_any),
		WITH(an_entry_lives_as_long_as_its_socket, outsider_open),
		WITH(the_map_can_be_read, outsider_open),
		WITH(who_wants_to_hears_of_it, outsider_open),
		WITH(who_does_not_read_stops_nobody, outsider_open),
		WITH(names_are_told_as_by_the_kernel, outsider_open),
		WITH(a_callers_port_is_shown, outsider_open),
		WITH(many_accepts_give_as_many_descriptors, outsider_open),
		WITH(an_accept_waits_for_callers, outsider_open),
		WITH(an_accept_without_room_fails, outsider_open),
		WITH(a_full_queue_refuses_who_does_not_wait, outsider_open),
		WITH(no_syn_outlives_the_port, outsider_open),
		WITH(each_sandbox_has_the_port, outsider_open),
		WITH(only_granted_ports_are_bound, outsider_open),
		WITH(a_closed_port_leads_nowhere, outsider_open),
		WITH(a_port_that_is_given_up_meanwhile_leads_nowhere, outsider_open),
		WITH(a_port_that_is_given_up_leads_astray_who_looks_once, outsider_open),
		WITH(a_full_map_refuses_and_recovers, outsider_open_any),
		WITH(a_number_that_changes_its_meaning_confuses_nothing, outsider_open),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
