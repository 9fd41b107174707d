/* keeper.h draws it. */
#include "supervise/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/fd.h"
#include "supervise/handover.h"
#include "supervise/supervise.h"

static __attribute__((noreturn)) void child_fail(const struct keeper_job *job, int code, const char *step)
{
	struct failure failure = {.code = code};

	strncpy(failure.step, step, sizeof(failure.step) - 1);
	fd_write_all(job->failures, &failure, sizeof(failure));
	_exit(EXIT_SLUICE);
}

/* Between fork and exec: what is called here is async-signal-safe. */
static __attribute__((noreturn)) void child_main(const struct keeper_job *job, pid_t keeper)
{
	struct walls walls = {&job->prepared->plan, job->prepared->ruleset, &job->prepared->filter, false};
	const char *step;
	bool confined;
	int r;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || getppid() != keeper)
		child_fail(job, -ECHILD, "the keeper");
	if ((r = child_prepare(&walls.plan->child, &step)) < 0 ||
	    (r = handover_target(job->control, &walls, job->prepared->rules.nonce, &confined, &step)) < 0 ||
	    (r = child_limit(&walls.plan->child, &step)) < 0)
		child_fail(job, r, step);
	sigaction(SIGCHLD, &job->on_child, NULL);
	sigprocmask(SIG_SETMASK, &job->mask, NULL);
	child_fail(job, command_exec(job->command), "exec");
}

static ssize_t children_list(int proc, char *children, size_t room)
{
	char path[64];
	cleanup_fd int fd = -1;
	ssize_t size;

	snprintf(path, sizeof(path), "%d/task/%d/children", getpid(), getpid());
	fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
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

bool tree_kill(int proc)
{
	enum { ROUNDS = 5000 };
	char children[4096];

	for (int round = 0; round < ROUNDS; round++) {
		ssize_t size = children_list(proc, children, sizeof(children));
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

struct keeper {
	pid_t command;
	int reports, signals, proc, null;
	bool ended;
	int status; /* of wait(2), once `ended` */
};

static void report(const struct keeper *keeper, enum keeper_event event, int value)
{
	struct keeper_report message = {.event = (int32_t)event, .value = value};

	fd_write_all(keeper->reports, &message, sizeof(message));
}

static void command_look(struct keeper *keeper)
{
	int status;

	while (!keeper->ended && waitpid(keeper->command, &status, WNOHANG | WUNTRACED) > 0) {
		if (WIFSTOPPED(status)) {
			report(keeper, KEEPER_STOPPED, WSTOPSIG(status));
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

/* Sleeps until a child has ended or stopped. False when the supervisor is gone: nobody holds the other end of the
 * pipe any more. */
static bool keeper_wait(struct keeper *keeper, bool more)
{
	struct pollfd events[2] = {{.fd = keeper->signals, .events = POLLIN}, {.fd = keeper->reports}};
	struct signalfd_siginfo info;

	while (poll(events, 2, more ? 0 : -1) < 0 && errno == EINTR)
		;
	while (read(keeper->signals, &info, sizeof(info)) == sizeof(info))
		;
	return !(events[1].revents & (POLLERR | POLLHUP | POLLNVAL));
}

static void keeper_loop(struct keeper *keeper)
{
	bool more = false;

	while (!keeper->ended && keeper_wait(keeper, more))
		more = children_reap(keeper);
}

/* With nothing in hand but what the loop needs: the command's pipes must see end of file when it closes them. */
static int keeper_settle(struct keeper *keeper, const struct keeper_job *job)
{
	sigset_t child_only;
	int keep[3];

	sigemptyset(&child_only);
	sigaddset(&child_only, SIGCHLD);
	if ((keeper->signals = signalfd(-1, &child_only, SFD_CLOEXEC | SFD_NONBLOCK)) < 0 ||
	    (keeper->proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
		return -errno;
	if ((keeper->null = guard_null()) < 0 || guard_stdio(keeper->null) < 0)
		return -EIO;
	/* Opened in this order, and `reports` before them: but a number below may have been free. */
	keep[0] = keeper->reports;
	keep[1] = keeper->signals;
	keep[2] = keeper->proc;
	guard_close_except(keep, 3);
	prctl(PR_SET_NAME, "sluice-keeper", 0, 0, 0);
	return guard_lock(&job->prepared->guard);
}

static __attribute__((noreturn)) void keeper_main(const struct keeper_job *job)
{
	struct keeper keeper = {.reports = job->reports};
	pid_t self = getpid();
	bool killed;

	for (size_t i = 0; i < sizeof(job->others) / sizeof(job->others[0]); i++)
		close(job->others[i]);
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0 || (keeper.command = fork()) < 0)
		child_fail(job, -errno, "starting the command");
	if (keeper.command == 0)
		child_main(job, self);
	report(&keeper, KEEPER_STARTED, keeper.command);
	if (keeper_settle(&keeper, job) == 0)
		keeper_loop(&keeper);
	if (!keeper.ended)
		kill(keeper.command, SIGKILL);
	while (!keeper.ended)
		command_look(&keeper);
	killed = tree_kill(keeper.proc);
	report(&keeper, killed ? KEEPER_ENDED : KEEPER_BEATEN, keeper.status);
	_exit(0);
}

pid_t keeper_start(const struct keeper_job *job)
{
	pid_t pid = fork();

	if (pid == 0)
		keeper_main(job);
	return pid < 0 ? -errno : pid;
}
