/* SPDX-License-Identifier: Apache-2.0 */
/* histogram.c - see histogram.h.
 * The first 64 buckets are 1 ns wide; from then on each doubling of the value has 64 buckets of equal width. */
#include "histogram.h"

#define SUB (INT64_C(1) << HISTOGRAM_SUB_BITS)

static int bucket_of(int64_t ns)
{
    if (ns < SUB)
        return (int)ns;
    int shift = 63 - __builtin_clzll((uint64_t)ns) - HISTOGRAM_SUB_BITS;
    int bucket = ((shift + 1) << HISTOGRAM_SUB_BITS) + (int)((ns >> shift) - SUB);

    return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

static int64_t upper_bound(int bucket)
{
    int octave = bucket >> HISTOGRAM_SUB_BITS;

    if (octave == 0)
        return bucket;
    int64_t sub = bucket & ((1 << HISTOGRAM_SUB_BITS) - 1);

    return ((SUB + sub + 1) << (octave - 1)) - 1;
}

void histogram_add(struct histogram *h, int64_t ns)
{
    int64_t counted = ns > 0 ? ns : 0;

    h->counts[bucket_of(counted)]++;
    h->total++;
    if (counted > h->max_ns)
        h->max_ns = counted;
}

int64_t histogram_at(const struct histogram *h, double share)
{
    int64_t wanted = (int64_t)(share * (double)h->total + 0.5);
    int64_t seen = 0;

    for (int i = 0; i < HISTOGRAM_BUCKETS && h->total > 0; i++) {
        seen += h->counts[i];
        if (seen >= wanted && seen > 0)
            return upper_bound(i) < h->max_ns ? upper_bound(i) : h->max_ns;
    }
    return h->max_ns;
}
