/* Looking at the registry from outside, and what sluice kill does.
 *
 * From a lock to a process: F_GETLK names the holder, pidfd_open(2) opens that number, and F_GETLK again says that its holder
 * was still there, so that the number was not another's. That does for a keeper. It does not do for who means ill and may
 * write to the directory: of two processes with one descriptor table (clone(2), CLONE_FILES) the one that took a lock can
 * end, and the kernel goes on naming its pid, whoever has it by then. So the holder must be of this user and called what a
 * keeper is called; and what it is sent is a signal that everybody else ignores by default.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/error.h"
#include "core/fd.h"
#include "supervise/cgroup.h"
#include "supervise/keeper.h"
#include "supervise/registry.h"
#include "supervise/supervise.h"
#include "supervise/tree.h"

enum {
	TEXT_MAX = 4 << 20,
	FIND_TRIES = 100, /* of a millisecond, or less */
	KILL_TRIES = 100, /* of KILL_WAIT_MS */
	KILL_WAIT_MS = 100,
};

/* ---- one process, from /proc ---- */

struct process {
	char comm[64], state;
	pid_t parent;
	unsigned long long start; /* in ticks since the machine was booted */
};

static ssize_t proc_read(pid_t pid, const char *file, char *text, size_t room)
{
	char path[64];
	cleanup_fd int fd = -1;
	ssize_t size;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	size = fd < 0 ? -1 : read(fd, text, room - 1);
	text[size < 0 ? 0 : size] = '\0';
	return size;
}

/* The name is in parentheses and may hold any; the last one ends it. proc_pid_stat(5), fields 2 to 4 and 22. */
static int process_read(pid_t pid, struct process *process)
{
	char text[1024], *name, *end;
	int size;

	if (proc_read(pid, "stat", text, sizeof(text)) <= 0)
		return -ESRCH;
	name = strchr(text, '(');
	end = strrchr(text, ')');
	if (name == NULL || end == NULL || end < name)
		return -ESRCH;
	size = (int)(end - name - 1);
	snprintf(process->comm, sizeof(process->comm), "%.*s", size, name + 1);
	if (sscanf(end + 1, " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
	           &process->state, &process->parent, &process->start) != 3)
		return -ESRCH;
	return 0;
}

static bool process_is_ours(pid_t pid)
{
	char text[4096], *line;
	unsigned real, effective;

	if (proc_read(pid, "status", text, sizeof(text)) <= 0 || (line = strstr(text, "\nUid:")) == NULL)
		return false;
	return sscanf(line, "\nUid: %u %u", &real, &effective) == 2 && effective == geteuid();
}

static bool pidfd_lives(int pidfd)
{
	struct pollfd ended = {.fd = pidfd, .events = POLLIN};

	return poll(&ended, 1, 0) == 0;
}

/* ---- from an entry to its keeper ---- */

/* 0; -EAGAIN: it changed under our eyes; -ESRCH: nobody, or nobody that can be named. */
static int holder_open(struct running *running)
{
	pid_t again;
	int r = registry_holder(running->entry, &running->keeper);

	if (r <= 0 || running->keeper <= 0)
		return r < 0 ? r : -ESRCH;
	fd_close(&running->keeper_pidfd);
	running->keeper_pidfd = (int)syscall(SYS_pidfd_open, running->keeper, 0);
	if (running->keeper_pidfd < 0)
		return -EAGAIN;
	if (registry_holder(running->entry, &again) != 1 || again != running->keeper)
		return -EAGAIN;
	return 0;
}

/* Whose pid that is: read while it lives, so that it is not another's by then. */
static int holder_check(const struct running *running)
{
	struct process process;

	if (process_read(running->keeper, &process) < 0 || !process_is_ours(running->keeper))
		return -ESRCH;
	if (strcmp(process.comm, KEEPER_COMM) != 0)
		return -EPERM;
	return pidfd_lives(running->keeper_pidfd) ? 0 : -ESRCH;
}

/* It is the first that the keeper forked, and so the first of its children; what was orphaned comes behind. */
static pid_t first_child(pid_t keeper)
{
	char file[48], text[32];

	snprintf(file, sizeof(file), "task/%d/children", keeper);
	return proc_read(keeper, file, text, sizeof(text)) <= 0 ? 0 : atoi(text);
}

static int entry_open(int dir, const char *name)
{
	cleanup_fd int entry = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat status;

	if (entry < 0)
		return -errno;
	if (fstat(entry, &status) < 0 || !S_ISREG(status.st_mode))
		return -ENOENT;
	return fd_steal(&entry);
}

static int find_once(int dir, const char *name, struct running *running)
{
	pid_t holder;
	int r;

	fd_close(&running->entry);
	if ((running->entry = entry_open(dir, name)) < 0)
		return running->entry == -ELOOP || running->entry == -ENXIO ? -ENOENT : running->entry;
	r = holder_open(running);
	if (r == 0)
		r = holder_check(running);
	if (r == -ESRCH) {
		fd_close(&running->entry);
		r = registry_prune(dir, name, &holder);
		return r == -EAGAIN ? r : -ENOENT;
	}
	return r;
}

int running_find(int dir, const char *name, struct running *running, sl_error *error)
{
	int r = -EAGAIN;

	*running = (struct running){.entry = -1, .keeper_pidfd = -1};
	if (*name == '\0' || strlen(name) >= sizeof(running->name) || strchr(name, '/') != NULL)
		return error_set(error, -ENOENT, "no sandbox of the name \"%.64s\" runs", name);
	for (int i = 0; r == -EAGAIN && i < FIND_TRIES; i++) {
		if (i > 0)
			poll(NULL, 0, 1);
		r = find_once(dir, name, running);
	}
	if (r == 0) {
		strcpy(running->name, name);
		running->command = first_child(running->keeper);
		return 0;
	}
	running_clear(running);
	if (r == -ENOENT)
		return error_set(error, r, "no sandbox of the name \"%.64s\" runs", name);
	if (r == -EPERM)
		return error_set(error, r, "\"%.64s\": pid %d has its entry, and is no keeper: forged", name,
		                 running->keeper);
	return error_errno(error, r, "\"%.64s\"", name);
}

void running_clear(struct running *running)
{
	fd_close(&running->entry);
	fd_close(&running->keeper_pidfd);
}

int running_open(sl_error *error)
{
	return registry_open(error);
}

/* ---- all of them ---- */

static int name_compare(const void *left, const void *right)
{
	const char *const *a = left, *const *b = right;

	return strcmp(*a, *b);
}

static void names_read(DIR *entries, char **names)
{
	struct dirent *entry;
	size_t count = 0;

	while (count < RUNNING_MAX && (entry = readdir(entries)) != NULL) {
		if (entry->d_type != DT_REG && entry->d_type != DT_UNKNOWN)
			continue;
		if ((names[count] = strdup(entry->d_name)) == NULL)
			break;
		count++;
	}
	qsort(names, count, sizeof(*names), name_compare);
}

char **running_names(int dir)
{
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *entries = copy < 0 ? NULL : fdopendir(copy);
	char **names = calloc(RUNNING_MAX + 1, sizeof(*names));

	if (entries != NULL && names != NULL)
		names_read(entries, names);
	if (entries != NULL)
		closedir(entries);
	else
		fd_close(&copy);
	return names;
}

/* ---- looking at one ---- */

static double seconds_since(unsigned long long ticks)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9 - (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

static int tree_copy(pid_t keeper, struct running_facts *facts)
{
	cleanup_fd int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct tree tree;
	int r = proc < 0 ? -errno : tree_open(&tree, proc, 0);

	if (r < 0)
		return r;
	tree_look(&tree, keeper);
	facts->count = tree.count;
	facts->pids = calloc(tree.count + 1, sizeof(*facts->pids));
	if (facts->pids != NULL)
		memcpy(facts->pids, tree.pids, tree.count * sizeof(*facts->pids));
	tree_close(&tree);
	return facts->pids == NULL ? -ENOMEM : 0;
}

int running_look(const struct running *running, struct running_facts *facts)
{
	struct process keeper, command;
	int r;

	*facts = (struct running_facts){.seconds = 0};
	if ((r = tree_copy(running->keeper, facts)) < 0)
		return r;
	if (process_read(running->keeper, &keeper) == 0)
		facts->supervisor = keeper.parent;
	if (running->command > 0 && process_read(running->command, &command) == 0 &&
	    command.parent == running->keeper) {
		facts->paused =
			command.state == 'T' || command.state == 't' || cgroup_of_is_frozen(running->command);
		facts->seconds = seconds_since(command.start);
		snprintf(facts->program, sizeof(facts->program), "%s", command.comm);
	}
	/* What was read is of this sandbox only if that is still there. */
	if (pidfd_lives(running->keeper_pidfd))
		return 0;
	free(facts->pids);
	facts->pids = NULL;
	return -ESRCH;
}

char *running_text(const struct running *running)
{
	struct stat status;
	char *text;
	ssize_t size;

	if (fstat(running->entry, &status) < 0 || status.st_size > TEXT_MAX ||
	    (text = malloc((size_t)status.st_size + 1)) == NULL)
		return NULL;
	size = pread(running->entry, text, (size_t)status.st_size, 0);
	text[size < 0 ? 0 : size] = '\0';
	return text;
}

/* ---- ending it ---- */

static int keeper_ask(const struct running *running)
{
	siginfo_t info = {.si_signo = KEEPER_SIGNAL, .si_code = SI_QUEUE};

	info.si_pid = getpid();
	info.si_uid = getuid();
	info.si_value.sival_int = KEEPER_KILL;
	if (syscall(SYS_pidfd_send_signal, running->keeper_pidfd, KEEPER_SIGNAL, &info, 0) < 0 ||
	    /* To one that somebody has stopped. */
	    syscall(SYS_pidfd_send_signal, running->keeper_pidfd, SIGCONT, NULL, 0) < 0)
		return -errno;
	return 0;
}

/* A process ends after its locks have gone, and a keeper after its tree. Asked again: of a signal that is not a real-time
 * one the kernel keeps one, and a stranger's may have been there. */
int running_kill(const struct running *running, sl_error *error)
{
	struct pollfd ended = {.fd = running->keeper_pidfd, .events = POLLIN};

	for (int i = 0; i < KILL_TRIES; i++) {
		int r = keeper_ask(running);

		if (r == -ESRCH)
			return 0;
		if (r < 0)
			return error_errno(error, r, "\"%.64s\": keeper %d", running->name, running->keeper);
		if (poll(&ended, 1, KILL_WAIT_MS) > 0)
			return 0;
	}
	return error_set(error, -ETIMEDOUT,
	                 "\"%.64s\": keeper %d was told to kill its tree, and has not ended", running->name,
	                 running->keeper);
}

/* A number is looked up once, and what was opened is judged: a child of this keeper, which lives. */
int running_signal(const struct running *running, int signal, sl_error *error)
{
	cleanup_fd int pidfd = running->command > 0 ? (int)syscall(SYS_pidfd_open, running->command, 0) : -1;
	struct process command;

	if (pidfd < 0 || process_read(running->command, &command) < 0 || command.parent != running->keeper ||
	    !pidfd_lives(running->keeper_pidfd) || !pidfd_lives(pidfd))
		return error_set(error, -ENOENT, "\"%.64s\" has ended", running->name);
	if (syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) < 0)
		return error_errno(error, -errno, "\"%.64s\": signal %d to pid %d", running->name, signal,
		                   running->command);
	return 0;
}
