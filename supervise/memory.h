/* What a tree uses of the machine's memory, each page once, and whether that is too much. docs/processes.md draws it. */
#ifndef SL_SUPERVISE_MEMORY_H
#define SL_SUPERVISE_MEMORY_H

#include <stdint.h>

#include "core/plan.h"
#include "supervise/tree.h"

enum { TMPFS_MAX = 32 };

/* A file system in memory that the policy lets the tree write to. */
struct tmpfs {
	int fd;
	uint64_t device, used; /* in bytes, at the start */
};

struct memory {
	struct tree *tree;
	uint64_t limit;
	unsigned cpus;
	bool shared_blurs; /* there may be shared memory that nobody holds or maps: sysv_ipc */
	uint64_t
		floor; /* the least of all shared memory of the machine that was seen: what grew since may be ours */
	uint64_t shm_device; /* of memfd_create(2) */
	struct tmpfs tmpfs[TMPFS_MAX];
	unsigned tmpfs_count;
	uint64_t used; /* at the last look; an upper bound */
};

unsigned cpus_usable(void); /* by this process */

/* In the keeper, before it is locked in, and from the directory that the policy's paths are relative to. -errno. */
int memory_open(struct memory *memory, struct tree *tree, const struct plan *plan);
/* What of it is to stay open. */
unsigned memory_fds(const struct memory *memory, int *fds);

/* True: below `root` there is more in use than the limit, three times in a row. */
bool memory_exceeded(struct memory *memory, pid_t root);

/* tmpfs.c */
int tmpfs_open(struct memory *memory, const struct plan *plan);
uint64_t tmpfs_size(int fd); /* bytes in use */

#endif
