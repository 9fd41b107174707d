/* Which variables a command gets. Pure: the policy and the caller's environment in, a new one out.
 *
 * A variable is what stands before the first '='. The same name twice is two entries, of which getenv(3) finds the first
 * and some shells the last: what is dropped or set is so in all of them. */
#include "core/environment.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/gpu.h"

#define NAMES_MAX 16

/* What programs need to find their way, and the language of who sits before them. */
static const char *const minimal[] = {"PATH", "HOME", "USER", "LOGNAME", "SHELL",
                                      "TERM", "LANG", "LC_*", "TZ",      "TMPDIR"};

/* What runs or loads, before the program has a say, what its user did not name; or sends names, keys and passwords to
 * where its user would not. What only says which program the user likes, where data lies or how much of something there
 * may be is not here: PAGER, EDITOR, BROWSER, TMPDIR, MALLOC_ARENA_MAX, the certificates and proxies of a site. Of a
 * family that has both, such as CARGO_ and PYTHON, the names stand one by one. */
static const struct danger {
	const char *where;
	/* npm looks for its names in any case. */
	bool any_case;
	const char *const names[NAMES_MAX];
} dangers[] = {
	{.where = "C library",
         .names = {"LD_*", "DYLD_*", "GCONV_PATH", "GETCONF_DIR", "GLIBC_TUNABLES", "NLSPATH", "HOSTALIASES",
                   "LOCALDOMAIN", "RES_OPTIONS", "RESOLV_*"}},
	{.where = "shells",
         .names = {"BASH_ENV", "ENV", "BASH_FUNC_*", "BASH_LOADABLES_PATH", "SHELLOPTS", "BASHOPTS", "PS4",
                   "PROMPT_COMMAND", "IFS", "CDPATH", "GLOBIGNORE", "ZDOTDIR", "FPATH"}},
	{.where = "Python",
         .names = {"PYTHONSTARTUP", "PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE", "PYTHONPLATLIBDIR",
                   "PYTHONPYCACHEPREFIX", "PYTHONWARNINGS", "PYTHONBREAKPOINT", "PYTHONINSPECT"}},
	{.where = "Perl", .names = {"PERL5OPT", "PERL5LIB", "PERLLIB", "PERL5DB"}},
	{.where = "Ruby",
         .names = {"RUBYOPT", "RUBYLIB", "GEM_PATH", "GEM_HOME", "RUBYGEMS_GEMDEPS", "BUNDLE_GEMFILE"}},
	{.where = "Node", .names = {"NODE_OPTIONS", "NODE_PATH", "NODE_REPL_EXTERNAL_MODULE"}},
	{.where = "Java and .NET",
         .names = {"JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "JDK_JAVAC_OPTIONS",
                   "IBM_JAVA_OPTIONS", "OPENJ9_JAVA_OPTIONS", "CLASSPATH", "MAVEN_OPTS", "GRADLE_OPTS",
                   "DOTNET_STARTUP_HOOKS", "DOTNET_ADDITIONAL_DEPS", "CORECLR_*", "MONO_PATH", "MONO_CONFIG",
                   "MONO_ENV_OPTIONS"}},
	{.where = "Lua, Tcl, PHP, Emacs",
         .names = {"LUA_INIT*", "LUA_PATH*", "LUA_CPATH*", "TCL_LIBRARY", "TCLLIBPATH", "TCL*_TM_PATH",
                   "PHPRC", "PHP_INI_SCAN_DIR", "EMACSLOADPATH"}},
	{.where = "R, Julia",
         .names = {"R_PROFILE", "R_PROFILE_USER", "R_ENVIRON", "R_ENVIRON_USER", "R_LIBS", "R_LIBS_USER",
                   "R_LIBS_SITE", "R_DEFAULT_PACKAGES", "JULIA_LOAD_PATH", "JULIA_DEPOT_PATH",
                   "JULIA_PROJECT"}},
	{.where = "Erlang, Guile",
         .names = {"ERL_*FLAGS", "ERL_LIBS", "ELIXIR_ERL_OPTIONS", "GUILE_LOAD_PATH",
                   "GUILE_LOAD_COMPILED_PATH", "GUILE_EXTENSIONS_PATH"}},
	{.where = "builds",
         .names = {"MAKEFLAGS", "GNUMAKEFLAGS", "MAKEFILES", "GCC_EXEC_PREFIX", "COMPILER_PATH", "GOFLAGS",
                   "GOENV", "RUSTC", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "RUSTFLAGS",
                   "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUST*", "CARGO_TARGET_*_LINKER",
                   "CARGO_TARGET_*_RUNNER", "CARGO_TARGET_*_RUSTFLAGS"}},
	{.where = "packages", .any_case = true, .names = {"npm_config_*", "PIP_*"}},
	{.where = "git",
         .names = {"GIT_CONFIG*", "GIT_DIR", "GIT_COMMON_DIR", "GIT_EXEC_PATH", "GIT_TEMPLATE_DIR", "GIT_SSH",
                   "GIT_SSH_COMMAND", "GIT_PROXY_COMMAND", "GIT_EXTERNAL_DIFF", "GIT_PAGER", "GIT_EDITOR",
                   "GIT_SEQUENCE_EDITOR", "GIT_ASKPASS", "GIT_SSL_NO_VERIFY"}},
	{.where = "tools",
         .names = {"LESS", "LESSOPEN", "LESSCLOSE", "LESSKEY*", "TAR_OPTIONS", "VIMINIT", "GVIMINIT",
                   "EXINIT", "VIM", "VIMRUNTIME", "RSYNC_RSH", "CVS_RSH", "SVN_SSH", "HGRCPATH",
                   "APT_CONFIG"}},
	{.where = "desktops",
         .names = {"GTK_MODULES", "GTK3_MODULES", "GTK_PATH", "GTK_EXE_PREFIX", "GTK_IM_MODULE_FILE",
                   "GDK_PIXBUF_MODULE*", "GIO_EXTRA_MODULES", "GIO_MODULE_DIR", "GI_TYPELIB_PATH",
                   "GST_PLUGIN_*", "QT_PLUGIN_PATH", "QT_QPA_PLATFORM_PLUGIN_PATH", "QML_IMPORT_PATH",
                   "QML2_IMPORT_PATH"}},
	{.where = "drivers",
         .names = {"LIBGL_DRIVERS_PATH", "GBM_BACKENDS_PATH", "LIBVA_DRIVERS_PATH", "VDPAU_DRIVER_PATH",
                   "__EGL_VENDOR_LIBRARY_*", "VK_ICD_FILENAMES", "VK_*DRIVER_FILES", "VK_*LAYER*",
                   "OCL_ICD_*", "CUDA_INJECTION*", "ALSA_CONFIG_*", "ALSA_PLUGIN_DIR", "PIPEWIRE_MODULE_DIR",
                   "SPA_PLUGIN_DIR"}},
	{.where = "keys and trust",
         .names = {"OPENSSL_CONF", "OPENSSL_CONF_INCLUDE", "OPENSSL_MODULES", "OPENSSL_ENGINES", "SASL_PATH",
                   "KRB5_CONFIG", "SSLKEYLOGFILE", "NODE_TLS_REJECT_UNAUTHORIZED", "PYTHONHTTPSVERIFY",
                   "SSH_ASKPASS", "SUDO_ASKPASS", "OP_SERVICE_ACCOUNT_TOKEN", "OP_CONNECT_TOKEN",
                   "OP_SESSION_*"}},
};

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

int environment_check_setting(const char *key, const char *text, sl_error *error)
{
	if (*text == '=' || strchr(text, '=') == NULL)
		return error_set(error, -EINVAL, "%s: \"%.64s\" given, expected NAME=VALUE", key, text);
	return 0;
}

int environment_check_pattern(const char *key, const char *text, sl_error *error)
{
	if (strchr(text, '=') != NULL)
		return error_set(error, -EINVAL,
		                 "%s: \"%.64s\" given, expected names such as LESS or PYTHON*, without \"=\"",
		                 key, text);
	return 0;
}

static size_t name_size(const char *entry)
{
	return strcspn(entry, "=");
}

static bool same_byte(char a, char b, bool any_case)
{
	return a == b || (any_case && tolower((unsigned char)a) == tolower((unsigned char)b));
}

/* '*' takes as little as it can; where the rest does not fit, one byte more. */
static bool pattern_matches(const char *pattern, const char *name, size_t size, bool any_case)
{
	const char *star = NULL, *at = name, *end = name + size, *tried = name;

	while (at < end) {
		if (*pattern == '*') {
			star = ++pattern;
			tried = at;
		} else if (*pattern == '?' || same_byte(*pattern, *at, any_case)) {
			pattern++;
			at++;
		} else if (star != NULL) {
			pattern = star;
			at = ++tried;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

static bool any_matches(const char *const *patterns, size_t count, const char *name, size_t size,
                        bool any_case)
{
	for (size_t i = 0; i < count; i++)
		if (pattern_matches(patterns[i], name, size, any_case))
			return true;
	return false;
}

static size_t danger_count(const struct danger *danger)
{
	size_t count = 0;

	while (count < NAMES_MAX && danger->names[count] != NULL)
		count++;
	return count;
}

static bool is_dangerous(const char *name, size_t size)
{
	for (size_t i = 0; i < COUNT(dangers); i++)
		if (any_matches(dangers[i].names, danger_count(&dangers[i]), name, size, dangers[i].any_case))
			return true;
	return false;
}

static bool list_matches(const struct value_list *list, const char *name, size_t size)
{
	return any_matches((const char *const *)list->items, list->count, name, size, false);
}

static bool same_name(const char *entry, const char *name, size_t size)
{
	return strncmp(entry, name, size) == 0 && entry[size] == '=';
}

/* Does one of the settings from `first` on set it? */
static bool is_set(const struct value_list *settings, size_t first, const char *name, size_t size)
{
	for (size_t i = first; i < settings->count; i++)
		if (same_name(settings->items[i], name, size))
			return true;
	return false;
}

static bool is_passed(const sl_policy *policy, const char *entry)
{
	size_t size = name_size(entry);

	if (is_set(&policy->values[OPTION_ENV], 0, entry, size))
		return false;
	if (gpu_list(policy) != NULL && any_matches(gpu_variables, GPU_VARIABLES, entry, size, false))
		return false;
	if (policy_has(policy, OPTION_ENV_SAFE) && is_dangerous(entry, size))
		return false;
	if (!policy_has(policy, OPTION_CLEAN_ENV))
		return true;
	/* Without '=' it is no variable, and has no name that could have been asked for. */
	return entry[size] == '=' && (any_matches(minimal, COUNT(minimal), entry, size, false) ||
	                              list_matches(&policy->values[OPTION_ENV_PASS], entry, size));
}

/* Filled twice: without `entries` it only counts. */
struct block {
	char **entries;
	char *text;
	size_t count, size;
};

static void block_add(struct block *block, const char *head, const char *middle, const char *tail)
{
	const char *const parts[] = {head, middle, tail};

	if (block->entries != NULL)
		block->entries[block->count] = block->text + block->size;
	block->count++;
	for (size_t i = 0; i < 3; i++) {
		size_t size = strlen(parts[i]);

		if (block->entries != NULL)
			memcpy(block->text + block->size, parts[i], size);
		block->size += size;
	}
	if (block->entries != NULL)
		block->text[block->size] = '\0';
	block->size++;
}

static void block_fill(struct block *block, const sl_policy *policy, char *const inherited[])
{
	const struct value_list *settings = &policy->values[OPTION_ENV];
	const char *devices = gpu_list(policy);

	for (size_t i = 0; inherited != NULL && inherited[i] != NULL; i++)
		if (is_passed(policy, inherited[i]))
			block_add(block, inherited[i], "", "");
	for (size_t i = 0; devices != NULL && i < GPU_VARIABLES; i++)
		if (!is_set(settings, 0, gpu_variables[i], strlen(gpu_variables[i])))
			block_add(block, gpu_variables[i], "=", devices);
	for (size_t i = 0; i < settings->count; i++)
		if (!is_set(settings, i + 1, settings->items[i], name_size(settings->items[i])))
			block_add(block, settings->items[i], "", "");
}

int environment_build(const sl_policy *policy, char *const inherited[], char ***environment)
{
	struct block block = {.entries = NULL};
	size_t pointers;

	block_fill(&block, policy, inherited);
	pointers = (block.count + 1) * sizeof(char *);
	if ((*environment = calloc(1, pointers + block.size)) == NULL)
		return -ENOMEM;
	block = (struct block){.entries = *environment, .text = (char *)*environment + pointers};
	block_fill(&block, policy, inherited);
	return 0;
}

const char *environment_get(char *const environment[], const char *name)
{
	size_t size = strlen(name);

	for (; *environment != NULL; environment++)
		if (same_name(*environment, name, size))
			return *environment + size + 1;
	return NULL;
}

/* Names are bytes: a control byte must not reach the reader's terminal. */
static void name_print(const char *name, FILE *out)
{
	fputc(' ', out);
	for (size_t i = 0, size = name_size(name); i < size; i++)
		fputc((unsigned char)name[i] < 0x20 || name[i] == 0x7f ? '?' : name[i], out);
}

static void names_print(const char *what, const char *const *names, size_t count, FILE *out)
{
	if (count == 0)
		return;
	fprintf(out, "  %s:", what);
	for (size_t i = 0; i < count; i++)
		name_print(names[i], out);
	fputc('\n', out);
}

static void dangers_print(FILE *out)
{
	char what[64];

	for (size_t i = 0; i < COUNT(dangers); i++) {
		snprintf(what, sizeof(what), "dropped, env-safe, %s", dangers[i].where);
		names_print(what, dangers[i].names, danger_count(&dangers[i]), out);
	}
}

void environment_print(const sl_policy *policy, FILE *out)
{
	const struct value_list *passed = &policy->values[OPTION_ENV_PASS],
				*settings = &policy->values[OPTION_ENV];
	bool clean = policy_has(policy, OPTION_CLEAN_ENV), safe = policy_has(policy, OPTION_ENV_SAFE);

	if (!clean && !safe && settings->count == 0 && gpu_list(policy) == NULL)
		return;
	fprintf(out, "\nenvironment: the caller's%s\n", clean ? "; of that only what is kept" : "");
	if (clean) {
		names_print("kept", minimal, COUNT(minimal), out);
		names_print("kept, env-pass", (const char *const *)passed->items, passed->count, out);
	}
	if (safe)
		dangers_print(out);
	if (gpu_list(policy) != NULL)
		names_print("set, gpu", gpu_variables, GPU_VARIABLES, out);
	names_print("set, env", (const char *const *)settings->items, settings->count, out);
}
