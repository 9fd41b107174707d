/* entry.h says what for. A string in an entry is bytes, each as the character of its number: supervise/registry_text.c. */
#include "cli/entry.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "core/fd.h"
#include "core/policy.h"

/* ---- reading ---- */

/* In place: never longer. False: a character that is no byte. */
static bool bytes_decode(char *text)
{
	unsigned char *to = (unsigned char *)text;

	for (const unsigned char *at = to; *at != '\0'; at++) {
		if (*at < 0x80) {
			*to++ = *at;
			continue;
		}
		if (*at != 0xc2 && *at != 0xc3)
			return false;
		*to++ = (unsigned char)(at[0] << 6 | (at[1] & 0x3f));
		at++;
	}
	*to = '\0';
	return true;
}

static char *bytes_of(const json_t *value)
{
	const char *text = json_string_value(value);
	char *bytes = text == NULL ? NULL : strdup(text);

	if (bytes != NULL && !bytes_decode(bytes)) {
		free(bytes);
		return NULL;
	}
	return bytes;
}

static char **words_of(const json_t *list)
{
	size_t count = json_array_size(list);
	char **words = json_is_array(list) ? calloc(count + 1, sizeof(*words)) : NULL;

	for (size_t i = 0; words != NULL && i < count; i++)
		if ((words[i] = bytes_of(json_array_get(list, i))) == NULL)
			break;
	return words;
}

/* Through the front door: what a policy would not take is no policy. */
static sl_policy *policy_from(const json_t *list)
{
	sl_policy *policy = json_is_array(list) ? sl_policy_new() : NULL;

	for (size_t i = 0; policy != NULL && i < json_array_size(list); i++) {
		const json_t *pair = json_array_get(list, i);
		const char *key = json_string_value(json_array_get(pair, 0));
		cleanup_free char *value = bytes_of(json_array_get(pair, 1));

		if (key == NULL || value == NULL || sl_policy_set(policy, key, value, NULL) < 0) {
			sl_policy_free(policy);
			return NULL;
		}
	}
	return policy;
}

void entry_read(const struct running *running, struct entry *entry)
{
	cleanup_free char *text = running_text(running);
	json_t *root = text == NULL ? NULL : json_loads(text, 0, NULL);
	const char *mode = json_string_value(json_object_get(root, "mode"));

	*entry = (struct entry){.argv = words_of(json_object_get(root, "argv")),
	                        .policy = policy_from(json_object_get(root, "policy"))};
	if (mode != NULL && (strcmp(mode, "run") == 0 || strcmp(mode, "spawn") == 0))
		strcpy(entry->mode, mode);
	json_decref(root);
}

void entry_clear(struct entry *entry)
{
	for (char **word = entry->argv; word != NULL && *word != NULL; word++)
		free(*word);
	free(entry->argv);
	sl_policy_free(entry->policy);
	*entry = (struct entry){.argv = NULL};
}

/* ---- writing ---- */

/* How many bytes are one UTF-8 character there: RFC 3629. 0: none. */
static size_t utf8_size(const unsigned char *at, uint32_t *character)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t size = at[0] < 0x80   ? 1
	              : at[0] < 0xc0 ? 0
	              : at[0] < 0xe0 ? 2
	              : at[0] < 0xf0 ? 3
	              : at[0] < 0xf8 ? 4
	                             : 0;

	*character = size < 2 ? at[0] : at[0] & (0x7fu >> size);
	for (size_t i = 1; i < size; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
		*character = *character << 6 | (at[i] & 0x3f);
	}
	if (*character < least[size] || *character > 0x10ffff ||
	    (*character >= 0xd800 && *character < 0xe000))
		return 0;
	return size;
}

/* Control characters are ASCII's, and those that a terminal takes for them: U+0080 to U+009F. */
void text_print(const char *bytes, size_t most, FILE *out)
{
	const unsigned char *at = (const unsigned char *)bytes;
	size_t size, done;

	for (done = 0; *at != '\0' && done < most; at += size, done += size) {
		uint32_t character;

		size = utf8_size(at, &character);
		if (size == 0 || character < ' ' || (character >= 0x7f && character < 0xa0)) {
			size = 1;
			fprintf(out, "\\x%02x", *at);
		} else {
			fwrite(at, 1, size, out);
		}
	}
	if (*at != '\0')
		fputs("...", out);
}

void json_bytes_print(const char *bytes, FILE *out)
{
	const unsigned char *at = (const unsigned char *)bytes;
	uint32_t character;
	size_t size;

	fputc('"', out);
	for (; *at != '\0'; at += size) {
		size = utf8_size(at, &character);
		if (size == 0)
			fprintf(out, "\\udc%02x", *at);
		else if (character < ' ' || character == 0x7f || character == '"' || character == '\\')
			fprintf(out, "\\u%04x", character);
		else
			fwrite(at, 1, size, out);
		size = size == 0 ? 1 : size;
	}
	fputc('"', out);
}

void json_words_print(char *const words[], size_t count, FILE *out)
{
	fputc('[', out);
	for (size_t i = 0; i < count; i++) {
		fputs(i > 0 ? ", " : "", out);
		json_bytes_print(words[i], out);
	}
	fputc(']', out);
}

void shell_word_print(const char *word, FILE *out)
{
	static const char plain[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=+:,./@%";

	if (*word != '\0' && word[strspn(word, plain)] == '\0') {
		fputs(word, out);
		return;
	}
	fputc('\'', out);
	for (; *word != '\0'; word++) {
		if (*word == '\'')
			fputs("'\\''", out);
		else
			fputc(*word, out);
	}
	fputc('\'', out);
}

void policy_print_options(const sl_policy *policy, FILE *out)
{
	for (size_t row = 0; row < OPTION_COUNT; row++) {
		const struct value_list *values = &policy->values[row];

		for (size_t i = 0; i < values->count; i++) {
			fprintf(out, "--%s", option_rows[row].key);
			if (option_rows[row].arg != NULL) {
				fputc(' ', out);
				shell_word_print(values->items[i], out);
			}
			fputc('\n', out);
		}
	}
}
