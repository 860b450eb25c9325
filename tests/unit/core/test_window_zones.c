/* SPDX-License-Identifier: Apache-2.0 */
/* test_window_zones.c - days, weeks and months of every zone of the tz database, ten years long, against the C library.
 *
 * What is expected is said by localtime() alone: a window starts with the first instant of its first date, and the next
 * one joins on; that a date is a Monday, or a first, is counted from dates, not from seconds. */

#include "core/window.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <criterion/criterion.h>

#include "unit/core/libc_zone.h"

#define DAY_S        INT64_C(86400)
#define FOLDER       "/usr/share/zoneinfo/"
#define ZONES_MAX    1024
#define NAME_MAX_LEN 64

/* 2010 to 2019: in that time Samoa left out a day, and Newfoundland changed its clocks a minute after midnight. */
#define FROM_S INT64_C(1262304000)
#define TO_S   INT64_C(1577836800)
/* Tables reach farther, for the windows at both ends. */
#define SPARE_S (40 * DAY_S)

static char names[ZONES_MAX][NAME_MAX_LEN];
static struct {
    dev_t device;
    ino_t inode;
} seen[ZONES_MAX];
static int zones_len;

static bool is_zone_file(const char *path)
{
    char magic[4] = "";
    FILE *file = fopen(path, "r");

    if (!file)
        return false;
    size_t got = fread(magic, 1, sizeof(magic), file);

    fclose(file);
    return got == sizeof(magic) && memcmp(magic, "TZif", sizeof(magic)) == 0;
}

/* Each zone once, however many names it has; not those with leap seconds. */
static int add_zone(const char *path, const struct stat *facts, int type, struct FTW *place)
{
    const char *name = path + strlen(FOLDER);

    UNUSED(place);
    if (type != FTW_F || strncmp(name, "right/", 6) == 0 || strncmp(name, "posix/", 6) == 0)
        return 0;
    for (int i = 0; i < zones_len; i++)
        if (seen[i].device == facts->st_dev && seen[i].inode == facts->st_ino)
            return 0;
    if (!is_zone_file(path))
        return 0;
    cr_assert(zones_len < ZONES_MAX && strlen(name) < NAME_MAX_LEN);
    strcpy(names[zones_len], name);
    seen[zones_len].device = facts->st_dev;
    seen[zones_len++].inode = facts->st_ino;
    return 0;
}

static void local_at(int64_t at_s, struct tm *out)
{
    time_t at = (time_t)at_s;

    cr_assert(localtime_r(&at, out));
}

/* Days since 1970-01-01 of the local date. */
static int64_t date_of(const struct tm *local)
{
    struct tm noon = {.tm_year = local->tm_year,
                      .tm_mon = local->tm_mon,
                      .tm_mday = local->tm_mday,
                      .tm_hour = 12};

    return timegm(&noon) / DAY_S;
}

static int64_t date_at(int64_t at_s)
{
    struct tm local;

    local_at(at_s, &local);
    return date_of(&local);
}

/* The ordinals of a date, by other means than the code's. */
static int64_t day_number(int64_t date)
{
    return date;
}

static int64_t week_number(int64_t date)
{
    struct tm tm;
    time_t at = (time_t)(date * DAY_S);

    gmtime_r(&at, &tm);
    int64_t monday = date - (tm.tm_wday + 6) % 7;

    return (monday + 3) / 7; /* 1969-12-29 began week 0 */
}

static int64_t month_number(int64_t date)
{
    struct tm tm;
    time_t at = (time_t)(date * DAY_S);

    gmtime_r(&at, &tm);
    return (tm.tm_year - 70) * 12 + tm.tm_mon;
}

struct kind {
    const char *name;
    struct window (*window)(const struct zone *zone, int64_t now_s);
    int64_t (*number)(int64_t date);
};

static const struct kind kinds[] = {{"day", window_day, day_number},
                                    {"week", window_week, week_number},
                                    {"month", window_month, month_number}};

/* An instant lies in the window that it is said to lie in, at its ends too. */
static void check_holds(const struct kind *kind, const struct zone *zone, struct window w,
                        int64_t at_s, const char *name)
{
    struct window other = kind->window(zone, at_s);

    cr_assert(other.start_s == w.start_s && other.end_s == w.end_s && other.ordinal == w.ordinal,
              "%s: %s %u at %lld", name, kind->name, w.ordinal, (long long)at_s);
}

/* From window to window through ten years. */
static void check_kind(const struct kind *kind, const struct zone *zone, const char *name)
{
    struct window w = kind->window(zone, FROM_S);

    for (; w.start_s < TO_S; w = kind->window(zone, w.end_s)) {
        cr_assert(w.start_s < w.end_s, "%s: an empty %s", name, kind->name);
        cr_assert_eq(kind->number(date_at(w.start_s)), w.ordinal, "%s: %s %u starts elsewhere",
                     name, kind->name, w.ordinal);
        cr_assert_lt(kind->number(date_at(w.start_s - 1)), w.ordinal, "%s: %s %u starts before",
                     name, kind->name, w.ordinal);
        cr_assert_gt(kind->number(date_at(w.end_s)), w.ordinal, "%s: %s %u ends later", name,
                     kind->name, w.ordinal);
        check_holds(kind, zone, w, w.start_s, name);
        check_holds(kind, zone, w, w.end_s - 1, name);
        check_holds(kind, zone, w, w.start_s + (w.end_s - w.start_s) / 2, name);
        cr_assert_eq(kind->window(zone, w.end_s).start_s, w.end_s, "%s: a hole after %s %u", name,
                     kind->name, w.ordinal);
    }
}

/* Did the clocks go back within the day before? */
static bool is_relived(const struct zone *zone, int64_t at_s)
{
    for (int i = 1; i < zone->len; i++)
        if (zone->offsets[i].offset_s < zone->offsets[i - 1].offset_s &&
            zone->offsets[i].from_s <= at_s && at_s < zone->offsets[i].from_s + DAY_S)
            return true;
    return false;
}

/* Around each change of the clocks, to the second: windows hold their instants, and where the date has not been seen
 * twice, it is the window's. */
static void check_changes(const struct kind *kind, const struct zone *zone, const char *name)
{
    static const int64_t near_s[] = {0,    1,    59,   60,    1800,  3599,
                                     3600, 3601, 7200, 86399, 86400, 86401};

    for (int i = 1; i < zone->len; i++) {
        for (size_t k = 0; k < 2 * ARRAY_LEN(near_s); k++) {
            int64_t sign = k % 2 ? 1 : -1;
            int64_t at_s = zone->offsets[i].from_s + sign * near_s[k / 2];
            struct window w = kind->window(zone, at_s);

            cr_assert(w.start_s <= at_s && at_s < w.end_s, "%s: %lld", name, (long long)at_s);
            int64_t number = kind->number(date_at(at_s));

            /* A date that is lived again belongs to what has begun by then. */
            cr_assert(number == w.ordinal || (number < w.ordinal && is_relived(zone, at_s)),
                      "%s: %s %u at %lld", name, kind->name, w.ordinal, (long long)at_s);
        }
    }
}

static void check_zone(const char *name)
{
    static struct libc_zone zone;

    libc_zone_use_between(&zone, name, FROM_S - SPARE_S, TO_S + SPARE_S);
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        check_kind(&kinds[k], &zone.zone, name);
        check_changes(&kinds[k], &zone.zone, name);
    }
}

Test(window_zones, every_zone_for_ten_years)
{
    cr_assert_eq(nftw(FOLDER, add_zone, 8, FTW_PHYS), 0);
    cr_assert_gt(zones_len, 300, "is tzdata installed?");
    for (int i = 0; i < zones_len; i++)
        check_zone(names[i]);
}
