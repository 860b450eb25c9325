/* SPDX-License-Identifier: Apache-2.0 */
/* client_out.c - what is written to a client.      Runs on: worker.
 * The short answers of a turn are gathered, and given to the kernel at its end, one behind the other: a client program
 * that is woken by the first finds them all, and asks anew with as many at once.  What the socket does not take is the
 * backlog.  A client has something gathered, or a backlog, or neither. */
#include "gate/client_out.h"

#include <stdlib.h>
#include <string.h>

#include "gate/gate.h"

#define GATHERED_BYTES_MAX ((size_t)2048) /* of one client */
#define GATHER_BYTES       ((size_t)64 << 10)
#define GATHER_MAX         128

struct gathered {
    struct client *client; /* NULL: it was dropped, or written already */
    size_t at, len;
};

/* A worker's. */
struct client_gather {
    struct turn_hook hook;
    struct gathered answers[GATHER_MAX];
    int answers_len;
    size_t bytes_len;
    char bytes[GATHER_BYTES];
};

/* --- the backlog -------------------------------------------------------------------------------------------------------- */

static void write_timer_set(struct client *c)
{
    struct gate *gate = c->gate;

    timer_set(gate->loop, &c->timer,
              loop_now_us(gate->loop) + gate->config->write_timeout_ms * 1000);
}

static bool backlog_add(struct client *c, const char *bytes, size_t len)
{
    if (c->backlog_at + c->backlog_len + len > c->backlog_size) {
        size_t size = MAX(c->backlog_len + len, (size_t)4096);
        char *grown = malloc(size);

        if (!grown)
            return false;
        if (c->backlog_len)
            memcpy(grown, c->backlog + c->backlog_at, c->backlog_len);
        free(c->backlog);
        c->backlog = grown;
        c->backlog_size = size;
        c->backlog_at = 0;
    }
    memcpy(c->backlog + c->backlog_at + c->backlog_len, bytes, len);
    c->backlog_len += len;
    return true;
}

/* Writes all, or keeps the rest.  False: the client is lost. */
static bool write_or_keep(struct client *c, const struct iovec *iov, int iov_len)
{
    size_t sent = 0;
    bool had_backlog = c->backlog_len > 0;
    enum status st = ST_OK;

    if (!had_backlog)
        st = stream_write(&c->stream, iov, iov_len, &sent);
    if (st == ST_PENDING)
        sent = 0;
    else if (st != ST_OK)
        return false;
    for (int i = 0; i < iov_len; i++) {
        size_t part = MIN(sent, iov[i].iov_len);

        sent -= part;
        if (part < iov[i].iov_len &&
            !backlog_add(c, (const char *)iov[i].iov_base + part, iov[i].iov_len - part))
            return false;
    }
    if (c->backlog_len && !had_backlog) {
        stream_want(&c->stream, c->stream.wanted | STREAM_WRITE);
        write_timer_set(c);
    }
    return true;
}

void client_write_backlog(struct client *c)
{
    struct iovec iov = {c->backlog + c->backlog_at, c->backlog_len};
    size_t sent = 0;
    enum status st = stream_write(&c->stream, &iov, 1, &sent);

    if (st == ST_PENDING)
        return;
    if (st != ST_OK) {
        client_lost(c);
        return;
    }
    c->backlog_at += sent;
    c->backlog_len -= sent;
    if (c->backlog_len) {
        write_timer_set(c);
        return;
    }
    free(c->backlog);
    c->backlog = NULL;
    c->backlog_at = c->backlog_size = 0;
    timer_clear(&c->timer);
    stream_want(&c->stream, c->stream.wanted & ~(unsigned)STREAM_WRITE);
    if (!c->req)
        client_go_on(c);
}

/* --- what a turn gathers ------------------------------------------------------------------------------------------------ */

static struct gathered take_gathered(struct gathered *answer)
{
    struct gathered taken = *answer;

    answer->client->has_gathered = false;
    answer->client = NULL;
    return taken;
}

static bool write_gathered(struct client_gather *gather, struct gathered answer)
{
    struct iovec iov = {gather->bytes + answer.at, answer.len};

    return write_or_keep(answer.client, &iov, 1);
}

static void on_turn_last(struct turn_hook *hook)
{
    struct client_gather *gather = container_of(hook, struct client_gather, hook);

    /* One that is lost may end others' requests, whose answers are gathered behind these. */
    for (int i = 0; i < gather->answers_len; i++) {
        if (!gather->answers[i].client)
            continue;
        struct gathered answer = take_gathered(&gather->answers[i]);

        if (!write_gathered(gather, answer))
            client_lost(answer.client);
    }
    gather->answers_len = 0;
    gather->bytes_len = 0;
}

struct client_gather *client_gather_new(void)
{
    struct client_gather *gather = malloc(sizeof(*gather));

    if (!gather)
        return NULL;
    turn_hook_init(&gather->hook, on_turn_last);
    gather->answers_len = 0;
    gather->bytes_len = 0;
    return gather;
}

static size_t iov_bytes(const struct iovec *iov, int iov_len)
{
    size_t len = 0;

    for (int i = 0; i < iov_len; i++)
        len += iov[i].iov_len;
    return len;
}

/* False: it has to be written now. */
static bool gather_answer(struct client *c, const struct iovec *iov, int iov_len)
{
    struct client_gather *gather = c->gate->gather;
    size_t at = gather->bytes_len;
    size_t len = iov_bytes(iov, iov_len);

    if (c->has_gathered || c->backlog_len || len > MIN(GATHERED_BYTES_MAX, GATHER_BYTES - at) ||
        gather->answers_len == GATHER_MAX)
        return false;
    gather->answers[gather->answers_len++] = (struct gathered){c, at, len};
    for (int i = 0; i < iov_len; i++) {
        memcpy(gather->bytes + gather->bytes_len, iov[i].iov_base, iov[i].iov_len);
        gather->bytes_len += iov[i].iov_len;
    }
    c->has_gathered = true;
    loop_at_turn_last(c->gate->loop, &gather->hook);
    return true;
}

static struct gathered *gathered_of(const struct client *c)
{
    struct gathered *answer = c->gate->gather->answers;

    while (answer->client != c)
        answer++;
    return answer;
}

void client_drop_gathered(struct client *c)
{
    if (c->has_gathered)
        take_gathered(gathered_of(c));
}

void client_write_gathered(struct client *c)
{
    if (c->has_gathered && !write_gathered(c->gate->gather, take_gathered(gathered_of(c))))
        client_mark_gone(c);
}

/* --- both --------------------------------------------------------------------------------------------------------------- */

void client_send(struct client *c, const struct iovec *iov, int iov_len)
{
    if (c->is_gone || gather_answer(c, iov, iov_len))
        return;
    client_write_gathered(c);
    if (!c->is_gone && !write_or_keep(c, iov, iov_len))
        client_mark_gone(c);
}

struct stream *client_outlet(struct client *c)
{
    client_write_gathered(c);
    return c->is_gone || c->backlog_len ? NULL : &c->stream;
}

enum status client_flush_step(struct client *c)
{
    return c->backlog_len ? ST_PENDING : ST_OK;
}

enum status client_flush(struct client *c, struct op *op)
{
    if (c->is_gone)
        return ST_CLOSED;
    return c->backlog_len ? client_wait_with(c, client_flush_step, op) : ST_OK;
}
