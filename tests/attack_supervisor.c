/* Attacks on the supervisor: it is killed or stopped at each step, starved, flooded and lied to; its callers
 * die in the middle of a call. Whatever happens, no forbidden connection comes about, nobody hangs, and
 * nothing is left. tests/broken/steps.h says how a step is struck.
 */
#include "tests/common/common.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/fd.h"
#include "tests/broken/steps.h"

/* `other` is granted by no policy: a connection in its queue is a hole. */
static struct {
	uint16_t allowed, other;
	int allowed_fd, other_fd;
	pid_t acceptor;
} net;

#define GATE POLICY("net-allow", rule_for(AF_INET, net.allowed), "fs-read", "/proc")

enum { NEVER = -1000 }; /* a result that did not come */

static struct sockaddr_in loopback_at(uint16_t port)
{
	return (struct sockaddr_in){AF_INET, htons(port), {htonl(INADDR_LOOPBACK)}, {0}};
}

static int try_nonblocking(uint16_t port)
{
	struct sockaddr_in address = loopback_at(port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int code = connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? errno : 0;

	close(fd);
	return code;
}

/* 'Z' also stands for "gone". */
static bool state_becomes(pid_t process, char wanted)
{
	for (double end = seconds_now() + 10; seconds_now() < end; usleep(1000)) {
		char state = process_state(process);

		if (state == wanted || (wanted == 'Z' && (state == 0 || state == 'X')))
			return true;
	}
	return false;
}

/* We are a subreaper: whatever an attempt leaves behind comes to us. Only the acceptor may stay. */
static bool nothing_left(double seconds)
{
	for (double end = seconds_now() + seconds; seconds_now() < end; usleep(1000)) {
		int first = 0, second = 0, count;
		FILE *children;

		while (waitpid(-1, NULL, __WALL | WNOHANG) > 0)
			;
		/* A second child beside the acceptor would be listed. */
		children = fopen(text_of("/proc/self/task/%d/children", getpid()), "re");
		count = fscanf(children, "%d %d", &first, &second);
		fclose(children);
		if (count == 1 && first == net.acceptor)
			return true;
	}
	return false;
}

/* So that one test's leftovers are not the next one's. */
static void leftovers_kill(void)
{
	FILE *children = fopen(text_of("/proc/self/task/%d/children", getpid()), "re");
	pid_t child;

	while (fscanf(children, "%d", &child) == 1)
		if (child != net.acceptor)
			process_kill(child, SIGKILL);
	fclose(children);
}

static int result_within(int from, int milliseconds)
{
	struct pollfd ready = {.fd = from, .events = POLLIN};
	int result = NEVER;

	if (poll(&ready, 1, milliseconds) == 1 && read(from, &result, sizeof(result)) != sizeof(result))
		return NEVER;
	return result;
}

static bool result_put(int to, int result)
{
	return write(to, &result, sizeof(result)) == sizeof(result);
}

/* ---- a confined tree that takes orders ---- */

struct tree {
	pid_t root, supervisor;
	int go, came;
};

struct order {
	int (*attempt)(void *context);
	void *context;
};

static void tree_serve(int go, int came)
{
	struct order order;

	signal(SIGCHLD, SIG_IGN);
	while (read(go, &order, sizeof(order)) == sizeof(order)) {
		pid_t child = fork();

		if (child == 0) {
			close(go);
			close(came);
			_exit(order.attempt(order.context) == 0 ? 0 : 1);
		}
		if (!result_put(came, child))
			_exit(1);
	}
	_exit(0);
}

static void tree_start(struct tree *tree)
{
	sl_policy *policy = policy_of(GATE);
	int go[2], came[2];
	sl_error error;

	assert_int_equal(pipe2(go, O_CLOEXEC) | pipe2(came, O_CLOEXEC), 0);
	if ((tree->root = process_fork()) == 0) {
		close(go[1]);
		close(came[0]);
		if (!result_put(came[1], sl_confine_self(policy, &error)))
			_exit(1);
		tree_serve(go[0], came[1]);
	}
	sl_policy_free(policy);
	close(go[0]);
	close(came[1]);
	tree->go = go[1];
	tree->came = came[0];
	assert_int_equal(result_within(tree->came, 10000), 0);
	tree->supervisor = supervisor_of(tree->root);
	assert_true(tree->supervisor > 0);
}

static pid_t tree_fork(struct tree *tree, int (*attempt)(void *context), void *context)
{
	struct order order = {attempt, context};
	pid_t child;

	assert_int_equal(write(tree->go, &order, sizeof(order)), sizeof(order));
	child = result_within(tree->came, 10000);
	assert_true(child > 0);
	return child;
}

static void tree_end(struct tree *tree)
{
	close(tree->go);
	close(tree->came);
	waitpid(tree->root, NULL, 0);
}

/* Opened before any tree, which must have it. */
static int results[2];

static int put_allowed(void *context)
{
	(void)context;
	return result_put(results[1], tcp_try(AF_INET, net.allowed)) ? 0 : 1;
}

static int put_other(void *context)
{
	(void)context;
	return result_put(results[1], tcp_try(AF_INET, net.other)) ? 0 : 1;
}

/* What a connect in the tree gives, or NEVER. */
static int tree_try(struct tree *tree, int (*attempt)(void *context))
{
	tree_fork(tree, attempt, NULL);
	return result_within(results[0], 10000);
}

/* All but pidfds, which the supervisor keeps a bounded number of; -1: it is undumpable, for root to see. */
static int descriptors_of(pid_t process)
{
	DIR *fds = opendir(text_of("/proc/%d/fd", process));
	struct dirent *entry;
	int count = 0;

	if (fds == NULL)
		return -1;
	while ((entry = readdir(fds)) != NULL) {
		char target[64] = "";

		if (readlinkat(dirfd(fds), entry->d_name, target, sizeof(target) - 1) > 0)
			count += strstr(target, "pidfd") == NULL;
	}
	closedir(fds);
	return count;
}

/* No more than before; fewer are some of its beginning, that it was still about to close then. */
static bool descriptors_become(pid_t process, int count)
{
	for (double end = seconds_now() + 10; seconds_now() < end; usleep(2000))
		if (descriptors_of(process) <= count)
			return true;
	fprintf(stderr, "# %d descriptors, more than %d\n", descriptors_of(process), count);
	return false;
}

/* ---- struck at each step ---- */

enum { TRIES = 4 };

/* What an app tells of itself: of its confinement, then of two allowed and two forbidden calls. */
struct told {
	int confined, codes[TRIES];
	bool childless; /* when it has failed */
	double slowest;
	char message[128];
};

static void try_all(struct told *told)
{
	for (int i = 0; i < TRIES; i++) {
		uint16_t port = i < 2 ? net.allowed : net.other;
		double start = seconds_now();

		told->codes[i] = i % 2 ? tcp_try(AF_INET, port) : try_nonblocking(port);
		if (seconds_now() - start > told->slowest)
			told->slowest = seconds_now() - start;
	}
}

static void app_main(int out, const sl_policy *policy)
{
	struct told told = {0};
	sl_error error = {0};
	double start = seconds_now();

	strike->app = getpid();
	told.confined = sl_confine_self(policy, &error);
	told.slowest = seconds_now() - start;
	if (told.confined < 0) {
		snprintf(told.message, sizeof(told.message), "%.100s", error.message);
		told.childless = waitpid(-1, NULL, __WALL | WNOHANG) == -1 && errno == ECHILD;
	}
	try_all(&told);
	if (write(out, &told, sizeof(told)) != sizeof(told))
		_exit(1);
	_exit(0);
}

static pid_t app_start(int *told_by, const sl_policy *policy)
{
	int ends[2];
	pid_t app;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	if ((app = process_fork()) == 0) {
		close(ends[0]);
		app_main(ends[1], policy);
	}
	close(ends[1]);
	*told_by = ends[0];
	return app;
}

static void strike_set(enum step step, bool behind, unsigned nth, int number)
{
	*strike =
		(struct strike){.step = step, .behind = behind, .nth = nth, .signal = number, .instead = -1};
}

static bool told_within(int from, int milliseconds, struct told *told)
{
	struct pollfd ready = {.fd = from, .events = POLLIN};

	return poll(&ready, 1, milliseconds) == 1 && read(from, told, sizeof(*told)) == sizeof(*told);
}

static void told_print(const struct told *told)
{
	fprintf(stderr,
	        "# %s the %d. %s: confined %d (%s), allowed %d %d, forbidden %d %d, slowest %.3f s, %schildless\n",
	        strike->behind ? "behind" : "before", strike->nth, step_name(strike->step), told->confined,
	        told->message, told->codes[0], told->codes[1], told->codes[2], told->codes[3], told->slowest,
	        told->childless ? "" : "not ");
}

static bool told_is_served(const struct told *told)
{
	return told->confined == 0 && told->codes[0] == EINPROGRESS && told->codes[1] == 0 &&
	       told->codes[2] == EACCES && told->codes[3] == EACCES;
}

/* Unconfined, it must have failed to confine itself, and have nobody. Confined, nothing forbidden; and where
 * it was not told of a failure, ENOSYS for good once the supervisor is gone. */
static bool told_is_safe(const struct told *told)
{
	bool gone = false;

	if (told->confined < 0 && told->codes[3] == 0)
		return told->childless;
	for (int i = 0; i < TRIES; i++) {
		int good = i >= 2 ? EACCES : i == 0 ? EINPROGRESS : 0;

		/* EBADMSG: what the supervisor took for the probe. */
		if (told->codes[i] != ENOSYS && !(told->codes[i] == EBADMSG && told->confined < 0) &&
		    (gone || told->codes[i] != good))
			return false;
		gone |= told->codes[i] == ENOSYS;
	}
	return told->confined < 0 || gone;
}

/* Does it come to this step so often at all? */
static bool strike_missed(const struct told *told)
{
	return strike->struck == 0 && told_is_served(told);
}

static void kill_at(const sl_policy *policy, unsigned *struck, unsigned *bad)
{
	struct told told = {.confined = NEVER};
	int told_by;
	pid_t app = app_start(&told_by, policy);
	bool came = told_within(told_by, 5000 * slowness(), &told);

	close(told_by);
	process_kill(app, SIGKILL);
	waitpid(app, NULL, 0);
	*struck += strike->struck != 0;
	if (!came || !(strike_missed(&told) || (strike->struck != 0 && told_is_safe(&told))) ||
	    told.slowest > 2 * slowness() || !nothing_left(3)) {
		told_print(&told);
		++*bad;
		leftovers_kill();
	}
	/* What got through unconfined has been judged; what is left in the queue is the unconfined app's. */
	accept_all(net.other_fd);
}

static void a_killed_supervisor_lets_nothing_through(void **state)
{
	unsigned struck = 0, bad = 0, rounds = long_run() ? 50 : 5;
	sl_policy *policy = policy_of(GATE);

	(void)state;
	for (unsigned step = 0; step < STEP_COUNT; step++) {
		if (step == STEP_APP_FILTERS || step == STEP_APP_TELLS)
			continue;
		for (unsigned i = 0; i < 2 * 4 * rounds; i++) {
			strike_set((enum step)step, i % 2, 1 + i / 2 % 4, SIGKILL);
			kill_at(policy, &struck, &bad);
		}
	}
	strike_set(STEP_NONE, false, 0, 0);
	sl_policy_free(policy);
	fprintf(stderr, "# struck %u times\n", struck);
	assert_int_equal(bad, 0);
	assert_true(struck > STEP_COUNT * 2 * rounds);
}

/* It has said that it is ready, and is gone when it is given the number. */
static void an_app_is_told_that_the_supervisor_died(void **state)
{
	sl_policy *policy = policy_of(GATE);
	struct told told = {.confined = NEVER};
	int told_by;
	pid_t app;

	(void)state;
	strike_set(STEP_APP_FILTERS, true, 1, SIGSTOP);
	app = app_start(&told_by, policy);
	assert_true(state_becomes(app, 'T'));
	process_kill(supervisor_of(app), SIGKILL);
	assert_true(state_becomes(supervisor_of(app), 'Z'));
	process_kill(app, SIGCONT);
	assert_true(told_within(told_by, 5000 * slowness(), &told));
	process_end(app);
	close(told_by);
	strike_set(STEP_NONE, false, 0, 0);
	sl_policy_free(policy);
	assert_int_equal(told.confined, -ECONNRESET);
	assert_non_null(strstr(told.message, "it died while it took over"));
	assert_true(told_is_safe(&told));
	assert_true(nothing_left(3));
}

/* As another thread of the app might do it. What is always ready to be read would keep a supervisor busy for ever. */
static void a_supervisor_takes_nothing_else_for_the_listener(void **state)
{
	int instead[] = {open("/dev/zero", O_RDONLY | O_CLOEXEC), net.other_fd};
	sl_policy *policy = policy_of(GATE);

	(void)state;
	for (size_t i = 0; i < sizeof(instead) / sizeof(instead[0]); i++) {
		struct told told = {.confined = NEVER};
		int told_by;
		pid_t app;

		strike_set(STEP_NONE, false, 0, 0);
		strike->instead = instead[i];
		app = app_start(&told_by, policy);
		assert_true(told_within(told_by, 5000 * slowness(), &told));
		process_end(app);
		close(told_by);
		assert_int_equal(told.confined, -EBADF);
		assert_true(told_is_safe(&told));
		assert_true(nothing_left(3));
	}
	strike_set(STEP_NONE, false, 0, 0);
	close(instead[0]);
	sl_policy_free(policy);
}

enum { NO_NAMESPACES = 99 };

/* In the first process of a namespace, whose children begin another one: to its supervisor, its number is the supervisor's
 * own. */
static int confine_above_a_namespace(const sl_policy *policy)
{
	sl_error error;

	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("proc", "/proc", "proc", 0, NULL) < 0 || unshare(CLONE_NEWPID) < 0)
		return NO_NAMESPACES;
	EXPECT(sl_confine_self(policy, &error) == -ESRCH);
	EXPECT(strcmp(error.message, "the supervisor: No such process") == 0);
	EXPECT(waitpid(-1, NULL, __WALL | WNOHANG) == -1 && errno == ECHILD);
	EXPECT(tcp_try(AF_INET, net.other) == 0);
	return 0;
}

static void a_supervisor_that_cannot_name_its_app_leaves_it_unconfined(void **state)
{
	sl_policy *policy = policy_of(GATE);
	pid_t child = process_fork();
	int status;

	(void)state;
	if (child == 0) {
		pid_t first;

		if (unshare((geteuid() == 0 ? 0 : CLONE_NEWUSER) | CLONE_NEWPID | CLONE_NEWNS) < 0)
			_exit(NO_NAMESPACES);
		if ((first = fork()) == 0) {
			status = confine_above_a_namespace(policy);
			_exit(status <= NO_NAMESPACES ? status : 1);
		}
		_exit(exit_of(first));
	}
	status = exit_of(child);
	sl_policy_free(policy);
	accept_all(net.other_fd);
	if (status == NO_NAMESPACES)
		SKIP_BECAUSE("no namespace of processes is to be had, or no /proc of it");
	assert_int_equal(status, 0);
	assert_true(nothing_left(3));
}

static void stop_at(const sl_policy *policy, int then, unsigned *struck, unsigned *bad)
{
	struct told told = {.confined = NEVER};
	int told_by;
	pid_t app = app_start(&told_by, policy), stopped = 0;
	bool early = false, good;

	for (double end = seconds_now() + 5; stopped == 0 && seconds_now() < end; usleep(500)) {
		stopped = strike->struck;
		if (stopped == 0 && told_within(told_by, 0, &told)) {
			early = true;
			break;
		}
	}
	if (early) {
		close(told_by);
		waitpid(app, NULL, 0);
		if (!told_is_served(&told) || !nothing_left(3)) {
			told_print(&told);
			++*bad;
			leftovers_kill();
		}
		return;
	}
	++*struck;
	good = state_becomes(stopped, 'T');
	usleep(5000);
	if (then == SIGKILL) {
		/* The caller must be killable, and the supervisor must find that out. */
		process_kill(app, SIGKILL);
		good &= exit_of(app) == 128 + SIGKILL;
		process_kill(stopped, SIGCONT);
	} else {
		process_kill(stopped, SIGCONT);
		good &= told_within(told_by, 5000, &told) && told_is_served(&told);
		good &= exit_of(app) == 0;
	}
	close(told_by);
	if (!good || !nothing_left(3) || accept_all(net.other_fd) != 0) {
		told_print(&told);
		++*bad;
		leftovers_kill();
	}
}

static void a_stopped_supervisor_only_delays(void **state)
{
	unsigned struck = 0, bad = 0, rounds = long_run() ? 20 : 2;
	sl_policy *policy = policy_of(GATE);

	(void)state;
	for (unsigned step = 0; step < STEP_COUNT; step++) {
		for (unsigned i = 0; i < 2 * 3 * rounds; i++) {
			strike_set((enum step)step, i % 2, 1 + i / 2 % 3, SIGSTOP);
			stop_at(policy, SIGCONT, &struck, &bad);
		}
	}
	strike_set(STEP_NONE, false, 0, 0);
	fprintf(stderr, "# struck %u times\n", struck);
	sl_policy_free(policy);
	assert_int_equal(bad, 0);
	assert_true(struck > STEP_COUNT * 2);
}

static void a_caller_can_be_killed_while_the_supervisor_is_stopped(void **state)
{
	unsigned struck = 0, bad = 0, rounds = long_run() ? 20 : 2;
	sl_policy *policy = policy_of(GATE);

	(void)state;
	for (unsigned step = 0; step < STEP_COUNT; step++) {
		if (step == STEP_APP_FILTERS || step == STEP_APP_TELLS)
			continue;
		for (unsigned i = 0; i < 2 * 3 * rounds; i++) {
			strike_set((enum step)step, i % 2, 1 + i / 2 % 3, SIGSTOP);
			stop_at(policy, SIGKILL, &struck, &bad);
		}
	}
	strike_set(STEP_NONE, false, 0, 0);
	fprintf(stderr, "# struck %u times\n", struck);
	sl_policy_free(policy);
	assert_int_equal(bad, 0);
	assert_true(struck > STEP_COUNT * 2);
}

/* Between its Landlock domain and its first call, at once and when the helper has had time to wait for it: helper
 * and supervisor must find out. A signal of PR_SET_PDEATHSIG would not get through Landlock's scope. */
static void an_app_that_dies_in_the_hand_over_leaves_nothing(void **state)
{
	static const enum step steps[] = {STEP_APP_FILTERS, STEP_APP_TELLS};
	unsigned bad = 0, struck = 0, rounds = long_run() ? 100 : 3;
	sl_policy *policy = policy_of(GATE);

	(void)state;
	for (unsigned i = 0; i < 8 * rounds; i++) {
		int number = i / 4 % 2 ? SIGKILL : SIGSTOP, told_by;
		pid_t app;

		strike_set(steps[i % 2], i / 2 % 2, 1, number);
		if (number == SIGSTOP) {
			stop_at(policy, SIGKILL, &struck, &bad);
			continue;
		}
		app = app_start(&told_by, policy);
		if (exit_of(app) != 128 + SIGKILL || !nothing_left(3)) {
			fprintf(stderr, "# %s %s: somebody is left\n", strike->behind ? "behind" : "before",
			        step_name(strike->step));
			bad++;
			leftovers_kill();
		}
		close(told_by);
	}
	strike_set(STEP_NONE, false, 0, 0);
	sl_policy_free(policy);
	assert_int_equal(bad, 0);
}

static int calls_endlessly(void *context)
{
	(void)context;
	for (;;) {
		try_nonblocking(net.allowed);
		tcp_try(AF_INET, net.allowed);
		tcp_try(AF_INET, net.other);
	}
	return 0;
}

/* The supervisor itself ends its caller, so that the moment is exact. */
static void a_caller_killed_at_any_step_leaves_nothing(void **state)
{
	unsigned rounds = long_run() ? 200 : 25, struck = 0;
	struct tree tree;
	int before;

	(void)state;
	tree_start(&tree);
	assert_int_equal(tree_try(&tree, put_allowed), 0);
	before = descriptors_of(tree.supervisor);
	for (unsigned step = STEP_NOTIFY_RECV; step < STEP_COUNT; step++) {
		for (unsigned i = 0; i < 2 * rounds; i++) {
			pid_t caller = tree_fork(&tree, calls_endlessly, NULL);

			strike_set(STEP_NONE, i % 2, 0, SIGKILL);
			strike->victim = caller;
			strike->nth = 1 + i / 2 % 5;
			strike->step = (enum step)step;
			assert_true(state_becomes(caller, 'Z'));
			struck += strike->struck != 0;
			strike_set(STEP_NONE, false, 0, 0);
		}
	}
	assert_int_equal(struck, 2 * rounds * (STEP_COUNT - STEP_NOTIFY_RECV));
	if (before >= 0)
		assert_true(descriptors_become(tree.supervisor, before));
	assert_int_equal(tree_try(&tree, put_allowed), 0);
	assert_int_equal(tree_try(&tree, put_other), EACCES);
	assert_int_equal(supervisor_of(tree.root), tree.supervisor);
	tree_end(&tree);
	assert_true(nothing_left(10));
	assert_int_equal(accept_all(net.other_fd), 0);
}

/* From outside, with callers at work and one that waits in its call. */
static int waits_for_nobody(void *context)
{
	struct sockaddr_in address = loopback_at(*(uint16_t *)context);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	double start = seconds_now();
	int code;

	alarm(20);
	code = connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? errno : 0;
	return code == ENOSYS && seconds_now() - start < 10 ? 0 : code + 1;
}

static void a_waiting_call_ends_with_its_supervisor(void **state)
{
	static uint16_t port;
	int listener = tcp_listener(AF_INET, &port), fillers[4], status = -1;
	sl_policy *policy = policy_of(POLICY("net-allow", rule_for(AF_INET, port)));
	sl_error error;
	pid_t caller, supervisor;

	(void)state;
	listen(listener, 0);
	for (int i = 0; i < 4; i++) {
		struct sockaddr_in address = loopback_at(port);

		fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		assert_int_equal(connect(fillers[i], (struct sockaddr *)&address, sizeof(address)), -1);
		usleep(20000);
	}
	if ((caller = process_fork()) == 0)
		_exit(sl_confine_self(policy, &error) < 0 ? 99 : waits_for_nobody(&port));
	sl_policy_free(policy);
	usleep(300000 + 50000 * (useconds_t)slowness());
	assert_int_equal(waitpid(caller, &status, WNOHANG), 0);
	supervisor = supervisor_of(caller);
	assert_true(supervisor > 1);
	process_kill(supervisor, SIGKILL);
	assert_int_equal(exit_of(caller), 0);
	for (int i = 0; i < 4; i++)
		close(fillers[i]);
	close(listener);
	assert_true(nothing_left(10));
}

/* ---- E32: get the supervisor killed, then answer in its place ---- */

static int listener_install(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_connect, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = 4, .filter = code};

	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
}

/* Answers every call in one way: CONTINUE, or an error. */
static void answer_all(int listener, int code)
{
	struct seccomp_notif call;
	struct seccomp_notif_resp answer;

	for (;;) {
		memset(&call, 0, sizeof(call));
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0)
			return;
		answer = (struct seccomp_notif_resp){.id = call.id, .error = -code};
		if (code == 0)
			answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
		ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
	}
}

static void *answer_yes(void *context)
{
	answer_all(*(int *)context, 0);
	return NULL;
}

struct chain {
	int out, in; /* to and from the test, which does the killing */
};

struct chain_told {
	int alive, limited, dead, listener, last;
};

/* The attacker, behind whichever gate: `supervisor` is its pid. */
static void chain_run(const struct chain *chain, pid_t supervisor)
{
	struct rlimit tight = {1, 2};
	struct chain_told told = {0};
	static int listener;
	pthread_t thread;

	told.alive = tcp_try(AF_INET, net.other);
	told.limited = syscall(SYS_prlimit64, supervisor, RLIMIT_CPU, &tight, NULL) < 0 ? errno : 0;
	if (!result_put(chain->out, supervisor) || result_within(chain->in, 10000) != 1)
		_exit(1);
	told.dead = tcp_try(AF_INET, net.other);
	listener = listener_install();
	told.listener = listener < 0 ? errno : 0;
	if (listener >= 0)
		pthread_create(&thread, NULL, answer_yes, &listener);
	told.last = tcp_try(AF_INET, net.other);
	if (write(chain->out, &told, sizeof(told)) != sizeof(told))
		_exit(1);
	_exit(0);
}

static void chain_behind_sluice(const struct chain *chain)
{
	sl_policy *policy = policy_of(GATE);
	sl_error error;

	if (sl_confine_self(policy, &error) < 0)
		_exit(1);
	chain_run(chain, supervisor_of(getpid()));
}

/* A correct gate, but for one thing: its filter does not refuse a second listener. */
static void chain_behind_a_naive_gate(const struct chain *chain)
{
	int pair[2], listener;
	pid_t supervisor;
	char byte;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		_exit(1);
	if ((supervisor = fork()) < 0)
		_exit(1);
	if (supervisor == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fd_recv(pair[1], &byte, 1, 0, &listener);
		answer_all(listener, EACCES);
		_exit(0);
	}
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if ((listener = listener_install()) < 0 || fd_send(pair[0], "", 1, listener) < 0)
		_exit(1);
	close(listener);
	close(pair[0]);
	close(pair[1]);
	chain_run(chain, supervisor);
}

static struct chain_told chain_try(void (*attack)(const struct chain *chain))
{
	struct chain_told told = {NEVER, NEVER, NEVER, NEVER, NEVER};
	struct chain inside;
	int out[2], in[2];
	pid_t attacker, supervisor;
	struct pollfd ready;

	assert_int_equal(pipe2(out, O_CLOEXEC) | pipe2(in, O_CLOEXEC), 0);
	inside = (struct chain){out[1], in[0]};
	if ((attacker = process_fork()) == 0)
		attack(&inside);
	close(out[1]);
	supervisor = result_within(out[0], 10000);
	assert_true(supervisor > 0);
	process_kill(supervisor, SIGKILL);
	assert_true(state_becomes(supervisor, 'Z'));
	assert_true(result_put(in[1], 1));
	ready = (struct pollfd){.fd = out[0], .events = POLLIN};
	if (poll(&ready, 1, 10000) == 1)
		assert_int_equal(read(out[0], &told, sizeof(told)), sizeof(told));
	close(out[0]);
	close(in[0]);
	close(in[1]);
	process_kill(attacker, SIGKILL);
	waitpid(attacker, NULL, 0);
	return told;
}

static void nobody_can_answer_for_a_dead_supervisor(void **state)
{
	struct chain_told told = chain_try(chain_behind_a_naive_gate);

	(void)state;
	/* The control: the chain is a real one. */
	assert_int_equal(told.alive, EACCES);
	assert_int_equal(told.limited, 0);
	assert_int_equal(told.dead, ENOSYS);
	assert_int_equal(told.listener, 0);
	assert_int_equal(told.last, 0);
	assert_int_equal(accept_all(net.other_fd), 1);

	told = chain_try(chain_behind_sluice);
	assert_int_equal(told.alive, EACCES);
	assert_int_equal(told.limited, EPERM);
	assert_int_equal(told.dead, ENOSYS);
	assert_int_equal(told.listener, EBUSY);
	assert_int_equal(told.last, ENOSYS);
	assert_int_equal(accept_all(net.other_fd), 0);
	assert_true(nothing_left(10));
}

/* Everything that one process can do to another of its own user. */
static int hurt_supervisor(void *context)
{
	pid_t gate = supervisor_of(getpid()), *shown = context;
	static const __rlimit_resource_t limits[] = {RLIMIT_CPU,  RLIMIT_NOFILE, RLIMIT_AS,
	                                             RLIMIT_DATA, RLIMIT_NPROC,  RLIMIT_SIGPENDING};
	struct rlimit tight = {1, 2};
	struct sched_param lowest = {0};
	char byte = 0;
	struct iovec local = {&byte, 1}, remote = {&byte, 1};
	siginfo_t info = {.si_code = SI_QUEUE};
	cpu_set_t one;
	int pidfd;

	(void)shown;
	EXPECT(gate > 1);
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
		EXPECT(prlimit(gate, limits[i], &tight, NULL) == -1 && errno == EPERM);
	EXPECT(syscall(SYS_prlimit64, 1UL << 32 | (unsigned)gate, RLIMIT_CPU, &tight, NULL) == -1 &&
	       errno == EPERM);
	for (int number = 1; number <= 64; number += number == SIGKILL ? 2 : 1)
		EXPECT(kill(gate, number) == -1 && errno == EPERM);
	EXPECT(kill(-gate, SIGKILL) == -1);
	EXPECT(kill(gate, SIGSTOP) == -1 && errno == EPERM);
	EXPECT(syscall(SYS_tgkill, gate, gate, SIGKILL) == -1 && errno == EPERM);
	EXPECT(syscall(SYS_tkill, gate, SIGKILL) == -1 && errno == EPERM);
	EXPECT(syscall(SYS_rt_sigqueueinfo, gate, SIGKILL, &info) == -1 && errno == EPERM);
	EXPECT(syscall(SYS_rt_tgsigqueueinfo, gate, gate, SIGKILL, &info) == -1 && errno == EPERM);
	pidfd = (int)syscall(SYS_pidfd_open, gate, 0);
	EXPECT(pidfd < 0 ||
	       (syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) == -1 && errno == EPERM));
	for (int fd = 0; pidfd >= 0 && fd < 64; fd++)
		EXPECT(syscall(SYS_pidfd_getfd, pidfd, fd, 0) == -1);
	EXPECT(ptrace(PTRACE_SEIZE, gate, NULL, NULL) == -1 && errno == EPERM);
	EXPECT(ptrace(PTRACE_ATTACH, gate, NULL, NULL) == -1 && errno == EPERM);
	EXPECT(process_vm_writev(gate, &local, 1, &remote, 1, 0) == -1);
	EXPECT(process_vm_readv(gate, &local, 1, &remote, 1, 0) == -1);
	EXPECT(open(text_of("/proc/%d/mem", gate), O_RDWR | O_CLOEXEC) == -1);
	EXPECT(setpriority(PRIO_PROCESS, (id_t)gate, 19) == -1 && errno == EPERM);
	EXPECT(setpriority(PRIO_PGRP, (id_t)gate, 19) == -1 && errno == EPERM);
	EXPECT(setpriority(PRIO_USER, getuid(), 19) == -1 && errno == EPERM);
	EXPECT(sched_setscheduler(gate, SCHED_IDLE, &lowest) == -1 && errno == EPERM);
	EXPECT(sched_setparam(gate, &lowest) == -1 && errno == EPERM);
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	EXPECT(sched_setaffinity(gate, sizeof(one), &one) == -1 && errno == EPERM);
	EXPECT(syscall(SYS_ioprio_set, 1, gate, 3 << 13) == -1 && errno == EPERM);
	EXPECT(setpgid(gate, getpgrp()) == -1);
	EXPECT(syscall(SYS_process_madvise, pidfd, &remote, 1UL, 21, 0) == -1);
	EXPECT(syscall(SYS_kcmp, getpid(), gate, 0, 0, 0) == -1);
	EXPECT(listener_install() == -1 && errno == EBUSY);
	EXPECT(waitpid(gate, NULL, __WALL | WNOHANG) == 0);
	EXPECT(tcp_try(AF_INET, net.allowed) == 0);
	EXPECT(tcp_try(AF_INET, net.other) == EACCES);
	return 0;
}

static void the_supervisor_cannot_be_hurt_from_inside(void **state)
{
	(void)state;
	assert_int_equal(attempt_confined(GATE, hurt_supervisor, NULL), 0);
	assert_true(nothing_left(10));
	assert_int_equal(accept_all(net.other_fd), 0);
}

/* ---- exhaustion ---- */

static int own_table_full(void *context)
{
	struct sockaddr_in allowed = loopback_at(net.allowed), other = loopback_at(net.other);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), more = 0;
	struct rlimit limit = {256, 256};

	(void)context;
	EXPECT(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	while (socket(AF_INET, SOCK_STREAM, 0) >= 0)
		more++;
	EXPECT(errno == EMFILE && more > 10);
	EXPECT(connect(fd, (struct sockaddr *)&other, sizeof(other)) == -1 && errno == EACCES);
	EXPECT(connect(fd, (struct sockaddr *)&allowed, sizeof(allowed)) == 0);
	return 0;
}

static void a_caller_without_descriptors_is_served(void **state)
{
	(void)state;
	assert_int_equal(attempt_confined(GATE, own_table_full, NULL), 0);
}

/* From no descriptor upwards: each call is refused with an errno or served, and then all is as before. */
static void a_supervisor_without_descriptors_refuses_and_recovers(void **state)
{
	struct rlimit full, tight;
	struct tree tree;
	unsigned refused = 0;

	(void)state;
	tree_start(&tree);
	assert_int_equal(prlimit(tree.supervisor, RLIMIT_NOFILE, NULL, &full), 0);
	for (rlim_t room = 3; room < 40; room++) {
		int allowed, other;

		tight = (struct rlimit){room, full.rlim_max};
		assert_int_equal(prlimit(tree.supervisor, RLIMIT_NOFILE, &tight, NULL), 0);
		allowed = tree_try(&tree, put_allowed);
		other = tree_try(&tree, put_other);
		assert_int_equal(prlimit(tree.supervisor, RLIMIT_NOFILE, &full, NULL), 0);
		assert_true(allowed == 0 || allowed == ENOBUFS);
		assert_true(other == EACCES || other == ENOBUFS);
		refused += allowed == ENOBUFS;
		assert_int_equal(tree_try(&tree, put_allowed), 0);
		assert_int_equal(tree_try(&tree, put_other), EACCES);
	}
	assert_true(refused > 0);
	tree_end(&tree);
	assert_int_equal(accept_all(net.other_fd), 0);
}

struct storm {
	volatile bool over;
	volatile unsigned long calls, wrong;
	double seconds;
	int out;
};

static void *storm_thread(void *context)
{
	struct sockaddr_in address = loopback_at(net.other);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct storm *storm = context;
	unsigned long calls = 0, wrong = 0;

	while (!storm->over) {
		wrong += connect(fd, (struct sockaddr *)&address, sizeof(address)) != -1 || errno != EACCES;
		calls++;
	}
	__atomic_fetch_add(&storm->calls, calls, __ATOMIC_RELAXED);
	__atomic_fetch_add(&storm->wrong, wrong, __ATOMIC_RELAXED);
	close(fd);
	return NULL;
}

enum { STORM_THREADS = 64 };

static int storm_run(void *context)
{
	struct storm *storm = context;
	pthread_t threads[STORM_THREADS];

	for (int i = 0; i < STORM_THREADS; i++)
		EXPECT(pthread_create(&threads[i], NULL, storm_thread, storm) == 0);
	usleep((useconds_t)(storm->seconds * 1e6));
	storm->over = true;
	for (int i = 0; i < STORM_THREADS; i++)
		pthread_join(threads[i], NULL);
	fprintf(stderr, "# storm: %.0f refused connects a second by %d threads\n",
	        (double)storm->calls / storm->seconds, STORM_THREADS);
	EXPECT(result_put(storm->out, storm->wrong == 0 && storm->calls > 1000 ? 0 : 1));
	return 0;
}

struct pings {
	double seconds;
	int out;
};

/* The slowest of them, in milliseconds; negative: an errno. */
static int pings_run(void *context)
{
	const struct pings *pings = context;
	double end = seconds_now() + pings->seconds, slowest = 0;
	int count = 0, code = 0;

	while (code == 0 && seconds_now() < end) {
		double start = seconds_now();

		code = tcp_try(AF_INET, net.allowed);
		slowest = seconds_now() - start > slowest ? seconds_now() - start : slowest;
		count++;
		usleep(5000);
	}
	fprintf(stderr, "# beside it: %d connects, the slowest %.1f ms\n", count, slowest * 1000);
	return result_put(pings->out, code != 0 ? -code : (int)(slowest * 1000)) ? 0 : 1;
}

static void a_storm_of_calls_does_not_starve_others(void **state)
{
	static struct storm storm;
	static struct pings pings;
	int other[2], before, slowest;
	struct tree tree;

	(void)state;
	assert_int_equal(pipe2(other, O_CLOEXEC), 0);
	storm = (struct storm){.seconds = long_run() ? 60 : 5, .out = results[1]};
	pings = (struct pings){.seconds = storm.seconds - 0.5, .out = other[1]};
	tree_start(&tree);
	assert_int_equal(tree_try(&tree, put_allowed), 0);
	before = descriptors_of(tree.supervisor);
	tree_fork(&tree, storm_run, &storm);
	tree_fork(&tree, pings_run, &pings);
	slowest = result_within(other[0], (int)storm.seconds * 1000 + 20000);
	assert_int_equal(result_within(results[0], 20000), 0);
	assert_in_range(slowest, 0, 2000);
	if (before >= 0)
		assert_true(descriptors_become(tree.supervisor, before));
	tree_end(&tree);
	close(other[0]);
	close(other[1]);
	assert_int_equal(accept_all(net.other_fd), 0);
}

struct many {
	unsigned long count;
	int out;
};

static int many_run(void *context)
{
	struct sockaddr_in address = loopback_at(net.other);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct many *many = context;
	unsigned long wrong = 0;

	for (unsigned long i = 0; i < many->count; i++)
		wrong += connect(fd, (struct sockaddr *)&address, sizeof(address)) != -1 || errno != EACCES;
	return result_put(many->out, wrong == 0 ? 0 : 1) ? 0 : 1;
}

static void the_supervisor_does_not_grow(void **state)
{
	static struct many few, many;
	struct tree tree;
	int before;
	double start;
	long kib;

	(void)state;
	/* Before the tree is forked from this memory. */
	few = (struct many){1000, results[1]};
	many = (struct many){long_run() ? 1000000 : 200000 / (unsigned)slowness(), results[1]};
	tree_start(&tree);
	tree_fork(&tree, many_run, &few);
	assert_int_equal(result_within(results[0], 20000), 0);
	before = descriptors_of(tree.supervisor);
	kib = private_kib(tree.supervisor);
	start = seconds_now();
	tree_fork(&tree, many_run, &many);
	assert_int_equal(result_within(results[0], 140000), 0);
	fprintf(stderr, "# %lu calls in %.1f s\n", many.count, seconds_now() - start);
	if (before >= 0)
		assert_true(descriptors_become(tree.supervisor, before));
	if (kib >= 0) {
		fprintf(stderr, "# private memory: %ld KiB, then %ld KiB\n", kib,
		        private_kib(tree.supervisor));
		assert_true(private_kib(tree.supervisor) - kib < 64);
	}
	tree_end(&tree);
	if (kib < 0)
		SKIP_BECAUSE("served; but the supervisor is undumpable, and its memory is for root to see");
}

/* ---- what the arguments point to ---- */

struct odd {
	const char *what;
	long fd; /* or one of the below */
	long size;
	enum { AT_ADDRESS, AT_NULL, AT_ONE, AT_KERNEL, AT_UNMAPPED, AT_PROT_NONE, AT_EDGE, AT_TRUNCATED } at;
	sa_family_t family;
};

enum { FD_SOCKET = 1000, FD_PATH, FD_PIPE, FD_CLOSED };

static const struct odd odds[] = {
	{"the control", FD_SOCKET, 16, AT_ADDRESS, AF_INET},
	{"size -1", FD_SOCKET, -1, AT_ADDRESS, AF_INET},
	{"size INT_MIN", FD_SOCKET, -2147483648L, AT_ADDRESS, AF_INET},
	{"size INT_MAX", FD_SOCKET, 2147483647, AT_ADDRESS, AF_INET},
	{"size 0", FD_SOCKET, 0, AT_ADDRESS, AF_INET},
	{"size 1", FD_SOCKET, 1, AT_ADDRESS, AF_INET},
	{"size 2", FD_SOCKET, 2, AT_ADDRESS, AF_INET},
	{"size 15", FD_SOCKET, 15, AT_ADDRESS, AF_INET},
	{"size 17", FD_SOCKET, 17, AT_ADDRESS, AF_INET},
	{"size 128", FD_SOCKET, 128, AT_ADDRESS, AF_INET},
	{"size 129", FD_SOCKET, 129, AT_ADDRESS, AF_INET},
	{"size 1 GiB", FD_SOCKET, 1 << 30, AT_ADDRESS, AF_INET},
	{"upper bits in size", FD_SOCKET, (1L << 32) + 16, AT_ADDRESS, AF_INET},
	{"upper bits in fd", (1L << 32) + 999, 16, AT_ADDRESS, AF_INET},
	{"NULL", FD_SOCKET, 16, AT_NULL, AF_INET},
	{"NULL and size 0", FD_SOCKET, 0, AT_NULL, AF_INET},
	{"address 1", FD_SOCKET, 16, AT_ONE, AF_INET},
	{"kernel memory", FD_SOCKET, 16, AT_KERNEL, AF_INET},
	{"unmapped", FD_SOCKET, 16, AT_UNMAPPED, AF_INET},
	{"PROT_NONE", FD_SOCKET, 16, AT_PROT_NONE, AF_INET},
	{"over the edge of a page", FD_SOCKET, 16, AT_EDGE, AF_INET},
	{"up to the edge of a page", FD_SOCKET, 8, AT_EDGE, AF_INET},
	{"a file that was cut off", FD_SOCKET, 16, AT_TRUNCATED, AF_INET},
	{"AF_INET6 on AF_INET", FD_SOCKET, 28, AT_ADDRESS, AF_INET6},
	{"family 0", FD_SOCKET, 16, AT_ADDRESS, AF_UNSPEC},
	{"family 0xffff", FD_SOCKET, 16, AT_ADDRESS, 0xffff},
	{"fd -1", -1, 16, AT_ADDRESS, AF_INET},
	{"fd INT_MIN", -2147483648L, 16, AT_ADDRESS, AF_INET},
	{"AT_FDCWD", 0xffffff9cL, 16, AT_ADDRESS, AF_INET},
	{"a closed fd", FD_CLOSED, 16, AT_ADDRESS, AF_INET},
	{"a closed fd and NULL", FD_CLOSED, 16, AT_NULL, AF_INET},
	{"a file", 0, 16, AT_ADDRESS, AF_INET},
	{"a file and NULL", 0, 16, AT_NULL, AF_INET},
	{"a pipe", FD_PIPE, 16, AT_ADDRESS, AF_INET},
	{"O_PATH", FD_PATH, 16, AT_ADDRESS, AF_INET},
};

static long odd_fd(long fd)
{
	int ends[2];

	switch (fd) {
	case FD_SOCKET:
		return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	case FD_PATH:
		return open("/proc", O_PATH | O_CLOEXEC);
	case FD_PIPE:
		return pipe2(ends, O_CLOEXEC) < 0 ? -1 : ends[0];
	case FD_CLOSED:
		return 777;
	case (1L << 32) + 999:
		return (1L << 32) + socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	}
	return fd;
}

static void *odd_address(const struct odd *odd)
{
	struct sockaddr_in address = loopback_at(net.allowed);
	char *pages = mmap(NULL, 2 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int memory;

	address.sin_family = odd->family;
	switch (odd->at) {
	case AT_ADDRESS:
		return memcpy(pages, &address, sizeof(address));
	case AT_NULL:
		return NULL;
	case AT_ONE:
		return (void *)1;
	case AT_KERNEL:
		return (void *)0xffff888000000000;
	case AT_UNMAPPED:
		munmap(pages, 2 * 4096);
		return pages;
	case AT_PROT_NONE:
		memcpy(pages, &address, sizeof(address));
		mprotect(pages, 4096, PROT_NONE);
		return pages;
	case AT_EDGE:
		memcpy(pages + 4096 - 8, &address, 8);
		munmap(pages + 4096, 4096);
		return pages + 4096 - 8;
	case AT_TRUNCATED:
		memory = memfd_create("cut", MFD_CLOEXEC);
		if (ftruncate(memory, 4096) < 0)
			return NULL;
		mmap(pages, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, memory, 0);
		memcpy(pages, &address, sizeof(address));
		return ftruncate(memory, 0) < 0 ? NULL : pages;
	}
	return NULL;
}

static int odd_try(void *context)
{
	const struct odd *odd = context;

	return syscall(SYS_connect, odd_fd(odd->fd), odd_address(odd), odd->size) < 0 ? errno : 0;
}

static void odd_arguments_get_the_kernels_errno(void **state)
{
	unsigned bad = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(odds) / sizeof(odds[0]); i++) {
		int bare = attempt_bare(odd_try, (void *)&odds[i]);
		int confined = attempt_confined(GATE, odd_try, (void *)&odds[i]);

		if (bare == confined)
			continue;
		fprintf(stderr, "# %s: %d bare, %d confined\n", odds[i].what, bare, confined);
		bad++;
	}
	assert_int_equal(attempt_bare(odd_try, (void *)&odds[0]), 0);
	assert_int_equal(bad, 0);
}

/* The page goes away and comes back, or goes to zero, while the supervisor reads it. */
struct shaky {
	struct sockaddr_in *page;
	int memory;
	volatile bool over;
};

static void *shake(void *context)
{
	struct shaky *shaky = context;
	struct sockaddr_in address = loopback_at(net.allowed);

	while (!shaky->over) {
		if (shaky->memory >= 0) {
			if (ftruncate(shaky->memory, 0) < 0 || ftruncate(shaky->memory, 4096) < 0 ||
			    pwrite(shaky->memory, &address, sizeof(address), 0) < 0)
				break;
		} else {
			madvise(shaky->page, 4096, MADV_DONTNEED);
			*shaky->page = address;
			mprotect(shaky->page, 4096, PROT_NONE);
			mprotect(shaky->page, 4096, PROT_READ | PROT_WRITE);
			*shaky->page = address;
		}
	}
	return NULL;
}

static int shaken(void *context)
{
	static struct shaky shaky;
	double end = seconds_now() + (long_run() ? 30 : 1);
	unsigned long connected = 0, faulted = 0, calls = 0;
	pthread_t thread;

	shaky.memory = *(bool *)context ? memfd_create("shaky", MFD_CLOEXEC) : -1;
	shaky.page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
	                  shaky.memory >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, shaky.memory, 0);
	EXPECT(shaky.page != MAP_FAILED);
	EXPECT(pthread_create(&thread, NULL, shake, &shaky) == 0);
	while (seconds_now() < end) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		int code = connect(fd, (struct sockaddr *)shaky.page, sizeof(*shaky.page)) < 0 ? errno : 0;

		connected += code == 0;
		faulted += code == EFAULT;
		calls++;
		EXPECT(code == 0 || code == EFAULT || code == EACCES || code == EINVAL);
		close(fd);
	}
	shaky.over = true;
	pthread_join(thread, NULL);
	fprintf(stderr, "# %lu calls: %lu connected, %lu faulted\n", calls, connected, faulted);
	EXPECT(calls > 100);
	EXPECT(tcp_try(AF_INET, net.allowed) == 0);
	EXPECT(tcp_try(AF_INET, net.other) == EACCES);
	return 0;
}

static void vanishing_memory_is_an_errno(void **state)
{
	bool file = false;

	(void)state;
	assert_int_equal(attempt_confined(GATE, shaken, &file), 0);
	file = true;
	assert_int_equal(attempt_confined(GATE, shaken, &file), 0);
	assert_int_equal(accept_all(net.other_fd), 0);
}

/* ---- whose descriptors ---- */

static int kin(void *context)
{
	volatile int codes[2] = {NEVER, NEVER};
	pid_t child;

	(void)context;
	if ((child = vfork()) == 0) {
		codes[0] = tcp_try(AF_INET, net.allowed);
		codes[1] = tcp_try(AF_INET, net.other);
		_exit(3);
	}
	EXPECT(exit_of(child) == 3 && codes[0] == 0 && codes[1] == EACCES);
	if ((child = fork()) == 0) {
		pid_t grandchild = fork();

		if (grandchild == 0)
			_exit(tcp_try(AF_INET, net.allowed) == 0 && tcp_try(AF_INET, net.other) == EACCES
			              ? 5
			              : 1);
		_exit(grandchild < 0 ? 1 : exit_of(grandchild));
	}
	EXPECT(exit_of(child) == 5);
	return 0;
}

static void children_of_all_kinds_are_served(void **state)
{
	(void)state;
	assert_int_equal(attempt_confined(GATE, kin, NULL), 0);
	assert_int_equal(accept_all(net.other_fd), 0);
}

/* A second table, in which the number means another socket. No TLS of its own: errno is the maker's, who only
 * looks at `over` meanwhile. */
struct apart {
	int number, flags;
	volatile int allowed, other, own_peer;
	volatile bool over;
};

static int apart_run(void *context)
{
	struct apart *apart = context;
	struct sockaddr_in allowed = loopback_at(net.allowed), other = loopback_at(net.other), peer;
	socklen_t size = sizeof(peer);
	int fd = (int)syscall(SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	syscall(SYS_dup2, fd, apart->number);
	apart->other = syscall(SYS_connect, apart->number, &other, sizeof(other)) < 0 ? errno : 0;
	apart->allowed = syscall(SYS_connect, apart->number, &allowed, sizeof(allowed)) < 0 ? errno : 0;
	apart->own_peer = syscall(SYS_getpeername, apart->number, &peer, &size) < 0 ? errno : 0;
	apart->over = true;
	syscall(SYS_exit, 0);
	return 0;
}

static int own_table(void *context)
{
	static struct apart apart;
	static char stack[1 << 16] __attribute__((aligned(16)));
	struct sockaddr_in peer;
	socklen_t size = sizeof(peer);
	pid_t made;

	apart = (struct apart){.number = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
	                       .flags = *(int *)context};
	EXPECT(syscall(SYS_unshare, CLONE_FILES) == -1);
	made = clone(apart_run, stack + sizeof(stack), apart.flags, &apart);
	if (made < 0)
		return errno == EPERM ? 0 : errno;
	for (double end = seconds_now() + 10; !apart.over && seconds_now() < end;)
		usleep(2000);
	EXPECT(apart.over);
	EXPECT(apart.other == EACCES && apart.allowed == 0 && apart.own_peer == 0);
	/* Ours, under the same number, has not been touched. */
	EXPECT(getpeername(apart.number, (struct sockaddr *)&peer, &size) == -1 && errno == ENOTCONN);
	return 0;
}

static void the_callers_own_table_is_meant(void **state)
{
	int thread = CLONE_VM | CLONE_FS | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
	int process = CLONE_VM | SIGCHLD, hidden = CLONE_VM;

	(void)state;
	assert_int_equal(attempt_confined(GATE, own_table, &thread), 0);
	assert_int_equal(attempt_confined(GATE, own_table, &process), 0);
	assert_int_equal(attempt_confined(GATE, own_table, &hidden), 0);
	assert_int_equal(accept_all(net.other_fd), 0);
}

/* Sibling processes come and go faster than the supervisor forgets their numbers. */
static int numbers_reused(void *context)
{
	int count = *(int *)context;

	for (int i = 0; i < count; i++) {
		pid_t child = fork();

		EXPECT(child >= 0);
		if (child == 0) {
			/* Another table each time: the number of the socket tells whose it was. */
			for (int more = 0; more < i % 5; more++)
				EXPECT(dup(0) > 0);
			_exit((i % 2 ? tcp_try(AF_INET, net.allowed) == 0
			             : tcp_try(AF_INET, net.other) == EACCES)
			              ? 0
			              : 1);
		}
		EXPECT(exit_of(child) == 0);
	}
	return 0;
}

static void a_storm_of_processes_is_served(void **state)
{
	int count = long_run() ? 100000 : 1000;

	(void)state;
	assert_int_equal(attempt_confined(GATE, numbers_reused, &count), 0);
	assert_int_equal(accept_all(net.other_fd), 0);
}

static int net_open(void **state)
{
	(void)state;
	strike = mmap(NULL, sizeof(*strike), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (strike == MAP_FAILED)
		return 1;
	strike_set(STEP_NONE, false, 0, 0);
	if (pipe2(results, O_CLOEXEC) < 0)
		return 1;
	net.allowed_fd = tcp_listener(AF_INET, &net.allowed);
	net.other_fd = tcp_listener(AF_INET, &net.other);
	accept_all(net.other_fd);
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	return (net.acceptor = acceptor_start(net.allowed_fd)) < 0;
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
		cmocka_unit_test(a_killed_supervisor_lets_nothing_through),
		cmocka_unit_test(an_app_is_told_that_the_supervisor_died),
		cmocka_unit_test(a_supervisor_takes_nothing_else_for_the_listener),
		cmocka_unit_test(a_supervisor_that_cannot_name_its_app_leaves_it_unconfined),
		cmocka_unit_test(a_stopped_supervisor_only_delays),
		cmocka_unit_test(a_caller_can_be_killed_while_the_supervisor_is_stopped),
		cmocka_unit_test(an_app_that_dies_in_the_hand_over_leaves_nothing),
		cmocka_unit_test(a_caller_killed_at_any_step_leaves_nothing),
		cmocka_unit_test(a_waiting_call_ends_with_its_supervisor),
		cmocka_unit_test(nobody_can_answer_for_a_dead_supervisor),
		cmocka_unit_test(the_supervisor_cannot_be_hurt_from_inside),
		cmocka_unit_test(a_caller_without_descriptors_is_served),
		cmocka_unit_test(a_supervisor_without_descriptors_refuses_and_recovers),
		cmocka_unit_test(a_storm_of_calls_does_not_starve_others),
		cmocka_unit_test(the_supervisor_does_not_grow),
		cmocka_unit_test(odd_arguments_get_the_kernels_errno),
		cmocka_unit_test(vanishing_memory_is_an_errno),
		cmocka_unit_test(children_of_all_kinds_are_served),
		cmocka_unit_test(the_callers_own_table_is_meant),
		cmocka_unit_test(a_storm_of_processes_is_served),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, net_open, net_close);
}
