/* SPDX-License-Identifier: Apache-2.0 */
/* outcome.c - the table. */
#include "gate/outcome.h"

const struct outcome_row outcome_rows[OUTCOMES_LEN] = {
    {"none", 0, CHARGE_NOTHING, NULL, NULL, PROBLEM_NONE, NULL},
#define OUTCOME(id, word, status, charge, type, code, problem, message)                            \
    {word, status, CHARGE_##charge, type, code, PROBLEM_##problem, message},
#include "gate/outcomes.def"
#undef OUTCOME
};

const char *problem_uri(enum problem problem)
{
    switch (problem) {
    case PROBLEM_NONE:
        return NULL;
    case PROBLEM_QUOTA:
        return "https://iana.org/assignments/http-problem-types#quota-exceeded";
    case PROBLEM_CAPACITY:
        return "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity";
    }
    return NULL;
}

enum outcome outcome_of_limit(enum limit_kind kind)
{
    switch (kind) {
    case LIMIT_RATE:
        return OUTCOME_RATE_LIMITED;
    case LIMIT_IN_FLIGHT:
        return OUTCOME_IN_FLIGHT_LIMITED;
    case LIMIT_NONE:
    case LIMIT_DAY:
    case LIMIT_WEEK:
    case LIMIT_MONTH:
    case LIMIT_ROLLING:
        break;
    }
    return OUTCOME_QUOTA_EXHAUSTED;
}

enum outcome outcome_of_reason(enum reason reason)
{
    switch (reason) {
    case REASON_NONE:
        break;
    case REASON_TOO_MANY_IMAGES:
        return OUTCOME_TOO_MANY_IMAGES;
    case REASON_DRAINING:
        return OUTCOME_DRAINING;
    case REASON_NO_BACKEND:
        return OUTCOME_NO_BACKEND;
    case REASON_TELEMETRY_STALE:
        return OUTCOME_TELEMETRY_STALE;
    case REASON_GPU_TEMPERATURE:
        return OUTCOME_GPU_TEMPERATURE;
    case REASON_QUEUE_DEPTH:
        return OUTCOME_QUEUE_DEPTH;
    case REASON_BUSY:
        return OUTCOME_BUSY;
    case REASON_QUEUE_FULL:
        return OUTCOME_QUEUE_FULL;
    }
    ASSERT(!"a verdict without a reason");
    return OUTCOME_NONE;
}
