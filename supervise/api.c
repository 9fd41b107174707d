/* The public face: arguments are checked here, contracts are in sluice.h, work is done elsewhere. */
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/error.h"
#include "core/kernel.h"
#include "core/policy.h"
#include "netpolicy/dns.h"
#include "netpolicy/netpolicy.h"
#include "supervise/supervise.h"

const struct policy_checks policy_checks_all = {
	.rule = rule_check, .bind = bind_check, .server = dns_server_check};

int sl_policy_set(sl_policy *policy, const char *key, const char *value, sl_error *error)
{
	if (policy == NULL || key == NULL)
		return error_set(error, -EINVAL, "sl_policy_set: no %s given",
		                 policy == NULL ? "policy" : "key");
	return policy_set(policy, key, value, &policy_checks_all, error);
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

int sl_port_mappings(struct sl_port_mapping *mappings, size_t room)
{
	long r;

	if (mappings == NULL && room > 0)
		return -EINVAL;
	r = syscall(SYS_getsockname, SL_PORTS_DESCRIPTOR, mappings, room);
	if (r < 0)
		return errno == EBADF ? -ENOTSUP : -errno;
	return (int)r;
}
