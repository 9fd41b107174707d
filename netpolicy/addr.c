/* Addresses, from text and back.
 *
 * Every address has one canonical form here, and rules and endpoints both take it, so that matching is
 * comparing. ::ffff:a.b.c.d on an AF_INET6 socket goes out as IPv4, and is IPv4 here: RFC 4291, 2.5.5.2. */
#include "netpolicy/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <string.h>

#include "core/parse.h"

const uint8_t addr_mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

unsigned addr_bits(const struct net_addr *addr)
{
	return addr->family == AF_INET ? 32 : 128;
}

bool addr_is_unspecified(const struct net_addr *addr)
{
	static const uint8_t zero[sizeof(addr->bytes)];

	return memcmp(addr->bytes, zero, sizeof(zero)) == 0;
}

bool addr_equal(const struct net_addr *a, const struct net_addr *b)
{
	return a->family == b->family && a->scope == b->scope &&
	       memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

bool addr_is_link_local(const struct net_addr *addr)
{
	if (addr->family != AF_INET6)
		return false;
	/* Multicast: the low half of the second byte is the scope, the high half flags. RFC 4291, 2.7. */
	if (addr->bytes[0] == 0xff)
		return (addr->bytes[1] & 0x0f) == 0x01 || (addr->bytes[1] & 0x0f) == 0x02;
	return addr->bytes[0] == 0xfe && (addr->bytes[1] & 0xc0) == 0x80;
}

/* A mapped prefix shorter than 96 holds more than IPv4. It stays IPv6, where no endpoint is mapped. */
static void addr_unmap(struct net_addr *addr, unsigned *prefix)
{
	if (addr->family != AF_INET6 || *prefix < 96 ||
	    memcmp(addr->bytes, addr_mapped_prefix, sizeof(addr_mapped_prefix)) != 0)
		return;
	addr->family = AF_INET;
	memcpy(addr->bytes, addr->bytes + 12, 4);
	memset(addr->bytes + 4, 0, 12);
	*prefix -= 96;
}

bool addr_is_in(const struct net_addr *addr, const struct net_addr *base, unsigned prefix)
{
	unsigned whole = prefix / 8, rest = prefix % 8;

	return addr->family == base->family && memcmp(addr->bytes, base->bytes, whole) == 0 &&
	       (rest == 0 || (addr->bytes[whole] ^ base->bytes[whole]) >> (8 - rest) == 0);
}

void addr_make_canonical(struct net_addr *addr)
{
	unsigned prefix = addr_bits(addr);

	addr_unmap(addr, &prefix);
	/* Elsewhere the kernel ignores the scope; kept, it would make two endpoints out of one. */
	if (!addr_is_link_local(addr))
		addr->scope = 0;
}

/* Where an IPv6 address carries an IPv4 one to which a gateway, or this host, may send it on: IPv4-compatible
 * (RFC 4291, 2.5.5.1), NAT64 (RFC 6052, 2.1), 6to4 (RFC 3056, 2). */
bool addr_embeds(const struct net_addr *addr, struct net_addr *inner)
{
	static const struct {
		uint8_t bytes[12];
		uint8_t size, at;
	} rows[] = {
		{{0}, 12, 12},
		{{0x00, 0x64, 0xff, 0x9b}, 12, 12},
		{{0x20, 0x02}, 2, 2},
	};
	static const uint8_t small[15]; /* :: and ::1, which are themselves */

	if (addr->family != AF_INET6 ||
	    (memcmp(addr->bytes, small, sizeof(small)) == 0 && addr->bytes[15] <= 1))
		return false;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (memcmp(addr->bytes, rows[i].bytes, rows[i].size) != 0)
			continue;
		*inner = (struct net_addr){.family = AF_INET};
		memcpy(inner->bytes, addr->bytes + rows[i].at, 4);
		return true;
	}
	return false;
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
