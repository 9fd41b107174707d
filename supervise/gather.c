/* sl_gather(): several sources, one consumer with a descriptor for each. The last source is its stdin, so that a program
 * that knows nothing of this takes part too. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/error.h"
#include "core/fd.h"
#include "supervise/flow.h"

enum { SOURCES_MAX = 61, NAME_SIZE_MAX = 64, FIRST_FD = 3 };

#define VARIABLE "SLUICE_GATHER"

/* "name:fd,name:fd": so neither sign may be in a name, nor what is not to be seen. */
static bool name_is_good(const char *name)
{
	size_t size = name == NULL ? 0 : strnlen(name, NAME_SIZE_MAX + 1);

	if (size == 0 || size > NAME_SIZE_MAX)
		return false;
	for (size_t i = 0; i < size; i++)
		if (name[i] <= ' ' || name[i] > '~' || strchr(":,=", name[i]) != NULL)
			return false;
	return true;
}

static int names_check(const sl_stage *sources, size_t count, sl_error *error)
{
	for (size_t i = 0; i < count; i++) {
		if (!name_is_good(sources[i].name))
			return error_set(
				error, -EINVAL,
				"sl_gather: source %zu: a name is 1 to %d visible characters without "
				"\":\", \",\" and \"=\"",
				i + 1, NAME_SIZE_MAX);
		for (size_t j = 0; j < i; j++)
			if (strcmp(sources[i].name, sources[j].name) == 0)
				return error_set(error, -EINVAL, "sl_gather: two sources are called %s",
				                 sources[i].name);
	}
	return 0;
}

static int source_fd(size_t at, size_t count)
{
	return at + 1 == count ? 0 : FIRST_FD + (int)at;
}

/* The consumer's policy and the variable on top. */
static int policy_with_names(const sl_policy *policy, const sl_stage *sources, size_t count, sl_policy **made,
                             sl_error *error)
{
	char value[sizeof(VARIABLE "=") + SOURCES_MAX * (NAME_SIZE_MAX + sizeof(":1234,"))] = VARIABLE "=";
	int r;

	for (size_t i = 0; i < count; i++) {
		size_t used = strlen(value);

		snprintf(value + used, sizeof(value) - used, "%s%s:%d", i > 0 ? "," : "", sources[i].name,
		         source_fd(i, count));
	}
	if ((*made = sl_policy_copy(policy)) == NULL)
		return error_errno(error, -ENOMEM, "sl_gather");
	if ((r = sl_policy_set(*made, "env", value, error)) < 0) {
		sl_policy_free(*made);
		*made = NULL;
	}
	return r;
}

/* Source `at` writes; *end is where the consumer reads. */
static int source_create(struct flow *flow, size_t at, int *end, sl_error *error)
{
	const sl_stage *stage = flow->parts[at].stage;
	sl_stdio stdio = {.in = {SL_STREAM_NULL, -1}, .err = stage->err};
	cleanup_fd int out = -1;
	int pair[2];

	if (pipe2(pair, O_CLOEXEC) < 0)
		return error_errno(error, -errno, "sl_gather: a pipe");
	*end = pair[0];
	out = pair[1];
	stdio.out = (sl_stream){SL_STREAM_GIVEN, out};
	return flow_create(flow, at, stage->policy, &stdio, error);
}

static int consumer_create(struct flow *flow, const sl_policy *policy, const int *ends, sl_error *error)
{
	sl_descriptor extra[SOURCES_MAX];
	size_t last = flow->count - 2;
	sl_stdio stdio = {.in = {SL_STREAM_GIVEN, ends[last]},
	                  .out = flow->ends->out,
	                  .err = flow->ends->err,
	                  .extra = extra,
	                  .extra_count = last};

	for (size_t i = 0; i < last; i++)
		extra[i] = (sl_descriptor){source_fd(i, last + 1), ends[i]};
	return flow_create(flow, flow->count - 1, policy, &stdio, error);
}

static int gather_create(struct flow *flow, const sl_policy *policy, sl_error *error)
{
	int ends[SOURCES_MAX], r = 0;
	size_t sources = flow->count - 1;

	for (size_t i = 0; i < sources; i++)
		ends[i] = -1;
	for (size_t i = 0; r == 0 && i < sources; i++)
		r = source_create(flow, i, &ends[i], error);
	if (r == 0)
		r = consumer_create(flow, policy, ends, error);
	for (size_t i = 0; i < sources; i++)
		fd_close(&ends[i]);
	return r;
}

static int gather_run(sl_stage *sources, size_t count, sl_stage *consumer, const sl_policy *policy,
                      const sl_stdio *ends, int timeout_ms, sl_result *result, sl_error *error)
{
	struct flow flow;
	int r = flow_open(&flow, "sl_gather", count + 1, ends, result, error);

	for (size_t i = 0; r == 0 && i <= count; i++)
		flow.parts[i].stage = i < count ? &sources[i] : consumer;
	if (r == 0 && (r = gather_create(&flow, policy, error)) == 0)
		r = flow_run(&flow, timeout_ms, error);
	flow_close(&flow);
	if (r < 0 && result != NULL)
		sl_result_clear(result);
	return r;
}

int sl_gather(sl_stage *sources, size_t count, sl_stage *consumer, const sl_stdio *ends, int timeout_ms,
              sl_result *result, sl_error *error)
{
	sl_policy *policy;
	int r;

	if (sources == NULL || count == 0 || count > SOURCES_MAX)
		return error_set(error, -EINVAL, "sl_gather: it takes 1 to %d sources", SOURCES_MAX);
	if (consumer == NULL || consumer->policy == NULL)
		return error_set(error, -EINVAL, "sl_gather: no consumer given, or none of its policy");
	if ((r = names_check(sources, count, error)) < 0 ||
	    (r = policy_with_names(consumer->policy, sources, count, &policy, error)) < 0)
		return r;
	r = gather_run(sources, count, consumer, policy, ends, timeout_ms, result, error);
	sl_policy_free(policy);
	return r;
}

/* ---- in the consumer ---- */

/* "3", "3,": a number and nothing else. */
static int number_read(const char *text)
{
	char *end;
	long number;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	number = strtol(text, &end, 10);
	if (errno != 0 || number > INT_MAX || (*end != '\0' && *end != ','))
		return -EINVAL;
	return (int)number;
}

int sl_gather_fd(const char *name)
{
	const char *at = getenv(VARIABLE);
	size_t size = name == NULL ? 0 : strlen(name);

	while (at != NULL && size > 0) {
		const char *colon = at + strcspn(at, ":,"), *comma = at + strcspn(at, ",");

		if (*colon != ':')
			return -EINVAL;
		if ((size_t)(colon - at) == size && memcmp(at, name, size) == 0)
			return number_read(colon + 1);
		at = *comma == ',' ? comma + 1 : NULL;
	}
	return -ENOENT;
}
