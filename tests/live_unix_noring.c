/* The same where io_uring is switched off: a full queue is tried again by a timer. */
#include "tests/live_unix.c"

#include "core/kernel.h"

void __real_kernel_probe_gate(struct kernel *kernel);
void __wrap_kernel_probe_gate(struct kernel *kernel);
void __wrap_kernel_probe_gate(struct kernel *kernel)
{
	__real_kernel_probe_gate(kernel);
	kernel->io_uring = false;
}
