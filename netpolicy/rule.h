/* One parsed rule of net-allow or net-deny, for the table. */
#ifndef SL_NETPOLICY_RULE_H
#define SL_NETPOLICY_RULE_H

#include "netpolicy/reading.h"

struct net_rule {
	unsigned protocols; /* a bit (1 << protocol) each */
	char *name; /* a host name: lower case, no trailing dot, malloc'd; NULL: `addr` and `prefix` say */
	bool below; /* every name below `name`, but not itself */
	struct net_addr addr; /* bits behind the prefix are zero; AF_UNSPEC: any address; scope 0: any */
	unsigned prefix;
	struct port_set ports; /* normalized, never empty */
};

/* As rule_check(). *rule is the caller's, for rule_clear(); on failure it is cleared already. */
int rule_parse(const char *key, const char *text, struct net_rule *rule, sl_error *error);
void rule_clear(struct net_rule *rule);

#endif
