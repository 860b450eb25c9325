/* SPDX-License-Identifier: Apache-2.0 */
/* test_head.c - questions about fields, and which of them are passed on. */
#include <criterion/criterion.h>
#include <ctype.h>
#include <string.h>

#include "http/head.h"

static struct http_head head;

static struct http_field field_of(const char *name, const char *value)
{
    return (struct http_field){
        .name = text_of(name), .value = text_of(value), .id = http_name_of(text_of(name))};
}

static void set_fields(const char *const (*fields)[2], int len)
{
    head.fields_len = len;
    for (int i = 0; i < len; i++)
        head.fields[i] = field_of(fields[i][0], fields[i][1]);
}

Test(head, names_are_known)
{
    static const char *const others[] = {"", "x", "hosts", "hast", "x-forwarded-fox", "viA "};
    char upper[40];

    for (enum http_name id = NAME_OTHER + 1; id <= NAME_X_API_KEY; id++) {
        struct text name = http_name_text(id);

        for (size_t i = 0; i < name.len; i++)
            upper[i] = (char)toupper((unsigned char)name.ptr[i]);
        cr_expect_eq(http_name_of(name), id, "%s", name.ptr);
        cr_expect_eq(http_name_of((struct text){upper, name.len}), id, "%s", name.ptr);
    }
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        cr_expect_eq(http_name_of(text_of(others[i])), NAME_OTHER, "%s", others[i]);
}

Test(head, fields_are_found_without_case)
{
    static const char *const fields[][2] = {{"Accept", "a"}, {"ACCEPT", "b"}, {"X", ""}};

    set_fields(fields, 3);
    cr_assert(text_equal(head_field(&head, TEXT("accept")), TEXT("a")));
    cr_assert_eq(head_field_count(&head, TEXT("accept")), 2);
    cr_assert_eq(head_field_count(&head, TEXT("accep")), 0);
    cr_assert(head_field(&head, TEXT("x")).ptr);
    cr_assert(!head_field(&head, TEXT("y")).ptr);
}

Test(head, lists_span_lines)
{
    static const char *const fields[][2] = {
        {"Vary", "a , B,,c"}, {"X", "q"}, {"vary", "d\t"}, {"Vary", ""}};

    set_fields(fields, 4);
    cr_assert(head_list_has(&head, TEXT("Vary"), TEXT("A")));
    cr_assert(head_list_has(&head, TEXT("vary"), TEXT("b")));
    cr_assert(head_list_has(&head, TEXT("vary"), TEXT("d")));
    cr_assert(!head_list_has(&head, TEXT("vary"), TEXT("q")));
    cr_assert(!head_list_has(&head, TEXT("vary"), TEXT("a , B")));
    cr_assert(!head_list_has(&head, TEXT("none"), TEXT("a")));
}

Test(head, hop_by_hop_fields)
{
    static const char *const hops[] = {
        "Connection",
        "Keep-Alive",
        "Proxy-Connection",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
        "Proxy-Authenticate",
        "Proxy-Authorization",
        "keep-alive",
        "X-Named",
        "x-named-too",
        "Proxy-Authentication-Info",
    };
    static const char *const others[] = {
        "Host", "Content-Length", "Content-Type",  "Trailers", "Upgrade-Insecure-Requests",
        "TEA",  "X-Name",         "Authorization",
    };
    int len = 0;

    for (size_t i = 0; i < ARRAY_LEN(hops); i++)
        head.fields[len++] = field_of(hops[i], "x");
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        head.fields[len++] = field_of(others[i], "x");
    head.fields[0].value = TEXT("close, x-named,, HOST , content-length");
    head.fields[len++] = field_of("connection", "X-Named-Too,absent");
    head.fields_len = len;
    head_mark_hop_by_hop(&head);
    for (size_t i = 0; i < ARRAY_LEN(hops); i++)
        cr_expect(head.fields[i].is_hop_by_hop, "%s", hops[i]);
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        cr_expect(!head.fields[ARRAY_LEN(hops) + i].is_hop_by_hop, "%s", others[i]);
    cr_assert(head.fields[len - 1].is_hop_by_hop);
}

Test(head, reasons)
{
    cr_assert_str_eq(http_reason(200), "OK");
    cr_assert_str_eq(http_reason(413), "Content Too Large");
    cr_assert_str_eq(http_reason(429), "Too Many Requests");
    cr_assert_str_eq(http_reason(505), "HTTP Version Not Supported");
    cr_assert_str_eq(http_reason(299), "Unknown");
    cr_assert_str_eq(http_reason(0), "Unknown");
}
