/* `sluice run`: with address rules this process is the supervisor and the command's parent; without, it
 * becomes the command.
 *
 *     sluice (supervisor, subreaper)          sluice = command (confined)
 *      +- command (confined)
 *          +- its tree
 *
 * The supervisor stays in the command's process group, as a shell expects of a job, but takes no part in it:
 * it blocks what the terminal sends, passes on what people send with kill(1), stops when the command stops,
 * and ends with the command's status. What is left of the tree then has lost its gate and is killed.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/error.h"
#include "core/fd.h"
#include "supervise/command.h"
#include "supervise/handover.h"
#include "supervise/prepare.h"
#include "supervise/supervise.h"

/* What the child says of its own end, before exec closes the socket. */
struct failure {
	int32_t code;
	char step[60];
};

struct launch {
	struct gate gate;
	pid_t child;
	int signals;
	struct ev_io signals_ready;
	bool ended;
	int status; /* of wait(2), once `ended` */
	bool failed;
	struct failure failure;
};

static int exec_error(int code, const char *path, sl_error *error)
{
	if (code == -EACCES)
		error_set(
			error, code,
			"%.100s cannot be executed: permission denied. Nothing may be read or executed but what "
			"is granted: --fs-system grants what programs need, -r PATH more",
			path);
	else
		error_errno(error, code, "%.180s", path);
	return code == -ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
}

static int find_error(int code, const char *name, sl_error *error)
{
	error_errno(error, code, "%.180s", name);
	return code == -EACCES ? EXIT_NOT_EXECUTABLE : EXIT_NOT_FOUND;
}

/* Before anything of ours is opened, so that all that is closed is what came from outside. */
static int descriptors_settle(const struct plan *plan, sl_error *error)
{
	int r;

	for (size_t i = 0; i < plan->keep_count; i++) {
		int fd = plan->keep_fds[i], flags = fcntl(fd, F_GETFD);

		if (fd > 2 && flags < 0)
			return error_set(error, -EBADF, "keep-fd: descriptor %d is not open", fd);
		if (fd > 2)
			fcntl(fd, F_SETFD, flags & ~FD_CLOEXEC);
		if ((r = preflight_descriptor(fd, error)) < 0)
			return r;
	}
	if ((r = fd_close_except(plan->keep_fds, plan->keep_count)) < 0)
		return error_errno(error, r, "closing descriptors");
	return 0;
}

static int launch_alone(struct prepared *prepared, const struct command *command, sl_error *error)
{
	struct walls walls = {.plan = &prepared->plan, .program = &prepared->filter};
	const char *step;
	bool raised;
	int r;

	if (prepare_walls(prepared, 0, error) < 0)
		return EXIT_SLUICE;
	walls.ruleset = prepared->ruleset;
	if ((r = walls_raise(&walls, &raised, &step)) < 0) {
		error_errno(error, r, "%s", step);
		return EXIT_SLUICE;
	}
	return exec_error(command_exec(command), command->path, error);
}

struct child {
	const struct prepared *prepared;
	const struct command *command;
	int control, failures;
	pid_t supervisor;
	sigset_t mask;             /* the caller's */
	struct sigaction on_child; /* likewise, of SIGCHLD */
};

static __attribute__((noreturn)) void child_fail(const struct child *child, int code, const char *step)
{
	struct failure failure = {.code = code};

	strncpy(failure.step, step, sizeof(failure.step) - 1);
	fd_write_all(child->failures, &failure, sizeof(failure));
	_exit(EXIT_SLUICE);
}

/* Between fork and exec: what is called here is async-signal-safe. */
static __attribute__((noreturn)) void child_main(const struct child *child)
{
	struct walls walls = {&child->prepared->plan, child->prepared->ruleset, &child->prepared->filter,
	                      false};
	const char *step;
	bool confined;
	int r;

	/* Without its supervisor the command would live on with every supervised call failing. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || getppid() != child->supervisor)
		child_fail(child, -ECHILD, "the supervisor");
	r = handover_target(child->control, &walls, child->prepared->rules.nonce, &confined, &step);
	if (r < 0)
		child_fail(child, r, step);
	sigaction(SIGCHLD, &child->on_child, NULL);
	sigprocmask(SIG_SETMASK, &child->mask, NULL);
	child_fail(child, command_exec(child->command), "exec");
}

/* Whoever waits for us is to see that the terminal has stopped the command; it goes on when we are told to. A
 * SIGSTOP is between processes, and where it has gone on already the tree must not lose its supervisor. */
static void child_stopped(struct launch *launch, int signal)
{
	if (signal == SIGSTOP || !target_is_stopped(&launch->gate, launch->child))
		return;
	kill(getpid(), SIGSTOP);
	kill(launch->child, SIGCONT);
}

static void child_look(struct launch *launch)
{
	int status;

	while (!launch->ended && waitpid(launch->child, &status, WNOHANG | WUNTRACED) > 0) {
		if (WIFSTOPPED(status)) {
			child_stopped(launch, WSTOPSIG(status));
			continue;
		}
		launch->ended = true;
		launch->status = status;
		ev_break(launch->gate.loop, EVBREAK_ALL);
	}
}

/* The command itself first, by its number, while the number is still its own: orphans that come and go faster than
 * they can be reaped must neither keep us here nor be taken for it. True when there may be more. */
static bool children_reap(struct launch *launch)
{
	enum { ORPHANS_PER_TURN = 64 };

	child_look(launch);
	for (int i = 0; i < ORPHANS_PER_TURN && !launch->ended; i++) {
		siginfo_t orphan = {.si_pid = 0};

		if (waitid(P_ALL, 0, &orphan, WEXITED | WNOHANG | WNOWAIT) < 0 || orphan.si_pid == 0)
			return false;
		if (orphan.si_pid == launch->child)
			child_look(launch);
		else
			waitpid(orphan.si_pid, NULL, WNOHANG);
	}
	return !launch->ended;
}

static void signals_ready(struct ev_loop *loop, struct ev_io *watcher, int events)
{
	struct launch *launch = watcher->data;
	struct signalfd_siginfo info;
	bool child = (events & EV_CUSTOM) != 0;

	while (read(launch->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			child = true;
		else if (info.ssi_code <= 0 && !launch->ended)
			kill(launch->child,
			     (int)info.ssi_signo); /* a person's; the terminal's reach it alone */
	}
	/* The rest after the others had their turn: the signal is not going to come again. */
	if (child && children_reap(launch))
		ev_feed_event(loop, watcher, EV_CUSTOM);
}

static void failures_ready(struct ev_loop *loop, struct ev_io *watcher, int events)
{
	struct gate *gate = watcher->data;
	struct launch *launch = (struct launch *)((char *)gate - offsetof(struct launch, gate));

	(void)events;
	ev_io_stop(loop, watcher);
	launch->failed = fd_read_all(watcher->fd, &launch->failure, sizeof(launch->failure)) == 0;
	/* The command runs. Its pipes must see end of file when it closes them, so ours go. */
	if (!launch->failed)
		guard_stdio(gate->null);
}

static int signals_open(struct launch *launch)
{
	static const int passed_on[] = {SIGCHLD, SIGHUP,  SIGINT,  SIGQUIT, SIGTERM,
	                                SIGUSR1, SIGUSR2, SIGTSTP, SIGCONT};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(passed_on) / sizeof(passed_on[0]); i++)
		sigaddset(&set, passed_on[i]);
	launch->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return launch->signals < 0 ? -errno : 0;
}

static ssize_t children_list(struct launch *launch, char *children, size_t room)
{
	char path[64];
	cleanup_fd int fd = -1;
	ssize_t size;

	snprintf(path, sizeof(path), "%d/task/%d/children", getpid(), getpid());
	fd = openat(launch->gate.proc, path, O_RDONLY | O_CLOEXEC);
	size = fd < 0 ? -1 : read(fd, children, room - 1);
	children[size < 0 ? 0 : size] = '\0';
	return size;
}

/* A whole group dies at once, with what it was about to fork; ours is also the caller's. */
static bool orphan_kill(pid_t pid)
{
	pid_t group = getpgid(pid);

	if (group > 1 && group != getpgrp())
		kill(-group, SIGKILL);
	kill(pid, SIGKILL);
	return waitpid(pid, NULL, WNOHANG) > 0;
}

/* Orphans of the tree come to us, the subreaper, as their parents die: round by round until none is left. False
 * when there still are some after seconds: they fork faster than they can be named. */
static bool tree_kill(struct launch *launch)
{
	enum { ROUNDS = 5000 };
	char children[4096];

	for (int round = 0; round < ROUNDS; round++) {
		ssize_t size = children_list(launch, children, sizeof(children));
		char *at = children, *end;
		bool reaped = false;

		if (size <= 0)
			return size == 0;
		for (long pid = strtol(at, &end, 10); end != at && *end != '\0'; pid = strtol(at, &end, 10)) {
			reaped |= orphan_kill((pid_t)pid);
			at = end;
		}
		if (!reaped)
			poll(NULL, 0, 1);
	}
	return false;
}

static int status_of(const struct launch *launch)
{
	if (WIFSIGNALED(launch->status))
		return 128 + WTERMSIG(launch->status);
	return WEXITSTATUS(launch->status);
}

static int launch_failed(const struct launch *launch, const struct command *command, sl_error *error)
{
	if (strcmp(launch->failure.step, "exec") == 0)
		return exec_error(launch->failure.code, command->path, error);
	error_errno(error, launch->failure.code, "%s", launch->failure.step);
	return EXIT_SLUICE;
}

/* The supervisor's side of handover.h. */
static int launch_take_over(struct launch *launch, const struct prepared *prepared, int control, int failures)
{
	struct gate *gate = &launch->gate;
	int listener, r;

	if ((r = gate_open(gate, &prepared->rules, control)) < 0 || (r = signals_open(launch)) < 0)
		return r;
	gate->probed = launch->child;
	if ((r = handover_report(control, 0)) < 0)
		return r;
	if ((listener = fd_recv(control)) < 0)
		return listener == -EPIPE ? -ECONNRESET : listener;
	gate_listen(gate, listener);
	gate_watch(gate, &launch->signals_ready, launch->signals, signals_ready);
	launch->signals_ready.data = launch;
	gate_watch(gate, &gate->control_ready, failures, failures_ready);
	if ((r = guard_lock(&prepared->guard)) < 0)
		return r;
	return handover_report(control, 0);
}

static void launch_wait(struct launch *launch)
{
	while (!launch->ended)
		if (waitpid(launch->child, &launch->status, 0) >= 0 || errno != EINTR)
			launch->ended = true;
}

static int launch_serve(struct launch *launch, const struct prepared *prepared, const struct command *command,
                        int control, int failures, sl_error *error)
{
	int r = launch_take_over(launch, prepared, control, failures);

	if (r == 0)
		gate_run(&launch->gate);
	else
		kill(launch->child, SIGKILL);
	launch_wait(launch);
	if (r == 0 && !tree_kill(launch))
		error_set(error, -EBUSY, "not all of the command's descendants could be killed");
	/* What the child says of itself is nearer to the cause than what we saw of it. */
	if (launch->failed || fd_read_all(failures, &launch->failure, sizeof(launch->failure)) == 0)
		return launch_failed(launch, command, error);
	if (r < 0) {
		error_errno(error, r, "the supervisor");
		return EXIT_SLUICE;
	}
	return status_of(launch);
}

struct channel {
	int ours, theirs;
};

static int channels_open(struct channel *control, struct channel *failures)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	*control = (struct channel){pair[0], pair[1]};
	if (pipe2(pair, O_CLOEXEC) < 0)
		return -errno;
	*failures = (struct channel){pair[0], pair[1]};
	return 0;
}

static void kept_close(const struct plan *plan)
{
	for (size_t i = 0; i < plan->keep_count; i++)
		if (plan->keep_fds[i] > 2)
			close(plan->keep_fds[i]);
}

/* All signals wait for the signalfd; and a caller that ignores SIGCHLD must not make the command's status
 * vanish. */
static int signals_hold(struct child *child)
{
	const struct sigaction by_default = {.sa_handler = SIG_DFL};
	sigset_t all;

	sigfillset(&all);
	if (sigprocmask(SIG_SETMASK, &all, &child->mask) < 0 ||
	    sigaction(SIGCHLD, &by_default, &child->on_child) < 0)
		return -errno;
	return 0;
}

static int launch_supervised(struct prepared *prepared, const struct command *command, sl_error *error)
{
	static struct launch launch;
	struct child child = {.prepared = prepared, .command = command, .supervisor = getpid()};
	struct channel control = {-1, -1}, failures = {-1, -1};
	int r;

	if (prepare_walls(prepared, getpid(), error) < 0)
		return EXIT_SLUICE;
	if ((r = channels_open(&control, &failures)) < 0 || (r = signals_hold(&child)) < 0 ||
	    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0 || (launch.child = fork()) < 0) {
		error_errno(error, r < 0 ? r : -errno, "starting the command");
		return EXIT_SLUICE;
	}
	if (launch.child == 0) {
		child.control = control.ours;
		child.failures = failures.theirs;
		close(control.theirs);
		child_main(&child);
	}
	close(control.ours);
	close(failures.theirs);
	fd_close(&prepared->ruleset);
	kept_close(&prepared->plan);
	return launch_serve(&launch, prepared, command, control.theirs, failures.ours, error);
}

/* Who starts us without stdio: the numbers must not go to what we open. exec closes these again, so that the
 * command finds its own as it would have. */
static int stdio_occupy(void)
{
	for (int fd = 0; fd < 3; fd++) {
		int null;

		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		if ((null = guard_null()) < 0)
			return null;
	}
	return 0;
}

int launch_run(const sl_policy *policy, char *const argv[], sl_error *error)
{
	struct command command;
	struct prepared prepared;
	int r;

	if ((r = stdio_occupy()) < 0) {
		error_errno(error, r, "/dev/null");
		return EXIT_SLUICE;
	}
	r = command_find(&command, argv);

	if (r < 0)
		return find_error(r, argv[0], error);
	if (prepare_plan(&prepared, policy, PLAN_LAUNCH, error) < 0)
		return EXIT_SLUICE;
	if (descriptors_settle(&prepared.plan, error) < 0)
		r = EXIT_SLUICE;
	else if (prepared.plan.supervised)
		r = launch_supervised(&prepared, &command, error);
	else
		r = launch_alone(&prepared, &command, error);
	prepare_clear(&prepared);
	return r;
}
