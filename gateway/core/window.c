/* SPDX-License-Identifier: Apache-2.0 */
/* window.c - calendar days of a time zone, and the weeks and months that they make.
 *
 * A day D starts at the first instant whose local date is D or later, and ends where D + 1 starts.  This one definition
 * makes days contiguous and keeps them in order, whatever the clocks do: a date that a zone skipped (Samoa, 30 December
 * 2011) is an empty day that nothing falls into, and where clocks that go back pass midnight a second time, the day that
 * has begun goes on. */

#include "core/window.h"

#define DAY_S INT64_C(86400)

/* Also right for times before 1970. */
static int64_t floor_div(int64_t a, int64_t b)
{
    int64_t quotient = a / b;

    return a % b < 0 ? quotient - 1 : quotient;
}

/* The entry that counts at that time. */
static int entry_at(const struct zone *zone, int64_t now_s)
{
    int low = 0;
    int high = zone->len; /* entries from here on begin after now_s */

    ASSERT(zone->len >= 1);
    while (high - low > 1) {
        int middle = low + (high - low) / 2;

        if (zone->offsets[middle].from_s <= now_s)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* The first instant with this local date or a later one. */
static int64_t day_start(const struct zone *zone, int64_t day)
{
    int64_t midnight_s = day * DAY_S; /* local */
    /* Offsets are less than a day: no entry that ended earlier reaches this date. */
    int i = entry_at(zone, midnight_s - DAY_S);

    for (; i + 1 < zone->len; i++)
        if (zone->offsets[i + 1].from_s + zone->offsets[i].offset_s > midnight_s)
            break;
    int64_t start_s = midnight_s - zone->offsets[i].offset_s;

    return i > 0 ? MAX(start_s, zone->offsets[i].from_s) : start_s;
}

int32_t zone_offset_at(const struct zone *zone, int64_t now_s)
{
    return zone->offsets[entry_at(zone, now_s)].offset_s;
}

/* The day that now_s lies in. */
static int64_t day_at(const struct zone *zone, int64_t now_s)
{
    int64_t day = floor_div(now_s + zone_offset_at(zone, now_s), DAY_S);

    /* Where the clocks went back over midnight, the later day has begun. */
    while (day_start(zone, day + 1) <= now_s)
        day++;
    return day;
}

static struct window window_of(const struct zone *zone, int64_t first_day, int64_t end_day,
                               int64_t ordinal)
{
    return (struct window){
        .start_s = day_start(zone, first_day),
        .end_s = day_start(zone, end_day),
        .ordinal = (uint32_t)ordinal,
    };
}

/* Does one entry count from two days before start_s until a day of the usual length is over?  Then no other reaches this
 * day's date: local times before the entry are less than a day ahead of UTC, and less than a day behind it since. */
static bool is_usual_day(const struct zone *zone, int entry, int64_t start_s)
{
    bool is_settled = entry == 0 || zone->offsets[entry].from_s <= start_s - 2 * DAY_S;

    return is_settled &&
           (entry + 1 == zone->len || zone->offsets[entry + 1].from_s > start_s + DAY_S);
}

struct window window_day(const struct zone *zone, int64_t now_s)
{
    int entry = entry_at(zone, now_s);
    int32_t offset_s = zone->offsets[entry].offset_s;
    int64_t day = floor_div(now_s + offset_s, DAY_S);
    int64_t start_s = day * DAY_S - offset_s;

    if (is_usual_day(zone, entry, start_s))
        return (struct window){start_s, start_s + DAY_S, (uint32_t)day};
    day = day_at(zone, now_s);
    return window_of(zone, day, day + 1, day);
}

struct window window_of_day(const struct zone *zone, int64_t day)
{
    return window_of(zone, day, day + 1, day);
}

struct window window_week(const struct zone *zone, int64_t now_s)
{
    /* 1970-01-01 was a Thursday: its week began three days before. */
    int64_t week = floor_div(day_at(zone, now_s) + 3, 7);

    return window_of(zone, week * 7 - 3, week * 7 + 4, week);
}

/* Months since January 1970 of a day.  Years are counted from March, so that the leap day is the last; a year of 12
 * months from March has (153 * month + 2) / 5 days before each.  See Hinnant, chrono-compatible date algorithms. */
static int64_t month_of(int64_t day)
{
    int64_t since = day + 719468; /* days since 0000-03-01 */
    int64_t era = floor_div(since, 146097);
    int64_t day_of_era = since - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * day_of_year + 2) / 153; /* 0: March */

    return (era * 400 + year_of_era - 1970) * 12 + month + 2;
}

/* The day that a month begins with: the reverse. */
static int64_t month_start(int64_t month)
{
    int64_t since_march = month - 2 + INT64_C(1970) * 12;
    int64_t year = floor_div(since_march, 12);
    int64_t era = floor_div(year, 400);
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (since_march - year * 12) + 2) / 5;

    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

int64_t window_day_of_date(int year, int month, int day)
{
    if (year < 1970 || year > 9999 || month < 1 || month > 12)
        return -1;

    int64_t ordinal = (int64_t)(year - 1970) * 12 + month - 1;
    int64_t first = month_start(ordinal);

    return day >= 1 && day <= month_start(ordinal + 1) - first ? first + day - 1 : -1;
}

struct window window_month(const struct zone *zone, int64_t now_s)
{
    int64_t month = month_of(day_at(zone, now_s));

    return window_of(zone, month_start(month), month_start(month + 1), month);
}
