/* Any bytes as the sockaddr of a connect(2). The first byte picks the socket's family. An endpoint must
 * survive being written and read, on that socket and on an AF_INET6 one, and a rule in its own words must
 * allow it, and nothing one bit away from it. */
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

static void write_check(const struct net_endpoint *endpoint, int family)
{
	struct sockaddr_storage written;
	struct net_endpoint again;
	socklen_t size = net_endpoint_write(endpoint, family, &written);

	assert(size == (family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6)));
	assert(written.ss_family == family);
	assert(net_endpoint_read(family, &written, size, &again) == NET_ENDPOINT);
	assert(endpoint_equal(endpoint, &again));
}

static void rule_allows_just_this(const struct net_endpoint *endpoint)
{
	char text[NET_ENDPOINT_TEXT];
	const char *rule = text;
	struct net_endpoint other = *endpoint;
	struct net_table *table;
	struct net_need need;
	int r;

	net_endpoint_format(endpoint, text, sizeof(text));
	assert(strlen(text) < sizeof(text) - 1);
	r = net_table_build(&rule, 1, &table, &need, NULL);
	if (r < 0) {
		/* Port 0, or link-local without an interface: there is no rule for these. */
		assert(r == -EINVAL && (endpoint->port == 0 || endpoint->addr.bytes[0] >= 0xfe));
		return;
	}
	assert(need.gate && net_table_allows(table, endpoint));
	other.port ^= 1;
	assert(!net_table_allows(table, &other));
	other.port ^= 1;
	other.addr.bytes[3] ^= 1;
	assert(!net_table_allows(table, &other));
	net_need_clear(&need);
	net_table_free(table);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct net_endpoint endpoint;
	uint8_t *exact;
	int family, r;

	if (size == 0)
		return 0;
	family = data[0] & 1 ? AF_INET6 : AF_INET;
	/* A block of just this size, so that ASan sees a read behind it. */
	exact = malloc(size);
	assert(exact != NULL);
	memcpy(exact, data, size);
	r = net_endpoint_read(family, exact + 1, size - 1, &endpoint);
	free(exact);
	assert(r == NET_ENDPOINT || r == NET_DISCONNECT || r == -EINVAL || r == -EAFNOSUPPORT);
	if (r != NET_ENDPOINT)
		return 0;
	canonical_check(&endpoint);
	write_check(&endpoint, family);
	if (endpoint.addr.family == AF_INET) {
		struct net_endpoint plain = endpoint;

		plain.flowinfo = 0; /* which an AF_INET socket does not have */
		write_check(&plain, AF_INET);
	}
	write_check(&endpoint, AF_INET6);
	rule_allows_just_this(&endpoint);
	return 0;
}
