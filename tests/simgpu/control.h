/* SPDX-License-Identifier: Apache-2.0 */
/* control.h - what a test may ask of the simulator while it runs: faults to come, and how it behaves until told
 * otherwise.  POST /sim with a flat JSON object changes what it names and leaves the rest. */
#pragma once

#include "base/status.h"
#include "base/text.h"

enum metrics_mode {
    METRICS_NORMAL,
    METRICS_NAN,
    METRICS_MISSING,  /* no temperatures */
    METRICS_SENTINEL, /* DCGM's word for "not supported" */
    METRICS_HANG,     /* never answers */
    METRICS_OFF,      /* 404 */
};

/* What happens to a request for images.  Those that answer nothing use no slot. */
enum fault {
    FAULT_NONE,
    FAULT_FAIL,    /* an error of fail_status */
    FAULT_HANG,    /* never answers */
    FAULT_DROP,    /* closes without a byte */
    FAULT_GARBAGE, /* answers something that is not HTTP */
    FAULT_RESET,   /* half of the body, then RST */
    FAULT_SHORT,   /* half of the body, then FIN */
    FAULT_STALL,   /* half of the body, then silence */
};

struct controls {
    /* So many requests for images to come meet that fault. */
    int64_t fail_next, hang_next, drop_next, garbage_next, reset_next, short_next, stall_next;
    int64_t short_images; /* so many answers hold one image fewer than asked */
    int64_t interim_next; /* so many answers are preceded by 103 Early Hints */
    int64_t close_next;   /* so many answers say Connection: close, and mean it */
    /* How all are answered. */
    int64_t fail_status;
    int64_t delay_ms; /* work takes so much longer */
    bool is_chunked, is_gzip, has_hop_fields;
    double seconds_per_image;
    int64_t metrics_mode; /* enum metrics_mode */
    int64_t queue_depth;  /* of the gauge; -1: the true one */
    /* Acts on the moment. */
    double temperature; /* of this POST; NAN when it named none */
    int64_t pin;        /* 1, 0; -1: not named */
    bool close_idle;
};

void controls_init(struct controls *controls, double seconds_per_image);
/* ST_OK; ST_INVALID with a sentence in error, and nothing is changed. */
MUST_CHECK enum status controls_change(struct controls *controls, struct text json,
                                       char error[200]);
/* What the next request for images meets; counts it. */
enum fault controls_take_fault(struct controls *controls);
/* Takes one of a count that is not used up. */
bool controls_take(int64_t *count);
/* Nothing is asked for: requests may take the shortest way. */
bool controls_are_plain(const struct controls *controls);
