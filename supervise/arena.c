/* A few pages for libev, so that the supervisor never calls malloc: it may be the fork of a process whose
 * other threads held malloc's locks. Nothing is given back; libev grows a handful of arrays by doubling,
 * which bounds what is wasted to what is used. */
#include <errno.h>
#include <ev.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "supervise/gate.h"

enum { ARENA_SIZE = 4 << 20, ARENA_ALIGN = 16 };

static struct {
	char *memory;
	size_t used;
} arena;

static void *arena_take(size_t size)
{
	size_t need = ARENA_ALIGN + ((size + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1));
	char *taken = arena.memory + arena.used;

	if (need > ARENA_SIZE - arena.used)
		return NULL;
	arena.used += need;
	memcpy(taken, &size, sizeof(size));
	return taken + ARENA_ALIGN;
}

static void *arena_realloc(void *pointer, long size)
{
	size_t had = 0;
	void *taken;

	if (size <= 0)
		return NULL;
	if (pointer != NULL)
		memcpy(&had, (char *)pointer - ARENA_ALIGN, sizeof(had));
	if ((size_t)size <= had)
		return pointer;
	taken = arena_take((size_t)size);
	if (taken != NULL && pointer != NULL)
		memcpy(taken, pointer, had);
	return taken;
}

int arena_init(void)
{
	arena.used = 0;
	arena.memory = mmap(NULL, ARENA_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (arena.memory == MAP_FAILED)
		return -errno;
	ev_set_allocator(arena_realloc);
	return 0;
}
