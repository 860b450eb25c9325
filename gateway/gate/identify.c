/* SPDX-License-Identifier: Apache-2.0 */
/* identify.c - IDENTIFY: who pays.      Runs on: worker. */
#include "gate/request.h"

static void on_waited(struct op *op, enum status st);

/* The head stays in the client's slab until the body is read, so it is there after each wait. */
static enum status resolve(struct request *req)
{
    struct identity_wait none; /* where nobody is asked, no more of it is looked at than is set */
    struct identity_ask ask = {
        .config = req->config,
        .head = &req->client->slab->head,
        .peer = &req->client->peer,
        .client = &req->from,
        .keys = req->gate->keys,
        .wait = req->identity_wait ? req->identity_wait : &none,
    };

    none.source = 0;
    none.key.verdict = KEY_NONE;
    enum status st = identity_resolve(&ask, &req->identity, &req->identity_fault, &req->op);

    req->op.done = st == ST_PENDING ? on_waited : request_on_done;
    return st;
}

static void on_waited(struct op *op, enum status st)
{
    struct request *req = container_of(op, struct request, op);

    UNUSED(st); /* what was learned is in identity_wait */
    request_advance(req, resolve(req));
}

/* Only a keystore is waited for. */
enum status identify_begin(struct request *req)
{
    if (req->gate->keys) {
        req->identity_wait = arena_alloc(&req->arena, sizeof(*req->identity_wait));
        if (!req->identity_wait)
            return ST_NOMEM;
        *req->identity_wait = (struct identity_wait){.source = 0};
    }
    return resolve(req);
}

static enum outcome outcome_of_fault(enum identity_fault fault)
{
    switch (fault) {
    case IDENTITY_FAULT_NONE:
    case IDENTITY_FAULT_MISSING:
        return OUTCOME_MISSING_KEY;
    case IDENTITY_FAULT_BAD_KEY:
    case IDENTITY_FAULT_MALFORMED:
        return OUTCOME_INVALID_KEY;
    case IDENTITY_FAULT_BAD_TIER:
        return OUTCOME_UNKNOWN_TIER;
    case IDENTITY_FAULT_UNAVAILABLE:
        return OUTCOME_STORE_UNAVAILABLE;
    }
    return OUTCOME_INVALID_KEY;
}

/* Whoever would be turned away whatever the body says is spared its upload, and the gateway the reading of it where it is
 * here already: that is a fifth of what a refusal costs. */
enum step identify_end(struct request *req, enum status st)
{
    enum outcome outcome;

    if (st == ST_NOMEM)
        return request_end_with(req, OUTCOME_NO_MEMORY);
    if (st != ST_OK)
        return request_end_with(req, outcome_of_fault(req->identity_fault));
    req->is_known = true;
    if (req->operation != OPERATION_GENERATE)
        return STEP_NEXT;
    outcome = decide_before_body(req);
    return outcome ? request_end_with(req, outcome) : STEP_NEXT;
}
