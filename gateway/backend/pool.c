/* SPDX-License-Identifier: Apache-2.0 */
/* pool.c - idle upstreams.      Runs on: worker. */
#include "backend/pool.h"

#include <stdlib.h>

enum status pool_init(struct pool *pool, struct loop *loop, struct slab_pool *slabs, int backends,
                      const struct config *config)
{
    pool->loop = loop;
    pool->slabs = slabs;
    pool->limits = (struct http_limits){(size_t)config->target_bytes, (size_t)config->head_bytes};
    pool->idle_us = config->upstream_idle_ms * 1000;
    pool->backends = backends;
    shelf_init(&pool->upstreams, sizeof(struct upstream));
    pool->idle = malloc((size_t)backends * sizeof(*pool->idle));
    if (!pool->idle)
        return ST_NOMEM;
    for (int i = 0; i < backends; i++)
        list_init(&pool->idle[i]);
    return ST_OK;
}

static void drop(struct upstream *u)
{
    stream_close(&u->stream);
    upstream_give(&u);
}

void pool_fini(struct pool *pool)
{
    for (int i = 0; i < pool->backends; i++) {
        LIST_EACH (node, &pool->idle[i])
            drop(container_of(node, struct upstream, link));
    }
    free(pool->idle);
    pool->idle = NULL;
}

void pool_free(struct pool *pool)
{
    shelf_fini(&pool->upstreams);
}

struct upstream *pool_take(struct pool *pool, const struct backend *backend)
{
    struct list *node = list_pop_front(&pool->idle[backend->index]);

    while (node) {
        struct upstream *u = container_of(node, struct upstream, link);

        timer_clear(&u->idle_timer);
        if (upstream_is_quiet(u))
            return u;
        drop(u);
        node = list_pop_front(&pool->idle[backend->index]);
    }
    return NULL;
}

void pool_keep(struct pool *pool, struct upstream *u)
{
    list_push_front(&pool->idle[u->backend->index], &u->link);
    timer_set(pool->loop, &u->idle_timer, loop_now_us(pool->loop) + pool->idle_us);
    stream_want(&u->stream, STREAM_READ);
}
