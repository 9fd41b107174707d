/* standin.h says what for. It is the fork of an app that may have many threads: whatever runs here is
 * async-signal-safe, also where fork(3) was used for the sake of a body. */
#include "supervise/standin.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/fd.h"
#include "supervise/session.h"
#include "supervise/supervise.h"

static int lift(int *fd, int above)
{
	int lifted;

	if (*fd < 0)
		return 0;
	if ((lifted = fcntl(*fd, F_DUPFD_CLOEXEC, above)) < 0)
		return -errno;
	*fd = lifted;
	return 0;
}

/* What the supervisor has of the app's, by the numbers it finds them under: they may be the command's numbers too, which is
 * no harm, as the command never uses them as ours. The ruleset it does use. */
static int descriptors_keep(struct standin *standin, int app, struct session_ends *ends)
{
	int keep[GUARD_CLOSE_MAX], null, r;
	size_t count = prepare_fds(standin->prepared, keep);

	if ((null = guard_null()) < 0 || (r = guard_stdio(null)) < 0)
		return null < 0 ? null : r;
	keep[count++] = standin->owner;
	keep[count++] = standin->prepared->ruleset;
	if (app >= 0)
		keep[count++] = app;
	for (int i = 0; i < 2; i++) {
		if (ends->ours[i] < 0)
			continue;
		keep[count++] = ends->ours[i];
		keep[count++] = ends->theirs[i];
	}
	for (size_t i = 0; i < standin->stdio.count; i++)
		keep[count++] = standin->stdio.moves[i].source;
	return guard_close_except(keep, count);
}

/* The command's numbers may reach up to the app's own limit, and ours lie above them. */
static int limit_raise(struct standin *standin)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &standin->files) < 0)
		return -errno;
	limit = standin->files;
	limit.rlim_cur = limit.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &limit) < 0 ? -errno : 0;
}

static int descriptors_arrange(struct standin *standin, int *app, struct session_ends *ends)
{
	int above = stdio_above(&standin->stdio), r;

	if ((r = limit_raise(standin)) < 0 || (r = stdio_lift(&standin->stdio, above)) < 0 ||
	    (r = lift(&standin->owner, above)) < 0 || (r = lift(app, above)) < 0 ||
	    (r = lift(&standin->prepared->ruleset, above)) < 0)
		return r;
	for (int i = 0; i < 2; i++)
		if ((r = lift(&ends->ours[i], above)) < 0 || (r = lift(&ends->theirs[i], above)) < 0)
			return r;
	return descriptors_keep(standin, *app, ends);
}

/* pidfd_open(2) of one who may be gone already: then it is not our parent any more. */
static int app_open(const struct standin *standin, int *app)
{
	*app = -1;
	if (!standin->dies_with_app)
		return 0;
	if ((*app = (int)syscall(SYS_pidfd_open, standin->app, 0)) < 0)
		return -errno;
	return getppid() == standin->app ? 0 : -ECHILD;
}

static void keeper_job_fill(struct keeper_job *job, const struct standin *standin, int app,
                            const struct session_ends *ends)
{
	*job = (struct keeper_job){
		.prepared = standin->prepared,
		.command = standin->command,
		.stdio = &standin->stdio,
		.control = ends->theirs[0],
		.reports = ends->theirs[1],
		.owner = standin->owner,
		.app = app,
		.others = {ends->ours[0], ends->ours[1]},
		.parked = standin->parked,
		.on_child = {.sa_handler = SIG_DFL},
		.plain_signals = true,
		.files = &standin->files,
	};
	sigemptyset(&job->mask);
}

static void standin_fail(const struct standin *standin, int code, const char *step)
{
	struct keeper_report failed = {.event = KEEPER_FAILED, .failure = {.code = code}};

	strncpy(failed.failure.step, step, sizeof(failed.failure.step) - 1);
	fd_write_all(standin->owner, &failed, sizeof(failed));
}

/* As the command ended. A core file would be of us: PR_SET_DUMPABLE is off. */
static __attribute__((noreturn)) void end_as(const struct session *session)
{
	sigset_t all;

	if (session->ended && WIFSIGNALED(session->status)) {
		signal(WTERMSIG(session->status), SIG_DFL);
		sigfillset(&all);
		sigprocmask(SIG_UNBLOCK, &all, NULL);
		kill(getpid(), WTERMSIG(session->status));
	}
	_exit(session->ended ? WEXITSTATUS(session->status) : EXIT_SLUICE);
}

static void ends_close(const struct session_ends *ends)
{
	for (int i = 0; i < 2; i++)
		if (ends->theirs[i] >= 0)
			close(ends->theirs[i]);
}

static int standin_prepare(struct standin *standin, struct keeper_job *job, struct session_ends *ends,
                           const char **step)
{
	int app, r;

	*step = "the app";
	if ((r = app_open(standin, &app)) < 0)
		return r;
	*step = "descriptors";
	if ((r = session_channels(ends, standin->prepared->plan.supervised)) < 0 ||
	    (r = descriptors_arrange(standin, &app, ends)) < 0)
		return r;
	*step = "the keeper's fork";
	keeper_job_fill(job, standin, app, ends);
	return 0;
}

/* The command's pipes must see end of file when it closes them, so ours go. */
static void standin_serve(struct standin *standin, struct session *session, const struct session_ends *ends)
{
	bool supervised = ends->ours[0] >= 0;
	int r;

	for (size_t i = 0; i < standin->stdio.count; i++)
		close(standin->stdio.moves[i].source);
	session_begin(session, standin->prepared, ends);
	if (chdir("/") < 0)
		r = -errno;
	else
		r = supervised ? session_take_over(session, standin->prepared, ends)
		               : session_attend(session, standin->prepared);
	if (r < 0 && session_abandon(session, r) && !session->failed)
		standin_fail(standin, r, "the supervisor");
	close(standin->owner);
	if (r == 0 && supervised)
		session_run(session);
}

static __attribute__((noreturn)) void standin_main(struct standin *standin)
{
	static struct session session;
	struct session_ends ends;
	struct keeper_job job;
	const char *step;
	int r;

	guard_forget_signals();
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	if ((r = standin_prepare(standin, &job, &ends, &step)) < 0 ||
	    (r = session.keeper = keeper_start(&job)) < 0) {
		cgroup_remove(&standin->prepared->cgroup);
		standin_fail(standin, r, step);
		_exit(EXIT_SLUICE);
	}
	prctl(PR_SET_NAME, "sluice-gate", 0, 0, 0);
	ends_close(&ends);
	fd_close(&job.app);
	fd_close(&standin->prepared->registry.dir);
	cgroup_let_go(&standin->prepared->cgroup);
	/* The command's; a child that binds has another number of it. */
	fd_close(&standin->prepared->ruleset);
	standin_serve(standin, &session, &ends);
	session_wait(&session);
	session_tell(&session, standin->prepared->status);
	end_as(&session);
}

/* fork(3) gives no pidfd: the child waits until there is one, so that its number is still its own. */
static __attribute__((noreturn)) void standin_await(struct standin *standin, const int known[2])
{
	char byte;

	close(known[1]);
	if (fd_read_all(known[0], &byte, 1) < 0)
		_exit(EXIT_SLUICE);
	close(known[0]);
	standin_main(standin);
}

static pid_t standin_fork_whole(struct standin *standin, int *pidfd)
{
	int known[2], r = 0;
	pid_t pid;

	if (pipe2(known, O_CLOEXEC) < 0)
		return -errno;
	if ((pid = fork()) == 0)
		standin_await(standin, known);
	if (pid < 0 || (*pidfd = (int)syscall(SYS_pidfd_open, pid, 0)) < 0)
		r = -errno;
	if (r == 0)
		r = fd_write_all(known[1], "", 1);
	close(known[0]);
	close(known[1]);
	if (r < 0 && pid > 0)
		waitpid(pid, NULL, 0);
	return r < 0 ? r : pid;
}

pid_t standin_start(struct standin *standin, int *pidfd)
{
	pid_t pid;

	if (standin->command->body != NULL)
		return standin_fork_whole(standin, pidfd);
	pid = (pid_t)syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, NULL, pidfd, NULL, 0);

	if (pid == 0)
		standin_main(standin);
	return pid < 0 ? -errno : pid;
}
