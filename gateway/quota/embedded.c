/* SPDX-License-Identifier: Apache-2.0 */
/* embedded.c - a worker's door to the embedded store.      Runs on: worker.
 * The worker decides itself, so a reserve is answered at once.  What commits and settles changed is handed to the kernel
 * with one write at the end of the turn, and is durable a little later; a commit that is to be acknowledged, and whatever
 * an operator changes, waits for that.  What is only held need not be written before something else is (ledger.h).
 *
 * Calendar windows are chosen by the wall clock, rates and rolling windows by the store's, which never jumps. */

#include "quota/embedded.h"
#include "quota/embedded_service.h"

#include <stdlib.h>

#include "base/log.h"

#define TIMEOUT_MS 2000 /* a disk may take its time */
#define TIDY_LOOKS 4    /* a reserve */

static struct embedded_quota *embedded_of(struct quota *q)
{
    return (struct embedded_quota *)q;
}

static int64_t store_now_us(const struct embedded_quota *eq)
{
    return loop_now_us(eq->base.loop) + eq->store->clock_offset_us;
}

static bool is_up(const struct embedded_quota *eq)
{
    return atomic_load_explicit(&eq->store->is_up, memory_order_relaxed);
}

static void fill_hold(struct hold *hold, const struct reservation *r)
{
    hold->id = r->id;
    hold->expires_us = 0;
    hold->images = r->held_images;
    hold->is_committed = false;
    hold->charges_len = (uint32_t)r->limits_len;
    for (int i = 0; i < r->limits_len; i++)
        hold->charges[i] = charge_of(&r->limits[i].limit, r->held_images, r->asked_us);
}

/* --- questions --- */

/* Times of rates and the like are the store's; people read the wall's. */
static void tell(struct embedded_quota *eq, struct reservation *r)
{
    int64_t ahead_us = quota_now_us(&eq->base) - store_now_us(eq);

    for (int i = 0; i < r->limits_len; i++) {
        struct reserved_limit *l = &r->limits[i];

        if (!limit_is_calendar(l->limit.rule.kind) && !reserved_limit_is_hopeless(l))
            l->reset_us += ahead_us;
    }
}

static enum status reserve_in(struct embedded_store *store, const struct hold *hold,
                              struct reservation *r, struct ledger_answer *out)
{
    int64_t now_us = embedded_lock(store, r->asked_us);
    enum status st = ledger_reserve(&store->ledger, hold, r->limits, now_us, out);

    if (store->ledger.subjects_by_digest.len > store->ledger.subjects_most)
        table_tidy(&store->ledger, TIDY_LOOKS);
    embedded_unlock(store);
    return st;
}

static enum status reserve(struct quota *q, struct reservation *r, struct op *op)
{
    struct embedded_quota *eq = embedded_of(q);
    unsigned amends = quota_amends(q);
    struct ledger_answer answer;
    struct hold hold;
    enum status st;

    UNUSED(op);
    if (!is_up(eq))
        return ST_UNAVAILABLE;
    r->asked_us = store_now_us(eq);
    fill_hold(&hold, r);
    st = reserve_in(eq->store, &hold, r, &answer);
    if (st != ST_OK && st != ST_LIMIT)
        return st;
    tell(eq, r);
    r->refused_by = answer.refused_by;
    if (st == ST_OK)
        quota_hold(q, r, quota_now_us(q) + q->lease_us);
    else
        quota_refused(q, r, answer.in_hand_images, amends);
    return st;
}

static enum status inspect(struct quota *q, struct reservation *r, struct op *op)
{
    struct embedded_quota *eq = embedded_of(q);
    struct hold hold;
    enum status st;

    UNUSED(op);
    if (!is_up(eq))
        return ST_UNAVAILABLE;
    r->asked_us = store_now_us(eq);
    fill_hold(&hold, r);

    int64_t now_us = embedded_lock(eq->store, r->asked_us);

    st = ledger_inspect(&eq->store->ledger, &hold, r->limits, now_us);
    embedded_unlock(eq->store);
    if (!st)
        tell(eq, r);
    return st;
}

/* --- what is to outlive the process --- */

/* Until then: the record that says what the caller decided. */
static enum status wait_until(struct embedded_quota *eq, uint64_t record, struct op *op,
                              bool is_question)
{
    const struct embedded_wait wait = {
        .op = op,
        .until = record,
        .since_us = loop_now_us(eq->base.loop),
        .needs_sync = is_question || eq->waits_for_sync,
        .is_question = is_question,
    };
    enum status st = embedded_wait(eq, &wait);

    loop_at_turn_end(eq->base.loop, &eq->write);
    return st ? st : ST_PENDING;
}

static void on_turn_end(struct turn_hook *hook)
{
    struct embedded_quota *eq = container_of(hook, struct embedded_quota, write);
    struct embedded_store *store = eq->store;

    if (embedded_write(store, &eq->written) == ST_OK)
        embedded_ask(store, &store->sync_later);
    embedded_wait_tell(eq);
    if (eq->waits.len > 0)
        embedded_ask(store, &store->sync_now);
}

static enum status amend(struct quota *q, struct reservation *r, const struct quota_change *change,
                         struct op *op)
{
    struct embedded_quota *eq = embedded_of(q);
    struct embedded_store *store = eq->store;
    struct hold hold;

    if (!is_up(eq))
        return ST_UNAVAILABLE;
    r->asked_us = store_now_us(eq);
    fill_hold(&hold, r);
    hold.expires_us = r->asked_us + AMEND_MEMORY_US;

    int64_t now_us = embedded_lock(store, r->asked_us);
    enum status st = ledger_amend(&store->ledger, &hold, change, r->limits, now_us);
    uint64_t record = embedded_record(store);

    embedded_unlock(store);
    if (st)
        return st;
    quota_store_amended(&store->base);
    tell(eq, r);
    return wait_until(eq, record, op, true);
}

static void lost(const char *what)
{
    log_event(LOG_ERROR, "quota_lost", "store=embedded what=%s why=\"no memory\"", what);
}

static enum status settle_in(struct embedded_quota *eq, struct reservation *r, int64_t used_images,
                             uint64_t *out_record)
{
    struct embedded_store *store = eq->store;
    bool charges_if_gone = r->state == RESERVATION_HELD;
    struct hold hold;

    fill_hold(&hold, r);
    (void)reservation_settle(r, used_images);

    int64_t now_us = embedded_lock(store, store_now_us(eq));
    enum status st = ledger_settle(&store->ledger, &hold, r->used_images, charges_if_gone, now_us);

    *out_record = embedded_record(store);
    embedded_unlock(store);
    if (st)
        lost("settle");
    return st;
}

static enum status commit_in(struct embedded_quota *eq, struct reservation *r, uint64_t *out_record)
{
    struct embedded_store *store = eq->store;
    struct hold hold;

    fill_hold(&hold, r);
    if (r->state == RESERVATION_HELD)
        reservation_commit(r);
    r->expires_us = quota_now_us(&eq->base) + eq->base.lease_us;

    int64_t now_us = embedded_lock(store, store_now_us(eq));
    enum status st = ledger_commit(&store->ledger, &hold, now_us);

    *out_record = embedded_record(store);
    embedded_unlock(store);
    if (st)
        lost("commit");
    return st;
}

static enum status commit(struct quota *q, struct reservation *r, int64_t used_images,
                          struct op *op)
{
    struct embedded_quota *eq = embedded_of(q);
    uint64_t record;
    enum status st =
        used_images >= 0 ? settle_in(eq, r, used_images, &record) : commit_in(eq, r, &record);

    return st ? st : wait_until(eq, record, op, false);
}

static void settle(struct quota *q, struct reservation *r, int64_t used_images)
{
    struct embedded_quota *eq = embedded_of(q);
    uint64_t record;

    if (settle_in(eq, r, used_images, &record) == ST_OK)
        loop_at_turn_end(q->loop, &eq->write);
}

/* Nobody stands in for a store in this process's own folder. */
static void adopt(struct quota *q, struct reservation *r)
{
    UNUSED(q);
    UNUSED(r);
    ASSERT(!"an embedded store that was down");
}

/* What a living process holds has no lease; see ledger.h. */
static void renew(struct quota *q, struct reservation *r)
{
    UNUSED(q);
    UNUSED(r);
}

/* The folder is this process's alone: there is nobody to tell. */
static void keep_to_itself(struct quota *q, const struct quota_note *note)
{
    UNUSED(q);
    UNUSED(note);
}

static enum status read_nothing(struct quota *q, struct quota_reading *reading, struct op *op)
{
    UNUSED(q);
    UNUSED(reading);
    UNUSED(op);
    return ST_OK;
}

/* The thread answers everything, within a few seconds even where the disk fails. */
static void quota_end(struct quota *q)
{
    struct embedded_quota *eq = embedded_of(q);

    on_turn_end(&eq->write);
    while (eq->outstanding > 0 || eq->waits.len > 0)
        loop_run_once(q->loop, 100);
    turn_hook_cancel(&eq->write);
    embedded_leave(eq->store, eq);
    mailbox_free(&eq->box);
    embedded_wait_fini(eq);
    free(eq);
}

static const struct quota_ops quota_ops = {
    .name = "embedded",
    .reserve = reserve,
    .commit = commit,
    .settle = settle,
    .inspect = inspect,
    .amend = amend,
    .adopt = adopt,
    .claim = embedded_claim,
    .renew = renew,
    .post = keep_to_itself,
    .read_board = read_nothing,
    .close = quota_end,
};

enum status embedded_open(struct quota_store *store, struct loop *loop, const struct config *config,
                          struct quota **out)
{
    struct embedded_quota *eq = calloc(1, sizeof(*eq));
    enum status st;

    if (!eq)
        return ST_NOMEM;
    st = mailbox_new(loop, &eq->box);
    if (st) {
        free(eq);
        return st;
    }
    quota_init(&eq->base, &quota_ops, store, loop, config->lease_ms * 1000);
    eq->store = (struct embedded_store *)store;
    eq->timeout_us = (config->quota_timeout_ms ? config->quota_timeout_ms : TIMEOUT_MS) * 1000;
    eq->waits_for_sync = config->commit == COMMIT_ACKNOWLEDGED;
    turn_hook_init(&eq->write, on_turn_end);
    embedded_wait_init(eq);
    embedded_join(eq->store, eq);
    *out = &eq->base;
    return ST_OK;
}
