/* SPDX-License-Identifier: Apache-2.0 */
/* prometheus.h - polls a Prometheus exporter: one GET an interval, never two at a time. */
#pragma once

#include "http/fetch.h"
#include "telemetry/telemetry.h"

struct prometheus_source {
    struct telemetry_source base;
    struct timer timer; /* until the next poll; not set while one is under way */
    struct fetch fetch;
    struct op fetched;
    struct address to; /* len 0: the name is looked up before the next poll */
    int64_t begun_us;  /* when the last poll began */
    uint64_t random;
};

extern const struct telemetry_ops prometheus_ops;
