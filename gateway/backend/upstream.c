/* SPDX-License-Identifier: Apache-2.0 */
/* upstream.c - one exchange with a backend.      Runs on: worker.
 * At most one op is pending on an upstream, and `step` carries on what it waits for.  An upstream that waits for its
 * answer holds no buffer.  Read interest is kept on between waits and dropped when bytes come that nobody waits for. */
#include "backend/upstream.h"

#include "backend/pool.h"

#define READS_PER_TURN 16

/* upstream_pass_to(): worth it where so much is left to come; and what is never passed on. */
#define PASS_BYTES_MIN ((int64_t)64 << 10)
#define LAST_BYTES     4096

/* --- waiting ----------------------------------------------------------------------------------------------------------- */

static void wait_cancel(struct op *op)
{
    struct upstream *u = op->callee;

    u->op = NULL;
    u->step = NULL;
}

/* Has the step carried on when the stream is ready. */
static enum status wait_with(struct upstream *u, enum status (*step)(struct upstream *u),
                             unsigned what, struct op *op)
{
    u->op = op;
    u->step = step;
    op->callee = u;
    op->cancel = wait_cancel;
    stream_want(&u->stream, what);
    return ST_PENDING;
}

/* Tries it now first. */
static enum status run_step(struct upstream *u, enum status (*step)(struct upstream *u),
                            unsigned what, struct op *op)
{
    enum status st = step(u);

    return st == ST_PENDING ? wait_with(u, step, what, op) : st;
}

static void finish(struct upstream *u, enum status st)
{
    struct op *op = u->op;

    u->op = NULL;
    u->step = NULL;
    op_done(op, st);
}

static void retire(struct upstream *u);

bool upstream_is_quiet(struct upstream *u)
{
    char byte;
    size_t len;

    return stream_read(&u->stream, &byte, 1, &len) == ST_PENDING;
}

static void on_ready(struct stream *stream, unsigned what)
{
    struct upstream *u = container_of(stream, struct upstream, stream);

    UNUSED(what);
    if (u->op) {
        enum status st = u->step(u);

        if (st != ST_PENDING)
            finish(u, st);
    } else if (!list_is_empty(&u->link)) {
        if (!upstream_is_quiet(u))
            retire(u);
    } else {
        stream_want(stream, 0);
    }
}

static void on_idle_timer(struct timer *timer)
{
    retire(container_of(timer, struct upstream, idle_timer));
}

/* --- a life ------------------------------------------------------------------------------------------------------------ */

static void free_retired(struct retired *retired)
{
    struct upstream *u = container_of(retired, struct upstream, retired);

    shelf_give(&u->pool->upstreams, u);
}

static void give_buffers(struct upstream *u)
{
    slab_give(u->pool->slabs, &u->slab);
    shelf_give(&u->pool->slabs->parsers, u->parser);
    u->parser = NULL;
}

static void retire(struct upstream *u)
{
    list_remove(&u->link);
    timer_clear(&u->idle_timer);
    op_cancel(&u->connected);
    stream_close(&u->stream);
    give_buffers(u);
    loop_retire(u->pool->loop, &u->retired, free_retired);
}

static void connect_done(struct op *op, enum status st)
{
    finish(container_of(op, struct upstream, connected), st);
}

static void connect_cancel(struct op *op)
{
    struct upstream *u = op->callee;

    op_cancel(&u->connected);
    u->op = NULL;
}

struct upstream *upstream_new(struct pool *pool, struct backend *backend)
{
    struct upstream *u = shelf_take(&pool->upstreams);

    if (!u)
        return NULL;
    *u = (struct upstream){.pool = pool, .backend = backend};
    u->stream.ready = on_ready;
    list_init(&u->link);
    timer_init(&u->idle_timer, on_idle_timer);
    u->connected.done = connect_done;
    return u;
}

enum status upstream_connect(struct pool *pool, struct backend *backend, struct op *op,
                             struct upstream **out)
{
    struct upstream *u = upstream_new(pool, backend);
    enum status st;

    if (!u)
        return ST_NOMEM;
    st = stream_connect(&u->stream, pool->loop, &backend->address, &u->connected);
    if (st != ST_OK && st != ST_PENDING) {
        shelf_give(&pool->upstreams, u);
        return st;
    }
    if (st == ST_PENDING) {
        u->op = op;
        op->callee = u;
        op->cancel = connect_cancel;
    }
    *out = u;
    return st;
}

void upstream_give(struct upstream **where)
{
    struct upstream *u = *where;

    *where = NULL;
    if (!u)
        return;
    ASSERT(!u->op);
    if (stream_is_open(&u->stream) && u->keeps_alive && u->is_sent_whole &&
        upstream_is_complete(u) && !u->rest.len) {
        give_buffers(u);
        u->has_sent = false; /* of the job to come */
        pool_keep(u->pool, u);
        return;
    }
    retire(u);
}

/* --- the head of the answer -------------------------------------------------------------------------------------------- */

/* A backend that answers faster than its client reads leaves room for the others: what it sends beyond this waits for the
 * next turn. */
static bool may_read(struct upstream *u)
{
    uint64_t turn = loop_turn(u->pool->loop);

    if (u->read_turn != turn) {
        u->read_turn = turn;
        u->reads = 0;
    }
    if (u->reads++ < READS_PER_TURN)
        return true;
    stream_want(&u->stream, u->stream.wanted);
    return false;
}

/* Looks for a head in the last `len` bytes of the slab. */
static enum status parse_head(struct upstream *u, size_t len)
{
    struct slab *slab = u->slab;

    for (;;) {
        size_t consumed = 0;
        enum status st = http_parser_head(u->parser, slab->bytes + slab->len - len, len, &consumed);

        if (st != ST_OK)
            return st;
        slab->at = slab->len - len + consumed;
        if (slab->head.status >= 200)
            return ST_OK;
        if (slab->head.status == 101)
            return ST_INVALID; /* no upgrade was asked for */
        slab_compact(slab);
        http_parser_next(u->parser, &slab->head);
        len = slab->len;
        if (len == 0)
            return ST_PENDING;
    }
}

/* For the head of an answer; false: no memory. */
static bool take_buffers(struct upstream *u)
{
    if (!u->parser) {
        u->parser = shelf_take(&u->pool->slabs->parsers);
        if (!u->parser)
            return false;
        http_parser_init(u->parser, HTTP_ANSWERS, &u->pool->limits);
    }
    u->slab = slab_take(u->pool->slabs);
    if (!u->slab)
        return false;
    http_parser_next(u->parser, &u->slab->head);
    u->parser->answers_head = u->answers_head;
    return true;
}

static enum status head_step(struct upstream *u)
{
    for (;;) {
        size_t len = 0;
        enum status st;

        if (!may_read(u))
            return ST_PENDING;
        if (!u->slab && !take_buffers(u))
            return ST_NOMEM;
        if (u->slab->len == u->pool->slabs->bytes)
            return ST_INVALID;
        st = stream_read(&u->stream, u->slab->bytes + u->slab->len,
                         u->pool->slabs->bytes - u->slab->len, &len);
        if (st == ST_PENDING && u->slab->len == 0)
            give_buffers(u);
        if (st == ST_PENDING)
            return ST_PENDING;
        if (st != ST_OK)
            return ST_UNAVAILABLE;
        u->slab->len += len;
        st = parse_head(u, len);
        if (st != ST_PENDING)
            return st;
    }
}

static enum status find_head(struct upstream *u)
{
    if (u->head_st != ST_PENDING)
        return u->head_st;
    u->head_st = head_step(u);
    if (u->head_st == ST_OK) {
        u->keeps_alive = u->slab->head.keeps_alive;
        u->rest = (struct text){u->slab->bytes + u->slab->at, u->slab->len - u->slab->at};
    }
    return u->head_st;
}

/* --- sending ----------------------------------------------------------------------------------------------------------- */

static void advance_iov(struct iovec *iov, size_t len)
{
    for (int i = 0; i < 2; i++) {
        size_t part = MIN(len, iov[i].iov_len);

        iov[i].iov_base = (char *)iov[i].iov_base + part;
        iov[i].iov_len -= part;
        len -= part;
    }
}

/* A backend that answers before it has read all may never read the rest: what it says is what counts.  One that is lost is
 * found so again by whoever waits for its answer, unless nothing had left. */
static enum status look_for_answer(struct upstream *u)
{
    if (find_head(u) == ST_PENDING)
        return ST_PENDING;
    return u->has_sent ? ST_OK : ST_UNAVAILABLE;
}

static enum status send_step(struct upstream *u)
{
    while (u->unsent[0].iov_len + u->unsent[1].iov_len > 0) {
        size_t len = 0;
        enum status st = stream_write(&u->stream, u->unsent, 2, &len);

        if (st == ST_PENDING)
            return look_for_answer(u);
        if (st != ST_OK)
            return u->has_sent ? ST_OK : ST_UNAVAILABLE; /* an answer may lie there */
        u->has_sent = true;
        advance_iov(u->unsent, len);
    }
    u->is_sent_whole = true;
    return ST_OK;
}

enum status upstream_send(struct upstream *u, struct text head, struct text body,
                          bool is_method_head, struct op *op)
{
    u->unsent[0] = (struct iovec){(void *)(uintptr_t)head.ptr, head.len};
    u->unsent[1] = (struct iovec){(void *)(uintptr_t)body.ptr, body.len};
    u->has_sent = false;
    u->is_sent_whole = false;
    u->head_st = ST_PENDING;
    u->rest = TEXT_NONE;
    u->passing_to = NULL;
    u->passed_bytes = 0;
    u->keeps_alive = false;
    u->answers_head = is_method_head;
    return run_step(u, send_step, STREAM_READ | STREAM_WRITE, op);
}

void upstream_move_head(struct upstream *u, struct text head)
{
    u->unsent[0].iov_base = (void *)(uintptr_t)(head.ptr + head.len - u->unsent[0].iov_len);
}

/* --- the answer -------------------------------------------------------------------------------------------------------- */

/* No answer is there in the moment in which its job has left: a read would only say so. */
enum status upstream_await_head(struct upstream *u, struct op *op)
{
    if (u->is_sent_whole && u->head_st == ST_PENDING)
        return wait_with(u, find_head, STREAM_READ, op);
    return run_step(u, find_head, STREAM_READ, op);
}

/* Hands out content from the bytes at hand.  ST_PENDING: there is none among them. */
static enum status take_piece(struct upstream *u)
{
    while (u->rest.len > 0 && !u->parser->is_complete) {
        size_t consumed = 0;
        enum status st =
            http_parser_body(u->parser, u->rest.ptr, u->rest.len, &consumed, &u->piece);

        if (st != ST_OK)
            return ST_INVALID;
        u->rest.ptr += consumed;
        u->rest.len -= consumed;
        if (u->piece.len > 0)
            return ST_OK;
    }
    return u->parser->is_complete ? ST_CLOSED : ST_PENDING;
}

bool upstream_is_passable(const struct upstream *u)
{
    return u->parser->framing == FRAMING_LENGTH && u->parser->body_left >= PASS_BYTES_MIN;
}

static enum status read_some(struct upstream *u, size_t *out_len)
{
    bool is_passed =
        u->passing_to && upstream_is_passable(u) && tee_fits(&u->stream, u->passing_to);
    struct teed teed = {.len = 0};
    enum status st;

    u->passed_bytes = 0;
    if (!is_passed)
        return stream_read(&u->stream, u->buf, u->buf_size, out_len);
    st = tee_read(u->tee, &u->stream, u->passing_to, u->buf,
                  MIN(u->buf_size, (size_t)(u->parser->body_left - LAST_BYTES)), &teed);
    *out_len = teed.len;
    u->passed_bytes = teed.sent;
    return st;
}

static enum status read_step(struct upstream *u)
{
    for (;;) {
        size_t len = 0;
        enum status st = take_piece(u);

        if (st == ST_OK)
            *u->piece_out = u->piece;
        if (st != ST_PENDING)
            return st;
        slab_give(u->pool->slabs, &u->slab);
        if (!may_read(u))
            return ST_PENDING;
        st = read_some(u, &len);
        if (st == ST_PENDING)
            return ST_PENDING;
        if (st == ST_CLOSED && http_parser_end(u->parser) == ST_OK) {
            u->keeps_alive = false;
            u->parser->is_complete = true;
            return ST_CLOSED;
        }
        if (st != ST_OK)
            return ST_UNAVAILABLE;
        u->rest = (struct text){u->buf, len};
    }
}

void upstream_pass_to(struct upstream *u, struct tee *tee, struct stream *to)
{
    u->tee = tee;
    u->passing_to = tee ? to : NULL;
}

enum status upstream_read(struct upstream *u, char *buf, size_t size, struct text *out,
                          struct op *op)
{
    u->buf = buf;
    u->buf_size = size;
    u->piece_out = out;
    return run_step(u, read_step, STREAM_READ, op);
}
