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

#ifdef __cplusplus
}
#endif

#endif
