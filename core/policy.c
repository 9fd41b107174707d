/* Building a policy: every value is checked before anything is changed. */
#include "core/policy.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "core/child.h"
#include "core/environment.h"
#include "core/error.h"
#include "core/fd.h"
#include "core/gpu.h"
#include "core/parse.h"
#include "core/syscalls.h"
#include "core/unix_need.h"

int comma_each(const char *list, int (*each)(const char *item, void *context), void *context)
{
	cleanup_free char *copy = strdup(list);
	char *rest = copy, *item;
	int r = 0;

	if (copy == NULL)
		return -ENOMEM;
	while (r >= 0 && (item = strsep(&rest, ",")) != NULL)
		r = each(item, context);
	return r;
}

/* Names that are not known, one after the other: whoever typed three wrong wants to hear of three. */
struct name_check {
	bool (*known)(const char *name);
	char unknown[160];
};

static int name_collect(const char *name, void *context)
{
	struct name_check *check = context;
	size_t used = strlen(check->unknown);

	if (!check->known(name))
		snprintf(check->unknown + used, sizeof(check->unknown) - used, "%s%s", used > 0 ? ", " : "",
		         *name == '\0' ? "(empty)" : name);
	return 0;
}

static bool syscall_known(const char *name)
{
	return syscall_by_name(name) != NULL;
}

static bool lack_known(const char *name)
{
	return strcmp(name, "scopes") == 0 || strcmp(name, "ioctl") == 0;
}

static bool group_known(const char *name)
{
	enum slot slot;

	return syscall_group_slot(name, &slot) == 0;
}

/* The names of one kind of list: what it is called, which there are (NULL: too many to say). */
struct name_kind {
	bool (*known)(const char *name);
	const char *what, *all;
};

static int names_check(const struct option_row *row, const char *value, const struct name_kind *kind,
                       sl_error *error)
{
	struct name_check check = {.known = kind->known};
	int r = comma_each(value, name_collect, &check);

	if (r < 0)
		return error_errno(error, r, "%s", row->key);
	if (check.unknown[0] == '\0')
		return 0;
	return error_set(error, -EINVAL, "%s: unknown %s: %s%s%s", row->key, kind->what, check.unknown,
	                 kind->all != NULL ? "; expected " : "", kind->all != NULL ? kind->all : "");
}

static int groups_check(const struct option_row *row, const char *value, sl_error *error)
{
	return names_check(row, value,
	                   &(struct name_kind){group_known, "syscall group", syscall_group_names()}, error);
}

static int lacks_check(const struct option_row *row, const char *value, sl_error *error)
{
	static const struct name_kind kind = {lack_known, "protection", "scopes, ioctl"};

	return names_check(row, value, &kind, error);
}

/* What keeps a confinement from finishing is not the target's to lose: the last steps run under the filter.
 */
static int deny_check(const char *name, void *context)
{
	static const char *const needed[] = {
		"read", "write",          "close",        "futex",  "poll",    "wait4",     "rt_sigaction",
		"exit", "rt_sigprocmask", "rt_sigreturn", "execve", "seccomp", "exit_group"};

	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		if (strcmp(name, needed[i]) == 0)
			return error_set(context, -EINVAL,
			                 "deny-syscall: %s cannot be denied: confining itself needs it",
			                 name);
	return 0;
}

static int denials_check(const struct option_row *row, const char *value, sl_error *error)
{
	static const struct name_kind kind = {syscall_known, "syscall", NULL};
	int r = names_check(row, value, &kind, error);

	if (r < 0)
		return r;
	r = comma_each(value, deny_check, error);
	return r == -ENOMEM ? error_errno(error, r, "%s", row->key) : r;
}

static int flag_check(const char *key, const char *value, sl_error *error)
{
	if (value == NULL || *value == '\0' || strcmp(value, "yes") == 0)
		return 0;
	return error_set(error, -EINVAL, "%s: \"%.64s\" given, expected no value or \"yes\"", key, value);
}

static int size_check(const char *key, const char *value, sl_error *error)
{
	uint64_t size;
	int r = size_parse(value, &size);

	if (r < 0)
		return error_set(error, r, "%s: \"%.64s\" %s, expected a size such as 512K, 64MiB or 1.5G",
		                 key, value, r == -ERANGE ? "is too large" : "is not a size");
	return 0;
}

static int duration_check(const char *key, const char *value, sl_error *error)
{
	uint64_t ms;
	int r = duration_parse(value, &ms);

	if (r < 0)
		return error_set(error, r, "%s: \"%.64s\" %s, expected a time such as 30, 1.5s, 10m or 2h",
		                 key, value, r == -ERANGE ? "is too long or too short" : "is not a time");
	return 0;
}

static int fd_check(const char *key, const char *value, sl_error *error)
{
	uint64_t number;
	int r = number_parse(value, 0, INT_MAX, &number);

	if (r < 0)
		return error_set(error, r, "%s: \"%.64s\" given, expected a descriptor number", key, value);
	return 0;
}

/* In less no program starts at all. */
static int memory_check(const char *key, const char *value, sl_error *error)
{
	uint64_t size = 0;
	int r = size_check(key, value, error);

	if (r < 0)
		return r;
	size_parse(value, &size);
	if (size < MEMORY_LEAST)
		return error_set(error, -ERANGE, "%s: \"%.64s\" given, expected 1M at least", key, value);
	return 0;
}

/* More processes than the kernel has numbers for is no limit, nor is more CPU than any machine has. */
static int number_check(const char *key, const char *value, unsigned most, sl_error *error)
{
	uint64_t number;
	int r = number_parse(value, 1, most, &number);

	if (r < 0)
		return error_set(error, r, "%s: \"%.64s\" given, expected a number in 1..%u", key, value,
		                 most);
	return 0;
}

static int unix_check(const char *key, const char *value, sl_error *error)
{
	struct unix_rule rule;

	return unix_rule_parse(key, value, &rule, error);
}

int proxy_parse(const char *value, uint16_t *port, const char **binds)
{
	size_t size = strcspn(value, ":");
	char digits[8];
	uint64_t number;

	if (size >= sizeof(digits))
		return -EINVAL;
	memcpy(digits, value, size);
	digits[size] = '\0';
	if (number_parse(digits, 1, UINT16_MAX, &number) < 0)
		return -EINVAL;
	*port = (uint16_t)number;
	*binds = value[size] == '\0' ? NULL : value + size + 1;
	return 0;
}

static int proxy_check(const char *key, const char *value, const struct policy_checks *checks,
                       sl_error *error)
{
	const char *binds;
	uint16_t port;

	if (proxy_parse(value, &port, &binds) < 0)
		return error_set(
			error, -EINVAL,
			"%s: \"%.64s\" given, expected a port in 1..65535, and after a colon ports to bind",
			key, value);
	return binds == NULL ? 0 : checks->bind(key, binds, error);
}

/* It is shown as a node name, which has this many bytes (uname(2)), and serves as the name of a file. */
static int host_name_check(const char *key, const char *value, sl_error *error)
{
	enum { NAME_BYTES_MAX = 64 };

	if (strlen(value) > NAME_BYTES_MAX)
		return error_set(error, -ENAMETOOLONG, "%s: %zu bytes given, expected at most %d", key,
		                 strlen(value), NAME_BYTES_MAX);
	if (strchr(value, '/') != NULL || strcmp(value, ".") == 0 || strcmp(value, "..") == 0)
		return error_set(
			error, -EINVAL,
			"%s: \"%.64s\" given, expected a name without \"/\", and not \".\" or \"..\"", key,
			value);
	return 0;
}

int cpus_parse(const char *value, unsigned *cpus)
{
	uint64_t number;
	int r = number_parse(value, 1, 1024, &number);

	if (r == 0)
		*cpus = (unsigned)number;
	return r;
}

static int cpus_check(const char *key, const char *value, sl_error *error)
{
	unsigned cpus;
	int r = cpus_parse(value, &cpus);

	if (r < 0)
		return error_set(error, r, "%s: \"%.64s\" given, expected a number in 1..1024", key, value);
	return 0;
}

/* What a command is started with. */
static int process_check(const struct option_row *row, const char *value, sl_error *error)
{
	if (row->kind == OPTION_SETTINGS)
		return environment_check_setting(row->key, value, error);
	if (row->kind == OPTION_NAMES)
		return environment_check_pattern(row->key, value, error);
	if (row->kind == OPTION_DEVICES)
		return gpu_check(row->key, value, error);
	return child_check(row, value, error);
}

int policy_value_check(const struct option_row *row, const char *value, const struct policy_checks *checks,
                       sl_error *error)
{
	if (row->kind == OPTION_FLAG)
		return flag_check(row->key, value, error);
	if (value == NULL || *value == '\0')
		return error_set(error, -EINVAL, "%s: no value, expected %s", row->key, row->arg);
	switch (row->kind) {
	case OPTION_SIZE:
		return size_check(row->key, value, error);
	case OPTION_DURATION:
		return duration_check(row->key, value, error);
	case OPTION_MEMORY:
		return memory_check(row->key, value, error);
	case OPTION_PROCESSES:
		return number_check(row->key, value, PROCESSES_MOST, error);
	case OPTION_PERCENT:
		return number_check(row->key, value, CPU_PERCENT_MOST, error);
	case OPTION_RULES:
		return checks->rule(row->key, value, error);
	case OPTION_BINDS:
		return checks->bind(row->key, value, error);
	case OPTION_SERVERS:
		return checks->server(row->key, value, error);
	case OPTION_PROXY:
		return proxy_check(row->key, value, checks, error);
	case OPTION_UNIX:
		return unix_check(row->key, value, error);
	case OPTION_FDS:
	case OPTION_FD:
		return fd_check(row->key, value, error);
	case OPTION_SYSCALLS:
		return denials_check(row, value, error);
	case OPTION_GROUPS:
		return groups_check(row, value, error);
	case OPTION_HOST:
		return host_name_check(row->key, value, error);
	case OPTION_CPUS:
		return cpus_check(row->key, value, error);
	case OPTION_LACKS:
		return lacks_check(row, value, error);
	case OPTION_NUMBER:
	case OPTION_LIMITS:
	case OPTION_CORES:
	case OPTION_MODE:
	case OPTION_IDS:
	case OPTION_SETTINGS:
	case OPTION_NAMES:
	case OPTION_DEVICES:
		return process_check(row, value, error);
	case OPTION_FLAG:
	case OPTION_PATHS:
	case OPTION_PATH:
		return 0;
	}
	return error_set(error, -EINVAL, "%s: no check for this kind of option", row->key);
}

void *array_grow(void *items, size_t count, size_t size)
{
	if (count != 0 && (count & (count - 1)) != 0)
		return items;
	return reallocarray(items, count == 0 ? 1 : 2 * count, size);
}

bool option_is_scalar(const struct option_row *row)
{
	static const enum option_kind scalars[] = {
		OPTION_FLAG, OPTION_SIZE,   OPTION_PROXY,     OPTION_FD,      OPTION_NUMBER,  OPTION_DURATION,
		OPTION_PATH, OPTION_CORES,  OPTION_MODE,      OPTION_IDS,     OPTION_DEVICES, OPTION_HOST,
		OPTION_CPUS, OPTION_MEMORY, OPTION_PROCESSES, OPTION_PERCENT,
	};

	for (size_t i = 0; i < sizeof(scalars) / sizeof(scalars[0]); i++)
		if (row->kind == scalars[i])
			return true;
	return false;
}

static int list_append(struct value_list *list, const char *value)
{
	char *copy = strdup(value);
	char **items = copy == NULL ? NULL : array_grow(list->items, list->count, sizeof(*items));

	if (items == NULL) {
		free(copy);
		return -ENOMEM;
	}
	list->items = items;
	items[list->count++] = copy;
	return 0;
}

/* The new value first, then the old one goes: without memory nothing has changed. */
static int scalar_replace(struct value_list *list, const char *value)
{
	int r = list_append(list, value);

	if (r == 0 && list->count == 2) {
		free(list->items[0]);
		list->items[0] = list->items[1];
		list->count = 1;
	}
	return r;
}

int policy_set(sl_policy *policy, const char *key, const char *value, const struct policy_checks *checks,
               sl_error *error)
{
	const struct option_row *row = option_find(key);
	struct value_list *list;
	int r;

	if (atomic_load(&policy->frozen))
		return error_set(error, -EBUSY, "%s: this policy is in use and cannot change; copy it first",
		                 key);
	if (row == NULL)
		return error_set(error, -ENOENT, "unknown key \"%.64s\"; the nearest is \"%s\"", key,
		                 option_nearest(key));
	if ((r = policy_value_check(row, value, checks, error)) < 0)
		return r;
	list = &policy->values[row - option_rows];
	r = option_is_scalar(row) ? scalar_replace(list, value == NULL ? "" : value)
	                          : list_append(list, value);
	return r < 0 ? error_errno(error, r, "%s", row->key) : 0;
}

static void list_clear(struct value_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
	*list = (struct value_list){0};
}

void policy_unset(sl_policy *policy, const struct option_row *row)
{
	list_clear(&policy->values[row - option_rows]);
}

void policy_swap_values(sl_policy *one, sl_policy *other)
{
	for (size_t option = 0; option < OPTION_COUNT; option++) {
		struct value_list list = one->values[option];

		one->values[option] = other->values[option];
		other->values[option] = list;
	}
}

static int name_is(const char *name, void *context)
{
	return strcmp(name, context) == 0 ? -EEXIST : 0;
}

bool policy_degrades(const sl_policy *policy, const char *protection)
{
	const struct value_list *values = &policy->values[OPTION_DEGRADE];
	int r = 0;

	for (size_t i = 0; r == 0 && i < values->count; i++)
		r = comma_each(values->items[i], name_is, (void *)protection);
	return r == -EEXIST;
}

const char *policy_scalar(const sl_policy *policy, enum option_id option)
{
	return policy->values[option].items[0];
}

sl_policy *sl_policy_new(void)
{
	return calloc(1, sizeof(sl_policy));
}

void sl_policy_free(sl_policy *policy)
{
	if (policy == NULL)
		return;
	for (size_t option = 0; option < OPTION_COUNT; option++)
		list_clear(&policy->values[option]);
	free(policy);
}

sl_policy *sl_policy_copy(const sl_policy *policy)
{
	sl_policy *copy = policy == NULL ? NULL : sl_policy_new();

	for (size_t option = 0; copy != NULL && option < OPTION_COUNT; option++) {
		const struct value_list *list = &policy->values[option];

		for (size_t i = 0; i < list->count; i++) {
			if (list_append(&copy->values[option], list->items[i]) < 0) {
				sl_policy_free(copy);
				return NULL;
			}
		}
	}
	return copy;
}
