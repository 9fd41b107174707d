/* Building a policy key by key: what is refused says why and changes nothing, without memory too. */
#include "tests/common/common.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "confine/confine.h"
#include "core/environment.h"
#include "core/error.h"
#include "core/policy.h"
#include "netpolicy/names.h"
#include "supervise/prepare.h"
#include "tests/broken/allocations.h"
#include "tests/common/plan_of.h"

/* Names are not asked for (--wrap too): each has these. */
int __wrap_dns_resolve(const struct dns_servers *servers, const char *name, struct net_addr *addrs,
                       size_t room, sl_error *error);
int __wrap_name_resolve(const void *context, const char *name, struct net_addr *addrs, size_t room,
                        sl_error *error);

int __wrap_name_resolve(const void *context, const char *name, struct net_addr *addrs, size_t room,
                        sl_error *error)
{
	int count = room < 16 ? (int)room : 16;

	(void)context, (void)name, (void)error;
	for (int i = 0; i < count; i++) {
		addrs[i] = (struct net_addr){.family = AF_INET};
		inet_pton(AF_INET, text_of("198.51.100.%d", 3 * i), addrs[i].bytes);
	}
	return count;
}

int __wrap_dns_resolve(const struct dns_servers *servers, const char *name, struct net_addr *addrs,
                       size_t room, sl_error *error)
{
	return __wrap_name_resolve(servers, name, addrs, room, error);
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

/* One of everything, so that "nothing changed" has something to say. */
static sl_policy *policy_busy(void)
{
	return policy_of(
		POLICY("fs-read", "/a", "fs-write", "/b", "fs-read-if-exists", "/c", "fs-system", "yes"));
}

static sl_policy *policy_full(void)
{
	return policy_of(POLICY("fs-read", "/a", "fs-read", "/aa", "fs-write", "/b", "fs-read-if-exists",
	                        "/c", "fs-system", "yes", "net-allow", ":443", "net-allow", "10.0.0.0/8:80",
	                        "net-allow-bind", "8080", "net-allow-unix", "*", "deny-syscall",
	                        "chown,fchown", "allow-syscalls", "sysv_ipc", "max-file-size", "1G",
	                        "keep-fd", "7", "strict-fds", "yes"));
}

static const char full_text[] = "fs-read=/a\nfs-read=/aa\nfs-write=/b\nfs-read-if-exists=/c\nfs-system=yes\n"
				"net-allow=:443\nnet-allow=10.0.0.0/8:80\nnet-allow-bind=8080\n"
				"net-allow-unix=*\ndeny-syscall=chown,fchown\nallow-syscalls=sysv_ipc\n"
				"max-file-size=1G\nkeep-fd=7\nstrict-fds=yes\n";

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

/* Refused, with these words in the message and `policy` as it was; and refused the same with error NULL. */
static void refused(sl_policy *policy, const char *key, const char *value, int code, const char *const *words)
{
	char *before = policy_text(policy);
	sl_error error;
	int r;

	memset(&error, 'E', sizeof(error));
	r = sl_policy_set(policy, key, value, &error);
	if (r != code)
		fail_msg("%s=%s: %d, expected %d", key, value == NULL ? "(null)" : value, r, code);
	message_is_one_line(&error, code);
	for (; words != NULL && *words != NULL; words++)
		if (strstr(error.message, *words) == NULL)
			fail_msg("%s=%s: \"%s\" does not say \"%s\"", key, value == NULL ? "(null)" : value,
			         error.message, *words);
	assert_int_equal(sl_policy_set(policy, key, value, NULL), code);
	policy_is(policy, before);
	free(before);
}
#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void lists_append_and_scalars_are_replaced(void **state)
{
	sl_policy *policy = policy_full();

	(void)state;
	policy_is(policy, full_text);
	assert_int_equal(sl_policy_set(policy, "max-file-size", "2G", NULL), 0);
	assert_int_equal(sl_policy_set(policy, "max-file-size", "3 KiB", NULL), 0);
	assert_int_equal(sl_policy_set(policy, "strict-fds", NULL, NULL), 0);
	assert_int_equal(sl_policy_set(policy, "fs-system", "", NULL), 0);
	assert_int_equal(sl_policy_set(policy, "fs-read", "/a", NULL), 0);
	policy_is(policy,
	          "fs-read=/a\nfs-read=/aa\nfs-read=/a\nfs-write=/b\nfs-read-if-exists=/c\nfs-system=\n"
	          "net-allow=:443\nnet-allow=10.0.0.0/8:80\nnet-allow-bind=8080\n"
	          "net-allow-unix=*\ndeny-syscall=chown,fchown\nallow-syscalls=sysv_ipc\n"
	          "max-file-size=3 KiB\nkeep-fd=7\nstrict-fds=\n");
	sl_policy_free(policy);
}

/* What may be given again, and which of two counts. */
static void keys_of_a_process_are_taken(void **state)
{
	sl_policy *policy = policy_of(
		POLICY("max-open-files", "1", "max-open-files", "64", "rlimit", "as=1.5G:unlimited", "rlimit",
	               "nofile=unlimited", "rlimit", "cpu=0", "no-coredump", "", "cpu-cores", "1023",
	               "cpu-cores", "0-3,5,5", "no-huge-pages", "yes", "cwd", "/a", "cwd", "b", "umask",
	               "0777", "umask", "0", "user", "4294967294:0", "env", "A=", "env", "A=b=c", "env-pass",
	               "PYTHON*", "env-pass", "*", "gpu", "31,0", "gpu", "all"));

	(void)state;
	policy_is(policy,
	          "max-open-files=64\nrlimit=as=1.5G:unlimited\nrlimit=nofile=unlimited\nrlimit=cpu=0\n"
	          "no-coredump=\ncpu-cores=0-3,5,5\nno-huge-pages=yes\ncwd=b\numask=0\nuser=4294967294:0\n"
	          "env-pass=PYTHON*\nenv-pass=*\nenv=A=\nenv=A=b=c\ngpu=all\n");
	sl_policy_free(policy);
}

static void keys_and_values_are_copied(void **state)
{
	sl_policy *policy = sl_policy_new();
	char key[] = "fs-read", value[] = "/srv/data";

	(void)state;
	assert_int_equal(sl_policy_set(policy, key, value, NULL), 0);
	memset(key, 'x', sizeof(key) - 1);
	memset(value, 'x', sizeof(value) - 1);
	policy_is(policy, "fs-read=/srv/data\n");
	sl_policy_free(policy);
}

static void an_unknown_key_names_the_nearest(void **state)
{
	static const struct {
		const char *key, *nearest;
	} rows[] = {
		{"fs-raed", "\"fs-read\""},
		{"fs-reads", "\"fs-read\""},
		{"fs_read", "\"fs-read\""},
		{"FS-READ", "\"fs-read\""},
		{"net-alow", "\"net-allow\""},
		{"net-allow-bnd", "\"net-allow-bind\""},
		{"max-filesize", "\"max-file-size\""},
		{"strict-fd", "\"strict-fds\""},
		{"allow-syscall", "\"allow-syscalls\""},
		{"deny-syscalls", "\"deny-syscall\""},
		{"--fs-system", "\"fs-system\""},
		{"keepfd", "\"keep-fd\""},
	};
	sl_policy *policy = policy_busy();

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		refused(policy, rows[i].key, "yes", -ENOENT,
		        WORDS("unknown", rows[i].key, "nearest", rows[i].nearest));
	/* Something is named even for nonsense, and the message stays bounded. */
	refused(policy, "", "yes", -ENOENT, WORDS("unknown", "nearest"));
	refused(policy, text_of("%0250d", 0), "yes", -ENOENT, WORDS("unknown", "nearest"));
	sl_policy_free(policy);
}

#define NAME_OF_16 "abcdefghij-.klmn"
#define NAME_OF_64 NAME_OF_16 NAME_OF_16 NAME_OF_16 NAME_OF_16

static void names_and_numbers_of_cpus_are_scalars(void **state)
{
	static const char *const values[][2] = {{"name", "a"},     {"name", NAME_OF_64},
	                                        {"name", "..."},   {"name", "h\xc3\xa4"},
	                                        {"num-cpus", "1"}, {"num-cpus", "1024"}};
	sl_policy *policy = sl_policy_new();

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		assert_int_equal(sl_policy_set(policy, values[i][0], values[i][1], NULL), 0);
	assert_true(option_is_scalar(&option_rows[OPTION_NAME]));
	assert_true(option_is_scalar(&option_rows[OPTION_NUM_CPUS]));
	assert_false(option_is_scalar(&option_rows[OPTION_FS_READ]));
	assert_int_equal(policy->values[OPTION_NAME].count, 1);
	assert_string_equal(policy_scalar(policy, OPTION_NAME), "h\xc3\xa4");
	assert_string_equal(policy_scalar(policy, OPTION_NUM_CPUS), "1024");
	sl_policy_free(policy);
}

static void a_bad_value_is_named_with_its_key_and_what_was_expected(void **state)
{
	static const struct {
		const char *key, *value;
		int code;
		const char *words[3];
	} rows[] = {
		{"fs-system", "no", -EINVAL, {"fs-system", "\"no\"", "yes"}},
		{"fs-system", "YES", -EINVAL, {"fs-system", "\"YES\"", "yes"}},
		{"fs-system", " ", -EINVAL, {"fs-system", "\" \"", "yes"}},
		{"strict-fds", "1", -EINVAL, {"strict-fds", "\"1\"", "yes"}},
		{"fs-read", NULL, -EINVAL, {"fs-read", "no value", "PATH"}},
		{"fs-read", "", -EINVAL, {"fs-read", "no value", "PATH"}},
		{"fs-write", "", -EINVAL, {"fs-write", "no value", "PATH"}},
		{"fs-read-if-exists", "", -EINVAL, {"fs-read-if-exists", "no value", "PATH"}},
		{"net-allow", "", -EINVAL, {"net-allow", "no value", "RULE"}},
		{"net-allow", NULL, -EINVAL, {"net-allow", "no value", "RULE"}},
		{"net-allow", "1.2.3.4:99999", -EINVAL, {"net-allow", "1.2.3.4:99999", "65535"}},
		{"net-allow", "1.2.3:80", -EINVAL, {"net-allow", "1.2.3", "address"}},
		{"net-allow", "sctp://1.2.3.4:53", -EINVAL, {"net-allow", "sctp", "udp://"}},
		{"net-deny", NULL, -EINVAL, {"net-deny", "no value", "RULE"}},
		{"net-deny", "example.org", -EINVAL, {"net-deny", "example.org", "name"}},
		{"net-deny-bind", "0-", -EINVAL, {"net-deny-bind", "0-", "65535"}},
		{"net-proxy-only", NULL, -EINVAL, {"net-proxy-only", "no value", "PORT"}},
		{"net-proxy-only", "0", -EINVAL, {"net-proxy-only", "\"0\"", "1..65535"}},
		{"net-proxy-only", "3128:x", -EINVAL, {"net-proxy-only", "\"x\"", "65535"}},
		{"net-public-only", "1", -EINVAL, {"net-public-only", "\"1\"", "yes"}},
		{"degrade", "landlock", -EINVAL, {"degrade", "landlock", "scopes, ioctl"}},
		{"net-allow-bind", NULL, -EINVAL, {"net-allow-bind", "no value", "PORTS"}},
		{"net-allow-bind", "http", -EINVAL, {"net-allow-bind", "http", "65535"}},
		{"net-allow-bind", "65536", -EINVAL, {"net-allow-bind", "65536", "65535"}},
		{"net-allow-unix", NULL, -EINVAL, {"net-allow-unix", "no value", "PATH"}},
		{"net-allow-unix", "dgram:", -EINVAL, {"net-allow-unix", "dgram:", "path"}},
		{"net-allow-unix", "@", -EINVAL, {"net-allow-unix", "@", "name"}},
		{"max-file-size", "many", -EINVAL, {"max-file-size", "\"many\"", "size"}},
		{"max-file-size", "-1", -EINVAL, {"max-file-size", "\"-1\"", "size"}},
		{"max-memory", "many", -EINVAL, {"max-memory", "\"many\"", "size"}},
		{"max-memory", "1023K", -ERANGE, {"max-memory", "\"1023K\"", "1M at least"}},
		{"max-processes", "0", -ERANGE, {"max-processes", "\"0\"", "1..4194304"}},
		{"max-processes", "4194305", -ERANGE, {"max-processes", "number"}},
		{"max-processes", "-1", -EINVAL, {"max-processes", "number"}},
		{"cpu", "0", -ERANGE, {"cpu", "1..100000"}},
		{"max-cpu", "100001", -ERANGE, {"cpu", "1..100000"}},
		{"cpu", "50%", -EINVAL, {"cpu", "\"50%\""}},
		{"max-file-size", "", -EINVAL, {"max-file-size", "no value", "SIZE"}},
		{"max-file-size", "16777216T", -ERANGE, {"max-file-size", "16777216T", "too large"}},
		{"name", NULL, -EINVAL, {"name", "no value", "NAME"}},
		{"name", "", -EINVAL, {"name", "no value", "NAME"}},
		{"name", "a/b", -EINVAL, {"name", "\"a/b\"", "without"}},
		{"name", "/", -EINVAL, {"name", "\"/\"", "without"}},
		{"name", ".", -EINVAL, {"name", "\".\"", "without"}},
		{"name", "..", -EINVAL, {"name", "\"..\"", "without"}},
		{"name", NAME_OF_64 "x", -ENAMETOOLONG, {"name", "65 bytes", "at most 64"}},
		{"num-cpus", NULL, -EINVAL, {"num-cpus", "no value", "N"}},
		{"num-cpus", "0", -ERANGE, {"num-cpus", "\"0\"", "1..1024"}},
		{"num-cpus", "1025", -ERANGE, {"num-cpus", "\"1025\"", "1..1024"}},
		{"num-cpus", "-1", -EINVAL, {"num-cpus", "\"-1\"", "1..1024"}},
		{"num-cpus", "2.5", -EINVAL, {"num-cpus", "\"2.5\"", "1..1024"}},
		{"num-cpus",
	         "18446744073709551617",
	         -ERANGE,
	         {"num-cpus", "1..1024", "18446744073709551617"}},
		{"keep-fd", "", -EINVAL, {"keep-fd", "no value", "N"}},
		{"keep-fd", "-1", -EINVAL, {"keep-fd", "\"-1\"", "descriptor"}},
		{"keep-fd", "three", -EINVAL, {"keep-fd", "\"three\"", "descriptor"}},
		{"keep-fd", "2147483648", -ERANGE, {"keep-fd", "\"2147483648\"", "descriptor"}},
		{"keep-fd", "4294967299", -ERANGE, {"keep-fd", "\"4294967299\"", "descriptor"}},
		{"deny-syscall", NULL, -EINVAL, {"deny-syscall", "no value", "NAME"}},
		{"deny-syscall", "nosuch", -EINVAL, {"deny-syscall", "unknown", "nosuch"}},
		{"deny-syscall", "Chown", -EINVAL, {"deny-syscall", "unknown", "Chown"}},
		{"deny-syscall", " chown", -EINVAL, {"deny-syscall", "unknown", " chown"}},
		{"deny-syscall", "chown,", -EINVAL, {"deny-syscall", "unknown", "empty"}},
		{"deny-syscall", ",", -EINVAL, {"deny-syscall", "unknown", "empty"}},
		{"deny-syscall", "42", -EINVAL, {"deny-syscall", "unknown", "42"}},
		{"deny-syscall", "read", -EINVAL, {"deny-syscall", "read", "cannot be denied"}},
		{"deny-syscall", "poll", -EINVAL, {"deny-syscall", "poll", "cannot be denied"}},
		{"deny-syscall", "chown,execve", -EINVAL, {"deny-syscall", "execve", "cannot be denied"}},
		{"allow-syscalls", "", -EINVAL, {"allow-syscalls", "no value", "GROUP"}},
		{"max-open-files", "0", -ERANGE, {"max-open-files", "\"0\"", "1.."}},
		{"max-open-files", "-1", -EINVAL, {"max-open-files", "\"-1\"", "number"}},
		{"max-open-files", "4294967296", -ERANGE, {"max-open-files", "4294967296", "number"}},
		{"umask", "8", -EINVAL, {"umask", "\"8\"", "octal"}},
		{"umask", "0x1f", -EINVAL, {"umask", "\"0x1f\"", "octal"}},
		{"umask", "-1", -EINVAL, {"umask", "\"-1\"", "octal"}},
		{"umask", "1000", -ERANGE, {"umask", "\"1000\"", "777"}},
		{"umask", "20000000000000000000022", -ERANGE, {"umask", "777"}},
		{"umask", NULL, -EINVAL, {"umask", "no value", "OCTAL"}},
		{"cwd", "", -EINVAL, {"cwd", "no value", "PATH"}},
		{"user", "1000", -EINVAL, {"user", "\"1000\"", "UID:GID"}},
		{"user", "1000:", -EINVAL, {"user", "\"1000:\"", "UID:GID"}},
		{"user", ":1000", -EINVAL, {"user", "\":1000\"", "UID:GID"}},
		{"user", "root:root", -EINVAL, {"user", "root:root", "UID:GID"}},
		{"user", "1:2:3", -EINVAL, {"user", "1:2:3", "UID:GID"}},
		{"user", "-1:0", -EINVAL, {"user", "-1:0", "UID:GID"}},
		{"user", "4294967295:0", -ERANGE, {"user", "4294967295:0", "UID:GID"}},
		{"user", "0:4294967296", -ERANGE, {"user", "0:4294967296", "UID:GID"}},
		{"user", "00000000000000000000:0", -EINVAL, {"user", "UID:GID"}},
		{"cpu-cores", "", -EINVAL, {"cpu-cores", "no value", "LIST"}},
		{"cpu-cores", "3-1", -ERANGE, {"cpu-cores", "\"3-1\"", "0-3,5"}},
		{"cpu-cores", "0,", -EINVAL, {"cpu-cores", "\"0,\"", "0-3,5"}},
		{"cpu-cores", "-3", -EINVAL, {"cpu-cores", "\"-3\"", "0-3,5"}},
		{"cpu-cores", "1-2-3", -EINVAL, {"cpu-cores", "1-2-3", "0-3,5"}},
		{"cpu-cores", "1024", -ERANGE, {"cpu-cores", "1024", "0..1023"}},
		{"cpu-cores", "0-1024", -ERANGE, {"cpu-cores", "0-1024", "0..1023"}},
		{"cpu-cores", "00000000", -EINVAL, {"cpu-cores", "00000000", "0..1023"}},
		{"rlimit", "nofile", -EINVAL, {"rlimit", "nofile", "SOFT[:HARD]"}},
		{"rlimit", "nofile=", -EINVAL, {"rlimit", "nofile=", "number"}},
		{"rlimit", "nofile=1K", -EINVAL, {"rlimit", "nofile=1K", "a number"}},
		{"rlimit", "nofile=5:4", -EINVAL, {"rlimit", "nofile=5:4", "SOFT is above HARD"}},
		{"rlimit", "nofile=unlimited:4", -EINVAL, {"rlimit", "SOFT is above HARD"}},
		{"rlimit", "nofile=1:2:3", -EINVAL, {"rlimit", "nofile=1:2:3", "number"}},
		{"rlimit", "as=lots", -EINVAL, {"rlimit", "as=lots", "size"}},
		{"rlimit", "as=16777216T", -ERANGE, {"rlimit", "as=16777216T", "size"}},
		{"rlimit", "files=1", -EINVAL, {"rlimit", "files=1", "sigpending, stack"}},
		{"rlimit", "NOFILE=1", -EINVAL, {"rlimit", "NOFILE=1", "nofile"}},
		{"rlimit", "=1", -EINVAL, {"rlimit", "\"=1\"", "NAME"}},
		{"env", "A", -EINVAL, {"env", "\"A\"", "NAME=VALUE"}},
		{"env", "=1", -EINVAL, {"env", "\"=1\"", "NAME=VALUE"}},
		{"env-pass", "A=1", -EINVAL, {"env-pass", "\"A=1\"", "PYTHON*"}},
		{"clean-env", "1", -EINVAL, {"clean-env", "\"1\"", "yes"}},
		{"gpu", "", -EINVAL, {"gpu", "no value", "all|N"}},
		{"gpu", "ALL", -EINVAL, {"gpu", "\"ALL\"", "all"}},
		{"gpu", "0,all", -EINVAL, {"gpu", "0,all", "numbers"}},
		{"gpu", "0,1,0", -EINVAL, {"gpu", "0,1,0", "twice"}},
		{"gpu", "32", -ERANGE, {"gpu", "\"32\"", "0..31"}},
		{"allow-syscalls", "shmget", -EINVAL, {"allow-syscalls", "shmget", "sysv_ipc, posix_mq"}},
		{"allow-syscalls", "sysv_ipc,", -EINVAL, {"allow-syscalls", "empty", "sysv_ipc, posix_mq"}},
	};
	sl_policy *empty = sl_policy_new(), *full = policy_full();

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *const *words = WORDS(rows[i].words[0], rows[i].words[1], rows[i].words[2]);

		refused(empty, rows[i].key, rows[i].value, rows[i].code, words);
		refused(full, rows[i].key, rows[i].value, rows[i].code, words);
	}
	policy_is(empty, "");
	policy_is(full, full_text);
	sl_policy_free(empty);
	sl_policy_free(full);
}

static void every_unknown_system_call_is_listed(void **state)
{
	sl_policy *policy = policy_busy();

	(void)state;
	refused(policy, "deny-syscall", "foo,chown,bar,fchown,baz", -EINVAL,
	        WORDS("deny-syscall", "foo, bar, baz"));
	refused(policy, "allow-syscalls", "sysv,posix_mq,mq", -EINVAL, WORDS("allow-syscalls", "sysv, mq"));
	refused(policy, "deny-syscall",
	        "aaaaaaaa1,aaaaaaaa2,aaaaaaaa3,aaaaaaaa4,aaaaaaaa5,aaaaaaaa6,aaaaaaaa7", -EINVAL,
	        WORDS("aaaaaaaa1", "aaaaaaaa4", "aaaaaaaa7"));
	sl_policy_free(policy);
}

/* What does not fit in sl_error is cut off without a byte too much. */
static void a_thousand_unknown_names_make_one_bounded_message(void **state)
{
	sl_policy *policy = policy_busy();
	char *names = calloc(1000, 8);

	(void)state;
	assert_non_null(names);
	for (unsigned i = 0; i < 1000; i++)
		sprintf(names + strlen(names), "%sno%u", i == 0 ? "" : ",", i);
	refused(policy, "deny-syscall", names, -EINVAL, WORDS("deny-syscall", "no0, no1, no2"));
	refused(policy, "allow-syscalls", names, -EINVAL, WORDS("allow-syscalls", "no0, no1, no2"));
	free(names);
	sl_policy_free(policy);
}

static void older_spellings_mean_the_same(void **state)
{
	sl_policy *policy = policy_of(POLICY("net-bind", "80", "net-allow-bind", "81", "extra-deny-syscall",
	                                     "chown", "extra-allow-syscall", "posix_mq"));

	(void)state;
	policy_is(policy, "net-allow-bind=80\nnet-allow-bind=81\ndeny-syscall=chown\n"
	                  "allow-syscalls=posix_mq\n");
	refused(policy, "net-bind", "x", -EINVAL, WORDS("net-allow-bind", "x"));
	refused(policy, "extra-deny-syscall", "x", -EINVAL, WORDS("deny-syscall", "x"));
	sl_policy_free(policy);
}

static void a_copy_is_independent(void **state)
{
	sl_policy *policy = policy_full(), *copy = sl_policy_copy(policy), *again;

	(void)state;
	assert_non_null(copy);
	policy_is(copy, full_text);
	assert_int_equal(sl_policy_set(policy, "fs-read", "/only-the-first", NULL), 0);
	assert_int_equal(sl_policy_set(policy, "max-file-size", "9", NULL), 0);
	policy_is(copy, full_text);
	assert_int_equal(sl_policy_set(copy, "max-file-size", "8", NULL), 0);
	assert_string_equal(policy_scalar(policy, OPTION_MAX_FILE_SIZE), "9");
	sl_policy_free(policy);
	assert_string_equal(policy_scalar(copy, OPTION_MAX_FILE_SIZE), "8");
	again = sl_policy_copy(copy);
	sl_policy_free(copy);
	assert_string_equal(policy_scalar(again, OPTION_MAX_FILE_SIZE), "8");
	sl_policy_free(again);
	sl_policy_free(NULL);
}

static void a_policy_in_use_is_frozen_and_its_copy_is_not(void **state)
{
	sl_policy *policy = policy_full(), *copy;
	FILE *nowhere = fopen("/dev/null", "we");
	sl_error error;

	(void)state;
	assert_non_null(nowhere);
	/* Explaining is a use, whatever the kernel says of the plan. */
	sl_policy_explain(policy, nowhere, &error);
	fclose(nowhere);
	refused(policy, "fs-read", "/z", -EBUSY, WORDS("fs-read", "copy"));
	refused(policy, "max-file-size", "2", -EBUSY, WORDS("max-file-size", "copy"));
	refused(policy, "nonsense", "2", -EBUSY, WORDS("nonsense"));
	policy_is(policy, full_text);
	copy = sl_policy_copy(policy);
	assert_int_equal(sl_policy_set(copy, "fs-read", "/z", NULL), 0);
	policy_is(policy, full_text);
	sl_policy_free(copy);
	sl_policy_free(policy);
}

static void null_arguments_are_refused(void **state)
{
	sl_policy *policy = policy_busy();
	sl_error error;

	(void)state;
	assert_int_equal(sl_policy_set(NULL, "fs-read", "/", &error), -EINVAL);
	message_is_one_line(&error, -EINVAL);
	assert_int_equal(sl_policy_set(policy, NULL, "/", &error), -EINVAL);
	message_is_one_line(&error, -EINVAL);
	assert_int_equal(sl_policy_explain(NULL, stdout, &error), -EINVAL);
	assert_int_equal(sl_policy_explain(policy, NULL, &error), -EINVAL);
	assert_int_equal(sl_confine_self(NULL, &error), -EINVAL);
	message_is_one_line(&error, -EINVAL);
	assert_int_equal(sl_confine_self(NULL, NULL), -EINVAL);
	/* None of that was a use. */
	assert_int_equal(sl_policy_set(policy, "fs-read", "/z", &error), 0);
	sl_policy_free(policy);
}

/* Values are bytes from anywhere, and a message ends up on a terminal. */
static void control_bytes_never_reach_a_message(void **state)
{
	static const char *const keys[] = {
		"fs-system",      "net-allow",   "net-allow-bind", "deny-syscall", "allow-syscalls",
		"max-file-size",  "keep-fd",     "no-such-key",    "strict-fds",   "umask",
		"user",           "cpu-cores",   "rlimit",         "env",          "gpu",
		"max-open-files", "no-coredump",
	};
	sl_policy *policy = policy_busy();

	(void)state;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		for (unsigned byte = 1; byte < 0x20; byte++) {
			const char value[] = {'z', (char)byte, '[', '2', 'J', '\0'};
			sl_error error;

			memset(&error, 'E', sizeof(error));
			assert_true(sl_policy_set(policy, keys[i], value, &error) < 0);
			message_is_one_line(&error, error.code);
			assert_true(sl_policy_set(policy, value, "x", &error) < 0);
			message_is_one_line(&error, -ENOENT);
		}
		refused(policy, keys[i], "z\033]0;title\007\x7f",
		        strcmp(keys[i], "no-such-key") == 0 ? -ENOENT : -EINVAL, NULL);
	}
	sl_policy_free(policy);
}

/* A path is bytes: nothing in it is interpreted, and nothing lost. */
static void paths_are_kept_as_they_are(void **state)
{
	static const char *const paths[] = {"/a,b", "relative", "/with\nnewline", "/\xff\x01", " ",
	                                    "*",    "/a=b"};
	sl_policy *policy = sl_policy_new();

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		assert_int_equal(sl_policy_set(policy, "fs-read", paths[i], NULL), 0);
		assert_int_equal(policy->values[OPTION_FS_READ].count, i + 1);
		assert_string_equal(policy->values[OPTION_FS_READ].items[i], paths[i]);
	}
	sl_policy_free(policy);
}

/* Without memory. Each of these is run with its first allocation failing, its second, ... until it gets
 * through: until then the answer is -ENOMEM, said in the error too, and nothing has changed. */

static const struct {
	const char *key, *value;
} settings[] = {
	{"fs-read", "/new"},
	{"fs-write", "/new"},
	{"fs-read-if-exists", "/new"},
	{"fs-system", "yes"},
	{"net-allow", "*"},
	{"net-allow", ":1,3,5,7,9,11"},
	{"net-allow", "[2001:db8::/32]:1,3,5,7,9"},
	{"net-allow-bind", "1,3,5,7,9,11"},
	{"net-allow-bind", "*"},
	{"net-allow-unix", "*"},
	{"deny-syscall", "lchown,kill,tkill"},
	{"allow-syscalls", "posix_mq,sysv_ipc"},
	{"max-file-size", "77"},
	{"cpu-cores", "0-3,5"},
	{"rlimit", "stack=1M:2M"},
	{"gpu", "0,2"},
	{"env", "A=b"},
	{"cwd", "/"},
	{"keep-fd", "9"},
	{"strict-fds", NULL},
};

static void setting_survives(size_t row)
{
	unsigned nth = 0;
	int r;

	do {
		sl_policy *policy = policy_full();
		sl_error error;

		memset(&error, 'E', sizeof(error));
		allocations_left = ++nth;
		r = sl_policy_set(policy, settings[row].key, settings[row].value, &error);
		allocations_left = 0;
		if (r < 0) {
			if (r != -ENOMEM || error.code != -ENOMEM)
				fail_msg("%s, allocation %u: %d, error.code %d", settings[row].key, nth, r,
				         error.code);
			message_is_one_line(&error, -ENOMEM);
			if (strstr(error.message, settings[row].key) == NULL)
				fail_msg("\"%s\" does not name %s", error.message, settings[row].key);
			policy_is(policy, full_text);
			/* And it can be set once there is memory again. */
			assert_int_equal(sl_policy_set(policy, settings[row].key, settings[row].value, NULL),
			                 0);
		}
		sl_policy_free(policy);
	} while (r < 0);
	assert_true(nth > 1);
}

static void setting_a_key_survives_every_failed_allocation(void **state)
{
	(void)state;
	for (size_t row = 0; row < sizeof(settings) / sizeof(settings[0]); row++)
		setting_survives(row);
}

static void copying_survives_every_failed_allocation(void **state)
{
	sl_policy *policy = policy_full(), *copy;
	unsigned nth = 0;

	(void)state;
	do {
		allocations_left = ++nth;
		copy = sl_policy_copy(policy);
		allocations_left = 0;
		policy_is(policy, full_text);
	} while (copy == NULL);
	assert_true(nth > 20);
	policy_is(copy, full_text);
	sl_policy_free(copy);
	sl_policy_free(policy);
	allocations_left = 1;
	policy = sl_policy_new();
	allocations_left = 0;
	assert_null(policy);
}

static void planning_survives_every_failed_allocation(void **state)
{
	static const struct plan nothing;
	sl_policy *policy = policy_full();
	unsigned nth = 0;
	int r;

	(void)state;
	do {
		struct plan plan;
		sl_error error;

		memset(&error, 'E', sizeof(error));
		allocations_left = ++nth;
		r = plan_of(&plan, policy, &kernel_full, PLAN_LAUNCH, &error);
		allocations_left = 0;
		if (r < 0) {
			assert_int_equal(r, -ENOMEM);
			message_is_one_line(&error, -ENOMEM);
			assert_memory_equal(&plan, &nothing, sizeof(plan));
		}
		plan_clear(&plan);
		policy_is(policy, full_text);
	} while (r < 0);
	assert_true(nth > 10);
	sl_policy_free(policy);
}

/* Not a variable may be missing because memory was. */
static void an_environment_is_whole_or_not_there(void **state)
{
	char *const inherited[] = {"A=1", "LD_PRELOAD=x", NULL};
	sl_policy *policy = policy_of(POLICY("env", "B=2", "gpu", "3", "env-safe", ""));
	char **environment = NULL;

	(void)state;
	allocations_left = 1;
	assert_int_equal(environment_build(policy, inherited, &environment), -ENOMEM);
	allocations_left = 0;
	assert_null(environment);
	assert_int_equal(environment_build(policy, inherited, &environment), 0);
	assert_string_equal(environment[3], "B=2");
	assert_null(environment[4]);
	free(environment);
	sl_policy_free(policy);
}

static void assembling_survives_every_failed_allocation(void **state)
{
	sl_policy *policy = policy_full();
	struct filter_program program;
	struct plan plan;

	(void)state;
	assert_int_equal(plan_of(&plan, policy, &kernel_full, PLAN_LAUNCH, NULL), 0);
	allocations_left = 1;
	assert_int_equal(filter_assemble(&program, &plan, 4711), -ENOMEM);
	allocations_left = 0;
	assert_null(program.code);
	filter_clear(&program);
	assert_int_equal(filter_assemble(&program, &plan, 4711), 0);
	filter_clear(&program);
	plan_clear(&plan);
	sl_policy_free(policy);
}

static void explaining_survives_every_failed_allocation(void **state)
{
	FILE *nowhere = fopen("/dev/null", "we");
	unsigned nth = 0, most = 1000;
	sl_error error;
	int r;

	(void)state;
	assert_non_null(nowhere);
	fprintf(nowhere, "%d", 1); /* its buffer is there */
	do {
		sl_policy *policy = policy_full();

		memset(&error, 'E', sizeof(error));
		allocations_left = ++nth;
		r = sl_policy_explain(policy, nowhere, &error);
		allocations_left = 0;
		if (r < 0)
			message_is_one_line(&error, r);
		sl_policy_free(policy);
	} while (r == -ENOMEM && nth < most);
	assert_true(nth > 10 && nth < most);
	fclose(nowhere);
}

/* What every way of saying something about the network allocates. */
static const char *const *const network_policies[] = {
	POLICY("net-allow", "*", "net-deny", "10.0.0.0/8:443,80", "net-deny", "[2001:db8::/32]", "net-deny",
               "tcp://192.0.2.0/28:25", "net-deny", ":1-9"),
	POLICY("net-allow", "www.example.org:80,443", "net-allow", "udp://ns.example.org:53", "net-deny",
               "198.51.100.3", "net-deny", "198.51.100.0/24:443"),
	POLICY("net-allow", "*.example.net:443", "net-allow", "a.example.net:1-5", "net-deny",
               "203.0.113.0/24:443", "net-dns", "192.0.2.53", "net-dns", "[2001:db8::53]:5353",
               "net-public-only", "yes"),
	POLICY("net-allow-bind", "1,3,5,7-9,11", "net-allow-bind", "udp://*", "net-deny-bind", "3,8",
               "net-deny-bind", "udp://1-100,200,300", "net-allow", "tcp://:1,3,5,7,9,11"),
	POLICY("net-allow-unix", "/", "net-allow-unix", "dgram:/no-such-socket", "net-allow-unix", "@name",
               "net-allow-unix", "/no-such-socket", "fs-write", "/tmp", "fs-system", "yes"),
	POLICY("net-allow-unix", "*", "net-allow", "icmp://192.0.2.1", "net-allow", "icmp://*"),
	POLICY("net-proxy-only", "3128:80,443,8000-8080"),
	POLICY("cwd", "/", "cpu-cores", "0", "rlimit", "stack=1M", "rlimit", "nofile=5:6", "no-coredump", "",
               "umask", "022", "gpu", "all", "fs-system", "yes"),
	POLICY("port-remap", "yes", "net-allow", "tcp://*", "net-allow-bind", "*"),
	POLICY("name", "box", "num-cpus", "3", "fs-system", "yes"),
};

static int everything_prepare(struct prepared *prepared, const sl_policy *policy, enum plan_mode mode,
                              sl_error *error)
{
	int r = prepare_plan(prepared, policy, mode, error);

	if (r < 0)
		return r;
	if ((r = prepare_objects(prepared, policy, error)) < 0 ||
	    (r = prepare_walls(prepared, 4711, error)) < 0)
		prepare_clear(prepared);
	return r;
}

/* Returns how many allocations there are. */
static unsigned preparing_survives(const char *const keys[], enum plan_mode mode)
{
	int before = open_descriptors(getpid()), r;
	unsigned nth = 0, left;

	do {
		sl_policy *policy = policy_of(keys);
		struct prepared prepared;
		sl_error error;

		memset(&error, 'E', sizeof(error));
		allocations_left = ++nth;
		r = everything_prepare(&prepared, policy, mode, &error);
		left = allocations_left;
		allocations_left = 0;
		if (r < 0) {
			if (r != -ENOMEM)
				fail_msg("%s, allocation %u: %d, %s", keys[1], nth, r, error.message);
			message_is_one_line(&error, -ENOMEM);
		} else if (left == 0) {
			fail_msg("%s, allocation %u failed and nobody said so", keys[1], nth);
		} else {
			prepare_clear(&prepared);
		}
		assert_int_equal(open_descriptors(getpid()), before);
		sl_policy_free(policy);
	} while (r < 0 && nth < 10000);
	assert_int_equal(r, 0);
	return nth - 1;
}

static void preparing_survives_every_failed_allocation(void **state)
{
	struct kernel kernel;

	(void)state;
	kernel_probe(&kernel);
	if (kernel.landlock_abi < SL_ABI_SCOPES)
		SKIP_BECAUSE("this kernel is refused before anything is prepared (Landlock ABI 6)");
	for (size_t i = 0; i < sizeof(network_policies) / sizeof(network_policies[0]); i++)
		for (int mode = PLAN_IN_PLACE; mode <= PLAN_LAUNCH; mode++)
			if (preparing_survives(network_policies[i], mode) < 10)
				fail_msg("%s: what it allocates is not seen", network_policies[i][1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_append_and_scalars_are_replaced),
		cmocka_unit_test(keys_of_a_process_are_taken),
		cmocka_unit_test(keys_and_values_are_copied),
		cmocka_unit_test(an_unknown_key_names_the_nearest),
		cmocka_unit_test(names_and_numbers_of_cpus_are_scalars),
		cmocka_unit_test(a_bad_value_is_named_with_its_key_and_what_was_expected),
		cmocka_unit_test(every_unknown_system_call_is_listed),
		cmocka_unit_test(a_thousand_unknown_names_make_one_bounded_message),
		cmocka_unit_test(older_spellings_mean_the_same),
		cmocka_unit_test(a_copy_is_independent),
		cmocka_unit_test(a_policy_in_use_is_frozen_and_its_copy_is_not),
		cmocka_unit_test(null_arguments_are_refused),
		cmocka_unit_test(control_bytes_never_reach_a_message),
		cmocka_unit_test(paths_are_kept_as_they_are),
		cmocka_unit_test(setting_a_key_survives_every_failed_allocation),
		cmocka_unit_test(copying_survives_every_failed_allocation),
		cmocka_unit_test(planning_survives_every_failed_allocation),
		cmocka_unit_test(an_environment_is_whole_or_not_there),
		cmocka_unit_test(assembling_survives_every_failed_allocation),
		cmocka_unit_test(explaining_survives_every_failed_allocation),
		cmocka_unit_test(preparing_survives_every_failed_allocation),
	};

	return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
