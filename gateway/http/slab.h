/* SPDX-License-Identifier: Apache-2.0 */
/* slab.h - a buffer with the head that is parsed in it, lent while bytes of a message are at hand and given back when they
 * are used up: a connection that waits holds none. */
#pragma once

#include "base/shelf.h"
#include "base/status.h"
#include "http/parser.h"

struct slab {
    struct slab *next; /* in the pool */
    struct http_head head;
    struct http_parser parser; /* of who reads a request; an answer's outlives its slab */
    size_t at;                 /* the first byte not used yet */
    size_t len;                /* bytes read */
    char bytes[];
};

#define SLABS_KEPT 64

/* One worker's slabs, all of one size, and parsers of answers, lent while one comes in. */
struct slab_pool {
    struct slab *free_slabs; /* owned */
    int free_len;
    int least_free;       /* since the last slab_pool_trim() */
    size_t bytes;         /* room in each */
    int lent;             /* not given back yet */
    struct shelf parsers; /* struct http_parser */
};

void slab_pool_init(struct slab_pool *pool, size_t bytes);
void slab_pool_fini(struct slab_pool *pool); /* all must have been given back */
/* Empty.  NULL: no memory. */
struct slab *slab_take(struct slab_pool *pool);
void slab_give(struct slab_pool *pool, struct slab **slab); /* harmless for NULL */
/* Frees what nobody has needed since the last call; few are kept in any case.  True: there may be more to free later. */
bool slab_pool_trim(struct slab_pool *pool);
/* Is that worth a call? */
static inline bool slab_pool_is_large(const struct slab_pool *pool)
{
    return pool->free_len > SLABS_KEPT;
}
/* Moves the unused bytes to the start; texts of the head are void then. */
void slab_compact(struct slab *slab);
