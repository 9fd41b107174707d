/* An echo server that forks its workers beforehand, and wraps each of them: what a client may do to a worker stays in
 * that worker's sandbox.
 *
 *     prefork PORT WORKERS          not confined: it makes sandboxes, and never touches what a client sent
 *      +- stand-in                  (a worker's; wait(2) would show it)
 *          +- keeper
 *              +- prefork --worker  confined: no file but its own program, no address, no port
 *
 * The worker is this very program with another argument. It gets the listening socket as descriptor 3 and nothing else
 * but stderr: what was opened before its walls went up stays usable, and what it could open itself is nothing.
 *
 * SIGHUP replaces all workers, one after the other: the new one runs before the old one is told to finish. SIGTERM and
 * SIGINT end all. A worker that ends, or is killed, or whose keeper or stand-in is, is replaced; one that ends at once
 * again and again only ever so often. */
#include "sluice.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	WORKER_LISTENER = 3,
	WORKERS_MAX = 64,
	CLIENTS_MAX = 64, /* of one worker at a time */
	BACKLOG = 511,
	FINISH_MS = 5000, /* for a worker that is told to finish its connections */
	PAUSE_MS = 100,   /* before the next try, where a worker could not be started or did not live */
};

/* ---- the worker ---- */

static volatile sig_atomic_t finishing;

static void finish(int number)
{
	(void)number;
	finishing = 1;
}

/* False when this client is done. */
static bool client_echo(int client)
{
	char piece[4096];
	ssize_t size = read(client, piece, sizeof(piece));

	if (size < 0)
		return errno == EINTR || errno == EAGAIN;
	for (ssize_t at = 0; at < size;) {
		ssize_t sent = send(client, piece + at, (size_t)(size - at), MSG_NOSIGNAL);

		if (sent < 0 && errno != EINTR)
			return false;
		at += sent > 0 ? sent : 0;
	}
	return size > 0;
}

/* Another worker may have been faster. */
static int client_accept(void)
{
	return accept4(WORKER_LISTENER, NULL, NULL, SOCK_CLOEXEC);
}

/* The first is the listener; it is left out when there is no room, or no more are wanted. */
static int worker_main(void)
{
	const struct sigaction on_term = {.sa_handler = finish};
	struct pollfd watched[CLIENTS_MAX + 1] = {{.fd = WORKER_LISTENER, .events = POLLIN}};
	int count = 1, client;

	sigaction(SIGTERM, &on_term, NULL);
	while (!finishing || count > 1) {
		watched[0].fd = finishing || count > CLIENTS_MAX ? -1 : WORKER_LISTENER;
		if (poll(watched, (nfds_t)count, 500) < 0 && errno != EINTR)
			return 1;
		for (int i = count - 1; i > 0; i--) {
			if (watched[i].revents == 0 || client_echo(watched[i].fd))
				continue;
			close(watched[i].fd);
			watched[i] = watched[--count];
		}
		if (!finishing && watched[0].revents & POLLIN && (client = client_accept()) >= 0)
			watched[count++] = (struct pollfd){.fd = client, .events = POLLIN};
	}
	return 0;
}

/* ---- the master ---- */

struct worker {
	sl_sandbox *sandbox; /* NULL: to be started */
	sl_sandbox *before;  /* was told to finish; NULL: nobody */
	int64_t not_before, finish_by;
};

struct master {
	sl_policy *policy;
	const char *program;
	int listener, signals;
	struct worker workers[WORKERS_MAX];
	int count;
	bool over;
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void worker_start(struct master *master, struct worker *worker)
{
	const char *const argv[] = {master->program, "--worker", NULL};
	const sl_descriptor listener = {WORKER_LISTENER, master->listener};
	const sl_stdio stdio = {.in = {SL_STREAM_NULL, -1},
	                        .out = {SL_STREAM_NULL, -1},
	                        .extra = &listener,
	                        .extra_count = 1};
	sl_error error;

	if (worker->sandbox != NULL || now_ms() < worker->not_before)
		return;
	worker->not_before = now_ms() + PAUSE_MS;
	if (sl_spawn(master->policy, argv, &stdio, &worker->sandbox, &error) < 0)
		fprintf(stderr, "prefork: %s\n", error.message);
}

/* Whatever has become of it is told by sl_wait(), also that somebody has killed its keeper. */
static void worker_look(struct worker *worker)
{
	sl_status status;

	if (worker->before != NULL &&
	    (sl_wait(worker->before, 0, NULL, NULL) == 0 || now_ms() >= worker->finish_by)) {
		sl_sandbox_free(worker->before);
		worker->before = NULL;
	}
	if (worker->sandbox == NULL || sl_wait(worker->sandbox, 0, &status, NULL) < 0)
		return;
	fprintf(stderr, "prefork: worker %d: code %d, signal %d, reason %d\n",
	        sl_sandbox_pid(worker->sandbox), status.code, status.signal, status.reason);
	sl_sandbox_free(worker->sandbox);
	worker->sandbox = NULL;
}

/* One that still finishes since the last time has had its time. */
static void worker_replace(struct master *master, struct worker *worker)
{
	sl_sandbox_free(worker->before);
	worker->before = worker->sandbox;
	worker->finish_by = now_ms() + FINISH_MS;
	worker->sandbox = NULL;
	worker->not_before = 0;
	worker_start(master, worker);
	if (worker->before != NULL)
		sl_signal(worker->before, SIGTERM, NULL);
}

static void signals_take(struct master *master)
{
	struct signalfd_siginfo info;

	while (read(master->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo != SIGHUP)
			master->over = true;
		for (int i = 0; info.ssi_signo == SIGHUP && i < master->count; i++)
			worker_replace(master, &master->workers[i]);
	}
}

static int master_wait(const struct master *master)
{
	struct pollfd watched[2 * WORKERS_MAX + 1] = {{.fd = master->signals, .events = POLLIN}};
	bool due = false;
	nfds_t count = 1;

	for (int i = 0; i < master->count; i++) {
		const struct worker *worker = &master->workers[i];

		due |= worker->sandbox == NULL || worker->before != NULL;
		if (worker->sandbox != NULL)
			watched[count++] = (struct pollfd){sl_sandbox_fd(worker->sandbox), POLLIN, 0};
		if (worker->before != NULL)
			watched[count++] = (struct pollfd){sl_sandbox_fd(worker->before), POLLIN, 0};
	}
	return poll(watched, count, due ? PAUSE_MS : -1);
}

static void master_serve(struct master *master)
{
	while (!master->over) {
		for (int i = 0; i < master->count; i++) {
			worker_look(&master->workers[i]);
			worker_start(master, &master->workers[i]);
		}
		if (master_wait(master) < 0 && errno != EINTR)
			break;
		signals_take(master);
	}
	for (int i = 0; i < master->count; i++) {
		sl_sandbox_free(master->workers[i].before);
		sl_sandbox_free(master->workers[i].sandbox);
	}
}

/* Nothing but its own program and what that needs to be loaded; and it must not outlive us. */
static sl_policy *policy_make(const char *program, char *const more[])
{
	sl_policy *policy = sl_policy_new();
	sl_error error;

	if (policy == NULL || sl_policy_set(policy, "fs-system", "", &error) < 0 ||
	    sl_policy_set(policy, "fs-read", program, &error) < 0 ||
	    sl_policy_set(policy, "die-with-parent", "", &error) < 0)
		return NULL;
	for (; more[0] != NULL && more[1] != NULL; more += 2)
		if (sl_policy_set(policy, more[0], more[1], &error) < 0) {
			fprintf(stderr, "prefork: %s\n", error.message);
			return NULL;
		}
	return policy;
}

static int listener_open(uint16_t port)
{
	struct sockaddr_in address = {AF_INET, htons(port), {htonl(INADDR_LOOPBACK)}, {0}};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, BACKLOG) < 0) {
		fprintf(stderr, "prefork: port %u: %s\n", port, strerror(errno));
		return -1;
	}
	return fd;
}

static int signals_open(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int main(int argc, char *argv[])
{
	static struct master master;
	char program[4096];
	ssize_t size = readlink("/proc/self/exe", program, sizeof(program) - 1);

	if (argc == 2 && strcmp(argv[1], "--worker") == 0)
		return worker_main();
	if (argc < 3 || size < 0) {
		fputs("usage: prefork PORT WORKERS [KEY VALUE]...\n", stderr);
		return 2;
	}
	program[size] = '\0';
	master.program = program;
	master.count = atoi(argv[2]) > WORKERS_MAX ? WORKERS_MAX : atoi(argv[2]);
	master.policy = policy_make(program, argv + 3);
	master.listener = listener_open((uint16_t)atoi(argv[1]));
	master.signals = signals_open();
	if (master.policy == NULL || master.listener < 0 || master.signals < 0)
		return 1;
	master_serve(&master);
	sl_policy_free(master.policy);
	return 0;
}
