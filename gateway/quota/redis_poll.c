/* SPDX-License-Identifier: Apache-2.0 */
/* redis_poll.c - what a worker asks Redis each second: what was amended elsewhere, by which layout all gateways count; and
 * now and then how full a bucket is.      Runs on: worker.
 * Until the layout is known to be this gateway's, no question goes out.  What ends a hold always does: its handle says in
 * which bucket it is. */

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "quota/redis.h"

#define POLL_US INT64_C(1000000)
/* What others amend is known of for so long after it was asked. */
#define TRUST_US   INT64_C(2000000)
#define LAYOUT_KEY "mg:{0}:meta"
/* A sample after so many polls; so many count for the mean; and above so many accounts operators should hear of it. */
#define SAMPLE_EVERY 8
#define SAMPLES      16
#define FULL_BUCKET  350

/* --- when --- */

static void send_poll(struct redis_quota *rq, enum redis_poll_step step, uint32_t bucket)
{
    struct redis_request *request = rq->is_polling ? NULL : redis_request_new(rq, REQUEST_POLL);

    if (!request)
        return;
    rq->is_polling = true;
    request->poll = step;
    request->record.handle.bucket = bucket;
    redis_request_launch(request);
}

void redis_poll(struct redis_quota *rq)
{
    send_poll(rq, POLL_ASK, 0);
    timer_set(rq->base.loop, &rq->poll, loop_now_us(rq->base.loop) + POLL_US);
}

static void on_poll(struct timer *timer)
{
    struct redis_quota *rq = container_of(timer, struct redis_quota, poll);

    if (++rq->polls % SAMPLE_EVERY == 0 && rq->has_last_row)
        send_poll(rq, POLL_SAMPLE, rq->last_bucket);
    redis_poll(rq);
}

void redis_poll_init(struct redis_quota *rq, int64_t accounts)
{
    rq->amends = -1;
    rq->layout = redis_layout_for(accounts);
    rq->own_buckets = rq->layout.buckets;
    timer_init(&rq->poll, on_poll);
}

void redis_poll_ended(struct redis_request *request)
{
    request->from->is_polling = false;
    redis_request_free(request);
}

/* --- what is asked --- */

void redis_poll_write(struct redis_request *request, struct redis_link *link)
{
    struct redis_quota *rq = request->from;
    struct redis_key row = redis_key_of(rq->last_bucket, rq->last_row);

    switch (request->poll) {
    case POLL_ASK:
        redis_link_begin(link, 3);
        redis_link_arg(link, TEXT("MGET"));
        redis_link_arg(link, TEXT(REDIS_AMENDS_KEY));
        redis_link_arg(link, TEXT(LAYOUT_KEY));
        return;
    case POLL_CLAIM:
        redis_link_begin(link, 4);
        redis_link_arg(link, TEXT("SET"));
        redis_link_arg(link, TEXT(LAYOUT_KEY));
        redis_link_arg_int(link, rq->own_buckets);
        redis_link_arg(link, TEXT("NX"));
        return;
    case POLL_SAMPLE:
        redis_link_begin(link, 2);
        redis_link_arg(link, TEXT("HLEN"));
        redis_link_arg(link, redis_key_text(&row));
        return;
    }
}

/* --- the layout --- */

bool redis_layout_is_refusing(struct redis_quota *rq)
{
    return rq->layout_state == LAYOUT_OTHER ||
           (rq->layout_state == LAYOUT_UNKNOWN &&
            redis_link_is_refusing(redis_route_link(&rq->route, 0)));
}

void redis_poll_lost(struct redis_quota *rq)
{
    if (!redis_route_is_up(&rq->route))
        rq->layout_state = LAYOUT_UNKNOWN;
    redis_quota_count(rq);
}

static void say_other(struct redis_quota *rq, struct text found)
{
    static const char why[] = "down: mg:{0}:meta has another number of buckets than quota.accounts "
                              "makes here";

    if (atomic_exchange(&rq->base.store->trouble, why) == NULL)
        log_event(LOG_ERROR, "quota_layout_differs",
                  "store=redis key=" LAYOUT_KEY " found=\"%.*s\" expected=%u why=\"quota.accounts "
                  "is not the same in all gateways, or has been changed\"",
                  TEXT_ARG(found), rq->own_buckets);
}

static void set_layout_state(struct redis_quota *rq, enum layout_state state)
{
    bool is_news = rq->layout_state != state;

    rq->layout_state = state;
    redis_quota_count(rq);
    if (is_news && state == LAYOUT_SAME)
        redis_requests_send(rq);
    else if (is_news)
        redis_requests_lost(rq);
}

static void learn_layout(struct redis_quota *rq, struct text found)
{
    struct redis_layout layout;

    if (redis_layout_parse(found, &layout) || !redis_layout_names(&layout, rq->own_buckets)) {
        say_other(rq, found);
        set_layout_state(rq, LAYOUT_OTHER);
        return;
    }
    atomic_store(&rq->base.store->trouble, NULL);
    if (!redis_layout_equal(&layout,
                            &rq->layout)) /* questions that wait have chosen their buckets */
        set_layout_state(rq, LAYOUT_OTHER);
    rq->layout = layout;
    set_layout_state(rq, LAYOUT_SAME);
}

/* --- what is answered --- */

static void learn_amends(struct redis_request *request, const redisReply *reply)
{
    struct redis_quota *rq = request->from;
    int64_t amends = reply->type == REDIS_REPLY_STRING ? strtoll(reply->str, NULL, 10) : 0;

    if (amends != rq->amends)
        quota_store_amended(rq->base.store);
    rq->amends = amends;
    rq->base.amends_known_until_us = request->call.queued_us + TRUST_US;
}

static void learn_fullness(struct redis_quota *rq, int64_t accounts)
{
    struct quota_store *store = rq->base.store;
    int64_t mean = atomic_load(&store->bucket_milli);

    mean += (accounts * 1000 - mean) / SAMPLES;
    if (mean > FULL_BUCKET * 1000 && !atomic_exchange(&store->is_full_said, true))
        log_event(LOG_WARN, "quota_buckets_full",
                  "store=redis accounts_a_bucket=%lld above=%d why=\"more accounts than "
                  "quota.accounts says\"",
                  (long long)(mean / 1000), FULL_BUCKET);
    atomic_store(&store->bucket_milli, mean);
}

static bool is_pair(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ARRAY && reply->elements == 2;
}

void redis_poll_answered(struct redis_request *request, const redisReply *reply)
{
    struct redis_quota *rq = request->from;
    enum redis_poll_step step = request->poll;
    bool is_claimable = false;

    if (step == POLL_SAMPLE && reply->type == REDIS_REPLY_INTEGER) {
        learn_fullness(rq, reply->integer);
    } else if (step == POLL_ASK && is_pair(reply)) {
        const redisReply *layout = reply->element[1];

        learn_amends(request, reply->element[0]);
        is_claimable = layout->type == REDIS_REPLY_NIL;
        if (is_claimable) /* was all of it flushed? */
            redis_rows_forget(rq);
        if (layout->type == REDIS_REPLY_STRING)
            learn_layout(rq, (struct text){layout->str, layout->len});
    }
    redis_poll_ended(request);
    if (is_claimable)
        send_poll(rq, POLL_CLAIM, 0);
    else if (step == POLL_CLAIM)
        send_poll(rq, POLL_ASK, 0);
}
