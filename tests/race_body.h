/* One race for two programs: attack_race plays it against the gate, attack_race_control against a gate that
 * was broken on purpose. What loses against the one must win against the other, or it tries nothing.
 *
 *     connecting thread                    writer (thread or process)
 *       connect(number, address)  <------    flips the address, the page under it, or the file
 *       accept, on both listeners            behind the number, as fast as it can
 */
#ifndef SL_TESTS_RACE_BODY_H
#define SL_TESTS_RACE_BODY_H

#include <stdbool.h>
#include <sys/socket.h>

enum race_writer {
	WRITER_THREAD,  /* flips the bytes from a thread */
	WRITER_PROCESS, /* ... from another process, over MAP_SHARED: freezing threads would not help */
	WRITER_MAPPING, /* munmap, mprotect and mmap of the page */
	WRITER_NUMBER,  /* dup2 over the number; the address is the forbidden one throughout */
	WRITER_UDP, /* dup2 of an inherited UDP socket; the address is allowed, to TCP. A win connects UDP */
};

enum race_flip { FLIP_PORT, FLIP_V4, FLIP_V6 };

struct race_case {
	const char *name;
	enum race_writer writer;
	enum race_flip flip;
	bool nonblocking;
	int storm; /* SIGALRM at 1 kHz: 0 none, else its sa_flags | RACE_STORM */
};
enum { RACE_STORM = 1 };

struct race_score {
	long attempts;
	long connected; /* connect said so, or EINPROGRESS where that is its yes */
	long refused;   /* EACCES */
	long faults;    /* EFAULT */
	long interrupted;
	long other;
	int other_error;  /* one of them */
	long accepted;    /* at the allowed listener */
	long established; /* connections that the connecting side saw come up */
	long wins;        /* at the forbidden one */
	bool alive;       /* afterwards the allowed port was still reached, and the other still refused */
};

/* Forks, confines by a policy that names one address, plays for `seconds` or until the first win. Fails the
 * test when it could not be played. */
struct race_score race_play(const struct race_case *race, double seconds, bool until_won);

void race_print(const struct race_case *race, const struct race_score *score);

#endif
