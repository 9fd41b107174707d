/* bench.h says what each is for. */
#include "bench/bench.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/fd.h"
#include "sluice.h"

struct request {
	unsigned work, repeats; /* 0 repeats: the end */
};

noreturn void die(const char *format, ...)
{
	va_list arguments;

	fflush(stdout);
	fprintf(stderr, "%s: ", program_invocation_short_name);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	_exit(1);
}

const char *text(const char *format, ...)
{
	static char texts[8][128];
	static unsigned next;
	char *to = texts[next++ % 8];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(to, sizeof(texts[0]), format, arguments);
	va_end(arguments);
	return to;
}

double now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int double_compare(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

double quantile(const double *sorted, size_t count, double share)
{
	size_t at = (size_t)(share * (double)count);

	return sorted[at < count ? at : count - 1];
}

double median(double *values, size_t count)
{
	qsort(values, count, sizeof(values[0]), double_compare);
	return quantile(values, count, 0.5);
}

double lane_median(const struct lane *lane, unsigned part, unsigned rounds)
{
	double copy[ROUNDS_MAX];

	memcpy(copy, lane->ns[part], rounds * sizeof(copy[0]));
	return median(copy, rounds);
}

double lanes_ratio(const struct lane *over, const struct lane *under, unsigned part, unsigned rounds)
{
	double ratios[ROUNDS_MAX];

	for (unsigned i = 0; i < rounds; i++)
		ratios[i] = over->ns[part][i] / under->ns[part][i];
	return median(ratios, rounds);
}

void confine(const char *const keys[])
{
	sl_policy *policy = sl_policy_new();
	sl_error error;

	if (policy == NULL)
		die("out of memory");
	for (size_t i = 0; keys[i] != NULL; i += 2)
		if (sl_policy_set(policy, keys[i], keys[i + 1], &error) < 0)
			die("%s", error.message);
	if (sl_confine_self(policy, &error) < 0)
		die("sl_confine_self: %s", error.message);
	sl_policy_free(policy);
}

static noreturn void lane_main(const struct lane *lane, const struct work *works, int requests, int replies)
{
	struct request request;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (lane->enter != NULL)
		lane->enter();
	while (fd_read_all(requests, &request, sizeof(request)) == 0 && request.repeats > 0) {
		double ns[PARTS] = {0};

		works[request.work].run(request.repeats, ns);
		if (fd_write_all(replies, ns, sizeof(ns)) < 0)
			_exit(1);
	}
	_exit(0);
}

static void lane_start(struct lane *lane, const struct work *works)
{
	int requests[2], replies[2];

	if (pipe(requests) < 0 || pipe(replies) < 0 || (lane->pid = fork()) < 0)
		die("starting %s: %s", lane->name, strerror(errno));
	if (lane->pid == 0) {
		close(requests[1]);
		close(replies[0]);
		lane_main(lane, works, requests[0], replies[1]);
	}
	close(requests[0]);
	close(replies[1]);
	lane->requests = requests[1];
	lane->replies = replies[0];
}

static const struct work *started; /* one set of lanes at a time */

void lanes_start(struct lane *lanes, size_t count, const struct work *works)
{
	started = works;
	fflush(NULL);
	for (size_t i = 0; i < count; i++)
		lane_start(&lanes[i], works);
}

static void lane_round(struct lane *lane, unsigned work, unsigned round)
{
	struct request request = {.work = work, .repeats = started[work].repeats};
	double ns[PARTS];

	if (fd_write_all(lane->requests, &request, sizeof(request)) < 0 ||
	    fd_read_all(lane->replies, ns, sizeof(ns)) < 0)
		die("%s: the lane \"%s\" ended", started[work].name, lane->name);
	for (unsigned part = 0; part < PARTS; part++)
		lane->ns[part][round] = ns[part];
}

/* Whoever comes first changes, and so does the neighbour whose warm caches one inherits. */
void lanes_run(struct lane *lanes, size_t count, unsigned work, unsigned rounds)
{
	for (size_t i = 0; i < count; i++)
		lane_round(&lanes[i], work, 0); /* warms up; overwritten */
	for (unsigned round = 0; round < rounds; round++)
		for (size_t i = 0; i < count; i++) {
			size_t turn = (round + i) % count;

			lane_round(&lanes[round / count % 2 == 0 ? turn : count - 1 - turn], work, round);
		}
}

void lanes_stop(struct lane *lanes, size_t count)
{
	struct request end = {0};

	for (size_t i = 0; i < count; i++) {
		int status;

		fd_write_all(lanes[i].requests, &end, sizeof(end));
		if (waitpid(lanes[i].pid, &status, 0) < 0 || status != 0)
			die("the lane \"%s\" ended with status %d", lanes[i].name, status);
		fd_close(&lanes[i].requests);
		fd_close(&lanes[i].replies);
	}
}

static void number_print(double value, const char *unit)
{
	char number[32] = "-";

	if (value > 0)
		snprintf(number, sizeof(number), "%.*f %s",
		         value < 10     ? 2
		         : value < 1000 ? 1
		                        : 0,
		         value, unit);
	printf(" %10s", number);
}

void row_print(const struct row *row)
{
	printf("%-46s", row->what);
	number_print(row->bare, row->unit);
	number_print(row->floor, row->unit);
	number_print(row->sluice, row->unit);
	printf("  %-18s %-14s %s\n", row->ratio == NULL ? "-" : row->ratio,
	       row->target == NULL ? "-" : row->target,
	       row->target == NULL ? "-"
	       : row->met          ? "yes"
	                           : "no");
	fflush(stdout);
}
