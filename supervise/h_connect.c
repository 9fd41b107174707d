/* connect(2) on behalf of the target: its address copied once, decided, and used, on a duplicate of its
 * socket. Errors come in the kernel's order: descriptor, address, kind of descriptor, then the policy. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "core/fd.h"
#include "supervise/gate.h"

static int address_copy(struct gate *gate, const struct call *call, struct sockaddr_storage *address,
                        size_t *size)
{
	int given = (int)call->args[2];

	if (given < 0 || (size_t)given > sizeof(*address))
		return -EINVAL;
	*size = (size_t)given;
	return target_read(gate, call, call->args[1], address, *size);
}

static struct verdict connect_now(struct gate *gate, int *socket, const struct sockaddr_storage *address,
                                  socklen_t size)
{
	bool raced;
	int r = connect_guarded(*socket, address, size, &raced);

	gate->flags_raced |= raced;
	/* Closed before the answer: else the target's own close would not end the connection yet. */
	close_guarded(socket);
	return r < 0 ? verdict_errno(r) : verdict_value(0);
}

/* The kernel looks at the state of the socket before it looks at what does not fit; but for an address without a
 * family. */
static int misfit_code(int socket, size_t size, int code)
{
	if (size < sizeof(sa_family_t))
		return code;
	switch (socket_tcp_state(socket)) {
	case TCP_SYN_SENT:
	case TCP_SYN_RECV:
		return -EALREADY;
	case TCP_CLOSE:
		return code;
	}
	return -EISCONN;
}

static struct verdict connect_tcp(struct gate *gate, const struct call *call, int *socket, int domain,
                                  const struct sockaddr_storage *given, size_t given_size)
{
	struct net_endpoint endpoint;
	struct sockaddr_storage address;
	socklen_t size;
	int flags, r = net_endpoint_read(domain, given, given_size, &endpoint);

	if (r < 0)
		return verdict_errno(misfit_code(*socket, given_size, r));
	if (r == NET_DISCONNECT)
		return connect_now(gate, socket, given, (socklen_t)given_size);
	if (!net_table_allows(gate->rules->table, &endpoint))
		return verdict_errno(-EACCES);
	/* From the endpoint that was decided on, not from the target's bytes. */
	size = net_endpoint_write(&endpoint, domain, &address);
	if ((flags = fcntl(*socket, F_GETFL)) < 0)
		return verdict_errno(-EBADF);
	if (flags & O_NONBLOCK && !gate->flags_raced)
		return connect_now(gate, socket, &address, size);
	return pending_connect(gate, call, fd_steal(socket), &address, size);
}

struct verdict handle_connect(struct gate *gate, const struct call *call)
{
	cleanup_target int socket = target_socket(gate, call, (int)call->args[0]);
	struct sockaddr_storage address;
	struct socket_kind kind;
	size_t size;
	int r;

	if (socket < 0)
		return verdict_errno(socket);
	/* The id is checked after the descriptor was taken, in here. */
	if ((r = address_copy(gate, call, &address, &size)) < 0 || (r = socket_kind(socket, &kind)) < 0)
		return verdict_errno(r);
	if (socket_is_tcp(&kind))
		return connect_tcp(gate, call, &socket, kind.domain, &address, size);
	if (kind.domain == AF_UNIX && gate->rules->unix_any)
		return (struct verdict){.kind = VERDICT_CONTINUE};
	return verdict_errno(-EACCES);
}
