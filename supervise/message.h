/* What may ride on a message: control messages of sendmsg(2), judged and translated. Pure but for the two calls that
 * its host makes for it, so that it can be fed anything. cmsg(3), unix(7), ip(7), ipv6(7), udp(7). */
#ifndef SL_SUPERVISE_MESSAGE_H
#define SL_SUPERVISE_MESSAGE_H

#include <stddef.h>
#include <sys/socket.h>

#include "supervise/gate.h"

enum { MESSAGE_FDS_MAX = 253 }; /* SCM_MAX_FD: unix(7) */

struct control_host {
	void *context;
	/* The target's descriptor `number`, as one of ours; -errno. */
	int (*take_fd)(void *context, int number);
	/* May we say this in the target's place? 0, or -errno. */
	int (*speak_for)(void *context, const struct ucred *claimed);
};

/* `control` is the target's, `size` bytes of it. Every number of SCM_RIGHTS on a unix socket becomes ours by take_fd;
 * what re-routes a message or is not known is refused: -EPERM, -EINVAL; and what the kernel would refuse, with its
 * errno. After a failure the buffer may be half translated, and must not be used. */
int control_translate(const struct socket_kind *kind, void *control, size_t size,
                      const struct control_host *host);

#endif
