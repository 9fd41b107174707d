/* registry.h draws it: the directory, and how an entry of it is taken and removed. fcntl(2), "Advisory record locking". */
#include "supervise/registry.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/error.h"
#include "core/fd.h"

enum {
	OWNER_BYTE = 0,
	PRUNE_BYTE = 1,
	CLAIM_TRIES = 500, /* of a millisecond, or less */
	SWEEP_MAX = 4096,  /* entries that one start looks at */
};

/* ---- the directory ---- */

/* What $XDG_RUNTIME_DIR has to be: basedir specification, "owned by the user, and he MUST be the only one". */
static int base_check(int base, const char *path, sl_error *error)
{
	struct stat status;

	if (fstat(base, &status) < 0)
		return error_errno(error, -errno, "%.120s", path);
	if (status.st_uid != geteuid())
		return error_set(
			error, -EPERM,
			"XDG_RUNTIME_DIR: %.120s belongs to uid %u, not to %u: unset it, or name one's own",
			path, status.st_uid, geteuid());
	if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return error_set(error, -EPERM,
		                 "XDG_RUNTIME_DIR: %.120s has mode %04o: others may write to it", path,
		                 status.st_mode & 07777);
	return 0;
}

/* A link would lead to where somebody else wants us; O_NOFOLLOW, and all that is asked is asked of what was opened. */
static int directory_open(int base, const char *name, const char *path, sl_error *error)
{
	cleanup_fd int dir = -1;
	struct stat status;

	if (mkdirat(base, name, 0700) < 0 && errno != EEXIST)
		return error_errno(error, -errno, "%.120s/%s", path, name);
	dir = openat(base, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0 && (errno == ENOTDIR || errno == ELOOP))
		return error_set(error, -ENOTDIR, "%.120s/%s is no directory, or a link to one: remove it",
		                 path, name);
	if (dir < 0 || fstat(dir, &status) < 0)
		return error_errno(error, -errno, "%.120s/%s", path, name);
	if (status.st_uid != geteuid())
		return error_set(error, -EPERM, "%.120s/%s belongs to uid %u, not to %u: it is not used",
		                 path, name, status.st_uid, geteuid());
	if ((status.st_mode & 0777) != 0700)
		return error_set(error, -EPERM, "%.120s/%s has mode %04o, expected 0700", path, name,
		                 status.st_mode & 07777);
	return fd_steal(&dir);
}

/* Above 2: the keeper and the stand-in put /dev/null there. */
static int directory_lift(int dir, sl_error *error)
{
	int lifted;

	if (dir < 0 || dir > 2)
		return dir;
	lifted = fcntl(dir, F_DUPFD_CLOEXEC, 3);
	close(dir);
	return lifted < 0 ? error_errno(error, -errno, "descriptors") : lifted;
}

static int base_open(const char *path)
{
	return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static int open_named(const char *path, sl_error *error)
{
	cleanup_fd int base = base_open(path);
	int r;

	if (base < 0)
		return error_errno(error, -errno, "XDG_RUNTIME_DIR: %.120s", path);
	if ((r = base_check(base, path, error)) < 0)
		return r;
	return directory_open(base, "sluice", path, error);
}

/* /tmp is everybody's. A name of ours that another has taken there is refused, not walked around: who looks for the
 * sandboxes has to look where they are. */
static int open_shared(sl_error *error)
{
	cleanup_fd int base = base_open("/tmp");
	char name[32];

	if (base < 0)
		return error_errno(error, -errno, "/tmp");
	snprintf(name, sizeof(name), "sluice-%u", geteuid());
	return directory_open(base, name, "/tmp", error);
}

int registry_open(sl_error *error)
{
	const char *named = secure_getenv("XDG_RUNTIME_DIR");
	cleanup_fd int base = -1;
	char path[32];

	if (named != NULL && named[0] == '/')
		return directory_lift(open_named(named, error), error);
	snprintf(path, sizeof(path), "/run/user/%u", geteuid());
	base = base_open(path);
	if (base >= 0 && base_check(base, path, NULL) == 0)
		return directory_lift(directory_open(base, "sluice", path, error), error);
	return directory_lift(open_shared(error), error);
}

/* ---- entries ---- */

static int lock_take(int entry, off_t start, off_t size)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = start, .l_len = size};

	return fcntl(entry, F_SETLK, &lock) < 0 ? -errno : 0;
}

/* The kernel names nobody (0, or -1) who is in another pid namespace, or who holds the lock by an open file description. */
int registry_holder(int entry, pid_t *holder)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = OWNER_BYTE, .l_len = 1};

	if (fcntl(entry, F_GETLK, &lock) < 0)
		return -errno;
	*holder = lock.l_type == F_UNLCK || lock.l_pid < 0 ? 0 : lock.l_pid;
	return lock.l_type != F_UNLCK;
}

static bool entry_has_name(int entry, int dir, const char *name)
{
	struct stat ours, named;

	return fstat(entry, &ours) == 0 && fstatat(dir, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	       ours.st_dev == named.st_dev && ours.st_ino == named.st_ino;
}

static bool entry_is_file(int entry)
{
	struct stat status;

	return fstat(entry, &status) == 0 && S_ISREG(status.st_mode);
}

/* Its owner has byte 1 too, and with it a moment in which the entry cannot go: between its lock and its look whether the
 * file still has the name. */
int registry_prune(int dir, const char *name, pid_t *holder)
{
	cleanup_fd int entry = openat(dir, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	int r, held;

	*holder = 0;
	if (entry < 0 && errno == ENOENT)
		return 0;
	if (entry < 0)
		return errno == ELOOP || errno == ENXIO || errno == EISDIR ? -EINVAL : -errno;
	if (!entry_is_file(entry))
		return -EINVAL;
	r = lock_take(entry, PRUNE_BYTE, 1);
	if ((held = registry_holder(entry, holder)) != 0)
		return held < 0 ? held : -EEXIST;
	if (r < 0 || !entry_has_name(entry, dir, name))
		return -EAGAIN;
	return unlinkat(dir, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

/* Always a file of our own making: what lies there may be a hard link to another. -EAGAIN: it was taken for a dead one. */
static int entry_make(int dir, const char *name)
{
	cleanup_fd int entry = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (entry < 0 || fchmod(entry, 0600) < 0)
		return -errno;
	if (lock_take(entry, OWNER_BYTE, PRUNE_BYTE + 1) < 0 || !entry_has_name(entry, dir, name))
		return -EAGAIN;
	return fd_steal(&entry);
}

int registry_claim_name(int dir, const char *name, pid_t *holder)
{
	for (int i = 0; i < CLAIM_TRIES; i++) {
		int r = entry_make(dir, name);

		if (r >= 0 || (r != -EEXIST && r != -EAGAIN))
			return r;
		if (r == -EEXIST && (r = registry_prune(dir, name, holder)) < 0 && r != -EAGAIN)
			return r;
		if (r < 0)
			poll(NULL, 0, 1);
	}
	return -EAGAIN;
}

static void name_of_pid(char name[static REGISTRY_NAME_MAX], pid_t command)
{
	snprintf(name, REGISTRY_NAME_MAX, "sandbox-%d", command);
}

int registry_claim_pid(int dir, pid_t command)
{
	char name[REGISTRY_NAME_MAX];
	pid_t holder;

	name_of_pid(name, command);
	return registry_claim_name(dir, name, &holder);
}

/* A full disk costs the text, which is for people only. */
void registry_write(int entry, const struct registry_claim *claim, pid_t command)
{
	char start[128];
	int size = claim->name != NULL ? snprintf(start, sizeof(start), "{\"pid\":%d,", command)
	                               : snprintf(start, sizeof(start),
	                                          "{\"pid\":%d,\"name\":\"sandbox-%d\",", command, command);

	if (fd_write_all(entry, start, (size_t)size) == 0)
		fd_write_all(entry, claim->text, claim->size);
}

/* ---- before the forks ---- */

/* Threads of one process are one to a record lock. Nobody waits for it in a fork: a keeper does not sweep. */
static pthread_mutex_t sweeping = PTHREAD_MUTEX_INITIALIZER;

/* Nobody may remove its own entry: the keeper's filter lets it remove no file. */
static void directory_sweep(int dir)
{
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *entries = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;
	pid_t holder;

	if (entries == NULL) {
		fd_close(&copy);
		return;
	}
	pthread_mutex_lock(&sweeping);
	for (int i = 0; i < SWEEP_MAX && (entry = readdir(entries)) != NULL; i++)
		if (entry->d_type == DT_REG || entry->d_type == DT_UNKNOWN)
			registry_prune(dir, entry->d_name, &holder);
	pthread_mutex_unlock(&sweeping);
	closedir(entries);
}

int registry_prepare(struct registry_claim *claim, const sl_policy *policy, const char *const argv[],
                     const char *mode, sl_error *error)
{
	bool named = policy_has(policy, OPTION_NAME);
	int r;

	*claim = (struct registry_claim){.dir = registry_open(named ? error : NULL)};
	if (claim->dir < 0) {
		r = named ? error_wrap(error, claim->dir, "name") : 0;
		claim->dir = -1;
		return r;
	}
	claim->name = named ? policy_scalar(policy, OPTION_NAME) : NULL;
	directory_sweep(claim->dir);
	if ((r = registry_text(claim, policy, argv, mode)) < 0) {
		registry_clear(claim);
		return error_errno(error, r, "name");
	}
	return 0;
}

void registry_clear(struct registry_claim *claim)
{
	fd_close(&claim->dir);
	free(claim->text);
	*claim = (struct registry_claim){.dir = -1};
}
