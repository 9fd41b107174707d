/* sl_template_fork(): clones are ordered, what they write is read, what is said of them is checked. At no time are there more
 * than a window's worth of pipes, and nothing is allocated by a number that the template said. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/error.h"
#include "core/fd.h"
#include "supervise/capture.h"
#include "supervise/sandbox.h"
#include "supervise/template.h"

enum { NOBODY = -1, PIECE = 65536 };

/* One that was ordered and is not reported yet. */
struct slot {
	int64_t index; /* NOBODY: free */
	int output;    /* -1: closed by the clone */
	struct capture capture;
};

struct batch {
	sl_template *template;
	sl_clone *clones;
	unsigned count, next, done, running;
	size_t limit;
	int64_t end;
	bool full; /* the socket takes no order now */
	struct slot slots[TEMPLATE_WINDOW];
};

/* ---- orders ---- */

/* 0; -EAGAIN: later. */
static int order_send(const struct batch *batch, uint32_t index, int output)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct template_order order = {index};
	struct iovec iov = {&order, sizeof(order)};
	struct msghdr message = {.msg_iov = &iov,
	                         .msg_iovlen = 1,
	                         .msg_control = control.bytes,
	                         .msg_controllen = sizeof(control.bytes)};
	struct cmsghdr *rights = CMSG_FIRSTHDR(&message);

	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(rights), &output, sizeof(int));
	while (sendmsg(batch->template->control, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		if (errno != EINTR)
			return errno == ECONNRESET ? -EPIPE : -errno;
	return 0;
}

static bool is_shortage(int r)
{
	return r == -EMFILE || r == -ENFILE || r == -ETOOMANYREFS;
}

static int slot_order(struct batch *batch, struct slot *slot)
{
	sl_clone *clone = &batch->clones[batch->next];
	cleanup_fd int output = -1, theirs = -1;
	int pair[2], r;

	if (pipe2(pair, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	output = pair[0];
	theirs = pair[1];
	/* The clone's end is as a program expects it: of the two descriptions only ours is without waiting. */
	if (fcntl(theirs, F_SETFL, 0) < 0)
		return -errno;
	if ((r = order_send(batch, batch->next, theirs)) < 0)
		return r;
	*slot = (struct slot){.index = batch->next,
	                      .output = fd_steal(&output),
	                      .capture = {&clone->out, &clone->out_size, 0, batch->limit, &clone->cut}};
	batch->next++;
	batch->running++;
	return capture_add(&slot->capture, "", 0);
}

/* As many as there is room for. Where descriptors are short those that run will give theirs back. */
static int clones_order(struct batch *batch)
{
	batch->full = false;
	for (size_t i = 0; i < TEMPLATE_WINDOW && batch->next < batch->count; i++) {
		int r;

		if (batch->slots[i].index != NOBODY)
			continue;
		r = slot_order(batch, &batch->slots[i]);
		if (r == -EAGAIN)
			batch->full = true;
		if (r == -EAGAIN || (is_shortage(r) && batch->running > 0))
			return 0;
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- reports ---- */

/* What its clone wrote before its end is in the pipe by now. What it left behind may write for ever: no more than is
 * there at this moment. */
static int slot_drain(struct slot *slot)
{
	char piece[PIECE];
	int left = 0, r = 0;

	if (slot->output < 0 || ioctl(slot->output, FIONREAD, &left) < 0)
		return 0;
	while (r == 0 && left > 0) {
		ssize_t size = read(slot->output, piece,
		                    (size_t)left < sizeof(piece) ? (size_t)left : sizeof(piece));

		if (size < 0 && errno == EINTR)
			continue;
		if (size <= 0)
			break;
		left -= (int)size;
		r = capture_add(&slot->capture, piece, (size_t)size);
	}
	fd_close(&slot->output);
	return r;
}

static struct slot *slot_find(struct batch *batch, uint32_t index)
{
	for (size_t i = 0; i < TEMPLATE_WINDOW; i++)
		if (batch->slots[i].index == (int64_t)index)
			return &batch->slots[i];
	return NULL;
}

static bool report_is_one(const struct template_report *report)
{
	return report->event == TEMPLATE_ENDED || (report->event == TEMPLATE_REFUSED && report->value < 0);
}

static int report_take(struct batch *batch, const struct template_report *report)
{
	struct slot *slot = slot_find(batch, report->index);
	sl_clone *clone;

	if (slot == NULL || !report_is_one(report))
		return -EPROTO;
	clone = &batch->clones[slot->index];
	if (report->event == TEMPLATE_ENDED) {
		clone->status = (sl_status){.reason = SL_REASON_NONE};
		status_of_wait(&clone->status, report->value);
	} else {
		clone->failure = report->value;
	}
	slot->index = NOBODY;
	batch->running--;
	batch->done++;
	return slot_drain(slot);
}

/* Each report that is taken frees a slot, so that there are no more than those. */
static int reports_take(struct batch *batch)
{
	struct template_report report;
	int r;

	while ((r = template_hear(batch->template->control, &report, MSG_DONTWAIT)) == 0)
		if ((r = report_take(batch, &report)) < 0)
			return r;
	return r == -EAGAIN ? 0 : r;
}

/* ---- the loop ---- */

/* No more than are open: poll(2) refuses what is beyond RLIMIT_NOFILE. The control socket is the last. */
static size_t batch_watch(const struct batch *batch, struct pollfd *watched, unsigned short *slots)
{
	size_t count = 0;

	for (unsigned short i = 0; i < TEMPLATE_WINDOW; i++) {
		if (batch->slots[i].index == NOBODY || batch->slots[i].output < 0)
			continue;
		slots[count] = i;
		watched[count++] = (struct pollfd){batch->slots[i].output, POLLIN, 0};
	}
	watched[count] =
		(struct pollfd){batch->template->control, (short)(POLLIN | (batch->full ? POLLOUT : 0)), 0};
	return count;
}

/* Outputs first: a report drains what is left of one. */
static int batch_turn(struct batch *batch)
{
	struct pollfd watched[TEMPLATE_WINDOW + 1];
	unsigned short slots[TEMPLATE_WINDOW];
	size_t count = batch_watch(batch, watched, slots);
	int r = 0;

	if (batch->end >= 0 && deadline_left(batch->end) == 0)
		return -ETIMEDOUT;
	if (poll(watched, count + 1, deadline_left(batch->end)) < 0)
		return errno == EINTR ? 0 : -errno;
	for (size_t i = 0; r == 0 && i < count; i++)
		if (watched[i].revents != 0)
			r = capture_read(&batch->slots[slots[i]].capture, &batch->slots[slots[i]].output);
	return r == 0 && watched[count].revents != 0 ? reports_take(batch) : r;
}

static int batch_run(struct batch *batch)
{
	int r = 0;

	while (r == 0 && batch->done < batch->count) {
		r = clones_order(batch);
		if (r == 0)
			r = batch_turn(batch);
	}
	return r;
}

static void batch_open(struct batch *batch, sl_clone *clones, unsigned count)
{
	for (size_t i = 0; i < TEMPLATE_WINDOW; i++)
		batch->slots[i] = (struct slot){.index = NOBODY, .output = -1};
	for (unsigned i = 0; i < count; i++)
		clones[i] = (sl_clone){.status = {.code = 125, .reason = SL_REASON_FAILED}};
}

static void batch_close(struct batch *batch, int r)
{
	for (size_t i = 0; i < TEMPLATE_WINDOW; i++) {
		struct slot *slot = &batch->slots[i];

		fd_close(&slot->output);
		if (slot->index == NOBODY)
			continue;
		batch->clones[slot->index].status = (sl_status){
			.code = -1,
			.signal = SIGKILL,
			.reason = r == -ETIMEDOUT ? SL_REASON_TIMEOUT : SL_REASON_KILLED,
		};
	}
}

/* Its sandbox may be another thread's now, and is left alone: the keeper does the rest. */
static int template_break(sl_template *template, int r, sl_error *error)
{
	template->broken = r == -EPIPE ? -ECHILD : r;
	fd_close(&template->control);
	syscall(SYS_pidfd_send_signal, sl_sandbox_pidfd(template->sandbox), SIGKILL, NULL, 0);
	switch (r) {
	case -EPIPE:
		return error_set(error, -ECHILD,
		                 "the template has ended; sl_wait() on its sandbox tells how");
	case -EPROTO:
		return error_set(error, r, "the template does not say what a template says");
	case -ETIMEDOUT:
		return error_set(error, r, "the time for the clones is over");
	default:
		return error_errno(error, r, "sl_template_fork");
	}
}

int sl_template_fork(sl_template *template_, unsigned count, size_t limit, int timeout_ms, sl_clone *clones,
                     sl_error *error)
{
	struct batch batch = {.template = template_,
	                      .clones = clones,
	                      .count = count,
	                      .limit = limit == 0 ? CAPTURE_LIMIT_DEFAULT : limit,
	                      .end = deadline_ms(timeout_ms)};
	int r;

	if (template_ == NULL || (clones == NULL && count > 0))
		return error_set(error, -EINVAL, "sl_template_fork: no %s given",
		                 template_ == NULL ? "template" : "room for the clones");
	batch_open(&batch, clones, count);
	if (template_->broken != 0)
		return error_set(error, -ECHILD, "the template has ended in an earlier call");
	r = batch_run(&batch);
	batch_close(&batch, r);
	return r < 0 ? template_break(template_, r, error) : 0;
}

void sl_clones_clear(sl_clone *clones, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		free(clones[i].out);
		clones[i].out = NULL;
		clones[i].out_size = 0;
	}
}
