/* keep.h says what for. */
#include "core/keep.h"

#include <errno.h>
#include <string.h>

#include "core/error.h"
#include "core/parse.h"

static const enum option_id kept_options[] = {
	OPTION_MAX_MEMORY, OPTION_MAX_PROCESSES, OPTION_CPU, OPTION_TIMEOUT, OPTION_DIE_WITH_PARENT,
};

size_t keep_list(const sl_policy *policy, char *keys, size_t room)
{
	size_t used = 0;

	keys[0] = '\0';
	for (size_t i = 0; i < sizeof(kept_options) / sizeof(kept_options[0]); i++)
		if (policy_has(policy, kept_options[i]) && used < room)
			used += (size_t)snprintf(keys + used, room - used, "%s%s", used > 0 ? ", " : "",
			                         option_rows[kept_options[i]].key);
	return used;
}

static int place_refuse(const sl_policy *policy, sl_error *error)
{
	char keys[200];

	keep_list(policy, keys, sizeof(keys));
	return error_set(error, -EINVAL, "%s: only where a command is started, not in place", keys);
}

/* They were checked when they were set. */
static unsigned number_of(const sl_policy *policy, enum option_id option)
{
	uint64_t number = 0;

	if (policy_has(policy, option))
		number_parse(policy_scalar(policy, option), 0, UINT32_MAX, &number);
	return (unsigned)number;
}

static void limits_fill(struct plan *plan, const sl_policy *policy)
{
	if (policy_has(policy, OPTION_MAX_MEMORY))
		size_parse(policy_scalar(policy, OPTION_MAX_MEMORY), &plan->max_memory);
	plan->max_processes = number_of(policy, OPTION_MAX_PROCESSES);
	plan->cpu_percent = number_of(policy, OPTION_CPU);
}

int keep_plan(struct plan *plan, const sl_policy *policy, sl_error *error)
{
	for (size_t i = 0; plan->kept == NULL && i < sizeof(kept_options) / sizeof(kept_options[0]); i++)
		if (policy_has(policy, kept_options[i]))
			plan->kept = option_rows[kept_options[i]].key;
	if (plan->kept != NULL && plan->mode == PLAN_IN_PLACE)
		return place_refuse(policy, error);
	limits_fill(plan, policy);
	plan->die_with_parent = policy_has(policy, OPTION_DIE_WITH_PARENT);
	if (policy_has(policy, OPTION_TIMEOUT))
		duration_parse(policy_scalar(policy, OPTION_TIMEOUT), &plan->timeout_ms);
	return 0;
}

/* Which mechanism, and what the program sees of it. */
static void limits_print(const struct plan *plan, FILE *out)
{
	if (plan->max_memory > 0)
		fprintf(out,
		        "max-memory: all processes together, %llu bytes; the keeper looks at what they use, and kills "
		        "the tree above that\n",
		        (unsigned long long)plan->max_memory);
	if (plan->max_processes > 0)
		fprintf(out,
		        "max-processes: %u at once, the command included; the supervisor is asked before each fork, "
		        "and answers EAGAIN\n",
		        plan->max_processes);
	if (plan->cpu_percent > 0)
		fprintf(out,
		        "cpu: all processes together, %u %% of one CPU; the keeper stops the tree (SIGSTOP) when it "
		        "has had that, and continues it\n",
		        plan->cpu_percent);
}

void keep_print(const struct plan *plan, FILE *out)
{
	limits_print(plan, out);
	if (plan->timeout_ms > 0)
		fprintf(out, "timeout: the keeper kills the tree after %llu.%03llu s\n",
		        (unsigned long long)plan->timeout_ms / 1000,
		        (unsigned long long)plan->timeout_ms % 1000);
	if (plan->die_with_parent)
		fputs("die-with-parent: the keeper kills the tree when who started it ends\n", out);
}
