/* SPDX-License-Identifier: Apache-2.0 */
/* test_old_rows.c - wall clocks that jump, and what may be dropped meanwhile. */

#include <criterion/criterion.h>

#include "quota/old_rows.h"

#define MINUTE_US INT64_C(60000000)
#define HOUR_US   (60 * MINUTE_US)
#define DAY_US    (24 * HOUR_US)
#define WALL_US   (20000 * DAY_US)

static struct old_rows old;
static int64_t monotonic_us, ahead_us;

/* Looks each minute. */
static void pass(int64_t us)
{
    for (int64_t end_us = monotonic_us + us; monotonic_us < end_us; monotonic_us += MINUTE_US)
        old_rows_look(&old, monotonic_us, WALL_US + monotonic_us + ahead_us);
}

/* Hours before the true time. */
static int64_t kept_h(void)
{
    return (WALL_US + monotonic_us - old_rows_before_s(&old, monotonic_us) * 1000000) / HOUR_US;
}

static void begin(int64_t clock_ahead_us)
{
    old = (struct old_rows){0};
    monotonic_us = 5 * HOUR_US;
    ahead_us = clock_ahead_us;
}

Test(quota_old_rows, rows_are_kept_for_two_hours)
{
    begin(0);
    pass(2 * HOUR_US);
    cr_assert_eq(old_rows_before_s(&old, monotonic_us), 0, "nothing is known yet");
    pass(HOUR_US);
    cr_assert_eq(kept_h(), 2);
    pass(9 * DAY_US);
    cr_assert_eq(kept_h(), 2);
}

Test(quota_old_rows, a_clock_that_jumps_ahead_drops_nothing_before_it_has_been_there_for_two_hours)
{
    begin(0);
    pass(5 * HOUR_US);
    ahead_us = DAY_US;
    for (int i = 0; i < 120; i++) {
        pass(MINUTE_US);
        cr_assert_geq(kept_h(), 2);
    }
    ahead_us = 0;
    pass(DAY_US);
    cr_assert_eq(kept_h(), 2);
    ahead_us = DAY_US;
    pass(4 * HOUR_US + 2 * MINUTE_US);
    cr_assert_eq(kept_h(), 2 - 24, "then it is believed");
}

Test(quota_old_rows, a_process_that_begins_with_a_clock_ahead_drops_nothing_either)
{
    begin(DAY_US);
    for (int i = 0; i < 119; i++) {
        pass(MINUTE_US);
        cr_assert_eq(old_rows_before_s(&old, monotonic_us), 0);
    }
    ahead_us = 0;
    pass(DAY_US);
    cr_assert_eq(kept_h(), 2);
}

Test(quota_old_rows, a_clock_that_goes_back_is_believed_at_once)
{
    begin(0);
    pass(5 * HOUR_US);
    ahead_us = -DAY_US;
    pass(MINUTE_US);
    cr_assert_eq(kept_h(), 2 + 24);
}
