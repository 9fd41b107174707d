/* UDP and ping: who is talked to, sizes, flags, errors that come later. */
#include "tests/same/same.h"

#include <fcntl.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <string.h>
#include <unistd.h>

/* ---- connect, reconnect, disconnect ---- */

enum shape {
	SHAPE_V4,
	SHAPE_V6,
	SHAPE_MAPPED,
	SHAPE_INET_ON_V6,
	SHAPE_INET_ON_ONLY6,
	SHAPE_MAPPED_ON_ONLY6,
	SHAPES
};
static const char *const shape_names[SHAPES] = {
	"v4",
	"v6",
	"a mapped address",
	"AF_INET on a v6 socket",
	"AF_INET on an IPV6_V6ONLY socket",
	"a mapped address on an IPV6_V6ONLY socket",
};

static int shape_socket(int shape)
{
	int fd = socket_of(shape == SHAPE_V4 ? UDP4 : UDP6, 0), one = 1;

	if (shape == SHAPE_INET_ON_ONLY6 || shape == SHAPE_MAPPED_ON_ONLY6)
		NEED(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) == 0);
	return fd;
}

static int shape_peer(int shape, struct place *place)
{
	int fd = peer_of(shape == SHAPE_V6 ? UDP6 : UDP4, NULL, place);

	if (shape == SHAPE_MAPPED || shape == SHAPE_MAPPED_ON_ONLY6)
		*place = place_mapped(place_port(place));
	return fd;
}

static void udp_talks(const int *with)
{
	struct place first, second, none = {.size = sizeof(struct sockaddr_in)}, ours;
	int one = shape_peer(with[0], &first), two = shape_peer(with[0], &second), fd = shape_socket(with[0]);

	NOTE(connect_place(fd, &first));
	note_names(fd);
	NOTE(send(fd, "to the first", 12, 0));
	note_arrivals(one, errno == 0);
	NOTE(connect_place(fd, &second));
	note_names(fd);
	NOTE(send(fd, "to the second", 13, 0));
	note_arrivals(two, errno == 0);
	NOTE(send_place(fd, "elsewhere", 9, 0, &first));
	note_arrivals(one, errno == 0);
	note_names(fd);
	NOTE(connect_place(fd, &none));
	note_names(fd);
	NOTE(send(fd, "to nobody", 9, 0));
	NOTE(send_place(fd, "by name", 7, 0, &first));
	note_arrivals(one, errno == 0);
	ours = place_of(fd);
	if (with[0] == SHAPE_V4 || with[0] == SHAPE_V6) {
		ours = with[0] == SHAPE_V4 ? place_v4(INADDR_LOOPBACK, place_port(&ours))
		                           : place_v6(place_port(&ours));
		NOTE(send_place(one, "back", 4, 0, &ours));
		note_arrivals(fd, 1);
	}
}

/* with: call, shape. The first thing that a socket does is to send. */
static void udp_sends_first(const int *with)
{
	struct place place;
	int peer = shape_peer(with[1], &place), fd = shape_socket(with[1]);
	long r = NOTE(call_address(with[0], fd, &place.at, (int)place.size, 0));

	note_arrivals(peer, r > 0);
	note_names(fd);
	NOTE(call_address(with[0], fd, NULL, 0, 0));
	place.at.v4.sin_port = 0;
	NOTE(call_address(with[0], fd, &place.at, (int)place.size, 0));
	NOTE(connect_place(fd, &place));
	note_names(fd);
	NOTE(send(fd, "to port 0", 9, 0));
}

static void add_talks(void)
{
	for (int shape = 0; shape < SHAPES; shape++)
		scenario_add(udp_talks, WITH(shape), "udp: %s: connect, reconnect, elsewhere, disconnect",
		             shape_names[shape]);
	for (int call = CALL_SENDTO; call < CALLS; call++)
		for (int shape = 0; shape < SHAPES; shape++)
			scenario_add(udp_sends_first, WITH(call, shape), "udp: %s to %s, to none, to port 0",
			             call_names[call], shape_names[shape]);
}

/* ---- errors that come later ---- */

enum teller {
	TELL_SEND,
	TELL_SENDTO,
	TELL_SENDMSG,
	TELL_SENDMMSG,
	TELL_ELSEWHERE,
	TELL_RECV,
	TELL_ERROR,
	TELL_POLL,
	TELL_CONNECT,
	TELLERS
};
static const char *const teller_names[TELLERS] = {
	"send", "sendto its peer", "sendmsg", "sendmmsg", "sendto elsewhere",
	"recv", "SO_ERROR",        "poll",    "connect",
};

/* with: kind, teller, way of the first send */
static void udp_refusal_is_told(const int *with)
{
	int fd = socket_of(with[0], SOCK_NONBLOCK), keeper, other;
	struct place refusing = place_refusing(with[0], &keeper), elsewhere;

	other = peer_of(with[0], NULL, &elsewhere);
	NEED(connect_place(fd, &refusing) == 0);
	NOTE(send_way(with[2], fd, "anybody?", 8, 0));
	note_poll(fd, POLLIN, 3000);
	if (with[1] <= TELL_SENDMMSG)
		NOTE(send_way(with[1], fd, "again", 5, 0));
	else if (with[1] == TELL_ELSEWHERE)
		NOTE(send_place(fd, "elsewhere", 9, 0, &elsewhere));
	else if (with[1] == TELL_RECV)
		NOTE(recv(fd, &keeper, 1, 0));
	else if (with[1] == TELL_ERROR)
		note_error_of(fd);
	else if (with[1] == TELL_POLL)
		note_poll(fd, POLLIN | POLLOUT, 0);
	else
		NOTE(connect_place(fd, &elsewhere));
	note_error_of(fd);
	note_arrivals(other, 0);
}

/* A refusal between the messages of one call. */
static void udp_refusal_in_a_batch(const int *with)
{
	int fd = socket_of(with[0], 0), keeper, peer;
	struct place refusing = place_refusing(with[0], &keeper), good;
	struct iovec part = {"x", 1};
	struct mmsghdr batch[4] = {0};

	peer = peer_of(with[0], NULL, &good);
	if (with[1])
		NEED(connect_place(fd, &refusing) == 0);
	for (int i = 0; i < 4; i++) {
		struct place *place = i == 1 ? &refusing : &good;

		batch[i].msg_hdr = (struct msghdr){.msg_iov = &part, .msg_iovlen = 1};
		if (!with[1] || i != 1) {
			batch[i].msg_hdr.msg_name = &place->at;
			batch[i].msg_hdr.msg_namelen = place->size;
		}
	}
	NOTE(sendmmsg(fd, batch, 4, 0));
	for (int i = 0; i < 4; i++)
		note("msg_len %u", batch[i].msg_len);
	note_arrivals(peer, 1);
	note_error_of(fd);
}

static void add_refusals(void)
{
	for (int kind = UDP4; kind <= UDP6; kind++) {
		for (int teller = 0; teller < TELLERS; teller++)
			for (int way = WAY_SEND; way < WAYS; way++)
				scenario_add(udp_refusal_is_told, WITH(kind, teller, way),
				             "udp: %s after %s was refused on %s", teller_names[teller],
				             way_names[way], kinds[kind].name);
		scenario_add(udp_refusal_in_a_batch, WITH(kind, 0), "udp: %s: sendmmsg, the second to nobody",
		             kinds[kind].name);
		scenario_add(udp_refusal_in_a_batch, WITH(kind, 1),
		             "udp: %s connected to nobody: sendmmsg, the second to its peer",
		             kinds[kind].name);
	}
}

/* ---- sizes ---- */

static const int sizes[] = {0, 1, 1472, 1473, 65507, 65508, 65527, 65528, 65535, 65536, 300000};
static char big[400000];

/* with: kind, call */
static void every_size(const int *with)
{
	struct place place;
	int peer = peer_of(with[0], "peer", &place), fd = socket_of(with[0], 0), room = 300000;

	setsockopt(peer, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	memset(big, 'd', sizeof(big));
	if (with[1] < 0)
		NEED(connect_place(fd, &place) == 0);
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		struct iovec parts[2] = {{big, (size_t)sizes[i] / 2},
		                         {big + 7, (size_t)(sizes[i] - sizes[i] / 2)}};
		struct mmsghdr one = {.msg_hdr = {.msg_name = &place.at,
		                                  .msg_namelen = place.size,
		                                  .msg_iov = parts,
		                                  .msg_iovlen = 2}};
		long r = with[1] == CALL_SENDTO    ? send_place(fd, big, (size_t)sizes[i], 0, &place)
		         : with[1] == CALL_SENDMSG ? sendmsg(fd, &one.msg_hdr, 0)
		         : with[1] < 0             ? send(fd, big, (size_t)sizes[i], 0)
		                                   : sendmmsg(fd, &one, 1, 0);

		note("%d -> %ld %s, %u", sizes[i], r, r < 0 ? error_name(errno) : "", one.msg_len);
		note_arrivals(peer, r >= 0);
	}
}

static void add_sizes(void)
{
	static const int some[] = {UDP4, UDP6, UNIX_DGRAM};

	for (size_t k = 0; k < COUNT_OF(some); k++) {
		for (int call = CALL_SENDTO; call < CALLS; call++)
			scenario_add(every_size, WITH(some[k], call), "%s: %s of every size",
			             kinds[some[k]].name, call_names[call]);
		scenario_add(every_size, WITH(some[k], -1), "%s: send of every size", kinds[some[k]].name);
	}
}

/* ---- flags ---- */

static const struct {
	const char *name;
	unsigned flag;
} flags[] = {
	{"no flag", 0},
	{"MSG_OOB", 1},
	{"MSG_PEEK", 2},
	{"MSG_DONTROUTE", 4},
	{"MSG_CTRUNC", 8},
	{"MSG_PROBE", 0x10},
	{"MSG_TRUNC", 0x20},
	{"MSG_DONTWAIT", 0x40},
	{"MSG_EOR", 0x80},
	{"MSG_WAITALL", 0x100},
	{"MSG_FIN", 0x200},
	{"MSG_SYN", 0x400},
	{"MSG_CONFIRM", 0x800},
	{"MSG_RST", 0x1000},
	{"MSG_ERRQUEUE", 0x2000},
	{"MSG_NOSIGNAL", 0x4000},
	{"MSG_MORE", 0x8000},
	{"MSG_WAITFORONE", 0x10000},
	{"flag 0x20000", 0x20000},
	{"MSG_BATCH", 0x40000},
	{"flag 0x80000", 0x80000},
	{"MSG_NO_SHARED_FRAGS", 0x80000 << 1},
	{"MSG_SPLICE_PAGES", 0x8000000},
	{"MSG_ZEROCOPY", 0x4000000},
	{"MSG_FASTOPEN", 0x20000000},
	{"MSG_CMSG_CLOEXEC", 0x40000000},
	{"MSG_CMSG_COMPAT", 0x80000000},
};

static void flag_arrivals(int kind, const struct pair *pair, bool expected)
{
	if (kind_is_stream(kind))
		note_stream(pair->theirs, expected ? 5 : 0);
	else
		note_arrivals(pair->theirs, expected);
}

/* with: kind, flag. To the peer it is connected to, and by name; what MSG_MORE keeps goes with the next. */
static void one_flag(const int *with)
{
	int kind = with[0], flag = (int)flags[with[1]].flag;
	struct pair pair = pair_of(kind);
	bool comes = flag != MSG_MORE && flag != MSG_OOB && flag != MSG_PROXY;

	for (int way = 0; way < WAYS; way++) {
		long r = note_result(way_names[way], send_way(way, pair.ours, "hello", 5, flag));

		flag_arrivals(kind, &pair, r > 0 && comes);
	}
	for (int call = CALL_SENDTO; call < CALLS; call++) {
		int fd = kind_is_datagram(kind) ? socket_of(kind, 0) : pair.ours;
		long r = call_address(call, fd, &pair.place.at, (int)pair.place.size, flag);

		note_result(call_names[call], r);
		flag_arrivals(kind, &pair, r > 0 && comes);
		r = call_address(call, fd, &pair.place.at, (int)pair.place.size, 0);
		note_result("once more", r);
		flag_arrivals(kind, &pair, r > 0);
	}
	NOTE(send(pair.ours, "flush", 5, 0));
	flag_arrivals(kind, &pair, true);
	note_error_of(pair.ours);
}

/* TCP that is not connected: the flag that connects. */
static void flag_fresh_tcp(const int *with)
{
	struct place place;
	int kind = with[0], listener = peer_of(kind, NULL, &place), got;

	NEED(fcntl(listener, F_SETFL, O_NONBLOCK) == 0);
	for (int call = CALL_SENDTO; call < CALLS; call++) {
		int fd = socket_of(kind, 0);

		pipes_count();
		note_result(call_names[call], call_address(call, fd, &place.at, (int)place.size, with[1]));
		note_pipes();
		note_names(fd);
		note_poll(listener, POLLIN, 0);
		if ((got = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0)
			note_stream(got, 5);
		close(fd);
	}
}

static void add_flags(void)
{
	for (int kind = 0; kind < KINDS; kind++)
		for (size_t i = 0; i < COUNT_OF(flags); i++)
			scenario_add(one_flag, WITH(kind, (int)i), "sends on %s: %s", kinds[kind].name,
			             flags[i].name);
	for (int kind = TCP4; kind <= TCP6; kind++) {
		scenario_add(flag_fresh_tcp, WITH(kind, 0), "sends on fresh %s: no flag", kinds[kind].name);
		scenario_add(flag_fresh_tcp, WITH(kind, MSG_FASTOPEN), "sends on fresh %s: MSG_FASTOPEN",
		             kinds[kind].name);
	}
}

/* ---- corks ---- */

/* with: kind, call of the second, 1: UDP_CORK */
static void udp_cork(const int *with)
{
	struct place place, second;
	int peer = peer_of(with[0], NULL, &place), other = peer_of(with[0], NULL, &second);
	int fd = socket_of(with[0], 0), on = 1;

	if (with[2])
		NOTE_AS("UDP_CORK on", setsockopt(fd, IPPROTO_UDP, UDP_CORK, &on, sizeof(on)));
	NOTE(call_address(CALL_SENDTO, fd, &place.at, (int)place.size, with[2] ? 0 : MSG_MORE));
	note_arrivals(peer, 0);
	NOTE(call_address(with[1], fd, NULL, 0, MSG_MORE));
	NOTE(call_address(with[1], fd, &second.at, (int)second.size, MSG_MORE));
	NOTE(connect_place(fd, &second));
	NOTE(call_address(with[1], fd, &place.at, (int)place.size, 0));
	on = 0;
	if (with[2])
		NOTE_AS("UDP_CORK off", setsockopt(fd, IPPROTO_UDP, UDP_CORK, &on, sizeof(on)));
	/* The kernel's families do not agree on who gets it. */
	poll((struct pollfd[]){{.fd = peer, .events = POLLIN}, {.fd = other, .events = POLLIN}}, 2, 3000);
	note_arrivals(peer, 0);
	note_arrivals(other, 0);
}

static void add_corks(void)
{
	for (int kind = UDP4; kind <= UDP6; kind++)
		for (int call = CALL_SENDTO; call < CALLS; call++) {
			scenario_add(udp_cork, WITH(kind, call, 0), "udp: %s: MSG_MORE, then %s",
			             kinds[kind].name, call_names[call]);
			scenario_add(udp_cork, WITH(kind, call, 1), "udp: %s: UDP_CORK, then %s",
			             kinds[kind].name, call_names[call]);
		}
}

/* ---- broadcast and multicast, which stay on the loopback ---- */

static const struct {
	const char *name;
	uint32_t to;
	int option; /* 0, or what must be set first */
} cast_rows[] = {
	{"255.255.255.255 without SO_BROADCAST", INADDR_BROADCAST, 0},
	{"127.255.255.255 without SO_BROADCAST", 0x7fffffff, 0},
	{"127.255.255.255 with SO_BROADCAST", 0x7fffffff, SO_BROADCAST},
	{"224.0.0.99 through the loopback", 0xe0000063, IP_MULTICAST_IF},
};

static void udp_casts(const int *with)
{
	struct ip_mreqn group = {.imr_multiaddr = {htonl(cast_rows[with[1]].to)},
	                         .imr_address = {htonl(INADDR_LOOPBACK)}};
	struct place any = place_v4(INADDR_ANY, 0), place;
	int peer = socket_of(UDP4, 0), fd = socket_of(UDP4, 0), one = 1;

	NEED(bind(peer, &any.at.any, any.size) == 0);
	any = place_of(peer);
	place = place_v4(cast_rows[with[1]].to, place_port(&any));
	if (cast_rows[with[1]].option == SO_BROADCAST)
		NEED(setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &one, sizeof(one)) == 0);
	if (cast_rows[with[1]].option == IP_MULTICAST_IF) {
		NEED(setsockopt(peer, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof(group)) == 0);
		NEED(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &group, sizeof(group)) == 0);
	}
	note_arrivals(peer, NOTE(call_address(with[0], fd, &place.at, (int)place.size, 0)) > 0);
	if (with[0] == CALL_CONNECT && errno == 0)
		note_arrivals(peer, NOTE(send(fd, "all", 3, 0)) > 0);
	note_names(fd);
}

static void add_casts(void)
{
	static const int some[] = {CALL_CONNECT, CALL_SENDTO, CALL_SENDMSG};

	for (size_t call = 0; call < COUNT_OF(some); call++)
		for (size_t i = 0; i < COUNT_OF(cast_rows); i++)
			scenario_add(udp_casts, WITH(some[call], (int)i), "udp: %s to %s",
			             call_names[some[call]], cast_rows[i].name);
}

/* ---- ping ---- */

/* The number of an echo is the socket's port, which the kernel writes and chooses. */
static void note_echo(int fd, bool expected)
{
	struct icmphdr echo;
	char bytes[64];
	ssize_t size;

	if (expected)
		note_poll(fd, POLLIN, 3000);
	size = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (size < (ssize_t)sizeof(echo)) {
		note("  no echo: %zd %s", size, size < 0 ? error_name(errno) : "");
		return;
	}
	memcpy(&echo, bytes, sizeof(echo));
	note("  echo %zd: type %d code %d sequence %d %s", size, echo.type, echo.code,
	     ntohs(echo.un.echo.sequence), bytes_text(bytes + sizeof(echo), (size_t)size - sizeof(echo)));
}

/* with: family, call, type of the message (-1: an echo request, -2: three bytes) */
static void ping_once(const int *with)
{
	bool v4 = with[0] == AF_INET;
	int fd = socket(with[0], SOCK_DGRAM | SOCK_CLOEXEC, v4 ? IPPROTO_ICMP : (int)IPPROTO_ICMPV6);
	struct place place = v4 ? place_v4(INADDR_LOOPBACK, 0) : place_v6(0);
	struct {
		struct icmphdr head;
		char text[5];
	} echo = {.text = "ping!"};
	struct iovec part = {&echo, with[2] == -2 ? 3 : 13};
	struct mmsghdr one = {.msg_hdr = {&place.at, place.size, &part, 1, NULL, 0, 0}};
	long r;

	echo.head.type = with[2] >= 0 ? (uint8_t)with[2] : v4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST;
	echo.head.un.echo.sequence = htons(7);
	if (with[1] == CALL_CONNECT) {
		NOTE(connect_place(fd, &place));
		r = NOTE(send(fd, part.iov_base, part.iov_len, 0));
	} else if (with[1] == CALL_BIND) {
		NOTE(bind(fd, &place.at.any, place.size));
		r = NOTE(send_place(fd, part.iov_base, part.iov_len, 0, &place));
	} else {
		r = with[1] == CALL_SENDTO    ? send_place(fd, part.iov_base, part.iov_len, 0, &place)
		    : with[1] == CALL_SENDMSG ? sendmsg(fd, &one.msg_hdr, 0)
		                              : sendmmsg(fd, &one, 1, 0);
		note_result(call_names[with[1]], r);
	}
	note_echo(fd, r > 0);
}

static void add_pings(void)
{
	static const int types[] = {-1, -2, ICMP_REDIRECT};
	static const char *const type_names[] = {"an echo request", "three bytes", "a redirect"};
	const char *reason = pings_missing();

	if (reason != NULL)
		scenario_add_unless(reason, ping_once, WITH(0), "ping sockets");
	for (int v4 = 0; reason == NULL && v4 < 2; v4++)
		for (int call = 0; call < CALLS; call++)
			for (size_t i = 0; i < COUNT_OF(types); i++)
				scenario_add(ping_once, WITH(v4 ? AF_INET : AF_INET6, call, types[i]),
				             "ping%d: %s: %s", v4 ? 4 : 6, call_names[call], type_names[i]);
}

void scenarios_of_datagrams(void)
{
	add_talks();
	add_refusals();
	add_sizes();
	add_flags();
	add_corks();
	add_casts();
	add_pings();
}
