/* Following a path as the kernel would for the target: from its root, from its directory, a component at a time.
 *
 * One openat(2) a component, O_PATH | O_NOFOLLOW, so that nothing is followed but by this file: a symbolic link is read
 * from the descriptor of the link itself, and the directory an object was found in stays known. openat2(2) would
 * take fewer calls, but its flags are in memory, where the supervisor's own filter cannot see them.
 *
 * Links of /proc lead where their text does not say, and /proc/self is whoever reads it. Those that people use to
 * name a socket are taken from the target itself: /proc/self/fd/N, cwd and root. All others are refused.
 *
 * Not as the kernel does it: fs.protected_symlinks is not applied, since a link chooses nothing here (the object is
 * decided on); an automount point is not mounted, so that nobody's server is waited for. A network file system or FUSE that
 * is mounted already can make a lookup wait; a target cannot mount one.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "core/fd.h"
#include "supervise/unix.h"

enum {
	LINKS_MAX = 40, /* path_resolution(7): "Maximum number of symbolic links" */
	TEXT_MAX = 2 * PATH_MAX,
	STEPS_MAX = 512, /* forty links of 4096 bytes each would keep the loop busy for a long time */
};

struct walk {
	struct gate *gate;
	const struct call *call;
	int at, parent;
	bool top_known;
	struct object top; /* the target's root */
	bool ends_at_link; /* O_NOFOLLOW: a link at the end is -ELOOP */
	unsigned links, steps;
	char *rest; /* what is left to follow: the end of `text`, where links are put in front */
	char text[TEXT_MAX];
};

void place_clear(struct place *place)
{
	fd_close(&place->fd);
	fd_close(&place->parent);
}

static void walk_clear(struct walk *walk)
{
	fd_close(&walk->at);
	fd_close(&walk->parent);
}

static void walk_stand(struct walk *walk, int at, int parent)
{
	fd_close(&walk->at);
	fd_close(&walk->parent);
	walk->at = at;
	walk->parent = parent;
}

static int text_prepend(struct walk *walk, const char *text, size_t size)
{
	if ((size_t)(walk->rest - walk->text) < size + 1)
		return -ENAMETOOLONG;
	/* What is left begins with a slash or is empty. */
	walk->rest -= size;
	memcpy(walk->rest, text, size);
	return 0;
}

/* What a descriptor of the target's names: a directory, or a socket's file that it holds with O_PATH. Nothing else
 * leads to a socket that could be connected to (-ECONNREFUSED), and nothing else is kept: closing it might wait. */
static int own_descriptor(struct walk *walk, int number)
{
	cleanup_target int fd = target_socket(walk->gate, walk->call, number);
	struct object object;
	int directory, r;

	if (fd < 0)
		return fd == -EBADF ? -ENOENT : fd;
	if (notify_valid(walk->gate->listener, walk->call->id) < 0)
		return -ESTALE;
	if ((r = object_at(fd, "", &object)) < 0)
		return r;
	if (S_ISSOCK(object.mode) && (fcntl(fd, F_GETFL) & O_PATH))
		return fd_steal(&fd);
	if (!S_ISDIR(object.mode))
		return -ECONNREFUSED;
	directory = openat(fd, ".", O_PATH | O_CLOEXEC);
	return directory < 0 ? -errno : directory;
}

static const char *text_after(const char *text, const char *prefix)
{
	size_t size = strlen(prefix);

	if (strncmp(text, prefix, size) != 0)
		return NULL;
	return text[size] == '/' || text[size] == '\0' ? text + size : NULL;
}

/* "fd/N", "cwd" or "root" of the target itself: where it leads, and *after it. -ENOENT: neither. */
static int own_link_open(struct walk *walk, const char *link, const char **after)
{
	char *end;
	long number;

	if ((*after = text_after(link, "cwd")) != NULL)
		return target_link(walk->gate, walk->call, "cwd");
	if ((*after = text_after(link, "root")) != NULL)
		return target_link(walk->gate, walk->call, "root");
	if (strncmp(link, "fd/", 3) != 0 || link[3] < '0' || link[3] > '9')
		return -ENOENT;
	number = strtol(link + 3, &end, 10);
	*after = end;
	if (number > INT_MAX || (*end != '/' && *end != '\0'))
		return -ENOENT;
	return own_descriptor(walk, (int)number);
}

/* At the root, in front of /proc/self/...? Then go there at once: 1, 0, or -errno. */
static int own_link_follow(struct walk *walk)
{
	static const char *const names[] = {"/proc/self", "/proc/thread-self"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *link = text_after(walk->rest, names[i]), *after;
		int fd;

		if (link == NULL || *link == '\0')
			continue;
		if ((fd = own_link_open(walk, link + 1, &after)) == -ENOENT && after == NULL)
			return 0;
		if (fd == -ECONNREFUSED && *after != '\0')
			return -ENOTDIR;
		if (fd < 0)
			return fd;
		walk_stand(walk, fd, -1);
		walk->rest += after - walk->rest;
		return 1;
	}
	return 0;
}

static int root_enter(struct walk *walk)
{
	int root, r = own_link_follow(walk);

	if (r != 0)
		return r < 0 ? r : 0;
	if ((root = target_link(walk->gate, walk->call, "root")) < 0)
		return root;
	walk_stand(walk, root, -1);
	if (walk->top_known)
		return 0;
	walk->top_known = true;
	return object_at(root, "", &walk->top);
}

static int link_follow(struct walk *walk, int link)
{
	char text[PATH_MAX];
	struct statfs system;
	ssize_t size;
	int r;

	if (++walk->links > LINKS_MAX)
		return -ELOOP;
	if (fstatfs(link, &system) < 0)
		return -errno;
	if (system.f_type == PROC_SUPER_MAGIC)
		return -EACCES;
	if ((size = readlinkat(link, "", text, sizeof(text))) < 0)
		return -errno;
	if (size == 0 || size == sizeof(text))
		return size == 0 ? -ENOENT : -ENAMETOOLONG;
	if ((r = text_prepend(walk, text, (size_t)size)) < 0)
		return r;
	return text[0] == '/' ? root_enter(walk) : 0;
}

static int top_find(struct walk *walk)
{
	cleanup_fd int root = -1;

	if (walk->top_known)
		return 0;
	if ((root = target_link(walk->gate, walk->call, "root")) < 0)
		return root;
	walk->top_known = true;
	return object_at(root, "", &walk->top);
}

/* ".." of the root is the root: what is above a changed root is not the target's to name. 1, 0, or -errno. */
static int is_top(struct walk *walk)
{
	struct object here;
	int r;

	if ((r = top_find(walk)) < 0 || (r = object_at(walk->at, "", &here)) < 0)
		return r;
	return object_is(&here, &walk->top) && here.mount == walk->top.mount;
}

static int component_open(struct walk *walk, const char *name)
{
	int fd, stay = strcmp(name, "..") == 0 ? is_top(walk) : 0;

	if (stay < 0)
		return stay;
	fd = openat(walk->at, stay ? "." : name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* The next name is cut off; how many slashes came behind it says whether a directory is wanted. */
static int component_take(struct walk *walk, char name[NAME_MAX + 1], bool *directory)
{
	size_t size;

	walk->rest += strspn(walk->rest, "/");
	size = strcspn(walk->rest, "/");
	if (size > NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(name, walk->rest, size);
	name[size] = '\0';
	walk->rest += size;
	*directory = *walk->rest == '/';
	return 0;
}

static int walk_step(struct walk *walk)
{
	char name[NAME_MAX + 1];
	struct object found;
	cleanup_fd int next = -1;
	bool directory;
	int r;

	if (++walk->steps > STEPS_MAX)
		return -ENAMETOOLONG;
	if ((r = component_take(walk, name, &directory)) < 0)
		return r;
	if (name[0] == '\0')
		return 0;
	if ((next = component_open(walk, name)) < 0)
		return next;
	if ((r = object_at(next, "", &found)) < 0)
		return r;
	if (S_ISLNK(found.mode) && walk->ends_at_link && *walk->rest == '\0')
		return -ELOOP;
	if (S_ISLNK(found.mode))
		return link_follow(walk, next);
	if (directory && !S_ISDIR(found.mode))
		return -ENOTDIR;
	fd_close(&walk->parent);
	walk->parent = walk->at;
	walk->at = fd_steal(&next);
	return 0;
}

/* Where a relative path begins: the directory that the target's number means, or AT_FDCWD. */
static int walk_base(struct walk *walk, int directory)
{
	walk->at = directory == AT_FDCWD ? target_link(walk->gate, walk->call, "cwd")
	                                 : own_descriptor(walk, directory);
	return walk->at < 0 ? walk->at : 0;
}

static int walk_start(struct walk *walk, int directory, const char *path)
{
	size_t size = strlen(path);
	int r;

	if (size == 0)
		return -ENOENT;
	walk->rest = walk->text + sizeof(walk->text) - 1;
	*walk->rest = '\0';
	if ((r = text_prepend(walk, path, size)) < 0)
		return r;
	if (path[0] == '/')
		return root_enter(walk);
	return walk_base(walk, directory);
}

int path_walk(struct gate *gate, const struct call *call, int directory, const char *path, int flags,
              struct place *place)
{
	struct walk walk __attribute__((cleanup(walk_clear)));
	int r;

	*place = (struct place){-1, -1};
	walk.gate = gate;
	walk.call = call;
	walk.at = walk.parent = -1;
	walk.top_known = false;
	walk.ends_at_link = flags & O_NOFOLLOW;
	walk.links = walk.steps = 0;
	r = walk_start(&walk, directory, path);
	while (r == 0 && *walk.rest != '\0')
		r = walk_step(&walk);
	if (r < 0)
		return r;
	place->fd = fd_steal(&walk.at);
	place->parent = fd_steal(&walk.parent);
	return 0;
}

int unix_walk(struct gate *gate, const struct call *call, const char *path, struct place *place)
{
	return path_walk(gate, call, AT_FDCWD, path, 0, place);
}
