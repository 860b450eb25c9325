/* SPDX-License-Identifier: Apache-2.0 */
/* canned.h - answers that are made once and sent many times: the simulator as the backend of a benchmark.
 * With --seconds-per-image 0 and --image-bytes, requests for images cost no JSON, no PNG and no allocation. */
#pragma once

#include "simgpu/ask.h"
#include "simgpu/buffer.h"

struct sim;

struct canned {
    struct buffer answers[ASK_IMAGES_MAX +
                          1]; /* by number of images: head and body; empty until first asked for */
};

/* The answer to a body that asks for a plain answer; TEXT_NONE where a closer look is needed. */
struct text canned_answer(struct sim *sim, struct text body, int *out_images);
void canned_fini(struct canned *canned);
