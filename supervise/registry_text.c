/* What an entry of the registry says, in JSON. A string of it is bytes, each written as the character of its number: paths
 * and arguments need be no UTF-8, and come out again as they went in. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "supervise/registry.h"

enum { ARGV_BYTES_MAX = 65536 };

static void bytes_write(FILE *out, const char *text)
{
	fputc('"', out);
	for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
		if (*at < ' ' || *at > '~' || *at == '"' || *at == '\\')
			fprintf(out, "\\u%04x", *at);
		else
			fputc(*at, out);
	}
	fputc('"', out);
}

/* Of very many arguments the first; none of what is no command: a template. */
static void argv_write(FILE *out, const char *const argv[])
{
	long start = ftell(out);

	fputs("\"argv\":[", out);
	for (size_t i = 0; argv != NULL && argv[i] != NULL && ftell(out) - start < ARGV_BYTES_MAX; i++) {
		fputs(i > 0 ? "," : "", out);
		bytes_write(out, argv[i]);
	}
	fputs("],", out);
}

static void policy_write(FILE *out, const sl_policy *policy)
{
	const char *comma = "";

	fputs("\"policy\":[", out);
	for (size_t row = 0; row < OPTION_COUNT; row++) {
		for (size_t i = 0; i < policy->values[row].count; i++) {
			fprintf(out, "%s[\"%s\",", comma, option_rows[row].key);
			bytes_write(out, policy->values[row].items[i]);
			fputc(']', out);
			comma = ",";
		}
	}
	fputc(']', out);
}

int registry_text(struct registry_claim *claim, const sl_policy *policy, const char *const argv[],
                  const char *mode)
{
	FILE *out = open_memstream(&claim->text, &claim->size);

	if (out == NULL)
		return -ENOMEM;
	if (claim->name != NULL) {
		fputs("\"name\":", out);
		bytes_write(out, claim->name);
		fputc(',', out);
	}
	fprintf(out, "\"mode\":\"%s\",\"started\":%lld,", mode, (long long)time(NULL));
	argv_write(out, argv);
	policy_write(out, policy);
	fputs("}\n", out);
	return fclose(out) == 0 ? 0 : -ENOMEM;
}
