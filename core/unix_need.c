/* The values of net-allow-unix: unix(7). */
#include "core/unix_need.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/un.h>

#include "core/error.h"

/* An abstract name has a NUL in front and nothing behind it. */
enum { ABSTRACT_MAX = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1 };

static int abstract_check(const char *key, const char *text, const char *name, sl_error *error)
{
	if (*name == '\0')
		return error_set(error, -EINVAL, "%s: \"%.64s\": expected a name after the @", key, text);
	if (strlen(name) > ABSTRACT_MAX)
		return error_set(error, -EINVAL, "%s: \"%.64s\": an abstract name has at most %d bytes", key,
		                 text, ABSTRACT_MAX);
	return 0;
}

static int path_check(const char *key, const char *text, const char *path, sl_error *error)
{
	if (*path == '\0')
		return error_set(error, -EINVAL, "%s: \"%.64s\": expected a path or @name%s", key, text,
		                 path == text ? "" : " after dgram:");
	if (strcmp(path, "*") == 0)
		return error_set(error, -EINVAL,
		                 "%s: \"%.64s\": write \"*\", which grants datagram sockets too", key, text);
	if (strlen(path) >= PATH_MAX)
		return error_set(error, -EINVAL, "%s: \"%.64s...\": the path is too long", key, text);
	return 0;
}

int unix_rule_parse(const char *key, const char *text, struct unix_rule *rule, sl_error *error)
{
	static const char prefix[] = "dgram:";
	bool prefixed = strncmp(text, prefix, sizeof(prefix) - 1) == 0;
	const char *name = prefixed ? text + sizeof(prefix) - 1 : text;

	*rule = (struct unix_rule){.datagrams = prefixed, .name = name};
	if (strcmp(text, "*") == 0) {
		rule->any = rule->datagrams = true;
		return 0;
	}
	if (*name != '@')
		return path_check(key, text, name, error);
	rule->abstract = true;
	rule->name++;
	return abstract_check(key, text, rule->name, error);
}

void unix_need_read(const struct value_list *values, struct unix_need *need)
{
	*need = (struct unix_need){0};
	for (size_t i = 0; i < values->count; i++) {
		struct unix_rule rule;

		if (unix_rule_parse("", values->items[i], &rule, NULL) < 0)
			continue;
		need->any |= rule.any;
		need->named |= !rule.any;
		need->datagrams |= rule.datagrams && !rule.any;
	}
}
