/* Viewed files: which there are, what is in them, and the memfds. views.h says why it is done this way. */
#include "supervise/views.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/memfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fd.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3 */
#endif

enum {
	DEPTH_MAX = 16, /* directories above a viewed file */
	AGE_MAX = 100,  /* ms; a program that looks more often learns no more */
};

/* How large the text is, in views->text; -errno. */
typedef ssize_t (*view_fn)(struct views *views, enum view_id id);

struct view_row {
	const char *path, *last;
	view_fn make;
	bool names, ages; /* of `name`, else of num-cpus; another text a moment later */
};

static ssize_t name_text(struct views *views, enum view_id id);
static ssize_t cut_text(struct views *views, enum view_id id);
static ssize_t list_text(struct views *views, enum view_id id);

#define CPU_LIST(last)                                                         \
	{                                                                      \
		"/sys/devices/system/cpu/" last, last, list_text, false, false \
	}

static const struct view_row rows[VIEW_COUNT] = {
	[VIEW_HOSTNAME] = {"/etc/hostname", "hostname", name_text, true, false},
	[VIEW_KERNEL_HOSTNAME] = {"/proc/sys/kernel/hostname", "hostname", name_text, true, false},
	[VIEW_CPUINFO] = {"/proc/cpuinfo", "cpuinfo", cut_text, false, false},
	[VIEW_STAT] = {"/proc/stat", "stat", cut_text, false, true},
	[VIEW_ONLINE] = CPU_LIST("online"),
	[VIEW_POSSIBLE] = CPU_LIST("possible"),
	[VIEW_PRESENT] = CPU_LIST("present"),
};

/* What is larger than the room is not shown in part. */
static ssize_t source_read(struct views *views, const char *path)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t used = 0;
	ssize_t n = 1;

	if (fd < 0)
		return -errno;
	while (n > 0 && used < VIEW_SIZE_MAX - 1) {
		if ((n = read(fd, views->source + used, VIEW_SIZE_MAX - 1 - used)) < 0 && errno != EINTR)
			return -errno;
		used += n > 0 ? (size_t)n : 0;
		n = n < 0 ? 1 : n;
	}
	views->source[used] = '\0';
	return n == 0 ? (ssize_t)used : -EFBIG;
}

static ssize_t name_text(struct views *views, enum view_id id)
{
	(void)id;
	return snprintf(views->text, VIEW_SIZE_MAX, "%s\n", views->rules->name);
}

static ssize_t cut_text(struct views *views, enum view_id id)
{
	ssize_t size = source_read(views, rows[id].path);

	if (size < 0)
		return size;
	return (ssize_t)(id == VIEW_STAT ? stat_cut : cpuinfo_cut)(
		views->source, (size_t)size, views->rules->num_cpus, views->text, VIEW_SIZE_MAX);
}

/* All three say the same: with CPUs that are there but not online a program would count those too. */
static ssize_t list_text(struct views *views, enum view_id id)
{
	ssize_t size = source_read(views, rows[VIEW_ONLINE].path);
	unsigned count;

	(void)id;
	if (size < 0)
		return size;
	if ((count = list_count(views->source)) == 0)
		return -EINVAL;
	if (count > views->rules->num_cpus)
		count = views->rules->num_cpus;
	if (count == 1)
		return snprintf(views->text, VIEW_SIZE_MAX, "0\n");
	return snprintf(views->text, VIEW_SIZE_MAX, "0-%u\n", count - 1);
}

static int memfd_new(const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return fd < 0 ? -errno : fd;
}

/* The old one stays where no new one can be made. */
static int view_make(struct views *views, enum view_id id)
{
	ssize_t size = rows[id].make(views, id);
	cleanup_fd int fd = -1;
	int r;

	if (size < 0)
		return (int)size;
	if ((fd = memfd_new(rows[id].last)) < 0)
		return fd;
	if ((r = fd_write_all(fd, views->text, (size_t)size)) < 0)
		return r;
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return -errno;
	fd_close(&views->memfds[id]);
	views->memfds[id] = fd_steal(&fd);
	views->made[id] = clock_ms();
	return 0;
}

/* A file, and the directories it is in, up to the top: what a grant may be about. */
struct chain {
	struct object objects[DEPTH_MAX];
	size_t count;
	bool granted;
};

static bool chain_add(const struct object *object, const void *context)
{
	struct chain *chain = (struct chain *)context;

	if (chain->count < DEPTH_MAX)
		chain->objects[chain->count++] = *object;
	return false;
}

/* The path may be a symbolic link: what counts is where it leads. What we cannot read ourselves, because of a Landlock
 * domain that we are in already, the target cannot either. */
static int chain_read(const char *path, struct chain *chain)
{
	cleanup_fd int file = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC), directory = -1;
	char link[32], real[PATH_MAX];
	struct object object;
	ssize_t size;
	char *slash;
	int r;

	if (file < 0)
		return -errno;
	if ((r = object_at(file, "", &object)) < 0)
		return r;
	chain_add(&object, chain);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", file);
	if ((size = readlink(link, real, sizeof(real))) <= 0 || size == sizeof(real))
		return -ENAMETOOLONG;
	real[size] = '\0';
	if ((slash = strrchr(real, '/')) == NULL)
		return -ENOENT;
	slash[slash == real] = '\0';
	if ((directory = open(real, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
		return -errno;
	return object_climb(directory, chain_add, chain);
}

static void chain_judge(struct chain *chain, const struct object *granted)
{
	for (size_t i = 0; i < chain->count; i++)
		chain->granted |= object_is(&chain->objects[i], granted);
}

/* As Landlock has it: a file may be read where it, or a directory above it, is granted. What is not granted is not viewed, and
 * gets the kernel's own no. */
static void grants_follow(const struct plan *plan, struct chain chains[static VIEW_COUNT])
{
	for (size_t i = 0; i < plan->grant_count; i++) {
		struct object granted;

		if (!(plan->grants[i].access & LANDLOCK_ACCESS_FS_READ_FILE) ||
		    object_of(plan->grants[i].path, &granted) < 0)
			continue;
		for (size_t id = 0; id < VIEW_COUNT; id++)
			chain_judge(&chains[id], &granted);
	}
}

static bool row_is_wanted(const struct view_rules *rules, enum view_id id)
{
	return rows[id].names ? rules->name != NULL : rules->num_cpus > 0;
}

/* A file that this machine does not have is not shown either. */
static int files_make(struct views *views)
{
	struct chain chains[VIEW_COUNT] = {0};
	int r = 0;

	for (int id = 0; id < VIEW_COUNT; id++)
		if (row_is_wanted(views->rules, (enum view_id)id))
			chain_read(rows[id].path, &chains[id]);
	grants_follow(views->rules->plan, chains);
	for (int id = 0; r == 0 && id < VIEW_COUNT; id++)
		if (chains[id].granted)
			r = view_make(views, (enum view_id)id);
	return r;
}

/* The kernel itself tells what each personality sees; then ours is as it was. Where we may not have one, nor may what
 * we confine. */
static int names_read(struct views *views)
{
	unsigned own = (unsigned)personality(0xffffffff), rest = own & ~(unsigned)(PER_MASK | UNAME26);
	int r = 0;

	for (unsigned i = 0; r == 0 && i < PERSONA_COUNT; i++) {
		struct utsname *shown = &views->names[i];

		personality(rest | (i & PERSONA_32 ? PER_LINUX32 : 0u) | (i & PERSONA_26 ? UNAME26 : 0u));
		r = uname(shown) < 0 ? -errno : 0;
		memset(shown->nodename, 0, sizeof(shown->nodename));
		memcpy(shown->nodename, views->rules->name, strlen(views->rules->name));
	}
	personality(own);
	return r;
}

static int pages_open(struct views *views)
{
	views->source = mmap(NULL, 2 * VIEW_SIZE_MAX, PROT_READ | PROT_WRITE,
	                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (views->source == MAP_FAILED)
		return -errno;
	views->text = views->source + VIEW_SIZE_MAX;
	return 0;
}

int views_open(struct views *views, const struct view_rules *rules)
{
	int r;

	*views = (struct views){.rules = rules};
	for (size_t id = 0; id < VIEW_COUNT; id++)
		views->memfds[id] = -1;
	if (rules->name == NULL && rules->num_cpus == 0)
		return 0;
	if ((r = pages_open(views)) < 0 || (rules->name != NULL && (r = names_read(views)) < 0))
		return r;
	return files_make(views);
}

bool views_know(const struct views *views, const char *last)
{
	for (size_t id = 0; id < VIEW_COUNT; id++)
		if (views->memfds[id] >= 0 && strcmp(rows[id].last, last) == 0)
			return true;
	return false;
}

/* What the row's own path leads to is asked now: a file that is replaced is viewed all the same. */
int views_find(const struct views *views, const char *last, const struct object *object)
{
	for (int id = 0; id < VIEW_COUNT; id++) {
		struct object real;

		if (views->memfds[id] >= 0 && strcmp(rows[id].last, last) == 0 &&
		    object_of(rows[id].path, &real) == 0 && S_ISREG(real.mode) && object_is(&real, object))
			return id;
	}
	return -ENOENT;
}

int view_give(struct views *views, int proc, enum view_id id, int flags)
{
	char path[32];
	int fd;

	if (rows[id].ages && clock_ms() - views->made[id] > AGE_MAX)
		view_make(views, id);
	snprintf(path, sizeof(path), "self/fd/%d", views->memfds[id]);
	fd = openat(proc, path, O_RDONLY | O_CLOEXEC | flags);
	return fd < 0 ? -errno : fd;
}
