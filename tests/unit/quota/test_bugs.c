/* SPDX-License-Identifier: Apache-2.0 */
/* test_bugs.c - what went wrong in other gateways, each by its issue's number, and must not go wrong here.
 *
 *   litellm   20256, 28160  a counter of parallel requests that no one takes back after a timeout or a cancel
 *             16011, 27900  parallel requests counted by each worker for itself
 *             32441         a counter where entries with an end of their own would do
 *             35533, 33923  a store that fails, and so each process lets its own share through, or everything
 *             27639         leaked reservations: a budget that seems to be used up
 *             27001, 36459  a refused request counts
 *             17323         refused for ever, after one refusal
 *   auto.fun  330           a hundred at once drive what remains below zero
 *   builder   2504          a refund that makes a key without an end, or goes below zero */

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "quota/redis.h"
#include "unit/quota/rig.h"

#define CROWD 100

static void flight(struct reservation *r, int64_t images, int64_t units)
{
    struct limit limit = rig_limit(1, LIMIT_IN_FLIGHT, units);

    rig_reservation_of(r, 1, images, &limit, 1);
}

/* So many at once through both workers; how many got in.  They stay held. */
static int crowd(struct rig *rig, struct quota *doors[2], const struct limit *limit,
                 struct reservation r[CROWD])
{
    static struct rig_wait waits[CROWD];
    enum status st[CROWD];
    int held = 0;

    for (int i = 0; i < CROWD; i++) {
        rig_reservation_of(&r[i], 1, 1, limit, 1);
        rig_wait_init(&waits[i]);
        st[i] = quota_reserve(doors[i % 2], &r[i], &waits[i].op);
    }
    for (int i = 0; i < CROWD; i++)
        held += rig_ended(rig, &waits[i], st[i]) == ST_OK;
    return held;
}

static void settle_all(struct quota *doors[2], struct reservation r[CROWD])
{
    for (int i = 0; i < CROWD; i++)
        quota_settle(doors[i % 2], &r[i], 0);
}

CONTRACT(issue_20256_28160_what_a_timeout_or_a_cancel_leaves_in_flight_comes_back)
{
    struct reservation r, cancelled;
    struct rig_wait wait;

    flight(&r, 1, 1000);
    cr_assert_eq(rig_reserve(rig, rig->q[0], &r), ST_OK);
    rig_expire(rig, &r); /* nobody ever took it back */
    flight(&cancelled, 1, 1000);
    rig_wait_init(&wait);
    rig_give_up(rig->q[0], &cancelled, &wait, quota_reserve(rig->q[0], &cancelled, &wait.op));
    rig_quiet(rig);
    flight(&r, 1, 1000);
    cr_assert_eq(rig_reserve(rig, rig->q[1], &r), ST_OK);
    quota_settle(rig->q[1], &r, 0);
}

CONTRACT(issue_16011_workers_count_in_flight_together)
{
    static struct reservation r[CROWD];
    struct limit limit = rig_limit(1, LIMIT_IN_FLIGHT, 7000);

    cr_assert_eq(crowd(rig, rig->q, &limit, r), 7);
    settle_all(rig->q, r);
}

CONTRACT(issue_32441_each_hold_in_flight_ends_for_itself)
{
    struct reservation r[3], more;

    for (int i = 0; i < 3; i++) {
        flight(&r[i], 1, 3000);
        cr_assert_eq(rig_reserve(rig, rig->q[0], &r[i]), ST_OK);
    }
    rig_expire(rig, &r[1]);
    flight(&more, 2, 3000);
    cr_assert_eq(rig_reserve(rig, rig->q[0], &more), ST_LIMIT);
    cr_assert_eq(more.limits[0].used_units, 2000);
    flight(&more, 1, 3000);
    cr_assert_eq(rig_reserve(rig, rig->q[0], &more), ST_OK);
    quota_settle(rig->q[0], &r[0], 1);
    quota_settle(rig->q[0], &r[0], 1); /* twice is once */
    quota_settle(rig->q[0], &r[2], 1);
    quota_settle(rig->q[0], &more, 1);
}

CONTRACT(issue_27639_no_reservation_leaks)
{
    for (int i = 0; i < 60; i++) {
        struct reservation r;

        rig_reservation(&r, 1, 0, 3, 3);
        cr_assert_eq(rig_reserve(rig, rig->q[i % 2], &r), ST_OK);
        if (i % 3 == 0)
            cr_assert_eq(rig_commit(rig, rig->q[i % 2], &r, -1), ST_OK);
        if (i % 3 == 1)
            rig_expire(rig, &r);
        quota_settle(rig->q[i % 2], &r, 0);
        rig_quiet(rig);
    }
    cr_assert_eq(rig_used(rig, 1, 0), 0);
}

CONTRACT(issue_27001_a_refused_request_counts_nowhere)
{
    struct limit limits[] = {rig_limit(1, LIMIT_DAY, 9000), rig_credits(1, LIMIT_MONTH, 9000, 500),
                             rig_limit(1, LIMIT_WEEK, 1000)};
    struct reservation r;

    for (int i = 0; i < 5; i++) {
        rig_reservation_of(&r, 1, 2, limits, 3);
        cr_assert_eq(rig_reserve(rig, rig->q[0], &r), ST_LIMIT);
    }
    for (int i = 0; i < 3; i++)
        cr_assert_eq(rig_used_of(rig, 1, limits[i]), 0);
}

CONTRACT(issue_36459_a_team_that_refuses_takes_the_accounts_count_back)
{
    struct limit limits[] = {rig_limit(1, LIMIT_DAY, 9000),
                             rig_of_team(2, rig_limit(1, LIMIT_DAY, 1000))};
    struct reservation r;

    rig_reservation_of(&r, 1, 2, limits, 2);
    cr_assert_eq(rig_reserve(rig, rig->q[0], &r), ST_LIMIT);
    cr_assert_eq(r.refused_by, 1);
    cr_assert_eq(r.limits[0].used_units, 0);
    cr_assert_eq(rig_used(rig, 1, 0), 0);
}

CONTRACT(issue_17323_refused_once_is_not_refused_for_ever)
{
    struct reservation r, next;

    rig->remembers = true;
    for (int i = 0; i < 3; i++) {
        rig_reservation(&r, 1, 0, 1, 0);
        cr_assert_eq(rig_reserve(rig, rig->q[0], &r), ST_LIMIT);
    }
    rig_reservation(&next, 1, 1, 1, 1);
    cr_assert_eq(rig_reserve(rig, rig->q[0], &next), ST_OK, "the next day");
    quota_settle(rig->q[0], &next, 0);
    rig_reservation(&next, 1, 0, 1, 1);
    cr_assert_eq(rig_reserve(rig, rig->q[0], &next), ST_OK, "a raised limit");
    quota_settle(rig->q[0], &next, 0);
}

CONTRACT(issue_330_a_hundred_at_once_and_ten_get_in)
{
    static struct reservation r[CROWD];
    struct limit limit = rig_limit(1, LIMIT_DAY, 10000);

    cr_assert_eq(crowd(rig, rig->q, &limit, r), 10);
    for (int i = 0; i < CROWD; i++)
        cr_assert_leq(r[i].limits[0].used_units, 10000);
    settle_all(rig->q, r);
    cr_assert_eq(rig_used(rig, 1, 0), 0);
}

/* --- of Redis alone --- */

static struct rig redis;

static void up(void)
{
    rig_init(&redis, STORE_REDIS);
    rig_start(&redis);
}

static void down(void)
{
    rig_fini(&redis);
}

TestSuite(quota_bugs, .init = up, .fini = down, .timeout = 30);

Test(quota_bugs, issue_27900_gateways_count_in_flight_together)
{
    static struct reservation r[CROWD];
    struct limit limit = rig_limit(1, LIMIT_IN_FLIGHT, 7000);
    struct quota_store *other;
    struct quota *doors[2] = {redis.q[0], NULL};
    char error[CONFIG_ERROR_MAX];

    cr_assert_eq(quota_store_open(&redis.config, error, &other), ST_OK);
    cr_assert_eq(quota_open(other, redis.loop, &redis.config, &doors[1]), ST_OK);
    RIG_UNTIL(&redis, doors[1]->has_clock);
    cr_assert_eq(crowd(&redis, doors, &limit, r), 7);
    settle_all(doors, r);
    quota_close(&doors[1]);
    quota_store_close(&other);
    cr_assert_eq(rig_held(&redis), 0);
}

Test(quota_bugs, issue_35533_no_worker_lets_a_share_of_its_own_through)
{
    struct reservation r;

    rig_redis_kill(&redis);
    RIG_UNTIL(&redis, redis_link_is_refusing(
                          redis_route_link(&((struct redis_quota *)redis.q[0])->route, 1)));
    for (int i = 0; i < 10; i++) {
        rig_reservation(&r, 1, 0, 1, 99);
        cr_assert_eq(rig_reserve(&redis, redis.q[0], &r), ST_UNAVAILABLE);
        cr_assert_eq(r.state, RESERVATION_NONE);
    }
}

Test(quota_bugs, issue_33923_what_cannot_be_written_is_not_held)
{
    struct reservation r;

    rig_redis(&redis, "CONFIG SET maxmemory 1");
    rig_reservation(&r, 1, 0, 1, 99);
    cr_assert_eq(rig_reserve(&redis, redis.q[0], &r), ST_UNAVAILABLE);
    cr_assert_eq(r.state, RESERVATION_NONE);
    rig_redis(&redis, "CONFIG SET maxmemory 0");
    cr_assert_eq(rig_redis(&redis, "KEYS mg:{1}:*"), 0);
}

Test(quota_bugs, issue_2504_a_refund_keeps_the_end_of_a_row_and_makes_none)
{
    struct limit limit = rig_limit(1, LIMIT_DAY, 9000);
    struct redis_key row = redis_row_key(1, 'c', limit.window.ordinal);
    struct reservation r, other;
    long long ttl;

    rig_reservation(&r, 1, 0, 2, 9);
    cr_assert_eq(rig_reserve(&redis, redis.q[0], &r), ST_OK);
    rig_reservation(&other, 5, 0, 2, 9);
    cr_assert_eq(rig_reserve(&redis, redis.q[0], &other), ST_OK);
    ttl = rig_redis(&redis, "TTL %b", row.buf, row.len);
    cr_assert_gt(ttl, 3600);
    quota_settle(redis.q[0], &r, 1);
    rig_quiet(&redis);
    cr_assert_leq(rig_redis(&redis, "TTL %b", row.buf, row.len), ttl);
    cr_assert_gt(rig_redis(&redis, "TTL %b", row.buf, row.len), ttl - 10);
    cr_assert_eq(rig_redis(&redis, "DEL %b", row.buf, row.len), 1);
    quota_settle(redis.q[0], &other, 0);
    rig_quiet(&redis);
    cr_assert_eq(rig_redis(&redis, "EXISTS %b", row.buf, row.len), 0);
}
