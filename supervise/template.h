/* Between an app and its template: one SOCK_SEQPACKET socket.
 *
 *     app                                            template
 *       <------------------------- READY, init()'s value
 *       order: index, and the write end of a pipe -->            forks a clone with it as its stdout
 *       <------------------------- ENDED, index, wait(2)'s word
 *
 * One order a clone, so that a clone inherits no pipe but its own. At most TEMPLATE_WINDOW clones are ordered and not
 * reported. No pid is told: all that is known of a clone is what confined code says, and the app must not be led to signal
 * by that. The template is confined, and everything it sends is taken for what an enemy sends.
 */
#ifndef SL_SUPERVISE_TEMPLATE_H
#define SL_SUPERVISE_TEMPLATE_H

#include <stdint.h>

#include "sluice.h"

enum { TEMPLATE_WINDOW = 256 };

struct template_order {
	uint32_t index;
};

enum template_event {
	TEMPLATE_READY,   /* value: init()'s */
	TEMPLATE_ENDED,   /* value: of wait(2) */
	TEMPLATE_REFUSED, /* value: -errno of fork(2) */
};
struct template_report {
	uint32_t event, index;
	int32_t value;
};

struct sl_template {
	sl_sandbox *sandbox;
	int control;
	int broken; /* negative errno, once it was */
};

/* The template's main function; `context` is the app's sl_work. */
void template_main(void *context, int control) __attribute__((noreturn));

/* One report of the right size, waiting for it with MSG_DONTWAIT in `flags` or not. -EAGAIN; -EPIPE at end of file; -EPROTO. */
int template_hear(int control, struct template_report *report, int flags);

#endif
