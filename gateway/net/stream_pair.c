/* SPDX-License-Identifier: Apache-2.0 */
/* stream_pair.c - two ends in memory, for tests without sockets.      Runs on: the loop's thread.
 * An end owns the bytes that it has not read yet, and a bell: the hook that calls ready() in the next turn, and again in
 * the one after that for as long as what is wanted is possible, as a level-triggered descriptor would. */
#include "net/stream.h"

#include <stdlib.h>
#include <string.h>

struct pair_end {
    struct turn_hook bell;
    struct stream *stream; /* whose end this is */
    size_t len;            /* of the unread bytes */
    size_t capacity;       /* of unread */
    bool has_fin;          /* nothing more will come */
    bool is_broken;        /* the other side was reset */
    bool is_shut;          /* FIN was sent from here */
    char unread[];
};

static struct pair_end *end_of(const struct stream *s)
{
    return s->read_event;
}

static unsigned possible(const struct stream *s)
{
    const struct pair_end *end = end_of(s);
    bool can_read = end->len > 0 || end->has_fin || end->is_broken;
    bool can_write = !s->other || end_of(s->other)->len < end_of(s->other)->capacity;

    return (can_read ? STREAM_READ : 0U) | (can_write ? STREAM_WRITE : 0U);
}

static void ring(struct stream *s)
{
    if (possible(s) & s->wanted)
        loop_at_next_turn(s->loop, &end_of(s)->bell);
}

static void on_bell(struct turn_hook *bell)
{
    struct stream *s = container_of(bell, struct pair_end, bell)->stream;
    unsigned what = possible(s) & s->wanted;

    /* Before ready(), which may close the stream. */
    ring(s);
    if (what)
        s->ready(s, what);
}

static enum status pair_read(struct stream *s, void *buf, size_t size, size_t *out_len)
{
    struct pair_end *end = end_of(s);
    size_t len = MIN(size, end->len);

    if (len == 0 && end->is_broken)
        return ST_UNAVAILABLE;
    if (len == 0)
        return end->has_fin ? ST_CLOSED : ST_PENDING;
    memcpy(buf, end->unread, len);
    memmove(end->unread, end->unread + len, end->len - len);
    end->len -= len;
    *out_len = len;
    if (s->other)
        ring(s->other);
    return ST_OK;
}

static enum status pair_write(struct stream *s, const struct iovec *iov, int iov_len,
                              size_t *out_len)
{
    if (!s->other || end_of(s)->is_shut)
        return ST_UNAVAILABLE;
    struct pair_end *to = end_of(s->other);
    size_t before = to->len;

    if (to->len == to->capacity)
        return ST_PENDING;
    for (int i = 0; i < iov_len; i++) {
        size_t len = MIN(iov[i].iov_len, to->capacity - to->len);

        if (len > 0)
            memcpy(to->unread + to->len, iov[i].iov_base, len);
        to->len += len;
    }
    *out_len = to->len - before;
    ring(s->other);
    return ST_OK;
}

static void pair_want(struct stream *s, unsigned what)
{
    s->wanted = (uint8_t)what;
    ring(s);
}

static void pair_shut_write(struct stream *s)
{
    end_of(s)->is_shut = true;
    if (!s->other)
        return;
    end_of(s->other)->has_fin = true;
    ring(s->other);
}

/* Leaves the other side alone with a FIN or a reset. */
static void part(struct stream *s, bool is_reset)
{
    struct stream *other = s->other;

    if (other) {
        other->other = NULL;
        end_of(other)->has_fin = true;
        end_of(other)->is_broken = is_reset;
        ring(other);
    }
    turn_hook_cancel(&end_of(s)->bell);
    free(s->read_event);
    s->read_event = NULL;
    s->other = NULL;
}

static void pair_close(struct stream *s)
{
    part(s, end_of(s)->len > 0);
}

static void pair_reset(struct stream *s)
{
    part(s, true);
}

static const struct stream_ops pair_ops = {
    .name = "pair",
    .read = pair_read,
    .write = pair_write,
    .want = pair_want,
    .shut_write = pair_shut_write,
    .close = pair_close,
    .reset = pair_reset,
};

static void open_end(struct stream *s, struct loop *loop, struct pair_end *end, size_t capacity)
{
    end->stream = s;
    end->capacity = capacity;
    turn_hook_init(&end->bell, on_bell);
    s->ops = &pair_ops;
    s->loop = loop;
    s->wanted = 0;
    s->fd = -1;
    s->read_event = end;
    s->write_event = NULL;
    s->why = NULL;
    s->connect_op = NULL;
}

enum status stream_pair(struct stream *a, struct stream *b, struct loop *loop, size_t capacity)
{
    struct pair_end *end_a = calloc(1, sizeof(*end_a) + capacity);
    struct pair_end *end_b = calloc(1, sizeof(*end_b) + capacity);

    if (!end_a || !end_b) {
        free(end_a);
        free(end_b);
        return ST_NOMEM;
    }
    open_end(a, loop, end_a, capacity);
    open_end(b, loop, end_b, capacity);
    a->other = b;
    b->other = a;
    return ST_OK;
}
