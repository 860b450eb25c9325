/* SPDX-License-Identifier: Apache-2.0 */
/* sentinel.c - see sentinel.h.      Runs on: worker. */

#include "redis/sentinel.h"

#include <stdlib.h>

#include "base/log.h"

#define POLL_US     INT64_C(1000000)
#define TROUBLE_US  INT64_C(100000)
#define SPACING_US  INT64_C(50000)
#define DOUBT_AFTER 10 /* answers, in trouble, that were no help */

struct redis_sentinel {
    struct redis_route *route;
    struct redis_target target; /* of the sentinels */
    struct redis_link link;     /* to the present one */
    struct redis_link *master;
    int at; /* the present one */
    struct redis_call ask;
    bool is_asking;
    int64_t asked_us;
    int unhelpful;     /* answers in a row */
    struct timer poll; /* the next time of asking */
};

static void ask_at(struct redis_sentinel *sentinel, int64_t at_us)
{
    at_us = MAX(at_us, sentinel->asked_us + SPACING_US);
    timer_set(sentinel->route->loop, &sentinel->poll,
              MAX(at_us, loop_now_us(sentinel->route->loop)));
}

static void ask(struct redis_sentinel *sentinel)
{
    struct redis_link *link = &sentinel->link;

    if (sentinel->is_asking || !redis_link_is_up(link))
        return;
    sentinel->is_asking = true;
    sentinel->asked_us = loop_now_us(sentinel->route->loop);
    redis_link_begin(link, 3);
    redis_link_arg(link, TEXT("SENTINEL"));
    redis_link_arg(link, TEXT("GET-MASTER-ADDR-BY-NAME"));
    redis_link_arg(link, text_of(sentinel->target.master));
    redis_link_end(link, &sentinel->ask);
}

static const struct redis_place *place_behind(const struct redis_sentinel *sentinel)
{
    return &sentinel->target.places[(sentinel->at + 1) % sentinel->target.places_len];
}

/* [host, port], both as texts */
static enum status read_master(const redisReply *reply, struct redis_place *out)
{
    uint64_t port;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 || !reply->element[0]->str ||
        !reply->element[1]->str)
        return ST_INVALID;
    if (text_to_u64((struct text){reply->element[1]->str, reply->element[1]->len}, &port) ||
        port > 65535)
        return ST_INVALID;
    return redis_place_make((struct text){reply->element[0]->str, reply->element[0]->len},
                            (int64_t)port, out);
}

static void follow(struct redis_sentinel *sentinel, const struct redis_place *place)
{
    struct redis_link *master = sentinel->master;

    if (redis_place_is_same(&master->place, place))
        return;
    if (redis_place_is_known(&master->place))
        log_event(LOG_NOTE, "quota_master_moved", "store=redis from=%s to=%s", master->place.at,
                  place->at);
    sentinel->unhelpful = 0;
    redis_link_move(master, place);
}

/* What it says has been of no use for a while: another one may know better. */
static void doubt(struct redis_sentinel *sentinel)
{
    if (++sentinel->unhelpful < DOUBT_AFTER)
        return;
    sentinel->unhelpful = 0;
    redis_link_move(&sentinel->link, place_behind(sentinel));
}

static void on_master(struct redis_call *call, const redisReply *reply)
{
    struct redis_sentinel *sentinel = container_of(call, struct redis_sentinel, ask);
    int64_t now_us = loop_now_us(sentinel->route->loop);
    struct redis_place place;

    sentinel->is_asking = false;
    if (!reply)
        return;
    if (read_master(reply, &place)) {
        redis_link_give_up(&sentinel->link, reply->type == REDIS_REPLY_ERROR
                                                ? reply->str
                                                : "it knows no master of that name");
        return;
    }
    follow(sentinel, &place);
    if (redis_link_is_up(sentinel->master)) {
        sentinel->unhelpful = 0;
        ask_at(sentinel, now_us + POLL_US);
    } else {
        ask_at(sentinel, now_us + TROUBLE_US);
        doubt(sentinel);
    }
}

static void on_poll(struct timer *timer)
{
    ask(container_of(timer, struct redis_sentinel, poll));
}

/* --- the link --- */

static void on_synced(struct redis_link *link)
{
    UNUSED(link);
}

static void on_up(struct redis_link *link)
{
    ask(container_of(link, struct redis_sentinel, link));
}

static void on_lost(struct redis_link *link)
{
    struct redis_sentinel *sentinel = container_of(link, struct redis_sentinel, link);

    if (link->state != LINK_WAITING)
        return;
    redis_link_aim(link, place_behind(sentinel));
    sentinel->at = (sentinel->at + 1) % sentinel->target.places_len;
}

void redis_sentinel_lost(struct redis_sentinel *sentinel)
{
    ask_at(sentinel, 0);
}

enum status redis_sentinel_open(struct redis_route *route, struct redis_sentinel **out)
{
    struct redis_sentinel *sentinel = calloc(1, sizeof(*sentinel));

    if (!sentinel)
        return ST_NOMEM;
    sentinel->route = route;
    sentinel->target = redis_target_of_sentinels(route->target);
    sentinel->master = &route->nodes[0]->link;
    sentinel->ask.done = on_master;
    sentinel->link.synced = on_synced;
    sentinel->link.up = on_up;
    sentinel->link.lost = on_lost;
    timer_init(&sentinel->poll, on_poll);
    redis_link_open(&sentinel->link, route->loop, &sentinel->target, &sentinel->target.places[0]);
    *out = sentinel;
    return ST_OK;
}

void redis_sentinel_close(struct redis_sentinel **sentinel)
{
    if (!*sentinel)
        return;
    timer_clear(&(*sentinel)->poll);
    redis_link_close(&(*sentinel)->link);
    free(*sentinel);
    *sentinel = NULL;
}
