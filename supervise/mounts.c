/* mounts.h says what for. */
#include "supervise/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "core/fd.h"

/* Blanks and their kin are written in octal. */
static int field_copy(char *to, size_t room, const char *field)
{
	size_t used = 0;

	for (; *field != ' ' && *field != '\0'; field++) {
		char byte = *field;

		if (byte == '\\' && field[1] >= '0' && field[1] <= '3' && field[2] != '\0' &&
		    field[3] != '\0') {
			byte = (char)((field[1] - '0') << 6 | (field[2] - '0') << 3 | (field[3] - '0'));
			field += 3;
		}
		if (used + 1 >= room)
			return -ENAMETOOLONG;
		to[used++] = byte;
	}
	to[used] = '\0';
	return 0;
}

bool mount_parse(const char *line, const char *type, struct mount *mount)
{
	const char *behind = strstr(line, " - "), *at = line;
	size_t size = strlen(type);

	if (behind == NULL || strncmp(behind + 3, type, size) != 0 || behind[3 + size] != ' ')
		return false;
	for (int field = 0; field < 3 && at != NULL; field++)
		at = (at = strchr(at, ' ')) == NULL ? NULL : at + 1;
	if (at == NULL || field_copy(mount->root, sizeof(mount->root), at) < 0)
		return false;
	at = strchr(at, ' ');
	return at != NULL && field_copy(mount->point, sizeof(mount->point), at + 1) == 0;
}

int mounts_each(const char *type, struct mounts *room, mount_fn each, void *context)
{
	cleanup_fd int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	const char *line;
	int r = 0;

	if (fd < 0)
		return -errno;
	lines_begin(&room->lines, fd);
	while (r == 0 && (line = lines_next(&room->lines)) != NULL)
		if (mount_parse(line, type, &room->mount))
			r = each(&room->mount, context);
	return r;
}

bool path_is_below(const char *path, const char *directory)
{
	size_t size = strlen(directory);

	while (size > 0 && directory[size - 1] == '/')
		size--;
	return strncmp(path, directory, size) == 0 && (path[size] == '/' || path[size] == '\0');
}
