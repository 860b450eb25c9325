/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <criterion/criterion.h>

#include "config/zone.h"
#include "unit/config/fixture.h"

static struct config_memory *memory;

static void setup(void)
{
    memory = config_memory_new();
    cr_assert_not_null(memory);
}

static void teardown(void)
{
    config_memory_free(&memory);
}

TestSuite(zone, .init = setup, .fini = teardown);

Test(zone, exists_as_a_file_of_the_tz_database_only)
{
    static const char *const good[] = {"UTC", "Asia/Seoul", "Europe/Berlin", "Etc/GMT+5",
                                       "America/Argentina/Buenos_Aires"};
    static const char *const bad[] = {"",
                                      "Asia",
                                      "Asia/",
                                      "/etc/passwd",
                                      "../../../etc/passwd",
                                      "Asia/../Asia/Seoul",
                                      "Asia//Seoul",
                                      "Mars/Base",
                                      "tzdata.zi",
                                      "right/Asia/Seoul",
                                      "posixrules",
                                      "EST5EDT4,M3.2.0,M11.1.0",
                                      "Asia/Seoul "};

    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        cr_expect(zone_exists(text_of(good[i])), "%s", good[i]);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        cr_expect_not(zone_exists(text_of(bad[i])), "%s", bad[i]);
}

static void expect_offset(const struct zone *zone, int64_t at_s, int32_t offset_s)
{
    cr_expect_eq(zone_offset_at(zone, at_s), offset_s, "at %lld: %d", (long long)at_s,
                 zone_offset_at(zone, at_s));
}

Test(zone, without_changes_has_one_row)
{
    struct zone zone;

    cr_assert_eq(zone_build("UTC", FIXTURE_NOW_S, memory, &zone), ST_OK);
    cr_expect_eq(zone.len, 1);
    expect_offset(&zone, FIXTURE_NOW_S, 0);
    cr_assert_eq(zone_build("Asia/Seoul", FIXTURE_NOW_S, memory, &zone), ST_OK);
    cr_expect_eq(zone.len, 1);
    expect_offset(&zone, FIXTURE_NOW_S, 9 * 3600);
}

Test(zone, finds_changes_to_the_second)
{
    struct zone zone;

    cr_assert_eq(zone_build("Europe/Berlin", FIXTURE_NOW_S, memory, &zone), ST_OK);
    cr_expect_geq(zone.len, 28);
    /* 2027-03-28 01:00 UTC, and 2027-10-31 01:00 UTC. */
    expect_offset(&zone, 1806195599, 3600);
    expect_offset(&zone, 1806195600, 7200);
    expect_offset(&zone, 1824944399, 7200);
    expect_offset(&zone, 1824944400, 3600);
    for (int i = 1; i < zone.len; i++)
        cr_expect_lt(zone.offsets[i - 1].from_s, zone.offsets[i].from_s);
}

/* Changes of half an hour, two a year around Ramadan on top, and quarters. */
Test(zone, agrees_with_the_library_everywhere)
{
    static const char *const names[] = {"Australia/Lord_Howe", "Africa/Casablanca",
                                        "Asia/Kathmandu", "America/St_Johns", "Africa/Cairo"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct zone zone;
        cr_assert_eq(zone_build(names[i], FIXTURE_NOW_S, memory, &zone), ST_OK);
        setenv("TZ", names[i], 1);
        tzset();
        for (int64_t at_s = FIXTURE_NOW_S; at_s < FIXTURE_NOW_S + INT64_C(86400) * 366 * 11;
             at_s += 7211) {
            time_t t = (time_t)at_s;
            struct tm local;
            localtime_r(&t, &local);
            cr_assert_eq(zone_offset_at(&zone, at_s), local.tm_gmtoff, "%s %lld", names[i],
                         (long long)at_s);
        }
        unsetenv("TZ");
    }
}

Test(zone, leaves_TZ_as_it_was)
{
    struct zone zone;

    setenv("TZ", "America/New_York", 1);
    cr_assert_eq(zone_build("Europe/Berlin", FIXTURE_NOW_S, memory, &zone), ST_OK);
    cr_expect_str_eq(getenv("TZ"), "America/New_York");
    time_t t = (time_t)FIXTURE_NOW_S;
    struct tm local;
    localtime_r(&t, &local);
    cr_expect_eq(local.tm_gmtoff, -5 * 3600);
    unsetenv("TZ");
    cr_assert_eq(zone_build("Europe/Berlin", FIXTURE_NOW_S, memory, &zone), ST_OK);
    cr_expect_null(getenv("TZ"));
}
