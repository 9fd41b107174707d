/* The Landlock ruleset: landlock(7). Paths are opened once. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "confine/confine.h"
#include "confine/object.h"
#include "core/error.h"
#include "core/fd.h"

static bool grants_write(const struct object *directory, const void *context)
{
	const struct plan *plan = context;
	struct object granted;

	for (size_t i = 0; i < plan->grant_count; i++)
		if (plan->grants[i].access == FS_WRITE_ACCESS &&
		    object_of(plan->grants[i].path, &granted) == 0 && object_is(&granted, directory))
			return true;
	return false;
}

/* The directory in front of `rest`, which is the end of `path`. */
static int directory_open(const char *path, const char *rest)
{
	char directory[PATH_MAX];
	size_t size = (size_t)(rest - path);
	int fd;

	if (size >= sizeof(directory))
		return -ENAMETOOLONG;
	memcpy(directory, path, size);
	directory[size] = '\0';
	fd = open(size == 0 ? "." : directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Behind "/", or behind the dots that lead up from here: none of these is a link. */
static const char *names_begin(const char *path)
{
	while (path[0] == '/' || (path[0] == '.' && (path[1] == '/' || path[1] == '\0')) ||
	       (path[0] == '.' && path[1] == '.' && (path[2] == '/' || path[2] == '\0')))
		path++;
	return path;
}

/* The first directory of `path` that lies at or below one that may be written, and *rest of the path. -ENOENT: none. */
static int writable_open(const struct plan *plan, const char *path, const char **rest)
{
	const char *at = names_begin(path);

	for (; *at != '\0'; at += strcspn(at, "/"), at += strspn(at, "/")) {
		cleanup_fd int directory = directory_open(path, at);
		int r = directory < 0 ? directory : object_climb(directory, grants_write, plan);

		*rest = at;
		if (r != 0)
			return r < 0 ? r : fd_steal(&directory);
	}
	return -ENOENT;
}

static bool plan_writes(const struct plan *plan)
{
	for (size_t i = 0; i < plan->grant_count; i++)
		if (plan->grants[i].access == FS_WRITE_ACCESS)
			return true;
	return false;
}

/* Below a directory that may be written, a symbolic link may be the work of an earlier run in the same sandbox: it
 * must not choose what this one is granted. Asked of the directories themselves, since each can be spelled in many
 * ways. */
int grant_open(const struct plan *plan, const char *name)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH};
	cleanup_fd int from = -1;
	const char *rest;
	int path;

	if (plan_writes(plan) && (from = writable_open(plan, name, &rest)) < 0 && from != -ENOENT)
		return from;
	path = from < 0 ? open(name, O_PATH | O_CLOEXEC)
	                : (int)syscall(SYS_openat2, from, rest, &how, sizeof(how));
	return path < 0 ? -errno : path;
}

int grant_error(const char *name, int code, sl_error *error)
{
	if (code == -ELOOP || code == -EXDEV)
		return error_set(
			error, code,
			"%.120s: a symbolic link or \"..\" in it lies below an fs-write directory, where an "
			"earlier run may have put it; name the place it leads to",
			name);
	return error_errno(error, code, "%.180s", name);
}

/* EINVAL: no directory, and what is only for directories was asked for. Two calls for a file, and one for most. */
static int rule_add(int ruleset, struct landlock_path_beneath_attr *rule)
{
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, rule, 0) == 0)
		return 0;
	if (errno != EINVAL || (rule->allowed_access & ~FS_FILE_ACCESS) == 0)
		return -errno;
	rule->allowed_access &= FS_FILE_ACCESS;
	return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, rule, 0) < 0 ? -errno : 0;
}

static int rule_add_path(int ruleset, const struct plan *plan, const struct path_grant *grant,
                         sl_error *error)
{
	int opened = grant_open(plan, grant->path);
	cleanup_fd int path = opened;
	struct landlock_path_beneath_attr rule = {.allowed_access = grant->access & plan->handled_fs,
	                                          .parent_fd = path};
	int r;

	if (grant->if_exists && (opened == -ENOENT || opened == -ENOTDIR || opened == -EACCES))
		return 0;
	if (opened < 0)
		return grant_error(grant->path, opened, error);
	if ((r = rule_add(ruleset, &rule)) < 0)
		return error_errno(error, r, "landlock rule for %.180s", grant->path);
	return 0;
}

static int rules_add_ports(int ruleset, const struct port_set *ports, uint64_t access, sl_error *error)
{
	for (size_t i = 0; i < ports->count; i++) {
		for (unsigned port = ports->ranges[i].low; port <= ports->ranges[i].high; port++) {
			struct landlock_net_port rule = {.allowed_access = access, .port = port};

			if (syscall(SYS_landlock_add_rule, ruleset, SL_LANDLOCK_RULE_NET_PORT, &rule, 0) < 0)
				return error_errno(error, -errno, "landlock rule for port %u", port);
		}
	}
	return 0;
}

int ruleset_create(const struct plan *plan, sl_error *error)
{
	struct landlock_ruleset_attr_6 attr = {
		.handled_access_fs = plan->handled_fs,
		.handled_access_net = plan->handled_net,
		.scoped = plan->scoped,
	};
	cleanup_fd int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	int r;

	if (ruleset < 0)
		return error_errno(error, -errno, "landlock_create_ruleset");
	for (size_t i = 0; i < plan->grant_count; i++)
		if ((r = rule_add_path(ruleset, plan, &plan->grants[i], error)) < 0)
			return r;
	if ((r = rules_add_ports(ruleset, &plan->connect_ports, LANDLOCK_ACCESS_NET_CONNECT_TCP, error)) <
	            0 ||
	    (r = rules_add_ports(ruleset, &plan->bind_ports, LANDLOCK_ACCESS_NET_BIND_TCP, error)) < 0)
		return r;
	return fd_steal(&ruleset);
}
