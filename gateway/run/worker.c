/* SPDX-License-Identifier: Apache-2.0 */
/* worker.c - a worker's thread, and the mail that the control thread sends it. */
#include "run/worker.h"

#include <signal.h>
#include <stdlib.h>

#include "base/log.h"

/* How often a worker that is full looks whether it still is. */
#define HOLD_US INT64_C(50000)

struct configure_mail {
    struct mail mail;
    struct worker *worker;
    struct config *config; /* counted */
    struct keystore *keystore;
};

/* --- on the worker's thread --------------------------------------------------------------------------------------------- */

static void *run(void *arg)
{
    struct worker *w = arg;

    loop_run(w->loop);
    return NULL;
}

static bool is_full(const struct worker *w)
{
    return w->gate->clients_len >= w->gate->config->max_connections;
}

static void hold(struct worker *w, bool is_held)
{
    for (int i = 0; i < w->listeners_len; i++)
        listener_hold(w->listeners[i], is_held);
    if (is_held)
        timer_set(w->loop, &w->hold, loop_now_us(w->loop) + HOLD_US);
}

static void on_hold_timer(struct timer *timer)
{
    struct worker *w = container_of(timer, struct worker, hold);

    hold(w, is_full(w));
}

static void on_accept(void *owner, int fd, const struct address *from)
{
    struct worker *w = owner;

    gate_accept(w->gate, fd, from);
    if (is_full(w) && !timer_is_set(&w->hold))
        hold(w, true);
}

static void close_listeners(struct worker *w)
{
    timer_clear(&w->hold);
    for (int i = 0; i < w->listeners_len; i++)
        listener_close(&w->listeners[i]);
    w->listeners_len = 0;
}

static void deliver_configure(struct mail *mail)
{
    struct configure_mail *m = container_of(mail, struct configure_mail, mail);

    gate_configure(m->worker->gate, m->config, m->keystore);
    config_unref(&m->config);
    free(m);
}

static void deliver_drain(struct mail *mail)
{
    struct worker *w = container_of(mail, struct worker, drain);

    close_listeners(w);
    gate_drain(w->gate);
}

static void deliver_stop(struct mail *mail)
{
    struct worker *w = container_of(mail, struct worker, stop);

    close_listeners(w);
    gate_stop(w->gate);
    loop_stop(w->loop);
}

/* --- on the control thread ---------------------------------------------------------------------------------------------- */

enum status worker_open(struct worker *w, const struct gate_terms *terms)
{
    struct gate_terms mine = *terms;
    enum status st = loop_new(&w->loop);

    w->index = terms->worker;
    timer_init(&w->hold, on_hold_timer);
    w->drain.deliver = deliver_drain;
    w->stop.deliver = deliver_stop;
    if (st == ST_OK)
        st = mailbox_new(w->loop, &w->mailbox);
    mine.loop = w->loop;
    mine.mailbox = w->mailbox;
    if (st == ST_OK)
        st = gate_open(&mine, &w->gate);
    return st;
}

enum status worker_listen(struct worker *w, struct address *at)
{
    enum status st = listener_open(w->loop, at, on_accept, w, &w->listeners[w->listeners_len]);

    if (st)
        return st;
    *at = *listener_address(w->listeners[w->listeners_len]);
    w->listeners_len++;
    return ST_OK;
}

/* Signals are the control thread's. */
enum status worker_start(struct worker *w)
{
    sigset_t all, before;
    int error;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&w->thread, NULL, run, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    w->is_running = error == 0;
    return error ? ST_UNAVAILABLE : ST_OK;
}

void worker_configure(struct worker *w, struct config *config, struct keystore *keystore)
{
    struct configure_mail *m = calloc(1, sizeof(*m));

    if (!m) {
        log_event(LOG_ERROR, "reload_failed", "worker=%d reason=no_memory", w->index);
        return;
    }
    m->mail.deliver = deliver_configure;
    m->worker = w;
    m->config = config_ref(config);
    m->keystore = keystore;
    mailbox_post(w->mailbox, &m->mail);
}

void worker_drain(struct worker *w)
{
    mailbox_post(w->mailbox, &w->drain);
}

void worker_stop(struct worker *w)
{
    mailbox_post(w->mailbox, &w->stop);
}

void worker_join(struct worker *w)
{
    if (w->is_running)
        pthread_join(w->thread, NULL);
    w->is_running = false;
}

void worker_close(struct worker *w)
{
    close_listeners(w);
    if (w->mailbox)
        mailbox_free(&w->mailbox);
    gate_end(w->gate);
}

void worker_free(struct worker *w)
{
    gate_free(&w->gate);
    if (w->loop)
        loop_free(&w->loop);
}
