/* The device files of graphics processors: NVIDIA's driver has one for each, AMD's one for all. */
#include "core/gpu.h"

#include <errno.h>
#include <string.h>

#include "core/error.h"
#include "core/parse.h"

const char *const gpu_variables[GPU_VARIABLES] = {"CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"};

#define DEVICE(number) "/dev/nvidia" #number
static const char *const numbered[GPU_MAX] = {
	DEVICE(0),  DEVICE(1),  DEVICE(2),  DEVICE(3),  DEVICE(4),  DEVICE(5),  DEVICE(6),  DEVICE(7),
	DEVICE(8),  DEVICE(9),  DEVICE(10), DEVICE(11), DEVICE(12), DEVICE(13), DEVICE(14), DEVICE(15),
	DEVICE(16), DEVICE(17), DEVICE(18), DEVICE(19), DEVICE(20), DEVICE(21), DEVICE(22), DEVICE(23),
	DEVICE(24), DEVICE(25), DEVICE(26), DEVICE(27), DEVICE(28), DEVICE(29), DEVICE(30), DEVICE(31),
};

/* Of the whole machine. /dev/dri has a node for each card, whose numbers are not those of the list. */
static const struct {
	const char *path;
	bool device, all_only;
} shared[] = {
	{"/dev/nvidiactl", true, false},
	{"/dev/nvidia-uvm", true, false},
	{"/dev/nvidia-uvm-tools", true, false},
	{"/dev/kfd", true, false},
	{"/dev/dri", true, true},
	{"/proc/driver/nvidia", false, false},
	{"/sys/bus/pci/devices", false, false},
	{"/sys/module/nvidia", false, false},
};

static int number_take(const char *item, void *context)
{
	uint32_t *numbers = context;
	uint64_t number;
	int r = number_parse(item, 0, GPU_MAX - 1, &number);

	if (r < 0)
		return r;
	if (*numbers & 1u << number)
		return -EEXIST;
	*numbers |= 1u << number;
	return 0;
}

int gpu_check(const char *key, const char *text, sl_error *error)
{
	uint32_t numbers = 0;
	int r = strcmp(text, "all") == 0 ? 0 : comma_each(text, number_take, &numbers);

	if (r == -EEXIST)
		return error_set(error, -EINVAL, "%s: \"%.64s\" names a device twice", key, text);
	if (r == -EINVAL || r == -ERANGE)
		return error_set(error, r,
		                 "%s: \"%.64s\" given, expected all, or numbers in 0..%d such as 0,2", key,
		                 text, GPU_MAX - 1);
	return r < 0 ? error_errno(error, r, "%s", key) : 0;
}

const char *gpu_list(const sl_policy *policy)
{
	if (!policy_has(policy, OPTION_GPU) || strcmp(policy_scalar(policy, OPTION_GPU), "all") == 0)
		return NULL;
	return policy_scalar(policy, OPTION_GPU);
}

int gpu_paths_each(const sl_policy *policy, gpu_path_fn add, void *context)
{
	const char *list = gpu_list(policy);
	uint32_t numbers = list == NULL ? UINT32_MAX : 0;
	int r = 0;

	if (!policy_has(policy, OPTION_GPU))
		return 0;
	if (list != NULL && (r = comma_each(list, number_take, &numbers)) < 0)
		return r;
	for (size_t i = 0; r >= 0 && i < GPU_MAX; i++)
		if (numbers & 1u << i)
			r = add(context, numbered[i], true);
	for (size_t i = 0; r >= 0 && i < sizeof(shared) / sizeof(shared[0]); i++)
		if (list == NULL || !shared[i].all_only)
			r = add(context, shared[i].path, shared[i].device);
	return r;
}
