/* wc -w over many files, by fork and reduce. Parsing files from anywhere is work that one does not trust oneself with: it is
 * done in clones of a confined template, which may read the files' directory and nothing else, and a command that may
 * read nothing at all adds their results up.
 *
 * usage: reduce DIRECTORY FILE...
 */
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "sluice.h"

enum { TIME_MS = 60000 };

struct job {
	char **names;
	unsigned count;
	int directory;
};

static sl_error error;

static int fail(const char *what)
{
	fprintf(stderr, "reduce: %s: %s\n", what, error.message);
	return 1;
}

/* Once, in the template: each clone has the descriptor. */
static int directory_open(void *context)
{
	struct job *job = context;

	job->directory = open(job->names[-1], O_RDONLY | O_DIRECTORY);
	return job->directory < 0;
}

/* In clone `index`: one line, "WORDS NAME". */
static int words_count(void *context, unsigned index)
{
	const struct job *job = context;
	int fd = openat(job->directory, job->names[index], O_RDONLY), byte, was_space = 1;
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	unsigned long words = 0;

	if (file == NULL) {
		perror(job->names[index]);
		return 1;
	}
	while ((byte = getc(file)) != EOF) {
		words += was_space && !isspace(byte);
		was_space = isspace(byte);
	}
	printf("%7lu %s\n", words, job->names[index]);
	return ferror(file);
}

static sl_policy *policy_make(const char *directory)
{
	sl_policy *policy = sl_policy_new();

	if (policy != NULL && sl_policy_set(policy, "fs-system", NULL, &error) == 0 &&
	    (directory == NULL || sl_policy_set(policy, "fs-read", directory, &error) == 0))
		return policy;
	sl_policy_free(policy);
	return NULL;
}

static int clones_run(struct job *job, sl_clone *clones)
{
	const sl_work work = {directory_open, words_count, job};
	sl_policy *policy = policy_make(job->names[-1]);
	sl_template *template = NULL;
	int r = policy == NULL ? -1 : sl_template_create(policy, &work, NULL, TIME_MS, &template, &error);

	if (r == 0)
		r = sl_template_fork(template, job->count, 0, TIME_MS, clones, &error);
	sl_template_free(template);
	sl_policy_free(policy);
	return r;
}

static int total_print(const sl_clone *clones, unsigned count)
{
	static const char *const sum[] = {"awk", "{ n += $1; print } END { printf \"%7d total\\n\", n }",
	                                  NULL};
	sl_policy *policy = policy_make(NULL);
	sl_result result = {.limit = 64 << 20};
	int r = policy == NULL ? -1 : sl_reduce(policy, sum, clones, count, &result, &error);

	if (r == 0)
		fwrite(result.out, 1, result.out_size, stdout);
	if (r == 0)
		fwrite(result.err, 1, result.err_size, stderr);
	sl_result_clear(&result);
	sl_policy_free(policy);
	return r < 0 ? fail("adding up") : result.status.code != 0;
}

int main(int argc, char *argv[])
{
	struct job job = {argv + 2, argc > 2 ? (unsigned)argc - 2 : 0, -1};
	sl_clone *clones = calloc(job.count + 1, sizeof(*clones));
	int status = 0;

	if (job.count == 0 || clones == NULL) {
		fprintf(stderr, "usage: reduce DIRECTORY FILE...\n");
		return 2;
	}
	if (clones_run(&job, clones) < 0)
		status = fail("counting");
	for (unsigned i = 0; i < job.count; i++)
		status |= clones[i].status.code != 0;
	status |= total_print(clones, job.count);
	sl_clones_clear(clones, job.count);
	free(clones);
	return status;
}
