/* Asking for names before there is a supervisor: the system's resolver cannot be told which server to ask, and in a
 * static program it would load the system's modules. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "core/error.h"
#include "core/fd.h"
#include "netpolicy/dns.h"

enum { TRIES = 3, WAIT_MS = 2000, RESOLV_CONF_MAX = 1 << 14 };

void dns_servers_load(struct dns_servers *servers)
{
	char text[RESOLV_CONF_MAX];
	cleanup_fd int fd = open("/etc/resolv.conf", O_RDONLY | O_CLOEXEC);
	size_t used = 0;
	ssize_t got = 0;

	while (fd >= 0 && used < sizeof(text) - 1 &&
	       (got = read(fd, text + used, sizeof(text) - 1 - used)) > 0)
		used += (size_t)got;
	text[used] = '\0';
	dns_servers_parse(text, servers);
}

int dns_socket_open(const struct net_endpoint *server)
{
	struct sockaddr_storage address;
	socklen_t size = net_endpoint_write(server, server->addr.family, &address);
	cleanup_fd int fd = socket(server->addr.family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&address, size) < 0)
		return -errno;
	return fd_steal(&fd);
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Datagrams that are no answer to us are passed over. */
static int answer_await(int fd, const uint8_t *ask, size_t ask_size, struct dns_reply *reply)
{
	struct pollfd poller = {.fd = fd, .events = POLLIN};
	int64_t end = now_ms() + WAIT_MS, left;

	while ((left = end - now_ms()) > 0) {
		uint8_t message[DNS_MESSAGE_MAX];
		ssize_t got;
		int r;

		if (poll(&poller, 1, (int)left) <= 0)
			continue;
		if ((got = recv(fd, message, sizeof(message), 0)) < 0) {
			if (errno != EAGAIN && errno != EINTR)
				return -errno;
			continue;
		}
		if ((r = dns_reply_read(message, (size_t)got, ask, ask_size, reply)) != -EBADMSG)
			return r;
	}
	return -ETIMEDOUT;
}

static int server_ask(const struct net_endpoint *server, const char *name, enum dns_type type, bool edns,
                      struct dns_reply *reply)
{
	cleanup_fd int fd = dns_socket_open(server);
	uint8_t random[DNS_RANDOM], ask[DNS_ASK_MAX];
	int size;

	if (fd < 0)
		return fd;
	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return -EIO;
	if ((size = dns_ask_write(name, type, edns, random, ask)) < 0)
		return size;
	if (send(fd, ask, (size_t)size, MSG_NOSIGNAL) < 0)
		return -errno;
	return answer_await(fd, ask, (size_t)size, reply);
}

/* 0 once a server has said that the name has addresses of the type, or has none. */
static int type_ask(const struct dns_servers *servers, const char *name, enum dns_type type,
                    struct dns_reply *reply)
{
	bool edns = true;
	int r = -EHOSTUNREACH;

	for (size_t i = 0; i < TRIES; i++) {
		r = server_ask(&servers->servers[i % servers->count], name, type, edns, reply);
		if (r == 0 && (reply->code == DNS_NXDOMAIN ||
		               (reply->code == DNS_NOERROR && (reply->count > 0 || !reply->truncated))))
			return 0;
		if (r == 0)
			edns = reply->code != DNS_FORMERR && reply->code != DNS_NOTIMP;
		r = r == 0 ? -EREMOTEIO : r;
	}
	return r;
}

int dns_resolve(const struct dns_servers *servers, const char *name, struct net_addr *addrs, size_t room,
                sl_error *error)
{
	static const enum dns_type types[] = {DNS_A, DNS_AAAA};
	size_t count = 0, known;
	const struct net_addr *local = dns_local(name, &known);

	for (; local != NULL && count < known && count < room; count++)
		addrs[count] = local[count];
	for (size_t i = 0; local == NULL && i < sizeof(types) / sizeof(types[0]); i++) {
		struct dns_reply reply;
		int r = type_ask(servers, name, types[i], &reply);

		if (r < 0)
			return error_errno(error, r, "asking for the addresses of %.253s", name);
		for (size_t k = 0; reply.code == DNS_NOERROR && k < reply.count && count < room; k++)
			addrs[count++] = reply.addrs[k];
	}
	if (count == 0)
		return error_set(error, -ENOENT, "%.253s has no address", name);
	return (int)count;
}
