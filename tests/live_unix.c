/* Unix sockets on behalf: what the caller sees is what it sees bare, but for what is not granted. Each row is tried
 * bare and confined; the sockets are this program's, so that the test sees whom they have spoken to. */
#include "tests/common/common.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char base[64];
/* Abstract names are the whole machine's. */
static char name_granted[48], name_outside[48], name_shorter[48], lost_name[48];
static int granted, single, outside, datagrams, sequenced;

/* `path` below the scratch directory, or an abstract name behind an @. */
static socklen_t address_of(const char *path, struct sockaddr_un *address)
{
	size_t size = strlen(path);

	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(address->sun_path, path, size < sizeof(address->sun_path) ? size : sizeof(address->sun_path));
	if (*path != '@')
		return sizeof(*address);
	address->sun_path[0] = '\0';
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
}

static int connect_to(int fd, const char *path)
{
	struct sockaddr_un address;
	socklen_t size = address_of(path, &address);

	return connect(fd, (struct sockaddr *)&address, size) < 0 ? errno : 0;
}

static int bind_to(int fd, const char *path)
{
	struct sockaddr_un address;
	socklen_t size = address_of(path, &address);

	return bind(fd, (struct sockaddr *)&address, size) < 0 ? errno : 0;
}

static int served(int type, const char *path)
{
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	unlink(path);
	if (fd < 0 || bind_to(fd, path) != 0 || (type != SOCK_DGRAM && listen(fd, 8) < 0))
		fail_msg("%s: %s", path, strerror(errno));
	if (*path != '@')
		chmod(path, 0777);
	return fd;
}

/* Below the scratch directory; the same text is the same pointer, and stays. */
static char *at(const char *prefix, const char *path)
{
	static char texts[96][160];
	char text[160];
	size_t i = 0;

	snprintf(text, sizeof(text), "%s%s/%s", prefix, base, path);
	while (texts[i][0] != '\0' && strcmp(texts[i], text) != 0)
		i++;
	strcpy(texts[i], text);
	return texts[i];
}
#define AT(path) at("", path)

/* A directory, a socket, an abstract name, and datagrams in one directory; tests add what they make. */
#define GATE                                                                                          \
	POLICY("net-allow-unix", AT("granted"), "net-allow-unix", AT("single/one"), "net-allow-unix", \
	       name_granted, "net-allow-unix", at("dgram:", "datagrams"), "fs-read", "/")

static int setup(void **state)
{
	static const char *const directories[] = {"granted", "granted/below", "single",
	                                          "outside", "datagrams",     "work"};

	(void)state;
	snprintf(base, sizeof(base), "/tmp/sluice-unix-%d", getpid());
	snprintf(name_shorter, sizeof(name_shorter), "@sluice-live-%d-grante", getpid());
	snprintf(name_granted, sizeof(name_granted), "%.40sd", name_shorter);
	snprintf(name_outside, sizeof(name_outside), "@sluice-live-%d-outside", getpid());
	snprintf(lost_name, sizeof(lost_name), "@sluice-live-%d-lost", getpid());
	if (mkdir(base, 0755) < 0 || chdir(base) < 0)
		return -1;
	for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++)
		mkdir(directories[i], 0755);
	granted = served(SOCK_STREAM, AT("granted/socket"));
	single = served(SOCK_STREAM, AT("single/one"));
	outside = served(SOCK_STREAM, AT("outside/socket"));
	datagrams = served(SOCK_DGRAM, AT("datagrams/socket"));
	sequenced = served(SOCK_SEQPACKET, AT("granted/sequenced"));
	served(SOCK_STREAM, AT("single/two"));
	served(SOCK_STREAM, AT("granted/below/socket"));
	served(SOCK_DGRAM, AT("granted/datagram"));
	/* Each type has names of its own. */
	served(SOCK_STREAM, name_granted);
	served(SOCK_DGRAM, name_granted);
	served(SOCK_STREAM, name_shorter);
	served(SOCK_STREAM, name_outside);
	served(SOCK_DGRAM, name_outside);
	close(open("granted/file", O_CREAT | O_CLOEXEC, 0666));
	close(served(SOCK_STREAM, AT("granted/left")));
	if (symlink("../outside/socket", "granted/out") < 0 ||
	    symlink("../granted/socket", "outside/in") < 0 || symlink("loop", "outside/loop") < 0 ||
	    link("single/one", "outside/hard") < 0)
		return -1;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return chdir("/") < 0 || system(text_of("rm -rf %s", base)) != 0;
}

static void listeners_empty(void)
{
	accept_all(granted);
	accept_all(single);
	accept_all(outside);
	accept_all(sequenced);
}

/* ---- where a path leads ---- */

struct row {
	const char *path;
	int type, bare, confined;
};

static int row_try(void *context)
{
	const struct row *row = context;
	int fd = socket(AF_UNIX, row->type | SOCK_NONBLOCK, 0);

	EXPECT(fd >= 0 && chdir(base) == 0);
	return connect_to(fd, row->path);
}

/* The same on a socket that may wait: another way through the supervisor. */
static int row_try_blocking(void *context)
{
	const struct row *row = context;
	int fd = socket(AF_UNIX, row->type, 0);

	EXPECT(fd >= 0 && chdir(base) == 0);
	return connect_to(fd, row->path);
}

static void rows_try(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct row row = rows[i];
		int bare = attempt_bare(row_try, &row), confined = attempt_confined(GATE, row_try, &row);
		int waiting = attempt_confined(GATE, row_try_blocking, &row);

		if (bare != row.bare || confined != row.confined || waiting != row.confined)
			fail_msg("%s type %d: bare %d, expected %d; confined %d and %d, expected %d",
			         row.path, row.type, bare, row.bare, confined, waiting, row.confined);
		listeners_empty();
	}
}
#define ROWS_TRY(rows) rows_try(rows, sizeof(rows) / sizeof((rows)[0]))

static void paths_lead_where_they_lead_bare(void **state)
{
	const struct row rows[] = {
		{"granted/socket", SOCK_STREAM, 0, 0},
		{"./granted/../granted//socket", SOCK_STREAM, 0, 0},
		{"granted/below/socket", SOCK_STREAM, 0, 0},
		{"granted/sequenced", SOCK_SEQPACKET, 0, 0},
		{"single/one", SOCK_STREAM, 0, 0},
		{"single/two", SOCK_STREAM, 0, EACCES},
		{"outside/socket", SOCK_STREAM, 0, EACCES},
		{"outside/hard", SOCK_STREAM, 0, 0},
		{"outside/in", SOCK_STREAM, 0, 0},
		{"granted/out", SOCK_STREAM, 0, EACCES},
		{"granted/../outside/socket", SOCK_STREAM, 0, EACCES},
		{"outside/loop", SOCK_STREAM, ELOOP, ELOOP},
		{"granted/none", SOCK_STREAM, ENOENT, ENOENT},
		{"outside/none", SOCK_STREAM, ENOENT, ENOENT},
		{"granted/left", SOCK_STREAM, ECONNREFUSED, ECONNREFUSED},
		{"granted/file", SOCK_STREAM, ECONNREFUSED, ECONNREFUSED},
		{"granted", SOCK_STREAM, ECONNREFUSED, ECONNREFUSED},
		{"granted/file/none", SOCK_STREAM, ENOTDIR, ENOTDIR},
		{"granted/socket/", SOCK_STREAM, ENOTDIR, ENOTDIR},
		{"granted/socket", SOCK_SEQPACKET, EPROTOTYPE, EPROTOTYPE},
		{"granted/socket", SOCK_DGRAM, EPROTOTYPE, EACCES},
		{"granted/datagram", SOCK_STREAM, EPROTOTYPE, EPROTOTYPE},
		{"granted/datagram", SOCK_DGRAM, 0, EACCES},
		{"datagrams/socket", SOCK_DGRAM, 0, 0},
		{name_granted, SOCK_STREAM, 0, 0},
		{name_granted, SOCK_DGRAM, 0, EPERM},
		{name_outside, SOCK_STREAM, 0, EPERM},
		{name_shorter, SOCK_STREAM, 0, EPERM},
	};

	(void)state;
	ROWS_TRY(rows);
}

/* Names are of a network, and this one is so plain that somebody else may have it: so in a network of its own. */
static int nul_name_play(void)
{
	const struct row row = {"", SOCK_STREAM, 0, EPERM}; /* 107 of them */

	served(SOCK_STREAM, "");
	rows_try(&row, 1);
	return 0;
}

static void a_name_of_nuls_is_a_name(void **state)
{
	(void)state;
	PLAY_IN_OWN_NETWORK(nul_name_play);
}

static void absolute_paths_and_own_links(void **state)
{
	const struct row rows[] = {
		{AT("granted/socket"), SOCK_STREAM, 0, 0},
		{AT("outside/socket"), SOCK_STREAM, 0, EACCES},
		{"/proc/self/cwd/granted/socket", SOCK_STREAM, 0, 0},
		{"/proc/self/cwd/outside/socket", SOCK_STREAM, 0, EACCES},
		{"/proc/thread-self/cwd/granted/socket", SOCK_STREAM, 0, 0},
		{"/proc/self/fd/999/socket", SOCK_STREAM, ENOENT, ENOENT},
		{"/../../tmp/../proc/../..", SOCK_STREAM, geteuid() == 0 ? ECONNREFUSED : EACCES,
	         geteuid() == 0 ? ECONNREFUSED : EACCES},
	};

	(void)state;
	ROWS_TRY(rows);
}

struct length_row {
	int type, family, size;
};

static int length_try(void *context)
{
	const struct length_row *row = context;
	char bytes[160];
	sa_family_t family = (sa_family_t)row->family;
	int fd = socket(AF_UNIX, row->type, 0);

	memset(bytes, 'x', sizeof(bytes));
	memcpy(bytes, &family, sizeof(family));
	return connect(fd, (struct sockaddr *)bytes, (socklen_t)row->size) < 0 ? errno : 0;
}

static void every_length_is_answered_as_bare(void **state)
{
	static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
	static const int sizes[] = {0, 1, 2, 3, 50, 109, 110, 111, 128, 129, -1};
	static const int families[] = {AF_UNIX, AF_UNSPEC, AF_INET};

	(void)state;
	for (size_t t = 0; t < 3; t++)
		for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
			for (size_t f = 0; f < 3; f++) {
				struct length_row row = {types[t], families[f], sizes[s]};
				int bare = attempt_bare(length_try, &row);
				int confined = attempt_confined(GATE, length_try, &row);

				if (confined != bare)
					fail_msg("type %d family %d size %d: bare %d, confined %d", row.type,
					         row.family, row.size, bare, confined);
			}
}

/* ---- directories that move ---- */

static int directory_try(void *context)
{
	const char *path = context;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), directory = open("granted", O_PATH | O_DIRECTORY);
	char through[64];

	EXPECT(directory >= 0 && chdir("granted") == 0);
	snprintf(through, sizeof(through), path, directory);
	return connect_to(fd, through);
}

static void a_directory_is_followed_from_where_the_caller_stands(void **state)
{
	(void)state;
	assert_int_equal(attempt_bare(directory_try, (char *)"socket"), 0);
	assert_int_equal(attempt_confined(GATE, directory_try, (char *)"socket"), 0);
	assert_int_equal(attempt_bare(directory_try, (char *)"../outside/socket"), 0);
	assert_int_equal(attempt_confined(GATE, directory_try, (char *)"../outside/socket"), EACCES);
	assert_int_equal(attempt_bare(directory_try, (char *)"/proc/self/fd/%d/socket"), 0);
	assert_int_equal(attempt_confined(GATE, directory_try, (char *)"/proc/self/fd/%d/socket"), 0);
	assert_int_equal(attempt_confined(GATE, directory_try, (char *)"/dev/fd/%d/socket"), 0);
	assert_int_equal(attempt_bare(directory_try, (char *)"/proc/self/fd/%d/../outside/socket"), 0);
	assert_int_equal(attempt_confined(GATE, directory_try, (char *)"/proc/self/fd/%d/../outside/socket"),
	                 EACCES);
	listeners_empty();
}

static int deleted_try(void *context)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)context;
	EXPECT(mkdir("work/gone", 0755) == 0 && chdir("work/gone") == 0 && rmdir(AT("work/gone")) == 0);
	EXPECT(connect_to(fd, "socket") == ENOENT);
	return connect_to(fd, "../socket");
}

static void a_deleted_directory_leads_nowhere(void **state)
{
	(void)state;
	assert_int_equal(attempt_bare(deleted_try, NULL), ENOENT);
	assert_int_equal(attempt_confined(POLICY("net-allow-unix", AT("granted"), "fs-write", AT("work")),
	                                  deleted_try, NULL),
	                 ENOENT);
}

/* The test renames; the confined child is told by a pipe, and answers twice. */
struct renaming {
	int go[2], done[2];
};

static int renamed_try(void *context)
{
	struct renaming *renaming = context;
	char byte = 0;
	int before = connect_to(socket(AF_UNIX, SOCK_STREAM, 0), AT("work/service/socket"));

	EXPECT(write(renaming->done[1], &byte, 1) == 1 && read(renaming->go[0], &byte, 1) == 1);
	EXPECT(before == 0);
	EXPECT(connect_to(socket(AF_UNIX, SOCK_STREAM, 0), AT("work/moved/socket")) == 0);
	return connect_to(socket(AF_UNIX, SOCK_STREAM, 0), AT("work/service/socket"));
}

static void renaming_do(struct renaming *renaming)
{
	char byte;

	if (read(renaming->done[0], &byte, 1) == 1 && rename(AT("work/service"), AT("work/moved")) == 0 &&
	    mkdir(AT("work/service"), 0755) == 0) {
		served(SOCK_STREAM, AT("work/service/socket"));
		if (write(renaming->go[1], &byte, 1) == 1)
			pause();
	}
	_exit(1);
}

/* With a policy, or bare where that is NULL. */
static int renaming_play(const char *const policy[])
{
	struct renaming renaming;
	pid_t renamer;
	int listener, result;

	mkdir("work/service", 0755);
	listener = served(SOCK_STREAM, AT("work/service/socket"));
	assert_int_equal(pipe2(renaming.go, O_CLOEXEC), 0);
	assert_int_equal(pipe2(renaming.done, O_CLOEXEC), 0);
	renamer = process_fork();
	if (renamer == 0)
		renaming_do(&renaming);
	result = policy == NULL ? attempt_bare(renamed_try, &renaming)
	                        : attempt_confined(policy, renamed_try, &renaming);
	process_kill(renamer, SIGKILL);
	waitpid(renamer, NULL, 0);
	close(listener);
	assert_int_equal(unlink("work/moved/socket") | rmdir("work/moved"), 0);
	assert_int_equal(unlink("work/service/socket") | rmdir("work/service"), 0);
	return result;
}

/* The twin is a rule for what is around both. */
static void a_directory_is_granted_as_an_object(void **state)
{
	(void)state;
	assert_int_equal(renaming_play(NULL), 0);
	assert_int_equal(renaming_play(POLICY("net-allow-unix", AT("work/service"))), EACCES);
	assert_int_equal(renaming_play(POLICY("net-allow-unix", AT("work"))), 0);
}

/* ---- a service that is started again, or later ---- */

static int restarted_try(void *context)
{
	struct renaming *restart = context;
	char byte = 0;

	EXPECT(write(restart->done[1], &byte, 1) == 1 && read(restart->go[0], &byte, 1) == 1);
	return connect_to(socket(AF_UNIX, SOCK_STREAM, 0), AT("work/later"));
}

static void a_granted_socket_may_come_later_and_again(void **state)
{
	struct renaming restart;

	(void)state;
	for (int round = 0; round < 2; round++) {
		pid_t starter;

		assert_int_equal(pipe2(restart.go, O_CLOEXEC), 0);
		assert_int_equal(pipe2(restart.done, O_CLOEXEC), 0);
		if ((starter = process_fork()) == 0) {
			char byte;

			if (read(restart.done[0], &byte, 1) == 1)
				served(SOCK_STREAM, AT("work/later"));
			if (write(restart.go[1], &byte, 1) == 1)
				sleep(2);
			_exit(0);
		}
		assert_int_equal(
			attempt_confined(POLICY("net-allow-unix", AT("work/later")), restarted_try, &restart),
			0);
		process_kill(starter, SIGKILL);
		waitpid(starter, NULL, 0);
	}
}

/* ---- a full queue ---- */

static int queue_fill(const char *path)
{
	for (int i = 0; i < 64; i++) {
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), r = connect_to(fd, path);

		if (r != 0)
			return r;
	}
	return 0;
}

static int full_nonblocking(void *context)
{
	(void)context;
	return queue_fill(AT("granted/full"));
}

static int full_with_limit(void *context)
{
	struct timeval limit = {0, 150000};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)context;
	EXPECT(queue_fill(AT("granted/full")) == EAGAIN);
	EXPECT(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) == 0);
	return connect_to(fd, AT("granted/full"));
}

static void on_signal(int number)
{
	(void)number;
}

static int full_with_signal(void *context)
{
	struct sigaction action = {.sa_handler = on_signal};
	struct itimerval soon = {{0, 0}, {0, 100000}};

	(void)context;
	EXPECT(queue_fill(AT("granted/full")) == EAGAIN && sigaction(SIGALRM, &action, NULL) == 0);
	setitimer(ITIMER_REAL, &soon, NULL);
	return connect_to(socket(AF_UNIX, SOCK_STREAM, 0), AT("granted/full"));
}

/* Waits until the listener's owner accepts. */
static int full_until_accepted(void *context)
{
	int *listener = context, fd = socket(AF_UNIX, SOCK_STREAM, 0), flags;
	pid_t acceptor;
	int r;

	EXPECT(queue_fill(AT("granted/full")) == EAGAIN && (acceptor = process_fork()) >= 0);
	if (acceptor == 0) {
		usleep(100000);
		accept(*listener, NULL, NULL);
		_exit(0);
	}
	r = connect_to(fd, AT("granted/full"));
	waitpid(acceptor, NULL, 0);
	/* Nothing of how it was done may be seen. */
	EXPECT((flags = fcntl(fd, F_GETFL)) >= 0 && !(flags & O_NONBLOCK));
	return r;
}

static void a_full_queue_is_waited_for_as_bare(void **state)
{
	static const struct {
		attempt_fn attempt;
		int expected;
	} cases[] = {{full_nonblocking, EAGAIN},
	             {full_with_limit, EAGAIN},
	             {full_with_signal, EINTR},
	             {full_until_accepted, 0}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (int confined = 0; confined < 2; confined++) {
			int listener = served(SOCK_STREAM, AT("granted/full"));
			int r = confined ? attempt_confined(GATE, cases[i].attempt, &listener)
			                 : attempt_bare(cases[i].attempt, &listener);

			close(listener);
			if (r != cases[i].expected)
				fail_msg("case %zu, confined %d: %d, expected %d", i, confined, r,
				         cases[i].expected);
		}
}

/* ---- what goes through, and who is seen ---- */

static int talk(void *context)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct sockaddr_un peer;
	socklen_t size = sizeof(peer);
	char text[6] = "";

	(void)context;
	EXPECT(connect_to(fd, "granted/socket") == 0);
	EXPECT(getpeername(fd, (struct sockaddr *)&peer, &size) == 0);
	EXPECT(strcmp(peer.sun_path, AT("granted/socket")) == 0);
	EXPECT(write(fd, "hello", 5) == 5 && read(fd, text, 5) == 5 && strcmp(text, "olleh") == 0);
	EXPECT(read(fd, text, 1) == 0);
	return 0;
}

static pid_t answerer_start(void)
{
	pid_t pid = process_fork();
	char text[5];
	int fd;

	if (pid != 0)
		return pid;
	fcntl(granted, F_SETFL, 0);
	if ((fd = accept(granted, NULL, NULL)) >= 0 && read(fd, text, 5) == 5 &&
	    memcmp(text, "hello", 5) == 0 && write(fd, "olleh", 5) == 5)
		_exit(0);
	_exit(1);
}

static void bytes_go_both_ways(void **state)
{
	pid_t answerer;

	(void)state;
	listeners_empty();
	answerer = answerer_start();
	assert_int_equal(attempt_bare(talk, NULL), 0);
	assert_int_equal(exit_of(answerer), 0);
	answerer = answerer_start();
	assert_int_equal(attempt_confined(GATE, talk, NULL), 0);
	assert_int_equal(exit_of(answerer), 0);
}

/* A datagram socket that is connected, disconnected, and connected again. */
static int disconnect(void *context)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	(void)context;
	EXPECT(connect_to(fd, "datagrams/socket") == 0 && send(fd, "x", 1, 0) == 1);
	EXPECT(connect(fd, &none, sizeof(none)) == 0);
	EXPECT(send(fd, "x", 1, 0) < 0 && errno == ENOTCONN);
	return connect_to(fd, "datagrams/socket");
}

static void datagram_sockets_can_be_disconnected(void **state)
{
	(void)state;
	assert_int_equal(attempt_bare(disconnect, NULL), 0);
	assert_int_equal(attempt_confined(GATE, disconnect, NULL), 0);
}

/* Becomes uid and gid 1000 with two groups before it connects. */
static int become_ordinary(void)
{
	gid_t groups[2] = {1000, 4242};

	return setgroups(2, groups) < 0 || setresgid(1000, 1000, 1000) < 0 || setresuid(1000, 1000, 1000) < 0
	               ? errno
	               : 0;
}

static int connect_as_ordinary(void *context)
{
	const char *path = context;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), r;

	EXPECT(become_ordinary() == 0);
	r = connect_to(fd, path);
	if (r == 0)
		usleep(50000); /* until it has been looked at */
	return r;
}

static void peer_expect(int listener, uid_t uid)
{
	int fd = accept(listener, NULL, NULL);
	struct ucred peer;
	socklen_t size = sizeof(peer);

	assert_true(fd >= 0);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size), 0);
	assert_int_equal(peer.uid, uid);
	assert_int_equal(peer.gid, uid);
	close(fd);
}

static void the_peer_sees_the_callers_uid_and_gid(void **state)
{
	(void)state;
	if (geteuid() != 0)
		SKIP_BECAUSE("only root can become somebody else");
	listeners_empty();
	assert_int_equal(attempt_bare(connect_as_ordinary, AT("granted/socket")), 0);
	peer_expect(granted, 1000);
	assert_int_equal(attempt_confined(GATE, connect_as_ordinary, AT("granted/socket")), 0);
	peer_expect(granted, 1000);
}

static int full_as_ordinary(void *context)
{
	int *listener = context, fd = socket(AF_UNIX, SOCK_STREAM, 0), r;
	pid_t acceptor;

	EXPECT(queue_fill(AT("granted/full")) == EAGAIN && (acceptor = process_fork()) >= 0);
	if (acceptor == 0) {
		usleep(100000);
		for (int i = 0; i < 9; i++)
			close(accept(*listener, NULL, NULL));
		_exit(0);
	}
	EXPECT(become_ordinary() == 0);
	r = connect_to(fd, AT("granted/full"));
	waitpid(acceptor, NULL, 0);
	return r;
}

/* The connect is made long after the supervisor is itself again. */
static void the_peer_sees_them_after_a_wait_too(void **state)
{
	int listener;

	(void)state;
	if (geteuid() != 0)
		SKIP_BECAUSE("only root can become somebody else");
	listener = served(SOCK_STREAM, AT("granted/full"));
	assert_int_equal(attempt_confined(GATE, full_as_ordinary, &listener), 0);
	peer_expect(listener, 1000);
	close(listener);
}

/* What a privileged supervisor could open, the caller cannot. */
static void file_permissions_are_the_callers(void **state)
{
	int private, listener;

	(void)state;
	if (geteuid() != 0)
		SKIP_BECAUSE("only root can become somebody else");
	private = served(SOCK_STREAM, AT("granted/private"));
	chmod("granted/private", 0600);
	mkdir("granted/closed", 0700);
	listener = served(SOCK_STREAM, AT("granted/closed/socket"));
	assert_int_equal(attempt_bare(connect_as_ordinary, AT("granted/private")), EACCES);
	assert_int_equal(attempt_confined(GATE, connect_as_ordinary, AT("granted/private")), EACCES);
	assert_int_equal(attempt_bare(connect_as_ordinary, AT("granted/closed/socket")), EACCES);
	assert_int_equal(attempt_confined(GATE, connect_as_ordinary, AT("granted/closed/socket")), EACCES);
	/* A group of the caller's opens it. */
	assert_int_equal(chown("granted/private", 0, 4242), 0);
	chmod("granted/private", 0660);
	assert_int_equal(attempt_bare(connect_as_ordinary, AT("granted/private")), 0);
	assert_int_equal(attempt_confined(GATE, connect_as_ordinary, AT("granted/private")), 0);
	close(private);
	close(listener);
}

static int connect_as_root(void *context)
{
	return connect_to(socket(AF_UNIX, SOCK_STREAM, 0), context);
}

/* A root that kept CAP_DAC_OVERRIDE behind the walls may do what it may bare. */
static int send_as_root(void *context)
{
	struct sockaddr_un address;
	socklen_t size = address_of(context, &address);
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	return sendto(fd, "x", 1, 0, (struct sockaddr *)&address, size) < 0 ? errno : 0;
}

static void root_keeps_its_own_rights(void **state)
{
	int private;

	(void)state;
	if (geteuid() != 0)
		SKIP_BECAUSE("of root");
	private = served(SOCK_STREAM, AT("granted/anothers"));
	assert_int_equal(chown("granted/anothers", 1000, 1000), 0);
	chmod("granted/anothers", 0600);
	assert_int_equal(attempt_bare(connect_as_root, AT("granted/anothers")), 0);
	assert_int_equal(attempt_confined(GATE, connect_as_root, AT("granted/anothers")), 0);
	close(private);
	private = served(SOCK_DGRAM, AT("datagrams/anothers"));
	assert_int_equal(chown("datagrams/anothers", 1000, 1000), 0);
	chmod("datagrams/anothers", 0600);
	assert_int_equal(attempt_bare(send_as_root, AT("datagrams/anothers")), 0);
	assert_int_equal(attempt_confined(GATE, send_as_root, AT("datagrams/anothers")), 0);
	close(private);
}

/* ---- datagrams with an address ---- */

static int send_to(int fd, const char *path, int with_control)
{
	struct sockaddr_un address;
	socklen_t size = address_of(path, &address);
	struct iovec part = {"datagram", 8};
	struct msghdr header = {.msg_name = &address, .msg_namelen = size, .msg_iov = &part, .msg_iovlen = 1};
	struct mmsghdr many = {.msg_hdr = header};

	if (with_control == 0)
		return sendto(fd, "datagram", 8, 0, (struct sockaddr *)&address, size) < 0 ? errno : 0;
	if (with_control == 1)
		return sendmsg(fd, &header, 0) < 0 ? errno : 0;
	return sendmmsg(fd, &many, 1, 0) < 0 ? errno : 0;
}

static int send_every_way(void *context)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0), r = 0;

	EXPECT(chdir(base) == 0);
	for (int way = 0; r == 0 && way < 3; way++)
		r = send_to(fd, context, way);
	return r;
}

static int datagrams_there(int fd)
{
	char text[16];
	int count = 0;

	while (recv(fd, text, sizeof(text), MSG_DONTWAIT) >= 0)
		count++;
	return count;
}

static void datagrams_go_to_what_is_granted(void **state)
{
	int other = served(SOCK_DGRAM, AT("outside/datagram"));

	(void)state;
	datagrams_there(datagrams);
	assert_int_equal(attempt_bare(send_every_way, "datagrams/socket"), 0);
	assert_int_equal(attempt_bare(send_every_way, "outside/datagram"), 0);
	assert_int_equal(datagrams_there(datagrams), 3);
	assert_int_equal(datagrams_there(other), 3);
	assert_int_equal(attempt_confined(GATE, send_every_way, "datagrams/socket"), 0);
	assert_int_equal(attempt_confined(GATE, send_every_way, AT("datagrams/socket")), 0);
	assert_int_equal(attempt_confined(GATE, send_every_way, "outside/datagram"), EACCES);
	assert_int_equal(attempt_bare(send_every_way, "granted/datagram"), 0);
	assert_int_equal(attempt_confined(GATE, send_every_way, "granted/datagram"), EACCES);
	assert_int_equal(attempt_bare(send_every_way, "datagrams/none"), ENOENT);
	assert_int_equal(attempt_confined(GATE, send_every_way, "datagrams/none"), ENOENT);
	assert_int_equal(attempt_bare(send_every_way, "granted/socket"), EPROTOTYPE);
	assert_int_equal(attempt_confined(GATE, send_every_way, "granted/socket"), EACCES);
	assert_int_equal(attempt_bare(send_every_way, name_outside), 0);
	assert_int_equal(attempt_confined(GATE, send_every_way, name_outside), EPERM);
	assert_int_equal(
		attempt_confined(POLICY("net-allow-unix", text_of("dgram:%s", name_outside), "fs-read", "/"),
	                         send_every_way, name_outside),
		0);
	assert_int_equal(datagrams_there(datagrams), 6);
	assert_int_equal(datagrams_there(other), 0);
	close(other);
}

static int send_as_ordinary(void *context)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	EXPECT(become_ordinary() == 0);
	return send_to(fd, context, 1);
}

static void credentials_expect(int fd, uid_t uid)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(struct ucred))];
	} control;
	char text[16];
	struct iovec part = {text, sizeof(text)};
	struct msghdr header = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	struct cmsghdr *first;
	struct ucred sender;

	assert_int_equal(recvmsg(fd, &header, MSG_DONTWAIT), 8);
	assert_non_null(first = CMSG_FIRSTHDR(&header));
	assert_int_equal(first->cmsg_type, SCM_CREDENTIALS);
	memcpy(&sender, CMSG_DATA(first), sizeof(sender));
	assert_int_equal(sender.uid, uid);
	assert_int_equal(sender.gid, uid);
}

static void a_receiver_sees_the_senders_uid_and_gid(void **state)
{
	int one = 1, private;

	(void)state;
	if (geteuid() != 0)
		SKIP_BECAUSE("only root can become somebody else");
	datagrams_there(datagrams);
	assert_int_equal(setsockopt(datagrams, SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)), 0);
	assert_int_equal(attempt_bare(send_as_ordinary, AT("datagrams/socket")), 0);
	credentials_expect(datagrams, 1000);
	assert_int_equal(attempt_confined(GATE, send_as_ordinary, AT("datagrams/socket")), 0);
	credentials_expect(datagrams, 1000);
	one = 0;
	assert_int_equal(setsockopt(datagrams, SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)), 0);
	private = served(SOCK_DGRAM, AT("datagrams/private"));
	chmod(AT("datagrams/private"), 0600);
	assert_int_equal(attempt_bare(send_as_ordinary, AT("datagrams/private")), EACCES);
	assert_int_equal(attempt_confined(GATE, send_as_ordinary, AT("datagrams/private")), EACCES);
	assert_int_equal(datagrams_there(private), 0);
	close(private);
}

/* ---- binding ---- */

#define BINDER POLICY("net-allow-unix", AT("work"), "fs-write", AT("work"))

static int bind_relative(void *context)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
	struct sockaddr_un name = {0};
	socklen_t size = sizeof(name);
	struct stat status;

	(void)context;
	EXPECT(chdir(AT("work")) == 0);
	unlink("bound");
	umask(027);
	EXPECT(bind_to(fd, "bound") == 0);
	EXPECT(getsockname(fd, (struct sockaddr *)&name, &size) == 0 && strcmp(name.sun_path, "bound") == 0);
	EXPECT(stat("bound", &status) == 0 && S_ISSOCK(status.st_mode));
	EXPECT((status.st_mode & 0777) == 0750 && status.st_uid == geteuid() && status.st_gid == getegid());
	EXPECT(listen(fd, 1) == 0 && connect_to(client, "bound") == 0 && accept(fd, NULL, NULL) >= 0);
	EXPECT(bind_to(socket(AF_UNIX, SOCK_STREAM, 0), "bound") == EADDRINUSE);
	EXPECT(bind_to(socket(AF_UNIX, SOCK_STREAM, 0), AT("work/none/bound")) == ENOENT);
	EXPECT(bind_to(fd, "again") == EINVAL);
	return 0;
}

static int bind_elsewhere(void *context)
{
	int r = bind_to(socket(AF_UNIX, SOCK_STREAM, 0), context);

	unlink(context);
	return r;
}

static int bind_names(void *context)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	socklen_t size = sizeof(sa_family_t);
	int automatic = socket(AF_UNIX, SOCK_STREAM, 0), named = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)context;
	EXPECT(bind(automatic, (struct sockaddr *)&name, size) == 0);
	size = sizeof(name);
	EXPECT(getsockname(automatic, (struct sockaddr *)&name, &size) == 0 && size == 8 &&
	       name.sun_path[0] == '\0');
	return bind_to(named, text_of("@sluice-live-%d", getpid()));
}

/* A name of one's own is reached, until it is somebody else's. */
static int names_inside(void *context)
{
	const char *name = text_of("@sluice-inside-%d", getpid());
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), again = socket(AF_UNIX, SOCK_DGRAM, 0);

	(void)context;
	EXPECT(bind_to(fd, name) == 0 && listen(fd, 1) == 0);
	EXPECT(connect_to(socket(AF_UNIX, SOCK_STREAM, 0), name) == 0 && accept(fd, NULL, NULL) >= 0);
	EXPECT(bind_to(again, name) == 0 && connect_to(socket(AF_UNIX, SOCK_DGRAM, 0), name) == 0);
	close(fd);
	close(again);
	return connect_to(socket(AF_UNIX, SOCK_STREAM, 0), name);
}

/* The outside takes over a name that the inside had. */
static int name_lost(void *context)
{
	struct renaming *handing = context;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	char byte = 0;

	EXPECT(bind_to(fd, lost_name) == 0 && listen(fd, 1) == 0);
	EXPECT(connect_to(socket(AF_UNIX, SOCK_STREAM, 0), lost_name) == 0);
	close(fd);
	EXPECT(write(handing->done[1], &byte, 1) == 1 && read(handing->go[0], &byte, 1) == 1);
	return connect_to(socket(AF_UNIX, SOCK_STREAM, 0), lost_name);
}

static int name_lost_run(const char *const policy[])
{
	struct renaming handing;
	pid_t taker;
	int r;

	assert_int_equal(pipe2(handing.go, O_CLOEXEC), 0);
	assert_int_equal(pipe2(handing.done, O_CLOEXEC), 0);
	if ((taker = process_fork()) == 0) {
		char byte;

		if (read(handing.done[0], &byte, 1) == 1)
			served(SOCK_STREAM, lost_name);
		if (write(handing.go[1], &byte, 1) == 1)
			sleep(2);
		_exit(0);
	}
	r = policy == NULL ? attempt_bare(name_lost, &handing)
	                   : attempt_confined(policy, name_lost, &handing);
	process_kill(taker, SIGKILL);
	waitpid(taker, NULL, 0);
	return r;
}

static void an_abstract_name_is_reached_while_it_is_ones_own(void **state)
{
	(void)state;
	assert_int_equal(attempt_bare(names_inside, NULL), ECONNREFUSED);
	assert_int_equal(attempt_confined(POLICY("net-allow-unix", at("dgram:", "work")), names_inside, NULL),
	                 EPERM);
	assert_int_equal(name_lost_run(NULL), 0);
	assert_int_equal(name_lost_run(BINDER), EPERM);
}

/* A name belongs to a socket of each type: holding it as one type says nothing about the others. */
static int name_borrowed(void *context)
{
	const int *type = context;

	EXPECT(bind_to(socket(AF_UNIX, type[0], 0), name_outside) == 0);
	return connect_to(socket(AF_UNIX, type[1], 0), name_outside);
}

static void an_abstract_name_of_another_type_is_not_ones_own(void **state)
{
	int sequenced_to_stream[] = {SOCK_SEQPACKET, SOCK_STREAM};
	int stream_to_stream[] = {SOCK_STREAM, SOCK_STREAM};

	(void)state;
	assert_int_equal(attempt_bare(name_borrowed, sequenced_to_stream), 0);
	assert_int_equal(attempt_confined(BINDER, name_borrowed, sequenced_to_stream), EPERM);
	assert_true(attempt_bare(name_borrowed, stream_to_stream) >= 10000); /* it is taken */
}

static void a_path_is_bound_as_bare_where_it_may_be_made(void **state)
{
	(void)state;
	assert_int_equal(attempt_bare(bind_relative, NULL), 0);
	assert_int_equal(attempt_confined(BINDER, bind_relative, NULL), 0);
	assert_int_equal(attempt_bare(bind_elsewhere, AT("outside/bound")), 0);
	assert_int_equal(attempt_confined(BINDER, bind_elsewhere, AT("outside/bound")), EACCES);
	assert_int_equal(attempt_confined(BINDER, bind_elsewhere, AT("work/bound2")), 0);
	assert_int_equal(attempt_bare(bind_names, NULL), 0);
	assert_int_equal(attempt_confined(BINDER, bind_names, NULL), 0);
}

static int bind_as_ordinary(void *context)
{
	struct stat status;

	(void)context;
	EXPECT(become_ordinary() == 0);
	EXPECT(bind_to(socket(AF_UNIX, SOCK_STREAM, 0), AT("work/open/bound")) == 0);
	EXPECT(stat(AT("work/open/bound"), &status) == 0 && status.st_uid == 1000 && status.st_gid == 1000);
	EXPECT(unlink(AT("work/open/bound")) == 0);
	return bind_to(socket(AF_UNIX, SOCK_STREAM, 0), AT("work/roots/bound"));
}

static void a_bound_path_is_the_callers(void **state)
{
	(void)state;
	if (geteuid() != 0)
		SKIP_BECAUSE("only root can become somebody else");
	mkdir("work/open", 0755);
	chmod("work/open", 0777);
	mkdir("work/roots", 0755);
	assert_int_equal(attempt_bare(bind_as_ordinary, NULL), EACCES);
	assert_int_equal(attempt_confined(BINDER, bind_as_ordinary, NULL), EACCES);
}

/* ---- what is refused before anything starts ---- */

static void confine_fails(const char *value, int code, const char *part)
{
	sl_policy *policy = policy_of(POLICY("fs-write", AT("work"), "net-allow-unix", value));
	pid_t child = process_fork();

	if (child == 0) {
		sl_error error = {0};
		int r = sl_confine_self(policy, &error);

		if (r != code || strstr(error.message, part) == NULL) {
			fprintf(stderr, "# %s: %d %s\n", value, r, error.message);
			_exit(1);
		}
		_exit(0);
	}
	sl_policy_free(policy);
	assert_int_equal(exit_of(child), 0);
}

static void values_that_mean_nothing_are_errors(void **state)
{
	(void)state;
	assert_int_equal(symlink("../granted", "work/link"), 0);
	assert_int_equal(symlink("nothing", "outside/dangling"), 0);
	confine_fails(AT("outside/none/socket"), -ENOENT, "No such file");
	confine_fails(AT("work/link/socket"), -ELOOP, "symbolic link");
	/* The same, in other words than those of the fs-write. */
	confine_fails("work/link/socket", -ELOOP, "symbolic link");
	confine_fails("outside/../work/./link/socket", -ELOOP, "symbolic link");
	confine_fails(AT("./work/link/socket"), -ELOOP, "symbolic link");
	confine_fails(AT("outside/../work//link/socket"), -ELOOP, "symbolic link");
	confine_fails(AT("outside/dangling"), -ELOOP, "symbolic link to nothing");
	confine_fails(AT("datagrams/socket"), -EINVAL, "dgram:");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_lead_where_they_lead_bare),
		cmocka_unit_test(a_name_of_nuls_is_a_name),
		cmocka_unit_test(absolute_paths_and_own_links),
		cmocka_unit_test(every_length_is_answered_as_bare),
		cmocka_unit_test(a_directory_is_followed_from_where_the_caller_stands),
		cmocka_unit_test(a_deleted_directory_leads_nowhere),
		cmocka_unit_test(a_directory_is_granted_as_an_object),
		cmocka_unit_test(a_granted_socket_may_come_later_and_again),
		cmocka_unit_test(a_full_queue_is_waited_for_as_bare),
		cmocka_unit_test(bytes_go_both_ways),
		cmocka_unit_test(datagram_sockets_can_be_disconnected),
		cmocka_unit_test(the_peer_sees_the_callers_uid_and_gid),
		cmocka_unit_test(the_peer_sees_them_after_a_wait_too),
		cmocka_unit_test(file_permissions_are_the_callers),
		cmocka_unit_test(root_keeps_its_own_rights),
		cmocka_unit_test(datagrams_go_to_what_is_granted),
		cmocka_unit_test(a_receiver_sees_the_senders_uid_and_gid),
		cmocka_unit_test(a_path_is_bound_as_bare_where_it_may_be_made),
		cmocka_unit_test(a_bound_path_is_the_callers),
		cmocka_unit_test(an_abstract_name_is_reached_while_it_is_ones_own),
		cmocka_unit_test(an_abstract_name_of_another_type_is_not_ones_own),
		cmocka_unit_test(values_that_mean_nothing_are_errors),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
