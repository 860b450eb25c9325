/* SPDX-License-Identifier: Apache-2.0 */
/* sse_scan.h - counts the images in a stream of server-sent events (WHATWG HTML, 9.2.6) that comes in pieces cut anywhere.
 *
 * An image is an event "image_generation.completed", by its event field or by the member "type" of the JSON object in its
 * data, that has data and whose blank line came.  An event that broke off is none. */
#pragma once

#include "dialect/json_scan.h"

#define SSE_FIELD_MAX 5 /* no field that matters has a longer name */

struct sse_scan {
    struct json_scan json; /* of the event's data */
    int64_t images;        /* whole ones so far */
    uint8_t place;         /* in a line */
    uint8_t bom_len;       /* bytes of a leading byte order mark so far; 3: past it */
    bool is_after_cr;      /* a line feed now belongs to the line end before it */
    uint8_t name_len;      /* SSE_FIELD_MAX + 1: longer */
    char name[SSE_FIELD_MAX];
    uint8_t matched;    /* bytes of the wanted event name that the value at work began with */
    bool is_event_name; /* the event field named the wanted event */
    bool has_data;
    bool is_type_next; /* in its data: the value to come is that of "type" */
    bool is_type;      /* its data named the wanted event */
};

void sse_scan_init(struct sse_scan *scan);
void sse_scan_feed(struct sse_scan *scan, struct text piece);
