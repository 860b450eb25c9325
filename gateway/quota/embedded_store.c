/* SPDX-License-Identifier: Apache-2.0 */
/* embedded_store.c - the thread that owns the embedded database: group commit.      Runs on: the store's thread.
 * What comes in while one batch is synced is the next batch, so the more there is to do the fewer syncs each costs.
 * A request is answered only after the transaction that holds it is durable.  When the disk fails, reserves are refused
 * and the rest is tried again for a while, in order. */

#include "quota/embedded.h"
#include "quota/embedded_service.h"

#include <stdlib.h>

#include "base/log.h"

#define MAP_BYTES         ((size_t)64 << 20)
#define RETRY_US          INT64_C(100000)
#define GIVE_UP_US        INT64_C(5000000)
#define HOUSEKEEPING_MOST 32 /* entries a batch */
/* Rows of windows that have ended are kept as long as a hold in them may last, and then some. */
#define KEEP_ROWS_S INT64_C(7200)

static void run_reserve(struct db_txn *txn, struct embedded_request *request, int64_t now_us)
{
    request->answer = ledger_reserve(txn, &request->hold, request->limits, now_us);
    request->st = request->answer.refused_by < 0 ? ST_OK : ST_LIMIT;
}

static void run_request(struct db_txn *txn, struct embedded_request *request, int64_t now_us)
{
    const struct hold *hold = &request->hold;

    request->st = ST_OK;
    switch (request->kind) {
    case EMBEDDED_RESERVE:
        run_reserve(txn, request, now_us);
        return;
    case EMBEDDED_COMMIT:
        ledger_commit(txn, hold, now_us);
        return;
    case EMBEDDED_SETTLE:
        ledger_settle(txn, hold, request->used_images, request->charges_if_gone, now_us);
        return;
    case EMBEDDED_RENEW:
        ledger_renew(txn, hold);
        return;
    case EMBEDDED_INSPECT:
        ledger_inspect(txn, hold, request->limits, now_us);
        return;
    case EMBEDDED_AMEND:
        ledger_amend(txn, hold, &request->change, request->limits, now_us);
        return;
    case EMBEDDED_NONE:
        ASSERT(false);
    }
}

static void run_batch(struct db_txn *txn, void *owner)
{
    struct embedded_store *store = owner;
    int64_t now_us = loop_wall_us(store->loop);

    LIST_EACH (node, &store->batch)
        run_request(txn, container_of(node, struct embedded_request, in_batch), now_us);
    (void)ledger_reap(txn, now_us, HOUSEKEEPING_MOST);
    (void)ledger_drop_rows(txn, now_us / 1000000 - KEEP_ROWS_S, HOUSEKEEPING_MOST);
}

static void answer(struct embedded_request *request)
{
    list_remove(&request->in_batch);
    request->mail.deliver = embedded_answered;
    mailbox_post(request->from->box, &request->mail);
}

/* Nothing of the batch was written: who may be told so is told, the others wait for the next attempt. */
static void answer_failed(struct embedded_store *store)
{
    int64_t now_us = loop_now_us(store->loop);

    LIST_EACH (node, &store->batch) {
        struct embedded_request *request = container_of(node, struct embedded_request, in_batch);
        bool is_kept = request->kind == EMBEDDED_COMMIT || request->kind == EMBEDDED_SETTLE;

        if (is_kept && now_us - request->since_us < GIVE_UP_US)
            continue;
        if (is_kept)
            log_event(LOG_ERROR, "quota_lost", "store=embedded what=%s",
                      request->kind == EMBEDDED_COMMIT ? "commit" : "settle");
        request->st = ST_UNAVAILABLE;
        answer(request);
    }
}

static void write_batch(struct embedded_store *store)
{
    if (list_is_empty(&store->batch))
        return;

    bool is_written = db_write(store->db, run_batch, store) == ST_OK;

    atomic_store_explicit(&store->is_up, is_written, memory_order_relaxed);
    if (!is_written) {
        answer_failed(store);
        if (!list_is_empty(&store->batch))
            timer_set(store->loop, &store->retry, loop_now_us(store->loop) + RETRY_US);
        return;
    }
    timer_clear(&store->retry);
    LIST_EACH (node, &store->batch)
        answer(container_of(node, struct embedded_request, in_batch));
}

static void on_turn_end(struct turn_hook *hook)
{
    write_batch(container_of(hook, struct embedded_store, write_batch));
}

static void on_retry(struct timer *timer)
{
    struct embedded_store *store = container_of(timer, struct embedded_store, retry);

    loop_at_turn_end(store->loop, &store->write_batch);
}

static void on_request(struct mail *mail)
{
    struct embedded_request *request = container_of(mail, struct embedded_request, mail);
    struct embedded_store *store = request->from->store;

    request->since_us = loop_now_us(store->loop);
    list_push_back(&store->batch, &request->in_batch);
    if (!timer_is_set(&store->retry))
        loop_at_turn_end(store->loop, &store->write_batch);
    else if (embedded_is_question(request)) {
        request->st = ST_UNAVAILABLE;
        answer(request);
    }
}

void embedded_ask(struct embedded_store *store, struct embedded_request *request)
{
    request->mail.deliver = on_request;
    mailbox_post(store->box, &request->mail);
}

static void on_stop(struct mail *mail)
{
    loop_stop(container_of(mail, struct embedded_store, stop)->loop);
}

static void *store_thread(void *owner)
{
    struct embedded_store *store = owner;

    loop_run(store->loop);
    return NULL;
}

static bool is_up(const struct quota_store *base)
{
    const struct embedded_store *store = (const struct embedded_store *)base;

    return atomic_load_explicit(&store->is_up, memory_order_relaxed);
}

static void store_close(struct quota_store *base)
{
    struct embedded_store *store = (struct embedded_store *)base;

    store->stop.deliver = on_stop;
    mailbox_post(store->box, &store->stop);
    pthread_join(store->thread, NULL);
    ASSERT(list_is_empty(&store->batch)); /* every worker waits for its answers before it closes */
    timer_clear(&store->retry);
    mailbox_free(&store->box);
    embedded_service_close(&store->service);
    loop_free(&store->loop);
    embedded_db_close(&store->db);
    free(store);
}

static const struct quota_store_ops store_ops = {
    .name = "embedded",
    .open = embedded_open,
    .is_up = is_up,
    .close = store_close,
};

/* The loop, the mailbox and the thread. */
static enum status start(struct embedded_store *store)
{
    enum status st = loop_new(&store->loop);

    if (st)
        return st;
    st = mailbox_new(store->loop, &store->box);
    if (st)
        goto no_box;
    if (pthread_create(&store->thread, NULL, store_thread, store) != 0) {
        st = ST_NOMEM;
        goto no_thread;
    }
    return ST_OK;

no_thread:
    mailbox_free(&store->box);
no_box:
    loop_free(&store->loop);
    return st;
}

enum status embedded_store_open(const struct config *config, char error[CONFIG_ERROR_MAX],
                                struct quota_store **out)
{
    struct embedded_store *store = calloc(1, sizeof(*store));
    struct text_out text;
    enum status st;

    text_out_init(&text, error, CONFIG_ERROR_MAX);
    text_out_add(&text, TEXT("quota_store: "));
    if (!store)
        return ST_NOMEM;
    store->base.ops = &store_ops;
    atomic_init(&store->base.amends, 0);
    atomic_init(&store->is_up, true);
    list_init(&store->batch);
    turn_hook_init(&store->write_batch, on_turn_end);
    timer_init(&store->retry, on_retry);
    st = embedded_db_open(config->store.path, MAP_BYTES, &text, &store->db);
    if (st)
        goto no_db;
    st = embedded_service_open(config->store.path, &text, &store->service);
    if (st)
        goto no_start;
    st = start(store);
    if (st) {
        text_out_add(&text, TEXT("cannot start its thread"));
        goto no_start;
    }
    *out = &store->base;
    return ST_OK;

no_start:
    embedded_service_close(&store->service);
    embedded_db_close(&store->db);
no_db:
    free(store);
    return st == ST_REFUSED ? ST_UNAVAILABLE : st;
}
