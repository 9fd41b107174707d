/* The order of locking. Everything that can fail for want of memory, a path or a name has been done before;
 * what is left are four system calls. */
#include <errno.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "confine/confine.h"

static int limits_apply(const struct plan *plan)
{
	struct rlimit limit = {.rlim_cur = plan->max_file_size, .rlim_max = plan->max_file_size};
	struct rlimit now;

	if (!plan->limit_file_size)
		return 0;
	if (getrlimit(RLIMIT_FSIZE, &now) < 0)
		return -errno;
	/* Never up: the limit that is there may be somebody else's wall. */
	if (now.rlim_max < limit.rlim_max)
		limit.rlim_max = now.rlim_max;
	if (now.rlim_cur < limit.rlim_cur)
		limit.rlim_cur = now.rlim_cur;
	if (now.rlim_cur == limit.rlim_cur && now.rlim_max == limit.rlim_max)
		return 0;
	return setrlimit(RLIMIT_FSIZE, &limit) < 0 ? -errno : 0;
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
	if ((r = limits_apply(walls->plan)) < 0)
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
