/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include <string.h>

#include "base/json.h"

/* Writes every token as its kind's letter, its depth and its text. */
static bool write_token(void *owner, enum json_kind kind, struct text text, int depth)
{
    static const char letters[] = "?ntf#sk{}[]";
    struct text_out *out = owner;

    text_out_printf(out, "%c%d", letters[kind], depth);
    if (kind == JSON_NUMBER || kind == JSON_STRING || kind == JSON_KEY)
        text_out_printf(out, "(%.*s)", TEXT_ARG(text));
    return true;
}

static enum status parse(struct text document, char *buf, size_t size, size_t *offset)
{
    struct text_out out;

    text_out_init(&out, buf, size);
    return json_parse(document, write_token, &out, offset);
}

Test(json, hands_over_tokens_in_order)
{
    static const struct {
        const char *document;
        const char *tokens;
    } cases[] = {
        {"{\"a\": [1, -2.50e+3, null], \"b\": {\"c\": true}}",
         "{0k1(a)[1#2(1)#2(-2.50e+3)n2]1k1(b){1k2(c)t2}1}0"},
        {"7", "#0(7)"},
        {" \"x\" ", "s0(x)"},
        {"false\r\n\t", "f0"},
        {"[]", "[0]0"},
        {"{}", "{0}0"},
        {"\"\\u00e9\\n\\/\\\"\\ud83d\\ude00\"", "s0(\xc3\xa9\n/\"\xf0\x9f\x98\x80)"},
        {"{\"n\":1,\"n\":2}", "{0k1(n)#1(1)k1(n)#1(2)}0"},
        {"{\"\\u006e\":1}", "{0k1(n)#1(1)}0"},
        {"123456789012345678901234567890", "#0(123456789012345678901234567890)"},
        {"\"\xec\x9d\xb4\"", "s0(\xec\x9d\xb4)"},
    };
    char buf[512];

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        cr_assert_eq(parse(text_of(cases[i].document), buf, sizeof(buf), NULL), ST_OK, "%s",
                     cases[i].document);
        cr_assert_str_eq(buf, cases[i].tokens);
    }
}

Test(json, refuses_what_the_rfc_does_not_allow)
{
    static const char *const bad[] = {
        "",
        " ",
        "{",
        "[1",
        "[1,]",
        "{\"a\":1,}",
        "{\"a\"}",
        "{a:1}",
        "{'a':1}",
        "[1 2]",
        "01",
        "[01]",
        "+1",
        ".5",
        "1.",
        "1e",
        "-",
        "NaN",
        "Infinity",
        "nul",
        "True",
        "[1]x",
        "{} {}",
        "1 2",
        "\"a",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\t\"",
        "\"\n\"",
        "/**/1",
        "//\n1",
        "\v1",
        "\f1",
        "[\v]",
        "\xef\xbb\xbf 1",
        "\"\x80\"",
        "\"\xc0\x80\"",
        "\"\xed\xa0\x80\"",
        "\"\xf4\x90\x80\x80\"",
        "\"\xe2\x82\"",
        "]",
        "[}",
        "\"\\u12\"",
        ",",
        "[,1]",
        "{\"a\":}",
        "\"\x01\"",
        "[1}",
        "2\"",
        "{} \"a",
        "[]\"\\",
    };
    char buf[512];

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        cr_assert_eq(parse(text_of(bad[i]), buf, sizeof(buf), NULL), ST_INVALID, "case %zu: %s", i,
                     bad[i]);
    cr_assert_eq(parse((struct text){"1\0", 2}, buf, sizeof(buf), NULL), ST_INVALID);
    cr_assert_eq(parse((struct text){"\0001", 2}, buf, sizeof(buf), NULL), ST_INVALID);
}

Test(json, tells_where)
{
    char buf[512];
    size_t offset = 99;

    cr_assert_eq(parse(TEXT("{\"a\":1}"), buf, sizeof(buf), &offset), ST_OK);
    cr_assert_eq(offset, 99, "written on errors only");
    cr_assert_eq(parse(TEXT("{\"a\": \"\xff\"}"), buf, sizeof(buf), &offset), ST_INVALID);
    cr_assert_eq(offset, 7);
    cr_assert_eq(parse(TEXT("[1,"), buf, sizeof(buf), &offset), ST_INVALID);
    cr_assert_eq(offset, 3);
    cr_assert_eq(parse(TEXT("[1, x, 2]"), buf, sizeof(buf), &offset), ST_INVALID);
    cr_assert_geq(offset, 3);
    cr_assert_leq(offset, 5);
}

Test(json, nests_64_deep)
{
    char document[131];
    char buf[1024];

    memset(document, '[', 65);
    memset(document + 65, ']', 65);
    cr_assert_eq(parse((struct text){document + 1, 128}, buf, sizeof(buf), NULL), ST_OK);
    cr_assert_eq(parse((struct text){document, 130}, buf, sizeof(buf), NULL), ST_INVALID);
}

static bool stop_at_number(void *owner, enum json_kind kind, struct text text, int depth)
{
    int *calls = owner;

    UNUSED(text);
    UNUSED(depth);
    ++*calls;
    return kind != JSON_NUMBER;
}

Test(json, the_caller_may_stop)
{
    int calls = 0;

    cr_assert_eq(json_parse(TEXT("[1,2,3]"), stop_at_number, &calls, NULL), ST_INVALID);
    cr_assert_eq(calls, 2);
    calls = 0;
    cr_assert_eq(json_parse(TEXT("1"), stop_at_number, &calls, NULL), ST_INVALID);
    cr_assert_eq(calls, 1);
}

static bool take_text(void *owner, enum json_kind kind, struct text text, int depth)
{
    UNUSED(kind);
    UNUSED(depth);
    text_out_add(owner, text);
    return true;
}

Test(json, strings_may_hold_nul)
{
    char buf[16];
    struct text_out out;

    text_out_init(&out, buf, sizeof(buf));
    cr_assert_eq(json_parse(TEXT("\"a\\u0000b\""), take_text, &out, NULL), ST_OK);
    cr_assert(text_equal(text_out_text(&out), (struct text){"a\0b", 3}));
}

Test(json, writes_strings)
{
    char buf[128];
    struct text_out out;

    text_out_init(&out, buf, sizeof(buf));
    json_out_string(&out, (struct text){"a\"\\/\b\f\n\r\t\x01\0\x1f\x7f", 13});
    cr_assert_str_eq(buf, "\"a\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u0000\\u001f\x7f\"");
    text_out_init(&out, buf, sizeof(buf));
    json_out_string(&out, TEXT("\xec\x9d\xb4\xff\xed\xa0\x80z\xe2\x82"));
    cr_assert_str_eq(buf, "\"\xec\x9d\xb4\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz"
                          "\xef\xbf\xbd\xef\xbf\xbd\"");
    text_out_init(&out, buf, sizeof(buf));
    json_out_string(&out, TEXT_NONE);
    cr_assert_str_eq(buf, "\"\"");
}

Test(json, reads_what_it_wrote)
{
    char bytes[256];
    char written[2048];
    char read[512];
    struct text_out out;

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i < 128 ? i : 'x');
    text_out_init(&out, written, sizeof(written));
    json_out_string(&out, (struct text){bytes, sizeof(bytes)});
    struct text document = text_out_text(&out);

    text_out_init(&out, read, sizeof(read));
    cr_assert_eq(json_parse(document, take_text, &out, NULL), ST_OK);
    cr_assert(text_equal(text_out_text(&out), (struct text){bytes, sizeof(bytes)}));
}
