/* SPDX-License-Identifier: Apache-2.0 */
/* prometheus_line.h - the lines of Prometheus' text format 0.0.4; exemplars of OpenMetrics are passed over. */
#pragma once

#include "base/status.h"
#include "base/text.h"

/* One sample.  Texts point into the body. */
struct prometheus_line {
    struct text name;
    struct text labels; /* between the braces, as written */
    struct text value;
};

/* Cuts the next sample off *body; comments and blank lines are passed over.  ST_OK, ST_CLOSED (no more) or ST_INVALID. */
MUST_CHECK enum status prometheus_line_next(struct text *body, struct prometheus_line *out);
/* The value of a label as written (escapes and all); TEXT_NONE when there is none of that name. */
struct text prometheus_label(const struct prometheus_line *line, struct text name);
