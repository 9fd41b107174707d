/* limits.h says what for. */
#include "supervise/limits.h"

enum {
	/* Measured: a CPU of this kind clears and maps 2 to 3 GB a second, with huge pages too. */
	FILL_KIB_PER_MS = 4096,
	MEMORY_PAUSE_LEAST = 2,
	MEMORY_PAUSE_MOST = 1000,
	/* A look takes no more than a twentieth of a CPU; but who makes looking slow must not gain much by it. */
	MEMORY_COST_FACTOR = 20,
	MEMORY_COST_PAUSE_MOST = 50,
};

static int64_t between(int64_t value, int64_t least, int64_t most)
{
	return value < least ? least : value > most ? most : value;
}

int memory_pause(uint64_t headroom, unsigned cpus, uint64_t cost_us)
{
	uint64_t fill = (headroom >> 10) / ((uint64_t)FILL_KIB_PER_MS * (cpus > 0 ? cpus : 1));
	int64_t least = between((int64_t)(cost_us / 1000 * MEMORY_COST_FACTOR), MEMORY_PAUSE_LEAST,
	                        MEMORY_COST_PAUSE_MOST);

	return (int)between(fill > MEMORY_PAUSE_MOST ? MEMORY_PAUSE_MOST : (int64_t)fill, least,
	                    MEMORY_PAUSE_MOST);
}

enum {
	PERIOD_US = 100000,
	COUNT_LEAST_US = 5000,
	IDLE_AFTER_US = 300000, /* then it is looked at less often */
	IDLE_PERIODS = 2,
};

void throttle_begin(struct throttle *throttle, unsigned percent, unsigned cpus, int64_t now)
{
	*throttle =
		(struct throttle){.percent = percent, .cpus = cpus > 0 ? cpus : 1, .at = now, .busy_at = now};
	throttle->credit = (int64_t)percent * PERIOD_US / 100;
}

void throttle_skip(struct throttle *throttle, int64_t now, int64_t used)
{
	throttle->at = throttle->busy_at = now;
	throttle->used = used;
	throttle->stopped = false;
}

/* What is left unused is kept for one period and not longer: who slept for an hour has no hour to burn. */
static void throttle_account(struct throttle *throttle, int64_t now, int64_t used)
{
	int64_t share = (int64_t)throttle->percent * PERIOD_US / 100;
	int64_t passed = now - throttle->at;
	int64_t delta = used >= throttle->used ? used - throttle->used : passed * throttle->cpus;

	throttle->credit += passed * throttle->percent / 100 - delta;
	if (throttle->credit > share)
		throttle->credit = share;
	if (delta > 0 || throttle->stopped)
		throttle->busy_at = now;
	throttle->at = now;
	throttle->used = used;
}

/* It goes on when a period's share has gathered again: stopping costs, so it is done seldom. */
static int64_t time_to_go_on(const struct throttle *throttle)
{
	int64_t share = (int64_t)throttle->percent * PERIOD_US / 100;

	return (share - throttle->credit) * 100 / throttle->percent;
}

int throttle_count(struct throttle *throttle, int64_t now, int64_t used)
{
	int64_t wait;

	throttle_account(throttle, now, used);
	if (throttle->stopped)
		throttle->stopped = time_to_go_on(throttle) > 0;
	else
		throttle->stopped = throttle->credit <= 0;
	if (throttle->stopped)
		wait = time_to_go_on(throttle);
	else if (now - throttle->busy_at >= IDLE_AFTER_US)
		wait = IDLE_PERIODS * PERIOD_US;
	else
		wait = between(throttle->credit / throttle->cpus, COUNT_LEAST_US, PERIOD_US);
	return (int)((wait + 999) / 1000);
}
