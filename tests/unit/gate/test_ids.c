/* SPDX-License-Identifier: Apache-2.0 */
/* test_ids.c - ids that are passed on, made anew, or refused. */
#include <criterion/criterion.h>
#include <string.h>

#include "gate/ids.h"

static struct gate gate = {.random = 42};
static struct http_head head;

static void set_field(const char *name, struct text value)
{
    head_clear(&head);
    head_add(&head, text_of(name), value);
}

static const char *request_id(struct text sent)
{
    static char id[REQUEST_ID_MAX + 1];
    char made[REQUEST_ID_MADE_LEN + 1];
    struct text_out out;

    set_field("X-Request-Id", sent);
    text_out_init(&out, id, sizeof(id));
    text_out_add(&out, ids_request(&gate, &head, made));
    return id;
}

static const char *traceparent(const char *sent)
{
    static char trace[TRACEPARENT_LEN + 1];
    struct text_out out;

    set_field("traceparent", text_of(sent));
    text_out_init(&out, trace, sizeof(trace));
    if (ids_sent_trace(&head).ptr)
        text_out_add(&out, ids_sent_trace(&head));
    else
        ids_make_trace(&gate, &out);
    cr_assert_not(out.is_full);
    return trace;
}

Test(ids, a_good_request_id_is_kept)
{
    char longest[REQUEST_ID_MAX + 1];

    memset(longest, 'x', REQUEST_ID_MAX);
    longest[REQUEST_ID_MAX] = '\0';
    cr_assert_str_eq(request_id(TEXT("a-B_c.9")), "a-B_c.9");
    cr_assert_str_eq(request_id(text_of(longest)), longest);
}

Test(ids, others_get_a_new_one)
{
    static const struct text bad[] = {
        {"", 0}, {"a b", 3}, {"a\"b", 3}, {"a\0b", 3}, {"\xc3\xa9", 2}, {"{}", 2},
    };
    char too_long[REQUEST_ID_MAX + 2];
    char first[REQUEST_ID_MAX + 1];

    memset(too_long, 'x', sizeof(too_long) - 1);
    too_long[sizeof(too_long) - 1] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        cr_assert_eq(strlen(request_id(bad[i])), 32);
    strcpy(first, request_id(text_of(too_long)));
    cr_assert_eq(strlen(first), 32);
    cr_assert_str_neq(first, request_id(TEXT_NONE));
    cr_assert_eq(ids_request(&gate, NULL, first).len, 32);
}

Test(ids, a_good_traceparent_is_kept)
{
    static const char good[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    cr_assert_str_eq(traceparent(good), good);
}

Test(ids, others_get_a_new_trace)
{
    static const char *const bad[] = {
        "",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
        "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        const char *made = traceparent(bad[i]);

        cr_assert_str_neq(made, bad[i]);
        cr_assert_eq(strlen(made), TRACEPARENT_LEN);
        cr_assert_str_eq(traceparent(made), made, "a new one is a good one");
    }
}

static void forwarded(const char *sent, const char *expected)
{
    struct address address;
    char host[ADDRESS_TEXT_MAX];
    struct text_out out;

    cr_assert_eq(ids_forwarded_address(text_of(sent), &address), ST_OK, "%s", sent);
    text_out_init(&out, host, sizeof(host));
    address_print_host(&address, &out);
    cr_assert_str_eq(host, expected, "%s", sent);
}

Test(ids, forwarded_addresses)
{
    static const char *const bad[] = {
        "",     "unknown", "_hidden",     "1.2.3",         "1.2.3.4.5",
        "[::1", "::g",     "unix:/run/x", "1.2.3.4:99999", "1.2.3.4, 5.6.7.8",
    };
    struct address address;

    forwarded("192.0.2.1", "192.0.2.1");
    forwarded("192.0.2.1:4711", "192.0.2.1");
    forwarded("2001:db8::1", "2001:db8::1");
    forwarded("[2001:db8::1]", "2001:db8::1");
    forwarded("[2001:db8::1]:4711", "2001:db8::1");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        cr_assert_eq(ids_forwarded_address(text_of(bad[i]), &address), ST_INVALID, "%s", bad[i]);
}
