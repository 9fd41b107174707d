/* State x event of a sandbox, as a table. Pure. */
#ifndef SL_SUPERVISE_SANDBOX_STATE_H
#define SL_SUPERVISE_SANDBOX_STATE_H

#include "sluice.h"

/* What the app asks for; what the keeper tells. */
#define SANDBOX_EVENTS(EVENT) \
	EVENT(START)          \
	EVENT(PAUSE)          \
	EVENT(RESUME)         \
	EVENT(FREEZE)         \
	EVENT(THAW)           \
	EVENT(SIGNAL)         \
	EVENT(KILL)           \
	EVENT(WAIT)           \
	EVENT(EXECED)         \
	EVENT(FAILED)         \
	EVENT(ENDED)          \
	EVENT(LOST)

enum sandbox_event {
#define EVENT(name) EVENT_##name,
	SANDBOX_EVENTS(EVENT)
#undef EVENT
		EVENT_COUNT,
};

enum { STATE_COUNT = SL_STATE_ENDED + 1 };

/* What is to be done, and the state when that has been done. */
enum sandbox_step {
	STEP_REFUSE, /* with `code`; the state stays */
	STEP_NOTHING,
	STEP_ORDER, /* the keeper's, of the event's own name */
	STEP_AWAIT, /* the end */
	STEP_END,   /* take note, reap */
};

struct transition {
	enum sandbox_step step;
	int code; /* STEP_REFUSE: negative errno */
	enum sl_state next;
};

const struct transition *sandbox_transition(enum sl_state state, enum sandbox_event event);

const char *sandbox_event_name(enum sandbox_event event);
const char *sandbox_state_name(enum sl_state state);

#endif
