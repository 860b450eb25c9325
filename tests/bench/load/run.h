/* SPDX-License-Identifier: Apache-2.0 */
/* run.h - sends the requests, and counts what comes back. */
#pragma once

#include "histogram.h"
#include "options.h"

#define STATUS_MAX 600

struct tally {
    int64_t count;
    int64_t bytes_min, bytes_max; /* of bodies */
};

struct result {
    int64_t sent, answered;
    int64_t unanswered; /* at the end */
    int64_t broken;     /* connections that ended, or made no sense, within an answer */
    int64_t reconnects; /* idle connections that the other side had ended */
    double seconds;     /* from the first request to the last answer */
    struct tally statuses[STATUS_MAX];
    struct histogram latency;
};

/* Sends and receives; with is_staying, returns before its connections are closed.  False: cannot connect. */
bool run(const struct options *options, struct result *out);
