/* SPDX-License-Identifier: Apache-2.0 */
/* probe.c - one probe a backend, at work only while the backend is out.      Runs on: control thread.
 * Where the configuration names a probe path, a 2xx to GET brings the backend back; else any HTTP answer to GET / does:
 * a program that answers is there, and real traffic will tell the rest.  One more failure takes it out again. */
#include "backend/probe.h"

#include <stdlib.h>

#include "base/log.h"
#include "http/fetch.h"

#define PROBE_ANSWER_MAX 65536

struct probe {
    struct prober *prober;
    struct backend *backend;
    struct fetch fetch;
    struct op op;
};

struct prober {
    struct loop *loop;
    struct backend_set *set;
    void (*returned)(void *owner, struct backend *backend);
    void *owner;
    int64_t interval_us;
    int timeout_ms;
    int eject_after;
    struct timer timer;
    struct probe *probes; /* owned, one a backend */
};

static bool is_well(const struct probe *probe, enum status st)
{
    if (st != ST_OK)
        return false;
    return !probe->backend->probe_path || probe->fetch.status / 100 == 2;
}

static void probe_done(struct op *op, enum status st)
{
    struct probe *probe = container_of(op, struct probe, op);
    struct backend *backend = probe->backend;

    if (!is_well(probe, st))
        return;
    atomic_store(&backend->now.failures, probe->prober->eject_after - 1);
    atomic_store(&backend->now.is_up, true);
    log_event(LOG_NOTE, "backend_returned", "backend=%s", backend->name);
    probe->prober->returned(probe->prober->owner, backend);
}

static void probe_start(struct probe *probe)
{
    const struct backend *backend = probe->backend;
    struct fetch_terms terms = {
        .to = &backend->address,
        .host = text_of(backend->host_port),
        .target = text_of(backend->probe_path ? backend->probe_path : "/"),
        .timeout_ms = probe->prober->timeout_ms,
        .max_bytes = PROBE_ANSWER_MAX,
    };
    enum status st = fetch_start(&probe->fetch, probe->prober->loop, &terms, &probe->op);

    if (st != ST_PENDING)
        probe_done(&probe->op, st);
}

static void on_timer(struct timer *timer)
{
    struct prober *prober = container_of(timer, struct prober, timer);

    for (int i = 0; i < prober->set->len; i++) {
        struct probe *probe = &prober->probes[i];

        if (!atomic_load(&probe->backend->now.is_up) && !op_is_pending(&probe->op))
            probe_start(probe);
    }
    timer_set(prober->loop, timer, loop_now_us(prober->loop) + prober->interval_us);
}

enum status prober_start(struct loop *loop, struct backend_set *set,
                         void (*returned)(void *owner, struct backend *backend), void *owner,
                         struct prober **out)
{
    struct prober *prober = calloc(1, sizeof(*prober));

    if (!prober)
        return ST_NOMEM;
    prober->probes = calloc((size_t)set->len, sizeof(*prober->probes));
    if (!prober->probes) {
        free(prober);
        return ST_NOMEM;
    }
    prober->loop = loop;
    prober->set = set;
    prober->returned = returned;
    prober->owner = owner;
    for (int i = 0; i < set->len; i++) {
        struct probe *probe = &prober->probes[i];

        probe->prober = prober;
        probe->backend = &set->backends[i];
        probe->op.done = probe_done;
        fetch_init(&probe->fetch);
    }
    timer_init(&prober->timer, on_timer);
    prober_configure(prober, set->config);
    *out = prober;
    return ST_OK;
}

void prober_configure(struct prober *prober, const struct config *config)
{
    prober->interval_us = config->probe_interval_ms * 1000;
    prober->timeout_ms = (int)config->connect_timeout_ms;
    prober->eject_after = (int)config->eject_after;
    timer_set(prober->loop, &prober->timer, loop_now_us(prober->loop) + prober->interval_us);
}

void prober_stop(struct prober **where)
{
    struct prober *prober = *where;

    if (!prober)
        return;
    *where = NULL;
    timer_clear(&prober->timer);
    for (int i = 0; i < prober->set->len; i++) {
        op_cancel(&prober->probes[i].op);
        fetch_fini(&prober->probes[i].fetch);
    }
    free(prober->probes);
    free(prober);
}
