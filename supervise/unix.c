/* Unix sockets on behalf of the target: unix(7). The kernel does not judge a connect to a path (before Landlock's
 * RESOLVE_UNIX), and a path in the target's memory may be another one a moment later; so the supervisor copies it,
 * follows it, decides on what it leads to, and connects to that. */
#include "supervise/unix.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/fd.h"
#include "supervise/identity.h"

enum { PATH_AT = offsetof(struct sockaddr_un, sun_path) };

void unix_target_clear(struct unix_target *target)
{
	fd_close(&target->fd);
}

/* As unix_validate_addr() in the kernel. The path may lack its NUL, and gets one. */
static int address_read(const void *bytes, size_t size, struct sockaddr_un *address,
                        char path[sizeof(address->sun_path) + 1])
{
	if (size <= PATH_AT || size > sizeof(*address))
		return -EINVAL;
	memset(address, 0, sizeof(*address));
	memcpy(address, bytes, size);
	if (address->sun_family != AF_UNIX)
		return -EINVAL;
	memcpy(path, address->sun_path, sizeof(address->sun_path));
	path[sizeof(address->sun_path)] = '\0';
	return 0;
}

static void target_name(struct unix_target *target)
{
	target->address = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(target->address.sun_path, sizeof(target->address.sun_path), "/proc/self/fd/%d", target->fd);
	target->size = (socklen_t)sizeof(target->address);
}

/* What is no socket gets the kernel's own answer: the descriptor is no way to anything. */
static int path_open(struct gate *gate, const struct call *call, int type, const char *path,
                     struct unix_target *target)
{
	cleanup_place struct place place;
	struct object object;
	int r = unix_walk(gate, call, path, &place);

	if (r < 0 || (r = object_at(place.fd, "", &object)) < 0)
		return r;
	if (S_ISSOCK(object.mode) && !unix_grants_path(gate->rules->unix_grants, type, &object, place.parent))
		return -EACCES;
	target->fd = fd_steal(&place.fd);
	target_name(target);
	return 0;
}

int unix_target_open(struct gate *gate, const struct call *call, int type, const void *bytes, size_t size,
                     struct unix_target *target)
{
	char path[sizeof(target->address.sun_path) + 1];
	int r;

	*target = (struct unix_target){.fd = -1};
	if ((r = address_read(bytes, size, &target->address, path)) < 0)
		return r;
	if (path[0] != '\0')
		return path_open(gate, call, type, path, target);
	target->size = (socklen_t)size;
	if (unix_grants_abstract(gate->rules->unix_grants, type, target->address.sun_path + 1,
	                         size - PATH_AT - 1) ||
	    unix_names_inside(type, &target->address, size))
		return 0;
	/* As Landlock answers for a name from outside. */
	return -EPERM;
}

/* A datagram socket is disconnected by any address of the family AF_UNSPEC. */
static bool is_disconnect(int type, const void *bytes, size_t size)
{
	sa_family_t family;

	if (type != SOCK_DGRAM || size < sizeof(family))
		return false;
	memcpy(&family, bytes, sizeof(family));
	return family == AF_UNSPEC;
}

static int connect_now(int socket, const struct unix_target *target, bool *waited)
{
	struct sockaddr_storage address = {0};
	bool raced;
	int r;

	memcpy(&address, &target->address, sizeof(target->address));
	r = connect_guarded(socket, &address, target->size, &raced);
	/* Nothing has been begun that would go on: the kernel says EAGAIN when it may not wait. */
	*waited |= raced;
	return raced ? -EAGAIN : r;
}

static struct verdict connect_later(struct gate *gate, const struct call *call, int *socket,
                                    struct unix_target *target)
{
	struct sockaddr_storage address = {0};

	memcpy(&address, &target->address, sizeof(target->address));
	return pending_connect(gate, call, fd_steal(socket), &address, target->size, fd_steal(&target->fd));
}

static struct verdict connect_as_target(struct gate *gate, const struct call *call, int *socket, int type,
                                        const void *bytes, size_t size)
{
	cleanup_unix_target struct unix_target target = {.fd = -1};
	int flags, r = unix_target_open(gate, call, type, bytes, size, &target);

	if (r < 0)
		return verdict_errno(r);
	if ((flags = fcntl(*socket, F_GETFL)) < 0)
		return verdict_errno(-EBADF);
	if (type == SOCK_DGRAM || (flags & O_NONBLOCK && !gate->flags_raced)) {
		r = connect_now(*socket, &target, &gate->flags_raced);
		return r < 0 ? verdict_errno(r) : verdict_value(0);
	}
	/* Only a full queue makes this wait. Until one was met the guard is enough, and the socket is free as soon as it is
	 * connected: the ring's own worker lets go of it a moment after it has said so. */
	if (!gate->unix_waited && (r = connect_now(*socket, &target, &gate->unix_waited)) != -EAGAIN)
		return r < 0 ? verdict_errno(r) : verdict_value(0);
	return connect_later(gate, call, socket, &target);
}

struct verdict unix_connect(struct gate *gate, const struct call *call, int *socket, int type,
                            const void *bytes, size_t size)
{
	struct unix_target nothing = {.fd = -1, .size = (socklen_t)size};
	struct identity identity;
	struct verdict verdict;
	int r;

	if (is_disconnect(type, bytes, size)) {
		nothing.address.sun_family = AF_UNSPEC;
		nothing.size = sizeof(nothing.address);
		r = connect_now(*socket, &nothing, &gate->flags_raced);
		return r < 0 ? verdict_errno(r) : verdict_value(0);
	}
	if ((r = identity_read(gate, call, &identity)) < 0 || (r = identity_assume(&identity)) < 0)
		return verdict_errno(r);
	verdict = connect_as_target(gate, call, socket, type, bytes, size);
	identity_restore(&identity);
	/* Before the answer: else the target's own close would not end the connection yet. */
	close_guarded(socket);
	return verdict;
}

/* Where the ring is not to be had and the listener's queue is full: once more. -EAGAIN: not yet. */
int unix_connect_again(struct gate *gate, const struct call *call, int socket,
                       const struct sockaddr_storage *address, socklen_t size)
{
	struct identity identity;
	bool raced;
	int r;

	if ((r = identity_read(gate, call, &identity)) < 0 || (r = identity_assume(&identity)) < 0)
		return r;
	r = connect_guarded(socket, address, size, &raced);
	identity_restore(&identity);
	return raced ? -EAGAIN : r;
}

/* Who connects sees in SO_PEERCRED who has called listen(2). */
struct verdict unix_listen(struct gate *gate, const struct call *call, int socket, int backlog)
{
	struct identity identity;
	int r;

	if ((r = identity_read(gate, call, &identity)) < 0 || (r = identity_assume(&identity)) < 0)
		return verdict_errno(r);
	r = listen(socket, backlog) < 0 ? -errno : 0;
	identity_restore(&identity);
	return r < 0 ? verdict_errno(r) : verdict_value(0);
}

static bool names_path(const void *bytes, size_t size)
{
	struct sockaddr_un address = {0};

	if (size <= PATH_AT || size > sizeof(address))
		return false;
	memcpy(&address, bytes, size);
	return address.sun_family == AF_UNIX && address.sun_path[0] != '\0';
}

/* A path makes a file, which Landlock has to judge: bind_child.c. All else makes nothing but a name. */
struct verdict unix_bind(struct gate *gate, const struct call *call, int *socket, const void *bytes,
                         size_t size)
{
	if (names_path(bytes, size))
		return bind_child_start(gate, call, socket, bytes, size);
	if (bind(*socket, bytes, (socklen_t)size) < 0)
		return verdict_errno(-errno);
	unix_names_add(*socket);
	return verdict_value(0);
}
