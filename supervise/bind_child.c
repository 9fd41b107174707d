/* bind(2) of a path on behalf of the target. It makes a file: whether it may is for Landlock to say, for the directory
 * that the path leads to at that moment; with which mode and owner is for the target's umask and ids; and what
 * getsockname(2) shows afterwards are the bytes that were bound. The supervisor is outside of the target's Landlock domain
 * and has another directory, so a child of it that is like the target binds its duplicate of the socket, and ends.
 *
 *     target           supervisor                     child
 *     bind ──────────> copies address, descriptor
 *                      clone ───────────────────────> same ruleset, umask, ids, directory
 *                      (serves others)                bind, _exit(errno)
 *       <───────────── answers  <──────────────────── pidfd readable
 *
 * It shares the supervisor's descriptors. With copies, what the supervisor closes would stay in its epoll for as long as
 * the child lives, and would fire there for whoever has the number then.
 *
 * After a fork from a program with threads no lock may be taken: all of the child is system calls. A domain of its own
 * made of the same ruleset allows a bind exactly where the target's does.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/fd.h"
#include "supervise/identity.h"
#include "supervise/unix.h"

enum { JOBS_MAX = 64 }; /* children at once; one more bind gets ENOBUFS */
static const double DEADLINE_SECONDS = 10;

struct bind_job {
	uint64_t id; /* 0: free */
	int pidfd, socket, directory;
	struct gate *gate;
	struct ev_io ended;
	struct ev_timer deadline;
};
static struct bind_job jobs[JOBS_MAX];

/* What the child needs, all of it found before there is a child. */
struct bind_order {
	int socket, directory, ruleset;
	struct identity identity;
	struct sockaddr_un address;
	socklen_t size;
};

static int order_carry_out(const struct bind_order *order)
{
	int r;

	umask(order->identity.mask);
	if (syscall(SYS_landlock_restrict_self, order->ruleset, 0) < 0)
		return -errno;
	if ((r = identity_assume(&order->identity)) < 0)
		return r;
	/* After the ids, a change of which forgets it. Stuck in a file system, it must not keep the listener alive. */
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	/* An absolute path does not ask whether the directory may be entered. */
	if (order->address.sun_path[0] != '/' && fchdir(order->directory) < 0)
		return -errno;
	return bind(order->socket, (const struct sockaddr *)&order->address, order->size) < 0 ? -errno : 0;
}

static void job_end(struct bind_job *job, int code)
{
	uint64_t id = job->id;

	gate_unwatch(job->gate, &job->ended);
	ev_timer_stop(job->gate->loop, &job->deadline);
	job->gate->jobs--;
	fd_close(&job->pidfd);
	fd_close(&job->directory);
	close_guarded(&job->socket);
	job->id = 0;
	respond(job->gate, id, code == 0 ? verdict_value(0) : verdict_errno(-code));
}

static void job_ended(struct ev_loop *loop, struct ev_io *watcher, int events)
{
	struct bind_job *job = watcher->data;
	siginfo_t info = {.si_pid = 0};

	(void)loop, (void)events;
	if (waitid(P_PIDFD, (id_t)job->pidfd, &info, WEXITED | WNOHANG | __WALL) < 0 || info.si_pid == 0)
		return;
	job_end(job, info.si_code == CLD_EXITED ? info.si_status : EIO);
}

/* A file system that does not answer. Its end is then seen as any other. */
static void job_late(struct ev_loop *loop, struct ev_timer *timer, int events)
{
	struct bind_job *job = timer->data;

	(void)loop, (void)events;
	syscall(SYS_pidfd_send_signal, job->pidfd, SIGKILL, NULL, 0);
}

static struct bind_job *job_free(void)
{
	for (size_t i = 0; i < JOBS_MAX; i++)
		if (jobs[i].id == 0)
			return &jobs[i];
	return NULL;
}

/* Without an exit signal: a program in whose name the supervisor was forked must not hear of it. */
static int job_start(struct bind_job *job, const struct bind_order *order)
{
	int pidfd, pid = (int)syscall(SYS_clone, CLONE_PIDFD | CLONE_FILES, NULL, &pidfd, NULL, 0);

	if (pid == 0)
		_exit(-order_carry_out(order));
	if (pid < 0)
		return -ENOMEM;
	job->pidfd = pidfd;
	return 0;
}

static void job_watch(struct bind_job *job, struct gate *gate, uint64_t id)
{
	job->id = id;
	job->gate = gate;
	gate->jobs++;
	gate_watch(gate, &job->ended, job->pidfd, job_ended);
	job->ended.data = job;
	ev_timer_init(&job->deadline, job_late, DEADLINE_SECONDS, 0);
	job->deadline.data = job;
	ev_timer_start(gate->loop, &job->deadline);
}

/* The child has the supervisor's root. A target that has another means other files by the same names. */
static int root_check(struct gate *gate, const struct call *call)
{
	cleanup_fd int theirs = target_link(gate, call, "root");
	struct object root, own;
	int r;

	if (theirs < 0)
		return theirs;
	if ((r = object_at(theirs, "", &root)) < 0 || (r = object_at(AT_FDCWD, "/", &own)) < 0)
		return r;
	return object_is(&root, &own) && root.mount == own.mount ? 0 : -EACCES;
}

static int order_prepare(struct gate *gate, const struct call *call, struct bind_order *order)
{
	int r;

	if ((order->ruleset = gate->rules->ruleset) < 0)
		return -EACCES;
	if ((r = identity_read_all(gate, call, &order->identity)) < 0 || (r = root_check(gate, call)) < 0)
		return r;
	order->directory = target_link(gate, call, "cwd");
	return order->directory < 0 ? order->directory : 0;
}

struct verdict bind_child_start(struct gate *gate, const struct call *call, int *socket, const void *bytes,
                                size_t size)
{
	struct bind_order order = {.socket = *socket, .directory = -1, .size = (socklen_t)size};
	struct bind_job *job = job_free();
	int r;

	memcpy(&order.address, bytes, size);
	if (job == NULL)
		return verdict_errno(-ENOBUFS);
	if ((r = order_prepare(gate, call, &order)) == 0)
		r = job_start(job, &order);
	if (r < 0) {
		fd_close(&order.directory);
		return verdict_errno(r);
	}
	job->socket = fd_steal(socket);
	job->directory = order.directory;
	job_watch(job, gate, call->id);
	return (struct verdict){.kind = VERDICT_LATER};
}
