/* SPDX-License-Identifier: Apache-2.0 */
/* old_rows.h - which rows are of no use any more.  Pure; time is a parameter.
 * A wall clock may be set ahead, and back again: also before this process began.  A row that was dropped meanwhile would
 * open its window anew.  So a time is believed only when the clock has been there, or further, for two hours of the
 * monotonic clock. */
#pragma once

#include "base/base.h"

/* Zero at the start. */
struct old_rows {
    int64_t since_us;    /* monotonic: when the present two hours began; 0: not yet */
    int64_t lowest_us;   /* wall less monotonic time, in these two hours */
    int64_t believed_us; /* in those before */
    bool is_known;
};

/* Call it now and then. */
void old_rows_look(struct old_rows *old, int64_t monotonic_us, int64_t wall_us);
/* Rows that ended before this second may be dropped: windows are kept as long as a hold in them may last, and then some.
 * 0: none. */
int64_t old_rows_before_s(const struct old_rows *old, int64_t monotonic_us);
