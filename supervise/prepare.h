/* From a policy to everything that must exist before the walls go up. */
#ifndef SL_SUPERVISE_PREPARE_H
#define SL_SUPERVISE_PREPARE_H

#include "confine/confine.h"
#include "netpolicy/netpolicy.h"
#include "supervise/cgroup.h"
#include "supervise/gate.h"
#include "supervise/registry.h"
#include "supervise/unix.h"

struct prepared {
	struct kernel kernel;
	struct plan plan;
	struct net_table *table;
	struct unix_grants *unix_grants; /* only with plan.supervised and net-allow-unix */
	struct net_binds binds;
	struct dns_servers servers;
	struct gate_rules rules;     /* only with plan.supervised */
	struct filter_program guard; /* the supervisor's own filter: prepare_guard() */
	struct filter_program filter;
	struct cgroup cgroup;           /* prepare_map() opens it */
	struct registry_claim registry; /* launch mode: prepare_registry() */
	int status;                     /* of status-fd; -1: none */
	int ruleset;
};

/* Freezes the policy. On failure *prepared holds nothing. */
int prepare_plan(struct prepared *prepared, const sl_policy *policy, enum plan_mode mode, sl_error *error);

/* The filter of the supervisor and the keeper, where only a keeper is needed; with plan.supervised it is there. */
int prepare_guard(struct prepared *prepared, sl_error *error);

/* Take port-map-fd and status-fd over, and open the control group, above 2: the supervisor's own. -EBADF. */
int prepare_map(struct prepared *prepared, sl_error *error);

/* What a supervisor holds open: granted sockets' places, and the ruleset for a child that binds. Before its fork, and
 * after foreign descriptors were closed. */
int prepare_objects(struct prepared *prepared, const sl_policy *policy, sl_error *error);

/* Descriptors that the supervisor keeps: the ruleset, the granted paths', port-map-fd, status-fd, the registry, the
 * control group. How many, at most GUARD_KEEP_MAX. */
size_t prepare_fds(const struct prepared *prepared, int *fds);

/* What the child does to itself, the ruleset where it is not there yet, and the filter once the supervisor's pid is known (0: there is none). */
int prepare_walls(struct prepared *prepared, pid_t gate, sl_error *error);

void prepare_clear(struct prepared *prepared);

#endif
