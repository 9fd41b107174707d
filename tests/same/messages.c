/* sendmsg and sendmmsg: headers, iovecs and control messages, good and bad. */
#include "tests/same/same.h"

#include <limits.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- the header ---- */

/* What a scenario may make of a good message: two iovecs, "hello" and "world", and where it is unconnected a name. */
struct draft {
	struct msghdr *header;
	struct iovec *parts; /* 1100 */
	char *control;       /* 100 KiB */
};

static void no_parts(struct draft *draft)
{
	draft->header->msg_iovlen = 0;
}

static void no_parts_null(struct draft *draft)
{
	draft->header->msg_iov = NULL;
	draft->header->msg_iovlen = 0;
}

static void one_part(struct draft *draft)
{
	draft->header->msg_iovlen = 1;
}

static void two_parts(struct draft *draft)
{
	(void)draft;
}

static void parts_of(struct draft *draft, size_t count)
{
	for (size_t i = 0; i < count && i < 1100; i++)
		draft->parts[i] = (struct iovec){"abcd", i % 3};
	draft->header->msg_iovlen = count;
}

static void three_parts(struct draft *draft)
{
	parts_of(draft, 3);
}

static void most_parts(struct draft *draft)
{
	parts_of(draft, 1024);
}

static void too_many_parts(struct draft *draft)
{
	parts_of(draft, 1025);
}

static void endless_parts(struct draft *draft)
{
	parts_of(draft, SIZE_MAX);
}

static void null_parts(struct draft *draft)
{
	draft->header->msg_iov = NULL;
}

static void parts_at_page_end(struct draft *draft)
{
	draft->header->msg_iov = memory_ending(draft->parts, 2 * sizeof(struct iovec));
}

static void parts_over_page_end(struct draft *draft)
{
	draft->header->msg_iov = (struct iovec *)memory_ending(draft->parts, 2 * sizeof(struct iovec)) + 1;
}

static void negative_part(struct draft *draft)
{
	draft->parts[1].iov_len = (size_t)SSIZE_MAX + 1;
}

static void parts_that_overflow(struct draft *draft)
{
	draft->parts[0].iov_len = SSIZE_MAX;
	draft->parts[1].iov_len = SSIZE_MAX;
}

static void bad_first_part(struct draft *draft)
{
	draft->parts[0].iov_base = memory_none();
}

static void bad_second_part(struct draft *draft)
{
	draft->parts[1].iov_base = memory_none();
}

static void kernel_second_part(struct draft *draft)
{
	draft->parts[1].iov_base = (void *)0xffff888000000000;
}

static void bad_empty_part(struct draft *draft)
{
	draft->parts[1] = (struct iovec){(void *)1, 0};
}

static void part_over_page_end(struct draft *draft)
{
	draft->parts[1].iov_base = (char *)memory_ending("world", 5) + 2;
}

static void part_beyond_file(struct draft *draft)
{
	draft->parts[1].iov_base = memory_beyond_file();
}

static void no_name_with_length(struct draft *draft)
{
	draft->header->msg_name = NULL;
	draft->header->msg_namelen = 16;
}

static void name_without_length(struct draft *draft)
{
	draft->header->msg_namelen = 0;
}

static void long_name(struct draft *draft)
{
	draft->header->msg_namelen = 200;
}

static void negative_name(struct draft *draft)
{
	draft->header->msg_namelen = (socklen_t)-1;
}

static void bad_name(struct draft *draft)
{
	draft->header->msg_name = memory_none();
	draft->header->msg_namelen = 16;
}

static void bad_name_and_no_parts(struct draft *draft)
{
	bad_name(draft);
	draft->header->msg_iovlen = 1025;
}

static void odd_flags_inside(struct draft *draft)
{
	draft->header->msg_flags = -1;
}

static void control_of(struct draft *draft, size_t size)
{
	draft->header->msg_control = draft->control;
	draft->header->msg_controllen = size;
}

static void control_null(struct draft *draft)
{
	draft->header->msg_control = NULL;
	draft->header->msg_controllen = 64;
}

static void control_bad(struct draft *draft)
{
	draft->header->msg_control = memory_none();
	draft->header->msg_controllen = 64;
}

static void control_bad_empty(struct draft *draft)
{
	draft->header->msg_control = (void *)1;
	draft->header->msg_controllen = 0;
}

static void control_short(struct draft *draft)
{
	control_of(draft, sizeof(struct cmsghdr) - 1);
}

static void control_zeros(struct draft *draft)
{
	control_of(draft, 64);
}

static void control_garbage(struct draft *draft)
{
	memset(draft->control, 0xa5, 64);
	control_of(draft, 64);
}

static void control_huge(struct draft *draft)
{
	control_of(draft, (size_t)INT_MAX + 1);
}

static void control_too_large(struct draft *draft)
{
	control_of(draft, INT_MAX - 1);
}

static void control_longer_than_said(struct draft *draft)
{
	*(struct cmsghdr *)(void *)draft->control =
		(struct cmsghdr){.cmsg_len = 100, .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
	control_of(draft, 64);
}

static void control_unknown(struct draft *draft)
{
	*(struct cmsghdr *)(void *)draft->control =
		(struct cmsghdr){.cmsg_len = 20, .cmsg_level = SOL_SOCKET, .cmsg_type = 12345};
	control_of(draft, 24);
}

static void control_of_nobody(struct draft *draft)
{
	*(struct cmsghdr *)(void *)draft->control =
		(struct cmsghdr){.cmsg_len = 20, .cmsg_level = 12345, .cmsg_type = 1};
	control_of(draft, 24);
}

static void control_empty_rights(struct draft *draft)
{
	*(struct cmsghdr *)(void *)draft->control =
		(struct cmsghdr){.cmsg_len = 16, .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
	control_of(draft, 16);
}

static void control_trailing(struct draft *draft)
{
	control_empty_rights(draft);
	draft->header->msg_controllen = 16 + 7;
}

static const struct {
	const char *name;
	void (*spoil)(struct draft *draft);
} drafts[] = {
	{"no iovec", no_parts},
	{"no iovec, a null pointer", no_parts_null},
	{"one iovec", one_part},
	{"two iovecs", two_parts},
	{"three iovecs", three_parts},
	{"1024 iovecs", most_parts},
	{"1025 iovecs", too_many_parts},
	{"SIZE_MAX iovecs", endless_parts},
	{"iovecs at a null pointer", null_parts},
	{"iovecs up to the end of a page", parts_at_page_end},
	{"iovecs beyond the end of a page", parts_over_page_end},
	{"a negative iovec", negative_part},
	{"iovecs whose sum overflows", parts_that_overflow},
	{"a bad first iovec", bad_first_part},
	{"a bad second iovec", bad_second_part},
	{"a second iovec in the kernel", kernel_second_part},
	{"a bad iovec of no length", bad_empty_part},
	{"an iovec beyond the end of a page", part_over_page_end},
	{"an iovec past its file", part_beyond_file},
	{"no name with a length", no_name_with_length},
	{"a name without length", name_without_length},
	{"a name of 200 bytes", long_name},
	{"a name of -1 bytes", negative_name},
	{"a bad name", bad_name},
	{"a bad name and too many iovecs", bad_name_and_no_parts},
	{"odd msg_flags", odd_flags_inside},
	{"no control with a length", control_null},
	{"bad control", control_bad},
	{"bad control of no length", control_bad_empty},
	{"control of 15 bytes", control_short},
	{"control of zeros", control_zeros},
	{"control of garbage", control_garbage},
	{"control of 2 GiB", control_huge},
	{"control of INT_MAX - 1", control_too_large},
	{"control longer than controllen", control_longer_than_said},
	{"control of an unknown type", control_unknown},
	{"control of an unknown level", control_of_nobody},
	{"SCM_RIGHTS of nothing", control_empty_rights},
	{"control and seven bytes", control_trailing},
};

/* with: kind, draft, 1: connected (others are named) */
static void one_draft(const int *with)
{
	static struct iovec parts[1100];
	static _Alignas(16) char control[100 * 1024];
	int kind = with[0];
	struct pair pair = pair_of(kind);
	int fd = with[2] ? pair.ours : socket_of(kind, 0);
	struct mmsghdr one = {.msg_hdr = {.msg_iov = parts, .msg_iovlen = 2}};
	struct draft draft = {&one.msg_hdr, parts, control};

	parts[0] = (struct iovec){"hello", 5};
	parts[1] = (struct iovec){"world", 5};
	if (!with[2])
		one.msg_hdr.msg_name = &pair.place.at, one.msg_hdr.msg_namelen = pair.place.size;
	drafts[with[1]].spoil(&draft);
	for (int many = 0; many < 2; many++) {
		long r = many ? syscall(SYS_sendmmsg, fd, &one, 1, MSG_NOSIGNAL | MSG_DONTWAIT)
		              : syscall(SYS_sendmsg, fd, &one.msg_hdr, MSG_NOSIGNAL | MSG_DONTWAIT);

		note_result(many ? "sendmmsg" : "sendmsg", r);
		note("  msg_len %u", one.msg_len);
		if (kind_is_stream(kind))
			note_stream(pair.theirs, r > 0 && !many ? (size_t)r : one.msg_len);
		else
			note_arrivals(pair.theirs, many ? r == 1 : r > 0);
	}
	note_error_of(fd);
}

static void add_drafts(void)
{
	for (int kind = 0; kind < KINDS; kind++)
		for (size_t i = 0; i < COUNT_OF(drafts); i++)
			scenario_add(one_draft, WITH(kind, (int)i, 1), "message on connected %s: %s",
			             kinds[kind].name, drafts[i].name);
	for (int kind = 0; kind < KINDS; kind++)
		for (size_t i = 0; kind_is_datagram(kind) && i < COUNT_OF(drafts); i++)
			scenario_add(one_draft, WITH(kind, (int)i, 0), "message on %s by name: %s",
			             kinds[kind].name, drafts[i].name);
}

/* with: kind. Where the header itself is. */
static void header_places(const int *with)
{
	struct pair pair = pair_of(with[0]);
	struct iovec part = {"hello", 5};
	struct mmsghdr two[2] = {{.msg_hdr = {.msg_iov = &part, .msg_iovlen = 1}, .msg_len = 77},
	                         {.msg_hdr = {.msg_iov = &part, .msg_iovlen = 1}, .msg_len = 78}};
	struct mmsghdr *at = memory_ending(two, sizeof(two[0])), *fixed = memory_readonly(two, sizeof(two));

	NOTE(syscall(SYS_sendmsg, pair.ours, NULL, MSG_NOSIGNAL));
	NOTE(syscall(SYS_sendmsg, pair.ours, memory_none(), MSG_NOSIGNAL));
	NOTE(syscall(SYS_sendmsg, pair.ours, memory_ending(&two[0].msg_hdr, sizeof(struct msghdr)),
	             MSG_NOSIGNAL));
	NOTE(syscall(SYS_sendmsg, pair.ours, (char *)memory_ending(two, sizeof(struct msghdr)) + 8,
	             MSG_NOSIGNAL));
	NOTE(syscall(SYS_sendmmsg, pair.ours, NULL, 1, MSG_NOSIGNAL));
	NOTE(syscall(SYS_sendmmsg, pair.ours, at, 2, MSG_NOSIGNAL));
	note("msg_len %u", at->msg_len);
	NOTE(syscall(SYS_sendmmsg, pair.ours, fixed, 2, MSG_NOSIGNAL));
	note("msg_len %u %u", fixed[0].msg_len, fixed[1].msg_len);
	NOTE(syscall(SYS_sendmmsg, pair.ours, (char *)memory_ending(two, sizeof(two)) + 1, 2, MSG_NOSIGNAL));
	if (kind_is_stream(with[0]))
		note_stream(pair.theirs, 15);
	else
		note_arrivals(pair.theirs, 3);
	note_error_of(pair.ours);
}

/* ---- many ---- */

static struct iovec small = {"m", 1};

/* with: kind, how many, 1: by name */
static void many_messages(const int *with)
{
	static struct mmsghdr many[1030];
	static char sink[4096];
	struct pair pair = pair_of(with[0]);
	int room = 1 << 20, fd = with[2] ? socket_of(with[0], 0) : pair.ours;
	unsigned written = 0, count = 0;

	setsockopt(pair.theirs, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	for (int i = 0; i < 1030; i++) {
		many[i].msg_hdr = (struct msghdr){.msg_iov = &small, .msg_iovlen = 1};
		if (with[2])
			many[i].msg_hdr.msg_name = &pair.place.at,
			many[i].msg_hdr.msg_namelen = pair.place.size;
	}
	NOTE(sendmmsg(fd, many, (unsigned)with[1], MSG_DONTWAIT));
	for (int i = 0; i < 1030; i++)
		written += many[i].msg_len;
	note("msg_len in sum %u", written);
	pause_ms(2);
	for (ssize_t r; (r = recv(pair.theirs, sink, sizeof(sink), MSG_DONTWAIT)) > 0;)
		count += (unsigned)r;
	note("arrived %s", count == written ? "as many" : "others");
	note_error_of(fd);
}

enum flaw { FLAW_NAME, FLAW_BASE, FLAW_LONG, FLAW_PARTS, FLAW_CONTROL, FLAW_NO_NAME, FLAW_SHORT, FLAWS };
static const char *const flaw_names[FLAWS] = {
	"another family", "a bad base", "one that is too long", "1025 iovecs",
	"bad control",    "no name",    "a short name",
};

static void flaw_put(struct msghdr *header, enum flaw flaw)
{
	static struct sockaddr_storage odd = {.ss_family = 200};
	static char large[300000];
	static struct iovec bad = {(void *)1, 5}, too_long = {large, sizeof(large)};

	switch (flaw) {
	case FLAW_NAME:
		header->msg_name = &odd;
		header->msg_namelen = 28;
		break;
	case FLAW_BASE:
		header->msg_iov = &bad;
		break;
	case FLAW_LONG:
		header->msg_iov = &too_long;
		break;
	case FLAW_PARTS:
		header->msg_iovlen = 1025;
		break;
	case FLAW_CONTROL:
		header->msg_control = (void *)1;
		header->msg_controllen = 32;
		break;
	case FLAW_NO_NAME:
		header->msg_name = NULL;
		header->msg_namelen = 0;
		break;
	default:
		header->msg_namelen = 1;
	}
}

/* with: kind, flaw, which one has it, 1: by name */
static void batch_with_a_flaw(const int *with)
{
	struct pair pair = pair_of(with[0]);
	struct mmsghdr batch[4] = {0};
	int fd = with[3] ? socket_of(with[0], 0) : pair.ours;
	long r;

	for (int i = 0; i < 4; i++) {
		batch[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &small, .msg_iovlen = 1}, .msg_len = 77};
		if (with[3])
			batch[i].msg_hdr.msg_name = &pair.place.at,
			batch[i].msg_hdr.msg_namelen = pair.place.size;
	}
	flaw_put(&batch[with[2]].msg_hdr, (enum flaw)with[1]);
	r = NOTE(sendmmsg(fd, batch, 4, MSG_DONTWAIT | MSG_NOSIGNAL));
	for (int i = 0; i < 4; i++)
		note("  msg_len %u", batch[i].msg_len);
	note_error_of(fd);
	NOTE(sendmmsg(fd, batch + 3, 1, MSG_DONTWAIT | MSG_NOSIGNAL));
	if (kind_is_stream(with[0]))
		note_stream(pair.theirs, r > 0 && with[1] != FLAW_LONG ? (size_t)r : 0);
	else
		note_arrivals(pair.theirs, r > 0 ? (int)r : 0);
}

static void add_many(void)
{
	static const int counts[] = {0, 1, 3, 63, 64, 65, 1024, 1025, -1};
	static const int some[] = {UDP4, UDP6, UNIX_DGRAM, TCP4, UNIX_SEQPACKET};

	for (int kind = 0; kind < KINDS; kind++)
		scenario_add(header_places, WITH(kind), "message on %s: where the header is",
		             kinds[kind].name);
	for (size_t k = 0; k < COUNT_OF(some); k++)
		for (size_t i = 0; i < COUNT_OF(counts); i++)
			for (int named = 0; named <= (counts[i] < 0 ? -1 : kind_is_datagram(some[k]));
			     named++)
				scenario_add(many_messages, WITH(some[k], counts[i], named),
				             "sendmmsg: %d on %s%s", counts[i], kinds[some[k]].name,
				             named ? " by name" : "");
	for (size_t k = 0; k < COUNT_OF(some); k++)
		for (int flaw = 0; flaw < FLAWS; flaw++)
			for (int where = 0; where < 3; where += 2)
				for (int named = 0; named <= kind_is_datagram(some[k]); named++)
					scenario_add(batch_with_a_flaw, WITH(some[k], flaw, where, named),
					             "sendmmsg: %s%s: number %d has %s", kinds[some[k]].name,
					             named ? " by name" : "", where, flaw_names[flaw]);
}

/* ---- control messages that mean something ---- */

static const struct {
	const char *name;
	int level, type, size, value;
} controls[] = {
	{"IP_TTL 7", IPPROTO_IP, IP_TTL, 4, 7},
	{"IP_TTL 0", IPPROTO_IP, IP_TTL, 4, 0},
	{"IP_TTL 256", IPPROTO_IP, IP_TTL, 4, 256},
	{"IP_TTL -1", IPPROTO_IP, IP_TTL, 4, -1},
	{"IP_TTL of one byte", IPPROTO_IP, IP_TTL, 1, 7},
	{"IP_TTL of two bytes", IPPROTO_IP, IP_TTL, 2, 7},
	{"IP_TTL of eight bytes", IPPROTO_IP, IP_TTL, 8, 7},
	{"IP_TOS 0x10", IPPROTO_IP, IP_TOS, 4, 0x10},
	{"IP_TOS of one byte", IPPROTO_IP, IP_TOS, 1, 0x20},
	{"IP_TOS 256", IPPROTO_IP, IP_TOS, 4, 256},
	{"IP_PROTOCOL", IPPROTO_IP, 52, 4, 17},
	{"IPV6_HOPLIMIT 9", IPPROTO_IPV6, IPV6_HOPLIMIT, 4, 9},
	{"IPV6_HOPLIMIT -1", IPPROTO_IPV6, IPV6_HOPLIMIT, 4, -1},
	{"IPV6_HOPLIMIT 256", IPPROTO_IPV6, IPV6_HOPLIMIT, 4, 256},
	{"IPV6_HOPLIMIT of two bytes", IPPROTO_IPV6, IPV6_HOPLIMIT, 2, 9},
	{"IPV6_2292HOPLIMIT 9", IPPROTO_IPV6, 8, 4, 9},
	{"IPV6_TCLASS 0x28", IPPROTO_IPV6, IPV6_TCLASS, 4, 0x28},
	{"IPV6_TCLASS 256", IPPROTO_IPV6, IPV6_TCLASS, 4, 256},
	{"IPV6_DONTFRAG 1", IPPROTO_IPV6, 62, 4, 1},
	{"IPV6_DONTFRAG 2", IPPROTO_IPV6, 62, 4, 2},
	{"IPV6_FLOWINFO", IPPROTO_IPV6, 11, 4, 0},
	{"an unknown type of IPV6", IPPROTO_IPV6, 12345, 4, 1},
	{"an unknown type of IP", IPPROTO_IP, 12345, 4, 1},
	{"UDP_SEGMENT 4", IPPROTO_UDP, 103, 2, 4},
	{"UDP_SEGMENT 100", IPPROTO_UDP, 103, 2, 100},
	{"UDP_SEGMENT 0", IPPROTO_UDP, 103, 2, 0},
	{"UDP_SEGMENT of four bytes", IPPROTO_UDP, 103, 4, 4},
	{"an unknown type of UDP", IPPROTO_UDP, 12345, 4, 1},
	{"SO_MARK 0", SOL_SOCKET, SO_MARK, 4, 0},
	{"SO_PRIORITY 3", SOL_SOCKET, SO_PRIORITY, 4, 3},
	{"SO_TIMESTAMPING 0", SOL_SOCKET, 37, 4, 0},
	{"SO_TIMESTAMPING of two bytes", SOL_SOCKET, 37, 2, 0},
	{"SCM_TXTIME", SOL_SOCKET, 61, 8, 0},
	{"SCM_RIGHTS of 0", SOL_SOCKET, SCM_RIGHTS, 4, 0},
	{"SCM_RIGHTS of -1", SOL_SOCKET, SCM_RIGHTS, 4, -1},
};

static void receive_controls(int fd)
{
	int one = 1;

	setsockopt(fd, IPPROTO_IP, IP_RECVTTL, &one, sizeof(one));
	setsockopt(fd, IPPROTO_IP, IP_RECVTOS, &one, sizeof(one));
	setsockopt(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &one, sizeof(one));
	setsockopt(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, &one, sizeof(one));
}

static void control_add(struct msghdr *header, int level, int type, const void *data, size_t size)
{
	struct cmsghdr *at = (struct cmsghdr *)(void *)((char *)header->msg_control + header->msg_controllen);

	*at = (struct cmsghdr){.cmsg_len = CMSG_LEN(size), .cmsg_level = level, .cmsg_type = type};
	memcpy(CMSG_DATA(at), data, size);
	header->msg_controllen += CMSG_SPACE(size);
}

/* with: kind, control, 1: by name */
static void one_control(const int *with)
{
	struct pair pair = pair_of(with[0]);
	_Alignas(16) char space[256] = {0};
	struct iovec part = {"hello, world", 12};
	struct mmsghdr one = {.msg_hdr = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space}};
	int fd = with[2] ? socket_of(with[0], 0) : pair.ours;
	int64_t value = controls[with[1]].value;

	receive_controls(pair.theirs);
	if (with[2])
		one.msg_hdr.msg_name = &pair.place.at, one.msg_hdr.msg_namelen = pair.place.size;
	control_add(&one.msg_hdr, controls[with[1]].level, controls[with[1]].type, &value,
	            (size_t)controls[with[1]].size);
	for (int many = 0; many < 2; many++) {
		long r = many ? sendmmsg(fd, &one, 1, MSG_NOSIGNAL) : sendmsg(fd, &one.msg_hdr, MSG_NOSIGNAL);

		note_result(many ? "sendmmsg" : "sendmsg", r);
		note("  msg_len %u controllen %zu", one.msg_len, one.msg_hdr.msg_controllen);
		if (kind_is_stream(with[0]))
			note_stream(pair.theirs, r > 0 ? 12 : 0);
		else
			note_arrivals(pair.theirs, r > 0);
	}
}

/* with: kind, family of the source, 1: one of our own addresses */
static void source_address(const int *with)
{
	struct pair pair = pair_of(with[0]);
	_Alignas(16) char space[256] = {0};
	struct iovec part = {"hello", 5};
	struct msghdr header = {.msg_name = &pair.place.at,
	                        .msg_namelen = pair.place.size,
	                        .msg_iov = &part,
	                        .msg_iovlen = 1,
	                        .msg_control = space};
	struct in_pktinfo v4 = {.ipi_spec_dst = {htonl(with[2] ? INADDR_LOOPBACK + 4 : 0xc6336401)}};
	struct in6_pktinfo v6 = {.ipi6_addr = in6addr_loopback};
	int fd = socket_of(with[0], 0);

	if (!with[2])
		v6.ipi6_addr.s6_addr[0] = 0x20;
	if (with[1] == AF_INET)
		control_add(&header, IPPROTO_IP, IP_PKTINFO, &v4, sizeof(v4));
	else
		control_add(&header, IPPROTO_IPV6, IPV6_PKTINFO, &v6, sizeof(v6));
	note_arrivals(pair.theirs, NOTE(sendmsg(fd, &header, 0)) > 0);
}

/* Two controls, the second of which is good or not. */
static void two_controls(const int *with)
{
	struct pair pair = pair_of(UDP4);
	_Alignas(16) char space[256] = {0};
	struct iovec part = {"hello", 5};
	struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space};
	int ttl = 7, tos = with[0];

	receive_controls(pair.theirs);
	control_add(&header, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl));
	control_add(&header, IPPROTO_IP, IP_TOS, &tos, sizeof(tos));
	if (with[1])
		control_add(&header, IPPROTO_IP, IP_TTL, &tos, sizeof(tos));
	note_arrivals(pair.theirs, NOTE(sendmsg(pair.ours, &header, 0)) > 0);
}

static void add_controls(void)
{
	for (int kind = 0; kind < KINDS; kind++)
		for (size_t i = 0; i < COUNT_OF(controls); i++)
			scenario_add(one_control, WITH(kind, (int)i, kind_is_datagram(kind)),
			             "control on %s: %s", kinds[kind].name, controls[i].name);
	for (int kind = UDP4; kind <= UDP6; kind++)
		for (int v4 = 0; v4 < 2; v4++)
			for (int own = 0; own < 2; own++)
				scenario_add(source_address, WITH(kind, v4 ? AF_INET : AF_INET6, own),
				             "control on %s: %s with %s", kinds[kind].name,
				             v4 ? "IP_PKTINFO" : "IPV6_PKTINFO",
				             own ? "our address" : "another's");
	scenario_add(two_controls, WITH(0x10, 0), "control on udp4: IP_TTL and IP_TOS");
	scenario_add(two_controls, WITH(-1, 0), "control on udp4: IP_TTL and a bad IP_TOS");
	scenario_add(two_controls, WITH(0x20, 1), "control on udp4: IP_TTL twice");
}

void scenarios_of_messages(void)
{
	add_drafts();
	add_many();
	add_controls();
}
