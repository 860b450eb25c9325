/* SPDX-License-Identifier: Apache-2.0 */
/* test_sse_scan.c - images in streams of server-sent events, with every kind of line end and cut anywhere. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "dialect/sse_scan.h"

static int64_t count_in_pieces(struct text stream, size_t piece_len)
{
    struct sse_scan scan;

    sse_scan_init(&scan);
    for (size_t at = 0; at < stream.len; at += piece_len) {
        size_t len = MIN(piece_len, stream.len - at);
        char *piece = malloc(len);
        memcpy(piece, stream.ptr + at, len);
        sse_scan_feed(&scan, (struct text){piece, len});
        free(piece);
    }
    return scan.images;
}

#define PARTIAL                                                                                    \
    "event: image_generation.partial_image\n"                                                      \
    "data: {\"type\":\"image_generation.partial_image\",\"b64_json\":\"QUJD\"}\n\n"
#define COMPLETED                                                                                  \
    "event: image_generation.completed\n"                                                          \
    "data: {\"type\":\"image_generation.completed\",\"b64_json\":\"QUJD\",\"usage\":{}}\n\n"

struct sample {
    const char *stream;
    int64_t images;
};

static const struct sample samples[] = {
    {"", 0},
    {"\n\n\n", 0},
    {PARTIAL COMPLETED, 1},
    {COMPLETED PARTIAL PARTIAL COMPLETED "data: [DONE]\n\n", 2},
    {"\xef\xbb\xbf" COMPLETED, 1},
    /* By the event field alone, and by the type alone. */
    {"event:image_generation.completed\ndata\n\n", 1},
    {"data: {\"type\": \"image_generation.completed\"}\n\n", 1},
    {"data:{\"b64_json\":\"x\",\"t\\u0079pe\":\"image_generation\\u002ecompleted\"}\n\n", 1},
    {"data: {\"b64_json\":\ndata: \"x\",\ndata:\"type\":\ndata:\"image_generation.completed\"}\n\n",
     1},
    /* No data: no event.  No blank line: not whole. */
    {"event: image_generation.completed\n\n", 0},
    {"event: image_generation.completed\ndata: {}\n", 0},
    {"event: image_generation.completed\n\ndata: {}\n\n", 0},
    /* The last event field of an event counts; names and values are exact. */
    {"event: image_generation.completed\nevent: other\ndata: {}\n\n", 0},
    {"event: other\nevent: image_generation.completed\ndata: {}\n\n", 1},
    {"event: image_generation.completed\nevent\ndata: {}\n\n", 0},
    {"event:  image_generation.completed\ndata: {}\n\n", 0},
    {"event: image_generation.completed \ndata: {}\n\n", 0},
    {"event: image_generation.complete\ndata: {}\n\n", 0},
    {" event: image_generation.completed\ndata: {}\n\n", 0},
    {"events: image_generation.completed\ndata: {}\n\n", 0},
    {": event: image_generation.completed\ndata: {}\n\n", 0},
    {": comment\nid: 7\nretry: 10\n" COMPLETED, 1},
    /* Only the type of the data itself. */
    {"data: {\"a\":{\"type\":\"image_generation.completed\"}}\n\n", 0},
    {"data: [\"type\",\"image_generation.completed\"]\n\n", 0},
    {"data: {\"prompt\":\"type\",\"x\":\"image_generation.completed\"}\n\n", 0},
    {"data: image_generation.completed\n\n", 0},
    /* What one event says does not reach the next. */
    {"data: {\"type\":\n\ndata: \"image_generation.completed\"}\n\n", 0},
    {"event: error\ndata: {\"error\":{}}\n\n", 0},
};

static char *with_line_ends(const char *stream, const char *line_end)
{
    char *out = calloc(1, 2 * strlen(stream) + 1);

    for (const char *p = stream; *p; p++) {
        if (*p == '\n')
            strcat(out, line_end);
        else
            strncat(out, p, 1);
    }
    return out;
}

Test(sse_scan, counts_alike_with_every_line_end_and_cut)
{
    static const char *const line_ends[] = {"\n", "\r\n", "\r"};

    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        for (size_t e = 0; e < ARRAY_LEN(line_ends); e++) {
            char *stream = with_line_ends(samples[i].stream, line_ends[e]);

            for (size_t len = 1; len <= strlen(stream) + 1; len++)
                cr_assert_eq(count_in_pieces(text_of(stream), len), samples[i].images,
                             "%s, line end %zu, pieces of %zu", samples[i].stream, e, len);
            free(stream);
        }
    }
}

Test(sse_scan, line_ends_may_be_mixed)
{
    cr_assert_eq(count_in_pieces(TEXT("event: image_generation.completed\rdata: {}\r\n\r"), 2), 1);
    cr_assert_eq(count_in_pieces(TEXT("event: image_generation.completed\r\ndata: {}\n\r\n"), 1),
                 1);
}

Test(sse_scan, reads_data_longer_than_its_window)
{
    char *stream = calloc(1, 10000);

    strcpy(stream, "data: {\"b64_json\":\"");
    memset(stream + strlen(stream), 'A', 9000);
    strcat(stream, "\",\"type\":\"image_generation.completed\"}\n\n");
    cr_assert_eq(count_in_pieces(text_of(stream), 10000), 1);
    cr_assert_eq(count_in_pieces(text_of(stream), 4096), 1);
    free(stream);
}
