/* What the kernel grants to CAP_NET_ADMIN or CAP_NET_RAW alone is refused by the walls too, and not only for want of the
 * privilege: so confined processes and their supervisors keep it here, over a network of their own. Linked with
 * --wrap=capabilities_drop,--wrap=capabilities_suspend.
 */
#ifndef SL_TESTS_ATTACK_PRIVILEGE_H
#define SL_TESTS_ATTACK_PRIVILEGE_H

#include <linux/capability.h>
#include <sys/syscall.h>

#include "tests/attack_rows.h"

static bool privilege_stays;

int __real_capabilities_drop(void);
int __wrap_capabilities_drop(void);
int __real_capabilities_suspend(uint64_t needed);
int __wrap_capabilities_suspend(uint64_t needed);

int __wrap_capabilities_drop(void)
{
	return privilege_stays ? 0 : __real_capabilities_drop();
}

int __wrap_capabilities_suspend(uint64_t needed)
{
	return privilege_stays ? 0 : __real_capabilities_suspend(needed);
}

/* Without it, a refusal would say nothing. */
static inline int privilege_try(void *context)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[2] = {{0}};
	uint32_t needed = 1u << CAP_NET_ADMIN | 1u << CAP_NET_RAW;

	(void)context;
	if (syscall(SYS_capget, &header, sets) < 0)
		return errno;
	return (sets[0].effective & needed) == needed ? 0 : EPERM;
}

/* From here on; how many rows went wrong: the privilege is there bare and confined. */
static inline int privilege_keep(const char *const policy[])
{
	static const struct attack_row held = {"CAP_NET_ADMIN, CAP_NET_RAW", privilege_try, NULL, 0,
	                                       CONTROL_BOTH};

	privilege_stays = true;
	return rows_play(&held, 1, policy);
}

#endif
