/* What only a keeper can do: the command's parent in launch mode. Pure. */
#ifndef SL_CORE_KEEP_H
#define SL_CORE_KEEP_H

#include "core/plan.h"

/* Fill in the plan's `kept` and what the keeper is to do. -EINVAL, and one message with all keys, in place. */
int keep_plan(struct plan *plan, const sl_policy *policy, const struct kernel *kernel, sl_error *error);

/* The keys among those of the policy, comma-separated; how many bytes that takes, as snprintf(3). */
size_t keep_list(const sl_policy *policy, char *keys, size_t room);

void keep_print(const struct plan *plan, FILE *out);

#endif
