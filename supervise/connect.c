/* The calls on a socket of the target's that may sleep: connect(2), accept(2) and the last close(2).
 * And write(2) to who is told of them.
 *
 * O_NONBLOCK lives in the shared description: seeing it set is no promise that it still is when connect
 * looks. And who closes a socket last waits as long as SO_LINGER says, which is the target's to choose and to
 * time. Both sleep interruptibly, so both run under a repeating timer whose signal ends a wait that should
 * not be there. A connection that has been started goes on in the kernel, as after EINTR in connect(2); what
 * was to be sent is sent.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "core/fd.h"
#include "supervise/gate.h"

/* A timer that is armed and disarmed around every call costs two more calls; so it is left running while there is
 * work, and its own handler stops it after a few ticks that nobody needed. */
enum { TICKS_UNUSED_MAX = 5 };
static volatile sig_atomic_t guard_running, ticks_unused;

static void guard_tick(int signal)
{
	static const struct itimerval never;

	(void)signal;
	if (++ticks_unused > TICKS_UNUSED_MAX && setitimer(ITIMER_REAL, &never, NULL) == 0)
		guard_running = 0;
}

/* In front of a call that may sleep: from here on a signal comes every millisecond. Repeating, because the first one
 * may come before the sleep begins. */
static void guard_arm(void)
{
	static const struct itimerval every_millisecond = {{0, 1000}, {0, 1000}};

	/* The handler may stop the timer between any two lines here; before the first it is told not to. */
	ticks_unused = 0;
	if (!guard_running && setitimer(ITIMER_REAL, &every_millisecond, NULL) == 0)
		guard_running = 1;
}

void guard_rest(void)
{
	static const struct itimerval never;

	if (guard_running && setitimer(ITIMER_REAL, &never, NULL) == 0)
		guard_running = 0;
}

int connect_guard_init(void)
{
	struct sigaction action = {.sa_handler = guard_tick}; /* no SA_RESTART: connect must return */
	sigset_t alarm_only;

	guard_running = 0;
	if (sigaction(SIGALRM, &action, NULL) < 0)
		return -errno;
	sigemptyset(&alarm_only);
	sigaddset(&alarm_only, SIGALRM);
	return sigprocmask(SIG_UNBLOCK, &alarm_only, NULL) < 0 ? -errno : 0;
}

int connect_guarded(int socket, const struct sockaddr_storage *address, socklen_t size, bool *raced)
{
	int r;

	guard_arm();
	r = connect(socket, (const struct sockaddr *)address, size) < 0 ? -errno : 0;
	*raced = r == -EINTR;
	return r == -EINTR ? -EINPROGRESS : r;
}

void connect_undo(int socket)
{
	static const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};

	connect(socket, &nowhere, sizeof(nowhere));
}

/* -EAGAIN: nobody is there. -EINTR: there was somebody, and another thread was faster. */
int accept_guarded(int socket, struct sockaddr_storage *address, socklen_t *size, int flags)
{
	struct pollfd ready = {.fd = socket, .events = POLLIN};
	int fd;

	if (poll(&ready, 1, 0) == 0)
		return -EAGAIN;
	guard_arm();
	fd = accept4(socket, (struct sockaddr *)address, size, flags);
	return fd < 0 ? -errno : fd;
}

void write_guarded(int fd, const char *text, size_t size)
{
	struct pollfd ready = {.fd = fd, .events = POLLOUT};
	ssize_t n = 0;

	if (poll(&ready, 1, 0) <= 0 || !(ready.revents & POLLOUT))
		return;
	guard_arm();
	n = write(fd, text, size);
	(void)n; /* who does not read in time does not hear */
}

void close_guarded(int *socket)
{
	if (*socket < 0)
		return;
	guard_arm();
	fd_close(socket); /* an interrupted close has closed: close(2), "Dealing with error returns" */
}
