/* One parsed net-allow rule, for the table. */
#ifndef SL_NETPOLICY_RULE_H
#define SL_NETPOLICY_RULE_H

#include "netpolicy/netpolicy.h"

/* "*" as a port is the range 0..65535, so that it is more than any list of 1..65535 can say. */
#define PORT_LAST 65535

struct net_rule {
	struct net_addr addr; /* bits behind the prefix are zero; AF_UNSPEC: any address; scope 0: any */
	unsigned prefix;
	struct port_set ports; /* normalized, never empty */
};

/* As rule_check(). *rule is the caller's, for rule_clear(); on failure it is cleared already. */
int rule_parse(const char *text, struct net_rule *rule, sl_error *error);
void rule_clear(struct net_rule *rule);

/* All of `more` or nothing: a failed sl_policy_set() must leave the policy as it was. -ENOMEM. The result
 * is not normalized. */
int ports_append(struct port_set *ports, const struct port_set *more);

#endif
