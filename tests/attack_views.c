/* Against the views: who rewrites the path, the directory or the link while open(2) is being looked at gets nothing that
 * Landlock forbids; pointers, sizes and lengths that are not well meant are answered as bare; and the supervisor neither
 * grows nor dies of it. Each race runs bare too, where it must get what is forbidden. */
#include "tests/common/common.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#define NAME   "box"
#define SECRET "nobody is to read this\n"
#define POLICY_OF_RACE                                                                                \
	POLICY("fs-system", "", "fs-read", "/etc/hostname", "fs-read", "/proc", "fs-write", inside(), \
	       "name", NAME)

static const char *inside(void)
{
	return text_of("%s/in", scratch());
}

static const char *outside(void)
{
	return text_of("%s/out", scratch());
}

static double play_seconds(void)
{
	return long_run() ? 30 : 3;
}

/* ---- races ---- */

struct score {
	long opens, views, real, own, refused, missing, other, wins;
	int other_error;
};

static void score_add(struct score *score, int fd)
{
	char seen[64] = {0};

	score->opens++;
	if (fd < 0) {
		if (errno == EACCES)
			score->refused++;
		else if (errno == ENOENT || errno == ENOTDIR || errno == EFAULT || errno == ELOOP)
			score->missing++;
		else
			score->other++, score->other_error = errno;
		return;
	}
	if (read(fd, seen, sizeof(seen) - 1) < 0)
		score->other++, score->other_error = errno;
	else if (strcmp(seen, SECRET) == 0)
		score->wins++;
	else if (strcmp(seen, NAME "\n") == 0)
		score->views++;
	else if (strcmp(seen, "own") == 0)
		score->own++;
	else
		score->real++;
	close(fd);
}

struct race {
	const char *name;
	void (*flip)(struct race *race, unsigned turn);
	int (*open)(struct race *race);
	char path[PATH_MAX], secret[PATH_MAX], outside[PATH_MAX], next[PATH_MAX], link[PATH_MAX],
		below[PATH_MAX];
	int etc, out, number;
	char *page;
	atomic_bool over;
};

/* A name and another of the same length, byte by byte and not: whoever reads in between sees a mixture. */
static void flip_bytes(struct race *race, unsigned turn)
{
	const char *to = turn % 2 ? "/etc/hostname" : race->secret;

	memcpy(race->path, to, strlen(to) + 1);
}

static int open_path(struct race *race)
{
	return open(race->path, O_RDONLY | O_CLOEXEC);
}

static int open_path2(struct race *race)
{
	static const struct open_how how = {.flags = O_RDONLY | O_CLOEXEC};

	return (int)syscall(SYS_openat2, AT_FDCWD, race->path, &how, sizeof(how));
}

static void flip_number(struct race *race, unsigned turn)
{
	dup2(turn % 2 ? race->etc : race->out, race->number);
}

static int open_below(struct race *race)
{
	return openat(race->number, "hostname", O_RDONLY | O_CLOEXEC);
}

static void flip_link(struct race *race, unsigned turn)
{
	unlink(race->next);
	if (symlink(turn % 2 ? "/etc" : race->outside, race->next) == 0)
		rename(race->next, race->link);
}

static int open_link(struct race *race)
{
	return open(race->below, O_RDONLY | O_CLOEXEC);
}

/* The page with the path comes, goes, and comes with another path in it. */
static void flip_page(struct race *race, unsigned turn)
{
	if (turn % 3 == 2) {
		munmap(race->page, 4096);
		return;
	}
	if (mmap(race->page, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
	    race->page)
		strcpy(race->page, turn % 3 ? "/etc/hostname" : race->secret);
}

static int open_page(struct race *race)
{
	return open(race->page, O_RDONLY | O_CLOEXEC);
}

static struct race races[] = {
	{.name = "path", .flip = flip_bytes, .open = open_path},
	{.name = "path, openat2", .flip = flip_bytes, .open = open_path2},
	{.name = "page", .flip = flip_page, .open = open_page},
	{.name = "directory number", .flip = flip_number, .open = open_below},
	{.name = "symbolic link", .flip = flip_link, .open = open_link},
};
enum { RACES = sizeof(races) / sizeof(races[0]) };

static void *race_writer(void *context)
{
	struct race *race = context;

	for (unsigned turn = 0; !atomic_load(&race->over); turn++)
		race->flip(race, turn);
	return NULL;
}

static void race_set(struct race *race)
{
	snprintf(race->secret, sizeof(race->secret), "%s/hostname", outside());
	snprintf(race->outside, sizeof(race->outside), "%s", outside());
	snprintf(race->next, sizeof(race->next), "%s/next", inside());
	snprintf(race->link, sizeof(race->link), "%s/link", inside());
	snprintf(race->below, sizeof(race->below), "%s/link/hostname", inside());
	strcpy(race->path, "/etc/hostname");
	race->etc = open("/etc", O_PATH | O_CLOEXEC);
	race->out = open(outside(), O_PATH | O_CLOEXEC);
	race->number = dup(race->etc);
	race->page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	flip_page(race, 0);
	flip_link(race, 0);
	atomic_store(&race->over, false);
}

/* Bare until the first win. Confined until the end, and on a machine that is busy until both answers were seen. */
static bool race_goes_on(const struct score *score, double end, bool confined)
{
	double now = seconds_now();

	if (!confined)
		return score->wins == 0 && now < end + 20;
	return now < end || (now < end + 20 && (score->views == 0 || score->refused == 0));
}

/* 0, or EPERM for the forbidden. */
static int race_run(void *context)
{
	struct race *race = context;
	struct score score = {0};
	double end = seconds_now() + play_seconds();
	struct utsname names;
	pthread_t writer;

	race_set(race);
	EXPECT(uname(&names) == 0);
	EXPECT(pthread_create(&writer, NULL, race_writer, race) == 0);
	while (race_goes_on(&score, end, strcmp(names.nodename, NAME) == 0))
		for (int i = 0; i < 64; i++)
			score_add(&score, race->open(race));
	atomic_store(&race->over, true);
	pthread_join(writer, NULL);
	fprintf(stderr,
	        "# %s, %s: %ld opens: %ld views, %ld real, %ld refused, %ld missing, %ld other (%s), %ld forbidden\n",
	        race->name, names.nodename, score.opens, score.views, score.real, score.refused,
	        score.missing, score.other, strerror(score.other_error), score.wins);
	EXPECT(score.other == 0);
	if (score.wins > 0)
		return EPERM;
	/* The writer was fast enough for both to be seen, and afterwards all is as before. */
	EXPECT(score.views > 0 && score.refused > 0);
	strcpy(race->path, "/etc/hostname");
	score = (struct score){0};
	score_add(&score, open_path(race));
	EXPECT(score.views == 1);
	return 0;
}

static void races_get_nothing_that_is_forbidden(void **state)
{
	(void)state;
	if (access("/etc/hostname", R_OK) < 0)
		SKIP_BECAUSE("there is no /etc/hostname");
	for (size_t i = 0; i < RACES; i++) {
		assert_int_equal(attempt_bare(race_run, &races[i]), EPERM);
		assert_int_equal(attempt_confined(POLICY_OF_RACE, race_run, &races[i]), 0);
	}
}

/* ---- pointers and sizes ---- */

/* A raw call: its result, or -errno. Paths and structures are made anew in each process. */
struct odd_call {
	const char *name;
	long (*call)(void);
	long bare;
};

static char *hole_after(const char *text, size_t size)
{
	char *pages = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	munmap(pages + 2 * 4096, 4096);
	memset(pages, 'a', 2 * 4096);
	return memcpy(pages + 2 * 4096 - size, text, size);
}

static long result(long r)
{
	return r < 0 ? -errno : 0;
}

#define ODD(name, expression)        \
	static long name(void)       \
	{                            \
		return (expression); \
	}
#define HOW(...) (&(struct open_how){__VA_ARGS__})

static const char path_at[] = "/proc/cpuinfo";

ODD(open_null, result(syscall(SYS_open, NULL, O_RDONLY)))
ODD(open_low, result(syscall(SYS_open, 1, O_RDONLY)))
ODD(open_kernel, result(syscall(SYS_open, 0xffffffff81000000, O_RDONLY)))
ODD(open_top, result(syscall(SYS_open, -1, O_RDONLY)))
ODD(open_last_byte, result(syscall(SYS_open, 0x7fffffffefff, O_RDONLY)))
ODD(open_non_canonical, result(syscall(SYS_open, 0x8000000000000000, O_RDONLY)))
ODD(open_no_end, result(syscall(SYS_open, hole_after("/proc/cpuinfo", 13), O_RDONLY)))
ODD(open_end, result(syscall(SYS_open, hole_after("/proc/cpuinfo", 14), O_RDONLY)))
ODD(open_empty, result(syscall(SYS_open, "", O_RDONLY)))
ODD(open_slash, result(syscall(SYS_open, "/", O_RDONLY)))
ODD(open_bits, result(syscall(SYS_open, path_at, 1L << 32)))
ODD(openat_number_bits, result(syscall(SYS_openat, 1L << 32 | (uint32_t)AT_FDCWD, path_at, 0)))
ODD(openat_closed, result(syscall(SYS_openat, 999, "cpuinfo", 0)))
ODD(openat_null, result(syscall(SYS_openat, AT_FDCWD, NULL, 0)))

static long open_long(void)
{
	char *path = malloc(2 * PATH_MAX);

	memset(path, '/', 2 * PATH_MAX);
	strcpy(path + PATH_MAX - 1 - 13, path_at); /* the longest that there is */
	if (result(syscall(SYS_open, path, O_RDONLY)) != 0)
		return -errno;
	strcpy(path + PATH_MAX - 13, path_at);
	return result(syscall(SYS_open, path, O_RDONLY));
}

/* As long as a name may be, and longer. */
static long open_name(void)
{
	static char path[NAME_MAX + 16];

	memset(path, 'n', NAME_MAX + 1);
	strcpy(path + NAME_MAX + 1, "/cpuinfo");
	return result(syscall(SYS_open, path, O_RDONLY));
}

static long openat2_of(const struct open_how *how, size_t size)
{
	return result(syscall(SYS_openat2, AT_FDCWD, path_at, how, size));
}

static const struct open_how *how_with_tail(char byte)
{
	char *pages = hole_after("", 0) - 2 * 4096;

	memset(pages, 0, 2 * 4096);
	pages[100] = byte;
	return (const struct open_how *)pages;
}

ODD(how_0, openat2_of(HOW(0), 0))
ODD(how_23, openat2_of(HOW(0), 23))
ODD(how_24, openat2_of(HOW(0), 24))
ODD(how_zero_tail, openat2_of(how_with_tail(0), 4096))
ODD(how_tail, openat2_of(how_with_tail(1), 4096))
ODD(how_4097, openat2_of(how_with_tail(0), 4097))
ODD(how_huge, openat2_of(how_with_tail(0), SIZE_MAX))
ODD(how_wraps, openat2_of(how_with_tail(0), (1UL << 32) + 24))
ODD(how_null, openat2_of(NULL, 24))
ODD(how_hole, openat2_of((void *)(hole_after("", 0) - 12), 24))
ODD(how_flags, openat2_of(HOW(.flags = 1ULL << 40), 24))
ODD(how_flags_high, openat2_of(HOW(.flags = 1ULL << 32), 24))
ODD(how_flags_unknown, openat2_of(HOW(.flags = 1u << 30), 24))
ODD(how_mode, openat2_of(HOW(.mode = 0644), 24))
ODD(how_resolve, openat2_of(HOW(.resolve = 1ULL << 40), 24))
ODD(how_beneath, openat2_of(HOW(.resolve = RESOLVE_BENEATH), 24))
ODD(how_path_null, result(syscall(SYS_openat2, AT_FDCWD, NULL, HOW(0), 24)))

ODD(uname_null, result(syscall(SYS_uname, NULL)))
ODD(uname_kernel, result(syscall(SYS_uname, 0xffffffff81000000)))
ODD(uname_code, result(syscall(SYS_uname, (long)uname_null & ~4095L)))
ODD(uname_hole, result(syscall(SYS_uname, hole_after("", 0) - 389)))
ODD(uname_fits, result(syscall(SYS_uname, hole_after("", 0) - 390)))

static unsigned long room[4096];

static long mask_of(pid_t pid, unsigned long size, void *to)
{
	long r = syscall(SYS_sched_getaffinity, pid, size, to);

	return r < 0 ? -errno : r;
}

ODD(mask_0, mask_of(0, 0, room))
ODD(mask_1, mask_of(0, 1, room))
ODD(mask_7, mask_of(0, 7, room))
ODD(mask_8, mask_of(0, 8, room))
ODD(mask_9, mask_of(0, 9, room))
ODD(mask_128, mask_of(0, 128, room))
ODD(mask_1024, mask_of(0, 1024, room))
ODD(mask_1032, mask_of(0, 1032, room))
ODD(mask_odd, mask_of(0, 1025, room))
ODD(mask_all, mask_of(0, sizeof(room), room))
ODD(mask_huge, mask_of(0, 0x7ffffff8, room))
ODD(mask_negative, mask_of(0, -8UL, room))
ODD(mask_minus_one, mask_of(0, -1UL, room))
ODD(mask_wraps, mask_of(0, 0x20000000, room))
ODD(mask_wraps_more, mask_of(0, 0x20000008, room))
ODD(mask_upper, mask_of(0, 1UL << 32, room))
ODD(mask_upper_128, mask_of(0, (1UL << 32) + 128, room))
ODD(mask_null, mask_of(0, 128, NULL))
ODD(mask_kernel, mask_of(0, 128, (void *)0xffffffff81000000))
ODD(mask_code, mask_of(0, 128, (void *)((long)mask_null & ~4095L)))
ODD(mask_nobody, mask_of(INT_MAX, 128, room))
ODD(mask_nobody_null, mask_of(INT_MAX, 128, NULL))
ODD(mask_negative_pid, mask_of(-1, 128, room))
ODD(mask_init, mask_of(1, 128, room))

#define ROW(name)              \
	{                      \
#name, name, 0 \
	}
static struct odd_call odd_calls[] = {
	ROW(open_null),
	ROW(open_low),
	ROW(open_kernel),
	ROW(open_top),
	ROW(open_last_byte),
	ROW(open_non_canonical),
	ROW(open_no_end),
	ROW(open_end),
	ROW(open_empty),
	ROW(open_slash),
	ROW(open_bits),
	ROW(openat_number_bits),
	ROW(openat_closed),
	ROW(openat_null),
	ROW(open_long),
	ROW(open_name),
	ROW(how_0),
	ROW(how_23),
	ROW(how_24),
	ROW(how_zero_tail),
	ROW(how_tail),
	ROW(how_4097),
	ROW(how_huge),
	ROW(how_wraps),
	ROW(how_null),
	ROW(how_hole),
	ROW(how_flags),
	ROW(how_flags_high),
	ROW(how_flags_unknown),
	ROW(how_mode),
	ROW(how_resolve),
	ROW(how_beneath),
	ROW(how_path_null),
	ROW(uname_null),
	ROW(uname_kernel),
	ROW(uname_code),
	ROW(uname_hole),
	ROW(uname_fits),
	ROW(mask_0),
	ROW(mask_1),
	ROW(mask_7),
	ROW(mask_8),
	ROW(mask_9),
	ROW(mask_128),
	ROW(mask_1024),
	ROW(mask_1032),
	ROW(mask_odd),
	ROW(mask_all),
	ROW(mask_huge),
	ROW(mask_negative),
	ROW(mask_minus_one),
	ROW(mask_wraps),
	ROW(mask_wraps_more),
	ROW(mask_upper),
	ROW(mask_upper_128),
	ROW(mask_null),
	ROW(mask_kernel),
	ROW(mask_code),
	ROW(mask_nobody),
	ROW(mask_nobody_null),
	ROW(mask_negative_pid),
	ROW(mask_init),
};
enum { ODD_CALLS = sizeof(odd_calls) / sizeof(odd_calls[0]) };

static int odd_calls_made(void *context)
{
	int different = 0;

	(void)context;
	for (size_t i = 0; i < ODD_CALLS; i++) {
		long now = odd_calls[i].call();

		if (now != odd_calls[i].bare) {
			fprintf(stderr, "# %s: %ld, bare %ld\n", odd_calls[i].name, now, odd_calls[i].bare);
			different++;
		}
	}
	return different;
}

static void odd_arguments_are_answered_as_bare(void **state)
{
	const char *const *policy = POLICY("fs-read", "/", "name", NAME, "num-cpus", "1");

	(void)state;
	for (size_t i = 0; i < ODD_CALLS; i++)
		odd_calls[i].bare = odd_calls[i].call();
	/* They are the errors that they look like. */
	assert_int_equal(open_no_end(), -EFAULT);
	assert_int_equal(open_long(), -ENAMETOOLONG);
	assert_int_equal(mask_wraps(), -EINVAL);
	assert_int_equal(how_23(), -EINVAL);
	assert_int_equal(uname_hole(), -EFAULT);
	assert_int_equal(attempt_confined(POLICY("fs-read", "/"), odd_calls_made, NULL), 0);
	assert_int_equal(attempt_confined(policy, odd_calls_made, NULL), 0);
}

/* Nothing is written beyond what the kernel would write. */
static int bounds_kept(void *context)
{
	static unsigned char bytes[8192];
	long size;

	(void)context;
	memset(bytes, 0xa5, sizeof(bytes));
	size = syscall(SYS_sched_getaffinity, 0, 4096, bytes + 8);
	EXPECT(size > 0 && size <= 4096);
	for (size_t i = 0; i < sizeof(bytes); i++)
		EXPECT((i >= 8 && i < 8 + (size_t)size) || bytes[i] == 0xa5);
	memset(bytes, 0xa5, sizeof(bytes));
	EXPECT(uname((struct utsname *)(bytes + 1)) == 0);
	for (size_t i = 0; i < sizeof(bytes); i++)
		EXPECT((i >= 1 && i < 391) || bytes[i] == 0xa5);
	return 0;
}

static void nothing_is_written_beside_it(void **state)
{
	(void)state;
	assert_int_equal(attempt_bare(bounds_kept, NULL), 0);
	assert_int_equal(attempt_confined(POLICY("name", NAME, "num-cpus", "1"), bounds_kept, NULL), 0);
}

/* ---- floods ---- */

static long kib_of(pid_t process, const char *field)
{
	char line[256], path[64];
	long found = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", process);
	if ((file = fopen(path, "re")) == NULL)
		return -1;
	while (fgets(line, sizeof(line), file) != NULL)
		if (strncmp(line, field, strlen(field)) == 0)
			found = strtol(line + strlen(field), NULL, 10);
	fclose(file);
	return found;
}

/* As many as there may be: one file, and no descriptor nor memory of the supervisor's for each. */
static int flooded(void *context)
{
	static const char *const paths[] = {"/proc/cpuinfo", "/proc/stat"};
	struct rlimit limit = {.rlim_cur = 1000, .rlim_max = 4096};
	pid_t gate = supervisor_of(getpid());
	int before = open_descriptors(gate), fd;
	struct stat first, other;
	long rss;

	(void)context;
	EXPECT(gate > 0 && setrlimit(RLIMIT_NOFILE, &limit) == 0);
	EXPECT((fd = open(paths[0], O_RDONLY)) >= 0 && fstat(fd, &first) == 0 && close(fd) == 0);
	rss = kib_of(gate, "VmRSS:");
	for (int round = 0; round < 20; round++) {
		int opened[1000], count = 0;

		while ((fd = open(paths[round % 2], O_RDONLY)) >= 0)
			opened[count++] = fd;
		EXPECT(errno == EMFILE && count > 900 && opened[count - 1] == 999);
		EXPECT(fstat(999, &other) == 0);
		EXPECT(round % 2 == 1 || (other.st_ino == first.st_ino && other.st_dev == first.st_dev));
		while (count > 0)
			close(opened[--count]);
	}
	fprintf(stderr, "# 20000 opens: the supervisor had %ld KiB and %d descriptors, and has %ld and %d\n",
	        rss, before, kib_of(gate, "VmRSS:"), open_descriptors(gate));
	EXPECT(open_descriptors(gate) <= before); /* that of the hand-over may go meanwhile */
	EXPECT(kib_of(gate, "VmRSS:") <= rss + 512);
	return 0;
}

static void floods_leave_the_supervisor_as_it_was(void **state)
{
	(void)state;
	assert_int_equal(
		attempt_confined(POLICY("fs-read", "/", "num-cpus", "1", "name", NAME), flooded, NULL), 0);
}

static void *opener(void *context)
{
	const char *path = context;

	for (int i = 0; i < 2000; i++) {
		char seen[16] = {0};
		int fd = open(path, O_RDONLY | O_CLOEXEC);

		if (fd < 0 || read(fd, seen, 15) < 0 || seen[0] == '\0' || close(fd) < 0)
			return context;
	}
	return NULL;
}

static int crowd(void *context)
{
	static const char *const paths[] = {"/etc/hostname", "/proc/cpuinfo", "/proc/stat", "/etc/passwd"};
	pthread_t threads[16];
	void *failed = NULL, *one;

	(void)context;
	for (size_t i = 0; i < 16; i++)
		EXPECT(pthread_create(&threads[i], NULL, opener, (void *)paths[i % 4]) == 0);
	for (size_t i = 0; i < 16; i++) {
		EXPECT(pthread_join(threads[i], &one) == 0);
		failed = one != NULL ? one : failed;
	}
	EXPECT(failed == NULL);
	return 0;
}

static void a_crowd_is_served(void **state)
{
	(void)state;
	if (access("/etc/hostname", R_OK) < 0)
		SKIP_BECAUSE("there is no /etc/hostname");
	assert_int_equal(attempt_bare(crowd, NULL), 0);
	assert_int_equal(attempt_confined(POLICY("fs-read", "/", "num-cpus", "1", "name", NAME), crowd, NULL),
	                 0);
}

/* Its mode is the caller's to change where the file is its own: it then keeps itself out, and nobody else. */
static int mode_taken(void *context)
{
	int fd = open("/proc/cpuinfo", O_RDONLY), again;
	struct utsname names;

	(void)context;
	EXPECT(fd >= 0);
	if (fchmod(fd, 0) < 0)
		return 0;
	again = open("/proc/cpuinfo", O_RDONLY);
	EXPECT(again >= 0 || errno == EACCES);
	EXPECT((again = open("/proc/stat", O_RDONLY)) >= 0);
	EXPECT(uname(&names) == 0 && strcmp(names.nodename, NAME) == 0);
	return 0;
}

static void a_mode_of_none_hurts_nobody_else(void **state)
{
	(void)state;
	assert_int_equal(
		attempt_confined(POLICY("fs-read", "/", "num-cpus", "1", "name", NAME), mode_taken, NULL), 0);
}

static int file_make(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	return fd < 0 || write(fd, text, strlen(text)) < 0 || close(fd) < 0 ? -1 : 0;
}

static int places_make(void **state)
{
	(void)state;
	return mkdir(inside(), 0755) < 0 || mkdir(outside(), 0755) < 0 ||
	                       file_make(text_of("%s/hostname", outside()), SECRET) < 0
	               ? -1
	               : 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(races_get_nothing_that_is_forbidden),
		cmocka_unit_test(odd_arguments_are_answered_as_bare),
		cmocka_unit_test(nothing_is_written_beside_it),
		cmocka_unit_test(floods_leave_the_supervisor_as_it_was),
		cmocka_unit_test(a_crowd_is_served),
		cmocka_unit_test(a_mode_of_none_hurts_nobody_else),
	};

	return cmocka_run_group_tests_name("views", tests, places_make, NULL);
}
