/* The keys of the network that stand for several rules, or for none: net-proxy-only, net-deny, net-interfaces. */
#include "tests/common/common.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
	uint16_t proxy, other, proxy6, spare;
} ports;

static int bind_try(uint16_t port)
{
	struct sockaddr_in address = {AF_INET, htons(port), {htonl(INADDR_LOOPBACK)}, {0}};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1, r;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	r = bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 1) < 0 ? errno : 0;
	close(fd);
	return r;
}

static int to_proxy(void *context)
{
	(void)context;
	return tcp_try(AF_INET, ports.proxy);
}

static int to_proxy_by_another_address(void *context)
{
	struct sockaddr_in address = {AF_INET, htons(ports.proxy), {htonl(INADDR_LOOPBACK + 1)}, {0}};

	(void)context;
	return address_try((struct sockaddr *)&address, sizeof(address));
}

static int to_proxy6(void *context)
{
	(void)context;
	return tcp_try(AF_INET6, ports.proxy6);
}

static int to_other(void *context)
{
	(void)context;
	return tcp_try(AF_INET, ports.other);
}

static int outside(void *context)
{
	struct sockaddr_in address = {AF_INET, htons(ports.proxy), {inet_addr("192.0.2.1")}, {0}};

	(void)context;
	return address_try((struct sockaddr *)&address, sizeof(address));
}

/* At all addresses; the port, or 0. */
static uint16_t listener_everywhere(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (listen(fd, 8) < 0 || getsockname(fd, (struct sockaddr *)&address, &size) < 0)
		return 0;
	return ntohs(address.sin_port);
}

static int udp_exists(void *context)
{
	(void)context;
	return socket(AF_INET, SOCK_DGRAM, 0) < 0 ? errno : 0;
}

static int binds_spare(void *context)
{
	(void)context;
	return bind_try(ports.spare);
}

static void proxy_only_is_one_port_and_what_may_be_bound(void **state)
{
	const char *const *alone = POLICY("net-proxy-only", text_of("%u", ports.proxy));
	const char *const *binding = POLICY("net-proxy-only", text_of("%u:%u", ports.proxy, ports.spare));

	(void)state;
	assert_int_equal(attempt_bare(to_proxy, NULL), 0);
	assert_int_equal(attempt_bare(to_other, NULL), 0);
	assert_int_equal(attempt_bare(binds_spare, NULL), 0);
	assert_int_equal(attempt_bare(udp_exists, NULL), 0);
	assert_int_equal(attempt_confined(alone, to_proxy, NULL), 0);
	/* All of 127.0.0.0/8: nobody listens on the second address, and that is what is said. */
	assert_int_equal(attempt_confined(alone, to_proxy_by_another_address, NULL), ECONNREFUSED);
	assert_int_equal(
		attempt_confined(POLICY("net-proxy-only", text_of("%u", ports.proxy6)), to_proxy6, NULL), 0);
	assert_int_equal(attempt_confined(alone, to_other, NULL), EACCES);
	assert_int_equal(attempt_confined(alone, udp_exists, NULL), EPERM);
	assert_int_equal(attempt_confined(alone, binds_spare, NULL), EACCES);
	assert_int_equal(attempt_confined(binding, binds_spare, NULL), 0);
}

/* Where every address is this machine, somebody listens at the one outside too, at the proxy's port. */
static int outside_play(void)
{
	const char *const *alone;

	if (!network_is_everywhere() || (ports.proxy = listener_everywhere()) == 0)
		return 1;
	alone = POLICY("net-proxy-only", text_of("%u", ports.proxy));
	return attempt_bare(outside, NULL) != 0 || attempt_confined(alone, outside, NULL) != EACCES ||
	       attempt_confined(alone, to_proxy, NULL) != 0 ||
	       attempt_confined(POLICY("net-allow", "tcp://192.0.2.1"), outside, NULL) != 0;
}

static void proxy_only_reaches_no_other_machine(void **state)
{
	(void)state;
	PLAY_IN_OWN_NETWORK(outside_play);
}

static void proxy_only_stands_alone(void **state)
{
	static const char *const others[][2] = {
		{"net-allow", "tcp://*"},
		{"net-deny", "10.0.0.0/8"},
		{"net-allow-bind", "80"},
		{"net-deny-bind", "80"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_int_equal(
			attempt_confined(POLICY("net-proxy-only", "3128", others[i][0], others[i][1]),
		                         to_proxy, NULL),
			ATTEMPT_UNCONFINED);
}

static void deny_takes_away(void **state)
{
	const char *port = text_of("tcp://:%u", ports.other),
		   *address = text_of("tcp://127.0.0.1:%u", ports.other);

	(void)state;
	/* Of any address, by port: the kernel decides alone. Of an address: the supervisor does. */
	assert_int_equal(attempt_confined(POLICY("net-allow", "tcp://*"), to_other, NULL), 0);
	assert_int_equal(attempt_confined(POLICY("net-allow", "tcp://*", "net-deny", port), to_other, NULL),
	                 EACCES);
	assert_int_equal(attempt_confined(POLICY("net-allow", "tcp://*", "net-deny", port), to_proxy, NULL),
	                 0);
	assert_int_equal(
		attempt_confined(POLICY("net-allow", "tcp://*", "net-deny", address), to_other, NULL),
		EACCES);
	assert_int_equal(
		attempt_confined(POLICY("net-allow", "tcp://*", "net-deny", address), to_proxy, NULL), 0);
	assert_int_equal(
		attempt_confined(POLICY("net-allow", "tcp://127.0.0.1", "net-deny", port), to_other, NULL),
		EACCES);
	assert_int_equal(
		attempt_confined(POLICY("net-allow", "tcp://127.0.0.1", "net-deny", port), to_proxy, NULL),
		0);
	assert_int_equal(attempt_confined(POLICY("net-allow-bind", "*"), binds_spare, NULL), 0);
	assert_int_equal(
		attempt_confined(POLICY("net-allow-bind", "*", "net-deny-bind", text_of("%u", ports.spare)),
	                         binds_spare, NULL),
		EACCES);
	assert_int_equal(attempt_confined(POLICY("net-allow-bind", "*", "net-deny-bind",
	                                         text_of("udp://%u", ports.spare)),
	                                  binds_spare, NULL),
	                 0);
}

static int interfaces_listed(void *context)
{
	struct ifaddrs *list;

	(void)context;
	if (getifaddrs(&list) < 0)
		return errno;
	freeifaddrs(list);
	return 0;
}

/* Where sends are supervised, the question to the kernel goes through the supervisor. */
static void interfaces_are_shown_by_their_key_alone(void **state)
{
	(void)state;
	assert_int_equal(attempt_bare(interfaces_listed, NULL), 0);
	assert_int_equal(attempt_confined(POLICY(), interfaces_listed, NULL), EAFNOSUPPORT);
	assert_int_equal(attempt_confined(POLICY("net-allow", "udp://127.0.0.1"), interfaces_listed, NULL),
	                 EAFNOSUPPORT);
	assert_int_equal(attempt_confined(POLICY("net-interfaces", ""), interfaces_listed, NULL), 0);
	assert_int_equal(attempt_confined(POLICY("net-interfaces", "", "net-allow", "udp://127.0.0.1"),
	                                  interfaces_listed, NULL),
	                 0);
}

static int listeners_open(void **state)
{
	int fd;

	(void)state;
	tcp_listener(AF_INET, &ports.proxy);
	tcp_listener(AF_INET, &ports.other);
	tcp_listener(AF_INET6, &ports.proxy6);
	fd = tcp_listener(AF_INET, &ports.spare);
	return close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(proxy_only_is_one_port_and_what_may_be_bound),
		cmocka_unit_test(proxy_only_reaches_no_other_machine),
		cmocka_unit_test(proxy_only_stands_alone),
		cmocka_unit_test(deny_takes_away),
		cmocka_unit_test(interfaces_are_shown_by_their_key_alone),
	};

	return cmocka_run_group_tests_name("keys", tests, listeners_open, NULL);
}
