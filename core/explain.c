/* The plan in words: what `explain` prints of the walls. */
#include <errno.h>
#include <string.h>

#include "core/keep.h"
#include "core/plan.h"

static const char *const fs_names[] = {
	"execute",   "write_file", "read_file", "read_dir",  "remove_dir", "remove_file",
	"make_char", "make_dir",   "make_reg",  "make_sock", "make_fifo",  "make_block",
	"make_sym",  "refer",      "truncate",  "ioctl_dev",
};

static const char *access_summary(uint64_t access)
{
	switch (access) {
	case FS_READ_ACCESS:
		return "read, execute";
	case FS_WRITE_ACCESS:
		return "read, execute, write, create, remove, rename, truncate";
	case FS_DEVICE_ACCESS:
		return "read, write";
	case FS_GPU_ACCESS:
		return "read, write, ioctl";
	case FS_LOOK_ACCESS:
		return "read";
	}
	return "other";
}

static void ports_print(const struct port_set *ports, FILE *out)
{
	for (size_t i = 0; i < ports->count; i++) {
		const struct port_range *range = &ports->ranges[i];

		fprintf(out, i == 0 ? " %u" : ", %u", range->low);
		if (range->high != range->low)
			fprintf(out, "-%u", range->high);
	}
	fputs(ports->count == 0 ? " none\n" : "\n", out);
}

void path_print(const char *path, FILE *out)
{
	for (; *path != '\0'; path++)
		if ((unsigned char)*path < 0x20 || *path == 0x7f)
			fprintf(out, "\\x%02x", (unsigned char)*path);
		else
			fputc(*path, out);
}

void binds_print(const struct net_binds *binds, FILE *out)
{
	static const char *const names[] = {[NET_TCP] = "TCP", [NET_UDP] = "UDP"};

	for (int protocol = NET_TCP; protocol <= NET_UDP; protocol++) {
		fprintf(out, "  %s ports:", names[protocol]);
		if (binds->protocols[protocol].any)
			fputs(" any\n", out);
		else
			ports_print(&binds->protocols[protocol].ports, out);
	}
}

static void tcp_print(const char *what, const struct plan *plan, enum slot slot, uint64_t right,
                      const struct port_set *ports, FILE *out)
{
	if (slot_asks(&plan->slots[slot])) {
		fprintf(out, "  %s: the supervisor decides\n", what);
	} else if (plan->slots[slot].otherwise.kind == ANSWER_ERRNO) {
		fprintf(out, "  %s: refused by the filter\n", what);
	} else if (plan->handled_net & right) {
		fprintf(out, "  %s, any address, ports:", what);
		ports_print(ports, out);
	} else {
		fprintf(out, "  %s: not restricted\n", what);
	}
}

/* Landlock's scope keeps these inside; without it the supervisor does, as far as it is asked. */
static const char *abstract_summary(const struct plan *plan)
{
	bool datagrams = plan->conditions & WHEN_UNIX_DATAGRAMS;

	if (!(plan->conditions & WHEN_UNIX))
		return "there are none";
	if (slot_asks(&plan->slots[SLOT_CONNECT]) && !plan->unix_continue &&
	    (!datagrams || slot_asks(&plan->slots[SLOT_SENDTO])))
		return "the supervisor decides";
	return "not restricted (degrade scopes)";
}

static void scopes_print(const struct plan *plan, FILE *out)
{
	if (plan->scoped != 0) {
		fputs("  signals and abstract unix sockets: only inside\n", out);
		return;
	}
	fprintf(out, "  signals: to every process of the same user%s (degrade scopes)\n",
	        plan->supervised ? ", the supervisor too" : "");
	fprintf(out, "  abstract unix sockets: %s\n", abstract_summary(plan));
}

static void landlock_print(const struct plan *plan, FILE *out)
{
	fputs("landlock: refused unless granted:", out);
	for (size_t bit = 0; bit < sizeof(fs_names) / sizeof(fs_names[0]); bit++)
		if (plan->handled_fs >> bit & 1)
			fprintf(out, " %s", fs_names[bit]);
	fputs("\n", out);
	for (size_t i = 0; i < plan->grant_count; i++) {
		const struct path_grant *grant = &plan->grants[i];

		fputs("  ", out);
		path_print(grant->path, out);
		fprintf(out, "  %s%s\n", access_summary(grant->access),
		        grant->if_exists ? ", if it exists" : "");
	}
	if (plan->grant_count == 0)
		fputs("  nothing is granted: not even a program can be executed (fs-system, fs-read)\n", out);
	tcp_print("TCP connect", plan, SLOT_CONNECT, LANDLOCK_ACCESS_NET_CONNECT_TCP, &plan->connect_ports,
	          out);
	tcp_print("TCP bind", plan, SLOT_BIND, LANDLOCK_ACCESS_NET_BIND_TCP, &plan->bind_ports, out);
	scopes_print(plan, out);
	if (!(plan->handled_fs & LANDLOCK_ACCESS_FS_IOCTL_DEV))
		fputs("  ioctl on devices that can be opened: not restricted by path (degrade ioctl)\n", out);
	fputs("\n", out);
}

static void answer_print(struct answer answer, FILE *out)
{
	switch (answer.kind) {
	case ANSWER_ALLOW:
		fputs("allow", out);
		return;
	case ANSWER_NOTIFY:
		fputs("ask the supervisor", out);
		return;
	case ANSWER_ERRNO:
		if (answer.error == 0)
			fputs("return 0, do nothing", out);
		else
			fprintf(out, "%s", strerrorname_np(answer.error));
	}
}

static const char *const slot_arguments[SLOT_COUNT][3] = {
	[SLOT_SOCKET] = {"domain", "type", "protocol"},
	[SLOT_SOCKETPAIR] = {"domain", "type", "protocol"},
	[SLOT_SETSOCKOPT] = {"fd", "level", "name"},
	[SLOT_GETSOCKOPT] = {"fd", "level", "name"},
	[SLOT_SENDMSG] = {"fd", "message", "flags"},
	[SLOT_CLONE] = {"flags"},
	[SLOT_UNSHARE] = {"flags"},
	[SLOT_SECCOMP] = {"operation", "flags"},
	[SLOT_PRCTL] = {"option", "arg2"},
	[SLOT_PRLIMIT64] = {"pid", "resource", "new_limit"},
	[SLOT_SETRLIMIT] = {"resource"},
	[SLOT_FALLOCATE] = {"fd", "mode"},
	[SLOT_SETPRIORITY] = {"which", "who"},
	[SLOT_IOPRIO_SET] = {"which", "who"},
	[SLOT_IOCTL] = {"fd", "request"},
	[SLOT_PERSONALITY] = {"persona"},
	[SLOT_OPEN] = {"path", "flags"},
	[SLOT_OPENAT] = {"dirfd", "path", "flags"},
	[SLOT_CHMOD] = {"path", "mode"},
	[SLOT_FCHMOD] = {"fd", "mode"},
	[SLOT_FCHMODAT] = {"dirfd", "path", "mode"},
	[SLOT_FCHMODAT2] = {"dirfd", "path", "mode"},
};

static void test_print(enum slot slot, const struct arg_test *test, FILE *out)
{
	const char *name = test->arg < 3 ? slot_arguments[slot][test->arg] : NULL;
	char number[16];

	if (name == NULL) {
		snprintf(number, sizeof(number), "arg%u", test->arg);
		name = number;
	}
	switch (test->compare) {
	case ARG_EQ:
	case ARG_NE:
		if (test->mask == UINT32_MAX)
			fprintf(out, "%s", name);
		else
			fprintf(out, "(%s & %#x)", name, test->mask);
		fprintf(out, " %s %#x", test->compare == ARG_EQ ? "==" : "!=", test->value);
		return;
	case ARG_ANY:
		fprintf(out, "%s & %#x", name, test->mask);
		return;
	case ARG_POINTER:
		fprintf(out, "%s != NULL", name);
		return;
	case ARG_IS_GATE:
		fprintf(out, "%s == the supervisor or the keeper", name);
		return;
	}
}

static void slot_rule_print(enum slot slot, const struct arg_rule *rule, FILE *out)
{
	fputs("    if ", out);
	for (unsigned i = 0; i < rule->count; i++) {
		fputs(i == 0 ? "" : " and ", out);
		test_print(slot, &rule->tests[i], out);
	}
	fputs(": ", out);
	answer_print(rule->answer, out);
	fprintf(out, "   # %s\n", rule->what);
}

/* The calls that share a slot are named in one heading. */
static void slot_print(enum slot slot, const struct slot_plan *plan, FILE *out)
{
	const char *separator = "  ";

	for (size_t i = 0; i < syscall_count; i++) {
		if (syscall_rows[i].kind == SYSCALL_SLOT && syscall_rows[i].value == (int)slot) {
			fprintf(out, "%s%s", separator, syscall_rows[i].name);
			separator = ", ";
		}
	}
	fprintf(out, ":   # %s\n", plan->why);
	for (size_t i = 0; i < plan->count; i++)
		slot_rule_print(slot, &plan->rules[i], out);
	fputs(plan->count > 0 ? "    else: " : "    ", out);
	answer_print(plan->otherwise, out);
	fputs("\n", out);
}

static void constant_print(enum syscall_kind kind, int value, const char *label, FILE *out)
{
	size_t column = 0;

	fprintf(out, "  %s:", label);
	for (size_t i = 0; i < syscall_count; i++) {
		const struct syscall_row *row = &syscall_rows[i];

		if (row->kind != kind || (kind == SYSCALL_ERRNO && row->value != value))
			continue;
		if (column == 0)
			fputs("\n   ", out);
		column += 1 + (size_t)fprintf(out, " %s", row->name);
		column = column > 90 ? 0 : column;
	}
	fputs("\n", out);
}

static void filter_print(const struct plan *plan, FILE *out)
{
	fputs("filter: first match wins, arguments are compared on their low 32 bits\n", out);
	if (plan->denied_count > 0) {
		fputs("  deny-syscall, EPERM:", out);
		for (size_t i = 0; i < plan->denied_count; i++)
			fprintf(out, " %s", syscall_by_number(plan->denied[i])->name);
		fputs("\n", out);
	}
	fputs("  i386 and x32 calls: kill the process\n", out);
	for (int slot = 0; slot < SLOT_COUNT; slot++)
		slot_print((enum slot)slot, &plan->slots[slot], out);
	constant_print(SYSCALL_ERRNO, EPERM, "EPERM", out);
	constant_print(SYSCALL_ERRNO, EOPNOTSUPP, "EOPNOTSUPP", out);
	constant_print(SYSCALL_ERRNO, ENOSYS, "ENOSYS, as is every number that is not listed here", out);
	constant_print(SYSCALL_ALLOW, 0, "allow", out);
	fputs("\n", out);
}

static void trapped_print(const struct plan *plan, FILE *out)
{
	if (plan->supervised)
		fprintf(out,
		        "trapped calls, for %s: the supervisor copies the arguments once, decides, and %s\n",
		        plan->reason,
		        slot_asks(&plan->slots[SLOT_CONNECT]) || slot_asks(&plan->slots[SLOT_BIND])
		                ? "acts on a duplicate of the socket"
		                : "answers");
	else
		fputs("trapped calls: none\n", out);
	for (size_t i = 0; i < syscall_count; i++) {
		const struct syscall_row *row = &syscall_rows[i];

		if (row->kind == SYSCALL_SLOT && slot_asks(&plan->slots[row->value]))
			fprintf(out, "  %s: %s\n", row->name, plan->slots[row->value].why);
	}
	fputs("\n", out);
}

static void processes_print(const struct plan *plan, FILE *out)
{
	fputs("processes:\n", out);
	if (!plan->supervised && plan->kept != NULL)
		fprintf(out,
		        "  sluice, which supervises no call and waits\n"
		        "    a keeper, for %s, which kills what is left of the tree when the command or sluice ends\n"
		        "      the command, confined\n",
		        plan->kept);
	else if (!plan->supervised)
		fputs(plan->mode == PLAN_IN_PLACE
		              ? "  the program, confined; no supervisor: Landlock and the filter decide all\n"
		              : "  the command, confined, in this process; no supervisor: Landlock and the filter "
		                "decide all\n",
		      out);
	else if (plan->mode == PLAN_IN_PLACE)
		fputs("  the program, confined, same pid\n"
		      "  its supervisor, in a session of its own, until the last confined process ends\n",
		      out);
	else
		fputs("  sluice, the supervisor\n"
		      "    a keeper, which kills what is left of the tree when the command or the supervisor ends\n"
		      "      the command, confined\n",
		      out);
	trapped_print(plan, out);
}

static void descriptors_print(const struct plan *plan, FILE *out)
{
	fputs(plan->mode != PLAN_IN_PLACE ? "descriptors: all are closed but"
	      : plan->strict_fds          ? "descriptors: refused if any is open but"
	                                  : "descriptors: what is open stays open; expected are",
	      out);
	for (size_t i = 0; i < plan->keep_count; i++)
		fprintf(out, " %d", plan->keep_fds[i]);
	fputs("\n", out);
	fputs("capabilities: none is gained; of those that are there, all are lost but", out);
#define CAPABILITY(name) fputs(" " #name, out);
#include "core/capabilities.def"
#undef CAPABILITY
	fputs("\n", out);
	if (plan->limit_file_size)
		fprintf(out, "limits: no file grows above %llu bytes\n",
		        (unsigned long long)plan->max_file_size);
	keep_print(plan, out);
}

static void views_print(const struct plan *plan, FILE *out)
{
	if (plan->name != NULL) {
		fputs("views: the host name is \"", out);
		path_print(plan->name, out);
		fputs("\": uname, and these files where they may be read: /etc/hostname "
		      "/proc/sys/kernel/hostname\n",
		      out);
	}
	if (plan->num_cpus > 0)
		fprintf(out,
		        "views: %u CPUs at most: sched_getaffinity, and these files where they may be read: "
		        "/proc/cpuinfo /proc/stat /sys/devices/system/cpu/{online,possible,present}\n",
		        plan->num_cpus);
}

int plan_print(const struct plan *plan, FILE *out)
{
	processes_print(plan, out);
	child_setup_print(&plan->child, out);
	landlock_print(plan, out);
	filter_print(plan, out);
	descriptors_print(plan, out);
	views_print(plan, out);
	return ferror(out) ? -EIO : 0;
}
