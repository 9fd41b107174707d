/* Kernel constants that the build machine's headers may lack, in one place; and what the running kernel
 * was found to offer. landlock(7), seccomp(2), pidfd_open(2). */
#ifndef SL_CORE_KERNEL_H
#define SL_CORE_KERNEL_H

#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (1ULL << 15)
#endif
#ifndef LANDLOCK_ACCESS_NET_BIND_TCP
#define LANDLOCK_ACCESS_NET_BIND_TCP    (1ULL << 0)
#define LANDLOCK_ACCESS_NET_CONNECT_TCP (1ULL << 1)
#endif
#ifndef LANDLOCK_SCOPE_SIGNAL
#define LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET (1ULL << 0)
#define LANDLOCK_SCOPE_SIGNAL               (1ULL << 1)
#endif
#ifndef LANDLOCK_RESTRICT_SELF_TSYNC
#define LANDLOCK_RESTRICT_SELF_TSYNC (1U << 3)
#endif

/* The structs of ABI 6; headers older than that have shorter ones. */
struct landlock_ruleset_attr_6 {
	uint64_t handled_access_fs;
	uint64_t handled_access_net;
	uint64_t scoped;
};
_Static_assert(sizeof(struct landlock_ruleset_attr_6) == 24, "landlock_create_ruleset(2), ABI 6");

enum { SL_LANDLOCK_RULE_NET_PORT = 2 };
struct landlock_net_port {
	uint64_t allowed_access;
	uint64_t port;
};
_Static_assert(sizeof(struct landlock_net_port) == 16, "landlock_add_rule(2), ABI 4");

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif
#ifndef SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS      SECCOMP_IOW(4, __u64)
#endif
_Static_assert(sizeof(struct seccomp_notif) == 80, "seccomp_unotify(2)");
_Static_assert(sizeof(struct seccomp_notif_resp) == 24, "seccomp_unotify(2)");

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL /* Linux 6.9 */
#endif

/* Asked through seccomp(2), which no kernel gives an operation of this number: bare it is EINVAL, under
 * a filter of ours SL_UNDER_FILTER or SL_UNDER_GATE. This is how a second confinement learns what it is in.
 */
enum { SL_QUERY_OPERATION = 0x534c5543 };
#define SL_UNDER_FILTER EISCONN
#define SL_UNDER_GATE   EALREADY

/* Asked through getsockname(2), which no descriptor of this number answers: bare it is EBADF. Under port-remap the
 * supervisor writes up to `args[2]` struct sl_port_mapping to `args[1]` and returns how many there are. */
enum { SL_PORTS_DESCRIPTOR = -0x534c5054 };

/* What a control group for the command can do, cgroup version 2: hold it together, and hold a limit. */
enum cgroup_use { CGROUP_TREE = 1 << 0, CGROUP_MEMORY = 1 << 1, CGROUP_CPU = 1 << 2 };

/* What this kernel gives this process; filled by kernel_probe() in confine/, from `notify` on only where a
 * supervisor is wanted. */
struct kernel {
	int landlock_abi;       /* 0: none */
	bool notify;            /* SECCOMP_RET_USER_NOTIF and its listener */
	bool foreign_listener;  /* another supervisor has this process: a second listener is EBUSY */
	bool wait_killable;     /* SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, 5.19 */
	bool sync_wake_up;      /* by release number: 6.6; the flag can only be set on a live listener */
	bool pidfd_getfd;       /* 5.6 */
	bool pidfd_thread;      /* 6.9 */
	bool io_uring;          /* a ring can be made: not switched off by sysctl or an outer filter */
	bool under_filter;      /* a filter of ours is above this process */
	bool under_gate;        /* ... and a supervisor answers its connects */
	int yama;               /* kernel.yama.ptrace_scope, 0 without Yama */
	bool ptrace_capable;    /* CAP_SYS_PTRACE in effect */
	unsigned cgroup;        /* enum cgroup_use: of the group that was made; 0: there is none */
	const char *cgroup_why; /* ... not all that was wanted; NULL or "" */
};

#define SL_ABI_MIN    3 /* linking, renaming and truncating: Linux 6.2. Files cannot be had without */
#define SL_ABI_NET    4 /* TCP ports: Linux 6.7. The supervisor judges them where they are lacking */
#define SL_ABI_IOCTL  5 /* ioctl on devices: Linux 6.10 */
#define SL_ABI_SCOPES 6 /* signals and abstract sockets: Linux 6.12 */
#define SL_ABI_TSYNC  8 /* a ruleset for all threads at once */

#endif
