/* Blocking connects that are on their way: io_uring connects without touching the shared O_NONBLOCK, parks
 * the request, and lets go of it when told to. Where there is no ring, connect_guarded() starts the
 * connection and an epoll of our own says when it is through.
 *
 *     free -> in_ring -> (EALREADY: somebody started it before) -> waiting -> free
 *     free -> waiting (no ring) ------------------------------------^
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
#include <sys/time.h>
#include <unistd.h>

#include "supervise/gate.h"

enum {
	LOOKS_PER_TICK = 128,  /* bounds what a tick costs, whatever waits */
	RESTART_SYSCALL = 512, /* ERESTARTSYS: signal(7), the kernel restarts the call or makes it EINTR */
	NO_SLOT = PENDING_MAX,
};
static const double TICK_SECONDS = 0.05;

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
	slot->id = 0;
	slot->next = gate->pending_free;
	gate->pending_free = (unsigned)(slot - gate->pending);
	if (--gate->pending_count == 0)
		ev_timer_stop(gate->loop, &gate->tick);
}

/* `code` 0 is success. The socket goes first: respond.c. */
static void pending_finish(struct pending *pending, int code)
{
	struct gate *gate = pending->gate;
	uint64_t id = pending->id;
	bool caller_left = pending->cancelled && pending->cancel_code == 0;

	close_guarded(&pending->socket);
	slot_give(pending);
	if (!caller_left)
		respond(gate, id, code < 0 ? verdict_errno(code) : verdict_value(0));
}

/* ONESHOT: each time it fires, the connect that follows says whether to wait again. */
static void wait_start(struct pending *pending, int operation)
{
	struct epoll_event event = {.events = EPOLLOUT | EPOLLONESHOT, .data.u64 = ring_key(pending)};

	if (epoll_ctl(pending->gate->waits, operation, pending->socket, &event) < 0)
		pending_finish(pending, -ENOBUFS);
}

static void wait_end(struct pending *pending, int code)
{
	epoll_ctl(pending->gate->waits, EPOLL_CTL_DEL, pending->socket, NULL);
	pending_finish(pending, code);
}

static bool code_is_unfinished(int code)
{
	return code == -EINPROGRESS || code == -EALREADY;
}

/* Writable: connected or failed, and a second connect(2) says which. */
static void wait_done(struct pending *pending)
{
	bool raced;
	int r = connect_guarded(pending->socket, &pending->address, pending->address_size, &raced);

	if (code_is_unfinished(r))
		wait_start(pending, EPOLL_CTL_MOD);
	else
		wait_end(pending, r);
}

static void waits_ready(struct ev_loop *loop, struct ev_io *watcher, int events)
{
	struct gate *gate = watcher->data;
	struct epoll_event ready[32];
	int count = epoll_wait(gate->waits, ready, 32, 0);

	(void)loop, (void)events;
	for (int i = 0; i < count; i++) {
		struct pending *pending = &gate->pending[ready[i].data.u64 - 1];

		if (pending->id != 0 && !pending->in_ring)
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

/* `code` 0: the caller has left. */
static void pending_cancel(struct pending *pending, int code)
{
	if (pending->cancelled)
		return;
	pending->cancelled = true;
	pending->cancel_code = code;
	if (pending->in_ring)
		ring_cancel(pending);
	else
		wait_end(pending, code);
}

/* What the first connect(2) of this call has said. */
static void pending_started(struct pending *pending, int code)
{
	pending->was_connecting = code == -EALREADY;
	if (code_is_unfinished(code))
		wait_start(pending, EPOLL_CTL_ADD);
	else
		pending_finish(pending, code);
}

static int code_of_giving_up(const struct pending *pending)
{
	return pending->was_connecting ? -EALREADY : -EINPROGRESS;
}

static void ring_done(struct pending *pending, int result)
{
	pending->in_ring = false;
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

/* connect(2) on a blocking socket gives up with EINPROGRESS after SO_SNDTIMEO: socket(7). */
static void timeout_fired(struct ev_loop *loop, struct ev_timer *timer, int events)
{
	struct pending *pending = timer->data;

	(void)loop, (void)events;
	pending_cancel(pending, code_of_giving_up(pending));
}

static void timeout_start(struct pending *pending)
{
	struct timeval limit = {0};
	socklen_t size = sizeof(limit);

	ev_init(&pending->timeout, timeout_fired);
	pending->timeout.data = pending;
	if (getsockopt(pending->socket, SOL_SOCKET, SO_SNDTIMEO, &limit, &size) < 0 ||
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

	if (target_signals(pending->gate, pending->tid, &signals) < 0 || !signals.pending) {
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
	if (notify_valid(pending->gate->listener, pending->id) < 0)
		pending_cancel(pending, 0);
	else
		signals_look(pending);
}

/* With WAIT_KILLABLE_RECV no event tells of a dead caller or of a signal: seccomp_unotify(2). */
static void tick(struct ev_loop *loop, struct ev_timer *timer, int events)
{
	struct gate *gate = timer->data;
	unsigned high = gate->pending_high, looks = 0;

	(void)loop, (void)events;
	for (unsigned i = 0; i < high && looks < LOOKS_PER_TICK; i++) {
		struct pending *pending = &gate->pending[gate->pending_look++ % high];

		if (pending->id == 0 || pending->cancelled)
			continue;
		pending_look(pending);
		looks++;
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

struct verdict pending_connect(struct gate *gate, const struct call *call, int socket,
                               const struct sockaddr_storage *address, socklen_t size)
{
	struct pending *pending = slot_take(gate);
	int flags;

	if (pending == NULL) {
		close_guarded(&socket);
		return verdict_errno(-ENOBUFS);
	}
	*pending = (struct pending){
		.id = call->id,
		.tid = call->tid,
		.socket = socket,
		.address = *address,
		.address_size = size,
		.gate = gate,
	};
	timeout_start(pending);
	pending_start(pending);
	/* Not blocking, but of a target that has cleared the flag under us before: start it, and leave. */
	if (pending->id == call->id && (flags = fcntl(socket, F_GETFL)) >= 0 && flags & O_NONBLOCK)
		pending_cancel(pending, code_of_giving_up(pending));
	return (struct verdict){.kind = VERDICT_LATER};
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
	gate->has_ring = gate->rules->io_uring && io_uring_queue_init(RING_ENTRIES, &gate->ring, 0) == 0;
	if (gate->has_ring)
		gate_watch(gate, &gate->ring_ready, gate->ring.ring_fd, ring_ready);
	return 0;
}
