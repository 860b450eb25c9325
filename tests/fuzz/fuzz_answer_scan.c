/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_answer_scan.c - the answer scanner against yajl: what is valid JSON they count alike, and the pieces that a document
 * comes in change nothing.  The first byte of the input chooses how the rest is cut. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "dialect/answer_scan.h"
#include "dialect/sse_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* The same count, by the tokens of a whole parse. */
struct oracle {
    int64_t images;
    bool is_uncountable;
    bool has_data_key;
    bool is_data_next;
    bool is_in_data;
    bool is_image_next;
    bool is_image;
};

static void take_member(struct oracle *o, enum json_kind kind, struct text text)
{
    if (kind == JSON_KEY) {
        o->is_data_next = text_equal(text, TEXT("data"));
        if (o->is_data_next && o->has_data_key)
            o->is_uncountable = true;
        o->has_data_key = o->has_data_key || o->is_data_next;
        return;
    }
    if (kind == JSON_ARRAY_END || kind == JSON_OBJECT_END) {
        o->is_in_data = false;
        return;
    }
    o->is_in_data = o->is_data_next && kind == JSON_ARRAY_BEGIN;
    if (o->is_data_next && kind != JSON_ARRAY_BEGIN)
        o->is_uncountable = true;
    o->is_data_next = false;
}

static void take_element(struct oracle *o, enum json_kind kind)
{
    if (kind == JSON_OBJECT_END && o->is_image)
        o->images++;
    o->is_image = false;
    o->is_image_next = false;
}

static void take_part(struct oracle *o, enum json_kind kind, struct text text)
{
    if (kind == JSON_KEY) {
        o->is_image_next = text_equal(text, TEXT("b64_json")) || text_equal(text, TEXT("url"));
        return;
    }
    if (kind == JSON_STRING && o->is_image_next && text.len > 0)
        o->is_image = true;
}

static bool on_token(void *owner, enum json_kind kind, struct text text, int depth)
{
    struct oracle *o = owner;

    if (depth == 0 && kind != JSON_OBJECT_BEGIN && kind != JSON_OBJECT_END)
        o->is_uncountable = true;
    if (depth == 1)
        take_member(o, kind, text);
    if (depth == 2 && o->is_in_data)
        take_element(o, kind);
    if (depth == 3 && o->is_in_data)
        take_part(o, kind, text);
    return true;
}

static void feed(struct answer_scan *scan, struct sse_scan *events, struct text t, size_t piece_len)
{
    answer_scan_init(scan);
    sse_scan_init(events);
    for (size_t at = 0; at < t.len; at += piece_len) {
        size_t len = MIN(piece_len, t.len - at);
        char *piece = malloc(len); /* of its own, so that a read past its end is seen */
        if (!piece)
            abort();
        memcpy(piece, t.ptr + at, len);
        answer_scan_feed(scan, (struct text){piece, len});
        sse_scan_feed(events, (struct text){piece, len});
        free(piece);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct oracle oracle = {.images = 0};
    struct answer_scan whole, cut;
    struct sse_scan whole_events, cut_events;

    if (len < 2)
        return 0;
    struct text document = {(const char *)bytes + 1, len - 1};
    feed(&whole, &whole_events, document, document.len);
    feed(&cut, &cut_events, document, 1 + bytes[0] % 64);
    ASSERT(answer_scan_end(&whole, false) == answer_scan_end(&cut, false));
    ASSERT(answer_scan_end(&whole, true) == answer_scan_end(&cut, true));
    ASSERT(whole_events.images == cut_events.images);
    if (json_parse(document, on_token, &oracle, NULL))
        return 0;
    bool is_countable = oracle.has_data_key && !oracle.is_uncountable;
    ASSERT(answer_scan_end(&whole, false) == (is_countable ? oracle.images : -1));
    return 0;
}
