/* SPDX-License-Identifier: Apache-2.0 */
/* redis_board.c - notes between gateways: a hash a board, a field a gateway.      Runs on: worker; control thread.
 * Nothing depends on a note: what a lost link or a moving slot swallows is written again by the next one. */

#include <stdlib.h>

#include "quota/redis.h"

/* In a bucket like all other keys, so that a Cluster has a place for it. */
#define BUCKET    0
#define BOARD_KEY "mg:{0}:"

struct posting {
    struct redis_call set, expire;
    struct redis_quota *rq;
    int awaited;
};

struct board_reading {
    struct redis_call call;
    struct redis_quota *rq;
    struct quota_reading *reading; /* lent by who waits */
    struct op *op;                 /* NULL: nobody waits */
};

/* The link's map learns where the board is now. */
static void note_error(struct redis_quota *rq, struct redis_call *call, const redisReply *reply)
{
    if (reply && reply->type == REDIS_REPLY_ERROR)
        (void)redis_route_error(&rq->route, call->of, call, reply->str);
}

static void add_key(struct redis_link *link, struct text board)
{
    char buf[64];
    struct text_out key;

    text_out_init(&key, buf, sizeof(buf));
    text_out_add(&key, TEXT(BOARD_KEY));
    text_out_add(&key, board);
    redis_link_arg(link, text_out_text(&key));
}

/* --- posting --- */

static void posted(struct posting *posting)
{
    posting->rq->on_way--;
    posting->awaited--;
    if (posting->awaited == 0)
        free(posting);
}

static void on_set(struct redis_call *call, const redisReply *reply)
{
    struct posting *posting = container_of(call, struct posting, set);

    note_error(posting->rq, call, reply);
    posted(posting);
}

static void on_expire(struct redis_call *call, const redisReply *reply)
{
    UNUSED(reply);
    posted(container_of(call, struct posting, expire));
}

void redis_board_post(struct quota *q, const struct quota_note *note)
{
    struct redis_quota *rq = (struct redis_quota *)q;
    struct redis_link *link = redis_route_link(&rq->route, BUCKET);
    struct posting *posting = redis_link_is_up(link) ? calloc(1, sizeof(*posting)) : NULL;
    char buf[20];
    struct text_out from;

    if (!posting)
        return;
    *posting = (struct posting){.rq = rq, .awaited = 2};
    posting->set.done = on_set;
    posting->expire.done = on_expire;
    rq->on_way += posting->awaited;
    text_out_init(&from, buf, sizeof(buf));
    text_out_hex(&from, &note->from, sizeof(note->from));
    redis_link_begin(link, 4);
    redis_link_arg(link, TEXT("HSET"));
    add_key(link, note->board);
    redis_link_arg(link, text_out_text(&from));
    redis_link_arg(link, note->text);
    redis_link_end(link, &posting->set);
    redis_link_begin(link, 3);
    redis_link_arg(link, TEXT("EXPIREAT"));
    add_key(link, note->board);
    redis_link_arg_int(link, note->until_s);
    redis_link_end(link, &posting->expire);
}

/* --- reading --- */

static enum status take_all(struct board_reading *reading, const redisReply *reply)
{
    if (!reply || reply->type != REDIS_REPLY_ARRAY)
        return ST_UNAVAILABLE;
    for (size_t i = 0; i + 1 < reply->elements; i += 2) {
        const redisReply *field = reply->element[i];
        const redisReply *value = reply->element[i + 1];
        uint64_t from;

        if (field->type != REDIS_REPLY_STRING || value->type != REDIS_REPLY_STRING ||
            text_unhex((struct text){field->str, field->len}, &from, sizeof(from)))
            continue;
        reading->reading->take(reading->reading, from, (struct text){value->str, value->len});
    }
    return ST_OK;
}

static void on_read(struct redis_call *call, const redisReply *reply)
{
    struct board_reading *reading = container_of(call, struct board_reading, call);
    struct op *op = reading->op;
    enum status st = ST_OK;

    note_error(reading->rq, call, reply);
    if (op)
        st = take_all(reading, reply);
    reading->rq->on_way--;
    free(reading);
    if (op)
        op_done(op, st);
}

static void cancel(struct op *op)
{
    struct board_reading *reading = op->callee;

    reading->op = NULL;
}

enum status redis_board_read(struct quota *q, struct quota_reading *asked, struct op *op)
{
    struct redis_quota *rq = (struct redis_quota *)q;
    struct redis_link *link = redis_route_link(&rq->route, BUCKET);
    struct board_reading *reading = redis_link_is_up(link) ? calloc(1, sizeof(*reading)) : NULL;

    if (!reading)
        return ST_UNAVAILABLE;
    *reading = (struct board_reading){.rq = rq, .reading = asked, .op = op};
    reading->call.done = on_read;
    op->cancel = cancel;
    op->callee = reading;
    rq->on_way++;
    redis_link_begin(link, 2);
    redis_link_arg(link, TEXT("HGETALL"));
    add_key(link, asked->board);
    redis_link_end(link, &reading->call);
    return ST_PENDING;
}
