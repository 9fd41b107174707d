/* One profile file, from bytes to struct profile: yaml.h is included here and nowhere else.
 *
 * This is libyaml's event parser, and not libcyaml, which sits on top of it. libcyaml's schema could be made of
 * option_rows at run time; but what it hands over are C strings without a place. A value that policy_value_check()
 * refuses could not be said with its line; "/a\0b" would be granted as "/a", and `~` as a path of that name
 * (libcyaml 1.3.1); documents behind the first one are dropped. A wall must not be read that way.
 *
 * What YAML has and a policy does not need is refused: anchors, aliases, tags, block scalars, a second document.
 *
 * Paths are bytes, YAML is characters. Each byte from 0x80 up goes to the parser as the character U+EF80 to U+EFFF of
 * the private use area, and comes back as the byte. So no file is refused for not being UTF-8, columns count bytes, and
 * "\uEFXX" writes the byte XX.
 */
#include "core/profile.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "core/error.h"
#include "core/fd.h"

enum { SKIP_DEPTH_MAX = 8, FILE_SHOWN_MAX = 80 };

/* Keys that are no options. */
enum { KEY_EXTENDS = OPTION_COUNT, KEY_DESCRIPTION, KEY_COUNT };

struct reader {
	yaml_parser_t parser;
	const struct profile_text *text;
	const struct policy_checks *checks;
	struct profile_faults *faults;
	struct profile *profile;
	bool seen[KEY_COUNT];
	int code; /* of the first fault */
};

/* Of functions that read: 0 to go on, also after a fault; negative ends all. */

static void event_clear(yaml_event_t *event)
{
	yaml_event_delete(event);
}

#define cleanup_event __attribute__((cleanup(event_clear)))

void profile_first_fault(struct profile_faults *self, const sl_error *error)
{
	struct profile_first_fault *first = (struct profile_first_fault *)self;

	if (first->error != NULL)
		*first->error = *error;
}

/* The end of a long name tells more than its beginning; and the message is what must not be cut off. */
static int fault_tell(struct profile_faults *faults, const struct profile_place *place, int code,
                      const char *format, va_list args)
{
	size_t size = strlen(place->file);
	const char *shown = size > FILE_SHOWN_MAX ? place->file + size - FILE_SHOWN_MAX : place->file;
	const char *cut = size > FILE_SHOWN_MAX ? "..." : "";
	char message[sizeof(((sl_error *)NULL)->message)];
	sl_error error;

	vsnprintf(message, sizeof(message), format, args);
	if (place->line == 0)
		error_set(&error, code, "%s%s: %s", cut, shown, message);
	else
		error_set(&error, code, "%s%s:%zu:%zu: %s", cut, shown, place->line, place->column, message);
	faults->fault(faults, &error);
	return code;
}

int profile_fault(struct profile_faults *faults, const struct profile_place *place, int code,
                  const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fault_tell(faults, place, code, format, args);
	va_end(args);
	return code;
}

static int fault(struct reader *reader, const yaml_mark_t *mark, int code, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static int fault(struct reader *reader, const yaml_mark_t *mark, int code, const char *format, ...)
{
	const struct profile_place place = {reader->text->file, mark->line + 1, mark->column + 1};
	va_list args;

	if (reader->code == 0)
		reader->code = code;
	va_start(args, format);
	fault_tell(reader->faults, &place, code, format, args);
	va_end(args);
	return reader->faults->all ? 0 : code;
}

/* For what cannot be read on behind. */
#define fault_last(reader, mark, code, ...) (fault(reader, mark, code, __VA_ARGS__), (code))

static int no_memory(struct reader *reader, const yaml_mark_t *mark)
{
	return fault_last(reader, mark, -ENOMEM, "%s", strerrordesc_np(ENOMEM));
}

/* --- bytes and characters */

static unsigned char *byte_write(unsigned char *at, unsigned char byte)
{
	if (byte < 0x80) {
		*at++ = byte;
		return at;
	}
	*at++ = 0xee;
	*at++ = byte < 0xc0 ? 0xbe : 0xbf;
	*at++ = 0x80 | (byte & 0x3f);
	return at;
}

static bool byte_allowed(unsigned char byte)
{
	return (byte >= 0x20 && byte != 0x7f) || byte == '\t' || byte == '\n' || byte == '\r';
}

/* Freed by the caller; NULL after a fault. */
static unsigned char *text_encode(struct reader *reader, size_t *size)
{
	const struct profile_text *text = reader->text;
	unsigned char *encoded = malloc(3 * text->size + 1), *at = encoded;
	yaml_mark_t mark = {0};

	if (encoded == NULL) {
		no_memory(reader, &mark);
		return NULL;
	}
	for (size_t i = 0; i < text->size; i++, mark.column++) {
		unsigned char byte = (unsigned char)text->bytes[i];

		if (!byte_allowed(byte)) {
			fault(reader, &mark, -EINVAL, "byte 0x%02x; expected text%s", byte,
			      byte == 0 ? "" : ", where \"\\xNN\" in double quotes writes such a byte");
			free(encoded);
			return NULL;
		}
		at = byte_write(at, byte);
		if (byte == '\n')
			mark = (yaml_mark_t){.line = mark.line + 1, .column = (size_t)-1};
	}
	*size = (size_t)(at - encoded);
	return encoded;
}

static char *text_decode(const unsigned char *text, size_t size)
{
	char *decoded = malloc(size + 1), *at = decoded;

	if (decoded == NULL)
		return NULL;
	for (size_t i = 0; i < size; i++) {
		bool byte = text[i] == 0xee && size - i > 2 && (text[i + 1] & 0xfe) == 0xbe;

		*at++ = byte ? (char)((text[i + 1] == 0xbe ? 0x80 : 0xc0) | (text[i + 2] & 0x3f))
		             : (char)text[i];
		i += byte ? 2 : 0;
	}
	*at = '\0';
	return decoded;
}

/* --- events */

static const char *event_unwanted(const yaml_event_t *event)
{
	const yaml_char_t *anchor = NULL, *tag = NULL;

	if (event->type == YAML_ALIAS_EVENT)
		return "an alias (*)";
	if (event->type == YAML_SCALAR_EVENT)
		anchor = event->data.scalar.anchor, tag = event->data.scalar.tag;
	if (event->type == YAML_SEQUENCE_START_EVENT)
		anchor = event->data.sequence_start.anchor, tag = event->data.sequence_start.tag;
	if (event->type == YAML_MAPPING_START_EVENT)
		anchor = event->data.mapping_start.anchor, tag = event->data.mapping_start.tag;
	if (anchor != NULL)
		return "an anchor (&)";
	return tag != NULL ? "a tag (!)" : NULL;
}

static int event_next(struct reader *reader, yaml_event_t *event)
{
	const yaml_parser_t *parser = &reader->parser;
	const char *unwanted;

	if (!yaml_parser_parse(&reader->parser, event)) {
		if (parser->error == YAML_MEMORY_ERROR)
			return no_memory(reader, &parser->mark);
		return fault_last(reader, &parser->problem_mark, -EINVAL, "not YAML: %s%s%s",
		                  parser->context == NULL ? "" : parser->context,
		                  parser->context == NULL ? "" : ", ",
		                  parser->problem == NULL ? "cannot be read" : parser->problem);
	}
	unwanted = event_unwanted(event);
	if (unwanted != NULL)
		return fault_last(reader, &event->start_mark, -EINVAL,
		                  "%s; expected values that are written out (in quotes, if it is one)",
		                  unwanted);
	return 0;
}

static int event_depth(const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_SEQUENCE_START_EVENT:
	case YAML_MAPPING_START_EVENT:
		return 1;
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return -1;
	default:
		return 0;
	}
}

/* Behind the node that `first` begins. */
static int node_skip(struct reader *reader, const yaml_event_t *first)
{
	int depth = event_depth(first), r = 0;

	while (r == 0 && depth > 0) {
		cleanup_event yaml_event_t event = {0};

		r = event_next(reader, &event);
		depth += event_depth(&event);
		if (r == 0 && depth > SKIP_DEPTH_MAX)
			return fault_last(reader, &event.start_mark, -EINVAL, "nested more than %d deep",
			                  SKIP_DEPTH_MAX);
	}
	return r;
}

static const char *event_name(const yaml_event_t *event)
{
	if (event->type == YAML_SEQUENCE_START_EVENT)
		return "a list";
	return event->type == YAML_MAPPING_START_EVENT ? "keys and values" : "a single value";
}

/* --- values */

static bool word_is(const yaml_event_t *event, const char *word)
{
	return event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	       strcmp((const char *)event->data.scalar.value, word) == 0;
}

/* What YAML takes for something else than a string: `- ~` is no path, and nobody means the file "true". */
static const char *word_meaning(const yaml_event_t *event)
{
	static const char *const words[][2] = {
		{"", "nothing"},     {"~", "nothing"},   {"null", "nothing"}, {"Null", "nothing"},
		{"NULL", "nothing"}, {"true", "true"},   {"True", "true"},    {"TRUE", "true"},
		{"false", "false"},  {"False", "false"}, {"FALSE", "false"},
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (word_is(event, words[i][0]))
			return words[i][1];
	return NULL;
}

/* *text is NULL after a fault, else the caller's to free. */
static int scalar_take(struct reader *reader, const char *key, const char *expected,
                       const yaml_event_t *event, char **text)
{
	yaml_scalar_style_t style = event->data.scalar.style;
	const char *meaning = word_meaning(event);

	*text = NULL;
	if (meaning != NULL)
		return fault(reader, &event->start_mark, -EINVAL,
		             "%s: %s given, expected %s (in quotes, if it is that word)", key, meaning,
		             expected);
	if (style == YAML_LITERAL_SCALAR_STYLE || style == YAML_FOLDED_SCALAR_STYLE)
		return fault(reader, &event->start_mark, -EINVAL,
		             "%s: a block of lines given, expected %s on one line", key, expected);
	if (memchr(event->data.scalar.value, '\0', event->data.scalar.length) != NULL)
		return fault(reader, &event->start_mark, -EINVAL, "%s: byte 0x00, expected %s without it",
		             key, expected);
	*text = text_decode(event->data.scalar.value, event->data.scalar.length);
	return *text == NULL ? no_memory(reader, &event->start_mark) : 0;
}

static int value_append(struct reader *reader, const struct option_row *row, char *text,
                        const yaml_mark_t *mark)
{
	struct profile *profile = reader->profile;
	struct profile_value *values = array_grow(profile->values, profile->value_count, sizeof(*values));

	if (values == NULL) {
		free(text);
		return no_memory(reader, mark);
	}
	profile->values = values;
	values[profile->value_count++] = (struct profile_value){row, text, mark->line + 1, mark->column + 1};
	return 0;
}

static int option_scalar_read(struct reader *reader, const struct option_row *row, const yaml_event_t *event)
{
	char *text;
	sl_error error;
	int r;

	if (event->type != YAML_SCALAR_EVENT) {
		r = fault(reader, &event->start_mark, -EINVAL, "%s: %s given, expected %s", row->key,
		          event_name(event), row->arg);
		return r < 0 ? r : node_skip(reader, event);
	}
	r = scalar_take(reader, row->key, row->arg, event, &text);
	if (r < 0 || text == NULL)
		return r;
	r = policy_value_check(row, text, reader->checks, &error);
	if (r < 0) {
		free(text);
		r = fault(reader, &event->start_mark, r, "%s", error.message);
		return error.code == -ENOMEM ? -ENOMEM : r;
	}
	return value_append(reader, row, text, &event->start_mark);
}

static int option_flag_read(struct reader *reader, const struct option_row *row, const yaml_event_t *event)
{
	char *text = NULL;
	int r;

	if (event->type != YAML_SCALAR_EVENT || (!word_is(event, "true") && !word_is(event, "false"))) {
		r = fault(reader, &event->start_mark, -EINVAL, "%s: %s given, expected true or false",
		          row->key, event->type == YAML_SCALAR_EVENT ? "another word" : event_name(event));
		return r < 0 ? r : node_skip(reader, event);
	}
	if (word_is(event, "true") && (text = strdup("yes")) == NULL)
		return no_memory(reader, &event->start_mark);
	return value_append(reader, row, text, &event->start_mark);
}

static int option_list_read(struct reader *reader, const struct option_row *row, const yaml_event_t *event)
{
	int r;

	if (event->type != YAML_SEQUENCE_START_EVENT) {
		r = fault(reader, &event->start_mark, -EINVAL, "%s: %s given, expected a list, as in [%s]",
		          row->key, event_name(event), row->arg);
		return r < 0 ? r : node_skip(reader, event);
	}
	for (;;) {
		cleanup_event yaml_event_t item = {0};

		if ((r = event_next(reader, &item)) < 0 || item.type == YAML_SEQUENCE_END_EVENT)
			return r;
		if ((r = option_scalar_read(reader, row, &item)) < 0)
			return r;
	}
}

static int option_read(struct reader *reader, int key, const yaml_event_t *event)
{
	const struct option_row *row = &option_rows[key];

	if (row->kind == OPTION_FLAG)
		return option_flag_read(reader, row, event);
	return option_is_scalar(row) ? option_scalar_read(reader, row, event)
	                             : option_list_read(reader, row, event);
}

/* --- extends, description */

static int base_add(struct reader *reader, const yaml_event_t *event)
{
	struct profile *profile = reader->profile;
	struct profile_base *bases;
	char *name;
	int r = 0;

	if (event->type != YAML_SCALAR_EVENT) {
		r = fault(reader, &event->start_mark, -EINVAL, "extends: %s given, expected a name",
		          event_name(event));
		return r < 0 ? r : node_skip(reader, event);
	}
	r = scalar_take(reader, "extends", "a name", event, &name);
	if (r < 0 || name == NULL)
		return r;
	bases = array_grow(profile->bases, profile->base_count, sizeof(*bases));
	if (bases == NULL) {
		free(name);
		return no_memory(reader, &event->start_mark);
	}
	profile->bases = bases;
	bases[profile->base_count++] =
		(struct profile_base){name, event->start_mark.line + 1, event->start_mark.column + 1};
	return 0;
}

static int extends_read(struct reader *reader, const yaml_event_t *event)
{
	int r = 0;

	if (event->type != YAML_SEQUENCE_START_EVENT)
		return base_add(reader, event);
	while (r == 0) {
		cleanup_event yaml_event_t item = {0};

		if ((r = event_next(reader, &item)) < 0 || item.type == YAML_SEQUENCE_END_EVENT)
			return r;
		r = base_add(reader, &item);
	}
	return r;
}

/* Text for people: any style will do, several lines too. */
static int description_read(struct reader *reader, const yaml_event_t *event)
{
	int r;

	if (event->type != YAML_SCALAR_EVENT) {
		r = fault(reader, &event->start_mark, -EINVAL, "description: %s given, expected text",
		          event_name(event));
		return r < 0 ? r : node_skip(reader, event);
	}
	if (memchr(event->data.scalar.value, '\0', event->data.scalar.length) != NULL)
		return fault(reader, &event->start_mark, -EINVAL,
		             "description: byte 0x00, expected text without it");
	reader->profile->description = text_decode(event->data.scalar.value, event->data.scalar.length);
	return reader->profile->description == NULL ? no_memory(reader, &event->start_mark) : 0;
}

/* --- keys */

/* An index of reader.seen; -ENOENT. */
static int key_find(const char *name)
{
	const struct option_row *row;

	if (strcmp(name, "extends") == 0)
		return KEY_EXTENDS;
	if (strcmp(name, "description") == 0)
		return KEY_DESCRIPTION;
	row = option_find(name);
	return row == NULL ? -ENOENT : (int)(row - option_rows);
}

/* *key is -1 after a fault: the value is to be skipped then. */
static int key_read(struct reader *reader, const yaml_event_t *event, int *key)
{
	cleanup_free char *name = NULL;

	*key = -1;
	if (event->type != YAML_SCALAR_EVENT) {
		int r = fault(reader, &event->start_mark, -EINVAL, "%s given, expected a key",
		              event_name(event));
		return r < 0 ? r : node_skip(reader, event);
	}
	if (strlen((const char *)event->data.scalar.value) != event->data.scalar.length)
		return fault(reader, &event->start_mark, -EINVAL, "byte 0x00 in a key");
	name = text_decode(event->data.scalar.value, event->data.scalar.length);
	if (name == NULL)
		return no_memory(reader, &event->start_mark);
	*key = key_find(name);
	if (*key < 0)
		return fault(reader, &event->start_mark, -EINVAL,
		             "unknown key \"%.64s\"; the nearest is \"%s\"", name, option_nearest(name));
	if (reader->seen[*key]) {
		*key = -1;
		return fault(reader, &event->start_mark, -EINVAL, "%.64s: a second time in this file", name);
	}
	reader->seen[*key] = true;
	return 0;
}

static int value_read(struct reader *reader, int key)
{
	cleanup_event yaml_event_t event = {0};
	int r = event_next(reader, &event);

	if (r < 0)
		return r;
	if (key < 0)
		return node_skip(reader, &event);
	if (key == KEY_EXTENDS)
		return extends_read(reader, &event);
	return key == KEY_DESCRIPTION ? description_read(reader, &event) : option_read(reader, key, &event);
}

static int pairs_read(struct reader *reader)
{
	int key, r;

	for (;;) {
		cleanup_event yaml_event_t event = {0};

		if ((r = event_next(reader, &event)) < 0 || event.type == YAML_MAPPING_END_EVENT)
			return r;
		if ((r = key_read(reader, &event, &key)) < 0 || (r = value_read(reader, key)) < 0)
			return r;
	}
}

/* --- the document */

/* A file of comments alone is a profile that says nothing. */
static int root_read(struct reader *reader, const yaml_event_t *event)
{
	if (event->type == YAML_SCALAR_EVENT && word_is(event, ""))
		return 0;
	if (event->type != YAML_MAPPING_START_EVENT)
		return fault_last(reader, &event->start_mark, -EINVAL,
		                  "%s given, expected keys and values, as in \"fs-system: true\"",
		                  event_name(event));
	return pairs_read(reader);
}

static int stream_read(struct reader *reader)
{
	unsigned documents = 0;
	int r;

	for (;;) {
		cleanup_event yaml_event_t event = {0};

		if ((r = event_next(reader, &event)) < 0 || event.type == YAML_STREAM_END_EVENT)
			return r;
		if (event.type == YAML_STREAM_START_EVENT || event.type == YAML_DOCUMENT_END_EVENT)
			continue;
		if (event.type == YAML_DOCUMENT_START_EVENT && documents++ > 0)
			return fault_last(reader, &event.start_mark, -EINVAL,
			                  "a second document, expected one a file");
		if (event.type != YAML_DOCUMENT_START_EVENT && (r = root_read(reader, &event)) < 0)
			return r;
	}
}

int profile_read(const struct profile_text *text, const struct policy_checks *checks,
                 struct profile_faults *faults, struct profile *profile)
{
	struct reader reader = {.text = text, .checks = checks, .faults = faults, .profile = profile};
	cleanup_free unsigned char *encoded = NULL;
	size_t size;

	*profile = (struct profile){0};
	if (text->size > PROFILE_SIZE_MAX)
		return fault_last(&reader, &(yaml_mark_t){0}, -EFBIG, "more than %d bytes", PROFILE_SIZE_MAX);
	encoded = text_encode(&reader, &size);
	if (encoded == NULL)
		return reader.code;
	if (!yaml_parser_initialize(&reader.parser))
		return no_memory(&reader, &(yaml_mark_t){0});
	yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&reader.parser, encoded, size);
	stream_read(&reader);
	yaml_parser_delete(&reader.parser);
	return reader.code;
}

void profile_clear(struct profile *profile)
{
	for (size_t i = 0; i < profile->value_count; i++)
		free(profile->values[i].text);
	for (size_t i = 0; i < profile->base_count; i++)
		free(profile->bases[i].name);
	free(profile->values);
	free(profile->bases);
	free(profile->description);
	*profile = (struct profile){0};
}
