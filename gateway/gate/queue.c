/* SPDX-License-Identifier: Apache-2.0 */
/* queue.c - QUEUE: a slot on a backend, now or after a wait.      Runs on: worker.
 * A waiter is in exactly one queue from begin to end of this phase and never changes queue.
 * It leaves by being offered a slot, by its deadline, or because its client went away.
 * The slot is taken before the waiter is woken, so a woken request cannot find it gone.
 *
 * No wake-up is lost between workers: who begins to wait says so (waiting_by_worker) and then tries once more; who gives a
 * slot back gives it first and then looks who waits.  Whichever comes second sees the other. */
#include "core/pick.h"
#include "gate/request.h"

int64_t queue_budget(const struct request *req)
{
    return req->terms->max_wait_ms;
}

/* A safe path goes to any backend that is up, however hot. */
static const struct ladder *ladder_for(const struct request *req)
{
    static const struct ladder none;

    return req->operation == OPERATION_PASS ? &none : &req->config->policy.ladder;
}

/* Takes a slot of one of the backends in this view.  A slot that another worker took meanwhile is passed over. */
static bool take_slot(struct request *req, const struct load_view *view)
{
    struct gate *gate = req->gate;
    uint64_t passed_over = req->tried;

    for (;;) {
        int picked = pick_backend(view, ladder_for(req), req->terms->tier, passed_over,
                                  (uint32_t)gate_random(gate));

        if (picked < 0)
            return false;
        req->backend = &gate->backends->backends[picked];
        if (slot_take(req->backend))
            return true;
        passed_over |= UINT64_C(1) << (picked % 64);
    }
}

bool queue_take_slot(struct request *req)
{
    struct gate *gate = req->gate;
    struct load_view view = gate_view(req, false);

    if (!take_slot(req, &view)) {
        view = gate_view(req, true);
        if (!take_slot(req, &view))
            return false;
    }
    gate->loads[req->backend->index].in_flight++;
    req->has_slot = true;
    req->slot_us = loop_now_us(gate->loop);
    return true;
}

static void leave(struct request *req)
{
    struct gate *gate = req->gate;

    list_remove(&req->waiting);
    gate->waiting_len--;
    atomic_fetch_sub(&gate->shared->waiting, 1);
    atomic_fetch_sub(&gate->shared->waiting_by_worker[gate->worker], 1);
}

static void wait_cancel(struct op *op)
{
    leave(op->callee);
}

static void enter(struct request *req)
{
    struct gate *gate = req->gate;
    struct list *before = &gate->waiting;

    /* Behind all of its own priority and higher. */
    while (before->prev != &gate->waiting &&
           container_of(before->prev, struct request, waiting)->terms->priority <
               req->terms->priority)
        before = before->prev;
    list_push_back(before, &req->waiting);
    gate->waiting_len++;
    atomic_fetch_add(&gate->shared->waiting, 1);
    atomic_fetch_add(&gate->shared->waiting_by_worker[gate->worker], 1);
    req->op.callee = req;
    req->op.cancel = wait_cancel;
}

bool queue_has_free_slot(const struct gate *gate)
{
    for (int i = 0; i < gate->backends->len; i++) {
        const struct backend *b = &gate->backends->backends[i];

        if (atomic_load(&b->now.is_up) && atomic_load(&b->now.in_flight) < b->max_in_flight)
            return true;
    }
    return false;
}

static bool could_take_slot(struct request *req)
{
    struct load_view view = gate_view(req, false);

    return pick_backend(&view, ladder_for(req), req->terms->tier, req->tried, 0) >= 0;
}

/* Nobody of the same or a higher priority who came before could use a slot that is free now.  Such a one may wait
 * nevertheless: for a backend of its dialect, or for a cooler one. */
static bool is_next(struct request *req)
{
    struct gate *gate = req->gate;

    if (gate->waiting_len > 0 && !queue_has_free_slot(gate))
        return false;
    LIST_EACH (node, &gate->waiting) {
        struct request *before = container_of(node, struct request, waiting);

        if (before == req || before->terms->priority < req->terms->priority)
            break;
        if (could_take_slot(before))
            return false;
    }
    return true;
}

/* Who waits holds no buffer, unless a next request is in it. */
static void give_back_slab(struct request *req)
{
    struct slab *slab = req->client->slab;

    if (slab && slab->at == slab->len && forward_keep_job(req))
        client_release_head(req->client);
}

enum status queue_begin(struct request *req)
{
    struct gate *gate = req->gate;

    req->queued_us = loop_now_us(gate->loop);
    if (is_next(req) && queue_take_slot(req))
        return ST_OK;
    if (req->terms->max_wait_ms == 0)
        return ST_REFUSED;
    if (req->client->is_half_closed)
        return ST_CLOSED;
    if (atomic_load(&gate->shared->waiting) >= req->config->max_waiting)
        return ST_LIMIT;
    enter(req);
    if (is_next(req) && queue_take_slot(req)) {
        op_cancel(&req->op);
        return ST_OK;
    }
    give_back_slab(req);
    return ST_PENDING;
}

static enum outcome outcome_of(enum status st)
{
    switch (st) {
    case ST_TIMEOUT:
        return OUTCOME_QUEUE_TIMEOUT;
    case ST_REFUSED:
        return OUTCOME_BUSY;
    case ST_LIMIT:
        return OUTCOME_QUEUE_FULL;
    case ST_OK:
    case ST_PENDING:
    case ST_CLOSED:
    case ST_INVALID:
    case ST_UNAVAILABLE:
    case ST_NOMEM:
        break;
    }
    return OUTCOME_CLIENT_GONE;
}

enum step queue_end(struct request *req, enum status st)
{
    int64_t waited_us = loop_now_us(req->gate->loop) - req->queued_us;

    stats_observe_us(&req->gate->stats, STAT_QUEUE_SECONDS, request_stats_tier(req), waited_us);
    return st == ST_OK ? STEP_NEXT : request_end_with(req, outcome_of(st));
}

/* In order; one that no backend is open to does not keep back those behind it. */
void queue_offer(struct gate *gate)
{
    LIST_EACH (node, &gate->waiting) {
        struct request *req = container_of(node, struct request, waiting);

        if (!queue_has_free_slot(gate))
            return;
        if (!queue_take_slot(req))
            continue;
        leave(req);
        op_done(&req->op, ST_OK);
    }
}
