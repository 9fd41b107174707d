/* What a privileged program keeps behind the walls. Landlock and the filter bind root too, but several
 * capabilities lead around them: NET_ADMIN rewrites where an allowed connection goes, SYS_ADMIN freezes the
 * file system below a read-only grant, MKNOD and SYS_RAWIO reach the disk, SETFCAP and FSETID leave privilege
 * behind for others. capabilities(7). What is kept is what servers need to read their files, bind and become
 * somebody else. The bounding set goes too, or an exec by root would fill the others from it again.
 */
#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "confine/confine.h"

#define BIT(capability) (1ull << (capability))

static const uint64_t kept = 0
#define CAPABILITY(name) | BIT(CAP_##name)
#include "core/capabilities.def"
#undef CAPABILITY
	;

enum { CAPABILITIES_MAX = 64 };

static int sets_read(struct __user_cap_data_struct sets[2])
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};

	return syscall(SYS_capget, &header, sets) < 0 ? -errno : 0;
}

static int sets_write(const struct __user_cap_data_struct sets[2])
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};

	return syscall(SYS_capset, &header, sets) < 0 ? -errno : 0;
}

uint64_t capabilities_permitted(void)
{
	struct __user_cap_data_struct sets[2] = {0};

	if (sets_read(sets) < 0)
		return UINT64_MAX;
	return sets[0].permitted | (uint64_t)sets[1].permitted << 32;
}

/* Files may carry it, such as ping(8), and could not be executed without it in the bounding set: capabilities(7). Under
 * no_new_privs they do not give it. */
static const uint64_t bounding = BIT(CAP_NET_RAW);

/* Needs CAP_SETPCAP; who does not have it cannot gain anything by exec either, under no_new_privs. */
static void bounding_drop(uint64_t keep)
{
	for (int capability = 0; capability < CAPABILITIES_MAX; capability++)
		if (!((keep | bounding) & BIT(capability)) && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0)
			return; /* past the last that this kernel knows, or not ours to drop */
}

static int capabilities_keep(uint64_t keep)
{
	struct __user_cap_data_struct sets[2] = {0};
	int r = sets_read(sets);

	if (r < 0 || (sets[0].permitted == 0 && sets[1].permitted == 0))
		return r;
	bounding_drop(keep);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	for (int i = 0; i < 2; i++) {
		sets[i].permitted &= (uint32_t)(keep >> (32 * i));
		sets[i].effective &= sets[i].permitted;
		sets[i].inheritable &= sets[i].permitted;
	}
	return sets_write(sets);
}

int capabilities_bound(bool nothing)
{
	uint64_t stays = nothing ? 0 : capabilities_permitted() & kept;
	bool root = getuid() == 0 || geteuid() == 0;
	int there;

	for (int capability = 0; (there = prctl(PR_CAPBSET_READ, capability, 0, 0, 0)) >= 0; capability++)
		if (there && !(stays & BIT(capability)) && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0)
			return root ? -errno : 0; /* to nobody else exec gives any */
	return 0;
}

int capabilities_drop(void)
{
	return capabilities_keep(kept);
}

int capabilities_drop_all(void)
{
	return capabilities_keep(0);
}

int capabilities_suspend(uint64_t needed)
{
	struct __user_cap_data_struct sets[2] = {0};
	int r = sets_read(sets);

	if (r < 0)
		return r;
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	for (int i = 0; i < 2; i++) {
		sets[i].effective = sets[i].permitted & (uint32_t)(needed >> (32 * i));
		sets[i].inheritable = 0;
	}
	return sets_write(sets);
}
