/* The seccomp filter: the tree by number (made at build time, tree_gen.c), with the plan's argument checks in
 * the place of the tree's slots.
 *
 *     deny-syscall numbers    (if any)
 *     tree: foreign ABI, number -> errno | jump to a block
 *     one block a slot
 *     one block for all other numbers: known -> allow, else ENOSYS
 *
 * The kernel finds the numbers whose answer is always "allow" when the filter is loaded, and runs no code for
 * them: seccomp_cache_prepare() follows exactly the kinds of instructions used here.
 */
#include <errno.h>
#include <linux/audit.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "confine/confine.h"

static const struct sock_filter tree[] = {
#include "tree.inc"
};

enum {
	TREE_SIZE = sizeof(tree) / sizeof(tree[0]),
	PROGRAM_MAX = 4096, /* BPF_MAXINSNS */
};

struct assembler {
	struct sock_filter *code;
	size_t count;
	pid_t gate;
};

/* Counted past the end too, and looked at once when all is written. */
static void emit(struct assembler *to, uint16_t code, uint32_t k, uint8_t jt, uint8_t jf)
{
	if (to->count < PROGRAM_MAX)
		to->code[to->count] = (struct sock_filter){.code = code, .jt = jt, .jf = jf, .k = k};
	to->count++;
}

static uint32_t answer_value(struct answer answer)
{
	switch (answer.kind) {
	case ANSWER_ALLOW:
		return SECCOMP_RET_ALLOW;
	case ANSWER_NOTIFY:
		return SECCOMP_RET_USER_NOTIF;
	case ANSWER_ERRNO:
		return SECCOMP_RET_ERRNO | ((uint32_t)answer.error & SECCOMP_RET_DATA);
	}
	return SECCOMP_RET_KILL_PROCESS;
}

static void emit_answer(struct assembler *to, struct answer answer)
{
	emit(to, BPF_RET | BPF_K, answer_value(answer), 0, 0);
}

static uint32_t argument_offset(unsigned arg)
{
	/* Little-endian: the low half comes first. */
	return (uint32_t)(offsetof(struct seccomp_data, args) + arg * sizeof(uint64_t));
}

/* Instructions that a test takes; emit_test() needs to know where the rule ends. */
static unsigned test_length(const struct arg_test *test)
{
	if (test->compare == ARG_POINTER)
		return 4;
	return test->compare != ARG_IS_GATE && test->mask == UINT32_MAX ? 2 : 3;
}

/* Falls through when the test holds, jumps `away` instructions beyond its own end when not. */
static void emit_test(struct assembler *to, const struct arg_test *test, uint8_t away)
{
	uint32_t low = argument_offset(test->arg);

	emit(to, BPF_LD | BPF_W | BPF_ABS, low, 0, 0);
	if (test->compare == ARG_POINTER) {
		emit(to, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 2);
		emit(to, BPF_LD | BPF_W | BPF_ABS, low + 4, 0, 0);
		emit(to, BPF_JMP | BPF_JEQ | BPF_K, 0, away, 0);
		return;
	}
	if (test->compare == ARG_IS_GATE) {
		emit(to, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)to->gate, 1, 0);
		emit(to, BPF_JMP | BPF_JEQ | BPF_K, KEEPER_LATER, 0, away);
		return;
	}
	if (test->mask != UINT32_MAX)
		emit(to, BPF_ALU | BPF_AND | BPF_K, test->mask, 0, 0);
	switch (test->compare) {
	case ARG_EQ:
		emit(to, BPF_JMP | BPF_JEQ | BPF_K, test->value, 0, away);
		return;
	case ARG_NE:
		emit(to, BPF_JMP | BPF_JEQ | BPF_K, test->value, away, 0);
		return;
	case ARG_ANY:
		emit(to, BPF_JMP | BPF_JEQ | BPF_K, 0, away, 0);
		return;
	case ARG_POINTER:
	case ARG_IS_GATE:
		return;
	}
}

static void emit_rule(struct assembler *to, const struct arg_rule *rule)
{
	unsigned left = 1; /* the answer */

	for (unsigned i = 0; i < rule->count; i++)
		left += test_length(&rule->tests[i]);
	for (unsigned i = 0; i < rule->count; i++) {
		left -= test_length(&rule->tests[i]);
		emit_test(to, &rule->tests[i], (uint8_t)left);
	}
	emit_answer(to, rule->answer);
}

static void emit_rules(struct assembler *to, const struct arg_rule *rules, size_t count,
                       struct answer otherwise)
{
	for (size_t i = 0; i < count; i++)
		emit_rule(to, &rules[i]);
	emit_answer(to, otherwise);
}

/* Numbers mean other calls there: a foreign ABI is an attack, whatever it calls. */
static void emit_native_only(struct assembler *to)
{
	emit(to, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch), 0, 0);
	emit(to, BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
	emit(to, BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS, 0, 0);
}

static void emit_denied(struct assembler *to, const struct plan *plan)
{
	if (plan->denied_count == 0)
		return;
	emit_native_only(to);
	emit(to, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
	for (size_t i = 0; i < plan->denied_count; i++) {
		emit(to, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)plan->denied[i], 0, 1);
		emit(to, BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM, 0, 0);
	}
}

static bool is_slot(const struct sock_filter *instruction)
{
	return instruction->code == (BPF_RET | BPF_K) &&
	       (instruction->k & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_TRACE;
}

/* Numbers that the tree does not hold: allowed if we know them, ENOSYS if a newer kernel added them. The known ones
 * are few runs without a gap. */
static void emit_others(struct assembler *to)
{
	emit(to, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
	for (size_t i = 0; i < syscall_count; i++) {
		size_t first = i;

		while (i + 1 < syscall_count && syscall_rows[i + 1].number == syscall_rows[i].number + 1)
			i++;
		/* Rising: what is below this run and was not in the one before is in the gap between them. */
		emit(to, BPF_JMP | BPF_JGE | BPF_K, (uint32_t)syscall_rows[first].number, 1, 0);
		emit_answer(to, (struct answer){ANSWER_ERRNO, ENOSYS});
		emit(to, BPF_JMP | BPF_JGT | BPF_K, (uint32_t)syscall_rows[i].number, 1, 0);
		emit_answer(to, (struct answer){.kind = ANSWER_ALLOW});
	}
	emit_answer(to, (struct answer){ANSWER_ERRNO, ENOSYS});
}

/* "return slot n" becomes a jump, whose distance has 32 bits and so no limit, to the slot's block. */
static void emit_tree(struct assembler *to, const struct plan *plan)
{
	size_t start = to->count, block[SLOT_COUNT + 1];

	for (size_t i = 0; i < TREE_SIZE; i++)
		emit(to, tree[i].code, tree[i].k, tree[i].jt, tree[i].jf);
	for (size_t slot = 0; slot < SLOT_COUNT; slot++) {
		block[slot] = to->count;
		emit_rules(to, plan->slots[slot].rules, plan->slots[slot].count, plan->slots[slot].otherwise);
	}
	block[SLOT_COUNT] = to->count;
	emit_others(to);
	for (size_t i = start; i < start + TREE_SIZE && to->count <= PROGRAM_MAX; i++)
		if (is_slot(&to->code[i]))
			to->code[i] = (struct sock_filter){
				.code = BPF_JMP | BPF_JA,
				.k = (uint32_t)(block[to->code[i].k & SECCOMP_RET_DATA] - i - 1),
			};
}

static int assembler_start(struct assembler *to, pid_t gate)
{
	*to = (struct assembler){.gate = gate};
	to->code = calloc(PROGRAM_MAX, sizeof(*to->code));
	return to->code == NULL ? -ENOMEM : 0;
}

static int assembler_finish(struct assembler *to, struct filter_program *program)
{
	if (to->count > PROGRAM_MAX) {
		free(to->code);
		return -E2BIG;
	}
	*program = (struct filter_program){.code = to->code, .count = to->count};
	return 0;
}

int filter_assemble(struct filter_program *program, const struct plan *plan, pid_t gate)
{
	struct assembler to;
	int r = assembler_start(&to, gate);

	*program = (struct filter_program){0};
	if (r < 0)
		return r;
	emit_denied(&to, plan);
	emit_tree(&to, plan);
	return assembler_finish(&to, program);
}

/* As a constant it stands in the comparisons of emit_test() only. */
void filter_set_pid(struct filter_program *program, uint32_t later, pid_t pid)
{
	for (size_t i = 0; i < program->count; i++)
		if (program->code[i].code == (BPF_JMP | BPF_JEQ | BPF_K) && program->code[i].k == later)
			program->code[i].k = (uint32_t)pid;
}

void filter_clear(struct filter_program *program)
{
	free(program->code);
	*program = (struct filter_program){0};
}

int filter_load(const struct filter_program *program, unsigned long flags)
{
	struct sock_fprog fprog = {.len = (unsigned short)program->count, .filter = program->code};
	long r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &fprog);

	/* With TSYNC a positive number without NEW_LISTENER is the thread that could not follow. */
	if (r > 0 && !(flags & SECCOMP_FILTER_FLAG_NEW_LISTENER))
		return -ESRCH;
	return r < 0 ? -errno : (int)r;
}

/* Linear: our own processes make few kinds of calls. Every row ends in its own answer. */
static void emit_allow_row(struct assembler *to, const struct filter_allow *row)
{
	size_t jump = to->count;

	emit(to, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)row->number, 0, 0);
	if (row->count == 0)
		emit_answer(to, (struct answer){.kind = ANSWER_ALLOW});
	else
		emit_rules(to, row->rules, row->count, (struct answer){ANSWER_ERRNO, EPERM});
	if (to->count <= PROGRAM_MAX)
		to->code[jump].jf = (uint8_t)(to->count - jump - 1);
}

int filter_assemble_allow(struct filter_program *program, const struct filter_allow *rows, size_t count,
                          unsigned conditions)
{
	struct assembler to;
	int r = assembler_start(&to, 0);

	*program = (struct filter_program){0};
	if (r < 0)
		return r;
	emit_native_only(&to);
	emit(&to, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
	for (size_t i = 0; i < count; i++)
		if (rows[i].when == 0 || rows[i].when & conditions)
			emit_allow_row(&to, &rows[i]);
	emit_answer(&to, (struct answer){ANSWER_ERRNO, EPERM});
	return assembler_finish(&to, program);
}
