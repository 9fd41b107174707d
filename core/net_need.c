/* Port sets: what netpolicy/ parses, and what Landlock rules are made of. */
#include "core/net_need.h"

#include <errno.h>
#include <stdlib.h>

int port_set_add(struct port_set *set, uint16_t low, uint16_t high)
{
	/* Grown one doubling at a time, so that no capacity has to be carried along. */
	if ((set->count & (set->count - 1)) == 0) {
		size_t room = set->count == 0 ? 1 : set->count * 2;
		struct port_range *ranges = reallocarray(set->ranges, room, sizeof(*ranges));

		if (ranges == NULL)
			return -ENOMEM;
		set->ranges = ranges;
	}
	set->ranges[set->count++] = (struct port_range){.low = low, .high = high};
	return 0;
}

static int range_compare(const void *left, const void *right)
{
	const struct port_range *a = left, *b = right;

	return (a->low > b->low) - (a->low < b->low);
}

void port_set_normalize(struct port_set *set)
{
	size_t used = 0;

	if (set->count == 0)
		return;
	qsort(set->ranges, set->count, sizeof(*set->ranges), range_compare);
	for (size_t i = 1; i < set->count; i++) {
		struct port_range *last = &set->ranges[used], *next = &set->ranges[i];

		if ((unsigned)next->low <= last->high + 1u)
			last->high = next->high > last->high ? next->high : last->high;
		else
			set->ranges[++used] = *next;
	}
	/* The room stays at the next power of two or above, which is all that port_set_add() relies on. */
	set->count = used + 1;
}

bool port_set_has(const struct port_set *set, uint16_t port)
{
	size_t low = 0, high = set->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (port > set->ranges[middle].high)
			low = middle + 1;
		else if (port < set->ranges[middle].low)
			high = middle;
		else
			return true;
	}
	return false;
}

void port_set_clear(struct port_set *set)
{
	free(set->ranges);
	*set = (struct port_set){0};
}

void net_need_clear(struct net_need *need)
{
	port_set_clear(&need->any_ports);
	need->gate = need->tcp_any = false;
}
