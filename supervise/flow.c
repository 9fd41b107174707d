/* flow.h says what for. Every part is parked before the first one is started: a part that cannot be made leaves nothing
 * behind that has run. */
#include "supervise/flow.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "core/error.h"
#include "core/fd.h"

enum { IN, OUT, ERR };

static const sl_stdio all_served = {
	.in = {SL_STREAM_PIPE, -1}, .out = {SL_STREAM_PIPE, -1}, .err = {SL_STREAM_PIPE, -1}};

static bool ends_are_served(const sl_stdio *ends)
{
	return ends->in.kind == SL_STREAM_PIPE || ends->out.kind == SL_STREAM_PIPE ||
	       ends->err.kind == SL_STREAM_PIPE;
}

int flow_open(struct flow *flow, const char *name, size_t count, const sl_stdio *ends, sl_result *result,
              sl_error *error)
{
	int r;

	*flow = (struct flow){
		.name = name, .ends = ends == NULL ? &all_served : ends, .result = result, .input = -1};
	for (int i = IN; i <= ERR; i++)
		flow->streams.fds[i] = -1;
	if (result != NULL)
		result_begin(result);
	if (result == NULL && ends_are_served(flow->ends))
		return error_set(error, -EINVAL, "%s: no result given, and a pipe is to be served", name);
	if (flow->ends->extra_count > 0)
		return error_set(error, -EINVAL, "%s: it takes no other descriptors", name);
	if ((flow->parts = calloc(count, sizeof(*flow->parts))) == NULL)
		return error_errno(error, -ENOMEM, "%s", name);
	flow->count = count;
	if (result != NULL && (r = streams_open(&flow->streams, result)) < 0)
		return error_errno(error, r, "%s", name);
	return 0;
}

/* All at once, then one by one. */
static void flow_kill(struct flow *flow)
{
	for (size_t i = 0; i < flow->count; i++)
		if (flow->parts[i].sandbox != NULL)
			sl_kill(flow->parts[i].sandbox, NULL);
}

void flow_close(struct flow *flow)
{
	flow_kill(flow);
	for (size_t i = 0; i < flow->count; i++)
		sl_sandbox_free(flow->parts[i].sandbox);
	streams_close(&flow->streams);
	fd_close(&flow->input);
	free(flow->parts);
	flow->parts = NULL;
	flow->count = 0;
}

int flow_create(struct flow *flow, size_t at, const sl_policy *policy, const sl_stdio *stdio, sl_error *error)
{
	struct part *part = &flow->parts[at];
	int r;

	if (at + 1 < flow->count && stdio->err.kind == SL_STREAM_PIPE)
		return error_set(error, -EINVAL, "%s: stage %zu: only the last one's stderr is served",
		                 flow->name, at + 1);
	r = sl_create(policy, part->stage->argv, stdio, &part->sandbox, error);
	if (r < 0)
		return error_wrap(error, r, "%s: stage %zu", flow->name, at + 1);
	return 0;
}

int flow_input(struct flow *flow, sl_stream *in, int *theirs, sl_error *error)
{
	int r;

	*in = flow->ends->in;
	if (in->kind != SL_STREAM_PIPE)
		return 0;
	*in = (sl_stream){SL_STREAM_NULL, -1};
	if (flow->result->input == NULL)
		return 0;
	if ((r = input_open(&flow->input, theirs)) < 0)
		return error_errno(error, r, "%s: its input", flow->name);
	*in = (sl_stream){SL_STREAM_GIVEN, *theirs};
	return 0;
}

static int flow_start(struct flow *flow, sl_error *error)
{
	for (size_t i = 0; i < flow->count; i++) {
		int r = sl_start(flow->parts[i].sandbox, error);

		if (r < 0)
			return error_wrap(error, r, "%s: stage %zu", flow->name, i + 1);
	}
	return 0;
}

/* Who is killed takes his neighbours with him, by end of file or SIGPIPE: that too is for lack of time. */
static void flow_stop(struct flow *flow)
{
	for (size_t i = 0; i < flow->count; i++)
		flow->parts[i].late = sl_wait(flow->parts[i].sandbox, 0, NULL, NULL) == -ETIMEDOUT;
	flow_kill(flow);
}

/* Each ends by itself, or all by our hand. */
static int flow_wait(struct flow *flow, bool over, int64_t end, sl_error *error)
{
	for (size_t i = 0; i < flow->count; i++) {
		struct part *part = &flow->parts[i];
		sl_status *status = &part->stage->status;
		int r = sl_wait(part->sandbox, over ? -1 : deadline_left(end), status, error);

		if (r == -ETIMEDOUT) {
			over = true;
			flow_stop(flow);
			r = sl_wait(part->sandbox, -1, status, error);
		}
		if (r < 0)
			return r;
		if (part->late)
			status->reason = SL_REASON_TIMEOUT;
	}
	return 0;
}

/* Whoever was killed closes his end, and what he wrote before that is still read. */
static int flow_serve(struct flow *flow, bool *over, int64_t end)
{
	int r;

	if (flow->result == NULL)
		return 0;
	r = streams_serve(&flow->streams, flow->result, end);
	if (r != -ETIMEDOUT)
		return r;
	*over = true;
	flow_stop(flow);
	return streams_serve(&flow->streams, flow->result, -1);
}

int flow_run(struct flow *flow, int timeout_ms, sl_error *error)
{
	sl_sandbox *last = flow->parts[flow->count - 1].sandbox;
	int64_t end = deadline_ms(timeout_ms);
	bool over = false;
	int r;

	if ((r = flow_start(flow, error)) < 0)
		return r;
	flow->streams.fds[IN] = fd_steal(&flow->input);
	for (int i = OUT; i <= ERR; i++)
		flow->streams.fds[i] = sl_sandbox_stream(last, i);
	if ((r = flow_serve(flow, &over, end)) < 0)
		return error_errno(error, r, "%s: keeping the output", flow->name);
	if ((r = flow_wait(flow, over, end, error)) < 0)
		return r;
	if (flow->result != NULL)
		flow->result->status = flow->parts[flow->count - 1].stage->status;
	return 0;
}
