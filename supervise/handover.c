/* handover.h draws it. */
#include "supervise/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
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

/* Nothing else has an answer to that. Another thread of the target may have put something there that a loop would never
 * see the end of. */
static bool is_listener(int fd)
{
	return notify_valid(fd, 0) == -ENOENT;
}

int handover_take(int control, int target)
{
	int32_t number;
	cleanup_fd int taken = -1;
	int r = fd_read_all(control, &number, sizeof(number));

	if (r < 0)
		return r == -EPIPE ? -ECONNRESET : r;
	if ((taken = (int)syscall(SYS_pidfd_getfd, target, number, 0)) < 0)
		return errno == ESRCH ? -ECONNRESET : -errno;
	return is_listener(taken) ? fd_steal(&taken) : -EBADF;
}

static int listener_give(int control, int listener, const struct plan *plan, const uint8_t *nonce,
                         const char **step)
{
	int r;

	*step = "the supervisor";
	if ((r = handover_report(control, listener)) == 0)
		r = handover_await(control);
	close(listener);
	if (r < 0)
		return r == -EPIPE ? -ECONNRESET : r;
	*step = "probe through the supervisor";
	return gate_probe(control, plan, nonce);
}

int handover_target(int control, const struct walls *walls, const uint8_t *nonce, bool *confined,
                    const char **step)
{
	int listener, r, reserved;

	*confined = false;
	*step = "the supervisor";
	if ((r = handover_await(control)) < 0)
		return r;
	/* The listener's number: without one left, the filter would fail when Landlock is up already. */
	*step = "descriptors";
	if ((reserved = fcntl(control, F_DUPFD_CLOEXEC, 0)) < 0)
		return -errno;
	close(reserved);
	listener = walls_raise(walls, confined, step);
	return listener < 0 ? listener : listener_give(control, listener, walls->plan, nonce, step);
}
