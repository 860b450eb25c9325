/* SPDX-License-Identifier: Apache-2.0 */
/* ledger_table.h - what the ledger has in memory: subjects with their rows, and holds.  Private to this folder.
 *
 * A row is read from the database when it is first asked for.  Once changed it is unlogged until it is in the log, then
 * undurable until that is synced; and unsaved until it is in the database.  A subject without such rows, and without
 * holds, may be forgotten. */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "quota/embedded_db.h"
#include "quota/row.h"

/* What is held, in every limit of the reservation at once.  Logged as it stands here, without the charges that are not
 * there. */
struct hold {
    uint64_t id;
    int64_t expires_us; /* of the mark of an amend; else 0 */
    int64_t images;     /* 0: the mark of an amend */
    uint32_t is_committed;
    uint32_t charges_len;
    struct charge charges[LIMITS_MAX]; /* of the limit with the same index */
};

struct ledger_subject {
    struct map_node node;
    struct list link; /* in subjects, the next to be looked at first */
    struct account_digest digest;
    int64_t in_flight; /* images held */
    struct ledger_row *rows;
    bool is_used; /* since it was last looked at */
};

struct ledger_row {
    struct ledger_row *next; /* of the same subject */
    struct ledger_subject *subject;
    struct list undurable; /* in the changes of one stage */
    struct list unsaved;   /* in unsaved, saving or in_slice */
    int64_t until_s;
    uint8_t kind, measure;
    bool exists;      /* else what is known is that there is none */
    bool is_in_slice; /* what it was is being saved, and it has not changed since */
    int64_t values[]; /* a number, or a struct rolling */
};

struct ledger_hold {
    struct map_node node;
    struct list order;                /* in live or in marks, the oldest first */
    struct list undurable;            /* in the changes of one stage; also the spare ones' */
    bool is_ended;                    /* waits for its end to be durable; in no map any more */
    bool is_logged;                   /* the log may know of it */
    struct ledger_subject **subjects; /* of each charge, held in memory by it; behind hold */
    struct hold hold;                 /* last: there is room for charges_len alone */
};

/* What changed, on its way to the disk; each row and hold is in one stage at most. */
struct ledger_changes {
    struct list rows, holds;
};

/* Unsaved rows lie apart by the first byte of their subject, so that what is saved together lies together. */
#define LEDGER_PARTS 256

struct ledger {
    struct embedded_db *db; /* lent */
    struct map subjects_by_digest, holds_by_id;
    struct list subjects;
    size_t subjects_most;
    struct list live, marks; /* of holds */
    struct ledger_changes unlogged, logged, syncing;
    struct list unsaved[LEDGER_PARTS];
    struct list saving[LEDGER_PARTS]; /* those that were unsaved when this round of saving began */
    struct list in_slice;
    struct list spare_holds[LIMITS_MAX + 1]; /* by charges_len */
    int64_t dropped_before_s;                /* rows that ended before it are of no use */
};

/* subjects_most: beyond it, table_tidy() forgets those that may be. */
MUST_CHECK enum status table_init(struct ledger *ledger, struct embedded_db *db,
                                  size_t subjects_most);
void table_fini(struct ledger *ledger);
/* Looks at so many subjects, in turn: drops what is old, and forgets what need not be in memory. */
void table_tidy(struct ledger *ledger, int looks);

/* NULL where there is no memory. */
struct ledger_subject *table_subject(struct ledger *ledger, const struct account_digest *digest);
/* The row of this charge's limit in a window; one that does not exist is there, too.  NULL where there is no memory, or
 * the database cannot be read.  Stays until table_tidy(), as the subject does. */
struct ledger_row *table_row(struct ledger *ledger, struct ledger_subject *subject,
                             const struct charge *charge, int64_t until_s);
/* All zero where it does not exist; a part that its kind does not use is not touched. */
void ledger_row_read(const struct ledger_row *row, struct row *out);
void ledger_row_write(struct ledger *ledger, struct ledger_row *row, const struct row *value);
/* Bytes of values. */
size_t ledger_row_size(uint8_t kind);

struct ledger_hold *table_hold(const struct ledger *ledger, uint64_t id);
/* A copy; no hold with this id may be there.  NULL where there is no memory. */
struct ledger_hold *table_hold_add(struct ledger *ledger, const struct hold *hold);
/* What it says has changed. */
void table_hold_changed(struct ledger *ledger, struct ledger_hold *held);
void table_hold_end(struct ledger *ledger, struct ledger_hold *held);
/* One that the log need not be told of any more. */
void table_hold_free(struct ledger *ledger, struct ledger_hold *held);
