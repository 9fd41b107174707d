/* Port sets: what netpolicy/ parses, and what Landlock rules are made of; and what may be bound. */
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

int port_set_append(struct port_set *to, const struct port_set *from)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < from->count; i++)
		r = port_set_add(to, from->ranges[i].low, from->ranges[i].high);
	return r;
}

/* All of `from` or nothing: what was there before stays in both cases. */
int port_set_copy(struct port_set *to, const struct port_set *from)
{
	size_t count = to->count;
	int r = port_set_append(to, from);

	if (r < 0)
		to->count = count;
	else
		port_set_normalize(to);
	return r;
}

/* One range less all of `less`, appended to `left`. */
static int range_subtract(struct port_set *left, struct port_range range, const struct port_set *less)
{
	unsigned low = range.low;
	int r = 0;

	for (size_t i = 0; r == 0 && low <= range.high && i < less->count; i++) {
		const struct port_range *hole = &less->ranges[i];

		if (hole->low > range.high)
			break;
		if (hole->low > low)
			r = port_set_add(left, (uint16_t)low, hole->low - 1);
		low = hole->high + 1u;
	}
	return r == 0 && low <= range.high ? port_set_add(left, (uint16_t)low, range.high) : r;
}

int port_set_subtract(struct port_set *set, const struct port_set *less)
{
	struct port_set left = {0}, rest = *less; /* `rest` shares its ranges */
	int r = 0;

	for (size_t i = 0; r == 0 && i < set->count; i++) {
		for (; rest.count > 0 && rest.ranges->high < set->ranges[i].low; rest.count--)
			rest.ranges++;
		r = range_subtract(&left, set->ranges[i], &rest);
	}
	if (r < 0) {
		port_set_clear(&left);
		return r;
	}
	port_set_clear(set);
	*set = left;
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

/* Normalized ranges do not touch, so whatever covers a range is one range. */
bool port_set_covers(const struct port_set *set, const struct port_set *of)
{
	size_t at = 0;

	for (size_t i = 0; i < of->count; i++) {
		while (at < set->count && set->ranges[at].high < of->ranges[i].high)
			at++;
		if (at == set->count || set->ranges[at].low > of->ranges[i].low)
			return false;
	}
	return true;
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
	port_set_clear(&need->tcp_ports);
	*need = (struct net_need){0};
}

bool net_binds_allow(const struct net_binds *binds, enum net_protocol protocol, uint16_t port)
{
	if (protocol > NET_UDP)
		return false;
	return binds->protocols[protocol].any || port_set_has(&binds->protocols[protocol].ports, port);
}

void net_binds_clear(struct net_binds *binds)
{
	for (int protocol = NET_TCP; protocol <= NET_UDP; protocol++)
		port_set_clear(&binds->protocols[protocol].ports);
	*binds = (struct net_binds){0};
}
