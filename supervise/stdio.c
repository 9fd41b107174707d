/* stdio.h says what for. */
#include "supervise/stdio.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/error.h"
#include "core/fd.h"

enum { TARGET_MAX = 1023 };

static const char *const stream_names[] = {"stdin", "stdout", "stderr"};

static const struct stdio_move *move_find(const struct stdio_plan *plan, int target)
{
	for (size_t i = 0; i < plan->count; i++)
		if (plan->moves[i].target == target)
			return &plan->moves[i];
	return NULL;
}

static int move_add(struct stdio_plan *plan, int target, int source, sl_error *error)
{
	if (target < 0 || target > TARGET_MAX)
		return error_set(error, -EINVAL, "descriptor %d: a command's are 0 to %d", target,
		                 TARGET_MAX);
	if (move_find(plan, target) != NULL)
		return error_set(error, -EINVAL, "descriptor %d of the command is given twice", target);
	if (plan->count == STDIO_MAX)
		return error_set(error, -EMFILE, "more than %d descriptors for the command", STDIO_MAX);
	if (fcntl(source, F_GETFD) < 0)
		return error_set(error, -EBADF, "descriptor %d, to be %d of the command, is not open", source,
		                 target);
	plan->moves[plan->count++] = (struct stdio_move){target, source};
	return 0;
}

/* A pipe: the command reads from 0 and writes to the others. */
static int pipe_open(int stream, struct stdio_ends *ends, sl_error *error)
{
	int pair[2];

	if (pipe2(pair, O_CLOEXEC) < 0)
		return error_errno(error, -errno, "a pipe for %s", stream_names[stream]);
	ends->ours[stream] = pair[stream == 0 ? 1 : 0];
	ends->theirs[stream] = pair[stream == 0 ? 0 : 1];
	return 0;
}

static int null_open(int stream, struct stdio_ends *ends, sl_error *error)
{
	ends->theirs[stream] = open("/dev/null", O_RDWR | O_CLOEXEC);
	return ends->theirs[stream] < 0 ? error_errno(error, -errno, "/dev/null") : 0;
}

/* Inherited where it is open at all. */
static int stream_open(const sl_stream *wanted, int stream, struct stdio_plan *plan, struct stdio_ends *ends,
                       sl_error *error)
{
	int r;

	switch (wanted->kind) {
	case SL_STREAM_INHERIT:
		return fcntl(stream, F_GETFD) < 0 ? 0 : move_add(plan, stream, stream, error);
	case SL_STREAM_GIVEN:
		return move_add(plan, stream, wanted->fd, error);
	case SL_STREAM_NULL:
		r = null_open(stream, ends, error);
		break;
	case SL_STREAM_PIPE:
		r = pipe_open(stream, ends, error);
		break;
	default:
		return error_set(error, -EINVAL, "%s: no such kind of stream: %d", stream_names[stream],
		                 wanted->kind);
	}
	return r < 0 ? r : move_add(plan, stream, ends->theirs[stream], error);
}

static int move_compare(const void *left, const void *right)
{
	const struct stdio_move *a = left, *b = right;

	return (a->target > b->target) - (a->target < b->target);
}

static int moves_collect(const sl_stdio *stdio, const int *kept, size_t kept_count, struct stdio_plan *plan,
                         struct stdio_ends *ends, sl_error *error)
{
	const sl_stream *streams[] = {&stdio->in, &stdio->out, &stdio->err};
	int r = 0;

	for (int i = 0; r == 0 && i < 3; i++)
		r = stream_open(streams[i], i, plan, ends, error);
	for (size_t i = 0; r == 0 && i < stdio->extra_count; i++)
		r = move_add(plan, stdio->extra[i].target, stdio->extra[i].source, error);
	for (size_t i = 0; r == 0 && i < kept_count; i++)
		if (kept[i] > 2 && move_find(plan, kept[i]) == NULL) /* 0 to 2 are the streams' */
			r = move_add(plan, kept[i], kept[i], error);
	qsort(plan->moves, plan->count, sizeof(plan->moves[0]), move_compare);
	return r;
}

int stdio_open(const sl_stdio *stdio, const int *kept, size_t kept_count, struct stdio_plan *plan,
               struct stdio_ends *ends, sl_error *error)
{
	static const sl_stdio inherited = {.extra_count = 0};
	int r;

	*plan = (struct stdio_plan){.count = 0};
	*ends = (struct stdio_ends){{-1, -1, -1}, {-1, -1, -1}};
	if (stdio != NULL && stdio->extra_count > 0 && stdio->extra == NULL)
		return error_set(error, -EINVAL, "extra_count is %zu, and extra is NULL", stdio->extra_count);
	r = moves_collect(stdio == NULL ? &inherited : stdio, kept, kept_count, plan, ends, error);
	if (r < 0)
		stdio_close(ends);
	return r;
}

int stdio_add(struct stdio_plan *plan, int source, sl_error *error)
{
	int target = 3, r;

	while (move_find(plan, target) != NULL)
		target++;
	if ((r = move_add(plan, target, source, error)) < 0)
		return r;
	qsort(plan->moves, plan->count, sizeof(plan->moves[0]), move_compare);
	return target;
}

void stdio_close(struct stdio_ends *ends)
{
	for (int i = 0; i < 3; i++) {
		fd_close(&ends->ours[i]);
		fd_close(&ends->theirs[i]);
	}
}

int stdio_above(const struct stdio_plan *plan)
{
	int last = plan->count == 0 ? 2 : plan->moves[plan->count - 1].target;

	return last < 2 ? 3 : last + 1;
}

int stdio_lift(struct stdio_plan *plan, int above)
{
	for (size_t i = 0; i < plan->count; i++) {
		int lifted = fcntl(plan->moves[i].source, F_DUPFD_CLOEXEC, above);

		if (lifted < 0)
			return -errno;
		plan->moves[i].source = lifted;
	}
	return 0;
}

int stdio_settle(const struct stdio_plan *plan)
{
	for (size_t i = 0; i < plan->count; i++)
		if (dup2(plan->moves[i].source, plan->moves[i].target) < 0)
			return -errno;
	return 0;
}
