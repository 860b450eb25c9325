/* SPDX-License-Identifier: Apache-2.0 */
/* test_breaker.c - its three states, and every way between them. */

#include "core/breaker.h"

#include <criterion/criterion.h>

static const struct breaker_rule rule = {.open_after = 3, .open_for_us = 1000};

static struct breaker opened_at(int64_t now_us)
{
    struct breaker b = {0};

    for (int i = 0; i < rule.open_after; i++)
        cr_expect_eq(breaker_failed(&b, &rule, now_us), i == rule.open_after - 1);
    cr_expect_eq(b.state, BREAKER_OPEN);
    return b;
}

Test(breaker, opens_after_failures_in_a_row)
{
    struct breaker b = {0};

    cr_expect(breaker_allows(&b, 1));
    cr_expect_not(breaker_failed(&b, &rule, 1));
    cr_expect_not(breaker_failed(&b, &rule, 1));
    breaker_succeeded(&b);
    cr_expect_not(breaker_failed(&b, &rule, 1));
    cr_expect_not(breaker_failed(&b, &rule, 1));
    cr_expect(breaker_allows(&b, 1), "two in a row are not three");
    cr_expect(breaker_failed(&b, &rule, 1));
    cr_expect_not(breaker_allows(&b, 1));
}

Test(breaker, lets_exactly_one_through_when_its_time_is_over)
{
    struct breaker b = opened_at(5000);

    cr_expect_not(breaker_allows(&b, 5999));
    cr_expect(breaker_allows(&b, 6000));
    cr_expect_eq(b.state, BREAKER_HALF_OPEN);
    cr_expect_not(breaker_allows(&b, 6000));
    cr_expect_not(breaker_allows(&b, 999999));
}

Test(breaker, closes_when_that_one_succeeds)
{
    struct breaker b = opened_at(5000);

    cr_expect(breaker_allows(&b, 6000));
    breaker_succeeded(&b);
    cr_expect_eq(b.state, BREAKER_CLOSED);
    cr_expect(breaker_allows(&b, 6000));
    cr_expect_not(breaker_failed(&b, &rule, 6000), "and counts from the start");
}

Test(breaker, opens_again_when_that_one_fails)
{
    struct breaker b = opened_at(5000);

    cr_expect(breaker_allows(&b, 6000));
    cr_expect(breaker_failed(&b, &rule, 6100), "one is enough");
    cr_expect_not(breaker_allows(&b, 7099));
    cr_expect(breaker_allows(&b, 7100));
}

Test(breaker, failures_of_earlier_attempts_put_nothing_off)
{
    struct breaker b = opened_at(5000);

    cr_expect_not(breaker_failed(&b, &rule, 5900));
    cr_expect(breaker_allows(&b, 6000));
}

Test(breaker, a_late_success_closes_it)
{
    struct breaker b = opened_at(5000);

    breaker_succeeded(&b);
    cr_expect(breaker_allows(&b, 5001));
}

Test(breaker, opens_at_the_first_failure_if_told_so)
{
    const struct breaker_rule strict = {.open_after = 1, .open_for_us = 1000};
    struct breaker b = {0};

    cr_expect(breaker_failed(&b, &strict, 1));
}
