/* Compiled rules, as the files of netpolicy/ share them: table.c makes one, decide.c, pins.c and print.c read it. */
#ifndef SL_NETPOLICY_TABLE_H
#define SL_NETPOLICY_TABLE_H

#include <endian.h>
#include <string.h>

#include "netpolicy/addr.h"
#include "netpolicy/names.h"
#include "netpolicy/rule.h"

enum table_kind { TABLE_ALLOW, TABLE_PINNED, TABLE_DENY, TABLE_KINDS };

/* What is compiled: one target with all its ports, of one protocol and kind. */
struct cell {
	uint8_t protocol, kind;
	struct net_addr addr; /* as in struct net_rule */
	unsigned prefix;
	struct port_set ports;
};

struct cells {
	struct cell *items;
	size_t count, room;
};

int cells_add(struct cells *cells, const struct cell *cell); /* copies; -ENOMEM */
int cells_merge(
	struct cells *cells); /* sorted by protocol, kind, family, prefix, address and scope; -ENOMEM */
void cells_clear(struct cells *cells);

/* By what makes a segment: protocol, kind, family and prefix. */
int cell_segment_compare(const struct cell *a, const struct cell *b);

/* What merged cells and the names come to. -ENOMEM. */
int need_fill(struct net_need *need, const struct cells *cells, const struct names *names, bool refresh);

struct entry {
	unsigned __int128 key; /* as addr_key(), cut to the segment's prefix */
	uint32_t scope;        /* 0: any */
	uint32_t first, count; /* in ranges */
};

struct segment {
	unsigned __int128 mask;
	uint32_t first, count; /* in entries, sorted by key and scope */
	uint8_t family, prefix;
};

struct net_table {
	struct entry *entries;
	struct segment *segments;
	struct port_range *ranges;
	struct segment_list {
		uint32_t first,
			count; /* in segments, sorted by family: AF_UNSPEC, any address, is the first */
	} lists[NET_PROTOCOLS][TABLE_KINDS];
	struct names names;
	bool public_only, refresh;
};

/* The address as a number, in the top bits: one shift makes the mask for both families. */
static inline unsigned __int128 addr_key(const struct net_addr *addr)
{
	uint64_t halves[2];

	memcpy(halves, addr->bytes, sizeof(halves));
	return (unsigned __int128)be64toh(halves[0]) << 64 | be64toh(halves[1]);
}

/* The table's own: not to be cleared. */
static inline struct port_set entry_ports(const struct net_table *table, const struct entry *entry)
{
	return (struct port_set){.ranges = table->ranges + entry->first, .count = entry->count};
}

/* Is there a rule of net-allow that names this address, or a range with it? */
bool table_names_address(const struct net_table *table, const struct net_addr *addr);

/* May `protocol` go there by a pin? */
bool pins_allow(const struct net_pins *pins, const struct net_table *table, int64_t now,
                enum net_protocol protocol, const struct net_endpoint *endpoint);

#endif
