/* Policy x kernel -> plan, over kernels that are made up. */
#include "tests/common/common.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/common/plan_of.h"

#define ADDRESSES "net-allow", "tcp://10.0.0.0/8:443"

struct expectation {
	const char *why;
	struct kernel kernel;
	enum plan_mode mode;
	const char *const *keys;
	int code;
	const char *words[3]; /* in the message */
};

static struct kernel kernel_of(int abi)
{
	struct kernel kernel = kernel_full;

	kernel.landlock_abi = abi;
	return kernel;
}

static void expect(const struct expectation *row)
{
	static const struct plan nothing;
	sl_policy *policy = policy_of(row->keys);
	struct plan plan;
	sl_error error;
	int r;

	memset(&error, 'E', sizeof(error));
	memset(&plan, 'E', sizeof(plan));
	r = plan_of(&plan, policy, &row->kernel, row->mode, &error);
	if (r != row->code)
		fail_msg("%s: %d, expected %d (%.*s)", row->why, r, row->code, r < 0 ? 255 : 0,
		         error.message);
	if (r < 0) {
		assert_int_equal(error.code, r);
		for (size_t i = 0; i < 3 && row->words[i] != NULL; i++)
			if (strstr(error.message, row->words[i]) == NULL)
				fail_msg("%s: \"%s\" does not say \"%s\"", row->why, error.message,
				         row->words[i]);
		plan.mode = PLAN_IN_PLACE;
		assert_memory_equal(&plan, &nothing, sizeof(plan));
		assert_int_equal(plan_of(&plan, policy, &row->kernel, row->mode, NULL), row->code);
	}
	plan_clear(&plan);
	sl_policy_free(policy);
}

static struct plan plan_for(const char *const keys[], struct kernel kernel, enum plan_mode mode)
{
	sl_policy *policy = policy_of(keys);
	struct plan plan;
	sl_error error;

	if (plan_of(&plan, policy, &kernel, mode, &error) < 0)
		fail_msg("%s", error.message);
	/* Grants would borrow the policy's paths, but for what a group brings along. */
	for (size_t i = 0; i < plan.grant_count; i++)
		assert_string_equal(plan.grants[i].path, "/dev/mqueue");
	sl_policy_free(policy);
	return plan;
}

static struct plan plan_plain(const char *const keys[])
{
	return plan_for(keys, kernel_full, PLAN_LAUNCH);
}

static void landlock_below_abi_6_is_refused_by_name(void **state)
{
	(void)state;
	for (int abi = 0; abi <= 10; abi++) {
		const char *has = text_of("ABI %d", abi);

		for (int mode = PLAN_IN_PLACE; mode <= PLAN_LAUNCH; mode++) {
			struct expectation row = {.why = has, .kernel = kernel_of(abi), .mode = mode};

			row.code = abi < 6 ? -ENOTSUP : 0;
			row.words[0] = "Landlock";
			row.words[1] = abi == 0 ? "lsm=" : has;
			row.words[2] = "6.12";
			row.keys = POLICY();
			expect(&row);
			row.keys = POLICY("fs-system", "yes", "net-allow", "tcp://*", "net-allow-bind", "*");
			expect(&row);
			row.keys = POLICY(ADDRESSES);
			expect(&row);
		}
	}
}

/* What an older kernel lacks is gone without only where it was named. */
static void degrade_names_what_may_be_missing(void **state)
{
	static const struct {
		int abi;
		const char *degrade, *word; /* NULL: it works */
	} rows[] = {
		{5, "scopes", NULL},         {5, "ioctl", "scopes"},    {4, "scopes", "ioctl"},
		{4, "scopes,ioctl", NULL},   {3, "ioctl,scopes", NULL}, {2, "scopes,ioctl", "6.2"},
		{0, "scopes,ioctl", "lsm="}, {6, "scopes,ioctl", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct expectation row = {
			.why = text_of("ABI %d, %s", rows[i].abi, rows[i].degrade),
			.kernel = kernel_of(rows[i].abi),
			.keys = POLICY("degrade", rows[i].degrade),
			.code = rows[i].word == NULL ? 0 : -ENOTSUP,
			.words = {"Landlock", rows[i].word},
		};

		expect(&row);
	}
}

/* Where it has ports, Landlock judges TCP; where it has none, the supervisor does, or the filter if all is refused. */
static void without_landlock_ports_the_supervisor_judges_tcp(void **state)
{
	static const struct {
		const char *why, *key, *value;
		enum answer_kind connect, bind;
	} rows[] = {
		{"nothing", "degrade", "ioctl", ANSWER_ERRNO, ANSWER_ERRNO},
		{"a port", "net-allow", "tcp://:443", ANSWER_NOTIFY, ANSWER_ERRNO},
		{"every port", "net-allow", "tcp://*", ANSWER_ALLOW, ANSWER_ERRNO},
		{"a bind", "net-allow-bind", "8080", ANSWER_ERRNO, ANSWER_NOTIFY},
		{"every bind", "net-allow-bind", "*", ANSWER_ERRNO, ANSWER_ALLOW},
		{"unix", "net-allow-unix", "*", ANSWER_NOTIFY, ANSWER_NOTIFY},
		/* Sockets of another kind take the same calls. */
		{"UDP", "net-allow", "udp://*", ANSWER_NOTIFY, ANSWER_NOTIFY},
		{"UDP to bind", "net-allow-bind", "udp://*", ANSWER_NOTIFY, ANSWER_NOTIFY},
		{"ping", "net-allow", "icmp://*", ANSWER_NOTIFY, ANSWER_NOTIFY},
		{"netlink", "net-interfaces", "yes", ANSWER_ERRNO, ANSWER_NOTIFY},
	};

	(void)state;
	for (int abi = 3; abi <= 4; abi++) {
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
			struct plan plan =
				plan_for(POLICY("degrade", "scopes,ioctl", rows[i].key, rows[i].value),
			                 kernel_of(abi), PLAN_LAUNCH);
			bool asked = rows[i].connect == ANSWER_NOTIFY || rows[i].bind == ANSWER_NOTIFY;

			assert_int_equal(plan.scoped, 0);
			assert_int_equal(plan.handled_fs, 0x7fff);
			if (abi == 4) {
				if (strncmp(rows[i].why, "UDP", 3) != 0)
					assert_false(plan.supervised);
			} else if (plan.handled_net != 0 || plan.supervised != asked ||
			           plan.slots[SLOT_CONNECT].otherwise.kind != rows[i].connect ||
			           plan.slots[SLOT_BIND].otherwise.kind != rows[i].bind ||
			           plan.connect_ports.count + plan.bind_ports.count > 0) {
				fail_msg("ABI 3, %s", rows[i].why);
			}
			plan_clear(&plan);
		}
	}
}

static char *words_of(const char *const keys[], int abi)
{
	struct plan plan = plan_for(keys, kernel_of(abi), PLAN_LAUNCH);
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	assert_int_equal(plan_print(&plan, out), 0);
	fclose(out);
	plan_clear(&plan);
	return text;
}

/* What is printed of a wall that is not there must not sound like one, nor the other way round. */
static void explain_names_what_an_older_landlock_loses(void **state)
{
#define DEGRADED "degrade", "scopes,ioctl"
	static const char ports[] = "TCP connect, any address, ports:", refused[] = "TCP connect: refused";
	static const char asked[] = "TCP connect: the supervisor", free_bind[] = "TCP bind: not restricted";
	static const char signals[] = "signals: to every process", names[] = "sockets: not restricted";
	static const char scoped[] = "only inside", ioctls[] = "degrade ioctl";
	const struct {
		int abi;
		const char *const *keys;
		const char *said[4], *unsaid[4];
	} rows[] = {
		{7, POLICY(DEGRADED), {scoped, ports}, {signals, ioctls, "(degrade", refused}},
		{5, POLICY(DEGRADED), {signals, ports, "sockets: there are none"}, {scoped, ioctls, names}},
		{4, POLICY(DEGRADED), {signals, ioctls, ports}, {scoped, refused}},
		{3, POLICY(DEGRADED), {signals, ioctls, refused}, {scoped, ports, "the supervisor too"}},
		{3,
	         POLICY(DEGRADED, "net-allow", "tcp://:1"),
	         {asked, "the supervisor too"},
	         {ports, refused}},
		{3, POLICY(DEGRADED, "net-allow-bind", "*"), {refused, free_bind}, {asked}},
		{5, POLICY(DEGRADED, "net-allow-unix", "*"), {names}, {scoped}},
		{5, POLICY(DEGRADED, "net-allow-unix", "/x"), {"sockets: the supervisor"}, {names}},
		{3, POLICY(DEGRADED, "net-allow-unix", "*"), {names, asked}, {refused}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *text = words_of(rows[i].keys, rows[i].abi);

		for (size_t j = 0; j < 4; j++) {
			if (rows[i].said[j] != NULL && strstr(text, rows[i].said[j]) == NULL)
				fail_msg("row %zu: \"%s\" is not said", i, rows[i].said[j]);
			if (rows[i].unsaid[j] != NULL && strstr(text, rows[i].unsaid[j]) != NULL)
				fail_msg("row %zu: \"%s\" is said", i, rows[i].unsaid[j]);
		}
		free(text);
	}
}

static void sends_are_asked_about_only_where_a_socket_can_take_an_address(void **state)
{
	static const struct {
		const char *rules[3];
		bool asked, supervised;
	} rows[] = {
		{{NULL}, false, false},
		{{"tcp://10.0.0.1"}, false, true},
		{{"tcp://10.0.0.1", "tcp://*:443"}, false, true},
		{{"tcp://*"}, false, false},
		{{"udp://*"}, false, true}, /* for bind */
		{{"icmp://*"}, false, false},
		{{"icmp://*", "tcp://10.0.0.1"}, false, true},
		{{"10.0.0.1"}, true, true},
		{{":53"}, true, true},
		{{"udp://*:53"}, true, true},
		{{"icmp://10.0.0.1"}, true, true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *keys[] = {"net-allow", rows[i].rules[0], "net-allow", rows[i].rules[1], NULL};
		struct plan plan;

		keys[rows[i].rules[0] == NULL ? 0 : rows[i].rules[1] == NULL ? 2 : 4] = NULL;
		plan = plan_plain(keys);
		assert_int_equal(plan.supervised, rows[i].supervised);
		for (int slot = SLOT_SENDTO; slot <= SLOT_SENDMMSG; slot++)
			if (slot_asks(&plan.slots[slot]) != rows[i].asked)
				fail_msg("rule %zu, slot %d", i, slot);
		plan_clear(&plan);
	}
}

static void what_takes_away_needs_something_to_take_from(void **state)
{
	struct expectation row = {.why = "deny alone", .kernel = kernel_full, .code = -EINVAL};

	(void)state;
	row.keys = POLICY("net-deny", "10.0.0.0/8", "net-allow-bind", "*");
	row.words[0] = "net-deny takes away";
	row.words[1] = "net-allow \"*\"";
	expect(&row);
	row.keys = POLICY("net-deny-bind", "80", "net-allow", "*");
	row.words[0] = "net-deny-bind";
	row.words[1] = "net-allow-bind \"*\"";
	expect(&row);
	row.code = 0;
	row.keys = POLICY("net-deny", "10.0.0.0/8", "net-allow", "*", "net-deny-bind", "80", "net-allow-bind",
	                  "*");
	expect(&row);
}

/* The walls do not depend on how new the kernel is beyond 6. */
static void every_abi_from_6_on_gives_the_same_walls(void **state)
{
	(void)state;
	for (int abi = 6; abi <= 10; abi++) {
		struct plan plan = plan_for(POLICY(), kernel_of(abi), PLAN_IN_PLACE);

		assert_int_equal(plan.handled_fs, 0xffff); /* EXECUTE .. IOCTL_DEV: sixteen rights */
		assert_int_equal(plan.handled_net, 3);
		assert_int_equal(plan.scoped, 3);
		assert_int_equal(plan.grant_count, 0);
		assert_int_equal(plan.connect_ports.count, 0);
		assert_int_equal(plan.bind_ports.count, 0);
		assert_false(plan.supervised);
		plan_clear(&plan);
	}
}

static void a_supervisor_needs_its_kernel_features_and_only_it_does(void **state)
{
	static const struct {
		const char *word;
		bool notify, wait_killable, pidfd_getfd;
	} rows[] = {
		{"user notification", false, true, true},
		{"WAIT_KILLABLE_RECV", true, false, true},
		{"pidfd_getfd", true, true, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct expectation row = {.why = rows[i].word, .kernel = kernel_full};

		row.kernel.notify = rows[i].notify;
		row.kernel.wait_killable = rows[i].wait_killable;
		row.kernel.pidfd_getfd = rows[i].pidfd_getfd;
		row.words[0] = rows[i].word;
		row.words[1] = "net-allow";
		for (int mode = PLAN_IN_PLACE; mode <= PLAN_LAUNCH; mode++) {
			row.mode = mode;
			row.code = -ENOTSUP;
			row.keys = POLICY(ADDRESSES);
			expect(&row);
			row.code = 0;
			row.keys =
				POLICY("net-allow", "tcp://:443", "net-allow-bind", "80", "fs-system", "yes");
			expect(&row);
		}
	}
	/* What is only faster, or asked per call, is no condition. */
	for (int mode = PLAN_IN_PLACE; mode <= PLAN_LAUNCH; mode++) {
		struct expectation row = {.why = "slow", .kernel = kernel_full, .mode = mode};

		row.kernel.sync_wake_up = row.kernel.io_uring = row.kernel.pidfd_thread = false;
		row.keys = POLICY(ADDRESSES);
		expect(&row);
	}
}

/* security.md, 1.7: in place the supervisor is the program's child, launched it is its parent. */
static void yama_decides_by_who_is_the_parent(void **state)
{
	static const struct {
		int yama;
		bool capable;
		bool in_place, launch;
	} rows[] = {
		{0, false, true, true},   {0, true, true, true},    {1, false, false, true},
		{1, true, true, true},    {2, false, false, false}, {2, true, true, true},
		{3, false, false, false}, {3, true, false, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct expectation row = {
			.why = text_of("yama %d, %s", rows[i].yama, rows[i].capable ? "capable" : "not"),
			.kernel = kernel_full,
			.words = {"ptrace_scope", text_of("=%d", rows[i].yama), "net-allow"},
		};

		row.kernel.yama = rows[i].yama;
		row.kernel.ptrace_capable = rows[i].capable;
		for (int mode = PLAN_IN_PLACE; mode <= PLAN_LAUNCH; mode++) {
			bool works = mode == PLAN_IN_PLACE ? rows[i].in_place : rows[i].launch;

			row.mode = mode;
			row.code = works ? 0 : -ENOTSUP;
			row.keys = POLICY(ADDRESSES);
			expect(&row);
			row.code = 0;
			row.keys = POLICY("net-allow", "tcp://:443");
			expect(&row);
		}
	}
}

static void the_cure_for_yama_1_is_to_be_launched(void **state)
{
	struct expectation row = {
		.why = "cure",
		.kernel = kernel_full,
		.keys = POLICY(ADDRESSES),
		.code = -ENOTSUP,
		.words = {"sluice run"},
	};

	(void)state;
	row.kernel.yama = 1;
	expect(&row);
	row.kernel.yama = 2;
	row.words[0] = "any-address";
	expect(&row);
	row.keys = POLICY("max-processes", "5");
	row.words[0] = "go without";
	expect(&row);
}

static void no_second_supervisor(void **state)
{
	struct expectation row = {.why = "nested", .kernel = kernel_full, .words = {"supervisor"}};

	(void)state;
	for (int mode = PLAN_IN_PLACE; mode <= PLAN_LAUNCH; mode++) {
		row.mode = mode;
		for (int gate = 0; gate < 2; gate++) {
			row.kernel.under_filter = true;
			row.kernel.under_gate = gate;
			row.code = -EBUSY;
			row.words[0] = "supervisor";
			row.keys = POLICY(ADDRESSES);
			expect(&row);
			row.keys = POLICY("net-allow", "tcp://:80", ADDRESSES);
			expect(&row);
			/* Narrowing files, closing the net, or leaving it as it is. */
			row.code = 0;
			row.keys = POLICY();
			expect(&row);
			row.keys = POLICY("fs-system", "yes", "net-allow", "tcp://*");
			expect(&row);
			/* By port: Landlock binds it only where no supervisor connects in our place. */
			row.code = gate ? -EBUSY : 0;
			row.words[0] = "by port";
			row.keys = POLICY("net-allow", "tcp://:443");
			expect(&row);
			row.keys = POLICY("net-allow", "tcp://:443", "net-allow", "tcp://10.0.0.0/8:443");
			expect(&row);
		}
	}
}

/* Docker with notifications, another sandbox: the kernel gives a task one listener. */
static void no_supervisor_beside_somebody_elses(void **state)
{
	struct expectation row = {
		.why = "foreign listener", .kernel = kernel_full, .words = {"supervises", "one"}};

	(void)state;
	row.kernel.foreign_listener = true;
	for (int mode = PLAN_IN_PLACE; mode <= PLAN_LAUNCH; mode++) {
		row.mode = mode;
		row.code = -EBUSY;
		row.keys = POLICY(ADDRESSES);
		expect(&row);
		row.code = 0;
		row.keys = POLICY("net-allow", "tcp://:443");
		expect(&row);
	}
}

static void ports_are(const struct port_set *ports, const char *wanted)
{
	char text[256] = "";

	for (size_t i = 0; i < ports->count; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%u-%u", i == 0 ? "" : ",",
		         ports->ranges[i].low, ports->ranges[i].high);
	assert_string_equal(text, wanted);
}

static void network_rules_become_ports_or_a_gate(void **state)
{
	static const struct {
		const char *why;
		const char *rules[4];
		bool supervised;
		uint64_t handled; /* 1 bind, 2 connect */
		const char *ports;
	} rows[] = {
		{"nothing", {NULL}, false, 3, ""},
		{"one port", {"tcp://:443"}, false, 3, "443-443"},
		{"merged", {"tcp://:443", "tcp://:80-90", "tcp://:88-100"}, false, 3, "80-100,443-443"},
		{"all that can be listed", {"tcp://:1-65535"}, false, 3, "1-65535"},
		{"anything", {"tcp://*"}, false, 1, ""},
		{"anything beside an address", {"tcp://*", "tcp://10.0.0.0/8:80"}, false, 1, ""},
		{"an address", {"tcp://10.0.0.0/8:80"}, true, 3, ""},
		{"an address, all ports", {"tcp://10.0.0.0/8"}, true, 3, ""},
		{"an address and a port", {"tcp://10.0.0.0/8:80", "tcp://:443"}, true, 3, ""},
		{"an address inside of a port", {"tcp://10.0.0.0/8:80", "tcp://:80"}, false, 3, "80-80"},
		{"an address half inside", {"tcp://10.0.0.0/8:80,81", "tcp://:80"}, true, 3, ""},
		{"a whole family is not any", {"tcp://0.0.0.0/0:80"}, true, 3, ""},
		{"a port of UDP too", {":443"}, true, 3, ""},
		{"anything of TCP, one of UDP", {"tcp://*", "udp://10.0.0.1:53"}, true, 1, ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *keys[9] = {NULL};
		struct plan plan;

		for (size_t j = 0; j < 4 && rows[i].rules[j] != NULL; j++) {
			keys[2 * j] = "net-allow";
			keys[2 * j + 1] = rows[i].rules[j];
		}
		plan = plan_plain(keys);
		if (plan.supervised != rows[i].supervised || plan.handled_net != rows[i].handled)
			fail_msg("%s: supervised %d, handled %#llx", rows[i].why, plan.supervised,
			         (unsigned long long)plan.handled_net);
		ports_are(&plan.connect_ports, rows[i].ports);
		assert_int_equal(plan.slots[SLOT_CONNECT].otherwise.kind,
		                 rows[i].supervised ? ANSWER_NOTIFY : ANSWER_ALLOW);
		assert_int_equal(plan.slots[SLOT_CONNECT].count, 0);
		plan_clear(&plan);
	}
}

static void slot_is_open(const struct plan *plan, enum slot slot)
{
	assert_int_equal(plan->slots[slot].count, 0);
	assert_int_equal(plan->slots[slot].otherwise.kind, ANSWER_ALLOW);
}

static void slot_is_shut(const struct plan *plan, enum slot slot, int error)
{
	assert_int_equal(plan->slots[slot].count, 0);
	assert_int_equal(plan->slots[slot].otherwise.kind, ANSWER_ERRNO);
	assert_int_equal(plan->slots[slot].otherwise.error, error);
}

static void binding_opens_listen(void **state)
{
	struct plan plan;

	(void)state;
	plan = plan_plain(POLICY());
	slot_is_shut(&plan, SLOT_LISTEN, EACCES);
	plan_clear(&plan);
	plan = plan_plain(POLICY("net-allow", "tcp://*"));
	slot_is_shut(&plan, SLOT_LISTEN, EACCES);
	plan_clear(&plan);
	plan = plan_plain(POLICY("net-allow-bind", "8080", "net-allow-bind", "0,9000-9002,8081"));
	slot_is_open(&plan, SLOT_LISTEN);
	ports_are(&plan.bind_ports, "0-0,8080-8081,9000-9002");
	assert_int_equal(plan.handled_net, 3);
	plan_clear(&plan);
	plan = plan_plain(POLICY("net-allow-bind", "8080", "net-allow-bind", "*"));
	slot_is_open(&plan, SLOT_LISTEN);
	assert_int_equal(plan.handled_net, 2);
	plan_clear(&plan);
	plan = plan_plain(POLICY("net-allow-unix", "*"));
	slot_is_open(&plan, SLOT_LISTEN);
	ports_are(&plan.bind_ports, "");
	assert_int_equal(plan.handled_net, 3);
	plan_clear(&plan);
}

static void a_supervisor_answers_listen_where_some_ports_are_granted(void **state)
{
	struct expectation row = {
		.why = "listen denied and asked for",
		.kernel = kernel_full,
		.keys = POLICY("deny-syscall", "listen", ADDRESSES, "net-allow-bind", "80"),
		.code = -EINVAL,
		.words = {"deny-syscall", "listen", "net-allow"},
	};
	struct plan plan;

	(void)state;
	plan = plan_plain(POLICY(ADDRESSES));
	slot_is_shut(&plan, SLOT_LISTEN, EACCES);
	plan_clear(&plan);
	plan = plan_plain(POLICY(ADDRESSES, "net-allow-bind", "80"));
	assert_int_equal(plan.slots[SLOT_LISTEN].otherwise.kind, ANSWER_NOTIFY);
	plan_clear(&plan);
	plan = plan_plain(POLICY(ADDRESSES, "net-allow-unix", "*"));
	assert_int_equal(plan.slots[SLOT_LISTEN].otherwise.kind, ANSWER_NOTIFY);
	plan_clear(&plan);
	plan = plan_plain(POLICY(ADDRESSES, "net-allow-bind", "*"));
	slot_is_open(&plan, SLOT_LISTEN);
	plan_clear(&plan);
	expect(&row);
	row.code = 0;
	row.keys = POLICY("deny-syscall", "listen", ADDRESSES, "net-allow-bind", "*");
	expect(&row);
	row.keys = POLICY("deny-syscall", "listen", "net-allow-bind", "80");
	expect(&row);
}

static void any_address_opens_the_sends_that_connect(void **state)
{
	struct plan plan = plan_plain(POLICY("net-allow", "tcp://*"));

	(void)state;
	slot_is_open(&plan, SLOT_SENDTO);
	slot_is_open(&plan, SLOT_SENDMSG);
	slot_is_open(&plan, SLOT_SENDMMSG);
	slot_is_open(&plan, SLOT_CONNECT);
	plan_clear(&plan);
	plan = plan_plain(POLICY("net-allow", "tcp://:1-65535"));
	assert_int_equal(plan.slots[SLOT_SENDTO].count, 1);
	assert_int_equal(plan.slots[SLOT_SENDMSG].count, 1);
	assert_int_equal(plan.slots[SLOT_SENDMMSG].count, 1);
	plan_clear(&plan);
}

static void the_supervisor_is_guarded_only_where_there_is_one(void **state)
{
	static const enum slot scheduling[] = {SLOT_SCHED_SETAFFINITY, SLOT_SCHED_SETPARAM,
	                                       SLOT_SCHED_SETSCHEDULER, SLOT_SCHED_SETATTR};
	struct plan alone = plan_plain(POLICY()), guarded = plan_plain(POLICY(ADDRESSES));

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		slot_is_open(&alone, scheduling[i]);
		assert_int_equal(guarded.slots[scheduling[i]].count, 1);
	}
	assert_int_equal(guarded.slots[SLOT_SETPRIORITY].count, alone.slots[SLOT_SETPRIORITY].count + 1);
	assert_int_equal(guarded.slots[SLOT_IOPRIO_SET].count, alone.slots[SLOT_IOPRIO_SET].count + 1);
	assert_int_equal(guarded.slots[SLOT_PRCTL].count, alone.slots[SLOT_PRCTL].count + 1);
	assert_int_equal(guarded.slots[SLOT_CLONE].count, alone.slots[SLOT_CLONE].count);
	plan_clear(&alone);
	plan_clear(&guarded);
}

static void what_the_supervisor_can_do_itself_needs_no_rule(void **state)
{
	struct kernel capable = kernel_full, old = kernel_full;
	struct plan plain = plan_plain(POLICY(ADDRESSES)), plan;

	(void)state;
	capable.ptrace_capable = true;
	plan = plan_for(POLICY(ADDRESSES), capable, PLAN_LAUNCH);
	assert_int_equal(plan.slots[SLOT_PRCTL].count, plain.slots[SLOT_PRCTL].count - 1);
	plan_clear(&plan);
	old.pidfd_thread = false;
	plan = plan_for(POLICY(ADDRESSES), old, PLAN_LAUNCH);
	assert_int_equal(plan.slots[SLOT_CLONE].count, plain.slots[SLOT_CLONE].count + 1);
	plan_clear(&plan);
	plan_clear(&plain);
}

static void inside_a_gate_a_closed_net_is_closed_in_the_filter(void **state)
{
	struct expectation ports = {.why = "binds", .code = -EBUSY, .words = {"net-allow-bind by port"}};
	struct kernel nested = kernel_full;
	struct plan plan;

	(void)state;
	nested.under_gate = nested.under_filter = true;
	plan = plan_for(POLICY(), nested, PLAN_IN_PLACE);
	assert_false(plan.supervised);
	slot_is_shut(&plan, SLOT_CONNECT, EACCES);
	slot_is_shut(&plan, SLOT_BIND, EACCES);
	slot_is_shut(&plan, SLOT_LISTEN, EACCES);
	plan_clear(&plan);
	plan = plan_for(POLICY("net-allow-unix", "*"), nested, PLAN_IN_PLACE);
	slot_is_shut(&plan, SLOT_BIND, EACCES);
	slot_is_shut(&plan, SLOT_LISTEN, EACCES);
	plan_clear(&plan);
	plan = plan_for(POLICY("net-allow", "tcp://*", "net-allow-bind", "tcp://*"), nested, PLAN_IN_PLACE);
	slot_is_open(&plan, SLOT_CONNECT);
	slot_is_open(&plan, SLOT_BIND);
	slot_is_open(&plan, SLOT_LISTEN);
	plan_clear(&plan);
	ports.kernel = nested;
	ports.keys = POLICY("net-allow-bind", "tcp://80");
	expect(&ports);
	nested.under_gate = false;
	plan = plan_for(POLICY(), nested, PLAN_IN_PLACE);
	slot_is_open(&plan, SLOT_CONNECT);
	slot_is_open(&plan, SLOT_BIND);
	plan_clear(&plan);
}

/* What the first rule says to our own question: EALREADY under a gate, EISCONN under a filter. */
static void the_filter_tells_a_second_confinement_what_it_is_in(void **state)
{
	struct kernel nested = kernel_full;
	struct plan plan = plan_plain(POLICY());

	(void)state;
	assert_int_equal(plan.slots[SLOT_SECCOMP].rules[0].answer.error, EISCONN);
	plan_clear(&plan);
	plan = plan_plain(POLICY(ADDRESSES));
	assert_int_equal(plan.slots[SLOT_SECCOMP].rules[0].answer.error, EALREADY);
	plan_clear(&plan);
	nested.under_gate = nested.under_filter = true;
	plan = plan_for(POLICY(), nested, PLAN_IN_PLACE);
	assert_int_equal(plan.slots[SLOT_SECCOMP].rules[0].answer.error, EALREADY);
	plan_clear(&plan);
	nested.under_gate = false;
	plan = plan_for(POLICY(), nested, PLAN_IN_PLACE);
	assert_int_equal(plan.slots[SLOT_SECCOMP].rules[0].answer.error, EISCONN);
	plan_clear(&plan);
}

static void groups_open_their_slot_and_no_other(void **state)
{
	struct plan plan = plan_plain(POLICY());

	(void)state;
	slot_is_shut(&plan, SLOT_SYSV_IPC, EPERM);
	slot_is_shut(&plan, SLOT_POSIX_MQ, EPERM);
	plan_clear(&plan);
	plan = plan_plain(POLICY("allow-syscalls", "sysv_ipc"));
	slot_is_open(&plan, SLOT_SYSV_IPC);
	slot_is_shut(&plan, SLOT_POSIX_MQ, EPERM);
	plan_clear(&plan);
	plan = plan_plain(POLICY("allow-syscalls", "posix_mq"));
	slot_is_shut(&plan, SLOT_SYSV_IPC, EPERM);
	slot_is_open(&plan, SLOT_POSIX_MQ);
	/* Landlock judges the opening of a queue as that of a file. */
	assert_int_equal(plan.grant_count, 1);
	assert_true(plan.grants[0].if_exists);
	plan_clear(&plan);
	plan = plan_plain(POLICY("allow-syscalls", "posix_mq,sysv_ipc", "allow-syscalls", "sysv_ipc"));
	slot_is_open(&plan, SLOT_SYSV_IPC);
	slot_is_open(&plan, SLOT_POSIX_MQ);
	plan_clear(&plan);
}

static void denied_calls_are_collected(void **state)
{
	struct plan plan = plan_plain(POLICY("deny-syscall", "chown,fchown", "deny-syscall", "kill,mount"));
	static const int numbers[] = {92, 93, 62, 165};

	(void)state;
	assert_int_equal(plan.denied_count, 4);
	assert_memory_equal(plan.denied, numbers, sizeof(numbers));
	plan_clear(&plan);
}

static void what_is_denied_and_needed_or_opened_is_a_conflict(void **state)
{
	struct expectation row = {.why = "conflict", .kernel = kernel_full, .mode = PLAN_LAUNCH};

	(void)state;
	row.code = -EINVAL;
	row.keys = POLICY("deny-syscall", "kill,connect", ADDRESSES);
	row.words[0] = "deny-syscall";
	row.words[1] = "connect";
	row.words[2] = "net-allow";
	expect(&row);
	row.code = 0;
	row.keys = POLICY("deny-syscall", "kill,connect", "net-allow", "tcp://:443");
	expect(&row);
	row.keys = POLICY("deny-syscall", "connect");
	expect(&row);

	row.code = -EINVAL;
	row.keys = POLICY("deny-syscall", "shmget", "allow-syscalls", "sysv_ipc");
	row.words[1] = "shmget";
	row.words[2] = "allow-syscalls";
	expect(&row);
	row.keys = POLICY("allow-syscalls", "sysv_ipc,posix_mq", "deny-syscall", "mq_open");
	row.words[1] = "mq_open";
	expect(&row);
	/* Closed is what they are, so denying them is no contradiction; nor is the other group. */
	row.code = 0;
	row.keys = POLICY("deny-syscall", "shmget,mq_open");
	expect(&row);
	row.keys = POLICY("deny-syscall", "mq_open", "allow-syscalls", "sysv_ipc");
	expect(&row);
}

static void views_ask_about_what_they_show(void **state)
{
	struct plan name = plan_plain(POLICY("name", "box")), cpus = plan_plain(POLICY("num-cpus", "3")),
		    both = plan_plain(POLICY("num-cpus", "1", "name", "box")), none = plan_plain(POLICY());
	const struct plan *plans[] = {&name, &cpus, &both, &none};
	static const char *const reasons[] = {"name", "num-cpus", "name and num-cpus", NULL};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		const struct slot_plan *slots = plans[i]->slots;

		assert_int_equal(plans[i]->supervised, i < 3);
		if (i < 3)
			assert_string_equal(plans[i]->reason, reasons[i]);
		assert_int_equal(slot_asks(&slots[SLOT_UNAME]), i == 0 || i == 2);
		assert_int_equal(slot_asks(&slots[SLOT_SCHED_GETAFFINITY]), i == 1 || i == 2);
		for (int slot = SLOT_OPEN; slot <= SLOT_OPENAT2; slot++)
			assert_int_equal(slot_asks(&slots[slot]), i < 3);
		/* Nothing of the network is asked about for it. */
		assert_false(slot_asks(&slots[SLOT_CONNECT]) || slot_asks(&slots[SLOT_BIND]));
	}
	assert_non_null(both.name); /* the policy's, which is gone */
	assert_int_equal(both.num_cpus, 1);
	assert_int_equal(cpus.num_cpus, 3);
	assert_null(cpus.name);
	assert_int_equal(name.num_cpus, 0);
	for (size_t i = 0; i < 4; i++)
		plan_clear((struct plan *)plans[i]);
}

static void what_a_view_answers_cannot_be_denied(void **state)
{
	struct kernel nested = kernel_full;
	struct expectation rows[] = {
		{.why = "uname is answered",
	         .kernel = kernel_full,
	         .keys = POLICY("name", "box", "deny-syscall", "uname", "net-allow", "192.0.2.1"),
	         .code = -EINVAL,
	         .words = {"uname conflicts", "with name:"}},
		{.why = "opens are answered",
	         .kernel = kernel_full,
	         .keys = POLICY("num-cpus", "2", "deny-syscall", "openat2"),
	         .code = -EINVAL,
	         .words = {"openat2 conflicts", "with num-cpus:"}},
		{.why = "the mask is answered",
	         .kernel = kernel_full,
	         .keys = POLICY("num-cpus", "2", "name", "b", "deny-syscall", "sched_getaffinity"),
	         .code = -EINVAL,
	         .words = {"sched_getaffinity", "with num-cpus:"}},
		{.why = "uname is not",
	         .kernel = kernel_full,
	         .keys = POLICY("num-cpus", "2", "deny-syscall", "uname,creat"),
	         .code = 0},
		{.why = "no second supervisor",
	         .kernel = nested,
	         .keys = POLICY("name", "box"),
	         .code = -EBUSY,
	         .words = {"name", "supervisor", "second"}},
	};

	(void)state;
	rows[4].kernel.under_gate = rows[4].kernel.under_filter = true;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		expect(&rows[i]);
}

static void port_remap_asks_about_ports(void **state)
{
	static const enum slot asked[] = {SLOT_CONNECT, SLOT_BIND, SLOT_LISTEN, SLOT_GETSOCKNAME,
	                                  SLOT_GETPEERNAME};
	struct plan with = plan_plain(
			    POLICY("net-allow", "tcp://*", "net-allow-bind", "80", "port-remap", "")),
		    without = plan_plain(POLICY("net-allow", "tcp://*", "net-allow-bind", "tcp://80"));
	struct expectation rows[] = {
		{.why = "getsockname is answered",
	         .kernel = kernel_full,
	         .keys = POLICY("port-remap", "", "deny-syscall", "getsockname"),
	         .code = -EINVAL,
	         .words = {"getsockname", "port-remap"}},
		{.why = "a map of nothing",
	         .kernel = kernel_full,
	         .keys = POLICY("port-map-fd", "3"),
	         .code = -EINVAL,
	         .words = {"port-map-fd", "port-remap"}},
	};

	(void)state;
	assert_string_equal(with.reason, "port-remap");
	assert_false(without.supervised);
	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
		assert_int_equal(with.slots[asked[i]].otherwise.kind, ANSWER_NOTIFY);
		assert_int_equal(without.slots[asked[i]].otherwise.kind, ANSWER_ALLOW);
	}
	assert_int_equal(with.slots[SLOT_ACCEPT].count, 1);
	assert_int_equal(without.slots[SLOT_ACCEPT].count, 0);
	/* Landlock grants no port: it would see what the port is, and not what was asked for. */
	ports_are(&with.bind_ports, "");
	ports_are(&without.bind_ports, "80-80");
	plan_clear(&with);
	plan_clear(&without);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		expect(&rows[i]);
}

static void denying_has_a_bound_and_says_so(void **state)
{
	struct expectation row = {
		.why = "bound", .kernel = kernel_full, .words = {"deny-syscall", "201", "200"}};
	const char *keys[2 * 201 + 1] = {NULL};

	(void)state;
	for (size_t i = 0; i < 200; i++) {
		keys[2 * i] = "deny-syscall";
		keys[2 * i + 1] = "chown";
	}
	row.keys = keys;
	expect(&row);
	keys[400] = "deny-syscall";
	keys[401] = "fchown";
	row.code = -E2BIG;
	expect(&row);
}

static void limits_close_the_way_back_up(void **state)
{
	struct plan free = plan_plain(POLICY()), limited = plan_plain(POLICY("max-file-size", "1.5K"));

	(void)state;
	assert_false(free.limit_file_size);
	slot_is_open(&free, SLOT_SETRLIMIT);
	slot_is_open(&free, SLOT_FALLOCATE);
	assert_true(limited.limit_file_size);
	assert_int_equal(limited.max_file_size, 1536);
	assert_int_equal(limited.slots[SLOT_SETRLIMIT].count, 1);
	assert_int_equal(limited.slots[SLOT_FALLOCATE].otherwise.kind, ANSWER_ERRNO);
	assert_int_equal(limited.slots[SLOT_PRLIMIT64].count, free.slots[SLOT_PRLIMIT64].count + 1);
	plan_clear(&free);
	plan_clear(&limited);
	/* The last one wins. */
	limited = plan_plain(POLICY("max-file-size", "9", "max-file-size", "0"));
	assert_true(limited.limit_file_size);
	assert_int_equal(limited.max_file_size, 0);
	plan_clear(&limited);
}

static void limit_is(const struct plan *plan, enum limit_id id, uint64_t soft, uint64_t hard, bool capped)
{
	const struct limit *limit = &plan->child.limits[id];

	assert_true(limit->wanted);
	assert_int_equal(limit->soft, soft);
	assert_int_equal(limit->hard, hard);
	assert_int_equal(limit->capped, capped);
}

static void limits_are_read_by_name(void **state)
{
	const uint64_t none = UINT64_MAX;
	struct plan plan =
		plan_plain(POLICY("rlimit", "as=1G", "rlimit", "as=1.5K:2M", "rlimit", "cpu=3:unlimited",
	                          "rlimit", "nice=20", "rlimit", "stack=unlimited", "max-open-files", "64",
	                          "no-coredump", "yes", "rlimit", "rttime=1000000"));
	static const enum limit_id wanted[] = {LIMIT_AS,     LIMIT_CPU,  LIMIT_NICE,  LIMIT_STACK,
	                                       LIMIT_NOFILE, LIMIT_CORE, LIMIT_RTTIME};
	size_t found = 0;

	(void)state;
	limit_is(&plan, LIMIT_AS, 1536, 2 << 20, false);
	limit_is(&plan, LIMIT_CPU, 3, none, false);
	limit_is(&plan, LIMIT_NICE, 20, 20, false);
	limit_is(&plan, LIMIT_STACK, none, none, false);
	limit_is(&plan, LIMIT_RTTIME, 1000000, 1000000, false);
	limit_is(&plan, LIMIT_NOFILE, 64, 64, true);
	limit_is(&plan, LIMIT_CORE, 0, 0, true);
	for (size_t i = 0; i < LIMIT_COUNT; i++)
		found += plan.child.limits[i].wanted;
	assert_int_equal(found, sizeof(wanted) / sizeof(wanted[0]));
	plan_clear(&plan);
	/* max-file-size has its own place, in the walls. */
	plan = plan_plain(POLICY("max-file-size", "1M"));
	assert_null(child_limit_key(&plan.child));
	plan_clear(&plan);
	plan = plan_plain(POLICY());
	assert_null(child_limit_key(&plan.child));
	plan_clear(&plan);
}

static void one_limit_has_one_key(void **state)
{
	const struct expectation rows[] = {
		{"descriptors",
	         kernel_full,
	         PLAN_LAUNCH,
	         POLICY("max-open-files", "9", "rlimit", "nofile=9"),
	         -EINVAL,
	         {"max-open-files", "rlimit", "nofile"}},
		{"core",
	         kernel_full,
	         PLAN_IN_PLACE,
	         POLICY("no-coredump", "", "rlimit", "core=0"),
	         -EINVAL,
	         {"no-coredump", "rlimit", "core"}},
		{"files",
	         kernel_full,
	         PLAN_LAUNCH,
	         POLICY("rlimit", "fsize=1M", "max-file-size", "1M"),
	         -EINVAL,
	         {"max-file-size", "rlimit", "fsize"}},
		{"others",
	         kernel_full,
	         PLAN_LAUNCH,
	         POLICY("rlimit", "as=1M", "max-file-size", "1M"),
	         0,
	         {0}},
		{"denied",
	         kernel_full,
	         PLAN_LAUNCH,
	         POLICY("rlimit", "as=1M", "deny-syscall", "prlimit64"),
	         -EINVAL,
	         {"prlimit64", "rlimit"}},
		{"denied without", kernel_full, PLAN_LAUNCH, POLICY("deny-syscall", "prlimit64"), 0, {0}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		expect(&rows[i]);
}

static void what_a_running_program_cannot_have_is_refused_at_once(void **state)
{
	const char *const *launch_only = POLICY("user", "1:1", "env", "A=b", "clean-env", "", "env-pass", "X",
	                                        "env-safe", "", "no-randomize-memory", "", "gpu", "0");
	const char *const *both =
		POLICY("cwd", "/", "umask", "022", "cpu-cores", "0", "no-coredump", "", "no-huge-pages", "",
	               "max-open-files", "9", "rlimit", "as=1G", "gpu", "all");
	const struct expectation rows[] = {
		{"in place",
	         kernel_full,
	         PLAN_IN_PLACE,
	         launch_only,
	         -EINVAL,
	         {"no-randomize-memory, user, clean-env, env-pass, env-safe, env, gpu"}},
		{"launched", kernel_full, PLAN_LAUNCH, launch_only, 0, {0}},
		{"one of them", kernel_full, PLAN_IN_PLACE, POLICY("env", "A=b"), -EINVAL, {"in place: env"}},
		{"the others, in place", kernel_full, PLAN_IN_PLACE, both, 0, {0}},
		{"the others, launched", kernel_full, PLAN_LAUNCH, both, 0, {0}},
		{"env-pass needs clean-env",
	         kernel_full,
	         PLAN_LAUNCH,
	         POLICY("env-pass", "X"),
	         -EINVAL,
	         {"env-pass", "clean-env"}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		expect(&rows[i]);
}

static void what_is_set_up_before_the_walls_stays(void **state)
{
	struct plan bare = plan_plain(POLICY());
	struct plan plan = plan_plain(POLICY("cpu-cores", "0-1,64,1023", "no-huge-pages", "",
	                                     "no-randomize-memory", "", "umask", "027", "user", "7:8"));

	(void)state;
	slot_is_open(&bare, SLOT_SCHED_SETAFFINITY);
	assert_int_equal(plan.slots[SLOT_SCHED_SETAFFINITY].otherwise.kind, ANSWER_ERRNO);
	assert_int_equal(plan.slots[SLOT_SCHED_SETAFFINITY].otherwise.error, EPERM);
	assert_int_equal(plan.slots[SLOT_SCHED_SETAFFINITY].count, 0);
	assert_int_equal(plan.slots[SLOT_SCHED_SETATTR].otherwise.kind, ANSWER_ALLOW);
	assert_int_equal(plan.slots[SLOT_PRCTL].count, bare.slots[SLOT_PRCTL].count + 2);
	assert_int_equal(plan.slots[SLOT_PERSONALITY].count, bare.slots[SLOT_PERSONALITY].count + 1);
	assert_int_equal(plan.child.core_mask[0], 3);
	assert_int_equal(plan.child.core_mask[1], 1);
	assert_true(plan.child.core_mask[15] == 1ul << 63);
	assert_int_equal(plan.child.mask, 027);
	assert_true(plan.child.user && plan.child.uid == 7 && plan.child.gid == 8);
	plan_clear(&bare);
	plan_clear(&plan);
}

/* The access of a granted path; 0 when it is not granted. */
static uint64_t access_of(const char *const keys[], const char *path)
{
	struct plan plan;
	sl_policy *policy = policy_of(keys);
	uint64_t access = 0;

	assert_int_equal(plan_of(&plan, policy, &kernel_full, PLAN_LAUNCH, NULL), 0);
	for (size_t i = 0; i < plan.grant_count; i++) {
		if (strcmp(plan.grants[i].path, path) != 0)
			continue;
		assert_true(plan.grants[i].if_exists);
		access = plan.grants[i].access;
	}
	plan_clear(&plan);
	sl_policy_free(policy);
	return access;
}

static void gpu_grants_devices_by_number(void **state)
{
	enum { DEVICE = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 15, LOOK = 1 << 2 | 1 << 3 };
	static const struct {
		const char *path;
		uint64_t all, two;
	} rows[] = {
		{"/dev/nvidiactl", DEVICE, DEVICE},
		{"/dev/nvidia-uvm", DEVICE, DEVICE},
		{"/dev/nvidia-uvm-tools", DEVICE, DEVICE},
		{"/dev/kfd", DEVICE, DEVICE},
		{"/dev/dri", DEVICE, 0},
		{"/dev/nvidia0", DEVICE, DEVICE},
		{"/dev/nvidia1", DEVICE, 0},
		{"/dev/nvidia2", DEVICE, 0},
		{"/dev/nvidia31", DEVICE, DEVICE},
		{"/proc/driver/nvidia", LOOK, LOOK},
		{"/sys/bus/pci/devices", LOOK, LOOK},
		{"/sys/module/nvidia", LOOK, LOOK},
		{"/dev", 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(access_of(POLICY(), rows[i].path), 0);
		assert_int_equal(access_of(POLICY("gpu", "all"), rows[i].path), rows[i].all);
		assert_int_equal(access_of(POLICY("gpu", "31,0"), rows[i].path), rows[i].two);
	}
}

static void kept_descriptors_are_sorted_and_unique(void **state)
{
	struct plan plan = plan_plain(POLICY("keep-fd", "2147483647", "keep-fd", "9", "keep-fd", "1",
	                                     "keep-fd", "9", "keep-fd", "007"));
	static const int wanted[] = {0, 1, 2, 7, 9, 2147483647};

	(void)state;
	assert_int_equal(plan.keep_count, 6);
	assert_memory_equal(plan.keep_fds, wanted, sizeof(wanted));
	assert_false(plan.strict_fds);
	plan_clear(&plan);
	plan = plan_plain(POLICY("strict-fds", "yes"));
	assert_int_equal(plan.keep_count, 3);
	assert_true(plan.strict_fds);
	plan_clear(&plan);
}

/* Rights by their number in landlock(7), not by our names for sets of them. */
static void grants_carry_what_their_key_says(void **state)
{
	enum {
		EXECUTE = 1,
		WRITE_FILE = 2,
		READ_FILE = 4,
		READ_DIR = 8,
		MAKE_CHAR = 1 << 6,
		MAKE_BLOCK = 1 << 11
	};
	sl_policy *policy = policy_of(
		POLICY("fs-write", "/w", "fs-read", "/r", "fs-read-if-exists", "/i", "fs-read", "/r2"));
	const uint64_t read = EXECUTE | READ_FILE | READ_DIR, write = 0xffff & ~(MAKE_CHAR | MAKE_BLOCK);
	const struct {
		const char *path;
		uint64_t access;
		bool if_exists;
	} wanted[] = {{"/r", read, false}, {"/r2", read, false}, {"/w", write, false}, {"/i", read, true}};
	struct plan plan;

	(void)state;
	assert_int_equal(plan_of(&plan, policy, &kernel_full, PLAN_LAUNCH, NULL), 0);
	assert_int_equal(plan.grant_count, 4);
	for (size_t i = 0; i < 4; i++) {
		assert_string_equal(plan.grants[i].path, wanted[i].path);
		assert_int_equal(plan.grants[i].access, wanted[i].access);
		assert_int_equal(plan.grants[i].if_exists, wanted[i].if_exists);
	}
	plan_clear(&plan);
	sl_policy_free(policy);
}

static bool grants_path(const char *const keys[], const char *path)
{
	struct plan plan;
	sl_policy *policy = policy_of(keys);
	bool found = false;

	assert_int_equal(plan_of(&plan, policy, &kernel_full, PLAN_LAUNCH, NULL), 0);
	for (size_t i = 0; i < plan.grant_count; i++)
		found |= strcmp(plan.grants[i].path, path) == 0;
	plan_clear(&plan);
	sl_policy_free(policy);
	return found;
}

/* The policy DNS is the one place that knows names then; who asks for the file gets it. */
static void host_names_hide_the_hosts_file(void **state)
{
	(void)state;
	assert_true(grants_path(POLICY("fs-system", "yes", "net-allow", "192.0.2.1:80"), "/etc/hosts"));
	assert_false(grants_path(POLICY("fs-system", "yes", "net-allow", "*.example.org:80"), "/etc/hosts"));
	assert_true(
		grants_path(POLICY("fs-system", "yes", "net-allow", "*.example.org:80"), "/etc/resolv.conf"));
	assert_true(
		grants_path(POLICY("fs-read", "/etc/hosts", "net-allow", "*.example.org:80"), "/etc/hosts"));
}

static void fs_system_grants_no_write_but_to_harmless_devices(void **state)
{
	static const char *const devices[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random",
	                                      "/dev/urandom"};
	sl_policy *policy = policy_of(POLICY("fs-system", "yes"));
	size_t found = 0;
	struct plan plan;

	(void)state;
	assert_int_equal(plan_of(&plan, policy, &kernel_full, PLAN_LAUNCH, NULL), 0);
	assert_true(plan.grant_count > 20);
	for (size_t i = 0; i < plan.grant_count; i++) {
		const struct path_grant *grant = &plan.grants[i];
		bool device = false;

		assert_true(grant->if_exists);
		assert_int_equal(grant->path[0], '/');
		for (size_t j = 0; j < 5; j++)
			device |= strcmp(grant->path, devices[j]) == 0;
		found += device;
		/* read, write and truncate on a device; execute, read and list on the rest */
		if (grant->access != (device ? 0x4006 : 0x000d))
			fail_msg("%s: %#llx", grant->path, (unsigned long long)grant->access);
		if (strcmp(grant->path, "/") == 0 || strcmp(grant->path, "/etc") == 0 ||
		    strcmp(grant->path, "/dev") == 0 || strncmp(grant->path, "/proc", 5) == 0 ||
		    strncmp(grant->path, "/sys", 4) == 0 || strstr(grant->path, "shadow") != NULL)
			fail_msg("%s is granted", grant->path);
	}
	assert_int_equal(found, 5);
	plan_clear(&plan);
	sl_policy_free(policy);
}

/* The same inputs give the same plan, in words too, and printing says what is written down. */
static void a_plan_prints_the_same_twice(void **state)
{
	const char *const *policies[] = {
		POLICY(),
		POLICY("fs-system", "yes", ADDRESSES, "net-allow-bind", "80", "max-file-size", "1K",
	               "cpu-cores", "0-3", "user", "1:2", "rlimit", "stack=1M:unlimited", "no-coredump",
	               "yes"),
		POLICY("net-allow", "tcp://*", "net-allow-bind", "*", "net-allow-unix", "*", "deny-syscall",
	               "kill"),
	};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		char *texts[2] = {NULL, NULL};
		sl_policy *policy = policy_of(policies[i]);

		for (size_t j = 0; j < 2; j++) {
			size_t size = 0;
			FILE *out = open_memstream(&texts[j], &size);
			struct plan plan;

			assert_int_equal(plan_of(&plan, policy, &kernel_full, PLAN_LAUNCH, NULL), 0);
			assert_int_equal(plan_print(&plan, out), 0);
			fclose(out);
			plan_clear(&plan);
		}
		assert_string_equal(texts[0], texts[1]);
		/* Each system call of the table is there. */
		for (size_t j = 0; j < syscall_count; j++)
			if (strstr(texts[0], syscall_rows[j].name) == NULL && syscall_rows[j].value != ENOSYS)
				fail_msg("%s is not printed", syscall_rows[j].name);
		free(texts[0]);
		free(texts[1]);
		sl_policy_free(policy);
	}
}

static void a_full_disk_is_an_error_of_printing(void **state)
{
	FILE *full = fopen("/dev/full", "we");
	struct plan plan = plan_plain(POLICY());

	(void)state;
	assert_non_null(full);
	setvbuf(full, NULL, _IONBF, 0);
	assert_int_equal(plan_print(&plan, full), -EIO);
	fclose(full);
	plan_clear(&plan);
}

/* Options that a keeper is for: refused in place, all of them in one message, but for a name, which can be seen there. */
static void a_keeper_is_there_for_a_name_and_a_status(void **state)
{
	sl_policy *policy = policy_of(POLICY("name", "web", "status-fd", "7"));
	struct plan plan;
	sl_error error;

	(void)state;
	assert_int_equal(plan_of(&plan, policy, &kernel_full, PLAN_IN_PLACE, &error), -EINVAL);
	assert_ptr_equal(strstr(error.message, "status-fd: only where a command is started"), error.message);
	assert_int_equal(plan_of(&plan, policy, &kernel_full, PLAN_LAUNCH, &error), 0);
	assert_string_equal(plan.kept, "name");
	assert_int_equal(plan.status_fd, 7);
	plan_clear(&plan);
	sl_policy_free(policy);
	policy = policy_of(POLICY("status-fd", "7", "keep-fd", "8", "keep-fd", "7"));
	assert_int_equal(plan_of(&plan, policy, &kernel_full, PLAN_LAUNCH, &error), -EINVAL);
	assert_non_null(strstr(error.message, "keep-fd gives descriptor 7"));
	sl_policy_free(policy);
	policy = policy_of(POLICY("name", "web", "no-supervisor", ""));
	assert_int_equal(plan_of(&plan, policy, &kernel_full, PLAN_LAUNCH, &error), -EINVAL);
	assert_non_null(strstr(error.message, "name"));
	sl_policy_free(policy);
	plan = plan_plain(POLICY());
	assert_int_equal(plan.status_fd, -1);
	plan_clear(&plan);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(landlock_below_abi_6_is_refused_by_name),
		cmocka_unit_test(a_keeper_is_there_for_a_name_and_a_status),
		cmocka_unit_test(degrade_names_what_may_be_missing),
		cmocka_unit_test(without_landlock_ports_the_supervisor_judges_tcp),
		cmocka_unit_test(explain_names_what_an_older_landlock_loses),
		cmocka_unit_test(sends_are_asked_about_only_where_a_socket_can_take_an_address),
		cmocka_unit_test(what_takes_away_needs_something_to_take_from),
		cmocka_unit_test(every_abi_from_6_on_gives_the_same_walls),
		cmocka_unit_test(a_supervisor_needs_its_kernel_features_and_only_it_does),
		cmocka_unit_test(yama_decides_by_who_is_the_parent),
		cmocka_unit_test(the_cure_for_yama_1_is_to_be_launched),
		cmocka_unit_test(no_second_supervisor),
		cmocka_unit_test(no_supervisor_beside_somebody_elses),
		cmocka_unit_test(network_rules_become_ports_or_a_gate),
		cmocka_unit_test(binding_opens_listen),
		cmocka_unit_test(a_supervisor_answers_listen_where_some_ports_are_granted),
		cmocka_unit_test(any_address_opens_the_sends_that_connect),
		cmocka_unit_test(the_supervisor_is_guarded_only_where_there_is_one),
		cmocka_unit_test(what_the_supervisor_can_do_itself_needs_no_rule),
		cmocka_unit_test(inside_a_gate_a_closed_net_is_closed_in_the_filter),
		cmocka_unit_test(the_filter_tells_a_second_confinement_what_it_is_in),
		cmocka_unit_test(groups_open_their_slot_and_no_other),
		cmocka_unit_test(denied_calls_are_collected),
		cmocka_unit_test(what_is_denied_and_needed_or_opened_is_a_conflict),
		cmocka_unit_test(views_ask_about_what_they_show),
		cmocka_unit_test(what_a_view_answers_cannot_be_denied),
		cmocka_unit_test(port_remap_asks_about_ports),
		cmocka_unit_test(denying_has_a_bound_and_says_so),
		cmocka_unit_test(limits_close_the_way_back_up),
		cmocka_unit_test(limits_are_read_by_name),
		cmocka_unit_test(one_limit_has_one_key),
		cmocka_unit_test(what_a_running_program_cannot_have_is_refused_at_once),
		cmocka_unit_test(what_is_set_up_before_the_walls_stays),
		cmocka_unit_test(gpu_grants_devices_by_number),
		cmocka_unit_test(kept_descriptors_are_sorted_and_unique),
		cmocka_unit_test(grants_carry_what_their_key_says),
		cmocka_unit_test(host_names_hide_the_hosts_file),
		cmocka_unit_test(fs_system_grants_no_write_but_to_harmless_devices),
		cmocka_unit_test(a_plan_prints_the_same_twice),
		cmocka_unit_test(a_full_disk_is_an_error_of_printing),
	};

	return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
