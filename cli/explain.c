/* sluice explain: the plan that the options make. */
#include <stdio.h>

#include "cli/cli.h"
#include "supervise/supervise.h"

int explain_main(int argc, char *argv[])
{
	sl_error error;
	struct run_words words;
	int rest, code;
	sl_policy *policy = options_read(argc, argv, &words, &rest, &code);

	if (policy == NULL)
		return code;
	if (rest < argc || words.exec_shell != NULL) {
		fprintf(stderr, "sluice: explain takes options only, and no command: \"%s\"\n",
		        rest < argc ? argv[rest] : words.exec_shell);
		sl_policy_free(policy);
		return EXIT_SLUICE;
	}
	code = 0;
	if (explain_policy(policy, PLAN_LAUNCH, stdout, &error) < 0) {
		fprintf(stderr, "sluice: %s\n", error.message);
		code = EXIT_SLUICE;
	}
	sl_policy_free(policy);
	return code;
}
