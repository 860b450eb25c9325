/* SPDX-License-Identifier: Apache-2.0 */
/* redis_late.c - leases that may have ended while this process stood still, or Redis was away.      Runs on: worker.
 * Images are delivered only for a hold that cannot have been given back before its commit was written; else it is asked
 * for anew, with the limits looked at, as for any other question.  What comes late, and is delivered already, is charged
 * all the same: that is SCRIPT_REVIVE's. */

#include "base/clock.h"
#include "base/log.h"
#include "quota/redis.h"

#define US_PER_S INT64_C(1000000)

int64_t redis_fresh_now_us(const struct quota *q)
{
    return q->has_clock ? clock_monotonic_us() + q->clock_offset_us : clock_wall_us();
}

/* Scores are whole seconds, rounded up. */
int64_t redis_sure_until_us(int64_t expires_us)
{
    return (expires_us + US_PER_S - 1) / US_PER_S * US_PER_S;
}

bool redis_request_is_late(const struct redis_request *end)
{
    return end->sure_until_us != INT64_MAX &&
           redis_fresh_now_us(&end->from->base) >= end->sure_until_us;
}

bool redis_hold_is_late(const struct reservation *r, int64_t now_us)
{
    for (int i = 0; i < r->parts_len; i++)
        if (now_us >= r->parts[i].sure_until_us)
            return true;
    return false;
}

/* --- asked for anew --- */

/* As r says, its parts are settled now. */
static void settle(struct redis_quota *rq, struct reservation *r)
{
    for (int i = 0; i < r->parts_len; i++) {
        struct redis_request *request = redis_request_new_end(rq, r, i, OUTBOX_SETTLE);

        if (request)
            redis_request_launch(request);
    }
}

/* The tokens stay as they are: what a rolling limit gives back goes to the slot that was charged first. */
enum status redis_late_ask(struct redis_quota *rq, struct reservation *r, struct op *op)
{
    struct redis_request *question = redis_request_new(rq, REQUEST_RESERVE);
    enum status st;

    log_event(LOG_NOTE, "quota_asked_again", "store=redis why=\"its lease may have ended\"");
    if (question)
        question->is_late = true;
    st = redis_request_ask(question, r, op);
    if (st != ST_PENDING)
        redis_late_refused(rq, r);
    return st;
}

static void make_void(struct redis_request *end)
{
    list_remove(&end->in_ops);
    end->op = NULL;
    end->r = NULL;
    end->partner = NULL;
    end->is_void = true;
}

void redis_late_instead(struct redis_request *end)
{
    struct redis_request *partner = end->partner;
    struct reservation *r = end->op ? end->r : partner->r;
    struct op *op = end->op ? end->op : partner->op;

    if (partner)
        make_void(partner);
    make_void(end);

    enum status st = redis_late_ask(end->from, r, op);

    if (st != ST_PENDING)
        op_done(op, st);
}

void redis_late_held(struct redis_request *question)
{
    struct reservation *r = question->r;

    if (r->state == RESERVATION_SETTLED)
        settle(question->from, r);
    else
        r->expires_us = question->record.expires_us;
}

/* Some part may be held still. */
void redis_late_refused(struct redis_quota *rq, struct reservation *r)
{
    list_remove(&r->live);
    r->used_images = 0;
    settle(rq, r);
    for (int i = 0; i < r->parts_len; i++)
        r->parts[i].is_held = false;
    r->state = RESERVATION_NONE;
}

/* --- renewals --- */

/* Two expiries within a second are one score, which does not change: that says nothing. */
void redis_renewal_ended(struct redis_request *renewal, const redisReply *reply)
{
    struct reservation *r = renewal->about;
    int64_t until_us = redis_sure_until_us(renewal->record.expires_us);

    if (r) {
        struct reservation_part *part = &r->parts[renewal->part];

        redis_request_untie(renewal);
        if (!reply)
            r->expires_us = MIN(r->expires_us, part->sure_until_us); /* soon again */
        else if (until_us > part->sure_until_us)
            part->sure_until_us = reply->integer > 0 ? until_us : 0; /* 0: it is gone */
    }
    redis_request_free(renewal);
}
