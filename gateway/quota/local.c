/* SPDX-License-Identifier: Apache-2.0 */
/* local.c - see local.h.      Runs on: worker.
 * The share has a reservation of its own, which lives from the reserve until the request's is settled.  The request's own
 * is charged in the store only where images were made; nobody waits for that. */
#include "quota/local.h"

#include <stdlib.h>
#include <string.h>

struct local_hold {
    struct reservation share;
    struct op charge; /* the commit in the store, on its way */
};

/* --- the share --- */

static int64_t part_of(int64_t units, int percent, int64_t image_units)
{
    int64_t part = units / 100 * percent + units % 100 * percent / 100;

    return MIN(units, MAX(part, image_units));
}

static void cut(struct limit *limit, int percent)
{
    limit->rule.units = part_of(limit->rule.units, percent, limit->image_units);
    if (limit->rule.kind == LIMIT_RATE)
        limit->rule.burst_units = part_of(limit->rule.burst_units, percent, limit->image_units);
}

static struct local_hold *new_hold(struct quota *q, struct reservation *r)
{
    struct local_hold *hold = calloc(1, sizeof(*hold));

    if (!hold)
        return NULL;
    memcpy(&hold->share, r, reservation_bytes(r->limits_len));
    hold->share.refused_by = -1;
    list_init(&hold->share.live);
    for (int i = 0; i < r->limits_len; i++)
        cut(&hold->share.limits[i].limit, q->local->share_percent);
    return hold;
}

/* --- reserve --- */

/* The embedded store decides at once. */
enum status local_reserve(struct quota *q, struct reservation *r, struct op *op)
{
    struct local_hold *hold = new_hold(q, r);
    enum status st;

    if (!hold)
        return ST_UNAVAILABLE;
    st = quota_reserve(q->local->door, &hold->share, op);
    ASSERT(st != ST_PENDING);
    if (st) {
        free(hold);
        return st == ST_LIMIT ? ST_UNAVAILABLE : st;
    }
    for (int i = 0; i < r->limits_len; i++)
        r->limits[i] = hold->share.limits[i];
    r->id++; /* a reserve that was given up may be in the store yet, and is ended there by its id */
    q->ops->adopt(q, r);
    r->local = hold;
    return ST_OK;
}

/* --- the end --- */

static void forget(struct reservation *r)
{
    op_cancel(&r->local->charge);
    free(r->local);
    r->local = NULL;
}

static void on_charged(struct op *op, enum status st)
{
    UNUSED(op);
    UNUSED(st); /* the store retries */
}

static void charge(struct quota *q, struct reservation *r, int64_t used_images)
{
    struct op *op = &r->local->charge;

    op_cancel(op);
    op->done = on_charged;
    (void)q->ops->commit(q, r, used_images, op);
}

enum status local_commit(struct quota *q, struct reservation *r, int64_t used_images, struct op *op)
{
    enum status st = quota_commit(q->local->door, &r->local->share, used_images, op);

    if (used_images == 0) {
        (void)reservation_settle(r, 0);
        forget(r);
        return st;
    }
    charge(q, r, used_images);
    if (used_images > 0)
        forget(r);
    return st;
}

void local_settle(struct quota *q, struct reservation *r, int64_t used_images)
{
    quota_settle(q->local->door, &r->local->share, used_images);
    if (r->state == RESERVATION_COMMITTED || used_images > 0)
        q->ops->settle(q, r, used_images);
    else
        (void)reservation_settle(r, 0);
    forget(r);
}
