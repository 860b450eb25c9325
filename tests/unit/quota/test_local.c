/* SPDX-License-Identifier: Apache-2.0 */
/* test_local.c - a share of each limit while Redis is down (on_store_down: local): half of it here. */
#include <criterion/criterion.h>
#include <signal.h>

#include "base/clock.h"
#include "quota/redis.h"
#include "unit/quota/rig.h"

static struct rig rig;

static void begin(void)
{
    rig_init(&rig, STORE_REDIS);
    rig.config.quota_timeout_ms = 250;
    rig.config.policy.tiers_len = 1;
    rig.config.policy.tiers[0].on_store_down = STORE_DOWN_LOCAL;
    rig_start(&rig);
}

static void end(void)
{
    rig_fini(&rig);
}

TestSuite(quota_local, .init = begin, .fini = end);

/* As the gate does it. */
static enum status reserve(struct reservation *r, int64_t images, int64_t limit)
{
    struct rig_wait wait;
    enum status st;

    rig_reservation(r, 1, 0, images, limit);
    st = rig_reserve(&rig, rig.q[0], r);
    if (st != ST_UNAVAILABLE)
        return st;
    rig_wait_init(&wait);
    return rig_ended(&rig, &wait, quota_reserve_locally(rig.q[0], r, &wait.op));
}

static void lose_redis(void)
{
    struct reservation r;

    rig_redis_kill(&rig);
    for (int i = 0; i < 100 && quota_store_is_up(rig.store); i++) {
        rig_reservation(&r, 2, 0, 1, 3);
        if (rig_reserve(&rig, rig.q[0], &r) == ST_OK)
            quota_settle(rig.q[0], &r, 0);
    }
    cr_assert(!quota_store_is_up(rig.store));
}

/* Each worker finds it by itself. */
static bool is_found(void)
{
    for (int i = 0; i < RIG_WORKERS; i++) {
        struct redis_quota *rq = (struct redis_quota *)rig.q[i];

        if (!redis_link_is_up(redis_route_link(&rq->route, 0)) || rq->layout_state != LAYOUT_SAME)
            return false;
    }
    return true;
}

static void find_redis(void)
{
    rig_redis_start(&rig);
    RIG_UNTIL(&rig, is_found());
    rig_quiet(&rig);
}

Test(quota_local, a_share_is_admitted_and_charged_later)
{
    struct reservation r;

    lose_redis();
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(reserve(&r, 1, 5), ST_OK);
        cr_assert_eq(r.state, RESERVATION_HELD);
        cr_assert_eq(rig_commit(&rig, rig.q[0], &r, -1), ST_OK);
        quota_settle(rig.q[0], &r, 1);
    }
    cr_assert_eq(reserve(&r, 1, 5), ST_UNAVAILABLE, "half of five, whole images");
    cr_assert_eq(r.state, RESERVATION_NONE);
    find_redis();
    cr_assert_eq(rig_used(&rig, 1, 0), 2);
    cr_assert_eq(reserve(&r, 3, 5), ST_OK);
    cr_assert_null(r.local);
    quota_settle(rig.q[0], &r, 0);
    rig_quiet(&rig);
    cr_assert_eq(rig_held(&rig), 0);
}

Test(quota_local, commit_and_settle_in_one_call)
{
    struct reservation r;

    lose_redis();
    cr_assert_eq(reserve(&r, 4, 8), ST_OK);
    cr_assert_eq(rig_commit(&rig, rig.q[0], &r, 3), ST_OK);
    cr_assert_eq(r.state, RESERVATION_SETTLED);
    cr_assert_eq(reserve(&r, 1, 8), ST_OK, "the one that did not come is there again");
    quota_settle(rig.q[0], &r, 0);
    find_redis();
    cr_assert_eq(rig_used(&rig, 1, 0), 3);
    cr_assert_eq(rig_held(&rig), 0);
}

Test(quota_local, what_made_no_image_is_charged_nowhere)
{
    struct reservation r;

    lose_redis();
    cr_assert_eq(reserve(&r, 4, 8), ST_OK);
    quota_settle(rig.q[0], &r, 0);
    cr_assert_eq(reserve(&r, 4, 8), ST_OK);
    cr_assert_eq(rig_commit(&rig, rig.q[0], &r, 0), ST_OK);
    cr_assert_eq(reserve(&r, 4, 8), ST_OK);
    cr_assert_eq(rig_commit(&rig, rig.q[0], &r, -1), ST_OK);
    quota_settle(rig.q[0], &r, 0);
    find_redis();
    cr_assert_eq(rig_used(&rig, 1, 0), 0);
    cr_assert_eq(rig_held(&rig), 0);
}

Test(quota_local, one_image_at_least)
{
    struct reservation r;

    lose_redis();
    cr_assert_eq(reserve(&r, 1, 1), ST_OK);
    quota_settle(rig.q[0], &r, 1);
    cr_assert_eq(reserve(&r, 1, 1), ST_UNAVAILABLE);
    find_redis();
    cr_assert_eq(rig_used(&rig, 1, 0), 1);
}

Test(quota_local, a_restart_does_not_begin_the_share_anew)
{
    struct reservation r;

    lose_redis();
    cr_assert_eq(reserve(&r, 2, 4), ST_OK);
    quota_settle(rig.q[0], &r, 2);
    rig_stop(&rig);
    rig_start(&rig);
    cr_assert_eq(reserve(&r, 1, 4), ST_UNAVAILABLE);
    find_redis();
    cr_assert_eq(rig_used(&rig, 1, 0), 2, "the outbox outlives the process");
}

/* The reserve that was given up goes through when Redis goes on, and is undone: not so what was delivered. */
Test(quota_local, the_reserve_that_was_given_up_is_another)
{
    struct reservation r;

    kill(rig.server.pid, SIGSTOP);
    cr_assert_eq(reserve(&r, 1, 4), ST_OK);
    cr_assert_eq(rig_commit(&rig, rig.q[0], &r, 1), ST_OK);
    kill(rig.server.pid, SIGCONT);
    RIG_UNTIL(&rig, is_found());
    rig_quiet(&rig);
    cr_assert_eq(rig_used(&rig, 1, 0), 1);
    cr_assert_eq(rig_held(&rig), 0);
}

Test(quota_local, it_is_counted_at_once)
{
    struct reservation r;
    struct rig_wait wait;

    lose_redis();
    rig_reservation(&r, 1, 0, 2, 4);
    rig_wait_init(&wait);
    cr_assert_eq(quota_reserve_locally(rig.q[0], &r, &wait.op), ST_OK);
    cr_assert_not(op_is_pending(&wait.op));
    quota_settle(rig.q[0], &r, 0);
    cr_assert_eq(reserve(&r, 2, 4), ST_OK);
    quota_settle(rig.q[0], &r, 0);
}

Test(quota_local, where_no_tier_wants_it_there_is_none)
{
    struct reservation r;

    rig_stop(&rig);
    rig.config.policy.tiers[0].on_store_down = STORE_DOWN_CLOSED;
    rig_start(&rig);
    lose_redis();
    cr_assert_eq(reserve(&r, 1, 5), ST_UNAVAILABLE);
}
