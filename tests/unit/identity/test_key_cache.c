/* SPDX-License-Identifier: Apache-2.0 */
/* test_key_cache.c - bounds, and who makes room. */
#include "identity/key_cache.h"
#include "unit/whole.h"

#include <string.h>

static struct key_cache cache;

static void begin(void)
{
    memset(&cache, 0, sizeof(cache));
    cr_assert_eq(key_cache_init(&cache), ST_OK);
}

static void end(void)
{
    cr_assert_eq(cache.map.len, (size_t)(cache.known_len + cache.unknown_len));
    key_cache_fini(&cache);
}

static const unsigned char *key(int number)
{
    static unsigned char sha256[KEY_SHA256_LEN];

    memcpy(sha256, &number, sizeof(number));
    return sha256;
}

static bool has(int number)
{
    return key_cache_find(&cache, key(number)) != NULL;
}

WHOLE_TEST(key_cache, the_one_used_longest_ago_makes_room)
{
    for (int i = 0; i < 4; i++)
        cr_assert_not_null(key_cache_put(&cache, key(i), true, 4));
    cr_assert(has(0));
    struct cached_key *oldest = key_cache_find(&cache, key(1));
    cr_assert(has(2) && has(3) && has(0));
    cr_expect_eq(key_cache_put(&cache, key(4), true, 4), oldest, "its memory is used again");
    cr_expect(!has(1) && has(0) && has(2) && has(3) && has(4));
    cr_expect_eq(cache.known_len, 4);
}

WHOLE_TEST(key_cache, made_up_keys_push_out_no_real_one)
{
    for (int i = 0; i < 8; i++)
        cr_assert_not_null(key_cache_put(&cache, key(i), true, 8));
    for (int i = 100; i < 10000; i++)
        cr_assert_not_null(key_cache_put(&cache, key(i), false, 2));
    for (int i = 0; i < 8; i++)
        cr_expect(has(i));
    cr_expect(has(9999) && has(9998) && !has(9997));
    cr_expect_eq(cache.unknown_len, 2);
}

WHOLE_TEST(key_cache, one_that_becomes_known_changes_its_sort)
{
    cr_assert_not_null(key_cache_put(&cache, key(1), false, 2));
    struct cached_key *known = key_cache_put(&cache, key(1), true, 2);
    cr_assert(known && known->is_known);
    known->record.label[KEY_LABEL_MAX] = 'x'; /* it has the room of a known one */
    cr_expect_eq(key_cache_find(&cache, key(1)), known);
    cr_expect_eq(cache.unknown_len, 0);
    cr_assert_not_null(key_cache_put(&cache, key(1), false, 2));
    cr_expect_eq(cache.known_len, 0);
    cr_expect_eq(cache.unknown_len, 1);
}

WHOLE_TEST(key_cache, a_lower_bound_frees_what_is_too_much)
{
    for (int i = 0; i < 100; i++)
        cr_assert_not_null(key_cache_put(&cache, key(i), true, 100));
    cr_assert_not_null(key_cache_put(&cache, key(100), true, 3));
    cr_expect_eq(cache.known_len, 3);
    cr_expect(has(100) && has(99) && has(98) && !has(97));
}

WHOLE_TEST(key_cache, all_is_forgotten_at_once)
{
    cr_assert_not_null(key_cache_put(&cache, key(1), true, 4));
    cr_assert_not_null(key_cache_put(&cache, key(2), false, 4));
    key_cache_clear(&cache);
    cr_expect(!has(1) && !has(2));
    cr_assert_not_null(key_cache_put(&cache, key(1), true, 4));
    cr_expect(has(1) && !has(2));
}
