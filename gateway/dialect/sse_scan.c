/* SPDX-License-Identifier: Apache-2.0 */
/* sse_scan.c - images in a stream of events.      Runs on: worker.
 * Lines end with CR LF, LF or CR.  Data is handed to the JSON scanner as it comes, its lines joined by line feeds. */
#include "dialect/sse_scan.h"

#include <string.h>

enum place {
    PLACE_NAME,  /* at the start of a line, or in its field's name */
    PLACE_GAP,   /* after the colon, where one space is dropped */
    PLACE_EVENT, /* in the value of an event field */
    PLACE_DATA,  /* in the value of a data field */
    PLACE_SKIP,  /* in a value or comment that does not matter */
};

#define WANTED TEXT("image_generation.completed")

static const unsigned char byte_order_mark[] = {0xef, 0xbb, 0xbf};

/* Line ends are looked for in so many bytes at a time, so that a stream with but one kind of them stays linear. */
#define WINDOW_BYTES ((size_t)2048)

static bool is_name(const struct sse_scan *scan, struct text name)
{
    return scan->name_len == name.len && memcmp(scan->name, name.ptr, name.len) == 0;
}

static bool take(struct json_scan *json, enum scan_item item)
{
    struct sse_scan *scan = container_of(json, struct sse_scan, json);
    bool is_member = json->depth == 1;

    if (item == SCAN_BROKEN)
        return false;
    if (item == SCAN_STRING && is_member && scan->is_type_next)
        scan->is_type = json_scan_is(json, WANTED);
    scan->is_type_next = item == SCAN_KEY && is_member && json_scan_is(json, TEXT("type"));
    return true;
}

static void read_data(struct sse_scan *scan, struct text bytes)
{
    json_scan_feed(&scan->json, bytes, take);
}

static void begin_event_value(struct sse_scan *scan)
{
    scan->matched = 0;
    scan->is_event_name = false;
}

static void begin_data_value(struct sse_scan *scan)
{
    if (scan->has_data)
        read_data(scan, TEXT("\n"));
    scan->has_data = true;
}

/* The name of a field is whole: where its value belongs. */
static enum place begin_value(struct sse_scan *scan)
{
    if (is_name(scan, TEXT("event"))) {
        begin_event_value(scan);
        return PLACE_EVENT;
    }
    if (is_name(scan, TEXT("data"))) {
        begin_data_value(scan);
        return PLACE_DATA;
    }
    return PLACE_SKIP;
}

static void end_event(struct sse_scan *scan)
{
    if (scan->has_data && (scan->is_event_name || scan->is_type))
        scan->images++;
    json_scan_init(&scan->json);
    scan->is_event_name = false;
    scan->has_data = false;
    scan->is_type_next = false;
    scan->is_type = false;
}

static void end_line(struct sse_scan *scan)
{
    if (scan->place == PLACE_NAME && scan->name_len == 0)
        end_event(scan);
    else if (scan->place == PLACE_NAME)
        (void)begin_value(scan); /* a field without a colon has an empty value */
    scan->place = PLACE_NAME;
    scan->name_len = 0;
}

/* One byte before the value. */
static void take_name(struct sse_scan *scan, char c)
{
    if (c == ':') {
        scan->place = PLACE_GAP;
        return;
    }
    if (scan->name_len < SSE_FIELD_MAX)
        scan->name[scan->name_len] = c;
    if (scan->name_len <= SSE_FIELD_MAX)
        scan->name_len++;
}

static void take_event(struct sse_scan *scan, struct text bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        bool fits = scan->matched < WANTED.len && bytes.ptr[i] == WANTED.ptr[scan->matched];
        scan->matched = fits ? scan->matched + 1 : UINT8_MAX;
    }
    scan->is_event_name = scan->matched == WANTED.len;
}

/* The bytes up to the next line end, or all of them; at most WINDOW_BYTES. */
static struct text line_part(struct text piece)
{
    struct text part = {piece.ptr, MIN(piece.len, WINDOW_BYTES)};
    const char *end = memchr(part.ptr, '\n', part.len);

    if (end)
        part.len = (size_t)(end - part.ptr);
    end = memchr(part.ptr, '\r', part.len);
    if (end)
        part.len = (size_t)(end - part.ptr);
    return part;
}

/* Reads on in a line; the piece begins with a byte that does not end it.  Returns how many bytes were read. */
static size_t take_part(struct sse_scan *scan, struct text piece)
{
    if (scan->place == PLACE_NAME) {
        take_name(scan, piece.ptr[0]);
        return 1;
    }
    if (scan->place == PLACE_GAP) {
        scan->place = begin_value(scan);
        return piece.ptr[0] == ' ' ? 1 : 0;
    }
    struct text part = line_part(piece);
    if (scan->place == PLACE_EVENT)
        take_event(scan, part);
    if (scan->place == PLACE_DATA)
        read_data(scan, part);
    return part.len;
}

static void cut(struct text *piece, size_t len)
{
    piece->ptr += len;
    piece->len -= len;
}

static void skip_byte_order_mark(struct sse_scan *scan, struct text *piece)
{
    while (piece->len > 0 && scan->bom_len < sizeof(byte_order_mark)) {
        if ((unsigned char)piece->ptr[0] != byte_order_mark[scan->bom_len]) {
            scan->bom_len = sizeof(byte_order_mark);
            return;
        }
        scan->bom_len++;
        cut(piece, 1);
    }
}

void sse_scan_init(struct sse_scan *scan)
{
    *scan = (struct sse_scan){.place = PLACE_NAME};
    json_scan_init(&scan->json);
}

void sse_scan_feed(struct sse_scan *scan, struct text piece)
{
    skip_byte_order_mark(scan, &piece);
    while (piece.len > 0) {
        char c = piece.ptr[0];
        bool is_end_begun = scan->is_after_cr && c == '\n';

        scan->is_after_cr = c == '\r';
        if (is_end_begun) {
            cut(&piece, 1);
        } else if (c == '\n' || c == '\r') {
            if (scan->place == PLACE_GAP)
                scan->place = begin_value(scan);
            end_line(scan);
            cut(&piece, 1);
        } else {
            cut(&piece, take_part(scan, piece));
        }
    }
}
