/* message.h says what this answers for. The kernel walks control messages by CMSG_OK and cmsg_nxthdr of
 * include/linux/socket.h; the C library's macros stop earlier, and would leave it what nobody has looked at. */
#include "supervise/message.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <string.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

enum {
	TYPE_TIMESTAMPING_OLD = 37,
	TYPE_TIMESTAMPING_NEW = 65,
	TYPE_TXTIME = 61,
	TYPE_IPV6_2292PKTINFO = 2,
	TYPE_IPV6_2292HOPLIMIT = 8,
	TYPE_IPV6_DONTFRAG = 62,
};

struct walk {
	const struct socket_kind *kind;
	const struct control_host *host;
	size_t fds;
};

/* One control message: its header was checked, `data` has `size` bytes. */
typedef int (*control_fn)(struct walk *walk, char *data, size_t size);

static int control_pass(struct walk *walk, char *data, size_t size)
{
	(void)walk, (void)data, (void)size;
	return 0;
}

static bool kind_takes_rights(const struct socket_kind *kind)
{
	return kind->domain == AF_UNIX;
}

static int control_rights(struct walk *walk, char *data, size_t size)
{
	size_t count = size / sizeof(int);

	if (!kind_takes_rights(walk->kind))
		return walk->kind->domain == AF_NETLINK ? -EINVAL
		                                        : 0; /* the internet protocols pass it over */
	if (count > MESSAGE_FDS_MAX - walk->fds)
		return -EINVAL;
	for (size_t i = 0; i < count; i++) {
		int number, taken;

		memcpy(&number, data + i * sizeof(int), sizeof(int));
		if (number < 0)
			return -EBADF;
		if ((taken = walk->host->take_fd(walk->host->context, number)) < 0)
			return taken;
		memcpy(data + i * sizeof(int), &taken, sizeof(int));
		walk->fds++;
	}
	return 0;
}

static int control_credentials(struct walk *walk, char *data, size_t size)
{
	struct ucred claimed;

	if (walk->kind->domain != AF_UNIX && walk->kind->domain != AF_NETLINK)
		return 0;
	if (size != sizeof(claimed))
		return -EINVAL;
	memcpy(&claimed, data, sizeof(claimed));
	return walk->host->speak_for(walk->host->context, &claimed);
}

/* The source address may be chosen among one's own; an interface would lead around the routes. */
static int control_pktinfo4(struct walk *walk, char *data, size_t size)
{
	struct in_pktinfo info;

	(void)walk;
	if (size != sizeof(info))
		return -EINVAL;
	memcpy(&info, data, sizeof(info));
	return info.ipi_ifindex == 0 ? 0 : -EPERM;
}

static int control_pktinfo6(struct walk *walk, char *data, size_t size)
{
	struct in6_pktinfo info;

	(void)walk;
	if (size < sizeof(info))
		return -EINVAL;
	memcpy(&info, data, sizeof(info));
	return info.ipi6_ifindex == 0 ? 0 : -EPERM;
}

static int control_refuse(struct walk *walk, char *data, size_t size)
{
	(void)walk, (void)data, (void)size;
	return -EPERM;
}

/* What is not here is not known, and refused. */
static const struct control_row {
	int level, type;
	control_fn look;
} rows[] = {
	{SOL_SOCKET, SCM_RIGHTS, control_rights},
	{SOL_SOCKET, SCM_CREDENTIALS, control_credentials},
	{SOL_SOCKET, TYPE_TIMESTAMPING_OLD, control_pass},
	{SOL_SOCKET, TYPE_TIMESTAMPING_NEW, control_pass},
	{SOL_SOCKET, TYPE_TXTIME, control_pass},
	{SOL_SOCKET, SO_PRIORITY, control_pass},
	{SOL_SOCKET, SO_MARK, control_refuse},
	{IPPROTO_IP, IP_TTL, control_pass},
	{IPPROTO_IP, IP_TOS, control_pass},
	{IPPROTO_IP, IP_PKTINFO, control_pktinfo4},
	{IPPROTO_IP, IP_RETOPTS, control_refuse},
	{IPPROTO_IPV6, IPV6_HOPLIMIT, control_pass},
	{IPPROTO_IPV6, TYPE_IPV6_2292HOPLIMIT, control_pass},
	{IPPROTO_IPV6, IPV6_TCLASS, control_pass},
	{IPPROTO_IPV6, TYPE_IPV6_DONTFRAG, control_pass},
	{IPPROTO_IPV6, IPV6_PKTINFO, control_pktinfo6},
	{IPPROTO_IPV6, TYPE_IPV6_2292PKTINFO, control_pktinfo6},
	{IPPROTO_UDP, UDP_SEGMENT, control_pass},
};

/* Routing headers, options, flow labels: EPERM for a protocol that has them; what no kernel of ours knows: EINVAL. */
static int control_look(struct walk *walk, const struct cmsghdr *header, char *data, size_t size)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].level == header->cmsg_level && rows[i].type == header->cmsg_type)
			return rows[i].look(walk, data, size);
	return header->cmsg_level == IPPROTO_IP || header->cmsg_level == IPPROTO_IPV6 ? -EPERM : -EINVAL;
}

int control_translate(const struct socket_kind *kind, void *control, size_t size,
                      const struct control_host *host)
{
	struct walk walk = {.kind = kind, .host = host};
	size_t at = 0;

	while (size - at >= sizeof(struct cmsghdr)) {
		struct cmsghdr header;
		size_t step;
		int r;

		memcpy(&header, (char *)control + at, sizeof(header));
		if (header.cmsg_len < sizeof(header) || header.cmsg_len > size - at)
			return -EINVAL;
		if ((r = control_look(&walk, &header, (char *)control + at + sizeof(header),
		                      header.cmsg_len - sizeof(header))) < 0)
			return r;
		step = CMSG_ALIGN(header.cmsg_len);
		at += step < size - at ? step : size - at;
	}
	return 0;
}
