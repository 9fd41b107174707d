/* keeper.h draws it. */
#include "supervise/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/fd.h"
#include "supervise/fork.h"
#include "supervise/handover.h"
#include "supervise/supervise.h"
#include "supervise/tree.h"

enum { HOLD_MS = 10000 };

/* Between the keeper and the command it forks. */
struct pipes {
	int failures_out, failures_in; /* the command's word: struct failure, and end of file when it runs */
	int go_out, go_in;             /* the keeper's: one byte */
};

/* ---- the command, until it is one ---- */

static void child_say(const struct pipes *pipes, int code, const char *step)
{
	struct failure failure = {.code = code};

	strncpy(failure.step, step, sizeof(failure.step) - 1);
	fd_write_all(pipes->failures_in, &failure, sizeof(failure));
}

static __attribute__((noreturn)) void child_fail(const struct pipes *pipes, int code, const char *step)
{
	child_say(pipes, code, step);
	_exit(EXIT_SLUICE);
}

static int child_confine(const struct keeper_job *job, const char **step)
{
	struct walls walls = {&job->prepared->plan, job->prepared->ruleset, &job->prepared->filter, false};
	bool confined;

	if (job->control < 0)
		return walls_raise(&walls, &confined, step);
	return handover_target(job->control, &walls, job->prepared->rules.nonce, &confined, step);
}

static int child_descriptors(const struct keeper_job *job)
{
	int r = job->stdio == NULL ? 0 : stdio_settle(job->stdio);

	if (r == 0 && job->files != NULL && setrlimit(RLIMIT_NOFILE, job->files) < 0)
		r = -errno;
	return r;
}

static void child_signals(const struct keeper_job *job)
{
	const struct sigaction by_default = {.sa_handler = SIG_DFL};

	sigaction(SIGCHLD, &job->on_child, NULL);
	if (job->plain_signals)
		sigaction(SIGPIPE, &by_default, NULL);
	sigprocmask(SIG_SETMASK, &job->mask, NULL);
}

/* The keeper gives the word when it is ready itself, and of a parked command when the owner does. */
static void child_await(const struct keeper_job *job, const struct pipes *pipes)
{
	char byte;

	if (job->parked)
		child_say(pipes, 0, "parked");
	if (fd_read_all(pipes->go_out, &byte, 1) < 0)
		_exit(EXIT_SLUICE);
}

/* Between fork and exec: what is called here is async-signal-safe. */
static __attribute__((noreturn)) void child_main(const struct keeper_job *job, const struct pipes *pipes,
                                                 pid_t keeper)
{
	const char *step = "the keeper";
	int r;

	close(job->reports);
	close(pipes->failures_out);
	close(pipes->go_in);
	if (job->owner >= 0)
		close(job->owner);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || getppid() != keeper)
		child_fail(pipes, -ECHILD, step);
	step = "descriptors";
	if ((r = child_descriptors(job)) < 0 || (r = child_confine(job, &step)) < 0)
		child_fail(pipes, r, step);
	child_await(job, pipes);
	child_signals(job);
	child_fail(pipes, command_exec(job->command), "exec");
}

/* ---- the keeper ---- */

struct keeper {
	pid_t command;
	int reports, owner, app, signals, failures, go, proc;
	struct tree tree;
	bool paused, frozen; /* by order */
	unsigned holds;      /* how often the supervisor was asked to rest */
	uint64_t timeout_ms; /* the policy's, from exec on; 0: none */
	int64_t deadline;    /* of that, once it runs; CLOCK_MONOTONIC, ms */
	bool parked;         /* the command waits for our byte: end of file is not its exec */
	bool ended;
	int status; /* of wait(2), once `ended` */
	enum keeper_reason reason;
};

static void report_send(int to, const struct keeper_report *message)
{
	if (to >= 0)
		fd_write_all(to, message, sizeof(*message));
}

static void report_both(const struct keeper *keeper, const struct keeper_report *message)
{
	report_send(keeper->reports, message);
	report_send(keeper->owner, message);
}

static void report_supervisor(const struct keeper *keeper, enum keeper_event event, int value)
{
	struct keeper_report message = {.event = (int32_t)event, .value = value};

	report_send(keeper->reports, &message);
}

static void report_failed(const struct keeper *keeper, int code, const char *step)
{
	struct keeper_report message = {.event = KEEPER_FAILED, .failure = {.code = code}};

	strncpy(message.failure.step, step, sizeof(message.failure.step) - 1);
	report_both(keeper, &message);
}

static void report_done(const struct keeper *keeper, int value)
{
	struct keeper_report message = {.event = KEEPER_DONE, .value = value};

	report_send(keeper->owner, &message);
}

static void command_look(struct keeper *keeper)
{
	int status;

	while (!keeper->ended && waitpid(keeper->command, &status, WNOHANG | WUNTRACED) > 0) {
		if (WIFSTOPPED(status)) {
			report_supervisor(keeper, KEEPER_STOPPED, WSTOPSIG(status));
			continue;
		}
		keeper->ended = true;
		keeper->status = status;
	}
}

/* The command itself first, by its number, while the number is still its own: orphans that come and go faster than
 * they can be reaped must neither keep us here nor be taken for it. True when there may be more. */
static bool children_reap(struct keeper *keeper)
{
	enum { ORPHANS_PER_TURN = 64 };

	command_look(keeper);
	for (int i = 0; i < ORPHANS_PER_TURN && !keeper->ended; i++) {
		siginfo_t orphan = {.si_pid = 0};

		if (waitid(P_ALL, 0, &orphan, WEXITED | WNOHANG | WNOWAIT) < 0 || orphan.si_pid == 0)
			return false;
		if (orphan.si_pid == keeper->command)
			command_look(keeper);
		else
			waitpid(orphan.si_pid, NULL, WNOHANG);
	}
	return !keeper->ended;
}

/* The supervisor is asked, so that it is at rest when we say that all is. An answer that came too late for the last time we
 * asked is no answer to this. */
static int supervisor_hold(struct keeper *keeper)
{
	struct pollfd answered = {.fd = keeper->reports, .events = POLLIN};
	uint8_t answer = (uint8_t)keeper->holds++;
	int r = 0;

	report_supervisor(keeper, KEEPER_HELD, ++answer);
	for (uint8_t byte = (uint8_t)(answer - 1); r == 0 && byte != answer;)
		r = poll(&answered, 1, HOLD_MS) <= 0 ? -ETIMEDOUT : fd_read_all(keeper->reports, &byte, 1);
	return r;
}

static int tree_pause(struct keeper *keeper)
{
	int r = tree_stop(&keeper->tree);

	if (r < 0)
		tree_continue(&keeper->tree);
	keeper->paused = r == 0;
	return r;
}

static int tree_resume(struct keeper *keeper)
{
	if (keeper->frozen)
		report_supervisor(keeper, KEEPER_GOES_ON, 0);
	tree_continue(&keeper->tree);
	keeper->paused = keeper->frozen = false;
	return 0;
}

static int tree_freeze(struct keeper *keeper)
{
	int r = supervisor_hold(keeper);

	/* Where it did not answer it may do so yet, and must be told to go on. */
	keeper->frozen = true;
	if (r == 0)
		r = tree_pause(keeper);
	if (r < 0)
		tree_resume(keeper);
	return r;
}

static int command_release(struct keeper *keeper)
{
	keeper->parked = false;
	return fd_write_all(keeper->go, "", 1);
}

static int order_carry_out(struct keeper *keeper, const struct keeper_order *order)
{
	switch ((enum keeper_order_kind)order->order) {
	case ORDER_START:
		return command_release(keeper);
	case ORDER_PAUSE:
		return tree_pause(keeper);
	case ORDER_FREEZE:
		return tree_freeze(keeper);
	case ORDER_RESUME:
	case ORDER_THAW:
		return tree_resume(keeper);
	case ORDER_SIGNAL:
		return kill(keeper->command, order->value) < 0 ? -errno : 0;
	case ORDER_KILL:
		keeper->reason = REASON_OWNER;
		return kill(keeper->command, SIGKILL) < 0 ? -errno : 0;
	}
	return -EINVAL;
}

/* The command goes on, for what dies with the owner says so by `app`; but nobody is left to start a parked one. */
static void owner_gone(struct keeper *keeper)
{
	fd_close(&keeper->owner);
	if (keeper->paused)
		tree_resume(keeper);
	if (!keeper->parked)
		return;
	keeper->reason = REASON_OWNER;
	kill(keeper->command, SIGKILL);
}

static void order_take(struct keeper *keeper)
{
	struct keeper_order order;
	ssize_t size = read(keeper->owner, &order, sizeof(order));

	if (size == sizeof(order))
		report_done(keeper, order_carry_out(keeper, &order));
	else if (size == 0 || (size < 0 && errno != EINTR))
		owner_gone(keeper);
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void failure_take(struct keeper *keeper)
{
	struct keeper_report message = {.event = KEEPER_FAILED};
	int r = fd_read_all(keeper->failures, &message.failure, sizeof(message.failure));

	if (r == 0 && message.failure.code == 0) {
		message.event = KEEPER_PARKED;
		report_send(keeper->owner, &message);
		return;
	}
	fd_close(&keeper->failures);
	if (r < 0 && keeper->parked)
		return;
	if (r < 0)
		message.event = KEEPER_EXECED;
	if (r < 0 && keeper->timeout_ms > 0)
		keeper->deadline = now_ms() + (int64_t)keeper->timeout_ms;
	report_both(keeper, &message);
}

static int wait_ms(const struct keeper *keeper)
{
	int64_t left = keeper->deadline - now_ms();

	if (keeper->deadline == 0)
		return -1;
	return left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

enum { WATCH_SIGNALS, WATCH_REPORTS, WATCH_OWNER, WATCH_FAILURES, WATCH_APP, WATCH_COUNT };

static bool broken(const struct pollfd *watched)
{
	return watched->revents & (POLLERR | POLLHUP | POLLNVAL);
}

/* Sleeps until something is to be done. False when the tree is to die: the supervisor is gone, nobody holds the other
 * end any more; or who it dies with. */
static bool keeper_wait(struct keeper *keeper, bool more)
{
	struct pollfd watched[WATCH_COUNT] = {
		[WATCH_SIGNALS] = {.fd = keeper->signals, .events = POLLIN},
		[WATCH_REPORTS] = {.fd = keeper->reports},
		[WATCH_OWNER] = {.fd = keeper->owner, .events = POLLIN},
		[WATCH_FAILURES] = {.fd = keeper->failures, .events = POLLIN},
		[WATCH_APP] = {.fd = keeper->app, .events = POLLIN},
	};
	struct signalfd_siginfo info;

	while (poll(watched, WATCH_COUNT, more ? 0 : wait_ms(keeper)) < 0 && errno == EINTR)
		;
	while (read(keeper->signals, &info, sizeof(info)) == sizeof(info))
		;
	if (watched[WATCH_FAILURES].revents != 0)
		failure_take(keeper);
	if (watched[WATCH_OWNER].revents != 0)
		order_take(keeper);
	if (keeper->deadline > 0 && now_ms() >= keeper->deadline) {
		keeper->reason = REASON_TIMEOUT;
		return false;
	}
	if (broken(&watched[WATCH_REPORTS]) && keeper->reason == REASON_NONE)
		keeper->reason = REASON_KILLED;
	return !broken(&watched[WATCH_REPORTS]) && watched[WATCH_APP].revents == 0;
}

static void keeper_loop(struct keeper *keeper)
{
	bool more = false;

	while (!keeper->ended && keeper_wait(keeper, more))
		more = children_reap(keeper);
}

static int keep_compare(const void *left, const void *right)
{
	const int *a = left, *b = right;

	return (*a > *b) - (*a < *b);
}

/* With nothing in hand but what the loop needs: the command's pipes must see end of file when it closes them. */
static int keeper_settle(struct keeper *keeper)
{
	int all[] = {keeper->reports, keeper->owner, keeper->app, keeper->failures, keeper->go}, keep[8];
	cleanup_fd int null = guard_null();
	sigset_t child_only;
	size_t count = 0;

	if (null < 0 || guard_stdio(null) < 0 || chdir("/") < 0)
		return -EIO;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i] > 2)
			keep[count++] = all[i];
	qsort(keep, count, sizeof(*keep), keep_compare);
	guard_close_except(keep, count);
	null = -1;
	sigemptyset(&child_only);
	sigaddset(&child_only, SIGCHLD);
	if ((keeper->signals = signalfd(-1, &child_only, SFD_CLOEXEC | SFD_NONBLOCK)) < 0 ||
	    (keeper->proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
		return -errno;
	prctl(PR_SET_NAME, "sluice-keeper", 0, 0, 0);
	return tree_open(&keeper->tree, keeper->proc, keeper->command);
}

/* The owner's view of it begins with a pidfd: a number could be another's by the time it is looked up. */
static void keeper_tell_started(const struct keeper *keeper)
{
	struct keeper_report message = {.event = KEEPER_STARTED, .value = keeper->command};
	cleanup_fd int pidfd = -1;

	if (keeper->owner >= 0 && (pidfd = (int)syscall(SYS_pidfd_open, keeper->command, 0)) >= 0)
		fd_send(keeper->owner, pidfd);
	report_both(keeper, &message);
}

static int pipe_open(int above, int *out, int *in)
{
	int pair[2];

	if (pipe2(pair, O_CLOEXEC) < 0)
		return -errno;
	*out = fcntl(pair[0], F_DUPFD_CLOEXEC, above);
	*in = fcntl(pair[1], F_DUPFD_CLOEXEC, above);
	close(pair[0]);
	close(pair[1]);
	return *out < 0 || *in < 0 ? -EMFILE : 0;
}

/* Out of the way of what the command is given, like all that is open by now. */
static int pipes_open(const struct keeper_job *job, struct pipes *pipes)
{
	int above = job->stdio == NULL ? 3 : stdio_above(job->stdio);
	int r = pipe_open(above, &pipes->failures_out, &pipes->failures_in);

	return r < 0 ? r : pipe_open(above, &pipes->go_out, &pipes->go_in);
}

static __attribute__((noreturn)) void keeper_end(struct keeper *keeper)
{
	struct keeper_report message = {.event = KEEPER_ENDED};

	if (!keeper->ended)
		kill(keeper->command, SIGKILL);
	while (!keeper->ended && waitpid(keeper->command, &keeper->status, 0) != keeper->command)
		if (errno != EINTR)
			break;
	if (keeper->failures >= 0)
		failure_take(keeper);
	if (!tree_kill(keeper->proc))
		message.event = KEEPER_BEATEN;
	message.value = keeper->status;
	message.reason = (int32_t)keeper->reason;
	report_both(keeper, &message);
	_exit(0);
}

static __attribute__((noreturn)) void keeper_main(const struct keeper_job *job)
{
	struct keeper keeper = {
		.reports = job->reports, .owner = job->owner, .app = job->app, .parked = true};
	pid_t self = getpid();
	struct pipes pipes;
	int r;

	for (size_t i = 0; i < sizeof(job->others) / sizeof(job->others[0]); i++)
		if (job->others[i] >= 0)
			close(job->others[i]);
	if ((r = pipes_open(job, &pipes)) < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0 ||
	    (keeper.command = process_fork()) < 0) {
		report_failed(&keeper, r < 0 ? r : -errno, "starting the command");
		_exit(1);
	}
	if (keeper.command == 0)
		child_main(job, &pipes, self);
	keeper.failures = pipes.failures_out;
	keeper.go = pipes.go_in;
	keeper.timeout_ms = job->prepared->plan.timeout_ms;
	keeper_tell_started(&keeper);
	if ((r = keeper_settle(&keeper)) == 0 && (r = guard_lock(&job->prepared->guard)) == 0 &&
	    (job->parked || (r = command_release(&keeper)) == 0))
		keeper_loop(&keeper);
	else
		report_failed(&keeper, r, "/proc/PID/task/TID/children");
	keeper_end(&keeper);
}

pid_t keeper_start(const struct keeper_job *job)
{
	pid_t pid = process_fork();

	if (pid == 0)
		keeper_main(job);
	return pid < 0 ? -errno : pid;
}
