/* A gate that is broken on purpose, for the controls of the sends: it decides on what the caller shows, and where
 * the answer is yes, lets the kernel carry the call out, on whatever the caller has made of it by then. Linked with
 * --wrap. The decision stays the product's own, and so does the datagram that it sends with it, or the connection; the
 * second one is the kernel's. A socket is bound only once, so that is left to the kernel alone. */
#include <stdbool.h>
#include <sys/socket.h>

#include "supervise/gate.h"

static bool decided_yes, binding;

#define WRAP(name)                                                                \
	struct verdict __real_##name(struct gate *gate, const struct call *call); \
	struct verdict __wrap_##name(struct gate *gate, const struct call *call); \
	struct verdict __wrap_##name(struct gate *gate, const struct call *call)  \
	{                                                                         \
		struct verdict verdict;                                           \
                                                                                  \
		binding = true;                                                   \
		verdict = __real_##name(gate, call);                              \
		binding = false;                                                  \
		decided_yes = verdict.kind == VERDICT_VALUE;                      \
		return verdict;                                                   \
	}

WRAP(handle_sendto)
WRAP(handle_sendmsg)
WRAP(handle_sendmmsg)
WRAP(handle_connect)
WRAP(handle_bind)

int __real_bind(int fd, const struct sockaddr *address, socklen_t size);
int __wrap_bind(int fd, const struct sockaddr *address, socklen_t size);

int __wrap_bind(int fd, const struct sockaddr *address, socklen_t size)
{
	return binding ? 0 : __real_bind(fd, address, size);
}

void __real_respond(struct gate *gate, uint64_t id, struct verdict verdict);
void __wrap_respond(struct gate *gate, uint64_t id, struct verdict verdict);

void __wrap_respond(struct gate *gate, uint64_t id, struct verdict verdict)
{
	if (decided_yes)
		verdict = (struct verdict){.kind = VERDICT_CONTINUE};
	decided_yes = false;
	__real_respond(gate, id, verdict);
}
