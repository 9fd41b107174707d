/* cgroup.h says what for. */
#include "supervise/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/error.h"
#include "core/fd.h"
#include "supervise/lines.h"

enum {
	CPU_PERIOD_US = 100000, /* the kernel's own */
	REMOVE_TRIES = 200,     /* of a millisecond */
	EVENTS_SIZE = 1024,
};

int cgroup_write(int directory, const char *file, const char *value)
{
	cleanup_fd int fd = openat(directory, file, O_WRONLY | O_CLOEXEC);

	return fd < 0 || write(fd, value, strlen(value)) < 0 ? -errno : 0;
}

static int setting_write(const struct cgroup *cgroup, const char *file, const char *value, sl_error *error)
{
	int r = cgroup_write(cgroup->dir, file, value);

	return r < 0 ? error_errno(error, r, "cgroup: %.100s/%s/%s", cgroup->base, cgroup->name, file) : 0;
}

/* No swap: what a limit is about is what the tree uses, wherever the kernel puts it. And all of it is killed, or what is left
 * would go on without the part that the kernel chose. */
static int limits_write(const struct cgroup *cgroup, unsigned long long max_memory, unsigned cpu_percent,
                        sl_error *error)
{
	char value[64];
	int r = 0;

	if (cgroup->limits & CGROUP_MEMORY) {
		snprintf(value, sizeof(value), "%llu", max_memory);
		r = setting_write(cgroup, "memory.max", value, error);
		if (r == 0 && faccessat(cgroup->dir, "memory.swap.max", F_OK, 0) == 0)
			r = setting_write(cgroup, "memory.swap.max", "0", error);
		if (r == 0)
			r = setting_write(cgroup, "memory.oom.group", "1", error);
	}
	if (r == 0 && cgroup->limits & CGROUP_CPU) {
		snprintf(value, sizeof(value), "%llu %d", cpu_percent * (CPU_PERIOD_US / 100ull),
		         CPU_PERIOD_US);
		r = setting_write(cgroup, "cpu.max", value, error);
	}
	return r;
}

/* Above 2, where a supervisor puts its own. */
static int open_above(int directory, const char *path, int flags)
{
	cleanup_fd int fd = openat(directory, path, flags | O_CLOEXEC | O_NOFOLLOW);
	int above = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);

	return above < 0 ? -errno : above;
}

int cgroup_open(struct cgroup *cgroup, unsigned long long max_memory, unsigned cpu_percent, sl_error *error)
{
	int r;

	if (!cgroup->made)
		return 0;
	if ((r = cgroup->parent = open_above(AT_FDCWD, cgroup->base, O_RDONLY | O_DIRECTORY)) >= 0 &&
	    (r = cgroup->dir = open_above(cgroup->parent, cgroup->name, O_RDONLY | O_DIRECTORY)) >= 0 &&
	    (r = cgroup->procs = open_above(cgroup->dir, "cgroup.procs", O_WRONLY)) >= 0)
		r = cgroup->freeze = open_above(cgroup->dir, "cgroup.freeze", O_WRONLY);
	/* Whoever may read it can be first with a lock of his own, another sandbox too; but while he has that, nobody else
	 * finds the group unused, and later on somebody lives in it. */
	if (r >= 0 && flock(cgroup->dir, LOCK_SH | LOCK_NB) < 0 && errno != EWOULDBLOCK)
		r = -errno;
	if (r < 0)
		return error_errno(error, r, "cgroup: %.150s/%s", cgroup->base, cgroup->name);
	if ((cgroup->kill = open_above(cgroup->dir, "cgroup.kill", O_WRONLY)) < 0)
		cgroup->kill = -1;
	return limits_write(cgroup, max_memory, cpu_percent, error);
}

size_t cgroup_fds(const struct cgroup *cgroup, int *fds)
{
	const int all[CGROUP_FDS] = {cgroup->parent, cgroup->dir, cgroup->procs, cgroup->kill,
	                             cgroup->freeze};
	size_t count = 0;

	for (size_t i = 0; i < CGROUP_FDS; i++)
		if (all[i] >= 0)
			fds[count++] = all[i];
	return count;
}

void cgroup_let_go(struct cgroup *cgroup)
{
	cgroup->owned = false;
	fd_close(&cgroup->procs);
	fd_close(&cgroup->freeze);
}

void cgroup_clear(struct cgroup *cgroup)
{
	int *const all[CGROUP_FDS] = {&cgroup->dir, &cgroup->procs, &cgroup->kill, &cgroup->freeze,
	                              &cgroup->parent};
	char path[PATH_MAX + sizeof(cgroup->name)];

	if (cgroup->made && cgroup->owned) {
		snprintf(path, sizeof(path), "%s/%s", cgroup->base, cgroup->name);
		unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
	}
	for (size_t i = 0; i < CGROUP_FDS; i++)
		fd_close(all[i]);
	cgroup->made = cgroup->owned = false;
}

/* Whom the kernel never chooses, as his service is started so, it cannot kill at the limit either: he would try the same page
 * for ever. With one more he is the last one that is chosen. */
static int mortal_become(void)
{
	static const char path[] = "/proc/self/oom_score_adj";
	char text[16];

	if (file_text(AT_FDCWD, path, text, sizeof(text)) <= 0 || strcmp(text, "-1000\n") != 0)
		return 0;
	return cgroup_write(AT_FDCWD, path, "-999");
}

int cgroup_enter(const struct cgroup *cgroup)
{
	if (cgroup->procs < 0)
		return 0;
	if (write(cgroup->procs, "0", 1) < 0)
		return -errno;
	return cgroup->limits & CGROUP_MEMORY ? mortal_become() : 0;
}

/* The line behind `key`, which ends in a blank, says so: "populated 1\nfrozen 0\n". */
static bool event_says(const struct cgroup *cgroup, const char *file, const char *key)
{
	char text[EVENTS_SIZE];

	return file_text(cgroup->dir, file, text, sizeof(text)) > 0 && text_number(text, key) > 0;
}

int cgroup_freeze(const struct cgroup *cgroup)
{
	return write(cgroup->freeze, "1", 1) < 0 ? -errno : 0;
}

bool cgroup_is_frozen(const struct cgroup *cgroup)
{
	return event_says(cgroup, "cgroup.events", "frozen ");
}

int cgroup_thaw(const struct cgroup *cgroup)
{
	return write(cgroup->freeze, "0", 1) < 0 ? -errno : 0;
}

bool cgroup_kill(const struct cgroup *cgroup)
{
	return cgroup->kill >= 0 && write(cgroup->kill, "1", 1) == 1;
}

bool cgroup_was_out_of_memory(const struct cgroup *cgroup)
{
	return cgroup->limits & CGROUP_MEMORY && event_says(cgroup, "memory.events", "\noom_kill ");
}

/* The dead are in it until they are reaped, or until the kernel is through with them. */
void cgroup_remove(const struct cgroup *cgroup)
{
	if (cgroup->parent < 0)
		return;
	for (int i = 0; i < REMOVE_TRIES; i++) {
		if (unlinkat(cgroup->parent, cgroup->name, AT_REMOVEDIR) == 0 || errno != EBUSY)
			return;
		poll(NULL, 0, 1);
	}
}
