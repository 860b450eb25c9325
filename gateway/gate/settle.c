/* SPDX-License-Identifier: Apache-2.0 */
/* settle.c - SETTLE: all that the request holds is given back, by looking at the state of each.      Runs on: worker. */
#include "core/cost.h"
#include "gate/request.h"

int64_t settle_counted_units(const struct request *req)
{
    int64_t images = req->counted < 0 ? req->job.images : MIN(req->counted, req->job.images);

    return cost_units(&req->job, images);
}

void settle_quota(struct request *req, int64_t used_units)
{
    enum reservation_state state = req->reservation.state;

    if (state != RESERVATION_HELD && state != RESERVATION_COMMITTED)
        return;
    stats_add(&req->gate->stats, STAT_STORE_OPS, STORE_OP_SETTLED, 1);
    quota_settle(req->gate->quota, &req->reservation, used_units);
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

enum status settle_begin(struct request *req)
{
    if (outcome_rows[req->outcome].charge == CHARGE_COUNTED && request_is_sent(req))
        req->charged_units = settle_counted_units(req);
    settle_quota(req, req->charged_units);
    count_images(req);
    dispatch_release(req);
    return ST_OK;
}

enum step settle_end(struct request *req, enum status st)
{
    UNUSED(req);
    ASSERT(st == ST_OK);
    return STEP_NEXT;
}
