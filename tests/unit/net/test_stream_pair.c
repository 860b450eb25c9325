/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include <string.h>

#include "net/stream.h"

static struct loop *loop;
static struct stream a;
static struct stream b;
static unsigned a_ready;
static unsigned b_ready;

static void on_ready(struct stream *s, unsigned what)
{
    if (s == &a)
        a_ready |= what;
    else
        b_ready |= what;
}

static void begin(void)
{
    cr_assert_eq(loop_new(&loop), ST_OK);
    cr_assert_eq(stream_pair(&a, &b, loop, 8), ST_OK);
    a.ready = on_ready;
    b.ready = on_ready;
}

static void finish(void)
{
    stream_close(&a);
    stream_close(&b);
    loop_free(&loop);
}

TestSuite(stream_pair, .init = begin, .fini = finish);

static enum status write_text(struct stream *s, const char *cstr, size_t *out_len)
{
    struct iovec iov = {(void *)cstr, strlen(cstr)};

    return stream_write(s, &iov, 1, out_len);
}

static enum status read_status(struct stream *s)
{
    char buf[4];
    size_t len;

    return stream_read(s, buf, sizeof(buf), &len);
}

Test(stream_pair, carries_bytes_in_pieces)
{
    struct iovec iov[] = {{"ab", 2}, {NULL, 0}, {"cd", 2}};
    char buf[8];
    size_t len = 0;

    cr_assert_eq(read_status(&b), ST_PENDING);
    cr_assert_eq(stream_write(&a, iov, 3, &len), ST_OK);
    cr_assert_eq(len, 4);
    cr_assert_eq(stream_read(&b, buf, 3, &len), ST_OK);
    cr_assert_eq(len, 3);
    cr_assert_eq(memcmp(buf, "abc", 3), 0);
    cr_assert_eq(stream_read(&b, buf, 8, &len), ST_OK);
    cr_assert_eq(len, 1);
    cr_assert_eq(buf[0], 'd');
    cr_assert_eq(read_status(&b), ST_PENDING);
}

Test(stream_pair, ready_comes_in_the_next_turn)
{
    size_t len;

    stream_want(&b, STREAM_READ);
    loop_run_once(loop, 0);
    cr_assert_eq(b_ready, 0);
    cr_assert_eq(write_text(&a, "x", &len), ST_OK);
    cr_assert_eq(b_ready, 0, "not inside the write");
    loop_run_once(loop, -1);
    cr_assert_eq(b_ready, STREAM_READ);
    b_ready = 0;
    loop_run_once(loop, -1);
    cr_assert_eq(b_ready, STREAM_READ, "again while there is something to read");
    cr_assert_eq(read_status(&b), ST_OK);
    b_ready = 0;
    loop_run_once(loop, 0);
    loop_run_once(loop, 0);
    cr_assert_eq(b_ready, 0);
}

Test(stream_pair, back_pressure)
{
    char buf[8];
    size_t len;

    cr_assert_eq(write_text(&a, "0123456789", &len), ST_OK);
    cr_assert_eq(len, 8);
    cr_assert_eq(write_text(&a, "x", &len), ST_PENDING);
    stream_want(&a, STREAM_WRITE);
    loop_run_once(loop, 0);
    cr_assert_eq(a_ready, 0);
    cr_assert_eq(stream_read(&b, buf, 1, &len), ST_OK);
    loop_run_once(loop, 0);
    cr_assert_eq(a_ready, STREAM_WRITE);
    cr_assert_eq(write_text(&a, "xy", &len), ST_OK);
    cr_assert_eq(len, 1);
}

Test(stream_pair, nothing_wanted_nothing_told)
{
    size_t len;

    stream_want(&b, STREAM_READ);
    cr_assert_eq(write_text(&a, "x", &len), ST_OK);
    stream_want(&b, 0);
    loop_run_once(loop, 0);
    cr_assert_eq(b_ready, 0);
    stream_want(&b, STREAM_READ | STREAM_WRITE);
    loop_run_once(loop, 0);
    cr_assert_eq(b_ready, STREAM_READ | STREAM_WRITE);
}

Test(stream_pair, fin_comes_after_the_bytes_and_one_way)
{
    size_t len;

    cr_assert_eq(write_text(&a, "x", &len), ST_OK);
    stream_shut_write(&a);
    cr_assert_eq(write_text(&a, "y", &len), ST_UNAVAILABLE);
    cr_assert_eq(read_status(&b), ST_OK);
    cr_assert_eq(read_status(&b), ST_CLOSED);
    cr_assert_eq(read_status(&b), ST_CLOSED);
    cr_assert_eq(write_text(&b, "z", &len), ST_OK, "the other way is open");
    cr_assert_eq(read_status(&a), ST_OK);
}

Test(stream_pair, close_is_a_fin)
{
    size_t len;

    stream_want(&b, STREAM_READ);
    cr_assert_eq(write_text(&a, "x", &len), ST_OK);
    stream_close(&a);
    stream_close(&a);
    cr_assert_not(stream_is_open(&a));
    loop_run_once(loop, 0);
    cr_assert_eq(b_ready, STREAM_READ);
    cr_assert_eq(read_status(&b), ST_OK);
    cr_assert_eq(read_status(&b), ST_CLOSED);
    cr_assert_eq(write_text(&b, "z", &len), ST_UNAVAILABLE);
}

Test(stream_pair, reset_is_seen)
{
    size_t len;

    stream_want(&b, STREAM_READ);
    cr_assert_eq(write_text(&a, "x", &len), ST_OK);
    stream_reset(&a);
    stream_reset(&a);
    loop_run_once(loop, 0);
    cr_assert_eq(b_ready, STREAM_READ);
    cr_assert_eq(read_status(&b), ST_OK, "what came before can be read");
    cr_assert_eq(read_status(&b), ST_UNAVAILABLE);
    cr_assert_eq(write_text(&b, "z", &len), ST_UNAVAILABLE);
}

Test(stream_pair, close_with_unread_bytes_is_a_reset)
{
    size_t len;

    cr_assert_eq(write_text(&b, "x", &len), ST_OK);
    stream_close(&a);
    cr_assert_eq(read_status(&b), ST_UNAVAILABLE);
}

static void close_itself(struct stream *s, unsigned what)
{
    a_ready |= what;
    stream_close(s);
}

Test(stream_pair, may_be_closed_inside_ready)
{
    size_t len;

    a.ready = close_itself;
    stream_want(&a, STREAM_READ | STREAM_WRITE);
    cr_assert_eq(write_text(&b, "x", &len), ST_OK);
    loop_run_once(loop, 0);
    cr_assert_eq(a_ready, STREAM_READ | STREAM_WRITE);
    a_ready = 0;
    loop_run_once(loop, 0);
    cr_assert_eq(a_ready, 0);
    cr_assert_eq(read_status(&b), ST_UNAVAILABLE);
}

Test(stream_pair, no_ready_after_close)
{
    size_t len;

    stream_want(&b, STREAM_READ);
    cr_assert_eq(write_text(&a, "x", &len), ST_OK);
    stream_close(&b);
    loop_run_once(loop, 0);
    cr_assert_eq(b_ready, 0);
}
