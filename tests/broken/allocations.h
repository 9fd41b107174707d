/* The allocations of the code under test, and of what is linked into it, come through here: the n-th of them fails. */
#ifndef SL_TESTS_ALLOCATIONS_H
#define SL_TESTS_ALLOCATIONS_H

extern unsigned allocations_left; /* 0: none fails */

#endif
