/* Policy x kernel -> plan. Pure: it asks nothing of the system, so a unit test can be any kernel. */
#include "core/plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/error.h"
#include "core/parse.h"

static int kernel_check(const struct kernel *kernel, sl_error *error)
{
	if (kernel->landlock_abi == 0)
		return error_set(
			error, -ENOTSUP,
			"this kernel gives no Landlock (needs ABI %d, Linux 6.12): is \"landlock\" in "
			"the lsm= boot parameter?",
			SL_ABI_MIN);
	if (kernel->landlock_abi < SL_ABI_MIN)
		return error_set(
			error, -ENOTSUP,
			"this kernel has Landlock ABI %d, needed is %d (Linux 6.12): TCP rules and the "
			"scopes of signals and abstract sockets",
			kernel->landlock_abi, SL_ABI_MIN);
	return 0;
}

/* A second listener: the kernel gives a task one, and our own filter refuses to hear of another. */
static int gate_check(const struct kernel *kernel, enum plan_mode mode, sl_error *error)
{
	if (kernel->under_gate || kernel->under_filter)
		return error_set(
			error, -EBUSY,
			"net-allow with addresses needs a supervisor, and a confined process cannot get "
			"%s one: seccomp(2) allows one listener",
			kernel->under_gate ? "a second" : "its first");
	if (kernel->foreign_listener)
		return error_set(
			error, -EBUSY,
			"net-allow with addresses needs a supervisor, and another program supervises this "
			"process already: seccomp(2) allows one listener");
	if (!kernel->notify || !kernel->wait_killable || !kernel->pidfd_getfd)
		return error_set(error, -ENOTSUP,
		                 "net-allow with addresses needs a supervisor, and this kernel lacks %s",
		                 !kernel->notify ? "seccomp user notification"
		                 : !kernel->wait_killable
		                         ? "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (Linux 5.19)"
		                         : "pidfd_getfd(2) (Linux 5.6)");
	if (kernel->yama >= 3 || (kernel->yama == 2 && !kernel->ptrace_capable) ||
	    (kernel->yama == 1 && mode == PLAN_IN_PLACE && !kernel->ptrace_capable))
		return error_set(
			error, -ENOTSUP,
			"net-allow with addresses needs a supervisor, and kernel.yama.ptrace_scope=%d "
			"keeps it from the program's sockets; %s",
			kernel->yama,
			kernel->yama == 1 ? "start the program with `sluice run`"
					  : "use any-address rules (:PORT)");
	return 0;
}

/* What a supervisor lets through it does outside of our Landlock domain: an inner policy by port would
 * look narrower and not be. */
static int nested_check(const struct plan_net *net, const struct kernel *kernel, sl_error *error)
{
	if (kernel->under_gate && !net->out->tcp_any && net->out->any_ports.count > 0)
		return error_set(error, -EBUSY,
		                 "net-allow by port under a supervisor would not bind it; allow * here, or "
		                 "nothing, or put the rules into the outer policy");
	return 0;
}

static int grant_add(struct plan *plan, const char *path, uint64_t access, bool if_exists)
{
	/* Grown by doubling, as port_set_add() does. */
	if ((plan->grant_count & (plan->grant_count - 1)) == 0) {
		size_t room = plan->grant_count == 0 ? 1 : plan->grant_count * 2;
		struct path_grant *grants = reallocarray(plan->grants, room, sizeof(*grants));

		if (grants == NULL)
			return -ENOMEM;
		plan->grants = grants;
	}
	plan->grants[plan->grant_count++] =
		(struct path_grant){.path = path, .access = access, .if_exists = if_exists};
	return 0;
}

static int grants_add(struct plan *plan, const struct value_list *paths, uint64_t access, bool if_exists)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < paths->count; i++)
		r = grant_add(plan, paths->items[i], access, if_exists);
	return r;
}

#define SYSTEM_ACCESS_READ   FS_READ_ACCESS
#define SYSTEM_ACCESS_DEVICE FS_DEVICE_ACCESS

static int system_grants_add(struct plan *plan)
{
	static const struct path_grant system_paths[] = {
#define SYSTEM_PATH(path, access) {path, SYSTEM_ACCESS_##access, true},
#include "core/system_paths.def"
#undef SYSTEM_PATH
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(system_paths) / sizeof(system_paths[0]); i++)
		r = grant_add(plan, system_paths[i].path, system_paths[i].access, true);
	return r;
}

static int plan_files(struct plan *plan, const sl_policy *policy)
{
	int r;

	/* Every right of ABI 5 and up, so that what is not granted is refused. */
	plan->handled_fs = (LANDLOCK_ACCESS_FS_IOCTL_DEV << 1) - 1;
	if ((r = grants_add(plan, &policy->values[OPTION_FS_READ], FS_READ_ACCESS, false)) < 0 ||
	    (r = grants_add(plan, &policy->values[OPTION_FS_WRITE], FS_WRITE_ACCESS, false)) < 0 ||
	    (r = grants_add(plan, &policy->values[OPTION_FS_READ_IF_EXISTS], FS_READ_ACCESS, true)) < 0)
		return r;
	return policy_has(policy, OPTION_FS_SYSTEM) ? system_grants_add(plan) : 0;
}

static int port_set_copy(struct port_set *to, const struct port_set *from)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < from->count; i++)
		r = port_set_add(to, from->ranges[i].low, from->ranges[i].high);
	port_set_normalize(to);
	return r;
}

static int plan_network(struct plan *plan, const struct plan_net *net)
{
	int r;

	if (!net->out->tcp_any)
		plan->handled_net |= LANDLOCK_ACCESS_NET_CONNECT_TCP;
	if (!net->bind_any)
		plan->handled_net |= LANDLOCK_ACCESS_NET_BIND_TCP;
	plan->scoped = LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | LANDLOCK_SCOPE_SIGNAL;
	plan->supervised = net->out->gate;
	if ((r = port_set_copy(&plan->connect_ports, &net->out->any_ports)) < 0)
		return r;
	return port_set_copy(&plan->bind_ports, net->bind_ports);
}

static void slot_skip_first(struct slot_plan *slot)
{
	slot->rules++;
	slot->count--;
}

static void slot_open(struct slot_plan *slot, const char *why)
{
	*slot = (struct slot_plan){.otherwise = {.kind = ANSWER_ALLOW}, .why = why};
}

static void slot_refuse(struct slot_plan *slot, int code, const char *why)
{
	*slot = (struct slot_plan){.otherwise = {.kind = ANSWER_ERRNO, .error = code}, .why = why};
}

static void slot_ask(struct slot_plan *slot, const char *why)
{
	*slot = (struct slot_plan){.otherwise = {.kind = ANSWER_NOTIFY}, .why = why};
}

static void slots_plan_connect(struct plan *plan, const struct plan_net *net, const struct kernel *kernel)
{
	struct slot_plan *connect = &plan->slots[SLOT_CONNECT];

	if (plan->supervised)
		slot_ask(connect, "net-allow names addresses, and those are in memory");
	else if (kernel->under_gate && !net->out->tcp_any)
		slot_refuse(connect, EACCES, "no net-allow, and the supervisor above would not know");
	if (net->out->tcp_any) {
		slot_open(&plan->slots[SLOT_SENDTO], "any TCP address is allowed");
		slot_open(&plan->slots[SLOT_SENDMSG], "any TCP address is allowed");
		slot_open(&plan->slots[SLOT_SENDMMSG], "any TCP address is allowed");
	}
}

/* An unbound listen(2) takes an ephemeral port on every address, and Landlock does not see it. */
static void slots_plan_bind(struct plan *plan, const struct plan_net *net, bool unix_allowed)
{
	if (!net->bind_any && net->bind_ports->count == 0 && !unix_allowed)
		slot_refuse(&plan->slots[SLOT_LISTEN], EACCES,
		            "no net-allow-bind, and listen binds by itself");
	else if (!net->bind_any && plan->supervised)
		slot_ask(&plan->slots[SLOT_LISTEN], "it binds by itself where bind was not called");
	if (!unix_allowed) {
		slot_skip_first(&plan->slots[SLOT_SOCKET]);
		slot_skip_first(&plan->slots[SLOT_SOCKETPAIR]);
	}
}

static void slots_plan_gate(struct plan *plan, const struct kernel *kernel)
{
	bool under_gate = plan->supervised || kernel->under_gate;

	if (!plan->supervised) {
		slot_open(&plan->slots[SLOT_SCHED_SETAFFINITY], "no supervisor to protect");
		slot_open(&plan->slots[SLOT_SCHED_SETPARAM], "no supervisor to protect");
		slot_open(&plan->slots[SLOT_SCHED_SETSCHEDULER], "no supervisor to protect");
		slot_open(&plan->slots[SLOT_SCHED_SETATTR], "no supervisor to protect");
		slot_skip_first(&plan->slots[SLOT_SETPRIORITY]);
		slot_skip_first(&plan->slots[SLOT_IOPRIO_SET]);
	}
	if (!plan->supervised || kernel->ptrace_capable)
		slot_skip_first(&plan->slots[SLOT_PRCTL]);
	if (!plan->supervised || kernel->pidfd_thread)
		plan->slots[SLOT_CLONE].count--;
	/* The first query row says "gate", the second "filter"; the first match wins. */
	if (!under_gate)
		slot_skip_first(&plan->slots[SLOT_SECCOMP]);
}

static void slots_plan_limits(struct plan *plan)
{
	if (!plan->limit_file_size) {
		slot_skip_first(&plan->slots[SLOT_PRLIMIT64]);
		slot_open(&plan->slots[SLOT_SETRLIMIT], "own limits");
		slot_open(&plan->slots[SLOT_FALLOCATE], "no limit");
	}
}

static int group_open(const char *name, void *context)
{
	struct plan *plan = context;
	enum slot slot;
	int r = syscall_group_slot(name, &slot);

	if (r < 0)
		return r;
	slot_open(&plan->slots[slot], "allow-syscalls");
	/* Landlock judges the opening of a queue as that of a file, and sees it below its mount alone. */
	return slot == SLOT_POSIX_MQ ? grant_add(plan, "/dev/mqueue", FS_WRITE_ACCESS, true) : 0;
}

struct deny_context {
	struct plan *plan;
	sl_error *error;
};

static int syscall_deny(const char *name, void *context)
{
	struct deny_context *deny = context;
	struct plan *plan = deny->plan;
	const struct syscall_row *row = syscall_by_name(name);

	if (row->kind == SYSCALL_SLOT && plan->slots[row->value].otherwise.kind == ANSWER_NOTIFY)
		return error_set(
			deny->error, -EINVAL,
			"deny-syscall: %s conflicts with the address rules of net-allow: the supervisor "
			"answers it",
			name);
	if (row->kind == SYSCALL_SLOT && (row->value == SLOT_SYSV_IPC || row->value == SLOT_POSIX_MQ) &&
	    plan->slots[row->value].otherwise.kind == ANSWER_ALLOW)
		return error_set(deny->error, -EINVAL,
		                 "deny-syscall: %s is in a group that allow-syscalls opens", name);
	plan->denied[plan->denied_count++] = row->number;
	return 0;
}

/* One slot more than there are commas, for each value. */
static size_t names_count(const struct value_list *list)
{
	size_t count = list->count;

	for (size_t i = 0; i < list->count; i++)
		for (const char *at = list->items[i]; *at != '\0'; at++)
			count += *at == ',';
	return count;
}

static int plan_syscalls(struct plan *plan, const sl_policy *policy, sl_error *error)
{
	const struct value_list *groups = &policy->values[OPTION_ALLOW_SYSCALLS];
	const struct value_list *denied = &policy->values[OPTION_DENY_SYSCALL];
	struct deny_context context = {.plan = plan, .error = error};
	size_t most = names_count(denied);
	int r = 0;

	for (size_t i = 0; r == 0 && i < groups->count; i++)
		r = comma_each(groups->items[i], group_open, plan);
	if (r < 0 || most == 0)
		return r;
	/* Each is an instruction, and BPF jumps over 255 of them at the most. */
	if (most > 200)
		return error_set(error, -E2BIG, "deny-syscall: %zu names, at most 200", most);
	if ((plan->denied = calloc(most, sizeof(*plan->denied))) == NULL)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < denied->count; i++)
		r = comma_each(denied->items[i], syscall_deny, &context);
	return r;
}

static int number_compare(const void *left, const void *right)
{
	const int *a = left, *b = right;

	return (*a > *b) - (*a < *b);
}

/* 0 to 2 and what is named, sorted and unique, as fd_close_except() wants them. */
static int plan_fds(struct plan *plan, const sl_policy *policy)
{
	const struct value_list *keep = &policy->values[OPTION_KEEP_FD];
	size_t count = 0;

	plan->strict_fds = policy_has(policy, OPTION_STRICT_FDS);
	if ((plan->keep_fds = calloc(keep->count + 3, sizeof(*plan->keep_fds))) == NULL)
		return -ENOMEM;
	for (int fd = 0; fd < 3; fd++)
		plan->keep_fds[count++] = fd;
	for (size_t i = 0; i < keep->count; i++)
		plan->keep_fds[count++] = atoi(keep->items[i]);
	qsort(plan->keep_fds, count, sizeof(*plan->keep_fds), number_compare);
	plan->keep_count = 1;
	for (size_t i = 1; i < count; i++)
		if (plan->keep_fds[i] != plan->keep_fds[plan->keep_count - 1])
			plan->keep_fds[plan->keep_count++] = plan->keep_fds[i];
	return 0;
}

static void plan_limits(struct plan *plan, const sl_policy *policy)
{
	plan->limit_file_size = policy_has(policy, OPTION_MAX_FILE_SIZE);
	if (plan->limit_file_size)
		size_parse(policy_scalar(policy, OPTION_MAX_FILE_SIZE), &plan->max_file_size);
}

static int plan_fill(struct plan *plan, const sl_policy *policy, const struct plan_net *net,
                     const struct kernel *kernel, sl_error *error)
{
	int r;

	slots_default(plan->slots);
	plan_limits(plan, policy);
	if ((r = plan_files(plan, policy)) < 0 || (r = plan_network(plan, net)) < 0 ||
	    (r = plan_fds(plan, policy)) < 0)
		return error_errno(error, r, "plan");
	slots_plan_connect(plan, net, kernel);
	slots_plan_bind(plan, net, policy_has(policy, OPTION_NET_ALLOW_UNIX));
	slots_plan_gate(plan, kernel);
	slots_plan_limits(plan);
	if ((r = plan_syscalls(plan, policy, error)) == -ENOMEM)
		return error_errno(error, r, "plan");
	return r;
}

int plan_build(struct plan *plan, const sl_policy *policy, const struct plan_net *net,
               const struct kernel *kernel, enum plan_mode mode, sl_error *error)
{
	int r;

	*plan = (struct plan){.mode = mode};
	if ((r = kernel_check(kernel, error)) < 0 ||
	    (net->out->gate && (r = gate_check(kernel, mode, error)) < 0) ||
	    (r = nested_check(net, kernel, error)) < 0)
		return r;
	if ((r = plan_fill(plan, policy, net, kernel, error)) < 0)
		plan_clear(plan);
	return r;
}

void plan_clear(struct plan *plan)
{
	free(plan->grants);
	free(plan->denied);
	free(plan->keep_fds);
	port_set_clear(&plan->connect_ports);
	port_set_clear(&plan->bind_ports);
	*plan = (struct plan){0};
}
