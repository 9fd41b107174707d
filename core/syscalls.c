/* The system call table; its rows are syscalls.def. */
#include "core/syscalls.h"

#include <errno.h>
#include <string.h>

enum {
#define SLOT(name) SLOT_VALUE_##name = SLOT_##name,
#include "core/slots.def"
#undef SLOT
};

#define ROW_VALUE_ALLOW(value) (value)
#define ROW_VALUE_ERRNO(value) (value)
#define ROW_VALUE_SLOT(value)  (SLOT_VALUE_##value)

const struct syscall_row syscall_rows[] = {
#define SYSCALL(number, name, kind, value) {number, #name, SYSCALL_##kind, ROW_VALUE_##kind(value)},
#include "core/syscalls.def"
#undef SYSCALL
};

const size_t syscall_count = sizeof(syscall_rows) / sizeof(syscall_rows[0]);

const struct syscall_row *syscall_by_name(const char *name)
{
	for (size_t i = 0; i < syscall_count; i++)
		if (strcmp(syscall_rows[i].name, name) == 0)
			return &syscall_rows[i];
	return NULL;
}

const struct syscall_row *syscall_by_number(int number)
{
	for (size_t i = 0; i < syscall_count; i++)
		if (syscall_rows[i].number == number)
			return &syscall_rows[i];
	return NULL;
}

static const struct syscall_group {
	const char *name;
	enum slot slot;
} groups[] = {
	{"sysv_ipc", SLOT_SYSV_IPC},
	{"posix_mq", SLOT_POSIX_MQ},
};

int syscall_group_slot(const char *name, enum slot *slot)
{
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		if (strcmp(groups[i].name, name) == 0) {
			*slot = groups[i].slot;
			return 0;
		}
	}
	return -ENOENT;
}

const char *syscall_group_names(void)
{
	return "sysv_ipc, posix_mq";
}
