/* Profiles, from bytes to a policy and back: what is refused says where, and changes nothing, without memory too. */
#include "tests/common/common.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/profile.h"
#include "supervise/supervise.h"
#include "tests/broken/allocations.h"

/* --- files, in a directory that is made anew for each test: profiles are in user, system and shipped */

static char top[PATH_MAX / 2];

static const char *path_of(const char *name)
{
	return text_of("%s/%s", top, name);
}

static void bytes_write(const char *name, const char *bytes, size_t size)
{
	FILE *out = fopen(path_of(name), "we");

	assert_non_null(out);
	assert_int_equal(fwrite(bytes, 1, size, out), size);
	assert_int_equal(fclose(out), 0);
}

static void file_write(const char *name, const char *text)
{
	bytes_write(name, text, strlen(text));
}

static int top_make(void **state)
{
	(void)state;
	snprintf(top, sizeof(top), "%s/profiles.XXXXXX", scratch());
	if (mkdtemp(top) == NULL)
		return -1;
	return mkdir(path_of("user"), 0755) | mkdir(path_of("system"), 0755) |
	       mkdir(path_of("shipped"), 0755);
}

static int top_remove(void **state)
{
	(void)state;
	return system(text_of("rm -rf '%s'", top));
}

static const struct profile_dirs *dirs_here(void)
{
	static struct profile_dirs dirs;
	static const char *const names[PROFILE_DIRS] = {"user", "system", "shipped"};

	for (size_t i = 0; i < PROFILE_DIRS; i++)
		snprintf(dirs.paths[i], PATH_MAX, "%s/%s", top, names[i]);
	return &dirs;
}

static int load(sl_policy *policy, const char *path, sl_error *error)
{
	struct profile_first_fault first = {.faults = {.fault = profile_first_fault}, .error = error};
	const struct profile_source source = {dirs_here(), &policy_checks_all, &first.faults};

	return profile_load(policy, path, &source, NULL);
}

/* All that a policy holds, in one text. Caller frees. */
static char *policy_text(const sl_policy *policy)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	for (size_t option = 0; option < OPTION_COUNT; option++)
		for (size_t i = 0; i < policy->values[option].count; i++)
			fprintf(out, "%s=%s\n", option_rows[option].key, policy->values[option].items[i]);
	fclose(out);
	return text;
}

static void policy_is(const sl_policy *policy, const char *wanted)
{
	char *text = policy_text(policy);

	assert_string_equal(text, wanted);
	free(text);
}

static void message_is_one_line(const sl_error *error, int code)
{
	const char *end = memchr(error->message, '\0', sizeof(error->message));

	assert_int_equal(error->code, code);
	assert_non_null(end);
	assert_true(end > error->message);
	for (const char *at = error->message; at < end; at++)
		if ((unsigned char)*at < 0x20 || *at == 0x7f)
			fail_msg("byte %#x in a message", (unsigned char)*at);
}

/* It loads, into an empty policy, as this. */
static void loads(const char *text, const char *wanted)
{
	sl_policy *policy = sl_policy_new();
	sl_error error = {.message = ""};

	file_write("t.yaml", text);
	if (load(policy, path_of("t.yaml"), &error) != 0)
		fail_msg("%s\n%s", error.message, text);
	policy_is(policy, wanted);
	sl_policy_free(policy);
}

/* "FILE:<where>: ...", with this word, and nothing has changed. */
static void refuses_file(const char *path, int code, const char *where, const char *word)
{
	static const char before[] = "fs-read=/before\nfs-system=yes\nmax-file-size=1G\n";
	sl_policy *policy =
		policy_of(POLICY("fs-read", "/before", "fs-system", "yes", "max-file-size", "1G"));
	sl_error error;
	int r;

	memset(&error, 'E', sizeof(error));
	r = load(policy, path, &error);
	if (r != code)
		fail_msg("%s: %d, expected %d: %s", path, r, code, r < 0 ? error.message : "");
	message_is_one_line(&error, code);
	if (strstr(error.message, where) == NULL || strstr(error.message, word) == NULL)
		fail_msg("\"%s\" does not say \"%s\" and \"%s\"", error.message, where, word);
	policy_is(policy, before);
	assert_int_equal(load(policy, path, NULL), code);
	policy_is(policy, before);
	sl_policy_free(policy);
}

static void refuses(const char *text, size_t size, int code, const char *where, const char *word)
{
	bytes_write("t.yaml", text, size);
	refuses_file(path_of("t.yaml"), code, text_of("t.yaml:%s: ", where), word);
}

/* --- one file */

static void every_kind_of_key_is_read(void **state)
{
	(void)state;
	loads("description: all kinds\n"
	      "fs-read: [/usr, /a b, \"/c\\td\"]\n"
	      "fs-write:\n"
	      "  - /w # a comment\n"
	      "  - 'it''s'\n"
	      "fs-system: true\n"
	      "net-allow: [\"*:443\", ':80', 10.0.0.0/8:22]\n"
	      "net-allow-bind: [8080, 9000-9010]\n"
	      "deny-syscall: [chown, \"fchown,lchown\"]\n"
	      "max-file-size: 1.5G\n"
	      "keep-fd: [7]\n"
	      "strict-fds: false\n",
	      "fs-read=/usr\nfs-read=/a b\nfs-read=/c\td\nfs-write=/w\nfs-write=it's\nfs-system=yes\n"
	      "net-allow=*:443\nnet-allow=:80\nnet-allow=10.0.0.0/8:22\nnet-allow-bind=8080\n"
	      "net-allow-bind=9000-9010\ndeny-syscall=chown\ndeny-syscall=fchown,lchown\n"
	      "max-file-size=1.5G\nkeep-fd=7\n");
	loads("max-file-size: 1024\n", "max-file-size=1024\n");
	loads("{fs-system: true, fs-read: []}", "fs-system=yes\n");
	loads("%YAML 1.1\n---\nfs-system: true\n...\n", "fs-system=yes\n");
	loads("fs-system: true\r\nfs-read: [/a]\r\n", "fs-read=/a\nfs-system=yes\n");
	loads("\"fs-system\": true", "fs-system=yes\n");
}

/* The schema is the options table: a row that is added is a key. */
static void every_row_is_a_key_of_its_kind(void **state)
{
	(void)state;
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		const struct option_row *row = &option_rows[i];
		bool flag = row->kind == OPTION_FLAG, list = !option_is_scalar(row);
		const char *word = flag ? "true or false" : list ? "a list" : row->arg;

		refuses(text_of("%s: {a: b}\n", row->key), strlen(row->key) + 9, -EINVAL,
		        text_of("1:%zu", strlen(row->key) + 3), word);
		if (flag)
			loads(text_of("%s: true\n", row->key), text_of("%s=yes\n", row->key));
		else if (list)
			loads(text_of("%s: []\n", row->key), "");
		if (row->older == NULL)
			continue;
		if (!flag && !list)
			loads(text_of("%s: 7\n", row->older), text_of("%s=7\n", row->key));
		else
			refuses(text_of("%s: 7\n", row->older), strlen(row->older) + 4, -EINVAL,
			        text_of("1:%zu", strlen(row->older) + 3), row->key);
	}
}

static void a_file_that_says_nothing_grants_nothing(void **state)
{
	static const char *const texts[] = {"", "# nothing\n", "---\n", "---\n...\n", "{}", "\n\n"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		loads(texts[i], "");
}

static void what_is_wrong_is_said_with_its_place(void **state)
{
	static const struct {
		const char *text;
		int code;
		const char *where, *word;
	} rows[] = {
		{"fs-raed: [/a]\n", -EINVAL, "1:1", "\"fs-read\""},
		{"fs-system: true\n\n  # here\nfs_read: [/a]\n", -EINVAL, "4:1", "unknown key \"fs_read\""},
		{"<<: [/a]\n", -EINVAL, "1:1", "unknown key"},
		{"[a]: b\n", -EINVAL, "1:1", "expected a key"},
		{"fs-read: /a\n", -EINVAL, "1:10", "expected a list"},
		{"fs-read:\n  /a: b\n", -EINVAL, "2:3", "keys and values given, expected a list"},
		{"fs-read: [[/a]]\n", -EINVAL, "1:11", "a list given, expected PATH"},
		{"fs-read:\n  - /a\n  - {b: c}\n", -EINVAL, "3:5", "expected PATH"},
		{"fs-read:\n", -EINVAL, "1:9", "expected a list"},
		{"fs-read: [~]\n", -EINVAL, "1:11", "nothing given, expected PATH"},
		{"fs-read: [null]\n", -EINVAL, "1:11", "nothing given"},
		{"fs-read: [/a, true]\n", -EINVAL, "1:15", "true given, expected PATH"},
		{"fs-read: [\"\"]\n", -EINVAL, "1:11", "no value"},
		{"fs-read:\n  - |\n    /a\n", -EINVAL, "2:5", "one line"},
		{"fs-read:\n  - >\n    /a\n", -EINVAL, "2:5", "one line"},
		{"fs-system: yes\n", -EINVAL, "1:12", "true or false"},
		{"fs-system: \"true\"\n", -EINVAL, "1:12", "true or false"},
		{"fs-system: True\n", -EINVAL, "1:12", "true or false"},
		{"fs-system:\n", -EINVAL, "1:11", "true or false"},
		{"fs-system: [true]\n", -EINVAL, "1:12", "a list given"},
		{"max-file-size: [1G]\n", -EINVAL, "1:16", "expected SIZE"},
		{"max-file-size: lots\n", -EINVAL, "1:16", "\"lots\" is not a size"},
		{"max-file-size: ~\n", -EINVAL, "1:16", "nothing given, expected SIZE"},
		{"max-file-size: 16777216T\n", -ERANGE, "1:16", "too large"},
		{"net-allow:\n  - :443\n  - 1.2.3.4:99999\n", -EINVAL, "3:5", "65535"},
		{"deny-syscall: [chown, nosuch]\n", -EINVAL, "1:23", "unknown syscall: nosuch"},
		{"deny-syscall: [read]\n", -EINVAL, "1:16", "cannot be denied"},
		{"keep-fd: [three]\n", -EINVAL, "1:11", "descriptor"},
		{"fs-read: [/a]\nfs-read: [/b]\n", -EINVAL, "2:1", "a second time"},
		{"fs-system: true\nfs-system: true\n", -EINVAL, "2:1", "a second time"},
		{"net-allow-bind: [80]\nnet-bind: [81]\n", -EINVAL, "2:1", "net-bind: a second time"},
		{"description: a\ndescription: b\n", -EINVAL, "2:1", "a second time"},
		{"extends: []\nextends: []\n", -EINVAL, "2:1", "a second time"},
		{"description: [a]\n", -EINVAL, "1:14", "expected text"},
		{"extends: {a: b}\n", -EINVAL, "1:10", "expected a name"},
		{"extends: [[a]]\n", -EINVAL, "1:11", "expected a name"},
		{"extends: ~\n", -EINVAL, "1:10", "expected a name"},
		{"fs-read: &a [/a]\n", -EINVAL, "1:10", "an anchor"},
		{"fs-read: [&a /a]\n", -EINVAL, "1:11", "an anchor"},
		{"fs-read: [*a]\n", -EINVAL, "1:11", "an alias"},
		{"&a fs-system: true\n", -EINVAL, "1:1", "an anchor"},
		{"&a {}\n", -EINVAL, "1:1", "an anchor"},
		{"fs-read: [!!str /a]\n", -EINVAL, "1:11", "a tag"},
		{"fs-read: [!!binary L2E=]\n", -EINVAL, "1:11", "a tag"},
		{"fs-read: ! [/a]\n", -EINVAL, "1:10", "a tag"},
		{"[fs-read]\n", -EINVAL, "1:1", "expected keys and values"},
		{"fs-read\n", -EINVAL, "1:1", "expected keys and values"},
		{"fs-system: true\n---\nfs-read: [/a]\n", -EINVAL, "2:1", "second document"},
		{"fs-read: [/a\n", -EINVAL, "2:1", "not YAML"},
		{"fs-read: [\"/a]\n", -EINVAL, "2:1", "not YAML"},
		{"fs-read: [\"/a\\q\"]\n", -EINVAL, "1:14", "not YAML"},
		{"\tfs-read: [/a]\n", -EINVAL, "1:1", "not YAML"},
		{"fs-read: ['/a\\0b']\nfs-write: [\"/a\\0b\"]\n", -EINVAL, "2:12", "0x00"},
		{"\"fs-system\\0\": true\n", -EINVAL, "1:1", "0x00"},
		{"description: \"a\\0b\"\n", -EINVAL, "1:14", "0x00"},
		{"extends: \"a\\0b\"\n", -EINVAL, "1:10", "0x00"},
		{"fs-read: [/a\033[2J]\n", -EINVAL, "1:13", "0x1b"},
		{"fs-read: [/a\x7f]\n", -EINVAL, "1:13", "0x7f"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		refuses(rows[i].text, strlen(rows[i].text), rows[i].code, rows[i].where, rows[i].word);
	refuses("fs-system: true\nfs-read: [\0]\n", 29, -EINVAL, "2:11", "0x00");
	refuses("\0", 1, -EINVAL, "1:1", "0x00");
}

/* The same, and it is accepted: what the rows above are refused for is what differs. */
static void what_is_right_is_not_refused(void **state)
{
	static const struct {
		const char *text, *wanted;
	} rows[] = {
		{"fs-read: [/a]\n", "fs-read=/a\n"},
		{"fs-read: ['~']\n", "fs-read=~\n"},
		{"fs-read: ['true', \"null\"]\n", "fs-read=true\nfs-read=null\n"},
		{"fs-read: [~/a]\n", "fs-read=~/a\n"},
		{"fs-read: [a&b, a*b, a!b]\n", "fs-read=a&b\nfs-read=a*b\nfs-read=a!b\n"},
		{"fs-read: ['&a', '*a', '!a']\n", "fs-read=&a\nfs-read=*a\nfs-read=!a\n"},
		{"fs-read: ['/a\\0b']\n", "fs-read=/a\\0b\n"},
		{"fs-read: [\"/a\\e[2J\\n\"]\n", "fs-read=/a\033[2J\n\n"},
		{"max-file-size: '1G'\n", "max-file-size=1G\n"},
		{"max-file-size: 16777215T\n", "max-file-size=16777215T\n"},
		{"net-bind: [81]\n", "net-allow-bind=81\n"},
		{"extra-deny-syscall: [chown]\n", "deny-syscall=chown\n"},
		{"description: |\n  two\n  lines\nextends: []\n", ""},
		{"description:\n", ""},
		{"fs-system: false\n", ""},
		{"net-allow: [1.2.3.4:65535]\n", "net-allow=1.2.3.4:65535\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		loads(rows[i].text, rows[i].wanted);
}

/* A path need not be UTF-8, and one that is stays what it is. */
static void paths_are_bytes(void **state)
{
	(void)state;
	loads("fs-read: [/\xff\x80\xc0, \"/\xc3\xa9\", /\xee\xbe\x80, /\xc2\x85/\xe2\x80\xa8]\n",
	      "fs-read=/\xff\x80\xc0\nfs-read=/\xc3\xa9\nfs-read=/\xee\xbe\x80\nfs-read=/\xc2\x85/\xe2\x80\xa8\n");
	loads("fs-read: [\"/\\xe9\", \"/\\u20ac\", \"/\\uEFFF\\uEF80\"]\n",
	      "fs-read=/\xc3\xa9\nfs-read=/\xe2\x82\xac\nfs-read=/\xff\x80\n");
	/* Columns are bytes too. */
	refuses("fs-read: [/\xc3\xa9, ~]\n", 18, -EINVAL, "1:16", "nothing given");
	refuses("\xef\xbb\xbf"
	        "fs-system: true\n",
	        19, -EINVAL, "1:1", "unknown key");
}

struct counting {
	struct profile_faults faults;
	char text[2048];
};

static void fault_count(struct profile_faults *self, const sl_error *error)
{
	struct counting *counting = (struct counting *)self;
	const char *at = strstr(error->message, "t.yaml:");

	assert_non_null(at);
	at += strlen("t.yaml:");
	snprintf(counting->text + strlen(counting->text), sizeof(counting->text) - strlen(counting->text),
	         "%.*s ", (int)strspn(at, "0123456789:"), at);
}

static void all_faults_are_told_to_who_wants_them(void **state)
{
	struct counting counting = {.faults = {.fault = fault_count, .all = true}};
	const struct profile_source source = {dirs_here(), &policy_checks_all, &counting.faults};
	sl_policy *policy = sl_policy_new();

	(void)state;
	file_write("t.yaml", "fs-raed: {a: [b, {c: d}]}\n"
	                     "fs-read: [/a, ~, [x], /b, true]\n"
	                     "fs-system: maybe\n"
	                     "fs-system: true\n"
	                     "max-file-size: 99999999T\n"
	                     "extends: [nosuch, ., /nosuch]\n"
	                     "net-allow: ['x:y']\n"
	                     "fs-write: [\n");
	assert_int_equal(profile_load(policy, path_of("t.yaml"), &source, NULL), -EINVAL);
	assert_string_equal(counting.text,
	                    "1:1: 2:15: 2:18: 2:27: 3:12: 4:1: 5:16: 7:13: 9:1: 6:11: 6:19: 6:22: ");
	policy_is(policy, "");
	/* The code is that of the first, whatever ends reading. */
	counting.text[0] = '\0';
	file_write("t.yaml", "max-file-size: 99999999T\nfs-read: [\n");
	assert_int_equal(profile_load(policy, path_of("t.yaml"), &source, NULL), -ERANGE);
	assert_string_equal(counting.text, "1:16: 3:1: ");
	sl_policy_free(policy);
}

/* --- several */

static void lists_append_and_scalars_and_flags_are_replaced(void **state)
{
	sl_policy *policy = policy_of(POLICY("fs-read", "/0", "max-file-size", "9", "net-refresh", "yes"));

	(void)state;
	file_write("user/one.yaml", "fs-read: [/1]\nmax-file-size: 1\nfs-system: true\nstrict-fds: true\n");
	file_write("user/two.yaml", "fs-read: [/2]\nmax-file-size: 2\nstrict-fds: false\nkeep-fd: [5]\n");
	file_write(
		"t.yaml",
		"fs-read: [/3]\nfs-system: false\nnet-refresh: false\nextends: [one, two]\nfs-write: [/w]\n");
	assert_int_equal(load(policy, path_of("t.yaml"), NULL), 0);
	policy_is(
		policy,
		"fs-read=/0\nfs-read=/1\nfs-read=/2\nfs-read=/3\nfs-write=/w\nmax-file-size=2\nkeep-fd=5\n");
	/* What is set later comes on top. */
	assert_int_equal(sl_policy_set(policy, "max-file-size", "7", NULL), 0);
	assert_string_equal(policy_scalar(policy, OPTION_MAX_FILE_SIZE), "7");
	sl_policy_free(policy);
	file_write("t.yaml", "extends: two\nmax-file-size: 3\nstrict-fds: true\n");
	policy = sl_policy_new();
	assert_int_equal(load(policy, path_of("t.yaml"), NULL), 0);
	policy_is(policy, "fs-read=/2\nmax-file-size=3\nkeep-fd=5\nstrict-fds=yes\n");
	sl_policy_free(policy);
}

static void a_name_is_looked_up_in_three_directories(void **state)
{
	(void)state;
	file_write("shipped/name.yaml", "fs-read: [/shipped]\n");
	loads("extends: name\n", "fs-read=/shipped\n");
	file_write("system/name.yaml", "fs-read: [/system]\n");
	loads("extends: name\n", "fs-read=/system\n");
	file_write("user/name.yaml", "fs-read: [/user]\n");
	loads("extends: name\n", "fs-read=/user\n");
	/* The nearest one counts, be it bad. */
	file_write("user/name.yaml", "fs-read: /user\n");
	file_write("t.yaml", "extends: name\n");
	refuses_file(path_of("t.yaml"), -EINVAL, "user/name.yaml:1:10: ", "expected a list");
	assert_int_equal(unlink(path_of("user/name.yaml")), 0);
	assert_int_equal(mkdir(path_of("user/name.yaml"), 0755), 0);
	refuses_file(path_of("t.yaml"), -EINVAL, "t.yaml:1:10: ", "not a regular file");
}

static void a_name_with_a_slash_is_a_path_from_the_file(void **state)
{
	(void)state;
	assert_int_equal(mkdir(path_of("sub"), 0755), 0);
	file_write("sub/inner.yaml", "extends: ../other.yaml\nfs-read: [/inner]\n");
	file_write("other.yaml", "fs-read: [/other]\n");
	loads("extends: sub/inner.yaml\n", "fs-read=/other\nfs-read=/inner\n");
	loads("extends: ./other.yaml\n", "fs-read=/other\n");
	loads(text_of("extends: %s/other.yaml\n", top), "fs-read=/other\n");
	/* And without one it is no file of this directory. */
	file_write("t.yaml", "extends: other\n");
	refuses_file(path_of("t.yaml"), -ENOENT, "t.yaml:1:10: ", "no profile \"other\"");
	file_write("t.yaml", "extends: ./nosuch.yaml\n");
	refuses_file(path_of("t.yaml"), -ENOENT, "t.yaml:1:10: ", "No such file");
}

static void names_are_bounded_words(void **state)
{
	static const char *const bad[] = {".", "..", ".hidden", "a\tb"};
	char longest[PROFILE_NAME_MAX + 2];

	(void)state;
	memset(longest, 'n', sizeof(longest));
	longest[PROFILE_NAME_MAX + 1] = '\0';
	refuses(text_of("extends: %s\n", longest), strlen(longest) + 10, -EINVAL, "1:10", "no profile name");
	longest[PROFILE_NAME_MAX] = '\0';
	file_write(text_of("user/%s.yaml", longest), "fs-read: [/long]\n");
	loads(text_of("extends: %s\n", longest), "fs-read=/long\n");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *text = text_of("extends: \"%s\"\n", bad[i]);

		refuses(text, strlen(text), -EINVAL, "1:10", "no profile name");
	}
	assert_false(profile_name_valid(""));
	assert_false(profile_name_valid("a/b"));
	assert_true(profile_name_valid("a.b-c_d e"));
}

static void a_profile_that_extends_itself_is_refused(void **state)
{
	(void)state;
	file_write("user/self.yaml", "fs-system: true\nextends: self\n");
	refuses_file(path_of("user/self.yaml"), -ELOOP, "user/self.yaml:2:10: ", "extends itself");
	file_write("user/a.yaml", "extends: b\n");
	file_write("user/b.yaml", "extends: [c]\n");
	file_write("user/c.yaml", "fs-read: [/c]\nextends: a\n");
	refuses_file(path_of("user/a.yaml"), -ELOOP, "user/c.yaml:2:10: ", "extends itself");
	/* By another name it is the same file. */
	assert_int_equal(symlink("a.yaml", path_of("user/alias.yaml")), 0);
	file_write("user/c.yaml", "extends: alias\n");
	refuses_file(path_of("user/a.yaml"), -ELOOP, "user/c.yaml:1:10: ", "extends itself");
	file_write("user/c.yaml", "fs-read: [/c]\n");
	loads("extends: a\n", "fs-read=/c\n");
}

static void each_file_counts_once(void **state)
{
	(void)state;
	file_write("user/base.yaml", "fs-read: [/base]\nmax-file-size: 1\n");
	file_write("user/left.yaml", "extends: base\nfs-read: [/left]\nmax-file-size: 2\n");
	file_write("user/right.yaml", "extends: base\nfs-read: [/right]\n");
	loads("extends: [left, right, left, base]\n",
	      "fs-read=/base\nfs-read=/left\nfs-read=/right\nmax-file-size=2\n");
}

/* Sixteen files, of which each names the next: accepted; and one more. */
static void depth_is_bounded(void **state)
{
	(void)state;
	for (int i = 1; i < PROFILE_DEPTH_MAX; i++)
		file_write(text_of("user/d%d.yaml", i), text_of("extends: [d%d, d%d]\n", i + 1, i + 1));
	file_write(text_of("user/d%d.yaml", PROFILE_DEPTH_MAX), "fs-read: [/deep]\n");
	file_write(text_of("user/d%d.yaml", PROFILE_DEPTH_MAX + 1), "fs-read: [/deeper]\n");
	loads("extends: d2\n", "fs-read=/deep\n");
	file_write("t.yaml", "extends: d1\n");
	refuses_file(path_of("t.yaml"), -ELOOP, "user/d15.yaml:1:11: ", "16 files deep");
}

static void their_number_is_bounded(void **state)
{
	char text[1024] = "";

	(void)state;
	for (int i = 1; i <= PROFILE_FILES_MAX; i++) {
		file_write(text_of("user/n%d.yaml", i), "");
		sprintf(text + strlen(text), "%sn%d", i == 1 ? "extends: [" : ", ", i);
		if (i == PROFILE_FILES_MAX - 1) {
			size_t size = strlen(text);

			loads(strcpy(text + size, ", n1]\n") - size, "");
			text[size] = '\0';
		}
	}
	file_write("t.yaml", strcat(text, "]\n"));
	refuses_file(path_of("t.yaml"), -E2BIG, "t.yaml:1:", "64 files");
}

/* --- hostile files */

static void files_that_are_none_are_refused(void **state)
{
	(void)state;
	refuses_file(path_of("nosuch"), -ENOENT, "nosuch: ", "No such file");
	refuses_file(path_of("user"), -EINVAL, "user: ", "not a regular file");
	refuses_file("/dev/zero", -EINVAL, "/dev/zero: ", "not a regular file");
	assert_int_equal(mkfifo(path_of("fifo"), 0600), 0);
	refuses_file(path_of("fifo"), -EINVAL, "fifo: ", "not a regular file");
	assert_int_equal(symlink("loop", path_of("loop")), 0);
	refuses_file(path_of("loop"), -ELOOP, "loop: ", "symbolic links");
	/* A file of /proc says that it is empty, and is what it is. */
	refuses_file("/proc/self/environ", -EINVAL, "environ:1:", "");
	if (access("/proc/kallsyms", R_OK) == 0) /* some megabytes, and says so too */
		refuses_file("/proc/kallsyms", -EFBIG, "kallsyms: ", "too large");
	/* The end of a long name is what is shown. */
	refuses_file(text_of("%s/%0150d/x", top, 0), -ENOENT, "...000", "0/x: ");
}

static void size_is_bounded(void **state)
{
	char *text = malloc(PROFILE_SIZE_MAX + 1);

	(void)state;
	assert_non_null(text);
	memset(text, '#', PROFILE_SIZE_MAX + 1);
	memcpy(text, "fs-system: true\n", 16);
	bytes_write("t.yaml", text, PROFILE_SIZE_MAX + 1);
	refuses_file(path_of("t.yaml"), -EFBIG, "t.yaml: ", "1048576 bytes");
	assert_int_equal(truncate(path_of("t.yaml"), PROFILE_SIZE_MAX), 0);
	{
		sl_policy *policy = sl_policy_new();

		assert_int_equal(load(policy, path_of("t.yaml"), NULL), 0);
		policy_is(policy, "fs-system=yes\n");
		sl_policy_free(policy);
	}
	free(text);
}

/* A mebibyte of `unit`, behind `head`, is judged in seconds. */
static void bounded(const char *head, const char *unit, const char *tail)
{
	size_t count = (PROFILE_SIZE_MAX - strlen(head) - strlen(tail)) / strlen(unit);
	struct profile_first_fault all = {.faults = {.fault = profile_first_fault, .all = true}};
	char *text = malloc(PROFILE_SIZE_MAX + 1), *at = stpcpy(text, head);
	struct profile_text file = {"hostile", text, 0};
	double begun = seconds_now();
	struct profile profile;

	for (size_t i = 0; i < count; i++)
		at = stpcpy(at, unit);
	file.size = (size_t)(stpcpy(at, tail) - text);
	profile_read(&file, &policy_checks_all, &all.faults, &profile);
	profile_clear(&profile);
	if (seconds_now() - begun > 20)
		fail_msg("%.0f s for \"%s\"", seconds_now() - begun, unit);
	free(text);
}

static void hostile_yaml_is_judged_in_bounded_time(void **state)
{
	(void)state;
	bounded("fs-read: ", "[", "");
	bounded("", "[", "");
	bounded("", "{", "");
	bounded("fs-read:\n", "- ", "");
	bounded("", "? ", "");
	bounded("fs-read: [", "a,", "]");
	bounded("fs-read: [\"", "\\n", "\"]");
	bounded("fs-read: [", "a\n\n", "]");
	bounded("fs-read: [", "\"a\",\"b\": c,", "]");
	bounded("", "a: b\n", "");
	bounded("", "fs-read: [~]\n", "");
	bounded("extends: [", "x,", "]");
	bounded("a: &a [", "*a,", "]");
	bounded("", "\xff", "");
	bounded("", "%TAG ! a\n", "---\n");
	bounded("", "--- a\n", "");
	bounded("", "!", "");
	bounded("a: |\n", "\n", "");
	bounded("", " ", "x");
}

/* --- the way back */

static void printed(const sl_policy *policy, const char *description, char **text)
{
	size_t size = 0;
	FILE *out = open_memstream(text, &size);

	assert_non_null(out);
	assert_int_equal(profile_print(policy, description, out), 0);
	fclose(out);
}

/* Print, parse, print: the policy is the same, and so are the two texts. */
static void comes_back(const sl_policy *policy)
{
	sl_policy *again = sl_policy_new();
	char *text, *second, *wanted = policy_text(policy);
	sl_error error;

	printed(policy, NULL, &text);
	for (const char *at = text; *at != '\0'; at++)
		assert_true(((unsigned char)*at >= 0x20 && *at != 0x7f) || *at == '\n');
	file_write("t.yaml", text);
	if (load(again, path_of("t.yaml"), &error) != 0)
		fail_msg("%s\n%s", error.message, text);
	policy_is(again, wanted);
	printed(again, NULL, &second);
	assert_string_equal(text, second);
	free(text);
	free(second);
	free(wanted);
	sl_policy_free(again);
}

static void what_is_printed_reads_back(void **state)
{
	sl_policy *policy = policy_of(
		POLICY("fs-read", "/usr", "fs-read", "~", "fs-read", "true", "fs-read", "a: b # c", "fs-read",
	               "\"\\", "fs-read", "/\n\t\033", "fs-read", "\xff\xc2\x80\xc2\x9b", "fs-read",
	               "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "fs-read", "\xed\xa0\x80\xc0\x80\xee\xbe\x80",
	               "fs-read", " ", "fs-read", "\xc3", "fs-write", "-", "fs-system", "yes", "net-allow",
	               "*", "net-allow", "[2001:db8::/32]:443", "net-allow-bind", "8080", "deny-syscall",
	               "chown,fchown", "max-file-size", "3 KiB", "keep-fd", "7", "strict-fds", ""));
	char *text;

	(void)state;
	printed(policy, "two\nlines", &text);
	assert_non_null(strstr(text, "description: \"two\\nlines\"\n"));
	assert_non_null(strstr(text, "  - \"\\uEFFF\\uEFC2\\uEF80\\uEFC2\\uEF9B\"\n"));
	assert_non_null(strstr(text, "  - \"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"\n"));
	assert_non_null(strstr(text, "fs-system: true\n"));
	assert_non_null(strstr(text, "max-file-size: \"3 KiB\"\n"));
	free(text);
	/* An empty flag is the same flag; all else is the same to the byte. */
	assert_int_equal(sl_policy_set(policy, "strict-fds", "yes", NULL), 0);
	comes_back(policy);
	sl_policy_free(policy);
	policy = sl_policy_new();
	comes_back(policy);
	for (unsigned byte = 1; byte < 256; byte++)
		assert_int_equal(sl_policy_set(policy, "fs-read", (char[]){(char)byte, 'x', '\0'}, NULL), 0);
	comes_back(policy);
	sl_policy_free(policy);
}

static void printing_to_a_full_disk_is_an_error(void **state)
{
	sl_policy *policy = policy_of(POLICY("fs-system", "yes"));
	FILE *out = fopen("/dev/full", "we");

	(void)state;
	assert_non_null(out);
	assert_int_equal(profile_print(policy, NULL, out), -EIO);
	fclose(out);
	sl_policy_free(policy);
}

/* --- the public call */

static void a_frozen_policy_is_not_loaded_into(void **state)
{
	sl_policy *policy = policy_of(POLICY("fs-read", "/a")), *copy;
	FILE *nowhere = fopen("/dev/null", "we");
	sl_error error;

	(void)state;
	file_write("t.yaml", "fs-read: [/b]\n");
	sl_policy_explain(policy, nowhere, &error);
	fclose(nowhere);
	assert_int_equal(sl_policy_load(policy, path_of("t.yaml"), &error), -EBUSY);
	message_is_one_line(&error, -EBUSY);
	policy_is(policy, "fs-read=/a\n");
	copy = sl_policy_copy(policy);
	assert_int_equal(sl_policy_load(copy, path_of("t.yaml"), &error), 0);
	policy_is(copy, "fs-read=/a\nfs-read=/b\n");
	sl_policy_free(copy);
	sl_policy_free(policy);
}

static void null_arguments_are_refused(void **state)
{
	sl_policy *policy = sl_policy_new();
	sl_error error;

	(void)state;
	assert_int_equal(sl_policy_load(NULL, "x", &error), -EINVAL);
	message_is_one_line(&error, -EINVAL);
	assert_int_equal(sl_policy_load(policy, NULL, &error), -EINVAL);
	message_is_one_line(&error, -EINVAL);
	assert_int_equal(sl_policy_load(policy, NULL, NULL), -EINVAL);
	sl_policy_free(policy);
}

static void the_users_directory_is_that_of_xdg(void **state)
{
	static const struct {
		const char *config, *home, *wanted;
	} rows[] = {
		{"/xdg", "/home/x", "/xdg/sluice/profiles"},
		{"", "/home/x", "/home/x/.config/sluice/profiles"},
		{NULL, "/home/x", "/home/x/.config/sluice/profiles"},
		{"relative", "/home/x", "/home/x/.config/sluice/profiles"},
		{NULL, "relative", ""},
		{NULL, NULL, ""},
	};
	struct profile_dirs dirs;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		unsetenv("XDG_CONFIG_HOME");
		unsetenv("HOME");
		if (rows[i].config != NULL)
			setenv("XDG_CONFIG_HOME", rows[i].config, 1);
		if (rows[i].home != NULL)
			setenv("HOME", rows[i].home, 1);
		profile_dirs_get(&dirs);
		assert_string_equal(dirs.paths[0], rows[i].wanted);
		assert_string_equal(dirs.paths[1], "/etc/sluice/profiles");
		assert_non_null(strstr(dirs.paths[2], "/share/sluice/profiles"));
	}
}

/* Loaded with the first allocation failing, the second, ...: -ENOMEM, said, and nothing has changed. */
static void loading_survives_every_failed_allocation(void **state)
{
	static const char before[] = "fs-read=/before\n";
	unsigned nth = 0, failed = 0;
	char path[PATH_MAX];
	int r;

	(void)state;
	file_write("user/base.yaml", "fs-read: [/base, \"/b\\n\"]\nnet-allow: [':1,3,5,7,9,11']\n");
	file_write("t.yaml", "description: text\nextends: [base]\nfs-system: true\ndeny-syscall: [chown]\n"
	                     "max-file-size: 1G\nstrict-fds: false\nfs-write:\n  - /w\n");
	snprintf(path, sizeof(path), "%s", path_of("t.yaml"));
	do {
		sl_policy *policy = policy_of(POLICY("fs-read", "/before"));
		sl_error error;

		memset(&error, 'E', sizeof(error));
		allocations_left = ++nth;
		r = load(policy, path, &error);
		allocations_left = 0;
		if (r < 0) {
			failed++;
			if (r != -ENOMEM)
				fail_msg("allocation %u: %d: %s", nth, r, error.message);
			message_is_one_line(&error, -ENOMEM);
			policy_is(policy, before);
		}
		sl_policy_free(policy);
	} while (r < 0);
	assert_true(failed > 100);
}

#define IN_TOP(test) cmocka_unit_test_setup_teardown(test, top_make, top_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_TOP(every_kind_of_key_is_read),
		IN_TOP(every_row_is_a_key_of_its_kind),
		IN_TOP(a_file_that_says_nothing_grants_nothing),
		IN_TOP(what_is_wrong_is_said_with_its_place),
		IN_TOP(what_is_right_is_not_refused),
		IN_TOP(paths_are_bytes),
		IN_TOP(all_faults_are_told_to_who_wants_them),
		IN_TOP(lists_append_and_scalars_and_flags_are_replaced),
		IN_TOP(a_name_is_looked_up_in_three_directories),
		IN_TOP(a_name_with_a_slash_is_a_path_from_the_file),
		IN_TOP(names_are_bounded_words),
		IN_TOP(a_profile_that_extends_itself_is_refused),
		IN_TOP(each_file_counts_once),
		IN_TOP(depth_is_bounded),
		IN_TOP(their_number_is_bounded),
		IN_TOP(files_that_are_none_are_refused),
		IN_TOP(size_is_bounded),
		IN_TOP(hostile_yaml_is_judged_in_bounded_time),
		IN_TOP(what_is_printed_reads_back),
		IN_TOP(printing_to_a_full_disk_is_an_error),
		IN_TOP(a_frozen_policy_is_not_loaded_into),
		cmocka_unit_test(null_arguments_are_refused),
		cmocka_unit_test(the_users_directory_is_that_of_xdg),
		IN_TOP(loading_survives_every_failed_allocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
