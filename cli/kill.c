/* sluice kill: the whole tree of one sandbox, or a signal to its command. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cli/cli.h"
#include "cli/entry.h"
#include "core/parse.h"

/* "TERM", "SIGTERM", "15". 0: none. */
static int signal_parse(const char *text)
{
	uint64_t number;

	if (number_parse(text, 1, _NSIG - 1, &number) == 0)
		return (int)number;
	if (strncasecmp(text, "SIG", 3) == 0)
		text += 3;
	for (int i = 1; i < _NSIG; i++) {
		const char *name = sigabbrev_np(i);

		if (name != NULL && strcasecmp(name, text) == 0)
			return i;
	}
	return 0;
}

static int usage_say(void)
{
	fputs("sluice: kill takes the name of a sandbox: sluice kill NAME [-s SIGNAL]\n", stderr);
	return EXIT_SLUICE;
}

/* The name first or last; a name that begins with a dash is a name all the same. */
static const char *arguments_read(int argc, char *argv[], const char **signal)
{
	*signal = NULL;
	if (argc == 2)
		return argv[1];
	if (argc != 4)
		return NULL;
	if (strcmp(argv[2], "-s") == 0) {
		*signal = argv[3];
		return argv[1];
	}
	*signal = argv[2];
	return strcmp(argv[1], "-s") == 0 ? argv[3] : NULL;
}

int kill_main(int argc, char *argv[])
{
	const char *signal, *name = arguments_read(argc, argv, &signal);
	int number = signal == NULL ? 0 : signal_parse(signal), code, r;
	struct running running;
	sl_error error;

	if (name == NULL)
		return usage_say();
	if (signal != NULL && number == 0) {
		fprintf(stderr, "sluice: kill: no such signal: %s\n", signal);
		return EXIT_SLUICE;
	}
	if ((code = running_named(name, &running)) != 0)
		return code;
	r = signal == NULL ? running_kill(&running, &error) : running_signal(&running, number, &error);
	running_clear(&running);
	if (r < 0)
		fprintf(stderr, "sluice: %s\n", error.message);
	return r == 0 ? 0 : r == -ENOENT ? 1 : EXIT_SLUICE;
}
