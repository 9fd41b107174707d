/* examples/prefork.c under load: its workers, their keepers and stand-ins are killed, and all of them replaced; every
 * client is answered, and nothing is left. A client whose worker was killed asks again; one whose worker was replaced never
 * needs to.
 */
#include "tests/common/common.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORKERS = 3, CLIENTS = 4, CHILDREN_MAX = 64 };

static struct {
	uint16_t port;
	pid_t process;
} server;

static struct {
	atomic_bool over;
	atomic_int answered, again, lost;
} load;

/* ---- clients ---- */

static bool echoes(int fd, const char *word)
{
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	char text[64] = "";

	if (send(fd, word, strlen(word), MSG_NOSIGNAL) != (ssize_t)strlen(word))
		return false;
	return poll(&ready, 1, 10000) == 1 && read(fd, text, sizeof(text) - 1) > 0 && strcmp(text, word) == 0;
}

static bool asks(unsigned number)
{
	struct sockaddr_in address = {AF_INET, htons(server.port), {htonl(INADDR_LOOPBACK)}, {0}};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char word[32];
	bool good;

	snprintf(word, sizeof(word), "word %u", number);
	good = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && echoes(fd, word) &&
	       echoes(fd, "and more");
	close(fd);
	return good;
}

static void *client_main(void *context)
{
	(void)context;
	for (unsigned number = 0; !load.over; number++) {
		int tries = 1;

		for (; tries < 20 && !asks(number); tries++)
			usleep(20000);
		load.again += tries - 1;
		*(tries < 20 ? &load.answered : &load.lost) += 1;
	}
	return NULL;
}

static void load_begin(pthread_t clients[CLIENTS])
{
	load.over = false;
	load.answered = load.again = load.lost = 0;
	for (int i = 0; i < CLIENTS; i++)
		assert_int_equal(pthread_create(&clients[i], NULL, client_main, NULL), 0);
}

static void load_end(const char *what, pthread_t clients[CLIENTS])
{
	load.over = true;
	for (int i = 0; i < CLIENTS; i++)
		pthread_join(clients[i], NULL);
	fprintf(stderr, "# %s: %d answered, %d asked again, %d lost\n", what, load.answered, load.again,
	        load.lost);
	assert_true(load.answered > CLIENTS);
	assert_int_equal(load.lost, 0);
}

/* ---- the server's processes ---- */

static int children_of(pid_t process, pid_t children[CHILDREN_MAX])
{
	FILE *file = fopen(text_of("/proc/%d/task/%d/children", process, process), "re");
	int count = 0;

	while (file != NULL && count < CHILDREN_MAX && fscanf(file, "%d", &children[count]) == 1)
		count++;
	if (file != NULL)
		fclose(file);
	return count;
}

/* A stand-in, its keeper or its worker: by how deep it lies. 0 when it is gone. */
static pid_t process_below(int which, int depth)
{
	pid_t children[CHILDREN_MAX], process = server.process;
	int count = children_of(process, children);

	if (count == 0)
		return 0;
	process = children[which % count];
	for (int i = 0; i < depth; i++) {
		if (children_of(process, children) == 0)
			return 0;
		process = children[0];
	}
	return process;
}

/* Three levels, one of each a worker, and no more. */
static bool settles(void)
{
	for (double end = seconds_now() + 20; seconds_now() < end; usleep(5000)) {
		pid_t children[CHILDREN_MAX], below[CHILDREN_MAX];
		int count = children_of(server.process, children), whole = 0;

		for (int i = 0; i < count; i++)
			whole += children_of(children[i], below) == 1 && children_of(below[0], below) == 1;
		if (count == WORKERS && whole == WORKERS)
			return true;
	}
	return false;
}

/* Those of a worker that has just finished are closed a moment later. */
static bool descriptors_become(int count)
{
	for (double end = seconds_now() + 20; seconds_now() < end; usleep(5000))
		if (open_descriptors(server.process) == count)
			return true;
	fprintf(stderr, "# %d descriptors, not %d\n", open_descriptors(server.process), count);
	return false;
}

/* So many are there once it is at rest: the last worker may still be on its way when its processes are there. */
static int descriptors_at_rest(void)
{
	int count = 0, alike = 0;

	for (double end = seconds_now() + 20; alike < 50 && seconds_now() < end; usleep(10000)) {
		int now = open_descriptors(server.process);

		alike = now == count ? alike + 1 : 0;
		count = now;
	}
	return count;
}

static bool all_are_others(const pid_t before[], const pid_t now[])
{
	for (int i = 0; i < WORKERS; i++)
		for (int j = 0; j < WORKERS; j++)
			if (before[i] == now[j])
				return false;
	return true;
}

/* We are a subreaper: whoever has lost his parent is ours, and is to end by himself. */
static bool nothing_left(void)
{
	pid_t reaped = 0;

	for (double end = seconds_now() + 20; reaped >= 0 && seconds_now() < end; usleep(1000))
		reaped = waitpid(-1, NULL, __WALL | WNOHANG);
	return reaped == -1 && errno == ECHILD;
}

static void server_start(const char *key, const char *value)
{
	const char *program = getenv("PREFORK");

	process_kill(server.process, SIGKILL); /* of a test that has failed */
	nothing_left();
	server.port = port_free();
	if ((server.process = process_fork()) == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execl(program, program, text_of("%u", server.port), text_of("%d", WORKERS), key, value, NULL);
		_exit(99);
	}
	assert_true(settles());
}

static void server_end(void)
{
	process_kill(server.process, SIGTERM);
	assert_int_equal(exit_of(server.process), 0);
	server.process = 0;
	assert_true(nothing_left());
}

/* ---- tests ---- */

static void workers_are_replaced_under_load(const char *key, const char *value)
{
	int rounds = long_run() ? 50 : 4, descriptors;
	pthread_t clients[CLIENTS];

	server_start(key, value);
	descriptors = descriptors_at_rest();
	load_begin(clients);
	for (int i = 0; i < rounds; i++) {
		pid_t before[CHILDREN_MAX], now[CHILDREN_MAX];

		assert_int_equal(children_of(server.process, before), WORKERS);
		process_kill(server.process, SIGHUP);
		do
			assert_true(settles());
		while (children_of(server.process, now) != WORKERS || !all_are_others(before, now));
	}
	load_end("replaced", clients);
	assert_int_equal(load.again, 0);
	assert_true(descriptors_become(descriptors));
	server_end();
}

static void workers_keepers_and_stand_ins_are_killed_under_load(const char *key, const char *value)
{
	int rounds = long_run() ? 600 : 30, killed = 0, descriptors;
	pthread_t clients[CLIENTS];

	server_start(key, value);
	descriptors = descriptors_at_rest();
	load_begin(clients);
	for (int i = 0; i < rounds; i++) {
		pid_t victim = process_below((int)random(), i % 3);

		process_kill(victim, SIGKILL);
		killed += victim > 0;
		usleep((useconds_t)(random() % 100000) * (useconds_t)slowness());
	}
	assert_true(settles());
	load_end(text_of("%d killed", killed), clients);
	assert_true(killed > rounds / 2);
	assert_true(descriptors_become(descriptors));
	assert_int_equal(waitpid(server.process, NULL, WNOHANG), 0);
	server_end();
}

static void replaced_without_a_supervisor(void **state)
{
	(void)state;
	workers_are_replaced_under_load(NULL, NULL);
}

static void replaced_with_a_supervisor(void **state)
{
	(void)state;
	workers_are_replaced_under_load("net-allow", "tcp://127.0.0.1:9");
}

static void killed_without_a_supervisor(void **state)
{
	(void)state;
	workers_keepers_and_stand_ins_are_killed_under_load(NULL, NULL);
}

static void killed_with_a_supervisor(void **state)
{
	(void)state;
	workers_keepers_and_stand_ins_are_killed_under_load("net-allow", "tcp://127.0.0.1:9");
}

/* A server that is killed itself takes all of them along. */
static void a_killed_server_leaves_no_worker(void **state)
{
	(void)state;
	server_start(NULL, NULL);
	process_kill(server.process, SIGKILL);
	assert_true(nothing_left());
	server.process = 0;
}

static int set_up(void **state)
{
	(void)state;
	if (getenv("PREFORK") == NULL) {
		fputs("# PREFORK must name the server\n", stderr);
		return 1;
	}
	signal(SIGPIPE, SIG_IGN);
	return prctl(PR_SET_CHILD_SUBREAPER, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replaced_without_a_supervisor),
		cmocka_unit_test(replaced_with_a_supervisor),
		cmocka_unit_test(killed_without_a_supervisor),
		cmocka_unit_test(killed_with_a_supervisor),
		cmocka_unit_test(a_killed_server_leaves_no_worker),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
