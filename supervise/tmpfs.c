/* Which file systems in memory a tree may write to. What is in them counts, by how much they have grown: nobody has to
 * hold or to map a file there for its pages to stay. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

#include "core/fd.h"
#include "supervise/lines.h"
#include "supervise/memory.h"

uint64_t tmpfs_size(int fd)
{
	struct statfs about;

	if (fstatfs(fd, &about) < 0 || (uint64_t)about.f_bfree > (uint64_t)about.f_blocks)
		return 0;
	return (about.f_blocks - about.f_bfree) * (uint64_t)about.f_bsize;
}

/* One each; the descriptor is taken over. */
static int tmpfs_add(struct memory *memory, int fd)
{
	cleanup_fd int own = fd;
	struct statfs about;
	struct statx status;

	if (fstatfs(own, &about) < 0 || about.f_type != TMPFS_MAGIC ||
	    statx(own, "", AT_EMPTY_PATH, STATX_TYPE, &status) < 0)
		return 0;
	for (unsigned i = 0; i < memory->tmpfs_count; i++)
		if (memory->tmpfs[i].device == makedev(status.stx_dev_major, status.stx_dev_minor))
			return 0;
	if (memory->tmpfs_count == TMPFS_MAX)
		return -E2BIG;
	memory->tmpfs[memory->tmpfs_count++] = (struct tmpfs){
		.fd = own,
		.device = makedev(status.stx_dev_major, status.stx_dev_minor),
		.used = tmpfs_size(own),
	};
	fd_steal(&own);
	return 0;
}

static bool is_below(const char *path, const char *top)
{
	size_t size = strlen(top);

	return strncmp(path, top, size) == 0 && (size == 1 || path[size] == '/' || path[size] == '\0');
}

/* What is mounted below a directory is granted with it: proc_pid_mountinfo(5), the fifth field. */
static int mounts_add(struct memory *memory, const char *top)
{
	static struct lines lines;
	cleanup_fd int fd = openat(memory->tree->proc, "self/mountinfo", O_RDONLY | O_CLOEXEC);
	int r = fd < 0 ? -errno : 0, place;
	char *line, *field = NULL;

	lines_begin(&lines, fd);
	while (r == 0 && (line = lines_next(&lines)) != NULL) {
		if (strstr(line, " - tmpfs ") == NULL)
			continue;
		for (int i = 0; i < 5; i++)
			field = strsep(&line, " ");
		if (field != NULL && is_below(field, top) && (place = open(field, O_PATH | O_CLOEXEC)) >= 0)
			r = tmpfs_add(memory, place);
	}
	return r;
}

static int grant_add(struct memory *memory, const char *path)
{
	char self[32], top[4096];
	int fd = open(path, O_PATH | O_CLOEXEC), r;
	ssize_t size;

	if (fd < 0)
		return 0; /* if-exists; others have been opened by now */
	snprintf(self, sizeof(self), "self/fd/%d", fd);
	size = readlinkat(memory->tree->proc, self, top, sizeof(top) - 1);
	if ((r = tmpfs_add(memory, fd)) < 0 || size <= 0)
		return r;
	top[size] = '\0';
	return mounts_add(memory, top);
}

int tmpfs_open(struct memory *memory, const struct plan *plan)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < plan->grant_count; i++)
		if (plan->grants[i].access & LANDLOCK_ACCESS_FS_MAKE_REG)
			r = grant_add(memory, plan->grants[i].path);
	return r;
}
