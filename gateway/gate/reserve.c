/* SPDX-License-Identifier: Apache-2.0 */
/* reserve.c - RESERVE: images held in every limit of the account, or in none.      Runs on: worker.
 * Before it, what the service as a whole may still make is taken from this worker's share, in memory: so a service that
 * has no more charges no account, and an account that may have no more gives its part of the share back in SETTLE. */
#include <string.h>

#include "gate/request.h"

static bool is_limited(const struct request *req, const struct terms *terms)
{
    return req->operation == OPERATION_GENERATE && terms->limits_len > 0;
}

/* Room for one in the arena; NULL: no memory. */
static struct reservation *new_reservation(struct request *req, const struct terms *terms)
{
    return arena_alloc(&req->arena, reservation_bytes(terms->limits_len));
}

/* Judged on the stack: few are refused, and only they need it longer; where nobody is, nothing is judged. */
bool reserve_is_denied(struct request *req, const struct terms *terms)
{
    struct reservation least, *kept;

    if (!is_limited(req, terms) || !quota_denies_some(req->gate->quota))
        return false;
    reservation_init(&least, &req->identity.account, terms, 1, 0);
    if (!quota_is_denied(req->gate->quota, &least))
        return false;
    kept = new_reservation(req, terms);
    if (!kept)
        return false;
    memcpy(kept, &least, reservation_bytes(terms->limits_len));
    list_init(&kept->live);
    req->reservation = kept;
    return true;
}

/* The store is down: what its tier may have without it. */
static enum status fall_back(struct request *req)
{
    if (req->terms->on_store_down != STORE_DOWN_LOCAL)
        return ST_UNAVAILABLE;
    stats_add(&req->gate->stats, STAT_STORE_OPS, STORE_OP_FAILED, 1);
    req->is_local = true;
    return quota_reserve_locally(req->gate->quota, req->reservation, &req->op);
}

static void on_reserved(struct op *op, enum status st)
{
    struct request *req = container_of(op, struct request, op);

    if (st == ST_UNAVAILABLE)
        st = fall_back(req);
    request_advance(req, st);
}

static enum status reserve_account(struct request *req)
{
    struct reservation *r;
    enum status st;

    if (!is_limited(req, req->terms))
        return ST_OK;
    r = new_reservation(req, req->terms);
    if (!r)
        return ST_NOMEM;
    reservation_init(r, &req->identity.account, req->terms, req->job.images,
                     gate_random(req->gate));
    req->reservation = r;
    req->reserve_us = loop_now_us(req->gate->loop);
    req->op.done = on_reserved;
    st = quota_reserve(req->gate->quota, r, &req->op);
    return st == ST_UNAVAILABLE ? fall_back(req) : st;
}

/* --- the service as a whole --- */

static bool is_service_limited(const struct request *req)
{
    return req->operation == OPERATION_GENERATE && shares_are_limited(&req->gate->shares);
}

/* A fresh hold for so many images.  False: no memory. */
static bool begin_share(struct request *req, int64_t images, int64_t credit_units)
{
    if (req->share == &req->gate->no_share) {
        struct share_hold *share = arena_alloc(&req->arena, sizeof(*share));

        if (!share)
            return false;
        req->share = share;
    }
    share_init(req->share, images, credit_units);
    return true;
}

/* Before the body is read, nobody knows what an image costs. */
bool reserve_is_over_service(struct request *req)
{
    if (!is_service_limited(req) || !begin_share(req, 1, 0))
        return false;
    return shares_would_refuse(&req->gate->shares, req->share);
}

static bool is_open(const struct request *req)
{
    return req->terms->on_store_down == STORE_DOWN_OPEN;
}

static enum status take_taken(struct request *req, enum status st)
{
    if (st != ST_OK && (st != ST_UNAVAILABLE || !is_open(req)))
        return st;
    req->is_without_store = st != ST_OK;
    return reserve_account(req);
}

static void on_taken(struct op *op, enum status st)
{
    struct request *req = container_of(op, struct request, op);

    op->done = request_on_done;
    request_advance(req, take_taken(req, st));
}

static enum status take_share(struct request *req)
{
    enum status st;

    if (!begin_share(req, req->job.images,
                     cost_image_units(&req->config->policy.prices, &req->job)))
        return ST_NOMEM;
    req->op.done = on_taken;
    st = shares_take(&req->gate->shares, req->share, &req->op);
    if (st == ST_PENDING)
        return st;
    req->op.done = request_on_done;
    return take_taken(req, st);
}

enum status reserve_begin(struct request *req)
{
    return is_service_limited(req) ? take_share(req) : reserve_account(req);
}

/* --- the end --- */

static void count(struct request *req, enum status st)
{
    struct stats *stats = &req->gate->stats;
    enum store_op op = STORE_OP_FAILED;

    if (st == ST_OK)
        op = req->is_local ? STORE_OP_RESERVED_LOCALLY : STORE_OP_RESERVED;
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
    if (req->share->over)
        stats_add(&req->gate->stats, STAT_TRIALS, OUTCOME_SERVICE_LIMIT, 1);
}

enum step reserve_end(struct request *req, enum status st)
{
    const struct reservation *r = req->reservation;

    req->op.done = request_on_done;
    if (req->reserve_us)
        count(req, st);
    if (st == ST_OK) {
        count_trials(req);
        return STEP_NEXT;
    }
    if (st == ST_LIMIT && req->share->refused_by >= 0)
        return request_end_with(req, OUTCOME_SERVICE_LIMIT);
    if (st == ST_LIMIT)
        return request_end_with(req, outcome_of_limit(r->limits[r->refused_by].limit.rule.kind));
    if (st == ST_NOMEM)
        return request_end_with(req, OUTCOME_NO_MEMORY);
    if (!is_open(req))
        return request_end_with(req, OUTCOME_STORE_UNAVAILABLE);
    req->is_without_store = true;
    return STEP_NEXT;
}
