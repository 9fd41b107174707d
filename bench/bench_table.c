/* What one decision costs: net_decide() at 10, 1,000 and 10,000 rules, half of the endpoints allowed.
 * Rules use the prefix lengths that people write (v4 /8 /16 /24 /32, v6 /32 /48 /64 /128), ports 443 or a
 * list. "lengths=all" is the worst shape there is: every prefix length of IPv6 in use, endpoints of IPv6.
 * Left out: reading the sockaddr, the trap, the supervisor. Those are the other benches'. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "netpolicy/netpolicy.h"

enum { ENDPOINTS = 4096, ROUNDS = 21, PASSES = 25, RULE_TEXT = 128, RULES_MAX = 10000 };

static char texts[RULES_MAX][RULE_TEXT];
static struct net_endpoint endpoints[ENDPOINTS];
static uint64_t seed = 20240607;

/* xorshift64*: the same table on every run. */
static uint32_t draw(void)
{
	seed ^= seed >> 12;
	seed ^= seed << 25;
	seed ^= seed >> 27;
	return (uint32_t)((seed * 0x2545F4914F6CDD1Dull) >> 32);
}

static struct net_addr addr_draw(int family)
{
	struct net_addr addr = {.family = (uint8_t)family};

	for (size_t i = 0; i < (family == AF_INET ? 4 : 16); i++)
		addr.bytes[i] = (uint8_t)draw();
	if (family == AF_INET6)
		addr.bytes[0] = 0x20; /* global unicast */
	else
		addr.bytes[0] |= 1; /* not 0.0.0.0 */
	return addr;
}

static void rule_write(char *text, const struct net_endpoint *endpoint, unsigned prefix)
{
	char plain[NET_ENDPOINT_TEXT], *end;
	const char *ports = draw() % 4 ? "443" : "80,443,8000-8100";

	net_endpoint_format(endpoint, plain, sizeof(plain));
	end = strrchr(plain, endpoint->addr.family == AF_INET ? ':' : ']');
	*end = '\0';
	snprintf(text, RULE_TEXT, "%s/%u%s:%s", plain, prefix, endpoint->addr.family == AF_INET ? "" : "]",
	         ports);
}

/* Short prefixes are few, or a table of 10,000 rules would allow the whole world. */
static unsigned prefix_draw(int family, unsigned rule)
{
	static const uint8_t v4[] = {32, 32, 24, 16}, v6[] = {128, 64, 48, 32};

	if (family == AF_INET && rule == 0)
		return 8;
	return family == AF_INET ? v4[draw() % 4] : v6[draw() % 4];
}

/* Half of the endpoints are those of a rule, the others are drawn: misses, but for a chance hit. */
static void case_draw(unsigned count, int only_family, int all_lengths)
{
	static struct net_endpoint targets[RULES_MAX];

	for (unsigned i = 0; i < count; i++) {
		int family = only_family ? only_family : i % 2 ? AF_INET6 : AF_INET;

		targets[i] = (struct net_endpoint){.addr = addr_draw(family), .port = 443};
		rule_write(texts[i], &targets[i], all_lengths ? 16 + i % 113 : prefix_draw(family, i));
	}
	for (unsigned i = 0; i < ENDPOINTS; i++) {
		int family = only_family ? only_family : draw() % 2 ? AF_INET6 : AF_INET;

		if (draw() % 2)
			endpoints[i] = targets[draw() % count];
		else
			endpoints[i] = (struct net_endpoint){.addr = addr_draw(family), .port = 443};
	}
}

static int double_compare(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

static double now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* The median of the rounds; *hits is the share of allowed endpoints, in percent. */
static double decisions_time(const struct net_table *table, unsigned *hits)
{
	double rounds[ROUNDS];
	unsigned long allowed = 0;

	for (int r = 0; r < ROUNDS; r++) {
		double start = now_ns();

		for (int pass = 0; pass < PASSES; pass++)
			for (int i = 0; i < ENDPOINTS; i++)
				allowed += net_decide(table, NULL, 0, NET_TCP, &endpoints[i]);
		rounds[r] = (now_ns() - start) / (PASSES * ENDPOINTS);
	}
	*hits = (unsigned)(allowed * 100 / ((unsigned long)ROUNDS * PASSES * ENDPOINTS));
	qsort(rounds, ROUNDS, sizeof(rounds[0]), double_compare);
	return rounds[ROUNDS / 2];
}

static int case_run(unsigned count, int only_family, int all_lengths, const char *note)
{
	static const char *pointers[RULES_MAX];
	struct net_rules rules = {.allow = {pointers, count}};
	struct net_table *table;
	struct net_need need;
	sl_error error;
	unsigned hits;
	double ns;

	case_draw(count, only_family, all_lengths);
	for (unsigned i = 0; i < count; i++)
		pointers[i] = texts[i];
	if (net_table_build(&rules, &table, &need, &error) < 0) {
		fprintf(stderr, "bench_table: %s\n", error.message);
		return -1;
	}
	ns = decisions_time(table, &hits);
	printf("table rules=%u ns=%.0f hits=%u%%%s\n", count, ns, hits, note);
	net_need_clear(&need);
	net_table_free(table);
	return 0;
}

int main(void)
{
	if (case_run(10, 0, 0, "") < 0 || case_run(1000, 0, 0, "") < 0 || case_run(10000, 0, 0, "") < 0 ||
	    case_run(10000, AF_INET6, 1, " lengths=all") < 0)
		return 1;
	return 0;
}
