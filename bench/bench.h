/* What the benches share: lanes that take turns, medians, and the rows of one table.
 *
 * A lane is a process that was set up in one way (bare, behind the kernel's floor, confined by Sluice) and
 * runs rounds of work when it is told to. The rounds of all lanes are interleaved and short, so that what
 * disturbs the machine disturbs them alike; a ratio is the median of the ratios of neighbouring rounds, not a
 * ratio of medians.
 */
#ifndef SL_BENCH_H
#define SL_BENCH_H

#include <stddef.h>
#include <stdint.h>
#include <stdnoreturn.h>
#include <sys/types.h>

enum { PARTS = 2, ROUNDS_MAX = 201 };

struct lane {
	const char *name;
	void (*enter)(void); /* in the lane, once, before its first round; NULL: stay bare */
	pid_t pid;
	int requests, replies;
	double ns[PARTS][ROUNDS_MAX];
};

/* One kind of work: `repeats` operations, then nanoseconds for one of them. What the parts are is the bench's
 * to say; one that is not used stays 0. */
struct work {
	const char *name;
	void (*run)(unsigned repeats, double ns[PARTS]);
	unsigned repeats;
};

/* The lanes fork here: what the works need must exist before. A lane that fails ends the bench. */
void lanes_start(struct lane *lanes, size_t count, const struct work *works);
void lanes_run(struct lane *lanes, size_t count, unsigned work, unsigned rounds);
void lanes_stop(struct lane *lanes, size_t count);

double lane_median(const struct lane *lane, unsigned part, unsigned rounds);
double lanes_ratio(const struct lane *over, const struct lane *under, unsigned part, unsigned rounds);

double median(double *values, size_t count); /* sorts them */
double quantile(const double *sorted, size_t count, double share);
double now_ns(void); /* CLOCK_MONOTONIC */

/* Sluice's own lane: one key and value after the other, NULL. Ends the process when that fails. */
void confine(const char *const keys[]);

/* One row: what | bare | floor | sluice | ratio | target | met. A number of 0 was not measured. */
struct row {
	const char *what, *unit;
	double bare, floor, sluice;
	const char *ratio;  /* text; NULL: none */
	const char *target; /* NULL: none */
	int met;            /* where there is a target */
};
void row_print(const struct row *row);

/* In one of eight static buffers. */
const char *text(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Something does not work: say so and end with 1. A missed target is not such a thing. */
noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* floor.c: put the calling process behind the least supervisor there can be. */
void floor_enter(void);

#endif
