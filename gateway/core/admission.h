/* SPDX-License-Identifier: Apache-2.0 */
/* admission.h - the heart: terms, job and load in, a verdict out.  Judged before the quota is touched. */
#pragma once

#include "core/load.h"
#include "core/policy.h"

enum verdict_kind { VERDICT_NONE, VERDICT_ADMIT, VERDICT_QUEUE, VERDICT_SHED, VERDICT_DENY };

/* Why a verdict is not ADMIT. */
enum reason {
    REASON_NONE,
    REASON_TOO_MANY_IMAGES, /* DENY: over the tier's max_images_per_request */
    REASON_DRAINING,        /* SHED, as all that follow: this gateway is going away */
    REASON_NO_BACKEND,      /* none that serves this is up */
    REASON_TELEMETRY_STALE, /* all that are up count as overloaded for want of fresh readings */
    REASON_GPU_TEMPERATURE,
    REASON_QUEUE_DEPTH,
    REASON_BUSY,       /* no free slot, and this tier does not wait */
    REASON_QUEUE_FULL, /* no free slot, and the queue is full */
};

struct verdict {
    enum verdict_kind kind;
    enum reason reason;
    int retry_after_s; /* SHED: 1..60; else 0 */
};

/* The order: DENY by the terms; then draining; no backend up; every one closed to the tier (the reason is that of the
 * coolest, least loaded one: stale, else temperature, else queue depth); a slot is free: ADMIT; the tier waits and the
 * queue has room: QUEUE; else SHED.  OPERATION_PASS needs only a backend that is up and a slot.
 * jitter: any random number; spreads retry_after_s. */
struct verdict admission_decide(const struct terms *terms, const struct job *job,
                                const struct load_view *view, const struct ladder *ladder,
                                uint32_t jitter);
/* Seconds to wait after a shed for that reason: a base by reason, plus up to as much again by jitter; 1..60. */
int admission_retry_after_s(enum reason reason, uint32_t jitter);
