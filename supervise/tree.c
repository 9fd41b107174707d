/* tree.h says what for. A process that is stopped forks no more: so its children, looked at after that, are all there
 * are. A process that died meanwhile leaves its children to us, behind our back: hence a second look. */
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

enum {
	PIDS_MAX = 1 << 20,
	ROUNDS = 5000, /* of a millisecond, or less */
	/* A thread that a signal cannot wake is held by whom it waits for: a vfork(2) parent by its child, which is
	 * stopped, a supervised call by its supervisor. After so many rounds it is taken to be. */
	ROUNDS_TO_WAKE = 50,
	TASKS_SIZE = 4096,
};

static int children_open(int proc)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%d/task/%d/children", getpid(), getpid());
	fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int tree_open(struct tree *tree, int proc)
{
	cleanup_fd int children = children_open(proc);

	if (children < 0)
		return children;
	*tree = (struct tree){.proc = proc};
	tree->pids = mmap(NULL, PIDS_MAX * sizeof(*tree->pids), PROT_READ | PROT_WRITE,
	                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return tree->pids == MAP_FAILED ? -ENOMEM : 0;
}

void tree_close(struct tree *tree)
{
	munmap(tree->pids, PIDS_MAX * sizeof(*tree->pids));
	tree->pids = NULL;
}

static void tree_add(struct tree *tree, pid_t pid)
{
	if (tree->count == PIDS_MAX)
		tree->cut = true;
	else
		tree->pids[tree->count++] = pid;
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

typedef void (*task_fn)(struct tree *tree, int task, const char *tid, void *context);

struct entry {
	uint64_t inode, offset;
	unsigned short size;
	unsigned char type;
	char name[];
};

/* Each thread of a process; `task` is its directory. */
static void tasks_each(struct tree *tree, pid_t pid, task_fn each, void *context)
{
	char path[32], entries[TASKS_SIZE] __attribute__((aligned(8)));
	cleanup_fd int task = -1;
	long size;

	snprintf(path, sizeof(path), "%d/task", pid);
	task = openat(tree->proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (task < 0)
		return;
	while ((size = syscall(SYS_getdents64, task, entries, sizeof(entries))) > 0) {
		for (long at = 0; at < size;) {
			const struct entry *entry = (const struct entry *)(entries + at);

			if (entry->name[0] != '.')
				each(tree, task, entry->name, context);
			at += entry->size;
		}
	}
}

static void task_children(struct tree *tree, int task, const char *tid, void *context)
{
	char path[64];
	cleanup_fd int fd = -1;

	(void)context;
	snprintf(path, sizeof(path), "%s/children", tid);
	fd = openat(task, path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		children_read(tree, fd);
}

void tree_look(struct tree *tree, pid_t root)
{
	tree->count = 0;
	tree->cut = false;
	tasks_each(tree, root, task_children, NULL);
	for (size_t i = 0; i < tree->count; i++)
		tasks_each(tree, tree->pids[i], task_children, NULL);
}

/* ---- stopping ---- */

struct held {
	bool stopped;  /* every thread is */
	bool sleeping; /* ... or sleeps where no signal wakes it */
	bool dead;     /* every thread is */
};

/* proc_pid_stat(5): the name may hold anything, the state stands behind its last ")". */
static char task_state(int task, const char *tid)
{
	char path[64], text[256];
	cleanup_fd int fd = -1;
	const char *end;
	ssize_t size;

	snprintf(path, sizeof(path), "%s/stat", tid);
	fd = openat(task, path, O_RDONLY | O_CLOEXEC);
	size = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (size <= 0)
		return 'X';
	text[size] = '\0';
	end = strrchr(text, ')');
	return end == NULL || end[1] != ' ' ? 'X' : end[2];
}

static void task_held(struct tree *tree, int task, const char *tid, void *context)
{
	struct held *held = context;
	char state = task_state(task, tid);

	(void)tree;
	if (state == 'Z' || state == 'X')
		return;
	held->dead = false;
	if (state == 'T' || state == 't')
		return;
	held->stopped = false;
	if (state != 'D')
		held->sleeping = false;
}

static struct held process_held(struct tree *tree, pid_t pid)
{
	struct held held = {true, true, true};

	tasks_each(tree, pid, task_held, &held);
	return held;
}

static void before_note(struct tree *tree, pid_t pid)
{
	if (tree->before_count < TREE_SEEN_BEFORE_MAX)
		tree->before[tree->before_count++] = pid;
}

/* Who is stopped at the first look was so before. */
static bool process_stop(struct tree *tree, pid_t pid, int round)
{
	struct held held = process_held(tree, pid);

	if (held.dead)
		return true;
	if (held.stopped) {
		if (round == 0)
			before_note(tree, pid);
		return true;
	}
	kill(pid, SIGSTOP);
	return held.sleeping && round > ROUNDS_TO_WAKE;
}

/* True when all were stopped before their children were looked at. */
static bool round_stop(struct tree *tree, int round)
{
	bool all = true;

	tree->count = 0;
	tree->cut = false;
	tasks_each(tree, getpid(), task_children, NULL);
	for (size_t i = 0; i < tree->count; i++) {
		all &= process_stop(tree, tree->pids[i], round);
		tasks_each(tree, tree->pids[i], task_children, NULL);
	}
	return all && !tree->cut;
}

int tree_stop(struct tree *tree)
{
	int good = 0;

	tree->before_count = 0;
	for (int round = 0; round < ROUNDS; round++) {
		good = round_stop(tree, round) ? good + 1 : 0;
		if (good == 2)
			return 0;
		if (good == 0 && round > 2)
			poll(NULL, 0, 1);
	}
	return -EAGAIN;
}

void tree_stop_once(struct tree *tree)
{
	tree->before_count = 0;
	round_stop(tree, 0);
}

static bool before_was(const struct tree *tree, pid_t pid)
{
	for (size_t i = 0; i < tree->before_count; i++)
		if (tree->before[i] == pid)
			return true;
	return false;
}

/* From the leaves up: a parent that runs first could see a child of its own stopped. */
void tree_continue(struct tree *tree)
{
	tree_look(tree, getpid());
	for (size_t i = tree->count; i > 0; i--)
		if (!before_was(tree, tree->pids[i - 1]))
			kill(tree->pids[i - 1], SIGCONT);
	tree->before_count = 0;
}

size_t tree_signal(struct tree *tree, int signal)
{
	size_t reached = 0;

	tree_look(tree, getpid());
	for (size_t i = 0; i < tree->count; i++)
		reached += kill(tree->pids[i], signal) == 0;
	return reached;
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
 * only one that was made down here is nobody else's: of a session that was, or led by this very process. */
static bool group_is_ours(pid_t pid, pid_t group)
{
	pid_t session = getsid(pid);

	return group > 1 && group != getpgrp() && (group == pid || (session > 0 && session != getsid(0)));
}

static bool orphan_kill(pid_t pid)
{
	pid_t group = getpgid(pid);

	if (group_is_ours(pid, group))
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
