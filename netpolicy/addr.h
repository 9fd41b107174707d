/* Addresses inside netpolicy/: what the rule grammar and the table share. */
#ifndef SL_NETPOLICY_ADDR_H
#define SL_NETPOLICY_ADDR_H

#include "netpolicy/netpolicy.h"

#define ADDR_TEXT 64 /* the longest address with "%4294967295" is 56 bytes and a NUL */

unsigned addr_bits(const struct net_addr *addr); /* 32 or 128 */

/* Of the same family, and the same in the first `prefix` bits. */
bool addr_is_in(const struct net_addr *addr, const struct net_addr *base, unsigned prefix);

/* fe80::/10, and multicast of interface-local and link-local scope: the addresses that mean nothing without an
 * interface. */
bool addr_is_link_local(const struct net_addr *addr);

extern const uint8_t addr_mapped_prefix[12];

/* Is it an IPv6 address that holds an IPv4 one (NAT64, 6to4, IPv4-compatible)? Then *inner is that. */
bool addr_embeds(const struct net_addr *addr, struct net_addr *inner);

/* What an address is good for as the answer to a name. */
enum addr_kind {
	ADDR_PUBLIC,
	ADDR_PRIVATE, /* of this host, or of a network that is not the internet */
	ADDR_NEVER,   /* no name of a peer has it: link-local, unspecified, multicast, metadata */
};

/* `addr` canonical. *word is what to call it in a message. An IPv6 address is at least as bad as the IPv4 one in
 * it. */
enum addr_kind addr_classify(const struct net_addr *addr, const char **word);

/* "10.0.0.0/8", "::1", "fe80::%lo/64"; without a "/" the prefix is the whole address. Bits behind the
 * prefix come out zero; ::ffff:a.b.c.d comes out as IPv4, and so does a mapped prefix of 96 or more.
 * -EINVAL: no address. -ENODEV: no such interface. -ERANGE: bad prefix; addr->family is set, so that the
 * message can say what fits. */
int cidr_parse(const char *text, struct net_addr *addr, unsigned *prefix);

/* "1.2.3.4", "fe80::1%2", without brackets; `size` of at least ADDR_TEXT. */
void addr_format(const struct net_addr *addr, char *text, size_t size);

#endif
