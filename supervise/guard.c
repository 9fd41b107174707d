/* The supervisor's own walls: what a fault in it could still do is what this file leaves it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "confine/confine.h"
#include "core/fd.h"
#include "supervise/gate.h"
#include "supervise/identity.h"

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

static const struct arg_rule open_rules[] = {
	{READ_ONLY, 1, ALLOWED, "read only: /proc/PID/status, own fdinfo"}};
static const struct arg_rule ioctl_rules[] = {{{{1, ARG_EQ, 0xff00, '!' << 8}}, 1, ALLOWED, "the listener"}};
static const struct arg_rule fcntl_rules[] = {{{{1, ARG_EQ, UINT32_MAX, F_GETFL}}, 1, ALLOWED, "flags"},
                                              {{{1, ARG_EQ, UINT32_MAX, F_ADD_SEALS}}, 1, ALLOWED, "a view"}};

/* A child that binds: bind_child.c. No exit signal, no new namespace, and memory of its own. */
static const struct arg_rule clone_rules[] = {
	{{{0, ARG_EQ, UINT32_MAX, CLONE_PIDFD | CLONE_FILES}}, 1, ALLOWED, "a copy of the supervisor"}};
/* A group of the kernel's is removed by who is there last. */
static const struct arg_rule unlinkat_rules[] = {
	{{{2, ARG_EQ, UINT32_MAX, AT_REMOVEDIR}}, 1, ALLOWED, "an empty directory"}};
static const struct arg_rule prctl_rules[] = {
	{{{0, ARG_EQ, UINT32_MAX, PR_CAP_AMBIENT}, {1, ARG_EQ, UINT32_MAX, PR_CAP_AMBIENT_CLEAR_ALL}},
         2,
         ALLOWED,
         "none of them"},
	{{{0, ARG_EQ, UINT32_MAX, PR_SET_PDEATHSIG}}, 1, ALLOWED, "die with the supervisor"},
	{{{0, ARG_EQ, UINT32_MAX, PR_SET_DUMPABLE}, {1, ARG_EQ, UINT32_MAX, 0}},
         2,
         ALLOWED,
         "not traceable"}};
static const struct arg_rule madvise_rules[] = {
	{{{2, ARG_EQ, UINT32_MAX, MADV_DONTNEED}}, 1, ALLOWED, "give back"}};

/* To ask whether a port is free: remap.c. */
#define FAMILY(family)                                                   \
	{                                                                \
		{{0, ARG_EQ, UINT32_MAX, family}}, 1, ALLOWED, "a probe" \
	}
static const struct arg_rule socket_rules[] = {FAMILY(AF_INET), FAMILY(AF_INET6)};
static const struct arg_rule setsockopt_rules[] = {
	{{{1, ARG_EQ, UINT32_MAX, SOL_SOCKET}, {2, ARG_EQ, UINT32_MAX, SO_REUSEADDR}},
         2,
         ALLOWED,
         "a probe's"},
	{{{1, ARG_EQ, UINT32_MAX, IPPROTO_IPV6}, {2, ARG_EQ, UINT32_MAX, IPV6_V6ONLY}},
         2,
         ALLOWED,
         "a probe's"},
};
static const struct arg_rule sendto_rules[] = {
	{{{3, ARG_EQ, UINT32_MAX, MSG_DONTWAIT | MSG_NOSIGNAL}}, 1, ALLOWED, "answers and questions"}};
static const struct arg_rule recvfrom_rules[] = {
	{{{3, ARG_EQ, UINT32_MAX, MSG_DONTWAIT}}, 1, ALLOWED, "questions and answers"}};

static const struct filter_allow rows[] = {
	/* Of each call that is answered. */
	{SYS_ioctl, ioctl_rules, 1, WHEN_GATE},
	{SYS_poll, NULL, 0},
	{SYS_pidfd_getfd, NULL, 0, WHEN_GATE},
	{SYS_process_vm_readv, NULL, 0, WHEN_GATE},
	{SYS_getsockopt, NULL, 0, WHEN_GATE},
	{SYS_sendmsg, NULL, 0, WHEN_SENDS_ASKED},
	{SYS_close, NULL, 0},
	{SYS_fcntl, fcntl_rules, 2, WHEN_NUM_CPUS}, /* the first row that holds ends in its own answer */
	{SYS_fcntl, fcntl_rules, 1, WHEN_GATE},
	{SYS_connect, NULL, 0, WHEN_GATE},
	{SYS_epoll_wait, NULL, 0},
	{SYS_epoll_pwait, NULL, 0},
	{SYS_epoll_ctl, NULL, 0},
	{SYS_process_vm_writev, NULL, 0,
         WHEN_SENDS_ASKED | WHEN_PORT_REMAP | WHEN_VIEWS}, /* lengths of sendmmsg(2), addresses, views */
	{SYS_pidfd_open, NULL, 0},
	{SYS_sendmmsg, NULL, 0, WHEN_SENDS_ASKED},
	/* The policy DNS. Nothing but what never waits. */
	{SYS_sendto, sendto_rules, 1, WHEN_NAMES},
	{SYS_recvfrom, recvfrom_rules, 1, WHEN_NAMES},
	{SYS_getrandom, NULL, 0, WHEN_NAMES},
	{SYS_listen, NULL, 0, WHEN_GATE},
	{SYS_bind, NULL, 0, WHEN_GATE},
	{SYS_shutdown, NULL, 0, WHEN_GATE},
	{SYS_getsockname, NULL, 0, WHEN_GATE},
	{SYS_getpeername, NULL, 0, WHEN_PORT_REMAP},
	{SYS_accept4, NULL, 0, WHEN_PORT_REMAP},
	{SYS_epoll_create1, NULL, 0, WHEN_PORT_REMAP},
	{SYS_socket, socket_rules, 2, WHEN_PORT_REMAP},
	{SYS_setsockopt, setsockopt_rules, 2, WHEN_PORT_REMAP},
	{SYS_io_uring_enter, NULL, 0, WHEN_GATE},
	{SYS_setitimer, NULL, 0, WHEN_GATE},
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
	{SYS_madvise, madvise_rules, 1, WHEN_SENDS_ASKED},
	/* Naming a privileged target in SCM_CREDENTIALS; what is not permitted already cannot be gained. */
	{SYS_capget, NULL, 0, WHEN_SENDS_ASKED},
	{SYS_capset, NULL, 0, WHEN_SENDS_ASKED | WHEN_PRIVILEGED},
	{SYS_prctl, prctl_rules, 3, WHEN_SENDS_ASKED | WHEN_PRIVILEGED | WHEN_UNIX},
	{SYS_exit, NULL, 0},
	{SYS_exit_group, NULL, 0},
	/* A parent's work; without children these find nobody but the target, whose pid is no secret. */
	{SYS_wait4, NULL, 0},
	{SYS_waitid, NULL, 0},
	{SYS_kill, NULL, 0},
	{SYS_tgkill, NULL, 0},
	{SYS_pidfd_send_signal, NULL, 0},
	{SYS_getppid, NULL, 0},
	{SYS_getpgid, NULL, 0},
	{SYS_getpgrp, NULL, 0},
	{SYS_getsid, NULL, 0},
	{SYS_getdents64, NULL, 0},
	/* To end as the command ended, by a signal. */
	{SYS_rt_sigaction, NULL, 0},
	{SYS_rt_sigprocmask, NULL, 0},
	/* Following a path: what an O_PATH descriptor is, and what a symbolic link says. They read, and change nothing. */
	{SYS_statx, NULL, 0, WHEN_UNIX | WHEN_VIEWS | WHEN_MEMORY_LOOKS},
	{SYS_readlinkat, NULL, 0, WHEN_UNIX | WHEN_VIEWS | WHEN_MEMORY_LOOKS},
	{SYS_fstatfs, NULL, 0, WHEN_UNIX | WHEN_VIEWS | WHEN_MEMORY_LOOKS},
	{SYS_faccessat2, NULL, 0, WHEN_VIEWS},
	{SYS_unlinkat, unlinkat_rules, 1, WHEN_CGROUP},
	/* The target's mask; and /proc/stat as it is now, in a file of its own. */
	{SYS_sched_getaffinity, NULL, 0, WHEN_NUM_CPUS},
	{SYS_memfd_create, NULL, 0, WHEN_NUM_CPUS},
	/* Have two processes the same memory, two threads the same descriptors? */
	{SYS_kcmp, NULL, 0, WHEN_MEMORY_LOOKS},
	/* The child that binds: it becomes like the target. Of these only the first could be used to gain something, and
	 * it gains a copy behind the same filter. */
	{SYS_clone, clone_rules, 1, WHEN_UNIX},
	{SYS_umask, NULL, 0, WHEN_UNIX},
	{SYS_fchdir, NULL, 0, WHEN_UNIX},
	{SYS_landlock_restrict_self, NULL, 0, WHEN_UNIX},
#ifdef __SANITIZE_ADDRESS__
	{SYS_sigaltstack, NULL, 0}, /* what it puts before each _exit(2) asks, and dies of a no */
	{SYS_mmap, NULL, 0}, /* what it keeps of freed memory has to lie somewhere, and it dies of a no */
#endif
	/* To be the target for the length of a call (identity.c). They lead to what the permitted set holds, which
	 * ptrace(2) wants to hold all that the target's does. */
	{SYS_setgroups, NULL, 0, WHEN_PRIVILEGED},
	{SYS_setresgid, NULL, 0, WHEN_PRIVILEGED},
	{SYS_setresuid, NULL, 0, WHEN_PRIVILEGED},
	{SYS_setfsgid, NULL, 0, WHEN_PRIVILEGED},
	{SYS_setfsuid, NULL, 0, WHEN_PRIVILEGED},
};

int guard_assemble(struct filter_program *program, unsigned conditions)
{
	return filter_assemble_allow(program, rows, sizeof(rows) / sizeof(rows[0]), conditions);
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
void guard_forget_signals(void)
{
	struct sigaction action = {.sa_handler = SIG_DFL};

	for (int number = 1; number < _NSIG; number++)
		sigaction(number, &action, NULL);
}

int guard_close_except(const int *keep, size_t count)
{
	int all[GUARD_CLOSE_MAX + 3] = {0, 1, 2};

	if (count > GUARD_CLOSE_MAX)
		return -EINVAL;
	memcpy(all + 3, keep, count * sizeof(*keep));
	fd_sort(all, count + 3);
	return fd_close_except(all, count + 3);
}

/* Away from the program's terminal, session, directory and descriptors. */
int guard_detach(const int *keep, size_t count)
{
	int null, r;

	guard_forget_signals();
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
	if ((r = capabilities_suspend(GATE_CAPABILITIES)) < 0 || (r = identity_init()) < 0)
		return r;
	return filter_load(program, 0);
}
