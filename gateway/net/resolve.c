/* SPDX-License-Identifier: Apache-2.0 */
/* resolve.c - see resolve.h.      Runs on: any; a lookup's thread.
 * A lookup belongs to the loop that waits for it and to the thread that asks; whoever is done last frees it.  It is the
 * one thing here that two threads share: the thread writes the answer and then rings the eventfd, and the loop reads it
 * only after that. */
#include "net/resolve.h"

#include <event2/event.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Longest host name in text form (RFC 1035, 2.3.4). */
#define NAME_MAX_BYTES 253

/* The name before the colon, and the port behind it.  ST_INVALID also for names that no resolver should see. */
static enum status split(struct text host_port, char name[NAME_MAX_BYTES + 1], uint16_t *out_port)
{
    const char *colon = host_port.len > 0 ? memchr(host_port.ptr, ':', host_port.len) : NULL;
    size_t len = colon ? (size_t)(colon - host_port.ptr) : 0;
    uint64_t port;

    if (len == 0 || len > NAME_MAX_BYTES || memchr(host_port.ptr, '\0', len) ||
        memchr(host_port.ptr, '[', len))
        return ST_INVALID;
    if (text_to_u64((struct text){colon + 1, host_port.len - len - 1}, &port) || port > UINT16_MAX)
        return ST_INVALID;
    memcpy(name, host_port.ptr, len);
    name[len] = '\0';
    *out_port = (uint16_t)port;
    return ST_OK;
}

static const struct addrinfo *choose(const struct addrinfo *answers)
{
    for (const struct addrinfo *answer = answers; answer; answer = answer->ai_next) {
        if (answer->ai_family == AF_INET)
            return answer;
    }
    return answers;
}

static void set_port(struct address *address, uint16_t port)
{
    if (address->sa.sa_family == AF_INET)
        ((struct sockaddr_in *)&address->storage)->sin_port = htons(port);
    else
        ((struct sockaddr_in6 *)&address->storage)->sin6_port = htons(port);
}

static enum status look_up(const char *name, uint16_t port, struct address *out)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *answers = NULL;

    if (getaddrinfo(name, NULL, &hints, &answers))
        return ST_UNAVAILABLE;
    const struct addrinfo *chosen = choose(answers);
    struct address address = {.len = chosen->ai_addrlen};

    memcpy(&address.storage, chosen->ai_addr, chosen->ai_addrlen);
    freeaddrinfo(answers);
    set_port(&address, port);
    *out = address;
    return ST_OK;
}

enum status resolve_host_port(struct text host_port, struct address *out)
{
    char name[NAME_MAX_BYTES + 1];
    uint16_t port;

    if (address_parse(host_port, out) == ST_OK)
        return ST_OK;
    if (split(host_port, name, &port))
        return ST_INVALID;
    return look_up(name, port, out);
}

/* --- without waiting --- */

struct lookup {
    atomic_int owners;
    int bell; /* eventfd */
    char name[NAME_MAX_BYTES + 1];
    uint16_t port;
    enum status st;
    struct address answer;
    /* The loop's alone. */
    struct event *event;
    struct address *out;
    struct op *op;
};

static void unref(struct lookup *lookup)
{
    if (atomic_fetch_sub_explicit(&lookup->owners, 1, memory_order_acq_rel) > 1)
        return;
    close(lookup->bell);
    free(lookup);
}

static void *ask(void *owner)
{
    struct lookup *lookup = owner;
    uint64_t one = 1;

    lookup->st = look_up(lookup->name, lookup->port, &lookup->answer);
    if (write(lookup->bell, &one, sizeof(one)) != sizeof(one))
        lookup->st = ST_UNAVAILABLE; /* cannot be: the counter is at zero */
    unref(lookup);
    return NULL;
}

/* Signals are for the control thread. */
static bool start_thread(struct lookup *lookup)
{
    pthread_t thread;
    pthread_attr_t attributes;
    sigset_t all, before;

    if (pthread_attr_init(&attributes))
        return false;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&thread, &attributes, ask, lookup);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return error == 0;
}

static void leave(struct lookup *lookup)
{
    event_free(lookup->event);
    lookup->event = NULL;
    unref(lookup);
}

static void on_bell(evutil_socket_t fd, short what, void *owner)
{
    struct lookup *lookup = owner;
    struct op *op = lookup->op;
    uint64_t rings;

    UNUSED(what);
    if (read(fd, &rings, sizeof(rings)) != sizeof(rings))
        return;
    enum status st = lookup->st; /* the other thread's, until the bell is read */

    if (!st)
        *lookup->out = lookup->answer;
    leave(lookup);
    op_done(op, st);
}

static void cancel(struct op *op)
{
    leave(op->callee);
}

static struct lookup *new_lookup(struct loop *loop)
{
    struct lookup *lookup = calloc(1, sizeof(*lookup));

    if (!lookup)
        return NULL;
    lookup->bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (lookup->bell >= 0)
        lookup->event = event_new(loop_base(loop), lookup->bell, EV_READ, on_bell, lookup);
    if (lookup->event && event_add(lookup->event, NULL) == 0)
        return lookup;
    if (lookup->event)
        event_free(lookup->event);
    if (lookup->bell >= 0)
        close(lookup->bell);
    free(lookup);
    return NULL;
}

enum status resolve_start(struct loop *loop, struct text host_port, struct address *out,
                          struct op *op)
{
    char name[NAME_MAX_BYTES + 1];
    uint16_t port;

    if (address_parse(host_port, out) == ST_OK)
        return ST_OK;
    if (split(host_port, name, &port))
        return ST_INVALID;

    struct lookup *lookup = new_lookup(loop);

    if (!lookup)
        return ST_NOMEM;
    memcpy(lookup->name, name, strlen(name) + 1);
    lookup->port = port;
    lookup->out = out;
    lookup->op = op;
    atomic_init(&lookup->owners, 2);
    if (!start_thread(lookup)) {
        atomic_store_explicit(&lookup->owners, 1, memory_order_relaxed);
        leave(lookup);
        return ST_UNAVAILABLE;
    }
    op->callee = lookup;
    op->cancel = cancel;
    return ST_PENDING;
}
