/* Lines of a file of /proc, without malloc. */
#ifndef SL_SUPERVISE_LINES_H
#define SL_SUPERVISE_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LINES_ROOM = 8192 };
struct lines {
	int fd; /* borrowed */
	size_t at, end;
	bool cut; /* the rest of this line is not to be seen */
	char text[LINES_ROOM + 1];
};

void lines_begin(struct lines *lines, int fd);
/* The next line without its newline, good until the next call; cut where it is longer than the room. NULL at the end. */
char *lines_next(struct lines *lines);

/* A whole file into `text`, as far as there is room, and a NUL. Its size or -errno. */
long file_text(int directory, const char *path, char *text, size_t room);
/* The number behind `key`; 0 where there is none. A key begins with "\n" where it is not to be found in a value. */
uint64_t text_number(const char *text, const char *key);

#endif
