/* confine/: the walls around the calling process. What other rooms may use of it. */
#ifndef SL_CONFINE_H
#define SL_CONFINE_H

#include <linux/filter.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "core/plan.h"
#include "sluice.h"

/* Ask the kernel by calls that must fail or that change nothing. The second adds what only a supervisor needs. */
void kernel_probe(struct kernel *kernel);
void kernel_probe_gate(struct kernel *kernel);

/* May this descriptor of ours go into a sandbox? -EPERM with its name for what passes the walls. */
int preflight_descriptor(int fd, sl_error *error);

/* Is there anything of this process that would pass the walls around a fork of it that executes nothing? As below. */
int preflight_fork(sl_error *error);

/* Could a supervisor of the plan's see into this process, and into its forks until they execute something? -EPERM. */
int preflight_dumpable(const struct plan *plan, const struct kernel *kernel, sl_error *error);

/* Is there anything in this process that would void the walls? *threads says how many
 * there are. -EPERM names what is in the way; -errno when /proc cannot be read: not looking is not passing.
 */
int preflight_check(const struct plan *plan, const struct kernel *kernel, unsigned *threads, sl_error *error);

/* A classic BPF program for seccomp(2). */
struct filter_program {
	struct sock_filter *code; /* malloc'd */
	size_t count;
};

/* The plan's filter; `gate` is the supervisor's pid, 0 without one. -ENOMEM, -E2BIG. */
int filter_assemble(struct filter_program *program, const struct plan *plan, pid_t gate);
/* The keeper's pid, and with GATE_LATER the supervisor's, are put in when they are known. Async-signal-safe. No process has
 * the numbers that stand there until then: PID_MAX_LIMIT is 2^22. */
enum { GATE_LATER = 0x7fffff5e, KEEPER_LATER = 0x7fffff5f };
void filter_set_pid(struct filter_program *program, uint32_t later, pid_t pid);
void filter_clear(struct filter_program *program);

/* One call that a process of ours keeps; with rules, only where one of them matches. */
struct filter_allow {
	int number;
	const struct arg_rule *rules;
	size_t count;
	unsigned when; /* as arg_rule.when */
};

/* Only these calls, and of them those whose conditions hold; EPERM for all others. -ENOMEM, -E2BIG. */
int filter_assemble_allow(struct filter_program *program, const struct filter_allow *rows, size_t count,
                          unsigned conditions);

/* Load with seccomp(2). With SECCOMP_FILTER_FLAG_NEW_LISTENER the listener is returned. -errno. */
int filter_load(const struct filter_program *program, unsigned long flags);

/* A granted path as an O_PATH descriptor, the caller's. -ELOOP, -EXDEV: a symbolic link or ".." below an fs-write
 * directory. grant_error() says that, or what the errno says, and returns `code`. */
int grant_open(const struct plan *plan, const char *name);
int grant_error(const char *name, int code, sl_error *error);

/* A ruleset with all of the plan's grants; the descriptor is the caller's. The error names the path. */
int ruleset_create(const struct plan *plan, sl_error *error);

/* The permitted set of this thread. */
uint64_t capabilities_permitted(void);

/* Give up for good, bounding set included, what leads around the walls. -errno. */
int capabilities_drop(void);

/* Leave no more in the bounding set than capabilities_drop() leaves elsewhere, or nothing at all: execve(2) takes what is
 * more for a gain, where root makes it, and resets the personality. -errno. */
int capabilities_bound(bool nothing);

/* Give up every one for good: those of a user namespace of our own. -errno. */
int capabilities_drop_all(void);

/* Only `needed` stays in effect, and nothing is inherited; the permitted set stays, because ptrace(2) wants
 * it to hold all that the target's holds. -errno. */
int capabilities_suspend(uint64_t needed);

/* Before the fork: what only this process knows of itself. The error names the key. */
int child_settle(struct child_setup *setup, sl_error *error);

/* In the child, before the walls and behind them: what they still need, descriptors and processes, is what the
 * limits are about. Async-signal-safe. -errno, and *step says at what. */
int child_prepare(const struct child_setup *setup, const char **step);
int child_limit(const struct child_setup *setup, const char **step);

/* Soft and hard become the lowest of the three: what is there already may be somebody else's wall. Async-signal-safe. -errno. */
int limit_lower(int resource, rlim_t most);

/* The point of no return: limits, no_new_privs, Landlock, capabilities, filter, in this order.
 * Async-signal-safe. Returns the listener for a supervised plan, else 0; on failure -errno, *step says at
 * what, and *raised whether anything is up already. */
struct walls {
	const struct plan *plan;
	int ruleset;
	const struct filter_program *program;
	bool all_threads; /* only where preflight_check() found that the kernel can */
};
int walls_raise(const struct walls *walls, bool *raised, const char **step);

#endif
