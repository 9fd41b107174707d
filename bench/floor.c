/* The kernel's floor: the least that a supervisor can do for one connect(2) and not be fooled. A filter of
 * four instructions; poll, receive, read the address, take the socket, ask whether the caller is still there,
 * connect, answer. No policy, no waiting (a connect that takes long blocks all), no answer to signals: what
 * it leaves out is what Sluice is for, and it is not safe to use. seccomp_unotify(2).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
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

static int pidfd_socket(pid_t tid, int number)
{
	cleanup_fd int pidfd = (int)syscall(SYS_pidfd_open, tid, PIDFD_THREAD);
	int fd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);

	return fd < 0 ? -errno : fd;
}

static int connect_for(int listener, const struct seccomp_notif *call)
{
	struct sockaddr_storage address;
	size_t size = call->data.args[2];
	struct iovec local = {&address, size}, remote = {(void *)(uintptr_t)call->data.args[1], size};
	cleanup_fd int socket = -1;

	if (size > sizeof(address) ||
	    process_vm_readv((pid_t)call->pid, &local, 1, &remote, 1, 0) != (ssize_t)size)
		return -EFAULT;
	if ((socket = pidfd_socket((pid_t)call->pid, (int)call->data.args[0])) < 0)
		return socket;
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &call->id) < 0)
		return -errno;
	return connect(socket, (struct sockaddr *)&address, (socklen_t)size) < 0 ? -errno : 0;
}

static void call_answer(int listener)
{
	struct seccomp_notif call = {0};
	struct seccomp_notif_resp answer = {0};

	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0)
		return;
	answer.id = call.id;
	answer.error = connect_for(listener, &call);
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
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_connect, 0, 1),
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
