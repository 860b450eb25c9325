/* SPDX-License-Identifier: Apache-2.0 */
/* load.c - readings into one sample a backend, and how much a sample is worth. */

#include "core/load.h"

#define TEMPERATURE_LOW_MC  INT64_C(-273150)
#define TEMPERATURE_HIGH_MC INT64_C(200000)
/* A weight, so bounded, whatever a source claims. */
#define GPUS_HIGH INT64_C(1000000)

/* LOAD_MISSING is the smallest number of all, so that the larger of two is the one that is known. */
static int64_t highest(int64_t a, int64_t b)
{
    return MAX(a, b);
}

/* The sum of what is known.  Saturates: readings come from outside. */
static int64_t sum(int64_t a, int64_t b)
{
    if (a == LOAD_MISSING)
        return b;
    if (b == LOAD_MISSING)
        return a;
    if (a > 0 && b > INT64_MAX - a)
        return INT64_MAX;
    if (a < 0 && b < -INT64_MAX - a)
        return -INT64_MAX;
    return a + b;
}

/* How many GPUs a utilization stands for. */
static int64_t weight(const struct load_sample *sample)
{
    return MIN(MAX(sample->gpus, 1), GPUS_HIGH);
}

static int64_t mean_utilization(const struct load_sample *a, const struct load_sample *b)
{
    if (a->utilization_permille == LOAD_MISSING)
        return b->utilization_permille;
    if (b->utilization_permille == LOAD_MISSING)
        return a->utilization_permille;

    int64_t a_permille = MIN(MAX(a->utilization_permille, 0), 1000);
    int64_t b_permille = MIN(MAX(b->utilization_permille, 0), 1000);

    return (a_permille * weight(a) + b_permille * weight(b)) / (weight(a) + weight(b));
}

void load_sample_clear(struct load_sample *sample)
{
    *sample = (struct load_sample){
        .taken_us = 0,
        .temperature_mc = LOAD_MISSING,
        .memory_temperature_mc = LOAD_MISSING,
        .power_mw = LOAD_MISSING,
        .energy_mj = LOAD_MISSING,
        .utilization_permille = LOAD_MISSING,
        .queue_depth = LOAD_MISSING,
        .gpus = LOAD_MISSING,
    };
}

int64_t load_plausible_temperature(int64_t temperature_mc)
{
    if (temperature_mc < TEMPERATURE_LOW_MC || temperature_mc > TEMPERATURE_HIGH_MC)
        return LOAD_MISSING;
    return temperature_mc;
}

void load_sample_merge(struct load_sample *into, const struct load_sample *from)
{
    /* As old as the oldest in it, so that one dead source is not hidden by a live one. */
    if (into->taken_us == 0 || (from->taken_us != 0 && from->taken_us < into->taken_us))
        into->taken_us = from->taken_us;
    into->temperature_mc = highest(into->temperature_mc, from->temperature_mc);
    into->memory_temperature_mc = highest(into->memory_temperature_mc, from->memory_temperature_mc);
    into->power_mw = sum(into->power_mw, from->power_mw);
    into->energy_mj = sum(into->energy_mj, from->energy_mj);
    into->utilization_permille = mean_utilization(into, from); /* before the GPUs are added up */
    into->queue_depth = highest(into->queue_depth, from->queue_depth);
    into->gpus = sum(into->gpus, from->gpus);
}

enum load_freshness load_freshness(bool is_metered, int64_t taken_us, int64_t awaited_since_us,
                                   int64_t stale_after_us, int64_t now_us)
{
    if (!is_metered)
        return LOAD_UNMETERED;
    if (taken_us == 0)
        return now_us - awaited_since_us > stale_after_us ? LOAD_STALE : LOAD_AWAITED;
    return now_us - taken_us > stale_after_us ? LOAD_STALE : LOAD_FRESH;
}

int64_t load_queue_depth(const struct backend_load *backend, int32_t waiting, int backends_up)
{
    int64_t sharers = MAX(backends_up, 1);
    int64_t share = (MAX(waiting, 0) + sharers - 1) / sharers;

    return sum(highest(backend->queue_depth, backend->in_flight), share);
}
