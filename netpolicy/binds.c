/* The grammar of net-allow-bind and net-deny-bind, and what they leave together. */
#include <errno.h>
#include <string.h>

#include "core/error.h"
#include "netpolicy/reading.h"

#define SCHEMES_KNOWN (1u << NET_TCP | 1u << NET_UDP)

struct bind {
	unsigned protocols; /* a bit (1 << protocol) each */
	bool named;         /* by a scheme */
	struct port_set ports;
};

/* On failure nothing is left to clear. */
static int bind_parse(const char *key, const char *text, struct bind *bind, sl_error *error)
{
	struct reading reading = {.key = key, .text = text, .error = error};
	const char *ports;
	int r;

	*bind = (struct bind){0};
	if ((r = scheme_read(&reading, SCHEMES_KNOWN, SCHEMES_KNOWN, &bind->protocols, &ports)) < 0)
		return r;
	bind->named = ports != text;
	if (strcmp(ports, "*") != 0)
		r = ports_read(&reading, ports, 0, &bind->ports);
	else if ((r = port_set_add(&bind->ports, 0, PORT_LAST)) < 0)
		error_errno(error, r, "%s", key);
	if (r < 0)
		port_set_clear(&bind->ports);
	return r;
}

int bind_check(const char *key, const char *text, sl_error *error)
{
	struct bind bind;
	int r = bind_parse(key, text, &bind, error);

	if (r == 0)
		port_set_clear(&bind.ports);
	return r;
}

/* The union of a list, one set a protocol. */
static int binds_collect(const char *key, struct text_list list, struct net_binds *binds, sl_error *error)
{
	for (size_t i = 0; i < list.count; i++) {
		struct bind bind;
		int r = bind_parse(key, list.items[i], &bind, error);

		if (r < 0)
			return r;
		for (int protocol = NET_TCP; r == 0 && protocol <= NET_UDP; protocol++) {
			if (!(bind.protocols & 1u << protocol))
				continue;
			binds->protocols[protocol].named |= bind.named;
			r = port_set_copy(&binds->protocols[protocol].ports, &bind.ports);
		}
		port_set_clear(&bind.ports);
		if (r < 0)
			return error_errno(error, r, "%s", key);
	}
	return 0;
}

static int binds_subtract(struct net_binds *binds, const struct net_binds *denied, sl_error *error)
{
	for (int protocol = NET_TCP; protocol <= NET_UDP; protocol++) {
		int r = port_set_subtract(&binds->protocols[protocol].ports,
		                          &denied->protocols[protocol].ports);

		if (r < 0)
			return error_errno(error, r, "net-deny-bind");
	}
	return 0;
}

/* All ports are one word, and a scheme of which nothing is left asks for no sockets. */
static void binds_settle(struct net_binds *binds)
{
	for (int protocol = NET_TCP; protocol <= NET_UDP; protocol++) {
		struct port_set *ports = &binds->protocols[protocol].ports;

		binds->protocols[protocol].named &= ports->count > 0;
		if (ports->count == 0 || ports->ranges[0].low > 0 || ports->ranges[0].high < PORT_LAST)
			continue;
		binds->protocols[protocol].any = true;
		port_set_clear(ports);
	}
}

int net_binds_build(struct text_list allow, struct text_list deny, struct net_binds *binds, sl_error *error)
{
	struct net_binds denied = {0};
	int r;

	*binds = (struct net_binds){0};
	if ((r = binds_collect("net-allow-bind", allow, binds, error)) == 0 &&
	    (r = binds_collect("net-deny-bind", deny, &denied, error)) == 0)
		r = binds_subtract(binds, &denied, error);
	net_binds_clear(&denied);
	if (r < 0)
		net_binds_clear(binds);
	else
		binds_settle(binds);
	return r;
}
