/* Which descriptors a command gets, by number. */
#ifndef SL_SUPERVISE_STDIO_H
#define SL_SUPERVISE_STDIO_H

#include <stddef.h>

#include "sluice.h"

enum { STDIO_MAX = 64 };

struct stdio_move {
	int target, source;
};

/* `moves` are sorted by target and have each target once. All sources lie above all targets, so that no move can
 * overwrite the source of another. */
struct stdio_plan {
	struct stdio_move moves[STDIO_MAX];
	size_t count;
};

/* Of one sandbox: what the command gets, and the app's ends of its pipes (-1: none). */
struct stdio_ends {
	int ours[3];
	int theirs[3]; /* opened here: the command's ends and /dev/null; to be closed once it has them */
};

/* Check `stdio` (NULL: all inherited) and open what it asks for. On failure nothing is open. -EINVAL, -EBADF, -EMFILE. */
int stdio_open(const sl_stdio *stdio, const int *kept, size_t kept_count, struct stdio_plan *plan,
               struct stdio_ends *ends, sl_error *error);
void stdio_close(struct stdio_ends *ends);

/* The first number above all that the command is to have: giving it its own overwrites nothing from there on. */
int stdio_above(const struct stdio_plan *plan);

/* In the new process: every source goes above all targets. Async-signal-safe. -errno. */
int stdio_lift(struct stdio_plan *plan, int above);

/* In the command's process: every target is there, and open across exec. Async-signal-safe. -errno. */
int stdio_settle(const struct stdio_plan *plan);

#endif
