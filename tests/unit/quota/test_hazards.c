/* SPDX-License-Identifier: Apache-2.0 */
/* test_hazards.c - what the ledger's layout in Redis could get wrong, each by its number: see quota/redis_scripts.h.
 *
 *   H1  one's own expired hold lies behind others'       H6  a key of another type in the middle of a script
 *   H2  a refund touches keys that are named in tokens   H7  binary strings compared by locale
 *   H3  a ledger has no expiry: orphans                  H8  the packing of a row caps what can be used
 *   H4  rows were lost                                   H9  counting in flight walks the ledger
 *   H5  a retry keeps the first expiry */

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "quota/redis.h"
#include "unit/quota/rig.h"

/* For %b: the token of the first part. */
#define TOKEN(r) redis_token_make(&(r), 0).token, (size_t)redis_token_make(&(r), 0).token_len

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

TestSuite(quota_hazards, .init = up, .fini = down, .timeout = 60);

static void hold(struct reservation *r, int account, int64_t images, int64_t limit)
{
    rig_reservation(r, account, 0, images, limit);
    cr_assert_eq(rig_reserve(&rig, rig.q[0], r), ST_OK);
}

/* One limit of each kind, none of which refuses. */
static void all_kinds(int account, struct limit limits[LIMITS_MAX])
{
    limits[0] = rig_limit(account, LIMIT_DAY, 99000);
    limits[1] = rig_credits(account, LIMIT_MONTH, 99000, 1500);
    limits[2] = rig_limit(account, LIMIT_RATE, 9000);
    limits[2].rule.period_us = 60000000;
    limits[2].rule.burst_units = 99000;
    limits[3] = rig_limit(account, LIMIT_ROLLING, 99000);
    limits[3].rule.period_us = INT64_C(7200000000);
    limits[3].subject = limit_subject(&limits[3].rule, rig_digest(account));
    limits[4] = rig_limit(account, LIMIT_IN_FLIGHT, 99000);
    limits[5] = rig_of_model(account, "m", rig_limit(account, LIMIT_WEEK, 99000));
}

/* H1: one's own expired hold, behind hundreds of others', is found before one is refused. */
Test(quota_hazards, h1_own_expired_hold_behind_many_others)
{
    struct reservation others[200], own, r;

    for (int i = 0; i < 200; i++)
        hold(&others[i], 5, 1, 999);
    hold(&own, 1, 3, 3);
    for (int i = 0; i < 200; i++)
        rig_expire(&rig, &others[i]);
    rig_expire(&rig, &own);
    cr_assert(rig_redis(&rig, "ZADD mg:{1}:h XX -1 %b", TOKEN(own)) == 0);
    for (int i = 0; i < 200; i++)
        rig_redis(&rig, "ZADD mg:{1}:h XX -2 %b", TOKEN(others[i]));
    rig_reservation(&r, 1, 0, 3, 3);
    cr_assert_eq(rig_reserve(&rig, rig.q[1], &r), ST_OK);
    quota_settle(rig.q[1], &r, 0);
    cr_assert_eq(rig_used(&rig, 5, 0), 0);
}

/* H2: SETTLE and REVIVE name every row that they touch; REAP cannot, but all lie in the ledger's slot. */
static bool is_named(const struct hold_handle *handle, const char *key)
{
    struct redis_key rows[TOKEN_ROWS_MAX];
    int len = redis_token_rows(handle, rows);

    for (int i = 0; i < len; i++)
        if (text_equal(redis_key_text(&rows[i]), text_of(key)))
            return true;
    return false;
}

Test(quota_hazards, h2_an_end_names_every_row_that_it_touches)
{
    struct limit limits[LIMITS_MAX];
    struct reservation r;
    struct hold_handle handle;
    redisReply *keys;

    all_kinds(1, limits);
    rig_reservation_of(&r, 1, 2, limits, LIMITS_MAX);
    cr_assert_eq(rig_reserve(&rig, rig.q[0], &r), ST_OK);
    handle = redis_token_make(&r, 0);
    keys = redisCommand(rig.server.side, "KEYS mg:{1}:*");
    cr_assert_eq(keys->elements, 6, "the ledger, and a row a limit that has one");
    for (size_t i = 0; i < keys->elements; i++) {
        cr_assert(strncmp(keys->element[i]->str, "mg:{1}:", 7) == 0, "one slot");
        cr_assert(strcmp(keys->element[i]->str, "mg:{1}:h") == 0 ||
                  is_named(&handle, keys->element[i]->str));
    }
    freeReplyObject(keys);
    quota_settle(rig.q[0], &r, 0);
    for (int i = 0; i < LIMITS_MAX; i++)
        cr_assert_leq(rig_used_of(&rig, 1, limits[i]), limits[i].rule.kind == LIMIT_RATE ? 300 : 0);
}

/* A row of segments that has moved on to the next one is found there. */
Test(quota_hazards, h2_a_refund_follows_a_row_to_its_next_segment)
{
    struct limit limits[LIMITS_MAX];
    struct reservation r;
    char name[4][64];
    int64_t hour = quota_now_us(rig.q[0]) / 3600000000;
    int64_t day = hour / 24;

    all_kinds(1, limits);
    rig_reservation_of(&r, 1, 2, limits, LIMITS_MAX);
    cr_assert_eq(rig_reserve(&rig, rig.q[0], &r), ST_OK);
    for (int i = 0; i < 4; i++) {
        struct redis_key key = redis_row_key(1, i < 2 ? 'g' : 'r', (i < 2 ? hour : day) + i % 2);

        snprintf(name[i], sizeof(name[i]), "%.*s", (int)key.len, key.buf);
    }
    cr_assert_eq(rig_redis(&rig, "EXISTS %s %s", name[0], name[2]), 2);
    cr_assert_eq(rig_redis(&rig, "RENAME %s %s", name[0], name[1]), 1);
    cr_assert_eq(rig_redis(&rig, "RENAME %s %s", name[2], name[3]), 1);

    long long before = rig_redis(&rig, "HGET %s %b", name[1], redis_field(&limits[2].subject),
                                 (size_t)ROW_FIELD_LEN);

    quota_settle(rig.q[0], &r, 1);
    rig_quiet(&rig);

    long long after = rig_redis(&rig, "HGET %s %b", name[1], redis_field(&limits[2].subject),
                                (size_t)ROW_FIELD_LEN);

    cr_assert(before - after > 5000000 && before - after <= 6667000, "%lld", before - after);
    cr_assert_eq(rig_redis(&rig, "EXISTS %s %s", name[0], name[2]), 0, "nothing is made anew");
}

/* What is in the segment before counts on; the row is written to the present one. */
Test(quota_hazards, h2_a_row_is_found_in_the_segment_before)
{
    struct limit limits[LIMITS_MAX];
    int64_t hour = quota_now_us(rig.q[0]) / 3600000000;
    struct redis_key keys[] = {
        redis_row_key(1, 'g', hour),
        redis_row_key(1, 'g', hour - 1),
        redis_row_key(1, 'r', hour / 24),
        redis_row_key(1, 'r', hour / 24 - 1),
    };
    struct reservation r;

    all_kinds(1, limits);
    for (int i = 0; i < 2; i++) {
        rig_reservation_of(&r, 1, 2, limits, LIMITS_MAX);
        cr_assert_eq(rig_reserve(&rig, rig.q[0], &r), ST_OK);
        quota_settle(rig.q[0], &r, 2);
        rig_quiet(&rig);
        cr_assert_geq(r.limits[2].used_units, i * 2000 + 1500);
        cr_assert_eq(r.limits[3].used_units, i * 2000 + 2000);
        if (i > 0)
            break;
        for (int k = 0; k < 4; k += 2)
            rig_redis(&rig, "RENAME %b %b", keys[k].buf, keys[k].len, keys[k + 1].buf,
                      keys[k + 1].len);
        rig_redis(&rig, "HINCRBY %b %b 3600000000", keys[1].buf, keys[1].len,
                  redis_field(&limits[2].subject), (size_t)ROW_FIELD_LEN);
    }
    cr_assert_eq(
        rig_redis(&rig, "EXISTS %b %b", keys[0].buf, keys[0].len, keys[2].buf, keys[2].len), 2);
}

/* H3: what a dead gateway left is dealt with by calls that are accepted, too, every so often. */
Test(quota_hazards, h3_orphans_go_with_the_calls_of_others)
{
    struct reservation dead, r;

    hold(&dead, 1, 3, 9);
    rig_expire(&rig, &dead);
    cr_assert_eq(rig_redis(&rig, "TTL mg:{1}:h"), -1);
    for (int i = 0; i < 16; i++) {
        hold(&r, 5, 1, 99);
        quota_settle(rig.q[0], &r, 1);
    }
    rig_quiet(&rig);
    cr_assert_eq(rig_redis(&rig, "EXISTS mg:{1}:h"), 0);
    cr_assert_eq(rig_used(&rig, 1, 0), 0);
}

/* H4: rows that vanished (a failover, an eviction) are not made by giving back, and nothing falls below zero. */
Test(quota_hazards, h4_giving_back_creates_nothing)
{
    struct reservation r[3];

    for (int i = 0; i < 3; i++)
        hold(&r[i], 1, 2, 9);
    cr_assert_eq(rig_redis(&rig, "EVAL %s 0",
                           "local n = 0 for _, k in ipairs(redis.call('KEYS', 'mg:*:c*')) do "
                           "n = n + redis.call('DEL', k) end return n"),
                 1);
    quota_settle(rig.q[0], &r[0], 1);
    rig_quiet(&rig);
    cr_assert_eq(rig_redis(&rig, "KEYS mg:*:c*"), 0);
    rig_expire(&rig, &r[1]);
    cr_assert_eq(rig_used(&rig, 1, 0), 0);
    cr_assert_eq(rig_redis(&rig, "KEYS mg:*:c*"), 0, "nor does an expiry");
    hold(&r[1], 1, 1, 9);
    quota_settle(rig.q[0], &r[2], 0);
    cr_assert_eq(rig_used(&rig, 1, 0), 0, "the floor");
    quota_settle(rig.q[0], &r[1], 1);
}

/* H5: a retry counts its lease from its own first sending. */
Test(quota_hazards, h5_a_retry_puts_the_expiry_off)
{
    struct reservation r, again;

    hold(&r, 1, 1, 9);
    again = r;
    again.state = RESERVATION_NONE;
    list_init(&again.live);
    rig_expire(&rig, &r);
    cr_assert_eq(rig_reserve(&rig, rig.q[1], &again), ST_OK);
    cr_assert_eq(rig_used(&rig, 1, 0), 1, "it lives");
    quota_settle(rig.q[1], &again, 0);
}

/* H6: a row of another type stops a script before its first write. */
Test(quota_hazards, h6_a_row_of_another_type_leaves_no_hold)
{
    struct limit limits[LIMITS_MAX];
    struct reservation r;
    struct redis_key key;

    all_kinds(1, limits);
    key = redis_row_key(1, 'w', limits[5].window.ordinal);
    cr_assert_eq(rig_redis(&rig, "LPUSH %b x", key.buf, key.len), 1);
    rig_reservation_of(&r, 1, 2, limits, LIMITS_MAX);
    cr_assert_eq(rig_reserve(&rig, rig.q[0], &r), ST_UNAVAILABLE);
    rig_quiet(&rig);
    cr_assert_eq(rig_redis(&rig, "EXISTS mg:{1}:h"), 0);
    cr_assert_eq(rig_used(&rig, 1, 0), 0);
    cr_assert_eq(rig_redis(&rig, "DEL %b", key.buf, key.len), 1);
}

/* H7: any bytes may stand in a digest, also those that the grammar of a token uses. */
Test(quota_hazards, h7_any_bytes_in_a_digest)
{
    static const unsigned char bytes[] = {0, 10, 13, '@', 'c', 'g', 'i', 't', 127, 128, 255};

    for (size_t i = 0; i < sizeof(bytes); i++) {
        struct limit limits[LIMITS_MAX];
        struct reservation r[2];

        all_kinds(1, limits);
        for (int k = 0; k < LIMITS_MAX; k++)
            memset(limits[k].subject.bytes + 4, bytes[i] + (k == 5), 12);
        for (int k = 0; k < 2; k++) {
            rig_reservation_of(&r[k], 1, 2, limits, LIMITS_MAX);
            memset(r[k].account.bytes + 4, bytes[i], 12);
            cr_assert_eq(rig_reserve(&rig, rig.q[0], &r[k]), ST_OK);
            cr_assert_eq(r[k].limits[4].used_units, (k + 1) * 2000);
        }
        rig_expire(&rig, &r[0]);
        quota_settle(rig.q[0], &r[1], 1);
        rig_quiet(&rig);
        limits[4].rule.units = 0;
        rig_reservation_of(&r[0], 1, 1, limits, LIMITS_MAX);
        cr_assert_eq(rig_reserve(&rig, rig.q[0], &r[0]), ST_LIMIT);
        cr_assert_eq(r[0].refused_by, 4);
        cr_assert_eq(r[0].limits[0].used_units, 1000, "%d", bytes[i]);
        cr_assert_eq(r[0].limits[1].used_units, 1500);
        cr_assert_eq(r[0].limits[3].used_units, 1000);
        cr_assert_eq(r[0].limits[4].used_units, 0);
        cr_assert_eq(r[0].limits[5].used_units, 1000);
    }
}

/* H8: rows count to 2^24 images and 2^32 thousandths of a credit, with grants beside them. */
Test(quota_hazards, h8_rows_count_far_and_stop_before_they_overflow)
{
    struct limit limits[] = {rig_limit(1, LIMIT_DAY, INT64_C(1) << 40),
                             rig_credits(1, LIMIT_MONTH, INT64_C(1) << 40, 1000)};
    struct reservation amend, r;

    for (int i = 0; i < 2; i++) {
        int64_t most = (INT64_C(1) << (i ? 32 : 24)) - 1;
        int64_t unit = i ? 1 : 1000;

        rig_reservation_of(&amend, 1, 0, &limits[i], 1);
        cr_assert_eq(rig_amend(&rig, rig.q[0], &amend, CHANGE_SET_USED, 70000000), ST_OK);
        amend = rig_again(&amend);
        cr_assert_eq(rig_amend(&rig, rig.q[0], &amend, CHANGE_GRANT, 5000), ST_OK);
        cr_assert_eq(amend.limits[0].used_units, 70000000);
        cr_assert_eq(amend.limits[0].granted_units, 5000);
        amend = rig_again(&amend);
        cr_assert_eq(rig_amend(&rig, rig.q[0], &amend, CHANGE_SET_USED, INT64_MAX / 2), ST_OK);
        cr_assert_eq(amend.limits[0].used_units, most * unit);
        amend = rig_again(&amend);
        cr_assert_eq(rig_amend(&rig, rig.q[0], &amend, CHANGE_SET_USED, most * unit - 1000), ST_OK);
        cr_assert_eq(amend.limits[0].granted_units, 5000);
        rig_reservation_of(&r, 1, 2, &limits[i], 1);
        cr_assert_eq(rig_reserve(&rig, rig.q[0], &r), ST_LIMIT);
        rig_reservation_of(&r, 1, 1, &limits[i], 1);
        cr_assert_eq(rig_reserve(&rig, rig.q[0], &r), ST_OK);
        cr_assert_eq(r.limits[0].used_units, most * unit);
        cr_assert_eq(r.limits[0].granted_units, 5000);
        quota_settle(rig.q[0], &r, 0);
        cr_assert_eq(rig_used_of(&rig, 1, limits[i]), most * unit - 1000);
    }
}

/* H9: many holds in the bucket, past what a listpack takes, and the count in flight is right. */
Test(quota_hazards, h9_counting_in_flight_among_many)
{
    struct limit limit = rig_limit(1, LIMIT_IN_FLIGHT, 3000);
    static struct reservation others[300];
    struct reservation r[2], more;
    int64_t before_us;

    for (int i = 0; i < 300; i++)
        hold(&others[i], 5, 1, 999);
    for (int i = 0; i < 2; i++) {
        rig_reservation_of(&r[i], 1, 1 + i, &limit, 1);
        cr_assert_eq(rig_reserve(&rig, rig.q[0], &r[i]), ST_OK);
    }
    rig_reservation_of(&more, 1, 1, &limit, 1);
    before_us = clock_monotonic_us();
    cr_assert_eq(rig_reserve(&rig, rig.q[0], &more), ST_LIMIT);
    cr_assert_leq(clock_monotonic_us() - before_us, 50000);
    cr_assert_eq(more.limits[0].used_units, 3000);
    for (int i = 0; i < 300; i++)
        quota_settle(rig.q[0], &others[i], 0);
    for (int i = 0; i < 2; i++)
        quota_settle(rig.q[0], &r[i], 0);
    rig_quiet(&rig);
    cr_assert_eq(rig_redis(&rig, "EXISTS mg:{1}:h"), 0);
}
