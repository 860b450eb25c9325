/* SPDX-License-Identifier: Apache-2.0 */
/* From one socket to another one and to us, on the loopback interface only: source -> from | to -> sink. */
#include <criterion/criterion.h>

#include <arpa/inet.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/tee.h"

#define BUFFER_BYTES ((size_t)512 << 10)
#define TURNS_MAX    10000

static struct loop *loop;
static struct tee *tee;
static int source, sink;
static struct stream from, to;
static int ready_calls;
static char *buf;

static void on_ready(struct stream *s, unsigned what)
{
    UNUSED(s);
    UNUSED(what);
    ready_calls++;
}

static void connect_pair(int fds[2])
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    cr_assert_eq(bind(listener, (struct sockaddr *)&at, len), 0);
    cr_assert_eq(listen(listener, 1), 0);
    cr_assert_eq(getsockname(listener, (struct sockaddr *)&at, &len), 0);
    fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(connect(fds[0], (struct sockaddr *)&at, len), 0);
    fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    cr_assert(fds[1] >= 0);
    close(listener);
}

static void begin(void)
{
    int fds[2];

    signal(SIGPIPE, SIG_IGN);
    cr_assert_eq(loop_new(&loop), ST_OK);
    tee = tee_new();
    buf = malloc(BUFFER_BYTES);
    cr_assert(tee && buf);
    connect_pair(fds);
    source = fds[0];
    stream_open(&from, loop, fds[1]);
    connect_pair(fds);
    sink = fds[0];
    stream_open(&to, loop, fds[1]);
    from.ready = on_ready;
    to.ready = on_ready;
    ready_calls = 0;
}

static void finish(void)
{
    stream_close(&from);
    stream_close(&to);
    close(source);
    close(sink);
    free(buf);
    tee_free(&tee);
    loop_free(&loop);
}

static enum status read_and_give(struct stream *other, size_t size, size_t *out_len,
                                 size_t *out_sent)
{
    struct teed teed = {.len = 0};
    enum status st = tee_read(tee, &from, other, buf, size, &teed);

    *out_len = teed.len;
    *out_sent = teed.sent;
    return st;
}

TestSuite(tee, .init = begin, .fini = finish);

static void bring(const char *bytes, size_t len)
{
    cr_assert_eq(send(source, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

/* Waits for bytes at the socket, without the stream's doing. */
static void await_bytes(int fd)
{
    char byte;

    for (int i = 0; i < TURNS_MAX && recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0; i++)
        usleep(100);
}

static void expect_at_sink(const char *bytes, size_t len)
{
    char *came = malloc(len);

    cr_assert_eq(recv(sink, came, len, MSG_WAITALL), (ssize_t)len);
    cr_assert_eq(memcmp(came, bytes, len), 0);
    free(came);
}

Test(tee, is_read_and_given)
{
    size_t len = 0, sent = 0;

    bring("hello", 5);
    await_bytes(from.fd);
    cr_assert_eq(read_and_give(&to, BUFFER_BYTES, &len, &sent), ST_OK);
    cr_assert_eq(len, 5);
    cr_assert_eq(sent, 5);
    cr_assert_eq(memcmp(buf, "hello", 5), 0);
    expect_at_sink("hello", 5);
}

Test(tee, takes_no_more_than_it_is_asked_for)
{
    size_t len = 0, sent = 0;

    bring("hello", 5);
    await_bytes(from.fd);
    cr_assert_eq(read_and_give(&to, 3, &len, &sent), ST_OK);
    cr_assert_eq(len, 3);
    cr_assert_eq(stream_read(&from, buf, BUFFER_BYTES, &len), ST_OK);
    cr_assert_eq(len, 2);
    cr_assert_eq(memcmp(buf, "lo", 2), 0);
    expect_at_sink("hel", 3);
}

Test(tee, waits_for_what_is_not_there_yet)
{
    size_t len, sent;

    stream_want(&from, STREAM_READ);
    cr_assert_eq(read_and_give(&to, BUFFER_BYTES, &len, &sent), ST_PENDING);
    loop_run_once(loop, 0);
    cr_assert_eq(ready_calls, 0);
    bring("x", 1);
    await_bytes(from.fd);
    loop_run_once(loop, 1000);
    cr_assert_eq(ready_calls, 1);
}

Test(tee, what_it_leaves_is_told_to_who_asks_anew)
{
    size_t len, sent;

    stream_want(&from, STREAM_READ);
    bring("xy", 2);
    await_bytes(from.fd);
    loop_run_once(loop, 0);
    cr_assert_eq(read_and_give(&to, 1, &len, &sent), ST_OK);
    stream_want(&from, STREAM_READ);
    ready_calls = 0;
    loop_run_once(loop, 0);
    cr_assert_eq(ready_calls, 1);
}

Test(tee, tells_the_end)
{
    size_t len, sent;

    shutdown(source, SHUT_WR);
    await_bytes(from.fd);
    cr_assert_eq(read_and_give(&to, BUFFER_BYTES, &len, &sent), ST_CLOSED);
}

Test(tee, tells_a_reset)
{
    struct linger linger = {.l_onoff = 1};
    size_t len, sent;
    enum status st = ST_PENDING;

    setsockopt(source, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    close(source);
    source = -1;
    for (int i = 0; i < TURNS_MAX && st == ST_PENDING; i++) {
        st = read_and_give(&to, BUFFER_BYTES, &len, &sent);
        usleep(100);
    }
    cr_assert_eq(st, ST_UNAVAILABLE);
}

/* What is read for one connection must never come out at another. */
Test(tee, nothing_stays_behind_when_the_other_one_is_broken)
{
    struct stream healthy;
    size_t len = 0, sent = 1;
    int fds[2];

    shutdown(to.fd, SHUT_WR);
    bring("secret", 6);
    await_bytes(from.fd);
    cr_assert_eq(read_and_give(&to, BUFFER_BYTES, &len, &sent), ST_OK);
    cr_assert_eq(len, 6);
    cr_assert_eq(sent, 0);
    connect_pair(fds);
    stream_open(&healthy, loop, fds[1]);
    bring("open", 4);
    await_bytes(from.fd);
    cr_assert_eq(read_and_give(&healthy, BUFFER_BYTES, &len, &sent), ST_OK);
    cr_assert_eq(len, 4);
    cr_assert_eq(recv(fds[0], buf, BUFFER_BYTES, 0), 4);
    cr_assert_eq(memcmp(buf, "open", 4), 0);
    stream_close(&healthy);
    close(fds[0]);
}

/* --- one that reads slowly ------------------------------------------------------------------------------------------------ */

#define TOTAL_BYTES ((size_t)24 << 20)
#define SINK_LAG    ((size_t)4 << 20) /* how far the sink stays behind: more than its socket holds */

static char byte_at(size_t i)
{
    return (char)(i % 251);
}

static void expect_bytes(const char *bytes, size_t at, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (bytes[i] != byte_at(at + i))
            cr_assert_fail("byte %zu is another one", at + i);
}

/* Some more at the source, as much as goes there now. */
static size_t bring_some(size_t at, size_t len)
{
    static char bytes[200000];
    ssize_t brought;

    for (size_t i = 0; i < len; i++)
        bytes[i] = byte_at(at + i);
    brought = send(source, bytes, len, MSG_DONTWAIT);
    return brought < 0 ? 0 : (size_t)brought;
}

static size_t take_some(size_t at)
{
    static char bytes[65536];
    ssize_t taken = recv(sink, bytes, sizeof(bytes), MSG_DONTWAIT);

    if (taken <= 0)
        return 0;
    expect_bytes(bytes, at, (size_t)taken);
    return (size_t)taken;
}

static size_t write_some(const char *bytes, size_t len)
{
    struct iovec rest = {(void *)(uintptr_t)bytes, len};
    size_t written = 0;

    return len > 0 && stream_write(&to, &rest, 1, &written) == ST_OK ? written : 0;
}

/* Pieces of all sizes; of each that was not sent whole, the rest is in buf. */
Test(tee, one_that_reads_slowly_misses_nothing)
{
    size_t brought = 0, given = 0, taken = 0;
    unsigned seed = 1;
    int shorts = 0;

    while (given < TOTAL_BYTES) {
        size_t len = 0, sent = 0;
        size_t size = (size_t)rand_r(&seed) % BUFFER_BYTES + 1;

        brought +=
            bring_some(brought, MIN((size_t)rand_r(&seed) % 200000 + 1, TOTAL_BYTES - brought));
        if (read_and_give(&to, size, &len, &sent) != ST_OK)
            continue;
        expect_bytes(buf, given, len);
        given += len;
        shorts += sent < len;
        while (sent < len || taken + SINK_LAG < given) {
            taken += take_some(taken);
            sent += write_some(buf + sent, len - sent);
        }
    }
    while (taken < TOTAL_BYTES)
        taken += take_some(taken);
    cr_assert(shorts > 0, "the sink was never full");
}

/* --- which streams -------------------------------------------------------------------------------------------------------- */

Test(tee, sockets_alone_fit)
{
    struct stream a = {.ops = NULL}, b = {.ops = NULL};

    cr_assert(tee_fits(&from, &to));
    cr_assert_eq(stream_pair(&a, &b, loop, 16), ST_OK);
    cr_assert_not(tee_fits(&from, &a));
    cr_assert_not(tee_fits(&a, &to));
    stream_close(&a);
    stream_close(&b);
}
