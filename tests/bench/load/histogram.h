/* SPDX-License-Identifier: Apache-2.0 */
/* histogram.h - counts of durations, each kept to 1 part in 64: the buckets of HdrHistogram. */
#pragma once

#include <stdint.h>

#define HISTOGRAM_SUB_BITS 6
#define HISTOGRAM_BUCKETS  (40 << HISTOGRAM_SUB_BITS)

struct histogram {
    int64_t counts[HISTOGRAM_BUCKETS];
    int64_t total;
    int64_t max_ns;
};

void histogram_add(struct histogram *h, int64_t ns);
/* The upper bound of the bucket below which that share (0..1) of all lies; 0 where there is none. */
int64_t histogram_at(const struct histogram *h, double share);
