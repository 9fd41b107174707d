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

#include "supervise/gate.h"

static bool is_bound(int socket, int family)
{
	struct sockaddr_storage any = {.ss_family = (sa_family_t)family};
	socklen_t size = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);

	return bind(socket, (struct sockaddr *)&any, size) < 0 && errno == EINVAL;
}

static int bound_port(int socket, uint16_t *port)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);

	if (getsockname(socket, (struct sockaddr *)&address, &size) < 0)
		return -errno;
	/* The port is in the same place for both families: netinet/in.h. */
	*port = ntohs(((struct sockaddr_in *)&address)->sin_port);
	return 0;
}

/* A port that connect(2) had taken may go back to the kernel between the look and the listen; then what listens now
 * is not what was looked at, and must not. */
static int listen_verified(const struct port_set *granted, int socket, int backlog)
{
	uint16_t port = 0;

	if (listen(socket, backlog) < 0)
		return -errno;
	if (port_set_has(granted, 0) || (bound_port(socket, &port) == 0 && port_set_has(granted, port)))
		return 0;
	shutdown(socket, SHUT_RDWR);
	return -EACCES;
}

static int listen_allowed(const struct port_set *granted, int socket, int family)
{
	uint16_t port = 0;
	int r;

	if (port_set_has(granted, 0))
		return 0;
	if (!is_bound(socket, family))
		return -EACCES;
	if ((r = bound_port(socket, &port)) < 0)
		return r;
	return port_set_has(granted, port) ? 0 : -EACCES;
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
		r = listen_allowed(gate->rules->bind_ports, socket, kind.domain);
		if (r == 0)
			r = listen_verified(gate->rules->bind_ports, socket, (int)call->args[1]);
	} else if (kind.domain != AF_UNIX || !gate->rules->unix_any) {
		r = -EACCES;
	} else if (listen(socket, (int)call->args[1]) < 0) {
		r = -errno;
	}
	return r < 0 ? verdict_errno(r) : verdict_value(0);
}
