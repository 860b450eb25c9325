/* SPDX-License-Identifier: Apache-2.0 */
/* quota.h - the quota store: reserve, commit, settle.
 *
 *   reserve   one call checks every limit of the account and holds the units in all of them or in none
 *   commit    marks the hold: from now on its expiry keeps the charge instead of giving it back
 *   settle    ends the hold and gives back what was not used, to the window that was charged
 *
 * A hold has a lease.  A live gateway renews its leases; when one dies, what was held but not committed comes back when
 * the lease ends.  The embedded store, which one process has at a time, knows no leases: it comes back when the next one
 * opens it.  Every call is idempotent by r->id, clamps at zero, and creates nothing by giving back.
 *
 * One struct quota a worker; what they share (the store's thread, the database) is the implementation's. */
#pragma once

#include "base/op.h"
#include "config/config.h"
#include "core/reservation.h"
#include "net/loop.h"

struct quota;

/* What an operator changes about limits (meltctl quota grant, set, reset).
 *
 *   GRANT     calendar: extra in the present window, on top of the rule's; may be negative, down to no grant.  ROLLING and
 *             RATE have no window to keep a grant in: so much of what was used is given back (negative: is used) now.
 *             With until_s, for calendar limits: so much extra, not negative, in the present window and in each that is
 *             first charged before then.  It takes the place of the last one of that limit; 0 ends it
 *   SET_USED  used is now this
 *   RESET     nothing used, nothing granted, also not until a date
 *
 * An IN_FLIGHT limit is what the holds are, and does not change.  Grants are whole images or credits; a fraction is cut
 * off.  What is held stays held, and what is given back later stops at zero. */
enum quota_change_kind { CHANGE_NONE, CHANGE_GRANT, CHANGE_SET_USED, CHANGE_RESET };
struct quota_change {
    enum quota_change_kind kind;
    int64_t units;
    int64_t until_s; /* GRANT: Unix seconds; 0: the present window's alone */
};

/* What the gateways on one store tell each other: on a board each has one note, which its next one takes the place of. */
struct quota_note {
    struct text board; /* letters and digits */
    uint64_t from;     /* which gateway */
    struct text text;
    int64_t until_s; /* it may be forgotten then, with the whole board */
};

struct quota_reading {
    struct text board;
    /* Once for each note, while the op is pending; text is lent for the call. */
    void (*take)(struct quota_reading *reading, uint64_t from, struct text text);
};

/* What one holder has of one limit of the whole service in one window, and wants to have instead.  A holder is a worker in
 * a window, by a number that nobody else ever has. */
struct quota_claim {
    struct service_rule rule;
    struct window window;
    uint64_t holder;
    int64_t
        serial; /* larger with each claim of this holder, from 1; 0: only asks how the limit stands */
    int64_t
        held_units; /* that the holder knows of; there may be more, from a claim whose answer was lost */
    int64_t need_units; /* in all; see service_grant() */
    int64_t
        want_units; /* in all; less than held: the rest is given back, and never used from the call on */

    /* Told with ST_OK. */
    int64_t got_units;    /* held now */
    int64_t leased_units; /* by all holders */
};

struct quota_ops {
    const char *name;
    /* ST_OK, ST_LIMIT (r->refused_by is set), ST_UNAVAILABLE (down, or too slow) or ST_PENDING.  r is HELD if and only if
     * OK; its limits are told with OK and LIMIT.  A cancelled reserve that went through later gives its units back. */
    enum status (*reserve)(struct quota *q, struct reservation *r, struct op *op);
    /* Commit and, where used_images >= 0, settle with it in the same call (the whole answer is at hand).  ST_OK or
     * ST_PENDING; done once it is on its way to the store (or acknowledged, by configuration), or durable on disk for
     * later.  r is COMMITTED or SETTLED from the call on.
     *
     * A HELD one whose lease may be over by then, so that others may have its images, is reserved anew, with the limits
     * looked at.  Then it may end as a reserve does, with ST_LIMIT or ST_UNAVAILABLE; r is NONE, and nothing must be
     * delivered for it.  (A store that fails otherwise says ST_UNAVAILABLE and leaves r as it is.) */
    enum status (*commit)(struct quota *q, struct reservation *r, int64_t used_images,
                          struct op *op);
    /* Never fails for the caller; the store retries.  r is SETTLED from the call on and may be freed at once.  Sent
     * before any byte that the caller writes after this call leaves the program at the end of the turn. */
    void (*settle)(struct quota *q, struct reservation *r, int64_t used_images);
    /* Reads how r's limits stand (used, granted, reset), without a hold: ST_OK, ST_UNAVAILABLE or ST_PENDING. */
    enum status (*inspect)(struct quota *q, struct reservation *r, struct op *op);
    /* Changes all of r's limits, and tells how they stand then; idempotent by r->id within an hour.  Likewise; after
     * ST_UNAVAILABLE it may have been done, and may be asked for again with the same id. */
    enum status (*amend)(struct quota *q, struct reservation *r, const struct quota_change *change,
                         struct op *op);
    /* r was admitted without the store: it becomes HELD as if the store had been asked now, so that commit and settle
     * charge it there, sooner or later. */
    void (*adopt)(struct quota *q, struct reservation *r);
    /* Leases a share of a limit of the whole service, or gives some of it back: ST_OK, ST_UNAVAILABLE or ST_PENDING.
     * After ST_UNAVAILABLE, or once it is cancelled, it may have been done.  What is leased stays so until the window
     * ends, whatever becomes of the holder. */
    enum status (*claim)(struct quota *q, struct quota_claim *claim, struct op *op);
    /* Puts off the expiry of a HELD or COMMITTED one to r->expires_us. */
    void (*renew)(struct quota *q, struct reservation *r);
    /* Leaves a note, if the store is up; where no other gateway can be, there is nothing to do. */
    void (*post)(struct quota *q, const struct quota_note *note);
    /* ST_OK (there are none), ST_UNAVAILABLE or ST_PENDING. */
    enum status (*read_board)(struct quota *q, struct quota_reading *reading, struct op *op);
    void (*close)(struct quota *q);
};

struct denied;
struct local;
/* What the workers of one process share; made before them, freed after them. */
struct quota_store;

struct quota {
    const struct quota_ops *ops;
    struct quota_store *store;
    struct loop *loop;
    int64_t lease_us;
    struct list live; /* every HELD or COMMITTED reservation of this worker */
    struct timer renewals;
    bool has_clock;          /* the store's clock is known; else the wall clock stands in */
    int64_t clock_offset_us; /* then: store time less loop_now_us() */

    struct local *local;           /* owned; NULL: no tier counts locally */
    struct denied *denied;         /* owned; NULL: no memory, every request asks the store */
    unsigned amends_seen;          /* of the store's count, when denied was last cleared */
    int64_t amends_known_until_us; /* loop time: what others amend is known of until then */
};

/* ST_OK, or ST_UNAVAILABLE / ST_INVALID with the reason in error (a folder that cannot be written, a database made by
 * another version).  A Redis that is down is no error here: it is reported, and tried again. */
MUST_CHECK enum status quota_store_open(const struct config *config, char error[CONFIG_ERROR_MAX],
                                        struct quota_store **out);
void quota_store_close(struct quota_store **store);
/* Whether decisions can be had now: for /readyz.  Any thread. */
bool quota_store_is_up(const struct quota_store *store);

/* How it stands, in words. */
const char *quota_store_words(const struct quota_store *store);
/* Accounts in a bucket of Redis, the mean of samples; 0: not known. */
double quota_store_bucket_accounts(const struct quota_store *store);

/* A worker's door to it. */
MUST_CHECK enum status quota_open(struct quota_store *store, struct loop *loop,
                                  const struct config *config, struct quota **out);

/* Store time in microseconds since 1970: what windows are chosen by. */
int64_t quota_now_us(const struct quota *q);

/* As the ops say.  Without limits, or for no images, nothing is held: ST_OK at once, and r stays NONE.  Commit and settle
 * of one that is not held do nothing.
 *
 * An account that is known to be out of quota (quota/denied.h) is refused at once, without asking the store.  Then only
 * r->limits[r->refused_by] is told; used_units of the others is -1. */
MUST_CHECK enum status quota_reserve(struct quota *q, struct reservation *r, struct op *op);
/* After ST_UNAVAILABLE, for a tier with on_store_down: local: see quota/local.h.  ST_OK, ST_UNAVAILABLE or ST_PENDING. */
MUST_CHECK enum status quota_reserve_locally(struct quota *q, struct reservation *r, struct op *op);
/* Would quota_reserve() refuse r at once?  Then r is told as above.  Whether it would refuse anything at all is cheap to
 * ask, before there is an r. */
bool quota_is_denied(struct quota *q, struct reservation *r);
bool quota_denies_some(const struct quota *q);
#define QUOTA_SETTLE_LATER INT64_C(-1)
MUST_CHECK enum status quota_commit(struct quota *q, struct reservation *r, int64_t used_images,
                                    struct op *op);
void quota_settle(struct quota *q, struct reservation *r, int64_t used_images);
/* r is fresh from reservation_init(), for any number of images, also none; afterwards it is NONE as before. */
MUST_CHECK enum status quota_inspect(struct quota *q, struct reservation *r, struct op *op);
MUST_CHECK enum status quota_amend(struct quota *q, struct reservation *r,
                                   const struct quota_change *change, struct op *op);
void quota_post(struct quota *q, const struct quota_note *note);
MUST_CHECK enum status quota_read_board(struct quota *q, struct quota_reading *reading,
                                        struct op *op);
/* A claim in a window that has ended is unavailable. */
MUST_CHECK enum status quota_claim(struct quota *q, struct quota_claim *claim, struct op *op);
/* Call it when the loop's run is over: it turns the loop itself until all commits and settles are on their way (or on
 * disk), for a few seconds at most.  Ops still pending then are done, not forgotten.  What is still live is left to its
 * lease. */
void quota_close(struct quota **q);
