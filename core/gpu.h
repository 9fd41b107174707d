/* gpu: which devices, and what they are called. Pure. */
#ifndef SL_CORE_GPU_H
#define SL_CORE_GPU_H

#include "core/policy.h"

enum { GPU_MAX = 32, GPU_VARIABLES = 2 };

/* What tells CUDA and ROCm which devices are theirs. */
extern const char *const gpu_variables[GPU_VARIABLES];

/* "all", or numbers below GPU_MAX, each once. -EINVAL, -ERANGE. */
int gpu_check(const char *key, const char *text, sl_error *error);

/* The numbers as they were written; NULL where there is no gpu, or all of them. */
const char *gpu_list(const sl_policy *policy);

/* Call `add` with every path, until it gives a negative result, which is returned. `device`: to read, write and ioctl;
 * else to look at. The paths are constant. Nothing without gpu. */
typedef int (*gpu_path_fn)(void *context, const char *path, bool device);
int gpu_paths_each(const sl_policy *policy, gpu_path_fn add, void *context);

#endif
