/* live_connect.c on a gate that has no io_uring: what a kernel with kernel.io_uring_disabled gives. Linked with
 * --wrap=kernel_probe_gate. */
#include "tests/live_connect.c"

void __real_kernel_probe_gate(struct kernel *kernel);
void __wrap_kernel_probe_gate(struct kernel *kernel);

void __wrap_kernel_probe_gate(struct kernel *kernel)
{
	__real_kernel_probe_gate(kernel);
	kernel->io_uring = false;
}
