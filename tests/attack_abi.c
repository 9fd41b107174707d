/* Other doors into the kernel: foreign ABIs, numbers that are not in the table, bits above an int,
 * namespaces, filters of the attacker's own. security.md, 2.1, 2.11, 3.1 and part 4.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/perf_event.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "core/kernel.h"
#include "tests/attack_rows.h"

#define HIGH (1ULL << 32)

/* A policy with a supervisor, one without, and both: what BPF says must not depend on it. */
static uint16_t port_allowed, port_forbidden;
static int listener_allowed, listener_forbidden;

static const char *const *policy_supervised(void)
{
	static const char *keys[5];

	keys[0] = "net-allow";
	keys[1] = strdup(rule_for(AF_INET, port_allowed));
	keys[2] = "fs-system";
	keys[3] = "yes";
	return keys;
}

static const char *const policy_alone[] = {"fs-system", "yes", NULL};

static struct sockaddr_in address_of(uint16_t port)
{
	return (struct sockaddr_in){AF_INET, htons(port), {htonl(INADDR_LOOPBACK)}, {0}};
}

/* Foreign ABIs. */

/* The 32-bit entry takes 32-bit pointers. */
static void *low_memory(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	if (page == MAP_FAILED)
		abort();
	return page;
}

static int int80(int number, uint32_t a, uint32_t b, uint32_t c)
{
	int result;

	__asm__ volatile("int $0x80"
	                 : "=a"(result)
	                 : "a"(number), "b"(a), "c"(b), "d"(c)
	                 : "memory", "r8", "r9", "r10", "r11", "cc");
	return result;
}

static int int80_open(void *context)
{
	char *path = low_memory();
	int fd;

	(void)context;
	strcpy(path, "/etc/hostname");
	if (access(path, R_OK) < 0)
		strcpy(path, "/etc/passwd");
	fd = int80(5, (uint32_t)(uintptr_t)path, O_RDONLY, 0);
	return fd < 0 ? -fd : 0;
}

static int int80_connect(void *context)
{
	struct sockaddr_in *address = low_memory();
	int fd = socket(AF_INET, SOCK_STREAM, 0), r;

	*address = address_of(*(uint16_t *)context);
	r = int80(362, (uint32_t)fd, (uint32_t)(uintptr_t)address, sizeof(*address));
	return r < 0 ? -r : 0;
}

/* socketcall(SYS_CONNECT, {fd, address, size}) */
static int int80_socketcall(void *context)
{
	struct sockaddr_in *address = low_memory();
	uint32_t *args = (uint32_t *)(address + 1);
	int r;

	*address = address_of(*(uint16_t *)context);
	args[0] = (uint32_t)socket(AF_INET, SOCK_STREAM, 0);
	args[1] = (uint32_t)(uintptr_t)address;
	args[2] = sizeof(*address);
	r = int80(102, 3, (uint32_t)(uintptr_t)args, 0);
	return r < 0 ? -r : 0;
}

static int native_connect(void *context)
{
	return tcp_try(AF_INET, *(uint16_t *)context);
}

enum { KILLED_BY_FILTER = ATTEMPT_KILLED + SIGSYS };

/* A01 */
static void the_32_bit_entry_kills(void **state)
{
	static const struct attack_row rows[] = {
		{"int80 open", int80_open, NULL, KILLED_BY_FILTER, CONTROL_BOTH},
		{"int80 connect, forbidden", int80_connect, &port_forbidden, KILLED_BY_FILTER, CONTROL_BOTH},
		{"int80 connect, allowed", int80_connect, &port_allowed, KILLED_BY_FILTER, CONTROL_BOTH},
		{"int80 socketcall", int80_socketcall, &port_forbidden, KILLED_BY_FILTER, CONTROL_BOTH},
	};

	(void)state;
	assert_int_equal(rows_play(ROWS(rows), policy_supervised()), 0);
	accept_all(listener_forbidden);
	assert_int_equal(attempt_confined(policy_alone, int80_open, NULL), KILLED_BY_FILTER);
	assert_int_equal(attempt_confined(policy_supervised(), native_connect, &port_allowed), 0);
	assert_int_equal(accept_all(listener_forbidden), 0);
}

static int x32_call(void *context)
{
	struct sockaddr_in address = address_of(port_forbidden);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return result_of(syscall(*(long *)context, fd, &address, sizeof(address), 0, 0, 0));
}

/* A03. This kernel has no x32: bare it says ENOSYS, so what is shown here is no more than that the filter
 * does not let the number through as another one. */
static void x32_numbers_are_killed_or_unknown(void **state)
{
	static long numbers[] = {0x40000000 + 42, 0x40000000 + 518, 0x40000000 + 520,
	                         0x40000000 + 41, 0x40000000 + 2,   0x40000000};

	(void)state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		int bare = attempt_bare(x32_call, &numbers[i]);
		int confined = attempt_confined(policy_supervised(), x32_call, &numbers[i]);

		if (bare != ENOSYS)
			fprintf(stderr, "# this kernel has x32: %#lx gives %s bare\n", numbers[i],
			        result_name(bare));
		else
			fprintf(stderr, "# no control here: x32 %#lx gives ENOSYS bare\n", numbers[i]);
		assert_true(confined == KILLED_BY_FILTER || confined == ENOSYS);
	}
	assert_int_equal(accept_all(listener_forbidden), 0);
}

static int unknown_number(void *context)
{
	return result_of(syscall(*(long *)context, 0, 0, 0, 0, 0, 0));
}

static int unknown_ranges(void *context)
{
	(void)context;
	for (long number = 337; number < 1200; number++) {
		if (number == 424)
			number = 471;
		if (syscall(number, 0, 0, 0, 0, 0, 0) != -1 || errno != ENOSYS)
			return (int)number;
	}
	return 0;
}

/* A10 */
static void unknown_numbers_are_ENOSYS_and_do_not_kill(void **state)
{
	static long numbers[] = {-1, 1000000, 0x3fffffff, 1L << 32 | 1000000, 511, 512, 547, 1023};
	int wrong = 0;

	(void)state;
	assert_int_equal(attempt_confined(policy_supervised(), unknown_ranges, NULL), 0);
	assert_int_equal(attempt_confined(policy_alone, unknown_ranges, NULL), 0);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		struct attack_row row = {text_of("number %#lx", numbers[i]), unknown_number, &numbers[i],
		                         ENOSYS, CONTROL_NONE};

		assert_int_equal(attempt_bare(unknown_number, &numbers[i]), ENOSYS);
		wrong += !row_play_confined(&row, policy_alone);
	}
	assert_int_equal(wrong, 0);
}

/* Above 2^30 everything is x32's. */
static void numbers_above_x32_are_killed_or_unknown(void **state)
{
	static long numbers[] = {INT32_MIN, INT32_MAX, -2, 0x80000000u + 42};

	(void)state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		int confined = attempt_confined(policy_alone, unknown_number, &numbers[i]);

		assert_int_equal(attempt_bare(unknown_number, &numbers[i]), ENOSYS);
		assert_true(confined == KILLED_BY_FILTER || confined == ENOSYS);
	}
}

/* The table, row by row. Arguments are such that a kernel which did carry the call out would do no harm:
 * zero, but for those that would then do something. */
struct table_row {
	long number;
	const char *name;
	int error;
};

static const struct table_row table[] = {
#define ROW_ALLOW(number, name, value)
#define ROW_SLOT(number, name, value)
#define ROW_ERRNO(number, name, value)     {number, #name, value},
#define SYSCALL(number, name, kind, value) ROW_##kind(number, name, value)
#include "core/syscalls.def"
#undef SYSCALL
};

static int table_call(void *context)
{
	int wrong = 0;

	(void)context;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		/* A name of length -1 is nobody's name, and address 1 nobody's file. */
		bool named = table[i].number == SYS_sethostname || table[i].number == SYS_setdomainname;
		long first = table[i].number == SYS_acct || table[i].number == SYS_swapoff ? 1 : 0, r;

		/* The kernel does not ask filters about these two since 6.14: each is a SIGILL outside of a
		 * probe's own page. */
		if (table[i].number == 335 || table[i].number == 336)
			continue;
		r = syscall(table[i].number, first, named ? -1L : 0L, 0, 0, 0, 0);

		if (r == -1 && errno == table[i].error)
			continue;
		fprintf(stderr, "# %s gave %s, not %s\n", table[i].name,
		        r == -1 ? strerrorname_np(errno) : "success", strerrorname_np(table[i].error));
		wrong++;
	}
	return wrong;
}

static void every_refused_row_of_the_table_gives_its_errno(void **state)
{
	(void)state;
	assert_true(sizeof(table) / sizeof(table[0]) > 80);
	assert_int_equal(attempt_confined(policy_supervised(), table_call, NULL), 0);
	assert_int_equal(attempt_confined(policy_alone, table_call, NULL), 0);
	/* vhangup(2) bare would hang up the terminal of whoever runs this as root: the other rows' controls
	 * are below. */
}

/* Calls of that table with arguments that work. */

static int call_traceme(void *context)
{
	(void)context;
	return result_of(syscall(SYS_ptrace, 0 /* PTRACE_TRACEME */, 0, 0, 0));
}

static int call_vm_readv(void *context)
{
	char from[8] = "secret", to[8];
	struct iovec local = {to, sizeof(to)}, remote = {from, sizeof(from)};

	(void)context;
	return result_of(process_vm_readv(getpid(), &local, 1, &remote, 1, 0));
}

static int call_vm_writev(void *context)
{
	char from[8] = "secret", to[8];
	struct iovec local = {from, sizeof(from)}, remote = {to, sizeof(to)};

	(void)context;
	return result_of(process_vm_writev(getpid(), &local, 1, &remote, 1, 0));
}

static int call_userfaultfd(void *context)
{
	(void)context;
	return result_of(syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* UFFD_USER_MODE_ONLY */));
}

static int call_io_uring(void *context)
{
	char params[256] = {0};

	(void)context;
	return result_of(syscall(SYS_io_uring_setup, 1, params));
}

static int call_perf(void *context)
{
	struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE, .size = sizeof(attr)};

	(void)context;
	attr.config = PERF_COUNT_SW_TASK_CLOCK;
	attr.exclude_kernel = attr.exclude_hv = 1;
	return result_of(syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0));
}

static int call_keyctl(void *context)
{
	(void)context;
	return result_of(syscall(SYS_keyctl, 0 /* GET_KEYRING_ID */, -2 /* process */, 1));
}

static int call_add_key(void *context)
{
	(void)context;
	return result_of(syscall(SYS_add_key, "user", "sluice-test", "x", 1, -2));
}

static int call_name_to_handle(void *context)
{
	struct {
		unsigned bytes;
		int type;
		char handle[128];
	} handle = {.bytes = 128};
	int mount_id;

	(void)context;
	return result_of(syscall(SYS_name_to_handle_at, AT_FDCWD, "/", &handle, &mount_id, 0));
}

/* L08: the handle was made before the walls went up. */
static struct {
	unsigned bytes;
	int type;
	char handle[128];
} kept_handle;
static int kept_directory;

static int call_open_by_handle(void *context)
{
	(void)context;
	return result_of(syscall(SYS_open_by_handle_at, kept_directory, &kept_handle, O_RDONLY));
}

static int call_memfd_secret(void *context)
{
	(void)context;
	return result_of(syscall(SYS_memfd_secret, 0));
}

static int call_kcmp(void *context)
{
	(void)context;
	return result_of(syscall(SYS_kcmp, getpid(), getpid(), 0, 0, 1));
}

static int call_getfd(void *context)
{
	int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	(void)context;
	return result_of(syscall(SYS_pidfd_getfd, pidfd, 0, 0));
}

static int call_madvise(void *context)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	struct iovec where = {page, 4096};

	(void)context;
	return result_of(syscall(SYS_process_madvise, pidfd, &where, 1, 20 /* MADV_COLD */, 0));
}

static int call_adjtimex(void *context)
{
	char timex[512] = {0}; /* modes 0: a question */

	(void)context;
	return result_of(syscall(SYS_adjtimex, timex));
}

static int call_ldt(void *context)
{
	char entry[64];

	(void)context;
	return result_of(syscall(SYS_modify_ldt, 0, entry, sizeof(entry)));
}

static int call_mempolicy(void *context)
{
	(void)context;
	return result_of(syscall(SYS_set_mempolicy, 0 /* MPOL_DEFAULT */, NULL, 0));
}

static int call_open_tree(void *context)
{
	(void)context;
	return result_of(syscall(SYS_open_tree, AT_FDCWD, "/", 0x80000 /* OPEN_TREE_CLOEXEC */));
}

static int call_listmount(void *context)
{
	struct {
		uint32_t size, spare;
		uint64_t id, param;
	} request = {.size = 24, .id = UINT64_MAX /* LSMT_ROOT */};
	uint64_t ids[8];

	(void)context;
	return result_of(syscall(458, &request, ids, 8, 0));
}

static int call_lsm_list(void *context)
{
	uint64_t ids[32];
	uint32_t size = sizeof(ids);

	(void)context;
	return result_of(syscall(461, ids, &size, 0));
}

static int call_fanotify(void *context)
{
	(void)context;
	return result_of(syscall(SYS_fanotify_init, 0x200 /* FAN_REPORT_FID */, O_RDONLY));
}

static int call_iopl(void *context)
{
	(void)context;
	return result_of(syscall(SYS_iopl, 0));
}

static int call_chroot(void *context)
{
	(void)context;
	return result_of(syscall(SYS_chroot, "/usr"));
}

static int call_mount(void *context)
{
	(void)context;
	if (geteuid() == 0 && unshare(CLONE_NEWNS) < 0)
		return errno;
	return result_of(syscall(SYS_mount, "none", "/usr", "tmpfs", 0, NULL));
}

static int call_fsopen(void *context)
{
	(void)context;
	return result_of(syscall(SYS_fsopen, "tmpfs", 0));
}

static int call_bpf(void *context)
{
	struct {
		uint32_t type, key, value, entries, flags;
		char rest[128];
	} attr = {2 /* ARRAY */, 4, 4, 1, 0, {0}};

	(void)context;
	return result_of(syscall(SYS_bpf, 0 /* MAP_CREATE */, &attr, sizeof(attr)));
}

static int call_syslog(void *context)
{
	(void)context;
	return result_of(syscall(SYS_syslog, 10 /* SIZE_BUFFER */, NULL, 0));
}

/* P18, I04, L08, L13 */
static void calls_that_work_bare_are_refused(void **state)
{
	const struct attack_row rows[] = {
		{"ptrace TRACEME", call_traceme, NULL, EPERM, CONTROL_BOTH},
		{"process_vm_readv of oneself", call_vm_readv, NULL, EPERM, CONTROL_BOTH},
		{"process_vm_writev of oneself", call_vm_writev, NULL, EPERM, CONTROL_BOTH},
		{"userfaultfd", call_userfaultfd, NULL, EPERM, CONTROL_BOTH},
		{"io_uring_setup", call_io_uring, NULL, ENOSYS, CONTROL_BOTH},
		{"perf_event_open", call_perf, NULL, EPERM, perf_control()},
		{"keyctl", call_keyctl, NULL, ENOSYS, CONTROL_BOTH},
		{"add_key", call_add_key, NULL, EPERM, CONTROL_BOTH},
		{"name_to_handle_at", call_name_to_handle, NULL, EOPNOTSUPP, CONTROL_BOTH},
		{"open_by_handle_at", call_open_by_handle, NULL, EPERM, CONTROL_ROOT},
		{"memfd_secret", call_memfd_secret, NULL, ENOSYS, CONTROL_BOTH},
		{"kcmp", call_kcmp, NULL, EPERM, CONTROL_BOTH},
		{"pidfd_getfd of oneself", call_getfd, NULL, EPERM, CONTROL_BOTH},
		{"process_madvise of oneself", call_madvise, NULL, EPERM, CONTROL_BOTH},
		{"adjtimex", call_adjtimex, NULL, EPERM, CONTROL_BOTH},
		{"modify_ldt", call_ldt, NULL, EPERM, CONTROL_BOTH},
		{"set_mempolicy", call_mempolicy, NULL, EPERM, CONTROL_BOTH},
		{"open_tree", call_open_tree, NULL, ENOSYS, CONTROL_BOTH},
		{"listmount", call_listmount, NULL, ENOSYS, CONTROL_BOTH},
		{"lsm_list_modules", call_lsm_list, NULL, ENOSYS, CONTROL_BOTH},
		{"fanotify_init", call_fanotify, NULL, EPERM, CONTROL_BOTH},
		{"iopl", call_iopl, NULL, EPERM, CONTROL_BOTH},
		{"chroot", call_chroot, NULL, EPERM, CONTROL_ROOT},
		{"mount", call_mount, NULL, EPERM, CONTROL_ROOT},
		{"fsopen", call_fsopen, NULL, ENOSYS, CONTROL_ROOT},
		{"bpf", call_bpf, NULL, EPERM, CONTROL_ROOT},
		{"syslog", call_syslog, NULL, EPERM, CONTROL_ROOT},
	};
	int mount_id;

	(void)state;
	kept_handle.bytes = sizeof(kept_handle.handle);
	assert_return_code(syscall(SYS_name_to_handle_at, AT_FDCWD, "/", &kept_handle, &mount_id, 0), errno);
	kept_directory = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(rows_play(ROWS(rows), policy_alone), 0);
	assert_int_equal(rows_play(ROWS(rows), policy_supervised()), 0);
	close(kept_directory);
}

/* Namespaces. */

static int child_end(long pid)
{
	int code = errno;

	if (pid == 0)
		_exit(0);
	if (pid > 0)
		waitpid((pid_t)pid, NULL, __WALL);
	return pid < 0 ? code : 0;
}

static int call_clone(void *context)
{
	return child_end(syscall(SYS_clone, *(unsigned long *)context, NULL, NULL, NULL, 0));
}

static int call_unshare(void *context)
{
	return result_of(syscall(SYS_unshare, *(unsigned long *)context));
}

static int call_clone3(void *context)
{
	struct clone_args args = {.flags = *(unsigned long *)context, .exit_signal = SIGCHLD};

	return child_end(syscall(SYS_clone3, &args, sizeof(args)));
}

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

static unsigned long namespaces[] = {CLONE_NEWNS,   CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
                                     CLONE_NEWUSER, CLONE_NEWPID,    CLONE_NEWNET};

/* A user namespace brings the capability for the others, so that an ordinary user has a control too. */
static int flag_play(attempt_fn attempt, unsigned long flag, unsigned long with, int refused,
                     const char *call)
{
	unsigned long alone = flag | with, both = flag | with | CLONE_NEWUSER;
	struct attack_row rows[] = {
		{text_of("%s %#lx", call, alone), attempt, &alone, refused, CONTROL_ROOT},
		{text_of("%s %#lx", call, both), attempt, &both, refused, CONTROL_BOTH},
	};

	return rows_play(ROWS(rows), policy_alone);
}

/* A08, A09, P07 */
static void no_call_makes_a_namespace(void **state)
{
	unsigned long plain[] = {0, CLONE_FILES, CLONE_FS, CLONE_NEWTIME | CLONE_NEWUSER};
	int wrong = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(namespaces) / sizeof(namespaces[0]); i++) {
		wrong += flag_play(call_clone, namespaces[i], SIGCHLD, EPERM, "clone");
		wrong += flag_play(call_clone, namespaces[i], SIGCHLD | HIGH, EPERM, "clone");
		wrong += flag_play(call_clone3, namespaces[i], 0, ENOSYS, "clone3");
		wrong += flag_play(call_unshare, namespaces[i], 0, EPERM, "unshare");
	}
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
		struct attack_row row = {text_of("unshare %#lx", plain[i]), call_unshare, &plain[i], EPERM,
		                         CONTROL_BOTH};

		wrong += rows_play(&row, 1, policy_alone);
	}
	assert_int_equal(wrong, 0);
}

static int namespace_file;

static int call_setns(void *context)
{
	(void)context;
	return result_of(syscall(SYS_setns, namespace_file, CLONE_NEWUTS));
}

static int call_setns_bad(void *context)
{
	(void)context;
	return result_of(syscall(SYS_setns, -1, 0));
}

static void no_call_enters_a_namespace(void **state)
{
	static const struct attack_row row = {"setns", call_setns, NULL, EPERM, CONTROL_ROOT};

	(void)state;
	namespace_file = open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC);
	assert_int_equal(rows_play(&row, 1, policy_alone), 0);
	/* The order shows that it was not the kernel who refused. */
	assert_int_equal(attempt_bare(call_setns_bad, NULL), EBADF);
	assert_int_equal(attempt_confined(policy_alone, call_setns_bad, NULL), EPERM);
	close(namespace_file);
}

static int call_clone_parent(void *context)
{
	long pid = syscall(SYS_clone, *(unsigned long *)context | SIGCHLD, NULL, NULL, NULL, 0);

	if (pid == 0)
		_exit(0);
	return result_of(pid);
}

/* A child that is its grandparent's: the application would reap what it does not know. */
static void clone_cannot_give_a_child_to_somebody_else(void **state)
{
	static unsigned long parent = CLONE_PARENT, untraced = CLONE_UNTRACED;
	static const struct attack_row rows[] = {
		{"CLONE_PARENT", call_clone_parent, &parent, EPERM, CONTROL_BOTH},
		{"CLONE_UNTRACED", call_clone_parent, &untraced, EPERM, CONTROL_BOTH},
	};

	(void)state;
	assert_int_equal(rows_play(ROWS(rows), policy_alone), 0);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

static void *thread_body(void *argument)
{
	return argument;
}

static int threads_and_processes(void *context)
{
	pthread_t thread;
	void *value = NULL;
	pid_t child;
	int status;

	if (pthread_create(&thread, NULL, thread_body, context) != 0 || pthread_join(thread, &value) != 0 ||
	    value != context)
		return 1;
	if ((child = fork()) == 0)
		_exit(7);
	if (waitpid(child, &status, 0) != child || WEXITSTATUS(status) != 7)
		return 2;
	status = system("exit 3");
	return WIFEXITED(status) && WEXITSTATUS(status) == 3 ? 0 : 3;
}

/* A08's other half: glibc falls back from clone3. */
static void threads_fork_and_system_still_work(void **state)
{
	int cookie;

	(void)state;
	assert_int_equal(attempt_bare(threads_and_processes, &cookie), 0);
	assert_int_equal(attempt_confined(policy_alone, threads_and_processes, &cookie), 0);
	assert_int_equal(attempt_confined(policy_supervised(), threads_and_processes, &cookie), 0);
}

/* Bits above an int: the kernel drops them, and so must the filter. */

struct raw_call {
	long number, a, b, c;
};

static int call_raw(void *context)
{
	struct raw_call *raw = context;

	return result_of(syscall(raw->number, raw->a, raw->b, raw->c, 0, 0, 0));
}

static int terminal; /* the slave of a pty that is nobody's controlling terminal yet */
static int terminal_master;

/* Y01, A06: typed as if by the user. */
static int call_tiocsti(void *context)
{
	char letter = 'x';

	if (setsid() < 0 || ioctl(terminal, TIOCSCTTY, 0) < 0)
		return errno;
	return result_of(syscall(SYS_ioctl, terminal, *(unsigned long *)context, &letter));
}

static void terminal_open(void)
{
	int unlock = 0, number;
	char path[64];

	terminal_master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (terminal_master < 0 || ioctl(terminal_master, TIOCSPTLCK, &unlock) < 0 ||
	    ioctl(terminal_master, TIOCGPTN, &number) < 0)
		fail_msg("pty: %s", strerror(errno));
	snprintf(path, sizeof(path), "/dev/pts/%d", number);
	terminal = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (terminal < 0)
		fail_msg("%s: %s", path, strerror(errno));
}

/* A05, A06 */
static void bits_above_an_int_change_nothing(void **state)
{
	static struct raw_call calls[] = {
		{SYS_socket, (long)(AF_VSOCK | HIGH), SOCK_STREAM, 0},
		{SYS_socket, AF_VSOCK, (long)(SOCK_STREAM | HIGH), 0},
		{SYS_socket, (long)(AF_NETLINK | HIGH), SOCK_RAW, 0},
		{SYS_socket, (long)(AF_INET | HIGH), (long)(SOCK_DGRAM | HIGH), 0},
		{SYS_socket, (long)(AF_INET | HIGH), SOCK_STREAM, (long)(262 | HIGH)},
		{SYS_socket, (long)(AF_UNIX | HIGH), SOCK_STREAM, 0},
		{SYS_socket, (long)(AF_PACKET | HIGH), SOCK_RAW, 0x300},
		{SYS_socket, (long)(AF_INET | HIGH), SOCK_RAW, IPPROTO_TCP},
		{SYS_personality, (long)(ADDR_NO_RANDOMIZE | HIGH), 0, 0},
		{SYS_personality, READ_IMPLIES_EXEC, 0, 0},
		{SYS_personality, ADDR_COMPAT_LAYOUT, 0, 0},
		{SYS_personality, 0xfffffffe, 0, 0},
	};
	static unsigned long typed[] = {TIOCSTI, TIOCSTI | HIGH, TIOCSTI | HIGH << 31};
	const struct attack_row rows[] = {
		{"AF_VSOCK", call_raw, &calls[0], EAFNOSUPPORT, CONTROL_BOTH},
		{"AF_VSOCK, high type", call_raw, &calls[1], EAFNOSUPPORT, CONTROL_BOTH},
		{"AF_NETLINK", call_raw, &calls[2], EAFNOSUPPORT, CONTROL_BOTH},
		{"UDP", call_raw, &calls[3], EPERM, CONTROL_BOTH},
		{"MPTCP", call_raw, &calls[4], EPROTONOSUPPORT, CONTROL_BOTH},
		{"AF_UNIX", call_raw, &calls[5], EACCES, CONTROL_BOTH},
		{"AF_PACKET", call_raw, &calls[6], EAFNOSUPPORT, CONTROL_ROOT},
		{"raw IP", call_raw, &calls[7], EPERM, CONTROL_ROOT},
		{"ADDR_NO_RANDOMIZE", call_raw, &calls[8], EPERM, CONTROL_BOTH},
		{"READ_IMPLIES_EXEC", call_raw, &calls[9], EPERM, CONTROL_BOTH},
		{"ADDR_COMPAT_LAYOUT", call_raw, &calls[10], EPERM, CONTROL_BOTH},
		{"all personality bits but one", call_raw, &calls[11], EPERM, CONTROL_BOTH},
		{"TIOCSTI", call_tiocsti, &typed[0], EPERM, CONTROL_BOTH},
		{"TIOCSTI, bit 32", call_tiocsti, &typed[1], EPERM, CONTROL_BOTH},
		{"TIOCSTI, bit 63", call_tiocsti, &typed[2], EPERM, CONTROL_BOTH},
	};
	int queued;

	(void)state;
	terminal_open();
	assert_int_equal(rows_play(ROWS(rows), policy_alone), 0);
	/* The control typed, and nobody else did: line editing holds it back until a newline, so look raw. */
	tcflush(terminal, TCIFLUSH);
	assert_int_equal(attempt_confined(policy_alone, call_tiocsti, &typed[1]), EPERM);
	assert_return_code(ioctl(terminal, FIONREAD, &queued), errno);
	assert_int_equal(queued, 0);
	close(terminal);
	close(terminal_master);
}

static int harmless_personalities(void *context)
{
	static const unsigned long good[] = {
		0xffffffff, 0, PER_LINUX32, UNAME26, UNAME26 | PER_LINUX32, HIGH | 0xffffffff, 0};

	(void)context;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (syscall(SYS_personality, good[i]) < 0)
			return errno;
	return 0;
}

static void harmless_personalities_stay_open(void **state)
{
	(void)state;
	assert_int_equal(attempt_bare(harmless_personalities, NULL), 0);
	assert_int_equal(attempt_confined(policy_alone, harmless_personalities, NULL), 0);
}

static int limit_of(unsigned long pid)
{
	struct rlimit limit;

	return result_of(syscall(SYS_prlimit64, pid, RLIMIT_CORE, NULL, &limit));
}

static int limit_of_parent(void *context)
{
	return limit_of((unsigned long)getppid() | *(unsigned long *)context);
}

static int limit_of_oneself(void *context)
{
	return limit_of(*(unsigned long *)context);
}

static void limits_of_others_are_closed_whatever_the_upper_bits(void **state)
{
	static unsigned long none, high = HIGH, top = HIGH << 31;
	static const struct attack_row rows[] = {
		{"prlimit of the parent", limit_of_parent, &none, EPERM, CONTROL_BOTH},
		{"prlimit of the parent, bit 32", limit_of_parent, &high, EPERM, CONTROL_BOTH},
		{"prlimit of the parent, bit 63", limit_of_parent, &top, EPERM, CONTROL_BOTH},
	};

	(void)state;
	assert_int_equal(rows_play(ROWS(rows), policy_alone), 0);
	assert_int_equal(attempt_confined(policy_alone, limit_of_oneself, &none), 0);
	assert_int_equal(attempt_confined(policy_alone, limit_of_oneself, &high), 0);
}

/* Filters of the attacker's own. */

static long filter_set(unsigned long operation, unsigned long flags, struct sock_filter *code, unsigned count)
{
	struct sock_fprog program = {(unsigned short)count, code};

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return syscall(SYS_seccomp, operation, flags, &program);
}

static int call_listener(void *context)
{
	struct raw_call *raw = context;
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);

	return result_of(filter_set((unsigned long)raw->a, (unsigned long)raw->b, &allow, 1));
}

/* S02. E32 is what this row closes: a second listener would answer for the first once that is gone. */
static void a_second_listener_is_refused_in_every_spelling(void **state)
{
	static struct raw_call calls[] = {
		{0, 1, 8, 0},
		{0, 1, 8 | 2 /* LOG */, 0},
		{0, 1, 8 | 4 /* SPEC_ALLOW */, 0},
		{0, 1, 8 | 16 | 1 /* TSYNC_ESRCH, TSYNC */, 0},
		{0, 1, 8 | 32 /* WAIT_KILLABLE_RECV */, 0},
		{0, (long)(1 | HIGH), 8, 0},
		{0, 1, (long)(8 | HIGH), 0},
		{0, (long)(1 | HIGH << 31), (long)(8 | 32 | HIGH << 5), 0},
	};
	int wrong = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		struct attack_row row = {
			text_of("NEW_LISTENER, operation %#lx, flags %#lx", calls[i].a, calls[i].b),
			call_listener, &calls[i], EBUSY, CONTROL_BOTH};

		/* Alone the kernel has no reason of its own for EBUSY. */
		wrong += rows_play(&row, 1, policy_alone);
		wrong += !row_play_confined(&row, policy_supervised());
	}
	assert_int_equal(wrong, 0);
}

static int narrowing(void *context)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);

	(void)context;
	if (filter_set(SECCOMP_SET_MODE_FILTER, 0, &allow, 1) < 0)
		return 1;
	if (tcp_try(AF_INET, port_forbidden) != EACCES)
		return 2;
	return tcp_try(AF_INET, port_allowed) == 0 ? 0 : 3;
}

static int filter_number(uint32_t number, uint32_t answer)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, answer),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};

	return filter_set(SECCOMP_SET_MODE_FILTER, 0, code, 4) < 0 ? errno : 0;
}

static int own_notify(void *context)
{
	pid_t child = fork();
	int status;

	(void)context;
	if (child == 0) {
		if (filter_number(SYS_connect, SECCOMP_RET_USER_NOTIF) != 0)
			_exit(1);
		_exit(tcp_try(AF_INET, port_allowed) == ENOSYS && tcp_try(AF_INET, port_forbidden) == ENOSYS
		              ? 0
		              : 2);
	}
	waitpid(child, &status, 0);
	if (status != 0)
		return 1;
	return tcp_try(AF_INET, port_allowed) == 0 && tcp_try(AF_INET, port_forbidden) == EACCES ? 0 : 2;
}

static int own_trace(void *context)
{
	(void)context;
	if (filter_number(SYS_connect, SECCOMP_RET_TRACE) != 0)
		return 1;
	return tcp_try(AF_INET, port_forbidden) != 0 ? 0 : 2;
}

/* A14 */
static void filters_on_top_hurt_only_their_owner(void **state)
{
	(void)state;
	assert_int_equal(attempt_confined(policy_supervised(), narrowing, NULL), 0);
	assert_int_equal(attempt_confined(policy_supervised(), own_notify, NULL), 0);
	assert_int_equal(attempt_confined(policy_supervised(), own_trace, NULL), 0);
	assert_int_equal(accept_all(listener_forbidden), 0);
}

static int strict_by_seccomp(void *context)
{
	(void)context;
	return result_of(syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 0, NULL));
}

static int strict_by_prctl(void *context)
{
	(void)context;
	return result_of(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0));
}

/* A12. Bare it works, and exit_group is then one call too many. */
static void strict_mode_cannot_replace_the_filter(void **state)
{
	(void)state;
	assert_int_equal(attempt_bare(strict_by_seccomp, NULL), ATTEMPT_KILLED + SIGKILL);
	assert_int_equal(attempt_bare(strict_by_prctl, NULL), ATTEMPT_KILLED + SIGKILL);
	assert_int_equal(attempt_confined(policy_alone, strict_by_seccomp, NULL), EINVAL);
	assert_int_equal(attempt_confined(policy_alone, strict_by_prctl, NULL), EINVAL);
}

/* A11: the vsyscall page holds three harmless calls. */
static int vsyscall_time(void *context)
{
	time_t (*old_time)(time_t *) = (time_t(*)(time_t *))0xffffffffff600400ul;

	(void)context;
	return old_time(NULL) > 0 ? 0 : 1;
}

static void the_vsyscall_page_is_native_or_kills(void **state)
{
	int bare = attempt_bare(vsyscall_time, NULL);
	int confined = attempt_confined(policy_alone, vsyscall_time, NULL);

	(void)state;
	assert_true(bare == 0 || bare == ATTEMPT_KILLED + SIGSEGV);
	assert_int_equal(confined, bare);
}

static int group_open(void **state)
{
	(void)state;
	listener_allowed = tcp_listener(AF_INET, &port_allowed);
	listener_forbidden = tcp_listener(AF_INET, &port_forbidden);
	return 0;
}

static int group_close(void **state)
{
	(void)state;
	close(listener_allowed);
	close(listener_forbidden);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_32_bit_entry_kills),
		cmocka_unit_test(x32_numbers_are_killed_or_unknown),
		cmocka_unit_test(unknown_numbers_are_ENOSYS_and_do_not_kill),
		cmocka_unit_test(numbers_above_x32_are_killed_or_unknown),
		cmocka_unit_test(every_refused_row_of_the_table_gives_its_errno),
		cmocka_unit_test(calls_that_work_bare_are_refused),
		cmocka_unit_test(no_call_makes_a_namespace),
		cmocka_unit_test(no_call_enters_a_namespace),
		cmocka_unit_test(clone_cannot_give_a_child_to_somebody_else),
		cmocka_unit_test(threads_fork_and_system_still_work),
		cmocka_unit_test(bits_above_an_int_change_nothing),
		cmocka_unit_test(harmless_personalities_stay_open),
		cmocka_unit_test(limits_of_others_are_closed_whatever_the_upper_bits),
		cmocka_unit_test(a_second_listener_is_refused_in_every_spelling),
		cmocka_unit_test(filters_on_top_hurt_only_their_owner),
		cmocka_unit_test(strict_mode_cannot_replace_the_filter),
		cmocka_unit_test(the_vsyscall_page_is_native_or_kills),
	};

	return cmocka_run_group_tests_name("abi", tests, group_open, group_close);
}
