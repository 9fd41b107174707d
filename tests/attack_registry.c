/* The list of what runs, against who may write to its directory: another user who was there first, and a confined command
 * that was granted the place. Whatever they do, nobody is killed who is no sandbox.
 */
#include "tests/common/common.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/fd.h"
#include "supervise/registry.h"
#include "supervise/supervise.h"

static char sluice[4096], runtime[4096], registry[4200];
static sl_error error;

static int registry_enter(void **state)
{
	(void)state;
	snprintf(runtime, sizeof(runtime), "%s/runtime", scratch());
	snprintf(registry, sizeof(registry), "%s/sluice", runtime);
	mkdir(runtime, 0700);
	setenv("XDG_RUNTIME_DIR", runtime, 1);
	return 0;
}

static int registry_leave(void **state)
{
	(void)state;
	return system(text_of("rm -rf %s", runtime));
}

static const char *entry_path(const char *name)
{
	return text_of("%s/%s", registry, name);
}

static int directory(void)
{
	int dir = running_open(&error);

	assert_true(dir >= 0);
	return dir;
}

/* The sandbox `name`, of which another `grant` may be given for writing. */
static sl_sandbox *sandbox_named(const char *name, const char *grant, const char *script)
{
	sl_policy *policy = policy_of(POLICY("fs-system", "", "name", name, "fs-write", grant));
	const char *const argv[] = {"sh", "-c", script, NULL};
	sl_sandbox *sandbox = NULL;
	int r = sl_spawn(policy, argv, NULL, &sandbox, &error);

	if (r < 0)
		print_message("# %s\n", error.message);
	assert_int_equal(r, 0);
	sl_policy_free(policy);
	return sandbox;
}

/* ---- somebody who must not be touched ---- */

static volatile sig_atomic_t told;

static void tell(int number)
{
	(void)number;
	told = 1;
}

/* Ends with 7 when it has got any signal at all that `sluice kill` might send, with 0 when its pipe is closed. */
static __attribute__((noreturn)) void bystander(int end)
{
	const struct sigaction action = {.sa_handler = tell}; /* not SA_RESTART */
	char byte;

	for (int number = 1; number < 32; number++)
		sigaction(number, &action, NULL);
	while (read(end, &byte, 1) < 0 && errno == EINTR && !told)
		;
	_exit(told ? 7 : 0);
}

static pid_t bystander_start(int *end)
{
	int pair[2];
	pid_t child;

	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	if ((child = process_fork()) == 0) {
		close(pair[1]);
		bystander(pair[0]);
	}
	close(pair[0]);
	*end = pair[1];
	return child;
}

static void bystander_unharmed(pid_t child, int end)
{
	close(end);
	assert_int_equal(exit_of(child), 0);
}

static void bystanders_notice(void **state)
{
	int end;
	pid_t child = bystander_start(&end);

	(void)state;
	usleep(100000);
	kill(child, SIGURG);
	assert_int_equal(exit_of(child), 7);
	close(end);
}

static int kill_named(const char *name)
{
	cleanup_fd int dir = directory();
	struct running running;
	int r = running_find(dir, name, &running, &error);

	if (r == 0)
		r = running_kill(&running, &error);
	running_clear(&running);
	return r;
}

static void file_write(const char *path, const char *text)
{
	cleanup_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

/* ---- what the file says ---- */

static void pids_of_files_are_not_believed(void **state)
{
	sl_sandbox *sandbox = sandbox_named("web", "/tmp", "exec sleep 100");
	cleanup_fd int dir = directory();
	struct running running;
	sl_status status;
	int end;
	pid_t child = bystander_start(&end);

	(void)state;
	/* Of a living one, by a truncating write: the lock is on the file, not on what is in it. */
	file_write(entry_path("web"), text_of("{\"pid\":%d,\"keeper\":%d,\"name\":\"web\"}", child, child));
	assert_int_equal(running_find(dir, "web", &running, &error), 0);
	assert_int_equal(running.command, sl_sandbox_pid(sandbox));
	assert_int_equal(running_signal(&running, SIGTERM, &error), 0);
	running_clear(&running);
	assert_int_equal(sl_wait(sandbox, 5000, &status, &error), 0);
	assert_int_equal(status.signal, SIGTERM);
	sl_sandbox_free(sandbox);
	/* Of nobody. */
	file_write(entry_path("web"), text_of("{\"pid\":%d,\"keeper\":%d,\"name\":\"web\"}", child, child));
	assert_int_equal(kill_named("web"), -ENOENT);
	assert_int_not_equal(access(entry_path("web"), F_OK), 0);
	bystander_unharmed(child, end);
}

static void kill_by_name_is_told_to_the_owner(void **state)
{
	sl_sandbox *sandbox = sandbox_named("web", "/tmp", "setsid sleep 100 & sleep 100");
	sl_status status;

	(void)state;
	assert_int_equal(kill_named("web"), 0);
	assert_int_equal(sl_wait(sandbox, 5000, &status, &error), 0);
	assert_int_equal(status.reason, SL_REASON_KILLED);
	sl_sandbox_free(sandbox);
}

static void a_second_of_the_name_is_refused(void **state)
{
	sl_sandbox *sandbox = sandbox_named("web", "/tmp", "exec sleep 100"), *second;
	sl_policy *policy = policy_of(POLICY("fs-system", "", "name", "web"));
	const char *const argv[] = {"true", NULL};
	cleanup_fd int dir = directory();
	struct running running;

	(void)state;
	assert_int_equal(running_find(dir, "web", &running, &error), 0);
	assert_int_equal(sl_spawn(policy, argv, NULL, &second, &error), -EEXIST);
	assert_non_null(strstr(error.message, text_of("keeper %d", running.keeper)));
	running_clear(&running);
	sl_sandbox_free(sandbox);
	assert_int_equal(sl_spawn(policy, argv, NULL, &second, &error), 0);
	sl_sandbox_free(second);
	sl_policy_free(policy);
}

/* The text is huge, deep, binary or cut: ps says what the kernel knows. */
static void any_text_is_shown_or_not(void **state)
{
	sl_sandbox *sandbox = sandbox_named("web", "/tmp", "exec sleep 100");
	static char deep[1 << 20];
	const char *texts[] = {"",
	                       "{",
	                       "[]",
	                       "\xff\xfe",
	                       "{\"argv\":[\"\\u0100\"]}",
	                       "{\"argv\":{\"a\":1},\"policy\":[[]]}",
	                       "{\"policy\":[[\"fs-read\"]],\"mode\":5}",
	                       "{\"argv\":[1,null,{}]}",
	                       deep};
	double start;

	(void)state;
	memset(deep, '[', sizeof(deep) - 1);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]) + 1; i++) {
		if (i < sizeof(texts) / sizeof(texts[0]))
			file_write(entry_path("web"), texts[i]);
		else
			assert_int_equal(truncate(entry_path("web"), 1ll << 40), 0);
		start = seconds_now();
		assert_int_equal(system(text_of("%s ps | grep -q '^web .* %d .*running'", sluice,
		                                sl_sandbox_pid(sandbox))),
		                 0);
		assert_int_equal(system(text_of("%s inspect web >/dev/null", sluice)), 0);
		assert_int_not_equal(system(text_of("%s inspect --profile web 2>/dev/null", sluice)), 0);
		assert_true(seconds_now() - start < 5);
	}
	sl_sandbox_free(sandbox);
}

/* ---- what is there in place of an entry ---- */

static int place_fifo(const char *path)
{
	return mkfifo(path, 0600);
}

static int place_link(const char *path)
{
	return symlink(text_of("%s/precious", scratch()), path);
}

static int place_directory(const char *path)
{
	return mkdir(path, 0700);
}

static int place_socket(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(address.sun_path))
		return mkfifo(path, 0600);
	strcpy(address.sun_path, path);
	return bind(fd, (struct sockaddr *)&address, sizeof(address));
}

static void what_is_no_entry_is_left_alone(void **state)
{
	static int (*const places[])(const char *) = {place_fifo, place_link, place_directory, place_socket};
	sl_policy *policy = policy_of(POLICY("fs-system", "", "name", "web"));
	const char *const argv[] = {"true", NULL};
	cleanup_fd int dir = directory();
	struct running running;
	struct stat before, after;
	sl_sandbox *sandbox;

	(void)state;
	file_write(text_of("%s/precious", scratch()), "precious");
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		assert_int_equal(places[i](entry_path("web")), 0);
		assert_int_equal(running_find(dir, "web", &running, &error), -ENOENT);
		assert_int_equal(sl_spawn(policy, argv, NULL, &sandbox, &error), -EINVAL);
		assert_non_null(strstr(error.message, "name"));
		assert_int_equal(system(text_of("test \"$(%s ps)\" = 'no running sandboxes'", sluice)), 0);
		assert_int_equal(system(text_of("rm -rf %s", entry_path("web"))), 0);
	}
	/* A hard link to a file of one's own is an entry that nobody has: it goes, and what it was linked to stays. */
	assert_int_equal(link(text_of("%s/precious", scratch()), entry_path("web")), 0);
	assert_int_equal(stat(text_of("%s/precious", scratch()), &before), 0);
	assert_int_equal(sl_spawn(policy, argv, NULL, &sandbox, &error), 0);
	sl_sandbox_free(sandbox);
	assert_int_equal(stat(text_of("%s/precious", scratch()), &after), 0);
	assert_int_equal(after.st_size, 8);
	assert_int_equal(after.st_nlink, before.st_nlink - 1);
	sl_policy_free(policy);
}

/* ---- who holds the lock ---- */

static int lock_whole(const char *name)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int fd = open(entry_path(name), O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	return fd < 0 || fcntl(fd, F_SETLK, &lock) < 0 ? -1 : fd;
}

static void a_lock_holder_who_is_no_keeper_is_not_touched(void **state)
{
	cleanup_fd int dir = directory();
	struct running running;
	int ready[2], end[2];
	char byte;
	pid_t child;

	(void)state;
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	assert_int_equal(pipe2(end, O_CLOEXEC), 0);
	if ((child = process_fork()) == 0) {
		close(end[1]);
		lock_whole("forged");
		if (write(ready[1], "", 1) != 1)
			_exit(9);
		bystander(end[0]);
	}
	close(end[0]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(running_find(dir, "forged", &running, &error), -EPERM);
	assert_non_null(strstr(error.message, text_of("pid %d", child)));
	assert_int_equal(kill_named("forged"), -EPERM);
	assert_int_equal(system(text_of("test \"$(%s ps)\" = 'no running sandboxes'", sluice)), 0);
	bystander_unharmed(child, end[1]);
	close(ready[0]);
	close(ready[1]);
}

/* It takes the lock and ends; its table of descriptors, which is who the lock belongs to, lives on in its creator. */
static int lock_and_end(void *name)
{
	return lock_whole(name) < 0;
}

static pid_t fork_as(pid_t wanted)
{
	struct clone_args arguments = {
		.exit_signal = SIGCHLD, .set_tid = (uint64_t)(uintptr_t)&wanted, .set_tid_size = 1};

	return (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));
}

/* Runs in a process of its own, which has the lock by another's pid as long as it lives. */
static void dead_holder(int out)
{
	static char stack[65536] __attribute__((aligned(16)));
	pid_t holder = clone(lock_and_end, stack + sizeof(stack), CLONE_FILES | CLONE_VM | SIGCHLD, "reused");
	int code = holder < 0 ? 1 : exit_of(holder);

	if (code != 0)
		holder = -1;
	if (write(out, &holder, sizeof(holder)) != sizeof(holder))
		_exit(1);
	pause();
	_exit(0);
}

static void a_reused_pid_is_not_touched(void **state)
{
	cleanup_fd int dir = directory();
	struct running running;
	int out[2], end[2], entry;
	pid_t keeper_of_files, holder = -1, named, child;

	(void)state;
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	if ((keeper_of_files = process_fork()) == 0)
		dead_holder(out[1]);
	assert_int_equal(pipe2(end, O_CLOEXEC), 0);
	assert_int_equal(read(out[0], &holder, sizeof(holder)), sizeof(holder));
	assert_true(holder > 0);
	if ((child = fork_as(holder)) == 0) {
		close(end[1]);
		bystander(end[0]);
	}
	close(end[0]);
	if (child < 0) {
		process_kill(keeper_of_files, SIGKILL);
		exit_of(keeper_of_files);
		SKIP_BECAUSE("only root chooses a pid: clone3(2), set_tid");
	}
	assert_int_equal(child, holder);
	usleep(100000);
	/* The control: the kernel names a process that has nothing to do with it, twice. */
	entry = open(entry_path("reused"), O_RDONLY | O_CLOEXEC);
	assert_int_equal(registry_holder(entry, &named), 1);
	assert_int_equal(named, child);
	close(entry);
	assert_int_equal(running_find(dir, "reused", &running, &error), -EPERM);
	assert_int_equal(kill_named("reused"), -EPERM);
	assert_int_not_equal(system(text_of("%s kill reused 2>/dev/null", sluice)), 0);
	assert_int_not_equal(system(text_of("%s kill reused -s KILL 2>/dev/null", sluice)), 0);
	bystander_unharmed(child, end[1]);
	process_kill(keeper_of_files, SIGKILL);
	exit_of(keeper_of_files);
	close(out[0]);
	close(out[1]);
}

/* A keeper's own death gives its lock back at once, and its pid to nobody's harm. */
static void a_dead_keeper_has_nothing(void **state)
{
	sl_sandbox *sandbox = sandbox_named("web", "/tmp", "exec sleep 100");
	cleanup_fd int dir = directory();
	struct running running;

	(void)state;
	assert_int_equal(running_find(dir, "web", &running, &error), 0);
	kill(running.keeper, SIGKILL);
	assert_int_equal(sl_wait(sandbox, 5000, NULL, &error), 0);
	assert_int_equal(running_kill(&running, &error), 0);
	assert_int_equal(running_signal(&running, SIGKILL, &error), -ENOENT);
	running_clear(&running);
	assert_int_equal(running_find(dir, "web", &running, &error), -ENOENT);
	sl_sandbox_free(sandbox);
}

/* ---- from inside, with the directory granted ---- */

static void one_inside_can_hide_and_rename_but_not_aim(void **state)
{
	sl_sandbox *other = sandbox_named("other", "/tmp", "exec sleep 100"), *sandbox;
	cleanup_fd int dir = directory();
	struct running running;
	sl_status status;
	int end;
	pid_t child = bystander_start(&end);

	(void)state;
	sandbox = sandbox_named(
		"evil", registry,
		text_of("cd %s && echo '{\"pid\":%d}' >evil && echo '{\"pid\":%d}' >other && mv other mine && "
	                "echo '{\"pid\":%d}' >other && touch done && exec sleep 100",
	                registry, child, child, child));
	for (int i = 0; i < 500 && access(entry_path("done"), F_OK) < 0; i++)
		usleep(10000);
	assert_int_equal(access(entry_path("done"), F_OK), 0);
	/* Its own entry still leads to itself, whatever it says. */
	assert_int_equal(running_find(dir, "evil", &running, &error), 0);
	assert_int_equal(running.command, sl_sandbox_pid(sandbox));
	running_clear(&running);
	/* Hidden: what bears the name is nobody's. */
	assert_int_equal(kill_named("other"), -ENOENT);
	assert_int_equal(sl_wait(other, 0, NULL, &error), -ETIMEDOUT);
	/* Renamed: the other name leads to the same sandbox. */
	assert_int_equal(running_find(dir, "mine", &running, &error), 0);
	assert_int_equal(running.command, sl_sandbox_pid(other));
	running_clear(&running);
	assert_int_equal(kill_named("mine"), 0);
	assert_int_equal(kill_named("evil"), 0);
	assert_int_equal(sl_wait(other, 5000, &status, &error), 0);
	assert_int_equal(sl_wait(sandbox, 5000, &status, &error), 0);
	bystander_unharmed(child, end);
	sl_sandbox_free(other);
	sl_sandbox_free(sandbox);
}

/* ---- another user was there first ---- */

enum { NOBODY_ELSE = 65531, ANOTHER = 65532 };

static int as_nobody_else(void)
{
	int dir;
	pid_t child = process_fork();

	if (child != 0)
		return exit_of(child);
	unsetenv("XDG_RUNTIME_DIR");
	if (setresgid(NOBODY_ELSE, NOBODY_ELSE, NOBODY_ELSE) < 0 ||
	    setresuid(NOBODY_ELSE, NOBODY_ELSE, NOBODY_ELSE) < 0)
		_exit(99);
	dir = running_open(&error);
	_exit(dir >= 0 ? 0 : strstr(error.message, "/tmp/sluice-65531") == NULL ? 98 : -dir);
}

static void a_directory_that_another_user_made_is_refused(void **state)
{
	static const char path[] = "/tmp/sluice-65531", elsewhere[] = "/tmp/sluice-65531-elsewhere";

	(void)state;
	if (geteuid() != 0)
		SKIP_BECAUSE("only root is two users");
	assert_int_equal(system(text_of("rm -rf %s %s", path, elsewhere)), 0);
	assert_int_equal(as_nobody_else(), 0);
	assert_int_equal(as_nobody_else(), 0);
	assert_int_equal(chmod(path, 0777), 0);
	assert_int_equal(as_nobody_else(), EPERM);
	assert_int_equal(chmod(path, 0700), 0);
	assert_int_equal(chown(path, ANOTHER, ANOTHER), 0);
	assert_int_not_equal(as_nobody_else(), 0);
	assert_int_equal(chmod(path, 0755), 0);
	assert_int_equal(as_nobody_else(), EPERM);
	/* A link of another's, to a directory that is one's own and has the right mode. */
	assert_int_equal(rename(path, elsewhere), 0);
	assert_int_equal(chown(elsewhere, NOBODY_ELSE, NOBODY_ELSE) | chmod(elsewhere, 0700), 0);
	assert_int_equal(symlink(elsewhere, path), 0);
	assert_int_equal(as_nobody_else(), ENOTDIR);
	assert_int_equal(unlink(path) | mkfifo(path, 0666), 0);
	assert_int_equal(as_nobody_else(), ENOTDIR);
	assert_int_equal(system(text_of("rm -rf %s %s", path, elsewhere)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, registry_enter, registry_leave)
		TEST(bystanders_notice),
		TEST(pids_of_files_are_not_believed),
		TEST(kill_by_name_is_told_to_the_owner),
		TEST(a_second_of_the_name_is_refused),
		TEST(any_text_is_shown_or_not),
		TEST(what_is_no_entry_is_left_alone),
		TEST(a_lock_holder_who_is_no_keeper_is_not_touched),
		TEST(a_reused_pid_is_not_touched),
		TEST(a_dead_keeper_has_nothing),
		TEST(one_inside_can_hide_and_rename_but_not_aim),
		TEST(a_directory_that_another_user_made_is_refused),
	};

	snprintf(sluice, sizeof(sluice), "%s", getenv("SLUICE") != NULL ? getenv("SLUICE") : "build/sluice");
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
