/* What a command finds that was set up for it before its walls, and what it can do about it: bare, alone and under a
 * supervisor. The commands are this program itself: see commands[]. Each prints what it sees, or ends with the errno
 * that it got.
 */
#include "tests/common/common.h"

#include "core/kernel.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char sluice[4096], self[4096];
static uint16_t port;

enum { WORDS_MAX = 64, TEXT_MAX = 65536 };

#define ERRNO_OF(call) ((call) < 0 ? errno : 0)

/* ---- commands: what runs inside ---- */

static int command_environment(const char *argument)
{
	(void)argument;
	for (char **entry = environ; *entry != NULL; entry++)
		dprintf(1, "%s\n", *entry);
	return 0;
}

static int command_directory(const char *argument)
{
	char path[4096];

	(void)argument;
	dprintf(1, "%s", getcwd(path, sizeof(path)) == NULL ? "none" : path);
	return 0;
}

static int command_umask(const char *path)
{
	struct stat status;
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0777);

	if (fd < 0 || fstat(fd, &status) < 0)
		return errno;
	dprintf(1, "%03o", status.st_mode & 0777);
	return 0;
}

static int command_bind(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct stat status;

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || stat(path, &status) < 0)
		return errno;
	dprintf(1, "%03o", status.st_mode & 0777);
	return status.st_uid == getuid() ? 0 : 255;
}

static int command_cores(const char *argument)
{
	cpu_set_t set;

	(void)argument;
	sched_getaffinity(0, sizeof(set), &set);
	for (int core = 0; core < CPU_SETSIZE; core++)
		if (CPU_ISSET(core, &set))
			dprintf(1, "%d,", core);
	return 0;
}

static int command_cores_widen(const char *argument)
{
	cpu_set_t set;

	(void)argument;
	memset(&set, 0xff, sizeof(set));
	return ERRNO_OF(sched_setaffinity(0, sizeof(set), &set));
}

static int command_pages(const char *argument)
{
	(void)argument;
	dprintf(1, "%d", prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
	return 0;
}

/* Each way must fail alike; again setting it must not. */
static int command_pages_again(const char *argument)
{
	int off, advised;

	(void)argument;
	off = ERRNO_OF(prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0));
	advised = ERRNO_OF(prctl(PR_SET_THP_DISABLE, 1, 2, 0, 0));
	if (prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) < 0)
		return 255;
	return off == EPERM && advised == EPERM ? EPERM : 0;
}

/* Of the code, the heap, a mapping and the stack. */
static int command_addresses(const char *argument)
{
	void *mapping = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	dprintf(1, "%p %p %p %p %x", (void *)self, sbrk(0), mapping, (const void *)&argument,
	        (unsigned)personality(0xffffffff) & ADDR_NO_RANDOMIZE);
	return personality(ADDR_NO_RANDOMIZE) < 0 ? errno : 0;
}

static const struct {
	const char *name;
	int resource;
} limits[] = {
	{"as", RLIMIT_AS},           {"core", RLIMIT_CORE},     {"cpu", RLIMIT_CPU},
	{"data", RLIMIT_DATA},       {"fsize", RLIMIT_FSIZE},   {"locks", RLIMIT_LOCKS},
	{"memlock", RLIMIT_MEMLOCK}, {"nice", RLIMIT_NICE},     {"msgqueue", RLIMIT_MSGQUEUE},
	{"nofile", RLIMIT_NOFILE},   {"nproc", RLIMIT_NPROC},   {"rss", RLIMIT_RSS},
	{"rtprio", RLIMIT_RTPRIO},   {"rttime", RLIMIT_RTTIME}, {"sigpending", RLIMIT_SIGPENDING},
	{"stack", RLIMIT_STACK},
};
enum { LIMITS = sizeof(limits) / sizeof(limits[0]) };

static int limit_of(const char *name)
{
	for (size_t i = 0; i < LIMITS; i++)
		if (strcmp(limits[i].name, name) == 0)
			return limits[i].resource;
	_exit(254);
}

static int command_limit(const char *name)
{
	struct rlimit limit;

	getrlimit(limit_of(name), &limit);
	dprintf(1, "%lld:%lld", (long long)limit.rlim_cur, (long long)limit.rlim_max);
	return 0;
}

/* 0 where one of the ways leads up. */
static int command_raise(const char *name)
{
	int resource = limit_of(name);
	struct rlimit now, more;
	int code[5];

	getrlimit(resource, &now);
	more = (struct rlimit){now.rlim_cur, now.rlim_max + 1};
	if (now.rlim_max == RLIM_INFINITY)
		return 253;
	code[0] = ERRNO_OF(syscall(SYS_setrlimit, resource, &more));
	code[1] = ERRNO_OF(syscall(SYS_prlimit64, 0, resource, &more, NULL));
	code[2] = ERRNO_OF(syscall(SYS_prlimit64, getpid(), resource, &more, NULL));
	code[3] = ERRNO_OF(syscall(SYS_prlimit64, getppid(), resource, &more, NULL));
	more.rlim_cur = more.rlim_max = RLIM_INFINITY;
	code[4] = ERRNO_OF(syscall(SYS_prlimit64, 0, resource, &more, NULL));
	for (size_t i = 0; i < 5; i++)
		if (code[i] != EPERM)
			return code[i] == 0 ? 0 : 200;
	return EPERM;
}

static int command_descriptors(const char *argument)
{
	int fd, last = 2;

	(void)argument;
	while ((fd = dup(0)) >= 0)
		last = fd;
	dprintf(1, "%d", last + 1);
	return errno;
}

static int command_crash(const char *argument)
{
	(void)argument;
	abort();
}

static int command_fork(const char *argument)
{
	pid_t child = fork();

	(void)argument;
	if (child == 0)
		_exit(0);
	return child < 0 ? errno : 0;
}

static int command_connect(const char *argument)
{
	return tcp_try(AF_INET, (uint16_t)atoi(argument));
}

static int command_hold(const char *argument)
{
	(void)argument;
	dprintf(1, "%d %d", getpid(), getppid());
	sleep(60);
	return 1;
}

/* Ids, and whatever capability there is in any set. */
static int command_ids(const char *argument)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[2];
	uid_t uid[3];
	gid_t gid[3];

	(void)argument;
	getresuid(&uid[0], &uid[1], &uid[2]);
	getresgid(&gid[0], &gid[1], &gid[2]);
	syscall(SYS_capget, &header, sets);
	dprintf(1, "%u.%u.%u %u.%u.%u %x", uid[0], uid[1], uid[2], gid[0], gid[1], gid[2],
	        sets[0].permitted | sets[1].permitted | sets[0].effective | sets[1].effective |
	                sets[0].inheritable | sets[1].inheritable);
	return 0;
}

static int capabilities_take(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[2] = {{1 << CAP_SETUID, 1 << CAP_SETUID, 0}};

	return syscall(SYS_capset, &header, sets) < 0 ? errno : 0;
}

/* Out of a namespace in which there is one user: the number of the first way that led anywhere, plus one. */
static int command_widen(const char *argument)
{
	gid_t none = 0;
	uid_t other = (uid_t)atoi(argument);
	const int code[] = {
		ERRNO_OF(syscall(SYS_setgroups, 0, NULL)),
		ERRNO_OF(syscall(SYS_setgroups, 1, &none)),
		ERRNO_OF(syscall(SYS_setuid, other)),
		ERRNO_OF(syscall(SYS_setgid, other)),
		ERRNO_OF(syscall(SYS_setresuid, other, other, other)),
		ERRNO_OF(syscall(SYS_setresgid, other, other, other)),
		capabilities_take(),
		ERRNO_OF(syscall(SYS_unshare, CLONE_NEWUSER)),
		ERRNO_OF(syscall(SYS_unshare, CLONE_NEWNS)),
		file_set("/proc/self/uid_map", "0 0 4294967295"),
		file_set("/proc/self/gid_map", "0 0 4294967295"),
		file_set("/proc/self/setgroups", "allow"),
		ERRNO_OF(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SETUID, 0, 0)),
		ERRNO_OF(sethostname("x", 1)),
		ERRNO_OF(chown("/proc/self/exe", other, other)),
	};

	for (size_t i = 0; i < sizeof(code) / sizeof(code[0]); i++)
		if (code[i] == 0)
			return (int)i + 1;
	return 0;
}

static int command_read(const char *path)
{
	char byte;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? errno : ERRNO_OF(read(fd, &byte, 1));
}

static const struct {
	const char *name;
	int (*run)(const char *argument);
} commands[] = {
	{"environment", command_environment},
	{"directory", command_directory},
	{"umask", command_umask},
	{"bind", command_bind},
	{"cores", command_cores},
	{"cores-widen", command_cores_widen},
	{"pages", command_pages},
	{"pages-again", command_pages_again},
	{"addresses", command_addresses},
	{"limit", command_limit},
	{"raise", command_raise},
	{"descriptors", command_descriptors},
	{"crash", command_crash},
	{"fork", command_fork},
	{"connect", command_connect},
	{"hold", command_hold},
	{"ids", command_ids},
	{"widen", command_widen},
	{"read", command_read},
};

/* ---- running them ---- */

enum way { BARE, ALONE, GATE, WAYS };

static char text[TEXT_MAX]; /* what the last command printed, and what was said of it */

#define WORDS(...) ((const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})
#define SELF(...)  WORDS(self, __VA_ARGS__)

/* In a child; `more` is sluice's alone. */
static void run_exec(enum way way, const char *const more[], const char *const words[])
{
	const char *argv[WORDS_MAX] = {sluice, "run", "-s", "-r", self, "-r", "/proc"};
	size_t count = way == BARE ? 0 : 7;

	if (way == GATE) {
		argv[count++] = "--net-allow";
		argv[count++] = rule_for(AF_INET, port);
	}
	for (size_t i = 0; way != BARE && more != NULL && more[i] != NULL; i++)
		argv[count++] = more[i];
	if (way != BARE)
		argv[count++] = "--";
	for (size_t i = 0; words[i] != NULL; i++)
		argv[count++] = words[i];
	argv[count] = NULL;
	execv(argv[0], (char *const *)argv);
	_exit(99);
}

static pid_t run_start(enum way way, const char *const more[], const char *const words[], int *output)
{
	int out[2];
	pid_t process;

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	if ((process = process_fork()) == 0) {
		dup2(out[1], 1);
		dup2(out[1], 2);
		run_exec(way, more, words);
	}
	close(out[1]);
	*output = out[0];
	return process;
}

static int run(enum way way, const char *const more[], const char *const words[])
{
	int output;
	pid_t process = run_start(way, more, words, &output);
	size_t used = 0;
	ssize_t n;

	while (used < sizeof(text) - 1 && (n = read(output, text + used, sizeof(text) - 1 - used)) > 0)
		used += (size_t)n;
	text[used] = '\0';
	close(output);
	return exit_of(process);
}

#define shows(way, more, words, status, wanted)                                                             \
	do {                                                                                                \
		int got_ = run(way, more, words);                                                           \
		if (got_ != (status) || strcmp(text, wanted) != 0)                                          \
			fail_msg("way %d: status %d, \"%s\"; expected %d, \"%s\"", way, got_, text, status, \
			         wanted);                                                                   \
	} while (0)

static bool has_line(const char *line)
{
	for (const char *at = text; (at = strstr(at, line)) != NULL; at++)
		if ((at == text || at[-1] == '\n') && at[strlen(line)] == '\n')
			return true;
	return false;
}

static bool namespaces_there(void)
{
	pid_t process = process_fork();

	if (process == 0)
		_exit(unshare(CLONE_NEWUSER) < 0);
	return exit_of(process) == 0;
}

/* ---- environment ---- */

static void an_environment_is_made_before_the_command(void **state)
{
	(void)state;
	setenv("SECRET", "1", 1);
	setenv("LD_PRELOAD", "", 1);
	setenv("TZ", "UTC", 1);
	for (enum way way = BARE; way < WAYS; way++) {
		run(way, WORDS("--clean-env", "--env-pass", "SEC*", "--env", "A=b c", "--env-safe"),
		    SELF("environment", ""));
		assert_true(has_line("SECRET=1"));
		assert_true(has_line("TZ=UTC"));
		assert_int_equal(has_line("LD_PRELOAD="), way == BARE);
		assert_int_equal(has_line("A=b c"), way != BARE);
		run(way, WORDS("--clean-env"), SELF("environment", ""));
		assert_int_equal(has_line("SECRET=1"), way == BARE);
		assert_int_equal(strstr(text, "TEST_TMP=") != NULL, way == BARE);
		run(way, NULL, SELF("environment", ""));
		assert_true(has_line("SECRET=1") && has_line("LD_PRELOAD="));
	}
	unsetenv("SECRET");
	unsetenv("LD_PRELOAD");
	unsetenv("TZ");
}

/* execve(2) takes an environment that putenv(3) would not: the same name twice, no name, no "=". */
static void a_forged_environment_gets_nothing_past_env_safe(void **state)
{
	static char *const forged[] = {
		"LD_PRELOAD=/nowhere.so", "LD_PRELOAD", "A=1", "LD_PRELOAD=/there.so", "=LD_PRELOAD",
		"LD_PRELOAD==/x",         NULL};
	int status;

	(void)state;
	for (enum way way = BARE; way < WAYS; way++) {
		int out[2];
		pid_t process;
		ssize_t n;

		assert_int_equal(pipe(out), 0);
		if ((process = process_fork()) == 0) {
			dup2(out[1], 1);
			close(2);
			environ = (char **)forged;
			run_exec(way, WORDS("--env-safe"), SELF("environment", ""));
		}
		close(out[1]);
		status = exit_of(process);
		n = read(out[0], text, sizeof(text) - 1);
		text[n < 0 ? 0 : n] = '\0';
		close(out[0]);
		assert_int_equal(status, 0);
		assert_true(has_line("A=1"));
		assert_int_equal(strstr(text, "LD_PRELOAD=/") != NULL, way == BARE);
		assert_int_equal(has_line("LD_PRELOAD"), way == BARE);
		assert_true(has_line("=LD_PRELOAD"));
	}
}

static void script_write(const char *path, const char *script)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);

	assert_int_equal(write(fd, script, strlen(script)), strlen(script));
	close(fd);
}

/* As for env(1): the PATH, and the directory, that the command is to have. */
static void the_command_is_looked_for_where_it_will_be(void **state)
{
	const char *tmp = scratch(), *tool = text_of("%s/tool-of-ours", tmp);
	const char *path = text_of("PATH=%s", tmp);

	(void)state;
	script_write(tool, "#!/bin/sh\necho found \"$0\"\n");
	for (enum way way = ALONE; way < WAYS; way++) {
		assert_int_equal(run(way, WORDS("-r", tmp), WORDS("tool-of-ours")), 127);
		assert_int_equal(run(way, WORDS("-r", tmp, "--env", path), WORDS("tool-of-ours")), 0);
		assert_int_equal(run(way, WORDS("-r", tmp, "--env", "PATH=/nowhere"), WORDS("sh", "-c", ":")),
		                 127);
		/* Without PATH in the new environment it is what execvp(3) takes. */
		assert_int_equal(run(way, WORDS("-r", tmp, "--cwd", tmp), WORDS("./tool-of-ours")), 0);
		assert_string_equal(text, "found ./tool-of-ours\n");
		assert_int_equal(
			run(way, WORDS("-r", tmp, "--cwd", tmp, "--env", "PATH=."), WORDS("tool-of-ours")),
			0);
		assert_int_equal(run(way, WORDS("-r", tmp, "--cwd", "/"), WORDS("./tool-of-ours")), 127);
	}
	unlink(tool);
}

/* ---- directory and mask ---- */

static void cwd_is_where_it_starts(void **state)
{
	(void)state;
	for (enum way way = ALONE; way < WAYS; way++) {
		shows(way, WORDS("--cwd", "/usr"), SELF("directory", ""), 0, "/usr");
		shows(way, WORDS("--cwd", "/nowhere", "--cwd", "/etc"), SELF("directory", ""), 0, "/etc");
		assert_int_equal(run(way, WORDS("--cwd", "/nowhere"), SELF("directory", "")), 125);
		assert_non_null(strstr(text, "cwd: /nowhere: No such file"));
		assert_int_equal(run(way, WORDS("--cwd", "/etc/passwd"), WORDS("./x")), 125);
		assert_non_null(strstr(text, "cwd: /etc/passwd: Not a directory"));
	}
}

/* Paths of options are the caller's; and where the command may not go, it is not brought. */
static void cwd_is_the_commands_matter(void **state)
{
	const char *tmp = scratch(), *closed = text_of("%s/closed", tmp), *inside = text_of("%s/inside", tmp);

	(void)state;
	assert_int_equal(chdir(tmp), 0);
	script_write(inside, "x");
	mkdir("closed", 0);
	for (enum way way = ALONE; way < WAYS; way++) {
		assert_int_equal(run(way, WORDS("--cwd", "/", "-r", "inside"), SELF("read", inside)), 0);
		/* Root's own right to enter is lost with the others. */
		assert_int_equal(
			run(way, WORDS("--cwd", closed, "--user", "4711:4711"), SELF("directory", "")), 125);
		assert_non_null(strstr(text, text_of("cwd: %s: Permission denied", closed)));
	}
	rmdir(closed);
	unlink(inside);
}

static void umask_is_for_all_that_is_made(void **state)
{
	const char *tmp = scratch(), *file = text_of("%s/made", tmp), *named = text_of("%s/socket", tmp);

	(void)state;
	umask(022);
	for (enum way way = BARE; way < WAYS; way++) {
		const char *wanted = way == BARE ? "755" : "640";

		shows(way, WORDS("--umask", "0137", "-w", tmp), SELF("umask", file), 0, wanted);
		unlink(file);
		/* The supervisor makes this one, where there is a supervisor. */
		shows(way, WORDS("--umask", "137", "-w", tmp, "--net-allow-unix", tmp), SELF("bind", named),
		      0, wanted);
		unlink(named);
		shows(way, WORDS("-w", tmp), SELF("umask", file), 0, "755");
		unlink(file);
	}
}

/* ---- cores and memory ---- */

static void cores_are_given_and_kept(void **state)
{
	cpu_set_t set;

	(void)state;
	sched_getaffinity(0, sizeof(set), &set);
	if (!CPU_ISSET(0, &set) || CPU_COUNT(&set) < 2)
		SKIP_BECAUSE("two cores are needed, the first among them");
	for (enum way way = ALONE; way < WAYS; way++) {
		shows(way, WORDS("--cpu-cores", "0"), SELF("cores", ""), 0, "0,");
		/* Those of them that are there. */
		shows(way, WORDS("--cpu-cores", "0,1000-1023"), SELF("cores", ""), 0, "0,");
		shows(way, WORDS("--cpu-cores", "0"), SELF("cores-widen", ""), EPERM, "");
		shows(way, NULL, SELF("cores-widen", ""), 0, "");
		assert_int_equal(run(way, WORDS("--cpu-cores", "1023"), SELF("cores", "")), 125);
		assert_non_null(strstr(text, "cpu-cores"));
	}
	shows(BARE, NULL, SELF("cores-widen", ""), 0, "");
}

static void huge_pages_stay_off(void **state)
{
	(void)state;
	shows(BARE, NULL, SELF("pages", ""), 0, "0");
	shows(BARE, NULL, SELF("pages-again", ""), 0, "");
	for (enum way way = ALONE; way < WAYS; way++) {
		shows(way, NULL, SELF("pages", ""), 0, "0");
		shows(way, NULL, SELF("pages-again", ""), 0, "");
		shows(way, WORDS("--no-huge-pages"), SELF("pages", ""), 0, "1");
		shows(way, WORDS("--no-huge-pages"), SELF("pages-again", ""), EPERM, "");
	}
}

static void addresses_are_the_same_each_time(void **state)
{
	static char first[256];

	(void)state;
	for (enum way way = BARE; way < WAYS; way++) {
		run(way, NULL, SELF("addresses", ""));
		strcpy(first, text);
		run(way, NULL, SELF("addresses", ""));
		assert_string_not_equal(first, text);
	}
	for (enum way way = ALONE; way < WAYS; way++) {
		assert_int_equal(run(way, NULL, SELF("addresses", "")), EPERM);
		assert_int_equal(run(way, WORDS("--no-randomize-memory"), SELF("addresses", "")), 0);
		strcpy(first, text);
		assert_non_null(strstr(first, " 40000"));
		run(way, WORDS("--no-randomize-memory"), SELF("addresses", ""));
		assert_string_equal(first, text);
		if (!namespaces_there())
			continue;
		/* As a root that execve(2) could give something. */
		run(way, WORDS("--no-randomize-memory", "--user", "0:7"), SELF("addresses", ""));
		assert_non_null(strstr(text, " 40000"));
	}
}

/* ---- limits ---- */

static const char *limit_now(const char *name)
{
	assert_int_equal(run(BARE, NULL, SELF("limit", name)), 0);
	return text_of("%s", text);
}

static void limits_are_set_and_cannot_be_raised(void **state)
{
	static const struct {
		const char *name, *option, *shown;
	} rows[] = {
		{"as", "as=100T:110T", "109951162777600:120946279055360"},
		{"core", "core=0:4K", "0:4096"},
		{"cpu", "cpu=100:200", "100:200"},
		{"data", "data=100T", "109951162777600:109951162777600"},
		{"fsize", "fsize=1M:2M", "1048576:2097152"},
		{"locks", "locks=7", "7:7"},
		{"memlock", "memlock=64K", "65536:65536"},
		{"msgqueue", "msgqueue=1000", "1000:1000"},
		{"nice", "nice=0", "0:0"},
		{"nofile", "nofile=20:30", "20:30"},
		{"nproc", "nproc=5000:6000", "5000:6000"},
		{"rss", "rss=1G", "1073741824:1073741824"},
		{"rtprio", "rtprio=0", "0:0"},
		{"rttime", "rttime=1000000", "1000000:1000000"},
		{"sigpending", "sigpending=9", "9:9"},
		{"stack", "stack=1M:16M", "1048576:16777216"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *before = limit_now(rows[i].name);

		for (enum way way = ALONE; way < WAYS; way++) {
			const char *const *more = WORDS("--rlimit", rows[i].option);

			shows(way, NULL, SELF("limit", rows[i].name), 0, before);
			shows(way, more, SELF("limit", rows[i].name), 0, rows[i].shown);
			shows(way, more, SELF("raise", rows[i].name), EPERM, "");
		}
	}
}

/* A soft limit may be moved below the hard one, as for ulimit; and what nobody has is not given. */
static void a_hard_limit_is_never_raised(void **state)
{
	const struct rlimit tight = {100, 200};
	struct rlimit before;

	(void)state;
	getrlimit(RLIMIT_NOFILE, &before);
	for (enum way way = ALONE; way < WAYS; way++) {
		pid_t process = process_fork();

		if (process == 0) {
			int r = 0;

			setrlimit(RLIMIT_NOFILE, &tight);
			r |= run(way, WORDS("--rlimit", "nofile=150:200"), SELF("limit", "nofile")) != 0 ||
			     strcmp(text, "150:200") != 0;
			r |= 2 *
			     (run(way, WORDS("--rlimit", "nofile=150:201"), SELF("limit", "nofile")) != 125 ||
			      strstr(text, "is 200 here") == NULL);
			/* The lowest of the three. */
			r |= 4 * (run(way, WORDS("--max-open-files", "300"), SELF("limit", "nofile")) != 0 ||
			          strcmp(text, "100:100") != 0);
			r |= 8 * (run(way, WORDS("--max-open-files", "50"), SELF("limit", "nofile")) != 0 ||
			          strcmp(text, "50:50") != 0);
			_exit(r);
		}
		assert_int_equal(exit_of(process), 0);
	}
}

/* The walls themselves need more descriptors and processes than that. */
static void the_walls_stand_before_the_limits_bite(void **state)
{
	(void)state;
	for (enum way way = ALONE; way < WAYS; way++) {
		shows(way, WORDS("--max-open-files", "5"), SELF("descriptors", ""), EMFILE, "5");
		shows(way, WORDS("--max-open-files", "4"), SELF("connect", text_of("%u", port)),
		      way == GATE ? 0 : EACCES, "");
		/* The kernel does not count root's. */
		if (geteuid() != 0)
			shows(way, WORDS("--rlimit", "nproc=1"), SELF("fork", ""), EAGAIN, "");
		shows(way, NULL, SELF("fork", ""), 0, "");
	}
}

static bool core_was_written(enum way way, const char *option)
{
	const char *tmp = scratch(), *core = text_of("%s/core", tmp);
	struct stat status;
	bool written;

	assert_int_equal(chdir(tmp), 0);
	unlink(core);
	/* Alone, sluice is the command. */
	assert_int_equal(run(way, WORDS("-w", tmp, option), SELF("crash", "")), 128 + SIGABRT);
	written = stat(core, &status) == 0;
	unlink(core);
	return written;
}

static void a_crash_leaves_no_core(void **state)
{
	struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY}, now;
	char pattern[128] = "";
	int fd = open("/proc/sys/kernel/core_pattern", O_RDONLY | O_CLOEXEC);

	(void)state;
	if (read(fd, pattern, sizeof(pattern) - 1) < 0 || strcmp(pattern, "core\n") != 0)
		SKIP_BECAUSE("cores do not go to the file \"core\" on this machine");
	close(fd);
	getrlimit(RLIMIT_CORE, &now);
	limit.rlim_max = limit.rlim_cur = now.rlim_max;
	setrlimit(RLIMIT_CORE, &limit);
	if (now.rlim_max == 0 || !core_was_written(BARE, "-s"))
		SKIP_BECAUSE("no core is written bare either");
	for (enum way way = ALONE; way < WAYS; way++) {
		assert_true(core_was_written(way, "-s"));
		assert_false(core_was_written(way, "--no-coredump"));
		shows(way, WORDS("--no-coredump"), SELF("limit", "core"), 0, "0:0");
		shows(way, WORDS("--no-coredump"), SELF("raise", "core"), EPERM, "");
	}
}

/* ---- user ---- */

static void a_user_is_looked_like(void **state)
{
	(void)state;
	if (!namespaces_there())
		SKIP_BECAUSE("no user namespace can be made here");
	for (enum way way = ALONE; way < WAYS; way++) {
		shows(way, WORDS("--user", "1234:56"), SELF("ids", ""), 0, "1234.1234.1234 56.56.56 0");
		/* exec gives a root its capabilities back, where they are in the bounding set. */
		if (geteuid() != 0)
			shows(way, WORDS("--user", "0:0"), SELF("ids", ""), 0, "0.0.0 0.0.0 0");
		shows(way, WORDS("--user", "0:7"), SELF("ids", ""), 0, "0.0.0 7.7.7 0");
	}
}

/* Nothing is done, and nothing lost. */
static void the_user_that_one_is_needs_no_namespace(void **state)
{
	const char *same = text_of("%u:%u", getuid(), getgid());
	char *maps, *before;

	(void)state;
	for (enum way way = ALONE; way < WAYS; way++) {
		run(way, NULL, SELF("ids", ""));
		before = strdup(text);
		shows(way, WORDS("--user", same), SELF("ids", ""), 0, before);
		free(before);
		run(BARE, NULL, WORDS("/bin/cat", "/proc/self/uid_map"));
		maps = strdup(text);
		shows(way, WORDS("--user", same), WORDS("/bin/cat", "/proc/self/uid_map"), 0, maps);
		free(maps);
	}
}

static void the_namespace_gives_nothing(void **state)
{
	static const char *const users[] = {"1234:56", "0:7", "65534:65534"};

	(void)state;
	if (!namespaces_there())
		SKIP_BECAUSE("no user namespace can be made here");
	for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++)
		for (enum way way = ALONE; way < WAYS; way++) {
			shows(way, WORDS("--user", users[i], "-w", "/proc"), SELF("widen", "1"), 0, "");
			shows(way, WORDS("--user", users[i], "-w", "/proc"), SELF("widen", "1000"), 0, "");
		}
}

/* Files: as whoever started it, and no more; for root that is less. */
static void the_owner_of_files_stays(void **state)
{
	const char *tmp = scratch(), *own = text_of("%s/own", tmp), *foreign = text_of("%s/foreign", tmp);

	(void)state;
	if (!namespaces_there())
		SKIP_BECAUSE("no user namespace can be made here");
	script_write(own, "x");
	chmod(own, 0600);
	script_write(foreign, "x");
	chmod(foreign, 0600);
	if (geteuid() == 0)
		assert_int_equal(chown(foreign, 1234, 56), 0);
	for (enum way way = ALONE; way < WAYS; way++) {
		const char *const *more = WORDS("--user", "1234:56", "-r", tmp);

		shows(way, more, SELF("read", own), 0, "");
		/* The number alone is not the user. */
		if (geteuid() == 0)
			shows(way, more, SELF("read", foreign), EACCES, "");
	}
	unlink(own);
	unlink(foreign);
}

static void a_supervisor_reaches_into_the_namespace(void **state)
{
	const char *tmp = scratch(), *named = text_of("%s/socket", tmp);

	(void)state;
	if (!namespaces_there())
		SKIP_BECAUSE("no user namespace can be made here");
	shows(GATE, WORDS("--user", "1234:56"), SELF("connect", text_of("%u", port)), 0, "");
	shows(GATE, WORDS("--user", "0:7"), SELF("connect", text_of("%u", port)), 0, "");
	shows(GATE, WORDS("--user", "1234:56"), SELF("connect", "9"), EACCES, "");
	shows(GATE, WORDS("--user", "1234:56", "-w", tmp, "--net-allow-unix", tmp, "--umask", "077"),
	      SELF("bind", named), 0, "700");
	unlink(named);
}

static bool gone_within(pid_t process, int milliseconds)
{
	for (double end = seconds_now() + milliseconds / 1e3; seconds_now() < end; usleep(1000))
		if (process_state(process) == 0 || process_state(process) == 'Z')
			return true;
	return false;
}

/* A change of ids may clear PR_SET_PDEATHSIG: this one must not. */
static void a_user_dies_with_the_keeper(void **state)
{
	int output, command, keeper;
	pid_t process;
	ssize_t n;

	(void)state;
	if (!namespaces_there())
		SKIP_BECAUSE("no user namespace can be made here");
	process = run_start(GATE, WORDS("--user", "1234:56"), SELF("hold", ""), &output);
	n = read(output, text, sizeof(text) - 1);
	text[n < 0 ? 0 : n] = '\0';
	assert_int_equal(sscanf(text, "%d %d", &command, &keeper), 2);
	process_kill(keeper, SIGKILL);
	assert_true(gone_within(command, 5000));
	close(output);
	exit_of(process);
}

/* The child says which step it was. */
static void a_failed_step_is_named(void **state)
{
	(void)state;
	if (!namespaces_there())
		SKIP_BECAUSE("no user namespace can be made here");
	/* Inside a confinement there is no namespace to be had. */
	for (enum way way = ALONE; way < WAYS; way++) {
		assert_int_equal(
			run(way, WORDS("-r", sluice),
		            WORDS(sluice, "run", "-s", "-r", "/proc", "--user", "5:5", "--", "true")),
			125);
		assert_non_null(
			strstr(text, "user: a new user namespace (unshare): Operation not permitted"));
	}
}

/* ---- the command line ---- */

static void a_shell_runs_a_line(void **state)
{
	(void)state;
	for (int gate = 0; gate < 2; gate++) {
		const char *argv[] = {sluice,
		                      "run",
		                      "-s",
		                      "-e",
		                      "echo \"$0\" a  b | tr a-z A-Z; exit 7",
		                      "-i",
		                      gate ? "--net-allow" : NULL,
		                      rule_for(AF_INET, port),
		                      NULL};

		shows(BARE, NULL, argv, 7, "/BIN/SH A B\n");
	}
	assert_int_equal(run(BARE, NULL, WORDS(sluice, "run", "-s", "--exec-shell=exit 3", "--interactive")),
	                 3);
	assert_int_equal(run(BARE, NULL, WORDS(sluice, "run", "-s", "-e", "exit 3", "--", "true")), 125);
	assert_non_null(strstr(text, "exec-shell"));
	assert_int_equal(run(BARE, NULL, WORDS(sluice, "run", "-s", "-e")), 125);
	assert_int_equal(run(BARE, NULL, WORDS(sluice, "run", "-e", "exit 3")), 126);
	assert_int_equal(run(BARE, NULL, WORDS(sluice, "explain", "-s", "-e", "exit 3")), 125);
	assert_int_equal(run(BARE, NULL, WORDS(sluice, "explain", "-s", "-i")), 0);
}

/* ---- in place ---- */

struct in_place {
	const char *const *keys;
	int (*look)(const char *argument);
	const char *argument;
};

static int in_place_look(void *context)
{
	const struct in_place *place = context;

	return place->look(place->argument);
}

static int limit_is_set(const char *argument)
{
	struct rlimit files, core, stack;

	(void)argument;
	getrlimit(RLIMIT_NOFILE, &files);
	getrlimit(RLIMIT_CORE, &core);
	getrlimit(RLIMIT_STACK, &stack);
	EXPECT(files.rlim_cur == 40 && files.rlim_max == 40);
	EXPECT(core.rlim_cur == 0 && core.rlim_max == 0);
	EXPECT(stack.rlim_cur == 1 << 20 && stack.rlim_max == 2 << 20);
	EXPECT(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 1);
	EXPECT(umask(0) == 027);
	return 0;
}

static int place_is_set(const char *argument)
{
	char path[64];
	cpu_set_t set;

	(void)argument;
	EXPECT(getcwd(path, sizeof(path)) != NULL && strcmp(path, "/usr") == 0);
	sched_getaffinity(0, sizeof(set), &set);
	EXPECT(CPU_COUNT(&set) == 1 && CPU_ISSET(0, &set));
	EXPECT(command_cores_widen("") == EPERM);
	EXPECT(command_raise("nofile") == EPERM);
	return limit_is_set("");
}

static void what_a_running_program_can_have_works_in_place(void **state)
{
#define PLACE                                                                                                \
	"cwd", "/usr", "cpu-cores", "0", "max-open-files", "40", "no-coredump", "", "rlimit", "stack=1M:2M", \
		"no-huge-pages", "", "umask", "027"
	struct in_place place = {.look = place_is_set};

	(void)state;
	assert_int_not_equal(attempt_bare(in_place_look, &place), 0);
	assert_int_equal(attempt_confined(POLICY(PLACE), in_place_look, &place), 0);
	assert_int_equal(
		attempt_confined(POLICY(PLACE, "net-allow", rule_for(AF_INET, port)), in_place_look, &place),
		0);
}

static void *thread_wait(void *argument)
{
	pause();
	return argument;
}

static int confine_with(const char *const *keys, sl_error *error)
{
	sl_policy *policy = policy_of(keys);
	int r = sl_confine_self(policy, error);

	sl_policy_free(policy);
	return r;
}

static int refusals(void *context)
{
	char here[4096], now[4096];
	sl_error error;

	(void)context;
	EXPECT(getcwd(here, sizeof(here)) != NULL);
	EXPECT(confine_with(POLICY("env", "A=b", "user", "1:1", "cwd", "/"), &error) == -EINVAL);
	EXPECT(strstr(error.message, "user, env") != NULL);
	EXPECT(confine_with(POLICY("cwd", "/nowhere"), &error) == -ENOENT);
	EXPECT(strstr(error.message, "cwd: /nowhere") != NULL);
	EXPECT(confine_with(
		       POLICY("cwd", "/", "rlimit", "nofile=999999999", "net-allow", rule_for(AF_INET, port)),
		       &error) == -EPERM);
	EXPECT(strstr(error.message, "hard limit of nofile") != NULL);
	/* Nothing has happened yet. */
	EXPECT(getcwd(now, sizeof(now)) != NULL && strcmp(here, now) == 0);
	EXPECT(supervisor_of(getpid()) == 0);
	EXPECT(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0);
	return 0;
}

static void what_it_cannot_have_is_refused_in_one_message(void **state)
{
	(void)state;
	assert_int_equal(attempt_bare(refusals, NULL), 0);
}

void __real_kernel_probe(struct kernel *kernel);
void __wrap_kernel_probe(struct kernel *kernel);
static bool threads_are_confined;

/* Without Landlock's TSYNC a program with threads is refused before anybody asks for its cores. */
void __wrap_kernel_probe(struct kernel *kernel)
{
	__real_kernel_probe(kernel);
	if (threads_are_confined)
		kernel->landlock_abi = SL_ABI_TSYNC;
}

static int threads_refused(void *context)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	const struct __user_cap_data_struct none[2] = {{0}};
	pthread_t thread;
	sl_error error;

	(void)context;
	/* Threads with capabilities are refused for those. */
	EXPECT(syscall(SYS_capset, &header, none) == 0);
	EXPECT(pthread_create(&thread, NULL, thread_wait, NULL) == 0);
	threads_are_confined = true;
	EXPECT(confine_with(POLICY("cpu-cores", "0"), &error) == -EPERM);
	EXPECT(strstr(error.message, "cpu-cores: there are 2 threads") != NULL);
	return 0;
}

static void cores_of_other_threads_are_not_pretended(void **state)
{
	(void)state;
	assert_int_equal(attempt_bare(threads_refused, NULL), 0);
}

static pid_t acceptor;

static int set_up(void **state)
{
	(void)state;
	if (!programs_find(self, sluice, sizeof(self)))
		return 1;
	/* A directory that this user may not search would make "not found" a "permission denied". */
	setenv("PATH", "/usr/bin:/bin", 1);
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
		cmocka_unit_test(an_environment_is_made_before_the_command),
		cmocka_unit_test(a_forged_environment_gets_nothing_past_env_safe),
		cmocka_unit_test(the_command_is_looked_for_where_it_will_be),
		cmocka_unit_test(cwd_is_where_it_starts),
		cmocka_unit_test(cwd_is_the_commands_matter),
		cmocka_unit_test(umask_is_for_all_that_is_made),
		cmocka_unit_test(cores_are_given_and_kept),
		cmocka_unit_test(huge_pages_stay_off),
		cmocka_unit_test(addresses_are_the_same_each_time),
		cmocka_unit_test(limits_are_set_and_cannot_be_raised),
		cmocka_unit_test(a_hard_limit_is_never_raised),
		cmocka_unit_test(the_walls_stand_before_the_limits_bite),
		cmocka_unit_test(a_crash_leaves_no_core),
		cmocka_unit_test(a_user_is_looked_like),
		cmocka_unit_test(the_user_that_one_is_needs_no_namespace),
		cmocka_unit_test(the_namespace_gives_nothing),
		cmocka_unit_test(the_owner_of_files_stays),
		cmocka_unit_test(a_supervisor_reaches_into_the_namespace),
		cmocka_unit_test(a_user_dies_with_the_keeper),
		cmocka_unit_test(a_failed_step_is_named),
		cmocka_unit_test(a_shell_runs_a_line),
		cmocka_unit_test(what_a_running_program_can_have_works_in_place),
		cmocka_unit_test(what_it_cannot_have_is_refused_in_one_message),
		cmocka_unit_test(cores_of_other_threads_are_not_pretended),
	};

	for (size_t i = 0; argc == 3 && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argv[2]);
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
