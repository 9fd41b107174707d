/* getsockname(2) and getpeername(2) under port-remap. Where the port is what it looks like, the kernel answers. */
#include <errno.h>
#include <netinet/in.h>

#include "core/kernel.h"
#include "supervise/remap.h"

int name_give(struct gate *gate, const struct call *call, const struct sockaddr_storage *address, size_t size,
              uint64_t to, uint64_t size_at)
{
	int room, full = (int)size;
	struct iovec ours[2] = {{(void *)(uintptr_t)address, 0}, {&full, sizeof(full)}};
	struct iovec theirs[2] = {{(void *)(uintptr_t)to, 0}, {(void *)(uintptr_t)size_at, sizeof(full)}};
	int r = target_read(gate, call, size_at, &room, sizeof(room));

	if (r < 0)
		return r;
	if (room < 0)
		return -EINVAL;
	if (room > full)
		room = full;
	/* Cut to the room, but told in full: move_addr_to_user(). */
	ours[0].iov_len = theirs[0].iov_len = (size_t)room;
	return target_write(gate, call, ours, 2, theirs, 2) == room + (ssize_t)sizeof(full) ? 0 : -EFAULT;
}

typedef int (*name_fn)(int socket, struct sockaddr *address, socklen_t *size);

/* A peer with a moved port is on this host, or only looks as if it had one. */
static bool is_shown(name_fn name, const struct sockaddr_storage *address, size_t size)
{
	struct net_addr addr;
	uint16_t port;

	return name == getsockname ||
	       (remap_address(address, size, &addr, &port) && remap_is_loopback(&addr));
}

static struct verdict name_answer(struct gate *gate, const struct call *call, name_fn name)
{
	cleanup_target int socket = target_socket(gate, call, (int)call->args[0]);
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);
	struct socket_kind kind;
	int r, protocol;

	if (socket < 0 || (r = socket_kind(socket, &kind)) < 0)
		return verdict_errno(socket < 0 ? socket : r);
	protocol = socket_protocol(&kind);
	if (protocol != NET_TCP && protocol != NET_UDP)
		return verdict_continue();
	if (name(socket, (struct sockaddr *)&address, &size) < 0)
		return verdict_errno(-errno);
	if (!is_shown(name, &address, size) || !remap_show(gate, (enum net_protocol)protocol, &address, size))
		return verdict_continue();
	r = name_give(gate, call, &address, size, call->args[1], call->args[2]);
	return r < 0 ? verdict_errno(r) : verdict_value(0);
}

static struct verdict handle_name(struct gate *gate, const struct call *call, name_fn name)
{
	return gate->ports.moved == 0 ? verdict_continue() : name_answer(gate, call, name);
}

struct verdict handle_getsockname(struct gate *gate, const struct call *call)
{
	if ((int)call->args[0] == SL_PORTS_DESCRIPTOR)
		return remap_tell(gate, call);
	return handle_name(gate, call, getsockname);
}

struct verdict handle_getpeername(struct gate *gate, const struct call *call)
{
	return handle_name(gate, call, getpeername);
}
