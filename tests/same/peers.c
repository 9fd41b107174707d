/* same.h says what each is for. */
#include "tests/same/same.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

const struct kind_row kinds[KINDS] = {
	[TCP4] = {"tcp4", AF_INET, SOCK_STREAM},
	[TCP6] = {"tcp6", AF_INET6, SOCK_STREAM},
	[UDP4] = {"udp4", AF_INET, SOCK_DGRAM},
	[UDP6] = {"udp6", AF_INET6, SOCK_DGRAM},
	[UNIX_STREAM] = {"unix stream", AF_UNIX, SOCK_STREAM},
	[UNIX_SEQPACKET] = {"unix seqpacket", AF_UNIX, SOCK_SEQPACKET},
	[UNIX_DGRAM] = {"unix dgram", AF_UNIX, SOCK_DGRAM},
};

bool kind_is_stream(int kind)
{
	return kinds[kind].type == SOCK_STREAM;
}

bool kind_is_datagram(int kind)
{
	return kinds[kind].type == SOCK_DGRAM;
}

/* ---- places ---- */

struct place place_v4(uint32_t host, uint16_t port)
{
	struct place place = {.size = sizeof(struct sockaddr_in)};

	place.at.v4 = (struct sockaddr_in){AF_INET, htons(port), {htonl(host)}, {0}};
	return place;
}

struct place place_v6(uint16_t port)
{
	struct place place = {.size = sizeof(struct sockaddr_in6)};

	place.at.v6.sin6_family = AF_INET6;
	place.at.v6.sin6_port = htons(port);
	place.at.v6.sin6_addr = in6addr_loopback;
	return place;
}

struct place place_mapped(uint16_t port)
{
	struct place place = place_v6(port);
	static const uint8_t mapped[16] = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1};

	memcpy(&place.at.v6.sin6_addr, mapped, sizeof(mapped));
	return place;
}

struct place place_path(const char *path)
{
	struct place place = {.size = sizeof(struct sockaddr_un)};
	size_t length = strlen(path);

	place.at.un.sun_family = AF_UNIX;
	NEED(length <= sizeof(place.at.un.sun_path));
	memcpy(place.at.un.sun_path, path, length);
	return place;
}

struct place place_abstract(const char *name)
{
	struct place place = {.size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name))};

	place.at.un.sun_family = AF_UNIX;
	memcpy(place.at.un.sun_path + 1, name, strlen(name));
	return place;
}

struct place place_of(int fd)
{
	struct place place = {.size = sizeof(place.at)};

	NEED(getsockname(fd, &place.at.any, &place.size) == 0);
	return place;
}

uint16_t place_port(const struct place *place)
{
	return ntohs(place->at.v4.sin_port); /* v6 has it at the same place */
}

/* ---- sockets ---- */

int socket_of(int kind, int flags)
{
	int fd = socket(kinds[kind].family, kinds[kind].type | SOCK_CLOEXEC | flags, 0);

	NEED(fd >= 0);
	return fd;
}

static struct place place_own(int kind, const char *name)
{
	if (kinds[kind].family == AF_UNIX)
		return place_path(name);
	return kinds[kind].family == AF_INET ? place_v4(INADDR_LOOPBACK, 0) : place_v6(0);
}

int peer_of(int kind, const char *name, struct place *place)
{
	int fd = socket_of(kind, 0);

	*place = place_own(kind, name);
	NEED(bind(fd, &place->at.any, place->size) == 0);
	if (!kind_is_datagram(kind))
		NEED(listen(fd, 16) == 0);
	if (kinds[kind].family != AF_UNIX)
		*place = place_of(fd);
	return fd;
}

/* TCP: bound, not listening. UDP: connected to somebody else, so that nobody hears us and nobody else gets the port.
 * Unix: the file of a socket that is closed. */
struct place place_refusing(int kind, int *keeper)
{
	struct place place = place_own(kind, "refusing"), elsewhere;

	*keeper = socket_of(kind, 0);
	NEED(bind(*keeper, &place.at.any, place.size) == 0);
	if (kinds[kind].family == AF_UNIX) {
		close(*keeper);
		return place;
	}
	place = place_of(*keeper);
	if (kind_is_datagram(kind)) {
		elsewhere = kind == UDP4 ? place_v4(INADDR_LOOPBACK + 77, 9) : place_v6(9);
		NEED(connect_place(*keeper, &elsewhere) == 0);
	}
	return place;
}

struct pair pair_of(int kind)
{
	struct pair pair = {.ours = socket_of(kind, 0), .theirs = -1, .listener = -1};
	int peer = peer_of(kind, "peer", &pair.place);

	NEED(connect_place(pair.ours, &pair.place) == 0);
	if (kind_is_datagram(kind)) {
		pair.theirs = peer;
	} else {
		pair.listener = peer;
		NEED((pair.theirs = accept4(peer, NULL, NULL, SOCK_CLOEXEC)) >= 0);
	}
	return pair;
}

int connect_place(int fd, const struct place *place)
{
	return connect(fd, &place->at.any, place->size);
}

ssize_t send_place(int fd, const void *bytes, size_t size, int flags, const struct place *place)
{
	return sendto(fd, bytes, size, flags, &place->at.any, place->size);
}

/* ---- calls ---- */

const char *const call_names[CALLS] = {
	[CALL_CONNECT] = "connect", [CALL_BIND] = "bind",         [CALL_SENDTO] = "sendto",
	[CALL_SENDMSG] = "sendmsg", [CALL_SENDMMSG] = "sendmmsg",
};

/* What the C library calls socklen_t is an int to the kernel. */
long call_address(int call, int fd, const void *address, int size, int flags)
{
	struct iovec part = {(void *)"hello", 5};
	struct mmsghdr one = {.msg_hdr = {.msg_name = (void *)address,
	                                  .msg_namelen = (socklen_t)size,
	                                  .msg_iov = &part,
	                                  .msg_iovlen = 1}};

	switch (call) {
	case CALL_CONNECT:
		return syscall(SYS_connect, fd, address, size);
	case CALL_BIND:
		return syscall(SYS_bind, fd, address, size);
	case CALL_SENDTO:
		return syscall(SYS_sendto, fd, "hello", 5, flags, address, size);
	case CALL_SENDMSG:
		return syscall(SYS_sendmsg, fd, &one.msg_hdr, flags);
	default:
		return syscall(SYS_sendmmsg, fd, &one, 1, flags);
	}
}

const char *const way_names[WAYS] = {"send", "sendto its peer", "sendmsg", "sendmmsg"};

long send_way(int way, int fd, const void *bytes, size_t size, int flags)
{
	struct iovec part = {(void *)bytes, size};
	struct mmsghdr one = {.msg_hdr = {.msg_iov = &part, .msg_iovlen = 1}};
	struct place peer = {.size = sizeof(peer.at)};
	long r;

	switch (way) {
	case WAY_SENDTO:
		if (getpeername(fd, &peer.at.any, &peer.size) == 0)
			return send_place(fd, bytes, size, flags, &peer);
		/* fall through */
	case WAY_SEND:
		return send(fd, bytes, size, flags);
	case WAY_SENDMSG:
		return sendmsg(fd, &one.msg_hdr, flags);
	default:
		r = sendmmsg(fd, &one, 1, flags);
		return r == 1 ? (long)one.msg_len : r;
	}
}

/* ---- memory ---- */

static char *pages(size_t count, int rights)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *at = mmap(NULL, count * page, rights, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	NEED(at != MAP_FAILED);
	return at;
}

void *memory_ending(const void *bytes, size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (size + page - 1) / page;
	char *at = pages(room + 1, PROT_READ | PROT_WRITE);

	NEED(mprotect(at + room * page, page, PROT_NONE) == 0);
	memcpy(at + room * page - size, bytes, size);
	return at + room * page - size;
}

void *memory_none(void)
{
	return pages(1, PROT_NONE);
}

void *memory_readonly(const void *bytes, size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (size + page - 1) / page;
	char *at = pages(room, PROT_READ | PROT_WRITE);

	memcpy(at, bytes, size);
	NEED(mprotect(at, room * page, PROT_READ) == 0);
	return at;
}

void *memory_beyond_file(void)
{
	int fd = open("short", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	char *at = mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	NEED(fd >= 0 && at != MAP_FAILED);
	close(fd);
	return at;
}

/* ---- time ---- */

static volatile sig_atomic_t counted;
static int latch[2] = {-1, -1};

static void count_one(int number)
{
	int error = errno;

	(void)number;
	counted++;
	latch_open();
	errno = error;
}

void signal_count(int number, int flags)
{
	struct sigaction action = {.sa_handler = count_one, .sa_flags = flags};

	NEED(pipe2(latch, O_CLOEXEC | O_NONBLOCK) == 0);
	NEED(sigaction(number, &action, NULL) == 0);
	counted = 0;
}

void latch_open(void)
{
	/* Full is open as well. */
	if (write(latch[1], "", 1) < 0)
		return;
}

void latch_wait(void)
{
	poll(&(struct pollfd){.fd = latch[0], .events = POLLIN}, 1, 5000);
}

void note_signals(void)
{
	note("signals %s", counted > 0 ? "yes" : "no");
}

void alarm_every(int milliseconds)
{
	struct timeval period = {milliseconds / 1000, milliseconds % 1000 * 1000};

	NEED(setitimer(ITIMER_REAL, &(struct itimerval){period, period}, NULL) == 0);
}

pid_t child_begin(void (*body)(const int *numbers), const int *numbers)
{
	pid_t child = fork();

	NEED(child >= 0);
	if (child > 0)
		return child;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	body(numbers);
	_exit(0);
}

void child_wait(pid_t child)
{
	waitpid(child, NULL, 0);
}

void pause_ms(int milliseconds)
{
	struct timespec pause = {milliseconds / 1000, milliseconds % 1000 * 1000000L};

	nanosleep(&pause, NULL);
}
