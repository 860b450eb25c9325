/* SPDX-License-Identifier: Apache-2.0 */
/* clock.c - the two clocks. */
#include "base/clock.h"

#include <time.h>

static int64_t skipped_us; /* 0 but in tests */

static int64_t read_us(clockid_t id)
{
    struct timespec t;

    ASSERT(clock_gettime(id, &t) == 0);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t clock_monotonic_us(void)
{
    int64_t now_us = read_us(CLOCK_MONOTONIC) + skipped_us;

    /* Zero means "not set" in deadlines; a machine that has just booted may read it. */
    return MAX(now_us, 1);
}

void clock_skip_us(int64_t us)
{
    skipped_us += us;
}

int64_t clock_wall_us(void)
{
    return read_us(CLOCK_REALTIME);
}
