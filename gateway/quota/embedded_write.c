/* SPDX-License-Identifier: Apache-2.0 */
/* embedded_write.c - what was decided, to the log and to the disk.      Runs on: workers; the store's thread.
 * Whoever writes takes all that changed, whoever changed it, under the log's lock: so a record never lies behind one that
 * is not there yet, and who finds nothing left to write knows that it has been written.
 *
 * When a write or a sync fails, the thread abandons the segment, and whoever writes next writes all that was not durable
 * again, to the next one; until a sync has worked, nothing is admitted. */

#include "quota/embedded.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"

/* --- the ledger's lock --- */

int64_t embedded_lock(struct embedded_store *store, int64_t now_us)
{
    ASSERT(pthread_mutex_lock(&store->ledger_lock) == 0);
    store->now_us = MAX(store->now_us, now_us);
    return store->now_us;
}

void embedded_unlock(struct embedded_store *store)
{
    ASSERT(pthread_mutex_unlock(&store->ledger_lock) == 0);
}

uint64_t embedded_record(const struct embedded_store *store)
{
    return store->records + ledger_is_unlogged(&store->ledger);
}

/* --- writing, under the log's lock --- */

void embedded_lock_log(struct embedded_store *store)
{
    ASSERT(pthread_mutex_lock(&store->log_lock) == 0);
}

void embedded_unlock_log(struct embedded_store *store)
{
    ASSERT(pthread_mutex_unlock(&store->log_lock) == 0);
}

static void set_up(struct embedded_store *store, bool is_up)
{
    bool was_up = atomic_load_explicit(&store->is_up, memory_order_relaxed);

    if (was_up && !is_up)
        log_event(LOG_ERROR, "quota_store_down", "store=embedded why=\"%s\"", strerror(errno));
    else if (!was_up && is_up)
        log_event(LOG_NOTE, "quota_store_up", "store=embedded");
    atomic_store(&store->is_up, is_up);
}

static void fail(struct embedded_store *store)
{
    store->has_failed = true;
    set_up(store, false);
}

/* All that changed, as one record; without a change it is empty. */
static enum status gather(struct embedded_store *store, struct ledger_slice *slice,
                          uint64_t *out_record)
{
    int64_t now_us = embedded_lock(store, 0);
    enum status st = ST_OK;

    ledger_end_marks(&store->ledger, now_us);
    store->record.len = 0;
    if (ledger_is_unlogged(&store->ledger))
        st = ledger_log(&store->ledger, &store->record);
    if (!st) {
        store->records = embedded_record(store);
        ledger_logged(&store->ledger);
        *out_record = store->records;
    }
    if (!st && slice)
        (void)ledger_slice_take(&store->ledger, slice);
    embedded_unlock(store);
    return st;
}

static enum status write_all(struct embedded_store *store, struct ledger_slice *slice,
                             uint64_t *out_record)
{
    enum status st = gather(store, slice, out_record);

    if (!st && store->record.len > 0)
        st = embedded_log_append(store->log, store->record.bytes, store->record.len);
    if (st)
        fail(store);
    return st;
}

enum status embedded_write(struct embedded_store *store, uint64_t *out_written)
{
    enum status st = ST_UNAVAILABLE;
    uint64_t record;

    embedded_lock_log(store);
    if (!store->has_failed)
        st = write_all(store, NULL, &record);
    embedded_unlock_log(store);
    if (st) {
        embedded_ask(store, &store->sync_now);
        return ST_UNAVAILABLE;
    }
    *out_written = record;
    return ST_OK;
}

/* --- the thread's help --- */

void embedded_call_init(struct embedded_call *call, void (*deliver)(struct mail *mail))
{
    call->mail.deliver = deliver;
    atomic_init(&call->is_asked, false);
}

void embedded_ask(struct embedded_store *store, struct embedded_call *call)
{
    if (!atomic_load(&call->is_asked) && !atomic_exchange(&call->is_asked, true))
        mailbox_post(store->box, &call->mail);
}

void embedded_join(struct embedded_store *store, struct embedded_quota *door)
{
    embedded_lock_log(store);
    list_push_back(&store->doors, &door->in_doors);
    embedded_unlock_log(store);
}

void embedded_leave(struct embedded_store *store, struct embedded_quota *door)
{
    embedded_lock_log(store);
    list_remove(&door->in_doors);
    embedded_unlock_log(store);
}

/* --- syncs: the store's thread --- */

static void abandon(struct embedded_store *store)
{
    embedded_log_abandon(store->log);
    (void)embedded_lock(store, 0);
    ledger_unlog(&store->ledger);
    embedded_unlock(store);
    store->has_failed = false;
}

/* The log has all; false: and nothing of it is to be synced. */
static bool begin_sync(struct embedded_store *store, struct log_sync *out)
{
    (void)embedded_lock(store, 0);
    ledger_sync_begins(&store->ledger);
    embedded_unlock(store);
    return embedded_log_sync_begins(store->log, out);
}

static void forget_changes(struct embedded_store *store)
{
    bool is_more = true;

    while (is_more) {
        (void)embedded_lock(store, 0);
        is_more = ledger_synced_some(&store->ledger);
        embedded_unlock(store);
    }
}

/* A write that failed meanwhile leaves the store down; what was synced is durable all the same. */
static void end_sync(struct embedded_store *store, const struct log_sync *sync, uint64_t record)
{
    embedded_log_synced(store->log, sync);
    if (!store->has_failed)
        set_up(store, true);
    atomic_store(&store->durable, record);
}

static void tell_doors(struct embedded_store *store)
{
    LIST_EACH (node, &store->doors) {
        struct embedded_quota *door = container_of(node, struct embedded_quota, in_doors);
        int wanted = WORD_WANTED;

        if (atomic_compare_exchange_strong(&door->word_state, &wanted, WORD_POSTED))
            mailbox_post(door->box, &door->word);
    }
}

static enum status write_and_begin(struct embedded_store *store, struct ledger_slice *slice,
                                   struct log_sync *out_sync, uint64_t *out_record)
{
    enum status st;

    if (store->has_failed)
        abandon(store);
    st = write_all(store, slice, out_record);
    if (!st && !begin_sync(store, out_sync))
        *out_sync = (struct log_sync){.fd = -1, .left_fd = -1, .number = out_sync->number};
    return st;
}

enum status embedded_sync(struct embedded_store *store, struct ledger_slice *slice)
{
    struct log_sync sync;
    uint64_t record;
    enum status st;

    embedded_lock_log(store);
    st = write_and_begin(store, slice, &sync, &record);
    embedded_unlock_log(store);
    if (!st)
        st = embedded_log_sync(store->log, &sync);
    if (!st)
        forget_changes(store);
    embedded_lock_log(store);
    if (st)
        fail(store);
    else
        end_sync(store, &sync, record);
    if (store->has_failed)
        abandon(store);
    tell_doors(store);
    embedded_unlock_log(store);
    return st ? ST_UNAVAILABLE : ST_OK;
}
