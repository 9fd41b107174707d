/* Any bytes as a profile. What is refused is said in one line that begins with the place, and reading to the end hears
 * of the same first fault; what is accepted consists of values that sl_policy_set() takes too, and its policy comes back
 * from the YAML that is printed of it. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/profile.h"
#include "supervise/supervise.h"

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

/* Every fault is looked at, and the first one kept. */
struct hearing {
	struct profile_faults faults;
	sl_error first;
	size_t count;
};

static void fault_check(struct profile_faults *self, const sl_error *error)
{
	struct hearing *hearing = (struct hearing *)self;
	unsigned line, column;

	assert(error->code < 0);
	assert(memchr(error->message, '\0', sizeof(error->message)) != NULL);
	assert(sscanf(error->message, "fuzz:%u:%u: ", &line, &column) == 2 && line > 0 && column > 0);
	for (const char *at = error->message; *at != '\0'; at++)
		assert((unsigned char)*at >= 0x20 && *at != 0x7f);
	if (hearing->count++ == 0)
		hearing->first = *error;
	assert(self->all || hearing->count == 1);
}

static sl_policy *policy_make(const struct profile *profile)
{
	sl_policy *policy = sl_policy_new();

	for (size_t i = 0; i < profile->value_count; i++) {
		const struct profile_value *value = &profile->values[i];

		assert(value->line > 0 && value->column > 0);
		if (value->text == NULL)
			policy_unset(policy, value->row);
		else
			assert(sl_policy_set(policy, value->row->key, value->text, NULL) == 0);
	}
	return policy;
}

static char *policy_text(const sl_policy *policy, const char *description, size_t *size)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, size);

	assert(out != NULL && profile_print(policy, description, out) == 0);
	fclose(out);
	return text;
}

static void policies_equal(const sl_policy *a, const sl_policy *b)
{
	for (size_t option = 0; option < OPTION_COUNT; option++) {
		assert(a->values[option].count == b->values[option].count);
		for (size_t i = 0; i < a->values[option].count; i++)
			assert(strcmp(a->values[option].items[i], b->values[option].items[i]) == 0);
	}
}

static void way_back_check(const struct profile *profile)
{
	struct hearing hearing = {.faults = {.fault = fault_check}};
	struct profile_text text = {.file = "fuzz"};
	sl_policy *policy = policy_make(profile), *again;
	char *printed = policy_text(policy, profile->description, &text.size);
	struct profile second;

	text.bytes = printed;
	/* Escaped, a byte is six; what was small enough need not be so then. */
	if (text.size <= PROFILE_SIZE_MAX) {
		assert(profile_read(&text, &policy_checks_all, &hearing.faults, &second) == 0);
		again = policy_make(&second);
		policies_equal(policy, again);
		assert((profile->description == NULL) == (second.description == NULL));
		assert(second.description == NULL || strcmp(profile->description, second.description) == 0);
		profile_clear(&second);
		sl_policy_free(again);
	}
	free(printed);
	sl_policy_free(policy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hearing first = {.faults = {.fault = fault_check}};
	struct hearing all = {.faults = {.fault = fault_check, .all = true}};
	const struct profile_text text = {"fuzz", (const char *)data, size};
	struct profile profile, whole;
	int r = profile_read(&text, &policy_checks_all, &first.faults, &profile);

	assert(profile_read(&text, &policy_checks_all, &all.faults, &whole) == r);
	assert((r == 0) == (first.count == 0) && (r == 0) == (all.count == 0));
	assert(r == 0 || (first.first.code == r && strcmp(first.first.message, all.first.message) == 0));
	if (r == 0)
		way_back_check(&profile);
	profile_clear(&profile);
	profile_clear(&whole);
	return 0;
}
