/* The one place that asks for names: getaddrinfo(3), so that a name means here what it means to other programs. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>

#include "core/error.h"
#include "netpolicy/names.h"

static int resolve_error(int code)
{
	switch (code) {
	case EAI_SYSTEM:
		return errno > 0 ? -errno : -EIO;
	case EAI_MEMORY:
		return -ENOMEM;
	case EAI_AGAIN:
		return -EAGAIN;
	default:
		return -ENOENT;
	}
}

static bool addr_read(const struct sockaddr *address, struct net_addr *addr)
{
	*addr = (struct net_addr){.family = (uint8_t)address->sa_family};
	if (address->sa_family == AF_INET)
		memcpy(addr->bytes, &((const struct sockaddr_in *)address)->sin_addr, 4);
	else if (address->sa_family == AF_INET6)
		memcpy(addr->bytes, &((const struct sockaddr_in6 *)address)->sin6_addr, 16);
	else
		return false;
	return true;
}

int name_resolve(const void *context, const char *name, struct net_addr *addrs, size_t room, sl_error *error)
{
	/* One answer an address, not one a socket type. Without AI_ADDRCONFIG: what has an address today
	 * must not depend on which interface is up. */
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *found = NULL;
	size_t count = 0;
	int code = getaddrinfo(name, NULL, &hints, &found);

	(void)context;
	if (code != 0) {
		int r = resolve_error(code);

		return error_set(error, r, "cannot be resolved: %s",
		                 code == EAI_SYSTEM ? strerrordesc_np(-r) : gai_strerror(code));
	}
	for (const struct addrinfo *at = found; at != NULL && count < room; at = at->ai_next)
		count += addr_read(at->ai_addr, &addrs[count]);
	freeaddrinfo(found);
	return (int)count;
}
