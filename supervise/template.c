/* sl_template: made, told apart from what it should not be, and freed. clones.c is what it is for; template_child.c what
 * runs inside. */
#include "supervise/template.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/error.h"
#include "core/fd.h"
#include "supervise/capture.h"
#include "supervise/sandbox.h"

enum { DYING_MS = 2000 };

/* No control buffer: descriptors that come along are dropped by the kernel. */
int template_hear(int control, struct template_report *report, int flags)
{
	char more[sizeof(*report) + 1];
	ssize_t size;

	while ((size = recv(control, more, sizeof(more), flags)) < 0 && errno == EINTR)
		;
	if (size < 0)
		return errno == EAGAIN ? -EAGAIN : -EPIPE;
	if (size == 0)
		return -EPIPE;
	if (size != sizeof(*report))
		return -EPROTO;
	memcpy(report, more, sizeof(*report));
	return 0;
}

/* It closed its end: it ends, or is no template any more. */
static int init_died(const sl_template *template, sl_error *error)
{
	sl_status status;

	if (sl_wait(template->sandbox, DYING_MS, &status, NULL) < 0)
		return error_set(error, -EPROTO, "the template's init() closed what it was not given");
	if (status.reason == SL_REASON_TIMEOUT)
		return error_set(error, -ETIMEDOUT, "the policy's timeout was over in the template's init()");
	if (status.signal != 0)
		return error_set(error, -ECHILD, "the template's init(): %s", strsignal(status.signal));
	return error_set(error, -ECHILD, "the template's init() ended its process, with status %d",
	                 status.code);
}

static int ready_await(const sl_template *template, int timeout_ms, sl_error *error)
{
	struct pollfd heard = {.fd = template->control, .events = POLLIN};
	int64_t end = deadline_ms(timeout_ms);
	struct template_report report;
	int r;

	while ((r = poll(&heard, 1, deadline_left(end))) < 0 && errno == EINTR)
		;
	if (r == 0)
		return error_set(error, -ETIMEDOUT, "the template's init() has not returned after %d ms",
		                 timeout_ms);
	if ((r = template_hear(template->control, &report, MSG_DONTWAIT)) == -EPIPE)
		return init_died(template, error);
	if (r < 0 || report.event != TEMPLATE_READY)
		return error_set(error, -EPROTO, "the template does not say what a template says");
	if (report.value != 0)
		return error_set(error, -ECANCELED, "the template's init() returned %d", report.value);
	return 0;
}

static int template_make(sl_template *template, const sl_policy *policy, const sl_work *work,
                         const sl_stdio *stdio, sl_error *error)
{
	static const sl_stdio quiet = {.in = {SL_STREAM_NULL, -1}};
	struct body body = {.run = template_main, .context = (void *)work};
	cleanup_fd int theirs = -1;
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return error_errno(error, -errno, "socketpair");
	template->control = pair[0];
	body.control = theirs = pair[1];
	r = sandbox_create_body(policy, &body, stdio == NULL ? &quiet : stdio, &template->sandbox, error);
	return r < 0 ? r : sl_start(template->sandbox, error);
}

int sl_template_create(const sl_policy *policy, const sl_work *work, const sl_stdio *stdio, int timeout_ms,
                       sl_template **made, sl_error *error)
{
	sl_template *template;
	int r;

	if (policy == NULL || work == NULL || work->work == NULL || made == NULL)
		return error_set(error, -EINVAL, "sl_template_create: no %s given",
		                 policy == NULL ? "policy"
		                 : made == NULL ? "place for the template"
		                                : "work()");
	*made = NULL;
	if ((template = calloc(1, sizeof(*template))) == NULL)
		return error_errno(error, -ENOMEM, "sl_template_create");
	template->control = -1;
	if ((r = template_make(template, policy, work, stdio, error)) < 0 ||
	    (r = ready_await(template, timeout_ms, error)) < 0) {
		sl_template_free(template);
		return r;
	}
	*made = template;
	return 0;
}

sl_sandbox *sl_template_sandbox(const sl_template *template_)
{
	return template_->sandbox;
}

void sl_template_free(sl_template *template_)
{
	if (template_ == NULL)
		return;
	sl_sandbox_free(template_->sandbox);
	fd_close(&template_->control);
	free(template_);
}

static int outputs_join(const sl_clone *clones, unsigned count, char **joined, size_t *size)
{
	size_t total = 0, at = 0;

	for (unsigned i = 0; i < count; i++)
		if (__builtin_add_overflow(total, clones[i].out_size, &total))
			return -ENOMEM;
	if ((*joined = malloc(total + 1)) == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < count; i++) {
		if (clones[i].out_size > 0)
			memcpy(*joined + at, clones[i].out, clones[i].out_size);
		at += clones[i].out_size;
	}
	*size = total;
	return 0;
}

int sl_reduce(const sl_policy *policy, const char *const argv[], const sl_clone *clones, unsigned count,
              sl_result *result, sl_error *error)
{
	cleanup_free char *joined = NULL;
	int r;

	if (result == NULL || (clones == NULL && count > 0))
		return error_set(error, -EINVAL, "sl_reduce: no %s given",
		                 result == NULL ? "result" : "clones");
	if ((r = outputs_join(clones, count, &joined, &result->input_size)) < 0)
		return error_errno(error, r, "sl_reduce");
	result->input = joined;
	r = sl_run(policy, argv, result, error);
	result->input = NULL;
	result->input_size = 0;
	return r;
}
