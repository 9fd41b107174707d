/* The supervisor's ring: io_uring(7) is not seen by the filter that keeps the supervisor in, so the ring itself must
 * refuse what is not needed. */
#include "tests/common/common.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdlib.h>
#include <unistd.h>

#include "confine/confine.h"
#include "supervise/gate.h"

static int ring_result(struct io_uring *ring)
{
	struct io_uring_cqe *cqe;
	int result;

	if (io_uring_submit(ring) != 1 || io_uring_wait_cqe(ring, &cqe) < 0)
		return -ENODATA;
	result = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return result;
}

static int ring_opens(struct io_uring *ring)
{
	io_uring_prep_openat(io_uring_get_sqe(ring), AT_FDCWD, "/", O_RDONLY | O_DIRECTORY, 0);
	return ring_result(ring);
}

static int ring_connects(struct io_uring *ring)
{
	static const struct sockaddr_storage nowhere = {.ss_family = AF_INET};

	io_uring_prep_connect(io_uring_get_sqe(ring), -1, (const struct sockaddr *)&nowhere, sizeof(nowhere));
	return ring_result(ring);
}

/* In a child: what a gate opens is not given back. */
static int gate_ring_try(int (*attempt)(struct io_uring *ring))
{
	static struct gate gate;
	static const struct gate_rules rules = {.ruleset = -1, .io_uring = true};
	pid_t child = process_fork();

	if (child == 0) {
		if (gate_open(&gate, &rules, -1) < 0 || !gate.has_ring)
			_exit(254);
		_exit(abs(attempt(&gate.ring)));
	}
	return exit_of(child);
}

static void the_supervisors_ring_connects_and_nothing_else(void **state)
{
	struct kernel kernel;
	struct io_uring plain;

	(void)state;
	kernel_probe(&kernel);
	kernel_probe_gate(&kernel);
	if (!kernel.io_uring)
		SKIP_BECAUSE("this kernel gives no io_uring");
	assert_int_equal(io_uring_queue_init(1, &plain, 0), 0);
	assert_true(ring_opens(&plain) >= 0);
	io_uring_queue_exit(&plain);
	assert_int_equal(gate_ring_try(ring_connects), EBADF);
	assert_int_equal(gate_ring_try(ring_opens), EACCES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_supervisors_ring_connects_and_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
