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
	ROWS_MAX = 128,
	LEAF_MAX = 6,
};

/* What the register holds: a word of what is judged, and which bits of it. No bits: nobody knows. */
struct held {
	uint32_t offset, mask;
};

struct assembler {
	struct sock_filter *code;
	size_t count;
	pid_t gate;
	struct held held;
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

/* Each instruction less is a fifth of a microsecond less when the filter is loaded. */
static void emit_load(struct assembler *to, uint32_t offset, uint32_t mask)
{
	struct held wanted = {offset, mask};

	if (to->held.offset == offset && to->held.mask == mask)
		return;
	if (to->held.offset != offset || to->held.mask != UINT32_MAX)
		emit(to, BPF_LD | BPF_W | BPF_ABS, offset, 0, 0);
	if (mask != UINT32_MAX)
		emit(to, BPF_ALU | BPF_AND | BPF_K, mask, 0, 0);
	to->held = wanted;
}

/* Falls through when the test holds, and leaves by its last instruction when not. */
static void emit_test(struct assembler *to, const struct arg_test *test)
{
	uint32_t low = argument_offset(test->arg);

	if (test->compare == ARG_POINTER) {
		emit_load(to, low, UINT32_MAX);
		emit(to, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 2);
		emit(to, BPF_LD | BPF_W | BPF_ABS, low + 4, 0, 0);
		emit(to, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 0);
		to->held.mask = 0;
		return;
	}
	if (test->compare == ARG_IS_GATE) {
		emit_load(to, low, UINT32_MAX);
		emit(to, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)to->gate, 1, 0);
		emit(to, BPF_JMP | BPF_JEQ | BPF_K, KEEPER_LATER, 0, 0);
		return;
	}
	emit_load(to, low, test->mask);
	emit(to, BPF_JMP | BPF_JEQ | BPF_K, test->compare == ARG_ANY ? 0 : test->value, 0, 0);
}

static bool leaves_when_equal(const struct arg_test *test)
{
	return test->compare != ARG_EQ && test->compare != ARG_IS_GATE;
}

/* To here, from the jump that was emitted at `from`. */
static void jump_land(struct assembler *to, size_t from, bool when_equal)
{
	size_t distance = to->count - from - 1;

	if (distance > UINT8_MAX)
		to->count = PROGRAM_MAX + 1;
	if (to->count > PROGRAM_MAX)
		return;
	if (when_equal)
		to->code[from].jt = (uint8_t)distance;
	else
		to->code[from].jf = (uint8_t)distance;
}

static bool tests_same(const struct arg_test *left, const struct arg_test *right)
{
	return left->arg == right->arg && left->compare == right->compare && left->mask == right->mask &&
	       left->value == right->value;
}

/* How many from the first on ask the same next. */
static size_t rules_alike(const struct arg_rule *rules, size_t count, unsigned depth)
{
	size_t alike = 1;

	while (alike < count && rules[alike].count > depth &&
	       tests_same(&rules[0].tests[depth], &rules[alike].tests[depth]))
		alike++;
	return alike;
}

/* How many from the first on differ in nothing but the value that their last test wants. */
static size_t rules_of_one_answer(const struct arg_rule *rules, size_t count, unsigned depth)
{
	const struct arg_test *first = &rules[0].tests[depth];
	size_t same = 0;

	while (same < count && rules[same].count == depth + 1) {
		const struct arg_test *test = &rules[same].tests[depth];

		if (test->compare != ARG_EQ || test->arg != first->arg || test->mask != first->mask ||
		    answer_value(rules[same].answer) != answer_value(rules[0].answer))
			break;
		same++;
	}
	return same;
}

/* One answer, for all the values; falls through for others. */
static void emit_values(struct assembler *to, const struct arg_rule *rules, size_t count, unsigned depth)
{
	size_t first;

	for (size_t i = 0; i < count; i++)
		emit_test(to, &rules[i].tests[depth]);
	first = to->count - count;
	for (size_t i = 0; i + 1 < count; i++)
		jump_land(to, first + i, true);
	emit_answer(to, rules[0].answer);
	jump_land(to, first + count - 1, false);
}

/* A list as if it stood line by line, where the tests before `depth` hold already. What rules in a row begin with alike is
 * asked once. True when it can fall through. */
static bool emit_list(struct assembler *to, const struct arg_rule *rules, size_t count, unsigned depth)
{
	while (count > 0) {
		const struct arg_test *test = &rules->tests[depth];
		size_t done = 0, jump;
		struct held held;

		if (rules->count == depth) {
			emit_answer(to, rules->answer);
			return false;
		}
		if ((done = rules_of_one_answer(rules, count, depth)) > 1) {
			emit_values(to, rules, done, depth);
		} else {
			done = rules_alike(rules, count, depth);
			emit_test(to, test);
			jump = to->count - 1;
			held = to->held;
			if (emit_list(to, rules, done, depth + 1) &&
			    (held.offset != to->held.offset || held.mask != to->held.mask))
				held.mask = 0;
			to->held = held;
			jump_land(to, jump, leaves_when_equal(test));
		}
		rules += done;
		count -= done;
	}
	return true;
}

/* Whoever jumps here holds the number, or what one of the lists before has left. */
static void emit_rules(struct assembler *to, const struct arg_rule *rules, size_t count,
                       struct answer otherwise)
{
	to->held.mask = 0;
	if (emit_list(to, rules, count, 0))
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

/* Slots that say the same share one block. */
static size_t slot_alike(const struct slot_plan *slots, size_t slot)
{
	size_t first = 0;

	while (first < slot && (slots[first].count != slots[slot].count ||
	                        (slots[slot].count > 0 && slots[first].rules != slots[slot].rules) ||
	                        answer_value(slots[first].otherwise) != answer_value(slots[slot].otherwise)))
		first++;
	return first;
}

/* "return slot n" becomes a jump, whose distance has 32 bits and so no limit, to the slot's block. */
static void emit_tree(struct assembler *to, const struct plan *plan)
{
	size_t start = to->count, block[SLOT_COUNT + 1] = {0};

	for (size_t i = 0; i < TREE_SIZE; i++)
		emit(to, tree[i].code, tree[i].k, tree[i].jt, tree[i].jf);
	for (size_t slot = 0; slot < SLOT_COUNT; slot++) {
		const struct slot_plan *says = &plan->slots[slot];
		size_t first = slot_alike(plan->slots, slot);

		block[slot] = first < slot ? block[first] : to->count;
		if (first == slot)
			emit_rules(to, says->rules, says->count, says->otherwise);
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
	to->code = malloc(PROGRAM_MAX * sizeof(*to->code)); /* pages that nobody writes cost nothing */
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

/* With rules, which end in an answer of their own. */
static void emit_allow_row(struct assembler *to, const struct filter_allow *row)
{
	size_t jump = to->count;

	emit(to, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)row->number, 0, 0);
	emit_rules(to, row->rules, row->count, (struct answer){ANSWER_ERRNO, EPERM});
	jump_land(to, jump, false);
}

/* A line. What needs no look at arguments shares one answer. */
static void emit_allow_leaf(struct assembler *to, const struct filter_allow *const *rows, size_t count)
{
	size_t jumps[LEAF_MAX], plain = 0;

	for (size_t i = 0; i < count; i++) {
		if (rows[i]->count > 0) {
			emit_allow_row(to, rows[i]);
			continue;
		}
		jumps[plain++] = to->count;
		emit(to, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)rows[i]->number, 0, 0);
	}
	emit_answer(to, (struct answer){ANSWER_ERRNO, EPERM});
	for (size_t i = 0; i < plain; i++)
		jump_land(to, jumps[i], true);
	if (plain > 0)
		emit_answer(to, (struct answer){.kind = ANSWER_ALLOW});
}

/* By halves: to learn which calls it may let pass without asking, the kernel runs a filter for every number there is when it
 * is loaded. For a line of this length that takes longer than the rest of loading it. */
static void emit_allow_tree(struct assembler *to, const struct filter_allow *const *rows, size_t count)
{
	size_t half = count / 2, jump;

	if (count <= LEAF_MAX) {
		emit_allow_leaf(to, rows, count);
		return;
	}
	emit(to, BPF_JMP | BPF_JGE | BPF_K, (uint32_t)rows[half]->number, 0, 1);
	jump = to->count;
	emit(to, BPF_JMP | BPF_JA, 0, 0, 0);
	emit_allow_tree(to, rows, half);
	if (to->count <= PROGRAM_MAX)
		to->code[jump].k = (uint32_t)(to->count - jump - 1);
	emit_allow_tree(to, rows + half, count - half);
}

/* Into its place by its number. Of two for one number, the first is meant. */
static size_t allow_insert(const struct filter_allow **rows, size_t count, const struct filter_allow *row)
{
	size_t at = count;

	while (at > 0 && rows[at - 1]->number > row->number)
		at--;
	if (at > 0 && rows[at - 1]->number == row->number)
		return count;
	memmove(rows + at + 1, rows + at, (count - at) * sizeof(*rows));
	rows[at] = row;
	return count + 1;
}

int filter_assemble_allow(struct filter_program *program, const struct filter_allow *rows, size_t count,
                          unsigned conditions)
{
	const struct filter_allow *sorted[ROWS_MAX];
	size_t sorted_count = 0;
	struct assembler to;
	int r = assembler_start(&to, 0);

	*program = (struct filter_program){0};
	if (r < 0)
		return r;
	if (count > ROWS_MAX)
		to.count = PROGRAM_MAX + 1;
	for (size_t i = 0; i < count && count <= ROWS_MAX; i++)
		if (rows[i].when == 0 || rows[i].when & conditions)
			sorted_count = allow_insert(sorted, sorted_count, &rows[i]);
	emit_native_only(&to);
	emit(&to, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
	emit_allow_tree(&to, sorted, sorted_count);
	return assembler_finish(&to, program);
}
