/* accept(2) and accept4(2) with an address, where a peer could have a moved port. Else the kernel answers, and the
 * caller waits there. */
#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>

#include "core/fd.h"
#include "supervise/identity.h"
#include "supervise/remap.h"

static int flags_of(const struct call *call)
{
	return call->number == SYS_accept4 ? (int)call->args[3] : 0;
}

static void peer_show(struct gate *gate, struct sockaddr_storage *address, size_t size)
{
	struct net_addr addr;
	uint16_t port;

	if (remap_address(address, size, &addr, &port) && remap_is_loopback(&addr))
		remap_show(gate, NET_TCP, address, size);
}

/* The new socket's owner is who accepts. */
static int accept_for(struct gate *gate, const struct call *call, int socket,
                      struct sockaddr_storage *address, socklen_t *size, int flags)
{
	struct identity identity;
	int r;

	if ((r = identity_read(gate, call, &identity)) < 0 || (r = identity_assume(&identity)) < 0)
		return r;
	r = accept_guarded(socket, address, size, flags);
	identity_restore(&identity);
	return r;
}

/* A connection whose address cannot be written is lost, here as in the kernel. */
struct verdict accept_again(struct gate *gate, const struct call *call, int socket)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);
	int flags = flags_of(call),
	    fd = accept_for(gate, call, socket, &address, &size, flags | SOCK_CLOEXEC), r;

	if ((fd == -EINTR || fd == -EAGAIN) && socket_waits(socket))
		return (struct verdict){.kind = VERDICT_LATER};
	if (fd == -EINTR)
		return verdict_errno(-EAGAIN);
	if (fd < 0)
		return verdict_errno(fd);
	peer_show(gate, &address, size);
	if ((r = name_give(gate, call, &address, size, call->args[1], call->args[2])) < 0) {
		close_guarded(&fd);
		return verdict_errno(r);
	}
	return (struct verdict){
		.kind = VERDICT_FD, .value = fd, .flags = flags & SOCK_CLOEXEC ? O_CLOEXEC : 0};
}

static struct verdict accept_answer(struct gate *gate, const struct call *call)
{
	cleanup_target int socket = target_socket(gate, call, (int)call->args[0]);
	struct verdict verdict;
	struct socket_kind kind;
	int r;

	if (socket < 0 || (r = socket_kind(socket, &kind)) < 0)
		return verdict_errno(socket < 0 ? socket : r);
	if (!socket_is_tcp(&kind))
		return verdict_continue();
	if (flags_of(call) & ~(SOCK_CLOEXEC | SOCK_NONBLOCK))
		return verdict_errno(-EINVAL);
	verdict = accept_again(gate, call, socket);
	if (verdict.kind == VERDICT_LATER)
		return pending_accept(gate, call, fd_steal(&socket));
	return verdict;
}

struct verdict handle_accept(struct gate *gate, const struct call *call)
{
	return ports_may_call(&gate->ports) ? accept_answer(gate, call) : verdict_continue();
}
