/* The control of attack_send: the same body against a gate that decides and then lets the kernel do it
 * (tests/broken/sends.c). It must win here, or it could not have won there. And bare: what nobody decides on is
 * sent to wherever it points, and every datagram is counted once.
 *
 * alone: two threads race only where each has a processor.
 */
#include <stdio.h>

#include "tests/common/common.h"
#include "tests/send_race_body.h"

static const struct send_case races[] = {
	{"broken: sendto, port, thread", BY_SENDTO, SEND_THREAD, SEND_PORT, 0},
	{"broken: sendto, port, other process", BY_SENDTO, SEND_PROCESS, SEND_PORT, 0},
	{"broken: sendto, v6 address, thread", BY_SENDTO, SEND_THREAD, SEND_V6, 0},
	{"broken: sendmsg, port, thread", BY_SENDMSG, SEND_THREAD, SEND_PORT, 0},
	{"broken: sendmsg, v4 address, other process", BY_SENDMSG, SEND_PROCESS, SEND_V4, 0},
	{"broken: sendmsg, name pointer, thread", BY_SENDMSG, SEND_THREAD, SEND_POINTER, 0},
	{"broken: sendmsg, name or none, thread", BY_SENDMSG, SEND_THREAD, SEND_NAME, 0},
	{"broken: sendmsg, name or none, other process", BY_SENDMSG, SEND_PROCESS, SEND_NAME, 0},
	{"broken: sendmsg, name length, thread", BY_SENDMSG, SEND_THREAD, SEND_NAMELEN, 0},
	{"broken: sendmsg, control bytes, thread", BY_SENDMSG, SEND_THREAD, SEND_CONTROL, 0},
	{"broken: sendmsg, control pointer, other process", BY_SENDMSG, SEND_PROCESS, SEND_CONTROL_POINTER,
         0},
	{"broken: sendto, address comes and goes", BY_SENDTO, SEND_MAP_NAME, SEND_PORT, 0},
	{"broken: sendmsg, address comes and goes", BY_SENDMSG, SEND_MAP_NAME, SEND_PORT, 0},
	{"broken: sendmsg, header comes and goes", BY_SENDMSG, SEND_MAP_HEADER, SEND_PORT, 0},
	{"broken: sendmmsg, headers come and go", BY_SENDMMSG, SEND_MAP_HEADER, SEND_PORT, 0},
	{"broken: sendmsg, address is discarded", BY_SENDMSG, SEND_DISCARD_NAME, SEND_PORT, 0},
	{"broken: sendto, address is discarded", BY_SENDTO, SEND_DISCARD_NAME, SEND_PORT, 0},
	{"broken: sendmmsg, port, thread", BY_SENDMMSG, SEND_THREAD, SEND_PORT, 0},
	{"broken: sendmmsg, name pointer, other process", BY_SENDMMSG, SEND_PROCESS, SEND_POINTER, 0},
	{"broken: sendmmsg, name or none, thread", BY_SENDMMSG, SEND_THREAD, SEND_NAME, 0},
	{"broken: sendmmsg, name length, thread", BY_SENDMMSG, SEND_THREAD, SEND_NAMELEN, 0},
	{"broken: sendmmsg, control bytes, thread", BY_SENDMMSG, SEND_THREAD, SEND_CONTROL, 0},
	{"broken: connect, port, thread", BY_CONNECT, SEND_THREAD, SEND_PORT, 0},
	{"broken: connect, v4 address, other process", BY_CONNECT, SEND_PROCESS, SEND_V4, 0},
	{"broken: bind, port, thread", BY_BIND, SEND_THREAD, SEND_PORT, 0},
	{"broken: bind, port, other process", BY_BIND, SEND_PROCESS, SEND_PORT, 0},
	{"broken: sendto, number", BY_SENDTO, SEND_NUMBER, SEND_PORT, 0},
	{"broken: sendmsg, number", BY_SENDMSG, SEND_NUMBER, SEND_PORT, 0},
	{"broken: sendmmsg, number", BY_SENDMMSG, SEND_NUMBER, SEND_PORT, 0},
};
enum { RACES = sizeof(races) / sizeof(races[0]) };

static void a_gate_that_checks_and_continues_loses_every_race(void **state)
{
	int lost = 0;

	(void)state;
	for (size_t i = 0; i < RACES; i++)
		lost += send_play(&races[i], SEND_CONFINED, 10, true).wins == 0;
	assert_int_equal(lost, 0);
}

static void bare_the_forbidden_sink_is_reached(void **state)
{
	int lost = 0;

	(void)state;
	for (size_t i = 0; i < RACES; i++)
		lost += send_play(&races[i], SEND_BARE, 10, true).wins == 0;
	assert_int_equal(lost, 0);
}

static void the_sinks_know_foreign_bytes(void **state)
{
	static const struct send_case race = {"bare: foreign bytes", BY_SENDMSG, SEND_THREAD, SEND_FOREIGN,
	                                      0};

	(void)state;
	assert_true(send_play(&race, SEND_BARE, 10, true).foreign > 0);
}

/* The accounts of attack_send hold where there is no gate. */
static void bare_every_datagram_is_counted_once(void **state)
{
	static const struct send_case calm[] = {
		{"bare: sendto, storm", BY_SENDTO, SEND_NONE, SEND_PORT, SEND_STORM},
		{"bare: sendmmsg, storm", BY_SENDMMSG, SEND_NONE, SEND_PORT, SEND_STORM},
		{"bare: sendmsg, vectors", BY_SENDMSG, SEND_THREAD, SEND_VECTORS, 0},
		{"bare: sendmmsg, lengths", BY_SENDMMSG, SEND_PROCESS, SEND_LENGTHS, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(calm) / sizeof(calm[0]); i++) {
		struct send_score score = send_play(&calm[i], SEND_BARE, 0.5, false);

		assert_int_equal(score.arrived, score.sent);
		assert_int_equal(score.doubled + score.lost + score.foreign, 0);
		assert_int_equal(score.other_error, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_gate_that_checks_and_continues_loses_every_race),
		cmocka_unit_test(bare_the_forbidden_sink_is_reached),
		cmocka_unit_test(the_sinks_know_foreign_bytes),
		cmocka_unit_test(bare_every_datagram_is_counted_once),
	};

	return cmocka_run_group_tests_name("send_control", tests, NULL, NULL);
}
