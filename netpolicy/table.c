/* Compiled rules: who may be reached.
 *
 *   entries   | any | v4 /8 .. | v4 /32 ......... | v6 /64 .. | v6 /128 .... |   sorted in each segment
 *   segments  | any | v4 /8    | v4 /32           | v6 /64    | v6 /128      |   one a family and prefix
 *   ranges    | ports of entry 0 | ports of entry 1 | ...
 *
 * A decision is one binary search in each segment of the endpoint's family: the work depends on how many
 * prefix lengths the rules use, and hardly on how many rules there are. There is no hashing, so a target
 * that picks its addresses cannot make a decision slow. */
#include "netpolicy/rule.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/fd.h"
#include "netpolicy/addr.h"

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
	struct segment *segments; /* sorted by family; AF_UNSPEC, any address, is the first */
	struct port_range *ranges;
	size_t segment_count;
};

/* The address as a number, in the top bits: one shift makes the mask for both families. */
static unsigned __int128 addr_key(const struct net_addr *addr)
{
	uint64_t halves[2];

	memcpy(halves, addr->bytes, sizeof(halves));
	return (unsigned __int128)be64toh(halves[0]) << 64 | be64toh(halves[1]);
}

static unsigned __int128 prefix_mask(unsigned prefix)
{
	return prefix == 0 ? 0 : ~(unsigned __int128)0 << (128 - prefix);
}

/* Building: parse, sort, merge, lay out. */

static int rule_segment_compare(const struct net_rule *a, const struct net_rule *b)
{
	if (a->addr.family != b->addr.family)
		return a->addr.family < b->addr.family ? -1 : 1;
	return (a->prefix > b->prefix) - (a->prefix < b->prefix);
}

static int rule_compare(const void *left, const void *right)
{
	const struct net_rule *a = left, *b = right;
	int order = rule_segment_compare(a, b);

	if (order == 0)
		order = memcmp(a->addr.bytes, b->addr.bytes, sizeof(a->addr.bytes));
	if (order == 0)
		order = (a->addr.scope > b->addr.scope) - (a->addr.scope < b->addr.scope);
	return order;
}

/* Sorted rules in, one rule a target out; *count becomes theirs. */
static int rules_merge(struct net_rule *rules, size_t *count)
{
	size_t used = 0;

	for (size_t i = 0; i < *count; i++) {
		if (used > 0 && rule_compare(&rules[used - 1], &rules[i]) == 0) {
			int r = ports_append(&rules[used - 1].ports, &rules[i].ports);

			if (r < 0)
				return r;
			rule_clear(&rules[i]);
		} else if (used++ != i) {
			rules[used - 1] = rules[i];
			rules[i] = (struct net_rule){0};
		}
	}
	for (size_t i = 0; i < used; i++)
		port_set_normalize(&rules[i].ports);
	*count = used;
	return 0;
}

/* Normalized ranges do not touch, so whatever covers `range` is one range. */
static bool ports_cover(const struct port_set *ports, const struct port_range *range)
{
	size_t low = 0, high = ports->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (ports->ranges[middle].high < range->high)
			low = middle + 1;
		else
			high = middle;
	}
	return low < ports->count && ports->ranges[low].low <= range->low;
}

static bool rule_is_covered(const struct net_rule *rule, const struct port_set *any)
{
	for (size_t i = 0; i < rule->ports.count; i++)
		if (!ports_cover(any, &rule->ports.ranges[i]))
			return false;
	return true;
}

/* Merged rules in: any address is the first of them, if it is there at all. */
static int need_fill(struct net_need *need, const struct net_rule *rules, size_t count)
{
	static const struct port_range all = {.low = 0, .high = PORT_LAST};
	static const struct port_set none;
	bool has_any = count > 0 && rules[0].addr.family == AF_UNSPEC;
	const struct port_set *any = has_any ? &rules[0].ports : &none;

	for (size_t i = has_any; !need->gate && i < count; i++)
		need->gate = !rule_is_covered(&rules[i], any);
	need->tcp_any = ports_cover(any, &all);
	return need->tcp_any ? 0 : ports_append(&need->any_ports, any);
}

static int table_allocate(struct net_table *table, const struct net_rule *rules, size_t count)
{
	size_t ranges = 0, segments = 0;

	for (size_t i = 0; i < count; i++) {
		ranges += rules[i].ports.count;
		segments += i == 0 || rule_segment_compare(&rules[i - 1], &rules[i]) != 0;
	}
	if (ranges > UINT32_MAX)
		return -ENOMEM;
	/* One more than needed: calloc(0) may give NULL. */
	table->entries = calloc(count + 1, sizeof(*table->entries));
	table->segments = calloc(segments + 1, sizeof(*table->segments));
	table->ranges = calloc(ranges + 1, sizeof(*table->ranges));
	if (table->entries == NULL || table->segments == NULL || table->ranges == NULL)
		return -ENOMEM;
	return 0;
}

static void table_fill(struct net_table *table, const struct net_rule *rules, size_t count)
{
	uint32_t ranges = 0;

	for (uint32_t i = 0; i < count; i++) {
		const struct net_rule *rule = &rules[i];

		if (i == 0 || rule_segment_compare(rule - 1, rule) != 0)
			table->segments[table->segment_count++] = (struct segment){
				.mask = prefix_mask(rule->prefix),
				.first = i,
				.family = rule->addr.family,
				.prefix = (uint8_t)rule->prefix,
			};
		table->segments[table->segment_count - 1].count++;
		table->entries[i] = (struct entry){
			.key = addr_key(&rule->addr),
			.scope = rule->addr.scope,
			.first = ranges,
			.count = (uint32_t)rule->ports.count,
		};
		memcpy(table->ranges + ranges, rule->ports.ranges,
		       rule->ports.count * sizeof(*table->ranges));
		ranges += (uint32_t)rule->ports.count;
	}
}

/* `rules` are sorted and merged here; the caller clears all `count` of them. */
static int table_compile(struct net_rule *rules, size_t count, struct net_table *table, struct net_need *need)
{
	int r;

	qsort(rules, count, sizeof(*rules), rule_compare);
	if ((r = rules_merge(rules, &count)) < 0 || (r = need_fill(need, rules, count)) < 0 ||
	    (r = table_allocate(table, rules, count)) < 0)
		return r;
	table_fill(table, rules, count);
	return 0;
}

static int rules_parse(const char *const *texts, size_t count, struct net_rule *rules, sl_error *error)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++)
		r = rule_parse(texts[i], &rules[i], error);
	return r;
}

int net_table_build(const char *const *rules, size_t count, struct net_table **table, struct net_need *need,
                    sl_error *error)
{
	cleanup_free struct net_rule *parsed = calloc(count + 1, sizeof(*parsed));
	int r = -ENOMEM;

	*need = (struct net_need){0};
	*table = calloc(1, sizeof(**table));
	if (parsed == NULL || *table == NULL)
		error_errno(error, r, "net-allow");
	else if ((r = rules_parse(rules, count, parsed, error)) == 0 &&
	         (r = table_compile(parsed, count, *table, need)) < 0)
		error_errno(error, r, "net-allow");

	for (size_t i = 0; parsed != NULL && i < count; i++)
		rule_clear(&parsed[i]);
	if (r < 0) {
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
	free(table->entries);
	free(table->segments);
	free(table->ranges);
	free(table);
}

/* Deciding. */

static struct port_set entry_ports(const struct net_table *table, const struct entry *entry)
{
	return (struct port_set){.ranges = table->ranges + entry->first, .count = entry->count};
}

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

static bool segment_allows(const struct net_table *table, const struct segment *segment,
                           unsigned __int128 key, const struct net_endpoint *endpoint)
{
	uint32_t end = segment->first + segment->count;

	/* Entries of one address differ in their scope. */
	for (uint32_t i = segment_find(table, segment, key); i < end && table->entries[i].key == key; i++) {
		const struct entry *entry = &table->entries[i];
		struct port_set ports = entry_ports(table, entry);

		if ((entry->scope == 0 || entry->scope == endpoint->addr.scope) &&
		    port_set_has(&ports, endpoint->port))
			return true;
	}
	return false;
}

bool net_table_allows(const struct net_table *table, const struct net_endpoint *endpoint)
{
	unsigned __int128 key = addr_key(&endpoint->addr);

	for (size_t i = 0; i < table->segment_count; i++) {
		const struct segment *segment = &table->segments[i];

		if (segment->family != AF_UNSPEC && segment->family != endpoint->addr.family)
			continue;
		if (segment_allows(table, segment, key & segment->mask, endpoint))
			return true;
	}
	return false;
}

/* Printing: each line is a rule that means just this. */

static void target_print(const struct segment *segment, const struct entry *entry, FILE *out)
{
	struct net_addr addr = {.family = segment->family, .scope = entry->scope};
	uint64_t halves[2] = {htobe64((uint64_t)(entry->key >> 64)), htobe64((uint64_t)entry->key)};
	char text[ADDR_TEXT], prefix[8] = "";

	if (addr.family == AF_UNSPEC) {
		fputs("tcp://*", out);
		return;
	}
	memcpy(addr.bytes, halves, sizeof(addr.bytes));
	addr_format(&addr, text, sizeof(text));
	if (segment->prefix != addr_bits(&addr))
		snprintf(prefix, sizeof(prefix), "/%u", segment->prefix);
	fprintf(out, addr.family == AF_INET ? "tcp://%s%s" : "tcp://[%s%s]", text, prefix);
}

static void ports_print(const struct port_set *ports, FILE *out)
{
	for (size_t i = 0; i < ports->count; i++) {
		const struct port_range *range = &ports->ranges[i];

		fputc(i == 0 ? ':' : ',', out);
		if (range->low == 0)
			fputc('*', out);
		else if (range->low == range->high)
			fprintf(out, "%u", range->low);
		else
			fprintf(out, "%u-%u", range->low, range->high);
	}
}

int net_table_print(const struct net_table *table, FILE *out)
{
	for (size_t s = 0; s < table->segment_count; s++) {
		const struct segment *segment = &table->segments[s];

		for (uint32_t i = segment->first; i < segment->first + segment->count; i++) {
			struct port_set ports = entry_ports(table, &table->entries[i]);

			target_print(segment, &table->entries[i], out);
			ports_print(&ports, out);
			fputc('\n', out);
		}
	}
	return ferror(out) ? -EIO : 0;
}
