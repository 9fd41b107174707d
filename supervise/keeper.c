/* keeper.h draws it. */
#include "supervise/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fd.h"
#include "supervise/cputime.h"
#include "supervise/fork.h"
#include "supervise/handover.h"
#include "supervise/limits.h"
#include "supervise/memory.h"
#include "supervise/supervise.h"
#include "supervise/tree.h"

enum { HOLD_MS = 10000, THROTTLE_RETRY_MS = 5, FREEZE_ROUNDS = 5000, FREEZE_LOOK = 50 };

/* Between the keeper and the command it forks. */
struct pipes {
	int failures_out, failures_in; /* the command's word: struct failure, and end of file when it runs */
	int go_out, go_in;             /* the keeper's: one byte */
	char comm[16];                 /* what the command is called until it is executed */
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
	const struct child_setup *setup = &walls.plan->child;
	bool confined;
	int r = child_prepare(setup, step);

	if (r == 0 && job->control < 0)
		r = walls_raise(&walls, &confined, step);
	else if (r == 0)
		r = handover_target(job->control, &walls, job->prepared->rules.nonce, &confined, step);
	return r < 0 ? r : child_limit(setup, step);
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

/* No exec closes what the command is not to have. What was the keeper's goes first of all: it takes that for the exec. */
static __attribute__((noreturn)) void body_run(const struct keeper_job *job)
{
	int keep[STDIO_MAX];
	size_t count = 0;

	for (size_t i = 0; i < job->stdio->count; i++)
		keep[count++] = job->stdio->moves[i].target;
	if (guard_close_except(keep, count) < 0 || fcntl(job->command->control, F_SETFD, FD_CLOEXEC) < 0)
		_exit(EXIT_SLUICE);
	environ = job->command->environment;
	job->command->body->run(job->command->body->context, job->command->control);
	_exit(EXIT_SLUICE);
}

/* Between fork and exec: what is called here is async-signal-safe. */
static __attribute__((noreturn)) void child_main(const struct keeper_job *job, const struct pipes *pipes,
                                                 pid_t supervisor, pid_t keeper)
{
	const char *step = "the keeper";
	int r;

	filter_set_pid(&job->prepared->filter, GATE_LATER, supervisor);
	filter_set_pid(&job->prepared->filter, KEEPER_LATER, keeper);
	prctl(PR_SET_NAME, pipes->comm, 0, 0, 0);
	/* Before the command's descriptors take the numbers of ours. */
	if ((r = cgroup_enter(&job->prepared->cgroup)) < 0)
		child_fail(pipes, r, "cgroup");
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
	if (job->command->body != NULL)
		body_run(job);
	child_fail(pipes, command_exec(job->command), "exec");
}

/* ---- the keeper ---- */

struct keeper {
	pid_t command, supervisor;
	int reports, owner, app, signals, failures, go, proc;
	int entry; /* of the registry, locked; or -1 */
	struct tree tree;
	const struct cgroup *cgroup;
	bool paused, frozen; /* by order */
	struct memory memory;
	int64_t memory_at; /* when to look; CLOCK_MONOTONIC, us. 0: never */
	struct cputime cputime;
	struct throttle throttle;
	int64_t throttle_at; /* likewise */
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

/* A supervisor that is stopped reads nothing: what the command can make us say as often as it likes must not fill the
 * socket, or who writes there next would wait for ever. */
static void report_stopped(const struct keeper *keeper, int signal)
{
	struct pollfd room = {.fd = keeper->reports, .events = POLLOUT};

	if (poll(&room, 1, 0) > 0 && room.revents == POLLOUT)
		report_supervisor(keeper, KEEPER_STOPPED, signal);
}

static void report_failed(const struct keeper *keeper, int code, const char *step)
{
	struct keeper_report message = {.event = KEEPER_FAILED, .failure = {.code = code}};

	strncpy(message.failure.step, step, sizeof(message.failure.step) - 1);
	/* The owner first: the supervisor may kill us for it. */
	report_send(keeper->owner, &message);
	report_send(keeper->reports, &message);
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
			if (keeper->tree.held && WSTOPSIG(status) == SIGSTOP)
				continue; /* that was us */
			report_stopped(keeper, WSTOPSIG(status));
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

/* ---- the limits over the whole tree ---- */

static void memory_look(struct keeper *keeper)
{
	struct memory *memory = &keeper->memory;
	int64_t begun = clock_us(), ended;

	if (memory_exceeded(memory, getpid())) {
		keeper->reason = REASON_MEMORY;
		return;
	}
	ended = clock_us();
	keeper->memory_at = ended + 1000ll * memory_pause(memory->limit - memory->used, memory->cpus,
	                                                  (uint64_t)(ended - begun));
}

static void throttle_look(struct keeper *keeper)
{
	struct throttle *throttle = &keeper->throttle;
	bool was = throttle->stopped, all = true;
	int64_t now = clock_us();
	int wait = throttle_count(throttle, now, cputime_read(&keeper->cputime, now));

	if (throttle->stopped)
		all = tree_stop_once(&keeper->tree);
	else if (was)
		tree_continue(&keeper->tree);
	if (!all && wait > THROTTLE_RETRY_MS)
		wait = THROTTLE_RETRY_MS;
	keeper->throttle_at = cputime_later(&keeper->cputime, now + 1000ll * wait);
}

/* From now on: what it had while it was parked or paused does not count. */
static void throttle_start(struct keeper *keeper)
{
	int64_t now = clock_us();

	if (keeper->throttle.percent == 0)
		return;
	throttle_skip(&keeper->throttle, now, cputime_read(&keeper->cputime, now));
	keeper->throttle_at = keeper->throttle.at;
}

/* A tree that is stopped by order takes nothing. */
static void limits_look(struct keeper *keeper)
{
	int64_t now = clock_us();

	if (keeper->paused)
		return;
	if (keeper->memory_at > 0 && now >= keeper->memory_at)
		memory_look(keeper);
	if (keeper->throttle_at > 0 && now >= keeper->throttle_at && keeper->reason == REASON_NONE)
		throttle_look(keeper);
}

/* A control group stops forks that come faster than their names, and nothing that was promised to somebody in it wakes it.
 * To the kernel a call that no signal ends is not frozen, such as one that waits for its supervisor; but whoever is in one
 * traps when it is over, before he does anything. So it is enough that nobody runs. */
static int group_hold(struct keeper *keeper)
{
	int r = cgroup_freeze(keeper->cgroup);

	for (int i = 0; r == 0 && i < FREEZE_ROUNDS; i++) {
		if (cgroup_is_frozen(keeper->cgroup) ||
		    (i % FREEZE_LOOK == FREEZE_LOOK - 1 && !tree_runs(&keeper->tree)))
			return 0;
		poll(NULL, 0, 1);
	}
	return r < 0 ? r : -EAGAIN;
}

static int tree_hold(struct keeper *keeper)
{
	return keeper->cgroup->made ? group_hold(keeper) : tree_stop(&keeper->tree);
}

static void tree_let_go(struct keeper *keeper)
{
	if (keeper->cgroup->made)
		cgroup_thaw(keeper->cgroup);
	/* A group that does not hold `cpu` leaves it to us, who may have stopped the tree before it was frozen. */
	if (!keeper->cgroup->made || keeper->tree.held)
		tree_continue(&keeper->tree);
	throttle_start(keeper);
}

static int tree_pause(struct keeper *keeper)
{
	int r = tree_hold(keeper);

	if (r < 0)
		tree_let_go(keeper);
	keeper->paused = r == 0;
	return r;
}

static int tree_resume(struct keeper *keeper)
{
	if (keeper->frozen)
		report_supervisor(keeper, KEEPER_GOES_ON, 0);
	tree_let_go(keeper);
	keeper->paused = keeper->frozen = false;
	return 0;
}

/* Frozen from the question on: a supervisor that answers too late is told to go on all the same. */
static int tree_freeze(struct keeper *keeper)
{
	int r;

	keeper->frozen = true;
	if ((r = supervisor_hold(keeper)) == 0)
		r = tree_pause(keeper);
	if (r < 0)
		tree_resume(keeper);
	return r;
}

/* Where nobody reads it any more the command has ended before, and has said why. */
static int command_release(struct keeper *keeper)
{
	int r = fd_write_all(keeper->go, "", 1);

	if (r == -EPIPE)
		return 0;
	keeper->parked = false;
	return r;
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
	if (r < 0)
		throttle_start(keeper);
	if (r < 0 && keeper->timeout_ms > 0)
		keeper->deadline = clock_ms() + (int64_t)keeper->timeout_ms;
	if (message.event == KEEPER_EXECED && keeper->owner >= 0)
		report_send(keeper->owner, &message);
	else
		report_both(keeper, &message);
}

static int wait_ms(const struct keeper *keeper)
{
	int64_t at = keeper->deadline > 0 ? keeper->deadline * 1000 : INT64_MAX, left;

	if (!keeper->paused && keeper->memory_at > 0 && keeper->memory_at < at)
		at = keeper->memory_at;
	if (!keeper->paused && keeper->throttle_at > 0 && keeper->throttle_at < at)
		at = keeper->throttle_at;
	if (at == INT64_MAX)
		return -1;
	left = (at - clock_us() + 999) / 1000;
	return left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

enum { WATCH_SIGNALS, WATCH_REPORTS, WATCH_OWNER, WATCH_FAILURES, WATCH_APP, WATCH_COUNT };

static void signals_take(struct keeper *keeper)
{
	struct signalfd_siginfo info;

	while (read(keeper->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo != KEEPER_SIGNAL || info.ssi_code != SI_QUEUE ||
		    info.ssi_int != KEEPER_KILL)
			continue;
		keeper->reason = REASON_OWNER;
		kill(keeper->command, SIGKILL);
	}
}

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

	while (poll(watched, WATCH_COUNT, more ? 0 : wait_ms(keeper)) < 0 && errno == EINTR)
		;
	signals_take(keeper);
	if (watched[WATCH_FAILURES].revents != 0)
		failure_take(keeper);
	if (watched[WATCH_OWNER].revents != 0)
		order_take(keeper);
	if (keeper->deadline > 0 && clock_ms() >= keeper->deadline) {
		keeper->reason = REASON_TIMEOUT;
		return false;
	}
	limits_look(keeper);
	if (keeper->reason == REASON_MEMORY)
		return false;
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

/* Before the directory is left that the policy's paths are relative to. */
static int limits_open(struct keeper *keeper, const struct plan *plan)
{
	unsigned cpus;
	int r = tree_open(&keeper->tree, keeper->proc, keeper->command);

	if (r == 0 && plan_looks_at_memory(plan)) {
		r = memory_open(&keeper->memory, &keeper->tree, plan);
		keeper->memory_at = clock_us();
	}
	cpus = cpus_usable();
	if (plan_looks_at_cpu(plan) && plan->cpu_percent < 100 * cpus) {
		cputime_open(&keeper->cputime, &keeper->tree, keeper->command);
		throttle_begin(&keeper->throttle, plan->cpu_percent, cpus, clock_us());
	}
	return r;
}

/* With nothing in hand but what the loop needs: the command's pipes must see end of file when it closes them. */
static int keeper_close(struct keeper *keeper, const struct keeper_job *job)
{
	int all[] = {keeper->reports, keeper->owner, keeper->app,   keeper->failures,
	             keeper->go,      keeper->proc,  keeper->entry, keeper->cputime.event};
	int keep[sizeof(all) / sizeof(all[0]) + TMPFS_MAX + CGROUP_FDS];
	int null = job->stdio != NULL ? 0 : guard_null(); /* a stand-in has it there already */
	size_t count = memory_fds(&keeper->memory, keep);

	count += cgroup_fds(keeper->cgroup, keep + count);

	if (null < 0 || guard_stdio(null) < 0 || chdir("/") < 0)
		return -EIO;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i] > 2)
			keep[count++] = all[i];
	return guard_close_except(keep, count);
}

static int keeper_settle(struct keeper *keeper, const struct keeper_job *job, const char **step)
{
	sigset_t awaited;
	int r;

	*step = "/proc/PID/task/TID/children";
	if ((keeper->proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
		return -errno;
	if ((r = limits_open(keeper, &job->prepared->plan)) < 0)
		return r;
	*step = "the keeper's descriptors";
	if ((r = keeper_close(keeper, job)) < 0)
		return r;
	sigemptyset(&awaited);
	sigaddset(&awaited, SIGCHLD);
	sigaddset(&awaited, KEEPER_SIGNAL);
	keeper->signals = signalfd(-1, &awaited, SFD_CLOEXEC | SFD_NONBLOCK);
	return keeper->signals < 0 ? -errno : 0;
}

/* With a pidfd: a number could be another's by the time it is looked up. A stand-in that supervises nothing waits for the
 * end, and is not woken for this. */
static int keeper_tell_started(const struct keeper *keeper, bool supervised)
{
	struct keeper_report message = {.event = KEEPER_STARTED, .value = keeper->command};
	cleanup_fd int pidfd = (int)syscall(SYS_pidfd_open, keeper->command, 0);
	int r = 0;

	if (pidfd < 0)
		return -errno;
	if (keeper->owner < 0 || supervised)
		r = fd_send(keeper->reports, &message, sizeof(message), pidfd);
	if (r == 0 && keeper->owner >= 0)
		r = fd_send(keeper->owner, &message, sizeof(message), pidfd);
	return r;
}

/* Out of the way of what the command is given, whose numbers are free as long as this process has not got them. */
static int pipes_open(struct pipes *pipes, const struct stdio_plan *stdio)
{
	int ends[4], above = stdio == NULL ? 3 : stdio_above(stdio);

	if (pipe2(ends, O_CLOEXEC) < 0 || pipe2(ends + 2, O_CLOEXEC) < 0)
		return -errno;
	for (int i = 0; i < 4; i++) {
		int low = ends[i];

		if ((ends[i] = fcntl(low, F_DUPFD_CLOEXEC, above)) < 0)
			return -errno;
		close(low);
	}
	*pipes = (struct pipes){ends[0], ends[1], ends[2], ends[3], ""};
	return 0;
}

/* It may have stopped itself with the command, and nobody is there to be continued any more. Its number is another's only
 * when it is not our parent any more. */
static void supervisor_continue(const struct keeper *keeper)
{
	cleanup_fd int pidfd = (int)syscall(SYS_pidfd_open, keeper->supervisor, 0);

	if (pidfd >= 0 && getppid() == keeper->supervisor)
		syscall(SYS_pidfd_send_signal, pidfd, SIGCONT, NULL, 0);
}

static __attribute__((noreturn)) void keeper_end(struct keeper *keeper)
{
	struct keeper_report message = {.event = KEEPER_ENDED};

	cgroup_kill(keeper->cgroup);
	if (!keeper->ended)
		kill(keeper->command, SIGKILL);
	while (!keeper->ended && waitpid(keeper->command, &keeper->status, 0) != keeper->command)
		if (errno != EINTR)
			break;
	if (keeper->failures >= 0)
		failure_take(keeper);
	if (!tree_kill(keeper->proc))
		message.event = KEEPER_BEATEN;
	if (keeper->reason == REASON_NONE && cgroup_was_out_of_memory(keeper->cgroup))
		keeper->reason = REASON_MEMORY;
	cgroup_remove(keeper->cgroup);
	message.value = keeper->status;
	message.reason = (int32_t)keeper->reason;
	report_both(keeper, &message);
	supervisor_continue(keeper);
	_exit(0);
}

static __attribute__((noreturn)) void keeper_fail(const struct keeper *keeper, int code, const char *step)
{
	cgroup_remove(keeper->cgroup);
	report_failed(keeper, code, step);
	_exit(1);
}

/* Before there is a command: two of one name must not run for a moment either. */
static void keeper_take_name(struct keeper *keeper, const struct registry_claim *claim)
{
	struct failure failure;
	pid_t holder = 0;

	if (claim->dir < 0 || claim->name == NULL)
		return;
	keeper->entry = registry_claim_name(claim->dir, claim->name, &holder);
	if (keeper->entry >= 0)
		return;
	if (keeper->entry == -EEXIST)
		snprintf(failure.step, sizeof(failure.step), NAME_TAKEN "%d", holder);
	else
		strcpy(failure.step, "name: its entry in the runtime directory");
	keeper_fail(keeper, keeper->entry, failure.step);
}

/* After the fork, which gives the pid; a record lock is not the child's. */
static void keeper_enlist(struct keeper *keeper, const struct registry_claim *claim)
{
	if (claim->dir < 0)
		return;
	if (claim->name == NULL)
		keeper->entry = registry_claim_pid(claim->dir, keeper->command);
	if (keeper->entry >= 0)
		registry_write(keeper->entry, claim, keeper->command);
}

/* Readers take nobody else for a keeper: before there is an entry. */
static void keeper_name_itself(struct pipes *pipes)
{
	prctl(PR_GET_NAME, pipes->comm, 0, 0, 0);
	prctl(PR_SET_NAME, KEEPER_COMM, 0, 0, 0);
}

static int keeper_begin(struct keeper *keeper, const struct keeper_job *job, const char **step)
{
	int r;

	*step = "a pidfd of the command";
	if ((r = keeper_tell_started(keeper, job->control >= 0)) < 0)
		return r;
	if ((r = keeper_settle(keeper, job, step)) < 0)
		return r;
	*step = "the keeper";
	if ((r = guard_lock(&job->prepared->guard)) < 0)
		return r;
	return job->parked ? 0 : command_release(keeper);
}

static __attribute__((noreturn)) void keeper_main(const struct keeper_job *job)
{
	const struct registry_claim *claim = &job->prepared->registry;
	struct keeper keeper = {.reports = job->reports,
	                        .owner = job->owner,
	                        .app = job->app,
	                        .proc = -1,
	                        .entry = -1,
	                        .cputime.event = -1,
	                        .cgroup = &job->prepared->cgroup,
	                        .parked = true};
	pid_t self = getpid();
	struct pipes pipes;
	const char *step;
	int r;

	for (size_t i = 0; i < sizeof(job->others) / sizeof(job->others[0]); i++)
		if (job->others[i] >= 0)
			close(job->others[i]);
	r = pipes_open(&pipes, job->stdio);
	keeper.supervisor = getppid();
	keeper_name_itself(&pipes);
	if (r == 0)
		keeper_take_name(&keeper, claim);
	if (r < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0 ||
	    (keeper.command = process_fork_as(job->command->body != NULL)) < 0)
		keeper_fail(&keeper, r < 0 ? r : -errno, "starting the command");
	if (keeper.command == 0)
		child_main(job, &pipes, keeper.supervisor, self);
	/* The command's ends: with a copy of its own the keeper would wait for itself. */
	close(pipes.failures_in);
	close(pipes.go_out);
	fd_close(&job->prepared->cgroup.procs);
	keeper_enlist(&keeper, claim);
	keeper.failures = pipes.failures_out;
	keeper.go = pipes.go_in;
	keeper.timeout_ms = job->prepared->plan.timeout_ms;
	if ((r = keeper_begin(&keeper, job, &step)) == 0)
		keeper_loop(&keeper);
	else
		report_failed(&keeper, r, step);
	keeper_end(&keeper);
}

pid_t keeper_start(const struct keeper_job *job)
{
	pid_t pid = process_fork_as(job->command->body != NULL);

	if (pid == 0)
		keeper_main(job);
	return pid < 0 ? -errno : pid;
}
