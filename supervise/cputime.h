/* How much CPU time a tree has had, where the keeper holds the limit.
 *
 * An event of the kernel's (perf_event_open(2), PERF_COUNT_SW_TASK_CLOCK, inherited by all that is forked) counts it exactly, also
 * of those that nobody waits for, and reading it costs the same whatever the tree is. Where an ordinary user may have none
 * (kernel.perf_event_paranoid above 2) the tree is walked, which misses who lives shorter than from one walk to the next and is
 * never waited for. An event is lost for who executes a program that he may not read; so a tree that has one is walked
 * as well, now and then, and what the walks find above the event is added.
 */
#ifndef SL_SUPERVISE_CPUTIME_H
#define SL_SUPERVISE_CPUTIME_H

#include <stdint.h>

#include "supervise/tree.h"

struct cputime {
	struct tree *tree;
	int event;       /* -1: there is none */
	int64_t walked;  /* by the last walk, us */
	int64_t walk_at; /* the next one is not to be before; CLOCK_MONOTONIC, us */
	/* With an event only. */
	int64_t counted; /* by it, at the last walk */
	int64_t balance; /* by how much walks were ahead, within what rounding explains */
	int64_t missed;  /* what is to be added */
};

/* In the keeper, before it is locked in, while the command waits and has forked nothing yet. */
void cputime_open(struct cputime *cputime, struct tree *tree, pid_t command);

/* The tree's time in all its life, in microseconds. `now` is clock_us(). */
int64_t cputime_read(struct cputime *cputime, int64_t now);

/* Not before that is anything new known: `wanted`, or later. */
int64_t cputime_later(const struct cputime *cputime, int64_t wanted);

/* A walk has found `walked`, and the event says `counted`; of `processes` the kernel tells hundredths of a second. Pure. */
void cputime_compare(struct cputime *cputime, int64_t walked, int64_t counted, uint64_t processes);

#endif
