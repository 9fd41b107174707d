/* sl_pipeline(): the stdout of each is the stdin of the next. A pipe of the kernel's joins them and nobody sits in
 * between: end of file, SIGPIPE and back pressure are the kernel's too. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "core/error.h"
#include "core/fd.h"
#include "supervise/flow.h"

/* `in` is the previous one's other end, and *next this one's. */
static int stage_create(struct flow *flow, size_t at, const sl_stream *in, int *next, sl_error *error)
{
	const sl_stage *stage = flow->parts[at].stage;
	sl_stdio stdio = {.in = *in, .out = flow->ends->out, .err = flow->ends->err};
	cleanup_fd int out = -1;
	int pair[2];

	if (at + 1 == flow->count)
		return flow_create(flow, at, stage->policy, &stdio, error);
	if (pipe2(pair, O_CLOEXEC) < 0)
		return error_errno(error, -errno, "sl_pipeline: a pipe");
	*next = pair[0];
	out = pair[1];
	stdio.out = (sl_stream){SL_STREAM_GIVEN, out};
	stdio.err = stage->err;
	return flow_create(flow, at, stage->policy, &stdio, error);
}

/* As soon as a stage has its ends the app's are closed: at no time are there more than one pipe's. */
static int stages_create(struct flow *flow, sl_error *error)
{
	cleanup_fd int source = -1;
	sl_stream in;
	int r = flow_input(flow, &in, &source, error);

	for (size_t i = 0; r == 0 && i < flow->count; i++) {
		int next = -1;

		r = stage_create(flow, i, &in, &next, error);
		fd_close(&source);
		source = next;
		in = (sl_stream){SL_STREAM_GIVEN, source};
	}
	return r;
}

int sl_pipeline(sl_stage *stages, size_t count, const sl_stdio *ends, int timeout_ms, sl_result *result,
                sl_error *error)
{
	struct flow flow;
	int r;

	if (stages == NULL || count < 2)
		return error_set(error, -EINVAL, "sl_pipeline: it takes two stages or more");
	if ((r = flow_open(&flow, "sl_pipeline", count, ends, result, error)) == 0) {
		for (size_t i = 0; i < count; i++)
			flow.parts[i].stage = &stages[i];
		if ((r = stages_create(&flow, error)) == 0)
			r = flow_run(&flow, timeout_ms, error);
	}
	flow_close(&flow);
	if (r < 0 && result != NULL)
		sl_result_clear(result);
	return r;
}
