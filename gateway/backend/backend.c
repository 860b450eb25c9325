/* SPDX-License-Identifier: Apache-2.0 */
/* backend.c - backends and the view of their load.      Runs on: any thread.
 * Readings are single atomics: a view may mix two readings of one backend, each of which was true. */
#include "backend/backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "core/governor.h"
#include "net/resolve.h"

static enum status backend_open(struct backend *b, int index, const struct backend_conf *conf)
{
    b->index = index;
    b->name = conf->name;
    b->host_port = conf->url.host_port;
    b->path = conf->url.path;
    b->probe_path = conf->probe_path;
    b->max_in_flight = conf->max_in_flight;
    b->is_metered = conf->telemetry_len > 0;
    b->awaited_since_us = clock_monotonic_us();
    atomic_init(&b->now.is_up, true);
    return resolve_host_port(text_of(conf->url.host_port), &b->address);
}

enum status backend_set_open(struct config *config, char error[CONFIG_ERROR_MAX],
                             struct backend_set **out)
{
    struct backend_set *set = calloc(1, sizeof(*set));

    if (!set)
        return ST_NOMEM;
    set->backends = calloc((size_t)config->backends_len, sizeof(*set->backends));
    if (!set->backends) {
        free(set);
        return ST_NOMEM;
    }
    set->config = config_ref(config);
    set->len = config->backends_len;
    for (int i = 0; i < set->len; i++) {
        if (backend_open(&set->backends[i], i, &config->backends[i])) {
            snprintf(error, CONFIG_ERROR_MAX, "backend %s: the host of %s cannot be resolved",
                     config->backends[i].name, config->backends[i].url.host_port);
            backend_set_close(&set);
            return ST_UNAVAILABLE;
        }
    }
    *out = set;
    return ST_OK;
}

void backend_set_close(struct backend_set **set)
{
    if (!*set)
        return;
    config_unref(&(*set)->config);
    free((*set)->backends);
    free(*set);
    *set = NULL;
}

bool slot_take(struct backend *backend)
{
    int taken = atomic_load(&backend->now.in_flight);

    while (taken < backend->max_in_flight) {
        if (atomic_compare_exchange_weak(&backend->now.in_flight, &taken, taken + 1))
            return true;
    }
    return false;
}

void slot_give(struct backend *backend)
{
    int before = atomic_fetch_sub(&backend->now.in_flight, 1);

    ASSERT(before > 0);
}

void backend_succeeded(struct backend *backend)
{
    /* Read first: the line stays shared while all is well. */
    if (atomic_load_explicit(&backend->now.failures, memory_order_relaxed))
        atomic_store(&backend->now.failures, 0);
}

bool backend_failed(struct backend *backend, int eject_after)
{
    int failures = atomic_fetch_add(&backend->now.failures, 1) + 1;

    if (failures < eject_after || !atomic_exchange(&backend->now.is_up, false))
        return false;
    log_event(LOG_WARN, "backend_ejected", "backend=%s failures=%d", backend->name, failures);
    return true;
}

/* A reading that is missing leaves the last known one to grow old. */
static void publish(atomic_llong *value, atomic_llong *at_us, int64_t reading, int64_t taken_us)
{
    if (reading == LOAD_MISSING)
        return;
    atomic_store(value, reading);
    atomic_store(at_us, taken_us);
}

void backend_report(struct backend *backend, const struct load_sample *sample)
{
    struct shared_backend *now = &backend->now;

    publish(&now->temperature_mc, &now->temperature_us, sample->temperature_mc, sample->taken_us);
    publish(&now->queue_depth, &now->queue_us, sample->queue_depth, sample->taken_us);
    publish(&now->power_mw, &now->power_us, sample->power_mw, sample->taken_us);
    atomic_store(&now->sampled_us, sample->taken_us);
}

static int64_t reading(const atomic_llong *value, const atomic_llong *at_us, int64_t oldest_us)
{
    int64_t taken_us = atomic_load(at_us);

    return taken_us && taken_us >= oldest_us ? atomic_load(value) : LOAD_MISSING;
}

/* A backend that once told its temperature is stale when it no longer does, whatever else it tells. */
static void view_one(struct backend *b, const struct config *config, int64_t now_us,
                     struct backend_load *load)
{
    int64_t stale_after_us = config->stale_after_ms * 1000;
    int64_t oldest_us = now_us - stale_after_us;
    int64_t told_us = atomic_load(&b->now.temperature_us);

    if (!told_us)
        told_us = atomic_load(&b->now.sampled_us);
    load->is_up = atomic_load(&b->now.is_up);
    load->serves = true;
    load->is_stale = load_freshness(b->is_metered, told_us, b->awaited_since_us, stale_after_us,
                                    now_us) == LOAD_STALE &&
                     config->when_stale == WHEN_STALE_OVERLOADED;
    load->in_flight = atomic_load(&b->now.in_flight);
    load->max_in_flight = b->max_in_flight;
    load->temperature_mc = reading(&b->now.temperature_mc, &b->now.temperature_us, oldest_us);
    load->queue_depth = reading(&b->now.queue_depth, &b->now.queue_us, oldest_us);
}

static uint32_t ladder_steps_of(const struct ladder *ladder, enum load_signal signal)
{
    uint32_t steps = 0;

    for (int i = 0; i < ladder->len; i++)
        steps |= (uint32_t)(ladder->steps[i].signal == signal) << i;
    return steps;
}

/* Steps that were active under another generation's ladder say nothing about this one's; nor do temperature steps once
 * the temperature is unknown. */
static void judge(struct backend *b, const struct config *config, int64_t depth,
                  struct backend_load *load)
{
    uint64_t tag = (uint64_t)(uint32_t)config->generation << 32;
    uint64_t before = atomic_load(&b->now.ladder);
    uint32_t active = (before >> 32) == (tag >> 32) ? (uint32_t)before : 0;
    bool is_unknown = load->temperature_mc == LOAD_MISSING && !load->is_stale;

    if (is_unknown)
        active &= ~ladder_steps_of(&config->policy.ladder, SIGNAL_GPU_TEMPERATURE);
    load->active_steps =
        governor_judge(&config->policy.ladder, active, load->temperature_mc, depth, load->is_stale);
    if ((tag | load->active_steps) != before)
        atomic_store(&b->now.ladder, tag | load->active_steps);
}

void backend_view(struct backend_set *set, const struct config *config, int32_t waiting,
                  int64_t now_us, struct backend_load *loads)
{
    int up = 0;

    for (int i = 0; i < set->len; i++) {
        view_one(&set->backends[i], config, now_us, &loads[i]);
        up += loads[i].is_up;
    }
    for (int i = 0; i < set->len; i++)
        judge(&set->backends[i], config, load_queue_depth(&loads[i], waiting, up), &loads[i]);
}
