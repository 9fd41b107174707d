/* memory.h says what for. Three looks, each dearer and more exact than the one before, and each only where the one before
 * says that it may be too much:
 *
 *     /proc/PID/status          what each process has in use, shared pages once for each; and by how much the
 *                               shared memory of the whole machine has grown
 *     /proc/PID/smaps_rollup    shared pages divided by those that share them; and the memfds that are open
 *     /proc/PID/smaps           mapping by mapping: what of the memfds is mapped, and so counted already
 *
 * Shared memory that nobody has open, and that is not all mapped, cannot be told apart from another's. Where the tree has
 * such, all that the machine's has grown by is taken to be its own. */
#include "supervise/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fd.h"
#include "supervise/lines.h"

enum {
	TEXT_SIZE = 1 << 20, /* a line of 65536 groups stands before what is looked for */
	LOOK_MS = 300,
	INODES_MAX = 8192, /* a power of two */
	TIMES = 3,
};
#define KIB 1024ull

/* One look. All in bytes. */
struct sum {
	uint64_t own;    /* of processes alone: anonymous pages, swap, page tables */
	uint64_t shared; /* mapped, each process its part */
	uint64_t held;   /* memfds that are open */
	uint64_t counted_twice;
	uint64_t files; /* by how much the granted file systems have grown */
	bool blurred;   /* it has shared memory that cannot be told apart */
};

static char text[TEXT_SIZE];
static uint64_t inodes[INODES_MAX]; /* of memfds that are open; 0: free */

/* ---- the first look ---- */

struct place {
	char path[48];
	bool found;
};

static void task_try(struct tree *tree, int task, const char *tid, void *context)
{
	struct place *place = context;
	char path[32];

	if (place->found)
		return;
	snprintf(path, sizeof(path), "%s/status", tid);
	if (file_text(task, path, text, sizeof(text)) <= 0 || strstr(text, "\nVmRSS:") == NULL)
		return;
	place->found = true;
	(void)tree;
	snprintf(place->path + strlen(place->path), sizeof(place->path) - strlen(place->path), "/task/%.10s",
	         tid);
}

/* Where under /proc the memory of a process is to be seen: its first thread may have ended, and the others go on. Its
 * status is in `text` then. */
static bool place_find(struct tree *tree, pid_t pid, struct place *place)
{
	char path[32];

	*place = (struct place){.found = false};
	snprintf(place->path, sizeof(place->path), "%d", pid);
	snprintf(path, sizeof(path), "%d/status", pid);
	if (file_text(tree->proc, path, text, sizeof(text)) <= 0 || !tree_holds(tree, pid))
		return false;
	if (strstr(text, "\nVmRSS:") != NULL)
		place->found = true;
	else if (text_number(text, "\nThreads:") > 1)
		tasks_each(tree, pid, task_try, place);
	return place->found;
}

struct pages {
	uint64_t own, shared, tables;
	pid_t parent;
};

/* Of what is in `text`. */
static struct pages status_pages(void)
{
	uint64_t tables = KIB * text_number(text, "\nVmPTE:");

	return (struct pages){
		.own = tables + KIB * (text_number(text, "\nRssAnon:") + text_number(text, "\nVmSwap:") +
	                               text_number(text, "\nHugetlbPages:")),
		.shared = KIB * text_number(text, "\nRssShmem:"),
		.tables = tables,
		.parent = (pid_t)text_number(text, "\nPPid:"),
	};
}

/* All of the machine. */
static uint64_t machine_shared(const struct tree *tree)
{
	if (file_text(tree->proc, "meminfo", text, sizeof(text)) <= 0)
		return 0;
	return KIB * text_number(text, "\nShmem:");
}

static uint64_t machine_growth(struct memory *memory)
{
	uint64_t now = machine_shared(memory->tree);

	if (now < memory->floor)
		memory->floor = now;
	return now - memory->floor;
}

/* Never less than it is, but for what others gave back since the start. */
static uint64_t look_cheap(struct memory *memory, uint64_t growth)
{
	struct tree *tree = memory->tree;
	uint64_t all = growth;
	struct place place;

	for (size_t i = 0; i < tree->count; i++) {
		struct pages pages;

		if (!place_find(tree, tree->pids[i], &place))
			continue;
		pages = status_pages();
		all += pages.own + pages.shared;
	}
	return all;
}

/* ---- the second ---- */

static bool same(pid_t one, pid_t other, int what)
{
	return syscall(SYS_kcmp, one, other, what, 0, 0) == 0;
}

static bool inode_is_held(uint64_t inode)
{
	size_t at = inode & (INODES_MAX - 1);

	for (size_t i = 0; i < INODES_MAX && inodes[at] != 0; i++, at = (at + 1) & (INODES_MAX - 1))
		if (inodes[at] == inode)
			return true;
	return false;
}

/* True when it is new. A full table takes each for new: too much, not too little. */
static bool inode_hold(uint64_t inode)
{
	size_t at = inode & (INODES_MAX - 1);

	if (inode_is_held(inode))
		return false;
	for (size_t i = 0; i < INODES_MAX; i++, at = (at + 1) & (INODES_MAX - 1)) {
		if (inodes[at] != 0)
			continue;
		inodes[at] = inode;
		break;
	}
	return true;
}

/* The name alone says nothing: a file on a disk may have it. And a look at such a file may take long, where it is not
 * asked to be content with what is known. */
static void memfd_count(struct memory *memory, int fds, const char *name, struct sum *sum)
{
	struct statx status;

	if (statx(fds, name, AT_STATX_DONT_SYNC, STATX_BLOCKS | STATX_INO, &status) < 0)
		return;
	if (makedev(status.stx_dev_major, status.stx_dev_minor) == memory->shm_device &&
	    inode_hold(status.stx_ino))
		sum->held += status.stx_blocks * 512;
}

/* A descriptor may be on its way from one to another, in the queue of a unix socket: unix(7). */
static void socket_look(const struct place *place, int proc, const char *name, struct sum *sum)
{
	char path[96], about[1024];

	snprintf(path, sizeof(path), "%s/fdinfo/%.10s", place->path, name);
	if (file_text(proc, path, about, sizeof(about)) > 0 && text_number(about, "scm_fds:") > 0)
		sum->blurred = true;
}

static void descriptor_look(struct memory *memory, const struct place *place, int fds, const char *name,
                            struct sum *sum)
{
	static const char memfd[] = "/memfd:", sock[] = "socket:";
	char target[16];
	ssize_t size = readlinkat(fds, name, target, sizeof(target));

	if (size >= (ssize_t)sizeof(memfd) - 1 && memcmp(target, memfd, sizeof(memfd) - 1) == 0)
		memfd_count(memory, fds, name, sum);
	else if (size >= (ssize_t)sizeof(sock) - 1 && memcmp(target, sock, sizeof(sock) - 1) == 0)
		socket_look(place, memory->tree->proc, name, sum);
}

struct entry {
	uint64_t inode, offset;
	unsigned short size;
	unsigned char type;
	char name[];
};

static void descriptors_look(struct memory *memory, const struct place *place, struct sum *sum)
{
	char path[64], entries[4096] __attribute__((aligned(8)));
	cleanup_fd int fds = -1;
	long size;

	snprintf(path, sizeof(path), "%s/fd", place->path);
	fds = openat(memory->tree->proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fds < 0) {
		sum->blurred |= errno == EACCES || errno == EPERM;
		return;
	}
	while ((size = syscall(SYS_getdents64, fds, entries, sizeof(entries))) > 0) {
		for (long at = 0; at < size;) {
			const struct entry *entry = (const struct entry *)(entries + at);

			if (entry->name[0] != '.')
				descriptor_look(memory, place, fds, entry->name, sum);
			at += entry->size;
		}
	}
}

struct tables {
	struct memory *memory;
	struct sum *sum;
	pid_t pid, first;
};

/* A thread may have a table of its own. */
static void task_descriptors(struct tree *tree, int task, const char *tid, void *context)
{
	struct tables *tables = context;
	pid_t thread = (pid_t)atoi(tid);
	struct place place = {.found = true};

	(void)tree, (void)task;
	if (tables->first == 0)
		tables->first = thread;
	else if (same(tables->first, thread, KCMP_FILES))
		return;
	snprintf(place.path, sizeof(place.path), "%d/task/%d", tables->pid, thread);
	descriptors_look(tables->memory, &place, tables->sum);
}

/* By smaps_rollup; where that may not be read (a program file that its user may not read), as the first look has them. */
static void pages_add(struct memory *memory, const struct place *place, const struct pages *status,
                      struct sum *sum)
{
	char path[64];
	long size;

	snprintf(path, sizeof(path), "%s/smaps_rollup", place->path);
	size = file_text(memory->tree->proc, path, text, sizeof(text));
	if (size == -EACCES || size == -EPERM) {
		sum->own += status->own;
		sum->shared += status->shared;
		sum->blurred = true;
	}
	if (size <= 0)
		return;
	sum->own += status->tables +
	            KIB * (text_number(text, "\nPss_Anon:") + text_number(text, "\nSwapPss:") +
	                   text_number(text, "\nPrivate_Hugetlb:") + text_number(text, "\nShared_Hugetlb:"));
	sum->shared += KIB * text_number(text, "\nPss_Shmem:");
}

/* Until exec(3) a child of vfork(2) has its parent's pages. */
static bool is_its_parents(pid_t pid, const struct pages *status)
{
	return same(pid, status->parent, KCMP_VM);
}

static void process_look(struct memory *memory, pid_t pid, struct sum *sum)
{
	struct tables tables = {.memory = memory, .sum = sum, .pid = pid};
	struct pages status;
	struct place place;

	if (!place_find(memory->tree, pid, &place))
		return;
	status = status_pages();
	tasks_each(memory->tree, pid, task_descriptors, &tables);
	if (!is_its_parents(pid, &status))
		pages_add(memory, &place, &status, sum);
}

static uint64_t files_growth(const struct memory *memory)
{
	uint64_t all = 0;

	for (unsigned i = 0; i < memory->tmpfs_count; i++) {
		uint64_t now = tmpfs_size(memory->tmpfs[i].fd);

		all += now > memory->tmpfs[i].used ? now - memory->tmpfs[i].used : 0;
	}
	return all;
}

/* What the machine's has grown by and nobody was found to have. */
static uint64_t unfound(const struct sum *sum, uint64_t growth)
{
	uint64_t found = sum->shared - sum->counted_twice + sum->held + sum->files;

	return growth > found ? growth - found : 0;
}

static uint64_t sum_of(const struct sum *sum, uint64_t growth)
{
	return sum->own + sum->shared - sum->counted_twice + sum->held + sum->files +
	       (sum->blurred ? unfound(sum, growth) : 0);
}

/* ---- the third ---- */

/* proc_pid_smaps(5): "7f0-7f1 rw-s 00000000 00:01 1234  /memfd:x (deleted)", and lines "Name:  123 kB" below it. */
struct mapping {
	bool counted; /* by its file already */
	uint64_t pages, anonymous;
};

static bool is_granted(const struct memory *memory, uint64_t device)
{
	for (unsigned i = 0; i < memory->tmpfs_count; i++)
		if (memory->tmpfs[i].device == device)
			return true;
	return false;
}

static void mapping_begin(const struct memory *memory, const char *line, struct mapping *mapping,
                          struct sum *sum)
{
	uint64_t device, inode;
	unsigned major;
	char *at;

	*mapping = (struct mapping){.counted = false};
	for (int field = 0; field < 3 && line != NULL; field++)
		line = (line = strchr(line, ' ')) == NULL ? NULL : line + 1;
	if (line == NULL)
		return;
	major = (unsigned)strtoul(line, &at, 16);
	device = makedev(major, (unsigned)strtoul(*at == ':' ? at + 1 : at, &at, 16));
	inode = strtoull(at, NULL, 10);
	if (inode == 0)
		return;
	if (device == memory->shm_device && !inode_is_held(inode))
		sum->blurred = true;
	else
		mapping->counted = device == memory->shm_device || is_granted(memory, device);
}

/* The last of its lines that is looked at: what was written to in a private one is anonymous. */
static void mapping_end(const struct mapping *mapping, struct sum *sum)
{
	if (mapping->counted && mapping->pages > mapping->anonymous)
		sum->counted_twice += mapping->pages - mapping->anonymous;
}

static void mappings_look(struct memory *memory, pid_t pid, struct sum *sum)
{
	static struct lines lines;
	struct mapping mapping = {.counted = false};
	struct place place;
	char path[64], *line;
	cleanup_fd int fd = -1;

	if (!place_find(memory->tree, pid, &place) ||
	    is_its_parents(pid, &(struct pages){.parent = (pid_t)text_number(text, "\nPPid:")}))
		return;
	snprintf(path, sizeof(path), "%s/smaps", place.path);
	if ((fd = openat(memory->tree->proc, path, O_RDONLY | O_CLOEXEC)) < 0)
		return;
	lines_begin(&lines, fd);
	while ((line = lines_next(&lines)) != NULL) {
		if ((line[0] >= '0' && line[0] <= '9') || (line[0] >= 'a' && line[0] <= 'f'))
			mapping_begin(memory, line, &mapping, sum);
		else if (strncmp(line, "Pss:", 4) == 0)
			mapping.pages = KIB * strtoull(line + 4, NULL, 10);
		else if (strncmp(line, "Anonymous:", 10) == 0) {
			mapping.anonymous = KIB * strtoull(line + 10, NULL, 10);
			mapping_end(&mapping, sum);
		}
	}
}

/* ---- all of it ---- */

/* A tree that takes longer than that to be looked at keeps the keeper from all else, and is over: the look before said that
 * it may be, and who makes looking slow must not gain by it. */
static uint64_t look_exact(struct memory *memory, uint64_t growth)
{
	struct tree *tree = memory->tree;
	struct sum sum = {.blurred = memory->shared_blurs};
	int64_t until = clock_ms() + LOOK_MS;

	memset(inodes, 0, sizeof(inodes));
	for (size_t i = 0; i < tree->count && clock_ms() < until; i++)
		process_look(memory, tree->pids[i], &sum);
	if (clock_ms() >= until)
		return UINT64_MAX;
	sum.files = files_growth(memory);
	if (sum_of(&sum, growth) + (sum.blurred ? 0 : unfound(&sum, growth)) <= memory->limit)
		return sum_of(&sum, growth) + (sum.blurred ? 0 : unfound(&sum, growth));
	for (size_t i = 0; i < tree->count && clock_ms() < until; i++)
		mappings_look(memory, tree->pids[i], &sum);
	if (clock_ms() >= until)
		return UINT64_MAX;
	if (sum.counted_twice > sum.shared)
		sum.counted_twice = sum.shared;
	return sum_of(&sum, growth);
}

/* A process that forks while it is looked at is counted whole, and its child as well: such a sum does not come thrice. */
bool memory_exceeded(struct memory *memory, pid_t root)
{
	for (int i = 0; i < TIMES; i++) {
		uint64_t growth = machine_growth(memory);

		tree_look(memory->tree, root);
		memory->used = look_cheap(memory, growth);
		if (memory->used <= memory->limit)
			return false;
		memory->used = look_exact(memory, growth);
		if (memory->used <= memory->limit)
			return false;
	}
	return true;
}

static int shm_device(struct memory *memory)
{
	cleanup_fd int fd = memfd_create("sluice", MFD_CLOEXEC);
	struct statx status;

	if (fd < 0 || statx(fd, "", AT_EMPTY_PATH, STATX_TYPE, &status) < 0)
		return -errno;
	memory->shm_device = makedev(status.stx_dev_major, status.stx_dev_minor);
	return 0;
}

unsigned cpus_usable(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) < 0 ? 1 : (unsigned)CPU_COUNT(&set);
}

int memory_open(struct memory *memory, struct tree *tree, const struct plan *plan)
{
	int r;

	*memory = (struct memory){
		.tree = tree,
		.limit = plan->max_memory,
		.cpus = cpus_usable(),
		.shared_blurs = plan->slots[SLOT_SYSV_IPC].otherwise.kind == ANSWER_ALLOW,
	};
	memory->floor = machine_shared(tree);
	if ((r = shm_device(memory)) < 0)
		return r;
	return tmpfs_open(memory, plan);
}

unsigned memory_fds(const struct memory *memory, int *fds)
{
	for (unsigned i = 0; i < memory->tmpfs_count; i++)
		fds[i] = memory->tmpfs[i].fd;
	return memory->tmpfs_count;
}
