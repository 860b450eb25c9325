/* SPDX-License-Identifier: Apache-2.0 */
/* identify.c - IDENTIFY: who pays.      Runs on: worker. */
#include "gate/request.h"

enum status identify_begin(struct request *req)
{
    struct address peer = address_widen(&req->client->peer);
    struct address from = address_widen(&req->from);
    struct identity_ask ask = {
        .config = req->config,
        .head = &req->client->slab->head,
        .peer = &peer,
        .client = &from,
    };

    return identity_resolve(&ask, &req->identity, &req->identity_fault, &req->op);
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
    }
    return OUTCOME_INVALID_KEY;
}

/* The body has yet to come: whoever would be turned away anyway is spared the upload. */
static bool awaits_body(const struct request *req)
{
    const struct slab *slab = req->client->slab;

    return slab->head.has_body && (slab->head.expects_continue || slab->at == slab->len);
}

enum step identify_end(struct request *req, enum status st)
{
    enum outcome outcome;

    if (st != ST_OK)
        return request_end_with(req, outcome_of_fault(req->identity_fault));
    req->is_known = true;
    if (req->operation != OPERATION_GENERATE || !awaits_body(req))
        return STEP_NEXT;
    outcome = decide_before_body(req);
    return outcome ? request_end_with(req, outcome) : STEP_NEXT;
}
