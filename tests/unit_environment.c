/* What a command gets of the caller's environment: tables of policy, environment in, environment out. */
#include "tests/common/common.h"

#include <stdlib.h>

#include "core/environment.h"
#include "core/gpu.h"

#define LIST(...) ((char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

struct row {
	const char *why;
	const char *const *keys;
	char *const *inherited, *const *wanted;
};

static void same_environment(const char *why, char *const *wanted, char *const *got)
{
	size_t i;

	for (i = 0; wanted[i] != NULL && got[i] != NULL; i++)
		if (strcmp(wanted[i], got[i]) != 0)
			fail_msg("%s: \"%s\", expected \"%s\"", why, got[i], wanted[i]);
	if (wanted[i] != NULL || got[i] != NULL)
		fail_msg("%s: %s \"%s\"", why, wanted[i] != NULL ? "without" : "also",
		         wanted[i] != NULL ? wanted[i] : got[i]);
}

static void expect(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		sl_policy *policy = policy_of(rows[i].keys);
		char **got = NULL;

		assert_int_equal(environment_build(policy, rows[i].inherited, &got), 0);
		sl_policy_free(policy);
		/* Nothing in it is the policy's. */
		same_environment(rows[i].why, rows[i].wanted, got);
		free(got);
	}
}
#define EXPECT_ROWS(...)                                      \
	do {                                                  \
		const struct row rows[] = {__VA_ARGS__};      \
		(void)state;                                  \
		expect(rows, sizeof(rows) / sizeof(rows[0])); \
	} while (0)

static void without_an_option_all_is_passed_as_it_is(void **state)
{
	EXPECT_ROWS({"nothing", POLICY(), LIST(), LIST()}, {"no list", POLICY(), NULL, LIST()},
	            {"all, in order, twice too", POLICY(),
	             LIST("B=1", "A=", "LD_PRELOAD=x", "B=2", "odd", "=x", "\xff\x01=y"),
	             LIST("B=1", "A=", "LD_PRELOAD=x", "B=2", "odd", "=x", "\xff\x01=y")});
}

static void clean_env_keeps_a_minimal_set(void **state)
{
	EXPECT_ROWS({"each of the set", POLICY("clean-env", ""),
	             LIST("PATH=/p", "HOME=/h", "USER=u", "LOGNAME=l", "SHELL=/s", "TERM=t", "LANG=C",
	                  "LC_ALL=C", "LC_TIME=x", "LC_=y", "TZ=z", "TMPDIR=/t"),
	             LIST("PATH=/p", "HOME=/h", "USER=u", "LOGNAME=l", "SHELL=/s", "TERM=t", "LANG=C",
	                  "LC_ALL=C", "LC_TIME=x", "LC_=y", "TZ=z", "TMPDIR=/t")},
	            {"nothing else, however near", POLICY("clean-env", ""),
	             LIST("PATHS=1", "PAT=1", "path=1", "XPATH=1", "LC=1", "LANGUAGE=1", "AWS_SECRET=1",
	                  "PWD=/", "OLDPWD=/", "=PATH=1", "PATH", "HOME", "", "_=x"),
	             LIST()},
	            {"no set: nothing is invented", POLICY("clean-env", ""), LIST(), LIST()},
	            {"twice stays twice", POLICY("clean-env", ""), LIST("PATH=/a", "PATH=/b"),
	             LIST("PATH=/a", "PATH=/b")});
}

static void env_pass_keeps_more_under_clean_env(void **state)
{
	char *const *python = LIST("PYTHONPATH=a", "PYTHON=b", "PYTHO=c", "MYPYTHON=d", "python=e");

	EXPECT_ROWS({"a name", POLICY("clean-env", "", "env-pass", "PYTHON"), python, LIST("PYTHON=b")},
	            {"a beginning", POLICY("clean-env", "", "env-pass", "PYTHON*"), python,
	             LIST("PYTHONPATH=a", "PYTHON=b")},
	            {"an end", POLICY("clean-env", "", "env-pass", "*PYTHON"), python,
	             LIST("PYTHON=b", "MYPYTHON=d")},
	            {"inside", POLICY("clean-env", "", "env-pass", "PY*PATH"), python, LIST("PYTHONPATH=a")},
	            {"stars that give back", POLICY("clean-env", "", "env-pass", "*A*B"),
	             LIST("AAB=1", "ABAB=2", "ABA=3", "B=4", "XAYBZB=5"),
	             LIST("AAB=1", "ABAB=2", "XAYBZB=5")},
	            {"one byte", POLICY("clean-env", "", "env-pass", "PYTHO?"), python, LIST("PYTHON=b")},
	            {"all", POLICY("clean-env", "", "env-pass", "*"), LIST("A=1", "odd", "=x", "B="),
	             LIST("A=1", "=x", "B=")},
	            {"two patterns", POLICY("clean-env", "", "env-pass", "A", "env-pass", "B*"),
	             LIST("A=1", "AB=2", "BC=3"), LIST("A=1", "BC=3")},
	            {"a bracket is a bracket", POLICY("clean-env", "", "env-pass", "[A]"),
	             LIST("A=1", "[A]=2"), LIST("[A]=2")},
	            {"the value does not count", POLICY("clean-env", "", "env-pass", "*X"),
	             LIST("A=X", "X=A"), LIST("X=A")});
}

static void env_wins_over_all(void **state)
{
	EXPECT_ROWS({"added", POLICY("env", "A=1"), LIST("B=2"), LIST("B=2", "A=1")},
	            {"replaced, in every place", POLICY("env", "A=new"), LIST("A=1", "B=2", "A=3"),
	             LIST("B=2", "A=new")},
	            {"an entry without \"=\" has that name too", POLICY("env", "A=new"), LIST("A", "AB=1"),
	             LIST("AB=1", "A=new")},
	            {"the last wins", POLICY("env", "A=1", "env", "B=2", "env", "A=3"), LIST("A=0"),
	             LIST("B=2", "A=3")},
	            {"empty, and with \"=\" in it", POLICY("env", "A=", "env", "B=x=y"), LIST(),
	             LIST("A=", "B=x=y")},
	            {"clean-env", POLICY("clean-env", "", "env", "SECRET=1", "env", "PATH=/x"),
	             LIST("PATH=/y", "SECRET=2"), LIST("SECRET=1", "PATH=/x")},
	            {"env-safe", POLICY("env-safe", "", "env", "LD_PRELOAD=mine"),
	             LIST("LD_PRELOAD=theirs", "LD_AUDIT=x"), LIST("LD_PRELOAD=mine")},
	            {"gpu", POLICY("gpu", "1", "env", "CUDA_VISIBLE_DEVICES=7"),
	             LIST("CUDA_VISIBLE_DEVICES=0"),
	             LIST("ROCR_VISIBLE_DEVICES=1", "CUDA_VISIBLE_DEVICES=7")});
}

static void env_safe_drops_what_loads_code(void **state)
{
	EXPECT_ROWS(
		{"every name of the list", POLICY("env-safe", ""),
	         LIST("LD_PRELOAD=1", "LD_LIBRARY_PATH=1", "LD_AUDIT=1", "LD_=1", "DYLD_INSERT_LIBRARIES=1",
	              "GCONV_PATH=1", "GLIBC_TUNABLES=1", "BASH_ENV=1", "ENV=1", "CDPATH=1", "GLOBIGNORE=1",
	              "BASH_FUNC_ls%%=() { id; }", "PROMPT_COMMAND=1", "IFS=1", "PYTHONSTARTUP=1",
	              "PYTHONPATH=1", "PYTHONHOME=1", "NODE_OPTIONS=1", "NODE_PATH=1", "PERL5OPT=1",
	              "PERL5LIB=1", "PERL5DB=1", "RUBYOPT=1", "RUBYLIB=1", "GEM_PATH=1", "GEM_HOME=1",
	              "JAVA_TOOL_OPTIONS=1", "_JAVA_OPTIONS=1", "JDK_JAVA_OPTIONS=1",
	              "DOTNET_STARTUP_HOOKS=1", "GOFLAGS=1", "OP_SERVICE_ACCOUNT_TOKEN=1",
	              "OP_CONNECT_TOKEN=1", "OP_SESSION_my=1"),
	         LIST()},
		{"a beginning, an end, a middle", POLICY("env-safe", ""),
	         LIST("GIT_CONFIG=1", "GIT_CONFIG_COUNT=1", "RESOLV_HOST_CONF=1", "ERL_AFLAGS=1",
	              "ERL_FLAGS=1", "CARGO_TARGET_X86_64_LINKER=1", "VK_ADD_LAYER_PATH=1",
	              "TCL8_6_TM_PATH=1", "LUA_PATH_5_4=1", "SSLKEYLOGFILE=1", "_JAVA_OPTIONS=1",
	              "__EGL_VENDOR_LIBRARY_DIRS=1"),
	         LIST()},
		{"the last of a row, and of the table", POLICY("env-safe", ""),
	         LIST("FPATH=1", "PYTHONINSPECT=1", "CARGO_TARGET_A_RUSTFLAGS=1", "GIT_SSL_NO_VERIFY=1",
	              "OP_SESSION_=1"),
	         LIST()},
		{"any case, where the program takes any", POLICY("env-safe", ""),
	         LIST("npm_config_registry=1", "NPM_CONFIG_X=1", "Npm_cOnfig_=1", "git_ssh=1", "npm_confi=1"),
	         LIST("git_ssh=1", "npm_confi=1")},
		{"what daily work needs stays", POLICY("env-safe", ""),
	         LIST("PAGER=1", "EDITOR=1", "BROWSER=1", "TMPDIR=1", "TERMINFO=1", "MALLOC_ARENA_MAX=1",
	              "CARGO_HOME=1", "CARGO_TARGET_DIR=1", "CC=1", "HTTPS_PROXY=1", "SSL_CERT_FILE=1",
	              "GIT_AUTHOR_NAME=1", "GIT_TERMINAL_PROMPT=0", "PYTHONSAFEPATH=1", "JAVA_HOME=1",
	              "GOPATH=1", "JULIA_NUM_THREADS=1", "SSH_AUTH_SOCK=1"),
	         LIST("PAGER=1", "EDITOR=1", "BROWSER=1", "TMPDIR=1", "TERMINFO=1", "MALLOC_ARENA_MAX=1",
	              "CARGO_HOME=1", "CARGO_TARGET_DIR=1", "CC=1", "HTTPS_PROXY=1", "SSL_CERT_FILE=1",
	              "GIT_AUTHOR_NAME=1", "GIT_TERMINAL_PROMPT=0", "PYTHONSAFEPATH=1", "JAVA_HOME=1",
	              "GOPATH=1", "JULIA_NUM_THREADS=1", "SSH_AUTH_SOCK=1")},
		{"twice, without \"=\", with two", POLICY("env-safe", ""),
	         LIST("LD_PRELOAD=1", "A=1", "LD_PRELOAD=2", "LD_PRELOAD", "LD_PRELOAD==3"), LIST("A=1")},
		{"its neighbours stay", POLICY("env-safe", ""),
	         LIST("LD=1", "XLD_PRELOAD=1", "ld_preload=1", "ENVIRON=1", "PYTHONUTF8=1", "=LD_PRELOAD=1",
	              "A=LD_PRELOAD=1", " LD_PRELOAD=1"),
	         LIST("LD=1", "XLD_PRELOAD=1", "ld_preload=1", "ENVIRON=1", "PYTHONUTF8=1", "=LD_PRELOAD=1",
	              "A=LD_PRELOAD=1", " LD_PRELOAD=1")},
		{"env-pass is no way around", POLICY("env-safe", "", "clean-env", "", "env-pass", "LD_*"),
	         LIST("LD_PRELOAD=1", "LD_X=2", "HOME=/"), LIST("HOME=/")});
}

static void gpu_numbers_become_variables(void **state)
{
	EXPECT_ROWS({"all: none", POLICY("gpu", "all"), LIST("CUDA_VISIBLE_DEVICES=3", "A=1"),
	             LIST("CUDA_VISIBLE_DEVICES=3", "A=1")},
	            {"as written, in place of the caller's", POLICY("gpu", "2,0"),
	             LIST("CUDA_VISIBLE_DEVICES=3", "A=1", "ROCR_VISIBLE_DEVICES=4"),
	             LIST("A=1", "CUDA_VISIBLE_DEVICES=2,0", "ROCR_VISIBLE_DEVICES=2,0")},
	            {"the last wins", POLICY("gpu", "2", "gpu", "all"), LIST(), LIST()});
}

static void the_first_of_two_is_found(void **state)
{
	char *const *environment = LIST("PATHS=0", "PATH", "PATH=/a", "PATH=/b", "EMPTY=");

	(void)state;
	assert_string_equal(environment_get(environment, "PATH"), "/a");
	assert_string_equal(environment_get(environment, "EMPTY"), "");
	assert_null(environment_get(environment, "PAT"));
	assert_null(environment_get(LIST(), "PATH"));
}

static void explain_says_names_and_no_values(void **state)
{
	sl_policy *policy = policy_of(POLICY("clean-env", "", "env-safe", "", "env-pass", "MY_*", "env",
	                                     "TOKEN=s3cret", "env", "O\033DD=x", "gpu", "1"));
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	environment_print(policy, out);
	fflush(out);
	assert_non_null(strstr(text, "  kept: PATH HOME "));
	assert_non_null(strstr(text, "  kept, env-pass: MY_*\n"));
	assert_non_null(strstr(text, "  dropped, env-safe, C library: LD_* "));
	assert_non_null(strstr(text, "  set, gpu: CUDA_VISIBLE_DEVICES ROCR_VISIBLE_DEVICES\n"));
	assert_non_null(strstr(text, "  set, env: TOKEN O?DD\n"));
	assert_null(strstr(text, "s3cret"));
	fclose(out);
	free(text);
	sl_policy_free(policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_an_option_all_is_passed_as_it_is),
		cmocka_unit_test(clean_env_keeps_a_minimal_set),
		cmocka_unit_test(env_pass_keeps_more_under_clean_env),
		cmocka_unit_test(env_wins_over_all),
		cmocka_unit_test(env_safe_drops_what_loads_code),
		cmocka_unit_test(gpu_numbers_become_variables),
		cmocka_unit_test(the_first_of_two_is_found),
		cmocka_unit_test(explain_says_names_and_no_values),
	};

	return cmocka_run_group_tests_name("environment", tests, NULL, NULL);
}
