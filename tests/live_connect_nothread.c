/* live_connect.c on a gate that cannot name a thread by a pidfd: kernels before 6.9. Linked with
 * --wrap=kernel_probe_gate. */
#include "tests/live_connect.c"

void __real_kernel_probe_gate(struct kernel *kernel);
void __wrap_kernel_probe_gate(struct kernel *kernel);

void __wrap_kernel_probe_gate(struct kernel *kernel)
{
	__real_kernel_probe_gate(kernel);
	kernel->pidfd_thread = false;
}
