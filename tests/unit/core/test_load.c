/* SPDX-License-Identifier: Apache-2.0 */
/* test_load.c - readings: missing is never zero, sentinels are missing, and stale is stale. */

#include "core/load.h"

#include <criterion/criterion.h>

Test(load, a_clear_sample_knows_nothing)
{
    struct load_sample s;

    load_sample_clear(&s);
    cr_expect_eq(s.taken_us, 0);
    cr_expect_eq(s.temperature_mc, LOAD_MISSING);
    cr_expect_eq(s.memory_temperature_mc, LOAD_MISSING);
    cr_expect_eq(s.power_mw, LOAD_MISSING);
    cr_expect_eq(s.energy_mj, LOAD_MISSING);
    cr_expect_eq(s.utilization_permille, LOAD_MISSING);
    cr_expect_eq(s.queue_depth, LOAD_MISSING);
    cr_expect_eq(s.gpus, LOAD_MISSING);
}

Test(load, sentinels_are_missing)
{
    cr_expect_eq(load_plausible_temperature(0), 0);
    cr_expect_eq(load_plausible_temperature(85000), 85000);
    cr_expect_eq(load_plausible_temperature(200000), 200000);
    cr_expect_eq(load_plausible_temperature(200001), LOAD_MISSING);
    cr_expect_eq(load_plausible_temperature(-273150), -273150);
    cr_expect_eq(load_plausible_temperature(-273151), LOAD_MISSING);
    cr_expect_eq(load_plausible_temperature(LOAD_MISSING), LOAD_MISSING);
    cr_expect_eq(load_plausible_temperature(INT64_C(9223372036854775794)), LOAD_MISSING, "DCGM");
    cr_expect_eq(load_plausible_temperature(INT64_C(2147483632) * 1000), LOAD_MISSING, "DCGM");
}

static struct load_sample gpu(int64_t temperature_mc, int64_t power_mw, int64_t permille)
{
    struct load_sample s;

    load_sample_clear(&s);
    s.temperature_mc = temperature_mc;
    s.power_mw = power_mw;
    s.utilization_permille = permille;
    s.gpus = 1;
    return s;
}

Test(load, merge_takes_the_hottest_the_sums_and_the_mean)
{
    struct load_sample all;
    struct load_sample a = gpu(60000, 300000, 1000);
    struct load_sample b = gpu(81000, 200000, 500);
    struct load_sample d = gpu(70000, 100000, 0);

    load_sample_clear(&all);
    load_sample_merge(&all, &a);
    load_sample_merge(&all, &b);
    load_sample_merge(&all, &d);
    cr_expect_eq(all.temperature_mc, 81000);
    cr_expect_eq(all.power_mw, 600000);
    cr_expect_eq(all.utilization_permille, 500);
    cr_expect_eq(all.gpus, 3);
    cr_expect_eq(all.memory_temperature_mc, LOAD_MISSING, "nobody reported it");
    cr_expect_eq(all.queue_depth, LOAD_MISSING);
}

Test(load, merge_leaves_what_the_other_does_not_know)
{
    struct load_sample all = gpu(60000, 300000, 400);
    struct load_sample nothing;
    struct load_sample queue;

    load_sample_clear(&nothing);
    load_sample_merge(&all, &nothing);
    load_sample_clear(&queue);
    queue.queue_depth = 7;
    load_sample_merge(&all, &queue);
    queue.queue_depth = 5;
    load_sample_merge(&all, &queue);
    cr_expect_eq(all.temperature_mc, 60000);
    cr_expect_eq(all.power_mw, 300000);
    cr_expect_eq(all.utilization_permille, 400);
    cr_expect_eq(all.gpus, 1);
    cr_expect_eq(all.queue_depth, 7);
}

Test(load, merge_of_temperatures_under_zero)
{
    struct load_sample all = gpu(-30000, LOAD_MISSING, LOAD_MISSING);
    struct load_sample colder = gpu(-40000, LOAD_MISSING, LOAD_MISSING);

    load_sample_merge(&all, &colder);
    cr_expect_eq(all.temperature_mc, -30000);
    cr_expect_eq(all.power_mw, LOAD_MISSING);
}

Test(load, merge_is_as_old_as_the_older)
{
    struct load_sample all;
    struct load_sample one;

    load_sample_clear(&all);
    load_sample_clear(&one);
    one.taken_us = 500;
    load_sample_merge(&all, &one);
    cr_expect_eq(all.taken_us, 500);
    one.taken_us = 300;
    load_sample_merge(&all, &one);
    cr_expect_eq(all.taken_us, 300);
    one.taken_us = 900;
    load_sample_merge(&all, &one);
    cr_expect_eq(all.taken_us, 300);
    one.taken_us = 0;
    load_sample_merge(&all, &one);
    cr_expect_eq(all.taken_us, 300, "a part without a time says nothing about age");
}

Test(load, merge_of_absurd_numbers_saturates)
{
    struct load_sample all = gpu(60000, INT64_MAX - 1, INT64_MAX);
    struct load_sample more = gpu(60000, 1000, 1000);

    all.gpus = INT64_MAX;
    all.energy_mj = -INT64_MAX;
    more.energy_mj = -1000;
    load_sample_merge(&all, &more);
    cr_expect_eq(all.power_mw, INT64_MAX);
    cr_expect_eq(all.energy_mj, -INT64_MAX, "and not the sentinel");
    cr_expect_eq(all.gpus, INT64_MAX);
    cr_expect_eq(all.utilization_permille, 1000);
}

Test(load, freshness)
{
    const int64_t start_us = 1000000;
    const int64_t limit_us = 10000000;

    cr_expect_eq(load_freshness(false, 0, start_us, limit_us, start_us), LOAD_UNMETERED);
    cr_expect_eq(load_freshness(false, 5, start_us, limit_us, INT64_MAX), LOAD_UNMETERED);
    cr_expect_eq(load_freshness(true, 0, start_us, limit_us, start_us), LOAD_AWAITED);
    cr_expect_eq(load_freshness(true, 0, start_us, limit_us, start_us + limit_us), LOAD_AWAITED);
    cr_expect_eq(load_freshness(true, 0, start_us, limit_us, start_us + limit_us + 1), LOAD_STALE);
    cr_expect_eq(load_freshness(true, 5000000, start_us, limit_us, 15000000), LOAD_FRESH);
    cr_expect_eq(load_freshness(true, 5000000, start_us, limit_us, 15000001), LOAD_STALE);
    cr_expect_eq(load_freshness(true, 5000000, start_us, limit_us, 4999000), LOAD_FRESH,
                 "taken on another thread, a moment ahead of this now");
}

static int64_t depth(int64_t reported, int32_t in_flight, int32_t waiting, int backends_up)
{
    const struct backend_load b = {.in_flight = in_flight, .queue_depth = reported};

    return load_queue_depth(&b, waiting, backends_up);
}

Test(load, queue_depth_is_the_larger_plus_a_share_of_those_who_wait)
{
    cr_expect_eq(depth(LOAD_MISSING, 0, 0, 1), 0);
    cr_expect_eq(depth(LOAD_MISSING, 3, 0, 1), 3);
    cr_expect_eq(depth(0, 3, 0, 1), 3, "a gauge that lies low hides nothing");
    cr_expect_eq(depth(9, 3, 0, 1), 9);
    cr_expect_eq(depth(9, 3, 4, 2), 11);
    cr_expect_eq(depth(9, 3, 5, 2), 12, "rounded up");
    cr_expect_eq(depth(9, 3, 1, 1000), 10);
    cr_expect_eq(depth(9, 3, 5, 0), 14, "nobody is up: as if this one were");
    cr_expect_eq(depth(-5, 0, 0, 1), 0);
    cr_expect_eq(depth(9, 3, -1, 1), 9);
    cr_expect_eq(depth(INT64_MAX, 3, INT32_MAX, 1), INT64_MAX);
}
