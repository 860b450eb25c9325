/* SPDX-License-Identifier: Apache-2.0 */
/* rig.c - a pool over one backend. */
#include "unit/backend/rig.h"

#include <string.h>

void pool_rig_open(struct pool_rig *rig)
{
    char error[CONFIG_ERROR_MAX];

    memset(rig, 0, sizeof(*rig));
    fixture_open();
    rig->config = fixture_load_ok(MAIN_FILE "timeouts: {upstream_idle: 20ms}\n"
                                            "limits: {head: 1KiB}\n");
    cr_assert_eq(loop_new(&rig->loop), ST_OK);
    cr_assert_eq(backend_set_open(rig->config, error, &rig->set), ST_OK);
    slab_pool_init(&rig->slabs, 2048);
    cr_assert_eq(pool_init(&rig->pool, rig->loop, &rig->slabs, 1, rig->config), ST_OK);
}

void pool_rig_close(struct pool_rig *rig)
{
    pool_fini(&rig->pool);
    stream_close(&rig->far);
    loop_run_once(rig->loop, 0);
    pool_free(&rig->pool);
    ASSERT(rig->slabs.lent == 0 && rig->slabs.parsers.lent == 0);
    ASSERT(rig->pool.upstreams.lent == 0);
    slab_pool_fini(&rig->slabs);
    loop_free(&rig->loop);
    backend_set_close(&rig->set);
    config_unref(&rig->config);
    fixture_close();
}

struct upstream *pool_rig_upstream(struct pool_rig *rig, size_t capacity)
{
    struct upstream *u = upstream_new(&rig->pool, &rig->set->backends[0]);

    cr_assert_not_null(u);
    stream_close(&rig->far);
    cr_assert_eq(stream_pair(&u->stream, &rig->far, rig->loop, capacity), ST_OK);
    return u;
}

void pool_rig_turns(struct pool_rig *rig, int turns)
{
    for (int i = 0; i < turns; i++)
        loop_run_once(rig->loop, 0);
}

void pool_rig_say(struct pool_rig *rig, const char *bytes)
{
    struct iovec iov = {(void *)(uintptr_t)bytes, strlen(bytes)};
    size_t len = 0;

    cr_assert_eq(stream_write(&rig->far, &iov, 1, &len), ST_OK);
    cr_assert_eq(len, iov.iov_len);
}

const char *pool_rig_seen(struct pool_rig *rig)
{
    size_t len = 0;

    while (rig->seen_len < RIG_SEEN_MAX && stream_read(&rig->far, rig->seen + rig->seen_len,
                                                       RIG_SEEN_MAX - rig->seen_len, &len) == ST_OK)
        rig->seen_len += len;
    rig->seen[rig->seen_len] = '\0';
    return rig->seen;
}

int pool_rig_idle(const struct pool_rig *rig)
{
    int idle = 0;

    LIST_EACH (node, &rig->pool.idle[0])
        idle++;
    return idle;
}
