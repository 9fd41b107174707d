/* The arithmetic of the limits over a whole tree. Pure. */
#ifndef SL_SUPERVISE_LIMITS_H
#define SL_SUPERVISE_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

/* ---- max-memory: when to look again ---- */

/* Milliseconds until the tree can have used up `headroom` bytes, if every CPU did nothing but touch new pages; not sooner
 * than the last look of `cost_us` allows. */
int memory_pause(uint64_t headroom, unsigned cpus, uint64_t cost_us);

/* ---- cpu: when to stop, when to go on ---- */

/* What it may have is counted by the clock, what it had by the kernel; all in microseconds. */
struct throttle {
	unsigned percent, cpus;
	int64_t at;     /* of the last count */
	int64_t credit; /* what it may have before it is to stop; below 0 it has had too much */
	int64_t used;   /* the kernel's count then */
	bool stopped;
	int64_t busy_at; /* when it was last found to use something, or stopped */
};

void throttle_begin(struct throttle *throttle, unsigned percent, unsigned cpus, int64_t now);
/* Count: at `now` the tree has used `used` in all its life. Says in `stopped` whether it is to be stopped. Gives the
 * milliseconds until the next count. */
int throttle_count(struct throttle *throttle, int64_t now, int64_t used);
/* The kernel forgets what a child had that nobody waits for (SIGCHLD ignored): the count goes back then, and what is not
 * known is taken to be all that there was. */
/* Time that does not count: somebody had it paused. */
void throttle_skip(struct throttle *throttle, int64_t now, int64_t used);

/* ---- max-processes: is there room ---- */

/* Never less than there are: those of the last exact count, and all that were let through since. */
struct process_bound {
	uint64_t limit, counted, since;
};

static inline bool process_fits(const struct process_bound *bound)
{
	return bound->counted + bound->since < bound->limit;
}

#endif
