/* SPDX-License-Identifier: Apache-2.0 */
/* embedded.c - a worker's door to the embedded store.      Runs on: worker.
 * A request outlives whoever asked: a reserve that nobody waits for any more, and that went through, is settled with
 * nothing used when it returns.  What is asked in a turn goes out in one mail at its end.
 *
 * Calendar windows are chosen by the wall clock, rates and rolling windows by the store's, which never jumps. */

#include "quota/embedded.h"
#include "quota/embedded_service.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define TIMEOUT_MS 2000 /* a disk may take its time */

static struct embedded_quota *embedded_of(struct quota *q)
{
    return (struct embedded_quota *)q;
}

static int64_t store_now_us(const struct embedded_quota *eq)
{
    return loop_now_us(eq->base.loop) + eq->store->clock_offset_us;
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

static struct embedded_request *new_request(struct embedded_quota *eq, enum embedded_kind kind,
                                            const struct reservation *r)
{
    struct list *spare = list_pop_front(&eq->spare);
    struct embedded_request *request =
        spare ? container_of(spare, struct embedded_request, in_waiting) : malloc(sizeof(*request));

    if (!request) {
        log_event(LOG_ERROR, "quota_lost", "store=embedded why=\"no memory\"");
        return NULL;
    }
    request->from = eq;
    request->kind = kind;
    request->op = NULL;
    request->r = NULL;
    fill_hold(&request->hold, r);
    list_init(&request->in_undurable);
    list_init(&request->in_waiting);
    return request;
}

static void free_request(struct embedded_request *request)
{
    list_push_front(&request->from->spare, &request->in_waiting);
}

static void post(struct embedded_request *request)
{
    struct embedded_quota *eq = request->from;

    eq->outstanding++;
    embedded_chain_add(&eq->asked, request);
    loop_at_turn_end(eq->base.loop, &eq->send);
}

static void on_send(struct turn_hook *hook)
{
    struct embedded_quota *eq = container_of(hook, struct embedded_quota, send);
    struct embedded_request *first = eq->asked.first;

    eq->asked = (struct embedded_chain){0};
    embedded_ask(eq->store, first);
}

static void forget(struct embedded_request *request)
{
    list_remove(&request->in_waiting);
    request->op = NULL;
    request->r = NULL;
}

/* The op of the request is done; nobody waits for the request from here on. */
static void wake(struct embedded_request *request, enum status st)
{
    struct op *op = request->op;

    forget(request);
    if (op)
        op_done(op, st);
}

static struct embedded_request *oldest_question(struct embedded_quota *eq)
{
    LIST_EACH (node, &eq->waiting) {
        struct embedded_request *request = container_of(node, struct embedded_request, in_waiting);

        if (embedded_is_question(request))
            return request;
    }
    return NULL;
}

static void on_patience(struct timer *timer)
{
    struct embedded_quota *eq = container_of(timer, struct embedded_quota, patience);
    struct embedded_request *oldest = oldest_question(eq);

    while (oldest && oldest->deadline_us <= loop_now_us(eq->base.loop)) {
        wake(oldest, ST_UNAVAILABLE);
        oldest = oldest_question(eq);
    }
    if (oldest)
        timer_set(eq->base.loop, timer, oldest->deadline_us);
}

static void cancel(struct op *op)
{
    forget(op->callee);
}

static void wait_for(struct embedded_request *request, struct op *op, struct reservation *r)
{
    struct embedded_quota *eq = request->from;

    op->cancel = cancel;
    op->callee = request;
    request->op = op;
    request->r = r;
    list_push_back(&eq->waiting, &request->in_waiting);
    if (!embedded_is_question(request))
        return;
    request->deadline_us = loop_now_us(eq->base.loop) + eq->timeout_us;
    if (!timer_is_set(&eq->patience))
        timer_set(eq->base.loop, &eq->patience, request->deadline_us);
}

/* Times of rates and the like are the store's; people read the wall's. */
static void tell(const struct embedded_request *request)
{
    struct embedded_quota *eq = request->from;
    struct reservation *r = request->r;
    int64_t ahead_us = quota_now_us(&eq->base) - store_now_us(eq);

    for (int i = 0; i < r->limits_len; i++) {
        struct reserved_limit *l = &r->limits[i];

        *l = request->limits[i];
        if (!limit_is_calendar(l->limit.rule.kind) && !reserved_limit_is_hopeless(l))
            l->reset_us += ahead_us;
    }
}

/* It went through, and nobody wants it any more. */
static void take_back(struct embedded_request *request)
{
    request->kind = EMBEDDED_SETTLE;
    request->used_images = 0;
    request->charges_if_gone = false;
    post(request);
}

static void reserve_answered(struct embedded_request *request)
{
    struct quota *q = &request->from->base;
    struct reservation *r = request->r;

    if (!r && request->st == ST_OK) {
        take_back(request);
        return;
    }
    if (r && (request->st == ST_OK || request->st == ST_LIMIT)) {
        tell(request);
        r->refused_by = request->answer.refused_by;
    }
    if (r && request->st == ST_OK)
        quota_hold(q, r, quota_now_us(q) + q->lease_us);
    if (r && request->st == ST_LIMIT)
        quota_refused(q, r, request->answer.in_hand_images, request->amends);
    wake(request, request->st);
    free_request(request);
}

static void answered(struct embedded_request *request)
{
    request->from->outstanding--;
    if (request->kind == EMBEDDED_RESERVE) {
        reserve_answered(request);
        return;
    }
    if (request->kind == EMBEDDED_AMEND)
        quota_store_amended(&request->from->store->base);
    if (request->r && request->st == ST_OK)
        tell(request);
    wake(request, request->st);
    free_request(request);
}

void embedded_answered(struct mail *mail)
{
    struct embedded_request *request = container_of(mail, struct embedded_request, mail);

    while (request) {
        struct embedded_request *next = request->next;

        answered(request);
        request = next;
    }
}

/* A question about r's limits, as they are at this time. */
static enum status ask(struct quota *q, enum embedded_kind kind, struct reservation *r,
                       const struct quota_change *change, struct op *op)
{
    struct embedded_request *request;

    r->asked_us = store_now_us(embedded_of(q));
    request = new_request(embedded_of(q), kind, r);
    if (!request)
        return ST_UNAVAILABLE;
    if (change) {
        request->change = *change;
        request->hold.expires_us = store_now_us(embedded_of(q)) + AMEND_MEMORY_US;
    }
    request->amends = quota_amends(q);
    memcpy(request->limits, r->limits, (size_t)r->limits_len * sizeof(r->limits[0]));
    wait_for(request, op, r);
    post(request);
    return ST_PENDING;
}

static enum status reserve(struct quota *q, struct reservation *r, struct op *op)
{
    return ask(q, EMBEDDED_RESERVE, r, NULL, op);
}

static enum status inspect(struct quota *q, struct reservation *r, struct op *op)
{
    return ask(q, EMBEDDED_INSPECT, r, NULL, op);
}

static enum status amend(struct quota *q, struct reservation *r, const struct quota_change *change,
                         struct op *op)
{
    return ask(q, EMBEDDED_AMEND, r, change, op);
}

/* Before any state changes: what the ledger is to do should the hold have expired. */
static struct embedded_request *new_settle(struct quota *q, struct reservation *r,
                                           int64_t used_images)
{
    struct embedded_request *request = new_request(embedded_of(q), EMBEDDED_SETTLE, r);
    bool charges_if_gone = r->state == RESERVATION_HELD;

    (void)reservation_settle(r, used_images);
    if (!request)
        return NULL;
    request->charges_if_gone = charges_if_gone;
    request->used_images = r->used_images;
    return request;
}

static struct embedded_request *new_commit(struct quota *q, struct reservation *r)
{
    if (r->state == RESERVATION_HELD)
        reservation_commit(r);
    r->expires_us = quota_now_us(q) + q->lease_us;
    return new_request(embedded_of(q), EMBEDDED_COMMIT, r);
}

static enum status commit(struct quota *q, struct reservation *r, int64_t used_images,
                          struct op *op)
{
    struct embedded_request *request =
        used_images >= 0 ? new_settle(q, r, used_images) : new_commit(q, r);

    if (!request)
        return ST_UNAVAILABLE;
    wait_for(request, op, NULL);
    post(request);
    return ST_PENDING;
}

static void settle(struct quota *q, struct reservation *r, int64_t used_images)
{
    struct embedded_request *request = new_settle(q, r, used_images);

    if (request)
        post(request);
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

    while (eq->outstanding > 0)
        loop_run_once(q->loop, 100);
    timer_clear(&eq->patience);
    mailbox_free(&eq->box);
    LIST_EACH (node, &eq->spare)
        free(container_of(node, struct embedded_request, in_waiting));
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
    list_init(&eq->waiting);
    list_init(&eq->spare);
    list_init(&eq->in_due);
    turn_hook_init(&eq->send, on_send);
    timer_init(&eq->patience, on_patience);
    *out = &eq->base;
    return ST_OK;
}
