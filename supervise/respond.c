/* The only writer to the target. */
#include <errno.h>

#include "supervise/gate.h"

/* ENOENT: the caller was killed meanwhile. What was done for it was done to its own socket, and the duplicate
 * is closed already, so there is nothing to undo. EINPROGRESS: answered already, which dispatch() excludes.
 * Neither is a reason to stop serving the others. */
void respond(struct gate *gate, uint64_t id, struct verdict verdict)
{
	notify_send(gate->listener, id, verdict);
}
