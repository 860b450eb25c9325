/* SPDX-License-Identifier: Apache-2.0 */
/* pool.c - idle upstreams.      Runs on: worker. */
#include "backend/pool.h"

#include <stdlib.h>

/* Backends close what has been idle for seconds; what was used just now is not asked. */
#define TRUSTED_US 500000

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

/* The loop has looked at it since it was kept, and nothing was to be told: to ask again costs every request a system call.
 * One that the backend closed behind its very answer shows only when it is asked. */
static bool is_trusted(const struct pool *pool, const struct upstream *u)
{
    return u->kept_turn != loop_turn(pool->loop) &&
           loop_now_us(pool->loop) - u->kept_us < TRUSTED_US;
}

struct upstream *pool_take(struct pool *pool, const struct backend *backend)
{
    struct list *node = list_pop_front(&pool->idle[backend->index]);

    while (node) {
        struct upstream *u = container_of(node, struct upstream, link);

        timer_clear(&u->idle_timer);
        if (is_trusted(pool, u) || upstream_is_quiet(u))
            return u;
        drop(u);
        node = list_pop_front(&pool->idle[backend->index]);
    }
    return NULL;
}

void pool_keep(struct pool *pool, struct upstream *u)
{
    list_push_front(&pool->idle[u->backend->index], &u->link);
    u->kept_turn = loop_turn(pool->loop);
    u->kept_us = loop_now_us(pool->loop);
    timer_set(pool->loop, &u->idle_timer, u->kept_us + pool->idle_us);
    stream_want(&u->stream, STREAM_READ);
}
