/* Attacks from inside a sandbox on what its owner may rely on: that what is paused does not run, that what is freed is
 * gone, that nobody outside is hurt, and that keeper and stand-in cannot be reached.
 *
 *     test (subreaper)
 *      +- server, innocents
 *      +- stand-in
 *          +- keeper
 *              +- command: this program, `self NAME ARGUMENT`
 */
#include "tests/common/boxes.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	RESULTS = 8, /* and more of them */
};

#define EACH_WAY for (enum way way = PLAIN; way < WAYS; way++)

/* ---- commands ---- */

static int command_hold(const char *argument)
{
	(void)argument;
	shared->pids[0] = getpid();
	shared->words[READY] = 1;
	count_endlessly(0);
}

/* Two that wake each other and stop themselves, in turns: whoever looks at one after the other may see both stopped, and
 * one of them runs at any time. On one processor, so that who was woken begins when the other has stopped. */
static void turns_take(int self, int other)
{
	const struct sched_param plain = {0};
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	sched_setaffinity(0, sizeof(one), &one);
	sched_setscheduler(0, SCHED_BATCH, &plain);
	shared->pids[self] = getpid();
	while (shared->pids[other] == 0)
		usleep(100);
	for (;;) {
		shared->counters[self]++;
		kill(shared->pids[other], SIGCONT);
		kill(getpid(), SIGSTOP);
	}
}

/* The argument is how many such pairs. Now and then both of one stop at the same time: then the command wakes one. */
static int command_turns(const char *argument)
{
	int pairs = atoi(argument);

	for (int i = 1; i <= 2 * pairs; i++)
		if (fork() == 0) {
			setsid();
			turns_take(i, (i - 1) % 2 == 0 ? i + 1 : i - 1);
		}
	shared->pids[0] = getpid();
	shared->words[READY] = 1;
	for (;; usleep(500)) {
		shared->counters[0]++;
		for (int i = 1; i < 2 * pairs; i += 2)
			if (process_state(shared->pids[i]) == 'T' &&
			    process_state(shared->pids[i + 1]) == 'T')
				kill(shared->pids[i], SIGCONT);
	}
	return 0;
}

static void *thread_count(void *context)
{
	(void)context;
	for (;;)
		shared->counters[0]++;
	return NULL;
}

/* The first thread waits in vfork(2) and takes no signal; the kernel would have it take what is meant for all. */
static int command_vforker(const char *argument)
{
	pthread_t thread;

	(void)argument;
	shared->pids[0] = getpid();
	if (pthread_create(&thread, NULL, thread_count, NULL) != 0)
		return 1;
	shared->words[READY] = 1;
	if (vfork() == 0)
		for (;;)
			pause();
	return 2;
}

/* Each sends SIGCONT to all the others, for ever. */
static int command_wakers(const char *argument)
{
	int count = atoi(argument);

	for (int i = 1; i <= count; i++)
		if (fork() == 0) {
			shared->pids[i] = getpid();
			for (;;) {
				shared->counters[i]++;
				for (int j = 1; j <= count; j++)
					if (shared->pids[j] > 1)
						kill(shared->pids[j], SIGCONT);
			}
		}
	shared->words[READY] = 1;
	count_endlessly(0);
}

/* Orphans in the group of somebody outside, who leave for a session of their own some time after the command has
 * ended. The argument is that group; 0: none of that, one who kills it outright. */
static int command_guest(const char *argument)
{
	pid_t group = atoi(argument);

	for (int i = 1; i <= 24; i++) {
		if (fork() > 0)
			continue;
		if (setpgid(0, group) < 0)
			shared->words[RESULTS] = errno;
		shared->pids[i] = getpid();
		shared->counters[i] = getpgrp() == group;
		while (shared->words[GO] == 0)
			sched_yield();
		usleep((useconds_t)((i * 997 + getpid() * 31) % 6000));
		setsid();
		for (;;)
			pause();
	}
	for (int i = 1; i <= 24; i++)
		while (shared->pids[i] == 0)
			usleep(500);
	shared->words[READY] = 1;
	while (shared->words[GO] == 0)
		usleep(100);
	return 0;
}

/* What kill(2) says to each of the pids in words RESULTS..., for each signal of a few. */
static int command_killer(const char *argument)
{
	static const int numbers[] = {0, SIGTERM, SIGSTOP, SIGCONT, SIGKILL};
	int count = atoi(argument);

	for (int i = 0; i < count; i++) {
		int answers = 0;

		for (size_t n = 0; n < sizeof(numbers) / sizeof(numbers[0]); n++)
			answers += kill(shared->pids[RESULTS + i], numbers[n]) < 0 && errno == EPERM;
		shared->words[RESULTS + i] = answers == sizeof(numbers) / sizeof(numbers[0]) ? EPERM : -1;
	}
	shared->words[READY] = 1;
	return 0;
}

/* A bounded fork bomb: each child forks one more and ends, two thousand generations long. */
static int command_bomb(const char *argument)
{
	int chains = atoi(argument);

	for (int i = 0; i < chains; i++)
		if (fork() == 0) {
			for (int generation = 0; generation < 2000; generation++) {
				pid_t child = fork();

				if (child > 0)
					_exit(0);
				shared->counters[1]++;
			}
			_exit(0);
		}
	shared->words[READY] = 1;
	count_endlessly(0);
}

static int command_flood(const char *argument)
{
	static char piece[65536];

	(void)argument;
	shared->pids[0] = getpid();
	shared->words[READY] = 1;
	for (int fd = 1;; fd = 3 - fd) {
		if (write(fd, piece, sizeof(piece)) < 0)
			_exit(1);
		shared->counters[0]++;
	}
}

static int command_closer(const char *argument)
{
	(void)argument;
	for (int fd = 0; fd < 1024; fd++)
		if (fd != BOX_SHARED)
			close(fd);
	shared->words[READY] = 1;
	count_endlessly(0);
}

static int command_exhaust(const char *argument)
{
	int count = 0;

	(void)argument;
	while (dup(BOX_SHARED) >= 0)
		count++;
	shared->words[RESULT] = count;
	shared->words[READY] = 1;
	count_endlessly(0);
}

static int command_connecter(const char *argument)
{
	for (; tcp_try(AF_INET, (uint16_t)atoi(argument)) == 0; usleep(100))
		shared->counters[0]++;
	return 1;
}

/* Another program of its own inside: exec keeps the pid, a fork does not. */
static int command_forker(const char *argument)
{
	(void)argument;
	shared->words[RESULT] = getpid();
	if (fork() == 0)
		count_endlessly(1);
	while (shared->pids[1] == 0)
		usleep(500);
	shared->words[READY] = 1;
	while (shared->words[GO] == 0)
		usleep(500);
	return 5;
}

static const struct box_command commands[] = {
	{"hold", command_hold},       {"family", box_family},       {"turns", command_turns},
	{"wakers", command_wakers},   {"guest", command_guest},     {"killer", command_killer},
	{"bomb", command_bomb},       {"flood", command_flood},     {"closer", command_closer},
	{"vforker", command_vforker}, {"exhaust", command_exhaust}, {"connecter", command_connecter},
	{"forker", command_forker},
};

/* ---- what the test itself needs ---- */

static pid_t keeper_of(const sl_sandbox *sandbox)
{
	return process_parent(sl_sandbox_pid(sandbox));
}

static void nap(unsigned milliseconds)
{
	usleep(milliseconds * 1000);
}

/* ---- pause ---- */

static void paused_rounds(enum way way, const char *name, const char *argument, int counters, int rounds)
{
	sl_sandbox *sandbox;
	int tired = 0, moved = 0;

	box_reset();
	sandbox = box_spawn(way, name, argument, NULL);
	assert_true(word_becomes(READY, 1));
	for (int i = 0; i < rounds; i++) {
		bool freeze = i % 2;
		int r = freeze ? sl_freeze(sandbox, NULL) : sl_pause(sandbox, NULL);

		if (r == -EAGAIN) {
			tired++;
			continue;
		}
		assert_int_equal(r, 0);
		moved += counters_any_moves(counters, 20);
		assert_int_equal(freeze ? sl_thaw(sandbox, NULL) : sl_resume(sandbox, NULL), 0);
		/* The control: it did run, and does again. */
		assert_true(counters_all_move(counters));
		usleep((useconds_t)(random() % 3000));
	}
	fprintf(stderr, "# %s %s: paused %d times, ran on %d times, %d times too fast\n", name, argument,
	        rounds - tired, moved, tired);
	sl_sandbox_free(sandbox);
	assert_true(box_nothing_left(COUNTERS));
	assert_int_equal(moved, 0);
	assert_true(tired < rounds);
}

static void those_who_take_turns_are_paused(void **state)
{
	int rounds = long_run() ? 500 : 25;

	(void)state;
	for (enum way way = PLAIN; way < WAYS; way++) {
		paused_rounds(way, "turns", "1", 3, rounds);
		paused_rounds(way, "turns", "6", 13, rounds);
	}
}

static void those_who_wake_each_other_are_paused(void **state)
{
	int rounds = long_run() ? 200 : 10;

	(void)state;
	for (enum way way = PLAIN; way < WAYS; way++)
		paused_rounds(way, "wakers", "4", 5, rounds);
}

static void threads_beside_a_vfork_are_paused(void **state)
{
	int rounds = long_run() ? 100 : 5;

	(void)state;
	for (enum way way = PLAIN; way < WAYS; way++)
		paused_rounds(way, "vforker", "", 1, rounds);
}

static void a_whole_family_is_paused(void **state)
{
	int rounds = long_run() ? 200 : 10;

	(void)state;
	for (enum way way = PLAIN; way < WAYS; way++)
		paused_rounds(way, "family", "", FAMILY, rounds);
}

/* True when it was paused. The longer pauses take, the longer a bomb burns: its chains are short, so there are many. */
static bool bomb_is_held(enum way way)
{
	sl_sandbox *sandbox;
	sl_status status;
	int r;

	box_reset();
	sandbox = box_spawn(way, "bomb", "3", NULL);
	assert_true(word_becomes(READY, 1));
	usleep((useconds_t)(random() % 3000));
	if ((r = sl_pause(sandbox, NULL)) == 0) {
		assert_false(counters_any_moves(2, 20));
		assert_int_equal(sl_resume(sandbox, NULL), 0);
	} else {
		assert_int_equal(r, -EAGAIN);
		assert_int_equal(sl_sandbox_state(sandbox), SL_STATE_RUNNING);
	}
	assert_int_equal(sl_kill(sandbox, NULL), 0);
	assert_int_equal(sl_wait(sandbox, 20000, &status, NULL), 0);
	assert_int_equal(status.signal, SIGKILL);
	sl_sandbox_free(sandbox);
	assert_true(status.leftover || (box_nothing_left(1) && !counters_any_moves(2, 20)));
	return r == 0;
}

/* Each process of a chain has died when it is looked at, and its child was not there yet when it was listed. */
static void a_bomb_is_paused_or_said_to_be_too_fast_and_killed(void **state)
{
	int rounds = long_run() ? 500 : 30, held = 0;

	(void)state;
	for (int i = 0; i < rounds; i++)
		held += bomb_is_held(i % WAYS);
	fprintf(stderr, "# %d of %d were paused\n", held, rounds);
}

/* ---- who else is hit ---- */

/* An innocent in a group of his own, in the session of the test, and of keeper and stand-in. */
static pid_t innocent_start(void)
{
	pid_t innocent = process_fork();

	if (innocent == 0) {
		setpgid(0, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	setpgid(innocent, innocent);
	return innocent;
}

static void a_guest_does_not_get_his_hosts_group_killed(void **state)
{
	int rounds = long_run() ? 300 : 12, guests = 0;

	(void)state;
	for (int i = 0; i < rounds; i++) {
		sl_sandbox *sandbox;
		pid_t innocent;

		box_reset(); /* which would take him for a leftover */
		innocent = innocent_start();
		sandbox = box_spawn(i % WAYS, "guest", text_of("%d", innocent), NULL);
		assert_true(word_becomes(READY, 1));
		for (int guest = 1; guest <= 24; guest++)
			guests += shared->counters[guest] == 1;
		shared->words[GO] = 1;
		assert_int_equal(box_status(sandbox), 0);
		sl_sandbox_free(sandbox);
		assert_int_equal(waitpid(innocent, NULL, WNOHANG), 0);
		/* The control: who kills that group kills him. */
		assert_int_equal(kill(-innocent, SIGKILL), 0);
		assert_int_equal(exit_of(innocent), 128 + SIGKILL);
		assert_true(box_nothing_left(25));
	}
	fprintf(stderr, "# %d guests in %d groups\n", guests, rounds);
	assert_int_equal(guests, 24 * rounds);
}

static int kill_from_inside(enum way way, const pid_t victims[], int count)
{
	sl_sandbox *sandbox;
	int refused = 0;

	sandbox = box_create(way, "killer", text_of("%d", count + 2), NULL);
	for (int i = 0; i < count; i++)
		shared->pids[RESULTS + i] = victims[i];
	shared->pids[RESULTS + count] = sl_sandbox_child(sandbox);
	shared->pids[RESULTS + count + 1] = keeper_of(sandbox);
	assert_int_equal(sl_start(sandbox, NULL), 0);
	assert_int_equal(box_status(sandbox), 0);
	for (int i = 0; i < count + 2; i++) {
		refused += shared->words[RESULTS + i] == EPERM;
		shared->pids[RESULTS + i] = 0;
	}
	sl_sandbox_free(sandbox);
	return refused;
}

static int kill_bare(void *context)
{
	const pid_t *victim = context;

	return kill(*victim, SIGKILL) < 0 ? errno : 0;
}

static void nobody_outside_can_be_signalled(void **state)
{
	(void)state;
	EACH_WAY
	{
		pid_t victims[2];

		box_reset();
		victims[0] = innocent_start();
		victims[1] = getpid();
		/* The app, an innocent, the stand-in and the keeper; five signals each. */
		assert_int_equal(kill_from_inside(way, victims, 2), 4);
		assert_int_equal(waitpid(victims[0], NULL, WNOHANG), 0);
		assert_int_equal(attempt_bare(kill_bare, &victims[0]), 0); /* the control */
		assert_int_equal(exit_of(victims[0]), 128 + SIGKILL);
	}
}

/* ---- keeper, stand-in and app are killed ---- */

enum victim { KEEPER, STAND_IN, VICTIMS };
enum moment { PARKED, RUNNING, PAUSED, FROZEN, MOMENTS };

static void victim_dies(enum way way, enum victim victim, enum moment moment)
{
	sl_sandbox *sandbox;
	sl_status status;
	pid_t target;

	box_reset();
	sandbox = box_create(way, "family", "", NULL);
	target = victim == KEEPER ? keeper_of(sandbox) : sl_sandbox_child(sandbox);
	if (moment != PARKED) {
		assert_int_equal(sl_start(sandbox, NULL), 0);
		assert_true(word_becomes(READY, 1) && counters_all_move(FAMILY));
	}
	if (moment == PAUSED)
		assert_int_equal(sl_pause(sandbox, NULL), 0);
	if (moment == FROZEN)
		assert_int_equal(sl_freeze(sandbox, NULL), 0);
	process_kill(target, SIGKILL);
	for (int i = 0; i < 10000 && sl_wait(sandbox, 0, &status, NULL) < 0; i++)
		usleep(1000);
	assert_int_equal(sl_wait(sandbox, 0, &status, NULL), 0);
	assert_int_equal(status.reason, SL_REASON_LOST);
	assert_int_equal(sl_sandbox_state(sandbox), SL_STATE_ENDED);
	assert_int_equal(sl_pause(sandbox, NULL), -ESRCH);
	assert_int_equal(sl_kill(sandbox, NULL), 0);
	sl_sandbox_free(sandbox);
	assert_true(box_nothing_left(FAMILY));
}

static void a_killed_keeper_or_stand_in_takes_the_tree_along(void **state)
{
	(void)state;
	EACH_WAY
	for (enum victim victim = KEEPER; victim < VICTIMS; victim++)
		for (enum moment moment = PARKED; moment < MOMENTS; moment++)
			victim_dies(way, victim, moment);
}

/* At no chosen moment, but at many: somebody else kills while sl_start(), sl_pause() and the others run. */
static void *kill_later(void *context)
{
	const int *target = context;

	usleep((useconds_t)(random() % 6000));
	process_kill(target[0], SIGKILL);
	return NULL;
}

static int orders_give(sl_sandbox *sandbox)
{
	int r = sl_start(sandbox, NULL), given = 0;

	for (; r == 0 && given < 50; given++) {
		r = given % 2 ? sl_pause(sandbox, NULL) : sl_freeze(sandbox, NULL);
		if (r == 0)
			r = given % 2 ? sl_resume(sandbox, NULL) : sl_thaw(sandbox, NULL);
	}
	return given;
}

static void a_kill_at_any_time_leaves_nothing(void **state)
{
	int rounds = long_run() ? 2000 : 60, orders = 0, lost = 0;

	(void)state;
	for (int i = 0; i < rounds; i++) {
		sl_sandbox *sandbox;
		pthread_t killer;
		sl_status status;
		int target;

		box_reset();
		sandbox = box_create(i % WAYS, "family", "", NULL);
		target = i / WAYS % 2 ? keeper_of(sandbox) : sl_sandbox_child(sandbox);
		pthread_create(&killer, NULL, kill_later, &target);
		orders += orders_give(sandbox);
		pthread_join(killer, NULL);
		assert_int_equal(sl_wait(sandbox, 10000, &status, NULL), 0);
		lost += status.reason == SL_REASON_LOST || status.reason == SL_REASON_FAILED;
		sl_sandbox_free(sandbox);
		assert_true(box_nothing_left(FAMILY));
	}
	fprintf(stderr, "# killed %d times, %d orders\n", rounds, orders);
	assert_int_equal(lost, rounds);
}

/* What fails in here is the app's to say by its exit status: the tests are not its to go on with. */
static void app_main(const sl_policy *policy, int page)
{
	const sl_descriptor extra = {BOX_SHARED, page};
	sl_sandbox *sandbox;

	if (sl_create(policy, box_argv("family", ""), &(sl_stdio){.extra = &extra, .extra_count = 1},
	              &sandbox, NULL) < 0)
		_exit(1);
	shared->words[RESULTS] = sl_sandbox_child(sandbox);
	orders_give(sandbox);
	for (;;)
		pause();
}

static void a_killed_app_takes_the_tree_along(void **state)
{
	int rounds = long_run() ? 1000 : 40, made = 0;

	(void)state;
	for (int i = 0; i < rounds; i++) {
		sl_policy *policy = box_policy(i % WAYS, NULL);
		pid_t app;

		box_reset();
		if ((app = process_fork()) == 0)
			app_main(policy, box_page());
		usleep((useconds_t)(random() % 20000));
		process_kill(app, SIGKILL);
		assert_int_equal(exit_of(app), 128 + SIGKILL);
		assert_true(box_nothing_left(FAMILY));
		made += shared->words[RESULTS] != 0;
		sl_policy_free(policy);
	}
	fprintf(stderr, "# %d of %d apps had a sandbox by then\n", made, rounds);
	assert_true(made > rounds / 4);
}

/* A stand-in that does not answer in time is told to go on when it does. */
static void a_supervisor_that_answers_a_freeze_too_late_goes_on(void **state)
{
	sl_sandbox *sandbox;

	(void)state;
	box_reset();
	sandbox = box_spawn(GATE, "connecter", text_of("%u", box_port), NULL);
	assert_true(counters_all_move(1));
	process_kill(sl_sandbox_child(sandbox), SIGSTOP);
	assert_int_equal(sl_freeze(sandbox, NULL), -ETIMEDOUT);
	assert_int_equal(sl_sandbox_state(sandbox), SL_STATE_RUNNING);
	process_kill(sl_sandbox_child(sandbox), SIGCONT);
	assert_true(counters_all_move(1));
	/* And the late answer is not taken for the next one's. */
	for (int i = 0; i < 5; i++) {
		assert_int_equal(sl_freeze(sandbox, NULL), 0);
		assert_false(counters_any_moves(1, 20));
		assert_int_equal(sl_thaw(sandbox, NULL), 0);
		assert_true(counters_all_move(1));
	}
	sl_sandbox_free(sandbox);
}

/* ---- descriptors ---- */

static void a_flooded_pipe_holds_nobody(void **state)
{
	(void)state;
	EACH_WAY
	{
		const sl_stdio stdio = {.out = {SL_STREAM_PIPE, -1}, .err = {SL_STREAM_PIPE, -1}};
		sl_sandbox *sandbox;

		box_reset();
		sandbox = box_spawn(way, "flood", "", &stdio);
		assert_true(word_becomes(READY, 1));
		nap(20);
		assert_int_equal(sl_pause(sandbox, NULL), 0);
		assert_int_equal(sl_resume(sandbox, NULL), 0);
		assert_int_equal(sl_freeze(sandbox, NULL), 0);
		assert_int_equal(sl_thaw(sandbox, NULL), 0);
		assert_int_equal(sl_kill(sandbox, NULL), 0);
		assert_int_equal(box_status(sandbox), 128 + SIGKILL);
		sl_sandbox_free(sandbox);
		assert_true(box_nothing_left(1));
	}
}

/* Neither keeper nor stand-in holds what is the command's: end of file comes while all three live. */
static void pipes_end_when_the_command_closes_them(void **state)
{
	(void)state;
	EACH_WAY
	{
		const sl_stdio stdio = {
			.in = {SL_STREAM_PIPE, -1}, .out = {SL_STREAM_PIPE, -1}, .err = {SL_STREAM_PIPE, -1}};
		sl_sandbox *sandbox;

		box_reset();
		sandbox = box_spawn(way, "closer", "", &stdio);
		for (int i = 0; i < 3; i++) {
			struct pollfd end = {.fd = sl_sandbox_stream(sandbox, i),
			                     .events = i == 0 ? 0 : POLLIN};

			assert_int_equal(poll(&end, 1, 5000), 1);
			assert_true(end.revents & (i == 0 ? POLLERR : POLLHUP));
			close(end.fd);
		}
		/* It lives, and is still ours to stop. */
		assert_true(counters_all_move(1));
		assert_int_equal(sl_pause(sandbox, NULL), 0);
		assert_false(counters_any_moves(1, 30));
		sl_sandbox_free(sandbox);
		assert_true(box_nothing_left(1));
	}
}

static void a_command_without_descriptors_is_paused(void **state)
{
	(void)state;
	EACH_WAY
	{
		sl_sandbox *sandbox;

		box_reset();
		sandbox = box_spawn(way, "exhaust", "", NULL);
		assert_true(word_becomes(READY, 1) && counters_all_move(1));
		assert_true(shared->words[RESULT] > 10);
		assert_int_equal(sl_freeze(sandbox, NULL), 0);
		assert_false(counters_any_moves(1, 30));
		assert_int_equal(sl_thaw(sandbox, NULL), 0);
		sl_sandbox_free(sandbox);
		assert_true(box_nothing_left(1));
	}
}

/* ---- identity ---- */

static void the_pidfd_is_of_the_command_alone(void **state)
{
	(void)state;
	EACH_WAY
	{
		sl_sandbox *sandbox;
		struct pollfd ended = {.events = POLLIN};

		box_reset();
		sandbox = box_spawn(way, "forker", "", NULL);
		ended.fd = sl_sandbox_pidfd(sandbox);
		assert_true(word_becomes(READY, 1));
		assert_int_equal(shared->words[RESULT], sl_sandbox_pid(sandbox));
		assert_int_equal(poll(&ended, 1, 0), 0);
		shared->words[GO] = 1;
		assert_int_equal(poll(&ended, 1, 5000), 1);
		assert_int_equal(box_status(sandbox), 5);
		/* The number may be anybody's by now; the descriptor is nobody's. */
		assert_int_equal(syscall(SYS_pidfd_send_signal, ended.fd, SIGKILL, NULL, 0), -1);
		assert_int_equal(errno, ESRCH);
		sl_sandbox_free(sandbox);
		assert_true(box_nothing_left(2));
	}
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_whole_family_is_paused),
		cmocka_unit_test(those_who_take_turns_are_paused),
		cmocka_unit_test(threads_beside_a_vfork_are_paused),
		cmocka_unit_test(those_who_wake_each_other_are_paused),
		cmocka_unit_test(a_bomb_is_paused_or_said_to_be_too_fast_and_killed),
		cmocka_unit_test(a_guest_does_not_get_his_hosts_group_killed),
		cmocka_unit_test(nobody_outside_can_be_signalled),
		cmocka_unit_test(a_killed_keeper_or_stand_in_takes_the_tree_along),
		cmocka_unit_test(a_kill_at_any_time_leaves_nothing),
		cmocka_unit_test(a_killed_app_takes_the_tree_along),
		cmocka_unit_test(a_supervisor_that_answers_a_freeze_too_late_goes_on),
		cmocka_unit_test(a_flooded_pipe_holds_nobody),
		cmocka_unit_test(pipes_end_when_the_command_closes_them),
		cmocka_unit_test(a_command_without_descriptors_is_paused),
		cmocka_unit_test(the_pidfd_is_of_the_command_alone),
	};

	box_commands(commands, sizeof(commands) / sizeof(commands[0]), argc, argv);
	return cmocka_run_group_tests(tests, boxes_open, boxes_close);
}
