/* What a duplicated socket is. Asked of the duplicate: the number in the target's table may mean another file
 * by now. socket(7), SO_DOMAIN and its kin. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include "supervise/gate.h"

static int socket_option(int socket, int name, int *value)
{
	socklen_t size = sizeof(*value);

	return getsockopt(socket, SOL_SOCKET, name, value, &size) < 0 ? -errno : 0;
}

int socket_kind(int socket, struct socket_kind *kind)
{
	int r;

	if ((r = socket_option(socket, SO_DOMAIN, &kind->domain)) < 0 ||
	    (r = socket_option(socket, SO_TYPE, &kind->type)) < 0)
		return r;
	return socket_option(socket, SO_PROTOCOL, &kind->protocol);
}

bool socket_is_tcp(const struct socket_kind *kind)
{
	return (kind->domain == AF_INET || kind->domain == AF_INET6) && kind->type == SOCK_STREAM &&
	       kind->protocol == IPPROTO_TCP;
}

int socket_protocol(const struct socket_kind *kind)
{
	if (socket_is_tcp(kind))
		return NET_TCP;
	if (kind->type != SOCK_DGRAM)
		return -1;
	if ((kind->domain == AF_INET || kind->domain == AF_INET6) && kind->protocol == IPPROTO_UDP)
		return NET_UDP;
	if ((kind->domain == AF_INET && kind->protocol == IPPROTO_ICMP) ||
	    (kind->domain == AF_INET6 && kind->protocol == IPPROTO_ICMPV6))
		return NET_ICMP;
	return -1;
}

static short socket_poll(int socket)
{
	struct pollfd state = {.fd = socket, .events = POLLOUT};

	return poll(&state, 1, 0) > 0 ? state.revents : 0;
}

bool socket_is_writable(int socket)
{
	return socket_poll(socket) & POLLOUT;
}

bool socket_has_failed(int socket)
{
	return socket_poll(socket) & POLLERR;
}

int socket_tcp_state(int socket)
{
	struct tcp_info info = {.tcpi_state = TCP_CLOSE};
	socklen_t size = sizeof(info);

	getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size);
	return info.tcpi_state;
}

bool socket_waits(int socket)
{
	int status = fcntl(socket, F_GETFL);

	return status >= 0 && !(status & O_NONBLOCK);
}
