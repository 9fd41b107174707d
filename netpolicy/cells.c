/* Cells: what rules and pinned names come to before they are laid out. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "netpolicy/table.h"

int cells_add(struct cells *cells, const struct cell *cell)
{
	struct cell *copy;

	if (cells->count == cells->room) {
		size_t room = cells->room == 0 ? 16 : cells->room * 2;
		struct cell *items = reallocarray(cells->items, room, sizeof(*items));

		if (items == NULL)
			return -ENOMEM;
		cells->items = items;
		cells->room = room;
	}
	copy = &cells->items[cells->count++];
	*copy = *cell;
	copy->ports = (struct port_set){0};
	return port_set_copy(&copy->ports, &cell->ports);
}

int cell_segment_compare(const struct cell *a, const struct cell *b)
{
	if (a->protocol != b->protocol)
		return a->protocol < b->protocol ? -1 : 1;
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (a->addr.family != b->addr.family)
		return a->addr.family < b->addr.family ? -1 : 1;
	return (a->prefix > b->prefix) - (a->prefix < b->prefix);
}

static int cell_compare(const void *left, const void *right)
{
	const struct cell *a = left, *b = right;
	int order = cell_segment_compare(a, b);

	if (order == 0)
		order = memcmp(a->addr.bytes, b->addr.bytes, sizeof(a->addr.bytes));
	if (order == 0)
		order = (a->addr.scope > b->addr.scope) - (a->addr.scope < b->addr.scope);
	return order;
}

int cells_merge(struct cells *cells)
{
	struct cell *items = cells->items;
	size_t used = 0;
	int r = 0;

	if (cells->count == 0)
		return 0;
	qsort(items, cells->count, sizeof(*items), cell_compare);
	for (size_t i = 0; r == 0 && i < cells->count; i++) {
		if (used > 0 && cell_compare(&items[used - 1], &items[i]) == 0) {
			r = port_set_append(&items[used - 1].ports, &items[i].ports);
			port_set_clear(&items[i].ports);
		} else if (used++ != i) {
			items[used - 1] = items[i];
			items[i] = (struct cell){0};
		}
	}
	if (r < 0)
		return r;
	cells->count = used;
	for (size_t i = 0; i < used; i++)
		port_set_normalize(&items[i].ports);
	return 0;
}

void cells_clear(struct cells *cells)
{
	for (size_t i = 0; i < cells->count; i++)
		port_set_clear(&cells->items[i].ports);
	free(cells->items);
	*cells = (struct cells){0};
}
