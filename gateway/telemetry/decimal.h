/* SPDX-License-Identifier: Apache-2.0 */
/* decimal.h - decimal numbers as exporters write them, to integers, without floating point. */
#pragma once

#include "base/status.h"
#include "base/text.h"

/* t times 10^shift, rounded half away from zero.  t: a sign, digits, a point and digits, an exponent ("44", "52.636000",
 * "5.2e+01").  ST_OK; ST_LIMIT: NaN, infinite, or more than an int64_t holds; ST_INVALID: no number. */
MUST_CHECK enum status decimal_scaled(struct text t, int shift, int64_t *out);
