/* sluice run: a command, confined. */
#include <stdio.h>

#include "cli/cli.h"
#include "supervise/supervise.h"

int run_main(int argc, char *argv[])
{
	sl_error error = {.message = ""};
	int rest, code;
	sl_policy *policy = options_read(argc, argv, &rest, &code);

	if (policy == NULL)
		return code;
	if (rest == argc) {
		fputs("sluice: no command specified: sluice run [options] -- command...\n", stderr);
		code = EXIT_SLUICE;
	} else {
		code = launch_run(policy, argv + rest, &error);
	}
	if (error.message[0] != '\0')
		fprintf(stderr, "sluice: %s\n", error.message);
	sl_policy_free(policy);
	return code;
}
