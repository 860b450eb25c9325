/* SPDX-License-Identifier: Apache-2.0 */
/* window.h - calendar windows: from a zone's offsets and a time to the window's start, end and ordinal.
 *
 * A zone is a table of offsets from UTC, made by the configuration from the tz database; core never asks the C library.
 * A day runs from local midnight to the next local midnight: 23 or 25 hours where the clocks change.  Where midnight does
 * not exist (the clocks skip it), the day begins at the first instant of the new date; where it exists twice, at the
 * first, and the little while of the old date that is lived again belongs to the new day.  Weeks and months are runs of
 * such days. */
#pragma once

#include "base/base.h"

struct zone_offset {
    int64_t from_s;   /* UTC; the first entry counts for all earlier times */
    int32_t offset_s; /* local = UTC + offset; less than a day either way */
};

struct zone {
    int len;                           /* >= 1 */
    const struct zone_offset *offsets; /* owned by the config generation; ascending */
};

struct window {
    int64_t start_s; /* UTC, inclusive */
    int64_t end_s;   /* UTC, exclusive: the reset */
    uint32_t
        ordinal; /* days, weeks or months since that of 1970-01-01, by the local date: unique a kind */
};

int32_t zone_offset_at(const struct zone *zone, int64_t now_s);
/* The local calendar day that now_s lies in. */
struct window window_day(const struct zone *zone, int64_t now_s);
/* The window of a day that is known by its ordinal. */
struct window window_of_day(const struct zone *zone, int64_t day);
/* The ordinal of a date of the Gregorian calendar; -1 for one before 1970, or that there is not. */
int64_t window_day_of_date(int year, int month, int day);
/* Its week by ISO 8601: from the start of a Monday to that of the next. */
struct window window_week(const struct zone *zone, int64_t now_s);
/* Its month: from the start of a first to that of the next. */
struct window window_month(const struct zone *zone, int64_t now_s);
