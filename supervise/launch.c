/* `sluice run`: with address rules this process is the supervisor; without, it becomes the command.
 *
 *     sluice (supervisor)                     sluice = command (confined)
 *      +- keeper
 *          +- command (confined)
 *
 * The supervisor stays in the command's process group, as a shell expects of a job, but takes no part in it: it
 * blocks what the terminal sends, passes on what people send with kill(1), stops when the terminal stops the
 * command, and ends with the command's status.
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
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/error.h"
#include "core/fd.h"
#include "supervise/command.h"
#include "supervise/handover.h"
#include "supervise/keeper.h"
#include "supervise/prepare.h"
#include "supervise/supervise.h"

struct launch {
	struct gate gate;
	pid_t keeper;
	pid_t command;
	int command_pidfd;
	int signals, reports;
	struct ev_io signals_ready, reports_ready;
	bool ended, beaten;
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

/* All but what the command is to have, and what the supervisor needs of what the caller had. */
static int descriptors_close(const struct prepared *prepared)
{
	const struct plan *plan = &prepared->plan;
	cleanup_free int *keep = calloc(plan->keep_count + 1, sizeof(*keep));
	int map = prepared->rules.port_map;
	size_t count = 0;

	if (keep == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < plan->keep_count; i++) {
		if (map >= 0 && plan->keep_fds[i] > map) {
			keep[count++] = map;
			map = -1;
		}
		keep[count++] = plan->keep_fds[i];
	}
	if (map >= 0)
		keep[count++] = map;
	return fd_close_except(keep, count);
}

/* Before anything of ours is opened, so that all that is closed is what came from outside. */
static int descriptors_settle(struct prepared *prepared, sl_error *error)
{
	const struct plan *plan = &prepared->plan;
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
	if ((r = prepare_map(prepared, error)) < 0)
		return r;
	if ((r = descriptors_close(prepared)) < 0)
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
	if ((r = child_prepare(&prepared->plan.child, &step)) < 0 ||
	    (r = walls_raise(&walls, &raised, &step)) < 0 ||
	    (r = child_limit(&prepared->plan.child, &step)) < 0) {
		error_errno(error, r, "%s", step);
		return EXIT_SLUICE;
	}
	return exec_error(command_exec(command), command->path, error);
}

static void command_signal(struct launch *launch, int signal)
{
	syscall(SYS_pidfd_send_signal, launch->command_pidfd, signal, NULL, 0);
}

/* Whoever waits for us is to see that the terminal has stopped the command; it goes on when we are told to. A
 * SIGSTOP is between processes, and where it has gone on already the tree must not lose its supervisor. */
static void command_stopped(struct launch *launch, int signal)
{
	if (signal == SIGSTOP || !target_is_stopped(&launch->gate, launch->command))
		return;
	kill(getpid(), SIGSTOP);
	command_signal(launch, SIGCONT);
}

static void report_take(struct launch *launch, const struct keeper_report *report)
{
	if (report->event == KEEPER_STOPPED)
		command_stopped(launch, report->value);
	if (report->event != KEEPER_ENDED && report->event != KEEPER_BEATEN)
		return;
	launch->ended = true;
	launch->beaten = report->event == KEEPER_BEATEN;
	launch->status = report->value;
}

/* End of file, too, ends the loop: launch_wait() finds out what has become of the keeper. */
static void reports_ready(struct ev_loop *loop, struct ev_io *watcher, int events)
{
	struct launch *launch = watcher->data;
	struct keeper_report report;
	bool there = fd_read_all(launch->reports, &report, sizeof(report)) == 0;

	(void)events;
	if (there)
		report_take(launch, &report);
	if (!there || launch->ended)
		ev_break(loop, EVBREAK_ALL);
}

static void signals_ready(struct ev_loop *loop, struct ev_io *watcher, int events)
{
	struct launch *launch = watcher->data;
	struct signalfd_siginfo info;

	(void)loop, (void)events;
	while (read(launch->signals, &info, sizeof(info)) == sizeof(info))
		if (info.ssi_code <= 0)
			command_signal(launch,
			               (int)info.ssi_signo); /* a person's; the terminal's reach it alone */
}

static void failures_ready(struct ev_loop *loop, struct ev_io *watcher, int events)
{
	struct gate *gate = watcher->data;
	struct launch *launch = (struct launch *)((char *)gate - offsetof(struct launch, gate));

	(void)loop, (void)events;
	gate_unwatch(gate, watcher);
	launch->failed = fd_read_all(watcher->fd, &launch->failure, sizeof(launch->failure)) == 0;
	/* The command runs. Its pipes must see end of file when it closes them, so ours go. */
	if (!launch->failed)
		guard_stdio(gate->null);
}

static int signals_open(struct launch *launch)
{
	static const int passed_on[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGTSTP, SIGCONT};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(passed_on) / sizeof(passed_on[0]); i++)
		sigaddset(&set, passed_on[i]);
	launch->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return launch->signals < 0 ? -errno : 0;
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
	struct keeper_report started;
	int listener, r;

	if ((r = gate_open(gate, &prepared->rules, control)) < 0 || (r = signals_open(launch)) < 0 ||
	    (r = fd_read_all(launch->reports, &started, sizeof(started))) < 0)
		return r;
	/* It cannot have been reaped: it waits for our word. */
	launch->command = gate->probed = started.value;
	if ((launch->command_pidfd = (int)syscall(SYS_pidfd_open, launch->command, 0)) < 0)
		return -errno;
	if ((r = handover_report(control, 0)) < 0)
		return r;
	if ((listener = fd_recv(control)) < 0)
		return listener == -EPIPE ? -ECONNRESET : listener;
	gate_listen(gate, listener);
	gate_watch(gate, &launch->signals_ready, launch->signals, signals_ready);
	gate_watch(gate, &launch->reports_ready, launch->reports, reports_ready);
	launch->signals_ready.data = launch->reports_ready.data = launch;
	gate_watch(gate, &gate->control_ready, failures, failures_ready);
	if ((r = guard_lock(&prepared->guard)) < 0)
		return r;
	return handover_report(control, 0);
}

/* The keeper's last word; where it was killed, its work falls to us, the next subreaper above. */
static void launch_wait(struct launch *launch)
{
	struct keeper_report report;

	while (!launch->ended && fd_read_all(launch->reports, &report, sizeof(report)) == 0)
		report_take(launch, &report);
	if (!launch->ended)
		launch->beaten = !tree_kill(launch->gate.proc);
	while (waitpid(launch->keeper, NULL, 0) < 0 && errno == EINTR)
		;
}

static int launch_serve(struct launch *launch, const struct prepared *prepared, const struct command *command,
                        int control, int failures, sl_error *error)
{
	int r = launch_take_over(launch, prepared, control, failures);

	if (r == 0)
		gate_run(&launch->gate);
	else
		kill(launch->keeper, SIGKILL); /* and with it the command: PR_SET_PDEATHSIG */
	launch_wait(launch);
	if (launch->beaten)
		error_set(error, -EBUSY, "not all of the command's descendants could be killed");
	/* What the child says of itself is nearer to the cause than what we saw of it. */
	if (launch->failed || fd_read_all(failures, &launch->failure, sizeof(launch->failure)) == 0)
		return launch_failed(launch, command, error);
	if (r < 0 || !launch->ended) {
		error_errno(error, r < 0 ? r : -ECHILD, r < 0 ? "the supervisor" : "the keeper was killed");
		return EXIT_SLUICE;
	}
	return status_of(launch);
}

struct channel {
	int ours, theirs;
};

static int pipe_open(struct channel *channel)
{
	int pair[2];

	if (pipe2(pair, O_CLOEXEC) < 0)
		return -errno;
	*channel = (struct channel){pair[0], pair[1]};
	return 0;
}

static int socket_open(struct channel *channel)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	*channel = (struct channel){pair[0], pair[1]};
	return 0;
}

static void kept_close(const struct plan *plan)
{
	for (size_t i = 0; i < plan->keep_count; i++)
		if (plan->keep_fds[i] > 2)
			close(plan->keep_fds[i]);
}

/* All signals wait for the signalfd; and a caller that ignores SIGCHLD must not make the command's status vanish. */
static int signals_hold(struct keeper_job *job)
{
	const struct sigaction by_default = {.sa_handler = SIG_DFL};
	sigset_t all;

	sigfillset(&all);
	if (sigprocmask(SIG_SETMASK, &all, &job->mask) < 0 ||
	    sigaction(SIGCHLD, &by_default, &job->on_child) < 0)
		return -errno;
	return 0;
}

static int launch_supervised(struct prepared *prepared, const struct command *command, sl_error *error)
{
	static struct launch launch;
	struct channel control = {-1, -1}, failures = {-1, -1}, reports = {-1, -1};
	struct keeper_job job = {.prepared = prepared, .command = command};
	int r;

	if (prepare_walls(prepared, getpid(), error) < 0)
		return EXIT_SLUICE;
	if ((r = socket_open(&control)) < 0 || (r = pipe_open(&failures)) < 0 ||
	    (r = pipe_open(&reports)) < 0 || (r = signals_hold(&job)) < 0) {
		error_errno(error, r, "starting the command");
		return EXIT_SLUICE;
	}
	job.control = control.theirs;
	job.failures = failures.theirs;
	job.reports = reports.theirs;
	job.others[0] = control.ours;
	job.others[1] = failures.ours;
	job.others[2] = reports.ours;
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	if ((launch.keeper = keeper_start(&job)) < 0) {
		error_errno(error, launch.keeper, "starting the command");
		return EXIT_SLUICE;
	}
	launch.reports = reports.ours;
	close(control.theirs);
	close(failures.theirs);
	close(reports.theirs);
	if (prepared->rules.ruleset < 0)
		fd_close(&prepared->ruleset);
	kept_close(&prepared->plan);
	return launch_serve(&launch, prepared, command, control.ours, failures.ours, error);
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
	r = command_find(&command, policy, argv);

	if (r < 0)
		return find_error(r, argv[0], error);
	if (prepare_plan(&prepared, policy, PLAN_LAUNCH, error) < 0)
		return EXIT_SLUICE;
	if (descriptors_settle(&prepared, error) < 0 || prepare_objects(&prepared, policy, error) < 0)
		r = EXIT_SLUICE;
	else if (prepared.plan.supervised)
		r = launch_supervised(&prepared, &command, error);
	else
		r = launch_alone(&prepared, &command, error);
	prepare_clear(&prepared);
	command_clear(&command);
	return r;
}
