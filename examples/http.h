/* HTTP as text: what a request says and what an answer is called. No sockets and no files, so a test can
 * call all of it. RFC 9110, RFC 9112. */
#ifndef EXAMPLES_HTTP_H
#define EXAMPLES_HTTP_H

#include <stdbool.h>

struct request {
	char *method, *target; /* borrowed from the head */
	bool keep_alive;
	bool has_host;
	bool has_body;
};

/* Takes a request's head to pieces, in place; it ends before the empty line. `request` is all zero. 0, or
 * the status that refuses it. The target begins with a slash and holds no blank and no control byte. */
int request_parse(struct request *request, char *head);

/* Percent-decodes in place. False for a broken escape, and for %00: the kernel would see the end there. */
bool path_decode(char *path);

/* Clients resolve ".." before they ask (RFC 3986, 5.2.4); one that arrives is somebody trying doors. */
bool path_has_dot_dot(const char *path);

/* By the suffix. */
const char *content_type(const char *path);

/* "Not Found" of 404. */
const char *status_reason(int status);

/* For an open(2) or socket(2) that failed. */
int status_of_errno(int error);

#endif
