/* SPDX-License-Identifier: Apache-2.0 */
/* watch.c - from telemetry sources to backends.      Runs on: control thread.
 * A backend may have several sources.  Each keeps its last sample; those that are not stale are merged: hottest GPU,
 * deepest queue. */
#include "run/watch.h"

#include <stdlib.h>

#include "base/log.h"
#include "telemetry/telemetry.h"

struct watched_source {
    struct watch *watch;
    struct backend *backend;
    struct telemetry_source *source; /* owned */
    struct load_sample sample;       /* taken_us 0: none yet */
    bool is_failing;                 /* said so already */
};

struct watch {
    struct loop *loop;
    struct backend_set *set;
    void (*reported)(void *owner);
    void *owner;
    int64_t stale_after_us;
    int len;
    struct watched_source *sources; /* owned */
};

static void publish(struct watch *watch, struct backend *backend, int64_t now_us)
{
    struct load_sample merged;

    load_sample_clear(&merged);
    merged.taken_us = now_us;
    for (int i = 0; i < watch->len; i++) {
        const struct watched_source *w = &watch->sources[i];

        if (w->backend == backend && w->sample.taken_us &&
            now_us - w->sample.taken_us <= watch->stale_after_us)
            load_sample_merge(&merged, &w->sample);
    }
    merged.taken_us = now_us;
    backend_report(backend, &merged);
}

static void on_report(struct telemetry_source *source, enum status st,
                      const struct load_sample *sample)
{
    struct watched_source *w = source->owner;

    if (st != ST_OK) {
        if (!w->is_failing)
            log_event(LOG_WARN, "telemetry_failed", "backend=%s source=%s error=%s",
                      w->backend->name, source->ops->name, status_name(st));
        w->is_failing = true;
        return;
    }
    if (w->is_failing)
        log_event(LOG_NOTE, "telemetry_returned", "backend=%s source=%s", w->backend->name,
                  source->ops->name);
    w->is_failing = false;
    w->sample = *sample;
    publish(w->watch, w->backend, sample->taken_us);
    w->watch->reported(w->watch->owner);
}

static int count_sources(const struct config *config)
{
    int len = 0;

    for (int i = 0; i < config->backends_len; i++)
        len += config->backends[i].telemetry_len;
    return len;
}

static enum status start_source(struct watch *watch, int backend, int index,
                                struct watched_source *w)
{
    const struct config *config = watch->set->config;

    w->watch = watch;
    w->backend = &watch->set->backends[backend];
    load_sample_clear(&w->sample);
    w->sample.taken_us = 0;
    return telemetry_start(watch->loop, &config->backends[backend].telemetry[index],
                           config->telemetry_timeout_ms, on_report, w, &w->source);
}

static enum status start_sources(struct watch *watch, int backend)
{
    const struct backend_conf *conf = &watch->set->config->backends[backend];

    for (int i = 0; i < conf->telemetry_len; i++) {
        enum status st = start_source(watch, backend, i, &watch->sources[watch->len]);

        if (st) {
            log_event(LOG_ERROR, "telemetry_not_started", "backend=%s url=%s error=%s", conf->name,
                      conf->telemetry[i].url.host_port, status_name(st));
            return st;
        }
        watch->len++;
    }
    return ST_OK;
}

enum status watch_start(struct loop *loop, struct backend_set *set, void (*reported)(void *owner),
                        void *owner, struct watch **out)
{
    struct watch *watch = calloc(1, sizeof(*watch));
    enum status st = ST_OK;

    if (!watch)
        return ST_NOMEM;
    watch->sources = calloc((size_t)count_sources(set->config) + 1, sizeof(*watch->sources));
    if (!watch->sources) {
        free(watch);
        return ST_NOMEM;
    }
    watch->loop = loop;
    watch->set = set;
    watch->reported = reported;
    watch->owner = owner;
    watch->stale_after_us = set->config->stale_after_ms * 1000;
    for (int backend = 0; backend < set->len && st == ST_OK; backend++)
        st = start_sources(watch, backend);
    if (st)
        watch_stop(&watch);
    else
        *out = watch;
    return st;
}

void watch_configure(struct watch *watch, const struct config *config)
{
    watch->stale_after_us = config->stale_after_ms * 1000;
    for (int i = 0; i < watch->len; i++)
        watch->sources[i].source->timeout_ms = config->telemetry_timeout_ms;
}

bool watch_is_settled(const struct watch *watch, int64_t now_us)
{
    for (int i = 0; i < watch->set->len; i++) {
        const struct backend *b = &watch->set->backends[i];

        if (b->is_metered && !atomic_load(&b->now.sampled_us) &&
            now_us - b->awaited_since_us < watch->stale_after_us)
            return false;
    }
    return true;
}

void watch_stop(struct watch **where)
{
    struct watch *watch = *where;

    if (!watch)
        return;
    *where = NULL;
    for (int i = 0; i < watch->len; i++)
        telemetry_stop(&watch->sources[i].source);
    free(watch->sources);
    free(watch);
}
