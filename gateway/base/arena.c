/* SPDX-License-Identifier: Apache-2.0 */
/* arena.c - blocks that are cut up from the front.  The newest block is the one that is cut; a request too large for an
 * ordinary block gets one of its own behind it, so that the rest of the newest is not lost. */
#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

#define ALIGNMENT   16
#define BLOCK_BYTES ((size_t)4096 - 64) /* with the header and malloc's own, a page */

struct arena_block {
    struct arena_block *next;
    size_t size; /* of bytes */
    _Alignas(ALIGNMENT) char bytes[];
};

void arena_init(struct arena *arena, size_t limit_bytes)
{
    arena_init_from(arena, limit_bytes, NULL);
}

void arena_init_from(struct arena *arena, size_t limit_bytes, struct shelf *shelf)
{
    *arena = (struct arena){.limit_bytes = limit_bytes, .shelf = shelf};
}

/* Of an ordinary block. */
static size_t block_bytes(const struct arena *arena)
{
    return arena->shelf ? arena->shelf->bytes - sizeof(struct arena_block) : BLOCK_BYTES;
}

static bool is_shelved(const struct arena *arena, size_t size)
{
    return arena->shelf && size == block_bytes(arena);
}

/* A block of that size, counted but in no list.  NULL when the limit or the memory is used up. */
static struct arena_block *block_new(struct arena *arena, size_t size)
{
    struct arena_block *block;

    if (size > arena->limit_bytes - arena->total_bytes)
        return NULL;
    block = is_shelved(arena, size) ? shelf_take(arena->shelf) : malloc(sizeof(*block) + size);
    if (!block)
        return NULL;
    block->size = size;
    arena->total_bytes += size;
    return block;
}

static void *alloc_own_block(struct arena *arena, size_t len)
{
    struct arena_block *block = block_new(arena, len);

    if (!block)
        return NULL;
    struct arena_block *newest = arena->blocks;

    if (newest) {
        block->next = newest->next;
        newest->next = block;
    } else {
        block->next = NULL;
        arena->blocks = block;
        arena->used_bytes = len;
    }
    return block->bytes;
}

/* No more than the arena may still have, but for what is asked for. */
static size_t next_block_bytes(const struct arena *arena, size_t len)
{
    size_t left = arena->limit_bytes - arena->total_bytes;
    size_t most = MIN(block_bytes(arena), left);

    return MAX(len, most);
}

void *arena_alloc(struct arena *arena, size_t len)
{
    if (len > arena->limit_bytes)
        return NULL;
    len = (len + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    if (!arena->blocks || arena->blocks->size - arena->used_bytes < len) {
        if (len > block_bytes(arena) / 4)
            return alloc_own_block(arena, len);
        struct arena_block *block = block_new(arena, next_block_bytes(arena, len));

        if (!block)
            return NULL;
        block->next = arena->blocks;
        arena->blocks = block;
        arena->used_bytes = 0;
    }
    void *memory = arena->blocks->bytes + arena->used_bytes;

    arena->used_bytes += len;
    return memory;
}

struct text arena_copy(struct arena *arena, struct text t)
{
    if (t.len >= arena->limit_bytes)
        return TEXT_NONE;
    char *copy = arena_alloc(arena, t.len + 1);

    if (!copy)
        return TEXT_NONE;
    if (t.len > 0)
        memcpy(copy, t.ptr, t.len);
    copy[t.len] = '\0';
    return (struct text){copy, t.len};
}

void arena_fini(struct arena *arena)
{
    struct arena_block *block = arena->blocks;

    while (block) {
        struct arena_block *next = block->next;

        if (is_shelved(arena, block->size))
            shelf_give(arena->shelf, block);
        else
            free(block);
        block = next;
    }
    arena_init_from(arena, arena->limit_bytes, arena->shelf);
}
