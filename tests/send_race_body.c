/* send_race_body.h says what is played here. */
#include "tests/send_race_body.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/common/common.h"

enum { ALLOWED, FORBIDDEN, SIDES };
enum {
	PAGE = 4096,
	NUMBER = 200,
	HEAD = 16, /* the sequence number, a nibble a byte */
	BODY = 16, /* what usually follows */
	LONG_BODY = 9000,
	PIECE = 7, /* each of the many vectors */
	PIECES = 1023,
	VECTORS = 1032,
	REGION = 128 * 1024,
	REGIONS = 3,
	BATCH = 2, /* messages of a sendmmsg */
	SEQUENCES = 1 << 20,
};

/* A byte of the sender's own: the high nibble says so, the low one which region it is from. */
enum { OWN = 0xa0, OWN_MASK = 0xf0 };

union send_address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* Each member starts a page, so that one can come and go without the others. */
struct send_memory {
	_Alignas(PAGE) union send_address name;
	_Alignas(PAGE) struct mmsghdr message[BATCH];
	_Alignas(PAGE) uint8_t control[256];
	_Alignas(PAGE) union send_address side[SIDES];
	_Alignas(PAGE) uint8_t control_side[SIDES][64];
	_Alignas(PAGE) struct iovec vectors[BATCH][REGIONS][VECTORS];
	_Alignas(PAGE) uint8_t head[BATCH][HEAD + BODY];
	_Alignas(PAGE) uint8_t region[REGIONS][REGION];
	_Alignas(PAGE) uint8_t zeros[PAGE];
};

enum fate { FATE_UNTRIED, FATE_UNSENT, FATE_SENT, FATE_ARRIVED };

struct send_race {
	const struct send_case *how;
	double seconds;
	bool until_won, confined;
	int family, sink[SIDES], pages, fd;
	int listener, stream[2]; /* a TCP connection: what the number is when it is no UDP socket */
	socklen_t size;
	uint16_t stream_port;
	const char *rule, *stream_rule, *bind_rule;
	struct send_memory *memory; /* MAP_SHARED */
	struct send_score *score;   /* MAP_SHARED with the test */
	uint8_t *fates;             /* of each sequence number, modulo SEQUENCES */
	uint32_t sequence;
	atomic_bool stop;
	bool streamed; /* something went to the stream, and not to a sink */
};

/* Setting the table. */

static int sink_open(const union send_address *address, socklen_t size)
{
	int fd = socket(address->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;
	int room = 1 << 20;

	setsockopt(fd, IPPROTO_IP, IP_RECVOPTS, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	if (fd < 0 || bind(fd, &address->any, size) < 0)
		return -1;
	return fd;
}

static uint16_t port_of(int fd)
{
	struct sockaddr_in6 address;
	socklen_t size = sizeof(address);

	if (getsockname(fd, (struct sockaddr *)&address, &size) < 0)
		fail_msg("getsockname: %s", strerror(errno));
	return address.sin6_port; /* at the same place in both kinds, network byte order */
}

static union send_address v4_address(uint8_t last, uint16_t port)
{
	return (union send_address){.v4 = {AF_INET, port, {htonl(0x7f000000U | last)}, {0}}};
}

static union send_address v6_address(uint8_t mapped_last, uint16_t port)
{
	union send_address address = {.v6 = {.sin6_family = AF_INET6, .sin6_port = port}};

	if (mapped_last == 0)
		address.v6.sin6_addr = in6addr_loopback;
	else
		address.v6.sin6_addr = (struct in6_addr){
			.s6_addr = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = mapped_last}};
	return address;
}

/* The forbidden sink differs in the port, or in the address alone. */
static void sinks_open(struct send_race *race)
{
	union send_address *side = race->memory->side;
	bool v6 = race->how->flip == SEND_V6, by_address = v6 || race->how->flip == SEND_V4;
	uint16_t port;
	union send_address bound;

	race->family = v6 ? AF_INET6 : AF_INET;
	race->size = v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
	bound = v6 ? v6_address(0, 0) : v4_address(1, 0);
	race->sink[ALLOWED] = sink_open(&bound, race->size);
	port = port_of(race->sink[ALLOWED]);
	side[ALLOWED] = v6 ? v6_address(0, port) : v4_address(1, port);
	bound = by_address ? v4_address(2, port) : v4_address(1, 0);
	race->sink[FORBIDDEN] = sink_open(&bound, sizeof(struct sockaddr_in));
	if (race->sink[ALLOWED] < 0 || race->sink[FORBIDDEN] < 0)
		fail_msg("sinks: %s", strerror(errno));
	port = port_of(race->sink[FORBIDDEN]);
	side[FORBIDDEN] = v6 ? v6_address(2, port) : v4_address(by_address ? 2 : 1, port);
	race->bind_rule = text_of("udp://%u", ntohs(port_of(race->sink[ALLOWED])));
	race->rule =
		text_of(v6 ? "udp://[::1]:%u" : "udp://127.0.0.1:%u", ntohs(port_of(race->sink[ALLOWED])));
}

/* Where nobody is bound to either. */
static void sides_move(struct send_memory *memory)
{
	for (int side = 0; side < SIDES; side++)
		memory->side[side].v4.sin_addr.s_addr = htonl(0x7f000003);
}

static size_t control_write(uint8_t *control, int type, const void *data, size_t size)
{
	struct cmsghdr *message = (struct cmsghdr *)control;

	*message = (struct cmsghdr){.cmsg_len = CMSG_LEN(size), .cmsg_level = IPPROTO_IP, .cmsg_type = type};
	memcpy(CMSG_DATA(message), data, size);
	return CMSG_SPACE(size);
}

/* Record route: the one IP option that anybody may set. RFC 791. */
static void controls_write(struct send_memory *memory)
{
	static const uint8_t options[8] = {7, 7, 4};
	static const int ttl = 64;

	control_write(memory->control_side[ALLOWED], IP_TTL, &ttl, sizeof(ttl));
	control_write(memory->control_side[FORBIDDEN], IP_RETOPTS, options, sizeof(options));
	memcpy(memory->control, memory->control_side[ALLOWED], sizeof(memory->control_side[0]));
}

/* Three arrays a message: short, long, and one of many odd pieces. All are of the sender's own bytes. */
static void vectors_write(struct send_memory *memory, int message)
{
	struct iovec(*vectors)[VECTORS] = memory->vectors[message];

	for (int region = 0; region < REGIONS; region++) {
		memset(memory->region[region], OWN | region, REGION);
		vectors[region][0] = (struct iovec){memory->head[message], HEAD};
		vectors[region][1] = (struct iovec){memory->region[region], region == 1 ? LONG_BODY : BODY};
	}
	for (int piece = 1; piece <= PIECES; piece++)
		vectors[2][piece] = (struct iovec){memory->region[2] + 3 * piece, PIECE};
}

static void messages_write(struct send_race *race)
{
	struct send_memory *memory = race->memory;
	enum send_flip flip = race->how->flip;
	bool controlled = flip == SEND_CONTROL || flip == SEND_CONTROL_POINTER;

	for (int i = 0; i < BATCH; i++) {
		vectors_write(memory, i);
		memset(memory->head[i] + HEAD, OWN, BODY);
		memory->message[i].msg_hdr = (struct msghdr){
			.msg_name = &memory->name,
			.msg_namelen = race->size,
			.msg_iov = memory->vectors[i][0],
			.msg_iovlen = 2,
			.msg_control = controlled ? memory->control : NULL,
			.msg_controllen = controlled ? CMSG_SPACE(sizeof(int)) : 0,
		};
	}
	controls_write(memory);
	memory->name =
		memory->side[flip == SEND_NAME || flip == SEND_NAMELEN || race->how->writer == SEND_NUMBER
	                             ? FORBIDDEN
	                             : ALLOWED];
}

/* A page for each side, for what comes and goes. */
static void pages_write(struct send_race *race)
{
	struct send_memory *memory = race->memory;
	struct mmsghdr message[BATCH];

	race->pages = memfd_create("send", MFD_CLOEXEC);
	if (race->pages < 0 || ftruncate(race->pages, SIDES * PAGE) < 0)
		fail_msg("memfd: %s", strerror(errno));
	for (int side = 0; side < SIDES; side++) {
		memcpy(message, memory->message, sizeof(message));
		for (int i = 0; i < BATCH; i++)
			message[i].msg_hdr.msg_name = &memory->side[side];
		if ((race->how->writer == SEND_MAP_HEADER
		             ? pwrite(race->pages, message, sizeof(message), side * PAGE)
		             : pwrite(race->pages, &memory->side[side], race->size, side * PAGE)) < 0)
			fail_msg("memfd: %s", strerror(errno));
	}
}

static void *shared_open(size_t size)
{
	void *shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (shared == MAP_FAILED)
		fail_msg("mmap: %s", strerror(errno));
	return shared;
}

static void race_open(struct send_race *race)
{
	race->memory = shared_open(sizeof(*race->memory));
	race->score = shared_open(sizeof(*race->score));
	race->fates = shared_open(SEQUENCES);
	sinks_open(race);
	if (race->how->by == BY_BIND)
		sides_move(race->memory);
	race->listener = tcp_listener(AF_INET, &race->stream_port);
	race->stream_rule = rule_for(AF_INET, race->stream_port);
	messages_write(race);
	pages_write(race);
}

static void race_close(struct send_race *race)
{
	for (int side = 0; side < SIDES; side++)
		close(race->sink[side]);
	close(race->pages);
	close(race->listener);
	munmap(race->memory, sizeof(*race->memory));
	munmap(race->score, sizeof(*race->score));
	munmap(race->fates, SEQUENCES);
}

/* Writers. */

static void vectors_flip(struct send_memory *memory, unsigned i)
{
	static const size_t counts[] = {2, 1024, 1, 1025, SIZE_MAX, 2, 1 << 31};

	for (int message = 0; message < BATCH; message++) {
		memory->message[message].msg_hdr.msg_iov = memory->vectors[message][i % REGIONS];
		memory->message[message].msg_hdr.msg_iovlen = counts[i % 7];
	}
}

static void lengths_flip(struct send_memory *memory, unsigned i)
{
	static const size_t lengths[] = {BODY,      LONG_BODY, 1UL << 32, BODY, SIZE_MAX,
	                                 SSIZE_MAX, 70000,     LONG_BODY, 0};

	for (int message = 0; message < BATCH; message++)
		*(volatile size_t *)&memory->vectors[message][0][1].iov_len = lengths[i % 9];
}

static void control_flip(struct send_memory *memory, unsigned i)
{
	static const size_t sizes[] = {CMSG_SPACE(sizeof(int)), CMSG_SPACE(8), 0, 1UL << 32, 12, 4096};

	for (int message = 0; message < BATCH; message++) {
		struct msghdr *header = &memory->message[message].msg_hdr;

		header->msg_control = memory->control_side[i % SIDES];
		header->msg_controllen = i % 8 < 6 ? CMSG_SPACE(8) : sizes[i / 8 % 6];
	}
}

static void name_flip(struct send_race *race, unsigned i)
{
	struct send_memory *memory = race->memory;
	static const socklen_t odd[] = {0, 129, UINT32_MAX, 3};

	for (int message = 0; message < BATCH; message++) {
		struct msghdr *header = &memory->message[message].msg_hdr;

		if (race->how->flip == SEND_NAME)
			header->msg_name = i % 2 ? NULL : &memory->name;
		else if (race->how->flip == SEND_POINTER)
			header->msg_name = &memory->side[i % SIDES];
		else
			header->msg_namelen = i % 2 ? race->size : i % 16 ? 0 : odd[i / 16 % 4];
	}
}

static void bytes_flip(struct send_race *race)
{
	struct send_memory *memory = race->memory;

	for (unsigned i = 0; !atomic_load_explicit(&race->stop, memory_order_relaxed); i++) {
		switch (race->how->flip) {
		case SEND_PORT:
		case SEND_V4:
		case SEND_V6:
			memcpy(&memory->name, &memory->side[i % SIDES], race->size);
			break;
		case SEND_POINTER:
		case SEND_NAME:
		case SEND_NAMELEN:
			name_flip(race, i);
			break;
		case SEND_VECTORS:
			vectors_flip(memory, i);
			break;
		case SEND_LENGTHS:
			lengths_flip(memory, i);
			break;
		case SEND_CONTROL:
			memcpy(memory->control, memory->control_side[i % SIDES], CMSG_SPACE(8));
			break;
		case SEND_CONTROL_POINTER:
			control_flip(memory, i);
			break;
		case SEND_FOREIGN:
			memory->vectors[0][0][1].iov_base = i % 2 ? memory->zeros : memory->region[0];
			break;
		}
		atomic_signal_fence(memory_order_seq_cst);
	}
}

/* Nobody else of this process maps anything meanwhile, so the hole stays ours. */
static void mapping_flip(struct send_race *race)
{
	void *page = race->how->writer == SEND_MAP_HEADER ? (void *)race->memory->message
	                                                  : (void *)&race->memory->name;
	int both = PROT_READ | PROT_WRITE;

	for (unsigned i = 0; !atomic_load(&race->stop); i++) {
		mmap(page, PAGE, both, MAP_SHARED | MAP_FIXED | MAP_POPULATE, race->pages, i % SIDES * PAGE);
		if (i % 3 == 0)
			mprotect(page, PAGE, PROT_NONE);
		if (i % 5 == 0)
			munmap(page, PAGE);
	}
	mmap(page, PAGE, both, MAP_SHARED | MAP_FIXED, race->pages, 0);
}

/* What is written is the allowed address; what is left when that is thrown away is the file's, the forbidden one. */
static void discard_flip(struct send_race *race)
{
	void *page = &race->memory->name;

	while (!atomic_load(&race->stop)) {
		memcpy(page, &race->memory->side[ALLOWED], race->size);
		madvise(page, PAGE, MADV_DONTNEED);
	}
}

static void number_flip(struct send_race *race)
{
	int pipes[2], others[3];

	if (pipe(pipes) < 0)
		abort();
	others[0] = others[1] = race->stream[0];
	others[2] = pipes[1];
	for (unsigned i = 0; !atomic_load(&race->stop); i++) {
		dup2(others[i % 3], NUMBER);
		dup2(race->fd, NUMBER);
	}
}

static void *writer_thread(void *argument)
{
	struct send_race *race = argument;

	switch (race->how->writer) {
	case SEND_MAP_NAME:
	case SEND_MAP_HEADER:
		mapping_flip(race);
		break;
	case SEND_DISCARD_NAME:
		discard_flip(race);
		break;
	case SEND_NUMBER:
		number_flip(race);
		break;
	default:
		bytes_flip(race);
	}
	return NULL;
}

struct writer {
	pthread_t thread;
	pid_t process;
};

/* The storm is for the sender. */
static void writer_start(struct writer *writer, struct send_race *race)
{
	sigset_t alarm_only;

	if (race->how->writer == SEND_NONE)
		return;
	sigemptyset(&alarm_only);
	sigaddset(&alarm_only, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &alarm_only, NULL);
	if (race->how->writer != SEND_PROCESS) {
		if (pthread_create(&writer->thread, NULL, writer_thread, race) != 0)
			abort();
	} else if ((writer->process = fork()) == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		bytes_flip(race);
		_exit(0);
	}
	pthread_sigmask(SIG_UNBLOCK, &alarm_only, NULL);
}

static void writer_stop(struct writer *writer, struct send_race *race)
{
	atomic_store(&race->stop, true);
	if (race->how->writer == SEND_NONE)
		return;
	if (race->how->writer != SEND_PROCESS) {
		pthread_join(writer->thread, NULL);
		return;
	}
	if (writer->process > 1)
		kill(writer->process, SIGKILL);
	waitpid(writer->process, NULL, 0);
}

/* The sinks. */

static bool size_is_known(const struct send_case *how, ssize_t size)
{
	static const ssize_t sizes[] = {HEAD, HEAD + PIECE, HEAD + BODY, HEAD + LONG_BODY,
	                                HEAD + PIECES * PIECE};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		if (size == sizes[i])
			return how->flip == SEND_VECTORS || how->flip == SEND_LENGTHS || size == HEAD + BODY;
	return false;
}

/* All of the body is from one place, so bytes that were left over from another message show too. */
static bool bytes_are_own(const uint8_t *bytes, ssize_t size)
{
	for (ssize_t i = 0; i < size; i++)
		if ((bytes[i] & OWN_MASK) != OWN || (i > HEAD && bytes[i] != bytes[HEAD]))
			return false;
	return true;
}

static void sequence_write(uint8_t head[HEAD], uint32_t sequence)
{
	for (int i = 0; i < HEAD; i++)
		head[i] = (uint8_t)(OWN | (i < 8 ? sequence >> 4 * i & 15 : 0));
}

static uint32_t sequence_read(const uint8_t head[HEAD])
{
	uint32_t sequence = 0;

	for (int i = 0; i < 8; i++)
		sequence |= (uint32_t)(head[i] & 15) << 4 * i;
	return sequence;
}

static void arrival_judge(struct send_race *race, const uint8_t *bytes, ssize_t size)
{
	struct send_score *score = race->score;
	uint8_t *fate;

	if (!size_is_known(race->how, size) || !bytes_are_own(bytes, size)) {
		score->foreign++;
		return;
	}
	fate = &race->fates[sequence_read(bytes) % SEQUENCES];
	score->doubled += *fate == FATE_ARRIVED || *fate == FATE_UNSENT;
	*fate = FATE_ARRIVED;
}

static bool has_options(struct msghdr *header)
{
	for (struct cmsghdr *at = CMSG_FIRSTHDR(header); at != NULL; at = CMSG_NXTHDR(header, at))
		if (at->cmsg_level == IPPROTO_IP && at->cmsg_type == IP_RECVOPTS)
			return true;
	return false;
}

static void sinks_drain(struct send_race *race)
{
	static uint8_t bytes[70000], control[256];

	for (int side = 0; side < SIDES; side++)
		for (;;) {
			struct iovec data = {bytes, sizeof(bytes)};
			struct msghdr header = {.msg_iov = &data,
			                        .msg_iovlen = 1,
			                        .msg_control = control,
			                        .msg_controllen = sizeof(control)};
			ssize_t size = recvmsg(race->sink[side], &header, MSG_DONTWAIT);

			if (size < 0)
				break;
			race->score->strays += side == FORBIDDEN;
			race->score->arrived += side == ALLOWED;
			race->score->optioned += has_options(&header);
			arrival_judge(race, bytes, size);
		}
	race->score->wins = race->score->strays + race->score->optioned + race->score->foreign;
}

/* The sender. */

static int batch_of(const struct send_case *how)
{
	return how->by == BY_SENDMMSG ? BATCH : 1;
}

static long call_make(struct send_race *race, int fd)
{
	struct send_memory *memory = race->memory;

	switch (race->how->by) {
	case BY_SENDTO:
		return syscall(SYS_sendto, fd, memory->head[0], HEAD + BODY, MSG_NOSIGNAL | MSG_DONTWAIT,
		               &memory->name, race->size);
	case BY_SENDMSG:
		return syscall(SYS_sendmsg, fd, memory->message, MSG_NOSIGNAL | MSG_DONTWAIT);
	case BY_SENDMMSG:
		return syscall(SYS_sendmmsg, fd, memory->message, BATCH, MSG_NOSIGNAL | MSG_DONTWAIT);
	case BY_CONNECT:
		if (connect(fd, &memory->name.any, race->size) < 0)
			return -1;
		return send(fd, memory->head[0], HEAD + BODY, MSG_NOSIGNAL | MSG_DONTWAIT);
	case BY_BIND:
		break;
	}
	return -1;
}

static void failure_count(struct send_score *score, int error)
{
	switch (error) {
	case EACCES:
	case EPERM:
		score->refused++;
		return;
	case EFAULT:
		score->faults++;
		return;
	case EINTR:
		score->interrupted++;
		return;
	case EINVAL:
	case EMSGSIZE:
	case ENOBUFS:
	case EDESTADDRREQ:
	case EAFNOSUPPORT:
	case ENOTSOCK:
	case EISCONN:
	case EOPNOTSUPP:
	case EAGAIN:
		score->misfits++;
		return;
	}
	score->other++;
	score->other_error = error;
}

static void bind_once(struct send_race *race)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint16_t forbidden = race->memory->side[FORBIDDEN].v4.sin_port;

	race->score->attempts++;
	/* Not bind(3): attack_send_control has one of its own for the supervisor. */
	if (syscall(SYS_bind, fd, &race->memory->name, race->size) < 0)
		failure_count(race->score, errno);
	else if (port_of(fd) == forbidden)
		race->score->strays++;
	else
		race->score->sent++;
	close(fd);
	sinks_drain(race);
}

static void send_once(struct send_race *race, int fd)
{
	struct send_score *score = race->score;
	int batch = batch_of(race->how), error;
	long result, sent;

	for (int i = 0; i < batch; i++) {
		sequence_write(race->memory->head[i], race->sequence + (uint32_t)i);
		race->fates[(race->sequence + (uint32_t)i) % SEQUENCES] = FATE_UNTRIED;
	}
	result = call_make(race, fd);
	error = errno;
	score->attempts++;
	sent = result < 0 ? 0 : race->how->by == BY_SENDMMSG ? result : 1;
	score->sent += sent;
	if (result < 0)
		failure_count(score, error);
	else if (sent < batch)
		score->refused++; /* by an error that the call does not show */
	for (int i = 0; i < batch; i++)
		race->fates[(race->sequence + (uint32_t)i) % SEQUENCES] = i < sent ? FATE_SENT : FATE_UNSENT;
	sinks_drain(race);
	race->sequence += (uint32_t)batch;
}

/* On loopback a datagram is there when the send returns, but for what the kernel's other CPU has yet to do. */
static void stragglers_wait(struct send_race *race)
{
	double end = seconds_now() + 1;

	do {
		sinks_drain(race);
		if (race->score->arrived + race->score->strays >= race->score->sent)
			break;
		usleep(2000);
	} while (seconds_now() < end);
	for (uint32_t i = 0; i < race->sequence && i < SEQUENCES; i++)
		race->score->lost += race->fates[i] == FATE_SENT;
}

static void storm_handle(int signal)
{
	(void)signal;
}

static void storm_set(struct send_race *race, long microseconds)
{
	struct sigaction action = {.sa_handler = storm_handle, .sa_flags = race->how->storm & ~SEND_STORM};
	struct itimerval timer = {{0, microseconds}, {0, microseconds}};

	if (race->how->storm == 0)
		return;
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

static int side_try(struct send_race *race, int side)
{
	int fd = socket(race->family, SOCK_DGRAM | SOCK_CLOEXEC, 0), result;
	uint8_t message[HEAD + BODY];

	memset(message, OWN, sizeof(message));
	sequence_write(message, race->sequence);
	race->fates[race->sequence++ % SEQUENCES] = FATE_SENT;
	result = sendto(fd, message, sizeof(message), 0, &race->memory->side[side].any, race->size) < 0
	                 ? errno
	                 : 0;
	close(fd);
	return result;
}

static void still_alive(struct send_race *race)
{
	if (race->how->by == BY_BIND) {
		race->score->alive = race->score->sent > 0;
		return;
	}
	race->score->alive =
		side_try(race, ALLOWED) == 0 && (!race->confined || side_try(race, FORBIDDEN) == EACCES);
}

/* TCP takes an address and looks at none. */
static void stream_open(struct send_race *race)
{
	union send_address address = v4_address(1, htons(race->stream_port));

	race->stream[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(race->stream[0], &address.any, sizeof(address.v4)) < 0 ||
	    (race->stream[1] = accept4(race->listener, NULL, NULL, SOCK_CLOEXEC)) < 0)
		abort();
}

static void sender_open(struct send_race *race)
{
	struct send_memory *memory = race->memory;
	void *page = race->how->writer == SEND_MAP_HEADER ? (void *)memory->message : (void *)&memory->name;

	race->fd = socket(race->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (race->fd < 0)
		abort();
	if (race->how->flip == SEND_NAME || race->how->flip == SEND_NAMELEN)
		if (connect(race->fd, &memory->side[ALLOWED].any, race->size) < 0)
			abort();
	if (race->how->writer == SEND_NUMBER) {
		stream_open(race);
		dup2(race->fd, NUMBER);
	}
	if (race->how->writer == SEND_MAP_NAME || race->how->writer == SEND_MAP_HEADER)
		mmap(page, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, race->pages, 0);
	if (race->how->writer == SEND_DISCARD_NAME)
		mmap(page, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, race->pages, PAGE);
}

/* All that a race of this kind comes to, in the long run. */
static bool all_is_seen(const struct send_race *race)
{
	const struct send_score *score = race->score;

	if (race->how->writer == SEND_MAP_NAME || race->how->writer == SEND_MAP_HEADER)
		return score->sent > 0 && score->refused > 0 && score->faults > 0;
	return score->sent > 0 && score->refused + score->faults + score->misfits > 0;
}

static bool race_goes_on(struct send_race *race, double start)
{
	double played = seconds_now() - start;

	if (race->until_won && race->score->wins > 0)
		return false;
	if (race->sequence > SEQUENCES - 8)
		return false;
	/* Where others use the machine too, the writer may have to wait for its turn. */
	return played < race->seconds ||
	       (race->how->writer != SEND_NONE && !all_is_seen(race) && played < 10);
}

static int race_run(void *argument)
{
	struct send_race *race = argument;
	double start = seconds_now();
	struct writer writer;
	uint8_t drain[PAGE];

	sender_open(race);
	writer_start(&writer, race);
	storm_set(race, 1000);
	while (race_goes_on(race, start)) {
		if (race->how->by == BY_BIND)
			bind_once(race);
		else
			send_once(race, race->how->writer == SEND_NUMBER ? NUMBER : race->fd);
		if (race->how->writer == SEND_NUMBER)
			while (recv(race->stream[1], drain, sizeof(drain), MSG_DONTWAIT) > 0)
				race->streamed = true;
	}
	storm_set(race, 0);
	writer_stop(&writer, race);
	stragglers_wait(race);
	still_alive(race);
	race->score->sent++; /* its own */
	sinks_drain(race);
	return 0;
}

static void race_print(const struct send_case *how, const struct send_score *score)
{
	fprintf(stderr,
	        "# %s: %ld attempts, %ld sent, %ld refused, %ld faults, %ld misfits, %ld interrupted, "
	        "%ld arrived; %ld strays, %ld optioned, %ld foreign, %ld doubled, %ld lost\n",
	        how->name, score->attempts, score->sent, score->refused, score->faults, score->misfits,
	        score->interrupted, score->arrived, score->strays, score->optioned, score->foreign,
	        score->doubled, score->lost);
	if (score->other > 0)
		fprintf(stderr, "# and %ld others, such as %s\n", score->other,
		        strerrorname_np(score->other_error));
}

struct send_score send_play(const struct send_case *how, enum send_confined confined, double seconds,
                            bool until_won)
{
	struct send_race race = {.how = how,
	                         .seconds = seconds,
	                         .until_won = until_won,
	                         .confined = confined == SEND_CONFINED};
	struct send_score score;
	int result;

	race_open(&race);
	result = confined == SEND_BARE
	                 ? attempt_bare(race_run, &race)
	                 : attempt_confined(POLICY("net-allow", race.rule, "net-allow", race.stream_rule,
	                                           "net-allow-bind", race.bind_rule),
	                                    race_run, &race);
	score = *race.score;
	race_print(how, &score);
	race_close(&race);
	assert_int_equal(result, 0);
	assert_true(score.attempts > 0);
	return score;
}
