/* SPDX-License-Identifier: Apache-2.0 */
/* libc_zone.c - offsets by asking localtime_r() twice a day and halving where two answers differ. */

#include "unit/core/libc_zone.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <criterion/criterion.h>

#define FROM_S INT64_C(1104537600) /* 2005-01-01 */
#define TO_S   INT64_C(2051222400) /* 2035-01-01 */
#define STEP_S INT64_C(43200)

static int32_t offset_at(int64_t at_s)
{
    time_t at = (time_t)at_s;
    struct tm local;

    cr_assert(localtime_r(&at, &local));
    return (int32_t)local.tm_gmtoff;
}

/* The first second of (low, high] with the offset of high. */
static int64_t transition(int64_t low_s, int64_t high_s)
{
    int32_t before = offset_at(low_s);

    while (high_s - low_s > 1) {
        int64_t middle_s = low_s + (high_s - low_s) / 2;

        if (offset_at(middle_s) == before)
            low_s = middle_s;
        else
            high_s = middle_s;
    }
    return high_s;
}

void libc_zone_use_between(struct libc_zone *zone, const char *name, int64_t from_s, int64_t to_s)
{
    char path[128];
    int len = 0;

    snprintf(path, sizeof(path), "/usr/share/zoneinfo/%s", name);
    FILE *file = fopen(path, "r");

    cr_assert(file, "no such zone: %s", path);
    fclose(file);
    setenv("TZ", name, 1);
    tzset();
    int32_t before = offset_at(from_s);

    zone->offsets[len++] = (struct zone_offset){from_s, before};
    for (int64_t at_s = from_s; at_s < to_s; at_s += STEP_S) {
        int32_t after = offset_at(at_s + STEP_S);

        if (after == before)
            continue;
        int64_t change_s = transition(at_s, at_s + STEP_S);

        cr_assert(len < LIBC_ZONE_OFFSETS_MAX);
        zone->offsets[len++] = (struct zone_offset){change_s, offset_at(change_s)};
        before = after;
    }
    zone->zone = (struct zone){len, zone->offsets};
}

void libc_zone_use(struct libc_zone *zone, const char *name)
{
    libc_zone_use_between(zone, name, FROM_S, TO_S);
}

int64_t libc_zone_parse(const char *text)
{
    struct tm tm = {.tm_isdst = -1};
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);

    cr_assert(end && (*end == '\0' || strcmp(end, "Z") == 0), "no time: %s", text);
    tm.tm_isdst = -1; /* strptime() may have set it */
    return *end == 'Z' ? timegm(&tm) : mktime(&tm);
}

const char *libc_zone_print(int64_t at_s, char buf[32])
{
    time_t at = (time_t)at_s;
    struct tm local;

    cr_assert(localtime_r(&at, &local));
    strftime(buf, 32, "%Y-%m-%dT%H:%M:%S", &local);
    return buf;
}
