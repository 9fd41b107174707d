/* keep.h says what for. */
#include "core/keep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/parse.h"

static const enum option_id kept_options[] = {OPTION_TIMEOUT, OPTION_DIE_WITH_PARENT, OPTION_NAME,
                                              OPTION_STATUS_FD};

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

/* It tells how the command ended: what the command itself could write to it would be no word of ours. */
static int status_plan(struct plan *plan, const sl_policy *policy, sl_error *error)
{
	const struct value_list *kept = &policy->values[OPTION_KEEP_FD];

	plan->status_fd = -1;
	if (!policy_has(policy, OPTION_STATUS_FD))
		return 0;
	plan->status_fd = atoi(policy_scalar(policy, OPTION_STATUS_FD));
	for (size_t i = 0; i < kept->count; i++)
		if (atoi(kept->items[i]) == plan->status_fd)
			return error_set(error, -EINVAL,
			                 "status-fd: keep-fd gives descriptor %d to the command: drop one",
			                 plan->status_fd);
	return 0;
}

int keep_plan(struct plan *plan, const sl_policy *policy, sl_error *error)
{
	for (size_t i = 0; plan->kept == NULL && i < sizeof(kept_options) / sizeof(kept_options[0]); i++)
		if (policy_has(policy, kept_options[i]))
			plan->kept = option_rows[kept_options[i]].key;
	if (plan->kept != NULL && plan->mode == PLAN_IN_PLACE)
		return place_refuse(policy, error);
	plan->die_with_parent = policy_has(policy, OPTION_DIE_WITH_PARENT);
	if (policy_has(policy, OPTION_TIMEOUT))
		duration_parse(policy_scalar(policy, OPTION_TIMEOUT), &plan->timeout_ms);
	return status_plan(plan, policy, error);
}

void keep_print(const struct plan *plan, FILE *out)
{
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
