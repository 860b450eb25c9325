/* SPDX-License-Identifier: Apache-2.0 */
/* test_fetch.c - one GET, on an in-memory pair and on the loopback: at once, later, cancelled, timed out. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "http/fetch.h"
#include "net/listener.h"

#define MAX_BYTES 200
#define OK_HEAD   "HTTP/1.1 200 OK\r\n"

static struct loop *loop;
static struct fetch fetch;
static struct stream other; /* the end of the pair that answers */
static struct op op;
static struct fetch_terms terms;
static int dones;
static enum status ended;

static void on_done(struct op *done, enum status st)
{
    cr_assert_eq(done, &op);
    dones++;
    ended = st;
}

static void on_other(struct stream *s, unsigned what)
{
    UNUSED(s);
    UNUSED(what);
}

static void open_pair(size_t capacity)
{
    cr_assert_eq(stream_pair(&fetch.stream, &other, loop, capacity), ST_OK);
    other.ready = on_other;
}

static void begin(void)
{
    cr_assert_eq(loop_new(&loop), ST_OK);
    fetch_init(&fetch);
    op.done = on_done;
    terms = (struct fetch_terms){.host = TEXT("gpu0:9001"),
                                 .target = TEXT("/metrics?a"),
                                 .timeout_ms = 10000,
                                 .max_bytes = MAX_BYTES};
}

static void end(void)
{
    fetch_fini(&fetch);
    stream_close(&other);
    loop_run_once(loop, 0);
    loop_free(&loop);
}

TestSuite(fetch, .init = begin, .fini = end);

static void start(void)
{
    cr_assert_eq(fetch_start(&fetch, loop, &terms, &op), ST_PENDING);
    cr_assert(op_is_pending(&op));
    cr_assert_eq(dones, 0);
}

static void turns(void)
{
    for (int i = 0; i < 5; i++)
        loop_run_once(loop, 0);
}

static void say(const char *bytes)
{
    struct iovec iov = {(char *)bytes, strlen(bytes)};
    size_t written = 0;

    cr_assert_eq(stream_write(&other, &iov, 1, &written), ST_OK);
    cr_assert_eq(written, iov.iov_len);
    turns();
}

static void assert_done(enum status st)
{
    cr_assert_eq(dones, 1);
    cr_assert_eq(ended, st, "ended %s, expected %s", status_name(ended), status_name(st));
    cr_assert(!op_is_pending(&op) && !stream_is_open(&fetch.stream) && !timer_is_set(&fetch.timer));
}

static void assert_content(int status, const char *expected)
{
    assert_done(ST_OK);
    cr_assert_eq(fetch.status, status);
    cr_assert(text_equal(fetch_body(&fetch), text_of(expected)), "got '%.*s'",
              TEXT_ARG(fetch_body(&fetch)));
}

/* Starts, says it, and expects this ending. */
static void expect_ending(const char *answer, bool closes, enum status st)
{
    open_pair(4096);
    start();
    say(answer);
    if (closes)
        stream_shut_write(&other);
    turns();
    assert_done(st);
}

Test(fetch, asks_for_one_answer)
{
    char asked[500] = "";
    size_t len = 0;

    open_pair(4096);
    start();
    cr_assert_eq(stream_read(&other, asked, sizeof(asked) - 1, &len), ST_OK);
    cr_assert_str_eq(asked,
                     "GET /metrics?a HTTP/1.1\r\nHost: gpu0:9001\r\nUser-Agent: meltguard\r\n"
                     "Accept: */*\r\nConnection: close\r\n\r\n");
}

Test(fetch, sends_a_method_a_token_and_content)
{
    char asked[500] = "";
    size_t len = 0;

    open_pair(4096);
    terms.method = TEXT("POST");
    terms.bearer = TEXT("secret");
    terms.json = TEXT("{\"a\":1}");
    start();
    cr_assert_eq(stream_read(&other, asked, sizeof(asked) - 1, &len), ST_OK);
    cr_assert_str_eq(asked,
                     "POST /metrics?a HTTP/1.1\r\nHost: gpu0:9001\r\nUser-Agent: meltguard\r\n"
                     "Accept: */*\r\nAuthorization: Bearer secret\r\n"
                     "Content-Type: application/json\r\nContent-Length: 7\r\n"
                     "Connection: close\r\n\r\n{\"a\":1}");
}

Test(fetch, a_token_that_would_end_its_field_is_refused)
{
    open_pair(4096);
    terms.bearer = TEXT("secret\r\nX: y");
    cr_assert_eq(fetch_start(&fetch, loop, &terms, &op), ST_INVALID);
}

Test(fetch, an_answer_that_is_there_at_once)
{
    open_pair(4096);
    say(OK_HEAD "Content-Length: 5\r\n\r\nhello");
    start();
    turns();
    assert_content(200, "hello");
}

Test(fetch, an_answer_byte_by_byte)
{
    static const char answer[] = OK_HEAD "Content-Length: 5\r\nA: b\r\n\r\nhello";

    open_pair(4096);
    start();
    for (size_t i = 0; i < sizeof(answer) - 1; i++) {
        cr_assert_eq(dones, 0);
        say((char[]){answer[i], '\0'});
    }
    assert_content(200, "hello");
    cr_assert(text_equal(head_field(&fetch.head, TEXT("a")), TEXT("b")));
}

Test(fetch, chunked)
{
    open_pair(4096);
    start();
    say("HTTP/1.1 404 x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3;x\r\ncd");
    say("e\r\n1\r\nf\r\n0\r\n");
    cr_assert_eq(dones, 0);
    say("\r\nmore that nobody asked for");
    assert_content(404, "abcdef");
}

Test(fetch, until_the_connection_closes)
{
    open_pair(4096);
    start();
    say("HTTP/1.0 200 OK\r\n\r\nab");
    say("cd");
    cr_assert_eq(dones, 0);
    stream_shut_write(&other);
    turns();
    assert_content(200, "abcd");
}

Test(fetch, interim_answers_are_dropped)
{
    open_pair(4096);
    start();
    say("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nLink: y\r\n");
    say("\r\n" OK_HEAD "Content-Length: 1\r\n\r\n");
    say("a");
    assert_content(200, "a");
}

Test(fetch, an_answer_without_content)
{
    open_pair(4096);
    start();
    say("HTTP/1.1 204 No Content\r\n\r\n");
    assert_content(204, "");
}

Test(fetch, a_request_that_goes_in_pieces)
{
    char asked[500];
    size_t len = 0, all = 0;

    open_pair(7);
    start();
    while (stream_read(&other, asked + all, sizeof(asked) - all, &len) == ST_OK) {
        all += len;
        turns();
    }
    cr_assert_eq(all, fetch.asked_len);
    cr_assert_eq(memcmp(asked, "GET /metrics?a HTTP/1.1\r\n", 25), 0);
    cr_assert_eq(memcmp(asked + all - 4, "\r\n\r\n", 4), 0);
}

Test(fetch, an_answer_that_fills_its_limit)
{
    char answer[MAX_BYTES + 2];
    int head = snprintf(answer, sizeof(answer), OK_HEAD "\r\n");

    memset(answer + head, 'x', sizeof(answer) - (size_t)head);
    answer[MAX_BYTES] = '\0';
    open_pair(4096);
    start();
    say(answer);
    cr_assert_eq(dones, 0);
    stream_shut_write(&other);
    turns();
    assert_done(ST_OK);
    cr_assert_eq(fetch_body(&fetch).len, MAX_BYTES - (size_t)head);
}

Test(fetch, an_answer_over_its_limit)
{
    char answer[MAX_BYTES + 2];
    int head = snprintf(answer, sizeof(answer), OK_HEAD "\r\n");

    memset(answer + head, 'x', sizeof(answer) - (size_t)head);
    answer[MAX_BYTES + 1] = '\0';
    expect_ending(answer, false, ST_LIMIT);
}

Test(fetch, a_head_over_its_limit)
{
    char answer[MAX_BYTES + 2];
    int len = snprintf(answer, sizeof(answer), OK_HEAD "A: ");

    memset(answer + len, 'x', sizeof(answer) - (size_t)len);
    answer[MAX_BYTES + 1] = '\0';
    expect_ending(answer, false, ST_LIMIT);
}

Test(fetch, what_is_not_http)
{
    expect_ending("SSH-2.0-OpenSSH\r\n", false, ST_INVALID);
}

Test(fetch, broken_chunks)
{
    expect_ending(OK_HEAD "Transfer-Encoding: chunked\r\n\r\nx", false, ST_INVALID);
}

Test(fetch, an_upgrade_that_nobody_asked_for)
{
    expect_ending("HTTP/1.1 101 x\r\nUpgrade: y\r\nConnection: upgrade\r\n\r\n", false, ST_INVALID);
}

Test(fetch, an_answer_that_breaks_off)
{
    expect_ending(OK_HEAD "Content-Length: 5\r\n\r\nhell", true, ST_UNAVAILABLE);
}

Test(fetch, a_head_that_breaks_off)
{
    expect_ending(OK_HEAD, true, ST_UNAVAILABLE);
}

Test(fetch, no_answer)
{
    expect_ending("", true, ST_UNAVAILABLE);
}

Test(fetch, a_reset)
{
    open_pair(4096);
    start();
    stream_reset(&other);
    turns();
    assert_done(ST_UNAVAILABLE);
}

Test(fetch, cancelled)
{
    char byte;
    size_t len = 0;

    open_pair(4096);
    start();
    say(OK_HEAD);
    op_cancel(&op);
    cr_assert(!stream_is_open(&fetch.stream) && !timer_is_set(&fetch.timer));
    while (stream_read(&other, &byte, 1, &len) == ST_OK)
        continue;
    cr_assert_eq(stream_read(&other, &byte, 1, &len), ST_CLOSED);
    turns();
    cr_assert_eq(dones, 0);
}

Test(fetch, freed_while_under_way)
{
    open_pair(4096);
    start();
    say(OK_HEAD);
    fetch_fini(&fetch);
    cr_assert(!op_is_pending(&op));
    turns();
    cr_assert_eq(dones, 0);
}

Test(fetch, timed_out)
{
    terms.timeout_ms = 1;
    open_pair(4096);
    start();
    for (int i = 0; i < 100 && dones == 0; i++)
        loop_run_once(loop, 10);
    assert_done(ST_TIMEOUT);
}

Test(fetch, terms_that_make_no_request)
{
    static const char *const targets[] = {"", "metrics", "/a b", "/a\r\nX: y", "/\xc3\xa4"};

    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        terms.target = text_of(targets[i]);
        cr_assert_eq(fetch_start(&fetch, loop, &terms, &op), ST_INVALID);
        cr_assert(!op_is_pending(&op));
    }
}

static void on_done_start_again(struct op *done, enum status st)
{
    cr_assert_eq(st, ST_OK);
    cr_assert(text_equal(fetch_body(&fetch), TEXT("1")));
    op.done = on_done;
    stream_close(&other);
    open_pair(4096);
    cr_assert_eq(fetch_start(&fetch, loop, &terms, done), ST_PENDING);
}

Test(fetch, started_again_from_within_done)
{
    op.done = on_done_start_again;
    open_pair(4096);
    start();
    say(OK_HEAD "Content-Length: 1\r\n\r\n1");
    cr_assert(op_is_pending(&op));
    say("HTTP/1.1 500 x\r\nContent-Length: 1\r\n\r\n2");
    assert_content(500, "2");
}

/* --- on the loopback: the one place where these tests open sockets --- */

static struct listener *listener;

static void on_other_answer(struct stream *s, unsigned what)
{
    static const char answer[] = OK_HEAD "Content-Length: 2\r\n\r\nok";
    char asked[500];
    size_t len = 0;

    UNUSED(what);
    while (stream_read(s, asked, sizeof(asked), &len) == ST_OK) {
        struct iovec iov = {(char *)answer, sizeof(answer) - 1};
        cr_assert_eq(stream_write(s, &iov, 1, &len), ST_OK);
    }
}

static void on_accept(void *owner, int fd, const struct address *from)
{
    UNUSED(owner);
    UNUSED(from);
    other.ready = on_other_answer;
    stream_open(&other, loop, fd);
    stream_want(&other, STREAM_READ);
}

static void listen_at(struct address *bound)
{
    struct address any_port;

    cr_assert_eq(address_parse(TEXT("127.0.0.1:0"), &any_port), ST_OK);
    cr_assert_eq(listener_open(loop, &any_port, on_accept, NULL, &listener), ST_OK);
    *bound = *listener_address(listener);
    terms.to = bound;
}

static void wait_for_done(void)
{
    for (int i = 0; i < 200 && dones == 0; i++)
        loop_run_once(loop, 10);
}

Test(fetch, over_the_loopback)
{
    struct address bound;

    listen_at(&bound);
    start();
    wait_for_done();
    assert_content(200, "ok");
    listener_close(&listener);
}

Test(fetch, refused)
{
    struct address bound;

    listen_at(&bound);
    listener_close(&listener);
    enum status st = fetch_start(&fetch, loop, &terms, &op);
    if (st == ST_PENDING) {
        wait_for_done();
        assert_done(ST_REFUSED);
    } else {
        cr_assert_eq(st, ST_REFUSED);
    }
}

Test(fetch, cancelled_while_connecting)
{
    struct address bound;

    listen_at(&bound);
    start();
    op_cancel(&op);
    wait_for_done();
    cr_assert_eq(dones, 0);
    listener_close(&listener);
}

Test(fetch, a_path_where_nobody_listens)
{
    struct address nowhere;

    cr_assert_eq(address_parse(TEXT("unix:/nonexistent/socket"), &nowhere), ST_OK);
    terms.to = &nowhere;
    enum status st = fetch_start(&fetch, loop, &terms, &op);
    cr_assert(st == ST_UNAVAILABLE || st == ST_REFUSED);
    cr_assert(!op_is_pending(&op) && !timer_is_set(&fetch.timer));
    turns();
    cr_assert_eq(dones, 0);
}
