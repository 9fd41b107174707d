/* Numbers and sizes as people write them. */
#ifndef SL_CORE_PARSE_H
#define SL_CORE_PARSE_H

#include <stdint.h>

/* "10", "1.5G", "64 KiB", "2tb": powers of 1024, suffix K, M, G or T with optional i and B in either
 * case, decimals with a suffix only. -EINVAL for anything else, -ERANGE above UINT64_MAX. */
int size_parse(const char *text, uint64_t *size);

/* "30", "1.5s", "200ms", "10m", "2h", "1d": milliseconds, rounded down; seconds without a suffix. -EINVAL, -ERANGE for
 * less than a millisecond and more than a year. */
int duration_parse(const char *text, uint64_t *milliseconds);

/* A decimal number without sign or blanks in low..high. -EINVAL, -ERANGE. */
int number_parse(const char *text, uint64_t low, uint64_t high, uint64_t *number);

#endif
