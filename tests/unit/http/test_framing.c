/* SPDX-License-Identifier: Apache-2.0 */
/* test_framing.c - bodies of requests: lengths and chunks, and what could be read in two ways. */
#include <criterion/criterion.h>
#include <string.h>

#include "unit/http/feed.h"

static struct fed fed;

static void request(struct text bytes)
{
    feed_request(&fed, bytes);
}

Test(framing, framing_refused)
{
    static const struct refusal refusals[] = {
        R("both", POST(LENGTH CHUNKED) "0\r\n\r\n", MALFORMED),
        R("both, the other way", POST(CHUNKED LENGTH) "0\r\n\r\n", MALFORMED),
        R("length and another coding", POST(LENGTH "Transfer-Encoding: gzip\r\n"), MALFORMED),
        R("length and chunked last", POST(LENGTH "Transfer-Encoding: gzip, chunked\r\n"),
          MALFORMED),
        R("length and chunked not last", POST(LENGTH "Transfer-Encoding: chunked, gzip\r\n"),
          MALFORMED),
        R("two equal lengths", POST(LENGTH LENGTH), MALFORMED),
        R("two lengths", POST(LENGTH "Content-Length: 4\r\n"), MALFORMED),
        R("two equal lengths in one", POST("Content-Length: 3, 3\r\n"), MALFORMED),
        R("two lengths in one", POST("Content-Length: 3, 4\r\n"), MALFORMED),
        R("two lengths by a space", POST("Content-Length: 3 4\r\n"), MALFORMED),
        R("negative length", POST("Content-Length: -3\r\n"), MALFORMED),
        R("signed length", POST("Content-Length: +3\r\n"), MALFORMED),
        R("empty length", POST("Content-Length:\r\n"), MALFORMED),
        R("blank length", POST("Content-Length:  \r\n"), MALFORMED),
        R("length in hexadecimal", POST("Content-Length: 0x3\r\n"), MALFORMED),
        R("length in a word", POST("Content-Length: three\r\n"), MALFORMED),
        R("length over 63 bits", POST("Content-Length: 9223372036854775808\r\n"), MALFORMED),
        R("length over 64 bits", POST("Content-Length: 18446744073709551617\r\n"), MALFORMED),
        R("other coding", POST("Transfer-Encoding: gzip\r\n"), NOT_IMPLEMENTED),
        R("identity", POST("Transfer-Encoding: identity\r\n"), NOT_IMPLEMENTED),
        R("no coding", POST("Transfer-Encoding:\r\n"), NOT_IMPLEMENTED),
        R("chunked last", POST("Transfer-Encoding: gzip, chunked\r\n"), NOT_IMPLEMENTED),
        R("chunked not last", POST("Transfer-Encoding: chunked, gzip\r\n"), NOT_IMPLEMENTED),
        R("chunked twice", POST(CHUNKED CHUNKED), NOT_IMPLEMENTED),
        R("chunked twice in one", POST("Transfer-Encoding: chunked, chunked\r\n"), NOT_IMPLEMENTED),
        R("chunked with a parameter", POST("Transfer-Encoding: chunked;a=b\r\n"), NOT_IMPLEMENTED),
        R("nearly chunked", POST("Transfer-Encoding: xchunked\r\n"), NOT_IMPLEMENTED),
        R("quoted", POST("Transfer-Encoding: \"chunked\"\r\n"), NOT_IMPLEMENTED),
        R("chunked in HTTP/1.0", "POST / HTTP/1.0\r\n" HOST CHUNKED "\r\n0\r\n\r\n", MALFORMED),
    };

    REFUSE_ALL(refusals);
}

Test(framing, lengths)
{
    request(TEXT(POST("Content-Length: 9223372036854775807\r\n") "abc"));
    cr_assert_eq(fed.st, ST_OK);
    cr_assert_eq(fed.head.content_length, INT64_MAX);
    cr_assert_eq(fed.parser.body_left, INT64_MAX - 3);
    cr_assert(!fed.parser.is_complete);
    fed_free(&fed);
    request(TEXT(POST("Content-Length: 0\r\n") "abc"));
    cr_assert_eq(fed.head.content_length, 0);
    cr_assert(fed.parser.is_complete && !fed.head.has_body);
    cr_assert_eq(fed.consumed, fed.head.head_bytes);
    fed_free(&fed);
    request(TEXT(POST("Content-Length: 003\r\n") "abc"));
    cr_assert_eq(fed.head.content_length, 3);
    cr_assert(fed.parser.is_complete);
    fed_free(&fed);
}

/* One chunk extension only: llhttp 8 refuses a second one behind a value (9 takes it). */
Test(framing, chunked)
{
    struct text bytes =
        TEXT(POST("Transfer-Encoding: Chunked\r\n") "5\r\nhello\r\n1;a=\"b\"\r\n \r\n"
                                                    "2;a=b\r\n01\r\n00A\r\n\r\n0\r\n\r\n23\0\r\n0;"
                                                    "c\r\n\r\nGET");

    request(bytes);
    cr_assert_eq(fed.st, ST_OK);
    cr_assert(fed.parser.is_complete);
    cr_assert(fed.head.is_chunked && fed.head.has_body);
    cr_assert_eq(fed.head.content_length, -1);
    cr_assert(text_equal((struct text){fed.body, fed.body_len}, TEXT("hello 01\r\n0\r\n\r\n23\0")));
    cr_assert_eq(fed.consumed, bytes.len - strlen("GET"));
    fed_free(&fed);
}

Test(framing, trailers_are_dropped)
{
    struct text bytes =
        TEXT(POST(CHUNKED) "1\r\na\r\n0\r\nX: y\r\nHost: evil\r\nConnection: close\r\n\r\nZ");

    request(bytes);
    cr_assert_eq(fed.st, ST_OK);
    cr_assert(fed.parser.is_complete && fed.head.keeps_alive);
    cr_assert_eq(fed.head.fields_len, 2);
    feed_assert_text(head_field(&fed.head, TEXT("host")), "h");
    feed_assert_text((struct text){fed.body, fed.body_len}, "a");
    cr_assert_eq(fed.consumed, bytes.len - strlen("Z"));
    fed_free(&fed);
}

Test(framing, chunked_refused)
{
    static const struct refusal refusals[] = {
        R("no size", POST(CHUNKED) "\r\nhello\r\n0\r\n\r\n", MALFORMED),
        R("no digit", POST(CHUNKED) "g\r\nhello\r\n0\r\n\r\n", MALFORMED),
        R("signed", POST(CHUNKED) "+5\r\nhello\r\n0\r\n\r\n", MALFORMED),
        R("with prefix", POST(CHUNKED) "0x5\r\nhello\r\n0\r\n\r\n", MALFORMED),
        R("space before", POST(CHUNKED) " 5\r\nhello\r\n0\r\n\r\n", MALFORMED),
        R("over 64 bits", POST(CHUNKED) "10000000000000005\r\nhello\r\n0\r\n\r\n", MALFORMED),
        R("bare LF behind a size", POST(CHUNKED) "5\nhello\r\n0\r\n\r\n", MALFORMED),
        R("bare CR behind a size", POST(CHUNKED) "5\rhello\r\n0\r\n\r\n", MALFORMED),
        R("bare LF in an extension", POST(CHUNKED) "5;a\nhello\r\n0\r\n\r\n", MALFORMED),
        R("bare CR in an extension", POST(CHUNKED) "5;a\rb\r\nhello\r\n0\r\n\r\n", MALFORMED),
        R("chunk too long", POST(CHUNKED) "5\r\nhello!\r\n0\r\n\r\n", MALFORMED),
        R("bare LF behind a chunk", POST(CHUNKED) "5\r\nhello\n0\r\n\r\n", MALFORMED),
        R("no CRLF behind a chunk", POST(CHUNKED) "5\r\nhello0\r\n\r\n", MALFORMED),
        R("bare LF behind a trailer", POST(CHUNKED) "0\r\nA: b\n\r\n", MALFORMED),
        R("bare LF at the end", POST(CHUNKED) "0\r\n\n", MALFORMED),
        R("bad trailer", POST(CHUNKED) "0\r\nA b\r\n\r\n", MALFORMED),
    };

    REFUSE_ALL(refusals);
}

/* A message whose framing is longer than its head may be. */
static void refuse_long_framing(const char *begin, const char *unit, const char *end)
{
    struct feed_options options = {.limits = {100, 200}};
    char bytes[2000];
    struct text_out out;

    for (int units = 1; units < 300; units += 298) {
        text_out_init(&out, bytes, sizeof(bytes));
        text_out_add(&out, text_of(begin));
        for (int i = 0; i < units; i++)
            text_out_add(&out, text_of(unit));
        text_out_add(&out, text_of(end));
        cr_assert(!out.is_full);
        feed_all_ways(&fed, &options, text_out_text(&out));
        cr_expect_eq(fed.st, units == 1 ? ST_OK : ST_INVALID, "%s", begin);
        cr_expect_eq(fed.parser.is_complete, units == 1);
        fed_free(&fed);
    }
}

Test(framing, chunk_framing_is_bounded)
{
    refuse_long_framing(POST(CHUNKED) "1;", "a", "\r\na\r\n0\r\n\r\n");
    refuse_long_framing(POST(CHUNKED) "1;a=", "a", "\r\na\r\n0\r\n\r\n");
    refuse_long_framing(POST(CHUNKED), "0", "1\r\na\r\n0\r\n\r\n");
    refuse_long_framing(POST(CHUNKED) "0\r\nA: ", "a", "\r\n\r\n");
    refuse_long_framing(POST(CHUNKED) "0\r\n", "A:\r\n", "\r\n");
}
