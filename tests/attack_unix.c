/* Out of the sandbox through a unix socket that no rule names: by another name, by a link, by changing what a name
 * means at the right moment. Each trick is tried bare, where it must work, and confined, where the listener must not
 * have heard of it. */
#include "tests/common/common.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char base[64];
static int granted, secret;

static char *at(const char *path)
{
	static char texts[64][160];
	char text[160];
	size_t i = 0;

	snprintf(text, sizeof(text), "%s/%s", base, path);
	while (texts[i][0] != '\0' && strcmp(texts[i], text) != 0)
		i++;
	strcpy(texts[i], text);
	return texts[i];
}

/* The granted place, and one that may be written. What is secret is in neither. */
#define GATE POLICY("net-allow-unix", at("granted"), "fs-write", at("work"), "fs-read", "/")

static void address_set(struct sockaddr_un *address, const char *path)
{
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	strncpy(address->sun_path, path, sizeof(address->sun_path) - 1);
}

static int connect_to(const char *path)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), r;
	struct sockaddr_un address;

	address_set(&address, path);
	r = connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? errno : 0;
	close(fd);
	return r;
}

static int served(const char *path)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un address;

	address_set(&address, path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 4096) < 0)
		fail_msg("%s: %s", path, strerror(errno));
	chmod(path, 0777);
	return fd;
}

static int setup(void **state)
{
	static const char *const directories[] = {"granted", "secret", "work"};

	(void)state;
	snprintf(base, sizeof(base), "/tmp/sluice-unixa-%d", getpid());
	if (mkdir(base, 0755) < 0)
		return -1;
	for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++)
		mkdir(at(directories[i]), 0755);
	granted = served(at("granted/socket"));
	secret = served(at("secret/socket"));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return system(text_of("rm -rf %s", base)) != 0;
}

static void only_granted_was_reached(int granted_expected)
{
	assert_int_equal(accept_all(secret), 0);
	assert_int_equal(accept_all(granted), granted_expected);
}

/* ---- other names for the same ---- */

static int by_its_name(void *context)
{
	return connect_to(context);
}

static int by_relative_path(void *context)
{
	EXPECT(chdir(context) == 0);
	return connect_to("socket");
}

static int by_parent_directory(void *context)
{
	(void)context;
	EXPECT(chdir(at("granted")) == 0);
	return connect_to("../secret/socket");
}

static int by_symlink(void *context)
{
	(void)context;
	unlink(at("work/link"));
	EXPECT(symlink(at("secret"), at("work/link")) == 0);
	return connect_to(at("work/link/socket"));
}

static int by_symlink_of_a_granted_name(void *context)
{
	(void)context;
	unlink(at("work/link"));
	EXPECT(symlink("../granted/../secret/socket", at("work/link")) == 0);
	return connect_to(at("work/link"));
}

static int by_descriptor(void *context)
{
	int fd = open(at("secret/socket"), O_PATH | O_CLOEXEC);

	(void)context;
	EXPECT(fd >= 0);
	return connect_to(text_of("/proc/self/fd/%d", fd));
}

static int by_directory_descriptor(void *context)
{
	int fd = open(at("secret"), O_PATH | O_CLOEXEC);

	EXPECT(fd >= 0);
	return connect_to(text_of(context, fd));
}

static int by_own_root(void *context)
{
	return connect_to(text_of("/proc/%s/root%s", (const char *)context, at("secret/socket")));
}

static int by_own_directory(void *context)
{
	EXPECT(chdir(at("granted")) == 0);
	return connect_to(text_of("/proc/%s/cwd/../secret/socket", (const char *)context));
}

/* A path without a NUL: 108 bytes, the last of which is the name's. */
static int by_a_path_without_end(void *context)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *path = at("secret/socket");
	size_t size = strlen(path), room = sizeof(address.sun_path);

	(void)context;
	memset(address.sun_path, '/', room);
	memcpy(address.sun_path + room - size, path, size);
	return connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&address, sizeof(address)) < 0
	               ? errno
	               : 0;
}

static void a_secret_has_no_other_name(void **state)
{
	static const struct {
		const char *what;
		attempt_fn attempt;
		const char *context;
	} tricks[] = {
		{"relative", by_relative_path, "secret"},
		{"parent", by_parent_directory, NULL},
		{"symlink", by_symlink, NULL},
		{"symlink text", by_symlink_of_a_granted_name, NULL},
		{"descriptor", by_descriptor, NULL},
		{"directory descriptor", by_directory_descriptor, "/proc/self/fd/%d/socket"},
		{"dev fd", by_directory_descriptor, "/dev/fd/%d/socket"},
		{"thread's descriptor", by_directory_descriptor, "/proc/thread-self/fd/%d/socket"},
		{"own root", by_own_root, "self"},
		{"own directory", by_own_directory, "self"},
		{"no end", by_a_path_without_end, NULL},
	};

	(void)state;
	assert_int_equal(attempt_bare(by_its_name, at("secret/socket")), 0);
	assert_int_equal(accept_all(secret), 1);
	assert_int_equal(attempt_confined(GATE, by_its_name, at("granted/socket")), 0);
	assert_int_equal(attempt_confined(GATE, by_its_name, at("secret/socket")), EACCES);
	only_granted_was_reached(1);
	for (size_t i = 0; i < sizeof(tricks) / sizeof(tricks[0]); i++) {
		char *context = tricks[i].attempt == by_relative_path ? at(tricks[i].context)
		                                                      : (char *)tricks[i].context;
		int bare = attempt_bare(tricks[i].attempt, context), confined;

		if (bare != 0 || accept_all(secret) != 1)
			fail_msg("%s: bare %d", tricks[i].what, bare);
		confined = attempt_confined(GATE, tricks[i].attempt, context);
		if (confined != EACCES)
			fail_msg("%s: %d, expected EACCES", tricks[i].what, confined);
		only_granted_was_reached(0);
	}
}

/* What is at these numbers is the supervisor's: its listener, its directories. The caller has nothing there that leads
 * on. */
static int supervisors_descriptors(void *context)
{
	(void)context;
	for (int fd = 3; fd < 64; fd++) {
		int r = connect_to(text_of("/proc/self/fd/%d%s", fd, at("secret/socket")));

		if (r != ENOTDIR && r != ENOENT)
			return r == 0 ? 10000 + fd : r;
	}
	return 0;
}

/* The same where there is one: the finder finds it bare, and so it would find the supervisor's. */
enum { PLANTED = 63 };

static int planted_descriptor(void *context)
{
	int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	EXPECT(dup2(root, PLANTED) == PLANTED);
	close(root);
	return supervisors_descriptors(context);
}

/* Even where it leads to what is granted: the supervisor may look into more processes than the caller. */
static int by_anothers_directory(void *context)
{
	return connect_to(text_of("/proc/%s/cwd/socket", (const char *)context));
}

/* Another process of the same user, outside: bare it lends its root and directory. */
static void other_processes_lend_nothing(void **state)
{
	char self[16];

	(void)state;
	snprintf(self, sizeof(self), "%d", getpid());
	assert_int_equal(chdir(at("granted")), 0);
	assert_int_equal(attempt_bare(by_own_root, self), 0);
	assert_int_equal(attempt_bare(by_own_directory, self), 0);
	assert_int_equal(attempt_bare(by_anothers_directory, self), 0);
	assert_int_equal(accept_all(secret), 2);
	assert_int_equal(accept_all(granted), 1);
	assert_int_equal(attempt_confined(GATE, by_anothers_directory, self), EACCES);
	assert_int_equal(attempt_confined(GATE, by_own_root, self), EACCES);
	assert_int_equal(attempt_confined(GATE, by_own_directory, self), EACCES);
	assert_int_equal(attempt_bare(supervisors_descriptors, NULL), 0);
	assert_int_equal(attempt_bare(planted_descriptor, NULL), 10000 + PLANTED);
	assert_int_equal(accept_all(secret), 1);
	assert_int_equal(attempt_confined(GATE, supervisors_descriptors, NULL), 0);
	assert_int_equal(attempt_confined(GATE, planted_descriptor, NULL), EACCES);
	assert_int_equal(chdir("/"), 0);
	only_granted_was_reached(0);
}

/* ---- moving things ---- */

static int by_hard_link(void *context)
{
	(void)context;
	unlink(at("work/hard"));
	if (link(at("secret/socket"), at("work/hard")) < 0)
		return errno;
	return connect_to(at("work/hard"));
}

static int by_renaming(void *context)
{
	if (rename(at("secret"), context) < 0)
		return errno;
	return 0;
}

/* A granted name in a directory that may be written is what is there; but a link there is no more than a link. */
static int by_replacing_a_granted_name(void *context)
{
	(void)context;
	EXPECT(unlink(at("work/named")) == 0);
	EXPECT(symlink(at("secret/socket"), at("work/named")) == 0);
	return connect_to(at("work/named"));
}

static void moving_gains_nothing(void **state)
{
	int named, r;

	(void)state;
	assert_int_equal(attempt_bare(by_hard_link, NULL), 0);
	assert_int_equal(accept_all(secret), 1);
	r = attempt_confined(GATE, by_hard_link, NULL);
	assert_true(r == EXDEV || r == EACCES);
	assert_int_equal(attempt_bare(by_renaming, at("work/taken")), 0);
	assert_int_equal(rename(at("work/taken"), at("secret")), 0);
	r = attempt_confined(GATE, by_renaming, at("work/taken"));
	assert_true(r == EXDEV || r == EACCES);
	named = served(at("work/named"));
	assert_int_equal(attempt_bare(by_replacing_a_granted_name, NULL), 0);
	assert_int_equal(accept_all(secret), 1);
	unlink(at("work/named"));
	close(named);
	named = served(at("work/named"));
	assert_int_equal(attempt_confined(POLICY("net-allow-unix", at("work/named"), "fs-write", at("work")),
	                                  by_replacing_a_granted_name, NULL),
	                 EACCES);
	close(named);
	unlink(at("work/named"));
	only_granted_was_reached(0);
	/* The twin: where what the link leads to is granted too. */
	named = served(at("work/named"));
	assert_int_equal(attempt_confined(POLICY("net-allow-unix", at("work/named"), "net-allow-unix",
	                                         at("secret/socket"), "fs-write", at("work")),
	                                  by_replacing_a_granted_name, NULL),
	                 0);
	assert_int_equal(accept_all(secret), 1);
	close(named);
	only_granted_was_reached(0);
}

/* ---- sockets that matter ---- */

static void brokers_are_refused_unless_named(void **state)
{
	int broker, bus;

	(void)state;
	mkdir(at("run"), 0755);
	mkdir(at("run/dbus"), 0755);
	broker = served(at("run/docker.sock"));
	bus = served(at("run/dbus/system_bus_socket"));
	assert_int_equal(attempt_bare(by_its_name, at("run/docker.sock")), 0);
	assert_int_equal(attempt_confined(GATE, by_its_name, at("run/docker.sock")), EACCES);
	assert_int_equal(attempt_bare(by_its_name, at("run/dbus/system_bus_socket")), 0);
	assert_int_equal(accept_all(bus), 1);
	assert_int_equal(attempt_confined(GATE, by_its_name, at("run/dbus/system_bus_socket")), EACCES);
	assert_int_equal(accept_all(bus), 0);
	assert_int_equal(attempt_confined(POLICY("net-allow-unix", at("run/dbus")), by_its_name,
	                                  at("run/dbus/system_bus_socket")),
	                 0);
	assert_int_equal(accept_all(bus), 1);
	assert_int_equal(attempt_confined(POLICY("net-allow-unix", at("run/dbus")), by_its_name,
	                                  at("run/docker.sock")),
	                 EACCES);
	assert_int_equal(accept_all(broker), 1);
	assert_int_equal(attempt_confined(POLICY("net-allow-unix", at("run/docker.sock")), by_its_name,
	                                  at("run/docker.sock")),
	                 0);
	assert_int_equal(accept_all(broker), 1);
	close(broker);
	close(bus);
}

/* ---- races ---- */

struct race {
	bool checked_by_path; /* the control: look, then connect */
	void (*flip)(struct race *race);
	const char *path;
	struct sockaddr_un address;
	volatile bool over;
	double seconds;
	int attempts, connected, refused;
	int secret; /* as getpeername(2) tells */
};
enum { ATTEMPTS_MAX = 20000, CONTROL_ENOUGH = 10 };

/* Two links change places: the same name leads to what is granted and to what is not, by turns. */
static void links_flip(struct race *race)
{
	(void)race;
	syscall(SYS_renameat2, AT_FDCWD, at("work/a"), AT_FDCWD, at("work/b"), RENAME_EXCHANGE);
}

/* The address itself is rewritten. */
static void address_flip(struct race *race)
{
	static bool odd;

	odd = !odd;
	memcpy(race->address.sun_path, odd ? at("granted/socket") : at("secret/.socket"), 64);
}

static void *flipper(void *context)
{
	struct race *race = context;

	while (!race->over)
		race->flip(race);
	return NULL;
}

static bool looks_granted(const char *path)
{
	char resolved[4096];

	return realpath(path, resolved) != NULL &&
	       strncmp(resolved, at("granted"), strlen(at("granted"))) == 0;
}

static bool peer_is_secret(int fd)
{
	struct sockaddr_un peer = {0};
	socklen_t size = sizeof(peer);

	return getpeername(fd, (struct sockaddr *)&peer, &size) == 0 &&
	       strcmp(peer.sun_path, at("secret/socket")) == 0;
}

static int race_step(struct race *race)
{
	int fd, r;

	if (race->checked_by_path && !looks_granted(race->address.sun_path))
		return EACCES;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | (race->attempts & 1 ? SOCK_NONBLOCK : 0), 0);
	r = connect(fd, (struct sockaddr *)&race->address, sizeof(race->address)) < 0 ? errno : 0;
	race->secret += r == 0 && peer_is_secret(fd);
	close(fd);
	return r;
}

/* The control has shown what it is for once it has lost some; what is confined has to hold out. */
static bool race_goes_on(const struct race *race)
{
	return race->checked_by_path ? race->secret < CONTROL_ENOUGH : race->attempts < ATTEMPTS_MAX;
}

static int race_run(void *context)
{
	struct race *race = context;
	double end = seconds_now() + race->seconds;
	pthread_t thread;

	EXPECT(pthread_create(&thread, NULL, flipper, race) == 0);
	while (seconds_now() < end && race_goes_on(race)) {
		int r = race_step(race);

		race->attempts++;
		race->connected += r == 0;
		race->refused += r == EACCES;
		EXPECT(r == 0 || r == EACCES || r == ENOENT || r == EAGAIN);
	}
	race->over = true;
	pthread_join(thread, NULL);
	return 0;
}

/* The listeners are emptied meanwhile; how many came to each. */
static void race_count(struct race *race, const char *const policy[], int *to_granted, int *to_secret)
{
	pid_t runner = process_fork();

	if (runner == 0) {
		int r = policy == NULL ? attempt_bare(race_run, race)
		                       : attempt_confined(policy, race_run, race);

		if (r != 0)
			fprintf(stderr, "# race: %d\n", r);
		_exit(r != 0);
	}
	*to_granted = *to_secret = 0;
	for (;;) {
		int status;
		pid_t ended = waitpid(runner, &status, WNOHANG);

		*to_granted += accept_all(granted);
		*to_secret += accept_all(secret);
		if (ended == runner) {
			assert_int_equal(status, 0);
			return;
		}
		usleep(1000);
	}
}

static void race_both(struct race race, const char *what)
{
	struct race *shared =
		mmap(NULL, sizeof(race), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int to_granted, to_secret;

	assert_true(shared != MAP_FAILED);
	race.seconds = long_run() ? 60 : 4;
	address_set(&race.address, race.path);
	*shared = race;
	shared->checked_by_path = true;
	race_count(shared, NULL, &to_granted, &to_secret);
	printf("# %s, look and then connect: %d attempts, %d reached the granted one, %d the secret one\n",
	       what, shared->attempts, to_granted, to_secret);
	assert_true(to_secret > 0);
	*shared = race;
	race_count(shared, GATE, &to_granted, &to_secret);
	printf("# %s, confined: %d attempts, %d connected, %d refused, %d reached the secret one\n", what,
	       shared->attempts, shared->connected, shared->refused, to_secret);
	assert_int_equal(to_secret + shared->secret, 0);
	assert_int_equal(to_granted, shared->connected);
	assert_true(shared->connected > 0 && shared->refused > 0);
	munmap(shared, sizeof(race));
}

static void links_that_change_places(void **state)
{
	(void)state;
	assert_int_equal(symlink(at("granted"), at("work/a")), 0);
	assert_int_equal(symlink(at("secret"), at("work/b")), 0);
	race_both((struct race){.flip = links_flip, .path = at("work/a/socket")}, "two links");
}

static void directories_that_change_places(void **state)
{
	(void)state;
	unlink(at("work/a"));
	unlink(at("work/b"));
	mkdir(at("work/a"), 0755);
	mkdir(at("work/b"), 0755);
	assert_int_equal(symlink("../../granted/socket", at("work/a/socket")), 0);
	assert_int_equal(symlink("../../secret/socket", at("work/b/socket")), 0);
	race_both((struct race){.flip = links_flip, .path = at("work/a/socket")}, "two directories");
}

static void an_address_that_is_rewritten(void **state)
{
	(void)state;
	/* Of one length, so that no mixture is a name. */
	assert_int_equal(symlink("socket", at("secret/.socket")), 0);
	race_both((struct race){.flip = address_flip, .path = at("granted/socket")}, "the address");
}

/* ---- abstract names ---- */

/* Each type of socket has abstract names of its own. The service's name is taken inside, by the type in the context
 * that it does not have; then it is asked for by its own. */
static int by_a_name_of_another_type(void *context)
{
	int fd = socket(AF_UNIX, *(const int *)context | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *name = at("abstract");
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
	int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

	strcpy(address.sun_path + 1, name);
	EXPECT(fd >= 0 && bind(fd, (struct sockaddr *)&address, size) == 0);
	r = connect(client, (struct sockaddr *)&address, size) < 0 ? errno : 0;
	close(client);
	close(fd);
	return r;
}

static void a_name_of_another_type_is_not_inside(void **state)
{
	static int types[] = {SOCK_SEQPACKET, SOCK_DGRAM};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *name = at("abstract");
	int service = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)state;
	strcpy(address.sun_path + 1, name);
	assert_int_equal(bind(service, (struct sockaddr *)&address,
	                      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name))),
	                 0);
	assert_int_equal(listen(service, 16), 0);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(attempt_bare(by_a_name_of_another_type, &types[i]), 0);
		assert_int_equal(accept_all(service), 1);
		assert_int_equal(
			attempt_confined(POLICY("net-allow-unix", text_of("dgram:%s", at("granted"))),
		                         by_a_name_of_another_type, &types[i]),
			EPERM);
		assert_int_equal(accept_all(service), 0);
	}
	close(service);
}

/* ---- many at once ---- */

static void *bind_many(void *context)
{
	long number = (long)context;

	for (int i = 0; i < 20; i++) {
		struct sockaddr_un address;
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

		address_set(&address, at("work/storm"));
		snprintf(address.sun_path + strlen(address.sun_path), 16, "-%ld-%d", number, i);
		if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 && errno != ENOBUFS)
			return (void *)(long)errno;
		close(fd);
		unlink(address.sun_path);
	}
	return NULL;
}

static int bind_storm(void *context)
{
	pthread_t threads[8];
	void *result;

	(void)context;
	at("work/storm");
	for (long i = 0; i < 8; i++)
		EXPECT(pthread_create(&threads[i], NULL, bind_many, (void *)i) == 0);
	for (int i = 0; i < 8; i++) {
		EXPECT(pthread_join(threads[i], &result) == 0);
		EXPECT(result == NULL);
	}
	/* The supervisor has lived through it. */
	return connect_to(at("granted/socket"));
}

static void binds_from_many_threads(void **state)
{
	(void)state;
	assert_int_equal(attempt_bare(bind_storm, NULL), 0);
	assert_int_equal(attempt_confined(GATE, bind_storm, NULL), 0);
	only_granted_was_reached(2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_secret_has_no_other_name),
		cmocka_unit_test(other_processes_lend_nothing),
		cmocka_unit_test(moving_gains_nothing),
		cmocka_unit_test(brokers_are_refused_unless_named),
		cmocka_unit_test(links_that_change_places),
		cmocka_unit_test(directories_that_change_places),
		cmocka_unit_test(an_address_that_is_rewritten),
		cmocka_unit_test(a_name_of_another_type_is_not_inside),
		cmocka_unit_test(binds_from_many_threads),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
