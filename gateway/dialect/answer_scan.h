/* SPDX-License-Identifier: Apache-2.0 */
/* answer_scan.h - counts the images in an answer of the shape {"data": [{"b64_json": "..."}, ...], ...} that streams by.
 *
 * An image is a whole element of the top-level array "data" that is an object and holds, itself, a string "b64_json" or
 * "url" that is not empty.  Null, other elements and empty strings are none. */
#pragma once

#include "dialect/json_scan.h"

struct answer_scan {
    struct json_scan json;
    int64_t images;      /* whole ones so far */
    bool is_uncountable; /* not JSON, no object, or "data" is no array or there twice */
    bool has_data_key;
    bool is_data_next; /* the value to come is that of "data" */
    bool is_in_data;
    bool is_image_next; /* the value to come is that of an image's key */
    bool is_image;      /* the element at work holds an image */
};

void answer_scan_init(struct answer_scan *scan);
void answer_scan_feed(struct answer_scan *scan, struct text piece);
/* The images; -1 when they could not be counted: the document is not one of this shape, or (unless is_cut: it broke off
 * on the way) it does not end. */
int64_t answer_scan_end(const struct answer_scan *scan, bool is_cut);
