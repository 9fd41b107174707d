/* netpolicy/: the rules of the road. Pure, but for if_nametoindex(3) for the scope of a link-local rule, and for
 * the one place that resolves names. What other rooms may use of it. */
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

/* ::ffff:a.b.c.d becomes IPv4, and the scope is kept for link-local only. */
void addr_make_canonical(struct net_addr *addr);
bool addr_equal(const struct net_addr *a, const struct net_addr *b); /* canonical ones */
bool addr_is_unspecified(const struct net_addr *addr);

struct net_endpoint {
	struct net_addr addr;
	uint16_t port;     /* host byte order; means nothing to ICMP */
	uint32_t flowinfo; /* as given, network byte order: RFC 3493, 3.3 */
};

struct net_table; /* compiled rules; immutable, so it may be shared by fork */

/* A rule of net-allow or net-deny (`key` says which, and begins every message):
 *
 *     [ tcp:// | udp:// | icmp:// ] target [ : ports ]   or   : ports
 *
 * target is *, an IPv4 or IPv6 address or CIDR (IPv6 in brackets when ports follow), or a host name; in net-allow
 * also *.name, which stands for every name below it. ports are *, or a list of ports and low-high ranges in
 * 1..65535. No scheme means TCP and UDP. icmp:// takes no ports. A single link-local address needs its
 * %interface. net-deny takes no names: the addresses that a name has today say nothing of tomorrow's.
 * -EINVAL, saying which part and what was expected. Nothing is resolved here. */
int rule_check(const char *key, const char *text, sl_error *error);

/* A value of net-allow-bind or net-deny-bind: [tcp:// | udp://] and *, or a list of ports and low-high ranges in
 * 0..65535 (0 is the right to an ephemeral port). -EINVAL. */
int bind_check(const char *key, const char *text, sl_error *error);

struct text_list {
	const char *const *items;
	size_t count;
};

/* The union of `allow` less the union of `deny`. *binds is the caller's, for net_binds_clear(). -EINVAL, -ENOMEM. */
int net_binds_build(struct text_list allow, struct text_list deny, struct net_binds *binds, sl_error *error);

/* All addresses of a host, at most `room`: how many, or a negative errno with *error saying why. */
enum { NET_NAME_ADDRS_MAX = 64 };
typedef int (*net_resolve_fn)(const void *context, const char *name, struct net_addr *addrs, size_t room,
                              sl_error *error);

struct net_rules {
	struct text_list allow, deny;
	bool public_only;       /* names may not have private or loopback addresses */
	bool refresh;           /* names that are resolved at start may be asked for again */
	net_resolve_fn resolve; /* NULL: getaddrinfo(3) */
	const void *context;    /* its first argument */
};

/* Compile. Names are resolved now, and all their addresses are pinned to the rule's protocol and ports; a name that
 * has none, or one that is link-local, unspecified (0.0.0.0/8), multicast or a cloud's metadata service, is an error
 * that names it. *table is the caller's, for net_table_free(); `need` is what the plan must arrange, for
 * net_need_clear(). */
int net_table_build(const struct net_rules *rules, struct net_table **table, struct net_need *need,
                    sl_error *error);
void net_table_free(struct net_table *table);

/* What the rules say of a host name: lower case, no trailing dot. */
enum net_name {
	NET_NAME_UNKNOWN, /* nothing */
	NET_NAME_PINNED, /* resolved at start, also where a *.name rule is above it: *addrs, as long as the table lives */
	NET_NAME_OPEN, /* below a *.name rule, or net-refresh (then *addrs are those of the start): to be asked now */
};
enum net_name net_table_name(const struct net_table *table, const char *name, const struct net_addr **addrs,
                             size_t *count);

/* What open names were found to have, while running: bounded, and without memory of its own. Times are seconds of
 * CLOCK_MONOTONIC. */
enum { NET_PINS_MAX = 1024 };
struct net_pin {
	struct net_addr addr;
	uint32_t rule;   /* of the table's name rules */
	int64_t expires; /* 0: free */
};
struct net_pins {
	struct net_pin pins[NET_PINS_MAX];
	uint32_t used; /* those behind have never been. All zero is the beginning */
};

/* Let an open name's address in until `expires`. A private or loopback one is accepted where the name had it at
 * start, or an address rule of net-allow names it, and that rule alone says then what of it may be reached. When all pins
 * are taken the one goes that would end first. -EACCES: an address of the kinds that no name may have (above), or one that is private or loopback, new, and
 * named by no address rule (with public_only: none may); -ENOENT: no rule has this name open. */
int net_pins_add(struct net_pins *pins, const struct net_table *table, const char *name,
                 const struct net_addr *addr, int64_t expires);

/* May `protocol` go there? The one decision: net-deny first, then net-allow, then the pins (which may be NULL).
 * Decided on a canonical endpoint, as net_endpoint_read() gives it. */
bool net_decide(const struct net_table *table, const struct net_pins *pins, int64_t now,
                enum net_protocol protocol, const struct net_endpoint *endpoint);

/* One line a (protocol, target, ports) group, for `explain`: allowed ones as rules, pinned ones with the name they
 * come from, then what is denied. 0 or -EIO. */
int net_table_print(const struct net_table *table, FILE *out);

enum net_call { NET_CALL_CONNECT, NET_CALL_SEND };
enum { NET_ENDPOINT = 0, NET_DISCONNECT = 1, NET_NO_ADDRESS = 2 };

/* What `size` bytes of a sockaddr mean to connect(2), or as the address of a send, on a socket of `family` and
 * `protocol`. They come from a target: any content, any alignment, size 0..128.
 *   NET_ENDPOINT    *endpoint is set, canonical: ::ffff:a.b.c.d became IPv4, 0.0.0.0 and :: (what the kernel takes
 *                   for "this host") became the loopback address, and the scope is kept for link-local only
 *   NET_DISCONNECT  connect with AF_UNSPEC
 *   NET_NO_ADDRESS  a send that the kernel treats as one without an address: AF_UNSPEC on an AF_INET6 socket
 * Else the errno of the kernel's own check: -EINVAL (too short, or a datagram to port 0), -EAFNOSUPPORT (the family
 * does not fit), -ENETUNREACH and -EINVAL (IPv4 on a ping socket of AF_INET6), -EOPNOTSUPP (a TCP send to AF_UNSPEC).
 * TCP takes the socket's family only; UDP and ICMP as udp_sendmsg, udpv6_sendmsg, ping_v4_sendmsg, ping_v6_sendmsg,
 * __ip4_datagram_connect and __ip6_datagram_connect do. What the socket's own state adds is not seen here: IPV6_V6ONLY
 * refuses IPv4, and a corked datagram keeps the address of its first part. */
int net_endpoint_read(int family, enum net_protocol protocol, enum net_call call, const void *bytes,
                      size_t size, struct net_endpoint *endpoint);

/* The sockaddr for exactly that endpoint on a socket of `family` (IPv4 on an AF_INET6 socket is written
 * mapped). Returns its size. */
socklen_t net_endpoint_write(const struct net_endpoint *endpoint, int family,
                             struct sockaddr_storage *address);

/* "1.2.3.4:80", "[fe80::1%2]:80"; `size` of at least NET_ENDPOINT_TEXT bytes. */
#define NET_ENDPOINT_TEXT 80
void net_endpoint_format(const struct net_endpoint *endpoint, char *text, size_t size);

#endif
