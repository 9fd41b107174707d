/* Races against the gate: whoever changes address, page, number or flags while connect(2) is being decided
 * must not get where no rule allows it. attack_race_control shows that the same body wins against a gate that
 * looks and then lets the kernel do it. security.md, 2.5, 2.6 and 3.2.
 *
 * alone: two threads race only where each has a processor.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/common/common.h"
#include "tests/race_body.h"

static double play_seconds(void)
{
	return long_run() ? 14 : 2;
}

/* T01, T02, T03. */
static const struct race_case flips[] = {
	{"port, thread, blocking", WRITER_THREAD, FLIP_PORT, false, 0},
	{"port, thread, non-blocking", WRITER_THREAD, FLIP_PORT, true, 0},
	{"v4 address, thread, blocking", WRITER_THREAD, FLIP_V4, false, 0},
	{"v6 address, thread, blocking", WRITER_THREAD, FLIP_V6, false, 0},
	{"port, other process, blocking", WRITER_PROCESS, FLIP_PORT, false, 0},
};

static void flipped_addresses_never_reach_the_forbidden_listener(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(flips) / sizeof(flips[0]); i++) {
		struct race_score score = race_play(&flips[i], play_seconds(), false);

		assert_int_equal(score.wins, 0);
		/* The writer was fast enough for both to be seen. */
		assert_true(score.connected > 0 && score.refused > 0);
		assert_int_equal(score.other_error, 0);
		assert_int_equal(score.accepted, score.established);
		assert_true(score.alive);
	}
}

/* T13. */
static void a_page_that_comes_and_goes_gives_EFAULT_or_a_right_answer(void **state)
{
	static const struct race_case race = {"mapping", WRITER_MAPPING, FLIP_PORT, false, 0};
	struct race_score score = race_play(&race, play_seconds(), false);

	(void)state;
	assert_int_equal(score.wins, 0);
	assert_int_equal(score.other_error, 0);
	assert_true(score.connected > 0 && score.faults > 0 && score.refused > 0);
	assert_int_equal(score.accepted, score.established);
	assert_true(score.alive);
}

/* T08: for a unix socket the gate lets the kernel do it, and Landlock is the wall behind. */
static void a_number_that_changes_its_file_never_reaches_the_forbidden_listener(void **state)
{
	static const struct race_case race = {"number", WRITER_NUMBER, FLIP_PORT, false, 0};
	struct race_score score = race_play(&race, play_seconds(), false);

	(void)state;
	assert_int_equal(score.wins, 0);
	assert_int_equal(score.connected, 0);
	assert_true(score.alive);
}

/* What was found to be TCP is what is connected, and not what has the number by then. */
static void a_number_that_becomes_UDP_connects_no_UDP(void **state)
{
	static const struct race_case race = {"number, UDP", WRITER_UDP, FLIP_PORT, false, 0};
	struct race_score score = race_play(&race, play_seconds(), false);

	(void)state;
	assert_int_equal(score.wins, 0);
	assert_true(score.connected > 0 && score.refused > 0);
	assert_true(score.alive);
}

/* T16. */
static void storm_play(const struct race_case *race)
{
	struct race_score score = race_play(race, play_seconds(), false);

	assert_int_equal(score.wins, 0);
	assert_int_equal(score.other_error, 0);
	assert_true(score.connected > 0 && score.refused > 0);
	/* None twice, none for nothing. */
	assert_int_equal(score.accepted, score.established);
	assert_true(score.alive);
}

static void a_storm_of_restarting_signals_wins_nothing_and_doubles_nothing(void **state)
{
	static const struct race_case race = {"storm, SA_RESTART", WRITER_THREAD, FLIP_PORT, false,
	                                      RACE_STORM | SA_RESTART};

	(void)state;
	storm_play(&race);
}

static void a_storm_of_interrupting_signals_wins_nothing_and_doubles_nothing(void **state)
{
	static const struct race_case race = {"storm, no SA_RESTART", WRITER_THREAD, FLIP_PORT, false,
	                                      RACE_STORM};

	(void)state;
	storm_play(&race);
}

/* One thread toggles O_NONBLOCK of the sockets that others connect to a listener whose queue is full. What
 * has to go on is the service to somebody else. */
enum { STUCK_THREADS = 4, SERVED = 400 };

struct toggling {
	uint16_t full_port, open_port;
	int listener; /* of open_port */
	volatile int socket[STUCK_THREADS];
	atomic_long connects[STUCK_THREADS];
	atomic_bool stop;
	double *worst; /* MAP_SHARED */
	long *total;
};

struct stuck {
	struct toggling *toggling;
	int index;
};

static struct sockaddr_in loopback_address(uint16_t port)
{
	return (struct sockaddr_in){AF_INET, htons(port), {htonl(INADDR_LOOPBACK)}, {0}};
}

static void *stuck_thread(void *argument)
{
	struct stuck *stuck = argument;
	struct toggling *toggling = stuck->toggling;
	struct sockaddr_in address = loopback_address(toggling->full_port);

	while (!atomic_load(&toggling->stop)) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

		toggling->socket[stuck->index] = fd;
		connect(fd, (struct sockaddr *)&address, sizeof(address));
		atomic_fetch_add(&toggling->connects[stuck->index], 1);
		close(fd);
	}
	return NULL;
}

static void *toggle_thread(void *argument)
{
	struct toggling *toggling = argument;

	while (!atomic_load(&toggling->stop)) {
		for (int i = 0; i < STUCK_THREADS; i++) {
			fcntl(toggling->socket[i], F_SETFL, 0);
			fcntl(toggling->socket[i], F_SETFL, O_NONBLOCK);
		}
	}
	return NULL;
}

static void wake(int signal)
{
	(void)signal;
}

/* Another process of the same sandbox, whose connects are nothing special. */
static int served_run(struct toggling *toggling)
{
	for (int i = 0; i < SERVED; i++) {
		double start = seconds_now(), took;

		if (tcp_try(AF_INET, toggling->open_port) != 0)
			return 1;
		if ((took = seconds_now() - start) > *toggling->worst)
			*toggling->worst = took;
		accept_all(toggling->listener);
		usleep(2000);
	}
	return 0;
}

static int served_wait(pid_t served, pthread_t stuck[])
{
	int status;

	/* A thread that hangs in a blocking connect comes back by a signal, and tries again. */
	while (waitpid(served, &status, WNOHANG) == 0) {
		usleep(20000);
		for (int i = 0; i < STUCK_THREADS; i++)
			pthread_kill(stuck[i], SIGUSR1);
	}
	return status == 0 ? 0 : 1;
}

static int toggling_run(void *argument)
{
	struct toggling *toggling = argument;
	struct stuck stuck[STUCK_THREADS];
	struct sigaction action = {.sa_handler = wake};
	pthread_t threads[STUCK_THREADS], toggler;
	pid_t served;
	int result;

	sigaction(SIGUSR1, &action, NULL);
	if ((served = fork()) == 0)
		_exit(served_run(toggling));
	for (int i = 0; i < STUCK_THREADS; i++) {
		stuck[i] = (struct stuck){toggling, i};
		toggling->socket[i] = -1;
		pthread_create(&threads[i], NULL, stuck_thread, &stuck[i]);
	}
	pthread_create(&toggler, NULL, toggle_thread, toggling);
	result = served_wait(served, threads);
	for (int i = 0; i < STUCK_THREADS; i++)
		*toggling->total += atomic_load(&toggling->connects[i]);
	return result;
}

/* A listener that takes no more: further connects wait for ever, as far as this test is concerned. */
static int full_listener(uint16_t *port, int fillers[], int count)
{
	int listener = tcp_listener(AF_INET, port);
	struct sockaddr_in address = loopback_address(*port);

	listen(listener, 0);
	for (int i = 0; i < count; i++) {
		fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		connect(fillers[i], (struct sockaddr *)&address, sizeof(address));
	}
	return listener;
}

static void toggling_O_NONBLOCK_does_not_stop_the_service_to_others(void **state)
{
	struct toggling toggling = {0};
	int fillers[8], full = full_listener(&toggling.full_port, fillers, 8);
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	(void)state;
	toggling.listener = tcp_listener(AF_INET, &toggling.open_port);
	toggling.worst = page;
	toggling.total = (long *)page + 1;
	assert_int_equal(attempt_confined(POLICY("net-allow", rule_for(AF_INET, toggling.full_port),
	                                         "net-allow", rule_for(AF_INET, toggling.open_port)),
	                                  toggling_run, &toggling),
	                 0);
	fprintf(stderr, "# toggling: %ld connects to the full listener; worst of %d others %.1f ms\n",
	        *toggling.total, SERVED, *toggling.worst * 1000);
	assert_true(*toggling.total > 100);
	for (int i = 0; i < 8; i++)
		close(fillers[i]);
	close(full);
	close(toggling.listener);
	munmap(page, 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flipped_addresses_never_reach_the_forbidden_listener),
		cmocka_unit_test(a_page_that_comes_and_goes_gives_EFAULT_or_a_right_answer),
		cmocka_unit_test(a_number_that_changes_its_file_never_reaches_the_forbidden_listener),
		cmocka_unit_test(a_number_that_becomes_UDP_connects_no_UDP),
		cmocka_unit_test(a_storm_of_restarting_signals_wins_nothing_and_doubles_nothing),
		cmocka_unit_test(a_storm_of_interrupting_signals_wins_nothing_and_doubles_nothing),
		cmocka_unit_test(toggling_O_NONBLOCK_does_not_stop_the_service_to_others),
	};

	return cmocka_run_group_tests_name("race", tests, NULL, NULL);
}
