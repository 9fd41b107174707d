/* sluice ps: the sandboxes of this user that run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/entry.h"
#include "core/fd.h"

enum { CMD_MOST = 100 };

static void uptime_print(double seconds, char *text, size_t room)
{
	unsigned long whole = seconds < 0 ? 0 : (unsigned long)seconds;
	unsigned long minutes = whole / 60, hours = minutes / 60;

	if (whole < 60)
		snprintf(text, room, "%lus", whole);
	else if (minutes < 60)
		snprintf(text, room, "%lum%02lus", minutes, whole % 60);
	else if (hours < 48)
		snprintf(text, room, "%luh%02lum", hours, minutes % 60);
	else
		snprintf(text, room, "%lud%02luh", hours / 24, hours % 24);
}

static void command_print(const struct entry *entry, const struct running_facts *facts)
{
	if (entry->argv == NULL || entry->argv[0] == NULL) {
		putchar('[');
		text_print(facts->program, CMD_MOST, stdout);
		putchar(']');
		return;
	}
	for (char **word = entry->argv; *word != NULL; word++) {
		if (word != entry->argv)
			putchar(' ');
		text_print(*word, CMD_MOST, stdout);
	}
}

static void row_print(const struct running *running, const struct running_facts *facts,
                      const struct entry *entry, size_t before)
{
	cleanup_free char *name = NULL;
	size_t size;
	FILE *out = open_memstream(&name, &size);
	char uptime[32];

	if (out == NULL)
		return;
	text_print(running->name, sizeof(running->name), out);
	fclose(out);
	uptime_print(facts->seconds, uptime, sizeof(uptime));
	if (before == 0)
		printf("%-20s %8s %8s %-8s %9s %s\n", "NAME", "PID", "UPTIME", "STATUS", "PROCESSES", "CMD");
	printf("%-20s %8d %8s %-8s %9zu ", name, running->command, uptime,
	       facts->paused ? "paused" : "running", facts->count);
	command_print(entry, facts);
	putchar('\n');
}

static void object_print(const struct running *running, const struct running_facts *facts,
                         const struct entry *entry, size_t before)
{
	size_t count = 0;

	while (entry->argv != NULL && entry->argv[count] != NULL)
		count++;
	fputs(before == 0 ? "[\n  {\"name\": " : ",\n  {\"name\": ", stdout);
	json_bytes_print(running->name, stdout);
	printf(", \"pid\": %d, \"keeper\": %d, \"uptime\": %.2f, \"status\": \"%s\", \"processes\": %zu, \"argv\": ",
	       running->command, running->keeper, facts->seconds, facts->paused ? "paused" : "running",
	       facts->count);
	json_words_print(entry->argv, count, stdout);
	putchar('}');
}

typedef void (*row_printer)(const struct running *running, const struct running_facts *facts,
                            const struct entry *entry, size_t before);

/* What ends meanwhile is not there; what was forged neither. */
static size_t one_print(int dir, const char *name, row_printer print, size_t before)
{
	struct running running;
	struct running_facts facts;
	struct entry entry;

	if (running_find(dir, name, &running, NULL) < 0)
		return before;
	if (running_look(&running, &facts) == 0) {
		entry_read(&running, &entry);
		print(&running, &facts, &entry, before++);
		entry_clear(&entry);
		free(facts.pids);
	}
	running_clear(&running);
	return before;
}

int ps_main(int argc, char *argv[])
{
	bool json = argc == 2 && strcmp(argv[1], "--json") == 0;
	cleanup_fd int dir = -1;
	size_t count = 0;
	sl_error error;
	char **names;

	if (argc > 1 && !json) {
		fprintf(stderr, "sluice: ps takes --json and nothing else, not %s\n", argv[1]);
		return EXIT_SLUICE;
	}
	if ((dir = running_open(&error)) < 0 || (names = running_names(dir)) == NULL) {
		fprintf(stderr, "sluice: %s\n", dir < 0 ? error.message : "out of memory");
		return EXIT_SLUICE;
	}
	for (char **name = names; *name != NULL; name++) {
		count = one_print(dir, *name, json ? object_print : row_print, count);
		free(*name);
	}
	free(names);
	if (json)
		puts(count == 0 ? "[]" : "\n]");
	else if (count == 0)
		puts("no running sandboxes");
	return 0;
}
