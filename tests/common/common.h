/* What live and attack tests share: an attempt runs in a child of its own, bare or confined, and says how it
 * went.
 *
 * Each denial is tested three ways: bare (the control: it can succeed), confined by a policy that does not
 * grant it, and confined by one that does (the allow twin).
 */
#ifndef SL_TESTS_COMMON_H
#define SL_TESTS_COMMON_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <cmocka.h>

#include "sluice.h"

/* 0: it succeeded; else a positive errno. Runs in a forked child, so it may do anything to its process. */
typedef int (*attempt_fn)(void *context);

enum {
	ATTEMPT_KILLED = 1000,     /* + signal: the child was killed */
	ATTEMPT_UNCONFINED = 2000, /* sl_confine_self failed: its message is on stderr */
	ATTEMPT_SECONDS = 120,     /* then the child is killed */
};

/* Returns the attempt's errno, or one of the above. */
int attempt_bare(attempt_fn attempt, void *context);

/* `policy` is key, value, key, value, ..., NULL; see POLICY(). */
int attempt_confined(const char *const policy[], attempt_fn attempt, void *context);
#define POLICY(...) ((const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

/* A policy from such a list; fails the test when a key is refused. The caller's to free. */
sl_policy *policy_of(const char *const keys[]);

/* Added to each such list as its degrade, where it is not NULL: for the tests that run on a kernel made to look older. */
extern const char *degraded_everywhere;

/* Loopback listeners with a backlog of 128; *port is chosen by the kernel where it is 0. */
int tcp_listener(int family, uint16_t *port);
/* A port that nobody has in either family or protocol, another one each time. It lies below what the kernel chooses
 * from, so that it is free still when it is used. */
uint16_t port_free(void);
/* Accept until there is nothing more; how many there were. The listener must be O_NONBLOCK or is made so. */
int accept_all(int listener);

/* A fresh socket, connected to the loopback of its family: 0 or a positive errno. */
int tcp_try(int family, uint16_t port);
int address_try(const struct sockaddr *address, socklen_t size);
/* connect(2) with AF_UNSPEC in `size` bytes: 0 or a positive errno. */
int disconnect_try(int fd, socklen_t size);

/* "1.2.3.4", "::1", "fe80::1%2": the sockaddr and its size. */
socklen_t address_read(const char *text, uint16_t port, struct sockaddr_storage *address);

/* A link-local address of this host, as text without its interface. False: there is none. */
bool link_local_find(char *text, size_t size, unsigned *interface);

/* "tcp://127.0.0.1:PORT" and "tcp://[::1]:PORT" in one of eight buffers of the thread. */
const char *rule_for(int family, uint16_t port);
const char *text_of(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* From here on in a network of its own, with the capabilities over it: nothing leaves, no port is anybody else's, and ping
 * sockets exist. An ordinary user gets a user namespace for it. False: it could not be had, or half of it only. */
bool network_own(void);
/* In such a network: every address is this machine. */
bool network_is_everywhere(void);
/* In such a network: another interface (a bridge without ports) and its link-local address. */
bool network_second_link(char *address, size_t size, unsigned *interface);
enum { NETWORK_NOT_OWN = 99 };
/* In a child that has such a network: 0 when `play` returned 0, or 1; NETWORK_NOT_OWN where there is none, or when `play` says
 * that it lacks something. */
int network_own_play(int (*play)(void));
/* ... as a test. Namespaces can be forbidden: sysctl user.max_net_namespaces. */
#define PLAY_IN_OWN_NETWORK(play)                                                                       \
	do {                                                                                            \
		int played = network_own_play(play);                                                    \
		if (played == NETWORK_NOT_OWN)                                                          \
			SKIP_BECAUSE("no network of one's own is to be had, or not all that it takes"); \
		assert_int_equal(played, 0);                                                            \
	} while (0)

/* The supervisor of a process confined in place: its hidden child. 0 when there is none. */
pid_t supervisor_of(pid_t process);

/* fork(2) with stdio flushed; fails the test where it cannot. */
pid_t process_fork(void);

/* The letter of /proc/PID/stat; 0 when there is no such process. */
char process_state(pid_t process);
pid_t process_parent(pid_t process); /* likewise */

/* Waits: its exit status, 128+n for signal n. */
int exit_of(pid_t child);

/* kill(2), but never of what a failed fork(2) gives: -1 is everybody. */
void process_kill(pid_t process, int number);
/* SIGKILL, and wait for it. */
void process_end(pid_t process);

/* A process that accepts all that comes, and ends with this one; < 0: there is none. */
pid_t acceptor_start(int listener);

/* The paths of this program and of the command that SLUICE names, into so many bytes each; false, and said, without. */
bool programs_find(char *self, char *sluice, size_t room);

int open_descriptors(pid_t process); /* how many; -1 when it cannot be seen */
long private_kib(pid_t process);     /* Private_Clean + Private_Dirty; -1 */
double seconds_now(void);            /* CLOCK_MONOTONIC */
bool long_run(void);                 /* SL_LONG is set */
int slowness(void);        /* how many times longer than on a machine of its own all may take: SL_SLOW */
const char *scratch(void); /* TEST_TMP: a directory of this test's own */

/* Write a text, at once, into a file that is there, such as those of /proc: 0 or a positive errno. */
int file_set(const char *path, const char *text);
/* A number below /proc/sys; `otherwise` where there is none. */
int sysctl_of(const char *name, int otherwise);

/* In an attempt: what does not hold ends it with 10000 and the line, and is told on stderr. */
#define EXPECT(condition)                                                                               \
	do {                                                                                            \
		if (!(condition)) {                                                                     \
			fprintf(stderr, "# line %d: %s (%s)\n", __LINE__, #condition, strerror(errno)); \
			return 10000 + __LINE__;                                                        \
		}                                                                                       \
	} while (0)

/* SKIP with a reason on stderr, where run.sh shows it. */
#define SKIP_BECAUSE(reason)                                          \
	do {                                                          \
		fprintf(stderr, "# SKIP %s: %s\n", __func__, reason); \
		skip();                                               \
	} while (0)

#endif
