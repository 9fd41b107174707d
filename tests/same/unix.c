/* AF_UNIX: who is at a path, what rides along, whose queue is full. */
#include "tests/same/same.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { UNIX_KINDS = 3 };
static const int unix_kinds[UNIX_KINDS] = {UNIX_STREAM, UNIX_SEQPACKET, UNIX_DGRAM};

/* ---- paths ---- */

/* Each is a name that leads somewhere or not; the socket itself is at "peer". */
static const char *path_plain(void)
{
	return "peer";
}

static const char *path_dotted(void)
{
	return "././peer";
}

static const char *path_up(void)
{
	NEED(mkdir("below", 0755) == 0);
	return "below/../peer";
}

static const char *path_absolute(void)
{
	static char path[256];

	NEED(getcwd(path, sizeof(path) - 8) != NULL);
	strcat(path, "/peer");
	return path;
}

static const char *path_after_chdir(void)
{
	NEED(mkdir("below", 0755) == 0 && chdir("below") == 0);
	return "../peer";
}

static const char *path_link(void)
{
	NEED(symlink("peer", "link") == 0);
	return "link";
}

static const char *path_linked_directory(void)
{
	NEED(symlink(".", "here") == 0);
	return "here/peer";
}

static const char *path_loop(void)
{
	NEED(symlink("loop", "loop") == 0);
	return "loop";
}

static const char *path_dangling(void)
{
	NEED(symlink("nowhere", "dangling") == 0);
	return "dangling";
}

static const char *path_hard_link(void)
{
	NEED(link("peer", "hard") == 0);
	return "hard";
}

static const char *path_missing(void)
{
	return "missing";
}

static const char *path_missing_directory(void)
{
	return "missing/peer";
}

static const char *path_slash(void)
{
	return "peer/";
}

static const char *path_through_socket(void)
{
	return "peer/more";
}

static const char *path_directory(void)
{
	return ".";
}

static const char *path_file(void)
{
	close(open("file", O_CREAT | O_RDWR | O_CLOEXEC, 0600));
	return "file";
}

static const char *path_fifo(void)
{
	NEED(mkfifo("fifo", 0600) == 0);
	return "fifo";
}

static const char *path_nobody(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct place place = place_path("nobody");

	NEED(bind(fd, &place.at.any, place.size) == 0);
	close(fd);
	return "nobody";
}

static const char *path_unreachable(void)
{
	NEED(mkdir("shut", 0755) == 0 && rename("peer", "shut/peer") == 0 && chmod("shut", 0) == 0);
	return "shut/peer";
}

static const char *path_unwritable(void)
{
	NEED(chmod("peer", 0444) == 0);
	return "peer";
}

static const char *path_through_proc(void)
{
	return "/proc/self/cwd/peer";
}

static const char *path_through_descriptor(void)
{
	static char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d/peer", open(".", O_PATH | O_CLOEXEC));
	return path;
}

static const char *path_socket_itself(void)
{
	static char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", open("peer", O_PATH | O_CLOEXEC));
	return path;
}

/* 108 bytes: there is no room for the NUL. */
static const char *path_full(void)
{
	static char path[128];

	memset(path, 'n', 108);
	NEED(rename("peer", path) == 0);
	return path;
}

static const char *path_removed(void)
{
	NEED(unlink("peer") == 0);
	return "peer";
}

static const char *path_empty(void)
{
	return "";
}

static const struct {
	const char *name;
	const char *(*make)(void);
} paths[] = {
	{"a plain name", path_plain},
	{"dots", path_dotted},
	{"a parent", path_up},
	{"an absolute path", path_absolute},
	{"a parent after chdir", path_after_chdir},
	{"a symbolic link", path_link},
	{"a linked directory", path_linked_directory},
	{"a loop", path_loop},
	{"a dangling link", path_dangling},
	{"a hard link", path_hard_link},
	{"nothing", path_missing},
	{"nothing below nothing", path_missing_directory},
	{"a slash at the end", path_slash},
	{"a name below a socket", path_through_socket},
	{"a directory", path_directory},
	{"a file", path_file},
	{"a fifo", path_fifo},
	{"a socket that is closed", path_nobody},
	{"a directory that is shut", path_unreachable},
	{"a socket without write permission", path_unwritable},
	{"/proc/self/cwd", path_through_proc},
	{"/proc/self/fd", path_through_descriptor},
	{"O_PATH in /proc/self/fd", path_socket_itself},
	{"108 bytes", path_full},
	{"a socket whose name is gone", path_removed},
	{"an empty name of the whole length", path_empty},
};

static void note_reached(int kind, int peer, bool connected)
{
	int got;

	if (kind == UNIX_DGRAM) {
		note_arrivals(peer, connected);
		return;
	}
	if (fcntl(peer, F_SETFL, O_NONBLOCK) < 0 || (got = accept(peer, NULL, NULL)) < 0) {
		note("  nobody came");
		return;
	}
	note("  somebody came");
	note_arrivals(got, kind == UNIX_SEQPACKET && connected);
	close(got);
}

/* with: kind of the peer, kind of ours, path */
static void path_connect(const int *with)
{
	struct place place;
	int peer = peer_of(with[0], "peer", &place), fd = socket_of(with[1], 0);
	struct place there = place_path(paths[with[2]].make());
	bool connected = NOTE(connect_place(fd, &there)) == 0;

	note_names(fd);
	if (connected)
		NOTE(send(fd, "hello", 5, MSG_NOSIGNAL));
	note_reached(with[0], peer, connected);
}

/* with: call, kind of the peer, path. Always a datagram socket sends. */
static void path_send(const int *with)
{
	struct place place;
	int peer = peer_of(with[1], "peer", &place), fd = socket_of(UNIX_DGRAM, 0);
	struct place there = place_path(paths[with[2]].make());

	note_reached(with[1], peer, NOTE(call_address(with[0], fd, &there.at, (int)there.size, 0)) > 0);
	note_names(fd);
}

static void add_paths(void)
{
	for (size_t i = 0; i < COUNT_OF(paths); i++) {
		for (int k = 0; k < UNIX_KINDS; k++)
			scenario_add(path_connect, WITH(unix_kinds[k], unix_kinds[k], (int)i),
			             "%s: connect to %s", kinds[unix_kinds[k]].name, paths[i].name);
		for (int call = CALL_SENDTO; call < CALLS; call++)
			scenario_add(path_send, WITH(call, UNIX_DGRAM, (int)i), "unix dgram: %s to %s",
			             call_names[call], paths[i].name);
	}
	for (int ours = 0; ours < UNIX_KINDS; ours++)
		for (int theirs = 0; theirs < UNIX_KINDS; theirs++)
			if (ours != theirs)
				scenario_add(path_connect, WITH(unix_kinds[theirs], unix_kinds[ours], 0),
				             "%s: connect to a %s", kinds[unix_kinds[ours]].name,
				             kinds[unix_kinds[theirs]].name);
	for (int call = CALL_SENDTO; call < CALLS; call++)
		for (int theirs = 0; theirs < 2; theirs++)
			scenario_add(path_send, WITH(call, unix_kinds[theirs], 0), "unix dgram: %s to a %s",
			             call_names[call], kinds[unix_kinds[theirs]].name);
}

/* ---- names, credentials, states ---- */

/* with: kind, 1: the client is bound, 2: to an automatic name */
static void who_is_who(const int *with)
{
	struct place place, own = place_path("ours"), from = {.size = sizeof(from.at)};
	int peer = peer_of(with[0], "peer", &place), fd = socket_of(with[0], 0), got = peer;
	struct ucred seen = {0};
	socklen_t size = sizeof(seen);

	if (with[1] == 2)
		own.size = 2;
	if (with[1])
		NOTE(bind(fd, &own.at.any, own.size));
	NOTE(connect_place(fd, &place));
	note_names(fd);
	NOTE(connect_place(fd, &place));
	if (with[0] != UNIX_DGRAM) {
		NEED((got = accept(peer, &from.at.any, &from.size)) >= 0);
		note("from %s", address_text(&from.at, from.size));
		note_names(got);
		NEED(getsockopt(got, SOL_SOCKET, SO_PEERCRED, &seen, &size) == 0);
		note("peer: ours %d, uid %d, gid %d", seen.pid == getpid(), seen.uid == getuid(),
		     seen.gid == getgid());
	}
	size = sizeof(seen);
	note_result("SO_PEERCRED", getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &seen, &size));
	note("peer: ours %d, uid %d", seen.pid == getpid(), seen.uid == getuid());
	NOTE(send(fd, "hello", 5, 0));
	note_arrivals(got, 1);
	close(fd);
	note_arrivals(got, with[0] != UNIX_DGRAM);
}

/* Only who a datagram socket is connected to may send to it. */
static void dgram_is_taken(const int *with)
{
	struct place one, two, three;
	int first = peer_of(UNIX_DGRAM, "one", &one), second = peer_of(UNIX_DGRAM, "two", &two);
	int third = peer_of(UNIX_DGRAM, "three", &three);

	NOTE(connect_place(first, &two));
	NOTE(call_address(with[0], third, &one.at, (int)one.size, 0));
	NOTE(connect_place(third, &one));
	NOTE(call_address(with[0], second, &one.at, (int)one.size, 0));
	note_arrivals(first, 1);
	NOTE(call_address(with[0], first, &three.at, (int)three.size, 0));
	note_arrivals(third, errno == 0);
	close(second);
	NOTE(send(first, "x", 1, 0));
	NOTE(send(first, "x", 1, 0));
	note_names(first);
}

static void abstract_names(const int *with)
{
	char name[64];
	struct place place;
	int fd = socket_of(with[0], 0);

	snprintf(name, sizeof(name), "nobody-has-this-name");
	place = place_abstract(name);
	NOTE(connect_place(fd, &place));
	NOTE(call_address(CALL_SENDTO, fd, &place.at, (int)place.size, MSG_NOSIGNAL));
	NOTE(call_address(CALL_SENDMSG, fd, &place.at, (int)place.size, MSG_NOSIGNAL));
}

/* with: kind, 1: nonblocking, 2: somebody accepts, 3: time limit, 4: signal */
static void accepting_body(const int *numbers)
{
	pause_ms(60);
	for (int i = 0; i < 3; i++)
		close(accept(numbers[0], NULL, NULL));
	pause_ms(300);
}

static void backlog_is_full(const int *with)
{
	struct timeval limit = {.tv_usec = 40000};
	struct place place;
	int peer = peer_of(with[0], "peer", &place), fd;
	pid_t child = 0;

	NEED(listen(peer, 0) == 0);
	NOTE(connect_place(socket_of(with[0], 0), &place));
	fd = socket_of(with[0], with[1] == 1 ? SOCK_NONBLOCK : 0);
	if (with[1] == 2)
		child = child_begin(accepting_body, (const int[]){peer});
	if (with[1] == 3)
		NEED(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) == 0);
	if (with[1] == 4) {
		signal_count(SIGALRM, 0);
		alarm_every(40);
	}
	NOTE(connect_place(fd, &place));
	note_names(fd);
	note_signals();
	if (child > 0)
		kill(child, SIGKILL);
}

static void add_states(void)
{
	static const char *const owns[] = {"unnamed", "bound", "bound automatically"};
	static const char *const ends[] = {"", "nonblocking", "until somebody accepts", "SO_SNDTIMEO",
	                                   "a signal"};

	for (int k = 0; k < UNIX_KINDS; k++) {
		for (int own = 0; own < 3; own++)
			scenario_add(who_is_who, WITH(unix_kinds[k], own), "%s: who is who, %s",
			             kinds[unix_kinds[k]].name, owns[own]);
		scenario_add(abstract_names, WITH(unix_kinds[k]), "%s: an abstract name that nobody has",
		             kinds[unix_kinds[k]].name);
		for (int end = 1; k < 2 && end < 5; end++)
			scenario_add(backlog_is_full, WITH(unix_kinds[k], end), "%s: connect, full queue: %s",
			             kinds[unix_kinds[k]].name, ends[end]);
	}
	for (int call = CALL_SENDTO; call < CALLS; call++)
		scenario_add(dgram_is_taken, WITH(call), "unix dgram: %s to one that is connected elsewhere",
		             call_names[call]);
}

/* ---- full queues ---- */

static void draining_body(const int *numbers)
{
	char byte;

	if (numbers[2])
		latch_wait();
	else
		pause_ms(60);
	for (int i = 0; i < numbers[1]; i++)
		if (recv(numbers[0], &byte, 1, 0) < 0)
			return;
}

/* with: call, 1: MSG_DONTWAIT, 2: O_NONBLOCK, 3: time limit, 4: signal, 5: somebody reads. 6: the same with SA_RESTART */
static void dgram_queue_full(const int *with)
{
	struct timeval limit = {.tv_usec = 40000};
	struct place place;
	int peer = peer_of(UNIX_DGRAM, "peer", &place), fd = socket_of(UNIX_DGRAM, 0), count = 0, flags;
	pid_t child = 0;

	while (send_place(fd, "f", 1, MSG_DONTWAIT, &place) == 1)
		count++;
	note("full after %d: %s", count, error_name(errno));
	note_poll(fd, POLLOUT, 0);
	if (with[1] == 2)
		NEED(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
	if (with[1] == 3)
		NEED(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) == 0);
	if (with[1] == 4 || with[1] == 6)
		signal_count(SIGALRM, with[1] == 6 ? SA_RESTART : 0);
	if (with[1] >= 5)
		child = child_begin(draining_body, (const int[]){peer, count, with[1] == 6});
	if (with[1] == 4 || with[1] == 6)
		alarm_every(30);
	flags = with[1] == 1 ? MSG_DONTWAIT : 0;
	note_result(call_names[with[0]], call_address(with[0], fd, &place.at, (int)place.size, flags));
	note_signals();
	if (child > 0) {
		child_wait(child);
		note_arrivals(peer, 1);
	}
}

/* with: kind of a pair that is full (stream: see streams.c) */
static void seqpacket_full(const int *with)
{
	struct pair pair = pair_of(UNIX_SEQPACKET);
	static char bytes[3000];
	int count = 0;
	struct mmsghdr batch[2];
	struct iovec part = {bytes, sizeof(bytes)};

	while (send_way(with[0], pair.ours, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		count++;
	note("full: %s after some: %d", error_name(errno), count > 0);
	for (int i = 0; i < 2; i++)
		batch[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &part, .msg_iovlen = 1}};
	NEED(recv(pair.theirs, bytes, sizeof(bytes), 0) > 0);
	NOTE(sendmmsg(pair.ours, batch, 2, MSG_DONTWAIT) >= 0 || errno == EAGAIN);
	NOTE(send(pair.ours, bytes, 300000, MSG_DONTWAIT));
}

static void add_queues(void)
{
	static const char *const ends[] = {"",
	                                   "MSG_DONTWAIT",
	                                   "O_NONBLOCK",
	                                   "SO_SNDTIMEO",
	                                   "a signal",
	                                   "somebody reads",
	                                   "a signal with SA_RESTART, somebody reads"};

	for (int call = CALL_SENDTO; call < CALLS; call++)
		for (int end = 1; end < 7; end++)
			scenario_add(dgram_queue_full, WITH(call, end), "unix dgram: %s to a full queue: %s",
			             call_names[call], ends[end]);
	for (int way = 0; way < WAYS; way++)
		scenario_add(seqpacket_full, WITH(way), "unix seqpacket: %s to a full queue", way_names[way]);
}

/* ---- descriptors that ride along ---- */

enum { RIGHTS_MOST = 253 };
enum pass { PASS_STREAM, PASS_SEQPACKET, PASS_DGRAM, PASS_PATH, PASS_NAMED, PASSES };
static const char *const pass_names[PASSES] = {
	"a stream pair", "a seqpacket pair", "a dgram pair", "a stream at a path", "a dgram by name",
};

struct passing {
	int ours, theirs;
	struct place place;
	bool named;
};

static struct passing passing_make(int pass)
{
	static const int types[] = {SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM};
	struct passing passing = {.named = pass == PASS_NAMED};
	struct pair pair;
	int ends[2];

	if (pass <= PASS_DGRAM) {
		NEED(socketpair(AF_UNIX, types[pass] | SOCK_CLOEXEC, 0, ends) == 0);
		passing.ours = ends[0];
		passing.theirs = ends[1];
		return passing;
	}
	pair = pair_of(pass == PASS_PATH ? UNIX_STREAM : UNIX_DGRAM);
	passing.ours = pass == PASS_NAMED ? socket_of(UNIX_DGRAM, 0) : pair.ours;
	passing.theirs = pair.theirs;
	passing.place = pair.place;
	return passing;
}

static struct msghdr passing_header(struct passing *passing, struct iovec *part, void *control)
{
	struct msghdr header = {.msg_iov = part, .msg_iovlen = 1, .msg_control = control};

	if (passing->named) {
		header.msg_name = &passing->place.at;
		header.msg_namelen = passing->place.size;
	}
	return header;
}

static void rights_add(struct msghdr *header, const int *fds, size_t count)
{
	struct cmsghdr *at = (struct cmsghdr *)(void *)((char *)header->msg_control + header->msg_controllen);

	*at = (struct cmsghdr){CMSG_LEN(count * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
	memcpy(CMSG_DATA(at), fds, count * sizeof(int));
	header->msg_controllen += CMSG_SPACE(count * sizeof(int));
}

/* Whether each that came is the file of this number. */
static void note_rights(int fd, const int *fds, bool expected)
{
	static _Alignas(16) char control[8192];
	char bytes[64];
	struct iovec part = {bytes, sizeof(bytes)};
	struct msghdr header = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct stat sent, got;
	size_t count = 0, right = 0;
	ssize_t r;

	if (expected)
		note_poll(fd, POLLIN, 3000);
	r = recvmsg(fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	for (struct cmsghdr *at = r < 0 ? NULL : CMSG_FIRSTHDR(&header); at != NULL;
	     at = CMSG_NXTHDR(&header, at))
		for (size_t i = 0;
		     at->cmsg_type == SCM_RIGHTS && i < (at->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
			int one;

			memcpy(&one, CMSG_DATA(at) + i * sizeof(int), sizeof(int));
			right += fstat(one, &got) == 0 && fstat(fds[count], &sent) == 0 &&
			         got.st_ino == sent.st_ino && got.st_dev == sent.st_dev &&
			         fcntl(one, F_GETFL) == fcntl(fds[count], F_GETFL);
			count++;
			close(one);
		}
	note("  there: %zd, %zu descriptors, %zu right, flags %x", r, count, right,
	     (unsigned)header.msg_flags);
}

/* A file each, so that they can be told apart. */
static void rights_open(int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		NEED((fds[i] = memfd_create("ride", MFD_CLOEXEC)) >= 0 &&
		     fcntl(fds[i], F_SETFL, i % 2 ? O_APPEND : 0) == 0);
}

/* with: pass, how many in the first control, in the second, 1: sendmmsg */
static void rights_pass(const int *with)
{
	static _Alignas(16) char control[4096];
	struct passing passing = passing_make(with[0]);
	struct iovec part = {"hello", 5};
	struct mmsghdr one = {.msg_hdr = passing_header(&passing, &part, control)};
	int fds[600];
	long r;

	rights_open(fds, (size_t)(with[1] + with[2]));
	rights_add(&one.msg_hdr, fds, (size_t)with[1]);
	if (with[2])
		rights_add(&one.msg_hdr, fds + with[1], (size_t)with[2]);
	r = with[3] ? sendmmsg(passing.ours, &one, 1, MSG_NOSIGNAL)
	            : sendmsg(passing.ours, &one.msg_hdr, MSG_NOSIGNAL);
	note_result("send", r);
	note_rights(passing.theirs, fds, r > 0);
	NOTE(send_way(WAY_SENDMSG, passing.ours, "", 0, MSG_NOSIGNAL));
}

/* with: pass, kind of a bad one, 1: without data */
static void rights_bad(const int *with)
{
	static _Alignas(16) char control[512];
	struct passing passing = passing_make(with[0]);
	struct iovec part = {"hello", with[2] ? 0 : 5};
	struct msghdr header = passing_header(&passing, &part, control);
	int fds[3], ends[2];
	long r;

	rights_open(fds, 3);
	NEED(pipe2(ends, O_CLOEXEC) == 0);
	switch (with[1]) {
	case 0:
		fds[1] = -1;
		break;
	case 1:
		close(fds[1]);
		break;
	case 2:
		fds[1] = open(".", O_PATH | O_CLOEXEC);
		break;
	case 3:
		fds[1] = passing.ours;
		break;
	case 4:
		fds[1] = passing.theirs;
		break;
	case 5:
		fds[1] = fds[0];
		break;
	default:
		fds[1] = ends[1];
	}
	rights_add(&header, fds, 3);
	r = NOTE(sendmsg(passing.ours, &header, MSG_NOSIGNAL));
	note_rights(passing.theirs, fds, r >= 0 && !with[2]);
}

static void add_rights(void)
{
	static const int counts[][2] = {{0, 0}, {1, 0},   {2, 0},     {252, 0}, {253, 0}, {254, 0},
	                                {1, 1}, {3, 250}, {127, 127}, {0, 1},   {1, 0}};
	static const char *const bads[] = {
		"-1",    "a closed one", "O_PATH", "the socket itself", "the other end", "the same twice",
		"a pipe"};

	for (int pass = 0; pass < PASSES; pass++) {
		for (size_t i = 0; i < COUNT_OF(counts); i++)
			scenario_add(rights_pass,
			             WITH(pass, counts[i][0], counts[i][1], i + 1 == COUNT_OF(counts)),
			             "SCM_RIGHTS over %s: %d and %d%s", pass_names[pass], counts[i][0],
			             counts[i][1], i + 1 == COUNT_OF(counts) ? " by sendmmsg" : "");
		for (size_t i = 0; i < COUNT_OF(bads); i++)
			scenario_add(rights_bad, WITH(pass, (int)i, 0), "SCM_RIGHTS over %s: among them %s",
			             pass_names[pass], bads[i]);
		scenario_add(rights_bad, WITH(pass, 6, 1), "SCM_RIGHTS over %s: without data",
		             pass_names[pass]);
	}
}

/* ---- credentials ---- */

enum claim { CLAIM_SELF, CLAIM_PARENT, CLAIM_UID, CLAIM_GID, CLAIM_NOBODY, CLAIM_NONE, CLAIMS };
static const char *const claim_names[CLAIMS] = {
	"ourselves", "our parent", "another uid", "another gid", "a pid that is nobody's", "nothing",
};

static void note_credentials(int fd, bool expected)
{
	_Alignas(16) char control[256];
	char bytes[64];
	struct iovec part = {bytes, sizeof(bytes)};
	struct msghdr header = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct ucred seen;

	if (expected)
		note_poll(fd, POLLIN, 3000);
	if (recvmsg(fd, &header, MSG_DONTWAIT) < 0) {
		note("  nothing there: %s", error_name(errno));
		return;
	}
	for (struct cmsghdr *at = CMSG_FIRSTHDR(&header); at != NULL; at = CMSG_NXTHDR(&header, at))
		if (at->cmsg_type == SCM_CREDENTIALS) {
			memcpy(&seen, CMSG_DATA(at), sizeof(seen));
			note("  from %s, uid %s, gid %s",
			     seen.pid == getpid()    ? "us"
			     : seen.pid == getppid() ? "our parent"
			                             : "another",
			     seen.uid == getuid() ? "ours" : "another",
			     seen.gid == getgid() ? "ours" : "another");
		}
}

/* with: pass, claim, 1: with a descriptor */
static void credentials_pass(const int *with)
{
	static _Alignas(16) char control[512];
	struct passing passing = passing_make(with[0]);
	struct iovec part = {"hello", 5};
	struct msghdr header = passing_header(&passing, &part, control);
	struct ucred claim = {with[1] == CLAIM_PARENT   ? getppid()
	                      : with[1] == CLAIM_NOBODY ? 0x3fffff
	                                                : getpid(),
	                      getuid() + (with[1] == CLAIM_UID), getgid() + (with[1] == CLAIM_GID)};
	int one = 1, fds[1];

	NEED(setsockopt(passing.theirs, SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)) == 0);
	if (with[1] != CLAIM_NONE) {
		*(struct cmsghdr *)(void *)control =
			(struct cmsghdr){CMSG_LEN(sizeof(claim)), SOL_SOCKET, SCM_CREDENTIALS};
		memcpy(CMSG_DATA((struct cmsghdr *)(void *)control), &claim, sizeof(claim));
		header.msg_controllen = CMSG_SPACE(sizeof(claim));
	}
	if (with[2]) {
		rights_open(fds, 1);
		rights_add(&header, fds, 1);
	}
	note_credentials(passing.theirs, NOTE(sendmsg(passing.ours, &header, MSG_NOSIGNAL)) > 0);
}

/* An ordinary user's namespace has no other user to claim to be. */
static void add_credentials(void)
{
	for (int pass = 0; pass < PASSES; pass++) {
		for (int claim = 0; claim < CLAIMS; claim++)
			if (getuid() == 0 || (claim != CLAIM_UID && claim != CLAIM_GID))
				scenario_add(credentials_pass, WITH(pass, claim, 0),
				             "SCM_CREDENTIALS over %s: %s", pass_names[pass],
				             claim_names[claim]);
		scenario_add(credentials_pass, WITH(pass, CLAIM_SELF, 1),
		             "SCM_CREDENTIALS over %s: ourselves, and a descriptor", pass_names[pass]);
	}
}

/* ---- ends of records ---- */

static void records(const int *with)
{
	struct passing passing = passing_make(with[0]);

	int count = 0;

	count += NOTE(send_way(with[1], passing.ours, "one", 3, MSG_EOR)) > 0;
	count += NOTE(send_way(with[1], passing.ours, "two", 3, 0)) > 0;
	count += NOTE(send_way(with[1], passing.ours, "", 0, 0)) == 0;
	if (with[0] == PASS_STREAM)
		note_stream(passing.theirs, count > 0 ? 6 : 0);
	else
		note_arrivals(passing.theirs, count);
	close(passing.ours);
	note_poll(passing.theirs, POLLIN | POLLRDHUP, 0);
}

void scenarios_of_unix(void)
{
	add_paths();
	add_states();
	add_queues();
	add_rights();
	add_credentials();
	for (int pass = PASS_STREAM; pass <= PASS_DGRAM; pass++)
		for (int way = 0; way < WAYS; way++)
			scenario_add(records, WITH(pass, way), "records over %s by %s", pass_names[pass],
			             way_names[way]);
}
