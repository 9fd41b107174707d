/* sl_pipeline(), sl_gather(): every byte arrives and every end is seen, whatever a stage does; each has the descriptors
 * that are its own and no other; and nothing is left behind, above all where a stage cannot be made.
 *
 * The stages are this program itself: see commands[]. What a pipeline of the kernel's does bare is the control.
 */
#include "tests/common/clean.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

static char self[4096];
static sl_error error;

enum { MIB = 1 << 20, DESCRIPTORS_SEEN = 1024 };

/* ---- commands: what runs inside ---- */

static int write_all(int fd, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t written = write(fd, data, size);

		if (written < 0)
			return errno;
		data += written;
		size -= (size_t)written;
	}
	return 0;
}

static int command_cat(const char *argument)
{
	static char piece[65536];
	int from = argument == NULL ? 0 : atoi(argument);
	ssize_t size;

	while ((size = read(from, piece, sizeof(piece))) > 0)
		if (write_all(1, piece, (size_t)size) != 0)
			return 1;
	return size < 0;
}

/* So many MiB to stdout and to stderr; 0: for ever, to stdout alone. */
static int command_write(const char *argument)
{
	static char piece[65536];
	int mib = atoi(argument);

	memset(piece, 'w', sizeof(piece));
	for (int i = 0; mib == 0 || i < mib * 16; i++)
		if (write_all(1, piece, sizeof(piece)) != 0 ||
		    (mib > 0 && write_all(2, piece, sizeof(piece)) != 0))
			return 1;
	return 0;
}

static int command_exit(const char *argument)
{
	return atoi(argument);
}

/* One byte is enough for it. */
static int command_one(const char *argument)
{
	char byte;

	(void)argument;
	return read(0, &byte, 1) == 1 ? 0 : 1;
}

static int command_close_stdin(const char *argument)
{
	(void)argument;
	close(0);
	usleep(200000);
	return write_all(1, "done", 4);
}

static int command_sleep(const char *argument)
{
	(void)argument;
	sleep(60);
	return 1;
}

/* It says nothing more, and listens on. */
static int command_listen(const char *argument)
{
	static char piece[65536];
	size_t total = 0;
	ssize_t size;

	close(1);
	close(2);
	usleep(100000);
	while ((size = read(0, piece, sizeof(piece))) > 0)
		total += (size_t)size;
	return total == (size_t)atoi(argument) ? 0 : 1;
}

/* Every descriptor there is as "N:INODE " on stderr, where that of a pipe tells which. */
static int command_descriptors(const char *argument)
{
	char text[4096] = "";
	struct stat status;

	(void)argument;
	for (int fd = 0; fd < DESCRIPTORS_SEEN; fd++)
		if (fstat(fd, &status) == 0)
			sprintf(text + strlen(text), "%d:%lu ", fd,
			        S_ISFIFO(status.st_mode) ? (unsigned long)status.st_ino : 0UL);
	return write_all(2, text, strlen(text));
}

static int command_read(const char *argument)
{
	int fd = open(argument, O_RDONLY | O_CLOEXEC), code = fd < 0 ? errno : 0;

	close(fd);
	return code;
}

static int command_touch(const char *argument)
{
	return creat(argument, 0600) < 0 ? errno : 0;
}

static int command_gather(const char *argument)
{
	static const char *const names[] = {"left", "right", "last"};

	(void)argument;
	for (int i = 0; i < 3; i++) {
		int fd = sl_gather_fd(names[i]);

		if (fd < 0 || dprintf(1, "%s:%d=", names[i], fd) < 0 || command_cat(text_of("%d", fd)) != 0)
			return 1;
	}
	return sl_gather_fd("lef") == -ENOENT && sl_gather_fd("nobody") == -ENOENT &&
	                       sl_gather_fd("") == -ENOENT && sl_gather_fd(NULL) == -ENOENT
	               ? 0
	               : 2;
}

static const struct {
	const char *name;
	int (*run)(const char *argument);
} commands[] = {
	{"cat", command_cat},
	{"write", command_write},
	{"exit", command_exit},
	{"one", command_one},
	{"close-stdin", command_close_stdin},
	{"sleep", command_sleep},
	{"listen", command_listen},
	{"descriptors", command_descriptors},
	{"read", command_read},
	{"touch", command_touch},
	{"gather", command_gather},
};

static int command_main(char *argv[])
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(argv[0], commands[i].name) == 0)
			return commands[i].run(argv[1]);
	return 99;
}

/* ---- running them ---- */

#define ARGV(...) ((const char *const[]){self, __VA_ARGS__, NULL})
#define STAGE(...)                                          \
	{                                                   \
		.policy = policy, .argv = ARGV(__VA_ARGS__) \
	}
#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

/* With a gate or without one; more keys behind. */
static sl_policy *policy_make(const char *key, const char *value)
{
	sl_policy *policy = policy_of(POLICY("fs-system", "", "fs-read", self));

	if (key != NULL && sl_policy_set(policy, key, value, &error) < 0)
		fail_msg("%s", error.message);
	return policy;
}

static void works(int r)
{
	if (r < 0)
		fail_msg("%s", error.message);
}

/* wait(2)'s words of `left | right`, bare. */
static void bare_pair(const char *const left[], const char *const right[], int status[2])
{
	const char *const *argv[2] = {left, right};
	pid_t pids[2];
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	for (int i = 0; i < 2; i++) {
		pids[i] = process_fork();
		if (pids[i] == 0) {
			dup2(ends[1 - i], 1 - i);
			close(ends[0]);
			close(ends[1]);
			execv(self, (char *const *)argv[i]);
			_exit(99);
		}
	}
	close(ends[0]);
	close(ends[1]);
	for (int i = 0; i < 2; i++)
		waitpid(pids[i], &status[i], 0);
}

static void test_every_byte_passes_three_stages(void **state)
{
	sl_policy *policy = policy_make("net-allow", "tcp://127.0.0.1:1"), *alone = policy_make(NULL, NULL);
	sl_stage stages[] = {STAGE("cat"), {.policy = alone, .argv = ARGV("cat")}, STAGE("cat")};
	char *input = malloc(3 * MIB);
	sl_result result = {.input = input, .input_size = 3 * MIB, .limit = 4 * MIB};

	(void)state;
	for (size_t i = 0; i < 3 * MIB; i++)
		input[i] = (char)(i * 2654435761u >> 13);
	works(sl_pipeline(stages, COUNT(stages), NULL, -1, &result, &error));
	assert_int_equal(result.out_size, 3 * MIB);
	assert_memory_equal(result.out, input, 3 * MIB);
	assert_int_equal(result.err_size, 0);
	assert_int_equal(result.cut, 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(stages[i].status.code, 0);
	sl_result_clear(&result);
	free(input);
	sl_policy_free(policy);
	sl_policy_free(alone);
}

static void test_both_outputs_of_the_last_are_kept_up_to_the_limit(void **state)
{
	sl_policy *policy = policy_make(NULL, NULL);
	sl_stage stages[] = {STAGE("exit", "3"), STAGE("write", "5")};
	sl_result result = {.limit = MIB};

	(void)state;
	works(sl_pipeline(stages, 2, NULL, 60000, &result, &error));
	assert_int_equal(result.out_size, MIB);
	assert_int_equal(result.err_size, MIB);
	assert_int_equal(result.cut, 1);
	assert_int_equal(stages[0].status.code, 3);
	assert_int_equal(result.status.code, 0);
	assert_int_equal(result.status.reason, SL_REASON_NONE);
	sl_result_clear(&result);
	sl_policy_free(policy);
}

/* As bare: the one before gets SIGPIPE, the next sees the end. */
static void pair_ends_as_bare(const char *const left[], const char *const right[])
{
	sl_policy *policy = policy_make(NULL, NULL);
	sl_stage stages[] = {{.policy = policy, .argv = left}, {.policy = policy, .argv = right}};
	sl_result result = {0};
	int bare[2];

	bare_pair(left, right, bare);
	works(sl_pipeline(stages, 2, NULL, 20000, &result, &error));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(stages[i].status.signal, WIFSIGNALED(bare[i]) ? WTERMSIG(bare[i]) : 0);
		assert_int_equal(stages[i].status.code, WIFEXITED(bare[i]) ? WEXITSTATUS(bare[i]) : -1);
	}
	sl_result_clear(&result);
	sl_policy_free(policy);
}

static void test_a_stage_that_ends_is_seen_by_its_neighbours(void **state)
{
	int bare[2];

	(void)state;
	bare_pair(ARGV("write", "0"), ARGV("one"), bare);
	assert_int_equal(WTERMSIG(bare[0]), SIGPIPE); /* else this shows nothing */
	pair_ends_as_bare(ARGV("write", "0"), ARGV("one"));
	pair_ends_as_bare(ARGV("write", "0"), ARGV("exit", "5"));
	pair_ends_as_bare(ARGV("exit", "4"), ARGV("cat"));
}

static void test_a_stage_may_close_its_stdin(void **state)
{
	sl_policy *policy = policy_make(NULL, NULL);
	sl_stage stages[] = {STAGE("write", "0"), STAGE("close-stdin"), STAGE("cat")};
	sl_result result = {0};

	(void)state;
	stages[0].err = (sl_stream){SL_STREAM_NULL, -1};
	works(sl_pipeline(stages, 3, NULL, 20000, &result, &error));
	assert_int_equal(stages[0].status.signal, SIGPIPE);
	assert_string_equal(result.out, "done");
	sl_result_clear(&result);
	sl_policy_free(policy);
}

/* Input that nobody reads, from an app that ignores no SIGPIPE. */
static void test_input_that_nobody_reads_is_no_harm(void **state)
{
	sl_policy *policy = policy_make(NULL, NULL);
	sl_stage stages[] = {STAGE("exit", "0"), STAGE("cat")};
	char *input = calloc(1, 3 * MIB);
	sl_result result = {.input = input, .input_size = 3 * MIB};

	(void)state;
	works(sl_pipeline(stages, 2, NULL, 20000, &result, &error));
	assert_int_equal(result.out_size, 0);
	assert_int_equal(stages[0].status.code, 0);
	sl_result_clear(&result);
	free(input);
	sl_policy_free(policy);
}

static void test_input_goes_on_when_the_outputs_are_closed(void **state)
{
	const char *const argv[] = {self, "listen", text_of("%d", 3 * MIB), NULL};
	sl_policy *policy = policy_make(NULL, NULL);
	sl_stage stages[] = {STAGE("cat"), {.policy = policy, .argv = argv}};
	char *input = calloc(1, 3 * MIB);
	sl_result result = {.input = input, .input_size = 3 * MIB};

	(void)state;
	works(sl_run(policy, argv, &result, &error));
	assert_int_equal(result.status.code, 0);
	sl_result_clear(&result);
	works(sl_pipeline(stages, 2, NULL, 20000, &result, &error));
	assert_int_equal(result.status.code, 0);
	sl_result_clear(&result);
	free(input);
	sl_policy_free(policy);
}

static unsigned long descriptor_inode(const char *text, int fd)
{
	const char *found = strstr(text, text_of("%d:", fd));
	unsigned long inode = 0;

	assert_non_null(found);
	sscanf(found, "%*d:%lu", &inode);
	return inode;
}

static size_t words_count(const char *text)
{
	size_t count = 0;

	for (; *text != '\0'; text++)
		count += *text == ' ';
	return count;
}

static void file_text(int fd, char *text, size_t size)
{
	ssize_t got = pread(fd, text, size - 1, 0);

	text[got < 0 ? 0 : got] = '\0';
}

static void test_each_stage_has_its_own_descriptors_and_no_other(void **state)
{
	sl_policy *policy = policy_make("net-allow", "tcp://127.0.0.1:1");
	sl_stage stages[] = {STAGE("descriptors"), STAGE("descriptors"), STAGE("descriptors")};
	sl_result result = {0};
	char text[2][4096];
	int files[2], stray = open("/dev/null", O_RDONLY); /* not even O_CLOEXEC */

	(void)state;
	for (int i = 0; i < 2; i++) {
		files[i] = open(text_of("%s/descriptors.%d", scratch(), i), O_RDWR | O_CREAT | O_TRUNC, 0600);
		assert_true(files[i] >= 0);
		stages[i].err = (sl_stream){SL_STREAM_GIVEN, files[i]};
	}
	works(sl_pipeline(stages, 3, NULL, 20000, &result, &error));
	for (int i = 0; i < 2; i++) {
		file_text(files[i], text[i], sizeof(text[i]));
		close(files[i]);
		assert_int_equal(words_count(text[i]), 3);
	}
	assert_int_equal(words_count(result.err), 3);
	assert_int_equal(descriptor_inode(text[0], 0), 0);
	assert_int_not_equal(descriptor_inode(text[0], 1), 0);
	assert_int_equal(descriptor_inode(text[0], 1), descriptor_inode(text[1], 0));
	assert_int_equal(descriptor_inode(text[1], 1), descriptor_inode(result.err, 0));
	assert_int_not_equal(descriptor_inode(text[0], 1), descriptor_inode(text[1], 1));
	close(stray);
	sl_result_clear(&result);
	sl_policy_free(policy);
}

static void test_one_timeout_kills_all(void **state)
{
	sl_policy *policy = policy_make("net-allow", "tcp://127.0.0.1:1");
	sl_stage stages[] = {STAGE("exit", "6"), STAGE("sleep"), STAGE("sleep")};
	sl_result result = {0};
	double start = seconds_now();

	(void)state;
	works(sl_pipeline(stages, 3, NULL, 400 * slowness(), &result, &error));
	assert_true(seconds_now() - start < 10 + slowness());
	assert_int_equal(stages[0].status.code, 6);
	assert_int_equal(stages[0].status.reason, SL_REASON_NONE);
	for (int i = 1; i < 3; i++) {
		assert_int_equal(stages[i].status.signal, SIGKILL);
		assert_int_equal(stages[i].status.reason, SL_REASON_TIMEOUT);
	}
	sl_result_clear(&result);
	sl_policy_free(policy);
}

/* Also one whose output never pauses. */
static void test_the_timeout_holds_against_a_flood(void **state)
{
	sl_policy *policy = policy_make(NULL, NULL);
	sl_stage stages[] = {STAGE("write", "0"), STAGE("cat")};
	sl_result result = {.limit = 1000};
	double start = seconds_now();

	(void)state;
	works(sl_pipeline(stages, 2, NULL, 300 * slowness(), &result, &error));
	assert_true(seconds_now() - start < 10 + slowness());
	assert_int_equal(result.status.reason, SL_REASON_TIMEOUT);
	assert_int_equal(result.out_size, 1000);
	sl_result_clear(&result);
	sl_policy_free(policy);
}

static void test_a_stage_that_cannot_be_made_leaves_nothing(void **state)
{
	const char *marker = strdup(text_of("%s/marker", scratch())),
		   *broken = strdup(text_of("%s/broken", scratch()));
	sl_policy *policy = policy_make("fs-write", scratch());
	const char *const nothing[] = {"/nothing/there", NULL}, *const unread[] = {broken, NULL};
	sl_stage stages[] = {STAGE("touch", marker), STAGE("sleep"), {.policy = policy, .argv = nothing}};
	sl_result result = {0};
	int fd = open(broken, O_WRONLY | O_CREAT | O_TRUNC, 0700);

	(void)state;
	assert_int_equal(write_all(fd, "#!/nothing/there\n", 17), 0);
	close(fd);
	assert_int_equal(sl_pipeline(stages, 3, NULL, 20000, &result, &error), -ENOENT);
	assert_non_null(strstr(error.message, "stage 3"));
	assert_int_equal(access(marker, F_OK), -1);
	assert_null(result.out);
	/* That it cannot be executed is known only when the others run. */
	stages[2].argv = unread;
	assert_true(sl_pipeline(stages, 3, NULL, 20000, &result, &error) < 0);
	assert_non_null(strstr(error.message, "stage 3"));
	/* The control. */
	stages[1].argv = ARGV("cat");
	stages[2].argv = ARGV("cat");
	works(sl_pipeline(stages, 3, NULL, 20000, &result, &error));
	assert_int_equal(access(marker, F_OK), 0);
	sl_result_clear(&result);
	sl_policy_free(policy);
	free((char *)marker);
	free((char *)broken);
}

static void test_each_stage_has_its_own_policy(void **state)
{
	const char *file = strdup(text_of("%s/secret", scratch()));
	sl_policy *policy = policy_make(NULL, NULL), *reader = policy_make("fs-read", scratch());
	int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	sl_stage stages[] = {{.policy = reader, .argv = ARGV("read", file)}, STAGE("read", file)};
	sl_result result = {0};

	(void)state;
	close(fd);
	assert_int_equal(command_read(file), 0); /* bare */
	works(sl_pipeline(stages, 2, NULL, 20000, &result, &error));
	assert_int_equal(stages[0].status.code, 0);
	assert_int_equal(stages[1].status.code, EACCES);
	sl_result_clear(&result);
	sl_policy_free(policy);
	sl_policy_free(reader);
	free((char *)file);
}

static void test_the_ends_may_be_given(void **state)
{
	sl_policy *policy = policy_make(NULL, NULL);
	sl_stage stages[] = {STAGE("cat"), STAGE("cat")};
	sl_stdio ends = {.err = {SL_STREAM_NULL, -1}};
	int in[2], out[2];
	char text[16] = "";

	(void)state;
	assert_int_equal(pipe(in) + pipe(out), 0);
	ends.in = (sl_stream){SL_STREAM_GIVEN, in[0]};
	ends.out = (sl_stream){SL_STREAM_GIVEN, out[1]};
	assert_int_equal(write_all(in[1], "given", 5), 0);
	close(in[1]);
	works(sl_pipeline(stages, 2, &ends, 20000, NULL, &error));
	assert_int_equal(read(out[0], text, sizeof(text) - 1), 5);
	assert_string_equal(text, "given");
	assert_int_equal(stages[1].status.code, 0);
	close(in[0]);
	close(out[0]);
	close(out[1]);
	sl_policy_free(policy);
}

static void test_what_makes_no_sense_is_refused(void **state)
{
	sl_policy *policy = policy_make(NULL, NULL);
	sl_stage stages[] = {STAGE("cat"), STAGE("cat")};
	sl_stdio ends = {.extra_count = 1};
	sl_result result = {0};

	(void)state;
	assert_int_equal(sl_pipeline(stages, 1, NULL, -1, &result, &error), -EINVAL);
	assert_int_equal(sl_pipeline(NULL, 2, NULL, -1, &result, &error), -EINVAL);
	assert_int_equal(sl_pipeline(stages, 2, NULL, -1, NULL, &error), -EINVAL);
	assert_int_equal(sl_pipeline(stages, 2, &ends, -1, &result, &error), -EINVAL);
	stages[0].err = (sl_stream){SL_STREAM_PIPE, -1};
	assert_int_equal(sl_pipeline(stages, 2, NULL, -1, &result, &error), -EINVAL);
	assert_non_null(strstr(error.message, "stage 1"));
	stages[0].err = (sl_stream){SL_STREAM_INHERIT, -1};
	stages[1].policy = NULL;
	assert_int_equal(sl_pipeline(stages, 2, NULL, -1, &result, &error), -EINVAL);
	sl_policy_free(policy);
}

/* ---- gather ---- */

static void test_a_consumer_has_each_source_by_its_name(void **state)
{
	sl_policy *policy = policy_make("net-allow", "tcp://127.0.0.1:1");
	const char *const echo[3][4] = {
		{"/bin/echo", "one", NULL}, {"/bin/echo", "two", NULL}, {"/bin/echo", "three", NULL}};
	sl_stage sources[] = {{.name = "left", .policy = policy, .argv = echo[0]},
	                      {.name = "right", .policy = policy, .argv = echo[1]},
	                      {.name = "last", .policy = policy, .argv = echo[2]}};
	sl_stage consumer = STAGE("gather"), listed = STAGE("descriptors");
	sl_result result = {0};

	(void)state;
	works(sl_gather(sources, 3, &consumer, NULL, 20000, &result, &error));
	assert_int_equal(consumer.status.code, 0);
	assert_string_equal(result.out, "left:3=one\nright:4=two\nlast:0=three\n");
	sl_result_clear(&result);
	works(sl_gather(sources, 3, &listed, NULL, 20000, &result, &error));
	assert_int_equal(words_count(result.err), 5);
	for (int fd = 0; fd < 5; fd++)
		for (int other = 0; other < fd; other++)
			assert_int_not_equal(descriptor_inode(result.err, fd),
			                     descriptor_inode(result.err, other));
	for (int i = 0; i < 3; i++)
		assert_int_equal(sources[i].status.signal == SIGPIPE ? 0 : sources[i].status.code, 0);
	sl_result_clear(&result);
	sl_policy_free(policy);
}

static void test_one_timeout_ends_a_gathering(void **state)
{
	sl_policy *policy = policy_make(NULL, NULL);
	sl_stage sources[] = {{.name = "a", .policy = policy, .argv = ARGV("sleep")},
	                      {.name = "b", .policy = policy, .argv = ARGV("write", "0")}};
	sl_stage consumer = STAGE("cat", "3");
	sl_result result = {0};

	(void)state;
	works(sl_gather(sources, 2, &consumer, NULL, 400, &result, &error));
	for (int i = 0; i < 2; i++)
		assert_int_equal(sources[i].status.reason, SL_REASON_TIMEOUT);
	assert_int_equal(result.status.reason, SL_REASON_TIMEOUT);
	sl_result_clear(&result);
	sl_policy_free(policy);
}

static void test_names_that_cannot_be_told_apart_are_refused(void **state)
{
	static const char *const bad[] = {NULL, "", "a:b", "a,b", "a=b", "a b", "\n", "\xc3\xa4", "same"};
	sl_policy *policy = policy_make(NULL, NULL);
	sl_stage sources[] = {{.name = "same", .policy = policy, .argv = ARGV("exit", "0")},
	                      {.policy = policy, .argv = ARGV("exit", "0")}};
	sl_stage consumer = STAGE("exit", "0");
	sl_result result = {0};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		sources[1].name = bad[i];
		assert_int_equal(sl_gather(sources, 2, &consumer, NULL, -1, &result, &error), -EINVAL);
	}
	sources[1].name = "other";
	works(sl_gather(sources, 2, &consumer, NULL, 20000, &result, &error));
	sl_result_clear(&result);
	assert_int_equal(sl_gather(sources, 0, &consumer, NULL, -1, &result, &error), -EINVAL);
	assert_int_equal(sl_gather(sources, 62, &consumer, NULL, -1, &result, &error), -EINVAL);
	sl_policy_free(policy);
}

static void test_a_malformed_variable_is_told_from_a_missing_one(void **state)
{
	static const struct {
		const char *value, *name;
		int r;
	} cases[] = {
		{"a:3,b:0", "a", 3},
		{"a:3,b:0", "b", 0},
		{"a:3,b:0", "c", -ENOENT},
		{"aa:3,a:4", "a", 4},
		{"", "a", -EINVAL},
		{"a", "a", -EINVAL},
		{"a:", "a", -EINVAL},
		{"a:-1", "a", -EINVAL},
		{"a:3x", "a", -EINVAL},
		{"a:99999999999999999999", "a", -EINVAL},
		{"a:4294967299", "a", -EINVAL},
		{"a:3,b", "b", -EINVAL},
	};

	(void)state;
	unsetenv("SLUICE_GATHER");
	assert_int_equal(sl_gather_fd("a"), -ENOENT);
	for (size_t i = 0; i < COUNT(cases); i++) {
		setenv("SLUICE_GATHER", cases[i].value, 1);
		assert_int_equal(sl_gather_fd(cases[i].name), cases[i].r);
	}
	unsetenv("SLUICE_GATHER");
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		CLEAN_TEST(test_every_byte_passes_three_stages),
		CLEAN_TEST(test_both_outputs_of_the_last_are_kept_up_to_the_limit),
		CLEAN_TEST(test_a_stage_that_ends_is_seen_by_its_neighbours),
		CLEAN_TEST(test_a_stage_may_close_its_stdin),
		CLEAN_TEST(test_input_that_nobody_reads_is_no_harm),
		CLEAN_TEST(test_input_goes_on_when_the_outputs_are_closed),
		CLEAN_TEST(test_each_stage_has_its_own_descriptors_and_no_other),
		CLEAN_TEST(test_one_timeout_kills_all),
		CLEAN_TEST(test_the_timeout_holds_against_a_flood),
		CLEAN_TEST(test_a_stage_that_cannot_be_made_leaves_nothing),
		CLEAN_TEST(test_each_stage_has_its_own_policy),
		CLEAN_TEST(test_the_ends_may_be_given),
		CLEAN_TEST(test_what_makes_no_sense_is_refused),
		CLEAN_TEST(test_a_consumer_has_each_source_by_its_name),
		CLEAN_TEST(test_one_timeout_ends_a_gathering),
		CLEAN_TEST(test_names_that_cannot_be_told_apart_are_refused),
		CLEAN_TEST(test_a_malformed_variable_is_told_from_a_missing_one),
	};

	if (argc > 1)
		return command_main(argv + 1);
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
