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

/* Add what the YAML file `file` says, and first what the files say that it extends: sluice-policy(5), PROFILES.
 * Lists append, scalars and flags are replaced, `false` switches a flag off. A profile that is extended by its name
 * is looked up below $XDG_CONFIG_HOME or $HOME/.config (not in a set-user-id program), in /etc and in share/ of the
 * installation. Paths in it are taken from the directory that is current when the policy is used. The strings are
 * copied. On failure the policy is exactly as it was, and the message begins with FILE:LINE:COLUMN.
 *   -ENOENT   no such file, or nothing of the name that is extended; other errors of open(2) and read(2)
 *   -EINVAL   not YAML; an unknown key, or one twice; a wrong type; a bad value; an anchor, alias or tag; a NUL byte;
 *             no regular file
 *   -ERANGE, -ENOTSUP  as sl_policy_set()
 *   -ELOOP    a profile extends itself, or more than 16 files deep
 *   -EFBIG    a file of more than 1 MiB
 *   -E2BIG    more than 64 files in all
 *   -EBUSY    the policy is frozen
 *   -ENOMEM */
SL_EXPORT int sl_policy_load(sl_policy *policy, const char *file, sl_error *error);

/* Write the plan for this policy on this kernel to `out`: processes, Landlock rules, the filter as
 * pseudo-code, the calls that are trapped and why, the address table, and the descriptors that are
 * open now. Confines nothing; freezes the policy. Errors: those of sl_confine_self() that the plan alone
 * can tell, -EIO. */
SL_EXPORT int sl_policy_explain(const sl_policy *policy, FILE *out, sl_error *error);

/* Lock the calling process in, for good: landlock(7), seccomp(2). Pid, parent, children, descriptors,
 * signal mask and dispositions, environment and stdio stay as they are. no_new_privs is set, a privileged
 * process loses the capabilities that lead around the walls (the README lists what it keeps), and
 * max-file-size lowers RLIMIT_FSIZE; cwd, umask, cpu-cores, no-huge-pages, no-coredump, max-open-files and rlimit
 * change what they name. Children that run already are not confined; those made later are.
 *
 * A policy that the kernel cannot enforce alone needs a supervisor: one more process, in a session of its own,
 * which wait(2) shows only to who asks for __WALL or __WCLONE, and which ends with the last confined process.
 *
 * May be called again to narrow further, as long as the second policy needs no supervisor.
 *
 * Nothing is confined, and nothing but no_new_privs, and what cwd, umask, cpu-cores and no-huge-pages name, may have
 * changed, after these:
 *   -EINVAL     contradictory policy, or keys that only a command can have that is started; the message says which
 *   -E2BIG      more names in deny-syscall than the filter takes
 *   -ENOENT, -EACCES, -ELOOP, -EXDEV, ...  a path that cannot be opened, or that a symbolic link below an
 *               fs-write directory would choose; the message names it
 *   -ENOTSUP    this kernel lacks a protection that is wanted; the message names both
 *   -EBUSY      a supervisor would be needed in a process that is confined already; TCP rules or binds by port
 *               under a supervisor; or another program supervises this process
 *   -EPERM      a hard limit would have to be raised, or the pre-flight found something that voids the walls: other
 *               threads that cannot be confined, a tracer, an io_uring or userfaultfd descriptor, with strict-fds any other
 *   -ENOMEM, -EMFILE, -EAGAIN, -EIO  resources, /proc
 * A failure whose message begins with "confined, but" leaves the process confined, at least in part, and
 * every supervised call failing: the supervisor died (-ECONNRESET), was silent for ten seconds (-ETIMEDOUT)
 * or cannot reach this process; or with a limit that was not lowered. Treat any failure as a reason to exit. */
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
	char step[252]; /* at what: "exec", "landlock_restrict_self", ... */
	char path[256]; /* of the command, where the step is about a path; else "" */
} sl_failure;

/* Make a sandbox with everything installed, and the command parked in it just before execve(2). argv ends in NULL; it and
 * `policy` are not used after the call. `stdio` may be NULL: all inherited. On success *sandbox is the caller's, to be
 * freed with sl_sandbox_free().
 *   -EINVAL             no argv; a descriptor that is given twice
 *   -EBADF              a descriptor that is not open
 *   -ENOENT, -EACCES    the command is not found, or not executable
 *   -EEXIST             a sandbox of that `name` runs; the message has its keeper's pid
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

/* The whole tree, descendants in other sessions and groups included, stops and goes on: by SIGSTOP, or as its control group
 * where it has one (sluice-policy(5), cgroup). When sl_pause() returns 0, nothing of it runs. sl_freeze() brings the supervisor to rest as well: no call is carried out on behalf of the tree
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

/* ---- several commands together ----
 *
 * Each in a sandbox of its own, joined by the kernel's pipes: nobody sits in between, and a stage that ends is end of file
 * to the next and SIGPIPE to the one before. All are parked before the first is executed; on failure nothing of any of
 * them is left behind. */
typedef struct sl_stage {
	const char *name; /* sl_gather() */
	const sl_policy *policy;
	const char *const *argv;
	sl_stream err;    /* of all but the last: not SL_STREAM_PIPE */
	sl_status status; /* how it ended */
} sl_stage;

/* The stdout of each stage is the stdin of the next; two or more. `ends` says what the stdin of the first is and the stdout
 * and stderr of the last, where SL_STREAM_PIPE means by this call: from result's input, into result's out and err. NULL:
 * all three so. Whatever the stages do, all of it is served meanwhile. `result` is as for sl_run(), its status the last
 * one's, and may be NULL where nothing is served. After `timeout_ms` (-1: never), counted from the start, all are killed,
 * and have SL_REASON_TIMEOUT. A stage that fails is a success of this call.
 *   -EINVAL  fewer than two stages; a pipe without a result or for another's stderr; extra descriptors
 *   and those of sl_create() and sl_start(), with the stage named; -ENOMEM */
SL_EXPORT int sl_pipeline(sl_stage *stages, size_t count, const sl_stdio *ends, int timeout_ms,
                          sl_result *result, sl_error *error);

/* Several sources (1 to 61, each with a name of 1 to 64 visible characters but ":", "," and "="), whose stdin is /dev/null,
 * and one consumer: the last source's output is its stdin, the others' are its descriptors from 3 on, where a keep-fd of
 * the same number gives way. Its environment has SLUICE_GATHER=name:descriptor,... All else as for sl_pipeline(), but
 * that `ends->in` is not used; in messages the consumer is the last stage. */
SL_EXPORT int sl_gather(sl_stage *sources, size_t count, sl_stage *consumer, const sl_stdio *ends,
                        int timeout_ms, sl_result *result, sl_error *error);

/* In the consumer: the descriptor of a source, as SLUICE_GATHER has it. -ENOENT: there is none of that name; -EINVAL: the
 * variable is malformed. */
SL_EXPORT int sl_gather_fd(const char *name);

/* ---- fork and reduce ----
 *
 *     app
 *      +- stand-in
 *          +- keeper
 *              +- template (confined; a fork of the app, which ran init() and executes nothing)
 *                  +- clone 0 ... clone n - 1: copy on write, each runs work()
 *
 * What init() made is there in each clone at no cost. The template is the command of a sandbox: same walls, same supervisor
 * where one is needed, and what is done to its tree reaches the clones. Like any fork(2) without execve(2) it has the
 * app's memory, secrets and shared mappings with it, but of its threads only the caller; the handlers of pthread_atfork(3)
 * run three times on the way. It has no descriptor of the app but those of a command, no signal blocked or handled, and
 * what the app had not flushed of its stdout is not in it.
 *
 * An sl_template is used by one thread at a time. Another one may meanwhile use its sandbox. */
typedef struct sl_template sl_template;

typedef struct sl_work {
	int (*init)(void *context); /* once, in the template: 0, or it is not wanted. May be NULL */
	int (*work)(void *context, unsigned index); /* in each clone: its exit status */
	void *context;
} sl_work;

/* Fork the template, confine it, run init(), and return when that has. `timeout_ms` for init(), -1: as long as it takes.
 * `stdio` may be NULL: /dev/null, and the app's stdout and stderr. On success *made is the caller's: sl_template_free().
 *   -EPERM      what would void the walls of a fork: an io_uring of the app's, a userfaultfd
 *   -ECANCELED  init() returned something else than 0
 *   -ECHILD     it ended in init(); the message says how
 *   -ETIMEDOUT  init() takes too long
 *   -EPROTO     what it says is not what a template says
 *   and those of sl_create(). Nothing is left behind then. */
SL_EXPORT int sl_template_create(const sl_policy *policy, const sl_work *work, const sl_stdio *stdio,
                                 int timeout_ms, sl_template **made, sl_error *error);

/* The template's sandbox, to pause, freeze, kill or look at all of it. It stays the template's. */
SL_EXPORT sl_sandbox *sl_template_sandbox(const sl_template *template_);

/* What came of one clone. */
typedef struct sl_clone {
	sl_status
		status; /* SL_REASON_FAILED: never forked, `failure`; SL_REASON_TIMEOUT: killed with all the others */
	int failure; /* negative errno of fork(2) */
	char *out;   /* its stdout up to its end, malloc'd, with a NUL behind: sl_clones_clear() */
	size_t out_size;
	int cut; /* 1: there was more than `limit` */
} sl_clone;

/* Fork clones 0 to count - 1, of which up to 256 run at once, fewer where descriptors are short, and collect what they write
 * to stdout, at most `limit` bytes of each (0: 1 MiB). `clones` has room for `count`; what it held is overwritten, and it
 * is to be cleared in any case. CLONE_ID is the index in a clone's environment. A clone that fails, crashes or cannot be
 * forked is a success of this call. What a clone has started and left behind lives on until the template ends.
 * The template is confined code, and what it says of its clones is no more than its word. On failure it is killed, clones
 * and all; those that had ended are as they should be, and only sl_template_free() is left to be called.
 *   -ETIMEDOUT  `timeout_ms` (-1: never) is over
 *   -ECHILD     the template has ended
 *   -EPROTO     what it says is not what a template says
 *   -ENOMEM, -EMFILE
 *   -EINVAL     and nothing has happened */
SL_EXPORT int sl_template_fork(sl_template *template_, unsigned count, size_t limit, int timeout_ms,
                               sl_clone *clones, sl_error *error);
SL_EXPORT void sl_clones_clear(sl_clone *clones, unsigned count);

/* sl_run() with the clones' outputs, one after the other, as its input. */
SL_EXPORT int sl_reduce(const sl_policy *policy, const char *const argv[], const sl_clone *clones,
                        unsigned count, sl_result *result, sl_error *error);

/* Kill all that runs of it, close, free. NULL is nothing. */
SL_EXPORT void sl_template_free(sl_template *template_);

#ifdef __cplusplus
}
#endif

#endif
