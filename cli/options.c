/* The command line, read and printed from the options table. */
#include <getopt.h>
#include <string.h>

#include "cli/cli.h"
#include "supervise/supervise.h"

enum command_option {
#define COMMAND_OPTION(name, word, letter, arg, help) COMMAND_##name,
#include "cli/options.def"
#undef COMMAND_OPTION
	COMMAND_COUNT,
};

static const struct {
	const char *word;
	int letter; /* 0 for none */
	const char *arg, *help;
} command_rows[COMMAND_COUNT] = {
#define COMMAND_OPTION(name, word, letter, arg, help) [COMMAND_##name] = {word, letter, arg, help},
#include "cli/options.def"
#undef COMMAND_OPTION
};

/* What getopt_long(3) returns for a long option: a row of either table, from these on. */
enum { LONG_BASE = 256, COMMAND_BASE = LONG_BASE + OPTION_COUNT };

/* Two long options a row at the most: the key and its older spelling. */
struct option_words {
	struct option longs[2 * OPTION_COUNT + COMMAND_COUNT + 2];
	char shorts[2 * (OPTION_COUNT + COMMAND_COUNT) + 4];
};

static void words_add(struct option_words *words, size_t *count, const char *name, size_t row)
{
	words->longs[(*count)++] = (struct option){
		.name = name,
		.has_arg = option_rows[row].arg == NULL ? no_argument : required_argument,
		.val = LONG_BASE + (int)row,
	};
}

static void command_words_add(struct option_words *words, size_t *longs, size_t *shorts)
{
	for (int row = 0; row < COMMAND_COUNT; row++) {
		words->longs[(*longs)++] = (struct option){.name = command_rows[row].word,
		                                           .has_arg = required_argument,
		                                           .val = COMMAND_BASE + row};
		if (command_rows[row].letter == 0)
			continue;
		words->shorts[(*shorts)++] = (char)command_rows[row].letter;
		words->shorts[(*shorts)++] = ':';
	}
}

/* "+": stop at the first word that is no option, which is the command. */
static void words_build(struct option_words *words)
{
	size_t longs = 0, shorts = 0;

	*words = (struct option_words){0};
	words->shorts[shorts++] = '+';
	words->shorts[shorts++] = 'h';
	for (size_t row = 0; row < OPTION_COUNT; row++) {
		words_add(words, &longs, option_rows[row].key, row);
		if (option_rows[row].older != NULL)
			words_add(words, &longs, option_rows[row].older, row);
		if (option_rows[row].letter == 0)
			continue;
		words->shorts[shorts++] = (char)option_rows[row].letter;
		if (option_rows[row].arg != NULL)
			words->shorts[shorts++] = ':';
	}
	command_words_add(words, &longs, &shorts);
	words->longs[longs] = (struct option){.name = "help", .val = 'h'};
}

static const char *key_of(int found)
{
	if (found >= LONG_BASE)
		return option_rows[found - LONG_BASE].key;
	for (size_t row = 0; row < OPTION_COUNT; row++)
		if (option_rows[row].letter == found)
			return option_rows[row].key;
	return NULL;
}

/* COMMAND_COUNT: it is none of the command's own. */
static enum command_option command_of(int found)
{
	for (int row = 0; row < COMMAND_COUNT; row++)
		if (found == COMMAND_BASE + row ||
		    (command_rows[row].letter != 0 && found == command_rows[row].letter))
			return (enum command_option)row;
	return COMMAND_COUNT;
}

/* getopt_long(3) has named the option already; ours is the nearest one. */
static void unknown_print(const char *word)
{
	if (strncmp(word, "--", 2) == 0 && option_find(word + 2) == NULL)
		fprintf(stderr, "sluice: the nearest option is --%s\n", option_nearest(word + 2));
}

static int option_apply(sl_policy *policy, int found, char *argv[])
{
	sl_error error;

	if (found == 'h') {
		help_main(0, NULL);
		return 0;
	}
	if (found == '?') {
		unknown_print(argv[optind - 1]);
		return EXIT_SLUICE;
	}
	if (sl_policy_set(policy, key_of(found), optarg, &error) < 0) {
		fprintf(stderr, "sluice: %s\n", error.message);
		return EXIT_SLUICE;
	}
	return -1;
}

/* Wherever they stand: what else is given comes on top of them, and so is read in a second walk, which also tells what
 * is wrong with it. glibc begins a new walk at optind 0. */
static int profiles_read(int argc, char *argv[], const struct option_words *words, sl_policy *policy)
{
	sl_error error;
	int found, r = 0;

	opterr = 0;
	while (r == 0 && (found = getopt_long(argc, argv, words->shorts, words->longs, NULL)) != -1) {
		enum command_option option = command_of(found);

		if (found == 'h')
			break;
		if (option != COMMAND_COUNT)
			r = profile_apply(policy, optarg, option == COMMAND_PROFILE_FILE, NULL, &error);
	}
	opterr = 1;
	optind = 0;
	if (r < 0)
		fprintf(stderr, "sluice: %s\n", error.message);
	return r;
}

/* -1, or the exit code. */
static int values_read(int argc, char *argv[], const struct option_words *words, sl_policy *policy)
{
	int found, exit_code = -1;

	while (exit_code < 0 && (found = getopt_long(argc, argv, words->shorts, words->longs, NULL)) != -1)
		if (command_of(found) == COMMAND_COUNT)
			exit_code = option_apply(policy, found, argv);
	return exit_code;
}

sl_policy *options_read(int argc, char *argv[], int *rest, int *exit_code)
{
	sl_policy *policy = sl_policy_new();
	struct option_words words;

	*exit_code = EXIT_SLUICE;
	if (policy == NULL) {
		fputs("sluice: out of memory\n", stderr);
		return NULL;
	}
	words_build(&words);
	argv[0] = "sluice"; /* what getopt_long(3) begins its messages with */
	if (profiles_read(argc, argv, &words, policy) < 0 ||
	    (*exit_code = values_read(argc, argv, &words, policy)) >= 0) {
		sl_policy_free(policy);
		return NULL;
	}
	*rest = optind;
	return policy;
}

static void option_print(int short_letter, const char *word, const char *arg, const char *help, FILE *out)
{
	char letter[] = {'-', (char)short_letter, ',', ' ', '\0'}, name[64];

	snprintf(name, sizeof(name), "%s--%s%s%s", short_letter == 0 ? "    " : letter, word,
	         arg == NULL ? "" : " ", arg == NULL ? "" : arg);
	fprintf(out, "  %-32s %s\n", name, help);
}

void options_print(FILE *out)
{
	for (size_t row = 0; row < COMMAND_COUNT; row++)
		option_print(command_rows[row].letter, command_rows[row].word, command_rows[row].arg,
		             command_rows[row].help, out);
	for (size_t row = 0; row < OPTION_COUNT; row++)
		option_print(option_rows[row].letter, option_rows[row].key, option_rows[row].arg,
		             option_rows[row].help, out);
}

/* A bar would end the cell, a star begin emphasis; between backticks, and in code, the star is literal. */
static void cell_print(const char *text, bool code, FILE *out)
{
	for (; *text != '\0'; text++) {
		code ^= *text == '`';
		if (*text == '|' || (*text == '*' && !code))
			fputc('\\', out);
		fputc(*text, out);
	}
}

static void option_cells(int letter, const char *word, const char *arg, const char *help, FILE *out)
{
	fputs("| ", out);
	if (letter != 0)
		fprintf(out, "`-%c`, ", letter);
	fprintf(out, "`--%s", word);
	if (arg != NULL) {
		fputc(' ', out);
		cell_print(arg, true, out);
	}
	fputs("` | ", out);
	cell_print(help, false, out);
}

void options_markdown(FILE *out)
{
	fputs("| option | what it does |\n|---|---|\n", out);
	for (size_t row = 0; row < COMMAND_COUNT; row++) {
		option_cells(command_rows[row].letter, command_rows[row].word, command_rows[row].arg,
		             command_rows[row].help, out);
		fputs(" |\n", out);
	}
	for (size_t row = 0; row < OPTION_COUNT; row++) {
		const struct option_row *option = &option_rows[row];

		option_cells(option->letter, option->key, option->arg, option->help, out);
		if (option->older != NULL)
			fprintf(out, " (also `--%s`)", option->older);
		fputs(" |\n", out);
	}
}

void usage_print(FILE *out)
{
	for (size_t i = 0; i < subcommand_count; i++)
		fprintf(out, "%s sluice %-8s %-31s %s\n", i == 0 ? "usage:" : "      ", subcommands[i].name,
		        subcommands[i].usage, subcommands[i].help);
}
