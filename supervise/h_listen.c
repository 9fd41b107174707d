/* listen(2) on behalf of the target. A socket that was never bound gets an ephemeral port on every address
 * here, and Landlock, which judges bind(2), does not see it.
 *
 * getsockname(2) is no proof of a binding: after a refused connect it shows the port that the kernel has
 * taken back. Binding again is: it fails with EINVAL on a bound socket. On one that is not it takes a port,
 * which no rule grants, so that the next attempt fails as this one does.
 */
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "supervise/remap.h"
#include "supervise/unix.h"

static bool is_bound(int socket, int family)
{
	struct sockaddr_storage any = {.ss_family = (sa_family_t)family};
	socklen_t size = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);

	return bind(socket, (struct sockaddr *)&any, size) < 0 && errno == EINVAL;
}

/* What was asked for, where the port was moved. */
static int bound_port(struct gate *gate, int socket, uint16_t *port)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);
	struct net_addr addr;

	if (getsockname(socket, (struct sockaddr *)&address, &size) < 0)
		return -errno;
	if (!remap_address(&address, size, &addr, port))
		return -EAFNOSUPPORT;
	if (gate->rules->port_remap)
		*port = remap_asked(gate, NET_TCP, &addr, *port);
	return 0;
}

/* A port that connect(2) had taken may go back to the kernel between the look and the listen; then what listens now
 * is not what was looked at, and must not. */
static int listen_verified(struct gate *gate, int socket, int backlog)
{
	const struct net_binds *granted = gate->rules->binds;
	uint16_t port = 0;

	if (listen(socket, backlog) < 0)
		return -errno;
	if (net_binds_allow(granted, NET_TCP, 0) ||
	    (bound_port(gate, socket, &port) == 0 && net_binds_allow(granted, NET_TCP, port)))
		return 0;
	shutdown(socket, SHUT_RDWR);
	return -EACCES;
}

static int listen_allowed(struct gate *gate, int socket, int family)
{
	const struct net_binds *granted = gate->rules->binds;
	uint16_t port = 0;
	int r;

	if (net_binds_allow(granted, NET_TCP, 0))
		return 0;
	if (!is_bound(socket, family))
		return -EACCES;
	if ((r = bound_port(gate, socket, &port)) < 0)
		return r;
	return net_binds_allow(granted, NET_TCP, port) ? 0 : -EACCES;
}

struct verdict handle_listen(struct gate *gate, const struct call *call)
{
	cleanup_target int socket = target_socket(gate, call, (int)call->args[0]);
	struct socket_kind kind;
	int r;

	if (socket < 0)
		return verdict_errno(socket);
	if (notify_valid(gate->listener, call->id) < 0)
		return verdict_errno(-ESTALE);
	if ((r = socket_kind(socket, &kind)) < 0)
		return verdict_errno(r);
	if (socket_is_tcp(&kind)) {
		r = listen_allowed(gate, socket, kind.domain);
		if (r == 0)
			r = listen_verified(gate, socket, (int)call->args[1]);
		if (r == 0)
			remap_listens(gate, socket);
	} else if (kind.domain == AF_UNIX) {
		return unix_listen(gate, call, socket, (int)call->args[1]);
	} else if (socket_protocol(&kind) < 0) {
		r = -EACCES;
	} else if (listen(socket, (int)call->args[1]) < 0) {
		r = -errno;
	}
	return r < 0 ? verdict_errno(r) : verdict_value(0);
}
