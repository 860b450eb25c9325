/* SPDX-License-Identifier: Apache-2.0 */
/* quota.h - the quota store: reserve, commit, settle.
 *
 *   reserve   one call checks every limit of the account and holds the units in all of them or in none
 *   commit    marks the hold: from now on its expiry keeps the charge instead of giving it back
 *   settle    ends the hold and gives back what was not used, to the window that was charged
 *
 * A hold has a lease.  A live gateway renews its leases; when one dies, what was held but not committed comes back when
 * the lease ends.  Every call is idempotent by r->id, clamps at zero, and creates nothing by giving back.
 *
 * One struct quota a worker; what they share (the store's thread, the database) is the implementation's. */
#pragma once

#include "base/op.h"
#include "config/config.h"
#include "core/reservation.h"
#include "net/loop.h"

struct quota;

struct quota_ops {
    const char *name;
    /* ST_OK, ST_LIMIT (r->refused_by and used_units are set), ST_UNAVAILABLE (down, or too slow) or ST_PENDING.  r is
     * HELD if and only if OK.  A cancelled reserve that went through later gives its units back. */
    enum status (*reserve)(struct quota *q, struct reservation *r, struct op *op);
    /* Commit and, where used_units >= 0, settle with it in the same call (the whole answer is at hand).  ST_OK or
     * ST_PENDING; done once it is on its way to the store (or acknowledged, by configuration), or durable on disk for
     * later.  r is COMMITTED or SETTLED from the call on. */
    enum status (*commit)(struct quota *q, struct reservation *r, int64_t used_units,
                          struct op *op);
    /* Never fails for the caller; the store retries.  r is SETTLED from the call on and may be freed at once.  Sent
     * before any byte that the caller writes after this call leaves the program at the end of the turn. */
    void (*settle)(struct quota *q, struct reservation *r, int64_t used_units);
    /* Puts off the expiry of a HELD or COMMITTED one to r->expires_us. */
    void (*renew)(struct quota *q, struct reservation *r);
    void (*close)(struct quota *q);
};

struct quota {
    const struct quota_ops *ops;
    struct loop *loop;
    int64_t lease_us;
    struct list live; /* every HELD or COMMITTED reservation of this worker */
    struct timer renewals;
    bool has_clock;          /* the store's clock is known; else the wall clock stands in */
    int64_t clock_offset_us; /* then: store time less loop_now_us() */
};

/* What the workers of one process share; made before them, freed after them. */
struct quota_store;

/* ST_OK, or ST_UNAVAILABLE / ST_INVALID with the reason in error (a folder that cannot be written, a database made by
 * another version).  A Redis that is down is no error here: it is reported, and tried again. */
MUST_CHECK enum status quota_store_open(const struct config *config, char error[CONFIG_ERROR_MAX],
                                        struct quota_store **out);
void quota_store_close(struct quota_store **store);
/* Whether decisions can be had now: for /readyz.  Any thread. */
bool quota_store_is_up(const struct quota_store *store);

/* A worker's door to it. */
MUST_CHECK enum status quota_open(struct quota_store *store, struct loop *loop,
                                  const struct config *config, struct quota **out);

/* Store time in microseconds since 1970: what windows are chosen by. */
int64_t quota_now_us(const struct quota *q);

/* As the ops say.  Without limits, or for no units, nothing is held: ST_OK at once, and r stays NONE.  Commit and settle
 * of one that is not held do nothing. */
MUST_CHECK enum status quota_reserve(struct quota *q, struct reservation *r, struct op *op);
#define QUOTA_SETTLE_LATER INT64_C(-1)
MUST_CHECK enum status quota_commit(struct quota *q, struct reservation *r, int64_t used_units,
                                    struct op *op);
void quota_settle(struct quota *q, struct reservation *r, int64_t used_units);
/* Call it when the loop's run is over: it turns the loop itself until all commits and settles are on their way (or on
 * disk), for a few seconds at most.  Ops still pending then are done, not forgotten.  What is still live is left to its
 * lease. */
void quota_close(struct quota **q);
