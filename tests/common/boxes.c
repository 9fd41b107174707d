/* boxes.h says what each is for. */
#include "tests/common/boxes.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct shared *shared;
uint16_t box_port;

static char self[4096];
static int page = -1, served = -1;
static pid_t server;

static int page_map(int fd)
{
	void *mapped = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (mapped == MAP_FAILED)
		return -errno;
	shared = mapped;
	return 0;
}

void box_commands(const struct box_command *commands, size_t count, int argc, char *argv[])
{
	if (argc != 3)
		return;
	if (page_map(BOX_SHARED) < 0)
		_exit(97);
	for (size_t i = 0; i < count; i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			_exit(commands[i].run(argv[2]));
	_exit(96);
}

int boxes_open(void **state)
{
	ssize_t size = readlink("/proc/self/exe", self, sizeof(self) - 1);

	(void)state;
	if (size < 0 || (page = memfd_create("shared", MFD_CLOEXEC)) < 0 ||
	    ftruncate(page, sizeof(*shared)) < 0 || page_map(page) < 0)
		return 1;
	served = tcp_listener(AF_INET, &box_port);
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	return (server = acceptor_start(served)) < 0;
}

int boxes_close(void **state)
{
	(void)state;
	process_end(server);
	return 0;
}

int box_page(void)
{
	return page;
}

pid_t box_server(void)
{
	return server;
}

sl_policy *box_policy(enum way way, const char *const more[])
{
	/* A test that is broken off leaves nobody behind. */
	sl_policy *policy = policy_of(
		POLICY("fs-system", "", "fs-read", self, "fs-read", "/proc", "die-with-parent", ""));
	sl_error error;

	if (way == GATE)
		assert_int_equal(sl_policy_set(policy, "net-allow", rule_for(AF_INET, box_port), NULL), 0);
	for (size_t i = 0; more != NULL && more[i] != NULL; i += 2)
		if (sl_policy_set(policy, more[i], more[i + 1], &error) < 0)
			fail_msg("%s", error.message);
	return policy;
}

const char *const *box_argv(const char *name, const char *argument)
{
	static __thread const char *argv[4];

	argv[0] = self;
	argv[1] = name;
	argv[2] = argument;
	argv[3] = NULL;
	return argv;
}

static sl_sandbox *box_open(bool parked, const sl_policy *policy, const char *name, const char *argument,
                            const sl_stdio *stdio)
{
	const sl_descriptor extra = {BOX_SHARED, page};
	sl_stdio all = stdio == NULL ? (sl_stdio){.extra = NULL} : *stdio;
	sl_sandbox *sandbox;
	sl_error error;
	int r;

	if (all.extra == NULL) {
		all.extra = &extra;
		all.extra_count = 1;
	}
	r = parked ? sl_create(policy, box_argv(name, argument), &all, &sandbox, &error)
	           : sl_spawn(policy, box_argv(name, argument), &all, &sandbox, &error);
	/* Said at once: in a thread of a test fail_msg() ends all, and says nothing. */
	if (r < 0) {
		fprintf(stderr, "# %s: %s\n", name, error.message);
		fail_msg("%s: %s", name, error.message);
	}
	return sandbox;
}

sl_sandbox *box_create(enum way way, const char *name, const char *argument, const sl_stdio *stdio)
{
	sl_policy *policy = box_policy(way, NULL);
	sl_sandbox *sandbox = box_open(true, policy, name, argument, stdio);

	sl_policy_free(policy);
	return sandbox;
}

sl_sandbox *box_spawn(enum way way, const char *name, const char *argument, const sl_stdio *stdio)
{
	sl_policy *policy = box_policy(way, NULL);
	sl_sandbox *sandbox = box_open(false, policy, name, argument, stdio);

	sl_policy_free(policy);
	return sandbox;
}

sl_sandbox *box_spawn_with(const sl_policy *policy, const char *name, const char *argument,
                           const sl_stdio *stdio)
{
	return box_open(false, policy, name, argument, stdio);
}

bool word_becomes(int word, int value)
{
	for (double end = seconds_now() + 10; seconds_now() < end; usleep(500))
		if (shared->words[word] == value)
			return true;
	fprintf(stderr, "# word %d is %d, not %d\n", word, shared->words[word], value);
	return false;
}

bool word_leaves(int word, int value)
{
	for (double end = seconds_now() + 10; seconds_now() < end; usleep(500))
		if (shared->words[word] != value)
			return true;
	fprintf(stderr, "# word %d stays %d\n", word, value);
	return false;
}

bool counters_all_move(int count)
{
	for (int i = 0; i < count; i++) {
		uint64_t before = shared->counters[i];
		double end = seconds_now() + 10;

		while (shared->counters[i] == before && seconds_now() < end)
			usleep(500);
		if (shared->counters[i] == before) {
			fprintf(stderr, "# counter %d of %d does not move\n", i, count);
			return false;
		}
	}
	return true;
}

bool counters_any_moves(int count, int milliseconds)
{
	uint64_t before[COUNTERS];

	for (int i = 0; i < count; i++)
		before[i] = shared->counters[i];
	for (double end = seconds_now() + milliseconds / 1e3; seconds_now() < end; usleep(1000))
		for (int i = 0; i < count; i++)
			if (shared->counters[i] != before[i]) {
				fprintf(stderr, "# counter %d moves\n", i);
				return true;
			}
	return false;
}

int box_status(sl_sandbox *sandbox)
{
	sl_status status;

	if (sl_wait(sandbox, 10000, &status, NULL) < 0)
		return -1;
	return status.signal != 0 ? 128 + status.signal : status.code;
}

static bool process_is_there(pid_t process)
{
	char state = process_state(process);

	return process > 0 && state != 0 && state != 'X';
}

/* Our own, as the kernel lists them; reaped where they have ended. */
static bool only_the_server(void)
{
	int first = 0, second = 0, count;
	FILE *children = fopen(text_of("/proc/self/task/%d/children", getpid()), "re");

	count = fscanf(children, "%d %d", &first, &second);
	fclose(children);
	if (second != 0 || count > 1)
		for (pid_t reaped = 1; reaped > 0;)
			reaped = waitpid(-1, NULL, __WALL | WNOHANG);
	return count == 1 && first == server;
}

bool box_nothing_left(int count)
{
	int there = 0;

	for (double end = seconds_now() + 20; seconds_now() < end; usleep(1000)) {
		there = 0;
		for (int i = 0; i < count; i++)
			there += process_is_there(shared->pids[i]);
		if (there == 0 && only_the_server())
			return true;
	}
	fprintf(stderr, "# %d processes are left, %s\n", there,
	        only_the_server() ? "none a child" : "some children");
	return false;
}

void box_leftovers_kill(void)
{
	FILE *children = fopen(text_of("/proc/self/task/%d/children", getpid()), "re");
	pid_t child;

	while (fscanf(children, "%d", &child) == 1)
		if (child != server)
			process_kill(child, SIGKILL);
	fclose(children);
}

void box_reset(void)
{
	for (double end = seconds_now() + 10; !only_the_server() && seconds_now() < end; usleep(1000))
		box_leftovers_kill();
	memset(shared, 0, sizeof(*shared));
}

void count_endlessly(int counter)
{
	struct timespec moment = {0, 200000};

	shared->pids[counter] = getpid();
	for (;;) {
		shared->counters[counter]++;
		nanosleep(&moment, NULL);
	}
}

static void *count_in_thread(void *counter)
{
	count_endlessly((int)(intptr_t)counter);
}

int box_family(const char *argument)
{
	pthread_t thread;

	(void)argument;
	if (fork() == 0)
		count_endlessly(1);
	if (fork() == 0) {
		setsid();
		count_endlessly(2);
	}
	if (fork() == 0) {
		setsid();
		if (fork() == 0) {
			signal(SIGTERM, SIG_IGN);
			signal(SIGHUP, SIG_IGN);
			count_endlessly(3);
		}
		_exit(0);
	}
	if (fork() == 0 && vfork() == 0)
		count_endlessly(4);
	pthread_create(&thread, NULL, count_in_thread, (void *)5);
	shared->words[READY] = 1;
	count_endlessly(0);
}
