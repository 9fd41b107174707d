/* DNS messages: what is read of a query and of a reply, and what is answered. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "netpolicy/dns.h"

/* A message that is put together byte by byte. */
struct message {
	uint8_t bytes[2048];
	size_t size;
};

static void add(struct message *message, const void *bytes, size_t size)
{
	assert_true(size <= sizeof(message->bytes) - message->size);
	memcpy(message->bytes + message->size, bytes, size);
	message->size += size;
}

static void add8(struct message *message, unsigned value)
{
	uint8_t byte = (uint8_t)value;

	add(message, &byte, 1);
}

static void add16(struct message *message, unsigned value)
{
	uint16_t bytes = htons((uint16_t)value);

	add(message, &bytes, 2);
}

static void add32(struct message *message, uint32_t value)
{
	uint32_t bytes = htonl(value);

	add(message, &bytes, 4);
}

static void add_label(struct message *message, const char *label, size_t length)
{
	add8(message, (unsigned)length);
	add(message, label, length);
}

/* "a.b"; "" is the root. Nothing is checked, so that bad names can be made. */
static void add_name(struct message *message, const char *name)
{
	while (*name != '\0') {
		size_t length = strcspn(name, ".");

		add_label(message, name, length);
		name += length + (name[length] == '.');
	}
	add8(message, 0);
}

static void add_header(struct message *message, unsigned bits, unsigned questions, unsigned answers,
                       unsigned others)
{
	add16(message, 0xabcd);
	add16(message, bits);
	add16(message, questions);
	add16(message, answers);
	add16(message, 0);
	add16(message, others);
}

static void add_question(struct message *message, const char *name, unsigned type)
{
	add_name(message, name);
	add16(message, type);
	add16(message, DNS_CLASS_IN);
}

static void add_opt(struct message *message, unsigned room, uint32_t ttl)
{
	add8(message, 0);
	add16(message, DNS_OPT);
	add16(message, room);
	add32(message, ttl);
	add16(message, 0);
}

static struct message query_of(const char *name, unsigned type)
{
	struct message message = {.size = 0};

	add_header(&message, 0x0100, 1, 0, 0);
	add_question(&message, name, type);
	return message;
}

/* From a block of just its size, so that a sanitizer sees a read behind it. */
static int query_read(const struct message *message, struct dns_query *query)
{
	uint8_t *exact = malloc(message->size + 1);
	int r;

	assert_non_null(exact);
	memcpy(exact + 1, message->bytes, message->size);
	r = dns_query_read(exact + 1, message->size, query);
	free(exact);
	return r;
}

/* Queries. */

static void a_query_is_read(void **state)
{
	struct message message = query_of("WWW.Example.org", DNS_AAAA);
	struct dns_query query;

	(void)state;
	assert_int_equal(query_read(&message, &query), DNS_NOERROR);
	assert_string_equal(query.name, "www.example.org");
	assert_int_equal(query.id, 0xabcd);
	assert_int_equal(query.type, DNS_AAAA);
	assert_int_equal(query.class, DNS_CLASS_IN);
	assert_true(query.recursion);
	assert_false(query.unchecked);
	assert_false(query.edns);
	assert_int_equal(query.room, DNS_MESSAGE_LEAST);
	assert_int_equal(query.question_size, message.size - 12);
	assert_memory_equal(query.question, message.bytes + 12, query.question_size);
}

static void names_of_rules_are_all_that_is_taken(void **state)
{
	static const struct {
		const char *why, *name;
		int code;
	} rows[] = {
		{"one label", "localhost", DNS_NOERROR},
		{"digits, hyphen, underscore", "_sip._tcp.a-1.x9", DNS_NOERROR},
		{"punycode", "xn--bcher-kva.example", DNS_NOERROR},
		{"the root", "", DNS_REFUSED},
		{"a space", "a b.example", DNS_REFUSED},
		{"a slash", "a/b", DNS_REFUSED},
		{"a star", "*.example", DNS_REFUSED},
		{"above ASCII", "b\xc3\xbc.example", DNS_REFUSED},
		{"a control byte", "a\n.example", DNS_REFUSED},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct message message = query_of(rows[i].name, DNS_A);
		struct dns_query query;
		int code = query_read(&message, &query);

		if (code != rows[i].code)
			fail_msg("%s: %d, not %d", rows[i].why, code, rows[i].code);
		if (code == DNS_NOERROR)
			assert_string_equal(query.name, rows[i].name);
	}
}

static void a_dot_or_nul_inside_of_a_label_is_refused(void **state)
{
	static const char *const labels[] = {"a.b", "a\0b"};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct message message = {.size = 0};
		struct dns_query query;

		add_header(&message, 0, 1, 0, 0);
		add_label(&message, labels[i], 3);
		add8(&message, 0);
		add16(&message, DNS_A);
		add16(&message, DNS_CLASS_IN);
		assert_int_equal(query_read(&message, &query), DNS_REFUSED);
		assert_int_equal(query.question_size, message.size - 12);
	}
}

/* 63 + 63 + 63 + 61 letters, each with its length, and the root: 255 bytes. */
static void long_name(char name[static 256], size_t last)
{
	memset(name, 'a', 256);
	name[63] = name[127] = name[191] = '.';
	name[192 + last] = '\0';
}

static void the_longest_name_is_taken_and_one_more_byte_is_not(void **state)
{
	char name[256];
	struct message message;
	struct dns_query query;

	(void)state;
	long_name(name, 61);
	message = query_of(name, DNS_A);
	assert_int_equal(message.size - 12 - 4, 255);
	assert_int_equal(query_read(&message, &query), DNS_NOERROR);
	assert_string_equal(query.name, name);
	assert_int_equal(query.question_size, DNS_QUESTION_MAX);

	long_name(name, 62);
	message = query_of(name, DNS_A);
	assert_int_equal(query_read(&message, &query), DNS_FORMERR);
	assert_int_equal(query.question_size, 0);
}

static void what_is_no_query_is_not_answered(void **state)
{
	struct message message = query_of("a", DNS_A);
	struct dns_query query;

	(void)state;
	assert_int_equal(query_read(&message, &query), DNS_NOERROR);
	message.bytes[2] |= 0x80;
	assert_int_equal(query_read(&message, &query), -EBADMSG);
	message.bytes[2] &= 0x7f;
	for (message.size = 0; message.size < 12; message.size++)
		assert_int_equal(query_read(&message, &query), -EBADMSG);
}

static void a_query_that_is_cut_anywhere_is_malformed(void **state)
{
	struct message message = query_of("host.example", DNS_A);
	struct dns_query query;
	size_t whole, question;

	(void)state;
	question = message.size;
	message.bytes[11] = 1;
	add_opt(&message, 4096, 0);
	whole = message.size;
	assert_int_equal(query_read(&message, &query), DNS_NOERROR);
	for (message.size = 12; message.size < whole; message.size++) {
		assert_int_equal(query_read(&message, &query), DNS_FORMERR);
		assert_int_equal(query.question_size, message.size < question ? 0 : question - 12);
	}
}

static void strange_headers_get_their_code(void **state)
{
	static const struct {
		const char *why;
		size_t byte;
		uint8_t value;
		int code;
	} rows[] = {
		{"a status query", 2, 0x11, DNS_NOTIMP},
		{"an update", 2, 0x28, DNS_NOTIMP},
		{"no question", 5, 0, DNS_FORMERR},
		{"two questions", 5, 2, DNS_FORMERR},
		{"an answer that is not there", 7, 1, DNS_FORMERR},
		{"class CHAOS", 12 + 3 + 3, 3, DNS_REFUSED},
		{"a label of 64 bytes", 12, 64, DNS_FORMERR},
		{"a label of 128 bytes", 12, 128, DNS_FORMERR},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct message message = query_of("a", DNS_A);
		struct dns_query query;
		int code;

		message.bytes[rows[i].byte] = rows[i].value;
		code = query_read(&message, &query);
		if (code != rows[i].code)
			fail_msg("%s: %d, not %d", rows[i].why, code, rows[i].code);
	}
}

static void pointers_in_a_question_are_malformed(void **state)
{
	static const uint8_t targets[] = {0, 4, 11, 12, 13, 14, 255};

	(void)state;
	for (size_t i = 0; i < sizeof(targets); i++) {
		struct message message = {.size = 0};
		struct dns_query query;

		add_header(&message, 0, 1, 0, 0);
		add8(&message, 0xc0);
		add8(&message, targets[i]);
		add16(&message, DNS_A);
		add16(&message, DNS_CLASS_IN);
		assert_int_equal(query_read(&message, &query), DNS_FORMERR);
	}
}

static void the_clients_room_is_bounded_from_both_sides(void **state)
{
	static const struct {
		unsigned said, taken;
	} rows[] = {{0, 512}, {511, 512}, {513, 513}, {1232, 1232}, {1233, 1232}, {65535, 1232}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct message message = query_of("a", DNS_A);
		struct dns_query query;

		message.bytes[11] = 1;
		add_opt(&message, rows[i].said, 0x8000);
		assert_int_equal(query_read(&message, &query), DNS_NOERROR);
		assert_true(query.edns);
		assert_int_equal(query.room, rows[i].taken);
	}
}

static void an_opt_is_there_once_and_in_version_0(void **state)
{
	struct message message = query_of("a", DNS_A), twice;
	struct dns_query query;

	(void)state;
	message.bytes[11] = 1;
	twice = message;
	add_opt(&message, 512, 1 << 16);
	assert_int_equal(query_read(&message, &query), DNS_FORMERR);
	twice.bytes[11] = 2;
	add_opt(&twice, 512, 0);
	add_opt(&twice, 512, 0);
	assert_int_equal(query_read(&twice, &query), DNS_FORMERR);
}

/* Answers. */

static struct net_addr address(const char *text)
{
	struct net_addr addr = {.family = strchr(text, ':') ? AF_INET6 : AF_INET};

	assert_int_equal(inet_pton(addr.family, text, addr.bytes), 1);
	return addr;
}

static void an_answer_holds_the_addresses_of_its_type(void **state)
{
	static const uint8_t records[] = {
		0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4, 192, 0, 2, 1, /* */
		0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4, 192, 0, 2, 2,
	};
	struct net_addr addrs[] = {address("192.0.2.1"), address("2001:db8::1"), address("192.0.2.2")};
	struct message message = query_of("HOST.example", DNS_A);
	uint8_t answer[DNS_MESSAGE_MAX];
	struct dns_query query;
	size_t size;

	(void)state;
	assert_int_equal(query_read(&message, &query), DNS_NOERROR);
	size = dns_answer_write(&query, DNS_NOERROR, addrs, 3, 30, answer);
	assert_int_equal(size, message.size + sizeof(records));
	assert_memory_equal(answer, "\xab\xcd\x81\x80\0\1\0\2\0\0\0\0", 12);
	assert_memory_equal(answer + 12, message.bytes + 12, message.size - 12);
	assert_memory_equal(answer + message.size, records, sizeof(records));
}

static void an_answer_repeats_only_what_was_asked(void **state)
{
	struct message message = query_of("a", DNS_A);
	uint8_t answer[DNS_MESSAGE_MAX];
	struct dns_query query;

	(void)state;
	message.bytes[2] = 0x06; /* authoritative, truncated */
	message.bytes[3] = 0x7f; /* all bits of an answer, CD among them */
	message.bytes[11] = 1;
	add_opt(&message, 4096, 0);
	assert_int_equal(query_read(&message, &query), DNS_NOERROR);
	assert_int_equal(dns_answer_write(&query, DNS_NXDOMAIN, NULL, 0, 0, answer), message.size);
	assert_memory_equal(answer, "\xab\xcd\x80\x93\0\1\0\0\0\0\0\1", 12);
	assert_memory_equal(answer + message.size - 11, "\0\0\x29\x04\xd0\0\0\0\0\0\0", 11);
}

/* Cut, and not marked as cut: there is no TCP to ask again over. */
static void an_answer_fits_the_client(void **state)
{
	struct net_addr addrs[DNS_ADDRS_MAX];
	char name[256];

	(void)state;
	long_name(name, 61);
	for (size_t i = 0; i < DNS_ADDRS_MAX; i++)
		addrs[i] = address("2001:db8::1");
	/* One below the least: without an OPT. */
	for (unsigned room = DNS_MESSAGE_LEAST - 1; room <= DNS_MESSAGE_MAX + 1; room++) {
		struct message message = query_of(name, DNS_AAAA);
		uint8_t answer[DNS_MESSAGE_MAX];
		struct dns_query query;
		size_t size, count;

		if (room >= DNS_MESSAGE_LEAST) {
			message.bytes[11] = 1;
			add_opt(&message, room, 0);
		}
		assert_int_equal(query_read(&message, &query), DNS_NOERROR);
		size = dns_answer_write(&query, DNS_NOERROR, addrs, DNS_ADDRS_MAX, 30, answer);
		count = (size_t)answer[6] << 8 | answer[7];
		assert_int_equal(size, message.size + count * 28);
		assert_true(size <= query.room && size + 28 > query.room);
		assert_int_equal(answer[2] & 0x02, 0);
	}
}

/* Asking. */

static const uint8_t no_random[DNS_RANDOM];

static void a_question_mixes_its_letters(void **state)
{
	uint8_t random[DNS_RANDOM] = {0x12, 0x34, 0xff, 0x00, 0xff}, ask[DNS_ASK_MAX];
	struct dns_query query;
	int size;

	(void)state;
	size = dns_ask_write("abcdef-1.example.org", DNS_AAAA, false, random, ask);
	assert_int_equal(size, 12 + 22 + 4);
	assert_memory_equal(ask, "\x12\x34\x01\0\0\1\0\0\0\0\0\0", 12);
	assert_memory_equal(ask + 12, "\10ABCDEF-1\7examplE\3ORG\0\0\34\0\1", 26);
	assert_int_equal(dns_query_read(ask, (size_t)size, &query), DNS_NOERROR);
	assert_string_equal(query.name, "abcdef-1.example.org");

	size = dns_ask_write("a", DNS_A, true, random, ask);
	assert_int_equal(dns_query_read(ask, (size_t)size, &query), DNS_NOERROR);
	assert_true(query.edns);
	assert_int_equal(query.room, 1232);
}

static void only_host_names_are_asked_for(void **state)
{
	static const char *const names[] = {"", ".", "a.", ".a", "a..b", "a b", "*.a", "a\xff"};
	uint8_t ask[DNS_ASK_MAX];
	char name[256];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(dns_ask_write(names[i], DNS_A, true, no_random, ask), -EINVAL);
	long_name(name, 61);
	assert_int_equal(dns_ask_write(name, DNS_A, true, no_random, ask), DNS_ASK_MAX);
	long_name(name, 62);
	assert_int_equal(dns_ask_write(name, DNS_A, true, no_random, ask), -EINVAL);
	memset(name, 'a', 64);
	name[64] = '\0';
	assert_int_equal(dns_ask_write(name, DNS_A, true, no_random, ask), -EINVAL);
}

/* Replies. */

struct asked {
	uint8_t bytes[DNS_ASK_MAX];
	size_t size;
};

static struct asked ask_for(const char *name, enum dns_type type)
{
	uint8_t random[DNS_RANDOM] = {0xab, 0xcd};
	struct asked asked;
	int size = dns_ask_write(name, type, false, random, asked.bytes);

	assert_true(size > 0);
	asked.size = (size_t)size;
	return asked;
}

static struct message reply_begin(const struct asked *asked, unsigned bits, unsigned answers)
{
	struct message message = {.size = 0};

	add_header(&message, bits, 1, answers, 0);
	add(&message, asked->bytes + 12, asked->size - 12);
	return message;
}

static void add_record(struct message *message, const char *owner, unsigned type, uint32_t ttl,
                       const void *data, unsigned size)
{
	if (owner == NULL)
		add16(message, 0xc00c);
	else
		add_name(message, owner);
	add16(message, type);
	add16(message, DNS_CLASS_IN);
	add32(message, ttl);
	add16(message, size);
	add(message, data, size);
}

static void add_address(struct message *message, const char *owner, const char *text, uint32_t ttl)
{
	struct net_addr addr = address(text);
	bool v4 = addr.family == AF_INET;

	add_record(message, owner, v4 ? DNS_A : DNS_AAAA, ttl, addr.bytes, v4 ? 4 : 16);
}

static void add_cname(struct message *message, const char *owner, const char *target, uint32_t ttl)
{
	struct message name = {.size = 0};

	add_name(&name, target);
	add_record(message, owner, DNS_CNAME, ttl, name.bytes, (unsigned)name.size);
}

static int reply_read(const struct message *message, const struct asked *asked, struct dns_reply *reply)
{
	uint8_t *exact = malloc(message->size + 1);
	int r;

	assert_non_null(exact);
	memcpy(exact + 1, message->bytes, message->size);
	r = dns_reply_read(exact + 1, message->size, asked->bytes, asked->size, reply);
	free(exact);
	return r;
}

static void assert_reply(const struct message *message, const struct asked *asked, uint32_t ttl, size_t count,
                         const char *const *expected)
{
	struct dns_reply reply;

	assert_int_equal(reply_read(message, asked, &reply), 0);
	assert_int_equal(reply.code, DNS_NOERROR);
	assert_int_equal(reply.ttl, ttl);
	assert_int_equal(reply.count, count);
	for (size_t i = 0; i < count; i++) {
		struct net_addr addr = address(expected[i]);

		assert_memory_equal(&reply.addrs[i], &addr, sizeof(addr));
	}
}

static void a_reply_gives_its_addresses(void **state)
{
	struct asked asked = ask_for("host.example", DNS_A), other = ask_for("host.example", DNS_AAAA);
	struct message message = reply_begin(&asked, 0x8180, 4);

	(void)state;
	add_address(&message, NULL, "192.0.2.1", 300);
	add_address(&message, "HOST.Example", "192.0.2.2", 200);
	add_address(&message, NULL, "2001:db8::1", 5);
	add_address(&message, "other.example", "192.0.2.3", 1);
	assert_reply(&message, &asked, 200, 2, (const char *[]){"192.0.2.1", "192.0.2.2"});

	message = reply_begin(&other, 0x8180, 1);
	add_address(&message, NULL, "2001:db8::1", 0x80000000);
	assert_reply(&message, &other, 0, 1, (const char *[]){"2001:db8::1"});
}

static void only_an_answer_to_the_question_is_taken(void **state)
{
	struct asked asked = ask_for("host.example", DNS_A);
	struct message good = reply_begin(&asked, 0x8180, 1), message;
	struct dns_reply reply;
	size_t question;

	(void)state;
	question = good.size;
	add_address(&good, NULL, "192.0.2.1", 300);
	assert_reply(&good, &asked, 300, 1, (const char *[]){"192.0.2.1"});
	/* The case of letters, which are at 13 to 16 and 18 to 24, counts too. */
	for (size_t i = 0; i < question; i++) {
		message = good;
		message.bytes[i] ^= 0x20;
		if (i == 3 || (i >= 6 && i < 12))
			continue;
		if (i == 2)
			message.bytes[i] = 0x01; /* a query */
		if (reply_read(&message, &asked, &reply) != -EBADMSG)
			fail_msg("byte %zu may differ", i);
	}
	for (message = good, message.size = 0; message.size < question; message.size++)
		assert_int_equal(reply_read(&message, &asked, &reply), -EBADMSG);
	for (; message.size < good.size; message.size++)
		assert_int_equal(reply_read(&message, &asked, &reply), -EPROTO);
}

static void codes_and_truncation_are_told(void **state)
{
	struct asked asked = ask_for("host.example", DNS_A);
	struct message message = reply_begin(&asked, 0x8183, 0);
	struct dns_reply reply;

	(void)state;
	assert_int_equal(reply_read(&message, &asked, &reply), 0);
	assert_int_equal(reply.code, DNS_NXDOMAIN);
	assert_int_equal(reply.count, 0);
	assert_int_equal(reply.ttl, 0);

	/* Three are promised, one has come. */
	message = reply_begin(&asked, 0x8380, 3);
	add_address(&message, NULL, "192.0.2.1", 9);
	assert_int_equal(reply_read(&message, &asked, &reply), 0);
	assert_true(reply.truncated);
	assert_int_equal(reply.count, 1);
	message.bytes[2] = 0x81;
	assert_int_equal(reply_read(&message, &asked, &reply), -EPROTO);
}

static void cnames_are_followed_in_any_order(void **state)
{
	struct asked asked = ask_for("a.example", DNS_A);
	struct message message = reply_begin(&asked, 0x8180, 3);

	(void)state;
	add_cname(&message, NULL, "B.example", 100);
	add_cname(&message, "b.EXAMPLE", "c.example", 50);
	add_address(&message, "c.example", "192.0.2.1", 200);
	assert_reply(&message, &asked, 50, 1, (const char *[]){"192.0.2.1"});

	message = reply_begin(&asked, 0x8180, 3);
	add_address(&message, "c.example", "192.0.2.1", 10);
	add_cname(&message, "b.example", "c.example", 50);
	add_cname(&message, NULL, "b.example", 100);
	assert_reply(&message, &asked, 10, 1, (const char *[]){"192.0.2.1"});

	message = reply_begin(&asked, 0x8180, 2);
	add_cname(&message, NULL, "b.example", 100);
	add_address(&message, "c.example", "192.0.2.1", 10);
	assert_reply(&message, &asked, 0, 0, NULL);
}

/* A chain of `links` CNAMEs, and an address at its end. */
static struct message chain_of(const struct asked *asked, int links, bool reversed)
{
	struct message message = reply_begin(asked, 0x8180, (unsigned)links + 1);
	char name[32], next[32];

	for (int i = 0; i < links; i++) {
		int at = reversed ? links - 1 - i : i;

		snprintf(name, sizeof(name), "n%d.example", at);
		snprintf(next, sizeof(next), "n%d.example", at + 1);
		add_cname(&message, name, next, 60);
	}
	snprintf(name, sizeof(name), "n%d.example", links);
	add_address(&message, name, "192.0.2.1", 60);
	return message;
}

static void chains_have_an_end(void **state)
{
	struct asked asked = ask_for("n0.example", DNS_A);
	struct dns_reply reply;

	(void)state;
	for (int reversed = 0; reversed < 2; reversed++) {
		struct message message = chain_of(&asked, 8, reversed);

		assert_reply(&message, &asked, 60, 1, (const char *[]){"192.0.2.1"});
		message = chain_of(&asked, 9, reversed);
		assert_int_equal(reply_read(&message, &asked, &reply), -EPROTO);
	}
}

static void cname_loops_have_an_end(void **state)
{
	struct asked asked = ask_for("a.example", DNS_A);
	struct message message = reply_begin(&asked, 0x8180, 2);
	struct dns_reply reply;

	(void)state;
	add_cname(&message, "a.example", "b.example", 60);
	add_cname(&message, "b.example", "a.example", 60);
	assert_int_equal(reply_read(&message, &asked, &reply), -EPROTO);
	message = reply_begin(&asked, 0x8180, 1);
	add_cname(&message, NULL, "a.example", 60);
	assert_int_equal(reply_read(&message, &asked, &reply), -EPROTO);
}

static void pointers_lead_back_only(void **state)
{
	struct asked asked = ask_for("host.example", DNS_A);
	struct dns_reply reply;
	struct message message;
	unsigned owner;

	(void)state;
	message = reply_begin(&asked, 0x8180, 1);
	owner = (unsigned)message.size;
	for (unsigned target = 0; target < owner + 40; target++) {
		int r;

		message = reply_begin(&asked, 0x8180, 1);
		add16(&message, 0xc000 | target);
		add16(&message, DNS_A);
		add16(&message, DNS_CLASS_IN);
		add32(&message, 60);
		add16(&message, 4);
		add(&message, "\300\0\2\1", 4);
		r = reply_read(&message, &asked, &reply);
		if (target >= owner)
			assert_int_equal(r, -EPROTO);
		if (target == 12)
			assert_int_equal(r, 0);
	}
}

/* A pointer to a pointer, and two that point at each other by way of a label. */
static void pointer_chains_end(void **state)
{
	struct asked asked = ask_for("host.example", DNS_A);
	struct message message = reply_begin(&asked, 0x8180, 3);
	unsigned first = (unsigned)message.size;
	struct dns_reply reply;

	(void)state;
	add_address(&message, NULL, "192.0.2.1", 60); /* its owner is a pointer */
	add16(&message, 0xc000 | first);
	add16(&message, DNS_A), add16(&message, DNS_CLASS_IN), add32(&message, 60), add16(&message, 4);
	add(&message, "\300\0\2\2", 4);
	add_label(&message, "x", 1);
	add16(&message, 0xc000 | (unsigned)(message.size - 2));
	add16(&message, DNS_A), add16(&message, DNS_CLASS_IN), add32(&message, 60), add16(&message, 4);
	add(&message, "\300\0\2\3", 4);
	assert_int_equal(reply_read(&message, &asked, &reply), -EPROTO);
	message.bytes[7] = 2;
	assert_reply(&message, &asked, 60, 2, (const char *[]){"192.0.2.1", "192.0.2.2"});
}

static void names_do_not_grow_by_pointers(void **state)
{
	struct asked asked;
	struct dns_reply reply;
	struct message message;
	char name[256];

	(void)state;
	long_name(name, 58);
	asked = ask_for(name, DNS_A);
	for (size_t length = 1; length < 6; length++) {
		int r;

		/* 252 bytes and the label: 255 and no more. */
		message = reply_begin(&asked, 0x8180, 1);
		add_label(&message, "xxxxxx", length);
		add16(&message, 0xc00c);
		add16(&message, DNS_A), add16(&message, DNS_CLASS_IN), add32(&message, 60);
		add16(&message, 4);
		add(&message, "\300\0\2\1", 4);
		r = reply_read(&message, &asked, &reply);
		assert_int_equal(r, length <= 2 ? 0 : -EPROTO);
	}
}

static void records_of_a_wrong_size_spoil_the_reply(void **state)
{
	struct asked v4 = ask_for("host.example", DNS_A), v6 = ask_for("host.example", DNS_AAAA);
	uint8_t bytes[32] = {0};
	struct dns_reply reply;

	(void)state;
	for (unsigned size = 0; size < sizeof(bytes); size++) {
		struct message message = reply_begin(&v4, 0x8180, 1);

		add_record(&message, NULL, DNS_A, 60, bytes, size);
		assert_int_equal(reply_read(&message, &v4, &reply), size == 4 ? 0 : -EPROTO);
		message = reply_begin(&v6, 0x8180, 1);
		add_record(&message, NULL, DNS_AAAA, 60, bytes, size);
		assert_int_equal(reply_read(&message, &v6, &reply), size == 16 ? 0 : -EPROTO);
		/* One byte is the root: a name that has no address here. */
		message = reply_begin(&v4, 0x8180, 1);
		add_record(&message, NULL, DNS_CNAME, 60, bytes, size);
		assert_int_equal(reply_read(&message, &v4, &reply), size == 1 ? 0 : -EPROTO);
	}
}

static void other_classes_are_passed_over(void **state)
{
	struct asked asked = ask_for("host.example", DNS_A);
	struct message message = reply_begin(&asked, 0x8180, 1);
	size_t record = message.size;

	(void)state;
	add_address(&message, NULL, "192.0.2.1", 60);
	assert_reply(&message, &asked, 60, 1, (const char *[]){"192.0.2.1"});
	message.bytes[record + 5] = 3;
	assert_reply(&message, &asked, 0, 0, NULL);
}

static void more_addresses_than_there_is_room_for_are_dropped(void **state)
{
	struct asked asked = ask_for("host.example", DNS_A);
	struct message message = reply_begin(&asked, 0x8180, DNS_ADDRS_MAX + 1);
	struct dns_reply reply;

	(void)state;
	for (int i = 0; i <= DNS_ADDRS_MAX; i++)
		add_address(&message, NULL, "192.0.2.1", 60);
	assert_int_equal(reply_read(&message, &asked, &reply), 0);
	assert_int_equal(reply.count, DNS_ADDRS_MAX);
}

/* Servers. */

static void servers_are_read(void **state)
{
	static const struct {
		const char *text, *address;
		uint16_t port;
	} rows[] = {
		{"192.0.2.1", "192.0.2.1", 53},
		{"192.0.2.1:5353", "192.0.2.1", 5353},
		{"2001:db8::1", "2001:db8::1", 53},
		{"[2001:db8::1]", "2001:db8::1", 53},
		{"[2001:db8::1]:65535", "2001:db8::1", 65535},
		{"::ffff:192.0.2.1", "192.0.2.1", 53},
		{"", NULL, 0},
		{"host", NULL, 0},
		{"192.0.2.0/24", NULL, 0},
		{"192.0.2.1:", NULL, 0},
		{"192.0.2.1:0", NULL, 0},
		{"192.0.2.1:65536", NULL, 0},
		{"192.0.2.1:+5", NULL, 0},
		{"192.0.2.1:53x", NULL, 0},
		{"[2001:db8::1", NULL, 0},
		{"[2001:db8::1]53", NULL, 0},
		{"fe80::1", NULL, 0},
		{"fe80::1%no-such-interface", NULL, 0},
		{"1111111111111111111111111111111111111111111111111111111111111111111111111111111", NULL, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct net_endpoint server;
		struct net_addr expected;
		sl_error error = {0};
		int r = dns_server_parse("net-dns", rows[i].text, &server, &error);

		if (r != (rows[i].address ? 0 : -EINVAL))
			fail_msg("\"%s\": %d", rows[i].text, r);
		if (r < 0) {
			assert_int_equal(error.code, -EINVAL);
			assert_memory_equal(error.message, "net-dns \"", 9);
			continue;
		}
		expected = address(rows[i].address);
		assert_memory_equal(&server.addr, &expected, sizeof(expected));
		assert_int_equal(server.port, rows[i].port);
	}
}

static void resolv_conf_is_read(void **state)
{
	static const struct {
		const char *text, *servers[DNS_SERVERS_MAX];
	} rows[] = {
		{"", {"127.0.0.1"}},
		{"search example.org\noptions edns0\n", {"127.0.0.1"}},
		{"nameserver 192.0.2.1", {"192.0.2.1"}},
		{"# nameserver 192.0.2.1\n nameserver 192.0.2.2\nnameserver\t2001:db8::1 # two\r\n",
	         {"2001:db8::1"}},
		{"nameserver192.0.2.1\nnameserver\nnameserver \nnameserver x\nnameserver 192.0.2.3\r\n",
	         {"192.0.2.3"}},
		{"nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n",
	         {"192.0.2.1", "192.0.2.2", "192.0.2.3"}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *text = strdup(rows[i].text);
		struct dns_servers servers;
		size_t count = 0;

		dns_servers_parse(text, &servers);
		for (; count < DNS_SERVERS_MAX && rows[i].servers[count] != NULL; count++) {
			struct net_addr expected = address(rows[i].servers[count]);

			assert_memory_equal(&servers.servers[count].addr, &expected, sizeof(expected));
			assert_int_equal(servers.servers[count].port, 53);
		}
		assert_int_equal(servers.count, count);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_query_is_read),
		cmocka_unit_test(names_of_rules_are_all_that_is_taken),
		cmocka_unit_test(a_dot_or_nul_inside_of_a_label_is_refused),
		cmocka_unit_test(the_longest_name_is_taken_and_one_more_byte_is_not),
		cmocka_unit_test(what_is_no_query_is_not_answered),
		cmocka_unit_test(a_query_that_is_cut_anywhere_is_malformed),
		cmocka_unit_test(strange_headers_get_their_code),
		cmocka_unit_test(pointers_in_a_question_are_malformed),
		cmocka_unit_test(the_clients_room_is_bounded_from_both_sides),
		cmocka_unit_test(an_opt_is_there_once_and_in_version_0),
		cmocka_unit_test(an_answer_holds_the_addresses_of_its_type),
		cmocka_unit_test(an_answer_repeats_only_what_was_asked),
		cmocka_unit_test(an_answer_fits_the_client),
		cmocka_unit_test(a_question_mixes_its_letters),
		cmocka_unit_test(only_host_names_are_asked_for),
		cmocka_unit_test(a_reply_gives_its_addresses),
		cmocka_unit_test(only_an_answer_to_the_question_is_taken),
		cmocka_unit_test(codes_and_truncation_are_told),
		cmocka_unit_test(cnames_are_followed_in_any_order),
		cmocka_unit_test(chains_have_an_end),
		cmocka_unit_test(cname_loops_have_an_end),
		cmocka_unit_test(pointers_lead_back_only),
		cmocka_unit_test(pointer_chains_end),
		cmocka_unit_test(names_do_not_grow_by_pointers),
		cmocka_unit_test(records_of_a_wrong_size_spoil_the_reply),
		cmocka_unit_test(other_classes_are_passed_over),
		cmocka_unit_test(more_addresses_than_there_is_room_for_are_dropped),
		cmocka_unit_test(servers_are_read),
		cmocka_unit_test(resolv_conf_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
