/* What the tests of sandboxes share. The command in a sandbox is the test program itself, called with the name of a
 * command and one argument; test and command have a page of memory in common, which is descriptor 9 in there.
 */
#ifndef SL_TESTS_BOXES_H
#define SL_TESTS_BOXES_H

#include <stdatomic.h>

#include "tests/common/common.h"

/* A policy that needs no supervisor, and one that does. */
enum way { PLAIN, GATE, WAYS };

enum { BOX_SHARED = 9, COUNTERS = 512 };

/* Words of the page. */
enum {
	READY = 0,  /* the command has come so far */
	GO = 1,     /* the test's answer */
	RESULT = 2, /* a word of its own */
};

struct shared {
	_Atomic uint64_t counters[COUNTERS]; /* each is moved by one process or thread while it runs */
	_Atomic int words[COUNTERS];         /* what commands tell */
	_Atomic int pids[COUNTERS];          /* of who moves the counter of the same number */
};
extern struct shared *shared;
extern uint16_t box_port; /* on loopback: granted by GATE, and served */

struct box_command {
	const char *name;
	int (*run)(const char *argument);
};

/* In main(): runs the command that argv names and never returns, or returns where it names none. */
void box_commands(const struct box_command *commands, size_t count, int argc, char *argv[]);

/* Set-up and tear-down of the group: the page, the server behind box_port. */
int boxes_open(void **state);
int boxes_close(void **state);
pid_t box_server(void); /* that child of the test's */
int box_page(void);     /* the descriptor of the page */
void box_reset(void);   /* the page is zero again */

/* `more` is key, value, ..., NULL, or NULL. The caller's to free. */
sl_policy *box_policy(enum way way, const char *const more[]);

/* argv of this program's own command; static, until the next call of the same thread. */
const char *const *box_argv(const char *name, const char *argument);

/* As sl_create() and sl_spawn() with the page as an extra descriptor and the streams of `stdio` (NULL: inherited); they
 * fail the test where the call fails. */
sl_sandbox *box_create(enum way way, const char *name, const char *argument, const sl_stdio *stdio);
sl_sandbox *box_spawn(enum way way, const char *name, const char *argument, const sl_stdio *stdio);
sl_sandbox *box_spawn_with(const sl_policy *policy, const char *name, const char *argument,
                           const sl_stdio *stdio);

/* A word has become `value`, within ten seconds. */
bool word_becomes(int word, int value);
bool word_leaves(int word, int value);

/* So many counters from the first on move; at least one of them has moved since, within `milliseconds`. */
bool counters_all_move(int count);
bool counters_any_moves(int count, int milliseconds);

/* The wait status of this sandbox, as a shell says it; -1 when it has not ended within ten seconds. */
int box_status(sl_sandbox *sandbox);

/* No process of those in `pids` is there any more, and this one has no child but the server, within twenty seconds. */
bool box_nothing_left(int count);
void box_leftovers_kill(void);

/* In a command: something that counts for ever. */
void count_endlessly(int counter) __attribute__((noreturn));

/* A command: whatever a tree may hold. A child, one in a session of its own, an orphan in one, a thread, a vfork(2) child
 * with a waiting parent. FAMILY counters, and READY. */
enum { FAMILY = 6 };
int box_family(const char *argument);

#endif
