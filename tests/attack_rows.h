/* Tables of attempts: each row is played bare (the control: it can succeed) and confined. */
#ifndef SL_TESTS_ATTACK_ROWS_H
#define SL_TESTS_ATTACK_ROWS_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/common/common.h"

enum attack_control {
	CONTROL_BOTH,    /* bare, it succeeds as any user */
	CONTROL_ROOT,    /* ... as root only: an ordinary user has no control, and the row says so */
	CONTROL_NETWORK, /* ... as root, and as a user in a network of its own: attack_privilege.h */
	CONTROL_NONE,    /* this machine cannot show it bare: what must differ is the errno */
};

/* Debian's kernels know 3, which leaves an ordinary user nothing of it. */
static inline enum attack_control perf_control(void)
{
	return sysctl_of("kernel/perf_event_paranoid", 2) > 2 ? CONTROL_ROOT : CONTROL_BOTH;
}

/* Since Linux 6.2 typing on a terminal can be left to CAP_SYS_ADMIN. */
static inline enum attack_control typing_control(void)
{
	return sysctl_of("dev/tty/legacy_tiocsti", 1) == 0 ? CONTROL_ROOT : CONTROL_BOTH;
}

struct attack_row {
	const char *name;
	attempt_fn attempt;
	void *context;
	int refused; /* the result when confined */
	enum attack_control control;
};

static inline const char *result_name(int result)
{
	if (result >= ATTEMPT_UNCONFINED)
		return "not confined";
	if (result >= ATTEMPT_KILLED)
		return text_of("killed by signal %d", result - ATTEMPT_KILLED);
	return result == 0 ? "succeeded" : strerrorname_np(result);
}

/* A feature that this kernel was built without cannot be its own control. */
static inline bool is_absent(int result)
{
	return result == ENOSYS || result == EAFNOSUPPORT || result == EPROTONOSUPPORT ||
	       result == ESOCKTNOSUPPORT;
}

static inline bool row_play_control(const struct attack_row *row)
{
	int bare = attempt_bare(row->attempt, row->context);

	if (bare == 0)
		return true;
	if (row->control == CONTROL_BOTH && !is_absent(bare)) {
		fprintf(stderr, "# %s: the control failed: bare it gave %s\n", row->name, result_name(bare));
		return false;
	}
	if (row->control != CONTROL_NONE && geteuid() == 0 && !is_absent(bare)) {
		fprintf(stderr, "# %s: the control failed as root: bare it gave %s\n", row->name,
		        result_name(bare));
		return false;
	}
	fprintf(stderr, "# no control here: %s gives %s bare\n", row->name, result_name(bare));
	return true;
}

static inline bool row_play_confined(const struct attack_row *row, const char *const policy[])
{
	int confined = attempt_confined(policy, row->attempt, row->context);

	if (confined == row->refused)
		return true;
	fprintf(stderr, "# %s: confined it gave %s, not %s\n", row->name, result_name(confined),
	        result_name(row->refused));
	return false;
}

/* How many rows went wrong; each says so. */
static inline int rows_play(const struct attack_row *rows, size_t count, const char *const policy[])
{
	int wrong = 0;

	for (size_t i = 0; i < count; i++) {
		wrong += !row_play_control(&rows[i]);
		wrong += !row_play_confined(&rows[i], policy);
	}
	return wrong;
}
#define ROWS(table) (table), sizeof(table) / sizeof((table)[0])

static inline int result_of(long value)
{
	return value < 0 ? errno : 0;
}

#endif
