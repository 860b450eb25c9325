/* SPDX-License-Identifier: Apache-2.0 */
/* stream.h - a connected byte stream: a socket, TLS over one (tls.h), or one end of an in-memory pair (tests).
 *
 * Try first, wait after: the owner reads and writes when it has cause to, and asks to be told only when that was
 * answered ST_PENDING.  Read interest is a persistent event and is kept on; write interest exists after a short write.
 * What came is told once: an owner that leaves it there asks anew by stream_want().  What a read left is told again; but
 * not a reset that came right behind the bytes of a read: a wait for more begins with a read that finds none. */
#pragma once

#include <sys/uio.h>

#include "base/address.h"
#include "net/loop.h"

enum { STREAM_READ = 1, STREAM_WRITE = 2 };

struct stream;

struct stream_ops {
    const char *name;
    enum status (*read)(struct stream *s, void *buf, size_t size, size_t *out_len);
    enum status (*write)(struct stream *s, const struct iovec *iov, int iov_len, size_t *out_len);
    void (*want)(struct stream *s, unsigned what);
    void (*shut_write)(struct stream *s);
    void (*close)(struct stream *s);
    void (*reset)(struct stream *s); /* closes too */
};

struct stream {
    const struct stream_ops *ops; /* NULL: closed */
    struct loop *loop;
    /* Set by the owner before the first stream_want(), and left alone by stream_open() and stream_connect(): what was
     * wanted is now possible (errors count as both).  May close the stream and free its owner. */
    void (*ready)(struct stream *s, unsigned what);
    uint8_t wanted;  /* STREAM_READ | STREAM_WRITE */
    bool is_holding; /* stream_hold() */
    bool is_unread;  /* socket: it may have bytes of which no new event will tell */
    bool is_ended;   /* socket: the other side's FIN has come, perhaps behind bytes */
    int fd;          /* -1 for an in-memory stream */
    void *read_event, *write_event; /* owned by the implementation */
    const char *why;                /* TLS: what went wrong, for the log; a literal, or NULL */
    struct stream *other;           /* in-memory pair */
    struct op *connect_op;          /* while connecting, else NULL */
};

/* Takes the descriptor, which must be non-blocking and connected (or connecting, for stream_connect). */
void stream_open(struct stream *s, struct loop *loop, int fd);
/* ST_OK at once (Unix sockets), ST_PENDING, ST_UNAVAILABLE or ST_REFUSED.  TCP_NODELAY is set.  When op ends other than
 * ST_OK, or is cancelled, the stream is closed already; closing the stream forgets the op.  While it is pending, nothing
 * else may be done with the stream. */
MUST_CHECK enum status stream_connect(struct stream *s, struct loop *loop, const struct address *to,
                                      struct op *op);

/* ST_OK: *out_len >= 1 bytes.  ST_PENDING: none now.  ST_CLOSED: the other side will send no more (FIN).
 * ST_UNAVAILABLE: broken (RST, error). */
MUST_CHECK enum status stream_read(struct stream *s, void *buf, size_t size, size_t *out_len);
/* ST_OK: *out_len bytes were taken, perhaps not all.  ST_PENDING: none now.  ST_UNAVAILABLE: broken. */
MUST_CHECK enum status stream_write(struct stream *s, const struct iovec *iov, int iov_len,
                                    size_t *out_len);
/* From now on, what is written may leave with what is written later, within 200 ms; else at once, with what was held
 * before.  It is in the kernel either way, which sends it even if this process dies, if nothing had come that is unread
 * then.  A hint: TCP heeds it, other streams do not. */
static inline void stream_hold(struct stream *s, bool holds)
{
    s->is_holding = holds;
}
/* Sends what was held. */
void stream_push(struct stream *s);
/* Sets the whole interest; 0 for none.  What is possible already is told, too.  Where the kernel has no memory for it
 * (logged), ready() is not called: as with a silent other side, the owner's deadline ends that. */
void stream_want(struct stream *s, unsigned what);
/* ready() need not be called before so many bytes can be read; the end of the connection is told all the same.  A hint:
 * a socket heeds it, other streams do not. */
void stream_wake_at(struct stream *s, int bytes);
/* Sends FIN. */
void stream_shut_write(struct stream *s);
/* ready() is not called after this.  Harmless on a closed stream. */
void stream_close(struct stream *s);
/* Like stream_close, but the other side sees RST: an answer that must not look complete. */
void stream_reset(struct stream *s);
/* A plain one, whose bytes are those of its descriptor. */
bool stream_is_socket(const struct stream *s);
static inline bool stream_is_open(const struct stream *s)
{
    return s->ops != NULL;
}

/* Two connected in-memory streams; each side holds at most capacity unread bytes (back-pressure in tests).  As with TCP,
 * closing with unread bytes is a reset, and what was sent before a FIN or a reset can still be read. */
MUST_CHECK enum status stream_pair(struct stream *a, struct stream *b, struct loop *loop,
                                   size_t capacity);
