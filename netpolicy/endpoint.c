/* Endpoints: from a target's sockaddr, and back.
 *
 * What a sockaddr means depends on the socket: the same bytes are an address to one, no address to another and an
 * error to a third, and each checks size and family in its own order. The kernel's functions are the specification;
 * netpolicy.h names them. Several spellings reach the same peer: 0.0.0.0 and :: are this host, and ::ffff:a.b.c.d on an
 * AF_INET6 socket goes out as IPv4. ip(7), ipv6(7). */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "netpolicy/addr.h"

/* The least that AF_INET6 sockets take: struct sockaddr_in6 of RFC 2133, which had no scope. */
#define SIN6_SIZE_RFC2133 offsetof(struct sockaddr_in6, sin6_scope_id)

struct given { /* as the target gave it */
	const void *bytes;
	size_t size;
	sa_family_t family;
};

/* What the kernel would make of this address, before it is compared with anything. */
static int endpoint_settle(struct net_endpoint *endpoint)
{
	struct net_addr *addr = &endpoint->addr;

	addr_make_canonical(addr);
	if (addr_is_unspecified(addr)) {
		if (addr->family == AF_INET)
			addr->bytes[0] = 127, addr->bytes[3] = 1;
		else
			addr->bytes[15] = 1;
	}
	return NET_ENDPOINT;
}

static int in_read(const struct given *given, struct net_endpoint *endpoint)
{
	struct sockaddr_in in;

	if (given->size < sizeof(in))
		return -EINVAL;
	memcpy(&in, given->bytes, sizeof(in));
	*endpoint = (struct net_endpoint){.addr.family = AF_INET, .port = ntohs(in.sin_port)};
	memcpy(endpoint->addr.bytes, &in.sin_addr, sizeof(in.sin_addr));
	return endpoint_settle(endpoint);
}

static int in6_read(const struct given *given, struct net_endpoint *endpoint)
{
	struct sockaddr_in6 in6 = {0};

	if (given->size < SIN6_SIZE_RFC2133)
		return -EINVAL;
	memcpy(&in6, given->bytes, given->size < sizeof(in6) ? SIN6_SIZE_RFC2133 : sizeof(in6));
	*endpoint = (struct net_endpoint){
		.addr = {.family = AF_INET6, .scope = in6.sin6_scope_id},
		.port = ntohs(in6.sin6_port),
		.flowinfo = in6.sin6_flowinfo,
	};
	memcpy(endpoint->addr.bytes, &in6.sin6_addr, sizeof(in6.sin6_addr));
	return endpoint_settle(endpoint);
}

/* The size first, then the family: tcp_v4_connect, __ip4_datagram_connect, ping_v4_sendmsg; for AF_INET6
 * tcp_v6_connect and the end of __ip6_datagram_connect. */
static int own_family_read(int family, const struct given *given, struct net_endpoint *endpoint)
{
	int r = family == AF_INET ? in_read(given, endpoint) : in6_read(given, endpoint);

	return r == NET_ENDPOINT && given->family != family ? -EAFNOSUPPORT : r;
}

/* inet_stream_connect and inet_dgram_connect look for AF_UNSPEC before anything else but its two bytes. */
static int connect_read(int family, enum net_protocol protocol, const struct given *given,
                        struct net_endpoint *endpoint)
{
	if (given->size < sizeof(given->family))
		return -EINVAL;
	if (given->family == AF_UNSPEC)
		return NET_DISCONNECT;
	/* __ip6_datagram_connect hands IPv4 on. */
	if (protocol == NET_UDP && family == AF_INET6 && given->family == AF_INET)
		return in_read(given, endpoint);
	/* ip6_datagram_connect_v6_only. */
	if (protocol == NET_ICMP && family == AF_INET6 && given->family != AF_INET6)
		return -EAFNOSUPPORT;
	return own_family_read(family, given, endpoint);
}

/* udp_sendmsg takes AF_UNSPEC for AF_INET: programs of before 4.2BSD left the family zero. */
static int udp_send_read_v4(const struct given *given, struct net_endpoint *endpoint)
{
	int r = in_read(given, endpoint);

	return r == NET_ENDPOINT && given->family != AF_INET && given->family != AF_UNSPEC ? -EAFNOSUPPORT
	                                                                                   : r;
}

/* udpv6_sendmsg. */
static int udp_send_read_v6(const struct given *given, struct net_endpoint *endpoint)
{
	if (given->size < sizeof(given->family))
		return -EINVAL;
	switch (given->family) {
	case AF_INET6:
		return in6_read(given, endpoint);
	case AF_INET:
		return in_read(given, endpoint);
	case AF_UNSPEC:
		return NET_NO_ADDRESS;
	default:
		return -EINVAL;
	}
}

static int udp_send_read(int family, const struct given *given, struct net_endpoint *endpoint)
{
	int r = family == AF_INET ? udp_send_read_v4(given, endpoint) : udp_send_read_v6(given, endpoint);

	return r == NET_ENDPOINT && endpoint->port == 0 ? -EINVAL : r;
}

/* ping_v6_sendmsg, unlike all others, wants the scope to be there. */
static int icmp_send_read(int family, const struct given *given, struct net_endpoint *endpoint)
{
	if (family == AF_INET6 && given->size < sizeof(struct sockaddr_in6))
		return -EINVAL;
	return own_family_read(family, given, endpoint);
}

/* tcp_sendmsg_fastopen: a connect, which cannot be undone by AF_UNSPEC. */
static int tcp_send_read(int family, const struct given *given, struct net_endpoint *endpoint)
{
	int r = connect_read(family, NET_TCP, given, endpoint);

	return r == NET_DISCONNECT ? -EOPNOTSUPP : r;
}

int net_endpoint_read(int family, enum net_protocol protocol, enum net_call call, const void *bytes,
                      size_t size, struct net_endpoint *endpoint)
{
	struct given given = {.bytes = bytes, .size = size};
	int r;

	if (family != AF_INET && family != AF_INET6)
		return -EAFNOSUPPORT;
	if (size > sizeof(struct sockaddr_storage))
		return -EINVAL;
	if (size >= sizeof(given.family))
		memcpy(&given.family, bytes, sizeof(given.family));
	if (call == NET_CALL_CONNECT)
		r = connect_read(family, protocol, &given, endpoint);
	else if (protocol == NET_UDP)
		r = udp_send_read(family, &given, endpoint);
	else
		r = protocol == NET_ICMP ? icmp_send_read(family, &given, endpoint)
		                         : tcp_send_read(family, &given, endpoint);
	/* Ping sockets of AF_INET6 are for IPv6 only: ping_init_sock, ping_v6_sendmsg. */
	if (r == NET_ENDPOINT && protocol == NET_ICMP && endpoint->addr.family != family)
		return call == NET_CALL_CONNECT ? -ENETUNREACH : -EINVAL;
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
		memcpy(in6.sin6_addr.s6_addr, addr_mapped_prefix, sizeof(addr_mapped_prefix));
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
