/* What the library itself may ask of sl_sandbox beyond sluice.h. */
#ifndef SL_SUPERVISE_SANDBOX_H
#define SL_SUPERVISE_SANDBOX_H

#include "supervise/command.h"

/* As sl_create(), but the command is a function of the app's: command.h. */
int sandbox_create_body(const sl_policy *policy, const struct body *body, const sl_stdio *stdio,
                        sl_sandbox **sandbox, sl_error *error);

/* wait(2)'s word. The reason is left alone. */
void status_of_wait(sl_status *status, int value);

#endif
