/* DNS messages. Reading goes through a cursor that never leaves the message: once it has failed, it stays failed and
 * gives zeros, so that a chain of reads needs one test at its end. */
#include "netpolicy/dns.h"

#include <errno.h>
#include <string.h>

#include "core/error.h"
#include "core/parse.h"
#include "netpolicy/addr.h"

enum {
	HEADER = 12,
	LABEL_MAX = 63,
	NAME_WIRE = 255,
	CHAIN_MAX = 8, /* CNAMEs one behind the other */
	OPT_SIZE = 11,
	POINTER = 0xc0,
	POINTER_TO_QUESTION = POINTER << 8 | HEADER,
};

/* The second 16 bits of a header. */
enum {
	BIT_RESPONSE = 0x8000,
	BITS_OPCODE = 0x7800,
	BIT_TRUNCATED = 0x0200,
	BIT_RECURSION = 0x0100,
	BIT_RECURSION_OFFERED = 0x0080,
	BIT_UNCHECKED = 0x0010,
	BITS_CODE = 0x000f,
};

struct cursor {
	const uint8_t *message;
	size_t size, at;
	bool failed;
};

static const uint8_t *cursor_take(struct cursor *cursor, size_t size)
{
	static const uint8_t zeros[NAME_WIRE + 1];
	const uint8_t *taken = cursor->message + cursor->at;

	if (cursor->failed || size > cursor->size - cursor->at) {
		cursor->failed = true;
		return zeros;
	}
	cursor->at += size;
	return taken;
}

static void cursor_skip(struct cursor *cursor, size_t size)
{
	if (cursor->failed || size > cursor->size - cursor->at)
		cursor->failed = true;
	else
		cursor->at += size;
}

static uint16_t get16(struct cursor *cursor)
{
	const uint8_t *bytes = cursor_take(cursor, 2);

	return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static uint32_t get32(struct cursor *cursor)
{
	uint32_t high = get16(cursor);

	return high << 16 | get16(cursor);
}

static uint8_t *put16(uint8_t *to, unsigned value)
{
	*to++ = (uint8_t)(value >> 8);
	*to++ = (uint8_t)value;
	return to;
}

static uint8_t *put32(uint8_t *to, uint32_t value)
{
	return put16(put16(to, value >> 16), value & 0xffff);
}

struct header {
	uint16_t id, bits, questions, answers, authorities, others;
};

static struct header header_get(struct cursor *cursor)
{
	struct header header;

	header.id = get16(cursor);
	header.bits = get16(cursor);
	header.questions = get16(cursor);
	header.answers = get16(cursor);
	header.authorities = get16(cursor);
	header.others = get16(cursor);
	return header;
}

static uint8_t *header_put(uint8_t *to, const struct header *header)
{
	to = put16(to, header->id);
	to = put16(to, header->bits);
	to = put16(to, header->questions);
	to = put16(to, header->answers);
	to = put16(to, header->authorities);
	return put16(to, header->others);
}

/* Names. */

/* On the wire, without pointers and in lower case, so that memcmp compares. */
struct wire_name {
	uint8_t bytes[NAME_WIRE];
	size_t size;
};

static uint8_t lower(uint8_t byte)
{
	return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte - 'A' + 'a') : byte;
}

static void label_append(struct cursor *cursor, struct wire_name *name, uint8_t length)
{
	const uint8_t *label = cursor_take(cursor, length);

	/* One byte stays free for the root's label. */
	if (name->size + 1u + length > NAME_WIRE - 1) {
		cursor->failed = true;
		return;
	}
	name->bytes[name->size++] = length;
	for (size_t i = 0; i < length; i++)
		name->bytes[name->size++] = lower(label[i]);
}

/* Moves the cursor behind the name. A pointer must lead to before the piece that it ends: so there is no loop. */
static void name_get(struct cursor *cursor, struct wire_name *name)
{
	struct cursor piece = *cursor;
	bool jumped = false;

	name->size = 0;
	for (size_t start = piece.at;;) {
		uint8_t length = *cursor_take(&piece, 1);

		if (length >= POINTER) {
			size_t target = (size_t)(length & ~POINTER) << 8 | *cursor_take(&piece, 1);

			if (!jumped)
				cursor->at = piece.at;
			jumped = true;
			piece.failed |= target >= start;
			piece.at = start = target;
		} else if (length > LABEL_MAX) {
			piece.failed = true;
		} else if (length > 0 && !piece.failed) {
			label_append(&piece, name, length);
		}
		if (piece.failed || length == 0)
			break;
	}
	name->bytes[name->size++] = 0;
	cursor->failed |= piece.failed;
	if (!jumped)
		cursor->at = piece.at;
}

static bool name_equal(const struct wire_name *a, const struct wire_name *b)
{
	return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
}

static bool byte_is_host(uint8_t byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '-' || byte == '_';
}

/* False: the root, or bytes that no host name has; a dot in a label would make two names look alike. */
static bool name_show(const struct wire_name *name, char text[static DNS_NAME_TEXT])
{
	size_t used = 0;

	for (size_t i = 0; name->bytes[i] != 0; i += 1u + name->bytes[i]) {
		if (i > 0)
			text[used++] = '.';
		for (size_t k = i + 1; k <= i + name->bytes[i]; k++) {
			if (!byte_is_host(name->bytes[k]))
				return false;
			text[used++] = (char)name->bytes[k];
		}
	}
	text[used] = '\0';
	return used > 0;
}

/* The text on the wire, or 0: it is no host name. */
static size_t name_put(const char *name, uint8_t to[static NAME_WIRE])
{
	size_t used = 0;

	if (strlen(name) > DNS_NAME_TEXT - 1)
		return 0;
	for (;;) {
		size_t length = strcspn(name, ".");

		if (length == 0 || length > LABEL_MAX)
			return 0;
		to[used++] = (uint8_t)length;
		for (size_t i = 0; i < length; i++) {
			if (!byte_is_host(lower((uint8_t)name[i])))
				return 0;
			to[used++] = lower((uint8_t)name[i]);
		}
		if (name[length] == '\0')
			break;
		name += length + 1;
	}
	to[used++] = 0;
	return used;
}

/* Records. */

struct record {
	struct wire_name owner;
	uint16_t type, class, size;
	uint32_t ttl;
	size_t data; /* where it begins */
};

static void record_get(struct cursor *cursor, struct record *record)
{
	name_get(cursor, &record->owner);
	record->type = get16(cursor);
	record->class = get16(cursor);
	record->ttl = get32(cursor);
	record->size = get16(cursor);
	record->data = cursor->at;
	cursor_skip(cursor, record->size);
	if (record->ttl > INT32_MAX)
		record->ttl = 0; /* RFC 2181, 8 */
}

/* Queries. */

static uint16_t clamp16(uint16_t value, uint16_t low, uint16_t high)
{
	return value < low ? low : value > high ? high : value;
}

/* Behind the question there may be an OPT record; other things are none of ours. */
static int query_read_others(struct cursor *cursor, const struct header *header, struct dns_query *query)
{
	unsigned count = (unsigned)header->answers + header->authorities + header->others;

	for (unsigned i = 0; i < count && !cursor->failed; i++) {
		struct record record;

		record_get(cursor, &record);
		if (cursor->failed || record.type != DNS_OPT)
			continue;
		/* One, of the root, in version 0. */
		if (query->edns || record.owner.size != 1 || (record.ttl >> 16 & 0xff) != 0)
			return DNS_FORMERR;
		query->edns = true;
		query->room = clamp16(record.class, DNS_MESSAGE_LEAST, DNS_MESSAGE_MAX);
	}
	return cursor->failed ? DNS_FORMERR : DNS_NOERROR;
}

static int query_read_question(struct cursor *cursor, struct dns_query *query)
{
	size_t start = cursor->at;
	struct wire_name name;

	name_get(cursor, &name);
	query->type = get16(cursor);
	query->class = get16(cursor);
	/* A pointer cannot lead anywhere from here, but to the header. */
	if (cursor->failed || cursor->at - start != name.size + 4)
		return DNS_FORMERR;
	query->question_size = (uint16_t)(cursor->at - start);
	memcpy(query->question, cursor->message + start, query->question_size);
	return name_show(&name, query->name) ? DNS_NOERROR : DNS_REFUSED;
}

int dns_query_read(const uint8_t *message, size_t size, struct dns_query *query)
{
	struct cursor cursor = {.message = message, .size = size};
	struct header header = header_get(&cursor);
	int code, others;

	if (cursor.failed || header.bits & BIT_RESPONSE)
		return -EBADMSG;
	*query = (struct dns_query){.id = header.id, .room = DNS_MESSAGE_LEAST};
	query->recursion = header.bits & BIT_RECURSION;
	query->unchecked = header.bits & BIT_UNCHECKED;
	if (header.bits & BITS_OPCODE)
		return DNS_NOTIMP;
	if (header.questions != 1)
		return DNS_FORMERR;
	code = query_read_question(&cursor, query);
	if (code == DNS_FORMERR)
		return code;
	if ((others = query_read_others(&cursor, &header, query)) != DNS_NOERROR)
		return others;
	return query->class == DNS_CLASS_IN ? code : DNS_REFUSED;
}

/* Answers. */

static size_t addr_size(const struct net_addr *addr)
{
	return addr->family == AF_INET ? 4 : 16;
}

static enum dns_type addr_type(const struct net_addr *addr)
{
	return addr->family == AF_INET ? DNS_A : DNS_AAAA;
}

static uint8_t *addr_put(uint8_t *to, const struct net_addr *addr, uint32_t ttl)
{
	to = put16(to, POINTER_TO_QUESTION);
	to = put16(to, addr_type(addr));
	to = put16(to, DNS_CLASS_IN);
	to = put32(to, ttl);
	to = put16(to, (unsigned)addr_size(addr));
	memcpy(to, addr->bytes, addr_size(addr));
	return to + addr_size(addr);
}

static uint8_t *opt_put(uint8_t *to)
{
	*to++ = 0;
	to = put16(to, DNS_OPT);
	to = put16(to, DNS_MESSAGE_MAX);
	to = put32(to, 0);
	return put16(to, 0);
}

size_t dns_answer_write(const struct dns_query *query, enum dns_code code, const struct net_addr *addrs,
                        size_t count, uint32_t ttl, uint8_t answer[static DNS_MESSAGE_MAX])
{
	struct header header = {
		.id = query->id,
		.bits = (uint16_t)(BIT_RESPONSE | BIT_RECURSION_OFFERED | code),
		.questions = query->question_size > 0,
		.others = query->edns,
	};
	uint8_t *at = answer + HEADER, *end = answer + query->room - (query->edns ? OPT_SIZE : 0);

	memcpy(at, query->question, query->question_size);
	at += query->question_size;
	for (size_t i = 0; i < count; i++) {
		if (addr_type(&addrs[i]) != query->type)
			continue;
		if ((size_t)(end - at) < 12 + addr_size(&addrs[i]))
			break;
		at = addr_put(at, &addrs[i], ttl);
		header.answers++;
	}
	if (query->edns)
		at = opt_put(at);
	header.bits |=
		(uint16_t)((query->recursion ? BIT_RECURSION : 0) | (query->unchecked ? BIT_UNCHECKED : 0));
	header_put(answer, &header);
	return (size_t)(at - answer);
}

/* Asking others. */

/* Length bytes are below 'A', so only letters change. */
static void case_mix(uint8_t *name, size_t size, const uint8_t *random)
{
	for (size_t i = 0; i < size; i++)
		if (name[i] >= 'a' && name[i] <= 'z' && random[i / 8] >> i % 8 & 1)
			name[i] = (uint8_t)(name[i] - 'a' + 'A');
}

int dns_ask_write(const char *name, enum dns_type type, bool edns, const uint8_t random[static DNS_RANDOM],
                  uint8_t ask[static DNS_ASK_MAX])
{
	struct header header = {
		.id = (uint16_t)(random[0] << 8 | random[1]),
		.bits = BIT_RECURSION,
		.questions = 1,
		.others = edns,
	};
	uint8_t *at = header_put(ask, &header);
	size_t size = name_put(name, at);

	if (size == 0)
		return -EINVAL;
	case_mix(at, size, random + 2);
	at = put16(put16(at + size, type), DNS_CLASS_IN);
	if (edns)
		at = opt_put(at);
	return (int)(at - ask);
}

/* What the records of the answer section say of one name. */
struct harvest {
	struct wire_name name;
	enum dns_type type;
	unsigned links; /* CNAMEs that led to `name` */
};

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static void address_take(const struct cursor *cursor, const struct record *record, struct dns_reply *reply)
{
	struct net_addr *addr = &reply->addrs[reply->count];

	if (reply->count == DNS_ADDRS_MAX)
		return;
	*addr = (struct net_addr){.family = record->type == DNS_A ? AF_INET : AF_INET6};
	memcpy(addr->bytes, cursor->message + record->data, record->size);
	reply->count++;
}

static void record_harvest(struct cursor *cursor, const struct record *record, struct harvest *harvest,
                           struct dns_reply *reply)
{
	if (record->class != DNS_CLASS_IN || !name_equal(&record->owner, &harvest->name))
		return;
	if (record->type == harvest->type) {
		cursor->failed |= record->size != (record->type == DNS_A ? 4 : 16);
		if (cursor->failed)
			return;
		address_take(cursor, record, reply);
		reply->ttl = least(reply->ttl, record->ttl);
	} else if (record->type == DNS_CNAME) {
		struct cursor data = {.message = cursor->message, .size = cursor->at, .at = record->data};

		/* The name must end where the record does. */
		name_get(&data, &harvest->name);
		cursor->failed |= data.failed || data.at != cursor->at || ++harvest->links > CHAIN_MAX;
		reply->ttl = least(reply->ttl, record->ttl);
	}
}

/* Once over the section, from `cursor` on; a message that ends early was cut if it says so. */
static bool section_harvest(struct cursor cursor, const struct header *header, struct harvest *harvest,
                            struct dns_reply *reply)
{
	for (unsigned i = 0; i < header->answers; i++) {
		struct record record;

		if (reply->truncated && cursor.at == cursor.size)
			return true;
		record_get(&cursor, &record);
		if (!cursor.failed)
			record_harvest(&cursor, &record, harvest, reply);
		if (cursor.failed)
			return false;
	}
	return true;
}

/* The links of a chain may be in any order in the message: each time over finds one at least. */
static int reply_harvest(const struct cursor *cursor, const struct header *header, struct harvest *harvest,
                         struct dns_reply *reply)
{
	unsigned links;

	do {
		links = harvest->links;
		if (!section_harvest(*cursor, header, harvest, reply))
			return -EPROTO;
	} while (reply->count == 0 && harvest->links > links);
	if (reply->count == 0)
		reply->ttl = 0;
	return 0;
}

int dns_reply_read(const uint8_t *message, size_t size, const uint8_t *ask, size_t ask_size,
                   struct dns_reply *reply)
{
	struct cursor cursor = {.message = message, .size = size}, asked = {.message = ask, .size = ask_size};
	struct header header = header_get(&cursor), sent = header_get(&asked);
	struct harvest harvest;
	size_t question;

	harvest.links = 0;
	name_get(&asked, &harvest.name);
	harvest.type = get16(&asked);
	cursor_skip(&asked, 2);
	question = asked.at - HEADER;
	if (cursor.failed || asked.failed || header.id != sent.id || header.questions != 1 ||
	    (header.bits & (BIT_RESPONSE | BITS_OPCODE)) != BIT_RESPONSE)
		return -EBADMSG;
	/* Byte for byte: the case of its letters is a part of our secret. */
	if (memcmp(cursor_take(&cursor, question), ask + HEADER, question) != 0)
		return -EBADMSG;
	*reply = (struct dns_reply){
		.code = header.bits & BITS_CODE,
		.truncated = header.bits & BIT_TRUNCATED,
		.ttl = UINT32_MAX,
	};
	return reply_harvest(&cursor, &header, &harvest, reply);
}

/* Servers. */

static int server_error(const char *key, const char *text, const char *expected, sl_error *error)
{
	return error_set(error, -EINVAL, "%s \"%.100s\": %s", key, text, expected);
}

/* *port points to the text behind the address, or is NULL; `address` is cut there. */
static bool server_split(char *address, char **start, char **port)
{
	char *end;

	*start = address;
	*port = NULL;
	if (address[0] == '[') {
		if ((end = strchr(address, ']')) == NULL || (end[1] != '\0' && end[1] != ':'))
			return false;
		*start = address + 1;
		*port = end[1] == ':' ? end + 2 : NULL;
		*end = '\0';
	} else if ((end = strchr(address, ':')) != NULL && strchr(end + 1, ':') == NULL) {
		*port = end + 1;
		*end = '\0';
	}
	return true;
}

int dns_server_parse(const char *key, const char *text, struct net_endpoint *server, sl_error *error)
{
	static const char expected[] = "expected ADDRESS or ADDRESS:PORT, an IPv6 address in brackets";
	char copy[ADDR_TEXT + 16], *start, *port;
	uint64_t number;
	unsigned prefix;
	int r;

	*server = (struct net_endpoint){.port = DNS_PORT};
	if (strlen(text) >= sizeof(copy))
		return server_error(key, text, expected, error);
	strcpy(copy, text);
	if (!server_split(copy, &start, &port) || strchr(start, '/') != NULL)
		return server_error(key, text, expected, error);
	if (port != NULL && number_parse(port, 1, UINT16_MAX, &number) < 0)
		return server_error(key, text, "the port must be 1 to 65535", error);
	if (port != NULL)
		server->port = (uint16_t)number;
	if ((r = cidr_parse(start, &server->addr, &prefix)) == -ENODEV)
		return server_error(key, text, "no such interface", error);
	if (r < 0)
		return server_error(key, text, expected, error);
	if (addr_is_link_local(&server->addr) && server->addr.family == AF_INET6 && server->addr.scope == 0)
		return server_error(key, text, "a link-local address needs its %interface", error);
	return 0;
}

int dns_server_check(const char *key, const char *text, sl_error *error)
{
	struct net_endpoint server;

	return dns_server_parse(key, text, &server, error);
}

/* As resolv.conf(5) has it: the keyword begins its line; what cannot be read is passed over. */
static const char *nameserver_of(char *line)
{
	static const char keyword[] = "nameserver";
	const size_t length = sizeof(keyword) - 1;

	if (strncmp(line, keyword, length) != 0 || (line[length] != ' ' && line[length] != '\t'))
		return NULL;
	line += length + strspn(line + length, " \t");
	line[strcspn(line, " \t\r#;")] = '\0';
	return line;
}

void dns_servers_parse(char *text, struct dns_servers *servers)
{
	char *line;

	*servers = (struct dns_servers){0};
	while (servers->count < DNS_SERVERS_MAX && (line = strsep(&text, "\n")) != NULL) {
		const char *server = nameserver_of(line);

		if (server == NULL || strchr(server, '[') != NULL)
			continue;
		if (dns_server_parse("nameserver", server, &servers->servers[servers->count], NULL) == 0)
			servers->count++;
	}
	if (servers->count == 0) {
		dns_server_parse("nameserver", "127.0.0.1", &servers->servers[0], NULL);
		servers->count = 1;
	}
}

const struct net_addr *dns_local(const char *name, size_t *count)
{
	static const struct net_addr loopback[] = {
		{.family = AF_INET, .bytes = {127, 0, 0, 1}},
		{.family = AF_INET6, .bytes = {[15] = 1}},
	};
	static const char local[] = "localhost";
	size_t length = strlen(name), tail = sizeof(local) - 1;

	*count = sizeof(loopback) / sizeof(loopback[0]);
	if (length < tail || strcmp(name + length - tail, local) != 0)
		return NULL;
	return length == tail || name[length - tail - 1] == '.' ? loopback : NULL;
}
