/* The environment of a command: what it gets of the caller's, and what the policy adds. environ(7). */
#ifndef SL_CORE_ENVIRONMENT_H
#define SL_CORE_ENVIRONMENT_H

#include <stdio.h>

#include "core/policy.h"

/* NAME=VALUE. -EINVAL. */
int environment_check_setting(const char *key, const char *text, sl_error *error);
/* A pattern of names: '*' is any bytes, '?' is one. -EINVAL. */
int environment_check_pattern(const char *key, const char *text, sl_error *error);

/* Of `inherited`, which may be NULL, what the policy lets through, then what it sets. One block: free(3) it. -ENOMEM. */
int environment_build(const sl_policy *policy, char *const inherited[], char ***environment);

/* The value of a variable, as getenv(3) finds it, or NULL. */
const char *environment_get(char *const environment[], const char *name);

/* What environment_build() does, in words; no values, which may be secrets. */
void environment_print(const sl_policy *policy, FILE *out);

#endif
