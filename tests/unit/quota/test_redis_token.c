/* SPDX-License-Identifier: Apache-2.0 */
/* test_redis_token.c - the bytes of keys, tokens and scores; they are the same in all gateways on one Redis. */

#include <criterion/criterion.h>
#include <string.h>

#include "core/cost.h"
#include "quota/redis_scripts.h"
#include "quota/redis_token.h"
#include "quota/row.h"

static struct hold_handle sample(void)
{
    struct account who = {0};
    struct terms terms = {.limits_len = 2};

    for (int i = 0; i < 16; i++)
        who.digest.bytes[i] = (unsigned char)(0xa0 + i);
    terms.limits[0] = (struct limit){.kind = LIMIT_DAY, .window = {.ordinal = 20778}};
    terms.limits[1] = (struct limit){.kind = LIMIT_DAY, .window = {.ordinal = 35}};

    struct reservation r;
    struct hold_handle handle;

    reservation_init(&r, &who, &terms, 258 * UNITS_PER_IMAGE, UINT64_C(0x0102030405060708));
    redis_token_make(&r);
    handle = (struct hold_handle){.bucket = r.bucket, .token_len = (uint32_t)r.token_len};
    memcpy(handle.token, r.token, sizeof(handle.token));
    return handle;
}

Test(quota_redis_token, bytes)
{
    static const char expected[] = "\xa4\xa5\xa6\xa7\xa8\xa9"
                                   "\x01\x02\x03\x04\x05\x06\x07\x08"
                                   "\x01\x02"
                                   "c00g16"
                                   "c0000z";
    struct hold_handle handle = sample();

    cr_assert_eq(handle.token_len, sizeof(expected) - 1);
    cr_assert_arr_eq(handle.token, expected, sizeof(expected) - 1);
    cr_assert_eq(handle.bucket, 0xa2a3);
    cr_assert_eq(redis_token_windows(&handle), 2);
    cr_assert_eq(redis_token_grains(&handle), 258);
    cr_assert_eq(redis_token_id(&handle), UINT64_C(0x0102030405060708));
}

Test(quota_redis_token, keys)
{
    struct hold_handle handle = sample();
    struct redis_key ledger = redis_ledger_key(&handle);
    struct redis_key row = redis_row_key(&handle, 1);

    cr_assert(text_equal(redis_key_text(&ledger), TEXT("mg:{41635}:h")));
    cr_assert(text_equal(redis_key_text(&row), TEXT("mg:{41635}:c0000z")));
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
    struct redis_digests digests;

    cr_assert_eq(redis_scripts_digest(&digests), ST_OK);
    for (int i = 0; i < SCRIPTS; i++) {
        cr_assert_eq(strlen(digests.hex[i]), SHA1_HEX_LEN);
        for (int k = 0; k < i; k++)
            cr_assert_str_neq(digests.hex[i], digests.hex[k]);
    }
}

Test(quota_row, room_and_floor)
{
    int64_t row = (INT64_C(2) << 24) + 3; /* two granted, three used */

    cr_assert_eq(row_used(row), 3);
    cr_assert_eq(row_granted(row), 2);
    cr_assert(row_has_room(row, 2, 3));
    cr_assert(!row_has_room(row, 3, 3));
    cr_assert_eq(row_less(row, 1), row - 1);
    cr_assert_eq(row_less(row, 9), INT64_C(2) << 24, "never below zero, never into the grants");
    cr_assert_eq(row_more(ROW_USED_MAX - 1, 5), ROW_USED_MAX, "never past what can be counted");
    cr_assert(!row_has_room(ROW_USED_MAX, 1, INT64_MAX / 2));
}

Test(quota_row, grains_are_whole_images)
{
    cr_assert_eq(grains_of(4 * UNITS_PER_IMAGE), 4);
    cr_assert_eq(units_of(4), 4 * UNITS_PER_IMAGE);
}
