/* SPDX-License-Identifier: Apache-2.0 */
/* test_parser.c - requests: what is parsed, and what is refused with which status. */
#include <criterion/criterion.h>
#include <string.h>

#include "unit/http/feed.h"

static struct fed fed;

static void request(struct text bytes)
{
    feed_request(&fed, bytes);
}

Test(parser, a_plain_request)
{
    request(TEXT("POST /v1/images?a=1&b=? HTTP/1.1\r\nHost: example.com:80\r\nX-Empty:\r\n"
                 "Content-Length: 5\r\nX-Blank:   \r\nx-b:\t v w \t\r\n\r\nhelloGET"));
    cr_assert_eq(fed.st, ST_OK);
    cr_assert(fed.parser.is_complete);
    cr_assert_eq(fed.head.method, METHOD_POST);
    feed_assert_text(fed.head.method_text, "POST");
    feed_assert_text(fed.head.target, "/v1/images?a=1&b=?");
    feed_assert_text(fed.head.path, "/v1/images");
    feed_assert_text(fed.head.query, "a=1&b=?");
    cr_assert_eq(fed.head.minor_version, 1);
    cr_assert_eq(fed.head.content_length, 5);
    cr_assert(fed.head.has_body && fed.head.keeps_alive && !fed.head.is_chunked);
    cr_assert_eq(fed.head.fields_len, 5);
    feed_assert_text(fed.head.fields[0].name, "Host");
    feed_assert_text(fed.head.fields[0].value, "example.com:80");
    feed_assert_text(fed.head.fields[1].value, "");
    cr_assert(fed.head.fields[1].value.ptr);
    feed_assert_text(fed.head.fields[3].value, "");
    feed_assert_text(fed.head.fields[4].value, "v w");
    feed_assert_text((struct text){fed.body, fed.body_len}, "hello");
    cr_assert_eq(fed.consumed, fed.head.head_bytes + 5);
    fed_free(&fed);
}

Test(parser, no_query_and_an_empty_one)
{
    request(TEXT("GET /a HTTP/1.1\r\n" HOST "\r\n"));
    cr_assert(!fed.head.query.ptr);
    cr_assert(fed.parser.is_complete && !fed.head.has_body);
    cr_assert_eq(fed.head.content_length, -1);
    fed_free(&fed);
    request(TEXT("GET /a? HTTP/1.1\r\n" HOST "\r\n"));
    cr_assert(fed.head.query.ptr);
    cr_assert_eq(fed.head.query.len, 0);
    fed_free(&fed);
}

Test(parser, methods)
{
    static const struct {
        const char *name;
        enum http_method method;
    } methods[] = {
        {"GET", METHOD_GET},     {"HEAD", METHOD_HEAD},      {"POST", METHOD_POST},
        {"PUT", METHOD_PUT},     {"DELETE", METHOD_DELETE},  {"OPTIONS", METHOD_OPTIONS},
        {"PATCH", METHOD_PATCH}, {"PROPFIND", METHOD_OTHER}, {"M-SEARCH", METHOD_OTHER},
    };

    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        char bytes[100];
        struct text_out out;
        text_out_init(&out, bytes, sizeof(bytes));
        text_out_printf(&out, "%s / HTTP/1.1\r\n" HOST "\r\n", methods[i].name);
        request(text_out_text(&out));
        cr_assert_eq(fed.st, ST_OK, "%s", methods[i].name);
        cr_assert_eq(fed.head.method, methods[i].method);
        fed_free(&fed);
    }
}

Test(parser, methods_refused)
{
    static const struct refusal refusals[] = {
        R("CONNECT", "CONNECT h:80 HTTP/1.1\r\n" HOST "\r\n", NOT_IMPLEMENTED),
        R("TRACE", "TRACE / HTTP/1.1\r\n" HOST "\r\n", NOT_IMPLEMENTED),
        R("unknown", "BREW / HTTP/1.1\r\n" HOST "\r\n", NOT_IMPLEMENTED),
        R("longer than a known one", "GETS / HTTP/1.1\r\n" HOST "\r\n", NOT_IMPLEMENTED),
        R("lower case", "get / HTTP/1.1\r\n" HOST "\r\n", NOT_IMPLEMENTED),
        R("of RTSP", "DESCRIBE / HTTP/1.1\r\n" HOST "\r\n", NOT_IMPLEMENTED),
        R("of HTTP/2", "PRI / HTTP/1.1\r\n" HOST "\r\n", NOT_IMPLEMENTED),
        R("of ICE", "SOURCE / HTTP/1.2\r\n" HOST "\r\n", VERSION),
        R("too long, not whole", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", NOT_IMPLEMENTED),
        R("empty", " / HTTP/1.1\r\n" HOST "\r\n", MALFORMED),
        R("no token", "G@T / HTTP/1.1\r\n" HOST "\r\n", MALFORMED),
        R("TLS", "\x16\x03\x01\x02", MALFORMED),
        R("tab behind it", "GET\t/ HTTP/1.1\r\n" HOST "\r\n", MALFORMED),
        R("NUL", "\0GET / HTTP/1.1\r\n", MALFORMED),
    };

    REFUSE_ALL(refusals);
}

Test(parser, versions_refused)
{
    static const struct refusal refusals[] = {
        R("0.9", "GET /\r\n", VERSION),
        R("0.9 in words", "GET / HTTP/0.9\r\n\r\n", VERSION),
        R("1.2", "GET / HTTP/1.2\r\n" HOST "\r\n", VERSION),
        R("2.0", "GET / HTTP/2.0\r\n" HOST "\r\n", VERSION),
        R("the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", VERSION),
        R("3", "GET / HTTP/3\r\n" HOST "\r\n", MALFORMED),
        R("two digits", "GET / HTTP/1.10\r\n" HOST "\r\n", MALFORMED),
        R("lower case", "GET / http/1.1\r\n" HOST "\r\n", MALFORMED),
        R("another protocol", "GET / RTSP/1.0\r\n" HOST "\r\n", MALFORMED),
        R("nothing but a space", "GET / \r\n" HOST "\r\n", MALFORMED),
        R("space behind it", "GET / HTTP/1.1 \r\n" HOST "\r\n", MALFORMED),
        R("space in it", "GET / HTTP/ 1.1\r\n" HOST "\r\n", MALFORMED),
    };

    REFUSE_ALL(refusals);
}

Test(parser, targets)
{
    static const struct {
        const char *target, *path, *query;
    } targets[] = {
        {"/", "/", NULL},
        {"//x/y", "//x/y", NULL},
        {"/a%20b;c=d/e", "/a%20b;c=d/e", NULL},
        {"http://h", "/", NULL},
        {"http://h/", "/", NULL},
        {"HTTP://h:8080/a/b?c", "/a/b", "c"},
        {"https://[::1]:8/a", "/a", NULL},
        {"http://h?q=/", "/", "q=/"},
    };

    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        char bytes[100];
        struct text_out out;
        text_out_init(&out, bytes, sizeof(bytes));
        text_out_printf(&out, "GET %s HTTP/1.1\r\n" HOST "\r\n", targets[i].target);
        request(text_out_text(&out));
        cr_assert_eq(fed.st, ST_OK, "%s", targets[i].target);
        feed_assert_text(fed.head.path, targets[i].path);
        feed_assert_text(fed.head.query, targets[i].query ? targets[i].query : "");
        cr_assert_eq(fed.head.query.ptr != NULL, targets[i].query != NULL);
        fed_free(&fed);
    }
    request(TEXT("OPTIONS * HTTP/1.1\r\n" HOST "\r\n"));
    cr_assert_eq(fed.st, ST_OK);
    feed_assert_text(fed.head.path, "*");
    fed_free(&fed);
}

Test(parser, targets_refused)
{
    static const struct refusal refusals[] = {
        R("asterisk for GET", "GET * HTTP/1.1\r\n" HOST "\r\n", MALFORMED),
        R("asterisk and more", "OPTIONS *a HTTP/1.1\r\n" HOST "\r\n", MALFORMED),
        R("authority", "GET h:80 HTTP/1.1\r\n" HOST "\r\n", MALFORMED),
        R("relative", "GET a HTTP/1.1\r\n" HOST "\r\n", MALFORMED),
        R("only a query", "GET ?a HTTP/1.1\r\n" HOST "\r\n", MALFORMED),
        R("fragment", "GET /a#b HTTP/1.1\r\n" HOST "\r\n", MALFORMED),
        R("user information", "GET http://u@h/ HTTP/1.1\r\n" HOST "\r\n", MALFORMED),
        R("no authority", "GET http:///a HTTP/1.1\r\n" HOST "\r\n", MALFORMED),
        R("other scheme", "GET ftp://h/ HTTP/1.1\r\n" HOST "\r\n", MALFORMED),
        R("absolute without Host", "GET http://h/ HTTP/1.1\r\n\r\n", MALFORMED),
        R("two spaces before", "GET  / HTTP/1.1\r\n" HOST "\r\n", MALFORMED),
        R("two spaces behind", "GET /  HTTP/1.1\r\n" HOST "\r\n", MALFORMED),
        R("tab", "GET /\ta HTTP/1.1\r\n" HOST "\r\n", MALFORMED),
        R("NUL", "GET /\0 HTTP/1.1\r\n" HOST "\r\n", MALFORMED),
        R("CR", "GET /\ra HTTP/1.1\r\n" HOST "\r\n", MALFORMED),
        R("not ASCII", "GET /\xc3\xa4 HTTP/1.1\r\n" HOST "\r\n", MALFORMED),
        R("DEL", "GET /\x7f HTTP/1.1\r\n" HOST "\r\n", MALFORMED),
    };

    REFUSE_ALL(refusals);
}

Test(parser, fields_refused)
{
    static const struct refusal refusals[] = {
        R("folded", "GET / HTTP/1.1\r\n" HOST "A: b\r\n c\r\n\r\n", MALFORMED),
        R("folded by a tab", "GET / HTTP/1.1\r\n" HOST "A: b\r\n\tc\r\n\r\n", MALFORMED),
        R("folded at the start", "GET / HTTP/1.1\r\n A: b\r\n" HOST "\r\n", MALFORMED),
        R("bare LF behind the start line", "GET / HTTP/1.1\n" HOST "\r\n", MALFORMED),
        R("bare LF behind a field", "GET / HTTP/1.1\r\nHost: h\n\r\n", MALFORMED),
        R("bare LF at the end", "GET / HTTP/1.1\r\n" HOST "\n", MALFORMED),
        R("bare LF in a value", "GET / HTTP/1.1\r\n" HOST "A: b\nC: d\r\n\r\n", MALFORMED),
        R("bare LF before", "\nGET / HTTP/1.1\r\n" HOST "\r\n", MALFORMED),
        R("bare CR before", "\rGET / HTTP/1.1\r\n" HOST "\r\n", MALFORMED),
        R("bare CR in a value", "GET / HTTP/1.1\r\n" HOST "A: b\rC: d\r\n\r\n", MALFORMED),
        R("bare CR before the value", "GET / HTTP/1.1\r\n" HOST "A:\rb\r\n\r\n", MALFORMED),
        R("bare CR in a name", "GET / HTTP/1.1\r\n" HOST "A\rb: c\r\n\r\n", MALFORMED),
        R("two CR behind a value", "GET / HTTP/1.1\r\n" HOST "A: b\r\r\n\r\n", MALFORMED),
        R("two CR at the end", "GET / HTTP/1.1\r\n" HOST "\r\r\n", MALFORMED),
        R("CR behind Connection", "GET / HTTP/1.1\r\n" HOST "Connection: close\r\r\n\r\n",
          MALFORMED),
        R("CR in a length", "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r2\r\n\r\n", MALFORMED),
        R("space before the colon", "GET / HTTP/1.1\r\n" HOST "A : b\r\n\r\n", MALFORMED),
        R("tab before the colon", "GET / HTTP/1.1\r\n" HOST "A\t: b\r\n\r\n", MALFORMED),
        R("space before Host's colon", "GET / HTTP/1.1\r\nHost : h\r\n\r\n", MALFORMED),
        R("no colon", "GET / HTTP/1.1\r\n" HOST "A\r\n\r\n", MALFORMED),
        R("no name", "GET / HTTP/1.1\r\n" HOST ": a\r\n\r\n", MALFORMED),
        R("space in the name", "GET / HTTP/1.1\r\n" HOST "A b: c\r\n\r\n", MALFORMED),
        R("no token", "GET / HTTP/1.1\r\n" HOST "A(b): c\r\n\r\n", MALFORMED),
        R("not ASCII in the name", "GET / HTTP/1.1\r\n" HOST "\xc3\xa4: c\r\n\r\n", MALFORMED),
        R("NUL in the name", "GET / HTTP/1.1\r\n" HOST "A\0: c\r\n\r\n", MALFORMED),
        R("NUL in a value", "GET / HTTP/1.1\r\n" HOST "A: b\0c\r\n\r\n", MALFORMED),
        R("control in a value", "GET / HTTP/1.1\r\n" HOST "A: b\x01\r\n\r\n", MALFORMED),
        R("DEL in a value", "GET / HTTP/1.1\r\n" HOST "A: b\x7f\r\n\r\n", MALFORMED),
        R("NUL in Connection", "GET / HTTP/1.1\r\n" HOST "Connection: a\0\r\n\r\n", MALFORMED),
    };

    REFUSE_ALL(refusals);
}

Test(parser, fields_that_are_unusual_but_right)
{
    request(TEXT("GET / HTTP/1.1\r\n" HOST "!#$%&'*+-.^_`|~9: \xc3\xa4 \"\\\" \t;\r\nA:b\r\n\r\n"));
    cr_assert_eq(fed.st, ST_OK);
    feed_assert_text(fed.head.fields[1].name, "!#$%&'*+-.^_`|~9");
    feed_assert_text(fed.head.fields[1].value, "\xc3\xa4 \"\\\" \t;");
    feed_assert_text(fed.head.fields[2].value, "b");
    fed_free(&fed);
}

Test(parser, host)
{
    static const struct refusal refusals[] = {
        R("none", "GET / HTTP/1.1\r\nA: b\r\n\r\n", MALFORMED),
        R("no field at all", "GET / HTTP/1.1\r\n\r\n", MALFORMED),
        R("two", "GET / HTTP/1.1\r\n" HOST HOST "\r\n", MALFORMED),
        R("two in HTTP/1.0", "GET / HTTP/1.0\r\n" HOST HOST "\r\n", MALFORMED),
        R("a list", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", MALFORMED),
        R("a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", MALFORMED),
        R("a user", "GET / HTTP/1.1\r\nHost: u@b\r\n\r\n", MALFORMED),
        R("two words", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", MALFORMED),
    };

    REFUSE_ALL(refusals);
    request(TEXT("GET / HTTP/1.0\r\n\r\n"));
    cr_assert_eq(fed.st, ST_OK);
    cr_assert_eq(fed.head.minor_version, 0);
    fed_free(&fed);
    request(TEXT("GET / HTTP/1.1\r\nhost:\r\n\r\n"));
    cr_assert_eq(fed.st, ST_OK);
    fed_free(&fed);
    request(TEXT("GET / HTTP/1.1\r\nHOST: [2001:db8::1]:80\r\n\r\n"));
    cr_assert_eq(fed.st, ST_OK);
    fed_free(&fed);
}

Test(parser, a_long_target)
{
    struct feed_options options = {.limits = {10, 1000}};

    feed_all_ways(&fed, &options, TEXT("GET /123456789 HTTP/1.1\r\n" HOST "\r\n"));
    cr_assert_eq(fed.st, ST_OK);
    fed_free(&fed);
    feed_all_ways(&fed, &options, TEXT("GET /1234567890 HTTP/1.1\r\n" HOST "\r\n"));
    cr_assert_eq(fed.parser.fault, HTTP_FAULT_TARGET_TOO_LONG);
    fed_free(&fed);
    feed_all_ways(&fed, &options, TEXT("GET /1234567890")); /* the line is not whole */
    cr_assert_eq(fed.parser.fault, HTTP_FAULT_TARGET_TOO_LONG);
    fed_free(&fed);
    feed_all_ways(&fed, &options, TEXT("BREW /1234567890\xff HTTP/7.1\r\n"));
    cr_assert_eq(fed.parser.fault, HTTP_FAULT_TARGET_TOO_LONG);
    fed_free(&fed);
}

Test(parser, a_long_head)
{
    struct text head = TEXT("GET /12 HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n");
    struct feed_options fits = {.limits = {10, head.len}};
    struct feed_options short_of_one = {.limits = {10, head.len - 1}};

    feed_all_ways(&fed, &fits, head);
    cr_assert_eq(fed.st, ST_OK);
    fed_free(&fed);
    feed_all_ways(&fed, &short_of_one, head);
    cr_assert_eq(fed.parser.fault, HTTP_FAULT_HEAD_TOO_LARGE);
    fed_free(&fed);
    /* Not whole: pending until the limit is passed. */
    feed_all_ways(&fed, &short_of_one, (struct text){head.ptr, head.len - 1});
    cr_assert_eq(fed.st, ST_PENDING);
    fed_free(&fed);
}

static struct text many_fields(char *buf, size_t size, int fields)
{
    struct text_out out;

    text_out_init(&out, buf, size);
    text_out_add(&out, TEXT("GET / HTTP/1.1\r\n" HOST));
    for (int i = 1; i < fields; i++)
        text_out_printf(&out, "A%d: b\r\n", i);
    text_out_add(&out, TEXT("\r\n"));
    return text_out_text(&out);
}

Test(parser, many_fields)
{
    char buf[2000];

    request(many_fields(buf, sizeof(buf), HEAD_FIELDS_MAX));
    cr_assert_eq(fed.st, ST_OK);
    cr_assert_eq(fed.head.fields_len, HEAD_FIELDS_MAX);
    feed_assert_text(fed.head.fields[HEAD_FIELDS_MAX - 1].name, "A99");
    fed_free(&fed);
    request(many_fields(buf, sizeof(buf), HEAD_FIELDS_MAX + 1));
    cr_assert_eq(fed.parser.fault, HTTP_FAULT_HEAD_TOO_LARGE);
    fed_free(&fed);
}

Test(parser, many_connection_options)
{
    char buf[2000];
    struct text_out out;

    for (int options = 100; options <= 101; options++) {
        text_out_init(&out, buf, sizeof(buf));
        text_out_add(&out, TEXT("GET / HTTP/1.1\r\n" HOST "Connection: "));
        for (int i = 0; i < options; i++)
            text_out_add(&out, TEXT("x,"));
        text_out_add(&out, TEXT("\r\n\r\n"));
        request(text_out_text(&out));
        cr_assert_eq(fed.parser.fault, options > 100 ? HTTP_FAULT_HEAD_TOO_LARGE : HTTP_FAULT_NONE);
        fed_free(&fed);
    }
}

Test(parser, empty_lines_before)
{
    request(TEXT("\r\n\r\nGET /a HTTP/1.1\r\n" HOST "\r\n"));
    cr_assert_eq(fed.st, ST_OK);
    feed_assert_text(fed.head.path, "/a");
    cr_assert_eq(fed.head.head_bytes + 4, fed.consumed);
    fed_free(&fed);
    request(TEXT("\r\n\r\n"));
    cr_assert_eq(fed.st, ST_PENDING);
    cr_assert_eq(http_parser_end(&fed.parser), ST_CLOSED);
    fed_free(&fed);
}

Test(parser, empty_lines_are_bounded)
{
    struct feed_options options = {.limits = {10, 64}};
    char bytes[66];

    for (size_t i = 0; i < sizeof(bytes); i += 2)
        memcpy(bytes + i, "\r\n", 2);
    feed_all_ways(&fed, &options, (struct text){bytes, sizeof(bytes)});
    cr_assert_eq(fed.parser.fault, HTTP_FAULT_HEAD_TOO_LARGE);
    fed_free(&fed);
}

Test(parser, keeping_alive)
{
    static const struct {
        const char *version, *connection;
        bool keeps_alive;
    } rows[] = {
        {"1.1", "A: b", true},
        {"1.1", "Connection: close", false},
        {"1.1", "Connection: CLOSE", false},
        {"1.1", "Connection: foo, close ,bar", false},
        {"1.1", "Connection: foo\r\nConnection: close", false},
        {"1.1", "Connection: closed", true},
        {"1.1", "Connection: keep-alive, close", false},
        {"1.1", "Connection: , ,", true},
        {"1.0", "A: b", false},
        {"1.0", "Connection: Keep-Alive", true},
        {"1.0", "Connection: foo,keep-alive", true},
        {"1.0", "Connection: keep-alive, close", false},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char bytes[200];
        struct text_out out;
        text_out_init(&out, bytes, sizeof(bytes));
        text_out_printf(&out, "GET / HTTP/%s\r\n" HOST "%s\r\n\r\n", rows[i].version,
                        rows[i].connection);
        request(text_out_text(&out));
        cr_assert_eq(fed.st, ST_OK);
        cr_expect_eq(fed.head.keeps_alive, rows[i].keeps_alive, "%s %s", rows[i].version,
                     rows[i].connection);
        fed_free(&fed);
    }
}

Test(parser, expecting_continue)
{
    request(TEXT(POST(LENGTH "Expect: 100-Continue\r\n") "abc"));
    cr_assert(fed.head.expects_continue);
    fed_free(&fed);
    request(TEXT(POST(LENGTH "Expect: 100-continued\r\n") "abc"));
    cr_assert(!fed.head.expects_continue);
    fed_free(&fed);
    request(TEXT(POST("Expect: 100-continue\r\n")));
    cr_assert(!fed.head.expects_continue); /* nothing to come */
    fed_free(&fed);
    request(TEXT("POST / HTTP/1.0\r\n" HOST LENGTH "Expect: 100-continue\r\n\r\nabc"));
    cr_assert(!fed.head.expects_continue); /* RFC 9110 10.1.1 */
    fed_free(&fed);
}

Test(parser, upgrades_swallow_nothing)
{
    static const char upgrade[] = "Connection: upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n";
    char bytes[300];
    struct text_out out;

    request(TEXT("GET / HTTP/1.1\r\n" HOST "Connection: upgrade\r\nUpgrade: websocket\r\n\r\nGET"));
    cr_assert_eq(fed.st, ST_OK);
    cr_assert(fed.head.wants_upgrade && fed.head.keeps_alive && fed.parser.is_complete);
    cr_assert_eq(fed.consumed, fed.head.head_bytes);
    fed_free(&fed);

    text_out_init(&out, bytes, sizeof(bytes));
    text_out_printf(&out, "POST / HTTP/1.1\r\n" HOST CHUNKED "%s\r\n3\r\nabc\r\n0\r\n\r\nGET",
                    upgrade);
    request(text_out_text(&out));
    cr_assert_eq(fed.st, ST_OK);
    cr_assert(fed.head.wants_upgrade && fed.parser.is_complete);
    feed_assert_text((struct text){fed.body, fed.body_len}, "abc");
    cr_assert_eq(fed.consumed, out.len - 3);
    fed_free(&fed);

    text_out_init(&out, bytes, sizeof(bytes));
    text_out_printf(&out, "POST / HTTP/1.1\r\n" HOST LENGTH "%s\r\nabcGET", upgrade);
    request(text_out_text(&out));
    cr_assert(fed.parser.is_complete);
    feed_assert_text((struct text){fed.body, fed.body_len}, "abc");
    fed_free(&fed);

    request(TEXT("GET / HTTP/1.1\r\n" HOST "Upgrade: websocket\r\n\r\n"));
    cr_assert(!fed.head.wants_upgrade); /* not named by Connection */
    fed_free(&fed);
}

Test(parser, pipelined_requests)
{
    static const char bytes[] = "POST /1 HTTP/1.1\r\n" HOST CHUNKED "\r\n2\r\nab\r\n0\r\n\r\n"
                                "\r\nGET /2 HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"
                                "POST /3 HTTP/1.1\r\n" HOST LENGTH "\r\nxyz";
    struct http_limits limits = {100, 1000};
    struct http_parser p;
    size_t at = 0;

    http_parser_init(&p, HTTP_REQUESTS, &limits);
    for (char number = '1'; number <= '3'; number++) {
        size_t taken = 0;
        http_parser_next(&p, &fed.head);
        cr_assert_eq(http_parser_head(&p, bytes + at, sizeof(bytes) - 1 - at, &taken), ST_OK);
        at += taken;
        cr_assert_eq(fed.head.path.ptr[1], number);
        while (!p.is_complete) {
            struct text piece;
            cr_assert_eq(http_parser_body(&p, bytes + at, sizeof(bytes) - 1 - at, &taken, &piece),
                         ST_OK);
            at += taken;
        }
        cr_assert_eq(http_parser_end(&p), ST_OK);
    }
    cr_assert_eq(at, sizeof(bytes) - 1);
}

Test(parser, the_end_of_the_connection)
{
    request(TEXT(""));
    cr_assert_eq(http_parser_end(&fed.parser), ST_CLOSED);
    fed_free(&fed);
    request(TEXT("G"));
    cr_assert_eq(http_parser_end(&fed.parser), ST_INVALID);
    fed_free(&fed);
    request(TEXT(POST(LENGTH) "ab"));
    cr_assert_eq(http_parser_end(&fed.parser), ST_INVALID);
    fed_free(&fed);
    request(TEXT(POST(CHUNKED) "2\r\nab\r\n0\r\n"));
    cr_assert_eq(http_parser_end(&fed.parser), ST_INVALID);
    fed_free(&fed);
    request(TEXT(POST(LENGTH) "abc"));
    cr_assert_eq(http_parser_end(&fed.parser), ST_OK);
    fed_free(&fed);
}

Test(parser, a_fault_stays)
{
    size_t taken = 0;

    request(TEXT("\x01"));
    cr_assert_eq(http_parser_head(&fed.parser, "GET", 3, &taken), ST_INVALID);
    cr_assert_eq(fed.parser.fault, HTTP_FAULT_MALFORMED);
    cr_assert_eq(http_parser_end(&fed.parser), ST_INVALID);
    fed_free(&fed);
    request(TEXT(POST(CHUNKED) "x"));
    struct text piece;
    cr_assert_eq(http_parser_body(&fed.parser, "0\r\n\r\n", 5, &taken, &piece), ST_INVALID);
    fed_free(&fed);
}
