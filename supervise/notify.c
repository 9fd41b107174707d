/* The listener's ioctls, and nothing else: seccomp_unotify(2). */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>

#include "supervise/gate.h"

/* RECV without a notification blocks, whatever O_NONBLOCK says; on older kernels also after the last confined
 * process has gone. So poll first. POLLERR is no end: the kernel says it when a signal of ours, such as the guard's tick
 * (connect.c), came while it waited for the listener's lock. */
int notify_ready(int listener, int others)
{
	struct pollfd ready[2] = {{.fd = listener, .events = POLLIN}, {.fd = others, .events = POLLIN}};

	if (poll(ready, 2, others < 0 ? 0 : -1) < 0)
		return errno == EINTR ? 0 : -errno;
	if (ready[0].revents & POLLIN)
		return 1;
	return ready[0].revents & (POLLHUP | POLLNVAL) ? -EPIPE : 0;
}

int notify_recv(int listener, struct call *call)
{
	struct seccomp_notif notification;

	memset(&notification, 0, sizeof(notification));
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &notification) < 0)
		return -errno;
	*call = (struct call){
		.id = notification.id,
		.tid = (pid_t)notification.pid,
		.number = notification.data.nr,
	};
	for (size_t i = 0; i < 6; i++)
		call->args[i] = notification.data.args[i];
	return 0;
}

/* The guard's ticks (connect.c) interrupt these two before they have done anything, and an answer must not get
 * lost. */
static int notify_ioctl(int listener, unsigned long request, void *argument)
{
	int r;

	while ((r = ioctl(listener, request, argument)) < 0 && errno == EINTR)
		;
	return r < 0 ? -errno : 0;
}

int notify_valid(int listener, uint64_t id)
{
	return notify_ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id);
}

/* The descriptor and the answer in one: who has left meanwhile gets neither. This waits for the caller to take it, and
 * must not be interrupted there: the kernel takes the descriptor back then, and not the answer, so that the caller is
 * told of descriptor 0 (seccomp_notify_addfd()). */
static int notify_give(int listener, uint64_t id, struct verdict verdict)
{
	struct seccomp_notif_addfd give = {
		.id = id,
		.flags = SECCOMP_ADDFD_FLAG_SEND,
		.srcfd = (uint32_t)verdict.value,
		.newfd_flags = (uint32_t)verdict.flags,
	};

	guard_rest();
	return notify_ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &give);
}

int notify_send(int listener, uint64_t id, struct verdict verdict)
{
	struct seccomp_notif_resp response = {.id = id};

	switch (verdict.kind) {
	case VERDICT_VALUE:
		response.val = verdict.value;
		break;
	case VERDICT_CONTINUE:
		response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
		break;
	case VERDICT_ERRNO:
		response.error = (int32_t)verdict.value;
		break;
	case VERDICT_FD:
		return notify_give(listener, id, verdict);
	case VERDICT_LATER:
		return 0;
	}
	return notify_ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

/* The answer wakes the caller on this CPU at once: 5 us a round trip where it was 46. */
void notify_wake_sync(int listener)
{
	ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
}
