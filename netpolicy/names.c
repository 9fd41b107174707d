/* Names. They are asked for once, at start; afterwards only addresses count, so that whoever answers for a name cannot
 * lead the target elsewhere later. Names that are open (below a *.name, or with net-refresh) are asked for while
 * running; what they are found to have goes to the pins.
 *
 * A name that stands below a *.name has the ports of both, so that one entry says all of it: the nearest one. */
#include "netpolicy/names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "netpolicy/addr.h"

static int name_compare(const void *left, const void *right)
{
	const struct name *a = left, *b = right;

	return a->below != b->below ? a->below - b->below : strcmp(a->text, b->text);
}

static const struct name *names_search(const struct names *names, const char *text, bool below)
{
	struct name key = {.text = (char *)text, .below = below};

	return names->count == 0 ? NULL
	                         : bsearch(&key, names->items, names->count, sizeof(key), name_compare);
}

/* The longest *.name above `text`. */
static const struct name *names_find_above(const struct names *names, const char *text)
{
	const struct name *found = NULL;

	while (found == NULL && (text = strchr(text, '.')) != NULL)
		found = names_search(names, ++text, true);
	return found;
}

const struct name *names_find(const struct names *names, const char *text)
{
	const struct name *found = names_search(names, text, false);

	return found != NULL ? found : names_find_above(names, text);
}

static int ports_copy(struct name *to, const struct name *from)
{
	int r = 0;

	for (int protocol = 0; r == 0 && protocol < NET_PROTOCOLS; protocol++)
		r = port_set_copy(&to->ports[protocol], &from->ports[protocol]);
	return r;
}

static void name_clear(struct name *name)
{
	free(name->text);
	free(name->addrs);
	for (int protocol = 0; protocol < NET_PROTOCOLS; protocol++)
		port_set_clear(&name->ports[protocol]);
	*name = (struct name){0};
}

static int name_make(struct name *name, const struct net_rule *rule)
{
	int r = 0;

	*name = (struct name){.text = strdup(rule->name), .below = rule->below};
	if (name->text == NULL)
		return -ENOMEM;
	for (int protocol = 0; r == 0 && protocol < NET_PROTOCOLS; protocol++)
		if (rule->protocols & 1u << protocol)
			r = port_set_copy(&name->ports[protocol], &rule->ports);
	return r;
}

/* Sorted names in, each once out. */
static int names_merge(struct names *names)
{
	size_t used = 0, i = 0;
	int r = 0;

	for (; r == 0 && i < names->count; i++) {
		struct name *name = &names->items[i];

		if (used > 0 && name_compare(&names->items[used - 1], name) == 0) {
			r = ports_copy(&names->items[used - 1], name);
			name_clear(name);
		} else if (used++ != i) {
			names->items[used - 1] = *name;
			*name = (struct name){0};
		}
	}
	if (r == 0)
		names->count = used;
	return r;
}

/* What every *.name above a name allows. An entry that has got its own already passes it on. */
static int names_inherit(struct names *names)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < names->count; i++) {
		struct name *name = &names->items[i];
		const struct name *above = names_find_above(names, name->text);

		for (; r == 0 && above != NULL; above = names_find_above(names, above->text))
			r = ports_copy(name, above);
	}
	return r;
}

int names_collect(struct names *names, const struct net_rule *rules, size_t count)
{
	int r = 0;

	*names = (struct names){.items = calloc(count + 1, sizeof(*names->items))};
	if (names->items == NULL)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < count; i++)
		if (rules[i].name != NULL)
			r = name_make(&names->items[names->count++], &rules[i]);
	if (r < 0)
		return r;
	qsort(names->items, names->count, sizeof(*names->items), name_compare);
	if ((r = names_merge(names)) < 0)
		return r;
	return names_inherit(names);
}

static int answer_check(const char *name, const struct net_addr *addr, bool public_only, sl_error *error)
{
	const char *word;
	enum addr_kind kind = addr_classify(addr, &word);
	char text[ADDR_TEXT];

	if (kind == ADDR_PUBLIC || (kind == ADDR_PRIVATE && !public_only))
		return 0;
	addr_format(addr, text, sizeof(text));
	if (kind == ADDR_PRIVATE)
		return error_set(error, -EACCES,
		                 "net-allow \"%.64s\": its address %s is %s, and net-public-only is set",
		                 name, text, word);
	return error_set(error, -EACCES, "net-allow \"%.64s\": its address %s is %s, which no name may have",
	                 name, text, word);
}

static void name_add_address(struct name *name, const struct net_addr *addr)
{
	for (size_t i = 0; i < name->count; i++)
		if (addr_equal(&name->addrs[i], addr))
			return;
	name->addrs[name->count++] = *addr;
}

static int name_pin(struct name *name, const struct net_rules *rules, sl_error *error)
{
	net_resolve_fn resolve = rules->resolve != NULL ? rules->resolve : name_resolve;
	struct net_addr addrs[NET_NAME_ADDRS_MAX];
	int r, count = resolve(rules->context, name->text, addrs, NET_NAME_ADDRS_MAX, error);

	if (count < 0)
		return error_wrap(error, count, "net-allow \"%.64s\"", name->text);
	if (count == 0)
		return error_set(error, -ENOENT, "net-allow \"%.64s\": it has no address", name->text);
	for (int i = 0; i < count; i++) {
		addr_make_canonical(&addrs[i]);
		if ((r = answer_check(name->text, &addrs[i], rules->public_only, error)) < 0)
			return r;
	}
	name->addrs = calloc((size_t)count, sizeof(*addrs));
	if (name->addrs == NULL)
		return error_errno(error, -ENOMEM, "net-allow");
	for (int i = 0; i < count; i++)
		name_add_address(name, &addrs[i]);
	return 0;
}

int names_resolve(struct names *names, const struct net_rules *rules, sl_error *error)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < names->count; i++)
		if (!names->items[i].below)
			r = name_pin(&names->items[i], rules, error);
	return r;
}

void names_clear(struct names *names)
{
	for (size_t i = 0; names->items != NULL && i < names->count; i++)
		name_clear(&names->items[i]);
	free(names->items);
	*names = (struct names){0};
}
