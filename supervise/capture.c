/* capture.h says what for. */
#include "supervise/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fd.h"

enum { PIECE = 65536, IN = 0, OUT = 1, ERR = 2 };

/* By doubling up to the limit, and a NUL behind. */
static int capture_grow(struct capture *capture, size_t more)
{
	size_t need = *capture->size + more + 1, room = capture->room;
	char *text;

	while (room < need)
		room = room == 0 ? 64 : room * 2;
	if (room == capture->room)
		return 0;
	if ((text = realloc(*capture->text, room)) == NULL)
		return -ENOMEM;
	*capture->text = text;
	capture->room = room;
	return 0;
}

int capture_add(struct capture *capture, const char *piece, size_t size)
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
int capture_read(struct capture *capture, int *fd)
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

int input_open(int *ours, int *theirs)
{
	int pair[2];

	if (pipe2(pair, O_CLOEXEC) < 0)
		return -errno;
	*theirs = pair[0];
	*ours = pair[1];
	return fcntl(pair[1], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
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

/* As much as goes now; closes *fd when all has gone, or nobody reads. */
static void input_write(int *fd, const sl_result *result, size_t *sent)
{
	ssize_t size = pipe_write(*fd, (const char *)result->input + *sent, result->input_size - *sent);

	if (size > 0)
		*sent += (size_t)size;
	if ((size < 0 && errno != EAGAIN && errno != EINTR) || *sent == result->input_size)
		fd_close(fd);
}

void result_begin(sl_result *result)
{
	result->out = result->err = NULL;
	result->out_size = result->err_size = 0;
	result->cut = 0;
	result->status = (sl_status){.code = 0};
	if (result->limit == 0)
		result->limit = CAPTURE_LIMIT_DEFAULT;
}

int streams_open(struct streams *streams, sl_result *result)
{
	int r;

	*streams = (struct streams){
		.fds = {-1, -1, -1},
		.captures = {
			[OUT] = {&result->out, &result->out_size, 0, result->limit, &result->cut},
			[ERR] = {&result->err, &result->err_size, 0, result->limit, &result->cut},
		}};
	if ((r = capture_add(&streams->captures[OUT], "", 0)) < 0)
		return r;
	return capture_add(&streams->captures[ERR], "", 0);
}

static bool streams_are_open(const struct streams *streams)
{
	return streams->fds[IN] >= 0 || streams->fds[OUT] >= 0 || streams->fds[ERR] >= 0;
}

static int end_fd(const struct streams *streams)
{
	return streams->sandbox == NULL || streams->ended ? -1 : sl_sandbox_fd(streams->sandbox);
}

/* *busy: something was to be done. */
static int streams_turn(struct streams *streams, const sl_result *result, int wait, bool *busy)
{
	int *fds = streams->fds, r = 0;
	struct pollfd ready[4] = {{fds[IN], POLLOUT, 0},
	                          {fds[OUT], POLLIN, 0},
	                          {fds[ERR], POLLIN, 0},
	                          {end_fd(streams), POLLIN, 0}};

	*busy = poll(ready, 4, streams->ended ? 0 : wait) > 0;
	if (!*busy)
		return 0;
	if (ready[IN].revents != 0)
		input_write(&fds[IN], result, &streams->sent);
	for (int i = OUT; r == 0 && i <= ERR; i++)
		if (ready[i].revents != 0)
			r = capture_read(&streams->captures[i], &fds[i]);
	if (ready[3].revents != 0)
		streams->ended = sl_wait(streams->sandbox, 0, NULL, NULL) == 0;
	return r;
}

int streams_serve(struct streams *streams, const sl_result *result, int64_t end)
{
	enum { TURNS_BEHIND = 64 }; /* a pipe holds a mebibyte at most */
	bool busy = true;
	int r = 0;

	for (int behind = 0; r == 0 && streams_are_open(streams) && behind < TURNS_BEHIND;) {
		/* The clock is asked each time: an output that never pauses must not outrun it. */
		if (end >= 0 && deadline_left(end) == 0)
			return -ETIMEDOUT;
		r = streams_turn(streams, result, deadline_left(end), &busy);
		if (streams->ended && !busy)
			break;
		behind += streams->ended;
	}
	return r;
}

void streams_close(struct streams *streams)
{
	for (int i = 0; i < 3; i++)
		fd_close(&streams->fds[i]);
}

int64_t deadline_ms(int timeout_ms)
{
	return timeout_ms < 0 ? -1 : clock_ms() + timeout_ms;
}

int deadline_left(int64_t end)
{
	int64_t left = end < 0 ? -1 : end - clock_ms();

	return end < 0 ? -1 : left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}
