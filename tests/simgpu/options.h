/* SPDX-License-Identifier: Apache-2.0 */
/* options.h - the command line of simgpu. */
#pragma once

#include "base/address.h"

struct sim_options {
    struct address listen;
    int slots;                /* images at work at once */
    double seconds_per_image; /* 0: answers at once */
    double ambient_c;         /* of the room */
    double heat_c;            /* an image warms the GPU by so much */
    double cooling_s;         /* time constant of cooling down */
    int64_t image_bytes;      /* about so large is each PNG; 0: as it comes */
    const char *name;         /* of the host, in metrics */
    const char *uuid;         /* of the GPU */
    const char *model;        /* listed in /v1/models */
};

/* ST_OK; ST_CLOSED: --help was printed; ST_INVALID: a complaint was printed. */
MUST_CHECK enum status options_parse(int argc, char **argv, struct sim_options *out);
