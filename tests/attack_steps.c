/* A sandbox of which one process dies, or is stopped for a while, at any step of any of them: tests/broken/calls.h says
 * what a step is. Each time the app must get an answer, lose no descriptor and no child, and be able to free the sandbox;
 * nothing of the tree may be left, no entry in the list of those which run, and the command must never have run unconfined.
 *
 *     test (subreaper): strikes, looks on, and counts what is left
 *      +- server, a port that is not granted
 *      +- app: plays one course of a sandbox's life
 *          +- stand-in
 *              +- keeper
 *                  +- command: this program, `self steps WAY`
 *                      +- its child, in a session of its own
 */
#include "tests/broken/calls.h"
#include "tests/common/boxes.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervise/supervise.h"

enum {
	RESULTS = 8,    /* words: */
	RAN = RESULTS,  /* the command came as far as its own code */
	BREACH,         /* ... and could do what was not granted */
	FORBIDDEN_PORT, /* for the command: nobody granted it */
	APP_PID,        /* ... nor that it may be signalled */
	SAID,           /* errno of the first call of the app's that failed */
	COUNTED = 2,    /* processes of the command */
	STOPPED_US = 4000,
	MISSED_MAX = 6,
	SECONDS = 25, /* for what must end by itself */
};

#define NAME "steps"

/* How a life goes on when the sandbox has been paused, resumed, frozen and thawed. */
#define COURSES(COURSE)      \
	COURSE(KILLED)       \
	COURSE(FREED_PAUSED) \
	COURSE(FREED_FROZEN) \
	COURSE(ENDS)         \
	COURSE(SPAWNED)      \
	COURSE(RUN)          \
	COURSE(LAUNCHED)

enum course {
#define COURSE(name) name,
	COURSES(COURSE)
#undef COURSE
		COURSE_COUNT,
};

static const char *const course_names[] = {
#define COURSE(name) #name,
	COURSES(COURSE)
#undef COURSE
};

/* What happens to who has been struck. */
enum deed { KILL, STOP, STOP_KILL, STOP_APP_DIES, DEEDS };
static const char *const deed_names[] = {"killed", "stopped", "stopped, then killed",
                                         "stopped while the app dies"};

static uint16_t forbidden_port;
static bool deadly; /* who is struck dies of it */

/* ---- the command ---- */

static bool opens(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	close(fd);
	return fd >= 0;
}

/* Each of the walls: Landlock's over files and over signals; and over the port, with the filter before it. */
static int breach(bool supervised, const char *secret)
{
	if (opens(secret))
		return 1;
	if (kill(shared->words[APP_PID], 0) == 0)
		return 2;
	return supervised && tcp_try(AF_INET, (uint16_t)shared->words[FORBIDDEN_PORT]) == 0 ? 3 : 0;
}

static void breach_note(bool supervised, const char *secret)
{
	int found = breach(supervised, secret);

	if (found != 0)
		shared->words[BREACH] = found;
}

/* The argument: a digit for the way, and a file that nobody granted. */
static int command_steps(const char *argument)
{
	const char *secret = argument + 1;
	bool supervised = argument[0] == '0' + GATE;

	breach_note(supervised, secret);
	shared->words[RAN] = 1;
	shared->pids[0] = getpid();
	if (fork() == 0) {
		shared->pids[1] = getpid();
		setsid();
		for (;; usleep(300)) {
			shared->counters[1]++;
			breach_note(supervised, secret);
		}
	}
	while (shared->pids[1] == 0)
		usleep(100);
	shared->words[READY] = 1;
	for (; shared->words[GO] == 0; usleep(100))
		shared->counters[0]++;
	return 7;
}

static const struct box_command commands[] = {{"steps", command_steps}};

/* ---- the app ---- */

/* What the app says by its exit status. */
enum verdict_of_app {
	WENT_WELL,
	CALL_FAILED, /* as it may where somebody was killed */
	LOST_DESCRIPTOR,
	LOST_CHILD,
	HELD_NOT, /* it was paused, and went on */
	NO_END,   /* it was killed, or ended, and no end was to be had */
	KEPT_POINTER,
	WRONG_STATUS,
};
static const char *const verdicts[] = {"went well",
                                       "a call failed",
                                       "a descriptor is left",
                                       "a child is left",
                                       "ran on while it was paused",
                                       "its end is not to be had",
                                       "a pointer to no sandbox",
                                       "ended in another way"};

static const char *const *steps_argv(enum way way)
{
	return box_argv("steps", text_of("%d%s/secret", way, scratch()));
}

/* The steps that count are the product's. */
#define STEPS(call) (call_caller = CALLER_APP, called(call))

static int called(int r)
{
	call_caller = CALLER_NOBODY;
	if (r < 0 && shared->words[SAID] == 0)
		shared->words[SAID] = -r;
	return r;
}

static sl_policy *steps_policy(enum way way, bool dies_with_app)
{
	sl_policy *policy = policy_of(
		POLICY("fs-system", "", "fs-read", box_argv("", "")[0], "fs-read", "/proc", "name", NAME));

	if (way == GATE)
		assert_int_equal(sl_policy_set(policy, "net-allow", rule_for(AF_INET, box_port), NULL), 0);
	if (dies_with_app)
		assert_int_equal(sl_policy_set(policy, "die-with-parent", "", NULL), 0);
	return policy;
}

static bool tree_runs(sl_sandbox *sandbox)
{
	for (double end = seconds_now() + SECONDS; seconds_now() < end; usleep(200)) {
		if (shared->words[READY] == 1)
			return true;
		if (sl_wait(sandbox, 0, NULL, NULL) == 0)
			return false;
	}
	return false;
}

static int hold_and_go_on(sl_sandbox *sandbox)
{
	int r = 0;

	if (STEPS(sl_pause(sandbox, NULL)) < 0)
		r = CALL_FAILED;
	else if (counters_any_moves(COUNTED, 3))
		return HELD_NOT;
	else if (STEPS(sl_resume(sandbox, NULL)) < 0)
		r = CALL_FAILED;
	if (STEPS(sl_freeze(sandbox, NULL)) < 0)
		return CALL_FAILED;
	if (counters_any_moves(COUNTED, 3))
		return HELD_NOT;
	return STEPS(sl_thaw(sandbox, NULL)) < 0 ? CALL_FAILED : r;
}

static int status_is_well(enum course course, const sl_status *status)
{
	if (course == ENDS || course == SPAWNED)
		return status->reason == SL_REASON_NONE && status->code == 7;
	return status->reason == SL_REASON_KILLED && status->signal == SIGKILL;
}

/* Then the end is to come without anybody's help. */
static bool loss_is_certain(void)
{
	return calls->struck != 0 && deadly &&
	       (calls->caller == CALLER_STANDIN || calls->caller == CALLER_KEEPER);
}

static int life_end(sl_sandbox *sandbox, enum course course)
{
	sl_status status = {.code = 0};
	int r = 0;

	if (course == FREED_PAUSED)
		return STEPS(sl_pause(sandbox, NULL)) < 0 ? CALL_FAILED : 0;
	if (course == FREED_FROZEN)
		return STEPS(sl_freeze(sandbox, NULL)) < 0 ? CALL_FAILED : 0;
	if (course == KILLED)
		r = STEPS(sl_kill(sandbox, NULL));
	else if (!loss_is_certain())
		shared->words[GO] = 1;
	if (r < 0)
		return NO_END;
	if (STEPS(sl_wait(sandbox, SECONDS * 1000, &status, NULL)) < 0)
		return NO_END;
	return status_is_well(course, &status) ? 0 : CALL_FAILED;
}

static int sandbox_live(const sl_policy *policy, enum way way, enum course course)
{
	const char *const *argv = steps_argv(way);
	const sl_descriptor extra = {BOX_SHARED, box_page()};
	const sl_stdio stdio = {
		.out = {SL_STREAM_PIPE, -1}, .err = {SL_STREAM_NULL, -1}, .extra = &extra, .extra_count = 1};
	sl_sandbox *sandbox = NULL;
	int r;

	if (course == SPAWNED)
		r = STEPS(sl_spawn(policy, argv, &stdio, &sandbox, NULL));
	else
		r = STEPS(sl_create(policy, argv, &stdio, &sandbox, NULL));
	if (r < 0)
		return sandbox == NULL ? CALL_FAILED : KEPT_POINTER;
	r = course == SPAWNED ? 0 : STEPS(sl_start(sandbox, NULL));
	if (r < 0 || !tree_runs(sandbox))
		r = CALL_FAILED;
	if (r == 0 && course != SPAWNED)
		r = hold_and_go_on(sandbox);
	if (r == 0 || r == CALL_FAILED) {
		int ended = life_end(sandbox, course);

		r = ended != 0 ? ended : r;
	}
	STEPS((sl_sandbox_free(sandbox), 0));
	return r;
}

static int run_live(const sl_policy *policy, enum way way)
{
	const char *const *argv = steps_argv(way);
	sl_result result = {.input = "word", .input_size = 4};
	int r = STEPS(sl_run(policy, argv, &result, NULL));

	if (r < 0)
		return CALL_FAILED;
	/* sl_run() gives no descriptors beyond the streams: the command finds no page, and says so. */
	r = result.status.code == 97 && result.status.reason == SL_REASON_NONE ? 0 : CALL_FAILED;
	sl_result_clear(&result);
	return r;
}

/* This process is what `sluice run` is; the page goes along as a kept descriptor. */
static int launch_live(const sl_policy *policy, enum way way)
{
	sl_error error;

	dup2(box_page(), BOX_SHARED);
	shared->words[GO] = 1;
	call_caller = CALLER_APP;
	_exit(launch_run(policy, (char *const *)steps_argv(way), &error) == 7 ? WENT_WELL : CALL_FAILED);
}

static int leaks(int before)
{
	if (open_descriptors(getpid()) != before)
		return LOST_DESCRIPTOR;
	return waitpid(-1, NULL, WNOHANG | __WALL) < 0 && errno == ECHILD ? 0 : LOST_CHILD;
}

static void app_main(const sl_policy *policy, enum way way, enum course course)
{
	int before = open_descriptors(getpid()), leaked, r;

	if (course == LAUNCHED)
		launch_live(policy, way);
	r = course == RUN ? run_live(policy, way) : sandbox_live(policy, way, course);
	leaked = leaks(before);
	_exit(leaked != 0 ? leaked : r);
}

/* ---- one attempt ---- */

struct attempt {
	enum way way;
	enum course course;
	enum caller caller;
	unsigned nth;
	enum deed deed;
};

struct tally {
	unsigned tried, struck, bad;
	unsigned at[CALLER_COUNT];
	unsigned longest[CALLER_COUNT];
};
static struct tally tally;

static bool dies_with_app(const struct attempt *attempt)
{
	return attempt->nth % 2 == 0;
}

static void strike_set(const struct attempt *attempt)
{
	memset(calls, 0, sizeof(*calls));
	calls->signal = attempt->deed == KILL ? SIGKILL : SIGSTOP;
	calls->nth = attempt->nth;
	calls->caller = attempt->caller;
	deadly = attempt->deed == KILL || attempt->deed == STOP_KILL;
}

/* What follows the stop, some time after the others have gone on as far as they could. */
static void deed_finish(const struct attempt *attempt, pid_t app)
{
	for (double end = seconds_now() + 2; process_state(calls->struck) != 'T' && seconds_now() < end;)
		usleep(200);
	usleep(STOPPED_US);
	if (attempt->deed == STOP_APP_DIES)
		process_kill(app, SIGKILL);
	process_kill(calls->struck, attempt->deed == STOP_KILL ? SIGKILL : SIGCONT);
}

/* The app's exit status; -1: it hangs. */
static int attempt_watch(const struct attempt *attempt, pid_t app)
{
	bool done = attempt->deed == KILL;
	int status;

	for (double end = seconds_now() + SECONDS; seconds_now() < end; usleep(200)) {
		if (waitpid(app, &status, WNOHANG) == app)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		if (!done && calls->struck != 0) {
			deed_finish(attempt, app);
			done = true;
		}
	}
	process_kill(app, SIGKILL);
	waitpid(app, NULL, 0);
	return -1;
}

static bool entry_is_left(void)
{
	struct running running;
	bool left = false;
	struct dirent *entry;
	DIR *entries;
	int dir = running_open(NULL);

	if (dir < 0)
		return false;
	if (running_find(dir, NAME, &running, NULL) == 0) {
		running_clear(&running);
		left = true;
	}
	entries = fdopendir(dir);
	while ((entry = readdir(entries)) != NULL)
		left |= entry->d_name[0] != '.';
	closedir(entries);
	return left;
}

/* Where nobody was killed everything is to go well; the app itself says nothing when it was. */
static bool ended_well(const struct attempt *attempt, int status)
{
	bool killed = calls->struck != 0 && attempt->deed != STOP;

	if (status == 128 + SIGKILL)
		return killed && (attempt->caller == CALLER_APP || attempt->deed == STOP_APP_DIES);
	return status == WENT_WELL || (killed && status == CALL_FAILED);
}

static void complain(const struct attempt *attempt, const char *what)
{
	tally.bad++;
	fprintf(stderr, "# %s, way %d: %s %s before its step %u, %s: %s (%s)\n",
	        course_names[attempt->course], attempt->way, caller_name(attempt->caller),
	        deed_names[attempt->deed], attempt->nth, calls->name, what, strerror(shared->words[SAID]));
}

static void attempt_judge(const struct attempt *attempt, int status)
{
	if (status < 0)
		complain(attempt, "the app hangs");
	else if (!ended_well(attempt, status))
		complain(attempt, status < (int)(sizeof(verdicts) / sizeof(verdicts[0]))
		                          ? verdicts[status]
		                          : text_of("the app's status is %d", status));
	if (shared->words[BREACH] != 0)
		complain(attempt, text_of("breach %d", shared->words[BREACH]));
	if (!box_nothing_left(COUNTED)) {
		complain(attempt, "somebody is left");
		box_leftovers_kill();
	}
	if (entry_is_left())
		complain(attempt, "an entry is left");
}

static void attempt_make(const struct attempt *attempt)
{
	sl_policy *policy = steps_policy(attempt->way, dies_with_app(attempt));
	pid_t app;
	int status;

	if (attempt->course == LAUNCHED)
		assert_int_equal(sl_policy_set(policy, "keep-fd", text_of("%d", BOX_SHARED), NULL), 0);
	box_reset();
	strike_set(attempt);
	shared->words[APP_PID] = getpid();
	shared->words[FORBIDDEN_PORT] = forbidden_port;
	if ((app = process_fork()) == 0)
		app_main(policy, attempt->way, attempt->course);
	sl_policy_free(policy);
	status = attempt_watch(attempt, app);
	/* Without die-with-parent what runs goes on when the app has died, until it is told to end. */
	if (!dies_with_app(attempt))
		shared->words[GO] = 1;
	attempt_judge(attempt, status);
	tally.tried++;
	tally.struck += calls->struck != 0;
	tally.at[attempt->caller] += calls->struck != 0;
}

/* ---- all of them ---- */

static void course_try(enum way way, enum course course, enum caller caller, enum deed deed, unsigned stride)
{
	static unsigned offset;
	struct attempt attempt = {way, course, CALLER_NOBODY, 0, deed};
	unsigned steps, missed = 0;

	/* Nobody is struck: everything goes well, and says how many steps there are. */
	attempt_make(&attempt);
	steps = calls->passed[caller];
	if (steps > tally.longest[caller])
		tally.longest[caller] = steps;
	attempt.caller = caller;
	/* On a busy machine a pause takes more looks one time than another. */
	for (attempt.nth = 1 + offset++ % stride; attempt.nth <= steps && missed < MISSED_MAX;
	     attempt.nth += stride) {
		attempt_make(&attempt);
		missed = calls->struck != 0 ? 0 : missed + 1;
	}
}

static void tally_print(const char *what)
{
	fprintf(stderr, "# %s: %u combinations of process, step and signal tried, struck in %u:", what,
	        tally.tried, tally.struck);
	for (enum caller caller = CALLER_APP; caller < CALLER_COUNT; caller++)
		if (tally.longest[caller] > 0)
			fprintf(stderr, " %s %u (of up to %u steps)", caller_name(caller), tally.at[caller],
			        tally.longest[caller]);
	fprintf(stderr, "\n");
}

static void deed_try(enum deed deed)
{
	unsigned stride = long_run() ? 1 : 32;

	memset(&tally, 0, sizeof(tally));
	for (enum course course = KILLED; course < COURSE_COUNT; course++)
		for (enum way way = PLAIN; way < WAYS; way++)
			for (enum caller caller = CALLER_APP; caller < CALLER_COUNT; caller++)
				course_try(way, course, caller, deed, stride);
	tally_print(deed_names[deed]);
	assert_int_equal(tally.bad, 0);
	for (enum caller caller = CALLER_APP; caller <= CALLER_COMMAND; caller++)
		assert_true(caller == CALLER_PROBE || tally.at[caller] > 10);
}

static void a_process_killed_at_any_step_leaves_nothing(void **state)
{
	(void)state;
	deed_try(KILL);
}

static void a_process_stopped_at_any_step_only_delays(void **state)
{
	(void)state;
	deed_try(STOP);
}

static void a_process_stopped_at_any_step_can_be_killed(void **state)
{
	(void)state;
	deed_try(STOP_KILL);
}

static void an_app_may_die_while_another_is_stopped(void **state)
{
	(void)state;
	deed_try(STOP_APP_DIES);
}

/* The control: the same command, and nobody confines it. */
static void a_command_that_is_not_confined_is_seen(void **state)
{
	const char *const *argv = steps_argv(GATE);
	pid_t command;

	(void)state;
	box_reset();
	shared->words[APP_PID] = getpid();
	shared->words[FORBIDDEN_PORT] = forbidden_port;
	if ((command = process_fork()) == 0) {
		dup2(box_page(), BOX_SHARED);
		execv(argv[0], (char *const *)argv);
		_exit(99);
	}
	assert_true(word_becomes(READY, 1));
	assert_int_not_equal(shared->words[BREACH], 0);
	shared->words[GO] = 1;
	assert_int_equal(exit_of(command), 7);
	process_kill(shared->pids[1], SIGKILL);
	assert_int_equal(exit_of(shared->pids[1]), 128 + SIGKILL); /* an orphan, and so ours */
	assert_true(box_nothing_left(COUNTED));
}

static int steps_open(void **state)
{
	void *mapped = mmap(NULL, sizeof(*calls), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int secret = open(text_of("%s/secret", scratch()), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	if (mapped == MAP_FAILED || secret < 0 || boxes_open(state) != 0)
		return 1;
	close(secret);
	calls = mapped;
	tcp_listener(AF_INET, &forbidden_port);
	return 0;
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_command_that_is_not_confined_is_seen),
		cmocka_unit_test(a_process_killed_at_any_step_leaves_nothing),
		cmocka_unit_test(a_process_stopped_at_any_step_only_delays),
		cmocka_unit_test(a_process_stopped_at_any_step_can_be_killed),
		cmocka_unit_test(an_app_may_die_while_another_is_stopped),
	};

	box_commands(commands, sizeof(commands) / sizeof(commands[0]), argc, argv);
	return cmocka_run_group_tests(tests, steps_open, boxes_close);
}
