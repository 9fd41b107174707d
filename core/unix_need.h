/* What net-allow-unix says, and what it asks of the plan: the words that the plan and the supervisor share. */
#ifndef SL_CORE_UNIX_NEED_H
#define SL_CORE_UNIX_NEED_H

#include <stdbool.h>
#include <stddef.h>

#include "core/net_need.h"
#include "core/policy.h"

/* One value: "*", "PATH", "@name", "dgram:PATH", "dgram:@name". */
struct unix_rule {
	bool any;       /* every path; file permissions decide */
	bool abstract;  /* `name` is what follows the NUL of an abstract address */
	bool datagrams; /* datagram sockets as well */
	const char *name;
};

/* `rule->name` points into `text`. -EINVAL; `key` begins the message. */
int unix_rule_parse(const char *key, const char *text, struct unix_rule *rule, sl_error *error);

/* Values that were checked already. */
void unix_need_read(const struct value_list *values, struct unix_need *need);

#endif
