/* A command gets the descriptors that it was promised, whatever numbers they have and whatever else is on the way. */
#include "tests/common/common.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/fd.h"

/* From 3 on, `count` of them: the numbers that the keeper and its child would take for themselves. */
static void all_numbers_are_the_commands(const char *const keys[], size_t count)
{
	sl_policy *policy = policy_of(keys);
	const char *const argv[] = {
		"sh", "-c", "exec 2>/dev/null; for fd in 3 4 5 6 7 8 9; do read -r x <&$fd || exit $fd; done",
		NULL};
	sl_descriptor descriptors[16];
	sl_stdio stdio = {.extra = descriptors, .extra_count = count};
	cleanup_fd int file = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
	sl_sandbox *sandbox;
	sl_status status;
	sl_error error;

	for (size_t i = 0; i < count; i++)
		descriptors[i] = (sl_descriptor){(int)(3 + i), file};
	if (sl_spawn(policy, argv, &stdio, &sandbox, &error) < 0)
		fail_msg("%zu descriptors: %s", count, error.message);
	assert_int_equal(sl_wait(sandbox, 5000, &status, &error), 0);
	/* The first that it lacks. */
	assert_int_equal(status.code, count >= 7 ? 0 : 3 + (int)count);
	sl_sandbox_free(sandbox);
	sl_policy_free(policy);
}

static void a_command_has_its_numbers(void **state)
{
	(void)state;
	for (size_t count = 0; count <= 16; count++)
		all_numbers_are_the_commands(POLICY("fs-system", ""), count);
}

static void a_supervised_and_named_command_has_its_numbers(void **state)
{
	(void)state;
	for (size_t count = 0; count <= 16; count++)
		all_numbers_are_the_commands(
			POLICY("fs-system", "", "name", "numbers", "net-allow", "tcp://127.0.0.1:9"), count);
}

/* What the line says of a spawned one; the app reads it when sl_wait() has said so too. */
static void status_fd_is_written_for_a_spawned_one(void **state)
{
	const char *const argv[] = {"sh", "-c", "exit 6", NULL};
	char line[128] = "";
	int pipe[2];
	sl_sandbox *sandbox;
	sl_policy *policy;
	sl_error error;

	(void)state;
	assert_int_equal(pipe2(pipe, O_CLOEXEC), 0);
	policy = policy_of(POLICY("fs-system", "", "status-fd", text_of("%d", pipe[1])));
	assert_int_equal(sl_spawn(policy, argv, NULL, &sandbox, &error), 0);
	close(pipe[1]);
	assert_int_equal(sl_wait(sandbox, 5000, NULL, &error), 0);
	assert_true(read(pipe[0], line, sizeof(line) - 1) > 0);
	assert_string_equal(line, "{\"exit_code\":6,\"signal\":0,\"reason\":\"exit\"}\n");
	assert_int_equal(read(pipe[0], line, sizeof(line)), 0);
	close(pipe[0]);
	sl_sandbox_free(sandbox);
	sl_policy_free(policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_command_has_its_numbers),
		cmocka_unit_test(a_supervised_and_named_command_has_its_numbers),
		cmocka_unit_test(status_fd_is_written_for_a_spawned_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
