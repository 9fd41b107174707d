/* Abstract names that were bound inside of the sandbox: those it may connect to, as Landlock's scope would have it. The
 * supervisor is outside of the target's domain, and has to know them.
 *
 * A name is remembered with the type of its socket, since each type has names of its own: the same one may belong to a
 * service outside. And with the cookie, which is never given to another: the name counts for as long as the kernel knows
 * that socket, sock_diag(7). Asked by write(2) and read(2), which on netlink are the sending to and the
 * receiving from the kernel. Between the question and the connect the socket may go and somebody outside may take
 * the name; who wants to meet it there has to win that against a service that is just starting.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "supervise/unix.h"

enum { NAMES_MAX = 256, PATH_AT = offsetof(struct sockaddr_un, sun_path) };

struct unix_name {
	socklen_t size; /* 0: free */
	int type;       /* the same name may belong to a socket of each type */
	uint32_t inode;
	uint64_t cookie;
	struct sockaddr_un address;
};
static struct {
	int kernel; /* netlink */
	unsigned next;
	struct unix_name names[NAMES_MAX];
} inside = {.kernel = -1};

int unix_names_init(void)
{
	inside.kernel = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);
	memset(inside.names, 0, sizeof(inside.names));
	/* Without it no name is known to be inside. */
	return inside.kernel < 0 ? -errno : 0;
}

static bool name_lives(const struct unix_name *name)
{
	struct {
		struct nlmsghdr header;
		struct unix_diag_req request;
	} question = {
		.header = {.nlmsg_len = sizeof(question),
	                   .nlmsg_type = SOCK_DIAG_BY_FAMILY,
	                   .nlmsg_flags = NLM_F_REQUEST},
		.request = {.sdiag_family = AF_UNIX,
	                    .udiag_states = UINT32_MAX,
	                    .udiag_ino = name->inode,
	                    .udiag_cookie = {(uint32_t)name->cookie, (uint32_t)(name->cookie >> 32)}},
	};
	union {
		struct nlmsghdr header;
		char bytes[512];
	} answer;

	if (write(inside.kernel, &question, sizeof(question)) != (ssize_t)sizeof(question))
		return false;
	if (read(inside.kernel, &answer, sizeof(answer)) < (ssize_t)sizeof(answer.header))
		return false;
	return answer.header.nlmsg_type == SOCK_DIAG_BY_FAMILY;
}

/* The next one that is free, or whose socket has gone. */
static struct unix_name *name_free(void)
{
	for (unsigned i = 0; i < NAMES_MAX; i++) {
		struct unix_name *name = &inside.names[inside.next++ % NAMES_MAX];

		if (name->size == 0 || !name_lives(name))
			return name;
	}
	return NULL;
}

void unix_names_add(int socket)
{
	struct unix_name name = {.size = sizeof(name.address)};
	socklen_t cookie_size = sizeof(name.cookie), type_size = sizeof(name.type);
	struct unix_name *slot;
	struct object object;

	if (inside.kernel < 0 || getsockname(socket, (struct sockaddr *)&name.address, &name.size) < 0 ||
	    name.size <= PATH_AT || name.address.sun_path[0] != '\0' ||
	    getsockopt(socket, SOL_SOCKET, SO_TYPE, &name.type, &type_size) < 0 ||
	    getsockopt(socket, SOL_SOCKET, SO_COOKIE, &name.cookie, &cookie_size) < 0 ||
	    object_at(socket, "", &object) < 0)
		return;
	name.inode = (uint32_t)object.inode;
	if ((slot = name_free()) != NULL)
		*slot = name;
}

bool unix_names_inside(int type, const struct sockaddr_un *address, size_t size)
{
	for (size_t i = 0; i < NAMES_MAX; i++) {
		const struct unix_name *name = &inside.names[i];

		if (name->size == size && name->type == type && memcmp(&name->address, address, size) == 0 &&
		    name_lives(name))
			return true;
	}
	return false;
}
