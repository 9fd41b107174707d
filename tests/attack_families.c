/* Which sockets exist: every family, type and protocol of a table is asked for under six policies, plainly and with
 * bits set that the kernel does not look at. What a kernel lacks is refused by the walls all the same: test for
 * absence is not a policy. The errno tells a program what to fall back on. security.md, 2.8, 3.1 (A05), 3.4 (N13,
 * N17, N18, N23).
 */
#include <errno.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/attack_privilege.h"

#define HIGH (1UL << 32)

enum { DCCP = 6, PACKET = 10 }; /* SOCK_DCCP, SOCK_PACKET */
/* Five raw kinds, the old packets, two of AF_PACKET: every kernel has those. */
enum { PRIVILEGED_LEAST = 8 };

/* What a rule must be about for the socket to exist. */
enum need { NEVER, WITH_TCP, WITH_UDP, WITH_ICMP, WITH_UNIX };

static const struct kind {
	const char *name;
	int domain, type, protocol;
	enum need need;
	int refused;
} kinds[] = {
	{"TCP", AF_INET, SOCK_STREAM, 0, WITH_TCP, 0},
	{"TCP by number, v6", AF_INET6, SOCK_STREAM, IPPROTO_TCP, WITH_TCP, 0},
	{"UDP", AF_INET, SOCK_DGRAM, 0, WITH_UDP, EPERM},
	{"UDP by number", AF_INET, SOCK_DGRAM, IPPROTO_UDP, WITH_UDP, EPERM},
	{"UDP, v6", AF_INET6, SOCK_DGRAM, 0, WITH_UDP, EPERM},
	{"UDP by number, v6", AF_INET6, SOCK_DGRAM, IPPROTO_UDP, WITH_UDP, EPERM},
	{"ping", AF_INET, SOCK_DGRAM, IPPROTO_ICMP, WITH_ICMP, EPERM},
	{"ping, v6", AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6, WITH_ICMP, EPERM},
	{"unix stream", AF_UNIX, SOCK_STREAM, 0, WITH_UNIX, EACCES},
	{"unix datagram", AF_UNIX, SOCK_DGRAM, 0, WITH_UNIX, EACCES},
	{"unix packets", AF_UNIX, SOCK_SEQPACKET, 0, WITH_UNIX, EACCES},
	/* The ICMP of the other family: no such protocol. */
	{"ICMPv6 on AF_INET", AF_INET, SOCK_DGRAM, IPPROTO_ICMPV6, NEVER, EPROTONOSUPPORT},
	{"ICMP on AF_INET6", AF_INET6, SOCK_DGRAM, IPPROTO_ICMP, NEVER, EPROTONOSUPPORT},
	/* Protocols that no rule can name. */
	{"MPTCP", AF_INET, SOCK_STREAM, 262, NEVER, EPROTONOSUPPORT},
	{"MPTCP, v6", AF_INET6, SOCK_STREAM, 262, NEVER, EPROTONOSUPPORT},
	{"UDP-Lite", AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE, NEVER, EPROTONOSUPPORT},
	{"UDP-Lite, v6", AF_INET6, SOCK_DGRAM, IPPROTO_UDPLITE, NEVER, EPROTONOSUPPORT},
	{"SCTP stream", AF_INET, SOCK_STREAM, IPPROTO_SCTP, NEVER, EPROTONOSUPPORT},
	{"SCTP packets", AF_INET, SOCK_SEQPACKET, IPPROTO_SCTP, NEVER, EPROTONOSUPPORT},
	{"SCTP packets, v6", AF_INET6, SOCK_SEQPACKET, IPPROTO_SCTP, NEVER, EPROTONOSUPPORT},
	{"SMC over IPPROTO", AF_INET, SOCK_STREAM, 256, NEVER, EPROTONOSUPPORT},
	{"L2TP", AF_INET, SOCK_DGRAM, 115, NEVER, EPROTONOSUPPORT},
	{"L2TP, v6", AF_INET6, SOCK_DGRAM, 115, NEVER, EPROTONOSUPPORT},
	{"DCCP stream", AF_INET, SOCK_STREAM, IPPROTO_DCCP, NEVER, EPROTONOSUPPORT},
	{"UDP on a stream", AF_INET, SOCK_STREAM, IPPROTO_UDP, NEVER, EPROTONOSUPPORT},
	{"TCP on datagrams", AF_INET, SOCK_DGRAM, IPPROTO_TCP, NEVER, EPROTONOSUPPORT},
	/* What sees packets below the rules. */
	{"raw", AF_INET, SOCK_RAW, IPPROTO_RAW, NEVER, EPERM},
	{"raw ICMP", AF_INET, SOCK_RAW, IPPROTO_ICMP, NEVER, EPERM},
	{"raw UDP", AF_INET, SOCK_RAW, IPPROTO_UDP, NEVER, EPERM},
	{"raw, v6", AF_INET6, SOCK_RAW, IPPROTO_RAW, NEVER, EPERM},
	{"raw ICMPv6", AF_INET6, SOCK_RAW, IPPROTO_ICMPV6, NEVER, EPERM},
	{"DCCP", AF_INET, DCCP, IPPROTO_DCCP, NEVER, EPROTONOSUPPORT},
	{"old packets on AF_INET", AF_INET, PACKET, 0x0300, NEVER, EPROTONOSUPPORT},
	/* Families that no rule can name. */
	{"no family", AF_UNSPEC, SOCK_STREAM, 0, NEVER, EAFNOSUPPORT},
	{"packet, raw", AF_PACKET, SOCK_RAW, 0x0300, NEVER, EAFNOSUPPORT},
	{"packet, datagram", AF_PACKET, SOCK_DGRAM, 0x0300, NEVER, EAFNOSUPPORT},
	{"netlink route", AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, NEVER, EAFNOSUPPORT},
	{"netlink route, datagram", AF_NETLINK, SOCK_DGRAM, NETLINK_ROUTE, NEVER, EAFNOSUPPORT},
	{"netlink sock_diag", AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG, NEVER, EAFNOSUPPORT},
	{"netlink xfrm", AF_NETLINK, SOCK_RAW, NETLINK_XFRM, NEVER, EAFNOSUPPORT},
	{"netlink audit", AF_NETLINK, SOCK_RAW, NETLINK_AUDIT, NEVER, EAFNOSUPPORT},
	{"netlink netfilter", AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER, NEVER, EAFNOSUPPORT},
	{"netlink uevent", AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT, NEVER, EAFNOSUPPORT},
	{"netlink generic", AF_NETLINK, SOCK_RAW, NETLINK_GENERIC, NEVER, EAFNOSUPPORT},
	{"netlink crypto", AF_NETLINK, SOCK_RAW, NETLINK_CRYPTO, NEVER, EAFNOSUPPORT},
	{"vsock stream", AF_VSOCK, SOCK_STREAM, 0, NEVER, EAFNOSUPPORT},
	{"vsock datagram", AF_VSOCK, SOCK_DGRAM, 0, NEVER, EAFNOSUPPORT},
	{"XDP", AF_XDP, SOCK_RAW, 0, NEVER, EAFNOSUPPORT},
	{"ALG", 38, SOCK_SEQPACKET, 0, NEVER, EAFNOSUPPORT},
	{"SMC", 43, SOCK_STREAM, 0, NEVER, EAFNOSUPPORT},
	{"TIPC datagram", 30, SOCK_DGRAM, 0, NEVER, EAFNOSUPPORT},
	{"TIPC packets", 30, SOCK_SEQPACKET, 0, NEVER, EAFNOSUPPORT},
	{"RDS", 21, SOCK_SEQPACKET, 0, NEVER, EAFNOSUPPORT},
	{"RXRPC", 33, SOCK_DGRAM, AF_INET, NEVER, EAFNOSUPPORT},
	{"KCM datagram", 41, SOCK_DGRAM, 0, NEVER, EAFNOSUPPORT},
	{"KCM packets", 41, SOCK_SEQPACKET, 0, NEVER, EAFNOSUPPORT},
	{"PPPoX", 24, SOCK_STREAM, 0, NEVER, EAFNOSUPPORT},
	{"PPPoL2TP", 24, SOCK_DGRAM, 1, NEVER, EAFNOSUPPORT},
	{"CAN raw", 29, SOCK_RAW, 1, NEVER, EAFNOSUPPORT},
	{"CAN broadcast", 29, SOCK_DGRAM, 2, NEVER, EAFNOSUPPORT},
	{"Bluetooth L2CAP", 31, SOCK_SEQPACKET, 0, NEVER, EAFNOSUPPORT},
	{"Bluetooth RFCOMM", 31, SOCK_STREAM, 3, NEVER, EAFNOSUPPORT},
	{"Bluetooth HCI", 31, SOCK_RAW, 1, NEVER, EAFNOSUPPORT},
	{"NFC", 39, SOCK_SEQPACKET, 0, NEVER, EAFNOSUPPORT},
	{"QIPCRTR", 42, SOCK_DGRAM, 0, NEVER, EAFNOSUPPORT},
	{"MCTP", 45, SOCK_DGRAM, 0, NEVER, EAFNOSUPPORT},
	{"PF_KEY", 15, SOCK_RAW, 2, NEVER, EAFNOSUPPORT},
	{"AppleTalk", 5, SOCK_DGRAM, 0, NEVER, EAFNOSUPPORT},
	{"X.25", 9, SOCK_SEQPACKET, 0, NEVER, EAFNOSUPPORT},
	{"IPX", 4, SOCK_DGRAM, 0, NEVER, EAFNOSUPPORT},
	{"AX.25", 3, SOCK_DGRAM, 0, NEVER, EAFNOSUPPORT},
	{"ATM", 8, SOCK_DGRAM, 0, NEVER, EAFNOSUPPORT},
	{"LLC", 26, SOCK_STREAM, 0, NEVER, EAFNOSUPPORT},
	{"InfiniBand", 27, SOCK_DGRAM, 0, NEVER, EAFNOSUPPORT},
	{"IEEE 802.15.4", 36, SOCK_DGRAM, 0, NEVER, EAFNOSUPPORT},
	{"CAIF", 37, SOCK_SEQPACKET, 0, NEVER, EAFNOSUPPORT},
	{"phonet", 35, SOCK_DGRAM, 0, NEVER, EAFNOSUPPORT},
	{"a family to come", 46, SOCK_STREAM, 0, NEVER, EAFNOSUPPORT},
	{"a family far off", 1000, SOCK_DGRAM, 0, NEVER, EAFNOSUPPORT},
};
/* The last spelling has a flag in the type that the kernel refuses before it looks at the family: so what this machine lacks
 * is told from what the filter refuses. */
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]), UNKNOWN_FLAG = 4, SPELLINGS };

/* MAP_SHARED: the result of each kind in each spelling. */
static int (*results)[SPELLINGS];

/* The kernel looks at 32 bits of each argument, and takes two flags in the type. */
static int kind_open(const struct kind *kind, int spelling)
{
	unsigned long domain = (unsigned long)kind->domain, type = (unsigned long)kind->type;
	unsigned long protocol = (unsigned long)kind->protocol;

	if (spelling & 1)
		type |= SOCK_CLOEXEC | SOCK_NONBLOCK;
	if (spelling & 2) {
		domain |= HIGH;
		type |= HIGH << 31;
		protocol |= HIGH | HIGH << 7;
	}
	if (spelling == UNKNOWN_FLAG)
		type |= 0x100000;
	return (int)syscall(SYS_socket, domain, type, protocol);
}

static int kinds_try(void *context)
{
	(void)context;
	for (size_t i = 0; i < KINDS; i++)
		for (int spelling = 0; spelling < SPELLINGS; spelling++) {
			int fd = kind_open(&kinds[i], spelling);

			results[i][spelling] = fd < 0 ? errno : 0;
			if (fd >= 0)
				close(fd);
		}
	return 0;
}

static bool has(unsigned needs, enum need need)
{
	return (needs >> need & 1) != 0;
}

/* How many went wrong; each says so. `bare` is what this machine has: what is granted can be had as bare. */
static int results_judge(const char *name, unsigned needs, int bare[][SPELLINGS])
{
	int wrong = 0;

	for (size_t i = 0; i < KINDS; i++)
		for (int spelling = 0; spelling < SPELLINGS; spelling++) {
			bool granted = kinds[i].need != NEVER && has(needs, kinds[i].need);
			int expected = granted ? bare[i][spelling] : kinds[i].refused;

			if (results[i][spelling] == expected)
				continue;
			fprintf(stderr, "# %s: %s, spelling %d: %s and not %s\n", name, kinds[i].name,
			        spelling, result_name(results[i][spelling]), result_name(expected));
			wrong++;
		}
	return wrong;
}

static int bare_results[KINDS][SPELLINGS];

/* The control: what this machine makes bare, and what it lacks. */
static void bare_there_are_many_kinds_of_sockets(void **state)
{
	int open = 0;

	(void)state;
	assert_int_equal(attempt_bare(kinds_try, NULL), 0);
	memcpy(bare_results, results, sizeof(bare_results));
	for (size_t i = 0; i < KINDS; i++) {
		open += bare_results[i][0] == 0;
		if (bare_results[i][0] != 0)
			fprintf(stderr, "%s%s (%s)", open == (int)i ? "# no control here: " : ", ",
			        kinds[i].name, result_name(bare_results[i][0]));
		for (int spelling = 1; spelling < UNKNOWN_FLAG; spelling++)
			assert_int_equal(bare_results[i][spelling], bare_results[i][0]);
		assert_int_equal(bare_results[i][UNKNOWN_FLAG], EINVAL);
	}
	fprintf(stderr, "\n# %d of %d kinds of sockets can be had bare\n", open, KINDS);
	assert_true(open >= 20);
}

static int policy_play(const char *name, unsigned needs, const char *const policy[])
{
	memset(results, 0xff, KINDS * sizeof(*results));
	assert_int_equal(attempt_confined(policy, kinds_try, NULL), 0);
	return results_judge(name, needs | 1 << WITH_TCP, bare_results);
}

static void sockets_exist_only_where_a_rule_is_about_them(void **state)
{
	int wrong = 0;

	(void)state;
	wrong += policy_play("nothing", 0, POLICY());
	wrong += policy_play("TCP, one address", 0, POLICY("net-allow", "tcp://127.0.0.1:9"));
	wrong += policy_play("TCP, one port", 0, POLICY("net-allow", "tcp://:9"));
	wrong += policy_play("TCP, all", 0, POLICY("net-allow", "tcp://*"));
	wrong += policy_play("UDP, one address", 1 << WITH_UDP, POLICY("net-allow", "udp://127.0.0.1:9"));
	wrong += policy_play("UDP, all", 1 << WITH_UDP, POLICY("net-allow", "udp://*"));
	wrong += policy_play("ICMP, one address", 1 << WITH_ICMP, POLICY("net-allow", "icmp://127.0.0.1"));
	wrong += policy_play("ICMP, all", 1 << WITH_ICMP, POLICY("net-allow", "icmp://*"));
	wrong += policy_play("no scheme", 1 << WITH_UDP, POLICY("net-allow", "127.0.0.1:9"));
	wrong += policy_play("everything with ports", 1 << WITH_UDP, POLICY("net-allow", "*"));
	wrong += policy_play("unix", 1 << WITH_UNIX, POLICY("net-allow-unix", "*"));
	wrong += policy_play("unix and UDP", 1 << WITH_UNIX | 1 << WITH_UDP,
	                     POLICY("net-allow-unix", "*", "net-allow", "udp://127.0.0.1:9"));
	assert_int_equal(wrong, 0);
}

/* ... and UDP, by which resolvers ask. attack_datagram tells what it does not reach. */
static void a_named_host_brings_what_its_rule_is_about(void **state)
{
	int wrong = 0;

	(void)state;
	wrong += policy_play("name, TCP", 1 << WITH_UDP, POLICY("net-allow", "tcp://localhost:9"));
	wrong += policy_play("name, UDP", 1 << WITH_UDP, POLICY("net-allow", "udp://localhost:9"));
	assert_int_equal(wrong, 0);
}

/* A rule that is denied altogether leaves no sockets behind. */
static void what_is_denied_altogether_brings_no_sockets(void **state)
{
	int wrong = 0;

	(void)state;
	wrong += policy_play("UDP allowed and denied", 0,
	                     POLICY("net-allow", "udp://127.0.0.1:9", "net-deny", "udp://*"));
	wrong += policy_play("all but UDP", 0, POLICY("net-allow", "*", "net-deny", "udp://*"));
	assert_int_equal(wrong, 0);
}

/* What an ordinary user cannot have bare, and what the kernel would refuse to a confined root for want of a capability. */
static bool is_for_the_privileged(const struct kind *kind)
{
	return (kind->domain == AF_INET || kind->domain == AF_INET6)
	               ? kind->type == SOCK_RAW || kind->type == PACKET
	               : kind->domain == AF_PACKET || kind->domain == AF_XDP;
}

static int privileged_play(void)
{
	int wrong = privilege_keep(POLICY()), open = 0;

	wrong += attempt_bare(kinds_try, NULL) != 0;
	memcpy(bare_results, results, sizeof(bare_results));
	for (size_t i = 0; i < KINDS; i++) {
		if (!is_for_the_privileged(&kinds[i]))
			continue;
		open += bare_results[i][0] == 0;
		if (bare_results[i][0] != 0)
			fprintf(stderr, "# no control here: %s (%s)\n", kinds[i].name,
			        result_name(bare_results[i][0]));
		wrong += bare_results[i][0] != 0 && !is_absent(bare_results[i][0]);
	}
	wrong += open < PRIVILEGED_LEAST;
	wrong += policy_play("privileged, nothing", 0, POLICY());
	wrong += policy_play("privileged, TCP, one address", 0, POLICY("net-allow", "tcp://127.0.0.1:9"));
	wrong += policy_play("privileged, everything with ports", 1 << WITH_UDP, POLICY("net-allow", "*"));
	wrong += policy_play("privileged, ICMP, all", 1 << WITH_ICMP, POLICY("net-allow", "icmp://*"));
	return wrong;
}

static void sockets_for_the_privileged_are_refused_to_them_too(void **state)
{
	(void)state;
	PLAY_IN_OWN_NETWORK(privileged_play);
}

static int group_open(void **state)
{
	(void)state;
	results = mmap(NULL, sizeof(bare_results), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return results == MAP_FAILED ? -1 : 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bare_there_are_many_kinds_of_sockets),
		cmocka_unit_test(sockets_exist_only_where_a_rule_is_about_them),
		cmocka_unit_test(a_named_host_brings_what_its_rule_is_about),
		cmocka_unit_test(what_is_denied_altogether_brings_no_sockets),
		cmocka_unit_test(sockets_for_the_privileged_are_refused_to_them_too),
	};

	return cmocka_run_group_tests_name("families", tests, group_open, NULL);
}
