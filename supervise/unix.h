/* Unix sockets on behalf of the target: what is granted, where an address leads, and the calls. docs/unix.md tells
 * why it is done this way.
 *
 * An address is followed once, in the target's own root and directory, one component at a time, and ends as an
 * O_PATH descriptor. That object is decided on, and that object is connected to, by the name /proc/self/fd/N: a
 * path is never followed a second time.
 */
#ifndef SL_SUPERVISE_UNIX_H
#define SL_SUPERVISE_UNIX_H

#include <limits.h>
#include <sys/un.h>

#include "confine/object.h"
#include "core/plan.h"
#include "supervise/gate.h"

/* grants */
enum { UNIX_GRANTS_MAX = 64 };
struct unix_grant {
	bool datagrams;
	int directory; /* O_PATH, held so that its inode number cannot be given to another; -1: abstract */
	struct object object; /* of `directory` */
	char name[NAME_MAX +
	          1]; /* a file in `directory`, or the abstract name; "": all that is below `directory` */
};
struct unix_grants {
	bool any; /* every path */
	size_t count;
	struct unix_grant items[UNIX_GRANTS_MAX];
};

/* Follows each path once, now. *grants is malloc'd, the caller's, for unix_grants_free(). The error names the
 * value. */
int unix_grants_open(const struct value_list *values, const struct plan *plan, struct unix_grants **grants,
                     sl_error *error);
void unix_grants_free(struct unix_grants *grants);
/* Their descriptors, for whoever closes all others: how many, at most UNIX_GRANTS_MAX. */
size_t unix_grants_fds(const struct unix_grants *grants, int *fds);
bool unix_grants_abstract(const struct unix_grants *grants, int type, const char *name, size_t size);
/* `parent`: where `object` was found, -1 where that is not known. */
bool unix_grants_path(const struct unix_grants *grants, int type, const struct object *object, int parent);

/* unix_names.c: abstract names that were bound inside. */
int unix_names_init(void);       /* before the supervisor locks itself in; -errno: it will know none */
void unix_names_add(int socket); /* ... if it has one */
bool unix_names_inside(int type, const struct sockaddr_un *address, size_t size);

/* unix_walk.c; paths of files go the same way (h_open.c). */
struct place {
	int fd;     /* O_PATH: what the path leads to */
	int parent; /* O_PATH: the directory it was found in; -1: it was named by a descriptor */
};
void place_clear(struct place *place);
#define cleanup_place __attribute__((cleanup(place_clear)))
/* The errnos are connect(2)'s own: ENOENT, ENOTDIR, EACCES, ELOOP, ENAMETOOLONG. */
int unix_walk(struct gate *gate, const struct call *call, const char *path, struct place *place);
/* From the directory that is the target's number `directory`, or AT_FDCWD; `flags` 0 or O_NOFOLLOW. */
int path_walk(struct gate *gate, const struct call *call, int directory, const char *path, int flags,
              struct place *place);

/* unix.c */

/* Where an address leads, and may. */
struct unix_target {
	int fd; /* held open until the call is done; -1 for an abstract name */
	socklen_t size;
	struct sockaddr_un address; /* what the supervisor gives to connect(2) or a send */
};
void unix_target_clear(struct unix_target *target);
#define cleanup_unix_target __attribute__((cleanup(unix_target_clear)))

/* `bytes` come from the target, any content; `type` is that of the socket they are used on. To be called with
 * the target's identity (identity.h), like the call that follows. 0, the errno of the kernel's own look at the
 * address, -EACCES for a path and -EPERM for an abstract name that are not granted. */
int unix_target_open(struct gate *gate, const struct call *call, int type, const void *bytes, size_t size,
                     struct unix_target *target);

/* The calls, with the target's identity. connect and bind take the socket over where they answer later. */
struct verdict unix_connect(struct gate *gate, const struct call *call, int *socket, int type,
                            const void *bytes, size_t size);
int unix_connect_again(struct gate *gate, const struct call *call, int socket,
                       const struct sockaddr_storage *address, socklen_t size);
struct verdict unix_bind(struct gate *gate, const struct call *call, int *socket, const void *bytes,
                         size_t size);
struct verdict unix_listen(struct gate *gate, const struct call *call, int socket, int backlog);

/* bind_child.c: `bytes` are a path of valid size. Takes the socket over where it answers later. */
struct verdict bind_child_start(struct gate *gate, const struct call *call, int *socket, const void *bytes,
                                size_t size);

#endif
