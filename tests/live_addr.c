/* What a sockaddr means, asked of the kernel: every size, family and kind of socket that net_endpoint_read() knows, and
 * whether what net_endpoint_write() makes of an endpoint means to the kernel what was given. All of it in a network
 * namespace that has a loopback interface only. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/fd.h"
#include "netpolicy/netpolicy.h"
#include "tests/common/common.h"

static const char *missing; /* why there is no such namespace */

static int loopback_up(void)
{
	cleanup_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};

	return fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0 ? -errno : 0;
}

/* A user namespace makes this one ours to configure; its group 0 may have ping sockets. */
static int network_make(void **state)
{
	uid_t user = getuid();
	gid_t group = getgid();

	(void)state;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		missing = "no user and network namespace to be had";
	else if (file_set("/proc/self/setgroups", "deny") != 0 ||
	         file_set("/proc/self/uid_map", text_of("0 %u 1", user)) != 0 ||
	         file_set("/proc/self/gid_map", text_of("0 %u 1", group)) != 0 || loopback_up() < 0)
		missing = "the namespace cannot be set up";
	else if (file_set("/proc/sys/net/ipv4/ping_group_range", "0 0") != 0)
		missing = "ping sockets cannot be allowed";
	return 0;
}

struct kind {
	int family;
	enum net_protocol protocol;
	enum net_call call;
};

static int socket_of(const struct kind *kind)
{
	static const int types[] = {[NET_TCP] = SOCK_STREAM, [NET_UDP] = SOCK_DGRAM, [NET_ICMP] = SOCK_DGRAM};
	int icmp = kind->family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	int fd = socket(kind->family, types[kind->protocol] | SOCK_NONBLOCK | SOCK_CLOEXEC,
	                kind->protocol == NET_ICMP ? icmp : 0);

	assert_true(fd >= 0);
	return fd;
}

struct outcome {
	int error; /* 0 where the address was taken, whoever answers there */
	struct sockaddr_storage peer;
};

static struct outcome kernel_ask(const struct kind *kind, const void *bytes, socklen_t size)
{
	uint8_t echo[8] = {kind->family == AF_INET ? 8 : 128};
	int flags = kind->protocol == NET_TCP ? MSG_FASTOPEN | MSG_NOSIGNAL : MSG_NOSIGNAL;
	struct outcome outcome = {0};
	socklen_t peer_size = sizeof(outcome.peer);
	cleanup_fd int fd = socket_of(kind);
	ssize_t r = kind->call == NET_CALL_CONNECT ? connect(fd, bytes, size)
	                                           : sendto(fd, echo, sizeof(echo), flags, bytes, size);

	outcome.error = r < 0 ? errno : 0;
	if (outcome.error == EINPROGRESS || outcome.error == ECONNREFUSED)
		outcome.error = 0;
	if (kind->protocol != NET_TCP && getpeername(fd, (struct sockaddr *)&outcome.peer, &peer_size) < 0)
		outcome.peer = (struct sockaddr_storage){0};
	return outcome;
}

/* The errno that a reading foretells, on a socket that is not connected. */
static int reading_errno(int r)
{
	if (r == NET_NO_ADDRESS)
		return EDESTADDRREQ;
	return r < 0 ? -r : 0;
}

static void reading_compare(const struct kind *kind, const void *bytes, size_t size)
{
	struct net_endpoint endpoint;
	int r = net_endpoint_read(kind->family, kind->protocol, kind->call, bytes, size, &endpoint);
	struct outcome given = kernel_ask(kind, bytes, (socklen_t)size), written;
	struct sockaddr_storage address;
	socklen_t address_size;
	char text[NET_ENDPOINT_TEXT];

	if (r != NET_ENDPOINT) {
		if (given.error != reading_errno(r))
			fail_msg("family %d protocol %d call %d size %zu: kernel %s, read %d", kind->family,
			         kind->protocol, kind->call, size, strerrorname_np(given.error), r);
		return;
	}
	address_size = net_endpoint_write(&endpoint, kind->family, &address);
	written = kernel_ask(kind, &address, address_size);
	net_endpoint_format(&endpoint, text, sizeof(text));
	if (given.error != written.error || memcmp(&given.peer, &written.peer, sizeof(given.peer)) != 0)
		fail_msg("family %d protocol %d call %d size %zu, %s: kernel %s, written anew %s",
		         kind->family, kind->protocol, kind->call, size, text, strerrorname_np(given.error),
		         strerrorname_np(written.error));
}

/* Every kind of socket and call. */
static void kinds_each(void (*each)(const struct kind *kind))
{
	static const int families[] = {AF_INET, AF_INET6};

	for (size_t f = 0; f < 2; f++)
		for (int protocol = 0; protocol < NET_PROTOCOLS; protocol++)
			for (int call = NET_CALL_CONNECT; call <= NET_CALL_SEND; call++)
				each(&(struct kind){families[f], protocol, call});
}

/* The loopback address, in the form of the given family; of the socket's where the family has none. */
static void sockaddr_fill(uint8_t bytes[256], int socket_family, sa_family_t given)
{
	bool v6 = given == AF_INET6 || (given != AF_INET && socket_family == AF_INET6);
	struct sockaddr_in in = {given, htons(9), {htonl(INADDR_LOOPBACK)}, {0}};
	struct sockaddr_in6 in6 = {given, htons(9), 0, IN6ADDR_LOOPBACK_INIT, 0};

	memset(bytes, 0, 256);
	memcpy(bytes, v6 ? (void *)&in6 : (void *)&in, v6 ? sizeof(in6) : sizeof(in));
}

static void sizes_compare(const struct kind *kind)
{
	static const sa_family_t given[] = {AF_UNSPEC, AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, 0xffff};

	for (size_t g = 0; g < sizeof(given) / sizeof(given[0]); g++) {
		uint8_t bytes[256];

		sockaddr_fill(bytes, kind->family, given[g]);
		for (size_t size = 0; size <= 130; size++)
			reading_compare(kind, bytes, size);
	}
}

static void the_kernel_reads_every_size_and_family_so(void **state)
{
	(void)state;
	if (missing != NULL)
		SKIP_BECAUSE(missing);
	kinds_each(sizes_compare);
}

/* ping_v6_sendmsg looks for a route to :: itself. It has none here; what we write is ::1. */
static bool is_ping_to_nobody(const struct kind *kind, const char *address)
{
	return kind->protocol == NET_ICMP && kind->call == NET_CALL_SEND && strcmp(address, "::") == 0;
}

static void addresses_compare(const struct kind *kind)
{
	static const char *const addresses[] = {
		"0.0.0.0",         "127.0.0.1",   "127.9.9.9",  "255.255.255.255",  "224.0.0.1",
		"10.1.2.3",        "::",          "::1",        "::ffff:127.0.0.1", "::ffff:0.0.0.0",
		"::ffff:10.1.2.3", "::127.0.0.1", "64:ff9b::1", "fe80::1",          "ff01::1",
		"ff02::1",         "ff05::1",     "2001:db8::1"};

	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++)
		for (uint32_t scope = 0; scope <= 2; scope++)
			for (uint16_t port = 0; port <= 9; port += 9) {
				struct sockaddr_in6 in6 = {AF_INET6, htons(port), 0, {{{0}}}, scope};
				struct sockaddr_in in = {AF_INET, htons(port), {0}, {0}};
				bool v6 = inet_pton(AF_INET6, addresses[i], &in6.sin6_addr) == 1;

				if (is_ping_to_nobody(kind, addresses[i]))
					continue;
				if (!v6)
					assert_int_equal(inet_pton(AF_INET, addresses[i], &in.sin_addr), 1);
				reading_compare(kind, v6 ? (void *)&in6 : (void *)&in,
				                v6 ? sizeof(in6) : sizeof(in));
			}
}

static void what_is_written_anew_means_what_was_given(void **state)
{
	(void)state;
	if (missing != NULL)
		SKIP_BECAUSE(missing);
	kinds_each(addresses_compare);
}

/* The control: a reading that is wrong is seen. */
static void another_address_is_another_outcome(void **state)
{
	struct kind kind = {AF_INET, NET_UDP, NET_CALL_CONNECT};
	struct sockaddr_in here = {AF_INET, htons(9), {htonl(INADDR_LOOPBACK)}, {0}}, there = here;
	struct outcome first, second;

	(void)state;
	if (missing != NULL)
		SKIP_BECAUSE(missing);
	there.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
	first = kernel_ask(&kind, &here, sizeof(here));
	second = kernel_ask(&kind, &there, sizeof(there));
	assert_int_equal(first.error, 0);
	assert_int_equal(second.error, 0);
	assert_memory_not_equal(&first.peer, &second.peer, sizeof(first.peer));
	there.sin_addr.s_addr = htonl(0x0a010203);
	assert_int_equal(kernel_ask(&kind, &there, sizeof(there)).error, ENETUNREACH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_kernel_reads_every_size_and_family_so),
		cmocka_unit_test(what_is_written_anew_means_what_was_given),
		cmocka_unit_test(another_address_is_another_outcome),
	};

	return cmocka_run_group_tests_name("addr on this kernel", tests, network_make, NULL);
}
