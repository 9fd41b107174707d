/* Any bytes as a query, as a reply, and as a resolv.conf(5). The first byte picks the question that a reply is one to.
 * A query that is taken must be answered with a message that is no longer than its client takes, that repeats the
 * question, and that reads as a reply with the addresses that went in. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "netpolicy/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A block of just this size, so that ASan sees a read behind it. */
static uint8_t *exact_copy(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size > 0 ? size : 1);

	assert(copy != NULL);
	memcpy(copy, data, size);
	return copy;
}

static bool is_host_byte(char byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || strchr("-_.", byte) != NULL;
}

static void name_check(const char *name)
{
	size_t length = strnlen(name, DNS_NAME_TEXT);

	assert(length > 0 && length < DNS_NAME_TEXT);
	assert(name[0] != '.' && name[length - 1] != '.' && strstr(name, "..") == NULL);
	for (size_t i = 0; i < length; i++)
		assert(is_host_byte(name[i]));
}

/* Our answer, read as if a server had given it to the same question. */
static void answer_check(const struct dns_query *query, enum dns_code code)
{
	static const struct net_addr addrs[] = {
		{.family = AF_INET, .bytes = {192, 0, 2, 1}},
		{.family = AF_INET6, .bytes = {0x20, 1, 0xd, 0xb8, [15] = 1}},
	};
	uint8_t answer[DNS_MESSAGE_MAX],
		ask[DNS_ASK_MAX] = {(uint8_t)(query->id >> 8), (uint8_t)query->id, 0, 0, 0, 1};
	size_t size = dns_answer_write(query, code, addrs, code == DNS_NOERROR ? 2 : 0, 30, answer);
	bool known = query->type == DNS_A || query->type == DNS_AAAA;
	struct dns_reply reply;

	assert(size >= 12 + query->question_size && size <= query->room);
	if (query->question_size == 0)
		return;
	memcpy(ask + 12, query->question, query->question_size);
	assert(dns_reply_read(answer, size, ask, 12u + query->question_size, &reply) == 0);
	assert(reply.code == code && !reply.truncated);
	assert(reply.count == (code == DNS_NOERROR && known));
	assert(reply.count == 0 || (reply.ttl == 30 && memcmp(&reply.addrs[0], &addrs[query->type != DNS_A],
	                                                      sizeof(addrs[0])) == 0));
}

static void query_check(const uint8_t *data, size_t size)
{
	uint8_t ask[DNS_ASK_MAX], random[DNS_RANDOM] = {0};
	struct dns_query query, again;
	int code = dns_query_read(data, size, &query), written;

	assert(code == -EBADMSG || (code >= DNS_NOERROR && code <= DNS_REFUSED));
	if (code < 0)
		return;
	assert(query.room >= DNS_MESSAGE_LEAST && query.room <= DNS_MESSAGE_MAX);
	assert(query.question_size <= DNS_QUESTION_MAX);
	answer_check(&query, (enum dns_code)code);
	if (code != DNS_NOERROR)
		return;
	name_check(query.name);
	written = dns_ask_write(query.name, DNS_A, query.edns, random, ask);
	assert(written > 0 && written <= DNS_ASK_MAX);
	assert(dns_query_read(ask, (size_t)written, &again) == DNS_NOERROR);
	assert(strcmp(query.name, again.name) == 0 && query.edns == again.edns);
}

static void reply_check(const uint8_t *data, size_t size, enum dns_type type)
{
	uint8_t ask[DNS_ASK_MAX], random[DNS_RANDOM] = {0};
	int written = dns_ask_write("a.example", type, false, random, ask), r;
	struct dns_reply reply;

	assert(written > 0);
	/* What would be passed over for its id or question is no use. */
	if (size >= (size_t)written) {
		uint8_t *forged = exact_copy(data, size);

		memcpy(forged, ask, 2);
		forged[2] = (uint8_t)((forged[2] | 0x80) & 0x87);
		memcpy(forged + 4, ask + 4, 2);
		memcpy(forged + 12, ask + 12, (size_t)written - 12);
		r = dns_reply_read(forged, size, ask, (size_t)written, &reply);
		free(forged);
		assert(r == 0 || r == -EPROTO);
	} else {
		assert(dns_reply_read(data, size, ask, (size_t)written, &reply) == -EBADMSG);
		return;
	}
	if (r < 0)
		return;
	assert(reply.count <= DNS_ADDRS_MAX && (reply.count > 0 || reply.ttl == 0) && reply.ttl <= INT32_MAX);
	for (size_t i = 0; i < reply.count; i++)
		assert(reply.addrs[i].family == (type == DNS_A ? AF_INET : AF_INET6) &&
		       reply.addrs[i].scope == 0);
}

static void text_check(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);
	struct dns_servers servers;

	assert(text != NULL);
	dns_servers_parse(text, &servers);
	assert(servers.count > 0 && servers.count <= DNS_SERVERS_MAX);
	for (size_t i = 0; i < servers.count; i++)
		assert(servers.servers[i].port > 0);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *exact;

	if (size == 0)
		return 0;
	exact = exact_copy(data + 1, size - 1);
	query_check(exact, size - 1);
	reply_check(exact, size - 1, data[0] & 1 ? DNS_A : DNS_AAAA);
	text_check(exact, size - 1);
	free(exact);
	return 0;
}
