/* keep.h says what for. */
#include "core/keep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/parse.h"

static const enum option_id kept_options[] = {
	OPTION_MAX_MEMORY, OPTION_MAX_PROCESSES,   OPTION_CPU,  OPTION_CGROUP,
	OPTION_TIMEOUT,    OPTION_DIE_WITH_PARENT, OPTION_NAME, OPTION_STATUS_FD,
};

/* All that are set and not `but`. */
static size_t keys_list(const sl_policy *policy, enum option_id but, char *keys, size_t room)
{
	size_t used = 0;

	keys[0] = '\0';
	for (size_t i = 0; i < sizeof(kept_options) / sizeof(kept_options[0]); i++)
		if (policy_has(policy, kept_options[i]) && kept_options[i] != but && used < room)
			used += (size_t)snprintf(keys + used, room - used, "%s%s", used > 0 ? ", " : "",
			                         option_rows[kept_options[i]].key);
	return used;
}

size_t keep_list(const sl_policy *policy, char *keys, size_t room)
{
	return keys_list(policy, OPTION_COUNT, keys, room);
}

/* A host name can be seen in place as well; all else needs a process beside the command. */
static int place_check(const sl_policy *policy, sl_error *error)
{
	char keys[200];

	if (keys_list(policy, OPTION_NAME, keys, sizeof(keys)) == 0)
		return 0;
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

/* It tells how the command ended: what the command itself could write to it would be no word of ours. */
static int status_plan(struct plan *plan, const sl_policy *policy, sl_error *error)
{
	const struct value_list *kept = &policy->values[OPTION_KEEP_FD];

	plan->status_fd = -1;
	if (!policy_has(policy, OPTION_STATUS_FD))
		return 0;
	plan->status_fd = atoi(policy_scalar(policy, OPTION_STATUS_FD));
	if (plan->status_fd < 3)
		return error_set(
			error, -EINVAL,
			"status-fd: descriptor %d is the command's, who could write there too: 3 or more",
			plan->status_fd);
	for (size_t i = 0; i < kept->count; i++)
		if (atoi(kept->items[i]) == plan->status_fd)
			return error_set(error, -EINVAL,
			                 "status-fd: keep-fd gives descriptor %d to the command: drop one",
			                 plan->status_fd);
	return 0;
}

int keep_plan(struct plan *plan, const sl_policy *policy, const struct kernel *kernel, sl_error *error)
{
	int r;

	if (plan->mode == PLAN_IN_PLACE && (r = place_check(policy, error)) < 0)
		return r;
	for (size_t i = 0; plan->kept == NULL && i < sizeof(kept_options) / sizeof(kept_options[0]); i++)
		if (policy_has(policy, kept_options[i]) && plan->mode != PLAN_IN_PLACE)
			plan->kept = option_rows[kept_options[i]].key;
	limits_fill(plan, policy);
	if (plan->mode != PLAN_IN_PLACE) {
		plan->cgroup = kernel->cgroup;
		plan->cgroup_why = kernel->cgroup_why;
	}
	plan->die_with_parent = policy_has(policy, OPTION_DIE_WITH_PARENT);
	if (policy_has(policy, OPTION_TIMEOUT))
		duration_parse(policy_scalar(policy, OPTION_TIMEOUT), &plan->timeout_ms);
	return status_plan(plan, policy, error);
}

static void cgroup_print(const struct plan *plan, FILE *out)
{
	if (plan->cgroup != 0)
		fputs("control group: one for the command; it is frozen and killed as a whole\n", out);
	if (plan->cgroup_why == NULL || *plan->cgroup_why == '\0')
		return;
	fprintf(out, "%s: ", plan->cgroup == 0 ? "no control group" : "not all limits by the control group");
	path_print(plan->cgroup_why, out);
	fputc('\n', out);
}

/* Which mechanism, and what the program sees of it. */
static void limits_print(const struct plan *plan, FILE *out)
{
	if (plan->max_memory > 0)
		fprintf(out, "max-memory: all processes together, %llu bytes; %s\n",
		        (unsigned long long)plan->max_memory,
		        plan_looks_at_memory(plan)
		                ? "the keeper looks at what they use, and kills the tree above that"
		                : "a control group, and the kernel's memory for them counts too: it drops "
		                  "what files it can read again, and kills the tree above that");
	if (plan->max_processes > 0)
		fprintf(out,
		        "max-processes: %u at once, the command included; the supervisor is asked before each fork, "
		        "and answers EAGAIN\n",
		        plan->max_processes);
	if (plan->cpu_percent > 0)
		fprintf(out, "cpu: all processes together, %u %% of one CPU; %s\n", plan->cpu_percent,
		        plan_looks_at_cpu(plan) ? "the keeper stops the tree (SIGSTOP) when it has had that, "
		                                  "and continues it"
		                                : "a control group lets it wait when it has had that");
	cgroup_print(plan, out);
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
	if (plan->status_fd >= 0)
		fprintf(out, "status-fd: how the command ended is written to descriptor %d\n",
		        plan->status_fd);
}
