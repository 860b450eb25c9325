/* SPDX-License-Identifier: Apache-2.0 */
/* pool.h - a worker's kept-alive upstreams, one list a backend, the last used first. */
#pragma once

#include "backend/backend.h"
#include "backend/upstream.h"

struct pool {
    struct loop *loop;
    struct slab_pool *slabs; /* outlives the pool */
    struct shelf upstreams;
    struct http_limits limits;
    int64_t idle_us; /* an idle upstream is closed after this */
    int backends;
    struct list *idle; /* owned */
};

MUST_CHECK enum status pool_init(struct pool *pool, struct loop *loop, struct slab_pool *slabs,
                                 int backends, const struct config *config);
/* Closes the idle ones; none may be at work.  Once the loop's turn has ended, pool_free() frees what they were. */
void pool_fini(struct pool *pool);
void pool_free(struct pool *pool);

/* An idle upstream to that backend which is still open, as far as can be known without asking the kernel about one that
 * was used just now; NULL: none. */
struct upstream *pool_take(struct pool *pool, const struct backend *backend);
/* Keeps an open one for later. */
void pool_keep(struct pool *pool, struct upstream *u);
