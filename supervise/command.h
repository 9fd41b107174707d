/* A command to be executed: found before the walls go up, so that "not found" and "not allowed" differ. */
#ifndef SL_SUPERVISE_COMMAND_H
#define SL_SUPERVISE_COMMAND_H

#include <limits.h>

#include "sluice.h"

/* A function in place of a program: nothing is executed. It has the descriptors of a command and one more, `control`, whose
 * number is passed to it. */
struct body {
	void (*run)(void *context, int control); /* does not return */
	void *context;
	int control; /* the app's number */
};

struct command {
	char path[PATH_MAX];
	char *const *argv;
	char **environment;      /* malloc'd */
	const struct body *body; /* or NULL */
	int control;             /* the body's number for it */
};

/* As execvp(3) looks, in the directory and the environment that the command is to have, as env(1) does: a name with a
 * slash is a path, else PATH. 0, -ENOENT, -EACCES, -ENAMETOOLONG, -ENOMEM. Where there is no such directory nothing is
 * looked for, and child_prepare() says so. */
int command_find(struct command *command, const sl_policy *policy, char *const argv[]);
void command_clear(struct command *command);

/* Returns only on failure, with -errno. A file without a format is given to /bin/sh, as execvp(3) does.
 * Async-signal-safe. */
int command_exec(const struct command *command);

/* Why the keeper or its child gave up at `step`, in words that help. Returns `code`. */
int start_failure(int code, const char *step, const char *path, sl_error *error);

/* The exit status of a command that never ran: EXIT_SLUICE and its kin. */
int start_status(int code, const char *step);

#endif
