/* The host names of net-allow: what each one allows, and the addresses that it had at start. */
#ifndef SL_NETPOLICY_NAMES_H
#define SL_NETPOLICY_NAMES_H

#include "netpolicy/rule.h"

struct name {
	char *text;
	bool below;                           /* every name below `text`, but not itself */
	struct port_set ports[NET_PROTOCOLS]; /* its own, and those of every *.name that it is below of */
	struct net_addr *addrs;               /* of a name that is not `below` */
	size_t count;
};

struct names {
	struct name *items; /* sorted, each once */
	size_t count;
};

/* The names of `rules`. -ENOMEM. What is there so far is to be cleared in any case. */
int names_collect(struct names *names, const struct net_rule *rules, size_t count);

/* Ask for the addresses of each name, once. An error names it. */
int names_resolve(struct names *names, const struct net_rules *rules, sl_error *error);

/* What rules say of `text`: the name itself, or else the longest *.name above it. NULL: nothing. */
const struct name *names_find(const struct names *names, const char *text);

void names_clear(struct names *names);

/* getaddrinfo(3), both families. As net_resolve_fn. */
int name_resolve(const void *context, const char *name, struct net_addr *addrs, size_t room, sl_error *error);

#endif
