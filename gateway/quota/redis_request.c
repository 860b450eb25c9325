/* SPDX-License-Identifier: Apache-2.0 */
/* redis_request.c - a request's way to Redis and back, also over links that break.      Runs on: worker.
 * Commits and settles are never given up: lost with the link, they go to disk and are sent again, in order, before
 * anything else.  So is a reserve, as long as somebody waits for it: its token makes it one hold.  One that was given up
 * is settled with nothing used, should it have gone through. */

#include "quota/redis.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "quota/row.h"

#define ROUNDS_MAX  256
#define COMPLAIN_US INT64_C(1000000)
#define ASK_AGAIN   (-3)

static void on_done(struct redis_call *call, const redisReply *reply);

struct redis_request *redis_request_new(struct redis_quota *rq, enum redis_request_kind kind)
{
    struct redis_request *request = calloc(1, sizeof(*request));

    if (!request) {
        log_event(LOG_ERROR, "quota_lost", "store=redis why=\"no memory\"");
        return NULL;
    }
    request->from = rq;
    request->kind = kind;
    request->call.done = on_done;
    list_init(&request->call.link);
    list_init(&request->in_unsent);
    list_init(&request->in_ops);
    return request;
}

static void forget(struct redis_request *request)
{
    list_remove(&request->in_ops);
    request->op = NULL;
    request->r = NULL;
}

/* Nobody waits for the request from here on. */
static void wake(struct redis_request *request, enum status st)
{
    struct op *op = request->op;

    forget(request);
    if (op)
        op_done(op, st);
}

/* --- out --- */

static void transmit(struct redis_request *request)
{
    request->is_sent = true;
    redis_request_write(request);
    redis_link_end(&request->from->link, &request->call);
}

/* --- kept for later --- */

static void keep(struct redis_request *request)
{
    struct redis_quota *rq = request->from;

    request->record.was_sent = request->record.was_sent || request->is_sent;
    request->is_sent = false;
    list_push_back(&rq->unsent, &request->in_unsent);
    if (!rq->outbox || request->is_on_disk || !outbox_add(rq->outbox, &request->record))
        return;
    request->is_on_disk = true;
    rq->on_disk++;
}

/* What is not worth a place on disk: a lease covers its loss. */
static void hand_over(struct redis_request *request)
{
    if (redis_link_is_up(&request->from->link))
        transmit(request);
    else
        list_push_back(&request->from->unsent, &request->in_unsent);
}

/* A reserve that is not on its way, and that nobody wants any more.  If the link was lost with it, it may have gone
 * through, and must not stay until its lease ends. */
static void drop_reserve(struct redis_request *reserve)
{
    struct redis_request *settle = NULL;

    if (reserve->record.was_sent)
        settle = redis_request_new(reserve->from, REQUEST_END);
    if (settle) {
        settle->record.handle = reserve->record.handle;
        settle->record.kind = OUTBOX_SETTLE;
        hand_over(settle);
    }
    free(reserve);
}

static void cancel(struct op *op)
{
    struct redis_request *request = op->callee;

    forget(request);
    if (request->kind == REQUEST_RESERVE && !request->is_sent)
        drop_reserve(request);
}

void redis_request_wait(struct redis_request *request, struct op *op)
{
    op->cancel = cancel;
    op->callee = request;
    request->op = op;
    list_push_back(&request->from->ops, &request->in_ops);
}

static void end(struct redis_request *request)
{
    struct redis_quota *rq = request->from;

    if (request->is_on_disk && --rq->on_disk == 0)
        outbox_clear(rq->outbox);
    wake(request, ST_OK);
    free(request);
}

static void lost(struct redis_request *request)
{
    switch (request->kind) {
    case REQUEST_RESERVE:
        request->is_sent = false;
        request->record.was_sent = true;
        if (!request->op)
            drop_reserve(request);
        return; /* who waits for it waits on for the link, or is told when all calls are accounted for */
    case REQUEST_RENEW:
        free(request); /* all leases are renewed when the link is up again */
        return;
    case REQUEST_END:
        keep(request);
        return;
    case REQUEST_NONE:
        ASSERT(false);
    }
}

/* --- replies --- */

static void fail_reserve(struct redis_request *request)
{
    wake(request, ST_UNAVAILABLE);
    drop_reserve(request);
}

static void send_again(struct redis_request *request)
{
    if (request->kind == REQUEST_RESERVE && !request->r)
        free(request); /* nothing is held, and nobody wants it any more */
    else if (++request->rounds <= ROUNDS_MAX)
        transmit(request);
    else if (request->kind == REQUEST_RESERVE)
        fail_reserve(request);
    else
        end(request);
}

/* The reservation that waits learns how its limits stand: used[i] in grains. */
static void tell_used(struct reservation *r, const redisReply *reply)
{
    for (int i = 0; i < r->limits_len; i++) {
        const redisReply *used = reply->type == REDIS_REPLY_ARRAY ? reply->element[1 + i] : reply;

        r->limits[i].used_units = units_of(used->integer);
    }
}

static bool is_reserve_reply(const redisReply *reply, int limits_len)
{
    if (reply->type == REDIS_REPLY_INTEGER)
        return limits_len == 1;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != (size_t)limits_len + 1)
        return false;
    for (size_t i = 0; i < reply->elements; i++)
        if (reply->element[i]->type != REDIS_REPLY_INTEGER)
            return false;
    return reply->element[0]->integer == ASK_AGAIN ||
           (reply->element[0]->integer >= 0 && reply->element[0]->integer <= limits_len);
}

static void reserve_answered(struct redis_request *request, const redisReply *reply)
{
    struct reservation *r = request->r;
    bool is_held = reply->type == REDIS_REPLY_INTEGER || reply->element[0]->integer == 0;

    if (!is_held && reply->element[0]->integer == ASK_AGAIN) {
        send_again(request);
        return;
    }
    if (!r) { /* nobody wants it any more */
        if (is_held) {
            request->kind = REQUEST_END;
            request->record.kind = OUTBOX_SETTLE;
            transmit(request);
        } else {
            free(request);
        }
        return;
    }
    tell_used(r, reply);
    if (is_held)
        quota_hold(&request->from->base, r, request->record.expires_us);
    else
        r->refused_by = (int)reply->element[0]->integer - 1;
    wake(request, is_held ? ST_OK : ST_LIMIT);
    free(request);
}

/* The settle of the same hold, if it was sent after this commit. */
static struct redis_request *settle_behind(const struct redis_request *commit)
{
    const struct redis_link *link = &commit->from->link;

    LIST_EACH (node, &link->calls) {
        struct redis_call *call = container_of(node, struct redis_call, link);
        struct redis_request *request = container_of(call, struct redis_request, call);

        if (call->done == on_done && request->kind == REQUEST_END &&
            request->record.kind == OUTBOX_SETTLE &&
            redis_token_id(&request->record.handle) == redis_token_id(&commit->record.handle))
            return request;
    }
    return NULL;
}

/* The hold had expired and was given back, but its images were made: it is charged again. */
static void revive(struct redis_request *request)
{
    struct redis_request *settle =
        request->record.kind == OUTBOX_COMMIT ? settle_behind(request) : NULL;

    if (settle) {
        settle->record.charges_if_gone = settle->record.used_grains > 0;
        end(request);
        return;
    }
    log_event(LOG_NOTE, "quota_charged_again", "store=redis why=\"its lease had ended\"");
    request->is_reviving = true;
    transmit(request);
}

static void end_answered(struct redis_request *request, const redisReply *reply)
{
    bool is_revived = request->is_reviving;

    request->is_reviving = false;
    if (is_revived && request->record.kind == OUTBOX_SETTLE) {
        request->record.charges_if_gone = false;
        transmit(request);
    } else if (!is_revived && reply->integer == 0 && request->record.charges_if_gone &&
               !request->record.was_sent) {
        revive(request);
    } else {
        end(request);
    }
}

static void complain(struct redis_quota *rq, const char *error)
{
    int64_t now_us = loop_now_us(rq->base.loop);

    if (now_us - rq->complained_us < COMPLAIN_US)
        return;
    rq->complained_us = now_us;
    log_event(LOG_ERROR, "quota_error", "store=redis reply=\"%s\"", error);
}

static void refused(struct redis_request *request, const char *error)
{
    struct redis_quota *rq = request->from;

    if (strncmp(error, "NOSCRIPT", 8) == 0) {
        redis_link_load_scripts(&rq->link);
        send_again(request);
        return;
    }
    if (redis_error_is_down(error)) {
        lost(request);
        redis_link_give_up(&rq->link, error);
        return;
    }
    complain(rq, error);
    if (request->kind == REQUEST_RESERVE)
        fail_reserve(request);
    else
        end(request);
}

static void on_done(struct redis_call *call, const redisReply *reply)
{
    struct redis_request *request = container_of(call, struct redis_request, call);

    if (!reply) {
        lost(request);
        return;
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        refused(request, reply->str);
        return;
    }
    if (request->kind == REQUEST_RESERVE &&
        is_reserve_reply(reply, redis_token_windows(&request->record.handle)))
        reserve_answered(request, reply);
    else if (request->kind == REQUEST_RENEW)
        free(request);
    else if (request->kind == REQUEST_END && reply->type == REDIS_REPLY_INTEGER)
        end_answered(request, reply);
    else
        refused(request, "a reply of another kind than expected");
}

static void on_written(struct redis_call *call)
{
    wake(container_of(call, struct redis_request, call), ST_OK);
}

/* --- all of them --- */

void redis_request_launch(struct redis_request *request)
{
    struct redis_quota *rq = request->from;

    if (request->kind == REQUEST_END && request->op && !rq->waits_for_reply)
        request->call.written = on_written;
    if (redis_link_is_up(&rq->link))
        transmit(request);
    else if (request->kind == REQUEST_END)
        keep(request);
    else if (request->kind == REQUEST_RENEW)
        free(request);
}

void redis_request_resume(struct redis_quota *rq, const struct outbox_record *record)
{
    struct redis_request *request = redis_request_new(rq, REQUEST_END);

    if (!request)
        return;
    request->record = *record;
    request->is_on_disk = true;
    rq->on_disk++;
    list_push_back(&rq->unsent, &request->in_unsent);
}

void redis_requests_send(struct redis_quota *rq)
{
    if (rq->on_disk > 0)
        outbox_mark_sent(rq->outbox);
    for (struct list *node = list_pop_front(&rq->unsent); node; node = list_pop_front(&rq->unsent))
        transmit(container_of(node, struct redis_request, in_unsent));
    LIST_EACH (node, &rq->ops) {
        struct redis_request *request = container_of(node, struct redis_request, in_ops);

        if (request->kind == REQUEST_RESERVE && !request->is_sent)
            transmit(request);
    }
}

/* Is there nothing more to wait for? */
static bool is_told_now(const struct redis_request *request)
{
    const struct redis_quota *rq = request->from;

    return request->kind == REQUEST_END || rq->is_closing || redis_link_is_refusing(&rq->link);
}

static struct redis_request *first_to_tell(struct redis_quota *rq)
{
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what was freed has left the ring, which it does not see */
    LIST_EACH (node, &rq->ops) {
        struct redis_request *request = container_of(node, struct redis_request, in_ops);

        if (is_told_now(request))
            return request;
    }
    return NULL;
}

void redis_requests_lost(struct redis_quota *rq)
{
    for (struct redis_request *request = first_to_tell(rq); request; request = first_to_tell(rq)) {
        if (request->kind == REQUEST_END)
            wake(request, ST_OK); /* it is kept, on disk where that works */
        else
            fail_reserve(request);
    }
}

bool redis_requests_are_due(const struct redis_quota *rq)
{
    if (!list_is_empty(&rq->link.calls) || !list_is_empty(&rq->ops))
        return true;
    LIST_EACH (node, &rq->unsent)
        if (!container_of(node, struct redis_request, in_unsent)->is_on_disk)
            return true;
    return false;
}

void redis_requests_free(struct redis_quota *rq)
{
    int forgotten = 0;

    LIST_EACH (node, &rq->unsent) {
        struct redis_request *request = container_of(node, struct redis_request, in_unsent);

        list_remove(node);
        forgotten += !request->is_on_disk;
        free(request);
    }
    if (forgotten > 0)
        log_event(LOG_ERROR, "quota_lost", "store=redis commits_and_settles=%d", forgotten);
}
