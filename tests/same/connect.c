/* connect(2): TCP in every mode and state, and what AF_UNSPEC undoes. */
#include "tests/same/same.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/time.h>
#include <unistd.h>

enum reach { REACH_V4, REACH_V6, REACH_MAPPED, REACH_ONLY6, REACHES };
static const char *const reach_names[REACHES] = {"v4", "v6", "v4 through a v6 socket",
                                                 "v4 through an IPV6_V6ONLY socket"};

static int reach_socket(int reach, int flags)
{
	int fd = socket_of(reach == REACH_V4 ? TCP4 : TCP6, flags), one = 1;

	if (reach == REACH_ONLY6)
		NEED(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) == 0);
	return fd;
}

static int reach_peer(int reach, bool answers, struct place *place)
{
	int kind = reach == REACH_V6 ? TCP6 : TCP4, fd;

	if (answers)
		fd = peer_of(kind, NULL, place);
	else
		*place = place_refusing(kind, &fd);
	if (reach == REACH_MAPPED || reach == REACH_ONLY6)
		*place = place_mapped(place_port(place));
	return fd;
}

/* with: reach, flags, answers */
static void tcp_connects(const int *with)
{
	struct place place, from = {.size = sizeof(from.at)};
	int listener = reach_peer(with[0], with[2], &place), fd = reach_socket(with[0], with[1]), got;

	if (NOTE(connect_place(fd, &place)) < 0 && errno == EINPROGRESS)
		note_poll(fd, POLLOUT, 3000);
	note_error_of(fd);
	note_names(fd);
	NOTE(connect_place(fd, &place));
	NOTE(connect_place(fd, &place));
	note_poll(fd, POLLIN | POLLOUT, 0);
	if (!with[2] || with[0] == REACH_ONLY6)
		return;
	NOTE(send(fd, "first", 5, 0));
	close(fd);
	got = accept(listener, &from.at.any, &from.size);
	note("from %s", address_text(&from.at, from.size));
	note_stream(got, 5);
}

static void add_tcp(void)
{
	for (int reach = 0; reach < REACHES; reach++)
		for (int wait = 0; wait < 2; wait++)
			for (int answers = 0; answers < 2; answers++)
				scenario_add(tcp_connects, WITH(reach, wait ? 0 : SOCK_NONBLOCK, answers),
				             "connect: tcp %s, %s, %s", reach_names[reach],
				             wait ? "blocking" : "nonblocking",
				             answers ? "somebody listens" : "refused");
}

/* ---- a connect that stays under way: a queue of one, and that one is taken ---- */

static int hole_open(struct place *place)
{
	int listener = peer_of(TCP4, NULL, place), filler = socket_of(TCP4, 0);

	NEED(listen(listener, 0) == 0);
	NEED(connect_place(filler, place) == 0);
	return listener;
}

static void connect_stays_under_way(const int *with)
{
	struct place hole, good, none = {.size = sizeof(struct sockaddr_in)};
	int listener = hole_open(&hole), fd = socket_of(TCP4, SOCK_NONBLOCK);

	(void)with;
	peer_of(TCP4, NULL, &good);
	NOTE(connect_place(fd, &hole));
	NOTE(connect_place(fd, &hole));
	NOTE(connect_place(fd, &good));
	note_poll(fd, POLLOUT, 0);
	note_names(fd);
	note_error_of(fd);
	NOTE(send(fd, "x", 1, MSG_NOSIGNAL));
	NOTE(call_address(CALL_SENDTO, fd, &good.at, (int)good.size, MSG_NOSIGNAL));
	NOTE(call_address(CALL_SENDMSG, fd, &good.at, (int)good.size, MSG_NOSIGNAL));
	NOTE(listen(fd, 1));
	NOTE(connect_place(fd, &none));
	NOTE(connect_place(fd, &good));
	note_poll(fd, POLLOUT, 3000);
	note_names(fd);
	close(listener);
}

/* with: milliseconds of SO_SNDTIMEO, 0: an alarm's handler ends it. Waiting is bounded by the scenario's limit. */
static void connect_waits_in_vain(const int *with)
{
	struct timeval limit = {.tv_usec = with[0] * 1000};
	struct place hole;
	int fd = socket_of(TCP4, 0);

	hole_open(&hole);
	signal_count(SIGALRM, 0);
	if (with[0] > 0)
		NEED(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) == 0);
	else
		alarm_every(60);
	NOTE(connect_place(fd, &hole));
	if (with[0] == 0)
		alarm_every(60);
	NOTE(connect_place(fd, &hole));
	note_signals();
	note_names(fd);
	note("flags %x", fcntl(fd, F_GETFL));
}

static void add_waiting(void)
{
	scenario_add(connect_stays_under_way, WITH(0), "connect: under way, again, elsewhere, undone");
	scenario_add(connect_waits_in_vain, WITH(60), "connect: SO_SNDTIMEO ends it");
	scenario_add(connect_waits_in_vain, WITH(0), "connect: a signal ends it");
}

/* ---- AF_UNSPEC ---- */

/* with: kind, size */
static void unspec_disconnects(const int *with)
{
	struct pair pair = pair_of(with[0]);
	struct place none = {.size = (socklen_t)with[1]}, place;

	NOTE(connect_place(pair.ours, &none));
	note_names(pair.ours);
	note_poll(pair.ours, POLLIN | POLLOUT, 0);
	NOTE(send(pair.ours, "x", 1, MSG_NOSIGNAL));
	if (pair.listener >= 0)
		note_stream(pair.theirs, 1);
	else
		note_arrivals(pair.theirs, 0);
	peer_of(with[0], "other", &place);
	NOTE(connect_place(pair.ours, &place));
	note_names(pair.ours);
	NOTE(send(pair.ours, "x", 1, MSG_NOSIGNAL));
}

static void unspec_first(const int *with)
{
	struct place none = {.size = (socklen_t)with[1]};
	int fd = socket_of(with[0], 0);

	NOTE(connect_place(fd, &none));
	note_names(fd);
	NOTE(send(fd, "x", 1, MSG_NOSIGNAL));
}

static void unspec_listener(const int *with)
{
	struct place place, none = {.size = 16};
	int fd = peer_of(with[0], "listener", &place), late = socket_of(with[0], 0);

	NOTE(connect_place(fd, &place));
	NOTE(connect_place(fd, &none));
	note_names(fd);
	NOTE(connect_place(late, &place));
}

static void add_unspec(void)
{
	static const int sizes[] = {2, 16, 28};

	for (int kind = 0; kind < KINDS; kind++)
		for (size_t i = 0; i < COUNT_OF(sizes); i++) {
			scenario_add(unspec_disconnects, WITH(kind, sizes[i]),
			             "connect: AF_UNSPEC (%d) on connected %s", sizes[i], kinds[kind].name);
			scenario_add(unspec_first, WITH(kind, sizes[i]),
			             "connect: AF_UNSPEC (%d) on fresh %s", sizes[i], kinds[kind].name);
		}
	for (int kind = 0; kind < KINDS; kind++)
		if (!kind_is_datagram(kind))
			scenario_add(unspec_listener, WITH(kind), "connect: a listening %s, then AF_UNSPEC",
			             kinds[kind].name);
}

/* ---- odd places ---- */

static const struct {
	const char *name;
	int reach;
	uint32_t host;
	int port; /* -1: of a listener on 127.0.0.1 */
} odd_places[] = {
	{"0.0.0.0", REACH_V4, INADDR_ANY, -1},    {"127.0.0.2", REACH_V4, INADDR_LOOPBACK + 1, -1},
	{"port 0", REACH_V4, INADDR_LOOPBACK, 0}, {"a broadcast", REACH_V4, INADDR_BROADCAST, 9},
	{"a multicast", REACH_V4, 0xe0000001, 9}, {"240.0.0.1", REACH_V4, 0xf0000001, 9},
};

static void connect_odd(const int *with)
{
	struct place place;
	int fd = socket_of(with[1], 0);

	peer_of(TCP4, NULL, &place);
	place = place_v4(odd_places[with[0]].host, odd_places[with[0]].port < 0
	                                                   ? place_port(&place)
	                                                   : (uint16_t)odd_places[with[0]].port);
	NOTE(connect_place(fd, &place));
	note_names(fd);
	note_error_of(fd);
}

static void connect_bound_to(const int *with)
{
	struct place place, own = with[0] == TCP4 ? place_v4(INADDR_LOOPBACK, 0) : place_v6(0), from = {0};
	int listener = peer_of(with[0], NULL, &place), fd = socket_of(with[0], 0), one = 1;

	if (with[1])
		NEED(setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one)) == 0);
	NEED(bind(fd, &own.at.any, own.size) == 0);
	note_names(fd);
	NOTE(connect_place(fd, &place));
	note_names(fd);
	from.size = sizeof(from.at);
	NEED(accept(listener, &from.at.any, &from.size) >= 0);
	note("from %s", address_text(&from.at, from.size));
}

/* Nobody but itself: the simultaneous open of one socket. */
static void connect_itself(const int *with)
{
	struct place own = with[0] == TCP4 ? place_v4(INADDR_LOOPBACK, 0) : place_v6(0);
	int fd = socket_of(with[0], 0);

	NEED(bind(fd, &own.at.any, own.size) == 0);
	own = place_of(fd);
	NOTE(connect_place(fd, &own));
	note_names(fd);
	NOTE(send(fd, "me", 2, 0));
	note_stream(fd, 2);
}

static void connect_fast_open(const int *with)
{
	struct place place;
	int listener = peer_of(TCP4, NULL, &place), fd = socket_of(TCP4, 0), got, one = 1;

	NOTE_AS("TCP_FASTOPEN_CONNECT", setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &one, sizeof(one)));
	NOTE(connect_place(fd, &place));
	NOTE(connect_place(fd, &place));
	NOTE(send_way(with[0], fd, "early", 5, 0));
	NEED((got = accept(listener, NULL, NULL)) >= 0);
	note_stream(got, 5);
}

static void add_odd(void)
{
	for (size_t i = 0; i < COUNT_OF(odd_places); i++) {
		scenario_add(connect_odd, WITH((int)i, TCP4), "connect: tcp4 to %s", odd_places[i].name);
		scenario_add(connect_odd, WITH((int)i, UDP4), "connect: udp4 to %s", odd_places[i].name);
	}
	for (int kind = TCP4; kind <= TCP6; kind++) {
		scenario_add(connect_bound_to, WITH(kind, 0), "connect: %s that is bound", kinds[kind].name);
		scenario_add(connect_bound_to, WITH(kind, 1), "connect: %s with IP_BIND_ADDRESS_NO_PORT",
		             kinds[kind].name);
		scenario_add(connect_itself, WITH(kind), "connect: %s to itself", kinds[kind].name);
	}
	for (int way = 0; way < WAYS; way++)
		scenario_add(connect_fast_open, WITH(way), "connect: TCP_FASTOPEN_CONNECT, then %s",
		             way_names[way]);
}

void scenarios_of_connect(void)
{
	add_tcp();
	add_waiting();
	add_unspec();
	add_odd();
}
