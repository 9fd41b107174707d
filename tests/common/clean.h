/* Nothing is left behind: what a test began with in descriptors and children it ends with. */
#ifndef SL_TESTS_CLEAN_H
#define SL_TESTS_CLEAN_H

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/common/common.h"

static inline int clean_begin(void **state)
{
	static int before;

	fflush(NULL);
	before = open_descriptors(getpid());
	*state = &before;
	return 0;
}

static inline int clean_end(void **state)
{
	int now = open_descriptors(getpid());

	if (waitpid(-1, NULL, __WALL | WNOHANG) != -1 || errno != ECHILD) {
		fprintf(stderr, "# a child is left\n");
		return -1;
	}
	if (now != *(int *)*state) {
		fprintf(stderr, "# %d descriptors before, %d after\n", *(int *)*state, now);
		return -1;
	}
	return 0;
}

#define CLEAN_TEST(test) cmocka_unit_test_setup_teardown(test, clean_begin, clean_end)

/* A process of a sandbox ends soon, or has. */
static inline bool dies(pid_t process)
{
	for (double end = seconds_now() + 5; seconds_now() < end; usleep(2000)) {
		char letter = process_state(process);

		if (letter == 0 || letter == 'Z' || letter == 'X')
			return true;
	}
	return false;
}

#endif
