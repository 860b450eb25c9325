/* SPDX-License-Identifier: Apache-2.0 */
/* relay.c - RELAY: the backend's answer, streamed to the client, counted on the way.      Runs on: worker.
 * The order is the promise: a 2xx head is committed before a byte of it is written to the client; a failed job is given
 * back before; and the last bytes are written after the count was settled.  A client that leaves does not end this phase:
 * the GPU is at work, so slot and charge stay until the backend is done.
 *
 *   RELAY_HEAD -> RELAY_COMMIT -> (RELAY_PIECE | RELAY_CLIENT)... */
#include "core/cost.h"
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
    req->counted = req->dialect->count_end(&req->counter, false);
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
        whole = req->dialect->count_end(&req->counter, true);
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
    req->dialect->count_feed(&req->counter, (struct text){u->rest.ptr, (size_t)len});
    count_end(req);
    return true;
}

static enum status commit(struct request *req)
{
    int64_t used_units = QUOTA_SETTLE_LATER;

    if (req->operation == OPERATION_PASS)
        return ST_OK;
    if (!is_success(req)) {
        settle_quota(req, 0);
        return ST_OK;
    }
    req->is_counting = true;
    req->dialect->count_begin(&req->counter, &req->job, &req->upstream->slab->head);
    if (count_at_once(req))
        used_units = settle_counted_units(req);
    if (req->reservation.state != RESERVATION_HELD)
        return ST_OK;
    stats_add(&req->gate->stats, STAT_STORE_OPS, STORE_OP_COMMITTED, 1);
    req->relay_wait = RELAY_COMMIT;
    return quota_commit(req->gate->quota, &req->reservation, used_units, &req->op);
}

/* --- to the client ------------------------------------------------------------------------------------------------------ */

static void send_piece(struct request *req, struct text piece)
{
    char size[HTTP_CHUNK_BEGIN_MAX];
    struct text_out chunk;
    struct text end = req->is_rechunked && piece.len ? TEXT(HTTP_CHUNK_END) : TEXT_NONE;
    struct text parts[4];
    struct iovec iov[4];

    text_out_init(&chunk, size, sizeof(size));
    if (req->is_rechunked && piece.len)
        http_write_chunk_begin(&chunk, piece.len);
    parts[0] = req->answer_head;
    parts[1] = text_out_text(&chunk);
    parts[2] = piece;
    parts[3] = end;
    for (int i = 0; i < 4; i++)
        iov[i] = (struct iovec){(void *)(uintptr_t)parts[i].ptr, parts[i].len};
    req->answer_head = TEXT_NONE;
    req->is_answer_begun = true;
    client_send(req->client, iov, 4);
}

static void take_piece(struct request *req)
{
    if (req->is_counting && !req->is_counted)
        req->dialect->count_feed(&req->counter, req->piece);
    if (upstream_is_complete(req->upstream)) {
        count_end(req);
        settle_quota(req, settle_counted_units(req));
    }
    send_piece(req, req->piece);
}

static void send_end(struct request *req)
{
    struct iovec iov = {(void *)(uintptr_t)HTTP_LAST_CHUNK, sizeof(HTTP_LAST_CHUNK) - 1};

    count_end(req);
    settle_quota(req, settle_counted_units(req));
    if (!req->is_answer_begun)
        send_piece(req, TEXT_NONE);
    if (req->is_rechunked)
        client_send(req->client, &iov, 1);
    if (req->ends_by_close)
        req->client->must_close = true;
}

/* --- the pump ----------------------------------------------------------------------------------------------------------- */

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
                return st;
        }
        req->relay_wait = RELAY_PIECE;
        st = upstream_read(req->upstream, gate->buffer, size, &req->piece, &req->op);
        if (st == ST_CLOSED)
            break;
        if (st != ST_OK)
            return st;
        take_piece(req);
    }
    send_end(req);
    return ST_OK;
}

static enum status head_came(struct request *req)
{
    struct gate *gate = req->gate;
    const struct http_head *head = &req->upstream->slab->head;
    int index = req->backend->index;
    enum status st;

    req->first_byte_us = loop_now_us(gate->loop);
    req->answer_status = head->status;
    stats_observe_us(&gate->stats, STAT_FIRST_BYTE_SECONDS, index,
                     req->first_byte_us - req->sent_us);
    stats_add(&gate->stats, STAT_BACKEND_ANSWERS, index * STAT_CLASSES + head->status / 100, 1);
    if (head->status < 500)
        backend_succeeded(req->backend);
    else if (backend_failed(req->backend, (int)req->config->eject_after))
        stats_add(&gate->stats, STAT_BACKEND_EJECTIONS, index, 1);
    req->answer_head = forward_answer_head(req, head);
    if (!req->answer_head.len)
        return ST_NOMEM;
    st = commit(req);
    return st == ST_PENDING ? st : pump(req);
}

static void on_op(struct op *op, enum status st)
{
    struct request *req = container_of(op, struct request, op);

    timer_clear(&req->timer);
    if (st == ST_OK && req->relay_wait == RELAY_HEAD) {
        st = head_came(req);
    } else if (st == ST_CLOSED && req->relay_wait == RELAY_PIECE) {
        send_end(req);
        st = ST_OK;
    } else if (st == ST_OK || req->relay_wait == RELAY_CLIENT || req->relay_wait == RELAY_COMMIT) {
        if (req->relay_wait == RELAY_PIECE)
            take_piece(req);
        st = pump(req);
    }
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
    st = upstream_await_head(req->upstream, req->is_method_head, &req->op);
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

static void lost(struct request *req)
{
    struct gate *gate = req->gate;
    int index = req->backend->index;

    stats_add(&gate->stats, STAT_BACKEND_ANSWERS, index * STAT_CLASSES, 1);
    if (backend_failed(req->backend, (int)req->config->eject_after))
        stats_add(&gate->stats, STAT_BACKEND_EJECTIONS, index, 1);
}

/* After the head went out, breaking the connection is the only way to say that the answer is not whole. */
static enum outcome outcome_when_broken(struct request *req, enum status st)
{
    lost(req);
    if (!req->is_answer_begun) {
        req->answer_head = TEXT_NONE;
        req->answer_status = 0;
        return outcome_without_head(st);
    }
    relay_cut(req);
    req->client->must_reset = true;
    return OUTCOME_BROKEN_OFF;
}

enum step relay_end(struct request *req, enum status st)
{
    req->op.done = request_on_done;
    return request_end_with(req, st == ST_OK ? outcome_when_whole(req)
                                             : outcome_when_broken(req, st));
}
