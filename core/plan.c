/* Policy x kernel -> plan. Pure: it asks nothing of the system, so a unit test can be any kernel. */
#include "core/plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "core/error.h"
#include "core/fd.h"
#include "core/gpu.h"
#include "core/keep.h"
#include "core/parse.h"

static int kernel_check(const struct kernel *kernel, const sl_policy *policy, sl_error *error)
{
	static const struct {
		int abi;
		const char *name, *what, *since;
	} lacks[] = {
		{SL_ABI_SCOPES, "scopes", "the scopes of signals and abstract sockets", "6.12"},
		{SL_ABI_IOCTL, "ioctl", "judging ioctl on devices", "6.10"},
	};

	if (kernel->landlock_abi == 0)
		return error_set(
			error, -ENOTSUP,
			"this kernel gives no Landlock (needs ABI %d, Linux 6.12): is \"landlock\" in "
			"the lsm= boot parameter?",
			SL_ABI_SCOPES);
	if (kernel->landlock_abi < SL_ABI_MIN)
		return error_set(
			error, -ENOTSUP,
			"this kernel has Landlock ABI %d, needed is %d (Linux 6.12), and %d (6.2) at the very "
			"least: linking, renaming and truncating files",
			kernel->landlock_abi, SL_ABI_SCOPES, SL_ABI_MIN);
	for (size_t i = 0; i < sizeof(lacks) / sizeof(lacks[0]); i++)
		if (kernel->landlock_abi < lacks[i].abi && !policy_degrades(policy, lacks[i].name))
			return error_set(
				error, -ENOTSUP,
				"this kernel has Landlock ABI %d, needed is %d (Linux %s): %s; \"degrade "
				"%s\" goes without",
				kernel->landlock_abi, lacks[i].abi, lacks[i].since, lacks[i].what,
				lacks[i].name);
	return 0;
}

/* UDP and ping sockets exist where a rule of theirs does; and where names are asked for. */
static bool udp_exists(const struct plan_net *net)
{
	return net->out->extent[NET_UDP] != NET_NOTHING || net->binds->protocols[NET_UDP].named ||
	       net->out->names;
}

/* With port-remap the address says which port is meant, and the supervisor knows where that is. */
static bool udp_is_judged(const struct plan_net *net)
{
	return udp_exists(net) && (net->out->extent[NET_UDP] != NET_ALL || net->port_remap);
}

/* Sockets that take an address with each send, and not just any. */
static bool sends_are_judged(const struct plan_net *net)
{
	return udp_is_judged(net) || net->out->extent[NET_ICMP] == NET_PARTS ||
	       (net->unix_sockets.named && net->unix_sockets.datagrams);
}

static bool unix_is_allowed(const struct plan_net *net)
{
	return net->unix_sockets.any || net->unix_sockets.named;
}

/* Sockets on which connect(2) and bind(2) are no business of TCP. */
static bool others_exist(const struct plan_net *net)
{
	return unix_is_allowed(net) || udp_exists(net) || net->out->extent[NET_ICMP] != NET_NOTHING;
}

/* By the supervisor, in Landlock's place; where no socket may, by the filter, which does not see of which kind one is.
 */
static bool tcp_is_judged(const struct plan_net *net, const struct kernel *kernel, bool something)
{
	return kernel->landlock_abi < SL_ABI_NET && (something || others_exist(net));
}

static bool connects_are_judged(const struct plan_net *net, const struct kernel *kernel)
{
	enum net_extent tcp = net->out->extent[NET_TCP];

	return tcp == NET_PARTS || net->unix_sockets.named || net->port_remap || sends_are_judged(net) ||
	       (tcp != NET_ALL && tcp_is_judged(net, kernel, tcp != NET_NOTHING));
}

/* Where a connect of a unix socket is not left to the kernel: dispatch.c. */
static bool unix_is_judged(const struct plan_net *net, const struct kernel *kernel)
{
	return net->unix_sockets.named ||
	       (net->unix_sockets.any && (sends_are_judged(net) || (kernel->landlock_abi < SL_ABI_NET &&
	                                                            net->out->extent[NET_TCP] != NET_ALL)));
}

/* Landlock judges TCP alone. */
static bool binds_are_judged(const struct plan_net *net, const struct kernel *kernel)
{
	bool tcp_any = net->binds->protocols[NET_TCP].any;
	bool tcp_some = net->binds->protocols[NET_TCP].ports.count > 0;

	/* Of abstract names the supervisor has to know which were bound inside. */
	return unix_is_judged(net, kernel) || net->port_remap ||
	       (udp_exists(net) && !net->binds->protocols[NET_UDP].any) ||
	       (!tcp_any && tcp_is_judged(net, kernel, tcp_some || net->interfaces));
}

static bool tcp_has_parts(const struct plan_net *net, const struct kernel *kernel)
{
	(void)kernel;
	return net->out->extent[NET_TCP] == NET_PARTS && !net->out->names;
}

static bool icmp_has_parts(const struct plan_net *net, const struct kernel *kernel)
{
	(void)kernel;
	return net->out->extent[NET_ICMP] == NET_PARTS;
}

static bool names_exist(const struct plan_net *net, const struct kernel *kernel)
{
	(void)kernel;
	return net->out->names;
}

static bool ports_move(const struct plan_net *net, const struct kernel *kernel)
{
	(void)kernel;
	return net->port_remap;
}

static bool udp_asks(const struct plan_net *net, const struct kernel *kernel)
{
	(void)kernel;
	return udp_is_judged(net) && net->out->extent[NET_UDP] != NET_NOTHING;
}

static bool unix_has_paths(const struct plan_net *net, const struct kernel *kernel)
{
	(void)kernel;
	return net->unix_sockets.named;
}

static bool udp_binds_ask(const struct plan_net *net, const struct kernel *kernel)
{
	return udp_exists(net) && !net->port_remap && !net->unix_sockets.named &&
	       binds_are_judged(net, kernel);
}

static bool ports_lack_landlock(const struct plan_net *net, const struct kernel *kernel)
{
	return kernel->landlock_abi < SL_ABI_NET &&
	       (connects_are_judged(net, kernel) || binds_are_judged(net, kernel));
}

static bool both_are_shown(const struct plan_net *net, const struct kernel *kernel)
{
	(void)kernel;
	return net->name && net->num_cpus;
}

static bool name_is_shown(const struct plan_net *net, const struct kernel *kernel)
{
	(void)kernel;
	return net->name && !net->num_cpus;
}

static bool cpus_are_shown(const struct plan_net *net, const struct kernel *kernel)
{
	(void)kernel;
	return net->num_cpus && !net->name;
}

static bool forks_are_counted(const struct plan_net *net, const struct kernel *kernel)
{
	(void)kernel;
	return net->process_limit;
}

/* What the kernel cannot decide alone. */
static const struct {
	bool (*asks)(const struct plan_net *net, const struct kernel *kernel);
	const char *what;
} supervisions[] = {
	{names_exist, "net-allow with host names"},
	{tcp_has_parts, "net-allow with addresses"},
	{ports_move, "port-remap"},
	{udp_asks, "net-allow for UDP"},
	{icmp_has_parts, "net-allow for ICMP with addresses"},
	{unix_has_paths, "net-allow-unix with paths"},
	{udp_binds_ask, "net-allow-bind for UDP"},
	{forks_are_counted, "max-processes"},
	{both_are_shown, "name and num-cpus"},
	{name_is_shown, "name"},
	{cpus_are_shown, "num-cpus"},
	{ports_lack_landlock, "TCP by port on a kernel whose Landlock has no ports"},
};
enum { SUPERVISIONS = sizeof(supervisions) / sizeof(supervisions[0]) };

const char *plan_supervision(const struct plan_net *net, const struct kernel *kernel)
{
	for (size_t i = 0; i < SUPERVISIONS; i++)
		if (supervisions[i].asks(net, kernel))
			return supervisions[i].what;
	return NULL;
}

/* All of them in one message: whoever has to drop three wants to hear of three. */
static int alone_check(const sl_policy *policy, const struct plan_net *net, const struct kernel *kernel,
                       sl_error *error)
{
	char what[200];
	size_t used = keep_list(policy, what, sizeof(what));

	for (size_t i = 0; i < SUPERVISIONS; i++)
		if (supervisions[i].asks(net, kernel) && used < sizeof(what))
			used += (size_t)snprintf(what + used, sizeof(what) - used, "%s%s",
			                         used > 0 ? ", " : "", supervisions[i].what);
	if (used == 0)
		return 0;
	return error_set(error, -EINVAL, "no-supervisor is incompatible with: %s", what);
}

/* A second listener: the kernel gives a task one, and our own filter refuses to hear of another. */
static int gate_check(const char *reason, const struct kernel *kernel, enum plan_mode mode, sl_error *error)
{
	if (kernel->under_gate || kernel->under_filter)
		return error_set(error, -EBUSY,
		                 "%s needs a supervisor, and a confined process cannot get "
		                 "%s one: seccomp(2) allows one listener",
		                 reason, kernel->under_gate ? "a second" : "its first");
	if (kernel->foreign_listener)
		return error_set(error, -EBUSY,
		                 "%s needs a supervisor, and another program supervises this "
		                 "process already: seccomp(2) allows one listener",
		                 reason);
	if (!kernel->notify || !kernel->wait_killable || !kernel->pidfd_getfd)
		return error_set(error, -ENOTSUP, "%s needs a supervisor, and this kernel lacks %s", reason,
		                 !kernel->notify ? "seccomp user notification"
		                 : !kernel->wait_killable
		                         ? "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (Linux 5.19)"
		                         : "pidfd_getfd(2) (Linux 5.6)");
	if (kernel->yama >= 3 || (kernel->yama == 2 && !kernel->ptrace_capable) ||
	    (kernel->yama == 1 && mode == PLAN_IN_PLACE && !kernel->ptrace_capable))
		return error_set(
			error, -ENOTSUP,
			"%s needs a supervisor, and kernel.yama.ptrace_scope=%d keeps it out of the program; %s",
			reason, kernel->yama,
			kernel->yama == 1                        ? "start the program with `sluice run`"
			: strncmp(reason, "net-allow ", 10) == 0 ? "use any-address rules (tcp://*:PORT)"
								 : "go without, or lower that");
	return 0;
}

/* What a supervisor lets through it does outside of our Landlock domain: an inner policy by port would
 * look narrower and not be. */
static int nested_check(const struct plan_net *net, const struct kernel *kernel, sl_error *error)
{
	if (kernel->under_gate && net->out->extent[NET_TCP] == NET_PORTS)
		return error_set(
			error, -EBUSY,
			"net-allow by port under a supervisor would not bind it; allow tcp://* here, or "
			"nothing, or put the rules into the outer policy");
	if (kernel->under_gate && !net->binds->protocols[NET_TCP].any &&
	    net->binds->protocols[NET_TCP].ports.count > 0)
		return error_set(
			error, -EBUSY,
			"net-allow-bind by port under a supervisor would not bind it; allow tcp://* here, or "
			"nothing, or put the ports into the outer policy");
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

/* With host names in the rules the policy DNS is the one place that knows them: resolvers that cannot open this file go
 * on to it. */
#define HOSTS_FILE "/etc/hosts"

static int system_grants_add(struct plan *plan, bool names)
{
	static const struct path_grant system_paths[] = {
#define SYSTEM_PATH(path, access) {path, SYSTEM_ACCESS_##access, true},
#include "core/system_paths.def"
#undef SYSTEM_PATH
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(system_paths) / sizeof(system_paths[0]); i++)
		if (!names || strcmp(system_paths[i].path, HOSTS_FILE) != 0)
			r = grant_add(plan, system_paths[i].path, system_paths[i].access, true);
	return r;
}

static int gpu_grant(void *plan, const char *path, bool device)
{
	return grant_add(plan, path, device ? FS_GPU_ACCESS : FS_LOOK_ACCESS, true);
}

static int plan_files(struct plan *plan, const sl_policy *policy, const struct plan_net *net,
                      const struct kernel *kernel)
{
	int r;

	/* Every right, so that what is not granted is refused. */
	plan->handled_fs = (LANDLOCK_ACCESS_FS_IOCTL_DEV << 1) - 1;
	if (kernel->landlock_abi < SL_ABI_IOCTL)
		plan->handled_fs &= ~LANDLOCK_ACCESS_FS_IOCTL_DEV;
	if ((r = grants_add(plan, &policy->values[OPTION_FS_READ], FS_READ_ACCESS, false)) < 0 ||
	    (r = grants_add(plan, &policy->values[OPTION_FS_WRITE], FS_WRITE_ACCESS, false)) < 0 ||
	    (r = grants_add(plan, &policy->values[OPTION_FS_READ_IF_EXISTS], FS_READ_ACCESS, true)) < 0 ||
	    (r = gpu_paths_each(policy, gpu_grant, plan)) < 0)
		return r;
	return policy_has(policy, OPTION_FS_SYSTEM) ? system_grants_add(plan, net->out->names) : 0;
}

/* Where the supervisor connects and binds, the program itself has no port left that Landlock would grant it. */
static int plan_network(struct plan *plan, const struct plan_net *net, const struct kernel *kernel)
{
	bool connects = connects_are_judged(net, kernel), binds = binds_are_judged(net, kernel);
	bool has_ports = kernel->landlock_abi >= SL_ABI_NET;
	int r = 0;

	plan->unix_continue = net->unix_sockets.any && !unix_is_judged(net, kernel);
	if (has_ports && net->out->extent[NET_TCP] != NET_ALL)
		plan->handled_net |= LANDLOCK_ACCESS_NET_CONNECT_TCP;
	if (has_ports && !net->binds->protocols[NET_TCP].any)
		plan->handled_net |= LANDLOCK_ACCESS_NET_BIND_TCP;
	if (kernel->landlock_abi >= SL_ABI_SCOPES)
		plan->scoped = LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | LANDLOCK_SCOPE_SIGNAL;
	if (!connects && has_ports)
		r = port_set_copy(&plan->connect_ports, &net->out->tcp_ports);
	if (r == 0 && !binds && has_ports)
		r = port_set_copy(&plan->bind_ports, &net->binds->protocols[NET_TCP].ports);
	return r;
}

static void slot_open(struct slot_plan *slot, const char *why)
{
	*slot = (struct slot_plan){.otherwise = {.kind = ANSWER_ALLOW}, .why = why};
}

static void slot_refuse(struct slot_plan *slot, int code, const char *why)
{
	*slot = (struct slot_plan){.otherwise = {.kind = ANSWER_ERRNO, .error = code}, .why = why};
}

/* The table stays: what it says of arguments needs no asking. */
static void slot_ask(struct slot_plan *slot, const char *why)
{
	slot->otherwise.kind = ANSWER_NOTIFY;
	slot->why = why;
}

static unsigned conditions_of(const struct plan *plan, const sl_policy *policy, const struct plan_net *net,
                              const struct kernel *kernel)
{
	const struct unix_need *unix_sockets = &net->unix_sockets;
	unsigned all = 0;

	all |= unix_sockets->any || unix_sockets->named ? WHEN_UNIX : 0;
	all |= unix_sockets->any || unix_sockets->datagrams ? WHEN_UNIX_DATAGRAMS : 0;
	all |= udp_exists(net) ? WHEN_UDP : 0;
	all |= udp_exists(net) && net->out->extent[NET_UDP] == NET_NOTHING &&
	                       !net->binds->protocols[NET_UDP].named
	               ? WHEN_UDP_TO_ASK
	               : 0;
	all |= net->out->extent[NET_ICMP] != NET_NOTHING ? WHEN_ICMP : 0;
	all |= policy_has(policy, OPTION_NET_INTERFACES) ? WHEN_INTERFACES : 0;
	all |= net->out->extent[NET_TCP] != NET_ALL ? WHEN_TCP_PARTS : 0;
	all |= sends_are_judged(net) ? WHEN_SENDS_ASKED : 0;
	all |= plan->supervised || plan->kept != NULL || plan->mode == PLAN_SPAWN ? WHEN_SUPERVISED : 0;
	all |= (plan->supervised || plan_looks_at_memory(plan)) && !kernel->ptrace_capable ? WHEN_HIDING_HURTS
	                                                                                   : 0;
	all |= plan->supervised && !kernel->pidfd_thread ? WHEN_THREADS_BLUR : 0;
	all |= plan->supervised || kernel->under_gate ? WHEN_UNDER_GATE : 0;
	all |= plan->limit_file_size ? WHEN_FILE_LIMIT : 0;
	all |= plan->max_processes > 0 ? WHEN_PROCESS_LIMIT : 0;
	all |= plan_looks_at_memory(plan) ? WHEN_MEMORY_LOOKS : 0;
	all |= plan->cgroup & CGROUP_TREE ? WHEN_CGROUP : 0;
	all |= net->port_remap ? WHEN_PORT_REMAP : 0;
	all |= net->out->names ? WHEN_NAMES : 0;
	all |= plan->child.no_huge_pages ? WHEN_NO_HUGE_PAGES : 0;
	all |= plan->child.no_randomize ? WHEN_NO_RANDOMIZE : 0;
	all |= net->name ? WHEN_NAME : 0;
	all |= net->num_cpus ? WHEN_NUM_CPUS : 0;
	return all;
}

static void slots_plan_out(struct plan *plan, const struct plan_net *net, const struct kernel *kernel)
{
	bool all = net->out->extent[NET_TCP] == NET_ALL;

	if (connects_are_judged(net, kernel))
		slot_ask(&plan->slots[SLOT_CONNECT], "the address is in memory");
	else if (kernel->under_gate && !all)
		slot_refuse(&plan->slots[SLOT_CONNECT], EACCES,
		            "no net-allow, and the supervisor above would not know");
	else if (kernel->landlock_abi < SL_ABI_NET && !all)
		slot_refuse(&plan->slots[SLOT_CONNECT], EACCES,
		            "no net-allow, and this Landlock has no ports");
	if (!sends_are_judged(net))
		return;
	slot_ask(&plan->slots[SLOT_SENDMSG], "the address, if there is one, is in memory");
	slot_ask(&plan->slots[SLOT_SENDMMSG], "the addresses, if there are any, are in memory");
}

/* An unbound listen(2) takes an ephemeral port on every address, and Landlock does not see it. */
static void slots_plan_bind(struct plan *plan, const struct plan_net *net, const struct kernel *kernel)
{
	bool any = net->binds->protocols[NET_TCP].any, some = net->binds->protocols[NET_TCP].ports.count > 0;

	if (binds_are_judged(net, kernel))
		slot_ask(&plan->slots[SLOT_BIND],
		         net->port_remap ? "port-remap: another port where this one is taken"
		                         : "the port is in memory, and Landlock judges TCP alone");
	else if (kernel->under_gate && !any)
		slot_refuse(&plan->slots[SLOT_BIND], EACCES,
		            "no net-allow-bind, and the supervisor above would not know");
	else if (kernel->landlock_abi < SL_ABI_NET && !any)
		slot_refuse(&plan->slots[SLOT_BIND], EACCES,
		            "no net-allow-bind, and this Landlock has no ports");
	if (!any && (kernel->under_gate || (!some && !unix_is_allowed(net))))
		slot_refuse(&plan->slots[SLOT_LISTEN], EACCES,
		            "no net-allow-bind, and listen binds by itself");
	else if (net->port_remap || (!any && plan->supervised))
		slot_ask(&plan->slots[SLOT_LISTEN], "it binds by itself where bind was not called");
}

static void slots_plan_remap(struct plan *plan, const struct plan_net *net)
{
	if (!net->port_remap)
		return;
	slot_ask(&plan->slots[SLOT_GETSOCKNAME], "port-remap: shows the port that was asked for");
	slot_ask(&plan->slots[SLOT_GETPEERNAME], "port-remap: shows the port that was asked for");
}

static void slots_plan_views(struct plan *plan)
{
	if (plan->conditions & WHEN_NAME)
		slot_ask(&plan->slots[SLOT_UNAME], "name: shows that name");
	if (plan->conditions & WHEN_NUM_CPUS)
		slot_ask(&plan->slots[SLOT_SCHED_GETAFFINITY], "num-cpus: shows no more than that");
	if (plan->conditions & WHEN_VIEWS)
		slot_ask(&plan->slots[SLOT_OPENAT2], "its flags are in memory: is it a file that is viewed?");
}

static void slots_plan_limits(struct plan *plan)
{
	if (plan->max_processes > 0)
		slot_ask(&plan->slots[SLOT_FORK], "max-processes: is there room for one more");
	if (!plan->limit_file_size)
		slot_open(&plan->slots[SLOT_FALLOCATE], "no limit");
	/* Which cores it asks for is in memory. */
	if (plan->child.cores != NULL)
		slot_refuse(&plan->slots[SLOT_SCHED_SETAFFINITY], EPERM, "cpu-cores stay as they are");
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

/* Which option has the supervisor answer a call: a view's own, or what the supervisor is there for. */
static const char *option_asking(const struct plan *plan, enum slot slot)
{
	unsigned views = plan->conditions & WHEN_VIEWS;

	if (slot == SLOT_UNAME)
		return "name";
	if (slot == SLOT_SCHED_GETAFFINITY)
		return "num-cpus";
	if (slot != SLOT_OPEN && slot != SLOT_OPENAT && slot != SLOT_OPENAT2)
		return plan->reason;
	return views == WHEN_VIEWS ? "name and num-cpus" : views == WHEN_NAME ? "name" : "num-cpus";
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

	if (row->kind == SYSCALL_SLOT && slot_asks(&plan->slots[row->value]))
		return error_set(deny->error, -EINVAL,
		                 "deny-syscall: %s conflicts with %s: the supervisor answers it", name,
		                 option_asking(plan, (enum slot)row->value));
	if (row->kind == SYSCALL_SLOT && row->value == SLOT_PRLIMIT64 &&
	    child_limit_key(&plan->child) != NULL)
		return error_set(deny->error, -EINVAL,
		                 "deny-syscall: %s conflicts with %s, which is set behind the walls", name,
		                 child_limit_key(&plan->child));
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
	most += plan_looks_at_memory(plan);
	if (r < 0 || most == 0)
		return r;
	/* Each is an instruction, and BPF jumps over 255 of them at the most. */
	if (most > 200)
		return error_set(error, -E2BIG, "deny-syscall: %zu names, at most 200", most);
	if ((plan->denied = calloc(most, sizeof(*plan->denied))) == NULL)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < denied->count; i++)
		r = comma_each(denied->items[i], syscall_deny, &context);
	/* A few bytes in a pipe keep a huge page, and nobody can count that. */
	if (r == 0 && plan_looks_at_memory(plan))
		plan->denied[plan->denied_count++] = SYS_vmsplice;
	return r;
}

/* 0 to 2 and what is named, sorted and unique, as fd_close_except() wants them. */
static int plan_fds(struct plan *plan, const sl_policy *policy)
{
	const struct value_list *keep = &policy->values[OPTION_KEEP_FD];
	size_t count = 0;

	plan->strict_fds = policy_has(policy, OPTION_STRICT_FDS);
	plan->map_fd =
		policy_has(policy, OPTION_PORT_MAP_FD) ? atoi(policy_scalar(policy, OPTION_PORT_MAP_FD)) : -1;
	if ((plan->keep_fds = calloc(keep->count + 3, sizeof(*plan->keep_fds))) == NULL)
		return -ENOMEM;
	for (int fd = 0; fd < 3; fd++)
		plan->keep_fds[count++] = fd;
	for (size_t i = 0; i < keep->count; i++)
		plan->keep_fds[count++] = atoi(keep->items[i]);
	fd_sort(plan->keep_fds, count);
	plan->keep_count = 1;
	for (size_t i = 1; i < count; i++)
		if (plan->keep_fds[i] != plan->keep_fds[plan->keep_count - 1])
			plan->keep_fds[plan->keep_count++] = plan->keep_fds[i];
	return 0;
}

static void plan_views(struct plan *plan, const sl_policy *policy)
{
	if (policy_has(policy, OPTION_NAME))
		plan->name = policy_scalar(policy, OPTION_NAME);
	if (policy_has(policy, OPTION_NUM_CPUS))
		cpus_parse(policy_scalar(policy, OPTION_NUM_CPUS), &plan->num_cpus);
}

static void plan_limits(struct plan *plan, const sl_policy *policy)
{
	plan->limit_file_size = policy_has(policy, OPTION_MAX_FILE_SIZE);
	if (plan->limit_file_size)
		size_parse(policy_scalar(policy, OPTION_MAX_FILE_SIZE), &plan->max_file_size);
}

/* What takes away needs something to take it from: else it would look as if the rest were allowed. */
static int denials_check(const sl_policy *policy, sl_error *error)
{
	if (policy_has(policy, OPTION_NET_DENY) && !policy_has(policy, OPTION_NET_ALLOW))
		return error_set(
			error, -EINVAL,
			"net-deny takes away from net-allow, and there is none: add net-allow \"*\" to allow "
			"all else");
	if (policy_has(policy, OPTION_NET_DENY_BIND) && !policy_has(policy, OPTION_NET_ALLOW_BIND))
		return error_set(error, -EINVAL,
		                 "net-deny-bind takes away from net-allow-bind, and there is none: add "
		                 "net-allow-bind \"*\" to allow all else");
	if (policy_has(policy, OPTION_PORT_MAP_FD) && !policy_has(policy, OPTION_PORT_REMAP))
		return error_set(error, -EINVAL, "port-map-fd tells what port-remap does, and there is none");
	if (policy_has(policy, OPTION_ENV_PASS) && !policy_has(policy, OPTION_CLEAN_ENV))
		return error_set(error, -EINVAL,
		                 "env-pass keeps what clean-env drops, and there is none: all is passed");
	return 0;
}

/* What only a program that is yet to start can have. */
static bool needs_start(const sl_policy *policy, enum option_id option)
{
	static const enum option_id keys[] = {OPTION_NO_RANDOMIZE_MEMORY,
	                                      OPTION_USER,
	                                      OPTION_CLEAN_ENV,
	                                      OPTION_ENV_PASS,
	                                      OPTION_ENV_SAFE,
	                                      OPTION_ENV};

	/* Of all processors there is no variable to set. */
	if (option == OPTION_GPU)
		return gpu_list(policy) != NULL;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (keys[i] == option)
			return policy_has(policy, option);
	return false;
}

/* Whoever gave three of them wants to hear of three. */
static int start_check(const sl_policy *policy, enum plan_mode mode, sl_error *error)
{
	char keys[160] = "";

	for (size_t option = 0; mode == PLAN_IN_PLACE && option < OPTION_COUNT; option++) {
		size_t used = strlen(keys);

		if (needs_start(policy, option))
			snprintf(keys + used, sizeof(keys) - used, "%s%s%s", used > 0 ? ", " : "",
			         option_rows[option].key,
			         option == OPTION_GPU ? " with numbers (its variables)" : "");
	}
	if (keys[0] == '\0')
		return 0;
	return error_set(error, -EINVAL, "only for a command that is started, not in place: %s", keys);
}

static int plan_fill(struct plan *plan, const sl_policy *policy, const struct plan_net *net,
                     const struct kernel *kernel, sl_error *error)
{
	int r;

	plan_limits(plan, policy);
	if ((r = keep_plan(plan, policy, kernel, error)) < 0 ||
	    (r = child_setup_read(&plan->child, policy, error)) < 0)
		return r;
	plan_views(plan, policy);
	if ((r = plan_files(plan, policy, net, kernel)) < 0 || (r = plan_network(plan, net, kernel)) < 0 ||
	    (r = plan_fds(plan, policy)) < 0)
		return error_errno(error, r, "plan");
	if ((plan->rules = malloc(RULES_KEPT_MAX * sizeof(*plan->rules))) == NULL)
		return error_errno(error, -ENOMEM, "plan");
	plan->conditions = conditions_of(plan, policy, net, kernel);
	slots_fill(plan->slots, plan->conditions, plan->rules);
	slots_plan_out(plan, net, kernel);
	slots_plan_bind(plan, net, kernel);
	slots_plan_remap(plan, net);
	slots_plan_views(plan);
	slots_plan_limits(plan);
	if ((r = plan_syscalls(plan, policy, error)) == -ENOMEM)
		return error_errno(error, r, "plan");
	return r;
}

int plan_build(struct plan *plan, const sl_policy *policy, const struct plan_net *net,
               const struct kernel *kernel, enum plan_mode mode, sl_error *error)
{
	const char *reason = plan_supervision(net, kernel);
	int r;

	*plan = (struct plan){.mode = mode};
	if (policy_has(policy, OPTION_NO_SUPERVISOR) && (r = alone_check(policy, net, kernel, error)) < 0)
		return r;
	if ((r = kernel_check(kernel, policy, error)) < 0 || (r = start_check(policy, mode, error)) < 0 ||
	    (r = denials_check(policy, error)) < 0 ||
	    (reason != NULL && (r = gate_check(reason, kernel, mode, error)) < 0) ||
	    (r = nested_check(net, kernel, error)) < 0)
		return r;
	plan->supervised = reason != NULL;
	plan->reason = reason;
	if ((r = plan_fill(plan, policy, net, kernel, error)) < 0)
		plan_clear(plan);
	return r;
}

void plan_clear(struct plan *plan)
{
	free(plan->grants);
	free(plan->rules);
	free(plan->denied);
	free(plan->keep_fds);
	port_set_clear(&plan->connect_ports);
	port_set_clear(&plan->bind_ports);
	*plan = (struct plan){0};
}
