/* SPDX-License-Identifier: Apache-2.0 */
/* test_writer.c - heads and chunk framing as bytes. */
#include <criterion/criterion.h>
#include <string.h>

#include "http/writer.h"

static char buf[256];
static struct text_out out;

static void begin(void)
{
    text_out_init(&out, buf, sizeof(buf));
}

TestSuite(writer, .init = begin);

Test(writer, a_head)
{
    http_write_status(&out, 429);
    http_write_field(&out, TEXT("A"), TEXT("b c"));
    http_write_field(&out, TEXT("Empty"), TEXT_NONE);
    http_write_int_field(&out, TEXT("Content-Length"), 1234567890123);
    http_write_end(&out);
    cr_assert_str_eq(buf, "HTTP/1.1 429 Too Many Requests\r\nA: b c\r\nEmpty: \r\n"
                          "Content-Length: 1234567890123\r\n\r\n");
}

Test(writer, a_request)
{
    http_write_request(&out, TEXT("GET"), TEXT("/a?b"));
    cr_assert_str_eq(buf, "GET /a?b HTTP/1.1\r\n");
}

Test(writer, an_unknown_status)
{
    http_write_status(&out, 299);
    cr_assert_str_eq(buf, "HTTP/1.1 299 Unknown\r\n");
}

Test(writer, fields_that_would_split_the_head_are_dropped)
{
    http_write_field(&out, TEXT("A"), TEXT("b\r\nC: d"));
    http_write_field(&out, TEXT("A"), TEXT("b\nC: d"));
    http_write_field(&out, TEXT("A"), TEXT("b\rC"));
    http_write_field(&out, TEXT("A"), TEXT("b\0C"));
    http_write_field(&out, TEXT("A\r\nB"), TEXT("c"));
    http_write_field(&out, TEXT(""), TEXT("c"));
    cr_assert_eq(out.len, 0);
}

Test(writer, dates)
{
    http_write_date(&out, INT64_C(784111777) * 1000000 + 999999);
    cr_assert_str_eq(buf, "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
    begin();
    http_write_date(&out, INT64_C(784111777) * 1000000); /* from the cache */
    cr_assert_str_eq(buf, "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
    begin();
    http_write_date(&out, INT64_C(1709251199) * 1000000);
    cr_assert_str_eq(buf, "Date: Thu, 29 Feb 2024 23:59:59 GMT\r\n");
    begin();
    http_write_date(&out, INT64_C(1709251200) * 1000000);
    cr_assert_str_eq(buf, "Date: Fri, 01 Mar 2024 00:00:00 GMT\r\n");
}

Test(writer, the_first_second_is_no_empty_line)
{
    http_write_date(&out, 0);
    cr_assert_str_eq(buf, "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n");
}

Test(writer, chunks)
{
    http_write_chunk_begin(&out, 0x1f4);
    http_write_chunk_begin(&out, 1);
    http_write_chunk_begin(&out, 16);
    cr_assert_str_eq(buf, "1f4\r\n1\r\n10\r\n");
    begin();
    http_write_chunk_begin(&out, SIZE_MAX);
    cr_assert_str_eq(buf, "ffffffffffffffff\r\n");
    cr_assert_leq(out.len, HTTP_CHUNK_BEGIN_MAX);
}

Test(writer, what_does_not_fit_is_told)
{
    char tiny[8];

    text_out_init(&out, tiny, sizeof(tiny));
    http_write_status(&out, 200);
    cr_assert(out.is_full);
}
