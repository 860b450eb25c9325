/* SPDX-License-Identifier: Apache-2.0 */
/* service.c - rows and windows of the service's limits, and how what is left is shared out. */

#include "core/service.h"

#define PERIODS     3
#define LEFT_SHARES 8

int service_row(const struct service_rule *rule)
{
    ASSERT(rule->period != SERVICE_NONE && rule->measure != MEASURE_NONE);
    return (rule->measure == MEASURE_CREDITS ? PERIODS : 0) + (int)rule->period - SERVICE_MINUTE;
}

enum service_period service_row_period(int row)
{
    return (enum service_period)(SERVICE_MINUTE + row % PERIODS);
}

enum limit_measure service_row_measure(int row)
{
    return row < PERIODS ? MEASURE_IMAGES : MEASURE_CREDITS;
}

const char *service_row_name(int row)
{
    static const char *const names[SERVICE_ROWS] = {"images_per_minute", "images_per_hour",
                                                    "images_per_day",    "credits_per_minute",
                                                    "credits_per_hour",  "credits_per_day"};

    ASSERT(row >= 0 && row < SERVICE_ROWS);
    return names[row];
}

static struct window even_window(int64_t length_s, int64_t now_s)
{
    int64_t ordinal = MAX(now_s, 0) / length_s;

    return (struct window){
        .start_s = ordinal * length_s,
        .end_s = (ordinal + 1) * length_s,
        .ordinal = (uint32_t)ordinal,
    };
}

struct window service_window(enum service_period period, const struct zone *zone, int64_t now_s)
{
    switch (period) {
    case SERVICE_MINUTE:
        return even_window(60, now_s);
    case SERVICE_HOUR:
        return even_window(3600, now_s);
    case SERVICE_DAY:
        return window_day(zone, now_s);
    case SERVICE_NONE:
        break;
    }
    return (struct window){0};
}

int64_t service_grant(int64_t limit_units, int64_t leased_units, int64_t mine_units,
                      int64_t need_units, int64_t want_units)
{
    if (want_units <= mine_units)
        return want_units;

    int64_t left = MAX(limit_units - leased_units, 0);
    int64_t liked = MIN(want_units - mine_units, left / LEFT_SHARES);
    int64_t more = MAX(need_units - mine_units, liked - liked % UNITS_PER_IMAGE);

    return mine_units + MIN(MAX(more, 0), left);
}
