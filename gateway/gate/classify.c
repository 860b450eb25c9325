/* SPDX-License-Identifier: Apache-2.0 */
/* classify.c - CLASSIFY: what is asked for, read from the body by the dialect.      Runs on: worker. */
#include "gate/request.h"

static enum status complain(struct request *req, const struct complaint *why)
{
    req->complaint = arena_alloc(&req->arena, sizeof(*why));
    if (!req->complaint)
        return ST_NOMEM;
    *req->complaint = *why;
    return ST_INVALID;
}

enum status classify_begin(struct request *req)
{
    struct text body = TEXT_NONE;
    struct complaint why = {.message = TEXT_NONE};
    enum status st;

    req->job.operation = req->operation;
    if (req->operation == OPERATION_PASS)
        return ST_OK;
    st = body_text(&req->body, &body);
    if (st)
        return st;
    st = req->dialect->classify(&req->client->slab->head, body, &req->arena, &req->job, &why);
    return st == ST_INVALID ? complain(req, &why) : st;
}

enum step classify_end(struct request *req, enum status st)
{
    if (st == ST_OK)
        return STEP_NEXT;
    return request_end_with(req, st == ST_INVALID ? OUTCOME_INVALID_REQUEST : OUTCOME_NO_MEMORY);
}
