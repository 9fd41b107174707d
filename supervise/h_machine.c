/* uname(2) under `name`, sched_getaffinity(2) under num-cpus: the kernel's own answer with one thing changed, written to
 * the caller. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/syscall.h>

#include "core/fd.h"
#include "supervise/gate.h"

/* All of it, or EFAULT. */
static struct verdict bytes_give(struct gate *gate, const struct call *call, const void *bytes, size_t size,
                                 uint64_t to, int64_t result)
{
	struct iovec ours = {(void *)(uintptr_t)bytes, size}, theirs = {(void *)(uintptr_t)to, size};
	ssize_t n = target_write(gate, call, &ours, 1, &theirs, 1);

	if (n == -ESTALE || (n < 0 && errno == EPERM))
		return verdict_errno(n == -ESTALE ? -ESTALE : -EPERM);
	return n == (ssize_t)size ? verdict_value(result) : verdict_errno(-EFAULT);
}

/* Under which of the names' personalities the caller runs. */
static unsigned persona_read(struct gate *gate, const struct call *call)
{
	char path[32], text[16] = "";
	cleanup_fd int fd = -1;
	unsigned long persona;

	snprintf(path, sizeof(path), "%d/personality", call->tid);
	fd = openat(gate->proc, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		return 0;
	persona = strtoul(text, NULL, 16);
	return ((persona & PER_MASK) == PER_LINUX32 ? PERSONA_32 : 0u) |
	       (persona & UNAME26 ? PERSONA_26 : 0u);
}

struct verdict handle_uname(struct gate *gate, const struct call *call)
{
	const struct utsname *shown = &gate->views.names[persona_read(gate, call)];

	_Static_assert(sizeof(*shown) == 390, "struct new_utsname");
	return bytes_give(gate, call, shown, sizeof(*shown), call->args[0], 0);
}

/* All CPUs that x86_64 can have. */
enum { MASK_WORDS = 8192 / (8 * sizeof(unsigned long)) };

static long mask_ask(pid_t pid, size_t size, unsigned long mask[static MASK_WORDS])
{
	size_t room = MASK_WORDS * sizeof(*mask);
	long written = syscall(SYS_sched_getaffinity, pid, size < room ? size : room, mask);

	return written < 0 ? -errno : written;
}

/* The kernel takes any size that is a multiple of a word and holds all CPUs that there can be, which it finds out by
 * counting the bits in 32 of its own, and writes no more than its mask has. So a size that is too large for the count
 * is asked about twice: as it is counted, and as it is. */
static long mask_read(pid_t pid, uint32_t size, unsigned long mask[static MASK_WORDS])
{
	uint32_t counted = size & UINT32_MAX / 8;
	long written = size % sizeof(*mask) != 0 ? -EINVAL : mask_ask(pid, counted, mask);

	return written < 0 || counted == size ? written : mask_ask(pid, size, mask);
}

struct verdict handle_sched_getaffinity(struct gate *gate, const struct call *call)
{
	unsigned long mask[MASK_WORDS] = {0};
	pid_t pid = (pid_t)call->args[0];
	long written = mask_read(pid == 0 ? call->tid : pid, (uint32_t)call->args[1], mask);

	if (written < 0)
		return verdict_errno((int)written);
	mask_cut(mask, (size_t)written / sizeof(*mask), gate->rules->views.num_cpus);
	return bytes_give(gate, call, mask, (size_t)written, call->args[2], written);
}
