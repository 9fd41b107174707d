/* The supervisor's own walls: what a fault in it could still do is what this file leaves it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "confine/confine.h"
#include "core/fd.h"
#include "supervise/gate.h"

#define READ_ONLY                                                                                       \
	{                                                                                               \
		{                                                                                       \
			2, ARG_EQ, O_ACCMODE | O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY), O_RDONLY \
		}                                                                                       \
	}
#define ALLOWED                 \
	{                       \
		ANSWER_ALLOW, 0 \
	}

static const struct arg_rule open_rules[] = {{READ_ONLY, 1, ALLOWED, "read only: /proc/PID/status"}};
static const struct arg_rule ioctl_rules[] = {{{{1, ARG_EQ, 0xff00, '!' << 8}}, 1, ALLOWED, "the listener"}};
static const struct arg_rule fcntl_rules[] = {{{{1, ARG_EQ, UINT32_MAX, F_GETFL}}, 1, ALLOWED, "flags"}};

static const struct filter_allow rows[] = {
	{SYS_epoll_wait, NULL, 0},
	{SYS_epoll_pwait, NULL, 0},
	{SYS_epoll_ctl, NULL, 0},
	{SYS_poll, NULL, 0},
	{SYS_ioctl, ioctl_rules, 1},
	{SYS_process_vm_readv, NULL, 0},
	{SYS_pidfd_getfd, NULL, 0},
	{SYS_pidfd_open, NULL, 0},
	{SYS_connect, NULL, 0},
	{SYS_listen, NULL, 0},
	{SYS_bind, NULL, 0},
	{SYS_shutdown, NULL, 0},
	{SYS_getsockname, NULL, 0},
	{SYS_io_uring_enter, NULL, 0},
	{SYS_getsockopt, NULL, 0},
	{SYS_fcntl, fcntl_rules, 1},
	{SYS_setitimer, NULL, 0},
	{SYS_close, NULL, 0},
	{SYS_dup2, NULL, 0},
	{SYS_read, NULL, 0},
	{SYS_write, NULL, 0},
	{SYS_openat, open_rules, 1},
	{SYS_clock_gettime, NULL, 0},
	{SYS_gettimeofday, NULL, 0},
	{SYS_rt_sigreturn, NULL, 0},
	{SYS_restart_syscall, NULL, 0},
	{SYS_getpid, NULL, 0},
	{SYS_munmap, NULL, 0},
	{SYS_exit, NULL, 0},
	{SYS_exit_group, NULL, 0},
	/* A parent's work; without children these find nobody but the target, whose pid is no secret. */
	{SYS_wait4, NULL, 0},
	{SYS_waitid, NULL, 0},
	{SYS_kill, NULL, 0},
	{SYS_pidfd_send_signal, NULL, 0},
	{SYS_getpgid, NULL, 0},
	{SYS_getpgrp, NULL, 0},
};

int guard_assemble(struct filter_program *program)
{
	return filter_assemble_allow(program, rows, sizeof(rows) / sizeof(rows[0]));
}

int guard_null(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	/* Any harmless descriptor will do: the numbers must be taken, or a socket of the target gets one. */
	if (null < 0)
		null = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return null < 0 ? -errno : null;
}

int guard_stdio(int null)
{
	for (int fd = 0; fd < 3; fd++)
		if (null != fd && dup2(null, fd) < 0)
			return -errno;
	return 0;
}

/* The program's handlers are not to run in here. What is blocked stays blocked: the mask was filled before
 * the fork, and only SIGALRM is opened again. */
static void signals_forget(void)
{
	struct sigaction action = {.sa_handler = SIG_DFL};

	for (int number = 1; number < _NSIG; number++)
		sigaction(number, &action, NULL);
}

static int number_compare(const void *left, const void *right)
{
	const int *a = left, *b = right;

	return (*a > *b) - (*a < *b);
}

int guard_close_except(const int *keep, size_t count)
{
	int all[8] = {0, 1, 2};

	if (count > 5)
		return -EINVAL;
	memcpy(all + 3, keep, count * sizeof(*keep));
	qsort(all, count + 3, sizeof(*all), number_compare);
	return fd_close_except(all, count + 3);
}

/* Away from the program's terminal, session, directory and descriptors. */
int guard_detach(const int *keep, size_t count)
{
	int null, r;

	signals_forget();
	setsid();
	prctl(PR_SET_NAME, "sluice-gate", 0, 0, 0);
	if (chdir("/") < 0)
		return -errno;
	if ((null = guard_null()) < 0 || (r = guard_stdio(null)) < 0)
		return null < 0 ? null : r;
	return guard_close_except(keep, count);
}

/* Each waiting call holds a socket. */
int guard_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	return limit.rlim_max < DESCRIPTORS_LEAST ? -EMFILE : 0;
}

int guard_lock(const struct filter_program *program)
{
	int r;

	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	/* Reaching another uid's process, after the target has changed its own, needs SYS_PTRACE; ending it
	 * KILL. Nothing that is done on a target's behalf asks for a capability. */
	if ((r = capabilities_suspend(1ull << CAP_SYS_PTRACE | 1ull << CAP_KILL)) < 0)
		return r;
	return filter_load(program, 0);
}
