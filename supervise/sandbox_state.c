/* sandbox_state.h says what for. */
#include "supervise/sandbox_state.h"

#include <errno.h>

#define REFUSE(errno_)                    \
	{                                 \
		STEP_REFUSE, -(errno_), 0 \
	}
#define ORDER(state)                            \
	{                                       \
		STEP_ORDER, 0, SL_STATE_##state \
	}
#define STAY(state)                               \
	{                                         \
		STEP_NOTHING, 0, SL_STATE_##state \
	}
#define MOVE(state)                               \
	{                                         \
		STEP_NOTHING, 0, SL_STATE_##state \
	}
#define AWAIT(state)                            \
	{                                       \
		STEP_AWAIT, 0, SL_STATE_##state \
	}
#define END                                 \
	{                                   \
		STEP_END, 0, SL_STATE_ENDED \
	}
#define STRANGE REFUSE(EPROTO)

/* A report that comes late is as good as one in time: the keeper sends it before it hears of an order. */
static const struct transition table[STATE_COUNT][EVENT_COUNT] =
	{
		[SL_STATE_CREATED] =
			{
				[EVENT_START] = ORDER(STARTING),
				[EVENT_PAUSE] = REFUSE(EINVAL),
				[EVENT_RESUME] = REFUSE(EINVAL),
				[EVENT_FREEZE] = REFUSE(EINVAL),
				[EVENT_THAW] = REFUSE(EINVAL),
				[EVENT_SIGNAL] = REFUSE(EINVAL),
				[EVENT_KILL] = ORDER(CREATED),
				[EVENT_WAIT] = REFUSE(EINVAL),
				[EVENT_EXECED] = STRANGE,
				[EVENT_FAILED] = STAY(CREATED),
				[EVENT_ENDED] = END,
				[EVENT_LOST] = END,
			},
		[SL_STATE_STARTING] =
			{
				[EVENT_START] = REFUSE(EALREADY),
				[EVENT_PAUSE] = REFUSE(EAGAIN),
				[EVENT_RESUME] = REFUSE(EALREADY),
				[EVENT_FREEZE] = REFUSE(EAGAIN),
				[EVENT_THAW] = REFUSE(EALREADY),
				[EVENT_SIGNAL] = REFUSE(EAGAIN),
				[EVENT_KILL] = ORDER(STARTING),
				[EVENT_WAIT] = AWAIT(STARTING),
				[EVENT_EXECED] = MOVE(RUNNING),
				[EVENT_FAILED] = STAY(STARTING),
				[EVENT_ENDED] = END,
				[EVENT_LOST] = END,
			},
		[SL_STATE_RUNNING] =
			{
				[EVENT_START] = REFUSE(EALREADY),
				[EVENT_PAUSE] = ORDER(PAUSED),
				[EVENT_RESUME] = REFUSE(EALREADY),
				[EVENT_FREEZE] = ORDER(FROZEN),
				[EVENT_THAW] = REFUSE(EALREADY),
				[EVENT_SIGNAL] = ORDER(RUNNING),
				[EVENT_KILL] = ORDER(RUNNING),
				[EVENT_WAIT] = AWAIT(RUNNING),
				[EVENT_EXECED] = STRANGE,
				[EVENT_FAILED] = STRANGE,
				[EVENT_ENDED] = END,
				[EVENT_LOST] = END,
			},
		[SL_STATE_PAUSED] =
			{
				[EVENT_START] = REFUSE(EALREADY),
				[EVENT_PAUSE] = REFUSE(EALREADY),
				[EVENT_RESUME] = ORDER(RUNNING),
				[EVENT_FREEZE] = REFUSE(EBUSY),
				[EVENT_THAW] = REFUSE(EBUSY),
				[EVENT_SIGNAL] = ORDER(PAUSED),
				[EVENT_KILL] = ORDER(PAUSED),
				[EVENT_WAIT] = AWAIT(PAUSED),
				[EVENT_EXECED] = STRANGE,
				[EVENT_FAILED] = STRANGE,
				[EVENT_ENDED] = END,
				[EVENT_LOST] = END,
			},
		[SL_STATE_FROZEN] =
			{
				[EVENT_START] = REFUSE(EALREADY),
				[EVENT_PAUSE] = REFUSE(EBUSY),
				[EVENT_RESUME] = REFUSE(EBUSY),
				[EVENT_FREEZE] = REFUSE(EALREADY),
				[EVENT_THAW] = ORDER(RUNNING),
				[EVENT_SIGNAL] = ORDER(FROZEN),
				[EVENT_KILL] = ORDER(FROZEN),
				[EVENT_WAIT] = AWAIT(FROZEN),
				[EVENT_EXECED] = STRANGE,
				[EVENT_FAILED] = STRANGE,
				[EVENT_ENDED] = END,
				[EVENT_LOST] = END,
			},
		[SL_STATE_ENDED] =
			{
				[EVENT_START] = REFUSE(ESRCH),
				[EVENT_PAUSE] = REFUSE(ESRCH),
				[EVENT_RESUME] = REFUSE(ESRCH),
				[EVENT_FREEZE] = REFUSE(ESRCH),
				[EVENT_THAW] = REFUSE(ESRCH),
				[EVENT_SIGNAL] = REFUSE(ESRCH),
				[EVENT_KILL] = STAY(ENDED),
				[EVENT_WAIT] = STAY(ENDED),
				[EVENT_EXECED] = STRANGE,
				[EVENT_FAILED] = STRANGE,
				[EVENT_ENDED] = STRANGE,
				[EVENT_LOST] = STAY(ENDED),
			},
};

const struct transition *sandbox_transition(enum sl_state state, enum sandbox_event event)
{
	return &table[state][event];
}

const char *sandbox_event_name(enum sandbox_event event)
{
	static const char *const names[EVENT_COUNT] = {
#define EVENT(name) [EVENT_##name] = #name,
		SANDBOX_EVENTS(EVENT)
#undef EVENT
	};

	return names[event];
}

const char *sandbox_state_name(enum sl_state state)
{
	static const char *const names[STATE_COUNT] = {
		[SL_STATE_CREATED] = "created", [SL_STATE_STARTING] = "starting",
		[SL_STATE_RUNNING] = "running", [SL_STATE_PAUSED] = "paused",
		[SL_STATE_FROZEN] = "frozen",   [SL_STATE_ENDED] = "ended",
	};

	return names[state];
}
