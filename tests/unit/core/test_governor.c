/* SPDX-License-Identifier: Apache-2.0 */
/* test_governor.c - the ladder by table, and what hysteresis promises. */

#include "core/governor.h"

#include <criterion/criterion.h>

#include "unit/core/loads.h"
#include "unit/core/random.h"

static const char *open_or_closed(uint32_t active, int tier)
{
    return governor_closes(&loads_ladder, active, tier) ? "closed" : "open";
}

Test(governor, table)
{
    struct cases c;
    char buf[16];

    cases_open(&c, "tests/unit/core/governor.cases");
    while (cases_next(&c)) {
        uint32_t active = governor_judge(&loads_ladder, loads_parse_steps(&c, "before"),
                                         cases_milli(&c, "celsius"), cases_int(&c, "queue"),
                                         cases_is_yes(&c, "stale"));

        cases_expect_text(&c, "after", loads_print_steps(active, buf));
        cases_expect_text(&c, "free", open_or_closed(active, TIER_FREE));
        cases_expect_text(&c, "plus", open_or_closed(active, TIER_PLUS));
    }
    cases_close(&c);
}

/* Values anywhere within a step's band never switch it, whichever way it stood. */
Test(governor, never_flaps_inside_the_band)
{
    uint64_t state = 2;

    for (int i = 0; i < loads_ladder.len; i++) {
        const struct ladder_step *step = &loads_ladder.steps[i];
        uint32_t bit = 1u << i;
        uint32_t active = 0;

        for (int n = 0; n < 4000; n++) {
            int64_t value = random_between(&state, step->resume_below, step->above);
            uint32_t before = n == 2000 ? active | bit : active; /* half the run each way */

            active = governor_judge(&loads_ladder, before, value, value, false);
            cr_assert_eq(active & bit, before & bit, "step %d at %lld", i, (long long)value);
        }
    }
}

/* On any walk a step goes on only above its limit, and off only under its other one. */
Test(governor, switches_only_outside_the_band)
{
    uint64_t state = 3;
    uint32_t active = 0;

    for (int n = 0; n < 20000; n++) {
        int64_t celsius = random_between(&state, 60000, 100000);
        int64_t queue = random_between(&state, 0, 200);
        uint32_t before = active;

        active = governor_judge(&loads_ladder, before, celsius, queue, false);
        for (int i = 0; i < loads_ladder.len; i++) {
            const struct ladder_step *step = &loads_ladder.steps[i];
            int64_t value = step->signal == SIGNAL_QUEUE_DEPTH ? queue : celsius;

            if (active & ~before & 1u << i)
                cr_assert_gt(value, step->above);
            if (before & ~active & 1u << i)
                cr_assert_lt(value, step->resume_below);
        }
    }
}

Test(governor, a_step_without_width_still_needs_more_than_its_number)
{
    const struct ladder ladder = {1, {{SIGNAL_QUEUE_DEPTH, 10, 10, 1, false}}};

    cr_expect_eq(governor_judge(&ladder, 0, LOAD_MISSING, 10, false), 0);
    cr_expect_eq(governor_judge(&ladder, 0, LOAD_MISSING, 11, false), 1);
    cr_expect_eq(governor_judge(&ladder, 1, LOAD_MISSING, 10, false), 1);
    cr_expect_eq(governor_judge(&ladder, 1, LOAD_MISSING, 9, false), 0);
}

Test(governor, closes_names_the_first_step)
{
    cr_expect_eq(governor_closes(&loads_ladder, 0xf, TIER_FREE), &loads_ladder.steps[0]);
    cr_expect_eq(governor_closes(&loads_ladder, 0xf, TIER_PLUS), &loads_ladder.steps[1]);
    cr_expect_eq(governor_closes(&loads_ladder, 1u << 2, TIER_FREE), &loads_ladder.steps[2]);
    cr_expect_null(governor_closes(&loads_ladder, 1u << 2, TIER_PLUS));
    cr_expect_null(governor_closes(&loads_ladder, ~0xfu, TIER_FREE), "bits of no step");
}

Test(governor, a_full_ladder_uses_every_bit)
{
    struct ladder ladder = {.len = LADDER_STEPS_MAX};

    for (int i = 0; i < LADDER_STEPS_MAX; i++)
        ladder.steps[i] = (struct ladder_step){SIGNAL_QUEUE_DEPTH, i, i, 1u << 15, false};
    cr_expect_eq(governor_judge(&ladder, 0, 0, LADDER_STEPS_MAX, false), 0xffff);
    cr_expect_eq(governor_closes(&ladder, 0x8000, 15), &ladder.steps[15]);
}

Test(governor, a_step_on_trial_is_judged_and_closes_nothing)
{
    const struct ladder ladder = {3,
                                  {{SIGNAL_QUEUE_DEPTH, 10, 8, 1, true},
                                   {SIGNAL_QUEUE_DEPTH, 20, 16, 1, false},
                                   {SIGNAL_QUEUE_DEPTH, 5, 4, 2, true}}};
    uint32_t active = governor_judge(&ladder, 0, LOAD_MISSING, 11, false);

    cr_expect(governor_has_trials(&ladder));
    cr_expect_not(governor_has_trials(&loads_ladder));
    cr_expect_eq(active, 5);
    cr_expect_null(governor_closes(&ladder, active, 0));
    cr_expect_eq(governor_would_close(&ladder, active, 0), &ladder.steps[0]);
    cr_expect_eq(governor_would_close(&ladder, active, 1), &ladder.steps[2]);
    active = governor_judge(&ladder, active, LOAD_MISSING, 21, false);
    cr_expect_eq(governor_closes(&ladder, active, 0), &ladder.steps[1]);
    cr_expect_null(governor_closes(&ladder, active, 1));
    active = governor_judge(&ladder, active, LOAD_MISSING, 3, false);
    cr_expect_null(governor_would_close(&ladder, active, 0), "it has hysteresis like any other");
}
