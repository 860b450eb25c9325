/* SPDX-License-Identifier: Apache-2.0 */
/* ledger.h - the embedded store's rules: holds, rows and expiry within one transaction.  Time is a parameter. */
#pragma once

#include "core/account.h"
#include "core/policy.h"
#include "quota/embedded_db.h"

/* A window that is charged. */
struct hold_window {
    int64_t end_s;
    uint64_t kind; /* enum limit_kind; the width leaves no padding */
};

/* What is held; stored as it stands here. */
struct hold {
    uint64_t id;
    struct account_digest account;
    int64_t expires_us;
    int64_t grains;
    uint32_t is_committed;
    uint32_t windows_len;
    struct hold_window windows[LIMITS_MAX];
};

struct ledger_answer {
    int refused_by;           /* index of the window that has no room; -1: held */
    int64_t used[LIMITS_MAX]; /* grains: with the hold, or without it where refused */
};

/* Holds in all windows or in none.  One that is held already is charged nothing more; its lease is put off.  Before
 * anybody is refused, all that has expired by now is given back. */
struct ledger_answer ledger_reserve(struct db_txn *txn, const struct hold *hold,
                                    const int64_t limits[LIMITS_MAX], int64_t now_us);
/* One that had expired and was given back is charged again: its images are on their way. */
void ledger_commit(struct db_txn *txn, const struct hold *hold);
/* Gives back what was not used, to the windows that were charged; creates nothing.  charges_if_gone: it was never
 * committed before, so where an expiry gave it back, what was used is charged again. */
void ledger_settle(struct db_txn *txn, const struct hold *hold, int64_t used_grains,
                   bool charges_if_gone);
/* Puts off the expiry; nothing where the hold is gone. */
void ledger_renew(struct db_txn *txn, const struct hold *hold);

/* Ends at most so many expired holds: uncommitted ones are given back, committed ones keep their charge.  Returns how
 * many it was. */
int ledger_reap(struct db_txn *txn, int64_t now_us, int at_most);
/* Drops at most so many rows of windows that ended before. */
int ledger_drop_windows(struct db_txn *txn, int64_t before_s, int at_most);
