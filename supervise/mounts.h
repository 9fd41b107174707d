/* What is mounted where, of one type of file system: proc_pid_mountinfo(5). Without malloc. */
#ifndef SL_SUPERVISE_MOUNTS_H
#define SL_SUPERVISE_MOUNTS_H

#include <limits.h>
#include <stdbool.h>

#include "supervise/lines.h"

struct mount {
	char root[PATH_MAX], point[PATH_MAX]; /* what of the file system it shows, and where */
};

/* False: it is of another type, or too long. */
bool mount_parse(const char *line, const char *type, struct mount *mount);

struct mounts {
	struct lines lines;
	struct mount mount;
};

typedef int (*mount_fn)(const struct mount *mount, void *context);
/* Each of this type, until one says something else than 0, which is returned. `room` is the caller's. -errno. */
int mounts_each(const char *type, struct mounts *room, mount_fn each, void *context);

/* Is `path` this directory, or below it? By their names. */
bool path_is_below(const char *path, const char *directory);

#endif
