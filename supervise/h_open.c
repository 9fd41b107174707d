/* open(2), openat(2) and openat2(2) under `name` and num-cpus: a few files show something else, all others are the
 * kernel's. The path is read once; nearly all are done with when their last component is not that of a viewed file.
 * Else it is followed as the target would, and what it leads to is compared as an object. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "supervise/identity.h"
#include "supervise/unix.h"

enum { LARGE_FILES = 0100000 }; /* O_LARGEFILE, which the library's header has as 0 */

struct opening {
	int directory;
	uint64_t flags;
	char path[PATH_MAX];
};

/* What these do to a view is what they do to a file. With any other the kernel has its own ideas. */
static bool flags_are_plain(uint64_t flags)
{
	static const uint64_t plain = O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW | LARGE_FILES;

	return (flags & ~plain) == O_RDONLY;
}

/* Up to its end, which may be the last byte of the last page that there is. -EFAULT, -ENAMETOOLONG. */
static int path_read(const struct call *call, uint64_t from, char path[static PATH_MAX])
{
	enum { PAGE = 4096 };
	size_t first = PAGE - from % PAGE;
	struct iovec ours = {path, PATH_MAX};
	struct iovec theirs[2] = {{(void *)(uintptr_t)from, first},
	                          {(void *)(uintptr_t)(from + first), PATH_MAX - first}};
	ssize_t size = target_peek(call, &ours, 1, theirs, 2);

	_Static_assert(PATH_MAX == PAGE, "a path is in two pages at the most");
	if (size < 0)
		return (int)size;
	if (memchr(path, '\0', (size_t)size) != NULL)
		return 0;
	return size == PATH_MAX ? -ENAMETOOLONG : -EFAULT;
}

static const char *last_component(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? path : slash + 1;
}

/* May the target, being who it is, read this? Not by opening it: that could wait for whoever has a lease on it or
 * watches it by fanotify(7). AT_EACCESS: by the ids that are in effect, which are the target's. */
static int file_is_readable(int file)
{
	return syscall(SYS_faccessat2, file, "", R_OK, AT_EMPTY_PATH | AT_EACCESS) < 0 ? -errno : 0;
}

/* With the target's identity. The view that its path leads to, or -errno: none. */
static int view_look(struct gate *gate, const struct call *call, const struct opening *opening)
{
	cleanup_place struct place place;
	struct object object;
	int r = path_walk(gate, call, opening->directory, opening->path, (int)opening->flags, &place), view;

	if (r < 0 || (r = object_at(place.fd, "", &object)) < 0)
		return r;
	if ((view = views_find(&gate->views, last_component(opening->path), &object)) < 0)
		return view;
	r = file_is_readable(place.fd);
	return r < 0 ? r : view;
}

static int view_look_as_target(struct gate *gate, const struct call *call, const struct opening *opening)
{
	struct identity identity;
	int r;

	if ((r = identity_read(gate, call, &identity)) < 0 || (r = identity_assume(&identity)) < 0)
		return r;
	r = view_look(gate, call, opening);
	identity_restore(&identity);
	return r;
}

/* Whatever keeps a view from being found, the kernel says what there is to say of the path: dispatch.c has why that is
 * safe. So a program whose memory nobody may look into opens what is granted to it, as it is. */
static struct verdict path_answer(struct gate *gate, const struct call *call, uint64_t path_at,
                                  struct opening *opening)
{
	int r, view;

	if (!flags_are_plain(opening->flags))
		return verdict_continue();
	if ((r = path_read(call, path_at, opening->path)) < 0)
		return r == -EPERM ? verdict_continue() : verdict_errno(r);
	if (!views_know(&gate->views, last_component(opening->path)))
		return verdict_continue();
	if (target_confirm(gate, call) < 0)
		return verdict_errno(-ESTALE);
	if ((view = view_look_as_target(gate, call, opening)) < 0)
		return verdict_continue();
	r = view_give(&gate->views, gate->proc, (enum view_id)view, (int)opening->flags & O_NONBLOCK);
	if (r < 0)
		return verdict_errno(r);
	return (struct verdict){VERDICT_FD, r, (int)opening->flags & O_CLOEXEC};
}

struct verdict handle_open(struct gate *gate, const struct call *call)
{
	struct opening opening;

	opening.directory = AT_FDCWD;
	opening.flags = (uint32_t)call->args[1];
	return path_answer(gate, call, call->args[0], &opening);
}

struct verdict handle_openat(struct gate *gate, const struct call *call)
{
	struct opening opening;

	opening.directory = (int)call->args[0];
	opening.flags = (uint32_t)call->args[2];
	return path_answer(gate, call, call->args[1], &opening);
}

/* A mode, a restricted resolution, a longer structure: none of them is of a plain read, and the kernel knows them. */
struct verdict handle_openat2(struct gate *gate, const struct call *call)
{
	struct opening opening;
	struct open_how how;
	int r;

	if (call->args[3] != sizeof(how))
		return verdict_continue();
	if ((r = target_read(gate, call, call->args[2], &how, sizeof(how))) < 0)
		return r == -EPERM ? verdict_continue() : verdict_errno(r);
	if (how.mode != 0 || how.resolve != 0)
		return verdict_continue();
	opening.directory = (int)call->args[0];
	opening.flags = how.flags;
	return path_answer(gate, call, call->args[1], &opening);
}
