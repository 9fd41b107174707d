/* A plan for a kernel that is made up: the pure half of supervise/prepare.c, which asks the real one. */
#ifndef SL_TESTS_PLAN_OF_H
#define SL_TESTS_PLAN_OF_H

#include "core/plan.h"
#include "core/unix_need.h"
#include "netpolicy/netpolicy.h"

/* Whatever is there today, without a privilege. */
static const struct kernel kernel_full = {
	.landlock_abi = 8,
	.notify = true,
	.wait_killable = true,
	.sync_wake_up = true,
	.pidfd_getfd = true,
	.pidfd_thread = true,
	.io_uring = true,
};

static inline int plan_of(struct plan *plan, const sl_policy *policy, const struct kernel *kernel,
                          enum plan_mode mode, sl_error *error)
{
	const struct value_list *lists[] = {
		&policy->values[OPTION_NET_ALLOW],
		&policy->values[OPTION_NET_DENY],
		&policy->values[OPTION_NET_ALLOW_BIND],
		&policy->values[OPTION_NET_DENY_BIND],
	};
	struct text_list texts[4];
	struct net_rules rules;
	struct net_need need = {0};
	struct net_binds binds = {0};
	struct plan_net net = {
		.out = &need, .binds = &binds, .interfaces = policy_has(policy, OPTION_NET_INTERFACES)};
	struct net_table *table = NULL;
	int r;

	for (size_t i = 0; i < 4; i++)
		texts[i] = (struct text_list){(const char *const *)lists[i]->items, lists[i]->count};
	rules = (struct net_rules){.allow = texts[0], .deny = texts[1]};
	net.process_limit = policy_has(policy, OPTION_MAX_PROCESSES);
	net.port_remap = policy->values[OPTION_PORT_REMAP].count > 0;
	net.name = policy_has(policy, OPTION_NAME);
	net.num_cpus = policy_has(policy, OPTION_NUM_CPUS);
	unix_need_read(&policy->values[OPTION_NET_ALLOW_UNIX], &net.unix_sockets);
	*plan = (struct plan){0};
	if ((r = net_binds_build(texts[2], texts[3], &binds, error)) == 0 &&
	    (r = net_table_build(&rules, &table, &need, error)) == 0)
		r = plan_build(plan, policy, &net, kernel, mode, error);
	net_table_free(table);
	net_need_clear(&need);
	net_binds_clear(&binds);
	return r;
}

#endif
