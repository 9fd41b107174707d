/* The kernel's floor: the least that a supervisor can do for one connect(2), or one call that sends, and not be
 * fooled. A filter of eleven instructions; poll, receive, read what the call points to, take the socket, ask whether the
 * caller is still there, act, answer. No policy, no waiting (what takes long blocks all), no answer to signals, no
 * control messages, one iovec a message: what it leaves out is what Sluice is for, and it is not safe to use.
 * seccomp_unotify(2).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "bench/bench.h"
#include "core/fd.h"
#include "core/kernel.h"

enum { PIDFDS = 256, BATCH_MAX = 256, PAYLOAD_MAX = 1 << 20 };

static struct {
	pid_t tid;
	int fd;
} pidfds[PIDFDS];

/* Kept: a socket that is sent on again and again needs no new one. */
static int pidfd_of(pid_t tid, bool anew)
{
	unsigned at = (unsigned)tid % PIDFDS;

	if (pidfds[at].tid == tid && !anew)
		return pidfds[at].fd;
	if (pidfds[at].tid != 0)
		close(pidfds[at].fd);
	pidfds[at].tid = tid;
	return pidfds[at].fd = (int)syscall(SYS_pidfd_open, tid, PIDFD_THREAD);
}

/* Of a caller that is still in this call. */
static int socket_take(int listener, const struct seccomp_notif *call)
{
	pid_t tid = (pid_t)call->pid;
	int number = (int)call->data.args[0];
	int fd = (int)syscall(SYS_pidfd_getfd, pidfd_of(tid, false), number, 0);

	if (fd < 0 && (errno == ESRCH || errno == EBADF))
		fd = (int)syscall(SYS_pidfd_getfd, pidfd_of(tid, true), number, 0);
	if (fd < 0)
		return -errno;
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &call->id) == 0)
		return fd;
	close(fd);
	return -ENOENT;
}

static ssize_t parts_read(const struct seccomp_notif *call, const struct iovec *to, const struct iovec *from,
                          size_t count)
{
	return process_vm_readv((pid_t)call->pid, to, count, from, count, 0);
}

static struct iovec span(uint64_t at, size_t size)
{
	return (struct iovec){(void *)(uintptr_t)at, size};
}

static ssize_t connect_for(int listener, const struct seccomp_notif *call)
{
	struct sockaddr_storage address;
	size_t size = call->data.args[2];
	struct iovec local = {&address, size}, remote = span(call->data.args[1], size);
	cleanup_fd int socket = -1;

	if (size > sizeof(address) || parts_read(call, &local, &remote, 1) != (ssize_t)size)
		return -EFAULT;
	if ((socket = socket_take(listener, call)) < 0)
		return socket;
	return connect(socket, (struct sockaddr *)&address, (socklen_t)size) < 0 ? -errno : 0;
}

static char payload[PAYLOAD_MAX];

static ssize_t sendto_for(int listener, const struct seccomp_notif *call)
{
	const __u64 *args = call->data.args;
	struct sockaddr_storage name;
	struct iovec local[] = {{payload, args[2]}, {&name, args[5]}};
	struct iovec remote[] = {span(args[1], args[2]), span(args[4], args[5])};
	cleanup_fd int socket = -1;
	ssize_t n;

	if (args[2] > sizeof(payload) || args[5] > sizeof(name) ||
	    parts_read(call, local, remote, 2) != (ssize_t)(args[2] + args[5]))
		return -EFAULT;
	if ((socket = socket_take(listener, call)) < 0)
		return socket;
	n = sendto(socket, payload, args[2], (int)args[3], (struct sockaddr *)&name, (socklen_t)args[5]);
	return n < 0 ? -errno : n;
}

static struct mmsghdr messages[BATCH_MAX];
static struct sockaddr_storage names[BATCH_MAX];
static struct iovec spans[BATCH_MAX], remotes[2 * BATCH_MAX], locals[2 * BATCH_MAX];

/* What `count` headers point to, which is read already: names and iovecs in one call, all payloads in another. In the
 * end the headers are ours. */
static int messages_read(const struct seccomp_notif *call, size_t count)
{
	struct iovec whole = {payload, 0};
	size_t wanted = 0;

	for (size_t i = 0; i < count; i++) {
		struct msghdr *header = &messages[i].msg_hdr;

		if (header->msg_iovlen != 1 || header->msg_namelen > sizeof(names[i]))
			return -EMSGSIZE;
		locals[2 * i] = (struct iovec){&names[i], header->msg_namelen};
		remotes[2 * i] = (struct iovec){header->msg_name, header->msg_namelen};
		locals[2 * i + 1] = (struct iovec){&spans[i], sizeof(spans[i])};
		remotes[2 * i + 1] = (struct iovec){header->msg_iov, sizeof(spans[i])};
		wanted += header->msg_namelen + sizeof(spans[i]);
	}
	if (parts_read(call, locals, remotes, 2 * count) != (ssize_t)wanted)
		return -EFAULT;
	for (size_t i = 0; i < count; i++) {
		struct msghdr *header = &messages[i].msg_hdr;

		if (spans[i].iov_len > sizeof(payload) - whole.iov_len)
			return -EMSGSIZE;
		remotes[i] = spans[i];
		spans[i].iov_base = payload + whole.iov_len;
		whole.iov_len += spans[i].iov_len;
		*header = (struct msghdr){
			.msg_iov = &spans[i], .msg_iovlen = 1, .msg_namelen = header->msg_namelen};
		header->msg_name = header->msg_namelen > 0 ? &names[i] : NULL;
	}
	return process_vm_readv((pid_t)call->pid, &whole, 1, remotes, count, 0) == (ssize_t)whole.iov_len
	               ? 0
	               : -EFAULT;
}

static ssize_t sendmsg_for(int listener, const struct seccomp_notif *call)
{
	struct iovec local = {&messages[0].msg_hdr, sizeof(messages[0].msg_hdr)};
	struct iovec remote = span(call->data.args[1], sizeof(messages[0].msg_hdr));
	cleanup_fd int socket = -1;
	ssize_t n;

	if (parts_read(call, &local, &remote, 1) != (ssize_t)local.iov_len)
		return -EFAULT;
	if ((n = messages_read(call, 1)) < 0)
		return n;
	if ((socket = socket_take(listener, call)) < 0)
		return socket;
	n = sendmsg(socket, &messages[0].msg_hdr, (int)call->data.args[2]);
	return n < 0 ? -errno : n;
}

/* The lengths, back to where the kernel would have put them. */
static int lengths_write(const struct seccomp_notif *call, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		locals[i] = (struct iovec){&messages[i].msg_len, sizeof(unsigned)};
		remotes[i] =
			span(call->data.args[1] + i * sizeof(messages[0]) + offsetof(struct mmsghdr, msg_len),
		             sizeof(unsigned));
	}
	return process_vm_writev((pid_t)call->pid, locals, count, remotes, count, 0) < 0 ? -errno : 0;
}

static ssize_t sendmmsg_for(int listener, const struct seccomp_notif *call)
{
	size_t count = call->data.args[2];
	struct iovec local = {messages, count * sizeof(messages[0])};
	struct iovec remote = span(call->data.args[1], local.iov_len);
	cleanup_fd int socket = -1;
	ssize_t n;

	if (count > BATCH_MAX)
		return -EMSGSIZE;
	if (parts_read(call, &local, &remote, 1) != (ssize_t)local.iov_len)
		return -EFAULT;
	if ((n = messages_read(call, count)) < 0)
		return n;
	if ((socket = socket_take(listener, call)) < 0)
		return socket;
	if ((n = sendmmsg(socket, messages, (unsigned)count, (int)call->data.args[3])) < 0)
		return -errno;
	return lengths_write(call, (size_t)n) < 0 ? -EFAULT : n;
}

static ssize_t call_act(int listener, const struct seccomp_notif *call)
{
	switch (call->data.nr) {
	case SYS_connect:
		return connect_for(listener, call);
	case SYS_sendto:
		return sendto_for(listener, call);
	case SYS_sendmsg:
		return sendmsg_for(listener, call);
	default:
		return sendmmsg_for(listener, call);
	}
}

static void call_answer(int listener)
{
	struct seccomp_notif call = {0};
	struct seccomp_notif_resp answer = {0};
	ssize_t n;

	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0)
		return;
	n = call_act(listener, &call);
	answer.id = call.id;
	answer.val = n < 0 ? 0 : n;
	answer.error = n < 0 ? (int)n : 0;
	ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
}

static noreturn void serve(int numbers, int ready, pid_t target)
{
	cleanup_fd int pidfd = (int)syscall(SYS_pidfd_open, target, 0);
	struct pollfd calls = {.events = POLLIN};
	int number;

	if (fd_read_all(numbers, &number, sizeof(number)) < 0)
		_exit(1);
	calls.fd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
	ioctl(calls.fd, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
	if (calls.fd < 0 || fd_write_all(ready, &number, sizeof(number)) < 0)
		_exit(1);
	for (;;) {
		if (poll(&calls, 1, -1) < 0)
			continue;
		if (!(calls.revents & POLLIN))
			_exit(0);
		call_answer(calls.fd);
	}
}

static int filter_install(void)
{
	/* sendto(2) without an address goes to a peer that was connected to: a register says so. */
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_connect, 7, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sendmsg, 6, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sendmmsg, 5, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sendto, 0, 5),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[4])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 2),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[4]) + 4),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
	                    SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
	                    &program);
}

/* The supervisor is a child of the target, as with sl_confine_self(), and ends when the target does. */
void floor_enter(void)
{
	pid_t target = getpid(), supervisor;
	int numbers[2], ready[2], listener;

	if (pipe2(numbers, O_CLOEXEC) < 0 || pipe2(ready, O_CLOEXEC) < 0 || (supervisor = fork()) < 0)
		die("floor: %s", strerror(errno));
	if (supervisor == 0) {
		close(numbers[1]);
		close(ready[0]);
		serve(numbers[0], ready[1], target);
	}
	close(numbers[0]);
	close(ready[1]);
	prctl(PR_SET_PTRACER, supervisor, 0, 0, 0); /* for kernel.yama.ptrace_scope=1 */
	if ((listener = filter_install()) < 0)
		die("floor: seccomp: %s", strerror(errno));
	if (fd_write_all(numbers[1], &listener, sizeof(listener)) < 0 ||
	    fd_read_all(ready[0], &listener, sizeof(listener)) < 0)
		die("floor: the supervisor could not take the listener");
	close(listener);
	close(numbers[1]);
	close(ready[0]);
}
