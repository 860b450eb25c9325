/* SPDX-License-Identifier: Apache-2.0 */
/* test_service.c - rows, windows and grants of the service's limits. */
#include <criterion/criterion.h>

#include "core/service.h"
#include "unit/core/random.h"

Test(service, each_rule_has_a_row_and_a_name_of_its_own)
{
    bool is_seen[SERVICE_ROWS] = {false};

    for (enum limit_measure measure = MEASURE_IMAGES; measure <= MEASURE_CREDITS; measure++) {
        for (enum service_period period = SERVICE_MINUTE; period <= SERVICE_DAY; period++) {
            struct service_rule rule = {.period = period, .measure = measure};
            int row = service_row(&rule);

            cr_assert(row >= 0 && row < SERVICE_ROWS);
            cr_assert(!is_seen[row]);
            is_seen[row] = true;
            cr_assert_eq(service_row_measure(row), measure);
            cr_assert_eq(service_row_period(row), period);
        }
    }
    cr_assert_str_eq(service_row_name(0), "images_per_minute");
    cr_assert_str_eq(service_row_name(5), "credits_per_day");
}

Test(service, windows)
{
    static const struct zone_offset seoul = {0, 32400};
    struct zone zone = {1, &seoul};
    int64_t now_s = 1795262459; /* 2026-11-21 12:00:59 UTC */
    struct window w = service_window(SERVICE_MINUTE, &zone, now_s);

    cr_assert_eq(w.start_s, 1795262400);
    cr_assert_eq(w.end_s, 1795262460);
    cr_assert_eq(service_window(SERVICE_MINUTE, &zone, now_s + 1).ordinal, w.ordinal + 1);
    w = service_window(SERVICE_HOUR, &zone, now_s);
    cr_assert_eq(w.start_s, 1795262400);
    cr_assert_eq(w.end_s - w.start_s, 3600);
    w = service_window(SERVICE_DAY, &zone, now_s);
    cr_assert_eq(w.end_s, 1795273200); /* midnight in Seoul */
    cr_assert_eq(w.ordinal, window_day(&zone, now_s).ordinal);
}

Test(service, what_is_needed_is_had_as_far_as_there_is_any)
{
    /* limit, leased, mine, need, want */
    cr_assert_eq(service_grant(10000, 0, 0, 4000, 4000), 4000);
    cr_assert_eq(service_grant(10000, 8000, 0, 4000, 4000), 2000);
    cr_assert_eq(service_grant(10000, 8000, 8000, 9000, 9000), 9000);
    cr_assert_eq(service_grant(10000, 10000, 0, 4000, 4000), 0);
    cr_assert_eq(service_grant(10000, 12000, 1000, 4000, 4000), 1000); /* the limit was lowered */
}

Test(service, what_is_only_liked_is_a_part_of_what_is_left)
{
    cr_assert_eq(service_grant(80000, 0, 0, 1000, 50000), 10000);
    cr_assert_eq(service_grant(80000, 0, 0, 0, 5000), 5000);
    cr_assert_eq(service_grant(80000, 60000, 0, 0, 5000), 2000); /* whole images */
    cr_assert_eq(service_grant(80000, 79000, 0, 0, 5000), 0);
}

Test(service, less_gives_the_rest_back)
{
    cr_assert_eq(service_grant(10000, 10000, 5000, 2000, 2000), 2000);
    cr_assert_eq(service_grant(0, 10000, 5000, 0, 0), 0);
}

Test(service, grants_never_exceed_the_limit_nor_take_away_what_is_wanted)
{
    uint64_t random = 3;

    for (int i = 0; i < 100000; i++) {
        int64_t limit = random_between(&random, 0, 20000);
        int64_t mine = random_between(&random, 0, 20000);
        int64_t leased = mine + random_between(&random, 0, 20000);
        int64_t need = random_between(&random, 0, 30000);
        int64_t want = need + random_between(&random, 0, 30000);
        int64_t got = service_grant(limit, leased, mine, need, want);

        cr_assert_leq(got, want);
        cr_assert_geq(got, MIN(mine, want));
        cr_assert(got <= mine || leased - mine + got <= limit);
        cr_assert(got >= need || got <= mine || leased - mine + got == limit);
    }
}
