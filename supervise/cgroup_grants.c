/* Could the command write to the groups' file system? Landlock asks for objects, not for names: what is granted is a directory,
 * reached by whatever name and mount, and all that the kernel meets below it on the way up from a file, past the roots of
 * mounts. So objects are what is compared here, too. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "core/error.h"
#include "core/fd.h"
#include "supervise/cgroup.h"

struct object {
	dev_t device;
	ino_t inode;
};

struct grants {
	const struct value_list *paths;
	struct object *objects; /* of `paths` */
	const char *found;
};

static bool type_is_cgroup(const struct statfs *status)
{
	return status->f_type == CGROUP2_MAGIC;
}

/* -errno, and *found: one that cannot be looked at could be any. */
static int grants_look(struct grants *grants)
{
	for (size_t i = 0; i < grants->paths->count && grants->found == NULL; i++) {
		const char *path = grants->paths->items[i];
		struct statfs system;
		struct stat status;

		if (stat(path, &status) < 0 || statfs(path, &system) < 0) {
			grants->found = path;
			return -errno;
		}
		grants->objects[i] = (struct object){status.st_dev, status.st_ino};
		if (type_is_cgroup(&system))
			grants->found = path;
	}
	return 0;
}

static bool directory_is_granted(struct grants *grants, const char *directory)
{
	struct stat status;

	if (stat(directory, &status) < 0)
		return false;
	for (size_t i = 0; i < grants->paths->count && grants->found == NULL; i++)
		if (grants->objects[i].device == status.st_dev && grants->objects[i].inode == status.st_ino)
			grants->found = grants->paths->items[i];
	return grants->found != NULL;
}

static int mount_is_granted(const struct mount *mount, void *context)
{
	char path[PATH_MAX], *slash;

	strcpy(path, mount->point);
	while ((slash = strrchr(path, '/')) != NULL) {
		*slash = '\0';
		if (directory_is_granted(context, *path == '\0' ? "/" : path))
			return 1;
	}
	return 0;
}

int cgroup_grants_check(const struct value_list *paths, const char **found)
{
	cleanup_free struct object *objects = calloc(paths->count + 1, sizeof(*objects));
	cleanup_free struct mounts *room = malloc(sizeof(*room));
	struct grants grants = {.paths = paths};
	int r = -ENOMEM;

	grants.objects = objects;
	if (objects != NULL && room != NULL)
		r = grants_look(&grants);
	if (r == 0 && grants.found == NULL)
		r = mounts_each(CGROUP2_TYPE, room, mount_is_granted, &grants);
	*found = grants.found;
	return r < 0 ? r : grants.found != NULL;
}

/* What is open already Landlock does not judge. */
int cgroup_check_descriptor(const struct cgroup *cgroup, int fd, sl_error *error)
{
	int flags = cgroup->made ? fcntl(fd, F_GETFL) : -1;
	struct statfs system;

	if (flags < 0 || flags & O_PATH || (flags & O_ACCMODE) == O_RDONLY || fstatfs(fd, &system) < 0 ||
	    !type_is_cgroup(&system))
		return 0;
	return error_set(
		error, -EPERM,
		"cgroup: descriptor %d is open for writing to a control group, by which the command could "
		"leave its own",
		fd);
}
