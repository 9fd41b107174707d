/* name and num-cpus: what a sandbox sees of the machine. Each view runs bare and without the key too, where it must show
 * the machine itself. */
#include "tests/common/common.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NAME "box.example"
#define FILES                                                                                           \
	"fs-system", "", "fs-read", "/etc/hostname", "fs-read", "/proc", "fs-read", "/sys", "fs-write", \
		scratch()
#define VIEWED POLICY(FILES, "name", NAME, "num-cpus", "1")
#define PLAIN  POLICY(FILES)
#define CPUS   "/sys/devices/system/cpu/"

static char text[1 << 20];

/* What is in a file: the text, or NULL. */
static const char *slurp_fd(int fd)
{
	size_t used = 0;
	ssize_t n;

	if (fd < 0)
		return NULL;
	while ((n = read(fd, text + used, sizeof(text) - 1 - used)) > 0)
		used += (size_t)n;
	close(fd);
	text[used] = '\0';
	return n < 0 ? NULL : text;
}

static const char *slurp(const char *path)
{
	return slurp_fd(open(path, O_RDONLY | O_CLOEXEC));
}

static bool says(const char *seen, const char *wanted)
{
	return seen != NULL && strcmp(seen, wanted) == 0;
}

static int lines_with(const char *seen, const char *start)
{
	int count = 0;

	for (const char *at = seen; at != NULL && *at != '\0'; at = strchr(at, '\n'), at += at != NULL)
		count += strncmp(at, start, strlen(start)) == 0;
	return count;
}

/* Bare and without the key it says ENODATA: the machine is seen. */
static void viewed_only(attempt_fn attempt)
{
	assert_int_equal(attempt_bare(attempt, NULL), ENODATA);
	assert_int_equal(attempt_confined(PLAIN, attempt, NULL), ENODATA);
	assert_int_equal(attempt_confined(VIEWED, attempt, NULL), 0);
}

/* ---- the name ---- */

static int name_seen(void *context)
{
	struct utsname names;
	char host[80];

	(void)context;
	EXPECT(uname(&names) == 0 && gethostname(host, sizeof(host)) == 0);
	EXPECT(strcmp(names.nodename, host) == 0);
	return strcmp(host, NAME) == 0 ? 0 : ENODATA;
}

static void the_name_is_seen_by_uname_and_gethostname(void **state)
{
	(void)state;
	viewed_only(name_seen);
}

static int name_read(void *context)
{
	(void)context;
	return says(slurp(context), NAME "\n") ? 0 : ENODATA;
}

static void the_name_is_read_from_files(void **state)
{
	static const char *const paths[] = {"/etc/hostname", "/proc/sys/kernel/hostname"};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		if (access(paths[i], R_OK) < 0)
			continue;
		assert_int_equal(attempt_bare(name_read, (void *)paths[i]), ENODATA);
		assert_int_equal(attempt_confined(PLAIN, name_read, (void *)paths[i]), ENODATA);
		assert_int_equal(attempt_confined(VIEWED, name_read, (void *)paths[i]), 0);
		assert_int_equal(
			attempt_confined(POLICY(FILES, "num-cpus", "1"), name_read, (void *)paths[i]),
			ENODATA);
	}
}

/* By personality: what the kernel says bare, but for the name. */
static struct utsname bare_names[4];
static const unsigned personas[4] = {0, PER_LINUX32, UNAME26, PER_LINUX32 | UNAME26};

static int names_compared(void *context)
{
	for (size_t i = 0; i < 4; i++) {
		struct utsname names, wanted = bare_names[i];

		EXPECT(personality(personas[i]) >= 0 && uname(&names) == 0);
		EXPECT(strcmp(names.nodename, *(const char **)context) == 0);
		memcpy(wanted.nodename, names.nodename, sizeof(names.nodename));
		EXPECT(memcmp(&names, &wanted, sizeof(names)) == 0);
	}
	return 0;
}

static void the_rest_of_uname_is_native(void **state)
{
	static const char longest[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	const char *bare = bare_names[0].nodename, *name = NAME, *long_one = longest;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		personality(personas[i]);
		assert_int_equal(uname(&bare_names[i]), 0);
	}
	personality(0);
	assert_string_not_equal(bare_names[0].machine, bare_names[1].machine);
	assert_string_not_equal(bare_names[0].release, bare_names[2].release);
	assert_int_equal(attempt_bare(names_compared, &bare), 0);
	assert_int_equal(attempt_confined(VIEWED, names_compared, &name), 0);
	assert_int_equal(attempt_confined(POLICY("name", longest), names_compared, &long_one), 0);
}

/* ---- the CPUs ---- */

static int mask_seen(void *context)
{
	cpu_set_t set;

	(void)context;
	EXPECT(sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0);
	return CPU_COUNT(&set) == 1 ? 0 : ENODATA;
}

static int online_seen(void *context)
{
	(void)context;
	return sysconf(_SC_NPROCESSORS_ONLN) == 1 ? 0 : ENODATA;
}

static int configured_seen(void *context)
{
	(void)context;
	EXPECT(says(slurp(CPUS "possible"), "0\n") == says(slurp(CPUS "present"), "0\n"));
	return says(slurp(CPUS "possible"), "0\n") && says(slurp(CPUS "online"), "0\n") ? 0 : ENODATA;
}

static int cpuinfo_seen(void *context)
{
	int count = lines_with(slurp("/proc/cpuinfo"), "processor");

	(void)context;
	EXPECT(count > 0 && strstr(text, "\nflags\t") != NULL);
	return count == 1 ? 0 : ENODATA;
}

static int stat_seen(void *context)
{
	int count = lines_with(slurp("/proc/stat"), "cpu");

	(void)context;
	EXPECT(count > 1 && lines_with(text, "cpu ") == 1);
	EXPECT(lines_with(text, "btime ") == 1 && lines_with(text, "softirq ") == 1);
	return count == 2 ? 0 : ENODATA;
}

static void one_CPU_is_seen_everywhere(void **state)
{
	static const attempt_fn attempts[] = {mask_seen, online_seen, configured_seen, cpuinfo_seen,
	                                      stat_seen};

	(void)state;
	if (sysconf(_SC_NPROCESSORS_ONLN) == 1)
		SKIP_BECAUSE("this machine has one CPU: a view of one shows nothing");
	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++)
		viewed_only(attempts[i]);
}

/* Without a grant of /sys and /proc what is left to sysconf(3) is the mask. */
static void the_mask_alone_is_enough(void **state)
{
	(void)state;
	assert_int_equal(attempt_confined(POLICY("fs-system", "", "num-cpus", "1"), online_seen, NULL), 0);
}

static int all_seen(void *context)
{
	cpu_set_t set;

	(void)context;
	EXPECT(sched_getaffinity(0, sizeof(set), &set) == 0);
	return CPU_COUNT(&set) == *(int *)context && sysconf(_SC_NPROCESSORS_ONLN) == *(int *)context &&
	                       lines_with(slurp("/proc/cpuinfo"), "processor") == *(int *)context &&
	                       lines_with(slurp("/proc/stat"), "cpu") == *(int *)context + 1
	               ? 0
	               : ENODATA;
}

static void more_than_there_are_is_all_there_are(void **state)
{
	int all = (int)sysconf(_SC_NPROCESSORS_ONLN);

	(void)state;
	assert_int_equal(attempt_bare(all_seen, &all), 0);
	assert_int_equal(attempt_confined(POLICY(FILES, "num-cpus", "1024"), all_seen, &all), 0);
	assert_int_equal(attempt_confined(POLICY(FILES, "num-cpus", text_of("%d", all)), all_seen, &all), 0);
}

static void *thread_wait(void *context)
{
	int *pipes = context;
	int tid = (int)syscall(SYS_gettid);

	if (write(pipes[1], &tid, sizeof(tid)) == sizeof(tid) && read(pipes[2], &tid, 1) == 1)
		return NULL;
	return context;
}

/* The lowest of what it has; a mask is still set as before, and others' masks are theirs. */
static int masks_moved(void *context)
{
	int last = *(int *)context, to[2], from[2], ends[3], tid;
	cpu_set_t set;
	pthread_t thread;

	CPU_ZERO(&set);
	CPU_SET(last, &set);
	EXPECT(sched_setaffinity(0, sizeof(set), &set) == 0);
	CPU_ZERO(&set);
	EXPECT(sched_getaffinity(0, sizeof(set), &set) == 0);
	EXPECT(CPU_COUNT(&set) == 1 && CPU_ISSET(last, &set));
	EXPECT(sched_getcpu() == last);
	EXPECT(pipe(to) == 0 && pipe(from) == 0);
	ends[1] = from[1], ends[2] = to[0];
	EXPECT(pthread_create(&thread, NULL, thread_wait, ends) == 0);
	EXPECT(read(from[0], &tid, sizeof(tid)) == sizeof(tid));
	CPU_SET(0, &set);
	EXPECT(sched_setaffinity(tid, sizeof(set), &set) == 0);
	EXPECT(sched_getaffinity(tid, sizeof(set), &set) == 0 && CPU_COUNT(&set) == 1 && CPU_ISSET(0, &set));
	EXPECT(sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) == 1 && CPU_ISSET(last, &set));
	EXPECT(write(to[1], "", 1) == 1 && pthread_join(thread, NULL) == 0);
	EXPECT(sched_getaffinity(INT_MAX, sizeof(set), &set) < 0 && errno == ESRCH);
	return 0;
}

static void masks_are_still_set(void **state)
{
	int last = (int)sysconf(_SC_NPROCESSORS_ONLN) - 1;

	(void)state;
	if (last == 0)
		SKIP_BECAUSE("this machine has one CPU");
	assert_int_equal(attempt_confined(VIEWED, masks_moved, &last), 0);
}

/* A machine that does nothing all day is not what is tested; that it is another text later is. */
static int stat_moves(void *context)
{
	struct timespec pause = {.tv_nsec = 300000000};
	static char before[sizeof(text)];
	const char *now = slurp("/proc/stat");

	(void)context;
	EXPECT(now != NULL);
	memcpy(before, now, sizeof(before));
	for (int i = 0; i < 20 && says(slurp("/proc/stat"), before); i++)
		nanosleep(&pause, NULL);
	return says(slurp("/proc/stat"), before) ? ENODATA : 0;
}

static void stat_goes_on(void **state)
{
	(void)state;
	assert_int_equal(attempt_bare(stat_moves, NULL), 0);
	assert_int_equal(attempt_confined(VIEWED, stat_moves, NULL), 0);
}

/* ---- ways to a file ---- */

static char *at_the_end_of_a_page(const char *path)
{
	char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *to = pages + 4096 - strlen(path) - 1;

	strcpy(to, path);
	munmap(pages + 4096, 4096);
	return to;
}

static int spellings_opened(void *context)
{
	const char *seen = context;
	int etc = open("/etc", O_PATH | O_DIRECTORY | O_CLOEXEC), bin = open("/usr/bin", O_PATH | O_CLOEXEC);
	const char *links[] = {text_of("%s/etc/hostname", scratch()),
	                       text_of("%s/far/etc/hostname", scratch()), text_of("%s/hostname", scratch()),
	                       text_of("/proc/self/fd/%d/hostname", etc),
	                       text_of("/proc/thread-self/fd/%d/../etc/hostname", etc)};
	static const char *const paths[] = {
		"/etc/hostname",
		"//etc///hostname",
		"/etc/../etc/./hostname",
		"/usr/bin/../../etc/hostname",
		"/../../etc/hostname",
		"/proc/self/root/etc/hostname",
		"/proc/thread-self/root/etc/hostname",
		"/proc/self/cwd/hostname",
		"hostname",
		"./hostname",
		"../etc/hostname",
	};
	static const struct open_how how = {.flags = O_RDONLY};

	EXPECT(etc >= 0 && bin >= 0 && chdir("/etc") == 0);
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if (!says(slurp(paths[i]), seen))
			return fprintf(stderr, "# %s: %s\n", paths[i], text);
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		if (!says(slurp(links[i]), seen))
			return fprintf(stderr, "# %s: %s\n", links[i], text);
	EXPECT(says(slurp(at_the_end_of_a_page("/etc/hostname")), seen));
	EXPECT(chdir("/") == 0);
	EXPECT(says(slurp_fd(openat(etc, "hostname", O_RDONLY)), seen));
	EXPECT(says(slurp_fd(openat(bin, "../../etc/hostname", O_RDONLY)), seen));
	EXPECT(says(slurp_fd(openat(-7, "/etc/hostname", O_RDONLY)), seen));
	EXPECT(says(slurp_fd((int)syscall(SYS_open, "/etc/hostname", O_RDONLY)), seen));
	EXPECT(says(slurp_fd((int)syscall(SYS_openat2, etc, "hostname", &how, sizeof(how))), seen));
	EXPECT(openat(-7, "hostname", O_RDONLY) < 0 && errno == EBADF);
	EXPECT(openat(open("/etc/passwd", O_RDONLY), "hostname", O_RDONLY) < 0 && errno == ENOTDIR);
	EXPECT(open("/etc/hostname/", O_RDONLY) < 0 && errno == ENOTDIR);
	EXPECT(open("/etc/hostname/hostname", O_RDONLY) < 0 && errno == ENOTDIR);
	EXPECT(open("/etc/no/../hostname", O_RDONLY) < 0 && errno == ENOENT);
	return 0;
}

/* What /etc/hostname says bare, or NULL. */
static char *real_name(void)
{
	static char real[sizeof(text)];

	return slurp("/etc/hostname") == NULL ? NULL : strcpy(real, text);
}

static int places_make(void **state)
{
	(void)state;
	if (access("/etc/hostname", R_OK) < 0)
		return 0;
	if (symlink("/etc", text_of("%s/etc", scratch())) < 0 ||
	    mkdir(text_of("%s/far", scratch()), 0755) < 0 ||
	    symlink("../etc", text_of("%s/far/etc", scratch())) < 0 ||
	    symlink("far/../etc/hostname", text_of("%s/hostname", scratch())) < 0 ||
	    symlink("/etc/hostname", text_of("%s/other", scratch())) < 0)
		return -1;
	return 0;
}

static void every_way_to_the_file_shows_it(void **state)
{
	char *real = real_name();

	(void)state;
	if (real == NULL)
		SKIP_BECAUSE("there is no /etc/hostname");
	assert_int_equal(attempt_bare(spellings_opened, real), 0);
	assert_int_equal(attempt_confined(POLICY(FILES, "fs-read", "/etc"), spellings_opened, real), 0);
	assert_int_equal(
		attempt_confined(POLICY(FILES, "fs-read", "/etc", "name", NAME), spellings_opened, NAME "\n"),
		0);
}

/* A file of that name elsewhere is itself; a link of another name, and a restricted resolution, are not looked for. */
static int others_opened(void *context)
{
	const char *own = text_of("%s/far/hostname", scratch()), *stat = text_of("%s/stat", scratch());
	static const struct open_how how = {.flags = O_RDONLY, .resolve = RESOLVE_NO_MAGICLINKS};
	int fd = open(own, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	EXPECT(fd >= 0 && write(fd, "own", 3) == 3 && close(fd) == 0);
	EXPECT(says(slurp(own), "own") && unlink(own) == 0);
	EXPECT(mkfifo(stat, 0600) == 0);
	EXPECT((fd = open(stat, O_RDONLY | O_NONBLOCK)) >= 0);
	EXPECT(fcntl(fd, F_GETFL) & O_NONBLOCK);
	EXPECT(close(fd) == 0 && unlink(stat) == 0);
	EXPECT(lines_with(slurp("/proc/self/stat"), text_of("%d (", getpid())) == 1);
	EXPECT(says(slurp(text_of("%s/other", scratch())), context));
	EXPECT(says(slurp_fd((int)syscall(SYS_openat2, AT_FDCWD, "/etc/hostname", &how, sizeof(how))),
	            context));
	return 0;
}

static void other_files_are_themselves(void **state)
{
	char *real = real_name();

	(void)state;
	if (real == NULL)
		SKIP_BECAUSE("there is no /etc/hostname");
	assert_int_equal(attempt_bare(others_opened, real), 0);
	assert_int_equal(attempt_confined(VIEWED, others_opened, real), 0);
}

/* ---- what is not a read, and who may not read ---- */

static int flags_tried(void *context)
{
	struct stat status;
	int fd;

	(void)context;
	EXPECT(open("/etc/hostname", O_RDONLY | O_DIRECTORY) < 0 && errno == ENOTDIR);
	EXPECT(open("/etc/hostname", O_RDONLY | O_CREAT | O_EXCL, 0600) < 0 && errno == EEXIST);
	EXPECT(open(text_of("%s/hostname", scratch()), O_RDONLY | O_NOFOLLOW) < 0 && errno == ELOOP);
	EXPECT((fd = open("/etc/hostname", O_RDONLY | O_NOFOLLOW)) >= 0 && close(fd) == 0);
	EXPECT((fd = open("/etc/hostname", O_PATH)) >= 0 && fstat(fd, &status) == 0);
	EXPECT(status.st_nlink > 0 && close(fd) == 0);
	return 0;
}

static int writers_tried(void *context)
{
	(void)context;
	return open("/etc/hostname", O_WRONLY) < 0 || open("/etc/hostname", O_RDWR) < 0 ? errno : 0;
}

static void only_reads_are_viewed(void **state)
{
	(void)state;
	if (access("/etc/hostname", R_OK) < 0)
		SKIP_BECAUSE("there is no /etc/hostname");
	assert_int_equal(attempt_bare(flags_tried, NULL), 0);
	assert_int_equal(attempt_confined(VIEWED, flags_tried, NULL), 0);
	assert_int_equal(attempt_bare(writers_tried, NULL), geteuid() == 0 ? 0 : EACCES);
	assert_int_equal(attempt_confined(VIEWED, writers_tried, NULL), EACCES);
}

static int opened(void *context)
{
	return open(context, O_RDONLY | O_CLOEXEC) < 0 ? errno : 0;
}

static void what_is_not_granted_is_not_viewed(void **state)
{
	static const char *const paths[] = {"/etc/hostname", "/proc/cpuinfo", "/proc/stat", CPUS "online",
	                                    "/proc/sys/kernel/hostname"};

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		void *path = (void *)paths[i];

		if (attempt_bare(opened, path) != 0)
			continue;
		assert_int_equal(attempt_confined(POLICY("fs-system", "", "name", NAME, "num-cpus", "1"),
		                                  opened, path),
		                 EACCES);
		assert_int_equal(attempt_confined(POLICY("fs-read", path, "name", NAME, "num-cpus", "1"),
		                                  opened, path),
		                 0);
		assert_int_equal(
			attempt_confined(POLICY("fs-read", "/", "name", NAME, "num-cpus", "1"), opened, path),
			0);
	}
	assert_int_equal(attempt_confined(POLICY("fs-system", "", "name", NAME), name_seen, NULL), 0);
}

/* As another user, who may not read what is mounted there. */
static int opened_as_nobody(void *context)
{
	if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
		return errno;
	return opened(context);
}

static void who_may_not_read_the_file_is_refused(void **state)
{
	const char *file = text_of("%s/mine", scratch());
	pid_t child;

	(void)state;
	if (geteuid() != 0 || access("/etc/hostname", R_OK) < 0)
		SKIP_BECAUSE("only root can mount another file there");
	if ((child = process_fork()) == 0) {
		int fd = open(file, O_WRONLY | O_CREAT, 0600), bad = 0;

		if (fd < 0 || unshare(CLONE_NEWNS) < 0 ||
		    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		    mount(file, "/etc/hostname", NULL, MS_BIND, NULL) < 0)
			_exit(77);
		bad |= attempt_confined(VIEWED, opened, "/etc/hostname") != 0;
		bad |= (attempt_confined(VIEWED, name_read, "/etc/hostname") != 0) << 1;
		bad |= (attempt_bare(opened_as_nobody, "/etc/hostname") != EACCES) << 2;
		bad |= (attempt_confined(VIEWED, opened_as_nobody, "/etc/hostname") != EACCES) << 3;
		_exit(bad);
	}
	assert_int_equal(exit_of(child), 0);
}

/* ---- the descriptor ---- */

static int descriptor_looked_at(void *context)
{
	static const int flags[] = {0, O_CLOEXEC, O_NONBLOCK, O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW};
	char buffer[8];
	int first, second, next = dup(0);

	(void)context;
	close(next);
	for (size_t i = 0; i < 4; i++) {
		EXPECT((first = open("/etc/hostname", O_RDONLY | flags[i])) == next);
		EXPECT((fcntl(first, F_GETFD) & FD_CLOEXEC) == (flags[i] & O_CLOEXEC ? FD_CLOEXEC : 0));
		EXPECT((fcntl(first, F_GETFL) & (O_ACCMODE | O_NONBLOCK)) == (flags[i] & O_NONBLOCK));
		close(first);
	}
	EXPECT((first = open("/etc/hostname", O_RDONLY)) >= 0 &&
	       (second = open("/etc/hostname", O_RDONLY)) >= 0);
	EXPECT(read(first, buffer, 3) == 3 && memcmp(buffer, NAME, 3) == 0);
	EXPECT(lseek(second, 0, SEEK_CUR) == 0 && read(second, buffer, 4) == 4 &&
	       memcmp(buffer, NAME, 4) == 0);
	EXPECT(lseek(first, 0, SEEK_END) == (off_t)strlen(NAME "\n") && read(first, buffer, 1) == 0);
	EXPECT(pread(first, buffer, 4, 4) == 4 && memcmp(buffer, NAME + 4, 4) == 0);
	return 0;
}

static void each_open_has_an_offset_and_flags_of_its_own(void **state)
{
	(void)state;
	if (access("/etc/hostname", R_OK) < 0)
		SKIP_BECAUSE("there is no /etc/hostname");
	assert_int_equal(attempt_confined(VIEWED, descriptor_looked_at, NULL), 0);
}

static int writes_tried(void *context)
{
	int fd = open("/proc/cpuinfo", O_RDONLY), again;
	struct stat before, after;
	char *map;

	(void)context;
	EXPECT(fd >= 0 && fstat(fd, &before) == 0 && before.st_size > 0);
	EXPECT(write(fd, "x", 1) < 0 && errno == EBADF);
	EXPECT(ftruncate(fd, 0) < 0 && ftruncate(fd, 1 << 20) < 0);
	EXPECT((map = mmap(NULL, 64, PROT_READ, MAP_SHARED, fd, 0)) != MAP_FAILED);
	EXPECT(memcmp(map, "processor", 9) == 0);
	EXPECT(mprotect(map, 64, PROT_READ | PROT_WRITE) < 0 && errno == EACCES);
	EXPECT((map = mmap(NULL, 64, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0)) != MAP_FAILED);
	map[0] = 'P';
	EXPECT(fallocate(fd, 0, 0, 1 << 20) < 0);
	EXPECT(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) < 0 && errno == EPERM);
	/* Anew, for writing: that may be had, and is worth nothing. */
	if ((again = open(text_of("/proc/self/fd/%d", fd), O_RDWR)) >= 0) {
		EXPECT(write(again, "x", 1) < 0 && errno == EPERM);
		EXPECT(ftruncate(again, 0) < 0 && errno == EPERM);
		EXPECT(ftruncate(again, 1 << 20) < 0 && errno == EPERM);
		EXPECT(fallocate(again, 0, 0, 1 << 20) < 0 && errno == EPERM);
		EXPECT(fallocate(again, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) < 0 &&
		       errno == EPERM);
		EXPECT(mmap(NULL, 64, PROT_READ | PROT_WRITE, MAP_SHARED, again, 0) == MAP_FAILED);
	}
	EXPECT(open(text_of("/proc/self/fd/%d", fd), O_RDWR | O_TRUNC) < 0);
	EXPECT(fstat(fd, &after) == 0 && after.st_size == before.st_size);
	EXPECT(lines_with(slurp("/proc/cpuinfo"), "processor") == 1);
	return 0;
}

static void nobody_writes_to_a_view(void **state)
{
	(void)state;
	assert_int_equal(attempt_confined(VIEWED, writes_tried, NULL), 0);
}

static int numbers_exhausted(void *context)
{
	struct rlimit none = {.rlim_cur = 3, .rlim_max = 4096};

	EXPECT(setrlimit(RLIMIT_NOFILE, &none) == 0);
	return open(context, O_RDONLY) < 0 ? errno : 0;
}

static void without_a_number_left_it_is_EMFILE(void **state)
{
	(void)state;
	assert_int_equal(attempt_bare(numbers_exhausted, "/proc/cpuinfo"), EMFILE);
	assert_int_equal(attempt_confined(VIEWED, numbers_exhausted, "/proc/cpuinfo"), EMFILE);
}

/* ---- who sees it ---- */

static int child_sees(void *context)
{
	int status;
	pid_t child = fork();

	if (child == 0)
		_exit(name_seen(context) | mask_seen(context) | cpuinfo_seen(context));
	EXPECT(child > 0 && waitpid(child, &status, 0) == child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : ENODATA;
}

static void *sees(void *context)
{
	*(int *)context = name_seen(NULL) | mask_seen(NULL);
	return NULL;
}

static int thread_sees(void *context)
{
	pthread_t thread;
	int result = -1;

	(void)context;
	EXPECT(pthread_create(&thread, NULL, sees, &result) == 0 && pthread_join(thread, NULL) == 0);
	return result;
}

static void children_and_threads_see_the_same(void **state)
{
	(void)state;
	assert_int_equal(attempt_confined(VIEWED, child_sees, NULL), 0);
	assert_int_equal(attempt_confined(VIEWED, thread_sees, NULL), 0);
}

/* Beside what the supervisor is there for otherwise. */
static void views_go_with_the_rest(void **state)
{
	(void)state;
	assert_int_equal(
		attempt_confined(POLICY(FILES, "name", NAME, "num-cpus", "1", "net-allow", "127.0.0.1:9",
	                                "net-allow", "udp://127.0.0.1:9", "port-remap", "", "net-allow-bind",
	                                "8080", "net-allow-unix", scratch()),
	                         child_sees, NULL),
		0);
}

static bool explain_has(const char *const keys[], const char *word)
{
	FILE *out = fmemopen(text, sizeof(text), "w");
	sl_policy *policy = policy_of(keys);

	assert_non_null(out);
	assert_int_equal(sl_policy_explain(policy, out, NULL), 0);
	fclose(out);
	sl_policy_free(policy);
	return strstr(text, word) != NULL;
}

static int unsupervised(void *context)
{
	(void)context;
	return supervisor_of(getpid()) == 0 ? 0 : EEXIST;
}

static void without_the_keys_nothing_is_trapped(void **state)
{
	(void)state;
	assert_true(explain_has(PLAIN, "trapped calls: none\n"));
	assert_false(explain_has(PLAIN, "views:"));
	assert_int_equal(attempt_confined(PLAIN, unsupervised, NULL), 0);
	assert_int_equal(attempt_confined(VIEWED, unsupervised, NULL), EEXIST);
	assert_true(explain_has(VIEWED, "trapped calls, for name and num-cpus"));
	assert_true(explain_has(VIEWED, "  uname: name: "));
	assert_true(explain_has(POLICY("name", "a\x1b[31m"), "the host name is \"a\\x1b[31m\""));
	assert_false(explain_has(POLICY("name", NAME), "  sched_getaffinity: num-cpus: "));
	assert_false(explain_has(POLICY("num-cpus", "2"), "  uname: name: "));
	assert_true(explain_has(POLICY("num-cpus", "2"), "2 CPUs at most"));
	/* With another reason for a supervisor nothing is asked about files. */
	assert_false(explain_has(POLICY("net-allow", "127.0.0.1:9"), "its flags are in memory"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_name_is_seen_by_uname_and_gethostname),
		cmocka_unit_test(the_name_is_read_from_files),
		cmocka_unit_test(the_rest_of_uname_is_native),
		cmocka_unit_test(one_CPU_is_seen_everywhere),
		cmocka_unit_test(the_mask_alone_is_enough),
		cmocka_unit_test(more_than_there_are_is_all_there_are),
		cmocka_unit_test(masks_are_still_set),
		cmocka_unit_test(stat_goes_on),
		cmocka_unit_test(every_way_to_the_file_shows_it),
		cmocka_unit_test(other_files_are_themselves),
		cmocka_unit_test(only_reads_are_viewed),
		cmocka_unit_test(what_is_not_granted_is_not_viewed),
		cmocka_unit_test(who_may_not_read_the_file_is_refused),
		cmocka_unit_test(each_open_has_an_offset_and_flags_of_its_own),
		cmocka_unit_test(nobody_writes_to_a_view),
		cmocka_unit_test(without_a_number_left_it_is_EMFILE),
		cmocka_unit_test(children_and_threads_see_the_same),
		cmocka_unit_test(views_go_with_the_rest),
		cmocka_unit_test(without_the_keys_nothing_is_trapped),
	};

	return cmocka_run_group_tests_name("views", tests, places_make, NULL);
}
