/* Inside the sending half of the gate: what a target wants sent, and what is sent for it. h_send.c draws the way. */
#ifndef SL_SUPERVISE_SEND_H
#define SL_SUPERVISE_SEND_H

#include <errno.h>

#include "supervise/gate.h"
#include "supervise/identity.h"
#include "supervise/message.h"
#include "supervise/unix.h"

enum {
	TURN_OVER = -ERESTART,    /* it could go on, and others come first: no errno of a send */
	TOTAL_MAX = 0x7ffff000,   /* MAX_RW_COUNT: longer ones are cut by the kernel */
	PAYLOAD_KEPT = 128 << 10, /* pages of a larger one are given back */
};

struct scratch {
	struct iovec iovecs[MESSAGE_IOVECS_MAX];    /* the target's */
	struct iovec parts[1 + MESSAGE_IOVECS_MAX]; /* the name, and what of them is read now */
	/* Before the target's control messages, and sent with them: who it is. */
	char speaker[CMSG_SPACE(sizeof(struct ucred))] __attribute__((aligned(8)));
	char control[MESSAGE_CONTROL_MAX] __attribute__((aligned(8)));
	int fds[MESSAGE_FDS_MAX]; /* taken for SCM_RIGHTS */
	size_t fd_count;
	struct identity identity; /* of who sends on a unix socket */
	struct mmsghdr asked[MESSAGE_BATCH_MAX], given[MESSAGE_BATCH_MAX];
	struct sockaddr_storage names[MESSAGE_BATCH_MAX];
	struct iovec spans[MESSAGE_BATCH_MAX];
	char payload[MESSAGE_PAYLOAD_MAX];
};

_Static_assert(offsetof(struct scratch, control) ==
                       offsetof(struct scratch, speaker) + CMSG_SPACE(sizeof(struct ucred)),
               "one control buffer");

/* A message as the target describes it. The pointers are the target's. */
struct wanted {
	uint64_t name, control;
	size_t name_size, control_size;
	bool named;          /* with an address, if only one of size 0: sendto(2) tells that from none */
	size_t count, total; /* of scratch->iovecs, and of their bytes */
	int flags;
};

/* A socket of the target's that is sent on, for as long as this attempt takes. */
struct sending {
	struct gate *gate;
	const struct call *call;
	int socket;
	struct socket_kind kind;
	struct sockaddr_storage name; /* decided on, ours */
	socklen_t name_size;
	size_t control_size;
	bool credentials;          /* in control: of the target, which takes privilege to say */
	struct unix_target target; /* of a unix socket: held open until the message has gone */
};

/* send_wanted.c: one fetch each, in the kernel's order, with its errnos. */
int wanted_peek(const struct call *call, uint64_t from, void *to, size_t size);
int wanted_from_header(struct sending *sending, const struct msghdr *header, struct wanted *wanted);
int wanted_from_sendto(struct sending *sending, struct wanted *wanted);
/* The target's iovecs from byte `from` on, `size` bytes of them, into scratch->parts behind the name's place: how many
 * parts, that place included. */
size_t wanted_slice(struct scratch *scratch, const struct wanted *wanted, size_t from, size_t size);

/* send_message.c */

/* What is given to the kernel for the target's flags, or the errno that they mean. */
int send_flags(const struct sending *sending, int flags);
/* `given` is our copy. Decided on, and written anew into sending->name, unless there is to be none. */
int send_name_judge(struct sending *sending, const void *given, size_t size, bool named);
/* One message, as it is in the target's memory now. How much of it has gone, or what stopped it, TURN_OVER among that; of
 * a stream *done counts on. */
ssize_t message_send(struct sending *sending, const struct wanted *wanted, size_t *done);

#endif
