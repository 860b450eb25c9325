/* SPDX-License-Identifier: Apache-2.0 */
/* dispatch.c - DISPATCH: a connection to the backend, and the job sent on it.      Runs on: worker.
 * While nothing of the job has left, another connection or another backend may be tried.  Once a byte has, never again
 * (RFC 9110 9.2.2: a POST is not idempotent, and a GPU may already be at work). */
#include "gate/request.h"

static enum status connect_and_send(struct request *req);

int64_t dispatch_budget(const struct request *req)
{
    return req->is_sending ? req->config->answer_idle_ms : req->config->connect_timeout_ms;
}

void dispatch_release(struct request *req)
{
    struct gate *gate = req->gate;

    upstream_give(&req->upstream);
    if (!req->has_slot)
        return;
    req->has_slot = false;
    slot_give(req->backend);
    gate_slot_is_free(gate, req->backend);
}

void dispatch_count_answer(struct request *req, int class)
{
    struct stats *stats = &req->gate->stats;
    int index = req->backend->index;

    stats_add(stats, STAT_BACKEND_ANSWERS, index * STAT_CLASSES + class, 1);
    if (class != DISPATCH_LOST && class < 5)
        backend_succeeded(req->backend);
    else if (backend_failed(req->backend, (int)req->config->eject_after))
        stats_add(stats, STAT_BACKEND_EJECTIONS, index, 1);
}

/* This backend could not be reached: on to another one that has a slot now. */
static enum status try_another(struct request *req)
{
    dispatch_count_answer(req, DISPATCH_LOST);
    req->tried |= UINT64_C(1) << (req->backend->index % 64);
    dispatch_release(req);
    return queue_take_slot(req) ? connect_and_send(req) : ST_UNAVAILABLE;
}

/* Where the backend does not take the head at once, it waits in the arena. */
static enum status send_job(struct request *req)
{
    struct text body = TEXT_NONE;
    enum status st = body_text(&req->body, &body);

    if (st)
        return st;
    struct text head = forward_job_head(req);

    if (!head.len)
        return ST_NOMEM;
    req->is_sending = true;
    st = upstream_send(req->upstream, head, body, req->is_method_head, &req->op);
    if (st != ST_PENDING)
        return st;
    struct text kept = arena_copy(&req->arena, head);

    if (!kept.len) {
        op_cancel(&req->op);
        return ST_NOMEM;
    }
    upstream_move_head(req->upstream, kept);
    return ST_PENDING;
}

/* Nothing had left when it broke: an idle upstream was closed in this very moment, or a new one at once. */
static enum status after_send(struct request *req, enum status st, bool was_idle)
{
    if (st != ST_UNAVAILABLE)
        return st;
    if (!was_idle)
        return try_another(req);
    upstream_give(&req->upstream);
    return connect_and_send(req);
}

static enum status connect_and_send(struct request *req)
{
    struct gate *gate = req->gate;
    enum status st;

    req->is_sending = false;
    req->upstream = pool_take(&gate->pool, req->backend);
    if (req->upstream)
        return after_send(req, send_job(req), true);
    stats_add(&gate->stats, STAT_BACKEND_CONNECTS, req->backend->index, 1);
    st = upstream_connect(&gate->pool, req->backend, &req->op, &req->upstream);
    if (st == ST_PENDING || st == ST_NOMEM)
        return st;
    return st == ST_OK ? after_send(req, send_job(req), false) : try_another(req);
}

static void on_op(struct op *op, enum status st)
{
    struct request *req = container_of(op, struct request, op);

    timer_clear(&req->timer);
    if (!req->is_sending)
        st = st == ST_OK ? after_send(req, send_job(req), false) : try_another(req);
    else if (!req->upstream->has_sent)
        st = try_another(req);
    if (st == ST_PENDING)
        request_moved(req);
    else
        request_advance(req, st);
}

enum status dispatch_begin(struct request *req)
{
    req->op.done = on_op;
    return connect_and_send(req);
}

enum step dispatch_end(struct request *req, enum status st)
{
    req->op.done = request_on_done;
    req->is_sent = req->upstream && req->upstream->has_sent;
    req->sent_us = loop_now_us(req->gate->loop);
    if (st == ST_OK) {
        body_free(&req->body);
        client_release_head(req->client);
        return STEP_NEXT;
    }
    if (req->is_sent) {
        dispatch_count_answer(req, DISPATCH_LOST);
        return request_end_with(req, OUTCOME_BACKEND_TIMEOUT);
    }
    return request_end_with(req, st == ST_NOMEM ? OUTCOME_NO_MEMORY : OUTCOME_NO_BACKEND);
}
