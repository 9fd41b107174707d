/* What the network rules ask of the plan: the words that netpolicy/ and the plan share. */
#ifndef SL_CORE_NET_NEED_H
#define SL_CORE_NET_NEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct port_range {
	uint16_t low, high; /* both included, host byte order */
};

/* Sorted, not overlapping and not touching once port_set_normalize() has run. */
struct port_set {
	struct port_range *ranges; /* malloc'd */
	size_t count;
};

int port_set_add(struct port_set *set, uint16_t low, uint16_t high); /* -ENOMEM */
void port_set_normalize(struct port_set *set);
bool port_set_has(const struct port_set *set, uint16_t port); /* normalized sets only */
void port_set_clear(struct port_set *set);

struct net_need {
	bool tcp_any;              /* any address at any port: nothing to enforce */
	struct port_set any_ports; /* any address at these ports: Landlock alone */
	bool gate;                 /* addresses are named: a supervisor decides */
};

void net_need_clear(struct net_need *need);

#endif
