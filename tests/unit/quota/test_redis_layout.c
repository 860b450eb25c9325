/* SPDX-License-Identifier: Apache-2.0 */
/* test_redis_layout.c - how many buckets there are, and that all gateways on one Redis count in the same ones. */

#include <criterion/criterion.h>
#include <string.h>

#include "base/clock.h"
#include "quota/redis.h"
#include "quota/store.h"
#include "unit/quota/rig.h"

Test(quota_redis_layout, buckets_follow_the_accounts)
{
    static const struct {
        int64_t accounts;
        uint32_t buckets;
    } rows[] = {
        {1, 1024},
        {131072, 1024},
        {185000, 1024},
        {186000, 2048},
        {1000000, 8192},
        {8000000, 65536},
        {25000000, 262144},
        {130000000, 1048576},
        {200000000, 2097152},
        {1000000000, 8388608},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        cr_assert_eq(redis_layout_for(rows[i].accounts).buckets, rows[i].buckets, "%lld: %u",
                     (long long)rows[i].accounts, redis_layout_for(rows[i].accounts).buckets);
}

Test(quota_redis_layout, what_is_written_is_read)
{
    struct redis_layout layout;

    cr_assert_eq(redis_layout_parse(TEXT("65536"), &layout), ST_OK);
    cr_assert_eq(layout.next_buckets, 0);
    cr_assert(redis_layout_names(&layout, 65536));
    cr_assert(!redis_layout_names(&layout, 131072));
    cr_assert_eq(redis_layout_buckets(&layout, INT64_MAX), 65536);
    cr_assert_eq(redis_layout_parse(TEXT("65536 131072 1798761600"), &layout), ST_OK);
    cr_assert(redis_layout_names(&layout, 65536) && redis_layout_names(&layout, 131072));
    cr_assert_eq(redis_layout_buckets(&layout, INT64_C(1798761600) * 1000000 - 1), 65536);
    cr_assert_eq(redis_layout_buckets(&layout, INT64_C(1798761600) * 1000000), 131072);
}

Test(quota_redis_layout, what_is_no_layout)
{
    static const char *const texts[] = {
        "",
        "0",
        "x",
        "512",
        "65537",
        "16777216",
        "65536 ",
        "65536 131072",
        "65536 131072 0",
        "65536 7 1798761600",
        "65536 131072 1798761600 1",
    };
    struct redis_layout layout;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        cr_assert_eq(redis_layout_parse(text_of(texts[i]), &layout),
                     strcmp(texts[i], "65536 ") == 0 ? ST_OK : ST_INVALID, "%s", texts[i]);
}

/* --- on a Redis --- */

static struct rig rig;

static void up(void)
{
    rig_init(&rig, STORE_REDIS);
}

static void down(void)
{
    rig_fini(&rig);
}

TestSuite(quota_layouts, .init = up, .fini = down, .timeout = 30);

static bool all_are(enum layout_state state)
{
    for (int i = 0; i < RIG_WORKERS; i++)
        if (((struct redis_quota *)rig.q[i])->layout_state != state)
            return false;
    return true;
}

static enum status reserve_one(int account, struct reservation *r)
{
    rig_reservation(r, account, 0, 1, 3);
    return rig_reserve(&rig, rig.q[0], r);
}

Test(quota_layouts, the_first_gateway_writes_it)
{
    struct reservation r;

    rig_start(&rig);
    cr_assert_eq(reserve_one(1, &r), ST_OK);
    quota_settle(rig.q[0], &r, 0);
    cr_assert_eq(rig_redis(&rig, "GET mg:{0}:meta"), 65536);
    cr_assert_eq(rig_held(&rig), 0);
    rig_redis(&rig, "DEL mg:{0}:meta");
    RIG_UNTIL(&rig, rig_redis(&rig, "GET mg:{0}:meta") == 65536);
}

Test(quota_layouts, a_gateway_that_differs_counts_nothing)
{
    struct reservation r;

    rig_redis(&rig, "SET mg:{0}:meta 131072");
    rig_start(&rig);
    cr_assert_eq(reserve_one(1, &r), ST_UNAVAILABLE, "which waited for the answer");
    cr_assert_eq(quota_reserve(rig.q[0], &r, &(struct op){0}), ST_UNAVAILABLE, "at once");
    cr_assert(!quota_store_is_up(rig.store));
    cr_assert(strstr(quota_store_words(rig.store), "quota.accounts"));
    cr_assert_eq(rig_redis(&rig, "KEYS mg:{1}:*"), 0);
    rig_redis(&rig, "SET mg:{0}:meta 65536");
    RIG_UNTIL(&rig, all_are(LAYOUT_SAME));
    cr_assert(quota_store_is_up(rig.store));
    cr_assert_eq(strcmp(quota_store_words(rig.store), "up"), 0);
    cr_assert_eq(reserve_one(1, &r), ST_OK);
    quota_settle(rig.q[0], &r, 0);
    cr_assert_eq(rig_held(&rig), 0);
}

/* Another gateway's operator changes it: this one hears of it, ends what it holds, and asks for no more. */
Test(quota_layouts, one_that_is_changed_below_a_gateway)
{
    struct reservation held, r;

    rig_start(&rig);
    cr_assert_eq(reserve_one(1, &held), ST_OK);
    rig_redis(&rig, "SET mg:{0}:meta 131072");
    RIG_UNTIL(&rig, all_are(LAYOUT_OTHER));
    cr_assert(!quota_store_is_up(rig.store));
    cr_assert_eq(reserve_one(1, &r), ST_UNAVAILABLE);
    quota_settle(rig.q[0], &held, 0);
    RIG_UNTIL(&rig, rig_redis(&rig, "EXISTS mg:{1}:h") == 0);
    rig_redis(&rig, "SET mg:{0}:meta 65536");
    RIG_UNTIL(&rig, all_are(LAYOUT_SAME));
    cr_assert_eq(rig_held(&rig), 0);
}

/* A digest whose bucket differs: 65,536 + 1 of 131,072 is 1 of 65,536. */
static void far_account(struct reservation *r)
{
    struct limit limit = rig_limit(1, LIMIT_DAY, 3000);
    struct account account = {.digest = rig_digest(1)};
    struct terms terms = {.limits_len = 1};

    account.digest.bytes[1] = 1;
    limit.subject = account.digest;
    terms.limits[0] = limit;
    reservation_init(r, &account, &terms, 1, 77 + (uint64_t)loop_turn(rig.loop));
}

Test(quota_layouts, a_change_that_was_planned)
{
    struct reservation before, after;

    rig_start(&rig);
    far_account(&before);
    cr_assert_eq(rig_reserve(&rig, rig.q[0], &before), ST_OK);
    cr_assert_eq(redis_part_bucket(&before, 0), 1);
    rig_redis(&rig, "SET %s %s", "mg:{0}:meta", "65536 131072 1"); /* since 1970 */
    RIG_UNTIL(&rig, ((struct redis_quota *)rig.q[0])->layout.next_buckets == 131072);
    cr_assert(quota_store_is_up(rig.store));
    far_account(&after);
    cr_assert_eq(rig_reserve(&rig, rig.q[0], &after), ST_OK);
    cr_assert_eq(redis_part_bucket(&after, 0), 65537);
    quota_settle(rig.q[0], &before, 0);
    quota_settle(rig.q[0], &after, 0);
    rig_quiet(&rig);
    cr_assert_eq(rig_redis(&rig, "EXISTS mg:{1}:h mg:{65537}:h"), 0, "each in its own bucket");
}

/* The layout that was named changes now. */
static void change_over(void)
{
    rig_redis(&rig, "SET %s %s", "mg:{0}:meta", "65536 131072 1");
    RIG_UNTIL(&rig, ((struct redis_quota *)rig.q[0])->layout.next_buckets == 131072 &&
                        ((struct redis_quota *)rig.q[1])->layout.next_buckets == 131072);
}

static int64_t far_used(void)
{
    struct reservation r;

    far_account(&r);
    rig_quiet(&rig);
    cr_assert_eq(rig_inspect(&rig, rig.q[1], &r), ST_OK);
    return r.limits[0].used_units;
}

/* What ends it goes where it is, also when its lease is long over. */
Test(quota_layouts, a_change_while_much_is_in_hand)
{
    struct reservation r[4], again;

    rig_start(&rig);
    for (int i = 0; i < 3; i++) {
        far_account(&r[i]);
        r[i].id += (uint64_t)i << 32;
        cr_assert_eq(rig_reserve(&rig, rig.q[0], &r[i]), ST_OK);
    }
    cr_assert_eq(rig_commit(&rig, rig.q[0], &r[0], -1), ST_OK);
    rig_expire(&rig, &r[1]);
    cr_assert_eq(far_used(), 2000);
    cr_assert_eq(rig_redis(&rig, "ZCARD mg:{1}:t"), 1);
    change_over();
    cr_assert_eq(far_used(), 0, "windows that are under way begin anew");
    cr_assert_eq(rig_commit(&rig, rig.q[0], &r[1], 1), ST_OK);
    r[2].parts[0].sure_until_us = 1;
    cr_assert_eq(rig_commit(&rig, rig.q[0], &r[2], -1), ST_OK, "asked for anew, where it was");
    quota_settle(rig.q[0], &r[2], 0);
    quota_settle(rig.q[0], &r[0], 1);
    rig_quiet(&rig);
    cr_assert_eq(rig_redis(&rig, "EXISTS mg:{1}:h"), 0);
    cr_assert_eq(rig_redis(&rig, "KEYS mg:{65537}:*"), 0);
    for (int i = 0; i < 3; i++) {
        far_account(&r[3]);
        cr_assert_eq(rig_reserve(&rig, rig.q[i % 2], &r[3]), ST_OK);
        quota_settle(rig.q[i % 2], &r[3], 1);
        rig_quiet(&rig);
    }
    far_account(&again);
    cr_assert_eq(rig_reserve(&rig, rig.q[0], &again), ST_LIMIT);
}

/* It is said in the README: they are given again. */
Test(quota_layouts, grants_until_a_date_stay_in_the_layout_they_were_given_in)
{
    const struct quota_change change = {CHANGE_GRANT, 2000, clock_wall_us() / 1000000 + 864000};
    struct reservation r;

    rig_start(&rig);
    far_account(&r);
    cr_assert_eq(rig_change(&rig, rig.q[0], &r, &change), ST_OK);
    cr_assert_eq(r.limits[0].granted_units, 2000);
    change_over();
    far_account(&r);
    cr_assert_eq(rig_inspect(&rig, rig.q[0], &r), ST_OK);
    cr_assert_eq(r.limits[0].granted_units, 0);
    far_account(&r);
    r.id++;
    cr_assert_eq(rig_change(&rig, rig.q[0], &r, &change), ST_OK);
    cr_assert_eq(r.limits[0].granted_units, 2000);
}

Test(quota_layouts, full_buckets_are_seen)
{
    struct redis_quota *rq;
    struct reservation r;

    rig_start(&rig);
    cr_assert_eq(reserve_one(1, &r), ST_OK);
    rq = (struct redis_quota *)rig.q[0];

    struct redis_key row = redis_key_of(rq->last_bucket, rq->last_row);

    for (int i = 0; i < 400; i++)
        cr_assert_eq(rig_redis(&rig, "HSET %b f%d 1", row.buf, row.len, i), 1);
    for (int i = 0; i < 7; i++) { /* the eighth poll takes a sample */
        rq->polls = 7;
        rq->poll.fire(&rq->poll);
        RIG_UNTIL(&rig, !rq->is_polling);
    }
    cr_assert_gt(quota_store_bucket_accounts(rig.store), 100);
    quota_settle(rig.q[0], &r, 0);
    cr_assert_eq(rig_held(&rig), 0);
}
