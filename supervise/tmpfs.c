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
#include "supervise/memory.h"
#include "supervise/mounts.h"

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

struct below {
	struct memory *memory;
	const char *top;
};

static int mount_add(const struct mount *mount, void *context)
{
	const struct below *below = context;
	int place = path_is_below(mount->point, below->top) ? open(mount->point, O_PATH | O_CLOEXEC) : -1;

	return place < 0 ? 0 : tmpfs_add(below->memory, place);
}

/* What is mounted below a directory is granted with it. */
static int mounts_add(struct memory *memory, const char *top)
{
	static struct mounts room;

	return mounts_each("tmpfs", &room, mount_add, &(struct below){memory, top});
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
