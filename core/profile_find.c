/* Where profiles are looked for. SL_PROFILES_DIR is the Makefile's: PREFIX/share/sluice/profiles. */
#include "core/profile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/error.h"

static void dir_set(char path[static PATH_MAX], const char *above, const char *below)
{
	if (snprintf(path, PATH_MAX, "%s%s", above, below) >= PATH_MAX)
		path[0] = '\0';
}

/* A set-user-id program does not let its caller say what is confined: secure_getenv(3). A relative directory is not
 * to be taken, says the XDG Base Directory Specification. */
static void user_dir_set(char path[static PATH_MAX])
{
	const char *config = secure_getenv("XDG_CONFIG_HOME"), *home = secure_getenv("HOME");

	path[0] = '\0';
	if (config != NULL && config[0] == '/')
		dir_set(path, config, "/sluice/profiles");
	else if (home != NULL && home[0] == '/')
		dir_set(path, home, "/.config/sluice/profiles");
}

void profile_dirs_get(struct profile_dirs *dirs)
{
	user_dir_set(dirs->paths[0]);
	dir_set(dirs->paths[1], "/etc/sluice/profiles", "");
	dir_set(dirs->paths[2], SL_PROFILES_DIR, "");
}

bool profile_name_valid(const char *name)
{
	size_t size = strlen(name);

	if (size == 0 || size > PROFILE_NAME_MAX || name[0] == '.')
		return false;
	for (; *name != '\0'; name++)
		if ((unsigned char)*name < 0x20 || *name == 0x7f || *name == '/')
			return false;
	return true;
}

/* A name that is there and may not be read is not looked for further on: what hides it would be the wrong one. */
int profile_find(const struct profile_dirs *dirs, const char *name, char path[static PATH_MAX],
                 sl_error *error)
{
	if (!profile_name_valid(name))
		return error_set(
			error, -EINVAL,
			"\"%.80s\" is no profile name; expected 1 to %d bytes, no slash, no control byte, no dot in front",
			name, PROFILE_NAME_MAX);
	for (size_t i = 0; i < PROFILE_DIRS; i++) {
		const char *dir = dirs->paths[i];

		if (dir[0] == '\0' || snprintf(path, PATH_MAX, "%s/%s.yaml", dir, name) >= PATH_MAX)
			continue;
		if (faccessat(AT_FDCWD, path, F_OK, AT_EACCESS) == 0)
			return 0;
		if (errno != ENOENT && errno != ENOTDIR)
			return error_errno(error, -errno, "%s", path);
	}
	return error_set(error, -ENOENT, "no profile \"%s\" in %s%s%s, %s", name, dirs->paths[0],
	                 dirs->paths[0][0] == '\0' ? "" : ", ", dirs->paths[1], dirs->paths[2]);
}
