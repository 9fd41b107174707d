/* The app's child that stands in for a command: supervisor, parent of the keeper, and the one that wait(2) shows. */
#ifndef SL_SUPERVISE_STANDIN_H
#define SL_SUPERVISE_STANDIN_H

#include <sys/resource.h>

#include "supervise/command.h"
#include "supervise/prepare.h"
#include "supervise/stdio.h"

struct standin {
	struct prepared *prepared; /* prepare_walls() with GATE_LATER */
	const struct command *command;
	struct stdio_plan stdio;
	int owner; /* the keeper's end */
	bool dies_with_app;
	bool parked; /* the command waits for ORDER_START */
	pid_t app;
	struct rlimit files; /* the app's RLIMIT_NOFILE: written by the stand-in */
};

/* Fork it. All signals must be blocked. On success *pidfd is the caller's. Its pid, or -errno. */
pid_t standin_start(struct standin *standin, int *pidfd);

#endif
