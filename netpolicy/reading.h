/* Reading a rule or a list of ports: what its parts are, and how a bad one is refused. */
#ifndef SL_NETPOLICY_READING_H
#define SL_NETPOLICY_READING_H

#include "netpolicy/netpolicy.h"

/* "*" as a port is the range 0..65535, so that it is more than any list of 1..65535 can say. */
#define PORT_LAST 65535

struct reading { /* what every message begins with */
	const char *key, *text;
	sl_error *error;
};

struct part { /* a piece of reading.text */
	const char *at;
	size_t size;
};

/* `<key> "<text>": <reason>`, all of it bounded. Returns -EINVAL. */
int reading_reject(const struct reading *reading, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

int part_quoted(struct part part); /* how much of it a message shows: for "%.*s" */
bool part_is(struct part part, const char *text);

/* "tcp://" and the like: a bit (1 << protocol) each. *schemes is `none` when there is none; *body is what follows. */
int scheme_read(const struct reading *reading, unsigned known, unsigned none, unsigned *schemes,
                const char **body);

/* "80,8000-8080", never "*", which is the caller's. *ports gets a normalized set, also what failed. */
int ports_read(const struct reading *reading, const char *text, unsigned lowest, struct port_set *ports);

#endif
