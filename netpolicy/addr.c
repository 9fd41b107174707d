/* Addresses: from text, from a target's sockaddr, and back.
 *
 * Every address has one canonical form here, and rules and endpoints both take it, so that matching is
 * comparing. Several spellings reach the same peer: connect(2) to 0.0.0.0 or :: is a connection to this
 * host, and ::ffff:a.b.c.d on an AF_INET6 socket goes out as IPv4. ip(7), ipv6(7), RFC 4291 2.5.5.2. */
#include "netpolicy/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>

#include "core/parse.h"

/* The least that tcp_v6_connect takes: struct sockaddr_in6 of RFC 2133, which had no scope. */
#define SIN6_SIZE_RFC2133 offsetof(struct sockaddr_in6, sin6_scope_id)

static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

unsigned addr_bits(const struct net_addr *addr)
{
	return addr->family == AF_INET ? 32 : 128;
}

bool addr_is_unspecified(const struct net_addr *addr)
{
	static const uint8_t zero[sizeof(addr->bytes)];

	return memcmp(addr->bytes, zero, sizeof(zero)) == 0;
}

bool addr_is_link_local(const struct net_addr *addr)
{
	if (addr->family != AF_INET6)
		return false;
	/* Multicast: the low half of the second byte is the scope, the high half flags. RFC 4291, 2.7. */
	if (addr->bytes[0] == 0xff)
		return (addr->bytes[1] & 0x0f) == 0x02;
	return addr->bytes[0] == 0xfe && (addr->bytes[1] & 0xc0) == 0x80;
}

/* A mapped prefix shorter than 96 holds more than IPv4. It stays IPv6, where no endpoint is mapped. */
static void addr_unmap(struct net_addr *addr, unsigned *prefix)
{
	if (addr->family != AF_INET6 || *prefix < 96 ||
	    memcmp(addr->bytes, mapped_prefix, sizeof(mapped_prefix)) != 0)
		return;
	addr->family = AF_INET;
	memcpy(addr->bytes, addr->bytes + 12, 4);
	memset(addr->bytes + 4, 0, 12);
	*prefix -= 96;
}

static void addr_mask(struct net_addr *addr, unsigned prefix)
{
	for (unsigned i = 0; i < sizeof(addr->bytes); i++) {
		unsigned kept = prefix <= i * 8 ? 0 : prefix - i * 8;

		if (kept < 8)
			addr->bytes[i] &= (uint8_t)(0xff00 >> kept);
	}
}

/* Names first, as getaddrinfo(3) does: an interface may be called "2". */
static int scope_parse(const char *text, uint32_t *scope)
{
	uint64_t number;

	*scope = if_nametoindex(text);
	if (*scope != 0)
		return 0;
	if (number_parse(text, 1, UINT32_MAX, &number) < 0)
		return -ENODEV;
	*scope = (uint32_t)number;
	return 0;
}

/* Writes a NUL over the '%' of `text`. */
static int addr_parse(char *text, struct net_addr *addr)
{
	char *scope = strchr(text, '%');

	*addr = (struct net_addr){.family = strchr(text, ':') == NULL ? AF_INET : AF_INET6};
	if (scope != NULL)
		*scope++ = '\0';
	if (inet_pton(addr->family, text, addr->bytes) != 1 || (scope != NULL && addr->family == AF_INET))
		return -EINVAL;
	return scope == NULL ? 0 : scope_parse(scope, &addr->scope);
}

int cidr_parse(const char *text, struct net_addr *addr, unsigned *prefix)
{
	char copy[ADDR_TEXT + IF_NAMESIZE];
	size_t size = strcspn(text, "/");
	uint64_t number;
	int r;

	if (size >= sizeof(copy))
		return -EINVAL;
	memcpy(copy, text, size);
	copy[size] = '\0';
	if ((r = addr_parse(copy, addr)) < 0)
		return r;
	number = addr_bits(addr);
	if (text[size] == '/' && number_parse(text + size + 1, 0, number, &number) < 0)
		return -ERANGE;
	*prefix = (unsigned)number;
	addr_unmap(addr, prefix);
	addr_mask(addr, *prefix);
	return 0;
}

void addr_format(const struct net_addr *addr, char *text, size_t size)
{
	char plain[INET6_ADDRSTRLEN] = "?";

	inet_ntop(addr->family, addr->bytes, plain, sizeof(plain));
	if (addr->scope == 0)
		snprintf(text, size, "%s", plain);
	else
		snprintf(text, size, "%s%%%u", plain, addr->scope);
}

/* What the kernel would make of this address, before it is compared with anything. */
static void addr_make_canonical(struct net_addr *addr)
{
	unsigned prefix = addr_bits(addr);

	addr_unmap(addr, &prefix);
	if (addr_is_unspecified(addr)) {
		if (addr->family == AF_INET)
			addr->bytes[0] = 127, addr->bytes[3] = 1;
		else
			addr->bytes[15] = 1;
	}
	/* Elsewhere the kernel ignores the scope; kept, it would make two endpoints out of one. */
	if (!addr_is_link_local(addr))
		addr->scope = 0;
}

static int endpoint_read_v4(const void *bytes, size_t size, struct net_endpoint *endpoint)
{
	struct sockaddr_in in;

	if (size < sizeof(in))
		return -EINVAL;
	memcpy(&in, bytes, sizeof(in));
	if (in.sin_family != AF_INET)
		return -EAFNOSUPPORT;
	*endpoint = (struct net_endpoint){.addr.family = AF_INET, .port = ntohs(in.sin_port)};
	memcpy(endpoint->addr.bytes, &in.sin_addr, sizeof(in.sin_addr));
	return NET_ENDPOINT;
}

static int endpoint_read_v6(const void *bytes, size_t size, struct net_endpoint *endpoint)
{
	struct sockaddr_in6 in6 = {0};

	if (size < SIN6_SIZE_RFC2133)
		return -EINVAL;
	memcpy(&in6, bytes, size < sizeof(in6) ? SIN6_SIZE_RFC2133 : sizeof(in6));
	if (in6.sin6_family != AF_INET6)
		return -EAFNOSUPPORT;
	*endpoint = (struct net_endpoint){
		.addr = {.family = AF_INET6, .scope = in6.sin6_scope_id},
		.port = ntohs(in6.sin6_port),
		.flowinfo = in6.sin6_flowinfo,
	};
	memcpy(endpoint->addr.bytes, &in6.sin6_addr, sizeof(in6.sin6_addr));
	return NET_ENDPOINT;
}

int net_endpoint_read(int family, const void *bytes, size_t size, struct net_endpoint *endpoint)
{
	sa_family_t given;
	int r;

	if (size < sizeof(given) || size > sizeof(struct sockaddr_storage))
		return -EINVAL;
	memcpy(&given, bytes, sizeof(given));
	/* inet_stream_connect looks for this before it looks at the length. */
	if (given == AF_UNSPEC)
		return NET_DISCONNECT;
	if (family == AF_INET)
		r = endpoint_read_v4(bytes, size, endpoint);
	else if (family == AF_INET6)
		r = endpoint_read_v6(bytes, size, endpoint);
	else
		r = -EAFNOSUPPORT;
	if (r == NET_ENDPOINT)
		addr_make_canonical(&endpoint->addr);
	return r;
}

static socklen_t endpoint_write_v4(const struct net_endpoint *endpoint, struct sockaddr_storage *address)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(endpoint->port)};

	memcpy(&in.sin_addr, endpoint->addr.bytes, sizeof(in.sin_addr));
	memcpy(address, &in, sizeof(in));
	return sizeof(in);
}

static socklen_t endpoint_write_v6(const struct net_endpoint *endpoint, struct sockaddr_storage *address)
{
	struct sockaddr_in6 in6 = {
		.sin6_family = AF_INET6,
		.sin6_port = htons(endpoint->port),
		.sin6_flowinfo = endpoint->flowinfo,
		.sin6_scope_id = endpoint->addr.scope,
	};

	if (endpoint->addr.family == AF_INET) {
		memcpy(in6.sin6_addr.s6_addr, mapped_prefix, sizeof(mapped_prefix));
		memcpy(in6.sin6_addr.s6_addr + 12, endpoint->addr.bytes, 4);
	} else {
		memcpy(&in6.sin6_addr, endpoint->addr.bytes, sizeof(in6.sin6_addr));
	}
	memcpy(address, &in6, sizeof(in6));
	return sizeof(in6);
}

socklen_t net_endpoint_write(const struct net_endpoint *endpoint, int family,
                             struct sockaddr_storage *address)
{
	memset(address, 0, sizeof(*address));
	if (family == AF_INET6)
		return endpoint_write_v6(endpoint, address);
	/* net_endpoint_read() never gives IPv6 for an AF_INET socket. Should it be asked for all the same,
	 * the size 0 makes every connect(2) fail: an IPv6 address must not go out as its first four bytes. */
	if (endpoint->addr.family != AF_INET)
		return 0;
	return endpoint_write_v4(endpoint, address);
}

void net_endpoint_format(const struct net_endpoint *endpoint, char *text, size_t size)
{
	char addr[ADDR_TEXT];

	addr_format(&endpoint->addr, addr, sizeof(addr));
	if (endpoint->addr.family == AF_INET)
		snprintf(text, size, "%s:%u", addr, endpoint->port);
	else
		snprintf(text, size, "[%s]:%u", addr, endpoint->port);
}
