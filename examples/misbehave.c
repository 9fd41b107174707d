/* The attempts, one function each: 0 when it worked, -errno when it was refused. Every one of them works
 * in an unconfined server of the right user; that is what makes the refusals worth something.
 *
 *     server ── the attempts that harm nobody run right here
 *      └─ keeper               waits, and tells how the other one ended if it cannot say so itself
 *          └─ attempt          has an alarm clock, may be killed, traces, installs filters, execs
 *
 * Neither child returns to the server's code: no event loop, no atexit, no stdio of the parent. */
#include "misbehave.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

enum {
	ATTEMPT_SECONDS = 8, /* the alarm clock: below the server's patience with an idle connection */
	RACE_SECONDS = 2,
	RACE_WAIT_MS = 20,
};

struct score {
	unsigned won, tried;
};

enum where { IN_SERVER, IN_CHILD };

struct attempt {
	const char *name;
	const char *words;
	enum where where;
	int (*run)(const struct marks *marks);
	struct score (*race)(const struct marks *marks); /* instead of `run`; always in a child */
};

/* --- files ------------------------------------------------------------------------------------------ */

static int read_one_byte(const char *path)
{
	char byte;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;
	int r;

	if (fd < 0)
		return -errno;
	n = read(fd, &byte, 1);
	r = n < 0 ? -errno : n == 0 ? -ENODATA : 0;
	close(fd);
	return r;
}

static int try_read_secret(const struct marks *marks)
{
	return read_one_byte(marks->secret);
}

static int try_read_shadow(const struct marks *marks)
{
	(void)marks;
	return read_one_byte("/etc/shadow");
}

static int try_write_outside(const struct marks *marks)
{
	char path[PATH_MAX];
	int fd;

	if ((size_t)snprintf(path, sizeof(path), "%s.%d", marks->secret, (int)getpid()) >= sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	close(fd);
	unlink(path);
	return 0;
}

/* --- network ---------------------------------------------------------------------------------------- */

static struct sockaddr_in loopback(uint16_t port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
}

static int connect_and_hang_up(int domain, int protocol, const void *address, socklen_t length)
{
	int fd = socket(domain, SOCK_STREAM | SOCK_CLOEXEC, protocol);
	int r;

	if (fd < 0)
		return -errno;
	r = connect(fd, address, length) < 0 ? -errno : 0;
	close(fd);
	return r;
}

static int try_connect(const struct marks *marks)
{
	struct sockaddr_in address = loopback(marks->forbidden);

	return connect_and_hang_up(AF_INET, 0, &address, sizeof(address));
}

/* Multipath TCP falls back to plain TCP, and is a protocol of its own to whoever checks for TCP. */
static int try_mptcp(const struct marks *marks)
{
	struct sockaddr_in address = loopback(marks->forbidden);

	return connect_and_hang_up(AF_INET, IPPROTO_MPTCP, &address, sizeof(address));
}

static int try_abstract_socket(const struct marks *marks)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strlen(marks->abstract);

	if (length > sizeof(address.sun_path) - 1)
		return -ENAMETOOLONG;
	memcpy(address.sun_path + 1, marks->abstract, length);
	return connect_and_hang_up(AF_UNIX, 0, &address,
	                           (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length));
}

static int send_one_byte(const struct marks *marks, int type, int flags)
{
	struct sockaddr_in address = loopback(marks->forbidden);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	int r;

	if (fd < 0)
		return -errno;
	r = sendto(fd, "!", 1, flags, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
	close(fd);
	return r;
}

static int try_udp_out(const struct marks *marks)
{
	return send_one_byte(marks, SOCK_DGRAM, 0);
}

/* The connection that needs no connect(2): tcp(7), "MSG_FASTOPEN" in sendto(2)'s place. */
static int try_fast_open(const struct marks *marks)
{
	return send_one_byte(marks, SOCK_STREAM, MSG_FASTOPEN);
}

static int listen_somewhere(const struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int r = 0;

	if (fd < 0)
		return -errno;
	if (address && bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
		r = -errno;
	if (r == 0 && listen(fd, 1) < 0)
		r = -errno;
	close(fd);
	return r;
}

static int try_bind_elsewhere(const struct marks *marks)
{
	struct sockaddr_in any_port = loopback(0);

	(void)marks;
	return listen_somewhere(&any_port);
}

/* listen(2) on a socket without a name gives it one: all addresses, and a port of the kernel's choice. */
static int try_listen_unbound(const struct marks *marks)
{
	(void)marks;
	return listen_somewhere(NULL);
}

/* --- a race: two threads, one sockaddr ---------------------------------------------------------------- */

struct race {
	struct sockaddr_in target; /* its port changes all the time */
	in_port_t allowed, forbidden;
	bool over;
};

static void *race_flip(void *argument)
{
	struct race *race = argument;

	while (!__atomic_load_n(&race->over, __ATOMIC_RELAXED)) {
		__atomic_store_n(&race->target.sin_port, race->forbidden, __ATOMIC_RELAXED);
		__atomic_store_n(&race->target.sin_port, race->allowed, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* Whether this connection went to the forbidden port. Not blocking, for a listener whose queue is full
 * would cost the whole race; closed by reset, for thousands in TIME_WAIT would cost the ports. */
static bool race_once(struct race *race)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct linger reset = {.l_onoff = 1};
	struct pollfd connected = {.fd = fd, .events = POLLOUT};
	struct sockaddr_in peer = {0};
	socklen_t length = sizeof(peer);
	bool won;

	if (fd < 0)
		return false;
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	if (connect(fd, (struct sockaddr *)&race->target, sizeof(race->target)) < 0 && errno == EINPROGRESS)
		poll(&connected, 1, RACE_WAIT_MS);
	won = getpeername(fd, (struct sockaddr *)&peer, &length) == 0 && peer.sin_port == race->forbidden;
	close(fd);
	return won;
}

static int64_t clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static struct score try_race_connect(const struct marks *marks)
{
	struct race race = {
		.target = loopback(marks->upstream),
		.allowed = htons(marks->upstream),
		.forbidden = htons(marks->forbidden),
	};
	struct score score = {0};
	int64_t end = clock_ms() + RACE_SECONDS * 1000;
	pthread_t flipper;

	if (pthread_create(&flipper, NULL, race_flip, &race) != 0)
		return score;
	for (; clock_ms() < end; score.tried++)
		score.won += race_once(&race);
	__atomic_store_n(&race.over, true, __ATOMIC_RELAXED);
	pthread_join(flipper, NULL);
	return score;
}

/* --- processes and the kernel ------------------------------------------------------------------------- */

/* The tracer's exit detaches it, and a tracee that was seized and never stopped does not notice. */
static int try_ptrace_parent(const struct marks *marks)
{
	return ptrace(PTRACE_SEIZE, marks->parent, 0, 0) < 0 ? -errno : 0;
}

static int try_signal_parent(const struct marks *marks)
{
	return kill(marks->parent, 0) < 0 ? -errno : 0;
}

/* posix_spawn(3) and not fork: it hands back the errno of the exec. */
static int try_exec_shell(const struct marks *marks)
{
	char *argv[] = {"sh", "-c", "cat \"$1\"", "sh", (char *)marks->secret, NULL};
	char *environment[] = {"PATH=/usr/bin:/bin", NULL};
	posix_spawn_file_actions_t actions;
	int ends[2];
	char byte;
	ssize_t n;
	pid_t pid;
	int r;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
	r = posix_spawn(&pid, "/bin/sh", &actions, NULL, argv, environment);
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	n = r == 0 ? read(ends[0], &byte, 1) : 0;
	close(ends[0]);
	if (r != 0)
		return -r;
	waitpid(pid, NULL, 0);
	return n == 1 ? 0 : -ENODATA;
}

/* Whoever listens to a filter of its own answers its own calls, and outranks the filters below. */
static int try_new_listener(const struct marks *marks)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = {.len = 1, .filter = &allow};

	(void)marks;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program) < 0
	               ? -errno
	               : 0;
}

/* A ring does opens and connects that no seccomp filter gets to see. */
static int try_io_uring(const struct marks *marks)
{
	struct io_uring_params params = {0};
	long fd = syscall(SYS_io_uring_setup, 4, &params);

	(void)marks;
	if (fd < 0)
		return -errno;
	close((int)fd);
	return 0;
}

/* --- the table, and how an attempt is run --------------------------------------------------------------- */

static const struct attempt attempts[] = {
	{"read-secret", "read a file outside the document root", IN_SERVER, .run = try_read_secret},
	{"read-shadow", "read /etc/shadow", IN_SERVER, .run = try_read_shadow},
	{"write-outside", "create a file beside the secret", IN_SERVER, .run = try_write_outside},
	{"connect-elsewhere", "connect to a port that is not allowed", IN_SERVER, .run = try_connect},
	{"bind-elsewhere", "bind another TCP port and listen", IN_SERVER, .run = try_bind_elsewhere},
	{"listen-unbound", "listen without bind, on any port", IN_SERVER, .run = try_listen_unbound},
	{"udp-out", "send a datagram", IN_SERVER, .run = try_udp_out},
	{"fast-open", "connect by sendto with MSG_FASTOPEN", IN_SERVER, .run = try_fast_open},
	{"mptcp", "connect by multipath TCP", IN_SERVER, .run = try_mptcp},
	{"abstract-socket", "connect to an abstract unix socket", IN_SERVER, .run = try_abstract_socket},
	{"race-connect", "flip the port while connect looks at it", IN_CHILD, .race = try_race_connect},
	{"ptrace-parent", "trace the process that started the server", IN_CHILD, .run = try_ptrace_parent},
	{"signal-parent", "signal the process that started the server", IN_SERVER, .run = try_signal_parent},
	{"exec-shell", "have a shell print the secret", IN_CHILD, .run = try_exec_shell},
	{"exec-shell-net", "connect from a child process", IN_CHILD, .run = try_connect},
	{"new-listener", "listen to a seccomp filter of its own", IN_CHILD, .run = try_new_listener},
	{"io-uring", "set up a ring, to work past the filter", IN_SERVER, .run = try_io_uring},
};

enum { ATTEMPTS = sizeof(attempts) / sizeof(attempts[0]) };

static const struct attempt *attempt_find(const char *name)
{
	for (size_t i = 0; i < ATTEMPTS; i++)
		if (strcmp(attempts[i].name, name) == 0)
			return &attempts[i];
	return NULL;
}

static void answer_names(int out)
{
	for (size_t i = 0; i < ATTEMPTS; i++)
		dprintf(out, "%-18s %s\n", attempts[i].name, attempts[i].words);
}

static void answer_attempt(const struct attempt *row, const struct marks *marks, int out)
{
	if (row->race) {
		struct score score = row->race(marks);

		dprintf(out, "%s: %u of %u\n", row->name, score.won, score.tried);
		return;
	}

	int r = row->run(marks);

	if (r < 0)
		dprintf(out, "%s: %s (%s)\n", row->name, strerrorname_np(-r), strerror(-r));
	else
		dprintf(out, "%s: ok\n", row->name);
}

/* In the keeper. Its descriptors, by number: 0 to 2, the answer's pipe standing in for stdout, and no other:
 * a copy of some client's socket would keep that client waiting for its end of file. Its signals: none goes
 * to the event loop's handlers, which came along with the fork and would run at our own SIGCHLD. */
static void keep_attempt(const struct attempt *row, const struct marks *marks, int out)
{
	static const int handled[] = {SIGCHLD, SIGINT, SIGPIPE, SIGTERM};
	int status = 0;
	pid_t pid;

	for (size_t i = 0; i < sizeof(handled) / sizeof(handled[0]); i++)
		signal(handled[i], SIG_DFL);
	dup2(out, STDOUT_FILENO);
	close_range(STDERR_FILENO + 1, UINT_MAX, 0);
	pid = fork();
	if (pid == 0) {
		alarm(ATTEMPT_SECONDS);
		answer_attempt(row, marks, STDOUT_FILENO);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		dprintf(STDOUT_FILENO, "%s: %s (%s)\n", row->name, strerrorname_np(errno), strerror(errno));
	else if (WIFSIGNALED(status))
		dprintf(STDOUT_FILENO, "%s: SIG%s (%s)\n", row->name, sigabbrev_np(WTERMSIG(status)),
		        strsignal(WTERMSIG(status)));
}

int misbehave_start(const char *name, const struct marks *marks)
{
	const struct attempt *row = attempt_find(name);
	pid_t pid = -1;
	int ends[2];

	if (!row && *name)
		return -ENOENT;
	if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) < 0)
		return -errno;
	if (row && row->where == IN_CHILD && (pid = fork()) < 0) {
		int r = -errno;

		close(ends[0]);
		close(ends[1]);
		return r;
	}
	if (pid == 0) {
		keep_attempt(row, marks, ends[1]);
		_exit(0);
	}
	if (!row)
		answer_names(ends[1]);
	else if (row->where == IN_SERVER)
		answer_attempt(row, marks, ends[1]);
	close(ends[1]);
	return ends[0];
}
