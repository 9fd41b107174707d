/* Any text as rules, a line each; "deny " in front makes it one of net-deny. What is accepted must build, and a printed
 * table must be a rule list that prints the same; what is refused must be refused everywhere alike, with a message that
 * is one line. What the plan is told must be what is decided. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "netpolicy/addr.h"
#include "netpolicy/netpolicy.h"

enum { LINES_MAX = 32, PRINTED_MAX = 1024, ENDPOINTS = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char deny_word[] = "deny ";

/* Every name has two addresses that depend on it, one of them private. */
static int resolve_any(const void *context, const char *name, struct net_addr *addrs, size_t room,
                       sl_error *error)
{
	size_t length = strlen(name);

	(void)context;
	(void)error;
	assert(room >= 2 && length > 0 && length < 254 &&
	       strpbrk(name, "*:/ABCDEFGHIJKLMNOPQRSTUVWXYZ") == NULL);
	addrs[0] = (struct net_addr){.family = AF_INET, .bytes = {192, 0, 2, (uint8_t)name[0]}};
	addrs[1] = (struct net_addr){.family = AF_INET6, .bytes = {0xfd, 0x01, [15] = (uint8_t)length}};
	return 2;
}

static bool line_is_deny(const char *line)
{
	return strncmp(line, deny_word, sizeof(deny_word) - 1) == 0;
}

static void message_check(const sl_error *error, int code, const char *key)
{
	assert(error->code == code);
	assert(memchr(error->message, '\0', sizeof(error->message)) != NULL);
	assert(strpbrk(error->message, "\n\033\x7f") == NULL);
	assert(strncmp(error->message, key, strlen(key)) == 0 && error->message[strlen(key)] == ' ');
}

struct lists {
	const char *allow[PRINTED_MAX], *deny[PRINTED_MAX];
	struct net_rules rules;
};

/* With net-refresh names are printed as the rules that they are. */
static void lists_begin(struct lists *lists)
{
	lists->rules = (struct net_rules){.allow = {lists->allow, 0},
	                                  .deny = {lists->deny, 0},
	                                  .refresh = true,
	                                  .resolve = resolve_any};
}

static void lists_add(struct lists *lists, const char *line)
{
	if (line_is_deny(line))
		lists->deny[lists->rules.deny.count++] = line + sizeof(deny_word) - 1;
	else
		lists->allow[lists->rules.allow.count++] = line;
}

static int line_check(const char *line)
{
	bool deny = line_is_deny(line);
	const char *key = deny ? "net-deny" : "net-allow", *rule = deny ? line + sizeof(deny_word) - 1 : line;
	sl_error error;
	int r;

	memset(&error, 'E', sizeof(error));
	r = rule_check(key, rule, &error);
	assert(rule_check(key, rule, NULL) == r);
	/* net-deny takes what net-allow takes, but for names. */
	assert(rule_check("net-allow", rule, NULL) == 0 || rule_check("net-deny", rule, NULL) < 0);
	if (r < 0) {
		struct net_table *table;
		struct net_need need;
		struct lists *lists = malloc(sizeof(*lists));

		assert(lists != NULL && r == -EINVAL);
		message_check(&error, r, key);
		lists_begin(lists);
		lists_add(lists, line);
		assert(net_table_build(&lists->rules, &table, &need, NULL) == r && table == NULL);
		free(lists);
	}
	return r;
}

static void binds_check(const char *line)
{
	struct text_list one = {&line, 1}, none = {NULL, 0}, all = {(const char *[]){"*"}, 1};
	struct net_binds allowed, rest;
	sl_error error;
	int r;

	memset(&error, 'E', sizeof(error));
	r = bind_check("net-allow-bind", line, &error);
	assert(net_binds_build(one, none, &allowed, NULL) == r);
	assert(net_binds_build(all, one, &rest, NULL) == r);
	if (r < 0) {
		message_check(&error, r, "net-allow-bind");
		return;
	}
	for (int protocol = NET_TCP; protocol <= NET_UDP; protocol++)
		for (unsigned port = 0; port <= 65535; port += 1 + port / 16)
			assert(net_binds_allow(&allowed, protocol, (uint16_t)port) !=
			       net_binds_allow(&rest, protocol, (uint16_t)port));
	net_binds_clear(&allowed);
	net_binds_clear(&rest);
}

static size_t lines_split(char *text, const char **lines, size_t room)
{
	size_t count = 0;

	for (char *line; count < room && (line = strsep(&text, "\n")) != NULL;)
		lines[count++] = line;
	return count;
}

static char *table_print(const struct net_table *table)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	assert(out != NULL);
	assert(net_table_print(table, out) == 0);
	fclose(out);
	return text;
}

static bool need_equal(const struct net_need *a, const struct net_need *b)
{
	return memcmp(a->extent, b->extent, sizeof(a->extent)) == 0 && a->names == b->names &&
	       a->tcp_ports.count == b->tcp_ports.count &&
	       (a->tcp_ports.count == 0 || memcmp(a->tcp_ports.ranges, b->tcp_ports.ranges,
	                                          a->tcp_ports.count * sizeof(*a->tcp_ports.ranges)) == 0);
}

/* Lines with a name behind them are what the name had at start: the rule stands by itself. */
static void round_trip(const struct net_table *table, const struct net_need *need)
{
	struct lists *lists = malloc(sizeof(*lists));
	const char *printed[PRINTED_MAX];
	char *first = table_print(table), *copy = strdup(first), *second;
	size_t used = lines_split(copy, printed, PRINTED_MAX);
	struct net_table *again;
	struct net_need need_again;

	assert(lists != NULL && used < PRINTED_MAX);
	lists_begin(lists);
	for (size_t i = 0; i < used; i++)
		if (printed[i][0] != '\0' && strchr(printed[i], '(') == NULL)
			lists_add(lists, printed[i]);
	assert(net_table_build(&lists->rules, &again, &need_again, NULL) == 0);
	second = table_print(again);
	assert(strcmp(first, second) == 0 && need_equal(need, &need_again));
	net_need_clear(&need_again);
	net_table_free(again);
	free(lists);
	free(first);
	free(second);
	free(copy);
}

static uint64_t state;

static unsigned draw(unsigned limit)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(state >> 33) % limit;
}

static struct net_endpoint endpoint_draw(void)
{
	struct net_endpoint endpoint = {.addr.family = draw(2) ? AF_INET : AF_INET6,
	                                .port = (uint16_t)draw(65536)};

	for (unsigned i = 0; i < (endpoint.addr.family == AF_INET ? 4 : 16); i++)
		endpoint.addr.bytes[i] = draw(4) == 0 ? (uint8_t)draw(256) : (uint8_t)(draw(2) * 10);
	if (draw(2))
		endpoint.port %= 128;
	return endpoint;
}

static void extents_check(const struct net_table *table, const struct net_need *need)
{
	for (unsigned i = 0; i < ENDPOINTS; i++) {
		struct net_endpoint endpoint = endpoint_draw();

		for (int protocol = 0; protocol < NET_PROTOCOLS; protocol++) {
			bool allowed = net_decide(table, NULL, 0, protocol, &endpoint);

			assert(need->extent[protocol] != NET_ALL || allowed);
			assert(need->extent[protocol] != NET_NOTHING || !allowed);
			assert(need->extent[protocol] != NET_PORTS ||
			       (protocol == NET_TCP &&
			        allowed == port_set_has(&need->tcp_ports, endpoint.port)));
		}
	}
}

static bool is_public(struct net_addr addr)
{
	const char *word;

	addr_make_canonical(&addr);
	return addr_classify(&addr, &word) == ADDR_PUBLIC;
}

/* What no rule says is no name, and no name that is not open is pinned; nor is what an address rule opens already. */
static void pins_check(const struct net_table *table, const char *name)
{
	static struct net_pins pins;
	struct net_endpoint endpoint = endpoint_draw();
	const struct net_addr *addrs;
	size_t count;
	enum net_name said = net_table_name(table, name, &addrs, &count);
	int r = net_pins_add(&pins, table, name, &endpoint.addr, 2);

	assert((said == NET_NAME_OPEN) == (r != -ENOENT));
	assert(r == 0 || r == -ENOENT || r == -EACCES);
	assert(pins.used == (r == 0 && is_public(endpoint.addr)));
	for (int protocol = 0; protocol < NET_PROTOCOLS; protocol++)
		assert(r == 0 || net_decide(table, &pins, 1, protocol, &endpoint) ==
		                         net_decide(table, NULL, 1, protocol, &endpoint));
	pins.pins[0] = (struct net_pin){0};
	pins.used = 0;
}

static void table_check(const struct lists *lists, const char *const *lines, size_t count)
{
	struct net_table *table;
	struct net_need need;

	assert(net_table_build(&lists->rules, &table, &need, NULL) == 0);
	round_trip(table, &need);
	extents_check(table, &need);
	for (size_t i = 0; i < count; i++)
		pins_check(table, lines[i]);
	net_need_clear(&need);
	net_table_free(table);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *lines[LINES_MAX];
	struct lists *lists = malloc(sizeof(*lists));
	char *text = strndup((const char *)data, size);
	size_t count = lines_split(text, lines, LINES_MAX);

	assert(lists != NULL);
	lists_begin(lists);
	state = size;
	for (size_t i = 0; i < count; i++) {
		binds_check(lines[i]);
		if (line_check(lines[i]) == 0)
			lists_add(lists, lines[i]);
	}
	table_check(lists, lines, count);
	free(lists);
	free(text);
	return 0;
}
