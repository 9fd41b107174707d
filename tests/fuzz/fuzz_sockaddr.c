/* Any bytes as the sockaddr of a connect(2) or a send. The first byte picks the socket's family, its protocol and the
 * call. An endpoint must survive being written and read, and a rule in its own words must allow it, and nothing one bit
 * away from it; as a rule of net-deny it must take away just that. */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "netpolicy/netpolicy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool endpoint_equal(const struct net_endpoint *a, const struct net_endpoint *b)
{
	return a->addr.family == b->addr.family && memcmp(a->addr.bytes, b->addr.bytes, 16) == 0 &&
	       a->addr.scope == b->addr.scope && a->port == b->port && a->flowinfo == b->flowinfo;
}

static void canonical_check(const struct net_endpoint *endpoint)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff}, zero[16];
	const uint8_t *bytes = endpoint->addr.bytes;

	assert(memcmp(bytes, zero, 16) != 0);
	if (endpoint->addr.family == AF_INET) {
		assert(memcmp(bytes + 4, zero, 12) == 0 && endpoint->addr.scope == 0);
	} else {
		assert(endpoint->addr.family == AF_INET6 && memcmp(bytes, mapped, 12) != 0);
		assert(endpoint->addr.scope == 0 || bytes[0] == 0xfe || bytes[0] == 0xff);
	}
}

static void write_check(const struct net_endpoint *endpoint, int family, enum net_protocol protocol,
                        enum net_call call)
{
	struct sockaddr_storage written;
	struct net_endpoint again;
	socklen_t size = net_endpoint_write(endpoint, family, &written);

	assert(size == (family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6)));
	assert(written.ss_family == family);
	assert(net_endpoint_read(family, protocol, call, &written, size, &again) == NET_ENDPOINT);
	assert(endpoint_equal(endpoint, &again));
}

static void decide_check(const struct net_table *table, enum net_protocol protocol,
                         const struct net_endpoint *endpoint, bool expected)
{
	struct net_endpoint other = *endpoint;

	assert(net_decide(table, NULL, 0, protocol, endpoint) == expected);
	assert(net_decide(table, NULL, 0, (protocol + 1) % NET_PROTOCOLS, endpoint) != expected);
	other.port ^= 1;
	assert(net_decide(table, NULL, 0, protocol, &other) == (protocol == NET_ICMP ? expected : !expected));
	other.port ^= 1;
	other.addr.bytes[3] ^= 1;
	assert(net_decide(table, NULL, 0, protocol, &other) != expected);
}

/* Either all by itself, or out of everything. */
static int rule_try(const char *rule, bool deny, enum net_protocol protocol,
                    const struct net_endpoint *endpoint)
{
	static const char *const everything[] = {"*", "icmp://*"};
	struct net_rules rules = {.allow = {deny ? everything : &rule, deny ? 2 : 1}, .deny = {&rule, deny}};
	struct net_table *table;
	struct net_need need;
	int r = net_table_build(&rules, &table, &need, NULL);

	if (r < 0)
		return r;
	assert(need.extent[protocol] == NET_PARTS);
	decide_check(table, protocol, endpoint, !deny);
	net_need_clear(&need);
	net_table_free(table);
	return 0;
}

static void rule_means_just_this(enum net_protocol protocol, const struct net_endpoint *endpoint)
{
	static const char *const schemes[] = {[NET_TCP] = "tcp", [NET_UDP] = "udp", [NET_ICMP] = "icmp"};
	char text[NET_ENDPOINT_TEXT], rule[NET_ENDPOINT_TEXT + 8];
	int r;

	net_endpoint_format(endpoint, text, sizeof(text));
	assert(strlen(text) < sizeof(text) - 1);
	if (protocol == NET_ICMP)
		*strrchr(text, ':') = '\0';
	snprintf(rule, sizeof(rule), "%s://%s", schemes[protocol], text);
	r = rule_try(rule, false, protocol, endpoint);
	/* Port 0, or link-local without an interface: there is no rule for these. */
	assert(r == 0 || (r == -EINVAL && (endpoint->port == 0 || endpoint->addr.bytes[0] >= 0xfe)));
	assert(rule_try(rule, true, protocol, endpoint) == r);
}

static void endpoint_check(const struct net_endpoint *endpoint, int family, enum net_protocol protocol,
                           enum net_call call)
{
	canonical_check(endpoint);
	write_check(endpoint, family, protocol, call);
	if (endpoint->addr.family == AF_INET) {
		struct net_endpoint plain = *endpoint;

		plain.flowinfo = 0; /* which an AF_INET socket does not have */
		write_check(&plain, AF_INET, protocol, call);
	}
	if (protocol != NET_ICMP || family == AF_INET6)
		write_check(endpoint, AF_INET6, protocol, call);
	rule_means_just_this(protocol, endpoint);
}

static void result_check(int r, enum net_protocol protocol, enum net_call call)
{
	switch (r) {
	case NET_ENDPOINT:
	case -EINVAL:
	case -EAFNOSUPPORT:
		return;
	case NET_DISCONNECT:
		assert(call == NET_CALL_CONNECT);
		return;
	case NET_NO_ADDRESS:
		assert(call == NET_CALL_SEND && protocol == NET_UDP);
		return;
	case -EOPNOTSUPP:
		assert(call == NET_CALL_SEND && protocol == NET_TCP);
		return;
	default:
		assert(r == -ENETUNREACH && protocol == NET_ICMP);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct net_endpoint endpoint;
	enum net_protocol protocol;
	enum net_call call;
	uint8_t *exact;
	int family, r;

	if (size == 0)
		return 0;
	family = data[0] & 1 ? AF_INET6 : AF_INET;
	protocol = (enum net_protocol)((data[0] >> 1) % NET_PROTOCOLS);
	call = data[0] & 0x80 ? NET_CALL_SEND : NET_CALL_CONNECT;
	/* A block of just this size, so that ASan sees a read behind it. */
	exact = malloc(size);
	assert(exact != NULL);
	memcpy(exact, data, size);
	r = net_endpoint_read(family, protocol, call, exact + 1, size - 1, &endpoint);
	free(exact);
	result_check(r, protocol, call);
	if (r == NET_ENDPOINT)
		endpoint_check(&endpoint, family, protocol, call);
	return 0;
}
