/* tree.h says what for. A process that is stopped forks no more: so its children, looked at after that, are all there
 * are. A process that died meanwhile leaves its children to us, behind our back: hence a second look.
 *
 * A list of children names numbers, and each may be a stranger's by the time it is used. So whatever a process is asked, or
 * sent, goes by something that stays with it, be it a directory below /proc or a pidfd, and only after that has been seen
 * to be of one below us. Who is below us never leaves.
 */
#include "supervise/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/fd.h"
#include "core/kernel.h"
#include "supervise/lines.h"

enum {
	PIDS_MAX = 1 << 20,
	ROUNDS = 5000, /* of a millisecond, or less */
	/* A thread that a signal cannot wake is held by whom it waits for: a vfork(2) parent by its child, which is
	 * stopped, a supervised call by its supervisor. After so many rounds it is taken to be. */
	ROUNDS_TO_WAKE = 50,
	ROUNDS_ALIKE = 3,
	TASKS_SIZE = 4096,
	LOOK_ROUNDS = 100,
	ROUNDS_AT_ONCE = 4,
	ANCESTORS_MAX = 32,
	WAYS_TO_TRY = 16,
	STAT_UTIME = 14,       /* proc_pid_stat(5): this and the three behind it */
	TICK_US = 10000,       /* USER_HZ is 100 */
	STATUS_SIZE = 1 << 20, /* 65536 groups stand before the signals */
};

static int children_open(int proc)
{
	int fd = openat(proc, "thread-self/children", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

enum { PID_BITS = 1 << 22 }; /* PID_MAX_LIMIT */

static void *pages(size_t size)
{
	return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

int tree_open(struct tree *tree, int proc, pid_t spared)
{
	cleanup_fd int children = children_open(proc);

	if (children < 0)
		return children;
	*tree = (struct tree){.proc = proc, .spared = spared};
	tree->pids = pages(PIDS_MAX * sizeof(*tree->pids));
	tree->before = pages(PIDS_MAX * sizeof(*tree->before));
	tree->seen = pages(PID_BITS / 8);
	return tree->pids == MAP_FAILED || tree->before == MAP_FAILED || tree->seen == MAP_FAILED ? -ENOMEM
	                                                                                          : 0;
}

void tree_close(struct tree *tree)
{
	munmap(tree->pids, PIDS_MAX * sizeof(*tree->pids));
	munmap(tree->before, PIDS_MAX * sizeof(*tree->before));
	munmap(tree->seen, PID_BITS / 8);
	tree->pids = NULL;
}

static bool seen_set(struct tree *tree, pid_t pid)
{
	unsigned char bit = (unsigned char)(1 << pid % 8), *byte = &tree->seen[pid / 8];
	bool was = *byte & bit;

	*byte |= bit;
	return was;
}

static void seen_forget(struct tree *tree, pid_t pid)
{
	tree->seen[pid / 8] &= (unsigned char)~(1 << pid % 8);
}

static void seen_clear(struct tree *tree)
{
	for (size_t i = 0; i < tree->count; i++)
		tree->seen[tree->pids[i] / 8] = 0;
}

/* Once each: who has lost his parent meanwhile is met again among the root's children. */
static void tree_add(struct tree *tree, pid_t pid)
{
	if (pid >= PID_BITS || seen_set(tree, pid))
		return;
	if (tree->count == PIDS_MAX) {
		seen_forget(tree, pid);
		tree->cut = true;
	} else {
		tree->pids[tree->count++] = pid;
	}
}

/* "12 345 " in pieces of any size. */
static void children_read(struct tree *tree, int fd)
{
	char text[1024];
	long pid = 0;
	ssize_t size;

	while ((size = read(fd, text, sizeof(text))) > 0) {
		for (ssize_t i = 0; i < size; i++) {
			if (text[i] >= '0' && text[i] <= '9') {
				pid = pid * 10 + (text[i] - '0');
				continue;
			}
			if (pid > 0)
				tree_add(tree, (pid_t)pid);
			pid = 0;
		}
	}
}

struct entry {
	uint64_t inode, offset;
	unsigned short size;
	unsigned char type;
	char name[];
};

/* Of the process that has this number now, and of it for ever. */
static int task_open(struct tree *tree, pid_t pid)
{
	char path[32];
	int task;

	snprintf(path, sizeof(path), "%d/task", pid);
	task = openat(tree->proc, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (task < 0)
		tree->vanished = true;
	return task;
}

static void task_each(struct tree *tree, int task, task_fn each, void *context)
{
	char entries[TASKS_SIZE] __attribute__((aligned(8)));
	cleanup_fd int list = openat(task, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	long size;

	while ((size = syscall(SYS_getdents64, list, entries, sizeof(entries))) > 0) {
		for (long at = 0; at < size;) {
			const struct entry *entry = (const struct entry *)(entries + at);

			if (entry->name[0] != '.')
				each(tree, task, entry->name, context);
			at += entry->size;
		}
	}
}

void tasks_each(struct tree *tree, pid_t pid, task_fn each, void *context)
{
	cleanup_fd int task = task_open(tree, pid);

	if (task >= 0)
		task_each(tree, task, each, context);
}

/* ---- whose number it is ---- */

/* proc_pid_stat(5), field 4. 0: it is gone. */
static pid_t parent_read(int directory, const char *path)
{
	char text[512];
	const char *at;

	if (file_text(directory, path, text, sizeof(text)) <= 0 || (at = strrchr(text, ')')) == NULL ||
	    strlen(at) < 4)
		return 0;
	return (pid_t)strtol(at + 4, NULL, 10);
}

static pid_t parent_of(const struct tree *tree, int task, pid_t pid)
{
	char path[32];

	snprintf(path, sizeof(path), "%d/stat", pid);
	return parent_read(task >= 0 ? task : tree->proc, path);
}

/* The way up from `pid`, whose `task` it is, to the root: read upwards, and once more downwards. Who has the same parent both
 * times had it all the while, as nobody comes to a parent that is younger than himself; so that this parent's number was
 * its own when its parent was read in between, and so on up to the root, whose number is nobody else's. Not for ever: who
 * makes a deep tree must not gain by it, and strangers are not that deep. 1, 0; -EAGAIN: somebody on it ended just now. */
static int way_read(const struct tree *tree, int task, pid_t pid)
{
	pid_t way[ANCESTORS_MAX + 1] = {pid};
	int top = 0;

	do {
		pid_t parent = parent_of(tree, top == 0 ? task : -1, way[top]);

		if (parent == 0 && top > 0 && way[top] != 1)
			return -EAGAIN;
		if (parent == 0)
			return 0;
		way[++top] = parent;
	} while (top < ANCESTORS_MAX && way[top] != tree->root);
	for (int i = top - 2; i >= 0; i--)
		if (parent_of(tree, i == 0 ? task : -1, way[i]) != way[i + 1])
			return -EAGAIN;
	return 1;
}

/* What `task` was opened of was below the root when it was opened, and is. */
static bool is_below(const struct tree *tree, int task, pid_t pid)
{
	int r = -EAGAIN;

	for (int i = 0; r == -EAGAIN && i < WAYS_TO_TRY; i++)
		r = way_read(tree, task, pid);
	return r == 1;
}

bool tree_holds(struct tree *tree, pid_t pid)
{
	cleanup_fd int task = task_open(tree, pid);

	return task >= 0 && is_below(tree, task, pid);
}

/* ---- looking ---- */

static void task_children(struct tree *tree, int task, const char *tid, void *context)
{
	char path[64];
	cleanup_fd int fd = -1;

	(void)context;
	snprintf(path, sizeof(path), "%s/children", tid);
	fd = openat(task, path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		children_read(tree, fd);
	else
		tree->vanished = true;
}

static bool exists(const struct tree *tree, pid_t pid)
{
	char path[16];
	cleanup_fd int fd = -1;

	snprintf(path, sizeof(path), "%d", pid);
	fd = openat(tree->proc, path, O_PATH | O_CLOEXEC);
	return fd >= 0;
}

/* A list of children skips one for each that is reaped while it is read (fs/proc/array.c, get_children_pid()): whoever
 * stood in it must still be there afterwards. Of all others the look at them tells; these are not looked at again. */
static void root_confirm(struct tree *tree, size_t of_root)
{
	for (size_t i = 0; i < of_root && !tree->vanished; i++)
		tree->vanished = !exists(tree, tree->pids[i]);
}

/* He and those that were read as his children, who are the last ones. */
static void stranger_remove(struct tree *tree, size_t at, size_t first_child)
{
	for (size_t i = first_child; i < tree->count; i++)
		seen_forget(tree, tree->pids[i]);
	seen_forget(tree, tree->pids[at]);
	tree->count = first_child - 1;
	memmove(&tree->pids[at], &tree->pids[at + 1], (tree->count - at) * sizeof(*tree->pids));
	tree->vanished = true;
}

/* Those of the one at `*at`, and on to the next. */
static void children_look(struct tree *tree, size_t *at)
{
	pid_t pid = tree->pids[*at];
	size_t count = tree->count;
	cleanup_fd int task = task_open(tree, pid);

	if (task >= 0)
		task_each(tree, task, task_children, NULL);
	if (task >= 0 && !is_below(tree, task, pid))
		stranger_remove(tree, *at, count);
	else
		(*at)++;
}

/* Who ends hands his children to the root, perhaps after that was looked at: so it is, again, until nobody is new. */
bool tree_look(struct tree *tree, pid_t root)
{
	size_t at = 0, of_root;

	tree->root = root;
	tree->count = 0;
	tree->cut = tree->vanished = false;
	tasks_each(tree, root, task_children, NULL);
	of_root = tree->count;
	for (int round = 0; at < tree->count && round < LOOK_ROUNDS; round++) {
		while (at < tree->count)
			children_look(tree, &at);
		tasks_each(tree, root, task_children, NULL);
	}
	root_confirm(tree, of_root);
	seen_clear(tree);
	return !tree->vanished && !tree->cut && at == tree->count;
}

/* ---- stopping ---- */

struct held {
	bool stopped;  /* every thread is */
	bool sleeping; /* ... or sleeps where no signal wakes it */
	bool dead;     /* every thread is */
	uint64_t ran;  /* another one once any of its threads has run */
};

/* The first bytes of a file and the last ones, however long it is: a line of proc_pid_status(5) may be very long. */
struct ends {
	char first[128], last[256];
};

static bool ends_read(int fd, struct ends *ends)
{
	char piece[1024 + sizeof(ends->last)];
	size_t kept = 0;
	ssize_t size;

	*ends = (struct ends){.first = ""};
	while ((size = read(fd, piece + kept, sizeof(piece) - kept)) > 0) {
		if (ends->first[0] == '\0')
			memcpy(ends->first, piece,
			       (size_t)size < sizeof(ends->first) ? (size_t)size : sizeof(ends->first) - 1);
		kept += (size_t)size;
		if (kept >= sizeof(ends->last)) {
			memmove(piece, piece + kept - sizeof(ends->last) + 1, sizeof(ends->last) - 1);
			kept = sizeof(ends->last) - 1;
		}
	}
	memcpy(ends->last, piece, kept);
	return size == 0 && kept > 0;
}

static uint64_t number_behind(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at == NULL ? 0 : strtoull(at + strlen(name), NULL, 10);
}

/* Its letter, 'X' when it is gone; *switches is how often it has left the processor. */
static char task_state(int task, const char *tid, uint64_t *switches)
{
	char path[64];
	cleanup_fd int fd = -1;
	struct ends ends;
	const char *at;

	snprintf(path, sizeof(path), "%s/status", tid);
	fd = openat(task, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || !ends_read(fd, &ends))
		return 'X';
	*switches = number_behind(ends.last, "\nvoluntary_ctxt_switches:\t") +
	            number_behind(ends.last, "\nnonvoluntary_ctxt_switches:\t");
	at = strstr(ends.first, "\nState:\t");
	return at == NULL ? 'X' : at[8];
}

/* FNV-1a, by words. */
static uint64_t mixed(uint64_t sum, uint64_t value)
{
	return (sum ^ value) * 0x100000001b3;
}

static void task_held(struct tree *tree, int task, const char *tid, void *context)
{
	struct held *held = context;
	uint64_t switches = 0;
	char state = task_state(task, tid, &switches);

	(void)tree;
	if (state == 'Z' || state == 'X')
		return;
	held->ran = mixed(mixed(held->ran, strtoull(tid, NULL, 10)), switches);
	held->dead = false;
	if (state == 'T' || state == 't')
		return;
	held->stopped = false;
	if (state != 'D')
		held->sleeping = false;
}

static struct held process_held(struct tree *tree, int task)
{
	struct held held = {true, true, true, 0};

	if (task >= 0)
		task_each(tree, task, task_held, &held);
	return held;
}

static struct tree_before *before_find(struct tree *tree, pid_t pid)
{
	for (size_t i = 0; i < tree->before_count; i++)
		if (tree->before[i].pid == pid)
			return &tree->before[i];
	return NULL;
}

/* Who is stopped at the first look was so before; but not who was woken after that, and is stopped again. */
static void before_note(struct tree *tree, pid_t pid, int round, uint64_t ran)
{
	struct tree_before *before;

	if (round == 0 && tree->before_count < PIDS_MAX)
		tree->before[tree->before_count++] = (struct tree_before){pid, ran};
	else if ((before = before_find(tree, pid)) != NULL && before->ran != ran)
		before->pid = 0;
}

/* Whether a pidfd that was opened of the same number after `directory` is of the same one: it is still there. */
static bool is_there(int directory)
{
	cleanup_fd int fd = openat(directory, "stat", O_PATH | O_CLOEXEC);

	return fd >= 0;
}

/* To each thread: one signal for all of them waits for whom the kernel has chosen, and that may be one that no signal
 * wakes, such as a vfork(2) parent, while the others run on. Before Linux 6.9 a thread can be named by its number only, and
 * it might end, and another of its number begin, between a look and a call. */
static void task_stop(struct tree *tree, int task, const char *tid, void *context)
{
	cleanup_fd int thread = openat(task, tid, O_PATH | O_DIRECTORY | O_CLOEXEC);
	pid_t number = (pid_t)strtol(tid, NULL, 10);
	cleanup_fd int pidfd = (int)syscall(SYS_pidfd_open, number, PIDFD_THREAD);
	bool old = pidfd < 0 && errno == EINVAL;

	(void)tree;
	if (thread < 0 || !is_there(thread))
		return;
	if (pidfd >= 0)
		syscall(SYS_pidfd_send_signal, pidfd, SIGSTOP, NULL, 0);
	else if (old)
		syscall(SYS_tgkill, *(pid_t *)context, number, SIGSTOP);
}

static bool process_stop(struct tree *tree, int task, pid_t pid, int round)
{
	struct held held = process_held(tree, task);

	/* The dead too: one that has died since it was listed has left its children to us, who are not on this list. It will
	 * not be on the next one, which then is another. */
	tree->ran = mixed(mixed(tree->ran, (uint64_t)pid), held.ran);
	if (held.dead) {
		/* Of ours, or there is no such child. What forks faster than it can be stopped must not fill the
		 * machine's table of processes with its dead meanwhile. */
		if (pid != tree->spared)
			waitpid(pid, NULL, WNOHANG);
		return true;
	}
	if (held.stopped) {
		before_note(tree, pid, round, held.ran);
		return true;
	}
	task_each(tree, task, task_stop, &pid);
	return held.sleeping && round > ROUNDS_TO_WAKE;
}

/* One that was listed; a stranger by now is let alone. */
static bool member_stop(struct tree *tree, pid_t pid, int round)
{
	cleanup_fd int task = task_open(tree, pid);
	bool stopped;

	if (task >= 0 && !is_below(tree, task, pid))
		return false;
	stopped = process_stop(tree, task, pid, round);
	if (task < 0)
		return stopped;
	task_each(tree, task, task_children, NULL);
	return stopped;
}

/* True when all were stopped before their children were looked at. */
static bool round_stop(struct tree *tree, int round)
{
	bool all = true;

	tree->root = getpid();
	tree->count = 0;
	tree->cut = false;
	tree->ran = 0;
	tasks_each(tree, getpid(), task_children, NULL);
	for (size_t i = 0; i < tree->count; i++)
		all &= member_stop(tree, tree->pids[i], round);
	seen_clear(tree);
	return all && !tree->cut;
}

/* Where it is held already, what is stopped is so by us. */
static int first_round(struct tree *tree)
{
	if (tree->held)
		return 1;
	tree->held = true;
	tree->before_count = 0;
	return 0;
}

/* They are looked at one after the other, and who is looked at first may be woken by the last: two that stop themselves
 * and wake each other in turns look stopped, both, at any time. So nobody may have left the processor from one round to
 * the next: then all were stopped at once, between the two, and nobody is left to wake another. One more round, as a
 * process looks stopped a moment before it leaves the processor. */
int tree_stop(struct tree *tree)
{
	uint64_t ran = 0;
	int good = 0;

	for (int round = first_round(tree); round < ROUNDS; round++) {
		if (!round_stop(tree, round))
			good = 0;
		else
			good = good > 0 && tree->ran == ran ? good + 1 : 1;
		if (good == ROUNDS_ALIKE)
			return 0;
		ran = tree->ran;
		if (good == 0 && round > 2)
			poll(NULL, 0, 1);
	}
	return -EAGAIN;
}

bool tree_stop_once(struct tree *tree)
{
	int first = first_round(tree);

	for (int round = first; round < first + ROUNDS_AT_ONCE; round++)
		if (round_stop(tree, round) && round > first)
			return true;
	return false;
}

static void task_runs(struct tree *tree, int task, const char *tid, void *context)
{
	uint64_t switches = 0;

	(void)tree;
	*(bool *)context |= task_state(task, tid, &switches) == 'R';
}

bool tree_runs(struct tree *tree)
{
	bool runs = false;

	tree_look(tree, getpid());
	for (size_t i = 0; i < tree->count && !runs; i++)
		tasks_each(tree, tree->pids[i], task_runs, &runs);
	return runs;
}

/* Signals that wait for the whole process: proc_pid_status(5), ShdPnd. */
static uint64_t signals_pending(int task, pid_t pid)
{
	static char text[STATUS_SIZE];
	char path[32];
	const char *at;

	snprintf(path, sizeof(path), "%d/status", pid);
	if (file_text(task, path, text, sizeof(text)) <= 0)
		return 0;
	at = strstr(text, "\nShdPnd:");
	return at == NULL ? 0 : strtoull(at + strlen("\nShdPnd:"), NULL, 16);
}

#define SIGNAL_BIT(number) (1ull << ((number)-1))

/* A signal that stops waits in one who is stopped already, and SIGCONT would take it away unseen. Ours were for threads, and
 * so is what waits for the process another's. */
static void process_continue(struct tree *tree, pid_t pid)
{
	static const int of_terminals[] = {SIGTSTP, SIGTTIN, SIGTTOU};
	cleanup_fd int task = task_open(tree, pid), pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	uint64_t pending = task < 0 ? 0 : signals_pending(task, pid);

	if (task < 0 || pidfd < 0 || !is_below(tree, task, pid) || pending & SIGNAL_BIT(SIGSTOP))
		return;
	syscall(SYS_pidfd_send_signal, pidfd, SIGCONT, NULL, 0);
	for (size_t i = 0; i < sizeof(of_terminals) / sizeof(of_terminals[0]); i++)
		if (pending & SIGNAL_BIT(of_terminals[i]))
			syscall(SYS_pidfd_send_signal, pidfd, of_terminals[i], NULL, 0);
}

/* From the leaves up: a parent that runs first could see a child of its own stopped. */
void tree_continue(struct tree *tree)
{
	tree_look(tree, getpid());
	for (size_t i = tree->count; i > 0; i--)
		if (before_find(tree, tree->pids[i - 1]) == NULL)
			process_continue(tree, tree->pids[i - 1]);
	tree->before_count = 0;
	tree->held = false;
}

/* ---- counting time ---- */

/* Of a process, and of all that it has waited for. */
static int64_t process_cpu_time(const struct tree *tree, pid_t pid, bool of_itself)
{
	char path[32], text[1024], *at;
	int64_t ticks = 0;

	snprintf(path, sizeof(path), "%d/stat", pid);
	if (file_text(tree->proc, path, text, sizeof(text)) <= 0)
		return 0;
	at = strrchr(text, ')');
	for (int field = 2; at != NULL && field < STAT_UTIME; field++)
		at = (at = strchr(at, ' ')) == NULL ? NULL : at + 1;
	for (int i = 0; at != NULL && i < 4; i++) {
		int64_t value = strtoll(at, &at, 10);

		ticks += i >= 2 || of_itself ? value : 0;
	}
	return ticks * TICK_US;
}

/* Parents first: who is waited for meanwhile is missed, once, and not counted twice. */
int64_t tree_cpu_time(struct tree *tree)
{
	int64_t all = process_cpu_time(tree, getpid(), false);

	tree_look(tree, getpid());
	for (size_t i = 0; i < tree->count; i++) {
		int64_t time = process_cpu_time(tree, tree->pids[i], true);

		/* Asked behind it: who has the number now had it then. */
		all += tree_holds(tree, tree->pids[i]) ? time : 0;
	}
	return all;
}

/* ---- killing ---- */

static ssize_t own_children(int proc, char *children, size_t room)
{
	cleanup_fd int fd = children_open(proc);
	ssize_t size = fd < 0 ? -1 : read(fd, children, room - 1);

	children[size < 0 ? 0 : size] = '\0';
	return size;
}

/* A whole group dies at once, with what it was about to fork. But anybody may step into a group of his own session, so
 * only one that was made down here is nobody else's: of a session that was, or led by this very process. `session` was
 * looked up before `group`: who has left for a session of his own never comes back, but one who is still in ours when his
 * group is looked up may be in his own a moment later. */
static bool group_is_ours(pid_t pid, pid_t session, pid_t group)
{
	return group > 1 && group != getpgrp() && (group == pid || (session > 0 && session != getsid(0)));
}

static bool orphan_kill(pid_t pid)
{
	pid_t session = getsid(pid), group = getpgid(pid);

	if (group_is_ours(pid, session, group))
		kill(-group, SIGKILL);
	kill(pid, SIGKILL);
	return waitpid(pid, NULL, WNOHANG) > 0;
}

bool tree_kill(int proc)
{
	char children[4096];

	for (int round = 0; round < ROUNDS; round++) {
		ssize_t size = own_children(proc, children, sizeof(children));
		char *at = children, *end;
		bool reaped = false;

		if (size <= 0)
			return size == 0;
		for (long pid = strtol(at, &end, 10); end != at && *end != '\0'; pid = strtol(at, &end, 10)) {
			reaped |= orphan_kill((pid_t)pid);
			at = end;
		}
		if (!reaped)
			poll(NULL, 0, 1);
	}
	return false;
}
