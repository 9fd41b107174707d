/* All that runs below this process, which must be a child subreaper: what escapes into a session or a group of its own,
 * or loses its parent, is still there. Read from /proc/PID/task/TID/children (CONFIG_PROC_CHILDREN). Without malloc. */
#ifndef SL_SUPERVISE_TREE_H
#define SL_SUPERVISE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct tree {
	int proc;     /* /proc, O_PATH; borrowed */
	pid_t root;   /* of the last look */
	pid_t spared; /* a child that tree_stop() does not reap: its status is wanted */
	pid_t *pids;  /* of the last look, parents before their children */
	size_t count;
	bool cut;            /* there were more */
	bool vanished;       /* somebody ended while it was looked at */
	unsigned char *seen; /* a bit for each pid, all clear between looks */
	uint64_t ran;        /* another one once anybody has run since */
	struct tree_before {
		pid_t pid;
		uint64_t ran;
	} * before; /* stopped when tree_stop() met them: not ours to continue */
	size_t before_count;
	bool held; /* by tree_stop() or tree_stop_once() */
};

/* Pages that are not there until they are used. -ENOMEM; what open(2) says where the children cannot be read: better known
 * now than when the tree is to be killed. */
int tree_open(struct tree *tree, int proc, pid_t spared);
void tree_close(struct tree *tree);

/* Fill `pids` with all that is below `root`, zombies too; `root` must be the one that orphans come to. True: all that were
 * there from beginning to end are in it. False: somebody ended meanwhile, and children of his may have been missed. */
bool tree_look(struct tree *tree, pid_t root);

/* Whether the process that has this number now is below the root of the last look. What was read by its number just before
 * was then read of it: numbers do not come back in so short a time. */
bool tree_holds(struct tree *tree, pid_t pid);

typedef void (*task_fn)(struct tree *tree, int task, const char *tid, void *context);
/* Each thread of a process; `task` is /proc/PID/task. */
void tasks_each(struct tree *tree, pid_t pid, task_fn each, void *context);

/* Nothing below this process runs any more, and nothing will before tree_continue(), unless it has had the kernel promise
 * it a SIGCONT, as a timer does: SIGSTOP, until several looks in a row find all of it stopped, and that none of it has run
 * from one to the next, whatever is forked meanwhile. -EAGAIN after seconds: it forks faster than it can be named, or wakes
 * itself all the time. */
int tree_stop(struct tree *tree);
/* Is there a thread that is on a processor, or waits for one? */
bool tree_runs(struct tree *tree);
/* A few looks, for who does it again soon. False when something may still run. */
bool tree_stop_once(struct tree *tree);
/* The CPU time of all that is below this process, and of what it has waited for, in microseconds. */
int64_t tree_cpu_time(struct tree *tree);
/* What those two stopped goes on. Not who was stopped before, nor who was sent a SIGSTOP meanwhile; and what a terminal
 * sent meanwhile (SIGTSTP and its kin, which SIGCONT takes away) is sent again. */
void tree_continue(struct tree *tree);

/* Kill whatever there is below, and reap it. False when some were left after seconds: they fork faster than they can be
 * named. */
bool tree_kill(int proc);

#endif
