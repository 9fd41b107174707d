/* calls.h says what for. Whoever has locked himself in may still use kill(2) and getpid(2), and no more is used. */
#include "tests/broken/calls.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct calls *calls;
enum caller call_caller;

pid_t __real_getpid(void);
int __real_kill(pid_t pid, int number);

const char *caller_name(enum caller caller)
{
	static const char *const names[] = {
#define CALLER(name) #name,
		CALLERS(CALLER)
#undef CALLER
	};

	return names[caller];
}

static void step(const char *name)
{
	int saved = errno;

	if (calls == NULL || call_caller == CALLER_NOBODY || ++calls->passed[call_caller] != calls->nth ||
	    calls->caller != call_caller || calls->struck != 0)
		return;
	strncpy(calls->name, name, sizeof(calls->name) - 1);
	calls->struck = __real_getpid();
	__real_kill(calls->struck, calls->signal);
	errno = saved;
}

/* A variadic function takes what is in the registers of arguments that it has not been given, and does not use it. */
#define CALL(type, name, parameters, arguments) \
	type __real_##name parameters;          \
	type __wrap_##name parameters;          \
	type __wrap_##name parameters           \
	{                                       \
		step(#name);                    \
		return __real_##name arguments; \
	}

CALL(int, chdir, (const char *path), (path))
CALL(int, close, (int fd), (fd))
CALL(int, connect, (int fd, const struct sockaddr *address, socklen_t size), (fd, address, size))
CALL(int, dup2, (int from, int to), (from, to))
CALL(int, epoll_create1, (int flags), (flags))
CALL(int, epoll_ctl, (int epoll, int what, int fd, struct epoll_event *event), (epoll, what, fd, event))
CALL(int, epoll_wait, (int epoll, struct epoll_event *events, int count, int timeout),
     (epoll, events, count, timeout))
CALL(int, execve, (const char *path, char *const argv[], char *const environment[]),
     (path, argv, environment))
CALL(int, fchmod, (int fd, mode_t mode), (fd, mode))
CALL(int, fcntl, (int fd, int what, long argument), (fd, what, argument))
CALL(int, fstat, (int fd, struct stat *status), (fd, status))
CALL(pid_t, getpgid, (pid_t pid), (pid))
CALL(pid_t, getpid, (void), ())
CALL(pid_t, getppid, (void), ())
CALL(int, getrlimit, (int resource, struct rlimit *limit), (resource, limit))
CALL(pid_t, getsid, (pid_t pid), (pid))
CALL(int, ioctl, (int fd, unsigned long what, long argument), (fd, what, argument))
CALL(int, kill, (pid_t pid, int number), (pid, number))
CALL(int, mkdirat, (int dir, const char *path, mode_t mode), (dir, path, mode))
CALL(void *, mmap, (void *at, size_t size, int protection, int flags, int fd, off_t offset),
     (at, size, protection, flags, fd, offset))
CALL(int, munmap, (void *at, size_t size), (at, size))
CALL(int, open, (const char *path, int flags, long mode), (path, flags, mode))
CALL(int, openat, (int dir, const char *path, int flags, long mode), (dir, path, flags, mode))
CALL(int, pipe2, (int ends[2], int flags), (ends, flags))
CALL(int, poll, (struct pollfd * fds, nfds_t count, int timeout), (fds, count, timeout))
CALL(int, prctl, (int what, long a, long b, long c, long d), (what, a, b, c, d))
CALL(int, pthread_sigmask, (int how, const sigset_t *set, sigset_t *old), (how, set, old))
CALL(ssize_t, read, (int fd, void *to, size_t size), (fd, to, size))
CALL(ssize_t, recvmsg, (int fd, struct msghdr *message, int flags), (fd, message, flags))
CALL(ssize_t, send, (int fd, const void *from, size_t size, int flags), (fd, from, size, flags))
CALL(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags))
CALL(int, setrlimit, (int resource, const struct rlimit *limit), (resource, limit))
CALL(int, sigaction, (int number, const struct sigaction *action, struct sigaction *old),
     (number, action, old))
CALL(int, signalfd, (int fd, const sigset_t *set, int flags), (fd, set, flags))
CALL(int, sigprocmask, (int how, const sigset_t *set, sigset_t *old), (how, set, old))
CALL(int, socketpair, (int family, int kind, int protocol, int ends[2]), (family, kind, protocol, ends))
CALL(int, unlinkat, (int dir, const char *path, int flags), (dir, path, flags))
CALL(int, waitid, (idtype_t what, id_t id, siginfo_t *info, int flags), (what, id, info, flags))
CALL(pid_t, waitpid, (pid_t pid, int *status, int flags), (pid, status, flags))
CALL(ssize_t, write, (int fd, const void *from, size_t size), (fd, from, size))

/* Who is cloned by whom, by the flags of clone(2). */
static enum caller child_of(enum caller parent, long flags)
{
	bool heard = (flags & 0xff) == SIGCHLD;

	if (parent == CALLER_APP)
		return flags & CLONE_PIDFD ? CALLER_STANDIN : heard ? CALLER_KEEPER : CALLER_PROBE;
	if (parent == CALLER_STANDIN && heard)
		return CALLER_KEEPER;
	if (parent == CALLER_KEEPER && heard)
		return CALLER_COMMAND;
	return parent == CALLER_COMMAND && flags & CLONE_FILES ? CALLER_HELPER : CALLER_NOBODY;
}

long __real_syscall(long number, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f);

long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	long r;

	step(number == SYS_clone ? "clone" : "syscall");
	r = __real_syscall(number, a, b, c, d, e, f);
	if (r == 0 && number == SYS_clone)
		call_caller = child_of(call_caller, a);
	return r;
}
