/* SPDX-License-Identifier: Apache-2.0 */
/* embedded_store.c - the thread that owns the embedded store: group commit.      Runs on: the store's thread.
 * What comes in while one batch is synced is the next batch, so the more there is to do the fewer syncs each costs.  A
 * commit or settle is answered when its change is durable; a reserve as soon as it is decided, since a crash gives back
 * what is held (ledger.h).  When the disk fails, reserves are refused, and what changed is written again until it works.
 *
 * When the log is long, its place is taken by the database: the log goes on in a new segment, and slice by slice what
 * changed is saved, between batches; then what the log had before is forgotten. */

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
#define TIDY_LOOKS     4 /* a request */
#define RETRY_US       INT64_C(100000)
#define SAVE_AGAIN_US  INT64_C(1000000)
#define GIVE_UP_US     INT64_C(5000000)
/* Rows of windows that have ended are kept as long as a hold in them may last, and then some. */
#define KEEP_ROWS_S INT64_C(7200)

/* Wall time at the start, and what has passed since: rates know no clock that jumps. */
static int64_t store_now_us(const struct embedded_store *store)
{
    return loop_now_us(store->loop) + store->clock_offset_us;
}

/* --- answers --- */

static void answer(struct embedded_store *store, struct embedded_request *request)
{
    struct embedded_quota *door = request->from;

    if (list_is_empty(&door->in_due))
        list_push_back(&store->due, &door->in_due);
    embedded_chain_add(&door->answered, request);
}

static void send_answers(struct embedded_store *store)
{
    LIST_EACH (node, &store->due) {
        struct embedded_quota *door = container_of(node, struct embedded_quota, in_due);
        struct embedded_request *first = door->answered.first;

        ASSERT(first != NULL);
        list_remove(node);
        door->answered = (struct embedded_chain){0};
        first->mail.deliver = embedded_answered;
        mailbox_post(door->box, &first->mail);
    }
}

/* --- decisions --- */

static enum status decide(struct ledger *ledger, struct embedded_request *request, int64_t now_us)
{
    const struct hold *hold = &request->hold;

    switch (request->kind) {
    case EMBEDDED_RESERVE:
        return ledger_reserve(ledger, hold, request->limits, now_us, &request->answer);
    case EMBEDDED_COMMIT:
        return ledger_commit(ledger, hold, now_us);
    case EMBEDDED_SETTLE:
        return ledger_settle(ledger, hold, request->used_images, request->charges_if_gone, now_us);
    case EMBEDDED_INSPECT:
        return ledger_inspect(ledger, hold, request->limits, now_us);
    case EMBEDDED_AMEND:
        return ledger_amend(ledger, hold, &request->change, request->limits, now_us);
    case EMBEDDED_NONE:
        break;
    }
    ASSERT(false);
    return ST_INVALID;
}

static void lost(const struct embedded_request *request, const char *why)
{
    log_event(LOG_ERROR, "quota_lost", "store=embedded what=%s why=\"%s\"",
              request->kind == EMBEDDED_COMMIT ? "commit" : "settle", why);
}

static void take(struct embedded_store *store, struct embedded_request *request)
{
    bool is_durable = request->kind == EMBEDDED_RESERVE || request->kind == EMBEDDED_INSPECT;

    request->st = ST_UNAVAILABLE;
    if (!timer_is_set(&store->retry) || !embedded_is_question(request))
        request->st = decide(&store->ledger, request, store_now_us(store));
    if (request->st == ST_UNAVAILABLE && !embedded_is_question(request))
        lost(request, "no memory");
    if (request->st != ST_OK || is_durable) {
        answer(store, request);
        return;
    }
    request->since_us = loop_now_us(store->loop);
    list_push_back(&store->undurable, &request->in_undurable);
}

static void on_requests(struct mail *mail)
{
    struct embedded_request *request = container_of(mail, struct embedded_request, mail);
    struct embedded_store *store = request->from->store;
    int len = 0;

    while (request) {
        struct embedded_request *next = request->next;

        take(store, request);
        request = next;
        len++;
    }
    if (store->ledger.subjects_by_digest.len > store->ledger.subjects_most)
        table_tidy(&store->ledger, len * TIDY_LOOKS);
    loop_at_turn_end(store->loop, &store->write_batch);
}

void embedded_ask(struct embedded_store *store, struct embedded_request *first)
{
    first->mail.deliver = on_requests;
    mailbox_post(store->box, &first->mail);
}

/* --- durability --- */

static void set_up(struct embedded_store *store, bool is_up)
{
    bool was_up = atomic_load_explicit(&store->is_up, memory_order_relaxed);

    if (was_up && !is_up)
        log_event(LOG_ERROR, "quota_store_down", "store=embedded why=\"%s\"", strerror(errno));
    else if (!was_up && is_up)
        log_event(LOG_NOTE, "quota_store_up", "store=embedded");
    atomic_store_explicit(&store->is_up, is_up, memory_order_relaxed);
}

/* All that changed is in the log. */
static enum status make_durable(struct embedded_store *store)
{
    enum status st = ST_OK;

    if (ledger_is_unlogged(&store->ledger)) {
        st = ledger_log(&store->ledger, &store->record);
        if (!st)
            st = embedded_log_append(store->log, store->record.bytes, store->record.len);
        if (!st)
            ledger_logged(&store->ledger);
        set_up(store, !st);
    }
    if (st)
        timer_set(store->loop, &store->retry, loop_now_us(store->loop) + RETRY_US);
    else
        timer_clear(&store->retry);
    return st;
}

/* It is written again, but nobody waits for that any longer. */
static void give_up(struct embedded_store *store)
{
    int64_t now_us = loop_now_us(store->loop);

    LIST_EACH (node, &store->undurable) {
        struct embedded_request *request =
            container_of(node, struct embedded_request, in_undurable);

        if (!embedded_is_question(request) && now_us - request->since_us < GIVE_UP_US)
            continue;
        if (!embedded_is_question(request))
            lost(request, "the disk fails");
        list_remove(node);
        request->st = ST_UNAVAILABLE;
        answer(store, request);
    }
}

static void answer_durable(struct embedded_store *store)
{
    LIST_EACH (node, &store->undurable) {
        list_remove(node);
        answer(store, container_of(node, struct embedded_request, in_undurable));
    }
}

static void write_batch(struct embedded_store *store)
{
    if (timer_is_set(&store->retry) || list_is_empty(&store->undurable))
        return;
    if (make_durable(store) == ST_OK)
        answer_durable(store);
    else
        give_up(store);
    send_answers(store);
}

/* --- the database --- */

static int64_t drop_before_s(const struct embedded_store *store)
{
    /* A wall clock that jumped ahead drops nothing. */
    int64_t now_us = MIN(store_now_us(store), loop_wall_us(store->loop));

    return now_us / 1000000 - KEEP_ROWS_S;
}

static void put_epoch(struct db_txn *txn, void *owner)
{
    db_put_epoch(txn, ((const struct embedded_store *)owner)->saving_epoch);
}

static void begin_saving(struct embedded_store *store)
{
    store->is_saving = true;
    store->saving_epoch = embedded_log_turn(store->log);
    ledger_log_again(&store->ledger);
}

/* ST_OK: there may be more; ST_CLOSED: all is saved. */
static enum status save_some(struct embedded_store *store)
{
    enum status st = make_durable(store);

    if (!st)
        st = ledger_save_some(&store->ledger, drop_before_s(store));
    if (st != ST_CLOSED)
        return st;
    if (db_write(store->db, put_epoch, store) != ST_OK)
        return ST_UNAVAILABLE;
    embedded_log_forget(store->log, store->saving_epoch);
    store->is_saving = false;
    return ST_CLOSED;
}

static enum status save_all(struct embedded_store *store)
{
    enum status st = ST_OK;

    begin_saving(store);
    while (st == ST_OK)
        st = save_some(store);
    return st == ST_CLOSED ? ST_OK : st;
}

static void on_save(struct turn_hook *hook)
{
    struct embedded_store *store = container_of(hook, struct embedded_store, save_on);
    enum status st;

    if (timer_is_set(&store->retry) || timer_is_set(&store->save_again))
        return;
    if (!store->is_saving)
        begin_saving(store);
    st = save_some(store);
    if (st == ST_OK)
        loop_at_next_turn(store->loop, hook);
    else if (st != ST_CLOSED)
        timer_set(store->loop, &store->save_again, loop_now_us(store->loop) + SAVE_AGAIN_US);
}

static void on_save_again(struct timer *timer)
{
    struct embedded_store *store = container_of(timer, struct embedded_store, save_again);

    loop_at_turn_end(store->loop, &store->save_on);
}

/* --- the thread --- */

static void on_turn_end(struct turn_hook *hook)
{
    struct embedded_store *store = container_of(hook, struct embedded_store, write_batch);

    ledger_end_marks(&store->ledger, store_now_us(store));
    send_answers(store);
    write_batch(store);
    if (store->is_saving || embedded_log_bytes(store->log) > store->log_most_bytes)
        loop_at_next_turn(store->loop, &store->save_on);
}

static void on_retry(struct timer *timer)
{
    struct embedded_store *store = container_of(timer, struct embedded_store, retry);

    if (make_durable(store) == ST_OK)
        answer_durable(store);
    else
        give_up(store);
    send_answers(store);
}

static void on_stop(struct mail *mail)
{
    loop_stop(container_of(mail, struct embedded_store, stop)->loop);
}

static void *store_thread(void *owner)
{
    struct embedded_store *store = owner;

    /* It takes no core from a worker that has more to ask: batches are larger, and syncs fewer. */
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

static void close_files(struct embedded_store *store)
{
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
    ASSERT(
        list_is_empty(&store->undurable)); /* every worker waits for its answers before it closes */
    if (!ledger_end_all(&store->ledger, store_now_us(store)) || save_all(store) != ST_OK)
        log_event(LOG_WARN, "quota_not_saved", "store=embedded why=\"the log has it\"");
    timer_clear(&store->retry);
    timer_clear(&store->save_again);
    mailbox_free(&store->box);
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
    if (ledger_end_all(&store->ledger, store_now_us(store)) && save_all(store) == ST_OK)
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
    list_init(&store->undurable);
    list_init(&store->due);
    turn_hook_init(&store->write_batch, on_turn_end);
    turn_hook_init(&store->save_on, on_save);
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
    timer_clear(&store->retry);
    close_files(store);
no_files:
    loop_free(&store->loop);
    free(store);
    return st == ST_REFUSED ? ST_UNAVAILABLE : st;
}
