/* The command line, read and printed from the options table. */
#include <getopt.h>
#include <string.h>

#include "cli/cli.h"
#include "supervise/supervise.h"

enum word_id {
#define WORD(name, text, letter, arg, help) WORD_##name,
#include "cli/words.def"
#undef WORD
	WORD_COUNT,
};

static const struct {
	const char *name;
	int letter; /* 0 for none */
	const char *arg, *help;
} word_rows[WORD_COUNT] = {
#define WORD(name, text, letter, arg, help) [WORD_##name] = {text, letter, arg, help},
#include "cli/words.def"
#undef WORD
};

/* What getopt_long(3) returns for a long option: a row of either table, from these on. */
enum { LONG_BASE = 256, WORD_BASE = LONG_BASE + OPTION_COUNT };

/* Two long options a row at the most: the key and its older spelling. */
struct option_words {
	struct option longs[2 * OPTION_COUNT + WORD_COUNT + 2];
	char shorts[2 * (OPTION_COUNT + WORD_COUNT) + 4];
};

static void long_add(struct option_words *words, size_t *count, const char *name, const char *arg, int val)
{
	words->longs[(*count)++] = (struct option){
		.name = name,
		.has_arg = arg == NULL ? no_argument : required_argument,
		.val = val,
	};
}

static void letter_add(struct option_words *words, size_t *count, int letter, const char *arg)
{
	if (letter == 0)
		return;
	words->shorts[(*count)++] = (char)letter;
	if (arg != NULL)
		words->shorts[(*count)++] = ':';
}

/* "+": stop at the first word that is no option, which is the command. */
static void words_build(struct option_words *words)
{
	size_t longs = 0, shorts = 0;

	*words = (struct option_words){0};
	words->shorts[shorts++] = '+';
	words->shorts[shorts++] = 'h';
	for (int i = 0; i < OPTION_COUNT; i++) {
		const struct option_row *row = &option_rows[i];

		long_add(words, &longs, row->key, row->arg, LONG_BASE + i);
		if (row->older != NULL)
			long_add(words, &longs, row->older, row->arg, LONG_BASE + i);
		letter_add(words, &shorts, row->letter, row->arg);
	}
	for (int i = 0; i < WORD_COUNT; i++) {
		long_add(words, &longs, word_rows[i].name, word_rows[i].arg, WORD_BASE + i);
		letter_add(words, &shorts, word_rows[i].letter, word_rows[i].arg);
	}
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

/* WORD_COUNT: it is a policy's. */
static enum word_id word_of(int found)
{
	for (int i = 0; i < WORD_COUNT; i++)
		if (found == WORD_BASE + i || (word_rows[i].letter != 0 && found == word_rows[i].letter))
			return (enum word_id)i;
	return WORD_COUNT;
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
		enum word_id word = word_of(found);

		if (found == 'h')
			break;
		if (word == WORD_PROFILE || word == WORD_PROFILE_FILE)
			r = profile_apply(policy, optarg, word == WORD_PROFILE_FILE, NULL, &error);
	}
	opterr = 1;
	optind = 0;
	if (r < 0)
		fprintf(stderr, "sluice: %s\n", error.message);
	return r;
}

/* -1, or the exit code. */
static int values_read(int argc, char *argv[], const struct option_words *known, sl_policy *policy,
                       struct run_words *words)
{
	int found, exit_code = -1;

	while (exit_code < 0 && (found = getopt_long(argc, argv, known->shorts, known->longs, NULL)) != -1) {
		if (word_of(found) == WORD_EXEC_SHELL)
			words->exec_shell = optarg;
		if (word_of(found) == WORD_COUNT)
			exit_code = option_apply(policy, found, argv);
	}
	return exit_code;
}

sl_policy *options_read(int argc, char *argv[], struct run_words *words, int *rest, int *exit_code)
{
	sl_policy *policy = sl_policy_new();
	struct option_words known;

	*words = (struct run_words){.exec_shell = NULL};
	*exit_code = EXIT_SLUICE;
	if (policy == NULL) {
		fputs("sluice: out of memory\n", stderr);
		return NULL;
	}
	words_build(&known);
	argv[0] = "sluice"; /* what getopt_long(3) begins its messages with */
	if (profiles_read(argc, argv, &known, policy) < 0 ||
	    (*exit_code = values_read(argc, argv, &known, policy, words)) >= 0) {
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
	for (size_t row = 0; row < WORD_COUNT; row++)
		option_print(word_rows[row].letter, word_rows[row].name, word_rows[row].arg,
		             word_rows[row].help, out);
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
	for (size_t row = 0; row < WORD_COUNT; row++) {
		option_cells(word_rows[row].letter, word_rows[row].name, word_rows[row].arg,
		             word_rows[row].help, out);
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
