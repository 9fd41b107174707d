/* What exploited code inside the server would try next. The server answers GET /misbehave/NAME with what
 * became of one such attempt; examples/demo.sh walks them all, bare and confined. */
#ifndef EXAMPLES_MISBEHAVE_H
#define EXAMPLES_MISBEHAVE_H

#include <stdint.h>
#include <sys/types.h>

/* What the attempts aim at. The strings are borrowed and outlive every attempt. */
struct marks {
	const char *secret;   /* a file that is none of the server's business */
	const char *abstract; /* abstract unix socket, name without its leading NUL */
	uint16_t upstream;    /* 127.0.0.1, allowed */
	uint16_t forbidden;   /* 127.0.0.1, not allowed; somebody listens there */
	pid_t parent;         /* whoever started the server, outside its confinement */
};

/* Start the attempt `name`; "" gives the list of names. Returns a non-blocking descriptor which the caller
 * owns and from which one line can be read up to end of file:
 *   "NAME: ok"                  it worked, the attacker won
 *   "NAME: EACCES (...)"        it was refused, with this errno, or ended by this signal
 *   "NAME: 3 of 20000"          a race: won, tried
 * -ENOENT when there is no such attempt, else the errno of pipe2(2) or fork(2). Attempts that take long or
 * could hurt the server run in a child, which the caller reaps when SIGCHLD says so. */
int misbehave_start(const char *name, const struct marks *marks);

#endif
