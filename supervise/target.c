/* What a call points to: the caller's descriptors and memory, reached so that neither a dead caller nor a
 * reused pid number can show us somebody else's. pidfd_open(2), pidfd_getfd(2), process_vm_readv(2).
 *
 * An id that is valid after a look proves that the caller was blocked in this very call throughout, so that
 * its number meant it and nobody else. A kept pidfd needs no proof of its own: it stays with its process, and
 * when that is gone it says ESRCH.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/fd.h"
#include "supervise/gate.h"

void target_init(struct gate *gate)
{
	for (size_t i = 0; i < PIDFDS_MAX; i++)
		gate->pidfds[i] = (struct pidfd_slot){.fd = -1};
}

int target_status(struct gate *gate, pid_t tid, char *text, size_t room)
{
	char path[32];
	cleanup_fd int fd = -1;
	size_t used = 0;
	ssize_t n;

	snprintf(path, sizeof(path), "%d/status", tid);
	fd = openat(gate->proc, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (used < room - 1 && (n = read(fd, text + used, room - 1 - used)) > 0)
		used += (size_t)n;
	text[used] = '\0';
	return used > 0 ? 0 : -ESRCH;
}

/* The number behind "\nName:\t". */
static uint64_t status_field(const char *status, const char *name, int base)
{
	const char *at = strstr(status, name);

	return at == NULL ? 0 : strtoull(at + strlen(name), NULL, base);
}

/* Before 6.9 a pidfd names a whole process; the filter refuses threads with descriptors of their own there.
 */
static int pidfd_open_thread(struct gate *gate, pid_t tid)
{
	char status[TARGET_STATUS_SIZE];
	int fd, r;

	if (gate->rules->pidfd_thread)
		fd = (int)syscall(SYS_pidfd_open, tid, PIDFD_THREAD);
	else if ((r = target_status(gate, tid, status, sizeof(status))) < 0)
		return r;
	else
		fd = (int)syscall(SYS_pidfd_open, (pid_t)status_field(status, "\nTgid:", 10), 0);
	return fd < 0 ? -errno : fd;
}

static void pidfd_forget(struct pidfd_slot *slot)
{
	fd_close(&slot->fd);
	slot->tid = 0;
}

static int pidfd_find(struct gate *gate, pid_t tid, struct pidfd_slot **found)
{
	struct pidfd_slot *slot = &gate->pidfds[(unsigned)tid % PIDFDS_MAX];
	int fd;

	*found = slot;
	if (slot->tid == tid)
		return slot->fd;
	pidfd_forget(slot);
	fd = pidfd_open_thread(gate, tid);
	if (fd >= 0)
		*slot = (struct pidfd_slot){.tid = tid, .fd = fd};
	return fd;
}

static void pidfds_forget(struct gate *gate)
{
	for (size_t i = 0; i < PIDFDS_MAX; i++)
		pidfd_forget(&gate->pidfds[i]);
}

static bool code_is_shortage(int code)
{
	return code == -EMFILE || code == -ENFILE || code == -ENOMEM;
}

int target_socket(struct gate *gate, const struct call *call, int number)
{
	int r = -ESRCH;

	/* Twice at the most: the kept pidfd may be that of a process which had this number before. A caller that has
	 * left needs no answer, and gets one that nobody takes. */
	for (int attempt = 0; attempt < 2; attempt++) {
		struct pidfd_slot *slot;
		int pidfd = pidfd_find(gate, call->tid, &slot);
		int fd = pidfd < 0 ? pidfd : (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);

		if (fd >= 0)
			return fd;
		r = pidfd < 0 ? pidfd : -errno;
		if (!code_is_shortage(r) && r != -ESRCH)
			return r;
		/* Ours may be full of pidfds of processes that have gone. */
		if (code_is_shortage(r))
			pidfds_forget(gate);
		else
			pidfd_forget(slot);
	}
	return code_is_shortage(r) ? -ENOBUFS : -EPERM;
}

int target_link(struct gate *gate, const struct call *call, const char *link)
{
	char path[32];
	cleanup_fd int fd = -1;

	snprintf(path, sizeof(path), "%d/%s", call->tid, link);
	fd = openat(gate->proc, path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT || errno == ESRCH ? -ESTALE : -errno;
	if (notify_valid(gate->listener, call->id) < 0)
		return -ESTALE;
	return fd_steal(&fd);
}

ssize_t target_peek(const struct call *call, const struct iovec *to, size_t to_count,
                    const struct iovec *from, size_t from_count)
{
	ssize_t n = process_vm_readv(call->tid, to, to_count, from, from_count, 0);

	if (n >= 0)
		return n;
	return errno == ESRCH ? -EFAULT : errno == ENOMEM ? -ENOBUFS : -errno;
}

int target_confirm(struct gate *gate, const struct call *call)
{
	return notify_valid(gate->listener, call->id) < 0 ? -ESTALE : 0;
}

int target_read(struct gate *gate, const struct call *call, uint64_t from, void *to, size_t size)
{
	struct iovec local = {.iov_base = to, .iov_len = size};
	struct iovec remote = {.iov_base = (void *)(uintptr_t)from, .iov_len = size};
	ssize_t n = size == 0 ? 0 : target_peek(call, &local, 1, &remote, 1);

	if (target_confirm(gate, call) < 0)
		return -ESTALE;
	return n < 0 ? (int)n : n == (ssize_t)size ? 0 : -EFAULT;
}

/* Its number may be another process's by the time that a long send is through, and that one's memory is not to be
 * written: asked at the last moment. */
ssize_t target_write(struct gate *gate, const struct call *call, const struct iovec *from, size_t from_count,
                     const struct iovec *to, size_t to_count)
{
	if (target_confirm(gate, call) < 0)
		return -ESTALE;
	return process_vm_writev(call->tid, from, from_count, to, to_count, 0);
}

/* To the thread itself where the pidfd names one: SIGPIPE is for who wrote. */
void target_signal(struct gate *gate, const struct call *call, int signal)
{
	struct pidfd_slot *slot;
	int pidfd = pidfd_find(gate, call->tid, &slot);

	if (pidfd >= 0)
		syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
}

/* "Uid:\treal\teffective\tsaved\tfs". */
static bool status_has_id(const char *status, const char *name, unsigned id)
{
	const char *at = strstr(status, name);
	unsigned real, effective, saved;

	return at != NULL && sscanf(at + strlen(name), "%u %u %u", &real, &effective, &saved) == 3 &&
	       (id == real || id == effective || id == saved);
}

int target_is(struct gate *gate, const struct call *call, const struct ucred *claimed)
{
	char status[TARGET_STATUS_SIZE];
	int r;

	if ((r = target_status(gate, call->tid, status, sizeof(status))) < 0 ||
	    (r = target_confirm(gate, call)) < 0)
		return r;
	return status_field(status, "\nTgid:", 10) == (uint64_t)claimed->pid &&
	                       status_has_id(status, "\nUid:", claimed->uid) &&
	                       status_has_id(status, "\nGid:", claimed->gid)
	               ? 0
	               : -EPERM;
}

bool target_is_stopped(struct gate *gate, pid_t pid)
{
	char status[TARGET_STATUS_SIZE];

	return target_status(gate, pid, status, sizeof(status)) == 0 && strstr(status, "\nState:\tT") != NULL;
}

/* A signal that waits for the whole process may be taken by any of its threads. */
int target_signals(struct gate *gate, pid_t tid, struct target_signals *signals)
{
	char status[TARGET_STATUS_SIZE];
	uint64_t own, shared, handled;
	int r = target_status(gate, tid, status, sizeof(status));

	if (r < 0)
		return r;
	handled = status_field(status, "\nSigCgt:", 16) & ~status_field(status, "\nSigBlk:", 16);
	own = status_field(status, "\nSigPnd:", 16) & handled;
	shared = status_field(status, "\nShdPnd:", 16) & handled;
	signals->pending = (own | shared) != 0;
	signals->certain = own != 0 || status_field(status, "\nThreads:", 10) == 1;
	return 0;
}
