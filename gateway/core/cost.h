/* SPDX-License-Identifier: Apache-2.0 */
/* cost.h - what a job costs, in units.  1 image credit = UNITS_PER_IMAGE units, so that prices can be exact in
 * thousandths. */
#pragma once

#include "core/job.h"

#define UNITS_PER_IMAGE INT64_C(1000)

/* Units for so many images of this job. */
int64_t cost_units(const struct job *job, int64_t images);
