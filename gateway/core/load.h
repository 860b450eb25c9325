/* SPDX-License-Identifier: Apache-2.0 */
/* load.h - samples in, a view of the load out.  A value is either known or missing; missing is never zero. */
#pragma once

#include "base/base.h"

/* Sentinel: no such value. */
#define LOAD_MISSING INT64_MIN

/* One reading of a backend's GPUs and queue, as a telemetry source took it.  Each field may be LOAD_MISSING. */
struct load_sample {
    int64_t taken_us;       /* CLOCK_MONOTONIC, when it arrived here */
    int64_t temperature_mc; /* of the hottest GPU, thousandths of a degree Celsius */
    int64_t memory_temperature_mc;
    int64_t power_mw;             /* sum over GPUs, each counted once */
    int64_t energy_mj;            /* likewise; counts up */
    int64_t utilization_permille; /* mean over GPUs */
    int64_t queue_depth;          /* jobs that wait inside the backend */
    int64_t gpus;                 /* distinct GPUs seen */
};

/* A sample with all fields missing. */
void load_sample_clear(struct load_sample *sample);
/* The value if it is in -273150..200000 (physics below, and above more than any GPU survives; the sentinels of DCGM are
 * far outside); else LOAD_MISSING. */
int64_t load_plausible_temperature(int64_t temperature_mc);
/* Adds one GPU's or source's reading to a sample of the same backend: hottest, sums, mean by GPUs, deepest queue; as old
 * as the older of the two.  A sum that does not fit stays at the largest number. */
void load_sample_merge(struct load_sample *into, const struct load_sample *from);

enum load_freshness {
    LOAD_UNMETERED, /* no telemetry is configured for it */
    LOAD_AWAITED,   /* no sample yet, and stale_after has not passed since the start */
    LOAD_FRESH,
    LOAD_STALE, /* the last one is too old, or none came in time */
};

enum load_when_stale { WHEN_STALE_NONE, WHEN_STALE_OVERLOADED, WHEN_STALE_UNKNOWN };

/* awaited_since_us: when the source was started.  taken_us: 0 when there is no sample yet. */
enum load_freshness load_freshness(bool is_metered, int64_t taken_us, int64_t awaited_since_us,
                                   int64_t stale_after_us, int64_t now_us);

/* One backend as a decision sees it. */
struct backend_load {
    bool is_up;        /* not ejected */
    bool serves;       /* speaks the job's dialect; set by the caller a request */
    bool is_stale;     /* counts as overloaded because of that */
    int32_t in_flight; /* jobs of this gateway at it */
    int32_t max_in_flight;
    int64_t temperature_mc; /* or LOAD_MISSING */
    int64_t queue_depth;    /* as it reports, or LOAD_MISSING */
    uint32_t active_steps;  /* of the ladder, by governor_judge() */
};

struct load_view {
    const struct backend_load *backends;
    int len;
    int32_t waiting;     /* requests in this gateway's queues */
    int32_t max_waiting; /* the bound on them */
    bool is_draining;
};

/* What the queue_depth ladder judges: the larger of what the backend reports and this gateway's jobs at it (a gauge that
 * lies low, or is missing, never hides them), and its share of the waiting requests, rounded up. */
int64_t load_queue_depth(const struct backend_load *backend, int32_t waiting, int backends_up);
