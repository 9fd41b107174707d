/* umask, user, cpu-cores, limits and their kin: read from the policy, and said in words. confine/child.c acts. */
#include "core/child.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/resource.h>

#include "core/error.h"
#include "core/fd.h"
#include "core/parse.h"
#include "core/plan.h"

enum { UNIT_COUNT, UNIT_BYTES };

const struct limit_row limit_rows[LIMIT_COUNT] = {
#define LIMIT(name, text, unit) [LIMIT_##name] = {text, RLIMIT_##name, UNIT_##unit == UNIT_BYTES},
#include "core/limits.def"
#undef LIMIT
};
_Static_assert((int)LIMIT_COUNT == (int)RLIM_NLIMITS, "getrlimit(2)");

/* ---- values ---- */

static int mask_parse(const char *text, mode_t *mask)
{
	size_t digits = strspn(text, "01234567");

	if (digits == 0 || text[digits] != '\0')
		return -EINVAL;
	*mask = 0;
	for (; *text != '\0'; text++)
		if ((*mask = *mask << 3 | (mode_t)(*text - '0')) > 0777)
			return -ERANGE;
	return 0;
}

/* The id that is all ones means "leave it" to the calls that take one. */
static int user_parse(const char *text, uid_t *uid, gid_t *gid)
{
	const char *colon = strchr(text, ':');
	uint64_t user, group;
	char digits[16];
	int r;

	if (colon == NULL || (size_t)(colon - text) >= sizeof(digits))
		return -EINVAL;
	memcpy(digits, text, (size_t)(colon - text));
	digits[colon - text] = '\0';
	if ((r = number_parse(digits, 0, UINT32_MAX - 1, &user)) < 0 ||
	    (r = number_parse(colon + 1, 0, UINT32_MAX - 1, &group)) < 0)
		return r;
	*uid = (uid_t)user;
	*gid = (gid_t)group;
	return 0;
}

/* "3" or "0-3", into a mask. */
static int cores_take(const char *item, void *context)
{
	unsigned long *mask = context;
	const char *dash = strchr(item, '-');
	uint64_t low, high;
	char digits[8];
	size_t size = dash == NULL ? strlen(item) : (size_t)(dash - item);
	int r;

	if (size >= sizeof(digits))
		return -EINVAL;
	memcpy(digits, item, size);
	digits[size] = '\0';
	if ((r = number_parse(digits, 0, CORES_MAX - 1, &low)) < 0)
		return r;
	high = low;
	if (dash != NULL && (r = number_parse(dash + 1, low, CORES_MAX - 1, &high)) < 0)
		return r;
	for (; low <= high; low++)
		mask[low / CORE_BITS] |= 1ul << low % CORE_BITS;
	return 0;
}

static int amount_parse(const struct limit_row *row, const char *text, uint64_t *amount)
{
	if (strcmp(text, "unlimited") == 0) {
		*amount = RLIM_INFINITY;
		return 0;
	}
	return row->bytes ? size_parse(text, amount) : number_parse(text, 0, UINT64_MAX, amount);
}

static const struct limit_row *limit_find(const char *name, size_t size)
{
	for (size_t i = 0; i < LIMIT_COUNT; i++)
		if (strncmp(limit_rows[i].name, name, size) == 0 && limit_rows[i].name[size] == '\0')
			return &limit_rows[i];
	return NULL;
}

/* NAME=SOFT[:HARD]; one amount is both, as for prlimit(1). -ENOENT: no such name. -EDOM: SOFT is above HARD. */
static int limit_parse(const char *text, const struct limit_row **row, struct limit *limit)
{
	size_t size = strcspn(text, "=");
	cleanup_free char *soft = NULL;
	char *hard;
	int r;

	if ((*row = limit_find(text, size)) == NULL)
		return -ENOENT;
	if (text[size] == '\0')
		return -EINVAL;
	if ((soft = strdup(text + size + 1)) == NULL)
		return -ENOMEM;
	if ((hard = strchr(soft, ':')) != NULL)
		*hard++ = '\0';
	if ((r = amount_parse(*row, soft, &limit->soft)) < 0 ||
	    (r = amount_parse(*row, hard == NULL ? soft : hard, &limit->hard)) < 0)
		return r;
	limit->wanted = true;
	return limit->soft > limit->hard ? -EDOM : 0;
}

/* ---- checks ---- */

static int limit_check(const char *key, const char *value, sl_error *error)
{
	const struct limit_row *row;
	struct limit limit;
	int r = limit_parse(value, &row, &limit);

	if (r == -ENOENT)
		return error_set(
			error, -EINVAL,
			"%s: \"%.64s\" given, expected NAME=SOFT[:HARD], NAME one of as, core, cpu, data, "
			"fsize, locks, memlock, msgqueue, nice, nofile, nproc, rss, rtprio, rttime, "
			"sigpending, stack",
			key, value);
	if (r == -EDOM)
		return error_set(error, -EINVAL, "%s: \"%.64s\": SOFT is above HARD", key, value);
	if (r == -EINVAL || r == -ERANGE)
		return error_set(error, r,
		                 "%s: \"%.64s\" given, expected %s=SOFT[:HARD], each %s or unlimited", key,
		                 value, row->name, row->bytes ? "a size such as 64M" : "a number");
	return r < 0 ? error_errno(error, r, "%s", key) : 0;
}

static int cores_check(const char *key, const char *value, sl_error *error)
{
	unsigned long mask[CORES_MAX / CORE_BITS] = {0};
	int r = comma_each(value, cores_take, mask);

	if (r == -EINVAL || r == -ERANGE)
		return error_set(error, r, "%s: \"%.64s\" given, expected a list such as 0-3,5, within 0..%d",
		                 key, value, CORES_MAX - 1);
	return r < 0 ? error_errno(error, r, "%s", key) : 0;
}

int child_check(const struct option_row *row, const char *value, sl_error *error)
{
	uint64_t number;
	mode_t mask;
	uid_t uid;
	gid_t gid;
	int r = 0;

	if (row->kind == OPTION_NUMBER && (r = number_parse(value, 1, INT_MAX, &number)) < 0)
		return error_set(error, r, "%s: \"%.64s\" given, expected a number in 1..%d", row->key, value,
		                 INT_MAX);
	if (row->kind == OPTION_MODE && (r = mask_parse(value, &mask)) < 0)
		return error_set(error, r,
		                 "%s: \"%.64s\" given, expected octal digits such as 027, at most 777",
		                 row->key, value);
	if (row->kind == OPTION_IDS && (r = user_parse(value, &uid, &gid)) < 0)
		return error_set(error, r, "%s: \"%.64s\" given, expected UID:GID, two numbers", row->key,
		                 value);
	if (row->kind == OPTION_CORES)
		return cores_check(row->key, value, error);
	return row->kind == OPTION_LIMITS ? limit_check(row->key, value, error) : 0;
}

/* ---- from the policy ---- */

static int limit_claim(struct limit *limit, const struct limit_row *row, const struct limit *wanted,
                       const char *key, sl_error *error)
{
	if (limit->wanted && strcmp(limit->key, key) != 0)
		return error_set(error, -EINVAL, "%s and %s %s set the same limit: drop one", limit->key, key,
		                 row->name);
	*limit = *wanted;
	limit->key = key;
	snprintf(limit->step, sizeof(limit->step), "%s %s", key, row->name);
	return 0;
}

static int limits_read_list(struct child_setup *setup, const struct value_list *values, sl_error *error)
{
	const char *key = option_rows[OPTION_RLIMIT].key;
	int r = 0;

	for (size_t i = 0; r == 0 && i < values->count; i++) {
		struct limit wanted = {.wanted = false};
		const struct limit_row *row;

		if ((r = limit_parse(values->items[i], &row, &wanted)) < 0)
			return error_errno(error, r, "%s", key);
		r = limit_claim(&setup->limits[row - limit_rows], row, &wanted, key, error);
	}
	return r;
}

/* A key of its own for one limit. */
static void limit_cap(struct limit *limit, enum option_id option, uint64_t amount)
{
	*limit = (struct limit){true, true, amount, amount, option_rows[option].key};
	snprintf(limit->step, sizeof(limit->step), "%s", limit->key);
}

static int limits_read(struct child_setup *setup, const sl_policy *policy, sl_error *error)
{
	uint64_t files = 0;
	int r;

	if (policy_has(policy, OPTION_MAX_OPEN_FILES)) {
		number_parse(policy_scalar(policy, OPTION_MAX_OPEN_FILES), 1, INT_MAX, &files);
		limit_cap(&setup->limits[LIMIT_NOFILE], OPTION_MAX_OPEN_FILES, files);
	}
	if (policy_has(policy, OPTION_NO_COREDUMP))
		limit_cap(&setup->limits[LIMIT_CORE], OPTION_NO_COREDUMP, 0);
	/* Who has a real-time priority runs whatever he has had: such a process no control group lets wait, nor does it let a
	 * keeper run that is to stop it. */
	if (policy_has(policy, OPTION_CPU))
		limit_cap(&setup->limits[LIMIT_RTPRIO], OPTION_CPU, 0);
	/* The walls set that one, and keep it: here it only claims its place. */
	if (policy_has(policy, OPTION_MAX_FILE_SIZE))
		limit_cap(&setup->limits[LIMIT_FSIZE], OPTION_MAX_FILE_SIZE, 0);
	r = limits_read_list(setup, &policy->values[OPTION_RLIMIT], error);
	if (policy_has(policy, OPTION_MAX_FILE_SIZE))
		setup->limits[LIMIT_FSIZE].wanted = false;
	return r;
}

int child_setup_read(struct child_setup *setup, const sl_policy *policy, sl_error *error)
{
	int r;

	*setup = (struct child_setup){.user = policy_has(policy, OPTION_USER)};
	setup->no_realtime = policy_has(policy, OPTION_CPU);
	setup->no_huge_pages = policy_has(policy, OPTION_NO_HUGE_PAGES);
	setup->no_randomize = policy_has(policy, OPTION_NO_RANDOMIZE_MEMORY);
	if (setup->user)
		user_parse(policy_scalar(policy, OPTION_USER), &setup->uid, &setup->gid);
	if (policy_has(policy, OPTION_CWD)) {
		setup->cwd = policy_scalar(policy, OPTION_CWD);
		snprintf(setup->cwd_step, sizeof(setup->cwd_step), "cwd: %.200s", setup->cwd);
	}
	setup->mask_wanted = policy_has(policy, OPTION_UMASK);
	if (setup->mask_wanted)
		mask_parse(policy_scalar(policy, OPTION_UMASK), &setup->mask);
	if (policy_has(policy, OPTION_CPU_CORES)) {
		setup->cores = policy_scalar(policy, OPTION_CPU_CORES);
		if ((r = comma_each(setup->cores, cores_take, setup->core_mask)) < 0)
			return error_errno(error, r, "cpu-cores");
	}
	return limits_read(setup, policy, error);
}

const char *child_limit_key(const struct child_setup *setup)
{
	for (size_t i = 0; i < LIMIT_COUNT; i++)
		if (setup->limits[i].wanted)
			return setup->limits[i].key;
	return NULL;
}

/* ---- in words ---- */

static void amount_print(uint64_t amount, FILE *out)
{
	if (amount == RLIM_INFINITY)
		fputs("unlimited", out);
	else
		fprintf(out, "%llu", (unsigned long long)amount);
}

static void limits_print(const struct child_setup *setup, FILE *out)
{
	for (size_t i = 0; i < LIMIT_COUNT; i++) {
		const struct limit *limit = &setup->limits[i];

		if (!limit->wanted)
			continue;
		fprintf(out, "  limit %s: ", limit_rows[i].name);
		amount_print(limit->soft, out);
		if (limit->hard != limit->soft) {
			fputs(", hard ", out);
			amount_print(limit->hard, out);
		}
		fprintf(out, "%s (%s)\n", limit->capped ? " at most" : "", limit->key);
	}
}

void child_setup_print(const struct child_setup *setup, FILE *out)
{
	if (!setup->user && setup->cwd == NULL && !setup->mask_wanted && setup->cores == NULL &&
	    !setup->no_huge_pages && !setup->no_randomize && child_limit_key(setup) == NULL)
		return;
	fputs("process:\n", out);
	if (setup->user)
		fprintf(out,
		        "  user %u, group %u: of a user namespace, without a capability; nothing is done where the "
		        "ids are these already\n",
		        setup->uid, setup->gid);
	if (setup->cwd != NULL) {
		fputs("  directory: ", out);
		path_print(setup->cwd, out);
		fputc('\n', out);
	}
	if (setup->mask_wanted)
		fprintf(out, "  umask: %03o\n", setup->mask);
	if (setup->cores != NULL)
		fprintf(out, "  cores: %s, and the filter keeps it there\n", setup->cores);
	if (setup->no_huge_pages)
		fputs("  transparent huge pages: none\n", out);
	if (setup->no_randomize)
		fputs("  addresses: not randomized (ADDR_NO_RANDOMIZE)\n", out);
	limits_print(setup, out);
	fputs("\n", out);
}
