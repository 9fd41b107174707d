/* What a target wants sent, as it describes it: registers, headers and iovecs, each fetched once. The pointers stay the
 * target's, and nothing is believed of them but that the kernel would have taken them. */
#include "supervise/send.h"

int wanted_peek(const struct call *call, uint64_t from, void *to, size_t size)
{
	struct iovec local = {to, size}, remote = {(void *)(uintptr_t)from, size};
	ssize_t n = size == 0 ? 0 : target_peek(call, &local, 1, &remote, 1);

	return n < 0 ? (int)n : n == (ssize_t)size ? 0 : -EFAULT;
}

/* As __import_iovec: signs first, then each whether it lies in the address space, then cut to what one call moves. A
 * single one is cut before it is looked at. */
static int iovecs_check(struct iovec *iovecs, size_t count, size_t *total)
{
	static const uint64_t address_space = 0x7ffffffff000;

	*total = 0;
	for (size_t i = 0; i < count; i++)
		if ((ssize_t)iovecs[i].iov_len < 0)
			return -EINVAL;
	if (count == 1 && iovecs[0].iov_len > TOTAL_MAX)
		iovecs[0].iov_len = TOTAL_MAX;
	for (size_t i = 0; i < count; i++) {
		struct iovec *part = &iovecs[i];

		if ((uintptr_t)part->iov_base > address_space ||
		    part->iov_len > address_space - (uintptr_t)part->iov_base)
			return -EFAULT;
		if (part->iov_len > TOTAL_MAX - *total)
			part->iov_len = TOTAL_MAX - *total;
		*total += part->iov_len;
	}
	return 0;
}

/* In the kernel's order: __copy_msghdr, __import_iovec, ____sys_sendmsg. */
int wanted_from_header(struct sending *sending, const struct msghdr *header, struct wanted *wanted)
{
	struct scratch *scratch = sending->gate->scratch;
	int name_size = (int)header->msg_namelen, r;

	if (header->msg_name == NULL)
		name_size = 0;
	if (name_size < 0)
		return -EINVAL;
	if (header->msg_iovlen > MESSAGE_IOVECS_MAX) {
		r = wanted_peek(sending->call, (uintptr_t)header->msg_name, &sending->name,
		                (size_t)name_size < sizeof(sending->name) ? (size_t)name_size
		                                                          : sizeof(sending->name));
		return r < 0 ? r : -EMSGSIZE;
	}
	wanted->name = (uintptr_t)header->msg_name;
	wanted->name_size =
		(size_t)name_size < sizeof(sending->name) ? (size_t)name_size : sizeof(sending->name);
	wanted->named = wanted->name_size > 0;
	wanted->count = header->msg_iovlen;
	if ((r = wanted_peek(sending->call, (uintptr_t)header->msg_iov, scratch->iovecs,
	                     wanted->count * sizeof(*scratch->iovecs))) < 0)
		return r;
	if ((r = iovecs_check(scratch->iovecs, wanted->count, &wanted->total)) < 0)
		return r;
	wanted->control = (uintptr_t)header->msg_control;
	wanted->control_size = header->msg_controllen;
	return wanted->control_size > MESSAGE_CONTROL_MAX ? -ENOBUFS : 0;
}

int wanted_from_sendto(struct sending *sending, struct wanted *wanted)
{
	const struct call *call = sending->call;
	size_t size = call->args[2] < TOTAL_MAX ? call->args[2] : TOTAL_MAX;
	int name_size = (int)call->args[5];

	if (call->args[4] == 0)
		name_size = 0;
	if (name_size < 0 || (size_t)name_size > sizeof(sending->name))
		return -EINVAL;
	sending->gate->scratch->iovecs[0] = (struct iovec){(void *)(uintptr_t)call->args[1], size};
	*wanted = (struct wanted){
		.name = call->args[4],
		.name_size = (size_t)name_size,
		.named = call->args[4] != 0,
		.count = 1,
		.total = size,
		.flags = (int)call->args[3] & INT32_MAX, /* sendto(2) does not look at MSG_CMSG_COMPAT */
	};
	return 0;
}

size_t wanted_slice(struct scratch *scratch, const struct wanted *wanted, size_t from, size_t size)
{
	size_t count = 1;

	for (size_t i = 0; i < wanted->count && size > 0; i++) {
		struct iovec part = scratch->iovecs[i];

		if (from >= part.iov_len) {
			from -= part.iov_len;
			continue;
		}
		part.iov_base = (char *)part.iov_base + from;
		part.iov_len -= from;
		part.iov_len = part.iov_len < size ? part.iov_len : size;
		from = 0;
		size -= part.iov_len;
		scratch->parts[count++] = part;
	}
	return count;
}
