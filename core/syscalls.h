/* The system call table: names, numbers, and what the filter says to each. */
#ifndef SL_CORE_SYSCALLS_H
#define SL_CORE_SYSCALLS_H

#include <stdbool.h>
#include <stddef.h>

enum slot {
#define SLOT(name) SLOT_##name,
#include "core/slots.def"
#undef SLOT
	SLOT_COUNT,
};

enum syscall_kind { SYSCALL_ALLOW, SYSCALL_ERRNO, SYSCALL_SLOT };

struct syscall_row {
	int number;
	const char *name;
	enum syscall_kind kind;
	int value; /* errno or enum slot */
};

extern const struct syscall_row syscall_rows[];
extern const size_t syscall_count;

/* NULL when there is none. */
const struct syscall_row *syscall_by_name(const char *name);
const struct syscall_row *syscall_by_number(int number);

/* Groups of calls that allow-syscalls opens: each is one slot. -ENOENT. */
int syscall_group_slot(const char *name, enum slot *slot);
const char *syscall_group_names(void); /* "sysv_ipc, posix_mq" */

#endif
