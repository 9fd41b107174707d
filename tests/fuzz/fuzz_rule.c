/* Any text as rules, a line each. What is accepted must build, and a printed table must be a rule list that
 * prints the same; what is refused must be refused everywhere alike, with a message that is one line. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "netpolicy/netpolicy.h"

enum { LINES_MAX = 32 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void message_check(const sl_error *error, int code)
{
	assert(error->code == code);
	assert(memchr(error->message, '\0', sizeof(error->message)) != NULL);
	assert(error->message[0] != '\0' && strpbrk(error->message, "\n\033\x7f") == NULL);
}

static int line_check(const char *line)
{
	sl_error error;
	int r;

	memset(&error, 'E', sizeof(error));
	r = rule_check(line, &error);
	assert(rule_check(line, NULL) == r);
	if (r < 0) {
		struct net_table *table;
		struct net_need need;

		assert(r == -EINVAL || r == -ENOTSUP);
		message_check(&error, r);
		assert(strncmp(error.message, "net-allow \"", 11) == 0);
		assert(net_table_build(&line, 1, &table, &need, NULL) == r && table == NULL);
	}
	return r;
}

static void bind_check(const char *line)
{
	struct port_set ports = {0};
	bool all = false;
	sl_error error;
	int r;

	memset(&error, 'E', sizeof(error));
	r = bind_ports_parse(line, &ports, &all, &error);
	if (r < 0)
		message_check(&error, r);
	assert((r == 0) == (all || ports.count > 0));
	for (size_t i = 0; i < ports.count; i++) {
		assert(ports.ranges[i].low <= ports.ranges[i].high);
		assert(i == 0 || ports.ranges[i].low > ports.ranges[i - 1].high + 1);
	}
	port_set_clear(&ports);
}

static char *table_print(const char *const *lines, size_t count, struct net_need *need)
{
	struct net_table *table;
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	assert(out != NULL);
	assert(net_table_build(lines, count, &table, need, NULL) == 0);
	assert(net_table_print(table, out) == 0);
	fclose(out);
	net_table_free(table);
	return text;
}

static size_t lines_split(char *text, const char **lines)
{
	size_t count = 0;

	for (char *line; count < LINES_MAX && (line = strsep(&text, "\n")) != NULL;)
		lines[count++] = line;
	return count;
}

static void round_trip(const char *const *lines, size_t count)
{
	const char *printed[LINES_MAX];
	struct net_need need, again;
	char *first = table_print(lines, count, &need), *copy = strdup(first), *second;
	size_t used = lines_split(copy, printed);

	/* The last line ends too: strsep(3) gives an empty one behind it. Merging never makes more lines. */
	if (used > 0 && printed[used - 1][0] == '\0')
		used--;
	assert(used <= count);
	second = table_print(printed, used, &again);
	assert(strcmp(first, second) == 0);
	assert(need.gate == again.gate && need.tcp_any == again.tcp_any);
	assert(need.any_ports.count == again.any_ports.count);
	net_need_clear(&need);
	net_need_clear(&again);
	free(first);
	free(second);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *lines[LINES_MAX], *good[LINES_MAX];
	char *text = strndup((const char *)data, size);
	size_t count = lines_split(text, lines), accepted = 0;

	for (size_t i = 0; i < count; i++) {
		bind_check(lines[i]);
		if (line_check(lines[i]) == 0)
			good[accepted++] = lines[i];
	}
	round_trip(good, accepted);
	free(text);
	return 0;
}
