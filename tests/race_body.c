/* race_body.h says what is played here. */
#include "tests/race_body.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/common/common.h"

enum { ALLOWED, FORBIDDEN, SIDES, PAGE = 4096, NUMBER = 200 };

struct race {
	const struct race_case *how;
	double seconds;
	bool until_won;
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} address[SIDES];
	socklen_t size;
	int family;
	int listener[SIDES], udp;
	const char *rule;
	int pages;                /* memfd: one page for each side */
	void *shared;             /* what connect is pointed at */
	struct race_score *score; /* MAP_SHARED with the test */
	atomic_bool stop;
};

static void sides_set(struct race *race)
{
	uint16_t allowed = 0, forbidden = 0;

	race->family = race->how->flip == FLIP_V6 ? AF_INET6 : AF_INET;
	race->listener[ALLOWED] = tcp_listener(race->family, &allowed);
	race->rule = rule_for(race->family, allowed);
	if (race->how->flip == FLIP_PORT)
		race->listener[FORBIDDEN] = tcp_listener(AF_INET, &forbidden);
	else
		forbidden = allowed;
	for (int side = 0; side < SIDES; side++) {
		uint16_t port = htons(side == ALLOWED ? allowed : forbidden);
		uint32_t last = race->how->flip == FLIP_PORT || side == ALLOWED ? 1 : 2;
		struct in_addr v4 = {htonl(0x7f000000 | last)};

		if (race->family == AF_INET) {
			race->address[side].v4 = (struct sockaddr_in){AF_INET, port, v4, {0}};
			race->size = sizeof(struct sockaddr_in);
			continue;
		}
		race->address[side].v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = port};
		race->address[side].v6.sin6_addr = in6addr_loopback;
		if (side == FORBIDDEN) { /* ::ffff:127.0.0.2 */
			struct in6_addr mapped = {.s6_addr = {[10] = 0xff, [11] = 0xff}};

			memcpy(mapped.s6_addr + 12, &v4, sizeof(v4));
			race->address[side].v6.sin6_addr = mapped;
		}
		race->size = sizeof(struct sockaddr_in6);
	}
}

/* 127.0.0.2 at the allowed port: the forbidden side of the address flips. */
static void second_address_listen(struct race *race)
{
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(0x7f000002)}};

	address.sin_port = race->address[FORBIDDEN].v4.sin_port; /* at the same place in both kinds */
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 128) < 0)
		fail_msg("127.0.0.2: %s", strerror(errno));
	race->listener[FORBIDDEN] = fd;
}

static void race_open(struct race *race)
{
	sides_set(race);
	if (race->how->flip != FLIP_PORT)
		second_address_listen(race);
	race->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	race->pages = memfd_create("race", MFD_CLOEXEC);
	if (race->pages < 0 || ftruncate(race->pages, SIDES * PAGE) < 0)
		fail_msg("memfd: %s", strerror(errno));
	for (int side = 0; side < SIDES; side++) {
		if (pwrite(race->pages, &race->address[side], race->size, side * PAGE) < 0)
			fail_msg("memfd: %s", strerror(errno));
		fcntl(race->listener[side], F_SETFL, O_NONBLOCK);
	}
	race->shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	race->score =
		mmap(NULL, sizeof(*race->score), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (race->shared == MAP_FAILED || race->score == MAP_FAILED)
		fail_msg("mmap: %s", strerror(errno));
	memcpy(race->shared, &race->address[ALLOWED], race->size);
	/* The first page of the memfd holds the same; only the mapping race looks through it. */
	if (race->how->writer == WRITER_MAPPING)
		mmap(race->shared, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, race->pages, 0);
	if (race->how->writer == WRITER_NUMBER)
		memcpy(race->shared, &race->address[FORBIDDEN], race->size);
}

static void race_close(struct race *race)
{
	for (int side = 0; side < SIDES; side++)
		close(race->listener[side]);
	close(race->udp);
	close(race->pages);
	munmap(race->shared, PAGE);
	munmap(race->score, sizeof(*race->score));
}

/* Writers. */

static void bytes_flip(struct race *race)
{
	for (unsigned i = 0; !atomic_load_explicit(&race->stop, memory_order_relaxed); i++) {
		memcpy(race->shared, &race->address[i % SIDES], race->size);
		atomic_signal_fence(memory_order_seq_cst);
	}
}

/* Nobody else of this process maps anything meanwhile, so the hole stays ours. */
static void mapping_flip(struct race *race)
{
	for (unsigned i = 0; !atomic_load(&race->stop); i++) {
		mmap(race->shared, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED | MAP_POPULATE, race->pages,
		     i % SIDES * PAGE);
		if (i % 3 == 0)
			mprotect(race->shared, PAGE, PROT_NONE);
		if (i % 5 == 0)
			munmap(race->shared, PAGE);
	}
	mmap(race->shared, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, race->pages, 0);
}

/* Closed by a reset: a port in TIME_WAIT for each attempt would soon be all of them. */
static void linger_off(int fd)
{
	struct linger off = {1, 0};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &off, sizeof(off));
}

static void number_flip(struct race *race)
{
	int pipes[2], others[4] = {race->udp, race->udp, race->udp, race->udp};

	if (race->how->writer == WRITER_NUMBER) {
		if (pipe(pipes) < 0)
			abort();
		others[0] = others[2] = socket(AF_UNIX, SOCK_STREAM, 0);
		others[1] = pipes[0];
		others[3] = socket(AF_INET6, SOCK_STREAM, 0);
	}
	for (unsigned i = 0; !atomic_load(&race->stop); i++) {
		int fresh = socket(AF_INET, SOCK_STREAM, 0);

		linger_off(fresh);
		dup2(others[i % 4], NUMBER);
		dup2(fresh, NUMBER);
		close(fresh);
	}
}

static void *writer_thread(void *argument)
{
	struct race *race = argument;

	if (race->how->writer == WRITER_MAPPING)
		mapping_flip(race);
	else if (race->how->writer == WRITER_NUMBER || race->how->writer == WRITER_UDP)
		number_flip(race);
	else
		bytes_flip(race);
	return NULL;
}

struct writer {
	pthread_t thread;
	pid_t process;
};

/* The storm is for the one who connects. */
static void writer_start(struct writer *writer, struct race *race)
{
	sigset_t alarm_only;

	sigemptyset(&alarm_only);
	sigaddset(&alarm_only, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &alarm_only, NULL);
	if (race->how->writer != WRITER_PROCESS) {
		if (pthread_create(&writer->thread, NULL, writer_thread, race) != 0)
			abort();
	} else if ((writer->process = fork()) == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		bytes_flip(race);
		_exit(0);
	}
	pthread_sigmask(SIG_UNBLOCK, &alarm_only, NULL);
}

static void writer_stop(struct writer *writer, struct race *race)
{
	atomic_store(&race->stop, true);
	if (race->how->writer != WRITER_PROCESS) {
		pthread_join(writer->thread, NULL);
		return;
	}
	kill(writer->process, SIGKILL);
	waitpid(writer->process, NULL, 0);
}

/* The one who connects. */

static bool accept_one(int listener, int patience_ms)
{
	struct pollfd ready = {.fd = listener, .events = POLLIN};
	double end = seconds_now() + patience_ms / 1000.0;
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) < 0) {
		double left = end - seconds_now();

		if (left <= 0)
			return false;
		poll(&ready, 1, (int)(left * 1000) + 1);
	}
	close(fd);
	return true;
}

static bool is_connected(int fd, bool wait)
{
	struct sockaddr_storage peer;
	socklen_t size = sizeof(peer);
	struct pollfd writable = {.fd = fd, .events = POLLOUT};

	if (wait)
		poll(&writable, 1, 2000);
	return getpeername(fd, (struct sockaddr *)&peer, &size) == 0;
}

static void result_count(struct race *race, int fd, int error)
{
	struct race_score *score = race->score;
	bool is_up = false;

	score->attempts++;
	if (error == 0 || (error == EINPROGRESS && race->how->nonblocking)) {
		score->connected++;
		is_up = is_connected(fd, error == EINPROGRESS);
	} else if (error == EINTR) {
		score->interrupted++;
		is_up = is_connected(fd, false);
	} else if (error == EACCES) {
		score->refused++;
	} else if (error == EFAULT) {
		score->faults++;
	} else {
		score->other++;
		score->other_error = error;
	}
	score->established += is_up;
	/* A connection that is up is in one of the two queues, at the latest when the kernel's other CPU has
	 * got to it. */
	if (accept_one(race->listener[FORBIDDEN], 0))
		score->wins++;
	else if (accept_one(race->listener[ALLOWED], is_up ? 1000 : 0))
		score->accepted++;
}

static void connect_fresh(struct race *race)
{
	int kind = SOCK_STREAM | (race->how->nonblocking ? SOCK_NONBLOCK : 0);
	int fd = socket(race->family, kind | SOCK_CLOEXEC, 0), error;

	linger_off(fd);
	error = connect(fd, race->shared, race->size) < 0 ? errno : 0;
	result_count(race, fd, error);
	close(fd);
}

/* Whatever is behind the number now; the forbidden listener, or the UDP socket, says how it went. */
static void connect_number(struct race *race)
{
	int error = connect(NUMBER, race->shared, race->size) < 0 ? errno : 0;

	race->score->attempts++;
	if (error == 0)
		race->score->connected++;
	else
		race->score->refused++;
	while (accept_one(race->listener[FORBIDDEN], 0))
		race->score->wins++;
	while (accept_one(race->listener[ALLOWED], 0))
		race->score->accepted++;
	race->score->wins += is_connected(race->udp, false);
}

static void storm_handle(int signal)
{
	(void)signal;
}

static void storm_set(struct race *race, long microseconds)
{
	struct sigaction action = {.sa_handler = storm_handle, .sa_flags = race->how->storm & ~RACE_STORM};
	struct itimerval timer = {{0, microseconds}, {0, microseconds}};

	if (race->how->storm == 0)
		return;
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

static void still_alive(struct race *race)
{
	int allowed = address_try(&race->address[ALLOWED].any, race->size);
	int forbidden = address_try(&race->address[FORBIDDEN].any, race->size);

	race->score->wins += accept_all(race->listener[FORBIDDEN]);
	race->score->alive = allowed == 0 && forbidden == EACCES;
}

static int race_run(void *argument)
{
	struct race *race = argument;
	double end = seconds_now() + race->seconds;
	struct writer writer;

	writer_start(&writer, race);
	storm_set(race, 1000);
	while (seconds_now() < end && !(race->until_won && race->score->wins > 0)) {
		if (race->how->writer == WRITER_NUMBER || race->how->writer == WRITER_UDP)
			connect_number(race);
		else
			connect_fresh(race);
	}
	storm_set(race, 0);
	writer_stop(&writer, race);
	while (accept_one(race->listener[FORBIDDEN], 20))
		race->score->wins++;
	race->score->accepted += accept_all(race->listener[ALLOWED]);
	still_alive(race);
	return 0;
}

struct race_score race_play(const struct race_case *how, double seconds, bool until_won)
{
	struct race race = {.how = how, .seconds = seconds, .until_won = until_won};
	struct race_score score;
	int result;

	race_open(&race);
	result = how->writer == WRITER_NUMBER
	                 ? attempt_confined(POLICY("net-allow", race.rule, "net-allow-unix", "*"), race_run,
	                                    &race)
	                 : attempt_confined(POLICY("net-allow", race.rule), race_run, &race);
	score = *race.score;
	race_print(how, &score);
	race_close(&race);
	assert_int_equal(result, 0);
	assert_true(score.attempts > 0);
	return score;
}

void race_print(const struct race_case *race, const struct race_score *score)
{
	fprintf(stderr,
	        "# %s: %ld attempts, %ld connected, %ld refused, %ld faults, %ld interrupted, %ld wins\n",
	        race->name, score->attempts, score->connected, score->refused, score->faults,
	        score->interrupted, score->wins);
}
