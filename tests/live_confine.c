/* sl_confine_self() in place: the program stays what it was but for the walls, the supervisor is not there as
 * far as it can tell, and a failure leaves it free and without leftovers. sluice.h holds the contract.
 *
 * Every attempt runs in a child; EXPECT makes the line that failed the child's result.
 */
#include "tests/common/common.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "confine/confine.h"

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

/* A served port, one that no policy grants, and who accepts at the first. */
static struct {
	uint16_t allowed, other;
	int allowed_fd, other_fd;
	pid_t acceptor;
} net;

static sl_error error;

#define SUPERVISED POLICY("net-allow", rule_for(AF_INET, net.allowed))
#define ALONE      POLICY("fs-read", "/usr")

static int confine(const char *const keys[])
{
	sl_policy *policy = sl_policy_new();
	int r = 0;

	error = (sl_error){0};
	for (size_t i = 0; r == 0 && keys[i] != NULL; i += 2)
		r = sl_policy_set(policy, keys[i], keys[i + 1], &error);
	if (r == 0)
		r = sl_confine_self(policy, &error);
	sl_policy_free(policy);
	return r;
}

static bool says(const char *word)
{
	if (strstr(error.message, word) != NULL)
		return true;
	fprintf(stderr, "# the message does not say \"%s\": %s\n", word, error.message);
	return false;
}

static bool poll_until(bool (*holds)(pid_t), pid_t process)
{
	for (double end = seconds_now() + 5; seconds_now() < end; usleep(2000))
		if (holds(process))
			return true;
	return false;
}

static bool process_ended(pid_t process)
{
	char state = process_state(process);

	return state == 0 || state == 'Z' || state == 'X';
}

/* No child of any kind: no supervisor, no helper, no zombie. */
static bool childless(void)
{
	return waitpid(-1, NULL, __WALL | WNOHANG) == -1 && errno == ECHILD;
}

static bool file_opens(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* What every wall would refuse. */
static int free_and_clean(void)
{
	EXPECT(file_opens("/etc/passwd"));
	EXPECT(tcp_try(AF_INET, net.other) == 0);
	EXPECT(childless());
	return 0;
}

/* ---- the program stays what it was ---- */

enum { SNAPSHOT_SIZE = 64 << 10, FDS_SEEN = 300 };

struct snapshot {
	size_t used;
	char text[SNAPSHOT_SIZE];
};

static void note(struct snapshot *to, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(struct snapshot *to, const char *format, ...)
{
	va_list args;
	int size;

	va_start(args, format);
	size = vsnprintf(to->text + to->used, SNAPSHOT_SIZE - to->used, format, args);
	va_end(args);
	if (size > 0 && (size_t)size < SNAPSHOT_SIZE - to->used)
		to->used += (size_t)size;
}

static void note_bytes(struct snapshot *to, const char *name, int index, const void *bytes, size_t size)
{
	const unsigned char *at = bytes;

	note(to, "%s %d ", name, index);
	for (size_t i = 0; i < size; i++)
		note(to, "%02x", at[i]);
	note(to, "\n");
}

static void note_descriptors(struct snapshot *to)
{
	for (int fd = 0; fd < FDS_SEEN; fd++) {
		char path[32], target[256];
		ssize_t size;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		if (fcntl(fd, F_GETFD) < 0)
			continue;
		size = readlink(path, target, sizeof(target) - 1);
		note(to, "fd %d %#x %#x %ld %.*s\n", fd, fcntl(fd, F_GETFD), fcntl(fd, F_GETFL),
		     (long)lseek(fd, 0, SEEK_CUR), (int)size, target);
	}
}

static void note_signals(struct snapshot *to)
{
	unsigned long mask = 0, pending = 0, action[4];
	stack_t stack;

	syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &mask, sizeof(mask));
	syscall(SYS_rt_sigpending, &pending, sizeof(pending));
	note(to, "mask %lx pending %lx\n", mask, pending);
	for (int number = 1; number <= 64; number++)
		if (syscall(SYS_rt_sigaction, number, NULL, action, sizeof(mask)) == 0)
			note_bytes(to, "signal", number, action, sizeof(action));
	sigaltstack(NULL, &stack);
	note(to, "stack %p %zu %d\n", stack.ss_sp, stack.ss_size, stack.ss_flags);
}

static void note_limits(struct snapshot *to)
{
	for (int which = 0; which < RLIMIT_NLIMITS; which++) {
		struct rlimit limit;

		getrlimit((__rlimit_resource_t)which, &limit);
		note(to, "limit %d %lu %lu\n", which, (unsigned long)limit.rlim_cur,
		     (unsigned long)limit.rlim_max);
	}
	/* Armed for 1000 seconds by identity_set_up(): in hundreds they have not changed. */
	for (int which = ITIMER_REAL; which <= ITIMER_PROF; which++) {
		struct itimerval timer;

		getitimer((__itimer_which_t)which, &timer);
		note(to, "timer %d %ld %ld\n", which, (long)timer.it_interval.tv_sec,
		     ((long)timer.it_value.tv_sec + 99) / 100);
	}
}

static void note_prctls(struct snapshot *to)
{
	static const int numbers[] = {PR_GET_DUMPABLE, PR_GET_KEEPCAPS, PR_GET_TIMERSLACK, PR_GET_SECUREBITS,
	                              PR_GET_THP_DISABLE};
	int value = 0;
	char name[17] = "";

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		note(to, "prctl %d %d\n", numbers[i], prctl(numbers[i], 0, 0, 0, 0));
	prctl(PR_GET_PDEATHSIG, &value);
	note(to, "pdeathsig %d\n", value);
	prctl(PR_GET_CHILD_SUBREAPER, &value);
	note(to, "subreaper %d\n", value);
	prctl(PR_GET_NAME, name);
	note(to, "name %s\n", name);
}

static void note_rest(struct snapshot *to)
{
	mode_t mask = umask(0);
	char directory[4096] = "";
	cpu_set_t cpus;

	umask(mask);
	CPU_ZERO(&cpus);
	sched_getaffinity(0, sizeof(cpus), &cpus);
	note(to, "umask %o cwd %s\n", mask, getcwd(directory, sizeof(directory)));
	note(to, "pid %d parent %d group %d session %d\n", getpid(), getppid(), getpgrp(), getsid(0));
	note(to, "ids %d %d %d %d nice %d policy %d\n", getuid(), geteuid(), getgid(), getegid(),
	     getpriority(PRIO_PROCESS, 0), sched_getscheduler(0));
	note_bytes(to, "cpus", 0, &cpus, 16);
	note(to, "environ %p\n", (void *)environ);
	for (char **at = environ; *at != NULL; at++)
		note(to, "%p %s\n", (void *)*at, *at);
}

static void snapshot_take(struct snapshot *to)
{
	to->used = 0;
	note_descriptors(to);
	note_signals(to);
	note_limits(to);
	note_prctls(to);
	note_rest(to);
}

static bool snapshots_same(const struct snapshot *before, const struct snapshot *after)
{
	const char *a = before->text, *b = after->text;

	if (strcmp(a, b) == 0)
		return true;
	while (*a != '\0' && *a == *b)
		a++, b++;
	while (a > before->text && a[-1] != '\n')
		a--, b--;
	fprintf(stderr, "# was: %.100s\n# is:  %.100s\n", a, b);
	return false;
}

static volatile sig_atomic_t signals_seen;

static void signal_count(int number)
{
	(void)number;
	signals_seen++;
}

/* Something unusual in every field, so that "reset to the default" is seen too. */
static void identity_set_up(void)
{
	static char stack[1 << 16];
	struct itimerval far = {{7, 0}, {1000, 0}};
	struct sigaction action = {.sa_handler = signal_count, .sa_flags = SA_RESTART | SA_ONSTACK};
	struct rlimit limit;
	sigset_t mask;

	sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof(stack)}, NULL);
	sigaddset(&action.sa_mask, SIGHUP);
	sigaction(SIGCHLD, &action, NULL);
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTTOU, SIG_IGN);
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	sigaddset(&mask, SIGTERM);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	raise(SIGUSR2);
	for (int which = ITIMER_REAL; which <= ITIMER_PROF; which++)
		setitimer((__itimer_which_t)which, &far, NULL);
	umask(027);
	setenv("SLUICE_TEST", "kept", 1);
	getrlimit(RLIMIT_STACK, &limit);
	limit.rlim_cur = 4 << 20;
	setrlimit(RLIMIT_STACK, &limit);
	prctl(PR_SET_NAME, "an app");
	if (chdir(scratch()) < 0)
		fprintf(stderr, "# %s: %s\n", scratch(), strerror(errno));
	dup2(2, 250);
	fcntl(2, F_DUPFD_CLOEXEC, 200);
	memfd_create("kept", 0);
}

static int identity_keep(void *context)
{
	static struct snapshot before, after;

	identity_set_up();
	snapshot_take(&before);
	EXPECT(confine(context) == 0);
	snapshot_take(&after);
	EXPECT(snapshots_same(&before, &after));
	EXPECT(signals_seen == 0);
	EXPECT(!file_opens("/etc/passwd"));
	return 0;
}

static void identity_stays_under_a_supervisor(void **state)
{
	(void)state;
	assert_int_equal(attempt_bare(identity_keep, (void *)SUPERVISED), 0);
}

static void identity_stays_without_one(void **state)
{
	(void)state;
	assert_int_equal(attempt_bare(identity_keep, (void *)ALONE), 0);
}

static int wait_alone(void *context)
{
	siginfo_t info = {0};

	(void)context;
	EXPECT(confine(SUPERVISED) == 0);
	EXPECT(wait(NULL) == -1 && errno == ECHILD);
	EXPECT(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
	EXPECT(waitpid(0, NULL, WNOHANG) == -1 && errno == ECHILD);
	EXPECT(waitpid(-1, NULL, WNOHANG | WUNTRACED | WCONTINUED) == -1 && errno == ECHILD);
	EXPECT(waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WCONTINUED | WNOHANG | WNOWAIT) == -1 &&
	       errno == ECHILD);
	EXPECT(waitid(P_PGID, (id_t)getpgrp(), &info, WEXITED | WNOHANG) == -1 && errno == ECHILD);
	return 0;
}

static void wait_has_no_child_to_wait_for(void **state)
{
	(void)state;
	assert_int_equal(attempt_bare(wait_alone, NULL), 0);
}

/* Three children: one that has ended, one that ends later, one made behind the walls. */
static int children_keep(void *context)
{
	struct sigaction action = {.sa_handler = signal_count, .sa_flags = SA_RESTART};
	int go[2];
	pid_t ended, running, later, found;
	char byte;

	(void)context;
	EXPECT(pipe(go) == 0);
	if ((ended = fork()) == 0)
		_exit(41);
	EXPECT(poll_until(process_ended, ended));
	if ((running = fork()) == 0) {
		close(go[1]);
		_exit(read(go[0], &byte, 1) == 0 && tcp_try(AF_INET, net.other) == 0 ? 42 : 1);
	}
	close(go[0]);
	sigaction(SIGCHLD, &action, NULL);
	EXPECT(confine(SUPERVISED) == 0);
	EXPECT(signals_seen == 0);
	EXPECT(waitpid(running, NULL, WNOHANG) == 0);
	EXPECT(exit_of(ended) == 41);
	if ((later = fork()) == 0)
		_exit(tcp_try(AF_INET, net.allowed) == 0 && tcp_try(AF_INET, net.other) == EACCES ? 43 : 1);
	EXPECT(exit_of(later) == 43);
	/* Nobody else holds the pipe: not the supervisor. */
	close(go[1]);
	EXPECT((found = wait(NULL)) == running);
	EXPECT(signals_seen == 2);
	EXPECT(wait(NULL) == -1 && errno == ECHILD);
	return 0;
}

static void children_can_still_be_waited_for(void **state)
{
	(void)state;
	assert_int_equal(attempt_bare(children_keep, NULL), 0);
}

static int subreaper_keep(void *context)
{
	pid_t child, orphan;
	int pair[2], byte = 0;

	(void)context;
	EXPECT(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0);
	EXPECT(confine(SUPERVISED) == 0);
	EXPECT(wait(NULL) == -1 && errno == ECHILD);
	EXPECT(pipe(pair) == 0);
	if ((child = fork()) == 0) {
		if ((orphan = fork()) == 0) {
			close(pair[1]);
			/* Until the one between has ended. */
			_exit(read(pair[0], &byte, 1) == 0 && tcp_try(AF_INET, net.allowed) == 0 ? 7 : 1);
		}
		_exit(orphan > 0 ? 6 : 1);
	}
	EXPECT(exit_of(child) == 6);
	close(pair[1]);
	EXPECT(wait(&byte) > 0 && WIFEXITED(byte) && WEXITSTATUS(byte) == 7);
	EXPECT(wait(NULL) == -1 && errno == ECHILD);
	return 0;
}

static void a_subreaper_adopts_no_supervisor(void **state)
{
	(void)state;
	assert_int_equal(attempt_bare(subreaper_keep, NULL), 0);
}

static int stdio_keep(void *context)
{
	const char *const *keys = context;
	bool fails = strcmp(keys[0], "fs-read") == 0 && keys[2] != NULL;
	FILE *file = tmpfile();
	char text[64] = "";
	size_t size;

	EXPECT(file != NULL);
	fputs("once ", file);
	EXPECT((confine(keys) == 0) == !fails);
	fputs("more", file);
	EXPECT(fflush(file) == 0);
	rewind(file);
	size = fread(text, 1, sizeof(text) - 1, file);
	EXPECT(size == 9 && strcmp(text, "once more") == 0);
	fclose(file);
	/* The heap: what is allocated before and after, given back in the other order. */
	for (int round = 0; round < 200; round++) {
		char *a = malloc((size_t)round * 997 + 1), *b = malloc(300 << 10);

		memset(a, round, (size_t)round * 997 + 1);
		memset(b, 1, 300 << 10);
		free(a);
		free(b);
	}
	return 0;
}

static void buffers_are_written_once(void **state)
{
	(void)state;
	assert_int_equal(attempt_bare(stdio_keep, (void *)SUPERVISED), 0);
	assert_int_equal(attempt_bare(stdio_keep, (void *)ALONE), 0);
	assert_int_equal(attempt_bare(stdio_keep, (void *)POLICY("fs-read", "/nowhere", "net-allow",
	                                                         "tcp://127.0.0.1:1")),
	                 0);
}

static int stdio_closed(void *context)
{
	pid_t child;

	(void)context;
	for (int fd = 0; fd < 3; fd++)
		close(fd);
	EXPECT(confine(SUPERVISED) == 0);
	for (int fd = 0; fd < 3; fd++)
		EXPECT(fcntl(fd, F_GETFD) == -1 && errno == EBADF);
	EXPECT(tcp_try(AF_INET, net.allowed) == 0);
	EXPECT(tcp_try(AF_INET, net.other) == EACCES);
	if ((child = fork()) == 0)
		_exit(tcp_try(AF_INET, net.allowed));
	EXPECT(exit_of(child) == 0);
	return 0;
}

static void works_without_stdio(void **state)
{
	(void)state;
	assert_int_equal(attempt_bare(stdio_closed, NULL), 0);
}

/* ---- twice, and one in another ---- */

/* The pre-flight looks into /proc, so that most of what follows keeps it readable. */
static int narrow_twice(void *context)
{
	(void)context;
	EXPECT(confine(POLICY("fs-read", "/usr", "fs-read", "/etc", "fs-read", "/proc", "net-allow",
	                      rule_for(AF_INET, net.allowed))) == 0);
	EXPECT(file_opens("/etc/passwd") && file_opens("/usr"));
	/* Any address inside narrows nothing: the outer table still answers. */
	EXPECT(confine(POLICY("fs-read", "/usr", "fs-read", "/proc", "net-allow", "tcp://*")) == 0);
	EXPECT(!file_opens("/etc/passwd") && file_opens("/usr"));
	EXPECT(tcp_try(AF_INET, net.allowed) == 0);
	EXPECT(tcp_try(AF_INET, net.other) == EACCES);
	/* A wider one widens nothing. */
	EXPECT(confine(POLICY("fs-read", "/", "net-allow", "tcp://*")) == 0);
	EXPECT(!file_opens("/etc/passwd"));
	EXPECT(tcp_try(AF_INET, net.allowed) == 0);
	EXPECT(confine(POLICY("fs-read", "/usr")) == 0);
	EXPECT(tcp_try(AF_INET, net.allowed) == EACCES);
	EXPECT(tcp_try(AF_INET, net.other) == EACCES);
	EXPECT(file_opens("/usr"));
	EXPECT(wait(NULL) == -1 && errno == ECHILD);
	return 0;
}

static void a_second_confinement_narrows(void **state)
{
	(void)state;
	assert_int_equal(attempt_bare(narrow_twice, NULL), 0);
}

/* A first policy that grants no /proc is the usual one. */
static int narrow_without_proc(void *context)
{
	EXPECT(confine(context) == 0);
	if (confine(POLICY("net-allow", "tcp://*")) < 0)
		fprintf(stderr, "# %s\n", error.message);
	EXPECT(error.code == 0);
	EXPECT(!file_opens("/usr"));
	return 0;
}

static void a_second_confinement_needs_no_grant_of_proc(void **state)
{
	(void)state;
	assert_int_equal(attempt_bare(narrow_without_proc, (void *)ALONE), 0);
	assert_int_equal(attempt_bare(narrow_without_proc, (void *)POLICY("fs-read", "/usr", "net-allow",
	                                                                  rule_for(AF_INET, net.allowed))),
	                 0);
}

static int narrow_alone(void *context)
{
	(void)context;
	EXPECT(confine(POLICY("fs-read", "/usr", "fs-read", "/etc", "fs-read", "/proc", "net-allow",
	                      text_of("tcp://:%u,%u", net.allowed, net.other))) == 0);
	EXPECT(tcp_try(AF_INET, net.other) == 0);
	EXPECT(confine(POLICY("fs-read", "/etc", "fs-read", "/proc", "net-allow",
	                      text_of("tcp://:%u", net.allowed))) == 0);
	EXPECT(file_opens("/etc/passwd") && !file_opens("/usr"));
	EXPECT(tcp_try(AF_INET, net.allowed) == 0);
	EXPECT(tcp_try(AF_INET, net.other) == EACCES);
	EXPECT(confine(POLICY("fs-read", "/etc")) == 0);
	EXPECT(tcp_try(AF_INET, net.allowed) == EACCES);
	return 0;
}

static void narrowing_by_port_needs_no_supervisor(void **state)
{
	(void)state;
	assert_int_equal(attempt_bare(narrow_alone, NULL), 0);
}

struct pair_of_policies {
	const char *const *outer, *const *inner;
};

static int second_refused(void *context)
{
	const struct pair_of_policies *policies = context;
	bool gate = policies->outer[0][0] == 'n';
	static struct snapshot before, after;

	EXPECT(confine(policies->outer) == 0);
	snapshot_take(&before);
	EXPECT(confine(policies->inner) == -EBUSY);
	EXPECT(error.code == -EBUSY && says("net-allow"));
	snapshot_take(&after);
	EXPECT(snapshots_same(&before, &after));
	EXPECT(wait(NULL) == -1 && errno == ECHILD);
	EXPECT(tcp_try(AF_INET, net.allowed) == (gate ? 0 : EACCES));
	EXPECT(tcp_try(AF_INET, net.other) == EACCES);
	return 0;
}

static int bind_try(uint16_t port)
{
	struct sockaddr_in address = {AF_INET, htons(port), {htonl(INADDR_LOOPBACK)}, {0}};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1, code;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	code = bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? errno : 0;
	close(fd);
	return code;
}

/* A supervisor that binds on behalf does it outside of the inner Landlock domain. */
static int bind_twice(void *context)
{
	EXPECT(confine(POLICY("net-allow", "udp://127.0.0.1:53", "net-allow-bind", "0,1024-65535")) == 0);
	EXPECT(bind_try(0) == 0);
	EXPECT(confine(POLICY("net-allow-bind", "tcp://2000")) == -EBUSY);
	EXPECT(confine(context) == 0);
	return bind_try(0);
}

static void a_second_confinement_narrows_what_may_be_bound(void **state)
{
	(void)state;
	assert_int_equal(attempt_bare(bind_twice, (void *)POLICY()), EACCES);
	assert_int_equal(attempt_bare(bind_twice, (void *)POLICY("net-allow-unix", "*")), EACCES);
	assert_int_equal(attempt_bare(bind_twice, (void *)POLICY("net-allow-bind", "tcp://*")), 0);
}

static void a_second_supervisor_is_refused(void **state)
{
	const char *const *by_address = SUPERVISED, *const *alone = ALONE;
	const char *const *by_port = POLICY("net-allow", text_of("tcp://:%u", net.allowed));
	struct pair_of_policies both = {by_address, by_address}, port = {by_address, by_port},
				late = {alone, by_address};

	(void)state;
	assert_int_equal(attempt_bare(second_refused, &both), 0);
	assert_int_equal(attempt_bare(second_refused, &port), 0);
	assert_int_equal(attempt_bare(second_refused, &late), 0);
}

/* `sluice run [options...] -- sluice run [options...] -- this program connect PORT...`; its status. */
static int run_nested(const char *const outer[], const char *const inner[], const char *const command[])
{
	const char *sluice = getenv("SLUICE"), *argv[64] = {sluice, "run", "-s", "-r", sluice, "-r"};
	static char self[4096];
	size_t count = 6;
	pid_t child;
	ssize_t size = readlink("/proc/self/exe", self, sizeof(self) - 1);

	self[size < 0 ? 0 : size] = '\0';
	argv[count++] = self;
	for (size_t i = 0; outer[i] != NULL; i++)
		argv[count++] = outer[i];
	argv[count++] = "--";
	argv[count++] = sluice;
	argv[count++] = "run";
	argv[count++] = "-s";
	argv[count++] = "-r";
	argv[count++] = self;
	for (size_t i = 0; inner[i] != NULL; i++)
		argv[count++] = inner[i];
	argv[count++] = "--";
	argv[count++] = self;
	for (size_t i = 0; command[i] != NULL; i++)
		argv[count++] = command[i];
	fflush(NULL);
	if ((child = fork()) == 0) {
		execv(sluice, (char *const *)argv);
		_exit(99);
	}
	return exit_of(child);
}

static void run_nests_in_run(void **state)
{
	const char *const *none = POLICY("-r", "/usr"), *const *any = POLICY("--net-allow", "tcp://*");
	const char *const *gate = POLICY("--net-allow", rule_for(AF_INET, net.allowed));
	const char *const *to_allowed = POLICY("connect", text_of("%u", net.allowed));
	const char *const *to_other = POLICY("connect", text_of("%u", net.other));

	(void)state;
	if (getenv("SLUICE") == NULL || access(getenv("SLUICE"), X_OK) < 0)
		SKIP_BECAUSE("SLUICE does not name the command");
	/* The client's own status is its errno. */
	assert_int_equal(run_nested(gate, any, to_allowed), 0);
	assert_int_equal(run_nested(gate, any, to_other), EACCES);
	assert_int_equal(run_nested(gate, none, to_allowed), EACCES);
	assert_int_equal(run_nested(any, any, to_other), 0);
	assert_int_equal(run_nested(any, none, to_other), EACCES);
	assert_int_equal(run_nested(none, any, to_other), EACCES);
	assert_int_equal(run_nested(gate, gate, to_allowed), 125);
	assert_int_equal(run_nested(none, gate, to_allowed), 125);
	accept_all(net.other_fd);
}

static int policy_freeze(void *context)
{
	sl_policy *policy = sl_policy_new(), *copy;

	(void)context;
	EXPECT(sl_policy_set(policy, "fs-read", "/proc", &error) == 0);
	EXPECT(sl_confine_self(policy, &error) == 0);
	EXPECT(sl_policy_set(policy, "fs-read", "/etc", &error) == -EBUSY);
	EXPECT(error.code == -EBUSY && error.message[0] != '\0');
	copy = sl_policy_copy(policy);
	EXPECT(copy != NULL && sl_policy_set(copy, "deny-syscall", "getppid", &error) == 0);
	EXPECT(getppid() > 0);
	EXPECT(sl_confine_self(copy, &error) == 0);
	EXPECT(syscall(SYS_getppid) == -1 && errno == EPERM);
	EXPECT(sl_policy_set(copy, "fs-read", "/etc", NULL) == -EBUSY);
	sl_policy_free(policy);
	sl_policy_free(copy);
	return 0;
}

static void a_used_policy_is_frozen_and_its_copy_is_not(void **state)
{
	(void)state;
	assert_int_equal(attempt_bare(policy_freeze, NULL), 0);
}

/* ---- what must be refused, and leaves the program free ---- */

static int failed_cleanly(const char *const keys[], int code, const char *word)
{
	static struct snapshot before, after;
	int r;

	snapshot_take(&before);
	r = confine(keys);
	if (r != code)
		fprintf(stderr, "# %d: %s\n", r, r < 0 ? error.message : "confined");
	EXPECT(r == code && error.code == code);
	EXPECT(says(word));
	snapshot_take(&after);
	EXPECT(snapshots_same(&before, &after));
	return free_and_clean();
}

static int path_missing(void *context)
{
	const char *const *keys = context;

	return failed_cleanly(keys, -ENOENT, "/nowhere/at all");
}

static void a_missing_path_is_named_and_nothing_is_confined(void **state)
{
	const char *rule = rule_for(AF_INET, net.allowed);

	(void)state;
	assert_int_equal(attempt_bare(path_missing, (void *)POLICY("fs-read", "/nowhere/at all")), 0);
	assert_int_equal(
		attempt_bare(path_missing, (void *)POLICY("fs-write", "/nowhere/at all", "net-allow", rule)),
		0);
	accept_all(net.other_fd);
}

/* The second try, with what was wrong put right, works. */
static int failure_recover(void *context)
{
	(void)context;
	for (int i = 0; i < 20; i++)
		EXPECT(failed_cleanly(
			       POLICY("net-allow", rule_for(AF_INET, net.allowed), "fs-read", "/nowhere"),
			       -ENOENT, "/nowhere") == 0);
	EXPECT(confine(SUPERVISED) == 0);
	EXPECT(tcp_try(AF_INET, net.allowed) == 0);
	EXPECT(tcp_try(AF_INET, net.other) == EACCES);
	return 0;
}

static void a_failure_can_be_followed_by_a_success(void **state)
{
	(void)state;
	assert_int_equal(attempt_bare(failure_recover, NULL), 0);
	accept_all(net.other_fd);
}

static void *thread_wait(void *context)
{
	char byte;

	if (read(*(int *)context, &byte, 1) < 0)
		return NULL;
	return NULL;
}

static int threads_refused(void *context)
{
	int ends[2], r;
	pthread_t thread;

	EXPECT(pipe(ends) == 0);
	EXPECT(pthread_create(&thread, NULL, thread_wait, &ends[0]) == 0);
	if ((r = failed_cleanly(context, -EPERM, "threads")) != 0)
		return r;
	close(ends[1]);
	pthread_join(thread, NULL);
	EXPECT(confine(context) == 0);
	return 0;
}

static void threads_are_refused_where_landlock_cannot_reach_them(void **state)
{
	struct kernel kernel;

	(void)state;
	kernel_probe(&kernel);
	if (kernel.landlock_abi >= SL_ABI_TSYNC)
		SKIP_BECAUSE("this kernel confines all threads (Landlock ABI 8)");
	assert_int_equal(attempt_bare(threads_refused, (void *)ALONE), 0);
	assert_int_equal(attempt_bare(threads_refused, (void *)SUPERVISED), 0);
	accept_all(net.other_fd);
}

static int threads_joined(void *context)
{
	pthread_t threads[8];
	int ends[2];

	EXPECT(pipe(ends) == 0);
	for (int i = 0; i < 8; i++)
		EXPECT(pthread_create(&threads[i], NULL, thread_wait, &ends[0]) == 0);
	close(ends[1]);
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	EXPECT(confine(context) == 0);
	return 0;
}

/* The kernel may list them a little longer. */
static void joined_threads_are_no_obstacle(void **state)
{
	(void)state;
	for (int i = 0; i < 50; i++)
		assert_int_equal(attempt_bare(threads_joined, (void *)ALONE), 0);
}

/* The tracer is a child of the traced, so that nothing is left when that one ends. */
static int tracer_refused(void *context)
{
	int ready[2], r;
	pid_t tracer, self = getpid();
	char byte = 1;

	EXPECT(pipe(ready) == 0);
	if ((tracer = fork()) == 0) {
		/* Landlock keeps the signal of PR_SET_PDEATHSIG from us, should the other be confined after all. */
		alarm(10);
		byte = ptrace(PTRACE_SEIZE, self, NULL, NULL) == 0 ? 0 : (char)errno;
		if (write(ready[1], &byte, 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	EXPECT(tracer > 1 && read(ready[0], &byte, 1) == 1 && byte == 0);
	r = confine(context);
	EXPECT(r == -EPERM && error.code == -EPERM && says(text_of("%d", tracer)) && says("traces"));
	EXPECT(file_opens("/etc/passwd") && tcp_try(AF_INET, net.other) == 0);
	process_kill(tracer, SIGKILL);
	EXPECT(exit_of(tracer) == 128 + SIGKILL);
	EXPECT(childless());
	EXPECT(confine(context) == 0);
	return 0;
}

static void a_traced_process_is_refused(void **state)
{
	(void)state;
	assert_int_equal(attempt_bare(tracer_refused, (void *)ALONE), 0);
	assert_int_equal(attempt_bare(tracer_refused, (void *)SUPERVISED), 0);
	accept_all(net.other_fd);
}

static int ring_refused(void *context)
{
	struct io_uring_params parameters = {0};
	int r, ring = (int)syscall(SYS_io_uring_setup, 4, &parameters);
	size_t size = 4096;
	void *mapped;

	if (ring < 0)
		return ENOSYS;
	if ((r = failed_cleanly(context, -EPERM, "io_uring")) != 0)
		return r;
	mapped = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring, 0);
	EXPECT(mapped != MAP_FAILED);
	close(ring);
	if ((r = failed_cleanly(context, -EPERM, "io_uring")) != 0)
		return r;
	munmap(mapped, size);
	EXPECT(confine(context) == 0);
	return 0;
}

static void a_ring_is_refused_open_or_only_mapped(void **state)
{
	int r = attempt_bare(ring_refused, (void *)ALONE);

	(void)state;
	if (r == ENOSYS)
		SKIP_BECAUSE("io_uring is switched off here");
	assert_int_equal(r, 0);
	assert_int_equal(attempt_bare(ring_refused, (void *)SUPERVISED), 0);
	accept_all(net.other_fd);
}

static int userfault_refused(void *context)
{
	int r, fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	if (fd < 0)
		fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	if (fd < 0)
		return ENOSYS;
	if ((r = failed_cleanly(context, -EPERM, "userfaultfd")) != 0)
		return r;
	close(fd);
	EXPECT(confine(context) == 0);
	return 0;
}

static void a_userfaultfd_is_refused(void **state)
{
	int r = attempt_bare(userfault_refused, (void *)ALONE);

	(void)state;
	if (r == ENOSYS)
		SKIP_BECAUSE("userfaultfd(2) is not to be had here");
	assert_int_equal(r, 0);
	assert_int_equal(attempt_bare(userfault_refused, (void *)SUPERVISED), 0);
	accept_all(net.other_fd);
}

/* Whatever the runner left open is kept by number, then one more is opened. */
static int strict_refused(void *context)
{
	static char numbers[FDS_SEEN][8];
	static const char *keys[2 * FDS_SEEN + 8] = {"strict-fds", ""};
	size_t count = 2;
	int extra, r;

	for (int fd = 3; fd < FDS_SEEN; fd++) {
		if (fcntl(fd, F_GETFD) < 0)
			continue;
		snprintf(numbers[fd], sizeof(numbers[fd]), "%d", fd);
		keys[count++] = "keep-fd";
		keys[count++] = numbers[fd];
	}
	for (const char *const *more = context; *more != NULL; more++)
		keys[count++] = *more;
	EXPECT((extra = open("/dev/null", O_RDONLY)) >= 0);
	if ((r = failed_cleanly(keys, -EPERM, text_of("descriptor %d", extra))) != 0)
		return r;
	EXPECT(says("strict-fds") && says("/dev/null"));
	keys[count++] = "keep-fd";
	keys[count++] = text_of("%d", extra);
	EXPECT(confine(keys) == 0);
	EXPECT(fcntl(extra, F_GETFD) >= 0);
	return 0;
}

static void strict_fds_refuses_what_is_not_kept(void **state)
{
	(void)state;
	assert_int_equal(attempt_bare(strict_refused, (void *)ALONE), 0);
	assert_int_equal(attempt_bare(strict_refused, (void *)SUPERVISED), 0);
	accept_all(net.other_fd);
}

static int undumpable(void *context)
{
	int r;

	EXPECT(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0);
	r = confine(context);
	if (r < 0)
		EXPECT(says("PR_SET_DUMPABLE") && childless());
	return r < 0 ? -r : tcp_try(AF_INET, net.allowed);
}

static void an_undumpable_process_cannot_be_supervised_by_its_user(void **state)
{
	(void)state;
	assert_int_equal(attempt_bare(undumpable, (void *)POLICY("net-allow", "tcp://*")), 0);
	assert_int_equal(attempt_bare(undumpable, (void *)SUPERVISED), geteuid() == 0 ? 0 : EPERM);
}

/* ---- resources ---- */

static void holes_fill(int up_to)
{
	int fd;

	while ((fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0 && fd < up_to)
		;
	close(fd);
}

/* No descriptor to spare, then one, then two ... each time a step further. */
static int descriptors_short(void *context)
{
	int top = *(int *)context, spare;
	struct rlimit before, limit;

	holes_fill(top);
	getrlimit(RLIMIT_NOFILE, &before);
	limit = before;
	for (spare = 0; spare < 32; spare++) {
		int r;

		limit.rlim_cur = (rlim_t)(top + spare);
		EXPECT(setrlimit(RLIMIT_NOFILE, &limit) == 0);
		r = confine(SUPERVISED);
		EXPECT(setrlimit(RLIMIT_NOFILE, &before) == 0);
		if (r == 0)
			break;
		if (r != -EMFILE)
			fprintf(stderr, "# %d to spare: %s\n", spare, error.message);
		EXPECT(r == -EMFILE && error.message[0] != '\0');
		if (free_and_clean() != 0) {
			fprintf(stderr, "# not free after failing with %d descriptors to spare: %s\n", spare,
			        error.message);
			EXPECT(!"a failure leaves the process free");
		}
		EXPECT(fcntl(top, F_GETFD) == -1);
	}
	EXPECT(spare > 0 && spare < 32);
	EXPECT(tcp_try(AF_INET, net.allowed) == 0);
	EXPECT(tcp_try(AF_INET, net.other) == EACCES);
	return 0;
}

static void too_few_descriptors_for_the_supervisor_fail_cleanly(void **state)
{
	int top = 16;

	(void)state;
	assert_int_equal(attempt_bare(descriptors_short, &top), 0);
	accept_all(net.other_fd);
}

/* Here the program's own table is what is too small; the supervisor has room. */
static void too_few_descriptors_in_the_program_fail_cleanly(void **state)
{
	int top = 64;

	(void)state;
	assert_int_equal(attempt_bare(descriptors_short, &top), 0);
	accept_all(net.other_fd);
}

static int processes_short(void *context)
{
	struct rlimit before, none;
	int r;

	(void)context;
	getrlimit(RLIMIT_NPROC, &before);
	none = before;
	none.rlim_cur = 0;
	EXPECT(setrlimit(RLIMIT_NPROC, &none) == 0);
	r = confine(SUPERVISED);
	EXPECT(setrlimit(RLIMIT_NPROC, &before) == 0);
	EXPECT(r == -EAGAIN && error.message[0] != '\0');
	return free_and_clean();
}

static void no_process_to_spare_fails_cleanly(void **state)
{
	(void)state;
	if (geteuid() == 0)
		SKIP_BECAUSE("RLIMIT_NPROC does not bind root");
	assert_int_equal(attempt_bare(processes_short, NULL), 0);
	accept_all(net.other_fd);
}

/* ---- the supervisor's life ---- */

/* The app leaves at once; its child goes on, and says over the pipe how. */
static int child_outlives(void *context)
{
	int *pipe_out = context;
	int results[3];

	EXPECT(confine(SUPERVISED) == 0);
	if (fork() > 0)
		return 0;
	usleep(100000);
	results[0] = tcp_try(AF_INET, net.allowed);
	results[1] = tcp_try(AF_INET, net.other);
	results[2] = getppid();
	if (write(*pipe_out, results, sizeof(results)) != sizeof(results))
		_exit(1);
	usleep(200000);
	_exit(0);
}

/* Before Linux 6.11 the supervisor hears of the end of a confined process when somebody has waited for it. */
static bool process_ended_and_all_reaped(pid_t process)
{
	bool ended = process_ended(process);

	while (waitpid(-1, NULL, __WALL | WNOHANG) > 0)
		;
	return ended;
}

static bool supervisor_is_child(pid_t process)
{
	return supervisor_of(process) > 0;
}

static void children_are_served_when_the_app_has_left(void **state)
{
	int results[3] = {-1, -1, -1}, ends[2];
	pid_t supervisor;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	/* Orphans come to us: the supervisor, and the child. */
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	assert_int_equal(attempt_bare(child_outlives, &ends[1]), 0);
	assert_true(poll_until(supervisor_is_child, getpid()));
	supervisor = supervisor_of(getpid());
	close(ends[1]);
	assert_int_equal(read(ends[0], results, sizeof(results)), sizeof(results));
	close(ends[0]);
	assert_int_equal(results[0], 0);
	assert_int_equal(results[1], EACCES);
	assert_int_equal(results[2], getpid());
	assert_true(poll_until(process_ended_and_all_reaped, supervisor));
	prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
	/* The acceptor is left. */
	assert_int_equal(waitpid(supervisor, NULL, __WALL | WNOHANG), -1);
}

/* A confined process that waits until its parent has looked. */
struct held {
	pid_t process, supervisor;
	int go;
};

static void held_start(struct held *held, const char *const keys[])
{
	int go[2], ready[2];
	char byte = 1;

	assert_int_equal(pipe2(go, O_CLOEXEC), 0);
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	fflush(NULL);
	if ((held->process = fork()) == 0) {
		close(go[1]);
		close(ready[0]);
		byte = (char)-confine(keys);
		if (write(ready[1], &byte, 1) != 1 || read(go[0], &byte, 1) < 0)
			_exit(1);
		_exit(0);
	}
	assert_true(held->process > 1);
	close(go[0]);
	close(ready[1]);
	held->go = go[1];
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	assert_int_equal(byte, 0);
	held->supervisor = supervisor_of(held->process);
}

static void held_end(struct held *held)
{
	close(held->go);
	assert_int_equal(exit_of(held->process), 0);
}

static bool belongs_to_a_supervisor(const char *target)
{
	static const char *const own[] = {"/dev/null",
	                                  "/proc",
	                                  "anon_inode:[eventpoll]",
	                                  "anon_inode:[eventfd]",
	                                  "anon_inode:[timerfd]",
	                                  "anon_inode:[io_uring]",
	                                  "anon_inode:seccomp notify",
	                                  "anon_inode:[pidfd]",
	                                  "pidfd:"};

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (strncmp(target, own[i], strlen(own[i])) == 0)
			return true;
	return false;
}

/* How many of `holder` are not a supervisor's; -1 when they cannot be seen. */
static int descriptors_foreign(pid_t holder, bool tell, int *listeners)
{
	DIR *fds = opendir(text_of("/proc/%d/fd", holder));
	struct dirent *entry;
	int foreign = 0;

	*listeners = 0;
	if (fds == NULL)
		return -1;
	while ((entry = readdir(fds)) != NULL) {
		char target[256] = "";

		if (entry->d_name[0] == '.' ||
		    readlinkat(dirfd(fds), entry->d_name, target, sizeof(target) - 1) < 0)
			continue;
		*listeners += strstr(target, "seccomp") != NULL;
		if (belongs_to_a_supervisor(target))
			continue;
		foreign++;
		if (tell)
			fprintf(stderr, "# descriptor %s: %s\n", entry->d_name, target);
	}
	closedir(fds);
	return foreign;
}

/* It closes the hand-over socket when it hears that the program has. */
static bool none_is_foreign(pid_t holder)
{
	int listeners;

	return descriptors_foreign(holder, false, &listeners) <= 0;
}

static void the_supervisor_holds_its_own_descriptors_only(void **state)
{
	int listeners, foreign;
	struct held held;

	(void)state;
	held_start(&held, SUPERVISED);
	assert_true(held.supervisor > 0);
	poll_until(none_is_foreign, held.supervisor);
	foreign = descriptors_foreign(held.supervisor, true, &listeners);
	held_end(&held);
	if (foreign < 0)
		SKIP_BECAUSE("the supervisor is undumpable, and its descriptors are for root to see");
	assert_int_equal(listeners, 1);
	assert_int_equal(foreign, 0);
}

static void the_supervisor_ends_with_the_last_confined_process(void **state)
{
	struct held held;

	(void)state;
	held_start(&held, SUPERVISED);
	assert_true(held.supervisor > 0);
	assert_int_equal(getsid(held.supervisor), held.supervisor);
	held_end(&held);
	assert_true(poll_until(process_ended, held.supervisor));
	held_start(&held, ALONE);
	assert_int_equal(held.supervisor, 0);
	held_end(&held);
}

static void an_app_that_is_killed_takes_its_supervisor_along(void **state)
{
	struct held held;

	(void)state;
	held_start(&held, SUPERVISED);
	process_kill(held.process, SIGKILL);
	assert_int_equal(exit_of(held.process), 128 + SIGKILL);
	assert_true(poll_until(process_ended, held.supervisor));
	close(held.go);
}

/* ---- rights ---- */

static int unix_try(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	return address_try((struct sockaddr *)&address, sizeof(address));
}

struct rights {
	const char *socket, *const *keys;
	int before; /* what root gets */
};

static int uid_drop(void *context)
{
	const struct rights *rights = context;

	if (rights->keys != NULL)
		EXPECT(confine(rights->keys) == 0);
	EXPECT(unix_try(rights->socket) == rights->before);
	EXPECT(setgid(1000) == 0 && setuid(1000) == 0 && setuid(0) == -1);
	EXPECT(tcp_try(AF_INET, net.allowed) == 0);
	if (rights->keys != NULL)
		EXPECT(tcp_try(AF_INET, net.other) == EACCES);
	return unix_try(rights->socket);
}

static void a_dropped_uid_gains_nothing_through_the_supervisor(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *rule = rule_for(AF_INET, net.allowed);
	struct rights bare = {address.sun_path, NULL, 0},
		      without = {address.sun_path, POLICY("net-allow", rule), EACCES},
		      with = {address.sun_path, POLICY("net-allow", rule, "net-allow-unix", "*"), 0};
	int listener;

	(void)state;
	if (geteuid() != 0)
		SKIP_BECAUSE("only root can change its uid");
	/* Reachable for anybody, and the socket itself for root alone. */
	snprintf(address.sun_path, sizeof(address.sun_path), "/tmp/sluice-test-%d.sock", getpid());
	unlink(address.sun_path);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(chmod(address.sun_path, 0700), 0);
	assert_int_equal(listen(listener, 16), 0);
	assert_int_equal(attempt_bare(uid_drop, &bare), EACCES);
	assert_int_equal(attempt_bare(uid_drop, &with), EACCES);
	assert_int_equal(attempt_bare(uid_drop, &without), EACCES);
	/* The allow twin: the socket opened to all. */
	assert_int_equal(chmod(address.sun_path, 0777), 0);
	assert_int_equal(attempt_bare(uid_drop, &with), 0);
	unlink(address.sun_path);
	close(listener);
}

static int capabilities_set(uint32_t keep)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{keep, keep, keep}, {0, 0, 0}};

	return (int)syscall(SYS_capset, &header, data);
}

/* A program in a container, or one that systemd gave an ambient capability: it may do something, but not
 * ptrace(2) everybody. */
static int capable_of_something(void *context)
{
	bool user = *(bool *)context;

	if (user) {
		EXPECT(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0);
		EXPECT(setgid(1000) == 0 && setuid(1000) == 0);
	}
	EXPECT(capabilities_set(1u << CAP_NET_BIND_SERVICE | (user ? 0 : 1u << CAP_CHOWN)) == 0);
	EXPECT(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0);
	if (confine(SUPERVISED) < 0)
		fprintf(stderr, "# %s\n", error.message);
	EXPECT(error.code == 0);
	EXPECT(tcp_try(AF_INET, net.allowed) == 0);
	EXPECT(tcp_try(AF_INET, net.other) == EACCES);
	return 0;
}

static void a_program_with_some_capabilities_is_served(void **state)
{
	bool user = false;

	(void)state;
	if (geteuid() != 0)
		SKIP_BECAUSE("has no capabilities to keep");
	assert_int_equal(attempt_bare(capable_of_something, &user), 0);
	user = true;
	assert_int_equal(attempt_bare(capable_of_something, &user), 0);
}

static int net_open(void **state)
{
	(void)state;
	net.allowed_fd = tcp_listener(AF_INET, &net.allowed);
	net.other_fd = tcp_listener(AF_INET, &net.other);
	return (net.acceptor = acceptor_start(net.allowed_fd)) < 0;
}

static int net_close(void **state)
{
	(void)state;
	process_end(net.acceptor);
	return 0;
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(identity_stays_under_a_supervisor),
		cmocka_unit_test(identity_stays_without_one),
		cmocka_unit_test(wait_has_no_child_to_wait_for),
		cmocka_unit_test(children_can_still_be_waited_for),
		cmocka_unit_test(a_subreaper_adopts_no_supervisor),
		cmocka_unit_test(buffers_are_written_once),
		cmocka_unit_test(works_without_stdio),
		cmocka_unit_test(a_second_confinement_narrows),
		cmocka_unit_test(a_second_confinement_needs_no_grant_of_proc),
		cmocka_unit_test(narrowing_by_port_needs_no_supervisor),
		cmocka_unit_test(a_second_confinement_narrows_what_may_be_bound),
		cmocka_unit_test(a_second_supervisor_is_refused),
		cmocka_unit_test(run_nests_in_run),
		cmocka_unit_test(a_used_policy_is_frozen_and_its_copy_is_not),
		cmocka_unit_test(a_missing_path_is_named_and_nothing_is_confined),
		cmocka_unit_test(a_failure_can_be_followed_by_a_success),
		cmocka_unit_test(threads_are_refused_where_landlock_cannot_reach_them),
		cmocka_unit_test(joined_threads_are_no_obstacle),
		cmocka_unit_test(a_traced_process_is_refused),
		cmocka_unit_test(a_ring_is_refused_open_or_only_mapped),
		cmocka_unit_test(a_userfaultfd_is_refused),
		cmocka_unit_test(strict_fds_refuses_what_is_not_kept),
		cmocka_unit_test(an_undumpable_process_cannot_be_supervised_by_its_user),
		cmocka_unit_test(too_few_descriptors_for_the_supervisor_fail_cleanly),
		cmocka_unit_test(too_few_descriptors_in_the_program_fail_cleanly),
		cmocka_unit_test(no_process_to_spare_fails_cleanly),
		cmocka_unit_test(children_are_served_when_the_app_has_left),
		cmocka_unit_test(the_supervisor_holds_its_own_descriptors_only),
		cmocka_unit_test(the_supervisor_ends_with_the_last_confined_process),
		cmocka_unit_test(an_app_that_is_killed_takes_its_supervisor_along),
		cmocka_unit_test(a_dropped_uid_gains_nothing_through_the_supervisor),
		cmocka_unit_test(a_program_with_some_capabilities_is_served),
	};

	/* The command of run_nests_in_run. */
	if (argc == 3 && strcmp(argv[1], "connect") == 0)
		return tcp_try(AF_INET, (uint16_t)atoi(argv[2]));
	return cmocka_run_group_tests(tests, net_open, net_close);
}
