/* A plan for a kernel that is made up: the pure half of supervise/prepare.c, which asks the real one. */
#ifndef SL_TESTS_PLAN_OF_H
#define SL_TESTS_PLAN_OF_H

#include "core/plan.h"
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
	const struct value_list *rules = &policy->values[OPTION_NET_ALLOW];
	const struct value_list *binds = &policy->values[OPTION_NET_ALLOW_BIND];
	struct net_need need = {0};
	struct port_set bind_ports = {0};
	struct plan_net net = {.out = &need, .bind_ports = &bind_ports};
	struct net_table *table = NULL;
	int r = net_table_build((const char *const *)rules->items, rules->count, &table, &need, error);

	*plan = (struct plan){0};
	for (size_t i = 0; r == 0 && i < binds->count; i++)
		r = bind_ports_parse(binds->items[i], &bind_ports, &net.bind_any, error);
	port_set_normalize(&bind_ports);
	if (r == 0)
		r = plan_build(plan, policy, &net, kernel, mode, error);
	net_table_free(table);
	net_need_clear(&need);
	port_set_clear(&bind_ports);
	return r;
}

#endif
