/* SPDX-License-Identifier: Apache-2.0 */
/* embedded_db.h - the LMDB environment of the embedded store: its folder, its tables, its transactions.
 * After opening, it belongs to one thread. */
#pragma once

#include "base/text.h"

/* Names and keys; integers in keys are big endian, so that ranges are ranges of time.
 *   usage    until when it is of use, subject, limit kind and measure -> row
 *   holds    reservation id                                           -> the hold
 *   expiry   expiry, reservation id                                   -> nothing
 *   flights  subject, reservation id                                  -> images */
enum db_table { TABLE_USAGE, TABLE_HOLDS, TABLE_EXPIRY, TABLE_FLIGHTS, TABLES };

struct embedded_db;

/* One write transaction.  After its first error every call is a no-op that finds nothing; db_write() deals with it. */
struct db_txn {
    struct embedded_db *db;
    void *txn; /* MDB_txn */
    int error; /* of LMDB; 0: none yet */
};

/* Opens, or makes, the database; map_bytes is what it may grow to before it has to be mapped anew, which happens by
 * itself.  ST_REFUSED: another process has the folder.  ST_INVALID: made by another version.  ST_UNAVAILABLE: the folder
 * or the file cannot be used.  error then says which and why. */
MUST_CHECK enum status embedded_db_open(const char *folder, size_t map_bytes,
                                        struct text_out *error, struct embedded_db **out);
void embedded_db_close(struct embedded_db **db);

/* Runs work in one transaction and makes it durable.  Work may be run again from the start, when the map had to grow.
 * ST_OK, or ST_UNAVAILABLE: nothing was changed; logged when it begins to fail. */
MUST_CHECK enum status db_write(struct embedded_db *db,
                                void (*work)(struct db_txn *txn, void *owner), void *owner);

/* True where the key is there and its value has exactly this size. */
bool db_get(struct db_txn *txn, enum db_table table, struct text key, void *out_value, size_t size);
/* The value's size, which is at most size; 0 where the key is not there, or its value is larger. */
size_t db_get_most(struct db_txn *txn, enum db_table table, struct text key, void *out_value,
                   size_t size);
/* The sum of the int64 values of all keys that begin so. */
int64_t db_sum(struct db_txn *txn, enum db_table table, struct text prefix);
void db_put(struct db_txn *txn, enum db_table table, struct text key, const void *value,
            size_t size);
/* A key that is not there is no error. */
void db_delete(struct db_txn *txn, enum db_table table, struct text key);
/* The smallest key, which must have exactly this size; false when the table is empty. */
bool db_first(struct db_txn *txn, enum db_table table, void *out_key, size_t size);
size_t db_count(struct db_txn *txn, enum db_table table);
