/* SPDX-License-Identifier: Apache-2.0 */
/* test_redis_rows.c - the first charge of an account in a window looks for all of its bucket, and misses no grant. */
#include <criterion/criterion.h>
#include <time.h>

#include "quota/redis.h"
#include "unit/quota/rig.h"

static struct rig rig;

static void up(void)
{
    rig_init(&rig, STORE_REDIS);
    rig_start(&rig);
}

static void down(void)
{
    rig_fini(&rig);
}

TestSuite(quota_redis_rows, .init = up, .fini = down, .timeout = 30);

/* Of the accounts 1, 5, 9, ... of one bucket; the first of today's has begun long ago, or it would be looked at. */
static struct reservation of_bucket(int account)
{
    struct reservation r;

    rig_reservation(&r, account, 0, 1, 3);
    r.limits[0].limit.window.start_s -= 86400;
    return r;
}

static void charge(int account)
{
    struct reservation r = of_bucket(account);

    cr_assert_eq(rig_reserve(&rig, rig.q[0], &r), ST_OK);
    cr_assert_eq(r.limits[0].used_units, UNITS_PER_IMAGE);
    quota_settle(rig.q[0], &r, 1);
    rig_quiet(&rig);
}

static bool has_called(const char *command)
{
    return rig_redis(&rig, "EVAL %s 0 %s",
                     "return string.find(redis.call('INFO', 'commandstats'), ARGV[1]) and 1 or 0",
                     command) == 1;
}

/* Does the first charge of an account look beside its row? */
static bool looks(int account)
{
    rig_redis(&rig, "CONFIG RESETSTAT");
    charge(account);
    cr_assert_eq(has_called("cmdstat_exists"), has_called("cmdstat_ttl"));
    return has_called("cmdstat_ttl");
}

Test(quota_redis_rows, the_first_of_a_bucket_looks_for_all)
{
    struct redis_quota *rq = (struct redis_quota *)rig.q[0];
    struct reservation r = of_bucket(1);

    cr_assert(looks(1));
    struct redis_key row = redis_row_key(rq->last_bucket, 'c', r.limits[0].limit.window.ordinal);

    cr_assert_gt(rig_redis(&rig, "TTL %s", row.buf), 0);
    cr_assert(!looks(5));
    cr_assert(looks(2), "another bucket");
    redis_rows_forget(rq);
    cr_assert(looks(9));
    cr_assert(!looks(13));
}

Test(quota_redis_rows, a_window_that_has_just_begun_is_looked_at)
{
    struct reservation r;

    charge(1);
    rig_reservation(&r, 5, 0, 1, 3);
    r.limits[0].limit.window.start_s = time(NULL);
    rig_redis(&rig, "CONFIG RESETSTAT");
    cr_assert_eq(rig_reserve(&rig, rig.q[0], &r), ST_OK);
    cr_assert(has_called("cmdstat_exists"));
    quota_settle(rig.q[0], &r, 0);
    rig_quiet(&rig);
}

Test(quota_redis_rows, a_grant_is_found_by_who_has_looked_before)
{
    const struct quota_change change = {CHANGE_GRANT, 2 * UNITS_PER_IMAGE, time(NULL) + 3 * 86400};
    struct reservation granted_to = of_bucket(5), r = of_bucket(5);

    charge(1);
    cr_assert_eq(rig_change(&rig, rig.q[0], &granted_to, &change), ST_OK);
    rig_quiet(&rig);
    r.held_images = 5;
    cr_assert_eq(rig_reserve(&rig, rig.q[0], &r), ST_OK);
    quota_settle(rig.q[0], &r, 0);
    rig_quiet(&rig);
    cr_assert(!looks(9));
    redis_rows_forget((struct redis_quota *)rig.q[0]);
    cr_assert(looks(13));
    cr_assert(looks(17), "the bucket keeps grants now");
}

Test(quota_redis_rows, a_reset_leaves_the_row_and_with_it_the_hash)
{
    struct reservation r = of_bucket(1);
    struct redis_quota *rq = (struct redis_quota *)rig.q[0];

    charge(1);
    cr_assert_eq(rig_amend(&rig, rig.q[0], &r, CHANGE_RESET, 0), ST_OK);
    struct redis_key row = redis_row_key(rq->last_bucket, 'c', r.limits[0].limit.window.ordinal);

    cr_assert_gt(rig_redis(&rig, "TTL %s", row.buf), 0);
    charge(5);
    cr_assert_gt(rig_redis(&rig, "TTL %s", row.buf), 0);
}

/* What most paying tiers have, of accounts of that bucket. */
static struct reservation of_paying(int account)
{
    struct limit limits[] = {
        rig_limit(account, LIMIT_DAY, 9 * UNITS_PER_IMAGE),
        rig_limit(account, LIMIT_RATE, 1000 * UNITS_PER_IMAGE),
        rig_limit(account, LIMIT_IN_FLIGHT, 9 * UNITS_PER_IMAGE),
    };
    struct reservation r;

    limits[0].window.start_s -= 86400;
    limits[1].rule.period_us = 1000000; /* idle again after a millisecond */
    limits[1].rule.burst_units = 9 * UNITS_PER_IMAGE;
    rig_reservation_of(&r, account, 1, limits, ARRAY_LEN(limits));
    return r;
}

/* Does the first charge of such an account look beside its rows?  The second one, told by one number, says the same. */
static bool looks_for_paying(int account)
{
    struct reservation r[2] = {of_paying(account), of_paying(account)};
    bool has_looked;

    rig_redis(&rig, "CONFIG RESETSTAT");
    cr_assert_eq(rig_reserve(&rig, rig.q[0], &r[0]), ST_OK);
    has_looked = has_called("cmdstat_ttl");
    cr_assert_eq(rig_reserve(&rig, rig.q[0], &r[1]), ST_OK);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(r[i].limits[0].used_units, (i + 1) * UNITS_PER_IMAGE);
        cr_assert_gt(r[i].limits[1].used_units, 0);
        cr_assert_leq(r[i].limits[1].used_units, (i + 1) * UNITS_PER_IMAGE);
        cr_assert_eq(r[i].limits[2].used_units, (i + 1) * UNITS_PER_IMAGE);
        quota_settle(rig.q[0], &r[i], 1);
    }
    rig_quiet(&rig);
    return has_looked;
}

Test(quota_redis_rows, the_first_rate_of_a_bucket_looks_for_all)
{
    struct redis_quota *rq = (struct redis_quota *)rig.q[0];

    cr_assert(looks_for_paying(1));
    cr_assert(!looks_for_paying(5));
    cr_assert(looks_for_paying(2), "another bucket");
    redis_rows_forget(rq);
    cr_assert(looks_for_paying(9));
    cr_assert(!looks_for_paying(13));
}

Test(quota_redis_rows, a_reset_leaves_the_row_of_a_rate_and_with_it_the_hash)
{
    struct reservation r = of_paying(1);
    struct redis_row row;
    struct redis_key key;

    cr_assert(looks_for_paying(1));
    row =
        redis_row_of((struct redis_quota *)rig.q[0], 1, &r.limits[1].limit, quota_now_us(rig.q[0]));
    key = redis_row_key(1, row.letter, row.ordinal);
    cr_assert_eq(rig_amend(&rig, rig.q[0], &r, CHANGE_RESET, 0), ST_OK);
    cr_assert_eq(r.limits[1].used_units, 0);
    cr_assert_gt(rig_redis(&rig, "TTL %s", key.buf), 0);
    cr_assert(!looks_for_paying(5));
    cr_assert_gt(rig_redis(&rig, "TTL %s", key.buf), 0);
}

/* So many images for an account of whose bucket all is known, by its daily limit of three and, where len says so, by a rate
 * and images in flight besides; nothing stays held. */
static enum status ask(int account, int64_t images, int len)
{
    struct limit limits[] = {rig_limit(account, LIMIT_DAY, 3000),
                             rig_limit(account, LIMIT_RATE, 90000),
                             rig_limit(account, LIMIT_IN_FLIGHT, 9000)};
    struct reservation r;

    limits[0].window.start_s -= 86400;
    limits[1].rule.period_us = 3600 * INT64_C(1000000);
    limits[1].rule.burst_units = 90000;
    rig_reservation_of(&r, account, images, limits, len);

    enum status st = rig_reserve(&rig, rig.q[0], &r);

    if (st == ST_OK)
        quota_settle(rig.q[0], &r, images);
    rig_quiet(&rig);
    return st;
}

static long long rows_of_day(void)
{
    struct reservation r = of_bucket(1);
    struct redis_key row = redis_row_key(1, 'c', r.limits[0].limit.window.ordinal);

    return rig_redis(&rig, "HLEN %s", row.buf);
}

/* Its charge comes before the check. */
static void expect_undone(int account, int len)
{
    long long rows = rows_of_day();

    cr_assert_eq(ask(account, 4, len), ST_LIMIT);
    cr_assert_eq(rows_of_day(), rows, "nor is there a row of it");
    cr_assert_eq(ask(account, 2, len), ST_OK);
    cr_assert_eq(ask(account, 2, len), ST_LIMIT);
    cr_assert_eq(rig_used(&rig, account, 0), 2);
    cr_assert_eq(ask(account, 1, len), ST_OK);
    cr_assert_eq(rig_used(&rig, account, 0), 3);
}

Test(quota_redis_rows, what_does_not_fit_is_undone)
{
    charge(1);
    expect_undone(5, 1);
    expect_undone(9, 2);
    expect_undone(13, 3);
}

Test(quota_redis_rows, what_was_granted_fits)
{
    for (int len = 1; len <= 3; len++) {
        struct reservation r = of_bucket(1 + 4 * len);

        charge(1 + 4 * len);
        cr_assert_eq(rig_amend(&rig, rig.q[0], &r, CHANGE_GRANT, 2 * UNITS_PER_IMAGE), ST_OK);
        cr_assert_eq(ask(1 + 4 * len, 5, len), ST_LIMIT, "one is used");
        cr_assert_eq(ask(1 + 4 * len, 4, len), ST_OK);
        cr_assert_eq(ask(1 + 4 * len, 1, len), ST_LIMIT);
        cr_assert_eq(rig_used(&rig, 1 + 4 * len, 0), 5);
    }
}
