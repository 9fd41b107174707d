/* Filling the caller's sl_error. Every function returns `code`, so that failing is one line. */
#ifndef SL_CORE_ERROR_H
#define SL_CORE_ERROR_H

#include "sluice.h"

/* `error` may be NULL. Control bytes of what is formatted in come out as '?': a path is bytes. */
int error_set(sl_error *error, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* "<formatted>: <message so far>". */
int error_wrap(sl_error *error, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The message ends in ": <strerror(-code)>". */
int error_errno(sl_error *error, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
