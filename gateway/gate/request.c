/* SPDX-License-Identifier: Apache-2.0 */
/* request.c - the walk through the phases.      Runs on: worker. */
#include "gate/request.h"

#define REQUEST_ARENA_MAX ((size_t)1 << 20)

struct phase_row {
    const char *name;
    enum status (*begin)(struct request *req);
    enum step (*end)(struct request *req, enum status st);
    int64_t (*budget_ms)(const struct request *req);
};

static const struct phase_row phases[] = {{"none", NULL, NULL, NULL},
#define X(name, begin, end, budget, waits) {#name, begin, end, budget},
                                          PHASE_TABLE(X)
#undef X
};

const char *phase_name(enum phase phase)
{
    return phase < PHASE_DONE ? phases[phase].name : "DONE";
}

int64_t no_budget(const struct request *req)
{
    UNUSED(req);
    return 0;
}

static void set_budget(struct request *req)
{
    int64_t budget_ms = phases[req->phase].budget_ms(req);

    if (budget_ms > 0)
        timer_set(req->gate->loop, &req->timer, loop_now_us(req->gate->loop) + budget_ms * 1000);
}

void request_moved(struct request *req)
{
    set_budget(req);
}

static void free_retired(struct retired *retired)
{
    struct request *req = container_of(retired, struct request, retired);

    shelf_give(&req->gate->requests, req);
}

/* It has one writer. */
static void count_at_work(struct gate *gate, int more)
{
    atomic_int *requests = &gate->shared->workers[gate->worker].requests;

    atomic_store_explicit(requests, atomic_load_explicit(requests, memory_order_relaxed) + more,
                          memory_order_release);
}

static void request_free(struct request *req)
{
    struct client *client = req->client;
    struct gate *gate = req->gate;

    ASSERT(!req->has_slot && !req->upstream && !op_is_pending(&req->op));
    ASSERT(list_is_empty(&req->waiting));
    body_free(&req->body);
    arena_fini(&req->arena);
    config_unref(&req->config);
    count_at_work(gate, -1);
    loop_retire(gate->loop, &req->retired, free_retired);
    client_request_done(client);
}

void request_advance(struct request *req, enum status st)
{
    while (st != ST_PENDING) {
        enum step step;

        timer_clear(&req->timer);
        step = phases[req->phase].end(req, st);
        if (step == STEP_END && req->phase < PHASE_SETTLE)
            req->phase = PHASE_SETTLE;
        else
            req->phase++;
        if (req->phase == PHASE_DONE) {
            request_free(req);
            return;
        }
        st = phases[req->phase].begin(req);
    }
    set_budget(req);
}

int request_stats_tier(const struct request *req)
{
    if (!req->is_known)
        return 0;
    return 1 + req->config->policy.tiers[req->identity.account.tier].stats_index;
}

enum step request_end_with(struct request *req, enum outcome outcome)
{
    ASSERT(req->outcome == OUTCOME_NONE);
    req->outcome = outcome;
    req->ended_in = req->phase;
    return STEP_END;
}

void request_abort(struct request *req, enum outcome outcome)
{
    op_cancel(&req->op);
    req->op.done = request_on_done;
    timer_clear(&req->timer);
    if (req->phase == PHASE_RELAY)
        relay_cut(req);
    if (req->phase < PHASE_SETTLE) {
        request_end_with(req, outcome);
        req->phase = PHASE_SETTLE;
        request_advance(req, phases[PHASE_SETTLE].begin(req));
    } else {
        request_advance(req, ST_CLOSED);
    }
}

void request_on_done(struct op *op, enum status st)
{
    request_advance(container_of(op, struct request, op), st);
}

static void on_budget(struct timer *timer)
{
    struct request *req = container_of(timer, struct request, timer);

    op_cancel(&req->op);
    req->op.done(&req->op, ST_TIMEOUT);
}

bool request_is_sent(const struct request *req)
{
    return req->is_sent ||
           (req->phase == PHASE_DISPATCH && req->upstream && req->upstream->has_sent);
}

/* A job that was sent goes on without its client: the GPU is at work on it, and it holds its slot until that is over. */
void request_client_gone(struct request *req)
{
    if (!request_is_sent(req))
        request_abort(req, OUTCOME_CLIENT_GONE);
}

/* It may have left, or only have said all that it wants to say.  It is given its answer, but not a wait for a slot. */
void request_client_half_closed(struct request *req)
{
    if (req->phase == PHASE_QUEUE)
        request_abort(req, OUTCOME_CLIENT_GONE);
}

void request_start(struct client *client)
{
    struct gate *gate = client->gate;
    struct request *req = shelf_take(&gate->requests);

    timer_clear(&client->timer);
    if (!req) {
        client->must_close = true;
        client_request_done(client);
        return;
    }
    struct config *config = config_ref(gate->config);

    count_at_work(gate, 1);
    client->req = req;
    *req = (struct request){.gate = gate, .client = client, .config = config, .id = ""};
    req->reservation = &gate->nothing_held;
    req->share = &gate->no_share;
    req->op.done = request_on_done;
    req->begun_us = loop_now_us(gate->loop);
    req->counted = -1;
    req->message = &req->config->policy.messages[0];
    list_init(&req->waiting);
    timer_init(&req->timer, on_budget);
    arena_init_from(&req->arena, REQUEST_ARENA_MAX, &gate->blocks);
    body_init(&req->body, (size_t)req->config->body_bytes, (size_t)req->config->spool_bytes,
              req->config->spool_dir);
    req->phase = PHASE_HEAD;
    request_advance(req, phases[PHASE_HEAD].begin(req));
}
