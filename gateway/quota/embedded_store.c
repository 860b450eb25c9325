/* SPDX-License-Identifier: Apache-2.0 */
/* embedded_store.c - the embedded store's thread: syncs in the background, and the database.      Runs on: its thread.
 * What workers wrote is synced SYNC_EVERY_US after the last sync at the latest, so a power failure takes no more with it;
 * at once for those who wait for it.  What comes while one sync runs is in the next one, so the more there is to do the
 * fewer syncs each costs.  When the disk fails, reserves are refused, and what is not durable is written again until it
 * works. */

#include "quota/embedded.h"
#include "quota/embedded_service.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

#define MAP_BYTES      ((size_t)64 << 20)
#define LOG_MOST_BYTES ((size_t)32 << 20)
#define SUBJECTS_MOST  ((size_t)1 << 18)
#define SYNC_EVERY_US  INT64_C(50000)
#define RETRY_US       INT64_C(100000)
#define SAVE_AGAIN_US  INT64_C(1000000)

/* Wall time at the start, and what has passed since: rates know no clock that jumps. */
static int64_t store_now_us(const struct embedded_store *store)
{
    return loop_now_us(store->loop) + store->clock_offset_us;
}

/* --- syncs --- */

static bool is_log_long(struct embedded_store *store)
{
    embedded_lock_log(store);

    bool is_long = embedded_log_bytes(store->log) > store->log_most_bytes;

    embedded_unlock_log(store);
    return is_long;
}

static void sync_all(struct embedded_store *store)
{
    int64_t now_us = loop_now_us(store->loop);

    old_rows_look(&store->old, now_us, loop_wall_us(store->loop));
    store->synced_us = now_us;
    if (embedded_sync(store, NULL) == ST_OK)
        timer_clear(&store->retry);
    else
        timer_set(store->loop, &store->retry, now_us + RETRY_US);
    if (store->is_saving || is_log_long(store))
        loop_at_next_turn(store->loop, &store->save_on);
}

static void on_sync_hook(struct turn_hook *hook)
{
    struct embedded_store *store = container_of(hook, struct embedded_store, sync_on);

    if (!timer_is_set(&store->retry))
        sync_all(store);
}

/* What is written from here on asks again. */
static void on_sync_timer(struct timer *timer)
{
    struct embedded_store *store = container_of(timer, struct embedded_store, sync);

    atomic_store(&store->sync_later.is_asked, false);
    sync_all(store);
}

static void on_retry(struct timer *timer)
{
    sync_all(container_of(timer, struct embedded_store, retry));
}

static void on_sync_later(struct mail *mail)
{
    struct embedded_store *store = container_of(mail, struct embedded_store, sync_later.mail);

    timer_set(store->loop, &store->sync,
              MAX(store->synced_us + SYNC_EVERY_US, loop_now_us(store->loop)));
}

static void on_sync_now(struct mail *mail)
{
    struct embedded_store *store = container_of(mail, struct embedded_store, sync_now.mail);

    atomic_store(&store->sync_now.is_asked, false);
    loop_at_turn_end(store->loop, &store->sync_on);
}

/* --- the database --- */

static void on_save(struct turn_hook *hook)
{
    struct embedded_store *store = container_of(hook, struct embedded_store, save_on);
    enum status st;

    if (timer_is_set(&store->retry) || timer_is_set(&store->save_again))
        return;
    if (!store->is_saving)
        embedded_save_begins(store);
    st = embedded_save_some(store);
    if (st == ST_OK)
        loop_at_next_turn(store->loop, hook);
    if (st == ST_OK || st == ST_CLOSED)
        return;
    timer_set(store->loop, &store->save_again, loop_now_us(store->loop) + SAVE_AGAIN_US);
    loop_at_turn_end(store->loop, &store->sync_on); /* where it was the log that failed */
}

static void on_save_again(struct timer *timer)
{
    struct embedded_store *store = container_of(timer, struct embedded_store, save_again);

    loop_at_turn_end(store->loop, &store->save_on);
}

/* --- the thread --- */

static void on_stop(struct mail *mail)
{
    loop_stop(container_of(mail, struct embedded_store, stop)->loop);
}

static void *store_thread(void *owner)
{
    struct embedded_store *store = owner;

    /* It takes no core from a worker that has more to do: batches are larger, and syncs fewer. */
    (void)sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){0});
    loop_run(store->loop);
    return NULL;
}

static bool is_up(const struct quota_store *base)
{
    const struct embedded_store *store = (const struct embedded_store *)base;

    return atomic_load_explicit(&store->is_up, memory_order_relaxed);
}

/* --- opening and closing --- */

/* What is held when the process ends, or was when it began, comes back; see ledger.h. */
static bool end_all(struct embedded_store *store)
{
    int64_t now_us = embedded_lock(store, store_now_us(store));
    bool is_ended = ledger_end_all(&store->ledger, now_us);

    embedded_unlock(store);
    return is_ended;
}

static void clear_timers(struct embedded_store *store)
{
    timer_clear(&store->sync);
    timer_clear(&store->retry);
    timer_clear(&store->save_again);
}

static void close_files(struct embedded_store *store)
{
    pthread_mutex_destroy(&store->ledger_lock);
    pthread_mutex_destroy(&store->log_lock);
    embedded_log_close(&store->log);
    table_fini(&store->ledger);
    ledger_record_fini(&store->record);
    embedded_db_close(&store->db);
}

static void store_close(struct quota_store *base)
{
    struct embedded_store *store = (struct embedded_store *)base;

    store->stop.deliver = on_stop;
    mailbox_post(store->box, &store->stop);
    pthread_join(store->thread, NULL);
    ASSERT(list_is_empty(&store->doors));
    if (!end_all(store) || embedded_save_all(store) != ST_OK)
        log_event(LOG_WARN, "quota_not_saved", "store=embedded why=\"the log has it\"");
    mailbox_free(&store->box);
    clear_timers(store);
    embedded_service_close(&store->service);
    loop_free(&store->loop);
    close_files(store);
    free(store);
}

static const struct quota_store_ops store_ops = {
    .name = "embedded",
    .open = embedded_open,
    .is_up = is_up,
    .close = store_close,
};

static bool replay(void *owner, const unsigned char *bytes, size_t len)
{
    struct embedded_store *store = owner;

    return ledger_replay(&store->ledger, bytes, len);
}

static enum status open_files(struct embedded_store *store, const char *folder,
                              struct text_out *error)
{
    enum status st = embedded_db_open(folder, MAP_BYTES, error, &store->db);

    if (st)
        return st;
    st = table_init(&store->ledger, store->db, SUBJECTS_MOST);
    if (st)
        goto no_ledger;
    st = embedded_log_open(folder, db_epoch(store->db), replay, store, error, &store->log);
    if (st)
        goto no_log;
    ledger_logged(&store->ledger);
    ledger_sync_begins(&store->ledger);
    while (ledger_synced_some(&store->ledger))
        continue;
    return ST_OK;

no_log:
    table_fini(&store->ledger);
no_ledger:
    embedded_db_close(&store->db);
    return st;
}

/* What an earlier process held is ended, and the log begins anew. */
static enum status recover(struct embedded_store *store, struct text_out *error)
{
    if (end_all(store) && embedded_save_all(store) == ST_OK)
        return ST_OK;
    text_out_printf(error, "cannot write what an earlier process left: %s", strerror(errno));
    return ST_UNAVAILABLE;
}

static enum status start(struct embedded_store *store, struct text_out *error)
{
    enum status st = mailbox_new(store->loop, &store->box);

    if (!st && pthread_create(&store->thread, NULL, store_thread, store) == 0)
        return ST_OK;
    mailbox_free(&store->box);
    text_out_add(error, TEXT("cannot start its thread"));
    return ST_NOMEM;
}

static enum status store_new(struct embedded_store **out)
{
    struct embedded_store *store = calloc(1, sizeof(*store));

    if (!store)
        return ST_NOMEM;
    if (loop_new(&store->loop)) {
        free(store);
        return ST_NOMEM;
    }
    store->base.ops = &store_ops;
    store->clock_offset_us = clock_wall_us() - clock_monotonic_us();
    store->log_most_bytes = LOG_MOST_BYTES;
    atomic_init(&store->base.amends, 0);
    atomic_init(&store->is_up, true);
    atomic_init(&store->durable, 0);
    ASSERT(pthread_mutex_init(&store->ledger_lock, NULL) == 0);
    ASSERT(pthread_mutex_init(&store->log_lock, NULL) == 0);
    list_init(&store->doors);
    embedded_call_init(&store->sync_later, on_sync_later);
    embedded_call_init(&store->sync_now, on_sync_now);
    turn_hook_init(&store->sync_on, on_sync_hook);
    turn_hook_init(&store->save_on, on_save);
    timer_init(&store->sync, on_sync_timer);
    timer_init(&store->retry, on_retry);
    timer_init(&store->save_again, on_save_again);
    *out = store;
    return ST_OK;
}

enum status embedded_store_open(const char *folder, char error[CONFIG_ERROR_MAX],
                                struct quota_store **out)
{
    struct embedded_store *store = NULL;
    struct text_out text;
    enum status st = store_new(&store);

    text_out_init(&text, error, CONFIG_ERROR_MAX);
    text_out_add(&text, TEXT("quota_store: "));
    if (st)
        return st;
    st = open_files(store, folder, &text);
    if (st)
        goto no_files;
    st = recover(store, &text);
    if (!st)
        st = embedded_service_open(folder, &text, &store->service);
    if (!st)
        st = start(store, &text);
    if (st)
        goto no_start;
    *out = &store->base;
    return ST_OK;

no_start:
    embedded_service_close(&store->service);
    clear_timers(store);
    close_files(store);
no_files:
    loop_free(&store->loop);
    free(store);
    return st == ST_REFUSED ? ST_UNAVAILABLE : st;
}
