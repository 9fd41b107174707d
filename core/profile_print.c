/* A policy as YAML. Values are in double quotes, where every byte can be written: profile_yaml.c reads it back. */
#include "core/profile.h"

#include <errno.h>
#include <string.h>

/* How many bytes at `at` are one printable character of UTF-8 above U+009F, or 0. A terminal obeys those below. */
static size_t character_size(const unsigned char *at)
{
	unsigned character;
	size_t size = *at >= 0xf0 ? 4 : *at >= 0xe0 ? 3 : 2;

	if (*at < 0xc2 || *at > 0xf4)
		return 0;
	character = *at & (0x7fu >> size);
	for (size_t i = 1; i < size; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
		character = character << 6 | (at[i] & 0x3f);
	}
	if (size == 2)
		return character < 0xa0 ? 0 : size;
	if (size == 3)
		return character < 0x800 || (character >= 0xd800 && character < 0xe000) ? 0 : size;
	return character < 0x10000 || character > 0x10ffff ? 0 : size;
}

static void byte_print(unsigned char byte, FILE *out)
{
	if (byte == '"' || byte == '\\')
		fprintf(out, "\\%c", byte);
	else if (byte == '\n')
		fputs("\\n", out);
	else if (byte >= 0x80)
		fprintf(out, "\\uEF%02X", byte);
	else if (byte < 0x20 || byte == 0x7f)
		fprintf(out, "\\x%02X", byte);
	else
		fputc(byte, out);
}

static void text_print(const char *text, FILE *out)
{
	const unsigned char *at = (const unsigned char *)text;

	fputc('"', out);
	while (*at != '\0') {
		size_t size = character_size(at);

		if (size == 0)
			byte_print(*at++, out);
		for (; size > 0; size--)
			fputc(*at++, out);
	}
	fputc('"', out);
}

static void row_print(const struct option_row *row, const struct value_list *values, FILE *out)
{
	fprintf(out, "%s:", row->key);
	if (row->kind == OPTION_FLAG) {
		fputs(" true\n", out);
		return;
	}
	if (!option_is_scalar(row))
		fputc('\n', out);
	for (size_t i = 0; i < values->count; i++) {
		fputs(option_is_scalar(row) ? " " : "  - ", out);
		text_print(values->items[i], out);
		fputc('\n', out);
	}
}

int profile_print(const sl_policy *policy, const char *description, FILE *out)
{
	if (description != NULL) {
		fputs("description: ", out);
		text_print(description, out);
		fputc('\n', out);
	}
	for (size_t option = 0; option < OPTION_COUNT; option++)
		if (policy->values[option].count > 0)
			row_print(&option_rows[option], &policy->values[option], out);
	return fflush(out) != 0 || ferror(out) ? -EIO : 0;
}
