/* What a sandbox's entry says of it, and writing bytes where text is expected. */
#ifndef SL_CLI_ENTRY_H
#define SL_CLI_ENTRY_H

#include <stddef.h>
#include <stdio.h>

#include "sluice.h"
#include "supervise/supervise.h"

/* All of it was written by the keeper, and by nobody else unless somebody could write there: to look at, not to act on. */
struct entry {
	char **argv; /* NULL at the end */
	char mode[16];
	sl_policy *policy; /* NULL: not to be read */
};

/* Nothing of it where it cannot be read: all NULL. Clear it. */
void entry_read(const struct running *running, struct entry *entry);
void entry_clear(struct entry *entry);

/* To a terminal: what is not printable comes as \xNN. */
void text_print(const char *bytes, size_t most, FILE *out);
/* A JSON string. Bytes that are no UTF-8 come as \udc80 to \udcff, as Python's surrogateescape has them. */
void json_bytes_print(const char *bytes, FILE *out);
void json_words_print(char *const words[], size_t count, FILE *out);
/* A word as a shell reads it back. */
void shell_word_print(const char *word, FILE *out);

/* The option lines that would make the policy again, one a line. */
void policy_print_options(const sl_policy *policy, FILE *out);

#endif
