/* All that runs below this process, which must be a child subreaper: what escapes into a session or a group of its own,
 * or loses its parent, is still there. Read from /proc/PID/task/TID/children (CONFIG_PROC_CHILDREN). Without malloc. */
#ifndef SL_SUPERVISE_TREE_H
#define SL_SUPERVISE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { TREE_SEEN_BEFORE_MAX = 64 };

struct tree {
	int proc;     /* /proc, O_PATH; borrowed */
	pid_t spared; /* a child that tree_stop() does not reap: its status is wanted */
	pid_t *pids;  /* of the last look, parents before their children */
	size_t count;
	bool cut;     /* there were more */
	uint64_t ran; /* another one once anybody has run since */
	struct tree_before {
		pid_t pid;
		uint64_t ran;
	} before[TREE_SEEN_BEFORE_MAX]; /* stopped when tree_stop() met them: not ours to continue */
	size_t before_count;
};

/* Pages that are not there until they are used. -ENOMEM; what open(2) says where the children cannot be read: better known
 * now than when the tree is to be killed. */
int tree_open(struct tree *tree, int proc, pid_t spared);

/* Fill `pids` with all that is below `root`, zombies too. */
void tree_look(struct tree *tree, pid_t root);

/* Nothing below this process runs any more, and nothing will before tree_continue(), unless it has had the kernel promise
 * it a SIGCONT, as a timer does: SIGSTOP, until several looks in a row find all of it stopped, and that none of it has run
 * from one to the next, whatever is forked meanwhile. -EAGAIN after seconds: it forks faster than it can be named, or wakes
 * itself all the time. */
int tree_stop(struct tree *tree);
/* SIGSTOP for what is there at one look: for who does it again soon. */
void tree_stop_once(struct tree *tree);
/* What tree_stop() stopped goes on. */
void tree_continue(struct tree *tree);

/* One signal to each process that is there at one look; how many. */
size_t tree_signal(struct tree *tree, int signal);

/* Kill whatever there is below, and reap it. False when some were left after seconds: they fork faster than they can be
 * named. */
bool tree_kill(int proc);

#endif
