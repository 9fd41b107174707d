/* The public face: arguments are checked here, contracts are in sluice.h, work is done elsewhere. */
#include <errno.h>

#include "core/error.h"
#include "core/policy.h"
#include "netpolicy/netpolicy.h"
#include "supervise/supervise.h"

static int ports_check(const char *text, sl_error *error)
{
	struct port_set ports = {0};
	bool all = false;
	int r = bind_ports_parse(text, &ports, &all, error);

	port_set_clear(&ports);
	return r;
}

int sl_policy_set(sl_policy *policy, const char *key, const char *value, sl_error *error)
{
	static const struct policy_checks checks = {.rule = rule_check, .ports = ports_check};

	if (policy == NULL || key == NULL)
		return error_set(error, -EINVAL, "sl_policy_set: no %s given",
		                 policy == NULL ? "policy" : "key");
	return policy_set(policy, key, value, &checks, error);
}

int sl_policy_explain(const sl_policy *policy, FILE *out, sl_error *error)
{
	if (policy == NULL || out == NULL)
		return error_set(error, -EINVAL, "sl_policy_explain: no %s given",
		                 policy == NULL ? "policy" : "file");
	return explain_policy(policy, PLAN_IN_PLACE, out, error);
}

int sl_confine_self(const sl_policy *policy, sl_error *error)
{
	if (policy == NULL)
		return error_set(error, -EINVAL, "sl_confine_self: no policy given");
	return confine_in_place(policy, error);
}
