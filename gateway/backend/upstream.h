/* SPDX-License-Identifier: Apache-2.0 */
/* upstream.h - one connection to a backend, and the one exchange at work on it.      Runs on: worker.
 *
 *   pool_take or upstream_connect  ->  upstream_send  ->  upstream_await_head  ->  upstream_read ...  ->  upstream_give
 *
 * has_sent turns true with the first byte of a job that leaves: such a job is never sent again (RFC 9110 9.2.2). */
#pragma once

#include "base/op.h"
#include "http/parser.h"
#include "http/slab.h"
#include "net/tee.h"

struct backend;
struct pool;

struct upstream {
    struct stream stream;
    struct pool *pool;
    struct backend *backend;
    struct list link; /* in the pool's idle list */
    struct timer idle_timer;
    struct retired retired;
    struct op connected;
    struct op *op;                           /* the wait at work; NULL: none */
    enum status (*step)(struct upstream *u); /* carries that wait on */
    struct http_parser *parser; /* lent by the pool, from the answer's first byte to its end */
    struct slab *slab;          /* lent by the pool: the answer's head and what came with it */
    struct text rest; /* of the answer: read, not handed out; in the slab or the caller's buffer */
    char *buf;        /* the caller's, while upstream_read() waits */
    size_t buf_size;
    struct tee *tee; /* upstream_pass_to() */
    struct stream *passing_to;
    size_t passed_bytes;    /* of piece */
    struct text piece;      /* what upstream_read() found */
    struct text *piece_out; /* where its caller wants it */
    struct iovec unsent[2];
    enum status
        head_st;        /* ST_PENDING until the answer's head came or will not, while sending too */
    uint64_t read_turn; /* the loop's turn that `reads` counts in */
    uint64_t kept_turn; /* since when it has been idle: the loop's turn, and the time */
    int64_t kept_us;
    int reads;
    bool has_sent;
    bool is_sent_whole;
    bool keeps_alive;
    bool answers_head; /* the job's method was HEAD */
};

/* One whose stream is not open yet: for upstream_connect(), and for tests, which open it as one end of a pair.  NULL: no
 * memory. */
struct upstream *upstream_new(struct pool *pool, struct backend *backend);
/* A new connection.  ST_OK or ST_PENDING with *out; else ST_REFUSED, ST_UNAVAILABLE or ST_NOMEM.  When the wait ends
 * badly or is cancelled, the upstream is still the caller's, to be given back. */
MUST_CHECK enum status upstream_connect(struct pool *pool, struct backend *backend, struct op *op,
                                        struct upstream **out);

/* Begins an exchange: sends head and body, which must stay where they are until it is done.  is_method_head: the answer
 * will have no content.  ST_OK: all is sent, or the backend answers already and may never read the rest.
 * ST_UNAVAILABLE: it broke, and nothing had left. */
MUST_CHECK enum status upstream_send(struct upstream *u, struct text head, struct text body,
                                     bool is_method_head, struct op *op);
/* While that waits: head lies there now. */
void upstream_move_head(struct upstream *u, struct text head);

/* ST_OK: u->slab->head is the answer's head, until the first upstream_read().  1xx heads are skipped.
 * ST_UNAVAILABLE: lost.  ST_INVALID: what came is not HTTP, or its head is too large. */
MUST_CHECK enum status upstream_await_head(struct upstream *u, struct op *op);

/* The next piece of the answer's content, valid until the next call.  ST_OK; ST_CLOSED: there is no more, the answer is
 * whole; ST_PENDING: *out is written when the op is done with ST_OK; ST_UNAVAILABLE: it broke off; ST_INVALID: its framing
 * is broken.  buf is used for reading; while upstream_has_rest(), the next call must come before anybody else uses buf. */
MUST_CHECK enum status upstream_read(struct upstream *u, char *buf, size_t size, struct text *out,
                                     struct op *op);
/* Is so much of a content of known length left that it is worth passing on? */
bool upstream_is_passable(const struct upstream *u);
/* From now on, what upstream_read() reads may go to `to` by itself (tee.h); NULL: no longer.  Of the piece that comes, the
 * first passed_bytes went there.  Not so the last ones of the content: what the other side takes for the end is the caller's
 * to send. */
void upstream_pass_to(struct upstream *u, struct tee *tee, struct stream *to);
static inline bool upstream_has_rest(const struct upstream *u)
{
    return u->rest.len > 0;
}
/* Has all of the answer been handed out? */
static inline bool upstream_is_complete(const struct upstream *u)
{
    return u->parser && u->parser->is_complete;
}

/* Of an idle one: the backend has neither closed it, nor spoken unasked, which makes it unusable, too.  What was read in
 * another callback of this turn may leave a readiness behind that means nothing. */
bool upstream_is_quiet(struct upstream *u);
/* Back to the pool where it may serve again, else closed.  Harmless for NULL. */
void upstream_give(struct upstream **u);
