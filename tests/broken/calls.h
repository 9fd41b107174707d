/* A sandbox of which one process is struck by a signal at a chosen step, where every call into the kernel is a step: the
 * program is linked with --wrap, once for each function of the C library by which the product enters the kernel. What lies
 * between two such calls nobody else can see, so that no other moment is left to die or to be stopped at. The state lies in
 * shared memory, so that the test sees which step it was.
 */
#ifndef SL_TESTS_BROKEN_CALLS_H
#define SL_TESTS_BROKEN_CALLS_H

#include <stdbool.h>
#include <sys/types.h>

/* Who takes the steps: told from whom he was cloned by, and how. */
#define CALLERS(CALLER)                                                      \
	CALLER(NOBODY)                                                       \
	CALLER(APP)                                                          \
	CALLER(PROBE) /* the app's short-lived child that asks the kernel */ \
	CALLER(STANDIN)                                                      \
	CALLER(KEEPER)                                                       \
	CALLER(COMMAND) /* until it is executed */                           \
	CALLER(HELPER)  /* hands the listener over: handover.h */

enum caller {
#define CALLER(name) CALLER_##name,
	CALLERS(CALLER)
#undef CALLER
		CALLER_COUNT,
};

struct calls {
	volatile enum caller caller; /* who is struck; CALLER_NOBODY: nobody */
	volatile unsigned nth;       /* before his nth step; 1 is the first */
	volatile int signal;
	volatile unsigned passed[CALLER_COUNT]; /* steps that were taken */
	volatile pid_t struck;                  /* 0: not yet */
	char name[24];                          /* of the call that he was about to make */
};

extern struct calls *calls;     /* NULL: nobody counts */
extern enum caller call_caller; /* who this process is */

const char *caller_name(enum caller caller);

#endif
