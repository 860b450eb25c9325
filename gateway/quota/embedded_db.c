/* SPDX-License-Identifier: Apache-2.0 */
/* embedded_db.c - LMDB, opened for one process and one thread, synced on every commit.      Runs on: the store's thread.
 * The lock on the folder keeps other processes out, so LMDB's own lock table is left off. */

#include "quota/embedded_db.h"

#include <lmdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "quota/folder.h"

#define VERSION "meltguard 2"

struct embedded_db {
    MDB_env *env;
    MDB_dbi tables[TABLES];
    int lock_fd;
    size_t map_bytes;
    bool is_failing; /* said so in the log, and has not worked since */
};

static const char *const table_names[TABLES] = {"usage", "holds", "expiry", "flights"};

static int check_version(MDB_txn *txn, MDB_dbi meta)
{
    MDB_val key = {sizeof("version") - 1, "version"};
    MDB_val ours = {sizeof(VERSION) - 1, VERSION};
    MDB_val found;
    int error = mdb_get(txn, meta, &key, &found);

    if (error == MDB_NOTFOUND)
        return mdb_put(txn, meta, &key, &ours, 0);
    if (error)
        return error;
    if (found.mv_size != ours.mv_size || memcmp(found.mv_data, ours.mv_data, ours.mv_size) != 0)
        return MDB_VERSION_MISMATCH;
    return 0;
}

static int make_tables(struct embedded_db *db)
{
    MDB_txn *txn;
    MDB_dbi meta;
    int error = mdb_txn_begin(db->env, NULL, 0, &txn);

    if (error)
        return error;
    error = mdb_dbi_open(txn, "meta", MDB_CREATE, &meta);
    if (!error)
        error = check_version(txn, meta);
    for (int i = 0; i < TABLES && !error; i++)
        error = mdb_dbi_open(txn, table_names[i], MDB_CREATE, &db->tables[i]);
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
    error = mdb_env_set_maxdbs(db->env, TABLES + 1);
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
    mdb_env_close(closing->env);
    close(closing->lock_fd);
    free(closing);
}

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

static int grow(struct embedded_db *db)
{
    size_t bytes = db->map_bytes * 2;
    int error = mdb_env_set_mapsize(db->env, bytes);

    if (error)
        return error;
    db->map_bytes = bytes;
    log_event(LOG_NOTE, "quota_map_grown", "store=embedded bytes=%zu", bytes);
    return 0;
}

enum status db_write(struct embedded_db *db, void (*work)(struct db_txn *txn, void *owner),
                     void *owner)
{
    int error = write_once(db, work, owner);

    while (error == MDB_MAP_FULL || error == MDB_MAP_RESIZED) {
        error = grow(db);
        if (!error)
            error = write_once(db, work, owner);
    }
    if (error && !db->is_failing)
        log_event(LOG_ERROR, "quota_store_down", "store=embedded why=\"%s\"", mdb_strerror(error));
    else if (!error && db->is_failing)
        log_event(LOG_NOTE, "quota_store_up", "store=embedded");
    db->is_failing = error != 0;
    return error ? ST_UNAVAILABLE : ST_OK;
}

static MDB_val val_of(struct text t)
{
    /* LMDB's value type has no const; it does not write through what it is handed to read. */
    return (MDB_val){t.len, (void *)(uintptr_t)t.ptr};
}

/* Keeps the first real error; "not found" is an answer. */
static bool is_done(struct db_txn *txn, int error)
{
    if (error && error != MDB_NOTFOUND)
        txn->error = error;
    return error == 0;
}

size_t db_get_most(struct db_txn *txn, enum db_table table, struct text key, void *out_value,
                   size_t size)
{
    MDB_val mdb_key = val_of(key);
    MDB_val value;

    if (txn->error || !is_done(txn, mdb_get(txn->txn, txn->db->tables[table], &mdb_key, &value)))
        return 0;
    if (value.mv_size > size)
        return 0;
    memcpy(out_value, value.mv_data, value.mv_size);
    return value.mv_size;
}

bool db_get(struct db_txn *txn, enum db_table table, struct text key, void *out_value, size_t size)
{
    MDB_val mdb_key = val_of(key);
    MDB_val value;

    if (txn->error || !is_done(txn, mdb_get(txn->txn, txn->db->tables[table], &mdb_key, &value)))
        return false;
    if (value.mv_size != size)
        return false;
    memcpy(out_value, value.mv_data, size);
    return true;
}

static bool begins_with(const MDB_val *key, struct text prefix)
{
    return key->mv_size >= prefix.len && memcmp(key->mv_data, prefix.ptr, prefix.len) == 0;
}

int64_t db_sum(struct db_txn *txn, enum db_table table, struct text prefix)
{
    MDB_cursor *cursor;
    MDB_val key = val_of(prefix);
    MDB_val value;
    int64_t sum = 0;

    if (txn->error || !is_done(txn, mdb_cursor_open(txn->txn, txn->db->tables[table], &cursor)))
        return 0;

    bool is_found = is_done(txn, mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE));

    while (is_found && begins_with(&key, prefix)) {
        int64_t number = 0;

        if (value.mv_size == sizeof(number))
            memcpy(&number, value.mv_data, sizeof(number));
        sum += number;
        is_found = is_done(txn, mdb_cursor_get(cursor, &key, &value, MDB_NEXT));
    }
    mdb_cursor_close(cursor);
    return sum;
}

void db_put(struct db_txn *txn, enum db_table table, struct text key, const void *value,
            size_t size)
{
    MDB_val mdb_key = val_of(key);
    MDB_val mdb_value = val_of((struct text){value, size});

    if (!txn->error)
        (void)is_done(txn, mdb_put(txn->txn, txn->db->tables[table], &mdb_key, &mdb_value, 0));
}

void db_delete(struct db_txn *txn, enum db_table table, struct text key)
{
    MDB_val mdb_key = val_of(key);

    if (!txn->error)
        (void)is_done(txn, mdb_del(txn->txn, txn->db->tables[table], &mdb_key, NULL));
}

bool db_first(struct db_txn *txn, enum db_table table, void *out_key, size_t size)
{
    MDB_cursor *cursor;
    MDB_val key, value;

    if (txn->error || !is_done(txn, mdb_cursor_open(txn->txn, txn->db->tables[table], &cursor)))
        return false;

    bool is_found = is_done(txn, mdb_cursor_get(cursor, &key, &value, MDB_FIRST));

    if (is_found && key.mv_size == size)
        memcpy(out_key, key.mv_data, size);
    else
        is_found = false;
    mdb_cursor_close(cursor);
    return is_found;
}

size_t db_count(struct db_txn *txn, enum db_table table)
{
    MDB_stat stat_of;

    if (txn->error || !is_done(txn, mdb_stat(txn->txn, txn->db->tables[table], &stat_of)))
        return 0;
    return stat_of.ms_entries;
}
