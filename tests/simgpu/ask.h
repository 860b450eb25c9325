/* SPDX-License-Identifier: Apache-2.0 */
/* ask.h - what a request for images asks for. */
#pragma once

#include "base/status.h"
#include "base/text.h"

#define ASK_IMAGES_MAX 10

struct ask {
    int images; /* 1..ASK_IMAGES_MAX */
    int width, height;
    bool is_streamed;
    int partial_images; /* 0..3, of each image, when streamed */
    bool wants_url;
    bool has_prompt;
    uint64_t seed; /* of the first image; the others count on from it */
};

/* ST_OK; ST_INVALID with a sentence in error. */
MUST_CHECK enum status ask_parse(struct text body, struct ask *out, char error[200]);
/* "640x480", within what a picture may have.  ST_OK or ST_INVALID. */
MUST_CHECK enum status ask_parse_size(struct text t, int *out_width, int *out_height);
