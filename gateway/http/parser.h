/* SPDX-License-Identifier: Apache-2.0 */
/* parser.h - HTTP/1.1 messages from bytes, both ways, on llhttp with no lenient flag.
 *
 * A head must lie in one buffer: the caller appends what it reads behind what is there and calls http_parser_head()
 * with the new bytes, until it is whole.  Body bytes may come from anywhere. */
#pragma once

#include <llhttp.h>

#include "base/status.h"
#include "http/head.h"

enum http_side { HTTP_REQUESTS, HTTP_ANSWERS };

/* Why a message was refused; the number is the status to answer a request with. */
enum http_fault {
    HTTP_FAULT_NONE = 0,
    HTTP_FAULT_MALFORMED =
        400, /* anything RFC 9112 says to reject; also a missing or repeated Host */
    HTTP_FAULT_TARGET_TOO_LONG = 414, /* the request line is over its limit */
    HTTP_FAULT_HEAD_TOO_LARGE =
        431, /* the head is over its limit, or has over HEAD_FIELDS_MAX fields */
    HTTP_FAULT_NOT_IMPLEMENTED = 501, /* a transfer coding other than chunked; CONNECT, TRACE */
    HTTP_FAULT_VERSION = 505,         /* not HTTP/1.0 or HTTP/1.1 */
};

struct http_limits {
    size_t target_bytes;
    size_t head_bytes;
};

struct http_parser {
    llhttp_t llhttp;
    enum http_side side;
    struct http_limits limits;
    struct http_head *head; /* lent by the caller until the next http_parser_next() */
    enum http_fault fault;
    bool is_head_done;
    bool is_complete; /* the message has ended */
    bool
        answers_head; /* set by the caller before the head is parsed: this answers HEAD, so no body comes */
    int64_t
        body_left; /* identity body: bytes to come; -1: until the connection closes, or chunked */
    struct text piece; /* body bytes found by the feed at work */
    size_t fed_bytes;  /* of the head so far */
    int state;         /* of the field being collected */
};

void http_parser_init(struct http_parser *p, enum http_side side, const struct http_limits *limits);
/* Makes ready for the next message; its head goes to *head. */
void http_parser_next(struct http_parser *p, struct http_head *head);

/* Feeds new bytes of the head.  ST_OK: the head is whole and *out_consumed of these bytes belong to it (an answer of 1xx
 * other than 101 is a head of its own, with is_complete set).  ST_PENDING: all were taken, more are needed.
 * ST_INVALID: p->fault says why.  Empty lines before a request line are skipped (RFC 9112 2.2). */
MUST_CHECK enum status http_parser_head(struct http_parser *p, const char *bytes, size_t len,
                                        size_t *out_consumed);

/* Feeds bytes of the body.  ST_OK: *out_consumed bytes were taken, and *out_piece (perhaps empty) is the content among
 * them, without any chunk framing; call again with the rest while there is some and is_complete is not set.
 * ST_INVALID: the framing is broken. */
MUST_CHECK enum status http_parser_body(struct http_parser *p, const char *bytes, size_t len,
                                        size_t *out_consumed, struct text *out_piece);

/* The connection has ended.  ST_OK: the message ended with it, as it may (an answer without length).
 * ST_CLOSED: nothing had begun.  ST_INVALID: it broke off. */
MUST_CHECK enum status http_parser_end(struct http_parser *p);
