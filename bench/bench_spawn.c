/* What starting a command costs: `true` from posix_spawn(3) to its end, bare, under `sluice run -s`, the same
 * with a rule that needs a supervisor, by sl_spawn(3) with both policies, and under bubblewrap with the whole file
 * system bound read-only. The floor is a fork that raises the same two walls and executes: ruleset and filter are made
 * once, and no process is left above to look after it. And how long sl_spawn(3) takes to return, which it does when the command is executed; what a
 * hundred sandboxes hold in memory; and a program that opens and reads two thousand files, start included. Spawns
 * are interleaved one by one; stdout is /dev/null. A first sl_spawn(3) of a process, which warms up its memory, is
 * not counted.
 *
 * usage: bench_spawn SLUICE
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/bench.h"
#include "confine/confine.h"
#include "sluice.h"
#include "supervise/fork.h"
#include "supervise/prepare.h"

enum { SPAWNS = 200, READS = 15, FILES = 2000, FILE_SIZE = 16384, ARGUMENTS = 20, SANDBOXES = 100 };

struct contender {
	const char *name;
	const char *argv[ARGUMENTS];
	const char *rule;       /* of net-allow */
	sl_policy *policy;      /* by sl_spawn(3); NULL: by posix_spawn(3) */
	struct prepared *walls; /* by hand */
	double us[SPAWNS];
	double exec_us[SPAWNS]; /* until it was executed */
};

struct times {
	double exec, end; /* ns from the spawn */
};

static int sandbox_timed(const struct contender *contender, struct times *times)
{
	const sl_stdio stdio = {.out = {SL_STREAM_NULL, -1}};
	sl_sandbox *sandbox;
	sl_status status;
	sl_error error;
	double start = now_ns();

	if (sl_spawn(contender->policy, contender->argv, &stdio, &sandbox, &error) < 0)
		die("%s: %s", contender->name, error.message);
	times->exec = now_ns() - start;
	if (sl_wait(sandbox, -1, &status, NULL) < 0)
		status.code = -1;
	sl_sandbox_free(sandbox);
	times->end = now_ns() - start;
	return status.code;
}

/* The status of wait(2), -1 where nothing could be started. */
static int spawn_timed(const char *const argv[], struct times *times)
{
	posix_spawn_file_actions_t actions;
	double start;
	int r, status;
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	start = now_ns();
	r = posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)argv, environ);
	times->exec = now_ns() - start;
	if (r != 0 || waitpid(pid, &status, 0) < 0)
		status = -1;
	times->end = now_ns() - start;
	posix_spawn_file_actions_destroy(&actions);
	return status;
}

static noreturn void floor_child(const struct contender *contender)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (null < 0 || dup2(null, 1) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    syscall(SYS_landlock_restrict_self, contender->walls->ruleset, 0) < 0 ||
	    filter_load(&contender->walls->filter, 0) < 0)
		_exit(1);
	execvp(contender->argv[0], (char *const *)contender->argv);
	_exit(1);
}

static int floor_timed(const struct contender *contender, struct times *times)
{
	double start = now_ns();
	pid_t pid = process_fork();
	int status;

	if (pid == 0)
		floor_child(contender);
	times->exec = 0; /* nobody is told */
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		status = -1;
	times->end = now_ns() - start;
	return status;
}

static int contender_timed(const struct contender *contender, struct times *times)
{
	if (contender->policy != NULL)
		return sandbox_timed(contender, times);
	return contender->walls != NULL ? floor_timed(contender, times) : spawn_timed(contender->argv, times);
}

/* `rounds` rounds, each of which begins with another contender; leaves us[] sorted. */
static void contenders_run(struct contender *contenders, size_t count, size_t rounds)
{
	struct times times;

	for (size_t round = 0; round < rounds + 1; round++)
		for (size_t i = 0; i < count; i++) {
			struct contender *turn = &contenders[(round + i) % count];

			if (contender_timed(turn, &times) != 0)
				die("%s does not run", turn->name);
			if (round == 0) /* it warms up */
				continue;
			turn->us[round - 1] = times.end / 1000;
			turn->exec_us[round - 1] = times.exec / 1000;
		}
	for (size_t i = 0; i < count; i++) {
		median(contenders[i].us, rounds);
		median(contenders[i].exec_us, rounds);
	}
}

static double middle(const struct contender *contender, size_t rounds)
{
	return quantile(contender->us, rounds, 0.5);
}

static void spread_print(const struct contender *contender)
{
	printf("    %-46s min %.0f us, median %.0f us, p99 %.0f us\n", contender->name, contender->us[0],
	       middle(contender, SPAWNS), quantile(contender->us, SPAWNS, 0.99));
}

enum { BARE, FLOOR, ALONE, SUPERVISED, SPAWN, SPAWN_SUPERVISED, BUBBLEWRAP, CONTENDERS };
static struct contender trues[CONTENDERS] = {
	[BARE] = {"true", {"true"}},
	[FLOOR] = {"fork, Landlock, filter, true", {"true"}},
	[ALONE] = {"sluice run -s -- true", {NULL, "run", "-s", "--", "true"}},
	[SUPERVISED] = {"sluice run -s --net-allow 127.0.0.1:1 -- true",
                        {NULL, "run", "-s", "--net-allow", "tcp://127.0.0.1:1", "--", "true"}},
	[SPAWN] = {"sl_spawn, no supervisor", {"true"}, NULL},
	[SPAWN_SUPERVISED] = {"sl_spawn, supervised", {"true"}, "tcp://127.0.0.1:1"},
	[BUBBLEWRAP] = {"bwrap --ro-bind / / true", {"bwrap", "--ro-bind", "/", "/", "true"}},
};

static void above_bare_print(const struct contender *sluice)
{
	double bare = middle(&trues[BARE], SPAWNS), total = middle(sluice, SPAWNS);

	row_print(&(struct row){
		.what = sluice->name,
		.unit = "us",
		.bare = bare,
		.floor = middle(&trues[FLOOR], SPAWNS),
		.sluice = total,
		.ratio = text("+%.2f ms", (total - bare) / 1000),
		.target = "< +1 ms",
		.met = total - bare < 1000,
	});
}

/* The peer's time stands where the floor's does in other rows. */
static void peer_print(const char *what, double peer, double sluice)
{
	row_print(&(struct row){
		.what = what,
		.unit = "us",
		.floor = peer,
		.sluice = sluice,
		.ratio = text("%.1f times less", peer / sluice),
		.target = ">= 3",
		.met = peer / sluice >= 3,
	});
}

static void bubblewrap_print(const struct contender *sluice)
{
	double bare = middle(&trues[BARE], SPAWNS), peer = middle(&trues[BUBBLEWRAP], SPAWNS);
	double total = middle(sluice, SPAWNS);

	peer_print("    bubblewrap (in place of the floor)", peer, total);
	peer_print("    the same, what is added to bare", peer - bare, total - bare);
}

static sl_policy *policy_make(const char *rule)
{
	sl_policy *policy = sl_policy_new();
	sl_error error = {.message = "memory"};

	if (policy == NULL || sl_policy_set(policy, "fs-system", "", &error) < 0 ||
	    (rule != NULL && sl_policy_set(policy, "net-allow", rule, &error) < 0))
		die("%s", error.message);
	return policy;
}

static void floor_prepare(void)
{
	static struct prepared walls;
	sl_policy *policy = policy_make(NULL);
	sl_error error;

	if (prepare_plan(&walls, policy, PLAN_SPAWN, &error) < 0 ||
	    prepare_walls(&walls, GATE_LATER, &error) < 0)
		die("%s", error.message);
	trues[FLOOR].walls = &walls; /* the plan is the policy's, which stays */
}

static void executed_print(const struct contender *spawned)
{
	double bare = quantile(trues[BARE].exec_us, SPAWNS, 0.5),
	       us = quantile(spawned->exec_us, SPAWNS, 0.5);

	row_print(&(struct row){.what = text("%s, until exec", spawned->name),
	                        .unit = "us",
	                        .bare = bare,
	                        .sluice = us,
	                        .ratio = text("%.1f of bare", us / bare)});
}

/* Private_Dirty of one process, in KiB; -1 where it cannot be read: they are not dumpable, so it takes root. */
static long dirty_kib(pid_t process)
{
	FILE *file = fopen(text("/proc/%d/smaps_rollup", process), "re");
	char line[128];
	long kib = -1;

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		if (sscanf(line, "Private_Dirty: %ld", &kib) == 1)
			break;
	if (file != NULL)
		fclose(file);
	return kib;
}

static pid_t child_of(pid_t process)
{
	FILE *file = fopen(text("/proc/%d/task/%d/children", process, process), "re");
	pid_t child = 0;

	if (file == NULL || fscanf(file, "%d", &child) != 1)
		child = 0;
	if (file != NULL)
		fclose(file);
	return child;
}

static void memory_measure(const struct contender *spawned)
{
	static sl_sandbox *sandboxes[SANDBOXES];
	static const char *const argv[] = {"sleep", "1000", NULL};
	long stand_in = 0, keeper = 0;
	sl_error error;

	for (int i = 0; i < SANDBOXES; i++)
		if (sl_spawn(spawned->policy, argv, NULL, &sandboxes[i], &error) < 0)
			die("sandbox %d: %s", i, error.message);
	for (int i = 0; i < SANDBOXES; i++) {
		stand_in += dirty_kib(sl_sandbox_child(sandboxes[i]));
		keeper += dirty_kib(child_of(sl_sandbox_child(sandboxes[i])));
	}
	for (int i = 0; i < SANDBOXES; i++)
		sl_sandbox_free(sandboxes[i]);
	if (stand_in < 0)
		puts("    memory of a sandbox: not measured, it takes root to look");
	else
		printf("    memory, of each of %d: %-24s stand-in %ld KiB, keeper %ld KiB private dirty\n",
		       SANDBOXES, spawned->rule == NULL ? "no supervisor" : "supervised",
		       stand_in / SANDBOXES, keeper / SANDBOXES);
}

static void spawns_measure(const char *sluice)
{
	struct times times;
	bool peer = spawn_timed(trues[BUBBLEWRAP].argv, &times) == 0;
	size_t count = peer ? CONTENDERS : CONTENDERS - 1;

	trues[ALONE].argv[0] = trues[SUPERVISED].argv[0] = sluice;
	for (size_t i = SPAWN; i <= SPAWN_SUPERVISED; i++)
		trues[i].policy = policy_make(trues[i].rule);
	floor_prepare();
	contenders_run(trues, count, SPAWNS);
	for (size_t i = ALONE; i <= SPAWN_SUPERVISED; i++) {
		above_bare_print(&trues[i]);
		if (peer)
			bubblewrap_print(&trues[i]);
	}
	if (!peer)
		puts("    bubblewrap: not measured, it does not run here");
	for (size_t i = SPAWN; i <= SPAWN_SUPERVISED; i++)
		executed_print(&trues[i]);
	for (size_t i = SPAWN; i <= SPAWN_SUPERVISED; i++)
		memory_measure(&trues[i]);
	for (size_t i = 0; i < count; i++)
		spread_print(&trues[i]);
}

static char directory[] = "/tmp/sluice-bench.XXXXXX";

static const char *file_name(unsigned number)
{
	return text("%s/%u", directory, number);
}

static void files_make(void)
{
	static char data[FILE_SIZE];

	if (mkdtemp(directory) == NULL)
		die("%s: %s", directory, strerror(errno));
	for (unsigned i = 0; i < FILES; i++) {
		int fd = open(file_name(i), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

		memset(data, (int)i, sizeof(data));
		if (fd < 0 || write(fd, data, sizeof(data)) != FILE_SIZE)
			die("%s: %s", file_name(i), strerror(errno));
		close(fd);
	}
}

static void files_remove(void)
{
	for (unsigned i = 0; i < FILES; i++)
		unlink(file_name(i));
	rmdir(directory);
}

#define READ_FILES "find", directory, "-type", "f", "-exec", "sha256sum", "{}", "+"

static void reads_measure(const char *sluice)
{
	static struct contender both[] = {
		{.name = "find", .argv = {READ_FILES}},
		{.name = "sluice run find", .argv = {NULL, "run", "-s", "-r", directory, "--", READ_FILES}},
	};
	double ratio;

	both[1].argv[0] = sluice;
	contenders_run(both, 2, READS);
	ratio = middle(&both[1], READS) / middle(&both[0], READS);
	row_print(&(struct row){
		.what = "find and sha256sum, 2,000 files of 16 KiB",
		.unit = "us",
		.bare = middle(&both[0], READS),
		.sluice = middle(&both[1], READS),
		.ratio = text("%.3f of bare", ratio),
		.target = "<= 1.02",
		.met = ratio <= 1.02,
	});
}

int main(int argc, char *argv[])
{
	if (argc != 2)
		die("usage: bench_spawn SLUICE");
	spawns_measure(argv[1]);
	files_make();
	atexit(files_remove);
	reads_measure(argv[1]);
	return 0;
}
