/* A command to be executed: found before the walls go up, so that "not found" and "not allowed" differ. */
#ifndef SL_SUPERVISE_COMMAND_H
#define SL_SUPERVISE_COMMAND_H

#include <limits.h>

#include "sluice.h"

struct command {
	char path[PATH_MAX];
	char *const *argv;
};

/* As execvp(3) looks: a name with a slash is a path, else PATH. 0, -ENOENT, -EACCES, -ENAMETOOLONG. */
int command_find(struct command *command, char *const argv[]);

/* Returns only on failure, with -errno. A file without a format is given to /bin/sh, as execvp(3) does.
 * Async-signal-safe. */
int command_exec(const struct command *command);

/* Why the keeper or its child gave up at `step`, in words that help. Returns `code`. */
int start_failure(int code, const char *step, const char *path, sl_error *error);

#endif
