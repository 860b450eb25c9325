/* SPDX-License-Identifier: Apache-2.0 */
/* window.c - calendar days of a time zone.
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

struct window window_day(const struct zone *zone, int64_t now_s)
{
    int64_t day = floor_div(now_s + zone_offset_at(zone, now_s), DAY_S);
    int64_t start_s = day_start(zone, day);
    int64_t end_s = day_start(zone, day + 1);

    while (end_s <= now_s) { /* the clocks went back over midnight: the later day has begun */
        day++;
        start_s = end_s;
        end_s = day_start(zone, day + 1);
    }
    return (struct window){.start_s = start_s, .end_s = end_s, .ordinal = (uint32_t)day};
}
