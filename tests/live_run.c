/* `sluice run`: to a shell, to a terminal and to pipes the command behaves as if it had been started bare.
 * Each test goes over both ways in which it runs: alone (sluice becomes the command) and under a supervisor.
 *
 * The commands are this program itself: see commands[].
 */
#include "tests/common/common.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char sluice[4096], self[4096];
static uint16_t port, other_port;

enum { KEPT = 9, WORDS_MAX = 48 };

/* ---- commands: what runs inside ---- */

static int command_exit(const char *argument)
{
	return atoi(argument);
}

static void signal_tell(int number)
{
	char text[] = "<00>\n";

	text[1] = (char)('0' + number / 10);
	text[2] = (char)('0' + number % 10);
	if (write(1, text, 5) != 5)
		_exit(98);
	if (number == SIGTERM)
		_exit(7);
}

static const int told_signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGTERM};

/* Says "ready PID", then each signal as "<NN>"; ends with status 7 at SIGTERM. */
static int command_tell(const char *argument)
{
	(void)argument;
	for (size_t i = 0; i < sizeof(told_signals) / sizeof(told_signals[0]); i++)
		signal(told_signals[i], signal_tell);
	dprintf(1, "ready %d\n", getpid());
	while (pause() < 0)
		;
	return 1;
}

static int command_descriptor(const char *argument)
{
	return fcntl(atoi(argument), F_GETFD) >= 0 ? 0 : 1;
}

static int command_count(const char *argument)
{
	int count = 0;

	(void)argument;
	for (int fd = 0; fd < 4096; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static int command_close(const char *argument)
{
	(void)argument;
	close(0);
	close(1);
	sleep(20);
	return 1;
}

/* So many daemons, each in a session of its own and with the kept descriptor; the command itself ends. */
static int command_daemon(const char *argument)
{
	for (int i = atoi(argument); i > 0; i--) {
		if (fork() == 0) {
			setsid();
			if (fork() == 0) {
				signal(SIGTERM, SIG_IGN);
				signal(SIGHUP, SIG_IGN);
				sleep(60);
			}
			_exit(0);
		}
		wait(NULL);
	}
	return 0;
}

static int command_hold(const char *argument)
{
	(void)argument;
	dprintf(1, "ready %d\n", getpid());
	sleep(60);
	return 1;
}

/* A grandchild that outlives its supervisor, if it can, and tells what a connect gives then. */
static int command_orphan(const char *argument)
{
	if (fork() == 0) {
		int code = 0;

		for (int i = 0; i < 100 && code == 0; i++, usleep(20000))
			code = tcp_try(AF_INET, (uint16_t)atoi(argument));
		dprintf(KEPT, "%d", code);
		sleep(1);
		_exit(0);
	}
	return command_hold(argument);
}

/* Orphans by the hundred, then waits for the end of its input. */
static int command_swarm(const char *argument)
{
	char byte;

	for (int i = atoi(argument); i > 0; i--) {
		pid_t child = fork();

		if (child == 0) {
			if (fork() == 0 && i % 2)
				usleep(1000);
			_exit(0);
		}
		waitpid(child, NULL, 0);
	}
	dprintf(1, "ready %d\n", getpid());
	return read(0, &byte, 1) == 0 ? 0 : 1;
}

static int command_connect(const char *argument)
{
	return tcp_try(AF_INET, (uint16_t)atoi(argument));
}

/* Nothing blocked, ignored or handled that was not so before: SIGUSR2 is blocked and SIGUSR1 ignored. */
static int command_signals(const char *argument)
{
	sigset_t mask;

	(void)argument;
	sigprocmask(SIG_BLOCK, NULL, &mask);
	for (int number = 1; number < 32; number++) {
		struct sigaction action;

		if (sigismember(&mask, number) != (number == SIGUSR2))
			return number;
		sigaction(number, NULL, &action);
		if ((action.sa_handler == SIG_IGN) != (number == SIGUSR1))
			return 100 + number;
	}
	return 0;
}

static const struct {
	const char *name;
	int (*run)(const char *argument);
} commands[] = {
	{"exit", command_exit},       {"tell", command_tell},       {"descriptor", command_descriptor},
	{"count", command_count},     {"close", command_close},     {"daemon", command_daemon},
	{"hold", command_hold},       {"orphan", command_orphan},   {"swarm", command_swarm},
	{"connect", command_connect}, {"signals", command_signals},
};

/* ---- running them ---- */

enum way { ALONE, GATE, WAYS };

struct run {
	pid_t process; /* sluice */
	int input, output;
};

/* Between fork and exec, in the child. */
static void run_exec(enum way way, const char *const more[], const char *const words[])
{
	const char *argv[WORDS_MAX] = {sluice, "run", "-s", "-r", self};
	size_t count = 5;

	if (way == GATE) {
		argv[count++] = "--net-allow";
		argv[count++] = rule_for(AF_INET, port);
	}
	for (size_t i = 0; more != NULL && more[i] != NULL; i++)
		argv[count++] = more[i];
	argv[count++] = "--";
	signal(SIGPIPE, SIG_DFL);
	for (size_t i = 0; words[i] != NULL; i++)
		argv[count++] = words[i];
	execv(sluice, (char *const *)argv);
	_exit(99);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define SELF(...)  WORDS(self, __VA_ARGS__)

static void run_start(struct run *run, enum way way, const char *const more[], const char *const words[])
{
	int in[2], out[2];

	assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC), 0);
	if ((run->process = process_fork()) == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		run_exec(way, more, words);
	}
	assert_true(run->process > 0);
	close(in[0]);
	close(out[1]);
	run->input = in[1];
	run->output = out[0];
}

/* As a shell says it; -1 when it has not ended in time (and is killed). */
static int status_within(pid_t process, int milliseconds)
{
	int status;

	for (double end = seconds_now() + milliseconds / 1e3; seconds_now() < end; usleep(1000)) {
		if (waitpid(process, &status, WNOHANG) == process)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	}
	process_kill(process, SIGKILL);
	waitpid(process, NULL, 0);
	return -1;
}

static int run_end(struct run *run)
{
	int status = status_within(run->process, 10000);

	close(run->input);
	close(run->output);
	return status;
}

static int run_status(enum way way, const char *const more[], const char *const words[])
{
	struct run run;

	run_start(&run, way, more, words);
	return run_end(&run);
}

/* Reads until `word` has come so many times, or for so long; how many times it came. */
static int seen_within(int from, const char *word, int times, int milliseconds, char *text, size_t room)
{
	double end = seconds_now() + milliseconds / 1e3;
	size_t used = strlen(text);
	int seen = 0;

	for (;;) {
		struct pollfd ready = {.fd = from, .events = POLLIN};
		ssize_t n;

		seen = 0;
		for (char *at = text; (at = strstr(at, word)) != NULL; at++)
			seen++;
		if (seen >= times || seconds_now() > end || used + 1 >= room)
			return seen;
		if (poll(&ready, 1, 20) == 0)
			continue;
		if ((n = read(from, text + used, room - 1 - used)) <= 0)
			return seen;
		used += (size_t)n;
		text[used] = '\0';
	}
}

static bool run_is_ready(struct run *run)
{
	char text[256] = "";

	return seen_within(run->output, "ready", 1, 10000 * slowness(), text, sizeof(text)) == 1;
}

/* Every writer is gone, and nothing was written. */
static bool ends_within(int from, int milliseconds)
{
	struct pollfd ready = {.fd = from, .events = POLLIN};
	char byte;

	return poll(&ready, 1, milliseconds) == 1 && read(from, &byte, 1) == 0;
}

/* ---- statuses ---- */

static void every_exit_status_comes_through(void **state)
{
	(void)state;
	for (int status = 0; status < 256; status++)
		for (enum way way = ALONE; way < WAYS; way++)
			assert_int_equal(run_status(way, NULL, SELF("exit", text_of("%d", status))), status);
}

static void a_signal_is_128_and_its_number(void **state)
{
	static const int numbers[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGILL,  SIGABRT, SIGBUS, SIGFPE,
	                              SIGKILL, SIGUSR1, SIGSEGV, SIGPIPE, SIGALRM, SIGTERM};

	(void)state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		for (enum way way = ALONE; way < WAYS; way++) {
			const char *script = text_of("ulimit -c 0; kill -%d $$; sleep 5", numbers[i]);

			assert_int_equal(run_status(way, NULL, WORDS("sh", "-c", script)), 128 + numbers[i]);
		}
	}
}

static void script_write(const char *path, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	assert_int_equal(write(fd, "exit 5\n", 7), 7);
	fchmod(fd, mode);
	close(fd);
}

static void failures_have_their_statuses(void **state)
{
	const char *script = text_of("%s/script", scratch());

	(void)state;
	for (enum way way = ALONE; way < WAYS; way++) {
		assert_int_equal(run_status(way, WORDS("--no-such-option"), SELF("exit", "0")), 125);
		assert_int_equal(run_status(way, WORDS("--net-allow", "1.2.3"), SELF("exit", "0")), 125);
		assert_int_equal(run_status(way, WORDS("-r", "/nowhere"), SELF("exit", "0")), 125);
		assert_int_equal(run_status(way, WORDS("--keep-fd", "99"), SELF("exit", "0")), 125);
		assert_int_equal(run_status(way, NULL, WORDS("/nowhere/command")), 127);
		assert_int_equal(run_status(way, NULL, WORDS("no-such-command")), 127);
		assert_int_equal(run_status(way, NULL, WORDS("")), 127);
		assert_int_equal(run_status(way, NULL, WORDS("/usr")), 126);
		script_write(script, 0644);
		assert_int_equal(run_status(way, WORDS("-r", script), WORDS(script)), 126);
		script_write(script, 0755);
		/* There and executable, but not granted. */
		assert_int_equal(run_status(way, NULL, WORDS(script)), 126);
		/* Without a "#!" it is the shell's, as for execvp(3). */
		assert_int_equal(run_status(way, WORDS("-r", script), WORDS(script)), 5);
		unlink(script);
	}
}

static void connects_are_decided(void **state)
{
	const char *served = text_of("%u", port), *other = text_of("%u", other_port);

	(void)state;
	assert_int_equal(run_status(ALONE, NULL, SELF("connect", served)), EACCES);
	assert_int_equal(run_status(ALONE, WORDS("--net-allow", "*"), SELF("connect", served)), 0);
	assert_int_equal(run_status(GATE, NULL, SELF("connect", served)), 0);
	assert_int_equal(run_status(GATE, NULL, SELF("connect", other)), EACCES);
}

/* ---- signals ---- */

static void signals_reach_the_command_once(void **state)
{
	(void)state;
	for (enum way way = ALONE; way < WAYS; way++) {
		char text[4096] = "";
		struct run run;

		run_start(&run, way, NULL, SELF("tell", ""));
		assert_true(run_is_ready(&run));
		for (size_t i = 0; i < sizeof(told_signals) / sizeof(told_signals[0]); i++) {
			const char *word = text_of("<%02d>", told_signals[i]);

			process_kill(run.process, told_signals[i]);
			assert_int_equal(seen_within(run.output, word, 1, 5000, text, sizeof(text)), 1);
			/* No second one. */
			assert_int_equal(seen_within(run.output, word, 2, 50, text, sizeof(text)), 1);
		}
		assert_int_equal(run_end(&run), 7);
	}
}

static void signal_state_is_handed_on(void **state)
{
	sigset_t blocked, before;

	(void)state;
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR2);
	sigprocmask(SIG_SETMASK, &blocked, &before);
	signal(SIGUSR1, SIG_IGN);
	for (enum way way = ALONE; way < WAYS; way++)
		assert_int_equal(run_status(way, NULL, SELF("signals", "")), 0);
	signal(SIGUSR1, SIG_DFL);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

/* ---- a terminal ----
 *
 *     test --- pty master        shell (session leader)
 *                                 +- sluice: a job, its group in the foreground
 *                                     +- command
 */

struct terminal {
	int master;
	pid_t shell, job;
	int orders, statuses;
};

/* "c" continues the job; every change of its state is told as a wait status. */
static void shell_main(int master, const char *path, enum way way, int orders, int statuses)
{
	struct pollfd order = {.fd = orders, .events = POLLIN};
	int tty, status;
	pid_t job;
	char byte;

	close(master);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setsid();
	tty = open(path, O_RDWR);
	ioctl(tty, TIOCSCTTY, 0);
	signal(SIGTTOU, SIG_IGN);
	if ((job = fork()) == 0) {
		setpgid(0, 0);
		tcsetpgrp(tty, getpid());
		signal(SIGTTOU, SIG_DFL);
		for (int fd = 0; fd < 3; fd++)
			dup2(tty, fd);
		run_exec(way, NULL, SELF("tell", ""));
	}
	if (job < 0)
		_exit(1);
	setpgid(job, job);
	if (write(statuses, &job, sizeof(job)) != sizeof(job))
		_exit(1);
	for (;;) {
		if (waitpid(job, &status, WUNTRACED | WNOHANG) == job) {
			if (write(statuses, &status, sizeof(status)) != sizeof(status) || WIFEXITED(status) ||
			    WIFSIGNALED(status))
				_exit(0);
		}
		if (poll(&order, 1, 5) == 1) {
			if (read(orders, &byte, 1) != 1)
				_exit(0);
			kill(-job, SIGCONT);
		}
	}
}

static int number_within(int from, int milliseconds)
{
	struct pollfd ready = {.fd = from, .events = POLLIN};
	int number = -1;

	if (poll(&ready, 1, milliseconds) != 1 || read(from, &number, sizeof(number)) != sizeof(number))
		return -1;
	return number;
}

static void terminal_start(struct terminal *terminal, enum way way)
{
	int orders[2], statuses[2];
	char path[64];

	terminal->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(terminal->master >= 0);
	assert_int_equal(grantpt(terminal->master) | unlockpt(terminal->master), 0);
	assert_int_equal(ptsname_r(terminal->master, path, sizeof(path)), 0);
	assert_int_equal(pipe2(orders, O_CLOEXEC) | pipe2(statuses, O_CLOEXEC), 0);
	if ((terminal->shell = process_fork()) == 0) {
		close(orders[1]);
		shell_main(terminal->master, path, way, orders[0], statuses[1]);
	}
	close(orders[0]);
	close(statuses[1]);
	terminal->orders = orders[1];
	terminal->statuses = statuses[0];
	terminal->job = number_within(terminal->statuses, 5000);
	assert_true(terminal->job > 0);
}

static void terminal_end(struct terminal *terminal)
{
	process_kill(terminal->shell, SIGKILL);
	waitpid(terminal->shell, NULL, 0);
	close(terminal->master);
	close(terminal->orders);
	close(terminal->statuses);
}

static char state_of(pid_t process)
{
	char line[512] = "", *at;
	FILE *file = fopen(text_of("/proc/%d/stat", process), "re");

	if (file == NULL)
		return 0;
	if (fgets(line, sizeof(line), file) == NULL)
		line[0] = '\0';
	fclose(file);
	return (at = strrchr(line, ')')) == NULL ? 0 : at[2];
}

static bool state_becomes(pid_t process, bool stopped)
{
	for (double end = seconds_now() + 5; seconds_now() < end; usleep(2000))
		if ((state_of(process) == 'T') == stopped)
			return true;
	return false;
}

static void a_terminal_interrupts_the_command_once(void **state)
{
	(void)state;
	for (enum way way = ALONE; way < WAYS; way++) {
		struct terminal terminal;
		char text[4096] = "";

		terminal_start(&terminal, way);
		assert_int_equal(seen_within(terminal.master, "ready", 1, 10000, text, sizeof(text)), 1);
		for (int times = 1; times <= 3; times++) {
			assert_int_equal(write(terminal.master, "\003", 1), 1);
			assert_int_equal(
				seen_within(terminal.master, "<02>", times, 5000, text, sizeof(text)), times);
			assert_int_equal(
				seen_within(terminal.master, "<02>", times + 1, 100, text, sizeof(text)),
				times);
		}
		assert_int_equal(write(terminal.master, "\034", 1), 1);
		assert_int_equal(seen_within(terminal.master, "<03>", 1, 5000, text, sizeof(text)), 1);
		assert_int_equal(seen_within(terminal.master, "<03>", 2, 100, text, sizeof(text)), 1);
		process_kill(terminal.job, SIGTERM);
		assert_int_equal(number_within(terminal.statuses, 5000), 7 << 8);
		terminal_end(&terminal);
	}
}

/* Once more where it was lost: sluice sends the command on when it goes on itself, and one that comes before that is
 * undone by it, as two keys in one moment are at any terminal. */
static int terminal_stop(struct terminal *terminal)
{
	int status = -1;

	for (int tries = 0; tries < 3 && status == -1; tries++) {
		assert_int_equal(write(terminal->master, "\032", 1), 1);
		status = number_within(terminal->statuses, 5000);
	}
	return status;
}

static void a_terminal_stops_and_continues_the_command(void **state)
{
	(void)state;
	for (enum way way = ALONE; way < WAYS; way++) {
		struct terminal terminal;
		char text[4096] = "";
		pid_t command;

		terminal_start(&terminal, way);
		assert_int_equal(seen_within(terminal.master, "\n", 1, 10000, text, sizeof(text)), 1);
		command = atoi(strstr(text, "ready ") + 6);
		for (int times = 1; times <= 3; times++) {
			int status = terminal_stop(&terminal);

			assert_true(status != -1 && WIFSTOPPED(status));
			assert_true(state_becomes(command, true));
			assert_true(state_becomes(terminal.job, true));
			assert_int_equal(write(terminal.orders, "c", 1), 1);
			assert_true(state_becomes(terminal.job, false));
			assert_true(state_becomes(command, false));
			/* It runs, and is still served. */
			assert_int_equal(write(terminal.master, "\003", 1), 1);
			assert_int_equal(
				seen_within(terminal.master, "<02>", times, 5000, text, sizeof(text)), times);
		}
		process_kill(terminal.job, SIGTERM);
		assert_int_equal(number_within(terminal.statuses, 5000), 7 << 8);
		terminal_end(&terminal);
	}
}

/* ---- descriptors ---- */

static void pipes_end_when_the_command_closes_them(void **state)
{
	(void)state;
	for (enum way way = ALONE; way < WAYS; way++) {
		struct pollfd input = {.events = 0};
		struct run run;

		run_start(&run, way, NULL, SELF("close", ""));
		assert_true(ends_within(run.output, 5000));
		input.fd = run.input;
		assert_int_equal(poll(&input, 1, 5000), 1);
		assert_true(input.revents & POLLERR);
		assert_int_equal(waitpid(run.process, NULL, WNOHANG), 0);
		process_kill(run.process, SIGTERM);
		assert_int_equal(run_end(&run), 128 + SIGTERM);
	}
}

static void descriptors_are_closed_but_for_those_kept(void **state)
{
	(void)state;
	assert_int_equal(dup2(0, KEPT), KEPT);
	assert_int_equal(dup2(0, 100), 100);
	for (enum way way = ALONE; way < WAYS; way++) {
		const char *const *one = WORDS("--keep-fd", "9");
		const char *const *both = WORDS("--keep-fd", "9", "--keep-fd", "100");

		assert_int_equal(run_status(way, NULL, SELF("descriptor", "9")), 1);
		assert_int_equal(run_status(way, NULL, SELF("descriptor", "100")), 1);
		assert_int_equal(run_status(way, NULL, SELF("count", "")), 3);
		assert_int_equal(run_status(way, one, SELF("descriptor", "9")), 0);
		assert_int_equal(run_status(way, one, SELF("count", "")), 4);
		assert_int_equal(run_status(way, both, SELF("count", "")), 5);
	}
	close(KEPT);
	close(100);
}

/* ---- the tree ---- */

/* A pipe whose writing end the command keeps; ours is closed once it runs. */
static int kept_pipe(void)
{
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(dup2(ends[1], KEPT), KEPT);
	close(ends[1]);
	return ends[0];
}

static void daemons_end_with_the_command(void **state)
{
	int from = kept_pipe(), status;
	struct run run;

	(void)state;
	run_start(&run, GATE, WORDS("--keep-fd", "9"), SELF("daemon", "50"));
	close(KEPT);
	status = run_end(&run);
	assert_int_equal(status, 0);
	/* When sluice has ended they have. */
	assert_true(ends_within(from, 1000));
	close(from);
}

static void the_command_ends_with_its_supervisor(void **state)
{
	int from = kept_pipe();
	struct run run;

	(void)state;
	run_start(&run, GATE, WORDS("--keep-fd", "9"), SELF("hold", ""));
	close(KEPT);
	assert_true(run_is_ready(&run));
	process_kill(run.process, SIGKILL);
	assert_int_equal(run_end(&run), 128 + SIGKILL);
	assert_true(ends_within(from, 5000));
	close(from);
}

/* Nobody tells a grandchild; but it has lost its gate. */
static void a_grandchild_without_its_supervisor_connects_nowhere(void **state)
{
	int from = kept_pipe();
	char text[64] = "";
	struct run run;

	(void)state;
	run_start(&run, GATE, WORDS("--keep-fd", "9"), SELF("orphan", text_of("%u", port)));
	close(KEPT);
	assert_true(run_is_ready(&run));
	process_kill(run.process, SIGKILL);
	assert_int_equal(run_end(&run), 128 + SIGKILL);
	if (!ends_within(from, 0))
		seen_within(from, "\n", 1, 5000, text, sizeof(text));
	assert_true(text[0] == '\0' || atoi(text) == ENOSYS || strcmp(text, "8") == 0);
	close(from);
}

static int children_of(pid_t process)
{
	FILE *file = fopen(text_of("/proc/%d/task/%d/children", process, process), "re");
	int count = 0, pid;

	if (file == NULL)
		return -1;
	while (fscanf(file, "%d", &pid) == 1)
		count++;
	fclose(file);
	return count;
}

static void orphans_leave_no_zombies(void **state)
{
	struct run run;
	double end;

	(void)state;
	run_start(&run, GATE, NULL, SELF("swarm", long_run() ? "10000" : "300"));
	assert_true(run_is_ready(&run));
	for (end = seconds_now() + 5; children_of(run.process) != 1 && seconds_now() < end; usleep(2000))
		;
	assert_int_equal(children_of(run.process), 1);
	close(run.input);
	run.input = -1;
	assert_int_equal(run_end(&run), 0);
}

static pid_t acceptor;

static int set_up(void **state)
{
	(void)state;
	if (!programs_find(self, sluice, sizeof(self)))
		return 1;
	/* A directory that this user may not search would make "not found" a "permission denied". */
	setenv("PATH", "/usr/bin:/bin", 1);
	tcp_listener(AF_INET, &other_port);
	return (acceptor = acceptor_start(tcp_listener(AF_INET, &port))) < 0;
}

static int tear_down(void **state)
{
	(void)state;
	process_end(acceptor);
	return 0;
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_exit_status_comes_through),
		cmocka_unit_test(a_signal_is_128_and_its_number),
		cmocka_unit_test(failures_have_their_statuses),
		cmocka_unit_test(connects_are_decided),
		cmocka_unit_test(signals_reach_the_command_once),
		cmocka_unit_test(signal_state_is_handed_on),
		cmocka_unit_test(a_terminal_interrupts_the_command_once),
		cmocka_unit_test(a_terminal_stops_and_continues_the_command),
		cmocka_unit_test(pipes_end_when_the_command_closes_them),
		cmocka_unit_test(descriptors_are_closed_but_for_those_kept),
		cmocka_unit_test(daemons_end_with_the_command),
		cmocka_unit_test(the_command_ends_with_its_supervisor),
		cmocka_unit_test(a_grandchild_without_its_supervisor_connects_nowhere),
		cmocka_unit_test(orphans_leave_no_zombies),
	};

	for (size_t i = 0; argc == 3 && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argv[2]);
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
