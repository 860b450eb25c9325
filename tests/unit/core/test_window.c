/* SPDX-License-Identifier: Apache-2.0 */
/* test_window.c - days by table, and against localtime() in zones that do odd things. */

#include "core/window.h"

#include <stdio.h>
#include <time.h>

#include <criterion/criterion.h>

#include "unit/core/libc_zone.h"
#include "unit/cases.h"

#define DAY_S INT64_C(86400)

/* Years 2006 to 2033, well inside the tables of libc_zone. */
#define FROM_S INT64_C(1136073600)
#define TO_S   INT64_C(2019686400)

static const char *print_utc(int64_t at_s, const char *format, char buf[32])
{
    time_t at = (time_t)at_s;
    struct tm tm;

    gmtime_r(&at, &tm);
    strftime(buf, 32, format, &tm);
    return buf;
}

/* Days since 1970-01-01 of the local date. */
static int64_t local_date(int64_t at_s)
{
    time_t at = (time_t)at_s;
    struct tm local;

    cr_assert(localtime_r(&at, &local));
    local.tm_hour = 12;
    local.tm_min = 0;
    local.tm_sec = 0;
    return timegm(&local) / DAY_S;
}

Test(window, table)
{
    static struct libc_zone zone;
    struct cases c;
    char buf[32];

    cases_open(&c, "tests/unit/core/window.cases");
    while (cases_next(&c)) {
        libc_zone_use(&zone, cases_text(&c, "zone"));
        struct window w = window_day(&zone.zone, libc_zone_parse(cases_text(&c, "now")));

        cases_expect_text(&c, "date", print_utc(w.ordinal * DAY_S, "%Y-%m-%d", buf));
        cases_expect_text(&c, "start", print_utc(w.start_s, "%Y-%m-%dT%H:%M:%SZ", buf));
        cases_expect_text(&c, "end", print_utc(w.end_s, "%Y-%m-%dT%H:%M:%SZ", buf));
        cr_expect_eq(w.end_s - w.start_s, cases_milli(&c, "hours") * 3600 / 1000, "%s:%d: hours",
                     c.path, c.line);
    }
    cases_close(&c);
}

/* Walks through all days: each holds every instant in it, the next one joins on, and it starts with its date's first
 * instant. */
static void check_days(const char *name)
{
    static struct libc_zone zone;

    libc_zone_use(&zone, name);
    struct window w = window_day(&zone.zone, FROM_S);

    while (w.end_s < TO_S) {
        struct window next = window_day(&zone.zone, w.end_s);

        cr_assert_eq(next.start_s, w.end_s, "%s: a hole after day %u", name, w.ordinal);
        cr_assert_gt(next.ordinal, w.ordinal, "%s: day %u twice", name, w.ordinal);
        cr_assert_eq(local_date(next.start_s), next.ordinal, "%s: day %u", name, next.ordinal);
        cr_assert_lt(local_date(next.start_s - 1), next.ordinal, "%s: day %u starts before", name,
                     next.ordinal);
        w = next;
    }
}

/* Every instant is in its own window; all instants of a day have the same one. */
static void check_instants(const char *name)
{
    static struct libc_zone zone;

    libc_zone_use(&zone, name);
    for (int64_t now_s = FROM_S; now_s < TO_S; now_s += 9 * 3600 + 1801) {
        struct window w = window_day(&zone.zone, now_s);
        struct window first = window_day(&zone.zone, w.start_s);
        struct window last = window_day(&zone.zone, w.end_s - 1);

        cr_assert(w.start_s <= now_s && now_s < w.end_s, "%s: %lld", name, (long long)now_s);
        cr_assert(first.start_s == w.start_s && first.end_s == w.end_s);
        cr_assert(last.start_s == w.start_s && last.end_s == w.end_s);
        cr_assert_eq(local_date(now_s), w.ordinal, "%s: %lld", name, (long long)now_s);
    }
}

static const char *const odd_zones[] = {
    "Asia/Seoul",       "America/New_York",  "America/Sao_Paulo",   "Africa/Cairo",
    "Asia/Beirut",      "Pacific/Apia",      "Australia/Lord_Howe", "Asia/Kathmandu",
    "America/Santiago", "Africa/Casablanca", "Pacific/Kiritimati",  "Pacific/Marquesas",
    "America/Nuuk",     "Asia/Gaza",         "Antarctica/Troll",    "Europe/London",
};

Test(window, days_join_and_start_with_their_date)
{
    for (size_t i = 0; i < ARRAY_LEN(odd_zones); i++)
        check_days(odd_zones[i]);
}

Test(window, instants_lie_in_their_day)
{
    for (size_t i = 0; i < ARRAY_LEN(odd_zones); i++)
        check_instants(odd_zones[i]);
}

Test(window, days_join_where_midnight_comes_twice)
{
    check_days("America/St_Johns");
}

Test(window, offset_is_that_of_the_last_entry_begun)
{
    const struct zone_offset offsets[] = {{1000, 3600}, {2000, 7200}, {3000, -3600}};
    const struct zone zone = {3, offsets};

    cr_expect_eq(zone_offset_at(&zone, INT64_C(-1000000)), 3600, "the first counts before it, too");
    cr_expect_eq(zone_offset_at(&zone, 1999), 3600);
    cr_expect_eq(zone_offset_at(&zone, 2000), 7200);
    cr_expect_eq(zone_offset_at(&zone, 2999), 7200);
    cr_expect_eq(zone_offset_at(&zone, 3000), -3600);
    cr_expect_eq(zone_offset_at(&zone, INT64_C(1) << 40), -3600);
}

Test(window, one_offset_is_enough)
{
    const struct zone_offset offsets[] = {{0, 0}};
    const struct zone zone = {1, offsets};
    struct window w = window_day(&zone, 0);

    cr_expect_eq(w.start_s, 0);
    cr_expect_eq(w.end_s, DAY_S);
    cr_expect_eq(w.ordinal, 0);
    cr_expect_eq(window_day(&zone, -1).start_s, -DAY_S);
    cr_expect_eq(window_day(&zone, -1).end_s, 0);
}

/* The whole day is lived twice, as in Alaska in 1867: one day of 48 hours, not one date with two windows. */
Test(window, a_day_lived_twice_is_one)
{
    const struct zone_offset offsets[] = {{0, 12 * 3600}, {10 * DAY_S, -11 * 3600}};
    const struct zone zone = {2, offsets};
    struct window w = window_day(&zone, 10 * DAY_S - 1);

    cr_expect_eq(w.start_s, 10 * DAY_S - 12 * 3600);
    cr_expect_eq(w.end_s, 11 * DAY_S + 11 * 3600);
    cr_expect_eq(window_day(&zone, 10 * DAY_S).start_s, w.start_s);
    cr_expect_eq(window_day(&zone, w.end_s - 1).ordinal, w.ordinal);
    cr_expect_eq(window_day(&zone, w.end_s).ordinal, w.ordinal + 1);
}

Test(window, dates_are_days)
{
    static const struct {
        int year, month, day;
        int64_t ordinal;
    } dates[] = {
        {1970, 1, 1, 0},    {1970, 12, 31, 364}, {2000, 2, 29, 11016},    {2026, 11, 22, 20779},
        {2100, 2, 29, -1},  {2024, 4, 31, -1},   {2024, 13, 1, -1},       {2024, 0, 1, -1},
        {1969, 12, 31, -1}, {2024, 1, 0, -1},    {9999, 12, 31, 2932896},
    };

    for (size_t i = 0; i < sizeof(dates) / sizeof(dates[0]); i++)
        cr_expect_eq(window_day_of_date(dates[i].year, dates[i].month, dates[i].day),
                     dates[i].ordinal, "%d-%d-%d", dates[i].year, dates[i].month, dates[i].day);
}

/* Of every day there is one window, and an instant of it finds the same. */
Test(window, a_day_is_found_by_its_ordinal)
{
    static const struct zone_offset offsets[] = {{0, -36000}, {FROM_S, 50400}};
    const struct zone zone = {2, offsets};

    for (int64_t day = FROM_S / DAY_S - 3; day < FROM_S / DAY_S + 3; day++) {
        struct window window = window_of_day(&zone, day);

        if (window.start_s == window.end_s)
            continue; /* the clocks skipped it */
        cr_assert_eq(window.ordinal, day);
        cr_assert_eq(window_day(&zone, window.start_s).ordinal, day);
        cr_assert_eq(window_day(&zone, window.end_s - 1).ordinal, day);
        cr_assert_neq(window_day(&zone, window.end_s).ordinal, day);
    }
}
