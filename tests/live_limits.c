/* max-memory, max-processes and cpu as a user meets them: real programs, statuses, what the throttle does to job control.
 * How they are walked around, or not, is attack_limits.c.
 *
 * alone: what a share of the processors is shows only where nobody else wants them. */
#include "tests/common/common.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/fd.h"
#include "supervise/cputime.h"

enum { MIB = 1 << 20 };
static char self[4096], sluice[4096], unreadable[4096];

#define BASE "fs-system", "", "fs-read", self, "fs-read-if-exists", unreadable

/* ---- commands ---- */

static double cpu_of_this(void)
{
	struct timespec used;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

struct burnt {
	_Atomic int64_t us;
};

static void burn(struct burnt *burnt, double until)
{
	double before = cpu_of_this();

	while (seconds_now() < until)
		for (volatile int i = 0; i < 100000; i++)
			;
	burnt->us += (int64_t)((cpu_of_this() - before) * 1e6);
}

static void burn_short(struct burnt *burnt, double until, double each)
{
	while (seconds_now() < until) {
		if (fork() == 0) {
			burn(burnt, seconds_now() + each);
			_exit(0);
		}
		wait(NULL);
	}
}

struct burner {
	struct burnt *burnt;
	double until;
};

static void *burner_run(void *context)
{
	struct burner *burner = context;

	burn(burner->burnt, burner->until);
	printf("%lld\n", (long long)burner->burnt->us);
	fflush(stdout);
	_exit(0);
}

/* Beside a first thread that waits in vfork(2), where it takes no signal. */
static int burn_beside(struct burnt *burnt, double until)
{
	struct burner burner = {burnt, until};
	pthread_t thread;

	if (pthread_create(&thread, NULL, burner_run, &burner) != 0)
		return 1;
	if (vfork() == 0)
		for (;;)
			pause();
	return 2;
}

/* Tells the CPU time that all of it had, by its own clocks. */
static int burn_main(const char *how, const char *ms)
{
	double until = seconds_now() + atoi(ms) / 1000.0;
	struct burnt *burnt =
		mmap(NULL, sizeof(*burnt), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (strcmp(how, "vfork") == 0)
		return burn_beside(burnt, until);
	if (strcmp(how, "two") == 0 && fork() == 0) {
		burn(burnt, until);
		_exit(0);
	}
	if (strcmp(how, "daemon") == 0) {
		if (fork() == 0) {
			setsid();
			if (fork() == 0)
				burn(burnt, until);
			_exit(0);
		}
		usleep((useconds_t)atoi(ms) * 1000 + 300000);
	} else if (strcmp(how, "short") == 0) {
		burn_short(burnt, until, 0.02);
	} else if (strcmp(how, "forgotten") == 0) {
		signal(SIGCHLD, SIG_IGN);
		burn_short(burnt, until, 0.03);
	} else if (strcmp(how, "sparks") == 0) {
		signal(SIGCHLD, SIG_IGN);
		burn_short(burnt, until, 0.003);
	} else if (strcmp(how, "unreadable") == 0) {
		execl(unreadable, unreadable, "burn", "one", ms, NULL);
		return 1;
	} else {
		burn(burnt, until);
	}
	wait(NULL);
	printf("%lld\n", (long long)burnt->us);
	return 0;
}

/* ---- helpers ---- */

static int program_run(const char *const keys[], const char *const argv[], sl_result *result)
{
	sl_policy *policy = policy_of(keys);
	sl_error error;
	int r;

	*result = (sl_result){0};
	r = sl_run(policy, argv, result, &error);
	if (r < 0)
		fail_msg("%s: %s", argv[0], error.message);
	sl_policy_free(policy);
	return result->status.code;
}

static int burn_ms(void)
{
	return long_run() ? 3000 : 1500;
}

static double burnt_under(const char *how, const char *percent)
{
	const char *argv[] = {self, "burn", how, text_of("%d", burn_ms()), NULL};
	sl_result result;
	double seconds;

	assert_int_equal(percent == NULL
	                         ? program_run(POLICY(BASE), argv, &result)
	                         : program_run(POLICY(BASE, "cgroup", "none", "cpu", percent), argv, &result),
	                 0);
	seconds = atof(result.out) / 1e6;
	sl_result_clear(&result);
	return seconds;
}

/* ---- tests ---- */

/* The product without the kernel's event, as where an ordinary user may have none. */
static bool no_event;
void __real_cputime_open(struct cputime *cputime, struct tree *tree, pid_t command);
void __wrap_cputime_open(struct cputime *cputime, struct tree *tree, pid_t command);
void __wrap_cputime_open(struct cputime *cputime, struct tree *tree, pid_t command)
{
	__real_cputime_open(cputime, tree, command);
	if (no_event)
		fd_close(&cputime->event);
}

static bool events_are_to_be_had(void)
{
	struct cputime cputime;

	__real_cputime_open(&cputime, NULL, getpid());
	if (cputime.event < 0)
		return false;
	close(cputime.event);
	return true;
}

struct burning {
	const char *how;
	double slack;
};

static void shares_try(const struct burning *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		double bare = burnt_under(rows[i].how, NULL), span = burn_ms() / 1000.0;
		double few = burnt_under(rows[i].how, "20"), half = burnt_under(rows[i].how, "50");

		fprintf(stderr, "# %s: %.2f s without a limit, %.0f %% with 20, %.0f %% with 50\n",
		        rows[i].how, bare, 100 * few / span, 100 * half / span);
		if (few > (0.2 + rows[i].slack) * span || half > (0.5 + rows[i].slack) * span)
			fail_msg("%s: %.2f and %.2f of %.2f s", rows[i].how, few, half, span);
		/* On a busy machine it gets less than its share with no limit at all. */
		if (bare > 0.8 * span && (few < 0.1 * span || half < 0.2 * span))
			fail_msg("%s: %.2f s, and %.2f without a limit", rows[i].how, few, bare);
	}
}

/* What nobody waits for can only be estimated. */
static void the_share_is_kept_by_walking(void **state)
{
	static const struct burning rows[] = {{"one", 0.06},   {"two", 0.06},   {"daemon", 0.06},
	                                      {"vfork", 0.06}, {"short", 0.08}, {"forgotten", 0.25}};

	(void)state;
	no_event = true;
	shares_try(rows, sizeof(rows) / sizeof(rows[0]));
	no_event = false;
}

/* Two of them as well walk by walk: the event is lost for who executes what he may not read. */
static void the_share_is_kept_whatever_the_tree_does(void **state)
{
	char copy[3 * PATH_MAX + 64];
	static const struct burning rows[] = {{"one", 0.06},       {"two", 0.06},   {"daemon", 0.06},
	                                      {"vfork", 0.06},     {"short", 0.06}, {"forgotten", 0.06},
	                                      {"unreadable", 0.4}, {"sparks", 0.06}};

	(void)state;
	if (!events_are_to_be_had())
		SKIP_BECAUSE(
			"kernel.perf_event_paranoid: no event is to be had, and walking is another test");
	snprintf(copy, sizeof(copy), "cp %s %s && chmod 0111 %s", self, unreadable, unreadable);
	assert_int_equal(system(copy), 0);
	shares_try(rows, sizeof(rows) / sizeof(rows[0]));
}

static void an_idle_sandbox_costs_nothing(void **state)
{
	const char *argv[] = {"sleep", "3", NULL};
	struct rusage before, after;
	sl_result result;
	double used;

	(void)state;
	getrusage(RUSAGE_CHILDREN, &before);
	assert_int_equal(program_run(POLICY(BASE, "cpu", "10", "max-memory", "1G", "max-processes", "9"),
	                             argv, &result),
	                 0);
	sl_result_clear(&result);
	getrusage(RUSAGE_CHILDREN, &after);
	used = (double)(after.ru_utime.tv_sec + after.ru_stime.tv_sec - before.ru_utime.tv_sec -
	                before.ru_stime.tv_sec) +
	       (double)(after.ru_utime.tv_usec + after.ru_stime.tv_usec - before.ru_utime.tv_usec -
	                before.ru_stime.tv_usec) /
	               1e6;
	fprintf(stderr, "# start, 3 s of sleep, end: %.1f ms of CPU\n", used * 1000);
	assert_true(used < 0.03 * slowness());
}

static sl_sandbox *burner_start(const char *percent, pid_t *pid)
{
	const char *argv[] = {self, "burn", "one", "60000", NULL};
	sl_policy *policy = policy_of(POLICY(BASE, "cgroup", "none", "cpu", percent));
	sl_sandbox *sandbox;
	sl_error error;

	if (sl_spawn(policy, argv, NULL, &sandbox, &error) < 0)
		fail_msg("%s", error.message);
	sl_policy_free(policy);
	*pid = sl_sandbox_pid(sandbox);
	return sandbox;
}

/* How many of so many looks, a few milliseconds apart, find it stopped. */
static int stopped_of(pid_t pid, int looks)
{
	int stopped = 0;

	for (int i = 0; i < looks; i++, usleep(3000))
		stopped += process_state(pid) == 'T';
	return stopped;
}

static bool goes_on(pid_t pid)
{
	for (int i = 0; i < 2000; i++)
		if (stopped_of(pid, 1) == 0)
			return true;
	return false;
}

/* The throttle at work; on a busy machine it may have nothing to do. */
static void stops_wait(pid_t pid)
{
	for (int i = 0; i < 300 && stopped_of(pid, 1) == 0; i++)
		;
}

static void what_is_paused_stays_so_and_goes_on_afterwards(void **state)
{
	pid_t pid;
	sl_sandbox *sandbox = burner_start("10", &pid);

	(void)state;
	usleep(300000);
	for (int i = 0; i < 5; i++) {
		if (i % 2 == 0)
			stops_wait(pid);
		assert_int_equal(sl_pause(sandbox, NULL), 0);
		assert_int_equal(stopped_of(pid, 150), 150);
		assert_int_equal(sl_resume(sandbox, NULL), 0);
		assert_true(goes_on(pid));
	}
	assert_int_equal(sl_freeze(sandbox, NULL), 0);
	assert_int_equal(stopped_of(pid, 100), 100);
	assert_int_equal(sl_thaw(sandbox, NULL), 0);
	assert_true(goes_on(pid));
	sl_sandbox_free(sandbox);
}

/* In either half of a period. On a busy machine it may come while the keeper's own waits to be taken, and is one with it
 * then: signal(7). */
static void who_was_stopped_by_somebody_else_is_not_continued(void **state)
{
	int continued = 0;
	pid_t pid;
	sl_sandbox *sandbox = burner_start("10", &pid);

	(void)state;
	usleep(300000);
	for (int i = 0; i < 8; i++) {
		if (i % 2 == 0)
			stops_wait(pid);
		kill(pid, SIGSTOP);
		usleep(400000);
		continued += stopped_of(pid, 100) < 100;
		kill(pid, SIGCONT);
		assert_true(goes_on(pid));
	}
	sl_sandbox_free(sandbox);
	assert_in_range(continued, 0, 2);
}

static void the_throttle_does_not_stop_sluice_and_its_shell_sees_no_stop(void **state)
{
	pid_t child = process_fork();
	int status, stops = 0;

	(void)state;
	if (child == 0) {
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

		dup2(null, 1);
		execl(sluice, sluice, "run", "-s", "-r", self, "-c", "40", "--", self, "burn", "two", "1500",
		      NULL);
		_exit(126);
	}
	while (waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status))
		stops++;
	assert_int_equal(stops, 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void too_much_memory_ends_as_the_status_says(void **state)
{
	const char *argv[] = {"python3", "-c", "x = bytearray(300 << 20)\nprint(len(x))", NULL};
	pid_t child = process_fork();
	sl_result result;

	(void)state;
	if (child == 0) {
		execl(sluice, sluice, "run", "-s", "-m", "100M", "--", "python3", "-c", argv[2], NULL);
		_exit(126);
	}
	assert_int_equal(exit_of(child), 128 + SIGKILL);
	assert_int_equal(program_run(POLICY(BASE, "max-memory", "100M"), argv, &result), -1);
	assert_int_equal(result.status.signal, SIGKILL);
	assert_int_equal(result.status.reason, SL_REASON_MEMORY);
	sl_result_clear(&result);
	assert_int_equal(program_run(POLICY(BASE, "max-memory", "600M"), argv, &result), 0);
	assert_string_equal(result.out, "314572800\n");
	sl_result_clear(&result);
}

/* Runtimes that reserve far more than they use. */
static void runtimes_with_large_reservations_run(void **state)
{
	static const char *const programs[][4] = {
		{"/usr/bin/node", "-e", "console.log([1,2,3].map(x=>x*2).join())", NULL},
		{"/usr/bin/java", "-Xmx128m", "-version", NULL},
		{"/usr/local/go/bin/go", "version", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		sl_result bare, limited;

		if (access(programs[i][0], X_OK) < 0) {
			fprintf(stderr, "# not there: %s\n", programs[i][0]);
			continue;
		}
		program_run(POLICY(BASE, "fs-read", "/"), programs[i], &bare);
		program_run(POLICY(BASE, "fs-read", "/", "max-memory", "400M", "max-processes", "8"),
		            programs[i], &limited);
		if (bare.status.code != limited.status.code || limited.status.reason != SL_REASON_NONE ||
		    bare.out_size != limited.out_size || memcmp(bare.out, limited.out, bare.out_size) != 0)
			fail_msg("%s: %d and %d, %s", programs[i][0], bare.status.code, limited.status.code,
			         limited.err);
		sl_result_clear(&bare);
		sl_result_clear(&limited);
	}
}

static const char build[] =
	"set -e; mkdir -p \"$1\"; cd \"$1\"; i=0\n"
	"while [ $i -lt 12 ]; do echo \"#include <stdio.h>\n int f$i(int x) { return printf(\\\"%d\\\", x * $i); }\" "
	">f$i.c; i=$((i + 1)); done\n"
	"printf 'all: $(patsubst %%.c,%%.o,$(sort $(wildcard f*.c)))\\n\\tcat $^ > all\\n%%.o: %%.c\\n\\t@echo made; "
	"$(CC) -O2 -pipe -c $< -o $@\\n' >Makefile\n"
	"make -j2 >log; sort log >sorted; cksum <all; cksum <sorted";

static void a_parallel_build_comes_to_the_same(void **state)
{
	const char *const argv[] = {"sh", "-c", build, "sh", text_of("%s/tree", scratch()), NULL};
	sl_result bare, limited;
	const char *top = scratch();

	(void)state;
	program_run(POLICY(BASE, "fs-read", "/", "fs-write", top, "fs-write", "/tmp"), argv, &bare);
	assert_int_equal(bare.status.code, 0);
	assert_int_equal(system(text_of("rm -rf %s/tree", top)), 0);
	program_run(POLICY(BASE, "fs-read", "/", "fs-write", top, "fs-write", "/tmp", "max-memory", "400M",
	                   "max-processes", "16"),
	            argv, &limited);
	if (limited.status.code != 0)
		fail_msg("%d: %s", limited.status.code, limited.err);
	assert_string_equal(bare.out, limited.out);
	sl_result_clear(&bare);
	sl_result_clear(&limited);
}

static int attempt_nothing(void *context)
{
	(void)context;
	return 0;
}

static void in_place_they_are_refused(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		static const char *const keys[][2] = {
			{"max-memory", "1G"}, {"max-processes", "9"}, {"cpu", "50"}};
		sl_policy *policy = policy_of(POLICY(keys[i][0], keys[i][1]));
		sl_error error;

		assert_int_equal(sl_confine_self(policy, &error), -EINVAL);
		assert_non_null(strstr(error.message, keys[i][0]));
		sl_policy_free(policy);
	}
	assert_int_equal(attempt_confined(POLICY(), attempt_nothing, NULL), 0);
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_place_they_are_refused),
		cmocka_unit_test(too_much_memory_ends_as_the_status_says),
		cmocka_unit_test(runtimes_with_large_reservations_run),
		cmocka_unit_test(a_parallel_build_comes_to_the_same),
		cmocka_unit_test(the_share_is_kept_whatever_the_tree_does),
		cmocka_unit_test(the_share_is_kept_by_walking),
		cmocka_unit_test(an_idle_sandbox_costs_nothing),
		cmocka_unit_test(what_is_paused_stays_so_and_goes_on_afterwards),
		cmocka_unit_test(who_was_stopped_by_somebody_else_is_not_continued),
		cmocka_unit_test(the_throttle_does_not_stop_sluice_and_its_shell_sees_no_stop),
	};

	snprintf(unreadable, sizeof(unreadable), "%.4000s/unreadable", scratch());
	if (argc > 3 && strcmp(argv[1], "burn") == 0)
		return burn_main(argv[2], argv[3]);
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		return 1;
	snprintf(sluice, sizeof(sluice), "%s", getenv("SLUICE") != NULL ? getenv("SLUICE") : "build/sluice");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
