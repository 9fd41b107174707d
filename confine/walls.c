/* The order of locking. Everything that can fail for want of memory, a path or a name has been done before;
 * what is left are four system calls. */
#include <errno.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "confine/confine.h"

int limit_lower(int resource, rlim_t most)
{
	struct rlimit now;

	if (getrlimit(resource, &now) < 0)
		return -errno;
	if (now.rlim_cur < most)
		most = now.rlim_cur;
	if (now.rlim_max < most)
		most = now.rlim_max;
	if (now.rlim_cur == most && now.rlim_max == most)
		return 0;
	return setrlimit(resource, &(struct rlimit){most, most}) < 0 ? -errno : 0;
}

static unsigned long listener_flags(const struct walls *walls)
{
	unsigned long flags = 0;

	/* Without WAIT_KILLABLE_RECV a signal restarts a call that the supervisor has already carried out. */
	if (walls->plan->supervised)
		flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
	/* TSYNC reports a thread that cannot follow as a positive number, which would look like a listener.
	 */
	if (walls->all_threads)
		flags |= SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH;
	return flags;
}

int walls_raise(const struct walls *walls, bool *raised, const char **step)
{
	unsigned restrict_flags = walls->all_threads ? LANDLOCK_RESTRICT_SELF_TSYNC : 0;
	int r;

	*raised = false;
	*step = "max-file-size (an outer confinement may have fixed it)";
	if (walls->plan->limit_file_size && (r = limit_lower(RLIMIT_FSIZE, walls->plan->max_file_size)) < 0)
		return r;
	*step = "no_new_privs";
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	*raised = walls->plan->limit_file_size;
	*step = "landlock_restrict_self";
	if (syscall(SYS_landlock_restrict_self, walls->ruleset, restrict_flags) < 0)
		return -errno;
	*raised = true;
	*step = "capabilities";
	if ((r = capabilities_drop()) < 0)
		return r;
	/* Last, or it would judge the calls above. */
	*step = "seccomp filter";
	return filter_load(walls->program, listener_flags(walls));
}
