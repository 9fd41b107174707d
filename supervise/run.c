/* sl_run(): a command from its start to its end, its input and outputs served all the while. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/error.h"
#include "core/fd.h"
#include "sluice.h"

enum { LIMIT_DEFAULT = 1 << 20, PIECE = 65536, IN = 0, OUT = 1, ERR = 2 };

struct capture {
	char **text;
	size_t *size;
	size_t room, limit;
	int *cut;
};

/* By doubling up to the limit, and a NUL behind. */
static int capture_grow(struct capture *capture, size_t more)
{
	size_t need = *capture->size + more + 1, room = capture->room;
	char *text;

	while (room < need)
		room = room == 0 ? 4096 : room * 2;
	if (room == capture->room)
		return 0;
	if ((text = realloc(*capture->text, room)) == NULL)
		return -ENOMEM;
	*capture->text = text;
	capture->room = room;
	return 0;
}

static int capture_add(struct capture *capture, const char *piece, size_t size)
{
	size_t kept = capture->limit - *capture->size;
	int r;

	if (size < kept)
		kept = size;
	if (kept < size)
		*capture->cut = 1;
	if ((r = capture_grow(capture, kept)) < 0)
		return r;
	memcpy(*capture->text + *capture->size, piece, kept);
	*capture->size += kept;
	(*capture->text)[*capture->size] = '\0';
	return 0;
}

/* Always read, also what is not kept: who cannot write waits for ever. */
static int capture_read(struct capture *capture, int *fd)
{
	char piece[PIECE];
	ssize_t size = read(*fd, piece, sizeof(piece));

	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (size <= 0) {
		fd_close(fd);
		return 0;
	}
	return capture_add(capture, piece, (size_t)size);
}

/* A socket rather than a pipe: MSG_NOSIGNAL, where a pipe would send the app SIGPIPE. */
static void input_write(int *fd, const sl_result *result, size_t *sent)
{
	ssize_t size = send(*fd, (const char *)result->input + *sent, result->input_size - *sent,
	                    MSG_NOSIGNAL | MSG_DONTWAIT);

	if (size > 0)
		*sent += (size_t)size;
	if ((size < 0 && errno != EAGAIN && errno != EINTR) || *sent == result->input_size)
		fd_close(fd);
}

static int streams_serve(sl_sandbox *sandbox, int fds[3], sl_result *result)
{
	struct capture captures[3] = {
		[OUT] = {&result->out, &result->out_size, 0, result->limit, &result->cut},
		[ERR] = {&result->err, &result->err_size, 0, result->limit, &result->cut},
	};
	size_t sent = 0;
	int r = 0;

	(void)sandbox;
	for (int i = OUT; r == 0 && i <= ERR; i++)
		r = capture_add(&captures[i], "", 0);
	while (r == 0 && (fds[OUT] >= 0 || fds[ERR] >= 0)) {
		struct pollfd ready[3] = {{fds[IN], POLLOUT, 0}, {fds[OUT], POLLIN, 0}, {fds[ERR], POLLIN, 0}};

		if (poll(ready, 3, -1) < 0)
			continue;
		if (ready[IN].revents != 0)
			input_write(&fds[IN], result, &sent);
		for (int i = OUT; r == 0 && i <= ERR; i++)
			if (ready[i].revents != 0)
				r = capture_read(&captures[i], &fds[i]);
	}
	return r;
}

static int input_open(const sl_result *result, sl_stdio *stdio, int *ours, int *theirs)
{
	int pair[2];

	stdio->in.kind = SL_STREAM_NULL;
	if (result->input == NULL)
		return 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	*ours = pair[0];
	*theirs = pair[1];
	stdio->in = (sl_stream){SL_STREAM_GIVEN, pair[1]};
	return 0;
}

static int run_serve(sl_sandbox *sandbox, int *input, sl_result *result, sl_error *error)
{
	int fds[3] = {fd_steal(input), sl_sandbox_stream(sandbox, OUT), sl_sandbox_stream(sandbox, ERR)};
	int r = streams_serve(sandbox, fds, result);

	for (int i = 0; i < 3; i++)
		fd_close(&fds[i]);
	if (r < 0)
		return error_errno(error, r, "sl_run: keeping the output");
	return sl_wait(sandbox, -1, &result->status, error);
}

int sl_run(const sl_policy *policy, const char *const argv[], sl_result *result, sl_error *error)
{
	sl_stdio stdio = {.out = {SL_STREAM_PIPE, -1}, .err = {SL_STREAM_PIPE, -1}};
	cleanup_fd int input = -1, theirs = -1;
	sl_sandbox *sandbox;
	int r;

	if (result == NULL)
		return error_set(error, -EINVAL, "sl_run: no result given");
	result->out = result->err = NULL;
	result->out_size = result->err_size = 0;
	result->cut = 0;
	if (result->limit == 0)
		result->limit = LIMIT_DEFAULT;
	if ((r = input_open(result, &stdio, &input, &theirs)) < 0)
		return error_errno(error, r, "sl_run: its input");
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
