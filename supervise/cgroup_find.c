/* Where a group for a sandbox may be made. Delegation is what systemd calls it: a group with the attribute "delegate" is its
 * owner's to divide (systemd.resource-control(5), Delegate=); all others belong to whoever manages the machine, also where
 * root could write to them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "core/error.h"
#include "core/fd.h"
#include "supervise/cgroup.h"
#include "supervise/lines.h"
#include "supervise/supervise.h"

enum {
	TEXT_SIZE = 4096,
	NAME_TRIES = 1000,
	PRUNE_MOST = 64,  /* looked at in one start */
	PRUNE_AGE_S = 60, /* between making a group and locking it there is a moment */
	SELF_MODE = 0755,
};

/* Of a group that this process goes into, so that its own has no process and can be divided. */
#define SELF_NAME "sluice-self"

static const struct controller {
	unsigned bit;
	const char *name, *file; /* without the file it cannot hold the limit */
	enum option_id option;
} controllers[] = {
	{CGROUP_MEMORY, "memory", "memory.max", OPTION_MAX_MEMORY},
	{CGROUP_CPU, "cpu", "cpu.max", OPTION_CPU},
};
enum { CONTROLLERS = sizeof(controllers) / sizeof(controllers[0]) };

static __attribute__((format(printf, 2, 3))) int none_because(struct cgroup *cgroup, const char *format, ...)
{
	va_list values;

	va_start(values, format);
	vsnprintf(cgroup->why, sizeof(cgroup->why), format, values);
	va_end(values);
	return -ENOENT;
}

/* ---- where this process is ---- */

static int text_copy(char *to, size_t room, const char *from, size_t size)
{
	if (size >= room)
		return -ENAMETOOLONG;
	memcpy(to, from, size);
	to[size] = '\0';
	return 0;
}

int cgroup_own(const char *text, char *path, size_t room)
{
	const char *line = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");

	if (line == NULL)
		return -ENOENT;
	line = strchr(line, '0') + 3;
	return text_copy(path, room, line, strcspn(line, "\n"));
}

int cgroup_directory(const struct mount *mount, const char *own, char *path, size_t room)
{
	size_t root = strcmp(mount->root, "/") == 0 ? 0 : strlen(mount->root);
	const char *rest = own + root;
	int size;

	/* A group above the namespace's own is "/..": cgroup_namespaces(7). */
	if (strstr(own, "/..") != NULL || !path_is_below(own, mount->root))
		return -ENOENT;
	size = snprintf(path, room, "%s%s", mount->point, strcmp(rest, "/") == 0 ? "" : rest);
	return size < 0 || (size_t)size >= room ? -ENAMETOOLONG : 0;
}

/* ---- which directory is given to us ---- */

struct place {
	char own[PATH_MAX], directory[PATH_MAX], point[PATH_MAX];
};

static int mount_take(const struct mount *mount, void *context)
{
	struct place *place = context;

	if (cgroup_directory(mount, place->own, place->directory, sizeof(place->directory)) < 0)
		return 0;
	memcpy(place->point, mount->point, sizeof(place->point));
	return 1;
}

static bool is_delegated(const char *directory)
{
	static const char *const names[] = {"user.delegate", "trusted.delegate"};
	char value[2] = "", procs[PATH_MAX];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (getxattr(directory, names[i], value, 1) == 1 && value[0] == '1')
			return snprintf(procs, sizeof(procs), "%s/cgroup.procs", directory) <
			               (int)sizeof(procs) &&
			       access(directory, W_OK) == 0 && access(procs, W_OK) == 0;
	return false;
}

/* Of the process whose /proc/PID/cgroup this is. False: it is in none, or in none that is to be seen. */
static bool place_find(struct place *place, const char *file)
{
	cleanup_free struct mounts *room = malloc(sizeof(*room));
	char text[TEXT_SIZE];

	return room != NULL && file_text(AT_FDCWD, file, text, sizeof(text)) > 0 &&
	       cgroup_own(text, place->own, sizeof(place->own)) == 0 &&
	       mounts_each(CGROUP2_TYPE, room, mount_take, place) > 0;
}

/* The group this process is in; or the one above, where a manager puts those who divide it into a group of their own
 * (DelegateSubgroup=), or we did. */
static int base_by_delegation(struct cgroup *cgroup)
{
	cleanup_free struct place *place = malloc(sizeof(*place));
	char *slash;

	if (place == NULL || !place_find(place, "/proc/self/cgroup"))
		return none_because(cgroup, "cgroup version 2 is not mounted, or does not show this process");
	if (!is_delegated(place->directory)) {
		slash = strrchr(place->directory, '/');
		if (strcmp(place->directory, place->point) == 0 || slash == NULL)
			return none_because(cgroup, "no cgroup is delegated to this process");
		*slash = '\0';
	}
	if (!is_delegated(place->directory))
		return none_because(cgroup, "no cgroup is delegated to this process");
	return text_copy(cgroup->base, sizeof(cgroup->base), place->directory, strlen(place->directory));
}

bool cgroup_is_delegated(void)
{
	cleanup_free struct cgroup *cgroup = malloc(sizeof(*cgroup));

	return cgroup != NULL && base_by_delegation(cgroup) == 0;
}

static int base_by_name(struct cgroup *cgroup, const char *name, sl_error *error)
{
	struct statfs status;

	if (realpath(name, cgroup->base) == NULL || statfs(cgroup->base, &status) < 0)
		return error_errno(error, -errno, "cgroup: %.200s", name);
	if (status.f_type != CGROUP2_MAGIC)
		return error_set(error, -EINVAL, "cgroup: %.200s is no directory of cgroup version 2", name);
	return 0;
}

/* ---- what the command could write to ---- */

/* It could move itself elsewhere, and raise its own limits. */
static int grants_check(struct cgroup *cgroup, const sl_policy *policy)
{
	const char *found;
	int r = cgroup_grants_check(&policy->values[OPTION_FS_WRITE], &found);

	if (r == 1)
		return none_because(cgroup, "fs-write %.100s would let the command change its own group",
		                    found);
	if (r < 0)
		return none_because(cgroup, "fs-write %.100s: %s", found == NULL ? "" : found, strerror(-r));
	return 0;
}

/* ---- dividing it ---- */

static bool word_is_in(const char *text, const char *word)
{
	size_t size = strlen(word);

	for (const char *at = text; (at = strstr(at, word)) != NULL; at += size)
		if ((at == text || at[-1] == ' ') && strchr(" \n", at[size]) != NULL)
			return true;
	return false;
}

/* A group whose controllers are given to others holds no process: cgroups(7), "no internal processes". Ours goes into one
 * of its own, where it is the only one. */
static int self_settle(int base)
{
	char text[TEXT_SIZE], alone[32];

	snprintf(alone, sizeof(alone), "%d\n", getpid());
	if (file_text(base, "cgroup.procs", text, sizeof(text)) <= 0 || strcmp(text, alone) != 0)
		return -EBUSY;
	if (mkdirat(base, SELF_NAME, SELF_MODE) < 0 && errno != EEXIST)
		return -errno;
	return cgroup_write(base, SELF_NAME "/cgroup.procs", "0");
}

static int controller_enable(int base, const char *name)
{
	char text[TEXT_SIZE], order[32];
	int r;

	if (file_text(base, "cgroup.controllers", text, sizeof(text)) < 0 || !word_is_in(text, name))
		return -ENODEV;
	if (file_text(base, "cgroup.subtree_control", text, sizeof(text)) > 0 && word_is_in(text, name))
		return 0;
	snprintf(order, sizeof(order), "+%s", name);
	r = cgroup_write(base, "cgroup.subtree_control", order);
	if (r == -EBUSY && (r = self_settle(base)) == 0)
		r = cgroup_write(base, "cgroup.subtree_control", order);
	return r;
}

static void controllers_enable(struct cgroup *cgroup, int base, unsigned wanted)
{
	for (size_t i = 0; i < CONTROLLERS; i++) {
		const struct controller *one = &controllers[i];
		int r;

		if (!(wanted & one->bit))
			continue;
		if ((r = controller_enable(base, one->name)) == 0)
			cgroup->limits |= one->bit;
		else if (r == -ENODEV)
			none_because(cgroup, "%.100s has no %s controller", cgroup->base, one->name);
		else
			none_because(cgroup, "%.100s: enabling %s: %s%s", cgroup->base, one->name,
			             strerror(-r), r == -EBUSY ? " (processes are in it)" : "");
	}
}

/* Of earlier ones, whose keeper was killed: nobody holds the lock any more. rmdir(2) refuses where somebody lives. */
static void dead_remove(int base, const char *name)
{
	cleanup_fd int fd = openat(base, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat status;

	if (fd >= 0 && fstat(fd, &status) == 0 && status.st_ctime + PRUNE_AGE_S < time(NULL) &&
	    flock(fd, LOCK_EX | LOCK_NB) == 0)
		unlinkat(base, name, AT_REMOVEDIR);
}

static bool name_is_ours(const char *name)
{
	unsigned pid, number;
	int end = 0;

	return sscanf(name, "sluice-%u-%u%n", &pid, &number, &end) == 2 && name[end] == '\0';
}

static void dead_prune(int base)
{
	int copy = openat(base, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), looked = 0;
	DIR *entries = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;

	if (entries == NULL) {
		fd_close(&copy);
		return;
	}
	while (looked < PRUNE_MOST && (entry = readdir(entries)) != NULL) {
		if (!name_is_ours(entry->d_name))
			continue;
		dead_remove(base, entry->d_name);
		looked++;
	}
	closedir(entries);
}

static int group_make(struct cgroup *cgroup, int base)
{
	static atomic_uint number;

	for (int i = 0; i < NAME_TRIES; i++) {
		snprintf(cgroup->name, sizeof(cgroup->name), "sluice-%d-%u", getpid(),
		         atomic_fetch_add(&number, 1));
		if (mkdirat(base, cgroup->name, SELF_MODE) == 0) {
			cgroup->made = cgroup->owned = true;
			return 0;
		}
		if (errno != EEXIST)
			return none_because(cgroup, "%.100s: %s", cgroup->base, strerror(errno));
	}
	return none_because(cgroup, "%.100s: no free name", cgroup->base);
}

/* A controller without the file that matters is none: memory that is swapped out would not count, and a kernel may
 * have been built without CFS bandwidth control. */
static void files_check(struct cgroup *cgroup, int base)
{
	char path[96];
	struct sysinfo info;

	for (size_t i = 0; i < CONTROLLERS; i++) {
		snprintf(path, sizeof(path), "%s/%s", cgroup->name, controllers[i].file);
		if (cgroup->limits & controllers[i].bit && faccessat(base, path, W_OK, 0) < 0) {
			cgroup->limits &= ~controllers[i].bit;
			none_because(cgroup, "%.100s/%s: not there", cgroup->base, path);
		}
	}
	snprintf(path, sizeof(path), "%s/memory.swap.max", cgroup->name);
	if (cgroup->limits & CGROUP_MEMORY && faccessat(base, path, W_OK, 0) < 0 &&
	    (sysinfo(&info) < 0 || info.totalswap > 0)) {
		cgroup->limits &= ~CGROUP_MEMORY;
		none_because(cgroup, "%.100s/%s: not there, and this machine swaps", cgroup->base, path);
	}
}

/* Below a threaded group none may hold a process of its own: cgroups(7), "domain invalid". */
static bool group_can_be_filled(struct cgroup *cgroup, int base)
{
	char path[96], text[64];

	snprintf(path, sizeof(path), "%s/cgroup.type", cgroup->name);
	if (file_text(base, path, text, sizeof(text)) > 0 && strcmp(text, "domain\n") == 0)
		return true;
	text[strcspn(text, "\n")] = '\0';
	none_because(cgroup, "%.100s: a group below it is \"%s\"", cgroup->base, text);
	return false;
}

/* The keeper is to remove the group, and has no capability that permissions give way to. */
static bool base_is_ours(struct cgroup *cgroup, int base)
{
	struct stat status;
	int shift;

	if (fstat(base, &status) < 0)
		return none_because(cgroup, "%.100s: %s", cgroup->base, strerror(errno)), false;
	shift = status.st_uid == geteuid() ? 6 : group_member(status.st_gid) ? 3 : 0;
	if ((status.st_mode >> shift & (W_OK | X_OK)) == (W_OK | X_OK))
		return true;
	none_because(cgroup, "%.100s: its permissions let nobody remove a group but one with capabilities",
	             cgroup->base);
	return false;
}

/* ---- all of it ---- */

static unsigned controllers_wanted(const sl_policy *policy)
{
	unsigned wanted = 0;

	for (size_t i = 0; i < CONTROLLERS; i++)
		if (policy_has(policy, controllers[i].option))
			wanted |= controllers[i].bit;
	return wanted;
}

static int group_try(struct cgroup *cgroup, const sl_policy *policy, unsigned wanted)
{
	cleanup_fd int base = -1;
	int r = grants_check(cgroup, policy);

	if (r < 0)
		return r;
	if ((base = open(cgroup->base, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return none_because(cgroup, "%.100s: %s", cgroup->base, strerror(errno));
	if (!base_is_ours(cgroup, base))
		return -EPERM;
	controllers_enable(cgroup, base, wanted);
	if (wanted != 0 && cgroup->limits == 0)
		return -ENOENT;
	dead_prune(base);
	r = group_make(cgroup, base);
	if (r == 0)
		files_check(cgroup, base);
	if (r == 0 && ((wanted != 0 && cgroup->limits == 0) || !group_can_be_filled(cgroup, base))) {
		cgroup_clear(cgroup);
		r = -ENOENT;
	}
	return r;
}

int cgroup_make(struct cgroup *cgroup, const sl_policy *policy, sl_error *error)
{
	const char *name = policy_has(policy, OPTION_CGROUP) ? policy_scalar(policy, OPTION_CGROUP) : "auto";
	unsigned wanted = controllers_wanted(policy);
	int r;

	*cgroup = (struct cgroup)CGROUP_NONE;
	if (strcmp(name, "none") == 0)
		return none_because(cgroup, "cgroup none"), 0;
	if (strcmp(name, "auto") == 0) {
		if (wanted != 0 && base_by_delegation(cgroup) == 0)
			group_try(cgroup, policy, wanted);
		return 0;
	}
	if ((r = base_by_name(cgroup, name, error)) < 0)
		return r;
	r = group_try(cgroup, policy, wanted);
	if (r < 0 || cgroup->limits != wanted) {
		cgroup_clear(cgroup);
		return error_set(error, r < 0 ? r : -ENOENT, "cgroup: %s", cgroup->why);
	}
	return 0;
}

bool cgroup_of_is_frozen(pid_t pid)
{
	cleanup_free struct place *place = malloc(sizeof(*place));
	cleanup_fd int directory = -1;
	char text[TEXT_SIZE], path[64];

	snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
	if (place == NULL || !place_find(place, path) ||
	    (directory = open(place->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return false;
	/* By order; or with a group above it. To the kernel a call that waits for its supervisor is not frozen. */
	return (file_text(directory, "cgroup.freeze", text, sizeof(text)) > 0 && text[0] == '1') ||
	       (file_text(directory, "cgroup.events", text, sizeof(text)) > 0 &&
	        text_number(text, "frozen ") > 0);
}
