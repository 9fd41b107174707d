/* A supervisor to which something happens at a chosen step: linked with --wrap, each function of the
 * hand-over and of a call has a place before and one behind it where a signal can strike. The state lies in
 * shared memory, so that a test can set it while the supervisor runs, and see that it struck. */
#ifndef SL_TESTS_BROKEN_STEPS_H
#define SL_TESTS_BROKEN_STEPS_H

#include <stdbool.h>
#include <sys/types.h>

/* In the order in which they come; those of the supervisor but for the app's. */
#define STEPS(STEP)           \
	STEP(GUARD_DETACH)    \
	STEP(GATE_OPEN)       \
	STEP(HANDOVER_REPORT) \
	STEP(APP_FILTERS)     \
	STEP(APP_TELLS)       \
	STEP(HANDOVER_TAKE)   \
	STEP(GATE_LISTEN)     \
	STEP(GUARD_LOCK)      \
	STEP(NOTIFY_RECV)     \
	STEP(TARGET_SOCKET)   \
	STEP(TARGET_READ)     \
	STEP(CONNECT_GUARDED) \
	STEP(PENDING_CONNECT) \
	STEP(NOTIFY_SEND)

enum step {
#define STEP(name) STEP_##name,
	STEPS(STEP)
#undef STEP
		STEP_COUNT,
	STEP_NONE = STEP_COUNT,
};

struct strike {
	volatile enum step step;
	volatile bool behind;  /* the step has been done */
	volatile unsigned nth; /* 1: the first time */
	volatile int signal;
	volatile pid_t victim; /* 0: who takes the step */
	volatile pid_t app;    /* only its own steps are struck in there */
	volatile int instead;  /* a descriptor of the app's that takes the listener's place; -1: none */
	volatile unsigned passed;
	volatile pid_t struck; /* by whom the step was taken; 0: not yet */
};

extern struct strike *strike; /* NULL: nothing strikes */

const char *step_name(enum step step);

#endif
