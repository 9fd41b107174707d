/* The grammar of net-allow and net-deny. netpolicy.h says what is accepted. */
#include "netpolicy/rule.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "netpolicy/addr.h"
#include "netpolicy/name.h"

#define TARGET_TEXT (ADDR_TEXT * 2)

#define SCHEMES_KNOWN (1u << NET_TCP | 1u << NET_UDP | 1u << NET_ICMP)
#define SCHEMES_NONE  (1u << NET_TCP | 1u << NET_UDP)

static bool part_has(struct part part, char byte)
{
	return memchr(part.at, byte, part.size) != NULL;
}

/* Room for any CIDR. What does not fit is no address; it comes out empty, which is none either. */
static void part_copy(struct part part, char copy[static TARGET_TEXT])
{
	size_t size = part.size < TARGET_TEXT ? part.size : 0;

	memcpy(copy, part.at, size);
	copy[size] = '\0';
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
		return reading_reject(reading, "missing \"]\" behind the IPv6 address");
	if (end[1] != '\0' && end[1] != ':')
		return reading_reject(reading, "\"%.*s\" behind \"]\": expected \":\" and ports, or nothing",
		                      part_quoted((struct part){end + 1, strlen(end + 1)}), end + 1);
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
		return reading_reject(reading, "nothing is named: write * for any address and port");
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
                         const struct net_rule *rule)
{
	bool icmp = rule->protocols == 1u << NET_ICMP;
	const struct net_addr *addr = &rule->addr;
	struct part target = body->target;
	int size = part_quoted(target);

	if (code == -ENODEV)
		return reading_reject(reading,
		                      "\"%.*s\": behind \"%%\" the name or index of an interface is expected",
		                      size, target.at);
	if (code == -ERANGE)
		return reading_reject(reading, "prefix of \"%.*s\": expected a number in 0..%u%s", size,
		                      target.at, addr_bits(addr),
		                      body->bracketed || addr->family == AF_INET
		                              ? ""
		                              : "; ports go as [address/prefix]:ports");
	if (part_has(target, ':') || body->bracketed)
		return reading_reject(reading, "\"%.*s\" is no IPv6 address or CIDR; %s", size, target.at,
		                      icmp ? "icmp:// takes no ports"
		                           : "with ports it is written [address]:ports");
	return reading_reject(reading, "\"%.*s\": expected an address before the \"/\"", size, target.at);
}

/* A scope filters link-local prefixes only: no other endpoint carries one, so that such a rule would
 * never match. */
static bool rule_takes_scope(const struct net_rule *rule)
{
	return addr_is_link_local(&rule->addr) && rule->prefix >= (rule->addr.bytes[0] == 0xff ? 16 : 10);
}

/* Addresses that parse but can never be what the writer meant. */
static int address_check(const struct reading *reading, const struct net_rule *rule)
{
	bool single = rule->prefix == addr_bits(&rule->addr);

	if (single && addr_is_unspecified(&rule->addr))
		return reading_reject(reading, "the address 0: write * for any address, or %s for this host",
		                      rule->addr.family == AF_INET ? "127.0.0.1" : "::1 (and 127.0.0.1)");
	if (rule->addr.scope != 0 && !rule_takes_scope(rule))
		return reading_reject(reading,
		                      "\"%%interface\" is for link-local addresses (fe80::/10) only");
	if (single && rule->addr.scope == 0 && addr_is_link_local(&rule->addr))
		return reading_reject(reading,
		                      "a link-local address needs its interface: write address%%interface");
	return 0;
}

static bool key_is_deny(const struct reading *reading)
{
	return strcmp(reading->key, "net-deny") == 0;
}

static int target_read_name(const struct reading *reading, struct part target, struct net_rule *rule)
{
	struct part host = target;
	char name[NAME_TEXT];
	const char *reason;

	rule->below = target.size >= 2 && memcmp(target.at, "*.", 2) == 0;
	if (rule->below)
		host = (struct part){target.at + 2, target.size - 2};
	if ((reason = name_read(host.at, host.size, name)) != NULL)
		return reading_reject(reading, "\"%.*s\" is no %s", part_quoted(target), target.at, reason);
	if (key_is_deny(reading))
		return reading_reject(reading,
		                      "\"%.*s\" is a name, and its addresses may be others tomorrow: "
		                      "net-deny takes addresses and CIDRs",
		                      part_quoted(target), target.at);
	rule->name = strdup(name);
	return rule->name == NULL ? error_errno(reading->error, -ENOMEM, "%s", reading->key) : 0;
}

static int target_read(const struct reading *reading, const struct body *body, struct net_rule *rule)
{
	char text[TARGET_TEXT];
	int r;

	if (!body->bracketed && (body->target.size == 0 || part_is(body->target, "*")))
		return 0; /* rule->addr stays AF_UNSPEC */
	part_copy(body->target, text);
	r = cidr_parse(text, &rule->addr, &rule->prefix);
	if (r == 0 && body->bracketed && strchr(text, ':') == NULL)
		return reading_reject(reading, "brackets are for IPv6: write \"%.*s\" without them",
		                      part_quoted(body->target), body->target.at);
	if (r == 0)
		return address_check(reading, rule);
	if (r == -EINVAL && !body->bracketed && !part_has(body->target, ':') && !part_has(body->target, '/'))
		return target_read_name(reading, body->target, rule);
	return target_reject(reading, body, r, rule);
}

/* ICMP has no ports: each colon must belong to an address, which bracket_split() and cidr_parse() see to otherwise. */
static int icmp_check(const struct reading *reading, const struct net_rule *rule, const struct body *body)
{
	if (rule->protocols != 1u << NET_ICMP || body->ports == NULL)
		return 0;
	return reading_reject(reading, "icmp:// takes no ports: nothing may follow \"%.*s\"",
	                      part_quoted(body->target), body->target.at);
}

static int rule_read(const struct reading *reading, struct net_rule *rule)
{
	const char *text;
	struct body body = {0};
	int r;

	if ((r = scheme_read(reading, SCHEMES_KNOWN, SCHEMES_NONE, &rule->protocols, &text)) < 0 ||
	    (r = body_split(reading, text, &body)) < 0 || (r = icmp_check(reading, rule, &body)) < 0 ||
	    (r = target_read(reading, &body, rule)) < 0)
		return r;
	if (body.ports != NULL && strcmp(body.ports, "*") != 0)
		return ports_read(reading, body.ports, 1, &rule->ports);
	if ((r = port_set_add(&rule->ports, 0, PORT_LAST)) < 0)
		return error_errno(reading->error, r, "%s", reading->key);
	return 0;
}

int rule_parse(const char *key, const char *text, struct net_rule *rule, sl_error *error)
{
	struct reading reading = {.key = key, .text = text, .error = error};
	int r;

	*rule = (struct net_rule){.addr.family = AF_UNSPEC};
	if ((r = rule_read(&reading, rule)) < 0)
		rule_clear(rule);
	return r;
}

void rule_clear(struct net_rule *rule)
{
	free(rule->name);
	port_set_clear(&rule->ports);
	*rule = (struct net_rule){0};
}

int rule_check(const char *key, const char *text, sl_error *error)
{
	struct net_rule rule;
	int r = rule_parse(key, text, &rule, error);

	if (r == 0)
		rule_clear(&rule);
	return r;
}
