/* cputime.h says what for. */
#include "supervise/cputime.h"

#include <linux/perf_event.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/clock.h"

enum {
	WALK_LEAST_US = 100000, /* with an event: from one walk to the next */
	WALK_COST_FACTOR = 20,  /* a walk takes no more than a twentieth of a CPU */
	ROUNDED_US = 20000,     /* of one process: user and system time, each in hundredths of a second */
};

/* What an ordinary user may count is his own: without `exclude_kernel` he is refused. A clock counts the kernel's part all
 * the same. */
void cputime_open(struct cputime *cputime, struct tree *tree, pid_t command)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_TASK_CLOCK,
		.inherit = 1,
		.exclude_kernel = 1,
		.exclude_hv = 1,
	};

	*cputime = (struct cputime){.tree = tree};
	cputime->event = (int)syscall(SYS_perf_event_open, &attr, command, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

/* Who is waited for while the tree is looked at is missed, and looks as if its time were forgotten: so look twice. */
static int64_t walk(struct cputime *cputime)
{
	int64_t used = tree_cpu_time(cputime->tree);

	return used >= cputime->walked ? used : tree_cpu_time(cputime->tree);
}

/* Rounding moves both ways, and evens out; what is ahead by more than it can be was not counted. */
void cputime_compare(struct cputime *cputime, int64_t walked, int64_t counted, uint64_t processes)
{
	int64_t slack = ROUNDED_US * (int64_t)(processes + 1);

	if (walked > cputime->walked)
		cputime->balance += walked - cputime->walked;
	cputime->balance -= counted - cputime->counted;
	if (cputime->balance < -slack)
		cputime->balance = -slack;
	if (cputime->balance > slack) {
		cputime->missed += cputime->balance - slack;
		cputime->balance = slack;
	}
	cputime->walked = walked;
	cputime->counted = counted;
}

static void walk_later(struct cputime *cputime, int64_t begun, int64_t least)
{
	int64_t ended = clock_us(), pause = (ended - begun) * WALK_COST_FACTOR;

	cputime->walk_at = ended + (pause > least ? pause : least);
}

/* By walking alone. Between walks nothing is known to have been used. */
static int64_t read_by_walk(struct cputime *cputime, int64_t now)
{
	if (now < cputime->walk_at)
		return cputime->walked;
	cputime->walked = walk(cputime);
	walk_later(cputime, now, 0);
	return cputime->walked;
}

int64_t cputime_read(struct cputime *cputime, int64_t now)
{
	uint64_t nanoseconds = 0;
	int64_t counted;

	if (cputime->event < 0 || read(cputime->event, &nanoseconds, sizeof(nanoseconds)) < 0)
		return read_by_walk(cputime, now);
	counted = (int64_t)(nanoseconds / 1000);
	if (now >= cputime->walk_at) {
		cputime_compare(cputime, walk(cputime), counted, cputime->tree->count);
		walk_later(cputime, now, WALK_LEAST_US);
	}
	return counted + cputime->missed;
}

int64_t cputime_later(const struct cputime *cputime, int64_t wanted)
{
	return cputime->event < 0 && wanted < cputime->walk_at ? cputime->walk_at : wanted;
}
