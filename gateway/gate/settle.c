/* SPDX-License-Identifier: Apache-2.0 */
/* settle.c - SETTLE: all that the request holds is given back, by looking at the state of each.      Runs on: worker. */
#include "core/cost.h"
#include "gate/request.h"

int64_t settle_counted_units(const struct request *req)
{
    int64_t images = req->counted < 0 ? req->job.images : MIN(req->counted, req->job.images);

    return cost_units(&req->job, images);
}

bool settle_gives_back(const struct request *req, int64_t used_units)
{
    const struct reservation *r = &req->reservation;
    bool is_open = r->state == RESERVATION_HELD || r->state == RESERVATION_COMMITTED;

    return is_open && used_units < r->held_units;
}

enum status settle_quota(struct request *req, int64_t used_units, struct op *op)
{
    struct reservation *r = &req->reservation;

    if (r->state != RESERVATION_HELD && r->state != RESERVATION_COMMITTED)
        return ST_OK;
    stats_add(&req->gate->stats, STAT_STORE_OPS, STORE_OP_SETTLED, 1);
    if (op && settle_gives_back(req, used_units))
        return quota_commit(req->gate->quota, r, used_units, op);
    quota_settle(req->gate->quota, r, used_units);
    return ST_OK;
}

static void count_images(struct request *req)
{
    struct stats *stats = &req->gate->stats;
    int tier = request_stats_tier(req);
    int64_t unused = req->reservation.held_units - req->charged_units;

    if (req->charged_units > 0)
        stats_add(stats, STAT_IMAGES, tier, (uint64_t)(req->charged_units / UNITS_PER_IMAGE));
    if (req->reservation.state == RESERVATION_SETTLED && unused > 0)
        stats_add(stats, STAT_IMAGES_RETURNED, tier, (uint64_t)(unused / UNITS_PER_IMAGE));
}

/* Whoever is told that its request is over finds its quota there; a client that is gone, or a gateway that ends, waits for
 * nothing. */
enum status settle_begin(struct request *req)
{
    bool is_told = !req->client->is_gone && req->outcome != OUTCOME_STOPPED;
    enum status st;

    if (outcome_rows[req->outcome].charge == CHARGE_COUNTED && request_is_sent(req))
        req->charged_units = settle_counted_units(req);
    st = settle_quota(req, req->charged_units, is_told ? &req->op : NULL);
    count_images(req);
    dispatch_release(req);
    return st;
}

enum step settle_end(struct request *req, enum status st)
{
    UNUSED(req);
    UNUSED(st); /* the store retries */
    return STEP_NEXT;
}
