/* Several sandboxes that run together, each fed by others through kernel pipes: sl_pipeline() and sl_gather() differ in
 * how they join them. Built on the public calls alone. */
#ifndef SL_SUPERVISE_FLOW_H
#define SL_SUPERVISE_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "supervise/capture.h"

struct part {
	sl_stage *stage;
	sl_sandbox *sandbox;
	bool late; /* it ran when the time was over */
};

/* The last part is the one whose outputs are the result. */
struct flow {
	const char *name; /* of the public call, for messages */
	struct part *parts;
	size_t count;
	const sl_stdio *ends; /* never NULL */
	sl_result *result;    /* NULL where `ends` asks for nothing to be served */
	struct streams streams;
	int input; /* ours */
};

/* Check what both take, with `count` parts. Then flow_close() in any case. -EINVAL, -ENOMEM. */
int flow_open(struct flow *flow, const char *name, size_t count, const sl_stdio *ends, sl_result *result,
              sl_error *error);
void flow_close(struct flow *flow);

/* Park the next part's command. */
int flow_create(struct flow *flow, size_t at, const sl_policy *policy, const sl_stdio *stdio,
                sl_error *error);

/* What stands at the first one's stdin, if it is to be `ends`'s; *theirs is the caller's. */
int flow_input(struct flow *flow, sl_stream *in, int *theirs, sl_error *error);

/* Start all, serve, wait for all; kill all when the time is over. */
int flow_run(struct flow *flow, int timeout_ms, sl_error *error);

#endif
