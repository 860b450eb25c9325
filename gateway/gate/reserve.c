/* SPDX-License-Identifier: Apache-2.0 */
/* reserve.c - RESERVE: images held in every limit of the account, or in none.      Runs on: worker. */
#include "gate/request.h"

static bool is_limited(const struct request *req)
{
    return req->operation == OPERATION_GENERATE && req->terms->limits_len > 0;
}

/* False: no memory. */
static bool make_reservation(struct request *req, int64_t images, uint64_t id)
{
    struct reservation *r = arena_alloc(&req->arena, reservation_bytes(req->terms->limits_len));

    if (!r)
        return false;
    reservation_init(r, &req->identity.account, req->terms, images, id);
    req->reservation = r;
    return true;
}

bool reserve_is_denied(struct request *req)
{
    if (!is_limited(req) || !make_reservation(req, 1, 0))
        return false;
    return quota_is_denied(req->gate->quota, req->reservation);
}

enum status reserve_begin(struct request *req)
{
    if (!is_limited(req))
        return ST_OK;
    if (!make_reservation(req, req->job.images, gate_random(req->gate)))
        return ST_NOMEM;
    req->reserve_us = loop_now_us(req->gate->loop);
    return quota_reserve(req->gate->quota, req->reservation, &req->op);
}

static void count(struct request *req, enum status st)
{
    struct stats *stats = &req->gate->stats;
    enum store_op op = STORE_OP_FAILED;

    if (st == ST_OK)
        op = STORE_OP_RESERVED;
    else if (st == ST_LIMIT)
        op = STORE_OP_REFUSED;
    stats_add(stats, STAT_STORE_OPS, (int)op, 1);
    stats_observe_us(stats, STAT_STORE_SECONDS, 0, loop_now_us(req->gate->loop) - req->reserve_us);
}

/* Limits on trial that would have refused are counted as what they would have ended with. */
static void count_trials(struct request *req)
{
    const struct reservation *r = req->reservation;

    for (int i = 0; i < r->limits_len; i++) {
        if (r->limits[i].is_over)
            stats_add(&req->gate->stats, STAT_TRIALS,
                      (int)outcome_of_limit(r->limits[i].limit.rule.kind), 1);
    }
}

enum step reserve_end(struct request *req, enum status st)
{
    const struct reservation *r = req->reservation;

    if (req->reserve_us)
        count(req, st);
    if (st == ST_OK) {
        count_trials(req);
        return STEP_NEXT;
    }
    if (st == ST_LIMIT)
        return request_end_with(req, outcome_of_limit(r->limits[r->refused_by].limit.rule.kind));
    if (st == ST_NOMEM)
        return request_end_with(req, OUTCOME_NO_MEMORY);
    if (req->terms->on_store_down != STORE_DOWN_OPEN)
        return request_end_with(req, OUTCOME_STORE_UNAVAILABLE);
    req->is_without_store = true;
    return STEP_NEXT;
}
