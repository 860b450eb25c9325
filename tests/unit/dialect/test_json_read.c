/* SPDX-License-Identifier: Apache-2.0 */
/* test_json_read.c - the reader of requests, held against yajl: by documents written here, by each of them cut short at
 * every byte, and by each with one byte changed. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "dialect/json_read.h"

struct told {
    char buf[4096];
    struct text_out out;
    int left; /* tokens until it is stopped */
};

/* Writes every token as its kind's letter, its depth and its text. */
static bool write_token(void *owner, enum json_kind kind, struct text text, int depth)
{
    static const char letters[] = "?ntf#sk{}[]";
    struct told *told = owner;

    text_out_char(&told->out, letters[kind]);
    text_out_int(&told->out, depth);
    if (kind == JSON_NUMBER || kind == JSON_STRING || kind == JSON_KEY) {
        text_out_char(&told->out, '(');
        text_out_add(&told->out, text);
        text_out_char(&told->out, ')');
    }
    return --told->left != 0;
}

typedef enum status read_fn(struct text document, json_token_fn *token, void *owner,
                            size_t *out_offset);

static enum status tell(read_fn *reader, struct text document, struct told *told)
{
    text_out_init(&told->out, told->buf, sizeof(told->buf));
    told->left = -1;
    return reader(document, write_token, told, NULL);
}

static const char *const documents[] = {
    "{\"model\":\"m\",\"prompt\":\"a lighthouse at dusk, long exposure\",\"n\":1,\"size\":\"1x1\"}",
    "{\"a\": [1, -2.50e+3, null], \"b\": {\"c\": true, \"d\": false}}",
    " \r\n\t{ \"a\" : [ ] , \"b\" : { } } \n",
    "[0,-0,10,1.5,0.25,1e5,1E-7,2e+3,123456789012345678901234567890]",
    "\"\\u00e9\\n\\/\\\"\\\\\\b\\f\\r\\t and \\u0000 and \\u20AC, \\ud83d\\ude00.\"",
    "\"plain \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \xed\x9f\xbf \xee\x80\x80 \xf4\x8f\xbf\xbf "
    "\x7f\"",
    "{\"\\u006e\":1,\"n\":2,\"n\":3}",
    "\"\"",
    "[[[[\"\",{}],1],2],3]",
    "true",
    "null",
    "-1",
    "\"01234567\"",
    "\"0123456789012345678901234567890\"",
};

static void expect_same(struct text document)
{
    static struct told ours, theirs;
    enum status st = tell(json_read, document, &ours);

    cr_assert_eq(st, tell(json_parse, document, &theirs), "%.*s", TEXT_ARG(document));
    if (st != ST_OK)
        return;
    cr_assert(text_equal(text_out_text(&ours.out), text_out_text(&theirs.out)), "%.*s: %s, not %s",
              TEXT_ARG(document), ours.buf, theirs.buf);
}

Test(json_read, takes_what_yajl_takes)
{
    struct told told;

    for (size_t i = 0; i < ARRAY_LEN(documents); i++) {
        cr_assert_eq(tell(json_read, text_of(documents[i]), &told), ST_OK, "%s", documents[i]);
        expect_same(text_of(documents[i]));
    }
}

Test(json_read, takes_what_yajl_takes_cut_short)
{
    for (size_t i = 0; i < ARRAY_LEN(documents); i++)
        for (size_t len = 0; len < strlen(documents[i]); len++) {
            /* In a block of its own, so that a sanitizer sees a byte read behind it. */
            char *cut = malloc(len + 1);
            memcpy(cut + 1, documents[i], len);
            expect_same((struct text){cut + 1, len});
            free(cut);
        }
}

/* A changed byte may leave an escaped surrogate alone, on which the two differ. */
static bool has_surrogates(const char *document)
{
    return strstr(document, "\\ud") != NULL;
}

Test(json_read, takes_what_yajl_takes_with_a_byte_changed)
{
    static const unsigned char bytes[] =
        "\0\x01\t\n\v\f\x1f !\"+,-./019:Eae\\]nu[{}\x7f\x80\xbf\xc0\xc1"
        "\xc2\xe0\xed\xef\xf0\xf4\xf5\xff";
    char changed[256];

    for (size_t i = 0; i < ARRAY_LEN(documents); i++) {
        size_t len = strlen(documents[i]);
        if (has_surrogates(documents[i]))
            continue;
        for (size_t at = 0; at < len; at++)
            for (size_t k = 0; k < sizeof(bytes) - 1; k++) {
                memcpy(changed, documents[i], len);
                changed[at] = (char)bytes[k];
                expect_same((struct text){changed, len});
            }
    }
}

Test(json_read, nests_64_deep)
{
    char document[131];

    memset(document, '[', 65);
    memset(document + 65, ']', 65);
    static struct told told;
    cr_assert_eq(tell(json_read, (struct text){document + 1, 128}, &told), ST_OK);
    cr_assert_eq(tell(json_read, (struct text){document, 130}, &told), ST_INVALID);
    expect_same((struct text){document + 1, 128});
}

/* Some backends' parsers leave it alone and read what follows. */
Test(json_read, replaces_half_a_surrogate_pair_and_reads_on)
{
    static const char *const cases[][2] = {
        {"\"\\ud83d\\ude00\"", "s0(\xf0\x9f\x98\x80)"},
        {"\"\\uDBFF\\uDFFF\"", "s0(\xf4\x8f\xbf\xbf)"},
        {"\"\\ud83d\"", "s0(\xef\xbf\xbd)"},
        {"\"\\ude00x\"", "s0(\xef\xbf\xbdx)"},
        {"\"\\ud83d\\u003cb\"", "s0(\xef\xbf\xbd<b)"},
        {"\"\\ud83d\\ud83d\\ude00\"", "s0(\xef\xbf\xbd\xf0\x9f\x98\x80)"},
        {"\"\\ud83d\\n\"", "s0(\xef\xbf\xbd\n)"},
    };
    static struct told told;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        cr_assert_eq(tell(json_read, text_of(cases[i][0]), &told), ST_OK, "%s", cases[i][0]);
        cr_assert_str_eq(told.buf, cases[i][1]);
    }
    cr_assert_eq(tell(json_read, TEXT("\"\\ud83d\\u00g0\""), &told), ST_INVALID);
}

Test(json_read, tells_where)
{
    static const struct {
        const char *document;
        size_t offset;
    } cases[] = {
        {"", 0},      {"{\"a\": \"\xff\"}", 7}, {"[1,", 3},       {"[1, x, 2]", 4},
        {"[1] 2", 4}, {"\"a\nb\"", 2},          {"{\"a\" 1}", 5},
    };
    static struct told told;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t offset = 99;
        text_out_init(&told.out, told.buf, sizeof(told.buf));
        told.left = -1;
        cr_assert_eq(json_read(text_of(cases[i].document), write_token, &told, &offset),
                     ST_INVALID);
        cr_assert_eq(offset, cases[i].offset, "%s: %zu", cases[i].document, offset);
    }
}

Test(json_read, stops_when_told)
{
    static struct told told;

    for (int tokens = 1; tokens < 7; tokens++) {
        text_out_init(&told.out, told.buf, sizeof(told.buf));
        told.left = tokens;
        cr_assert_eq(json_read(TEXT("{\"a\":[1,\"\\n\"]}"), write_token, &told, NULL), ST_INVALID);
        cr_assert_eq(told.left, 0);
    }
}
