/* What a command writes, kept up to a limit; and what it is given to read. The app's side. */
#ifndef SL_SUPERVISE_CAPTURE_H
#define SL_SUPERVISE_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sluice.h"

enum { CAPTURE_LIMIT_DEFAULT = 1 << 20 };

/* Of the caller: malloc'd text with a NUL behind, its size, and whether there was more. */
struct capture {
	char **text;
	size_t *size;
	size_t room, limit;
	int *cut;
};

/* With nothing to add: text is "" rather than NULL from then on. -ENOMEM. */
int capture_add(struct capture *capture, const char *piece, size_t size);

/* One read(2) of what is there; closes *fd at its end. -ENOMEM. */
int capture_read(struct capture *capture, int *fd);

/* A pipe, which a command can open again as /dev/stdin, as it cannot a socket. -errno. */
int input_open(int *ours, int *theirs);

/* Empty, with its limit set and what the caller wants left alone. */
void result_begin(sl_result *result);

/* The streams of a command, -1 where there is none, served until all are closed, from one side or the other, or the command
 * has ended and what was left in its pipes is read: not what somebody goes on writing whom it has handed them to. `end`: see
 * deadline_ms(); -ETIMEDOUT leaves them open. -ENOMEM. */
struct streams {
	sl_sandbox *sandbox; /* whose end is that of the streams, too; borrowed, or NULL */
	bool ended;
	int fds[3]; /* input_open(), pipes */
	size_t sent;
	struct capture captures[3];
};
int streams_open(struct streams *streams, sl_result *result);
int streams_serve(struct streams *streams, const sl_result *result, int64_t end);
void streams_close(struct streams *streams);

/* A moment of CLOCK_MONOTONIC in ms, -1: never; and how long it is till then, for poll(2). */
int64_t deadline_ms(int timeout_ms);
int deadline_left(int64_t end);

#endif
