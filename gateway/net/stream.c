/* SPDX-License-Identifier: Apache-2.0 */
/* stream.c - streams over sockets, and the calls that all kinds share.      Runs on: the loop's thread.
 * Events are edge-triggered: the kernel tells of what comes, and does not look at each socket once more to find that it has
 * been read.  A read that got less than it asked for has read all bytes; of the end behind them epoll told with them
 * (EV_CLOSED), but not of a reset, so who waits for more reads until there is nothing.  Where something may be left, the
 * kernel is asked anew by taking the event out and in again.
 * The read event stays in epoll while reading is not wanted, until it fires for nothing: then it is taken out.  So a short
 * loss of interest costs no system call.  A write event is there only while writing is wanted, to keep idle streams small;
 * while connecting it is the one that tells how that went. */
#include "net/stream.h"

#include <errno.h>
#include <event2/event.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "net/pacing.h"

/* The kernel takes one piece sooner than several, by more than it costs to copy so much. */
#define JOIN_BYTES ((size_t)2048)

static enum status status_of_transfer(int error)
{
    return error == EAGAIN || error == EINTR ? ST_PENDING : ST_UNAVAILABLE;
}

/* recv() and send() of libc are points where a thread may be cancelled, which costs each of them two atomic operations.
 * No thread is. */
static ssize_t receive_now(int fd, void *buf, size_t size)
{
    return syscall(SYS_recvfrom, fd, buf, size, 0, NULL, NULL);
}

static ssize_t send_now(int fd, const void *buf, size_t len, int flags)
{
    return syscall(SYS_sendto, fd, buf, len, flags, NULL, 0);
}

/* All of it in one piece in buf; 0: it is too long, or nothing. */
static size_t join(const struct iovec *iov, int iov_len, char buf[JOIN_BYTES])
{
    size_t len = 0;

    for (int i = 0; i < iov_len; i++) {
        if (iov[i].iov_len > JOIN_BYTES - len)
            return 0;
        if (iov[i].iov_len > 0)
            memcpy(buf + len, iov[i].iov_base, iov[i].iov_len);
        len += iov[i].iov_len;
    }
    return len;
}

static ssize_t send_all(int fd, const struct iovec *iov, int iov_len, int flags)
{
    if (iov_len == 1)
        return send_now(fd, iov->iov_base, iov->iov_len, flags);
    char buf[JOIN_BYTES];
    size_t len = join(iov, iov_len, buf);

    if (len > 0)
        return send_now(fd, buf, len, flags);
    struct msghdr message = {
        .msg_iov = (struct iovec *)iov,
        .msg_iovlen = (size_t)MIN(iov_len, IOV_MAX),
    };

    return sendmsg(fd, &message, flags);
}

static enum status socket_write(struct stream *s, const struct iovec *iov, int iov_len,
                                size_t *out_len)
{
    int flags = MSG_NOSIGNAL | (s->is_holding ? MSG_MORE : 0);
    ssize_t len = send_all(s->fd, iov, iov_len, flags);

    if (len < 0)
        return status_of_transfer(errno);
    *out_len = (size_t)len;
    return ST_OK;
}

static void on_readable(evutil_socket_t fd, short what, void *owner)
{
    struct stream *s = owner;

    UNUSED(fd);
    s->is_unread = true;
    s->is_ended = s->is_ended || (what & EV_CLOSED);
    if (s->wanted & STREAM_READ)
        s->ready(s, STREAM_READ);
    else
        event_del(s->read_event);
}

static void on_writable(evutil_socket_t fd, short what, void *owner)
{
    struct stream *s = owner;

    UNUSED(fd);
    UNUSED(what);
    s->ready(s, STREAM_WRITE);
}

/* The event, made where there is none, and in epoll.  False: no memory. */
static bool watch(struct stream *s, void **event, short what, event_callback_fn callback)
{
    if (!*event)
        *event = event_new(loop_base(s->loop), s->fd, what | EV_PERSIST | EV_ET, callback, s);
    if (*event && (event_pending(*event, what, NULL) || event_add(*event, NULL) == 0))
        return true;
    log_event(LOG_ERROR, "stream_watch_failed", "fd=%d", s->fd);
    return false;
}

/* Has the kernel tell of what is there, too. */
static void watch_reading(struct stream *s)
{
    if (s->is_unread && s->read_event)
        event_del(s->read_event);
    s->is_unread = !watch(s, &s->read_event, EV_READ | EV_CLOSED, on_readable);
}

static enum status socket_read(struct stream *s, void *buf, size_t size, size_t *out_len)
{
    ssize_t len = receive_now(s->fd, buf, size);

    if (len < 0) {
        s->is_unread = false;
        return status_of_transfer(errno);
    }
    s->is_unread = len == 0 || (size_t)len == size || s->is_ended;
    if (len == 0)
        return ST_CLOSED;
    if (s->is_unread && (s->wanted & STREAM_READ))
        watch_reading(s);
    *out_len = (size_t)len;
    return ST_OK;
}

static void drop(void **event)
{
    if (*event)
        event_free(*event);
    *event = NULL;
}

static void socket_want(struct stream *s, unsigned what)
{
    unsigned added = what & ~s->wanted;

    s->wanted = (uint8_t)what;
    if ((added & STREAM_READ) || ((what & STREAM_READ) && s->is_unread))
        watch_reading(s);
    if (added & STREAM_WRITE)
        watch(s, &s->write_event, EV_WRITE, on_writable);
    else if (!(what & STREAM_WRITE))
        drop(&s->write_event);
}

static void socket_shut_write(struct stream *s)
{
    shutdown(s->fd, SHUT_WR);
}

static void socket_close(struct stream *s)
{
    drop(&s->read_event);
    drop(&s->write_event);
    close(s->fd);
    s->fd = -1;
}

static void socket_reset(struct stream *s)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};

    setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    socket_close(s);
}

static const struct stream_ops socket_ops = {
    .name = "socket",
    .read = socket_read,
    .write = socket_write,
    .want = socket_want,
    .shut_write = socket_shut_write,
    .close = socket_close,
    .reset = socket_reset,
};

bool stream_is_socket(const struct stream *s)
{
    return s->ops == &socket_ops;
}

void stream_open(struct stream *s, struct loop *loop, int fd)
{
    s->ops = &socket_ops;
    s->loop = loop;
    s->wanted = 0;
    s->is_holding = false;
    s->is_unread = false;
    s->is_ended = false;
    s->fd = fd;
    s->read_event = NULL;
    s->write_event = NULL;
    s->why = NULL;
    s->other = NULL;
    s->connect_op = NULL;
}

/* EAGAIN is no wait here: a Unix listener whose backlog is full. */
static enum status status_of_connect(int error)
{
    return error == ECONNREFUSED ? ST_REFUSED : ST_UNAVAILABLE;
}

static void finish_connect(struct stream *s)
{
    struct op *op = s->connect_op;
    int error = 0;
    socklen_t len = sizeof(error);

    s->connect_op = NULL;
    drop(&s->write_event);
    if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len))
        error = errno;
    if (error)
        stream_close(s);
    op_done(op, error ? status_of_connect(error) : ST_OK);
}

static void on_connected(evutil_socket_t fd, short what, void *owner)
{
    UNUSED(fd);
    UNUSED(what);
    finish_connect(owner);
}

static void cancel_connect(struct op *op)
{
    stream_close(op->callee);
}

static enum status begin_wait(struct stream *s, struct op *op)
{
    if (!watch(s, &s->write_event, EV_WRITE, on_connected)) {
        stream_close(s);
        return ST_UNAVAILABLE;
    }
    s->connect_op = op;
    op->callee = s;
    op->cancel = cancel_connect;
    return ST_PENDING;
}

enum status stream_connect(struct stream *s, struct loop *loop, const struct address *to,
                           struct op *op)
{
    int fd = socket(to->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;

    s->ops = NULL;
    s->why = NULL;
    if (fd < 0)
        return ST_UNAVAILABLE;
    if (to->sa.sa_family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    pacing_avoid(fd, to);
    int error = connect(fd, &to->sa, to->len) == 0 ? 0 : errno;

    if (error && error != EINPROGRESS) {
        close(fd);
        return status_of_connect(error);
    }
    stream_open(s, loop, fd);
    return error ? begin_wait(s, op) : ST_OK;
}

enum status stream_read(struct stream *s, void *buf, size_t size, size_t *out_len)
{
    ASSERT(s->ops && !s->connect_op && size > 0);
    return s->ops->read(s, buf, size, out_len);
}

enum status stream_write(struct stream *s, const struct iovec *iov, int iov_len, size_t *out_len)
{
    ASSERT(s->ops && !s->connect_op && iov_len > 0);
    return s->ops->write(s, iov, iov_len, out_len);
}

void stream_want(struct stream *s, unsigned what)
{
    ASSERT(s->ops && !s->connect_op && (s->ready || what == 0));
    s->ops->want(s, what);
}

void stream_wake_at(struct stream *s, int bytes)
{
    if (stream_is_socket(s))
        setsockopt(s->fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof(bytes));
}

/* To set this anew pushes (tcp(7)), whatever it was. */
void stream_push(struct stream *s)
{
    int on = 1;

    if (stream_is_socket(s))
        setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

void stream_shut_write(struct stream *s)
{
    ASSERT(s->ops && !s->connect_op);
    s->ops->shut_write(s);
}

/* What both endings do first.  False: there is nothing to end. */
static bool begin_close(struct stream *s)
{
    if (!s->ops)
        return false;
    if (s->connect_op)
        s->connect_op->cancel = NULL;
    s->connect_op = NULL;
    s->wanted = 0;
    return true;
}

void stream_close(struct stream *s)
{
    if (!begin_close(s))
        return;
    s->ops->close(s);
    s->ops = NULL;
}

void stream_reset(struct stream *s)
{
    if (!begin_close(s))
        return;
    s->ops->reset(s);
    s->ops = NULL;
}
