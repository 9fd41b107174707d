/* The Landlock ruleset: landlock(7). Paths are opened once, and their kind is asked of the same descriptor
 * that the rule is made of. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "confine/confine.h"
#include "core/error.h"
#include "core/fd.h"

static int rule_add_path(int ruleset, const struct path_grant *grant, sl_error *error)
{
	cleanup_fd int path = open(grant->path, O_PATH | O_CLOEXEC);
	struct landlock_path_beneath_attr rule = {.allowed_access = grant->access, .parent_fd = path};
	struct stat status;

	if (path < 0 && grant->if_exists && (errno == ENOENT || errno == ENOTDIR || errno == EACCES))
		return 0;
	if (path < 0 || fstat(path, &status) < 0)
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
		if ((r = rule_add_path(ruleset, &plan->grants[i], error)) < 0)
			return r;
	if ((r = rules_add_ports(ruleset, &plan->connect_ports, LANDLOCK_ACCESS_NET_CONNECT_TCP, error)) <
	            0 ||
	    (r = rules_add_ports(ruleset, &plan->bind_ports, LANDLOCK_ACCESS_NET_BIND_TCP, error)) < 0)
		return r;
	return fd_steal(&ruleset);
}
