/* Who the target is, and being that for the length of a call. */
#include "supervise/identity.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "confine/confine.h"

#define BIT(capability) (1ull << (capability))

/* What is in effect for the supervisor's own work, and what it needs to become somebody else. SYS_PTRACE stays in effect
 * in between: the target's root, directory and descriptors are reached by it, and it opens no file. */
static const uint64_t own_work = BIT(CAP_SYS_PTRACE) | BIT(CAP_KILL);
static const uint64_t to_change = BIT(CAP_SETUID) | BIT(CAP_SETGID);

static struct {
	struct identity identity;
	uint64_t permitted;
	bool fixed; /* no privilege and one id only: nothing that runs below can ever be somebody else */
	bool can_change;
	bool assumed;
	uint64_t effective; /* now */
} own;

static int effective_set(uint64_t effective)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[2] = {
		{.effective = (uint32_t)effective, .permitted = (uint32_t)own.permitted},
		{.effective = (uint32_t)(effective >> 32), .permitted = (uint32_t)(own.permitted >> 32)},
	};

	if (syscall(SYS_capset, &header, sets) < 0)
		return -errno;
	own.effective = effective;
	return 0;
}

int identity_raise(uint64_t more, uint64_t *before)
{
	*before = own.effective;
	return effective_set(own.effective | more);
}

void identity_lower(uint64_t before)
{
	if (effective_set(before) < 0)
		_exit(1);
}

int identity_init(void)
{
	uid_t uid, saved_uid;
	gid_t gid, saved_gid;

	if (getresuid(&uid, &own.identity.uid, &saved_uid) < 0 ||
	    getresgid(&gid, &own.identity.gid, &saved_gid) < 0)
		return -errno;
	own.identity.fs_uid = own.identity.uid;
	own.identity.fs_gid = own.identity.gid;
	own.permitted = capabilities_permitted();
	own.effective = own.identity.effective = own.permitted & own_work;
	own.fixed = own.permitted == 0 && uid == own.identity.uid && uid == saved_uid &&
	            gid == own.identity.gid && gid == saved_gid;
	/* Where only the effective uid is 0, leaving it would be for good. */
	own.can_change = (own.permitted & to_change) == to_change &&
	                 (own.identity.uid != 0 || uid == 0 || saved_uid == 0);
	own.assumed = false;
	own.identity.group_count = getgroups(IDENTITY_GROUPS_MAX, own.identity.groups);
	/* With more than that there is no way back. Who never has to change does not care. */
	if (own.identity.group_count < 0 && own.permitted == 0)
		own.identity.group_count = 0;
	return own.identity.group_count < 0 ? -errno : 0;
}

bool identity_assumed(void)
{
	return own.assumed;
}

bool identity_credentials(const struct identity *identity, bool with_descriptors, struct ucred *credentials,
                          bool *privileged)
{
	*privileged = !with_descriptors && (own.permitted & IDENTITY_TO_SPEAK) == IDENTITY_TO_SPEAK;
	if (!identity->known)
		return false;
	*credentials = identity->real;
	if (!*privileged)
		*credentials = (struct ucred){.pid = getpid(), .uid = identity->uid, .gid = identity->gid};
	return true;
}

/* Numbers behind "\nName:", as many as there are room for; how many there are. */
static int numbers_read(const char *status, const char *name, unsigned *numbers, int room)
{
	const char *at = strstr(status, name);
	int count = 0;

	if (at == NULL)
		return -EIO;
	for (at += strlen(name); *at == ' ' || *at == '\t'; at++)
		;
	while (*at >= '0' && *at <= '9') {
		char *end;
		unsigned long number = strtoul(at, &end, 10);

		if (count == room)
			return -E2BIG;
		numbers[count++] = (unsigned)number;
		at = end + strspn(end, " \t");
	}
	return count;
}

enum { REAL, EFFECTIVE, SAVED, FILES, IDS };

static int status_parse(const char *status, struct identity *identity)
{
	unsigned uids[IDS], gids[IDS];
	unsigned process;
	const char *mask = strstr(status, "\nUmask:\t"), *effective = strstr(status, "\nCapEff:\t");

	_Static_assert(sizeof(gid_t) == sizeof(unsigned), "groups are read as they are kept");
	if (numbers_read(status, "\nUid:", uids, IDS) != IDS ||
	    numbers_read(status, "\nGid:", gids, IDS) != IDS ||
	    numbers_read(status, "\nTgid:", &process, 1) != 1 || mask == NULL || effective == NULL)
		return -EPERM;
	identity->known = true;
	identity->real = (struct ucred){.pid = (pid_t)process, .uid = uids[REAL], .gid = gids[REAL]};
	identity->uid = uids[EFFECTIVE];
	identity->fs_uid = uids[FILES];
	identity->gid = gids[EFFECTIVE];
	identity->fs_gid = gids[FILES];
	identity->mask = (mode_t)strtoul(mask + strlen("\nUmask:\t"), NULL, 8);
	identity->effective = strtoull(effective + strlen("\nCapEff:\t"), NULL, 16) & own.permitted;
	identity->group_count = numbers_read(status, "\nGroups:", identity->groups, IDENTITY_GROUPS_MAX);
	return identity->group_count < 0 ? -EPERM : 0;
}

static bool ids_are_own(const struct identity *identity)
{
	return identity->uid == own.identity.uid && identity->fs_uid == own.identity.fs_uid &&
	       identity->gid == own.identity.gid && identity->fs_gid == own.identity.fs_gid &&
	       identity->group_count == own.identity.group_count &&
	       memcmp(identity->groups, own.identity.groups, (size_t)identity->group_count * sizeof(gid_t)) ==
	               0;
}

/* All of the line of groups must be in it: where it is cut, a group that denies could be missing. */
int identity_read_all(struct gate *gate, const struct call *call, struct identity *identity)
{
	char status[TARGET_STATUS_SIZE];
	int r = target_status(gate, call->tid, status, sizeof(status));

	if (r < 0 || notify_valid(gate->listener, call->id) < 0)
		return -ESTALE;
	if ((r = status_parse(status, identity)) < 0)
		return r;
	identity->own_ids = ids_are_own(identity);
	identity->own = identity->own_ids && (identity->effective & ~own_work) == 0;
	return identity->own_ids || own.can_change ? 0 : -EPERM;
}

int identity_read(struct gate *gate, const struct call *call, struct identity *identity)
{
	identity->own = own.fixed;
	identity->own_ids = own.fixed;
	identity->known = false;
	return own.fixed ? 0 : identity_read_all(gate, call, identity);
}

/* setfsuid(2) says nothing of a failure but by what it was before; asked again it tells. The effective id has just
 * been set, and the other follows it. */
static int fs_ids_set(const struct identity *identity)
{
	if (identity->fs_gid != identity->gid) {
		setfsgid(identity->fs_gid);
		if ((gid_t)setfsgid((gid_t)-1) != identity->fs_gid)
			return -EPERM;
	}
	if (identity->fs_uid != identity->uid) {
		setfsuid(identity->fs_uid);
		if ((uid_t)setfsuid((uid_t)-1) != identity->fs_uid)
			return -EPERM;
	}
	return 0;
}

/* The library's functions would change all threads; of these there is only one, and after a fork from a program with
 * several it would look for the others. */
static int ids_set(const struct identity *identity)
{
	if (syscall(SYS_setgroups, identity->group_count, identity->groups) < 0 ||
	    syscall(SYS_setresgid, -1, identity->gid, -1) < 0 ||
	    syscall(SYS_setresuid, -1, identity->uid, -1) < 0)
		return -errno;
	return fs_ids_set(identity);
}

/* Leaving uid 0 clears what is in effect, and a change of ids may make the process traceable: proc(5),
 * suid_dumpable. */
static int identity_wear(const struct identity *identity, uint64_t effective)
{
	int r;

	if ((r = effective_set(own.permitted & to_change)) < 0 || (r = ids_set(identity)) < 0 ||
	    (r = effective_set(effective)) < 0)
		return r;
	return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? -errno : 0;
}

static int identity_change(const struct identity *to, bool ids, uint64_t effective)
{
	return ids ? identity_wear(to, effective) : effective_set(effective);
}

int identity_assume(const struct identity *identity)
{
	int r;

	if (identity->own)
		return 0;
	own.assumed = true;
	r = identity_change(identity, !identity->own_ids,
	                    identity->effective | (own.permitted & BIT(CAP_SYS_PTRACE)));
	if (r < 0)
		identity_restore(identity);
	return r;
}

void identity_restore(const struct identity *identity)
{
	if (identity->own)
		return;
	if (identity_change(&own.identity, !identity->own_ids, own.identity.effective) < 0)
		_exit(1);
	own.assumed = false;
}
