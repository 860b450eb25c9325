/* SPDX-License-Identifier: Apache-2.0 */
/* test_head.c - questions about fields, and which of them are passed on. */
#include <criterion/criterion.h>
#include <ctype.h>
#include <string.h>

#include "http/head.h"

static struct http_head head;

static void add_field(const char *name, const char *value)
{
    head_add(&head, text_of(name), text_of(value));
}

static void set_fields(const char *const (*fields)[2], int len)
{
    head_clear(&head);
    for (int i = 0; i < len; i++)
        add_field(fields[i][0], fields[i][1]);
}

/* With any other byte at any place it is another name. */
static void expect_no_other_letter(char *upper, size_t len, enum http_name id)
{
    for (size_t i = 0; i < len; i++) {
        char was = upper[i];

        for (int byte = 0; byte < 256; byte++) {
            upper[i] = (char)byte;
            bool is_same = toupper(byte) == was;
            cr_expect_eq(http_name_of((struct text){upper, len}) == id, is_same, "%d at %zu of %s",
                         byte, i, http_name_text(id).ptr);
        }
        upper[i] = was;
    }
}

Test(head, names_are_known)
{
    static const char *const others[] = {"", "x", "hosts", "hast", "x-forwarded-fox", "viA "};
    char upper[40];

    for (enum http_name id = NAME_OTHER + 1; id < HTTP_NAMES_LEN; id++) {
        struct text name = http_name_text(id);

        for (size_t i = 0; i < name.len; i++)
            upper[i] = (char)toupper((unsigned char)name.ptr[i]);
        cr_expect_eq(http_name_of(name), id, "%s", name.ptr);
        cr_expect_eq(http_name_of((struct text){upper, name.len}), id, "%s", name.ptr);
        expect_no_other_letter(upper, name.len, id);
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

Test(head, numbered_names_are_found_at_once)
{
    static const char *const fields[][2] = {{"X", "q"}, {"Host", "a"}, {"VIA", "b"}, {"via", "c"}};

    set_fields(fields, 4);
    cr_assert(head_has(&head, NAME_HOST) && !head_repeats(&head, NAME_HOST));
    cr_assert(head_has(&head, NAME_VIA) && head_repeats(&head, NAME_VIA));
    cr_assert(!head_has(&head, NAME_DATE) && !head_repeats(&head, NAME_DATE));
    cr_assert(text_equal(head_value(&head, NAME_HOST), TEXT("a")));
    cr_assert(text_equal(head_value(&head, NAME_VIA), TEXT("b")), "the first");
    cr_assert(!head_value(&head, NAME_DATE).ptr);
    head_clear(&head);
    cr_assert(!head_has(&head, NAME_HOST) && !head_value(&head, NAME_HOST).ptr);
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

    head_clear(&head);
    for (size_t i = 0; i < ARRAY_LEN(hops); i++)
        add_field(hops[i], "x");
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        add_field(others[i], "x");
    head.fields[0].value = TEXT("close, x-named,, HOST , content-length");
    add_field("connection", "X-Named-Too,absent");
    head_mark_hop_by_hop(&head);
    for (size_t i = 0; i < ARRAY_LEN(hops); i++)
        cr_expect(head.fields[i].is_hop_by_hop, "%s", hops[i]);
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        cr_expect(!head.fields[ARRAY_LEN(hops) + i].is_hop_by_hop, "%s", others[i]);
    cr_assert(head.fields[head.fields_len - 1].is_hop_by_hop);
}

Test(head, reasons)
{
    cr_assert_str_eq(http_reason(200), "OK");
    cr_assert_str_eq(http_reason(413), "Content Too Large");
    cr_assert_str_eq(http_reason(429), "Too Many Requests");
    cr_assert_str_eq(http_reason(505), "HTTP Version Not Supported");
    cr_assert_str_eq(http_reason(299), "Unknown");
    cr_assert_str_eq(http_reason(0), "Unknown");
    cr_assert(text_equal(http_status_line(200), TEXT("HTTP/1.1 200 OK\r\n")));
    cr_assert(!http_status_line(299).ptr);
}
