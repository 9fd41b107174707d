/* The map of port-remap: what port the sandbox asked for, and which one it has. Pure: whether a socket still holds an
 * entry is asked by remap.c, which hangs a descriptor on each.
 *
 *     live   a socket of the sandbox was bound through it, and its watch tells whether one still is
 *     ghost  none is any more. Connections outlive the listener, and are to show its port as before; nothing is
 *            bound or connected by a ghost
 */
#ifndef SL_SUPERVISE_PORTS_H
#define SL_SUPERVISE_PORTS_H

#include <stdbool.h>
#include <stdint.h>

#include "netpolicy/netpolicy.h"

enum { PORTS_MAX = 256 };

/* A local address as bind(2) takes it. */
struct port_place {
	enum net_protocol protocol; /* NET_TCP or NET_UDP */
	struct net_addr addr;       /* canonical; all zero is any address of the family */
	bool dual;                  /* :: without IPV6_V6ONLY: IPv4 too */
	uint16_t port;              /* that was asked for */
};

struct port_entry {
	bool used;
	bool listens; /* its only socket does, and so connects nowhere */
	struct port_place place;
	uint16_t real;
	int watch;        /* the owner's handle; below 0: a ghost */
	unsigned sockets; /* that were bound through it, ever */
};

struct port_map {
	struct port_entry entries[PORTS_MAX];
	unsigned moved; /* how many, live and ghosts, have another port than was asked for: mostly none */
	unsigned spare; /* where ports_spare() goes on */
};

static inline bool ports_is_moved(const struct port_entry *entry)
{
	return entry->real != entry->place.port;
}

/* A live entry of that virtual port with which a binding to `place` could conflict; NULL when there is none. */
struct port_entry *ports_overlapping(struct port_map *map, const struct port_place *place);

/* The live entry that gets what is sent to `addr` and that virtual port: an exact address before any address. */
struct port_entry *ports_reached(struct port_map *map, enum net_protocol protocol,
                                 const struct net_addr *addr, uint16_t port);

/* The entry whose sockets are at `addr` and that real port; a live one before a ghost. */
struct port_entry *ports_behind(struct port_map *map, enum net_protocol protocol, const struct net_addr *addr,
                                uint16_t real);

/* A live entry; ghosts that would be seen instead of it go. NULL: all entries are live ones. */
struct port_entry *ports_add(struct port_map *map, const struct port_place *place, uint16_t real, int watch);

/* Is one free, or only a ghost's? */
bool ports_have_room(struct port_map *map);

/* A live entry that can be given up, as the port is what was asked for: conflicts inside then look like those with
 * the rest of the machine. NULL: none. */
struct port_entry *ports_spare(struct port_map *map);

/* No socket holds it any more, or it was spare. The watch is the caller's again. */
int ports_retire(struct port_map *map, struct port_entry *entry);

/* Can a connection come from a moved TCP port? */
bool ports_may_call(const struct port_map *map);

#endif
