/* handover.h draws it. */
#include "supervise/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/fd.h"
#include "supervise/gate.h"

enum { AWAIT_MS = 10000 };

int handover_report(int control, int status)
{
	int32_t message = status;

	return fd_write_all(control, &message, sizeof(message));
}

int handover_await(int control)
{
	struct pollfd ready = {.fd = control, .events = POLLIN};
	int32_t message;
	int r;

	while ((r = poll(&ready, 1, AWAIT_MS)) < 0 && errno == EINTR)
		;
	if (r <= 0)
		return r == 0 ? -ETIMEDOUT : -errno;
	r = fd_read_all(control, &message, sizeof(message));
	if (r == -EPIPE)
		return -ECONNRESET;
	return r < 0 ? r : message;
}

/* A fork that shares the descriptor table, so that it sees the number which does not exist yet. No exit
 * signal: it is not to be the program's business. */
static pid_t helper_clone(void)
{
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_FILES, NULL, NULL, NULL, 0);

	return pid < 0 ? -errno : pid;
}

/* The helper must not outlive the target, and neither end of file nor PR_SET_PDEATHSIG tells it: the shared table
 * keeps the other end of the pipe open, and the signal would come from a Landlock domain that may not signal out. */
static bool number_awaited(int numbers, int target)
{
	struct pollfd events[2] = {{.fd = numbers, .events = POLLIN}, {.fd = target, .events = POLLIN}};

	while (poll(events, 2, -1) < 0 && errno == EINTR)
		;
	return events[0].revents & POLLIN;
}

static __attribute__((noreturn)) void helper_main(int numbers, int control, int target)
{
	int listener = -1;

	if (!number_awaited(numbers, target) || fd_read_all(numbers, &listener, sizeof(listener)) < 0 ||
	    listener < 0)
		_exit(1);
	_exit(fd_send(control, listener) < 0 ? 1 : 0);
}

static int helper_reap(pid_t helper)
{
	int status;

	while (waitpid(helper, &status, __WCLONE) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -ECONNRESET;
}

/* By a call that this plan asks about, whose first two arguments can be a descriptor and a pointer: connect(2), or where
 * all connects are free, bind(2), or where those are too, openat(2), or fork(2), which is answered and not carried out. */
static int gate_probe(int control, const struct plan *plan, const uint8_t *nonce)
{
	static const struct {
		enum slot slot;
		long number;
	} asked[] = {{SLOT_CONNECT, SYS_connect}, {SLOT_BIND, SYS_bind}, {SLOT_OPENAT, SYS_openat}};
	long number = SYS_fork, r;

	for (size_t i = sizeof(asked) / sizeof(asked[0]); i > 0; i--)
		if (slot_asks(&plan->slots[asked[i - 1].slot]))
			number = asked[i - 1].number;
	r = syscall(number, control, nonce, number == SYS_openat ? O_RDONLY | O_CLOEXEC : NONCE_SIZE, 0);
	return r < 0 ? -errno : 0;
}

static int listener_give(int control, int listener, int numbers, pid_t helper, const struct plan *plan,
                         const uint8_t *nonce, const char **step)
{
	int r, sent = fd_write_all(numbers, &listener, sizeof(listener));

	*step = "handing the listener over";
	r = helper_reap(helper);
	close(listener);
	if (sent < 0 || r < 0)
		return sent < 0 ? sent : r;
	*step = "the supervisor";
	if ((r = handover_await(control)) < 0)
		return r;
	*step = "probe through the supervisor";
	return gate_probe(control, plan, nonce);
}

int handover_target(int control, const struct walls *walls, const uint8_t *nonce, bool *confined,
                    const char **step)
{
	cleanup_fd int numbers_out = -1, numbers_in = -1, reserved = -1, self = -1;
	pid_t helper;
	int listener, r, numbers[2];

	*confined = false;
	*step = "the supervisor";
	if ((r = handover_await(control)) < 0)
		return r;
	*step = "pipe";
	if (pipe2(numbers, O_CLOEXEC) < 0)
		return -errno;
	numbers_out = numbers[0];
	numbers_in = numbers[1];
	/* The listener's number: without one left, the filter would fail when Landlock is up already. */
	if ((reserved = fcntl(numbers_out, F_DUPFD_CLOEXEC, 0)) < 0)
		return -errno;
	*step = "pidfd_open";
	if ((self = (int)syscall(SYS_pidfd_open, getpid(), 0)) < 0)
		return -errno;
	*step = "clone";
	if ((helper = helper_clone()) == 0)
		helper_main(numbers_out, control, self);
	if (helper < 0)
		return helper;
	fd_close(&reserved);
	listener = walls_raise(walls, confined, step);
	if (listener < 0) {
		fd_write_all(numbers_in, &listener, sizeof(listener));
		helper_reap(helper);
		return listener;
	}
	return listener_give(control, listener, numbers_in, helper, walls->plan, nonce, step);
}
