/* The sandboxes of this user that run, for sluice ps: a private directory with a file for each, by its name.
 *
 *     $XDG_RUNTIME_DIR/sluice, /run/user/UID/sluice or /tmp/sluice-UID      0700
 *      +- web                                                                0600, JSON, for people to read
 *           byte 0   locked by the keeper, from before the command is forked to the end of its tree
 *           byte 1   likewise; and by who removes an entry that nobody owns
 *
 * Alive is what is locked: a POSIX record lock (fcntl(2), F_SETLK) goes with the process that took it, whoever ends that
 * how, and is not inherited. Who holds it the kernel says (F_GETLK). What is in the file is believed by nobody: a command
 * that may write there can change it.
 *
 * The keeper is the one process that is there exactly as long as the tree: when the supervisor dies it stays until it has
 * killed what is left. It never opens its entry again: any close(2) of the file would drop the lock.
 */
#ifndef SL_SUPERVISE_REGISTRY_H
#define SL_SUPERVISE_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "core/policy.h"

enum { REGISTRY_NAME_MAX = 64, REGISTRY_TEXT_MAX = 1 << 20 };

/* All that the keeper needs to make its entry. */
struct registry_claim {
	int dir;          /* -1: it is not listed */
	const char *name; /* the policy's; NULL: sandbox-PID, PID being the command's */
	char *text;       /* malloc'd: what the file says, behind the pid */
	size_t size;
};

/* The directory, made where it is not there. It and what it is in are judged by their descriptors. */
int registry_open(sl_error *error);

/* Open the directory, remove what is dead in it, write the text. A name is a promise: without the directory -errno.
 * Without a name *claim says then that the sandbox is not listed. `mode`: "run", "spawn". */
int registry_prepare(struct registry_claim *claim, const sl_policy *policy, const char *const argv[],
                     const char *mode, sl_error *error);
void registry_clear(struct registry_claim *claim);

/* What the file says, without the pid at the beginning. -ENOMEM. */
int registry_text(struct registry_claim *claim, const sl_policy *policy, const char *const argv[],
                  const char *mode);

/* ---- in the keeper: async-signal-safe ---- */

/* Make and lock an entry. Its descriptor; -EEXIST: a living one has the name, *holder is its keeper (0: not to be seen from
 * this pid namespace); -EINVAL: what is there is no entry. */
int registry_claim_name(int dir, const char *name, pid_t *holder);
/* Likewise, by the command's pid. */
int registry_claim_pid(int dir, pid_t command);
void registry_write(int entry, const struct registry_claim *claim, pid_t command);

/* ---- reading ---- */

/* 1: somebody has it, *holder as above; 0: nobody; -errno. */
int registry_holder(int entry, pid_t *holder);
/* Remove it if nobody has it: 0. -EEXIST as above; -EAGAIN: look again; -EINVAL: it is no entry. */
int registry_prune(int dir, const char *name, pid_t *holder);

#endif
