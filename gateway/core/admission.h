/* SPDX-License-Identifier: Apache-2.0 */
/* admission.h - the heart: terms, job and load in, a verdict out.  Judged before the quota is touched. */
#pragma once

#include "core/load.h"
#include "core/policy.h"

/* clang-format off */

/*    verdict  word, for logs */
#define VERDICT_TABLE(X) \
    X(NONE,    "none")  \
    X(ADMIT,   "admit") \
    X(QUEUE,   "queue") \
    X(SHED,    "shed")  \
    X(DENY,    "deny")

/* Why a verdict is not ADMIT: DENY for the first, SHED for all that follow.  The word is for clients and logs; a client
 * is told to wait retry_s to twice as long: heat takes a minute or two to go, a slot seconds, and a gateway that drains
 * leaves its place to another one at once.
 *    reason            word               retry_s */
#define REASON_TABLE(X) \
    X(NONE,            "none",             1)  \
    X(TOO_MANY_IMAGES, "too_many_images",  1)  /* over the tier's max_images_per_request */ \
    X(DRAINING,        "draining",         1)  /* this gateway is going away */ \
    X(NO_BACKEND,      "no_backend",       5)  /* none that serves this is up */ \
    X(TELEMETRY_STALE, "telemetry_stale",  10) /* all that are up count as overloaded for want of fresh readings */ \
    X(GPU_TEMPERATURE, "gpu_temperature",  30) \
    X(QUEUE_DEPTH,     "queue_depth",      15) \
    X(BUSY,            "busy",             5)  /* no free slot, and this tier does not wait */ \
    X(QUEUE_FULL,      "queue_full",       15) /* no free slot, and the queue is full */

/* clang-format on */

enum verdict_kind {
#define X(name, word) VERDICT_##name,
    VERDICT_TABLE(X)
#undef X
};

enum reason {
#define X(name, word, retry_s) REASON_##name,
    REASON_TABLE(X)
#undef X
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
/* Why a job that was admitted or queued would have been shed if the ladder's steps on trial counted; NONE: it would not
 * have been.  For the log. */
enum reason admission_trial(const struct terms *terms, const struct job *job,
                            const struct load_view *view, const struct ladder *ladder);
const char *admission_verdict_name(enum verdict_kind kind);
/* "gpu_temperature": the same word in x-meltguard-reason, logs and metrics. */
const char *admission_reason_name(enum reason reason);
/* Seconds to wait after a shed for that reason: a base by reason, plus up to as much again by jitter; 1..60. */
int admission_retry_after_s(enum reason reason, uint32_t jitter);
