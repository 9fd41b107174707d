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
int port_set_append(struct port_set *to,
                    const struct port_set *from); /* for many, before normalizing; -ENOMEM */
int port_set_copy(struct port_set *to, const struct port_set *from); /* appends and normalizes; -ENOMEM */
int port_set_subtract(struct port_set *set, const struct port_set *less); /* normalized ones; -ENOMEM */
void port_set_normalize(struct port_set *set);
bool port_set_has(const struct port_set *set, uint16_t port);                /* normalized sets only */
bool port_set_covers(const struct port_set *set, const struct port_set *of); /* normalized sets only */
void port_set_clear(struct port_set *set);

enum net_protocol { NET_TCP, NET_UDP, NET_ICMP, NET_PROTOCOLS };

/* How much of one protocol the rules of net-allow and net-deny leave. */
enum net_extent {
	NET_NOTHING, /* no rule allows any of it: its sockets do not exist (TCP's do, and reach nothing) */
	NET_PORTS,   /* TCP only: any address at certain ports, which Landlock decides alone */
	NET_PARTS, /* addresses matter, or the protocol is one that Landlock does not see: a supervisor decides */
	NET_ALL, /* every address and port: nothing to enforce */
};

struct net_need {
	enum net_extent extent[NET_PROTOCOLS];
	struct port_set tcp_ports; /* with NET_PORTS: these */
	bool names;                /* a rule names a host: the policy DNS answers for it */
};

void net_need_clear(struct net_need *need);

/* What may be bound: net-allow-bind less net-deny-bind. */
struct net_binds {
	struct {
		bool any;   /* every port */
		bool named; /* a rule says udp:// or tcp:// itself, so that such sockets must exist */
		struct port_set ports; /* normalized; 0 is the right to an ephemeral port */
	} protocols[NET_UDP + 1];      /* NET_TCP, NET_UDP */
};

bool net_binds_allow(const struct net_binds *binds, enum net_protocol protocol, uint16_t port);
void net_binds_clear(struct net_binds *binds);

/* What net-allow-unix grants. */
struct unix_need {
	bool any;       /* every path, and file permissions decide */
	bool named;     /* single paths or names: a supervisor decides */
	bool datagrams; /* ... and some of them take datagrams */
};

#endif
