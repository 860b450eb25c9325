/* SPDX-License-Identifier: Apache-2.0 */
/* test_late.c - holds whose lease ended, and what comes for them then: once, whoever comes, and however often. */

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "quota/redis.h"
#include "unit/quota/rig.h"

#define LEASE_US INT64_C(60000000)
#define OLD_S    INT64_C(1000)

static struct rig rig;

static void up(void)
{
    rig_init(&rig, STORE_REDIS);
    rig_start(&rig);
}

static void down(void)
{
    cr_assert_eq(rig_held(&rig), 0);
    rig_fini(&rig);
}

TestSuite(quota_late, .init = up, .fini = down, .timeout = 60);

static void hold(struct reservation *r, int account, int64_t images, int64_t limit)
{
    rig_reservation(r, account, 0, images, limit);
    cr_assert_eq(rig_reserve(&rig, rig.q[0], r), ST_OK);
}

static struct redis_quota *door(int i)
{
    return (struct redis_quota *)rig.q[i];
}

/* In the ledger, its lease ended long ago, and nobody has looked yet. */
static void expire(const struct reservation *r, bool is_committed)
{
    for (int i = 0; i < r->parts_len; i++) {
        struct hold_handle handle = redis_token_make(r, i);

        cr_assert_eq(rig_redis(&rig, "ZADD mg:{%d}:h XX CH %lld %b", (int)handle.bucket,
                               (long long)(OLD_S + (is_committed ? 1 << 30 : 0)), handle.token,
                               (size_t)handle.token_len),
                     1);
    }
}

static long long score(const struct reservation *r, const char *set)
{
    struct hold_handle handle = redis_token_make(r, 0);

    return rig_redis(&rig, "ZSCORE mg:{%d}:%s %b", (int)handle.bucket, set, handle.token,
                     (size_t)handle.token_len);
}

/* The same, and somebody else has looked. */
static void reap(const struct reservation *r, bool is_committed)
{
    struct reservation look = rig_again(r);

    expire(r, is_committed);
    cr_assert_eq(rig_inspect(&rig, rig.q[1], &look), ST_OK);
    cr_assert_eq(score(r, "h"), 0);
}

/* Somebody uses all that the account has. */
static void use_up(int account, int64_t limit)
{
    struct reservation r;

    rig_reservation(&r, account, 0, limit, limit);
    cr_assert_eq(rig_reserve(&rig, rig.q[1], &r), ST_OK);
    quota_settle(rig.q[1], &r, limit);
    rig_quiet(&rig);
}

static long long tombstone(const struct reservation *r)
{
    return score(r, "t");
}

/* --- a commit that comes late --- */

Test(quota_late, what_others_used_up_meanwhile_is_not_delivered)
{
    for (int at_once = 0; at_once < 2; at_once++) {
        struct reservation r;

        hold(&r, 1 + 4 * at_once, 2, 3);
        reap(&r, false);
        use_up(1 + 4 * at_once, 3);
        r.parts[0].sure_until_us = 1;
        cr_assert_eq(rig_commit(&rig, rig.q[0], &r, at_once ? 2 : -1), ST_LIMIT);
        cr_assert_eq(r.state, RESERVATION_NONE);
        cr_assert_eq(r.refused_by, 0);
        cr_assert_eq(r.limits[0].used_units, 3 * UNITS_PER_IMAGE);
        quota_settle(rig.q[0], &r, 2);
        cr_assert_eq(rig_used(&rig, 1 + 4 * at_once, 0), 3);
    }
}

Test(quota_late, what_nobody_used_meanwhile_is_reserved_anew)
{
    for (int at_once = 0; at_once < 2; at_once++) {
        struct reservation r;
        int account = 1 + 4 * at_once;

        hold(&r, account, 3, 3);
        reap(&r, false);
        cr_assert_eq(rig_used(&rig, account, 0), 0);
        r.parts[0].sure_until_us = 1;
        cr_assert_eq(rig_commit(&rig, rig.q[0], &r, at_once ? 2 : -1), ST_OK);
        if (!at_once) {
            cr_assert_eq(r.state, RESERVATION_COMMITTED);
            cr_assert_eq(rig_used(&rig, account, 0), 3);
            quota_settle(rig.q[0], &r, 2);
        }
        cr_assert_eq(rig_used(&rig, account, 0), 2);
        cr_assert_eq(tombstone(&r), 0);
    }
}

Test(quota_late, what_nobody_has_looked_at_is_committed_in_its_place)
{
    struct reservation r;

    hold(&r, 1, 3, 3);
    expire(&r, false);
    r.parts[0].sure_until_us = 1;
    cr_assert_eq(rig_commit(&rig, rig.q[0], &r, -1), ST_OK);
    cr_assert_eq(rig_used(&rig, 1, 0), 3);
    quota_settle(rig.q[0], &r, 3);
    cr_assert_eq(rig_used(&rig, 1, 0), 3);
}

/* The process stands still between the commit's call and its being written: its reply decides. */
Test(quota_late, a_commit_that_was_written_late_waits_for_its_reply)
{
    for (int at_once = 0; at_once < 2; at_once++) {
        struct reservation r;
        struct rig_wait wait;
        int account = 1 + 4 * at_once;

        hold(&r, account, 3, 3);
        reap(&r, false);
        use_up(account, 2);
        rig_wait_init(&wait);
        cr_assert_eq(quota_commit(rig.q[0], &r, at_once ? 3 : QUOTA_SETTLE_LATER, &wait.op),
                     ST_PENDING);
        clock_skip_us(2 * LEASE_US);
        cr_assert_eq(rig_ended(&rig, &wait, ST_PENDING), ST_LIMIT);
        cr_assert_eq(r.state, RESERVATION_NONE);
        cr_assert_eq(rig_used(&rig, account, 0), 2);
    }
}

Test(quota_late, a_commit_that_was_written_late_and_found_its_hold)
{
    struct reservation r;
    struct rig_wait wait;

    hold(&r, 1, 3, 3);
    rig_wait_init(&wait);
    cr_assert_eq(quota_commit(rig.q[0], &r, 2, &wait.op), ST_PENDING);
    clock_skip_us(LEASE_US + 1000000);
    cr_assert_eq(rig_ended(&rig, &wait, ST_PENDING), ST_OK);
    cr_assert_eq(rig_used(&rig, 1, 0), 2);
}

Test(quota_late, an_acknowledged_commit_of_what_is_gone_is_asked_for_anew)
{
    struct reservation r;

    rig_stop(&rig);
    rig.config.commit = COMMIT_ACKNOWLEDGED;
    rig_start(&rig);
    hold(&r, 1, 3, 3);
    reap(&r, false);
    cr_assert_eq(rig_commit(&rig, rig.q[0], &r, -1), ST_OK);
    quota_settle(rig.q[0], &r, 3);
    hold(&r, 2, 3, 3);
    reap(&r, false);
    use_up(2, 1);
    cr_assert_eq(rig_commit(&rig, rig.q[0], &r, -1), ST_LIMIT);
    cr_assert_eq(rig_used(&rig, 1, 0), 3);
    cr_assert_eq(rig_used(&rig, 2, 0), 1);
}

Test(quota_late, a_team_that_has_used_it_up_takes_the_accounts_part_along)
{
    struct limit limits[] = {rig_limit(1, LIMIT_DAY, 9000),
                             rig_of_team(2, rig_limit(1, LIMIT_DAY, 3000))};
    struct reservation r, other;

    for (int is_late = 0; is_late < 2; is_late++) {
        rig_reservation_of(&r, 1, 2, limits, 2);
        cr_assert_eq(rig_reserve(&rig, rig.q[0], &r), ST_OK);
        expire(&r, false);
        rig_reservation_of(&other, 5, 2 + is_late, (struct limit[]){limits[1]}, 1);
        cr_assert_eq(rig_reserve(&rig, rig.q[1], &other), ST_OK);
        r.parts[1].sure_until_us = is_late;
        cr_assert_eq(rig_commit(&rig, rig.q[0], &r, 2), ST_LIMIT);
        cr_assert_eq(r.refused_by, 1);
        quota_settle(rig.q[1], &other, 0);
        cr_assert_eq(rig_used(&rig, 1, 0), 0);
        cr_assert_eq(rig_used_of(&rig, 1, limits[1]), 0);
    }
}

Test(quota_late, with_every_kind_of_limit)
{
    struct limit limits[] = {rig_limit(1, LIMIT_DAY, 9000), rig_credits(1, LIMIT_MONTH, 9000, 1500),
                             rig_limit(1, LIMIT_IN_FLIGHT, 2000)};
    struct reservation r, other;

    rig_reservation_of(&r, 1, 2, limits, 3);
    cr_assert_eq(rig_reserve(&rig, rig.q[0], &r), ST_OK);
    reap(&r, false);
    rig_reservation_of(&other, 1, 1, limits, 3);
    cr_assert_eq(rig_reserve(&rig, rig.q[1], &other), ST_OK);
    r.parts[0].sure_until_us = 1;
    cr_assert_eq(rig_commit(&rig, rig.q[0], &r, -1), ST_LIMIT,
                 "one is in flight, and two are asked for");
    cr_assert_eq(r.refused_by, 2);
    quota_settle(rig.q[1], &other, 0);
    rig_quiet(&rig);
    cr_assert_eq(rig_used_of(&rig, 1, limits[1]), 0);
}

Test(quota_late, a_store_that_is_down_delivers_nothing_late)
{
    struct reservation r;

    hold(&r, 1, 2, 3);
    rig_redis_kill(&rig);
    RIG_UNTIL(&rig, redis_link_is_refusing(redis_route_link(&door(0)->route, 1)));
    r.parts[0].sure_until_us = 1;
    cr_assert_eq(rig_commit(&rig, rig.q[0], &r, -1), ST_UNAVAILABLE);
    cr_assert_eq(r.state, RESERVATION_NONE);
    rig_redis_start(&rig);
    RIG_UNTIL(&rig, redis_link_is_up(redis_route_link(&door(0)->route, 1)));
    cr_assert_eq(rig_used(&rig, 1, 0), 0);
}

Test(quota_late, a_question_that_is_cancelled_holds_nothing)
{
    struct reservation r;
    struct rig_wait wait;

    hold(&r, 1, 2, 3);
    reap(&r, false);
    r.parts[0].sure_until_us = 1;
    rig_wait_init(&wait);
    cr_assert_eq(quota_commit(rig.q[0], &r, QUOTA_SETTLE_LATER, &wait.op), ST_PENDING);
    loop_run_once(rig.loop, 0);
    op_cancel(&wait.op);
    quota_settle(rig.q[0], &r, 0);
    cr_assert_eq(rig_used(&rig, 1, 0), 0);
}

/* --- renewals --- */

Test(quota_late, a_renewal_tells_how_long_a_hold_is_sure)
{
    struct reservation r;
    int64_t first_us;

    rig_stop(&rig);
    rig.config.lease_ms = 3000;
    rig_start(&rig);
    hold(&r, 1, 2, 3);
    first_us = r.parts[0].sure_until_us;
    RIG_UNTIL(&rig, r.parts[0].sure_until_us > first_us);
    quota_settle(rig.q[0], &r, 0);
    hold(&r, 1, 2, 3);
    reap(&r, false);
    RIG_UNTIL(&rig, r.parts[0].sure_until_us == 0);
    use_up(1, 3);
    cr_assert_eq(rig_commit(&rig, rig.q[0], &r, -1), ST_LIMIT);
}

Test(quota_late, a_reservation_may_go_while_its_renewal_is_on_its_way)
{
    struct reservation r;

    hold(&r, 1, 2, 3);
    rig.q[0]->ops->renew(rig.q[0], &r);
    cr_assert_not_null(r.parts[0].renewal);
    quota_settle(rig.q[0], &r, 0);
    cr_assert_null(r.parts[0].renewal);
    memset(&r, 0x55, sizeof(r));
    rig_quiet(&rig);
}

/* --- what is delivered already is charged all the same --- */

static struct redis_link *link_of(int i)
{
    return redis_route_link(&door(i)->route, 1);
}

/* The connection goes with what is in it, and the next one does not come before it may. */
static struct redis_place lose_link(int i)
{
    const struct redis_place nowhere = {""};
    struct redis_place place = link_of(i)->place;

    redis_link_aim(link_of(i), &nowhere);
    redis_link_give_up(link_of(i), "a test");
    return place;
}

/* A commit was sent and is lost; another gateway ends the lease; it is sent again. */
Test(quota_late, a_commit_that_was_lost_with_its_link_is_charged)
{
    for (int at_once = 0; at_once < 2; at_once++) {
        struct reservation r;
        struct rig_wait wait;
        int account = 1 + 4 * at_once;

        hold(&r, account, 3, 3);
        rig_wait_init(&wait);
        cr_assert_eq(quota_commit(rig.q[0], &r, at_once ? 2 : QUOTA_SETTLE_LATER, &wait.op),
                     ST_PENDING);

        struct redis_place place = lose_link(0);

        cr_assert_eq(rig_ended(&rig, &wait, ST_PENDING), ST_OK);
        reap(&r, false);
        redis_link_move(link_of(0), &place);
        RIG_UNTIL(&rig, redis_link_is_up(link_of(0)));
        rig_quiet(&rig);
        cr_assert_eq(rig_used(&rig, account, 0), at_once ? 2 : 3);
        if (!at_once)
            quota_settle(rig.q[0], &r, 1);
        cr_assert_eq(rig_used(&rig, account, 0), at_once ? 2 : 1);
    }
}

/* A settle that comes after its committed hold was dropped gives back what was not used. */
Test(quota_late, a_settle_after_the_committed_hold_was_dropped)
{
    for (int64_t used = 0; used < 4; used++) {
        struct reservation r;
        int account = 1 + 4 * (int)used;

        hold(&r, account, 3, 3);
        cr_assert_eq(rig_commit(&rig, rig.q[0], &r, -1), ST_OK);
        reap(&r, true);
        cr_assert_eq(rig_used(&rig, account, 0), 3);
        cr_assert_gt(tombstone(&r), 1 << 30);
        quota_settle(rig.q[0], &r, used);
        cr_assert_eq(rig_used(&rig, account, 0), used);
    }
}

/* Whatever is sent again, and from whichever process: the tombstone is taken once. */
Test(quota_late, what_is_sent_again_is_done_once)
{
    struct outbox_record record = {.kind = OUTBOX_SETTLE, .used_images = 1, .was_sent = true};
    struct reservation r;

    hold(&r, 1, 3, 3);
    record.handle = redis_token_make(&r, 0);
    record.row_expiry_s = clock_wall_us() / 1000000 + 9999;
    record.expires_us = quota_now_us(rig.q[0]) + LEASE_US;
    list_remove(&r.live);
    reap(&r, false);
    for (int i = 0; i < 4; i++) {
        redis_request_resume(door(i % 2), &record);
        redis_requests_send(door(i % 2));
        cr_assert_eq(rig_used(&rig, 1, 0), 1);
    }
    record.kind = OUTBOX_COMMIT;
    redis_request_resume(door(0), &record);
    redis_requests_send(door(0));
    cr_assert_eq(rig_used(&rig, 1, 0), 1, "its settle was done");
}

/* As FLAW_REVIVE: done, its reply lost, expired again, sent again. */
Test(quota_late, a_revived_hold_that_expires_too_is_charged_once)
{
    struct outbox_record record = {.kind = OUTBOX_COMMIT, .charges_if_gone = true};
    struct reservation r;

    hold(&r, 1, 3, 9);
    record.handle = redis_token_make(&r, 0);
    record.row_expiry_s = clock_wall_us() / 1000000 + 9999;
    record.expires_us = quota_now_us(rig.q[0]) + LEASE_US;
    list_remove(&r.live);
    reap(&r, false);
    for (int i = 0; i < 3; i++) {
        redis_request_resume(door(i % 2), &record);
        redis_requests_send(door(i % 2));
        rig_quiet(&rig);
        reap(&r, true);
        cr_assert_eq(rig_used(&rig, 1, 0), 3);
    }
    record.kind = OUTBOX_SETTLE;
    record.used_images = 2;
    record.charges_if_gone = false;
    redis_request_resume(door(0), &record);
    redis_requests_send(door(0));
    cr_assert_eq(rig_used(&rig, 1, 0), 2);
}

/* Redis has lost its data, or never had the hold: done where that is sure, and once. */
Test(quota_late, without_a_trace_it_is_charged_where_it_was_never_sent)
{
    for (int was_sent = 0; was_sent < 2; was_sent++) {
        struct outbox_record record = {
            .kind = OUTBOX_COMMIT, .charges_if_gone = true, .was_sent = (uint16_t)was_sent};
        struct reservation r;

        rig_reservation(&r, 1 + 4 * was_sent, 0, 3, 9);
        r.asked_us = quota_now_us(rig.q[0]);
        r.buckets = redis_layout_buckets(&door(0)->layout, r.asked_us);
        record.handle = redis_token_make(&r, 0);
        record.row_expiry_s = clock_wall_us() / 1000000 + 9999;
        redis_request_resume(door(0), &record);
        redis_requests_send(door(0));
        cr_assert_eq(rig_used(&rig, 1 + 4 * was_sent, 0), was_sent ? 0 : 3);
        record.kind = OUTBOX_SETTLE;
        record.used_images = 3;
        redis_request_resume(door(0), &record);
        redis_requests_send(door(0));
        rig_quiet(&rig);
    }
}

/* --- the tombstones --- */

Test(quota_late, tombstones_last_an_hour)
{
    struct reservation r;

    hold(&r, 1, 3, 3);
    reap(&r, false);
    cr_assert_gt(tombstone(&r), 0);
    cr_assert_lt(tombstone(&r), 1 << 30);
    cr_assert_gt(rig_redis(&rig, "TTL mg:{1}:t"), 3500);
    cr_assert_leq(rig_redis(&rig, "TTL mg:{1}:t"), 3600);
    for (long long kind = 0; kind < 3; kind++)
        cr_assert_eq(rig_redis(&rig, "ZADD mg:{1}:t %lld old%d", (kind << 30) + OLD_S, (int)kind),
                     1);
    list_remove(&r.live);
    hold(&r, 5, 3, 3);
    reap(&r, false);
    cr_assert_eq(rig_redis(&rig, "ZCARD mg:{1}:t"), 2, "the old ones have gone");
    list_remove(&r.live);
}

Test(quota_late, what_is_settled_in_time_leaves_none)
{
    for (int i = 0; i < 40; i++) {
        struct reservation r;

        hold(&r, 1, 2, 99);
        if (i % 2)
            cr_assert_eq(rig_commit(&rig, rig.q[0], &r, -1), ST_OK);
        quota_settle(rig.q[0], &r, i % 3);
    }
    rig_quiet(&rig);
    cr_assert_eq(rig_redis(&rig, "EXISTS mg:{1}:t"), 0);
}

/* A row that cannot be written stops a reap before its first write. */
Test(quota_late, a_reap_that_fails_changes_nothing)
{
    struct limit limits[] = {rig_limit(1, LIMIT_DAY, 9000), rig_limit(1, LIMIT_WEEK, 9000)};
    struct redis_key week = redis_row_key(1, 'w', limits[1].window.ordinal);
    struct reservation r, look;

    rig_reservation_of(&r, 1, 2, limits, 2);
    cr_assert_eq(rig_reserve(&rig, rig.q[0], &r), ST_OK);
    expire(&r, false);
    cr_assert_eq(rig_redis(&rig, "RENAME %b aside", week.buf, week.len), 1);
    cr_assert_eq(rig_redis(&rig, "LPUSH %b x", week.buf, week.len), 1);
    look = rig_again(&r);
    look.limits_len = 1;
    cr_assert_eq(rig_inspect(&rig, rig.q[1], &look), ST_UNAVAILABLE);
    cr_assert_eq(rig_redis(&rig, "ZCARD mg:{1}:h"), 1);
    cr_assert_eq(rig_redis(&rig, "EXISTS mg:{1}:t"), 0);
    cr_assert_eq(rig_redis(&rig, "DEL %b", week.buf, week.len), 1);
    cr_assert_eq(rig_redis(&rig, "RENAME aside %b", week.buf, week.len), 1);
    list_remove(&r.live);
    cr_assert_eq(rig_used_of(&rig, 1, limits[0]), 0);
    cr_assert_eq(rig_used_of(&rig, 1, limits[1]), 0);
}
