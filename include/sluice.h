/* libsluice: confine a Linux program without root, containers or preloads.
 *
 * Every call that returns int gives 0 (sl_port_mappings(): a count) on success and a negative errno on failure.
 * `error` is the caller's own buffer and may be NULL; on failure it holds the same code and one line
 * that names the key, path or feature at fault and what would cure it. Nothing is printed, and the
 * process never exits, on the library's account. See sluice(3), sluice-policy(5).
 */
#ifndef SLUICE_H
#define SLUICE_H

#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SL_EXPORT __attribute__((visibility("default")))

typedef struct sl_policy sl_policy; /* what is wanted; built key by key, frozen by its first use */

typedef struct sl_error {
	int code;          /* negative errno, the value that the failing call returned */
	char message[256]; /* NUL-terminated, one line, no newline */
} sl_error;

/* An empty policy: it grants no file, no address and no port. NULL when memory is out. Free it with
 * sl_policy_free(). */
SL_EXPORT sl_policy *sl_policy_new(void);

/* A copy of its own, not frozen even where `policy` is. NULL when memory is out. */
SL_EXPORT sl_policy *sl_policy_copy(const sl_policy *policy);

/* `policy` may be NULL. A confinement that was made from it stays as it is. */
SL_EXPORT void sl_policy_free(sl_policy *policy);

/* Add `value` under `key`; keys are the long options of sluice(1) without their dashes, and
 * sluice-policy(5) lists them. Lists append, scalars are replaced. A flag takes NULL, "" or "yes".
 * Both strings are copied. On failure the policy is exactly as it was.
 *   -ENOENT   unknown key; the message names the nearest known one
 *   -EINVAL   bad value; the message names key, value and what was expected
 *   -ERANGE   a number or size out of its range
 *   -ENOTSUP  a form that this version does not enforce, and so does not accept
 *   -EBUSY    the policy is frozen
 *   -ENOMEM */
SL_EXPORT int sl_policy_set(sl_policy *policy, const char *key, const char *value, sl_error *error);

/* Write the plan for this policy on this kernel to `out`: processes, Landlock rules, the filter as
 * pseudo-code, the calls that are trapped and why, the address table, and the descriptors that are
 * open now. Confines nothing; freezes the policy. Errors: those of sl_confine_self() that the plan alone
 * can tell, -EIO. */
SL_EXPORT int sl_policy_explain(const sl_policy *policy, FILE *out, sl_error *error);

/* Lock the calling process in, for good: landlock(7), seccomp(2). Pid, parent, children, descriptors,
 * signal mask and dispositions, environment and stdio stay as they are. no_new_privs is set, a privileged
 * process loses the capabilities that lead around the walls (the README lists what it keeps), and
 * max-file-size lowers RLIMIT_FSIZE. Children that run already are not confined; those made later are.
 *
 * A policy that the kernel cannot enforce alone needs a supervisor: one more process, in a session of its own,
 * which wait(2) shows only to who asks for __WALL or __WCLONE, and which ends with the last confined process.
 *
 * May be called again to narrow further, as long as the second policy needs no supervisor.
 *
 * Nothing is confined, and nothing but no_new_privs may have changed, after these:
 *   -EINVAL     contradictory policy; the message says which keys
 *   -E2BIG      more names in deny-syscall than the filter takes
 *   -ENOENT, -EACCES, -ELOOP, -EXDEV, ...  a path that cannot be opened, or that a symbolic link below an
 *               fs-write directory would choose; the message names it
 *   -ENOTSUP    this kernel lacks a protection that is wanted; the message names both
 *   -EBUSY      a supervisor would be needed in a process that is confined already; TCP rules or binds by port
 *               under a supervisor; or another program supervises this process
 *   -EPERM      the pre-flight found something that voids the walls: other threads that cannot be
 *               confined, a tracer, an io_uring or userfaultfd descriptor, with strict-fds any other
 *   -ENOMEM, -EMFILE, -EAGAIN, -EIO  resources, /proc
 * A failure whose message begins with "confined, but" leaves the process confined, at least in part, and
 * every supervised call failing: the supervisor died (-ECONNRESET), was silent for ten seconds (-ETIMEDOUT)
 * or cannot reach this process. Treat any failure as a reason to exit. */
SL_EXPORT int sl_confine_self(const sl_policy *policy, sl_error *error);

/* A port that another process of this machine had when the sandbox asked for it, under port-remap. */
struct sl_port_mapping {
	int protocol; /* IPPROTO_TCP or IPPROTO_UDP */
	unsigned short asked,
		real;     /* what the sandbox sees, and what the rest of the machine does; host byte order */
	char address[46]; /* that it was bound at, as text: "0.0.0.0", "::1" */
};

/* The ports of this sandbox that are not what they seem, as of now: at most `room` of them are written to
 * `mappings`, and how many there are is returned. A port that is not among them is what was asked for. Any
 * confined process may ask, after execve(2) too; it asks the supervisor, at the price of a supervised call. Who
 * wants to hear of them instead gives port-map-fd a descriptor to read them from.
 *   -ENOTSUP  not under port-remap
 *   -EFAULT   `mappings` cannot be written
 *   -EINVAL   `mappings` is NULL and `room` is not 0 */
SL_EXPORT int sl_port_mappings(struct sl_port_mapping *mappings, size_t room);

/* ---- a command in a sandbox of its own ----
 *
 *     app
 *      +- stand-in       a child of the app: it ends as the command ends, and is the supervisor where one is needed
 *          +- keeper     parent of all that the command forks; it kills, stops and counts
 *              +- command (confined)
 *
 * An sl_sandbox is used by one thread at a time; different ones do not know of each other, and any thread of an app with
 * many may make them. What runs between fork(2) and execve(2) is async-signal-safe. The app's SIGCHLD tells of the
 * stand-in; an app that reaps all its children takes nothing away from the calls below. Whatever ends the keeper or the
 * stand-in ends the tree.
 */
typedef struct sl_sandbox sl_sandbox;

enum sl_stream_kind {
	SL_STREAM_INHERIT, /* the app's own; where that is not open, /dev/null */
	SL_STREAM_NULL,    /* /dev/null */
	SL_STREAM_PIPE,    /* a pipe; sl_sandbox_stream() gives the other end */
	SL_STREAM_GIVEN    /* `fd`: stays the app's, who may close it when the call has returned */
};
typedef struct sl_stream {
	int kind, fd;
} sl_stream;

/* Descriptor `source` of the app is `target` of the command. */
typedef struct sl_descriptor {
	int target, source;
} sl_descriptor;

/* All zero: all three inherited, and nothing else. Every other descriptor of the app but those of keep-fd is closed in
 * the command. `target` is 0 to 1023, each once, 64 in all. */
typedef struct sl_stdio {
	sl_stream in, out, err;
	const sl_descriptor *extra; /* read during the call only */
	size_t extra_count;
} sl_stdio;

enum sl_state {
	SL_STATE_CREATED, /* parked: confined, and not executed yet */
	SL_STATE_STARTING,
	SL_STATE_RUNNING,
	SL_STATE_PAUSED,
	SL_STATE_FROZEN,
	SL_STATE_ENDED
};

enum sl_reason {
	SL_REASON_NONE,    /* by itself, or by a signal from somewhere */
	SL_REASON_KILLED,  /* sl_kill(), sl_sandbox_free() */
	SL_REASON_TIMEOUT, /* the policy's timeout */
	SL_REASON_MEMORY,  /* max-memory */
	SL_REASON_FAILED,  /* it was never executed: sl_sandbox_failure() */
	SL_REASON_LOST     /* somebody killed the keeper or the stand-in; the tree is dead all the same */
};

/* How a command ended. */
typedef struct sl_status {
	int code; /* its exit status, or -1 when `signal` ended it; 125 to 127 as sluice(1) has them where it never ran */
	int signal;   /* 0: none */
	int reason;   /* enum sl_reason */
	int leftover; /* 1: some descendants forked faster than they could be killed, and may live on */
} sl_status;

/* Why a command was never executed. */
typedef struct sl_failure {
	int code;       /* negative errno */
	char step[64];  /* at what: "exec", "landlock_restrict_self", ... */
	char path[256]; /* of the command, where the step is about a path; else "" */
} sl_failure;

/* Make a sandbox with everything installed, and the command parked in it just before execve(2). argv ends in NULL; it and
 * `policy` are not used after the call. `stdio` may be NULL: all inherited. On success *sandbox is the caller's, to be
 * freed with sl_sandbox_free().
 *   -EINVAL             no argv; a descriptor that is given twice
 *   -EBADF              a descriptor that is not open
 *   -ENOENT, -EACCES    the command is not found, or not executable
 *   and those of sl_confine_self(). Nothing is left behind then. */
SL_EXPORT int sl_create(const sl_policy *policy, const char *const argv[], const sl_stdio *stdio,
                        sl_sandbox **sandbox, sl_error *error);

/* Let the parked command be executed, and return when it has been.
 *   -EALREADY  it was started before
 *   -ESRCH     it has ended
 *   else       what execve(2) says; the sandbox has ended then, and sl_sandbox_failure() tells more */
SL_EXPORT int sl_start(sl_sandbox *sandbox, sl_error *error);

/* sl_create() and sl_start() in one. On failure *sandbox is NULL and nothing is left behind. */
SL_EXPORT int sl_spawn(const sl_policy *policy, const char *const argv[], const sl_stdio *stdio,
                       sl_sandbox **sandbox, sl_error *error);

/* Wait until the command has ended and its tree is gone: `timeout_ms` milliseconds, 0 to look, -1 without end. May be
 * called again, and says the same again. `status` may be NULL.
 *   -ETIMEDOUT  it runs
 *   -EINVAL     it was never started: it would be a long time */
SL_EXPORT int sl_wait(sl_sandbox *sandbox, int timeout_ms, sl_status *status, sl_error *error);

/* The whole tree, descendants in other sessions and groups included, stops (SIGSTOP) and goes on. When sl_pause() returns
 * 0, nothing of it runs. sl_freeze() brings the supervisor to rest as well: no call is carried out on behalf of the tree
 * until sl_thaw(), none is lost, and those that were waiting go on waiting.
 *   -EALREADY  it is so already
 *   -EBUSY     a frozen one is thawed, a paused one resumed, and not the other way round
 *   -EINVAL    not started yet
 *   -ESRCH     it has ended
 *   -EAGAIN    after five seconds: it forks faster than it can be stopped. It runs on */
SL_EXPORT int sl_pause(sl_sandbox *sandbox, sl_error *error);
SL_EXPORT int sl_resume(sl_sandbox *sandbox, sl_error *error);
SL_EXPORT int sl_freeze(sl_sandbox *sandbox, sl_error *error);
SL_EXPORT int sl_thaw(sl_sandbox *sandbox, sl_error *error);

/* A signal to the command alone. -EINVAL: no such signal, or not started yet; -ESRCH. */
SL_EXPORT int sl_signal(sl_sandbox *sandbox, int signal, sl_error *error);

/* The whole tree is killed; sl_wait() tells when it is gone. 0 where it has ended already. */
SL_EXPORT int sl_kill(sl_sandbox *sandbox, sl_error *error);

/* Kill and reap what still runs, close what is open, free. NULL is nothing. */
SL_EXPORT void sl_sandbox_free(sl_sandbox *sandbox);

SL_EXPORT int sl_sandbox_state(const sl_sandbox *sandbox);   /* enum sl_state, as of the last call above */
SL_EXPORT pid_t sl_sandbox_pid(const sl_sandbox *sandbox);   /* the command */
SL_EXPORT int sl_sandbox_pidfd(const sl_sandbox *sandbox);   /* likewise: pidfd_open(2); the sandbox's */
SL_EXPORT pid_t sl_sandbox_child(const sl_sandbox *sandbox); /* the stand-in: what the app's wait(2) shows */

/* A descriptor for the app's own poll(2) or epoll(7): readable when something has happened, and sl_wait() with 0 takes it
 * in. It stays the sandbox's. */
SL_EXPORT int sl_sandbox_fd(const sl_sandbox *sandbox);

/* The app's end of the pipe that is descriptor 0, 1 or 2 of the command: O_CLOEXEC, the caller's from now on. -ENOENT: no
 * pipe was asked for, or it was taken already. */
SL_EXPORT int sl_sandbox_stream(sl_sandbox *sandbox, int stream);

/* Why it was never executed. 0, or -ENOENT when it was. */
SL_EXPORT int sl_sandbox_failure(const sl_sandbox *sandbox, sl_failure *failure);

/* To sl_run(): what it gets and what came of it. All zero to begin with, then the first three as wanted. */
typedef struct sl_result {
	const void *input; /* its stdin; NULL: /dev/null */
	size_t input_size;
	size_t limit; /* of each of the outputs, in bytes; 0: 1 MiB. What is more is read and thrown away */
	sl_status status;
	char *out, *err; /* malloc'd, with a NUL behind: sl_result_clear() */
	size_t out_size, err_size;
	int cut; /* 1: there was more */
} sl_result;

/* Run a command to its end, and keep what it writes. A command that fails is a success of this call. Errors: those of
 * sl_spawn(), -ENOMEM. */
SL_EXPORT int sl_run(const sl_policy *policy, const char *const argv[], sl_result *result, sl_error *error);
SL_EXPORT void sl_result_clear(sl_result *result);

#ifdef __cplusplus
}
#endif

#endif
