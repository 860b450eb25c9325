/* SPDX-License-Identifier: Apache-2.0 */
/* test_row.c - what is charged, given back and told of each kind of limit, on plain values. */

#include <criterion/criterion.h>

#include "core/cost.h"
#include "quota/quota.h"
#include "quota/row.h"

#define SECOND_US INT64_C(1000000)
#define HOUR_S    INT64_C(3600)
#define DAY_S     INT64_C(86400)
#define NOW_US    (INT64_C(1795000000) * SECOND_US)

static struct limit limit_of(enum limit_kind kind, enum limit_measure measure, int64_t units)
{
    return (struct limit){
        .rule = {.kind = kind, .measure = measure, .units = units, .period_us = 60 * SECOND_US},
        .image_units = UNITS_PER_IMAGE,
        .window = {.end_s = 42},
    };
}

static bool has_room(const struct row *row, const struct limit *limit, int64_t images)
{
    struct charge charge = charge_of(limit, images, NOW_US);

    return row_has_room(row, limit, &charge, NOW_US);
}

Test(quota_row, a_day_of_images_is_a_small_integer)
{
    struct limit limit = limit_of(LIMIT_DAY, MEASURE_IMAGES, 3000);
    struct charge charge = charge_of(&limit, 3, NOW_US);
    struct row row = {0};

    cr_assert_eq(charge.amount, 3);
    cr_assert(row_has_room(&row, &limit, &charge, NOW_US));
    row_add(&row, &charge, NOW_US);
    cr_assert_eq(row.number, 3);
    cr_assert(!has_room(&row, &limit, 1));
    row_give(&row, &charge, 1, 3, NOW_US);
    cr_assert_eq(row.number, 2);
    row_give(&row, &charge, 3, 3, NOW_US);
    cr_assert_eq(row.number, 0, "never below zero");
}

Test(quota_row, grants_are_kept_apart_from_use)
{
    struct limit limit = limit_of(LIMIT_DAY, MEASURE_IMAGES, 3000);
    struct charge charge = charge_of(&limit, 3, NOW_US);
    struct row row = {.number = (INT64_C(2) << 24) + 3};
    struct reserved_limit told = {.limit = limit};

    cr_assert(has_room(&row, &limit, 2));
    cr_assert(!has_room(&row, &limit, 3));
    row_give(&row, &charge, 3, 3, NOW_US);
    cr_assert_eq(row.number, INT64_C(2) << 24, "never into the grants");
    row.number++;
    row_tell(&row, &told, 1, NOW_US);
    cr_assert_eq(told.used_units, 1000);
    cr_assert_eq(told.granted_units, 2000);
    cr_assert_eq(told.reset_us, 42 * SECOND_US);
}

Test(quota_row, a_row_never_counts_past_its_span)
{
    enum limit_measure measures[] = {MEASURE_IMAGES, MEASURE_CREDITS};

    for (int i = 0; i < 2; i++) {
        struct row_shape shape = row_shape(measures[i]);
        struct limit limit = limit_of(LIMIT_MONTH, measures[i], INT64_MAX / 2);
        struct charge charge = charge_of(&limit, 5, NOW_US);
        struct row row = {.number = shape.span * 7 + shape.span - 2};

        cr_assert(!row_has_room(&row, &limit, &charge, NOW_US));
        row_add(&row, &charge, NOW_US);
        cr_assert_eq(row.number, shape.span * 7 + shape.span - 1, "on trial it stops there");
        cr_assert_leq((shape.granted_max + 1) * shape.span, INT64_C(1) << 53, "exact in a double");
    }
}

Test(quota_row, credits_are_thousandths)
{
    struct limit limit = limit_of(LIMIT_MONTH, MEASURE_CREDITS, 10000);

    limit.image_units = 2501;
    cr_assert_eq(charge_of(&limit, 4, NOW_US).amount, 10004);
    cr_assert(!has_room(&(struct row){0}, &limit, 4));
    limit.image_units = 2500;
    cr_assert(has_room(&(struct row){0}, &limit, 4));
    cr_assert(has_room(&(struct row){.number = INT64_C(1) << 32}, &limit, 4));
}

Test(quota_row, a_rate_gives_back_as_the_bucket_does)
{
    struct limit limit = limit_of(LIMIT_RATE, MEASURE_IMAGES, 2000);

    limit.rule.burst_units = 5000;
    for (int64_t held = 1; held <= 5; held++) {
        for (int64_t gone_s = 0; gone_s < 200; gone_s += 7) {
            struct charge charge = charge_of(&limit, held, NOW_US);
            int64_t later_us = NOW_US + gone_s * SECOND_US;
            struct row row = {0};

            row_add(&row, &charge, NOW_US);

            int64_t expected =
                bucket_give(&limit.rule, row.number, (held - 1) * 1000, NOW_US, later_us);

            row_give(&row, &charge, held - 1, held, later_us);
            cr_assert_eq(row.number, expected);
        }
    }
}

Test(quota_row, a_rate_decides_as_the_bucket_does)
{
    struct limit limit = limit_of(LIMIT_RATE, MEASURE_IMAGES, 7000);

    limit.rule.burst_units = 3000;
    for (int64_t ahead_us = -SECOND_US; ahead_us < 40 * SECOND_US; ahead_us += 99991) {
        for (int64_t images = 1; images <= 4; images++) {
            struct row row = {.number = NOW_US + ahead_us};
            struct bucket_answer bucket =
                bucket_take(&limit.rule, row.number, images * 1000, NOW_US);
            struct charge charge = charge_of(&limit, images, NOW_US);

            cr_assert_eq(row_has_room(&row, &limit, &charge, NOW_US), bucket.is_allowed);
            row_add(&row, &charge, NOW_US);
            if (bucket.is_allowed)
                cr_assert_eq(row.number, bucket.value);
        }
    }
}

Test(quota_row, segments_are_long_enough)
{
    static const struct {
        int64_t period_s, burst_units, expected_s;
    } rates[] = {
        {60, 3000, HOUR_S},
        {3600, 1000, DAY_S},
        {3540, 1000, HOUR_S},
        {DAY_S, 1000, 32 * DAY_S},
        {40 * DAY_S, 1000, 1024 * DAY_S},
        {4000 * DAY_S, 1000, 1024 * DAY_S},
    };

    for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
        struct limit limit = limit_of(LIMIT_RATE, MEASURE_IMAGES, 1000);

        limit.rule.period_us = rates[i].period_s * SECOND_US;
        limit.rule.burst_units = rates[i].burst_units;
        cr_assert_eq(limit_segment_s(&limit.rule), rates[i].expected_s, "%zu", i);
        limit.rule.kind = LIMIT_ROLLING;
        cr_assert_geq(limit_segment_s(&limit.rule), MIN(rates[i].period_s, 1024 * DAY_S));
    }
}

Test(quota_row, what_a_rolling_row_holds_it_gives_back_to_its_slot)
{
    struct limit limit = limit_of(LIMIT_ROLLING, MEASURE_CREDITS, 9000);
    struct row row = {0};
    struct charge charge;

    limit.image_units = 1500;
    charge = charge_of(&limit, 2, NOW_US);
    row_add(&row, &charge, NOW_US);
    cr_assert_eq(rolling_sum(&row.rolling), 3000);
    charge = charge_of(&limit, 2, NOW_US + 10 * SECOND_US);
    row_add(&row, &charge, NOW_US);
    row_give(&row, &charge, 1, 2, NOW_US);
    cr_assert_eq(rolling_sum(&row.rolling), 4500);
    row_give(&row, &charge, 9, 2, NOW_US);
    cr_assert_eq(rolling_sum(&row.rolling), 3000, "never more than the slot has");
}

Test(quota_row, amends)
{
    struct limit day = limit_of(LIMIT_DAY, MEASURE_IMAGES, 3000);
    struct limit credits = limit_of(LIMIT_DAY, MEASURE_CREDITS, 3000);
    struct row row = {.number = 5};

    row_amend(&row, &day, &(struct quota_change){CHANGE_GRANT, 2999, 0}, NOW_US);
    cr_assert_eq(row.number, (INT64_C(2) << 24) + 5);
    row_amend(&row, &day, &(struct quota_change){CHANGE_GRANT, -9000, 0}, NOW_US);
    cr_assert_eq(row.number, 5);
    row_amend(&row, &day, &(struct quota_change){CHANGE_GRANT, INT64_MAX / 2, 0}, NOW_US);
    cr_assert_eq(row.number, (row_shape(MEASURE_IMAGES).granted_max << 24) + 5);
    row_amend(&row, &day, &(struct quota_change){CHANGE_SET_USED, INT64_MAX / 2, 0}, NOW_US);
    cr_assert_eq(row_used(row_shape(MEASURE_IMAGES), row.number), (1 << 24) - 1);
    row_amend(&row, &day, &(struct quota_change){CHANGE_RESET, 0, 0}, NOW_US);
    cr_assert_eq(row.number, 0);
    row_amend(&row, &credits, &(struct quota_change){CHANGE_SET_USED, 1234, 0}, NOW_US);
    row_amend(&row, &credits, &(struct quota_change){CHANGE_GRANT, 5000, 0}, NOW_US);
    cr_assert_eq(row.number, (INT64_C(5) << 32) + 1234);
    row_amend(&row, &credits, &(struct quota_change){CHANGE_SET_USED, -1, 0}, NOW_US);
    cr_assert_eq(row.number, INT64_C(5) << 32);
}
