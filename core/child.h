/* What a process does to itself on its way behind the walls, worked out before there is a fork. Pure. */
#ifndef SL_CORE_CHILD_H
#define SL_CORE_CHILD_H

#include <stdio.h>
#include <sys/types.h>

#include "core/policy.h"

enum limit_id {
#define LIMIT(name, text, unit) LIMIT_##name,
#include "core/limits.def"
#undef LIMIT
	LIMIT_COUNT,
};

struct limit_row {
	const char *name;
	int resource; /* setrlimit(2) */
	bool bytes;   /* takes sizes */
};

extern const struct limit_row limit_rows[LIMIT_COUNT];

struct limit {
	bool wanted;
	bool capped; /* what is there already is kept where it is lower; else that is an error */
	uint64_t soft, hard;
	const char *key; /* that asked for it */
	char step[28];   /* the key, and the limit's name where it does not say that */
};

enum { CORES_MAX = 1024, CORE_BITS = 8 * sizeof(unsigned long) };

struct child_setup {
	bool user; /* until child_settle(): where these are not the ids already */
	uid_t uid;
	gid_t gid;
	char uid_map[40], gid_map[40]; /* of child_settle() */

	const char *cwd; /* the policy's, or NULL */
	char cwd_step[240];

	bool mask_wanted;
	mode_t mask;

	const char *cores; /* as written; the policy's, or NULL */
	unsigned long core_mask[CORES_MAX / CORE_BITS];

	bool no_huge_pages, no_randomize, no_realtime;
	struct limit limits[LIMIT_COUNT];
};

/* A value of max-open-files, umask, user, cpu-cores or rlimit. -EINVAL, -ERANGE, -ENOMEM. */
int child_check(const struct option_row *row, const char *value, sl_error *error);

/* Borrows the policy's strings. -EINVAL: two keys that set the same limit. -ENOMEM. */
int child_setup_read(struct child_setup *setup, const sl_policy *policy, sl_error *error);

/* A key that asks for a limit, or NULL. */
const char *child_limit_key(const struct child_setup *setup);

void child_setup_print(const struct child_setup *setup, FILE *out);

#endif
