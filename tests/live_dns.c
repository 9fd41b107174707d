/* The policy DNS against a real server whose answers change, and against one that the test plays itself. The server
 * under test runs in a child; what it pins is in memory that the test can see. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/fd.h"
#include "supervise/dns.h"
#include "tests/common/common.h"

enum { WAIT_MS = 10000, LOOKS = 500, LOOK_MS = 20 };

struct world {
	struct dns dns;
	struct net_pins pins;
};

struct served {
	struct world *world;
	struct net_table *table;
	struct net_need need;
	pid_t child;
};

static int64_t now_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

static void look_pause(void)
{
	nanosleep(&(struct timespec){.tv_nsec = LOOK_MS * 1000000l}, NULL);
}

/* Asking. */

static struct net_addr address(const char *text)
{
	struct net_addr addr = {.family = strchr(text, ':') ? AF_INET6 : AF_INET};

	assert_int_equal(inet_pton(addr.family, text, addr.bytes), 1);
	return addr;
}

static struct net_endpoint endpoint(const char *text, uint16_t port)
{
	return (struct net_endpoint){.addr = address(text), .port = port};
}

static int socket_to(const struct net_endpoint *server)
{
	int fd = dns_socket_open(server);

	assert_true(fd >= 0);
	return fd;
}

static size_t message_await(int fd, uint8_t message[static DNS_MESSAGE_MAX])
{
	struct pollfd poller = {.fd = fd, .events = POLLIN};
	ssize_t got;

	assert_int_equal(poll(&poller, 1, WAIT_MS), 1);
	got = recv(fd, message, DNS_MESSAGE_MAX, 0);
	assert_true(got >= 0);
	return (size_t)got;
}

static void ask_server(const struct net_endpoint *server, const char *name, unsigned type,
                       struct dns_reply *reply)
{
	cleanup_fd int fd = socket_to(server);
	uint8_t random[DNS_RANDOM] = {0x12, 0x34, 0xaa, 0xaa}, ask[DNS_ASK_MAX], message[DNS_MESSAGE_MAX];
	int size = dns_ask_write(name, (enum dns_type)type, true, random, ask);

	assert_true(size > 0);
	assert_int_equal(send(fd, ask, (size_t)size, 0), size);
	assert_int_equal(dns_reply_read(message, message_await(fd, message), ask, (size_t)size, reply), 0);
}

static void ask(const struct served *served, const char *name, unsigned type, struct dns_reply *reply)
{
	ask_server(&served->world->dns.doors[DNS_DOOR_V4].endpoint, name, type, reply);
}

static bool reply_has(const struct dns_reply *reply, const char *text)
{
	struct net_addr addr = address(text);

	for (size_t i = 0; i < reply->count; i++)
		if (memcmp(&reply->addrs[i], &addr, sizeof(addr)) == 0)
			return true;
	return false;
}

static void assert_code(const struct served *served, const char *name, unsigned type, enum dns_code code)
{
	struct dns_reply reply;

	ask(served, name, type, &reply);
	if (reply.code != code || reply.count != 0)
		fail_msg("%s, type %u: code %d with %zu addresses", name, type, reply.code, reply.count);
}

static void assert_addresses(const struct served *served, const char *name, size_t count,
                             const char *const *texts)
{
	struct dns_reply reply;

	ask(served, name, strchr(texts[0], ':') ? DNS_AAAA : DNS_A, &reply);
	assert_int_equal(reply.code, DNS_NOERROR);
	if (reply.count != count)
		fail_msg("%s has %zu addresses, not %zu", name, reply.count, count);
	for (size_t i = 0; i < count; i++)
		if (!reply_has(&reply, texts[i]))
			fail_msg("%s lacks %s", name, texts[i]);
}
#define ADDRESSES(...) \
	sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), ((const char *const[]){__VA_ARGS__})

static bool may_reach(const struct served *served, const char *text, uint16_t port)
{
	struct net_endpoint to = endpoint(text, port);

	return net_decide(served->table, &served->world->pins, now_seconds(), NET_TCP, &to);
}

/* Serving. */

static struct dns_servers resolver_servers;

static int resolve_there(const void *context, const char *name, struct net_addr *addrs, size_t room,
                         sl_error *error)
{
	(void)context;
	return dns_resolve(&resolver_servers, name, addrs, room, error);
}

struct rules {
	struct text_list allow;
	bool public_only, refresh;
};
#define RULES(...)                                                                                         \
	{                                                                                                  \
		(const char *const[]){__VA_ARGS__}, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *) \
	}

static int table_build(struct served *served, const struct rules *rules, const struct dns_servers *servers,
                       sl_error *error)
{
	struct net_rules all = {
		.allow = rules->allow,
		.public_only = rules->public_only,
		.refresh = rules->refresh,
		.resolve = resolve_there,
	};

	resolver_servers = *servers;
	return net_table_build(&all, &served->table, &served->need, error);
}

static void child_serve(struct world *world)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_NOENV | EVBACKEND_EPOLL);

	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	dns_watch(&world->dns, loop, -1);
	ev_run(loop, 0);
	_exit(1);
}

static struct served serve(const struct rules *rules, const struct dns_servers *servers)
{
	struct served served = {.table = NULL};
	sl_error error = {0};

	if (table_build(&served, rules, servers, &error) < 0)
		fail_msg("%s", error.message);
	served.world =
		mmap(NULL, sizeof(*served.world), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(served.world, MAP_FAILED);
	assert_int_equal(dns_open(&served.world->dns, served.table, &served.world->pins, servers), 0);
	if ((served.child = process_fork()) == 0)
		child_serve(served.world);
	return served;
}

static void served_end(struct served *served)
{
	struct dns *dns = &served->world->dns;

	/* Alive to the end. */
	assert_int_equal(waitpid(served->child, NULL, WNOHANG), 0);
	process_kill(served->child, SIGKILL);
	waitpid(served->child, NULL, 0);
	for (size_t i = 0; i < DNS_DOORS; i++)
		fd_close(&dns->doors[i].fd);
	for (size_t i = 0; i < dns->servers.count * DNS_SOCKETS_PER_SERVER; i++)
		fd_close(&dns->sockets[i].fd);
	munmap(served->world, sizeof(*served->world));
	net_table_free(served->table);
	net_need_clear(&served->need);
}

/* A real server. */

static struct {
	pid_t process;
	char hosts[256];
	struct dns_servers servers;
} real;

/* Lines of a hosts file; they are there when the last name has its address. */
static void real_hosts(const char *lines, const char *name, const char *text)
{
	FILE *file = fopen(real.hosts, "w");

	assert_non_null(file);
	fputs(lines, file);
	fclose(file);
	if (real.process == 0)
		return;
	process_kill(real.process, SIGHUP);
	for (int i = 0; i < LOOKS; i++) {
		struct net_addr addrs[NET_NAME_ADDRS_MAX], wanted = address(text);
		int count = dns_resolve(&real.servers, name, addrs, NET_NAME_ADDRS_MAX, NULL);

		for (int k = 0; k < count; k++)
			if (memcmp(&addrs[k], &wanted, sizeof(wanted)) == 0)
				return;
		look_pause();
	}
	fail_msg("the server does not say that %s has %s", name, text);
}

static void real_exec(void)
{
	int null = open("/dev/null", O_RDWR);

	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	dup2(null, 1);
	dup2(null, 2);
	execlp("dnsmasq", "dnsmasq", "-d", "-C", "/dev/null", "-p",
	       text_of("%u", real.servers.servers[0].port), "--listen-address=127.0.0.1", "--local=/test/",
	       "--bind-interfaces", "--no-resolv", "--no-hosts", "--local-ttl=300",
	       text_of("--addn-hosts=%s", real.hosts), "--cname=alias.open.test,two.open.test",
	       "--txt-record=one.open.test,secret", NULL);
	_exit(127);
}

/* The status it ended with, or 0: it answers. */
static int real_attempt(void)
{
	int status;

	real.servers = (struct dns_servers){.servers = {endpoint("127.0.0.1", port_free())}, .count = 1};
	if ((real.process = process_fork()) == 0)
		real_exec();
	for (int i = 0; i < LOOKS; i++) {
		struct net_addr addr;
		/* Another's server may answer at that port. */
		bool answered = dns_resolve(&real.servers, "ready.test", &addr, 1, NULL) > 0;

		if (waitpid(real.process, &status, WNOHANG) != 0) {
			real.process = 0;
			return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
		}
		if (answered)
			return 0;
		look_pause();
	}
	process_kill(real.process, SIGKILL);
	waitpid(real.process, &status, 0);
	real.process = 0;
	return -1;
}

/* Skips, where there is no such program. Its port may be another's by the time that it asks for it: then it takes one more,
 * dnsmasq(8), EXIT CODES. */
static bool real_start(void)
{
	enum { NETWORK_TROUBLE = 2 };
	int status = 0;

	if (real.process > 0)
		return true;
	snprintf(real.hosts, sizeof(real.hosts), "%s/hosts", scratch());
	real_hosts("192.0.2.1 ready.test\n", NULL, NULL);
	for (int attempt = 0; attempt < 5; attempt++)
		if ((status = real_attempt()) != NETWORK_TROUBLE)
			break;
	return status == 0;
}
#define NEEDS_REAL_SERVER()                                        \
	do {                                                       \
		if (!real_start())                                 \
			SKIP_BECAUSE("dnsmasq cannot be started"); \
	} while (0)

static int real_stop(void **state)
{
	(void)state;
	if (real.process > 0) {
		process_kill(real.process, SIGKILL);
		waitpid(real.process, NULL, 0);
	}
	return 0;
}

static void the_resolver_asks_the_given_server(void **state)
{
	struct net_addr addrs[8], wanted = address("192.0.2.9"), second = address("2001:db8::9");
	struct dns_servers two;
	sl_error error = {0};

	(void)state;
	NEEDS_REAL_SERVER();
	real_hosts("192.0.2.9 two.open.test\n2001:db8::9 two.open.test\n", "two.open.test", "192.0.2.9");
	assert_int_equal(dns_resolve(&real.servers, "two.open.test", addrs, 8, &error), 2);
	assert_memory_equal(&addrs[0], &wanted, sizeof(wanted));
	assert_memory_equal(&addrs[1], &second, sizeof(second));
	assert_int_equal(dns_resolve(&real.servers, "alias.open.test", addrs, 8, &error), 2);
	assert_memory_equal(&addrs[0], &wanted, sizeof(wanted));
	assert_int_equal(dns_resolve(&real.servers, "two.open.test", addrs, 1, &error), 1);
	/* The first server is not there. */
	two = (struct dns_servers){.servers = {endpoint("127.0.0.1", port_free()), real.servers.servers[0]},
	                           .count = 2};
	assert_int_equal(dns_resolve(&two, "two.open.test", addrs, 8, &error), 2);
	two.count = 1;
	assert_int_equal(dns_resolve(&two, "two.open.test", addrs, 8, &error), -ECONNREFUSED);
	assert_non_null(strstr(error.message, "two.open.test"));
}

static void pinned_names_keep_their_addresses(void **state)
{
	const struct rules rules = {.allow = RULES("pinned.test:443")};
	struct served served;

	(void)state;
	NEEDS_REAL_SERVER();
	real_hosts("192.0.2.1 pinned.test\n192.0.2.2 pinned.test\n2001:db8::1 pinned.test\n", "pinned.test",
	           "192.0.2.1");
	served = serve(&rules, &real.servers);
	assert_addresses(&served, "pinned.test", ADDRESSES("192.0.2.1", "192.0.2.2"));
	assert_addresses(&served, "PINNED.Test", ADDRESSES("2001:db8::1"));
	real_hosts("198.51.100.66 pinned.test\n", "pinned.test", "198.51.100.66");
	assert_addresses(&served, "pinned.test", ADDRESSES("192.0.2.1", "192.0.2.2"));
	assert_true(may_reach(&served, "192.0.2.1", 443));
	assert_false(may_reach(&served, "192.0.2.1", 80));
	assert_false(may_reach(&served, "198.51.100.66", 443));
	served_end(&served);
}

static void a_family_without_addresses_is_empty(void **state)
{
	const struct rules rules = {.allow = RULES("pinned.test:443")};
	struct served served;

	(void)state;
	NEEDS_REAL_SERVER();
	real_hosts("192.0.2.3 pinned.test\n", "pinned.test", "192.0.2.3");
	served = serve(&rules, &real.servers);
	assert_addresses(&served, "pinned.test", ADDRESSES("192.0.2.3"));
	assert_code(&served, "pinned.test", DNS_AAAA, DNS_NOERROR);
	assert_code(&served, "pinned.test", 15, DNS_NOERROR);
	served_end(&served);
}

static void open_names_are_pinned_as_they_are_asked_for(void **state)
{
	const struct rules rules = {.allow = RULES("*.open.test:443")};
	struct served served;

	(void)state;
	NEEDS_REAL_SERVER();
	real_hosts("192.0.2.10 one.open.test\n192.0.2.11 one.open.test\n2001:db8::2 one.open.test\n",
	           "one.open.test", "192.0.2.10");
	served = serve(&rules, &real.servers);
	assert_false(may_reach(&served, "192.0.2.10", 443));
	assert_addresses(&served, "one.open.test", ADDRESSES("192.0.2.10", "192.0.2.11"));
	assert_true(may_reach(&served, "192.0.2.10", 443));
	assert_true(may_reach(&served, "192.0.2.11", 443));
	assert_false(may_reach(&served, "192.0.2.10", 80));
	assert_false(may_reach(&served, "2001:db8::2", 443));
	assert_addresses(&served, "one.open.test", ADDRESSES("2001:db8::2"));
	assert_true(may_reach(&served, "2001:db8::2", 443));

	/* What was answered stays good for as long as the answer said. */
	real_hosts("192.0.2.20 one.open.test\n", "one.open.test", "192.0.2.20");
	assert_false(may_reach(&served, "192.0.2.20", 443));
	assert_addresses(&served, "one.open.test", ADDRESSES("192.0.2.20"));
	assert_true(may_reach(&served, "192.0.2.20", 443));
	assert_true(may_reach(&served, "192.0.2.10", 443));
	served_end(&served);
}

static void an_alias_is_answered_under_the_name_that_was_asked(void **state)
{
	const struct rules rules = {.allow = RULES("*.open.test:443")};
	struct served served;
	struct dns_reply reply;

	(void)state;
	NEEDS_REAL_SERVER();
	real_hosts("192.0.2.12 two.open.test\n", "two.open.test", "192.0.2.12");
	served = serve(&rules, &real.servers);
	assert_addresses(&served, "alias.open.test", ADDRESSES("192.0.2.12"));
	ask(&served, "alias.open.test", DNS_CNAME, &reply);
	assert_int_equal(reply.code, DNS_NOERROR);
	assert_int_equal(reply.count, 0);
	served_end(&served);
}

static void times_to_live_are_bounded(void **state)
{
	const struct rules rules = {.allow = RULES("*.open.test:443", "pinned.test")};
	struct served served;
	struct dns_reply reply;

	(void)state;
	NEEDS_REAL_SERVER();
	real_hosts("192.0.2.12 two.open.test\n192.0.2.1 pinned.test\n", "two.open.test", "192.0.2.12");
	served = serve(&rules, &real.servers);
	ask(&served, "two.open.test", DNS_A, &reply);
	assert_int_equal(reply.ttl, 300);
	ask(&served, "pinned.test", DNS_A, &reply);
	assert_int_equal(reply.ttl, DNS_TTL_PINNED);
	served_end(&served);
}

static void only_names_of_rules_are_answered(void **state)
{
	const struct rules rules = {.allow = RULES("*.open.test:443", "pinned.test")};
	struct served served;

	(void)state;
	NEEDS_REAL_SERVER();
	real_hosts(
		"192.0.2.1 pinned.test other.test open.test sub.pinned.test xopen.test\n192.0.2.2 one.open.test\n",
		"pinned.test", "192.0.2.1");
	served = serve(&rules, &real.servers);
	assert_addresses(&served, "one.open.test", ADDRESSES("192.0.2.2"));
	assert_addresses(&served, "pinned.test", ADDRESSES("192.0.2.1"));
	assert_code(&served, "other.test", DNS_A, DNS_NXDOMAIN);
	assert_code(&served, "open.test", DNS_A, DNS_NXDOMAIN);
	assert_code(&served, "xopen.test", DNS_A, DNS_NXDOMAIN);
	assert_code(&served, "sub.pinned.test", DNS_A, DNS_NXDOMAIN);
	/* As a resolver asks that has a search list. */
	assert_code(&served, "pinned.test.corp.example", DNS_A, DNS_NXDOMAIN);
	assert_code(&served, "nosuch.open.test", DNS_A, DNS_NXDOMAIN);
	served_end(&served);
}

static const char refused_hosts[] =
	"10.1.2.3 private10.open.test\n172.16.0.1 private172.open.test\n"
	"192.168.1.1 private192.open.test\n127.0.0.1 loop4.open.test\n"
	"::1 loop6.open.test\nfd00::1 private6.open.test\n"
	"169.254.169.254 metadata4.open.test\nfd00:ec2::254 metadata6.open.test\n"
	"169.254.1.1 link4.open.test\nfe80::1 link6.open.test\n"
	"0.0.0.0 zero.open.test\n0.1.2.3 zero8.open.test\n224.0.0.1 multicast4.open.test\n"
	"ff02::1 multicast6.open.test\n192.0.2.7 mixed.open.test\n10.9.9.9 mixed.open.test\n"
	"192.0.2.8 last.open.test\n";

struct kept_row {
	const char *name, *text;
	bool by_rule; /* a rule that names its range lets it in */
};
static const struct kept_row kept_rows[] = {
	{"private10.open.test", "10.1.2.3", true},
	{"private172.open.test", "172.16.0.1", true},
	{"private192.open.test", "192.168.1.1", true},
	{"loop4.open.test", "127.0.0.1", true},
	{"loop6.open.test", "::1", true},
	{"private6.open.test", "fd00::1", true},
	{"metadata4.open.test", "169.254.169.254", false},
	{"metadata6.open.test", "fd00:ec2::254", false},
	{"link4.open.test", "169.254.1.1", false},
	{"link6.open.test", "fe80::1", false},
	{"zero8.open.test", "0.1.2.3", false},
	{"multicast4.open.test", "224.0.0.1", false},
	{"multicast6.open.test", "ff02::1", false},
};

/* Port 9 is what the range's rule grants, 443 what the name's does. */
static void kept_check(const struct rules *rules, bool ranges_named)
{
	struct served served = serve(rules, &real.servers);

	for (size_t i = 0; i < sizeof(kept_rows) / sizeof(kept_rows[0]); i++) {
		const struct kept_row *row = &kept_rows[i];
		unsigned type = strchr(row->text, ':') ? DNS_AAAA : DNS_A;
		bool wanted = row->by_rule && ranges_named;
		struct dns_reply there, reply;

		/* The control: this is what the server says. */
		ask_server(&real.servers.servers[0], row->name, type, &there);
		assert_true(reply_has(&there, row->text));
		ask(&served, row->name, type, &reply);
		assert_int_equal(reply.code, DNS_NOERROR);
		if (reply.count != wanted)
			fail_msg("%s: %zu addresses", row->name, reply.count);
		/* The name's port stays shut: what may be reached inside is for the rule that names the range. */
		if (may_reach(&served, row->text, 443) || (wanted && !may_reach(&served, row->text, 9)))
			fail_msg("%s: %s", row->name, wanted ? "refused, or let in" : "let in");
	}
	served_end(&served);
}

static void answers_inside_are_refused(void **state)
{
	const struct rules rules = {.allow = RULES("*.open.test:443")};
	struct served served;

	(void)state;
	NEEDS_REAL_SERVER();
	real_hosts(refused_hosts, "last.open.test", "192.0.2.8");
	kept_check(&rules, false);
	/* One address that may not be does not take the other one away. */
	served = serve(&rules, &real.servers);
	assert_addresses(&served, "mixed.open.test", ADDRESSES("192.0.2.7"));
	assert_false(may_reach(&served, "10.9.9.9", 443));
	served_end(&served);
}

#define RANGES                                                                                     \
	"*.open.test:443", "10.0.0.0/8:9", "172.16.0.0/12:9", "192.168.0.0/16:9", "127.0.0.0/8:9", \
		"[::1]:9", "[fd00::/8]:9", "169.254.0.0/16:9", "0.0.0.0/8:9", "224.0.0.0/4:9",     \
		"[ff00::/8]:9"

static void answers_inside_need_a_rule_that_names_their_range(void **state)
{
	const struct rules rules = {.allow = RULES(RANGES)};

	(void)state;
	NEEDS_REAL_SERVER();
	real_hosts(refused_hosts, "last.open.test", "192.0.2.8");
	kept_check(&rules, true);
}

/* With net-refresh the name is asked for again: its own address of the start is answered, a new one inside is not. */
static void an_address_inside_of_the_start_is_answered_again(void **state)
{
	const struct rules rules = {.allow = RULES("inside.open.test:443"), .refresh = true};
	struct served served;

	(void)state;
	NEEDS_REAL_SERVER();
	real_hosts("10.1.2.3 inside.open.test\n192.0.2.8 last.open.test\n", "last.open.test", "192.0.2.8");
	served = serve(&rules, &real.servers);
	assert_addresses(&served, "inside.open.test", ADDRESSES("10.1.2.3"));
	assert_true(may_reach(&served, "10.1.2.3", 443));
	real_hosts("10.1.2.3 inside.open.test\n10.1.2.4 inside.open.test\n192.0.2.9 last.open.test\n",
	           "last.open.test", "192.0.2.9");
	assert_addresses(&served, "inside.open.test", ADDRESSES("10.1.2.3"));
	assert_false(may_reach(&served, "10.1.2.4", 443));
	served_end(&served);
}

static void public_only_refuses_them_all(void **state)
{
	const struct rules rules = {.allow = RULES(RANGES), .public_only = true};

	(void)state;
	NEEDS_REAL_SERVER();
	real_hosts(refused_hosts, "last.open.test", "192.0.2.8");
	kept_check(&rules, false);
}

static void what_no_name_may_have_is_an_error_at_start(void **state)
{
	static const struct {
		const char *text;
		bool with_public_only, always;
	} rows[] = {
		{"10.0.0.1", true, false},   {"127.0.0.1", true, false}, {"169.254.169.254", true, true},
		{"169.254.1.1", true, true}, {"0.0.0.1", true, true},    {"224.0.0.1", true, true},
		{"192.0.2.1", false, false},
	};

	(void)state;
	NEEDS_REAL_SERVER();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		real_hosts(text_of("%s pinned.test\n", rows[i].text), "pinned.test", rows[i].text);
		for (int public_only = 0; public_only < 2; public_only++) {
			const struct rules rules = {.allow = RULES("pinned.test"),
			                            .public_only = public_only};
			bool refused = public_only ? rows[i].with_public_only : rows[i].always;
			struct served served = {.table = NULL};
			sl_error error = {0};
			int r = table_build(&served, &rules, &real.servers, &error);

			if ((r < 0) != refused)
				fail_msg("%s: %d %s", rows[i].text, r, error.message);
			assert_true(r == 0 || strstr(error.message, "pinned.test") != NULL);
			net_table_free(served.table);
			net_need_clear(&served.need);
		}
	}
}

static void many_addresses_fit_or_are_cut(void **state)
{
	const struct rules rules = {.allow = RULES("*.open.test:443")};
	char lines[4096] = "";
	struct served served;
	struct dns_reply reply;

	(void)state;
	NEEDS_REAL_SERVER();
	for (int i = 1; i <= 60; i++)
		snprintf(lines + strlen(lines), sizeof(lines) - strlen(lines),
		         "198.51.100.%d one.open.test\n", i);
	real_hosts(lines, "one.open.test", "198.51.100.60");
	served = serve(&rules, &real.servers);
	ask(&served, "one.open.test", DNS_A, &reply);
	assert_int_equal(reply.code, DNS_NOERROR);
	assert_false(reply.truncated);
	assert_int_equal(reply.count, 60);
	served_end(&served);
}

/* A server that the test plays. */

struct played {
	int fd;
	struct net_endpoint endpoint;
	uint8_t bytes[DNS_MESSAGE_MAX];
	size_t size;
	struct sockaddr_storage from;
	socklen_t from_size;
};

static struct played played_open(void)
{
	struct played played = {.endpoint = endpoint("127.0.0.1", port_free())};
	struct sockaddr_storage at;
	socklen_t size = net_endpoint_write(&played.endpoint, AF_INET, &at);

	played.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_true(played.fd >= 0);
	assert_int_equal(bind(played.fd, (struct sockaddr *)&at, size), 0);
	return played;
}

static struct dns_servers servers_of(const struct played *a, const struct played *b)
{
	struct dns_servers servers = {.servers = {a->endpoint}, .count = 1};

	if (b != NULL)
		servers.servers[servers.count++] = b->endpoint;
	return servers;
}

static void played_await(struct played *played, struct dns_query *query)
{
	struct pollfd poller = {.fd = played->fd, .events = POLLIN};
	ssize_t got;

	assert_int_equal(poll(&poller, 1, WAIT_MS), 1);
	played->from_size = sizeof(played->from);
	got = recvfrom(played->fd, played->bytes, sizeof(played->bytes), 0, (struct sockaddr *)&played->from,
	               &played->from_size);
	assert_true(got > 0);
	played->size = (size_t)got;
	assert_int_equal(dns_query_read(played->bytes, played->size, query), DNS_NOERROR);
}

static bool played_was_asked(const struct played *played)
{
	struct pollfd poller = {.fd = played->fd, .events = POLLIN};

	return poll(&poller, 1, 0) == 1;
}

/* `change` may be NULL; what it makes of the answer is sent. */
static void played_answer(const struct played *played, const struct dns_query *query, enum dns_code code,
                          const char *text, void (*change)(uint8_t *answer))
{
	struct net_addr addr = text ? address(text) : (struct net_addr){.family = AF_INET};
	uint8_t answer[DNS_MESSAGE_MAX];
	size_t size = dns_answer_write(query, code, &addr, text != NULL, 5, answer);

	if (change != NULL)
		change(answer);
	assert_int_equal(sendto(played->fd, answer, size, 0, (const struct sockaddr *)&played->from,
	                        played->from_size),
	                 (ssize_t)size);
}

/* A client that does not wait. */
static int client_ask(const struct net_endpoint *server, const char *name, unsigned type)
{
	int fd = socket_to(server), size;
	uint8_t random[DNS_RANDOM] = {0x56, 0x78}, message[DNS_ASK_MAX];

	size = dns_ask_write(name, (enum dns_type)type, false, random, message);
	assert_true(size > 0);
	assert_int_equal(send(fd, message, (size_t)size, 0), size);
	return fd;
}

/* Closes the client. */
static enum dns_code client_code(int fd, struct dns_reply *reply, const char *name)
{
	uint8_t random[DNS_RANDOM] = {0x56, 0x78}, message[DNS_ASK_MAX], answer[DNS_MESSAGE_MAX];
	int size = dns_ask_write(name, DNS_A, false, random, message);

	assert_int_equal(dns_reply_read(answer, message_await(fd, answer), message, (size_t)size, reply), 0);
	close(fd);
	return reply->code;
}

static const struct rules open_rules = {.allow = RULES("*.open.test:443")};

static void nothing_else_is_asked_upstream(void **state)
{
	struct played played = played_open();
	struct dns_servers servers = servers_of(&played, NULL);
	struct served served = serve(&open_rules, &servers);
	struct dns_query query;
	int client;

	(void)state;
	assert_code(&served, "other.test", DNS_A, DNS_NXDOMAIN);
	assert_code(&served, "one.open.test", 16, DNS_NOERROR);
	assert_code(&served, "one.open.test", 255, DNS_NOERROR);
	assert_code(&served, "localhost.localdomain", DNS_A, DNS_NXDOMAIN);
	assert_false(played_was_asked(&played));
	/* The control. */
	client = client_ask(&served.world->dns.doors[DNS_DOOR_V4].endpoint, "one.open.test", DNS_A);
	played_await(&played, &query);
	assert_string_equal(query.name, "one.open.test");
	close(client);
	close(played.fd);
	served_end(&served);
}

static void localhost_is_known(void **state)
{
	struct played played = played_open();
	struct dns_servers servers = servers_of(&played, NULL);
	struct served served = serve(&open_rules, &servers);

	(void)state;
	assert_addresses(&served, "localhost", ADDRESSES("127.0.0.1"));
	assert_addresses(&served, "a.b.LOCALHOST", ADDRESSES("127.0.0.1"));
	assert_addresses(&served, "localhost", ADDRESSES("::1"));
	assert_code(&served, "xlocalhost", DNS_A, DNS_NXDOMAIN);
	assert_false(may_reach(&served, "127.0.0.1", 443));
	close(played.fd);
	served_end(&served);
}

static void change_id(uint8_t *answer)
{
	answer[1] ^= 1;
}

static void change_case(uint8_t *answer)
{
	answer[13] ^= 0x20;
}

static void change_name(uint8_t *answer)
{
	answer[13] ^= 1;
}

static void change_to_query(uint8_t *answer)
{
	answer[2] &= 0x7f;
}

static void forged_answers_are_passed_over(void **state)
{
	static void (*const changes[])(uint8_t *) = {change_id, change_case, change_name, change_to_query};
	struct played played = played_open();
	struct dns_servers servers = servers_of(&played, NULL);
	struct served served = serve(&open_rules, &servers);
	struct dns_query query;
	struct dns_reply reply;
	int client;

	(void)state;
	client = client_ask(&served.world->dns.doors[DNS_DOOR_V4].endpoint, "one.open.test", DNS_A);
	played_await(&played, &query);
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
		played_answer(&played, &query, DNS_NOERROR, "198.51.100.66", changes[i]);
	played_answer(&played, &query, DNS_NOERROR, "192.0.2.1", NULL);
	assert_int_equal(client_code(client, &reply, "one.open.test"), DNS_NOERROR);
	assert_int_equal(reply.count, 1);
	assert_true(reply_has(&reply, "192.0.2.1"));
	assert_int_equal(reply.ttl, DNS_TTL_LEAST);
	assert_false(may_reach(&served, "198.51.100.66", 443));
	assert_true(may_reach(&served, "192.0.2.1", 443));
	/* Once answered it is over. */
	played_answer(&played, &query, DNS_NOERROR, "198.51.100.66", NULL);
	client = client_ask(&served.world->dns.doors[DNS_DOOR_V4].endpoint, "localhost", DNS_A);
	assert_int_equal(client_code(client, &reply, "localhost"), DNS_NOERROR);
	assert_false(may_reach(&served, "198.51.100.66", 443));
	close(played.fd);
	served_end(&served);
}

static void questions_cannot_be_guessed(void **state)
{
	enum { COUNT = 4 * DNS_SOCKETS_PER_SERVER };
	struct played played = played_open();
	struct dns_servers servers = servers_of(&played, NULL);
	struct served served = serve(&open_rules, &servers);
	uint8_t last[DNS_MESSAGE_MAX] = {0};
	in_port_t ports[COUNT];
	int ids = 0, cases = 0, distinct = 0;

	(void)state;
	for (int i = 0; i < COUNT; i++) {
		struct dns_query query;
		struct dns_reply reply;
		int client =
			client_ask(&served.world->dns.doors[DNS_DOOR_V4].endpoint, "one.open.test", DNS_A);
		bool seen = false;

		played_await(&played, &query);
		ids += memcmp(last, played.bytes, 2) != 0;
		cases += memcmp(last + 12, played.bytes + 12, 15) != 0;
		ports[i] = ((struct sockaddr_in *)&played.from)->sin_port;
		for (int k = 0; k < i; k++)
			seen |= ports[k] == ports[i];
		distinct += !seen;
		memcpy(last, played.bytes, played.size);
		played_answer(&played, &query, DNS_NOERROR, "192.0.2.1", NULL);
		assert_int_equal(client_code(client, &reply, "one.open.test"), DNS_NOERROR);
	}
	/* One in many runs has two alike; none has as many as this. More ports than sockets: they are renewed. */
	assert_true(ids > COUNT / 2 && cases > COUNT / 2 && distinct > 2 * DNS_SOCKETS_PER_SERVER);
	close(played.fd);
	served_end(&served);
}

static void the_next_server_is_asked(void **state)
{
	struct played first = played_open(), second = played_open();
	struct dns_servers servers = servers_of(&first, &second);
	struct served served = serve(&open_rules, &servers);
	const struct net_endpoint *door = &served.world->dns.doors[DNS_DOOR_V4].endpoint;
	struct dns_query query;
	struct dns_reply reply;
	int client;

	(void)state;
	client = client_ask(door, "one.open.test", DNS_A);
	played_await(&first, &query);
	played_answer(&first, &query, DNS_SERVFAIL, NULL, NULL);
	played_await(&second, &query);
	played_answer(&second, &query, DNS_NOERROR, "192.0.2.1", NULL);
	assert_int_equal(client_code(client, &reply, "one.open.test"), DNS_NOERROR);

	/* Nobody is there. */
	close(first.fd);
	client = client_ask(door, "two.open.test", DNS_A);
	played_await(&second, &query);
	played_answer(&second, &query, DNS_NXDOMAIN, NULL, NULL);
	assert_int_equal(client_code(client, &reply, "two.open.test"), DNS_NXDOMAIN);
	close(second.fd);
	client = client_ask(door, "three.open.test", DNS_A);
	assert_int_equal(client_code(client, &reply, "three.open.test"), DNS_SERVFAIL);
	served_end(&served);
}

static void an_old_server_is_asked_without_edns(void **state)
{
	struct played played = played_open();
	struct dns_servers servers = servers_of(&played, NULL);
	struct served served = serve(&open_rules, &servers);
	struct dns_query query;
	struct dns_reply reply;
	int client;

	(void)state;
	client = client_ask(&served.world->dns.doors[DNS_DOOR_V4].endpoint, "one.open.test", DNS_A);
	played_await(&played, &query);
	assert_true(query.edns);
	played_answer(&played, &query, DNS_FORMERR, NULL, NULL);
	played_await(&played, &query);
	assert_false(query.edns);
	played_answer(&played, &query, DNS_NOERROR, "192.0.2.1", NULL);
	assert_int_equal(client_code(client, &reply, "one.open.test"), DNS_NOERROR);
	close(played.fd);
	served_end(&served);
}

static void silence_ends_in_a_failure(void **state)
{
	struct played played = played_open();
	struct dns_servers servers = servers_of(&played, NULL);
	struct served served = serve(&open_rules, &servers);
	struct dns_query query;
	struct dns_reply reply;
	int client;

	(void)state;
	client = client_ask(&served.world->dns.doors[DNS_DOOR_V4].endpoint, "one.open.test", DNS_A);
	for (int i = 0; i < DNS_TRIES; i++)
		played_await(&played, &query);
	assert_int_equal(client_code(client, &reply, "one.open.test"), DNS_SERVFAIL);
	assert_false(played_was_asked(&played));
	close(played.fd);
	served_end(&served);
}

static bool client_is_answered(int fd)
{
	struct pollfd poller = {.fd = fd, .events = POLLIN};

	return poll(&poller, 1, 0) == 1;
}

/* Until the client is answered: where this machine is slow, some questions come more than once. */
static void played_answer_until(struct played *played, int client)
{
	for (int i = 0; i < 4 * DNS_FLIGHTS_MAX && !client_is_answered(client); i++) {
		struct pollfd pollers[2] = {{.fd = played->fd, .events = POLLIN},
		                            {.fd = client, .events = POLLIN}};
		struct dns_query query;

		assert_true(poll(pollers, 2, WAIT_MS) > 0);
		if (!played_was_asked(played))
			continue;
		played_await(played, &query);
		played_answer(played, &query, DNS_NOERROR, "192.0.2.1", NULL);
	}
}

/* As many as there are places for wait; one more is told so, and others are served. */
static void questions_under_way_are_bounded(void **state)
{
	struct played played = played_open();
	struct dns_servers servers = servers_of(&played, NULL);
	struct served served = serve(&open_rules, &servers);
	const struct net_endpoint *door = &served.world->dns.doors[DNS_DOOR_V4].endpoint;
	int clients[DNS_FLIGHTS_MAX], more;
	struct dns_reply reply;

	(void)state;
	for (int i = 0; i < DNS_FLIGHTS_MAX; i++)
		clients[i] = client_ask(door, "one.open.test", DNS_A);
	more = client_ask(door, "two.open.test", DNS_A);
	assert_int_equal(client_code(more, &reply, "two.open.test"), DNS_SERVFAIL);
	assert_addresses(&served, "localhost", ADDRESSES("127.0.0.1"));
	for (int i = 0; i < DNS_FLIGHTS_MAX; i++) {
		played_answer_until(&played, clients[i]);
		assert_int_equal(client_code(clients[i], &reply, "one.open.test"), DNS_NOERROR);
	}
	more = client_ask(door, "two.open.test", DNS_A);
	played_answer_until(&played, more);
	assert_int_equal(client_code(more, &reply, "two.open.test"), DNS_NOERROR);
	close(played.fd);
	served_end(&served);
}

static void rubbish_does_no_harm(void **state)
{
	struct played played = played_open();
	struct dns_servers servers = servers_of(&played, NULL);
	struct served served = serve(&open_rules, &servers);
	int fd = socket_to(&served.world->dns.doors[DNS_DOOR_V4].endpoint);
	uint8_t bytes[2000];
	struct pollfd poller = {.fd = fd, .events = POLLIN};

	(void)state;
	memset(bytes, 0xff, sizeof(bytes));
	for (size_t size = 0; size < sizeof(bytes); size += size < 64 ? 1 : 97)
		send(fd, bytes, size, 0);
	assert_addresses(&served, "localhost", ADDRESSES("127.0.0.1"));
	assert_int_equal(poll(&poller, 1, 0), 0);
	close(fd);
	close(played.fd);
	served_end(&served);
}

/* What the gate asks. */

static void questions_to_port_53_are_taken(void **state)
{
	const struct rules rules = {.allow = RULES("*.open.test:443", "udp://192.0.2.53:53")};
	struct played played = played_open();
	struct dns_servers servers = servers_of(&played, NULL);
	struct served served = serve(&rules, &servers);
	struct net_endpoint any = endpoint("198.51.100.1", 53), six = endpoint("2001:db8::1", 53);
	struct net_endpoint other = endpoint("198.51.100.1", 54), granted = endpoint("192.0.2.53", 53);

	(void)state;
	assert_true(dns_takes(&served.world->dns, NET_UDP, &any));
	assert_true(dns_takes(&served.world->dns, NET_UDP, &six));
	assert_false(dns_takes(&served.world->dns, NET_TCP, &any));
	assert_false(dns_takes(&served.world->dns, NET_ICMP, &any));
	assert_false(dns_takes(&served.world->dns, NET_UDP, &other));
	assert_false(dns_takes(&served.world->dns, NET_UDP, &granted));
	assert_false(dns_takes(NULL, NET_UDP, &any));
	close(played.fd);
	served_end(&served);
}

/* A client with a socket of its own kind, sent where the gate would send it. */
static void family_check(const struct served *served, int family, bool v6_only, const char *server)
{
	struct net_endpoint asked = endpoint(server, 53);
	struct sockaddr_storage instead;
	socklen_t size = dns_address(&served->world->dns, &asked, family, &instead);
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0), on = v6_only;
	uint8_t random[DNS_RANDOM] = {0x56, 0x78}, message[DNS_ASK_MAX];
	struct dns_reply reply;
	int length = dns_ask_write("localhost", DNS_A, false, random, message);

	assert_true(fd >= 0);
	if (family == AF_INET6)
		assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)), 0);
	assert_int_equal(sendto(fd, message, (size_t)length, 0, (struct sockaddr *)&instead, size), length);
	assert_int_equal(client_code(fd, &reply, "localhost"), DNS_NOERROR);
	assert_int_equal(reply.count, 1);
}

static void every_kind_of_socket_gets_its_answer(void **state)
{
	struct played played = played_open();
	struct dns_servers servers = servers_of(&played, NULL);
	struct served served = serve(&open_rules, &servers);

	(void)state;
	family_check(&served, AF_INET, false, "198.51.100.1");
	family_check(&served, AF_INET6, false, "198.51.100.1");
	if (served.world->dns.doors[DNS_DOOR_V6].fd >= 0) {
		family_check(&served, AF_INET6, false, "2001:db8::1");
		family_check(&served, AF_INET6, true, "2001:db8::1");
	}
	close(played.fd);
	served_end(&served);
}

/* From inside of a confined program. */

static uint16_t web_port;

static int reach_by_name(void *context)
{
	struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
	int fd, r = getaddrinfo(context, text_of("%u", web_port), &hints, &found);

	if (r != 0)
		return r == EAI_NONAME ? ENOENT : r == EAI_NODATA ? ENODATA : EIO;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	r = connect(fd, found->ai_addr, found->ai_addrlen) < 0 ? errno : 0;
	close(fd);
	return r;
}

static void a_confined_program_reaches_the_names_of_its_rules(void **state)
{
	const char *server, *pinned, *open_to, *elsewhere;
	int listener;

	(void)state;
	NEEDS_REAL_SERVER();
	real_hosts("127.0.0.1 pinned.test\n127.0.0.1 one.open.test\n127.0.0.1 other.test\n", "other.test",
	           "127.0.0.1");
	web_port = 0;
	listener = tcp_listener(AF_INET, &web_port);
	server = text_of("127.0.0.1:%u", real.servers.servers[0].port);
	pinned = text_of("pinned.test:%u", web_port);
	open_to = text_of("*.open.test:%u", web_port);
	elsewhere = text_of("pinned.test:%u", web_port ^ 1);
	/* The control. */
	assert_int_equal(attempt_bare(reach_by_name, "localhost"), 0);
	assert_int_equal(attempt_confined(POLICY("fs-system", "", "net-dns", server, "net-allow", pinned),
	                                  reach_by_name, "pinned.test"),
	                 0);
	assert_int_equal(accept_all(listener), 2);
	assert_int_equal(attempt_confined(POLICY("fs-system", "", "net-dns", server, "net-allow", pinned),
	                                  reach_by_name, "other.test"),
	                 ENOENT);
	assert_int_equal(attempt_confined(POLICY("fs-system", "", "net-dns", server, "net-allow", elsewhere),
	                                  reach_by_name, "pinned.test"),
	                 EACCES);
	/* Loopback needs a rule of its own, which says which ports of it. */
	assert_int_equal(attempt_confined(POLICY("fs-system", "", "net-dns", server, "net-allow", open_to),
	                                  reach_by_name, "one.open.test"),
	                 ENODATA);
	assert_int_equal(attempt_confined(POLICY("fs-system", "", "net-dns", server, "net-allow", open_to,
	                                         "net-allow", "127.0.0.0/8:9"),
	                                  reach_by_name, "one.open.test"),
	                 EACCES);
	assert_int_equal(attempt_confined(POLICY("fs-system", "", "net-dns", server, "net-allow", open_to,
	                                         "net-allow", text_of("127.0.0.0/8:%u", web_port)),
	                                  reach_by_name, "one.open.test"),
	                 0);
	assert_int_equal(accept_all(listener), 1);
	close(listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_resolver_asks_the_given_server),
		cmocka_unit_test(pinned_names_keep_their_addresses),
		cmocka_unit_test(a_family_without_addresses_is_empty),
		cmocka_unit_test(open_names_are_pinned_as_they_are_asked_for),
		cmocka_unit_test(an_alias_is_answered_under_the_name_that_was_asked),
		cmocka_unit_test(times_to_live_are_bounded),
		cmocka_unit_test(only_names_of_rules_are_answered),
		cmocka_unit_test(answers_inside_are_refused),
		cmocka_unit_test(answers_inside_need_a_rule_that_names_their_range),
		cmocka_unit_test(an_address_inside_of_the_start_is_answered_again),
		cmocka_unit_test(public_only_refuses_them_all),
		cmocka_unit_test(what_no_name_may_have_is_an_error_at_start),
		cmocka_unit_test(many_addresses_fit_or_are_cut),
		cmocka_unit_test(nothing_else_is_asked_upstream),
		cmocka_unit_test(localhost_is_known),
		cmocka_unit_test(forged_answers_are_passed_over),
		cmocka_unit_test(questions_cannot_be_guessed),
		cmocka_unit_test(the_next_server_is_asked),
		cmocka_unit_test(an_old_server_is_asked_without_edns),
		cmocka_unit_test(silence_ends_in_a_failure),
		cmocka_unit_test(questions_under_way_are_bounded),
		cmocka_unit_test(rubbish_does_no_harm),
		cmocka_unit_test(questions_to_port_53_are_taken),
		cmocka_unit_test(every_kind_of_socket_gets_its_answer),
		cmocka_unit_test(a_confined_program_reaches_the_names_of_its_rules),
	};

	return cmocka_run_group_tests(tests, NULL, real_stop);
}
