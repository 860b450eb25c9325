/* SPDX-License-Identifier: Apache-2.0 */
/* ledger.h - the embedded store's rules, in memory: holds and rows.  Time is a parameter, and never goes back.
 *
 * A hold has no lease: who made it lives as long as the ledger does.  What an earlier process left is dead, and is ended
 * when the ledger is opened.  So what is held need not be durable before it counts: a crash gives it back either way.
 * What is charged must be, before anybody is told: ledger_log() says what changed, in a form that sets what it names. */
#pragma once

#include "quota/ledger_table.h"
#include "quota/quota.h"

struct ledger_answer {
    int refused_by;         /* index of the limit that has no room; -1: held */
    int64_t in_hand_images; /* refused: held in that limit's subject, so that they may come back */
};

/* Holds in all limits or in none: ST_OK, ST_LIMIT or ST_UNAVAILABLE (no memory, or no database); limits are told how they
 * stand with the first two.  One that is held already is charged nothing more. */
MUST_CHECK enum status ledger_reserve(struct ledger *ledger, const struct hold *hold,
                                      struct reserved_limit *limits, int64_t now_us,
                                      struct ledger_answer *out);
/* The charge outlives the process from now on.  A hold that had been ended is charged again: its images are on their way.
 * ST_OK or ST_UNAVAILABLE, likewise. */
MUST_CHECK enum status ledger_commit(struct ledger *ledger, const struct hold *hold,
                                     int64_t now_us);
/* Gives back what was not used, to the windows that were charged; creates nothing.  charges_if_gone: it was never
 * committed, so where it had been ended, what was used is charged again. */
MUST_CHECK enum status ledger_settle(struct ledger *ledger, const struct hold *hold,
                                     int64_t used_images, bool charges_if_gone, int64_t now_us);
/* Tells how the limits stand; of the hold only the charges count. */
MUST_CHECK enum status ledger_inspect(struct ledger *ledger, const struct hold *hold,
                                      struct reserved_limit *limits, int64_t now_us);
/* Does once for one hold->id, remembered until hold->expires_us, what an operator says, and tells. */
MUST_CHECK enum status ledger_amend(struct ledger *ledger, const struct hold *hold,
                                    const struct quota_change *change,
                                    struct reserved_limit *limits, int64_t now_us);

/* Its process is dead: it is given back, or keeps its charge once it was committed.  False where there is none, or where
 * its rows cannot be read. */
bool ledger_end(struct ledger *ledger, uint64_t id, int64_t now_us);
/* Ends all; false where one could not be. */
bool ledger_end_all(struct ledger *ledger, int64_t now_us);
/* Ends marks of amends whose time has come. */
void ledger_end_marks(struct ledger *ledger, int64_t now_us);

/* --- durability --- */

/* A growing buffer. */
struct ledger_record {
    unsigned char *bytes; /* owned */
    size_t len, size;
};
void ledger_record_fini(struct ledger_record *record);

/* Is there anything that ledger_log() would say? */
bool ledger_is_unlogged(const struct ledger *ledger);
/* Fills the record with all that changed since ledger_logged(), which says that it is being written. */
MUST_CHECK enum status ledger_log(struct ledger *ledger, struct ledger_record *out);
void ledger_logged(struct ledger *ledger);
/* A sync of all that was written begins; it succeeded. */
void ledger_sync_begins(struct ledger *ledger);
/* Takes note of some of it; false: of all. */
bool ledger_synced_some(struct ledger *ledger);
/* A write or a sync failed: all that is not durable must be logged again. */
void ledger_unlog(struct ledger *ledger);
/* What is not in the database but only in the log must be logged again: the log is cut off here. */
void ledger_log_again(struct ledger *ledger);
/* A record read back.  False where it makes no sense, or there is no memory. */
bool ledger_replay(struct ledger *ledger, const unsigned char *bytes, size_t len);

/* --- to the database, in slices --- */

/* So small that nobody waits long. */
#define SLICE_MOST 512

/* Copies of rows, as the log has them. */
struct ledger_slice {
    struct ledger_copy {
        struct row_key key;
        uint8_t size; /* bytes of values */
        int64_t values[sizeof(struct rolling) / sizeof(int64_t)];
    } copies[SLICE_MOST];
    int len;
    int64_t drop_before_s; /* rows that ended before are dropped, some with each slice */
};

/* All that is unsaved now is to be saved. */
void ledger_save_begins(struct ledger *ledger);
/* Fills the slice with some of it, all of which must be logged; false: there is none left. */
bool ledger_slice_take(struct ledger *ledger, struct ledger_slice *slice);
/* The work of db_write(): owner is the slice.  What the log says of it must be durable.  It needs no ledger. */
void ledger_slice_write(struct db_txn *txn, void *owner);
/* It went through, or not: then it will be in a later one. */
void ledger_slice_end(struct ledger *ledger, const struct ledger_slice *slice, bool is_saved);
