/* What a sandbox sees of the machine where it is to see something else: its host name, and how many CPUs there are.
 * A convenience, not a secret kept: who may read the real files can find ways to.
 *
 * A viewed file is a sealed memfd(2), which nobody can write to, grow or shrink. Each open of it opens the memfd anew, by
 * /proc/self/fd/N: that gives a description with an offset of its own, read-only, without a page more of memory for
 * each, and takes no call that the supervisor would not have otherwise.
 */
#ifndef SL_SUPERVISE_VIEWS_H
#define SL_SUPERVISE_VIEWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/utsname.h>

#include "confine/object.h"
#include "core/plan.h"

/* What is shown: borrowed for as long as the supervisor lives. */
struct view_rules {
	const struct plan *plan; /* its grants: what may not be read is not viewed */
	const char *name;        /* NULL: the real one */
	unsigned num_cpus;       /* 0: all */
};

enum view_id {
	VIEW_HOSTNAME,
	VIEW_KERNEL_HOSTNAME,
	VIEW_CPUINFO,
	VIEW_STAT,
	VIEW_ONLINE,
	VIEW_POSSIBLE,
	VIEW_PRESENT,
	VIEW_COUNT,
};

/* The kernel shows another machine and another release under these personalities: personality(2). */
enum { PERSONA_32 = 1 << 0, PERSONA_26 = 1 << 1, PERSONA_COUNT = 4 };

struct views {
	const struct view_rules *rules;
	int memfds[VIEW_COUNT];   /* -1: not viewed */
	int64_t made[VIEW_COUNT]; /* CLOCK_MONOTONIC, ms */
	char *source, *text;      /* VIEW_SIZE_MAX each, pages touched as they are used */
	struct utsname names[PERSONA_COUNT];
};
enum { VIEW_SIZE_MAX = 8 << 20 };

/* Before the supervisor locks itself in. No malloc(3). -errno */
int views_open(struct views *views, const struct view_rules *rules);

/* Could a path that ends in this be viewed? A cheap no for nearly all. */
bool views_know(const struct views *views, const char *last);

/* Which view shows `object`, the end of a path whose last component is `last`; -ENOENT. */
int views_find(const struct views *views, const char *last, const struct object *object);

/* A description of its own, O_RDONLY | O_CLOEXEC and `flags`; `proc` is /proc. -errno */
int view_give(struct views *views, int proc, enum view_id id, int flags);

/* view_text.c: what is shown, pure. Each returns the size, at most `room`. Lines that are not known are passed on. */
size_t cpuinfo_cut(const char *from, size_t size, unsigned cpus, char *to, size_t room);
/* The sum of the CPUs that are shown takes the place of that of all. */
size_t stat_cut(const char *from, size_t size, unsigned cpus, char *to, size_t room);
/* Keeps the lowest `cpus` bits. */
void mask_cut(unsigned long *mask, size_t words, unsigned cpus);
/* How many a list such as "0-3,8" holds; 0 where it is none. */
unsigned list_count(const char *text);

#endif
