/* sluice inspect: all about one sandbox that runs. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "cli/cli.h"
#include "cli/entry.h"
#include "core/fd.h"

static void processes_print(const struct running_facts *facts)
{
	fputs("  \"processes\": [", stdout);
	for (size_t i = 0; i < facts->count; i++)
		printf("%s%d", i > 0 ? ", " : "", facts->pids[i]);
	fputs("],\n", stdout);
}

/* A flag is true, a list a list, and all else a string. */
static void policy_print(const sl_policy *policy)
{
	const char *comma = "";

	if (policy == NULL) {
		fputs("  \"policy\": null\n", stdout);
		return;
	}
	fputs("  \"policy\": {", stdout);
	for (size_t row = 0; row < OPTION_COUNT; row++) {
		const struct value_list *values = &policy->values[row];

		if (values->count == 0)
			continue;
		printf("%s\n    \"%s\": ", comma, option_rows[row].key);
		if (option_rows[row].kind == OPTION_FLAG)
			fputs("true", stdout);
		else if (option_is_scalar(&option_rows[row]))
			json_bytes_print(values->items[0], stdout);
		else
			json_words_print(values->items, values->count, stdout);
		comma = ",";
	}
	fputs("\n  }\n", stdout);
}

/* As they are in the kernel now, for the command; null is no limit. */
static void limits_print(pid_t command)
{
	static const struct {
		int resource;
		const char *name;
	} limits[] = {
		{RLIMIT_FSIZE, "file_size"},  {RLIMIT_NOFILE, "open_files"}, {RLIMIT_NPROC, "processes"},
		{RLIMIT_AS, "address_space"}, {RLIMIT_CORE, "core_size"},    {RLIMIT_CPU, "cpu_seconds"},
	};
	const char *comma = "";

	fputs("  \"limits\": {", stdout);
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		struct rlimit limit;

		if (command <= 0 ||
		    prlimit(command, (__rlimit_resource_t)limits[i].resource, NULL, &limit) < 0)
			continue;
		printf("%s\"%s\": ", comma, limits[i].name);
		if (limit.rlim_cur == RLIM_INFINITY)
			fputs("null", stdout);
		else
			printf("%llu", (unsigned long long)limit.rlim_cur);
		comma = ", ";
	}
	fputs("},\n", stdout);
}

static void all_print(const struct running *running, const struct running_facts *facts,
                      const struct entry *entry)
{
	size_t count = 0;

	while (entry->argv != NULL && entry->argv[count] != NULL)
		count++;
	fputs("{\n  \"name\": ", stdout);
	json_bytes_print(running->name, stdout);
	printf(",\n  \"pid\": %d,\n  \"keeper\": %d,\n  \"supervisor\": %d,\n", running->command,
	       running->keeper, facts->supervisor);
	printf("  \"status\": \"%s\",\n  \"uptime\": %.2f,\n", facts->paused ? "paused" : "running",
	       facts->seconds);
	processes_print(facts);
	limits_print(running->command);
	fputs("  \"argv\": ", stdout);
	json_words_print(entry->argv, count, stdout);
	printf(",\n  \"mode\": \"%s\",\n", entry->mode);
	policy_print(entry->policy);
	puts("}");
}

static int inspect(const struct running *running, bool profile)
{
	struct running_facts facts;
	struct entry entry;
	int code = 0;

	if (running_look(running, &facts) < 0) {
		fputs("sluice: it has just ended\n", stderr);
		return 1;
	}
	entry_read(running, &entry);
	if (profile && entry.policy == NULL) {
		fputs("sluice: its entry does not say with which options it was started\n", stderr);
		code = EXIT_SLUICE;
	} else if (profile) {
		policy_print_options(entry.policy, stdout);
	} else {
		all_print(running, &facts, &entry);
	}
	entry_clear(&entry);
	free(facts.pids);
	return code;
}

int running_named(const char *name, struct running *running)
{
	sl_error error;
	cleanup_fd int dir = running_open(&error);
	int r = dir < 0 ? dir : running_find(dir, name, running, &error);

	if (r == 0)
		return 0;
	fprintf(stderr, "sluice: %s\n", error.message);
	return dir >= 0 && r == -ENOENT ? 1 : EXIT_SLUICE;
}

int inspect_main(int argc, char *argv[])
{
	bool profile = argc == 3 && strcmp(argv[1], "--profile") == 0;
	struct running running;
	int code;

	if (argc != 2 && !profile) {
		fputs("sluice: inspect takes the name of a sandbox: sluice inspect [--profile] NAME\n",
		      stderr);
		return EXIT_SLUICE;
	}
	if ((code = running_named(argv[argc - 1], &running)) != 0)
		return code;
	code = inspect(&running, profile);
	running_clear(&running);
	return code;
}
