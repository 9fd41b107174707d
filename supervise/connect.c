/* connect(2) on a socket that the target still holds.
 *
 * O_NONBLOCK lives in the shared description: seeing it set is no promise that it still is when connect
 * looks. So connect runs under a repeating timer whose signal ends a wait that should not be there. A
 * connection that has been started goes on in the kernel, as after EINTR in connect(2).
 */
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>

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

int connect_guarded(int socket, const struct sockaddr_storage *address, socklen_t size, bool *raced)
{
	/* Repeating: the first signal may come before the wait begins. */
	static const struct itimerval armed = {{0, 1000}, {0, 1000}}, disarmed;
	int r;

	setitimer(ITIMER_REAL, &armed, NULL);
	r = connect(socket, (const struct sockaddr *)address, size) < 0 ? -errno : 0;
	setitimer(ITIMER_REAL, &disarmed, NULL);
	*raced = r == -EINTR;
	return r == -EINTR ? -EINPROGRESS : r;
}
