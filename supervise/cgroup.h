/* A control group for one sandbox: cgroups(7), version 2. Used where one is given to us; else the keeper looks after the
 * limits itself.
 *
 *     base               delegated to us, or named by the policy: what is in it is ours to divide, and no process is in it
 *      +- sluice-PID-N   the command and all below it. Supervisor and keeper stay where they were
 *
 * The command cannot leave it: its filter refuses clone3(2), and with it CLONE_INTO_CGROUP; and a policy that lets it write
 * to the file system of the groups gets none.
 */
#ifndef SL_SUPERVISE_CGROUP_H
#define SL_SUPERVISE_CGROUP_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "core/kernel.h"
#include "core/policy.h"
#include "supervise/mounts.h"

enum {
	CGROUP_FDS = 5,
	CGROUP2_MAGIC = 0x63677270, /* statfs(2) */
};
#define CGROUP2_TYPE "cgroup2"

struct cgroup {
	unsigned limits; /* CGROUP_MEMORY, CGROUP_CPU: it can hold these */
	bool made;       /* it is there */
	bool owned;      /* by this process, which removes it when it is cleared */
	char why[192];   /* there is none, or not with all that was wanted: in words, for explain */
	char base[PATH_MAX], name[48];
	/* From cgroup_open() on; -1: it is not there. */
	int parent, dir; /* of base; of the group, with a lock that says it is in use: flock(2) */
	int procs, kill, freeze;
};

#define CGROUP_NONE                                                            \
	{                                                                      \
		.parent = -1, .dir = -1, .procs = -1, .kill = -1, .freeze = -1 \
	}

/* ---- before the plan: cgroup_find.c ---- */

/* Make a group that can hold the policy's max-memory and cpu, or for its own sake where `cgroup` names a directory. It leaves no
 * descriptor open. Where `cgroup` is not given or "auto" it is no error that there can be none. */
int cgroup_make(struct cgroup *cgroup, const sl_policy *policy, sl_error *error);

/* Of /proc/self/cgroup, the path in the hierarchy of version 2. -ENOENT; -ENAMETOOLONG. */
int cgroup_own(const char *text, char *path, size_t room);
/* The directory of the group `own`, where a hierarchy of version 2 is mounted. -ENOENT: this mount does not show it. */
int cgroup_directory(const struct mount *mount, const char *own, char *path, size_t room);

/* ---- what the command could write to: cgroup_grants.c ---- */

/* Is there one among what is granted for writing, above or below a mount of version 2? 1, and which; or what could not be
 * looked at, which then is *found. */
int cgroup_grants_check(const struct value_list *paths, const char **found);
/* What the command is given open. 0 where there is no group. */
int cgroup_check_descriptor(const struct cgroup *cgroup, int fd, sl_error *error);

/* ---- its life ---- */

/* Open what the keeper needs of it, and write the limits. */
int cgroup_open(struct cgroup *cgroup, unsigned long long max_memory, unsigned cpu_percent, sl_error *error);
/* How many; at most CGROUP_FDS. */
size_t cgroup_fds(const struct cgroup *cgroup, int *fds);
/* Another process looks after it: keep what it takes to kill and to remove it, should that process be killed. */
void cgroup_let_go(struct cgroup *cgroup);
/* Close them, and remove the group if it is ours. */
void cgroup_clear(struct cgroup *cgroup);

/* A setting of the group or base that `directory` is. Async-signal-safe. -errno. */
int cgroup_write(int directory, const char *file, const char *value);

/* All that follows is async-signal-safe, and does nothing where there is no group: 0. */

/* This process goes into it. */
int cgroup_enter(const struct cgroup *cgroup);
/* Nothing in it is to go on; a moment later nothing does. */
int cgroup_freeze(const struct cgroup *cgroup);
bool cgroup_is_frozen(const struct cgroup *cgroup);
int cgroup_thaw(const struct cgroup *cgroup);
/* Whatever is in it, at once. False: there is no group, or its kernel is older than 5.14. */
bool cgroup_kill(const struct cgroup *cgroup);
/* Something in it was killed for want of memory. */
bool cgroup_was_out_of_memory(const struct cgroup *cgroup);
/* When all of it is dead; waits a moment for that. */
void cgroup_remove(const struct cgroup *cgroup);

/* Is the process's group at rest? For sluice ps. */
bool cgroup_of_is_frozen(pid_t pid);

#endif
