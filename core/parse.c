/* Numbers and sizes as people write them. Overflow is an error, never a wrap. */
#include "core/parse.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

static int digits_parse(const char **text, uint64_t *number)
{
	const char *at = *text;

	*number = 0;
	for (; isdigit((unsigned char)*at); at++) {
		if (__builtin_mul_overflow(*number, 10, number) ||
		    __builtin_add_overflow(*number, *at - '0', number))
			return -ERANGE;
	}
	if (at == *text)
		return -EINVAL;
	*text = at;
	return 0;
}

int number_parse(const char *text, uint64_t low, uint64_t high, uint64_t *number)
{
	int r = digits_parse(&text, number);

	if (r < 0)
		return r;
	if (*text != '\0')
		return -EINVAL;
	return *number < low || *number > high ? -ERANGE : 0;
}

/* The power of two that a suffix stands for; *text moves behind it. 0 for "no suffix". */
static unsigned suffix_shift(const char **text)
{
	static const char units[] = "KMGT";
	const char *at = *text;
	const char *unit = *at == '\0' ? NULL : strchr(units, toupper((unsigned char)*at));
	unsigned shift = 0;

	if (unit != NULL) {
		shift = 10 * (unsigned)(unit - units + 1);
		at++;
		if (*at == 'i' || *at == 'I')
			at++;
	}
	if (*at == 'b' || *at == 'B')
		at++;
	*text = at;
	return shift;
}

/* ".25" of a unit of 2^shift bytes, rounded down; nine digits are more than anybody means. */
static int fraction_parse(const char **text, uint64_t *parts_per_billion)
{
	uint64_t scale = 100000000;
	const char *at = *text + 1;

	*parts_per_billion = 0;
	for (; isdigit((unsigned char)*at); at++, scale /= 10)
		*parts_per_billion += (uint64_t)(*at - '0') * scale;
	if (at == *text + 1)
		return -EINVAL;
	*text = at;
	return 0;
}

int size_parse(const char *text, uint64_t *size)
{
	uint64_t whole, billionths = 0;
	bool fraction;
	unsigned shift;
	int r;

	while (isspace((unsigned char)*text))
		text++;
	if ((r = digits_parse(&text, &whole)) < 0)
		return r;
	fraction = *text == '.';
	if (fraction && (r = fraction_parse(&text, &billionths)) < 0)
		return r;
	while (isspace((unsigned char)*text))
		text++;
	shift = suffix_shift(&text);
	while (isspace((unsigned char)*text))
		text++;
	if (*text != '\0' || (fraction && shift == 0))
		return -EINVAL;
	if (shift != 0 && whole >> (64 - shift) != 0)
		return -ERANGE;
	*size = (whole << shift) + (uint64_t)(((unsigned __int128)billionths << shift) / 1000000000);
	return 0;
}

static const struct {
	const char *suffix;
	uint64_t milliseconds;
} time_units[] = {{"", 1000}, {"s", 1000}, {"ms", 1}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};

static uint64_t unit_find(const char *suffix)
{
	for (size_t i = 0; i < sizeof(time_units) / sizeof(time_units[0]); i++)
		if (strcmp(suffix, time_units[i].suffix) == 0)
			return time_units[i].milliseconds;
	return 0;
}

int duration_parse(const char *text, uint64_t *milliseconds)
{
	const uint64_t year = 366ull * 86400000;
	uint64_t whole, billionths = 0, unit;
	int r;

	if ((r = digits_parse(&text, &whole)) < 0)
		return r;
	if (*text == '.' && (r = fraction_parse(&text, &billionths)) < 0)
		return r;
	if ((unit = unit_find(text)) == 0)
		return -EINVAL;
	if (whole > year / unit)
		return -ERANGE;
	*milliseconds = whole * unit + billionths * unit / 1000000000;
	return *milliseconds == 0 || *milliseconds > year ? -ERANGE : 0;
}
