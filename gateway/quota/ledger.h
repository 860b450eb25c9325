/* SPDX-License-Identifier: Apache-2.0 */
/* ledger.h - the embedded store's rules: holds, rows and expiry within one transaction.  Time is a parameter. */
#pragma once

#include "quota/embedded_db.h"
#include "quota/quota.h"
#include "quota/row.h"

/* What is held, in every limit of the reservation at once.  Stored as it stands here, without the charges that are not
 * there. */
struct hold {
    uint64_t id;
    int64_t expires_us;
    int64_t images;
    uint32_t is_committed;
    uint32_t charges_len;
    struct charge charges[LIMITS_MAX]; /* of the limit with the same index */
};

struct ledger_answer {
    int refused_by;         /* index of the limit that has no room; -1: held */
    int64_t in_hand_images; /* refused: held in that limit's subject, so that they may come back */
};

/* Holds in all limits or in none; limits are told how they stand.  One that is held already is charged nothing more; its
 * lease is put off.  Before anybody is refused, all that has expired by now is given back. */
struct ledger_answer ledger_reserve(struct db_txn *txn, const struct hold *hold,
                                    struct reserved_limit *limits, int64_t now_us);
/* One that had expired and was given back is charged again: its images are on their way. */
void ledger_commit(struct db_txn *txn, const struct hold *hold, int64_t now_us);
/* Gives back what was not used, to the windows that were charged; creates nothing.  charges_if_gone: it was never
 * committed before, so where an expiry gave it back, what was used is charged again. */
void ledger_settle(struct db_txn *txn, const struct hold *hold, int64_t used_images,
                   bool charges_if_gone, int64_t now_us);
/* Puts off the expiry; nothing where the hold is gone. */
void ledger_renew(struct db_txn *txn, const struct hold *hold);

/* Tells how the limits stand; of the hold only the charges count.  What has expired is given back first. */
void ledger_inspect(struct db_txn *txn, const struct hold *hold, struct reserved_limit *limits,
                    int64_t now_us);
/* Does once for one hold->id, remembered until hold->expires_us, what an operator says, and tells. */
void ledger_amend(struct db_txn *txn, const struct hold *hold, const struct quota_change *change,
                  struct reserved_limit *limits, int64_t now_us);

/* Ends at most so many expired holds: uncommitted ones are given back, committed ones keep their charge.  Returns how
 * many it was. */
int ledger_reap(struct db_txn *txn, int64_t now_us, int at_most);
/* Drops at most so many rows that were of no use any more before. */
int ledger_drop_rows(struct db_txn *txn, int64_t before_s, int at_most);
