/* The map of port-remap: which entry a binding, a connection and a name meet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <string.h>

#include "supervise/ports.h"

static struct port_map map;

static int map_clear(void **state)
{
	(void)state;
	memset(&map, 0, sizeof(map));
	return 0;
}

static struct net_addr addr_of(const char *text)
{
	struct net_addr addr = {.family = strchr(text, ':') == NULL ? AF_INET : AF_INET6};

	assert_int_equal(inet_pton(addr.family, text, addr.bytes), 1);
	return addr;
}

static struct port_place place_of(enum net_protocol protocol, const char *text, uint16_t port)
{
	return (struct port_place){.protocol = protocol, .addr = addr_of(text), .port = port};
}

static struct port_entry *added(enum net_protocol protocol, const char *text, uint16_t port, uint16_t real)
{
	struct port_place place = place_of(protocol, text, port);
	struct port_entry *entry = ports_add(&map, &place, real, 100);

	assert_non_null(entry);
	return entry;
}

static struct port_entry *added_dual(uint16_t port, uint16_t real)
{
	struct port_place place = place_of(NET_TCP, "::", port);

	place.dual = true;
	return ports_add(&map, &place, real, 100);
}

static struct port_entry *overlapping(enum net_protocol protocol, const char *text, uint16_t port)
{
	struct port_place place = place_of(protocol, text, port);

	return ports_overlapping(&map, &place);
}

static struct port_entry *reached(enum net_protocol protocol, const char *text, uint16_t port)
{
	struct net_addr addr = addr_of(text);

	return ports_reached(&map, protocol, &addr, port);
}

static struct port_entry *behind(enum net_protocol protocol, const char *text, uint16_t real)
{
	struct net_addr addr = addr_of(text);

	return ports_behind(&map, protocol, &addr, real);
}

static void an_empty_map_knows_nothing(void **state)
{
	(void)state;
	assert_null(overlapping(NET_TCP, "127.0.0.1", 80));
	assert_null(reached(NET_TCP, "127.0.0.1", 80));
	assert_null(behind(NET_TCP, "127.0.0.1", 80));
	assert_null(ports_spare(&map));
	assert_false(ports_may_call(&map));
	assert_true(ports_have_room(&map));
}

static void an_entry_is_found_by_both_ports(void **state)
{
	struct port_entry *entry = added(NET_TCP, "127.0.0.1", 80, 40000);

	(void)state;
	assert_ptr_equal(reached(NET_TCP, "127.0.0.1", 80), entry);
	assert_ptr_equal(behind(NET_TCP, "127.0.0.1", 40000), entry);
	assert_null(reached(NET_TCP, "127.0.0.1", 40000));
	assert_null(behind(NET_TCP, "127.0.0.1", 80));
	assert_int_equal(map.moved, 1);
}

static void protocols_are_apart(void **state)
{
	struct port_entry *tcp = added(NET_TCP, "127.0.0.1", 53, 40000);
	struct port_entry *udp;

	(void)state;
	assert_null(overlapping(NET_UDP, "127.0.0.1", 53));
	udp = added(NET_UDP, "127.0.0.1", 53, 40000);
	assert_ptr_equal(reached(NET_TCP, "127.0.0.1", 53), tcp);
	assert_ptr_equal(reached(NET_UDP, "127.0.0.1", 53), udp);
	assert_ptr_equal(behind(NET_UDP, "127.0.0.1", 40000), udp);
}

/* What bind(2) lets coexist without SO_REUSEADDR must not overlap, and the other way round. */
static void places_overlap_as_bindings_do(void **state)
{
	(void)state;
	added(NET_TCP, "127.0.0.1", 80, 40000);
	assert_non_null(overlapping(NET_TCP, "127.0.0.1", 80));
	assert_non_null(overlapping(NET_TCP, "0.0.0.0", 80));
	assert_null(overlapping(NET_TCP, "127.0.0.2", 80));
	assert_null(overlapping(NET_TCP, "127.0.0.1", 81));
	assert_null(overlapping(NET_TCP, "::", 80)); /* IPV6_V6ONLY */
	added(NET_TCP, "0.0.0.0", 81, 40001);
	assert_non_null(overlapping(NET_TCP, "127.0.0.2", 81));
	assert_null(overlapping(NET_TCP, "::1", 81));
	added_dual(82, 40002);
	assert_non_null(overlapping(NET_TCP, "127.0.0.2", 82));
	assert_non_null(overlapping(NET_TCP, "0.0.0.0", 82));
	assert_non_null(overlapping(NET_TCP, "::1", 82));
}

static void the_nearest_address_is_reached(void **state)
{
	struct port_entry *dual = added_dual(80, 40001), *any = added(NET_TCP, "0.0.0.0", 80, 40002),
			  *exact = added(NET_TCP, "127.0.0.2", 80, 40003);

	(void)state;
	assert_ptr_equal(reached(NET_TCP, "127.0.0.2", 80), exact);
	assert_ptr_equal(reached(NET_TCP, "127.0.0.1", 80), any);
	assert_ptr_equal(reached(NET_TCP, "::1", 80), dual);
	ports_retire(&map, any);
	assert_ptr_equal(reached(NET_TCP, "127.0.0.1", 80), dual);
}

static void a_ghost_is_shown_and_leads_nowhere(void **state)
{
	struct port_entry *entry = added(NET_TCP, "0.0.0.0", 80, 40000);

	(void)state;
	assert_int_equal(ports_retire(&map, entry), 100);
	assert_ptr_equal(behind(NET_TCP, "127.0.0.1", 40000), entry);
	assert_null(reached(NET_TCP, "127.0.0.1", 80));
	assert_null(overlapping(NET_TCP, "0.0.0.0", 80));
	assert_int_equal(map.moved, 1);
}

static void a_ghost_gives_way(void **state)
{
	struct port_entry *again;

	(void)state;
	ports_retire(&map, added(NET_TCP, "0.0.0.0", 80, 40000));
	again = added(NET_TCP, "127.0.0.1", 81, 40000);
	assert_ptr_equal(behind(NET_TCP, "127.0.0.1", 40000), again);
	assert_null(behind(NET_TCP, "127.0.0.2", 40000));
	assert_int_equal(map.moved, 1);
}

static void what_is_not_moved_leaves_no_ghost(void **state)
{
	(void)state;
	ports_retire(&map, added(NET_TCP, "0.0.0.0", 80, 80));
	assert_null(behind(NET_TCP, "127.0.0.1", 80));
	assert_int_equal(map.moved, 0);
}

static void a_full_map_says_so(void **state)
{
	struct port_place one_more = place_of(NET_TCP, "127.0.0.1", 9);
	struct port_entry *spare;

	(void)state;
	for (unsigned i = 0; i < PORTS_MAX; i++)
		added(NET_TCP, "127.0.0.1", (uint16_t)(1000 + i), (uint16_t)(i == 7 ? 1007 : 20000 + i));
	assert_false(ports_have_room(&map));
	assert_null(ports_add(&map, &one_more, 9000, 1));
	assert_non_null(reached(NET_TCP, "127.0.0.1", 1000));
	assert_int_equal(map.moved, PORTS_MAX - 1);
	spare = ports_spare(&map);
	assert_non_null(spare);
	assert_int_equal(spare->real, 1007);
	ports_retire(&map, spare);
	assert_null(ports_spare(&map));
	assert_non_null(ports_add(&map, &one_more, 9000, 1));
	assert_int_equal(map.moved, PORTS_MAX);
	ports_retire(&map, reached(NET_TCP, "127.0.0.1", 1001));
	assert_true(ports_have_room(&map)); /* a ghost's */
	assert_non_null(added(NET_TCP, "127.0.0.1", 10, 10));
	assert_int_equal(map.moved, PORTS_MAX - 1);
}

static void what_listens_calls_nobody(void **state)
{
	struct port_entry *entry = added(NET_TCP, "127.0.0.1", 80, 40000);

	(void)state;
	assert_true(ports_may_call(&map));
	entry->listens = true;
	assert_false(ports_may_call(&map));
	added(NET_UDP, "127.0.0.1", 80, 40000);
	added(NET_TCP, "127.0.0.1", 81, 81);
	assert_false(ports_may_call(&map));
	ports_retire(&map, added(NET_TCP, "127.0.0.1", 82, 40002));
	assert_true(ports_may_call(&map)); /* it may have called before it went */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(an_empty_map_knows_nothing, map_clear),
		cmocka_unit_test_setup(an_entry_is_found_by_both_ports, map_clear),
		cmocka_unit_test_setup(protocols_are_apart, map_clear),
		cmocka_unit_test_setup(places_overlap_as_bindings_do, map_clear),
		cmocka_unit_test_setup(the_nearest_address_is_reached, map_clear),
		cmocka_unit_test_setup(a_ghost_is_shown_and_leads_nowhere, map_clear),
		cmocka_unit_test_setup(a_ghost_gives_way, map_clear),
		cmocka_unit_test_setup(what_is_not_moved_leaves_no_ghost, map_clear),
		cmocka_unit_test_setup(a_full_map_says_so, map_clear),
		cmocka_unit_test_setup(what_listens_calls_nobody, map_clear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
