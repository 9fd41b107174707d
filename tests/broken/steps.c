/* steps.h says what for. The supervisor's own walls leave it kill(2) and getpid(2), and no more is used. */
#include "tests/broken/steps.h"

#include <signal.h>
#include <stddef.h>
#include <unistd.h>

#include "confine/confine.h"
#include "core/fd.h"
#include "supervise/gate.h"
#include "supervise/handover.h"

struct strike *strike;

const char *step_name(enum step step)
{
	static const char *const names[] = {
#define STEP(name) #name,
		STEPS(STEP)
#undef STEP
			"NONE"};

	return names[step];
}

static bool step_is_the_apps(enum step step)
{
	return step == STEP_APP_FILTERS || step == STEP_APP_TELLS;
}

static void strike_at(enum step step, bool behind)
{
	pid_t self;

	if (strike == NULL || strike->step != step || strike->behind != behind)
		return;
	self = getpid();
	if ((self == strike->app) != step_is_the_apps(step) || ++strike->passed != strike->nth)
		return;
	strike->struck = self;
	kill(strike->victim > 1 ? strike->victim : self, strike->signal);
}

#define WRAP(type, step, name, parameters, arguments) \
	type __real_##name parameters;                \
	type __wrap_##name parameters;                \
	type __wrap_##name parameters                 \
	{                                             \
		type result;                          \
                                                      \
		strike_at(STEP_##step, false);        \
		result = __real_##name arguments;     \
		strike_at(STEP_##step, true);         \
		return result;                        \
	}

WRAP(int, GUARD_DETACH, guard_detach, (const int *keep, size_t count), (keep, count))
WRAP(int, GATE_OPEN, gate_open, (struct gate * gate, const struct gate_rules *rules, int control),
     (gate, rules, control))
WRAP(int, HANDOVER_REPORT, handover_report, (int control, int status), (control, status))
WRAP(int, APP_TELLS, fd_write_all, (int fd, const void *data, size_t size), (fd, data, size))
WRAP(int, HANDOVER_TAKE, handover_take, (int control, int target), (control, target))
WRAP(int, GUARD_LOCK, guard_lock, (const struct filter_program *program), (program))
WRAP(int, NOTIFY_RECV, notify_recv, (int listener, struct call *call), (listener, call))
WRAP(int, TARGET_SOCKET, target_socket, (struct gate * gate, const struct call *call, int number),
     (gate, call, number))
WRAP(int, TARGET_READ, target_read,
     (struct gate * gate, const struct call *call, uint64_t from, void *to, size_t size),
     (gate, call, from, to, size))
WRAP(int, CONNECT_GUARDED, connect_guarded,
     (int socket, const struct sockaddr_storage *address, socklen_t size, bool *raced),
     (socket, address, size, raced))
WRAP(struct verdict, PENDING_CONNECT, pending_connect,
     (struct gate * gate, const struct call *call, int socket, const struct sockaddr_storage *address,
      socklen_t size, int held),
     (gate, call, socket, address, size, held))
WRAP(int, NOTIFY_SEND, notify_send, (int listener, uint64_t id, struct verdict verdict),
     (listener, id, verdict))

int __real_filter_load(const struct filter_program *program, unsigned long flags);
int __wrap_filter_load(const struct filter_program *program, unsigned long flags);

int __wrap_filter_load(const struct filter_program *program, unsigned long flags)
{
	int listener;

	strike_at(STEP_APP_FILTERS, false);
	listener = __real_filter_load(program, flags);
	if (strike != NULL && strike->app == getpid() && strike->instead >= 0)
		dup2(strike->instead, listener);
	strike_at(STEP_APP_FILTERS, true);
	return listener;
}

void __real_gate_listen(struct gate *gate, int listener);
void __wrap_gate_listen(struct gate *gate, int listener);

void __wrap_gate_listen(struct gate *gate, int listener)
{
	strike_at(STEP_GATE_LISTEN, false);
	__real_gate_listen(gate, listener);
	strike_at(STEP_GATE_LISTEN, true);
}
