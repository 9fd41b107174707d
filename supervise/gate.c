/* The supervisor's loop: one listener, and what waits. It blocks nowhere but in epoll. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "core/fd.h"
#include "supervise/gate.h"

/* As many as are there, but not for ever: the others on the loop want their turn. */
enum { CALLS_PER_TURN = 64 };

static void listener_ready(struct ev_loop *loop, struct ev_io *watcher, int events)
{
	struct gate *gate = watcher->data;

	(void)events;
	for (int i = 0; i < CALLS_PER_TURN; i++) {
		struct call call;
		int r = notify_ready(gate->listener);

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
	ev_io_init(watcher, ready, fd, EV_READ);
	watcher->data = gate;
	ev_io_start(gate->loop, watcher);
}

int gate_open(struct gate *gate, const struct gate_rules *rules, int control)
{
	int r;

	*gate = (struct gate){.rules = rules, .listener = -1, .control = control, .waits = -1};
	if ((r = guard_descriptors()) < 0 || (r = arena_init()) < 0)
		return r;
	if ((gate->null = guard_null()) < 0)
		return gate->null;
	gate->proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	gate->loop = ev_loop_new(EVFLAG_NOENV | EVBACKEND_EPOLL);
	if (gate->proc < 0 || gate->loop == NULL)
		return gate->proc < 0 ? -errno : -ENOMEM;
	target_init(gate);
	if ((r = connect_guard_init()) < 0)
		return r;
	return pending_init(gate);
}

void gate_listen(struct gate *gate, int listener)
{
	gate->listener = listener;
	if (gate->rules->sync_wake_up)
		notify_wake_sync(listener);
	gate_watch(gate, &gate->listener_ready, listener, listener_ready);
}

void gate_run(struct gate *gate)
{
	ev_run(gate->loop, 0);
}
