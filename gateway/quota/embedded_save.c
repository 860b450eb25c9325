/* SPDX-License-Identifier: Apache-2.0 */
/* embedded_save.c - when the log is long, its place is taken by the database.      Runs on: the store's thread.
 * The log goes on in a new segment.  Slice by slice, what had changed by then is saved, as a record that is durable says
 * it; then what the log had before is forgotten.  Workers go on deciding: they are kept out only while a slice is copied,
 * not while it is written. */

#include "quota/embedded.h"

#define TIDY_SLICE 64

void embedded_save_begins(struct embedded_store *store)
{
    store->is_saving = true;
    embedded_lock_log(store);
    store->saving_epoch = embedded_log_turn(store->log);
    (void)embedded_lock(store, 0);
    ledger_log_again(&store->ledger);
    ledger_save_begins(&store->ledger);
    embedded_unlock(store);
    embedded_unlock_log(store);
}

/* --- one transaction --- */

static enum status keep_view(struct embedded_store *store)
{
    (void)embedded_lock(store, 0);

    enum status st = db_keep_view(store->db);

    embedded_unlock(store);
    return st;
}

static enum status grow(struct embedded_store *store)
{
    (void)embedded_lock(store, 0);

    enum status st = db_grow(store->db);

    embedded_unlock(store);
    return st;
}

static enum status write_db(struct embedded_store *store,
                            void (*work)(struct db_txn *txn, void *owner), void *owner)
{
    enum status st = keep_view(store);

    if (!st)
        st = db_write(store->db, work, owner);
    while (st == ST_LIMIT) {
        st = grow(store);
        if (!st)
            st = db_write(store->db, work, owner);
    }
    (void)embedded_lock(store, 0);
    db_renew_view(store->db);
    embedded_unlock(store);
    return st;
}

/* --- slices --- */

static void tidy(struct embedded_store *store)
{
    for (int looks = 0; looks < SLICE_MOST; looks += TIDY_SLICE) {
        (void)embedded_lock(store, 0);
        table_tidy(&store->ledger, TIDY_SLICE);
        embedded_unlock(store);
    }
}

static enum status save_slice(struct embedded_store *store)
{
    enum status st = write_db(store, ledger_slice_write, &store->slice);

    (void)embedded_lock(store, 0);
    ledger_slice_end(&store->ledger, &store->slice, st == ST_OK);
    embedded_unlock(store);
    if (!st)
        tidy(store);
    return st;
}

static void put_epoch(struct db_txn *txn, void *owner)
{
    db_put_epoch(txn, ((const struct embedded_store *)owner)->saving_epoch);
}

static enum status end_saving(struct embedded_store *store)
{
    enum status st = write_db(store, put_epoch, store);

    if (st)
        return st;
    embedded_lock_log(store);
    embedded_log_forget(store->log, store->saving_epoch);
    embedded_unlock_log(store);
    store->is_saving = false;
    return ST_CLOSED;
}

static enum status sync_slice(struct embedded_store *store)
{
    struct ledger_slice *slice = &store->slice;
    enum status st;

    slice->len = 0;
    slice->drop_before_s = old_rows_before_s(&store->old, loop_now_us(store->loop));
    st = embedded_sync(store, slice);
    if (!st)
        return ST_OK;
    (void)embedded_lock(store, 0);
    ledger_slice_end(&store->ledger, slice, false);
    embedded_unlock(store);
    return st;
}

enum status embedded_save_some(struct embedded_store *store)
{
    enum status st = sync_slice(store);

    if (st)
        return st;
    return store->slice.len > 0 ? save_slice(store) : end_saving(store);
}

enum status embedded_save_all(struct embedded_store *store)
{
    enum status st = ST_OK;

    embedded_save_begins(store);
    while (st == ST_OK)
        st = embedded_save_some(store);
    return st == ST_CLOSED ? ST_OK : st;
}
