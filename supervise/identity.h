/* Acting with the target's rights: on behalf of a target is never with more than it has. credentials(7).
 *
 * The effective uid and gid, the groups and the effective capabilities are the calling thread's own in the kernel,
 * so raw system calls change them for the supervisor alone. Its real and saved ids stay: nobody of the target's uid
 * may signal or trace it meanwhile, and it finds its way back.
 */
#ifndef SL_SUPERVISE_IDENTITY_H
#define SL_SUPERVISE_IDENTITY_H

#include <linux/capability.h>

#include "supervise/gate.h"

enum { IDENTITY_GROUPS_MAX = 1024 };
struct identity {
	bool own;          /* as the supervisor is now: nothing to put on */
	bool own_ids;      /* ... but for the capabilities */
	bool known;        /* the rest was read */
	struct ucred real; /* process, and real ids */
	uid_t uid, fs_uid;
	gid_t gid, fs_gid;
	uint64_t effective;
	mode_t mask; /* umask(2); only with identity_read_all() */
	int group_count;
	gid_t groups[IDENTITY_GROUPS_MAX];
};

/* What the supervisor itself is, once it has locked itself in. */
int identity_init(void);

/* The caller's, while it waits. Costs nothing where nothing can have changed: where there is no privilege, now and at
 * the start. -EPERM: it is somebody else, and the supervisor cannot become that; -ESTALE. */
int identity_read(struct gate *gate, const struct call *call, struct identity *identity);
int identity_read_all(struct gate *gate, const struct call *call, struct identity *identity);

/* To it and back. A failure to put it on is undone; a failure to go back ends the process: what comes next would be
 * done as somebody else. */
int identity_assume(const struct identity *identity);
void identity_restore(const struct identity *identity);
bool identity_assumed(void);

/* Some of what is permitted, besides what is in effect now, and back; going back does not fail but by ending the process.
 * -EPERM. */
#define IDENTITY_TO_SPEAK (1ull << CAP_SYS_ADMIN | 1ull << CAP_SETUID | 1ull << CAP_SETGID)
int identity_raise(uint64_t more, uint64_t *before);
void identity_lower(uint64_t before);

/* What a send on a unix socket must carry as SCM_CREDENTIALS: true where it must. Without it the kernel puts in the
 * sender's pid and real ids, which are the supervisor's: a receiver would take an ordinary target for root. *privileged:
 * CAP_SYS_ADMIN, CAP_SETUID and CAP_SETGID are needed to say that, and there; else the pid is the supervisor's. Never
 * with descriptors: CAP_SYS_ADMIN lifts the limit of those that are under way (unix(7), ETOOMANYREFS). */
bool identity_credentials(const struct identity *identity, bool with_descriptors, struct ucred *credentials,
                          bool *privileged);

#endif
