/* SPDX-License-Identifier: Apache-2.0 */
/* embedded_db.c - LMDB, opened for one process, synced on every commit.      Runs on: the store's thread writes, any reads.
 * The lock on the folder keeps other processes out, so LMDB's own lock table is left off.  Its place is taken by an order:
 * the one reading transaction is of the last commit when a write begins, and renewed when it has ended.  A write never
 * touches a page of the last commit, only of those before; and what a commit looks like is not looked up while one is
 * being written. */

#include "quota/embedded_db.h"

#include <lmdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "quota/folder.h"

#define VERSION "meltguard 3"
#define BEFORE  "meltguard 2"
/* Ours, and those of the version before. */
#define MOST_TABLES 5

struct embedded_db {
    MDB_env *env;
    MDB_dbi rows, meta;
    MDB_txn *reader; /* NULL: none was needed yet */
    bool is_reading; /* it sees what was committed last */
    uint64_t epoch;
    int lock_fd;
    size_t map_bytes;
    bool is_failing; /* said so in the log, and has not worked since */
};

static MDB_val val_of(const void *bytes, size_t len)
{
    /* LMDB's value type has no const; it does not write through what it is handed to read. */
    return (MDB_val){len, (void *)(uintptr_t)bytes};
}

static MDB_val val_of_text(struct text t)
{
    return val_of(t.ptr, t.len);
}

static bool is_equal(const MDB_val *value, struct text t)
{
    return text_equal((struct text){value->mv_data, value->mv_size}, t);
}

/* --- opening --- */

/* Version 2 kept holds here, with what helped to find them. */
static int drop_holds(MDB_txn *txn)
{
    static const char *const names[] = {"holds", "expiry", "flights"};
    int error = 0;

    for (size_t i = 0; i < ARRAY_LEN(names) && !error; i++) {
        MDB_dbi table;

        error = mdb_dbi_open(txn, names[i], 0, &table);
        if (!error)
            error = mdb_drop(txn, table, 1);
        else if (error == MDB_NOTFOUND)
            error = 0;
    }
    return error;
}

static int check_version(MDB_txn *txn, MDB_dbi meta)
{
    MDB_val key = val_of_text(TEXT("version"));
    MDB_val ours = val_of_text(TEXT(VERSION));
    MDB_val found;
    int error = mdb_get(txn, meta, &key, &found);

    if (!error && is_equal(&found, TEXT(VERSION)))
        return 0;
    if (!error && !is_equal(&found, TEXT(BEFORE)))
        return MDB_VERSION_MISMATCH;
    if (!error)
        error = drop_holds(txn);
    if (error && error != MDB_NOTFOUND)
        return error;
    return mdb_put(txn, meta, &key, &ours, 0);
}

static int read_epoch(struct embedded_db *db, MDB_txn *txn)
{
    MDB_val key = val_of_text(TEXT("epoch"));
    MDB_val found;
    int error = mdb_get(txn, db->meta, &key, &found);

    if (error == MDB_NOTFOUND)
        return 0;
    if (!error && found.mv_size != sizeof(db->epoch))
        return MDB_VERSION_MISMATCH;
    if (!error)
        memcpy(&db->epoch, found.mv_data, sizeof(db->epoch));
    return error;
}

static int make_tables(struct embedded_db *db)
{
    MDB_txn *txn;
    int error = mdb_txn_begin(db->env, NULL, 0, &txn);

    if (error)
        return error;
    error = mdb_dbi_open(txn, "meta", MDB_CREATE, &db->meta);
    if (!error)
        error = check_version(txn, db->meta);
    if (!error)
        error = read_epoch(db, txn);
    if (!error)
        error = mdb_dbi_open(txn, "usage", MDB_CREATE, &db->rows);
    if (!error)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return error;
}

static int open_env(struct embedded_db *db, const char *folder)
{
    int error = mdb_env_create(&db->env);

    if (error)
        return error;
    error = mdb_env_set_maxdbs(db->env, MOST_TABLES);
    if (!error)
        error = mdb_env_set_mapsize(db->env, db->map_bytes);
    if (!error)
        error = mdb_env_open(db->env, folder, MDB_NOLOCK | MDB_NOTLS, 0600);
    if (!error)
        error = make_tables(db);
    if (error)
        mdb_env_close(db->env);
    return error;
}

/* The map must hold what is in the file already. */
static size_t map_for(const struct embedded_db *db)
{
    MDB_envinfo envinfo;

    return mdb_env_info(db->env, &envinfo) == 0 ? envinfo.me_mapsize : db->map_bytes;
}

enum status embedded_db_open(const char *folder, size_t map_bytes, struct text_out *error,
                             struct embedded_db **out)
{
    enum status st = folder_make(folder, error);
    struct embedded_db *db;
    int lmdb_error;

    if (st)
        return st;
    db = calloc(1, sizeof(*db));
    if (!db)
        return ST_NOMEM;
    db->map_bytes = map_bytes;
    st = folder_lock(folder, error, &db->lock_fd);
    if (st)
        goto no_lock;
    lmdb_error = open_env(db, folder);
    if (lmdb_error) {
        bool is_other = lmdb_error == MDB_VERSION_MISMATCH || lmdb_error == MDB_INVALID;

        text_out_printf(error, "cannot open the database in %s: %s", folder,
                        is_other ? "it was made by another version or program"
                                 : mdb_strerror(lmdb_error));
        st = is_other ? ST_INVALID : ST_UNAVAILABLE;
        goto no_env;
    }
    db->map_bytes = map_for(db);
    *out = db;
    return ST_OK;

no_env:
    close(db->lock_fd);
no_lock:
    free(db);
    return st;
}

void embedded_db_close(struct embedded_db **db)
{
    struct embedded_db *closing = *db;

    if (!closing)
        return;
    *db = NULL;
    mdb_txn_abort(closing->reader);
    mdb_env_close(closing->env);
    close(closing->lock_fd);
    free(closing);
}

struct row_key row_key(const struct account_digest *subject, uint32_t kind, uint32_t measure,
                       int64_t until_s)
{
    struct row_key key;
    uint64_t until = (uint64_t)until_s;

    for (int i = 7; i >= 0; i--, until >>= 8)
        key.bytes[i] = (unsigned char)until;
    memcpy(key.bytes + 8, subject->bytes, sizeof(subject->bytes));
    key.bytes[sizeof(key.bytes) - 1] = (unsigned char)(measure << 4 | kind);
    return key;
}

uint64_t db_epoch(const struct embedded_db *db)
{
    return db->epoch;
}

/* --- reading --- */

static int begin_reading(struct embedded_db *db)
{
    int error = 0;

    if (db->is_reading)
        return 0;
    if (db->reader)
        error = mdb_txn_renew(db->reader);
    else
        error = mdb_txn_begin(db->env, NULL, MDB_RDONLY, &db->reader);
    db->is_reading = error == 0;
    return error;
}

static void end_reading(struct embedded_db *db)
{
    if (db->is_reading)
        mdb_txn_reset(db->reader);
    db->is_reading = false;
}

enum status db_read(struct embedded_db *db, const struct row_key *key, void *out_values,
                    size_t size, bool *out_exists)
{
    MDB_val mdb_key = val_of(key->bytes, sizeof(key->bytes));
    MDB_val found;
    int error = begin_reading(db);

    if (!error)
        error = mdb_get(db->reader, db->rows, &mdb_key, &found);
    if (error && error != MDB_NOTFOUND) {
        log_event(LOG_ERROR, "quota_read", "store=embedded why=\"%s\"", mdb_strerror(error));
        return ST_UNAVAILABLE;
    }
    *out_exists = !error && found.mv_size == size;
    if (*out_exists)
        memcpy(out_values, found.mv_data, size);
    return ST_OK;
}

size_t db_count(struct embedded_db *db)
{
    MDB_stat stat_of;

    if (begin_reading(db) || mdb_stat(db->reader, db->rows, &stat_of))
        return 0;
    return stat_of.ms_entries;
}

/* --- writing --- */

static int write_once(struct embedded_db *db, void (*work)(struct db_txn *txn, void *owner),
                      void *owner)
{
    MDB_txn *mdb_txn;
    int error = mdb_txn_begin(db->env, NULL, 0, &mdb_txn);

    if (error)
        return error;

    struct db_txn txn = {.db = db, .txn = mdb_txn};

    work(&txn, owner);
    if (!txn.error)
        return mdb_txn_commit(mdb_txn);
    mdb_txn_abort(mdb_txn);
    return txn.error;
}

static enum status told(struct embedded_db *db, int error)
{
    if (error && !db->is_failing)
        log_event(LOG_ERROR, "quota_not_saved", "store=embedded why=\"%s\"", mdb_strerror(error));
    else if (!error && db->is_failing)
        log_event(LOG_NOTE, "quota_saved", "store=embedded");
    db->is_failing = error != 0;
    return error ? ST_UNAVAILABLE : ST_OK;
}

enum status db_keep_view(struct embedded_db *db)
{
    int error = begin_reading(db);

    return error ? told(db, error) : ST_OK;
}

void db_renew_view(struct embedded_db *db)
{
    end_reading(db);
}

enum status db_write(struct embedded_db *db, void (*work)(struct db_txn *txn, void *owner),
                     void *owner)
{
    int error = write_once(db, work, owner);

    if (error == MDB_MAP_FULL || error == MDB_MAP_RESIZED)
        return ST_LIMIT;
    return told(db, error);
}

enum status db_grow(struct embedded_db *db)
{
    size_t bytes = db->map_bytes * 2;
    int error;

    end_reading(db);
    error = mdb_env_set_mapsize(db->env, bytes);
    if (!error)
        error = begin_reading(db);
    if (error)
        return told(db, error);
    db->map_bytes = bytes;
    log_event(LOG_NOTE, "quota_map_grown", "store=embedded bytes=%zu", bytes);
    return ST_OK;
}

/* Keeps the first real error; "not found" is an answer. */
static bool is_done(struct db_txn *txn, int error)
{
    if (error && error != MDB_NOTFOUND)
        txn->error = error;
    return error == 0;
}

void db_put(struct db_txn *txn, const struct row_key *key, const void *values, size_t size)
{
    MDB_val mdb_key = val_of(key->bytes, sizeof(key->bytes));
    MDB_val mdb_value = val_of(values, size);

    if (!txn->error)
        (void)is_done(txn, mdb_put(txn->txn, txn->db->rows, &mdb_key, &mdb_value, 0));
}

static bool is_before(const MDB_val *key, int64_t before_s)
{
    static const struct account_digest none;
    struct row_key first = row_key(&none, 0, 0, MAX(before_s, 0));

    return memcmp(key->mv_data, first.bytes, MIN(key->mv_size, sizeof(first.bytes))) < 0;
}

void db_drop(struct db_txn *txn, int64_t before_s, int at_most)
{
    MDB_cursor *cursor;
    MDB_val key, value;

    if (txn->error || !is_done(txn, mdb_cursor_open(txn->txn, txn->db->rows, &cursor)))
        return;
    for (int i = 0; i < at_most; i++) {
        if (!is_done(txn, mdb_cursor_get(cursor, &key, &value, MDB_FIRST)) ||
            !is_before(&key, before_s) || !is_done(txn, mdb_cursor_del(cursor, 0)))
            break;
    }
    mdb_cursor_close(cursor);
}

void db_put_epoch(struct db_txn *txn, uint64_t epoch)
{
    MDB_val key = val_of_text(TEXT("epoch"));
    MDB_val value = val_of(&epoch, sizeof(epoch));

    if (!txn->error)
        (void)is_done(txn, mdb_put(txn->txn, txn->db->meta, &key, &value, 0));
}
