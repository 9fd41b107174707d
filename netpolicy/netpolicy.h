/* netpolicy/: the rules of the road. Pure: no file, no socket, no clock (but if_nametoindex(3) for the
 * scope of a link-local rule). What other rooms may use of it. */
#ifndef SL_NETPOLICY_H
#define SL_NETPOLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

#include "core/net_need.h"
#include "sluice.h"

/* An address in network byte order; IPv4 uses the first four bytes and leaves the rest zero, so that
 * memcmp compares. `scope` is an interface index, 0 where it does not matter. */
struct net_addr {
	uint8_t family; /* AF_INET or AF_INET6 */
	uint8_t bytes[16];
	uint32_t scope;
};

struct net_endpoint {
	struct net_addr addr;
	uint16_t port;     /* host byte order */
	uint32_t flowinfo; /* as given, network byte order: RFC 3493, 3.3 */
};

struct net_table; /* compiled rules; immutable, so it may be shared by fork */

/* A rule of net-allow: [tcp://] target [: ports] | : ports; target is *, an IPv4 or IPv6 address or
 * CIDR, IPv6 in brackets when ports follow; ports are *, or a list of ports and low-high ranges in
 * 1..65535. No scheme means TCP and, once UDP is enforced, UDP too. Names, udp:// and icmp:// give
 * -ENOTSUP with the reason; anything else malformed -EINVAL, saying which part and what was expected.
 * A single link-local address needs its %interface. */
int rule_check(const char *text, sl_error *error);

/* A value of net-allow-bind: *, or a list of ports and low-high ranges in 0..65535 (0 is the right to
 * an ephemeral port). Appends to `ports`, which the caller owns; with "*" sets *all. -EINVAL, -ENOMEM. */
int bind_ports_parse(const char *text, struct port_set *ports, bool *all, sl_error *error);

/* Compile `rules`. *table is the caller's, for net_table_free(); `need` is what the plan must arrange,
 * for net_need_clear(). Rules with any address go to need->any_ports (or need->tcp_any) as well as to the
 * table; need->gate says that a rule names an address that those do not cover already. */
int net_table_build(const char *const *rules, size_t count, struct net_table **table, struct net_need *need,
                    sl_error *error);
void net_table_free(struct net_table *table);

/* May TCP go there? Decided on a canonical endpoint, as net_endpoint_read() gives it. */
bool net_table_allows(const struct net_table *table, const struct net_endpoint *endpoint);

/* One line a (target, ports) group, for `explain`; 0 or -EIO. */
int net_table_print(const struct net_table *table, FILE *out);

enum { NET_ENDPOINT = 0, NET_DISCONNECT = 1 };

/* What `size` bytes of a sockaddr mean to connect(2) on a TCP socket of `family`. They come from a
 * target: any content, any alignment, size 0..128. NET_ENDPOINT: *endpoint is set, canonical:
 * ::ffff:a.b.c.d became IPv4, 0.0.0.0 and :: (what the kernel takes for "this host") became the loopback
 * address, and the scope is kept for link-local only. NET_DISCONNECT: AF_UNSPEC. Else -EINVAL (too
 * short) or -EAFNOSUPPORT (family does not fit the socket), as tcp_v4_connect and tcp_v6_connect. */
int net_endpoint_read(int family, const void *bytes, size_t size, struct net_endpoint *endpoint);

/* The sockaddr for exactly that endpoint on a socket of `family` (IPv4 on an AF_INET6 socket is written
 * mapped). Returns its size. */
socklen_t net_endpoint_write(const struct net_endpoint *endpoint, int family,
                             struct sockaddr_storage *address);

/* "1.2.3.4:80", "[fe80::1%2]:80"; `size` of at least NET_ENDPOINT_TEXT bytes. */
#define NET_ENDPOINT_TEXT 80
void net_endpoint_format(const struct net_endpoint *endpoint, char *text, size_t size);

#endif
