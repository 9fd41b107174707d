/* What the plan must arrange: how much of each protocol the rules leave, and who can decide on it. */
#include <string.h>

#include "netpolicy/table.h"

struct slice { /* cells in a row */
	const struct cell *cells;
	size_t count;
};

struct view { /* one protocol */
	struct slice kinds[TABLE_KINDS];
	struct port_set all_any; /* what is allowed for any address; the cells' */
	struct port_set any;     /* the same, less what is denied for any address */
	bool left;               /* of `any`, at some address */
	bool parts;              /* addresses allow more than `any` */
};

static struct slice slice_find(const struct cells *cells, int protocol, int kind)
{
	struct slice slice = {cells->items, 0};

	for (size_t i = 0; i < cells->count; i++) {
		if (cells->items[i].protocol != protocol || cells->items[i].kind != kind)
			continue;
		if (slice.count++ == 0)
			slice.cells = &cells->items[i];
	}
	return slice;
}

/* Any address is the first cell, if it is there at all. */
static struct port_set slice_any(const struct slice *slice)
{
	return slice->count > 0 && slice->cells[0].addr.family == AF_UNSPEC ? slice->cells[0].ports
	                                                                    : (struct port_set){0};
}

static bool cell_holds(const struct cell *cell, const struct net_addr *addr, unsigned prefix)
{
	if (cell->addr.family == AF_UNSPEC)
		return true;
	return cell->prefix <= prefix && addr_is_in(addr, &cell->addr, cell->prefix) &&
	       (cell->addr.scope == 0 || cell->addr.scope == addr->scope);
}

/* Of `ports` at addr/prefix: what the deny rules leave that hold all of it. Those that hold a part of it leave the
 * rest. -ENOMEM. */
static int ports_left(const struct slice *deny, const struct net_addr *addr, unsigned prefix,
                      const struct port_set *ports, struct port_set *left)
{
	int r = port_set_copy(left, ports);

	for (size_t i = 0; r == 0 && left->count > 0 && i < deny->count; i++)
		if (cell_holds(&deny->cells[i], addr, prefix))
			r = port_set_subtract(left, &deny->cells[i].ports);
	return r;
}

/* Is anything left of `ports` at addr/prefix? And is it more than what is left for any address? */
static int view_add(struct view *view, const struct net_addr *addr, unsigned prefix,
                    const struct port_set *ports)
{
	struct port_set left = {0};
	int r = ports_left(&view->kinds[TABLE_DENY], addr, prefix, ports, &left);

	if (r == 0 && left.count > 0)
		view->parts |= !port_set_covers(&view->any, &left);
	port_set_clear(&left);
	return r;
}

/* Any address is one of IPv4 or of IPv6. */
static int view_add_any(struct view *view)
{
	static const struct net_addr families[] = {{.family = AF_INET}, {.family = AF_INET6}};
	int r;

	if ((r = ports_left(&view->kinds[TABLE_DENY], &(struct net_addr){.family = AF_UNSPEC}, 0,
	                    &view->all_any, &view->any)) < 0)
		return r;
	for (size_t i = 0; r == 0 && !view->left && i < 2; i++) {
		struct port_set left = {0};

		r = ports_left(&view->kinds[TABLE_DENY], &families[i], 0, &view->any, &left);
		view->left = left.count > 0;
		port_set_clear(&left);
	}
	return r;
}

static int view_fill(struct view *view, const struct names *names, bool refresh, int protocol)
{
	int r = view_add_any(view);

	for (int kind = TABLE_ALLOW; kind <= TABLE_PINNED; kind++) {
		const struct slice *slice = &view->kinds[kind];

		for (size_t i = 0; r == 0 && !view->parts && i < slice->count; i++)
			r = view_add(view, &slice->cells[i].addr, slice->cells[i].prefix,
			             &slice->cells[i].ports);
	}
	/* The addresses of open names are not known yet: only what is denied for any address is lost. */
	for (size_t i = 0; r == 0 && i < names->count; i++)
		if (refresh || names->items[i].below)
			r = view_add(view, &(struct net_addr){.family = AF_UNSPEC}, 0,
			             &names->items[i].ports[protocol]);
	return r;
}

static bool ports_overlap(const struct port_set *a, const struct port_set *b)
{
	for (size_t i = 0, j = 0; i < a->count && j < b->count;) {
		if (a->ranges[i].high < b->ranges[j].low)
			i++;
		else if (b->ranges[j].high < a->ranges[i].low)
			j++;
		else
			return true;
	}
	return false;
}

/* Does a deny rule that names addresses take some of what any address may have? */
static bool view_has_holes(const struct view *view)
{
	const struct slice *deny = &view->kinds[TABLE_DENY];

	for (size_t i = 0; i < deny->count; i++)
		if (deny->cells[i].addr.family != AF_UNSPEC &&
		    ports_overlap(&deny->cells[i].ports, &view->any))
			return true;
	return false;
}

static enum net_extent view_extent(const struct view *view, int protocol)
{
	static struct port_range whole = {.low = 0, .high = PORT_LAST};
	static const struct port_set all = {.ranges = &whole, .count = 1};

	if (!view->left && !view->parts)
		return NET_NOTHING;
	if (view->kinds[TABLE_DENY].count == 0 && port_set_covers(&view->all_any, &all))
		return NET_ALL;
	if (protocol != NET_TCP || view->parts || view_has_holes(view))
		return NET_PARTS;
	return NET_PORTS;
}

static int need_fill_protocol(struct net_need *need, int protocol, const struct cells *cells,
                              const struct names *names, bool refresh)
{
	struct view view = {0};
	int r;

	for (int kind = 0; kind < TABLE_KINDS; kind++)
		view.kinds[kind] = slice_find(cells, protocol, kind);
	view.all_any = slice_any(&view.kinds[TABLE_ALLOW]);
	r = view_fill(&view, names, refresh, protocol);
	if (r == 0) {
		need->extent[protocol] = view_extent(&view, protocol);
		if (need->extent[protocol] == NET_PORTS)
			r = port_set_copy(&need->tcp_ports, &view.any);
	}
	port_set_clear(&view.any);
	return r;
}

int need_fill(struct net_need *need, const struct cells *cells, const struct names *names, bool refresh)
{
	int r = 0;

	need->names = names->count > 0;
	for (int protocol = 0; r == 0 && protocol < NET_PROTOCOLS; protocol++)
		r = need_fill_protocol(need, protocol, cells, names, refresh);
	return r;
}
