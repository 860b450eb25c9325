/* SPDX-License-Identifier: Apache-2.0 */
/* reserve.c - RESERVE: units held in every limit of the account, or in none.      Runs on: worker. */
#include "core/cost.h"
#include "gate/request.h"

enum status reserve_begin(struct request *req)
{
    req->reservation.refused_by = -1;
    if (req->operation == OPERATION_PASS || req->terms.limits_len == 0)
        return ST_OK;
    reservation_init(&req->reservation, &req->identity.account, &req->terms,
                     cost_units(&req->job, req->job.images), gate_random(req->gate));
    req->reserve_us = loop_now_us(req->gate->loop);
    return quota_reserve(req->gate->quota, &req->reservation, &req->op);
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

enum step reserve_end(struct request *req, enum status st)
{
    if (req->reserve_us)
        count(req, st);
    if (st == ST_OK)
        return STEP_NEXT;
    if (st == ST_LIMIT)
        return request_end_with(req, OUTCOME_QUOTA_EXHAUSTED);
    return request_end_with(req, OUTCOME_STORE_UNAVAILABLE);
}
