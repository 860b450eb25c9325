/* SPDX-License-Identifier: Apache-2.0 */
/* test_pool.c - idle upstreams: the last used first, none that is dead. */
#include "base/clock.h"
#include "unit/backend/rig.h"
#include "unit/whole.h"

static struct pool_rig rig;

static void begin(void)
{
    pool_rig_open(&rig);
}

static void end(void)
{
    pool_rig_close(&rig);
}

static struct upstream *take(void)
{
    return pool_take(&rig.pool, &rig.set->backends[0]);
}

WHOLE_TEST(pool, empty)
{
    cr_assert_null(take());
}

WHOLE_TEST(pool, the_last_used_first)
{
    struct upstream *first = pool_rig_upstream(&rig, 100);
    struct upstream *second = upstream_new(&rig.pool, &rig.set->backends[0]);
    struct stream other = {.ops = NULL};

    cr_assert_eq(stream_pair(&second->stream, &other, rig.loop, 100), ST_OK);
    pool_keep(&rig.pool, first);
    pool_keep(&rig.pool, second);
    cr_assert_eq(take(), second);
    cr_assert_eq(take(), first);
    cr_assert_null(take());
    pool_keep(&rig.pool, first);
    pool_keep(&rig.pool, second);
    stream_close(&other);
}

WHOLE_TEST(pool, one_that_was_closed_is_not_handed_out)
{
    pool_keep(&rig.pool, pool_rig_upstream(&rig, 100));
    stream_close(&rig.far);
    cr_assert_null(take());
    cr_assert_eq(pool_rig_idle(&rig), 0);
}

/* Closed in this very moment, so that the loop could not tell. */
WHOLE_TEST(pool, only_one_that_was_used_long_ago_is_asked)
{
    struct upstream *u = pool_rig_upstream(&rig, 100);

    rig.pool.idle_us = 10000000;
    pool_keep(&rig.pool, u);
    pool_rig_turns(&rig, 1);
    stream_shut_write(&rig.far);
    cr_assert_eq(take(), u);
    pool_keep(&rig.pool, u);
    clock_skip_us(1000000);
    cr_assert_null(take());
    cr_assert_eq(pool_rig_idle(&rig), 0);
}

WHOLE_TEST(pool, one_that_is_closed_while_idle_goes)
{
    pool_keep(&rig.pool, pool_rig_upstream(&rig, 100));
    pool_rig_turns(&rig, 2);
    cr_assert_eq(pool_rig_idle(&rig), 1);
    stream_shut_write(&rig.far);
    pool_rig_turns(&rig, 2);
    cr_assert_eq(pool_rig_idle(&rig), 0);
}

WHOLE_TEST(pool, one_that_spoke_unasked_is_not_handed_out)
{
    pool_keep(&rig.pool, pool_rig_upstream(&rig, 100));
    pool_rig_say(&rig, "HTTP/1.1 408 Request Timeout\r\n\r\n");
    cr_assert_null(take());
}

WHOLE_TEST(pool, idle_for_too_long)
{
    pool_keep(&rig.pool, pool_rig_upstream(&rig, 100));
    for (int i = 0; i < 100 && pool_rig_idle(&rig); i++)
        loop_run_once(rig.loop, 5);
    cr_assert_eq(pool_rig_idle(&rig), 0);
}

WHOLE_TEST(pool, one_at_work_is_not_closed_for_being_idle)
{
    struct upstream *u = pool_rig_upstream(&rig, 100);

    pool_keep(&rig.pool, u);
    cr_assert_eq(take(), u);
    for (int i = 0; i < 8; i++)
        loop_run_once(rig.loop, 5);
    cr_assert(stream_is_open(&u->stream));
    pool_keep(&rig.pool, u);
}

WHOLE_TEST(pool, the_end_closes_what_is_idle)
{
    pool_keep(&rig.pool, pool_rig_upstream(&rig, 100));
}
