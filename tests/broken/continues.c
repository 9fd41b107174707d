/* Linked with --wrap: these stand in for the functions of the product that have the same name, and reach the
 * real ones by __real_. The decision stays the product's own; what is replaced is what follows from it. */
#include "tests/broken/continues.h"

#include <unistd.h>

#include "core/plan.h"
#include "supervise/gate.h"

bool broken_without_landlock;
static bool decided_yes;

struct verdict __real_handle_connect(struct gate *gate, const struct call *call);
struct verdict __wrap_handle_connect(struct gate *gate, const struct call *call);
struct verdict __wrap_pending_connect(struct gate *gate, const struct call *call, int socket,
                                      const struct sockaddr_storage *address, socklen_t size, int held);
int __wrap_connect_guarded(int socket, const struct sockaddr_storage *address, socklen_t size, bool *raced);
int __real_ruleset_create(const struct plan *plan, sl_error *error);
int __wrap_ruleset_create(const struct plan *plan, sl_error *error);

struct verdict __wrap_pending_connect(struct gate *gate, const struct call *call, int socket,
                                      const struct sockaddr_storage *address, socklen_t size, int held)
{
	(void)gate, (void)call, (void)address, (void)size, (void)held;
	close(socket);
	decided_yes = true;
	return verdict_value(0);
}

int __wrap_connect_guarded(int socket, const struct sockaddr_storage *address, socklen_t size, bool *raced)
{
	(void)socket, (void)address, (void)size;
	*raced = false;
	decided_yes = true;
	return 0;
}

struct verdict __wrap_handle_connect(struct gate *gate, const struct call *call)
{
	struct verdict verdict;

	decided_yes = false;
	verdict = __real_handle_connect(gate, call);
	return decided_yes ? (struct verdict){.kind = VERDICT_CONTINUE} : verdict;
}

/* The plan stays as it is: the gate asks it which walls stand behind. */
int __wrap_ruleset_create(const struct plan *plan, sl_error *error)
{
	struct plan thinner = *plan;

	if (broken_without_landlock)
		thinner.handled_net &= ~(uint64_t)LANDLOCK_ACCESS_NET_CONNECT_TCP;
	return __real_ruleset_create(&thinner, error);
}
