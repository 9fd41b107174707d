/* One command under a keeper, seen from the supervisor: what `sluice run` and a sandbox's stand-in have in common.
 *
 *     supervisor                    keeper                     command
 *       <-- reports, SEQPACKET -------- 
 *       <-- control ------------------------------------------- handover.h, with a gate only
 */
#ifndef SL_SUPERVISE_SESSION_H
#define SL_SUPERVISE_SESSION_H

#include "supervise/gate.h"
#include "supervise/keeper.h"

struct session {
	struct gate
		gate; /* without supervision its loop alone, and not even that where nothing else is watched */
	const struct cgroup *cgroup;
	pid_t keeper, command;
	int command_pidfd, reports;
	struct ev_io reports_ready;
	bool running; /* it was executed */
	bool ended, beaten;
	int status; /* of wait(2), once `ended` */
	enum keeper_reason reason;
	bool failed;
	struct failure failure;
	void (*stopped)(struct session *session, int signal); /* the command was; or NULL */
};

/* The ends of the two channels. */
struct session_ends {
	int ours[2], theirs[2]; /* control (-1 without a gate), reports */
};
int session_channels(struct session_ends *ends, bool supervised);

/* Where the keeper is to be heard; before the others, session_wait() above all. */
void session_begin(struct session *session, const struct prepared *prepared, const struct session_ends *ends);
/* Open the gate, take the listener, start to watch, and lock this process in. -errno: session_abandon() then. */
int session_take_over(struct session *session, const struct prepared *prepared,
                      const struct session_ends *ends);

/* The same where no call is supervised and nothing but the keeper is to be heard: session_wait() does the rest. */
int session_attend(struct session *session, const struct prepared *prepared);

/* It failed with `code`. Where that is our own doing the keeper is killed, and with it the command (PR_SET_PDEATHSIG), and
 * true is returned; else the command is ending by itself, and is about to say why. */
bool session_abandon(const struct session *session, int code);

/* Serve until the tree is gone. */
void session_run(struct session *session);

/* The keeper's last word; where it was killed, its work falls to us, the next subreaper above. */
void session_wait(struct session *session);

/* Write status-fd's line. Never waits long for who reads it. */
void session_tell(const struct session *session, int status_fd);

#endif
