/* SPDX-License-Identifier: Apache-2.0 */
/* parser.h - HTTP/1.1 messages from bytes, both ways, on llhttp with no lenient flag.
 *
 * A head must lie in one piece: the caller appends what it reads behind what is there and calls http_parser_head() with
 * the new bytes, until it is whole.  The buffer may move while the head is not whole.  Body bytes may come from anywhere.
 *
 * How the bytes are cut into feeds changes neither what is parsed nor the fault.  Lines are found and the start line is
 * judged as bytes come in; llhttp is given the fields once, when the head is whole, so its spans are never split, and the
 * verdicts do not depend on its version. */
#pragma once

#include <llhttp.h>

#include "base/status.h"
#include "http/head.h"

enum http_side { HTTP_REQUESTS, HTTP_ANSWERS };

/* Why a message was refused; the number is the status to answer a request with. */
enum http_fault {
    HTTP_FAULT_NONE = 0,
    /* anything RFC 9112 says to reject; also a missing, repeated or impossible Host */
    HTTP_FAULT_MALFORMED = 400,
    HTTP_FAULT_TARGET_TOO_LONG = 414, /* told before the request line is whole */
    /* the head is over its limit, or has over HEAD_FIELDS_MAX fields or connection options */
    HTTP_FAULT_HEAD_TOO_LARGE = 431,
    /* a transfer coding other than chunked alone; CONNECT, TRACE and methods that llhttp does not know */
    HTTP_FAULT_NOT_IMPLEMENTED = 501,
    /* not HTTP/1.0 or HTTP/1.1.  1.2 to 1.9 are refused as well, as llhttp does: nobody speaks them. */
    HTTP_FAULT_VERSION = 505,
};

struct http_limits {
    size_t target_bytes;
    size_t head_bytes; /* also of trailers, and of the framing between two pieces of content */
};

enum http_framing {
    FRAMING_NONE,
    FRAMING_EMPTY,  /* no body follows the head */
    FRAMING_LENGTH, /* body_left bytes follow */
    FRAMING_CHUNKED,
    FRAMING_UNTIL_CLOSE, /* the rest of the connection; after 101, whatever that is */
};

struct http_parser {
    llhttp_t llhttp;
    enum http_side side;
    struct http_limits limits;
    struct http_head *head; /* lent by the caller until the next http_parser_next() */
    enum http_fault fault;
    enum http_framing framing;
    bool is_head_done;
    bool is_complete; /* the message has ended */
    bool is_interim;  /* an answer of 1xx other than 101 */
    /* This answers HEAD, so no body comes.  Set by the caller between http_parser_next() and the head;
     * http_parser_next() clears it, but not after an interim answer. */
    bool answers_head;
    int64_t body_left;    /* FRAMING_LENGTH: bytes to come; else -1 */
    struct text piece;    /* content found by the feed at work */
    size_t fed_bytes;     /* of the head so far, with the empty lines before it */
    size_t blank_bytes;   /* of those empty lines */
    size_t line_at;       /* where the line at work begins, counted like fed_bytes */
    size_t fields_at;     /* where the first field begins, likewise */
    int lines;            /* that are whole, without the empty ones */
    char last_byte;       /* of a chunked body so far */
    size_t framing_bytes; /* since the last content of a chunked body */
};

void http_parser_init(struct http_parser *p, enum http_side side, const struct http_limits *limits);
/* Makes ready for the next message; its head goes to *head. */
void http_parser_next(struct http_parser *p, struct http_head *head);

/* Feeds new bytes of the head.  ST_OK: the head is whole and *out_consumed of these bytes belong to it (an answer of 1xx
 * other than 101 is a head of its own, with is_interim and is_complete set).  ST_PENDING: all were taken, more are
 * needed.  ST_INVALID: p->fault says why.  Empty lines before a request line are skipped (RFC 9112 2.2). */
MUST_CHECK enum status http_parser_head(struct http_parser *p, const char *bytes, size_t len,
                                        size_t *out_consumed);

/* Feeds bytes of the body.  ST_OK: *out_consumed bytes were taken, and *out_piece (perhaps empty) is the content among
 * them, without any chunk framing; call again with the rest while there is some and is_complete is not set.
 * ST_INVALID: the framing is broken.  Chunk extensions and trailers are parsed and dropped; of a chunk's
 * extensions llhttp 8 refuses a second one, and it lets trailers be folded, unlike 9. */
MUST_CHECK enum status http_parser_body(struct http_parser *p, const char *bytes, size_t len,
                                        size_t *out_consumed, struct text *out_piece);

/* The connection has ended.  ST_OK: the message is whole, or ended with it, as it may (an answer without length); then
 * is_complete is set.  ST_CLOSED: nothing had begun.  ST_INVALID: it broke off. */
MUST_CHECK enum status http_parser_end(struct http_parser *p);
