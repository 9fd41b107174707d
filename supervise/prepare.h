/* From a policy to everything that must exist before the walls go up. */
#ifndef SL_SUPERVISE_PREPARE_H
#define SL_SUPERVISE_PREPARE_H

#include "confine/confine.h"
#include "netpolicy/netpolicy.h"
#include "supervise/gate.h"

struct prepared {
	struct kernel kernel;
	struct plan plan;
	struct net_table *table;
	struct gate_rules rules;     /* only with plan.supervised */
	struct filter_program guard; /* likewise: the supervisor's own filter */
	struct filter_program filter;
	int ruleset;
};

/* Freezes the policy. On failure *prepared holds nothing. */
int prepare_plan(struct prepared *prepared, const sl_policy *policy, enum plan_mode mode, sl_error *error);

/* The ruleset, and the filter once the supervisor's pid is known (0: there is none). */
int prepare_walls(struct prepared *prepared, pid_t gate, sl_error *error);

void prepare_clear(struct prepared *prepared);

#endif
