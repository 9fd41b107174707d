/* What a program can see of its own sockets afterwards is what it was: flags, descriptors, epoll, queues, ends. */
#include "tests/same/same.h"

#include <dirent.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static void note_descriptors(void)
{
	struct dirent *entry;
	DIR *fds = opendir("/proc/self/fd");
	int count = 0;

	NEED(fds != NULL);
	while ((entry = readdir(fds)) != NULL)
		count += entry->d_name[0] != '.';
	closedir(fds);
	note("descriptors %d", count);
}

/* with: call, kind, 1: nonblocking */
static void nothing_else_changes(const int *with)
{
	struct place place;
	int kind = with[1], fd, peer = peer_of(kind, "peer", &place), queued = -1;
	struct stat before, after;

	fd = socket_of(kind, with[2] ? SOCK_NONBLOCK : 0);
	NEED(fcntl(fd, F_SETOWN, getpid()) == 0 && fstat(fd, &before) == 0);
	note_descriptors();
	if (with[0] == CALL_BIND)
		place = kinds[kind].family == AF_UNIX   ? place_path("ours")
		        : kinds[kind].family == AF_INET ? place_v4(INADDR_LOOPBACK, 0)
		                                        : place_v6(0);
	for (int i = 0; i < 3; i++)
		NOTE(call_address(with[0], fd, &place.at, (int)place.size, MSG_NOSIGNAL));
	note_descriptors();
	note("status flags %x, descriptor flags %x, owner %d", fcntl(fd, F_GETFL), fcntl(fd, F_GETFD),
	     fcntl(fd, F_GETOWN) == getpid());
	NOTE(ioctl(fd, FIONREAD, &queued));
	note("queued %d", queued);
	NEED(fstat(fd, &after) == 0);
	note("the same socket %d", before.st_ino == after.st_ino && before.st_mode == after.st_mode);
	if (kind_is_datagram(kind))
		note_arrivals(peer, 0);
}

/* with: kind, 1: one-shot, edge-triggered else */
static void epoll_stays(const int *with)
{
	struct place place;
	int listener = peer_of(with[0], "peer", &place), set = epoll_create1(EPOLL_CLOEXEC), got;
	int fd = socket_of(with[0], SOCK_NONBLOCK);
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | (with[1] ? EPOLLONESHOT : EPOLLET),
	                            .data.u32 = 7};

	NEED(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0);
	NOTE(connect_place(fd, &place));
	note_poll(fd, POLLOUT, 3000);
	event = (struct epoll_event){0};
	NOTE(epoll_wait(set, &event, 1, 1000) > 0);
	note("events %x, data %u", event.events & (unsigned)~EPOLLHUP, event.data.u32);
	NOTE(send(fd, "hello", 5, 0));
	if (!kind_is_datagram(with[0])) {
		NEED((got = accept(listener, NULL, NULL)) >= 0);
		NOTE(send_way(WAY_SENDMSG, got, "back", 4, 0));
		note_poll(fd, POLLIN, 3000);
	}
	event = (struct epoll_event){0};
	note("again %d", epoll_wait(set, &event, 1, 0));
	note("events %x, data %u", event.events & EPOLLIN, event.data.u32);
	event.events = EPOLLIN;
	NOTE(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event));
	NOTE(epoll_ctl(set, EPOLL_CTL_DEL, fd, &event));
}

/* with: kind, 1: sends by sendmsg. Close after a call must be seen by the peer at once: nobody else has the socket. */
static void close_is_the_end(const int *with)
{
	struct place place;
	int listener = peer_of(with[0], "peer", &place), fd, got;

	for (int i = 0; i < 20; i++) {
		fd = socket_of(with[0], 0);
		NEED(connect_place(fd, &place) == 0 && (got = accept(listener, NULL, NULL)) >= 0);
		if (with[1])
			NEED(send_way(WAY_SENDMSG, fd, "last", 4, 0) == 4);
		close(fd);
		if (kinds[with[0]].family != AF_UNIX)
			note_poll(got, POLLRDHUP, 3000);
		else
			note_poll(got, POLLRDHUP, 0);
		note_stream(got, with[1] ? 4 : 0);
		close(got);
	}
}

/* A port is free again when its socket is closed. */
static void close_frees_the_port(const int *with)
{
	struct place place = with[0] == UDP4 || with[0] == TCP4 ? place_v4(INADDR_LOOPBACK, 0) : place_v6(0);

	for (int i = 0; i < 20; i++) {
		int fd = socket_of(with[0], 0);

		note("bind -> %s", bind(fd, &place.at.any, place.size) < 0 ? error_name(errno) : "0");
		if (i == 0)
			place = place_of(fd);
		if (!kind_is_datagram(with[0]))
			note("listen -> %s", listen(fd, 1) < 0 ? error_name(errno) : "0");
		close(fd);
	}
}

/* with: kind. The order of what one socket says in several ways. */
static void order_is_kept(const int *with)
{
	struct pair pair = pair_of(with[0]);
	char text[8] = "0";
	int count = 0;

	/* Ten is what a unix datagram socket's queue takes. */
	for (int i = 0; i < 10; i++) {
		text[0] = (char)('a' + i);
		count += note_result("send", send_way(i % WAYS, pair.ours, text, 1, 0)) > 0;
	}
	if (kind_is_stream(with[0]))
		note_stream(pair.theirs, (size_t)count);
	else
		note_arrivals(pair.theirs, count);
}

/* A socket that two processes have, of which the child calls. */
static void shared_body(const int *numbers)
{
	struct place place = place_path("peer");
	struct sockaddr_in v4;

	if (numbers[1] != AF_UNIX) {
		v4 = (struct sockaddr_in){
			AF_INET, htons((uint16_t)numbers[2]), {htonl(INADDR_LOOPBACK)}, {0}};
		memcpy(&place.at, &v4, sizeof(v4));
		place.size = sizeof(v4);
	}
	if (connect_place(numbers[0], &place) == 0)
		send(numbers[0], "from the child", 14, 0);
}

static void shared_with_a_child(const int *with)
{
	struct place place;
	int peer = peer_of(with[0], "peer", &place), fd = socket_of(with[0], 0), got = peer;

	child_wait(child_begin(shared_body, (const int[]){fd, kinds[with[0]].family, place_port(&place)}));
	note_names(fd);
	NOTE(send_way(WAY_SENDMSG, fd, "from us", 7, 0));
	if (!kind_is_datagram(with[0]))
		NEED((got = accept(peer, NULL, NULL)) >= 0);
	if (kind_is_stream(with[0]))
		note_stream(got, 21);
	else
		note_arrivals(got, 2);
}

/* Pending signals and masks are the program's own. */
static void signals_are_ours(const int *with)
{
	struct place place;
	sigset_t set, now;
	int fd = socket_of(with[0], 0);

	peer_of(with[0], "peer", &place);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	NEED(sigprocmask(SIG_BLOCK, &set, NULL) == 0 && raise(SIGUSR1) == 0);
	NOTE(connect_place(fd, &place));
	NOTE(send_way(WAY_SENDMSG, fd, "x", 1, 0));
	sigpending(&now);
	note("pending %d", sigismember(&now, SIGUSR1));
	sigprocmask(SIG_BLOCK, NULL, &now);
	note("blocked %d, SIGPIPE %d, SIGALRM %d", sigismember(&now, SIGUSR1), sigismember(&now, SIGPIPE),
	     sigismember(&now, SIGALRM));
}

static void zero_copy(const int *with)
{
	struct pair pair = pair_of(with[0]);
	int one = 1;

	NOTE_AS("SO_ZEROCOPY", setsockopt(pair.ours, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one)));
	note_result(way_names[with[1]], send_way(with[1], pair.ours, "zero", 4, MSG_ZEROCOPY));
	note_poll(pair.ours, 0, 0);
	if (kind_is_stream(with[0]))
		note_stream(pair.theirs, 4);
	else
		note_arrivals(pair.theirs, 1);
}

void scenarios_of_aftermath(void)
{
	for (int call = 0; call < CALLS; call++)
		for (int kind = 0; kind < KINDS; kind++)
			for (int waits = 0; waits < 2; waits++)
				scenario_add(nothing_else_changes, WITH(call, kind, !waits),
				             "afterwards: %s on %s %s", call_names[call],
				             waits ? "blocking" : "nonblocking", kinds[kind].name);
	for (int kind = 0; kind < KINDS; kind++) {
		scenario_add(epoll_stays, WITH(kind, 0), "afterwards: epoll, edges, %s", kinds[kind].name);
		scenario_add(epoll_stays, WITH(kind, 1), "afterwards: epoll, one shot, %s", kinds[kind].name);
		scenario_add(order_is_kept, WITH(kind), "afterwards: order on %s", kinds[kind].name);
		scenario_add(signals_are_ours, WITH(kind), "afterwards: signals, %s", kinds[kind].name);
		if (kinds[kind].family != AF_INET6)
			scenario_add(shared_with_a_child, WITH(kind), "afterwards: a child's connect, %s",
			             kinds[kind].name);
		if (kinds[kind].family != AF_UNIX)
			scenario_add(close_frees_the_port, WITH(kind), "afterwards: the port of %s is free",
			             kinds[kind].name);
		for (int way = 0; kinds[kind].family != AF_UNIX && way < WAYS; way++)
			scenario_add(zero_copy, WITH(kind, way), "afterwards: MSG_ZEROCOPY on %s by %s",
			             kinds[kind].name, way_names[way]);
		for (int says = 0; !kind_is_datagram(kind) && says < 2; says++)
			scenario_add(close_is_the_end, WITH(kind, says), "afterwards: close of %s%s",
			             kinds[kind].name, says ? " after sendmsg" : "");
	}
}
