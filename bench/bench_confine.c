/* sl_confine_self() in place: how long it takes, without and with a supervisor; and what the supervisor costs
 * from then on: memory that is its own, and CPU while nobody calls.
 *
 * Each confinement happens in a fresh child, its policy built before. Memory is Private_Clean and
 * Private_Dirty of /proc/PID/smaps_rollup, which for an undumpable process is root's to read.
 */
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/bench.h"
#include "core/fd.h"
#include "sluice.h"

enum { CONFINES = 100, CALLS = 10000, IDLE_SECONDS = 5 };

static const char *const alone_keys[] = {"fs-system", NULL, NULL};
static const char *const supervised_keys[] = {"fs-system", "", "net-allow", "tcp://127.0.0.1:1", NULL};

static sl_policy *policy_make(const char *const keys[])
{
	sl_policy *policy = sl_policy_new();
	sl_error error;

	if (policy == NULL)
		die("out of memory");
	for (size_t i = 0; keys[i] != NULL; i += 2)
		if (sl_policy_set(policy, keys[i], keys[i + 1], &error) < 0)
			die("%s", error.message);
	return policy;
}

/* What sl_confine_self() took, in a child that does nothing else. */
static double confine_once(const char *const keys[])
{
	int results[2], status;
	double ns;
	pid_t child;

	if (pipe(results) < 0 || (child = fork()) < 0)
		die("fork: %s", strerror(errno));
	if (child == 0) {
		sl_policy *policy = policy_make(keys);
		double start = now_ns();
		sl_error error;

		if (sl_confine_self(policy, &error) < 0)
			die("sl_confine_self: %s", error.message);
		ns = now_ns() - start;
		_exit(fd_write_all(results[1], &ns, sizeof(ns)) < 0);
	}
	close(results[1]);
	if (fd_read_all(results[0], &ns, sizeof(ns)) < 0 || waitpid(child, &status, 0) < 0 || status != 0)
		die("a child could not be confined");
	close(results[0]);
	return ns;
}

static void confine_print(const char *what, double us[CONFINES])
{
	double middle = median(us, CONFINES);

	row_print(&(struct row){.what = what, .unit = "us", .sluice = middle});
	printf("    %-46s min %.0f us, median %.0f us, p99 %.0f us\n", "", us[0], middle,
	       quantile(us, CONFINES, 0.99));
}

static void confines_measure(void)
{
	double alone[CONFINES], supervised[CONFINES];

	for (int i = 0; i < CONFINES; i++) {
		alone[i] = confine_once(alone_keys) / 1000;
		supervised[i] = confine_once(supervised_keys) / 1000;
	}
	confine_print("sl_confine_self", alone);
	confine_print("sl_confine_self with a supervisor", supervised);
}

/* The number behind `name` in /proc/PID/`file`, summed over all lines that start so; -1: cannot be read. */
static long proc_number(pid_t pid, const char *file, const char *name)
{
	FILE *lines = fopen(text("/proc/%d/%s", pid, file), "re");
	char line[256];
	long sum = 0;

	if (lines == NULL)
		return -1;
	while (fgets(line, sizeof(line), lines) != NULL)
		if (strncmp(line, name, strlen(name)) == 0)
			sum += atol(line + strcspn(line, "0123456789"));
	if (ferror(lines))
		sum = -1;
	fclose(lines);
	return sum;
}

static long private_kib(pid_t pid)
{
	return proc_number(pid, "smaps_rollup", "Private_");
}

static long switches(pid_t pid)
{
	return proc_number(pid, "status", "voluntary_ctxt_switches");
}

/* utime + stime, in ticks of 10 ms: proc_pid_stat(5). */
static long cpu_ticks(pid_t pid)
{
	FILE *file = fopen(text("/proc/%d/stat", pid), "re");
	unsigned long user, system;

	if (file == NULL || fscanf(file, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
	                           &user, &system) != 2)
		die("/proc/%d/stat", pid);
	fclose(file);
	return (long)(user + system);
}

static pid_t supervisor_of(pid_t target)
{
	FILE *file = fopen(text("/proc/%d/task/%d/children", target, target), "re");
	pid_t pid;

	if (file == NULL || fscanf(file, "%d", &pid) != 1)
		die("no supervisor found");
	fclose(file);
	return pid;
}

static void calls_make(unsigned count)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(1)};

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (unsigned i = 0; i < count; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 || errno != ECONNREFUSED)
			die("connect: %s", strerror(errno));
		close(fd);
	}
}

/* Confined; makes CALLS calls when it is told to, and says when it is through. */
static noreturn void target_main(int requests, int replies)
{
	char byte = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	confine(supervised_keys);
	for (;;) {
		if (fd_write_all(replies, &byte, 1) < 0 || fd_read_all(requests, &byte, 1) < 0)
			_exit(0);
		calls_make(CALLS);
	}
}

struct target {
	pid_t pid, supervisor;
	int requests, replies;
};

static void target_await(const struct target *target)
{
	char byte;

	if (fd_read_all(target->replies, &byte, 1) < 0)
		die("the confined child ended");
}

static void target_start(struct target *target)
{
	int requests[2], replies[2];

	if (pipe(requests) < 0 || pipe(replies) < 0 || (target->pid = fork()) < 0)
		die("fork: %s", strerror(errno));
	if (target->pid == 0) {
		close(requests[1]);
		target_main(requests[0], replies[1]);
	}
	close(requests[0]);
	close(replies[1]);
	target->requests = requests[1];
	target->replies = replies[0];
	target_await(target);
	target->supervisor = supervisor_of(target->pid);
}

static void memory_print(const char *what, long kib)
{
	if (kib < 0)
		printf("%-46s not measured: needs root\n", what);
	else
		row_print(&(struct row){.what = what, .unit = "KiB", .sluice = (double)kib});
}

static void zero_print(const char *what, long found)
{
	row_print(&(struct row){.what = what, .ratio = text("%ld", found), .target = "0", .met = found == 0});
}

static void supervisor_measure(void)
{
	struct target target;
	long ticks, woken;

	target_start(&target);
	memory_print("supervisor: private memory, fresh", private_kib(target.supervisor));
	if (fd_write_all(target.requests, "", 1) < 0)
		die("the confined child ended");
	target_await(&target);
	memory_print("    after 10,000 calls", private_kib(target.supervisor));
	sleep(1); /* what is left to do after the last answer is not idling */
	ticks = cpu_ticks(target.supervisor);
	woken = switches(target.supervisor);
	sleep(IDLE_SECONDS);
	zero_print("    idle for 5 s: CPU ticks", cpu_ticks(target.supervisor) - ticks);
	zero_print("    idle for 5 s: voluntary context switches", switches(target.supervisor) - woken);
	close(target.requests);
	waitpid(target.pid, NULL, 0);
}

int main(void)
{
	confines_measure();
	supervisor_measure();
	return 0;
}
