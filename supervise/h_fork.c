/* fork(2), vfork(2) and clone(2) without CLONE_THREAD under max-processes; clone3(2) does not exist here.
 *
 * The kernel carries the fork out, so that its child is not to be seen when it is let through, and perhaps not for a long
 * time: the caller may be slow, stopped, or killed before it gets there. So forks are counted when they are let through,
 * and the tree is looked at only when that count has reached the limit:
 *
 *     bound = processes at the last look + forks that were on their way then + forks that were let through since
 *
 * A fork is no longer on its way when one of these is seen of its thread, and the look at the tree comes after that:
 *     it asks again          the earlier call has returned, or was broken off and is tried again
 *     it is gone
 *     it is in another call, or was interrupted in none: /proc/TID/syscall
 *     it has a child behind the one that was its youngest. That of a single thread only: to others the children of a
 *     thread that ends may come, and to a subreaper those of anybody.
 *
 * Where there is no room the caller waits a little: a process that has just ended has still to be waited for. */
#include "core/clock.h"
#include "supervise/forks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/fd.h"
#include "supervise/lines.h"

enum {
	WAIT_US = 20000,
	LOOKS = 3, /* at once, until nobody ends meanwhile */
	CHILDREN_SIZE = 65536,
};
static const double AGAIN_SECONDS = 0.001;

/* ---- what is on its way ---- */

static char children[CHILDREN_SIZE];

/* The list of `tid`, in the order in which they came to it. False where it is not all there. */
static bool children_list(const struct forks *forks, pid_t tid)
{
	char path[64];
	long size;

	snprintf(path, sizeof(path), "%d/task/%d/children", tid, tid);
	size = file_text(forks->tree.proc, path, children, sizeof(children));
	return size >= 0 && size < CHILDREN_SIZE - 1;
}

/* proc_pid_stat(5): the state is field 3, the number of threads field 20. */
static bool stat_read(const struct forks *forks, pid_t tid, char *state, long *threads)
{
	char path[32], text[1024], *at;

	snprintf(path, sizeof(path), "%d/stat", tid);
	if (file_text(forks->tree.proc, path, text, sizeof(text)) <= 0 || (at = strrchr(text, ')')) == NULL)
		return false;
	*state = at[1] == ' ' ? at[2] : 'X';
	for (int field = 2; at != NULL && field < 20; field++)
		at = (at = strchr(at, ' ')) == NULL ? NULL : at + 1;
	*threads = at == NULL ? 0 : strtol(at, NULL, 10);
	return true;
}

static struct fork_on_way on_way_of(const struct forks *forks, pid_t tid)
{
	struct fork_on_way fork = {.tid = tid};
	long threads;
	char state;
	char *at = children, *end;

	fork.alone = stat_read(forks, tid, &state, &threads) && threads == 1 && children_list(forks, tid);
	for (long pid = fork.alone ? strtol(at, &end, 10) : 0; pid > 0; pid = strtol(at, &end, 10)) {
		fork.youngest = (pid_t)pid;
		at = end;
	}
	return fork;
}

static bool has_new_child(const struct forks *forks, const struct fork_on_way *fork)
{
	bool behind = fork->youngest == 0;
	char *at = children, *end;

	if (!fork->alone || forks->subreapers || !children_list(forks, fork->tid))
		return false;
	for (long pid = strtol(at, &end, 10); pid > 0; pid = strtol(at, &end, 10)) {
		if (behind)
			return true;
		behind = pid == fork->youngest;
		at = end;
	}
	return false;
}

/* proc_pid_syscall(5): "running" says nothing; -1 is somebody who was interrupted outside of any call. */
static bool is_elsewhere(const struct forks *forks, pid_t tid)
{
	char path[32], text[128];
	long number;

	snprintf(path, sizeof(path), "%d/syscall", tid);
	if (file_text(forks->tree.proc, path, text, sizeof(text)) <= 0 || text[0] == 'r')
		return false;
	number = strtol(text, NULL, 10);
	return number != SYS_clone && number != SYS_fork && number != SYS_vfork;
}

static bool has_arrived(const struct forks *forks, const struct fork_on_way *fork)
{
	long threads;
	char state;

	if (!stat_read(forks, fork->tid, &state, &threads) || state == 'Z' || state == 'X')
		return true;
	return is_elsewhere(forks, fork->tid) || has_new_child(forks, fork);
}

static void on_way_forget(struct forks *forks, pid_t tid)
{
	for (unsigned i = 0; i < forks->on_way_count; i++) {
		if (forks->on_way[i].tid != tid)
			continue;
		forks->on_way[i] = forks->on_way[--forks->on_way_count];
		return;
	}
}

static void on_way_review(struct forks *forks)
{
	for (unsigned i = forks->on_way_count; i > 0; i--)
		if (has_arrived(forks, &forks->on_way[i - 1]))
			forks->on_way[i - 1] = forks->on_way[--forks->on_way_count];
}

/* ---- is there room ---- */

/* To a subreaper orphans may come after it was looked at, and from it to the keeper: two looks in a row miss none. */
static bool tree_is_seen(struct forks *forks)
{
	int needed = forks->subreapers ? 2 : 1, good = 0;

	for (int i = 0; i < LOOKS && good < needed; i++)
		good = tree_look(&forks->tree, forks->keeper) ? good + 1 : 0;
	return good == needed;
}

static void recount(struct forks *forks)
{
	on_way_review(forks);
	if (!tree_is_seen(forks))
		return;
	forks->bound.counted = forks->tree.count + forks->on_way_count;
	forks->bound.since = 0;
}

static bool has_room(struct forks *forks)
{
	if (!process_fits(&forks->bound) || forks->on_way_count == FORKS_ON_WAY_MAX)
		recount(forks);
	return process_fits(&forks->bound) && forks->on_way_count < FORKS_ON_WAY_MAX;
}

static void fork_admit(struct forks *forks, pid_t tid)
{
	forks->bound.since++;
	forks->on_way[forks->on_way_count++] = on_way_of(forks, tid);
}

/* ---- who waits ---- */

static void again_due(struct ev_loop *loop, struct ev_timer *timer, int events)
{
	struct forks *forks = timer->data;
	int64_t now = clock_us();
	unsigned kept = 0;

	(void)events;
	for (unsigned i = 0; i < forks->waits_count; i++) {
		struct fork_wait wait = forks->waits[i];

		if (has_room(forks)) {
			fork_admit(forks, wait.tid);
			respond(forks->gate, wait.id, verdict_continue());
		} else if (now >= wait.until) {
			respond(forks->gate, wait.id, verdict_errno(-EAGAIN));
		} else {
			forks->waits[kept++] = wait;
		}
	}
	forks->waits_count = kept;
	if (kept > 0)
		return;
	ev_timer_stop(loop, timer);
	forks->gate->jobs--;
}

static struct verdict fork_wait(struct forks *forks, const struct call *call)
{
	if (forks->waits_count == FORKS_WAIT_MAX)
		return verdict_errno(-EAGAIN);
	forks->waits[forks->waits_count++] =
		(struct fork_wait){.id = call->id, .tid = call->tid, .until = clock_us() + WAIT_US};
	if (forks->waits_count == 1) {
		ev_timer_set(&forks->again, AGAIN_SECONDS, AGAIN_SECONDS);
		ev_timer_start(forks->gate->loop, &forks->again);
		forks->gate->jobs++;
	}
	return (struct verdict){.kind = VERDICT_LATER};
}

struct verdict handle_fork(struct gate *gate, const struct call *call)
{
	struct forks *forks = gate->forks;

	if (forks == NULL || forks->keeper == 0)
		return verdict_errno(-EAGAIN);
	on_way_forget(forks, call->tid);
	/* Whoever waits was first. */
	if (forks->waits_count > 0 || !has_room(forks))
		return fork_wait(forks, call);
	fork_admit(forks, call->tid);
	return verdict_continue();
}

struct verdict handle_prctl(struct gate *gate, const struct call *call)
{
	(void)call;
	if (gate->forks != NULL)
		gate->forks->subreapers = true;
	return verdict_continue();
}

int forks_open(struct gate *gate, unsigned limit)
{
	struct forks *forks =
		mmap(NULL, sizeof(*forks), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (forks == MAP_FAILED)
		return -errno;
	gate->forks = forks;
	forks->gate = gate;
	forks->bound = (struct process_bound){.limit = limit, .counted = 1};
	ev_timer_init(&forks->again, again_due, 0, 0);
	forks->again.data = forks;
	return tree_open(&forks->tree, gate->proc, 0);
}

void forks_begin(struct forks *forks, pid_t keeper)
{
	forks->keeper = keeper;
}
