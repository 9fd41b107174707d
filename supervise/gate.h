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

#include "core/kernel.h"
#include "netpolicy/netpolicy.h"

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
	const struct port_set *bind_ports;
	bool unix_any; /* net-allow-unix * */
	bool pidfd_thread;
	bool io_uring;
	bool sync_wake_up;
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
	VERDICT_VALUE,    /* returns `value` */
	VERDICT_ERRNO,    /* fails with -`value` */
	VERDICT_LATER,    /* answered by pending.c */
	VERDICT_CONTINUE, /* only from rows that name the wall which stands behind */
};
struct verdict {
	enum verdict_kind kind;
	int64_t value;
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

struct pidfd_slot {
	pid_t tid;
	int fd;
};

/* A blocking connect that is on its way. */
struct pending {
	uint64_t id; /* of the notification; 0: slot is free */
	pid_t tid;
	int socket;
	bool in_ring;        /* a request of the ring refers to this slot */
	bool cancelled;      /* ... and has been told to end */
	int cancel_code;     /* what the caller gets then; 0: the caller has left */
	bool was_connecting; /* before this call: it answers EALREADY where a first one says EINPROGRESS */
	bool signal_seen;    /* at the last look */
	socklen_t address_size;
	struct sockaddr_storage address;
	struct ev_timer timeout; /* SO_SNDTIMEO */
	struct gate *gate;
	unsigned next; /* free list */
};

struct gate {
	const struct gate_rules *rules;
	int listener, control, proc, null;
	pid_t probed;     /* whose first call is the probe; 0 once it is done */
	bool flags_raced; /* O_NONBLOCK was cleared under us: do not rely on it again */

	struct ev_loop *loop;
	struct ev_io listener_ready, ring_ready, waits_ready, control_ready;
	struct ev_timer tick;

	bool has_ring;
	struct io_uring ring;
	int waits; /* epoll of sockets that must become writable */

	struct pidfd_slot pidfds[PIDFDS_MAX];
	struct pending *pending; /* PENDING_MAX slots, pages touched as they are used */
	unsigned pending_free, pending_count, pending_look, pending_high;
};

/* gate.c */
int gate_open(struct gate *gate, const struct gate_rules *rules, int control);
void gate_listen(struct gate *gate, int listener);
void gate_run(struct gate *gate);
void gate_watch(struct gate *gate, struct ev_io *watcher, int fd,
                void (*ready)(struct ev_loop *loop, struct ev_io *watcher, int events));

/* notify.c: seccomp_unotify(2). All -errno. */
int notify_ready(int listener); /* 1: one is there, 0: none, -EPIPE: no confined process is left */
int notify_recv(int listener, struct call *call);
int notify_valid(int listener, uint64_t id); /* 0, or -ENOENT: the caller has left */
int notify_send(int listener, uint64_t id, struct verdict verdict);
void notify_wake_sync(int listener);

/* target.c: what a call points to; -ESTALE when the caller has left meanwhile. */
void target_init(struct gate *gate);
int target_socket(struct gate *gate, const struct call *call, int number); /* a duplicate, the caller's */
int target_read(struct gate *gate, const struct call *call, uint64_t from, void *to, size_t size);

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

/* socket.c */
struct socket_kind {
	int domain, type, protocol;
};
int socket_kind(int socket, struct socket_kind *kind); /* 0, -ENOTSOCK, -EBADF */
bool socket_is_tcp(const struct socket_kind *kind);
int socket_tcp_state(int socket); /* TCP_CLOSE, TCP_SYN_SENT, ...: tcp(7), TCP_INFO */

/* pending.c */
int pending_init(struct gate *gate);
/* Takes the socket over, also on failure. */
struct verdict pending_connect(struct gate *gate, const struct call *call, int socket,
                               const struct sockaddr_storage *address, socklen_t size);

/* connect.c: these never block for more than a millisecond or two, whatever is done to the descriptor meanwhile.
 * Every duplicate of a target's descriptor is closed by close_guarded(). */
int connect_guarded(int socket, const struct sockaddr_storage *address, socklen_t size, bool *raced);
void close_guarded(int *socket);
#define cleanup_target __attribute__((cleanup(close_guarded)))
int connect_guard_init(void);

/* guard.c: the supervisor's own walls. */
struct filter_program;
int guard_assemble(struct filter_program *program);
int guard_detach(const int *keep, size_t count);
int guard_close_except(const int *keep, size_t count); /* and except 0 to 2; `keep` is unique and above 2 */
int guard_descriptors(void); /* the soft limit up to the hard one; -EMFILE when that is too low */
int guard_null(void);        /* /dev/null or as good; the caller's */
int guard_stdio(int null);
int guard_lock(const struct filter_program *program);

/* arena.c: memory for libev that is not malloc's. */
int arena_init(void);

#endif
