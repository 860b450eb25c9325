/* SPDX-License-Identifier: Apache-2.0 */
/* test_redis_token.c - the bytes of keys, tokens and scores; they are the same in all gateways on one Redis. */

#include <criterion/criterion.h>
#include <string.h>

#include "core/cost.h"
#include "quota/redis_scripts.h"
#include "redis/scripts.h"
#include "quota/redis_token.h"

#define NOW_US (INT64_C(1795000000) * 1000000 + 123456)

static struct account who(void)
{
    struct account account = {.id = "who"};

    for (int i = 0; i < 16; i++)
        account.digest.bytes[i] = (unsigned char)(0xa0 + i);
    return account;
}

static struct limit limit_of(enum limit_kind kind, enum limit_measure measure, uint32_t ordinal)
{
    struct limit limit = {
        .rule = {.kind = kind,
                 .scope = SCOPE_ACCOUNT,
                 .measure = measure,
                 .units = 4000,
                 .period_us = 60000000,
                 .burst_units = 3000},
        .subject = who().digest,
        .window = {.ordinal = ordinal},
        .image_units = measure == MEASURE_IMAGES ? UNITS_PER_IMAGE : 2500,
    };

    return limit;
}

static struct hold_handle token_of(int64_t images, const struct limit *limits, int len)
{
    struct account account = who();
    struct terms terms = {.limits_len = len};
    struct reservation r;

    for (int i = 0; i < len; i++)
        terms.limits[i] = limits[i];
    reservation_init(&r, &account, &terms, images, UINT64_C(0x0102030405060708));
    r.asked_us = NOW_US;
    r.buckets = 65536;
    return redis_token_make(&r, 0);
}

Test(quota_redis_token, bytes_of_calendar_windows)
{
    static const char expected[] = "\xa4\xa5\xa6\xa7\xa8\xa9"
                                   "\x01\x02\x03\x04\x05\x06\x07\x08"
                                   "\x01\x02"
                                   "c00g16"
                                   "w0000z";
    struct limit limits[] = {limit_of(LIMIT_DAY, MEASURE_IMAGES, 20778),
                             limit_of(LIMIT_WEEK, MEASURE_IMAGES, 35)};
    struct hold_handle handle = token_of(258, limits, 2);

    cr_assert_eq(handle.token_len, sizeof(expected) - 1);
    cr_assert_arr_eq(handle.token, expected, sizeof(expected) - 1);
    cr_assert_eq(handle.bucket, 0xa2a3);
    cr_assert_eq(redis_token_images(&handle), 258);
    cr_assert_eq(redis_token_id(&handle), UINT64_C(0x0102030405060708));
}

Test(quota_redis_token, bytes_of_everything_else)
{
    static const char head[] = "\xa4\xa5\xa6\xa7\xa8\xa9"
                               "\x01\x02\x03\x04\x05\x06\x07\x08"
                               "\x00\x02";
    static const char rest[] = "M0000z\x00\x00\x09\xc4"; /* 2500 an image */
    struct limit limits[] = {
        limit_of(LIMIT_MONTH, MEASURE_CREDITS, 35), limit_of(LIMIT_RATE, MEASURE_IMAGES, 0),
        limit_of(LIMIT_IN_FLIGHT, MEASURE_IMAGES, 0), limit_of(LIMIT_IN_FLIGHT, MEASURE_IMAGES, 0)};

    memcpy(limits[3].subject.bytes + 4, "xyzxyz", 6);

    struct hold_handle handle = token_of(2, limits, 4);

    cr_assert_eq(handle.token_len, 16 + 10 + 8 + 12 + 8);
    cr_assert_arr_eq(handle.token, head, sizeof(head) - 1);
    cr_assert_arr_eq(handle.token + 16, rest, 10);
    cr_assert_eq(handle.token[26], 't');
    cr_assert_eq((int64_t)redis_get(handle.token + 27, 7), NOW_US);
    cr_assert_eq(handle.token[34], 'g');
    cr_assert_eq((int64_t)redis_get(handle.token + 40, 6), 30000000);
    cr_assert_arr_eq(handle.token + 46, "@xyzxyzi", 8);
}

Test(quota_redis_token, bytes_of_rolling_windows)
{
    struct limit limit = limit_of(LIMIT_ROLLING, MEASURE_CREDITS, 0);
    struct hold_handle handle = token_of(2, &limit, 1);

    cr_assert_eq(handle.token_len, 16 + 16);
    cr_assert_eq(handle.token[16], 'R');
    cr_assert_eq((int64_t)redis_get(handle.token + 22, 6), NOW_US / 5000000);
    cr_assert_eq(redis_get(handle.token + 28, 4), 2500);
}

Test(quota_redis_token, rows_that_an_end_may_touch)
{
    struct limit limits[] = {limit_of(LIMIT_DAY, MEASURE_IMAGES, 35),
                             limit_of(LIMIT_RATE, MEASURE_IMAGES, 0),
                             limit_of(LIMIT_ROLLING, MEASURE_CREDITS, 0)};
    struct hold_handle handle = token_of(1, limits, 3);
    struct redis_key rows[TOKEN_ROWS_MAX];
    struct redis_key ledger = redis_ledger_key(&handle);
    int64_t hour = NOW_US / 1000000 / 3600;
    struct redis_key expected[] = {
        redis_row_key(41635, 'c', 35),       redis_row_key(41635, 'g', hour),
        redis_row_key(41635, 'g', hour + 1), redis_row_key(41635, 'R', hour),
        redis_row_key(41635, 'R', hour + 1),
    };

    cr_assert(text_equal(redis_key_text(&ledger), TEXT("mg:{41635}:h")));
    cr_assert(text_equal(redis_key_text(&expected[0]), TEXT("mg:{41635}:c0000z")));
    cr_assert_eq(redis_token_rows(&handle, rows), 5);
    for (int i = 0; i < 5; i++)
        cr_assert(text_equal(redis_key_text(&rows[i]), redis_key_text(&expected[i])), "%d", i);
}

Test(quota_redis_token, the_longest_fits)
{
    struct limit limits[LIMITS_MAX];

    for (int i = 0; i < LIMITS_MAX; i++) {
        limits[i] = limit_of(i ? LIMIT_ROLLING : LIMIT_RATE, MEASURE_CREDITS, 0);
        limits[i].subject.bytes[5] = (unsigned char)i;
    }
    cr_assert_eq(token_of(1, limits, LIMITS_MAX).token_len, 16 + 8 + 19 + 5 * 23);
}

Test(quota_redis_token, scores)
{
    int64_t epoch_us = INT64_C(1577836800) * 1000000;

    cr_assert_eq(redis_score(epoch_us, false), 0);
    cr_assert_eq(redis_score(epoch_us + 1, false), 1, "a lease is never shorter than promised");
    cr_assert_eq(redis_score(epoch_us + 5000000, true), (INT64_C(1) << 30) + 5);
    cr_assert_eq(redis_horizon(epoch_us + 5999999), 3, "two seconds late");
}

Test(quota_redis_token, scripts_have_distinct_digests)
{
    struct redis_scripts scripts;

    cr_assert_eq(redis_scripts_init(&scripts, redis_script_sources, SCRIPTS), ST_OK);
    for (int i = 0; i < SCRIPTS; i++) {
        cr_assert_eq(strlen(scripts.digests[i]), SHA1_HEX_LEN);
        for (int k = 0; k < i; k++)
            cr_assert_str_neq(scripts.digests[i], scripts.digests[k]);
    }
}
