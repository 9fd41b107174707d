/* sluice run: a command, confined. */
#include <stdio.h>

#include "cli/cli.h"
#include "supervise/supervise.h"

/* NULL, where it has been said what is wrong. `shell` has room for four. */
static char **command_of(char **words, const char *exec_shell, char **shell)
{
	if (*words == NULL && exec_shell == NULL) {
		fputs("sluice: no command specified: sluice run [options] -- command...\n", stderr);
		return NULL;
	}
	if (exec_shell == NULL)
		return words;
	if (*words != NULL) {
		fprintf(stderr, "sluice: exec-shell gives the command already, and then comes \"%s\"\n",
		        *words);
		return NULL;
	}
	shell[0] = "/bin/sh";
	shell[1] = "-c";
	shell[2] = (char *)exec_shell;
	shell[3] = NULL;
	return shell;
}

int run_main(int argc, char *argv[])
{
	sl_error error = {.message = ""};
	struct run_words words;
	int rest, code;
	sl_policy *policy = options_read(argc, argv, &words, &rest, &code);
	char *shell[4], **command;

	if (policy == NULL)
		return code;
	command = command_of(argv + rest, words.exec_shell, shell);
	code = command == NULL ? EXIT_SLUICE : launch_run(policy, command, &error);
	if (error.message[0] != '\0')
		fprintf(stderr, "sluice: %s\n", error.message);
	sl_policy_free(policy);
	return code;
}
