/* The hand-over of the listener, both sides.
 *
 *     target                                                supervisor
 *                                                           opens loop and ring
 *       <------------------------------------------ status: ready
 *     raises the walls: the kernel
 *     gives it the listener
 *       ---- its number --------------------------> pidfd_getfd(2)
 *                                                           locks itself in
 *       <------------------------------------------ status: serving
 *     closes the listener
 *     connect(control, nonce) ~~ the first notification ~~> sees memory and descriptors
 *     returns
 *
 * The target cannot send the listener itself: a policy may trap sendmsg, and the send would wait for an
 * answer from him who waits for the send. So it is taken, which the supervisor must be able to do with the target's
 * sockets anyhow. Whoever dies on the way closes an end of the control socket, and the other one reads end of file. Once
 * the target has closed its number, the supervisor's is the only copy: none can answer in its place.
 */
#ifndef SL_SUPERVISE_HANDOVER_H
#define SL_SUPERVISE_HANDOVER_H

#include <stdint.h>

#include "confine/confine.h"

/* Raises the walls with the listener handed over `control`. Signals must be blocked. Async-signal-safe.
 * 0, or -errno and *step; *confined says whether the walls are up. */
int handover_target(int control, const struct walls *walls, const uint8_t *nonce, bool *confined,
                    const char **step);

/* The other side: the listener, by a pidfd of the target. -ECONNRESET when the target has ended,
 * -EBADF when what it has by that number is no listener. */
int handover_take(int control, int target);

/* One message of a status: 0 or -errno. */
int handover_report(int control, int status);

/* The peer's status, or -ECONNRESET at end of file, or -ETIMEDOUT after ten seconds of silence. */
int handover_await(int control);

#endif
