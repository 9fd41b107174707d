/* What connect, bind, sendto, sendmsg and sendmmsg say to every length, pointer and kind of descriptor. */
#include "tests/same/same.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- families and lengths ---- */

static const struct {
	const char *name;
	int family;
} families[] = {
	{"AF_UNSPEC", AF_UNSPEC}, {"AF_INET", AF_INET},       {"AF_INET6", AF_INET6},
	{"AF_UNIX", AF_UNIX},     {"AF_NETLINK", AF_NETLINK}, {"family 200", 200},
};

static const int lengths[] = {
	0,  1,  2,   3,   4,   7,   8,   15,  16,   17,      23, 24,      27,
	28, 29, 109, 110, 111, 127, 128, 129, 4096, INT_MAX, -1, INT_MIN,
};

/* What a stream or a datagram of this family would find somebody at. */
static struct place family_place(int family, int kind, int *peer)
{
	struct place place = {.size = sizeof(place.at)};

	*peer = -1;
	if (family == AF_INET || family == AF_INET6)
		*peer = peer_of(kind_is_datagram(kind) ? family == AF_INET ? UDP4 : UDP6
		                : family == AF_INET    ? TCP4
		                                       : TCP6,
		                NULL, &place);
	else if (family == AF_UNIX)
		*peer = peer_of(kinds[kind].family == AF_UNIX ? kind : UNIX_STREAM, "peer", &place);
	else
		place.at.any.sa_family = (sa_family_t)family;
	return place;
}

/* with: call, kind, family. The port is 0 for bind, so that each can have one. */
static void every_length(const int *with)
{
	int call = with[0], kind = with[1], peer, kept[COUNT_OF(lengths)];
	struct place place = family_place(with[2], kind, &peer);
	size_t count = 0;

	if (call == CALL_BIND && kinds[kind].family != AF_UNIX && place.at.any.sa_family != AF_UNIX)
		place.at.v4.sin_port = 0;
	for (size_t i = 0; i < COUNT_OF(lengths); i++) {
		int fd = socket_of(kind, SOCK_NONBLOCK);
		long r = call_address(call, fd, &place.at, lengths[i], MSG_NOSIGNAL);

		note("%d -> %ld %s", lengths[i], r, r < 0 ? error_name(errno) : "");
		if (r >= 0 && call == CALL_CONNECT)
			note_peer_name(fd);
		/* A port that is free again may be given to the next one, and who came from where would be luck. */
		if (kind_is_datagram(kind))
			kept[count++] = fd;
		else
			close(fd);
	}
	if (peer >= 0 && kind_is_datagram(kind))
		note_arrivals(peer, 0);
	while (count > 0)
		close(kept[--count]);
}

/* The same on a socket that is connected, or that is one end of a socketpair. */
static void every_length_connected(const int *with)
{
	int call = with[0], kind = with[1], peer;
	struct pair pair = pair_of(kind);
	struct place place;

	unlink("peer");
	place = family_place(with[2], kind, &peer);
	for (size_t i = 0; i < COUNT_OF(lengths); i++) {
		long r = call_address(call, pair.ours, &place.at, lengths[i], MSG_NOSIGNAL | MSG_DONTWAIT);

		note("%d -> %ld %s", lengths[i], r, r < 0 ? error_name(errno) : "");
	}
	if (kind_is_stream(kind))
		note_stream(pair.theirs, 0);
	else
		note_arrivals(pair.theirs, 0);
	if (peer >= 0 && kind_is_datagram(kind))
		note_arrivals(peer, 0);
}

static void add_lengths(void)
{
	for (int call = CALL_CONNECT; call <= CALL_SENDMSG; call++)
		for (int kind = 0; kind < KINDS; kind++)
			for (size_t f = 0; f < COUNT_OF(families); f++)
				scenario_add(every_length, WITH(call, kind, families[f].family),
				             "%s: every length of %s on %s", call_names[call],
				             families[f].name, kinds[kind].name);
	for (int call = CALL_SENDTO; call <= CALL_SENDMSG; call++)
		for (int kind = 0; kind < KINDS; kind++)
			for (size_t f = 0; f < COUNT_OF(families); f++)
				scenario_add(every_length_connected, WITH(call, kind, families[f].family),
				             "%s: every length of %s on connected %s", call_names[call],
				             families[f].name, kinds[kind].name);
}

/* ---- pointers ---- */

enum pointer {
	POINTER_NULL,
	POINTER_ONE,
	POINTER_KERNEL,
	POINTER_NONE,
	POINTER_BEYOND,
	POINTER_ENDS,
	POINTER_SHORT,
	POINTER_ODD,
	POINTER_READONLY,
	POINTERS
};
static const char *const pointer_names[POINTERS] = {
	"a null pointer",
	"1",
	"a kernel address",
	"a page without rights",
	"a page past its file",
	"the end of a page",
	"one byte too near the end of a page",
	"an odd address",
	"a read-only page",
};

static const void *pointer_make(enum pointer pointer, const struct place *place)
{
	static char odd[sizeof(place->at) + 1];

	memcpy(odd + 1, &place->at, sizeof(place->at));
	switch (pointer) {
	case POINTER_NULL:
		return NULL;
	case POINTER_ONE:
		return (const void *)1;
	case POINTER_KERNEL:
		return (const void *)0xffff888000000000;
	case POINTER_NONE:
		return memory_none();
	case POINTER_BEYOND:
		return memory_beyond_file();
	case POINTER_ENDS:
		return memory_ending(&place->at, place->size);
	case POINTER_SHORT:
		return (const char *)memory_ending(&place->at, place->size) + 1;
	case POINTER_ODD:
		return odd + 1;
	default:
		return memory_readonly(&place->at, place->size);
	}
}

/* with: call, kind, pointer */
static void one_pointer(const int *with)
{
	int call = with[0], kind = with[1];
	struct place place;
	int peer = peer_of(kind, "peer", &place), fd = socket_of(kind, 0);

	if (call == CALL_BIND && kinds[kind].family != AF_UNIX)
		place.at.v4.sin_port = 0;
	else if (call == CALL_BIND)
		place = place_path("ours");
	NOTE(call_address(call, fd, pointer_make(with[2], &place), (int)place.size, MSG_NOSIGNAL));
	NOTE(call_address(call, fd, pointer_make(with[2], &place), 0, MSG_NOSIGNAL));
	NOTE(call_address(call, fd, pointer_make(with[2], &place), -1, MSG_NOSIGNAL));
	note_names(fd);
	if (kind_is_datagram(kind))
		note_arrivals(peer, 0);
}

static void add_pointers(void)
{
	static const int some[] = {TCP4, UDP4, UDP6, UNIX_STREAM, UNIX_DGRAM};

	for (int call = 0; call < CALLS; call++)
		for (size_t k = 0; k < COUNT_OF(some); k++)
			for (int pointer = 0; pointer < POINTERS; pointer++)
				scenario_add(one_pointer, WITH(call, some[k], pointer),
				             "%s on %s: address at %s", call_names[call], kinds[some[k]].name,
				             pointer_names[pointer]);
}

/* ---- descriptors ---- */

enum file {
	FILE_MINUS_ONE,
	FILE_TOO_LARGE,
	FILE_CLOSED,
	FILE_PIPE,
	FILE_REGULAR,
	FILE_DIRECTORY,
	FILE_PATH,
	FILE_PATH_SOCKET,
	FILE_EPOLL,
	FILE_EVENT,
	FILE_LISTENER,
	FILE_SHUT,
	FILES
};
static const char *const file_names[FILES] = {
	"-1",     "a huge number", "a closed one", "a pipe",
	"a file", "a directory",   "O_PATH",       "O_PATH of a unix socket",
	"epoll",  "an eventfd",    "a listener",   "a socket that is shut down",
};

static int shut_socket(void)
{
	struct pair pair = pair_of(TCP4);

	NEED(shutdown(pair.ours, SHUT_RDWR) == 0);
	return pair.ours;
}

static int file_make(enum file file)
{
	struct place place;
	int ends[2], fd;

	switch (file) {
	case FILE_MINUS_ONE:
		return -1;
	case FILE_TOO_LARGE:
		return INT_MAX;
	case FILE_CLOSED:
		fd = dup(0);
		close(fd);
		return fd;
	case FILE_PIPE:
		NEED(pipe2(ends, O_CLOEXEC) == 0);
		return ends[1];
	case FILE_REGULAR:
		return open("regular", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	case FILE_DIRECTORY:
		return open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	case FILE_PATH:
		return open(".", O_PATH | O_CLOEXEC);
	case FILE_PATH_SOCKET:
		peer_of(UNIX_STREAM, "on path", &place);
		return open("on path", O_PATH | O_CLOEXEC);
	case FILE_EPOLL:
		return epoll_create1(EPOLL_CLOEXEC);
	case FILE_EVENT:
		return eventfd(0, EFD_CLOEXEC);
	case FILE_LISTENER:
		return peer_of(TCP4, NULL, &place);
	default:
		return shut_socket();
	}
}

/* with: call, file. Good and bad addresses: which of two errors is the first? */
static void one_file(const int *with)
{
	struct place place;
	int fd, call = with[0];

	peer_of(TCP4, NULL, &place);
	fd = file_make(with[1]);
	NOTE(call_address(call, fd, &place.at, (int)place.size, MSG_NOSIGNAL));
	NOTE(call_address(call, fd, NULL, (int)place.size, MSG_NOSIGNAL));
	NOTE(call_address(call, fd, &place.at, -1, MSG_NOSIGNAL));
	NOTE(call_address(call, fd, &place.at, 129, MSG_NOSIGNAL));
	NOTE(call_address(call, fd, &place.at, 1, MSG_NOSIGNAL));
	NOTE(call_address(call, fd, NULL, 0, MSG_NOSIGNAL));
	NOTE(syscall(SYS_sendto, fd, NULL, 4, MSG_NOSIGNAL, NULL, 0));
	NOTE(syscall(SYS_sendmsg, fd, NULL, MSG_NOSIGNAL));
	NOTE(syscall(SYS_sendmmsg, fd, NULL, 1, MSG_NOSIGNAL));
	NOTE(syscall(SYS_sendmmsg, fd, NULL, 0, MSG_NOSIGNAL));
}

static void add_files(void)
{
	for (int call = 0; call < CALLS; call++)
		for (int file = 0; file < FILES; file++)
			scenario_add(one_file, WITH(call, file), "%s: the descriptor is %s", call_names[call],
			             file_names[file]);
}

void scenarios_of_arguments(void)
{
	add_lengths();
	add_pointers();
	add_files();
}
