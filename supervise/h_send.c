/* sendto(2), sendmsg(2), sendmmsg(2) on behalf of the target: the message copied once, its address decided on, and
 * sent from our copy on a duplicate of its socket.
 *
 *     header -> iovecs -> name, payload -> control    each read once, in this order: a fetch needs the one before
 *     confirm                                         the caller is still in this call, so all of it was its own
 *     control: judged, descriptors translated         name: decided, written anew
 *     sendmsg(MSG_DONTWAIT)                           no room, and the caller would wait: pending.c, and all once more
 *
 * A second try reads everything anew and decides anew, so that nothing of a waiting send is kept here but how much of
 * it has gone. A stream goes in pieces; a datagram is one piece or EMSGSIZE.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "core/fd.h"
#include "supervise/send.h"

/* Of one sendmmsg(2): each may be a long path, or many descriptors. */
enum { SINGLES_PER_TURN = 16 };

/* ---- one message ---- */

static bool caller_waits(const struct sending *sending, int flags)
{
	return !(flags & MSG_DONTWAIT) && socket_waits(sending->socket);
}

static struct verdict single_try(struct sending *sending, const struct wanted *wanted,
                                 struct progress *progress)
{
	ssize_t n = message_send(sending, wanted, &progress->bytes);

	progress->turn_over = n == TURN_OVER;
	if (n == TURN_OVER || (n == -EAGAIN && caller_waits(sending, wanted->flags)))
		return (struct verdict){.kind = VERDICT_LATER};
	return n >= 0 ? verdict_value(n) : send_give_up(sending->gate, sending->call, progress, (int)n);
}

static struct verdict sendto_try(struct sending *sending, struct progress *progress)
{
	struct wanted wanted;
	int r = wanted_from_sendto(sending, &wanted);

	return r < 0 ? verdict_errno(r) : single_try(sending, &wanted, progress);
}

static struct verdict sendmsg_try(struct sending *sending, struct progress *progress)
{
	struct wanted wanted = {.flags = (int)sending->call->args[2]};
	struct msghdr header;
	int r;

	if ((r = wanted_peek(sending->call, sending->call->args[1], &header, sizeof(header))) < 0 ||
	    (r = wanted_from_header(sending, &header, &wanted)) < 0)
		return send_give_up(sending->gate, sending->call, progress, r);
	return single_try(sending, &wanted, progress);
}

/* ---- many ---- */

static uint64_t header_at(const struct call *call, size_t index)
{
	return call->args[1] + index * sizeof(struct mmsghdr);
}

/* The kernel writes each length when the message has gone. */
static int length_write(struct gate *gate, const struct call *call, size_t index, size_t length)
{
	unsigned value = (unsigned)length;
	struct iovec ours = {&value, sizeof(value)};
	struct iovec theirs = {
		(void *)(uintptr_t)(header_at(call, index) + offsetof(struct mmsghdr, msg_len)),
		sizeof(value)};

	return target_write(gate, call, &ours, 1, &theirs, 1) == (ssize_t)sizeof(value) ? 0 : -EFAULT;
}

static size_t messages_wanted(const struct call *call)
{
	unsigned count = (unsigned)call->args[2];

	return count < MESSAGE_IOVECS_MAX ? count : MESSAGE_IOVECS_MAX;
}

/* The next message, whatever it looks like. 0, or what stopped it. */
static int many_one(struct sending *sending, struct progress *progress)
{
	const struct call *call = sending->call;
	struct wanted wanted = {.flags = (int)call->args[3]};
	struct msghdr header;
	ssize_t n;

	if ((n = wanted_peek(call, header_at(call, progress->messages), &header, sizeof(header))) < 0 ||
	    (n = wanted_from_header(sending, &header, &wanted)) < 0 ||
	    (n = message_send(sending, &wanted, &progress->bytes)) < 0)
		return (int)n;
	progress->bytes = 0;
	if ((n = length_write(sending->gate, call, progress->messages, (size_t)n)) < 0)
		return (int)n;
	progress->messages++;
	return 0;
}

/* What a batch is made of: a datagram to the internet in one piece. */
static bool header_is_plain(const struct msghdr *header)
{
	return header->msg_iovlen == 1 && header->msg_controllen == 0 &&
	       (header->msg_name == NULL || header->msg_namelen <= sizeof(struct sockaddr_storage));
}

/* How many of the next messages are plain: their headers, names and spans are read then. */
static size_t batch_peek(struct sending *sending, size_t first, size_t count)
{
	struct scratch *scratch = sending->gate->scratch;
	struct iovec ours[2 * MESSAGE_BATCH_MAX], theirs[2 * MESSAGE_BATCH_MAX];
	size_t pieces = 0, plain = 0, size = 0;

	if (wanted_peek(sending->call, header_at(sending->call, first), scratch->asked,
	                count * sizeof(*scratch->asked)) < 0)
		return 0;
	for (; plain < count && header_is_plain(&scratch->asked[plain].msg_hdr); plain++) {
		struct msghdr *header = &scratch->asked[plain].msg_hdr;

		if (header->msg_name == NULL)
			header->msg_namelen = 0;
		ours[pieces] = (struct iovec){&scratch->names[plain], header->msg_namelen};
		theirs[pieces++] = (struct iovec){header->msg_name, header->msg_namelen};
		ours[pieces] = (struct iovec){&scratch->spans[plain], sizeof(struct iovec)};
		theirs[pieces++] = (struct iovec){header->msg_iov, sizeof(struct iovec)};
		size += header->msg_namelen + sizeof(struct iovec);
	}
	return target_peek(sending->call, ours, pieces, theirs, pieces) == (ssize_t)size ? plain : 0;
}

/* Their payloads, one behind the other; how many messages have all of theirs, and fit. */
static size_t batch_payload(struct sending *sending, size_t count)
{
	struct scratch *scratch = sending->gate->scratch;
	struct iovec ours = {scratch->payload, 0};
	size_t fitting = 0;

	while (fitting < count && scratch->spans[fitting].iov_len <= PAYLOAD_KEPT - ours.iov_len)
		ours.iov_len += scratch->spans[fitting++].iov_len;
	if (ours.iov_len > 0 &&
	    target_peek(sending->call, &ours, 1, scratch->spans, fitting) != (ssize_t)ours.iov_len)
		return 0;
	return fitting;
}

/* Decide on each; how many may go before the first that may not. */
static size_t batch_judge(struct sending *sending, size_t count)
{
	struct scratch *scratch = sending->gate->scratch;
	char *payload = scratch->payload;

	for (size_t i = 0; i < count; i++) {
		struct msghdr *given = &scratch->given[i].msg_hdr;
		struct iovec *span = &scratch->spans[i];
		size_t name_size = scratch->asked[i].msg_hdr.msg_namelen;

		if (send_name_judge(sending, &scratch->names[i], name_size, name_size > 0) < 0)
			return i;
		scratch->names[i] = sending->name;
		span->iov_base = payload;
		payload += span->iov_len;
		*given = (struct msghdr){.msg_iov = span, .msg_iovlen = 1};
		if (sending->name_size > 0) {
			given->msg_name = &scratch->names[i];
			given->msg_namelen = sending->name_size;
		}
	}
	return count;
}

/* How many lengths could be written: a message whose length could not is not counted, though it has gone. */
static size_t lengths_write(const struct sending *sending, size_t first, size_t count)
{
	struct scratch *scratch = sending->gate->scratch;
	struct iovec ours[MESSAGE_BATCH_MAX], theirs[MESSAGE_BATCH_MAX];
	ssize_t n;

	for (size_t i = 0; i < count; i++) {
		uint64_t at = header_at(sending->call, first + i) + offsetof(struct mmsghdr, msg_len);

		ours[i] = (struct iovec){&scratch->given[i].msg_len, sizeof(unsigned)};
		theirs[i] = (struct iovec){(void *)(uintptr_t)at, sizeof(unsigned)};
	}
	n = target_write(sending->gate, sending->call, ours, count, theirs, count);
	return n < 0 ? 0 : (size_t)n / sizeof(unsigned);
}

/* As many of the next messages as can go in one call: how many, 0 for none, of which many_one() will find out why. Where
 * the kernel has stopped in between it does not say at what: no room, if the socket is not writable, and an error that
 * ends the call otherwise, with some sent. */
static int many_batch(struct sending *sending, struct progress *progress, size_t left)
{
	struct scratch *scratch = sending->gate->scratch;
	size_t count = left < MESSAGE_BATCH_MAX ? left : MESSAGE_BATCH_MAX, written;
	int protocol = socket_protocol(&sending->kind),
	    flags = send_flags(sending, (int)sending->call->args[3]), n;

	if ((protocol != NET_UDP && protocol != NET_ICMP) || flags < 0)
		return 0;
	if ((count = batch_peek(sending, progress->messages, count)) == 0 ||
	    (count = batch_payload(sending, count)) == 0 ||
	    target_confirm(sending->gate, sending->call) < 0 || (count = batch_judge(sending, count)) == 0 ||
	    (n = sendmmsg(sending->socket, scratch->given, (unsigned)count, flags)) == 0)
		return 0;
	/* An error is told once: asked again, the socket would know nothing of it. */
	if (n < 0)
		return -errno;
	written = lengths_write(sending, progress->messages, (size_t)n);
	progress->messages += written;
	if (written < (size_t)n)
		return -EFAULT;
	return (size_t)n == count || !socket_is_writable(sending->socket) ? n : -EIO;
}

static struct verdict sendmmsg_try(struct sending *sending, struct progress *progress)
{
	size_t count = messages_wanted(sending->call);
	int r = 0, singles = 0;

	while (r >= 0 && progress->messages < count)
		if ((r = many_batch(sending, progress, count - progress->messages)) == 0)
			r = singles++ < SINGLES_PER_TURN ? many_one(sending, progress) : TURN_OVER;
	progress->turn_over = r == TURN_OVER;
	if (r == TURN_OVER || (r == -EAGAIN && caller_waits(sending, (int)sending->call->args[3])))
		return (struct verdict){.kind = VERDICT_LATER};
	return send_give_up(sending->gate, sending->call, progress, r);
}

/* ---- entry ---- */

typedef struct verdict (*try_fn)(struct sending *sending, struct progress *progress);

static try_fn try_of(const struct call *call)
{
	return call->number == SYS_sendto    ? sendto_try
	       : call->number == SYS_sendmsg ? sendmsg_try
	                                     : sendmmsg_try;
}

struct verdict send_again(struct gate *gate, const struct call *call, int socket, struct progress *progress)
{
	struct sending sending = {.gate = gate, .call = call, .socket = socket, .target = {.fd = -1}};
	int r = socket_kind(socket, &sending.kind);

	return r < 0 ? verdict_errno(r) : try_of(call)(&sending, progress);
}

/* Part of a stream's message counts as a message of its own, with its length: __sys_sendmmsg(). */
struct verdict send_give_up(struct gate *gate, const struct call *call, const struct progress *progress,
                            int code)
{
	size_t messages = progress->messages;

	if (call->number != SYS_sendmmsg)
		return progress->bytes > 0 ? verdict_value((int64_t)progress->bytes) : verdict_errno(code);
	if (progress->bytes > 0 && length_write(gate, call, messages, progress->bytes) == 0)
		messages++;
	return messages > 0 || code >= 0 ? verdict_value((int64_t)messages) : verdict_errno(code);
}

static struct verdict handle_send(struct gate *gate, const struct call *call)
{
	cleanup_target int socket = target_socket(gate, call, (int)call->args[0]);
	struct progress progress = {0};
	struct verdict verdict;

	if (socket < 0)
		return verdict_errno(socket);
	verdict = send_again(gate, call, socket, &progress);
	if (verdict.kind == VERDICT_LATER)
		return pending_send(gate, call, fd_steal(&socket), &progress);
	/* Closed before the answer: else the target's own close would not end the connection yet. */
	close_guarded(&socket);
	return verdict;
}

struct verdict handle_sendto(struct gate *gate, const struct call *call)
{
	return handle_send(gate, call);
}

struct verdict handle_sendmsg(struct gate *gate, const struct call *call)
{
	return handle_send(gate, call);
}

struct verdict handle_sendmmsg(struct gate *gate, const struct call *call)
{
	return handle_send(gate, call);
}

int send_init(struct gate *gate)
{
	void *scratch = mmap(NULL, sizeof(struct scratch), PROT_READ | PROT_WRITE,
	                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (scratch == MAP_FAILED)
		return -errno;
	gate->scratch = scratch;
	return 0;
}
