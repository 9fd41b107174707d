/* sl_confine_self(): the calling process is the target, and stays what it was.
 *
 *     app (same pid, confined)
 *      +- supervisor   no exit signal: wait(2) without __WALL does not see it, and no SIGCHLD tells of it
 *
 * It is a child rather than an orphan: an orphan would turn up as a child of the app after all where the app
 * is a subreaper or pid 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/error.h"
#include "core/fd.h"
#include "supervise/handover.h"
#include "supervise/prepare.h"
#include "supervise/supervise.h"

/* The app holds the other end until it is through or dead: end of file is the whole message. */
static void control_ready(struct ev_loop *loop, struct ev_io *watcher, int events)
{
	struct gate *gate = watcher->data;

	(void)loop, (void)events;
	gate_unwatch(gate, watcher);
	gate->probed = 0;
	fd_close(&gate->control);
}

static int gate_take_listener(struct gate *gate, int target)
{
	int listener = handover_take(gate->control, target);

	if (listener < 0)
		return listener;
	gate_listen(gate, listener);
	gate_watch(gate, &gate->control_ready, gate->control, control_ready);
	return 0;
}

/* The thread: where the first one has ended, the process has no descriptors by that one's number. That number is another's here
 * when the app has gone, or when its children begin a pid namespace: then it is not our parent. */
static int target_open(const struct prepared *prepared, pid_t target, pid_t thread)
{
	bool threads = prepared->kernel.pidfd_thread;
	int pidfd = (int)syscall(SYS_pidfd_open, threads ? thread : target, threads ? PIDFD_THREAD : 0);

	if (pidfd < 0)
		return -errno;
	return getppid() == target ? pidfd : -ESRCH;
}

/* The forked supervisor; ends with the last confined process. */
static __attribute__((noreturn)) void supervisor_main(const struct prepared *prepared, int control,
                                                      pid_t target, pid_t thread)
{
	static struct gate gate;
	int keep[GUARD_KEEP_MAX] = {control}, pidfd = -1, r;

	if ((r = guard_detach(keep, 1 + prepare_fds(prepared, keep + 1))) < 0 ||
	    (r = gate_open(&gate, &prepared->rules, control)) < 0 ||
	    (r = pidfd = target_open(prepared, target, thread)) < 0) {
		handover_report(control, r);
		_exit(1);
	}
	gate.probed = target;
	if (handover_report(control, 0) < 0)
		_exit(1);
	r = gate_take_listener(&gate, pidfd);
	close(pidfd);
	if (r < 0 || (r = guard_lock(&prepared->guard)) < 0 || handover_report(control, r) < 0) {
		handover_report(control, r);
		_exit(1);
	}
	gate_run(&gate);
	_exit(0);
}

struct supervisor {
	pid_t pid;
	int control; /* ours */
};

static int supervisor_start(struct supervisor *supervisor, const struct prepared *prepared, sl_error *error)
{
	cleanup_fd int ours = -1, theirs = -1;
	pid_t self = getpid(), thread = gettid();
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return error_errno(error, -errno, "socketpair");
	ours = pair[0];
	/* Above 2, where the supervisor puts its own: an app may run without stdio. */
	theirs = fcntl(pair[1], F_DUPFD_CLOEXEC, 3);
	close(pair[1]);
	if (theirs < 0)
		return error_errno(error, -errno, "descriptors");
	supervisor->pid = (pid_t)syscall(SYS_clone, 0, NULL, NULL, NULL, 0);
	if (supervisor->pid < 0)
		return error_errno(error, -errno, "the supervisor's fork");
	if (supervisor->pid == 0)
		supervisor_main(prepared, theirs, self, thread);
	supervisor->control = fd_steal(&ours);
	return 0;
}

/* It reads end of file and ends; where it had not got that far, it must not stay either. */
static void supervisor_dismiss(struct supervisor *supervisor)
{
	fd_close(&supervisor->control);
	kill(supervisor->pid, SIGKILL);
	waitpid(supervisor->pid, NULL, __WCLONE);
}

static int walls_error(sl_error *error, int code, bool confined, const char *step)
{
	if (code == -ECONNRESET)
		error_set(error, code, "%s: it died while it took over", step);
	else
		error_errno(error, code, "%s", step);
	return confined ? error_wrap(error, code, "confined, but") : code;
}

static int confine_supervised(struct prepared *prepared, bool all_threads, sl_error *error)
{
	struct supervisor supervisor = {.control = -1};
	struct walls walls;
	bool confined = false;
	const char *step = "";
	int r;

	if ((r = prepare_map(prepared, error)) < 0 ||
	    (r = supervisor_start(&supervisor, prepared, error)) < 0)
		return r;
	if ((r = prepare_walls(prepared, supervisor.pid, error)) == 0) {
		walls = (struct walls){&prepared->plan, prepared->ruleset, &prepared->filter, all_threads};
		if ((r = child_prepare(&prepared->plan.child, &step)) == 0)
			r = handover_target(supervisor.control, &walls, prepared->rules.nonce, &confined,
			                    &step);
		if (r < 0)
			walls_error(error, r, confined, step);
	}
	/* Behind the walls kill(2) does not reach it any more, nor need it: it reads end of file. */
	if (r < 0 && !confined)
		supervisor_dismiss(&supervisor);
	fd_close(&supervisor.control);
	return r;
}

static int confine_alone(struct prepared *prepared, bool all_threads, sl_error *error)
{
	const char *step;
	struct walls walls;
	bool raised = false;
	int r;

	if ((r = prepare_walls(prepared, 0, error)) < 0)
		return r;
	walls = (struct walls){&prepared->plan, prepared->ruleset, &prepared->filter, all_threads};
	if ((r = child_prepare(&prepared->plan.child, &step)) == 0)
		r = walls_raise(&walls, &raised, &step);
	return r < 0 ? walls_error(error, r, raised, step) : 0;
}

static int limits_lower(const struct prepared *prepared, sl_error *error)
{
	const char *step = "";
	int r = child_limit(&prepared->plan.child, &step);

	return r < 0 ? walls_error(error, r, true, step) : 0;
}

/* The other threads would run on where they did. */
static int cores_check(const struct plan *plan, unsigned threads, sl_error *error)
{
	if (plan->child.cores == NULL || threads == 1)
		return 0;
	return error_set(error, -EPERM, "cpu-cores: there are %u threads, and only this one could be bound",
	                 threads);
}

/* The app's handlers must not run half way: they would meet a gate that nobody serves yet. */
static int confine_unsignalled(struct prepared *prepared, bool all_threads, sl_error *error)
{
	sigset_t all, mask;
	int r;

	sigfillset(&all);
	if (sigprocmask(SIG_SETMASK, &all, &mask) < 0)
		return error_errno(error, -errno, "sigprocmask");
	r = prepared->plan.supervised ? confine_supervised(prepared, all_threads, error)
	                              : confine_alone(prepared, all_threads, error);
	if (r == 0)
		r = limits_lower(prepared, error);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	return r;
}

int confine_in_place(const sl_policy *policy, sl_error *error)
{
	struct prepared prepared;
	unsigned threads;
	int r;

	if ((r = prepare_plan(&prepared, policy, PLAN_IN_PLACE, error)) < 0)
		return r;
	if ((r = preflight_check(&prepared.plan, &prepared.kernel, &threads, error)) == 0 &&
	    (r = cores_check(&prepared.plan, threads, error)) == 0 &&
	    (r = prepare_objects(&prepared, policy, error)) == 0)
		r = confine_unsignalled(&prepared, threads > 1, error);
	prepare_clear(&prepared);
	return r;
}
