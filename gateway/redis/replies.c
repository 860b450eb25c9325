/* SPDX-License-Identifier: Apache-2.0 */
/* replies.c - see replies.h.      Runs on: worker. */

#include "redis/replies.h"

#include <string.h>

#define INTEGER_DIGITS 18 /* more may not fit, and are left to the reader */

enum status redis_replies_open(struct redis_replies *replies)
{
    *replies = (struct redis_replies){.reader = redisReaderCreate()};
    return replies->reader ? ST_OK : ST_NOMEM;
}

void redis_replies_close(struct redis_replies *replies)
{
    if (replies->reader)
        redisReaderFree(replies->reader);
    replies->reader = NULL;
    replies->len = 0;
}

void redis_replies_give(struct redis_replies *replies, const char *bytes, size_t len)
{
    replies->bytes = bytes;
    replies->len = len;
}

/* The whole of ":-12" (or of "*2"), with its line end, at the front: how many bytes that is; 0: it is something else. */
static size_t integer_at(const char *bytes, size_t len, char kind, long long *out)
{
    size_t first = len > 1 && bytes[1] == '-' ? 2 : 1;
    size_t at = first;
    long long value = 0;

    if (len == 0 || bytes[0] != kind)
        return 0;
    for (; at < len && at < first + INTEGER_DIGITS && bytes[at] >= '0' && bytes[at] <= '9'; at++)
        value = value * 10 + (bytes[at] - '0');
    if (at == first || len - at < 2 || memcmp(bytes + at, "\r\n", 2) != 0)
        return 0;
    *out = first == 2 ? -value : value;
    return at + 2;
}

static redisReply integer_reply(long long value)
{
    return (redisReply){.type = REDIS_REPLY_INTEGER, .integer = value};
}

static size_t list_at(struct redis_replies *replies)
{
    long long numbers = 0, value = 0;
    size_t at = integer_at(replies->bytes, replies->len, '*', &numbers);

    if (at == 0 || numbers < 1 || numbers > REDIS_NUMBERS_MAX)
        return 0;
    for (long long i = 0; i < numbers; i++) {
        size_t taken = integer_at(replies->bytes + at, replies->len - at, ':', &value);

        if (taken == 0)
            return 0;
        replies->numbers[i] = integer_reply(value);
        replies->elements[i] = &replies->numbers[i];
        at += taken;
    }
    replies->plain = (redisReply){
        .type = REDIS_REPLY_ARRAY, .elements = (size_t)numbers, .element = replies->elements};
    return at;
}

static bool take_plain(struct redis_replies *replies)
{
    const redisReader *reader = replies->reader;
    long long value = 0;
    size_t taken;

    if (reader->ridx >= 0 || reader->pos < reader->len)
        return false;
    taken = integer_at(replies->bytes, replies->len, ':', &value);
    if (taken > 0)
        replies->plain = integer_reply(value);
    else
        taken = list_at(replies);
    replies->bytes += taken;
    replies->len -= taken;
    return taken > 0;
}

/* Asked with nothing in hand, the reader would begin a reply with nothing. */
static enum status read_one(struct redis_replies *replies, redisReply **out)
{
    redisReader *reader = replies->reader;
    void *reply = NULL;

    if (replies->len > 0 && redisReaderFeed(reader, replies->bytes, replies->len) != REDIS_OK)
        return ST_NOMEM;
    replies->len = 0;
    if (reader->pos >= reader->len)
        return ST_PENDING;
    if (redisReaderGetReply(reader, &reply) != REDIS_OK)
        return ST_INVALID;
    *out = reply;
    return reply ? ST_OK : ST_PENDING;
}

enum status redis_replies_next(struct redis_replies *replies, redisReply **out)
{
    if (!take_plain(replies))
        return read_one(replies, out);
    *out = &replies->plain;
    return ST_OK;
}

void redis_replies_free(struct redis_replies *replies, redisReply *reply)
{
    if (reply != &replies->plain)
        freeReplyObject(reply);
}
