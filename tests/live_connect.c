/* connect(2) on behalf: what the caller sees is what it sees bare. Where it can be, each attempt runs twice,
 * bare and confined, and the results are compared; the black hole is a listener whose queue is full, so that
 * the kernel drops the SYNs and connect(2) hangs.
 *
 * live_connect_noring.c and live_connect_nothread.c run the same on a gate that lacks one kernel feature.
 */
#include "tests/common/common.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "confine/confine.h"

/* 127.0.0.1 is allowed with all its ports, 127.0.0.2 is not. */
#define GATE POLICY("net-allow", "tcp://127.0.0.1", "net-allow", "tcp://[::1]", "fs-read", "/proc")

enum { ERESTARTSYS_SHOWN = 512 };

static struct {
	uint16_t served, served6, refused;
	int served_fd, served6_fd;
	pid_t acceptor;
} net;

static struct sockaddr_in address_of(uint32_t host, uint16_t port)
{
	return (struct sockaddr_in){AF_INET, htons(port), {htonl(host)}, {0}};
}

static int connect_to(int fd, uint16_t port)
{
	struct sockaddr_in address = address_of(INADDR_LOOPBACK, port);

	return connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? errno : 0;
}

static int forbidden_try(uint16_t port)
{
	struct sockaddr_in address = address_of(INADDR_LOOPBACK + 1, port);

	return address_try((struct sockaddr *)&address, sizeof(address));
}

static int stream_socket(int flags)
{
	return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
}

/* Both must give the same; returns it. */
static int same(attempt_fn attempt, void *context)
{
	int bare = attempt_bare(attempt, context), confined = attempt_confined(GATE, attempt, context);

	assert_int_equal(confined, bare);
	return bare;
}

/* ---- the black hole ---- */

struct hole {
	int listener;
	uint16_t port;
	int fillers[8];
	unsigned count;
};

static void hole_open(struct hole *hole)
{
	*hole = (struct hole){0};
	hole->listener = tcp_listener(AF_INET, &hole->port);
	assert_int_equal(listen(hole->listener, 0), 0);
	for (hole->count = 0; hole->count < 8; hole->count++) {
		int fd = stream_socket(SOCK_NONBLOCK);
		struct pollfd ready = {.fd = fd, .events = POLLOUT};

		assert_int_equal(connect_to(fd, hole->port), EINPROGRESS);
		if (poll(&ready, 1, 200) == 0) {
			close(fd);
			return;
		}
		hole->fillers[hole->count] = fd;
	}
	fail_msg("a listener with a backlog of 0 takes more than 8 connections");
}

static void hole_close(struct hole *hole)
{
	while (hole->count > 0)
		close(hole->fillers[--hole->count]);
	close(hole->listener);
}

/* A process that begins to accept after a while. */
static pid_t hole_drain_later(const struct hole *hole, unsigned milliseconds)
{
	pid_t child;

	if ((child = process_fork()) != 0)
		return child;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	usleep(milliseconds * 1000);
	for (;; usleep(10000))
		accept_all(hole->listener);
}

/* ---- signals ---- */

static volatile sig_atomic_t signals_seen;

static void signal_count(int number)
{
	(void)number;
	signals_seen++;
}

static void signal_handle(int number, int flags)
{
	struct sigaction action = {.sa_handler = signal_count, .sa_flags = flags};

	sigaction(number, &action, NULL);
}

static void alarm_start(long milliseconds, bool repeating)
{
	struct itimerval timer = {{0, repeating ? milliseconds * 1000 : 0}, {0, milliseconds * 1000}};

	setitimer(ITIMER_REAL, &timer, NULL);
}

/* ---- blocking and not ---- */

struct way {
	uint16_t port;
	bool nonblocking;
};

enum { OUTCOME_FIRST = 200 * 200 * 64 };

/* connect, poll, SO_ERROR, connect again: everything that a client may look at, as one number. */
static int outcome(void *context)
{
	const struct way *way = context;
	int fd = stream_socket(way->nonblocking ? SOCK_NONBLOCK : 0), first = connect_to(fd, way->port);
	struct pollfd ready = {.fd = fd, .events = POLLOUT};
	int state = 0, second;
	socklen_t size = sizeof(state);

	EXPECT(first != ERESTARTSYS_SHOWN);
	poll(&ready, 1, 2000);
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &state, &size);
	second = connect_to(fd, way->port);
	close(fd);
	return ((first * 200 + second) * 200 + state) * 64 + (ready.revents & 63);
}

static void results_are_those_of_the_bare_call(void **state)
{
	struct way ways[] = {
		{net.served, false}, {net.served, true}, {net.refused, false}, {net.refused, true}};

	(void)state;
	assert_int_equal(same(outcome, &ways[0]) / OUTCOME_FIRST, 0);
	assert_int_equal(same(outcome, &ways[1]) / OUTCOME_FIRST, EINPROGRESS);
	assert_int_equal(same(outcome, &ways[2]) / OUTCOME_FIRST, ECONNREFUSED);
	assert_int_equal(same(outcome, &ways[3]) / OUTCOME_FIRST, EINPROGRESS);
}

static int reuse(void *context)
{
	struct sockaddr nothing = {.sa_family = AF_UNSPEC};
	int fd = stream_socket(0), seen = 0;

	(void)context;
	EXPECT(connect_to(fd, net.served) == 0);
	seen = seen * 200 + connect_to(fd, net.served);
	EXPECT(connect(fd, &nothing, sizeof(nothing)) == 0);
	seen = seen * 200 + connect_to(fd, net.refused);
	seen = seen * 200 + connect_to(fd, net.refused);
	EXPECT(connect_to(fd, net.served) == 0);
	close(fd);
	return seen;
}

static void a_socket_can_be_used_again(void **state)
{
	(void)state;
	assert_int_equal(same(reuse, NULL), (EISCONN * 200 + ECONNREFUSED) * 200 + ECONNREFUSED);
}

static int both_families(void *context)
{
	(void)context;
	EXPECT(tcp_try(AF_INET, net.served) == 0);
	EXPECT(tcp_try(AF_INET6, net.served6) == 0);
	return forbidden_try(net.served);
}

static void a_forbidden_address_is_refused(void **state)
{
	(void)state;
	/* The control: it would be refused by the peer, for the listener is on 127.0.0.1 alone. */
	assert_int_equal(attempt_bare(both_families, NULL), ECONNREFUSED);
	assert_int_equal(attempt_confined(GATE, both_families, NULL), EACCES);
}

static int unfinished(void *context)
{
	const struct hole *hole = context;
	int fd = stream_socket(SOCK_NONBLOCK), first = connect_to(fd, hole->port);
	struct pollfd ready = {.fd = fd, .events = POLLOUT};
	int second = connect_to(fd, hole->port);

	EXPECT(poll(&ready, 1, 100) == 0);
	close(fd);
	return first * 200 + second;
}

static void a_nonblocking_connect_goes_on_by_itself(void **state)
{
	struct hole hole;
	pid_t drain;

	(void)state;
	hole_open(&hole);
	assert_int_equal(same(unfinished, &hole), EINPROGRESS * 200 + EALREADY);
	drain = hole_drain_later(&hole, 0);
	assert_int_equal(same(outcome, &(struct way){hole.port, true}),
	                 attempt_bare(outcome, &(struct way){net.served, true}));
	process_end(drain);
	hole_close(&hole);
}

/* ---- waiting ---- */

/* Connects and says over a pipe that it did; the parent finds that it never does. */
struct hanging {
	const struct hole *hole;
	int out;
};

static int hang(void *context)
{
	const struct hanging *hanging = context;
	int result;

	alarm(20);
	result = connect_to(stream_socket(0), hanging->hole->port);
	if (write(hanging->out, &result, sizeof(result)) != sizeof(result))
		return -1;
	return result;
}

/* -1: the supervisor is undumpable, and so closed to its user. */
static int sockets_of(pid_t process)
{
	DIR *fds = opendir(text_of("/proc/%d/fd", process));
	struct dirent *entry;
	int count = 0;

	if (fds == NULL)
		return -1;
	while ((entry = readdir(fds)) != NULL) {
		char target[64] = "";

		if (readlinkat(dirfd(fds), entry->d_name, target, sizeof(target) - 1) > 0)
			count += strncmp(target, "socket:", 7) == 0;
	}
	closedir(fds);
	return count;
}

static bool sockets_become(pid_t process, int count)
{
	for (double end = seconds_now() + 10; seconds_now() < end; usleep(5000)) {
		int now = sockets_of(process);

		if (now == -1 || now == count)
			return true;
	}
	fprintf(stderr, "# %d sockets, not %d\n", sockets_of(process), count);
	return false;
}

/* A confined process that does nothing, so that the supervisor stays; its commands come by a pipe: the next
 * child is forked from it. */
struct tree {
	pid_t root, supervisor;
	int go, came;
};

static void tree_serve(int go, int came)
{
	struct {
		attempt_fn attempt;
		void *context;
	} order;

	signal(SIGCHLD, SIG_IGN);
	while (read(go, &order, sizeof(order)) == sizeof(order)) {
		pid_t child = fork();

		if (child == 0) {
			close(go);
			_exit(order.attempt(order.context) == 0 ? 0 : 1);
		}
		if (write(came, &child, sizeof(child)) != sizeof(child))
			_exit(1);
	}
	_exit(0);
}

static void tree_start(struct tree *tree)
{
	sl_policy *policy = policy_of(GATE);
	int go[2], came[2], ready = -1;
	sl_error error;

	assert_int_equal(pipe2(go, O_CLOEXEC) | pipe2(came, O_CLOEXEC), 0);
	if ((tree->root = process_fork()) == 0) {
		close(go[1]);
		close(came[0]);
		ready = sl_confine_self(policy, &error);
		if (write(came[1], &ready, sizeof(ready)) != sizeof(ready) || ready < 0)
			_exit(1);
		tree_serve(go[0], came[1]);
	}
	sl_policy_free(policy);
	close(go[0]);
	close(came[1]);
	tree->go = go[1];
	tree->came = came[0];
	assert_int_equal(read(tree->came, &ready, sizeof(ready)), sizeof(ready));
	assert_int_equal(ready, 0);
	tree->supervisor = supervisor_of(tree->root);
	assert_true(tree->supervisor > 0);
	/* It closes its end of the hand-over in its own time. */
	assert_true(sockets_become(tree->supervisor, 0));
}

static pid_t tree_fork(struct tree *tree, attempt_fn attempt, void *context)
{
	struct {
		attempt_fn attempt;
		void *context;
	} order = {attempt, context};
	pid_t child = -1;

	assert_int_equal(write(tree->go, &order, sizeof(order)), sizeof(order));
	assert_int_equal(read(tree->came, &child, sizeof(child)), sizeof(child));
	assert_true(child > 0);
	return child;
}

static void tree_end(struct tree *tree)
{
	close(tree->go);
	close(tree->came);
	waitpid(tree->root, NULL, 0);
}

/* The result that comes over the pipe, or -1 when none does. */
static int result_within(int from, int milliseconds)
{
	struct pollfd ready = {.fd = from, .events = POLLIN};
	int result = -1;

	if (poll(&ready, 1, milliseconds) == 1 && read(from, &result, sizeof(result)) != sizeof(result))
		return -2;
	return result;
}

static int served_over(void *context)
{
	int result = tcp_try(AF_INET, net.served);

	return write(*(int *)context, &result, sizeof(result)) == sizeof(result) ? 0 : 1;
}

static void a_killed_caller_is_forgotten(void **state)
{
	struct hanging hanging;
	struct hole hole;
	struct tree tree;
	int ends[2];

	(void)state;
	hole_open(&hole);
	assert_int_equal(pipe(ends), 0);
	hanging = (struct hanging){&hole, ends[1]};
	/* The control: bare, it hangs. */
	if ((tree.root = process_fork()) == 0)
		_exit(hang(&hanging));
	assert_int_equal(result_within(ends[0], 500), -1);
	process_end(tree.root);

	tree_start(&tree);
	for (int i = 0; i < 20; i++) {
		pid_t caller = tree_fork(&tree, hang, &hanging);

		if (i == 0) {
			assert_int_equal(result_within(ends[0], 500), -1);
			assert_true(sockets_become(tree.supervisor, 1));
		}
		/* In all states: before, in, and after the notification. */
		usleep((useconds_t)i * 300);
		process_kill(caller, SIGKILL);
	}
	assert_true(sockets_become(tree.supervisor, 0));
	tree_fork(&tree, served_over, &ends[1]);
	assert_int_equal(result_within(ends[0], 5000), 0);
	tree_end(&tree);
	hole_close(&hole);
	close(ends[0]);
	close(ends[1]);
}

struct limited {
	const struct hole *hole;
	int calls;
};

/* The result of the last of so many calls on one socket, each of which waits out its time. */
static int time_limited(void *context)
{
	const struct limited *limited = context;
	struct timeval limit = {0, 200000};
	int fd = stream_socket(0), code = 0;

	EXPECT(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) == 0);
	for (int i = 0; i < limited->calls; i++) {
		double start = seconds_now();

		code = connect_to(fd, limited->hole->port);
		EXPECT(seconds_now() - start > 0.15 && seconds_now() - start < 5 * slowness());
	}
	close(fd);
	return code;
}

static void a_send_timeout_ends_the_wait(void **state)
{
	struct hole hole;

	(void)state;
	hole_open(&hole);
	assert_int_equal(same(time_limited, &(struct limited){&hole, 1}), EINPROGRESS);
	hole_close(&hole);
}

/* From the second call on the connection is on its way: EALREADY, after the same time. */
static void a_second_wait_that_times_out_says_already(void **state)
{
	struct hole hole;

	(void)state;
	hole_open(&hole);
	assert_int_equal(same(time_limited, &(struct limited){&hole, 2}), EALREADY);
	assert_int_equal(same(time_limited, &(struct limited){&hole, 3}), EALREADY);
	hole_close(&hole);
}

static int interrupted(void *context)
{
	const struct hole *hole = context;
	int fd = stream_socket(0), first, second;
	double start = seconds_now();

	signal_handle(SIGALRM, 0);
	alarm_start(150, false);
	first = connect_to(fd, hole->port);
	alarm_start(150, false);
	second = connect_to(fd, hole->port);
	EXPECT(seconds_now() - start < 5);
	EXPECT(signals_seen == 2);
	close(fd);
	return first * 200 + second;
}

static void a_signal_interrupts(void **state)
{
	struct hole hole;

	(void)state;
	hole_open(&hole);
	assert_int_equal(same(interrupted, &hole), EINTR * 200 + EINTR);
	hole_close(&hole);
}

/* Interrupted, then asked again until it is through. */
static int asked_again(void *context)
{
	const struct hole *hole = context;
	int fd = stream_socket(0), first, last;
	char byte;

	signal_handle(SIGALRM, 0);
	alarm_start(150, false);
	first = connect_to(fd, hole->port);
	last = connect_to(fd, hole->port);
	EXPECT(last == 0);
	EXPECT(send(fd, "", 1, MSG_NOSIGNAL) == 1 || errno == EPIPE || errno == ECONNRESET);
	EXPECT(read(fd, &byte, 1) <= 0);
	close(fd);
	return first * 200 + last;
}

static void an_interrupted_connect_can_be_waited_for(void **state)
{
	struct hole hole;
	pid_t drain;

	(void)state;
	for (int confined = 0; confined < 2; confined++) {
		hole_open(&hole);
		drain = hole_drain_later(&hole, 500);
		assert_int_equal(confined ? attempt_confined(GATE, asked_again, &hole)
		                          : attempt_bare(asked_again, &hole),
		                 EINTR * 200);
		process_end(drain);
		hole_close(&hole);
	}
}

static int restarted(void *context)
{
	const struct hole *hole = context;
	int fd = stream_socket(0), result;

	signal_handle(SIGALRM, SA_RESTART);
	alarm_start(100, true);
	result = connect_to(fd, hole->port);
	alarm_start(0, false);
	EXPECT(signals_seen >= 3);
	EXPECT(connect_to(fd, hole->port) == EISCONN);
	close(fd);
	return result;
}

static void a_restarting_signal_does_not(void **state)
{
	struct hole hole;
	pid_t drain;

	(void)state;
	for (int confined = 0; confined < 2; confined++) {
		hole_open(&hole);
		drain = hole_drain_later(&hole, 700);
		assert_int_equal(confined ? attempt_confined(GATE, restarted, &hole)
		                          : attempt_bare(restarted, &hole),
		                 0);
		process_end(drain);
		hole_close(&hole);
	}
}

/* signal(7): with SO_SNDTIMEO a handler's SA_RESTART does not count. */
static int restart_with_limit(void *context)
{
	const struct hole *hole = context;
	struct timeval limit = {10, 0};
	int fd = stream_socket(0);

	EXPECT(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) == 0);
	signal_handle(SIGALRM, SA_RESTART);
	alarm_start(150, false);
	return connect_to(fd, hole->port);
}

static void a_restarting_signal_interrupts_under_a_timeout(void **state)
{
	struct hole hole;

	(void)state;
	hole_open(&hole);
	assert_int_equal(same(restart_with_limit, &hole), EINTR);
	hole_close(&hole);
}

/* Blocked, or ignored: no reason to wake up. */
static int undisturbed(void *context)
{
	const struct hole *hole = context;
	struct timeval limit = {0, 600000};
	int fd = stream_socket(0);
	sigset_t blocked;

	EXPECT(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) == 0);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	signal_handle(SIGUSR1, 0);
	raise(SIGUSR1);
	signal(SIGALRM, SIG_IGN);
	alarm_start(50, true);
	return connect_to(fd, hole->port);
}

static void a_blocked_or_ignored_signal_changes_nothing(void **state)
{
	struct hole hole;

	(void)state;
	hole_open(&hole);
	assert_int_equal(same(undisturbed, &hole), EINPROGRESS);
	hole_close(&hole);
}

/* ---- many threads ---- */

struct hammer {
	const struct hole *hole;
	pthread_t callers[8], senders[2];
	volatile bool over;
	volatile unsigned long calls, wrong;
	volatile int wrong_code;
};

static void *hammer_call(void *context)
{
	struct hammer *hammer = context;
	unsigned seed = (unsigned)gettid();

	while (!hammer->over) {
		struct timeval limit = {0, 1000 * (1 + rand_r(&seed) % 80)};
		int fd = stream_socket(0), code;

		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, rand_r(&seed) % 3 == 0 ? sizeof(limit) : 0);
		for (int again = 0; again < 3; again++) {
			code = connect_to(fd, rand_r(&seed) % 4 ? hammer->hole->port : net.served);
			__atomic_fetch_add(&hammer->calls, 1, __ATOMIC_RELAXED);
			if (code == 0 || code == EINTR || code == EINPROGRESS || code == EALREADY ||
			    code == EISCONN)
				continue;
			hammer->wrong_code = code;
			__atomic_fetch_add(&hammer->wrong, 1, __ATOMIC_RELAXED);
		}
		close(fd);
	}
	return NULL;
}

static void *hammer_send(void *context)
{
	struct hammer *hammer = context;
	unsigned seed = (unsigned)gettid();

	while (!hammer->over) {
		int number = rand_r(&seed) % 2 ? SIGUSR1 : SIGUSR2;

		if (rand_r(&seed) % 2)
			pthread_kill(hammer->callers[rand_r(&seed) % 8], number);
		else
			kill(getpid(), number);
		usleep(rand_r(&seed) % 20000);
	}
	return NULL;
}

static int hammer_run(void *context)
{
	static struct hammer hammer;
	sigset_t both;

	hammer.hole = context;
	signal_handle(SIGUSR1, SA_RESTART);
	signal_handle(SIGUSR2, 0);
	for (int i = 0; i < 8; i++)
		EXPECT(pthread_create(&hammer.callers[i], NULL, hammer_call, &hammer) == 0);
	/* Those who send, and who waits, are not to be the ones who take them. */
	sigemptyset(&both);
	sigaddset(&both, SIGUSR1);
	sigaddset(&both, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &both, NULL);
	for (int i = 0; i < 2; i++)
		EXPECT(pthread_create(&hammer.senders[i], NULL, hammer_send, &hammer) == 0);
	sleep(long_run() ? 120 : 2);
	hammer.over = true;
	for (int i = 0; i < 2; i++)
		pthread_join(hammer.senders[i], NULL);
	fprintf(stderr, "# %lu calls, %d signals, %lu wrong (%d)\n", hammer.calls, (int)signals_seen,
	        hammer.wrong, hammer.wrong_code);
	EXPECT(hammer.wrong == 0);
	EXPECT(hammer.calls > 20 && signals_seen > 20);
	/* Those that still wait are ended with us. */
	_exit(0);
}

static int hammer_child(void *context)
{
	pid_t child = fork();
	int status;

	if (child == 0)
		_exit(hammer_run(context) == 0 ? 0 : 1);
	waitpid(child, &status, 0);
	return status;
}

static void the_kernels_restart_code_never_shows(void **state)
{
	struct hole hole;

	(void)state;
	hole_open(&hole);
	assert_int_equal(attempt_bare(hammer_child, &hole), 0);
	assert_int_equal(attempt_confined(GATE, hammer_child, &hole), 0);
	hole_close(&hole);
}

/* Bare a loopback connect under a storm of restarting signals always succeeds. */
static int stormed(void *context)
{
	struct itimerval storm = {{0, 700}, {0, 700}};
	int count = *(int *)context;

	signal_handle(SIGALRM, SA_RESTART);
	setitimer(ITIMER_REAL, &storm, NULL);
	for (int i = 0; i < count; i++) {
		int code = tcp_try(AF_INET, net.served);

		if (code != 0) {
			fprintf(stderr, "# call %d: %d\n", i, code);
			return code;
		}
	}
	alarm_start(0, false);
	EXPECT(signals_seen > 10);
	return 0;
}

static void connects_succeed_in_a_storm_of_signals(void **state)
{
	int count = long_run() ? 4000 : 1000, rounds = long_run() ? 50 : 1;

	(void)state;
	/* In rounds: an attempt has its time. */
	for (int i = 0; i < rounds; i++)
		assert_int_equal(same(stormed, &count), 0);
	fprintf(stderr, "# %d connects, bare and confined\n", count * rounds);
}

struct crowd {
	const struct hole *hole;
	int size, came;
};

static void *crowd_wait(void *context)
{
	const struct crowd *crowd = context;

	connect_to(stream_socket(0), crowd->hole->port);
	return NULL;
}

static int crowd_run(void *context)
{
	const struct crowd *crowd = context;
	pthread_attr_t attributes;
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 64 << 10);
	for (int i = 0; i < crowd->size; i++) {
		pthread_t thread;

		EXPECT(pthread_create(&thread, &attributes, crowd_wait, context) == 0);
	}
	if (write(crowd->came, &crowd->size, sizeof(crowd->size)) != sizeof(crowd->size))
		return 1;
	sleep(30);
	return 0;
}

/* How long the slowest of 50 took, in milliseconds; negative: one failed. */
static int others_served(void *context)
{
	int slowest = 0;

	for (int i = 0; i < 50; i++) {
		double start = seconds_now();
		int code = tcp_try(AF_INET, net.served), took = (int)((seconds_now() - start) * 1000);

		if (code != 0) {
			slowest = -code;
			break;
		}
		slowest = took > slowest ? took : slowest;
	}
	return write(*(int *)context, &slowest, sizeof(slowest)) == sizeof(slowest) ? 0 : 1;
}

static void a_thousand_wait_and_others_are_served(void **state)
{
	struct rlimit limit;
	struct crowd crowd = {.size = 1000};
	struct hole hole;
	struct tree tree;
	int ends[2], slowest;
	pid_t waiting;

	(void)state;
	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_max < 2048)
		SKIP_BECAUSE("RLIMIT_NOFILE allows fewer than 2048 descriptors");
	hole_open(&hole);
	assert_int_equal(pipe(ends), 0);
	crowd.hole = &hole;
	crowd.came = ends[1];
	tree_start(&tree);
	waiting = tree_fork(&tree, crowd_run, &crowd);
	assert_int_equal(result_within(ends[0], 10000), crowd.size);
	assert_true(sockets_become(tree.supervisor, crowd.size));
	tree_fork(&tree, others_served, &ends[1]);
	slowest = result_within(ends[0], 20000);
	fprintf(stderr, "# slowest connect beside %d waiting ones: %d ms\n", crowd.size, slowest);
	assert_in_range(slowest, 0, 2000 * slowness());
	process_kill(waiting, SIGKILL);
	assert_true(sockets_become(tree.supervisor, 0));
	tree_fork(&tree, others_served, &ends[1]);
	assert_in_range(result_within(ends[0], 20000), 0, 2000 * slowness());
	tree_end(&tree);
	hole_close(&hole);
	close(ends[0]);
	close(ends[1]);
}

/* ---- the socket stays the caller's own ---- */

struct sampler {
	int fd;
	volatile bool over;
	volatile unsigned long samples, changes;
};

static void *sampler_run(void *context)
{
	struct sampler *sampler = context;
	int first = fcntl(sampler->fd, F_GETFL);

	while (!sampler->over) {
		sampler->changes += fcntl(sampler->fd, F_GETFL) != first;
		sampler->samples++;
	}
	return NULL;
}

static int sampled(void *context)
{
	const struct hole *hole = context;
	static struct sampler sampler;
	struct timeval limit = {0, 100000};
	pthread_t thread;

	sampler.fd = stream_socket(0);
	EXPECT(setsockopt(sampler.fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) == 0);
	EXPECT(pthread_create(&thread, NULL, sampler_run, &sampler) == 0);
	for (int i = 0; i < 5; i++)
		connect_to(sampler.fd, hole->port);
	limit.tv_usec = 0;
	EXPECT(setsockopt(sampler.fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) == 0);
	for (int i = 0; i < 2000; i++) {
		struct sockaddr nothing = {.sa_family = AF_UNSPEC};

		connect(sampler.fd, &nothing, sizeof(nothing));
		EXPECT(connect_to(sampler.fd, net.served) == 0);
	}
	sampler.over = true;
	pthread_join(thread, NULL);
	EXPECT(sampler.samples > 1000);
	return (int)sampler.changes;
}

static void the_shared_flags_never_change(void **state)
{
	struct hole hole;

	(void)state;
	hole_open(&hole);
	assert_int_equal(attempt_confined(GATE, sampled, &hole), 0);
	hole_close(&hole);
}

static int closing(void *context)
{
	int listener = *(int *)context;
	struct sockaddr_in address;
	socklen_t size = sizeof(address);
	int worst = 0;

	EXPECT(getsockname(listener, (struct sockaddr *)&address, &size) == 0);
	for (int i = 0; i < 100; i++) {
		int fd = stream_socket(i % 2 ? SOCK_NONBLOCK : 0), peer, code;
		struct pollfd end = {.events = POLLIN};
		char byte;
		double start;

		code = connect_to(fd, ntohs(address.sin_port));
		EXPECT(code == 0 || code == EINPROGRESS);
		EXPECT((peer = accept(listener, NULL, NULL)) >= 0);
		start = seconds_now();
		close(fd);
		end.fd = peer;
		EXPECT(poll(&end, 1, 5000) == 1 && read(peer, &byte, 1) == 0);
		if (seconds_now() - start > 0.05)
			worst++;
		close(peer);
	}
	/* One or two may be the scheduler's. */
	return worst > 3 ? worst : 0;
}

static void the_peer_sees_the_end_at_once(void **state)
{
	uint16_t port = 0;
	int listener = tcp_listener(AF_INET, &port);

	(void)state;
	assert_int_equal(same(closing, &listener), 0);
	close(listener);
}

static int epoll_kept(void *context)
{
	struct epoll_event wanted = {.events = EPOLLOUT | EPOLLET, .data.u64 = 77}, got = {0};
	bool nonblocking = *(bool *)context;
	int epoll = epoll_create1(EPOLL_CLOEXEC), fd = stream_socket(nonblocking ? SOCK_NONBLOCK : 0), first;

	EXPECT(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &wanted) == 0);
	/* An unconnected socket is EPOLLOUT | EPOLLHUP. */
	EXPECT(epoll_wait(epoll, &got, 1, 1000) == 1 && got.data.u64 == 77);
	first = (int)got.events;
	EXPECT(connect_to(fd, net.served) == (nonblocking ? EINPROGRESS : 0));
	EXPECT(epoll_wait(epoll, &got, 1, 2000) == 1 && got.data.u64 == 77);
	EXPECT(epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &wanted) == 0);
	EXPECT(epoll_wait(epoll, &got, 1, 1000) == 1);
	close(fd);
	EXPECT(epoll_wait(epoll, &got, 1, 50) == 0);
	return first * 1000 + (int)(got.events & EPOLLOUT);
}

static void an_epoll_registration_survives(void **state)
{
	bool nonblocking = true;

	(void)state;
	assert_true(same(epoll_kept, &nonblocking) < 10000000);
	nonblocking = false;
	assert_true(same(epoll_kept, &nonblocking) < 10000000);
}

/* ---- whose thread it is ---- */

static void *leaderless(void *context)
{
	pid_t leader = getpid();
	int result;

	/* Until the leader is a zombie. */
	for (int i = 0; i < 500; i++, usleep(2000)) {
		char line[256] = "", *at;
		FILE *file = fopen(text_of("/proc/self/task/%d/stat", leader), "re");

		if (file == NULL || fgets(line, sizeof(line), file) == NULL)
			break;
		fclose(file);
		if ((at = strrchr(line, ')')) != NULL && at[2] == 'Z')
			break;
	}
	result = tcp_try(AF_INET, net.served) * 200 + forbidden_try(net.served);
	if (write(*(int *)context, &result, sizeof(result)) != sizeof(result))
		_exit(1);
	_exit(0);
}

static int leader_leaves(void *context)
{
	pthread_t thread;

	signal(SIGALRM, SIG_DFL);
	alarm(20);
	if (pthread_create(&thread, NULL, leaderless, context) == 0)
		syscall(SYS_exit, 0);
	return 1;
}

static void a_thread_without_its_leader_is_answered(void **state)
{
	struct kernel kernel;
	int ends[2], result;
	struct tree tree;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	tree_start(&tree);
	tree_fork(&tree, leader_leaves, &ends[1]);
	result = result_within(ends[0], 8000);
	tree_fork(&tree, served_over, &ends[1]);
	assert_int_equal(result_within(ends[0], 5000), 0);
	tree_end(&tree);
	close(ends[0]);
	close(ends[1]);
	/* Served, or (where the kernel cannot name a thread) refused: but never left waiting. */
	assert_int_not_equal(result, -1);
	kernel_probe_gate(&kernel);
	assert_int_equal(result, kernel.pidfd_thread ? EACCES : EPERM * 200 + EPERM);
}

static int net_open(void **state)
{
	uint16_t closed = 0;
	struct sockaddr_in address = address_of(INADDR_LOOPBACK, 0);
	socklen_t size = sizeof(address);
	int bound = stream_socket(0);

	(void)state;
	net.served_fd = tcp_listener(AF_INET, &net.served);
	net.served6_fd = tcp_listener(AF_INET6, &net.served6);
	/* Bound by us and not listening: nobody else can take it. */
	if (bind(bound, (struct sockaddr *)&address, size) < 0 ||
	    getsockname(bound, (struct sockaddr *)&address, &size) < 0)
		return 1;
	closed = ntohs(address.sin_port);
	net.refused = closed;
	fflush(NULL);
	if ((net.acceptor = fork()) == 0) {
		struct pollfd both[2] = {{.fd = net.served_fd, .events = POLLIN},
		                         {.fd = net.served6_fd, .events = POLLIN}};

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;) {
			poll(both, 2, -1);
			accept_all(net.served_fd);
			accept_all(net.served6_fd);
		}
	}
	return net.acceptor < 0;
}

static int net_close(void **state)
{
	(void)state;
	process_end(net.acceptor);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(results_are_those_of_the_bare_call),
		cmocka_unit_test(a_socket_can_be_used_again),
		cmocka_unit_test(a_forbidden_address_is_refused),
		cmocka_unit_test(a_nonblocking_connect_goes_on_by_itself),
		cmocka_unit_test(a_killed_caller_is_forgotten),
		cmocka_unit_test(a_send_timeout_ends_the_wait),
		cmocka_unit_test(a_second_wait_that_times_out_says_already),
		cmocka_unit_test(a_signal_interrupts),
		cmocka_unit_test(an_interrupted_connect_can_be_waited_for),
		cmocka_unit_test(a_restarting_signal_does_not),
		cmocka_unit_test(a_restarting_signal_interrupts_under_a_timeout),
		cmocka_unit_test(a_blocked_or_ignored_signal_changes_nothing),
		cmocka_unit_test(the_kernels_restart_code_never_shows),
		cmocka_unit_test(connects_succeed_in_a_storm_of_signals),
		cmocka_unit_test(a_thousand_wait_and_others_are_served),
		cmocka_unit_test(the_shared_flags_never_change),
		cmocka_unit_test(the_peer_sees_the_end_at_once),
		cmocka_unit_test(an_epoll_registration_survives),
		cmocka_unit_test(a_thread_without_its_leader_is_answered),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, net_open, net_close);
}
