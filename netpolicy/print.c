/* Printing: each line is a rule that means just this, but for those that say whose address it is, or that it is
 * denied. */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "netpolicy/table.h"

static const char *const schemes[NET_PROTOCOLS] = {[NET_TCP] = "tcp", [NET_UDP] = "udp", [NET_ICMP] = "icmp"};

static void addr_print(const struct net_addr *addr, unsigned prefix, FILE *out)
{
	char text[ADDR_TEXT], length[8] = "";

	if (addr->family == AF_UNSPEC) {
		fputs("*", out);
		return;
	}
	addr_format(addr, text, sizeof(text));
	if (prefix != addr_bits(addr))
		snprintf(length, sizeof(length), "/%u", prefix);
	fprintf(out, addr->family == AF_INET ? "%s%s" : "[%s%s]", text, length);
}

static void entry_print(const struct segment *segment, const struct entry *entry, FILE *out)
{
	struct net_addr addr = {.family = segment->family, .scope = entry->scope};
	uint64_t halves[2] = {htobe64((uint64_t)(entry->key >> 64)), htobe64((uint64_t)entry->key)};

	memcpy(addr.bytes, halves, sizeof(addr.bytes));
	addr_print(&addr, segment->prefix, out);
}

static void ports_print(int protocol, const struct port_set *ports, FILE *out)
{
	for (size_t i = 0; protocol != NET_ICMP && i < ports->count; i++) {
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

static void list_print(const struct net_table *table, int protocol, enum table_kind kind, FILE *out)
{
	const struct segment_list *list = &table->lists[protocol][kind];

	for (uint32_t s = list->first; s < list->first + list->count; s++) {
		const struct segment *segment = &table->segments[s];

		for (uint32_t i = segment->first; i < segment->first + segment->count; i++) {
			struct port_set ports = entry_ports(table, &table->entries[i]);

			fprintf(out, "%s%s://", kind == TABLE_DENY ? "deny " : "", schemes[protocol]);
			entry_print(segment, &table->entries[i], out);
			ports_print(protocol, &ports, out);
			fputc('\n', out);
		}
	}
}

/* An open name is a rule; a pinned one is its addresses. */
static void name_print(const struct net_table *table, int protocol, const struct name *name, FILE *out)
{
	const struct port_set *ports = &name->ports[protocol];

	if (ports->count == 0)
		return;
	if (name->below || table->refresh) {
		fprintf(out, "%s://%s%s", schemes[protocol], name->below ? "*." : "", name->text);
		ports_print(protocol, ports, out);
		fputc('\n', out);
	}
	for (size_t i = 0; i < name->count; i++) {
		fprintf(out, "%s://", schemes[protocol]);
		addr_print(&name->addrs[i], addr_bits(&name->addrs[i]), out);
		ports_print(protocol, ports, out);
		fprintf(out, " (%s)\n", name->text);
	}
}

int net_table_print(const struct net_table *table, FILE *out)
{
	for (int protocol = 0; protocol < NET_PROTOCOLS; protocol++) {
		list_print(table, protocol, TABLE_ALLOW, out);
		for (size_t i = 0; i < table->names.count; i++)
			name_print(table, protocol, &table->names.items[i], out);
	}
	for (int protocol = 0; protocol < NET_PROTOCOLS; protocol++)
		list_print(table, protocol, TABLE_DENY, out);
	return ferror(out) ? -EIO : 0;
}
