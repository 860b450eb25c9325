/* SPDX-License-Identifier: Apache-2.0 */
/* slab.c - a free list of slabs. */
#include "http/slab.h"

#include <stdlib.h>
#include <string.h>

#include "http/parser.h"

void slab_pool_init(struct slab_pool *pool, size_t bytes)
{
    pool->free_slabs = NULL;
    pool->bytes = bytes;
    pool->lent = 0;
    shelf_init(&pool->parsers, sizeof(struct http_parser));
}

void slab_pool_fini(struct slab_pool *pool)
{
    while (pool->free_slabs) {
        struct slab *slab = pool->free_slabs;

        pool->free_slabs = slab->next;
        free(slab);
    }
    shelf_fini(&pool->parsers);
}

struct slab *slab_take(struct slab_pool *pool)
{
    struct slab *slab = pool->free_slabs;

    if (slab)
        pool->free_slabs = slab->next;
    else
        slab = malloc(sizeof(*slab) + pool->bytes);
    if (!slab)
        return NULL;
    slab->at = 0;
    slab->len = 0;
    pool->lent++;
    return slab;
}

void slab_give(struct slab_pool *pool, struct slab **slab)
{
    if (!*slab)
        return;
    pool->lent--;
    (*slab)->next = pool->free_slabs;
    pool->free_slabs = *slab;
    *slab = NULL;
}

void slab_compact(struct slab *slab)
{
    slab->len -= slab->at;
    memmove(slab->bytes, slab->bytes + slab->at, slab->len);
    slab->at = 0;
}
