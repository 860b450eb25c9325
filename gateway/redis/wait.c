/* SPDX-License-Identifier: Apache-2.0 */
/* wait.c - until replicas have what was written.      Runs on: worker.
 * WAIT holds up all that follows it on its connection, so there is one at a time, at the end of a turn's write, for all who
 * ask meanwhile; and its time is half of what a call has, so that replicas which are slow do not look like a Redis that
 * is down. */

#include <string.h>

#include "base/log.h"
#include "redis/link.h"

#define COMPLAIN_US INT64_C(10000000)

static void tell_all(struct list *calls, const redisReply *reply)
{
    for (struct list *node = list_pop_front(calls); node; node = list_pop_front(calls)) {
        struct redis_call *call = container_of(node, struct redis_call, link);

        call->done(call, reply);
    }
}

static void complain(struct redis_link *link, const redisReply *reply)
{
    int64_t now_us = loop_now_us(link->loop);

    if (link->complained_us != 0 && now_us - link->complained_us < COMPLAIN_US)
        return;
    link->complained_us = now_us;
    log_event(LOG_WARN, "quota_replicas_missing", "store=redis node=%s have=%lld expected=%d%s%s%s",
              link->place.at, reply->type == REDIS_REPLY_INTEGER ? reply->integer : 0,
              link->target->wait_replicas, reply->type == REDIS_REPLY_ERROR ? " reply=\"" : "",
              reply->type == REDIS_REPLY_ERROR ? reply->str : "",
              reply->type == REDIS_REPLY_ERROR ? "\"" : "");
}

static void on_waited(struct redis_call *call, const redisReply *reply)
{
    struct redis_link *link = call->of;

    if (!reply)
        return; /* redis_wait_lost() tells them */
    if (reply->type != REDIS_REPLY_INTEGER || reply->integer < link->target->wait_replicas)
        complain(link, reply);

    struct list told;

    list_move(&link->replicating, &told);
    if (!list_is_empty(&link->unreplicated))
        loop_at_turn_end(link->loop, &link->flush);
    tell_all(&told, reply);
}

void redis_link_wait(struct redis_link *link, struct redis_call *call)
{
    call->of = link;
    list_push_back(&link->unreplicated, &call->link);
    loop_at_turn_end(link->loop, &link->flush);
}

void redis_wait_send(struct redis_link *link)
{
    if (list_is_empty(&link->unreplicated) || !list_is_empty(&link->replicating))
        return;
    list_move(&link->unreplicated, &link->replicating);
    redis_link_begin(link, 3);
    redis_link_arg(link, TEXT("WAIT"));
    redis_link_arg_int(link, link->target->wait_replicas);
    redis_link_arg_int(link, MAX(link->target->timeout_us / 2000, 1));
    redis_link_end(link, &link->wait);
}

void redis_wait_lost(struct redis_link *link)
{
    tell_all(&link->replicating, NULL);
    tell_all(&link->unreplicated, NULL);
}

void redis_wait_init(struct redis_link *link)
{
    list_init(&link->unreplicated);
    list_init(&link->replicating);
    link->wait.done = on_waited;
}
