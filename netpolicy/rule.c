/* The grammar of net-allow and net-allow-bind. netpolicy.h says what is accepted.
 *
 * A rule that we cannot enforce yet (UDP, ICMP, names) is refused and never stored: the caller would
 * believe it. Texts may be long and are bytes from anywhere, so messages quote them bounded. */
#include "netpolicy/rule.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "core/error.h"
#include "core/parse.h"
#include "netpolicy/addr.h"

#define QUOTE_MAX 40 /* bytes of one part in a message; the whole rule gets 64 */

struct reading { /* what every message begins with */
	const char *key, *text;
	sl_error *error;
};

struct part { /* a piece of reading.text */
	const char *at;
	size_t size;
};

static int reject(const struct reading *reading, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int reject(const struct reading *reading, int code, const char *format, ...)
{
	char reason[160]; /* with the quoted rule it fits sl_error.message */
	va_list args;

	va_start(args, format);
	vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	return error_set(reading->error, code, "%s \"%.64s%s\": %s", reading->key, reading->text,
	                 strnlen(reading->text, 65) > 64 ? "..." : "", reason);
}

static int part_quoted(struct part part)
{
	return part.size < QUOTE_MAX ? (int)part.size : QUOTE_MAX;
}

static bool part_is(struct part part, const char *text)
{
	return part.size == strlen(text) && memcmp(part.at, text, part.size) == 0;
}

static bool part_has(struct part part, char byte)
{
	return memchr(part.at, byte, part.size) != NULL;
}

/* Room for any CIDR. What does not fit is no address; it comes out empty, which is none either. */
static void part_copy(struct part part, char copy[static ADDR_TEXT * 2])
{
	size_t size = part.size < ADDR_TEXT * 2 ? part.size : 0;

	memcpy(copy, part.at, size);
	copy[size] = '\0';
}

static int port_read(const struct reading *reading, struct part part, unsigned lowest, uint16_t *port)
{
	char digits[ADDR_TEXT * 2];
	uint64_t number;

	part_copy(part, digits);
	if (number_parse(digits, lowest, PORT_LAST, &number) < 0)
		return reject(reading, -EINVAL, "port \"%.*s\": expected a number in %u..%u",
		              part_quoted(part), part.at, lowest, PORT_LAST);
	*port = (uint16_t)number;
	return 0;
}

/* "80" or "8000-8080". */
static int range_read(const struct reading *reading, struct part part, unsigned lowest,
                      struct port_range *range)
{
	const char *dash = memchr(part.at, '-', part.size);
	struct part low = part, high = part;
	int r;

	if (part.size == 0)
		return reject(reading, -EINVAL, "empty port in the list: expected a port or low-high range");
	if (part_is(part, "*"))
		return reject(reading, -EINVAL, "\"*\" means all ports and is not mixed with others");
	if (dash != NULL) {
		low.size = (size_t)(dash - part.at);
		high = (struct part){dash + 1, part.size - low.size - 1};
	}
	if ((r = port_read(reading, low, lowest, &range->low)) < 0 ||
	    (r = port_read(reading, high, lowest, &range->high)) < 0)
		return r;
	if (range->low > range->high)
		return reject(reading, -EINVAL, "port range \"%.*s\" is reversed: expected low-high",
		              part_quoted(part), part.at);
	return 0;
}

/* A list; the "*" alone is the caller's. */
static int ports_read(const struct reading *reading, const char *text, unsigned lowest,
                      struct port_set *ports)
{
	const char *comma;

	if (*text == '\0')
		return reject(reading, -EINVAL, "no ports: expected *, or ports and low-high ranges");
	do {
		struct port_range range;
		int r;

		comma = strchrnul(text, ',');
		if ((r = range_read(reading, (struct part){text, (size_t)(comma - text)}, lowest, &range)) <
		    0)
			return r;
		if ((r = port_set_add(ports, range.low, range.high)) < 0)
			return error_errno(reading->error, r, "%s", reading->key);
		text = comma + 1;
	} while (*comma != '\0');
	port_set_normalize(ports);
	return 0;
}

static int scheme_skip(const struct reading *reading, const char **body)
{
	const char *end = strstr(reading->text, "://");
	struct part scheme = {reading->text, end == NULL ? 0 : (size_t)(end - reading->text)};

	*body = end == NULL ? reading->text : end + 3;
	if (end == NULL || part_is(scheme, "tcp"))
		return 0;
	if (part_is(scheme, "udp"))
		return reject(reading, -ENOTSUP, "UDP rules are not enforced yet, so they are not accepted");
	if (part_is(scheme, "icmp"))
		return reject(reading, -ENOTSUP, "ICMP rules are not enforced yet, so they are not accepted");
	return reject(reading, -EINVAL, "scheme \"%.*s\": expected tcp://, in lower case, or none",
	              part_quoted(scheme), scheme.at);
}

struct body {
	struct part target;
	const char *ports; /* NULL: all */
	bool bracketed;
};

/* "[target]", "[target]:ports". */
static int bracket_split(const struct reading *reading, const char *text, struct body *body)
{
	const char *end = strchr(text, ']');

	if (end == NULL)
		return reject(reading, -EINVAL, "missing \"]\" behind the IPv6 address");
	if (end[1] != '\0' && end[1] != ':')
		return reject(reading, -EINVAL, "\"%.*s\" behind \"]\": expected \":\" and ports, or nothing",
		              QUOTE_MAX, end + 1);
	*body = (struct body){
		.target = {text + 1, (size_t)(end - text - 1)},
		.ports = end[1] == '\0' ? NULL : end + 2,
		.bracketed = true,
	};
	return 0;
}

/* One colon stands before ports; more are a bare IPv6 target, whose ports are all. */
static int body_split(const struct reading *reading, const char *text, struct body *body)
{
	const char *colon = strchr(text, ':');

	if (*text == '\0')
		return reject(reading, -EINVAL, "nothing is named: write * for any address and port");
	if (*text == '[')
		return bracket_split(reading, text, body);
	if (colon == NULL || colon != strrchr(text, ':'))
		*body = (struct body){.target = {text, strlen(text)}};
	else
		*body = (struct body){.target = {text, (size_t)(colon - text)}, .ports = colon + 1};
	return 0;
}

/* Why `target` is no address: the reason that cidr_parse() gave, in words. */
static int target_reject(const struct reading *reading, const struct body *body, int code,
                         const struct net_addr *addr)
{
	struct part target = body->target;
	int size = part_quoted(target);

	if (code == -ENODEV)
		return reject(reading, -EINVAL,
		              "\"%.*s\": behind \"%%\" the name or index of an interface is expected", size,
		              target.at);
	if (code == -ERANGE)
		return reject(reading, -EINVAL, "prefix of \"%.*s\": expected a number in 0..%u%s", size,
		              target.at, addr_bits(addr),
		              body->bracketed || addr->family == AF_INET
		                      ? ""
		                      : "; ports go as [address/prefix]:ports");
	if (part_has(target, ':') || body->bracketed)
		return reject(reading, -EINVAL,
		              "\"%.*s\" is no IPv6 address or CIDR; with ports it is written [address]:ports",
		              size, target.at);
	if (part_has(target, '/'))
		return reject(reading, -EINVAL, "\"%.*s\": expected an address before the \"/\"", size,
		              target.at);
	return reject(reading, -ENOTSUP,
	              "\"%.*s\" is no IP address, and host names are not supported yet: write an address",
	              size, target.at);
}

/* A scope filters link-local prefixes only: no other endpoint carries one, so that such a rule would
 * never match. */
static bool rule_takes_scope(const struct net_rule *rule)
{
	return addr_is_link_local(&rule->addr) && rule->prefix >= (rule->addr.bytes[0] == 0xff ? 16 : 10);
}

/* Addresses that parse but can never be what the writer meant. */
static int target_check(const struct reading *reading, const struct net_rule *rule)
{
	bool single = rule->prefix == addr_bits(&rule->addr);

	if (single && addr_is_unspecified(&rule->addr))
		return reject(reading, -EINVAL, "the address 0: write * for any address, or %s for this host",
		              rule->addr.family == AF_INET ? "127.0.0.1" : "::1 (and 127.0.0.1)");
	if (rule->addr.scope != 0 && !rule_takes_scope(rule))
		return reject(reading, -EINVAL,
		              "\"%%interface\" is for link-local addresses (fe80::/10) only");
	if (single && rule->addr.scope == 0 && addr_is_link_local(&rule->addr))
		return reject(reading, -EINVAL,
		              "a link-local address needs its interface: write address%%interface");
	return 0;
}

static int target_read(const struct reading *reading, const struct body *body, struct net_rule *rule)
{
	char text[ADDR_TEXT * 2];
	int r;

	if (!body->bracketed && (body->target.size == 0 || part_is(body->target, "*")))
		return 0; /* rule->addr stays AF_UNSPEC */
	part_copy(body->target, text);
	r = cidr_parse(text, &rule->addr, &rule->prefix);
	if (r == 0 && body->bracketed && strchr(text, ':') == NULL)
		return reject(reading, -EINVAL, "brackets are for IPv6: write \"%.*s\" without them",
		              part_quoted(body->target), body->target.at);
	return r < 0 ? target_reject(reading, body, r, &rule->addr) : target_check(reading, rule);
}

static int rule_read(const struct reading *reading, struct net_rule *rule)
{
	const char *text;
	struct body body = {0};
	int r;

	if ((r = scheme_skip(reading, &text)) < 0 || (r = body_split(reading, text, &body)) < 0 ||
	    (r = target_read(reading, &body, rule)) < 0)
		return r;
	if (body.ports != NULL && strcmp(body.ports, "*") != 0)
		return ports_read(reading, body.ports, 1, &rule->ports);
	if ((r = port_set_add(&rule->ports, 0, PORT_LAST)) < 0)
		return error_errno(reading->error, r, "%s", reading->key);
	return 0;
}

int rule_parse(const char *text, struct net_rule *rule, sl_error *error)
{
	struct reading reading = {.key = "net-allow", .text = text, .error = error};
	int r;

	*rule = (struct net_rule){.addr.family = AF_UNSPEC};
	if ((r = rule_read(&reading, rule)) < 0)
		rule_clear(rule);
	return r;
}

void rule_clear(struct net_rule *rule)
{
	port_set_clear(&rule->ports);
	*rule = (struct net_rule){0};
}

int rule_check(const char *text, sl_error *error)
{
	struct net_rule rule;
	int r = rule_parse(text, &rule, error);

	if (r == 0)
		rule_clear(&rule);
	return r;
}

int ports_append(struct port_set *ports, const struct port_set *more)
{
	size_t count = ports->count;
	int r = 0;

	for (size_t i = 0; r == 0 && i < more->count; i++)
		r = port_set_add(ports, more->ranges[i].low, more->ranges[i].high);
	if (r < 0)
		ports->count = count;
	return r;
}

int bind_ports_parse(const char *text, struct port_set *ports, bool *all, sl_error *error)
{
	struct reading reading = {.key = "net-allow-bind", .text = text, .error = error};
	struct port_set listed = {0};
	int r;

	if (strcmp(text, "*") == 0) {
		*all = true;
		return 0;
	}
	r = ports_read(&reading, text, 0, &listed);
	if (r == 0 && (r = ports_append(ports, &listed)) < 0)
		error_errno(error, r, "net-allow-bind");
	if (r == 0)
		port_set_normalize(ports);
	port_set_clear(&listed);
	return r;
}
