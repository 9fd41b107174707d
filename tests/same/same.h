/* Scenarios about sockets that run twice, bare and confined: what they note must be the same.
 *
 *     a scenario        a small function. It runs in a process and a directory of its own and notes what it sees
 *     NOTE(call)        "connect(fd, ...) -> -1 EINPROGRESS"
 *     note_...          what arrived, who a socket says it is, poll events, a pending error, signals
 *
 * What the kernel chooses freely is written as a name: ports as A, B, ... in the order in which they are seen, abstract
 * names of autobind as @auto, paths from the scenario's own directory on. So nothing of one run's luck is compared.
 */
#ifndef SL_TESTS_SAME_H
#define SL_TESTS_SAME_H

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* ---- the list of scenarios ---- */

enum { SCENARIO_NUMBERS = 4 };
typedef void (*scenario_fn)(const int *with);

struct scenario {
	char name[96];
	scenario_fn run;
	int with[SCENARIO_NUMBERS];
	const char *skip; /* why it cannot run here, or NULL */
};

/* The last argument of a list of up to four numbers that the scenario gets. */
#define WITH(...) ((const int[SCENARIO_NUMBERS]){__VA_ARGS__})
void scenario_add(scenario_fn run, const int *with, const char *name, ...)
	__attribute__((format(printf, 3, 4)));
/* The same, but it does not run when `reason` is one. */
void scenario_add_unless(const char *reason, scenario_fn run, const int *with, const char *name, ...)
	__attribute__((format(printf, 4, 5)));

/* Why there are no ping sockets here, or NULL. */
const char *pings_missing(void);

/* Each adds its own. */
void scenarios_of_arguments(void);
void scenarios_of_connect(void);
void scenarios_of_datagrams(void);
void scenarios_of_messages(void);
void scenarios_of_streams(void);
void scenarios_of_unix(void);
void scenarios_of_bind(void);
void scenarios_of_aftermath(void);

/* ---- what a scenario notes ---- */

enum { TRACE_SIZE = 12 * 1024 };
struct trace {
	bool ended; /* it came to its end */
	size_t length;
	char text[TRACE_SIZE];
};

void trace_begin(struct trace *trace, const char *directory);
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* errno is the result's own where that is negative, and 0 afterwards where it is not. */
long note_result(const char *what, long result);
const char *error_name(int error);

#define NOTE(call)          NOTE_AS(#call, call)
#define NOTE_AS(what, call) note_result(what, (long)(call))

/* For what a scenario takes for granted. Both runs end here, and a bare run that does fails the test. */
#define NEED(condition)                                              \
	do {                                                         \
		if (!(condition))                                    \
			need_failed(__FILE__, __LINE__, #condition); \
	} while (0)
void need_failed(const char *file, int line, const char *condition) __attribute__((noreturn));

const char *address_text(const void *address, socklen_t size); /* one of four static buffers */
const char *bytes_text(const void *bytes, size_t size);        /* quoted, or how many and a hash; static */
void note_peer_name(int fd);
void note_names(int fd);    /* getsockname and that */
void note_error_of(int fd); /* SO_ERROR */
void note_poll(int fd, short events, int milliseconds);
/* Datagrams: waits for `expected` ones, then takes what else is there. Streams: the same with bytes. */
void note_arrivals(int fd, int expected);
void note_stream(int fd, size_t expected);

/* SIGPIPE is counted from here on; note_pipes says how many have come since. */
void pipes_count(void);
void note_pipes(void);

/* ---- kinds of sockets, and the other end ---- */

enum kind { TCP4, TCP6, UDP4, UDP6, UNIX_STREAM, UNIX_SEQPACKET, UNIX_DGRAM, KINDS };
struct kind_row {
	const char *name;
	int family, type;
};
extern const struct kind_row kinds[KINDS];
bool kind_is_stream(int kind);   /* bytes, not messages */
bool kind_is_datagram(int kind); /* takes messages without being connected */

struct place {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_un un;
		char bytes[256];
	} at;
	socklen_t size;
};

struct place place_v4(uint32_t host, uint16_t port);
struct place place_v6(uint16_t port);     /* ::1 */
struct place place_mapped(uint16_t port); /* ::ffff:127.0.0.1 */
struct place place_path(const char *path);
struct place place_abstract(const char *name);
struct place place_of(int fd); /* where it is bound */
uint16_t place_port(const struct place *place);

int socket_of(int kind, int flags);
/* Bound, and listening where it can: to loopback, or to `name` in the scenario's directory. */
int peer_of(int kind, const char *name, struct place *place);
/* A place where nobody answers; what keeps it so is in *keeper. */
struct place place_refusing(int kind, int *keeper);
struct pair {
	int ours, theirs, listener; /* -1: none */
	struct place place;         /* of theirs */
};
struct pair pair_of(int kind); /* connected */

int connect_place(int fd, const struct place *place);
ssize_t send_place(int fd, const void *bytes, size_t size, int flags, const struct place *place);

/* ---- calls that take an address ---- */

enum call { CALL_CONNECT, CALL_BIND, CALL_SENDTO, CALL_SENDMSG, CALL_SENDMMSG, CALLS };
extern const char *const call_names[CALLS];
/* As the kernel gets it, without the C library; sends say "hello". `flags` are those of sends. */
long call_address(int call, int fd, const void *address, int size, int flags);

/* The same send in four ways, to the connected peer. */
enum way { WAY_SEND, WAY_SENDTO, WAY_SENDMSG, WAY_SENDMMSG, WAYS };
extern const char *const way_names[WAYS];
long send_way(int way, int fd, const void *bytes, size_t size, int flags);

/* ---- memory ---- */

void *memory_ending(const void *bytes, size_t size); /* a copy whose next byte cannot be read */
void *memory_none(void);                             /* a page without rights */
void *memory_readonly(const void *bytes, size_t size);
void *memory_beyond_file(void); /* mapped, but the file has ended: SIGBUS */

/* ---- time ---- */

/* Counts; flags of sigaction(2). The first one opens a latch that a child can wait for. */
void signal_count(int number, int flags);
void latch_open(void);
void latch_wait(void);
void note_signals(void); /* whether there were any */
/* Again and again: one that comes before the call does not leave it waiting for ever. */
void alarm_every(int milliseconds);
/* A child that does this and exits; it ends with the scenario. */
pid_t child_begin(void (*body)(const int *numbers), const int *numbers);
void child_wait(pid_t child);
void pause_ms(int milliseconds);

#endif
