/* SPDX-License-Identifier: Apache-2.0 */
/* embedded_db.h - the LMDB environment of the embedded store: its folder, rows, transactions.
 * The database is a checkpoint: what changed since lies in the log (embedded_log.h), from the epoch that the database
 * names.
 *
 * One thread writes.  Others may read meanwhile, one at a time: they see what was there before, in a view that the writer
 * has them keep from before it begins until it has ended.  What db_write() does needs no lock; all else is for whoever has
 * the readers' lock. */
#pragma once

#include "base/text.h"
#include "core/account.h"

/* Of a row: until when it is of use, subject, limit kind and measure.  The time is big endian, so that a range of keys is
 * a range of time. */
struct row_key {
    unsigned char bytes[8 + sizeof(struct account_digest) + 1];
};
struct row_key row_key(const struct account_digest *subject, uint32_t kind, uint32_t measure,
                       int64_t until_s);

struct embedded_db;

/* One write transaction.  After its first error every call is a no-op; db_write() deals with it. */
struct db_txn {
    struct embedded_db *db;
    void *txn; /* MDB_txn */
    int error; /* of LMDB; 0: none yet */
};

/* Opens, or makes, the database; map_bytes is what it may grow to before it has to be mapped anew, which happens by
 * itself.  ST_REFUSED: another process has the folder.  ST_INVALID: made by another version.  ST_UNAVAILABLE: the folder
 * or the file cannot be used.  error then says which and why.
 *
 * One of version 2, which had no log, is opened and made ours; what it held then is never given back. */
MUST_CHECK enum status embedded_db_open(const char *folder, size_t map_bytes,
                                        struct text_out *error, struct embedded_db **out);
void embedded_db_close(struct embedded_db **db);

/* Is there a row with values of this size?  ST_UNAVAILABLE: it cannot be said. */
MUST_CHECK enum status db_read(struct embedded_db *db, const struct row_key *key, void *out_values,
                               size_t size, bool *out_exists);
/* The epoch that the log begins with; 0 in a new one. */
uint64_t db_epoch(const struct embedded_db *db);
size_t db_count(struct embedded_db *db); /* of rows */

/* Who reads sees what is there now, also while it is changed; until db_renew_view(). */
MUST_CHECK enum status db_keep_view(struct embedded_db *db);
void db_renew_view(struct embedded_db *db);
/* Runs work in one transaction and makes it durable, between those two.  ST_OK; or nothing was changed: ST_LIMIT (the map
 * must grow first) or ST_UNAVAILABLE (logged). */
MUST_CHECK enum status db_write(struct embedded_db *db,
                                void (*work)(struct db_txn *txn, void *owner), void *owner);
/* ST_OK, or ST_UNAVAILABLE; logged.  The view is kept. */
MUST_CHECK enum status db_grow(struct embedded_db *db);
void db_put(struct db_txn *txn, const struct row_key *key, const void *values, size_t size);
/* Deletes at most so many rows that were of no use any more before. */
void db_drop(struct db_txn *txn, int64_t before_s, int at_most);
void db_put_epoch(struct db_txn *txn, uint64_t epoch);
