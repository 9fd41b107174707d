/* What the filter says to a call by its arguments. Each table reads from top to bottom; the reasons are
 * in docs/filter.md. */
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "core/plan.h"

#define ALL_BITS 0xffffffffu

#define ALLOW                   \
	{                       \
		ANSWER_ALLOW, 0 \
	}
#define REFUSE(code)               \
	{                          \
		ANSWER_ERRNO, code \
	}

#define ASK                      \
	{                        \
		ANSWER_NOTIFY, 0 \
	}

#define IS(arg, value)                       \
	{                                    \
		arg, ARG_EQ, ALL_BITS, value \
	}
#define MASKED(arg, mask, value)         \
	{                                \
		arg, ARG_EQ, mask, value \
	}
#define HAS(arg, bits)                \
	{                             \
		arg, ARG_ANY, bits, 0 \
	}
#define IS_NOT(arg, value)                   \
	{                                    \
		arg, ARG_NE, ALL_BITS, value \
	}
#define IS_GATE(arg)                   \
	{                              \
		arg, ARG_IS_GATE, 0, 0 \
	}
#define NOT_NULL(arg)                  \
	{                              \
		arg, ARG_POINTER, 0, 0 \
	}

#define RULES(table) .rules = (table), .count = sizeof(table) / sizeof((table)[0])

/* socket(2): SOCK_CLOEXEC and SOCK_NONBLOCK share the word with the type. */
#define TYPE_IS(type) MASKED(1, 0xf, type)
enum { PROTOCOL_MPTCP = 262 };

static const struct arg_rule socket_rules[] = {
	{{IS(0, AF_UNIX), TYPE_IS(SOCK_DGRAM)},
         2,
         ALLOW,
         "unix datagrams: net-allow-unix",
         WHEN_UNIX_DATAGRAMS},
	{{IS(0, AF_UNIX), TYPE_IS(SOCK_DGRAM)}, 2, REFUSE(EACCES), "unix datagrams: see net-allow-unix"},
	{{IS(0, AF_UNIX), TYPE_IS(SOCK_RAW)}, 2, REFUSE(EACCES), "datagrams, by an older name"},
	{{IS(0, AF_UNIX)}, 1, ALLOW, "unix: net-allow-unix", WHEN_UNIX},
	{{IS(0, AF_UNIX)},
         1,
         REFUSE(EACCES),
         "unix: Landlock does not judge socket paths; see net-allow-unix"},
	{{IS(0, AF_INET), TYPE_IS(SOCK_STREAM), IS(2, 0)}, 3, ALLOW, "TCP"},
	{{IS(0, AF_INET), TYPE_IS(SOCK_STREAM), IS(2, IPPROTO_TCP)}, 3, ALLOW, "TCP"},
	{{IS(0, AF_INET), TYPE_IS(SOCK_STREAM)}, 2, REFUSE(EPROTONOSUPPORT), "MPTCP: passes Landlock unseen"},
	{{IS(0, AF_INET), TYPE_IS(SOCK_DGRAM), IS(2, 0)}, 3, ALLOW, "UDP", WHEN_UDP},
	{{IS(0, AF_INET), TYPE_IS(SOCK_DGRAM), IS(2, IPPROTO_UDP)}, 3, ALLOW, "UDP", WHEN_UDP},
	{{IS(0, AF_INET), TYPE_IS(SOCK_DGRAM), IS(2, IPPROTO_ICMP)}, 3, ALLOW, "ping", WHEN_ICMP},
	{{IS(0, AF_INET), TYPE_IS(SOCK_DGRAM), IS(2, 0)}, 3, REFUSE(EPERM), "UDP: no rule names it"},
	{{IS(0, AF_INET), TYPE_IS(SOCK_DGRAM), IS(2, IPPROTO_UDP)},
         3,
         REFUSE(EPERM),
         "UDP: no rule names it"},
	{{IS(0, AF_INET), TYPE_IS(SOCK_DGRAM), IS(2, IPPROTO_ICMP)},
         3,
         REFUSE(EPERM),
         "ping: no rule names it"},
	{{IS(0, AF_INET), TYPE_IS(SOCK_RAW)}, 2, REFUSE(EPERM), "raw: no rule can name it"},
	{{IS(0, AF_INET)}, 1, REFUSE(EPROTONOSUPPORT), "UDP-Lite, SCTP, DCCP: no rule can name them"},
	{{IS(0, AF_INET6), TYPE_IS(SOCK_STREAM), IS(2, 0)}, 3, ALLOW, "TCP"},
	{{IS(0, AF_INET6), TYPE_IS(SOCK_STREAM), IS(2, IPPROTO_TCP)}, 3, ALLOW, "TCP"},
	{{IS(0, AF_INET6), TYPE_IS(SOCK_STREAM)}, 2, REFUSE(EPROTONOSUPPORT), "MPTCP"},
	{{IS(0, AF_INET6), TYPE_IS(SOCK_DGRAM), IS(2, 0)}, 3, ALLOW, "UDP", WHEN_UDP},
	{{IS(0, AF_INET6), TYPE_IS(SOCK_DGRAM), IS(2, IPPROTO_UDP)}, 3, ALLOW, "UDP", WHEN_UDP},
	{{IS(0, AF_INET6), TYPE_IS(SOCK_DGRAM), IS(2, IPPROTO_ICMPV6)}, 3, ALLOW, "ping", WHEN_ICMP},
	{{IS(0, AF_INET6), TYPE_IS(SOCK_DGRAM), IS(2, 0)}, 3, REFUSE(EPERM), "UDP: no rule names it"},
	{{IS(0, AF_INET6), TYPE_IS(SOCK_DGRAM), IS(2, IPPROTO_UDP)},
         3,
         REFUSE(EPERM),
         "UDP: no rule names it"},
	{{IS(0, AF_INET6), TYPE_IS(SOCK_DGRAM), IS(2, IPPROTO_ICMPV6)},
         3,
         REFUSE(EPERM),
         "ping: no rule names it"},
	{{IS(0, AF_INET6), TYPE_IS(SOCK_RAW)}, 2, REFUSE(EPERM), "raw"},
	{{IS(0, AF_INET6)}, 1, REFUSE(EPROTONOSUPPORT), "UDP-Lite, SCTP, DCCP"},
	{{IS(0, AF_NETLINK), TYPE_IS(SOCK_RAW), IS(2, NETLINK_ROUTE)},
         3,
         ALLOW,
         "net-interfaces",
         WHEN_INTERFACES},
	{{IS(0, AF_NETLINK), TYPE_IS(SOCK_DGRAM), IS(2, NETLINK_ROUTE)},
         3,
         ALLOW,
         "net-interfaces",
         WHEN_INTERFACES},
};

/* A datagram pair can be pointed at any other address later; a stream pair is connected for good. */
static const struct arg_rule socketpair_rules[] = {
	{{IS(0, AF_UNIX)}, 1, ALLOW, "unix datagrams: net-allow-unix", WHEN_UNIX_DATAGRAMS},
	{{IS(0, AF_UNIX), TYPE_IS(SOCK_STREAM)}, 2, ALLOW, "connected for good"},
	{{IS(0, AF_UNIX), TYPE_IS(SOCK_SEQPACKET)}, 2, ALLOW, "connected for good"},
	{{IS(0, AF_UNIX)}, 1, REFUSE(EPROTONOSUPPORT), "datagram pairs can be re-pointed"},
};

/* Each of these moves an allowed connection to an address, a device or a protocol that no rule names, or
 * loads code into the kernel. IPV6_RTHDR needs no privilege and sends the first packet to the segment. */
enum {
	OPT_SO_MARK = 36,
	OPT_BINDTODEVICE = 25,
	OPT_BINDTOIFINDEX = 62,
	OPT_IP_OPTIONS = 4,
	OPT_IP_TRANSPARENT = 19,
	OPT_IP_UNICAST_IF = 50,
	OPT_IP_FREEBIND = 15,
	OPT_IPV6_FREEBIND = 78,
	OPT_IPV6_2292PKTOPTIONS = 6,
	OPT_IPV6_2292HOPOPTS = 3,
	OPT_IPV6_2292DSTOPTS = 4,
	OPT_IPV6_2292RTHDR = 5,
	OPT_IPV6_HOPOPTS = 54,
	OPT_IPV6_RTHDRDSTOPTS = 55,
	OPT_IPV6_RTHDR = 57,
	OPT_IPV6_DSTOPTS = 59,
	OPT_IPV6_TRANSPARENT = 75,
	OPT_IPV6_UNICAST_IF = 76,
	OPT_IPV6_FLOWLABEL_MGR = 32,
	OPT_IPV6_PKTINFO = 50,
	OPT_SO_ZEROCOPY = 60,
	OPT_UDP_ENCAP = 100,
	OPT_TCP_REPAIR = 19,
	OPT_TCP_ULP = 31,
	LEVEL_SCTP = 132,
};

/* Joining a group says so to the link, with bits of the caller's choice. Who has UDP only to ask for names has no use for
 * it. */
#define GROUP_ROW(level, name)                                                                     \
	{                                                                                          \
		{IS(1, level), IS(2, name)}, 2, REFUSE(EPERM), "multicast groups", WHEN_UDP_TO_ASK \
	}

#define OPTION_ROW(level, name, text)                               \
	{                                                           \
		{IS(1, level), IS(2, name)}, 2, REFUSE(EPERM), text \
	}

static const struct arg_rule setsockopt_rules[] = {
	OPTION_ROW(SOL_SOCKET, OPT_BINDTODEVICE, "SO_BINDTODEVICE"),
	OPTION_ROW(SOL_SOCKET, OPT_BINDTOIFINDEX, "SO_BINDTOIFINDEX"),
	OPTION_ROW(SOL_SOCKET, OPT_SO_MARK, "SO_MARK"),
	OPTION_ROW(SOL_SOCKET, 26, "SO_ATTACH_FILTER"),
	OPTION_ROW(SOL_SOCKET, 27, "SO_DETACH_FILTER"),
	OPTION_ROW(SOL_SOCKET, 50, "SO_ATTACH_BPF"),
	OPTION_ROW(SOL_SOCKET, 51, "SO_ATTACH_REUSEPORT_CBPF"),
	OPTION_ROW(SOL_SOCKET, 52, "SO_ATTACH_REUSEPORT_EBPF"),
	OPTION_ROW(IPPROTO_IP, OPT_IP_OPTIONS, "IP_OPTIONS: source routes"),
	OPTION_ROW(IPPROTO_IP, OPT_IP_TRANSPARENT, "IP_TRANSPARENT"),
	OPTION_ROW(IPPROTO_IP, OPT_IP_UNICAST_IF, "IP_UNICAST_IF"),
	OPTION_ROW(IPPROTO_IP, OPT_IP_FREEBIND, "IP_FREEBIND: a source that answers go to"),
	OPTION_ROW(IPPROTO_IPV6, OPT_IPV6_RTHDR, "IPV6_RTHDR: segment routes"),
	OPTION_ROW(IPPROTO_IPV6, OPT_IPV6_2292RTHDR, "IPV6_2292RTHDR"),
	OPTION_ROW(IPPROTO_IPV6, OPT_IPV6_2292PKTOPTIONS, "IPV6_2292PKTOPTIONS"),
	OPTION_ROW(IPPROTO_IPV6, OPT_IPV6_2292HOPOPTS, "IPV6_2292HOPOPTS"),
	OPTION_ROW(IPPROTO_IPV6, OPT_IPV6_2292DSTOPTS, "IPV6_2292DSTOPTS"),
	OPTION_ROW(IPPROTO_IPV6, OPT_IPV6_HOPOPTS, "IPV6_HOPOPTS"),
	OPTION_ROW(IPPROTO_IPV6, OPT_IPV6_RTHDRDSTOPTS, "IPV6_RTHDRDSTOPTS"),
	OPTION_ROW(IPPROTO_IPV6, OPT_IPV6_DSTOPTS, "IPV6_DSTOPTS"),
	OPTION_ROW(IPPROTO_IPV6, OPT_IPV6_TRANSPARENT, "IPV6_TRANSPARENT"),
	OPTION_ROW(IPPROTO_IPV6, OPT_IPV6_UNICAST_IF, "IPV6_UNICAST_IF"),
	OPTION_ROW(IPPROTO_IPV6, OPT_IPV6_FREEBIND, "IPV6_FREEBIND: a source that answers go to"),
	OPTION_ROW(IPPROTO_IPV6, OPT_IPV6_PKTINFO, "IPV6_PKTINFO: an interface for all that is sent"),
	OPTION_ROW(IPPROTO_IPV6, OPT_IPV6_FLOWLABEL_MGR, "IPV6_FLOWLABEL_MGR: labels bring options along"),
	OPTION_ROW(IPPROTO_TCP, OPT_TCP_REPAIR, "TCP_REPAIR"),
	OPTION_ROW(IPPROTO_TCP, OPT_TCP_ULP, "TCP_ULP"),
	OPTION_ROW(IPPROTO_UDP, OPT_UDP_ENCAP, "UDP_ENCAP"),
	GROUP_ROW(IPPROTO_IP, 35),
	GROUP_ROW(IPPROTO_IP, 36),
	GROUP_ROW(IPPROTO_IP, 39),
	GROUP_ROW(IPPROTO_IP, 41),
	GROUP_ROW(IPPROTO_IP, 42),
	GROUP_ROW(IPPROTO_IP, 46),
	GROUP_ROW(IPPROTO_IP, 48),
	GROUP_ROW(IPPROTO_IPV6, 20),
	GROUP_ROW(IPPROTO_IPV6, 27),
	GROUP_ROW(IPPROTO_IPV6, 42),
	GROUP_ROW(IPPROTO_IPV6, 46),
	GROUP_ROW(IPPROTO_IPV6, 48),
	{{IS(1, LEVEL_SCTP)}, 1, REFUSE(EPERM), "SCTP: connects by option"},
	/* The pages that are lent to the kernel would be the supervisor's. Callers copy instead. */
	{{IS(1, SOL_SOCKET), IS(2, OPT_SO_ZEROCOPY)},
         2,
         REFUSE(EOPNOTSUPP),
         "SO_ZEROCOPY: the supervisor sends",
         WHEN_SENDS_ASKED},
};

static const struct arg_rule getsockopt_rules[] = {
	{{IS(1, LEVEL_SCTP)}, 1, REFUSE(EPERM), "SCTP: connects by option"},
};

/* Fast open connects without connect(2), and this kernel's Landlock does not see it. EOPNOTSUPP is what the
 * kernel says where it is switched off, so callers connect instead. */
enum { FLAG_FASTOPEN = 0x20000000 };
#define FASTOPEN_ROW(arg)                                                                          \
	{                                                                                          \
		{HAS(arg, FLAG_FASTOPEN)}, 1, REFUSE(EOPNOTSUPP), "MSG_FASTOPEN: connects unseen", \
			WHEN_TCP_PARTS | WHEN_PORT_REMAP                                           \
	}

static const struct arg_rule sendto_rules[] = {
	FASTOPEN_ROW(3),
	{{NOT_NULL(4)}, 1, ASK, "the address is in memory", WHEN_SENDS_ASKED},
};
/* A peer's port may have to be translated; without an address there is nothing to show. */
static const struct arg_rule accept_rules[] = {
	{{NOT_NULL(1)}, 1, ASK, "the peer's address is to be shown", WHEN_PORT_REMAP},
};
static const struct arg_rule sendmsg_rules[] = {FASTOPEN_ROW(2)};
static const struct arg_rule sendmmsg_rules[] = {FASTOPEN_ROW(3)};

/* The namespace flags; CLONE_NEWTIME shares its bit with the exit signal, and clone(2) cannot set it. */
#define NAMESPACE_FLAGS 0x7e020000u

static const struct arg_rule clone_rules[] = {
	{{HAS(0, NAMESPACE_FLAGS)}, 1, REFUSE(EPERM), "CLONE_NEW*: namespaces carry capabilities"},
	{{HAS(0, CLONE_PARENT | CLONE_UNTRACED)}, 1, REFUSE(EPERM), "CLONE_PARENT, CLONE_UNTRACED"},
	{{MASKED(0, CLONE_THREAD | CLONE_FILES, CLONE_THREAD)},
         1,
         REFUSE(EPERM),
         "a thread with descriptors of its own: this kernel cannot name it (PIDFD_THREAD)",
         WHEN_THREADS_BLUR},
	{{MASKED(0, CLONE_THREAD, 0)}, 1, ASK, "a process, not a thread: max-processes", WHEN_PROCESS_LIMIT},
};

/* CLONE_THREAD alone changes nothing and tells whether there are other threads: unshare(2), EINVAL. A second
 * confinement asks that, where /proc is out of reach. */
static const struct arg_rule unshare_rules[] = {
	{{IS(0, CLONE_THREAD)}, 1, ALLOW, "CLONE_THREAD: asks, and changes nothing"},
};

/* A second listener would answer for the first once that is gone. */
static const struct arg_rule seccomp_rules[] = {
	{{IS(0, SL_QUERY_OPERATION)},
         1,
         REFUSE(SL_UNDER_GATE),
         "asked by Sluice: under a supervisor",
         WHEN_UNDER_GATE},
	{{IS(0, SL_QUERY_OPERATION)}, 1, REFUSE(SL_UNDER_FILTER), "asked by Sluice: under a filter"},
	{{IS(0, SECCOMP_SET_MODE_FILTER), HAS(1, SECCOMP_FILTER_FLAG_NEW_LISTENER)},
         2,
         REFUSE(EBUSY),
         "a second listener could answer for ours"},
};

enum { PRCTL_PTRACER = 0x59616d61 };

/* Pretending keeps programs that hide from ptrace(2) working, and ptrace is refused here anyway. */
static const struct arg_rule prctl_rules[] = {
	{{IS(0, PR_SET_DUMPABLE), IS(1, 0)},
         2,
         REFUSE(0),
         "PR_SET_DUMPABLE 0: pretended, the gate must see in",
         WHEN_HIDING_HURTS},
	{{IS(0, PR_SET_CHILD_SUBREAPER)},
         1,
         ASK,
         "orphans come to it: max-processes looks twice",
         WHEN_PROCESS_LIMIT},
	{{IS(0, PR_SET_MM)}, 1, REFUSE(EPERM), "PR_SET_MM"},
	{{IS(0, PRCTL_PTRACER)}, 1, REFUSE(EPERM), "PR_SET_PTRACER"},
	{{IS(0, 62)}, 1, REFUSE(EPERM), "PR_SCHED_CORE"},
	{{IS(0, PR_SET_THP_DISABLE), IS(1, 0)},
         2,
         REFUSE(EPERM),
         "no-huge-pages stays as it is",
         WHEN_NO_HUGE_PAGES},
	{{IS(0, PR_SET_THP_DISABLE), IS_NOT(2, 0)},
         2,
         REFUSE(EPERM),
         "PR_THP_DISABLE_EXCEPT_ADVISED",
         WHEN_NO_HUGE_PAGES},
};

/* Foreign limits: RLIMIT_CPU on the supervisor kills it. And root could raise its own limit again. */
static const struct arg_rule prlimit_rules[] = {
	{{IS(1, RLIMIT_FSIZE), NOT_NULL(2)},
         2,
         REFUSE(EPERM),
         "max-file-size stays as it is",
         WHEN_FILE_LIMIT},
	{{IS_NOT(0, 0)}, 1, REFUSE(EPERM), "limits of another process"},
};

static const struct arg_rule setrlimit_rules[] = {
	{{IS(0, RLIMIT_FSIZE)}, 1, REFUSE(EPERM), "max-file-size stays as it is", WHEN_FILE_LIMIT},
};

/* Inserting a range and allocating behind the end grow a file past RLIMIT_FSIZE. */
enum { PUNCH_AND_KEEP = 0x02 | 0x01 };
static const struct arg_rule fallocate_rules[] = {
	{{IS(1, 0)}, 1, ALLOW, "the limit is looked at"},
	{{IS(1, PUNCH_AND_KEEP)}, 1, ALLOW, "makes holes only"},
};

static const struct arg_rule setpriority_rules[] = {
	{{IS(0, PRIO_PROCESS), IS_GATE(1)},
         2,
         REFUSE(EPERM),
         "the supervisor and the keeper",
         WHEN_SUPERVISED},
	{{IS(0, PRIO_PROCESS)}, 1, ALLOW, "one process"},
};

enum { IOPRIO_PROCESS = 1 };
static const struct arg_rule ioprio_rules[] = {
	{{IS(0, IOPRIO_PROCESS), IS_GATE(1)},
         2,
         REFUSE(EPERM),
         "the supervisor and the keeper",
         WHEN_SUPERVISED},
	{{IS(0, IOPRIO_PROCESS)}, 1, ALLOW, "one process"},
};

static const struct arg_rule sched_rules[] = {
	{{IS_GATE(0)}, 1, REFUSE(EPERM), "the supervisor and the keeper", WHEN_SUPERVISED},
};

enum {
	IOCTL_USERFAULTFD_NEW = 0xaa00,
	IOCTL_TIOCLINUX = 0x541c,
	IOCTL_TIOCCONS = 0x541d,
	IOCTL_TIOCVHANGUP = 0x5437
};

/* Numbers below 0x890b are questions about one's own socket; the rest reads or sets interfaces and routes. */
static const struct arg_rule ioctl_rules[] = {
	{{IS(1, TIOCSTI)}, 1, REFUSE(EPERM), "TIOCSTI: types for the user"},
	{{IS(1, IOCTL_TIOCLINUX)}, 1, REFUSE(EPERM), "TIOCLINUX: types for the user"},
	{{IS(1, IOCTL_TIOCCONS)}, 1, REFUSE(EPERM), "TIOCCONS"},
	{{IS(1, TIOCSETD)}, 1, REFUSE(EPERM), "TIOCSETD: loads line disciplines"},
	{{IS(1, IOCTL_TIOCVHANGUP)}, 1, REFUSE(EPERM), "TIOCVHANGUP"},
	{{IS(1, IOCTL_USERFAULTFD_NEW)},
         1,
         REFUSE(EPERM),
         "USERFAULTFD_IOC_NEW: pages that stall who reads them"},
	{{MASKED(1, 0xffffff00, 0x4b00)}, 1, REFUSE(EPERM), "console keyboard and fonts"},
	{{MASKED(1, 0xffffff00, 0x5600)}, 1, REFUSE(EPERM), "virtual terminals"},
	{{MASKED(1, 0xffffff00, 0x8900)}, 1, ALLOW, "net-interfaces", WHEN_INTERFACES},
	{{IS(1, 0x890b)}, 1, REFUSE(EPERM), "SIOCADDRT"},
	{{MASKED(1, 0xfffffff8, 0x8900)}, 1, ALLOW, "own socket"},
	{{MASKED(1, 0xfffffffc, 0x8908)}, 1, ALLOW, "own socket"},
	{{MASKED(1, 0xffffff00, 0x8900)}, 1, REFUSE(EPERM), "interfaces and routes of the host"},
	{{MASKED(1, 0xffffff00, 0x8b00)}, 1, REFUSE(EPERM), "wireless interfaces"},
};

/* A view is of what is read. Directories, writers, and who only wants a handle have nothing to ask. */
#define NO_VIEW_FLAGS (O_ACCMODE | O_CREAT | O_TRUNC | O_DIRECTORY | O_PATH | (O_TMPFILE & ~O_DIRECTORY))
#define OPEN_ROW(arg)                                                                                  \
	{                                                                                              \
		{MASKED(arg, NO_VIEW_FLAGS, O_RDONLY)}, 1, ASK, "a file is to be read: is it viewed?", \
			WHEN_VIEWS                                                                     \
	}
static const struct arg_rule open_rules[] = {OPEN_ROW(1)};
static const struct arg_rule openat_rules[] = {OPEN_ROW(2)};

static const struct arg_rule personality_rules[] = {
	{{IS(0, 0)}, 1, ALLOW, "PER_LINUX"},
	{{IS(0, 8)}, 1, ALLOW, "PER_LINUX32"},
	{{IS(0, 0x20000)}, 1, ALLOW, "UNAME26"},
	{{IS(0, 0x20008)}, 1, ALLOW, "UNAME26 | PER_LINUX32"},
	{{IS(0, ALL_BITS)}, 1, ALLOW, "query"},
	{{IS(0, ADDR_NO_RANDOMIZE)}, 1, ALLOW, "ADDR_NO_RANDOMIZE: as it is", WHEN_NO_RANDOMIZE},
};

/* Landlock does not judge chmod; a set-id bit on a file of this user would outlive the sandbox. */
#define SETID_ROW(arg)                                                                   \
	{                                                                                \
		{HAS(arg, 06000)}, 1, REFUSE(EPERM), "set-user-id and set-group-id bits" \
	}
static const struct arg_rule chmod_rules[] = {SETID_ROW(1)};
static const struct arg_rule fchmodat_rules[] = {SETID_ROW(2)};

static const struct slot_plan defaults[SLOT_COUNT] = {
	[SLOT_SOCKET] = {RULES(socket_rules), REFUSE(EAFNOSUPPORT),
                         "families and protocols that a rule can name"},
	[SLOT_SOCKETPAIR] = {RULES(socketpair_rules), REFUSE(EAFNOSUPPORT), "pairs that stay connected"},
	[SLOT_CONNECT] = {.otherwise = ALLOW, .why = "Landlock decides by port"},
	[SLOT_BIND] = {.otherwise = ALLOW, .why = "Landlock decides by port"},
	[SLOT_LISTEN] =
		{.otherwise = ALLOW,
                 .why = "binds or unix sockets are granted; TCP that was not bound takes any port, which Landlock does not see"},
	[SLOT_ACCEPT] = {RULES(accept_rules), ALLOW, "port-remap"},
	[SLOT_ACCEPT4] = {RULES(accept_rules), ALLOW, "port-remap"},
	[SLOT_GETSOCKNAME] = {.otherwise = ALLOW, .why = "port-remap"},
	[SLOT_GETPEERNAME] = {.otherwise = ALLOW, .why = "port-remap"},
	[SLOT_SETSOCKOPT] = {RULES(setsockopt_rules), ALLOW, "options that re-route an allowed connection"},
	[SLOT_GETSOCKOPT] = {RULES(getsockopt_rules), ALLOW, "options that connect"},
	[SLOT_SENDTO] = {RULES(sendto_rules), ALLOW, "sends that connect"},
	[SLOT_SENDMSG] = {RULES(sendmsg_rules), ALLOW, "sends that connect"},
	[SLOT_SENDMMSG] = {RULES(sendmmsg_rules), ALLOW, "sends that connect"},
	[SLOT_CLONE] = {RULES(clone_rules), ALLOW, "new processes in the same namespaces"},
	[SLOT_FORK] = {.otherwise = ALLOW, .why = "new processes in the same namespaces"},
	[SLOT_UNSHARE] = {RULES(unshare_rules), REFUSE(EPERM), "namespaces carry capabilities"},
	[SLOT_SECCOMP] = {RULES(seccomp_rules), ALLOW, "filters on top may only narrow"},
	[SLOT_PRCTL] = {RULES(prctl_rules), ALLOW, "process attributes"},
	[SLOT_PRLIMIT64] = {RULES(prlimit_rules), ALLOW, "own limits only"},
	[SLOT_SETRLIMIT] = {RULES(setrlimit_rules), ALLOW, "own limits"},
	[SLOT_FALLOCATE] = {RULES(fallocate_rules), REFUSE(EOPNOTSUPP), "max-file-size"},
	[SLOT_SETPRIORITY] = {RULES(setpriority_rules), REFUSE(EPERM),
                              "whole groups and users hold others too"},
	[SLOT_IOPRIO_SET] = {RULES(ioprio_rules), REFUSE(EPERM), "whole groups and users hold others too"},
	[SLOT_SCHED_SETAFFINITY] = {RULES(sched_rules), ALLOW, "not the supervisor's and the keeper's"},
	[SLOT_SCHED_SETPARAM] = {RULES(sched_rules), ALLOW, "not the supervisor's and the keeper's"},
	[SLOT_SCHED_SETSCHEDULER] = {RULES(sched_rules), ALLOW, "not the supervisor's and the keeper's"},
	[SLOT_SCHED_SETATTR] = {RULES(sched_rules), ALLOW, "not the supervisor's and the keeper's"},
	[SLOT_IOCTL] = {RULES(ioctl_rules), ALLOW, "terminals and interfaces"},
	[SLOT_PERSONALITY] = {RULES(personality_rules), REFUSE(EPERM), "harmless personalities"},
	[SLOT_CHMOD] = {RULES(chmod_rules), ALLOW, "no set-id bits"},
	[SLOT_FCHMOD] = {RULES(chmod_rules), ALLOW, "no set-id bits"},
	[SLOT_FCHMODAT] = {RULES(fchmodat_rules), ALLOW, "no set-id bits"},
	[SLOT_FCHMODAT2] = {RULES(fchmodat_rules), ALLOW, "no set-id bits"},
	[SLOT_UNAME] = {.otherwise = ALLOW, .why = "name"},
	[SLOT_SCHED_GETAFFINITY] = {.otherwise = ALLOW, .why = "num-cpus"},
	[SLOT_OPEN] = {RULES(open_rules), ALLOW,
                       "name, num-cpus: Landlock decides by path, a view may be shown"},
	[SLOT_OPENAT] = {RULES(openat_rules), ALLOW,
                         "name, num-cpus: Landlock decides by path, a view may be shown"},
	[SLOT_OPENAT2] = {.otherwise = ALLOW, .why = "name, num-cpus: Landlock decides by path"},
	[SLOT_SYSV_IPC] = {.otherwise = REFUSE(EPERM),
                           .why = "shared with the host; allow-syscalls sysv_ipc"},
	[SLOT_POSIX_MQ] = {.otherwise = REFUSE(EPERM),
                           .why = "shared with the host; allow-syscalls posix_mq"},
};

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))
_Static_assert(ROWS(socket_rules) + ROWS(socketpair_rules) + ROWS(setsockopt_rules) + ROWS(getsockopt_rules) +
                               ROWS(accept_rules) + ROWS(accept_rules) + ROWS(sendto_rules) +
                               ROWS(sendmsg_rules) + ROWS(sendmmsg_rules) + ROWS(clone_rules) +
                               ROWS(unshare_rules) + ROWS(seccomp_rules) + ROWS(prctl_rules) +
                               ROWS(prlimit_rules) + ROWS(setrlimit_rules) + ROWS(fallocate_rules) +
                               ROWS(setpriority_rules) + ROWS(ioprio_rules) + ROWS(sched_rules) +
                               ROWS(sched_rules) + ROWS(sched_rules) + ROWS(sched_rules) + ROWS(ioctl_rules) +
                               ROWS(personality_rules) + ROWS(open_rules) + ROWS(openat_rules) +
                               ROWS(chmod_rules) + ROWS(chmod_rules) + ROWS(fchmodat_rules) +
                               ROWS(fchmodat_rules) <=
                       RULES_KEPT_MAX,
               "the plan keeps copies of all");

static bool rule_holds(const struct arg_rule *rule, unsigned conditions)
{
	return rule->when == 0 || rule->when & conditions;
}

static void slot_keep(struct slot_plan *slot, unsigned conditions, struct arg_rule *kept, size_t *used)
{
	size_t first = *used;

	for (size_t i = 0; i < slot->count; i++)
		if (rule_holds(&slot->rules[i], conditions))
			kept[(*used)++] = slot->rules[i];
	slot->rules = kept + first;
	slot->count = *used - first;
}

void slots_fill(struct slot_plan slots[SLOT_COUNT], unsigned conditions,
                struct arg_rule kept[static RULES_KEPT_MAX])
{
	size_t used = 0;

	for (size_t i = 0; i < SLOT_COUNT; i++) {
		slots[i] = defaults[i];
		slot_keep(&slots[i], conditions, kept, &used);
	}
}

bool slot_asks(const struct slot_plan *slot)
{
	for (size_t i = 0; i < slot->count; i++)
		if (slot->rules[i].answer.kind == ANSWER_NOTIFY)
			return true;
	return slot->otherwise.kind == ANSWER_NOTIFY;
}
