/* What calls cost that nobody is asked about: bare, behind the least of both walls (the floor: a filter of
 * one instruction that allows everything, and a Landlock ruleset with one rule), and behind Sluice with a
 * directory and the system's files granted.
 *
 * Measured is the thread's CPU time: these calls do not sleep, so being preempted does not count. Left out:
 * what the caches forget on behalf of a longer filter while a real program runs; the "read and hash" row
 * comes nearest.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "bench/bench.h"

enum { ROUNDS = 101, BLOCK = 4096, FILE_SIZE = 65536 };

static char directory[] = "/tmp/sluice-bench.XXXXXX", file[64];
static int file_fd, null_fd, pair[2];

static double cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void getpid_once(void)
{
	syscall(SYS_getpid);
}

static void read_once(void)
{
	char block[BLOCK];

	if (pread(file_fd, block, sizeof(block), 0) != BLOCK)
		die("read: %s", strerror(errno));
}

static void write_once(void)
{
	if (write(null_fd, directory, 1) != 1)
		die("write: %s", strerror(errno));
}

static void open_once(void)
{
	int fd = openat(AT_FDCWD, file, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || close(fd) < 0)
		die("open: %s", strerror(errno));
}

static void stat_once(void)
{
	struct stat status;

	if (stat(file, &status) < 0)
		die("stat: %s", strerror(errno));
}

static void send_once(void)
{
	char data[64] = {0};

	if (sendto(pair[0], data, sizeof(data), MSG_NOSIGNAL, NULL, 0) != sizeof(data) ||
	    read(pair[1], data, sizeof(data)) != sizeof(data))
		die("send: %s", strerror(errno));
}

/* FNV-1a: light, so that the share of the calls is large. */
static uint64_t hash(uint64_t seen, const char *data, ssize_t size)
{
	for (ssize_t i = 0; i < size; i++)
		seen = (seen ^ (uint8_t)data[i]) * 0x100000001b3ull;
	return seen;
}

static void mixed_once(void)
{
	static volatile uint64_t seen;
	char block[BLOCK];
	struct stat status;
	ssize_t n;
	int fd = openat(AT_FDCWD, file, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &status) < 0)
		die("open: %s", strerror(errno));
	while ((n = read(fd, block, sizeof(block))) > 0)
		seen = hash(seen, block, n);
	if (n < 0 || close(fd) < 0)
		die("read: %s", strerror(errno));
}

/* The call is constant-folded into the loop: `once` is known at each place. */
static inline __attribute__((always_inline)) void loop(void (*once)(void), unsigned repeats, double ns[PARTS])
{
	double start = cpu_ns();

	for (unsigned i = 0; i < repeats; i++)
		once();
	ns[0] = (cpu_ns() - start) / repeats;
}

#define RUN(once)                                                  \
	static void run_##once(unsigned repeats, double ns[PARTS]) \
	{                                                          \
		loop(once, repeats, ns);                           \
	}
RUN(getpid_once)
RUN(read_once)
RUN(write_once)
RUN(open_once)
RUN(stat_once)
RUN(send_once)
RUN(mixed_once)

enum { MIXED = 6, WORKS };
static const struct work works[WORKS] = {
	{"getpid", run_getpid_once, 20000},
	{"read 4 KiB of a file", run_read_once, 8000},
	{"write to /dev/null", run_write_once, 20000},
	{"openat and close, granted directory", run_open_once, 2000},
	{"stat", run_stat_once, 4000},
	{"sendto and read, unix stream pair", run_send_once, 4000},
	[MIXED] = {"open, fstat, read and hash 64 KiB, close", run_mixed_once, 50},
};

static void landlock_least(void)
{
	struct landlock_ruleset_attr handled = {.handled_access_fs = LANDLOCK_ACCESS_FS_READ_FILE};
	struct landlock_path_beneath_attr rule = {
		.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE,
		.parent_fd = open(directory, O_PATH | O_CLOEXEC),
	};
	int ruleset =
		(int)syscall(SYS_landlock_create_ruleset, &handled, sizeof(handled.handled_access_fs), 0);

	if (ruleset < 0 ||
	    syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0 ||
	    syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		die("landlock: %s", strerror(errno));
	close(rule.parent_fd);
	close(ruleset);
}

static void enter_floor(void)
{
	struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
	struct sock_fprog program = {.len = 1, .filter = code};

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	landlock_least();
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
		die("seccomp: %s", strerror(errno));
}

static void enter_sluice(void)
{
	confine((const char *const[]){"fs-system", NULL, "fs-read", directory, NULL});
}

enum { BARE, FLOOR, SLUICE, LANES };
static struct lane lanes[LANES] = {
	[BARE] = {.name = "bare"},
	[FLOOR] = {.name = "floor", .enter = enter_floor},
	[SLUICE] = {.name = "sluice", .enter = enter_sluice},
};

static void files_make(void)
{
	char block[BLOCK];

	memset(block, 'x', sizeof(block));
	if (mkdtemp(directory) == NULL)
		die("%s: %s", directory, strerror(errno));
	snprintf(file, sizeof(file), "%s/file", directory);
	file_fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (file_fd < 0 || null_fd < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		die("%s: %s", file, strerror(errno));
	for (int i = 0; i < FILE_SIZE / BLOCK; i++)
		if (write(file_fd, block, sizeof(block)) != BLOCK)
			die("%s: %s", file, strerror(errno));
}

static void files_remove(void)
{
	unlink(file);
	rmdir(directory);
}

static void work_measure(unsigned work)
{
	double ratio;

	lanes_run(lanes, LANES, work, ROUNDS);
	ratio = lanes_ratio(&lanes[SLUICE], &lanes[BARE], 0, ROUNDS);
	row_print(&(struct row){
		.what = works[work].name,
		.unit = "ns",
		.bare = lane_median(&lanes[BARE], 0, ROUNDS),
		.floor = lane_median(&lanes[FLOOR], 0, ROUNDS),
		.sluice = lane_median(&lanes[SLUICE], 0, ROUNDS),
		.ratio = text("%.3f of bare", ratio),
		.target = work == MIXED ? "<= 1.02" : NULL,
		.met = ratio <= 1.02,
	});
}

int main(void)
{
	files_make();
	atexit(files_remove);
	lanes_start(lanes, LANES, works);
	for (unsigned work = 0; work < WORKS; work++)
		work_measure(work);
	lanes_stop(lanes, LANES);
	return 0;
}
