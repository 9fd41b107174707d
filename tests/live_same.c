/* The same answer: several hundred scenarios about sockets run bare, bare again, and confined by a policy that
 * allows every address but is decided by address, so that the supervisor carries out every connect, bind and send.
 * What they saw must be the same, line by line. Bare against bare shows that a scenario does not depend on luck.
 *
 * tests/same/ has the scenarios.
 *
 * alone: "nothing happened" is what did not happen within a while, and a busy machine may put it off.
 */
#include "tests/common/common.h"
#include "tests/same/same.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <ftw.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Every way there is, but always by a rule that has to be looked at. $DIR: where the scenarios run. */
static const char *const policy_keys[] = {
	/* clang-format off */
	"net-allow", "0.0.0.0/0",
	"net-allow", "[::/0]",
	"net-allow", "icmp://0.0.0.0/0",
	"net-allow", "icmp://[::/0]",
	"net-allow-bind", "0-65535",
	"net-allow-unix", "dgram:$DIR",
	"net-allow-unix", "dgram:@nobody-has-this-name",
	"fs-write", "$DIR",
	"fs-read", "/proc",
	"fs-read", "/usr",
	NULL,
	/* clang-format on */
};

/* What cannot be the same, and why. A row whose scenarios have become the same is a failure. */
enum who { ANYONE, ROOT, USER };
static const struct {
	const char *scenario; /* fnmatch(3) */
	enum who who;
	const char *reason;
} differences[] = {
	{"control: which filters are there", ANYONE, "the confined run is confined"},
	{"afterwards: MSG_ZEROCOPY on *", ANYONE,
         "the pages would be the supervisor's: SO_ZEROCOPY is refused"},
	{"sends on *: MSG_FASTOPEN", ANYONE,
         "a flag that connects; refused as where the kernel has it switched off"},
	{"unix stream: who is who, *", ANYONE,
         "SO_PEERCRED has the uid and gid of who called, and the supervisor's pid"},
	{"unix seqpacket: who is who, *", ANYONE,
         "SO_PEERCRED has the uid and gid of who called, and the supervisor's pid"},
	{"SCM_CREDENTIALS over *: our parent", ROOT, "the supervisor speaks for the caller alone"},
	{"SCM_CREDENTIALS over *: another uid", ROOT, "the supervisor speaks for the caller alone"},
	{"SCM_CREDENTIALS over *: another gid", ROOT, "the supervisor speaks for the caller alone"},
	{"SCM_CREDENTIALS over *: a pid that is nobody's", ROOT,
         "the supervisor speaks for the caller alone"},

	{"message on *: control of an unknown level", ANYONE, "what is not known cannot be judged"},
	{"control on *: an unknown type of IP", ANYONE, "what is not known cannot be judged"},
	{"control on *: an unknown type of IPV6", ANYONE, "what is not known cannot be judged"},
	{"control on [!u]*: an unknown type of UDP", ANYONE, "what is not known cannot be judged"},
	{"control on unix *: an unknown type of UDP", ANYONE, "what is not known cannot be judged"},
	{"control on *: IP_PROTOCOL", ANYONE, "what is not known cannot be judged"},
	{"control on *: IPV6_FLOWINFO", ANYONE, "a flow label can be a route"},
	{"control on [!u]*: SO_MARK 0", ROOT, "a mark can be a route"},
	{"control on udp?: SO_MARK 0", ROOT, "a mark can be a route"},
	{"control on unix *: SO_MARK 0", ANYONE, "a mark can be a route"},
	{"SCM_CREDENTIALS over *: ourselves, and a descriptor", ROOT,
         "the privilege that it takes would lift the limit of descriptors under way"},
	{"SCM_CREDENTIALS over *: ourselves*", USER, "only who is privileged can speak for the caller"},
	{"SCM_CREDENTIALS over *: nothing", USER, "only who is privileged can speak for the caller"},
	{"message on udp?: where the header is", ANYONE,
         "plain messages of one call go together, before the lengths are written back"},
	{"*: connect to an empty name of the whole length", ANYONE, "an abstract name that no rule names"},
	{"*: send* to an empty name of the whole length", ANYONE, "an abstract name that no rule names"},
	{"sendto on udp?: address at 1", ANYONE,
         "an address of size 0 gives the socket a port before it fails"},
	{"sendto on udp?: address at a kernel address", ANYONE,
         "an address of size 0 gives the socket a port before it fails"},
	{"sendto on udp?: address at a page without rights", ANYONE,
         "an address of size 0 gives the socket a port before it fails"},
	{"sendto on udp?: address at a page past its file", ANYONE,
         "an address of size 0 gives the socket a port before it fails"},
	{"sendto on udp?: address at one byte too near the end of a page", ANYONE,
         "an address of size 0 gives the socket a port before it fails"},
	{"udp: send* to AF_INET on an IPV6_V6ONLY socket, to none, to port 0", ANYONE,
         "port 0 is looked at before what the socket takes"},
	{"udp: send* to a mapped address on an IPV6_V6ONLY socket, to none, to port 0", ANYONE,
         "port 0 is looked at before what the socket takes"},
	{"unix *: connect to O_PATH in /proc/self/fd", ANYONE,
         "where a directory is granted: a descriptor does not say what it is below"},
	{"unix dgram: send* to O_PATH in /proc/self/fd", ANYONE,
         "where a directory is granted: a descriptor does not say what it is below"},
	{"bind: unix * to /proc/self/cwd", ANYONE, "who binds in the caller's place is another process"},
};

enum run { BARE, AGAIN, CONFINED, RUNS };
static const char *const run_names[RUNS] = {"bare", "bare again", "confined"};
enum { SCENARIO_SECONDS = 10, DEATHS_MAX = 6, SCENARIOS_MAX = 3000, DIRECTORY_SIZE = 256 };

static struct {
	struct scenario list[SCENARIOS_MAX];
	size_t count;
	struct trace *traces[RUNS];
	char directory[DIRECTORY_SIZE];
	int ended[RUNS];
	bool own_network; /* each run has one */
} same;

/* ---- the list ---- */

static void scenario_put(const char *reason, scenario_fn run, const int *with, const char *name, va_list args)
{
	struct scenario *scenario = &same.list[same.count++];

	assert_true(same.count < SCENARIOS_MAX);
	vsnprintf(scenario->name, sizeof(scenario->name), name, args);
	scenario->run = run;
	scenario->skip = reason;
	memcpy(scenario->with, with, sizeof(scenario->with));
}

void scenario_add(scenario_fn run, const int *with, const char *name, ...)
{
	va_list args;

	va_start(args, name);
	scenario_put(NULL, run, with, name, args);
	va_end(args);
}

void scenario_add_unless(const char *reason, scenario_fn run, const int *with, const char *name, ...)
{
	va_list args;

	va_start(args, name);
	scenario_put(reason, run, with, name, args);
	va_end(args);
}

static void control_filters(const int *with)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[128];

	(void)with;
	NEED(file != NULL);
	while (fgets(line, sizeof(line), file) != NULL)
		if (strncmp(line, "Seccomp:", 8) == 0)
			note("%.20s", line);
	fclose(file);
}

/* How many each part has goes to stderr. */
static void scenarios_collect(void)
{
	static const struct {
		const char *name;
		void (*add)(void);
	} parts[] = {
		{"arguments", scenarios_of_arguments}, {"connect", scenarios_of_connect},
		{"datagrams", scenarios_of_datagrams}, {"messages", scenarios_of_messages},
		{"streams", scenarios_of_streams},     {"unix", scenarios_of_unix},
		{"bind", scenarios_of_bind},           {"aftermath", scenarios_of_aftermath},
	};

	scenario_add(control_filters, WITH(0), "control: which filters are there");
	for (size_t i = 0; i < COUNT_OF(parts); i++) {
		size_t before = same.count;

		parts[i].add();
		fprintf(stderr, "# %4zu %s\n", same.count - before, parts[i].name);
	}
	fprintf(stderr, "# %zu scenarios\n", same.count);
}

/* ---- a network of its own ---- */

/* What a user namespace gives is more than an ordinary user has. */
static bool capabilities_drop(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {{0}};

	return syscall(SYS_capset, &header, none) == 0;
}

/* Half of it done is a failure of the run, since the other runs may have all of it. */
static bool network_enter(void)
{
	return network_own() && (getuid() == 0 || capabilities_drop());
}

static bool network_can_be_own(void)
{
	pid_t child = process_fork();

	if (child == 0)
		_exit(network_enter() ? 0 : 1);
	return exit_of(child) == 0;
}

const char *pings_missing(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_ICMP);

	if (same.own_network)
		return NULL;
	if (fd < 0)
		return "no network of its own, and ping_group_range leaves this user without ping sockets";
	close(fd);
	return NULL;
}

/* ---- one run ---- */

/* SIGKILL, because nothing else ends a call that the supervisor has received. */
static void watchdog_start(void)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
	struct itimerspec limit = {.it_value = {SCENARIO_SECONDS, 0}};
	timer_t timer;

	if (timer_create(CLOCK_MONOTONIC, &event, &timer) < 0 || timer_settime(timer, 0, &limit, NULL) < 0)
		_exit(98);
}

static void scenario_play(const struct scenario *scenario, struct trace *trace, const char *directory)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	umask(022);
	trace_begin(trace, directory);
	if (mkdir(directory, 0755) < 0 || chdir(directory) < 0)
		_exit(97);
	watchdog_start();
	scenario->run(scenario->with);
	_exit(0);
}

/* Whether it died. */
static bool scenario_run(const struct scenario *scenario, struct trace *trace, const char *directory)
{
	pid_t child = fork();
	int status;

	if (child == 0)
		scenario_play(scenario, trace, directory);
	if (child < 0 || waitpid(child, &status, 0) != child)
		_exit(96);
	trace_begin(trace, directory);
	if (WIFSIGNALED(status))
		note("died of signal %d", WTERMSIG(status));
	else if (WEXITSTATUS(status) > 1)
		note("exit status %d", WEXITSTATUS(status));
	else
		trace->ended = WEXITSTATUS(status) == 0;
	return WIFSIGNALED(status);
}

static void crashes_default(void)
{
	static const int crashes[] = {SIGSEGV, SIGILL, SIGBUS, SIGFPE, SIGSYS, SIGABRT};

	for (size_t i = 0; i < COUNT_OF(crashes); i++)
		signal(crashes[i], SIG_DFL);
}

static void run_play(enum run run, const sl_policy *policy)
{
	char directory[DIRECTORY_SIZE + 32];
	sl_error error;
	int deaths = 0;

	crashes_default();
	if (same.own_network && !network_enter())
		_exit(95);
	if (policy != NULL && sl_confine_self(policy, &error) < 0) {
		fprintf(stderr, "# not confined: %s\n", error.message);
		_exit(1);
	}
	for (size_t i = 0; i < same.count && deaths < DEATHS_MAX; i++) {
		snprintf(directory, sizeof(directory), "%s/%c%zu", same.directory, "bac"[run], i);
		if (same.list[i].skip == NULL)
			deaths += scenario_run(&same.list[i], &same.traces[run][i], directory);
	}
	_exit(0);
}

/* At the same time where they cannot disturb each other. */
static void runs_all(const sl_policy *policy)
{
	double start = seconds_now();
	pid_t children[RUNS];

	for (enum run run = BARE; run < RUNS; run++) {
		if ((children[run] = process_fork()) == 0)
			run_play(run, run == CONFINED ? policy : NULL);
		if (!same.own_network)
			same.ended[run] = exit_of(children[run]);
	}
	for (enum run run = BARE; same.own_network && run < RUNS; run++)
		same.ended[run] = exit_of(children[run]);
	fprintf(stderr, "# %.1f s\n", seconds_now() - start);
}

static sl_policy *policy_make(void)
{
	const char *keys[COUNT_OF(policy_keys)];

	for (size_t i = 0; i < COUNT_OF(policy_keys); i++) {
		const char *mark = policy_keys[i] == NULL ? NULL : strstr(policy_keys[i], "$DIR");

		keys[i] = policy_keys[i];
		if (mark != NULL)
			keys[i] = text_of("%.*s%s", (int)(mark - policy_keys[i]), policy_keys[i],
			                  same.directory);
	}
	return policy_of(keys);
}

/* Only the tests below have something to compare when all runs went through. */
static int runs_play(void **state)
{
	sl_policy *policy;

	(void)state;
	snprintf(same.directory, sizeof(same.directory), "%s/same.XXXXXX", scratch());
	if (mkdtemp(same.directory) == NULL)
		return -1;
	policy = policy_make();
	runs_all(policy);
	sl_policy_free(policy);
	return 0;
}

static int entry_remove(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	(void)status, (void)type, (void)walk;
	remove(path);
	return 0;
}

static int runs_clean(void **state)
{
	(void)state;
	return nftw(same.directory, entry_remove, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- compare ---- */

static bool row_is_ours(size_t row)
{
	return differences[row].who == ANYONE || (differences[row].who == ROOT) == (getuid() == 0);
}

static const char *difference_reason(const struct scenario *scenario)
{
	for (size_t i = 0; i < COUNT_OF(differences); i++)
		if (row_is_ours(i) && fnmatch(differences[i].scenario, scenario->name, 0) == 0)
			return differences[i].reason;
	return NULL;
}

/* The next line of a text, or NULL at its end. */
static const char *line_next(const char **text, size_t *length)
{
	const char *line = *text;

	if (*line == '\0')
		return NULL;
	*length = strcspn(line, "\n");
	*text += *length + (line[*length] == '\n');
	return line;
}

/* Lines that both have once, with a blank; else "-" the first and "+" the second. */
static void diff_print(const char *name, enum run first, enum run second, const char *a, const char *b)
{
	size_t a_length, b_length;
	const char *x, *y;

	fprintf(stderr, "# %s: - %s, + %s\n", name, run_names[first], run_names[second]);
	for (;;) {
		x = line_next(&a, &a_length);
		y = line_next(&b, &b_length);
		if (x == NULL && y == NULL)
			return;
		if (x != NULL && y != NULL && a_length == b_length && memcmp(x, y, a_length) == 0) {
			fprintf(stderr, "#     %.*s\n", (int)a_length, x);
			continue;
		}
		if (x != NULL)
			fprintf(stderr, "#   - %.*s\n", (int)a_length, x);
		if (y != NULL)
			fprintf(stderr, "#   + %.*s\n", (int)b_length, y);
	}
}

static bool runs_differ(size_t i, enum run first, enum run second)
{
	return strcmp(same.traces[first][i].text, same.traces[second][i].text) != 0;
}

static void diff_show(size_t i, enum run first, enum run second)
{
	diff_print(same.list[i].name, first, second, same.traces[first][i].text, same.traces[second][i].text);
}

static void scenario_is_the_same(void **state)
{
	size_t i = (size_t)((const struct scenario *)*state - same.list);
	const struct scenario *scenario = &same.list[i];
	const char *reason = difference_reason(scenario);

	if (scenario->skip != NULL) {
		fprintf(stderr, "# SKIP %s: %s\n", scenario->name, scenario->skip);
		skip();
	}
	if (!same.traces[BARE][i].ended)
		fail_msg("%s did not come to its end:\n%s", scenario->name, same.traces[BARE][i].text);
	/* The kernel may say either: a new port may be the one that was given back. */
	if (runs_differ(i, BARE, AGAIN)) {
		diff_show(i, BARE, AGAIN);
		fprintf(stderr, "# %s depends on luck\n", scenario->name);
		if (reason == NULL && !runs_differ(i, AGAIN, CONFINED))
			return;
	}
	if (runs_differ(i, BARE, CONFINED) && reason == NULL) {
		diff_show(i, BARE, CONFINED);
		fail_msg("%s", scenario->name);
	}
	if (!runs_differ(i, BARE, CONFINED) && reason != NULL)
		fail_msg("%s is listed as different (%s), and is the same", scenario->name, reason);
}

static void every_run_came_to_its_end(void **state)
{
	(void)state;
	for (enum run run = BARE; run < RUNS; run++)
		if (same.ended[run] != 0)
			fail_msg("%s: exit status %d", run_names[run], same.ended[run]);
}

static void every_difference_is_of_a_scenario(void **state)
{
	(void)state;
	for (size_t row = 0; row < COUNT_OF(differences); row++) {
		size_t hits = 0;

		for (size_t i = 0; i < same.count; i++)
			hits += fnmatch(differences[row].scenario, same.list[i].name, 0) == 0;
		if (hits == 0 && row_is_ours(row))
			fail_msg("no scenario is called %s", differences[row].scenario);
	}
}

int main(void)
{
	static struct CMUnitTest tests[SCENARIOS_MAX + 2] = {
		cmocka_unit_test(every_run_came_to_its_end),
		cmocka_unit_test(every_difference_is_of_a_scenario),
	};
	size_t size;

	same.own_network = network_can_be_own();
	scenarios_collect();
	size = same.count * sizeof(struct trace);
	for (enum run run = BARE; run < RUNS; run++)
		if ((same.traces[run] = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		                             -1, 0)) == MAP_FAILED)
			return 1;
	for (size_t i = 0; i < same.count; i++)
		tests[i + 2] = (struct CMUnitTest){.name = same.list[i].name,
		                                   .test_func = scenario_is_the_same,
		                                   .initial_state = &same.list[i]};
	return _cmocka_run_group_tests("same", tests, same.count + 2, runs_play, runs_clean);
}
