/* SPDX-License-Identifier: Apache-2.0 */
/* test_body.c - bodies in memory and in a file. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "http/body.h"

#define LIMIT 100000
#define SPOOL 10000

static struct body body;
static char bytes[LIMIT + 1];

static void begin(void)
{
    body_init(&body, LIMIT, SPOOL, "/tmp");
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 7 + i / 251);
}

static void end(void)
{
    body_free(&body);
}

TestSuite(body, .init = begin, .fini = end);

static void append(size_t from, size_t len)
{
    cr_assert_eq(body_append(&body, (struct text){bytes + from, len}), ST_OK);
}

static void assert_holds(size_t len)
{
    struct text text;

    cr_assert_eq(body_text(&body, &text), ST_OK);
    cr_assert_eq(text.len, len);
    cr_assert(text.ptr);
    cr_assert(text_equal(text, (struct text){bytes, len}));
}

Test(body, empty)
{
    assert_holds(0);
    append(0, 0);
    assert_holds(0);
}

Test(body, in_memory_up_to_the_bound)
{
    for (size_t at = 0; at < SPOOL; at += 10)
        append(at, 10);
    cr_assert_eq(body.fd, -1);
    cr_assert_leq(body.memory_size, SPOOL);
    assert_holds(SPOOL);
}

Test(body, spooled_above_it)
{
    append(0, SPOOL);
    append(SPOOL, 1);
    cr_assert_geq(body.fd, 0);
    cr_assert(!body.memory);
    append(SPOOL + 1, LIMIT - SPOOL - 1);
    assert_holds(LIMIT);
    assert_holds(LIMIT); /* mapped once */
}

Test(body, spooled_at_once)
{
    append(0, LIMIT);
    cr_assert_geq(body.fd, 0);
    assert_holds(LIMIT);
}

Test(body, over_the_limit)
{
    cr_assert_eq(body_append(&body, (struct text){bytes, LIMIT + 1}), ST_LIMIT);
    append(0, LIMIT);
    cr_assert_eq(body_append(&body, (struct text){bytes, 1}), ST_LIMIT);
    assert_holds(LIMIT);
}

Test(body, a_limit_of_zero)
{
    body_free(&body);
    body_init(&body, 0, SPOOL, "/tmp");
    append(0, 0);
    cr_assert_eq(body_append(&body, TEXT("a")), ST_LIMIT);
    cr_assert_eq(body_expect(&body, 0), ST_OK);
    cr_assert_eq(body_expect(&body, 1), ST_LIMIT);
}

Test(body, expected)
{
    cr_assert_eq(body_expect(&body, LIMIT + 1), ST_LIMIT);
    cr_assert_eq(body_expect(&body, INT64_MAX), ST_LIMIT);
    cr_assert_eq(body_expect(&body, LIMIT), ST_OK);
    cr_assert(!body.memory); /* it will not stay there */
    cr_assert_eq(body_expect(&body, SPOOL), ST_OK);
    cr_assert_eq(body.memory_size, SPOOL);
    char *memory = body.memory;
    append(0, SPOOL);
    cr_assert_eq(body.memory, memory);
    assert_holds(SPOOL);
}

Test(body, a_folder_that_is_not_there)
{
    body_free(&body);
    body_init(&body, LIMIT, SPOOL, "/nonexistent/folder");
    append(0, SPOOL);
    cr_assert_eq(body_append(&body, TEXT("a")), ST_UNAVAILABLE);
    assert_holds(SPOOL); /* what was there stays */
}

Test(body, the_file_has_no_name)
{
    char dir[] = "/tmp/body-XXXXXX";

    cr_assert(mkdtemp(dir));
    body_free(&body);
    body_init(&body, LIMIT, 0, dir);
    append(0, 100);
    assert_holds(100);
    cr_assert_eq(rmdir(dir), 0); /* nothing is left in it */
}

Test(body, used_again)
{
    append(0, LIMIT);
    assert_holds(LIMIT);
    body_free(&body);
    cr_assert(body.fd == -1 && !body.mapped && body.len == 0);
    append(0, 5);
    assert_holds(5);
}
