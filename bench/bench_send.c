/* What a supervised send costs, on loopback: bare, behind the kernel's floor (floor.c), behind Sluice with one rule for
 * UDP, and behind Sluice with a rule for TCP alone, which leaves every sendmsg(2) to the kernel.
 *
 * A sample is the mean of a few calls in a row, a round's number the median of its samples, so that being preempted in
 * the midst of one does not count. The peers are processes outside: one echoes, and two sinks read nothing. Their queues
 * are full before the first round, so the kernel drops what is sent there, and no reader's time is in the numbers. All
 * run on one CPU: where the scheduler puts the peer of a ping-pong decides more than what is measured. Left out: names,
 * real networks, control messages, sockets without room.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/bench.h"

enum { ROUNDS = 41, CALLS = 4, SAMPLES_MAX = 1024, BATCH_MAX = 256, SMALL = 100, MTU = 1400, LARGE = 60000 };
enum { WHOLE = 0, ALONE = 1 };
enum { ECHO, SINK, OTHER, PEERS };

static struct sockaddr_in peers[PEERS];
static char payload[LARGE];

/* A socket on a free port of loopback. */
static int socket_bound(struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t size = sizeof(*address);

	*address = (struct sockaddr_in){.sin_family = AF_INET};
	address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)address, size) < 0 ||
	    getsockname(fd, (struct sockaddr *)address, &size) < 0)
		die("a loopback socket: %s", strerror(errno));
	return fd;
}

static pid_t echo_start(void)
{
	int fd = socket_bound(&peers[ECHO]);
	struct sockaddr_in from;
	char data[SMALL];
	pid_t pid = fork();

	if (pid < 0)
		die("echo: %s", strerror(errno));
	if (pid > 0) {
		close(fd);
		return pid;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		socklen_t size = sizeof(from);
		ssize_t n = recvfrom(fd, data, sizeof(data), 0, (struct sockaddr *)&from, &size);

		if (n >= 0)
			sendto(fd, data, (size_t)n, 0, (struct sockaddr *)&from, size);
	}
}

/* Kept open, and never read. */
static void sink_open(struct sockaddr_in *address)
{
	int fd = socket_bound(address);
	int least = 1;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &least, sizeof(least));
}

/* What a round sends on: made by the lane itself, behind its walls. */
struct ends {
	int fd, other; /* other: of a pair */
	unsigned turn;
	double alone[SAMPLES_MAX * CALLS];
	struct mmsghdr headers[BATCH_MAX];
	struct iovec spans[BATCH_MAX];
};

static void sent(ssize_t n, size_t wanted)
{
	if (n < 0 || (size_t)n != wanted)
		die("send: %s", n < 0 ? strerror(errno) : "not all of it");
}

static void sendto_peer(struct ends *ends, unsigned peer, size_t size)
{
	sent(sendto(ends->fd, payload, size, 0, (struct sockaddr *)&peers[peer], sizeof(peers[peer])), size);
}

static void once_ping_pong(struct ends *ends)
{
	char reply[SMALL];
	double start = now_ns();

	sendto_peer(ends, ECHO, SMALL);
	ends->alone[ends->turn++] = now_ns() - start;
	if (recvfrom(ends->fd, reply, sizeof(reply), 0, NULL, NULL) != SMALL)
		die("no echo: %s", strerror(errno));
}

static void once_sendto(struct ends *ends)
{
	sendto_peer(ends, SINK, SMALL);
}

static void once_alternating(struct ends *ends)
{
	sendto_peer(ends, ends->turn++ % 2 ? SINK : OTHER, SMALL);
}

static void once_large(struct ends *ends)
{
	sendto_peer(ends, SINK, LARGE);
}

static void once_send(struct ends *ends)
{
	sent(send(ends->fd, payload, SMALL, 0), SMALL);
}

static void once_sendmsg(struct ends *ends)
{
	sent(sendmsg(ends->fd, &ends->headers[0].msg_hdr, 0), SMALL);
}

static void once_pair(struct ends *ends)
{
	char data[SMALL];

	once_sendmsg(ends);
	if (read(ends->other, data, sizeof(data)) != SMALL)
		die("read: %s", strerror(errno));
}

static void batch_send(struct ends *ends, unsigned count)
{
	int n = sendmmsg(ends->fd, ends->headers, count, 0);

	if (n < 0 || (unsigned)n != count)
		die("sendmmsg: %s", n < 0 ? strerror(errno) : "not all of them");
}

static void once_batch_1(struct ends *ends)
{
	batch_send(ends, 1);
}

static void once_batch_16(struct ends *ends)
{
	batch_send(ends, 16);
}

static void once_batch_64(struct ends *ends)
{
	batch_send(ends, 64);
}

static void once_batch_256(struct ends *ends)
{
	batch_send(ends, 256);
}

/* `to`: NULL for none. */
static void headers_fill(struct ends *ends, size_t size, struct sockaddr_in *to)
{
	for (unsigned i = 0; i < BATCH_MAX; i++) {
		ends->spans[i] = (struct iovec){payload, size};
		ends->headers[i].msg_hdr = (struct msghdr){
			.msg_name = to,
			.msg_namelen = to == NULL ? 0 : sizeof(*to),
			.msg_iov = &ends->spans[i],
			.msg_iovlen = 1,
		};
	}
}

enum shape { UNCONNECTED, CONNECTED, PAIR };

static void ends_open(struct ends *ends, enum shape shape, size_t size)
{
	struct sockaddr *sink = (struct sockaddr *)&peers[SINK];
	int pair[2] = {-1, -1};

	ends->turn = 0;
	headers_fill(ends, size, shape == UNCONNECTED ? &peers[SINK] : NULL);
	if (shape == PAIR && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		die("socketpair: %s", strerror(errno));
	if (shape != PAIR && (pair[0] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) < 0)
		die("socket: %s", strerror(errno));
	if (shape == CONNECTED && connect(pair[0], sink, sizeof(peers[SINK])) < 0)
		die("connect: %s", strerror(errno));
	ends->fd = pair[0];
	ends->other = pair[1];
}

static void ends_close(struct ends *ends)
{
	close(ends->fd);
	if (ends->other >= 0)
		close(ends->other);
}

/* `repeats` samples of CALLS calls, each of so many messages. */
static void sample(void (*once)(struct ends *ends), enum shape shape, size_t size, unsigned messages,
                   unsigned repeats, double ns[PARTS])
{
	static double samples[SAMPLES_MAX];
	static struct ends ends;

	ends_open(&ends, shape, size);
	for (unsigned i = 0; i < repeats; i++) {
		double start = now_ns();

		for (unsigned call = 0; call < CALLS; call++)
			once(&ends);
		samples[i] = (now_ns() - start) / (CALLS * messages);
	}
	ns[WHOLE] = median(samples, repeats);
	if (once == once_ping_pong)
		ns[ALONE] = median(ends.alone, ends.turn);
	ends_close(&ends);
}

#define RUN(name, once, shape, size, messages)                     \
	static void run_##name(unsigned repeats, double ns[PARTS]) \
	{                                                          \
		sample(once, shape, size, messages, repeats, ns);  \
	}
RUN(ping_pong, once_ping_pong, UNCONNECTED, SMALL, 1)
RUN(sendto, once_sendto, UNCONNECTED, SMALL, 1)
RUN(alternating, once_alternating, UNCONNECTED, SMALL, 1)
RUN(sendmsg, once_sendmsg, UNCONNECTED, SMALL, 1)
RUN(sendmsg_connected, once_sendmsg, CONNECTED, SMALL, 1)
RUN(large, once_large, UNCONNECTED, SMALL, 1)
RUN(batch_1, once_batch_1, UNCONNECTED, SMALL, 1)
RUN(batch_16, once_batch_16, UNCONNECTED, SMALL, 16)
RUN(batch_64, once_batch_64, UNCONNECTED, SMALL, 64)
RUN(batch_256, once_batch_256, UNCONNECTED, SMALL, 256)
RUN(batch_mtu, once_batch_16, UNCONNECTED, MTU, 16)
RUN(send, once_send, CONNECTED, SMALL, 1)
RUN(pair, once_pair, PAIR, SMALL, 1)

enum {
	PING_PONG,
	SENDTO,
	ALTERNATING,
	SENDMSG,
	SENDMSG_CONNECTED,
	LARGE_SENDTO,
	BATCH_1,
	BATCH_16,
	BATCH_64,
	BATCH_256,
	BATCH_MTU,
	SEND,
	PAIR_SENDMSG
};
static const struct work works[] = {
	[PING_PONG] = {"UDP ping-pong, 100 bytes", run_ping_pong, 50},
	[SENDTO] = {"sendto, 100 bytes, one peer", run_sendto, 50},
	[ALTERNATING] = {"sendto, 100 bytes, two peers in turn", run_alternating, 50},
	[SENDMSG] = {"sendmsg, 100 bytes", run_sendmsg, 50},
	[SENDMSG_CONNECTED] = {"sendmsg, 100 bytes, connected", run_sendmsg_connected, 50},
	[LARGE_SENDTO] = {"sendto, 60,000 bytes", run_large, 40},
	[BATCH_1] = {"sendmmsg of 1, 100 bytes; for a message", run_batch_1, 50},
	[BATCH_16] = {"sendmmsg of 16", run_batch_16, 20},
	[BATCH_64] = {"sendmmsg of 64", run_batch_64, 10},
	[BATCH_256] = {"sendmmsg of 256", run_batch_256, 5},
	[BATCH_MTU] = {"sendmmsg of 16, 1,400 bytes", run_batch_mtu, 20},
	[SEND] = {"send, 100 bytes, connected UDP", run_send, 1000},
	[PAIR_SENDMSG] = {"sendmsg and read, unix stream pair", run_pair, 500},
};

static void enter_udp(void)
{
	confine((const char *const[]){"net-allow",
	                              text("udp://127.0.0.1:%u,%u,%u", ntohs(peers[ECHO].sin_port),
	                                   ntohs(peers[SINK].sin_port), ntohs(peers[OTHER].sin_port)),
	                              NULL});
}

/* Supervised too, but for connect(2) alone. */
static void enter_tcp(void)
{
	confine((const char *const[]){"net-allow", "tcp://127.0.0.1:9", NULL});
}

enum { BARE, FLOOR, UDP, TCP, LANES };
static struct lane lanes[LANES] = {
	[BARE] = {.name = "bare"},
	[FLOOR] = {.name = "floor", .enter = floor_enter},
	[UDP] = {.name = "sluice, UDP rule", .enter = enter_udp},
	[TCP] = {.name = "sluice, TCP rule", .enter = enter_tcp},
};

static double ns(unsigned lane, unsigned part)
{
	return lane_median(&lanes[lane], part, ROUNDS);
}

static void trapped_print(const char *what, unsigned part)
{
	double ratio = lanes_ratio(&lanes[UDP], &lanes[FLOOR], part, ROUNDS);

	row_print(&(struct row){
		.what = what,
		.unit = "ns",
		.bare = ns(BARE, part),
		.floor = ns(FLOOR, part),
		.sluice = ns(UDP, part),
		.ratio = text("%.2f of floor", ratio),
		.target = "<= 1.30",
		.met = ratio <= 1.3,
	});
}

static void untrapped_print(const char *what, unsigned lane)
{
	double ratio = lanes_ratio(&lanes[lane], &lanes[BARE], WHOLE, ROUNDS);

	row_print(&(struct row){
		.what = what,
		.unit = "ns",
		.bare = ns(BARE, WHOLE),
		.sluice = ns(lane, WHOLE),
		.ratio = text("%.3f of bare", ratio),
		.target = "<= 1.05",
		.met = ratio <= 1.05,
	});
}

static void sinks_fill(void)
{
	struct ends ends = {0};

	ends_open(&ends, UNCONNECTED, SMALL);
	for (unsigned i = 0; i < 1000; i++)
		once_alternating(&ends);
	ends_close(&ends);
}

static void cpu_choose(void)
{
	cpu_set_t one;
	int cpu = sched_getcpu();

	CPU_ZERO(&one);
	CPU_SET((unsigned)(cpu < 0 ? 0 : cpu), &one);
	if (sched_setaffinity(0, sizeof(one), &one) < 0)
		die("sched_setaffinity: %s", strerror(errno));
}

int main(void)
{
	pid_t echo;

	cpu_choose();
	echo = echo_start();
	sink_open(&peers[SINK]);
	sink_open(&peers[OTHER]);
	sinks_fill();
	lanes_start(lanes, LANES, works);
	for (unsigned work = PING_PONG; work <= BATCH_MTU; work++) {
		lanes_run(lanes, TCP, work, ROUNDS);
		trapped_print(works[work].name, WHOLE);
		if (work == PING_PONG)
			trapped_print("    sendto alone", ALONE);
	}
	lanes_run(lanes, TCP, SEND, ROUNDS);
	untrapped_print(works[SEND].name, UDP);
	lanes_run(lanes, LANES, PAIR_SENDMSG, ROUNDS);
	untrapped_print(text("%s, TCP rule", works[PAIR_SENDMSG].name), TCP);
	trapped_print("    UDP rule", WHOLE);
	lanes_stop(lanes, LANES);
	kill(echo, SIGKILL);
	return 0;
}
