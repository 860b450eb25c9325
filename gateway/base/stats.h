/* SPDX-License-Identifier: Apache-2.0 */
/* stats.h - counters and histograms, one set of cells a worker.  One thread writes a set; any thread may read it. */
#pragma once

#include <stdatomic.h>

#include "base/status.h"

enum stat_id {
#define STAT(id, kind, labels, name, help) STAT_##id,
#include "base/stats.def"
#undef STAT
    STATS_LEN
};

enum stat_kind { STAT_COUNTER, STAT_HISTOGRAM, STAT_GAUGE };

enum stat_labels {
    STAT_NONE,
    STAT_TIER,
    STAT_OUTCOME,
    STAT_TIER_OUTCOME, /* label = tier * outcomes + outcome */
    STAT_BACKEND,
    STAT_BACKEND_CLASS, /* label = backend * STAT_CLASSES + class */
    STAT_STORE_OP,
    STAT_KEY_RESULT,
    STAT_SERVICE,
};

#define STAT_CLASSES     6  /* 0: lost; 1..5: 1xx..5xx */
#define STAT_KEY_RESULTS 6  /* how lookups of keys end */
#define STAT_SERVICES    6  /* SERVICE_ROWS of core/service.h */
#define STAT_TIERS_MAX   65 /* 0: not known; then as many as config_tier_count() can become */

/* Upper bounds of a histogram's buckets, in microseconds; one more holds the rest. */
#define STAT_BUCKETS 16
extern const int64_t stat_bounds_us[STAT_BUCKETS];

struct stat_row {
    enum stat_kind kind;
    enum stat_labels labels;
    const char *name;
    const char *help;
};

extern const struct stat_row stat_rows[STATS_LEN];

/* How many values each label has, the same in all sets of a process. */
struct stats_shape {
    int outcomes;
    int backends;
    int store_ops;
};

struct stats {
    struct stats_shape shape;
    size_t offsets[STATS_LEN + 1];
    atomic_ullong *cells; /* owned */
};

MUST_CHECK enum status stats_init(struct stats *stats, const struct stats_shape *shape);
void stats_fini(struct stats *stats);

/* How many label values a metric has. */
int stats_labels(const struct stats *stats, enum stat_id stat);
void stats_add(struct stats *stats, enum stat_id stat, int label, uint64_t n);
void stats_observe_us(struct stats *stats, enum stat_id stat, int label, int64_t us);

uint64_t stats_value(const struct stats *stats, enum stat_id stat, int label);
/* A histogram: bucket 0..STAT_BUCKETS, not cumulative; and the sum of all that was observed, in microseconds. */
uint64_t stats_bucket(const struct stats *stats, enum stat_id stat, int label, int bucket);
uint64_t stats_sum_us(const struct stats *stats, enum stat_id stat, int label);
