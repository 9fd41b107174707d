/* Calls that wait. Blocking connects that are on their way: io_uring connects without touching the shared
 * O_NONBLOCK, parks the request, and lets go of it when told to. Where there is no ring, connect_guarded() starts the
 * connection and an epoll of our own says when it is through. And blocking sends that found no room: the same epoll
 * says when to try again. Accepts that found nobody wait there as well.
 *
 *     free -> in_ring -> (EALREADY: somebody started it before) -> waiting -> free
 *     free -> waiting (no ring, a send, an accept) -----------------^
 *
 * A caller leaves by dying, by a signal, or by its SO_SNDTIMEO; a request of the ring is then cancelled, and
 * the slot is free when the ring has said its last word on it. The connection attempt itself goes on in the
 * kernel, as it does after connect(2) was interrupted.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "core/fd.h"
#include "supervise/identity.h"
#include "supervise/remap.h"
#include "supervise/unix.h"

enum {
	LOOKS_PER_TICK = 128,  /* bounds what a tick costs, whatever waits */
	AGAINS_PER_TICK = 4,   /* each may take a millisecond */
	WORKERS_MAX = 64,      /* of the ring */
	RESTART_SYSCALL = 512, /* ERESTARTSYS: signal(7), the kernel restarts the call or makes it EINTR */
	NO_SLOT = PENDING_MAX,
};
static const double TICK_SECONDS = 0.05, AGAIN_SECONDS = 0.002;

static uint64_t ring_key(const struct pending *pending)
{
	return (uint64_t)(pending - pending->gate->pending) + 1;
}

static struct pending *slot_take(struct gate *gate)
{
	struct pending *slot;

	if (gate->pending_free != NO_SLOT) {
		slot = &gate->pending[gate->pending_free];
		gate->pending_free = slot->next;
	} else if (gate->pending_high < PENDING_MAX) {
		slot = &gate->pending[gate->pending_high++];
	} else {
		return NULL;
	}
	if (gate->pending_count++ == 0)
		ev_timer_again(gate->loop, &gate->tick);
	return slot;
}

static void slot_give(struct pending *slot)
{
	struct gate *gate = slot->gate;

	ev_timer_stop(gate->loop, &slot->timeout);
	ev_timer_stop(gate->loop, &slot->again);
	slot->call.id = 0;
	slot->next = gate->pending_free;
	gate->pending_free = (unsigned)(slot - gate->pending);
	if (--gate->pending_count == 0)
		ev_timer_stop(gate->loop, &gate->tick);
}

/* Nothing of it may go on: h_connect.c. But for what another call has made, and told already. */
static void moved_end(const struct pending *pending, struct verdict verdict)
{
	if (pending->moved && verdict.kind == VERDICT_ERRNO && verdict.value != -EISCONN)
		connect_undo(pending->socket);
}

/* The socket goes first: respond.c. */
static void pending_answer(struct pending *pending, struct verdict verdict)
{
	struct gate *gate = pending->gate;
	uint64_t id = pending->call.id;
	bool caller_left = pending->caller_left;

	moved_end(pending, verdict);
	close_guarded(&pending->socket);
	fd_close(&pending->held);
	slot_give(pending);
	if (!caller_left)
		respond(gate, id, verdict);
}

/* `code` 0 is success. */
static void pending_finish(struct pending *pending, int code)
{
	pending_answer(pending, code < 0 ? verdict_errno(code) : verdict_value(0));
}

/* What of a send has gone is the answer, whatever ends it. */
static struct verdict verdict_of_giving_up(const struct pending *pending, int code)
{
	if (pending->is_send && !pending->caller_left)
		return send_give_up(pending->gate, &pending->call, &pending->progress, code);
	return verdict_errno(code);
}

/* At once, but after whatever else there is; or after a while. */
static void again_start(struct pending *pending, double seconds)
{
	ev_timer_set(&pending->again, seconds, 0);
	ev_timer_start(pending->gate->loop, &pending->again);
}

/* ONESHOT: each time it fires, the connect that follows says whether to wait again. */
static void wait_start(struct pending *pending)
{
	struct epoll_event event = {.events = EPOLLONESHOT | (pending->is_accept ? EPOLLIN : EPOLLOUT),
	                            .data.u64 = ring_key(pending)};

	int operation = pending->in_epoll ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	if (epoll_ctl(pending->gate->waits, operation, pending->socket, &event) == 0) {
		pending->in_epoll = true;
		return;
	}
	/* One socket can be in only so many places (epoll_ctl(2), 500 of them): a send then asks by the clock. */
	pending->by_clock = pending->is_send;
	if (pending->by_clock)
		again_start(pending, AGAIN_SECONDS);
	else
		pending_answer(pending, verdict_of_giving_up(pending, -ENOBUFS));
}

static void wait_end(struct pending *pending, struct verdict verdict)
{
	if (pending->in_epoll)
		epoll_ctl(pending->gate->waits, EPOLL_CTL_DEL, pending->socket, NULL);
	pending_answer(pending, verdict);
}

/* A full listener's queue: unix(7). An unconnected unix socket is always writable, so nothing can be waited for. */
static bool is_unix(const struct pending *pending)
{
	return pending->address.ss_family == AF_UNIX;
}

static bool code_is_unfinished(int code)
{
	return code == -EINPROGRESS || code == -EALREADY;
}

static bool moved_is_lost(const struct pending *pending)
{
	const struct sockaddr_storage *address = &pending->address;
	struct net_endpoint endpoint = {.port = 0};

	return !remap_address(address, pending->address_size, &endpoint.addr, &endpoint.port) ||
	       !remap_confirm(pending->gate, &endpoint);
}

/* Writable: connected or failed, and a second connect(2) says which. */
static void connect_look(struct pending *pending)
{
	bool raced;
	int r = connect_guarded(pending->socket, &pending->address, pending->address_size, &raced);

	if (pending->moved && r == 0 && moved_is_lost(pending))
		r = -ECONNREFUSED;
	if (code_is_unfinished(r))
		wait_start(pending);
	else
		wait_end(pending, r < 0 ? verdict_errno(r) : verdict_value(0));
}

/* Room for something is not room for this: a datagram may be larger, and the queue that is full may be the receiver's,
 * which poll(2) does not see. Asking at once would spin. */
static void send_look(struct pending *pending)
{
	struct progress before = pending->progress, *now = &pending->progress;
	struct verdict verdict;

	/* What has gone is the answer, and the error is for the next call. */
	if (now->bytes > 0 && socket_has_failed(pending->socket)) {
		wait_end(pending, send_give_up(pending->gate, &pending->call, now, -EPIPE));
		return;
	}
	verdict = send_again(pending->gate, &pending->call, pending->socket, now);
	if (verdict.kind != VERDICT_LATER)
		wait_end(pending, verdict);
	else if (now->turn_over)
		again_start(pending, 0);
	else if (!pending->by_clock && (now->messages != before.messages || now->bytes != before.bytes))
		wait_start(pending);
	else
		again_start(pending, AGAIN_SECONDS);
}

static void accept_look(struct pending *pending)
{
	struct verdict verdict = accept_again(pending->gate, &pending->call, pending->socket);

	if (verdict.kind == VERDICT_LATER)
		wait_start(pending);
	else
		wait_end(pending, verdict);
}

static void again_fired(struct ev_loop *loop, struct ev_timer *timer, int events)
{
	struct pending *pending = timer->data;

	(void)loop, (void)events;
	if (pending->by_clock || pending->progress.turn_over)
		send_look(pending);
	else
		wait_start(pending);
}

static void wait_done(struct pending *pending)
{
	if (pending->is_send)
		send_look(pending);
	else if (pending->is_accept)
		accept_look(pending);
	else
		connect_look(pending);
}

static void waits_ready(struct ev_loop *loop, struct ev_io *watcher, int events)
{
	struct gate *gate = watcher->data;
	struct epoll_event ready[32];
	int count = epoll_wait(gate->waits, ready, 32, 0);

	(void)loop, (void)events;
	for (int i = 0; i < count; i++) {
		struct pending *pending = &gate->pending[ready[i].data.u64 - 1];

		if (pending->call.id != 0 && !pending->in_ring)
			wait_done(pending);
	}
}

static void ring_cancel(struct pending *pending)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&pending->gate->ring);

	if (sqe == NULL)
		return; /* every submission is flushed at once, so the queue is never full */
	io_uring_prep_cancel64(sqe, ring_key(pending), 0);
	sqe->user_data = 0;
	io_uring_submit(&pending->gate->ring);
}

static void pending_cancel(struct pending *pending, int code)
{
	if (pending->cancelled)
		return;
	pending->cancelled = true;
	pending->cancel_code = code;
	if (pending->in_ring)
		ring_cancel(pending);
	else
		wait_end(pending, verdict_of_giving_up(pending, code));
}

static void pending_abandon(struct pending *pending)
{
	pending->caller_left = true;
	pending_cancel(pending, -ECANCELED);
}

/* What the first connect(2) of this call has said. */
static void pending_started(struct pending *pending, int code)
{
	pending->was_connecting = code == -EALREADY;
	if (is_unix(pending) && code == -EINPROGRESS)
		return; /* the tick tries again */
	if (code_is_unfinished(code))
		wait_start(pending);
	else
		pending_finish(pending, code);
}

static int code_of_giving_up(const struct pending *pending)
{
	if (pending->is_send || pending->is_accept || is_unix(pending))
		return -EAGAIN;
	return pending->was_connecting ? -EALREADY : -EINPROGRESS;
}

/* connect(2) that fails after it has waited gives the local address back; the ring leaves that out. */
static void connection_forget(struct pending *pending, int result)
{
	static const struct sockaddr_storage nobody = {.ss_family = AF_UNSPEC};
	bool raced;

	if (is_unix(pending) || socket_tcp_state(pending->socket) != TCP_CLOSE)
		return;
	if (result == -ECONNREFUSED || result == -ETIMEDOUT || result == -EHOSTUNREACH ||
	    result == -ECONNRESET)
		connect_guarded(pending->socket, &nobody, sizeof(struct sockaddr), &raced);
}

static void ring_done(struct pending *pending, int result)
{
	pending->in_ring = false;
	connection_forget(pending, result);
	if (pending->cancelled && (result == -ECANCELED || code_is_unfinished(result) || result == -EINTR))
		pending_finish(pending, pending->cancel_code);
	else
		pending_started(pending, result);
}

static void ring_reap(struct gate *gate)
{
	struct io_uring_cqe *cqe;

	while (io_uring_peek_cqe(&gate->ring, &cqe) == 0) {
		uint64_t key = cqe->user_data;
		int result = cqe->res;

		io_uring_cqe_seen(&gate->ring, cqe);
		if (key != 0)
			ring_done(&gate->pending[key - 1], result);
	}
}

static void ring_ready(struct ev_loop *loop, struct ev_io *watcher, int events)
{
	(void)loop, (void)events;
	ring_reap(watcher->data);
}

static int ring_connect(struct pending *pending)
{
	struct io_uring *ring = &pending->gate->ring;
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	int r;

	if (sqe == NULL)
		return -EBUSY;
	io_uring_prep_connect(sqe, pending->socket, (struct sockaddr *)&pending->address,
	                      pending->address_size);
	/* A worker of its own is given the credentials of now; a later attempt in our name would not have them. */
	if (identity_assumed())
		sqe->flags |= IOSQE_ASYNC;
	sqe->user_data = ring_key(pending);
	pending->in_ring = true;
	if ((r = io_uring_submit(ring)) >= 0)
		return 0;
	/* It stays queued, and a later submission must not find it: the slot will be somebody else's. */
	io_uring_prep_nop(sqe);
	sqe->user_data = 0;
	pending->in_ring = false;
	return r;
}

/* connect(2) on a blocking socket gives up with EINPROGRESS after SO_SNDTIMEO, a send with EAGAIN, and accept(2) so after
 * SO_RCVTIMEO: socket(7). */
static void timeout_fired(struct ev_loop *loop, struct ev_timer *timer, int events)
{
	struct pending *pending = timer->data;

	(void)loop, (void)events;
	pending_cancel(pending, code_of_giving_up(pending));
}

static void moved_expired(struct ev_loop *loop, struct ev_timer *timer, int events)
{
	(void)loop, (void)events;
	pending_cancel(timer->data, -ECONNREFUSED);
}

static void timeout_start(struct pending *pending, int option)
{
	struct timeval limit = {0};
	socklen_t size = sizeof(limit);

	if (getsockopt(pending->socket, SOL_SOCKET, option, &limit, &size) < 0 ||
	    (limit.tv_sec == 0 && limit.tv_usec == 0))
		return;
	ev_timer_set(&pending->timeout, (double)limit.tv_sec + (double)limit.tv_usec / 1e6, 0);
	ev_timer_start(pending->gate->loop, &pending->timeout);
}

/* As the kernel: with SO_SNDTIMEO a handler's SA_RESTART does not count (signal(7)). Otherwise the kernel is
 * told to restart or not as the handler wants it, but only if the signal must hit this thread: to another one
 * the number would show. */
static void signals_look(struct pending *pending)
{
	struct target_signals signals;
	bool has_limit = ev_is_active(&pending->timeout);

	if (target_signals(pending->gate, pending->call.tid, &signals) < 0 || !signals.pending) {
		pending->signal_seen = false;
		return;
	}
	if (signals.certain)
		pending_cancel(pending, has_limit ? -EINTR : -RESTART_SYSCALL);
	else if (pending->signal_seen)
		pending_cancel(pending, -EINTR);
	else
		pending->signal_seen = true;
}

static void pending_look(struct pending *pending)
{
	if (target_confirm(pending->gate, &pending->call) < 0)
		pending_abandon(pending);
	else if (pending->moved && moved_is_lost(pending))
		pending_cancel(pending, -ECONNREFUSED);
	else
		signals_look(pending);
}

static bool waits_for_tick(const struct pending *pending)
{
	return pending->call.id != 0 && is_unix(pending) && !pending->in_ring && !pending->cancelled;
}

static void pending_again(struct pending *pending)
{
	int r = unix_connect_again(pending->gate, &pending->call, pending->socket, &pending->address,
	                           pending->address_size);

	if (r != -EAGAIN)
		pending_finish(pending, r);
}

/* With WAIT_KILLABLE_RECV no event tells of a dead caller or of a signal: seccomp_unotify(2). */
static void tick(struct ev_loop *loop, struct ev_timer *timer, int events)
{
	struct gate *gate = timer->data;
	unsigned high = gate->pending_high, looks = 0, agains = 0;

	(void)loop, (void)events;
	for (unsigned i = 0; i < high && looks < LOOKS_PER_TICK; i++) {
		struct pending *pending = &gate->pending[gate->pending_look++ % high];

		if (pending->call.id == 0 || pending->cancelled)
			continue;
		pending_look(pending);
		looks++;
		if (waits_for_tick(pending) && agains++ < AGAINS_PER_TICK)
			pending_again(pending);
	}
}

static void pending_start(struct pending *pending)
{
	bool connecting, raced;
	int r;

	if (pending->gate->has_ring && ring_connect(pending) == 0) {
		ring_reap(pending->gate);
		return;
	}
	/* Waiting for what an earlier call has begun looks like beginning it: the guard ends both. */
	connecting = socket_tcp_state(pending->socket) == TCP_SYN_SENT;
	r = connect_guarded(pending->socket, &pending->address, pending->address_size, &raced);
	pending_started(pending, connecting && r == -EINPROGRESS ? -EALREADY : r);
}

/* NULL: none is left, and the socket is closed. */
static struct pending *pending_open(struct gate *gate, const struct call *call, int socket)
{
	struct pending *pending = slot_take(gate);

	if (pending == NULL) {
		close_guarded(&socket);
		return NULL;
	}
	*pending = (struct pending){.call = *call, .socket = socket, .held = -1, .gate = gate};
	ev_timer_init(&pending->again, again_fired, AGAIN_SECONDS, 0);
	ev_init(&pending->timeout, timeout_fired);
	pending->again.data = pending->timeout.data = pending;
	return pending;
}

struct verdict pending_connect(struct gate *gate, const struct call *call, int socket,
                               const struct sockaddr_storage *address, socklen_t size, int held)
{
	struct pending *pending = pending_open(gate, call, socket);
	int flags;

	if (pending == NULL) {
		fd_close(&held);
		return verdict_errno(-ENOBUFS);
	}
	timeout_start(pending, SO_SNDTIMEO);
	pending->held = held;
	pending->address = *address;
	pending->address_size = size;
	pending_start(pending);
	/* Not blocking, but of a target that has cleared the flag under us before: start it, and leave. */
	if (pending->call.id == call->id && (flags = fcntl(socket, F_GETFL)) >= 0 && flags & O_NONBLOCK)
		pending_cancel(pending, code_of_giving_up(pending));
	return (struct verdict){.kind = VERDICT_LATER};
}

struct verdict pending_send(struct gate *gate, const struct call *call, int socket,
                            const struct progress *progress)
{
	struct pending *pending = pending_open(gate, call, socket);

	if (pending == NULL)
		return send_give_up(gate, call, progress, -ENOBUFS);
	timeout_start(pending, SO_SNDTIMEO);
	pending->is_send = true;
	pending->progress = *progress;
	if (progress->turn_over)
		again_start(pending, 0);
	else
		wait_start(pending);
	return (struct verdict){.kind = VERDICT_LATER};
}

/* Full queues drop what comes, and it comes again after a second. A caller that does not wait gets less than that: what
 * would come then, nobody would see. */
static void moved_limit(struct pending *pending)
{
	static const double limit_seconds = 0.2;
	int flags = fcntl(pending->socket, F_GETFL);

	if (flags >= 0 && flags & O_NONBLOCK) {
		ev_timer_init(&pending->timeout, moved_expired, limit_seconds, 0);
		ev_timer_start(pending->gate->loop, &pending->timeout);
	} else {
		timeout_start(pending, SO_SNDTIMEO);
	}
}

struct verdict pending_moved(struct gate *gate, const struct call *call, int socket,
                             const struct sockaddr_storage *address, socklen_t size)
{
	struct pending *pending;

	if (gate->pending_count == PENDING_MAX)
		connect_undo(socket);
	if ((pending = pending_open(gate, call, socket)) == NULL)
		return verdict_errno(-ENOBUFS);
	pending->moved = true;
	pending->address = *address;
	pending->address_size = size;
	moved_limit(pending);
	wait_start(pending);
	return (struct verdict){.kind = VERDICT_LATER};
}

struct verdict pending_accept(struct gate *gate, const struct call *call, int socket)
{
	struct pending *pending = pending_open(gate, call, socket);

	if (pending == NULL)
		return verdict_errno(-ENOBUFS);
	pending->is_accept = true;
	timeout_start(pending, SO_RCVTIMEO);
	wait_start(pending);
	return (struct verdict){.kind = VERDICT_LATER};
}

/* Not every liburing has a function for each. */
static long ring_register(struct io_uring *ring, unsigned operation, void *argument, unsigned count)
{
	return syscall(SYS_io_uring_register, ring->ring_fd, operation, argument, count);
}

/* What goes through a ring goes past the supervisor's own filter (guard.c). So it is narrowed to what is done here, for
 * good: nothing of it can be widened by who may not call io_uring_register(2). */
static int ring_open(struct io_uring *ring)
{
	struct io_uring_restriction allowed[] = {
		{.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_CONNECT},
		{.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_ASYNC_CANCEL},
		{.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_NOP},
		{.opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED, .sqe_flags = IOSQE_ASYNC},
	};
	/* A connect to a unix listener whose queue is full waits in a thread of the kernel's. */
	unsigned workers[2] = {WORKERS_MAX, WORKERS_MAX};
	int r = io_uring_queue_init(RING_ENTRIES, ring, IORING_SETUP_R_DISABLED);

	if (r < 0)
		return r;
	if (ring_register(ring, IORING_REGISTER_RESTRICTIONS, allowed, sizeof(allowed) / sizeof(allowed[0])) <
	            0 ||
	    ring_register(ring, IORING_REGISTER_IOWQ_MAX_WORKERS, workers, 2) < 0 ||
	    ring_register(ring, IORING_REGISTER_ENABLE_RINGS, NULL, 0) < 0) {
		io_uring_queue_exit(ring);
		return -ENOTSUP;
	}
	return 0;
}

int pending_init(struct gate *gate)
{
	void *slots = mmap(NULL, PENDING_MAX * sizeof(struct pending), PROT_READ | PROT_WRITE,
	                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (slots == MAP_FAILED || (gate->waits = epoll_create1(EPOLL_CLOEXEC)) < 0)
		return -errno;
	gate->pending = slots;
	gate->pending_free = NO_SLOT;
	ev_init(&gate->tick, tick);
	gate->tick.repeat = TICK_SECONDS;
	gate->tick.data = gate;
	gate_watch(gate, &gate->waits_ready, gate->waits, waits_ready);
	gate->has_ring = gate->rules->io_uring && ring_open(&gate->ring) == 0;
	if (gate->has_ring)
		gate_watch(gate, &gate->ring_ready, gate->ring.ring_fd, ring_ready);
	return 0;
}
