/* The options table, and finding a row in it. */
#include "core/policy.h"

#include <string.h>

const struct option_row option_rows[OPTION_COUNT] = {
#define OPTION(name, key, letter, kind, arg, help, older) \
	[OPTION_##name] = {key, letter, OPTION_##kind, arg, help, older},
#include "core/options.def"
#undef OPTION
};

const struct option_row *option_find(const char *key)
{
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		const struct option_row *row = &option_rows[i];

		if (strcmp(row->key, key) == 0 || (row->older != NULL && strcmp(row->older, key) == 0))
			return row;
	}
	return NULL;
}

enum { KEY_MAX = 32 };

static size_t least(size_t a, size_t b, size_t c)
{
	size_t ab = a < b ? a : b;

	return ab < c ? ab : c;
}

/* Levenshtein; only the first KEY_MAX bytes count, no key is longer. */
static size_t key_distance(const char *left, const char *right)
{
	size_t cost[KEY_MAX + 1], left_size = strnlen(left, KEY_MAX), right_size = strnlen(right, KEY_MAX);

	for (size_t j = 0; j <= right_size; j++)
		cost[j] = j;
	for (size_t i = 1; i <= left_size; i++) {
		size_t diagonal = cost[0];

		cost[0] = i;
		for (size_t j = 1; j <= right_size; j++) {
			size_t above = cost[j];

			cost[j] = least(above + 1, cost[j - 1] + 1, diagonal + (left[i - 1] != right[j - 1]));
			diagonal = above;
		}
	}
	return cost[right_size];
}

const char *option_nearest(const char *key)
{
	const char *nearest = option_rows[0].key;
	size_t nearest_distance = key_distance(key, nearest);

	for (size_t i = 1; i < OPTION_COUNT; i++) {
		size_t distance = key_distance(key, option_rows[i].key);

		if (distance < nearest_distance) {
			nearest = option_rows[i].key;
			nearest_distance = distance;
		}
	}
	return nearest;
}
