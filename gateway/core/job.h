/* SPDX-License-Identifier: Apache-2.0 */
/* job.h - what is asked for, in no dialect. */
#pragma once

#include "base/text.h"

#define JOB_IMAGES_MAX 10

enum operation {
    OPERATION_NONE,     /* no route: refused */
    OPERATION_PASS,     /* a safe path that the configuration lists: forwarded, not counted */
    OPERATION_GENERATE, /* makes images: counted */
};

struct job {
    enum operation operation;
    int64_t images;    /* asked for: 1..JOB_IMAGES_MAX; 0 for OPERATION_PASS */
    struct text model; /* TEXT_NONE: the backend's default.  Texts live in the request's arena. */
    struct text quality;
    int64_t steps;    /* 0: not known */
    int64_t pixels;   /* of one image; 0: not known */
    bool is_streamed; /* the answer is a stream of server-sent events */
};

/* The word for logs: "generate", "pass", "none". */
const char *operation_name(enum operation operation);
