/* What an address is good for as the answer to a name.
 *
 * Whoever answers for a name picks the address that the target will reach by it. So no name leads to where only
 * this machine or its link is meant to ask (a cloud's metadata service gives out credentials), and none to private
 * networks when `net-public-only` says so. The registries are RFC 6890 and the IANA special-purpose lists. */
#include "netpolicy/addr.h"

#include <string.h>

/* The first row that holds an address decides: single addresses stand before the range they are in. */
static const struct {
	struct net_addr addr;
	uint8_t prefix;
	enum addr_kind kind;
	const char *word;
} rows[] = {
	{{AF_INET, {100, 100, 100, 200}, 0}, 32, ADDR_NEVER, "a cloud's metadata service"},
	{{AF_INET, {168, 63, 129, 16}, 0}, 32, ADDR_NEVER, "a cloud's metadata service"},
	{{AF_INET, {0}, 0}, 8, ADDR_NEVER, "unspecified (0.0.0.0/8)"},
	{{AF_INET, {169, 254}, 0}, 16, ADDR_NEVER, "link-local"},
	{{AF_INET, {224}, 0}, 4, ADDR_NEVER, "multicast"},
	{{AF_INET, {255, 255, 255, 255}, 0}, 32, ADDR_NEVER, "broadcast"},
	{{AF_INET, {127}, 0}, 8, ADDR_PRIVATE, "loopback"},
	{{AF_INET, {10}, 0}, 8, ADDR_PRIVATE, "private"},
	{{AF_INET, {172, 16}, 0}, 12, ADDR_PRIVATE, "private"},
	{{AF_INET, {192, 168}, 0}, 16, ADDR_PRIVATE, "private"},
	{{AF_INET, {100, 64}, 0}, 10, ADDR_PRIVATE, "private (carrier-grade NAT)"},
	{{AF_INET, {192, 0, 0}, 0}, 24, ADDR_PRIVATE, "private (protocol assignments)"},
	{{AF_INET, {198, 18}, 0}, 15, ADDR_PRIVATE, "private (benchmarks)"},
	{{AF_INET, {240}, 0}, 4, ADDR_PRIVATE, "private (reserved)"},
	{{AF_INET6, {0xfd, 0, 0x0e, 0xc2, [14] = 0, 0x23}, 0}, 128, ADDR_NEVER, "a cloud's metadata service"},
	{{AF_INET6, {0xfd, 0, 0x0e, 0xc2, [14] = 0x02, 0x54}, 0},
         128,
         ADDR_NEVER,
         "a cloud's metadata service"},
	{{AF_INET6, {0xfd, 0x20, 0, 0xce, [14] = 0x02, 0x54}, 0},
         128,
         ADDR_NEVER,
         "a cloud's metadata service"},
	{{AF_INET6, {0}, 0}, 128, ADDR_NEVER, "unspecified"},
	{{AF_INET6, {0xfe, 0x80}, 0}, 10, ADDR_NEVER, "link-local"},
	{{AF_INET6, {0xff}, 0}, 8, ADDR_NEVER, "multicast"},
	{{AF_INET6, {[15] = 1}, 0}, 128, ADDR_PRIVATE, "loopback"},
	{{AF_INET6, {0xfc}, 0}, 7, ADDR_PRIVATE, "private"},
	{{AF_INET6, {0xfe, 0xc0}, 0}, 10, ADDR_PRIVATE, "private (site-local)"},
	{{AF_INET6, {0, 0x64, 0xff, 0x9b, 0, 1}, 0}, 48, ADDR_PRIVATE, "private (local-use NAT64)"},
};

static enum addr_kind plain_classify(const struct net_addr *addr, const char **word)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (addr_is_in(addr, &rows[i].addr, rows[i].prefix)) {
			*word = rows[i].word;
			return rows[i].kind;
		}
	}
	*word = "public";
	return ADDR_PUBLIC;
}

enum addr_kind addr_classify(const struct net_addr *addr, const char **word)
{
	enum addr_kind kind = plain_classify(addr, word), inner_kind;
	struct net_addr inner;
	const char *inner_word;

	if (!addr_embeds(addr, &inner))
		return kind;
	inner_kind = plain_classify(&inner, &inner_word);
	if (inner_kind <= kind)
		return kind;
	*word = inner_word;
	return inner_kind;
}
