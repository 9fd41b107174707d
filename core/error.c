/* The caller's error buffer: one line, bounded, and safe to print. */
#include "core/error.h"

#include <stdarg.h>
#include <string.h>

/* Paths and names are bytes from anywhere; a terminal must not obey them. */
static void line_make_printable(char *line)
{
	for (; *line != '\0'; line++)
		if ((unsigned char)*line < 0x20 || *line == 0x7f)
			*line = '?';
}

static void error_format(sl_error *error, int code, const char *format, va_list args)
{
	error->code = code;
	vsnprintf(error->message, sizeof(error->message), format, args);
	line_make_printable(error->message);
}

int error_set(sl_error *error, int code, const char *format, ...)
{
	if (error != NULL) {
		va_list args;
		va_start(args, format);
		error_format(error, code, format, args);
		va_end(args);
	}
	return code;
}

static void error_append(sl_error *error, const char *tail)
{
	size_t used = strlen(error->message);

	snprintf(error->message + used, sizeof(error->message) - used, ": %s", tail);
}

int error_wrap(sl_error *error, int code, const char *format, ...)
{
	if (error != NULL) {
		sl_error inner = *error;
		va_list args;
		va_start(args, format);
		error_format(error, code, format, args);
		va_end(args);
		error_append(error, inner.message);
	}
	return code;
}

int error_errno(sl_error *error, int code, const char *format, ...)
{
	if (error != NULL) {
		va_list args;
		va_start(args, format);
		error_format(error, code, format, args);
		va_end(args);
		error_append(error, strerrordesc_np(-code));
	}
	return code;
}
