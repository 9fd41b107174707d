/* Compiled rules: who may be reached.
 *
 *   entries   | any | v4 /8 .. | v4 /32 ......... | v6 /64 .. | v6 /128 .... |   sorted in each segment
 *   segments  | any | v4 /8    | v4 /32           | v6 /64    | v6 /128      |   one a family and prefix
 *   ranges    | ports of entry 0 | ports of entry 1 | ...
 *   lists     | TCP allow | TCP pinned | TCP deny | UDP allow | ...              each some segments in a row
 *
 * A decision is one binary search in each segment of the protocol and the endpoint's family: the work depends on how
 * many prefix lengths the rules use, and hardly on how many rules there are. There is no hashing, so a target that
 * picks its addresses cannot make a decision slow. */
#include "netpolicy/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"

static unsigned __int128 prefix_mask(unsigned prefix)
{
	return prefix == 0 ? 0 : ~(unsigned __int128)0 << (128 - prefix);
}

/* Building: parse, resolve, make cells, lay them out. */

struct parsed { /* one key's rules */
	struct net_rule *rules;
	size_t count;
};

static int rules_parse(const char *key, struct text_list texts, struct parsed *parsed, sl_error *error)
{
	int r = 0;

	/* One more than needed: calloc(0) may give NULL. */
	parsed->rules = calloc(texts.count + 1, sizeof(*parsed->rules));
	if (parsed->rules == NULL)
		return error_errno(error, -ENOMEM, "%s", key);
	for (; r == 0 && parsed->count < texts.count; parsed->count++)
		r = rule_parse(key, texts.items[parsed->count], &parsed->rules[parsed->count], error);
	return r;
}

static void parsed_clear(struct parsed *parsed)
{
	for (size_t i = 0; i < parsed->count; i++)
		rule_clear(&parsed->rules[i]);
	free(parsed->rules);
}

static int cells_add_rule(struct cells *cells, enum table_kind kind, const struct net_rule *rule)
{
	struct cell cell = {.kind = kind, .addr = rule->addr, .prefix = rule->prefix, .ports = rule->ports};
	int r = 0;

	for (; r == 0 && cell.protocol < NET_PROTOCOLS; cell.protocol++)
		if (rule->protocols & 1u << cell.protocol)
			r = cells_add(cells, &cell);
	return r;
}

static int cells_add_rules(struct cells *cells, enum table_kind kind, const struct parsed *parsed)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < parsed->count; i++)
		if (parsed->rules[i].name == NULL)
			r = cells_add_rule(cells, kind, &parsed->rules[i]);
	return r;
}

static int cells_add_name(struct cells *cells, const struct name *name)
{
	struct cell cell = {.kind = TABLE_PINNED};
	int r = 0;

	for (; cell.protocol < NET_PROTOCOLS; cell.protocol++) {
		cell.ports = name->ports[cell.protocol];
		for (size_t i = 0; r == 0 && cell.ports.count > 0 && i < name->count; i++) {
			cell.addr = name->addrs[i];
			cell.prefix = addr_bits(&cell.addr);
			r = cells_add(cells, &cell);
		}
	}
	return r;
}

static int cells_make(struct cells *cells, const struct parsed *allow, const struct parsed *deny,
                      const struct names *names)
{
	int r = cells_add_rules(cells, TABLE_ALLOW, allow);

	if (r == 0)
		r = cells_add_rules(cells, TABLE_DENY, deny);
	for (size_t i = 0; r == 0 && i < names->count; i++)
		r = cells_add_name(cells, &names->items[i]);
	return r == 0 ? cells_merge(cells) : r;
}

static bool segment_begins(const struct cells *cells, size_t i)
{
	return i == 0 || cell_segment_compare(&cells->items[i - 1], &cells->items[i]) != 0;
}

static int table_allocate(struct net_table *table, const struct cells *cells)
{
	size_t ranges = 0, segments = 0;

	for (size_t i = 0; i < cells->count; i++) {
		ranges += cells->items[i].ports.count;
		segments += segment_begins(cells, i);
	}
	if (ranges > UINT32_MAX)
		return -ENOMEM;
	table->entries = calloc(cells->count + 1, sizeof(*table->entries));
	table->segments = calloc(segments + 1, sizeof(*table->segments));
	table->ranges = calloc(ranges + 1, sizeof(*table->ranges));
	if (table->entries == NULL || table->segments == NULL || table->ranges == NULL)
		return -ENOMEM;
	return 0;
}

static void segment_start(struct net_table *table, uint32_t number, const struct cell *cell, uint32_t first)
{
	struct segment_list *list = &table->lists[cell->protocol][cell->kind];

	if (list->count++ == 0)
		list->first = number;
	table->segments[number] = (struct segment){
		.mask = prefix_mask(cell->prefix),
		.first = first,
		.family = cell->addr.family,
		.prefix = (uint8_t)cell->prefix,
	};
}

static void table_fill(struct net_table *table, const struct cells *cells)
{
	uint32_t ranges = 0, segments = 0;

	for (uint32_t i = 0; i < cells->count; i++) {
		const struct cell *cell = &cells->items[i];

		if (segment_begins(cells, i))
			segment_start(table, segments++, cell, i);
		table->segments[segments - 1].count++;
		table->entries[i] = (struct entry){
			.key = addr_key(&cell->addr),
			.scope = cell->addr.scope,
			.first = ranges,
			.count = (uint32_t)cell->ports.count,
		};
		memcpy(table->ranges + ranges, cell->ports.ranges,
		       cell->ports.count * sizeof(*table->ranges));
		ranges += (uint32_t)cell->ports.count;
	}
}

static int table_compile(struct net_table *table, const struct parsed *allow, const struct parsed *deny,
                         struct net_need *need)
{
	struct cells cells = {0};
	int r;

	if ((r = cells_make(&cells, allow, deny, &table->names)) == 0 &&
	    (r = need_fill(need, &cells, &table->names, table->refresh)) == 0 &&
	    (r = table_allocate(table, &cells)) == 0)
		table_fill(table, &cells);
	cells_clear(&cells);
	return r;
}

static int table_make(struct net_table *table, const struct net_rules *rules, struct net_need *need,
                      sl_error *error)
{
	struct parsed allow = {0}, deny = {0};
	int r;

	table->public_only = rules->public_only;
	table->refresh = rules->refresh;
	if ((r = rules_parse("net-allow", rules->allow, &allow, error)) == 0 &&
	    (r = rules_parse("net-deny", rules->deny, &deny, error)) == 0) {
		if ((r = names_collect(&table->names, allow.rules, allow.count)) < 0)
			error_errno(error, r, "net-allow");
		else if ((r = names_resolve(&table->names, rules, error)) == 0 &&
		         (r = table_compile(table, &allow, &deny, need)) < 0)
			error_errno(error, r, "net-allow");
	}
	parsed_clear(&allow);
	parsed_clear(&deny);
	return r;
}

int net_table_build(const struct net_rules *rules, struct net_table **table, struct net_need *need,
                    sl_error *error)
{
	int r;

	*need = (struct net_need){0};
	*table = calloc(1, sizeof(**table));
	if (*table == NULL)
		return error_errno(error, -ENOMEM, "net-allow");
	if ((r = table_make(*table, rules, need, error)) < 0) {
		net_need_clear(need);
		net_table_free(*table);
		*table = NULL;
	}
	return r;
}

void net_table_free(struct net_table *table)
{
	if (table == NULL)
		return;
	names_clear(&table->names);
	free(table->entries);
	free(table->segments);
	free(table->ranges);
	free(table);
}
