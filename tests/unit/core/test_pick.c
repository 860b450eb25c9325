/* SPDX-License-Identifier: Apache-2.0 */
/* test_pick.c - the choice of a backend by table, and that it spreads. */

#include "core/pick.h"

#include <stdio.h>

#include <criterion/criterion.h>

#include "unit/core/loads.h"
#include "unit/core/random.h"

Test(pick, table)
{
    struct cases c;

    cases_open(&c, "tests/unit/core/pick.cases");
    while (cases_next(&c)) {
        struct backend_load backends[LOADS_MAX];
        struct load_view view = {.backends = backends, .len = loads_parse(&c, backends)};
        int picked =
            pick_backend(&view, &loads_ladder, loads_tier(&c), (uint64_t)cases_int(&c, "tried"),
                         (uint32_t)cases_int(&c, "rotation"));

        cases_expect_int(&c, "picked", picked < 0 ? CASES_NONE : picked);
    }
    cases_close(&c);
}

Test(pick, without_a_ladder_heat_closes_nothing)
{
    const struct backend_load hot = {
        .is_up = true, .serves = true, .max_in_flight = 1, .active_steps = 0xf};
    const struct load_view view = {.backends = &hot, .len = 1};

    cr_expect_eq(pick_backend(&view, &loads_ladder, 0, 0, 0), -1);
    cr_expect_eq(pick_backend(&view, NULL, 0, 0, 0), 0);
}

/* Equal backends that are given what is picked end up equally loaded. */
Test(pick, fills_equals_evenly)
{
    struct backend_load backends[LOADS_MAX];
    struct load_view view = {.backends = backends, .len = LOADS_MAX};

    for (int i = 0; i < LOADS_MAX; i++)
        backends[i] = (struct backend_load){.is_up = true,
                                            .serves = true,
                                            .max_in_flight = 4,
                                            .temperature_mc = 60000 + i * 100,
                                            .queue_depth = LOAD_MISSING};
    for (uint32_t n = 0; n < 3 * LOADS_MAX; n++) {
        int picked = pick_backend(&view, &loads_ladder, TIER_FREE, 0, n);

        cr_assert_geq(picked, 0);
        backends[picked].in_flight++;
    }
    for (int i = 0; i < LOADS_MAX; i++)
        cr_expect_eq(backends[i].in_flight, 3, "backend %d", i);
}

static bool is_open(const struct backend_load *b)
{
    return b->is_up && b->serves && b->in_flight < b->max_in_flight &&
           !governor_closes(&loads_ladder, b->active_steps, TIER_FREE);
}

/* Whatever the load: what is picked is eligible, not tried, and no eligible one is cooler by a whole band. */
Test(pick, picks_only_the_eligible_and_none_much_hotter)
{
    uint64_t state = 4;

    for (int n = 0; n < 5000; n++) {
        struct backend_load backends[LOADS_MAX];
        struct load_view view = {.backends = backends,
                                 .len = (int)random_between(&state, 0, LOADS_MAX)};
        uint64_t tried = random_next(&state) & random_next(&state);
        int64_t coolest_mc = INT64_MAX;

        for (int i = 0; i < view.len; i++) {
            backends[i] = (struct backend_load){
                .is_up = random_between(&state, 0, 3) > 0,
                .serves = random_between(&state, 0, 3) > 0,
                .in_flight = (int32_t)random_between(&state, 0, 4),
                .max_in_flight = (int32_t)random_between(&state, 0, 4),
                .temperature_mc = random_between(&state, 30000, 95000),
                .active_steps = (uint32_t)random_between(&state, 0, 3),
            };
            if (is_open(&backends[i]) && !(tried >> i & 1))
                coolest_mc = MIN(coolest_mc, backends[i].temperature_mc);
        }
        int picked =
            pick_backend(&view, &loads_ladder, TIER_FREE, tried, (uint32_t)random_next(&state));

        cr_assert_eq(picked >= 0, coolest_mc != INT64_MAX);
        if (picked < 0)
            continue;
        cr_assert(is_open(&backends[picked]) && !(tried >> picked & 1));
        cr_assert_lt(backends[picked].temperature_mc, coolest_mc + 4000);
    }
}
