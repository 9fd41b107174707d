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
#include "supervise/prepare.h"
#include "supervise/session.h"
#include "supervise/supervise.h"

struct launch {
	struct session session;
	int signals;
	bool continued; /* by us, already: SIGCONT woke us, and waits in `signals` */
	struct ev_io signals_ready;
};

static int exec_error(int code, const char *path, sl_error *error)
{
	exec_failure(code, path, error);
	return start_status(code, "exec");
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
	const int ours[] = {prepared->rules.port_map, prepared->status};
	cleanup_free int *keep = calloc(plan->keep_count + 2 + CGROUP_FDS, sizeof(*keep));
	size_t count = plan->keep_count;

	if (keep == NULL)
		return -ENOMEM;
	memcpy(keep, plan->keep_fds, count * sizeof(*keep));
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (ours[i] >= 0)
			keep[count++] = ours[i];
	count += cgroup_fds(&prepared->cgroup, keep + count);
	fd_sort(keep, count);
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
		if ((r = preflight_descriptor(fd, error)) < 0 ||
		    (r = cgroup_check_descriptor(&prepared->cgroup, fd, error)) < 0)
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

static void command_signal(struct session *session, int signal)
{
	syscall(SYS_pidfd_send_signal, session->command_pidfd, signal, NULL, 0);
}

/* Asked second, the pidfd says whose number that was. */
static bool command_is_stopped(struct session *session)
{
	struct pollfd ended = {.fd = session->command_pidfd, .events = POLLIN};

	return target_is_stopped(&session->gate, session->command) && poll(&ended, 1, 0) == 0;
}

/* Whoever waits for us is to see that the terminal has stopped the command; it goes on when we are told to. A
 * SIGSTOP is between processes, and where it has gone on already the tree must not lose its supervisor. */
static void command_stopped(struct session *session, int signal)
{
	struct launch *launch = (struct launch *)((char *)session - offsetof(struct launch, session));

	if (signal == SIGSTOP || !command_is_stopped(session))
		return;
	kill(getpid(), SIGSTOP);
	launch->continued = true;
	if (command_is_stopped(session))
		command_signal(session, SIGCONT);
}

static void signals_ready(struct ev_loop *loop, struct ev_io *watcher, int events)
{
	struct launch *launch = (struct launch *)((char *)watcher - offsetof(struct launch, signals_ready));
	struct signalfd_siginfo info;

	(void)loop, (void)events;
	while (read(launch->signals, &info, sizeof(info)) == sizeof(info)) {
		bool again = info.ssi_signo == SIGCONT && launch->continued;

		launch->continued &= !again;
		if (info.ssi_code <= 0 && !again)
			command_signal(&launch->session,
			               (int)info.ssi_signo); /* a person's; the terminal's reach it alone */
	}
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

static int status_of(const struct session *session)
{
	if (WIFSIGNALED(session->status))
		return 128 + WTERMSIG(session->status);
	return WEXITSTATUS(session->status);
}

static int launch_failed(const struct session *session, const struct command *command, sl_error *error)
{
	start_failure(session->failure.code, session->failure.step, command->path, error);
	return start_status(session->failure.code, session->failure.step);
}

static int launch_serve(struct launch *launch, const struct prepared *prepared, const struct command *command,
                        const struct session_ends *ends, sl_error *error)
{
	struct session *session = &launch->session;
	int r = signals_open(launch);

	session_begin(session, prepared, ends);
	session->stopped = command_stopped;
	if (r == 0)
		r = session_take_over(session, prepared, ends);
	if (r == 0) {
		gate_watch(&session->gate, &launch->signals_ready, launch->signals, signals_ready);
		session_run(session);
	} else {
		session_abandon(session, r);
	}
	session_wait(session);
	session_tell(session, prepared->status);
	if (session->beaten)
		error_set(error, -EBUSY, "not all of the command's descendants could be killed");
	/* What the child says of itself is nearer to the cause than what we saw of it. */
	if (session->failed)
		return launch_failed(session, command, error);
	if (r < 0 || !session->ended) {
		error_errno(error, r < 0 ? r : -ECHILD, r < 0 ? "the supervisor" : "the keeper was killed");
		return EXIT_SLUICE;
	}
	/* Before its exec; behind that stderr is not ours any more, as the command's pipes must see their end. */
	if (session->reason == REASON_MEMORY)
		error_set(error, -ENOMEM, "killed: more memory in use than max-memory, %llu bytes",
		          (unsigned long long)prepared->plan.max_memory);
	return session->reason == REASON_TIMEOUT ? EXIT_TIMEOUT : status_of(session);
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

/* It may have ended between the two calls: then it is not our parent any more. */
static int parent_open(pid_t parent)
{
	int pidfd = (int)syscall(SYS_pidfd_open, parent, 0);

	if (pidfd < 0)
		return -errno;
	return getppid() == parent ? pidfd : -ESRCH;
}

static int launch_kept(struct prepared *prepared, const struct command *command, const sl_policy *policy,
                       sl_error *error)
{
	static struct launch launch;
	struct session_ends ends;
	struct keeper_job job = {.prepared = prepared, .command = command, .owner = -1, .app = -1};
	pid_t parent = getppid();
	int r;

	if (prepare_walls(prepared, getpid(), error) < 0 ||
	    (!prepared->plan.supervised && prepare_guard(prepared, error) < 0) ||
	    registry_prepare(&prepared->registry, policy, (const char *const *)command->argv, "run", error) <
	            0)
		return EXIT_SLUICE;
	if (prepared->plan.die_with_parent && (job.app = parent_open(parent)) < 0) {
		error_errno(error, job.app, "die-with-parent");
		return EXIT_SLUICE;
	}
	if ((r = session_channels(&ends, prepared->plan.supervised)) < 0 || (r = signals_hold(&job)) < 0) {
		error_errno(error, r, "starting the command");
		return EXIT_SLUICE;
	}
	job.control = ends.theirs[0];
	job.reports = ends.theirs[1];
	memcpy(job.others, ends.ours, sizeof(job.others));
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	if ((launch.session.keeper = keeper_start(&job)) < 0) {
		error_errno(error, launch.session.keeper, "starting the command");
		return EXIT_SLUICE;
	}
	fd_close(&ends.theirs[0]);
	fd_close(&ends.theirs[1]);
	if (prepared->rules.ruleset < 0)
		fd_close(&prepared->ruleset);
	kept_close(&prepared->plan);
	registry_clear(&prepared->registry);
	cgroup_let_go(&prepared->cgroup);
	return launch_serve(&launch, prepared, command, &ends, error);
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
	else if (prepared.plan.supervised || prepared.plan.kept != NULL)
		r = launch_kept(&prepared, &command, policy, error);
	else
		r = launch_alone(&prepared, &command, error);
	prepare_clear(&prepared);
	command_clear(&command);
	return r;
}
