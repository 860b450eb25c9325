/* SPDX-License-Identifier: Apache-2.0 */
/* slab.c - a free list of slabs.  They are pages of their own: between objects that stay, freed ones would leave holes
 * that nobody else gets. */
#include "http/slab.h"

#include <string.h>
#include <sys/mman.h>

static size_t slab_size(const struct slab_pool *pool)
{
    return sizeof(struct slab) + pool->bytes;
}

static struct slab *slab_map(const struct slab_pool *pool)
{
    void *memory =
        mmap(NULL, slab_size(pool), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

static void slab_unmap(const struct slab_pool *pool, struct slab *slab)
{
    (void)munmap(slab, slab_size(pool));
}

void slab_pool_init(struct slab_pool *pool, size_t bytes)
{
    pool->free_slabs = NULL;
    pool->free_len = 0;
    pool->least_free = 0;
    pool->bytes = bytes;
    pool->lent = 0;
    shelf_init(&pool->parsers, sizeof(struct http_parser));
}

static void free_one(struct slab_pool *pool)
{
    struct slab *slab = pool->free_slabs;

    pool->free_slabs = slab->next;
    pool->free_len--;
    slab_unmap(pool, slab);
}

void slab_pool_fini(struct slab_pool *pool)
{
    while (pool->free_slabs)
        free_one(pool);
    shelf_fini(&pool->parsers);
}

bool slab_pool_trim(struct slab_pool *pool)
{
    for (int spare = pool->least_free; spare > 0 && slab_pool_is_large(pool); spare--)
        free_one(pool);
    pool->least_free = pool->free_len;
    return slab_pool_is_large(pool);
}

struct slab *slab_take(struct slab_pool *pool)
{
    struct slab *slab = pool->free_slabs;

    if (slab) {
        pool->free_slabs = slab->next;
        __builtin_prefetch(pool->free_slabs, 1); /* as shelf_take() does */
        pool->free_len--;
        pool->least_free = MIN(pool->least_free, pool->free_len);
    } else {
        slab = slab_map(pool);
    }
    if (!slab)
        return NULL;
    slab->at = 0;
    slab->len = 0;
    pool->lent++;
    return slab;
}

void slab_give(struct slab_pool *pool, struct slab **where)
{
    struct slab *slab = *where;

    *where = NULL;
    if (!slab)
        return;
    pool->lent--;
    slab->next = pool->free_slabs;
    pool->free_slabs = slab;
    pool->free_len++;
}

void slab_compact(struct slab *slab)
{
    slab->len -= slab->at;
    memmove(slab->bytes, slab->bytes + slab->at, slab->len);
    slab->at = 0;
}
