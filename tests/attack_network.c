/* Ways out that are not connect(2) to the address as it is usually written: other spellings, other families,
 * sends that connect, options that re-route, descendants, and connect(2) itself with odd arguments, which
 * must fail as it does bare. security.md, 2.6 to 2.8, 3.3 and 3.4.
 *
 *     listeners    [::]:A and [::]:B, both families: every spelling of loopback reaches them bare
 *     rule         127.0.0.1:A, and nothing else
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h> /* before what Linux has of the same */

#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/kernel.h"
#include "tests/attack_privilege.h"

#define HIGH (1ULL << 32)

static uint16_t port_allowed, port_forbidden;
static int listener_allowed, listener_forbidden;
static char rule_allowed[64], self_path[512];

#define ONE_ADDRESS POLICY("net-allow", rule_allowed)
#define ONE_PORT    POLICY("net-allow", text_of("tcp://:%u", port_allowed))

/* Both families, as tcp_listener() does not. */
static int listener_open(uint16_t *port)
{
	struct sockaddr_in6 address = {.sin6_family = AF_INET6};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){0}, sizeof(int));
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, 256) < 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &size) < 0)
		return -1;
	*port = ntohs(address.sin6_port);
	return fd;
}

/* Once more in another network: these are other listeners. */
static int listeners_open(void)
{
	listener_allowed = listener_open(&port_allowed);
	listener_forbidden = listener_open(&port_forbidden);
	snprintf(rule_allowed, sizeof(rule_allowed), "tcp://127.0.0.1:%u", port_allowed);
	return listener_allowed < 0 || listener_forbidden < 0 ? -1 : 0;
}

/* Spellings. */

struct spelling {
	const char *address;
	bool to_allowed_port;
	int refused;
};

static uint16_t spelling_port(const struct spelling *spelling)
{
	return spelling->to_allowed_port ? port_allowed : port_forbidden;
}

static int spelling_try(void *context)
{
	const struct spelling *spelling = context;
	struct sockaddr_storage address;
	socklen_t size = address_read(spelling->address, spelling_port(spelling), &address);

	return address_try((struct sockaddr *)&address, size);
}

static int spellings_play(const struct spelling *spellings, size_t count, const char *const policy[])
{
	int wrong = 0;

	for (size_t i = 0; i < count; i++) {
		struct spelling spelling = spellings[i];
		struct attack_row row = {text_of("%s, %s port", spelling.address,
		                                 spelling.to_allowed_port ? "allowed" : "forbidden"),
		                         spelling_try, &spelling, spelling.refused, CONTROL_BOTH};

		wrong += rows_play(&row, 1, policy);
		accept_all(listener_allowed);
		accept_all(listener_forbidden);
	}
	return wrong;
}

/* N01, N02, N03, N04: an embedded address is compared as what the kernel makes of it. */
static void every_spelling_of_an_address_is_judged_as_what_it_means(void **state)
{
	static const struct spelling spellings[] = {
		{"127.0.0.1", false, EACCES},
		{"127.0.0.2", false, EACCES},
		{"0.0.0.0", false, EACCES},
		{"::", false, EACCES},
		{"::1", false, EACCES},
		{"::ffff:127.0.0.1", false, EACCES},
		{"::ffff:0.0.0.0", false, EACCES},
		/* The port alone does not make it allowed. */
		{"127.0.0.2", true, EACCES},
		{"127.255.255.254", true, EACCES},
		{"::1", true, EACCES},
		{"::", true, EACCES},
		{"::ffff:127.0.0.2", true, EACCES},
		/* These mean 127.0.0.1. */
		{"127.0.0.1", true, 0},
		{"0.0.0.0", true, 0},
		{"::ffff:127.0.0.1", true, 0},
		{"::ffff:0.0.0.0", true, 0},
	};

	(void)state;
	assert_int_equal(spellings_play(ROWS(spellings), ONE_ADDRESS), 0);
	/* By port alone Landlock decides, and every address is the same to it. */
	assert_int_equal(attempt_confined(ONE_PORT, spelling_try, &(struct spelling){"127.0.0.1", false, 0}),
	                 EACCES);
	assert_int_equal(attempt_confined(ONE_PORT, spelling_try, &(struct spelling){"::", false, 0}),
	                 EACCES);
	assert_int_equal(attempt_confined(ONE_PORT, spelling_try, &(struct spelling){"::1", true, 0}), 0);
	assert_int_equal(attempt_confined(POLICY(), spelling_try, &(struct spelling){"127.0.0.1", true, 0}),
	                 EACCES);
}

static int outside_try(void *context)
{
	struct sockaddr_storage address;
	socklen_t size = address_read(context, port_allowed, &address);

	return address_try((struct sockaddr *)&address, size);
}

/* Bare it is reached, or never can be; refused by the rule for another address; and by a rule of its own it goes as bare. */
static int foreign_play(char *address, bool reachable)
{
	const char *own =
		text_of(strchr(address, ':') ? "tcp://[%s]:%u" : "tcp://%s:%u", address, port_allowed);
	const char *const *any = POLICY("net-allow", "tcp://0.0.0.0/0", "net-allow", "tcp://[::/0]");
	int bare = attempt_bare(outside_try, address), wrong = (bare == 0) != reachable;
	struct attack_row refused = {address, outside_try, address, EACCES, CONTROL_NONE};
	struct attack_row granted = {address, outside_try, address, bare, CONTROL_NONE};

	if (wrong)
		fprintf(stderr, "# %s: the control failed: bare it gave %s\n", address, result_name(bare));
	wrong += !row_play_confined(&refused, ONE_ADDRESS);
	wrong += !row_play_confined(&granted, reachable ? POLICY("net-allow", own) : any);
	accept_all(listener_allowed);
	return wrong;
}

static int foreigners_play(void)
{
	static char reachable[][32] = {
		"169.254.169.254", "fd00:ec2::254",  "64:ff9b::7f00:2", "2002:7f00:2::",
		"::127.0.0.1",     "8.8.8.8",        "::ffff:10.0.0.1", "192.0.2.1",
		"64:ff9b::7f00:1", "2002:7f00:1::1", "240.0.0.1",       "fe80::1%1",
	};
	/* TCP has no groups and no broadcast, and without its interface a link-local address is none. */
	static char never[][32] = {
		"224.0.0.1", "255.255.255.255", "::ffff:224.0.0.1", "ff02::1", "fe80::1",
	};
	int wrong = 0;

	if (!network_is_everywhere() || listeners_open() < 0)
		return 1;
	for (size_t i = 0; i < sizeof(reachable) / sizeof(reachable[0]); i++)
		wrong += foreign_play(reachable[i], true);
	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		wrong += foreign_play(never[i], false);
	return wrong;
}

/* N04, N29, N30. In a network where all of them are this machine: elsewhere some would leave it, others have no route. */
static void addresses_of_others_are_refused(void **state)
{
	(void)state;
	PLAY_IN_OWN_NETWORK(foreigners_play);
}

/* Over another interface the address is another one: bare there is somebody at both, as every address is this machine. The
 * interface by its number: a confined process cannot ask for names. */
static int links_play(void)
{
	char address[INET6_ADDRSTRLEN], here[128], elsewhere[128];
	struct spelling over[] = {{here, true, EACCES}, {elsewhere, true, EACCES}};
	unsigned interface = 0;
	int wrong = 0;

	if (!network_second_link(address, sizeof(address), &interface))
		return NETWORK_NOT_OWN;
	if (!network_is_everywhere() || listeners_open() < 0)
		return 1;
	snprintf(here, sizeof(here), "%s%%%u", address, interface);
	snprintf(elsewhere, sizeof(elsewhere), "%s%%%u", address, if_nametoindex("lo"));
	wrong += spellings_play(ROWS(over), ONE_ADDRESS);
	for (int i = 0; i < 2; i++) {
		const char *rule = text_of("tcp://[%s]:%u", over[i].address, port_allowed);

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

/* N07 */

static int connect_to(int fd, uint16_t port)
{
	struct sockaddr_storage address;
	socklen_t size = address_read("127.0.0.1", port, &address);

	return connect(fd, (struct sockaddr *)&address, size) < 0 ? errno : 0;
}

static int dissolve_and_go_elsewhere(void *context)
{
	socklen_t size = *(socklen_t *)context;
	int fd = socket(AF_INET, SOCK_STREAM, 0), result;

	if (connect_to(fd, port_allowed) != 0 || disconnect_try(fd, size) != 0)
		return EPROTO;
	result = connect_to(fd, port_forbidden);
	if (result != 0 && connect_to(fd, port_allowed) != 0)
		return EPROTO;
	return result;
}

static void a_dissolved_connection_is_judged_again(void **state)
{
	static socklen_t sizes[] = {2, 16, 28, 128};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct attack_row row = {text_of("AF_UNSPEC of %u bytes", sizes[i]),
		                         dissolve_and_go_elsewhere, &sizes[i], EACCES, CONTROL_BOTH};

		assert_int_equal(rows_play(&row, 1, ONE_ADDRESS), 0);
		assert_int_equal(rows_play(&row, 1, ONE_PORT), 0);
	}
	accept_all(listener_allowed);
	accept_all(listener_forbidden);
}

/* N11: sends that connect. */

struct fast_open {
	uint16_t *port;
	unsigned long flags;
	enum { BY_SENDTO, BY_SENDMSG, BY_SENDMMSG } by;
};

static int fast_open_try(void *context)
{
	const struct fast_open *how = context;
	struct sockaddr_storage address;
	socklen_t size = address_read("127.0.0.1", *how->port, &address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char byte = 'x';
	struct iovec data = {&byte, 1};
	struct mmsghdr message = {
		.msg_hdr = {.msg_name = &address, .msg_namelen = size, .msg_iov = &data, .msg_iovlen = 1}};

	if (how->by == BY_SENDTO)
		return result_of(syscall(SYS_sendto, fd, &byte, 1, how->flags, &address, size));
	if (how->by == BY_SENDMSG)
		return result_of(syscall(SYS_sendmsg, fd, &message.msg_hdr, how->flags));
	return result_of(syscall(SYS_sendmmsg, fd, &message, 1, how->flags));
}

static void sends_cannot_connect(void **state)
{
	static struct fast_open how[] = {
		{&port_forbidden, MSG_FASTOPEN, BY_SENDTO},
		{&port_forbidden, MSG_FASTOPEN, BY_SENDMSG},
		{&port_forbidden, MSG_FASTOPEN, BY_SENDMMSG},
		{&port_forbidden, MSG_FASTOPEN | HIGH, BY_SENDTO},
		{&port_forbidden, MSG_FASTOPEN | MSG_NOSIGNAL | HIGH << 7, BY_SENDMSG},
		{&port_forbidden, MSG_FASTOPEN | MSG_DONTROUTE | HIGH, BY_SENDMMSG},
		/* Not even to where connect(2) may go: the callers fall back to that. */
		{&port_allowed, MSG_FASTOPEN, BY_SENDTO},
	};
	int wrong = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(how) / sizeof(how[0]); i++) {
		struct attack_row row = {text_of("fast open %zu", i), fast_open_try, &how[i], EOPNOTSUPP,
		                         CONTROL_BOTH};

		wrong += rows_play(&row, 1, ONE_ADDRESS);
		accept_all(listener_forbidden);
		wrong += !row_play_confined(&row, ONE_PORT);
		wrong += !row_play_confined(&row, POLICY());
		assert_int_equal(accept_all(listener_forbidden), 0);
		assert_int_equal(attempt_confined(POLICY("net-allow", "tcp://*"), fast_open_try, &how[i]), 0);
		assert_int_equal(accept_all(listener_forbidden), how[i].port == &port_forbidden);
	}
	assert_int_equal(wrong, 0);
	accept_all(listener_allowed);
	accept_all(listener_forbidden);
}

/* N12: connect(2) says yes at once, and the first send connects. Without a cookie to wait for, so that this
 * kernel really puts it off. */
static int deferred_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	if (setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, 34 /* TCP_FASTOPEN_NO_COOKIE */, &one, sizeof(one)) < 0)
		return -1;
	return fd;
}

static int deferred_to_forbidden(void *context)
{
	int fd = deferred_socket(), result = connect_to(fd, port_forbidden);

	(void)context;
	return result != 0 ? result : result_of(send(fd, "x", 1, MSG_NOSIGNAL));
}

/* Allowed at connect, and another address in the send that carries it out. */
static int deferred_then_renamed(void *context)
{
	struct sockaddr_storage address;
	socklen_t size = address_read("127.0.0.1", port_forbidden, &address);
	int fd = deferred_socket();

	(void)context;
	if (connect_to(fd, port_allowed) != 0)
		return EPROTO;
	sendto(fd, "x", 1, MSG_NOSIGNAL, (struct sockaddr *)&address, size);
	disconnect_try(fd, 16);
	sendto(fd, "x", 1, MSG_NOSIGNAL, (struct sockaddr *)&address, size);
	return 0;
}

static void a_deferred_connection_goes_where_it_was_judged(void **state)
{
	static const struct attack_row row = {"TCP_FASTOPEN_CONNECT", deferred_to_forbidden, NULL, EACCES,
	                                      CONTROL_BOTH};

	(void)state;
	assert_int_equal(rows_play(&row, 1, ONE_ADDRESS), 0);
	assert_int_equal(accept_all(listener_forbidden), 1); /* the control's */
	assert_int_equal(rows_play(&row, 1, ONE_PORT), 0);
	assert_int_equal(accept_all(listener_forbidden), 1);
	accept_all(listener_allowed);
	assert_int_equal(attempt_confined(ONE_ADDRESS, deferred_then_renamed, NULL), 0);
	assert_int_equal(accept_all(listener_allowed), 1);
	assert_int_equal(accept_all(listener_forbidden), 0);
}

/* N13, N17: families. */

static int mptcp_try(void *context)
{
	int fd = socket(AF_INET, SOCK_STREAM, 262), result;

	if (fd < 0)
		return errno;
	result = connect_to(fd, *(uint16_t *)context);
	close(fd);
	return result;
}

/* Landlock alone, as a peer might use it. */
static int mptcp_under_landlock(void *context)
{
	struct landlock_ruleset_attr_6 attr = {.handled_access_net = LANDLOCK_ACCESS_NET_CONNECT_TCP};
	int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);

	if (ruleset < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    syscall(SYS_landlock_restrict_self, ruleset, 0) < 0 || tcp_try(AF_INET, port_forbidden) != EACCES)
		return EPROTO;
	return mptcp_try(context);
}

static void mptcp_is_not_to_be_had(void **state)
{
	const struct attack_row row = {"MPTCP connect", mptcp_try, &port_forbidden, EPROTONOSUPPORT,
	                               CONTROL_BOTH};

	(void)state;
	assert_int_equal(rows_play(&row, 1, ONE_ADDRESS), 0);
	assert_int_equal(rows_play(&row, 1, ONE_PORT), 0);
	fprintf(stderr, "# MPTCP under Landlock alone: %s\n",
	        result_name(attempt_bare(mptcp_under_landlock, &port_forbidden)));
	accept_all(listener_forbidden);
}

static const int protocols[] = {0, 1, 2, 6, 17, 33, 58, 132, 136, 255, 256, 262, 263};
enum { PROTOCOLS = sizeof(protocols) / sizeof(protocols[0]), NO_TCP = 64 * 16 * PROTOCOLS };

/* What no rule can name is refused; the rest is TCP. */
static bool is_tcp(int domain, int type, int protocol)
{
	return (domain == AF_INET || domain == AF_INET6) && type == SOCK_STREAM &&
	       (protocol == 0 || protocol == IPPROTO_TCP);
}

/* How many sockets other than TCP there are to be had; NO_TCP where TCP is not. */
static int families_sweep(void *context)
{
	int found = 0;

	(void)context;
	for (int domain = 0; domain < 64; domain++)
		for (int type = 0; type < 16; type++)
			for (int i = 0; i < PROTOCOLS; i++) {
				int fd = socket(domain, type | SOCK_CLOEXEC, protocols[i]);

				if (fd < 0 && is_tcp(domain, type, protocols[i]))
					return NO_TCP;
				found += fd >= 0 && !is_tcp(domain, type, protocols[i]);
				if (fd >= 0)
					close(fd);
			}
	return found;
}

/* The errno tells a program what to fall back on. */
static int families_errno(void *context)
{
	static const struct {
		int domain, type, protocol, error;
	} rows[] = {
		{AF_UNIX, SOCK_STREAM, 0, EACCES},
		{AF_UNIX, SOCK_DGRAM, 0, EACCES},
		{AF_INET, SOCK_DGRAM, 0, EPERM},
		{AF_INET6, SOCK_DGRAM, IPPROTO_UDP, EPERM},
		{AF_INET, SOCK_DGRAM, IPPROTO_ICMP, EPERM},
		{AF_INET, SOCK_RAW, IPPROTO_RAW, EPERM},
		{AF_INET, SOCK_DGRAM, 136, EPROTONOSUPPORT},
		{AF_INET, SOCK_STREAM, 132, EPROTONOSUPPORT},
		{AF_INET6, SOCK_STREAM, 262, EPROTONOSUPPORT},
		{AF_INET, SOCK_SEQPACKET, 132, EPROTONOSUPPORT},
		{AF_INET, 6 /* DCCP */, 33, EPROTONOSUPPORT},
		{AF_NETLINK, SOCK_RAW, 0, EAFNOSUPPORT},
		{AF_PACKET, SOCK_RAW, 0, EAFNOSUPPORT},
		{AF_VSOCK, SOCK_STREAM, 0, EAFNOSUPPORT},
		{44 /* XDP */, SOCK_RAW, 0, EAFNOSUPPORT},
		{38 /* ALG */, SOCK_SEQPACKET, 0, EAFNOSUPPORT},
		{43 /* SMC */, SOCK_STREAM, 0, EAFNOSUPPORT},
		{30 /* TIPC */, SOCK_STREAM, 0, EAFNOSUPPORT},
		{AF_UNSPEC, SOCK_STREAM, 0, EAFNOSUPPORT},
	};

	(void)context;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (socket(rows[i].domain, rows[i].type, rows[i].protocol) >= 0 || errno != rows[i].error) {
			fprintf(stderr, "# socket(%d, %d, %d): %s\n", rows[i].domain, rows[i].type,
			        rows[i].protocol, strerrorname_np(errno));
			return 1;
		}
	return 0;
}

static void no_socket_but_TCP_is_to_be_had(void **state)
{
	int bare = attempt_bare(families_sweep, NULL);

	(void)state;
	fprintf(stderr, "# %d kinds of socket besides TCP bare\n", bare);
	assert_true(bare > 20 && bare < NO_TCP);
	assert_int_equal(attempt_confined(ONE_ADDRESS, families_sweep, NULL), 0);
	assert_int_equal(attempt_confined(ONE_PORT, families_sweep, NULL), 0);
	assert_int_equal(attempt_confined(POLICY("net-allow", "tcp://*"), families_sweep, NULL), 0);
	assert_int_equal(attempt_confined(POLICY(), families_errno, NULL), 0);
}

struct pair {
	long domain, type, protocol;
};

static int pair_try(void *context)
{
	const struct pair *pair = context;
	int ends[2];

	return result_of(syscall(SYS_socketpair, pair->domain, pair->type, pair->protocol, ends));
}

static void pairs_that_can_be_pointed_elsewhere_are_refused(void **state)
{
	static struct pair pairs[] = {
		{AF_UNIX, SOCK_DGRAM, 0},
		{AF_UNIX, SOCK_RAW, 0}, /* the kernel makes a datagram pair of it */
		{(long)(AF_UNIX | HIGH), (long)(SOCK_DGRAM | SOCK_NONBLOCK | HIGH), 0},
		{AF_UNIX, SOCK_STREAM, 0},
		{AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0},
		{30 /* TIPC */, SOCK_STREAM, 0},
	};
	static const struct attack_row rows[] = {
		{"datagram pair", pair_try, &pairs[0], EPROTONOSUPPORT, CONTROL_BOTH},
		{"raw pair", pair_try, &pairs[1], EPROTONOSUPPORT, CONTROL_BOTH},
		{"datagram pair, high bits", pair_try, &pairs[2], EPROTONOSUPPORT, CONTROL_BOTH},
		{"stream pair", pair_try, &pairs[3], 0, CONTROL_BOTH},
		{"packet pair", pair_try, &pairs[4], 0, CONTROL_BOTH},
		{"TIPC pair", pair_try, &pairs[5], EAFNOSUPPORT, CONTROL_BOTH},
	};

	(void)state;
	assert_int_equal(rows_play(ROWS(rows), ONE_ADDRESS), 0);
	assert_int_equal(attempt_confined(POLICY("net-allow-unix", "*"), pair_try, &pairs[0]), 0);
}

/* N19, N21, N22: options. */

struct option {
	int domain;
	unsigned long level, name;
	const void *value;
	socklen_t size;
	const char *text;
	int refused;
	enum attack_control control;
};

static int option_try(void *context)
{
	const struct option *option = context;
	int fd = socket(option->domain, SOCK_STREAM, 0), shared = 1;

	/* Programs that choose among the sockets of a port need one that shares it. */
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &shared, sizeof(shared)) < 0)
		return errno;
	return result_of(
		syscall(SYS_setsockopt, fd, option->level, option->name, option->value, option->size));
}

static const int zero, one = 1;
static const struct sock_filter accept_packet = BPF_STMT(BPF_RET | BPF_K, 0xffffffff);
static const struct sock_fprog packet_filter = {1, (struct sock_filter *)&accept_packet};
/* One segment, ::1, of a segment routing header. RFC 8754, 2. */
static const uint8_t segment_header[24] = {[1] = 2, [2] = 4, [23] = 1};
/* Loose source route over 127.0.0.1. RFC 791. */
static const uint8_t source_route[] = {131, 7, 4, 127, 0, 0, 1, 0};

/* Takes every packet. The kernel loads one for root only, where kernel.unprivileged_bpf_disabled is set: capabilities over a
 * network of one's own are not enough, and an ordinary user has no control then. */
static int bpf_program = -1;

static int bpf_program_load(void)
{
	static const struct bpf_insn code[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0xffff},
		{.code = BPF_JMP | BPF_EXIT},
	};
	union bpf_attr attr = {.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
	                       .insn_cnt = sizeof(code) / sizeof(code[0]),
	                       .insns = (uintptr_t)code,
	                       .license = (uintptr_t) "GPL"};

	return (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
}

static const struct option options[] = {
	{AF_INET, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3, "SO_BINDTODEVICE", EPERM, CONTROL_BOTH},
	{AF_INET, SOL_SOCKET | HIGH, SO_BINDTODEVICE, "lo", 3, "SO_BINDTODEVICE, high level", EPERM,
         CONTROL_BOTH},
	{AF_INET, SOL_SOCKET, SO_BINDTODEVICE | HIGH, "lo", 3, "SO_BINDTODEVICE, high name", EPERM,
         CONTROL_BOTH},
	{AF_INET, SOL_SOCKET, 62, &one, 4, "SO_BINDTOIFINDEX", EPERM, CONTROL_BOTH},
	{AF_INET, SOL_SOCKET, SO_MARK, &one, 4, "SO_MARK", EPERM, CONTROL_NETWORK},
	{AF_INET, SOL_SOCKET, SO_ATTACH_FILTER, &packet_filter, sizeof(packet_filter), "SO_ATTACH_FILTER",
         EPERM, CONTROL_NETWORK},
	{AF_INET, SOL_SOCKET, SO_ATTACH_BPF, &bpf_program, 4, "SO_ATTACH_BPF", EPERM, CONTROL_ROOT},
	{AF_INET, SOL_SOCKET, 51, &packet_filter, sizeof(packet_filter), "SO_ATTACH_REUSEPORT_CBPF", EPERM,
         CONTROL_BOTH},
	{AF_INET, SOL_SOCKET, 52, &bpf_program, 4, "SO_ATTACH_REUSEPORT_EBPF", EPERM, CONTROL_ROOT},
	{AF_INET, IPPROTO_IP, IP_OPTIONS, source_route, sizeof(source_route), "IP_OPTIONS", EPERM,
         CONTROL_NETWORK},
	{AF_INET6, IPPROTO_IP, IP_OPTIONS, source_route, sizeof(source_route), "IP_OPTIONS, v6 socket", EPERM,
         CONTROL_NETWORK},
	{AF_INET, IPPROTO_IP, IP_TRANSPARENT, &one, 4, "IP_TRANSPARENT", EPERM, CONTROL_NETWORK},
	{AF_INET, IPPROTO_IP, 50, &zero, 4, "IP_UNICAST_IF", EPERM, CONTROL_BOTH},
	{AF_INET6, IPPROTO_IPV6, 57, segment_header, sizeof(segment_header), "IPV6_RTHDR", EPERM,
         CONTROL_BOTH},
	{AF_INET6, IPPROTO_IPV6 | HIGH << 3, 57 | HIGH, segment_header, sizeof(segment_header),
         "IPV6_RTHDR, high bits", EPERM, CONTROL_BOTH},
	{AF_INET6, IPPROTO_IPV6, 5, &one, 4, "IPV6_2292RTHDR", EPERM, CONTROL_BOTH},
	{AF_INET6, IPPROTO_IPV6, 6, NULL, 0, "IPV6_2292PKTOPTIONS", EPERM, CONTROL_BOTH},
	{AF_INET6, IPPROTO_IPV6, 3, &one, 4, "IPV6_2292HOPOPTS", EPERM, CONTROL_BOTH},
	{AF_INET6, IPPROTO_IPV6, 4, &one, 4, "IPV6_2292DSTOPTS", EPERM, CONTROL_BOTH},
	{AF_INET6, IPPROTO_IPV6, 54, NULL, 0, "IPV6_HOPOPTS", EPERM, CONTROL_NETWORK},
	{AF_INET6, IPPROTO_IPV6, 55, NULL, 0, "IPV6_RTHDRDSTOPTS", EPERM, CONTROL_NETWORK},
	{AF_INET6, IPPROTO_IPV6, 59, NULL, 0, "IPV6_DSTOPTS", EPERM, CONTROL_NETWORK},
	{AF_INET6, IPPROTO_IPV6, 75, &one, 4, "IPV6_TRANSPARENT", EPERM, CONTROL_NETWORK},
	{AF_INET6, IPPROTO_IPV6, 76, &zero, 4, "IPV6_UNICAST_IF", EPERM, CONTROL_BOTH},
	{AF_INET, IPPROTO_TCP, TCP_REPAIR, &one, 4, "TCP_REPAIR", EPERM, CONTROL_NETWORK},
	/* Without control where the kernel was built without TLS or SCTP: what must be is the filter's errno. */
	{AF_INET, IPPROTO_TCP, TCP_ULP, "tls", 3, "TCP_ULP", EPERM, CONTROL_NONE},
	{AF_INET, 132, 110, &one, 4, "SCTP connectx", EPERM, CONTROL_NONE},
	/* Ordinary ones stay. */
	{AF_INET, SOL_SOCKET, SO_REUSEADDR, &one, 4, "SO_REUSEADDR", 0, CONTROL_BOTH},
	{AF_INET, SOL_SOCKET, SO_KEEPALIVE, &one, 4, "SO_KEEPALIVE", 0, CONTROL_BOTH},
	{AF_INET, IPPROTO_TCP, TCP_NODELAY, &one, 4, "TCP_NODELAY", 0, CONTROL_BOTH},
	{AF_INET6, IPPROTO_IPV6, IPV6_V6ONLY, &one, 4, "IPV6_V6ONLY", 0, CONTROL_BOTH},
	{AF_INET, IPPROTO_IP, IP_TOS, &zero, 4, "IP_TOS", 0, CONTROL_BOTH},
};

static void options_that_reroute_are_refused(void **state)
{
	int wrong = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		struct option option = options[i];
		struct attack_row row = {option.text, option_try, &option, option.refused, option.control};

		wrong += rows_play(&row, 1, ONE_PORT);
		wrong += !row_play_confined(&row, ONE_ADDRESS);
	}
	assert_int_equal(wrong, 0);
}

/* The same by who has the privilege: bare they succeed. Of the ordinary ones, one that needs it too. */
static int options_play_privileged(void)
{
	static const int above = 7;
	static struct option priority = {AF_INET, SOL_SOCKET,    SO_PRIORITY, &above,
	                                 4,       "SO_PRIORITY", 0,           CONTROL_BOTH};
	struct attack_row twin = {"SO_PRIORITY above 6", option_try, &priority, 0, CONTROL_BOTH};
	int wrong = privilege_keep(ONE_PORT);

	wrong += rows_play(&twin, 1, ONE_PORT);
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		struct option option = options[i];
		struct attack_row row = {option.text, option_try, &option, option.refused, option.control};

		if (row.control == CONTROL_NETWORK)
			row.control = CONTROL_BOTH;
		wrong += rows_play(&row, 1, ONE_PORT);
		wrong += !row_play_confined(&row, ONE_ADDRESS);
	}
	return wrong;
}

static void options_that_reroute_are_refused_to_the_privileged_too(void **state)
{
	(void)state;
	PLAY_IN_OWN_NETWORK(options_play_privileged);
}

/* Any TCP socket of root's reaches netfilter: a rule of the nat table sends an allowed connection elsewhere.
 * The values are too short to do anything; what answers EINVAL is netfilter. */
static void the_packet_filter_of_the_host_cannot_be_changed(void **state)
{
	static struct option replacing[] = {
		{AF_INET, IPPROTO_IP, 64, &zero, 4, "IPT_SO_SET_REPLACE", EPERM, CONTROL_NONE},
		{AF_INET, IPPROTO_IP, 65, &zero, 4, "IPT_SO_SET_ADD_COUNTERS", EPERM, CONTROL_NONE},
		{AF_INET6, IPPROTO_IPV6, 64, &zero, 4, "IP6T_SO_SET_REPLACE", EPERM, CONTROL_NONE},
	};
	int wrong = 0;

	(void)state;
	if (attempt_bare(option_try, &replacing[0]) == ENOPROTOOPT)
		SKIP_BECAUSE("this kernel has no iptables, or not loaded");
	for (size_t i = 0; i < sizeof(replacing) / sizeof(replacing[0]); i++) {
		struct attack_row row = {replacing[i].text, option_try, &replacing[i], EPERM, CONTROL_NONE};

		wrong += rows_play(&row, 1, ONE_ADDRESS);
	}
	assert_int_equal(wrong, 0);
}

enum { ENTRIES_MAX = 4096, COUNTERS_MAX = 16 };

/* What "iptables -t filter" would write, were it to change nothing. IPv6 has the same layout. linux/netfilter*.h */
struct packet_table {
	struct ipt_getinfo info;
	struct {
		struct ipt_replace header;
		char entries[ENTRIES_MAX];
	} replace;
	struct {
		struct xt_counters_info header;
		struct xt_counters counters[COUNTERS_MAX];
	} counters;
};

/* 0, or the errno of a kernel that has no such table. */
static int packet_table_read(int domain, int level, struct packet_table *table)
{
	static struct xt_counters old[COUNTERS_MAX];
	struct {
		struct ipt_get_entries header;
		char entries[ENTRIES_MAX];
	} got = {.header.name = "filter"};
	int fd = socket(domain, SOCK_STREAM, 0);
	socklen_t info_size = sizeof(table->info), size;

	*table = (struct packet_table){.info.name = "filter", .counters.header.name = "filter"};
	if (getsockopt(fd, level, IPT_SO_GET_INFO, &table->info, &info_size) < 0)
		return errno;
	got.header.size = table->info.size;
	size = (socklen_t)(sizeof(got.header) + table->info.size);
	if (size > sizeof(got) || table->info.num_entries > COUNTERS_MAX)
		return E2BIG;
	if (getsockopt(fd, level, IPT_SO_GET_ENTRIES, &got, &size) < 0)
		return errno;
	close(fd);
	table->replace.header = (struct ipt_replace){.name = "filter",
	                                             .valid_hooks = table->info.valid_hooks,
	                                             .num_entries = table->info.num_entries,
	                                             .size = table->info.size,
	                                             .num_counters = table->info.num_entries,
	                                             .counters = old};
	memcpy(table->replace.header.hook_entry, table->info.hook_entry, sizeof(table->info.hook_entry));
	memcpy(table->replace.header.underflow, table->info.underflow, sizeof(table->info.underflow));
	memcpy(table->replace.header.entries, got.header.entrytable, table->info.size);
	table->counters.header.num_counters = table->info.num_entries;
	return 0;
}

static int packet_table_play(int domain, int level)
{
	static struct packet_table table;
	int missing = packet_table_read(domain, level, &table), wrong = 0;
	const enum attack_control control = missing == 0 ? CONTROL_BOTH : CONTROL_NONE;
	struct option writing[] = {
		{domain, level, IPT_SO_SET_REPLACE, &table.replace,
	         (socklen_t)(sizeof(table.replace.header) + table.info.size), "IPT_SO_SET_REPLACE", EPERM},
		{domain, level, IPT_SO_SET_ADD_COUNTERS, &table.counters,
	         (socklen_t)(sizeof(table.counters.header) +
	                     table.info.num_entries * sizeof(struct xt_counters)),
	         "IPT_SO_SET_ADD_COUNTERS", EPERM},
	};

	if (missing != 0)
		fprintf(stderr, "# this kernel's iptables: %s\n", result_name(missing));
	if (missing == ENOPROTOOPT)
		return NETWORK_NOT_OWN;
	for (size_t i = 0; i < sizeof(writing) / sizeof(writing[0]); i++) {
		struct attack_row row = {text_of("%s, %s", writing[i].text, domain == AF_INET ? "v4" : "v6"),
		                         option_try, &writing[i], EPERM, control};

		wrong += rows_play(&row, 1, ONE_ADDRESS);
		wrong += !row_play_confined(&row, POLICY("net-allow", "*"));
	}
	return wrong;
}

static int packet_tables_play(void)
{
	int v4 = packet_table_play(AF_INET, IPPROTO_IP), v6 = packet_table_play(AF_INET6, IPPROTO_IPV6);

	return v4 == NETWORK_NOT_OWN ? v4 : v4 + (v6 == NETWORK_NOT_OWN ? 0 : v6);
}

/* The control: bare, the tables of a network of its own can be written. What refuses is the capability that is given up, and
 * nothing else: the filter does not know these options. confine/capabilities.c */
static void the_packet_filter_of_a_network_of_ones_own_cannot_be_changed(void **state)
{
	(void)state;
	PLAY_IN_OWN_NETWORK(packet_tables_play);
}

static int request_try(void *context)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char buffer[256] = "lo";

	return result_of(syscall(SYS_ioctl, fd, *(unsigned long *)context, buffer));
}

/* N18's older brothers. */
static void the_interfaces_of_the_host_are_not_shown(void **state)
{
	static unsigned long requests[] = {SIOCGIFFLAGS, SIOCGIFADDR,         SIOCGIFHWADDR, SIOCGIFINDEX,
	                                   SIOCGIFMTU,   SIOCGIFFLAGS | HIGH, SIOCSIFFLAGS,  SIOCATMARK};
	struct attack_row rows[] = {
		{"SIOCGIFFLAGS", request_try, &requests[0], EPERM, CONTROL_BOTH},
		{"SIOCGIFADDR", request_try, &requests[1], EPERM, CONTROL_BOTH},
		{"SIOCGIFHWADDR", request_try, &requests[2], EPERM, CONTROL_BOTH},
		{"SIOCGIFINDEX", request_try, &requests[3], EPERM, CONTROL_BOTH},
		{"SIOCGIFMTU", request_try, &requests[4], EPERM, CONTROL_BOTH},
		{"SIOCGIFFLAGS, high", request_try, &requests[5], EPERM, CONTROL_BOTH},
		{"SIOCATMARK", request_try, &requests[7], 0, CONTROL_BOTH}, /* one's own socket */
	};

	(void)state;
	assert_int_equal(rows_play(ROWS(rows), ONE_ADDRESS), 0);
}

/* Listening. */

struct binding {
	uint16_t port;
	bool bind;
};

static int listen_try(void *context)
{
	const struct binding *binding = context;
	struct sockaddr_storage address;
	socklen_t size = address_read("127.0.0.1", binding->port, &address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (binding->bind && bind(fd, (struct sockaddr *)&address, size) < 0)
		return errno;
	return result_of(listen(fd, 1));
}

/* N15, E08e */
static void ports_are_bound_by_grant_only(void **state)
{
	uint16_t granted = port_free(), other = port_free();
	struct binding unbound = {0, false}, ephemeral = {0, true}, named, foreign;
	const struct attack_row rows[] = {
		{"listen without bind", listen_try, &unbound, EACCES, CONTROL_BOTH},
		{"an ephemeral port", listen_try, &ephemeral, EACCES, CONTROL_BOTH},
		{"a port", listen_try, &named, EACCES, CONTROL_BOTH},
	};

	(void)state;
	named = (struct binding){granted, true};
	foreign = (struct binding){other, true};
	assert_int_equal(rows_play(ROWS(rows), ONE_ADDRESS), 0);
	assert_int_equal(rows_play(ROWS(rows), POLICY()), 0);
	assert_int_equal(
		attempt_confined(POLICY("net-allow-bind", text_of("%u", granted)), listen_try, &named), 0);
	assert_int_equal(
		attempt_confined(POLICY("net-allow-bind", text_of("%u", granted)), listen_try, &foreign),
		EACCES);
	assert_int_equal(attempt_bare(listen_try, &foreign), 0);
	assert_int_equal(attempt_confined(POLICY("net-allow-bind", "*"), listen_try, &unbound), 0);
}

/* Unix sockets. */

static struct sockaddr_un unix_path, unix_abstract, unix_datagram;

static int unix_try(void *context)
{
	const struct sockaddr_un *address = context;
	socklen_t size = address->sun_path[0] == '\0' ? (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
	                                                            1 + strlen(address->sun_path + 1))
	                                              : sizeof(*address);

	return address_try((const struct sockaddr *)address, size);
}

static int unix_send(void *context)
{
	const struct sockaddr_un *address = context;
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	if (fd < 0)
		return errno;
	return result_of(
		sendto(fd, "x", 1, MSG_DONTWAIT, (const struct sockaddr *)address, sizeof(*address)));
}

static int unix_listener(struct sockaddr_un *address, int type, const char *name, bool is_abstract)
{
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	socklen_t size = sizeof(*address);

	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (is_abstract) {
		snprintf(address->sun_path + 1, sizeof(address->sun_path) - 1, "sluice-%d-%s", getpid(),
		         name);
		size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
		                   strlen(address->sun_path + 1));
	} else {
		snprintf(address->sun_path, sizeof(address->sun_path), "%.80s/%s", scratch(), name);
		unlink(address->sun_path);
	}
	if (bind(fd, (struct sockaddr *)address, size) < 0 || (type != SOCK_DGRAM && listen(fd, 64) < 0))
		fail_msg("%s: %s", name, strerror(errno));
	return fd;
}

/* L16, I03 */
static void unix_sockets_need_their_grant_and_abstract_ones_stay_closed(void **state)
{
	static const struct attack_row closed[] = {
		{"a socket's path", unix_try, &unix_path, EACCES, CONTROL_BOTH},
		{"an abstract name", unix_try, &unix_abstract, EACCES, CONTROL_BOTH},
		{"a datagram to a path", unix_send, &unix_datagram, EACCES, CONTROL_BOTH},
	};
	static const struct attack_row granted[] = {
		{"a socket's path", unix_try, &unix_path, 0, CONTROL_BOTH},
		{"an abstract name", unix_try, &unix_abstract, EPERM, CONTROL_BOTH},
		{"a datagram to a path", unix_send, &unix_datagram, 0, CONTROL_BOTH},
	};
	int paths = unix_listener(&unix_path, SOCK_STREAM, "stream", false);
	int names = unix_listener(&unix_abstract, SOCK_STREAM, "abstract", true);
	int datagrams = unix_listener(&unix_datagram, SOCK_DGRAM, "datagrams", false);

	(void)state;
	assert_int_equal(rows_play(ROWS(closed), ONE_ADDRESS), 0);
	assert_int_equal(rows_play(ROWS(closed), ONE_PORT), 0);
	assert_int_equal(rows_play(ROWS(granted), POLICY("net-allow-unix", "*")), 0);
	assert_int_equal(rows_play(ROWS(granted), POLICY("net-allow-unix", "*", "net-allow", rule_allowed)),
	                 0);
	close(paths);
	close(names);
	close(datagrams);
	unlink(unix_path.sun_path);
	unlink(unix_datagram.sun_path);
}

/* Some binds, or unix sockets, open listen(2), which binds by itself where bind(2) was not called. Without a
 * supervisor nobody sees that: README, what it does not protect. */
static void an_unbound_listen_is_no_way_round_the_grants(void **state)
{
	struct binding unbound = {0, false};
	const char *port = text_of("%u", port_free());

	(void)state;
	assert_int_equal(attempt_bare(listen_try, &unbound), 0);
	assert_int_equal(attempt_confined(POLICY("net-allow-bind", port, "net-allow", rule_allowed),
	                                  listen_try, &unbound),
	                 EACCES);
	assert_int_equal(attempt_confined(POLICY("net-allow-unix", "*", "net-allow", rule_allowed),
	                                  listen_try, &unbound),
	                 EACCES);
}

/* Descendants. */

static int both_try(void)
{
	int forbidden = tcp_try(AF_INET, port_forbidden), allowed = tcp_try(AF_INET, port_allowed);

	return allowed != 0 ? EPROTO : forbidden;
}

static int status_of(pid_t child)
{
	int status;

	if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
		return EPROTO;
	return WEXITSTATUS(status);
}

static int in_fork(void *context)
{
	pid_t child = fork();

	(void)context;
	if (child == 0)
		_exit(both_try());
	return status_of(child);
}

static int in_grandchild(void *context)
{
	pid_t child = fork();

	if (child == 0)
		_exit(in_fork(context));
	return status_of(child);
}

static void probe_exec(void)
{
	char allowed[8], forbidden[8];
	char *const argv[] = {self_path, "probe", allowed, forbidden, NULL};
	char *const environment[] = {NULL};

	snprintf(allowed, sizeof(allowed), "%u", port_allowed);
	snprintf(forbidden, sizeof(forbidden), "%u", port_forbidden);
	execve(self_path, argv, environment);
	_exit(126);
}

static int in_exec(void *context)
{
	pid_t child = fork();

	(void)context;
	if (child == 0)
		probe_exec();
	return status_of(child);
}

static int in_vfork(void *context)
{
	pid_t child = vfork();

	(void)context;
	if (child == 0)
		probe_exec();
	return status_of(child);
}

static void *in_thread_body(void *result)
{
	*(int *)result = both_try();
	return NULL;
}

static int in_thread(void *context)
{
	pthread_t thread;
	int result = EPROTO;

	(void)context;
	pthread_create(&thread, NULL, in_thread_body, &result);
	pthread_join(thread, NULL);
	return result;
}

/* A thread with descriptors of its own: the leader's number 200 is another socket. */
static void *own_table_body(void *result)
{
	int allowed, forbidden;

	dup2(socket(AF_INET, SOCK_STREAM, 0), 200);
	forbidden = connect_to(200, port_forbidden);
	dup2(socket(AF_INET, SOCK_STREAM, 0), 200);
	allowed = connect_to(200, port_allowed);
	*(int *)result = allowed != 0 ? EPROTO : forbidden;
	return NULL;
}

/* F02, as far as clone(2) still makes such threads. */
static int in_own_table(void *context)
{
	enum { STACK = 1 << 16 };
	char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int *result = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t child;

	(void)context;
	*result = EPROTO;
	/* Memory shared, descriptors not. */
	child = clone((int (*)(void *))(void *)own_table_body, stack + STACK, CLONE_VM | SIGCHLD, result);
	if (child < 0 || waitpid(child, NULL, 0) != child)
		return EPROTO;
	return *result;
}

/* P13: its parent and its session are gone when it tries. */
static int in_daemon(void *context)
{
	int results[2], result = EPROTO;
	pid_t child;

	(void)context;
	if (pipe(results) < 0 || (child = fork()) < 0)
		return errno;
	if (child == 0) {
		if (setsid() < 0 || fork() != 0)
			_exit(0);
		while (getppid() == getpgrp())
			usleep(1000);
		usleep(20000);
		result = both_try();
		if (write(results[1], &result, sizeof(result)) < 0)
			_exit(1);
		_exit(0);
	}
	close(results[1]);
	waitpid(child, NULL, 0);
	if (read(results[0], &result, sizeof(result)) != sizeof(result))
		return EPROTO;
	return result;
}

static void descendants_are_judged_as_their_ancestor(void **state)
{
	static const struct attack_row rows[] = {
		{"fork", in_fork, NULL, EACCES, CONTROL_BOTH},
		{"grandchild", in_grandchild, NULL, EACCES, CONTROL_BOTH},
		{"exec", in_exec, NULL, EACCES, CONTROL_BOTH},
		{"vfork", in_vfork, NULL, EACCES, CONTROL_BOTH},
		{"thread", in_thread, NULL, EACCES, CONTROL_BOTH},
		{"own descriptors", in_own_table, NULL, EACCES, CONTROL_BOTH},
		{"daemon", in_daemon, NULL, EACCES, CONTROL_BOTH},
	};

	(void)state;
	assert_int_equal(rows_play(ROWS(rows), POLICY("net-allow", rule_allowed, "fs-system", "yes",
	                                              "fs-read", self_path)),
	                 0);
	accept_all(listener_forbidden);
	accept_all(listener_allowed);
	assert_int_equal(rows_play(ROWS(rows), POLICY("net-allow", text_of("tcp://:%u", port_allowed),
	                                              "fs-system", "yes", "fs-read", self_path)),
	                 0);
	accept_all(listener_forbidden);
	accept_all(listener_allowed);
}

/* The same program bare and confined: a list of results must be the same. */

enum { RESULTS_MAX = 4096 };
struct results {
	int count;
	int value[RESULTS_MAX];
};
static struct results *results; /* MAP_SHARED */

static void result_add(int value)
{
	if (results->count < RESULTS_MAX)
		results->value[results->count] = value;
	results->count++;
}

static void same_bare_and_confined(attempt_fn attempt, void *context)
{
	static struct results bare, confined;

	memset(results, 0, sizeof(*results));
	assert_int_equal(attempt_bare(attempt, context), 0);
	bare = *results;
	accept_all(listener_allowed);
	accept_all(listener_forbidden);
	memset(results, 0, sizeof(*results));
	assert_int_equal(attempt_confined(POLICY("net-allow", "tcp://0.0.0.0/0", "net-allow", "tcp://[::/0]"),
	                                  attempt, context),
	                 0);
	confined = *results;
	accept_all(listener_allowed);
	accept_all(listener_forbidden);
	assert_true(bare.count > 0 && bare.count <= RESULTS_MAX);
	assert_int_equal(confined.count, bare.count);
	for (int i = 0; i < bare.count; i++)
		if (bare.value[i] != confined.value[i])
			fprintf(stderr, "# result %d: %d (%s) bare, %d (%s) confined\n", i, bare.value[i],
			        strerrorname_np(bare.value[i]), confined.value[i],
			        strerrorname_np(confined.value[i]));
	assert_memory_equal(bare.value, confined.value, (size_t)bare.count * sizeof(int));
}

static int raw_connect(long fd, const void *address, long size)
{
	return result_of(syscall(SYS_connect, fd, address, size));
}

static int lengths_run(void *context)
{
	static const long odd[] = {-1,   INT32_MIN,  INT32_MAX,         130,
	                           4096, (long)HIGH, (long)(HIGH | 16), (long)(HIGH | 28)};
	static const sa_family_t families[] = {AF_INET, AF_INET6, AF_UNSPEC, AF_UNIX, 99};
	int domain = *(int *)context;

	for (size_t f = 0; f < sizeof(families) / sizeof(families[0]); f++) {
		struct sockaddr_storage address;

		address_read(domain == AF_INET6 ? "::1" : "127.0.0.1", port_allowed, &address);
		address.ss_family = families[f];
		for (long i = 0; i < 130 + (long)(sizeof(odd) / sizeof(odd[0])); i++) {
			int fd = socket(domain, SOCK_STREAM, 0);
			struct linger off = {1, 0};

			setsockopt(fd, SOL_SOCKET, SO_LINGER, &off, sizeof(off));
			result_add(raw_connect(fd, &address, i < 130 ? i : odd[i - 130]));
			close(fd);
			accept_all(listener_allowed);
		}
	}
	return 0;
}

/* N26 */
static void every_length_of_an_address_gives_the_kernels_errno(void **state)
{
	static int domains[] = {AF_INET, AF_INET6};

	(void)state;
	for (size_t i = 0; i < 2; i++)
		same_bare_and_confined(lengths_run, &domains[i]);
}

static int page_end_run(void *context)
{
	enum { PAGE = 4096 };
	char *page = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct sockaddr_storage address;
	socklen_t size = address_read("127.0.0.1", port_allowed, &address);

	(void)context;
	mprotect(page + PAGE, PAGE, PROT_NONE);
	for (int before = 0; before <= 40; before++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		memset(page, 0, PAGE);
		memcpy(page + PAGE - before, &address, (size_t)before < size ? (size_t)before : size);
		result_add(raw_connect(fd, page + PAGE - before, size));
		close(fd);
		fd = socket(AF_INET, SOCK_STREAM, 0);
		result_add(raw_connect(fd, page + PAGE - before, before));
		close(fd);
		accept_all(listener_allowed);
	}
	for (long bad = 0; bad < 3; bad++) {
		static const long addresses[] = {0, -4096, (long)0x800000000000};
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		result_add(raw_connect(fd, (void *)addresses[bad], 16));
		result_add(raw_connect(fd, (void *)addresses[bad], 0));
		result_add(raw_connect(fd, (void *)addresses[bad], 200));
	}
	return 0;
}

static void an_address_at_the_end_of_a_page_is_read_as_the_kernel_reads_it(void **state)
{
	(void)state;
	same_bare_and_confined(page_end_run, NULL);
}

static void wait_connected(int fd)
{
	struct pollfd ready = {fd, POLLOUT, 0};

	result_add(poll(&ready, 1, 2000));
	result_add(ready.revents);
}

static int socket_error(int fd)
{
	int error = -1;
	socklen_t size = sizeof(error);

	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
	return error;
}

/* N33, F01, F05 */
static int twice_run(void *context)
{
	uint16_t closed = *(uint16_t *)context;
	struct sockaddr_storage address;
	socklen_t size = address_read("127.0.0.1", port_allowed, &address);
	struct sockaddr_storage address6;
	socklen_t size6 = address_read("::1", port_allowed, &address6);
	int fd = socket(AF_INET, SOCK_STREAM, 0), pipes[2], accepted;

	result_add(connect_to(fd, port_allowed));
	result_add(connect_to(fd, port_allowed)); /* EISCONN */
	result_add(connect_to(fd, port_forbidden));
	result_add(disconnect_try(fd, 16));
	result_add(connect_to(fd, closed)); /* ECONNREFUSED */
	result_add(socket_error(fd));
	result_add(connect_to(fd, port_allowed));
	shutdown(fd, SHUT_RDWR);
	result_add(connect_to(fd, port_allowed));
	close(fd);
	result_add(connect_to(fd, port_allowed));                    /* EBADF */
	result_add(raw_connect(listener_allowed, &address6, size6)); /* EISCONN: it listens */
	if (pipe(pipes) < 0)
		return errno;
	result_add(connect_to(pipes[0], port_allowed)); /* ENOTSOCK */
	fd = open("/", O_PATH);
	result_add(fd < 0 ? 0 : raw_connect(fd, &address, size)); /* EBADF */
	for (long odd = 0; odd < 5; odd++) {
		static const long numbers[] = {-1, INT32_MAX, 0x80000000, 0xffffff9c, (long)(HIGH | 9999)};

		result_add(raw_connect(numbers[odd], &address, size));
		/* Descriptor before address, and address before kind. */
		result_add(raw_connect(numbers[odd], NULL, 16));
		result_add(raw_connect(pipes[0], NULL, odd * 16));
		result_add(raw_connect(pipes[0], NULL, -odd));
	}
	fd = socket(AF_INET, SOCK_STREAM, 0);
	result_add(raw_connect((long)(HIGH | (unsigned)fd), &address, size));
	accept_all(listener_forbidden);
	accepted = accept(listener_allowed, NULL, NULL);
	while (accepted >= 0) {
		result_add(raw_connect(accepted, &address6, size6));
		close(accepted);
		accepted = accept(listener_allowed, NULL, NULL);
	}
	return 0;
}

/* Nothing listens there: bound by us, and never listened on. */
static uint16_t closed_port(int *holder)
{
	struct sockaddr_storage address;
	socklen_t size = address_read("127.0.0.1", 0, &address);

	*holder = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(*holder, (struct sockaddr *)&address, size) < 0 ||
	    getsockname(*holder, (struct sockaddr *)&address, &size) < 0)
		fail_msg("closed port: %s", strerror(errno));
	return ntohs(((struct sockaddr_in *)&address)->sin_port);
}

static void odd_descriptors_and_second_connects_give_the_kernels_errno(void **state)
{
	int holder;
	uint16_t closed = closed_port(&holder);

	(void)state;
	fcntl(listener_allowed, F_SETFL, O_NONBLOCK);
	same_bare_and_confined(twice_run, &closed);
	close(holder);
}

/* The kernel looks at the socket's state before it looks at what the address is. */
static int misfit_run(void *context)
{
	struct sockaddr_storage address4, address6;
	socklen_t size4 = address_read("127.0.0.1", port_allowed, &address4);
	socklen_t size6 = address_read("::1", port_allowed, &address6);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)context;
	result_add(raw_connect(listener_allowed, &address4, size4));
	result_add(connect_to(fd, port_allowed));
	result_add(raw_connect(fd, &address6, size6));
	result_add(raw_connect(fd, &address4, 8));
	return 0;
}

static void a_misfit_address_on_a_connected_socket_gives_the_kernels_errno(void **state)
{
	(void)state;
	same_bare_and_confined(misfit_run, NULL);
}

/* N32, F11 */
static int nonblocking_run(void *context)
{
	uint16_t ports[] = {port_allowed, *(uint16_t *)context};

	for (int i = 0; i < 2; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		int poller = epoll_create1(0);
		struct epoll_event event = {.events = EPOLLIN | EPOLLOUT};
		struct timeval second = {1, 0};
		fd_set writable;

		epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event); /* before it is connected */
		result_add(connect_to(fd, ports[i]));
		wait_connected(fd);
		FD_ZERO(&writable);
		FD_SET(fd, &writable);
		result_add(select(fd + 1, NULL, &writable, NULL, &second));
		result_add(epoll_wait(poller, &event, 1, 1000));
		result_add((int)event.events);
		result_add(socket_error(fd));
		result_add(socket_error(fd));
		result_add(connect_to(fd, ports[i]));
		result_add(fcntl(fd, F_GETFL));
		result_add(connect_to(fd, ports[i]));
		close(poller);
		close(fd);
	}
	return 0;
}

static void what_follows_a_nonblocking_connect_is_native(void **state)
{
	int holder;
	uint16_t closed = closed_port(&holder);

	(void)state;
	same_bare_and_confined(nonblocking_run, &closed);
	close(holder);
}

static int probe(char *argv[])
{
	port_allowed = (uint16_t)atoi(argv[2]);
	port_forbidden = (uint16_t)atoi(argv[3]);
	return both_try();
}

static int group_open(void **state)
{
	(void)state;
	bpf_program = bpf_program_load();
	if (listeners_open() < 0)
		return -1;
	results = mmap(NULL, sizeof(*results), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return readlink("/proc/self/exe", self_path, sizeof(self_path) - 1) < 0 ? -1 : 0;
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_spelling_of_an_address_is_judged_as_what_it_means),
		cmocka_unit_test(addresses_of_others_are_refused),
		cmocka_unit_test(link_local_addresses_need_their_interface),
		cmocka_unit_test(a_dissolved_connection_is_judged_again),
		cmocka_unit_test(sends_cannot_connect),
		cmocka_unit_test(a_deferred_connection_goes_where_it_was_judged),
		cmocka_unit_test(mptcp_is_not_to_be_had),
		cmocka_unit_test(no_socket_but_TCP_is_to_be_had),
		cmocka_unit_test(pairs_that_can_be_pointed_elsewhere_are_refused),
		cmocka_unit_test(options_that_reroute_are_refused),
		cmocka_unit_test(options_that_reroute_are_refused_to_the_privileged_too),
		cmocka_unit_test(the_packet_filter_of_the_host_cannot_be_changed),
		cmocka_unit_test(the_packet_filter_of_a_network_of_ones_own_cannot_be_changed),
		cmocka_unit_test(the_interfaces_of_the_host_are_not_shown),
		cmocka_unit_test(ports_are_bound_by_grant_only),
		cmocka_unit_test(unix_sockets_need_their_grant_and_abstract_ones_stay_closed),
		cmocka_unit_test(an_unbound_listen_is_no_way_round_the_grants),
		cmocka_unit_test(descendants_are_judged_as_their_ancestor),
		cmocka_unit_test(every_length_of_an_address_gives_the_kernels_errno),
		cmocka_unit_test(an_address_at_the_end_of_a_page_is_read_as_the_kernel_reads_it),
		cmocka_unit_test(odd_descriptors_and_second_connects_give_the_kernels_errno),
		cmocka_unit_test(a_misfit_address_on_a_connected_socket_gives_the_kernels_errno),
		cmocka_unit_test(what_follows_a_nonblocking_connect_is_native),
	};

	if (argc == 4 && strcmp(argv[1], "probe") == 0)
		return probe(argv);
	return cmocka_run_group_tests_name("network", tests, group_open, NULL);
}
