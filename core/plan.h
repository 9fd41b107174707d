/* Policy x kernel -> what the walls are made of. Pure: the same inputs give the same plan. */
#ifndef SL_CORE_PLAN_H
#define SL_CORE_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/child.h"
#include "core/kernel.h"
#include "core/net_need.h"
#include "core/policy.h"
#include "core/syscalls.h"

/* PLAN_SPAWN is PLAN_LAUNCH with a keeper in any case. */
enum plan_mode { PLAN_IN_PLACE, PLAN_LAUNCH, PLAN_SPAWN };

/* What the filter says to a call. */
enum answer_kind { ANSWER_ALLOW, ANSWER_ERRNO, ANSWER_NOTIFY };
struct answer {
	enum answer_kind kind;
	int error; /* ANSWER_ERRNO: 0 means "returns 0 and does nothing" */
};

/* One comparison of the low 32 bits of an argument. The kernel truncates int arguments to those, so a
 * comparison of 64 could be walked around by setting an upper bit (docs/filter.md). */
enum arg_compare {
	ARG_EQ,      /* (arg & mask) == value */
	ARG_NE,      /* (arg & mask) != value */
	ARG_ANY,     /* (arg & mask) != 0 */
	ARG_POINTER, /* all 64 bits: not NULL */
	ARG_IS_GATE, /* arg is the supervisor's pid, or the keeper's: filter_set_pid() */
};
struct arg_test {
	unsigned arg;
	enum arg_compare compare;
	uint32_t mask, value;
};

/* What must hold of the plan for a rule to be in it: any of the bits of arg_rule.when, or no bit at all. */
enum plan_condition {
	WHEN_UNIX = 1 << 0,           /* net-allow-unix grants something */
	WHEN_UNIX_DATAGRAMS = 1 << 1, /* ... and datagrams too */
	WHEN_UDP = 1 << 2,
	WHEN_ICMP = 1 << 3,
	WHEN_INTERFACES = 1 << 4,
	WHEN_TCP_PARTS = 1 << 6,   /* not every TCP address is allowed */
	WHEN_SENDS_ASKED = 1 << 7, /* the supervisor sends */
	WHEN_SUPERVISED = 1 << 8,  /* or kept: a process of ours is beside the program */
	WHEN_HIDING_HURTS =
		1 << 9, /* the supervisor or the keeper could not see into an undumpable process */
	WHEN_THREADS_BLUR = 1 << 10, /* a pidfd names no thread, and there is a supervisor */
	WHEN_UNDER_GATE = 1 << 11,
	WHEN_FILE_LIMIT = 1 << 12,
	WHEN_PRIVILEGED = 1 << 13, /* of the supervisor's own filter: it has capabilities */
	WHEN_NAMES = 1 << 14,      /* the supervisor answers for host names */
	WHEN_PORT_REMAP = 1 << 15,
	WHEN_UDP_TO_ASK = 1 << 16, /* UDP exists only for asking for names */
	WHEN_NAME = 1 << 17,       /* a host name of the sandbox's own */
	WHEN_NUM_CPUS = 1 << 18,   /* ... and a number of CPUs */
	WHEN_NO_HUGE_PAGES = 1 << 19,
	WHEN_NO_RANDOMIZE = 1 << 20,
	WHEN_PROCESS_LIMIT = 1 << 21,
	WHEN_MEMORY_LOOKS = 1 << 22, /* the keeper looks at what the tree uses */
	WHEN_CGROUP = 1 << 23,       /* the command is in a control group of its own */
	WHEN_GATE = 1 << 24,         /* of the supervisor's own filter: it answers calls */
};

/* Files that show something else are looked for. */
enum { WHEN_VIEWS = WHEN_NAME | WHEN_NUM_CPUS };

enum { ARG_TESTS_MAX = 3 };
struct arg_rule {
	struct arg_test tests[ARG_TESTS_MAX]; /* all must hold */
	unsigned count;
	struct answer answer;
	const char *what; /* for explain: what these arguments mean */
	unsigned when;    /* enum plan_condition, or 0: always */
};

/* First match wins, else `otherwise`. */
struct slot_plan {
	const struct arg_rule *rules;
	size_t count;
	struct answer otherwise;
	const char *why; /* for explain */
};

/* Every slot's table, without the rules whose `when` does not hold. `kept` is where the tables go that lose some;
 * slots point into it. */
enum { RULES_KEPT_MAX = 192 };
void slots_fill(struct slot_plan slots[SLOT_COUNT], unsigned conditions,
                struct arg_rule kept[static RULES_KEPT_MAX]);

/* Does the filter ever ask the supervisor about it? */
bool slot_asks(const struct slot_plan *slot);

struct path_grant {
	const char *path; /* the policy's, or constant: lives as long as the policy */
	uint64_t access;
	bool if_exists;
};

struct plan {
	enum plan_mode mode;
	bool supervised;
	const char *reason; /* what needs the supervisor; NULL without one */
	const char *kept;   /* what needs a keeper, in launch mode; NULL when nothing does but a supervisor */
	uint64_t timeout_ms; /* 0: none */
	bool die_with_parent;
	uint64_t max_memory;    /* bytes, of the whole tree; 0: no limit */
	unsigned max_processes; /* likewise */
	unsigned cpu_percent;   /* of one CPU, likewise */
	unsigned cgroup;        /* enum cgroup_use: what a control group does, and the keeper need not */
	const char *cgroup_why; /* ... not all of it: borrowed from struct kernel */
	unsigned conditions;    /* enum plan_condition */

	bool unix_continue; /* a connect of a unix socket gains nothing by being made into another: dispatch.c */

	uint64_t handled_fs, handled_net, scoped;
	struct path_grant *grants; /* malloc'd */
	size_t grant_count;
	struct port_set connect_ports, bind_ports; /* what Landlock lets through */

	struct slot_plan slots[SLOT_COUNT];
	struct arg_rule *rules; /* malloc'd: what the slots point to */
	int *denied;            /* malloc'd: numbers refused with EPERM before all else */
	size_t denied_count;

	struct child_setup child;

	bool limit_file_size;
	uint64_t max_file_size;

	const char *name;  /* of `name`: the policy's; NULL without one */
	unsigned num_cpus; /* of num-cpus, or 0 */

	int map_fd;    /* of port-map-fd, or -1 */
	int status_fd; /* of status-fd, or -1 */
	bool strict_fds;
	int *keep_fds; /* malloc'd, sorted, unique */
	size_t keep_count;
};

/* Does the keeper hold the limit itself? */
static inline bool plan_looks_at_memory(const struct plan *plan)
{
	return plan->max_memory > 0 && !(plan->cgroup & CGROUP_MEMORY);
}
static inline bool plan_looks_at_cpu(const struct plan *plan)
{
	return plan->cpu_percent > 0 && !(plan->cgroup & CGROUP_CPU);
}

/* What must be parsed by netpolicy/ before there can be a plan. Borrowed for the call, then copied. */
struct plan_net {
	const struct net_need *out;
	const struct net_binds *binds;
	struct unix_need unix_sockets;
	bool interfaces; /* net-interfaces: netlink sockets exist */
	bool port_remap;
	bool name, num_cpus; /* are given: a supervisor answers for them */
	bool process_limit;  /* max-processes: not of the network, and asks the same supervisor */
};

/* What needs a supervisor, in words; NULL when nothing does. */
const char *plan_supervision(const struct plan_net *net, const struct kernel *kernel);

/* Every error names the key or the protection. On failure *plan holds nothing. */
int plan_build(struct plan *plan, const sl_policy *policy, const struct plan_net *net,
               const struct kernel *kernel, enum plan_mode mode, sl_error *error);
void plan_clear(struct plan *plan);

/* The walls, in words; 0 or -EIO. */
int plan_print(const struct plan *plan, FILE *out);
/* Paths are bytes: a control byte must not reach the reader's terminal. */
void path_print(const char *path, FILE *out);
/* What the supervisor binds, where it is asked. */
void binds_print(const struct net_binds *binds, FILE *out);

#define FS_READ_ACCESS \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_DEVICE_ACCESS \
	(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE)

/* Drivers are spoken to by ioctl(2). */
#define FS_GPU_ACCESS                                                                                 \
	(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_DIR | \
	 LANDLOCK_ACCESS_FS_IOCTL_DEV)
#define FS_LOOK_ACCESS (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)

/* Not MAKE_CHAR and MAKE_BLOCK: a root program would make the disk's device node where it may write, and
 * open it there. */
#define FS_WRITE_ACCESS                                                                               \
	(FS_READ_ACCESS | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |             \
	 LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | \
	 LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SYM |  \
	 LANDLOCK_ACCESS_FS_REFER | LANDLOCK_ACCESS_FS_TRUNCATE | LANDLOCK_ACCESS_FS_IOCTL_DEV)

/* The rights that a rule on a file, not a directory, may carry: landlock_add_rule(2), EINVAL. */
#define FS_FILE_ACCESS                                                                               \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE | \
	 LANDLOCK_ACCESS_FS_TRUNCATE | LANDLOCK_ACCESS_FS_IOCTL_DEV)

#endif
