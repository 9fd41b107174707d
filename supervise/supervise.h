/* supervise/: the gate, and the two ways to start one. What cli/ may use of it. */
#ifndef SL_SUPERVISE_H
#define SL_SUPERVISE_H

#include "core/plan.h"
#include "sluice.h"

/* sl_confine_self() with its arguments checked. */
int confine_in_place(const sl_policy *policy, sl_error *error);

enum {
	EXIT_TIMEOUT = 124,        /* the policy's timeout */
	EXIT_SLUICE = 125,         /* sluice itself failed */
	EXIT_NOT_EXECUTABLE = 126, /* found, and could not be executed */
	EXIT_NOT_FOUND = 127,
};

/* What execve(2) said, in words that help. Returns `code`. */
int exec_failure(int code, const char *path, sl_error *error);

/* Run a command in launch mode and return its exit status, 128+n for signal n; or one of the above with
 * *error set. Without a supervisor this process becomes the command, so that a return means failure. To be
 * called once, by a single-threaded process that does nothing else. argv ends in NULL and has at least one
 * element. */
int launch_run(const sl_policy *policy, char *const argv[], sl_error *error);

/* The plan for `mode`, in words. */
int explain_policy(const sl_policy *policy, enum plan_mode mode, FILE *out, sl_error *error);

/* netpolicy's grammars, for core/. */
extern const struct policy_checks policy_checks_all;

/* What sluice check prints. */
struct kernel;
void kernel_probe(struct kernel *kernel);
void kernel_probe_gate(struct kernel *kernel);

#endif
