/* A profile and all that it extends, into a policy.
 *
 * What is extended comes first, in the order in which it is named, and each file counts once: where two names lead to
 * the same one, its lists would else grow twice, and sixteen files that name the next one twice would be 65536.
 */
#include "core/profile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/error.h"
#include "core/fd.h"

struct file_id {
	dev_t device;
	ino_t inode;
	bool done; /* else it is being read, further up */
};

struct loading {
	const struct profile_source *source;
	sl_policy *policy;
	struct file_id files[PROFILE_FILES_MAX];
	size_t file_count;
	unsigned depth;
	int code; /* of the first fault */
};

/* 0 to go on. */
static int fault(struct loading *loading, const struct profile_place *place, const sl_error *error)
{
	struct profile_faults *faults = loading->source->faults;

	if (loading->code == 0)
		loading->code = error->code;
	profile_fault(faults, place, error->code, "%s", error->message);
	return faults->all ? 0 : error->code;
}

/* Never waits: a FIFO is refused and not opened for good, and a regular file does not block. */
static int file_open(const char *path, struct stat *status, sl_error *error)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0 || fstat(fd, status) < 0)
		return error_errno(error, -errno, "cannot be opened");
	if (!S_ISREG(status->st_mode))
		return error_set(error, -EINVAL, "not a regular file");
	if (status->st_size > PROFILE_SIZE_MAX)
		return error_set(error, -EFBIG, "more than %d bytes", PROFILE_SIZE_MAX);
	return fd_steal(&fd);
}

/* It may grow while it is read. */
static ssize_t file_read(int fd, char *bytes, size_t room)
{
	size_t size = 0;

	while (size < room) {
		ssize_t r = read(fd, bytes + size, room - size);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return r < 0 ? -errno : (ssize_t)size;
		size += (size_t)r;
	}
	return -EFBIG;
}

static int bytes_read(int fd, struct profile_text *text, sl_error *error)
{
	enum { ROOM = PROFILE_SIZE_MAX + 1 };
	cleanup_free char *bytes = malloc(ROOM);
	ssize_t size = bytes == NULL ? -ENOMEM : file_read(fd, bytes, ROOM);

	if (size < 0)
		return error_errno(error, (int)size, "cannot be read");
	text->bytes = bytes;
	text->size = (size_t)size;
	bytes = NULL;
	return 0;
}

/* 1: it has been read already. */
static int file_note(struct loading *loading, const struct stat *status, sl_error *error)
{
	for (size_t i = 0; i < loading->file_count; i++) {
		const struct file_id *file = &loading->files[i];

		if (file->device != status->st_dev || file->inode != status->st_ino)
			continue;
		return file->done ? 1 : error_set(error, -ELOOP, "this profile extends itself");
	}
	if (loading->file_count == PROFILE_FILES_MAX)
		return error_set(error, -E2BIG, "more than %d files extend one another", PROFILE_FILES_MAX);
	loading->files[loading->file_count++] = (struct file_id){status->st_dev, status->st_ino, false};
	return 0;
}

/* A name, or, with a slash in it, a path from where the file is that says so. */
static int base_path(const struct loading *loading, const char *file, const char *name,
                     char path[static PATH_MAX], sl_error *error)
{
	const char *slash = strrchr(file, '/');
	int size = slash == NULL || name[0] == '/' ? 0 : (int)(slash - file) + 1;

	if (strchr(name, '/') == NULL)
		return profile_find(loading->source->dirs, name, path, error);
	if (snprintf(path, PATH_MAX, "%.*s%s", size, file, name) >= PATH_MAX)
		return error_errno(error, -ENAMETOOLONG, "%s", name);
	return 0;
}

static int file_load(struct loading *loading, const char *file, const struct profile_place *asked,
                     char **description);

static int bases_load(struct loading *loading, const char *file, const struct profile *profile)
{
	char path[PATH_MAX];
	sl_error error;
	int r = 0;

	for (size_t i = 0; r == 0 && i < profile->base_count; i++) {
		const struct profile_base *base = &profile->bases[i];
		const struct profile_place place = {file, base->line, base->column};

		r = base_path(loading, file, base->name, path, &error);
		if (r < 0) {
			error_wrap(&error, r, "extends");
			r = fault(loading, &place, &error);
		} else {
			r = file_load(loading, path, &place, NULL);
		}
	}
	return r;
}

static int values_apply(struct loading *loading, const char *file, const struct profile *profile)
{
	sl_error error;
	int r = 0;

	for (size_t i = 0; r == 0 && i < profile->value_count; i++) {
		const struct profile_value *value = &profile->values[i];
		const struct profile_place place = {file, value->line, value->column};

		if (value->text == NULL)
			policy_unset(loading->policy, value->row);
		else if (policy_set(loading->policy, value->row->key, value->text, loading->source->checks,
		                    &error) < 0)
			r = fault(loading, &place, &error);
	}
	return r;
}

/* A file that cannot be had is the fault of the line that asks for it. */
static int fault_asked(struct loading *loading, const char *file, const struct profile_place *asked,
                       sl_error *error)
{
	const struct profile_place whole = {.file = file};

	if (asked == NULL)
		return fault(loading, &whole, error);
	error_wrap(error, error->code, "extends: %.120s", file);
	return fault(loading, asked, error);
}

/* What was readable of a file with faults is looked at as well where all faults are to be told. */
static int text_load(struct loading *loading, const struct profile_text *text, char **description)
{
	const struct profile_source *source = loading->source;
	struct profile profile;
	int r = profile_read(text, source->checks, source->faults, &profile);

	if (loading->code == 0)
		loading->code = r;
	if (r == 0 || source->faults->all) {
		r = bases_load(loading, text->file, &profile);
		if (r == 0)
			r = values_apply(loading, text->file, &profile);
	}
	if (description != NULL) {
		*description = profile.description;
		profile.description = NULL;
	}
	profile_clear(&profile);
	return r;
}

static int file_load(struct loading *loading, const char *file, const struct profile_place *asked,
                     char **description)
{
	struct profile_text text = {.file = file};
	size_t index = loading->file_count;
	struct stat status;
	sl_error error;
	cleanup_fd int fd = file_open(file, &status, &error);
	int r = fd < 0 ? fd : file_note(loading, &status, &error);

	if (r == 0 && loading->depth == PROFILE_DEPTH_MAX)
		r = error_set(&error, -ELOOP, "more than %d files deep", PROFILE_DEPTH_MAX);
	if (r == 0)
		r = bytes_read(fd, &text, &error);
	if (r != 0)
		return r < 0 ? fault_asked(loading, file, asked, &error) : 0;
	loading->depth++;
	r = text_load(loading, &text, description);
	loading->depth--;
	loading->files[index].done = true;
	free((char *)text.bytes);
	return r;
}

/* Into a copy, which then takes the place of the original: it is all or nothing. */
int profile_load(sl_policy *policy, const char *file, const struct profile_source *source, char **description)
{
	const struct profile_place whole = {.file = file};
	struct loading loading = {.source = source};

	if (description != NULL)
		*description = NULL;
	if (atomic_load(&policy->frozen))
		return profile_fault(source->faults, &whole, -EBUSY,
		                     "this policy is in use and cannot change; copy it first");
	loading.policy = sl_policy_copy(policy);
	if (loading.policy == NULL)
		return profile_fault(source->faults, &whole, -ENOMEM, "%s", strerrordesc_np(ENOMEM));
	file_load(&loading, file, NULL, description);
	if (loading.code == 0)
		policy_swap_values(policy, loading.policy);
	sl_policy_free(loading.policy);
	if (loading.code < 0 && description != NULL) {
		free(*description);
		*description = NULL;
	}
	return loading.code;
}
