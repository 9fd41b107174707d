/* Policy -> plan -> ruleset and programs: all that can fail for reasons a person can mend. */
#include "supervise/prepare.h"

#include <errno.h>
#include <sys/random.h>

#include "core/error.h"
#include "core/fd.h"

static int bind_ports_collect(const sl_policy *policy, struct port_set *ports, bool *all, sl_error *error)
{
	const struct value_list *values = &policy->values[OPTION_NET_ALLOW_BIND];
	int r = 0;

	for (size_t i = 0; r == 0 && i < values->count; i++)
		r = bind_ports_parse(values->items[i], ports, all, error);
	port_set_normalize(ports);
	return r;
}

static int plan_from_policy(struct prepared *prepared, const sl_policy *policy, enum plan_mode mode,
                            sl_error *error)
{
	const struct value_list *rules = &policy->values[OPTION_NET_ALLOW];
	struct net_need need = {0};
	struct port_set bind_ports = {0};
	struct plan_net net = {.out = &need, .bind_ports = &bind_ports};
	int r;

	if ((r = net_table_build((const char *const *)rules->items, rules->count, &prepared->table, &need,
	                         error)) == 0 &&
	    (r = bind_ports_collect(policy, &bind_ports, &net.bind_any, error)) == 0) {
		if (need.gate)
			kernel_probe_gate(&prepared->kernel);
		r = plan_build(&prepared->plan, policy, &net, &prepared->kernel, mode, error);
	}
	net_need_clear(&need);
	port_set_clear(&bind_ports);
	return r;
}

static int gate_prepare(struct prepared *prepared, const sl_policy *policy, sl_error *error)
{
	int r;

	prepared->rules = (struct gate_rules){
		.table = prepared->table,
		.bind_ports = &prepared->plan.bind_ports,
		.unix_any = policy_has(policy, OPTION_NET_ALLOW_UNIX),
		.pidfd_thread = prepared->kernel.pidfd_thread,
		.io_uring = prepared->kernel.io_uring,
		.sync_wake_up = prepared->kernel.sync_wake_up,
	};
	if (getrandom(prepared->rules.nonce, sizeof(prepared->rules.nonce), 0) != NONCE_SIZE)
		return error_errno(error, -EIO, "getrandom");
	if ((r = guard_assemble(&prepared->guard)) < 0)
		return error_errno(error, r, "the supervisor's filter");
	return 0;
}

int prepare_plan(struct prepared *prepared, const sl_policy *policy, enum plan_mode mode, sl_error *error)
{
	int r;

	*prepared = (struct prepared){.ruleset = -1};
	atomic_store(&((sl_policy *)policy)->frozen, true);
	kernel_probe(&prepared->kernel);
	if ((r = plan_from_policy(prepared, policy, mode, error)) < 0 ||
	    (prepared->plan.supervised && (r = gate_prepare(prepared, policy, error)) < 0))
		prepare_clear(prepared);
	return r;
}

int prepare_walls(struct prepared *prepared, pid_t gate, sl_error *error)
{
	int r;

	if ((prepared->ruleset = ruleset_create(&prepared->plan, error)) < 0)
		return prepared->ruleset;
	if ((r = filter_assemble(&prepared->filter, &prepared->plan, gate)) < 0)
		return error_errno(error, r, "filter");
	return 0;
}

void prepare_clear(struct prepared *prepared)
{
	fd_close(&prepared->ruleset);
	filter_clear(&prepared->filter);
	filter_clear(&prepared->guard);
	plan_clear(&prepared->plan);
	net_table_free(prepared->table);
	*prepared = (struct prepared){.ruleset = -1};
}
