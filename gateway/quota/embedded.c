/* SPDX-License-Identifier: Apache-2.0 */
/* embedded.c - a worker's door to the embedded store.      Runs on: worker.
 * A request outlives whoever asked: a reserve that nobody waits for any more, and that went through, is settled with
 * nothing used when it returns. */

#include "quota/embedded.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define TIMEOUT_MS 2000 /* a disk may take its time */

static struct embedded_quota *embedded_of(struct quota *q)
{
    return (struct embedded_quota *)q;
}

static struct hold hold_of(const struct reservation *r)
{
    struct hold hold = {
        .id = r->id,
        .expires_us = r->expires_us,
        .images = r->held_images,
        .charges_len = (uint32_t)r->limits_len,
    };

    for (int i = 0; i < r->limits_len; i++)
        hold.charges[i] = charge_of(&r->limits[i].limit, r->held_images, r->asked_us);
    return hold;
}

static struct embedded_request *new_request(struct embedded_quota *eq, enum embedded_kind kind,
                                            const struct reservation *r)
{
    struct embedded_request *request = calloc(1, sizeof(*request));

    if (!request) {
        log_event(LOG_ERROR, "quota_lost", "store=embedded why=\"no memory\"");
        return NULL;
    }
    request->from = eq;
    request->kind = kind;
    request->hold = hold_of(r);
    list_init(&request->in_batch);
    list_init(&request->in_waiting);
    return request;
}

static void post(struct embedded_request *request)
{
    request->from->outstanding++;
    embedded_ask(request->from->store, request);
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

static void tell(const struct embedded_request *request)
{
    struct reservation *r = request->r;

    for (int i = 0; i < r->limits_len; i++)
        r->limits[i] = request->limits[i];
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
        quota_hold(q, r, request->hold.expires_us);
    if (r && request->st == ST_LIMIT)
        quota_refused(q, r, request->answer.in_hand_images, request->amends);
    wake(request, request->st);
    free(request);
}

void embedded_answered(struct mail *mail)
{
    struct embedded_request *request = container_of(mail, struct embedded_request, mail);

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
    free(request);
}

/* A question about r's limits, as they are at this time. */
static enum status ask(struct quota *q, enum embedded_kind kind, struct reservation *r,
                       const struct quota_change *change, struct op *op)
{
    struct embedded_request *request;

    r->asked_us = quota_now_us(q);
    request = new_request(embedded_of(q), kind, r);
    if (!request)
        return ST_UNAVAILABLE;
    request->hold.expires_us =
        quota_now_us(q) + (kind == EMBEDDED_AMEND ? AMEND_MEMORY_US : q->lease_us);
    if (change)
        request->change = *change;
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

static void renew(struct quota *q, struct reservation *r)
{
    struct embedded_request *request = new_request(embedded_of(q), EMBEDDED_RENEW, r);

    if (request)
        post(request);
}

/* The thread answers everything, within a few seconds even where the disk fails. */
static void quota_end(struct quota *q)
{
    struct embedded_quota *eq = embedded_of(q);

    while (eq->outstanding > 0)
        loop_run_once(q->loop, 100);
    timer_clear(&eq->patience);
    mailbox_free(&eq->box);
    free(eq);
}

static const struct quota_ops quota_ops = {
    .name = "embedded",
    .reserve = reserve,
    .commit = commit,
    .settle = settle,
    .inspect = inspect,
    .amend = amend,
    .renew = renew,
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
    timer_init(&eq->patience, on_patience);
    *out = &eq->base;
    return ST_OK;
}
