/* Which call goes to which handler. A row says what a handler may answer; it is looked at in one place. */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "supervise/gate.h"

enum row_flags {
	/* The handler may let the kernel carry the call out. The kernel reads the arguments again then, so
	 * each row that has this names the wall that refuses every rewrite of them. */
	MAY_CONTINUE = 1 << 0,
};

struct dispatch_row {
	int number;
	enum row_flags flags;
	struct verdict (*handle)(struct gate *gate, const struct call *call);
};

static const struct dispatch_row rows[] = {
	/* CONTINUE is for AF_UNIX under net-allow-unix "*" alone, and only where unix_continue says that a rewrite gains
	 * nothing. Whatever the caller makes of descriptor and address meanwhile: Landlock's CONNECT_TCP grants it no
	 * port, or TCP is not restricted; UDP and ping sockets do not exist, or are not restricted; and every unix path
	 * is granted. What was open before the walls went up is the program's own choice, here as everywhere. */
	{SYS_connect, MAY_CONTINUE, handle_connect},
	{SYS_bind, 0, handle_bind},
	{SYS_listen, 0, handle_listen},
	/* These three CONTINUE where no port is to be translated. They are about a socket that the caller has, and were
	 * asked about for what they show: whatever the caller rewrites, it gets no more than it would without port-remap,
	 * and a descriptor that accept(2) gives is one that listen(2) was judged for. */
	{SYS_accept, MAY_CONTINUE, handle_accept},
	{SYS_accept4, MAY_CONTINUE, handle_accept},
	{SYS_getsockname, MAY_CONTINUE, handle_getsockname},
	{SYS_getpeername, MAY_CONTINUE, handle_getpeername},
	/* What is asked for stands in registers, and the kernel uses the same ones again: whether there is room for one more
	 * does not depend on any memory that they point to. Flags that would make another thing of it (a thread, a sibling,
	 * namespaces) are told apart by the filter, before and again. A tracer could change registers, and there is none. */
	{SYS_clone, MAY_CONTINUE, handle_fork},
	{SYS_fork, MAY_CONTINUE, handle_fork},
	{SYS_vfork, MAY_CONTINUE, handle_fork},
	/* PR_SET_CHILD_SUBREAPER alone: not a question, the supervisor only wants to know of it. */
	{SYS_prctl, MAY_CONTINUE, handle_prctl},
	{SYS_sendto, 0, handle_sendto},
	{SYS_sendmsg, 0, handle_sendmsg},
	{SYS_sendmmsg, 0, handle_sendmmsg},
	{SYS_uname, 0, handle_uname},
	{SYS_sched_getaffinity, 0, handle_sched_getaffinity},
	/* These three CONTINUE wherever no view is shown, whatever the reason. The look grants nothing: which file may be
	 * opened is Landlock's decision, made by the kernel on what it reads itself. Whatever the caller makes of the
	 * path meanwhile, it gets what it would have got without a view: the real file where that is granted. */
	{SYS_open, MAY_CONTINUE, handle_open},
	{SYS_openat, MAY_CONTINUE, handle_openat},
	{SYS_openat2, MAY_CONTINUE, handle_openat2},
};

static const struct dispatch_row *row_find(int number)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].number == number)
			return &rows[i];
	return NULL;
}

/* The first call of the one who just locked itself in: can we see its memory and its descriptors? */
static struct verdict probe_answer(struct gate *gate, const struct call *call)
{
	uint8_t shown[NONCE_SIZE];
	cleanup_target int socket = -1;
	int r = target_read(gate, call, call->args[1], shown, sizeof(shown));

	if (r < 0)
		return verdict_errno(r);
	if ((socket = target_socket(gate, call, (int)call->args[0])) < 0)
		return verdict_errno(socket);
	if (memcmp(shown, gate->rules->nonce, sizeof(shown)) != 0)
		return verdict_errno(-EBADMSG);
	return verdict_value(0);
}

static struct verdict verdict_find(struct gate *gate, const struct call *call)
{
	const struct dispatch_row *row = row_find(call->number);
	struct verdict verdict;

	if (call->tid <= 0)
		return verdict_errno(-EPERM); /* the caller is in a pid namespace that we cannot see into */
	if (gate->probed == call->tid) {
		gate->probed = 0;
		return probe_answer(gate, call);
	}
	if (row == NULL)
		return verdict_errno(-ENOSYS);
	verdict = row->handle(gate, call);
	if (verdict.kind == VERDICT_CONTINUE && !(row->flags & MAY_CONTINUE))
		return verdict_errno(-EPERM);
	return verdict;
}

void dispatch(struct gate *gate, const struct call *call)
{
	struct verdict verdict = verdict_find(gate, call);

	respond(gate, call->id, verdict);
}
