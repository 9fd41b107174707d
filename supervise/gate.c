/* The supervisor's loop: one listener, and what waits. It blocks nowhere but in epoll, and in poll for the listener
 * and that epoll. */
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fd.h"
#include "supervise/forks.h"
#include "supervise/gate.h"
#include "supervise/unix.h"

/* As many as are there, but not for ever: the others on the loop want their turn. */
enum { CALLS_PER_TURN = 64 };

/* While no call waits and nothing else runs by time, the next call may be waited for right here: two system calls and
 * the loop's own book-keeping less for each. */
static bool gate_is_quiet(const struct gate *gate)
{
	return gate->pending_count == 0 && gate->jobs == 0 &&
	       (gate->dns == NULL || gate->dns->under_way == 0);
}

static void listener_ready(struct ev_loop *loop, struct ev_io *watcher, int events)
{
	struct gate *gate = watcher->data;

	(void)events;
	for (int i = 0; i < CALLS_PER_TURN; i++) {
		struct call call;
		int r = notify_ready(gate->listener, gate_is_quiet(gate) ? gate->others : -1);

		if (r < 0) {
			ev_io_stop(loop, watcher);
			ev_break(loop, EVBREAK_ALL);
		}
		if (r <= 0)
			return;
		/* ENOENT: killed between the two calls; EINTR: nothing lost. */
		if (notify_recv(gate->listener, &call) == 0)
			dispatch(gate, &call);
	}
}

void gate_watch(struct gate *gate, struct ev_io *watcher, int fd,
                void (*ready)(struct ev_loop *loop, struct ev_io *watcher, int events))
{
	struct epoll_event event = {.events = EPOLLIN};

	ev_io_init(watcher, ready, fd, EV_READ);
	watcher->data = gate;
	ev_io_start(gate->loop, watcher);
	if (fd != gate->listener)
		epoll_ctl(gate->others, EPOLL_CTL_ADD, fd, &event);
}

void gate_unwatch(struct gate *gate, struct ev_io *watcher)
{
	ev_io_stop(gate->loop, watcher);
	epoll_ctl(gate->others, EPOLL_CTL_DEL, watcher->fd, NULL);
}

/* Pages that are not there without names. */
static int names_open(struct gate *gate)
{
	const struct gate_rules *rules = gate->rules;

	if (!rules->names)
		return 0;
	gate->dns =
		mmap(NULL, sizeof(*gate->dns), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (gate->dns == MAP_FAILED)
		return -errno;
	return dns_open(gate->dns, rules->table, &gate->pins, &rules->servers);
}

int gate_open_idle(struct gate *gate, const struct gate_rules *rules)
{
	int r;

	gate->rules = rules;
	gate->listener = gate->control = gate->waits = -1;
	if ((r = arena_init()) < 0)
		return r;
	if ((gate->null = guard_null()) < 0)
		return gate->null;
	if ((gate->others = epoll_create1(EPOLL_CLOEXEC)) < 0)
		return -errno;
	gate->proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	gate->loop = ev_loop_new(EVFLAG_NOENV | EVBACKEND_EPOLL);
	if (gate->proc < 0 || gate->loop == NULL)
		return gate->proc < 0 ? -errno : -ENOMEM;
	return 0;
}

int gate_open(struct gate *gate, const struct gate_rules *rules, int control)
{
	int r;

	if ((r = guard_descriptors()) < 0 || (r = gate_open_idle(gate, rules)) < 0)
		return r;
	gate->control = control;
	target_init(gate);
	if (rules->unix_grants != NULL)
		unix_names_init();
	if ((r = views_open(&gate->views, &rules->views)) < 0 ||
	    (rules->max_processes > 0 && (r = forks_open(gate, rules->max_processes)) < 0))
		return r;
	if ((r = connect_guard_init()) < 0 || (r = send_init(gate)) < 0 || (r = names_open(gate)) < 0)
		return r;
	return pending_init(gate);
}

void gate_listen(struct gate *gate, int listener)
{
	gate->listener = listener;
	if (gate->rules->sync_wake_up)
		notify_wake_sync(listener);
	gate_watch(gate, &gate->listener_ready, listener, listener_ready);
	if (gate->dns != NULL)
		dns_watch(gate->dns, gate->loop, gate->others);
}

int64_t gate_seconds(void)
{
	return clock_us() / 1000000;
}

void gate_run(struct gate *gate)
{
	ev_run(gate->loop, 0);
}
