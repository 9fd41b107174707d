/* The policy DNS.
 *
 *     client ──> door ──> what do the rules say of the name?
 *                           pinned    answered at once
 *                           open      flight ──> upstream ──> which addresses may it have? ──> pinned, answered
 *                           unknown   "no such name"
 *
 * Nothing of an upstream message is passed on: answers are built anew from the addresses that were let in. */
#include "supervise/dns.h"

#include <errno.h>
#include <sys/epoll.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/random.h>

#include "core/fd.h"
#include "supervise/gate.h"

/* Of one socket before the others on the loop get their turn. */
enum { MESSAGES_PER_TURN = 32 };

/* Answering. */

static void client_answer(const struct dns_client *client, enum dns_code code, const struct net_addr *addrs,
                          size_t count, uint32_t ttl)
{
	uint8_t answer[DNS_MESSAGE_MAX];
	size_t size = dns_answer_write(&client->query, code, addrs, count, ttl, answer);

	/* A client that cannot take it asks again, as it does on any network. */
	sendto(client->door->fd, answer, size, MSG_DONTWAIT | MSG_NOSIGNAL,
	       (const struct sockaddr *)&client->address, client->size);
}

static void client_refuse(const struct dns_client *client, enum dns_code code)
{
	client_answer(client, code, NULL, 0, 0);
}

/* Upstream. */

static void flight_end(struct dns_flight *flight)
{
	ev_timer_stop(flight->dns->loop, &flight->timeout);
	if (flight->socket != NULL)
		flight->socket->waiting--;
	flight->socket = NULL;
	flight->used = false;
	flight->dns->under_way--;
}

/* While nobody waits on a socket it can get another port: one more thing that a forger must guess. */
static int socket_renew(struct dns_socket *socket)
{
	static const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
	struct sockaddr_storage address;
	socklen_t size = net_endpoint_write(socket->server, socket->server->addr.family, &address);

	if (socket->waiting > 0)
		return 0;
	connect(socket->fd, &nobody, sizeof(nobody));
	return connect(socket->fd, (const struct sockaddr *)&address, size) < 0 ? -errno : 0;
}

static bool ask_is_due(struct dns *dns)
{
	int64_t now = gate_seconds();

	if (now != dns->second)
		dns->asks = 0;
	dns->second = now;
	return dns->asks++ < DNS_ASKS_PER_SECOND;
}

static int flight_send(struct dns_flight *flight, unsigned server)
{
	struct dns *dns = flight->dns;
	uint8_t random[DNS_RANDOM + 1];
	struct dns_socket *socket;
	int size, r;

	if (getrandom(random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
		return -EIO;
	socket = &dns->sockets[server * DNS_SOCKETS_PER_SERVER + random[DNS_RANDOM] % DNS_SOCKETS_PER_SERVER];
	size = dns_ask_write(flight->client.query.name, flight->client.query.type, flight->edns, random,
	                     flight->ask);
	if (size < 0)
		return size;
	if (socket->fd < 0 || (r = socket_renew(socket)) < 0)
		return socket->fd < 0 ? socket->fd : r;
	if (sendto(socket->fd, flight->ask, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0) < 0)
		return -errno;
	flight->ask_size = (size_t)size;
	flight->socket = socket;
	socket->waiting++;
	return 0;
}

/* The first try, or the next after one that came to nothing. */
static void flight_try(struct dns_flight *flight)
{
	struct dns *dns = flight->dns;

	ev_timer_stop(dns->loop, &flight->timeout);
	if (flight->socket != NULL)
		flight->socket->waiting--;
	flight->socket = NULL;
	while (flight->tries < DNS_TRIES && ask_is_due(dns)) {
		unsigned server = (flight->first + flight->tries++) % (unsigned)dns->servers.count;

		if (flight_send(flight, server) < 0)
			continue;
		ev_timer_set(&flight->timeout, DNS_WAIT_SECONDS, 0.);
		ev_timer_start(dns->loop, &flight->timeout);
		return;
	}
	client_refuse(&flight->client, DNS_SERVFAIL);
	flight_end(flight);
}

static void flight_timed_out(struct ev_loop *loop, struct ev_timer *timer, int events)
{
	(void)loop, (void)events;
	flight_try(timer->data);
}

static void flight_start(struct dns *dns, const struct dns_client *client)
{
	struct dns_flight *flight = dns->flights, *end = flight + DNS_FLIGHTS_MAX;

	while (flight < end && flight->used)
		flight++;
	if (flight == end) {
		client_refuse(client, DNS_SERVFAIL);
		return;
	}
	dns->under_way++;
	*flight = (struct dns_flight){.used = true, .edns = true, .client = *client, .dns = dns};
	ev_timer_init(&flight->timeout, flight_timed_out, DNS_WAIT_SECONDS, 0.);
	flight->timeout.data = flight;
	flight_try(flight);
}

static uint32_t ttl_clamp(uint32_t ttl)
{
	return ttl < DNS_TTL_LEAST ? DNS_TTL_LEAST : ttl > DNS_TTL_MOST ? DNS_TTL_MOST : ttl;
}

/* The addresses that the rules let in are moved to the front. */
static void reply_pin(struct dns *dns, const char *name, struct dns_reply *reply)
{
	int64_t expires = gate_seconds() + ttl_clamp(reply->ttl) + DNS_GRACE_SECONDS;
	size_t kept = 0;

	for (size_t i = 0; i < reply->count; i++)
		if (net_pins_add(dns->pins, dns->table, name, &reply->addrs[i], expires) == 0)
			reply->addrs[kept++] = reply->addrs[i];
	reply->count = kept;
}

static void flight_answer(struct dns_flight *flight, struct dns_reply *reply)
{
	const struct dns_client *client = &flight->client;

	if (reply->code == DNS_NXDOMAIN) {
		client_refuse(client, DNS_NXDOMAIN);
	} else {
		reply_pin(flight->dns, client->query.name, reply);
		client_answer(client, DNS_NOERROR, reply->addrs, reply->count, ttl_clamp(reply->ttl));
	}
	flight_end(flight);
}

static void flight_reply(struct dns_flight *flight, struct dns_reply *reply)
{
	bool cut = reply->truncated && reply->count == 0;

	if (reply->code == DNS_FORMERR || reply->code == DNS_NOTIMP)
		flight->edns = false; /* a server from before RFC 6891 */
	if (reply->code == DNS_NXDOMAIN || (reply->code == DNS_NOERROR && !cut))
		flight_answer(flight, reply);
	else
		flight_try(flight);
}

static void message_take(struct dns_socket *socket, const uint8_t *message, size_t size)
{
	struct dns_flight *flights = socket->dns->flights;

	for (size_t i = 0; i < DNS_FLIGHTS_MAX; i++) {
		struct dns_reply reply;
		int r;

		if (!flights[i].used || flights[i].socket != socket)
			continue;
		r = dns_reply_read(message, size, flights[i].ask, flights[i].ask_size, &reply);
		if (r == -EBADMSG)
			continue;
		if (r == 0)
			flight_reply(&flights[i], &reply);
		else
			flight_try(&flights[i]);
		return;
	}
}

/* An ICMP error: nobody is there. Flights that try again may get this socket again, so each is taken once. */
static void socket_failed(struct dns_socket *socket)
{
	struct dns_flight *flights = socket->dns->flights;
	bool affected[DNS_FLIGHTS_MAX];

	for (size_t i = 0; i < DNS_FLIGHTS_MAX; i++)
		affected[i] = flights[i].used && flights[i].socket == socket;
	for (size_t i = 0; i < DNS_FLIGHTS_MAX; i++)
		if (affected[i])
			flight_try(&flights[i]);
}

static void socket_ready(struct ev_loop *loop, struct ev_io *watcher, int events)
{
	struct dns_socket *socket = watcher->data;

	(void)loop, (void)events;
	for (int i = 0; i < MESSAGES_PER_TURN; i++) {
		uint8_t message[DNS_MESSAGE_MAX];
		ssize_t got = recvfrom(socket->fd, message, sizeof(message), MSG_DONTWAIT, NULL, NULL);

		if (got >= 0)
			message_take(socket, message, (size_t)got);
		else if (errno != EAGAIN && errno != EINTR)
			socket_failed(socket);
		else
			return;
	}
}

/* Questions. */

/* Addresses only: what else open names have is not asked for, and is said not to be there. */
static void open_decide(struct dns *dns, const struct dns_client *client)
{
	if (client->query.type == DNS_A || client->query.type == DNS_AAAA)
		flight_start(dns, client);
	else
		client_refuse(client, DNS_NOERROR);
}

static void client_decide(struct dns *dns, const struct dns_client *client)
{
	const struct net_addr *addrs;
	size_t count;

	switch (net_table_name(dns->table, client->query.name, &addrs, &count)) {
	case NET_NAME_PINNED:
		client_answer(client, DNS_NOERROR, addrs, count, DNS_TTL_PINNED);
		return;
	case NET_NAME_OPEN:
		open_decide(dns, client);
		return;
	case NET_NAME_UNKNOWN:
		break;
	}
	if ((addrs = dns_local(client->query.name, &count)) != NULL)
		client_answer(client, DNS_NOERROR, addrs, count, DNS_TTL_PINNED);
	else
		client_refuse(client, DNS_NXDOMAIN);
}

static void door_ready(struct ev_loop *loop, struct ev_io *watcher, int events)
{
	struct dns_door *door = watcher->data;

	(void)loop, (void)events;
	for (int i = 0; i < MESSAGES_PER_TURN; i++) {
		struct dns_client client = {.door = door, .size = sizeof(client.address)};
		uint8_t message[DNS_MESSAGE_MAX];
		ssize_t got = recvfrom(door->fd, message, sizeof(message), MSG_DONTWAIT,
		                       (struct sockaddr *)&client.address, &client.size);
		int code;

		if (got < 0)
			return;
		code = dns_query_read(message, (size_t)got, &client.query);
		if (code == DNS_NOERROR)
			client_decide(door->dns, &client);
		else if (code > 0)
			client_refuse(&client, (enum dns_code)code);
	}
}

/* Starting. */

static int door_open(struct dns_door *door, const struct net_addr *addr)
{
	struct net_endpoint any_port = {.addr = *addr};
	struct sockaddr_storage address;
	socklen_t size = net_endpoint_write(&any_port, addr->family, &address);

	door->fd = socket(addr->family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (door->fd < 0 || bind(door->fd, (struct sockaddr *)&address, size) < 0 ||
	    getsockname(door->fd, (struct sockaddr *)&address, &size) < 0)
		return -errno;
	door->endpoint = (struct net_endpoint){.addr = *addr};
	door->endpoint.port = ntohs(addr->family == AF_INET ? ((struct sockaddr_in *)&address)->sin_port
	                                                    : ((struct sockaddr_in6 *)&address)->sin6_port);
	return 0;
}

static int doors_open(struct dns *dns)
{
	static const struct net_addr addrs[DNS_DOORS] = {
		[DNS_DOOR_V4] = {.family = AF_INET, .bytes = {127, 0, 0, 1}},
		[DNS_DOOR_V6] = {.family = AF_INET6, .bytes = {[15] = 1}},
	};
	int r;

	for (size_t i = 0; i < DNS_DOORS; i++) {
		struct dns_door *door = &dns->doors[i];

		door->dns = dns;
		r = door_open(door, &addrs[i]);
		/* A host without IPv6 has nobody who would ask over it. */
		if (i == DNS_DOOR_V6 && (r == -EADDRNOTAVAIL || r == -EAFNOSUPPORT))
			fd_close(&door->fd);
		else if (r < 0)
			return r;
	}
	return 0;
}

/* A server that cannot be reached now may be reached later. */
static int sockets_open(struct dns *dns)
{
	for (size_t i = 0; i < dns->servers.count * DNS_SOCKETS_PER_SERVER; i++) {
		struct dns_socket *upstream = &dns->sockets[i];

		upstream->dns = dns;
		upstream->server = &dns->servers.servers[i / DNS_SOCKETS_PER_SERVER];
		upstream->fd =
			socket(upstream->server->addr.family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (upstream->fd < 0 && errno != EAFNOSUPPORT)
			return -errno;
	}
	return 0;
}

int dns_open(struct dns *dns, const struct net_table *table, struct net_pins *pins,
             const struct dns_servers *servers)
{
	int r;

	dns->table = table;
	dns->pins = pins;
	dns->servers = *servers;
	if ((r = doors_open(dns)) < 0)
		return r;
	return sockets_open(dns);
}

static void fd_watch(struct dns *dns, struct ev_io *watcher, int fd,
                     void (*ready)(struct ev_loop *loop, struct ev_io *watcher, int events), void *data)
{
	struct epoll_event event = {.events = EPOLLIN};

	if (fd < 0)
		return;
	ev_io_init(watcher, ready, fd, EV_READ);
	watcher->data = data;
	ev_io_start(dns->loop, watcher);
	epoll_ctl(dns->others, EPOLL_CTL_ADD, fd, &event);
}

void dns_watch(struct dns *dns, struct ev_loop *loop, int others)
{
	dns->loop = loop;
	dns->others = others;
	for (size_t i = 0; i < DNS_DOORS; i++)
		fd_watch(dns, &dns->doors[i].ready, dns->doors[i].fd, door_ready, &dns->doors[i]);
	for (size_t i = 0; i < dns->servers.count * DNS_SOCKETS_PER_SERVER; i++)
		fd_watch(dns, &dns->sockets[i].ready, dns->sockets[i].fd, socket_ready, &dns->sockets[i]);
}

/* The gate's questions. */

bool dns_takes(const struct dns *dns, enum net_protocol protocol, const struct net_endpoint *endpoint)
{
	return dns != NULL && protocol == NET_UDP && endpoint->port == DNS_PORT &&
	       !net_decide(dns->table, dns->pins, gate_seconds(), protocol, endpoint);
}

socklen_t dns_address(const struct dns *dns, const struct net_endpoint *endpoint, int family,
                      struct sockaddr_storage *address)
{
	bool v6 = endpoint->addr.family == AF_INET6 && dns->doors[DNS_DOOR_V6].fd >= 0;

	return net_endpoint_write(&dns->doors[v6 ? DNS_DOOR_V6 : DNS_DOOR_V4].endpoint, family, address);
}
