/* DNS messages, for the policy DNS: RFC 1035, RFC 6891. Pure. Every message is hostile: a query comes from the
 * confined program, a reply from the network. */
#ifndef SL_NETPOLICY_DNS_H
#define SL_NETPOLICY_DNS_H

#include "netpolicy/netpolicy.h"

enum {
	DNS_PORT = 53,
	DNS_NAME_TEXT = 254,             /* 253 and a NUL: what 255 bytes of wire can say */
	DNS_QUESTION_MAX = 255 + 4,      /* name, type, class */
	DNS_ASK_MAX = 12 + 255 + 4 + 11, /* header, question, OPT */
	DNS_MESSAGE_LEAST = 512,         /* what every client takes */
	DNS_MESSAGE_MAX = 1232,          /* what every network carries in one piece */
	DNS_ADDRS_MAX = NET_NAME_ADDRS_MAX,
	DNS_SERVERS_MAX = 3, /* as resolv.conf(5) */
};

enum dns_type { DNS_A = 1, DNS_CNAME = 5, DNS_AAAA = 28, DNS_OPT = 41 };
enum { DNS_CLASS_IN = 1 };

enum dns_code {
	DNS_NOERROR = 0,
	DNS_FORMERR = 1,
	DNS_SERVFAIL = 2,
	DNS_NXDOMAIN = 3,
	DNS_NOTIMP = 4,
	DNS_REFUSED = 5,
};

struct dns_query {
	uint16_t id, type, class;
	bool recursion, unchecked; /* the bits RD and CD, which an answer repeats */
	bool edns;
	uint16_t room;            /* how long an answer may be: DNS_MESSAGE_LEAST to DNS_MESSAGE_MAX */
	char name[DNS_NAME_TEXT]; /* lower case, no trailing dot */
	uint8_t question[DNS_QUESTION_MAX]; /* as it came, which an answer repeats */
	uint16_t question_size;             /* 0: none could be read */
};

/* DNS_NOERROR: to be decided. A code above it: to be answered with that code. -EBADMSG: not a query, and an answer
 * could make two servers talk to each other for ever. *query serves dns_answer_write() unless it failed. A name with
 * other bytes than letters, digits, "-" and "_" is DNS_REFUSED: it could not be a rule's. */
int dns_query_read(const uint8_t *message, size_t size, struct dns_query *query);

/* The addresses of the query's type among `addrs`, each with the question's name as its owner; as many as fit.
 * Returns the size. */
size_t dns_answer_write(const struct dns_query *query, enum dns_code code, const struct net_addr *addrs,
                        size_t count, uint32_t ttl, uint8_t answer[static DNS_MESSAGE_MAX]);

/* A question of our own for an upstream server. The letters' case comes from `random`, so that an answer from someone
 * who has not seen the question must guess more than the id. Size, or -EINVAL: `name` is no host name. */
enum { DNS_RANDOM = 2 + 32 };
int dns_ask_write(const char *name, enum dns_type type, bool edns, const uint8_t random[static DNS_RANDOM],
                  uint8_t ask[static DNS_ASK_MAX]);

struct dns_reply {
	enum dns_code code;
	bool truncated;
	uint32_t ttl; /* the least of all records on the way; 0 without addresses */
	size_t count;
	struct net_addr addrs[DNS_ADDRS_MAX];
};

/* What `message` says to the question `ask`: the addresses of the name, or of the name that its CNAMEs lead to.
 * -EBADMSG: not an answer to that. -EPROTO: one that is malformed, or whose chain of CNAMEs has no end. */
int dns_reply_read(const uint8_t *message, size_t size, const uint8_t *ask, size_t ask_size,
                   struct dns_reply *reply);

/* Whom to ask. */
struct dns_servers {
	struct net_endpoint servers[DNS_SERVERS_MAX];
	size_t count;
};

/* "ADDRESS" or "ADDRESS:PORT", IPv6 in brackets when a port follows. -EINVAL; `key` begins the message. */
int dns_server_parse(const char *key, const char *text, struct net_endpoint *server, sl_error *error);

/* The same, for policy_checks. */
int dns_server_check(const char *key, const char *text, sl_error *error);

/* The nameserver lines of a resolv.conf(5); 127.0.0.1 when there are none. `text` is cut up. */
void dns_servers_parse(char *text, struct dns_servers *servers);

/* The addresses of `localhost` and of what is below it, which nobody need be asked for: RFC 6761, 6.3. NULL for any other
 * name. */
const struct net_addr *dns_local(const char *name, size_t *count);

/* dns_resolve.c: what is not pure. */

/* Those of /etc/resolv.conf, read now. Takes no memory. */
void dns_servers_load(struct dns_servers *servers);

/* All addresses of a host, from the first server that answers; waits for up to 12 seconds. No search domains, no hosts
 * file; those of dns_local() without asking. */
int dns_resolve(const struct dns_servers *servers, const char *name, struct net_addr *addrs, size_t room,
                sl_error *error);

/* UDP, connected, does not block. -errno. */
int dns_socket_open(const struct net_endpoint *server);

#endif
