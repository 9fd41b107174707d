/* One message on behalf of a target: its address decided on, its control messages judged and translated, and sent from
 * our copy, with the target's rights where a file or a name of its own is in question. */
#include <errno.h>
#include <linux/netlink.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "core/fd.h"
#include "supervise/send.h"

enum {
	PIECE_MAX = 128 << 10, /* of a stream, at a time */
	PIECES_PER_TURN = 8,   /* then the others on the loop get theirs */
	FLAG_FASTOPEN = 0x20000000,
	FLAG_ZEROCOPY = 0x4000000,
	OPTION_ZEROCOPY = 60,
};

static int take_fd(void *context, int number)
{
	struct sending *sending = context;
	struct scratch *scratch = sending->gate->scratch;
	int fd;

	/* Not control_translate()'s limit, but what the array holds. */
	if (scratch->fd_count == MESSAGE_FDS_MAX)
		return -EINVAL;
	if ((fd = target_socket(sending->gate, sending->call, number)) >= 0)
		scratch->fds[scratch->fd_count++] = fd;
	return fd;
}

static void fds_close(struct scratch *scratch)
{
	while (scratch->fd_count > 0)
		close_guarded(&scratch->fds[--scratch->fd_count]);
}

static int speak_for(void *context, const struct ucred *claimed)
{
	struct sending *sending = context;
	int r = target_is(sending->gate, sending->call, claimed);

	if (r < 0)
		return r;
	sending->credentials = true;
	return 0;
}

static int control_fetch(struct sending *sending, const struct wanted *wanted)
{
	sending->control_size = wanted->control_size;
	return wanted_peek(sending->call, wanted->control, sending->gate->scratch->control,
	                   wanted->control_size);
}

/* Confirmed once more when descriptors were taken: the number of a caller that left may be another process's by then, and
 * those of that one are not to be given away. */
static int control_judge(struct sending *sending)
{
	struct control_host host = {.context = sending, .take_fd = take_fd, .speak_for = speak_for};
	struct scratch *scratch = sending->gate->scratch;
	int r;

	if (sending->control_size == 0)
		return 0;
	if ((r = control_translate(&sending->kind, scratch->control, sending->control_size, &host)) < 0)
		return r;
	return scratch->fd_count > 0 ? target_confirm(sending->gate, sending->call) : 0;
}

static int name_judge_inet(struct sending *sending, enum net_protocol protocol, const void *given,
                           size_t size)
{
	struct net_endpoint endpoint;
	int r = net_endpoint_read(sending->kind.domain, protocol, NET_CALL_SEND, given, size, &endpoint);

	if (r < 0)
		return r;
	if (r == NET_NO_ADDRESS)
		return 0;
	return endpoint_route(sending->gate, endpoint_domain(sending->kind.domain, protocol, given), protocol,
	                      &endpoint, &sending->name, &sending->name_size);
}

/* To the kernel, and not to another process. */
static int name_judge_netlink(struct sending *sending, const void *given, size_t size)
{
	struct sockaddr_nl address;

	if (size < sizeof(address))
		return -EINVAL;
	memcpy(&address, given, sizeof(address));
	if (address.nl_pid != 0 || address.nl_groups != 0)
		return -EPERM;
	memcpy(&sending->name, &address, sizeof(address));
	sending->name_size = sizeof(address);
	return 0;
}

/* A path is followed with the target's rights, and becomes the name of what it leads to. */
static int name_judge_unix(struct sending *sending, const void *given, size_t size)
{
	int r;

	if (sending->gate->rules->unix_grants == NULL)
		return -EACCES;
	if ((r = identity_assume(&sending->gate->scratch->identity)) < 0)
		return r;
	unix_target_clear(&sending->target);
	r = unix_target_open(sending->gate, sending->call, SOCK_DGRAM, given, size, &sending->target);
	identity_restore(&sending->gate->scratch->identity);
	if (r < 0)
		return r;
	memcpy(&sending->name, &sending->target.address, sending->target.size);
	sending->name_size = sending->target.size;
	return 0;
}

/* Connected sockets take no address; the kernel says so by its presence alone. */
static int name_pretend(struct sending *sending, size_t size)
{
	sending->name = (struct sockaddr_storage){.ss_family = (sa_family_t)sending->kind.domain};
	sending->name_size = (socklen_t)size;
	return 0;
}

int send_name_judge(struct sending *sending, const void *given, size_t size, bool named)
{
	const struct socket_kind *kind = &sending->kind;
	int protocol = socket_protocol(kind);

	sending->name_size = 0;
	if (!named || protocol == NET_TCP || (size == 0 && protocol < 0))
		return 0;
	if (protocol >= 0)
		return name_judge_inet(sending, (enum net_protocol)protocol, given, size);
	if (kind->domain == AF_NETLINK)
		return name_judge_netlink(sending, given, size);
	if (kind->domain == AF_UNIX && kind->type != SOCK_DGRAM)
		return name_pretend(sending, size);
	if (kind->domain == AF_UNIX)
		return name_judge_unix(sending, given, size);
	return -EACCES;
}

int send_flags(const struct sending *sending, int flags)
{
	int lent = 0;
	socklen_t size = sizeof(lent);

	if (flags < 0) /* MSG_CMSG_COMPAT, which only the kernel itself may set */
		return -EINVAL;
	if (flags & FLAG_FASTOPEN && socket_is_tcp(&sending->kind))
		return -EOPNOTSUPP;
	/* The pages would be ours, and used again. What the kernel says when it has no room to note them: copy instead. */
	if (flags & FLAG_ZEROCOPY &&
	    getsockopt(sending->socket, SOL_SOCKET, OPTION_ZEROCOPY, &lent, &size) == 0 && lent)
		return -ENOBUFS;
	return (flags & ~FLAG_ZEROCOPY) | MSG_DONTWAIT | MSG_NOSIGNAL;
}

/* Naming another process is the privilege of root: scm_check_creds(). Only for this one call, and besides what the
 * target itself may: its right to the file that a name leads to. */
static ssize_t message_give(const struct sending *sending, struct msghdr *header, int flags, bool privileged)
{
	uint64_t before = 0;
	ssize_t n;

	if (privileged && identity_raise(IDENTITY_TO_SPEAK, &before) < 0)
		return -EPERM;
	n = sendmsg(sending->socket, header, flags);
	n = n < 0 ? -errno : n;
	if (privileged)
		identity_lower(before);
	return n;
}

/* Whom a receiver with SO_PASSCRED sees, where the target did not say it itself. */
static bool speaker_add(struct sending *sending, struct msghdr *header)
{
	struct scratch *scratch = sending->gate->scratch;
	struct cmsghdr *speaker = (struct cmsghdr *)scratch->speaker;
	struct ucred credentials;
	bool privileged;

	if (sending->credentials)
		return scratch->fd_count == 0;
	if (!identity_credentials(&scratch->identity, scratch->fd_count > 0, &credentials, &privileged))
		return false;
	*speaker = (struct cmsghdr){
		.cmsg_len = CMSG_LEN(sizeof(credentials)),
		.cmsg_level = SOL_SOCKET,
		.cmsg_type = SCM_CREDENTIALS,
	};
	memcpy(CMSG_DATA(speaker), &credentials, sizeof(credentials));
	header->msg_control = scratch->speaker;
	header->msg_controllen += sizeof(scratch->speaker);
	return privileged;
}

/* With the target's rights to the file that the name leads to. */
static ssize_t message_give_unix(struct sending *sending, struct msghdr *header, int flags)
{
	bool privileged = speaker_add(sending, header);
	ssize_t n;
	int r;

	if ((r = identity_assume(&sending->gate->scratch->identity)) < 0)
		return r;
	n = message_give(sending, header, flags, privileged);
	identity_restore(&sending->gate->scratch->identity);
	return n;
}

/* The next `size` bytes of the payload, and with the first of them the name: one call for both. How many bytes of the
 * payload are there; less than `size` where the target's memory ends. */
static ssize_t piece_fetch(struct sending *sending, const struct wanted *wanted, void *name, size_t from,
                           size_t size)
{
	struct scratch *scratch = sending->gate->scratch;
	size_t named = from == 0 ? wanted->name_size : 0, count;
	struct iovec ours[2] = {{name, named}, {scratch->payload, size}};
	ssize_t n;

	scratch->parts[0] = (struct iovec){(void *)(uintptr_t)wanted->name, named};
	count = wanted_slice(scratch, wanted, from, size);
	if (named + size == 0)
		return 0;
	/* As many as the kernel takes at a time, and the name besides. */
	if (count > MESSAGE_IOVECS_MAX) {
		if ((n = wanted_peek(sending->call, wanted->name, name, named)) < 0)
			return n;
		return target_peek(sending->call, &ours[1], 1, &scratch->parts[1], count - 1);
	}
	n = target_peek(sending->call, ours, 2, scratch->parts, count);
	if (n < 0)
		return n;
	return (size_t)n < named ? -EFAULT : n - (ssize_t)named;
}

static ssize_t piece_give(struct sending *sending, size_t size, bool first, int flags)
{
	struct scratch *scratch = sending->gate->scratch;
	struct iovec ours = {scratch->payload, size};
	struct msghdr header = {.msg_iov = &ours, .msg_iovlen = 1};

	if (sending->name_size > 0) {
		header.msg_name = &sending->name;
		header.msg_namelen = sending->name_size;
	}
	if (sending->control_size > 0 && first) {
		header.msg_control = scratch->control;
		header.msg_controllen = sending->control_size;
	}
	if (sending->kind.domain == AF_UNIX)
		return message_give_unix(sending, &header, flags);
	return message_give(sending, &header, flags, sending->credentials);
}

/* Pages that only a large message needs. */
static void payload_settle(struct scratch *scratch, size_t used)
{
	if (used > PAYLOAD_KEPT)
		madvise(scratch->payload + PAYLOAD_KEPT, MESSAGE_PAYLOAD_MAX - PAYLOAD_KEPT, MADV_DONTNEED);
}

static size_t piece_size(const struct sending *sending, const struct wanted *wanted, size_t done)
{
	size_t left = wanted->total - done;

	return sending->kind.type != SOCK_STREAM || left < PIECE_MAX ? left : PIECE_MAX;
}

/* A stream's further pieces. All of it: how much that is. Else what stopped it, and *done says how far it came; -EAGAIN
 * for no room, TURN_OVER for no more turn. */
static ssize_t stream_go_on(struct sending *sending, const struct wanted *wanted, int flags, size_t *done)
{
	for (int pieces = 1; pieces < PIECES_PER_TURN; pieces++) {
		size_t size = piece_size(sending, wanted, *done);
		bool last = *done + size == wanted->total;
		ssize_t n = piece_fetch(sending, wanted, NULL, *done, size);

		if (n != (ssize_t)size || target_confirm(sending->gate, sending->call) < 0)
			return -EFAULT;
		if ((n = piece_give(sending, (size_t)n, false, last ? flags : flags & ~MSG_OOB)) < 0)
			return n;
		*done += (size_t)n;
		if (*done == wanted->total)
			return n;
		if ((size_t)n < size)
			return -EAGAIN;
	}
	return TURN_OVER;
}

/* The first piece is fetched, `there` bytes of `size`. */
static ssize_t message_go(struct sending *sending, const struct wanted *wanted, ssize_t there, size_t size,
                          size_t *done)
{
	bool stream = sending->kind.type == SOCK_STREAM, first = *done == 0;
	int flags = send_flags(sending, wanted->flags);
	ssize_t n;

	if (flags < 0)
		return flags;
	if ((size_t)there < size)
		return -EFAULT;
	n = piece_give(sending, (size_t)there, first,
	               *done + size == wanted->total ? flags : flags & ~MSG_OOB);
	if (n < 0 || !stream)
		return n;
	*done += (size_t)n;
	if (*done < wanted->total &&
	    (n = (size_t)n < size ? -EAGAIN : stream_go_on(sending, wanted, flags, done)) < 0)
		return n;
	return (ssize_t)*done;
}

/* As the kernel: to the thread, and only where nothing has gone. sk_stream_error(), unix_stream_sendmsg(). */
static void pipe_signal(const struct sending *sending, const struct wanted *wanted, ssize_t n, size_t done)
{
	if (n == -EPIPE && done == 0 && sending->kind.type == SOCK_STREAM && !(wanted->flags & MSG_NOSIGNAL))
		target_signal(sending->gate, sending->call, SIGPIPE);
}

ssize_t message_send(struct sending *sending, const struct wanted *wanted, size_t *done)
{
	struct scratch *scratch = sending->gate->scratch;
	size_t size = piece_size(sending, wanted, *done);
	struct sockaddr_storage name;
	ssize_t there, n;

	if (size > MESSAGE_PAYLOAD_MAX)
		return -EMSGSIZE;
	scratch->fd_count = 0;
	sending->credentials = false;
	if (sending->kind.domain == AF_UNIX &&
	    (n = identity_read(sending->gate, sending->call, &sending->gate->scratch->identity)) < 0)
		return n;
	if ((there = piece_fetch(sending, wanted, &name, *done, size)) < 0 && there != -EFAULT)
		return there;
	if ((n = control_fetch(sending, wanted)) == 0 &&
	    (n = target_confirm(sending->gate, sending->call)) == 0 && (n = there < 0 ? there : 0) == 0 &&
	    (n = control_judge(sending)) == 0 &&
	    (n = send_name_judge(sending, &name, wanted->name_size, wanted->named && *done == 0)) == 0) {
		n = message_go(sending, wanted, there, size, done);
		pipe_signal(sending, wanted, n, *done);
	}
	fds_close(scratch);
	unix_target_clear(&sending->target);
	payload_settle(scratch, size);
	return n;
}
