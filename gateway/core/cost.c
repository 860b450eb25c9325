/* SPDX-License-Identifier: Apache-2.0 */
/* cost.c - one price for all: an image costs one image credit, whatever its size. */

#include "core/cost.h"

int64_t cost_units(const struct job *job, int64_t images)
{
    ASSERT(images >= 0 && images <= INT64_MAX / UNITS_PER_IMAGE);
    if (job->operation == OPERATION_PASS)
        return 0;
    return images * UNITS_PER_IMAGE;
}
