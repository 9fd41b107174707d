/* Policy -> plan -> ruleset and programs: all that can fail for reasons a person can mend. */
#include "supervise/prepare.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>

#include "core/error.h"
#include "core/fd.h"
#include "core/unix_need.h"

/* net-proxy-only in the words of the other keys. */
struct proxy_rules {
	char texts[2][40];
	const char *rules[2], *binds;
};

static struct text_list values_of(const sl_policy *policy, enum option_id option)
{
	return (struct text_list){(const char *const *)policy->values[option].items,
	                          policy->values[option].count};
}

static int proxy_check_alone(const sl_policy *policy, sl_error *error)
{
	static const enum option_id others[] = {OPTION_NET_ALLOW, OPTION_NET_DENY, OPTION_NET_ALLOW_BIND,
	                                        OPTION_NET_DENY_BIND};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (policy_has(policy, others[i]))
			return error_set(error, -EINVAL,
			                 "net-proxy-only says all there is of IP, and %s more: drop one",
			                 option_rows[others[i]].key);
	return 0;
}

static int proxy_expand(const sl_policy *policy, struct proxy_rules *proxy, sl_error *error)
{
	uint16_t port;
	int r = proxy_check_alone(policy, error);

	if (r < 0)
		return r;
	proxy_parse(policy_scalar(policy, OPTION_NET_PROXY_ONLY), &port, &proxy->binds);
	snprintf(proxy->texts[0], sizeof(proxy->texts[0]), "tcp://127.0.0.0/8:%u", port);
	snprintf(proxy->texts[1], sizeof(proxy->texts[1]), "tcp://[::1]:%u", port);
	for (size_t i = 0; i < 2; i++)
		proxy->rules[i] = proxy->texts[i];
	return 0;
}

/* Those of net-dns; none where it is not given. */
static int servers_collect(const sl_policy *policy, struct dns_servers *servers, sl_error *error)
{
	const struct value_list *values = &policy->values[OPTION_NET_DNS];
	const char *key = option_rows[OPTION_NET_DNS].key;
	int r = 0;

	if (values->count > DNS_SERVERS_MAX)
		return error_set(error, -E2BIG, "%s: %zu servers, at most %d", key, values->count,
		                 DNS_SERVERS_MAX);
	for (size_t i = 0; r == 0 && i < values->count; i++)
		r = dns_server_parse(key, values->items[i], &servers->servers[servers->count++], error);
	return r;
}

static int servers_resolve(const void *servers, const char *name, struct net_addr *addrs, size_t room,
                           sl_error *error)
{
	return dns_resolve(servers, name, addrs, room, error);
}

static int rules_build(struct prepared *prepared, const sl_policy *policy, struct net_need *need,
                       sl_error *error)
{
	struct net_rules rules = {
		.allow = values_of(policy, OPTION_NET_ALLOW),
		.deny = values_of(policy, OPTION_NET_DENY),
		.public_only = policy_has(policy, OPTION_NET_PUBLIC_ONLY),
		.refresh = policy_has(policy, OPTION_NET_REFRESH),
		.resolve = policy_has(policy, OPTION_NET_DNS) ? servers_resolve : NULL,
		.context = &prepared->servers,
	};
	struct text_list binds = values_of(policy, OPTION_NET_ALLOW_BIND);
	struct proxy_rules proxy = {.binds = NULL};
	int r;

	if (policy_has(policy, OPTION_NET_PROXY_ONLY)) {
		if ((r = proxy_expand(policy, &proxy, error)) < 0)
			return r;
		rules.allow = (struct text_list){proxy.rules, 2};
		binds = (struct text_list){&proxy.binds, proxy.binds != NULL};
	}
	if ((r = net_binds_build(binds, values_of(policy, OPTION_NET_DENY_BIND), &prepared->binds, error)) <
	    0)
		return r;
	if ((r = servers_collect(policy, &prepared->servers, error)) < 0)
		return r;
	r = net_table_build(&rules, &prepared->table, need, error);
	if (r == 0 && need->names && prepared->servers.count == 0)
		dns_servers_load(&prepared->servers);
	return r;
}

/* These speak of host names. Without one they would do nothing, and look as if they did. */
static int names_check(const sl_policy *policy, const struct net_need *need, sl_error *error)
{
	static const enum option_id about_names[] = {OPTION_NET_REFRESH, OPTION_NET_DNS};

	for (size_t i = 0; !need->names && i < sizeof(about_names) / sizeof(about_names[0]); i++)
		if (policy_has(policy, about_names[i]))
			return error_set(error, -EINVAL,
			                 "%s is about the host names of net-allow, and there is none",
			                 option_rows[about_names[i]].key);
	return 0;
}

static int plan_from_policy(struct prepared *prepared, const sl_policy *policy, enum plan_mode mode,
                            sl_error *error)
{
	struct net_need need = {0};
	struct plan_net net = {
		.out = &need,
		.binds = &prepared->binds,
		.interfaces = policy_has(policy, OPTION_NET_INTERFACES),
		.port_remap = policy_has(policy, OPTION_PORT_REMAP),
		.name = policy_has(policy, OPTION_NAME),
		.num_cpus = policy_has(policy, OPTION_NUM_CPUS),
		.process_limit = policy_has(policy, OPTION_MAX_PROCESSES),
	};
	int r = rules_build(prepared, policy, &need, error);

	if (r == 0)
		r = names_check(policy, &need, error);
	unix_need_read(&policy->values[OPTION_NET_ALLOW_UNIX], &net.unix_sockets);
	if (r == 0) {
		if (plan_supervision(&net, &prepared->kernel) != NULL)
			kernel_probe_gate(&prepared->kernel);
		r = plan_build(&prepared->plan, policy, &net, &prepared->kernel, mode, error);
	}
	net_need_clear(&need);
	return r;
}

/* Above 2, where a supervisor puts its own: an app may run without stdio. */
static int ruleset_open(struct prepared *prepared, sl_error *error)
{
	cleanup_fd int ruleset = ruleset_create(&prepared->plan, error);

	if (ruleset < 0)
		return ruleset;
	prepared->ruleset = fcntl(ruleset, F_DUPFD_CLOEXEC, 3);
	return prepared->ruleset < 0 ? error_errno(error, -errno, "descriptors") : 0;
}

int prepare_guard(struct prepared *prepared, sl_error *error)
{
	unsigned conditions = prepared->plan.conditions;
	int r;

	conditions |= prepared->plan.supervised ? WHEN_GATE : 0;
	conditions |= capabilities_permitted() != 0 ? WHEN_PRIVILEGED : 0;
	if ((r = guard_assemble(&prepared->guard, conditions)) < 0)
		return error_errno(error, r, "the supervisor's filter");
	return 0;
}

static int gate_prepare(struct prepared *prepared, sl_error *error)
{
	prepared->rules = (struct gate_rules){
		.table = prepared->table,
		.binds = &prepared->binds,
		.names = prepared->plan.conditions & WHEN_NAMES,
		.servers = prepared->servers,
		.unix_continue = prepared->plan.unix_continue,
		.ruleset = -1,
		.port_remap = prepared->plan.conditions & WHEN_PORT_REMAP,
		.port_map = -1,
		.views = {&prepared->plan, prepared->plan.name, prepared->plan.num_cpus},
		.max_processes = prepared->plan.max_processes,
		.pidfd_thread = prepared->kernel.pidfd_thread,
		.io_uring = prepared->kernel.io_uring,
		.sync_wake_up = prepared->kernel.sync_wake_up,
	};
	if (getrandom(prepared->rules.nonce, sizeof(prepared->rules.nonce), 0) != NONCE_SIZE)
		return error_errno(error, -EIO, "getrandom");
	return prepare_guard(prepared, error);
}

/* What a limit is held by belongs to the plan, so the group is made before there is one. */
static int cgroup_prepare(struct prepared *prepared, const sl_policy *policy, enum plan_mode mode,
                          sl_error *error)
{
	struct cgroup *cgroup = &prepared->cgroup;
	int r = mode == PLAN_IN_PLACE ? 0 : cgroup_make(cgroup, policy, error);

	prepared->kernel.cgroup = cgroup->made ? CGROUP_TREE | cgroup->limits : 0;
	prepared->kernel.cgroup_why = cgroup->why;
	return r;
}

static const struct prepared nothing = {
	.ruleset = -1, .status = -1, .registry.dir = -1, .rules.port_map = -1, .cgroup = CGROUP_NONE};

int prepare_plan(struct prepared *prepared, const sl_policy *policy, enum plan_mode mode, sl_error *error)
{
	int r;

	*prepared = nothing;
	atomic_store(&((sl_policy *)policy)->frozen, true);
	kernel_probe(&prepared->kernel);
	if ((r = cgroup_prepare(prepared, policy, mode, error)) < 0 ||
	    (r = plan_from_policy(prepared, policy, mode, error)) < 0 ||
	    (prepared->plan.supervised && (r = gate_prepare(prepared, error)) < 0))
		prepare_clear(prepared);
	return r;
}

static int descriptor_take(const char *key, int wanted, int *taken, sl_error *error)
{
	int flags = wanted < 0 ? 0 : fcntl(wanted, F_GETFL);

	if (wanted < 0)
		return 0;
	if (flags >= 0 && (flags & O_ACCMODE) == O_RDONLY)
		return error_set(error, -EBADF, "%s: descriptor %d is not open for writing", key, wanted);
	if (flags < 0 || (*taken = fcntl(wanted, F_DUPFD_CLOEXEC, 3)) < 0)
		return error_errno(error, -errno, "%s: descriptor %d", key, wanted);
	return 0;
}

int prepare_map(struct prepared *prepared, sl_error *error)
{
	int r = descriptor_take(option_rows[OPTION_PORT_MAP_FD].key, prepared->plan.map_fd,
	                        &prepared->rules.port_map, error);

	if (r < 0)
		return r;
	if ((r = descriptor_take(option_rows[OPTION_STATUS_FD].key, prepared->plan.status_fd,
	                         &prepared->status, error)) < 0)
		return r;
	return cgroup_open(&prepared->cgroup, prepared->plan.max_memory, prepared->plan.cpu_percent, error);
}

int prepare_objects(struct prepared *prepared, const sl_policy *policy, sl_error *error)
{
	int r;

	if (!prepared->plan.supervised || !policy_has(policy, OPTION_NET_ALLOW_UNIX))
		return 0;
	if ((r = unix_grants_open(&policy->values[OPTION_NET_ALLOW_UNIX], &prepared->plan,
	                          &prepared->unix_grants, error)) < 0)
		return r;
	if ((r = ruleset_open(prepared, error)) < 0)
		return r;
	prepared->rules.unix_grants = prepared->unix_grants;
	prepared->rules.ruleset = prepared->ruleset;
	return 0;
}

int prepare_walls(struct prepared *prepared, pid_t gate, sl_error *error)
{
	int r;

	if ((r = child_settle(&prepared->plan.child, error)) < 0)
		return r;
	if (prepared->ruleset < 0 && (r = ruleset_open(prepared, error)) < 0)
		return r;
	if ((r = filter_assemble(&prepared->filter, &prepared->plan, gate)) < 0)
		return error_errno(error, r, "filter");
	return 0;
}

size_t prepare_fds(const struct prepared *prepared, int *fds)
{
	size_t count = 0;

	if (prepared->rules.port_map >= 0)
		fds[count++] = prepared->rules.port_map;
	if (prepared->status >= 0)
		fds[count++] = prepared->status;
	if (prepared->registry.dir >= 0)
		fds[count++] = prepared->registry.dir;
	count += cgroup_fds(&prepared->cgroup, fds + count);
	if (prepared->rules.ruleset < 0)
		return count;
	fds[count++] = prepared->rules.ruleset;
	return count + unix_grants_fds(prepared->unix_grants, fds + count);
}

void prepare_clear(struct prepared *prepared)
{
	fd_close(&prepared->ruleset);
	fd_close(&prepared->rules.port_map);
	fd_close(&prepared->status);
	registry_clear(&prepared->registry);
	filter_clear(&prepared->filter);
	filter_clear(&prepared->guard);
	plan_clear(&prepared->plan);
	net_binds_clear(&prepared->binds);
	net_table_free(prepared->table);
	unix_grants_free(prepared->unix_grants);
	cgroup_clear(&prepared->cgroup);
	*prepared = nothing;
}
