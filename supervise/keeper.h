/* The command's parent in launch mode: it outlives whoever dies first, and takes the tree with it.
 *
 *     sluice (supervisor)
 *      +- keeper (subreaper)
 *          +- command (confined)
 *              +- its tree
 *
 * Orphans of the tree come to the keeper, and nobody else could find them: when the command ends it kills what is
 * left, and when the supervisor dies, by whatever hand, it kills the command too. It holds no listener, so that the
 * supervisor's death is also the gate's.
 */
#ifndef SL_SUPERVISE_KEEPER_H
#define SL_SUPERVISE_KEEPER_H

#include <signal.h>
#include <stdint.h>
#include <sys/types.h>

#include "supervise/command.h"
#include "supervise/prepare.h"

enum keeper_event {
	KEEPER_STARTED, /* value: the command's pid */
	KEEPER_STOPPED, /* the signal that stopped it */
	KEEPER_ENDED,   /* status of wait(2); the tree is gone */
	KEEPER_BEATEN,  /* likewise, but part of the tree could not be killed */
};
struct keeper_report {
	int32_t event, value;
};

/* What the child says of its own end, before exec closes the pipe. */
struct failure {
	int32_t code;
	char step[252];
};

struct keeper_job {
	const struct prepared *prepared;
	const struct command *command;
	int control;               /* the target's end */
	int failures;              /* write end, for struct failure */
	int reports;               /* write end, for struct keeper_report */
	int others[3];             /* the supervisor's ends: not for us */
	sigset_t mask;             /* the caller's */
	struct sigaction on_child; /* likewise, of SIGCHLD */
};

/* Fork the keeper, which forks the command. All signals must be blocked. Its pid, or -errno. */
pid_t keeper_start(const struct keeper_job *job);

/* Kill whatever there is below this process, which must be a subreaper; `proc` is /proc. False when some were left
 * after seconds: they fork faster than they can be named. Without memory. */
bool tree_kill(int proc);

#endif
