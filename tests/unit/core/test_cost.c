/* SPDX-License-Identifier: Apache-2.0 */
/* test_cost.c - what a job costs, and what it is called. */

#include "core/cost.h"

#include <criterion/criterion.h>

Test(cost, an_image_is_one_credit)
{
    const struct job job = {.operation = OPERATION_GENERATE, .images = 4};

    cr_expect_eq(cost_units(&job, 4), 4000);
    cr_expect_eq(cost_units(&job, 3), 3000);
    cr_expect_eq(cost_units(&job, 0), 0);
}

Test(cost, a_safe_path_costs_nothing)
{
    const struct job job = {.operation = OPERATION_PASS};

    cr_expect_eq(cost_units(&job, 0), 0);
    cr_expect_eq(cost_units(&job, 1), 0);
}

Test(job, operations_have_words)
{
    cr_expect_str_eq(operation_name(OPERATION_GENERATE), "generate");
    cr_expect_str_eq(operation_name(OPERATION_PASS), "pass");
    cr_expect_str_eq(operation_name(OPERATION_NONE), "none");
}
