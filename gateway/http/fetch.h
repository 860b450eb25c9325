/* SPDX-License-Identifier: Apache-2.0 */
/* fetch.h - one request as an op, a GET where nothing else is said: connect, ask, read the whole answer (bounded), close.
 * For telemetry, probes and meltctl; not for what clients wait for. */
#pragma once

#include "base/op.h"
#include "http/parser.h"
#include "net/stream.h"

struct fetch {
    struct op *op; /* of the owner; NULL: nothing is under way */
    struct loop *loop;
    struct stream stream;
    struct op connect;
    struct timer timer;
    struct http_parser parser;
    struct http_head head; /* of the answer; its texts are valid as long as fetch_body() is */
    int status;            /* of the answer, once done with ST_OK */
    char *buf;             /* owned: head, then content without chunk framing */
    size_t buf_size, buf_len;
    size_t max_bytes;
    size_t body_at; /* where the content starts in buf */
    size_t body_len;
    char *asked; /* owned: the request */
    size_t asked_len, asked_sent;
};

struct fetch_terms {
    const struct address *to;
    struct text host;   /* for the Host field */
    struct text target; /* origin-form, with the query */
    int timeout_ms;     /* for all of it */
    size_t max_bytes;   /* of head and content */
    struct text method; /* TEXT_NONE: GET */
    struct text bearer; /* sent as Authorization: Bearer (RFC 6750); TEXT_NONE: none */
    struct text json;   /* content, sent as application/json; TEXT_NONE: none */
};

void fetch_init(struct fetch *fetch);
/* ST_PENDING, or why it could not start.  Ends with ST_OK (any HTTP status), ST_TIMEOUT, ST_REFUSED, ST_UNAVAILABLE
 * (also: it broke off), ST_LIMIT (answer over max_bytes) or ST_INVALID (not HTTP, or terms that make no request).  May
 * be started again, also from within done().  A stream that is open already (tests: one end of a pair) is used instead
 * of connecting. */
MUST_CHECK enum status fetch_start(struct fetch *fetch, struct loop *loop,
                                   const struct fetch_terms *terms, struct op *op);
/* The content of the answer, valid until the next start or fini. */
struct text fetch_body(const struct fetch *fetch);
void fetch_fini(struct fetch *fetch); /* cancels what is pending */
