/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include <string.h>

#include "net/resolve.h"

static const char *resolved(const char *host_port)
{
    static char buf[ADDRESS_TEXT_MAX];
    struct text_out out;
    struct address address;

    text_out_init(&out, buf, sizeof(buf));
    if (resolve_host_port(text_of(host_port), &address) == ST_OK)
        address_print(&address, &out);
    return buf;
}

Test(resolve, addresses_need_no_resolver)
{
    cr_assert_str_eq(resolved("127.0.0.1:80"), "127.0.0.1:80");
    cr_assert_str_eq(resolved("[::1]:80"), "[::1]:80");
    cr_assert_str_eq(resolved("unix:/x"), "unix:/x");
}

Test(resolve, localhost)
{
    cr_assert_str_eq(resolved("localhost:9001"), "127.0.0.1:9001");
}

Test(resolve, refuses)
{
    static const char *const bad[] = {
        "",       "localhost", "localhost:",    ":80", "localhost:65536", "localhost:x",
        "::1:80", "[::1",      "[localhost]:80"};
    struct address address;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        cr_assert_eq(resolve_host_port(text_of(bad[i]), &address), ST_INVALID, "%s", bad[i]);
    char long_name[300];

    memset(long_name, 'a', sizeof(long_name));
    memcpy(long_name + 280, ":80", 3);
    cr_assert_eq(resolve_host_port((struct text){long_name, 283}, &address), ST_INVALID);
}

/* --- without waiting --- */

static int done_calls;
static enum status done_st;

static void on_done(struct op *op, enum status st)
{
    UNUSED(op);
    done_calls++;
    done_st = st;
}

static struct loop *loop;

static void begin(void)
{
    cr_assert_eq(loop_new(&loop), ST_OK);
}

static void finish(void)
{
    loop_free(&loop);
}

TestSuite(resolve_start, .init = begin, .fini = finish, .timeout = 30);

Test(resolve_start, at_once)
{
    struct address address;
    struct op op = {.done = on_done};

    cr_assert_eq(resolve_start(loop, TEXT("127.0.0.1:80"), &address, &op), ST_OK);
    cr_assert_eq(resolve_start(loop, TEXT("localhost"), &address, &op), ST_INVALID);
    cr_assert(!op_is_pending(&op));
}

Test(resolve_start, later)
{
    struct address address = {0};
    struct op op = {.done = on_done};
    char buf[ADDRESS_TEXT_MAX];
    struct text_out out;

    cr_assert_eq(resolve_start(loop, TEXT("localhost:80"), &address, &op), ST_PENDING);
    cr_assert_eq(done_calls, 0);
    for (int turns = 0; !done_calls && turns < 500; turns++)
        loop_run_once(loop, 20);
    cr_assert_eq(done_calls, 1);
    cr_assert_eq(done_st, ST_OK);
    text_out_init(&out, buf, sizeof(buf));
    address_print(&address, &out);
    cr_assert_str_eq(buf, "127.0.0.1:80");
}

Test(resolve_start, a_name_that_is_not_known)
{
    struct address address;
    struct op op = {.done = on_done};

    cr_assert_eq(resolve_start(loop, TEXT("no-such-host.invalid:1"), &address, &op), ST_PENDING);
    for (int turns = 0; !done_calls && turns < 1000; turns++)
        loop_run_once(loop, 20);
    cr_assert_eq(done_st, ST_UNAVAILABLE);
}

Test(resolve_start, cancelled)
{
    struct address address;
    struct op op = {.done = on_done};

    cr_assert_eq(resolve_start(loop, TEXT("localhost:80"), &address, &op), ST_PENDING);
    op_cancel(&op);
    for (int turns = 0; turns < 20; turns++)
        loop_run_once(loop, 5);
    cr_assert_eq(done_calls, 0);
}
