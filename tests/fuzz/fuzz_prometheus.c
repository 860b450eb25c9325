/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_prometheus.c - metrics: whatever comes, what is read is plausible or missing. */
#include <stdlib.h>
#include <string.h>

#include "telemetry/telemetry.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static bool is_within(int64_t value, int64_t low, int64_t high)
{
    return value == LOAD_MISSING || (value >= low && value <= high);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct load_sample s;
    char *body = malloc(len > 0 ? len : 1); /* of its own, so that a read past its end is seen */

    if (!body)
        abort();
    memcpy(body, bytes, len);
    enum status st = prometheus_parse((struct text){body, len}, &s);
    ASSERT(st == ST_OK || st == ST_INVALID);
    if (st == ST_OK) {
        ASSERT(is_within(s.temperature_mc, -273150, 200000));
        ASSERT(is_within(s.memory_temperature_mc, -273150, 200000));
        ASSERT(is_within(s.power_mw, 0, INT64_MAX) && is_within(s.energy_mj, 0, INT64_MAX));
        ASSERT(is_within(s.utilization_permille, 0, 1000));
        ASSERT(is_within(s.queue_depth, 0, INT64_MAX) && is_within(s.gpus, 1, 1000));
    }
    free(body);
    return 0;
}
