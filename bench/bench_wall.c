/* No bench of its own: runs a command behind one wall, or behind the least of both, for bench_servers.sh to take apart
 * what confining a server costs.
 *
 *     bench_wall landlock DIRECTORY -- command...     Landlock alone, by hand: the floor of its part
 *     bench_wall floor DIRECTORY -- command...        that, and a filter of one instruction that allows everything
 *     bench_wall filter [KEY VALUE]... -- command...  Sluice's filter for this policy alone
 *
 * By hand: every right to files is handled, or a rule would be no wall; DIRECTORY and /dev may be written, /usr and
 * /etc read. Not safe to use: it leaves out the network, the scopes and the capabilities. landlock(7), seccomp(2).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench/bench.h"
#include "supervise/prepare.h"

static void rule_add(int ruleset, const char *path, uint64_t access)
{
	struct landlock_path_beneath_attr rule = {.allowed_access = access,
	                                          .parent_fd = open(path, O_PATH | O_CLOEXEC)};

	if (rule.parent_fd < 0 ||
	    syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
		die("landlock, %s: %s", path, strerror(errno));
	close(rule.parent_fd);
}

static void landlock_raise(const char *directory)
{
	const uint64_t all = (LANDLOCK_ACCESS_FS_IOCTL_DEV << 1) - 1;
	const uint64_t reading =
		LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
	struct landlock_ruleset_attr handled = {.handled_access_fs = all};
	int ruleset =
		(int)syscall(SYS_landlock_create_ruleset, &handled, sizeof(handled.handled_access_fs), 0);

	if (ruleset < 0)
		die("landlock: %s", strerror(errno));
	rule_add(ruleset, directory, all);
	rule_add(ruleset, "/dev", all);
	rule_add(ruleset, "/usr", reading);
	rule_add(ruleset, "/etc", reading);
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		die("landlock: %s", strerror(errno));
	close(ruleset);
}

static void filter_raise(const struct filter_program *program)
{
	int r = filter_load(program, 0);

	if (r < 0)
		die("seccomp: %s", strerror(-r));
}

static void allow_raise(void)
{
	struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};

	filter_raise(&(struct filter_program){.code = code, .count = 1});
}

static void policy_filter_raise(char *const keys[], int count)
{
	sl_policy *policy = sl_policy_new();
	struct filter_program program;
	struct prepared prepared;
	sl_error error;

	if (policy == NULL)
		die("out of memory");
	for (int i = 0; i + 1 < count; i += 2)
		if (sl_policy_set(policy, keys[i], keys[i + 1], &error) < 0)
			die("%s", error.message);
	if (prepare_plan(&prepared, policy, PLAN_LAUNCH, &error) < 0)
		die("%s", error.message);
	if (prepared.plan.supervised || filter_assemble(&program, &prepared.plan, 0) < 0)
		die("this policy has no filter that does without a supervisor");
	filter_raise(&program);
	filter_clear(&program);
	prepare_clear(&prepared);
	sl_policy_free(policy);
}

/* The index of "--". */
static int separator_find(int argc, char *argv[])
{
	for (int i = 2; i + 1 < argc; i++)
		if (strcmp(argv[i], "--") == 0)
			return i;
	die("usage: bench_wall landlock|floor DIRECTORY | filter [KEY VALUE]... -- command...");
}

int main(int argc, char *argv[])
{
	int separator = separator_find(argc, argv);

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		die("no_new_privs: %s", strerror(errno));
	if (strcmp(argv[1], "filter") == 0) {
		policy_filter_raise(argv + 2, separator - 2);
	} else {
		landlock_raise(argv[2]);
		if (strcmp(argv[1], "floor") == 0)
			allow_raise();
	}
	execvp(argv[separator + 1], argv + separator + 1);
	die("%s: %s", argv[separator + 1], strerror(errno));
}
