/* attack_network.c where Landlock is believed to have no ports, no scopes and no ioctl: the supervisor and the filter
 * are the only walls. Linked with --wrap=kernel_probe. */
#include "tests/attack_network.c"

#include "confine/confine.h"

void __real_kernel_probe(struct kernel *kernel);
void __wrap_kernel_probe(struct kernel *kernel);

void __wrap_kernel_probe(struct kernel *kernel)
{
	__real_kernel_probe(kernel);
	kernel->landlock_abi = SL_ABI_NET - 1;
}

__attribute__((constructor)) static void degrade(void)
{
	degraded_everywhere = "scopes,ioctl";
}
