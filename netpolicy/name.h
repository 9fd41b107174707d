/* Host names, as rules and DNS messages spell them. */
#ifndef SL_NETPOLICY_NAME_H
#define SL_NETPOLICY_NAME_H

#include <stddef.h>

#define NAME_TEXT 254 /* 253 bytes (RFC 1035, 2.3.4, less the length bytes of the ends) and a NUL */

/* `text` as a host name: lower case, without the dot at its end. NULL, or why it is none, to be read behind "is no". */
const char *name_read(const char *text, size_t size, char name[static NAME_TEXT]);

#endif
