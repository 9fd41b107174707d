/* Files as objects: a name is one of many for what it leads to. */
#ifndef SL_CONFINE_OBJECT_H
#define SL_CONFINE_OBJECT_H

#include <stdbool.h>
#include <stdint.h>

/* What a descriptor or a name is: stable for as long as somebody holds it open. */
struct object {
	uint64_t device, inode, mount;
	uint16_t mode;
};

/* Name "": the descriptor itself. A symbolic link is itself in object_at(), and where it leads in object_of(). -errno */
int object_at(int directory, const char *name, struct object *object);
int object_of(const char *path, struct object *object);
bool object_is(const struct object *left, const struct object *right); /* the mount does not count */

/* From `directory` up to the top: is it, or one above it, what `wanted` says? 1, 0, -errno; -ENAMETOOLONG where that is too
 * far. System calls only. */
typedef bool (*object_fn)(const struct object *object, const void *context);
int object_climb(int directory, object_fn wanted, const void *context);

#endif
