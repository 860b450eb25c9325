/* SPDX-License-Identifier: Apache-2.0 */
/* relay.c - RELAY: the backend's answer, streamed to the client, counted on the way.      Runs on: worker.
 * The order is the promise: a 2xx head is committed before a byte of it is written to the client; and what comes back is
 * on its way to the store before the client can know that its request is over, so that its next one finds it there.  A
 * client that leaves does not end this phase: the GPU is at work, so slot and charge stay until the backend is done.
 *
 *   RELAY_HEAD -> RELAY_COMMIT -> (RELAY_PIECE | RELAY_CLIENT)... -> RELAY_SETTLE */
#include "gate/request.h"
#include "http/writer.h"

/* A client that is slow to read gets small pieces, so that little waits for it in memory. */
#define SLOW_READ_BYTES 16384

int64_t relay_budget(const struct request *req)
{
    switch (req->relay_wait) {
    case RELAY_HEAD:
        return req->config->answer_timeout_ms;
    case RELAY_PIECE:
        return req->config->answer_idle_ms;
    case RELAY_NONE:
    case RELAY_COMMIT: /* the store's own deadline */
    case RELAY_SETTLE:
    case RELAY_CLIENT: /* the client's own */
        break;
    }
    return 0;
}

static bool is_success(const struct request *req)
{
    return req->answer_status / 100 == 2;
}

/* --- counting and charging ---------------------------------------------------------------------------------------------- */

static void count_end(struct request *req)
{
    if (!req->is_counting || req->is_counted)
        return;
    req->is_counted = true;
    req->counted = req->dialect->count_end(req->counter, false);
    if (req->counted > req->job.images)
        stats_add(&req->gate->stats, STAT_IMAGES_EXTRA, request_stats_tier(req),
                  (uint64_t)(req->counted - req->job.images));
}

/* Where it cannot be counted, nobody can say that an image was whole. */
void relay_cut(struct request *req)
{
    int64_t whole = 0;

    if (req->is_counted)
        return;
    if (req->is_counting)
        whole = req->dialect->count_end(req->counter, true);
    req->is_counted = true;
    req->counted = MAX(whole, 0);
}

/* All of the answer came with its head: one call commits and settles. */
static bool count_at_once(struct request *req)
{
    const struct upstream *u = req->upstream;
    int64_t len = u->slab->head.content_length;

    if (len < 0 || (uint64_t)len > u->rest.len)
        return false;
    req->dialect->count_feed(req->counter, (struct text){u->rest.ptr, (size_t)len});
    count_end(req);
    return true;
}

/* Where there is no room for one, the answer cannot be counted. */
static bool take_counter(struct request *req)
{
    req->counter = arena_alloc(&req->arena, sizeof(*req->counter));
    req->is_counting = req->counter != NULL;
    return req->is_counting;
}

static enum status commit(struct request *req)
{
    int64_t used_images = QUOTA_SETTLE_LATER;

    if (req->operation == OPERATION_PASS)
        return ST_OK;
    if (!is_success(req)) {
        used_images = 0;
    } else if (take_counter(req)) {
        req->dialect->count_begin(req->counter, &req->job, &req->upstream->slab->head);
        if (count_at_once(req))
            used_images = settle_counted_images(req);
    }
    if (req->reservation->state != RESERVATION_HELD)
        return ST_OK;
    stats_add(&req->gate->stats, STAT_STORE_OPS, STORE_OP_COMMITTED, 1);
    req->relay_wait = RELAY_COMMIT;
    return quota_commit(req->gate->quota, req->reservation, used_images, &req->op);
}

/* --- to the client ------------------------------------------------------------------------------------------------------ */

#define PARTS_MAX 5

struct parts {
    struct iovec iov[PARTS_MAX];
    int len;
};

static void add_part(struct parts *parts, struct text t)
{
    if (t.len > 0)
        parts->iov[parts->len++] = (struct iovec){(void *)(uintptr_t)t.ptr, t.len};
}

/* The head, if it is still here, and a piece of the content in the answer's framing; is_last: and the end. */
static void send_piece(struct request *req, struct text piece, bool is_last)
{
    char size[HTTP_CHUNK_BEGIN_MAX];
    struct text_out begin;
    bool is_chunk = req->is_rechunked && piece.len > 0;
    struct parts parts = {.len = 0};

    text_out_init(&begin, size, sizeof(size));
    if (is_chunk)
        http_write_chunk_begin(&begin, piece.len);
    add_part(&parts, req->answer_head);
    add_part(&parts, text_out_text(&begin));
    add_part(&parts, piece);
    add_part(&parts, is_chunk ? TEXT(HTTP_CHUNK_END) : TEXT_NONE);
    add_part(&parts, is_last && req->is_rechunked ? TEXT(HTTP_LAST_CHUNK) : TEXT_NONE);
    req->answer_head = TEXT_NONE;
    req->is_answer_begun = true;
    client_send(req->client, parts.iov, parts.len);
}

static enum status finish(struct request *req, struct text last)
{
    if (last.len || !req->is_answer_begun || req->is_rechunked)
        send_piece(req, last, true);
    if (req->ends_by_close)
        req->client->must_close = true;
    return ST_OK;
}

/* A head that is not on its way lies where others write theirs.  False: no room to keep it. */
static bool keep_head(struct request *req)
{
    if (req->answer_head.ptr == req->gate->scratch)
        req->answer_head = arena_copy(&req->arena, req->answer_head);
    return req->is_answer_begun || req->answer_head.len > 0;
}

static enum status wait(struct request *req)
{
    if (keep_head(req))
        return ST_PENDING;
    op_cancel(&req->op);
    return ST_NOMEM;
}

/* The answer is whole.  Where images come back, its last piece, which lies in a buffer that others use, is kept until that
 * is on its way. */
static enum status whole(struct request *req, struct text last)
{
    int64_t used_images;

    if (req->is_counting && !req->is_counted)
        req->dialect->count_feed(req->counter, last);
    count_end(req);
    used_images = settle_counted_images(req);
    if (settle_gives_back(req, used_images)) {
        if (!keep_head(req))
            return ST_NOMEM;
        req->piece = arena_copy(&req->arena, last);
        req->relay_wait = RELAY_SETTLE;
        if (req->piece.len == last.len && settle_quota(req, used_images, &req->op) == ST_PENDING)
            return ST_PENDING;
    }
    (void)settle_quota(req, used_images, NULL);
    return finish(req, last);
}

/* --- the pump ----------------------------------------------------------------------------------------------------------- */

/* Some of it may have gone to the client already. */
static void pass_piece(struct request *req)
{
    size_t passed = req->upstream->passed_bytes;

    if (req->is_counting && !req->is_counted)
        req->dialect->count_feed(req->counter, req->piece);
    if (passed < req->piece.len)
        send_piece(req, (struct text){req->piece.ptr + passed, req->piece.len - passed}, false);
}

/* Content that goes to the client as it comes, behind its head, can go there by itself. */
static void pass_by_itself(struct request *req)
{
    struct stream *to = NULL;

    if (req->is_answer_begun && !req->is_rechunked && upstream_is_passable(req->upstream))
        to = client_outlet(req->client);
    upstream_pass_to(req->upstream, req->gate->tee, to);
}

/* Until a wait, the end (ST_OK), or what broke it. */
static enum status pump(struct request *req)
{
    struct gate *gate = req->gate;
    struct client *client = req->client;

    for (;;) {
        size_t size = client->backlog_size ? SLOW_READ_BYTES : gate->buffer_size;
        enum status st;

        if (client->backlog_len && !upstream_has_rest(req->upstream)) {
            req->relay_wait = RELAY_CLIENT;
            st = client_flush(client, &req->op);
            if (st == ST_PENDING)
                return wait(req);
        }
        req->relay_wait = RELAY_PIECE;
        pass_by_itself(req);
        st = upstream_read(req->upstream, gate->buffer, size, &req->piece, &req->op);
        if (st == ST_PENDING)
            return wait(req);
        if (st == ST_CLOSED)
            return whole(req, TEXT_NONE);
        if (st != ST_OK)
            return st;
        if (upstream_is_complete(req->upstream))
            return whole(req, req->piece);
        pass_piece(req);
    }
}

/* The head goes out with what comes first of the content. */
static enum status begin_answer(struct request *req)
{
    req->answer_head = forward_answer_head(req, &req->upstream->slab->head);
    return req->answer_head.len ? pump(req) : ST_NOMEM;
}

static enum status piece_came(struct request *req)
{
    if (upstream_is_complete(req->upstream))
        return whole(req, req->piece);
    pass_piece(req);
    return pump(req);
}

/* An image whose charge the store would not take is delivered all the same: the GPU did the work.  But not one that is no
 * longer held, while this gateway stood still or had lost its store: others may have used what it was to be charged to. */
static enum status committed(struct request *req, enum status st)
{
    bool is_refused = st != ST_OK && req->reservation->state == RESERVATION_NONE;

    if (is_refused)
        stats_add(&req->gate->stats, STAT_STORE_OPS,
                  st == ST_LIMIT ? STORE_OP_REFUSED : STORE_OP_FAILED, 1);
    if (is_refused && (st == ST_LIMIT || req->terms->on_store_down != STORE_DOWN_OPEN))
        return st;
    req->is_without_store = req->is_without_store || is_refused;
    return begin_answer(req);
}

static enum status head_came(struct request *req)
{
    const struct http_head *head = &req->upstream->slab->head;

    req->first_byte_us = loop_now_us(req->gate->loop);
    req->answer_status = head->status;
    stats_observe_us(&req->gate->stats, STAT_FIRST_BYTE_SECONDS, req->backend->index,
                     req->first_byte_us - req->sent_us);
    dispatch_count_answer(req, head->status / 100);

    enum status st = commit(req);

    return st == ST_PENDING ? st : committed(req, st);
}

static enum status carry_on(struct request *req, enum status st)
{
    switch (req->relay_wait) {
    case RELAY_HEAD:
        return st == ST_OK ? head_came(req) : st;
    case RELAY_PIECE:
        if (st == ST_CLOSED)
            return whole(req, TEXT_NONE);
        return st == ST_OK ? piece_came(req) : st;
    case RELAY_COMMIT:
        return committed(req, st);
    case RELAY_CLIENT:
        return pump(req);
    case RELAY_SETTLE:
        return finish(req, req->piece);
    case RELAY_NONE:
        break;
    }
    ASSERT(!"a relay that waits for nothing");
    return ST_UNAVAILABLE;
}

static void on_op(struct op *op, enum status st)
{
    struct request *req = container_of(op, struct request, op);

    timer_clear(&req->timer);
    st = carry_on(req, st);
    if (st == ST_PENDING)
        request_moved(req);
    else
        request_advance(req, st);
}

enum status relay_begin(struct request *req)
{
    enum status st;

    req->op.done = on_op;
    req->relay_wait = RELAY_HEAD;
    st = upstream_await_head(req->upstream, &req->op);
    return st == ST_OK ? head_came(req) : st;
}

/* --- the end ------------------------------------------------------------------------------------------------------------ */

static enum outcome outcome_when_whole(const struct request *req)
{
    if (req->answer_status >= 500)
        return OUTCOME_BACKEND_FAILED;
    if (req->answer_status >= 300)
        return OUTCOME_BACKEND_REFUSED;
    return req->client->is_gone ? OUTCOME_CLIENT_LEFT : OUTCOME_DELIVERED;
}

/* No head was passed on, so the gateway answers itself. */
static enum outcome outcome_without_head(enum status st)
{
    if (st == ST_NOMEM)
        return OUTCOME_NO_MEMORY;
    if (st == ST_TIMEOUT)
        return OUTCOME_BACKEND_TIMEOUT;
    return st == ST_INVALID ? OUTCOME_BACKEND_INVALID : OUTCOME_BACKEND_LOST;
}

/* After the head went out, breaking the connection is the only way to say that the answer is not whole. */
static enum outcome outcome_when_broken(struct request *req, enum status st)
{
    if (st != ST_NOMEM)
        dispatch_count_answer(req, DISPATCH_LOST);
    if (!req->is_answer_begun) {
        req->answer_head = TEXT_NONE;
        req->answer_status = 0;
        return outcome_without_head(st);
    }
    relay_cut(req);
    req->client->must_reset = true;
    return OUTCOME_BROKEN_OFF;
}

/* The answer is thrown away. */
static enum outcome outcome_when_not_held(struct request *req, enum status st)
{
    const struct reservation *r = req->reservation;

    req->answer_head = TEXT_NONE;
    req->answer_status = 0;
    return st == ST_LIMIT ? outcome_of_limit(r->limits[r->refused_by].limit.rule.kind)
                          : OUTCOME_STORE_UNAVAILABLE;
}

enum step relay_end(struct request *req, enum status st)
{
    req->op.done = request_on_done;
    if (st != ST_OK && req->relay_wait == RELAY_COMMIT)
        return request_end_with(req, outcome_when_not_held(req, st));
    return request_end_with(req,
                            st == ST_OK ? outcome_when_whole(req) : outcome_when_broken(req, st));
}
