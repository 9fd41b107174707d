/* What this kernel offers, found out by calls that must fail: the errno tells. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "confine/confine.h"
#include "core/fd.h"

static int landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	return abi < 0 ? 0 : (int)abi;
}

/* The flags are looked at before the program is: EFAULT means that they are known. seccomp(2). */
static bool filter_flags_known(unsigned long flags)
{
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, NULL) < 0 && errno == EFAULT;
}

/* A listener of somebody else's above us? The kernel tells only who asks for another one, and that is for good: so
 * a child asks. It has no exit signal, and shares nothing but what fork shares. */
static bool listener_is_foreign(void)
{
	struct sock_filter allow = {.code = BPF_RET | BPF_K, .k = SECCOMP_RET_ALLOW};
	struct sock_fprog program = {.len = 1, .filter = &allow};
	int status = 0;
	pid_t child;

	if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 0)
		return false;
	child = (pid_t)syscall(SYS_clone, 0, NULL, NULL, NULL, 0);
	if (child == 0) {
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		_exit(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
		              &program) < 0);
	}
	while (child > 0 && waitpid(child, &status, __WCLONE) < 0 && errno == EINTR)
		;
	return !(child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static bool action_available(uint32_t action)
{
	return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

static void outer_filter_probe(struct kernel *kernel)
{
	if (syscall(SYS_seccomp, SL_QUERY_OPERATION, 0, NULL) == 0)
		return;
	kernel->under_gate = errno == SL_UNDER_GATE;
	kernel->under_filter = kernel->under_gate || errno == SL_UNDER_FILTER;
}

static bool pidfd_thread_probe(void)
{
	cleanup_fd int pidfd = (int)syscall(SYS_pidfd_open, gettid(), PIDFD_THREAD);

	return pidfd >= 0;
}

static bool release_at_least(int major, int minor)
{
	struct utsname name;
	int have_major = 0, have_minor = 0;

	if (uname(&name) < 0 || sscanf(name.release, "%d.%d", &have_major, &have_minor) != 2)
		return false;
	return have_major > major || (have_major == major && have_minor >= minor);
}

static int yama_scope(void)
{
	cleanup_fd int fd = open("/proc/sys/kernel/yama/ptrace_scope", O_RDONLY | O_CLOEXEC);
	char digit = '0';

	if (fd < 0 || read(fd, &digit, 1) != 1)
		return 0;
	return digit - '0';
}

static bool capable(unsigned capability)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};

	if (syscall(SYS_capget, &header, data) < 0)
		return false;
	return data[capability / 32].effective >> (capability % 32) & 1;
}

void kernel_probe(struct kernel *kernel)
{
	*kernel = (struct kernel){.landlock_abi = landlock_abi()};
	outer_filter_probe(kernel);
}

void kernel_probe_gate(struct kernel *kernel)
{
	kernel->notify = action_available(SECCOMP_RET_USER_NOTIF);
	kernel->wait_killable =
		filter_flags_known(SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
	kernel->sync_wake_up = release_at_least(6, 6);
	kernel->pidfd_getfd = syscall(SYS_pidfd_getfd, -1, 0, 0) < 0 && errno == EBADF;
	kernel->pidfd_thread = pidfd_thread_probe();
	kernel->io_uring = syscall(SYS_io_uring_setup, 1, NULL) < 0 && errno == EFAULT;
	kernel->yama = yama_scope();
	kernel->ptrace_capable = capable(CAP_SYS_PTRACE);
	kernel->foreign_listener = !kernel->under_filter && listener_is_foreign();
}
