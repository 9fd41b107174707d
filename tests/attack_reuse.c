/* Numbers of processes that are used again. A member of a sandbox's tree ends, and a stranger gets its number, at any step of
 * whoever walks over the tree or looks for a sandbox: tests/broken/calls.h says what a step is. The stranger, and its child,
 * must not be stopped, continued, signalled or counted.
 *
 *     test (init of a pid namespace of its own, where clone3(2) may choose numbers)
 *      +- server
 *      +- stranger, who has the number of `member`
 *      |   +- its child
 *      +- stand-in
 *          +- keeper
 *              +- command, which lets its children vanish without waiting for them
 *                  +- members
 */
#include "tests/broken/calls.h"
#include "tests/common/boxes.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "supervise/keeper.h"
#include "supervise/registry.h"
#include "supervise/supervise.h"
#include "supervise/tree.h"

enum {
	RESULTS = 8,
	BORN = RESULTS, /* words: the stranger's child is there, this is its number */
	FOUND,          /* what the looker found */
	MEMBERS = 40,
	BURNT_MS = 40,
};

#define NAME         "reuse"
#define MEMBERS_TEXT "40"

static const char *why_not; /* no namespace of our own */

/* ---- commands ---- */

/* So many children, which sleep: pids[1] and so on. pids[0] is the command. */
static int command_members(const char *argument)
{
	int count = atoi(argument);

	signal(SIGCHLD, SIG_IGN);
	for (int i = 1; i <= count; i++) {
		pid_t member = fork();

		if (member == 0)
			for (;;)
				pause();
		shared->pids[i] = member;
	}
	shared->pids[0] = getpid();
	shared->words[READY] = 1;
	for (;;)
		pause();
	return 0;
}

static const struct box_command commands[] = {{"members", command_members}};

/* ---- strangers ---- */

/* A number is free a moment after its process is gone. */
static pid_t clone_numbered(pid_t number)
{
	struct clone_args how = {
		.exit_signal = SIGCHLD, .set_tid = (uint64_t)(uintptr_t)&number, .set_tid_size = 1};
	pid_t pid = -1;

	for (int i = 0; pid < 0 && i < 1000; i++) {
		pid = (pid_t)syscall(SYS_clone3, &how, sizeof(how));
		if (pid < 0 && errno != EEXIST)
			break;
	}
	return pid;
}

static void burn(int milliseconds)
{
	struct timespec used = {0};

	while (used.tv_sec == 0 && used.tv_nsec < milliseconds * 1000000l)
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
}

/* Blocks what can be blocked, so that what it was sent is to be seen as pending. */
static void stranger_main(pid_t child_number, int burnt_ms)
{
	sigset_t all;
	pid_t child;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, KEEPER_COMM);
	burn(burnt_ms);
	child = child_number > 0 ? clone_numbered(child_number)
	                         : (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0);
	if (child != 0)
		shared->words[BORN] = child;
	else
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		pause();
}

/* Not where a parent has still to wait for it: whoever is struck may be that. */
static bool number_is_free(pid_t number)
{
	for (int looks = 0; looks < 400; usleep(50)) {
		if (kill(number, 0) < 0 && errno == ESRCH)
			return true;
		looks += process_state(number) == 'Z';
	}
	return false;
}

/* 0: the number could not be had. */
static pid_t stranger_start(pid_t number, pid_t child_number, int burnt_ms)
{
	pid_t stranger;

	shared->words[BORN] = 0;
	if (number <= 0 || !number_is_free(number) || (child_number > 0 && !number_is_free(child_number)))
		return 0;
	if ((stranger = clone_numbered(number)) == 0)
		stranger_main(child_number, burnt_ms);
	if (stranger != number || !word_leaves(BORN, 0))
		return 0;
	return shared->words[BORN] > 0 ? stranger : 0;
}

static uint64_t pending_of(pid_t process)
{
	FILE *file = fopen(text_of("/proc/%d/status", process), "re");
	char line[512];
	uint64_t all = 0;

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		if (strncmp(line, "SigPnd:", 7) == 0 || strncmp(line, "ShdPnd:", 7) == 0)
			all |= strtoull(line + 7, NULL, 16);
	if (file != NULL)
		fclose(file);
	return all;
}

/* Whether anything has been done to it, or to its child. */
static bool stranger_was_hit(pid_t stranger)
{
	pid_t child = shared->words[BORN];
	char state = process_state(child);
	int status;

	if (waitpid(stranger, &status, WNOHANG | WUNTRACED | WCONTINUED) != 0)
		return true;
	return pending_of(stranger) != 0 || pending_of(child) != 0 || (state != 'S' && state != 'R');
}

/* The child comes to us when its parent has ended. */
static void stranger_end(pid_t stranger, pid_t child)
{
	process_end(stranger);
	process_end(child);
}

/* The member dies, its parent does not wait for it, and somebody else begins. 0: no. */
static pid_t number_pass_on(pid_t member, int burnt_ms)
{
	process_kill(member, SIGKILL);
	return stranger_start(member, 0, burnt_ms);
}

/* ---- whoever walks ---- */

struct order {
	sl_sandbox *sandbox;
	int (*give)(sl_sandbox *sandbox, sl_error *error);
	volatile int result;
	volatile bool done;
	pthread_t thread;
};

static void *order_give(void *context)
{
	struct order *order = context;

	order->result = order->give(order->sandbox, NULL);
	order->done = true;
	return NULL;
}

static void order_begin(struct order *order)
{
	order->done = false;
	pthread_create(&order->thread, NULL, order_give, order);
}

static sl_sandbox *members_start(const char *count)
{
	sl_policy *policy = box_policy(PLAIN, (const char *const[]){"name", NAME, NULL});
	const sl_descriptor extra = {BOX_SHARED, box_page()};
	const sl_stdio stdio = {.extra = &extra, .extra_count = 1};
	sl_sandbox *sandbox;
	sl_error error;

	box_reset();
	call_caller = CALLER_APP;
	if (sl_spawn(policy, box_argv("members", count), &stdio, &sandbox, &error) < 0)
		fail_msg("%s", error.message);
	call_caller = CALLER_NOBODY;
	sl_policy_free(policy);
	assert_true(word_becomes(READY, 1));
	return sandbox;
}

static void strike_set(enum caller caller, unsigned nth)
{
	memset(calls, 0, sizeof(*calls));
	calls->signal = SIGSTOP;
	calls->nth = nth;
	calls->caller = caller;
}

static bool struck_is_stopped(const volatile bool *done)
{
	while (!*done && calls->struck == 0)
		usleep(50);
	if (calls->struck == 0)
		return false;
	while (process_state(calls->struck) != 'T')
		usleep(50);
	return true;
}

/* Each step takes a sandbox of its own: in a short run every third one. */
static unsigned step_behind(unsigned nth)
{
	return nth + (long_run() ? 1 : 3);
}

struct tally {
	unsigned tried, passed_on, hit;
};

static void tally_print(const char *what, const struct tally *tally)
{
	fprintf(stderr, "# %s: %u steps tried, a number passed on at %u, %u strangers hit\n", what,
	        tally->tried, tally->passed_on, tally->hit);
}

/* One step of one order; false where the order took fewer. `stopped`: the stranger is when the order comes to it. */
static bool order_try(int (*before)(sl_sandbox *, sl_error *), int (*give)(sl_sandbox *, sl_error *),
                      unsigned nth, bool stopped, struct tally *tally)
{
	sl_sandbox *sandbox = members_start("2");
	struct order order = {.sandbox = sandbox, .give = give};
	pid_t stranger = 0, child = 0;
	bool struck;

	if (before != NULL)
		assert_int_equal(before(sandbox, NULL), 0);
	strike_set(CALLER_KEEPER, nth);
	order_begin(&order);
	struck = struck_is_stopped(&order.done);
	tally->tried++;
	if (struck && (stranger = number_pass_on(shared->pids[1], 0)) > 0) {
		tally->passed_on++;
		child = shared->words[BORN];
		if (stopped) {
			process_kill(stranger, SIGSTOP);
			waitpid(stranger, NULL, WUNTRACED);
		}
	}
	if (struck)
		process_kill(calls->struck, SIGCONT);
	pthread_join(order.thread, NULL);
	calls->caller = CALLER_NOBODY;
	if (stranger > 0 && stranger_was_hit(stranger)) {
		fprintf(stderr, "# hit at step %u, %s\n", nth, calls->name);
		tally->hit++;
	}
	sl_sandbox_free(sandbox);
	if (stranger > 0 && waitpid(stranger, NULL, WNOHANG) != 0)
		tally->hit++;
	stranger_end(stranger, child);
	assert_true(box_nothing_left(3));
	return struck;
}

static void order_tries(const char *name, int (*before)(sl_sandbox *, sl_error *),
                        int (*give)(sl_sandbox *, sl_error *), bool stopped, unsigned least)
{
	struct tally tally = {0};
	unsigned limit = long_run() ? 100000 : 150;

	for (unsigned nth = 1; nth <= limit; nth = step_behind(nth))
		if (!order_try(before, give, nth, stopped, &tally))
			break;
	tally_print(name, &tally);
	assert_int_equal(tally.hit, 0);
	assert_true(tally.passed_on >= least);
}

#define NEEDS_NUMBERS                          \
	do {                                   \
		if (why_not != NULL)           \
			SKIP_BECAUSE(why_not); \
	} while (0)

static void a_stranger_is_not_stopped(void **state)
{
	(void)state;
	NEEDS_NUMBERS;
	order_tries("pause", NULL, sl_pause, false, 15);
}

static void a_stranger_is_not_continued(void **state)
{
	(void)state;
	NEEDS_NUMBERS;
	order_tries("resume", sl_pause, sl_resume, true, 7);
}

static int kill_and_wait(sl_sandbox *sandbox, sl_error *error)
{
	int r = sl_kill(sandbox, error);

	return r < 0 ? r : sl_wait(sandbox, -1, NULL, error);
}

static void a_stranger_is_not_killed(void **state)
{
	(void)state;
	NEEDS_NUMBERS;
	/* When the command has ended its children are the keeper's, and their numbers stay theirs until it waits for them. */
	order_tries("kill", NULL, kill_and_wait, false, 1);
}

/* ---- the control: whoever lists numbers, and then acts on them ---- */

static int naive_stop(pid_t command, int number)
{
	FILE *children = fopen(text_of("/proc/%d/task/%d/children", command, command), "re");
	int listed = 0, r = fscanf(children, "%d", &listed);

	fclose(children);
	assert_true(r == 1 && number_pass_on(listed, 0) == listed);
	process_kill(listed, number);
	return listed;
}

static void a_naive_walk_hits_a_stranger(void **state)
{
	static const int numbers[] = {SIGSTOP, SIGCONT, SIGKILL};

	(void)state;
	NEEDS_NUMBERS;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		sl_sandbox *sandbox = members_start("2");
		pid_t stranger = naive_stop(shared->pids[0], numbers[i]);

		usleep(20000);
		assert_true(stranger_was_hit(stranger));
		stranger_end(stranger, shared->words[BORN]);
		sl_sandbox_free(sandbox);
		assert_true(box_nothing_left(3));
	}
}

/* ---- counting ---- */

/* A process with a tree of its own, which looks at it. */
static void looker_main(bool of_time)
{
	static struct tree tree;
	int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (fork() == 0)
		_exit(command_members("2"));
	if (!word_becomes(READY, 1) || tree_open(&tree, proc, 0) < 0)
		_exit(1);
	call_caller = CALLER_APP;
	if (of_time)
		shared->words[FOUND] = (int)(tree_cpu_time(&tree) / 1000);
	else
		tree_look(&tree, getpid());
	call_caller = CALLER_NOBODY;
	for (size_t i = 0; !of_time && i < tree.count; i++)
		shared->words[FOUND] |= tree.pids[i] == shared->words[BORN];
	_exit(tree_kill(proc) ? 0 : 1);
}

static bool look_try(bool of_time, unsigned nth, struct tally *tally)
{
	pid_t looker, stranger = 0, child = 0;
	volatile bool never = false;
	bool struck = false;
	int status = 0;

	box_reset();
	strike_set(CALLER_APP, nth);
	if ((looker = process_fork()) == 0)
		looker_main(of_time);
	while (!never && calls->struck == 0 && waitpid(looker, &status, WNOHANG) == 0)
		usleep(50);
	tally->tried++;
	if ((struck = calls->struck != 0)) {
		struck_is_stopped(&never);
		stranger = number_pass_on(shared->pids[1], of_time ? BURNT_MS : 0);
		child = shared->words[BORN];
		tally->passed_on += stranger > 0;
		process_kill(looker, SIGCONT);
		status = exit_of(looker);
	}
	if (shared->words[FOUND] >= (of_time ? BURNT_MS / 2 : 1)) {
		fprintf(stderr, "# counted at step %u, %s: %d\n", nth, calls->name, shared->words[FOUND]);
		tally->hit++;
	}
	stranger_end(stranger, child);
	assert_int_equal(status, 0);
	assert_true(box_nothing_left(3));
	return struck;
}

static void a_stranger_is_not_counted(void **state)
{
	(void)state;
	NEEDS_NUMBERS;
	for (int of_time = 0; of_time < 2; of_time++) {
		struct tally tally = {0};

		for (unsigned nth = 1; look_try(of_time, nth, &tally); nth = step_behind(nth))
			;
		tally_print(of_time ? "time" : "look", &tally);
		assert_int_equal(tally.hit, 0);
		assert_true(tally.passed_on > 10);
	}
}

/* ---- sluice kill, ps and inspect ---- */

enum asked { ASK_KILL, ASK_SIGNAL, ASK_LOOK, ASKED };

static void asker_main(enum asked asked)
{
	struct running_facts facts = {.count = 0};
	struct running running;
	int dir;

	call_caller = CALLER_APP;
	dir = running_open(NULL);
	if (running_find(dir, NAME, &running, NULL) < 0)
		_exit(0);
	if (asked == ASK_KILL)
		running_kill(&running, NULL);
	else if (asked == ASK_SIGNAL)
		running_signal(&running, SIGTERM, NULL);
	else if (running_look(&running, &facts) == 0)
		for (size_t i = 0; i < facts.count; i++)
			shared->words[FOUND] |= facts.pids[i] == shared->words[BORN];
	_exit(0);
}

/* Keeper and command end, and their numbers go to one who has the keeper's name, and to its child. */
static bool asker_try(enum asked asked, unsigned nth, struct tally *tally)
{
	sl_sandbox *sandbox = members_start("2");
	struct running running;
	volatile bool never = false;
	pid_t asker, stranger = 0, command = sl_sandbox_pid(sandbox);
	bool struck;

	assert_int_equal(running_find(running_open(NULL), NAME, &running, NULL), 0);
	strike_set(CALLER_APP, nth);
	if ((asker = process_fork()) == 0)
		asker_main(asked);
	while (calls->struck == 0 && process_state(asker) != 'Z')
		usleep(50);
	tally->tried++;
	if ((struck = calls->struck != 0)) {
		struck_is_stopped(&never);
		sl_sandbox_free(sandbox);
		stranger = stranger_start(running.keeper, command, 0);
		tally->passed_on += stranger > 0;
		process_kill(asker, SIGCONT);
	}
	assert_int_equal(exit_of(asker), 0);
	if (stranger > 0 && (stranger_was_hit(stranger) || shared->words[FOUND] != 0)) {
		fprintf(stderr, "# hit at step %u, %s\n", nth, calls->name);
		tally->hit++;
	}
	stranger_end(stranger, shared->words[BORN]);
	if (!struck)
		sl_sandbox_free(sandbox);
	running_clear(&running);
	return struck;
}

static void a_stranger_is_not_taken_for_a_keeper(void **state)
{
	static const char *const names[] = {"sluice kill", "sluice kill -s", "sluice inspect"};

	(void)state;
	NEEDS_NUMBERS;
	for (enum asked asked = ASK_KILL; asked < ASKED; asked++) {
		struct tally tally = {0};

		for (unsigned nth = 1; asker_try(asked, nth, &tally); nth = step_behind(nth))
			;
		tally_print(names[asked], &tally);
		assert_int_equal(tally.hit, 0);
		assert_true(tally.passed_on > 2);
	}
}

static void a_naive_kill_by_name_hits_a_stranger(void **state)
{
	sl_sandbox *sandbox;
	struct running running;
	pid_t stranger, command;

	(void)state;
	NEEDS_NUMBERS;
	sandbox = members_start("2");
	command = sl_sandbox_pid(sandbox);
	assert_int_equal(running_find(running_open(NULL), NAME, &running, NULL), 0);
	sl_sandbox_free(sandbox);
	assert_true((stranger = stranger_start(running.keeper, command, 0)) > 0);
	assert_false(stranger_was_hit(stranger));
	process_kill(running.keeper, SIGTERM);
	assert_true(stranger_was_hit(stranger));
	stranger_end(stranger, command);
	running_clear(&running);
}

/* ---- at no chosen step, but many times ---- */

static volatile bool hammer_ends;

static void *pause_and_resume(void *context)
{
	unsigned *orders = context;
	sl_sandbox *sandbox = *(sl_sandbox **)(orders + 2);

	while (!hammer_ends && sl_pause(sandbox, NULL) != -ESRCH) {
		sl_resume(sandbox, NULL);
		++*orders;
	}
	return NULL;
}

struct hammer {
	unsigned orders, unused;
	sl_sandbox *sandbox;
};

static unsigned hammer_round(struct hammer *hammer, struct tally *tally)
{
	pid_t strangers[MEMBERS + 1] = {0}, children[MEMBERS + 1] = {0};
	unsigned hits = 0;
	pthread_t thread;

	hammer->sandbox = members_start(MEMBERS_TEXT);
	hammer_ends = false;
	pthread_create(&thread, NULL, pause_and_resume, hammer);
	for (int i = 1; i <= MEMBERS; i++) {
		usleep((useconds_t)(random() % 500));
		strangers[i] = number_pass_on(shared->pids[i], 0);
		children[i] = shared->words[BORN];
		tally->tried++;
		tally->passed_on += strangers[i] > 0;
	}
	hammer_ends = true;
	pthread_join(thread, NULL);
	for (int i = 1; i <= MEMBERS; i++) {
		shared->words[BORN] = children[i];
		hits += strangers[i] > 0 && stranger_was_hit(strangers[i]);
		stranger_end(strangers[i], children[i]);
	}
	sl_sandbox_free(hammer->sandbox);
	assert_true(box_nothing_left(1));
	return hits;
}

static void strangers_are_not_hit_at_any_time(void **state)
{
	struct hammer hammer = {0};
	struct tally tally = {0};
	double end = seconds_now() + (long_run() ? 600 : 5);

	(void)state;
	NEEDS_NUMBERS;
	while (seconds_now() < end)
		tally.hit += hammer_round(&hammer, &tally);
	fprintf(stderr, "# %u orders, %u numbers passed on, %u strangers hit\n", hammer.orders,
	        tally.passed_on, tally.hit);
	assert_int_equal(tally.hit, 0);
	assert_true(tally.passed_on > MEMBERS);
}

/* ---- */

/* In it we are the first process, and may choose numbers. */
static const char *namespace_enter(void)
{
	int flags = CLONE_NEWPID | CLONE_NEWNS;
	uid_t uid = getuid();
	gid_t gid = getgid();

	if (uid != 0)
		flags |= CLONE_NEWUSER;
	if (unshare(flags) < 0)
		return "no pid namespace of one's own is to be had";
	if (uid != 0 && (file_set("/proc/self/setgroups", "deny") != 0 ||
	                 file_set("/proc/self/uid_map", text_of("%d %d 1", uid, uid)) != 0 ||
	                 file_set("/proc/self/gid_map", text_of("%d %d 1", gid, gid)) != 0))
		return "a user namespace cannot be set up";
	return NULL;
}

static const char *numbers_prepare(void)
{
	pid_t chosen = 4242, made;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("proc", "/proc", "proc", 0, NULL) < 0)
		return "/proc of a pid namespace of one's own is not to be had";
	if ((made = clone_numbered(chosen)) == 0)
		_exit(0);
	if (made > 0)
		waitpid(made, NULL, 0);
	return made == chosen ? NULL : "clone3(2) does not let one choose numbers";
}

static int reuse_open(void **state)
{
	void *mapped = mmap(NULL, sizeof(*calls), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	calls = mapped;
	return mapped == MAP_FAILED || boxes_open(state) != 0;
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_naive_walk_hits_a_stranger),
		cmocka_unit_test(a_stranger_is_not_stopped),
		cmocka_unit_test(a_stranger_is_not_continued),
		cmocka_unit_test(a_stranger_is_not_killed),
		cmocka_unit_test(a_stranger_is_not_counted),
		cmocka_unit_test(a_naive_kill_by_name_hits_a_stranger),
		cmocka_unit_test(a_stranger_is_not_taken_for_a_keeper),
		cmocka_unit_test(strangers_are_not_hit_at_any_time),
	};
	pid_t first;

	box_commands(commands, sizeof(commands) / sizeof(commands[0]), argc, argv);
	why_not = namespace_enter();
	if ((first = process_fork()) > 0)
		return exit_of(first);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (why_not == NULL)
		why_not = numbers_prepare();
	return cmocka_run_group_tests(tests, reuse_open, boxes_close);
}
