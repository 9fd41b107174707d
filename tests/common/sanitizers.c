/* What a sanitized program does by default. The runtime reads ASAN_OPTIONS from /proc/self/environ, which a confined
 * program that starts another cannot give it; and its leak checker clones and traces, which the filter refuses. Unit
 * tests switch leaks on again: run.sh. */
#ifdef __SANITIZE_ADDRESS__

const char *__asan_default_options(void) __attribute__((visibility("default")));
const char *__ubsan_default_options(void) __attribute__((visibility("default")));

const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

const char *__ubsan_default_options(void)
{
	return "halt_on_error=1:print_stacktrace=1";
}

#else
typedef int nothing_is_sanitized;
#endif
