/* bind(2) on behalf of the target, where ports are moved, or those of UDP are granted one by one: Landlock judges TCP
 * alone, and which of the two it is stands in no register. The kernel looks at the rest of the address itself, in our copy. */
#include <errno.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "supervise/identity.h"
#include "supervise/remap.h"
#include "supervise/unix.h"

/* Short addresses never bind: inet_bind, inet6_bind. */
static bool size_fits(int domain, size_t size)
{
	return size >= (domain == AF_INET ? sizeof(struct sockaddr_in)
	                                  : offsetof(struct sockaddr_in6, sin6_scope_id));
}

/* Any UDP socket takes an ephemeral port with its first send; asking for one first is no more than that. */
static bool port_allowed(const struct gate *gate, int protocol, const struct sockaddr_storage *address)
{
	struct sockaddr_in in;

	memcpy(&in, address, sizeof(in)); /* the port is in the same place for both families */
	if (protocol == NET_ICMP || (protocol == NET_UDP && in.sin_port == 0))
		return true;
	return net_binds_allow(gate->rules->binds, (enum net_protocol)protocol, ntohs(in.sin_port));
}

/* Ports below 1024 are for who has the right to them: ip(7). */
int bind_for(struct gate *gate, const struct call *call, int socket, const struct sockaddr_storage *address,
             size_t size)
{
	struct identity identity;
	int r;

	if ((r = identity_read(gate, call, &identity)) < 0 || (r = identity_assume(&identity)) < 0)
		return r;
	r = bind(socket, (const struct sockaddr *)address, (socklen_t)size) < 0 ? -errno : 0;
	identity_restore(&identity);
	return r;
}

struct verdict handle_bind(struct gate *gate, const struct call *call)
{
	cleanup_target int socket = target_socket(gate, call, (int)call->args[0]);
	struct sockaddr_storage address;
	struct socket_kind kind;
	size_t size;
	int r, protocol;

	if (socket < 0)
		return verdict_errno(socket);
	if ((r = socket_kind(socket, &kind)) < 0 || (r = address_copy(gate, call, &address, &size)) < 0)
		return verdict_errno(r);
	protocol = socket_protocol(&kind);
	if (kind.domain == AF_UNIX)
		return unix_bind(gate, call, &socket, &address, size);
	if (protocol < 0 && kind.domain != AF_NETLINK)
		return verdict_errno(-EACCES);
	/* Not left to the kernel: IPV6_ADDRFORM may make it another family's address meanwhile, and one that fits. */
	if (protocol >= 0 && !size_fits(kind.domain, size))
		return verdict_errno(-EINVAL);
	if (protocol >= 0 && !port_allowed(gate, protocol, &address))
		return verdict_errno(-EACCES);
	r = gate->rules->port_remap ? remap_bind(gate, call, socket, &kind, &address, size)
	                            : bind_for(gate, call, socket, &address, size);
	return r < 0 ? verdict_errno(r) : verdict_value(0);
}
