/* SPDX-License-Identifier: Apache-2.0 */
/* telemetry.h - where load samples come from.  Runs on: control thread. */
#pragma once

#include "config/config.h"
#include "core/load.h"
#include "net/loop.h"

struct telemetry_source;

struct telemetry_ops {
    const char *name;
    size_t source_bytes; /* of the implementation's struct, which is cleared before start */
    /* Must not report inside this call. */
    enum status (*start)(struct telemetry_source *source);
    /* Ends what is under way; the struct itself is freed at the end of the turn. */
    void (*stop)(struct telemetry_source *source);
};

/* One source of one backend.  An implementation embeds it first. */
struct telemetry_source {
    const struct telemetry_ops *ops;
    struct loop *loop;
    const struct telemetry_conf *conf; /* lent by the config that was current at start */
    int64_t timeout_ms;
    /* From the loop: a whole sample arrived; or none did (sample is NULL) and st says why: ST_TIMEOUT, ST_UNAVAILABLE,
     * ST_REFUSED (no connection, or an answer other than 200), ST_LIMIT (too long), ST_INVALID (not what is read here),
     * ST_NOMEM.  The source may be stopped from within. */
    void (*report)(struct telemetry_source *source, enum status st,
                   const struct load_sample *sample);
    void *owner;
    struct retired retired;
};

/* Starts taking samples, the first at once, then every interval (spread by a little jitter). */
MUST_CHECK enum status
telemetry_start(struct loop *loop, const struct telemetry_conf *conf, int64_t timeout_ms,
                void (*report)(struct telemetry_source *source, enum status st,
                               const struct load_sample *sample),
                void *owner, struct telemetry_source **out);
void telemetry_stop(struct telemetry_source **source);

/* The text format of Prometheus 0.0.4 with the names of dcgm-exporter (both generations), Triton, AMD, and the queue
 * gauges of SGLang and vLLM-omni.  ST_OK, also where nothing known was found (all fields missing); ST_INVALID: not that
 * format.  Sentinels, NaN, infinities and implausible values are missing. */
MUST_CHECK enum status prometheus_parse(struct text body, struct load_sample *out);
