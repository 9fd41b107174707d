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

/* Is there a control group of version 2 that is ours to divide? sluice-policy(5), cgroup. */
bool cgroup_is_delegated(void);

/* The plan for `mode`, in words. */
int explain_policy(const sl_policy *policy, enum plan_mode mode, FILE *out, sl_error *error);

/* netpolicy's grammars, for core/. */
extern const struct policy_checks policy_checks_all;
/* ---- the sandboxes of this user that run ----
 *
 * What is said here is the kernel's word: who holds the lock of an entry, whose child is whose, when it began. Only the text
 * of an entry is not: whoever could write to the file could write that. */
struct running {
	char name[256];
	int entry; /* the file; reading it harms no lock, they are the keeper's */
	pid_t keeper;
	int keeper_pidfd; /* of who holds the lock: nobody else gets what is sent there */
	pid_t command;    /* 0: none any more */
};

struct running_facts {
	pid_t supervisor;
	pid_t *pids; /* malloc'd: the tree, the command first */
	size_t count;
	bool paused;      /* the command is stopped */
	double seconds;   /* since the command was forked */
	char program[64]; /* what the kernel calls the command now */
};

/* The registry's directory, made where it is not there. It, or -errno. */
int running_open(sl_error *error);
/* Names of entries, living or not: at most RUNNING_MAX, NULL behind the last. Free each, and all. NULL: no memory. */
enum { RUNNING_MAX = 65536 };
char **running_names(int dir);
/* 0; -ENOENT: no such sandbox runs, and where there was an entry of a dead one it is gone now. */
int running_find(int dir, const char *name, struct running *running, sl_error *error);
void running_clear(struct running *running);
int running_look(const struct running *running, struct running_facts *facts);
/* The entry's text, NUL-terminated, malloc'd; NULL where there is none to be had, or too much. */
char *running_text(const struct running *running);
/* The whole tree: asks the keeper, and waits until it is gone. -ETIMEDOUT. */
int running_kill(const struct running *running, sl_error *error);
/* To the command alone. */
int running_signal(const struct running *running, int signal, sl_error *error);

/* What sluice check prints. */
struct kernel;
void kernel_probe(struct kernel *kernel);
void kernel_probe_gate(struct kernel *kernel);

#endif
