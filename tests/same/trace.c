/* same.h says what each is for. */
#include "tests/same/same.h"

#include <arpa/inet.h>
#include <netinet/udp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct {
	struct trace *trace;
	char directory[256];
	uint16_t ports[26];
	unsigned port_count;
} to;

void trace_begin(struct trace *trace, const char *directory)
{
	to.trace = trace;
	snprintf(to.directory, sizeof(to.directory), "%s", directory);
}

void note(const char *format, ...)
{
	struct trace *trace = to.trace;
	size_t room = sizeof(trace->text) - trace->length;
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(trace->text + trace->length, room, format, args);
	va_end(args);
	if (length < 0 || (size_t)length + 2 > room)
		return;
	trace->length += (size_t)length;
	trace->text[trace->length++] = '\n';
	trace->text[trace->length] = '\0';
}

const char *error_name(int error)
{
	const char *name = strerrorname_np(error);
	static char number[16];

	if (name != NULL)
		return name;
	snprintf(number, sizeof(number), "errno %d", error);
	return number;
}

long note_result(const char *what, long result)
{
	int error = result < 0 ? errno : 0;

	if (result < 0)
		note("%s -> %ld %s", what, result, error_name(error));
	else
		note("%s -> %ld", what, result);
	errno = error;
	return result;
}

void need_failed(const char *file, int line, const char *condition)
{
	note("%s:%d: not as it should be: %s (%s)", file, line, condition, error_name(errno));
	_exit(1);
}

static const char *port_text(uint16_t port)
{
	static char texts[4][8];
	static unsigned next;
	char *text = texts[next++ % 4];
	unsigned i = 0;

	if (port < 1024) {
		snprintf(text, sizeof(texts[0]), "%u", port);
		return text;
	}
	while (i < to.port_count && to.ports[i] != port)
		i++;
	if (i == to.port_count && to.port_count < COUNT_OF(to.ports))
		to.ports[to.port_count++] = port;
	snprintf(text, sizeof(texts[0]), "%c", 'A' + (char)i);
	return text;
}

static void unix_text(char *text, size_t room, const struct sockaddr_un *un, size_t size)
{
	size_t length = size - offsetof(struct sockaddr_un, sun_path), own = strlen(to.directory);
	const char *path = un->sun_path;

	if (length == 0)
		snprintf(text, room, "unix unnamed");
	else if (path[0] == '\0' && length == 6)
		snprintf(text, room, "unix @auto (%zu)", size);
	else if (path[0] == '\0')
		snprintf(text, room, "unix @%.*s (%zu)", (int)length - 1, path + 1, size);
	else if (strncmp(path, to.directory, own) == 0)
		snprintf(text, room, "unix $DIR%.*s", (int)(length - own), path + own);
	else
		snprintf(text, room, "unix %.*s (%zu)", (int)length, path, size);
}

const char *address_text(const void *address, socklen_t size)
{
	static char texts[4][256];
	static unsigned next;
	char *text = texts[next++ % 4], host[INET6_ADDRSTRLEN];
	struct place place = {0};

	if (size < sizeof(sa_family_t)) {
		snprintf(text, sizeof(texts[0]), "none (%u)", size);
		return text;
	}
	memcpy(&place.at, address, size < sizeof(place.at) ? size : sizeof(place.at) - 1);
	if (place.at.any.sa_family == AF_INET)
		snprintf(text, sizeof(texts[0]), "%s:%s",
		         inet_ntop(AF_INET, &place.at.v4.sin_addr, host, sizeof(host)),
		         port_text(ntohs(place.at.v4.sin_port)));
	else if (place.at.any.sa_family == AF_INET6)
		snprintf(text, sizeof(texts[0]), "[%s]:%s",
		         inet_ntop(AF_INET6, &place.at.v6.sin6_addr, host, sizeof(host)),
		         port_text(ntohs(place.at.v6.sin6_port)));
	else if (place.at.any.sa_family == AF_UNIX)
		unix_text(text, sizeof(texts[0]), &place.at.un, size);
	else
		snprintf(text, sizeof(texts[0]), "family %u (%u)", place.at.any.sa_family, size);
	return text;
}

const char *bytes_text(const void *bytes, size_t size)
{
	static char text[96];
	const unsigned char *at = bytes;
	uint32_t hash = 2166136261;
	bool printable = size <= 48;

	for (size_t i = 0; i < size; i++) {
		hash = (hash ^ at[i]) * 16777619;
		printable = printable && at[i] >= ' ' && at[i] <= '~';
	}
	if (printable)
		snprintf(text, sizeof(text), "'%.*s'", (int)size, (const char *)bytes);
	else
		snprintf(text, sizeof(text), "%zu bytes %08x", size, hash);
	return text;
}

void note_peer_name(int fd)
{
	struct place peer = {.size = sizeof(peer.at)};

	if (getpeername(fd, &peer.at.any, &peer.size) < 0)
		note("  peer name -> %s", error_name(errno));
	else
		note("  peer name %s", address_text(&peer.at, peer.size));
}

void note_names(int fd)
{
	struct place own = {.size = sizeof(own.at)};

	if (getsockname(fd, &own.at.any, &own.size) < 0)
		note("  own name -> %s", error_name(errno));
	else
		note("  own name %s", address_text(&own.at, own.size));
	note_peer_name(fd);
}

void note_error_of(int fd)
{
	int error = -1;
	socklen_t size = sizeof(error);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		note("  SO_ERROR -> %s", error_name(errno));
	else
		note("  SO_ERROR %s", error == 0 ? "0" : error_name(error));
}

void note_poll(int fd, short events, int milliseconds)
{
	struct pollfd ready = {.fd = fd, .events = events};
	int r = poll(&ready, 1, milliseconds);

	note("  poll -> %d%s%s%s%s%s", r, ready.revents & POLLIN ? " IN" : "",
	     ready.revents & POLLOUT ? " OUT" : "", ready.revents & POLLERR ? " ERR" : "",
	     ready.revents & POLLHUP ? " HUP" : "", ready.revents & POLLRDHUP ? " RDHUP" : "");
}

/* ---- what arrived ---- */

enum { ARRIVAL_MS = 3000 };

static bool readable(int fd, int milliseconds)
{
	struct pollfd ready = {.fd = fd, .events = POLLIN};

	return poll(&ready, 1, milliseconds) > 0;
}

static void note_control(const struct cmsghdr *control)
{
	int value = 0;
	size_t size = control->cmsg_len - CMSG_LEN(0);

	memcpy(&value, CMSG_DATA(control), size < sizeof(value) ? size : sizeof(value));
	if (control->cmsg_level == SOL_SOCKET && control->cmsg_type == SCM_RIGHTS)
		note("    with %zu descriptors", size / sizeof(int));
	else if (control->cmsg_level == SOL_SOCKET)
		note("    with SOL_SOCKET %d, %zu bytes", control->cmsg_type, size);
	else
		note("    with level %d type %d: %d", control->cmsg_level, control->cmsg_type, value);
}

static bool arrival_take(int fd)
{
	static char bytes[70000];
	char control[2048];
	struct place from = {0};
	struct iovec part = {bytes, sizeof(bytes)};
	struct msghdr message = {.msg_name = &from.at,
	                         .msg_namelen = sizeof(from.at),
	                         .msg_iov = &part,
	                         .msg_iovlen = 1,
	                         .msg_control = control,
	                         .msg_controllen = sizeof(control)};
	ssize_t size = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (size < 0 && errno != EAGAIN)
		note("  there: %s", error_name(errno));
	if (size < 0)
		return false;
	note("  there: %zd %s from %s flags %x", size, bytes_text(bytes, (size_t)size),
	     address_text(&from.at, message.msg_namelen),
	     (unsigned)message.msg_flags & ~(unsigned)MSG_CMSG_CLOEXEC);
	for (struct cmsghdr *at = CMSG_FIRSTHDR(&message); at != NULL; at = CMSG_NXTHDR(&message, at))
		note_control(at);
	return true;
}

void note_arrivals(int fd, int expected)
{
	int count = 0;

	while (count < expected && readable(fd, ARRIVAL_MS) && arrival_take(fd))
		count++;
	for (; count < 32 && arrival_take(fd); count++)
		;
	if (count == 0)
		note("  there: nothing");
	else if (count == 32)
		note("  there: and maybe more");
}

void note_stream(int fd, size_t expected)
{
	static char bytes[1 << 16];
	size_t count = 0;
	ssize_t r = -1;

	while (count < sizeof(bytes) && readable(fd, count < expected ? ARRIVAL_MS : 0) &&
	       (r = recv(fd, bytes + count, sizeof(bytes) - count, MSG_DONTWAIT)) > 0)
		count += (size_t)r;
	note("  there: %s", count == 0 ? "nothing" : bytes_text(bytes, count));
	if (r == 0)
		note("  there: end of file");
	else if (r < 0 && errno != EAGAIN && count == 0 && readable(fd, 0))
		note("  there: %s", error_name(errno));
}

/* ---- SIGPIPE ---- */

static volatile sig_atomic_t pipes;

static void pipe_seen(int number)
{
	(void)number;
	pipes++;
}

void pipes_count(void)
{
	struct sigaction action = {.sa_handler = pipe_seen};

	sigaction(SIGPIPE, &action, NULL);
	pipes = 0;
}

void note_pipes(void)
{
	note("  SIGPIPE %d", (int)pipes);
	pipes = 0;
}
