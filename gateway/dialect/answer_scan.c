/* SPDX-License-Identifier: Apache-2.0 */
/* answer_scan.c - images in a JSON answer.      Runs on: worker.
 * Depths, counted after a begin and an end: 1 is inside the answer, 2 inside "data", 3 inside one of its elements. */
#include "dialect/answer_scan.h"

enum { DEPTH_ANSWER = 1, DEPTH_DATA, DEPTH_ELEMENT };

static void take_key(struct answer_scan *scan)
{
    const struct json_scan *json = &scan->json;

    if (json->depth == DEPTH_ANSWER && json_scan_is(json, TEXT("data"))) {
        scan->is_uncountable = scan->has_data_key;
        scan->has_data_key = true;
        scan->is_data_next = true;
    }
    if (json->depth == DEPTH_ELEMENT)
        scan->is_image_next =
            json_scan_is(json, TEXT("b64_json")) || json_scan_is(json, TEXT("url"));
}

static void take_begin(struct answer_scan *scan, bool is_array)
{
    if (scan->json.depth == DEPTH_ANSWER && is_array)
        scan->is_uncountable = true;
    if (scan->json.depth == DEPTH_DATA && scan->is_data_next) {
        scan->is_in_data = is_array;
        scan->is_uncountable = !is_array;
    }
    if (scan->json.depth == DEPTH_ELEMENT) {
        scan->is_image = false;
        scan->is_image_next = false;
    }
}

static void take_end(struct answer_scan *scan, bool is_array)
{
    if (scan->json.depth == DEPTH_DATA && scan->is_in_data && !is_array && scan->is_image)
        scan->images++;
    if (scan->json.depth == DEPTH_ANSWER)
        scan->is_in_data = false;
}

/* A string or scalar, as a value. */
static void take_plain(struct answer_scan *scan, bool is_string)
{
    if (scan->json.depth < DEPTH_ANSWER || (scan->json.depth == DEPTH_ANSWER && scan->is_data_next))
        scan->is_uncountable = true;
    if (scan->json.depth == DEPTH_ELEMENT && scan->is_image_next && is_string &&
        scan->json.word.len > 0)
        scan->is_image = true;
}

static void take_value(struct answer_scan *scan, enum scan_item item)
{
    switch (item) {
    case SCAN_OBJECT_BEGIN:
    case SCAN_ARRAY_BEGIN:
        take_begin(scan, item == SCAN_ARRAY_BEGIN);
        break;
    case SCAN_OBJECT_END:
    case SCAN_ARRAY_END:
        take_end(scan, item == SCAN_ARRAY_END);
        break;
    case SCAN_STRING:
    case SCAN_SCALAR:
        take_plain(scan, item == SCAN_STRING);
        break;
    case SCAN_BROKEN:
        scan->is_uncountable = true;
        break;
    case SCAN_NONE:
    case SCAN_KEY:
        break;
    }
    scan->is_data_next = false;
}

/* What a key announced stands until its value has come. */
static bool take(struct json_scan *json, enum scan_item item)
{
    struct answer_scan *scan = container_of(json, struct answer_scan, json);

    if (item == SCAN_KEY)
        take_key(scan);
    else
        take_value(scan, item);
    return !scan->is_uncountable;
}

void answer_scan_init(struct answer_scan *scan)
{
    *scan = (struct answer_scan){.images = 0};
    json_scan_init(&scan->json);
}

void answer_scan_feed(struct answer_scan *scan, struct text piece)
{
    if (piece.len > 0 && !scan->is_uncountable)
        json_scan_feed(&scan->json, piece, take);
}

int64_t answer_scan_end(const struct answer_scan *scan, bool is_cut)
{
    bool is_whole = json_scan_is_done(&scan->json) && scan->has_data_key;

    return scan->is_uncountable || (!is_whole && !is_cut) ? -1 : scan->images;
}
