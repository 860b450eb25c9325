/* SPDX-License-Identifier: Apache-2.0 */
/* test_replies.c - replies from bytes, however they are cut. */

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "redis/replies.h"

static struct redis_replies replies;
static char seen[512];
static struct text_out out;

static void up(void)
{
    cr_assert_eq(redis_replies_open(&replies), ST_OK);
    text_out_init(&out, seen, sizeof(seen));
}

static void down(void)
{
    redis_replies_close(&replies);
    redis_replies_close(&replies);
}

TestSuite(redis_replies, .init = up, .fini = down);

static void note(const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_INTEGER)
        text_out_printf(&out, "%lld ", reply->integer);
    else if (reply->type == REDIS_REPLY_ARRAY)
        text_out_printf(&out, "[%zu] ", reply->elements);
    else
        text_out_printf(&out, "'%s' ", reply->str);
    for (size_t i = 0; i < reply->elements; i++)
        note(reply->element[i]);
}

/* All there are by now; how it ends. */
static enum status read_all(const char *bytes, size_t len)
{
    redisReply *reply;
    enum status st;

    redis_replies_give(&replies, bytes, len);
    for (st = redis_replies_next(&replies, &reply); !st;
         st = redis_replies_next(&replies, &reply)) {
        note(reply);
        redis_replies_free(&replies, reply);
    }
    return st;
}

static const char stream[] =
    ":1\r\n:-12\r\n+OK\r\n:3\r\n*2\r\n:7\r\n$3\r\nabc\r\n:9223372036854775807\r\n"
    ":0\r\n-ERR no\r\n:999999999999999999\r\n*0\r\n:5\r\n*3\r\n:1\r\n:-3\r\n:16777216\r\n"
    "*1\r\n*1\r\n:4\r\n:6\r\n";
static const char record[] = "1 -12 'OK' 3 [2] 7 'abc' 9223372036854775807 0 'ERR no' "
                             "999999999999999999 [0] 5 [3] 1 -3 16777216 [1] [1] 4 6 ";

/* In three pieces, each a copy that ends with its memory, so that a sanitizer sees who reads on. */
static void expect_cut(size_t first, size_t second)
{
    const size_t ends[] = {0, first, second, sizeof(stream) - 1};

    for (int i = 0; i < 3; i++) {
        size_t len = ends[i + 1] - ends[i];
        char *piece = memcpy(malloc(MAX(len, 1U)), stream + ends[i], len);

        cr_assert_eq(read_all(piece, len), ST_PENDING);
        free(piece);
    }
    cr_assert_str_eq(seen, record, "cut at %zu and %zu", first, second);
    text_out_init(&out, seen, sizeof(seen));
}

Test(redis_replies, cut_anywhere_they_are_the_same)
{
    for (size_t first = 0; first < sizeof(stream); first++)
        for (size_t second = first; second < sizeof(stream); second++)
            expect_cut(first, second);
}

Test(redis_replies, byte_by_byte)
{
    for (size_t i = 0; i + 1 < sizeof(stream); i++)
        cr_assert_eq(read_all(stream + i, 1), ST_PENDING);
    cr_assert_str_eq(seen, record);
}

Test(redis_replies, what_is_no_reply_is_said)
{
    static const char *const wrong[] = {
        ":\r\n", ":-\r\n", ":1x\r\n", ":1 \r\n", ":99999999999999999999\r\n", "1\r\n", "!\r\n"};

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        cr_assert_eq(read_all(":1\r\n", 4), ST_PENDING);
        cr_assert_eq(read_all(wrong[i], strlen(wrong[i])), ST_INVALID, "%s", wrong[i]);
        redis_replies_close(&replies);
        cr_assert_eq(redis_replies_open(&replies), ST_OK);
    }
    cr_assert_str_eq(seen, "1 1 1 1 1 1 1 ");
}

Test(redis_replies, a_list_longer_than_most)
{
    char text[16 + 4 * (REDIS_NUMBERS_MAX + 1)];
    size_t len = (size_t)snprintf(text, sizeof(text), "*%d\r\n", REDIS_NUMBERS_MAX + 1);

    for (int i = 0; i <= REDIS_NUMBERS_MAX; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, ":7\r\n");
    cr_assert_eq(read_all(text, len), ST_PENDING);
    cr_assert_eq(memcmp(seen, "[65] 7 7 7 ", 11), 0);
}

Test(redis_replies, closed_half_way_nothing_is_left)
{
    cr_assert_eq(read_all("*2\r\n:1\r\n", 8), ST_PENDING);
    redis_replies_close(&replies);
    cr_assert_eq(redis_replies_open(&replies), ST_OK);
    cr_assert_eq(read_all(":2\r\n", 4), ST_PENDING);
    cr_assert_str_eq(seen, "2 ");
}
