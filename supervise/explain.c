/* The whole plan in words: the walls from core/, the address table from netpolicy/, and what is open. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/error.h"
#include "supervise/prepare.h"
#include "supervise/supervise.h"

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
		for (char *at = target; *at != '\0'; at++)
			*at = (unsigned char)*at < 0x20 || *at == 0x7f ? '?' : *at;
		fprintf(out, "  %s %s\n", entry->d_name, target);
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
	if (r == 0 && prepared.plan.supervised) {
		fputs("\naddress table: what the supervisor connects to; else EACCES\n", out);
		r = net_table_print(prepared.table, out);
	}
	if (r == 0 && mode == PLAN_IN_PLACE)
		open_descriptors_print(out);
	prepare_clear(&prepared);
	return r < 0 ? error_errno(error, r, "explain") : 0;
}
