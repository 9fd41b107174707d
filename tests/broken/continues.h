/* A gate that is broken on purpose, for the controls of the race: it checks what the caller shows and then
 * lets the kernel carry the call out, on whatever the caller has made of it by then. */
#ifndef SL_TESTS_BROKEN_CONTINUES_H
#define SL_TESTS_BROKEN_CONTINUES_H

#include <stdbool.h>

/* Landlock's right to connect TCP is taken out of the plan too: nothing is left behind the gate. */
extern bool broken_without_landlock;

#endif
