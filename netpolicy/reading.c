/* What the two grammars share: schemes, ports, and the form of a refusal. Texts may be long and are bytes from
 * anywhere, so messages quote them bounded. */
#include "netpolicy/reading.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "core/error.h"
#include "core/parse.h"

#define QUOTE_MAX 40 /* bytes of one part in a message; the whole rule gets 64 */
#define DIGITS    128

int reading_reject(const struct reading *reading, const char *format, ...)
{
	char reason[160]; /* with the quoted rule it fits sl_error.message */
	va_list args;

	va_start(args, format);
	vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	return error_set(reading->error, -EINVAL, "%s \"%.64s%s\": %s", reading->key, reading->text,
	                 strnlen(reading->text, 65) > 64 ? "..." : "", reason);
}

int part_quoted(struct part part)
{
	return part.size < QUOTE_MAX ? (int)part.size : QUOTE_MAX;
}

bool part_is(struct part part, const char *text)
{
	return part.size == strlen(text) && memcmp(part.at, text, part.size) == 0;
}

static const char *const scheme_names[NET_PROTOCOLS] = {
	[NET_TCP] = "tcp", [NET_UDP] = "udp", [NET_ICMP] = "icmp"};

int scheme_read(const struct reading *reading, unsigned known, unsigned none, unsigned *schemes,
                const char **body)
{
	const char *end = strstr(reading->text, "://");
	struct part scheme = {reading->text, end == NULL ? 0 : (size_t)(end - reading->text)};

	*schemes = none;
	*body = end == NULL ? reading->text : end + 3;
	if (end == NULL)
		return 0;
	for (unsigned i = 0; i < NET_PROTOCOLS; i++) {
		if ((known & 1u << i) && part_is(scheme, scheme_names[i])) {
			*schemes = 1u << i;
			return 0;
		}
	}
	return reading_reject(reading, "scheme \"%.*s\": expected tcp://%s, in lower case, or none",
	                      part_quoted(scheme), scheme.at,
	                      known & 1u << NET_ICMP ? ", udp:// or icmp://" : " or udp://");
}

static int port_read(const struct reading *reading, struct part part, unsigned lowest, uint16_t *port)
{
	char digits[DIGITS] = "";
	uint64_t number;

	/* What does not fit is no port; it stays empty, which is none either. */
	if (part.size < sizeof(digits))
		memcpy(digits, part.at, part.size);
	if (number_parse(digits, lowest, PORT_LAST, &number) < 0)
		return reading_reject(reading, "port \"%.*s\": expected a number in %u..%u",
		                      part_quoted(part), part.at, lowest, PORT_LAST);
	*port = (uint16_t)number;
	return 0;
}

/* "80" or "8000-8080". */
static int range_read(const struct reading *reading, struct part part, unsigned lowest,
                      struct port_range *range)
{
	const char *dash = memchr(part.at, '-', part.size);
	struct part low = part, high = part;
	int r;

	if (part.size == 0)
		return reading_reject(reading, "empty port in the list: expected a port or low-high range");
	if (part_is(part, "*"))
		return reading_reject(reading, "\"*\" means all ports and is not mixed with others");
	if (dash != NULL) {
		low.size = (size_t)(dash - part.at);
		high = (struct part){dash + 1, part.size - low.size - 1};
	}
	if ((r = port_read(reading, low, lowest, &range->low)) < 0 ||
	    (r = port_read(reading, high, lowest, &range->high)) < 0)
		return r;
	if (range->low > range->high)
		return reading_reject(reading, "port range \"%.*s\" is reversed: expected low-high",
		                      part_quoted(part), part.at);
	return 0;
}

int ports_read(const struct reading *reading, const char *text, unsigned lowest, struct port_set *ports)
{
	const char *comma;

	if (*text == '\0')
		return reading_reject(reading, "no ports: expected *, or ports and low-high ranges");
	do {
		struct port_range range;
		struct part part;
		int r;

		comma = strchrnul(text, ',');
		part = (struct part){text, (size_t)(comma - text)};
		if ((r = range_read(reading, part, lowest, &range)) < 0)
			return r;
		if ((r = port_set_add(ports, range.low, range.high)) < 0)
			return error_errno(reading->error, r, "%s", reading->key);
		text = comma + 1;
	} while (*comma != '\0');
	port_set_normalize(ports);
	return 0;
}
