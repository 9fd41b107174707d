/* Inside supervise/: the supervisor's state, and the parts that work on it. See docs/gate.md for the way of a
 * call and its races. */
#ifndef SL_SUPERVISE_GATE_H
#define SL_SUPERVISE_GATE_H

#include <ev.h>
#include <linux/seccomp.h>
#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "core/kernel.h"
#include "netpolicy/netpolicy.h"
#include "supervise/dns.h"
#include "supervise/ports.h"
#include "supervise/views.h"

enum {
	NONCE_SIZE = 16,
	PENDING_MAX = 4096, /* calls that wait at once; one more gets ENOBUFS */
	PIDFDS_MAX = 256,
	RING_ENTRIES = 64,
	DESCRIPTORS_LEAST = 64, /* RLIMIT_NOFILE below which serving makes no sense */
};

/* Who is served, and how: fixed when the supervisor starts. */
struct gate_rules {
	const struct net_table *table;
	const struct net_binds *binds;
	const struct unix_grants *unix_grants; /* net-allow-unix; NULL: none */
	bool unix_continue; /* every path is granted, and whatever else a connect could be made into has its own wall */
	int ruleset;                /* Landlock's, for a child that binds; -1: none does */
	bool names;                 /* the rules name hosts: there is a policy DNS */
	struct dns_servers servers; /* which it asks */
	bool port_remap;
	struct view_rules views;
	unsigned max_processes; /* 0: no limit */
	bool pidfd_thread;
	bool io_uring;
	bool sync_wake_up;
	int port_map;              /* who is told of moved ports, or -1 */
	uint8_t nonce[NONCE_SIZE]; /* what the probe must show */
};

/* One notification, copied once; nothing reads the target's registers or memory again. */
struct call {
	uint64_t id;
	pid_t tid;
	int number;
	uint64_t args[6];
};

enum verdict_kind {
	VERDICT_VALUE, /* returns `value` */
	VERDICT_ERRNO, /* fails with -`value` */
	VERDICT_LATER, /* answered by pending.c */
	VERDICT_FD, /* returns descriptor `value`, which is ours until then, with `flags`: 0 or O_CLOEXEC */
	VERDICT_CONTINUE, /* only from rows that name the wall which stands behind */
};
struct verdict {
	enum verdict_kind kind;
	int64_t value;
	int flags;
};

static inline struct verdict verdict_value(int64_t value)
{
	return (struct verdict){.kind = VERDICT_VALUE, .value = value};
}

/* `code` is a negative errno: the kernel would take a positive one for a result. */
static inline struct verdict verdict_errno(int code)
{
	return (struct verdict){.kind = VERDICT_ERRNO, .value = code < 0 ? code : -EIO};
}

static inline struct verdict verdict_continue(void)
{
	return (struct verdict){.kind = VERDICT_CONTINUE};
}

struct pidfd_slot {
	pid_t tid;
	int fd;
};

/* What of a send has gone already. */
struct progress {
	size_t messages; /* of sendmmsg(2) */
	size_t bytes;    /* of the message that comes next, or of the only one */
	bool turn_over;  /* it could go on, and others come first */
};

/* A call that waits: a blocking connect that is on its way, a blocking send that finds no room, or an accept. */
struct pending {
	struct call call; /* id 0: slot is free */
	int socket;
	int held; /* what the address names: open until the connect is done; -1: nothing */
	bool is_send, is_accept;
	bool moved; /* a connect to a port that only port-remap leads to */
	bool in_epoll;
	bool in_ring;        /* a request of the ring refers to this slot */
	bool cancelled;      /* ... and has been told to end */
	bool caller_left;    /* nobody waits for the answer */
	int cancel_code;     /* what the caller gets then */
	bool was_connecting; /* before this call: it answers EALREADY where a first one says EINPROGRESS */
	bool signal_seen;    /* at the last look */
	struct progress progress;
	socklen_t address_size;
	struct sockaddr_storage address;
	struct ev_timer timeout; /* SO_SNDTIMEO, SO_RCVTIMEO */
	bool by_clock;           /* a send whose socket no epoll takes any more */
	struct ev_timer again;   /* a send that was told "writable", and was not */
	struct gate *gate;
	unsigned next; /* free list */
};

/* Where messages are put together; one at a time. */
enum {
	MESSAGE_IOVECS_MAX = 1024,     /* UIO_MAXIOV */
	MESSAGE_CONTROL_MAX = 131072,  /* the largest default of net.core.optmem_max */
	MESSAGE_PAYLOAD_MAX = 1 << 20, /* a datagram larger than this is EMSGSIZE, a stream goes in pieces */
	MESSAGE_BATCH_MAX = 64,
};
struct scratch;
struct forks;

struct gate {
	const struct gate_rules *rules;
	int listener, control, proc, null;
	pid_t probed;     /* whose first call is the probe; 0 once it is done */
	bool flags_raced; /* O_NONBLOCK was cleared under us: do not rely on it again */
	bool unix_waited; /* a unix connect would have waited: leave them to the ring */

	struct ev_loop *loop;
	int others;    /* epoll of all that the loop watches but the listener */
	unsigned jobs; /* of bind_child.c, each with a deadline; and one where forks wait */
	struct ev_io listener_ready, ring_ready, waits_ready, control_ready;
	struct ev_timer tick;

	bool has_ring;
	struct io_uring ring;
	int waits; /* epoll of sockets that must become writable */

	struct net_pins pins;
	struct port_map ports;
	struct views views;
	struct dns *dns; /* NULL: no rule names a host */
	struct scratch *scratch;
	struct forks *forks; /* NULL: as many as there may be */
	struct pidfd_slot pidfds[PIDFDS_MAX];
	struct pending *pending; /* PENDING_MAX slots, pages touched as they are used */
	unsigned pending_free, pending_count, pending_look, pending_high;
};

/* gate.c. The gate is one of static memory, all zeroes: it has pages that are not there until they are used. */
int gate_open(struct gate *gate, const struct gate_rules *rules, int control);
int gate_open_idle(struct gate *gate,
                   const struct gate_rules *rules); /* the loop alone: no call will be asked about */
void gate_listen(struct gate *gate, int listener);
void gate_run(struct gate *gate);
int64_t gate_seconds(void); /* CLOCK_MONOTONIC: what pins expire by */
void gate_watch(struct gate *gate, struct ev_io *watcher, int fd,
                void (*ready)(struct ev_loop *loop, struct ev_io *watcher, int events));
void gate_unwatch(struct gate *gate, struct ev_io *watcher);

/* notify.c: seccomp_unotify(2). All -errno. */
/* 1: one is there, 0: none, -EPIPE: no confined process is left. With `others` it waits until there is one, or until
 * that is readable. */
int notify_ready(int listener, int others);
int notify_recv(int listener, struct call *call);
int notify_valid(int listener, uint64_t id); /* 0, or -ENOENT: the caller has left */
int notify_send(int listener, uint64_t id, struct verdict verdict);
void notify_wake_sync(int listener);

/* target.c: what a call points to; -ESTALE when the caller has left meanwhile. */
void target_init(struct gate *gate);
int target_socket(struct gate *gate, const struct call *call, int number); /* a duplicate, the caller's */
int target_link(struct gate *gate, const struct call *call,
                const char *link); /* "root", "cwd": O_PATH, the caller's */
int target_read(struct gate *gate, const struct call *call, uint64_t from, void *to, size_t size);

/* All of /proc/TID/status: supplementary groups stand before the signals, and a long list must not hide them. Cut at
 * `room`; the caller checks the id afterwards where that matters. */
enum { TARGET_STATUS_SIZE = 16384 };
int target_status(struct gate *gate, pid_t tid, char *text, size_t room);

/* For calls that point to several things: look at all, then confirm once. What was seen is the caller's only if
 * target_confirm() says 0 afterwards; until then it may be anybody's. target_peek() gives the number of bytes that
 * could be read, in order; -EFAULT for none. */
ssize_t target_peek(const struct call *call, const struct iovec *to, size_t to_count,
                    const struct iovec *from, size_t from_count);
int target_confirm(struct gate *gate, const struct call *call);
/* Only what the caller may write itself, and only while it waits. Bytes written, in order, or negative. */
ssize_t target_write(struct gate *gate, const struct call *call, const struct iovec *from, size_t from_count,
                     const struct iovec *to, size_t to_count);
/* May the caller say of itself that it is this one? 0, -EPERM. */
int target_is(struct gate *gate, const struct call *call, const struct ucred *claimed);
void target_signal(struct gate *gate, const struct call *call, int signal);

struct target_signals {
	bool pending; /* one that has a handler and is not blocked */
	bool certain; /* no other thread can take it */
};
bool target_is_stopped(struct gate *gate, pid_t pid);
int target_signals(struct gate *gate, pid_t tid, struct target_signals *signals);

/* dispatch.c, respond.c, handlers */
void dispatch(struct gate *gate, const struct call *call);
void respond(struct gate *gate, uint64_t id, struct verdict verdict);
struct verdict handle_connect(struct gate *gate, const struct call *call);
struct verdict handle_listen(struct gate *gate, const struct call *call);
struct verdict handle_bind(struct gate *gate, const struct call *call);
struct verdict handle_accept(struct gate *gate, const struct call *call);
struct verdict handle_getsockname(struct gate *gate, const struct call *call);
struct verdict handle_getpeername(struct gate *gate, const struct call *call);
struct verdict handle_sendto(struct gate *gate, const struct call *call);
struct verdict handle_sendmsg(struct gate *gate, const struct call *call);
struct verdict handle_fork(struct gate *gate, const struct call *call);
struct verdict handle_prctl(struct gate *gate, const struct call *call);
struct verdict handle_sendmmsg(struct gate *gate, const struct call *call);
struct verdict handle_uname(struct gate *gate, const struct call *call);
struct verdict handle_sched_getaffinity(struct gate *gate, const struct call *call);
struct verdict handle_open(struct gate *gate, const struct call *call);
struct verdict handle_openat(struct gate *gate, const struct call *call);
struct verdict handle_openat2(struct gate *gate, const struct call *call);

/* h_send.c, for pending.c. Try once more, and count on: the verdict, or LATER when there is no room yet. Give up: what
 * has gone is the answer, and `code` where nothing has. */
struct verdict send_again(struct gate *gate, const struct call *call, int socket, struct progress *progress);
struct verdict send_give_up(struct gate *gate, const struct call *call, const struct progress *progress,
                            int code);
int send_init(struct gate *gate);

/* socket.c */
struct socket_kind {
	int domain, type, protocol;
};
int socket_kind(int socket, struct socket_kind *kind); /* 0, -ENOTSOCK, -EBADF */
bool socket_is_tcp(const struct socket_kind *kind);
int socket_protocol(const struct socket_kind *kind); /* enum net_protocol, or -1: no rule can name it */
bool socket_is_writable(int socket);                 /* now */
bool socket_waits(int socket);      /* not O_NONBLOCK: a call on it waits, if nothing else forbids */
bool socket_has_failed(int socket); /* an error waits to be told: asking for it would be telling */
int socket_tcp_state(int socket);   /* TCP_CLOSE, TCP_SYN_SENT, ...: tcp(7), TCP_INFO */

/* h_connect.c: the sockaddr of connect(2) and bind(2): arguments 1 and 2. */
int address_copy(struct gate *gate, const struct call *call, struct sockaddr_storage *address, size_t *size);
/* h_connect.c: in which form an address is given on: IPv4 on an IPv6 socket that takes no IPv4 is one errno as IPv4, and
 * another mapped. */
int endpoint_domain(int domain, enum net_protocol protocol, const struct sockaddr_storage *given);
/* h_connect.c: the one decision, at this moment. 0 and the address to use on a socket of `domain`: the endpoint's own,
 * or the policy DNS's. Under port-remap *endpoint becomes where it is reached. -EACCES. */
int endpoint_route(struct gate *gate, int domain, enum net_protocol protocol, struct net_endpoint *endpoint,
                   struct sockaddr_storage *address, socklen_t *size);
/* h_bind.c: bind(2) with the caller's right to ports below 1024. 0, -errno. */
int bind_for(struct gate *gate, const struct call *call, int socket, const struct sockaddr_storage *address,
             size_t size);
/* h_name.c: write a socket address to the caller as move_addr_to_user() does; `size_at` is where its room stands. */
int name_give(struct gate *gate, const struct call *call, const struct sockaddr_storage *address, size_t size,
              uint64_t to, uint64_t size_at);
/* h_accept.c, for pending.c: LATER when nobody is there. */
struct verdict accept_again(struct gate *gate, const struct call *call, int socket);

/* pending.c */
int pending_init(struct gate *gate);
/* They take the socket over, also on failure. pending_connect() takes `held` too (-1: nothing), which is kept open until
 * the connect is done; the credentials of this moment are those of the connect: identity.h. */
struct verdict pending_connect(struct gate *gate, const struct call *call, int socket,
                               const struct sockaddr_storage *address, socklen_t size, int held);
/* It is under way, to a port that was moved: it ends before the port can be another's. */
struct verdict pending_moved(struct gate *gate, const struct call *call, int socket,
                             const struct sockaddr_storage *address, socklen_t size);
struct verdict pending_accept(struct gate *gate, const struct call *call, int socket);
struct verdict pending_send(struct gate *gate, const struct call *call, int socket,
                            const struct progress *progress);

/* connect.c: these never block for more than a millisecond or two, whatever is done to the descriptor meanwhile.
 * Every duplicate of a target's descriptor is closed by close_guarded(). */
int connect_guarded(int socket, const struct sockaddr_storage *address, socklen_t size, bool *raced);
void connect_undo(int socket);                             /* back to unconnected */
void write_guarded(int fd, const char *text, size_t size); /* a short text, where there is room */
int accept_guarded(int socket, struct sockaddr_storage *address, socklen_t *size, int flags);
void close_guarded(int *socket);
#define cleanup_target __attribute__((cleanup(close_guarded)))
int connect_guard_init(void);
void guard_rest(void); /* no tick from here on, until one of these is called again */

/* guard.c: the supervisor's own walls. Reaching another uid's process, after the target has changed its own, needs
 * SYS_PTRACE; ending it KILL. */
#define GATE_CAPABILITIES (1ull << CAP_SYS_PTRACE | 1ull << CAP_KILL)
struct filter_program;
int guard_assemble(struct filter_program *program, unsigned conditions); /* the plan's */
enum {
	GUARD_KEEP_MAX = 79,   /* of prepare_fds() */
	GUARD_CLOSE_MAX = 165, /* and of what a command is given */
};
void guard_forget_signals(void); /* the program's handlers: they are not to run in here */
int guard_detach(const int *keep, size_t count);
int guard_close_except(const int *keep, size_t count); /* and except 0 to 2; `keep` is unique and above 2 */
int guard_descriptors(void); /* the soft limit up to the hard one; -EMFILE when that is too low */
int guard_null(void);        /* /dev/null or as good; the caller's */
int guard_stdio(int null);
int guard_lock(const struct filter_program *program);

/* arena.c: memory for libev that is not malloc's. */
int arena_init(void);

#endif
