/* SPDX-License-Identifier: Apache-2.0 */
/* server.c - see server.h. */

#include "bench/store/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "base/clock.h"
#include "bench/store/accounts.h"
#include "quota/redis_token.h"

#define PIPELINED 4096
/* Neither way of counting has the other's keys in its table: who uses one does not use the other. */
#define PAIRS_DATABASE 1
#define DAY_S          INT64_C(86400)

static void fail(const char *what)
{
    fprintf(stderr, "store-load: %s\n", what);
    exit(1);
}

redisContext *server_connect(const char *path)
{
    redisContext *server = redisConnectUnix(path);

    if (!server || server->err)
        fail("no Redis there");
    return server;
}

/* The number behind the first such words, or 0. */
static double number_after(const char *text, const char *words)
{
    const char *found = strstr(text, words);

    return found ? strtod(found + strlen(words), NULL) : 0;
}

static double command_us(const char *text, const char *name)
{
    const char *found = strstr(text, name);

    return found ? number_after(found, "usec=") : 0;
}

struct usage server_usage(redisContext *server)
{
    redisReply *reply = redisCommand(server, "INFO everything");

    if (!reply || !reply->str)
        fail("no INFO");

    struct usage usage = {
        .cpu_us = 1e6 * (number_after(reply->str, "used_cpu_user:") +
                         number_after(reply->str, "used_cpu_sys:")),
        .evalsha_us = command_us(reply->str, "cmdstat_evalsha:"),
        .zrem_us = command_us(reply->str, "cmdstat_zrem:"),
        .pair_us =
            command_us(reply->str, "cmdstat_incrby:") + command_us(reply->str, "cmdstat_expire:"),
        .scripts = (int64_t)number_after(reply->str, "cmdstat_evalsha:calls="),
    };

    freeReplyObject(reply);
    return usage;
}

static void take_replies(redisContext *server, int replies)
{
    for (int i = 0; i < replies; i++) {
        void *reply = NULL;

        if (redisGetReply(server, &reply) != REDIS_OK || !reply)
            fail("Redis is gone");
        if (((redisReply *)reply)->type == REDIS_REPLY_ERROR)
            fail(((redisReply *)reply)->str);
        freeReplyObject(reply);
    }
}

static void append(redisContext *server, int *pending, const char *const *args, const size_t *lens,
                   int len)
{
    redisAppendCommandArgv(server, len, (const char **)(uintptr_t)args, lens);
    if (++*pending < PIPELINED)
        return;
    take_replies(server, *pending);
    *pending = 0;
}

static void choose_database(redisContext *server, int number)
{
    redisReply *reply = redisCommand(server, "SELECT %d", number);

    if (!reply || reply->type == REDIS_REPLY_ERROR)
        fail("no second database");
    freeReplyObject(reply);
}

void server_pairs(redisContext *server, int64_t first, int64_t accounts)
{
    long long day = (long long)(clock_wall_us() / 1000000 / DAY_S);
    int pending = 0;

    choose_database(server, PAIRS_DATABASE);
    for (int64_t i = first; i < first + accounts; i++) {
        struct account_digest digest = account_of(i);
        char key[64];
        int key_len = snprintf(key, sizeof(key), "quota:%016llx:%lld",
                               (unsigned long long)redis_get(digest.bytes, 8), day);
        const size_t lens[] = {6, (size_t)key_len, 1};
        const size_t expire_lens[] = {6, (size_t)key_len, 5};

        append(server, &pending, (const char *const[]){"INCRBY", key, "1"}, lens, 3);
        append(server, &pending, (const char *const[]){"EXPIRE", key, "86400"}, expire_lens, 3);
    }
    take_replies(server, pending);
    choose_database(server, 0);
}

void server_rows(redisContext *server, int64_t accounts, uint32_t buckets)
{
    int64_t day = clock_wall_us() / 1000000 / DAY_S;
    int pending = 0;

    for (int64_t i = 0; i < accounts; i++) {
        struct account_digest digest = account_of(i);
        struct redis_key key =
            redis_row_key((uint32_t)redis_get(digest.bytes, 4) % buckets, 'c', day);
        const size_t lens[] = {4, key.len, ROW_FIELD_LEN, 1};

        append(server, &pending,
               (const char *const[]){"HSET", key.buf, (const char *)redis_field(&digest), "1"},
               lens, 4);
    }
    take_replies(server, pending);
    pending = 0;
    for (uint32_t bucket = 0; bucket < buckets; bucket++) {
        struct redis_key key = redis_row_key(bucket, 'c', day);
        const size_t lens[] = {6, key.len, 6};

        append(server, &pending, (const char *const[]){"EXPIRE", key.buf, "100000"}, lens, 3);
    }
    take_replies(server, pending);
}
