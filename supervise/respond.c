/* The only writer to the target. */
#include <errno.h>

#include "supervise/gate.h"

/* No room in the caller's table, or too many in the machine: then that is the answer. */
static void respond_fd(struct gate *gate, uint64_t id, struct verdict verdict)
{
	int fd = (int)verdict.value, r = notify_send(gate->listener, id, verdict);

	close_guarded(&fd);
	if (r < 0 && r != -ENOENT)
		notify_send(gate->listener, id, verdict_errno(r));
}

/* ENOENT: the caller was killed meanwhile. What was done for it was done to its own socket, and the duplicate
 * is closed already, so there is nothing to undo; a descriptor that it did not get is closed. EINPROGRESS: answered
 * already, which dispatch() excludes. Neither is a reason to stop serving the others. */
void respond(struct gate *gate, uint64_t id, struct verdict verdict)
{
	if (verdict.kind == VERDICT_FD)
		respond_fd(gate, id, verdict);
	else
		notify_send(gate->listener, id, verdict);
}
