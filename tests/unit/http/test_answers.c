/* SPDX-License-Identifier: Apache-2.0 */
/* test_answers.c - the parser on answers: which have a body, and where it ends. */
#include <criterion/criterion.h>
#include <string.h>

#include "unit/http/feed.h"

static struct fed fed;

static void answer(struct text bytes)
{
    feed_all_ways(&fed, &(struct feed_options){.side = HTTP_ANSWERS}, bytes);
}

static void answer_to_head(struct text bytes)
{
    feed_all_ways(&fed, &(struct feed_options){.side = HTTP_ANSWERS, .answers_head = true}, bytes);
}

static void assert_body(const char *expected)
{
    struct text body = {fed.body, fed.body_len};

    cr_assert_eq(fed.st, ST_OK);
    cr_assert(text_equal(body, text_of(expected)), "got '%.*s', expected '%s'", TEXT_ARG(body),
              expected);
}

Test(answers, with_a_length)
{
    answer(TEXT("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nA: b\r\n\r\nxyHTTP"));
    assert_body("xy");
    cr_assert(fed.parser.is_complete && fed.head.has_body && fed.head.keeps_alive);
    cr_assert_eq(fed.head.status, 200);
    cr_assert_eq(fed.consumed, fed.head.head_bytes + 2);
    cr_assert_eq(http_parser_end(&fed.parser), ST_OK);
    fed_free(&fed);
}

Test(answers, with_length_zero)
{
    answer(TEXT("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP"));
    assert_body("");
    cr_assert(fed.parser.is_complete && fed.head.has_body && fed.head.keeps_alive);
    fed_free(&fed);
}

Test(answers, chunked)
{
    answer(TEXT("HTTP/1.1 503 x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nxy\r\n0\r\n\r\nHTTP"));
    assert_body("xy");
    cr_assert(fed.parser.is_complete && fed.head.is_chunked && fed.head.keeps_alive);
    cr_assert_eq(fed.head.status, 503);
    fed_free(&fed);
}

Test(answers, until_the_connection_closes)
{
    answer(TEXT("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"));
    assert_body("HTTP/1.1 200 OK\r\n\r\n");
    cr_assert(!fed.parser.is_complete && !fed.head.keeps_alive && fed.head.has_body);
    cr_assert_eq(fed.parser.body_left, -1);
    cr_assert_eq(http_parser_end(&fed.parser), ST_OK);
    cr_assert(fed.parser.is_complete);
    fed_free(&fed);
    answer(TEXT("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n"));
    cr_assert(!fed.parser.is_complete && !fed.head.keeps_alive);
    fed_free(&fed);
}

Test(answers, that_break_off)
{
    answer(TEXT("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nxy"));
    cr_assert_eq(http_parser_end(&fed.parser), ST_INVALID);
    fed_free(&fed);
    answer(TEXT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nxy\r\n"));
    cr_assert_eq(http_parser_end(&fed.parser), ST_INVALID);
    fed_free(&fed);
    answer(TEXT("HTTP/1.1 200 OK\r\n"));
    cr_assert_eq(http_parser_end(&fed.parser), ST_INVALID);
    fed_free(&fed);
    answer(TEXT(""));
    cr_assert_eq(http_parser_end(&fed.parser), ST_CLOSED);
    fed_free(&fed);
}

Test(answers, without_a_body)
{
    static const char *const heads[] = {
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\n\r\n",
    };

    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        answer(text_of(heads[i]));
        cr_assert_eq(fed.st, ST_OK);
        cr_assert(fed.parser.is_complete && !fed.head.has_body && fed.head.keeps_alive);
        cr_assert_eq(fed.consumed, strlen(heads[i]));
        fed_free(&fed);
    }
}

Test(answers, to_head)
{
    static const char *const heads[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
    };

    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        answer_to_head(text_of(heads[i]));
        cr_assert_eq(fed.st, ST_OK);
        cr_assert(fed.parser.is_complete && !fed.head.has_body && fed.head.keeps_alive);
        cr_assert_eq(fed.head.content_length, i == 0 ? 5 : -1);
        fed_free(&fed);
    }
}

Test(answers, interim_ones_are_heads_of_their_own)
{
    static const char bytes[] = "HTTP/1.1 100 Continue\r\n\r\n"
                                "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"
                                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    struct http_limits limits = {0, 1000};
    struct http_parser p;
    size_t at = 0;
    int statuses[] = {100, 103, 200};

    http_parser_init(&p, HTTP_ANSWERS, &limits);
    http_parser_next(&p, &fed.head);
    p.answers_head = true;
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        size_t taken = 0;
        cr_assert_eq(http_parser_head(&p, bytes + at, sizeof(bytes) - 1 - at, &taken), ST_OK);
        at += taken;
        cr_assert_eq(fed.head.status, statuses[i]);
        cr_assert(p.is_complete && !fed.head.has_body);
        cr_assert_eq(p.is_interim, statuses[i] < 200);
        http_parser_next(&p, &fed.head);
        cr_assert_eq(p.answers_head,
                     statuses[i] < 200); /* still the answer to HEAD, till it came */
    }
    cr_assert_eq(at, sizeof(bytes) - 1);
}

Test(answers, switching_protocols)
{
    answer(TEXT(
        "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: y\r\nContent-Length: 1\r\n\r\n\1\2"));
    assert_body("\1\2");
    cr_assert(!fed.parser.is_complete && !fed.parser.is_interim && !fed.head.has_body);
    cr_assert(fed.head.wants_upgrade && !fed.head.keeps_alive);
    cr_assert_eq(http_parser_end(&fed.parser), ST_OK);
    fed_free(&fed);
}

Test(answers, status_lines)
{
    static const struct {
        const char *line;
        int status; /* 0: refused */
    } rows[] = {
        {"HTTP/1.1 200 OK", 200},
        {"HTTP/1.0 200 OK", 200},
        {"HTTP/1.1 599 \xc3\xa4 is\tfine", 599},
        {"HTTP/1.1 200 ", 200},
        {"HTTP/1.1 200", 200}, /* common, though RFC 9112 4 wants a space */
        {"HTTP/1.1 099 x", 0},
        {"HTTP/1.1 600 x", 0},
        {"HTTP/1.1 20 x", 0},
        {"HTTP/1.1 2000 x", 0},
        {"HTTP/1.1 2x0 x", 0},
        {"HTTP/1.1  200 OK", 0},
        {"HTTP/1.1", 0},
        {"HTTP/2 200 OK", 0},
        {"HTTP/2.0 200 OK", 0},
        {"HTTP/1.2 200 OK", 0},
        {"ICY 200 OK", 0},
        {"RTSP/1.0 200 OK", 0},
        {" HTTP/1.1 200 OK", 0},
        {"HTTP/1.1 200 O\rK", 0},
        {"HTTP/1.1 200 O\x01K", 0},
        {"", 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char bytes[100];
        struct text_out out;
        text_out_init(&out, bytes, sizeof(bytes));
        text_out_printf(&out, "%s\r\nContent-Length: 0\r\n\r\n", rows[i].line);
        answer(text_out_text(&out));
        cr_expect_eq(fed.st, rows[i].status ? ST_OK : ST_INVALID, "%s", rows[i].line);
        if (rows[i].status)
            cr_expect_eq(fed.head.status, rows[i].status, "%s", rows[i].line);
        fed_free(&fed);
    }
}

Test(answers, refused)
{
    static const char *const heads[] = {
        "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n",
        "Content-Length: 1\r\nContent-Length: 1\r\n",
        "Content-Length: 1, 1\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "A : b\r\n",
        "A: b\r\n c\r\n",
        "A: b\n",
        "A: b\rc\r\n",
        ": b\r\n",
    };

    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        char bytes[200];
        struct text_out out;
        text_out_init(&out, bytes, sizeof(bytes));
        text_out_printf(&out, "HTTP/1.1 200 OK\r\n%s\r\n", heads[i]);
        answer(text_out_text(&out));
        cr_expect_eq(fed.st, ST_INVALID, "%s", heads[i]);
        cr_expect_eq(fed.parser.fault, HTTP_FAULT_MALFORMED, "%s", heads[i]);
        fed_free(&fed);
    }
    answer(TEXT("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"));
    cr_assert_eq(fed.parser.fault, HTTP_FAULT_MALFORMED);
    fed_free(&fed);
}

Test(answers, keeping_alive)
{
    answer(TEXT("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"));
    cr_assert(!fed.head.keeps_alive);
    fed_free(&fed);
    answer(TEXT("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"));
    cr_assert(!fed.head.keeps_alive);
    fed_free(&fed);
    answer(TEXT("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n"));
    cr_assert(fed.head.keeps_alive);
    fed_free(&fed);
}

Test(answers, with_a_long_head)
{
    struct feed_options options = {.side = HTTP_ANSWERS, .limits = {1, 40}};

    feed_all_ways(&fed, &options, TEXT("HTTP/1.1 200 OK\r\nA: 123456789012345678901234\r\n\r\n"));
    cr_assert_eq(fed.parser.fault, HTTP_FAULT_HEAD_TOO_LARGE);
    fed_free(&fed);
}
