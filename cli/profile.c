/* sluice profile: which there are, what one says with all that it extends, and what is wrong with a file. */
#include "core/profile.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "core/error.h"
#include "supervise/supervise.h"

int profile_apply(sl_policy *policy, const char *name, bool is_file, char **description, sl_error *error)
{
	struct profile_first_fault first = {.faults = {.fault = profile_first_fault}, .error = error};
	struct profile_dirs dirs;
	const struct profile_source source = {&dirs, &policy_checks_all, &first.faults};
	char path[PATH_MAX];
	int r;

	profile_dirs_get(&dirs);
	if (is_file)
		return profile_load(policy, name, &source, description);
	r = profile_find(&dirs, name, path, error);
	return r < 0 ? r : profile_load(policy, path, &source, description);
}

/* --- list */

/* "NAME.yaml" -> NAME; false for other files. */
static bool listed_name(const char *file, char name[static PROFILE_NAME_MAX + 1])
{
	size_t size = strlen(file), suffix = strlen(".yaml");

	if (size <= suffix || size - suffix > PROFILE_NAME_MAX || strcmp(file + size - suffix, ".yaml") != 0)
		return false;
	memcpy(name, file, size - suffix);
	name[size - suffix] = '\0';
	return profile_name_valid(name);
}

static int listed(const struct dirent *entry)
{
	char name[PROFILE_NAME_MAX + 1];

	return listed_name(entry->d_name, name);
}

/* Of a text, what is for one line of a terminal. */
static void line_print(const char *text)
{
	for (; *text != '\0' && *text != '\n'; text++)
		putchar((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text);
}

/* Of the same name in a directory that comes first. */
static void hider_print(const struct profile_dirs *dirs, size_t dir, const char *name)
{
	char path[PATH_MAX + PROFILE_NAME_MAX + sizeof("/.yaml")];

	for (size_t i = 0; i < dir; i++) {
		snprintf(path, sizeof(path), "%s/%s.yaml", dirs->paths[i], name);
		if (dirs->paths[i][0] == '\0' || access(path, F_OK) != 0)
			continue;
		printf(" (hidden by ");
		line_print(dirs->paths[i]);
		printf(")");
		return;
	}
}

static void list_one(const struct profile_dirs *dirs, size_t dir, const char *name)
{
	char path[PATH_MAX + PROFILE_NAME_MAX + sizeof("/.yaml")], *description = NULL;
	sl_policy *scratch = sl_policy_new();
	sl_error error = {.message = "out of memory"};
	int r = -ENOMEM;

	snprintf(path, sizeof(path), "%s/%s.yaml", dirs->paths[dir], name);
	if (scratch != NULL)
		r = profile_apply(scratch, path, true, &description, &error);
	printf("%-16s ", name);
	line_print(dirs->paths[dir]);
	hider_print(dirs, dir, name);
	fputs(r < 0 ? "  UNUSABLE: " : "  ", stdout);
	line_print(r < 0 ? error.message : description != NULL ? description : "");
	putchar('\n');
	free(description);
	sl_policy_free(scratch);
}

/* How many, or -1 and it has been said why. A directory that is not there holds none. */
static int list_dir(const struct profile_dirs *dirs, size_t dir)
{
	const char *path = dirs->paths[dir];
	struct dirent **entries = NULL;
	char name[PROFILE_NAME_MAX + 1];
	int count = path[0] == '\0' ? 0 : scandir(path, &entries, listed, alphasort);

	if (count < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (count < 0)
		fprintf(stderr, "sluice: %s: %s\n", path, strerror(errno));
	for (int i = 0; i < count; i++) {
		if (listed_name(entries[i]->d_name, name))
			list_one(dirs, dir, name);
		free(entries[i]);
	}
	free(entries);
	return count;
}

static int list_main(const char *none)
{
	struct profile_dirs dirs;
	int total = 0, code = 0;

	(void)none;
	profile_dirs_get(&dirs);
	for (size_t dir = 0; dir < PROFILE_DIRS; dir++) {
		int count = list_dir(&dirs, dir);

		total += count < 0 ? 0 : count;
		code = count < 0 ? EXIT_SLUICE : code;
	}
	if (total == 0 && code == 0)
		fprintf(stderr, "sluice: no profiles in %s%s%s, %s\n", dirs.paths[0],
		        dirs.paths[0][0] == '\0' ? "" : ", ", dirs.paths[1], dirs.paths[2]);
	return fflush(stdout) != 0 || ferror(stdout) ? EXIT_SLUICE : code;
}

/* --- show, check */

static int show_main(const char *name)
{
	sl_policy *policy = sl_policy_new();
	char *description = NULL;
	sl_error error = {.message = "out of memory"};
	int r = -ENOMEM;

	if (policy != NULL)
		r = profile_apply(policy, name, strchr(name, '/') != NULL, &description, &error);
	if (r == 0 && (r = profile_print(policy, description, stdout)) < 0)
		error_set(&error, r, "standard output cannot be written");
	if (r < 0)
		fprintf(stderr, "sluice: %s\n", error.message);
	free(description);
	sl_policy_free(policy);
	return r < 0 ? EXIT_SLUICE : 0;
}

static void fault_print(struct profile_faults *self, const sl_error *error)
{
	(void)self;
	fprintf(stderr, "sluice: %s\n", error->message);
}

static int profile_check_main(const char *file)
{
	struct profile_faults faults = {.fault = fault_print, .all = true};
	struct profile_dirs dirs;
	const struct profile_source source = {&dirs, &policy_checks_all, &faults};
	sl_policy *policy = sl_policy_new();
	int r = -ENOMEM;

	profile_dirs_get(&dirs);
	if (policy == NULL)
		fputs("sluice: out of memory\n", stderr);
	else
		r = profile_load(policy, file, &source, NULL);
	sl_policy_free(policy);
	return r < 0 ? EXIT_SLUICE : 0;
}

static const struct {
	const char *name, *arg; /* NULL: takes none */
	int (*main)(const char *arg);
} verbs[] = {
	{"list", NULL, list_main},
	{"show", "NAME", show_main},
	{"check", "FILE", profile_check_main},
};

static int verbs_print(void)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		fprintf(stderr, "%s sluice profile %s %s\n", i == 0 ? "usage:" : "      ", verbs[i].name,
		        verbs[i].arg == NULL ? "" : verbs[i].arg);
	return EXIT_SLUICE;
}

int profile_main(int argc, char *argv[])
{
	for (size_t i = 0; argc > 1 && i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(argv[1], verbs[i].name) == 0 && argc == (verbs[i].arg == NULL ? 2 : 3))
			return verbs[i].main(argv[2]);
	return verbs_print();
}
