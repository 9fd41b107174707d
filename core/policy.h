/* What is wanted: values by option row, checked when they are set, kept as they were written. */
#ifndef SL_CORE_POLICY_H
#define SL_CORE_POLICY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sluice.h"

enum option_id {
#define OPTION(name, key, letter, kind, arg, help, older) OPTION_##name,
#include "core/options.def"
#undef OPTION
	OPTION_COUNT,
};

enum option_kind {
	OPTION_FLAG,      /* on or off; at most one value */
	OPTION_SIZE,      /* one value, the last wins */
	OPTION_DURATION,  /* likewise */
	OPTION_MEMORY,    /* likewise: a size that a program can live in */
	OPTION_PROCESSES, /* a number of them; one value */
	OPTION_PERCENT,   /* of one CPU; one value */
	OPTION_PATHS,     /* bytes, not empty */
	OPTION_RULES,     /* netpolicy's grammar */
	OPTION_BINDS,     /* netpolicy's grammar */
	OPTION_PROXY,     /* a port, and what may be bound; one value */
	OPTION_SERVERS,   /* netpolicy's grammar */
	OPTION_UNIX,      /* core/unix_need.h */
	OPTION_SYSCALLS,  /* comma list of names */
	OPTION_GROUPS,    /* comma list of group names */
	OPTION_FDS,       /* one descriptor number */
	OPTION_FD,        /* likewise, one value */
	OPTION_HOST,      /* one value */
	OPTION_CPUS,      /* a number of them, one value */
	OPTION_LACKS,     /* comma list of protections that a kernel may lack */
	OPTION_NUMBER,    /* one value of 1 or more */
	OPTION_PATH,      /* one value, bytes, not empty */
	OPTION_LIMITS,    /* core/child.h */
	OPTION_CORES,     /* core/child.h; one value */
	OPTION_MODE,      /* octal; one value */
	OPTION_IDS,       /* UID:GID; one value */
	OPTION_SETTINGS,  /* NAME=VALUE */
	OPTION_NAMES,     /* patterns of variables */
	OPTION_DEVICES,   /* core/gpu.h; one value */
};

struct option_row {
	const char *key;
	int letter; /* short option, 0 for none */
	enum option_kind kind;
	const char *arg; /* NULL: takes none */
	const char *help;
	const char *older; /* an older spelling that means the same, or NULL */
};

extern const struct option_row option_rows[OPTION_COUNT];

struct value_list {
	char **items;
	size_t count;
};

struct sl_policy {
	struct value_list values[OPTION_COUNT];
	atomic_bool frozen;
};

/* netpolicy/ knows these grammars; core/ may not know netpolicy/, so whoever sees both hands them in. */
struct policy_checks {
	int (*rule)(const char *key, const char *text, sl_error *error);
	int (*bind)(const char *key, const char *text, sl_error *error);
	int (*server)(const char *key, const char *text, sl_error *error);
};

int policy_set(sl_policy *policy, const char *key, const char *value, const struct policy_checks *checks,
               sl_error *error);

/* What policy_set() asks of a value, without setting it. */
int policy_value_check(const struct option_row *row, const char *value, const struct policy_checks *checks,
                       sl_error *error);
/* Neither asks whether a policy is frozen. */
void policy_unset(sl_policy *policy, const struct option_row *row);
void policy_swap_values(sl_policy *one, sl_policy *other);

static inline bool policy_has(const sl_policy *policy, enum option_id option)
{
	return policy->values[option].count > 0;
}

/* The one value of a scalar; only where policy_has(). */
const char *policy_scalar(const sl_policy *policy, enum option_id option);

/* Does a value of `degrade` name it? */
bool policy_degrades(const sl_policy *policy, const char *protection);

/* What is accepted; core/policy.c says why. */
#define MEMORY_LEAST     (1ull << 20)
#define PROCESSES_MOST   (1u << 22)
#define CPU_PERCENT_MOST 100000u

/* A value of net-proxy-only. *binds is a part of `value`, or NULL. -EINVAL. */
int proxy_parse(const char *value, uint16_t *port, const char **binds);

/* How many a value of num-cpus says. -EINVAL, -ERANGE. */
int cpus_parse(const char *value, unsigned *cpus);

/* Has it at most one value, of which the last wins? */
bool option_is_scalar(const struct option_row *row);

/* The row of a key or an older spelling, or NULL. */
const struct option_row *option_find(const char *key);
/* The known key that is nearest to an unknown one. Never NULL. */
const char *option_nearest(const char *key);

/* Room for one more behind `count` items of `size` bytes, to be grown only here: twice as much each time it is full, so
 * that what a hostile file appends is not copied over and over. NULL: memory is out, and `items` is as it was. */
void *array_grow(void *items, size_t count, size_t size);

/* Call `each` with every element of a comma list, a copy that lives for the call; stops at the first
 * negative result and returns it. Empty elements are passed on as "". -ENOMEM. */
int comma_each(const char *list, int (*each)(const char *item, void *context), void *context);

#endif
