/* cli/: the command; the only room that prints or exits. */
#ifndef SL_CLI_H
#define SL_CLI_H

#include <stdio.h>

#include "core/policy.h"
#include "sluice.h"

struct subcommand {
	const char *name;
	const char *usage; /* behind the name */
	const char *help;
	int (*main)(int argc, char *argv[]); /* argv[0] is the name */
};

extern const struct subcommand subcommands[];
extern const size_t subcommand_count;

int run_main(int argc, char *argv[]);
int explain_main(int argc, char *argv[]);
int profile_main(int argc, char *argv[]);
int check_main(int argc, char *argv[]);
int ps_main(int argc, char *argv[]);
int inspect_main(int argc, char *argv[]);
int kill_main(int argc, char *argv[]);
int help_main(int argc, char *argv[]);

/* Add a profile: a name, or a path. *description may be NULL, else free it. Errors: sl_policy_load(), and -EINVAL for
 * what is no name. */
int profile_apply(sl_policy *policy, const char *name, bool is_file, char **description, sl_error *error);

/* The sandbox of a name, or what is to be said has been said and the exit status is returned. */
struct running;
int running_named(const char *name, struct running *running);

/* What the command line has besides the policy: cli/words.def. */
struct run_words {
	const char *exec_shell; /* NULL: not given */
};

/* Read options from argv; *rest is the index of the first argument that is none. On failure, and for --help, what is
 * to be said has been said and *exit_code is set; then NULL. */
sl_policy *options_read(int argc, char *argv[], struct run_words *words, int *rest, int *exit_code);

void options_print(FILE *out);    /* both tables, as --help shows it */
void options_markdown(FILE *out); /* the same as a Markdown table: README.md holds it */
void usage_print(FILE *out);

#endif
