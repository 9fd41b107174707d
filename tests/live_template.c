/* sl_template: init() once, work() in each clone, behind the same walls; everything comes back whatever a clone does, and
 * whatever the template says; when it is freed all of it is dead. sluice.h holds the contract.
 */
#include "tests/common/clean.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>

#include "supervise/template.h"

enum { CLONES = 40, MANY = 1000, MIB = 1 << 20, PATIENCE_MS = 60000 };

static sl_error error;
static sl_clone clones[MANY];
static uint16_t port, other_port;
static int made_by_init;

/* Shared with all that is forked: what goes on inside is seen here. */
static struct {
	atomic_int ticks, daemon, ready, told;
} * shared;

static void works(int r)
{
	if (r < 0)
		fail_msg("%s", error.message);
}

static sl_template *template_of(const char *const keys[], int (*init)(void *), int (*work)(void *, unsigned),
                                void *context)
{
	sl_work functions = {init, work, context};
	sl_policy *policy = policy_of(keys);
	sl_template *made;

	works(sl_template_create(policy, &functions, NULL, PATIENCE_MS, &made, &error));
	sl_policy_free(policy);
	return made;
}

#define ALONE      POLICY("fs-system", "")
#define SUPERVISED POLICY("fs-system", "", "net-allow", rule_for(AF_INET, port))

static int work_nothing(void *context, unsigned index)
{
	(void)context, (void)index;
	return 0;
}

/* ---- what it is for ---- */

static int init_counts(void *context)
{
	(void)context;
	made_by_init++;
	printf("init's own\n"); /* of the template, and no clone's */
	return 0;
}

static int work_tells(void *context, unsigned index)
{
	printf("%u %s %d %s\n", index, getenv("CLONE_ID"), made_by_init, (const char *)context);
	return (int)index % 7;
}

static void clones_told(sl_template *template)
{
	char expected[64];

	works(sl_template_fork(template, CLONES, 0, PATIENCE_MS, clones, &error));
	for (unsigned i = 0; i < CLONES; i++) {
		snprintf(expected, sizeof(expected), "%u %u 1 of the app\n", i, i);
		assert_string_equal(clones[i].out, expected);
		assert_int_equal(clones[i].out_size, strlen(expected));
		assert_int_equal(clones[i].status.code, i % 7);
		assert_int_equal(clones[i].status.signal, 0);
		assert_int_equal(clones[i].status.reason, SL_REASON_NONE);
		assert_int_equal(clones[i].cut, 0);
	}
	sl_clones_clear(clones, CLONES);
}

static void test_each_clone_runs_work_on_what_init_made(void **state)
{
	char words[] = "of the app";

	(void)state;
	for (int way = 0; way < 2; way++) {
		sl_template *template =
			template_of(way == 0 ? ALONE : SUPERVISED, init_counts, work_tells, words);

		clones_told(template);
		clones_told(template); /* it can be asked again */
		assert_int_equal(made_by_init, 0);
		sl_template_free(template);
	}
}

/* The app's is still to be written by the app, init()'s is not each clone's. */
static void test_what_was_not_flushed_is_written_once(void **state)
{
	const sl_work work = {init_counts, work_tells, (char[]){"of the app"}};
	sl_stdio stdio = {.in = {SL_STREAM_NULL, -1}, .out = {SL_STREAM_PIPE, -1}};
	sl_policy *policy = policy_of(ALONE);
	char text[64] = "";
	sl_template *template;
	int out;

	(void)state;
	printf("# not flushed before the fork\n");
	works(sl_template_create(policy, &work, &stdio, PATIENCE_MS, &template, &error));
	out = sl_sandbox_stream(sl_template_sandbox(template), 1);
	clones_told(template);
	sl_template_free(template);
	assert_true(read(out, text, sizeof(text) - 1) > 0);
	assert_string_equal(text, "init's own\n");
	assert_int_equal(read(out, text, sizeof(text)), 0);
	close(out);
	sl_policy_free(policy);
}

static int work_writes(void *context, unsigned index)
{
	static char line[1000];

	memset(line, 'a' + (int)index % 26, sizeof(line));
	for (size_t written = 0; written < *(size_t *)context; written += sizeof(line))
		if (fwrite(line, 1, sizeof(line), stdout) != sizeof(line))
			return 1;
	return 0;
}

static void test_an_output_is_larger_than_a_pipe(void **state)
{
	size_t size = 3 * 1000 * 1000;
	sl_template *template = template_of(ALONE, NULL, work_writes, &size);

	(void)state;
	works(sl_template_fork(template, 5, size + 1, PATIENCE_MS, clones, &error));
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(clones[i].out_size, size);
		assert_int_equal(clones[i].out[size - 1], 'a' + (int)i);
		assert_int_equal(clones[i].cut, 0);
		assert_int_equal(clones[i].status.code, 0);
	}
	sl_clones_clear(clones, 5);
	works(sl_template_fork(template, 5, 10, PATIENCE_MS, clones, &error));
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(clones[i].out_size, 10);
		assert_int_equal(clones[i].cut, 1);
		assert_int_equal(clones[i].status.code, 0);
	}
	sl_clones_clear(clones, 5);
	sl_template_free(template);
}

static void test_a_template_may_have_a_name(void **state)
{
	size_t size = 10;
	sl_template *template = template_of(POLICY("fs-system", "", "name", text_of("box%d", getpid())), NULL,
	                                    work_writes, &size);

	(void)state;
	works(sl_template_fork(template, 1, 0, PATIENCE_MS, clones, &error));
	assert_true(clones[0].out_size > 0);
	sl_clones_clear(clones, 1);
	sl_template_free(template);
}

static void test_reduce_has_the_outputs_in_order(void **state)
{
	static const char *const cat[] = {"/bin/cat", NULL};
	size_t size = 100000;
	sl_template *template = template_of(ALONE, NULL, work_writes, &size);
	sl_policy *policy = policy_of(ALONE);
	sl_result result = {.limit = 4 * MIB};

	(void)state;
	works(sl_template_fork(template, 26, 0, PATIENCE_MS, clones, &error));
	sl_template_free(template);
	works(sl_reduce(policy, cat, clones, 26, &result, &error));
	assert_int_equal(result.out_size, 26 * size);
	for (size_t i = 0; i < 26 * size; i += 500)
		assert_int_equal(result.out[i], 'a' + (int)(i / size));
	sl_result_clear(&result);
	sl_clones_clear(clones, 26);
	works(sl_reduce(policy, cat, NULL, 0, &result, &error));
	assert_int_equal(result.out_size, 0);
	sl_result_clear(&result);
	sl_policy_free(policy);
}

/* ---- a thousand ---- */

static void thousand_with(rlim_t descriptors, const char *const keys[])
{
	struct rlimit limit, before;
	size_t size = 1000;
	sl_template *template;

	getrlimit(RLIMIT_NOFILE, &before);
	limit = (struct rlimit){descriptors, before.rlim_max};
	template = template_of(keys, NULL, work_writes, &size);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	works(sl_template_fork(template, MANY, 0, PATIENCE_MS, clones, &error));
	setrlimit(RLIMIT_NOFILE, &before);
	for (unsigned i = 0; i < MANY; i++) {
		assert_int_equal(clones[i].status.code, 0);
		assert_int_equal(clones[i].out_size, size);
		assert_int_equal(clones[i].out[0], 'a' + (int)i % 26);
	}
	sl_clones_clear(clones, MANY);
	sl_template_free(template);
}

static void test_a_thousand_clones_need_few_descriptors(void **state)
{
	(void)state;
	thousand_with(1024, ALONE);
	thousand_with(32, SUPERVISED);
}

/* ---- the walls ---- */

static int work_opens(void *context, unsigned index)
{
	int fd = open(context, O_RDONLY | O_CLOEXEC);

	(void)index;
	return fd < 0 ? errno : (close(fd), 0);
}

static int code_of_one(const char *const keys[], int (*work)(void *, unsigned), void *context)
{
	sl_template *template = template_of(keys, NULL, work, context);
	int code;

	works(sl_template_fork(template, 1, 0, PATIENCE_MS, clones, &error));
	code = clones[0].status.code;
	sl_clones_clear(clones, 1);
	sl_template_free(template);
	return code;
}

static void test_a_clone_reads_what_is_granted_and_no_more(void **state)
{
	char file[] = "/etc/passwd";

	(void)state;
	assert_int_equal(work_opens(file, 0), 0); /* bare */
	assert_int_equal(code_of_one(POLICY("fs-read", "/usr"), work_opens, file), EACCES);
	assert_int_equal(code_of_one(POLICY("fs-read", "/etc"), work_opens, file), 0);
}

static int work_connects(void *context, unsigned index)
{
	(void)index;
	return tcp_try(AF_INET, *(uint16_t *)context);
}

/* Several at once: the one listener covers them all. */
static void test_the_supervisor_covers_the_clones(void **state)
{
	sl_template *template;

	(void)state;
	assert_int_equal(work_connects(&port, 0), 0);
	assert_int_equal(work_connects(&other_port, 0), 0);
	template = template_of(SUPERVISED, NULL, work_connects, &port);
	works(sl_template_fork(template, CLONES, 0, PATIENCE_MS, clones, &error));
	for (unsigned i = 0; i < CLONES; i++)
		assert_int_equal(clones[i].status.code, 0);
	sl_clones_clear(clones, CLONES);
	sl_template_free(template);
	template = template_of(SUPERVISED, NULL, work_connects, &other_port);
	works(sl_template_fork(template, CLONES, 0, PATIENCE_MS, clones, &error));
	for (unsigned i = 0; i < CLONES; i++)
		assert_int_equal(clones[i].status.code, EACCES);
	sl_clones_clear(clones, CLONES);
	sl_template_free(template);
	assert_int_equal(
		code_of_one(POLICY("net-allow", rule_for(AF_INET, other_port)), work_connects, &other_port),
		0);
}

static int work_signals_out(void *context, unsigned index)
{
	(void)index;
	return kill(*(pid_t *)context, 0) < 0 ? errno : 0;
}

static void test_a_clone_does_not_reach_the_app(void **state)
{
	pid_t app = getpid();

	(void)state;
	assert_int_equal(work_signals_out(&app, 0), 0);
	assert_int_equal(code_of_one(ALONE, work_signals_out, &app), EPERM);
}

static int work_descriptors(void *context, unsigned index)
{
	int count = 0;

	(void)context, (void)index;
	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static int init_one_descriptor(void *context)
{
	(void)context;
	return open("/dev/null", O_RDONLY) < 0;
}

static void test_a_clone_has_its_three_descriptors_and_those_of_init(void **state)
{
	int stray = open("/dev/null", O_RDONLY);
	sl_template *template;

	(void)state;
	assert_int_equal(code_of_one(SUPERVISED, work_descriptors, NULL), 3);
	template = template_of(SUPERVISED, init_one_descriptor, work_descriptors, NULL);
	works(sl_template_fork(template, 3, 0, PATIENCE_MS, clones, &error));
	for (int i = 0; i < 3; i++)
		assert_int_equal(clones[i].status.code, 4);
	sl_clones_clear(clones, 3);
	sl_template_free(template);
	close(stray);
}

static int work_environment(void *context, unsigned index)
{
	(void)context, (void)index;
	return getenv("SLUICE_TEST_SET") != NULL && getenv("SLUICE_TEST_KEPT") == NULL ? 7 : 8;
}

static void test_the_policy_says_what_environment_it_has(void **state)
{
	(void)state;
	setenv("SLUICE_TEST_KEPT", "1", 1);
	assert_int_equal(
		code_of_one(POLICY("clean-env", "", "env", "SLUICE_TEST_SET=1"), work_environment, NULL), 7);
	assert_int_equal(code_of_one(POLICY("env", "SLUICE_TEST_SET=1"), work_environment, NULL), 8);
	unsetenv("SLUICE_TEST_KEPT");
}

/* ---- clones that go wrong ---- */

static int work_goes_wrong(void *context, unsigned index)
{
	(void)context;
	switch (index) {
	case 0:
		raise(SIGSEGV);
		return 0;
	case 1:
		fclose(stdout);
		close(1);
		usleep(50000);
		return 3;
	case 2:
		printf("partly");
		fflush(stdout);
		return raise(SIGKILL);
	case 3:
		printf("exit");
		exit(5);
	default:
		printf("well");
		return 0;
	}
}

static void test_a_clone_that_fails_is_a_status(void **state)
{
	sl_template *template = template_of(ALONE, NULL, work_goes_wrong, NULL);

	(void)state;
	works(sl_template_fork(template, 5, 0, PATIENCE_MS, clones, &error));
	assert_int_equal(clones[0].status.signal, SIGSEGV);
	assert_int_equal(clones[1].status.code, 3);
	assert_int_equal(clones[1].out_size, 0);
	assert_int_equal(clones[2].status.signal, SIGKILL);
	assert_string_equal(clones[2].out, "partly");
	assert_int_equal(clones[3].status.code, 5);
	assert_string_equal(clones[3].out, "exit");
	assert_string_equal(clones[4].out, "well");
	sl_clones_clear(clones, 5);
	sl_template_free(template);
}

/* Into a session of its own, without its parent, with the clone's stdout, on which it never rests. */
static int work_leaves_a_daemon(void *context, unsigned index)
{
	static char line[4096];

	(void)context, (void)index;
	if (fork() == 0) {
		setsid();
		signal(SIGPIPE, SIG_IGN);
		if (fork() == 0) {
			atomic_store(&shared->daemon, getpid());
			for (;;)
				if (write(1, line, sizeof(line)) < 0)
					usleep(1000);
		}
		_exit(0);
	}
	while (atomic_load(&shared->daemon) == 0)
		usleep(1000);
	return 0;
}

static void test_a_daemon_is_not_waited_for_and_dies_with_the_template(void **state)
{
	sl_template *template = template_of(ALONE, NULL, work_leaves_a_daemon, NULL);
	double start = seconds_now();
	pid_t daemon;

	(void)state;
	atomic_store(&shared->daemon, 0);
	works(sl_template_fork(template, 1, 1000, PATIENCE_MS, clones, &error));
	assert_true(seconds_now() - start < 20);
	assert_int_equal(clones[0].status.code, 0);
	sl_clones_clear(clones, 1);
	daemon = atomic_load(&shared->daemon);
	assert_int_equal(kill(daemon, 0), 0); /* else this shows nothing */
	sl_template_free(template);
	assert_true(dies(daemon));
}

static int work_kills_the_template(void *context, unsigned index)
{
	(void)context;
	if (index == 3)
		kill(getppid(), SIGKILL);
	pause();
	return 0;
}

static void test_a_clone_that_kills_its_template_ends_the_call(void **state)
{
	sl_template *template = template_of(SUPERVISED, NULL, work_kills_the_template, NULL);
	sl_status status;

	(void)state;
	assert_int_equal(sl_template_fork(template, 10, 0, PATIENCE_MS, clones, &error), -ECHILD);
	sl_clones_clear(clones, 10);
	assert_int_equal(sl_template_fork(template, 1, 0, PATIENCE_MS, clones, &error), -ECHILD);
	works(sl_wait(sl_template_sandbox(template), 10000, &status, &error));
	assert_int_equal(status.signal, SIGKILL);
	sl_template_free(template);
}

static int work_never_ends(void *context, unsigned index)
{
	(void)context;
	if (index == 0)
		return 4;
	for (;;) {
		atomic_fetch_add(&shared->ticks, 1);
		usleep(1000);
	}
}

static void test_the_time_for_the_clones_is_limited(void **state)
{
	sl_template *template = template_of(ALONE, NULL, work_never_ends, NULL);
	double start = seconds_now();

	(void)state;
	assert_int_equal(sl_template_fork(template, 4, 0, 300, clones, &error), -ETIMEDOUT);
	assert_true(seconds_now() - start < 10);
	assert_int_equal(clones[0].status.code, 4);
	for (int i = 1; i < 4; i++)
		assert_int_equal(clones[i].status.reason, SL_REASON_TIMEOUT);
	sl_clones_clear(clones, 4);
	sl_template_free(template);
}

static int work_floods(void *context, unsigned index)
{
	static char piece[65536];

	(void)context, (void)index;
	while (write(1, piece, sizeof(piece)) > 0)
		;
	return 0;
}

static void test_the_time_is_limited_for_a_flood_too(void **state)
{
	sl_template *template = template_of(ALONE, NULL, work_floods, NULL);

	(void)state;
	assert_int_equal(sl_template_fork(template, 4, 100, 300, clones, &error), -ETIMEDOUT);
	assert_int_equal(clones[0].out_size, 100);
	sl_clones_clear(clones, 4);
	sl_template_free(template);
}

/* ---- what is done to the tree reaches the clones ---- */

static void *forks(void *context)
{
	sl_error mine;
	static int r;

	r = sl_template_fork(context, 4, 0, PATIENCE_MS, clones, &mine);
	return &r;
}

static bool ticks(void)
{
	int before = atomic_load(&shared->ticks);

	usleep(100000);
	return atomic_load(&shared->ticks) != before;
}

static void test_pausing_and_killing_the_sandbox_reaches_the_clones(void **state)
{
	sl_template *template = template_of(SUPERVISED, NULL, work_never_ends, NULL);
	sl_sandbox *sandbox = sl_template_sandbox(template);
	pthread_t thread;
	void *r;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, forks, template), 0);
	for (double end = seconds_now() + 10; !ticks() && seconds_now() < end;)
		;
	assert_true(ticks());
	works(sl_pause(sandbox, &error));
	assert_false(ticks());
	works(sl_resume(sandbox, &error));
	assert_true(ticks());
	works(sl_freeze(sandbox, &error));
	assert_false(ticks());
	works(sl_thaw(sandbox, &error));
	assert_true(ticks());
	works(sl_kill(sandbox, &error));
	pthread_join(thread, &r);
	assert_int_equal(*(int *)r, -ECHILD);
	works(sl_wait(sandbox, 10000, NULL, &error));
	assert_false(ticks());
	sl_clones_clear(clones, 4);
	sl_template_free(template);
}

static void test_the_policys_timeout_reaches_the_clones(void **state)
{
	sl_template *template = template_of(POLICY("timeout", "1"), NULL, work_never_ends, NULL);
	sl_status status;

	(void)state;
	assert_int_equal(sl_template_fork(template, 4, 0, PATIENCE_MS, clones, &error), -ECHILD);
	works(sl_wait(sl_template_sandbox(template), 10000, &status, &error));
	assert_int_equal(status.reason, SL_REASON_TIMEOUT);
	assert_false(ticks());
	sl_clones_clear(clones, 4);
	sl_template_free(template);
}

static void test_the_apps_end_is_the_templates(void **state)
{
	pid_t app = process_fork();

	(void)state;
	atomic_store(&shared->ready, 0);
	if (app == 0) {
		sl_template *template = template_of(SUPERVISED, NULL, work_nothing, NULL);

		atomic_store(&shared->ready, sl_sandbox_pid(sl_template_sandbox(template)));
		pause();
	}
	while (atomic_load(&shared->ready) == 0)
		usleep(1000);
	process_kill(app, SIGKILL);
	exit_of(app);
	assert_true(dies(atomic_load(&shared->ready)));
}

/* ---- init() ---- */

static int init_refuses(void *context)
{
	(void)context;
	return 12;
}

static int init_crashes(void *context)
{
	(void)context;
	return raise(SIGSEGV);
}

static int init_exits(void *context)
{
	(void)context;
	_exit(9);
}

static int init_hangs(void *context)
{
	(void)context;
	pause();
	return 0;
}

/* The app's socket: the only one there is. */
static int control_find(void)
{
	for (int fd = 3; fd < 100; fd++) {
		int type;
		socklen_t size = sizeof(type);

		if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0)
			return fd;
	}
	return -1;
}

static int init_closes_control(void *context)
{
	(void)context;
	close(control_find());
	pause();
	return 0;
}

static int init_says_nonsense(void *context)
{
	(void)context;
	return write(control_find(), "nonsense", 8) < 0;
}

static int create_with(int (*init)(void *), int timeout_ms)
{
	sl_work functions = {.init = init, .work = work_nothing};
	sl_policy *policy = policy_of(ALONE);
	sl_template *made = (sl_template *)&functions;
	int r = sl_template_create(policy, &functions, NULL, timeout_ms, &made, &error);

	assert_null(made);
	sl_policy_free(policy);
	return r;
}

static bool says(const char *words)
{
	if (strstr(error.message, words) != NULL)
		return true;
	fprintf(stderr, "# not \"%s\": %s\n", words, error.message);
	return false;
}

static void test_an_init_that_fails_leaves_nothing(void **state)
{
	(void)state;
	assert_int_equal(create_with(init_refuses, PATIENCE_MS), -ECANCELED);
	assert_true(says("12"));
	assert_int_equal(create_with(init_crashes, PATIENCE_MS), -ECHILD);
	assert_true(says("Segmentation"));
	assert_int_equal(create_with(init_exits, PATIENCE_MS), -ECHILD);
	assert_true(says("status 9"));
	assert_int_equal(create_with(init_hangs, 300), -ETIMEDOUT);
	assert_int_equal(create_with(init_says_nonsense, PATIENCE_MS), -EPROTO);
}

static void test_an_init_that_closes_the_socket_is_found_out(void **state)
{
	(void)state;
	assert_int_equal(create_with(init_closes_control, PATIENCE_MS), -EPROTO);
}

static void test_what_makes_no_sense_is_refused(void **state)
{
	sl_work nothing = {0}, work = {.work = work_nothing};
	sl_policy *policy = policy_of(ALONE);
	sl_template *made;
	sl_result result = {0};

	(void)state;
	assert_int_equal(sl_template_create(policy, &nothing, NULL, -1, &made, &error), -EINVAL);
	assert_int_equal(sl_template_create(NULL, &work, NULL, -1, &made, &error), -EINVAL);
	assert_int_equal(sl_template_create(policy, &work, NULL, -1, NULL, &error), -EINVAL);
	assert_int_equal(sl_template_fork(NULL, 1, 0, -1, clones, &error), -EINVAL);
	assert_int_equal(sl_reduce(policy, NULL, NULL, 1, &result, &error), -EINVAL);
	works(sl_template_create(policy, &work, NULL, -1, &made, &error));
	assert_int_equal(sl_template_fork(made, 1, 0, -1, NULL, &error), -EINVAL);
	works(sl_template_fork(made, 0, 0, -1, NULL, &error)); /* and has done no harm */
	sl_template_free(made);
	sl_template_free(NULL);
	sl_policy_free(policy);
}

/* ---- a template that lies ---- */

static void control_send(int control, const void *data, size_t size)
{
	if (write(control, data, size) < 0)
		_exit(1);
}

/* All is right about these two but the size. */
static void lie_short(int control)
{
	struct template_report report = {TEMPLATE_ENDED, 0, 0};

	control_send(control, &report, sizeof(report) - 1);
}

static void lie_long(int control)
{
	struct template_report report[2] = {{TEMPLATE_ENDED, 0, 0}};

	control_send(control, report, sizeof(*report) + 1);
}

static void lie_index(int control)
{
	struct template_report report = {TEMPLATE_ENDED, 4000000000u, 0};

	control_send(control, &report, sizeof(report));
}

static void lie_event(int control)
{
	struct template_report report = {77, 0, 0};

	control_send(control, &report, sizeof(report));
}

static void lie_ready(int control)
{
	struct template_report report = {TEMPLATE_READY, 0, 0};

	control_send(control, &report, sizeof(report));
}

/* Each is believed once. */
static void lie_twice(int control)
{
	struct template_report report = {TEMPLATE_ENDED, 1, 0};

	control_send(control, &report, sizeof(report));
	control_send(control, &report, sizeof(report));
}

static void lie_flood(int control)
{
	struct template_report report = {TEMPLATE_REFUSED, 0, 1};

	for (;; report.index++)
		control_send(control, &report, sizeof(report));
}

/* Descriptors that nobody asked for must not pile up in the app. */
static void lie_descriptors(int control)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} room = {0};
	struct template_report report = {77, 0, 0};
	struct iovec iov = {&report, sizeof(report)};
	struct msghdr message = {.msg_iov = &iov,
	                         .msg_iovlen = 1,
	                         .msg_control = room.bytes,
	                         .msg_controllen = sizeof(room.bytes)};
	struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
	int fd = 2;

	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(rights), &fd, sizeof(int));
	if (sendmsg(control, &message, 0) < 0)
		_exit(1);
}

/* Not a lie, but it does not answer either. */
static void lie_stopped(int control)
{
	(void)control;
	kill(getppid(), SIGSTOP);
}

static void lie_nothing(int control)
{
	(void)control;
}

static int lies_set_about(void *context)
{
	void (*lie)(int control) = *(void (**)(int))context;
	int control = control_find();

	if (fork() == 0) {
		signal(SIGPIPE, SIG_IGN);
		while (atomic_load(&shared->ready) == 0)
			usleep(1000);
		lie(control);
		atomic_store(&shared->told, 1);
		pause();
	}
	return 0;
}

static int work_waits(void *context, unsigned index)
{
	(void)context, (void)index;
	atomic_store(&shared->ready, 1);
	for (double end = seconds_now() + 20; atomic_load(&shared->told) == 0 && seconds_now() < end;)
		usleep(1000);
	return 0;
}

static void test_a_template_that_lies_fails_its_own_call_alone(void **state)
{
	static const struct {
		void (*lie)(int control);
		unsigned count;
		int timeout_ms, r;
	} lies[] = {
		{lie_nothing, 3, PATIENCE_MS, 0},           {lie_short, 1, PATIENCE_MS, -EPROTO},
		{lie_long, 1, PATIENCE_MS, -EPROTO},        {lie_index, 3, PATIENCE_MS, -EPROTO},
		{lie_event, 3, PATIENCE_MS, -EPROTO},       {lie_ready, 3, PATIENCE_MS, -EPROTO},
		{lie_twice, 3, PATIENCE_MS, -EPROTO},       {lie_flood, 3, PATIENCE_MS, -EPROTO},
		{lie_descriptors, 3, PATIENCE_MS, -EPROTO}, {lie_stopped, 3, 700, -ETIMEDOUT},
	};
	sl_template *honest = template_of(ALONE, NULL, work_nothing, NULL);

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		void (*lie)(int) = lies[i].lie;
		sl_template *template;

		atomic_store(&shared->ready, 0);
		atomic_store(&shared->told, 0);
		template = template_of(ALONE, lies_set_about, work_waits, &lie);
		assert_int_equal(
			sl_template_fork(template, lies[i].count, 0, lies[i].timeout_ms, clones, &error),
			lies[i].r);
		sl_clones_clear(clones, lies[i].count);
		if (lies[i].r < 0) /* it is not asked whether it wants to end */
			works(sl_wait(sl_template_sandbox(template), 10000, NULL, &error));
		sl_template_free(template);
	}
	works(sl_template_fork(honest, 3, 0, PATIENCE_MS, clones, &error));
	sl_clones_clear(clones, 3);
	sl_template_free(honest);
}

/* ---- the app it is forked from ---- */

static atomic_bool hammering;

static void *hammer(void *context)
{
	(void)context;
	while (atomic_load(&hammering)) {
		void *pieces[64];

		for (int i = 0; i < 64; i++)
			pieces[i] = malloc((size_t)i * 997 + 1);
		for (int i = 0; i < 64; i++)
			free(pieces[i]);
	}
	return NULL;
}

static int init_allocates(void *context)
{
	(void)context;
	for (size_t i = 0; i < 2000; i++)
		free(malloc(i * 61 + 1));
	return 0;
}

static int work_allocates(void *context, unsigned index)
{
	(void)index;
	return init_allocates(context);
}

/* In the main thread's arena, whose lock a fork that does not care would find taken. */
static void test_other_threads_may_hold_mallocs_lock(void **state)
{
	pthread_t threads[3];

	(void)state;
	mallopt(M_ARENA_MAX, 1);
	atomic_store(&hammering, true);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, hammer, NULL), 0);
	for (int i = 0; i < 25; i++) {
		sl_template *template = template_of(ALONE, init_allocates, work_allocates, NULL);

		works(sl_template_fork(template, 4, 0, PATIENCE_MS, clones, &error));
		sl_clones_clear(clones, 4);
		sl_template_free(template);
	}
	atomic_store(&hammering, false);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
}

static void test_an_app_with_an_io_uring_has_no_template(void **state)
{
	char parameters[120] = {0};
	int ring = (int)syscall(SYS_io_uring_setup, 1, parameters);

	(void)state;
	if (ring < 0)
		SKIP_BECAUSE("this kernel gives no io_uring");
	assert_int_equal(create_with(NULL, PATIENCE_MS), -EPERM);
	assert_true(says("io_uring"));
	close(ring);
	sl_template_free(template_of(ALONE, NULL, work_nothing, NULL));
}

/* Who ignores SIGCHLD has no zombies, and takes nothing away from the calls. */
static void test_an_app_may_ignore_its_children(void **state)
{
	sl_template *template;

	(void)state;
	signal(SIGCHLD, SIG_IGN);
	template = template_of(ALONE, NULL, work_nothing, NULL);
	works(sl_template_fork(template, 3, 0, PATIENCE_MS, clones, &error));
	for (int i = 0; i < 3; i++)
		assert_int_equal(clones[i].status.code, 0);
	sl_clones_clear(clones, 3);
	sl_template_free(template);
	signal(SIGCHLD, SIG_DFL);
}

static int group_begin(void **state)
{
	static int fds[2];

	(void)state;
	fds[0] = tcp_listener(AF_INET, &port);
	fds[1] = tcp_listener(AF_INET, &other_port);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return fds[0] < 0 || fds[1] < 0 || shared == MAP_FAILED;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLEAN_TEST(test_each_clone_runs_work_on_what_init_made),
		CLEAN_TEST(test_what_was_not_flushed_is_written_once),
		CLEAN_TEST(test_an_output_is_larger_than_a_pipe),
		CLEAN_TEST(test_a_template_may_have_a_name),
		CLEAN_TEST(test_reduce_has_the_outputs_in_order),
		CLEAN_TEST(test_a_thousand_clones_need_few_descriptors),
		CLEAN_TEST(test_a_clone_reads_what_is_granted_and_no_more),
		CLEAN_TEST(test_the_supervisor_covers_the_clones),
		CLEAN_TEST(test_a_clone_does_not_reach_the_app),
		CLEAN_TEST(test_a_clone_has_its_three_descriptors_and_those_of_init),
		CLEAN_TEST(test_the_policy_says_what_environment_it_has),
		CLEAN_TEST(test_a_clone_that_fails_is_a_status),
		CLEAN_TEST(test_a_daemon_is_not_waited_for_and_dies_with_the_template),
		CLEAN_TEST(test_a_clone_that_kills_its_template_ends_the_call),
		CLEAN_TEST(test_the_time_for_the_clones_is_limited),
		CLEAN_TEST(test_the_time_is_limited_for_a_flood_too),
		CLEAN_TEST(test_pausing_and_killing_the_sandbox_reaches_the_clones),
		CLEAN_TEST(test_the_policys_timeout_reaches_the_clones),
		CLEAN_TEST(test_the_apps_end_is_the_templates),
		CLEAN_TEST(test_an_init_that_fails_leaves_nothing),
		CLEAN_TEST(test_an_init_that_closes_the_socket_is_found_out),
		CLEAN_TEST(test_what_makes_no_sense_is_refused),
		CLEAN_TEST(test_a_template_that_lies_fails_its_own_call_alone),
		CLEAN_TEST(test_other_threads_may_hold_mallocs_lock),
		CLEAN_TEST(test_an_app_with_an_io_uring_has_no_template),
		CLEAN_TEST(test_an_app_may_ignore_its_children),
	};

	return cmocka_run_group_tests(tests, group_begin, NULL);
}
