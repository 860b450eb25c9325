/* SPDX-License-Identifier: Apache-2.0 */
/* libc_zone.h - real time zones for tests, as the C library knows them. */
#pragma once

#include "core/window.h"

#define LIBC_ZONE_OFFSETS_MAX 256

struct libc_zone {
    struct zone zone;
    struct zone_offset offsets[LIBC_ZONE_OFFSETS_MAX];
};

/* Sets TZ to that zone for the rest of the test, and fills in its offsets from 2005 to 2035.  Fails the test where the tz
 * database does not have it. */
void libc_zone_use(struct libc_zone *zone, const char *name);
/* The same for other years: the offsets are right from from_s to to_s. */
void libc_zone_use_between(struct libc_zone *zone, const char *name, int64_t from_s, int64_t to_s);
/* "2026-11-21T20:51:03Z" or without the Z, in UTC or in the zone in use.  Fails the test on anything else. */
int64_t libc_zone_parse(const char *text);
/* The local time in the zone in use, as "2026-11-21T20:51:03"; buf holds 32 bytes. */
const char *libc_zone_print(int64_t at_s, char buf[32]);
