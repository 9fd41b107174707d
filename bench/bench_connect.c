/* What a supervised connect(2) costs, on loopback: bare, behind the kernel's floor (floor.c), behind Sluice
 * with one address rule, and behind Sluice with a :PORT rule, which needs no supervisor.
 *
 * "cycle" is socket, SO_LINGER, connect, close; "alone" the connect within it; both the median of the calls
 * of a round, so that being preempted in the midst of one does not count. Storms are the mean of wall time.
 * The client closes with a reset: no TIME_WAIT piles up. Left out: names, real networks, and what the other
 * end does with a connection, which it accepts and closes in a process of its own.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/bench.h"

enum { REPEATS_MAX = 1024, STORM_MAX = 64, ROUNDS = 41, CYCLE = 0, ALONE = 1 };

static uint16_t port_open, port_refused;

static void loopback(struct sockaddr_in *address, uint16_t port)
{
	*address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
	address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
}

static int socket_bound(uint16_t *port)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in address;
	socklen_t size = sizeof(address);

	loopback(&address, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) < 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &size) < 0)
		die("a loopback socket: %s", strerror(errno));
	*port = ntohs(address.sin_port);
	return fd;
}

static pid_t accepter_start(void)
{
	int listener = socket_bound(&port_open), fd;
	pid_t pid;

	if (listen(listener, 4096) < 0 || (pid = fork()) < 0)
		die("accepter: %s", strerror(errno));
	if (pid > 0) {
		close(listener);
		return pid;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while ((fd = accept(listener, NULL, NULL)) >= 0 || errno != EBADF)
		close(fd);
	_exit(1);
}

/* A cycle; *alone is what connect took of it. Returns connect's errno. */
static int cycle(uint16_t port, int flags, double *alone)
{
	struct linger reset = {.l_onoff = 1};
	struct sockaddr_in address;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0), code;
	double start;

	loopback(&address, port);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) < 0)
		die("socket: %s", strerror(errno));
	start = now_ns();
	code = connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? errno : 0;
	*alone = now_ns() - start;
	if (code == EINPROGRESS) {
		struct pollfd done = {.fd = fd, .events = POLLOUT};
		socklen_t size = sizeof(code);

		poll(&done, 1, 10000);
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &size);
	}
	close(fd);
	return code;
}

static void cycles(unsigned repeats, uint16_t port, int flags, int expected, double ns[PARTS])
{
	static double whole[REPEATS_MAX], alone[REPEATS_MAX];

	for (unsigned i = 0; i < repeats; i++) {
		double start = now_ns();
		int code = cycle(port, flags, &alone[i]);

		whole[i] = now_ns() - start;
		if (code != expected)
			die("connect: %s", strerror(code));
	}
	ns[CYCLE] = median(whole, repeats);
	ns[ALONE] = median(alone, repeats);
}

static void run_blocking(unsigned repeats, double ns[PARTS])
{
	cycles(repeats, port_open, 0, 0, ns);
}

static void run_non_blocking(unsigned repeats, double ns[PARTS])
{
	cycles(repeats, port_open, SOCK_NONBLOCK, 0, ns);
}

static void run_refused(unsigned repeats, double ns[PARTS])
{
	cycles(repeats, port_refused, 0, ECONNREFUSED, ns);
}

/* By the policy: no lane but Sluice's has one. */
static void run_denied(unsigned repeats, double ns[PARTS])
{
	cycles(repeats, 9, 0, EACCES, ns);
}

struct storm {
	pthread_barrier_t start;
	unsigned each;
};

static void *storm_thread(void *context)
{
	struct storm *storm = context;
	double alone;

	pthread_barrier_wait(&storm->start);
	for (unsigned i = 0; i < storm->each; i++) {
		int code = cycle(port_open, 0, &alone);

		if (code != 0)
			die("connect: %s", strerror(code));
	}
	return NULL;
}

/* All threads' connects by the wall clock. */
static void storm_run(unsigned threads, unsigned each, double ns[PARTS])
{
	struct storm storm = {.each = each};
	pthread_t ids[STORM_MAX];
	double start;

	pthread_barrier_init(&storm.start, NULL, threads + 1);
	for (unsigned i = 0; i < threads; i++) {
		int r = pthread_create(&ids[i], NULL, storm_thread, &storm);

		if (r != 0)
			die("thread %u: %s", i, strerror(r));
	}
	start = now_ns();
	pthread_barrier_wait(&storm.start);
	for (unsigned i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	ns[CYCLE] = (now_ns() - start) / (threads * each);
	pthread_barrier_destroy(&storm.start);
}

static void run_storm_1(unsigned repeats, double ns[PARTS])
{
	storm_run(1, repeats, ns);
}

static void run_storm_8(unsigned repeats, double ns[PARTS])
{
	storm_run(8, repeats / 8, ns);
}

static void run_storm_64(unsigned repeats, double ns[PARTS])
{
	storm_run(64, repeats / 64, ns);
}

enum { BLOCKING, NON_BLOCKING, REFUSED, STORM_1, STORM_8, STORM_64, DENIED };
static const struct work works[] = {
	[BLOCKING] = {"connect, blocking", run_blocking, 100},
	[NON_BLOCKING] = {"connect, non-blocking", run_non_blocking, 100},
	[REFUSED] = {"connect, refused by the peer", run_refused, 100},
	[STORM_1] = {"connect storm, 1 thread", run_storm_1, 256},
	[STORM_8] = {"connect storm, 8 threads", run_storm_8, 512},
	[STORM_64] = {"connect storm, 64 threads", run_storm_64, 1024},
	[DENIED] = {"connect, refused by the policy", run_denied, 100},
};

static void enter_supervised(void)
{
	confine((const char *const[]){"net-allow", text("tcp://127.0.0.1:%u,%u", port_open, port_refused),
	                              NULL});
}

static void enter_by_port(void)
{
	confine((const char *const[]){"net-allow", text("tcp://:%u,%u", port_open, port_refused), NULL});
}

enum { BARE, FLOOR, SUPERVISED, BY_PORT, LANES };
static struct lane lanes[LANES] = {
	[BARE] = {.name = "bare"},
	[FLOOR] = {.name = "floor", .enter = floor_enter},
	[SUPERVISED] = {.name = "sluice, supervised", .enter = enter_supervised},
	[BY_PORT] = {.name = "sluice, by port", .enter = enter_by_port},
};

static double us(unsigned lane, unsigned part)
{
	return lane_median(&lanes[lane], part, ROUNDS) / 1000;
}

static void supervised_print(const char *what, unsigned part, double at_most)
{
	double ratio = lanes_ratio(&lanes[SUPERVISED], &lanes[FLOOR], part, ROUNDS);

	row_print(&(struct row){
		.what = what,
		.unit = "us",
		.bare = us(BARE, part),
		.floor = us(FLOOR, part),
		.sluice = us(SUPERVISED, part),
		.ratio = text("%.2f of floor", ratio),
		.target = at_most > 0 ? text("<= %.2f", at_most) : NULL,
		.met = ratio <= at_most,
	});
}

static void by_port_print(const char *what, unsigned part, double at_most)
{
	double ratio = lanes_ratio(&lanes[BY_PORT], &lanes[BARE], part, ROUNDS);

	row_print(&(struct row){
		.what = what,
		.unit = "us",
		.bare = us(BARE, part),
		.sluice = us(BY_PORT, part),
		.ratio = text("%.3f of bare", ratio),
		.target = at_most > 0 ? text("<= %.2f", at_most) : NULL,
		.met = ratio <= at_most,
	});
}

static void cycles_measure(unsigned work)
{
	lanes_run(lanes, LANES, work, ROUNDS);
	supervised_print(text("%s: cycle", works[work].name), CYCLE, 1.3);
	supervised_print("    alone", ALONE, 1.3);
	by_port_print("    :PORT rule, cycle", CYCLE, 1.05);
	by_port_print("    :PORT rule, alone", ALONE, 1.05);
}

static void storm_measure(unsigned work)
{
	lanes_run(lanes, LANES, work, ROUNDS);
	supervised_print(works[work].name, CYCLE, 1.3);
	by_port_print("    :PORT rule", CYCLE, 1.05);
}

static void denied_measure(void)
{
	lanes_run(&lanes[SUPERVISED], 2, DENIED, ROUNDS);
	row_print(&(struct row){.what = "connect, refused by the policy: alone",
	                        .unit = "us",
	                        .sluice = us(SUPERVISED, ALONE)});
	row_print(&(struct row){.what = "    :PORT rule", .unit = "us", .sluice = us(BY_PORT, ALONE)});
}

int main(void)
{
	int refused = socket_bound(&port_refused); /* bound, and nobody listens */
	pid_t accepter = accepter_start();

	lanes_start(lanes, LANES, works);
	cycles_measure(BLOCKING);
	cycles_measure(NON_BLOCKING);
	cycles_measure(REFUSED);
	storm_measure(STORM_1);
	storm_measure(STORM_8);
	storm_measure(STORM_64);
	denied_measure();
	lanes_stop(lanes, LANES);
	kill(accepter, SIGKILL);
	close(refused);
	return 0;
}
