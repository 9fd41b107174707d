/* bind(2) and listen(2): names, ports, files, and who is first. */
#include "tests/same/same.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- addresses ---- */

static const struct {
	const char *name;
	int kinds; /* 4: tcp4 and udp4; 6 */
	int family;
	uint32_t host;      /* v4 */
	const char *mapped; /* v6: sixteen bytes; NULL: ::1 */
	int port;           /* 0, a privileged one, -1: one that is in use */
} homes[] = {
	{"127.0.0.1:0", 4, AF_INET, INADDR_LOOPBACK, NULL, 0},
	{"0.0.0.0:0", 4, AF_INET, INADDR_ANY, NULL, 0},
	{"127.0.0.5:0", 4, AF_INET, INADDR_LOOPBACK + 4, NULL, 0},
	{"an address that is not ours", 4, AF_INET, 0xc6336401, NULL, 0},
	{"a broadcast", 4, AF_INET, INADDR_BROADCAST, NULL, 0},
	{"a multicast", 4, AF_INET, 0xe0000001, NULL, 0},
	{"a port in use", 4, AF_INET, INADDR_LOOPBACK, NULL, -1},
	{"a port in use, any address", 4, AF_INET, INADDR_ANY, NULL, -1},
	{"a port in use, another address", 4, AF_INET, INADDR_LOOPBACK + 5, NULL, -1},
	{"AF_UNSPEC and 0.0.0.0:0", 4, AF_UNSPEC, INADDR_ANY, NULL, 0},
	{"AF_UNSPEC and 127.0.0.1:0", 4, AF_UNSPEC, INADDR_LOOPBACK, NULL, 0},
	{"[::1]:0", 6, AF_INET6, 0, NULL, 0},
	{"[::]:0", 6, AF_INET6, 0, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 0},
	{"[::ffff:127.0.0.1]:0", 6, AF_INET6, 0, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\1", 0},
	{"an address that is not ours", 6, AF_INET6, 0, "\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 0},
	{"a link-local address without scope", 6, AF_INET6, 0, "\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 0},
	{"a port in use", 6, AF_INET6, 0, NULL, -1},
	{"AF_UNSPEC", 6, AF_UNSPEC, 0, NULL, 0},
	{"AF_INET", 6, AF_INET, 0, NULL, 0},
};

static struct place home_of(size_t home, uint16_t port)
{
	struct place place;

	if (homes[home].kinds == 4) {
		place = place_v4(homes[home].host, port);
	} else {
		place = place_v6(port);
		if (homes[home].mapped != NULL)
			memcpy(&place.at.v6.sin6_addr, homes[home].mapped, 16);
	}
	place.at.any.sa_family = (sa_family_t)homes[home].family;
	return place;
}

/* with: kind, home, 1: SO_REUSEADDR, 2: SO_REUSEPORT */
static void bind_home(const int *with)
{
	struct place other;
	int kind = with[0], one = 1, peer = peer_of(kind, NULL, &other), fd = socket_of(kind, 0);
	struct place place = home_of((size_t)with[1], homes[with[1]].port < 0 ? place_port(&other) : 0);

	(void)peer;
	if (with[2])
		NEED(setsockopt(fd, SOL_SOCKET, with[2] == 1 ? SO_REUSEADDR : SO_REUSEPORT, &one,
		                sizeof(one)) == 0);
	NOTE(bind(fd, &place.at.any, place.size));
	note_names(fd);
	NOTE(bind(fd, &place.at.any, place.size));
	if (!kind_is_datagram(kind))
		NOTE(listen(fd, 4));
	note_names(fd);
}

/* A port below ip_unprivileged_port_start that nobody is at: the call's own answer is what counts. */
static void bind_privileged(const int *with)
{
	struct place place =
		with[0] == TCP4 || with[0] == UDP4 ? place_v4(INADDR_LOOPBACK, 1017) : place_v6(1017);
	int fd = socket_of(with[0], 0);

	NOTE(bind(fd, &place.at.any, place.size));
	note_names(fd);
}

/* A dual socket and the other family at one port. */
static void bind_dual(const int *with)
{
	int kind = with[0] == TCP6 ? TCP4 : UDP4;
	int dual = socket_of(with[0], 0), fd = socket_of(kind, 0), probe = socket_of(kind, 0);
	struct place any, v4 = place_v4(INADDR_ANY, 0);

	/* A port that is free in the other family too: an earlier connection may still be closing there. */
	NEED(bind(probe, &v4.at.any, v4.size) == 0);
	v4 = place_of(probe);
	any = place_v6(place_port(&v4));
	close(probe);
	any.at.v6.sin6_addr = in6addr_any;
	NEED(setsockopt(dual, IPPROTO_IPV6, IPV6_V6ONLY, &with[1], sizeof(with[1])) == 0);
	NOTE(bind(dual, &any.at.any, any.size));
	any = place_of(dual);
	v4 = place_v4(INADDR_ANY, place_port(&any));
	NOTE(bind(fd, &v4.at.any, v4.size));
	note_names(fd);
}

/* with: kind. What is bound may be connected, what is connected is bound. */
static void bind_connected(const int *with)
{
	struct pair pair = pair_of(with[0]);
	struct place place = place_of(pair.theirs);

	if (kinds[with[0]].family == AF_UNIX)
		place = place_path("late");
	else
		place.at.v4.sin_port = 0;
	NOTE(bind(pair.ours, &place.at.any, place.size));
	note_names(pair.ours);
	NOTE(bind(pair.theirs, &place.at.any, place.size));
	if (pair.listener >= 0)
		NOTE(bind(pair.listener, &place.at.any, place.size));
}

static void add_addresses(void)
{
	static const char *const reuses[] = {"", ", SO_REUSEADDR", ", SO_REUSEPORT"};

	for (int kind = TCP4; kind <= UDP6; kind++) {
		int version = kinds[kind].family == AF_INET ? 4 : 6;

		for (size_t i = 0; i < COUNT_OF(homes); i++)
			for (int reuse = 0; homes[i].kinds == version && reuse < (homes[i].port < 0 ? 3 : 1);
			     reuse++)
				scenario_add(bind_home, WITH(kind, (int)i, reuse), "bind: %s to %s%s",
				             kinds[kind].name, homes[i].name, reuses[reuse]);
		scenario_add(bind_privileged, WITH(kind), "bind: %s to a privileged port", kinds[kind].name);
		for (int only = 0; version == 6 && only < 2; only++)
			scenario_add(bind_dual, WITH(kind, only), "bind: %s%s, then the v4 port",
			             kinds[kind].name, only ? " with IPV6_V6ONLY" : "");
	}
	for (int kind = 0; kind < KINDS; kind++)
		scenario_add(bind_connected, WITH(kind), "bind: connected %s", kinds[kind].name);
}

/* ---- files ---- */

static const struct {
	const char *name, *path;
	int umask;
} files[] = {
	{"a plain name", "own", 022},
	{"umask 0", "own", 0},
	{"umask 077", "own", 077},
	{"umask 0777", "own", 0777},
	{"a name below a directory", "below/own", 022},
	{"a name below nothing", "nothing/own", 022},
	{"a name below a file", "file/own", 022},
	{"a name below a linked directory", "linked/own", 022},
	{"a name below a shut directory", "shut/own", 022},
	{"a socket", "peer", 022},
	{"a file", "file", 022},
	{"a dangling link", "dangling", 022},
	{"a directory", "below", 022},
	{"a slash at the end", "own/", 022},
	{"a dot", ".", 022},
	{"/proc/self/cwd", "/proc/self/cwd/own", 022},
	{"108 bytes",
         "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn",
         022},
};

static void note_file(const char *path)
{
	struct stat status;

	if (lstat(path, &status) < 0)
		note("  file: %s", error_name(errno));
	else
		note("  file: mode %o, %s, %s", status.st_mode,
		     status.st_uid == geteuid() ? "ours" : "another's",
		     status.st_gid == getegid() ? "our group" : "another group");
}

/* with: kind, file */
static void bind_file(const int *with)
{
	struct place place = place_path(files[with[1]].path), peer;
	int fd = socket_of(with[0], 0), other = socket_of(with[0], 0);

	peer_of(with[0], "peer", &peer);
	NEED(mkdir("below", 0755) == 0 && mkdir("shut", 0) == 0);
	NEED(symlink("below", "linked") == 0 && symlink("gone", "dangling") == 0);
	close(open("file", O_CREAT | O_RDWR | O_CLOEXEC, 0600));
	umask((mode_t)files[with[1]].umask);
	NOTE(bind(fd, &place.at.any, place.size));
	note_names(fd);
	note_file(files[with[1]].path);
	note_file("gone");
	NOTE(bind(fd, &place.at.any, place.size));
	NOTE(bind(other, &place.at.any, place.size));
	if (with[0] != UNIX_DGRAM)
		NOTE(listen(fd, 4));
	NOTE(connect_place(other, &place));
	note_names(other);
}

/* with: kind, length that is given */
static void bind_lengths(const int *with)
{
	struct place place = {.size = (socklen_t)with[1]};
	int fd = socket_of(with[0], 0), twin = socket_of(with[0], 0);

	place.at.un.sun_family = AF_UNIX;
	memcpy(place.at.un.sun_path, "somewhat", 8);
	NOTE(bind(fd, &place.at.any, place.size));
	note_names(fd);
	NOTE(bind(fd, &place.at.any, place.size));
	NOTE(bind(twin, &place.at.any, place.size));
	note_file("somewhat");
	note_file("s");
}

static void bind_abstract(const int *with)
{
	char name[64];
	struct place place;
	int fd = socket_of(with[0], 0), twin = socket_of(with[0], 0);

	snprintf(name, sizeof(name), "sluice-same-%d", with[0]);
	place = place_abstract(name);
	NOTE(bind(fd, &place.at.any, place.size));
	note_names(fd);
	NOTE(bind(twin, &place.at.any, place.size));
	if (with[0] != UNIX_DGRAM)
		NOTE(listen(fd, 4));
	NOTE(connect_place(twin, &place));
	note_names(twin);
}

static void add_bind_files(void)
{
	static const int lengths[] = {2, 3, 4, 10, 11};

	for (int kind = UNIX_STREAM; kind <= UNIX_DGRAM; kind++) {
		for (size_t i = 0; i < COUNT_OF(files); i++)
			scenario_add(bind_file, WITH(kind, (int)i), "bind: %s to %s", kinds[kind].name,
			             files[i].name);
		for (size_t i = 0; i < COUNT_OF(lengths); i++)
			scenario_add(bind_lengths, WITH(kind, lengths[i]), "bind: %s, length %d",
			             kinds[kind].name, lengths[i]);
		scenario_add(bind_abstract, WITH(kind), "bind: %s to an abstract name", kinds[kind].name);
	}
}

/* ---- listen ---- */

enum state { STATE_FRESH, STATE_BOUND, STATE_LISTENING, STATE_CONNECTED, STATE_ACCEPTED, STATES };
static const char *const state_names[STATES] = {"fresh", "bound", "listening", "connected", "accepted"};

static int state_make(int kind, int state)
{
	struct pair pair;
	struct place place;
	int fd;

	if (state == STATE_FRESH)
		return socket_of(kind, 0);
	if (state == STATE_LISTENING)
		return peer_of(kind, "listening", &place);
	if (state == STATE_BOUND) {
		fd = socket_of(kind, 0);
		place = kinds[kind].family == AF_UNIX   ? place_path("bound")
		        : kinds[kind].family == AF_INET ? place_v4(INADDR_LOOPBACK, 0)
		                                        : place_v6(0);
		NEED(bind(fd, &place.at.any, place.size) == 0);
		return fd;
	}
	pair = pair_of(kind);
	return state == STATE_CONNECTED ? pair.ours : pair.theirs;
}

/* with: kind, state */
static void listen_state(const int *with)
{
	static const int backlogs[] = {4, 0, -1, 1 << 20};
	int fd = state_make(with[0], with[1]), accepting = -1;
	socklen_t size = sizeof(accepting);

	for (size_t i = 0; i < COUNT_OF(backlogs); i++)
		note("listen %d -> %s", backlogs[i], listen(fd, backlogs[i]) < 0 ? error_name(errno) : "0");
	NEED(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepting, &size) == 0);
	note("accepting %d", accepting);
	note_names(fd);
	note_poll(fd, POLLIN | POLLOUT, 0);
}

static void add_listen(void)
{
	for (int kind = 0; kind < KINDS; kind++)
		for (int state = 0; state < STATES; state++)
			scenario_add(listen_state, WITH(kind, state), "listen: %s %s", state_names[state],
			             kinds[kind].name);
}

void scenarios_of_bind(void)
{
	add_addresses();
	add_bind_files();
	add_listen();
}
