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

static const struct word_row {
	const char *name;
	int letter;
	const char *arg, *help;
} word_rows[WORD_COUNT] = {
#define WORD(name, text, letter, arg, help) [WORD_##name] = {text, letter, arg, help},
#include "cli/words.def"
#undef WORD
};

enum { LONG_BASE = 256 };

/* Two long options a row at the most: the key and its older spelling. */
struct option_words {
	struct option longs[2 * OPTION_COUNT + WORD_COUNT + 2];
	char shorts[2 * OPTION_COUNT + 2 * WORD_COUNT + 4];
};

static void words_add(struct option_words *words, size_t *count, const char *name, size_t row)
{
	words->longs[(*count)++] = (struct option){
		.name = name,
		.has_arg = option_rows[row].arg == NULL ? no_argument : required_argument,
		.val = LONG_BASE + (int)row,
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
	for (size_t row = 0; row < OPTION_COUNT; row++) {
		words_add(words, &longs, option_rows[row].key, row);
		if (option_rows[row].older != NULL)
			words_add(words, &longs, option_rows[row].older, row);
		letter_add(words, &shorts, option_rows[row].letter, option_rows[row].arg);
	}
	for (size_t row = 0; row < WORD_COUNT; row++) {
		words->longs[longs++] = (struct option){
			.name = word_rows[row].name,
			.has_arg = word_rows[row].arg == NULL ? no_argument : required_argument,
			.val = word_rows[row].letter,
		};
		letter_add(words, &shorts, word_rows[row].letter, word_rows[row].arg);
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

/* getopt_long(3) has named the option already; ours is the nearest one. */
static void unknown_print(const char *word)
{
	if (strncmp(word, "--", 2) == 0 && option_find(word + 2) == NULL)
		fprintf(stderr, "sluice: the nearest option is --%s\n", option_nearest(word + 2));
}

static bool word_apply(struct run_words *words, int found)
{
	if (found == word_rows[WORD_EXEC_SHELL].letter)
		words->exec_shell = optarg;
	return found == word_rows[WORD_EXEC_SHELL].letter || found == word_rows[WORD_INTERACTIVE].letter;
}

static int option_apply(sl_policy *policy, struct run_words *words, int found, char *argv[])
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
	if (word_apply(words, found))
		return -1;
	if (sl_policy_set(policy, key_of(found), optarg, &error) < 0) {
		fprintf(stderr, "sluice: %s\n", error.message);
		return EXIT_SLUICE;
	}
	return -1;
}

sl_policy *options_read(int argc, char *argv[], struct run_words *words, int *rest, int *exit_code)
{
	sl_policy *policy = sl_policy_new();
	struct option_words known;
	int found;

	*words = (struct run_words){.exec_shell = NULL};
	*exit_code = EXIT_SLUICE;
	if (policy == NULL) {
		fputs("sluice: out of memory\n", stderr);
		return NULL;
	}
	words_build(&known);
	argv[0] = "sluice"; /* what getopt_long(3) begins its messages with */
	while ((found = getopt_long(argc, argv, known.shorts, known.longs, NULL)) != -1) {
		*exit_code = option_apply(policy, words, found, argv);
		if (*exit_code >= 0) {
			sl_policy_free(policy);
			return NULL;
		}
	}
	*rest = optind;
	return policy;
}

static void line_print(const char *key, int number, const char *arg, const char *help, FILE *out)
{
	char letter[] = {'-', (char)number, ',', ' ', '\0'}, name[64];

	snprintf(name, sizeof(name), "%s--%s%s%s", number == 0 ? "    " : letter, key, arg == NULL ? "" : " ",
	         arg == NULL ? "" : arg);
	fprintf(out, "  %-32s %s\n", name, help);
}

void words_print(FILE *out)
{
	for (size_t row = 0; row < WORD_COUNT; row++)
		line_print(word_rows[row].name, word_rows[row].letter, word_rows[row].arg,
		           word_rows[row].help, out);
}

void options_print(FILE *out)
{
	for (size_t row = 0; row < OPTION_COUNT; row++)
		line_print(option_rows[row].key, option_rows[row].letter, option_rows[row].arg,
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

void options_markdown(FILE *out)
{
	fputs("| option | what it does |\n|---|---|\n", out);
	for (size_t row = 0; row < OPTION_COUNT; row++) {
		const struct option_row *option = &option_rows[row];

		fputs("| ", out);
		if (option->letter != 0)
			fprintf(out, "`-%c`, ", option->letter);
		fprintf(out, "`--%s", option->key);
		if (option->arg != NULL) {
			fputc(' ', out);
			cell_print(option->arg, true, out);
		}
		fputs("` | ", out);
		cell_print(option->help, false, out);
		if (option->older != NULL)
			fprintf(out, " (also `--%s`)", option->older);
		fputs(" |\n", out);
	}
}

void usage_print(FILE *out)
{
	for (size_t i = 0; i < subcommand_count; i++)
		fprintf(out, "%s sluice %-8s %-24s %s\n", i == 0 ? "usage:" : "      ", subcommands[i].name,
		        subcommands[i].usage, subcommands[i].help);
}
