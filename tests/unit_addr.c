/* What a sockaddr means, and how an address is written. Sizes and errnos are the kernel's; live_addr compares. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>

#include "netpolicy/addr.h"
#include "netpolicy/netpolicy.h"

static struct sockaddr_in in_make(const char *text, uint16_t port)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};

	assert_int_equal(inet_pton(AF_INET, text, &in.sin_addr), 1);
	return in;
}

static struct sockaddr_in6 in6_make(const char *text, uint16_t port, uint32_t scope)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_scope_id = scope};

	assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
	return in6;
}

/* As a connect(2) of TCP, whose socket takes its own family only. */
static int tcp_read(int family, const void *bytes, size_t size, struct net_endpoint *endpoint)
{
	return net_endpoint_read(family, NET_TCP, NET_CALL_CONNECT, bytes, size, endpoint);
}

static void canonical_form_of_every_spelling(void **state)
{
	static const struct {
		const char *why;
		int family;
		const char *address;
		uint32_t scope;
		uint16_t port;
		const char *expected;
	} rows[] = {
		{"plain IPv4", AF_INET, "1.2.3.4", 0, 80, "1.2.3.4:80"},
		{"lowest port", AF_INET, "1.2.3.4", 0, 0, "1.2.3.4:0"},
		{"highest port, highest address", AF_INET, "255.255.255.255", 0, 65535,
	         "255.255.255.255:65535"},
		{"0.0.0.0 is this host", AF_INET, "0.0.0.0", 0, 80, "127.0.0.1:80"},
		{"0.0.0.1 is not", AF_INET, "0.0.0.1", 0, 80, "0.0.0.1:80"},
		{"plain IPv6", AF_INET6, "2001:db8::1", 0, 443, "[2001:db8::1]:443"},
		{":: is this host", AF_INET6, "::", 0, 443, "[::1]:443"},
		{":: with a scope is this host too", AF_INET6, "::", 3, 443, "[::1]:443"},
		{"mapped is IPv4", AF_INET6, "::ffff:10.1.2.3", 0, 1, "10.1.2.3:1"},
		{"mapped with a scope is IPv4", AF_INET6, "::ffff:10.1.2.3", 5, 1, "10.1.2.3:1"},
		{"mapped zero is this host", AF_INET6, "::ffff:0.0.0.0", 0, 1, "127.0.0.1:1"},
		{"IPv4-compatible is IPv6", AF_INET6, "::10.1.2.3", 0, 1, "[::10.1.2.3]:1"},
		{"NAT64 is IPv6", AF_INET6, "64:ff9b::1.2.3.4", 0, 1, "[64:ff9b::102:304]:1"},
		{"one bit off mapped is IPv6", AF_INET6, "::fffe:10.1.2.3", 0, 1, "[::fffe:a01:203]:1"},
		{"global: the scope is dropped", AF_INET6, "2001:db8::1", 7, 1, "[2001:db8::1]:1"},
		{"link-local: kept", AF_INET6, "fe80::1", 7, 1, "[fe80::1%7]:1"},
		{"link-local without", AF_INET6, "fe80::1", 0, 1, "[fe80::1]:1"},
		{"last link-local", AF_INET6, "febf::1", 4294967295u, 1, "[febf::1%4294967295]:1"},
		{"behind link-local", AF_INET6, "fec0::1", 7, 1, "[fec0::1]:1"},
		{"before link-local", AF_INET6, "fe7f::1", 7, 1, "[fe7f::1]:1"},
		{"link-local multicast: kept", AF_INET6, "ff02::1", 7, 1, "[ff02::1%7]:1"},
		{"with flags", AF_INET6, "ff12::1", 7, 1, "[ff12::1%7]:1"},
		{"interface-local multicast: kept", AF_INET6, "ff01::1", 7, 1, "[ff01::1%7]:1"},
		{"multicast without a scope's bits", AF_INET6, "ff00::1", 7, 1, "[ff00::1]:1"},
		{"multicast of a wider scope", AF_INET6, "ff05::1", 7, 1, "[ff05::1]:1"},
		{"longest", AF_INET6, "fe80:1111:2222:3333:4444:5555:6666:7777", 4294967295u, 65535,
	         "[fe80:1111:2222:3333:4444:5555:6666:7777%4294967295]:65535"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct net_endpoint endpoint;
		char text[NET_ENDPOINT_TEXT];
		int r;

		if (rows[i].family == AF_INET) {
			struct sockaddr_in in = in_make(rows[i].address, rows[i].port);
			r = tcp_read(AF_INET, &in, sizeof(in), &endpoint);
		} else {
			struct sockaddr_in6 in6 = in6_make(rows[i].address, rows[i].port, rows[i].scope);
			r = tcp_read(AF_INET6, &in6, sizeof(in6), &endpoint);
		}
		net_endpoint_format(&endpoint, text, sizeof(text));
		if (r != NET_ENDPOINT || strcmp(text, rows[i].expected) != 0)
			fail_msg("%s: %d, got %s, expected %s", rows[i].why, r, text, rows[i].expected);
	}
}

/* The sizes at which the answer changes: `from` bytes on it is `r`, up to the next row's or 128. The last one has
 * r == NET_ENDPOINT or an errno; below the first it is -EINVAL. */
struct step {
	size_t from;
	int r;
};

struct reading_row {
	int family;
	enum net_protocol protocol;
	enum net_call call;
	struct step unspec, in, in6, other; /* by the family that is given */
};

static const struct reading_row reading_rows[] = {
	{AF_INET,
         NET_TCP,
         NET_CALL_CONNECT,
         {2, NET_DISCONNECT},
         {16, 0},
         {16, -EAFNOSUPPORT},
         {16, -EAFNOSUPPORT}},
	{AF_INET,
         NET_UDP,
         NET_CALL_CONNECT,
         {2, NET_DISCONNECT},
         {16, 0},
         {16, -EAFNOSUPPORT},
         {16, -EAFNOSUPPORT}},
	{AF_INET,
         NET_ICMP,
         NET_CALL_CONNECT,
         {2, NET_DISCONNECT},
         {16, 0},
         {16, -EAFNOSUPPORT},
         {16, -EAFNOSUPPORT}},
	{AF_INET,
         NET_TCP,
         NET_CALL_SEND,
         {2, -EOPNOTSUPP},
         {16, 0},
         {16, -EAFNOSUPPORT},
         {16, -EAFNOSUPPORT}},
	{AF_INET, NET_UDP, NET_CALL_SEND, {16, 0}, {16, 0}, {16, -EAFNOSUPPORT}, {16, -EAFNOSUPPORT}},
	{AF_INET,
         NET_ICMP,
         NET_CALL_SEND,
         {16, -EAFNOSUPPORT},
         {16, 0},
         {16, -EAFNOSUPPORT},
         {16, -EAFNOSUPPORT}},
	{AF_INET6,
         NET_TCP,
         NET_CALL_CONNECT,
         {2, NET_DISCONNECT},
         {24, -EAFNOSUPPORT},
         {24, 0},
         {24, -EAFNOSUPPORT}},
	{AF_INET6, NET_UDP, NET_CALL_CONNECT, {2, NET_DISCONNECT}, {16, 0}, {24, 0}, {24, -EAFNOSUPPORT}},
	{AF_INET6,
         NET_ICMP,
         NET_CALL_CONNECT,
         {2, NET_DISCONNECT},
         {2, -EAFNOSUPPORT},
         {24, 0},
         {2, -EAFNOSUPPORT}},
	{AF_INET6,
         NET_TCP,
         NET_CALL_SEND,
         {2, -EOPNOTSUPP},
         {24, -EAFNOSUPPORT},
         {24, 0},
         {24, -EAFNOSUPPORT}},
	{AF_INET6, NET_UDP, NET_CALL_SEND, {2, NET_NO_ADDRESS}, {16, 0}, {24, 0}, {129, 0}},
	{AF_INET6,
         NET_ICMP,
         NET_CALL_SEND,
         {28, -EAFNOSUPPORT},
         {28, -EAFNOSUPPORT},
         {28, 0},
         {28, -EAFNOSUPPORT}},
};

static void size_check(const struct reading_row *row, sa_family_t given, const struct step *step, size_t size)
{
	/* On the heap and of that very size, so that ASan sees a read too far. */
	uint8_t *bytes = test_malloc(size + 1);
	struct net_endpoint endpoint;
	int r, expected = size < step->from || size > 128 ? -EINVAL : step->r;

	memset(bytes, 0x20, size + 1);
	memcpy(bytes + 1, &given, size < 2 ? size : 2); /* +1: unaligned */
	r = net_endpoint_read(row->family, row->protocol, row->call, bytes + 1, size, &endpoint);
	test_free(bytes);
	if (r != expected)
		fail_msg("socket %d, protocol %d, call %d, given %d, size %zu: %d, expected %d", row->family,
		         row->protocol, row->call, given, size, r, expected);
}

static void every_size_of_a_sockaddr_gets_the_errno_of_the_kernel(void **state)
{
	static const sa_family_t others[] = {AF_UNIX, AF_NETLINK, 0xffff};

	(void)state;
	for (size_t i = 0; i < sizeof(reading_rows) / sizeof(reading_rows[0]); i++) {
		const struct reading_row *row = &reading_rows[i];

		for (size_t size = 0; size <= 129; size++) {
			size_check(row, AF_UNSPEC, &row->unspec, size);
			size_check(row, AF_INET, &row->in, size);
			size_check(row, AF_INET6, &row->in6, size);
			for (size_t o = 0; o < 3; o++)
				size_check(row, others[o], &row->other, size);
		}
	}
}

/* "address:port", or an errno's or a word's number. */
static void datagram_sockets_read_their_own_way(void **state)
{
	static const struct {
		const char *why;
		int family;
		enum net_protocol protocol;
		enum net_call call;
		const char *address;
		uint16_t port;
		int r;
		const char *expected;
	} rows[] = {
		{"UDP has IPv4 on AF_INET6", AF_INET6, NET_UDP, NET_CALL_SEND, "1.2.3.4", 9, 0, "1.2.3.4:9"},
		{"and connects to it", AF_INET6, NET_UDP, NET_CALL_CONNECT, "1.2.3.4", 9, 0, "1.2.3.4:9"},
		{"0.0.0.0 so too", AF_INET6, NET_UDP, NET_CALL_SEND, "0.0.0.0", 9, 0, "127.0.0.1:9"},
		{"mapped", AF_INET6, NET_UDP, NET_CALL_SEND, "::ffff:1.2.3.4", 9, 0, "1.2.3.4:9"},
		{"::", AF_INET6, NET_UDP, NET_CALL_SEND, "::", 9, 0, "[::1]:9"},
		{"no datagram goes to port 0", AF_INET, NET_UDP, NET_CALL_SEND, "1.2.3.4", 0, -EINVAL, NULL},
		{"nor of IPv6", AF_INET6, NET_UDP, NET_CALL_SEND, "::1", 0, -EINVAL, NULL},
		{"nor mapped", AF_INET6, NET_UDP, NET_CALL_SEND, "::ffff:1.2.3.4", 0, -EINVAL, NULL},
		{"a connect may", AF_INET, NET_UDP, NET_CALL_CONNECT, "1.2.3.4", 0, 0, "1.2.3.4:0"},
		{"a connect may, of IPv6", AF_INET6, NET_UDP, NET_CALL_CONNECT, "::1", 0, 0, "[::1]:0"},
		{"ICMP does not care", AF_INET, NET_ICMP, NET_CALL_SEND, "1.2.3.4", 0, 0, "1.2.3.4:0"},
		{"ICMP on AF_INET6", AF_INET6, NET_ICMP, NET_CALL_SEND, "::1", 0, 0, "[::1]:0"},
		{"ICMP, mapped", AF_INET6, NET_ICMP, NET_CALL_SEND, "::ffff:1.2.3.4", 0, -EINVAL, NULL},
		{"ICMP connects, mapped", AF_INET6, NET_ICMP, NET_CALL_CONNECT, "::ffff:1.2.3.4", 0,
	         -ENETUNREACH, NULL},
		{"TCP sends as it connects", AF_INET, NET_TCP, NET_CALL_SEND, "0.0.0.0", 80, 0,
	         "127.0.0.1:80"},
		{"TCP has no IPv4 on AF_INET6", AF_INET6, NET_TCP, NET_CALL_CONNECT, "1.2.3.4", 80, -EINVAL,
	         NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool v6 = strchr(rows[i].address, ':') != NULL;
		struct sockaddr_in in = v6 ? (struct sockaddr_in){0} : in_make(rows[i].address, rows[i].port);
		struct sockaddr_in6 in6 =
			v6 ? in6_make(rows[i].address, rows[i].port, 0) : (struct sockaddr_in6){0};
		struct net_endpoint endpoint;
		char text[NET_ENDPOINT_TEXT];
		int r = net_endpoint_read(rows[i].family, rows[i].protocol, rows[i].call,
		                          v6 ? (void *)&in6 : (void *)&in, v6 ? sizeof(in6) : sizeof(in),
		                          &endpoint);

		if (r != rows[i].r)
			fail_msg("%s: %d, expected %d", rows[i].why, r, rows[i].r);
		if (r != NET_ENDPOINT)
			continue;
		net_endpoint_format(&endpoint, text, sizeof(text));
		if (strcmp(text, rows[i].expected) != 0)
			fail_msg("%s: %s, expected %s", rows[i].why, text, rows[i].expected);
	}
}

/* The family zero is IPv4 to udp_sendmsg: what is behind it must be judged. */
static void an_udp_send_reads_the_family_zero_as_ipv4(void **state)
{
	struct sockaddr_in in = in_make("10.1.2.3", 53);
	struct net_endpoint endpoint;
	char text[NET_ENDPOINT_TEXT];

	(void)state;
	in.sin_family = AF_UNSPEC;
	assert_int_equal(net_endpoint_read(AF_INET, NET_UDP, NET_CALL_SEND, &in, sizeof(in), &endpoint),
	                 NET_ENDPOINT);
	net_endpoint_format(&endpoint, text, sizeof(text));
	assert_string_equal(text, "10.1.2.3:53");
	assert_int_equal(net_endpoint_read(AF_INET6, NET_UDP, NET_CALL_SEND, &in, sizeof(in), &endpoint),
	                 NET_NO_ADDRESS);
	assert_int_equal(net_endpoint_read(AF_INET, NET_UDP, NET_CALL_CONNECT, &in, sizeof(in), &endpoint),
	                 NET_DISCONNECT);
}

static void what_an_address_is_good_for_as_an_answer(void **state)
{
	static const struct {
		const char *address;
		enum addr_kind kind;
		const char *word;
	} rows[] = {
		{"8.8.8.8", ADDR_PUBLIC, "public"},
		{"0.0.0.0", ADDR_NEVER, "unspecified"},
		{"0.255.255.255", ADDR_NEVER, "unspecified"},
		{"1.0.0.0", ADDR_PUBLIC, "public"},
		{"9.255.255.255", ADDR_PUBLIC, "public"},
		{"10.0.0.0", ADDR_PRIVATE, "private"},
		{"10.255.255.255", ADDR_PRIVATE, "private"},
		{"11.0.0.0", ADDR_PUBLIC, "public"},
		{"100.63.255.255", ADDR_PUBLIC, "public"},
		{"100.64.0.0", ADDR_PRIVATE, "private"},
		{"100.100.100.199", ADDR_PRIVATE, "private"},
		{"100.100.100.200", ADDR_NEVER, "metadata"},
		{"100.100.100.201", ADDR_PRIVATE, "private"},
		{"100.127.255.255", ADDR_PRIVATE, "private"},
		{"100.128.0.0", ADDR_PUBLIC, "public"},
		{"126.255.255.255", ADDR_PUBLIC, "public"},
		{"127.0.0.1", ADDR_PRIVATE, "loopback"},
		{"127.255.255.255", ADDR_PRIVATE, "loopback"},
		{"128.0.0.0", ADDR_PUBLIC, "public"},
		{"169.253.255.255", ADDR_PUBLIC, "public"},
		{"169.254.0.0", ADDR_NEVER, "link-local"},
		{"169.254.169.254", ADDR_NEVER, "link-local"},
		{"169.255.0.0", ADDR_PUBLIC, "public"},
		{"172.15.255.255", ADDR_PUBLIC, "public"},
		{"172.16.0.0", ADDR_PRIVATE, "private"},
		{"172.31.255.255", ADDR_PRIVATE, "private"},
		{"172.32.0.0", ADDR_PUBLIC, "public"},
		{"191.255.255.255", ADDR_PUBLIC, "public"},
		{"192.0.0.255", ADDR_PRIVATE, "private"},
		{"192.0.1.0", ADDR_PUBLIC, "public"},
		{"192.167.255.255", ADDR_PUBLIC, "public"},
		{"192.168.0.0", ADDR_PRIVATE, "private"},
		{"192.169.0.0", ADDR_PUBLIC, "public"},
		{"198.17.255.255", ADDR_PUBLIC, "public"},
		{"198.18.0.0", ADDR_PRIVATE, "private"},
		{"198.19.255.255", ADDR_PRIVATE, "private"},
		{"198.20.0.0", ADDR_PUBLIC, "public"},
		{"223.255.255.255", ADDR_PUBLIC, "public"},
		{"224.0.0.0", ADDR_NEVER, "multicast"},
		{"239.255.255.255", ADDR_NEVER, "multicast"},
		{"168.63.129.15", ADDR_PUBLIC, "public"},
		{"168.63.129.16", ADDR_NEVER, "metadata"},
		{"240.0.0.0", ADDR_PRIVATE, "private"},
		{"255.255.255.254", ADDR_PRIVATE, "private"},
		{"255.255.255.255", ADDR_NEVER, "broadcast"},
		{"2001:db8::1", ADDR_PUBLIC, "public"},
		{"::", ADDR_NEVER, "unspecified"},
		{"::1", ADDR_PRIVATE, "loopback"},
		{"fbff::1", ADDR_PUBLIC, "public"},
		{"fc00::", ADDR_PRIVATE, "private"},
		{"fd00:ec2::23", ADDR_NEVER, "metadata"},
		{"fd00:ec2::253", ADDR_PRIVATE, "private"},
		{"fd00:ec2::254", ADDR_NEVER, "metadata"},
		{"fd20:ce::254", ADDR_NEVER, "metadata"},
		{"fdff:ffff::1", ADDR_PRIVATE, "private"},
		{"fe00::1", ADDR_PUBLIC, "public"},
		{"fe80::", ADDR_NEVER, "link-local"},
		{"febf:ffff::1", ADDR_NEVER, "link-local"},
		{"fec0::1", ADDR_PRIVATE, "private"},
		{"ff00::", ADDR_NEVER, "multicast"},
		{"ff0e::1", ADDR_NEVER, "multicast"},
		{"::8.8.8.8", ADDR_PUBLIC, "public"},
		{"::10.0.0.1", ADDR_PRIVATE, "private"},
		{"::127.0.0.1", ADDR_PRIVATE, "loopback"},
		{"::169.254.169.254", ADDR_NEVER, "link-local"},
		{"::2", ADDR_NEVER, "unspecified"},
		{"64:ff9b::8.8.8.8", ADDR_PUBLIC, "public"},
		{"64:ff9b::10.0.0.1", ADDR_PRIVATE, "private"},
		{"64:ff9b::100.100.100.200", ADDR_NEVER, "metadata"},
		{"64:ff9b::169.254.169.254", ADDR_NEVER, "link-local"},
		{"64:ff9b::1:10.0.0.1", ADDR_PUBLIC, "public"},
		{"64:ff9b:0:ffff::1", ADDR_PUBLIC, "public"},
		{"64:ff9b:1::7f00:1", ADDR_PRIVATE, "private"},
		{"64:ff9b:1:ffff::1", ADDR_PRIVATE, "private"},
		{"64:ff9b:2::1", ADDR_PUBLIC, "public"},
		{"2002:808:808::1", ADDR_PUBLIC, "public"},
		{"2002:a00:1::1", ADDR_PRIVATE, "private"},
		{"2002:a9fe:a9fe::1", ADDR_NEVER, "link-local"},
		{"2003:a00:1::1", ADDR_PUBLIC, "public"},
		{"::ffff:10.0.0.1", ADDR_PRIVATE, "private"},
		{"::ffff:169.254.169.254", ADDR_NEVER, "link-local"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct net_addr addr;
		unsigned prefix;
		const char *word;
		enum addr_kind kind;

		assert_int_equal(cidr_parse(rows[i].address, &addr, &prefix), 0);
		kind = addr_classify(&addr, &word);
		if (kind != rows[i].kind || strstr(word, rows[i].word) == NULL)
			fail_msg("%s: %d, \"%s\"", rows[i].address, kind, word);
	}
}

static void a_socket_of_another_family_is_refused(void **state)
{
	struct sockaddr_in in = in_make("1.2.3.4", 80);
	struct net_endpoint endpoint;

	(void)state;
	assert_int_equal(tcp_read(AF_UNIX, &in, sizeof(in), &endpoint), -EAFNOSUPPORT);
	assert_int_equal(tcp_read(AF_INET, &in, sizeof(in), &endpoint), NET_ENDPOINT);
}

static void the_scope_is_read_only_from_a_full_sockaddr_in6(void **state)
{
	struct sockaddr_in6 in6 = in6_make("fe80::1", 80, 9);
	struct net_endpoint endpoint;

	(void)state;
	in6.sin6_flowinfo = htonl(0x12345);
	for (size_t size = 24; size <= 28; size++) {
		assert_int_equal(tcp_read(AF_INET6, &in6, size, &endpoint), NET_ENDPOINT);
		assert_int_equal(endpoint.addr.scope, size == 28 ? 9 : 0);
		assert_int_equal(endpoint.flowinfo, htonl(0x12345));
	}
}

static void what_is_written_reads_back_the_same(void **state)
{
	static const char *const addresses[] = {"::ffff:1.2.3.4", "2001:db8::5", "fe80::7", "::", "ff02::1"};

	(void)state;
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		struct sockaddr_in6 in6 = in6_make(addresses[i], 4711, 2);
		struct sockaddr_storage written;
		struct net_endpoint first, second;
		socklen_t size;

		in6.sin6_flowinfo = htonl(77);
		assert_int_equal(tcp_read(AF_INET6, &in6, sizeof(in6), &first), NET_ENDPOINT);
		size = net_endpoint_write(&first, AF_INET6, &written);
		assert_int_equal(size, sizeof(in6));
		assert_int_equal(tcp_read(AF_INET6, &written, size, &second), NET_ENDPOINT);
		assert_memory_equal(&first.addr.bytes, &second.addr.bytes, 16);
		assert_int_equal(first.addr.family, second.addr.family);
		assert_int_equal(first.addr.scope, second.addr.scope);
		assert_int_equal(first.port, second.port);
		assert_int_equal(first.flowinfo, second.flowinfo);
	}
}

static void ipv4_is_written_as_the_socket_needs_it(void **state)
{
	struct sockaddr_in in = in_make("1.2.3.4", 80);
	struct sockaddr_in6 mapped = in6_make("::ffff:1.2.3.4", 80, 0);
	struct sockaddr_storage written;
	struct net_endpoint endpoint;

	(void)state;
	assert_int_equal(tcp_read(AF_INET, &in, sizeof(in), &endpoint), NET_ENDPOINT);
	assert_int_equal(net_endpoint_write(&endpoint, AF_INET, &written), sizeof(in));
	assert_memory_equal(&written, &in, sizeof(in));
	assert_int_equal(net_endpoint_write(&endpoint, AF_INET6, &written), sizeof(mapped));
	assert_memory_equal(&written, &mapped, sizeof(mapped));
}

static void ipv6_is_never_written_for_an_ipv4_socket(void **state)
{
	struct sockaddr_in6 in6 = in6_make("2001:db8::5", 80, 0);
	struct sockaddr_storage written;
	struct net_endpoint endpoint;

	(void)state;
	assert_int_equal(tcp_read(AF_INET6, &in6, sizeof(in6), &endpoint), NET_ENDPOINT);
	assert_int_equal(net_endpoint_write(&endpoint, AF_INET, &written), 0);
}

static void a_cidr_is_masked_and_unmapped(void **state)
{
	static const struct {
		const char *text, *expected;
		unsigned prefix;
	} rows[] = {
		{"255.255.255.255/0", "0.0.0.0", 0},
		{"255.255.255.255/1", "128.0.0.0", 1},
		{"255.255.255.255/7", "254.0.0.0", 7},
		{"255.255.255.255/8", "255.0.0.0", 8},
		{"255.255.255.255/9", "255.128.0.0", 9},
		{"255.255.255.255/31", "255.255.255.254", 31},
		{"255.255.255.255/32", "255.255.255.255", 32},
		{"255.255.255.255", "255.255.255.255", 32},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/0", "::", 0},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/1", "8000::", 1},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/65", "ffff:ffff:ffff:ffff:8000::", 65},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/127", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe",
	         127},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
	         128},
		{"::ffff:10.1.2.3", "10.1.2.3", 32},
		{"::ffff:10.1.2.3/104", "10.0.0.0", 8},
		{"::ffff:10.1.2.3/96", "0.0.0.0", 0},
		{"::ffff:10.1.2.3/95", "::fffe:0:0", 95},
		{"fe80::1%7", "fe80::1%7", 128},
		{"fe80::1%7/64", "fe80::%7", 64},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct net_addr addr;
		unsigned prefix = 999;
		char text[ADDR_TEXT];

		assert_int_equal(cidr_parse(rows[i].text, &addr, &prefix), 0);
		addr_format(&addr, text, sizeof(text));
		if (strcmp(text, rows[i].expected) != 0 || prefix != rows[i].prefix)
			fail_msg("%s: got %s/%u, expected %s/%u", rows[i].text, text, prefix,
			         rows[i].expected, rows[i].prefix);
	}
}

static void a_bad_cidr_says_what_is_bad(void **state)
{
	static const struct {
		const char *text;
		int code;
	} rows[] = {
		{"", -EINVAL},
		{"1.2.3", -EINVAL},
		{"1.2.3.4.5", -EINVAL},
		{"256.1.1.1", -EINVAL},
		{"01.2.3.4", -EINVAL},
		{"0x7f.0.0.1", -EINVAL},
		{"127.1", -EINVAL},
		{" 1.2.3.4", -EINVAL},
		{"1.2.3.4 ", -EINVAL},
		{"/8", -EINVAL},
		{"1.2.3.4%1", -EINVAL},
		{":::", -EINVAL},
		{"1::2::3", -EINVAL},
		{"12345::", -EINVAL},
		{"1.2.3.4/", -ERANGE},
		{"1.2.3.4/33", -ERANGE},
		{"1.2.3.4/x", -ERANGE},
		{"1.2.3.4/-1", -ERANGE},
		{"1.2.3.4/8/8", -ERANGE},
		{"::/129", -ERANGE},
		{"::/+1", -ERANGE},
		{"fe80::1%", -ENODEV},
		{"fe80::1%0", -ENODEV},
		{"fe80::1%no such", -ENODEV},
		{"::/4294967296", -ERANGE},
		{"fe80::1%4294967296", -ENODEV},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct net_addr addr;
		unsigned prefix;
		int r = cidr_parse(rows[i].text, &addr, &prefix);

		if (r != rows[i].code)
			fail_msg("\"%s\": %d, expected %d", rows[i].text, r, rows[i].code);
	}
}

static void an_interface_name_becomes_its_index(void **state)
{
	struct net_addr addr;
	unsigned prefix;

	(void)state;
	assert_int_equal(cidr_parse("fe80::1%lo", &addr, &prefix), 0);
	assert_int_not_equal(addr.scope, 0);
	assert_int_equal(addr.scope, if_nametoindex("lo"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(canonical_form_of_every_spelling),
		cmocka_unit_test(every_size_of_a_sockaddr_gets_the_errno_of_the_kernel),
		cmocka_unit_test(datagram_sockets_read_their_own_way),
		cmocka_unit_test(an_udp_send_reads_the_family_zero_as_ipv4),
		cmocka_unit_test(what_an_address_is_good_for_as_an_answer),
		cmocka_unit_test(a_socket_of_another_family_is_refused),
		cmocka_unit_test(the_scope_is_read_only_from_a_full_sockaddr_in6),
		cmocka_unit_test(what_is_written_reads_back_the_same),
		cmocka_unit_test(ipv4_is_written_as_the_socket_needs_it),
		cmocka_unit_test(ipv6_is_never_written_for_an_ipv4_socket),
		cmocka_unit_test(a_cidr_is_masked_and_unmapped),
		cmocka_unit_test(a_bad_cidr_says_what_is_bad),
		cmocka_unit_test(an_interface_name_becomes_its_index),
	};

	return cmocka_run_group_tests_name("addr", tests, NULL, NULL);
}
