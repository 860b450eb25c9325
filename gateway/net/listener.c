/* SPDX-License-Identifier: Apache-2.0 */
/* listener.c - listening sockets.      Runs on: the thread of the loop.
 * TCP_NODELAY is set once, on the listening socket: Linux hands it on to every connection accepted from it. */
#include "net/listener.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "net/pacing.h"

/* So that a flood of connections leaves room for the requests of those that are there. */
#define ACCEPTS_PER_TURN  64
#define PAUSE_US          100000
#define COMPLAIN_EVERY_US 60000000

struct listener {
    struct loop *loop;
    int fd;              /* owned; -1: closed */
    struct event *event; /* owned */
    struct address address;
    listener_accept_fn *accept;
    void *owner;
    struct timer resume;   /* set while accepting pauses */
    int64_t complained_us; /* of descriptors; 0: never */
    struct retired retired;
};

static void pause_accepting(struct listener *listener, int error)
{
    int64_t now_us = loop_now_us(listener->loop);

    event_del(listener->event);
    timer_set(listener->loop, &listener->resume, now_us + PAUSE_US);
    if (listener->complained_us && now_us - listener->complained_us < COMPLAIN_EVERY_US)
        return;
    listener->complained_us = now_us;
    log_event(LOG_ERROR, "accept_paused", "pause_ms=%d error=\"%s\"", PAUSE_US / 1000,
              strerror(error));
}

static void resume_accepting(struct timer *timer)
{
    struct listener *listener = container_of(timer, struct listener, resume);

    if (event_add(listener->event, NULL))
        pause_accepting(listener, ENOMEM);
}

static bool is_shortage(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static void accept_some(struct listener *listener)
{
    for (int i = 0; i < ACCEPTS_PER_TURN && listener->fd >= 0; i++) {
        struct address from = {.len = sizeof(from.storage)};
        int fd = accept4(listener->fd, &from.sa, &from.len, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            listener->accept(listener->owner, fd, &from);
            continue;
        }
        int error = errno;

        if (is_shortage(error))
            pause_accepting(listener, error);
        if (error == EAGAIN || is_shortage(error))
            return;
        /* Else it is this connection that failed (accept(2)), and the next may be good. */
    }
}

static void on_acceptable(evutil_socket_t fd, short what, void *owner)
{
    UNUSED(fd);
    UNUSED(what);
    accept_some(owner);
}

/* Takes away a socket that an earlier process left there, but no other file. */
static void unlink_socket(const char *path)
{
    struct stat found;

    if (lstat(path, &found) == 0 && S_ISSOCK(found.st_mode))
        unlink(path);
}

static void set_option(int fd, int level, int name, int value)
{
    setsockopt(fd, level, name, &value, sizeof(value));
}

static void set_options(int fd, const struct address *at, bool is_shared)
{
    int family = at->sa.sa_family;

    if (family == AF_UNIX)
        return;
    set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    set_option(fd, SOL_SOCKET, SO_REUSEPORT, is_shared);
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    pacing_avoid(fd, at);
    if (family == AF_INET6)
        set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
}

/* A listening socket, or -1 with errno. */
static int listen_on(const struct address *at, bool is_shared)
{
    int fd = socket(at->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    if (at->sa.sa_family == AF_UNIX)
        unlink_socket(at->un.sun_path);
    set_options(fd, at, is_shared);
    if (bind(fd, &at->sa, at->len) == 0 && listen(fd, SOMAXCONN) == 0)
        return fd;
    int error = errno;

    close(fd);
    errno = error;
    return -1;
}

static enum status report_failure(const struct address *at, int error)
{
    char buf[ADDRESS_TEXT_MAX];
    struct text_out out;

    text_out_init(&out, buf, sizeof(buf));
    address_print(at, &out);
    log_event(LOG_ERROR, "listen_failed", "address=%s error=\"%s\"", buf, strerror(error));
    return ST_UNAVAILABLE;
}

static void free_listener(struct retired *retired)
{
    free(container_of(retired, struct listener, retired));
}

/* Waits for connections on the socket, which is listening already. */
static bool watch(struct listener *listener)
{
    listener->address.len = sizeof(listener->address.storage);
    if (getsockname(listener->fd, &listener->address.sa, &listener->address.len))
        return false;
    listener->event = event_new(loop_base(listener->loop), listener->fd, EV_READ | EV_PERSIST,
                                on_acceptable, listener);
    if (!listener->event)
        return false;
    if (event_add(listener->event, NULL) == 0)
        return true;
    event_free(listener->event);
    return false;
}

enum status listener_open(struct loop *loop, const struct address *at, listener_accept_fn *accept,
                          void *owner, struct listener **out)
{
    struct listener *listener = calloc(1, sizeof(*listener));

    if (!listener)
        return report_failure(at, ENOMEM);
    listener->loop = loop;
    listener->accept = accept;
    listener->owner = owner;
    timer_init(&listener->resume, resume_accepting);
    listener->fd = listen_on(at, true);
    int error = errno;

    if (listener->fd < 0)
        goto fail_listen;
    error = ENOMEM;
    if (!watch(listener))
        goto fail_watch;
    *out = listener;
    return ST_OK;

fail_watch:
    close(listener->fd);
fail_listen:
    free(listener);
    return report_failure(at, error);
}

enum status listener_check_free(const struct address *at)
{
    int fd;

    if (at->sa.sa_family == AF_UNIX)
        return ST_OK;
    fd = listen_on(at, false);
    if (fd < 0)
        return report_failure(at, errno);
    close(fd);
    return ST_OK;
}

void listener_hold(struct listener *listener, bool is_held)
{
    if (listener->fd < 0 || timer_is_set(&listener->resume))
        return;
    if (is_held)
        event_del(listener->event);
    else if (event_add(listener->event, NULL))
        pause_accepting(listener, ENOMEM);
}

const struct address *listener_address(const struct listener *listener)
{
    return &listener->address;
}

void listener_close(struct listener **listener_ptr)
{
    struct listener *listener = *listener_ptr;

    *listener_ptr = NULL;
    if (!listener)
        return;
    timer_clear(&listener->resume);
    event_free(listener->event);
    close(listener->fd);
    listener->fd = -1;
    loop_retire(listener->loop, &listener->retired, free_listener);
}
