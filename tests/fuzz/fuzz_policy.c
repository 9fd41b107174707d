/* Any keys and values: "key=value" a line. Whatever is refused leaves the policy as it was and says why in
 * one line; whatever is accepted makes the same plan twice, whose filter is well-formed and ends in an
 * answer, or is refused in one line too. The first byte picks the kernel. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "confine/confine.h"
#include "supervise/supervise.h"
#include "tests/common/plan_of.h"

enum { LINES_MAX = 24, GATE_PID = 4711 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The public face leads there too; nothing here goes that way. */
int explain_policy(const sl_policy *policy, enum plan_mode mode, FILE *out, sl_error *error)
{
	(void)policy, (void)mode, (void)out, (void)error;
	abort();
}

int confine_in_place(const sl_policy *policy, sl_error *error)
{
	(void)policy, (void)error;
	abort();
}

static void message_check(const sl_error *error, int code)
{
	assert(error->code == code);
	assert(memchr(error->message, '\0', sizeof(error->message)) != NULL);
	assert(error->message[0] != '\0');
	for (const char *at = error->message; *at != '\0'; at++)
		assert((unsigned char)*at >= 0x20 && *at != 0x7f);
}

static bool policies_equal(const sl_policy *a, const sl_policy *b)
{
	for (size_t option = 0; option < OPTION_COUNT; option++) {
		if (a->values[option].count != b->values[option].count)
			return false;
		for (size_t i = 0; i < a->values[option].count; i++)
			if (strcmp(a->values[option].items[i], b->values[option].items[i]) != 0)
				return false;
	}
	return true;
}

static void line_set(sl_policy *policy, char *line)
{
	sl_policy *before = sl_policy_copy(policy);
	char *value = strchr(line, '=');
	sl_error error;
	int r;

	if (value != NULL)
		*value++ = '\0';
	memset(&error, 'E', sizeof(error));
	r = sl_policy_set(policy, line, value, &error);
	if (r < 0) {
		assert(r == -ENOENT || r == -EINVAL || r == -ERANGE || r == -ENOTSUP);
		message_check(&error, r);
		assert(policies_equal(policy, before));
		assert(sl_policy_set(policy, line, value, NULL) == r);
	} else {
		assert(!policies_equal(policy, before) || value == NULL || *value == '\0' ||
		       option_find(line)->kind == OPTION_FLAG || option_find(line)->kind == OPTION_SIZE);
	}
	sl_policy_free(before);
}

static void program_check(const struct filter_program *program)
{
	assert(program->count > 0 && program->count <= 4096);
	for (size_t at = 0; at < program->count; at++) {
		const struct sock_filter *code = &program->code[at];
		size_t left = program->count - at - 1;

		if (BPF_CLASS(code->code) != BPF_JMP)
			continue;
		if (BPF_OP(code->code) == BPF_JA)
			assert(code->k < left);
		else
			assert(code->jt < left && code->jf < left);
	}
	assert(program->code[program->count - 1].code == (BPF_RET | BPF_K));
}

static char *plan_text(const struct plan *plan, size_t *size)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, size);

	assert(out != NULL && plan_print(plan, out) == 0);
	fclose(out);
	return text;
}

static void plan_check(const sl_policy *policy, const struct kernel *kernel, enum plan_mode mode)
{
	struct filter_program program, again;
	struct plan plan, second;
	char *texts[2];
	size_t sizes[2];
	sl_error error;
	int r = plan_of(&plan, policy, kernel, mode, &error);

	if (r < 0) {
		message_check(&error, r);
		assert(plan.grants == NULL && plan.denied == NULL && plan.keep_fds == NULL);
		return;
	}
	assert(plan_of(&second, policy, kernel, mode, NULL) == 0);
	texts[0] = plan_text(&plan, &sizes[0]);
	texts[1] = plan_text(&second, &sizes[1]);
	assert(sizes[0] == sizes[1] && memcmp(texts[0], texts[1], sizes[0]) == 0);
	for (size_t i = 0; i < sizes[0]; i++)
		assert((unsigned char)texts[0][i] >= 0x20 || texts[0][i] == '\n');
	assert(filter_assemble(&program, &plan, plan.supervised ? GATE_PID : 0) == 0);
	assert(filter_assemble(&again, &second, plan.supervised ? GATE_PID : 0) == 0);
	program_check(&program);
	assert(program.count == again.count &&
	       memcmp(program.code, again.code, program.count * sizeof(*program.code)) == 0);
	for (size_t i = 1; i < plan.keep_count; i++)
		assert(plan.keep_fds[i - 1] < plan.keep_fds[i]);
	filter_clear(&program);
	filter_clear(&again);
	plan_clear(&plan);
	plan_clear(&second);
	free(texts[0]);
	free(texts[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kernel kernel = kernel_full;
	sl_policy *policy = sl_policy_new(), *copy;
	char *text, *rest, *line;
	unsigned bits = size > 0 ? data[0] : 0;

	if (size > 0)
		data++, size--;
	kernel.landlock_abi = bits & 1 ? 8 : 6;
	kernel.ptrace_capable = bits & 2;
	kernel.pidfd_thread = bits & 4;
	kernel.under_filter = (bits & 24) != 0;
	kernel.under_gate = (bits & 24) == 24;
	text = rest = strndup((const char *)data, size);
	for (size_t i = 0; i < LINES_MAX && (line = strsep(&rest, "\n")) != NULL; i++)
		line_set(policy, line);
	copy = sl_policy_copy(policy);
	assert(policies_equal(policy, copy));
	plan_check(policy, &kernel, bits & 32 ? PLAN_IN_PLACE : PLAN_LAUNCH);
	sl_policy_free(policy);
	sl_policy_free(copy);
	free(text);
	return 0;
}
