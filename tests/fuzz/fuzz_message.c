/* Any bytes as the control data of a sendmsg(2). The first bytes pick the socket and what the host answers, the next
 * whether the rest is the buffer itself or says which messages to make, so that whole ones are met soon. What comes
 * out is walked once more as the kernel walks it: nothing may be left there that the kernel would act on and nobody
 * has looked at. */
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "supervise/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	OURS = 100000, /* where the numbers begin that the host gives out */
	TYPE_2292PKTINFO = 2,
	BUFFER_MAX = 4096,
};

static const struct socket_kind kinds[] = {
	{AF_INET, SOCK_DGRAM, IPPROTO_UDP},
	{AF_INET6, SOCK_DGRAM, IPPROTO_UDP},
	{AF_INET, SOCK_DGRAM, IPPROTO_ICMP},
	{AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6},
	{AF_INET, SOCK_STREAM, IPPROTO_TCP},
	{AF_INET6, SOCK_STREAM, IPPROTO_TCP},
	{AF_UNIX, SOCK_STREAM, 0},
	{AF_UNIX, SOCK_DGRAM, 0},
	{AF_UNIX, SOCK_SEQPACKET, 0},
	{AF_NETLINK, SOCK_RAW, 0},
	{AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE},
	{AF_VSOCK, SOCK_STREAM, 0},
};

/* What harmless and hostile messages are called; everything else the raw bytes find. */
static const struct {
	int level, type, size;
} names[] = {
	{SOL_SOCKET, SCM_RIGHTS, 4},
	{SOL_SOCKET, SCM_RIGHTS, 1012},
	{SOL_SOCKET, SCM_CREDENTIALS, 12},
	{SOL_SOCKET, 4 /* SCM_PIDFD */, 4},
	{SOL_SOCKET, SO_MARK, 4},
	{SOL_SOCKET, SO_PRIORITY, 4},
	{SOL_SOCKET, 37, 4},
	{SOL_SOCKET, 61, 8},
	{IPPROTO_IP, IP_TTL, 4},
	{IPPROTO_IP, IP_TOS, 4},
	{IPPROTO_IP, IP_TOS, 1},
	{IPPROTO_IP, IP_PKTINFO, 12},
	{IPPROTO_IP, IP_RETOPTS, 8},
	{IPPROTO_IP, IP_RECVOPTS, 8},
	{IPPROTO_IPV6, IPV6_PKTINFO, 20},
	{IPPROTO_IPV6, TYPE_2292PKTINFO, 20},
	{IPPROTO_IPV6, IPV6_HOPLIMIT, 4},
	{IPPROTO_IPV6, IPV6_TCLASS, 4},
	{IPPROTO_IPV6, IPV6_RTHDR, 24},
	{IPPROTO_IPV6, 5 /* IPV6_2292RTHDR */, 24},
	{IPPROTO_IPV6, IPV6_HOPOPTS, 8},
	{IPPROTO_IPV6, IPV6_DSTOPTS, 8},
	{IPPROTO_IPV6, IPV6_RTHDRDSTOPTS, 8},
	{IPPROTO_IPV6, 11 /* IPV6_FLOWINFO */, 4},
	{IPPROTO_UDP, 103 /* UDP_SEGMENT */, 2},
	{132, 1, 16},
};
enum { NAMES = sizeof(names) / sizeof(names[0]) };

struct host {
	int taken, told, fail_at, speaks;
};

static int take_fd(void *context, int number)
{
	struct host *host = context;

	assert(number >= 0);
	if (host->taken == host->fail_at)
		return -EBADF;
	return OURS + host->taken++;
}

static int speak_for(void *context, const struct ucred *claimed)
{
	struct ucred all = *claimed; /* all of it must be there to be read */
	struct host *host = context;

	host->told += all.pid == claimed->pid;
	return host->speaks ? 0 : -EPERM;
}

/* ---- the kernel's walk: include/linux/socket.h ---- */

struct view {
	const uint8_t *bytes;
	size_t size;
};

static bool view_first(const struct view *view, size_t *at)
{
	*at = 0;
	return view->size >= sizeof(struct cmsghdr);
}

/* CMSG_OK */
static bool view_holds(const struct view *view, size_t at, const struct cmsghdr *header)
{
	return header->cmsg_len >= sizeof(struct cmsghdr) && header->cmsg_len <= view->size - at;
}

/* __cmsg_nxthdr */
static bool view_next(const struct view *view, size_t *at, const struct cmsghdr *header)
{
	*at += (header->cmsg_len + sizeof(long) - 1) & ~(sizeof(long) - 1);
	return *at + sizeof(struct cmsghdr) <= view->size;
}

/* ---- what the kernel would do with what came out ---- */

static bool may_pass(const struct socket_kind *kind, const struct cmsghdr *header)
{
	static const struct {
		int level, type;
	} harmless[] = {
		{SOL_SOCKET, SCM_RIGHTS},
		{SOL_SOCKET, SCM_CREDENTIALS},
		{SOL_SOCKET, 37},
		{SOL_SOCKET, 65},
		{SOL_SOCKET, 61},
		{SOL_SOCKET, SO_PRIORITY},
		{IPPROTO_IP, IP_TTL},
		{IPPROTO_IP, IP_TOS},
		{IPPROTO_IP, IP_PKTINFO},
		{IPPROTO_IPV6, IPV6_HOPLIMIT},
		{IPPROTO_IPV6, 8},
		{IPPROTO_IPV6, IPV6_TCLASS},
		{IPPROTO_IPV6, 62},
		{IPPROTO_IPV6, IPV6_PKTINFO},
		{IPPROTO_IPV6, TYPE_2292PKTINFO},
		{IPPROTO_UDP, 103},
	};

	(void)kind;
	for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
		if (harmless[i].level == header->cmsg_level && harmless[i].type == header->cmsg_type)
			return true;
	return false;
}

static void rights_check(const uint8_t *data, size_t size, int *expected)
{
	for (size_t i = 0; i + sizeof(int) <= size; i += sizeof(int)) {
		int number;

		memcpy(&number, data + i, sizeof(int));
		assert(number == OURS + (*expected)++);
	}
}

static void interface_check(const uint8_t *data, size_t size, size_t offset)
{
	int interface;

	if (size < offset + sizeof(interface))
		return; /* the kernel refuses it */
	memcpy(&interface, data + offset, sizeof(interface));
	assert(interface == 0);
}

static void message_check(const struct socket_kind *kind, const struct cmsghdr *header, const uint8_t *data,
                          const uint8_t *original, int *expected)
{
	size_t size = header->cmsg_len - sizeof(*header);
	bool rights = header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS;

	assert(may_pass(kind, header));
	if (rights && kind->domain == AF_UNIX) {
		rights_check(data, size, expected);
		size %= sizeof(int);
		data += header->cmsg_len - sizeof(*header) - size;
		original += header->cmsg_len - sizeof(*header) - size;
	}
	assert(!(rights && kind->domain == AF_NETLINK));
	assert(memcmp(data, original, size) == 0);
	if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_PKTINFO)
		interface_check(data, size, offsetof(struct in_pktinfo, ipi_ifindex));
	if (header->cmsg_level == IPPROTO_IPV6 &&
	    (header->cmsg_type == IPV6_PKTINFO || header->cmsg_type == TYPE_2292PKTINFO))
		interface_check(data, size, offsetof(struct in6_pktinfo, ipi6_ifindex));
}

static void outcome_check(const struct socket_kind *kind, const struct view *after, const struct view *before,
                          const struct host *host)
{
	int expected = 0, told = 0;
	size_t at;

	for (bool more = view_first(after, &at); more;) {
		struct cmsghdr header, original;

		memcpy(&header, after->bytes + at, sizeof(header));
		memcpy(&original, before->bytes + at, sizeof(original));
		assert(memcmp(&header, &original, sizeof(header)) == 0);
		assert(view_holds(after, at, &header));
		message_check(kind, &header, after->bytes + at + sizeof(header),
		              before->bytes + at + sizeof(header), &expected);
		told += header.cmsg_level == SOL_SOCKET && header.cmsg_type == SCM_CREDENTIALS &&
		        (kind->domain == AF_UNIX || kind->domain == AF_NETLINK);
		more = view_next(after, &at, &header);
	}
	assert(expected == host->taken && expected <= MESSAGE_FDS_MAX);
	assert(told == host->told && (told == 0 || host->speaks));
}

/* The C library's walk stops no later than the kernel's: whoever looks by it sees a part. */
static void library_check(const struct view *view)
{
	struct msghdr header = {.msg_control = (void *)(uintptr_t)view->bytes, .msg_controllen = view->size};
	size_t count = 0, kernels = 0, at;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(&header); c != NULL; c = CMSG_NXTHDR(&header, c))
		count++;
	for (bool more = view_first(view, &at); more; kernels++) {
		struct cmsghdr found;

		memcpy(&found, view->bytes + at, sizeof(found));
		more = view_next(view, &at, &found);
	}
	assert(count <= kernels);
}

/* ---- making control data ---- */

struct source {
	const uint8_t *bytes;
	size_t left;
};

static uint8_t take(struct source *source)
{
	if (source->left == 0)
		return 0;
	source->left--;
	return *source->bytes++;
}

/* One message: two bytes say which and how its length is wrong, the rest is data, as far as there is any. */
static size_t message_make(struct source *source, uint8_t *to, size_t room)
{
	uint8_t which = take(source), twist = take(source);
	size_t size = (size_t)names[which % NAMES].size, step;
	struct cmsghdr header = {.cmsg_level = names[which % NAMES].level,
	                         .cmsg_type = names[which % NAMES].type};

	if (twist & 0x80)
		size = twist & 0x1f;
	header.cmsg_len = sizeof(header) + size;
	step = CMSG_ALIGN(header.cmsg_len);
	if (step > room)
		return 0;
	if (twist & 0x40)
		header.cmsg_len += (size_t)(int8_t)take(source);
	if (twist == 0x3f)
		header.cmsg_len = SIZE_MAX - take(source);
	memcpy(to, &header, sizeof(header));
	for (size_t i = sizeof(header); i < step; i++)
		to[i] = twist & 0x20 ? take(source) : 0;
	return step;
}

static size_t control_make(struct source *source, uint8_t *to)
{
	size_t size = 0, step;
	bool cut = take(source) & 1;

	while (source->left > 0 && (step = message_make(source, to + size, BUFFER_MAX - size)) > 0)
		size += step;
	/* A last message that ends where it ends, without what aligns it. */
	if (cut)
		size -= size < 4 ? size : 4;
	return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct source source = {data, size};
	const struct socket_kind *kind = &kinds[take(&source) % (sizeof(kinds) / sizeof(kinds[0]))];
	uint8_t choice = take(&source);
	struct host state = {.fail_at = choice & 2 ? take(&source) : -1, .speaks = choice & 4};
	struct control_host host = {&state, take_fd, speak_for};
	static uint8_t made[BUFFER_MAX];
	uint8_t *before, *after;
	int r;

	if (choice & 1) {
		size = control_make(&source, made);
	} else {
		size = source.left < BUFFER_MAX ? source.left : BUFFER_MAX;
		memcpy(made, source.bytes, size);
	}
	/* Blocks of just this size, so that ASan sees a read behind them. */
	before = malloc(size + 1);
	after = malloc(size);
	assert(before != NULL && (after != NULL || size == 0));
	memcpy(before, made, size);
	if (size > 0)
		memcpy(after, made, size);
	r = control_translate(kind, after, size, &host);
	assert(r <= 0 && r > -4096 && state.taken <= MESSAGE_FDS_MAX);
	if (r == 0) {
		outcome_check(kind, &(struct view){after, size}, &(struct view){before, size}, &state);
		library_check(&(struct view){after, size});
	}
	free(before);
	free(after);
	return 0;
}
