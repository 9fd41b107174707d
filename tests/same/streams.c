/* Streams, and sends that find no room: partial counts, time limits, signals, broken pipes. */
#include "tests/same/same.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LARGE = 8 << 20 };

/* Position decides the byte, so that a lost, doubled or swapped piece is seen. */
static char pattern_at(size_t at)
{
	return (char)(at * 7 + at / 251 + at / 65521);
}

static char *pattern_make(size_t size)
{
	char *bytes = malloc(size);

	NEED(bytes != NULL);
	for (size_t i = 0; i < size; i++)
		bytes[i] = pattern_at(i);
	return bytes;
}

/* Reads until the end; the exit status of the child says whether everything came in order. numbers: fd, bytes, pause. */
static void reader_body(const int *numbers)
{
	static char bytes[1 << 16];
	size_t count = 0;
	ssize_t r;

	pause_ms(numbers[2]);
	while ((r = read(numbers[0], bytes, sizeof(bytes))) > 0) {
		for (ssize_t i = 0; i < r; i++)
			if (bytes[i] != pattern_at(count + (size_t)i))
				_exit(2);
		count += (size_t)r;
		if (numbers[2] > 0 && count < (1 << 20))
			pause_ms(1);
	}
	_exit(r == 0 && count == (size_t)numbers[1] ? 0 : 3);
}

static int status_of(pid_t child)
{
	int status;

	NEED(waitpid(child, &status, 0) == child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* with: kind, way, milliseconds before the reader begins */
static void large_blocking(const int *with)
{
	struct pair pair = pair_of(with[0]);
	char *bytes = pattern_make(LARGE);
	pid_t reader = child_begin(reader_body, (const int[]){pair.theirs, LARGE, with[2]});

	/* The child has a copy of our end: it must not keep the stream open for itself. */
	close(pair.theirs);
	NOTE(send_way(with[1], pair.ours, bytes, LARGE, 0));
	NOTE(shutdown(pair.ours, SHUT_WR));
	note("the reader: %d", status_of(reader));
	note_error_of(pair.ours);
}

/* Hundreds of iovecs of odd sizes, 3 MB in sum. */
static void large_scattered(const int *with)
{
	static struct iovec parts[700];
	struct pair pair = pair_of(with[0]);
	char *bytes = pattern_make(LARGE);
	struct mmsghdr one = {.msg_hdr = {.msg_iov = parts, .msg_iovlen = 700}};
	size_t at = 0;
	pid_t reader;

	for (size_t i = 0; i < 700; i++) {
		parts[i] = (struct iovec){bytes + at, i * 13 % 9001};
		at += parts[i].iov_len;
	}
	reader = child_begin(reader_body, (const int[]){pair.theirs, (int)at, 5});
	close(pair.theirs);
	if (with[1])
		NOTE(sendmmsg(pair.ours, &one, 1, 0) == 1 && one.msg_len == at);
	else
		NOTE(sendmsg(pair.ours, &one.msg_hdr, 0) == (ssize_t)at);
	NOTE(shutdown(pair.ours, SHUT_WR));
	note("the reader: %d", status_of(reader));
}

/* Several messages in one call, each larger than the buffers. */
static void large_batch(const int *with)
{
	struct pair pair = pair_of(with[0]);
	char *bytes = pattern_make(LARGE);
	struct iovec parts[3];
	struct mmsghdr batch[3];
	pid_t reader = child_begin(reader_body, (const int[]){pair.theirs, 3 << 20, 0});

	close(pair.theirs);
	for (size_t i = 0; i < 3; i++) {
		parts[i] = (struct iovec){bytes + (i << 20), 1 << 20};
		batch[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &parts[i], .msg_iovlen = 1}};
	}
	NOTE(sendmmsg(pair.ours, batch, 3, 0));
	note("msg_len %u %u %u", batch[0].msg_len, batch[1].msg_len, batch[2].msg_len);
	NOTE(shutdown(pair.ours, SHUT_WR));
	note("the reader: %d", status_of(reader));
}

static void add_large(void)
{
	static const int some[] = {TCP4, TCP6, UNIX_STREAM};

	for (size_t k = 0; k < COUNT_OF(some); k++) {
		for (int way = 0; way < WAYS; way++) {
			scenario_add(large_blocking, WITH(some[k], way, 0), "%s: %s of 8 MiB",
			             kinds[some[k]].name, way_names[way]);
			scenario_add(large_blocking, WITH(some[k], way, 30), "%s: %s of 8 MiB, slow reader",
			             kinds[some[k]].name, way_names[way]);
		}
		scenario_add(large_scattered, WITH(some[k], 0), "%s: sendmsg of 700 iovecs, 3 MB",
		             kinds[some[k]].name);
		scenario_add(large_scattered, WITH(some[k], 1), "%s: sendmmsg of 700 iovecs, 3 MB",
		             kinds[some[k]].name);
		scenario_add(large_batch, WITH(some[k]), "%s: sendmmsg of three times 1 MiB",
		             kinds[some[k]].name);
	}
}

/* ---- no room ---- */

/* How much goes before there is none is the buffers' business: only what kind of answer it is gets noted. */
static void note_partly(const char *what, long r, int error, size_t wanted)
{
	if (r < 0)
		note("%s -> -1 %s", what, error_name(error));
	else
		note("%s -> %s", what, r == 0 ? "0" : (size_t)r == wanted ? "all" : "a part");
}

static void buffers_small(const struct pair *pair)
{
	int size = 20000;

	setsockopt(pair->ours, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	setsockopt(pair->theirs, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
}

/* In sum, what has gone is what arrives. */
static void note_sum(const struct pair *pair, size_t sent)
{
	static char bytes[1 << 16];
	size_t count = 0;
	bool right = true;
	ssize_t r;

	while (count < sent && (r = read(pair->theirs, bytes, sizeof(bytes))) > 0) {
		for (ssize_t i = 0; i < r; i++)
			right = right && bytes[i] == pattern_at(count + (size_t)i);
		count += (size_t)r;
	}
	note("arrived: %s, %s", count == sent ? "what was sent" : "another amount",
	     right ? "in order" : "garbled");
	note_poll(pair->theirs, POLLIN, 0);
}

enum hurry { HURRY_FLAG, HURRY_SOCKET, HURRY_LIMIT, HURRY_SIGNAL, HURRY_RESTART, HURRIES };
static const char *const hurry_names[HURRIES] = {
	"MSG_DONTWAIT", "O_NONBLOCK", "SO_SNDTIMEO", "a signal", "a signal with SA_RESTART",
};

static void hurry_prepare(int fd, int hurry)
{
	struct timeval limit = {.tv_usec = 40000};

	if (hurry == HURRY_SOCKET)
		NEED(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
	if (hurry == HURRY_LIMIT)
		NEED(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) == 0);
	if (hurry >= HURRY_SIGNAL)
		signal_count(SIGALRM, hurry == HURRY_RESTART ? SA_RESTART : 0);
}

/* Makes room, but not before a signal was handled. */
static void later_body(const int *numbers)
{
	static char bytes[1 << 16];

	latch_wait();
	for (size_t left = (size_t)numbers[1]; left > 0;) {
		ssize_t r = read(numbers[0], bytes, left < sizeof(bytes) ? left : sizeof(bytes));

		if (r <= 0)
			break;
		left -= (size_t)r;
	}
}

/* with: kind, way, hurry. The first ends with what fits, the second finds no room at all. With SA_RESTART the second
 * goes on after the signal and ends when a reader makes room. */
static void no_room(const int *with)
{
	struct pair pair = pair_of(with[0]);
	char *bytes = pattern_make(4 << 20);
	int flags = with[2] == HURRY_FLAG ? MSG_DONTWAIT : 0;
	size_t wanted = 4 << 20, sent = 0;
	long r;

	buffers_small(&pair);
	hurry_prepare(pair.ours, with[2]);
	for (int i = 0; i < 3; i++) {
		if (with[2] >= HURRY_SIGNAL && (i == 0 || with[2] == HURRY_SIGNAL))
			alarm_every(40);
		else if (with[2] == HURRY_RESTART)
			break;
		r = send_way(with[1], pair.ours, bytes + sent, wanted - sent, flags);
		/* A stream that had no room may have a little a moment later. */
		if (i > 0 && r > 0)
			i--;
		else
			note_partly(way_names[with[1]], r, errno, wanted - sent);
		sent += r > 0 ? (size_t)r : 0;
	}
	note_signals();
	note("flags %x", fcntl(pair.ours, F_GETFL));
	note_sum(&pair, sent);
}

/* Until there is no room, and none a moment later. */
static size_t fill(int fd, const char *bytes, size_t size)
{
	struct pollfd ready = {.fd = fd, .events = POLLOUT};
	size_t sent = 0;
	ssize_t r;

	do
		while ((r = send(fd, bytes + sent, size - sent, MSG_DONTWAIT)) > 0)
			sent += (size_t)r;
	while (poll(&ready, 1, 20) > 0);
	return sent;
}

/* One byte, no room, and a signal that restarts: it is sent when a reader has made room, once. */
static void restarted_send(const int *with)
{
	struct pair pair = pair_of(with[0]);
	size_t sent;
	pid_t reader;
	long r;

	buffers_small(&pair);
	sent = fill(pair.ours, pattern_make(4 << 20), 4 << 20);
	signal_count(SIGALRM, SA_RESTART);
	reader = child_begin(later_body, (const int[]){pair.theirs, (int)sent});
	alarm_every(40);
	r = note_result(way_names[with[1]], send_way(with[1], pair.ours, "z", 1, 0));
	/* TCP's own probes may have found room before. */
	if (kinds[with[0]].family == AF_UNIX)
		note_signals();
	latch_open();
	alarm_every(0);
	child_wait(reader);
	note_stream(pair.theirs, r > 0);
}

/* A child that is killed while its send waits: what has gone arrives, and then the end of the file. */
static void waiting_body(const int *numbers)
{
	static char bytes[4 << 20];

	send_way(numbers[1], numbers[0], bytes, sizeof(bytes), 0);
	_exit(5);
}

static void killed_while_sending(const int *with)
{
	struct pair pair = pair_of(with[0]);
	static char sink[1 << 16];
	pid_t child;
	ssize_t r;

	buffers_small(&pair);
	child = child_begin(waiting_body, (const int[]){pair.ours, with[1]});
	close(pair.ours);
	pause_ms(40);
	kill(child, SIGKILL);
	note("the sender: %d", status_of(child));
	while ((r = read(pair.theirs, sink, sizeof(sink))) > 0)
		;
	note("then read -> %zd", r);
}

static void add_no_room(void)
{
	static const int some[] = {TCP4, UNIX_STREAM};

	for (size_t k = 0; k < COUNT_OF(some); k++)
		for (int way = 0; way < WAYS; way++) {
			for (int hurry = 0; hurry < HURRIES; hurry++)
				scenario_add(no_room, WITH(some[k], way, hurry),
				             "%s: %s without room, %s ends it", kinds[some[k]].name,
				             way_names[way], hurry_names[hurry]);
			scenario_add(restarted_send, WITH(some[k], way), "%s: %s goes on after a signal",
			             kinds[some[k]].name, way_names[way]);
			scenario_add(killed_while_sending, WITH(some[k], way), "%s: SIGKILL while %s waits",
			             kinds[some[k]].name, way_names[way]);
		}
}

/* ---- broken ---- */

enum broken {
	BROKEN_CLOSED,
	BROKEN_UNREAD,
	BROKEN_SHUT_WR,
	BROKEN_SHUT_BOTH,
	BROKEN_THEIR_RD,
	BROKEN_FRESH,
	BROKENS
};
static const char *const broken_names[BROKENS] = {
	"the peer has closed",
	"the peer has closed with unread data",
	"SHUT_WR",
	"SHUT_RDWR",
	"the peer's SHUT_RD",
	"not connected",
};

static int broken_make(int kind, int broken)
{
	struct pair pair;

	if (broken == BROKEN_FRESH)
		return socket_of(kind, 0);
	pair = pair_of(kind);
	if (broken == BROKEN_UNREAD) {
		NEED(send(pair.ours, "unread", 6, 0) == 6);
		note_poll(pair.theirs, POLLIN, 3000);
	}
	if (broken <= BROKEN_UNREAD) {
		close(pair.theirs);
		note_poll(pair.ours, POLLIN, 3000);
	}
	if (broken == BROKEN_SHUT_WR || broken == BROKEN_SHUT_BOTH)
		NEED(shutdown(pair.ours, broken == BROKEN_SHUT_WR ? SHUT_WR : SHUT_RDWR) == 0);
	if (broken == BROKEN_THEIR_RD)
		NEED(shutdown(pair.theirs, SHUT_RD) == 0);
	return pair.ours;
}

/* with: kind, way, broken, flags */
static void send_broken(const int *with)
{
	int fd = broken_make(with[0], with[2]);

	pipes_count();
	for (int i = 0; i < 3; i++) {
		note_result(way_names[with[1]], send_way(with[1], fd, "hello", 5, with[3]));
		note_pipes();
		if (i == 0 && kinds[with[0]].family != AF_UNIX)
			note_poll(fd, POLLRDHUP, with[2] <= BROKEN_UNREAD ? 3000 : 0);
	}
	note_result("nothing at all", send_way(with[1], fd, "", 0, with[3]));
	note_pipes();
	note_error_of(fd);
	note_poll(fd, POLLIN | POLLOUT, 0);
}

/* The disposition that a program has: killed by it, ignored, blocked. */
static void killed_body(const int *numbers)
{
	signal(SIGPIPE, numbers[3] ? SIG_IGN : SIG_DFL);
	_exit(send_way(numbers[1], broken_make(numbers[0], numbers[2]), "hello", 5, 0) < 0 ? errno : 0);
}

static void send_broken_killed(const int *with)
{
	sigset_t blocked;

	note("default: %d", status_of(child_begin(killed_body, (const int[]){with[0], with[1], with[2], 0})));
	unlink("peer");
	note("ignored: %d", status_of(child_begin(killed_body, (const int[]){with[0], with[1], with[2], 1})));
	unlink("peer");
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGPIPE);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	NOTE(send_way(with[1], broken_make(with[0], with[2]), "hello", 5, 0));
	sigpending(&blocked);
	note("blocked: pending %d", sigismember(&blocked, SIGPIPE));
}

static void broken_in_a_batch(const int *with)
{
	struct pair pair = pair_of(with[0]);
	struct iovec good = {"hello", 5}, bad = {(void *)1, 5};
	struct mmsghdr batch[3] = {{.msg_hdr = {.msg_iov = &good, .msg_iovlen = 1}},
	                           {.msg_hdr = {.msg_iov = with[1] ? &good : &bad, .msg_iovlen = 1}},
	                           {.msg_hdr = {.msg_iov = &good, .msg_iovlen = 1}}};

	pipes_count();
	if (with[1])
		NEED(shutdown(pair.ours, SHUT_WR) == 0);
	NOTE(sendmmsg(pair.ours, batch, 3, 0));
	note("msg_len %u %u %u", batch[0].msg_len, batch[1].msg_len, batch[2].msg_len);
	note_pipes();
}

/* A send waits, and then the peer goes away. */
static void leaving_body(const int *numbers)
{
	poll(&(struct pollfd){.fd = numbers[0], .events = POLLIN}, 1, 5000);
	pause_ms(30);
	close(numbers[0]);
}

static void peer_leaves(const int *with)
{
	struct pair pair = pair_of(with[0]);
	char *bytes = pattern_make(4 << 20);
	pid_t peer;
	long r;

	buffers_small(&pair);
	pipes_count();
	peer = child_begin(leaving_body, (const int[]){pair.theirs});
	close(pair.theirs);
	r = send_way(with[1], pair.ours, bytes, 4 << 20, 0);
	note_partly(way_names[with[1]], r, errno, 4 << 20);
	note_pipes();
	r = send_way(with[1], pair.ours, bytes, 1, 0);
	note_partly(way_names[with[1]], r, errno, 1);
	note_pipes();
	child_wait(peer);
}

static void add_broken(void)
{
	static const int some[] = {TCP4, TCP6, UNIX_STREAM, UNIX_SEQPACKET};

	for (size_t k = 0; k < COUNT_OF(some); k++)
		for (int way = 0; way < WAYS; way++) {
			for (int broken = 0; broken < BROKENS; broken++)
				for (int quiet = 0; quiet < 2; quiet++)
					scenario_add(send_broken,
					             WITH(some[k], way, broken, quiet ? MSG_NOSIGNAL : 0),
					             "%s: %s, %s%s", kinds[some[k]].name, way_names[way],
					             broken_names[broken], quiet ? ", MSG_NOSIGNAL" : "");
			scenario_add(send_broken_killed, WITH(some[k], way, BROKEN_SHUT_WR),
			             "%s: %s after SHUT_WR, SIGPIPE as it is", kinds[some[k]].name,
			             way_names[way]);
			scenario_add(peer_leaves, WITH(some[k], way), "%s: the peer leaves while %s waits",
			             kinds[some[k]].name, way_names[way]);
		}
	for (size_t k = 0; k < COUNT_OF(some); k++) {
		scenario_add(broken_in_a_batch, WITH(some[k], 0), "%s: sendmmsg, the second is bad",
		             kinds[some[k]].name);
		scenario_add(broken_in_a_batch, WITH(some[k], 1), "%s: sendmmsg after SHUT_WR",
		             kinds[some[k]].name);
	}
}

/* ---- corks and urgent bytes ---- */

static void tcp_cork(const int *with)
{
	struct pair pair = pair_of(with[0]);
	int on = 1;

	NEED(setsockopt(pair.ours, IPPROTO_TCP, TCP_CORK, &on, sizeof(on)) == 0);
	NOTE(send_way(with[1], pair.ours, "one ", 4, 0));
	NOTE(send_way(with[1], pair.ours, "two ", 4, MSG_MORE));
	note_stream(pair.theirs, 0);
	on = 0;
	NOTE(setsockopt(pair.ours, IPPROTO_TCP, TCP_CORK, &on, sizeof(on)));
	note_stream(pair.theirs, 8);
}

static void tcp_urgent(const int *with)
{
	struct pair pair = pair_of(with[0]);
	char byte = 0;
	int mark = -1;

	if (NOTE(send_way(with[1], pair.ours, "abc!", 4, MSG_OOB)) < 0)
		return;
	note_poll(pair.theirs, POLLPRI | POLLIN, 3000);
	NOTE(recv(pair.theirs, &byte, 1, MSG_OOB));
	note("urgent %c", byte);
	note_stream(pair.theirs, 3);
	NOTE(ioctl(pair.theirs, SIOCATMARK, &mark));
	note("at mark %d", mark);
}

void scenarios_of_streams(void)
{
	static const int some[] = {TCP4, TCP6, UNIX_STREAM};

	add_large();
	add_no_room();
	add_broken();
	for (size_t k = 0; k < COUNT_OF(some); k++)
		for (int way = 0; way < WAYS; way++) {
			if (some[k] != UNIX_STREAM)
				scenario_add(tcp_cork, WITH(some[k], way), "%s: TCP_CORK and %s",
				             kinds[some[k]].name, way_names[way]);
			scenario_add(tcp_urgent, WITH(some[k], way), "%s: an urgent byte by %s",
			             kinds[some[k]].name, way_names[way]);
		}
}
