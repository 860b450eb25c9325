/* SPDX-License-Identifier: Apache-2.0 */
/* key_line.c - single commands to the Redis of a keystore.      Runs on: the thread that opened it.
 * A call is in exactly one of two lists: parked until a link can take it, or sent.  Callbacks may start other calls and
 * free their own, so the lists are walked by taking the first one out. */
#include "identity/key_line.h"

#include "base/log.h"

#define COMPLAIN_US INT64_C(1000000)

static void end(struct key_call *call, const redisReply *reply)
{
    list_remove(&call->link);
    call->done(call, reply);
}

static struct redis_link *next_link(struct key_call *call, bool *out_asks)
{
    struct redis_route *route = &call->line->route;

    *out_asks = false;
    if (!call->is_redirected)
        return redis_route_link(route, call->bucket);
    return redis_route_resend_link(route, call->bucket, &call->redis, out_asks);
}

static void transmit(struct key_call *call, struct redis_link *link, bool asks)
{
    if (asks)
        redis_link_ask(link);
    call->is_redirected = false;
    call->is_sent = true;
    list_remove(&call->link);
    list_push_back(&call->line->sent, &call->link);
    call->write(call, link);
    redis_link_end(link, &call->redis);
}

static void park(struct key_call *call)
{
    call->is_sent = false;
    list_remove(&call->link);
    list_push_back(&call->line->parked, &call->link);
}

static void go(struct key_call *call)
{
    bool asks;
    struct redis_link *link = next_link(call, &asks);

    if (redis_link_is_up(link))
        transmit(call, link, asks);
    else if (redis_link_is_refusing(link) || call->line->is_closing)
        end(call, NULL);
    else
        park(call);
}

static void complain(struct key_line *line, const char *error)
{
    int64_t now_us = loop_now_us(line->loop);

    if (now_us - line->complained_us < COMPLAIN_US)
        return;
    line->complained_us = now_us;
    log_event(LOG_ERROR, "keystore_error", "reply=\"%s\"", error);
}

static void refused(struct key_call *call, const char *error)
{
    struct key_line *line = call->line;
    struct redis_link *link = call->redis.of;

    switch (redis_route_error(&line->route, link, &call->redis, error)) {
    case ROUTE_RESEND:
        call->is_redirected = true;
        go(call);
        return;
    case ROUTE_LATER:
        park(call);
        return;
    case ROUTE_DOWN:
        park(call);
        redis_link_give_up(link, error); /* ends what is parked, too */
        return;
    case ROUTE_NONE:
    case ROUTE_ERROR:
        complain(line, error);
        end(call, NULL);
        return;
    case ROUTE_NOWHERE:
        end(call, NULL);
        return;
    }
}

static void on_done(struct redis_call *redis, const redisReply *reply)
{
    struct key_call *call = container_of(redis, struct key_call, redis);

    call->is_redirected = false;
    if (!reply && call->is_late)
        end(call, NULL);
    else if (!reply)
        park(call); /* until the link is up again, or known to be down */
    else if (reply->type == REDIS_REPLY_ERROR)
        refused(call, reply->str);
    else
        end(call, reply);
}

static bool is_hopeless(const struct key_call *call)
{
    struct key_line *line = call->line;

    if (line->is_closing)
        return true;
    return redis_link_is_refusing(call->is_sent ? call->redis.of
                                                : redis_route_link(&line->route, call->bucket));
}

/* Who waits in vain is told.  What is on its way stays there: its reply is still of use to those who come later. */
static void tell_hopeless(struct key_line *line)
{
    struct list looked_at;

    list_move(&line->parked, &looked_at);
    for (struct list *node = list_pop_front(&looked_at); node; node = list_pop_front(&looked_at)) {
        struct key_call *call = container_of(node, struct key_call, link);

        list_push_back(&line->parked, node);
        if (is_hopeless(call))
            end(call, NULL);
    }
    list_move(&line->sent, &looked_at);
    for (struct list *node = list_pop_front(&looked_at); node; node = list_pop_front(&looked_at)) {
        struct key_call *call = container_of(node, struct key_call, link);

        list_push_back(&line->sent, node);
        if (call->is_late || !is_hopeless(call))
            continue;
        call->is_late = true;
        call->late(call);
    }
}

/* --- the route --- */

static struct key_line *line_of(struct redis_route *route)
{
    return container_of(route, struct key_line, route);
}

static void on_synced(struct redis_route *route, int64_t clock_offset_us)
{
    UNUSED(route); /* keys know no time */
    UNUSED(clock_offset_us);
}

static void on_up(struct redis_route *route)
{
    UNUSED(route); /* on_ready() follows */
}

static void on_ready(struct redis_route *route)
{
    struct key_line *line = line_of(route);
    struct list waiting;

    list_move(&line->parked, &waiting);
    for (struct list *node = list_pop_front(&waiting); node; node = list_pop_front(&waiting))
        go(container_of(node, struct key_call, link));
    line->ready(line);
}

static void on_lost(struct redis_route *route)
{
    tell_hopeless(line_of(route));
}

enum status key_line_open(struct key_line *line, struct loop *loop,
                          const struct redis_target *target)
{
    line->loop = loop;
    list_init(&line->parked);
    list_init(&line->sent);
    line->complained_us = INT64_MIN / 2;
    line->route.synced = on_synced;
    line->route.up = on_up;
    line->route.ready = on_ready;
    line->route.lost = on_lost;
    return redis_route_open(&line->route, loop, target);
}

void key_line_close(struct key_line *line)
{
    line->is_closing = true;
    redis_route_close(&line->route);
    tell_hopeless(line);
}

enum status key_call_start(struct key_line *line, struct key_call *call, uint32_t bucket)
{
    if (line->is_closing)
        return ST_UNAVAILABLE;

    struct redis_link *link = redis_route_link(&line->route, bucket);

    if (redis_link_is_refusing(link))
        return ST_UNAVAILABLE;
    call->redis = (struct redis_call){.done = on_done};
    list_init(&call->redis.link);
    list_init(&call->link);
    call->line = line;
    call->bucket = bucket;
    call->is_redirected = call->is_late = false;
    if (redis_link_is_up(link))
        transmit(call, link, false);
    else
        park(call);
    return ST_PENDING;
}

enum status key_call_join(struct key_call *call)
{
    if (is_hopeless(call))
        return ST_UNAVAILABLE;
    call->is_late = false;
    return ST_PENDING;
}
