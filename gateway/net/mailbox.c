/* SPDX-License-Identifier: Apache-2.0 */
/* mailbox.c - a stack that any thread pushes onto and the owner takes whole.
 * The eventfd is written by the post that found the box empty, and read before the box is taken; so mail that comes after
 * the taking finds it empty and wakes the loop again. */
#include "net/mailbox.h"

#include <event2/event.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct mailbox {
    _Atomic(struct mail *) newest; /* pushed by any thread, taken by the owner's */
    int fd;                        /* owned; eventfd */
    struct event *event;           /* owned */
};

/* Everything in the box, the oldest first. */
static struct mail *take(struct mailbox *box)
{
    struct mail *newest = atomic_exchange_explicit(&box->newest, NULL, memory_order_acquire);
    struct mail *oldest = NULL;

    while (newest) {
        struct mail *mail = newest;

        newest = mail->next;
        mail->next = oldest;
        oldest = mail;
    }
    return oldest;
}

static void deliver_all(struct mailbox *box)
{
    struct mail *mail = take(box);

    while (mail) {
        struct mail *next = mail->next;

        mail->deliver(mail);
        mail = next;
    }
}

static void on_mail(evutil_socket_t fd, short what, void *owner)
{
    uint64_t count;
    ssize_t len = read(fd, &count, sizeof(count));

    UNUSED(what);
    UNUSED(len); /* EAGAIN: another turn read it */
    deliver_all(owner);
}

enum status mailbox_new(struct loop *loop, struct mailbox **out)
{
    struct mailbox *box = calloc(1, sizeof(*box));

    if (!box)
        return ST_NOMEM;
    enum status st = ST_UNAVAILABLE;

    box->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (box->fd < 0)
        goto fail_fd;
    st = ST_NOMEM;
    box->event = event_new(loop_base(loop), box->fd, EV_READ | EV_PERSIST, on_mail, box);
    if (!box->event)
        goto fail_event;
    if (event_add(box->event, NULL))
        goto fail_add;
    *out = box;
    return ST_OK;

fail_add:
    event_free(box->event);
fail_event:
    close(box->fd);
fail_fd:
    free(box);
    return st;
}

void mailbox_free(struct mailbox **box_ptr)
{
    struct mailbox *box = *box_ptr;

    if (!box)
        return;
    /* What is delivered may still post to the box. */
    while (atomic_load_explicit(&box->newest, memory_order_relaxed))
        deliver_all(box);
    event_free(box->event);
    close(box->fd);
    free(box);
    *box_ptr = NULL;
}

void mailbox_post(struct mailbox *box, struct mail *mail)
{
    static const uint64_t one = 1;
    struct mail *newest = atomic_load_explicit(&box->newest, memory_order_relaxed);

    do {
        mail->next = newest;
    } while (!atomic_compare_exchange_weak_explicit(&box->newest, &newest, mail,
                                                    memory_order_release, memory_order_relaxed));
    if (newest)
        return;
    ssize_t len = write(box->fd, &one, sizeof(one));

    UNUSED(len); /* EAGAIN: the count is full, so the loop is awake */
}
