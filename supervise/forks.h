/* How many processes there are below the keeper, never fewer than there are. Inside supervise/; docs/gate.md, "Forks". */
#ifndef SL_SUPERVISE_FORKS_H
#define SL_SUPERVISE_FORKS_H

#include "supervise/gate.h"
#include "supervise/limits.h"
#include "supervise/tree.h"

enum { FORKS_ON_WAY_MAX = 1024, FORKS_WAIT_MAX = 256 };

/* A fork that was let through. Its child may not be there yet. */
struct fork_on_way {
	pid_t tid;
	pid_t youngest; /* child of this thread at that time; 0: none */
	bool alone;     /* it was the only thread, so that nobody else's children could come to it */
};

struct fork_wait {
	uint64_t id;
	pid_t tid;
	int64_t until; /* CLOCK_MONOTONIC, us */
};

struct forks {
	struct tree tree;
	pid_t keeper;    /* 0: not known yet */
	bool subreapers; /* somebody in the tree takes orphans in */
	struct process_bound bound;
	struct fork_on_way on_way[FORKS_ON_WAY_MAX];
	unsigned on_way_count;
	struct fork_wait waits[FORKS_WAIT_MAX];
	unsigned waits_count;
	struct ev_timer again;
	struct gate *gate;
};

/* Pages that are not there until they are used. -errno. */
int forks_open(struct gate *gate, unsigned limit);
/* The keeper, and its child the command: nobody else is there yet. */
void forks_begin(struct forks *forks, pid_t keeper);

#endif
