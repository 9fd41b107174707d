/* The two calls on a socket of the target's that may sleep: connect(2) and the last close(2).
 *
 * O_NONBLOCK lives in the shared description: seeing it set is no promise that it still is when connect
 * looks. And who closes a socket last waits as long as SO_LINGER says, which is the target's to choose and to
 * time. Both sleep interruptibly, so both run under a repeating timer whose signal ends a wait that should
 * not be there. A connection that has been started goes on in the kernel, as after EINTR in connect(2); what
 * was to be sent is sent.
 */
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "core/fd.h"
#include "supervise/gate.h"

static void wait_end(int signal)
{
	(void)signal;
}

int connect_guard_init(void)
{
	struct sigaction action = {.sa_handler = wait_end}; /* no SA_RESTART: connect must return */
	sigset_t alarm_only;

	if (sigaction(SIGALRM, &action, NULL) < 0)
		return -errno;
	sigemptyset(&alarm_only);
	sigaddset(&alarm_only, SIGALRM);
	return sigprocmask(SIG_UNBLOCK, &alarm_only, NULL) < 0 ? -errno : 0;
}

/* Repeating: the first signal may come before the wait begins. */
static void guard_arm(void)
{
	static const struct itimerval armed = {{0, 1000}, {0, 1000}};

	setitimer(ITIMER_REAL, &armed, NULL);
}

static void guard_disarm(void)
{
	static const struct itimerval disarmed;

	setitimer(ITIMER_REAL, &disarmed, NULL);
}

int connect_guarded(int socket, const struct sockaddr_storage *address, socklen_t size, bool *raced)
{
	int r;

	guard_arm();
	r = connect(socket, (const struct sockaddr *)address, size) < 0 ? -errno : 0;
	guard_disarm();
	*raced = r == -EINTR;
	return r == -EINTR ? -EINPROGRESS : r;
}

void close_guarded(int *socket)
{
	if (*socket < 0)
		return;
	guard_arm();
	fd_close(socket); /* an interrupted close has closed: close(2), "Dealing with error returns" */
	guard_disarm();
}
