/* The text of viewed files, made from the real ones: proc(5), sysfs(5). Pure. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervise/views.h"

enum { LONG_BITS = 8 * sizeof(unsigned long), TIMES_MAX = 10 };

/* As much as fits: a line more or none. */
static size_t line_add(const char *line, size_t size, char *to, size_t used, size_t room)
{
	if (size > room - used)
		return used;
	memcpy(to + used, line, size);
	return used + size;
}

static size_t line_size(const char *from, size_t left)
{
	const char *end = memchr(from, '\n', left);

	return end == NULL ? left : (size_t)(end - from) + 1;
}

/* An empty line ends what is told of a CPU. */
size_t cpuinfo_cut(const char *from, size_t size, unsigned cpus, char *to, size_t room)
{
	size_t used = 0, line;
	unsigned told = 0;

	for (size_t at = 0; at < size && told < cpus; at += line) {
		line = line_size(from + at, size - at);
		used = line_add(from + at, line, to, used, room);
		told += from[at] == '\n';
	}
	return used;
}

struct cpu_times {
	unsigned long long sums[TIMES_MAX];
	size_t count;
};

/* "cpu0 1 2 3 ...", cut off at its end. */
static void times_add(struct cpu_times *times, const char *line)
{
	const char *at = line + strcspn(line, " ");
	char *end;

	for (size_t i = 0; i < TIMES_MAX; i++) {
		unsigned long long number = strtoull(at, &end, 10);

		if (end == at)
			return;
		times->sums[i] += number;
		times->count = i + 1 > times->count ? i + 1 : times->count;
		at = end;
	}
}

static size_t times_print(const struct cpu_times *times, char *to, size_t room)
{
	char line[TIMES_MAX * 21 + 8] = "cpu ";
	size_t used = strlen(line);

	for (size_t i = 0; i < times->count; i++)
		used += (size_t)snprintf(line + used, sizeof(line) - used, " %llu", times->sums[i]);
	line[used++] = '\n';
	return line_add(line, used, to, 0, room);
}

static bool line_is_cpu(const char *line, size_t size)
{
	return size > 3 && memcmp(line, "cpu", 3) == 0 && line[3] >= '0' && line[3] <= '9';
}

static bool line_is_sum(const char *line, size_t size)
{
	return size > 3 && memcmp(line, "cpu ", 4) == 0;
}

static void times_sum(const char *from, size_t size, unsigned cpus, struct cpu_times *times)
{
	size_t line;

	for (size_t at = 0; at < size && cpus > 0; at += line) {
		char text[256];

		line = line_size(from + at, size - at);
		if (!line_is_cpu(from + at, line) || line >= sizeof(text))
			continue;
		memcpy(text, from + at, line);
		text[line] = '\0';
		times_add(times, text);
		cpus--;
	}
}

size_t stat_cut(const char *from, size_t size, unsigned cpus, char *to, size_t room)
{
	struct cpu_times times = {.count = 0};
	size_t used = 0, line;
	unsigned told = 0;

	times_sum(from, size, cpus, &times);
	for (size_t at = 0; at < size; at += line) {
		line = line_size(from + at, size - at);
		if (line_is_sum(from + at, line))
			used += times_print(&times, to + used, room - used);
		else if (!line_is_cpu(from + at, line) || told++ < cpus)
			used = line_add(from + at, line, to, used, room);
	}
	return used;
}

void mask_cut(unsigned long *mask, size_t words, unsigned cpus)
{
	for (size_t bit = 0; bit < words * LONG_BITS; bit++) {
		unsigned long *word = &mask[bit / LONG_BITS], one = 1ul << bit % LONG_BITS;

		if (!(*word & one))
			continue;
		if (cpus > 0)
			cpus--;
		else
			*word &= ~one;
	}
}

unsigned list_count(const char *text)
{
	unsigned long first, last, count = 0;
	char *end;

	for (;;) {
		first = last = strtoul(text, &end, 10);
		if (end == text)
			return 0;
		if (*end == '-') {
			text = end + 1;
			last = strtoul(text, &end, 10);
		}
		if (end == text || last < first || last - first > 1 << 20)
			return 0;
		count += last - first + 1;
		if (*end != ',')
			return (unsigned)count;
		text = end + 1;
	}
}
