/* port-remap: each sandbox sees the port it asked for. See docs/gate.md, "Ports that are taken". */
#ifndef SL_SUPERVISE_REMAP_H
#define SL_SUPERVISE_REMAP_H

#include "supervise/gate.h"

/* What a socket address of a TCP or UDP socket says; false for anything else. Canonical: no mapped IPv4. */
bool remap_address(const struct sockaddr_storage *address, size_t size, struct net_addr *addr,
                   uint16_t *port);

bool remap_is_loopback(const struct net_addr *addr);

/* bind(2) for the caller, at the port that was asked for or at another. 0, -errno. */
int remap_bind(struct gate *gate, const struct call *call, int socket, const struct socket_kind *kind,
               const struct sockaddr_storage *address, size_t size);

/* The decision on a loopback endpoint, which becomes the one to go to. */
bool remap_decide(struct gate *gate, enum net_protocol protocol, struct net_endpoint *endpoint);

/* Is the moved port that a connection has been made to still the sandbox's? Then it was all the time: nothing but this
 * thread binds. */
bool remap_confirm(struct gate *gate, const struct net_endpoint *endpoint);

/* The port that was asked for, of a binding that is held now; else `port` itself. For decisions. */
uint16_t remap_asked(struct gate *gate, enum net_protocol protocol, const struct net_addr *addr,
                     uint16_t port);

/* The same for show, and for bindings that were. True when *address was changed. */
bool remap_show(struct gate *gate, enum net_protocol protocol, struct sockaddr_storage *address, size_t size);

void remap_listens(struct gate *gate, int socket);

/* sl_port_mappings(). */
struct verdict remap_tell(struct gate *gate, const struct call *call);

#endif
