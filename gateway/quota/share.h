/* SPDX-License-Identifier: Apache-2.0 */
/* share.h - a worker's shares of the limits of the whole service.
 *
 * A worker leases units of a window from the store, ahead of need and about as many as it used in the last second; its
 * requests take them from here, in memory, and give back what makes no image.  What is leased counts as taken until the
 * worker hands it back, or the window ends: so all gateways together never exceed a limit, and what one that dies had in
 * hand is not had by anybody until the window ends.
 *
 *   store  <--- claim: one a row at most is under way ---  row: held = used + in hand  <--- take, settle ---  requests
 *
 * Where the share does not suffice, requests wait for the next claim, in order.  Where the store has nothing left, they are
 * refused at once, until the window ends; now and then one asks again, since others may have handed something back.
 *
 * A request belongs to the window that it took from.  A limit on trial (is_dry_run) is leased and taken from like others,
 * and refuses nobody.  One thread's, but for shares_look(). */
#pragma once

#include <stdatomic.h>

#include "base/stats.h"
#include "quota/quota.h"

enum share_state { SHARE_NONE, SHARE_WAITING, SHARE_TAKEN, SHARE_SETTLED };

/* What one request has of the shares, embedded in it. */
struct share_hold {
    enum share_state state;
    int64_t images;
    int64_t credit_units; /* of one image */
    /* From whom it took, by row: the holder at that time; 0: nothing. */
    uint64_t holders[SERVICE_ROWS];
    unsigned unasked; /* bits of rows on trial that the store could not be asked about */
    unsigned over;    /* bits of rows on trial that would have refused */
    int refused_by;   /* the row that refused, of several the one that does so longest; or -1 */
    int64_t
        reset_us; /* then: store time when more comes for sure; INT64_MAX: never so much at once */

    struct list waiting;
    struct op *op;
};

struct shares;

struct share_row {
    struct shares *of;
    bool
        is_limited; /* else the rule is the last one that there was, of period NONE where there was none */
    struct service_rule rule;
    struct window window; /* end_s 0: none yet */
    uint64_t holder;      /* of this window */
    int64_t serial;
    int64_t held_units, in_hand_units;
    int64_t second, used_units,
        used_before_units;    /* in that second of store time, and in the one before */
    int64_t nothing_until_us; /* store time: the store had nothing left */
    int64_t enough_until_us;  /* store time: it leaves nothing that is only liked */
    /* One of the two, while somebody waits: a claim is under way, or they are being told how it went. */
    bool is_claiming, is_telling;
    struct quota_claim claim;
    struct op op;
    struct list waiters; /* share_hold, in order */
    /* As last changed.    write: the worker    read: control */
    atomic_llong seen_limit_units, seen_held_units,
        seen_in_hand_units; /* limit -1: there is none */
};

struct shares {
    struct quota *quota; /* lent, as are the next two */
    struct stats *stats;
    const struct policy *policy;
    uint64_t next_holder;
    struct share_row rows[SERVICE_ROWS];
    struct timer trim;
};

/* No limits until shares_configure(). */
void shares_init(struct shares *shares, struct quota *quota, struct stats *stats);
/* The policy is lent until the next one is.  A changed limit counts for the next lease. */
void shares_configure(struct shares *shares, const struct policy *policy);

static inline bool shares_are_limited(const struct shares *shares)
{
    return shares->policy && shares->policy->service_len > 0;
}

/* A fresh one, state NONE. */
void share_init(struct share_hold *hold, int64_t images, int64_t credit_units);
/* ST_OK: it is TAKEN, of all limits.  ST_LIMIT: refused_by and reset_us are told.  ST_UNAVAILABLE: the store is down, and
 * there is nothing in hand.  ST_PENDING.  But with ST_OK nothing is held. */
MUST_CHECK enum status shares_take(struct shares *shares, struct share_hold *hold, struct op *op);
/* Would shares_take() refuse it at once?  Then it is told. */
bool shares_would_refuse(struct shares *shares, struct share_hold *hold);
/* Ends a hold that is TAKEN, gives back what was not used, and does nothing to others. */
void shares_settle(struct shares *shares, struct share_hold *hold, int64_t used_images);

/* How a row stands at this worker; false: there is no such limit.  Any thread. */
struct share_view {
    int64_t limit_units, held_units, in_hand_units;
};
bool shares_look(const struct shares *shares, int row, struct share_view *out);

/* Hands back what is in hand; before quota_close(), which sends it.  Nobody may wait any more. */
void shares_close(struct shares *shares);
