/* What in a running process would void the walls around it. Looked at before anything is
 * changed; what cannot be looked at counts as found. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "confine/confine.h"
#include "core/error.h"
#include "core/fd.h"

static void dir_close(DIR **dir)
{
	if (*dir != NULL)
		closedir(*dir);
}
#define cleanup_dir __attribute__((cleanup(dir_close)))

static void file_close(FILE **file)
{
	if (*file != NULL)
		fclose(*file);
}
#define cleanup_file __attribute__((cleanup(file_close)))

/* Up to `room` - 1 bytes of a thread's file; -ENOENT: the thread has gone. */
static int task_read(DIR *tasks, const char *name, const char *file, char *text, size_t room)
{
	char path[300];
	cleanup_fd int fd = -1;
	ssize_t size;

	snprintf(path, sizeof(path), "%s/%s", name, file);
	fd = openat(dirfd(tasks), path, O_RDONLY | O_CLOEXEC);
	size = fd < 0 ? -1 : read(fd, text, room - 1);
	if (size < 0)
		return errno == ESRCH ? -ENOENT : -errno;
	text[size] = '\0';
	return 0;
}

/* pthread_join(3) returns when a thread will run no more of the program, and the kernel lists it a little longer. Not so a
 * leader that has left: /proc/self shows nothing of a process whose leader it was. */
static bool task_is_leaving(DIR *tasks, const char *name)
{
	enum { PF_EXITING = 4 };
	char stat[512];
	const char *behind_name;
	unsigned long flags;

	return atoi(name) != getpid() && task_read(tasks, name, "stat", stat, sizeof(stat)) == 0 &&
	       (behind_name = strrchr(stat, ')')) != NULL &&
	       sscanf(behind_name + 1, " %*c %*d %*d %*d %*d %*d %lu", &flags) == 1 &&
	       (flags & PF_EXITING) != 0;
}

/* How many that run: 0 or 1. And none may be the kernel's own, for a ring of this process: a ring may have neither
 * descriptor nor mapping. */
static int task_check(DIR *tasks, const char *name, sl_error *error)
{
	char comm[32];
	int r = task_read(tasks, name, "comm", comm, sizeof(comm));

	if (r < 0 && r != -ENOENT)
		return error_errno(error, r, "pre-flight: /proc/self/task/%.20s", name);
	if (r == 0 && strncmp(comm, "iou-", 4) == 0)
		return error_set(error, -EPERM,
		                 "pre-flight: an io_uring has threads here; it would pass the walls");
	return r == 0 && !task_is_leaving(tasks, name);
}

/* unshare(2): "CLONE_THREAD ... fails with EINVAL if the caller is multithreaded". It changes nothing. */
static bool is_single_threaded(void)
{
	return unshare(CLONE_THREAD) == 0;
}

static int threads_count(unsigned *threads, sl_error *error)
{
	cleanup_dir DIR *tasks = opendir("/proc/self/task");
	struct dirent *entry;

	*threads = 0;
	if (tasks == NULL)
		return error_errno(error, -errno, "pre-flight: /proc/self/task");
	while ((entry = readdir(tasks)) != NULL) {
		int r = entry->d_name[0] == '.' ? 0 : task_check(tasks, entry->d_name, error);

		if (r < 0)
			return r;
		*threads += (unsigned)r;
	}
	return 0;
}

/* A thread made before landlock_restrict_self(2) stays outside of the domain. */
static int threads_check(const struct kernel *kernel, unsigned threads, sl_error *error)
{
	if (threads == 1)
		return 0;
	if (kernel->landlock_abi >= SL_ABI_TSYNC && capabilities_permitted() != 0)
		return error_set(
			error, -EPERM,
			"pre-flight: %u threads are running with capabilities, and each thread keeps its "
			"own; confine before starting threads",
			threads);
	if (kernel->landlock_abi >= SL_ABI_TSYNC)
		return 0;
	return error_set(
		error, -EPERM,
		"pre-flight: %u threads are running, and Landlock ABI %d confines only the calling one "
		"(all of them: ABI %d); confine before starting threads",
		threads, kernel->landlock_abi, SL_ABI_TSYNC);
}

/* The number behind "TracerPid:". */
static int tracer_check(sl_error *error)
{
	cleanup_file FILE *status = fopen("/proc/self/status", "re");
	char line[256];
	int tracer;

	if (status == NULL)
		return error_errno(error, -errno, "pre-flight: /proc/self/status");
	while (fgets(line, sizeof(line), status) != NULL) {
		if (sscanf(line, "TracerPid: %d", &tracer) != 1)
			continue;
		if (tracer == 0)
			return 0;
		return error_set(error, -EPERM,
		                 "pre-flight: process %d traces this one and could drive it past the walls",
		                 tracer);
	}
	return error_set(error, -EIO, "pre-flight: no TracerPid in /proc/self/status");
}

/* Its kernel threads carry out connects and opens that neither wall sees, and it can be used with its
 * descriptor closed. */
static int ring_maps_check(sl_error *error)
{
	cleanup_file FILE *maps = fopen("/proc/self/maps", "re");
	cleanup_free char *line = NULL;
	size_t room = 0;

	if (maps == NULL)
		return error_errno(error, -errno, "pre-flight: /proc/self/maps");
	while (getline(&line, &room, maps) > 0)
		if (strstr(line, "anon_inode:[io_uring]") != NULL)
			return error_set(error, -EPERM,
			                 "pre-flight: an io_uring is mapped; it would pass the walls");
	return ferror(maps) ? error_set(error, -EIO, "pre-flight: /proc/self/maps") : 0;
}

static int descriptor_kind_check(int fd, const char *target, sl_error *error)
{
	if (strcmp(target, "anon_inode:[io_uring]") == 0)
		return error_set(error, -EPERM,
		                 "pre-flight: descriptor %d is an io_uring; it would pass the walls", fd);
	if (strcmp(target, "anon_inode:[userfaultfd]") == 0 || strcmp(target, "/dev/userfaultfd") == 0)
		return error_set(error, -EPERM,
		                 "pre-flight: descriptor %d is a userfaultfd; it could stall the supervisor",
		                 fd);
	return 0;
}

static int descriptor_check(const struct plan *plan, int fd, const char *target, sl_error *error)
{
	int r = descriptor_kind_check(fd, target, error);

	if (r < 0 || !plan->strict_fds)
		return r;
	for (size_t i = 0; i < plan->keep_count; i++)
		if (plan->keep_fds[i] == fd)
			return 0;
	return error_set(error, -EPERM, "pre-flight: strict-fds, and descriptor %d is open (%.100s)", fd,
	                 target);
}

int preflight_descriptor(int fd, sl_error *error)
{
	char path[32], target[PATH_MAX];
	ssize_t size;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if ((size = readlink(path, target, sizeof(target) - 1)) < 0)
		return errno == ENOENT ? 0 : error_errno(error, -errno, "pre-flight: descriptor %d", fd);
	target[size] = '\0';
	return descriptor_kind_check(fd, target, error);
}

static int descriptors_check(const struct plan *plan, sl_error *error)
{
	cleanup_dir DIR *fds = opendir("/proc/self/fd");
	struct dirent *entry;

	if (fds == NULL)
		return error_errno(error, -errno, "pre-flight: /proc/self/fd");
	while ((entry = readdir(fds)) != NULL) {
		char target[PATH_MAX];
		int fd = atoi(entry->d_name), r;
		ssize_t size;

		if (entry->d_name[0] == '.' || fd == dirfd(fds))
			continue;
		if ((size = readlinkat(dirfd(fds), entry->d_name, target, sizeof(target) - 1)) < 0)
			return error_errno(error, -errno, "pre-flight: descriptor %d", fd);
		target[size] = '\0';
		if ((r = descriptor_check(plan, fd, target, error)) < 0)
			return r;
	}
	return 0;
}

int preflight_dumpable(const struct plan *plan, const struct kernel *kernel, sl_error *error)
{
	if (!plan->supervised || kernel->ptrace_capable || prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 1)
		return 0;
	return error_set(
		error, -EPERM,
		"pre-flight: this process is not dumpable, as after a change of its user, so the supervisor "
		"could not reach its sockets: prctl(PR_SET_DUMPABLE, 1)");
}

/* Below a filter of ours nothing that is looked for here can have come into being: it was looked for in front of
 * that filter, which then refused to make it. /proc may be out of reach by now. */
static bool was_checked_before(const struct plan *plan, const struct kernel *kernel)
{
	cleanup_dir DIR *tasks = opendir("/proc/self/task");

	return tasks == NULL && errno == EACCES && kernel->under_filter && !plan->strict_fds;
}

int preflight_check(const struct plan *plan, const struct kernel *kernel, unsigned *threads, sl_error *error)
{
	int r;

	*threads = 1;
	if (was_checked_before(plan, kernel))
		return is_single_threaded()
		               ? 0
		               : error_set(error, -EPERM,
		                           "pre-flight: other threads are running, and /proc is not "
		                           "granted to tell whether they can be confined");
	if ((r = threads_count(threads, error)) < 0 || (r = threads_check(kernel, *threads, error)) < 0 ||
	    (r = tracer_check(error)) < 0 || (r = ring_maps_check(error)) < 0 ||
	    (r = descriptors_check(plan, error)) < 0)
		return r;
	return preflight_dumpable(plan, kernel, error);
}

/* A mapped ring is shared memory: what a fork writes there the app's kernel threads carry out, or its next call does. The
 * descriptors themselves are closed in the fork; one that is there tells of a ring whose memory is the app's own. */
int preflight_fork(sl_error *error)
{
	struct plan any = {.strict_fds = false};
	unsigned threads;
	int r;

	if ((r = threads_count(&threads, error)) < 0 || (r = ring_maps_check(error)) < 0)
		return r;
	return descriptors_check(&any, error);
}
