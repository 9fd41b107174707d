/* lines.h says what for. */
#include "supervise/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "core/fd.h"

void lines_begin(struct lines *lines, int fd)
{
	lines->fd = fd;
	lines->at = lines->end = 0;
	lines->cut = false;
}

static bool lines_fill(struct lines *lines)
{
	ssize_t size;

	memmove(lines->text, lines->text + lines->at, lines->end - lines->at);
	lines->end -= lines->at;
	lines->at = 0;
	size = read(lines->fd, lines->text + lines->end, LINES_ROOM - lines->end);
	if (size > 0)
		lines->end += (size_t)size;
	return size > 0;
}

char *lines_next(struct lines *lines)
{
	for (;;) {
		char *line = lines->text + lines->at;
		char *end = memchr(line, '\n', lines->end - lines->at);
		bool cut = lines->cut;

		if (end != NULL) {
			*end = '\0';
			lines->at = (size_t)(end - lines->text) + 1;
			lines->cut = false;
			if (!cut)
				return line;
			continue;
		}
		if (lines->end - lines->at == LINES_ROOM || (cut && lines->end > lines->at)) {
			line[lines->end - lines->at] = '\0';
			lines->at = lines->end;
			lines->cut = true;
			if (!cut)
				return line;
			continue;
		}
		if (!lines_fill(lines))
			return NULL;
	}
}

long file_text(int directory, const char *path, char *text, size_t room)
{
	cleanup_fd int fd = openat(directory, path, O_RDONLY | O_CLOEXEC);
	size_t used = 0;
	ssize_t size = 1;

	text[0] = '\0';
	if (fd < 0)
		return -errno;
	while (used < room - 1 && (size = read(fd, text + used, room - 1 - used)) > 0)
		used += (size_t)size;
	text[used] = '\0';
	return size < 0 ? -errno : (long)used;
}

uint64_t text_number(const char *text, const char *key)
{
	const char *at = strstr(text, key);

	return at == NULL ? 0 : strtoull(at + strlen(key), NULL, 10);
}
