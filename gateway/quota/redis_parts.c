/* SPDX-License-Identifier: Apache-2.0 */
/* redis_parts.c - a question about a reservation, part by part.      Runs on: worker.
 * A part that refuses gives the part before it back; a crash in between is covered by that part's lease. */

#include "core/cost.h"
#include "quota/redis.h"

static void take_part(struct redis_request *request)
{
    const struct reservation *r = request->r;
    int part = request->part;
    int first = r->parts[part].first;

    if (request->kind == REQUEST_ASK)
        request->record.handle = redis_token_mark(r, part);
    else
        redis_token_put(r, part, &request->record.handle);
    request->limits_len = r->parts[part].len;
    request->record.was_sent = false;
    request->rounds = 0;
    request->is_alone = false;
    for (int i = first; i < first + r->parts[part].len; i++)
        redis_rows_expect(request->from, request->record.handle.bucket, &r->limits[i].limit);
}

/* What makes the tokens of r from now on. */
static void date(struct redis_quota *rq, struct reservation *r, int64_t asked_us)
{
    r->asked_us = asked_us;
    r->buckets = redis_layout_buckets(&rq->layout, asked_us);
}

void redis_request_begin(struct redis_request *request, struct reservation *r)
{
    struct quota *q = &request->from->base;

    request->is_undated = !q->has_clock;
    request->asked_us = quota_now_us(q);
    request->amends = quota_amends(q);
    request->r = r;
    if (!request->is_late)
        date(request->from, r, request->asked_us);
    take_part(request);
}

static bool is_within(const struct window *window, int64_t now_s)
{
    return now_s >= window->start_s && now_s < window->end_s;
}

bool redis_request_date_again(struct redis_request *request)
{
    struct reservation *r = request->r;
    int64_t now_s = quota_now_us(&request->from->base) / 1000000;

    request->is_undated = false;
    if (request->claim)
        return is_within(&request->claim->window, now_s);
    for (int i = 0; i < r->limits_len; i++) {
        const struct limit *limit = &r->limits[i].limit;

        if (limit_is_calendar(limit->rule.kind) && !is_within(&limit->window, now_s))
            return false;
    }
    redis_request_begin(request, r);
    return true;
}

void redis_parts_adopt(struct redis_quota *rq, struct reservation *r)
{
    date(rq, r, quota_now_us(&rq->base));
    for (int i = 0; i < r->parts_len; i++) {
        r->parts[i].is_held = true;
        r->parts[i].sure_until_us = INT64_MAX; /* nobody can give back what is not there */
    }
}

void redis_part_give_back(struct redis_request *request)
{
    struct redis_request *settle;

    if (!request->has_earlier)
        return;
    request->has_earlier = false;
    settle = redis_request_new(request->from, REQUEST_END);
    if (!settle)
        return;
    settle->record.handle = request->earlier;
    settle->record.kind = OUTBOX_SETTLE;
    redis_request_launch(settle);
}

/* What was told of the parts before counts the images that they do not hold any more. */
static void tell_given_back(struct reservation *r, int parts)
{
    for (int i = 0; i < parts; i++)
        for (int k = r->parts[i].first; k < r->parts[i].first + r->parts[i].len; k++) {
            struct reserved_limit *l = &r->limits[k];

            l->used_units = MAX(l->used_units - r->held_images * l->limit.image_units, 0);
        }
}

static enum status refuse(struct redis_request *request, const struct redis_answer *answer)
{
    struct reservation *r = request->r;

    redis_part_give_back(request);
    tell_given_back(r, request->part);
    r->refused_by = r->parts[request->part].first + answer->verdict - 1;
    quota_refused(&request->from->base, r, answer->in_hand_images, request->amends);
    return ST_LIMIT;
}

static enum status hold(struct redis_request *request)
{
    struct reservation *r = request->r;

    for (int i = 0; i < r->parts_len; i++) {
        r->parts[i].is_held = true;
        r->parts[i].sure_until_us = redis_sure_until_us(request->record.expires_us);
    }
    request->has_earlier = false;
    if (request->is_late)
        redis_late_held(request);
    else
        quota_hold(&request->from->base, r, request->record.expires_us);
    return ST_OK;
}

/* After the last part of an amend, all gateways hear of it. */
static bool announces(struct redis_request *request)
{
    if (request->task < TASK_GRANT)
        return false;
    request->is_announcing = true;
    request->record.handle.bucket = 0;
    return true;
}

static void remember_looks(const struct redis_request *request, unsigned looked)
{
    const struct reservation *r = request->r;
    const struct reservation_part *part = &r->parts[request->part];

    for (int i = 0; i < part->len; i++) {
        struct redis_row row;

        if (!(looked >> i & 1))
            continue;
        row = redis_row_of(request->from, request->record.handle.bucket,
                           &r->limits[part->first + i].limit, request->asked_us);
        redis_rows_saw(request->from, &row, request->asked_us);
    }
}

enum redis_next redis_part_answered(struct redis_request *request,
                                    const struct redis_answer *answer, enum status *st)
{
    struct reservation *r = request->r;
    bool is_reserve = request->kind == REQUEST_RESERVE;

    if (answer->verdict == REDIS_ASK_AGAIN)
        return NEXT_AGAIN;
    redis_answer_tell(answer, r, request->part, request->asked_us);
    if (answer->looked)
        remember_looks(request, answer->looked);
    if (answer->verdict > 0) {
        *st = refuse(request, answer);
        return NEXT_DONE;
    }
    if (request->part + 1 < r->parts_len) {
        request->has_earlier = is_reserve;
        request->earlier = request->record.handle;
        request->part++;
        take_part(request);
        return NEXT_PART;
    }
    if (!is_reserve && announces(request))
        return NEXT_PART;
    *st = is_reserve ? hold(request) : ST_OK;
    return NEXT_DONE;
}
