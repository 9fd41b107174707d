/* The control group of a sandbox: made, filled, frozen, killed, removed; what holds a limit in it, and that nobody leaves it.
 * It takes a group that is ours to divide. As root the test makes two, and runs all tests a second time as an ordinary user in
 * the one that it delegates to that user, as systemd does; started by an ordinary user it needs one that was delegated.
 *
 *     mount/sluice-test-PID-UID    delegated: attribute "delegate"; base of all groups
 *      +- app                      the test
 *      +- sluice-PID-N             what this is about
 */
#include "tests/common/boxes.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "supervise/cgroup.h"

#define SL_CLONE_INTO_CGROUP 0x200000000ull /* clone(2), Linux 5.7 */

enum { USER = 1000, MIB = 1 << 20, MAPS = 60000 };

static char base[PATH_MAX]; /* "": there is none */

#define NEEDS_BASE                                                                                         \
	do {                                                                                               \
		if (base[0] == '\0')                                                                       \
			SKIP_BECAUSE("no cgroup of version 2 is delegated to this user; the test as root " \
			             "makes one and runs as a user in it");                                \
	} while (0)

static bool base_has(const char *controller)
{
	char text[512] = "";
	FILE *file = fopen(text_of("%s/cgroup.controllers", base), "re");
	bool has =
		file != NULL && fgets(text, sizeof(text), file) != NULL && strstr(text, controller) != NULL;

	if (file != NULL)
		fclose(file);
	return has;
}

#define NEEDS_CONTROLLER(name)                                                                          \
	do {                                                                                            \
		NEEDS_BASE;                                                                             \
		if (!base_has(name))                                                                    \
			SKIP_BECAUSE("this machine gives the " name " controller to cgroup version 1"); \
	} while (0)

/* ---- commands ---- */

static int command_hold(const char *argument)
{
	(void)argument;
	shared->words[READY] = 1;
	count_endlessly(0);
}

static int command_exit(const char *argument)
{
	return atoi(argument);
}

/* Stopped, it would be woken by what the kernel has promised it. */
static int command_promised(const char *argument)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGCONT};
	struct itimerspec often = {{0, 5000000}, {0, 5000000}};
	timer_t timer;

	(void)argument;
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) < 0 || timer_settime(timer, 0, &often, NULL) < 0)
		return 1;
	shared->words[READY] = 1;
	count_endlessly(0);
}

/* Each forks the next and ends: nobody in the chain lives long enough to be named. The command only begins it. */
static int command_chain(const char *argument)
{
	(void)argument;
	if (fork() != 0)
		for (;;)
			pause();
	shared->words[READY] = 1;
	for (;;) {
		pid_t next = fork();

		if (next > 0)
			_exit(0);
		shared->counters[0] += next == 0;
		setsid();
	}
}

/* Ways out of the group, to another one that this user may write to: `escape`. 0 where it worked. */
static int escape_by_clone(void)
{
	struct clone_args args = {.flags = SL_CLONE_INTO_CGROUP, .exit_signal = SIGCHLD};
	int group = open(text_of("%s/escape", base), O_PATH | O_DIRECTORY | O_CLOEXEC);
	long child;

	args.cgroup = (unsigned)group;
	if (group < 0)
		return errno;
	child = syscall(SYS_clone3, &args, sizeof(args));
	if (child == 0)
		_exit(0);
	if (child < 0)
		return errno;
	waitpid((pid_t)child, NULL, 0);
	return 0;
}

static int escape_by_move(void)
{
	return file_set(text_of("%s/escape/cgroup.procs", base), "0");
}

static int escape_by_new_group(void)
{
	if (mkdir(text_of("%s/escape/own-%d", base, getpid()), 0755) < 0)
		return errno;
	rmdir(text_of("%s/escape/own-%d", base, getpid()));
	return 0;
}

static int own_group(char *path, size_t room)
{
	char text[PATH_MAX];
	int fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
	ssize_t size = read(fd, text, sizeof(text) - 1);

	close(fd);
	text[size < 0 ? 0 : size] = '\0';
	return cgroup_own(text, path, room);
}

/* The base's name is the last part of its path, and of the group's path but one. */
static int escape_by_thaw(void)
{
	char own[PATH_MAX];

	if (own_group(own, sizeof(own)) < 0)
		return EINVAL;
	return file_set(text_of("%s/%s/cgroup.freeze", base, strrchr(own, '/') + 1), "0");
}

static int escape_by_unmounting(void)
{
	return unshare(CLONE_NEWCGROUP) < 0 ? errno : 0;
}

static const struct escape {
	const char *name;
	int (*run)(void);
	int bare; /* of an ordinary user outside */
	int refused;
} escapes[] = {
	{"clone3 with CLONE_INTO_CGROUP", escape_by_clone, 0, ENOSYS},
	{"cgroup.procs of another group", escape_by_move, 0, EACCES},
	{"a group of its own", escape_by_new_group, 0, EACCES},
	{"its own freezer", escape_by_thaw, 0, EACCES},
	{"a namespace of groups", escape_by_unmounting, EPERM, EPERM},
};
enum { ESCAPES = sizeof(escapes) / sizeof(escapes[0]) };

/* The argument is the base. */
static int command_escape(const char *argument)
{
	snprintf(base, sizeof(base), "%s", argument);
	for (size_t i = 0; i < ESCAPES; i++)
		shared->words[RESULT + i] = 1 + escapes[i].run();
	shared->words[READY] = 1;
	return 0;
}

/* Into the group of this file, cgroup.procs by whatever name. */
static int command_join(const char *argument)
{
	shared->words[RESULT] = 1 + file_set(argument, "0");
	shared->words[READY] = 1;
	return 0;
}

/* ... or of what is open as standard output. */
static int command_join_open(const char *argument)
{
	(void)argument;
	shared->words[RESULT] = 1 + (write(STDOUT_FILENO, "0", 1) < 0 ? errno : 0);
	shared->words[READY] = 1;
	return 0;
}

static int command_fill(const char *argument)
{
	size_t size = (size_t)atoi(argument) * MIB;
	char *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pages == MAP_FAILED)
		return 1;
	memset(pages, 1, size);
	return 0;
}

static int command_connect(const char *argument)
{
	shared->words[READY] = 1;
	return tcp_try(AF_INET, (uint16_t)atoi(argument));
}

/* How it is scheduled, and whether it may be in real time. */
static int command_realtime(const char *argument)
{
	const struct sched_param lowest = {.sched_priority = 1};

	(void)argument;
	shared->words[RESULT] = 1 + sched_getscheduler(0);
	shared->words[RESULT + 1] = 1 + (sched_setscheduler(0, SCHED_FIFO, &lowest) < 0 ? errno : 0);
	shared->words[READY] = 1;
	return 0;
}

/* Kernel memory: a mapping costs the kernel some 200 bytes and the process nothing that it shows. */
static int command_map(const char *argument)
{
	for (int i = 0; i < atoi(argument); i++)
		if (mmap(NULL, 4096, i % 2 == 0 ? PROT_READ : PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0) ==
		    MAP_FAILED)
			return 1;
	return 0;
}

/* Pages of pipes that nobody reads. */
static int command_pipes(const char *argument)
{
	static const char page[65536];

	for (int i = 0; i < atoi(argument) * 16; i++) {
		int ends[2];

		if (pipe(ends) < 0)
			return 1;
		fcntl(ends[1], F_SETPIPE_SZ, sizeof(page));
		if (write(ends[1], page, sizeof(page)) != sizeof(page))
			return 1;
	}
	return 0;
}

/* A file that is written and read: the kernel can do without its pages. */
static int command_file(const char *argument)
{
	static char block[MIB];
	int fd = open("file", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	for (int i = 0; i < atoi(argument); i++)
		if (write(fd, block, sizeof(block)) != sizeof(block))
			return 1;
	lseek(fd, 0, SEEK_SET);
	while (read(fd, block, sizeof(block)) > 0)
		;
	unlink("file");
	return fd < 0;
}

static double cpu_now(void)
{
	struct timespec used;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

/* Children of a few milliseconds whom nobody waits for: the kernel adds their time to nobody. Microseconds in the counter. */
static int command_spark(const char *argument)
{
	double end = seconds_now() + atoi(argument);

	signal(SIGCHLD, SIG_IGN);
	while (seconds_now() < end) {
		if (fork() == 0) {
			while (cpu_now() < 0.003)
				;
			shared->counters[0] += (uint64_t)(cpu_now() * 1e6);
			_exit(0);
		}
		usleep(500);
	}
	return 0;
}

static const struct box_command commands[] = {
	{"hold", command_hold},         {"exit", command_exit},       {"promised", command_promised},
	{"family", box_family},         {"chain", command_chain},     {"escape", command_escape},
	{"fill", command_fill},         {"map", command_map},         {"pipes", command_pipes},
	{"file", command_file},         {"spark", command_spark},     {"join", command_join},
	{"realtime", command_realtime}, {"connect", command_connect}, {"join-open", command_join_open},
};

/* ---- its life ---- */

static sl_sandbox *group_spawn(enum way way, const char *name, const char *argument, const char *const more[])
{
	sl_policy *policy = box_policy(way, more);
	sl_sandbox *sandbox = box_spawn_with(policy, name, argument, NULL);

	sl_policy_free(policy);
	return sandbox;
}

/* How many groups of sandboxes there are; with the last one's name. */
static int groups_count(char *name)
{
	DIR *entries = opendir(base);
	struct dirent *entry;
	int count = 0;

	assert_non_null(entries);
	while ((entry = readdir(entries)) != NULL) {
		if (strncmp(entry->d_name, "sluice-", 7) != 0 || strcmp(entry->d_name, "sluice-self") == 0)
			continue;
		count++;
		if (name != NULL)
			snprintf(name, NAME_MAX, "%.*s", NAME_MAX - 1, entry->d_name);
	}
	closedir(entries);
	return count;
}

/* Where the stand-in was killed the keeper says so, and ends a moment later. */
static void groups_await_end(int milliseconds)
{
	for (int i = 0; i < milliseconds && groups_count(NULL) > 0; i++)
		usleep(1000);
	assert_int_equal(groups_count(NULL), 0);
}

static bool group_holds(const char *name, pid_t pid)
{
	FILE *procs = fopen(text_of("%s/%s/cgroup.procs", base, name), "re");
	int listed, found = 0;

	while (procs != NULL && fscanf(procs, "%d", &listed) == 1)
		found += listed == pid;
	if (procs != NULL)
		fclose(procs);
	return found == 1;
}

static void the_command_alone_is_in_it(void **state)
{
	char name[NAME_MAX] = "";

	(void)state;
	NEEDS_BASE;
	for (enum way way = PLAIN; way < WAYS; way++) {
		sl_sandbox *sandbox = group_spawn(way, "hold", "", POLICY("cgroup", base));
		pid_t command = sl_sandbox_pid(sandbox);

		assert_true(word_becomes(READY, 1));
		assert_int_equal(groups_count(name), 1);
		assert_true(group_holds(name, command));
		assert_false(group_holds(name, process_parent(command)));
		assert_false(group_holds(name, process_parent(process_parent(command))));
		assert_false(group_holds(name, getpid()));
		sl_sandbox_free(sandbox);
		assert_int_equal(groups_count(NULL), 0);
		box_reset();
	}
}

/* Without the option there is none: what is delegated has no controller that is wanted. */
static void without_need_there_is_none(void **state)
{
	sl_sandbox *sandbox;

	(void)state;
	NEEDS_BASE;
	sandbox = group_spawn(PLAIN, "hold", "", NULL);
	assert_true(word_becomes(READY, 1));
	assert_int_equal(groups_count(NULL), 0);
	sl_sandbox_free(sandbox);
	box_reset();
}

/* keeper, stand-in, command: by whom it ends. */
static void no_group_is_left_whoever_ends(void **state)
{
	(void)state;
	NEEDS_BASE;
	for (int which = 0; which < 3; which++) {
		sl_sandbox *sandbox = group_spawn(GATE, "family", "", POLICY("cgroup", base));
		pid_t victim = sl_sandbox_pid(sandbox);
		sl_status status;

		assert_true(word_becomes(READY, 1));
		assert_int_equal(groups_count(NULL), 1);
		for (int up = 0; up < which; up++)
			victim = process_parent(victim);
		process_kill(victim, SIGKILL);
		assert_int_equal(sl_wait(sandbox, 10000, &status, NULL), 0);
		assert_true(box_nothing_left(FAMILY));
		groups_await_end(1000);
		sl_sandbox_free(sandbox);
		box_reset();
	}
}

/* What ends a tree ends a frozen one: by whom. */
enum end { END_COMMAND, END_KEEPER, END_STANDIN, END_TIMEOUT, END_BY_NAME, ENDS };

static void sandbox_end(enum end end, pid_t command)
{
	pid_t keeper = process_parent(command), standin = process_parent(keeper);

	if (end == END_COMMAND || end == END_KEEPER || end == END_STANDIN)
		process_kill(end == END_COMMAND ? command : end == END_KEEPER ? keeper : standin, SIGKILL);
	else if (end == END_BY_NAME)
		assert_int_equal(system(text_of("%s kill frozen", getenv("SLUICE"))), 0);
}

static int play_app(void *context)
{
	sl_sandbox *sandbox = group_spawn(GATE, "family", "", POLICY("cgroup", base));
	sl_error error;

	(void)context;
	if (!word_becomes(READY, 1) || sl_freeze(sandbox, &error) < 0)
		return 1;
	return 0;
}

static void no_group_is_left_of_a_frozen_one(void **state)
{
	(void)state;
	NEEDS_BASE;
	for (enum end end = 0; end < ENDS; end++) {
		sl_sandbox *sandbox = group_spawn(
			GATE, "family", "",
			POLICY("cgroup", base, "name", "frozen", "timeout", end == END_TIMEOUT ? "2" : "60"));
		sl_status status;
		sl_error error;

		assert_true(word_becomes(READY, 1));
		assert_int_equal(sl_freeze(sandbox, &error), 0);
		sandbox_end(end, sl_sandbox_pid(sandbox));
		assert_int_equal(sl_wait(sandbox, 20000, &status, NULL), 0);
		print_message("# frozen, end %d: signal %d, reason %d\n", end, status.signal, status.reason);
		assert_true(box_nothing_left(FAMILY));
		groups_await_end(1000);
		sl_sandbox_free(sandbox);
		box_reset();
	}
	assert_int_equal(attempt_bare(play_app, NULL), 0);
	groups_await_end(10000);
	box_reset();
}

static void no_group_is_left_of_what_never_ran(void **state)
{
	sl_policy *policy;
	sl_sandbox *sandbox;
	sl_error error;

	(void)state;
	NEEDS_BASE;
	policy = box_policy(PLAIN, POLICY("cgroup", base));
	assert_true(sl_spawn(policy, (const char *const[]){"/usr/bin/env", NULL},
	                     &(sl_stdio){.out = {SL_STREAM_GIVEN, 77}}, &sandbox, &error) < 0);
	assert_int_equal(groups_count(NULL), 0);
	assert_true(sl_spawn(policy, (const char *const[]){"/etc/passwd", NULL}, NULL, &sandbox, &error) < 0);
	assert_int_equal(groups_count(NULL), 0);
	assert_int_equal(sl_create(policy, box_argv("hold", ""), NULL, &sandbox, &error), 0);
	assert_int_equal(groups_count(NULL), 1);
	sl_sandbox_free(sandbox);
	assert_int_equal(groups_count(NULL), 0);
	sl_policy_free(policy);
}

static void start_another(void)
{
	sl_sandbox *sandbox = group_spawn(PLAIN, "exit", "0", POLICY("cgroup", base));

	assert_int_equal(box_status(sandbox), 0);
	sl_sandbox_free(sandbox);
}

/* Between making a group and locking it there is a moment, so a young one is left alone; and so is one in use. */
static void a_dead_group_is_removed_by_the_next_start(void **state)
{
	sl_sandbox *living;

	(void)state;
	NEEDS_BASE;
	living = group_spawn(PLAIN, "hold", "", POLICY("cgroup", base));
	assert_int_equal(mkdir(text_of("%s/sluice-1-1", base), 0755), 0);
	assert_int_equal(mkdir(text_of("%s/sluice-1-1-not", base), 0755), 0);
	start_another();
	assert_int_equal(groups_count(NULL), 3);
	if (long_run()) {
		sleep(62);
		start_another();
		assert_int_equal(groups_count(NULL), 2);
	} else {
		assert_int_equal(rmdir(text_of("%s/sluice-1-1", base)), 0);
	}
	assert_int_equal(rmdir(text_of("%s/sluice-1-1-not", base)), 0);
	sl_sandbox_free(living);
	assert_int_equal(groups_count(NULL), 0);
	box_reset();
}

/* Each new group is locked by somebody else, who may read the base as a command may, too. */
static __attribute__((noreturn)) void groups_lock(void)
{
	int directory = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	for (;;) {
		DIR *entries = fdopendir(dup(directory));
		struct dirent *entry;

		rewinddir(entries);
		while ((entry = readdir(entries)) != NULL) {
			int group = strncmp(entry->d_name, "sluice-", 7) != 0
			                    ? -1
			                    : openat(directory, entry->d_name,
			                             O_RDONLY | O_DIRECTORY | O_CLOEXEC);

			if (group >= 0 && flock(group, LOCK_EX | LOCK_NB) == 0) {
				shared->counters[0]++;
				usleep(2000);
			}
			if (group >= 0)
				close(group);
		}
		closedir(entries);
	}
}

static void somebody_elses_lock_does_no_harm(void **state)
{
	pid_t locker;
	int tries = 0;

	(void)state;
	NEEDS_BASE;
	if ((locker = fork()) == 0)
		groups_lock();
	while (tries < 2000 && (tries < 50 || shared->counters[0] < 10)) {
		start_another();
		tries++;
	}
	print_message("# %d starts, the other was first %llu times\n", tries,
	              (unsigned long long)shared->counters[0]);
	process_kill(locker, SIGKILL);
	waitpid(locker, NULL, 0);
	assert_true(shared->counters[0] > 0);
	assert_int_equal(groups_count(NULL), 0);
	box_reset();
}

static void the_shells_command_is_in_one_too(void **state)
{
	char name[NAME_MAX] = "", line[PATH_MAX] = "";
	FILE *output;

	(void)state;
	NEEDS_BASE;
	output = popen(text_of("%s run --fs-system --fs-read /proc --cgroup %s -- cat /proc/self/cgroup",
	                       getenv("SLUICE"), base),
	               "re");
	assert_non_null(output);
	while (fgets(line, sizeof(line), output) != NULL)
		if (strncmp(line, "0::", 3) == 0)
			snprintf(name, sizeof(name), "%.*s", 7, strrchr(line, '/') + 1);
	assert_int_equal(pclose(output), 0);
	assert_string_equal(name, "sluice-");
	assert_int_equal(groups_count(NULL), 0);
}

/* ---- stopping all of it ---- */

static void a_paused_tree_does_not_run(void **state)
{
	(void)state;
	NEEDS_BASE;
	for (enum way way = PLAIN; way < WAYS; way++) {
		sl_sandbox *sandbox = group_spawn(way, "family", "", POLICY("cgroup", base));
		sl_error error = {.message = ""};

		assert_true(word_becomes(READY, 1));
		for (int round = 0; round < 20; round++) {
			assert_true(counters_all_move(FAMILY));
			if (round % 2 == 0 ? sl_pause(sandbox, &error) < 0 : sl_freeze(sandbox, &error) < 0)
				fail_msg("%s", error.message);
			assert_false(counters_any_moves(FAMILY, 20));
			assert_int_not_equal(process_state(shared->pids[0]), 'T');
			assert_int_equal(
				round % 2 == 0 ? sl_resume(sandbox, &error) : sl_thaw(sandbox, &error), 0);
		}
		assert_true(counters_all_move(FAMILY));
		assert_int_equal(sl_pause(sandbox, &error), 0);
		sl_sandbox_free(sandbox);
		assert_true(box_nothing_left(FAMILY));
		assert_int_equal(groups_count(NULL), 0);
		box_reset();
	}
}

/* A SIGCONT that the kernel has promised wakes who was stopped by SIGSTOP, and nobody in a frozen group. */
static void nothing_wakes_a_paused_tree(void **state)
{
	(void)state;
	NEEDS_BASE;
	for (int grouped = 0; grouped < 2; grouped++) {
		sl_sandbox *sandbox =
			group_spawn(PLAIN, "promised", "", grouped ? POLICY("cgroup", base) : NULL);
		sl_error error;
		int r;

		assert_true(word_becomes(READY, 1));
		r = sl_pause(sandbox, &error);
		process_kill(sl_sandbox_pid(sandbox), SIGCONT);
		if (grouped) {
			assert_int_equal(r, 0);
			assert_false(counters_any_moves(1, 500));
		} else {
			assert_true(counters_any_moves(1, 2000));
		}
		sl_sandbox_free(sandbox);
		box_reset();
	}
}

/* What `sluice ps` says of this sandbox. */
static bool ps_says(const char *name, const char *word)
{
	FILE *output = popen(text_of("%s ps", getenv("SLUICE")), "re");
	char line[1024];
	bool says = false;

	while (fgets(line, sizeof(line), output) != NULL)
		says |= strncmp(line, name, strlen(name)) == 0 && strstr(line, word) != NULL;
	pclose(output);
	return says;
}

/* Its connect waits for a server that does not answer, and so the call for its supervisor. */
static void who_waits_for_the_supervisor_is_shown_as_paused(void **state)
{
	uint16_t port = 0;
	int listener = tcp_listener(AF_INET, &port), waiting[2];
	sl_sandbox *sandbox;
	sl_error error;

	(void)state;
	NEEDS_BASE;
	listen(listener, 0);
	for (int i = 0; i < 2; i++) {
		struct sockaddr_in address = {.sin_family = AF_INET,
		                              .sin_port = htons(port),
		                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

		waiting[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		connect(waiting[i], (struct sockaddr *)&address, sizeof(address));
	}
	sandbox = group_spawn(
		GATE, "connect", text_of("%u", port),
		POLICY("cgroup", base, "name", "waits", "net-allow", text_of("127.0.0.1:%u", port)));
	assert_true(word_becomes(READY, 1));
	usleep(100000);
	print_message("# it is in state %c\n", process_state(sl_sandbox_pid(sandbox)));
	assert_true(ps_says("waits", "running"));
	assert_int_equal(sl_pause(sandbox, &error), 0);
	assert_true(ps_says("waits", "paused"));
	assert_int_equal(sl_resume(sandbox, &error), 0);
	assert_true(ps_says("waits", "running"));
	sl_sandbox_free(sandbox);
	close(waiting[0]);
	close(waiting[1]);
	close(listener);
	box_reset();
}

static void a_chain_is_paused_and_killed(void **state)
{
	sl_sandbox *sandbox;
	sl_error error;
	int paused = 0;

	(void)state;
	NEEDS_BASE;
	for (int i = 0; i < 10; i++) {
		sandbox = group_spawn(PLAIN, "chain", "", POLICY("cgroup", base));
		assert_true(word_becomes(READY, 1));
		if (sl_pause(sandbox, &error) == 0) {
			paused++;
			assert_false(counters_any_moves(1, 20));
			assert_int_equal(sl_resume(sandbox, &error), 0);
			assert_true(counters_any_moves(1, 5000));
		}
		sl_sandbox_free(sandbox);
		assert_false(counters_any_moves(1, 20));
		assert_int_equal(groups_count(NULL), 0);
		box_reset();
	}
	printf("# a chain of forks was paused %d times of 10, and killed each time\n", paused);
	assert_int_equal(paused, 10);
}

/* ---- leaving it ---- */

static int play_escape(void *context)
{
	const struct escape *escape = context;

	/* In a group of its own, as the command is. */
	if (mkdir(text_of("%s/control", base), 0755) < 0 && errno != EEXIST)
		return errno;
	if (file_set(text_of("%s/control/cgroup.procs", base), "0") != 0)
		return 10000;
	return escape->run();
}

static void nobody_leaves_it(void **state)
{
	sl_sandbox *sandbox;

	(void)state;
	NEEDS_BASE;
	assert_int_equal(mkdir(text_of("%s/escape", base), 0755), 0);
	for (size_t i = 0; i < ESCAPES; i++) {
		int bare = attempt_bare(play_escape, (void *)&escapes[i]);

		print_message("# bare: %s: %d\n", escapes[i].name, bare);
		assert_int_equal(bare, geteuid() == 0 ? 0 : escapes[i].bare);
	}
	sandbox = group_spawn(PLAIN, "escape", base, POLICY("cgroup", base));
	assert_true(word_becomes(READY, 1));
	for (size_t i = 0; i < ESCAPES; i++) {
		print_message("# %s: %d\n", escapes[i].name, shared->words[RESULT + i] - 1);
		assert_int_equal(shared->words[RESULT + i] - 1, escapes[i].refused);
	}
	assert_int_equal(box_status(sandbox), 0);
	sl_sandbox_free(sandbox);
	box_reset();
	rmdir(text_of("%s/control", base));
	assert_int_equal(rmdir(text_of("%s/escape", base)), 0);
}

static void refused(const char *const more[], const char *message)
{
	sl_policy *policy = box_policy(PLAIN, more);
	sl_sandbox *sandbox;
	sl_error error;

	assert_true(sl_spawn(policy, box_argv("exit", "0"), NULL, &sandbox, &error) < 0);
	print_message("# %s\n", error.message);
	assert_non_null(strstr(error.message, message));
	sl_policy_free(policy);
}

/* Errno of the command's write + 1, or 0 where the sandbox was refused for its grants. */
static int join_try(const char *name, const char *argument, int out, const char *const more[])
{
	const sl_descriptor page = {BOX_SHARED, box_page()};
	const sl_stdio stdio = {.out = {out < 0 ? SL_STREAM_INHERIT : SL_STREAM_GIVEN, out},
	                        .extra = &page,
	                        .extra_count = 1};
	sl_policy *policy = box_policy(PLAIN, more);
	sl_sandbox *sandbox = NULL;
	sl_error error;
	int r = sl_spawn(policy, box_argv(name, argument), &stdio, &sandbox, &error);

	sl_policy_free(policy);
	if (r < 0) {
		print_message("# %s\n", error.message);
		return strstr(error.message, "cgroup: ") == NULL ? -1 : 0;
	}
	r = word_becomes(READY, 1) ? shared->words[RESULT] : -1;
	sl_sandbox_free(sandbox);
	shared->words[READY] = 0;
	return r;
}

static bool mount_point(char *point);

/* Where a mount's parent is to be had by another name: Landlock goes by what is mounted, and not by its name. `below`, of
 * that: a mount of groups. */
struct other_name {
	const char *granted, *below;
};

static int other_name_try(const struct other_name *name)
{
	const char *procs = text_of("%s/escape/cgroup.procs", name->below);
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s", procs);
	if (join_try("join", path, -1, POLICY("fs-write", name->granted)) != 1)
		return 1;
	return join_try("join", path, -1, POLICY("fs-write", name->granted, "cgroup", base)) == 0 ? 0 : 2;
}

/* In a child: 0, or where it failed. */
static int play_other_names(void *context)
{
	char point[PATH_MAX], place[PATH_MAX], bound[PATH_MAX], groups[PATH_MAX], other[PATH_MAX],
		path[PATH_MAX];
	struct other_name names[] = {{bound, base}, {place, other}};
	int r;

	(void)context;
	snprintf(place, sizeof(place), "%.2000s/place", scratch());
	snprintf(bound, sizeof(bound), "%.2000s/bound", scratch());
	snprintf(groups, sizeof(groups), "%.2000s/groups", bound);
	if (!mount_point(point) || unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mkdir(place, 0755) < 0 ||
	    mkdir(text_of("%s/groups", place), 0755) < 0 || mkdir(bound, 0755) < 0)
		return 10;
	/* The directory that the groups are mounted in. */
	snprintf(other, sizeof(other), "%.*s", (int)(strrchr(point, '/') - point), point);
	if (mount(other, bound, NULL, MS_BIND, NULL) < 0)
		return 11;
	if ((r = other_name_try(&names[0])) != 0 || umount(bound) < 0)
		return 20 + r;
	/* A mount of groups below the second name of a directory that is granted by its first. */
	if (mount(place, bound, NULL, MS_BIND, NULL) < 0 || mount("none", groups, "cgroup2", 0, NULL) < 0)
		return 12;
	snprintf(other, sizeof(other), "%.2000s%.2000s", groups, base + strlen(point));
	if ((r = other_name_try(&names[1])) != 0)
		return 30 + r;
	/* The place that is mounted over is on nobody's way. */
	snprintf(path, sizeof(path), "%.3000s/escape/cgroup.procs", other);
	if (join_try("join", path, -1, POLICY("fs-write", text_of("%s/groups", place), "cgroup", base)) !=
	    1 + EACCES)
		return 13;
	return 0;
}

static void no_other_name_leads_out(void **state)
{
	(void)state;
	NEEDS_BASE;
	if (geteuid() != 0)
		SKIP_BECAUSE("an ordinary user mounts nothing");
	assert_int_equal(mkdir(text_of("%s/escape", base), 0755), 0);
	assert_int_equal(attempt_bare(play_other_names, NULL), 0);
	assert_int_equal(rmdir(text_of("%s/escape", base)), 0);
	box_reset();
}

static void no_open_descriptor_leads_out(void **state)
{
	const char *const held[] = {"cgroup", base, NULL};
	char line[512] = "";
	FILE *output;
	int fd;

	(void)state;
	NEEDS_BASE;
	assert_int_equal(mkdir(text_of("%s/escape", base), 0755), 0);
	fd = open(text_of("%s/escape/cgroup.procs", base), O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(join_try("join-open", "", fd, NULL), 1);
	assert_int_equal(join_try("join-open", "", fd, held), 0);
	close(fd);
	/* What can only be read is harmless. */
	fd = open(text_of("%s/escape/cgroup.procs", base), O_RDONLY | O_CLOEXEC);
	assert_int_equal(join_try("join-open", "", fd, held), 1 + EBADF);
	close(fd);
	output = popen(
		text_of("%s run --fs-system --keep-fd 7 --cgroup %s -- true 7>%s/escape/cgroup.procs 2>&1",
	                getenv("SLUICE"), base, base),
		"re");
	assert_non_null(fgets(line, sizeof(line), output));
	assert_int_equal(WEXITSTATUS(pclose(output)), 125);
	assert_non_null(strstr(line, "open for writing to a control group"));
	assert_int_equal(groups_count(NULL), 0);
	for (int i = 0; i < 1000 && rmdir(text_of("%s/escape", base)) < 0 && errno == EBUSY; i++)
		usleep(1000);
	assert_int_not_equal(access(text_of("%s/escape", base), F_OK), 0);
	box_reset();
}

static void what_cannot_be_had_is_an_error(void **state)
{
	sl_policy *policy;
	sl_error error;

	(void)state;
	NEEDS_BASE;
	refused(POLICY("cgroup", "/tmp"), "no directory of cgroup version 2");
	refused(POLICY("cgroup", text_of("%s/nowhere", base)), "nowhere");
	refused(POLICY("cgroup", base, "fs-write", base), "would let the command change its own group");
	refused(POLICY("cgroup", base, "fs-write", "/sys"), "would let the command change its own group");
	if (!base_has("memory"))
		refused(POLICY("cgroup", base, "max-memory", "64M"), "has no memory controller");
	if (!base_has("cpu"))
		refused(POLICY("cgroup", base, "cpu", "50"), "has no cpu controller");
	policy = policy_of(POLICY("cgroup", base));
	assert_int_equal(sl_confine_self(policy, &error), -EINVAL);
	assert_non_null(strstr(error.message, "cgroup: only where a command is started"));
	sl_policy_free(policy);
	assert_int_equal(groups_count(NULL), 0);
}

/* What would fail when the command is to go in, or when the group is to go, is said before. */
static void a_base_that_would_not_do_is_an_error(void **state)
{
	char place[PATH_MAX];
	sl_sandbox *sandbox;

	(void)state;
	NEEDS_BASE;
	snprintf(place, sizeof(place), "%.3000s/place", base);
	assert_int_equal(mkdir(place, 0555), 0);
	refused(POLICY("cgroup", place), "its permissions");
	assert_int_equal(chmod(place, 0755), 0);
	assert_int_equal(mkdir(text_of("%s/inner", place), 0755), 0);
	assert_int_equal(file_set(text_of("%s/inner/cgroup.type", place), "threaded"), 0);
	refused(POLICY("cgroup", text_of("%s/inner", place)), "domain invalid");
	assert_int_equal(rmdir(text_of("%s/inner", place)), 0);
	assert_int_equal(file_set(text_of("%s/cgroup.max.descendants", place), "0"), 0);
	refused(POLICY("cgroup", place), "unavailable");
	assert_int_equal(file_set(text_of("%s/cgroup.max.descendants", place), "max"), 0);
	sandbox = group_spawn(PLAIN, "exit", "0", POLICY("cgroup", place));
	assert_int_equal(box_status(sandbox), 0);
	sl_sandbox_free(sandbox);
	assert_int_equal(rmdir(place), 0);
}

/* Nobody asked for a group by name, and limits are held all the same. */
static void without_a_controller_the_keeper_looks(void **state)
{
	sl_sandbox *sandbox;
	sl_status status;

	(void)state;
	NEEDS_BASE;
	sandbox = group_spawn(PLAIN, "fill", "256", POLICY("cgroup", "none", "max-memory", "64M"));
	assert_int_equal(sl_wait(sandbox, 10000, &status, NULL), 0);
	assert_int_equal(status.reason, SL_REASON_MEMORY);
	sl_sandbox_free(sandbox);
	assert_int_equal(groups_count(NULL), 0);
	box_reset();
}

/* ---- limits ---- */

static void memory_try(const char *name, const char *argument, const char *limit, int reason)
{
	sl_sandbox *sandbox =
		group_spawn(PLAIN, name, argument, POLICY("max-memory", limit, "fs-write", scratch()));
	sl_status status;

	assert_int_equal(groups_count(NULL), 1);
	assert_int_equal(sl_wait(sandbox, 60000, &status, NULL), 0);
	print_message("# %s %s under %s: code %d, signal %d, reason %d\n", name, argument, limit, status.code,
	              status.signal, status.reason);
	assert_int_equal(status.reason, reason);
	if (reason == SL_REASON_NONE)
		assert_int_equal(status.code, 0);
	sl_sandbox_free(sandbox);
	assert_int_equal(groups_count(NULL), 0);
	box_reset();
}

/* tmpfs, and overlayfs, whose files may be of one. */
static bool scratch_is_memory(void)
{
	struct statfs status;

	assert_int_equal(statfs(scratch(), &status), 0);
	return status.f_type == 0x01021994 || status.f_type == 0x794c7630;
}

static void memory_is_held_by_the_group(void **state)
{
	(void)state;
	NEEDS_CONTROLLER("memory");
	memory_try("fill", "256", "64M", SL_REASON_MEMORY);
	memory_try("fill", "32", "64M", SL_REASON_NONE);
	if (scratch_is_memory())
		print_message("# %s is in memory itself: no file there whose pages could be dropped\n",
		              scratch());
	else
		memory_try("file", "256", "64M", SL_REASON_NONE);
}

/* What the keeper cannot see: kernel memory. */
static void memory_of_the_kernel_counts(void **state)
{
	(void)state;
	NEEDS_CONTROLLER("memory");
	memory_try("map", text_of("%d", MAPS), "16M", SL_REASON_MEMORY);
	memory_try("map", "1000", "16M", SL_REASON_NONE);
	memory_try("pipes", "40", "16M", SL_REASON_MEMORY);
	memory_try("pipes", "4", "16M", SL_REASON_NONE);
}

/* Where memory is held by the group, and cpu by the keeper, who stops the tree most of the time. */
static int play_divided(void *context)
{
	sl_sandbox *sandbox;
	sl_error error;
	int r = 0;

	(void)context;
	if (file_set(text_of("%s/place/app/cgroup.procs", base), "0") != 0)
		return 10001;
	sandbox = group_spawn(PLAIN, "hold", "", POLICY("max-memory", "64M", "cpu", "30"));
	if (!word_becomes(READY, 1))
		r = 10002;
	/* At all points of its time: where it is to go on soon, nobody would stop it, and continue it, once more. */
	for (int i = 0; r == 0 && i < 12; i++) {
		if (!counters_any_moves(1, 5000))
			r = 10003;
		usleep((unsigned)i * 40000);
		if (sl_pause(sandbox, &error) < 0)
			r = 10004;
		else if (counters_any_moves(1, 20))
			r = 10005;
		if (sl_resume(sandbox, &error) < 0)
			r = 10006;
	}
	sl_sandbox_free(sandbox);
	return r;
}

static void a_tree_that_the_keeper_stops_is_paused_too(void **state)
{
	(void)state;
	NEEDS_CONTROLLER("memory");
	file_set(text_of("%s/cgroup.subtree_control", base), "-cpu");
	assert_int_equal(file_set(text_of("%s/cgroup.subtree_control", base), "+memory"), 0);
	assert_int_equal(mkdir(text_of("%s/place", base), 0755), 0);
	assert_int_equal(mkdir(text_of("%s/place/app", base), 0755), 0);
	assert_int_equal(setxattr(text_of("%s/place", base), "user.delegate", "1", 1, 0), 0);
	assert_int_equal(attempt_bare(play_divided, NULL), 0);
	for (int i = 0; i < 1000 && rmdir(text_of("%s/place/app", base)) < 0 && errno == EBUSY; i++)
		usleep(1000);
	assert_int_equal(rmdir(text_of("%s/place", base)), 0);
	box_reset();
}

static uint64_t spark_us(const char *const more[])
{
	sl_sandbox *sandbox = group_spawn(PLAIN, "spark", "3", more);
	uint64_t used;

	assert_int_equal(box_status(sandbox), 0);
	used = shared->counters[0];
	sl_sandbox_free(sandbox);
	box_reset();
	return used;
}

static void short_lives_count(void **state)
{
	uint64_t bare, held;

	(void)state;
	NEEDS_CONTROLLER("cpu");
	bare = spark_us(NULL);
	held = spark_us(POLICY("cpu", "20"));
	printf("# three seconds: %llu ms of children that live for 3 ms, %llu ms under cpu 20\n",
	       (unsigned long long)bare / 1000, (unsigned long long)held / 1000);
	assert_true(held < 1000000);
	assert_true(held > 10000);
	assert_true(bare > held);
}

/* The kernel chooses this process when it has no other left, and not at all: inherited by whom it starts. */
static int play_immortal(void *context)
{
	sl_status status;
	sl_sandbox *sandbox;
	int r = file_set("/proc/self/oom_score_adj", "-1000");

	(void)context;
	if (r != 0)
		return r;
	sandbox = group_spawn(PLAIN, "fill", "256", POLICY("max-memory", "64M"));
	r = sl_wait(sandbox, 60000, &status, NULL) < 0 ? ETIMEDOUT
	    : status.reason == SL_REASON_MEMORY        ? 0
	                                               : 10000 + status.reason;
	sl_sandbox_free(sandbox);
	return r;
}

static void who_is_never_chosen_is_killed_all_the_same(void **state)
{
	(void)state;
	NEEDS_CONTROLLER("memory");
	if (geteuid() != 0)
		SKIP_BECAUSE("an ordinary user does not make himself one whom the kernel does not kill");
	assert_int_equal(attempt_bare(play_immortal, NULL), 0);
}

static int realtime_try(const char *const more[], int scheduler, int refused)
{
	sl_sandbox *sandbox = group_spawn(PLAIN, "realtime", "", more);
	int r = word_becomes(READY, 1) && shared->words[RESULT] == 1 + scheduler &&
	                        shared->words[RESULT + 1] == 1 + refused
	                ? 0
	                : 1;

	sl_sandbox_free(sandbox);
	box_reset();
	return r;
}

static int play_realtime(void *context)
{
	const struct sched_param some = {.sched_priority = 2};

	(void)context;
	if (realtime_try(NULL, SCHED_OTHER, 0) != 0)
		return 10001;
	if (realtime_try(POLICY("cpu", "20"), SCHED_OTHER, EPERM) != 0)
		return 10002;
	if (sched_setscheduler(0, SCHED_FIFO, &some) < 0)
		return errno;
	if (realtime_try(NULL, SCHED_FIFO, 0) != 0)
		return 10003;
	return realtime_try(POLICY("cpu", "20"), SCHED_OTHER, EPERM) == 0 ? 0 : 10004;
}

/* No limit of time holds for it. */
static void nobody_is_in_real_time(void **state)
{
	struct rlimit limit;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_RTPRIO, &limit), 0);
	if (limit.rlim_cur == 0)
		SKIP_BECAUSE("nobody here may be scheduled in real time");
	assert_int_equal(attempt_bare(play_realtime, NULL), 0);
}

static void explain_says_which(void **state)
{
	char line[512];
	bool memory = false, none = false;
	FILE *output;

	(void)state;
	NEEDS_BASE;
	output = popen(text_of("%s explain --max-memory 64M", getenv("SLUICE")), "re");
	while (fgets(line, sizeof(line), output) != NULL) {
		memory |= strstr(line, "a control group, and the kernel's memory") != NULL;
		none |= strncmp(line, "no control group: ", 18) == 0;
	}
	assert_int_equal(pclose(output), 0);
	assert_int_equal(memory, base_has("memory"));
	assert_int_equal(none, !base_has("memory"));
}

/* ---- groups to run in ---- */

static int mount_find(const char *line, struct mount *mount)
{
	return mount_parse(line, CGROUP2_TYPE, mount) && strcmp(mount->root, "/") == 0;
}

static bool mount_point(char *point)
{
	static struct mount mount;
	char line[8192];
	FILE *mounts = fopen("/proc/self/mountinfo", "re");
	bool found = false;

	while (!found && mounts != NULL && fgets(line, sizeof(line), mounts) != NULL)
		found = mount_find(line, &mount);
	if (mounts != NULL)
		fclose(mounts);
	snprintf(point, PATH_MAX, "%s", mount.point);
	return found;
}

/* What systemd does for Delegate=yes. */
static bool base_make(uid_t user)
{
	static const char *const files[] = {
		"",     "/cgroup.procs",    "/cgroup.subtree_control", "/cgroup.threads",
		"/app", "/app/cgroup.procs"};
	char point[PATH_MAX];

	if (!mount_point(point))
		return false;
	file_set(text_of("%s/cgroup.subtree_control", point), "+memory");
	file_set(text_of("%s/cgroup.subtree_control", point), "+cpu");
	snprintf(base, sizeof(base), "%.4000s/sluice-test-%d-%u", point, getpid(), user);
	if (mkdir(base, 0755) < 0 || mkdir(text_of("%s/app", base), 0755) < 0)
		return false;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (chown(text_of("%s%s", base, files[i]), user, user) < 0)
			return false;
	return setxattr(base, "user.delegate", "1", 1, 0) == 0;
}

static void base_remove(void)
{
	for (int i = 0; i < 1000; i++) {
		rmdir(text_of("%s/app", base));
		rmdir(text_of("%s/sluice-self", base));
		if (rmdir(base) == 0 || errno != EBUSY)
			return;
		usleep(10000);
	}
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(the_command_alone_is_in_it),
	cmocka_unit_test(without_need_there_is_none),
	cmocka_unit_test(no_group_is_left_whoever_ends),
	cmocka_unit_test(no_group_is_left_of_a_frozen_one),
	cmocka_unit_test(no_group_is_left_of_what_never_ran),
	cmocka_unit_test(a_dead_group_is_removed_by_the_next_start),
	cmocka_unit_test(the_shells_command_is_in_one_too),
	cmocka_unit_test(a_paused_tree_does_not_run),
	cmocka_unit_test(nothing_wakes_a_paused_tree),
	cmocka_unit_test(who_waits_for_the_supervisor_is_shown_as_paused),
	cmocka_unit_test(a_chain_is_paused_and_killed),
	cmocka_unit_test(nobody_leaves_it),
	cmocka_unit_test(somebody_elses_lock_does_no_harm),
	cmocka_unit_test(no_other_name_leads_out),
	cmocka_unit_test(no_open_descriptor_leads_out),
	cmocka_unit_test(what_cannot_be_had_is_an_error),
	cmocka_unit_test(a_base_that_would_not_do_is_an_error),
	cmocka_unit_test(without_a_controller_the_keeper_looks),
	cmocka_unit_test(memory_is_held_by_the_group),
	cmocka_unit_test(memory_of_the_kernel_counts),
	cmocka_unit_test(a_tree_that_the_keeper_stops_is_paused_too),
	cmocka_unit_test(short_lives_count),
	cmocka_unit_test(who_is_never_chosen_is_killed_all_the_same),
	cmocka_unit_test(nobody_is_in_real_time),
	cmocka_unit_test(explain_says_which),
};

/* Files that the test writes are to be the user's. */
static int user_become(uid_t user)
{
	const struct rlimit realtime = {.rlim_cur = 10, .rlim_max = 10};
	char place[PATH_MAX];

	setrlimit(RLIMIT_RTPRIO, &realtime);
	snprintf(place, sizeof(place), "%s/of-%u", scratch(), user);
	if (mkdir(place, 0700) < 0 || chown(place, user, user) < 0 || chdir(place) < 0 ||
	    setenv("TEST_TMP", place, 1) < 0 || setenv("XDG_RUNTIME_DIR", place, 1) < 0)
		return -errno;
	if (user == 0)
		return 0;
	/* A change of the user switches that off. */
	return setgroups(0, NULL) < 0 || setresgid(user, user, user) < 0 || setresuid(user, user, user) < 0 ||
	                       prctl(PR_SET_DUMPABLE, 1) < 0
	               ? -errno
	               : 0;
}

/* In a child, which goes into the group and becomes that user for good. */
static int tests_run_as(uid_t user)
{
	bool made = base_make(user);
	pid_t child;
	int status = 1;

	fflush(NULL);
	if ((child = fork()) == 0) {
		if (!made)
			base[0] = '\0';
		else if (file_set(text_of("%s/app/cgroup.procs", base), "0") != 0)
			_exit(99);
		if (user_become(user) < 0)
			_exit(98);
		status = cmocka_run_group_tests(tests, boxes_open, boxes_close);
		fflush(NULL);
		_exit(status);
	}
	if (child > 0)
		waitpid(child, &status, 0);
	if (made)
		base_remove();
	return WIFEXITED(status) ? WEXITSTATUS(status) : 97;
}

static void root_makes_the_groups(void **state)
{
	(void)state;
	SKIP_BECAUSE("an ordinary user is not given a group here; the test as root runs all of it as one");
}

int main(int argc, char *argv[])
{
	static const struct CMUnitTest as_user[] = {cmocka_unit_test(root_makes_the_groups)};
	int r;

	box_commands(commands, sizeof(commands) / sizeof(commands[0]), argc, argv);
	if (geteuid() != 0)
		return cmocka_run_group_tests(as_user, NULL, NULL);
	r = tests_run_as(0);
	return tests_run_as(USER) != 0 ? 1 : r;
}
