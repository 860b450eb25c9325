/* SPDX-License-Identifier: Apache-2.0 */
/* outcome.h - how a request ended.  The status line, the log's word, the metric's label and the charge come from one row
 * of outcomes.def. */
#pragma once

#include "core/admission.h"

enum outcome {
    OUTCOME_NONE,
#define OUTCOME(id, word, status, charge, type, code, problem, message) OUTCOME_##id,
#include "gate/outcomes.def"
#undef OUTCOME
    OUTCOMES_LEN
};

enum charge { CHARGE_NOTHING, CHARGE_COUNTED };

/* The problem types of the RateLimit draft (RFC 9457). */
enum problem { PROBLEM_NONE, PROBLEM_QUOTA, PROBLEM_CAPACITY };

struct outcome_row {
    const char *word;
    int status;
    enum charge charge;
    const char *type;
    const char *code;
    enum problem problem;
    const char *message; /* NULL: the policy's unavailable message */
};

extern const struct outcome_row outcome_rows[OUTCOMES_LEN];

/* A URI, or NULL for about:blank. */
const char *problem_uri(enum problem problem);
/* The outcome of a limit of that kind that refused. */
enum outcome outcome_of_limit(enum limit_kind kind);
/* The outcome that a verdict other than ADMIT and QUEUE ends with. */
enum outcome outcome_of_reason(enum reason reason);
