/* port-remap: the map of ports.h, and the kernel's word on who holds what.
 *
 * Nothing tells when the target closes a socket, and a duplicate of ours would keep it bound. So each entry has an epoll
 * of its own, in which the sockets are registered that were bound through it. A registration lasts as long as the
 * socket is open anywhere, whatever descriptors it had, and /proc/self/fdinfo shows whether there is one left.
 */
#include "supervise/remap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "core/fd.h"

enum { SOCKETS_MAX = 256 }; /* of one entry: what a look costs grows with them */

/* ---- addresses ---- */

bool remap_address(const struct sockaddr_storage *address, size_t size, struct net_addr *addr, uint16_t *port)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6 = {0};

	if (address->ss_family == AF_INET && size >= sizeof(in)) {
		memcpy(&in, address, sizeof(in));
		*addr = (struct net_addr){.family = AF_INET};
		memcpy(addr->bytes, &in.sin_addr, sizeof(in.sin_addr));
	} else if (address->ss_family == AF_INET6 && size >= offsetof(struct sockaddr_in6, sin6_scope_id)) {
		memcpy(&in6, address, size < sizeof(in6) ? size : sizeof(in6));
		*addr = (struct net_addr){.family = AF_INET6, .scope = in6.sin6_scope_id};
		memcpy(addr->bytes, &in6.sin6_addr, sizeof(in6.sin6_addr));
		addr_make_canonical(addr);
	} else {
		return false;
	}
	/* The port is in the same place for both families: netinet/in.h. */
	*port = ntohs(((const struct sockaddr_in *)address)->sin_port);
	return true;
}

static void port_put(struct sockaddr_storage *address, uint16_t port)
{
	((struct sockaddr_in *)address)->sin_port = htons(port);
}

bool remap_is_loopback(const struct net_addr *addr)
{
	static const uint8_t one[16] = {[15] = 1};

	return addr->family == AF_INET ? addr->bytes[0] == 127 : memcmp(addr->bytes, one, sizeof(one)) == 0;
}

static bool addr_is_multicast(const struct net_addr *addr)
{
	return addr->family == AF_INET ? addr->bytes[0] >> 4 == 14 : addr->bytes[0] == 0xff;
}

static bool option_is_set(int socket, int level, int name)
{
	int value = 0;
	socklen_t size = sizeof(value);

	return getsockopt(socket, level, name, &value, &size) == 0 && value != 0;
}

static bool place_read(int socket, const struct socket_kind *kind, const struct sockaddr_storage *address,
                       size_t size, struct port_place *place)
{
	static const struct net_addr any6 = {.family = AF_INET6};

	place->protocol = (enum net_protocol)socket_protocol(kind);
	if ((place->protocol != NET_TCP && place->protocol != NET_UDP) ||
	    address->ss_family != kind->domain || !remap_address(address, size, &place->addr, &place->port) ||
	    addr_is_multicast(&place->addr))
		return false;
	place->dual = memcmp(&place->addr, &any6, sizeof(any6)) == 0 &&
	              !option_is_set(socket, IPPROTO_IPV6, IPV6_V6ONLY);
	return true;
}

static int bound_address(int socket, struct sockaddr_storage *address, struct net_addr *addr, uint16_t *port)
{
	socklen_t size = sizeof(*address);

	if (getsockname(socket, (struct sockaddr *)address, &size) < 0)
		return -errno;
	return remap_address(address, size, addr, port) ? 0 : -EAFNOSUPPORT;
}

/* ---- who holds what ---- */

/* How many sockets are left, or why that cannot be said. */
static int watch_count(const struct gate *gate, int watch)
{
	static const char mark[] = "\ntfd:";
	char path[40], text[4096];
	cleanup_fd int fd = -1;
	size_t matched = 0;
	int count = 0;
	ssize_t n;

	snprintf(path, sizeof(path), "self/fdinfo/%d", watch);
	if ((fd = openat(gate->proc, path, O_RDONLY | O_CLOEXEC)) < 0)
		return -errno;
	while ((n = read(fd, text, sizeof(text))) > 0 || (n < 0 && errno == EINTR)) {
		for (ssize_t i = 0; i < n; i++) {
			matched = text[i] == mark[matched] ? matched + 1 : text[i] == mark[0];
			if (matched == sizeof(mark) - 1)
				matched = 0, count++;
		}
	}
	return n < 0 ? -errno : count;
}

static void entry_retire(struct gate *gate, struct port_entry *entry)
{
	close(ports_retire(&gate->ports, entry));
}

/* Above 0: it is held. 0: it was not, and is a ghost now. */
static int entry_look(struct gate *gate, struct port_entry *entry)
{
	int count = watch_count(gate, entry->watch);

	if (count > 0)
		entry->sockets = (unsigned)count;
	if (count == 0)
		entry_retire(gate, entry);
	return count;
}

static struct port_entry *overlapping_held(struct gate *gate, const struct port_place *place)
{
	struct port_entry *entry;

	while ((entry = ports_overlapping(&gate->ports, place)) != NULL && entry_look(gate, entry) == 0)
		;
	return entry;
}

static void entries_sweep(struct gate *gate)
{
	for (size_t i = 0; i < PORTS_MAX; i++)
		if (gate->ports.entries[i].used && gate->ports.entries[i].watch >= 0)
			entry_look(gate, &gate->ports.entries[i]);
}

/* Before a port is moved: a binding that nobody knows of cannot be undone. What is spare goes first; looking at
 * hundreds is left for when nothing is. */
static bool room_make(struct gate *gate, bool moved)
{
	struct port_entry *spare;

	if (ports_have_room(&gate->ports))
		return true;
	if ((spare = ports_spare(&gate->ports)) != NULL)
		entry_retire(gate, spare);
	else if (moved)
		entries_sweep(gate);
	return ports_have_room(&gate->ports);
}

/* ---- bind ---- */

/* Registered before it is bound: a binding cannot be undone. 1: was already; so it is bound, and bind(2) will fail. */
static int watch_add(int watch, int socket)
{
	struct epoll_event event = {.events = EPOLLET};

	if (epoll_ctl(watch, EPOLL_CTL_ADD, socket, &event) == 0)
		return 0;
	return errno == EEXIST ? 1 : -errno;
}

static int bind_watched(struct gate *gate, const struct call *call, int watch, int socket,
                        const struct sockaddr_storage *address, size_t size)
{
	int known = watch_add(watch, socket), r;

	if (known < 0)
		return -ENOBUFS;
	r = bind_for(gate, call, socket, address, size);
	if (r < 0 && known == 0)
		epoll_ctl(watch, EPOLL_CTL_DEL, socket, NULL);
	return r;
}

/* A socket at this port is the sandbox's: the kernel judges the two, with all that SO_REUSEADDR, SO_REUSEPORT and
 * addresses have to say. */
static int bind_beside(struct gate *gate, const struct call *call, struct port_entry *entry, int socket,
                       const struct sockaddr_storage *address, size_t size)
{
	struct sockaddr_storage there = *address;
	int r;

	if (entry->sockets >= SOCKETS_MAX)
		return -EADDRINUSE;
	port_put(&there, entry->real);
	if ((r = bind_watched(gate, call, entry->watch, socket, &there, size)) < 0)
		return r;
	entry->sockets++;
	entry->listens = false;
	return 0;
}

/* One write, so that it arrives whole or not at all. */
static void moved_tell(const struct gate *gate, const struct port_entry *entry)
{
	char address[INET6_ADDRSTRLEN], line[160];
	int size;

	if (gate->rules->port_map < 0 || !ports_is_moved(entry))
		return;
	inet_ntop(entry->place.addr.family, entry->place.addr.bytes, address, sizeof(address));
	size = snprintf(
		line, sizeof(line), "{\"protocol\":\"%s\",\"address\":\"%s\",\"virtual\":%u,\"real\":%u}\n",
		entry->place.protocol == NET_TCP ? "tcp" : "udp", address, entry->place.port, entry->real);
	write_guarded(gate->rules->port_map, line, (size_t)size);
}

static void bound_note(struct gate *gate, struct port_place *place, int socket, int *watch)
{
	struct sockaddr_storage bound;
	struct port_entry *entry;
	struct net_addr addr;
	uint16_t real;

	if (bound_address(socket, &bound, &addr, &real) < 0)
		return;
	if (place->port == 0)
		place->port = real; /* as good as asked for */
	if ((entry = ports_add(&gate->ports, place, real, *watch)) == NULL)
		return;
	fd_steal(watch);
	entry->sockets = 1;
	moved_tell(gate, entry);
}

/* On a port that nobody of the sandbox has; 0 is one that the kernel chooses. Without an entry, a port is not moved;
 * but one that is what was asked for does not need any. */
static int bind_first(struct gate *gate, const struct call *call, struct port_place *place, uint16_t port,
                      int socket, const struct sockaddr_storage *address, size_t size)
{
	struct sockaddr_storage there = *address;
	bool moved = port != place->port;
	cleanup_fd int watch = room_make(gate, moved) ? epoll_create1(EPOLL_CLOEXEC) : -1;
	int r;

	port_put(&there, port);
	if (watch < 0)
		return moved ? -EADDRINUSE : bind_for(gate, call, socket, &there, size);
	if ((r = bind_watched(gate, call, watch, socket, &there, size)) == 0)
		bound_note(gate, place, socket, &watch);
	return r;
}

/* With SO_REUSEPORT the kernel would let two sandboxes share the port, and deal out connections between them. So a
 * socket without it asks first. UDP with SO_REUSEADDR wants to share: that is how multicast is received. */
static bool is_shared_elsewhere(const struct port_place *place, int shared, const struct socket_kind *kind,
                                const struct sockaddr_storage *address, size_t size)
{
	bool tcp = place->protocol == NET_TCP;
	cleanup_fd int probe = -1;
	int on = 1;

	if (place->port == 0 || !option_is_set(shared, SOL_SOCKET, SO_REUSEPORT) ||
	    (!tcp && option_is_set(shared, SOL_SOCKET, SO_REUSEADDR)))
		return false;
	if ((probe = socket(kind->domain, kind->type | SOCK_CLOEXEC, 0)) < 0)
		return false;
	if (tcp)
		setsockopt(probe, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (place->addr.family == AF_INET6 && !place->dual)
		setsockopt(probe, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	return bind(probe, (const struct sockaddr *)address, (socklen_t)size) < 0 && errno == EADDRINUSE;
}

int remap_bind(struct gate *gate, const struct call *call, int socket, const struct socket_kind *kind,
               const struct sockaddr_storage *address, size_t size)
{
	struct port_entry *entry;
	struct port_place place;
	int r = -EADDRINUSE;

	if (!place_read(socket, kind, address, size, &place))
		return bind_for(gate, call, socket, address, size);
	if (place.port != 0 && (entry = overlapping_held(gate, &place)) != NULL)
		return bind_beside(gate, call, entry, socket, address, size);
	if (!is_shared_elsewhere(&place, socket, kind, address, size))
		r = bind_first(gate, call, &place, place.port, socket, address, size);
	if (r == -EADDRINUSE && place.port != 0)
		r = bind_first(gate, call, &place, 0, socket, address, size);
	return r;
}

/* ---- connect, and sends with an address ---- */

static bool port_allowed(const struct gate *gate, enum net_protocol protocol,
                         const struct net_endpoint *endpoint, uint16_t port)
{
	struct net_endpoint asked = *endpoint;

	asked.port = port;
	return net_decide(gate->rules->table, &gate->pins, gate_seconds(), protocol, &asked);
}

/* The held one whose sockets are at that real port. Where that cannot be said: none. */
static struct port_entry *behind_held(struct gate *gate, enum net_protocol protocol,
                                      const struct net_addr *addr, uint16_t real)
{
	struct port_entry *entry = ports_behind(&gate->ports, protocol, addr, real);

	return entry != NULL && entry->watch >= 0 && entry_look(gate, entry) > 0 ? entry : NULL;
}

/* Where the sandbox has the port, it is judged by what it asked for, and reached where it is; as is a port that it has
 * without having asked, which it sees as the source of a datagram. An entry that cannot be looked at leads nowhere:
 * its port may be anybody's by now. */
bool remap_decide(struct gate *gate, enum net_protocol protocol, struct net_endpoint *endpoint)
{
	struct port_entry *entry;
	int held = 0;

	if (gate->ports.moved == 0 || !remap_is_loopback(&endpoint->addr))
		return port_allowed(gate, protocol, endpoint, endpoint->port);
	while ((entry = ports_reached(&gate->ports, protocol, &endpoint->addr, endpoint->port)) != NULL &&
	       ports_is_moved(entry) && (held = entry_look(gate, entry)) == 0)
		;
	if (entry != NULL && ports_is_moved(entry)) {
		if (held < 0 || !port_allowed(gate, protocol, endpoint, endpoint->port))
			return false;
		endpoint->port = entry->real;
		return true;
	}
	if (port_allowed(gate, protocol, endpoint, endpoint->port))
		return true;
	entry = behind_held(gate, protocol, &endpoint->addr, endpoint->port);
	return entry != NULL && port_allowed(gate, protocol, endpoint, entry->place.port);
}

bool remap_confirm(struct gate *gate, const struct net_endpoint *endpoint)
{
	return behind_held(gate, NET_TCP, &endpoint->addr, endpoint->port) != NULL;
}

/* ---- what is shown ---- */

uint16_t remap_asked(struct gate *gate, enum net_protocol protocol, const struct net_addr *addr,
                     uint16_t port)
{
	struct port_entry *entry = behind_held(gate, protocol, addr, port);

	return entry == NULL ? port : entry->place.port;
}

bool remap_show(struct gate *gate, enum net_protocol protocol, struct sockaddr_storage *address, size_t size)
{
	const struct port_entry *entry;
	struct net_addr addr;
	uint16_t port;

	if (!remap_address(address, size, &addr, &port) ||
	    (entry = ports_behind(&gate->ports, protocol, &addr, port)) == NULL || !ports_is_moved(entry))
		return false;
	port_put(address, entry->place.port);
	return true;
}

void remap_listens(struct gate *gate, int socket)
{
	struct sockaddr_storage bound;
	struct port_entry *entry;
	struct net_addr addr;
	uint16_t port;

	if (gate->ports.moved > 0 && bound_address(socket, &bound, &addr, &port) == 0 &&
	    (entry = ports_behind(&gate->ports, NET_TCP, &addr, port)) != NULL && entry->watch >= 0)
		entry->listens = entry->sockets == 1;
}

static void mapping_fill(const struct port_entry *entry, struct sl_port_mapping *mapping)
{
	*mapping = (struct sl_port_mapping){
		.protocol = entry->place.protocol == NET_TCP ? IPPROTO_TCP : IPPROTO_UDP,
		.asked = entry->place.port,
		.real = entry->real,
	};
	inet_ntop(entry->place.addr.family, entry->place.addr.bytes, mapping->address,
	          sizeof(mapping->address));
}

struct verdict remap_tell(struct gate *gate, const struct call *call)
{
	struct sl_port_mapping mapping;
	struct iovec ours = {&mapping, sizeof(mapping)}, theirs = {NULL, sizeof(mapping)};
	uint64_t count = 0;

	if (target_confirm(gate, call) < 0)
		return verdict_errno(-ESTALE);
	for (size_t i = 0; i < PORTS_MAX; i++) {
		struct port_entry *entry = &gate->ports.entries[i];

		if (!entry->used || entry->watch < 0 || !ports_is_moved(entry) ||
		    entry_look(gate, entry) == 0)
			continue;
		mapping_fill(entry, &mapping);
		theirs.iov_base = (void *)(uintptr_t)(call->args[1] + count * sizeof(mapping));
		if (count < call->args[2] &&
		    target_write(gate, call, &ours, 1, &theirs, 1) != sizeof(mapping))
			return verdict_errno(-EFAULT);
		count++;
	}
	return verdict_value((int64_t)count);
}
