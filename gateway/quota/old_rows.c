/* SPDX-License-Identifier: Apache-2.0 */
/* old_rows.c - see old_rows.h.      Runs on: any thread. */

#include "quota/old_rows.h"

#define KEEP_US INT64_C(7200000000)

void old_rows_look(struct old_rows *old, int64_t monotonic_us, int64_t wall_us)
{
    int64_t offset_us = wall_us - monotonic_us;

    if (old->since_us == 0 || monotonic_us - old->since_us >= KEEP_US) {
        old->is_known = old->since_us != 0;
        old->believed_us = old->lowest_us;
        old->lowest_us = offset_us;
        old->since_us = monotonic_us;
    }
    old->lowest_us = MIN(old->lowest_us, offset_us);
}

int64_t old_rows_before_s(const struct old_rows *old, int64_t monotonic_us)
{
    if (!old->is_known)
        return 0;
    return (monotonic_us + MIN(old->believed_us, old->lowest_us) - KEEP_US) / 1000000;
}
