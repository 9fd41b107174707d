/* HTTP without sockets: see http.h. */
#include "http.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

const char *status_reason(int status)
{
	static const struct {
		int status;
		const char *words;
	} reasons[] = {
		{200, "OK"},
		{301, "Moved Permanently"},
		{400, "Bad Request"},
		{403, "Forbidden"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{431, "Request Header Fields Too Large"},
		{502, "Bad Gateway"},
		{503, "Service Unavailable"},
		{505, "HTTP Version Not Supported"},
	};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].status == status)
			return reasons[i].words;
	return "Internal Server Error";
}

int status_of_errno(int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
	case ENAMETOOLONG:
		return 404;
	case EACCES:
	case EPERM:
	case EXDEV:
	case ELOOP:
		return 403;
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case EAGAIN:
		return 503;
	default:
		return 500;
	}
}

const char *content_type(const char *path)
{
	static const char *const types[][2] = {
		{"html", "text/html; charset=utf-8"},
		{"txt", "text/plain; charset=utf-8"},
		{"md", "text/markdown; charset=utf-8"},
		{"css", "text/css; charset=utf-8"},
		{"js", "text/javascript; charset=utf-8"},
		{"json", "application/json"},
		{"c", "text/plain; charset=utf-8"},
		{"h", "text/plain; charset=utf-8"},
		{"svg", "image/svg+xml"},
		{"png", "image/png"},
		{"jpg", "image/jpeg"},
		{"jpeg", "image/jpeg"},
		{"gif", "image/gif"},
		{"webp", "image/webp"},
		{"ico", "image/x-icon"},
		{"pdf", "application/pdf"},
		{"woff2", "font/woff2"},
		{"wasm", "application/wasm"},
	};
	const char *suffix = strrchr(path, '.');

	for (size_t i = 0; suffix && i < sizeof(types) / sizeof(types[0]); i++)
		if (strcasecmp(suffix + 1, types[i][0]) == 0)
			return types[i][1];
	return "application/octet-stream";
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool path_decode(char *path)
{
	char *out = path;

	for (; *path; path++, out++) {
		*out = *path;
		if (*path != '%')
			continue;

		int high = hex_digit(path[1]), low = high < 0 ? -1 : hex_digit(path[2]);

		if (low < 0 || high + low == 0)
			return false;
		*out = (char)(high << 4 | low);
		path += 2;
	}
	*out = '\0';
	return true;
}

bool path_has_dot_dot(const char *path)
{
	for (const char *at = path; (at = strstr(at, "..")); at += 2)
		if ((at == path || at[-1] == '/') && (at[2] == '/' || at[2] == '\0'))
			return true;
	return false;
}

static bool field_parse(struct request *request, char *line)
{
	char *value = strchr(line, ':');
	size_t name_length = strcspn(line, ": \t");

	/* No name, a blank before the colon, or a folded line: what two readers could take in two ways. */
	if (!value || name_length == 0 || line + name_length != value)
		return false;
	*value++ = '\0';
	value += strspn(value, " \t");
	if (strcasecmp(line, "Host") == 0)
		request->has_host = true;
	else if (strcasecmp(line, "Connection") == 0 && strcasestr(value, "close"))
		request->keep_alive = false;
	else if (strcasecmp(line, "Connection") == 0 && strcasestr(value, "keep-alive"))
		request->keep_alive = true;
	else if (strcasecmp(line, "Content-Length") == 0)
		request->has_body |= strcmp(value, "0") != 0;
	else if (strcasecmp(line, "Transfer-Encoding") == 0)
		request->has_body = true;
	return true;
}

static bool target_is_plain(const char *target)
{
	for (const char *at = target; *at; at++)
		if ((unsigned char)*at <= ' ' || *at == 0x7f)
			return false;
	return target[0] == '/';
}

int request_parse(struct request *request, char *head)
{
	char *lines = NULL, *words = NULL;
	char *line = strtok_r(head, "\r\n", &lines);
	char *version;

	if (!line)
		return 400;
	request->method = strtok_r(line, " ", &words);
	request->target = strtok_r(NULL, " ", &words);
	version = strtok_r(NULL, " ", &words);
	if (!version || strtok_r(NULL, " ", &words) || strncmp(version, "HTTP/", 5) != 0)
		return 400;
	if (strcmp(version, "HTTP/1.1") != 0 && strcmp(version, "HTTP/1.0") != 0)
		return 505;
	request->keep_alive = strcmp(version, "HTTP/1.1") == 0;
	while ((line = strtok_r(NULL, "\r\n", &lines)))
		if (!field_parse(request, line))
			return 400;
	if (strcmp(version, "HTTP/1.1") == 0 && !request->has_host)
		return 400;
	return target_is_plain(request->target) ? 0 : 400;
}
