/* The one decision. */
#include "netpolicy/table.h"

/* The first entry of the segment whose key is not below `key`. */
static uint32_t segment_find(const struct net_table *table, const struct segment *segment,
                             unsigned __int128 key)
{
	uint32_t low = segment->first, high = segment->first + segment->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (table->entries[middle].key < key)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* An endpoint without a scope goes out of the interface that the socket is bound to, whichever that is: what is
 * allowed on one interface does not allow it, and what is denied on one denies it. */
static bool scope_matches(const struct entry *entry, uint32_t scope, enum table_kind kind)
{
	return entry->scope == 0 || entry->scope == scope || (kind == TABLE_DENY && scope == 0);
}

static bool segment_matches(const struct net_table *table, const struct segment *segment,
                            enum table_kind kind, unsigned __int128 key, const struct net_endpoint *endpoint)
{
	uint32_t end = segment->first + segment->count;

	/* Entries of one address differ in their scope. */
	for (uint32_t i = segment_find(table, segment, key); i < end && table->entries[i].key == key; i++) {
		const struct entry *entry = &table->entries[i];
		struct port_set ports = entry_ports(table, entry);

		if (scope_matches(entry, endpoint->addr.scope, kind) && port_set_has(&ports, endpoint->port))
			return true;
	}
	return false;
}

static bool list_matches(const struct net_table *table, enum net_protocol protocol, enum table_kind kind,
                         const struct net_endpoint *endpoint)
{
	const struct segment_list *list = &table->lists[protocol][kind];
	const struct segment *segments = table->segments + list->first;
	unsigned __int128 key = addr_key(&endpoint->addr);

	for (uint32_t i = 0; i < list->count; i++) {
		if (segments[i].family != AF_UNSPEC && segments[i].family != endpoint->addr.family)
			continue;
		if (segment_matches(table, &segments[i], kind, key & segments[i].mask, endpoint))
			return true;
	}
	return false;
}

/* What is denied as IPv4 is denied as IPv6 that ends up there. */
static bool denied(const struct net_table *table, enum net_protocol protocol,
                   const struct net_endpoint *endpoint)
{
	struct net_endpoint inner = *endpoint;

	if (table->lists[protocol][TABLE_DENY].count == 0)
		return false;
	return list_matches(table, protocol, TABLE_DENY, endpoint) ||
	       (addr_embeds(&endpoint->addr, &inner.addr) &&
	        list_matches(table, protocol, TABLE_DENY, &inner));
}

bool net_decide(const struct net_table *table, const struct net_pins *pins, int64_t now,
                enum net_protocol protocol, const struct net_endpoint *endpoint)
{
	if (denied(table, protocol, endpoint))
		return false;
	return list_matches(table, protocol, TABLE_ALLOW, endpoint) ||
	       list_matches(table, protocol, TABLE_PINNED, endpoint) ||
	       (pins != NULL && pins_allow(pins, table, now, protocol, endpoint));
}

static bool list_names_address(const struct net_table *table, const struct segment_list *list,
                               const struct net_addr *addr)
{
	const struct segment *segments = table->segments + list->first;
	unsigned __int128 key = addr_key(addr);

	for (uint32_t i = 0; i < list->count; i++) {
		uint32_t at;

		if (segments[i].family != addr->family)
			continue;
		at = segment_find(table, &segments[i], key & segments[i].mask);
		if (at < segments[i].first + segments[i].count &&
		    table->entries[at].key == (key & segments[i].mask))
			return true;
	}
	return false;
}

bool table_names_address(const struct net_table *table, const struct net_addr *addr)
{
	for (int protocol = 0; protocol < NET_PROTOCOLS; protocol++)
		if (list_names_address(table, &table->lists[protocol][TABLE_ALLOW], addr))
			return true;
	return false;
}
