/* Host names: RFC 952 and RFC 1123, 2.1, and the underscore that service names have (RFC 2782).
 *
 * The resolver also takes the old spellings of IPv4 (127.1, 0x7f000001, 010.0.0.1; inet_aton(3)). Such a text must not
 * pass as a name: it would reach an address that its reader does not see. */
#include "netpolicy/name.h"

#include <stdbool.h>
#include <string.h>

#define LABEL_MAX 63

/* Only ASCII: what isalnum(3) says of the rest depends on the locale. */
static bool is_name_byte(char byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '-' || byte == '_';
}

static char byte_lower(char byte)
{
	return byte >= 'A' && byte <= 'Z' ? (char)(byte - 'A' + 'a') : byte;
}

/* inet_aton(3) reads a text whose last part is a number, decimal, octal or hexadecimal. */
static bool label_is_number(const char *label)
{
	if (strncmp(label, "0x", 2) == 0)
		return label[strspn(label + 2, "0123456789abcdef") + 2] == '\0';
	return label[strspn(label, "0123456789")] == '\0';
}

static const char *label_check(const char *label, size_t size)
{
	if (size == 0)
		return "host name: between dots there is a label";
	if (size > LABEL_MAX)
		return "host name: a label between dots has at most 63 bytes";
	if (label[0] == '-' || label[size - 1] == '-')
		return "host name: a label neither begins nor ends with \"-\"";
	for (size_t i = 0; i < size; i++)
		if (label[i] == '*')
			return "host name: a wildcard is written *.name, and stands in front only";
	for (size_t i = 0; i < size; i++)
		if (!is_name_byte(label[i]))
			return "IP address, and no host name: that has letters, digits, \"-\", \"_\" and dots";
	return NULL;
}

const char *name_read(const char *text, size_t size, char name[static NAME_TEXT])
{
	const char *label = name, *dot, *reason;

	if (size > 0 && text[size - 1] == '.')
		size--;
	if (size >= NAME_TEXT)
		return "host name: that has at most 253 bytes";
	for (size_t i = 0; i < size; i++)
		name[i] = byte_lower(text[i]);
	name[size] = '\0';
	for (;; label = dot + 1) {
		dot = strchrnul(label, '.');
		if ((reason = label_check(label, (size_t)(dot - label))) != NULL)
			return reason;
		if (*dot == '\0')
			break;
	}
	if (label_is_number(label))
		return "IPv4 address: expected four numbers in 0..255, without leading zeros";
	return NULL;
}
