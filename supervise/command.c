/* Finding and executing a command: execvp(3) in two halves. */
#include "supervise/command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/environment.h"
#include "core/error.h"
#include "core/fd.h"
#include "supervise/supervise.h"

enum { ARGUMENTS_MAX = 1024 };

static int path_check(int directory, const char *path)
{
	struct stat status;

	if (fstatat(directory, path, &status, 0) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode))
		return -EACCES;
	return faccessat(directory, path, X_OK, 0) < 0 ? -errno : 0;
}

/* The first hit wins; a hit that may not be executed is remembered, as the shell does. */
static int path_search(struct command *command, int directory, const char *name, const char *directories)
{
	int found = -ENOENT;

	while (directories != NULL) {
		const char *end = strchrnul(directories, ':');
		int size =
			snprintf(command->path, sizeof(command->path), "%.*s%s%s", (int)(end - directories),
		                 directories, end == directories ? "" : "/", name);
		int r = size < (int)sizeof(command->path) ? path_check(directory, command->path)
		                                          : -ENAMETOOLONG;

		if (r == 0)
			return 0;
		if (r == -EACCES)
			found = r;
		directories = *end == '\0' ? NULL : end + 1;
	}
	return found;
}

static int name_find(struct command *command, int directory, const char *name)
{
	const char *directories = environment_get(command->environment, "PATH");

	if (*name == '\0')
		return -ENOENT;
	if (strchr(name, '/') == NULL)
		return path_search(command, directory, name,
		                   directories == NULL ? "/bin:/usr/bin" : directories);
	if (strlen(name) >= sizeof(command->path))
		return -ENAMETOOLONG;
	strcpy(command->path, name);
	return path_check(directory, name);
}

int command_find(struct command *command, const sl_policy *policy, char *const argv[])
{
	const char *cwd = policy_has(policy, OPTION_CWD) ? policy_scalar(policy, OPTION_CWD) : ".";
	cleanup_fd int directory = open(cwd, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r;

	*command = (struct command){.argv = argv};
	if ((r = environment_build(policy, environ, &command->environment)) < 0)
		return r;
	if (directory >= 0)
		r = name_find(command, directory, argv[0]);
	else if (!policy_has(policy, OPTION_CWD))
		r = name_find(command, AT_FDCWD, argv[0]);
	if (r < 0)
		command_clear(command);
	return r;
}

void command_clear(struct command *command)
{
	free(command->environment);
	command->environment = NULL;
}

static int shell_exec(const struct command *command)
{
	char *shell[ARGUMENTS_MAX + 2] = {"/bin/sh", (char *)command->path};

	for (int i = 1; command->argv[i] != NULL; i++) {
		if (i + 1 > ARGUMENTS_MAX)
			return -E2BIG;
		shell[i + 1] = command->argv[i];
	}
	execve(shell[0], shell, command->environment);
	return -errno;
}

int command_exec(const struct command *command)
{
	execve(command->path, command->argv, command->environment);
	return errno == ENOEXEC ? shell_exec(command) : -errno;
}

int start_failure(int code, const char *step, const char *path, sl_error *error)
{
	if (strcmp(step, "exec") == 0)
		return exec_failure(code, path, error);
	/* It has the holder's pid in it, and "File exists" would explain nothing. */
	if (code == -EEXIST)
		return error_set(error, code, "%s", step);
	return error_errno(error, code, "%s", step);
}

int exec_failure(int code, const char *path, sl_error *error)
{
	if (code == -EACCES)
		return error_set(
			error, code,
			"%.100s cannot be executed: permission denied. Nothing may be read or executed but what "
			"is granted: --fs-system grants what programs need, -r PATH more",
			path);
	return error_errno(error, code, "%.180s", path);
}

int start_status(int code, const char *step)
{
	if (strcmp(step, "exec") != 0)
		return EXIT_SLUICE;
	return code == -ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
}
