/* SPDX-License-Identifier: Apache-2.0 */
/* clock.h - the two clocks.  Only loops and the control thread read them; everything else is handed a time. */
#pragma once

#include "base/base.h"

/* Microseconds of CLOCK_MONOTONIC: for deadlines and durations.  Never zero. */
int64_t clock_monotonic_us(void);

/* For tests: from now on CLOCK_MONOTONIC is read as so much later. */
void clock_skip_us(int64_t us);

/* Microseconds since 1970-01-01 UTC (CLOCK_REALTIME): for calendars and logs.  May jump. */
int64_t clock_wall_us(void);
