/* SPDX-License-Identifier: Apache-2.0 */
/* stats.c - cells in one array: a metric's cells lie together, a histogram has STAT_BUCKETS + 2 a label. */
#include "base/stats.h"

#include <stdlib.h>

#define HISTOGRAM_CELLS (STAT_BUCKETS + 2) /* the buckets, the rest, the sum */

const int64_t stat_bounds_us[STAT_BUCKETS] = {
    1000,   2500,    5000,    10000,   25000,    50000,    100000,   250000,
    500000, 1000000, 2500000, 5000000, 10000000, 30000000, 60000000, 300000000};

const struct stat_row stat_rows[STATS_LEN] = {
#define STAT(id, kind, labels, name, help) {STAT_##kind, STAT_##labels, name, help},
#include "base/stats.def"
#undef STAT
};

static int label_count(const struct stats_shape *shape, enum stat_labels labels)
{
    switch (labels) {
    case STAT_NONE:
        return 1;
    case STAT_TIER:
        return STAT_TIERS_MAX;
    case STAT_OUTCOME:
        return shape->outcomes;
    case STAT_TIER_OUTCOME:
        return STAT_TIERS_MAX * shape->outcomes;
    case STAT_BACKEND:
        return shape->backends;
    case STAT_BACKEND_CLASS:
        return shape->backends * STAT_CLASSES;
    case STAT_STORE_OP:
        return shape->store_ops;
    case STAT_KEY_RESULT: /* NOLINT(bugprone-branch-clone): two lists that happen to be as long */
        return STAT_KEY_RESULTS;
    case STAT_SERVICE:
        return STAT_SERVICES;
    }
    return 0;
}

static size_t cell_count(const struct stats_shape *shape, const struct stat_row *row)
{
    size_t labels = (size_t)label_count(shape, row->labels);

    switch (row->kind) {
    case STAT_COUNTER:
        return labels;
    case STAT_HISTOGRAM:
        return labels * HISTOGRAM_CELLS;
    case STAT_GAUGE:
        return 0;
    }
    return 0;
}

enum status stats_init(struct stats *stats, const struct stats_shape *shape)
{
    stats->shape = *shape;
    stats->offsets[0] = 0;
    for (int i = 0; i < STATS_LEN; i++)
        stats->offsets[i + 1] = stats->offsets[i] + cell_count(shape, &stat_rows[i]);
    stats->cells = calloc(stats->offsets[STATS_LEN], sizeof(*stats->cells));
    return stats->cells ? ST_OK : ST_NOMEM;
}

void stats_fini(struct stats *stats)
{
    free(stats->cells);
    stats->cells = NULL;
}

int stats_labels(const struct stats *stats, enum stat_id stat)
{
    return label_count(&stats->shape, stat_rows[stat].labels);
}

/* One writer, so a load and a store suffice; readers see either value. */
static void cell_add(atomic_ullong *cell, uint64_t n)
{
    uint64_t before = atomic_load_explicit(cell, memory_order_relaxed);

    atomic_store_explicit(cell, before + n, memory_order_relaxed);
}

void stats_add(struct stats *stats, enum stat_id stat, int label, uint64_t n)
{
    cell_add(&stats->cells[stats->offsets[stat] + (size_t)label], n);
}

static const atomic_ullong *histogram(const struct stats *stats, enum stat_id stat, int label)
{
    return &stats->cells[stats->offsets[stat] + (size_t)label * HISTOGRAM_CELLS];
}

void stats_observe_us(struct stats *stats, enum stat_id stat, int label, int64_t us)
{
    atomic_ullong *cells = &stats->cells[stats->offsets[stat] + (size_t)label * HISTOGRAM_CELLS];
    int bucket = 0;

    while (bucket < STAT_BUCKETS && us > stat_bounds_us[bucket])
        bucket++;
    cell_add(&cells[bucket], 1);
    cell_add(&cells[STAT_BUCKETS + 1], us > 0 ? (uint64_t)us : 0);
}

uint64_t stats_value(const struct stats *stats, enum stat_id stat, int label)
{
    const atomic_ullong *cell = &stats->cells[stats->offsets[stat] + (size_t)label];

    return atomic_load_explicit(cell, memory_order_relaxed);
}

uint64_t stats_bucket(const struct stats *stats, enum stat_id stat, int label, int bucket)
{
    return atomic_load_explicit(&histogram(stats, stat, label)[bucket], memory_order_relaxed);
}

uint64_t stats_sum_us(const struct stats *stats, enum stat_id stat, int label)
{
    return atomic_load_explicit(&histogram(stats, stat, label)[STAT_BUCKETS + 1],
                                memory_order_relaxed);
}
