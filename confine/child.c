/* What the child does to itself between fork and exec: ids, directory, mask, cores, memory, limits. All that needs
 * memory, or can fail for reasons a person can mend, has been looked at before the fork. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "confine/confine.h"
#include "core/error.h"
#include "core/fd.h"

/* ---- before the fork ---- */

static int user_settle(struct child_setup *setup)
{
	uid_t uid, effective_uid, saved_uid;
	gid_t gid, effective_gid, saved_gid;

	if (getresuid(&uid, &effective_uid, &saved_uid) < 0 ||
	    getresgid(&gid, &effective_gid, &saved_gid) < 0)
		return -errno;
	/* A saved id is one that the program could return to. */
	if (uid == setup->uid && effective_uid == setup->uid && saved_uid == setup->uid &&
	    gid == setup->gid && effective_gid == setup->gid && saved_gid == setup->gid)
		setup->user = false;
	snprintf(setup->uid_map, sizeof(setup->uid_map), "%u %u 1\n", setup->uid, effective_uid);
	snprintf(setup->gid_map, sizeof(setup->gid_map), "%u %u 1\n", setup->gid, effective_gid);
	return 0;
}

static int limits_settle(const struct child_setup *setup, sl_error *error)
{
	for (size_t i = 0; i < LIMIT_COUNT; i++) {
		const struct limit *limit = &setup->limits[i];
		struct rlimit now;

		if (!limit->wanted || limit->capped)
			continue;
		if (getrlimit(limit_rows[i].resource, &now) < 0)
			return error_errno(error, -errno, "%s %s", limit->key, limit_rows[i].name);
		if (limit->hard > now.rlim_max)
			return error_set(error, -EPERM,
			                 "%s: the hard limit of %s is %llu here, and is not raised",
			                 limit->key, limit_rows[i].name, (unsigned long long)now.rlim_max);
	}
	return 0;
}

int child_settle(struct child_setup *setup, sl_error *error)
{
	int r = setup->user ? user_settle(setup) : 0;

	return r < 0 ? error_errno(error, r, "user") : limits_settle(setup, error);
}

/* ---- in the child ---- */

static int file_write(const char *path, const char *text)
{
	cleanup_fd int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd_write_all(fd, text, strlen(text));
}

/* The new namespace comes with every capability in it: identity_prepare() gives them up at once. A supervisor reads
 * them as if they were capabilities over the machine. */
static int user_enter(const struct child_setup *setup, const char **step)
{
	int r;

	*step = "user: a new user namespace (unshare)";
	if (unshare(CLONE_NEWUSER) < 0)
		return -errno;
	/* user_namespaces(7): without it the group map could not be written; and groups may be what denies. */
	*step = "user: /proc/self/setgroups";
	if ((r = file_write("/proc/self/setgroups", "deny")) < 0)
		return r;
	*step = "user: /proc/self/uid_map";
	if ((r = file_write("/proc/self/uid_map", setup->uid_map)) < 0)
		return r;
	*step = "user: /proc/self/gid_map";
	return file_write("/proc/self/gid_map", setup->gid_map);
}

static int identity_prepare(const struct child_setup *setup, const char **step)
{
	int r;

	if (setup->user && (r = user_enter(setup, step)) < 0)
		return r;
	*step = "no-randomize-memory (capabilities of the bounding set)";
	if (setup->no_randomize && (r = capabilities_bound(setup->user)) < 0)
		return r;
	*step = "user: capabilities";
	return setup->user ? capabilities_drop_all() : 0;
}

static int memory_prepare(const struct child_setup *setup, const char **step)
{
	*step = "no-huge-pages";
	if (setup->no_huge_pages && prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) < 0)
		return -errno;
	*step = "no-randomize-memory";
	if (setup->no_randomize) {
		int now = personality(0xffffffff);

		if (now < 0 || personality((unsigned long)now | ADDR_NO_RANDOMIZE) < 0)
			return -errno;
	}
	return 0;
}

/* Real time, and deadlines; of the others who started us may have chosen one. */
static int realtime_leave(void)
{
	const struct sched_param ordinary = {.sched_priority = 0};
	int policy = sched_getscheduler(0);

	if (policy < 0)
		return -errno;
	policy &= ~SCHED_RESET_ON_FORK;
	if (policy == SCHED_OTHER || policy == SCHED_BATCH || policy == SCHED_IDLE)
		return 0;
	return sched_setscheduler(0, SCHED_OTHER, &ordinary) < 0 ? -errno : 0;
}

/* First who we are: where a directory may be entered is the program's matter. */
int child_prepare(const struct child_setup *setup, const char **step)
{
	int r;

	if ((r = identity_prepare(setup, step)) < 0)
		return r;
	*step = setup->cwd_step;
	if (setup->cwd != NULL && chdir(setup->cwd) < 0)
		return -errno;
	*step = "cpu-cores (is one of them here?)";
	if (setup->cores != NULL &&
	    syscall(SYS_sched_setaffinity, 0, sizeof(setup->core_mask), setup->core_mask) < 0)
		return -errno;
	*step = "cpu (no real-time scheduling)";
	if (setup->no_realtime && (r = realtime_leave()) < 0)
		return r;
	if ((r = memory_prepare(setup, step)) < 0)
		return r;
	if (setup->mask_wanted)
		umask(setup->mask);
	return 0;
}

static int limit_set(int resource, const struct limit *limit)
{
	struct rlimit to = {.rlim_cur = limit->soft, .rlim_max = limit->hard};

	if (limit->capped)
		return limit_lower(resource, limit->hard);
	return setrlimit(resource, &to) < 0 ? -errno : 0;
}

int child_limit(const struct child_setup *setup, const char **step)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < LIMIT_COUNT; i++) {
		if (!setup->limits[i].wanted)
			continue;
		*step = setup->limits[i].step;
		r = limit_set(limit_rows[i].resource, &setup->limits[i]);
	}
	return r;
}
