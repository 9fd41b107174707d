/* Profiles: policies in YAML files. sluice-policy(5), PROFILES.
 *
 *     profile_yaml.c   the bytes of one file -> struct profile, or faults with line and column
 *     profile_print.c  a policy -> the YAML that reads back to it
 *     profile_find.c   a name -> a path
 *     profile_load.c   a path and all that it extends -> a policy
 */
#ifndef SL_CORE_PROFILE_H
#define SL_CORE_PROFILE_H

#include <limits.h>

#include "core/policy.h"

enum {
	PROFILE_SIZE_MAX = 1 << 20, /* bytes a file */
	PROFILE_NAME_MAX = 64,      /* bytes of a name */
	PROFILE_DEPTH_MAX = 16,     /* a file that is extended by one that is extended by ... */
	PROFILE_FILES_MAX = 64,     /* of one profile, in all */
};

/* Whoever hears of faults: of the first, with which reading ends, or of all that can be told. */
struct profile_faults {
	void (*fault)(struct profile_faults *self, const sl_error *error);
	bool all;
};

/* Keeps the first fault in *error. */
struct profile_first_fault {
	struct profile_faults faults;
	sl_error *error; /* may be NULL */
};
void profile_first_fault(struct profile_faults *self, const sl_error *error);

/* "FILE:LINE:COLUMN: <formatted>" goes to `faults`; returns `code`. Line 0: the file as a whole. */
struct profile_place {
	const char *file;
	size_t line, column;
};
int profile_fault(struct profile_faults *faults, const struct profile_place *place, int code,
                  const char *format, ...) __attribute__((format(printf, 4, 5)));

struct profile_value {
	const struct option_row *row;
	char *text; /* NULL: a flag that is switched off */
	size_t line, column;
};

struct profile_base {
	char *name; /* as it is written after `extends` */
	size_t line, column;
};

/* What one file says, in its order. */
struct profile {
	char *description; /* or NULL */
	struct profile_value *values;
	size_t value_count;
	struct profile_base *bases;
	size_t base_count;
};

struct profile_text {
	const char *file; /* its name in messages */
	const char *bytes;
	size_t size;
};

/* 0, or the code of the first fault: -EINVAL and what policy_value_check() gives, -EFBIG; -ENOMEM. *profile is
 * to be cleared in any case, and holds what was read. */
int profile_read(const struct profile_text *text, const struct policy_checks *checks,
                 struct profile_faults *faults, struct profile *profile);
void profile_clear(struct profile *profile);

/* YAML that profile_read() makes the same policy of. `description` may be NULL. -EIO. */
int profile_print(const sl_policy *policy, const char *description, FILE *out);

/* Where profiles are, the nearest first. "" is nowhere. */
enum { PROFILE_DIRS = 3 };
struct profile_dirs {
	char paths[PROFILE_DIRS][PATH_MAX];
};

/* The user's, the system's and those that came with Sluice. */
void profile_dirs_get(struct profile_dirs *dirs);

/* No slash, no dot in front, no control bytes, 1 to PROFILE_NAME_MAX bytes. */
bool profile_name_valid(const char *name);

/* The nearest directory's file of this name. -EINVAL no name, -ENOENT nowhere, or why it cannot be looked for. */
int profile_find(const struct profile_dirs *dirs, const char *name, char path[static PATH_MAX],
                 sl_error *error);

struct profile_source {
	const struct profile_dirs *dirs;
	const struct policy_checks *checks;
	struct profile_faults *faults;
};

/* What `file` and all that it extends say goes into `policy`, or nothing at all. The file's own description is
 * left in *description, to be freed, where that is not NULL. Errors: sl_policy_load(). */
int profile_load(sl_policy *policy, const char *file, const struct profile_source *source,
                 char **description);

#endif
