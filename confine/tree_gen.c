/* Build tool: the filter's decision tree by system call number, as a C array.
 *
 * libseccomp makes a balanced tree and knows the foreign ABIs, and takes two milliseconds for a table of this
 * size: more than all else that starting a confined program costs. The tree depends on syscalls.def alone, so
 * it is made here once. It holds what is not simply allowed; where arguments or the policy decide, it returns
 * SECCOMP_RET_TRACE with the slot's number, and for all other numbers with SLOT_COUNT: filter.c puts code in the
 * places of those returns. Each instruction less is a fifth of a microsecond less when the filter is loaded.
 */
#include <errno.h>
#include <linux/filter.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/syscalls.h"

static uint32_t row_action(const struct syscall_row *row)
{
	switch (row->kind) {
	case SYSCALL_ALLOW:
		break;
	case SYSCALL_ERRNO:
		return SCMP_ACT_ERRNO((uint32_t)row->value);
	case SYSCALL_SLOT:
		return SCMP_ACT_TRACE((uint32_t)row->value);
	}
	abort();
}

static int rows_add(scmp_filter_ctx filter)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < syscall_count; i++) {
		if (syscall_rows[i].kind == SYSCALL_ALLOW)
			continue;
		r = seccomp_rule_add_exact(filter, row_action(&syscall_rows[i]), syscall_rows[i].number, 0);
	}
	return r;
}

static int program_print(int memory)
{
	struct sock_filter instruction;
	ssize_t n;

	lseek(memory, 0, SEEK_SET);
	while ((n = read(memory, &instruction, sizeof(instruction))) == sizeof(instruction))
		printf("{%#x, %u, %u, %#x},\n", instruction.code, instruction.jt, instruction.jf,
		       instruction.k);
	return n == 0 ? 0 : -1;
}

int main(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_TRACE(SLOT_COUNT));
	int memory = memfd_create("tree", MFD_CLOEXEC);

	if (filter == NULL || memory < 0 ||
	    seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) < 0 ||
	    seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2) < 0 || rows_add(filter) < 0 ||
	    seccomp_export_bpf(filter, memory) < 0 || program_print(memory) < 0) {
		fputs("tree_gen: libseccomp could not make the tree\n", stderr);
		return EXIT_FAILURE;
	}
	seccomp_release(filter);
	return EXIT_SUCCESS;
}
