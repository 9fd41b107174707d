/* Pins: what open names were found to have, while running. The table stays as it was compiled; a pin points to its
 * name, and that says protocols and ports. */
#include <errno.h>

#include "netpolicy/table.h"

/* Below a *.name, or one that was asked for at start and may be again. */
static bool name_is_open(const struct net_table *table, const struct name *name)
{
	return name->below || table->refresh;
}

enum net_name net_table_name(const struct net_table *table, const char *name, const struct net_addr **addrs,
                             size_t *count)
{
	const struct name *found = names_find(&table->names, name);

	*addrs = found == NULL ? NULL : found->addrs;
	*count = found == NULL ? 0 : found->count;
	if (found == NULL)
		return NET_NAME_UNKNOWN;
	return name_is_open(table, found) ? NET_NAME_OPEN : NET_NAME_PINNED;
}

/* The pin of this address and rule; else a free one; else the one that would end first. Who fills them all loses what it
 * was told first. */
static struct net_pin *pins_find(struct net_pins *pins, const struct net_addr *addr, uint32_t rule)
{
	struct net_pin *first = &pins->pins[0];

	for (uint32_t i = 0; i < pins->used; i++) {
		struct net_pin *pin = &pins->pins[i];

		if (pin->rule == rule && addr_equal(&pin->addr, addr))
			return pin;
		if (pin->expires < first->expires)
			first = pin;
	}
	return pins->used < NET_PINS_MAX ? &pins->pins[pins->used++] : first;
}

static void pin_set(struct net_pins *pins, const struct net_addr *addr, uint32_t rule, int64_t expires)
{
	struct net_pin *pin = pins_find(pins, addr, rule);

	if (pin->rule == rule && addr_equal(&pin->addr, addr) && pin->expires > expires)
		return;
	*pin = (struct net_pin){.addr = *addr, .rule = rule, .expires = expires};
}

/* Had at start, so that whoever runs the policy has seen it there; the table allows it as it does all of those. */
static bool name_had(const struct name *name, const struct net_addr *addr)
{
	for (size_t i = 0; i < name->count; i++)
		if (addr_equal(&name->addrs[i], addr))
			return true;
	return false;
}

/* An address comes from whoever answers for the name. Those that are private are for who runs the policy to name, and
 * what may be reached of them is what was named: a name must not open other ports of them. */
int net_pins_add(struct net_pins *pins, const struct net_table *table, const char *name,
                 const struct net_addr *addr, int64_t expires)
{
	const struct name *found = names_find(&table->names, name);
	struct net_addr canonical = *addr;
	const char *word;

	if (found == NULL || !name_is_open(table, found))
		return -ENOENT;
	addr_make_canonical(&canonical);
	switch (addr_classify(&canonical, &word)) {
	case ADDR_PUBLIC:
		pin_set(pins, &canonical, (uint32_t)(found - table->names.items), expires);
		return 0;
	case ADDR_PRIVATE:
		if (name_had(found, &canonical))
			return 0;
		return !table->public_only && table_names_address(table, &canonical) ? 0 : -EACCES;
	default:
		return -EACCES;
	}
}

bool pins_allow(const struct net_pins *pins, const struct net_table *table, int64_t now,
                enum net_protocol protocol, const struct net_endpoint *endpoint)
{
	for (uint32_t i = 0; i < pins->used; i++) {
		const struct net_pin *pin = &pins->pins[i];

		if (pin->expires > now && addr_equal(&pin->addr, &endpoint->addr) &&
		    port_set_has(&table->names.items[pin->rule].ports[protocol], endpoint->port))
			return true;
	}
	return false;
}
