/* sl_run(): a command from its start to its end, its input and outputs served all the while. */
#include <errno.h>
#include <stdlib.h>

#include "core/error.h"
#include "core/fd.h"
#include "supervise/capture.h"

static int run_serve(sl_sandbox *sandbox, int *input, sl_result *result, sl_error *error)
{
	struct streams streams;
	int r = streams_open(&streams, result);

	streams.sandbox = sandbox;
	streams.fds[0] = fd_steal(input);
	for (int i = 1; i < 3; i++)
		streams.fds[i] = sl_sandbox_stream(sandbox, i);
	if (r == 0)
		r = streams_serve(&streams, result, -1);
	streams_close(&streams);
	if (r < 0)
		return error_errno(error, r, "sl_run: keeping the output");
	return sl_wait(sandbox, -1, &result->status, error);
}

int sl_run(const sl_policy *policy, const char *const argv[], sl_result *result, sl_error *error)
{
	sl_stdio stdio = {
		.in = {SL_STREAM_NULL, -1}, .out = {SL_STREAM_PIPE, -1}, .err = {SL_STREAM_PIPE, -1}};
	cleanup_fd int input = -1, theirs = -1;
	sl_sandbox *sandbox;
	int r;

	if (result == NULL)
		return error_set(error, -EINVAL, "sl_run: no result given");
	result_begin(result);
	if (result->input != NULL) {
		if ((r = input_open(&input, &theirs)) < 0)
			return error_errno(error, r, "sl_run: its input");
		stdio.in = (sl_stream){SL_STREAM_GIVEN, theirs};
	}
	if ((r = sl_spawn(policy, argv, &stdio, &sandbox, error)) < 0)
		return r;
	fd_close(&theirs);
	r = run_serve(sandbox, &input, result, error);
	sl_sandbox_free(sandbox);
	if (r < 0)
		sl_result_clear(result);
	return r;
}

void sl_result_clear(sl_result *result)
{
	free(result->out);
	free(result->err);
	result->out = result->err = NULL;
	result->out_size = result->err_size = 0;
}
