/* The filter against the policy in words: the assembled program is run by an interpreter of our own, for
 * every number, every ABI and every argument that could matter, and must say what the functions answer_*()
 * say.
 *
 * Those are written from security.md, parts 2.8, 2.11 and 4, in plain comparisons, and share no table with
 * the product but syscalls.def. The upper halves of the arguments are filled with garbage: the kernel
 * truncates int arguments, so a filter that looks at all 64 bits can be walked around.
 */
#include "tests/common/common.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/elf-em.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "confine/confine.h"
#include "supervise/gate.h"
#include "tests/common/plan_of.h"

/* The interpreter: classic BPF as seccomp(2) takes it, on a machine with one register. */

enum { INSTRUCTIONS_MAX = 4096 };
#define NO_ANSWER 0xdeadbeefu

/* Everything the kernel's checker asks of a program, and everything that program_run() relies on. */
static void program_check(const struct filter_program *program)
{
	assert_true(program->count > 0 && program->count <= INSTRUCTIONS_MAX);
	for (size_t at = 0; at < program->count; at++) {
		const struct sock_filter *code = &program->code[at];
		size_t left = program->count - at - 1;

		switch (code->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			assert_true(code->k % 4 == 0 && code->k < sizeof(struct seccomp_data));
			break;
		case BPF_ALU | BPF_AND | BPF_K:
		case BPF_RET | BPF_K:
			break;
		case BPF_JMP | BPF_JA:
			assert_true(code->k < left);
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
		case BPF_JMP | BPF_JGT | BPF_K:
		case BPF_JMP | BPF_JGE | BPF_K:
		case BPF_JMP | BPF_JSET | BPF_K:
			assert_true(code->jt < left && code->jf < left);
			break;
		default:
			fail_msg("instruction %zu: code %#x", at, code->code);
		}
	}
	assert_int_equal(program->code[program->count - 1].code, BPF_RET | BPF_K);
}

static bool jump_taken(const struct sock_filter *code, uint32_t a)
{
	switch (BPF_OP(code->code)) {
	case BPF_JEQ:
		return a == code->k;
	case BPF_JGT:
		return a > code->k;
	case BPF_JGE:
		return a >= code->k;
	}
	return (a & code->k) != 0;
}

static uint32_t program_run(const struct filter_program *program, const struct seccomp_data *data)
{
	uint32_t a = 0;

	for (size_t at = 0; at < program->count; at++) {
		const struct sock_filter *code = &program->code[at];

		switch (BPF_CLASS(code->code)) {
		case BPF_LD:
			memcpy(&a, (const char *)data + code->k, sizeof(a));
			break;
		case BPF_ALU:
			a &= code->k;
			break;
		case BPF_RET:
			return code->k;
		case BPF_JMP:
			if (BPF_OP(code->code) == BPF_JA)
				at += code->k;
			else
				at += jump_taken(code, a) ? code->jt : code->jf;
			break;
		}
	}
	return NO_ANSWER;
}

/* The model: what is to be said, by a world's facts. */

struct world {
	const char *name;
	const char *const *keys;
	struct kernel kernel;
	bool launch; /* not in place */
	/* what the keys and the kernel come to, stated anew */
	bool gate, nested, capable, old, unix_any, tcp_any, bind_some, bind_any, limited, sysv, mq;
	bool small_pages, fixed, cores; /* no-huge-pages, no-randomize-memory, cpu-cores */
	bool connects;                  /* the supervisor does */
	bool udp, icmp, sends, binds, interfaces, remap;
	bool named, cpus;
	bool counted;  /* processes are */
	bool measured; /* memory is */
	int denied[3]; /* 0 ends: nobody denies read(2) */
};

enum { GATE_PID = 4711 };

#define ALLOW        SECCOMP_RET_ALLOW
#define NOTIFY       SECCOMP_RET_USER_NOTIF
#define KILL         SECCOMP_RET_KILL_PROCESS
#define REFUSE(code) (SECCOMP_RET_ERRNO | (code))

typedef const struct world *world_t;

static uint32_t low(const struct seccomp_data *data, unsigned arg)
{
	return (uint32_t)data->args[arg];
}

/* Families, types and protocols that a rule can name. */
static uint32_t answer_datagrams(world_t world, uint32_t family, uint32_t protocol)
{
	uint32_t ping = family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6;

	if (protocol == 0 || protocol == IPPROTO_UDP)
		return world->udp ? ALLOW : REFUSE(EPERM);
	if (protocol == ping)
		return world->icmp ? ALLOW : REFUSE(EPERM);
	return REFUSE(EPROTONOSUPPORT);
}

static uint32_t answer_SOCKET(world_t world, const struct seccomp_data *data)
{
	uint32_t family = low(data, 0), type = low(data, 1) % 16, protocol = low(data, 2);

	if (family == AF_UNIX && type == SOCK_RAW) /* the kernel makes a datagram socket of it */
		return REFUSE(EACCES);
	if (family == AF_UNIX)
		return world->unix_any ? ALLOW : REFUSE(EACCES);
	if (family == AF_NETLINK && protocol == 0 && (type == SOCK_RAW || type == SOCK_DGRAM) &&
	    world->interfaces)
		return ALLOW;
	if (family != AF_INET && family != AF_INET6)
		return REFUSE(EAFNOSUPPORT);
	if (type == SOCK_DGRAM)
		return answer_datagrams(world, family, protocol);
	if (type == SOCK_RAW)
		return REFUSE(EPERM);
	if (type == SOCK_STREAM && (protocol == 0 || protocol == IPPROTO_TCP))
		return ALLOW;
	return REFUSE(EPROTONOSUPPORT); /* MPTCP and its like pass Landlock */
}

/* Datagram pairs can be pointed elsewhere later. */
static uint32_t answer_SOCKETPAIR(world_t world, const struct seccomp_data *data)
{
	uint32_t type = low(data, 1) % 16;

	if (low(data, 0) != AF_UNIX)
		return REFUSE(EAFNOSUPPORT);
	if (world->unix_any || type == SOCK_STREAM || type == SOCK_SEQPACKET)
		return ALLOW;
	return REFUSE(EPROTONOSUPPORT);
}

static uint32_t answer_CONNECT(world_t world, const struct seccomp_data *data)
{
	(void)data;
	if (world->connects)
		return NOTIFY;
	return world->nested && !world->tcp_any ? REFUSE(EACCES) : ALLOW;
}

/* Landlock judges TCP; the port of a UDP socket is in memory. A gate above would bind what its own policy grants. */
static uint32_t answer_BIND(world_t world, const struct seccomp_data *data)
{
	(void)data;
	if (world->nested && !world->bind_any)
		return REFUSE(EACCES);
	return world->binds ? NOTIFY : ALLOW;
}

/* It binds by itself where bind(2) was not called, and Landlock does not see that: a supervisor looks. */
static uint32_t answer_LISTEN(world_t world, const struct seccomp_data *data)
{
	(void)data;
	if (world->bind_any)
		return world->remap ? NOTIFY : ALLOW;
	if (world->nested || (!world->bind_some && !world->unix_any))
		return REFUSE(EACCES);
	return world->gate ? NOTIFY : ALLOW;
}

/* Without an address nothing is shown. */
static uint32_t answer_ACCEPT(world_t world, const struct seccomp_data *data)
{
	return world->remap && data->args[1] != 0 ? NOTIFY : ALLOW;
}

static uint32_t answer_ACCEPT4(world_t world, const struct seccomp_data *data)
{
	return answer_ACCEPT(world, data);
}

static uint32_t answer_GETSOCKNAME(world_t world, const struct seccomp_data *data)
{
	(void)data;
	return world->remap ? NOTIFY : ALLOW;
}

static uint32_t answer_GETPEERNAME(world_t world, const struct seccomp_data *data)
{
	(void)data;
	return world->remap ? NOTIFY : ALLOW;
}

/* security.md, 2.8: what re-routes an allowed connection, attaches programs or loads code. */
static uint32_t answer_SETSOCKOPT(world_t world, const struct seccomp_data *data)
{
	uint32_t level = low(data, 1), name = low(data, 2);

	if (level == 132) /* SCTP: connects by option */
		return REFUSE(EPERM);
	if (level == IPPROTO_UDP && name == 100) /* ENCAP */
		return REFUSE(EPERM);
	if (level == SOL_SOCKET && name == 60 && world->sends) /* ZEROCOPY: of whose pages? */
		return REFUSE(EOPNOTSUPP);
	if (level == SOL_SOCKET) {
		switch (name) {
		case 25: /* BINDTODEVICE */
		case 26: /* ATTACH_FILTER */
		case 27: /* DETACH_FILTER */
		case 36: /* MARK */
		case 50: /* ATTACH_BPF */
		case 51: /* ATTACH_REUSEPORT_CBPF */
		case 52: /* ATTACH_REUSEPORT_EBPF */
		case 62: /* BINDTOIFINDEX */
			return REFUSE(EPERM);
		}
	}
	if (level == IPPROTO_IP && (name == 4 || name == 15 || name == 19 || name == 50))
		return REFUSE(EPERM); /* IP_OPTIONS, FREEBIND, TRANSPARENT, UNICAST_IF */
	if (level == IPPROTO_IPV6) {
		switch (name) {
		case 3:  /* 2292HOPOPTS */
		case 4:  /* 2292DSTOPTS */
		case 5:  /* 2292RTHDR */
		case 6:  /* 2292PKTOPTIONS */
		case 32: /* FLOWLABEL_MGR */
		case 50: /* PKTINFO */
		case 54: /* HOPOPTS */
		case 55: /* RTHDRDSTOPTS */
		case 57: /* RTHDR */
		case 59: /* DSTOPTS */
		case 75: /* TRANSPARENT */
		case 76: /* UNICAST_IF */
		case 78: /* FREEBIND */
			return REFUSE(EPERM);
		}
	}
	if (level == IPPROTO_TCP && (name == 19 || name == 31))
		return REFUSE(EPERM); /* REPAIR, ULP */
	return ALLOW;
}

static uint32_t answer_GETSOCKOPT(world_t world, const struct seccomp_data *data)
{
	(void)world;
	return low(data, 1) == 132 ? REFUSE(EPERM) : ALLOW;
}

/* Fast open connects without connect(2). */
static uint32_t answer_send(world_t world, uint32_t flags, bool maybe_address)
{
	if ((!world->tcp_any || world->remap) && (flags & 0x20000000))
		return REFUSE(EOPNOTSUPP);
	return world->sends && maybe_address ? NOTIFY : ALLOW;
}

static uint32_t answer_SENDTO(world_t world, const struct seccomp_data *data)
{
	return answer_send(world, low(data, 3), data->args[4] != 0);
}

static uint32_t answer_SENDMSG(world_t world, const struct seccomp_data *data)
{
	return answer_send(world, low(data, 2), true);
}

static uint32_t answer_SENDMMSG(world_t world, const struct seccomp_data *data)
{
	return answer_send(world, low(data, 3), true);
}

static uint32_t answer_UNAME(world_t world, const struct seccomp_data *data)
{
	(void)data;
	return world->named ? NOTIFY : ALLOW;
}

static uint32_t answer_SCHED_GETAFFINITY(world_t world, const struct seccomp_data *data)
{
	(void)data;
	return world->cpus ? NOTIFY : ALLOW;
}

/* Only what reads a file can be shown another one. */
static uint32_t answer_open_flags(world_t world, uint32_t flags)
{
	/* O_WRONLY, O_RDWR; O_CREAT, O_TRUNC, O_DIRECTORY, O_PATH, the bit of O_TMPFILE */
	bool reads = (flags & 3) == 0 && !(flags & (0100 | 01000 | 0200000 | 010000000 | 020000000));

	return (world->named || world->cpus) && reads ? NOTIFY : ALLOW;
}

static uint32_t answer_OPEN(world_t world, const struct seccomp_data *data)
{
	return answer_open_flags(world, low(data, 1));
}

static uint32_t answer_OPENAT(world_t world, const struct seccomp_data *data)
{
	return answer_open_flags(world, low(data, 2));
}

static uint32_t answer_OPENAT2(world_t world, const struct seccomp_data *data)
{
	(void)data;
	return world->named || world->cpus ? NOTIFY : ALLOW;
}

static uint32_t answer_CLONE(world_t world, const struct seccomp_data *data)
{
	uint32_t flags = low(data, 0);

	if (flags & (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |
	             CLONE_NEWPID | CLONE_NEWNET))
		return REFUSE(EPERM);
	if ((flags & CLONE_PARENT) || (flags & CLONE_UNTRACED))
		return REFUSE(EPERM);
	/* Without PIDFD_THREAD the supervisor takes the leader's descriptors for the thread's. */
	if (world->gate && world->old && (flags & CLONE_THREAD) && !(flags & CLONE_FILES))
		return REFUSE(EPERM);
	return world->counted && !(flags & CLONE_THREAD) ? NOTIFY : ALLOW;
}

static uint32_t answer_FORK(world_t world, const struct seccomp_data *data)
{
	(void)data;
	return world->counted ? NOTIFY : ALLOW;
}

/* CLONE_THREAD alone changes nothing and tells whether there are other threads. */
static uint32_t answer_UNSHARE(world_t world, const struct seccomp_data *data)
{
	(void)world;
	return low(data, 0) == CLONE_THREAD ? ALLOW : REFUSE(EPERM);
}

static uint32_t answer_SECCOMP(world_t world, const struct seccomp_data *data)
{
	if (low(data, 0) == 0x534c5543) /* our own question */
		return REFUSE(world->gate || world->nested ? EALREADY : EISCONN);
	if (low(data, 0) == 1 && (low(data, 1) & 8)) /* SET_MODE_FILTER, NEW_LISTENER */
		return REFUSE(EBUSY);
	return ALLOW;
}

static uint32_t answer_PRCTL(world_t world, const struct seccomp_data *data)
{
	switch (low(data, 0)) {
	case 4: /* SET_DUMPABLE: off is pretended where the supervisor could not see in any more */
		return (world->gate || world->measured) && !world->capable && low(data, 1) == 0 ? REFUSE(0)
		                                                                                : ALLOW;
	case 41: /* SET_THP_DISABLE: on again, or for some */
		return world->small_pages && (low(data, 1) == 0 || low(data, 2) != 0) ? REFUSE(EPERM) : ALLOW;
	case 36: /* SET_CHILD_SUBREAPER */
		return world->counted ? NOTIFY : ALLOW;
	case 35:         /* SET_MM */
	case 62:         /* SCHED_CORE */
	case 0x59616d61: /* SET_PTRACER */
		return REFUSE(EPERM);
	}
	return ALLOW;
}

static uint32_t answer_PRLIMIT64(world_t world, const struct seccomp_data *data)
{
	if (low(data, 0) != 0)
		return REFUSE(EPERM);
	/* A pointer has 64 bits. */
	return world->limited && low(data, 1) == 1 && data->args[2] != 0 ? REFUSE(EPERM) : ALLOW;
}

static uint32_t answer_SETRLIMIT(world_t world, const struct seccomp_data *data)
{
	return world->limited && low(data, 0) == 1 ? REFUSE(EPERM) : ALLOW;
}

/* What fills or punches inside of a file is held by the limit; the rest grows one past it. */
static uint32_t answer_FALLOCATE(world_t world, const struct seccomp_data *data)
{
	uint32_t mode = low(data, 1);

	return world->limited && mode != 0 && mode != 3 ? REFUSE(EOPNOTSUPP) : ALLOW;
}

/* A group or all of a user's processes hold others too; one process does, unless it is the supervisor. */
static uint32_t answer_one(world_t world, bool one, uint32_t pid)
{
	return !one || ((world->gate || world->measured) && (pid == GATE_PID || pid == KEEPER_LATER))
	               ? REFUSE(EPERM)
	               : ALLOW;
}

static uint32_t answer_SETPRIORITY(world_t world, const struct seccomp_data *data)
{
	return answer_one(world, low(data, 0) == 0, low(data, 1));
}

static uint32_t answer_IOPRIO_SET(world_t world, const struct seccomp_data *data)
{
	return answer_one(world, low(data, 0) == 1, low(data, 1));
}

static uint32_t answer_SCHED_SETAFFINITY(world_t world, const struct seccomp_data *data)
{
	return world->cores ? REFUSE(EPERM) : answer_one(world, true, low(data, 0));
}

static uint32_t answer_SCHED_SETPARAM(world_t world, const struct seccomp_data *data)
{
	return answer_one(world, true, low(data, 0));
}

static uint32_t answer_SCHED_SETSCHEDULER(world_t world, const struct seccomp_data *data)
{
	return answer_one(world, true, low(data, 0));
}

static uint32_t answer_SCHED_SETATTR(world_t world, const struct seccomp_data *data)
{
	return answer_one(world, true, low(data, 0));
}

/* What types for the user, loads line disciplines, or reaches the console, the host's interfaces, routes and
 * radios. <linux/sockios.h>: routes begin with SIOCADDRT, below are questions about one's own socket. */
static uint32_t answer_IOCTL(world_t world, const struct seccomp_data *data)
{
	uint32_t request = low(data, 1);

	switch (request) {
	case 0x5412: /* TIOCSTI */
	case 0x541c: /* TIOCLINUX */
	case 0x541d: /* TIOCCONS */
	case 0x5423: /* TIOCSETD */
	case 0x5437: /* TIOCVHANGUP */
	case 0xaa00: /* USERFAULTFD_IOC_NEW: E12, pages that stall */
		return REFUSE(EPERM);
	}
	if (request >= 0x4b00 && request <= 0x4bff) /* keyboard, fonts: ioctl_console(2) */
		return REFUSE(EPERM);
	if (request >= 0x5600 && request <= 0x56ff) /* virtual terminals */
		return REFUSE(EPERM);
	if (request >= SIOCADDRT && request <= 0x89ff)
		return world->interfaces ? ALLOW : REFUSE(EPERM);
	if (request >= 0x8b00 && request <= 0x8bff) /* SIOCSIW*: <linux/wireless.h> */
		return REFUSE(EPERM);
	return ALLOW;
}

static uint32_t answer_PERSONALITY(world_t world, const struct seccomp_data *data)
{
	switch (low(data, 0)) {
	case 0x40000: /* ADDR_NO_RANDOMIZE */
		return world->fixed ? ALLOW : REFUSE(EPERM);
	case 0:
	case 8:
	case 0x20000:
	case 0x20008:
	case 0xffffffff:
		return ALLOW;
	}
	return REFUSE(EPERM);
}

/* S_ISUID, S_ISGID */
static uint32_t answer_mode(uint32_t mode)
{
	return (mode & 04000) || (mode & 02000) ? REFUSE(EPERM) : ALLOW;
}

static uint32_t answer_CHMOD(world_t world, const struct seccomp_data *data)
{
	(void)world;
	return answer_mode(low(data, 1));
}

static uint32_t answer_FCHMOD(world_t world, const struct seccomp_data *data)
{
	(void)world;
	return answer_mode(low(data, 1));
}

static uint32_t answer_FCHMODAT(world_t world, const struct seccomp_data *data)
{
	(void)world;
	return answer_mode(low(data, 2));
}

static uint32_t answer_FCHMODAT2(world_t world, const struct seccomp_data *data)
{
	(void)world;
	return answer_mode(low(data, 2));
}

static uint32_t answer_SYSV_IPC(world_t world, const struct seccomp_data *data)
{
	(void)data;
	return world->sysv ? ALLOW : REFUSE(EPERM);
}

static uint32_t answer_POSIX_MQ(world_t world, const struct seccomp_data *data)
{
	(void)data;
	return world->mq ? ALLOW : REFUSE(EPERM);
}

#define ROW_ALLOW(world, data, value) ALLOW
#define ROW_ERRNO(world, data, value) REFUSE(value)
#define ROW_SLOT(world, data, value)  answer_##value(world, data)

static uint32_t number_answer(world_t world, const struct seccomp_data *data)
{
	switch (data->nr) {
#define SYSCALL(number, name, kind, value) \
	case number:                       \
		return ROW_##kind(world, data, value);
#include "core/syscalls.def"
#undef SYSCALL
	}
	return REFUSE(ENOSYS);
}

/* Arch first, x32 second, then numbers: security.md, part 4. */
static uint32_t answer(world_t world, const struct seccomp_data *data)
{
	if (data->arch != AUDIT_ARCH_X86_64)
		return KILL;
	/* -1 is no call of any ABI: a tracer's way to skip one. */
	if (data->nr == -1)
		return REFUSE(ENOSYS);
	if ((uint32_t)data->nr >= 0x40000000)
		return KILL;
	for (size_t i = 0; i < 3 && world->denied[i] != 0; i++)
		if (world->denied[i] == data->nr)
			return REFUSE(EPERM);
	return number_answer(world, data);
}

/* The worlds. */

#define ADDRESSES "net-allow", "tcp://10.0.0.0/8:443"

static const struct world worlds[] = {
	{.name = "nothing granted", .keys = POLICY()},
	{.name = "ports", .keys = POLICY("net-allow", "tcp://:443")},
	{.name = "supervised", .keys = POLICY(ADDRESSES), .gate = true, .connects = true},
	{.name = "supervised by a capable one",
         .keys = POLICY(ADDRESSES),
         .kernel = {.ptrace_capable = true},
         .gate = true,
         .connects = true,
         .capable = true},
	{.name = "supervised before PIDFD_THREAD",
         .keys = POLICY(ADDRESSES),
         .gate = true,
         .connects = true,
         .old = true},
	{.name = "alone before PIDFD_THREAD", .keys = POLICY(), .old = true},
	{.name = "unix", .keys = POLICY("net-allow-unix", "*"), .unix_any = true},
	{.name = "supervised, unix",
         .keys = POLICY("net-allow-unix", "*", ADDRESSES),
         .unix_any = true,
         .connects = true,
         .gate = true},
	{.name = "any",
         .keys = POLICY("net-allow", "*", "net-allow-bind", "udp://*"),
         .tcp_any = true,
         .udp = true},
	{.name = "any TCP", .keys = POLICY("net-allow", "tcp://*"), .tcp_any = true},
	{.name = "any, but UDP ports to bind",
         .keys = POLICY("net-allow", "*"),
         .tcp_any = true,
         .udp = true,
         .gate = true,
         .binds = true},
	{.name = "a port of both",
         .keys = POLICY("net-allow", ":443"),
         .udp = true,
         .gate = true,
         .connects = true,
         .sends = true,
         .binds = true},
	{.name = "UDP to one",
         .keys = POLICY("net-allow", "udp://192.0.2.1:53", "net-allow-bind", "*"),
         .udp = true,
         .gate = true,
         .connects = true,
         .sends = true,
         .bind_any = true},
	{.name = "a UDP server without a client",
         .keys = POLICY("net-allow-bind", "udp://5353"),
         .udp = true,
         .gate = true,
         .connects = true,
         .sends = true,
         .binds = true},
	{.name = "any ping", .keys = POLICY("net-allow", "icmp://*"), .icmp = true},
	{.name = "ping to one",
         .keys = POLICY("net-allow", "icmp://192.0.2.1"),
         .icmp = true,
         .gate = true,
         .connects = true,
         .sends = true},
	{.name = "interfaces", .keys = POLICY("net-interfaces", "yes"), .interfaces = true},
	{.name = "all but",
         .keys = POLICY("net-allow", "tcp://*", "net-deny", "10.0.0.0/8"),
         .gate = true,
         .connects = true},
	{.name = "bind", .keys = POLICY("net-allow-bind", "80"), .bind_some = true},
	{.name = "bind any", .keys = POLICY("net-allow-bind", "*"), .bind_any = true},
	{.name = "bind any but",
         .keys = POLICY("net-allow-bind", "*", "net-deny-bind", "80"),
         .bind_some = true},
	{.name = "remap",
         .keys = POLICY("net-allow", "tcp://*", "net-allow-bind", "tcp://80", "port-remap", ""),
         .tcp_any = true,
         .gate = true,
         .connects = true,
         .binds = true,
         .bind_some = true,
         .remap = true},
	{.name = "remap, any",
         .keys = POLICY("net-allow", "*", "net-allow-bind", "*", "port-remap", ""),
         .tcp_any = true,
         .udp = true,
         .gate = true,
         .connects = true,
         .sends = true,
         .binds = true,
         .bind_any = true,
         .remap = true},
	{.name = "a host name", .keys = POLICY("name", "box"), .gate = true, .named = true},
	{.name = "CPUs", .keys = POLICY("num-cpus", "2"), .gate = true, .cpus = true},
	{.name = "both views",
         .keys = POLICY("num-cpus", "2", "name", "box", ADDRESSES),
         .gate = true,
         .connects = true,
         .named = true,
         .cpus = true},
	{.name = "supervised, bind",
         .keys = POLICY(ADDRESSES, "net-allow-bind", "80"),
         .gate = true,
         .connects = true,
         .bind_some = true},
	{.name = "max-file-size", .keys = POLICY("max-file-size", "1G"), .limited = true},
	{.name = "a process set up",
         .keys = POLICY("no-huge-pages", "", "no-randomize-memory", "", "cpu-cores", "0"),
         .small_pages = true,
         .fixed = true,
         .cores = true},
	{.name = "a process set up, supervised",
         .keys = POLICY("no-huge-pages", "", "no-randomize-memory", "", "cpu-cores", "0", ADDRESSES),
         .gate = true,
         .connects = true,
         .small_pages = true,
         .fixed = true,
         .cores = true},
	{.name = "max-processes",
         .launch = true,
         .keys = POLICY("max-processes", "7"),
         .gate = true,
         .counted = true},
	{.name = "max-memory",
         .launch = true,
         .keys = POLICY("max-memory", "1G"),
         .measured = true,
         .denied = {278}},
	{.name = "denied",
         .keys = POLICY("deny-syscall", "chown,socket", "deny-syscall", "futex_requeue"),
         .denied = {92, 41, 456}},
	{.name = "groups", .keys = POLICY("allow-syscalls", "sysv_ipc,posix_mq"), .sysv = true, .mq = true},
	{.name = "sysv only", .keys = POLICY("allow-syscalls", "sysv_ipc"), .sysv = true},
	{.name = "under a filter", .keys = POLICY(), .kernel = {.under_filter = true}},
	{.name = "under a gate",
         .keys = POLICY(),
         .kernel = {.under_filter = true, .under_gate = true},
         .nested = true},
	{.name = "under a gate, any TCP",
         .keys = POLICY("net-allow", "tcp://*"),
         .kernel = {.under_filter = true, .under_gate = true},
         .nested = true,
         .tcp_any = true},
	{.name = "under a gate, any bind",
         .keys = POLICY("net-allow-bind", "*"),
         .kernel = {.under_filter = true, .under_gate = true},
         .nested = true,
         .bind_any = true},
	{.name = "everything",
         .keys = POLICY("net-allow", "10.0.0.0/8:443", "net-allow", "icmp://*", "net-allow-unix", "*",
                        "net-allow-bind", "*", "max-file-size", "1", "deny-syscall", "kill,tkill,tgkill",
                        "allow-syscalls", "sysv_ipc,posix_mq", "net-interfaces", ""),
         .gate = true,
         .connects = true,
         .udp = true,
         .icmp = true,
         .sends = true,
         .binds = true,
         .interfaces = true,
         .unix_any = true,
         .bind_any = true,
         .limited = true,
         .sysv = true,
         .mq = true,
         .denied = {62, 200, 234}},
};
enum { WORLD_COUNT = sizeof(worlds) / sizeof(worlds[0]) };

static struct filter_program programs[WORLD_COUNT];

static void program_of(struct filter_program *program, world_t world)
{
	sl_policy *policy = policy_of(world->keys);
	struct kernel kernel = kernel_full;
	struct plan plan;
	sl_error error;

	kernel.under_filter = world->kernel.under_filter;
	kernel.under_gate = world->kernel.under_gate;
	kernel.ptrace_capable = world->kernel.ptrace_capable;
	kernel.pidfd_thread = !world->old;
	if (plan_of(&plan, policy, &kernel, PLAN_LAUNCH, &error) < 0)
		fail_msg("%s: %s", world->name, error.message);
	assert_int_equal(plan.supervised, world->gate);
	assert_int_equal(filter_assemble(program, &plan, world->gate || world->measured ? GATE_PID : 0), 0);
	plan_clear(&plan);
	sl_policy_free(policy);
}

static int worlds_make(void **state)
{
	(void)state;
	for (size_t i = 0; i < WORLD_COUNT; i++)
		program_of(&programs[i], &worlds[i]);
	return 0;
}

static int worlds_clear(void **state)
{
	(void)state;
	for (size_t i = 0; i < WORLD_COUNT; i++)
		filter_clear(&programs[i]);
	return 0;
}

static unsigned long long compared;

static void compare(size_t world, const struct seccomp_data *data)
{
	uint32_t wanted = answer(&worlds[world], data), got = program_run(&programs[world], data);

	compared++;
	if (got != wanted)
		fail_msg(
			"%s: arch %#x, number %d (%#x), arguments %#llx %#llx %#llx %#llx: %#x, expected %#x",
			worlds[world].name, data->arch, data->nr, (unsigned)data->nr, data->args[0],
			data->args[1], data->args[2], data->args[3], got, wanted);
}

static void every_program_is_well_formed(void **state)
{
	(void)state;
	for (size_t i = 0; i < WORLD_COUNT; i++)
		program_check(&programs[i]);
}

/* i386 and x32 as security.md has them; aarch64, and x86_64 with a bit more or less. */
static const uint32_t archs[] = {
	AUDIT_ARCH_X86_64,
	AUDIT_ARCH_I386,
	AUDIT_ARCH_AARCH64,
	AUDIT_ARCH_X86_64 & ~(uint32_t)__AUDIT_ARCH_LE,
	EM_X86_64 | __AUDIT_ARCH_LE,
	0,
	UINT32_MAX,
};

static void every_number_of_every_abi_is_answered_as_written(void **state)
{
	static const uint32_t bits[] = {0,          0x40000000, 0x80000000, 0xc0000000,
	                                0x20000000, 0x10000,    0x800,      0x400};
	static const uint64_t fill[] = {0, 1, 0xffffffff, 1ULL << 32, ~0ULL << 32, UINT64_MAX, GATE_PID};

	(void)state;
	for (size_t world = 0; world < WORLD_COUNT; world++) {
		for (size_t arch = 0; arch < sizeof(archs) / sizeof(archs[0]); arch++) {
			for (uint32_t number = 0; number < 1024 * 8; number++) {
				struct seccomp_data data = {
					.nr = (int)(number / 8 | bits[number % 8]),
					.arch = archs[arch],
					.instruction_pointer = number * 0x123456789abcdefULL,
				};

				for (size_t i = 0; i < sizeof(fill) / sizeof(fill[0]); i++) {
					for (size_t arg = 0; arg < 6; arg++)
						data.args[arg] = fill[i];
					compare(world, &data);
				}
			}
		}
	}
}

static void odd_numbers_are_refused(void **state)
{
	static const uint32_t numbers[] = {
		UINT32_MAX, UINT32_MAX - 1, 0x7fffffff, 0x80000000, 0x3fffffff, 0x40000000, 0x40000001,
		0x4fffffff, 0xbfffffff,     0xc0000000, 0xfffffc00, 0xffff0000, 0x0000ffff, 0x00010000,
	};

	(void)state;
	for (size_t world = 0; world < WORLD_COUNT; world++)
		for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
			for (size_t arch = 0; arch < sizeof(archs) / sizeof(archs[0]); arch++) {
				struct seccomp_data data = {.nr = (int)numbers[i], .arch = archs[arch]};
				uint32_t got = program_run(&programs[world], &data);

				compare(world, &data);
				assert_true(got == KILL || got == REFUSE(ENOSYS));
			}
}

/* Every number that is not in the table, at random too. */
static void unknown_numbers_get_enosys(void **state)
{
	uint64_t seed = 1;

	(void)state;
	for (size_t i = 0; i < 1000000; i++) {
		struct seccomp_data data = {.arch = AUDIT_ARCH_X86_64};

		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		data.nr = (int)(seed >> 33 & 0x3fffffff);
		compare(i % WORLD_COUNT, &data);
	}
}

/* Arguments: a slot's values for each argument, crossed, each of them with each upper half. */

enum { VALUES_MAX = 70000, ARGS_SWEPT = 5 };
struct values {
	uint32_t at[VALUES_MAX];
	size_t count;
};
static struct values sweep[ARGS_SWEPT];

static void sweep_clear(void)
{
	for (size_t arg = 0; arg < ARGS_SWEPT; arg++)
		sweep[arg].count = 0;
}

static void value(unsigned arg, uint32_t value)
{
	assert_true(sweep[arg].count < VALUES_MAX);
	sweep[arg].at[sweep[arg].count++] = value;
}

static void range(unsigned arg, uint32_t first, uint32_t last)
{
	for (uint32_t i = first; i <= last; i++)
		value(arg, i);
}

/* What is wrong by sign, by a bit or by a half. */
static void edges(unsigned arg)
{
	static const uint32_t at[] = {0x7fffffff, 0x80000000, 0x80000001, 0xfffffffe,
	                              0xffffffff, 0x10000,    0x10001,    0x100};

	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++)
		value(arg, at[i]);
}

static void bits(unsigned arg)
{
	for (unsigned i = 0; i < 32; i++)
		value(arg, 1u << i);
}

static void bit_pairs(unsigned arg)
{
	value(arg, 0);
	for (unsigned i = 0; i < 32; i++)
		for (unsigned j = 0; j <= i; j++) {
			value(arg, 1u << i | 1u << j);
			value(arg, ~(1u << i | 1u << j));
		}
}

static void sweep_socket(void)
{
	range(0, 0, 47);
	edges(0);
	for (uint32_t type = 0; type < 16; type++) {
		value(1, type);
		value(1, type | SOCK_CLOEXEC | SOCK_NONBLOCK);
		value(1, type | 0x10);
		value(1, type | 0xfffffff0);
	}
	range(2, 0, 8);
	value(2, IPPROTO_UDP);
	value(2, IPPROTO_ICMPV6);
	value(2, 132);
	value(2, IPPROTO_RAW);
	value(2, 256 + IPPROTO_TCP);
	value(2, 262);
	value(2, 0xffffffff);
	value(2, 0x80000006);
}

static void sweep_option(void)
{
	static const uint32_t levels[] = {0,   1,   2,   6,   17,  41,  58,  132, 133,
	                                  136, 255, 256, 257, 262, 263, 270, 284};

	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
		value(1, levels[i]);
	edges(1);
	range(2, 0, 300);
	edges(2);
}

static void sweep_flags(unsigned arg)
{
	bit_pairs(arg);
	edges(arg);
}

static void sweep_pid(unsigned which, unsigned pid)
{
	if (which != pid) {
		range(which, 0, 5);
		edges(which);
	}
	range(pid, 0, 3);
	value(pid, GATE_PID - 1);
	value(pid, GATE_PID);
	value(pid, GATE_PID + 1);
	value(pid, GATE_PID | 0x10000);
	value(pid, KEEPER_LATER);
	value(pid, KEEPER_LATER - 1);
	value(pid, (uint32_t)-GATE_PID);
	edges(pid);
}

static void sweep_prctl(void)
{
	range(0, 0, 100);
	range(0, 0x59616d60, 0x59616d62);
	value(0, 0x53564d41);
	edges(0);
	range(1, 0, 3);
	edges(1);
	range(2, 0, 3);
	edges(2);
}

static void sweep_limit(unsigned resource)
{
	if (resource == 1) {
		range(0, 0, 2);
		value(0, GATE_PID);
		edges(0);
	}
	range(resource, 0, 17);
	edges(resource);
	value(resource + 1, 0);
	value(resource + 1, 1);
	value(resource + 1, 0x80000000);
	value(resource + 1, 0xffffffff);
}

static void sweep_seccomp(void)
{
	range(0, 0, 5);
	range(0, 0x534c5542, 0x534c5544);
	edges(0);
	bit_pairs(1);
}

static void sweep_request(void)
{
	range(1, 0, 0xffff);
	for (unsigned bit = 16; bit < 32; bit++) {
		value(1, 1u << bit | 0x5412);
		value(1, 1u << bit | 0x541c);
		value(1, 1u << bit | 0x5423);
		value(1, 1u << bit | 0x4b00);
		value(1, 1u << bit | 0x5600);
		value(1, 1u << bit | 0x890b);
		value(1, 1u << bit | 0x8913);
	}
	edges(1);
}

static void sweep_persona(void)
{
	range(0, 0, 0x40);
	range(0, 0x1fff0, 0x20020);
	value(0, 0x0040000);
	value(0, 0x0400000);
	value(0, 0x0020000 | 0x0040000);
	bits(0);
	edges(0);
}

static void sweep_mode(unsigned arg)
{
	range(arg, 0, 0177777);
	edges(arg);
}

static void sweep_slot(enum slot slot)
{
	sweep_clear();
	switch (slot) {
	case SLOT_SOCKET:
	case SLOT_SOCKETPAIR:
		sweep_socket();
		return;
	case SLOT_SETSOCKOPT:
	case SLOT_GETSOCKOPT:
		sweep_option();
		return;
	case SLOT_SENDTO:
		sweep_flags(3);
		value(4, 0);
		value(4, 1);
		value(4, 0x80000000);
		return;
	case SLOT_SENDMMSG:
		sweep_flags(3);
		edges(2);
		return;
	case SLOT_SENDMSG:
		sweep_flags(2);
		edges(3);
		return;
	case SLOT_UNSHARE:
	case SLOT_CLONE:
		sweep_flags(0);
		value(0, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM);
		value(0, CLONE_VM | CLONE_FS | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM);
		value(0, CLONE_VM | CLONE_VFORK | 17);
		return;
	case SLOT_SECCOMP:
		sweep_seccomp();
		return;
	case SLOT_PRCTL:
		sweep_prctl();
		return;
	case SLOT_PRLIMIT64:
		sweep_limit(1);
		return;
	case SLOT_SETRLIMIT:
		sweep_limit(0);
		return;
	case SLOT_FALLOCATE:
		range(1, 0, 0xff);
		bits(1);
		edges(1);
		return;
	case SLOT_SETPRIORITY:
	case SLOT_IOPRIO_SET:
		sweep_pid(0, 1);
		return;
	case SLOT_SCHED_SETAFFINITY:
	case SLOT_SCHED_SETPARAM:
	case SLOT_SCHED_SETSCHEDULER:
	case SLOT_SCHED_SETATTR:
		sweep_pid(0, 0);
		return;
	case SLOT_IOCTL:
		sweep_request();
		return;
	case SLOT_PERSONALITY:
		sweep_persona();
		return;
	case SLOT_CHMOD:
	case SLOT_FCHMOD:
		sweep_mode(1);
		return;
	case SLOT_FCHMODAT:
	case SLOT_FCHMODAT2:
		sweep_mode(2);
		return;
	case SLOT_OPEN:
		sweep_flags(1);
		return;
	case SLOT_OPENAT:
		sweep_flags(2);
		return;
	case SLOT_UNAME:
	case SLOT_SCHED_GETAFFINITY:
	case SLOT_OPENAT2:
	case SLOT_ACCEPT:
	case SLOT_ACCEPT4:
		value(1, 0);
		value(1, 1);
		value(1, 0x80000000);
		edges(3);
		return;
	case SLOT_FORK:
	case SLOT_GETSOCKNAME:
	case SLOT_GETPEERNAME:
	case SLOT_CONNECT:
	case SLOT_BIND:
	case SLOT_LISTEN:
	case SLOT_SYSV_IPC:
	case SLOT_POSIX_MQ:
		sweep_pid(0, 1);
		edges(2);
		return;
	case SLOT_COUNT:
		break;
	}
	fail_msg("slot %d has no values to try", slot);
}

static const uint64_t halves[] = {0, 1ULL << 32, ~0ULL << 32};

/* `number` with all that sweep[] holds: one argument after the other, each value with each upper half. An
 * argument without values is garbage. */
static void sweep_run(struct seccomp_data *data, unsigned arg)
{
	if (arg == ARGS_SWEPT) {
		for (size_t world = 0; world < WORLD_COUNT; world++)
			compare(world, data);
		return;
	}
	if (sweep[arg].count == 0) {
		data->args[arg] = 0xfeedfacecafef00dULL;
		sweep_run(data, arg + 1);
		return;
	}
	for (size_t i = 0; i < sweep[arg].count; i++) {
		for (size_t half = 0; half < 3; half++) {
			data->args[arg] = sweep[arg].at[i] | halves[half];
			sweep_run(data, arg + 1);
		}
	}
}

static void sweep_number(int number)
{
	struct seccomp_data data = {.nr = number, .arch = AUDIT_ARCH_X86_64, .args = {0, 0, 0, 0, ~0ULL, 1}};

	sweep_run(&data, 0);
}

static void arguments_are_judged_as_written(enum slot slot)
{
	size_t calls = 0;

	sweep_slot(slot);
	for (size_t i = 0; i < syscall_count; i++) {
		if (syscall_rows[i].kind != SYSCALL_SLOT || syscall_rows[i].value != (int)slot)
			continue;
		sweep_number(syscall_rows[i].number);
		calls++;
	}
	assert_true(calls > 0);
}

#define SLOT(name)                                            \
	static void arguments_of_##name(void **state)         \
	{                                                     \
		(void)state;                                  \
		arguments_are_judged_as_written(SLOT_##name); \
	}
#include "core/slots.def"
#undef SLOT

/* The table. */

static void the_table_is_sorted_and_unique(void **state)
{
	(void)state;
	for (size_t i = 1; i < syscall_count; i++)
		if (syscall_rows[i - 1].number >= syscall_rows[i].number)
			fail_msg("%s behind %s", syscall_rows[i].name, syscall_rows[i - 1].name);
	for (size_t i = 0; i < syscall_count; i++) {
		assert_ptr_equal(syscall_by_name(syscall_rows[i].name), &syscall_rows[i]);
		assert_ptr_equal(syscall_by_number(syscall_rows[i].number), &syscall_rows[i]);
	}
	assert_null(syscall_by_name("nosuch"));
	assert_null(syscall_by_name(""));
	assert_null(syscall_by_number(-1));
	assert_null(syscall_by_number(400));
}

/* SYS_name as text: its number where the header has it, else its own name. */
#define TEXT(x)      #x
#define TEXT_OF(x)   TEXT(x)
#define HEADER(name) TEXT_OF(SYS_##name)

static void numbers_are_those_of_the_header(void **state)
{
	static const struct {
		int number;
		const char *name, *header;
	} rows[] = {
#define SYSCALL(number, name, kind, value) {number, #name, HEADER(name)},
#include "core/syscalls.def"
#undef SYSCALL
	};
	size_t known = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strncmp(rows[i].header, "SYS_", 4) == 0 || strncmp(rows[i].header, "__NR_", 5) == 0)
			continue;
		known++;
		if (atoi(rows[i].header) != rows[i].number)
			fail_msg("%s is %s, not %d", rows[i].name, rows[i].header, rows[i].number);
	}
	/* Linux 6.1 has 361. */
	assert_true(known >= 350);
}

/* security.md, part 4, read again: what is always refused, and how. */
static void the_deny_list_is_that_of_the_threat_model(void **state)
{
	static const struct {
		int code;
		const char *names;
	} rows[] = {
		{ENOSYS, "io_uring_setup,io_uring_enter,io_uring_register,clone3"},
		{EPERM, "setns"},
		{EPERM, "mount,umount2,pivot_root,chroot,swapon,swapoff"},
		{ENOSYS, "open_tree,open_tree_attr,move_mount,fsopen,fsconfig,fsmount,fspick,mount_setattr"},
		{ENOSYS, "statmount,listmount,listns"},
		{EPERM, "open_by_handle_at"},
		{EOPNOTSUPP, "name_to_handle_at"},
		{EPERM,
	         "ptrace,process_vm_readv,process_vm_writev,process_madvise,process_mrelease,pidfd_getfd,kcmp"},
		{EPERM, "perf_event_open,bpf,uprobe,uretprobe"},
		{ENOSYS, "setxattrat,removexattrat,file_setattr"}, /* new in 6.13 and 6.17 */
		{EPERM, "userfaultfd,fanotify_init,fanotify_mark"},
		{ENOSYS, "memfd_secret,lookup_dcookie"},
		{EPERM, "add_key,request_key"},
		{ENOSYS, "keyctl"},
		{EPERM, "init_module,finit_module,delete_module,kexec_load,kexec_file_load,reboot"},
		{EPERM, "settimeofday,clock_settime,clock_adjtime,adjtimex"},
		{EPERM, "sethostname,setdomainname,acct,quotactl,quotactl_fd,syslog,vhangup"},
		{ENOSYS, "nfsservctl,_sysctl,sysfs,ustat,uselib"},
		{EPERM, "iopl,ioperm,modify_ldt"},
		{EPERM, "mbind,set_mempolicy,set_mempolicy_home_node,migrate_pages,move_pages"},
		{ENOSYS, "get_mempolicy"},
		{ENOSYS, "lsm_set_self_attr,lsm_get_self_attr,lsm_list_modules"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char names[256], *rest = names, *name;

		snprintf(names, sizeof(names), "%s", rows[i].names);
		while ((name = strsep(&rest, ",")) != NULL) {
			const struct syscall_row *row = syscall_by_name(name);

			if (row == NULL || row->kind != SYSCALL_ERRNO || row->value != rows[i].code)
				fail_msg("%s is not refused with %d", name, rows[i].code);
		}
	}
}

static void what_depends_on_arguments_has_a_slot(void **state)
{
	static const char *const names[] = {
		"socket",
		"socketpair",
		"connect",
		"listen",
		"setsockopt",
		"getsockopt",
		"unshare",
		"fallocate",
		"sendto",
		"sendmsg",
		"sendmmsg",
		"clone",
		"seccomp",
		"prctl",
		"prlimit64",
		"setrlimit",
		"setpriority",
		"ioprio_set",
		"ioctl",
		"personality",
		"chmod",
		"fchmod",
		"fchmodat",
		"fchmodat2",
		"shmget",
		"shmat",
		"shmctl",
		"semget",
		"semctl",
		"semop",
		"semtimedop",
		"msgget",
		"msgsnd",
		"msgrcv",
		"msgctl",
		"mq_open",
		"sched_setaffinity",
		"sched_setparam",
		"sched_setattr",
		"sched_setscheduler",
		"uname",
		"sched_getaffinity",
		"open",
		"openat",
		"openat2",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (syscall_by_name(names[i])->kind != SYSCALL_SLOT)
			fail_msg("%s is not judged by its arguments", names[i]);
}

static void two_hundred_denied_calls_still_fit(void **state)
{
	char *names = calloc(200, 32);
	const char *const *keys =
		POLICY("deny-syscall", names, ADDRESSES, "net-allow-unix", "*", "max-file-size", "1");
	struct filter_program program;
	struct seccomp_data data = {.arch = AUDIT_ARCH_X86_64};
	struct plan plan;
	size_t count = 0;
	int numbers[200];
	sl_policy *policy;

	(void)state;
	for (size_t i = 100; count < 200; i++) {
		const struct syscall_row *row = &syscall_rows[i];

		if (strcmp(row->name, "futex") == 0 || strcmp(row->name, "exit_group") == 0 ||
		    strcmp(row->name, "seccomp") == 0)
			continue;
		numbers[count++] = row->number;
		sprintf(names + strlen(names), "%s%s", count == 1 ? "" : ",", row->name);
	}
	policy = policy_of(keys);
	assert_int_equal(plan_of(&plan, policy, &kernel_full, PLAN_LAUNCH, NULL), 0);
	assert_int_equal(filter_assemble(&program, &plan, GATE_PID), 0);
	program_check(&program);
	for (size_t i = 0; i < count; i++) {
		data.nr = numbers[i];
		assert_int_equal(program_run(&program, &data), REFUSE(EPERM));
	}
	data.nr = SYS_read;
	assert_int_equal(program_run(&program, &data), ALLOW);
	data.nr = SYS_connect;
	assert_int_equal(program_run(&program, &data), NOTIFY);
	filter_clear(&program);
	plan_clear(&plan);
	sl_policy_free(policy);
	free(names);
}

/* The kernel's own checker, in a child that the filter then holds. */
static int load_and_try(const struct filter_program *program)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || filter_load(program, 0) < 0)
			_exit(1);
		if (syscall(SYS_getppid) <= 0)
			_exit(2);
		if (syscall(SYS_io_uring_setup, 1, NULL) != -1 || errno != ENOSYS)
			_exit(3);
		if (syscall(1000) != -1 || errno != ENOSYS)
			_exit(4);
		if (syscall(SYS_unshare, CLONE_NEWUSER | 1ULL << 32) != -1 || errno != EPERM)
			_exit(5);
		if (syscall(SYS_socket, AF_PACKET | 1ULL << 32, SOCK_RAW, 0) != -1)
			_exit(6);
		_exit(0);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void the_kernel_takes_every_program(void **state)
{
	(void)state;
	for (size_t i = 0; i < WORLD_COUNT; i++) {
		int result = load_and_try(&programs[i]);

		if (result != 0)
			fail_msg("%s: %d", worlds[i].name, result);
	}
}

/* A call of a foreign ABI ends the process, denied number or not: 41 is denied in one of the worlds. */
static void a_call_of_i386_kills(void **state)
{
	(void)state;
	for (size_t i = 0; i < WORLD_COUNT; i++) {
		pid_t child = fork();
		int status;

		if (child == 0) {
			long result = 41; /* dup */

			if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || filter_load(&programs[i], 0) < 0)
				_exit(1);
			__asm__ volatile("int $0x80" : "+a"(result) : "b"(-1L), "c"(0L) : "memory");
			_exit(2);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		/* A kernel without ia32 emulation answers with SIGSEGV: refused too. */
		if (!WIFSIGNALED(status) || (WTERMSIG(status) != SIGSYS && WTERMSIG(status) != SIGSEGV))
			fail_msg("%s: status %#x", worlds[i].name, status);
	}
}

/* What the supervisor's filter allows in a build with sanitizers only. */
enum { SANITIZERS_CALLS = 2 };
static bool is_sanitizers(int number)
{
	return getenv("SL_ASAN") != NULL && (number == SYS_mmap || number == SYS_sigaltstack);
}

/* The supervisor's own filter: what it does all day, and nothing that would be of use to who took it over. */
static void the_supervisors_filter_is_a_short_list(void **state)
{
	static const int wanted[] = {SYS_epoll_wait, SYS_process_vm_readv, SYS_pidfd_getfd, SYS_pidfd_open,
	                             SYS_connect,    SYS_io_uring_enter,   SYS_close,       SYS_read,
	                             SYS_write,      SYS_exit_group,       SYS_kill,        SYS_rt_sigreturn};
	static const int refused[] = {SYS_execve,
	                              SYS_execveat,
	                              SYS_fork,
	                              SYS_clone,
	                              SYS_clone3,
	                              SYS_socket,
	                              SYS_ptrace,
	                              SYS_mmap,
	                              SYS_mprotect,
	                              SYS_open,
	                              SYS_openat2,
	                              SYS_sendmsg,
	                              SYS_sendto,
	                              SYS_unlink,
	                              SYS_rename,
	                              SYS_chmod,
	                              SYS_setuid,
	                              SYS_mount,
	                              SYS_bpf,
	                              SYS_process_vm_writev,
	                              SYS_prlimit64,
	                              SYS_seccomp,
	                              SYS_io_uring_setup,
	                              SYS_io_uring_register,
	                              SYS_prctl,
	                              SYS_creat,
	                              SYS_truncate};
	struct filter_program guard;
	size_t allowed = 0;

	(void)state;
	assert_int_equal(guard_assemble(&guard, WHEN_GATE), 0);
	program_check(&guard);
	for (size_t arch = 1; arch < sizeof(archs) / sizeof(archs[0]); arch++)
		for (int number = 0; number < 1024; number++) {
			struct seccomp_data data = {.nr = number, .arch = archs[arch]};

			assert_int_equal(program_run(&guard, &data), KILL);
		}
	for (int number = -1; number < 1024; number++) {
		struct seccomp_data data = {.nr = number, .arch = AUDIT_ARCH_X86_64};
		uint32_t got = program_run(&guard, &data);

		assert_true(got == ALLOW || got == REFUSE(EPERM));
		allowed += got == ALLOW;
		data.nr |= 0x40000000;
		assert_int_not_equal(program_run(&guard, &data), ALLOW);
	}
	assert_true(allowed < 44 + (getenv("SL_ASAN") != NULL ? SANITIZERS_CALLS : 0));
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		struct seccomp_data data = {.nr = wanted[i], .arch = AUDIT_ARCH_X86_64};

		assert_int_equal(program_run(&guard, &data), ALLOW);
	}
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct seccomp_data data = {.nr = refused[i], .arch = AUDIT_ARCH_X86_64};

		if (!is_sanitizers(refused[i]) && program_run(&guard, &data) != REFUSE(EPERM))
			fail_msg("the supervisor may call %d", refused[i]);
	}
	filter_clear(&guard);
}

static void the_supervisor_sends_only_where_it_has_to(void **state)
{
	static const int sends[] = {SYS_sendmsg, SYS_sendmmsg, SYS_process_vm_writev};
	struct filter_program silent, sending;

	(void)state;
	assert_int_equal(guard_assemble(&silent, WHEN_SUPERVISED | WHEN_UNIX), 0);
	assert_int_equal(guard_assemble(&sending, WHEN_SUPERVISED | WHEN_SENDS_ASKED), 0);
	program_check(&sending);
	for (size_t i = 0; i < sizeof(sends) / sizeof(sends[0]); i++) {
		struct seccomp_data data = {.nr = sends[i], .arch = AUDIT_ARCH_X86_64};

		assert_int_equal(program_run(&silent, &data), REFUSE(EPERM));
		assert_int_equal(program_run(&sending, &data), ALLOW);
	}
	filter_clear(&silent);
	filter_clear(&sending);
}

static void the_supervisor_opens_for_reading_only(void **state)
{
	struct filter_program guard;

	(void)state;
	assert_int_equal(guard_assemble(&guard, WHEN_GATE), 0);
	for (uint32_t flags = 0; flags < 1u << 24; flags += flags < 4096 ? 1 : 61) {
		for (size_t half = 0; half < 3; half++) {
			struct seccomp_data data = {.nr = SYS_openat,
			                            .arch = AUDIT_ARCH_X86_64,
			                            .args = {0, 0, flags | halves[half]}};
			/* O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, and the bit of O_TMPFILE */
			bool reads = !(flags & (1 | 2 | 0100 | 01000 | 020000000));

			assert_int_equal(program_run(&guard, &data), reads ? ALLOW : REFUSE(EPERM));
		}
	}
	for (uint32_t request = 0; request < 0x10000; request++) {
		struct seccomp_data data = {.nr = SYS_ioctl,
		                            .arch = AUDIT_ARCH_X86_64,
		                            .args = {0, request | 0xc0100000 | 1ULL << 32}};

		assert_int_equal(program_run(&guard, &data), request >> 8 == '!' ? ALLOW : REFUSE(EPERM));
	}
	filter_clear(&guard);
}

/* A keeper, and a stand-in that supervises nothing, have no business with anybody's descriptors, memory or sockets. */
static void who_answers_no_calls_may_do_less(void **state)
{
	static const int calls[] = {SYS_ioctl, SYS_pidfd_getfd, SYS_process_vm_readv, SYS_connect,
	                            SYS_bind,  SYS_listen,      SYS_io_uring_enter,   SYS_getsockopt,
	                            SYS_fcntl, SYS_shutdown,    SYS_getsockname,      SYS_setitimer};
	static const int kept[] = {SYS_read, SYS_write, SYS_poll, SYS_kill, SYS_wait4, SYS_exit_group};
	struct filter_program keeper, gate;

	(void)state;
	assert_int_equal(guard_assemble(&keeper, WHEN_SUPERVISED), 0);
	assert_int_equal(guard_assemble(&gate, WHEN_SUPERVISED | WHEN_GATE), 0);
	program_check(&keeper);
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		struct seccomp_data data = {
			calls[i], AUDIT_ARCH_X86_64, 0, {0, calls[i] == SYS_ioctl ? 0x2101 : 3}};

		assert_int_equal(program_run(&keeper, &data), REFUSE(EPERM));
		assert_int_equal(program_run(&gate, &data), ALLOW);
	}
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		struct seccomp_data data = {.nr = kept[i], .arch = AUDIT_ARCH_X86_64};

		assert_int_equal(program_run(&keeper, &data), ALLOW);
	}
	filter_clear(&keeper);
	filter_clear(&gate);
}

/* What a view needs it has, and without one it has not. */
static void the_supervisor_looks_at_files_only_for_a_view(void **state)
{
	static const struct {
		unsigned when;
		int number;
		bool may;
	} rows[] = {
		{0, SYS_statx, false},
		{0, SYS_readlinkat, false},
		{0, SYS_fstatfs, false},
		{0, SYS_memfd_create, false},
		{0, SYS_sched_getaffinity, false},
		{WHEN_NAME, SYS_statx, true},
		{WHEN_NAME, SYS_readlinkat, true},
		{WHEN_NAME, SYS_fstatfs, true},
		{WHEN_NAME, SYS_faccessat2, true},
		{0, SYS_faccessat2, false},
		{WHEN_NAME, SYS_process_vm_writev, true},
		{WHEN_NAME, SYS_memfd_create, false},
		{WHEN_NAME, SYS_sched_getaffinity, false},
		{WHEN_NUM_CPUS, SYS_statx, true},
		{WHEN_NUM_CPUS, SYS_process_vm_writev, true},
		{WHEN_NUM_CPUS, SYS_memfd_create, true},
		{WHEN_NUM_CPUS, SYS_sched_getaffinity, true},
		{WHEN_VIEWS, SYS_fchmod, false},
		{WHEN_VIEWS, SYS_uname, false},
		{WHEN_VIEWS, SYS_sched_setaffinity, false},
		{WHEN_VIEWS, SYS_personality, false},
		{WHEN_VIEWS, SYS_mmap, false},
		{WHEN_VIEWS, SYS_socket, false},
		{WHEN_VIEWS, SYS_clone, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct seccomp_data data = {.nr = rows[i].number, .arch = AUDIT_ARCH_X86_64};
		struct filter_program guard;

		assert_int_equal(guard_assemble(&guard, WHEN_SUPERVISED | WHEN_GATE | rows[i].when), 0);
		program_check(&guard);
		if (!is_sanitizers(rows[i].number) &&
		    program_run(&guard, &data) != (rows[i].may ? ALLOW : REFUSE(EPERM)))
			fail_msg("row %zu: call %d", i, rows[i].number);
		/* F_GETFL always, F_ADD_SEALS where files are made. */
		data = (struct seccomp_data){SYS_fcntl, AUDIT_ARCH_X86_64, 0, {0, 1033}};
		assert_int_equal(program_run(&guard, &data),
		                 rows[i].when & WHEN_NUM_CPUS ? ALLOW : REFUSE(EPERM));
		data.args[1] = 3;
		assert_int_equal(program_run(&guard, &data), ALLOW);
		data.args[1] = 4;
		assert_int_equal(program_run(&guard, &data), REFUSE(EPERM));
		filter_clear(&guard);
	}
}

/* Last: a sweep that compared little has swept little. */
static void enough_was_compared(void **state)
{
	(void)state;
	fprintf(stderr, "# %llu answers compared in %d worlds\n", compared, WORLD_COUNT);
	assert_true(compared > 10000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_is_sorted_and_unique),
		cmocka_unit_test(numbers_are_those_of_the_header),
		cmocka_unit_test(the_deny_list_is_that_of_the_threat_model),
		cmocka_unit_test(what_depends_on_arguments_has_a_slot),
		cmocka_unit_test(every_program_is_well_formed),
		cmocka_unit_test(every_number_of_every_abi_is_answered_as_written),
		cmocka_unit_test(odd_numbers_are_refused),
		cmocka_unit_test(unknown_numbers_get_enosys),
#define SLOT(name) cmocka_unit_test(arguments_of_##name),
#include "core/slots.def"
#undef SLOT
		cmocka_unit_test(two_hundred_denied_calls_still_fit),
		cmocka_unit_test(the_kernel_takes_every_program),
		cmocka_unit_test(a_call_of_i386_kills),
		cmocka_unit_test(the_supervisors_filter_is_a_short_list),
		cmocka_unit_test(the_supervisor_sends_only_where_it_has_to),
		cmocka_unit_test(the_supervisor_opens_for_reading_only),
		cmocka_unit_test(who_answers_no_calls_may_do_less),
		cmocka_unit_test(the_supervisor_looks_at_files_only_for_a_view),
		cmocka_unit_test(enough_was_compared),
	};

	return cmocka_run_group_tests_name("filter", tests, worlds_make, worlds_clear);
}
