/* session.h draws it. */
#include "supervise/session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/fd.h"
#include "supervise/forks.h"
#include "supervise/handover.h"
#include "supervise/supervise.h"
#include "supervise/tree.h"

enum { TELL_MS = 1000 };

static int channel_open(int *ours, int *theirs)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	*ours = pair[0];
	*theirs = pair[1];
	return 0;
}

int session_channels(struct session_ends *ends, bool supervised)
{
	int r;

	*ends = (struct session_ends){{-1, -1}, {-1, -1}};
	if (supervised && (r = channel_open(&ends->ours[0], &ends->theirs[0])) < 0)
		return r;
	return channel_open(&ends->ours[1], &ends->theirs[1]);
}

/* Nothing is answered: what waits, waits on. The keeper, too, is at rest until it says more. */
static void session_hold(struct session *session, int answer);

static void report_take(struct session *session, const struct keeper_report *report)
{
	switch ((enum keeper_event)report->event) {
	case KEEPER_EXECED:
		session->running = true;
		return;
	case KEEPER_FAILED:
		session->failed = true;
		session->failure = report->failure;
		return;
	case KEEPER_STOPPED:
		if (session->stopped != NULL)
			session->stopped(session, report->value);
		return;
	case KEEPER_HELD:
		session_hold(session, report->value);
		return;
	case KEEPER_ENDED:
	case KEEPER_BEATEN:
		session->ended = true;
		session->beaten = report->event == KEEPER_BEATEN;
		session->status = report->value;
		session->reason = (enum keeper_reason)report->reason;
		return;
	case KEEPER_STARTED:
	case KEEPER_PARKED:
	case KEEPER_GOES_ON:
	case KEEPER_DONE:
		return;
	}
}

static bool report_read(struct session *session, struct keeper_report *report)
{
	ssize_t size;

	while ((size = read(session->reports, report, sizeof(*report))) < 0 && errno == EINTR)
		;
	return size == sizeof(*report);
}

static void session_hold(struct session *session, int answer)
{
	struct keeper_report report = {.event = KEEPER_HELD};
	uint8_t byte = (uint8_t)answer;

	fd_write_all(session->reports, &byte, 1);
	while (!session->ended && report.event != KEEPER_GOES_ON && report_read(session, &report))
		if (report.event != KEEPER_HELD)
			report_take(session, &report);
}

/* End of file, too, ends the loop: session_wait() finds out what has become of the keeper. */
static void reports_ready(struct ev_loop *loop, struct ev_io *watcher, int events)
{
	struct gate *gate = watcher->data;
	struct session *session = (struct session *)((char *)gate - offsetof(struct session, gate));
	struct keeper_report report;
	bool there = report_read(session, &report), ran = session->running;

	(void)events;
	if (there)
		report_take(session, &report);
	/* The command runs. Its pipes must see end of file when it closes them, so ours go. */
	if (session->running && !ran)
		guard_stdio(gate->null);
	if (!there || session->ended)
		ev_break(loop, EVBREAK_ALL);
}

static int listener_take(struct session *session, int control)
{
	int listener, r = handover_report(control, 0);

	if (r < 0)
		return r;
	if ((listener = handover_take(control, session->command_pidfd)) < 0)
		return listener;
	gate_listen(&session->gate, listener);
	return 0;
}

static int started_await(struct session *session)
{
	struct keeper_report started;
	int *pidfd = &session->command_pidfd;
	ssize_t size = fd_recv(session->reports, &started, sizeof(started), 0, pidfd);

	if (size != sizeof(started))
		return size < 0 ? (int)size : -ECHILD;
	if (started.event != KEEPER_STARTED) {
		report_take(session, &started);
		return -ECHILD;
	}
	session->command = started.value;
	return *pidfd < 0 ? -EMFILE : 0;
}

void session_begin(struct session *session, const struct prepared *prepared, const struct session_ends *ends)
{
	session->reports = ends->ours[1];
	session->cgroup = &prepared->cgroup;
}

int session_attend(struct session *session, const struct prepared *prepared)
{
	session->gate.proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (session->gate.proc < 0)
		return -errno;
	return guard_lock(&prepared->guard);
}

int session_take_over(struct session *session, const struct prepared *prepared,
                      const struct session_ends *ends)
{
	struct gate *gate = &session->gate;
	int control = ends->ours[0], r;

	r = control >= 0 ? gate_open(gate, &prepared->rules, control)
	                 : gate_open_idle(gate, &prepared->rules);
	if (r < 0 || (r = started_await(session)) < 0)
		return r;
	gate->probed = session->command;
	if (gate->forks != NULL)
		forks_begin(gate->forks, session->keeper);
	if (control >= 0 && (r = listener_take(session, control)) < 0)
		return r;
	gate_watch(gate, &session->reports_ready, session->reports, reports_ready);
	if ((r = guard_lock(&prepared->guard)) < 0)
		return r;
	return control >= 0 ? handover_report(control, 0) : 0;
}

bool session_abandon(const struct session *session, int code)
{
	if (code == -ECONNRESET || code == -EPIPE || code == -ECHILD)
		return false;
	kill(session->keeper, SIGKILL);
	return true;
}

void session_run(struct session *session)
{
	gate_run(&session->gate);
}

void session_wait(struct session *session)
{
	struct keeper_report report;

	while (!session->ended && report_read(session, &report))
		report_take(session, &report);
	if (!session->ended) {
		cgroup_kill(session->cgroup);
		session->beaten = !tree_kill(session->gate.proc);
		cgroup_remove(session->cgroup);
	}
	while (waitpid(session->keeper, NULL, 0) < 0 && errno == EINTR)
		;
}

static const char *reason_name(const struct session *session)
{
	static const char *const names[] = {
		[REASON_KILLED] = "lost",
		[REASON_TIMEOUT] = "timeout",
		[REASON_MEMORY] = "memory",
		[REASON_OWNER] = "killed",
	};

	if (session->failed)
		return "failed";
	if (!session->ended)
		return "lost";
	if (session->reason != REASON_NONE)
		return names[session->reason];
	return WIFSIGNALED(session->status) ? "signal" : "exit";
}

static int exit_code_of(const struct session *session)
{
	if (session->failed)
		return start_status(session->failure.code, session->failure.step);
	if (!session->ended || session->reason != REASON_NONE || WIFSIGNALED(session->status))
		return -1;
	return WEXITSTATUS(session->status);
}

/* A pipe that is full and nobody reads must not keep us: what waits for our end may be its reader. */
void session_tell(const struct session *session, int status_fd)
{
	struct pollfd room = {.fd = status_fd, .events = POLLOUT};
	bool signaled = session->ended && !session->failed && WIFSIGNALED(session->status);
	char line[128];
	int size;

	if (status_fd < 0 || poll(&room, 1, TELL_MS) <= 0)
		return;
	size = snprintf(line, sizeof(line), "{\"exit_code\":%d,\"signal\":%d,\"reason\":\"%s\"}\n",
	                exit_code_of(session), signaled ? WTERMSIG(session->status) : 0,
	                reason_name(session));
	fd_write_all(status_fd, line, (size_t)size);
}
