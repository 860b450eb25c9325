/* SPDX-License-Identifier: Apache-2.0 */
/* metrics.h - /metrics: the text format of Prometheus 0.0.4.  Runs on: control thread. */
#pragma once

#include "backend/backend.h"
#include "gate/gate.h"

struct metrics_source {
    struct gate *const *gates; /* one a worker */
    int gates_len;
    const struct backend_set *backends;
    const struct shared_gate *shared;
    const struct quota_store *store;
    int generation;
};

/* Owned by the caller (free); *out_len without a NUL.  ST_OK or ST_NOMEM. */
MUST_CHECK enum status metrics_print(const struct metrics_source *source, int64_t now_us,
                                     char **out, size_t *out_len);
