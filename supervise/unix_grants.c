/* net-allow-unix as objects: each path is followed once, before the walls go up, and held.
 *
 * A directory is granted as the object that it was then. A socket is granted as a name in a directory that is held:
 * a service that is restarted makes a new socket under the same name. No other part of the path is looked at again.
 * Who may write that directory decides what the name means; a grant of a socket is as good as its directory.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "confine/confine.h"
#include "core/error.h"
#include "core/fd.h"
#include "core/unix_need.h"
#include "supervise/unix.h"

static const char key[] = "net-allow-unix";

/* Where a descriptor's object is: directory and name, as the kernel shows them. The directory is opened again, and it
 * counts only if the name in it is that object. */
static int grant_locate(int fd, const struct object *object, struct unix_grant *grant)
{
	char link[32], path[PATH_MAX], *slash;
	cleanup_fd int directory = -1;
	struct object found;
	ssize_t size;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if ((size = readlink(link, path, sizeof(path) - 1)) < 0)
		return -errno;
	path[size] = '\0';
	if ((slash = strrchr(path, '/')) == NULL || strlen(slash + 1) > NAME_MAX)
		return -ENAMETOOLONG;
	strcpy(grant->name, slash + 1);
	*slash = '\0';
	directory = open(slash == path ? "/" : path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0)
		return -errno;
	if (object_at(directory, grant->name, &found) < 0 || !object_is(&found, object))
		return -ESTALE;
	grant->directory = fd_steal(&directory);
	return 0;
}

/* Nothing is there yet: a service that is started later may make it. */
static int grant_reserve(const struct plan *plan, const char *path, struct unix_grant *grant, sl_error *error)
{
	const char *last = strrchr(path, '/'), *name = last == NULL ? path : last + 1;
	char parent[PATH_MAX] = ".";
	struct object dangling;
	int r;

	if ((size_t)(name - path) >= sizeof(parent))
		return error_errno(error, -ENAMETOOLONG, "%s: %.160s", key, path);
	if (*name == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strlen(name) > NAME_MAX)
		return error_errno(error, -ENOENT, "%s: %.160s", key, path);
	if (last != NULL) {
		memcpy(parent, path, (size_t)(name - path)); /* with its slash: of "/name" it is all */
		parent[name - path] = '\0';
	}
	if ((r = grant_open(plan, parent)) < 0)
		return error_wrap(error, grant_error(path, r, error), "%s", key);
	grant->directory = r;
	if (object_at(r, name, &dangling) == 0)
		return error_set(error, -ELOOP,
		                 "%s: %.140s is a symbolic link to nothing; name the place it leads to", key,
		                 path);
	strcpy(grant->name, name);
	return 0;
}

/* /proc/net/unix tells the type, and by which name each socket was bound: is one of them this object? */
static bool line_is_datagram(char *line, const struct object *object)
{
	struct object bound;
	char *path = NULL;
	unsigned type;

	if (sscanf(line, "%*s %*s %*s %*s %x %*s %*s %ms", &type, &path) == 2 && type == SOCK_DGRAM) {
		bool same =
			*path == '/' && object_at(AT_FDCWD, path, &bound) == 0 && object_is(&bound, object);

		free(path);
		return same;
	}
	free(path);
	return false;
}

static bool is_datagram_socket(const struct object *object)
{
	FILE *sockets = S_ISSOCK(object->mode) ? fopen("/proc/net/unix", "re") : NULL;
	cleanup_free char *line = NULL;
	bool found = false;
	size_t room = 0;

	while (sockets != NULL && !found && getline(&line, &room, sockets) > 0)
		found = line_is_datagram(line, object);
	if (sockets != NULL)
		fclose(sockets);
	return found;
}

static int grant_path(const struct unix_rule *rule, const struct plan *plan, struct unix_grant *grant,
                      sl_error *error)
{
	cleanup_fd int fd = grant_open(plan, rule->name);
	struct object object;
	int r;

	if (fd == -ENOENT)
		return grant_reserve(plan, rule->name, grant, error);
	if (fd < 0)
		return error_wrap(error, grant_error(rule->name, fd, error), "%s", key);
	if ((r = object_at(fd, "", &object)) < 0)
		return error_errno(error, r, "%s: %.160s", key, rule->name);
	if (!rule->datagrams && is_datagram_socket(&object))
		return error_set(error, -EINVAL,
		                 "%s: %.100s is a datagram socket; write dgram:%.100s to grant those", key,
		                 rule->name, rule->name);
	if (S_ISDIR(object.mode))
		grant->directory = fd_steal(&fd);
	else if ((r = grant_locate(fd, &object, grant)) < 0)
		return error_errno(error, r, "%s: %.160s", key, rule->name);
	return 0;
}

/* Above 2, where a supervisor puts its own: an app may run without stdio. */
static int grant_settle(struct unix_grant *grant)
{
	int raised = fcntl(grant->directory, F_DUPFD_CLOEXEC, 3);

	close(grant->directory);
	grant->directory = raised;
	return raised < 0 ? -errno : object_at(raised, "", &grant->object);
}

static int grant_add(struct unix_grants *grants, const char *value, const struct plan *plan, sl_error *error)
{
	struct unix_grant *grant = &grants->items[grants->count];
	struct unix_rule rule;
	int r = unix_rule_parse(key, value, &rule, error);

	if (r < 0 || rule.any) {
		grants->any |= r == 0;
		return r;
	}
	if (grants->count == UNIX_GRANTS_MAX)
		return error_set(error, -E2BIG, "%s: more than %d values; grant a directory", key,
		                 UNIX_GRANTS_MAX);
	*grant = (struct unix_grant){.directory = -1, .datagrams = rule.datagrams};
	grants->count++;
	if (rule.abstract) {
		strcpy(grant->name, rule.name);
		return 0;
	}
	if ((r = grant_path(&rule, plan, grant, error)) < 0)
		return r;
	r = grant_settle(grant);
	return r < 0 ? error_errno(error, r, "%s: %.160s", key, value) : 0;
}

int unix_grants_open(const struct value_list *values, const struct plan *plan, struct unix_grants **grants,
                     sl_error *error)
{
	int r = 0;

	if ((*grants = calloc(1, sizeof(**grants))) == NULL)
		return error_errno(error, -ENOMEM, "%s", key);
	for (size_t i = 0; r == 0 && i < values->count; i++)
		r = grant_add(*grants, values->items[i], plan, error);
	if (r < 0) {
		unix_grants_free(*grants);
		*grants = NULL;
	}
	return r;
}

void unix_grants_free(struct unix_grants *grants)
{
	for (size_t i = 0; grants != NULL && i < grants->count; i++)
		fd_close(&grants->items[i].directory);
	free(grants);
}

size_t unix_grants_fds(const struct unix_grants *grants, int *fds)
{
	size_t count = 0;

	for (size_t i = 0; grants != NULL && i < grants->count; i++)
		if (grants->items[i].directory >= 0)
			fds[count++] = grants->items[i].directory;
	return count;
}

static bool grant_has_type(const struct unix_grant *grant, int type)
{
	return type != SOCK_DGRAM || grant->datagrams;
}

bool unix_grants_abstract(const struct unix_grants *grants, int type, const char *name, size_t size)
{
	for (size_t i = 0; i < grants->count; i++) {
		const struct unix_grant *grant = &grants->items[i];

		if (grant->directory < 0 && grant_has_type(grant, type) && strlen(grant->name) == size &&
		    memcmp(grant->name, name, size) == 0)
			return true;
	}
	return false;
}

static bool granted_as_file(const struct unix_grants *grants, int type, const struct object *object)
{
	for (size_t i = 0; i < grants->count; i++) {
		const struct unix_grant *grant = &grants->items[i];
		struct object now;

		if (grant->directory >= 0 && grant->name[0] != '\0' && grant_has_type(grant, type) &&
		    object_at(grant->directory, grant->name, &now) == 0 && object_is(&now, object))
			return true;
	}
	return false;
}

struct wanted_directory {
	const struct unix_grants *grants;
	int type;
};

static bool granted_as_directory(const struct object *directory, const void *context)
{
	const struct wanted_directory *wanted = context;

	for (size_t i = 0; i < wanted->grants->count; i++) {
		const struct unix_grant *grant = &wanted->grants->items[i];

		if (grant->directory >= 0 && grant->name[0] == '\0' && grant_has_type(grant, wanted->type) &&
		    object_is(&grant->object, directory))
			return true;
	}
	return false;
}

/* Up from where the object was found. Directories may be moved meanwhile; but to get a granted one above this one
 * somebody must be able to write below the granted one, and whatever is there is granted. */
static bool granted_from_above(const struct unix_grants *grants, int type, int parent)
{
	struct wanted_directory wanted = {grants, type};

	return object_climb(parent, granted_as_directory, &wanted) > 0;
}

bool unix_grants_path(const struct unix_grants *grants, int type, const struct object *object, int parent)
{
	return grants->any || granted_as_file(grants, type, object) ||
	       (parent >= 0 && granted_from_above(grants, type, parent));
}
