/* SPDX-License-Identifier: Apache-2.0 */
/* redis_request.c - a request's way to Redis and back, also over links that break.      Runs on: worker.
 * Commits and settles are never given up: lost with the link, they go to disk and are sent again, in order, before
 * anything else.  So is a question, as long as somebody waits for it: its token makes it one hold, or one amend.  A
 * reserve that was given up is settled with nothing used, should it have gone through. */

#include "quota/redis.h"

#include <string.h>

#include "base/log.h"

#define ROUNDS_MAX  256
#define COMPLAIN_US INT64_C(1000000)

static void on_done(struct redis_call *call, const redisReply *reply);

struct redis_request *redis_request_new(struct redis_quota *rq, enum redis_request_kind kind)
{
    struct redis_request *request = shelf_take(&rq->requests);

    if (!request) {
        log_event(LOG_ERROR, "quota_lost", "store=redis why=\"no memory\"");
        return NULL;
    }
    memset(request, 0, offsetof(struct redis_request, earlier));
    request->from = rq;
    request->kind = kind;
    request->call.done = on_done;
    request->sure_until_us = INT64_MAX;
    list_init(&request->call.link);
    list_init(&request->in_unsent);
    list_init(&request->in_ops);
    return request;
}

void redis_request_free(struct redis_request *request)
{
    shelf_give(&request->from->requests, request);
}

static bool is_question(const struct redis_request *request)
{
    return request->kind == REQUEST_RESERVE || request->kind == REQUEST_ASK ||
           request->kind == REQUEST_CLAIM;
}

static void forget(struct redis_request *request)
{
    list_remove(&request->in_ops);
    request->op = NULL;
    request->r = NULL;
    request->claim = NULL;
}

/* The op waits on for the other part's request. */
static void hand_op_on(struct redis_request *request)
{
    struct redis_request *partner = request->partner;
    struct reservation *r = request->r;
    struct op *op = request->op;

    partner->partner = NULL;
    request->partner = NULL;
    if (!op)
        return;
    forget(request);
    redis_request_wait(partner, op);
    partner->r = r;
}

/* Nobody waits for the request from here on. */
static void wake(struct redis_request *request, enum status st)
{
    if (request->partner)
        hand_op_on(request);

    struct op *op = request->op;

    if (request->is_late && request->r && st != ST_OK)
        redis_late_refused(request->from, request->r);
    forget(request);
    if (op)
        op_done(op, st);
}

/* --- out --- */

static struct redis_link *link_of(const struct redis_request *request)
{
    return redis_route_link(&request->from->route, request->record.handle.bucket);
}

/* A question about a layout that is not known to be Redis's could be counted in the wrong bucket. */
static bool may_send(const struct redis_request *request, const struct redis_link *link)
{
    return redis_link_is_up(link) &&
           (!is_question(request) || request->from->layout_state == LAYOUT_SAME);
}

/* Waiting for the link is no use. */
static bool is_hopeless(const struct redis_request *request, const struct redis_link *link)
{
    return redis_link_is_refusing(link) || redis_layout_is_refusing(request->from);
}

/* Where it goes now: a Cluster may have sent it elsewhere. */
static struct redis_link *next_link(struct redis_request *request, bool *out_asks)
{
    *out_asks = false;
    if (!request->is_redirected)
        return link_of(request);
    return redis_route_resend_link(&request->from->route, request->record.handle.bucket,
                                   &request->call, out_asks);
}

/* asks: the link is only being given the bucket's slot. */
static void transmit(struct redis_request *request, struct redis_link *link, bool asks)
{
    if (asks)
        redis_link_ask(link);
    request->is_redirected = false;
    request->is_replicating = false;
    request->is_sent = true;
    request->from->on_way++;
    if (request->kind == REQUEST_RESERVE)
        redis_reserve_set_out(request);
    request->is_in_batch = redis_batch_take(request, link);
    if (request->is_in_batch)
        return;
    redis_request_write(request, link);
    redis_link_end(link, &request->call);
}

/* --- kept for later --- */

/* On disk, where that works. */
static void save(struct redis_request *request)
{
    struct redis_quota *rq = request->from;

    if (!rq->outbox || request->is_on_disk || !outbox_add(rq->outbox, &request->record))
        return;
    request->is_on_disk = true;
    rq->on_disk++;
}

static void keep(struct redis_request *request)
{
    request->record.was_sent = request->record.was_sent || request->is_sent;
    request->is_sent = false;
    request->is_reviving = false;
    list_push_back(redis_request_place(request), &request->in_unsent);
    save(request);
}

/* What is not worth a place on disk: a lease covers its loss. */
static void hand_over(struct redis_request *request)
{
    struct redis_link *link = link_of(request);

    if (redis_link_is_up(link) && !redis_request_is_behind(request))
        transmit(request, link, false);
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
    redis_part_give_back(reserve);
    redis_request_free(reserve);
}

static void drop_question(struct redis_request *request)
{
    if (request->kind == REQUEST_RESERVE)
        drop_reserve(request);
    else
        redis_request_free(request);
}

static void cancel(struct op *op)
{
    struct redis_request *request = op->callee;

    forget(request);
    if (is_question(request) && !request->is_sent)
        drop_question(request);
    else
        redis_part_give_back(request);
}

void redis_request_wait(struct redis_request *request, struct op *op)
{
    op->cancel = cancel;
    op->callee = request;
    request->op = op;
    list_push_back(&request->from->ops, &request->in_ops);
}

void redis_request_end(struct redis_request *request)
{
    struct redis_quota *rq = request->from;

    if (request->is_on_disk && --rq->on_disk == 0)
        outbox_clear(rq->outbox);
    wake(request, ST_OK);
    redis_request_ended(request);
    redis_request_free(request);
}

static void lost(struct redis_request *request)
{
    request->is_redirected = false;
    switch (request->kind) {
    case REQUEST_RESERVE:
    case REQUEST_ASK:
    case REQUEST_CLAIM:
        request->is_sent = false;
        request->record.was_sent = true;
        if (!request->op)
            drop_question(request);
        return; /* who waits for it waits on for the link, or is told when all calls are accounted for */
    case REQUEST_RENEW:
        redis_renewal_ended(request, NULL); /* all leases are renewed when the link is up again */
        return;
    case REQUEST_END:
        keep(request);
        return;
    case REQUEST_POLL:
        redis_poll_ended(request);
        return;
    case REQUEST_NONE:
        ASSERT(false);
    }
}

/* --- replies --- */

static void fail_question(struct redis_request *request)
{
    wake(request, ST_UNAVAILABLE);
    drop_question(request);
}

/* Until a link that can take it is ready. */
static void park(struct redis_request *request)
{
    request->is_sent = false;
    if (request->kind == REQUEST_END)
        keep(request);
    else if (request->kind == REQUEST_RENEW)
        redis_renewal_ended(request, NULL);
    else if (request->kind == REQUEST_POLL)
        redis_poll_ended(request);
    else if (!request->op)
        drop_question(request);
}

/* As far as there is a link to send it over. */
void redis_request_go(struct redis_request *request)
{
    bool asks;
    struct redis_link *link = next_link(request, &asks);

    if (may_send(request, link) && !redis_request_is_behind(request))
        transmit(request, link, asks);
    else if (is_question(request) && is_hopeless(request, link))
        fail_question(request);
    else
        park(request);
}

/* To another node: the route ends what would go on for ever. */
static void resend(struct redis_request *request)
{
    request->is_redirected = true;
    if (is_question(request) && !request->op)
        redis_request_free(request); /* nothing is held, and nobody wants it any more */
    else
        redis_request_go(request);
}

static void send_again(struct redis_request *request)
{
    request->is_alone = true;
    if (is_question(request) && !request->op)
        drop_question(request);
    else if (++request->rounds <= ROUNDS_MAX)
        redis_request_go(request);
    else if (is_question(request))
        fail_question(request);
    else if (request->kind == REQUEST_END)
        redis_request_end(request);
    else
        park(request);
}

/* Nobody wants what it asked for any more. */
static void unwanted(struct redis_request *request, const struct redis_answer *answer)
{
    bool may_be_held =
        answer->verdict == 0 || (answer->verdict == REDIS_ASK_AGAIN && request->record.was_sent);

    if (request->kind == REQUEST_RESERVE && may_be_held) {
        request->kind = REQUEST_END;
        request->record.kind = OUTBOX_SETTLE;
        redis_request_go(request);
    } else {
        redis_request_free(request);
    }
}

static void question_answered(struct redis_request *request, const struct redis_answer *answer)
{
    enum status st = ST_OK;

    if (!request->r) {
        unwanted(request, answer);
        return;
    }
    switch (redis_part_answered(request, answer, &st)) {
    case NEXT_PART:
        redis_request_go(request);
        return;
    case NEXT_AGAIN:
        send_again(request);
        return;
    case NEXT_DONE:
        wake(request, st);
        redis_request_free(request);
        return;
    }
}

static void told(struct redis_request *request, enum status st)
{
    wake(request, st);
    redis_request_free(request);
}

/* The announcement went through; the others hear of it when they ask, this process now. */
static void announced(struct redis_request *request)
{
    quota_store_amended(request->from->base.store);
    told(request, ST_OK);
}

static void complain(struct redis_quota *rq, const char *error)
{
    int64_t now_us = loop_now_us(rq->base.loop);

    if (now_us - rq->complained_us < COMPLAIN_US)
        return;
    rq->complained_us = now_us;
    log_event(LOG_ERROR, "quota_error", "store=redis reply=\"%s\"", error);
}

static void reject(struct redis_request *request, const char *error)
{
    if (request->is_in_batch) { /* it may be about another one, and come when this one was held */
        request->record.was_sent = true;
        send_again(request);
        return;
    }
    complain(request->from, error);
    if (is_question(request))
        fail_question(request);
    else if (request->kind == REQUEST_END)
        redis_request_end(request);
    else
        park(request);
}

static void refused(struct redis_request *request, const char *error)
{
    struct redis_quota *rq = request->from;
    struct redis_link *link = request->call.of;

    if (strncmp(error, "NOSCRIPT", 8) == 0) {
        redis_link_load_scripts(link);
        send_again(request);
        return;
    }
    switch (redis_route_error(&rq->route, link, &request->call, error)) {
    case ROUTE_RESEND:
        resend(request);
        return;
    case ROUTE_LATER:
        park(request);
        return;
    case ROUTE_NOWHERE:
        if (is_question(request))
            fail_question(request);
        else
            park(request);
        return;
    case ROUTE_DOWN:
        request->is_sent = false; /* it was not done */
        lost(request);
        redis_link_give_up(link, error);
        return;
    case ROUTE_NONE:
    case ROUTE_ERROR:
        reject(request, error);
        return;
    }
}

static void answered(struct redis_request *request, const redisReply *reply)
{
    struct redis_answer answer;

    if (request->kind == REQUEST_POLL)
        redis_poll_answered(request, reply);
    else if (request->kind == REQUEST_RENEW)
        redis_renewal_ended(request, reply);
    else if (request->kind == REQUEST_ASK && request->is_announcing)
        announced(request);
    else if (request->kind == REQUEST_CLAIM)
        told(request, redis_claim_answered(request, reply));
    else if (request->kind == REQUEST_END && reply->type == REDIS_REPLY_INTEGER)
        redis_end_answered(request, reply);
    else if (is_question(request) && redis_answer_read(reply, request->limits_len, &answer))
        question_answered(request, &answer);
    else
        reject(request, "a reply of another kind than expected");
}

static void on_done(struct redis_call *call, const redisReply *reply)
{
    struct redis_request *request = container_of(call, struct redis_request, call);

    request->from->on_way--;
    if (!reply)
        lost(request);
    else if (request->is_replicating)
        redis_request_end(request);
    else if (reply->type == REDIS_REPLY_ERROR)
        refused(request, reply->str);
    else
        answered(request, reply);
}

static void on_written(struct redis_call *call)
{
    struct redis_request *request = container_of(call, struct redis_request, call);

    if (!redis_request_is_late(request)) /* else its reply says whether the hold was there still */
        wake(request, ST_OK);
}

/* --- all of them --- */

void redis_request_launch(struct redis_request *request)
{
    bool is_awaited = request->op || request->partner;

    if (request->kind == REQUEST_END && is_awaited && !request->from->waits_for_reply)
        request->call.written = on_written;
    redis_request_go(request);
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

/* This machine's clock said in which windows they are, and when rates are charged. */
static struct redis_request *first_misdated(struct redis_quota *rq)
{
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): as in first_to_tell() */
    LIST_EACH (node, &rq->ops) {
        struct redis_request *request = container_of(node, struct redis_request, in_ops);

        if (request->is_undated && !redis_request_date_again(request))
            return request;
    }
    return NULL;
}

void redis_requests_send(struct redis_quota *rq)
{
    struct redis_request *misdated = rq->base.has_clock ? first_misdated(rq) : NULL;

    for (; misdated; misdated = first_misdated(rq))
        fail_question(misdated);
    if (rq->on_disk > 0)
        outbox_mark_sent(rq->outbox);
    LIST_EACH (node, &rq->unsent) {
        struct redis_request *request = container_of(node, struct redis_request, in_unsent);

        struct redis_link *link = link_of(request);

        if (!redis_link_is_up(link) || redis_request_is_elsewhere(request))
            continue;
        list_remove(node);
        transmit(request, link, false);
    }
    LIST_EACH (node, &rq->ops) {
        struct redis_request *request = container_of(node, struct redis_request, in_ops);

        struct redis_link *link = link_of(request);

        if (is_question(request) && !request->is_sent && may_send(request, link))
            transmit(request, link, false);
    }
}

/* Is there nothing more to wait for? */
static bool is_told_now(const struct redis_request *request)
{
    if (request->from->is_closing)
        return true;
    if (request->is_sent)
        return redis_link_is_refusing(request->call.of);
    return request->kind == REQUEST_END || is_hopeless(request, link_of(request));
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

/* It is kept, on disk where that works; but nothing is delivered for a hold that is not to be relied on. */
static void tell_kept(struct redis_request *request)
{
    if (request->record.kind == OUTBOX_COMMIT && redis_request_is_late(request))
        redis_late_instead(request);
    else
        wake(request, ST_OK);
}

/* Its link has it still, but nobody waits for a Redis that is slow. */
static void tell_on_way(struct redis_request *request)
{
    if (is_question(request)) {
        wake(request, ST_UNAVAILABLE);
        redis_part_give_back(request);
        return;
    }
    request->record.was_sent = true;
    save(request);
    tell_kept(request);
}

void redis_requests_lost(struct redis_quota *rq)
{
    for (struct redis_request *request = first_to_tell(rq); request; request = first_to_tell(rq)) {
        if (request->is_sent)
            tell_on_way(request);
        else if (request->kind == REQUEST_END)
            tell_kept(request);
        else
            fail_question(request);
    }
}

void redis_requests_free(struct redis_quota *rq)
{
    int forgotten = 0;

    LIST_EACH (node, &rq->unsent) {
        struct redis_request *request = container_of(node, struct redis_request, in_unsent);

        list_remove(node);
        forgotten += !request->is_on_disk;
        redis_request_untie(request);
        redis_request_free(request);
    }
    if (forgotten > 0)
        log_event(LOG_ERROR, "quota_lost", "store=redis commits_and_settles=%d", forgotten);
}
