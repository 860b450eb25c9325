/* SPDX-License-Identifier: Apache-2.0 */
/* Streams over real sockets, on the loopback interface only. */
#include <criterion/criterion.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/stream.h"

#define TURNS_MAX 1000

static struct loop *loop;
static struct stream a;
static struct stream b;
static int ready_calls;
static unsigned ready_what;

static void on_ready(struct stream *s, unsigned what)
{
    UNUSED(s);
    ready_calls++;
    ready_what |= what;
}

static void begin(void)
{
    int fds[2];

    cr_assert_eq(loop_new(&loop), ST_OK);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    a.ready = on_ready;
    b.ready = on_ready;
    stream_open(&a, loop, fds[0]);
    stream_open(&b, loop, fds[1]);
}

static void finish(void)
{
    stream_close(&a);
    stream_close(&b);
    loop_free(&loop);
}

TestSuite(stream, .init = begin, .fini = finish);

static enum status write_text(struct stream *s, const char *cstr)
{
    struct iovec iov = {(void *)cstr, strlen(cstr)};
    size_t len;

    return stream_write(s, &iov, 1, &len);
}

static enum status read_status(struct stream *s)
{
    char buf[4];
    size_t len;

    return stream_read(s, buf, sizeof(buf), &len);
}

Test(stream, tries_first)
{
    struct iovec iov[] = {{"he", 2}, {"llo", 3}};
    char buf[8];
    size_t len;

    cr_assert_eq(stream_read(&b, buf, sizeof(buf), &len), ST_PENDING);
    cr_assert_eq(stream_write(&a, iov, 2, &len), ST_OK);
    cr_assert_eq(len, 5);
    cr_assert_eq(stream_read(&b, buf, sizeof(buf), &len), ST_OK);
    cr_assert_eq(len, 5);
    cr_assert_eq(memcmp(buf, "hello", 5), 0);
}

Test(stream, tells_when_it_can_be_read)
{
    stream_want(&b, STREAM_READ);
    loop_run_once(loop, 0);
    cr_assert_eq(ready_calls, 0);
    cr_assert_eq(write_text(&a, "x"), ST_OK);
    loop_run_once(loop, 1000);
    cr_assert_eq(ready_calls, 1);
    cr_assert_eq(ready_what, STREAM_READ);
    cr_assert_null(b.write_event, "made only when writing is wanted");
}

Test(stream, read_interest_may_come_and_go)
{
    stream_want(&b, STREAM_READ);
    stream_want(&b, 0);
    cr_assert_eq(write_text(&a, "x"), ST_OK);
    loop_run_once(loop, 1000);
    cr_assert_eq(ready_calls, 0);
    loop_run_once(loop, 0);
    stream_want(&b, STREAM_READ);
    loop_run_once(loop, 1000);
    cr_assert_eq(ready_calls, 1);
}

static void turn_and_expect(int calls, const char *what)
{
    ready_calls = 0;
    loop_run_once(loop, 0);
    cr_assert_eq(ready_calls, calls, "%s: %d calls", what, ready_calls);
}

Test(stream, tells_again_of_bytes_that_a_read_left)
{
    stream_want(&b, STREAM_READ);
    cr_assert_eq(write_text(&a, "12345"), ST_OK);
    turn_and_expect(1, "bytes came");
    cr_assert_eq(read_status(&b), ST_OK);
    turn_and_expect(1, "one is left");
    cr_assert_eq(read_status(&b), ST_OK);
    turn_and_expect(0, "none is left");
    cr_assert_eq(write_text(&a, "1234"), ST_OK);
    turn_and_expect(1, "others came");
    cr_assert_eq(read_status(&b), ST_OK, "all of them, but that cannot be seen");
    turn_and_expect(0, "none is left");
    cr_assert_eq(read_status(&b), ST_PENDING);
}

Test(stream, tells_again_who_asks_again)
{
    stream_want(&b, STREAM_READ);
    cr_assert_eq(write_text(&a, "x"), ST_OK);
    turn_and_expect(1, "a byte");
    turn_and_expect(0, "it was told");
    stream_want(&b, STREAM_READ);
    turn_and_expect(1, "asked anew");
    cr_assert_eq(read_status(&b), ST_OK);
    stream_want(&b, STREAM_READ);
    turn_and_expect(0, "it was read");
}

Test(stream, tells_of_the_end_that_came_with_bytes)
{
    stream_want(&b, STREAM_READ);
    cr_assert_eq(write_text(&a, "x"), ST_OK);
    stream_shut_write(&a);
    turn_and_expect(1, "a byte and the end");
    cr_assert_eq(read_status(&b), ST_OK);
    turn_and_expect(1, "the end");
    cr_assert_eq(read_status(&b), ST_CLOSED);
    turn_and_expect(0, "the end was read");
    stream_want(&b, 0);
    stream_want(&b, STREAM_READ);
    turn_and_expect(1, "who asks anew is told anew");
}

Test(stream, tells_of_the_end_that_came_after_bytes_were_told)
{
    stream_want(&b, STREAM_READ);
    cr_assert_eq(write_text(&a, "x"), ST_OK);
    turn_and_expect(1, "a byte");
    stream_shut_write(&a);
    cr_assert_eq(read_status(&b), ST_OK);
    turn_and_expect(1, "the end");
}

Test(stream, tells_of_bytes_that_came_while_nobody_wanted_them)
{
    stream_want(&b, STREAM_READ);
    cr_assert_eq(write_text(&a, "x"), ST_OK);
    turn_and_expect(1, "a byte");
    stream_want(&b, 0);
    stream_want(&b, STREAM_READ);
    turn_and_expect(1, "it was not read");
    cr_assert_eq(read_status(&b), ST_OK);
    stream_want(&b, 0);
    stream_want(&b, STREAM_READ);
    turn_and_expect(0, "it was read");
}

/* Fills the socket; the number of bytes taken. */
static size_t fill(struct stream *s)
{
    static char zeros[65536];
    struct iovec iov = {zeros, sizeof(zeros)};
    size_t total = 0;
    size_t len = 0;

    while (stream_write(s, &iov, 1, &len) == ST_OK)
        total += len;
    return total;
}

Test(stream, tells_when_it_can_be_written)
{
    static char buf[65536];
    size_t unread = fill(&a);
    size_t len = 0;

    cr_assert_gt(unread, 0);
    stream_want(&a, STREAM_WRITE);
    loop_run_once(loop, 0);
    cr_assert_eq(ready_calls, 0);
    while (unread > 0 && stream_read(&b, buf, sizeof(buf), &len) == ST_OK)
        unread -= len;
    cr_assert_eq(unread, 0);
    loop_run_once(loop, 1000);
    cr_assert_eq(ready_what, STREAM_WRITE);
    stream_want(&a, 0);
    cr_assert_null(a.write_event);
    ready_calls = 0;
    loop_run_once(loop, 0);
    cr_assert_eq(ready_calls, 0);
}

Test(stream, fin_and_broken_pipe)
{
    stream_shut_write(&a);
    cr_assert_eq(read_status(&b), ST_CLOSED);
    stream_close(&b);
    stream_close(&b);
    cr_assert_eq(write_text(&a, "x"), ST_UNAVAILABLE, "and no SIGPIPE");
}

static void close_both(struct stream *s, unsigned what)
{
    UNUSED(s);
    UNUSED(what);
    ready_calls++;
    stream_close(&a);
    stream_close(&b);
}

Test(stream, may_be_closed_inside_ready)
{
    a.ready = close_both;
    b.ready = close_both;
    cr_assert_eq(write_text(&a, "x"), ST_OK);
    cr_assert_eq(write_text(&b, "x"), ST_OK);
    stream_want(&a, STREAM_READ | STREAM_WRITE);
    stream_want(&b, STREAM_READ | STREAM_WRITE);
    loop_run_once(loop, 1000);
    cr_assert_eq(ready_calls, 1, "nothing is called for a closed stream");
}

/* --- connecting ------------------------------------------------------------------------------------------------------ */

static int done_calls;
static enum status done_status;

static void on_done(struct op *op, enum status st)
{
    cr_assert_not(op_is_pending(op));
    done_calls++;
    done_status = st;
}

/* A socket with a port of its own, on which nobody listens. */
static int bind_somewhere(struct address *out)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    cr_assert_eq(address_parse(TEXT("127.0.0.1:0"), out), ST_OK);
    cr_assert_eq(bind(fd, &out->sa, out->len), 0);
    cr_assert_eq(getsockname(fd, &out->sa, &out->len), 0);
    return fd;
}

static int listen_somewhere(struct address *out)
{
    int fd = bind_somewhere(out);

    cr_assert_eq(listen(fd, 4), 0);
    return fd;
}

static void wait_for_done(void)
{
    for (int i = 0; i < TURNS_MAX && done_calls == 0; i++)
        loop_run_once(loop, 10);
}

Test(stream, connects_later)
{
    struct address to;
    struct op op = {.done = on_done};
    struct stream s = {.ready = on_ready};
    int fd = listen_somewhere(&to);
    int no_delay = 0;
    socklen_t len = sizeof(no_delay);

    cr_assert_eq(stream_connect(&s, loop, &to, &op), ST_PENDING);
    cr_assert(op_is_pending(&op));
    cr_assert_eq(done_calls, 0);
    wait_for_done();
    cr_assert_eq(done_status, ST_OK);
    cr_assert_eq(s.ready, on_ready);
    cr_assert_eq(getsockopt(s.fd, IPPROTO_TCP, TCP_NODELAY, &no_delay, &len), 0);
    cr_assert_neq(no_delay, 0);
    char congestion[16] = "";

    len = sizeof(congestion);
    cr_assert_eq(getsockopt(s.fd, IPPROTO_TCP, TCP_CONGESTION, congestion, &len), 0);
    cr_assert_str_eq(congestion, "reno", "not paced over the loopback");
    cr_assert_eq(write_text(&s, "x"), ST_OK);
    op_cancel(&op);
    cr_assert(stream_is_open(&s), "cancelling afterwards is harmless");
    stream_close(&s);
    close(fd);
}

Test(stream, connect_is_refused)
{
    struct address to;
    struct op op = {.done = on_done};
    struct stream s = {.ready = on_ready};

    int fd = bind_somewhere(&to);
    enum status st = stream_connect(&s, loop, &to, &op);

    if (st == ST_PENDING) {
        wait_for_done();
        st = done_status;
    }
    cr_assert_eq(st, ST_REFUSED);
    cr_assert_not(stream_is_open(&s));
    close(fd);
}

Test(stream, connect_is_cancelled)
{
    struct address to;
    struct op op = {.done = on_done};
    struct stream s = {.ready = on_ready};
    int fd = listen_somewhere(&to);

    cr_assert_eq(stream_connect(&s, loop, &to, &op), ST_PENDING);
    op_cancel(&op);
    cr_assert_not(stream_is_open(&s));
    loop_run_once(loop, 10);
    cr_assert_eq(done_calls, 0);

    cr_assert_eq(stream_connect(&s, loop, &to, &op), ST_PENDING);
    stream_close(&s);
    cr_assert_not(op_is_pending(&op), "closing forgets the op");
    op_cancel(&op);
    loop_run_once(loop, 10);
    cr_assert_eq(done_calls, 0);
    close(fd);
}

static void give_up(struct timer *timer)
{
    UNUSED(timer);
    done_status = ST_TIMEOUT;
}

/* The owner's deadline is what ends a connect that hangs: here a backlog that is full. */
Test(stream, connect_is_timed_out_by_its_owner)
{
    struct address to;
    struct stream fillers[8] = {0};
    struct op ops[8];
    struct timer timer;
    int fd = listen_somewhere(&to);

    cr_assert_eq(listen(fd, 0), 0);
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        ops[i] = (struct op){.done = on_done};
        cr_assert_eq(stream_connect(&fillers[i], loop, &to, &ops[i]), ST_PENDING);
    }
    timer_init(&timer, give_up);
    timer_set(loop, &timer, loop_now_us(loop) + 30000);
    while (timer_is_set(&timer))
        loop_run_once(loop, -1);
    int hanging = 0;

    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        hanging += op_is_pending(&ops[i]);
        op_cancel(&ops[i]);
        stream_close(&fillers[i]);
    }
    cr_assert_gt(hanging, 0);
    cr_assert_eq(done_status, ST_TIMEOUT);
    close(fd);
}

Test(stream, connects_to_unix_sockets_at_once)
{
    char folder[] = "/tmp/meltguard-unit-XXXXXX";
    char path[64];
    struct address to;
    struct op op = {.done = on_done};
    struct stream s = {.ready = on_ready};

    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "unix:%s/s", folder);
    cr_assert_eq(address_parse(text_of(path), &to), ST_OK);
    cr_assert_eq(stream_connect(&s, loop, &to, &op), ST_UNAVAILABLE, "no such file");
    cr_assert_not(stream_is_open(&s));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    cr_assert_eq(bind(fd, &to.sa, to.len), 0);
    cr_assert_eq(stream_connect(&s, loop, &to, &op), ST_REFUSED, "nobody listens");
    cr_assert_eq(listen(fd, 4), 0);
    cr_assert_eq(stream_connect(&s, loop, &to, &op), ST_OK);
    cr_assert_not(op_is_pending(&op));
    stream_close(&s);
    close(fd);
    unlink(path + strlen("unix:"));
    rmdir(folder);
}

Test(stream, reset_is_seen_as_broken)
{
    struct address to;
    struct op op = {.done = on_done};
    struct stream s = {.ready = on_ready};
    struct stream accepted = {.ready = on_ready};
    int fd = listen_somewhere(&to);

    cr_assert_eq(stream_connect(&s, loop, &to, &op), ST_PENDING);
    wait_for_done();
    stream_open(&accepted, loop, accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
    stream_want(&accepted, STREAM_READ);
    cr_assert_eq(read_status(&accepted), ST_PENDING);
    stream_reset(&s);
    cr_assert_not(stream_is_open(&s));
    for (int i = 0; i < TURNS_MAX && ready_calls == 0; i++)
        loop_run_once(loop, 10);
    cr_assert_eq(read_status(&accepted), ST_UNAVAILABLE);
    stream_close(&accepted);
    close(fd);
}

Test(stream, an_idle_one_is_small)
{
    cr_assert_leq(sizeof(struct stream), 80);
}
