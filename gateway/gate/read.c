/* SPDX-License-Identifier: Apache-2.0 */
/* read.c - BODY: all of the request's body, before it is judged.      Runs on: worker.
 * What will not be taken is refused before it is asked for (RFC 9110 10.1.1). */
#include "gate/request.h"

int64_t body_budget(const struct request *req)
{
    return req->config->body_timeout_ms;
}

enum status body_begin(struct request *req)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct client *client = req->client;
    const struct http_head *head = &client->slab->head;

    if (!head->has_body && req->operation == OPERATION_GENERATE && head->content_length < 0)
        return ST_REFUSED;
    if (!head->has_body)
        return ST_OK;
    if (head->content_length > req->config->body_bytes)
        return ST_LIMIT;
    if (head->content_length > 0) {
        enum status st = body_expect(&req->body, head->content_length);

        if (st)
            return st;
    }
    if (head->expects_continue && client->slab->at == client->slab->len) {
        struct iovec iov = {(void *)(uintptr_t)go_on, sizeof(go_on) - 1};

        client_send(client, &iov, 1);
    }
    return client_await_body(client, &req->body, &req->op);
}

static enum outcome outcome_of(enum status st)
{
    switch (st) {
    case ST_REFUSED:
        return OUTCOME_LENGTH_REQUIRED;
    case ST_LIMIT:
        return OUTCOME_BODY_TOO_LARGE;
    case ST_TIMEOUT:
        return OUTCOME_BODY_TIMEOUT;
    case ST_INVALID:
        return OUTCOME_BAD_REQUEST;
    case ST_CLOSED:
        return OUTCOME_CLIENT_GONE;
    case ST_OK:
    case ST_PENDING:
    case ST_UNAVAILABLE:
    case ST_NOMEM:
        break;
    }
    return OUTCOME_NO_MEMORY;
}

enum step body_end(struct request *req, enum status st)
{
    if (st == ST_OK)
        return STEP_NEXT;
    req->client->must_close = true;
    return request_end_with(req, outcome_of(st));
}
