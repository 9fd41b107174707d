/* What wants more memory or more processes than max-memory and max-processes give. Every bomb is this program itself,
 * bounded by itself: 200 MiB, 40 processes. So the bare run, and the run under a limit that is large enough, end well.
 *
 * alone: pages that are in nobody's resident set are counted for the whole machine. */
#include "tests/common/common.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MIB = 1 << 20, HOLD_US = 400000, PROCESSES = 40, LIMIT = 12 };
static char self[4096], shm_dir[64], shm_file[128];

/* ---- memory, by every route ---- */

/* Until the keeper has looked, several times; where it is to kill, until it does, which a busy machine may put off. */
enum { BARE_MS = 0, LOOKED_AT_MS = 400, KILLED_MS = 5000 };

static void hold(void)
{
	usleep((useconds_t)atoi(getenv("HOLD_MS")) * 1000);
}

static int touch(volatile char *at, size_t size)
{
	if (at == NULL || at == MAP_FAILED)
		return 3;
	for (size_t i = 0; i < size; i += 4096)
		at[i] = 1;
	return 0;
}

static void *map(size_t size, int flags, int fd)
{
	return mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);
}

static int route_brk(size_t size)
{
	for (size_t done = 0; done < size; done += MIB)
		if (touch(sbrk(MIB), MIB) != 0)
			return 3;
	return 0;
}

static int route_private(size_t size)
{
	return touch(map(size, MAP_PRIVATE | MAP_ANONYMOUS, -1), size);
}

/* proc_pid_status(5) lists them all, before it says how much memory there is. Only root may have so many. */
static int route_groups(size_t size)
{
	static gid_t groups[60000];

	for (unsigned i = 0; i < 60000; i++)
		groups[i] = 1000000000 + i;
	if (setgroups(60000, groups) < 0 && errno != EPERM)
		return 4;
	return route_private(size);
}

static int route_shared(size_t size)
{
	return touch(map(size, MAP_SHARED | MAP_ANONYMOUS, -1), size);
}

static int route_mremap(size_t size)
{
	void *at = map(4096, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	return touch(mremap(at, 4096, size, MREMAP_MAYMOVE), size);
}

static int fill(int fd, size_t size)
{
	static char piece[MIB];

	memset(piece, 'x', sizeof(piece));
	for (size_t done = 0; done < size; done += sizeof(piece))
		if (write(fd, piece, sizeof(piece)) != (ssize_t)sizeof(piece))
			return 3;
	return 0;
}

static int route_memfd(size_t size)
{
	return fill(memfd_create("x", 0), size);
}

/* In pieces: while one is written to it is open. */
enum { PIECE = 4 * MIB };

/* One page of each is mapped, so that the file lives; nobody has it open. */
static int route_memfd_closed(size_t size)
{
	for (size_t done = 0; done < size; done += PIECE) {
		int fd = memfd_create("x", 0);

		if (map(4096, MAP_SHARED, fd) == MAP_FAILED || fill(fd, PIECE) != 0)
			return 3;
		close(fd);
	}
	return 0;
}

/* In messages that nobody has read: no descriptor, no mapping. */
static int route_memfd_sent(size_t size)
{
	int pair[2];
	char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec byte = {"x", 1};
	struct msghdr message = {
		.msg_iov = &byte, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		return 3;
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	for (size_t done = 0; done < size; done += PIECE) {
		int fd = memfd_create("x", 0);

		memcpy(CMSG_DATA(header), &fd, sizeof(fd));
		if (fill(fd, PIECE) != 0 || sendmsg(pair[0], &message, 0) < 0)
			return 3;
		close(fd);
	}
	return 0;
}

/* The pages stay when the child has gone, and are in nobody's resident set. */
static int route_shared_dead(size_t size)
{
	void *at = map(size, MAP_SHARED | MAP_ANONYMOUS, -1);
	pid_t child = fork();

	if (child == 0)
		_exit(touch(at, size));
	return waitpid(child, NULL, 0) == child ? 0 : 3;
}

static int route_tmpfs(size_t size)
{
	int fd = open(shm_file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int r = fill(fd, size);

	close(fd);
	hold();
	unlink(shm_file);
	return r;
}

static int route_tmpfs_unlinked(size_t size)
{
	int fd = open(shm_file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	unlink(shm_file);
	return fill(fd, size);
}

static int children_run(int count, size_t size, char *inherited)
{
	for (int i = 0; i < count; i++) {
		if (fork() != 0)
			continue;
		if (touch(inherited != NULL ? inherited : map(size, MAP_PRIVATE | MAP_ANONYMOUS, -1), size) !=
		    0)
			_exit(3);
		hold();
		_exit(0);
	}
	for (int i = 0; i < count; i++)
		wait(NULL);
	return 0;
}

static int route_copy_on_write(size_t size)
{
	char *at = map(size / 6, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	return touch(at, size / 6) != 0 ? 3 : children_run(5, size / 6, at);
}

static int route_many(size_t size)
{
	return children_run(20, size / 20, NULL);
}

static int route_daemon(size_t size)
{
	int done[2];
	char byte;

	if (pipe(done) < 0)
		return 3;
	if (fork() == 0) {
		setsid();
		if (fork() == 0) {
			close(done[0]);
			if (touch(map(size, MAP_PRIVATE | MAP_ANONYMOUS, -1), size) == 0)
				hold();
			_exit(0);
		}
		_exit(0);
	}
	close(done[1]);
	return read(done[0], &byte, 1) == 0 ? 0 : 3;
}

static void *thread_allocates(void *argument)
{
	size_t size = *(size_t *)argument;
	int r = touch(map(size, MAP_PRIVATE | MAP_ANONYMOUS, -1), size);

	hold();
	_exit(r);
}

/* The first thread is a zombie, and /proc/PID shows no memory at all. */
static int route_dead_leader(size_t size)
{
	static size_t kept;
	pthread_t thread;

	kept = size;
	if (pthread_create(&thread, NULL, thread_allocates, &kept) != 0)
		return 3;
	pthread_exit(NULL);
}

/* A chain of parents that end: each look may miss one. */
static int route_chain(size_t size)
{
	char *at = map(size, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	int done[2];
	char byte;

	if (pipe(done) < 0 || touch(at, 4096) != 0)
		return 3;
	if (fork() != 0) {
		close(done[1]);
		return read(done[0], &byte, 1) == 0 ? 0 : 3;
	}
	close(done[0]);
	for (size_t i = 0; i < 100; i++) {
		touch(at + i * (size / 100), size / 100);
		if (fork() > 0)
			_exit(0);
	}
	hold();
	_exit(0);
}

/* Its file may be executed and not read: to another process of an ordinary user neither its memory nor its descriptors
 * are to be seen. */
static int route_exec(size_t size)
{
	char text[32];

	snprintf(text, sizeof(text), "%zu", size / MIB);
	execl(getenv("UNREADABLE"), self, "memory", "memfd", text, NULL);
	return 3;
}

/* ---- and what looks like more than it is ---- */

static int plain_reserve(size_t size)
{
	void *at = mmap(NULL, 64 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return at == MAP_FAILED ? 3 : touch(map(size / 8, MAP_PRIVATE | MAP_ANONYMOUS, -1), size / 8);
}

static volatile char sink;

/* All share what one has. */
static int plain_forks(size_t size)
{
	char *at = map(size / 6, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	touch(at, size / 6);
	for (int i = 0; i < 8; i++) {
		if (fork() != 0)
			continue;
		for (size_t j = 0; j < size / 6; j += 4096)
			sink = at[j];
		hold();
		_exit(0);
	}
	while (wait(NULL) > 0)
		;
	return 0;
}

/* Open, and mapped twice: still its pages once. */
static int plain_memfd(size_t size)
{
	int fd = memfd_create("x", 0);

	if (ftruncate(fd, (off_t)size / 6) < 0)
		return 3;
	return touch(map(size / 6, MAP_SHARED, fd), size / 6) |
	       touch(map(size / 6, MAP_SHARED, fd), size / 6);
}

static int plain_vfork(size_t size)
{
	pid_t child;

	if (touch(map(size / 6, MAP_PRIVATE | MAP_ANONYMOUS, -1), size / 6) != 0)
		return 3;
	if ((child = vfork()) == 0) {
		hold();
		_exit(0);
	}
	return waitpid(child, NULL, 0) == child ? 0 : 3;
}

static const struct route {
	const char *name;
	int (*run)(size_t size);
	bool harmless;
} routes[] = {
	{"brk", route_brk},
	{"private", route_private},
	{"private, with many groups", route_groups},
	{"shared", route_shared},
	{"mremap", route_mremap},
	{"memfd", route_memfd},
	{"memfd, closed and mapped", route_memfd_closed},
	{"memfd, sent", route_memfd_sent},
	{"shared, by a child that ended", route_shared_dead},
	{"tmpfs", route_tmpfs},
	{"tmpfs, unlinked", route_tmpfs_unlinked},
	{"copy on write", route_copy_on_write},
	{"many", route_many},
	{"daemon", route_daemon},
	{"dead leader", route_dead_leader},
	{"chain", route_chain},
	{"exec, not to be looked into", route_exec},
	{"reserved", plain_reserve, true},
	{"shared by forks", plain_forks, true},
	{"memfd, mapped twice", plain_memfd, true},
	{"vfork", plain_vfork, true},
};

static int memory_main(const char *name, const char *size)
{
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		int r;

		if (strcmp(routes[i].name, name) != 0)
			continue;
		r = routes[i].run((size_t)atoi(size) * MIB);
		hold();
		return r;
	}
	return 4;
}

/* ---- forks ---- */

static void sleeper(void)
{
	usleep(HOLD_US);
	_exit(0);
}

static int forks_plain(void)
{
	for (int i = 0; i < PROCESSES; i++)
		if (fork() == 0)
			sleeper();
	return 0;
}

/* Each forks as well, until there is no more. */
static int forks_tree(void)
{
	for (int i = 0; i < 6; i++)
		fork();
	usleep(HOLD_US);
	return 0;
}

static int forks_daemons(void)
{
	for (int i = 0; i < PROCESSES; i++) {
		pid_t child = fork();

		if (child == 0) {
			setsid();
			if (fork() == 0)
				sleeper();
			_exit(0);
		}
		if (child > 0)
			waitpid(child, NULL, 0);
	}
	usleep(HOLD_US / 2);
	return 0;
}

static int forks_vfork(void)
{
	for (volatile int i = 0; i < PROCESSES; i++)
		if (vfork() == 0) {
			execl(self, self, "sleep", NULL);
			_exit(1);
		}
	return 0;
}

/* Sixteen at once, each forking one and ending, for a while: nobody is there for long. */
static int forks_chains(void)
{
	for (int i = 0; i < PROCESSES; i++) {
		if (fork() != 0)
			continue;
		setsid();
		for (int j = 0; j < 150; j++)
			if (fork() > 0)
				_exit(0);
		_exit(0);
	}
	usleep(HOLD_US);
	return 0;
}

static int forks_subreaper(void)
{
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	return forks_daemons();
}

static void *thread_forks(void *argument)
{
	(void)argument;
	for (int i = 0; i < PROCESSES / 4; i++)
		if (fork() == 0)
			sleeper();
	return NULL;
}

static int forks_threads(void)
{
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		if (pthread_create(&threads[i], NULL, thread_forks, NULL) != 0)
			return 3;
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	return 0;
}

static const struct bomb {
	const char *name;
	int (*run)(void);
} bombs[] = {
	{"fork", forks_plain},      {"tree", forks_tree},     {"daemons", forks_daemons},
	{"vfork", forks_vfork},     {"chains", forks_chains}, {"subreaper", forks_subreaper},
	{"threads", forks_threads},
};

static int forks_main(const char *name)
{
	for (size_t i = 0; i < sizeof(bombs) / sizeof(bombs[0]); i++)
		if (strcmp(bombs[i].name, name) == 0) {
			int r = bombs[i].run();

			usleep(HOLD_US / 2);
			return r;
		}
	return 4;
}

/* ---- the tests ---- */

static int bare_run(const char *const argv[])
{
	pid_t child = process_fork();

	if (child == 0) {
		struct rlimit limit = {1ul << 30, 1ul << 30};

		if (strcmp(argv[2], "reserved") != 0)
			setrlimit(RLIMIT_AS, &limit);
		setenv("HOLD_MS", text_of("%d", BARE_MS), 1);
		execv(self, (char *const *)argv);
		_exit(126);
	}
	return exit_of(child);
}

static int memory_run(const char *const argv[], const char *limit, int hold_ms)
{
	sl_policy *policy = policy_of(POLICY("fs-system", "", "fs-read", self, "fs-read",
	                                     getenv("UNREADABLE"), "fs-write", shm_dir, "max-memory", limit));
	sl_result result = {0};
	sl_error error;
	int r, code;
	bool killed;

	setenv("HOLD_MS", text_of("%d", hold_ms), 1);
	r = sl_run(policy, argv, &result, &error);
	code = result.status.code;
	killed = result.status.reason == SL_REASON_MEMORY && result.status.signal == SIGKILL;
	if (r < 0)
		fail_msg("%s: %s", argv[2], error.message);
	if (result.err_size > 0)
		fprintf(stderr, "# %s: %.*s\n", argv[2], (int)result.err_size, result.err);
	sl_result_clear(&result);
	sl_policy_free(policy);
	return killed ? -1 : code;
}

static bool shm_is_memory(void)
{
	struct statfs about;

	return statfs("/dev/shm", &about) == 0 && about.f_type == 0x01021994;
}

static void memory_is_limited_by_every_route(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		const char *argv[] = {self, "memory", routes[i].name, "200", NULL};
		bool harmless = routes[i].harmless;
		int bare, roomy, tight;

		if (strncmp(routes[i].name, "tmpfs", 5) == 0 && !shm_is_memory())
			continue;
		bare = bare_run(argv);
		roomy = memory_run(argv, "1G", LOOKED_AT_MS);
		tight = memory_run(argv, "64M", harmless ? LOOKED_AT_MS : KILLED_MS);
		/* What others on the machine give back at that moment hides as much. */
		for (int j = 0; j < 3 && tight == 0 && !harmless; j++)
			tight = memory_run(argv, "64M", KILLED_MS);
		if (bare != 0 || roomy != 0 || tight != (harmless ? 0 : -1))
			fail_msg("%s: bare %d, under 1G %d, under 64M %d", routes[i].name, bare, roomy,
			         tight);
	}
}

/* ---- a file system in memory, mounted below what is granted ---- */

static int filled_under(const char *file, const char *limit)
{
	const char *argv[] = {"sh", "-c", "dd if=/dev/zero of=\"$0\" bs=1M count=128 2>/dev/null && sleep 1",
	                      file, NULL};
	sl_policy *policy = policy_of(
		limit == NULL ? POLICY("fs-system", "", "fs-write", scratch())
			      : POLICY("fs-system", "", "fs-write", scratch(), "max-memory", limit));
	sl_result result = {0};
	int r = sl_run(policy, argv, &result, NULL), code = result.status.code;

	if (r == 0 && result.status.reason == SL_REASON_MEMORY)
		code = -1;
	unlink(file);
	sl_result_clear(&result);
	sl_policy_free(policy);
	return r < 0 ? r : code;
}

enum { NO_MOUNT = 77 };

/* In mounts of our own. The kernel writes the blank of its name as \040. */
static int play_mounted(void *context)
{
	int uid = (int)getuid(), gid = (int)getgid();
	char place[256], file[300];

	(void)context;
	snprintf(place, sizeof(place), "%.200s/with blank", scratch());
	snprintf(file, sizeof(file), "%s/file", place);
	EXPECT(mkdir(place, 0700) == 0);
	if (unshare(CLONE_NEWNS | (uid == 0 ? 0 : CLONE_NEWUSER)) < 0 ||
	    (uid != 0 && (file_set("/proc/self/setgroups", "deny") != 0 ||
	                  file_set("/proc/self/uid_map", text_of("%d %d 1", uid, uid)) != 0 ||
	                  file_set("/proc/self/gid_map", text_of("%d %d 1", gid, gid)) != 0)) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", place, "tmpfs", 0, NULL) < 0)
		return NO_MOUNT;
	prctl(PR_SET_DUMPABLE, 1);
	EXPECT(filled_under(file, NULL) == 0);
	EXPECT(filled_under(file, "1G") == 0);
	EXPECT(filled_under(file, "64M") == -1);
	return 0;
}

static void a_mount_counts_whatever_its_name_is(void **state)
{
	int played = attempt_bare(play_mounted, NULL);

	(void)state;
	rmdir(text_of("%s/with blank", scratch()));
	if (played == NO_MOUNT)
		SKIP_BECAUSE("nothing is to be mounted here, not in a namespace of one's own either");
	assert_int_equal(played, 0);
}

/* By another way than the product's: all of /proc, and the parents of each. */
static int below(pid_t root)
{
	enum { PIDS = 1 << 16 };
	static pid_t parents[PIDS];
	static int known[PIDS];
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	int count = 0, number = 0;

	memset(parents, 0, sizeof(parents));
	while ((entry = readdir(proc)) != NULL) {
		pid_t pid = atoi(entry->d_name);

		if (pid > 0 && pid < PIDS && number < PIDS) {
			parents[pid] = process_parent(pid);
			known[number++] = pid;
		}
	}
	closedir(proc);
	for (int i = 0; i < number; i++) {
		pid_t at = parents[known[i]];

		for (int steps = 0; at > 1 && at != root && at < PIDS && steps < 1000; steps++)
			at = parents[at];
		count += at == root;
	}
	return count;
}

static int most_at_once(const char *name, const char *limit)
{
	const char *argv[] = {self, "forks", name, NULL};
	sl_policy *policy =
		limit == NULL ? policy_of(POLICY("fs-system", "", "fs-read", self, "timeout", "20"))
			      : policy_of(POLICY("fs-system", "", "fs-read", self, "max-processes", limit));
	sl_sandbox *sandbox;
	sl_error error;
	int most = 0;
	pid_t keeper;

	if (sl_spawn(policy, argv, NULL, &sandbox, &error) < 0)
		fail_msg("%s: %s", name, error.message);
	keeper = process_parent(sl_sandbox_pid(sandbox));
	while (sl_wait(sandbox, 0, NULL, NULL) == -ETIMEDOUT) {
		int now = below(keeper);

		most = now > most ? now : most;
	}
	sl_sandbox_free(sandbox);
	sl_policy_free(policy);
	return most;
}

static void there_are_never_more_processes_than_max_processes(void **state)
{
	int times = long_run() ? 50 : 2;

	(void)state;
	for (size_t i = 0; i < sizeof(bombs) / sizeof(bombs[0]); i++) {
		int free = most_at_once(bombs[i].name, NULL), most = 0;

		for (int j = 0; j < times; j++) {
			int now = most_at_once(bombs[i].name, "12");

			most = now > most ? now : most;
		}
		fprintf(stderr, "# %s: %d at once without a limit, %d with 12\n", bombs[i].name, free, most);
		if (free <= LIMIT || most > LIMIT || most < LIMIT / 2)
			fail_msg("%s: %d at once without a limit, %d with 12", bombs[i].name, free, most);
	}
}

static void *thread_sleeps(void *argument)
{
	usleep(HOLD_US / 4);
	return argument;
}

/* clone3(2) is not there, so nobody gets around by it. */
static int limited_main(void)
{
	pthread_t threads[PROCESSES];
	uint64_t arguments[11] = {0};

	arguments[4] = SIGCHLD;
	if (syscall(435, arguments, sizeof(arguments)) >= 0 || errno != ENOSYS)
		return 1;
	for (int i = 0; i < PROCESSES; i++)
		if (pthread_create(&threads[i], NULL, thread_sleeps, NULL) != 0)
			return 2;
	for (int i = 0; i < PROCESSES; i++)
		pthread_join(threads[i], NULL);
	/* Two may be there, and so three in a row, and not two at once. */
	for (int i = 0; i < 3; i++) {
		pid_t child = fork();

		if (child == 0)
			_exit(0);
		if (child < 0 || waitpid(child, NULL, 0) != child)
			return 3;
	}
	if (fork() == 0)
		sleeper();
	return fork() < 0 && errno == EAGAIN ? 0 : 4;
}

static void threads_are_not_processes_and_the_answer_is_eagain(void **state)
{
	const char *argv[] = {self, "limited", NULL};
	sl_policy *policy = policy_of(POLICY("fs-system", "", "fs-read", self, "max-processes", "2"));
	sl_result result = {0};

	(void)state;
	assert_int_equal(sl_run(policy, argv, &result, NULL), 0);
	assert_int_equal(result.status.code, 0);
	sl_result_clear(&result);
	sl_policy_free(policy);
}

/* ---- the keeper, which looks after the limits, is its command's parent ---- */

static int ask_vmsplice(pid_t pid)
{
	struct iovec byte = {"x", 1};
	int ends[2];

	(void)pid;
	return pipe(ends) == 0 && vmsplice(ends[1], &byte, 1, 0) == 1 ? 0 : errno;
}

static int ask_priority(pid_t pid)
{
	return setpriority(PRIO_PROCESS, (id_t)pid, getpriority(PRIO_PROCESS, (id_t)pid)) == 0 ? 0 : errno;
}

static int ask_affinity(pid_t pid)
{
	cpu_set_t set;

	if (sched_getaffinity(pid, sizeof(set), &set) < 0)
		return 200;
	return sched_setaffinity(pid, sizeof(set), &set) == 0 ? 0 : errno;
}

static int ask_scheduler(pid_t pid)
{
	struct sched_param none = {0};

	return sched_setscheduler(pid, SCHED_OTHER, &none) == 0 ? 0 : errno;
}

static const struct {
	const char *name;
	int (*ask)(pid_t pid);
	bool of_itself; /* refused there too */
} asks[] = {
	{"vmsplice", ask_vmsplice, true},
	{"priority", ask_priority, false},
	{"affinity", ask_affinity, false},
	{"scheduler", ask_scheduler, false},
};

static int ask_main(const char *name, const char *whom)
{
	pid_t pid = strcmp(whom, "parent") == 0 ? getppid() : getpid();

	for (size_t i = 0; i < sizeof(asks) / sizeof(asks[0]); i++)
		if (strcmp(asks[i].name, name) == 0)
			return asks[i].ask(pid);
	return 201;
}

static int asked_bare(const char *name, const char *whom)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		execl(self, self, "ask", name, whom, NULL);
		_exit(202);
	}
	waitpid(child, &status, 0);
	return WEXITSTATUS(status);
}

static int asked_under(const char *const keys[], const char *name, const char *whom)
{
	const char *argv[] = {self, "ask", name, whom, NULL};
	sl_policy *policy = policy_of(keys);
	sl_result result = {0};

	assert_int_equal(sl_run(policy, argv, &result, NULL), 0);
	sl_result_clear(&result);
	sl_policy_free(policy);
	return result.status.code;
}

/* Both ways: with a keeper alone, and with a supervisor above it. */
/* Where it is the keeper that looks. */
static void nobody_starves_the_keeper_or_hides_pages_in_a_pipe(void **state)
{
	const char *const *limited[] = {
		POLICY("fs-system", "", "fs-read", self, "cgroup", "none", "max-memory", "1G"),
		POLICY("fs-system", "", "fs-read", self, "cgroup", "none", "max-memory", "1G",
	               "max-processes", "9")};

	(void)state;
	for (size_t i = 0; i < sizeof(asks) / sizeof(asks[0]); i++) {
		const char *name = asks[i].name;

		assert_int_equal(asked_bare(name, "parent"), 0);
		for (size_t way = 0; way < 2; way++) {
			assert_int_equal(asked_under(limited[way], name, "parent"), EPERM);
			assert_int_equal(asked_under(limited[way], name, "itself"),
			                 asks[i].of_itself ? EPERM : 0);
		}
	}
	assert_int_equal(asked_under(POLICY("fs-system", "", "fs-read", self), "vmsplice", "itself"), 0);
	assert_int_equal(asked_under(POLICY("fs-system", "", "fs-read", self), "priority", "parent"), EPERM);
}

static int shm_setup(void **state)
{
	(void)state;
	snprintf(shm_dir, sizeof(shm_dir), "/dev/shm/sluice-limits.%d", getpid());
	return mkdir(shm_dir, 0700);
}

static int shm_teardown(void **state)
{
	(void)state;
	unlink(shm_file);
	return rmdir(shm_dir);
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_limited_by_every_route),
		cmocka_unit_test(a_mount_counts_whatever_its_name_is),
		cmocka_unit_test(there_are_never_more_processes_than_max_processes),
		cmocka_unit_test(threads_are_not_processes_and_the_answer_is_eagain),
		cmocka_unit_test(nobody_starves_the_keeper_or_hides_pages_in_a_pipe),
	};

	if (argc > 3 && strcmp(argv[1], "memory") == 0) {
		snprintf(self, sizeof(self), "%s", argv[0]);
		snprintf(shm_file, sizeof(shm_file), "/dev/shm/sluice-limits.%s/file", getenv("SHM_OF"));
		return memory_main(argv[2], argv[3]);
	}
	if (argc > 2 && strcmp(argv[1], "forks") == 0) {
		snprintf(self, sizeof(self), "%s", argv[0]);
		return forks_main(argv[2]);
	}
	if (argc > 3 && strcmp(argv[1], "ask") == 0)
		return ask_main(argv[2], argv[3]);
	if (argc > 1 && strcmp(argv[1], "limited") == 0)
		return limited_main();
	if (argc > 1 && strcmp(argv[1], "sleep") == 0)
		return usleep(HOLD_US);
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		return 1;
	setenv("UNREADABLE", text_of("%s/unreadable", scratch()), 1);
	if (system(text_of("install -m 0111 %s %s/unreadable", self, scratch())) != 0)
		return 1;
	setenv("SHM_OF", text_of("%d", getpid()), 1);
	snprintf(shm_file, sizeof(shm_file), "/dev/shm/sluice-limits.%d/file", getpid());
	return cmocka_run_group_tests(tests, shm_setup, shm_teardown);
}
