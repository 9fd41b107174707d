/* Profiles in the public face. A file of its own: who links the static library and loads no profile needs no
 * libyaml. */
#include <errno.h>

#include "core/error.h"
#include "core/profile.h"
#include "supervise/supervise.h"

int sl_policy_load(sl_policy *policy, const char *file, sl_error *error)
{
	struct profile_first_fault first = {.faults = {.fault = profile_first_fault}, .error = error};
	struct profile_dirs dirs;
	const struct profile_source source = {&dirs, &policy_checks_all, &first.faults};

	if (policy == NULL || file == NULL)
		return error_set(error, -EINVAL, "sl_policy_load: no %s given",
		                 policy == NULL ? "policy" : "file");
	profile_dirs_get(&dirs);
	return profile_load(policy, file, &source, NULL);
}
