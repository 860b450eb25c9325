/* SPDX-License-Identifier: Apache-2.0 */
/* route.h - what the operator's listeners serve: paths, who may ask, and what they answer with.
 *
 * Who may:  OPEN    anybody who reaches the listener
 *           READ    by the Unix socket; else with the token, where one is configured
 *           CHANGE  by the Unix socket; else with the token, and without one configured nobody
 * The Unix socket is guarded by its file's mode. */
#pragma once

#include "base/op.h"
#include "http/head.h"

enum admin_access { ACCESS_NONE, ACCESS_OPEN, ACCESS_READ, ACCESS_CHANGE };

/* One request.  Its texts live until it is answered. */
struct admin_ask {
    enum http_method method; /* HEAD comes as GET */
    struct text param;       /* what stood for the route's "*", percent-decoded; else TEXT_NONE */
    struct text query;
    struct text body;
};

/* 200 and text/plain unless set. */
struct admin_answer {
    int status;
    const char *content_type;
    char *body; /* owned: freed by admin */
    size_t body_len;
};

/* ST_OK: *out is written.  ST_PENDING: it is once op is done with ST_OK; op is cancelled when the visitor leaves.  Any
 * other end makes a 500. */
typedef enum status admin_answer_fn(void *owner, const struct admin_ask *ask,
                                    struct admin_answer *out, struct op *op);

struct admin_route {
    const char *path; /* a segment "*" stands for any one that is not empty */
    admin_answer_fn *answer;
    enum http_method method;
    enum admin_access access;
};

/* Routes that end with a NULL path, and whose they are; both outlive the admin. */
struct admin_table {
    const struct admin_route *routes;
    void *owner;
};

#define ADMIN_PARAM_MAX 512

/* What a path and method lead to. */
struct admin_found {
    const struct admin_route *route; /* NULL: nothing */
    void *owner;
    int status;       /* 404 or 405 where there is no route */
    unsigned methods; /* that the path takes: bit 1 << enum http_method */
    struct text param;
    char buf[ADMIN_PARAM_MAX]; /* where param is */
};
void route_find(const struct admin_table *tables, int tables_len, enum http_method method,
                struct text path, struct admin_found *out);

/* The value of that name in a query of name=value pairs joined by &, percent-decoded into buf.  ST_OK; ST_CLOSED: it is not
 * there; ST_INVALID: it is there twice, too long, or not encoded well. */
MUST_CHECK enum status route_query(struct text query, struct text name, char *buf, size_t size,
                                   struct text *out);
