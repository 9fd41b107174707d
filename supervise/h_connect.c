/* connect(2) on behalf of the target: its address copied once, decided, and used, on a duplicate of its
 * socket. Errors come in the kernel's order: descriptor, address, kind of descriptor, then the policy. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "core/fd.h"
#include "supervise/remap.h"
#include "supervise/unix.h"

int address_copy(struct gate *gate, const struct call *call, struct sockaddr_storage *address, size_t *size)
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

static bool endpoint_allowed(struct gate *gate, enum net_protocol protocol, struct net_endpoint *endpoint)
{
	if (gate->rules->port_remap)
		return remap_decide(gate, protocol, endpoint);
	return net_decide(gate->rules->table, &gate->pins, gate_seconds(), protocol, endpoint);
}

int endpoint_route(struct gate *gate, int domain, enum net_protocol protocol, struct net_endpoint *endpoint,
                   struct sockaddr_storage *address, socklen_t *size)
{
	/* From the endpoint that was decided on, not from the target's bytes. */
	if (endpoint_allowed(gate, protocol, endpoint))
		*size = net_endpoint_write(endpoint, domain, address);
	else if (dns_takes(gate->dns, protocol, endpoint))
		*size = dns_address(gate->dns, endpoint, domain, address);
	else
		return -EACCES;
	return 0;
}

int endpoint_domain(int domain, enum net_protocol protocol, const struct sockaddr_storage *given)
{
	return protocol != NET_TCP && given->ss_family == AF_INET ? AF_INET : domain;
}

/* To a port that was moved, by loopback: the handshake is over when connect(2) returns, or as good as. It must not go on
 * unwatched: the port may be given up, and be somebody else's when the next SYN arrives. */
static struct verdict connect_moved(struct gate *gate, const struct call *call, int *socket,
                                    const struct sockaddr_storage *address, socklen_t size,
                                    const struct net_endpoint *endpoint)
{
	bool raced;
	int r = connect_guarded(*socket, address, size, &raced);

	if (r == -EALREADY || (r == -EINPROGRESS && socket_tcp_state(*socket) != TCP_ESTABLISHED))
		return pending_moved(gate, call, fd_steal(socket), address, size);
	if ((r == 0 || r == -EINPROGRESS) && !remap_confirm(gate, endpoint)) {
		connect_undo(*socket);
		r = -ECONNREFUSED;
	}
	if (r == -EINPROGRESS && !(fcntl(*socket, F_GETFL) & O_NONBLOCK))
		r = connect_guarded(*socket, address, size, &raced);
	close_guarded(socket);
	return r < 0 ? verdict_errno(r) : verdict_value(0);
}

/* Decided, and connected. Datagram sockets only note the address: that does not wait. */
static struct verdict connect_endpoint(struct gate *gate, const struct call *call, int *socket, int domain,
                                       enum net_protocol protocol, struct net_endpoint *endpoint)
{
	struct sockaddr_storage address;
	uint16_t asked = endpoint->port;
	socklen_t size;
	int flags;

	if (endpoint_route(gate, domain, protocol, endpoint, &address, &size) < 0)
		return verdict_errno(-EACCES);
	if ((flags = fcntl(*socket, F_GETFL)) < 0)
		return verdict_errno(-EBADF);
	if (protocol == NET_TCP && endpoint->port != asked)
		return connect_moved(gate, call, socket, &address, size, endpoint);
	if (protocol != NET_TCP || (flags & O_NONBLOCK && !gate->flags_raced))
		return connect_now(gate, socket, &address, size);
	return pending_connect(gate, call, fd_steal(socket), &address, size, -1);
}

static struct verdict connect_inet(struct gate *gate, const struct call *call, int *socket, int domain,
                                   enum net_protocol protocol, const struct sockaddr_storage *given,
                                   size_t given_size)
{
	struct net_endpoint endpoint;
	int r = net_endpoint_read(domain, protocol, NET_CALL_CONNECT, given, given_size, &endpoint);

	if (r < 0)
		return verdict_errno(protocol == NET_TCP ? misfit_code(*socket, given_size, r) : r);
	if (r == NET_DISCONNECT)
		return connect_now(gate, socket, given, (socklen_t)given_size);
	return connect_endpoint(gate, call, socket, endpoint_domain(domain, protocol, given), protocol,
	                        &endpoint);
}

struct verdict handle_connect(struct gate *gate, const struct call *call)
{
	cleanup_target int socket = target_socket(gate, call, (int)call->args[0]);
	struct sockaddr_storage address;
	struct socket_kind kind;
	int known, protocol, r = 0;
	size_t size;

	if (socket < 0)
		return verdict_errno(socket);
	/* The id is checked after the descriptor was taken, in address_copy(). EBADF, which an O_PATH descriptor is, comes
	 * before the address, ENOTSOCK after it. */
	if ((known = socket_kind(socket, &kind)) == -EBADF ||
	    (r = address_copy(gate, call, &address, &size)) < 0 || (r = known) < 0)
		return verdict_errno(known == -EBADF ? known : r);
	if ((protocol = socket_protocol(&kind)) >= 0)
		return connect_inet(gate, call, &socket, kind.domain, (enum net_protocol)protocol, &address,
		                    size);
	if (kind.domain == AF_UNIX && gate->rules->unix_continue)
		return verdict_continue();
	if (kind.domain == AF_UNIX && gate->rules->unix_grants != NULL)
		return unix_connect(gate, call, &socket, kind.type, &address, size);
	return verdict_errno(-EACCES);
}
