/* The policy DNS: a server on loopback that knows the names of the rules and no others. What a confined program sends
 * to port 53 of any address gets here. See docs/dns.md.
 *
 * Whoever can reach loopback may ask too, and gets the same answers. What it costs is bounded: so many questions
 * under way, so many in a second, no memory. */
#ifndef SL_SUPERVISE_DNS_H
#define SL_SUPERVISE_DNS_H

#include <ev.h>

#include "netpolicy/dns.h"

enum {
	DNS_FLIGHTS_MAX = 128,     /* questions to upstream servers that wait for an answer */
	DNS_ASKS_PER_SECOND = 512, /* to upstream servers */
	DNS_SOCKETS_PER_SERVER = 8,
	DNS_TRIES = 3,
	DNS_WAIT_SECONDS = 2,
	DNS_TTL_PINNED = 30,
	DNS_TTL_LEAST = 60,
	DNS_TTL_MOST = 3600,
	DNS_GRACE_SECONDS = 60, /* from when a client forgets an address to when its pin ends */
};

enum { DNS_DOOR_V4, DNS_DOOR_V6, DNS_DOORS };

struct dns;

/* Where questions come in. */
struct dns_door {
	int fd; /* -1: this host has no such loopback address */
	struct net_endpoint endpoint;
	struct ev_io ready;
	struct dns *dns;
};

/* Where they go out. */
struct dns_socket {
	int fd;
	unsigned waiting; /* flights */
	const struct net_endpoint *server;
	struct ev_io ready;
	struct dns *dns;
};

struct dns_client {
	const struct dns_door *door;
	struct sockaddr_storage address;
	socklen_t size;
	struct dns_query query;
};

struct dns_flight {
	bool used, edns;
	unsigned tries, first; /* the server that the first try went to */
	struct dns_client client;
	struct dns_socket *socket; /* NULL between two tries */
	uint8_t ask[DNS_ASK_MAX];
	size_t ask_size;
	struct ev_timer timeout;
	struct dns *dns;
};

struct dns {
	const struct net_table *table;
	struct net_pins *pins;
	struct dns_servers servers;
	struct ev_loop *loop;
	int others;         /* epoll: readable when one of ours is */
	unsigned under_way; /* flights */
	struct dns_door doors[DNS_DOORS];
	struct dns_socket sockets[DNS_SERVERS_MAX * DNS_SOCKETS_PER_SERVER];
	struct dns_flight flights[DNS_FLIGHTS_MAX];
	int64_t second; /* of the count below */
	unsigned asks;
};

/* Opens all sockets; to be called before the supervisor locks itself in, and needs no memory. -errno. */
int dns_open(struct dns *dns, const struct net_table *table, struct net_pins *pins,
             const struct dns_servers *servers);

/* Serve on that loop. Every socket is put into the epoll `others` too, for who waits for it outside of the loop; while
 * dns->under_way, the loop's timers are needed besides. */
void dns_watch(struct dns *dns, struct ev_loop *loop, int others);

/* Is that a question for the policy DNS: UDP to port 53, names in the policy, and no rule that lets it through? `dns` may
 * be NULL. */
bool dns_takes(const struct dns *dns, enum net_protocol protocol, const struct net_endpoint *endpoint);

/* Where it goes instead, on a socket of `family`: an address of the endpoint's own kind, so that a socket that
 * takes no IPv4, or is bound to an IPv4 address, works as it would natively. Returns its size. */
socklen_t dns_address(const struct dns *dns, const struct net_endpoint *endpoint, int family,
                      struct sockaddr_storage *address);

#endif
