/* SPDX-License-Identifier: Apache-2.0 */
/* test_stats.c - cells that do not touch each other, and buckets. */
#include <string.h>

#include "base/stats.h"
#include "unit/whole.h"

static const struct stats_shape shape = {.outcomes = 7, .backends = 3, .store_ops = 5};
static struct stats stats;

static void begin(void)
{
    cr_assert_eq(stats_init(&stats, &shape), ST_OK);
}

static void end(void)
{
    stats_fini(&stats);
    stats_fini(&stats);
}

WHOLE_TEST(stats, labels_as_the_shape_says)
{
    cr_assert_eq(stats_labels(&stats, STAT_REQUESTS), STAT_TIERS_MAX * 7);
    cr_assert_eq(stats_labels(&stats, STAT_IMAGES), STAT_TIERS_MAX);
    cr_assert_eq(stats_labels(&stats, STAT_BACKEND_ANSWERS), 3 * STAT_CLASSES);
    cr_assert_eq(stats_labels(&stats, STAT_BACKEND_UP), 3);
    cr_assert_eq(stats_labels(&stats, STAT_STORE_OPS), 5);
    cr_assert_eq(stats_labels(&stats, STAT_ACCEPTED), 1);
}

/* Each cell gets a number of its own; none overwrites another. */
WHOLE_TEST(stats, cells_are_apart)
{
    uint64_t number = 0;

    for (int stat = 0; stat < STATS_LEN; stat++)
        for (int label = 0; label < stats_labels(&stats, stat); label++) {
            if (stat_rows[stat].kind == STAT_COUNTER)
                stats_add(&stats, stat, label, ++number);
            if (stat_rows[stat].kind == STAT_HISTOGRAM)
                stats_observe_us(&stats, stat, label, 1000000 * (int64_t)++number);
        }
    number = 0;
    for (int stat = 0; stat < STATS_LEN; stat++)
        for (int label = 0; label < stats_labels(&stats, stat); label++) {
            if (stat_rows[stat].kind == STAT_COUNTER)
                cr_assert_eq(stats_value(&stats, stat, label), ++number);
            if (stat_rows[stat].kind == STAT_HISTOGRAM)
                cr_assert_eq(stats_sum_us(&stats, stat, label), 1000000 * ++number);
        }
}

WHOLE_TEST(stats, counters_add_up)
{
    stats_add(&stats, STAT_IMAGES, STAT_TIERS_MAX - 1, 3);
    stats_add(&stats, STAT_IMAGES, STAT_TIERS_MAX - 1, 4);
    cr_assert_eq(stats_value(&stats, STAT_IMAGES, STAT_TIERS_MAX - 1), 7);
    cr_assert_eq(stats_value(&stats, STAT_IMAGES, 0), 0);
}

WHOLE_TEST(stats, bounds_are_inclusive)
{
    for (int i = 0; i < STAT_BUCKETS; i++) {
        stats_observe_us(&stats, STAT_STORE_SECONDS, 0, stat_bounds_us[i]);
        cr_assert_eq(stats_bucket(&stats, STAT_STORE_SECONDS, 0, i), 1);
        cr_assert(i == 0 || stat_bounds_us[i] > stat_bounds_us[i - 1]);
    }
    stats_observe_us(&stats, STAT_STORE_SECONDS, 0, stat_bounds_us[STAT_BUCKETS - 1] + 1);
    cr_assert_eq(stats_bucket(&stats, STAT_STORE_SECONDS, 0, STAT_BUCKETS), 1);
}

WHOLE_TEST(stats, time_that_ran_backwards_counts_as_none)
{
    stats_observe_us(&stats, STAT_STORE_SECONDS, 0, -5);
    cr_assert_eq(stats_bucket(&stats, STAT_STORE_SECONDS, 0, 0), 1);
    cr_assert_eq(stats_sum_us(&stats, STAT_STORE_SECONDS, 0), 0);
}

WHOLE_TEST(stats, names_and_help)
{
    for (int i = 0; i < STATS_LEN; i++) {
        const struct stat_row *row = &stat_rows[i];
        size_t len = strlen(row->name);
        bool is_total = len > 6 && strcmp(row->name + len - 6, "_total") == 0;

        cr_assert_eq(row->kind == STAT_COUNTER, is_total, "%s", row->name);
        cr_assert_eq(strspn(row->name, "abcdefghijklmnopqrstuvwxyz_"), len, "%s", row->name);
        cr_assert_gt(strlen(row->help), 0);
        for (int j = 0; j < i; j++)
            cr_assert_str_neq(row->name, stat_rows[j].name);
    }
}
