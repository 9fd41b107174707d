/* sl_sandbox: the app's side. It speaks with the keeper over one socket, `owner`: orders go in, reports come out. What may
 * be asked for in which state is the table's business: sandbox_state.h. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/environment.h"
#include "core/error.h"
#include "core/fd.h"
#include "supervise/keeper.h"
#include "supervise/sandbox.h"
#include "supervise/sandbox_state.h"
#include "supervise/standin.h"
#include "supervise/supervise.h"

enum { PIDFD_WAIT = 3 }; /* P_PIDFD: waitid(2) */

struct sl_sandbox {
	enum sl_state state;
	int owner;
	pid_t child, command;
	int child_pidfd, command_pidfd;
	struct stdio_ends ends;
	struct command program;
	bool failed, parked, done;
	bool settled; /* it was parked, or executed */
	int done_value;
	struct failure failure;
	sl_status status;
};

/* ---- reports ---- */

/* 0; -EAGAIN, -EPIPE. One of them brings a pidfd along, which is kept.
 *
 * A keeper that ends with an order unread, which came too late for it, makes the next call here fail once with ECONNRESET;
 * but what it had said before is still there to be read, its last word above all. */
static int report_recv(sl_sandbox *sandbox, struct keeper_report *report, int flags)
{
	ssize_t size;
	int pidfd;

	while ((size = fd_recv(sandbox->owner, report, sizeof(*report), flags, &pidfd)) == -ECONNRESET)
		;
	if (pidfd >= 0) {
		fd_close(&sandbox->command_pidfd);
		sandbox->command_pidfd = pidfd;
	}
	if (size == -EAGAIN)
		return -EAGAIN;
	return size == sizeof(*report) ? 0 : -EPIPE;
}

void status_of_wait(sl_status *status, int value)
{
	status->signal = WIFSIGNALED(value) ? WTERMSIG(value) : 0;
	status->code = WIFSIGNALED(value) ? -1 : WEXITSTATUS(value);
}

static void status_of_failure(sl_status *status, const struct failure *failure)
{
	status->signal = 0;
	status->code = start_status(failure->code, failure->step);
	status->reason = SL_REASON_FAILED;
}

/* The stand-in ends right behind the keeper's last word. An app that reaps all its children may have been faster. */
static void sandbox_reap(sl_sandbox *sandbox)
{
	siginfo_t info;

	while (waitid((idtype_t)PIDFD_WAIT, (id_t)sandbox->child_pidfd, &info, WEXITED) < 0 && errno == EINTR)
		;
}

static void sandbox_ended(sl_sandbox *sandbox, const struct keeper_report *report)
{
	static const int reasons[] = {
		[REASON_NONE] = SL_REASON_NONE,       [REASON_KILLED] = SL_REASON_LOST,
		[REASON_TIMEOUT] = SL_REASON_TIMEOUT, [REASON_MEMORY] = SL_REASON_MEMORY,
		[REASON_OWNER] = SL_REASON_KILLED,
	};

	if (report == NULL)
		sandbox->status = (sl_status){.code = EXIT_SLUICE, .reason = SL_REASON_LOST};
	else
		status_of_wait(&sandbox->status, report->value);
	if (report != NULL && (unsigned)report->reason < sizeof(reasons) / sizeof(reasons[0]))
		sandbox->status.reason = reasons[report->reason];
	if (report != NULL)
		sandbox->status.leftover = report->event == KEEPER_BEATEN;
	if (sandbox->failed)
		status_of_failure(&sandbox->status, &sandbox->failure);
	sandbox_reap(sandbox);
}

static void event_take(sl_sandbox *sandbox, enum sandbox_event event, const struct keeper_report *report)
{
	const struct transition *transition = sandbox_transition(sandbox->state, event);

	if (transition->step == STEP_REFUSE)
		return;
	if (transition->step == STEP_END)
		sandbox_ended(sandbox, report);
	sandbox->state = transition->next;
}

static void report_take(sl_sandbox *sandbox, const struct keeper_report *report)
{
	switch ((enum keeper_event)report->event) {
	case KEEPER_STARTED:
		sandbox->command = report->value;
		return;
	case KEEPER_PARKED:
		sandbox->parked = sandbox->settled = true;
		return;
	case KEEPER_EXECED:
		sandbox->settled = true;
		event_take(sandbox, EVENT_EXECED, report);
		return;
	case KEEPER_FAILED:
		/* The first is the cause: a stand-in whose keeper gave up says so too. */
		if (!sandbox->failed)
			sandbox->failure = report->failure;
		sandbox->failed = true;
		event_take(sandbox, EVENT_FAILED, report);
		return;
	case KEEPER_DONE:
		sandbox->done = true;
		sandbox->done_value = report->value;
		return;
	case KEEPER_ENDED:
	case KEEPER_BEATEN:
		event_take(sandbox, EVENT_ENDED, report);
		return;
	case KEEPER_STOPPED:
	case KEEPER_HELD:
	case KEEPER_GOES_ON:
		return;
	}
}

/* One message. -EAGAIN with MSG_DONTWAIT when there is none; end of file ends the sandbox. */
static int sandbox_hear(sl_sandbox *sandbox, int flags)
{
	struct keeper_report report = {.event = 0};
	int r = report_recv(sandbox, &report, flags);

	if (r == 0)
		report_take(sandbox, &report);
	if (r == -EPIPE)
		event_take(sandbox, EVENT_LOST, NULL);
	return r;
}

/* What has happened up to now, so that a call is judged by the state that is, not the one that was. */
static void sandbox_catch_up(sl_sandbox *sandbox)
{
	while (sandbox->state != SL_STATE_ENDED && sandbox_hear(sandbox, MSG_DONTWAIT) >= 0)
		;
}

/* ---- orders ---- */

static int refuse(const sl_sandbox *sandbox, enum sandbox_event event, int code, sl_error *error)
{
	return error_set(error, code, "%s: the sandbox is %s", sandbox_event_name(event),
	                 sandbox_state_name(sandbox->state));
}

static int order_send(sl_sandbox *sandbox, enum keeper_order_kind kind, int value)
{
	struct keeper_order order = {.order = (int32_t)kind, .value = value};

	sandbox->done = false;
	while (send(sandbox->owner, &order, sizeof(order), MSG_NOSIGNAL) < 0) {
		if (errno == EPIPE || errno == ECONNRESET)
			break; /* its last word may still be there */
		if (errno != EINTR)
			return -errno;
	}
	while (!sandbox->done && sandbox->state != SL_STATE_ENDED)
		sandbox_hear(sandbox, 0);
	return sandbox->done ? sandbox->done_value : -ESRCH;
}

static int sandbox_ask(sl_sandbox *sandbox, enum sandbox_event event, enum keeper_order_kind kind, int value,
                       sl_error *error)
{
	const struct transition *transition;
	int r;

	if (sandbox == NULL)
		return error_set(error, -EINVAL, "%s: no sandbox given", sandbox_event_name(event));
	sandbox_catch_up(sandbox);
	transition = sandbox_transition(sandbox->state, event);
	if (transition->step == STEP_REFUSE)
		return refuse(sandbox, event, transition->code, error);
	if (transition->step == STEP_NOTHING)
		return 0;
	if ((r = order_send(sandbox, kind, value)) < 0)
		return error_errno(error, r, "%s", sandbox_event_name(event));
	/* It may have ended while the order was carried out. */
	if (sandbox->state != SL_STATE_ENDED)
		sandbox->state = transition->next;
	return 0;
}

int sl_pause(sl_sandbox *sandbox, sl_error *error)
{
	return sandbox_ask(sandbox, EVENT_PAUSE, ORDER_PAUSE, 0, error);
}

int sl_resume(sl_sandbox *sandbox, sl_error *error)
{
	return sandbox_ask(sandbox, EVENT_RESUME, ORDER_RESUME, 0, error);
}

int sl_freeze(sl_sandbox *sandbox, sl_error *error)
{
	return sandbox_ask(sandbox, EVENT_FREEZE, ORDER_FREEZE, 0, error);
}

int sl_thaw(sl_sandbox *sandbox, sl_error *error)
{
	return sandbox_ask(sandbox, EVENT_THAW, ORDER_THAW, 0, error);
}

int sl_signal(sl_sandbox *sandbox, int signal, sl_error *error)
{
	if (signal < 1 || signal >= _NSIG)
		return error_set(error, -EINVAL, "no such signal: %d", signal);
	return sandbox_ask(sandbox, EVENT_SIGNAL, ORDER_SIGNAL, signal, error);
}

int sl_kill(sl_sandbox *sandbox, sl_error *error)
{
	int r = sandbox_ask(sandbox, EVENT_KILL, ORDER_KILL, 0, error);

	return r == -ESRCH ? 0 : r;
}

static int failure_report(const sl_sandbox *sandbox, sl_error *error)
{
	const struct failure *failure = &sandbox->failure;

	if (!sandbox->failed)
		return error_set(error, -ECHILD, "the command's keeper was killed");
	return start_failure(failure->code, failure->step, sandbox->program.path, error);
}

int sl_start(sl_sandbox *sandbox, sl_error *error)
{
	int r = sandbox_ask(sandbox, EVENT_START, ORDER_START, 0, error);

	if (r < 0)
		return r;
	while (sandbox->state == SL_STATE_STARTING)
		sandbox_hear(sandbox, 0);
	return sandbox->failed ? failure_report(sandbox, error) : 0;
}

/* ---- waiting ---- */

static void sandbox_poll(const sl_sandbox *sandbox, int64_t end)
{
	struct pollfd heard = {.fd = sandbox->owner, .events = POLLIN};
	int64_t left = end - clock_ms();

	poll(&heard, 1, end < 0 ? -1 : left < 0 ? 0 : (int)left);
}

int sl_wait(sl_sandbox *sandbox, int timeout_ms, sl_status *status, sl_error *error)
{
	int64_t end = timeout_ms < 0 ? -1 : clock_ms() + timeout_ms;
	const struct transition *transition;

	if (sandbox == NULL)
		return error_set(error, -EINVAL, "WAIT: no sandbox given");
	sandbox_catch_up(sandbox);
	transition = sandbox_transition(sandbox->state, EVENT_WAIT);
	if (transition->step == STEP_REFUSE)
		return refuse(sandbox, EVENT_WAIT, transition->code, error);
	while (sandbox->state != SL_STATE_ENDED) {
		if (end >= 0 && clock_ms() >= end)
			return error_set(error, -ETIMEDOUT, "the command runs");
		sandbox_poll(sandbox, end);
		sandbox_catch_up(sandbox);
	}
	if (status != NULL)
		*status = sandbox->status;
	return 0;
}

/* ---- making and freeing ---- */

/* But what we opened for it ourselves. */
static int sources_check(const struct stdio_plan *plan, const struct stdio_ends *ends,
                         const struct cgroup *cgroup, sl_error *error)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < plan->count; i++) {
		int source = plan->moves[i].source;

		if (source == ends->theirs[0] || source == ends->theirs[1] || source == ends->theirs[2])
			continue;
		if ((r = preflight_descriptor(source, error)) == 0)
			r = cgroup_check_descriptor(cgroup, source, error);
	}
	return r < 0 ? r : 0;
}

static int sandbox_fork(sl_sandbox *sandbox, struct standin *standin)
{
	sigset_t all, mask;
	int r;

	sigfillset(&all);
	if ((r = pthread_sigmask(SIG_SETMASK, &all, &mask)) != 0)
		return -r;
	sandbox->child = standin_start(standin, &sandbox->child_pidfd);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	return sandbox->child < 0 ? sandbox->child : 0;
}

static int sandbox_launch(sl_sandbox *sandbox, struct standin *standin, sl_error *error)
{
	cleanup_fd int theirs = -1;
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return error_errno(error, -errno, "socketpair");
	sandbox->owner = pair[0];
	theirs = standin->owner = pair[1];
	if ((r = sandbox_fork(sandbox, standin)) < 0)
		return error_errno(error, r, "the supervisor's fork");
	cgroup_let_go(&standin->prepared->cgroup);
	return 0;
}

/* What the command gets, and what it may not. */
static int sandbox_stdio(sl_sandbox *sandbox, const struct prepared *prepared, const sl_stdio *stdio,
                         struct stdio_plan *plan, sl_error *error)
{
	const struct body *body = sandbox->program.body;
	int r = stdio_open(stdio, prepared->plan.keep_fds, prepared->plan.keep_count, plan, &sandbox->ends,
	                   error);

	if (r < 0 || (r = sources_check(plan, &sandbox->ends, &prepared->cgroup, error)) < 0 || body == NULL)
		return r;
	if ((r = preflight_fork(error)) < 0)
		return r;
	sandbox->program.control = r = stdio_add(plan, body->control, error);
	return r < 0 ? r : 0;
}

static int sandbox_make(sl_sandbox *sandbox, struct prepared *prepared, const sl_policy *policy,
                        const sl_stdio *stdio, sl_error *error)
{
	const char *const *argv = (const char *const *)sandbox->program.argv;
	struct standin standin = {.prepared = prepared,
	                          .command = &sandbox->program,
	                          .app = getpid(),
	                          .parked = sandbox->state == SL_STATE_CREATED};
	int r;

	if ((r = preflight_dumpable(&prepared->plan, &prepared->kernel, error)) < 0 ||
	    (r = prepare_map(prepared, error)) < 0 || (r = prepare_objects(prepared, policy, error)) < 0 ||
	    (r = prepare_walls(prepared, GATE_LATER, error)) < 0)
		return r;
	if (!prepared->plan.supervised && (r = prepare_guard(prepared, error)) < 0)
		return r;
	if (policy_has(policy, OPTION_NAME) &&
	    (r = registry_prepare(&prepared->registry, policy, argv, "spawn", error)) < 0)
		return r;
	if ((r = sandbox_stdio(sandbox, prepared, stdio, &standin.stdio, error)) < 0)
		return r;
	standin.dies_with_app = prepared->plan.die_with_parent;
	return sandbox_launch(sandbox, &standin, error);
}

/* The command has its ends now. Wait until it is parked, or runs. */
static void sandbox_settle(sl_sandbox *sandbox)
{
	for (int i = 0; i < 3; i++)
		fd_close(&sandbox->ends.theirs[i]);
	while (!sandbox->parked && sandbox->state != SL_STATE_ENDED && sandbox->state != SL_STATE_RUNNING)
		sandbox_hear(sandbox, 0);
}

static sl_sandbox *sandbox_new(enum sl_state state)
{
	sl_sandbox *sandbox = calloc(1, sizeof(*sandbox));

	if (sandbox == NULL)
		return NULL;
	sandbox->state = state;
	sandbox->owner = sandbox->child_pidfd = sandbox->command_pidfd = -1;
	for (int i = 0; i < 3; i++)
		sandbox->ends.ours[i] = sandbox->ends.theirs[i] = -1;
	return sandbox;
}

static int sandbox_create(sl_sandbox *sandbox, const sl_policy *policy, const sl_stdio *stdio,
                          sl_error *error)
{
	struct prepared prepared;
	int r;

	if ((r = prepare_plan(&prepared, policy, PLAN_SPAWN, error)) < 0)
		return r;
	r = sandbox_make(sandbox, &prepared, policy, stdio, error);
	prepare_clear(&prepared);
	if (r < 0)
		return r;
	sandbox_settle(sandbox);
	if (sandbox->failed || !sandbox->settled)
		return failure_report(sandbox, error);
	return sandbox->command_pidfd < 0 ? error_errno(error, -EMFILE, "a pidfd of the command") : 0;
}

static int program_find(sl_sandbox *sandbox, const sl_policy *policy, const char *const argv[],
                        sl_error *error)
{
	int r = command_find(&sandbox->program, policy, (char *const *)argv);

	return r < 0 ? error_errno(error, r, "%.180s", argv[0]) : 0;
}

/* `state` is CREATED for a command that is to be parked, STARTING for one that is not. */
static int sandbox_open(enum sl_state state, const sl_policy *policy, const char *const argv[],
                        const sl_stdio *stdio, sl_sandbox **sandbox, sl_error *error)
{
	sl_sandbox *made;
	int r;

	if (policy == NULL || argv == NULL || argv[0] == NULL || sandbox == NULL)
		return error_set(error, -EINVAL, "no %s given",
		                 policy == NULL    ? "policy"
		                 : sandbox == NULL ? "place for the sandbox"
		                                   : "command");
	*sandbox = NULL;
	if ((made = sandbox_new(state)) == NULL)
		return error_errno(error, -ENOMEM, "the sandbox");
	if ((r = program_find(made, policy, argv, error)) < 0 ||
	    (r = sandbox_create(made, policy, stdio, error)) < 0) {
		sl_sandbox_free(made);
		return r;
	}
	*sandbox = made;
	return 0;
}

int sandbox_create_body(const sl_policy *policy, const struct body *body, const sl_stdio *stdio,
                        sl_sandbox **sandbox, sl_error *error)
{
	sl_sandbox *made = sandbox_new(SL_STATE_CREATED);
	int r;

	if (made == NULL)
		return error_errno(error, -ENOMEM, "the sandbox");
	made->program.body = body;
	if ((r = environment_build(policy, environ, &made->program.environment)) < 0)
		error_errno(error, r, "the sandbox's environment");
	if (r < 0 || (r = sandbox_create(made, policy, stdio, error)) < 0) {
		sl_sandbox_free(made);
		return r;
	}
	made->program.body = NULL; /* the caller's; the fork has it */
	*sandbox = made;
	return 0;
}

int sl_create(const sl_policy *policy, const char *const argv[], const sl_stdio *stdio, sl_sandbox **sandbox,
              sl_error *error)
{
	return sandbox_open(SL_STATE_CREATED, policy, argv, stdio, sandbox, error);
}

int sl_spawn(const sl_policy *policy, const char *const argv[], const sl_stdio *stdio, sl_sandbox **sandbox,
             sl_error *error)
{
	return sandbox_open(SL_STATE_STARTING, policy, argv, stdio, sandbox, error);
}

static void sandbox_end(sl_sandbox *sandbox)
{
	if (sandbox->child <= 0 || sandbox->state == SL_STATE_ENDED)
		return;
	sl_kill(sandbox, NULL);
	while (sandbox->state != SL_STATE_ENDED)
		sandbox_hear(sandbox, 0);
}

void sl_sandbox_free(sl_sandbox *sandbox)
{
	if (sandbox == NULL)
		return;
	sandbox_end(sandbox);
	stdio_close(&sandbox->ends);
	command_clear(&sandbox->program);
	fd_close(&sandbox->owner);
	fd_close(&sandbox->child_pidfd);
	fd_close(&sandbox->command_pidfd);
	command_clear(&sandbox->program);
	free(sandbox);
}

/* ---- looking ---- */

int sl_sandbox_state(const sl_sandbox *sandbox)
{
	return (int)sandbox->state;
}

pid_t sl_sandbox_pid(const sl_sandbox *sandbox)
{
	return sandbox->command;
}

int sl_sandbox_pidfd(const sl_sandbox *sandbox)
{
	return sandbox->command_pidfd;
}

pid_t sl_sandbox_child(const sl_sandbox *sandbox)
{
	return sandbox->child;
}

int sl_sandbox_fd(const sl_sandbox *sandbox)
{
	return sandbox->owner;
}

int sl_sandbox_stream(sl_sandbox *sandbox, int stream)
{
	if (stream < 0 || stream > 2 || sandbox->ends.ours[stream] < 0)
		return -ENOENT;
	return fd_steal(&sandbox->ends.ours[stream]);
}

int sl_sandbox_failure(const sl_sandbox *sandbox, sl_failure *failure)
{
	if (!sandbox->failed)
		return -ENOENT;
	*failure = (sl_failure){.code = sandbox->failure.code};
	memcpy(failure->step, sandbox->failure.step,
	       strnlen(sandbox->failure.step, sizeof(failure->step) - 1));
	if (strcmp(failure->step, "exec") == 0)
		memcpy(failure->path, sandbox->program.path,
		       strnlen(sandbox->program.path, sizeof(failure->path) - 1));
	return 0;
}
