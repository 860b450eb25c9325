/* SPDX-License-Identifier: Apache-2.0 */
/* client.c - one accepted connection.      Runs on: worker.
 * At most one op is pending, and `step` carries it on.  What the socket tells while nothing is waited for is only noted:
 * bytes sent ahead go to the slab once, then read interest is dropped until the answer is out. */
#include "gate/client_out.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gate/gate.h"
#include "gate/request.h"

#define LINGER_US        INT64_C(2000000)
#define LINGER_BYTES_MAX ((size_t)4 << 20)
/* A client that sends faster than it is read leaves room for the others. */
#define BODY_READS_PER_TURN 16

/* --- the end of a connection -------------------------------------------------------------------------------------------- */

static void free_retired(struct retired *retired)
{
    free(container_of(retired, struct client, retired));
}

static void client_close(struct client *c)
{
    struct gate *gate = c->gate;

    ASSERT(!c->req);
    client_write_gathered(c);
    if (c->must_reset)
        stream_reset(&c->stream);
    else
        stream_close(&c->stream);
    timer_clear(&c->timer);
    list_remove(&c->link);
    slab_give(&gate->slabs, &c->slab);
    free(c->backlog);
    c->backlog = NULL;
    atomic_fetch_sub(&gate->shared->connections, 1);
    gate->clients_len--;
    loop_retire(gate->loop, &c->retired, free_retired);
}

/* The other side may still be sending what nobody will read.  Closing at once would make its kernel drop the answer that
 * it has not read yet (RFC 9112 9.6), so its bytes are read away for a while. */
static void linger(struct client *c)
{
    c->is_lingering = true;
    c->linger_bytes = 0;
    slab_give(&c->gate->slabs, &c->slab);
    stream_shut_write(&c->stream);
    stream_want(&c->stream, STREAM_READ);
    timer_set(c->gate->loop, &c->timer, loop_now_us(c->gate->loop) + LINGER_US);
}

static void linger_read(struct client *c)
{
    struct gate *gate = c->gate;
    size_t len = 0;
    enum status st = stream_read(&c->stream, gate->buffer, gate->buffer_size, &len);

    c->linger_bytes += len;
    if (st == ST_PENDING || (st == ST_OK && c->linger_bytes < LINGER_BYTES_MAX))
        return;
    client_close(c);
}

void client_mark_gone(struct client *c)
{
    c->is_gone = true;
    c->must_close = true;
    c->backlog_len = 0;
    client_drop_gathered(c);
    stream_close(&c->stream);
    timer_clear(&c->timer);
}

void client_lost(struct client *c)
{
    struct op *op = c->op;

    client_mark_gone(c);
    c->op = NULL;
    c->step = NULL;
    if (!c->req)
        client_close(c);
    else if (op)
        op_done(op, ST_CLOSED);
    else
        request_client_gone(c->req);
}

/* --- waiting ------------------------------------------------------------------------------------------------------------ */

static void wait_cancel(struct op *op)
{
    struct client *c = op->callee;

    c->op = NULL;
    c->step = NULL;
}

enum status client_wait_with(struct client *c, enum status (*step)(struct client *c), struct op *op)
{
    c->op = op;
    c->step = step;
    op->callee = c;
    op->cancel = wait_cancel;
    return ST_PENDING;
}

/* After a read that found none.  Read interest is dropped where bytes come that nobody waits for, so a wait for bytes begins
 * by asking for it. */
static enum status wait_for_bytes(struct client *c, enum status (*step)(struct client *c),
                                  struct op *op)
{
    if (!(c->stream.wanted & STREAM_READ))
        stream_want(&c->stream, c->stream.wanted | STREAM_READ);
    return client_wait_with(c, step, op);
}

static void run_step(struct client *c)
{
    enum status st = c->step(c);
    struct op *op = c->op;

    if (st == ST_PENDING)
        return;
    c->op = NULL;
    c->step = NULL;
    op_done(op, st);
}

/* --- reading ------------------------------------------------------------------------------------------------------------ */

/* Reads behind what the slab holds.  ST_LIMIT: it is full. */
static enum status read_more(struct client *c, size_t *out_len)
{
    struct gate *gate = c->gate;
    enum status st;

    if (!c->slab) {
        c->slab = slab_take(&gate->slabs);
        c->head_len = 0;
    }
    if (!c->slab)
        return ST_NOMEM;
    if (c->slab->len == gate->slabs.bytes)
        return ST_LIMIT;
    st = stream_read(&c->stream, c->slab->bytes + c->slab->len, gate->slabs.bytes - c->slab->len,
                     out_len);
    if (st == ST_OK)
        c->slab->len += *out_len;
    else if (c->slab->len == 0)
        slab_give(&gate->slabs, &c->slab);
    return st;
}

/* Who waits for bytes need not know how it was that they end. */
static enum status end_of_bytes(enum status st)
{
    return st == ST_UNAVAILABLE ? ST_CLOSED : st;
}

/* Parses the slab's bytes from `at` on as (more of) a head. */
static enum status parse_head(struct client *c)
{
    struct slab *slab = c->slab;
    size_t consumed = 0;
    enum status st =
        http_parser_head(&c->slab->parser, slab->bytes + slab->at, slab->len - slab->at, &consumed);

    slab->at = st == ST_PENDING ? slab->len : slab->at + consumed;
    if (st == ST_OK) {
        c->head_len = slab->at;
        c->is_read = c->slab->parser.is_complete;
    }
    return st;
}

static enum status head_step(struct client *c)
{
    for (;;) {
        size_t len = 0;
        enum status st = read_more(c, &len);

        if (st == ST_LIMIT) {
            c->slab->parser.fault = HTTP_FAULT_HEAD_TOO_LARGE;
            return ST_INVALID;
        }
        if (st != ST_OK)
            return end_of_bytes(st);
        st = parse_head(c);
        if (st != ST_PENDING)
            return st;
    }
}

enum status client_await_head(struct client *c, struct op *op)
{
    enum status st;

    c->is_read = false;
    slab_compact(c->slab);
    http_parser_init(&c->slab->parser, HTTP_REQUESTS, &c->gate->limits);
    http_parser_next(&c->slab->parser, &c->slab->head);
    st = parse_head(c);
    if (st == ST_PENDING)
        st = head_step(c);
    return st == ST_PENDING ? wait_for_bytes(c, head_step, op) : st;
}

/* Moves body bytes that are at hand in [*at, len) of `bytes` to the body.  ST_OK: the body is whole. */
static enum status take_body(struct client *c, const char *bytes, size_t *at, size_t len)
{
    while (*at < len && !c->is_read) {
        struct text piece = TEXT_NONE;
        size_t consumed = 0;
        enum status st =
            http_parser_body(&c->slab->parser, bytes + *at, len - *at, &consumed, &piece);

        if (st != ST_OK)
            return st;
        c->is_read = c->slab->parser.is_complete;
        *at += consumed;
        if (c->body)
            st = body_append(c->body, piece);
        if (st != ST_OK)
            return st;
    }
    return c->is_read ? ST_OK : ST_PENDING;
}

static enum status take_body_from_slab(struct client *c)
{
    enum status st = take_body(c, c->slab->bytes, &c->slab->at, c->slab->len);

    if (c->slab->at == c->slab->len) {
        c->slab->at = c->head_len;
        c->slab->len = c->head_len;
    }
    return st;
}

static size_t body_read_size(const struct client *c)
{
    return (size_t)MIN((int64_t)c->gate->buffer_size, c->slab->parser.body_left);
}

/* A body of known length is read in large parts, and never past its end; a chunked one through the slab, where bytes of a
 * next request may stay. */
static enum status body_step(struct client *c)
{
    struct gate *gate = c->gate;

    for (int reads = 0; reads < BODY_READS_PER_TURN; reads++) {
        size_t len = 0, at = 0;
        enum status st;

        if (c->slab->parser.body_left > 0) {
            st = stream_read(&c->stream, gate->buffer, body_read_size(c), &len);
            if (st == ST_OK)
                st = take_body(c, gate->buffer, &at, len);
        } else {
            st = read_more(c, &len);
            if (st == ST_OK)
                st = take_body_from_slab(c);
        }
        if (st != ST_PENDING)
            return end_of_bytes(st);
        if (len == 0)
            return ST_PENDING;
        request_moved(c->req);
    }
    return ST_PENDING;
}

enum status client_await_body(struct client *c, struct body *body, struct op *op)
{
    enum status st;

    c->body = body;
    if (c->is_gone)
        return ST_CLOSED;
    if (c->is_read)
        return ST_OK;
    st = take_body_from_slab(c);
    if (st == ST_PENDING)
        st = body_step(c);
    return st == ST_PENDING ? wait_for_bytes(c, body_step, op) : st;
}

bool client_skip_body(struct client *c)
{
    c->body = NULL;
    if (c->is_read)
        return true;
    return c->slab && c->slab->parser.is_head_done && take_body_from_slab(c) == ST_OK;
}

void client_release_head(struct client *c)
{
    if (c->slab && c->slab->at == c->slab->len)
        slab_give(&c->gate->slabs, &c->slab);
    c->head_len = 0;
    gate_trim_later(c->gate);
}

/* The first bytes of a request, or the end, on an idle connection.  Where bytes are there already, the request waits in
 * gate->eager for the end of this turn. */
static void read_first(struct client *c)
{
    size_t len = 0;
    enum status st;

    if (c->slab)
        return;
    st = read_more(c, &len);
    if (st == ST_OK)
        request_start(c);
    else if (st != ST_PENDING)
        client_close(c);
}

/* Bytes, or the end, while a request is at work. */
static void read_ahead(struct client *c)
{
    size_t len = 0;
    enum status st = read_more(c, &len);

    if (st == ST_PENDING)
        return;
    if (st == ST_UNAVAILABLE) {
        client_lost(c);
        return;
    }
    stream_want(&c->stream, c->backlog_len ? STREAM_WRITE : 0);
    if (st != ST_CLOSED)
        return;
    c->is_half_closed = true;
    request_client_half_closed(c->req);
}

/* --- a life ------------------------------------------------------------------------------------------------------------- */

static void on_ready(struct stream *stream, unsigned what)
{
    struct client *c = container_of(stream, struct client, stream);
    bool waits_for_bytes;

    if (c->is_lingering) {
        linger_read(c);
        return;
    }
    if ((what & STREAM_WRITE) && c->backlog_len)
        client_write_backlog(c);
    if (c->is_gone || c->is_lingering || !stream_is_open(stream))
        return;
    waits_for_bytes = c->op && c->step != client_flush_step;
    if (!c->req && !c->backlog_len && (what & STREAM_READ))
        read_first(c);
    else if (c->req && !waits_for_bytes && (what & STREAM_READ))
        read_ahead(c);
    if (waits_for_bytes || (c->op && c->step == client_flush_step))
        run_step(c);
}

static void on_timer(struct timer *timer)
{
    struct client *c = container_of(timer, struct client, timer);

    if (c->req)
        client_lost(c); /* it takes nothing of its answer */
    else
        client_close(c);
}

static void idle(struct client *c)
{
    struct gate *gate = c->gate;

    stream_want(&c->stream, STREAM_READ);
    timer_set(gate->loop, &c->timer, loop_now_us(gate->loop) + gate->config->keep_alive_ms * 1000);
}

struct client *client_new(struct gate *gate, const struct address *from)
{
    struct client *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->gate = gate;
    c->peer = address_shorten(from);
    c->stream.ready = on_ready;
    timer_init(&c->timer, on_timer);
    list_init(&c->link);
    return c;
}

void client_begin(struct client *c)
{
    struct gate *gate = c->gate;

    list_push_back(&gate->clients, &c->link);
    gate->clients_len++;
    atomic_fetch_add(&gate->shared->connections, 1);
    idle(c);
}

enum status client_open(struct gate *gate, int fd, const struct address *from)
{
    struct client *c = client_new(gate, from);

    if (!c) {
        close(fd);
        return ST_NOMEM;
    }
    stream_open(&c->stream, gate->loop, fd);
    client_begin(c);
    return ST_OK;
}

void client_stop(struct client *c)
{
    c->must_reset = c->req || c->backlog_len;
    c->backlog_len = 0; /* or the request would wait for it to be taken */
    if (c->req)
        request_abort(c->req, OUTCOME_STOPPED);
    else
        client_close(c);
}

void client_close_idle(struct client *c)
{
    if (c->req || c->is_lingering)
        return;
    client_write_gathered(c);
    if (c->backlog_len)
        c->must_close = true; /* behind it */
    else
        client_close(c);
}

/* After the last answer: at once where all that came was read, else gently. */
static void end(struct client *c)
{
    bool is_all_read = c->is_read && !c->slab;

    if (c->is_gone || c->must_reset || is_all_read || c->is_half_closed)
        client_close(c);
    else
        linger(c);
}

/* There will be no further request on it. */
static bool must_end(const struct client *c)
{
    return c->is_gone || c->must_reset || c->must_close || (c->is_half_closed && !c->slab) ||
           atomic_load(&c->gate->shared->is_draining);
}

void client_go_on(struct client *c)
{
    struct gate *gate = c->gate;
    bool ends = must_end(c);

    if (ends)
        client_write_gathered(c);
    if (c->backlog_len && !c->must_reset)
        return; /* until that is written */
    if (ends) {
        end(c);
    } else if (c->slab) {
        list_remove(&c->link);
        list_push_back(&gate->eager, &c->link);
        loop_at_turn_end(gate->loop, &gate->eager_hook);
    } else {
        idle(c);
    }
}

void client_request_done(struct client *c)
{
    c->req = NULL;
    timer_clear(&c->timer);
    client_release_head(c);
    client_go_on(c);
}
