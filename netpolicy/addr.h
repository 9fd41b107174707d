/* Addresses inside netpolicy/: what the rule grammar and the table share. */
#ifndef SL_NETPOLICY_ADDR_H
#define SL_NETPOLICY_ADDR_H

#include "netpolicy/netpolicy.h"

#define ADDR_TEXT 64 /* the longest address with "%4294967295" is 56 bytes and a NUL */

unsigned addr_bits(const struct net_addr *addr); /* 32 or 128 */
bool addr_is_unspecified(const struct net_addr *addr);

/* fe80::/10, and multicast of link-local scope: the addresses that mean nothing without an interface. */
bool addr_is_link_local(const struct net_addr *addr);

/* "10.0.0.0/8", "::1", "fe80::%lo/64"; without a "/" the prefix is the whole address. Bits behind the
 * prefix come out zero; ::ffff:a.b.c.d comes out as IPv4, and so does a mapped prefix of 96 or more.
 * -EINVAL: no address. -ENODEV: no such interface. -ERANGE: bad prefix; addr->family is set, so that the
 * message can say what fits. */
int cidr_parse(const char *text, struct net_addr *addr, unsigned *prefix);

/* "1.2.3.4", "fe80::1%2", without brackets; `size` of at least ADDR_TEXT. */
void addr_format(const struct net_addr *addr, char *text, size_t size);

#endif
