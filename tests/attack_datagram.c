/* Ways out by datagrams that are not the address as it is usually written: other spellings, connected sockets,
 * control messages, options, sockets from elsewhere, and sends of every extreme size. security.md, 2.6 to 2.8, 3.3,
 * 3.4 and 3.8.
 *
 *     sinks    [::]:A and [::]:B, both families: every spelling of loopback reaches them bare
 *     rule     udp://127.0.0.1:A, and nothing else
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/attack_privilege.h"

enum { ALLOWED, FORBIDDEN, SINKS };

static int sink[SINKS];
static uint16_t port[SINKS];
static char rule_allowed[64];

#define ONE_ADDRESS POLICY("net-allow", rule_allowed)

static int sink_open(uint16_t *number)
{
	struct sockaddr_in6 address = {.sin6_family = AF_INET6};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), zero = 0, room = 1 << 20;

	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) < 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &size) < 0)
		return -1;
	*number = ntohs(address.sin6_port);
	return fd;
}

/* Once more in another network: these are other sinks. */
static int sinks_open(void)
{
	for (int i = 0; i < SINKS; i++)
		if ((sink[i] = sink_open(&port[i])) < 0)
			return -1;
	snprintf(rule_allowed, sizeof(rule_allowed), "udp://127.0.0.1:%u", port[ALLOWED]);
	return 0;
}

/* What has come in; on loopback that is all, but for what the kernel's other CPU has yet to do. */
static int sink_drain(int which, int patience_ms)
{
	struct pollfd ready = {.fd = sink[which], .events = POLLIN};
	static char bytes[70000];
	int count = 0;

	while (poll(&ready, 1, count == 0 ? patience_ms : 0) > 0)
		count += recv(sink[which], bytes, sizeof(bytes), MSG_DONTWAIT) >= 0;
	return count;
}

enum by { BY_SENDTO, BY_SENDMSG, BY_SENDMMSG, BY_CONNECT, BYS };
static const char *const by_names[] = {"sendto", "sendmsg", "sendmmsg", "connect"};

static int send_by(int fd, enum by by, const struct sockaddr_storage *address, socklen_t size, long flags)
{
	char byte = 'x';
	struct iovec data = {&byte, 1};
	struct mmsghdr message = {.msg_hdr = {.msg_name = (void *)(uintptr_t)address,
	                                      .msg_namelen = size,
	                                      .msg_iov = &data,
	                                      .msg_iovlen = 1}};

	switch (by) {
	case BY_SENDTO:
		return result_of(syscall(SYS_sendto, fd, &byte, 1, flags, address, size));
	case BY_SENDMSG:
		return result_of(syscall(SYS_sendmsg, fd, &message.msg_hdr, flags));
	case BY_SENDMMSG:
		return result_of(syscall(SYS_sendmmsg, fd, &message, 1, flags));
	default:
		if (connect(fd, (const struct sockaddr *)address, size) < 0)
			return errno;
		return result_of(send(fd, &byte, 1, 0));
	}
}

/* ---- spellings ---- */

struct spelling {
	int domain;
	const char *address;
	int which; /* whose port */
	int refused;
	bool unspec; /* its family says AF_UNSPEC */
	int connect; /* the errno of connect(2) bare, where the kernel has no such connection */
};

struct outcome {
	int result;
	int came[SINKS];
};

enum { SPELLINGS_MAX = 64 };
struct spellings {
	const struct spelling *rows;
	size_t count;
	struct outcome (*outcomes)[BYS]; /* MAP_SHARED */
};

static void spelling_try(const struct spelling *spelling, enum by by, struct outcome *outcome)
{
	struct sockaddr_storage address;
	socklen_t size = address_read(spelling->address, port[spelling->which], &address);
	int fd = socket(spelling->domain, SOCK_DGRAM, 0), off = 0, on = 1;

	if (spelling->domain == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on));
	if (spelling->unspec)
		address.ss_family = AF_UNSPEC;
	outcome->result = fd < 0 ? errno : send_by(fd, by, &address, size, MSG_NOSIGNAL);
	for (int i = 0; i < SINKS; i++)
		outcome->came[i] = sink_drain(i, outcome->result == 0 && i == spelling->which ? 200 : 0);
	close(fd);
}

static int spellings_run(void *context)
{
	const struct spellings *all = context;

	for (size_t i = 0; i < all->count; i++)
		for (enum by by = 0; by < BYS; by++)
			spelling_try(&all->rows[i], by, &all->outcomes[i][by]);
	return 0;
}

/* connect(2) with AF_UNSPEC is something else: it dissolves. */
static bool is_played(const struct spelling *spelling, enum by by)
{
	return !(spelling->unspec && by == BY_CONNECT);
}

/* What it gives where nothing refuses it. */
static int native_result(const struct spelling *spelling, enum by by)
{
	return by == BY_CONNECT ? spelling->connect : 0;
}

static int outcome_judge(const struct spelling *spelling, enum by by, const struct outcome *outcome,
                         int expected, const char *how)
{
	const int *came = outcome->came;
	int wanted = expected == 0;

	if (outcome->result == expected && came[spelling->which] == wanted && came[!spelling->which] == 0)
		return 0;
	fprintf(stderr, "# %s, %s port, %s, by %s, %s: %s and not %s; %d and %d came\n", spelling->address,
	        spelling->which == ALLOWED ? "allowed" : "forbidden",
	        spelling->domain == AF_INET ? "v4" : "v6", by_names[by], how, result_name(outcome->result),
	        result_name(expected), came[ALLOWED], came[FORBIDDEN]);
	return 1;
}

static int spellings_play(const struct spelling *rows, size_t count, const char *const policy[])
{
	size_t room = SPELLINGS_MAX * BYS * sizeof(struct outcome);
	struct spellings all = {rows, count, NULL};
	int wrong = 0;

	assert_in_range(count, 1, SPELLINGS_MAX);
	all.outcomes = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_int_equal(attempt_bare(spellings_run, &all), 0);
	for (size_t i = 0; i < count; i++)
		for (enum by by = 0; by < BYS; by++)
			if (is_played(&rows[i], by))
				wrong += outcome_judge(&rows[i], by, &all.outcomes[i][by],
				                       native_result(&rows[i], by), "bare");
	memset(all.outcomes, 0xff, room);
	assert_int_equal(attempt_confined(policy, spellings_run, &all), 0);
	for (size_t i = 0; i < count; i++)
		for (enum by by = 0; by < BYS; by++)
			if (is_played(&rows[i], by))
				wrong += outcome_judge(&rows[i], by, &all.outcomes[i][by],
				                       rows[i].refused != 0 ? rows[i].refused
				                                            : native_result(&rows[i], by),
				                       "confined");
	munmap(all.outcomes, room);
	return wrong;
}

/* N02, N03, N08, E08b: an embedded address is compared as what the kernel makes of it. */
static void every_spelling_of_an_address_is_judged_as_what_it_means(void **state)
{
	static const struct spelling rows[] = {
		{AF_INET, "127.0.0.1", FORBIDDEN, EACCES, false},
		{AF_INET, "127.0.0.2", FORBIDDEN, EACCES, false},
		{AF_INET, "0.0.0.0", FORBIDDEN, EACCES, false},
		{AF_INET, "127.0.0.1", FORBIDDEN, EACCES, true},
		{AF_INET, "0.0.0.0", FORBIDDEN, EACCES, true},
		{AF_INET6, "::", FORBIDDEN, EACCES, false},
		{AF_INET6, "::1", FORBIDDEN, EACCES, false},
		{AF_INET6, "::ffff:127.0.0.1", FORBIDDEN, EACCES, false},
		{AF_INET6, "::ffff:0.0.0.0", FORBIDDEN, EACCES, false},
		{AF_INET6, "127.0.0.1", FORBIDDEN, EACCES, false}, /* an AF_INET address */
		{AF_INET6, "0.0.0.0", FORBIDDEN, EACCES, false},
		/* The port alone does not make it allowed. */
		{AF_INET, "127.0.0.2", ALLOWED, EACCES, false},
		{AF_INET, "127.0.0.2", ALLOWED, EACCES, true},
		{AF_INET, "127.255.255.254", ALLOWED, EACCES, false},
		{AF_INET6, "::1", ALLOWED, EACCES, false},
		{AF_INET6, "::", ALLOWED, EACCES, false},
		{AF_INET6, "::ffff:127.0.0.2", ALLOWED, EACCES, false},
		{AF_INET6, "127.0.0.2", ALLOWED, EACCES, false},
		/* These mean 127.0.0.1. */
		{AF_INET, "127.0.0.1", ALLOWED, 0, false},
		{AF_INET, "127.0.0.1", ALLOWED, 0, true},
		{AF_INET, "0.0.0.0", ALLOWED, 0, false},
		{AF_INET, "0.0.0.0", ALLOWED, 0, true},
		{AF_INET6, "::ffff:127.0.0.1", ALLOWED, 0, false},
		{AF_INET6, "::ffff:0.0.0.0", ALLOWED, 0, false},
		{AF_INET6, "127.0.0.1", ALLOWED, 0, false},
		{AF_INET6, "0.0.0.0", ALLOWED, 0, false},
	};

	(void)state;
	assert_int_equal(spellings_play(ROWS(rows), ONE_ADDRESS), 0);
}

/* With names there are UDP sockets, since resolvers ask over UDP; a rule for TCP lets them reach nothing else. */
static void a_name_for_TCP_lets_no_datagram_out(void **state)
{
	static const struct spelling rows[] = {
		{AF_INET, "127.0.0.1", ALLOWED, EACCES, false},
		{AF_INET, "127.0.0.1", FORBIDDEN, EACCES, true},
		{AF_INET6, "::1", ALLOWED, EACCES, false},
		{AF_INET6, "127.0.0.1", FORBIDDEN, EACCES, false},
	};

	(void)state;
	assert_int_equal(
		spellings_play(ROWS(rows), POLICY("net-allow", text_of("tcp://localhost:%u", port[ALLOWED]))),
		0);
}

/* What is denied stays denied in every spelling, whatever is allowed. */
static void a_denied_address_is_denied_in_every_spelling(void **state)
{
	static const struct spelling rows[] = {
		{AF_INET, "127.0.0.2", ALLOWED, EACCES, false},
		{AF_INET, "127.0.0.2", FORBIDDEN, EACCES, true},
		{AF_INET6, "::ffff:127.0.0.2", ALLOWED, EACCES, false},
		{AF_INET6, "127.0.0.2", FORBIDDEN, EACCES, false},
		{AF_INET6, "::1", ALLOWED, EACCES, false},
		{AF_INET6, "::", ALLOWED, EACCES, false},
		{AF_INET, "127.0.0.1", ALLOWED, 0, false},
		{AF_INET, "127.0.0.1", FORBIDDEN, 0, true},
		{AF_INET6, "::ffff:127.0.0.3", ALLOWED, 0, false},
	};

	(void)state;
	assert_int_equal(spellings_play(ROWS(rows), POLICY("net-allow", "udp://*", "net-deny", "127.0.0.2",
	                                                   "net-deny", "[::1]")),
	                 0);
	assert_int_equal(spellings_play(ROWS(rows),
	                                POLICY("net-allow", "udp://127.0.0.0/8", "net-allow", "udp://[::1]",
	                                       "net-deny", "udp://127.0.0.2", "net-deny", "udp://[::1]")),
	                 0);
}

/* Those of `texts`, by all ways: bare they come to the sink, confined by `policy` they are refused, by one that grants all
 * they come again. Datagrams to groups and broadcasts too, as this network has no other machine. */
static int foreigners_judge(char texts[][32], size_t count, int connect, const char *const policy[])
{
	struct spelling rows[SPELLINGS_MAX];
	int wrong;

	assert_in_range(count, 1, SPELLINGS_MAX);
	for (size_t i = 0; i < count; i++)
		rows[i] = (struct spelling){strchr(texts[i], ':') == NULL ? AF_INET : AF_INET6,
		                            texts[i],
		                            ALLOWED,
		                            EACCES,
		                            false,
		                            connect};
	wrong = spellings_play(rows, count, policy);
	for (size_t i = 0; i < count; i++)
		rows[i].refused = 0;
	return wrong + spellings_play(rows, count, POLICY("net-allow", "udp://*"));
}

static int group_join(const char *group)
{
	struct ip_mreqn request = {{inet_addr(group)}, {htonl(INADDR_LOOPBACK)}, (int)if_nametoindex("lo")};

	return setsockopt(sink[ALLOWED], IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof(request));
}

static int foreigners_play(void)
{
	static char texts[][32] = {
		"169.254.169.254",  "fd00:ec2::254",   "64:ff9b::7f00:2",
		"2002:7f00:2::",    "::127.0.0.1",     "224.0.0.1",
		"255.255.255.255",  "::ffff:10.0.0.1", "192.0.2.1",
		"::ffff:224.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::1",
		"240.0.0.1",        "127.255.255.255", "ff02::1%1",
		"239.1.2.3",        "fe80::1%1",       "::ffff:255.255.255.255",
		"8.8.8.8",
	};
	/* They are sent to, and not connected to. */
	static char without_interface[][32] = {"ff02::1", "fe80::1"};

	if (!network_is_everywhere() || sinks_open() < 0 || group_join("224.0.0.1") < 0 ||
	    group_join("239.1.2.3") < 0)
		return 1;
	return foreigners_judge(ROWS(texts), 0, ONE_ADDRESS) +
	       foreigners_judge(ROWS(without_interface), EINVAL, ONE_ADDRESS);
}

/* N04, N29, N30. In a network where all of them are this machine: elsewhere some would leave it, others have no route. */
static void addresses_of_others_are_refused(void **state)
{
	(void)state;
	PLAY_IN_OWN_NETWORK(foreigners_play);
}

static int translators_play(void)
{
	static char texts[][32] = {"64:ff9b::7f00:2", "2002:7f00:2::1", "::127.0.0.2", "::ffff:127.0.0.2"};

	if (!network_is_everywhere() || sinks_open() < 0)
		return 1;
	return foreigners_judge(ROWS(texts), 0, POLICY("net-allow", "udp://*", "net-deny", "127.0.0.2"));
}

/* N04: translators deliver these to the address within. */
static void a_denied_address_cannot_be_reached_through_a_translator(void **state)
{
	(void)state;
	PLAY_IN_OWN_NETWORK(translators_play);
}

/* Over another interface the address is another one: bare there is somebody at both, as every address is this machine. */
static int links_play(void)
{
	char address[INET6_ADDRSTRLEN], here[128], elsewhere[128];
	struct spelling over[] = {{AF_INET6, here, ALLOWED, EACCES}, {AF_INET6, elsewhere, ALLOWED, EACCES}};
	unsigned interface = 0;
	int wrong = 0;

	if (!network_second_link(address, sizeof(address), &interface))
		return NETWORK_NOT_OWN;
	if (!network_is_everywhere() || sinks_open() < 0)
		return 1;
	snprintf(here, sizeof(here), "%s%%%u", address, interface);
	snprintf(elsewhere, sizeof(elsewhere), "%s%%%u", address, if_nametoindex("lo"));
	wrong += spellings_play(ROWS(over), ONE_ADDRESS);
	for (int i = 0; i < 2; i++) {
		const char *rule = text_of("udp://[%s]:%u", over[i].address, port[ALLOWED]);

		over[i].refused = 0;
		over[!i].refused = EACCES;
		wrong += spellings_play(ROWS(over), POLICY("net-allow", rule));
	}
	return wrong;
}

/* N05 */
static void link_local_addresses_need_their_interface(void **state)
{
	(void)state;
	PLAY_IN_OWN_NETWORK(links_play);
}

/* ---- connected sockets ---- */

static socklen_t loopback_at(int which, struct sockaddr_storage *address)
{
	return address_read("127.0.0.1", port[which], address);
}

/* N10, N07: 0 where it got through to the forbidden one, as it does bare. */
static int connected_then_elsewhere(void *context)
{
	enum by by = *(enum by *)context;
	struct sockaddr_storage allowed, forbidden;
	socklen_t size = loopback_at(ALLOWED, &allowed);
	int fd = socket(AF_INET, SOCK_DGRAM, 0), result;

	loopback_at(FORBIDDEN, &forbidden);
	sink_drain(ALLOWED, 0);
	if (connect(fd, (struct sockaddr *)&allowed, size) < 0 || send(fd, "x", 1, 0) != 1)
		return EPROTO;
	result = send_by(fd, by, &forbidden, size, 0);
	/* Still connected to the first one, unless it got away. */
	if (result != 0 && (send(fd, "x", 1, 0) != 1 || sink_drain(ALLOWED, 200) != 2))
		return EPROTO;
	return result;
}

static int dissolved_then_elsewhere(void *context)
{
	enum by by = *(enum by *)context;
	struct sockaddr_storage allowed, forbidden;
	socklen_t size = loopback_at(ALLOWED, &allowed);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	loopback_at(FORBIDDEN, &forbidden);
	if (connect(fd, (struct sockaddr *)&allowed, size) < 0 || disconnect_try(fd, 16) != 0 ||
	    send(fd, "x", 1, 0) != -1 || errno != EDESTADDRREQ)
		return EPROTO;
	return send_by(fd, by, &forbidden, size, 0);
}

/* A datagram that is put together: the address of its first part is where it goes, unless the socket is connected
 * meanwhile. */
static int corked_then_elsewhere(void *context)
{
	enum by by = *(enum by *)context;
	struct sockaddr_storage allowed, forbidden;
	socklen_t size = loopback_at(ALLOWED, &allowed);
	int fd = socket(AF_INET, SOCK_DGRAM, 0), result;

	loopback_at(FORBIDDEN, &forbidden);
	sink_drain(FORBIDDEN, 0);
	if (sendto(fd, "x", 1, MSG_MORE, (struct sockaddr *)&allowed, size) != 1)
		return EPROTO;
	result = send_by(fd, by, &forbidden, size, 0);
	if (result != 0 && sink_drain(FORBIDDEN, 20) != 0)
		return ENOTRECOVERABLE;
	return result;
}

static void a_connected_socket_is_judged_by_each_address(void **state)
{
	static enum by bys[] = {BY_SENDTO, BY_SENDMSG, BY_SENDMMSG, BY_CONNECT};
	int wrong = 0;

	(void)state;
	for (size_t i = 0; i < BYS; i++) {
		const struct attack_row rows[] = {
			{text_of("connected, then %s", by_names[i]), connected_then_elsewhere, &bys[i],
		         EACCES, CONTROL_BOTH},
			{text_of("dissolved, then %s", by_names[i]), dissolved_then_elsewhere, &bys[i],
		         EACCES, CONTROL_BOTH},
			{text_of("corked, then %s", by_names[i]), corked_then_elsewhere, &bys[i], EACCES,
		         CONTROL_BOTH},
		};

		wrong += rows_play(ROWS(rows), ONE_ADDRESS);
		sink_drain(ALLOWED, 20);
		sink_drain(FORBIDDEN, 20);
	}
	assert_int_equal(wrong, 0);
}

/* ---- control messages ---- */

struct control {
	int domain, level, type;
	const void *data;
	size_t size;
	const char *name;
	int refused;
	enum attack_control control;
	bool many; /* sendmmsg */
};

static int control_try(void *context)
{
	const struct control *control = context;
	struct sockaddr_storage address;
	socklen_t size =
		address_read(control->domain == AF_INET ? "127.0.0.1" : "::1", port[ALLOWED], &address);
	_Alignas(struct cmsghdr) char bytes[128] = {0};
	struct cmsghdr *message = (struct cmsghdr *)bytes;
	char byte = 'x';
	struct iovec data = {&byte, 1};
	struct mmsghdr header = {.msg_hdr = {.msg_name = &address,
	                                     .msg_namelen = size,
	                                     .msg_iov = &data,
	                                     .msg_iovlen = 1,
	                                     .msg_control = bytes,
	                                     .msg_controllen = CMSG_SPACE(control->size)}};
	int fd = socket(control->domain, SOCK_DGRAM, 0), result;

	*message = (struct cmsghdr){.cmsg_len = CMSG_LEN(control->size),
	                            .cmsg_level = control->level,
	                            .cmsg_type = control->type};
	memcpy(CMSG_DATA(message), control->data, control->size);
	result = control->many ? result_of(sendmmsg(fd, &header, 1, 0))
	                       : result_of(sendmsg(fd, &header.msg_hdr, 0));
	if (sink_drain(ALLOWED, result == 0 ? 200 : 0) != (result == 0))
		return EPROTO;
	return result;
}

static const int zero, one = 1, hops = 64;
static const struct in_pktinfo source4 = {.ipi_spec_dst = {0x0100007f}}, interface4 = {.ipi_ifindex = 1};
static const struct in6_pktinfo source6 = {.ipi6_addr = IN6ADDR_LOOPBACK_INIT},
				interface6 = {.ipi6_ifindex = 1};
/* Record route: the one IP option that anybody may set. RFC 791. */
static const uint8_t record_route[8] = {7, 7, 4};
/* One segment, ::1, of a segment routing header: RFC 8754, 2. A home address: RFC 6275, 6.4. */
static const uint8_t segments[24] = {[1] = 2, [2] = 4, [23] = 1},
		     home[24] = {[1] = 2, [2] = 2, [3] = 1, [23] = 1};
static const uint8_t padding[8] = {[2] = 1, [3] = 4};

/* N21 */
static const struct control controls[] = {
	{AF_INET, IPPROTO_IP, IP_RETOPTS, record_route, 8, "IP_RETOPTS, record route", EPERM, CONTROL_BOTH,
         false},
	{AF_INET, IPPROTO_IP, IP_PKTINFO, &interface4, sizeof(interface4), "IP_PKTINFO, interface", EPERM,
         CONTROL_BOTH, false},
	{AF_INET, SOL_SOCKET, SO_MARK, &one, sizeof(one), "SO_MARK", EPERM, CONTROL_NETWORK, false},
	{AF_INET6, IPPROTO_IPV6, IPV6_PKTINFO, &interface6, sizeof(interface6), "IPV6_PKTINFO, interface",
         EPERM, CONTROL_BOTH, false},
	{AF_INET6, IPPROTO_IPV6, 2, &interface6, sizeof(interface6), "IPV6_2292PKTINFO, interface", EPERM,
         CONTROL_BOTH, false},
	{AF_INET6, IPPROTO_IPV6, IPV6_RTHDR, segments, sizeof(segments), "IPV6_RTHDR, segments", EPERM,
         CONTROL_NONE, false},
	{AF_INET6, IPPROTO_IPV6, IPV6_RTHDR, home, sizeof(home), "IPV6_RTHDR, home", EPERM, CONTROL_NONE,
         false},
	{AF_INET6, IPPROTO_IPV6, 5, home, sizeof(home), "IPV6_2292RTHDR", EPERM, CONTROL_NONE, false},
	{AF_INET6, IPPROTO_IPV6, IPV6_HOPOPTS, padding, 8, "IPV6_HOPOPTS", EPERM, CONTROL_NETWORK, false},
	{AF_INET6, IPPROTO_IPV6, IPV6_DSTOPTS, padding, 8, "IPV6_DSTOPTS", EPERM, CONTROL_NETWORK, false},
	{AF_INET6, IPPROTO_IPV6, IPV6_RTHDRDSTOPTS, padding, 8, "IPV6_RTHDRDSTOPTS", EPERM, CONTROL_NETWORK,
         false},
	{AF_INET6, IPPROTO_IPV6, 3, padding, 8, "IPV6_2292HOPOPTS", EPERM, CONTROL_NETWORK, false},
	{AF_INET6, IPPROTO_IPV6, 4, padding, 8, "IPV6_2292DSTOPTS", EPERM, CONTROL_NETWORK, false},
	/* Nobody knows these. */
	{AF_INET, IPPROTO_IP, 250, &one, sizeof(one), "an unknown message of IP", EPERM, CONTROL_NONE, false},
	{AF_INET, SOL_SOCKET, 250, &one, sizeof(one), "an unknown message", EINVAL, CONTROL_NONE, false},
	{AF_INET, 250, 1, &one, sizeof(one), "an unknown level", EINVAL, CONTROL_BOTH, false},
	/* Ordinary ones stay. */
	{AF_INET, IPPROTO_IP, IP_TTL, &hops, sizeof(hops), "IP_TTL", 0, CONTROL_BOTH, false},
	{AF_INET, IPPROTO_IP, IP_TOS, &zero, sizeof(zero), "IP_TOS", 0, CONTROL_BOTH, false},
	{AF_INET, IPPROTO_IP, IP_PKTINFO, &source4, sizeof(source4), "IP_PKTINFO, source", 0, CONTROL_BOTH,
         false},
};
/* By a rule for ::1. */
static const struct control controls6[] = {
	{AF_INET6, IPPROTO_IPV6, IPV6_HOPLIMIT, &hops, sizeof(hops), "IPV6_HOPLIMIT", 0, CONTROL_BOTH, false},
	{AF_INET6, IPPROTO_IPV6, IPV6_TCLASS, &zero, sizeof(zero), "IPV6_TCLASS", 0, CONTROL_BOTH, false},
	{AF_INET6, IPPROTO_IPV6, IPV6_PKTINFO, &source6, sizeof(source6), "IPV6_PKTINFO, source", 0,
         CONTROL_BOTH, false},
	{AF_INET6, IPPROTO_IPV6, IPV6_PKTINFO, &interface6, sizeof(interface6), "IPV6_PKTINFO, interface",
         EPERM, CONTROL_BOTH, false},
	{AF_INET6, IPPROTO_IPV6, IPV6_RTHDR, segments, sizeof(segments), "IPV6_RTHDR", EPERM, CONTROL_NONE,
         false},
};

static int controls_play(const struct control *all, size_t count, const char *const policy[])
{
	int wrong = 0;

	for (size_t i = 0; i < 2 * count; i++) {
		struct control control = all[i / 2];
		struct attack_row row = {control.name, control_try, &control, control.refused,
		                         control.control};

		control.many = i % 2;
		wrong += rows_play(&row, 1, policy);
	}
	return wrong;
}

static void control_messages_that_reroute_are_refused(void **state)
{
	const char *v6_rule = text_of("udp://[::1]:%u", port[ALLOWED]);

	(void)state;
	assert_int_equal(
		controls_play(ROWS(controls), POLICY("net-allow", rule_allowed, "net-allow", v6_rule)), 0);
	assert_int_equal(controls_play(ROWS(controls6), POLICY("net-allow", v6_rule)), 0);
}

/* ---- options ---- */

struct option {
	int domain, level, name;
	const void *value;
	socklen_t size;
	const char *text;
	int refused;
	enum attack_control control;
};

static int option_try(void *context)
{
	const struct option *option = context;
	int fd = socket(option->domain, SOCK_DGRAM, 0);

	return fd < 0 ? errno
	              : result_of(setsockopt(fd, option->level, option->name, option->value, option->size));
}

/* N21, N22, as far as a UDP socket has more of them than TCP's. */
static const struct option options[] = {
	{AF_INET, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3, "SO_BINDTODEVICE", EPERM, CONTROL_BOTH},
	{AF_INET, SOL_SOCKET, 62, &one, 4, "SO_BINDTOIFINDEX", EPERM, CONTROL_BOTH},
	{AF_INET, SOL_SOCKET, SO_MARK, &one, 4, "SO_MARK", EPERM, CONTROL_NETWORK},
	{AF_INET, IPPROTO_IP, IP_OPTIONS, record_route, 8, "IP_OPTIONS", EPERM, CONTROL_BOTH},
	{AF_INET, IPPROTO_IP, 50, &zero, 4, "IP_UNICAST_IF", EPERM, CONTROL_BOTH},
	{AF_INET6, IPPROTO_IPV6, IPV6_RTHDR, segments, sizeof(segments), "IPV6_RTHDR", EPERM, CONTROL_BOTH},
	{AF_INET6, IPPROTO_IPV6, 76, &zero, 4, "IPV6_UNICAST_IF", EPERM, CONTROL_BOTH},
	{AF_INET6, IPPROTO_IPV6, IPV6_PKTINFO, &interface6, sizeof(interface6), "IPV6_PKTINFO, sticky", EPERM,
         CONTROL_BOTH},
	{AF_INET, IPPROTO_UDP, 100, &(const int){2}, 4, "UDP_ENCAP", EPERM, CONTROL_BOTH},
	/* Ordinary ones stay. */
	{AF_INET, SOL_SOCKET, SO_BROADCAST, &one, 4, "SO_BROADCAST", 0, CONTROL_BOTH},
	{AF_INET, IPPROTO_IP, IP_PKTINFO, &one, 4, "IP_PKTINFO, to be told", 0, CONTROL_BOTH},
	{AF_INET6, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, 4, "IPV6_RECVPKTINFO", 0, CONTROL_BOTH},
	{AF_INET, IPPROTO_IP, IP_RECVERR, &one, 4, "IP_RECVERR", 0, CONTROL_BOTH},
	{AF_INET, IPPROTO_IP, IP_MTU_DISCOVER, &one, 4, "IP_MTU_DISCOVER", 0, CONTROL_BOTH},
	{AF_INET, IPPROTO_UDP, UDP_CORK, &one, 4, "UDP_CORK", 0, CONTROL_BOTH},
};

static void options_that_reroute_datagrams_are_refused(void **state)
{
	int wrong = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		struct option option = options[i];
		struct attack_row row = {option.text, option_try, &option, option.refused, option.control};

		wrong += rows_play(&row, 1, ONE_ADDRESS);
	}
	assert_int_equal(wrong, 0);
}

/* The same by who has the privilege, over a network of its own: bare they succeed. What cannot be had bare there either:
 * routing headers in a message, which no kernel takes that was built without Mobile IPv6, and what nobody knows. */

static int privileged_controls_play(const char *const policy[])
{
	int wrong = 0;

	for (size_t i = 0; i < 2 * sizeof(controls) / sizeof(controls[0]); i++) {
		struct control control = controls[i / 2];
		struct attack_row row = {control.name, control_try, &control, control.refused,
		                         control.control};

		control.many = i % 2;
		if (row.control == CONTROL_NETWORK)
			row.control = CONTROL_BOTH;
		wrong += rows_play(&row, 1, policy);
	}
	return wrong;
}

static int privileged_options_play(const char *const policy[])
{
	int wrong = 0;

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		struct option option = options[i];
		struct attack_row row = {option.text, option_try, &option, option.refused, option.control};

		if (row.control == CONTROL_NETWORK)
			row.control = CONTROL_BOTH;
		wrong += rows_play(&row, 1, policy);
	}
	return wrong;
}

/* The supervisor sends, and has the privilege too: a message that takes it and is not refused gets through, as bare. Before
 * Linux 6.14 there is no such message. */
static int privileged_twin_play(const char *const policy[])
{
	static const int above = 7;
	struct control priority = {AF_INET,       SOL_SOCKET, SO_PRIORITY,  &above,
	                           sizeof(above), "",         CONTROL_BOTH, false};
	int bare = attempt_bare(control_try, &priority);
	struct attack_row row = {"SO_PRIORITY above 6", control_try, &priority, bare, CONTROL_NONE};

	return (bare != 0 && bare != EINVAL) + rows_play(&row, 1, policy);
}

static int privileged_play(void)
{
	const char *const *policy;

	if (sinks_open() < 0)
		return 1;
	policy = POLICY("net-allow", rule_allowed, "net-allow", text_of("udp://[::1]:%u", port[ALLOWED]));
	return privilege_keep(policy) + privileged_twin_play(policy) + privileged_controls_play(policy) +
	       privileged_options_play(policy);
}

static void what_reroutes_is_refused_to_the_privileged_too(void **state)
{
	(void)state;
	PLAY_IN_OWN_NETWORK(privileged_play);
}

/* ---- sends that connect, and pages that are lent ---- */

static int listener;
static uint16_t listener_port;

struct fast_open {
	enum by by;
	long flags;
};

static int fast_open_try(void *context)
{
	const struct fast_open *how = context;
	struct sockaddr_storage address;
	socklen_t size = address_read("127.0.0.1", listener_port, &address);
	int fd = socket(AF_INET, SOCK_STREAM, 0), result = send_by(fd, how->by, &address, size, how->flags);

	close(fd);
	return result;
}

/* N11, now that sends are looked at. */
static void sends_cannot_connect(void **state)
{
	static struct fast_open how[] = {
		{BY_SENDTO, MSG_FASTOPEN},
		{BY_SENDMSG, MSG_FASTOPEN},
		{BY_SENDMMSG, MSG_FASTOPEN},
		{BY_SENDTO, MSG_FASTOPEN | 1L << 32 | MSG_NOSIGNAL},
		{BY_SENDMSG, MSG_FASTOPEN | 1L << 40 | MSG_NOSIGNAL},
		{BY_SENDMMSG, MSG_FASTOPEN | 1L << 33 | MSG_DONTROUTE},
	};
	int wrong = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(how) / sizeof(how[0]); i++) {
		struct attack_row row = {text_of("fast open, %s %lx", by_names[how[i].by], how[i].flags),
		                         fast_open_try, &how[i], EOPNOTSUPP, CONTROL_BOTH};

		wrong += rows_play(&row, 1, ONE_ADDRESS);
		accept_all(listener);
		wrong += !row_play_confined(&row, POLICY("net-allow", "udp://*"));
		wrong += !row_play_confined(&row, POLICY("net-allow", rule_allowed, "net-allow", "tcp://:9"));
		wrong += !row_play_confined(&row,
		                            POLICY("net-allow", "udp://*", "net-allow", "tcp://127.0.0.2"));
		assert_int_equal(accept_all(listener), 0);
		assert_int_equal(attempt_confined(POLICY("net-allow", "udp://*", "net-allow", "tcp://*"),
		                                  fast_open_try, &how[i]),
		                 0);
		assert_int_equal(accept_all(listener), 1);
	}
	assert_int_equal(wrong, 0);
}

/* Pages that are lent are the sender's: what comes is what was there at the send, or the loan is refused. */
static int lent_try(void *context)
{
	enum { SIZE = 60000, SO_ZEROCOPY_ = 60, MSG_ZEROCOPY_ = 0x4000000 };
	static uint8_t bytes[SIZE], back[SIZE];
	struct sockaddr_storage address;
	socklen_t size = loopback_at(ALLOWED, &address);
	int fd = socket(AF_INET, SOCK_DGRAM, 0), wrong = 0, *sent = context;

	setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY_, &one, sizeof(one));
	for (int i = 0; i < 50; i++) {
		struct iovec data = {bytes, SIZE};
		struct msghdr header = {
			.msg_name = &address, .msg_namelen = size, .msg_iov = &data, .msg_iovlen = 1};

		memset(bytes, i, SIZE);
		if (sendmsg(fd, &header, MSG_ZEROCOPY_) != SIZE)
			continue;
		(*sent)++;
		wrong += recv(sink[ALLOWED], back, SIZE, MSG_DONTWAIT) != SIZE ||
		         memcmp(back, bytes, SIZE) != 0;
	}
	sink_drain(ALLOWED, 50);
	return wrong;
}

static void lent_pages_are_the_senders_or_refused(void **state)
{
	int *sent = mmap(NULL, sizeof(*sent), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_int_equal(attempt_bare(lent_try, sent), 0);
	assert_true(*sent > 0);
	*sent = 0;
	assert_int_equal(attempt_confined(ONE_ADDRESS, lent_try, sent), 0);
	fprintf(stderr, "# %d of 50 lent confined\n", *sent);
	munmap(sent, sizeof(*sent));
}

/* ---- binding ---- */

struct binding {
	int type;
	uint16_t port;
};

static int bind_try(void *context)
{
	const struct binding *binding = context;
	struct sockaddr_storage address;
	socklen_t size = address_read("127.0.0.1", binding->port, &address);
	int fd = socket(AF_INET, binding->type, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	return fd < 0 ? errno : result_of(bind(fd, (struct sockaddr *)&address, size));
}

static int bind6_try(void *context)
{
	const struct binding *binding = context;
	struct sockaddr_storage address;
	socklen_t size = address_read("::1", binding->port, &address);
	int fd = socket(AF_INET6, binding->type, 0);

	return fd < 0 ? errno : result_of(bind(fd, (struct sockaddr *)&address, size));
}

/* AF_UNSPEC with no address is AF_INET to bind(2). */
static int bind_unspec_try(void *context)
{
	const struct binding *binding = context;
	struct sockaddr_in address = {.sin_family = AF_UNSPEC, .sin_port = htons(binding->port)};
	int fd = socket(AF_INET, binding->type, 0);

	return fd < 0 ? errno : result_of(bind(fd, (struct sockaddr *)&address, sizeof(address)));
}

static void ports_are_bound_by_grant_only(void **state)
{
	struct binding granted = {SOCK_DGRAM, port_free()}, foreign = {SOCK_DGRAM, port_free()};
	struct binding stream = {SOCK_STREAM, granted.port};
	const struct attack_row rows[] = {
		{"a UDP port", bind_try, &foreign, EACCES, CONTROL_BOTH},
		{"a UDP port, v6", bind6_try, &foreign, EACCES, CONTROL_BOTH},
		{"a UDP port, no family", bind_unspec_try, &foreign, EACCES, CONTROL_BOTH},
	};
	const char *udp = text_of("udp://%u", granted.port), *tcp = text_of("tcp://%u", granted.port);
	const char *both = text_of("%u", granted.port);

	(void)state;
	assert_int_equal(rows_play(ROWS(rows), ONE_ADDRESS), 0);
	assert_int_equal(rows_play(ROWS(rows), POLICY("net-allow", rule_allowed, "net-allow-bind", udp)), 0);
	assert_int_equal(rows_play(ROWS(rows), POLICY("net-allow", "udp://*", "net-allow-bind", both)), 0);
	assert_int_equal(attempt_confined(POLICY("net-allow", rule_allowed, "net-allow-bind", udp), bind_try,
	                                  &granted),
	                 0);
	assert_int_equal(attempt_confined(POLICY("net-allow", rule_allowed, "net-allow-bind", both), bind_try,
	                                  &granted),
	                 0);
	/* Each protocol has its own. */
	assert_int_equal(attempt_confined(POLICY("net-allow", rule_allowed, "net-allow-bind", tcp), bind_try,
	                                  &granted),
	                 EACCES);
	assert_int_equal(
		attempt_confined(POLICY("net-allow", rule_allowed, "net-allow-bind", udp), bind_try, &stream),
		EACCES);
	assert_int_equal(
		attempt_confined(POLICY("net-allow", rule_allowed, "net-allow-bind", tcp), bind_try, &stream),
		0);
	/* Deny wins. */
	assert_int_equal(attempt_confined(POLICY("net-allow", rule_allowed, "net-allow-bind", "*",
	                                         "net-deny-bind", udp),
	                                  bind_try, &granted),
	                 EACCES);
	assert_int_equal(attempt_confined(POLICY("net-allow", rule_allowed, "net-allow-bind", "*",
	                                         "net-deny-bind", udp),
	                                  bind_try, &foreign),
	                 0);
}

/* N35: what is bound in the caller's place takes the caller's privilege, no more and no less. */
static int low_port_try(void *context)
{
	struct binding low = {SOCK_DGRAM, 997};

	if (*(bool *)context && geteuid() == 0 && (setgid(1000) < 0 || setuid(1000) < 0))
		return errno;
	return bind_try(&low);
}

static void low_ports_take_the_callers_privilege(void **state)
{
	static bool keeps = false, drops = true;
	struct attack_row kept = {"a low port", low_port_try, &keeps, geteuid() == 0 ? 0 : EACCES,
	                          CONTROL_ROOT};
	struct attack_row dropped = {"a low port, as another", low_port_try, &drops, EACCES, CONTROL_NONE};
	int wrong = rows_play(&kept, 1, POLICY("net-allow", rule_allowed, "net-allow-bind", "udp://997"));

	(void)state;
	wrong += rows_play(&dropped, 1, POLICY("net-allow", rule_allowed, "net-allow-bind", "udp://997"));
	assert_int_equal(wrong, 0);
}

static int unbound_listen_try(void *context)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)context;
	return result_of(listen(fd, 1));
}

static void an_unbound_listen_is_no_way_round_the_grants(void **state)
{
	const struct attack_row row = {"listen without bind", unbound_listen_try, NULL, EACCES, CONTROL_BOTH};

	(void)state;
	assert_int_equal(rows_play(&row, 1, ONE_ADDRESS), 0);
	assert_int_equal(rows_play(&row, 1, POLICY("net-allow", rule_allowed, "net-allow-bind", "udp://*")),
	                 0);
}

/* ---- sockets from elsewhere ---- */

static int inherited_socket, passed_end;

/* Made before the walls went up; here it may be sent on, and each datagram is judged. */
static int inherited_try(void *context)
{
	struct sockaddr_storage allowed, forbidden;
	socklen_t size = loopback_at(ALLOWED, &allowed);
	enum by by = *(enum by *)context;

	loopback_at(FORBIDDEN, &forbidden);
	if (send_by(inherited_socket, by, &allowed, size, 0) != 0)
		return EPROTO;
	return send_by(inherited_socket, by, &forbidden, size, 0);
}

static int passed_receive(void)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	char byte;
	struct iovec data = {&byte, 1};
	struct msghdr header = {
		.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};

	if (recvmsg(passed_end, &header, 0) != 1 || CMSG_FIRSTHDR(&header) == NULL)
		return -1;
	return *(int *)CMSG_DATA(CMSG_FIRSTHDR(&header));
}

/* Sent by somebody outside while this runs. */
static int passed_try(void *context)
{
	int fd = passed_receive();

	if (fd < 0)
		return EPROTO;
	dup2(fd, inherited_socket);
	return inherited_try(context);
}

static void passed_send(int end, int fd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	struct iovec data = {"x", 1};
	struct msghdr header = {
		.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *message = CMSG_FIRSTHDR(&header);

	*message = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
	memcpy(CMSG_DATA(message), &fd, sizeof(fd));
	assert_int_equal(sendmsg(end, &header, 0), 1);
}

static void sockets_from_elsewhere_are_judged_where_there_is_a_rule(void **state)
{
	static enum by bys[] = {BY_SENDTO, BY_SENDMSG, BY_SENDMMSG};
	int ends[2], fresh;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	passed_end = ends[1];
	for (size_t i = 0; i < 3; i++) {
		struct attack_row inherited = {text_of("inherited, %s", by_names[i]), inherited_try, &bys[i],
		                               EACCES, CONTROL_BOTH};
		struct attack_row passed = {text_of("passed, %s", by_names[i]), passed_try, &bys[i], EACCES,
		                            CONTROL_BOTH};

		inherited_socket = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		assert_int_equal(rows_play(&inherited, 1, ONE_ADDRESS), 0);
		fresh = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		passed_send(ends[0], fresh); /* one for the control, one for the sandbox */
		passed_send(ends[0], fresh);
		assert_int_equal(rows_play(&passed, 1, ONE_ADDRESS), 0);
		/* README: what is open already keeps its rights, and nobody looks at sends that no rule is about. */
		assert_int_equal(
			attempt_confined(POLICY("net-allow", "tcp://127.0.0.1:9"), inherited_try, &bys[i]),
			0);
		close(fresh);
		close(inherited_socket);
		sink_drain(ALLOWED, 20);
		sink_drain(FORBIDDEN, 20);
	}
	close(ends[0]);
	close(ends[1]);
}

/* ---- credentials ---- */

struct claim {
	const char *name;
	pid_t (*pid)(void);
	unsigned uid, gid; /* added to one's own */
};

static pid_t pid_first(void)
{
	return 1;
}

/* 0: the receiver was told what was claimed. */
static int claim_try(void *context)
{
	const struct claim *claim = context;
	struct ucred said = {claim->pid(), getuid() + claim->uid, getgid() + claim->gid}, told;
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(said))] = {0};
	char byte = 'x';
	struct iovec data = {&byte, 1};
	struct msghdr header = {
		.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *message = CMSG_FIRSTHDR(&header);
	int ends[2];

	*message = (struct cmsghdr){CMSG_LEN(sizeof(said)), SOL_SOCKET, SCM_CREDENTIALS};
	memcpy(CMSG_DATA(message), &said, sizeof(said));
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0)
		return errno;
	setsockopt(ends[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof(one));
	if (sendmsg(ends[0], &header, 0) < 0)
		return errno;
	memset(control, 0, sizeof(control));
	if (recvmsg(ends[1], &header, 0) != 1 || (message = CMSG_FIRSTHDR(&header)) == NULL)
		return EPROTO;
	memcpy(&told, CMSG_DATA(message), sizeof(told));
	return memcmp(&told, &said, sizeof(told)) == 0 ? 0 : EBADMSG;
}

/* Who has become somebody else is that somebody to its peers, though it is the supervisor that sends. 0: so it is. */
static int unnamed_try(void *context)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct ucred))] = {0};
	char byte = 'x';
	struct iovec data = {&byte, 1};
	struct msghdr header = {.msg_iov = &data, .msg_iovlen = 1};
	struct cmsghdr *message;
	struct ucred told;
	int ends[2];

	if (socketpair(AF_UNIX, *(int *)context, 0, ends) < 0)
		return errno;
	setsockopt(ends[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof(one));
	if (geteuid() == 0 && (setgid(1000) < 0 || setuid(1000) < 0))
		return errno;
	if (sendmsg(ends[0], &header, 0) < 0)
		return errno;
	header.msg_control = control;
	header.msg_controllen = sizeof(control);
	if (recvmsg(ends[1], &header, 0) != 1 || (message = CMSG_FIRSTHDR(&header)) == NULL)
		return EPROTO;
	memcpy(&told, CMSG_DATA(message), sizeof(told));
	if (told.pid != getpid())
		fprintf(stderr, "# the sender is %d, and its peer was told %d\n", getpid(), told.pid);
	return told.uid == getuid() && told.gid == getgid() ? 0 : EBADMSG;
}

static void who_became_somebody_else_is_that_to_its_peers(void **state)
{
	static int types[] = {SOCK_STREAM, SOCK_SEQPACKET};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct attack_row row = {text_of("unix, type %d", types[i]), unnamed_try, &types[i], 0,
		                         CONTROL_BOTH};

		assert_int_equal(rows_play(&row, 1, ONE_ADDRESS), 0);
	}
}

/* Sends are the supervisor's then, and so would their names be. The kernel lets only a privileged one say another's. */
static void nobody_speaks_for_another(void **state)
{
	static struct claim claims[] = {
		{"as oneself", getpid, 0, 0},
		{"as one's parent", getppid, 0, 0},
		{"as the first process", pid_first, 0, 0},
		{"as another user", getpid, 7, 0},
		{"as another group", getpid, 0, 7},
	};
	int wrong = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(claims) / sizeof(claims[0]); i++) {
		struct attack_row row = {claims[i].name, claim_try, &claims[i],
		                         i == 0 && geteuid() == 0 ? 0 : EPERM,
		                         i == 0 ? CONTROL_BOTH : CONTROL_ROOT};

		wrong += rows_play(&row, 1, ONE_ADDRESS);
	}
	assert_int_equal(wrong, 0);
}

/* ---- ping ---- */

struct ping {
	int domain;
	const char *address;
	enum by by;
	bool unspec;
};

/* 0: an answer came. */
static int ping_try(void *context)
{
	const struct ping *ping = context;
	uint8_t echo[16] = {ping->domain == AF_INET ? 8 : 128}, answer[64];
	struct sockaddr_storage address;
	socklen_t size = address_read(ping->address, 0, &address);
	int fd = socket(ping->domain, SOCK_DGRAM, ping->domain == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6);
	struct iovec data = {echo, sizeof(echo)};
	struct mmsghdr message = {.msg_hdr = {&address, size, &data, 1, NULL, 0, 0}};
	struct pollfd ready = {fd, POLLIN, 0};
	int result;

	if (fd < 0)
		return errno;
	if (ping->unspec)
		address.ss_family = AF_UNSPEC;
	if (ping->by == BY_SENDTO)
		result = result_of(sendto(fd, echo, sizeof(echo), 0, (struct sockaddr *)&address, size));
	else if (ping->by == BY_SENDMSG)
		result = result_of(sendmsg(fd, &message.msg_hdr, 0));
	else if (ping->by == BY_SENDMMSG)
		result = result_of(sendmmsg(fd, &message, 1, 0));
	else if ((result = result_of(connect(fd, (struct sockaddr *)&address, size))) == 0)
		result = result_of(send(fd, echo, sizeof(echo), 0));
	if (result == 0 && (poll(&ready, 1, 1000) != 1 || recv(fd, answer, sizeof(answer), 0) < 8))
		return ETIMEDOUT;
	close(fd);
	return result;
}

static int pings_play(void)
{
	static struct ping allowed = {AF_INET, "127.0.0.1", 0, false},
			   unspecified = {AF_INET, "0.0.0.0", 0, false};
	static struct ping forbidden = {AF_INET, "127.0.0.2", 0, false}, over6 = {AF_INET6, "::1", 0, false};
	static struct ping no_family = {AF_INET, "127.0.0.2", 0, true};
	int wrong = 0;

	for (enum by by = 0; by < BYS; by++) {
		struct ping *all[] = {&allowed, &unspecified, &forbidden, &over6, &no_family};
		int refused[] = {0, 0, EACCES, EACCES, EAFNOSUPPORT /* as bare */};

		for (size_t i = 0; i < (by == BY_CONNECT ? 4 : 5); i++) {
			struct attack_row row = {text_of("ping %s by %s", all[i]->address, by_names[by]),
			                         ping_try, all[i], refused[i],
			                         i == 4 ? CONTROL_NONE : CONTROL_BOTH};

			all[i]->by = by;
			wrong += rows_play(&row, 1, POLICY("net-allow", "icmp://127.0.0.1"));
		}
	}
	return wrong;
}

/* In a network of its own, where this user may ping: net.ipv4.ping_group_range. */
static void pings_are_judged_by_their_address(void **state)
{
	(void)state;
	PLAY_IN_OWN_NETWORK(pings_play);
}

/* ---- extremes ---- */

enum { RESULTS_MAX = 512 };
struct results {
	int count;
	long value[RESULTS_MAX];
};
static struct results *results; /* MAP_SHARED */

static void result_add(long value)
{
	if (results->count < RESULTS_MAX)
		results->value[results->count++] = value < 0 ? -errno : value;
}

static void many_add(int fd, struct mmsghdr *messages, unsigned long count)
{
	result_add(syscall(SYS_sendmmsg, fd, messages, count, 0));
	result_add(sink_drain(ALLOWED, 20));
}

/* N27 */
static void counts_run(int fd)
{
	static const unsigned long counts[] = {0,         1,    20,   1UL << 32,      UINT32_MAX,
	                                       INT32_MAX, 1024, 1025, (1UL << 32) + 2};
	enum { MESSAGES = 1030 };
	static struct mmsghdr messages[MESSAGES];
	struct iovec data = {"x", 1};

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		unsigned count = (unsigned)counts[i];

		for (int m = 0; m < MESSAGES; m++)
			messages[m] = (struct mmsghdr){.msg_hdr = {.msg_iov = &data, .msg_iovlen = 1}};
		/* So many would overflow the sink: the last of few is faulty. */
		if (count > 40)
			messages[30].msg_hdr.msg_iov = NULL;
		many_add(fd, messages, counts[i]);
	}
	result_add(syscall(SYS_sendmmsg, fd, NULL, 1, 0));
	result_add(syscall(SYS_sendmmsg, fd, NULL, 0, 0));
	result_add(syscall(SYS_sendmmsg, fd, messages, 2, 0x80000000L));
}

static void header_add(int fd, struct iovec *vectors, size_t count)
{
	struct msghdr header = {.msg_iov = vectors, .msg_iovlen = count};

	result_add(syscall(SYS_sendmsg, fd, &header, 0));
	result_add(sink_drain(ALLOWED, 5));
}

static void vectors_run(int fd)
{
	static const size_t sizes[] = {0,         1,         65507,    65508,     1UL << 31,
	                               1UL << 32, 1UL << 62, SIZE_MAX, 0x7ffff000};
	static struct iovec vectors[1030];
	static char bytes[70000];

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		vectors[0] = (struct iovec){bytes, sizes[i]};
		header_add(fd, vectors, 1);
		vectors[0] = (struct iovec){bytes, 10};
		vectors[1] = (struct iovec){bytes, sizes[i]};
		header_add(fd, vectors, 2);
	}
	for (int i = 0; i < 1030; i++)
		vectors[i] = (struct iovec){bytes + i, (size_t)i % 61};
	header_add(fd, vectors, 1024);
	header_add(fd, vectors, 1025);
	header_add(fd, vectors, SIZE_MAX);
	header_add(fd, vectors, 0);
	header_add(fd, NULL, 1);
	vectors[1023] = (struct iovec){NULL, 1};
	header_add(fd, vectors, 1024);
}

/* N26 */
static void names_run(int fd)
{
	static const int sizes[] = {0,  1,   2,   7,   8,    15,        16, 17,
	                            28, 127, 128, 129, 4096, INT32_MAX, -1, INT32_MIN};
	struct sockaddr_storage address;

	loopback_at(ALLOWED, &address);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct iovec data = {"x", 1};
		struct msghdr header = {.msg_name = &address,
		                        .msg_namelen = (socklen_t)sizes[i],
		                        .msg_iov = &data,
		                        .msg_iovlen = 1};

		result_add(syscall(SYS_sendto, fd, "x", 1, 0, &address, sizes[i]));
		result_add(syscall(SYS_sendmsg, fd, &header, 0));
		result_add(sink_drain(ALLOWED, 5));
	}
	result_add(syscall(SYS_sendto, fd, NULL, 1, 0, &address, 16));
	result_add(syscall(SYS_sendto, fd, NULL, 0, 0, &address, 16));
	result_add(syscall(SYS_sendto, fd, "x", 1UL << 32, 0, &address, 16));
	result_add(syscall(SYS_sendto, fd, "x", SIZE_MAX, 0, &address, 16));
	result_add(syscall(SYS_sendto, fd, "x", 1, 0, -4096L, 16));
	result_add(syscall(SYS_sendmsg, fd, NULL, 0));
	result_add(syscall(SYS_sendmsg, fd, -8L, 0));
	result_add(syscall(SYS_sendto, -1L, "x", 1, 0, &address, 16));
	result_add(syscall(SYS_sendto, 1L << 32 | 9999, "x", 1, 0, &address, 16));
	result_add(sink_drain(ALLOWED, 5));
}

static int extremes_run(void *context)
{
	struct sockaddr_storage address;
	socklen_t size = loopback_at(ALLOWED, &address);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	(void)context;
	sink_drain(ALLOWED, 50);
	names_run(fd);
	if (connect(fd, (struct sockaddr *)&address, size) < 0)
		return errno;
	counts_run(fd);
	vectors_run(fd);
	names_run(fd);
	return 0;
}

static void extreme_sends_give_the_kernels_results(void **state)
{
	static struct results bare;
	int wrong = 0;

	(void)state;
	memset(results, 0, sizeof(*results));
	assert_int_equal(attempt_bare(extremes_run, NULL), 0);
	bare = *results;
	memset(results, 0, sizeof(*results));
	assert_int_equal(attempt_confined(ONE_ADDRESS, extremes_run, NULL), 0);
	assert_true(bare.count > 100 && bare.count < RESULTS_MAX);
	assert_int_equal(results->count, bare.count);
	for (int i = 0; i < bare.count; i++) {
		if (bare.value[i] == results->value[i])
			continue;
		fprintf(stderr, "# result %d: %ld bare, %ld confined\n", i, bare.value[i], results->value[i]);
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

/* ---- the supervisor ---- */

struct tree {
	pid_t root, supervisor;
	int go, came;
};

/* Confined; for each byte it is given, it runs the attempt in a child, and says how that went. */
static void tree_serve(int go, int came, const char *const policy[], attempt_fn attempt, void *context)
{
	sl_policy *walls = policy_of(policy);
	sl_error error;
	char byte = sl_confine_self(walls, &error) < 0 ? 'n' : 'y';

	while (write(came, &byte, 1) == 1 && byte == 'y' && read(go, &byte, 1) == 1) {
		pid_t child = fork();

		if (child == 0)
			_exit(attempt(context));
		byte = exit_of(child) == 0 ? 'y' : 'n';
	}
	_exit(0);
}

static char tree_says(const struct tree *tree)
{
	char byte = 0;

	if (read(tree->came, &byte, 1) != 1)
		return 0;
	return byte;
}

static void tree_start(struct tree *tree, const char *const policy[], attempt_fn attempt, void *context)
{
	int go[2], came[2];

	assert_int_equal(pipe2(go, O_CLOEXEC) | pipe2(came, O_CLOEXEC), 0);
	if ((tree->root = process_fork()) == 0) {
		close(go[1]);
		close(came[0]);
		tree_serve(go[0], came[1], policy, attempt, context);
	}
	close(go[0]);
	close(came[1]);
	tree->go = go[1];
	tree->came = came[0];
	assert_int_equal(tree_says(tree), 'y');
	tree->supervisor = supervisor_of(tree->root);
	assert_true(tree->supervisor > 0);
}

static void tree_run(struct tree *tree)
{
	assert_int_equal(write(tree->go, "g", 1), 1);
	assert_int_equal(tree_says(tree), 'y');
}

static void tree_end(struct tree *tree)
{
	close(tree->go);
	close(tree->came);
	exit_of(tree->root);
}

static int large_run(void *context)
{
	static char bytes[65507];
	struct iovec data = {bytes, sizeof(bytes)}, huge = {bytes, 1UL << 32};
	struct sockaddr_storage address;
	socklen_t size = loopback_at(ALLOWED, &address);
	struct msghdr header = {.msg_name = &address, .msg_namelen = size, .msg_iov = &data, .msg_iovlen = 1};
	int fd = socket(AF_INET, SOCK_DGRAM, 0), ends[2];

	for (int i = 0; i < *(int *)context; i++) {
		if (sendmsg(fd, &header, 0) != sizeof(bytes))
			return 1;
		header.msg_iov = &huge;
		if (sendmsg(fd, &header, 0) != -1 || errno != EMSGSIZE)
			return 2;
		header.msg_iov = &data;
		sink_drain(ALLOWED, 0);
	}
	/* As large as a stream takes at once. */
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) < 0)
		return 3;
	data = (struct iovec){
		mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 64 << 20};
	header = (struct msghdr){.msg_iov = &data, .msg_iovlen = 1};
	for (int i = 0; i < 20; i++)
		if (sendmsg(ends[0], &header, MSG_NOSIGNAL) < 0 && errno != EAGAIN)
			return 4;
	return extremes_run(NULL);
}

/* N27, R08 */
static void large_sends_do_not_make_the_supervisor_grow(void **state)
{
	static int rounds = 2000;
	struct tree tree;
	int descriptors;
	long kib;

	(void)state;
	tree_start(&tree, ONE_ADDRESS, large_run, &rounds);
	tree_run(&tree);
	memset(results, 0, sizeof(*results));
	kib = private_kib(tree.supervisor);
	descriptors = open_descriptors(tree.supervisor);
	tree_run(&tree);
	fprintf(stderr, "# private memory: %ld KiB, then %ld; descriptors: %d, then %d\n", kib,
	        private_kib(tree.supervisor), descriptors, open_descriptors(tree.supervisor));
	if (kib >= 0) {
		assert_true(kib < 4096);
		assert_true(private_kib(tree.supervisor) - kib < 64);
		/* It keeps a pidfd of each process that it has met, up to its limit. */
		assert_in_range(open_descriptors(tree.supervisor), descriptors, descriptors + 2);
	}
	tree_end(&tree);
	sink_drain(ALLOWED, 20);
	if (kib < 0)
		SKIP_BECAUSE("served; but the supervisor is undumpable, and its memory is for root to see");
}

enum { THREADS = 64 };

static void *blocked_thread(void *argument)
{
	static char bytes[1 << 20];
	struct iovec data = {bytes, sizeof(bytes)};
	struct msghdr header = {.msg_iov = &data, .msg_iovlen = 1};
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0)
		return NULL;
	sendmsg(ends[0], &header, MSG_NOSIGNAL);
	return argument; /* never: nobody reads */
}

/* While they all wait, another one is served; then they are killed. */
static int blocked_run(void *context)
{
	struct sockaddr_storage address;
	socklen_t size = loopback_at(ALLOWED, &address);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	pthread_t thread;
	pid_t child = fork();

	(void)context;
	if (child == 0) {
		for (int i = 0; i < THREADS; i++)
			pthread_create(&thread, NULL, blocked_thread, NULL);
		pause();
	}
	usleep(300000);
	for (int i = 0; i < 100; i++)
		if (send_by(fd, BY_SENDTO, &address, size, 0) != 0)
			return 1;
	process_kill(child, SIGKILL);
	return exit_of(child) == 128 + SIGKILL && sink_drain(ALLOWED, 200) == 100 ? 0 : 2;
}

static bool descriptors_become(pid_t process, int most)
{
	double end = seconds_now() + 10;

	while (open_descriptors(process) > most && seconds_now() < end)
		usleep(20000);
	return open_descriptors(process) <= most;
}

/* S13 */
static void senders_that_are_killed_while_they_wait_leave_nothing(void **state)
{
	struct tree tree;
	int before;

	(void)state;
	tree_start(&tree, ONE_ADDRESS, blocked_run, NULL);
	before = open_descriptors(tree.supervisor);
	tree_run(&tree);
	/* A pidfd of each thread that it has met is kept, and no socket. */
	assert_true(before < 0 || descriptors_become(tree.supervisor, before + THREADS + 4));
	tree_run(&tree);
	assert_true(before < 0 || descriptors_become(tree.supervisor, before + 2 * THREADS + 8));
	tree_end(&tree);
}

static double storm_seconds;

static void *refused_thread(void *argument)
{
	struct sockaddr_storage address;
	socklen_t size = loopback_at(FORBIDDEN, &address);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	double end = seconds_now() + storm_seconds;
	long count = 0;

	for (enum by by = 0; seconds_now() < end; by = (by + 1) % BY_CONNECT, count++)
		if (send_by(fd, by, &address, size, 0) != EACCES)
			return NULL;
	*(long *)argument = count;
	return NULL;
}

static int refused_run(void *context)
{
	pthread_t threads[THREADS];
	long counts[THREADS] = {0}, *total = context;

	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, refused_thread, &counts[i]) != 0)
			return 1;
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		if (counts[i] == 0)
			return 2;
		*total += counts[i];
	}
	return 0;
}

static int pings_run(void *context)
{
	struct sockaddr_storage address;
	socklen_t size = loopback_at(ALLOWED, &address);
	int fd = socket(AF_INET, SOCK_DGRAM, 0), count = 0;
	double end = seconds_now() + storm_seconds - 0.3, *worst = context;

	while (seconds_now() < end) {
		double start = seconds_now();

		if (send_by(fd, BY_SENDTO, &address, size, 0) != 0 || sink_drain(ALLOWED, 1000) != 1)
			return 1;
		count++;
		*worst = seconds_now() - start > *worst ? seconds_now() - start : *worst;
		usleep(2000);
	}
	return count < 20;
}

/* R01 */
static void a_storm_of_refused_sends_does_not_starve_another_sandbox(void **state)
{
	struct shared {
		long total;
		double worst;
	} *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct tree storm;
	int before;

	(void)state;
	storm_seconds = long_run() ? 30 : 2;
	tree_start(&storm, ONE_ADDRESS, refused_run, &shared->total);
	before = open_descriptors(storm.supervisor);
	assert_int_equal(write(storm.go, "g", 1), 1);
	assert_int_equal(attempt_confined(ONE_ADDRESS, pings_run, &shared->worst), 0);
	assert_int_equal(tree_says(&storm), 'y');
	fprintf(stderr, "# %ld refused sends of %d threads; the other sandbox waited %.1f ms at worst\n",
	        shared->total, THREADS, shared->worst * 1000);
	assert_true(shared->total > THREADS);
	assert_int_equal(sink_drain(FORBIDDEN, 20), 0);
	assert_true(open_descriptors(storm.supervisor) <= before + THREADS + 2);
	tree_end(&storm);
	munmap(shared, sizeof(*shared));
}

static int group_open(void **state)
{
	(void)state;
	if (sinks_open() < 0)
		return -1;
	listener = tcp_listener(AF_INET, &listener_port);
	results = mmap(NULL, sizeof(*results), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return results == MAP_FAILED ? -1 : 0;
}

/* The error of an earlier datagram waits for the next call, and is told once: sendmmsg(2) must not swallow it. */
static int waiting_error_try(void *context)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct iovec part = {(char[]){"x"}, 1};
	struct mmsghdr messages[2] = {{.msg_hdr = {.msg_iov = &part, .msg_iovlen = 1}}};
	struct pollfd failed = {.fd = socket(AF_INET, SOCK_DGRAM, 0)};

	messages[1] = messages[0];
	address.sin_port = htons(*(const uint16_t *)context);
	if (connect(failed.fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    send(failed.fd, "x", 1, 0) != 1 || poll(&failed, 1, 2000) != 1)
		return -1;
	return sendmmsg(failed.fd, messages, 2, 0) < 0 ? errno : 0;
}

static void a_waiting_error_is_told_by_sendmmsg(void **state)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint16_t nobody;
	char rule[40];

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	close(fd);
	nobody = ntohs(address.sin_port);
	snprintf(rule, sizeof(rule), "udp://127.0.0.1:%u", nobody);
	assert_int_equal(attempt_bare(waiting_error_try, &nobody), ECONNREFUSED);
	assert_int_equal(attempt_confined(POLICY("net-allow", rule), waiting_error_try, &nobody),
	                 ECONNREFUSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_spelling_of_an_address_is_judged_as_what_it_means),
		cmocka_unit_test(a_name_for_TCP_lets_no_datagram_out),
		cmocka_unit_test(a_denied_address_is_denied_in_every_spelling),
		cmocka_unit_test(addresses_of_others_are_refused),
		cmocka_unit_test(a_denied_address_cannot_be_reached_through_a_translator),
		cmocka_unit_test(link_local_addresses_need_their_interface),
		cmocka_unit_test(a_connected_socket_is_judged_by_each_address),
		cmocka_unit_test(control_messages_that_reroute_are_refused),
		cmocka_unit_test(options_that_reroute_datagrams_are_refused),
		cmocka_unit_test(what_reroutes_is_refused_to_the_privileged_too),
		cmocka_unit_test(sends_cannot_connect),
		cmocka_unit_test(a_waiting_error_is_told_by_sendmmsg),
		cmocka_unit_test(lent_pages_are_the_senders_or_refused),
		cmocka_unit_test(ports_are_bound_by_grant_only),
		cmocka_unit_test(low_ports_take_the_callers_privilege),
		cmocka_unit_test(an_unbound_listen_is_no_way_round_the_grants),
		cmocka_unit_test(sockets_from_elsewhere_are_judged_where_there_is_a_rule),
		cmocka_unit_test(nobody_speaks_for_another),
		cmocka_unit_test(who_became_somebody_else_is_that_to_its_peers),
		cmocka_unit_test(pings_are_judged_by_their_address),
		cmocka_unit_test(extreme_sends_give_the_kernels_results),
		cmocka_unit_test(large_sends_do_not_make_the_supervisor_grow),
		cmocka_unit_test(senders_that_are_killed_while_they_wait_leave_nothing),
		cmocka_unit_test(a_storm_of_refused_sends_does_not_starve_another_sandbox),
	};

	return cmocka_run_group_tests_name("datagram", tests, group_open, NULL);
}
