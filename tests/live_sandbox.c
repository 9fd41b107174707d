/* Sandboxes as their owner meets them: made, started, spoken with, stopped, ended; with a policy that needs no supervisor
 * and with one that does. The commands are this program itself: boxes.h.
 */
#include "tests/common/boxes.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <malloc.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TOLD = 200 }; /* stderr, where that is closed */
enum { ERRORS = 3, FDS = 16 };

#define EACH_WAY for (enum way way = PLAIN; way < WAYS; way++)

/* ---- commands ---- */

static int command_end(const char *argument)
{
	return atoi(argument);
}

static int command_raise(const char *argument)
{
	signal(atoi(argument), SIG_DFL); /* a sanitizer handles some */
	raise(atoi(argument));
	return 99;
}

static int command_hold(const char *argument)
{
	(void)argument;
	shared->pids[0] = getpid();
	shared->words[READY] = 1;
	count_endlessly(0);
}

static int command_await(const char *argument)
{
	shared->words[READY] = 1;
	while (shared->words[GO] == 0)
		usleep(500);
	return atoi(argument);
}

static int command_connect(const char *argument)
{
	for (;;) {
		int code = tcp_try(AF_INET, (uint16_t)atoi(argument));

		if (code != 0)
			shared->words[RESULT] = code;
		shared->words[ERRORS] += code != 0;
		shared->counters[0]++;
	}
	return 0;
}

/* Datagrams with ascending numbers, until told to end: then how many. */
static int command_send(const char *argument)
{
	struct sockaddr_in to = {AF_INET, htons((uint16_t)atoi(argument)), {htonl(INADDR_LOOPBACK)}, {0}};
	int fd = socket(AF_INET, SOCK_DGRAM, 0), count = 0;

	shared->words[READY] = 1;
	while (shared->words[GO] == 0) {
		if (sendto(fd, &count, sizeof(count), 0, (struct sockaddr *)&to, sizeof(to)) < 0)
			shared->words[ERRORS]++;
		count++;
		shared->counters[0]++;
		usleep(300);
	}
	shared->words[RESULT] = count;
	return 0;
}

static void usr1_count(int number)
{
	(void)number;
	shared->words[RESULT]++;
}

static int command_signals(const char *argument)
{
	(void)argument;
	signal(SIGUSR1, usr1_count);
	if (fork() == 0)
		count_endlessly(1);
	shared->words[READY] = 1;
	count_endlessly(0);
}

/* Nothing is blocked, and nothing but the default set. */
/* A sanitizer has handlers of its own, from the first moment on. */
static bool of_sanitizers(int number)
{
#ifdef __SANITIZE_ADDRESS__
	return number == SIGSEGV || number == SIGBUS || number == SIGFPE || number == SIGILL;
#else
	(void)number;
	return false;
#endif
}

static int command_clean(const char *argument)
{
	sigset_t mask;

	(void)argument;
	sigprocmask(SIG_BLOCK, NULL, &mask);
	for (int number = 1; number < 32; number++) {
		struct sigaction action;

		sigaction(number, NULL, &action);
		if (sigismember(&mask, number) || (action.sa_handler != SIG_DFL && !of_sanitizers(number)))
			return number;
	}
	return 0;
}

/* Which descriptors there are, and what is in those that are files: their inode. */
static int command_descriptors(const char *argument)
{
	int count = 0;

	(void)argument;
	for (int fd = 0; fd < 4096; fd++) {
		struct stat status;

		if (fstat(fd, &status) < 0)
			continue;
		count++;
		if (fd < COUNTERS - FDS)
			shared->words[FDS + fd] = (int)status.st_ino;
	}
	shared->words[RESULT] = count;
	shared->words[READY] = 1;
	return 0;
}

static int command_write(const char *argument)
{
	int fd = atoi(argument);

	return write(fd, "word", 4) == 4 ? 0 : 1;
}

static int command_last(const char *argument)
{
	return fcntl(atoi(argument), F_GETFD) < 0 ? 1 : 0;
}

/* So many bytes to both outputs, in turns and in uneven pieces. */
static int command_pour(const char *argument)
{
	static char piece[10007];
	size_t left[2] = {strtoul(argument, NULL, 10), strtoul(argument, NULL, 10)};

	memset(piece, 'x', sizeof(piece));
	while (left[0] > 0 || left[1] > 0)
		for (int i = 0; i < 2; i++) {
			ssize_t size = write(1 + i, piece, left[i] < sizeof(piece) ? left[i] : sizeof(piece));

			if (size < 0)
				return 1;
			left[i] -= (size_t)size;
		}
	return 7;
}

/* Its input to its output, and the size of it as a word. */
static int command_copy(const char *argument)
{
	static char piece[4096];
	int from = *argument == '\0' ? 0 : open(argument, O_RDONLY), total = 0;
	ssize_t size;

	if (from < 0)
		return 90;
	while ((size = read(from, piece, sizeof(piece))) > 0) {
		total += (int)size;
		if (write(1, piece, (size_t)size) != size)
			return 91;
	}
	shared->words[RESULT] = total;
	return 0;
}

/* Its input is read when nobody can hear any more of it. */
static int command_silent(const char *argument)
{
	(void)argument;
	close(1);
	close(2);
	usleep(50000);
	open("/dev/null", O_WRONLY);
	return command_copy("");
}

static int command_deaf(const char *argument)
{
	(void)argument;
	close(0);
	return write(1, "heard", 5) == 5 ? 3 : 1;
}

static const struct box_command commands[] = {
	{"end", command_end},       {"raise", command_raise},
	{"hold", command_hold},     {"await", command_await},
	{"family", box_family},     {"connect", command_connect},
	{"send", command_send},     {"signals", command_signals},
	{"clean", command_clean},   {"descriptors", command_descriptors},
	{"write", command_write},   {"last", command_last},
	{"pour", command_pour},     {"copy", command_copy},
	{"silent", command_silent}, {"deaf", command_deaf},
};

/* ---- creating and starting ---- */

static int number_in_status(pid_t process, const char *name)
{
	FILE *file = fopen(text_of("/proc/%d/status", process), "re");
	char line[256];
	int number = -1;

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		if (strncmp(line, name, strlen(name)) == 0)
			sscanf(line + strlen(name), ":%d", &number);
	if (file != NULL)
		fclose(file);
	return number;
}

static void a_created_command_is_confined_and_waits(void **state)
{
	(void)state;
	EACH_WAY
	{
		sl_sandbox *sandbox;
		sl_error error;

		box_reset();
		sandbox = box_create(way, "hold", "", NULL);
		assert_int_equal(sl_sandbox_state(sandbox), SL_STATE_CREATED);
		assert_int_equal(number_in_status(sl_sandbox_pid(sandbox), "Seccomp"), 2);
		assert_int_equal(number_in_status(getpid(), "Seccomp"), 0); /* the control */
		usleep(100000);
		assert_int_equal(shared->words[READY], 0);
		assert_int_equal(sl_wait(sandbox, 0, NULL, &error), -EINVAL);
		assert_int_equal(sl_pause(sandbox, &error), -EINVAL);
		assert_int_equal(sl_signal(sandbox, SIGUSR1, &error), -EINVAL);
		assert_int_equal(sl_start(sandbox, &error), 0);
		assert_int_equal(sl_sandbox_state(sandbox), SL_STATE_RUNNING);
		assert_true(word_becomes(READY, 1));
		assert_int_equal(sl_start(sandbox, &error), -EALREADY);
		sl_sandbox_free(sandbox);
		assert_true(box_nothing_left(1));
	}
}

/* The command is the same binary as the app: what tells them apart is how it was called. */
static bool command_line_has(pid_t process, const char *word)
{
	char text[8192] = "";
	int fd = open(text_of("/proc/%d/cmdline", process), O_RDONLY | O_CLOEXEC);
	ssize_t size = read(fd, text, sizeof(text) - 1);

	close(fd);
	return size > 0 && memmem(text, (size_t)size, word, strlen(word) + 1) != NULL;
}

static void spawn_returns_when_the_command_is_executed(void **state)
{
	int rounds = long_run() ? 500 : 30;

	(void)state;
	EACH_WAY
	{
		box_reset();
		for (int i = 0; i < rounds; i++) {
			sl_sandbox *sandbox = box_spawn(way, "hold", "the argument", NULL);

			assert_true(command_line_has(sl_sandbox_pid(sandbox), "the argument"));
			assert_int_equal(sl_sandbox_state(sandbox), SL_STATE_RUNNING);
			sl_sandbox_free(sandbox);
		}
	}
}

static void every_end_is_told_to_the_owner_and_by_the_stand_in(void **state)
{
	static const int codes[] = {0, 1, 7, 125, 126, 127, 255};
	static const int numbers[] = {SIGKILL, SIGTERM, SIGSEGV, SIGABRT, SIGHUP, SIGPIPE, SIGCHLD + 100};

	(void)state;
	EACH_WAY
	{
		box_reset();
		for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
			int number = numbers[i] > 64 ? 0 : numbers[i], status;
			sl_sandbox *sandbox = box_spawn(way, "end", text_of("%d", codes[i]), NULL);
			sl_status told;

			/* The app's own wait(2) first: it takes nothing away. */
			assert_int_equal(waitpid(sl_sandbox_child(sandbox), &status, 0),
			                 sl_sandbox_child(sandbox));
			assert_int_equal(status, codes[i] << 8);
			assert_int_equal(sl_wait(sandbox, 5000, &told, NULL), 0);
			assert_int_equal(told.code, codes[i]);
			assert_int_equal(told.signal | told.reason | told.leftover, 0);
			sl_sandbox_free(sandbox);
			if (number == 0)
				continue;
			sandbox = box_spawn(way, "raise", text_of("%d", number), NULL);
			assert_int_equal(waitpid(sl_sandbox_child(sandbox), &status, 0),
			                 sl_sandbox_child(sandbox));
			assert_true(WIFSIGNALED(status) && WTERMSIG(status) == number);
			assert_int_equal(box_status(sandbox), 128 + number);
			sl_sandbox_free(sandbox);
		}
	}
}

static void waiting_ends_in_time_and_says_the_same_again(void **state)
{
	(void)state;
	EACH_WAY
	{
		sl_status first, second;
		sl_sandbox *sandbox;
		double start;

		box_reset();
		sandbox = box_spawn(way, "await", "9", NULL);
		assert_int_equal(sl_wait(sandbox, 0, &first, NULL), -ETIMEDOUT);
		start = seconds_now();
		assert_int_equal(sl_wait(sandbox, 60, &first, NULL), -ETIMEDOUT);
		assert_true(seconds_now() - start >= 0.05);
		shared->words[GO] = 1;
		assert_int_equal(sl_wait(sandbox, -1, &first, NULL), 0);
		memset(&second, 0xff, sizeof(second));
		assert_int_equal(sl_wait(sandbox, 0, &second, NULL), 0);
		assert_memory_equal(&first, &second, sizeof(first));
		assert_int_equal(first.code, 9);
		assert_int_equal(sl_wait(sandbox, 0, NULL, NULL), 0);
		assert_int_equal(sl_sandbox_state(sandbox), SL_STATE_ENDED);
		sl_sandbox_free(sandbox);
	}
}

/* Without end where the descriptor tells nothing: then poll(2) gives 0. */
static void the_descriptor_tells_in_poll_and_epoll(void **state)
{
	(void)state;
	for (int turn = 0; turn < 2 * WAYS; turn++) {
		struct epoll_event event = {.events = EPOLLIN};
		int epoll = epoll_create1(EPOLL_CLOEXEC), r = -ETIMEDOUT;
		struct pollfd polled = {.events = POLLIN};
		sl_sandbox *sandbox;

		box_reset();
		sandbox = box_spawn(turn / 2, "await", "4", NULL);
		polled.fd = sl_sandbox_fd(sandbox);
		epoll_ctl(epoll, EPOLL_CTL_ADD, polled.fd, &event);
		assert_int_equal(poll(&polled, 1, 50), 0);
		shared->words[GO] = 1;
		for (int tries = 0; r == -ETIMEDOUT && tries < 20; tries++) {
			assert_int_equal(
				turn % 2 ? epoll_wait(epoll, &event, 1, 5000) : poll(&polled, 1, 5000), 1);
			r = sl_wait(sandbox, 0, NULL, NULL);
		}
		assert_int_equal(r, 0);
		assert_int_equal(box_status(sandbox), 4);
		close(epoll);
		sl_sandbox_free(sandbox);
	}
}

/* ---- stopping ---- */

static void pause_and_freeze_reach_the_whole_tree(void **state)
{
	(void)state;
	EACH_WAY
	{
		sl_sandbox *sandbox;

		box_reset();
		sandbox = box_spawn(way, "family", "", NULL);
		assert_true(word_becomes(READY, 1) && counters_all_move(FAMILY));
		for (int i = 0; i < 3; i++) {
			assert_int_equal(sl_pause(sandbox, NULL), 0);
			assert_int_equal(sl_sandbox_state(sandbox), SL_STATE_PAUSED);
			assert_false(counters_any_moves(FAMILY, 60));
			assert_int_equal(sl_pause(sandbox, NULL), -EALREADY);
			assert_int_equal(sl_freeze(sandbox, NULL), -EBUSY);
			assert_int_equal(sl_thaw(sandbox, NULL), -EBUSY);
			assert_int_equal(sl_resume(sandbox, NULL), 0);
			assert_true(counters_all_move(FAMILY));
			assert_int_equal(sl_freeze(sandbox, NULL), 0);
			assert_int_equal(sl_sandbox_state(sandbox), SL_STATE_FROZEN);
			assert_false(counters_any_moves(FAMILY, 60));
			assert_int_equal(sl_resume(sandbox, NULL), -EBUSY);
			assert_int_equal(sl_thaw(sandbox, NULL), 0);
			assert_true(counters_all_move(FAMILY));
			assert_int_equal(sl_thaw(sandbox, NULL), -EALREADY);
			assert_int_equal(sl_resume(sandbox, NULL), -EALREADY);
		}
		sl_sandbox_free(sandbox);
		assert_true(box_nothing_left(FAMILY));
	}
}

static void connects_that_are_held_are_answered_after_thaw(void **state)
{
	int rounds = long_run() ? 500 : 40;
	sl_sandbox *sandbox;

	(void)state;
	box_reset();
	sandbox = box_spawn(GATE, "connect", text_of("%u", box_port), NULL);
	for (int i = 0; i < rounds; i++) {
		assert_true(counters_all_move(1));
		usleep((useconds_t)(random() % 2000));
		assert_int_equal(sl_freeze(sandbox, NULL), 0);
		assert_false(counters_any_moves(1, 10));
		assert_int_equal(sl_thaw(sandbox, NULL), 0);
	}
	assert_true(counters_all_move(1));
	fprintf(stderr, "# %d connects, frozen %d times\n", (int)shared->counters[0], rounds);
	assert_int_equal(shared->words[ERRORS], 0);
	sl_sandbox_free(sandbox);
}

static int udp_receiver(uint16_t *port)
{
	struct sockaddr_in address = {AF_INET, 0, {htonl(INADDR_LOOPBACK)}, {0}};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), room = 8 << 20;
	socklen_t size = sizeof(address);

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
	getsockname(fd, (struct sockaddr *)&address, &size);
	*port = ntohs(address.sin_port);
	return fd;
}

/* Each number once and in order: what is carried out twice, or not at all, shows. */
static int datagrams_check(int fd, int next)
{
	int number;

	while (recv(fd, &number, sizeof(number), 0) == sizeof(number)) {
		assert_int_equal(number, next);
		next++;
	}
	return next;
}

static void sends_that_are_held_are_neither_lost_nor_doubled(void **state)
{
	int rounds = long_run() ? 500 : 40, next = 0, fd;
	sl_sandbox *sandbox;
	sl_policy *policy;
	uint16_t port;

	(void)state;
	box_reset();
	fd = udp_receiver(&port);
	policy = box_policy(GATE, POLICY("net-allow", text_of("udp://127.0.0.1:%u", port)));
	sandbox = box_spawn_with(policy, "send", text_of("%u", port), NULL);
	for (int i = 0; i < rounds; i++) {
		assert_true(counters_all_move(1));
		usleep((useconds_t)(random() % 2000));
		assert_int_equal(sl_freeze(sandbox, NULL), 0);
		next = datagrams_check(fd, next);
		assert_false(counters_any_moves(1, 5));
		/* Nothing is carried out meanwhile. */
		assert_int_equal(datagrams_check(fd, next), next);
		assert_int_equal(sl_thaw(sandbox, NULL), 0);
	}
	shared->words[GO] = 1;
	assert_int_equal(box_status(sandbox), 0);
	next = datagrams_check(fd, next);
	fprintf(stderr, "# %d datagrams, frozen %d times\n", next, rounds);
	assert_int_equal(shared->words[ERRORS], 0);
	assert_int_equal(shared->words[RESULT], next);
	sl_policy_free(policy);
	sl_sandbox_free(sandbox);
	close(fd);
}

enum moment { PARKED, RUNNING, PAUSED, FROZEN, MOMENTS };

static sl_sandbox *sandbox_at(enum way way, enum moment moment)
{
	sl_sandbox *sandbox;

	box_reset();
	if (moment == PARKED) {
		sandbox = box_create(way, "family", "", NULL);
		shared->pids[0] = sl_sandbox_pid(sandbox);
		return sandbox;
	}
	sandbox = box_spawn(way, "family", "", NULL);
	assert_true(word_becomes(READY, 1) && counters_all_move(FAMILY));
	if (moment == PAUSED)
		assert_int_equal(sl_pause(sandbox, NULL), 0);
	if (moment == FROZEN)
		assert_int_equal(sl_freeze(sandbox, NULL), 0);
	return sandbox;
}

static void free_ends_everything_at_any_moment(void **state)
{
	(void)state;
	EACH_WAY
	{
		for (enum moment moment = PARKED; moment < MOMENTS; moment++) {
			sl_sandbox *sandbox = sandbox_at(way, moment);
			int before = open_descriptors(getpid());

			sl_sandbox_free(sandbox);
			/* At once: free returns when all is reaped. */
			for (int i = 0; i < FAMILY; i++)
				assert_true(shared->pids[i] == 0 || process_state(shared->pids[i]) == 0);
			assert_true(box_nothing_left(FAMILY));
			assert_true(open_descriptors(getpid()) < before);
		}
	}
	sl_sandbox_free(NULL);
}

static void kill_ends_everything_at_any_moment(void **state)
{
	(void)state;
	EACH_WAY
	{
		for (enum moment moment = PARKED; moment < MOMENTS; moment++) {
			sl_sandbox *sandbox = sandbox_at(way, moment);
			sl_status status;

			assert_int_equal(sl_kill(sandbox, NULL), 0);
			/* One that was never started cannot be waited for, but its end shows. */
			for (int i = 0; i < 5000 && sl_wait(sandbox, 1, &status, NULL) < 0; i++)
				usleep(1000);
			assert_int_equal(sl_wait(sandbox, 0, &status, NULL), 0);
			assert_int_equal(status.signal, SIGKILL);
			assert_int_equal(status.reason, SL_REASON_KILLED);
			assert_true(box_nothing_left(FAMILY));
			assert_int_equal(sl_kill(sandbox, NULL), 0);
			assert_int_equal(sl_pause(sandbox, NULL), -ESRCH);
			assert_int_equal(sl_resume(sandbox, NULL), -ESRCH);
			assert_int_equal(sl_freeze(sandbox, NULL), -ESRCH);
			assert_int_equal(sl_thaw(sandbox, NULL), -ESRCH);
			assert_int_equal(sl_start(sandbox, NULL), -ESRCH);
			assert_int_equal(sl_signal(sandbox, SIGTERM, NULL), -ESRCH);
			sl_sandbox_free(sandbox);
		}
	}
}

static void a_signal_reaches_the_command_alone(void **state)
{
	(void)state;
	EACH_WAY
	{
		sl_sandbox *sandbox;

		box_reset();
		sandbox = box_spawn(way, "signals", "", NULL);
		assert_true(word_becomes(READY, 1) && counters_all_move(2));
		for (int i = 1; i <= 5; i++) {
			assert_int_equal(sl_signal(sandbox, SIGUSR1, NULL), 0);
			assert_true(word_becomes(RESULT, i));
		}
		/* It would have ended the child, which counts on. */
		assert_true(counters_all_move(2));
		assert_int_equal(sl_signal(sandbox, 0, NULL), -EINVAL);
		assert_int_equal(sl_signal(sandbox, 65, NULL), -EINVAL);
		assert_int_equal(sl_signal(sandbox, -1, NULL), -EINVAL);
		assert_int_equal(sl_signal(sandbox, SIGTERM, NULL), 0);
		assert_int_equal(box_status(sandbox), 128 + SIGTERM);
		sl_sandbox_free(sandbox);
		assert_true(box_nothing_left(2));
	}
}

/* The last word is heard, also where an order crosses it. */
static void an_order_that_comes_too_late_loses_no_status(void **state)
{
	int rounds = long_run() ? 3000 : 150, crossed = 0;

	(void)state;
	box_reset();
	for (int i = 0; i < rounds; i++) {
		sl_sandbox *sandbox = box_spawn(i % WAYS, "end", "6", NULL);
		sl_status status;
		int r = 0;

		while (r == 0)
			r = sl_signal(sandbox, SIGCONT, NULL);
		assert_int_equal(r, -ESRCH);
		assert_int_equal(sl_wait(sandbox, 5000, &status, NULL), 0);
		if (status.code == 6 && status.reason == SL_REASON_NONE)
			crossed++;
		else
			fprintf(stderr, "# round %d: status %d, signal %d, reason %d\n", i, status.code,
			        status.signal, status.reason);
		sl_sandbox_free(sandbox);
	}
	assert_int_equal(crossed, rounds);
}

static pid_t parent_of(pid_t process)
{
	return number_in_status(process, "PPid");
}

/* The same at a moment of our choice: a keeper that ends with orders unread, and an owner that looks when it has gone. */
static void the_last_word_of_a_keeper_is_heard(void **state)
{
	(void)state;
	EACH_WAY
	{
		static const int32_t order[2] = {99, 0}; /* struct keeper_order: no such one */
		siginfo_t info = {.si_pid = 0};
		sl_sandbox *sandbox;
		sl_status status;
		pid_t keeper;

		box_reset();
		sandbox = box_spawn(way, "await", "6", NULL);
		keeper = parent_of(sl_sandbox_pid(sandbox));
		assert_true(word_becomes(READY, 1) && keeper > 1);
		process_kill(keeper, SIGSTOP);
		shared->words[GO] = 1;
		for (int i = 0; i < 5000 && process_state(sl_sandbox_pid(sandbox)) != 'Z'; i++)
			usleep(1000);
		for (int i = 0; i < 8; i++)
			assert_int_equal(send(sl_sandbox_fd(sandbox), order, sizeof(order), 0),
			                 sizeof(order));
		process_kill(keeper, SIGCONT);
		assert_int_equal(waitid(P_PID, (id_t)sl_sandbox_child(sandbox), &info, WEXITED | WNOWAIT), 0);
		assert_int_equal(sl_wait(sandbox, 5000, &status, NULL), 0);
		assert_int_equal(status.code, 6);
		assert_int_equal(status.reason, SL_REASON_NONE);
		sl_sandbox_free(sandbox);
	}
}

static void a_timeout_ends_the_tree(void **state)
{
	(void)state;
	EACH_WAY
	{
		sl_policy *policy = box_policy(way, POLICY("timeout", "300ms"));
		sl_sandbox *sandbox;
		sl_status status;

		box_reset();
		sandbox = box_spawn_with(policy, "family", "", NULL);
		assert_int_equal(sl_wait(sandbox, 10000, &status, NULL), 0);
		assert_int_equal(status.reason, SL_REASON_TIMEOUT);
		assert_int_equal(status.signal, SIGKILL);
		sl_sandbox_free(sandbox);
		assert_true(box_nothing_left(FAMILY));
		sl_policy_free(policy);
	}
}

/* ---- descriptors ---- */

static int inode_of(int fd)
{
	struct stat status;

	return fstat(fd, &status) < 0 ? -1 : (int)status.st_ino;
}

/* In a process of its own: the numbers are its to fill. */
struct numbers {
	enum way way;
	bool closed; /* 0 to 2 in the app */
};

static int numbers_attempt(void *context)
{
	const struct numbers *numbers = context;
	int page = box_page(), files[4];
	sl_sandbox *sandbox;
	sl_policy *policy = box_policy(numbers->way, NULL);

	EXPECT(page >= 0);
	for (int i = 0; i < 4; i++)
		EXPECT((files[i] = memfd_create("file", 0)) >= 0);
	/* Each source is another's target, and some are the numbers that keeper and stand-in get for their own. */
	EXPECT(dup2(2, TOLD) == TOLD && dup2(files[0], 103) == 103 && dup2(files[1], 104) == 104);
	if (numbers->closed)
		for (int fd = 0; fd < 3; fd++)
			close(fd);
	{
		const sl_descriptor extra[] = {{BOX_SHARED, page}, {103, 104},     {104, 103}, {3, files[2]},
		                               {4, files[3]},      {5, files[2]},  {6, 104},   {7, page},
		                               {8, 103},           {10, files[3]}, {11, 103}};
		sl_stdio stdio = {.extra = extra, .extra_count = sizeof(extra) / sizeof(extra[0])};
		sl_status status;
		sl_error error;

		if (sl_spawn(policy, box_argv("descriptors", ""), &stdio, &sandbox, &error) < 0) {
			dprintf(TOLD, "# %s\n", error.message);
			return 1;
		}
		EXPECT(sl_wait(sandbox, 10000, &status, NULL) == 0);
		EXPECT(status.code == 0);
		for (size_t i = 0; i < stdio.extra_count; i++)
			EXPECT(shared->words[FDS + extra[i].target] == inode_of(extra[i].source));
		/* 0 to 2 and these, no more. */
		EXPECT(shared->words[RESULT] == 3 + (int)stdio.extra_count);
	}
	sl_sandbox_free(sandbox);
	sl_policy_free(policy);
	return 0;
}

static void descriptors_arrive_under_their_numbers(void **state)
{
	(void)state;
	for (int i = 0; i < 2 * WAYS; i++) {
		struct numbers numbers = {i / 2, i % 2};

		box_reset();
		assert_int_equal(attempt_bare(numbers_attempt, &numbers), 0);
	}
}

/* With the usual limit, above which no number is. */
static void the_highest_number_can_be_given(void **state)
{
	struct rlimit before, limit;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	limit = before;
	limit.rlim_cur = 1024;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	EACH_WAY
	{
		const sl_descriptor extra[] = {{BOX_SHARED, box_page()}, {1023, box_page()}};
		const sl_stdio stdio = {.extra = extra, .extra_count = 2};
		sl_sandbox *sandbox;

		box_reset();
		sandbox = box_spawn(way, "last", "1023", &stdio);
		assert_int_equal(box_status(sandbox), 0);
		sl_sandbox_free(sandbox);
		sandbox = box_spawn(way, "last", "1023", NULL);
		assert_int_equal(box_status(sandbox), 1);
		sl_sandbox_free(sandbox);
	}
	setrlimit(RLIMIT_NOFILE, &before);
}

static int read_all(int fd, char *text, size_t room)
{
	size_t used = 0;
	ssize_t size;

	while (used < room - 1 && (size = read(fd, text + used, room - 1 - used)) > 0)
		used += (size_t)size;
	text[used] = '\0';
	close(fd);
	return (int)used;
}

static void streams_are_what_was_asked_for(void **state)
{
	(void)state;
	EACH_WAY
	{
		sl_stdio stdio = {
			.in = {SL_STREAM_NULL, -1}, .out = {SL_STREAM_PIPE, -1}, .err = {SL_STREAM_NULL, -1}};
		char text[64];
		int ends[2];
		sl_sandbox *sandbox;

		box_reset();
		sandbox = box_spawn(way, "write", "1", &stdio);
		assert_int_equal(sl_sandbox_stream(sandbox, 0), -ENOENT);
		assert_int_equal(sl_sandbox_stream(sandbox, 3), -ENOENT);
		assert_int_equal(read_all(sl_sandbox_stream(sandbox, 1), text, sizeof(text)), 4);
		assert_int_equal(sl_sandbox_stream(sandbox, 1), -ENOENT);
		assert_string_equal(text, "word");
		assert_int_equal(box_status(sandbox), 0);
		sl_sandbox_free(sandbox);
		assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
		stdio.err = (sl_stream){SL_STREAM_GIVEN, ends[1]};
		sandbox = box_spawn(way, "write", "2", &stdio);
		close(ends[1]);
		assert_int_equal(read_all(ends[0], text, sizeof(text)), 4);
		sl_sandbox_free(sandbox);
		stdio.out.kind = 99;
		assert_int_equal(sl_spawn(NULL, box_argv("end", "0"), &stdio, &sandbox, NULL), -EINVAL);
	}
}

/* ---- what fails ---- */

static int exec_try(const sl_policy *policy, const char *path, sl_error *error)
{
	const char *const argv[] = {path, NULL};
	sl_sandbox *sandbox = (sl_sandbox *)-1;
	int r = sl_spawn(policy, argv, NULL, &sandbox, error);

	if (r == 0)
		sl_sandbox_free(sandbox);
	else
		assert_null(sandbox);
	return r;
}

static void a_command_that_cannot_be_executed_says_why(void **state)
{
	const char *script = text_of("%s/script", scratch());
	int fd = open(script, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	char path[256];

	(void)state;
	snprintf(path, sizeof(path), "%s", script);
	assert_int_equal(write(fd, "exit 5\n", 7), 7);
	close(fd);
	EACH_WAY
	{
		sl_policy *policy = box_policy(way, NULL);
		const char *const argv[] = {path, NULL};
		sl_sandbox *sandbox;
		sl_failure failure;
		sl_status status;
		sl_error error;

		assert_int_equal(exec_try(policy, "/nowhere/command", &error), -ENOENT);
		assert_int_equal(exec_try(policy, "no-such-command", &error), -ENOENT);
		assert_int_equal(exec_try(policy, "/usr", &error), -EACCES);
		assert_int_equal(chmod(path, 0644), 0);
		assert_int_equal(exec_try(policy, path, &error), -EACCES);
		assert_int_equal(chmod(path, 0755), 0);
		/* There, but not granted. */
		assert_int_equal(exec_try(policy, path, &error), -EACCES);
		assert_non_null(strstr(error.message, "fs-read") ? error.message
		                                                 : strstr(error.message, "-r PATH"));
		assert_int_equal(sl_create(policy, argv, NULL, &sandbox, &error), 0);
		assert_int_equal(sl_sandbox_failure(sandbox, &failure), -ENOENT);
		assert_int_equal(sl_start(sandbox, &error), -EACCES);
		assert_int_equal(sl_sandbox_failure(sandbox, &failure), 0);
		assert_int_equal(failure.code, -EACCES);
		assert_string_equal(failure.step, "exec");
		assert_string_equal(failure.path, path);
		assert_int_equal(sl_wait(sandbox, 5000, &status, NULL), 0);
		assert_int_equal(status.code, 126);
		assert_int_equal(status.reason, SL_REASON_FAILED);
		sl_sandbox_free(sandbox);
		sl_policy_free(policy);
		/* The allow twin. */
		policy = box_policy(way, POLICY("fs-read", path));
		assert_int_equal(exec_try(policy, path, &error), 0);
		sl_policy_free(policy);
		assert_true(box_nothing_left(0));
	}
	unlink(path);
}

/* The app's own filter answers `number` with `code`: what is made in it inherits that. */
static int refuse_call(int number, int code)
{
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)code),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog all = {sizeof(program) / sizeof(program[0]), program};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return errno;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &all) < 0 ? errno : 0;
}

static int spawn_here(enum way way, int *code)
{
	sl_policy *policy = box_policy(way, NULL);
	sl_sandbox *sandbox;
	sl_error error;
	int r = sl_spawn(policy, box_argv("end", "0"),
	                 &(sl_stdio){.extra = &(sl_descriptor){BOX_SHARED, box_page()}, .extra_count = 1},
	                 &sandbox, &error);

	sl_policy_free(policy);
	if (r < 0) {
		fprintf(stderr, "# %s\n", error.message);
		return r;
	}
	*code = box_status(sandbox);
	sl_sandbox_free(sandbox);
	return 0;
}

static int walls_fail(void *way)
{
	int code = -1;

	EXPECT(refuse_call(SYS_landlock_restrict_self, EFBIG) == 0);
	EXPECT(spawn_here((enum way)(intptr_t)way, &code) == -EFBIG);
	EXPECT(waitpid(-1, NULL, __WALL | WNOHANG) == -1 && errno == ECHILD);
	return 0;
}

static int clone3_is_refused(void *way)
{
	int code = -1;

	EXPECT(refuse_call(SYS_clone3, EPERM) == 0);
	EXPECT(syscall(SYS_clone3, NULL, 0) == -1 && errno == EPERM);
	EXPECT(spawn_here((enum way)(intptr_t)way, &code) == 0 && code == 0);
	return 0;
}

static void walls_that_fail_are_an_error_of_spawn(void **state)
{
	(void)state;
	EACH_WAY
	assert_int_equal(attempt_bare(walls_fail, (void *)way), 0);
}

static void an_app_without_clone3_can_spawn(void **state)
{
	(void)state;
	EACH_WAY
	assert_int_equal(attempt_bare(clone3_is_refused, (void *)way), 0);
}

static int without_room(void *way)
{
	int code = -1, r = 0, fd;

	for (int room = 0; room < 24; room++) {
		int fds[1024], count = 0;

		while (count < 1024 && (fd = dup(2)) >= 0)
			fds[count++] = fd;
		for (int i = 0; i < room && count > 0; i++)
			close(fds[--count]);
		r = spawn_here((enum way)(intptr_t)way, &code);
		while (count > 0)
			close(fds[--count]);
		EXPECT(r == -EMFILE || (r == 0 && code == 0));
	}
	EXPECT(r == 0);
	return 0;
}

static void an_app_without_descriptors_is_told_so(void **state)
{
	(void)state;
	EACH_WAY
	assert_int_equal(attempt_bare(without_room, (void *)way), 0);
}

static void nothing_given_is_refused(void **state)
{
	sl_policy *policy = box_policy(PLAIN, NULL);
	const char *const none[] = {NULL};
	sl_sandbox *sandbox;
	sl_error error;

	(void)state;
	assert_int_equal(sl_spawn(policy, NULL, NULL, &sandbox, &error), -EINVAL);
	assert_int_equal(sl_spawn(policy, none, NULL, &sandbox, &error), -EINVAL);
	assert_int_equal(sl_spawn(NULL, box_argv("end", "0"), NULL, &sandbox, &error), -EINVAL);
	assert_int_equal(sl_spawn(policy, box_argv("end", "0"), NULL, NULL, &error), -EINVAL);
	assert_int_equal(sl_wait(NULL, 0, NULL, &error), -EINVAL);
	assert_int_equal(sl_pause(NULL, &error), -EINVAL);
	assert_int_equal(sl_run(policy, box_argv("end", "0"), NULL, &error), -EINVAL);
	sl_policy_free(policy);
}

/* ---- the app's own ways ---- */

static int ignores_children(void *way)
{
	int code = -1;

	signal(SIGCHLD, SIG_IGN);
	EXPECT(spawn_here((enum way)(intptr_t)way, &code) == 0 && code == 0);
	return 0;
}

static void reap_all(int number)
{
	int code = errno;

	(void)number;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	errno = code;
}

static int reaps_all(void *way)
{
	int code = -1;

	signal(SIGCHLD, reap_all);
	for (int i = 0; i < 20; i++)
		EXPECT(spawn_here((enum way)(intptr_t)way, &code) == 0 && code == 0);
	return 0;
}

static int blocks_and_handles(void *way)
{
	sl_policy *policy = box_policy((enum way)(intptr_t)way, NULL);
	sl_sandbox *sandbox;
	sigset_t all, now;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	for (int number = 1; number < 32; number++)
		signal(number, number % 2 ? reap_all : SIG_IGN);
	EXPECT(sl_spawn(policy, box_argv("clean", ""),
	                &(sl_stdio){.extra = &(sl_descriptor){BOX_SHARED, box_page()}, .extra_count = 1},
	                &sandbox, NULL) == 0);
	EXPECT(box_status(sandbox) == 0);
	sigprocmask(SIG_SETMASK, NULL, &now);
	for (int number = 1; number < 32; number++)
		EXPECT(number == SIGKILL || number == SIGSTOP || sigismember(&now, number));
	sl_sandbox_free(sandbox);
	return 0;
}

static void an_app_may_treat_its_signals_as_it_likes(void **state)
{
	(void)state;
	EACH_WAY
	{
		assert_int_equal(attempt_bare(ignores_children, (void *)way), 0);
		assert_int_equal(attempt_bare(reaps_all, (void *)way), 0);
		assert_int_equal(attempt_bare(blocks_and_handles, (void *)way), 0);
	}
}

static struct {
	atomic_bool over;
	atomic_int spawned, failed;
	enum way way;
} crowd;

static void *allocate_endlessly(void *context)
{
	(void)context;
	for (unsigned i = 0; !crowd.over; i++) {
		void *volatile piece = malloc(16 + i % 50000);

		free(piece);
	}
	return NULL;
}

static void *spawn_endlessly(void *context)
{
	(void)context;
	while (!crowd.over) {
		sl_sandbox *sandbox = box_spawn(crowd.way, "end", "3", NULL);

		crowd.failed += box_status(sandbox) != 3;
		crowd.spawned++;
		sl_sandbox_free(sandbox);
	}
	return NULL;
}

static void an_app_of_many_threads_spawns_from_several(void **state)
{
	(void)state;
	box_reset();
	EACH_WAY
	{
		pthread_t threads[12];

		crowd.over = false;
		crowd.spawned = 0;
		crowd.way = way;
		for (int i = 0; i < 12; i++)
			pthread_create(&threads[i], NULL, i < 8 ? allocate_endlessly : spawn_endlessly, NULL);
		sleep(long_run() ? 60 : 3);
		crowd.over = true;
		for (int i = 0; i < 12; i++)
			pthread_join(threads[i], NULL);
		fprintf(stderr, "# spawned %d\n", crowd.spawned);
		assert_int_equal(crowd.failed, 0);
		assert_true(crowd.spawned >= 4);
		assert_true(box_nothing_left(0));
	}
}

/* ---- the end of the app ---- */

/* An app that is killed with a sandbox in the given moment. The tree is ours then: we are a subreaper. */
static void app_dies_at(enum way way, enum moment moment, bool tied, bool *lives)
{
	pid_t app;

	box_reset();
	if ((app = process_fork()) == 0) {
		sl_policy *policy = policy_of(
			POLICY("fs-system", "", "fs-read", box_argv("", "")[0], "fs-read", "/proc"));
		sl_sandbox *sandbox;

		sl_policy_set(policy, way == GATE ? "net-allow" : "fs-system",
		              way == GATE ? rule_for(AF_INET, box_port) : "", NULL);
		if (tied)
			sl_policy_set(policy, "die-with-parent", "", NULL);
		sl_create(policy, box_argv("hold", ""),
		          &(sl_stdio){.extra = &(sl_descriptor){BOX_SHARED, box_page()}, .extra_count = 1},
		          &sandbox, NULL);
		shared->pids[0] = sl_sandbox_pid(sandbox);
		if (moment != PARKED) {
			sl_start(sandbox, NULL);
			while (shared->counters[0] < 2)
				usleep(500);
		}
		if (moment == PAUSED)
			sl_pause(sandbox, NULL);
		if (moment == FROZEN)
			sl_freeze(sandbox, NULL);
		shared->words[RESULT] = 1;
		pause();
	}
	assert_true(word_becomes(RESULT, 1));
	process_kill(app, SIGKILL);
	waitpid(app, NULL, 0);
	*lives = !tied && moment != PARKED && counters_all_move(1);
}

static void the_tree_dies_with_the_app_where_that_is_asked_for(void **state)
{
	(void)state;
	EACH_WAY
	{
		for (enum moment moment = PARKED; moment < MOMENTS; moment++) {
			bool lives;

			app_dies_at(way, moment, true, &lives);
			assert_true(box_nothing_left(1));
			/* Otherwise it goes on, and is not left stopped; but what nobody can start any more ends. */
			app_dies_at(way, moment, false, &lives);
			assert_int_equal(lives, moment != PARKED);
			assert_true(moment != PARKED || box_nothing_left(1));
		}
	}
	box_reset();
}

/* ---- sl_run ---- */

static void run_check(enum way way, const char *name, const char *argument, sl_result *result)
{
	const char *const *argv = box_argv(name, argument);
	sl_policy *policy = box_policy(way, POLICY("keep-fd", "9"));
	sl_error error;

	box_reset();
	if (fcntl(BOX_SHARED, F_GETFD) < 0)
		assert_int_equal(dup2(box_page(), BOX_SHARED), BOX_SHARED);
	if (sl_run(policy, argv, result, &error) < 0)
		fail_msg("%s", error.message);
	sl_policy_free(policy);
}

static void run_keeps_both_outputs(void **state)
{
	(void)state;
	EACH_WAY
	{
		sl_result result = {.limit = 8 << 20};

		run_check(way, "pour", "5000000", &result);
		assert_int_equal(result.out_size, 5000000);
		assert_int_equal(result.err_size, 5000000);
		assert_int_equal(strlen(result.out), 5000000);
		assert_int_equal(result.cut, 0);
		assert_int_equal(result.status.code, 7);
		sl_result_clear(&result);
		result = (sl_result){.limit = 1000};
		run_check(way, "pour", "5000000", &result);
		assert_int_equal(result.out_size, 1000);
		assert_int_equal(strlen(result.err), 1000);
		assert_int_equal(result.cut, 1);
		assert_int_equal(result.status.code, 7);
		sl_result_clear(&result);
		assert_null(result.out);
	}
}

static void run_feeds_its_input(void **state)
{
	static char input[3000000];

	(void)state;
	memset(input, 'i', sizeof(input));
	signal(SIGPIPE, SIG_DFL); /* it must not reach us */
	EACH_WAY
	{
		static const char *const names[] = {"copy", "silent"};
		static const char *const from[] = {"", "/dev/stdin"};
		sl_result result = {.input = input, .input_size = sizeof(input), .limit = 4 << 20};

		for (int i = 0; i < 3; i++) {
			run_check(way, names[i == 2], from[i == 1], &result);
			assert_int_equal(result.status.code, 0);
			assert_int_equal(shared->words[RESULT], sizeof(input));
			assert_int_equal(result.out_size, i == 2 ? 0 : sizeof(input));
			sl_result_clear(&result);
		}
		run_check(way, "deaf", "", &result);
		assert_int_equal(result.status.code, 3);
		assert_string_equal(result.out, "heard");
		sl_result_clear(&result);
		result = (sl_result){.input = "", .input_size = 0};
		run_check(way, "copy", "", &result);
		assert_int_equal(result.status.code, 0);
		sl_result_clear(&result);
		result.input = NULL;
		run_check(way, "raise", "15", &result);
		assert_int_equal(result.status.signal, SIGTERM);
		sl_result_clear(&result);
	}
	signal(SIGPIPE, SIG_IGN);
	close(BOX_SHARED);
}

/* ---- leaks ---- */

/* In use, not resident: pages that are shared with other forks of this program become ours as they are written to. */
static long heap_kib(void)
{
	struct mallinfo2 heap = mallinfo2();

	return (long)((heap.uordblks + heap.hblkhd) / 1024);
}

static void nothing_is_leaked(void **state)
{
	int rounds = long_run() ? 3000 : 250, descriptors;
	long memory;

	(void)state;
	box_reset();
	/* Until malloc has what it needs. */
	for (int i = 0; i < 300; i++)
		sl_sandbox_free(box_spawn(i % WAYS, "end", "0", NULL));
	descriptors = open_descriptors(getpid());
	memory = heap_kib();
	for (int i = 0; i < 2 * rounds; i++) {
		sl_sandbox *sandbox = box_spawn(i % WAYS, "end", "0", NULL);

		if (i % 4 < 2)
			assert_int_equal(box_status(sandbox), 0);
		sl_sandbox_free(sandbox);
	}
	fprintf(stderr, "# %d spawns: descriptors %d, then %d; KiB %ld, then %ld\n", 2 * rounds, descriptors,
	        open_descriptors(getpid()), memory, heap_kib());
	assert_int_equal(open_descriptors(getpid()), descriptors);
	assert_true(heap_kib() < memory + 16);
	assert_true(box_nothing_left(0));
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_created_command_is_confined_and_waits),
		cmocka_unit_test(spawn_returns_when_the_command_is_executed),
		cmocka_unit_test(every_end_is_told_to_the_owner_and_by_the_stand_in),
		cmocka_unit_test(waiting_ends_in_time_and_says_the_same_again),
		cmocka_unit_test(the_descriptor_tells_in_poll_and_epoll),
		cmocka_unit_test(pause_and_freeze_reach_the_whole_tree),
		cmocka_unit_test(connects_that_are_held_are_answered_after_thaw),
		cmocka_unit_test(sends_that_are_held_are_neither_lost_nor_doubled),
		cmocka_unit_test(free_ends_everything_at_any_moment),
		cmocka_unit_test(kill_ends_everything_at_any_moment),
		cmocka_unit_test(a_signal_reaches_the_command_alone),
		cmocka_unit_test(an_order_that_comes_too_late_loses_no_status),
		cmocka_unit_test(the_last_word_of_a_keeper_is_heard),
		cmocka_unit_test(a_timeout_ends_the_tree),
		cmocka_unit_test(descriptors_arrive_under_their_numbers),
		cmocka_unit_test(the_highest_number_can_be_given),
		cmocka_unit_test(streams_are_what_was_asked_for),
		cmocka_unit_test(a_command_that_cannot_be_executed_says_why),
		cmocka_unit_test(walls_that_fail_are_an_error_of_spawn),
		cmocka_unit_test(an_app_without_clone3_can_spawn),
		cmocka_unit_test(an_app_without_descriptors_is_told_so),
		cmocka_unit_test(nothing_given_is_refused),
		cmocka_unit_test(an_app_may_treat_its_signals_as_it_likes),
		cmocka_unit_test(an_app_of_many_threads_spawns_from_several),
		cmocka_unit_test(the_tree_dies_with_the_app_where_that_is_asked_for),
		cmocka_unit_test(run_keeps_both_outputs),
		cmocka_unit_test(run_feeds_its_input),
		cmocka_unit_test(nothing_is_leaked),
	};

	box_commands(commands, sizeof(commands) / sizeof(commands[0]), argc, argv);
	return cmocka_run_group_tests(tests, boxes_open, boxes_close);
}
