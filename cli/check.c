/* sluice check: what this kernel offers, and what for. Exit status 0 when all that is needed is there. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "core/kernel.h"
#include "supervise/supervise.h"

struct feature {
	const char *name;
	bool (*there)(const struct kernel *kernel);
	bool needed; /* else something is slower or refused without it */
	const char *what_for;
};

#define KERNEL_HAS(name, expression)                        \
	static bool has_##name(const struct kernel *kernel) \
	{                                                   \
		return expression;                          \
	}

KERNEL_HAS(landlock, kernel->landlock_abi >= SL_ABI_MIN)
KERNEL_HAS(landlock_ports, kernel->landlock_abi >= SL_ABI_NET)
KERNEL_HAS(landlock_ioctl, kernel->landlock_abi >= SL_ABI_IOCTL)
KERNEL_HAS(landlock_scopes, kernel->landlock_abi >= SL_ABI_SCOPES)
KERNEL_HAS(landlock_threads, kernel->landlock_abi >= SL_ABI_TSYNC)
KERNEL_HAS(notify, kernel->notify)
KERNEL_HAS(wait_killable, kernel->wait_killable)
KERNEL_HAS(sync_wake_up, kernel->sync_wake_up)
KERNEL_HAS(pidfd_getfd, kernel->pidfd_getfd)
KERNEL_HAS(pidfd_thread, kernel->pidfd_thread)
KERNEL_HAS(io_uring, kernel->io_uring)
KERNEL_HAS(ptrace, kernel->yama <= 1 || (kernel->yama == 2 && kernel->ptrace_capable))
KERNEL_HAS(fresh, !kernel->under_filter)

static bool has_cgroup(const struct kernel *kernel)
{
	(void)kernel;
	return cgroup_is_delegated();
}

static const struct feature features[] = {
	{"landlock", has_landlock, true, "fs-read, fs-write and all else about files (ABI 3, 6.2)"},
	{"landlock-abi-4", has_landlock_ports, false,
         "TCP by port without a supervisor (6.7); with one where it lacks"},
	{"landlock-abi-5", has_landlock_ioctl, true, "ioctl on devices (6.10); or degrade ioctl"},
	{"landlock-abi-6", has_landlock_scopes, true,
         "signals and abstract sockets stay inside (6.12); or degrade scopes"},
	{"landlock-abi-8", has_landlock_threads, false,
         "sl_confine_self() in a program with several threads"},
	{"seccomp-notify", has_notify, true, "a supervisor: the filter can ask it"},
	{"seccomp-wait-killable", has_wait_killable, true, "a supervisor: no call is done twice (5.19)"},
	{"seccomp-sync-wake-up", has_sync_wake_up, false, "a supervisor: fast answers (6.6)"},
	{"pidfd-getfd", has_pidfd_getfd, true, "a supervisor: acting on the program's own socket"},
	{"pidfd-thread", has_pidfd_thread, false,
         "threads with descriptors of their own (6.9); refused without"},
	{"io-uring", has_io_uring, false, "a supervisor: slow connects cost the supervisor nothing"},
	{"ptrace-access", has_ptrace, true,
         "a supervisor: kernel.yama.ptrace_scope of 0, or 1 for sluice run"},
	{"cgroup", has_cgroup, false,
         "max-memory and cpu held by the kernel (a delegated group); by a keeper without"},
	{"not-confined-yet", has_fresh, false, "net-allow with addresses inside another sandbox"},
};

enum { FEATURE_COUNT = sizeof(features) / sizeof(features[0]) };

static void text_print(const struct kernel *kernel)
{
	printf("Landlock ABI %d, kernel.yama.ptrace_scope %d\n", kernel->landlock_abi, kernel->yama);
	for (size_t i = 0; i < FEATURE_COUNT; i++)
		printf("%-24s %-8s %s\n", features[i].name,
		       features[i].there(kernel) ? "yes" : (features[i].needed ? "MISSING" : "no"),
		       features[i].what_for);
}

static int json_print(const struct kernel *kernel)
{
	json_t *list = json_array(), *root;
	int r;

	for (size_t i = 0; i < FEATURE_COUNT; i++)
		json_array_append_new(list, json_pack("{s:s, s:b, s:b, s:s}", "name", features[i].name,
		                                      "there", features[i].there(kernel), "needed",
		                                      features[i].needed, "what_for", features[i].what_for));
	root = json_pack("{s:i, s:i, s:o}", "landlock_abi", kernel->landlock_abi, "yama", kernel->yama,
	                 "features", list);
	r = root == NULL ? -1 : json_dumpf(root, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(root);
	return r;
}

int check_main(int argc, char *argv[])
{
	struct kernel kernel;
	bool json = argc == 2 && strcmp(argv[1], "--json") == 0;

	if (argc > 1 && !json) {
		fprintf(stderr, "sluice: check takes --json and nothing else, not %s\n", argv[1]);
		return EXIT_SLUICE;
	}
	kernel_probe(&kernel);
	kernel_probe_gate(&kernel);
	if (json && json_print(&kernel) < 0)
		return EXIT_SLUICE;
	if (!json)
		text_print(&kernel);
	for (size_t i = 0; i < FEATURE_COUNT; i++)
		if (features[i].needed && !features[i].there(&kernel))
			return 1;
	return 0;
}
