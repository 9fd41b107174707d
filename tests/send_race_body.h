/* One race of sends for two programs: attack_send plays it against the gate, attack_send_control against a gate
 * that was broken on purpose. What loses against the one must win against the other, or it tries nothing.
 *
 *     sender                                  writer (thread or process)
 *       sendto, sendmsg, sendmmsg   <------     flips the address, the header, the vectors, the control
 *       recvmsg, on both sinks                  data, the page under one of them, or the file behind
 *                                               the number, as fast as it can
 *
 * Everything that a call is pointed at lies in memory that is shared with the writer, a page for each kind.
 */
#ifndef SL_TESTS_SEND_RACE_BODY_H
#define SL_TESTS_SEND_RACE_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

enum send_by {
	BY_SENDTO,
	BY_SENDMSG,
	BY_SENDMMSG,
	BY_CONNECT, /* connect(2), and a send without an address */
	BY_BIND, /* bind(2): the ports of the sinks, at an address of its own. A stray is bound to the forbidden one */
};

enum send_writer {
	SEND_NONE,         /* nobody writes: for the storms */
	SEND_THREAD,       /* flips the bytes from a thread */
	SEND_PROCESS,      /* ... from another process, over MAP_SHARED */
	SEND_MAP_NAME,     /* munmap, mprotect and mmap of the address's page */
	SEND_MAP_HEADER,   /* ... of the header's; a header for either address */
	SEND_DISCARD_NAME, /* MADV_DONTNEED of a private page whose file holds the forbidden address */
	SEND_NUMBER,       /* dup2 over the number; the address is the forbidden one throughout */
};

enum send_flip {
	SEND_PORT,            /* the address bytes: another port */
	SEND_V4,              /* ... another address */
	SEND_V6,              /* ... ::1 and a mapped IPv4 address */
	SEND_POINTER,         /* msg_name: from one address to the other */
	SEND_NAME,            /* msg_name: none or forbidden; the socket is connected to the allowed one */
	SEND_NAMELEN,         /* msg_namelen: likewise */
	SEND_VECTORS,         /* msg_iov and msg_iovlen */
	SEND_LENGTHS,         /* iov_len */
	SEND_CONTROL,         /* the control bytes: a harmless message, and one that must not pass */
	SEND_CONTROL_POINTER, /* msg_control and msg_controllen: likewise */
	SEND_FOREIGN, /* iov_base: bytes that the sinks must know for foreign; wins wherever it is played */
};

struct send_case {
	const char *name;
	enum send_by by;
	enum send_writer writer;
	enum send_flip flip;
	int storm; /* SIGALRM at 1 kHz: 0 none, else its sa_flags | SEND_STORM */
};
enum { SEND_STORM = 1 };

struct send_score {
	long attempts;
	long sent;    /* datagrams that a call said it sent */
	long refused; /* EACCES, EPERM */
	long faults;  /* EFAULT */
	long misfits; /* EINVAL, EMSGSIZE, ENOBUFS, EDESTADDRREQ, ENOTSOCK, ...: what the flipped values earn */
	long interrupted;
	long other;
	int other_error; /* one of them */
	long arrived;    /* at the allowed sink */
	long strays;     /* at the forbidden one */
	long optioned;   /* arrived with IP options, which the control message that must not pass sets */
	long foreign;    /* arrived with a byte, or of a size, that the sender has not got */
	long doubled;    /* arrived twice, or after a call that said it was not sent */
	long lost;       /* said to be sent, and never arrived */
	long wins;       /* strays, optioned and foreign */
	bool alive;      /* afterwards the allowed address was still reached, and the other still refused */
};

enum send_confined { SEND_BARE, SEND_CONFINED };

/* Forks, confines by a policy that names one address, plays for `seconds` (longer until all that can happen has, as sending
 * and refusing) or until the first win. Fails the test when it could not be played. */
struct send_score send_play(const struct send_case *race, enum send_confined confined, double seconds,
                            bool until_won);

#endif
