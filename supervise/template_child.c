/* The template from the inside: the fork of an app, behind the walls, alone. It was made by fork(3) at each step, so that
 * malloc and stdio work; what it runs is the app's. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/fd.h"
#include "supervise/supervise.h"
#include "supervise/template.h"

struct clone_running {
	pid_t pid; /* 0: nobody */
	uint32_t index;
};

struct template
{
	const sl_work *work;
	int control;
	struct sigaction on_child; /* as init() left it */
	sigset_t mask;             /* likewise */
	struct clone_running running[TEMPLATE_WINDOW];
	unsigned count;
};

/* A handler rather than a signalfd: threads of init() may have the signal open, and would throw it away. */
static int woken = -1;

static void child_ended(int number)
{
	const uint64_t one = 1;
	int saved = errno;

	(void)number;
	if (write(woken, &one, sizeof(one)) < 0)
		errno = 0; /* it is full of wakes already */
	errno = saved;
}

static int signals_watch(struct template *template)
{
	struct sigaction action = {.sa_handler = child_ended, .sa_flags = SA_RESTART | SA_NOCLDSTOP};
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	if ((woken = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0 ||
	    sigaction(SIGCHLD, &action, &template->on_child) < 0 ||
	    sigprocmask(SIG_UNBLOCK, &child, &template->mask) < 0)
		return -errno;
	return 0;
}

/* write(2), which no policy traps. Nobody to tell: the app has given up. */
static void report(const struct template *template, enum template_event event, uint32_t index, int value)
{
	struct template_report message = {(uint32_t)event, index, value};

	if (write(template->control, &message, sizeof(message)) != sizeof(message))
		_exit(EXIT_SLUICE);
}

/* Its stdout is the pipe, and of the template's own it has nothing. */
static __attribute__((noreturn)) void clone_main(const struct template *template, uint32_t index, int output)
{
	char text[16];
	int code;

	if (output != 1) {
		if (dup2(output, 1) < 0)
			_exit(EXIT_SLUICE);
		close(output);
	}
	close(template->control);
	close(woken);
	sigaction(SIGCHLD, &template->on_child, NULL);
	sigprocmask(SIG_SETMASK, &template->mask, NULL);
	snprintf(text, sizeof(text), "%u", index);
	if (setenv("CLONE_ID", text, 1) < 0)
		_exit(EXIT_SLUICE);
	code = template->work->work(template->work->context, index);
	fflush(stdout);
	fflush(stderr);
	_exit(code & 0xff);
}

static void clone_fork(struct template *template, uint32_t index, int output)
{
	struct clone_running *slot = template->running;
	pid_t pid = fork();

	if (pid == 0)
		clone_main(template, index, output);
	close(output);
	if (pid < 0) {
		report(template, TEMPLATE_REFUSED, index, -errno);
		return;
	}
	while (slot->pid != 0)
		slot++;
	*slot = (struct clone_running){pid, index};
	template->count++;
}

/* An order and its pipe, or the end: what the app sends can be relied on, but not that it is there. */
static void order_take(struct template *template)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct template_order order;
	struct iovec iov = {&order, sizeof(order)};
	struct msghdr message = {.msg_iov = &iov,
	                         .msg_iovlen = 1,
	                         .msg_control = control.bytes,
	                         .msg_controllen = sizeof(control.bytes)};
	ssize_t size = recvmsg(template->control, &message, MSG_CMSG_CLOEXEC);
	struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
	int output;

	if (size < 0 && errno == EINTR)
		return;
	if (size == sizeof(order) && rights == NULL) {
		/* No number was left for it. */
		report(template, TEMPLATE_REFUSED, order.index, -EMFILE);
		return;
	}
	if (size != sizeof(order))
		_exit(size == 0 ? 0 : EXIT_SLUICE);
	memcpy(&output, CMSG_DATA(rights), sizeof(output));
	clone_fork(template, order.index, output);
}

/* Children of init()'s are reaped too, and nothing is said of them. */
static void clones_reap(struct template *template)
{
	uint64_t wakes;
	int status;
	pid_t pid;

	if (read(woken, &wakes, sizeof(wakes)) < 0)
		return;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (size_t i = 0; i < TEMPLATE_WINDOW; i++) {
			struct clone_running *slot = &template->running[i];

			if (slot->pid != pid)
				continue;
			report(template, TEMPLATE_ENDED, slot->index, status);
			slot->pid = 0;
			template->count--;
			break;
		}
	}
}

void template_main(void *context, int control)
{
	static struct template template;
	int value, r;

	template.work = context;
	template.control = control;
	/* What the app had not written yet it will write itself. */
	__fpurge(stdout);
	__fpurge(stderr);
	value = template.work->init == NULL ? 0 : template.work->init(template.work->context);
	/* And what init() wrote is not each clone's. */
	fflush(stdout);
	fflush(stderr);
	if (value == 0 && (r = signals_watch(&template)) < 0)
		_exit(EXIT_SLUICE);
	report(&template, TEMPLATE_READY, 0, value);
	while (value == 0) {
		bool room = template.count < TEMPLATE_WINDOW;
		struct pollfd ready[2] = {{woken, POLLIN, 0}, {room ? control : -1, POLLIN, 0}};

		if (poll(ready, 2, -1) < 0)
			continue;
		if (ready[0].revents != 0)
			clones_reap(&template);
		if (ready[1].revents != 0)
			order_take(&template);
	}
	_exit(EXIT_SLUICE);
}
