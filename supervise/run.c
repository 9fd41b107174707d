/* sl_run(): a command from its start to its end, its input and outputs served all the while. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
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

/* write(2) without the SIGPIPE that would be the app's: blocked meanwhile, and taken back where it was not there before. */
static ssize_t pipe_write(int fd, const void *data, size_t size)
{
	const struct timespec now = {0, 0};
	sigset_t pipe_only, mask, pending;
	ssize_t written;
	int code;

	sigemptyset(&pipe_only);
	sigaddset(&pipe_only, SIGPIPE);
	sigpending(&pending);
	pthread_sigmask(SIG_BLOCK, &pipe_only, &mask);
	written = write(fd, data, size);
	code = errno;
	if (written < 0 && code == EPIPE && !sigismember(&pending, SIGPIPE))
		while (sigtimedwait(&pipe_only, NULL, &now) < 0 && errno == EINTR)
			;
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	errno = code;
	return written;
}

static void input_write(int *fd, const sl_result *result, size_t *sent)
{
	ssize_t size = pipe_write(*fd, (const char *)result->input + *sent, result->input_size - *sent);

	if (size > 0)
		*sent += (size_t)size;
	if ((size < 0 && errno != EAGAIN && errno != EINTR) || *sent == result->input_size)
		fd_close(fd);
}

struct service {
	sl_sandbox *sandbox;
	int fds[3];
	size_t sent;
	bool ended;
	struct capture captures[3];
};

static int service_turn(struct service *service, const sl_result *result, bool *ready_any)
{
	int *fds = service->fds, r = 0;
	struct pollfd ready[4] = {{fds[IN], POLLOUT, 0},
	                          {fds[OUT], POLLIN, 0},
	                          {fds[ERR], POLLIN, 0},
	                          {service->ended ? -1 : sl_sandbox_fd(service->sandbox), POLLIN, 0}};
	int count = poll(ready, 4, service->ended ? 0 : -1);

	*ready_any = count != 0;
	if (count <= 0)
		return 0;
	if (ready[IN].revents != 0)
		input_write(&fds[IN], result, &service->sent);
	for (int i = OUT; r == 0 && i <= ERR; i++)
		if (ready[i].revents != 0)
			r = capture_read(&service->captures[i], &fds[i]);
	if (ready[3].revents != 0)
		service->ended = sl_wait(service->sandbox, 0, NULL, NULL) == 0;
	return r;
}

/* All of the input goes in, also to a command that has closed its outputs. When it has ended, what is in the pipes is read,
 * which is a mebibyte each at most; not what somebody writes to them whom it has handed them to. */
static int service_run(struct service *service, sl_result *result)
{
	enum { TURNS_BEHIND = 64 };
	bool ready = true;
	int r = 0;

	for (int i = OUT; r == 0 && i <= ERR; i++)
		r = capture_add(&service->captures[i], "", 0);
	for (int behind = 0; r == 0 && ready && behind < TURNS_BEHIND; behind += service->ended) {
		if (service->fds[IN] < 0 && service->fds[OUT] < 0 && service->fds[ERR] < 0)
			break;
		r = service_turn(service, result, &ready);
	}
	return r;
}

static int run_serve(sl_sandbox *sandbox, sl_result *result, sl_error *error)
{
	struct service service = {
		.sandbox = sandbox,
		.captures = {[OUT] = {&result->out, &result->out_size, 0, result->limit, &result->cut},
	                     [ERR] = {&result->err, &result->err_size, 0, result->limit, &result->cut}},
	};
	int r;

	for (int i = 0; i < 3; i++)
		service.fds[i] = sl_sandbox_stream(sandbox, i);
	if (service.fds[IN] >= 0)
		fcntl(service.fds[IN], F_SETFL, O_NONBLOCK); /* of this end only */
	r = service_run(&service, result);
	for (int i = 0; i < 3; i++)
		fd_close(&service.fds[i]);
	if (r < 0)
		return error_errno(error, r, "sl_run: keeping the output");
	return sl_wait(sandbox, -1, &result->status, error);
}

int sl_run(const sl_policy *policy, const char *const argv[], sl_result *result, sl_error *error)
{
	sl_stdio stdio = {.out = {SL_STREAM_PIPE, -1}, .err = {SL_STREAM_PIPE, -1}};
	sl_sandbox *sandbox;
	int r;

	if (result == NULL)
		return error_set(error, -EINVAL, "sl_run: no result given");
	result->out = result->err = NULL;
	result->out_size = result->err_size = 0;
	result->cut = 0;
	if (result->limit == 0)
		result->limit = LIMIT_DEFAULT;
	stdio.in.kind = result->input == NULL ? SL_STREAM_NULL : SL_STREAM_PIPE;
	if ((r = sl_spawn(policy, argv, &stdio, &sandbox, error)) < 0)
		return r;
	r = run_serve(sandbox, result, error);
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
