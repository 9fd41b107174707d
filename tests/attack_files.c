/* Files, devices, other processes, terminals, and the supervisor itself. security.md, 2.9, 3.6, 3.7, 3.9
 * and 3.11.
 *
 *     TEST_TMP
 *      |- open/      fs-write
 *      |   |- mine
 *      |   `- link -> ../secret/file
 *      `- secret/    not granted
 *          `- file
 *
 * The calls on the supervisor have their control on a process that nobody confines: bare they work on that
 * one.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "core/kernel.h"
#include "tests/attack_rows.h"

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

#define HIGH   (1ULL << 32)
#define SECRET "the secret\n"

static char open_dir[256], secret_dir[256], secret_file[300], mine[300], link_to_secret[300], self_path[512];

#define CONFINED POLICY("fs-system", "yes", "fs-write", open_dir)

static void file_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		fail_msg("%s: %s", path, strerror(errno));
	close(fd);
}

static void tree_make(void)
{
	mkdir(open_dir, 0755);
	mkdir(secret_dir, 0755);
	file_write(secret_file, SECRET);
	file_write(mine, "mine\n");
	unlink(link_to_secret);
	if (symlink("../secret/file", link_to_secret) < 0)
		fail_msg("symlink: %s", strerror(errno));
}

static void entries_remove(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir != NULL && (entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.')
			unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir != NULL)
		closedir(dir);
}

static void secret_is_untouched(void)
{
	char text[32] = "";
	struct stat status;
	int fd = open(secret_file, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0 && read(fd, text, sizeof(text) - 1) >= 0);
	assert_string_equal(text, SECRET);
	assert_return_code(fstat(fd, &status), errno);
	assert_int_equal(status.st_nlink, 1);
	close(fd);
}

/* L01: spellings of one file. */

struct opening {
	const char *path;
	int flags;
};

static int open_try(void *context)
{
	const struct opening *how = context;
	int fd = open(how->path, how->flags, 0644);
	char byte;

	if (fd < 0)
		return errno;
	if (how->flags == O_RDONLY && read(fd, &byte, 1) < 0)
		return errno;
	close(fd);
	return 0;
}

/* Devices are opened, and nothing more. */
static int device_try(void *context)
{
	const struct opening *how = context;

	return result_of(open(how->path, how->flags | O_NOCTTY | O_NONBLOCK));
}

static int openat2_try(void *context)
{
	struct open_how how = {.flags = O_RDONLY};

	return result_of(syscall(SYS_openat2, AT_FDCWD, context, &how, sizeof(how)));
}

/* O_PATH is not judged; what it is good for afterwards is. */
static int reopen_try(void *context)
{
	int fd = open(context, O_PATH);

	return fd < 0 ? errno : result_of(open(text_of("/proc/self/fd/%d", fd), O_RDONLY));
}

static int openat_dot_dot(void *context)
{
	int fd = open(open_dir, O_RDONLY | O_DIRECTORY);

	return fd < 0 ? errno : result_of(openat(fd, context, O_RDONLY));
}

static int cwd_try(void *context)
{
	(void)context;
	if (chdir(secret_dir) < 0)
		return errno;
	return result_of(open("/proc/self/cwd/file", O_RDONLY));
}

static int memory_of_file(void *context)
{
	int fd = open(context, O_RDONLY);

	return fd < 0 || mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED ? errno : 0;
}

static void a_file_outside_cannot_be_read_by_any_name(void **state)
{
	char dotted[600], rooted[600];
	struct opening direct = {secret_file, O_RDONLY}, up = {dotted, O_RDONLY},
		       linked = {link_to_secret, O_RDONLY}, root = {rooted, O_RDONLY},
		       directory = {secret_dir, O_RDONLY | O_DIRECTORY}, shadow = {"/etc/shadow", O_RDONLY},
		       other_root = {"/proc/1/root/etc/shadow", O_RDONLY}, allowed = {mine, O_RDONLY},
		       fresh = {NULL, O_WRONLY | O_CREAT};
	char created[600];
	const struct attack_row rows[] = {
		{"directly", open_try, &direct, EACCES, CONTROL_BOTH},
		{"by ..", open_try, &up, EACCES, CONTROL_BOTH},
		{"by a symlink", open_try, &linked, EACCES, CONTROL_BOTH},
		{"by /proc/self/root", open_try, &root, EACCES, CONTROL_BOTH},
		{"by /proc/self/cwd", cwd_try, NULL, EACCES, CONTROL_BOTH},
		{"by openat2", openat2_try, secret_file, EACCES, CONTROL_BOTH},
		{"by O_PATH and /proc/self/fd", reopen_try, secret_file, EACCES, CONTROL_BOTH},
		{"by openat and ..", openat_dot_dot, "../secret/file", EACCES, CONTROL_BOTH},
		{"by mmap", memory_of_file, secret_file, EACCES, CONTROL_BOTH},
		{"its directory", open_try, &directory, EACCES, CONTROL_BOTH},
		{"/etc/shadow", open_try, &shadow, EACCES, CONTROL_ROOT},
		{"/proc/1/root/etc/shadow", open_try, &other_root, EACCES, CONTROL_NONE},
		{"a new file beside it", open_try, &fresh, EACCES, CONTROL_BOTH},
		{"what is granted", open_try, &allowed, 0, CONTROL_BOTH},
	};

	(void)state;
	snprintf(dotted, sizeof(dotted), "%s/../secret/file", open_dir);
	snprintf(rooted, sizeof(rooted), "/proc/self/root%s", secret_file);
	snprintf(created, sizeof(created), "%s/created", secret_dir);
	fresh.path = created;
	assert_int_equal(rows_play(ROWS(rows), CONFINED), 0);
	unlink(created);
	secret_is_untouched();
}

/* Access mode 3 asks for the right to do both and gives a descriptor that can do neither: open(2). Landlock
 * lets it pass, so what has to hold is that no byte moves. */
static int odd_mode_try(void *context)
{
	int fd = open(context, O_ACCMODE);
	char byte;

	if (fd < 0)
		return errno;
	if (read(fd, &byte, 1) == 1 || write(fd, "x", 1) == 1 || ftruncate(fd, 0) == 0 ||
	    mmap(NULL, 1, PROT_READ, MAP_PRIVATE, fd, 0) != MAP_FAILED ||
	    open(text_of("/proc/self/fd/%d", fd), O_RDONLY) >= 0)
		return 0;
	return EACCES;
}

/* L02, L04, L09 */

struct two_paths {
	const char *from, *to;
	unsigned flags;
};

static int link_try(void *context)
{
	const struct two_paths *paths = context;

	if (linkat(AT_FDCWD, paths->from, AT_FDCWD, paths->to, (int)paths->flags) < 0)
		return errno;
	return unlink(paths->to) < 0 ? errno : 0;
}

/* And back again, so that the next row finds what it needs. */
static int rename_try(void *context)
{
	const struct two_paths *paths = context;

	if (syscall(SYS_renameat2, AT_FDCWD, paths->from, AT_FDCWD, paths->to, paths->flags) < 0)
		return errno;
	return result_of(syscall(SYS_renameat2, AT_FDCWD, paths->to, AT_FDCWD, paths->from, paths->flags));
}

static int truncate_try(void *context)
{
	return result_of(truncate(context, (off_t)strlen(SECRET)));
}

static int unlink_try(void *context)
{
	const struct two_paths *paths = context;

	if (link(paths->from, paths->to) < 0 && errno != EEXIST && errno != EXDEV && errno != EACCES)
		return errno;
	return result_of(unlink(paths->to));
}

static void files_do_not_cross_the_border(void **state)
{
	char in[600], out[600], outside_other[600];
	struct two_paths link_in = {secret_file, in, 0}, link_out = {mine, out, 0},
			 rename_in = {secret_file, in, 0}, rename_out = {mine, out, 0},
			 exchange = {secret_file, mine, 2 /* RENAME_EXCHANGE */}, within = {mine, in, 0},
			 remove = {secret_file, outside_other, 0};
	struct opening emptied = {secret_file, O_WRONLY | O_TRUNC},
		       read_emptied = {outside_other, O_RDONLY | O_TRUNC},
		       append = {secret_file, O_WRONLY | O_APPEND};
	const struct attack_row rows[] = {
		{"link into the granted directory", link_try, &link_in, EXDEV, CONTROL_BOTH},
		{"link out of it", link_try, &link_out, EXDEV, CONTROL_BOTH},
		{"rename into it", rename_try, &rename_in, EXDEV, CONTROL_BOTH},
		{"rename out of it", rename_try, &rename_out, EXDEV, CONTROL_BOTH},
		{"exchange", rename_try, &exchange, EXDEV, CONTROL_BOTH},
		{"truncate", truncate_try, secret_file, EACCES, CONTROL_BOTH},
		{"open to write", open_try, &append, EACCES, CONTROL_BOTH},
		{"open with access mode 3", odd_mode_try, secret_file, EACCES, CONTROL_BOTH},
		{"unlink", unlink_try, &remove, EACCES, CONTROL_BOTH},
		{"rename within", rename_try, &within, 0, CONTROL_BOTH},
		{"link within", link_try, &within, 0, CONTROL_BOTH},
	};
	const struct attack_row emptying[] = {
		{"O_RDONLY | O_TRUNC", open_try, &read_emptied, EACCES, CONTROL_BOTH},
	};

	(void)state;
	snprintf(in, sizeof(in), "%s/came-in", open_dir);
	snprintf(out, sizeof(out), "%s/went-out", secret_dir);
	snprintf(outside_other, sizeof(outside_other), "%s/other", secret_dir);
	file_write(outside_other, "other\n");
	/* Which of the two errnos for a border depends on the order in which Landlock looks: landlock(7). */
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int confined;

		assert_true(row_play_control(&rows[i]));
		file_write(outside_other, "other\n");
		confined = attempt_confined(CONFINED, rows[i].attempt, rows[i].context);
		if (confined != rows[i].refused && !(rows[i].refused == EXDEV && confined == EACCES))
			fail_msg("%s: confined it gave %s", rows[i].name, result_name(confined));
	}
	assert_int_equal(rows_play(ROWS(emptying), CONFINED), 0);
	assert_int_equal(attempt_confined(CONFINED, open_try, &emptied), EACCES);
	secret_is_untouched();
	unlink(outside_other);
}

/* L13, beside those of attack_abi. */

static int pivot_try(void *context)
{
	(void)context;
	return result_of(syscall(SYS_pivot_root, "/nowhere", "/nowhere"));
}

static int umount_try(void *context)
{
	(void)context;
	return result_of(umount2("/nowhere", MNT_DETACH));
}

static int chroot_try(void *context)
{
	return result_of(chroot(context));
}

static int mount_move(void *context)
{
	(void)context;
	return result_of(syscall(SYS_move_mount, -1, "", -1, "", 0));
}

static void mounts_are_refused_before_the_kernel_looks(void **state)
{
	static const struct {
		const char *name;
		attempt_fn attempt;
		int refused;
	} rows[] = {
		{"pivot_root", pivot_try, EPERM},
		{"umount2", umount_try, EPERM},
		{"move_mount", mount_move, ENOSYS},
	};
	const struct attack_row root = {"chroot", chroot_try, open_dir, EPERM, CONTROL_ROOT};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		/* As root the bare errno is the kernel's own, on arguments that harm nothing. */
		if (geteuid() == 0)
			assert_int_not_equal(attempt_bare(rows[i].attempt, NULL), rows[i].refused);
		else
			fprintf(stderr, "# no control here: %s needs root\n", rows[i].name);
		assert_int_equal(attempt_confined(CONFINED, rows[i].attempt, NULL), rows[i].refused);
	}
	assert_int_equal(rows_play(&root, 1, CONFINED), 0);
}

/* L14 */

struct node {
	const char *path;
	mode_t mode;
	dev_t device;
};

static int node_try(void *context)
{
	const struct node *node = context;
	int fd, result;

	if (mknod(node->path, node->mode, node->device) < 0)
		return errno;
	fd = S_ISFIFO(node->mode) ? 0 : open(node->path, O_RDONLY | O_NONBLOCK);
	result = fd < 0 ? errno : 0;
	unlink(node->path);
	return result;
}

static int node_by_old_name(void *context)
{
	const struct node *node = context;
	int result = result_of(syscall(SYS_mknod, node->path, node->mode, node->device));

	unlink(node->path);
	return result;
}

static dev_t root_disk(void)
{
	struct stat status;

	return stat("/", &status) == 0 ? status.st_dev : 0;
}

static void device_nodes_cannot_be_made_nor_opened(void **state)
{
	char path[600];
	struct node disk = {path, S_IFBLK | 0600, root_disk()}, null = {path, S_IFCHR | 0600, makedev(1, 3)},
		    memory = {path, S_IFCHR | 0600, makedev(1, 1)}, pipe_node = {path, S_IFIFO | 0600, 0},
		    plain = {path, S_IFREG | 0600, 0};
	static struct opening devices[] = {
		{"/dev/mem", O_RDONLY}, {"/dev/kmsg", O_RDONLY},        {"/dev/fuse", O_RDWR},
		{"/dev/kvm", O_RDWR},   {"/dev/userfaultfd", O_RDONLY}, {"/dev/vda", O_RDONLY},
		{"/dev/tty0", O_RDWR},  {"/dev/ptmx", O_RDWR},          {"/dev/net/tun", O_RDWR},
	};
	static struct opening allowed = {"/dev/null", O_RDWR};
	struct attack_row rows[] = {
		/* Some hosts keep their disks to themselves even from root. */
		{"the root disk", node_try, &disk, EACCES, CONTROL_NONE},
		{"the root disk, old call", node_by_old_name, &disk, EACCES, CONTROL_ROOT},
		{"/dev/null again", node_try, &null, EACCES, CONTROL_ROOT},
		{"/dev/mem again", node_by_old_name, &memory, EACCES, CONTROL_ROOT},
		{"a fifo", node_try, &pipe_node, 0, CONTROL_BOTH},
		{"a plain file", node_try, &plain, 0, CONTROL_BOTH},
	};
	int wrong;

	(void)state;
	snprintf(path, sizeof(path), "%s/node", open_dir);
	wrong = rows_play(ROWS(rows), CONFINED);
	for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
		struct attack_row row = {devices[i].path, device_try, &devices[i], EACCES, CONTROL_NONE};

		if (access(devices[i].path, F_OK) < 0)
			continue;
		wrong += rows_play(&row, 1, CONFINED);
	}
	assert_int_equal(wrong, 0);
	assert_int_equal(attempt_confined(CONFINED, open_try, &allowed), 0);
}

/* L15: opened only, never written. */
static void the_switches_of_the_kernel_cannot_be_opened_for_writing(void **state)
{
	static struct opening switches[] = {
		{"/proc/sys/kernel/core_pattern", O_WRONLY}, {"/proc/sys/kernel/modprobe", O_WRONLY},
		{"/proc/sysrq-trigger", O_WRONLY},           {"/sys/kernel/uevent_helper", O_WRONLY},
		{"/proc/self/oom_score_adj", O_WRONLY},      {"/proc/self/uid_map", O_WRONLY},
	};
	int wrong = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(switches) / sizeof(switches[0]); i++) {
		struct attack_row row = {switches[i].path, open_try, &switches[i], EACCES,
		                         i < 4 ? CONTROL_ROOT : CONTROL_BOTH};

		if (access(switches[i].path, F_OK) < 0)
			continue;
		wrong += rows_play(&row, 1, CONFINED);
		wrong += !row_play_confined(&row, POLICY("fs-read", "/proc", "fs-read-if-exists", "/sys"));
	}
	assert_int_equal(wrong, 0);
}

/* L18 */
static int stack_layers(void *context)
{
	struct landlock_ruleset_attr_6 attr = {.handled_access_fs = LANDLOCK_ACCESS_FS_MAKE_CHAR};
	struct opening secret = {secret_file, O_RDONLY}, allowed = {mine, O_RDWR};
	int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0), layers = 0;

	(void)context;
	while (layers < 20 && syscall(SYS_landlock_restrict_self, ruleset, 0) == 0)
		layers++;
	if (layers != 15 || errno != E2BIG)
		return 1;
	return open_try(&secret) == EACCES && open_try(&allowed) == 0 ? 0 : 2;
}

static void more_layers_than_there_are_leave_the_sandbox_as_it_is(void **state)
{
	(void)state;
	assert_int_equal(attempt_confined(CONFINED, stack_layers, NULL), 0);
}

/* Set-id bits. */

enum by {
	BY_CHMOD,
	BY_FCHMOD,
	BY_FCHMODAT,
	BY_FCHMODAT2,
	BY_OPEN,
	BY_CREAT,
	BY_OPENAT,
	BY_OPENAT2,
	BY_MKNOD,
	BY_MKNODAT,
	BY_TMPFILE,
};

static const char *const by_names[] = {
	[BY_CHMOD] = "chmod",         [BY_FCHMOD] = "fchmod",     [BY_FCHMODAT] = "fchmodat",
	[BY_FCHMODAT2] = "fchmodat2", [BY_OPEN] = "open",         [BY_CREAT] = "creat",
	[BY_OPENAT] = "openat",       [BY_OPENAT2] = "openat2",   [BY_MKNOD] = "mknod",
	[BY_MKNODAT] = "mknodat",     [BY_TMPFILE] = "O_TMPFILE",
};

struct bits {
	enum by by;
	unsigned long mode;
	enum growth { BY_WRITE, BY_TRUNCATE, BY_ALLOCATE } growth;
};

static int bits_change(const struct bits *bits, const char *path)
{
	int fd = open(path, O_CREAT | O_RDWR, 0644);

	switch (bits->by) {
	case BY_CHMOD:
		return result_of(syscall(SYS_chmod, path, bits->mode));
	case BY_FCHMOD:
		return result_of(syscall(SYS_fchmod, fd, bits->mode));
	case BY_FCHMODAT:
		return result_of(syscall(SYS_fchmodat, AT_FDCWD, path, bits->mode));
	default:
		return result_of(syscall(SYS_fchmodat2, AT_FDCWD, path, bits->mode, 0));
	}
}

/* 0 when a file with such a bit is there afterwards. */
static int bits_change_try(void *context)
{
	const char *path = text_of("%s/bits", open_dir);
	struct stat status = {0};
	int result = bits_change(context, path);

	stat(path, &status);
	unlink(path);
	if (status.st_mode & 06000)
		return 0;
	return result != 0 ? result : ENOMSG;
}

static void set_id_bits_cannot_be_set(void **state)
{
	static const unsigned long modes[] = {04755, 02755, 06755, 04755 | HIGH, 04755 | 1 << 16};
	struct bits ordinary = {BY_CHMOD, 0755, BY_WRITE};
	int wrong = 0;

	(void)state;
	for (unsigned by = BY_CHMOD; by <= BY_FCHMODAT2; by++) {
		for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
			struct bits bits = {(enum by)by, modes[i], BY_WRITE};
			struct attack_row row = {text_of("%s %#lo", by_names[by], modes[i]), bits_change_try,
			                         &bits, EPERM, CONTROL_BOTH};

			wrong += rows_play(&row, 1, CONFINED);
		}
	}
	assert_int_equal(wrong, 0);
	/* Went well, and no such bit. */
	assert_int_equal(attempt_confined(CONFINED, bits_change_try, &ordinary), ENOMSG);
}

/* The descriptor that creation gives, or one opened after it. */
static int born(const struct bits *bits, const char *path)
{
	struct open_how how = {.flags = O_CREAT | O_WRONLY, .mode = bits->mode};
	int fd;

	switch (bits->by) {
	case BY_OPEN:
		return (int)syscall(SYS_open, path, O_CREAT | O_WRONLY, bits->mode);
	case BY_CREAT:
		return (int)syscall(SYS_creat, path, bits->mode);
	case BY_OPENAT:
		return (int)syscall(SYS_openat, AT_FDCWD, path, O_CREAT | O_WRONLY, bits->mode);
	case BY_OPENAT2:
		return (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
	case BY_MKNOD:
		syscall(SYS_mknod, path, S_IFREG | bits->mode, 0);
		return open(path, O_WRONLY);
	case BY_MKNODAT:
		syscall(SYS_mknodat, AT_FDCWD, path, S_IFREG | bits->mode, 0);
		return open(path, O_WRONLY);
	default:
		fd = open(open_dir, O_TMPFILE | O_WRONLY, (mode_t)bits->mode);
		if (linkat(AT_FDCWD, text_of("/proc/self/fd/%d", fd), AT_FDCWD, path, AT_SYMLINK_FOLLOW) < 0)
			return -1;
		return fd;
	}
}

/* 0 when there is something in it and the bit is there: an empty program gives nobody anything, and the first
 * byte takes the bit away from who lacks CAP_FSETID. */
static int bits_born_try(void *context)
{
	const struct bits *bits = context;
	const char *path = text_of("%s/born", open_dir);
	struct stat status = {0};
	int fd, grown;

	umask(0);
	if ((fd = born(bits, path)) < 0)
		return errno;
	if (bits->growth == BY_WRITE)
		grown = write(fd, "x", 1) == 1 ? 0 : -1;
	else if (bits->growth == BY_TRUNCATE)
		grown = ftruncate(fd, 4096);
	else
		grown = fallocate(fd, 0, 0, 4096);
	stat(path, &status);
	unlink(path);
	if (grown < 0)
		return EPROTO;
	return status.st_size > 0 && status.st_mode & 06000 ? 0 : ENOMSG;
}

/* A file may be born with them as well, and who has CAP_FSETID keeps them while it grows: bare, that is root. */
static void no_program_is_born_with_set_id_bits(void **state)
{
	int wrong = 0;

	(void)state;
	for (unsigned by = BY_OPEN; by <= BY_TMPFILE; by++) {
		for (unsigned growth = BY_WRITE; growth <= BY_ALLOCATE; growth++) {
			struct bits bits = {(enum by)by, 06755, (enum growth)growth};
			struct attack_row row = {text_of("%s, growth %u", by_names[by], growth),
			                         bits_born_try, &bits, ENOMSG, CONTROL_ROOT};

			wrong += rows_play(&row, 1, CONFINED);
		}
	}
	assert_int_equal(wrong, 0);
}

/* P01, P02, P03, P06: other processes. */

enum call {
	PTRACE_ATTACH_TO,
	PTRACE_SEIZE_TO,
	VM_READ,
	VM_WRITE,
	OPEN_MEM,
	OPEN_MEM_WRITE,
	OPEN_FD_DIR,
	OPEN_OOM,
	MADVISE,
	GETFD,
	KCMP,
	KILL,
	KILL_0,
	TKILL,
	TGKILL,
	QUEUEINFO,
	TGQUEUEINFO,
	PIDFD_SIGNAL,
	LIMIT_CPU,
	LIMIT_FILES,
	LIMIT_MEMORY,
	LIMIT_DATA,
	LIMIT_SIGNALS,
	LIMIT_HIGH_BITS,
	LIMIT_READ,
	NICE,
	NICE_HIGH_BITS,
	NICE_GROUP,
	NICE_USER,
	AFFINITY,
	AFFINITY_HIGH_BITS,
	SCHED_IDLE_SET,
	SCHED_PARAM,
	SCHED_ATTR,
	IO_PRIORITY,
	IO_PRIORITY_HIGH_BITS,
	IO_PRIORITY_GROUP,
	MOVE_PAGES,
	PERF,
	CALLS,
};

static const char *const call_names[CALLS] = {
	[PTRACE_ATTACH_TO] = "PTRACE_ATTACH",
	[PTRACE_SEIZE_TO] = "PTRACE_SEIZE",
	[VM_READ] = "process_vm_readv",
	[VM_WRITE] = "process_vm_writev",
	[OPEN_MEM] = "/proc/PID/mem",
	[OPEN_MEM_WRITE] = "/proc/PID/mem to write",
	[OPEN_FD_DIR] = "/proc/PID/fd/0",
	[OPEN_OOM] = "/proc/PID/oom_score_adj",
	[MADVISE] = "process_madvise",
	[GETFD] = "pidfd_getfd",
	[KCMP] = "kcmp",
	[KILL] = "kill",
	[KILL_0] = "kill 0",
	[TKILL] = "tkill",
	[TGKILL] = "tgkill",
	[QUEUEINFO] = "rt_sigqueueinfo",
	[TGQUEUEINFO] = "rt_tgsigqueueinfo",
	[PIDFD_SIGNAL] = "pidfd_send_signal",
	[LIMIT_CPU] = "prlimit CPU",
	[LIMIT_FILES] = "prlimit NOFILE",
	[LIMIT_MEMORY] = "prlimit AS",
	[LIMIT_DATA] = "prlimit DATA",
	[LIMIT_SIGNALS] = "prlimit SIGPENDING",
	[LIMIT_HIGH_BITS] = "prlimit, high bits",
	[LIMIT_READ] = "prlimit, question",
	[NICE] = "setpriority",
	[NICE_HIGH_BITS] = "setpriority, high bits",
	[NICE_GROUP] = "setpriority of its group",
	[NICE_USER] = "setpriority of the user",
	[AFFINITY] = "sched_setaffinity",
	[AFFINITY_HIGH_BITS] = "sched_setaffinity, high bits",
	[SCHED_IDLE_SET] = "sched_setscheduler",
	[SCHED_PARAM] = "sched_setparam",
	[SCHED_ATTR] = "sched_setattr",
	[IO_PRIORITY] = "ioprio_set",
	[IO_PRIORITY_HIGH_BITS] = "ioprio_set, high bits",
	[IO_PRIORITY_GROUP] = "ioprio_set of its group",
	[MOVE_PAGES] = "move_pages",
	[PERF] = "perf_event_open",
};

static long limit_set(unsigned long pid, int resource)
{
	/* As it is: bare it must work, and do nothing to a process that others may need. */
	struct rlimit limit;

	if (syscall(SYS_prlimit64, pid, resource, NULL, &limit) < 0)
		return -1;
	return syscall(SYS_prlimit64, pid, resource, &limit, NULL);
}

static long proc_open(pid_t pid, const char *name, int flags)
{
	return open(text_of("/proc/%d/%s", pid, name), flags | O_CLOEXEC);
}

static char shared_byte[16]; /* at the same place in every fork of this program */

static long call_make(enum call call, pid_t target)
{
	unsigned long high = (unsigned long)(unsigned)target | HIGH << 4;
	struct iovec local = {shared_byte, sizeof(shared_byte)}, remote = local;
	siginfo_t info = {.si_signo = SIGURG, .si_code = SI_QUEUE, .si_pid = getpid()};
	struct sched_param parameter = {0};
	struct {
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t runtime, deadline, period;
	} attr = {.size = 48};
	struct {
		uint32_t type, size;
		uint64_t config;
		char rest[112];
	} event = {1, 128, 1, {0}};
	int pidfd = (int)syscall(SYS_pidfd_open, target, 0);
	cpu_set_t all;

	event.rest[24] = 0x60; /* exclude_kernel, exclude_hv */
	memset(&all, 0xff, sizeof(all));
	switch (call) {
	case PTRACE_ATTACH_TO:
		return ptrace(PTRACE_ATTACH, target, NULL, NULL);
	case PTRACE_SEIZE_TO:
		return ptrace(PTRACE_SEIZE, target, NULL, NULL);
	case VM_READ:
		return process_vm_readv(target, &local, 1, &remote, 1, 0);
	case VM_WRITE:
		return process_vm_writev(target, &local, 1, &remote, 1, 0);
	case OPEN_MEM:
		return proc_open(target, "mem", O_RDONLY);
	case OPEN_MEM_WRITE:
		return proc_open(target, "mem", O_RDWR);
	case OPEN_FD_DIR:
		return readlink(text_of("/proc/%d/fd/0", target), shared_byte, 4);
	case OPEN_OOM:
		return proc_open(target, "oom_score_adj", O_WRONLY);
	case MADVISE:
		remote = (struct iovec){(void *)((uintptr_t)shared_byte & ~4095ul), 4096};
		return syscall(SYS_process_madvise, pidfd, &remote, 1, 20 /* MADV_COLD */, 0);
	case GETFD:
		return syscall(SYS_pidfd_getfd, pidfd, 0, 0);
	case KCMP:
		return syscall(SYS_kcmp, getpid(), target, 0, 0, 0);
	case KILL:
		return kill(target, SIGURG);
	case KILL_0:
		return kill(target, 0);
	case TKILL:
		return syscall(SYS_tkill, target, SIGURG);
	case TGKILL:
		return syscall(SYS_tgkill, target, target, SIGURG);
	case QUEUEINFO:
		return syscall(SYS_rt_sigqueueinfo, target, SIGURG, &info);
	case TGQUEUEINFO:
		return syscall(SYS_rt_tgsigqueueinfo, target, target, SIGURG, &info);
	case PIDFD_SIGNAL:
		return syscall(SYS_pidfd_send_signal, pidfd, SIGURG, NULL, 0);
	case LIMIT_CPU:
		return limit_set((unsigned long)target, RLIMIT_CPU);
	case LIMIT_FILES:
		return limit_set((unsigned long)target, RLIMIT_NOFILE);
	case LIMIT_MEMORY:
		return limit_set((unsigned long)target, RLIMIT_AS);
	case LIMIT_DATA:
		return limit_set((unsigned long)target, RLIMIT_DATA);
	case LIMIT_SIGNALS:
		return limit_set((unsigned long)target, RLIMIT_SIGPENDING);
	case LIMIT_HIGH_BITS:
		return limit_set(high, RLIMIT_CPU);
	case LIMIT_READ:
		return prlimit(target, RLIMIT_CORE, NULL, (struct rlimit[1]){{0}});
	case NICE:
		return setpriority(PRIO_PROCESS, (id_t)target, 19);
	case NICE_HIGH_BITS:
		return syscall(SYS_setpriority, HIGH, high, 19);
	case NICE_GROUP:
		return setpriority(PRIO_PGRP, (id_t)getpgid(target), 0);
	case NICE_USER:
		return setpriority(PRIO_USER, getuid() == 0 ? 54321 : getuid(), 0);
	case AFFINITY:
		return sched_setaffinity(target, sizeof(all), &all);
	case AFFINITY_HIGH_BITS:
		return syscall(SYS_sched_setaffinity, high, sizeof(all), &all);
	case SCHED_IDLE_SET:
		return sched_setscheduler(target, SCHED_IDLE, &parameter);
	case SCHED_PARAM:
		return sched_setparam(target, &parameter);
	case SCHED_ATTR:
		return syscall(SYS_sched_setattr, target, &attr, 0);
	case IO_PRIORITY:
		return syscall(SYS_ioprio_set, 1, target, 3 << 13);
	case IO_PRIORITY_HIGH_BITS:
		return syscall(SYS_ioprio_set, 1 | HIGH, high, 3 << 13);
	case IO_PRIORITY_GROUP:
		return syscall(SYS_ioprio_set, 2, getpgid(target), 3 << 13);
	case MOVE_PAGES:
		return syscall(SYS_move_pages, target, 0, NULL, NULL, NULL, 0);
	case PERF:
		return syscall(SYS_perf_event_open, &event, target, -1, -1, 0);
	case CALLS:
		break;
	}
	errno = EINVAL;
	return -1;
}

struct attack {
	enum call call;
	pid_t target; /* 0: the supervisor */
};

static int attack_try(void *context)
{
	const struct attack *attack = context;
	pid_t target = attack->target != 0 ? attack->target : supervisor_of(getpid());

	if (target == 0)
		return ESRCH;
	return result_of(call_make(attack->call, target));
}

/* What an attack on a process outside must give. Landlock says EACCES for a file; the rest is EPERM. */
static bool is_refusal(enum call call, int result)
{
	bool is_file = call >= OPEN_MEM && call <= OPEN_OOM;

	return is_file ? result == EACCES : result == EPERM;
}

/* A process of the same user. Its group is its own: some calls mean groups. */
static pid_t bystander_start(bool confine)
{
	int ready[2];
	pid_t child = -1;
	char byte;

	if (pipe2(ready, O_CLOEXEC) < 0 || (child = fork()) < 0)
		fail_msg("fork: %s", strerror(errno));
	if (child == 0) {
		setpgid(0, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (confine && sl_confine_self(policy_of(CONFINED), NULL) < 0)
			_exit(1);
		if (write(ready[1], "r", 1) < 0)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return child;
}

static void bystander_end(pid_t child)
{
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

/* Calls that could not work even bare: by design of the kernel, not of the kit. */
static bool has_control(enum call call)
{
	if (geteuid() == 0)
		return call != NICE_USER; /* the user 54321 has no process */
	if (call == PERF)
		return perf_control() == CONTROL_BOTH;
	return call != MADVISE; /* of another process: CAP_SYS_NICE */
}

static int attacks_play(const char *const policy[], pid_t target, bool confine_target)
{
	int wrong = 0;

	for (unsigned call = 0; call < CALLS; call++) {
		pid_t bystander = bystander_start(confine_target);
		struct attack bare = {(enum call)call, bystander};
		struct attack confined = {(enum call)call, target == -1 ? bystander : target};
		int result = attempt_bare(attack_try, &bare);

		if (result == ENOSYS || (result != 0 && !has_control((enum call)call)))
			fprintf(stderr, "# no control here: %s gives %s bare\n", call_names[call],
			        result_name(result));
		else if (result != 0)
			wrong++, fprintf(stderr, "# %s: the control failed: %s\n", call_names[call],
			                 result_name(result));
		bystander_end(bystander);
		bystander = bystander_start(confine_target);
		confined.target = target == -1 ? bystander : target;
		result = attempt_confined(policy, attack_try, &confined);
		if (!is_refusal((enum call)call, result))
			wrong++, fprintf(stderr, "# %s: confined it gave %s\n", call_names[call],
			                 result_name(result));
		bystander_end(bystander);
	}
	return wrong;
}

/* Priority, scheduler and affinity of one process at a time are open, but for the supervisor's: core/slots.c. */
static bool is_own_business(enum call call)
{
	return call >= NICE && call <= IO_PRIORITY_HIGH_BITS && call != NICE_GROUP && call != NICE_USER;
}

static int outside_play(bool confine_target)
{
	int wrong = 0;

	for (unsigned call = 0; call < CALLS; call++) {
		pid_t bystander = bystander_start(confine_target);
		struct attack attack = {(enum call)call, bystander};
		int result =
			attempt_confined(POLICY("fs-system", "yes", "fs-write", open_dir, "fs-read", "/proc"),
		                         attack_try, &attack);

		if (!is_own_business((enum call)call) && !is_refusal((enum call)call, result))
			wrong++, fprintf(stderr, "# %s: confined it gave %s\n", call_names[call],
			                 result_name(result));
		bystander_end(bystander);
	}
	return wrong;
}

static void processes_outside_and_in_another_sandbox_are_out_of_reach(void **state)
{
	(void)state;
	assert_int_equal(outside_play(false), 0);
	assert_int_equal(outside_play(true), 0);
}

/* S01, S03, S04 */

static uint16_t port_allowed, port_forbidden;
static int listener_allowed, listener_forbidden;

static void the_supervisor_is_out_of_reach(void **state)
{
	(void)state;
	assert_int_equal(
		attacks_play(POLICY("fs-read", "/proc", "net-allow", rule_for(AF_INET, port_allowed)), 0,
	                     false),
		0);
}

/* Each of them in a row, and it still serves. */
static int all_attacks_then_connect(void *context)
{
	pid_t supervisor = supervisor_of(getpid());

	(void)context;
	if (supervisor == 0)
		return ESRCH;
	for (unsigned call = 0; call < CALLS; call++)
		call_make((enum call)call, supervisor);
	setpgid(supervisor, getpgrp());
	waitpid(supervisor, NULL, __WALL | WNOHANG);
	if (tcp_try(AF_INET, port_allowed) != 0)
		return 1;
	return tcp_try(AF_INET, port_forbidden) == EACCES ? 0 : 2;
}

static void after_all_of_it_the_supervisor_serves(void **state)
{
	(void)state;
	assert_int_equal(
		attempt_confined(POLICY("fs-read", "/proc", "net-allow", rule_for(AF_INET, port_allowed)),
	                         all_attacks_then_connect, NULL),
		0);
	assert_int_equal(accept_all(listener_allowed), 1);
	assert_int_equal(accept_all(listener_forbidden), 0);
}

/* The supervisor's own tasks, where there are more than one: BPF knows the first alone. */
static int tasks_try(void *context)
{
	char path[64];
	struct dirent *entry;
	pid_t supervisor = supervisor_of(getpid());
	DIR *tasks;
	int wrong = 0;

	(void)context;
	tcp_try(AF_INET, port_allowed);
	snprintf(path, sizeof(path), "/proc/%d/task", supervisor);
	if (supervisor == 0 || (tasks = opendir(path)) == NULL)
		return ESRCH;
	while ((entry = readdir(tasks)) != NULL) {
		pid_t task = atoi(entry->d_name);

		if (task > 0 && setpriority(PRIO_PROCESS, (id_t)task, 19) == 0)
			wrong++;
	}
	closedir(tasks);
	return wrong;
}

static void no_task_of_the_supervisor_can_be_slowed(void **state)
{
	(void)state;
	assert_int_equal(
		attempt_confined(POLICY("fs-read", "/proc", "net-allow", rule_for(AF_INET, port_allowed)),
	                         tasks_try, NULL),
		0);
	accept_all(listener_allowed);
}

/* S02, E32: the supervisor is killed from outside, and nobody can take its place. */

struct orphan {
	int go[2];
	pid_t *self; /* MAP_SHARED */
};

static int own_listener(void)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = {1, &allow};

	return result_of(
		syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program));
}

static int orphan_run(void *context)
{
	struct orphan *orphan = context;
	char byte;

	*orphan->self = getpid();
	if (read(orphan->go[0], &byte, 1) != 1)
		return 1;
	if (tcp_try(AF_INET, port_allowed) != ENOSYS || tcp_try(AF_INET, port_forbidden) != ENOSYS)
		return 2;
	return own_listener() == EBUSY && tcp_try(AF_INET, port_forbidden) == ENOSYS ? 0 : 3;
}

static void kill_its_supervisor(struct orphan *orphan)
{
	double end = seconds_now() + 10;
	pid_t supervisor = 0;

	while (*orphan->self == 0 && seconds_now() < end)
		usleep(1000);
	supervisor = supervisor_of(*orphan->self);
	if (supervisor > 0)
		kill(supervisor, SIGKILL);
	usleep(50000);
	if (write(orphan->go[1], "g", 1) < 0)
		_exit(1);
	_exit(supervisor > 0 ? 0 : 1);
}

static void a_dead_supervisor_refuses_and_has_no_heir(void **state)
{
	struct orphan orphan;
	pid_t killer;
	int status, result;

	(void)state;
	orphan.self = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_return_code(pipe2(orphan.go, O_CLOEXEC), errno);
	fflush(NULL);
	if ((killer = fork()) == 0)
		kill_its_supervisor(&orphan);
	result = attempt_confined(POLICY("net-allow", rule_for(AF_INET, port_allowed)), orphan_run, &orphan);
	waitpid(killer, &status, 0);
	assert_int_equal(status, 0);
	/* Killed with its supervisor is as good. */
	assert_true(result == 0 || result == ATTEMPT_KILLED + SIGKILL);
	assert_int_equal(accept_all(listener_forbidden), 0);
	close(orphan.go[0]);
	close(orphan.go[1]);
}

/* K01. With CAP_PERFMON the kernel lets a reader past ptrace's rules, and Landlock is one of those:
 * mm_access() since 6.13. */

static char const *const memory_files[] = {"maps", "environ", "auxv", "smaps", "pagemap"};

static int memory_file_try(void *context)
{
	const char *const *name = context;
	char path[64], byte;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", getppid(), *name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	return read(fd, &byte, 1) == 1 ? 0 : EACCES;
}

static int memory_files_play(const char *const policy[])
{
	int wrong = 0;

	for (size_t i = 0; i < sizeof(memory_files) / sizeof(memory_files[0]); i++) {
		struct attack_row row = {memory_files[i], memory_file_try, (void *)&memory_files[i], EACCES,
		                         i < 3 ? CONTROL_BOTH : CONTROL_NONE};

		wrong += rows_play(&row, 1, policy);
	}
	return wrong;
}

static void the_memory_files_of_others_are_closed(void **state)
{
	(void)state;
	assert_int_equal(memory_files_play(CONFINED), 0);
}

static void the_memory_files_of_others_are_closed_though_proc_is_granted(void **state)
{
	(void)state;
	assert_int_equal(memory_files_play(POLICY("fs-read", "/proc")), 0);
}

/* P04 */

static int own_child_try(void *context)
{
	struct attack attack = {*(enum call *)context, 0};
	int result;

	attack.target = fork();
	if (attack.target == 0)
		for (;;)
			pause();
	result = attack_try(&attack);
	kill(attack.target, SIGKILL);
	waitpid(attack.target, NULL, 0);
	return result;
}

static void not_even_own_children_are_traced(void **state)
{
	static enum call calls[] = {PTRACE_ATTACH_TO, PTRACE_SEIZE_TO, VM_READ, KILL, NICE};
	static const struct attack_row rows[] = {
		{"attach", own_child_try, &calls[0], EPERM, CONTROL_BOTH},
		{"seize", own_child_try, &calls[1], EPERM, CONTROL_BOTH},
		{"read", own_child_try, &calls[2], EPERM, CONTROL_BOTH},
		{"signal", own_child_try, &calls[3], 0, CONTROL_BOTH},
		{"nice", own_child_try, &calls[4], 0, CONTROL_BOTH},
	};

	(void)state;
	assert_int_equal(rows_play(ROWS(rows), CONFINED), 0);
	assert_int_equal(rows_play(ROWS(rows), POLICY("net-allow", rule_for(AF_INET, port_allowed))), 0);
}

/* P06: signals to groups. The one who counts is outside, and in the group. SIGURG harms nobody else. */

static volatile sig_atomic_t counted;

static void count(int signal)
{
	(void)signal;
	counted++;
}

static int signal_all(void *context)
{
	return result_of(kill(*(pid_t *)context, SIGURG)) == EPERM ? EPERM : 0;
}

static int signals_counted(const char *const policy[], pid_t whom)
{
	counted = 0;
	if (policy == NULL)
		attempt_bare(signal_all, &whom);
	else
		attempt_confined(policy, signal_all, &whom);
	usleep(10000);
	return counted;
}

static int signals_group(void *context)
{
	struct sigaction action = {.sa_handler = count};

	(void)context;
	setpgid(0, 0);
	sigaction(SIGURG, &action, NULL);
	if (signals_counted(NULL, 0) == 0 || signals_counted(NULL, -getpgrp()) == 0)
		return 1;
	if (signals_counted(CONFINED, 0) != 0 || signals_counted(CONFINED, -getpgrp()) != 0)
		return 2;
	/* To everybody: only confined, so that nobody else is bothered. */
	return signals_counted(CONFINED, -1) != 0 ? 3 : 0;
}

static void signals_to_groups_stay_inside(void **state)
{
	(void)state;
	assert_int_equal(attempt_bare(signals_group, NULL), 0);
}

static int signal_init(void *context)
{
	(void)context;
	return result_of(kill(1, 0));
}

static void pid_1_is_out_of_reach(void **state)
{
	static const struct attack_row row = {"kill 1", signal_init, NULL, EPERM, CONTROL_ROOT};

	(void)state;
	assert_int_equal(rows_play(&row, 1, CONFINED), 0);
}

/* P08 */

static int setid_probe(void *context)
{
	char *const argv[] = {context, "ids", NULL};
	pid_t child = fork();
	int status;

	if (child == 0) {
		execv(context, argv);
		_exit(126);
	}
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : EPROTO;
}

static void set_id_programs_give_nothing(void **state)
{
	char copy[600], command[1400];

	(void)state;
	if (geteuid() != 0)
		SKIP_BECAUSE("only root can make a program that belongs to another user");
	snprintf(copy, sizeof(copy), "%s/setid", open_dir);
	snprintf(command, sizeof(command), "cp %s %s", self_path, copy);
	assert_int_equal(system(command), 0);
	assert_return_code(chown(copy, 65534, 65534), errno);
	assert_return_code(chmod(copy, 06755), errno);
	/* "ids" answers 0 when it runs as somebody else than who started it. */
	assert_int_equal(attempt_bare(setid_probe, copy), 0);
	assert_int_equal(attempt_confined(CONFINED, setid_probe, copy), 1);
	unlink(copy);
}

/* I01, I02 */

static int shm_try(void *context)
{
	int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);

	(void)context;
	return id < 0 ? errno : result_of(shmctl(id, IPC_RMID, NULL));
}

static int sem_try(void *context)
{
	int id = semget(IPC_PRIVATE, 1, IPC_CREAT | 0600);

	(void)context;
	return id < 0 ? errno : result_of(semctl(id, 0, IPC_RMID));
}

static int msg_try(void *context)
{
	int id = msgget(IPC_PRIVATE, IPC_CREAT | 0600);

	(void)context;
	return id < 0 ? errno : result_of(msgctl(id, IPC_RMID, NULL));
}

static int mq_try(void *context)
{
	const char *name = text_of("/sluice-%d", getpid());
	int result = result_of(mq_open(name, O_CREAT | O_RDWR, 0600, NULL));

	(void)context;
	/* Also when it was refused: Landlock looks when the queue has been made. */
	mq_unlink(name);
	return result;
}

static int shm_file_try(void *context)
{
	const char *path = text_of("/dev/shm/sluice-%d", getpid());
	int fd = open(path, O_CREAT | O_RDWR, 0600);

	(void)context;
	return fd < 0 ? errno : result_of(unlink(path));
}

static void ipc_of_the_host_is_closed_unless_granted(void **state)
{
	static const struct attack_row rows[] = {
		{"shmget", shm_try, NULL, EPERM, CONTROL_BOTH},
		{"semget", sem_try, NULL, EPERM, CONTROL_BOTH},
		{"msgget", msg_try, NULL, EPERM, CONTROL_BOTH},
		{"mq_open", mq_try, NULL, EPERM, CONTROL_BOTH},
		{"/dev/shm", shm_file_try, NULL, EACCES, CONTROL_BOTH},
	};

	(void)state;
	assert_int_equal(rows_play(ROWS(rows), CONFINED), 0);
	assert_int_equal(attempt_confined(POLICY("allow-syscalls", "sysv_ipc"), shm_try, NULL), 0);
	assert_int_equal(attempt_confined(POLICY("allow-syscalls", "sysv_ipc"), sem_try, NULL), 0);
	assert_int_equal(attempt_confined(POLICY("allow-syscalls", "sysv_ipc"), msg_try, NULL), 0);
	assert_int_equal(attempt_confined(POLICY("allow-syscalls", "sysv_ipc"), mq_try, NULL), EPERM);
	assert_int_equal(attempt_confined(POLICY("allow-syscalls", "posix_mq"), shm_try, NULL), EPERM);
}

static void the_group_posix_mq_opens_message_queues(void **state)
{
	struct statfs mount;

	(void)state;
	if (statfs("/dev/mqueue", &mount) < 0 || mount.f_type != 0x19800202)
		SKIP_BECAUSE("no mqueue file system on /dev/mqueue, and Landlock sees queues below one only");
	assert_int_equal(attempt_confined(POLICY("allow-syscalls", "posix_mq"), mq_try, NULL), 0);
}

/* Y01: a terminal that the test made, and that is the controlling one of whoever tries. */

static int terminal_master, terminal;

static void terminal_open(void)
{
	int unlock = 0, number;

	terminal_master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (terminal_master < 0 || ioctl(terminal_master, TIOCSPTLCK, &unlock) < 0 ||
	    ioctl(terminal_master, TIOCGPTN, &number) < 0 ||
	    (terminal = open(text_of("/dev/pts/%d", number), O_RDWR | O_NOCTTY | O_CLOEXEC)) < 0)
		fail_msg("pty: %s", strerror(errno));
}

struct terminal_call {
	unsigned long request;
	int value;
};

static int terminal_try(void *context)
{
	const struct terminal_call *call = context;
	int value = call->value;

	if (setsid() < 0 || ioctl(terminal, TIOCSCTTY, 0) < 0)
		return errno;
	return result_of(syscall(SYS_ioctl, terminal, call->request, &value));
}

static int terminal_size(void *context)
{
	struct winsize size;

	(void)context;
	return result_of(ioctl(terminal, TIOCGWINSZ, &size));
}

static void a_terminal_cannot_be_typed_on(void **state)
{
	static struct terminal_call sti = {TIOCSTI, 'x'}, linux_call = {0x541c, 3}, console = {0x541d, 0},
				    discipline = {TIOCSETD, 0}, hangup = {0x5437, 0}, keyboard = {0x4b3a, 0},
				    vt = {0x5606, 0}, high = {TIOCSETD | HIGH << 9, 0};
	const struct attack_row rows[] = {
		{"TIOCSTI", terminal_try, &sti, EPERM, typing_control()},
		{"TIOCSETD", terminal_try, &discipline, EPERM, CONTROL_BOTH},
		{"TIOCSETD, high bits", terminal_try, &high, EPERM, CONTROL_BOTH},
		/* A pty is no console: bare these are ENOTTY, and TIOCCONS would move the console's output.
	         */
		{"TIOCLINUX", terminal_try, &linux_call, EPERM, CONTROL_NONE},
		{"KDSETMODE", terminal_try, &keyboard, EPERM, CONTROL_NONE},
		{"VT_ACTIVATE", terminal_try, &vt, EPERM, CONTROL_NONE},
	};
	const struct attack_row taking[] = {
		{"TIOCCONS", terminal_try, &console, EPERM, CONTROL_NONE},
		{"TIOCVHANGUP", terminal_try, &hangup, EPERM, CONTROL_NONE},
	};
	int queued = -1;

	(void)state;
	terminal_open();
	assert_int_equal(rows_play(ROWS(rows), CONFINED), 0);
	for (size_t i = 0; i < 2; i++)
		assert_true(row_play_confined(&taking[i], CONFINED));
	assert_int_equal(attempt_confined(CONFINED, terminal_size, NULL), 0);
	tcflush(terminal, TCIFLUSH);
	assert_int_equal(attempt_confined(CONFINED, terminal_try, &sti), EPERM);
	assert_return_code(ioctl(terminal, FIONREAD, &queued), errno);
	assert_int_equal(queued, 0);
	close(terminal);
	close(terminal_master);
}

static int group_open(void **state)
{
	(void)state;
	snprintf(open_dir, sizeof(open_dir), "%.200s/open", scratch());
	snprintf(secret_dir, sizeof(secret_dir), "%.200s/secret", scratch());
	snprintf(secret_file, sizeof(secret_file), "%s/file", secret_dir);
	snprintf(mine, sizeof(mine), "%s/mine", open_dir);
	snprintf(link_to_secret, sizeof(link_to_secret), "%s/link", open_dir);
	tree_make();
	listener_allowed = tcp_listener(AF_INET, &port_allowed);
	listener_forbidden = tcp_listener(AF_INET, &port_forbidden);
	return readlink("/proc/self/exe", self_path, sizeof(self_path) - 1) < 0 ? -1 : 0;
}

static int group_close(void **state)
{
	(void)state;
	entries_remove(open_dir);
	entries_remove(secret_dir);
	rmdir(open_dir);
	rmdir(secret_dir);
	close(listener_allowed);
	close(listener_forbidden);
	return 0;
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_outside_cannot_be_read_by_any_name),
		cmocka_unit_test(files_do_not_cross_the_border),
		cmocka_unit_test(mounts_are_refused_before_the_kernel_looks),
		cmocka_unit_test(device_nodes_cannot_be_made_nor_opened),
		cmocka_unit_test(the_switches_of_the_kernel_cannot_be_opened_for_writing),
		cmocka_unit_test(more_layers_than_there_are_leave_the_sandbox_as_it_is),
		cmocka_unit_test(set_id_bits_cannot_be_set),
		cmocka_unit_test(no_program_is_born_with_set_id_bits),
		cmocka_unit_test(processes_outside_and_in_another_sandbox_are_out_of_reach),
		cmocka_unit_test(the_supervisor_is_out_of_reach),
		cmocka_unit_test(after_all_of_it_the_supervisor_serves),
		cmocka_unit_test(no_task_of_the_supervisor_can_be_slowed),
		cmocka_unit_test(a_dead_supervisor_refuses_and_has_no_heir),
		cmocka_unit_test(the_memory_files_of_others_are_closed),
		cmocka_unit_test(the_memory_files_of_others_are_closed_though_proc_is_granted),
		cmocka_unit_test(not_even_own_children_are_traced),
		cmocka_unit_test(signals_to_groups_stay_inside),
		cmocka_unit_test(pid_1_is_out_of_reach),
		cmocka_unit_test(set_id_programs_give_nothing),
		cmocka_unit_test(ipc_of_the_host_is_closed_unless_granted),
		cmocka_unit_test(the_group_posix_mq_opens_message_queues),
		cmocka_unit_test(a_terminal_cannot_be_typed_on),
	};

	if (argc == 2 && strcmp(argv[1], "ids") == 0)
		return geteuid() != getuid() ? 0 : 1;
	return cmocka_run_group_tests_name("files", tests, group_open, group_close);
}
