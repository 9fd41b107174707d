/* common.h says what each is for. */
#include "tests/common/common.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

const char *degraded_everywhere;

sl_policy *policy_of(const char *const keys[])
{
	sl_policy *policy = sl_policy_new();
	sl_error error;

	assert_non_null(policy);
	for (size_t i = 0; keys[i] != NULL; i += 2)
		if (sl_policy_set(policy, keys[i], keys[i + 1], &error) < 0)
			fail_msg("%s", error.message);
	if (degraded_everywhere != NULL)
		assert_int_equal(sl_policy_set(policy, "degrade", degraded_everywhere, NULL), 0);
	return policy;
}

/* The whole result fits into a pipe: an exit status has only eight bits. */
static int attempt_wait(pid_t child, int results)
{
	struct pollfd ready = {.fd = results, .events = POLLIN};
	int result = 0, status;

	if (poll(&ready, 1, ATTEMPT_SECONDS * 1000) <= 0)
		kill(child, SIGKILL);
	if (read(results, &result, sizeof(result)) != sizeof(result))
		result = -1;
	close(results);
	waitpid(child, &status, 0);
	if (WIFSIGNALED(status))
		return ATTEMPT_KILLED + WTERMSIG(status);
	return result == -1 ? ATTEMPT_KILLED : result;
}

/* cmocka catches these to go on with the next test, which is not the child's to run. */
static void crashes_default(void)
{
	static const int crashes[] = {SIGSEGV, SIGILL, SIGBUS, SIGFPE, SIGSYS, SIGABRT};

	for (size_t i = 0; i < sizeof(crashes) / sizeof(crashes[0]); i++)
		signal(crashes[i], SIG_DFL);
}

static int attempt_run(const sl_policy *policy, attempt_fn attempt, void *context)
{
	int results[2], result;
	sl_error error;
	pid_t child;

	fflush(NULL);
	if (pipe2(results, O_CLOEXEC) < 0 || (child = fork()) < 0)
		fail_msg("fork: %s", strerror(errno));
	if (child > 0) {
		close(results[1]);
		return attempt_wait(child, results[0]);
	}
	close(results[0]);
	crashes_default();
	if (policy != NULL && sl_confine_self(policy, &error) < 0) {
		fprintf(stderr, "# %s\n", error.message);
		result = ATTEMPT_UNCONFINED;
	} else {
		result = attempt(context);
	}
	if (write(results[1], &result, sizeof(result)) != sizeof(result))
		_exit(99);
	_exit(0);
}

int attempt_bare(attempt_fn attempt, void *context)
{
	return attempt_run(NULL, attempt, context);
}

int attempt_confined(const char *const keys[], attempt_fn attempt, void *context)
{
	sl_policy *policy = policy_of(keys);
	int result = attempt_run(policy, attempt, context);

	sl_policy_free(policy);
	return result;
}

static socklen_t loopback(int family, uint16_t port, struct sockaddr_storage *address)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;

	memset(address, 0, sizeof(*address));
	if (family == AF_INET) {
		*v4 = (struct sockaddr_in){AF_INET, htons(port), {htonl(INADDR_LOOPBACK)}, {0}};
		return sizeof(*v4);
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(port);
	v6->sin6_addr = in6addr_loopback;
	return sizeof(*v6);
}

static bool port_is_free(uint16_t port, int type)
{
	struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	int fd = socket(AF_INET6, type | SOCK_CLOEXEC, 0), dual = 0, r;

	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &dual, sizeof(dual));
	r = bind(fd, (struct sockaddr *)&address, sizeof(address));
	close(fd);
	return r == 0;
}

/* Test programs that run at the same time begin at different ones. */
uint16_t port_free(void)
{
	enum { FIRST = 10000, COUNT = 20000 };
	static unsigned next;

	if (next == 0)
		next = (unsigned)getpid() * 37;
	for (int tries = 0; tries < COUNT; tries++) {
		uint16_t port = (uint16_t)(FIRST + next++ % COUNT);

		if (port_is_free(port, SOCK_STREAM) && port_is_free(port, SOCK_DGRAM))
			return port;
	}
	fail_msg("no port is free");
	return 0;
}

int tcp_listener(int family, uint16_t *port)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
	struct sockaddr_storage address;
	socklen_t size = loopback(family, *port, &address);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, 128) < 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &size) < 0)
		fail_msg("listener: %s", strerror(errno));
	*port = ntohs(((struct sockaddr_in *)&address)->sin_port);
	return fd;
}

int accept_all(int listener)
{
	int count = 0, fd;

	fcntl(listener, F_SETFL, fcntl(listener, F_GETFL) | O_NONBLOCK);
	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		close(fd);
		count++;
	}
	return count;
}

int disconnect_try(int fd, socklen_t size)
{
	struct sockaddr_storage nothing = {.ss_family = AF_UNSPEC};

	return connect(fd, (struct sockaddr *)&nothing, size) < 0 ? errno : 0;
}

int address_try(const struct sockaddr *address, socklen_t size)
{
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), result;

	if (fd < 0)
		return errno;
	result = connect(fd, address, size) < 0 ? errno : 0;
	close(fd);
	return result;
}

bool link_local_find(char *text, size_t size, unsigned *interface)
{
	struct ifaddrs *all, *at;
	bool found = false;

	if (getifaddrs(&all) < 0)
		return false;
	for (at = all; at != NULL && !found; at = at->ifa_next) {
		struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)at->ifa_addr;

		if (v6 == NULL || v6->sin6_family != AF_INET6 || !IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr))
			continue;
		inet_ntop(AF_INET6, &v6->sin6_addr, text, (socklen_t)size);
		*interface = if_nametoindex(at->ifa_name);
		found = true;
	}
	freeifaddrs(all);
	return found;
}

socklen_t address_read(const char *text, uint16_t port, struct sockaddr_storage *address)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;
	char plain[128];
	char *scope;

	memset(address, 0, sizeof(*address));
	if (strchr(text, ':') == NULL) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		inet_pton(AF_INET, text, &v4->sin_addr);
		return sizeof(*v4);
	}
	snprintf(plain, sizeof(plain), "%s", text);
	if ((scope = strchr(plain, '%')) != NULL)
		*scope++ = '\0';
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(port);
	v6->sin6_scope_id = scope == NULL ? 0 : (uint32_t)atoi(scope);
	inet_pton(AF_INET6, plain, &v6->sin6_addr);
	return sizeof(*v6);
}

int tcp_try(int family, uint16_t port)
{
	struct sockaddr_storage address;
	socklen_t size = loopback(family, port, &address);

	return address_try((struct sockaddr *)&address, size);
}

const char *text_of(const char *format, ...)
{
	/* A thread's own: even the same text is empty for a moment while it is written again. */
	static __thread char texts[8][256];
	static __thread unsigned next;
	char *text = texts[next++ % 8];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(texts[0]), format, args);
	va_end(args);
	return text;
}

const char *rule_for(int family, uint16_t port)
{
	return text_of(family == AF_INET ? "tcp://127.0.0.1:%u" : "tcp://[::1]:%u", port);
}

static bool comm_is(pid_t process, const char *name)
{
	char path[64], comm[32] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/comm", process);
	file = fopen(path, "re");
	if (file == NULL)
		return false;
	if (fgets(comm, sizeof(comm), file) == NULL)
		comm[0] = '\0';
	fclose(file);
	comm[strcspn(comm, "\n")] = '\0';
	return strcmp(comm, name) == 0;
}

pid_t supervisor_of(pid_t process)
{
	char path[64];
	pid_t child, found = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", process, process);
	file = fopen(path, "re");
	if (file == NULL)
		return 0;
	while (found == 0 && fscanf(file, "%d", &child) == 1)
		if (comm_is(child, "sluice-gate"))
			found = child;
	fclose(file);
	return found;
}

pid_t process_fork(void)
{
	pid_t child;

	fflush(NULL);
	if ((child = fork()) < 0)
		fail_msg("fork: %s", strerror(errno));
	return child;
}

/* proc_pid_stat(5) from the end of the name on; NULL. */
static const char *stat_behind_name(pid_t process, char *text, size_t room)
{
	char path[64];
	ssize_t size;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", process);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	size = fd < 0 ? -1 : read(fd, text, room - 1);
	if (fd >= 0)
		close(fd);
	text[size < 0 ? 0 : size] = '\0';
	return strrchr(text, ')');
}

char process_state(pid_t process)
{
	char text[512];
	const char *at = stat_behind_name(process, text, sizeof(text));

	return at == NULL ? 0 : at[2];
}

pid_t process_parent(pid_t process)
{
	char text[512];
	const char *at = stat_behind_name(process, text, sizeof(text));

	return at == NULL ? 0 : atoi(at + 4);
}

int exit_of(pid_t child)
{
	int status;

	if (waitpid(child, &status, 0) != child)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void process_kill(pid_t process, int number)
{
	if (process > 1)
		kill(process, number);
}

void process_end(pid_t process)
{
	process_kill(process, SIGKILL);
	if (process > 0)
		waitpid(process, NULL, 0);
}

pid_t acceptor_start(int listener)
{
	pid_t process;

	fflush(NULL);
	if ((process = fork()) == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (int fd;; close(fd))
			fd = accept(listener, NULL, NULL);
	}
	return process;
}

bool programs_find(char *self, char *sluice, size_t room)
{
	const char *command = getenv("SLUICE");
	ssize_t size = readlink("/proc/self/exe", self, room - 1);

	if (size < 0 || command == NULL || strlen(command) >= room) {
		fputs("# SLUICE must name the command\n", stderr);
		return false;
	}
	self[size] = '\0';
	strcpy(sluice, command);
	return true;
}

int open_descriptors(pid_t process)
{
	char path[64];
	struct dirent *entry;
	int count = 0;
	DIR *fds;

	snprintf(path, sizeof(path), "/proc/%d/fd", process);
	if ((fds = opendir(path)) == NULL)
		return -1;
	while ((entry = readdir(fds)) != NULL)
		count += entry->d_name[0] != '.';
	closedir(fds);
	return count;
}

long private_kib(pid_t process)
{
	char path[64], line[128];
	long total = 0, kib;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", process);
	if ((file = fopen(path, "re")) == NULL)
		return -1;
	while (fgets(line, sizeof(line), file) != NULL)
		if (sscanf(line, "Private_Clean: %ld", &kib) == 1 ||
		    sscanf(line, "Private_Dirty: %ld", &kib) == 1)
			total += kib;
	fclose(file);
	return total;
}

double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

bool long_run(void)
{
	return getenv("SL_LONG") != NULL;
}

int sysctl_of(const char *name, int otherwise)
{
	FILE *file = fopen(text_of("/proc/sys/%s", name), "re");
	int number = otherwise;

	if (file == NULL)
		return otherwise;
	if (fscanf(file, "%d", &number) != 1)
		number = otherwise;
	fclose(file);
	return number;
}

int file_set(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), r;

	if (fd < 0)
		return errno;
	r = write(fd, text, strlen(text)) < 0 ? errno : 0;
	close(fd);
	return r;
}

int slowness(void)
{
	const char *times = getenv("SL_SLOW");

	return times == NULL ? 1 : atoi(times);
}

const char *scratch(void)
{
	const char *directory = getenv("TEST_TMP");

	return directory == NULL ? "/tmp" : directory;
}
