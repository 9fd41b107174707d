/* ports.h says what this is. A few hundred entries, looked through from the first to the last. */
#include "supervise/ports.h"

#include <stddef.h>
#include <sys/socket.h>

/* Does a socket at `place` get what is for `addr`? */
static bool place_covers(const struct port_place *place, const struct net_addr *addr)
{
	if (!addr_is_unspecified(&place->addr))
		return addr_equal(&place->addr, addr);
	return place->addr.family == addr->family || place->dual;
}

static bool places_overlap(const struct port_place *a, const struct port_place *b)
{
	return a->protocol == b->protocol && (place_covers(a, &b->addr) || place_covers(b, &a->addr));
}

static bool entry_is_live(const struct port_entry *entry)
{
	return entry->used && entry->watch >= 0;
}

struct port_entry *ports_overlapping(struct port_map *map, const struct port_place *place)
{
	for (struct port_entry *entry = map->entries; entry < map->entries + PORTS_MAX; entry++)
		if (entry_is_live(entry) && entry->place.port == place->port &&
		    places_overlap(&entry->place, place))
			return entry;
	return NULL;
}

struct port_entry *ports_reached(struct port_map *map, enum net_protocol protocol,
                                 const struct net_addr *addr, uint16_t port)
{
	struct port_entry *found = NULL;

	for (struct port_entry *entry = map->entries; entry < map->entries + PORTS_MAX; entry++) {
		if (!entry_is_live(entry) || entry->place.protocol != protocol || entry->place.port != port ||
		    !place_covers(&entry->place, addr))
			continue;
		if (!addr_is_unspecified(&entry->place.addr))
			return entry;
		/* Of two that take any address, the one of the family itself. */
		if (found == NULL || entry->place.addr.family == addr->family)
			found = entry;
	}
	return found;
}

struct port_entry *ports_behind(struct port_map *map, enum net_protocol protocol, const struct net_addr *addr,
                                uint16_t real)
{
	struct port_entry *ghost = NULL;

	for (struct port_entry *entry = map->entries; entry < map->entries + PORTS_MAX; entry++) {
		if (!entry->used || entry->place.protocol != protocol || entry->real != real ||
		    !place_covers(&entry->place, addr))
			continue;
		if (entry_is_live(entry))
			return entry;
		ghost = entry;
	}
	return ghost;
}

static void entry_forget(struct port_map *map, struct port_entry *entry)
{
	if (entry->used)
		map->moved -= ports_is_moved(entry);
	entry->used = false;
}

static void ghosts_forget(struct port_map *map, const struct port_place *place, uint16_t real)
{
	for (struct port_entry *entry = map->entries; entry < map->entries + PORTS_MAX; entry++)
		if (entry->used && !entry_is_live(entry) && entry->real == real &&
		    places_overlap(&entry->place, place))
			entry_forget(map, entry);
}

static struct port_entry *entry_take(struct port_map *map)
{
	struct port_entry *ghost = NULL;

	for (struct port_entry *entry = map->entries; entry < map->entries + PORTS_MAX; entry++) {
		if (!entry->used)
			return entry;
		if (!entry_is_live(entry))
			ghost = entry;
	}
	return ghost;
}

bool ports_have_room(struct port_map *map)
{
	return entry_take(map) != NULL;
}

struct port_entry *ports_add(struct port_map *map, const struct port_place *place, uint16_t real, int watch)
{
	struct port_entry *entry;

	ghosts_forget(map, place, real);
	if ((entry = entry_take(map)) == NULL)
		return NULL;
	entry_forget(map, entry);
	*entry = (struct port_entry){.used = true, .place = *place, .real = real, .watch = watch};
	map->moved += ports_is_moved(entry);
	return entry;
}

struct port_entry *ports_spare(struct port_map *map)
{
	for (unsigned i = 0; i < PORTS_MAX; i++) {
		struct port_entry *entry = &map->entries[map->spare++ % PORTS_MAX];

		if (entry_is_live(entry) && !ports_is_moved(entry))
			return entry;
	}
	return NULL;
}

int ports_retire(struct port_map *map, struct port_entry *entry)
{
	int watch = entry->watch;

	entry->watch = -1;
	/* What is not translated needs no ghost. */
	if (!ports_is_moved(entry))
		entry_forget(map, entry);
	return watch;
}

bool ports_may_call(const struct port_map *map)
{
	if (map->moved == 0)
		return false;
	for (const struct port_entry *entry = map->entries; entry < map->entries + PORTS_MAX; entry++)
		if (entry->used && entry->place.protocol == NET_TCP && ports_is_moved(entry) &&
		    !entry->listens)
			return true;
	return false;
}
