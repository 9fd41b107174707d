/* fork(2) without fork(3): that runs the handlers of pthread_atfork(3) and takes malloc's locks, which another thread of
 * the app may have held when this process was made. */
#ifndef SL_SUPERVISE_FORK_H
#define SL_SUPERVISE_FORK_H

#include <signal.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/* As fork(2); what runs in the child is async-signal-safe. */
static inline pid_t process_fork(void)
{
	return (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0);
}

/* For a process that is to run what is not async-signal-safe: it must find malloc's locks free, and fork(3) sees to it. */
static inline pid_t process_fork_as(bool whole)
{
	return whole ? fork() : process_fork();
}

#endif
