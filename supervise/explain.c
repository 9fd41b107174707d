/* The whole plan in words: the walls from core/, the address table from netpolicy/, and what is open. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/environment.h"
#include "core/error.h"
#include "supervise/prepare.h"
#include "supervise/supervise.h"

static void unix_print(const sl_policy *policy, FILE *out)
{
	const struct value_list *values = &policy->values[OPTION_NET_ALLOW_UNIX];

	if (values->count == 0)
		return;
	fputs("\nunix sockets, connected in the program's place where single ones are named:\n", out);
	for (size_t i = 0; i < values->count; i++) {
		fputs("  ", out);
		path_print(values->items[i], out);
		fputc('\n', out);
	}
}

static void names_print(const struct prepared *prepared, FILE *out)
{
	char text[NET_ENDPOINT_TEXT];

	if (!prepared->rules.names)
		return;
	fputs("\nhost names: questions to port 53 of any address go to a DNS server of the supervisor's own, which "
	      "answers for\nthe names of rules; those below *.name it asks of:",
	      out);
	for (size_t i = 0; i < prepared->servers.count; i++) {
		net_endpoint_format(&prepared->servers.servers[i], text, sizeof(text));
		fprintf(out, " %s", text);
	}
	fputc('\n', out);
}

/* What the supervisor decides by, where it is asked. */
static int tables_print(const struct prepared *prepared, FILE *out)
{
	const struct slot_plan *slots = prepared->plan.slots;
	int r = 0;

	if (slot_asks(&slots[SLOT_CONNECT])) {
		fputs("\naddress table: what the supervisor connects and sends to; else EACCES\n", out);
		r = net_table_print(prepared->table, out);
	}
	if (slot_asks(&slots[SLOT_BIND])) {
		fputs("\nbind table: what the supervisor binds; else EACCES\n", out);
		binds_print(&prepared->binds, out);
	}
	names_print(prepared, out);
	return r;
}

/* In place these stay open: the program's own choice, and part of what the walls do not cover. */
static void open_descriptors_print(FILE *out)
{
	DIR *fds = opendir("/proc/self/fd");
	struct dirent *entry;

	if (fds == NULL)
		return;
	fputs("open now, and not touched by the walls:\n", out);
	while ((entry = readdir(fds)) != NULL) {
		char target[PATH_MAX];
		ssize_t size = readlinkat(dirfd(fds), entry->d_name, target, sizeof(target) - 1);

		if (size < 0 || atoi(entry->d_name) == dirfd(fds))
			continue;
		target[size] = '\0';
		fprintf(out, "  %s ", entry->d_name);
		path_print(target, out);
		fputc('\n', out);
	}
	closedir(fds);
}

int explain_policy(const sl_policy *policy, enum plan_mode mode, FILE *out, sl_error *error)
{
	struct prepared prepared;
	int r;

	if ((r = prepare_plan(&prepared, policy, mode, error)) < 0)
		return r;
	r = plan_print(&prepared.plan, out);
	if (r == 0 && prepared.plan.supervised)
		r = tables_print(&prepared, out);
	if (r == 0)
		unix_print(policy, out);
	if (r == 0 && mode == PLAN_LAUNCH)
		environment_print(policy, out);
	if (r == 0 && mode == PLAN_IN_PLACE)
		open_descriptors_print(out);
	prepare_clear(&prepared);
	return r < 0 ? error_errno(error, r, "explain") : 0;
}
