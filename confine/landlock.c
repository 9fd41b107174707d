/* The Landlock ruleset: landlock(7). Paths are opened once, and their kind is asked of the same descriptor
 * that the rule is made of. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "confine/confine.h"
#include "core/error.h"
#include "core/fd.h"

/* Is `path` written as something below `directory`? Then what follows, else NULL. */
static const char *path_below(const char *path, const char *directory)
{
	size_t size = strlen(directory);

	while (size > 0 && directory[size - 1] == '/')
		size--;
	if (strncmp(path, directory, size) != 0 || path[size] != '/')
		return NULL;
	path += size + strspn(path + size, "/");
	return *path == '\0' ? NULL : path;
}

static const char *path_below_writable(const struct plan *plan, const char *path, const char **directory)
{
	for (size_t i = 0; i < plan->grant_count; i++) {
		const char *rest = path_below(path, plan->grants[i].path);

		*directory = plan->grants[i].path;
		if (plan->grants[i].access == FS_WRITE_ACCESS && rest != NULL)
			return rest;
	}
	return NULL;
}

/* Below a directory that may be written, a symbolic link may be the work of an earlier run in the same sandbox: it
 * must not choose what this one is granted. */
static int grant_open(const struct plan *plan, const struct path_grant *grant)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH};
	const char *directory, *rest = path_below_writable(plan, grant->path, &directory);
	cleanup_fd int from = -1;
	int path;

	if (rest == NULL) {
		path = open(grant->path, O_PATH | O_CLOEXEC);
		return path < 0 ? -errno : path;
	}
	if ((from = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
		return -errno;
	path = (int)syscall(SYS_openat2, from, rest, &how, sizeof(how));
	return path < 0 ? -errno : path;
}

static int grant_error(const struct path_grant *grant, int code, sl_error *error)
{
	if (code == -ELOOP || code == -EXDEV)
		return error_set(
			error, code,
			"%.120s: a symbolic link or \"..\" in it lies below an fs-write directory, where an "
			"earlier run may have put it; name the place it leads to",
			grant->path);
	return error_errno(error, code, "%.180s", grant->path);
}

static int rule_add_path(int ruleset, const struct plan *plan, const struct path_grant *grant,
                         sl_error *error)
{
	int opened = grant_open(plan, grant);
	cleanup_fd int path = opened;
	struct landlock_path_beneath_attr rule = {.allowed_access = grant->access, .parent_fd = path};
	struct stat status;

	if (grant->if_exists && (opened == -ENOENT || opened == -ENOTDIR || opened == -EACCES))
		return 0;
	if (opened < 0)
		return grant_error(grant, opened, error);
	if (fstat(path, &status) < 0)
		return error_errno(error, -errno, "%.180s", grant->path);
	if (!S_ISDIR(status.st_mode))
		rule.allowed_access &= FS_FILE_ACCESS;
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
		return error_errno(error, -errno, "landlock rule for %.180s", grant->path);
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
