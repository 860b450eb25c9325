/* SPDX-License-Identifier: Apache-2.0 */
/* settle.c - SETTLE: all that the request holds is given back, by looking at the state of each.      Runs on: worker. */
#include "gate/request.h"

int64_t settle_counted_images(const struct request *req)
{
    return req->counted < 0 ? req->job.images : MIN(req->counted, req->job.images);
}

bool settle_gives_back(const struct request *req, int64_t used_images)
{
    const struct reservation *r = req->reservation;
    bool is_open = r->state == RESERVATION_HELD || r->state == RESERVATION_COMMITTED;

    return is_open && reservation_gives_back(r, used_images);
}

enum status settle_quota(struct request *req, int64_t used_images, struct op *op)
{
    struct reservation *r = req->reservation;

    if (r->state != RESERVATION_HELD && r->state != RESERVATION_COMMITTED)
        return ST_OK;
    stats_add(&req->gate->stats, STAT_STORE_OPS, STORE_OP_SETTLED, 1);
    if (op && settle_gives_back(req, used_images))
        return quota_commit(req->gate->quota, r, used_images, op);
    quota_settle(req->gate->quota, r, used_images);
    return ST_OK;
}

static void count_images(struct request *req)
{
    struct stats *stats = &req->gate->stats;
    int tier = request_stats_tier(req);
    int64_t unused = req->reservation->held_images - req->charged_images;

    if (req->charged_images > 0)
        stats_add(stats, STAT_IMAGES, tier, (uint64_t)req->charged_images);
    if (req->reservation->state == RESERVATION_SETTLED && unused > 0)
        stats_add(stats, STAT_IMAGES_RETURNED, tier, (uint64_t)unused);
}

/* For whoever wants to know who uses most; one that was refused was seen, too. */
static void tell_charged(const struct request *req)
{
    const struct gate *gate = req->gate;
    int64_t now_s = quota_now_us(gate->quota) / 1000000;

    if (!req->is_known || !gate->charged)
        return;
    gate->charged(gate->charged_owner, gate->worker, &req->identity.account,
                  req->config->generation, req->charged_images,
                  window_day(&req->config->policy.zone, now_s).ordinal);
}

/* Whoever is told that its request is over finds its quota there; a client that is gone, or a gateway that ends, waits for
 * nothing. */
enum status settle_begin(struct request *req)
{
    bool is_told = !req->client->is_gone && req->outcome != OUTCOME_STOPPED;
    enum status st;

    if (outcome_rows[req->outcome].charge == CHARGE_COUNTED && request_is_sent(req))
        req->charged_images = settle_counted_images(req);
    shares_settle(&req->gate->shares, req->share, req->charged_images);
    st = settle_quota(req, req->charged_images, is_told ? &req->op : NULL);
    count_images(req);
    tell_charged(req);
    dispatch_release(req);
    return st;
}

enum step settle_end(struct request *req, enum status st)
{
    UNUSED(req);
    UNUSED(st); /* the store retries */
    return STEP_NEXT;
}
