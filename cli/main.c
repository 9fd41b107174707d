/* The command `sluice`: finds the subcommand. sluice(1). */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "supervise/supervise.h"

const struct subcommand subcommands[] = {
	{"run", "[options] -- command...", "run a command confined", run_main},
	{"explain", "[options]", "print the plan that these options make, and run nothing", explain_main},
	{"profile", "list | show NAME | check FILE", "the policies that files hold", profile_main},
	{"check", "[--json]", "what this kernel offers, and what each feature is needed for", check_main},
	{"ps", "[--json]", "the sandboxes of this user that run", ps_main},
	{"inspect", "[--profile] NAME", "all about one of them, or the options that made it", inspect_main},
	{"kill", "NAME [-s SIGNAL]", "kill one of them and all it started, or send a signal to its command",
         kill_main},
	{"help", "[--markdown]", "this text and all options, or the options as a Markdown table", help_main},
};
const size_t subcommand_count = sizeof(subcommands) / sizeof(subcommands[0]);

int help_main(int argc, char *argv[])
{
	if (argc == 2 && strcmp(argv[1], "--markdown") == 0) {
		options_markdown(stdout);
		return 0;
	}
	if (argc > 1) {
		fprintf(stderr, "sluice: help takes --markdown and nothing else, not %s\n", argv[1]);
		return EXIT_SLUICE;
	}
	usage_print(stdout);
	fputs("\noptions of run and explain:\n", stdout);
	options_print(stdout);
	return 0;
}

static const char *name_normal(const char *name)
{
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
		return "help";
	return name;
}

int main(int argc, char *argv[])
{
	if (argc < 2) {
		usage_print(stderr);
		return EXIT_SLUICE;
	}
	if (strcmp(argv[1], "--version") == 0) {
		puts("sluice " SL_VERSION);
		return 0;
	}
	for (size_t i = 0; i < subcommand_count; i++)
		if (strcmp(subcommands[i].name, name_normal(argv[1])) == 0)
			return subcommands[i].main(argc - 1, argv + 1);
	fprintf(stderr, "sluice: no such command: %s\n", argv[1]);
	usage_print(stderr);
	return EXIT_SLUICE;
}
