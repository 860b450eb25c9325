/* SPDX-License-Identifier: Apache-2.0 */
/* test_answer_scan.c - images in JSON answers, whole and cut anywhere. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "dialect/answer_scan.h"

#define UNCOUNTABLE (-1)

static int64_t count_in_pieces(struct text document, size_t piece_len, bool is_cut)
{
    struct answer_scan scan;

    answer_scan_init(&scan);
    for (size_t at = 0; at < document.len; at += piece_len) {
        /* A copy of its own, so that a sanitizer sees any read past the piece. */
        size_t len = MIN(piece_len, document.len - at);
        char *piece = malloc(len);
        memcpy(piece, document.ptr + at, len);
        answer_scan_feed(&scan, (struct text){piece, len});
        free(piece);
    }
    return answer_scan_end(&scan, is_cut);
}

struct sample {
    const char *document;
    int64_t images;
};

static const struct sample samples[] = {
    {"{\"created\":1,\"data\":[{\"b64_json\":\"iVBORw0KGgo=\"}]}", 1},
    {"{\"data\":[{\"url\":\"http://x/1\"},{\"b64_json\":\"QQ==\",\"revised_prompt\":null}]}", 2},
    {" { \"data\" : [ { \"url\" : \"x\" } , { \"url\" : \"y\" } ] , \"usage\" : { \"a\" : "
     "[1,2.5e3,true] } } \r\n",
     2},
    {"{\"data\":[]}", 0},
    {"{\"d\\u0061t\\u0061\":[{\"b64\\u005fjson\":\"x\"}]}", 1},
    {"{\"data\":[{\"url\":\"a quote: \\\" and a backslash at the end: "
     "\\\\\"},{\"url\":\"\\\\\\\\\\\"\"}]}",
     2},
    {"{\"data\":[{\"url\":\"0123456789012345678901234567890123456789\\\\\\\"],}{\\\\\"},{\"url\":"
     "\"x\"}]}",
     2},
    /* A key longer than what is kept of a word. */
    {"{\"data01234567890123456789012345678901234567890\":[{\"url\":\"x\"}],\"data\":[{\"url\":"
     "\"x\"}]}",
     1},
    /* No images: null, other kinds, no picture in it, an empty one, one that is no string. */
    {"{\"data\":[null,1,\"x\",[{\"url\":\"x\"}],{},{\"url\":\"\"},{\"b64_json\":null},{\"b64_"
     "json\":7}]}",
     0},
    {"{\"data\":[{\"b64_json\":null,\"url\":\"x\"},{\"url\":\"x\",\"b64_json\":\"\"}]}", 2},
    /* A picture deeper inside an element is not the element's. */
    {"{\"data\":[{\"more\":{\"url\":\"x\"},\"also\":[{\"b64_json\":\"x\"}]}]}", 0},
    {"{\"data\":[{\"url\":[\"x\"]},{\"url\":{\"a\":\"x\"}}]}", 0},
    /* Only the outermost "data" counts. */
    {"{\"outer\":{\"data\":[{\"url\":\"x\"}]},\"data\":[{\"url\":\"x\"}]}", 1},
    {"{\"data\":[{\"data\":[{\"url\":\"x\"}],\"url\":\"x\"}]}", 1},
    /* Not this shape. */
    {"{\"images\":[{\"url\":\"x\"}]}", UNCOUNTABLE},
    {"{\"data\":null}", UNCOUNTABLE},
    {"{\"data\":{\"url\":\"x\"}}", UNCOUNTABLE},
    {"{\"data\":\"x\"}", UNCOUNTABLE},
    {"{\"data\":[],\"data\":[{\"url\":\"x\"}]}", UNCOUNTABLE},
    {"[{\"data\":[{\"url\":\"x\"}]}]", UNCOUNTABLE},
    {"\"data\"", UNCOUNTABLE},
    {"17 ", UNCOUNTABLE},
    /* Not JSON. */
    {"", UNCOUNTABLE},
    {"<html>", UNCOUNTABLE},
    {"{\"data\":[{\"url\":\"x\"}]", UNCOUNTABLE},
    {"{\"data\":[{\"url\":\"x\"}}}", UNCOUNTABLE},
    {"{\"data\":[{\"url\":\"x\"}]}}", UNCOUNTABLE},
    {"{\"data\":[{\"url\":\"x\"}]} x", UNCOUNTABLE},
    {"{\"data\":[{\"url\":\"x\"},]}", UNCOUNTABLE},
    {"{\"data\":[{\"url\":\"x\"}],}", UNCOUNTABLE},
    {"{\"data\" [{\"url\":\"x\"}]}", UNCOUNTABLE},
    {"{data:[{\"url\":\"x\"}]}", UNCOUNTABLE},
    {"{\"d\\x61ta\":[]}", UNCOUNTABLE},
    {"{\"\\u00g0\":0,\"data\":[]}", UNCOUNTABLE},
};

Test(answer_scan, counts_alike_however_it_is_cut_into_pieces)
{
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        struct text document = text_of(samples[i].document);

        for (size_t len = 1; len <= document.len + 1; len++)
            cr_assert_eq(count_in_pieces(document, len, false), samples[i].images,
                         "%s in pieces of %zu", samples[i].document, len);
    }
}

Test(answer_scan, counts_whole_images_of_an_answer_that_broke_off)
{
    const char *document = "{\"created\":1,\"data\":[{\"url\":\"a\"},{\"url\":\"b\"}]}";
    size_t first = (size_t)(strstr(document, "},") - document) + 1;
    size_t second = (size_t)(strstr(document, "}]") - document) + 1;

    for (size_t len = 0; len <= strlen(document); len++) {
        int64_t whole = (len >= first ? 1 : 0) + (len >= second ? 1 : 0);
        cr_assert_eq(count_in_pieces((struct text){document, len}, 3, true), whole, "cut at %zu",
                     len);
    }
}

Test(answer_scan, what_is_not_json_is_uncountable_also_when_it_broke_off)
{
    cr_assert_eq(count_in_pieces(TEXT("{\"data\":[{\"url\":\"x\"},}"), 4, true), UNCOUNTABLE);
    cr_assert_eq(count_in_pieces(TEXT("[{"), 4, true), UNCOUNTABLE);
}

Test(answer_scan, bounds_the_nesting)
{
    char document[256] = "{\"a\":";
    size_t at = strlen(document);

    for (int depth = 1; depth < JSON_SCAN_DEPTH_MAX; depth++)
        document[at++] = '[';
    for (int depth = 1; depth < JSON_SCAN_DEPTH_MAX; depth++)
        document[at++] = ']';
    strcpy(document + at, ",\"data\":[]}");
    cr_assert_eq(count_in_pieces(text_of(document), 7, false), 0);
    memmove(document + 6, document + 5, strlen(document + 5) + 1);
    cr_assert_eq(document[5], '[');
    cr_assert_eq(count_in_pieces(text_of(document), 7, false), UNCOUNTABLE);
}

Test(answer_scan, reads_long_strings_with_escapes_at_any_place)
{
    enum { LEN = 200 };

    for (size_t at = 0; at < LEN; at++) {
        char document[LEN + 64] = "{\"data\":[{\"b64_json\":\"";
        size_t begin = strlen(document);

        memset(document + begin, 'A', LEN);
        memcpy(document + begin + at, "\\\"", 2);
        strcpy(document + begin + LEN + 1, "\\\\\"},{\"url\":\"x\"}]}");
        document[begin + LEN] = 'A';
        for (size_t len = 1; len < 70; len += 3)
            cr_assert_eq(count_in_pieces(text_of(document), len, false), 2);
    }
}
