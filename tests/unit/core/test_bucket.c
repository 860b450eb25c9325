/* SPDX-License-Identifier: Apache-2.0 */
/* test_bucket.c - GCRA against exact models that keep everything, rolling slots against a list of all that was charged. */

#include "core/bucket.h"

#include <criterion/criterion.h>

#include "core/cost.h"
#include "unit/core/random.h"

#define US_PER_S   INT64_C(1000000)
#define US_PER_MIN (60 * US_PER_S)
#define START_US   INT64_C(1795262400000000)

static struct limit_rule rate(int64_t units, int64_t period_us, int64_t burst_units)
{
    return (struct limit_rule){
        .kind = LIMIT_RATE, .units = units, .period_us = period_us, .burst_units = burst_units};
}

static struct limit_rule rolling_rule(int64_t units, int64_t period_us)
{
    return (struct limit_rule){.kind = LIMIT_ROLLING, .units = units, .period_us = period_us};
}

/* --- rate --- */

Test(bucket, two_a_minute_and_three_at_once)
{
    const struct limit_rule rule = rate(2000, US_PER_MIN, 3000);
    int64_t now_us = START_US;
    int64_t tat_us = 0;

    for (int64_t n = 1; n <= 3; n++) {
        struct bucket_answer a = bucket_take(&rule, tat_us, 1000, now_us);

        cr_assert(a.is_allowed);
        cr_expect_eq(a.left_units, 3000 - n * 1000);
        cr_expect_eq(a.retry_at_us, now_us);
        tat_us = a.value;
    }
    cr_expect_eq(tat_us, now_us + 90 * US_PER_S);
    struct bucket_answer fourth = bucket_take(&rule, tat_us, 1000, now_us);

    cr_expect_not(fourth.is_allowed);
    cr_expect_eq(fourth.value, tat_us);
    cr_expect_eq(fourth.left_units, 0);
    cr_expect_eq(fourth.retry_at_us, now_us + 30 * US_PER_S);
    cr_expect_not(bucket_take(&rule, tat_us, 1000, now_us + 30 * US_PER_S - 1).is_allowed);
    cr_expect(bucket_take(&rule, tat_us, 1000, now_us + 30 * US_PER_S).is_allowed);
    cr_expect_eq(bucket_take(&rule, tat_us, 0, now_us + 90 * US_PER_S).left_units, 3000);
}

Test(bucket, more_than_the_burst_never_fits)
{
    const struct limit_rule rule = rate(2000, US_PER_MIN, 3000);
    struct bucket_answer a = bucket_take(&rule, 0, 3001, START_US);

    cr_expect_not(a.is_allowed);
    cr_expect_eq(a.retry_at_us, INT64_MAX);
    cr_expect_eq(a.left_units, 3000);
}

Test(bucket, a_rate_of_nothing_lets_nothing_through)
{
    const struct limit_rule rule = rate(0, US_PER_MIN, 1000);
    struct bucket_answer a = bucket_take(&rule, 0, 1000, START_US);

    cr_expect_not(a.is_allowed);
    cr_expect_eq(a.left_units, 0);
    cr_expect_eq(a.retry_at_us, INT64_MAX);
    cr_expect(bucket_take(&rule, 0, 0, START_US).is_allowed, "but nothing may be taken");
}

static int64_t pick(uint64_t *state, const int64_t *values, size_t len)
{
    return values[random_next(state) % len];
}

static int64_t pick_positive(uint64_t *state, const int64_t *values, size_t len)
{
    int64_t value = pick(state, values, len);

    return value > 0 ? value : 1;
}

static struct limit_rule random_rate(uint64_t *state)
{
    static const int64_t periods[] = {US_PER_S, US_PER_MIN, 3600 * US_PER_S, 7 * US_PER_S};
    int64_t images = random_between(state, 1, random_next(state) % 8 == 0 ? 2000 : 40);

    return rate(images * 1000, pick(state, periods, ARRAY_LEN(periods)),
                random_between(state, 1, 12) * 1000);
}

/* What bucket.h says that an image is worth. */
static int64_t interval_us(const struct limit_rule *rule)
{
    int64_t interval = (rule->period_us * 1000 + rule->units - 1) / rule->units;

    return interval < US_PER_S ? interval : (interval + 999) / 1000 * 1000;
}

/* A bucket that leaks, in thousandths of a microsecond: nothing is rounded. */
struct leaky {
    int64_t level;
    int64_t at_us;
};

static bool leaky_take(struct leaky *l, const struct limit_rule *rule, int64_t units,
                       int64_t now_us)
{
    int64_t interval = interval_us(rule);

    l->level -= MIN(l->level, (now_us - l->at_us) * 1000);
    l->at_us = now_us;
    if (l->level + units * interval > rule->burst_units * interval)
        return false;
    l->level += units * interval;
    return true;
}

/* Whole images, at any rate: exactly as the bucket that rounds nothing, at every instant. */
Test(bucket, whole_images_as_the_exact_model)
{
    uint64_t state = 11;

    for (int run = 0; run < 400; run++) {
        struct limit_rule rule = random_rate(&state);
        struct leaky model = {0, START_US};
        int64_t now_us = START_US;
        int64_t tat_us = 0;

        for (int n = 0; n < 200; n++) {
            now_us +=
                random_next(&state) % 3 ? 0 : random_between(&state, 0, 2 * interval_us(&rule));
            int64_t units = random_between(&state, 1, 4) * 1000;
            struct bucket_answer a = bucket_take(&rule, tat_us, units, now_us);

            cr_assert_eq(a.is_allowed, leaky_take(&model, &rule, units, now_us));
            cr_assert_eq(a.left_units, rule.burst_units - (model.level + interval_us(&rule) - 1) /
                                                              interval_us(&rule));
            tat_us = a.value;
        }
    }
}

/* Credits in thousandths: never what the exact model refuses; and with intervals of a second and more, all it allows. */
Test(bucket, parts_of_credits_as_the_exact_model)
{
    uint64_t state = 12;

    for (int run = 0; run < 400; run++) {
        struct limit_rule rule = random_rate(&state);
        bool is_exact = interval_us(&rule) % 1000 == 0;
        struct leaky model = {0, START_US};
        int64_t now_us = START_US;
        int64_t tat_us = 0;

        for (int n = 0; n < 200; n++) {
            now_us +=
                random_next(&state) % 3 ? 0 : random_between(&state, 0, 2 * interval_us(&rule));
            int64_t units = random_between(&state, 1, 2500);
            struct leaky before = model;
            struct bucket_answer a = bucket_take(&rule, tat_us, units, now_us);
            bool model_allows = leaky_take(&model, &rule, units, now_us);

            cr_assert(!a.is_allowed || model_allows);
            cr_assert(!is_exact || a.is_allowed == model_allows);
            if (!a.is_allowed)
                model = before; /* refused for want of a microsecond */
            tat_us = a.value;
        }
    }
}

struct grant {
    int64_t at_us;
    int64_t units;
};

/* By the rate as written, not as rounded: in any stretch of time at most the burst and what the stretch is worth. */
Test(bucket, no_stretch_of_time_has_more_than_the_rate)
{
    static struct grant grants[300];
    uint64_t state = 13;

    for (int run = 0; run < 60; run++) {
        struct limit_rule rule = random_rate(&state);
        int64_t now_us = START_US;
        int64_t tat_us = 0;
        int len = 0;

        for (int n = 0; n < 300; n++) {
            now_us += random_between(&state, 0, interval_us(&rule));
            int64_t units = random_between(&state, 1, 3000);
            struct bucket_answer a = bucket_take(&rule, tat_us, units, now_us);

            tat_us = a.value;
            if (a.is_allowed)
                grants[len++] = (struct grant){now_us, units};
        }
        for (int first = 0; first < len; first++) {
            int64_t sum = 0;

            for (int last = first; last < len; last++) {
                int64_t length_us = grants[last].at_us - grants[first].at_us;

                sum += grants[last].units;
                cr_assert_leq((sum - rule.burst_units) * rule.period_us, length_us * rule.units);
            }
        }
    }
}

Test(bucket, left_and_retry_are_true)
{
    uint64_t state = 14;

    for (int n = 0; n < 50000; n++) {
        struct limit_rule rule = random_rate(&state);
        int64_t burst_us = bucket_cost_us(&rule, rule.burst_units);
        int64_t tat_us = START_US + random_between(&state, -burst_us, 2 * burst_us);
        int64_t units = random_between(&state, 1, rule.burst_units);
        struct bucket_answer a = bucket_take(&rule, tat_us, units, START_US);

        if (a.left_units > 0)
            cr_assert(bucket_take(&rule, a.value, a.left_units, START_US).is_allowed);
        cr_assert_not(bucket_take(&rule, a.value, a.left_units + 1, START_US).is_allowed);
        if (a.is_allowed)
            continue;
        cr_assert(bucket_take(&rule, tat_us, units, a.retry_at_us).is_allowed);
        cr_assert_not(bucket_take(&rule, tat_us, units, a.retry_at_us - 1).is_allowed);
    }
}

/* What a script does with the two costs is what bucket_take() does. */
Test(bucket, costs_alone_decide_alike)
{
    uint64_t state = 15;

    for (int n = 0; n < 50000; n++) {
        struct limit_rule rule = random_rate(&state);
        int64_t burst_us = bucket_cost_us(&rule, rule.burst_units);
        int64_t tat_us = START_US + random_between(&state, -burst_us, 2 * burst_us);
        int64_t units = random_between(&state, 1, 12000);
        int64_t cost_us = bucket_cost_us(&rule, units);
        int64_t base_us = MAX(tat_us, START_US);
        bool is_allowed = units <= rule.burst_units && base_us + cost_us - START_US <= burst_us;

        cr_assert_eq(bucket_take(&rule, tat_us, units, START_US).is_allowed, is_allowed);
    }
}

/* What stores may hand in after anything: no step overflows, and what comes out is within its bounds. */
Test(bucket, any_number_is_survived)
{
    static const int64_t odd[] = {
        0,         1,         2,         999,           1000,          1001,          US_PER_MIN,
        START_US,  INT64_MAX, INT64_MIN, INT64_MAX - 1, INT64_MIN + 1, INT64_MAX / 2, -1,
        INT32_MAX, 1LL << 40, 1LL << 53, 1LL << 62};
    uint64_t state = 16;

    for (int n = 0; n < 200000; n++) {
        int64_t units = pick_positive(&state, odd, ARRAY_LEN(odd)) - 1;
        int64_t tat_us = pick(&state, odd, ARRAY_LEN(odd));
        int64_t now_us = pick(&state, odd, ARRAY_LEN(odd));
        int64_t then_us = pick(&state, odd, ARRAY_LEN(odd));
        struct limit_rule rule = rate(pick_positive(&state, odd, ARRAY_LEN(odd)) - 1,
                                      pick_positive(&state, odd, ARRAY_LEN(odd)),
                                      pick_positive(&state, odd, ARRAY_LEN(odd)));
        struct bucket_answer a = bucket_take(&rule, tat_us, units, now_us);

        cr_assert(a.left_units >= 0 && a.left_units <= rule.burst_units);
        cr_assert_geq(a.retry_at_us, MAX(now_us, 0));
        cr_assert(a.is_allowed || a.value == tat_us);
        cr_assert_leq(bucket_give(&rule, tat_us, units, then_us, now_us), MAX(tat_us, 0));
        cr_assert_geq(bucket_cost_us(&rule, units), 0);
    }
}

/* --- rate: giving back --- */

Test(bucket, given_back_at_once_is_as_if_never_taken)
{
    const struct limit_rule rule = rate(2000, US_PER_MIN, 3000);
    int64_t first_us = bucket_take(&rule, 0, 1000, START_US).value;
    int64_t both_us = bucket_take(&rule, first_us, 2000, START_US).value;

    cr_expect_eq(bucket_give(&rule, both_us, 2000, START_US, START_US), first_us);
    cr_expect_eq(bucket_give(&rule, both_us, 1000, START_US, START_US + 10 * US_PER_S),
                 both_us - 20 * US_PER_S, "what has dripped away is not there any more");
    cr_expect_eq(bucket_give(&rule, both_us, 1000, START_US, START_US + 30 * US_PER_S), both_us);
}

/* Three that fail late must not make room for three more on top of a bucket that has drained meanwhile. */
Test(bucket, late_refunds_do_not_double_the_burst)
{
    const struct limit_rule rule = rate(2000, US_PER_MIN, 3000);
    int64_t later_us = START_US + 90 * US_PER_S;
    int64_t tat_us = bucket_take(&rule, 0, 3000, START_US).value;

    tat_us = bucket_take(&rule, tat_us, 3000, later_us).value;
    tat_us = bucket_give(&rule, tat_us, 3000, START_US, later_us);
    cr_expect_not(bucket_take(&rule, tat_us, 1000, later_us).is_allowed);
}

struct charge {
    int64_t at_us;
    int64_t units;
    int64_t back_at_us; /* INT64_MAX: it is kept */
};

/* The TAT of a bucket that never saw those which are given back. */
static int64_t ideal_tat(const struct limit_rule *rule, const struct charge *charges, int len)
{
    int64_t tat_us = 0;

    for (int i = 0; i < len; i++)
        if (charges[i].back_at_us == INT64_MAX)
            tat_us = MAX(tat_us, charges[i].at_us) + bucket_cost_us(rule, charges[i].units);
    return tat_us;
}

/* Charges and refunds in any order: the bucket is never emptier than one that knew what would be used. */
Test(bucket, refunds_never_give_more_than_was_unused)
{
    static struct charge charges[120];
    uint64_t state = 17;

    for (int run = 0; run < 300; run++) {
        struct limit_rule rule = random_rate(&state);
        int64_t step_us = interval_us(&rule);
        int64_t now_us = START_US;
        int64_t tat_us = 0;
        int len = 0;

        for (int n = 0; n < 120; n++) {
            now_us += random_between(&state, 0, step_us);
            for (int i = 0; i < len; i++) {
                if (charges[i].back_at_us > now_us)
                    continue;
                tat_us = bucket_give(&rule, tat_us, charges[i].units, charges[i].at_us, now_us);
                charges[i].back_at_us = INT64_MAX - 1; /* done */
            }
            int64_t units = random_between(&state, 1, 3) * 1000;
            struct bucket_answer a = bucket_take(&rule, tat_us, units, now_us);

            tat_us = a.value;
            if (a.is_allowed)
                charges[len++] = (struct charge){
                    now_us, units,
                    random_next(&state) % 2 ? INT64_MAX
                                            : now_us + random_between(&state, 0, 4 * step_us)};
            cr_assert_geq(MAX(tat_us, now_us), ideal_tat(&rule, charges, len));
        }
    }
}

/* --- rolling --- */

Test(bucket, a_slot_is_a_twelfth_of_the_period)
{
    const struct limit_rule rule = rolling_rule(50000, 3 * 3600 * US_PER_S);

    cr_expect_eq(rolling_slot_us(&rule), 15 * US_PER_MIN);
    cr_expect_eq(rolling_slot(&rule, 15 * US_PER_MIN - 1), 0);
    cr_expect_eq(rolling_slot(&rule, 15 * US_PER_MIN), 1);
    cr_expect_eq(rolling_slot(&rule, -1), 0);
    const struct limit_rule odd = rolling_rule(1000, 13);
    cr_expect_eq(rolling_slot_us(&odd), 2, "rounded up, so that twelve are the period at least");
}

Test(bucket, time_that_steps_back_drops_nothing)
{
    struct rolling r = {.slot = 100};

    rolling_add(&r, 7000);
    rolling_advance(&r, 99);
    cr_expect_eq(r.slot, 100);
    cr_expect_eq(rolling_sum(&r), 7000);
    rolling_advance(&r, 112);
    cr_expect_eq(rolling_sum(&r), 7000);
    rolling_advance(&r, 113);
    cr_expect_eq(rolling_sum(&r), 0);
}

Test(bucket, any_row_is_survived)
{
    struct rolling r = {.slot = INT64_MIN};
    const struct limit_rule rule = rolling_rule(INT64_MAX, INT64_MAX);

    for (int i = 0; i < ROLLING_COUNTS; i++)
        r.counts[i] = i % 2 ? INT64_MAX : INT64_MIN;
    cr_expect_eq(rolling_sum(&r), INT64_MAX);
    cr_expect_geq(rolling_free_at_us(&rule, &r, 1), 0);
    rolling_add(&r, INT64_MAX);
    cr_expect_eq(r.counts[ROLLING_SLOTS], INT64_MAX);
    rolling_give(&r, INT64_MAX, 1);
    rolling_advance(&r, INT64_MAX);
    cr_expect_eq(r.slot, INT64_MAX);
    cr_expect_eq(rolling_sum(&r), 0);
    rolling_give(&r, INT64_MIN, 1);
    rolling_give(&r, INT64_MAX, INT64_MAX);
    cr_expect_eq(rolling_sum(&r), 0);
    cr_expect_eq(rolling_free_at_us(&rule, &r, INT64_MAX), INT64_MAX);
}

/* All that is still charged, charged after since_us. */
static int64_t charged_since(const struct charge *charges, int len, int64_t since_us)
{
    int64_t sum = 0;

    for (int i = 0; i < len; i++)
        if (charges[i].at_us > since_us)
            sum += charges[i].units;
    return sum;
}

Test(bucket, rolling_as_a_list_of_all_charges)
{
    static struct charge charges[400];
    uint64_t state = 18;

    for (int run = 0; run < 200; run++) {
        int64_t period_us = random_between(&state, 1, run % 2 ? 40 : 100 * US_PER_S);
        struct limit_rule rule = rolling_rule(random_between(&state, 1, 20) * 1000, period_us);
        int64_t slot_us = rolling_slot_us(&rule);
        struct rolling r = {.slot = rolling_slot(&rule, START_US)};
        int64_t now_us = START_US;
        int len = 0;

        for (int n = 0; n < 400; n++) {
            now_us += random_next(&state) % 2 ? random_between(&state, 0, slot_us * 2) : 0;
            rolling_advance(&r, rolling_slot(&rule, now_us));
            if (len > 0 && random_next(&state) % 4 == 0) { /* one is given back, wherever it is */
                struct charge *back = &charges[random_next(&state) % (uint64_t)len];

                rolling_give(&r, rolling_slot(&rule, back->at_us), back->units);
                back->units = 0;
            }
            int64_t units = random_between(&state, 1, 3) * 1000;

            if (rolling_sum(&r) + units <= rule.units) {
                rolling_add(&r, units);
                charges[len++] = (struct charge){now_us, units, 0};
            }
            /* Never more than the limit in any period; none is counted longer than a slot beyond it. */
            cr_assert_leq(charged_since(charges, len, now_us - period_us), rule.units);
            cr_assert_geq(rolling_sum(&r), charged_since(charges, len, now_us - period_us));
            /* a slot's length is rounded up, so twelve may be a little more than the period */
            cr_assert_leq(rolling_sum(&r),
                          charged_since(charges, len, now_us - (ROLLING_SLOTS + 1) * slot_us));
        }
    }
}

Test(bucket, rolling_free_at_is_true)
{
    uint64_t state = 19;

    for (int n = 0; n < 20000; n++) {
        struct limit_rule rule = rolling_rule(20000, random_between(&state, 12, 1000000));
        int64_t slot = random_between(&state, 100, 200);
        struct rolling r = {.slot = slot};
        int64_t units = random_between(&state, 1, 20) * 1000;

        for (int i = 0; i < ROLLING_COUNTS; i++)
            r.counts[i] = random_between(&state, 0, 3) * 1000;
        int64_t at_us = rolling_free_at_us(&rule, &r, units);
        struct rolling then = r;
        struct rolling before = r;

        rolling_advance(&then, rolling_slot(&rule, at_us));
        cr_assert_leq(rolling_sum(&then) + units, rule.units);
        if (rolling_slot(&rule, at_us) == slot)
            continue;
        rolling_advance(&before, rolling_slot(&rule, at_us - 1));
        cr_assert_gt(rolling_sum(&before) + units, rule.units);
    }
}
