/* The command's parent in launch mode: it outlives whoever dies first, and takes the tree with it.
 *
 *     sluice, or the stand-in of a sandbox (supervisor)
 *      +- keeper (subreaper)
 *          +- command (confined)
 *              +- its tree
 *
 * Orphans of the tree come to the keeper, and nobody else could find them: when the command ends it kills what is
 * left, and when the supervisor dies, by whatever hand, it kills the command too. It holds no listener, so that the
 * supervisor's death is also the gate's. What is done to the whole tree it does, by order of the owner: the program
 * that made the sandbox.
 */
#ifndef SL_SUPERVISE_KEEPER_H
#define SL_SUPERVISE_KEEPER_H

#include <signal.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "supervise/command.h"
#include "supervise/prepare.h"
#include "supervise/stdio.h"

/* Who is told: the supervisor (s), the owner (o). */
enum keeper_event {
	KEEPER_STARTED, /* s, o: value is the command's pid; a pidfd comes along. s: where it is more than a stand-in */
	KEEPER_PARKED,  /* o: the walls are up, and it waits for ORDER_START */
	KEEPER_EXECED,  /* o, or where there is none s: the command runs */
	KEEPER_FAILED,  /* s, o: it never will; `failure` says why, and ENDED follows */
	KEEPER_STOPPED, /* s: value is the signal that stopped it */
	KEEPER_HELD,    /* s: write a byte, which is value, and answer no call until it says KEEPER_GOES_ON */
	KEEPER_GOES_ON, /* s */
	KEEPER_DONE,    /* o: the last order was carried out; value 0 or -errno */
	KEEPER_ENDED,   /* s, o: value is wait(2)'s status, `reason` why; the tree is gone */
	KEEPER_BEATEN,  /* s, o: likewise, but part of the tree could not be killed */
};

/* Why it ended, when not by itself. */
enum keeper_reason { REASON_NONE, REASON_KILLED, REASON_TIMEOUT, REASON_MEMORY, REASON_OWNER };

/* A step of `failure`, with -EEXIST: the pid of the keeper who has the name follows. */
#define NAME_TAKEN "name: a sandbox of that name runs, keeper "

/* What the child says of its own end, before exec closes the pipe; with code 0 that it is parked. */
struct failure {
	int32_t code;
	char step[252];
};

struct keeper_report {
	int32_t event, value, reason;
	struct failure failure;
};

enum keeper_order_kind {
	ORDER_START,
	ORDER_PAUSE,
	ORDER_RESUME,
	ORDER_FREEZE,
	ORDER_THAW,
	ORDER_SIGNAL, /* value: to the command alone */
	ORDER_KILL,   /* the whole tree */
};
struct keeper_order {
	int32_t order, value;
};

/* What anybody may send who may signal the keeper (sluice kill): sigqueue(3) with this value, and the tree is killed. To all
 * other processes that is a signal which they ignore by default. */
enum { KEEPER_SIGNAL = SIGURG, KEEPER_KILL = 0x534c4b };
#define KEEPER_COMM "sluice-keeper"

struct keeper_job {
	struct prepared *prepared; /* its filter gets the pids of keeper and supervisor, in the command */
	const struct command *command;
	const struct stdio_plan *stdio; /* NULL: descriptors are in place already */
	int control;                    /* the target's end; -1 without a gate */
	int reports;                    /* write end, for struct keeper_report: the supervisor's */
	int owner;                      /* orders and reports, SOCK_SEQPACKET; -1: nobody gives any */
	int app;                        /* pidfd of who the tree dies with; -1: nobody */
	int others[2];                  /* the supervisor's ends: not for us; -1: none */
	bool parked;                    /* the command waits for ORDER_START */
	sigset_t mask;                  /* the command's */
	struct sigaction on_child;      /* likewise, of SIGCHLD */
	bool plain_signals;             /* and SIGPIPE as a program expects it */
	const struct rlimit
		*files; /* the command's RLIMIT_NOFILE where ours was raised; NULL: it has not been */
};

/* Fork the keeper, which forks the command. All signals must be blocked. Its pid, or -errno. */
pid_t keeper_start(const struct keeper_job *job);

#endif
