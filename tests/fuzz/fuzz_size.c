/* Any text as a size and as a number, against a reading of the grammar that is slow and obvious: digits are
 * added up in 128 bits, and a value is either right or refused. */
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/parse.h"

typedef unsigned __int128 wide;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t digits_count(const char *text)
{
	return strspn(text, "0123456789");
}

/* Capped far above 2^64, so that it cannot wrap. */
static wide digits_value(const char *text, size_t count)
{
	wide value = 0;

	for (size_t i = 0; i < count; i++)
		if (value < (wide)1 << 100)
			value = value * 10 + (wide)(text[i] - '0');
	return value;
}

static void number_check(const char *text, uint64_t low, uint64_t high)
{
	size_t digits = digits_count(text);
	wide value = digits_value(text, digits);
	uint64_t number = 0;
	int r = number_parse(text, low, high, &number);

	if (r == 0)
		assert(digits > 0 && text[digits] == '\0' && number == value && number >= low &&
		       number <= high);
	else if (digits == 0 || (text[digits] != '\0' && value <= UINT64_MAX))
		assert(r == -EINVAL);
	else
		assert(r == -ERANGE && (value < low || value > high));
}

static const char *blanks_skip(const char *text)
{
	while (isspace((unsigned char)*text))
		text++;
	return text;
}

static wide unit_read(const char **text)
{
	static const char letters[] = "KkMmGgTt";
	const char *letter = **text == '\0' ? NULL : strchr(letters, **text);
	wide unit = 1;

	if (letter != NULL) {
		for (long i = 0; i <= (letter - letters) / 2; i++)
			unit *= 1024;
		(*text)++;
		*text += **text == 'i' || **text == 'I';
	}
	*text += **text == 'b' || **text == 'B';
	return unit;
}

/* Nine decimals count; the result is rounded down. False: it is no size. */
static bool size_read(const char *text, wide *size)
{
	const char *whole = blanks_skip(text), *after, *decimals = NULL;
	size_t whole_count = digits_count(whole), decimal_count = 0;
	wide unit, billionths = 0;

	after = whole + whole_count;
	if (*after == '.') {
		decimals = after + 1;
		decimal_count = digits_count(decimals);
		after = decimals + decimal_count;
	}
	after = blanks_skip(after);
	unit = unit_read(&after);
	if (whole_count == 0 || (decimals != NULL && (decimal_count == 0 || unit == 1)) ||
	    *blanks_skip(after) != '\0')
		return false;
	for (size_t i = 0; i < 9; i++)
		billionths = billionths * 10 + (i < decimal_count ? (wide)(decimals[i] - '0') : 0);
	*size = digits_value(whole, whole_count);
	*size = *size > UINT64_MAX ? *size : *size * unit + billionths * unit / 1000000000;
	return true;
}

static void size_check(const char *text)
{
	uint64_t size = 0;
	wide wanted = 0;
	int r = size_parse(text, &size);
	bool good = size_read(text, &wanted);

	assert(r == 0 || r == -EINVAL || r == -ERANGE);
	if (r == 0)
		assert(good && size == wanted);
	else if (r == -EINVAL)
		assert(!good);
	else /* out of range first, whatever follows */
		assert(!good || wanted > UINT64_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);

	size_check(text);
	number_check(text, 0, UINT64_MAX);
	number_check(text, 1, 65535);
	number_check(text, 0, 2147483647);
	free(text);
	return 0;
}
