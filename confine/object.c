/* object.h says what this is. */
#include "confine/object.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "core/fd.h"

/* STATX_MNT_ID: Linux 5.8. DONT_SYNC: no server far away is asked, and the numbers do not change. */
static int object_read(int directory, const char *name, int flags, struct object *object)
{
	struct statx status;

	if (statx(directory, name, flags | AT_EMPTY_PATH | AT_STATX_DONT_SYNC,
	          STATX_TYPE | STATX_INO | STATX_MNT_ID, &status) < 0)
		return -errno;
	*object = (struct object){
		.device = makedev(status.stx_dev_major, status.stx_dev_minor),
		.inode = status.stx_ino,
		.mount = status.stx_mnt_id,
		.mode = status.stx_mode,
	};
	return 0;
}

int object_at(int directory, const char *name, struct object *object)
{
	return object_read(directory, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, object);
}

int object_of(const char *path, struct object *object)
{
	return object_read(AT_FDCWD, path, 0, object);
}

bool object_is(const struct object *left, const struct object *right)
{
	return left->device == right->device && left->inode == right->inode;
}

int object_climb(int directory, object_fn wanted, const void *context)
{
	enum { STEPS_MAX = 256 };
	cleanup_fd int held = -1;
	struct object here, above;
	int at = directory, r = object_at(at, "", &here);

	for (int i = 0; r == 0 && i < STEPS_MAX; i++) {
		int up;

		if (wanted(&here, context))
			return 1;
		if ((up = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
			return -errno;
		fd_close(&held);
		at = held = up;
		if ((r = object_at(up, "", &above)) < 0)
			return r;
		/* Above the top is the top itself. */
		if (object_is(&above, &here) && above.mount == here.mount)
			return 0;
		here = above;
	}
	return r < 0 ? r : -ENAMETOOLONG;
}
