/* A Landlock without TCP rules, scopes or ioctl: the product believes in an older ABI than this kernel has, asks the
 * kernel for no more than that ABI knows, and must give the same answers by its supervisor. Each attempt is played
 * bare, under this kernel's own Landlock, and under each older ABI. Linked with --wrap=kernel_probe,
 * --wrap=ruleset_create, --wrap=net_decide and --wrap=net_binds_allow.
 *
 *     listeners    [::]:A, both families; a unix stream socket at PATH, an abstract one
 *     free         P, P+1, P+2 and Q = P+4: nobody has them
 */
#include "tests/common/common.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "confine/confine.h"
#include "core/error.h"
#include "netpolicy/netpolicy.h"

/* ---- the kernel that is believed in ---- */

static int believed_abi;    /* 0: what there is */
static bool judge_says_yes; /* the control: who judges is the supervisor, and nobody else */

void __real_kernel_probe(struct kernel *kernel);
void __wrap_kernel_probe(struct kernel *kernel);
int __real_ruleset_create(const struct plan *plan, sl_error *error);
int __wrap_ruleset_create(const struct plan *plan, sl_error *error);
bool __real_net_decide(const struct net_table *table, const struct net_pins *pins, int64_t now,
                       enum net_protocol protocol, const struct net_endpoint *endpoint);
bool __wrap_net_decide(const struct net_table *table, const struct net_pins *pins, int64_t now,
                       enum net_protocol protocol, const struct net_endpoint *endpoint);
bool __real_net_binds_allow(const struct net_binds *binds, enum net_protocol protocol, uint16_t port);
bool __wrap_net_binds_allow(const struct net_binds *binds, enum net_protocol protocol, uint16_t port);

void __wrap_kernel_probe(struct kernel *kernel)
{
	__real_kernel_probe(kernel);
	if (believed_abi != 0)
		kernel->landlock_abi = believed_abi;
}

/* The rights that each ABI knows, by their number in landlock(7). */
int __wrap_ruleset_create(const struct plan *plan, sl_error *error)
{
	static const struct {
		uint64_t fs, net, scoped;
	} known[] = {[3] = {0x7fff, 0, 0}, [4] = {0x7fff, 3, 0}, [5] = {0xffff, 3, 0}};

	if (believed_abi != 0 &&
	    ((plan->handled_fs & ~known[believed_abi].fs) | (plan->handled_net & ~known[believed_abi].net) |
	     (plan->scoped & ~known[believed_abi].scoped) |
	     (believed_abi == 3 && plan->connect_ports.count + plan->bind_ports.count > 0)) != 0)
		return error_set(error, -EINVAL, "ABI %d does not know these rights", believed_abi);
	return __real_ruleset_create(plan, error);
}

bool __wrap_net_decide(const struct net_table *table, const struct net_pins *pins, int64_t now,
                       enum net_protocol protocol, const struct net_endpoint *endpoint)
{
	return judge_says_yes || __real_net_decide(table, pins, now, protocol, endpoint);
}

bool __wrap_net_binds_allow(const struct net_binds *binds, enum net_protocol protocol, uint16_t port)
{
	return judge_says_yes || __real_net_binds_allow(binds, protocol, port);
}

static int old_confined(int abi, const char *const policy[], attempt_fn attempt, void *context)
{
	int result;

	believed_abi = abi;
	degraded_everywhere = "scopes,ioctl";
	result = attempt_confined(policy, attempt, context);
	degraded_everywhere = NULL;
	believed_abi = 0;
	return result;
}

/* ---- what is there ---- */

static uint16_t served, free_port;
static int listener, abstract_listener, path_listener;
static char path[108], path_bindable[108], path_unbindable[108], directory[80];
static const char abstract_name[] = "sluice-old";

static struct sockaddr_in v4(const char *host, uint16_t port)
{
	struct sockaddr_in address = {AF_INET, htons(port), {0}, {0}};

	inet_pton(AF_INET, host, &address.sin_addr);
	return address;
}

static struct sockaddr_in6 v6(const char *host, uint16_t port)
{
	struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

	inet_pton(AF_INET6, host, &address.sin6_addr);
	return address;
}

static struct sockaddr_un unix_address(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	strcpy(address.sun_path, name);
	return address;
}

static socklen_t abstract_address(const char *name, struct sockaddr_un *address)
{
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
	                   (size_t)snprintf(address->sun_path + 1, sizeof(address->sun_path) - 1, "%s-%d",
	                                    name, getppid()));
}

static int done(int fd, int r)
{
	int code = r < 0 ? errno : 0;

	close(fd);
	return code;
}
#define TRY(fd, call, address) done(fd, call(fd, (struct sockaddr *)&(address), sizeof(address)))

static int tcp(int family, int flags)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | flags, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	return fd;
}

/* ---- attempts: connects ---- */

static int connect_v4(void *context)
{
	struct sockaddr_in address = v4(context, served);

	return TRY(tcp(AF_INET, 0), connect, address);
}

static int connect_other_port(void *context)
{
	struct sockaddr_in address = v4("127.0.0.1", free_port);
	int code = TRY(tcp(AF_INET, 0), connect, address);

	(void)context;
	return code == ECONNREFUSED ? 0 : code; /* it went out */
}

static int connect_v6(void *context)
{
	struct sockaddr_in6 address = v6(context, served);

	return TRY(tcp(AF_INET6, 0), connect, address);
}

static int connect_nonblocking(void *context)
{
	struct sockaddr_in address = v4("127.0.0.1", served);
	int code = TRY(tcp(AF_INET, SOCK_NONBLOCK), connect, address);

	(void)context;
	return code == EINPROGRESS ? 0 : code;
}

static int disconnect(void *context)
{
	struct sockaddr nothing = {.sa_family = AF_UNSPEC};
	int fd = tcp(AF_INET, 0);

	(void)context;
	return done(fd, connect(fd, &nothing, sizeof(nothing)));
}

static int short_address(void *context)
{
	struct sockaddr_in address = v4("127.0.0.1", served);
	int fd = tcp(AF_INET, 0), code = done(fd, connect(fd, (struct sockaddr *)&address, 7));

	(void)context;
	return code == EINVAL ? 0 : code;
}

static int fast_open(void *context)
{
	struct sockaddr_in address = v4("127.0.0.1", served);
	int fd = tcp(AF_INET, 0);

	(void)context;
	return done(fd, (int)sendto(fd, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&address, sizeof(address)));
}

static int multipath(void *context)
{
	struct sockaddr_in address = v4("127.0.0.1", served);
	int fd = socket(AF_INET, SOCK_STREAM, 262);

	(void)context;
	return fd < 0 ? errno : TRY(fd, connect, address);
}

/* Two things at once: the bound port is judged, and the connected one. */
static int bound_connect(void *context)
{
	struct sockaddr_in from = v4("127.0.0.1", (uint16_t)(free_port + 1)), to = v4("127.0.0.1", served);
	int fd = tcp(AF_INET, 0), linger[2] = {1, 0};

	(void)context;
	setsockopt(fd, SOL_SOCKET, SO_LINGER, linger, sizeof(linger)); /* no TIME_WAIT is left on the port */
	if (bind(fd, (struct sockaddr *)&from, sizeof(from)) < 0)
		return done(fd, -1);
	return TRY(fd, connect, to);
}

/* ---- attempts: binds ---- */

static int bind_offset(void *context)
{
	struct sockaddr_in address = v4("127.0.0.1", (uint16_t)(free_port + *(int *)context));

	return TRY(tcp(AF_INET, 0), bind, address);
}

static int bind_v6(void *context)
{
	struct sockaddr_in6 address = v6("::1", (uint16_t)(free_port + *(int *)context));

	return TRY(tcp(AF_INET6, 0), bind, address);
}

static int bind_ephemeral(void *context)
{
	struct sockaddr_in address = v4("127.0.0.1", 0);

	(void)context;
	return TRY(tcp(AF_INET, 0), bind, address);
}

/* The kernel takes it for AF_INET where the host is any. */
static int bind_unspecified_family(void *context)
{
	struct sockaddr_in address = v4("0.0.0.0", free_port);

	(void)context;
	address.sin_family = AF_UNSPEC;
	return TRY(tcp(AF_INET, 0), bind, address);
}

static int listen_bound(void *context)
{
	struct sockaddr_in address = v4("127.0.0.1", free_port);
	int fd = tcp(AF_INET, 0);

	(void)context;
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return done(fd, -1);
	return done(fd, listen(fd, 1));
}

static int listen_unbound(void *context)
{
	int fd = tcp(AF_INET, 0);

	(void)context;
	return done(fd, listen(fd, 1));
}

/* ---- attempts: what is not TCP ---- */

static int unix_connect(void *context)
{
	struct sockaddr_un address = unix_address(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)context;
	return fd < 0 ? errno : TRY(fd, connect, address);
}

static int unix_bind_try(const char *name)
{
	struct sockaddr_un address = unix_address(name);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), code;

	if (fd < 0)
		return errno;
	code = TRY(fd, bind, address);
	unlink(name);
	return code;
}

static int unix_bind_granted(void *context)
{
	(void)context;
	return unix_bind_try(path_bindable);
}

static int unix_bind_elsewhere(void *context)
{
	(void)context;
	return unix_bind_try(path_unbindable);
}

static int abstract_connect(void *context)
{
	struct sockaddr_un address;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t size = abstract_address(abstract_name, &address);

	(void)context;
	return fd < 0 ? errno : done(fd, connect(fd, (struct sockaddr *)&address, size));
}

static int udp(void *context)
{
	struct sockaddr_in from = v4("127.0.0.1", 0), to = v4("127.0.0.1", served);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)context;
	if (fd < 0)
		return errno;
	if (bind(fd, (struct sockaddr *)&from, sizeof(from)) < 0 ||
	    connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		return done(fd, -1);
	return done(fd, (int)send(fd, "x", 1, 0));
}

static int udp_bind(void *context)
{
	struct sockaddr_in address = v4("127.0.0.1", free_port);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)context;
	return fd < 0 ? errno : TRY(fd, bind, address);
}

static int interfaces(void *context)
{
	struct ifaddrs *list = NULL;

	(void)context;
	if (getifaddrs(&list) < 0)
		return errno;
	freeifaddrs(list);
	return 0;
}

static int first_port = 0, second_port = 1, last_port = 4;

static const struct {
	const char *name;
	attempt_fn attempt;
	void *context;
} attempts[] = {
	{"127.0.0.1", connect_v4, "127.0.0.1"},
	{"127.0.0.2", connect_v4, "127.0.0.2"},
	{"0.0.0.0", connect_v4, "0.0.0.0"},
	{"::1", connect_v6, "::1"},
	{"::ffff:127.0.0.1", connect_v6, "::ffff:127.0.0.1"},
	{"another port", connect_other_port, NULL},
	{"without waiting", connect_nonblocking, NULL},
	{"disconnect", disconnect, NULL},
	{"a short address", short_address, NULL},
	{"fast open", fast_open, NULL},
	{"multipath", multipath, NULL},
	{"bound, then connected", bound_connect, NULL},
	{"bind the first", bind_offset, &first_port},
	{"bind the second", bind_offset, &second_port},
	{"bind the last", bind_offset, &last_port},
	{"bind the second of v6", bind_v6, &second_port},
	{"bind any", bind_ephemeral, NULL},
	{"bind, no family", bind_unspecified_family, NULL},
	{"listen, bound", listen_bound, NULL},
	{"listen, unbound", listen_unbound, NULL},
	{"unix path", unix_connect, NULL},
	{"unix bind", unix_bind_granted, NULL},
	{"unix bind elsewhere", unix_bind_elsewhere, NULL},
	{"abstract", abstract_connect, NULL},
	{"UDP", udp, NULL},
	{"UDP bind", udp_bind, NULL},
	{"interfaces", interfaces, NULL},
};
enum { ATTEMPTS = sizeof(attempts) / sizeof(attempts[0]), TCP_ATTEMPTS = 20, ABSTRACT = 23 };

/* One letter an attempt, in the order above. */
static char letter(int result)
{
	switch (result) {
	case 0:
		return '.';
	case EACCES:
		return 'A';
	case EPERM:
		return 'P';
	case EOPNOTSUPP:
		return 'O';
	case EPROTONOSUPPORT:
		return 'M';
	case EAFNOSUPPORT:
		return 'F';
	}
	fprintf(stderr, "# %s\n", result >= ATTEMPT_KILLED ? "killed or not confined" : strerror(result));
	return '?';
}

static void nothing_is_refused_bare(void **state)
{
	(void)state;
	for (size_t i = 0; i < ATTEMPTS; i++) {
		int result = attempt_bare(attempts[i].attempt, attempts[i].context);

		/* Fast open may be switched off, and multipath not built in. */
		if (result != 0 && result != EOPNOTSUPP && result != EPROTONOSUPPORT && result != ENOPROTOOPT)
			fail_msg("%s: %s", attempts[i].name, strerror(result));
	}
}

/* ---- policies ---- */

struct row {
	const char *what;
	const char *const *policy;
	const char *answers; /* letters of ABI 3 */
	/* ... of this kernel's own Landlock: '=' where they are the same; or NULL. The filter refuses each connect and
	 * each bind where none is granted, whatever the socket; and a supervisor that is there for bind judges listen. */
	const char *newer;
	bool unscoped; /* ABI 4 and 5 have no wall before abstract names */
};

static const char *answers_of(int abi, const char *const policy[], char letters[static ATTEMPTS + 1])
{
	for (size_t i = 0; i < ATTEMPTS; i++) {
		letters[i] = letter(
			abi == 0 ? attempt_confined(policy, attempts[i].attempt, attempts[i].context)
				 : old_confined(abi, policy, attempts[i].attempt, attempts[i].context));
		accept_all(listener);
		accept_all(path_listener);
		accept_all(abstract_listener);
	}
	letters[ATTEMPTS] = '\0';
	return letters;
}

static int differences(const char *what, const char *got, const char *wanted)
{
	int wrong = 0;

	for (size_t i = 0; i < ATTEMPTS; i++) {
		if (got[i] == wanted[i])
			continue;
		fprintf(stderr, "# %s, %s: %c, not %c\n", what, attempts[i].name, got[i], wanted[i]);
		wrong++;
	}
	if (wrong > 0)
		fprintf(stderr, "# %s: %s\n", what, got);
	return wrong;
}

/* Where `newer` has a letter, it stands. */
static const char *answers_newer(const struct row *row, char wanted[static ATTEMPTS + 1])
{
	strcpy(wanted, row->answers);
	for (size_t i = 0; row->newer != NULL && i < ATTEMPTS; i++)
		if (row->newer[i] != '=')
			wanted[i] = row->newer[i];
	return wanted;
}

static void the_same_policy_gives_the_same_answers(void **state)
{
	const char *place = directory;
	char port[32], address[32], bind[32], range[32], next[32], without[32], proxy[32];
#define HERE "fs-write", place
	const struct row rows[] = {
		{"nothing", POLICY(HERE), "AAAAAAAAAOMAAAAAAAAAAAAAPPF", "=======..=================="},
		{"a port", POLICY(HERE, "net-allow", port), ".....A...OMAAAAAAAAAAAAAPPF", NULL},
		{"an address", POLICY(HERE, "net-allow", address), ".A.A.A...OMAAAAAAAAAAAAAPPF", NULL},
		{"all", POLICY(HERE, "net-allow", "tcp://*"), "..........MAAAAAAAAAAAAAPPF", NULL},
		{"all but", POLICY(HERE, "net-allow", "tcp://*", "net-deny", "tcp://127.0.0.2"),
	         ".A.......OMAAAAAAAAAAAAAPPF", NULL},
		{"a bind", POLICY(HERE, "net-allow-bind", bind), "AAAAAAAAAOMA.AAAA..AAAAAPPF",
	         "=======..==========.======="},
		{"a range", POLICY(HERE, "net-allow-bind", range), "AAAAAAAAAOMA..A.A..AAAAAPPF",
	         "=======..==========.======="},
		{"port 0", POLICY(HERE, "net-allow-bind", "tcp://0"), "AAAAAAAAAOMAAAAA.AA.AAAAPPF",
	         "=======..=================="},
		{"every bind", POLICY(HERE, "net-allow-bind", "tcp://*"), "AAAAAAAAAOMA........AAAAPPF",
	         "=======..=================="},
		{"every bind but", POLICY(HERE, "net-allow-bind", "tcp://*", "net-deny-bind", without),
	         "AAAAAAAAAOMAA....AA.AAAAPPF", "=======..=================="},
		{"both", POLICY(HERE, "net-allow", port, "net-allow-bind", next),
	         ".....A...OM.A.A.AAAAAAAAPPF", "===================.======="},
		{"every unix", POLICY(HERE, "net-allow-unix", "*"), "AAAAAAA..OMAAAAAAAAA..APPPF",
	         "===================.=======", true},
		{"every unix and TCP",
	         POLICY(HERE, "net-allow-unix", "*", "net-allow", "tcp://*", "net-allow-bind", "tcp://*"),
	         "..........M...........A.PPF", "=======================P===", true},
		{"a unix path", POLICY(HERE, "net-allow-unix", path), "AAAAAAA..OMAAAAAAAAA..APPPF", NULL},
		{"a proxy", POLICY(HERE, "net-proxy-only", proxy), ".....A...OMAAAAAAAAAAAAAPPF", NULL},
		{"UDP", POLICY(HERE, "net-allow", "udp://*"), "AAAAAAA..OMAAAAAAAAAAAAA.AF", NULL},
		{"UDP and its binds", POLICY(HERE, "net-allow", "udp://*", "net-allow-bind", "udp://*"),
	         "AAAAAAA..OMAAAAAAAAAAAAA..F", NULL},
		{"interfaces", POLICY(HERE, "net-interfaces", "yes"), "AAAAAAAAAOMAAAAAAAAAAAAAPP.",
	         "=======..=================="},
	};
	char got[ATTEMPTS + 1], wanted[ATTEMPTS + 1];
	int wrong = 0;

	(void)state;
	/* Longer-lived than what text_of() gives. */
	snprintf(port, sizeof(port), "tcp://:%u", served);
	snprintf(address, sizeof(address), "tcp://127.0.0.1:%u", served);
	snprintf(bind, sizeof(bind), "tcp://%u", free_port);
	snprintf(range, sizeof(range), "tcp://%u-%u", free_port, free_port + 2);
	snprintf(next, sizeof(next), "tcp://%u", free_port + 1);
	snprintf(without, sizeof(without), "%u", free_port);
	snprintf(proxy, sizeof(proxy), "%u", served);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int middle = 4 + (int)i % 2;

		wrong += differences(text_of("ABI 3, %s", rows[i].what), answers_of(3, rows[i].policy, got),
		                     rows[i].answers);
		wrong += differences(text_of("this kernel, %s", rows[i].what),
		                     answers_of(0, rows[i].policy, got), answers_newer(&rows[i], wanted));
		if (rows[i].unscoped)
			wanted[ABSTRACT] = '.';
		wrong += differences(text_of("ABI %d, %s", middle, rows[i].what),
		                     answers_of(middle, rows[i].policy, got), wanted);
	}
	assert_int_equal(wrong, 0);
}

/* With a judge that says yes to all, all of it succeeds: nobody else has refused it. */
static void nobody_but_the_supervisor_refuses_TCP(void **state)
{
	const char *const *policy = POLICY("net-allow", "tcp://192.0.2.1:1", "net-allow-bind", "tcp://1");

	(void)state;
	for (size_t i = 0; i < TCP_ATTEMPTS; i++) {
		int refused = old_confined(3, policy, attempts[i].attempt, attempts[i].context);
		int allowed;

		if (attempts[i].attempt == fast_open || attempts[i].attempt == multipath)
			continue;
		judge_says_yes = true;
		allowed = old_confined(3, policy, attempts[i].attempt, attempts[i].context);
		judge_says_yes = false;
		accept_all(listener);
		if (allowed != 0)
			fail_msg("%s: %s with a judge that says yes", attempts[i].name, strerror(allowed));
		if (refused != EACCES && attempts[i].attempt != disconnect &&
		    attempts[i].attempt != short_address)
			fail_msg("%s: %d", attempts[i].name, refused);
	}
}

/* Not without being named: the same policies, and no degrade. */
static void an_older_landlock_is_refused_unless_degraded(void **state)
{
	static const char *const lacks[] = {"ioctl", "scopes", "scopes,ioctl"};

	(void)state;
	for (int abi = 2; abi <= 5; abi++) {
		believed_abi = abi;
		assert_int_equal(attempt_confined(POLICY(), connect_v4, "127.0.0.1"), ATTEMPT_UNCONFINED);
		for (int i = 0; i < 3; i++) {
			int wanted =
				abi >= 3 && (i == 2 || (i == 1 && abi == 5)) ? EACCES : ATTEMPT_UNCONFINED;

			assert_int_equal(
				attempt_confined(POLICY("degrade", lacks[i]), connect_v4, "127.0.0.1"),
				wanted);
		}
		believed_abi = 0;
	}
}

/* ---- what is lost, and what is not ---- */

static int signal_parent(void *context)
{
	(void)context;
	return kill(getppid(), 0) < 0 ? errno : 0;
}

static int abstract_send(void *context)
{
	struct sockaddr_un address;
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t size = abstract_address(abstract_name, &address);

	(void)context;
	if (fd < 0)
		return errno;
	return done(fd, (int)sendto(fd, "x", 1, MSG_DONTWAIT, (struct sockaddr *)&address, size));
}

static int device_ioctl(void *context)
{
	int fd = open(context, O_RDONLY | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return errno;
	return done(fd, ioctl(fd, TIOCGWINSZ, &(struct winsize){0}));
}

static void degraded_is_what_was_named_and_no_more(void **state)
{
	(void)state;
	for (int abi = 3; abi <= 5; abi++) {
		/* scopes */
		assert_int_equal(old_confined(abi, POLICY(), signal_parent, NULL), 0);
		assert_int_equal(old_confined(abi, POLICY(), abstract_connect, NULL), EACCES);
		assert_int_equal(
			old_confined(abi, POLICY("net-allow-unix", "@other"), abstract_connect, NULL), EPERM);
		assert_int_equal(
			old_confined(abi, POLICY("net-allow-unix", "dgram:@other"), abstract_send, NULL),
			EPERM);
		assert_int_equal(
			old_confined(abi,
		                     POLICY("net-allow-unix", text_of("@%s-%d", abstract_name, getpid())),
		                     abstract_connect, NULL),
			0);
	}
	assert_int_equal(attempt_bare(signal_parent, NULL), 0);
	assert_int_equal(attempt_bare(abstract_send, NULL), 0);
	assert_int_equal(attempt_confined(POLICY(), signal_parent, NULL), EPERM);
}

static void an_ioctl_of_a_device_is_judged_from_abi_5_on(void **state)
{
	const char *const *readable = POLICY("fs-read", "/dev");

	(void)state;
	if (attempt_bare(device_ioctl, "/dev/ptmx") != 0)
		SKIP_BECAUSE("/dev/ptmx cannot be opened here");
	assert_int_equal(attempt_confined(readable, device_ioctl, "/dev/ptmx"), EACCES);
	assert_int_equal(old_confined(5, readable, device_ioctl, "/dev/ptmx"), EACCES);
	assert_int_equal(old_confined(4, readable, device_ioctl, "/dev/ptmx"), 0);
	assert_int_equal(old_confined(3, readable, device_ioctl, "/dev/ptmx"), 0);
	/* What is not granted cannot be opened at all. */
	assert_int_equal(old_confined(3, POLICY("fs-read", "/usr"), device_ioctl, "/dev/ptmx"), EACCES);
}

static void loopback_open(void)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6};
	socklen_t size = sizeof(any);
	int zero = 0, one = 1;

	listener = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&any, size) < 0 || listen(listener, 128) < 0 ||
	    getsockname(listener, (struct sockaddr *)&any, &size) < 0)
		fail_msg("listener: %s", strerror(errno));
	served = ntohs(any.sin6_port);
}

static int unix_listener(int type, const struct sockaddr_un *address, socklen_t size)
{
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (const struct sockaddr *)address, size) < 0 ||
	    (type == SOCK_STREAM && listen(fd, 128) < 0))
		fail_msg("unix listener: %s", strerror(errno));
	return fd;
}

/* Below the ephemeral ports, where the kernel gives none away. */
static void ports_find(void)
{
	for (int i = 0; i < 200; i++) {
		bool free = true;

		free_port = (uint16_t)(20000 + (getpid() * 8 + i * 8) % 8000);
		for (int offset = 0; free && offset < 5; offset++)
			free = bind_offset(&offset) == 0 && bind_v6(&offset) == 0;
		if (free)
			return;
	}
	fail_msg("no free ports");
}

static int group_open(void **state)
{
	struct sockaddr_un address;
	socklen_t size;

	(void)state;
	snprintf(directory, sizeof(directory), "%.60s/writable", scratch());
	mkdir(directory, 0755);
	snprintf(path, sizeof(path), "%.60s/served", scratch());
	snprintf(path_bindable, sizeof(path_bindable), "%s/bound", directory);
	snprintf(path_unbindable, sizeof(path_unbindable), "%.60s/bound", scratch());
	unlink(path);
	address = unix_address(path);
	path_listener = unix_listener(SOCK_STREAM, &address, sizeof(address));
	address = (struct sockaddr_un){.sun_family = AF_UNIX};
	size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
	                   (size_t)snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "%s-%d",
	                                    abstract_name, getpid()));
	abstract_listener = unix_listener(SOCK_STREAM, &address, size);
	unix_listener(SOCK_DGRAM, &address, size); /* stays */
	loopback_open();
	ports_find();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_refused_bare),
		cmocka_unit_test(the_same_policy_gives_the_same_answers),
		cmocka_unit_test(nobody_but_the_supervisor_refuses_TCP),
		cmocka_unit_test(an_older_landlock_is_refused_unless_degraded),
		cmocka_unit_test(degraded_is_what_was_named_and_no_more),
		cmocka_unit_test(an_ioctl_of_a_device_is_judged_from_abi_5_on),
	};

	return cmocka_run_group_tests_name("old landlock", tests, group_open, NULL);
}
