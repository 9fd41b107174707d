/* A thousand clones of a template with 100 MiB of touched memory, against as many bare forks of a process with the same
 * memory: the same pipes, the same bytes, the same waiting, at most as many at once. Each clone writes one line. Rounds
 * are interleaved. What is left out: making the template.
 *
 * usage: bench_clones [ROUNDS]
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/bench.h"
#include "core/fd.h"
#include "sluice.h"

enum { CLONES = 1000, WINDOW = 256, MEMORY = 100 << 20, PAGE = 4096 };

static sl_clone clones[CLONES];

/* Without huge pages, as most memory of a program is: with them a fork copies next to nothing. */
static int memory_touch(void *context)
{
	char *memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)context;
	if (memory == MAP_FAILED)
		return errno;
	madvise(memory, MEMORY, MADV_NOHUGEPAGE);
	for (size_t at = 0; at < MEMORY; at += PAGE)
		memory[at] = 1;
	return 0;
}

static int line_write(void *context, unsigned index)
{
	(void)context;
	return dprintf(1, "%u\n", index) < 0;
}

/* ---- bare ---- */

struct running {
	pid_t pid;
	int output;
};

static void bare_start(struct running *running, unsigned index)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0 || (running->pid = fork()) < 0)
		die("fork: %s", strerror(errno));
	if (running->pid == 0) {
		dup2(ends[1], 1);
		close(ends[0]);
		close(ends[1]);
		_exit(line_write(NULL, index));
	}
	close(ends[1]);
	running->output = ends[0];
}

static void bare_end(struct running *running)
{
	char text[64];
	int status;

	while (read(running->output, text, sizeof(text)) > 0)
		;
	close(running->output);
	if (waitpid(running->pid, &status, 0) < 0 || status != 0)
		die("a bare fork failed");
}

/* A ring of them: one more is started when the oldest has been waited for. */
static void bare_run(unsigned repeats, double ns[PARTS])
{
	struct running running[WINDOW];
	double start = now_ns();

	for (unsigned i = 0; i < repeats + WINDOW; i++) {
		if (i >= WINDOW && i - WINDOW < repeats)
			bare_end(&running[i % WINDOW]);
		if (i < repeats)
			bare_start(&running[i % WINDOW], i);
	}
	ns[0] = (now_ns() - start) / repeats;
}

/* ---- templates ---- */

static sl_template *template;

static void template_make(const char *key, const char *value)
{
	sl_work work = {.init = memory_touch, .work = line_write};
	sl_policy *policy = sl_policy_new();
	sl_error error;

	if (policy == NULL || sl_policy_set(policy, "fs-system", "", &error) < 0 ||
	    (key != NULL && sl_policy_set(policy, key, value, &error) < 0) ||
	    sl_template_create(policy, &work, NULL, -1, &template, &error) < 0)
		die("%s", error.message);
	sl_policy_free(policy);
}

static void template_run(unsigned repeats, double ns[PARTS])
{
	double start = now_ns();
	sl_error error;

	if (sl_template_fork(template, repeats, 4096, -1, clones, &error) < 0)
		die("%s", error.message);
	ns[0] = (now_ns() - start) / repeats;
	for (unsigned i = 0; i < repeats; i++)
		if (clones[i].status.code != 0 || atoi(clones[i].out) != (int)i)
			die("clone %u", i);
	sl_clones_clear(clones, repeats);
}

static bool lane_is_bare;

static void enter_bare(void)
{
	lane_is_bare = true;
	if (memory_touch(NULL) != 0)
		die("no memory");
}

static void enter_template(void)
{
	template_make(NULL, NULL);
}

static void enter_supervised(void)
{
	template_make("net-allow", "tcp://127.0.0.1:1");
}

static void clones_run(unsigned repeats, double ns[PARTS])
{
	(lane_is_bare ? bare_run : template_run)(repeats, ns);
}

static void result_print(const char *what, const struct lane *bare, const struct lane *lane, unsigned rounds)
{
	double ratio = lanes_ratio(lane, bare, 0, rounds);

	row_print(&(struct row){
		.what = what,
		.unit = "us",
		.bare = lane_median(bare, 0, rounds) / 1000,
		.sluice = lane_median(lane, 0, rounds) / 1000,
		.ratio = text("%.2f of bare", ratio),
		.target = "<= 1.3",
		.met = ratio <= 1.3,
	});
}

int main(int argc, char *argv[])
{
	static struct lane lanes[] = {
		{.name = "bare", .enter = enter_bare},
		{.name = "template", .enter = enter_template},
		{.name = "template with a supervisor", .enter = enter_supervised},
	};
	static const struct work works[] = {{"1,000 clones", clones_run, CLONES}};
	unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 5;

	if (rounds == 0 || rounds > ROUNDS_MAX)
		die("usage: bench_clones [ROUNDS]");
	lanes_start(lanes, 3, works);
	lanes_run(lanes, 3, 0, rounds);
	result_print("1,000 clones of 100 MiB, each", &lanes[0], &lanes[1], rounds);
	result_print("the same, supervised", &lanes[0], &lanes[2], rounds);
	lanes_stop(lanes, 3);
	return 0;
}
