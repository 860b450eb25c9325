/* SPDX-License-Identifier: Apache-2.0 */
/* test_admin.c - the listeners, on the loopback and a Unix socket: who may ask what, bodies, waits, and leaving. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/admin.h"

#define TOKEN "a-token-of-some-length"

static struct loop *loop;
static struct admin *admin;
static char folder[64], path[96];

/* What the route was asked, and whom it keeps waiting. */
static struct {
    bool is_later;
    struct op *waiting;
    struct admin_answer *out;
    int asks, cancels;
    char param[64], body[64];
} seen;

static void on_cancel(struct op *op)
{
    UNUSED(op);
    seen.cancels++;
    seen.waiting = NULL;
}

static void say(struct admin_answer *out)
{
    out->body = strdup("done");
    out->body_len = 4;
}

static enum status answer(void *owner, const struct admin_ask *ask, struct admin_answer *out,
                          struct op *op)
{
    cr_assert_eq(owner, &seen);
    seen.asks++;
    snprintf(seen.param, sizeof(seen.param), "%.*s", TEXT_ARG(ask->param));
    snprintf(seen.body, sizeof(seen.body), "%.*s", TEXT_ARG(ask->body));
    if (!seen.is_later) {
        say(out);
        return ST_OK;
    }
    seen.waiting = op;
    seen.out = out;
    op->cancel = on_cancel;
    return ST_PENDING;
}

static const struct admin_route routes[] = {
    {"/open", answer, METHOD_GET, ACCESS_OPEN},
    {"/read/*", answer, METHOD_GET, ACCESS_READ},
    {"/change", answer, METHOD_POST, ACCESS_CHANGE},
    {NULL, NULL, METHOD_NONE, ACCESS_NONE},
};

static void start(const char *token)
{
    struct address loopback, local;
    char text[128];

    memset(&seen, 0, sizeof(seen));
    snprintf(folder, sizeof(folder), "/tmp/meltguard-admin-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/admin.sock", folder);
    snprintf(text, sizeof(text), "unix:%s", path);
    cr_assert_eq(address_parse(TEXT("127.0.0.1:0"), &loopback), ST_OK);
    cr_assert_eq(address_parse(text_of(text), &local), ST_OK);
    cr_assert_eq(loop_new(&loop), ST_OK);
    struct admin_terms terms = {
        .loop = loop,
        .places_len = 2,
        .places = {&loopback, &local},
        .tables_len = 1,
        .tables = {{routes, &seen}},
        .token = token,
    };
    cr_assert_eq(admin_open(&terms, &admin), ST_OK);
}

static void stop(void)
{
    admin_close(&admin);
    loop_run_once(loop, 0);
    loop_free(&loop);
    unlink(path);
    rmdir(folder);
}

static void turns(void)
{
    for (int i = 0; i < 10; i++)
        loop_run_once(loop, 1);
}

static int connect_to(int place)
{
    const struct address *at = admin_address(admin, place);
    int fd = socket(at->sa.sa_family, SOCK_STREAM, 0);

    cr_assert_eq(connect(fd, &at->sa, at->len), 0);
    return fd;
}

static void send_all(int fd, const char *text)
{
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    turns();
}

/* What has come; closes. */
static const char *take(int fd)
{
    static char buf[4096];
    ssize_t len;

    turns();
    len = recv(fd, buf, sizeof(buf) - 1, MSG_DONTWAIT);
    buf[len > 0 ? len : 0] = '\0';
    close(fd);
    turns();
    return buf;
}

enum { BY_ADDRESS, BY_SOCKET };

static int ask(int place, const char *request)
{
    int fd = connect_to(place);
    int status = 0;

    send_all(fd, request);
    cr_assert_eq(sscanf(take(fd), "HTTP/1.1 %d ", &status), 1, "%s", request);
    return status;
}

#define HOST   "Host: admin\r\n"
#define BEARER "Authorization: Bearer " TOKEN "\r\n"
#define CHANGE "POST /change HTTP/1.1\r\n" HOST

Test(admin, without_a_token_changes_come_by_the_socket)
{
    struct stat info;

    start(NULL);
    cr_expect_eq(ask(BY_ADDRESS, "GET /open HTTP/1.1\r\n" HOST "\r\n"), 200);
    cr_expect_eq(ask(BY_ADDRESS, "GET /read/a%20b HTTP/1.1\r\n" HOST "\r\n"), 200);
    cr_expect_str_eq(seen.param, "a b");
    cr_expect_eq(ask(BY_ADDRESS, CHANGE "Content-Length: 0\r\n\r\n"), 403);
    cr_expect_eq(ask(BY_ADDRESS, CHANGE BEARER "Content-Length: 0\r\n\r\n"), 403);
    cr_expect_eq(seen.asks, 2);
    cr_expect_eq(ask(BY_SOCKET, CHANGE "Content-Length: 5\r\n\r\nhello"), 200);
    cr_expect_str_eq(seen.body, "hello");
    cr_assert_eq(stat(path, &info), 0);
    cr_expect_eq(info.st_mode & 0777, 0660);
    stop();
}

Test(admin, with_a_token_it_is_needed)
{
    start(TOKEN);
    cr_expect_eq(ask(BY_ADDRESS, "GET /open HTTP/1.1\r\n" HOST "\r\n"), 200);
    cr_expect_eq(ask(BY_ADDRESS, "GET /read/x HTTP/1.1\r\n" HOST "\r\n"), 401);
    cr_expect_eq(
        ask(BY_ADDRESS, "GET /read/x HTTP/1.1\r\n" HOST "Authorization: Bearer nope\r\n\r\n"), 401);
    cr_expect_eq(
        ask(BY_ADDRESS, "GET /read/x HTTP/1.1\r\n" HOST "Authorization: Basic " TOKEN "\r\n\r\n"),
        401);
    cr_expect_eq(ask(BY_ADDRESS, CHANGE "Content-Length: 0\r\n\r\n"), 401);
    cr_expect_eq(seen.asks, 1);
    cr_expect_eq(ask(BY_ADDRESS, "GET /read/x HTTP/1.1\r\n" HOST BEARER "\r\n"), 200);
    cr_expect_eq(ask(BY_ADDRESS, CHANGE BEARER "Content-Length: 0\r\n\r\n"), 200);
    cr_expect_eq(ask(BY_SOCKET, CHANGE "Content-Length: 0\r\n\r\n"), 200);
    admin_set_token(admin, "another-token-entirely");
    cr_expect_eq(ask(BY_ADDRESS, "GET /read/x HTTP/1.1\r\n" HOST BEARER "\r\n"), 401);
    stop();
}

Test(admin, bodies_come_in_pieces_and_in_chunks)
{
    start(NULL);
    int fd = connect_to(BY_SOCKET);
    send_all(fd, CHANGE "Content-Length: 6\r\n\r\nab");
    send_all(fd, "cd");
    cr_expect_eq(seen.asks, 0);
    send_all(fd, "ef");
    cr_expect_eq(seen.asks, 1);
    cr_expect_str_eq(seen.body, "abcdef");
    cr_expect_not_null(strstr(take(fd), "\r\n\r\ndone"));
    cr_expect_eq(ask(BY_SOCKET, CHANGE "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
                 200);
    cr_expect_str_eq(seen.body, "abc");
    fd = connect_to(BY_SOCKET);
    send_all(fd, CHANGE "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    send_all(fd, "ok");
    cr_expect_not_null(strstr(take(fd), "100 Continue"));
    cr_expect_str_eq(seen.body, "ok");
    stop();
}

Test(admin, refuses_what_it_does_not_serve)
{
    start(NULL);
    cr_expect_eq(ask(BY_SOCKET, "GET /nothing HTTP/1.1\r\n" HOST "\r\n"), 404);
    cr_expect_eq(ask(BY_SOCKET, "DELETE /open HTTP/1.1\r\n" HOST "\r\n"), 405);

    int fd = connect_to(BY_SOCKET);

    send_all(fd, "GET /change HTTP/1.1\r\n" HOST "\r\n");
    cr_expect_not_null(strcasestr(take(fd), "allow: POST\r\n"));
    cr_expect_eq(ask(BY_SOCKET, "nonsense\r\n\r\n"), 400);
    cr_expect_eq(ask(BY_SOCKET, CHANGE "Transfer-Encoding: chunked\r\n\r\nzz\r\n"), 400);
    cr_expect_eq(seen.asks, 0);
    stop();
}

Test(admin, a_long_body_is_413)
{
    static char piece[66001];

    start(NULL);
    memset(piece, 'x', sizeof(piece) - 1);
    int fd = connect_to(BY_SOCKET);
    send_all(fd, CHANGE "Content-Length: 70000\r\n\r\n");
    send_all(fd, piece);
    turns();
    cr_expect_not_null(strstr(take(fd), " 413 "));
    cr_expect_eq(seen.asks, 0);
    stop();
}

Test(admin, head_is_answered_without_a_body)
{
    start(NULL);
    int fd = connect_to(BY_SOCKET);
    send_all(fd, "HEAD /open HTTP/1.1\r\n" HOST "\r\n");
    const char *answered = take(fd);
    cr_expect_not_null(strstr(answered, "content-length: 4\r\n"));
    cr_expect_null(strstr(answered, "done"));
    stop();
}

Test(admin, an_answer_may_come_later)
{
    start(NULL);
    seen.is_later = true;
    int fd = connect_to(BY_SOCKET);
    send_all(fd, "GET /read/x HTTP/1.1\r\n" HOST "\r\n");
    cr_assert_not_null(seen.waiting);
    say(seen.out);
    op_done(seen.waiting, ST_OK);
    cr_expect_not_null(strstr(take(fd), "\r\n\r\ndone"));
    stop();
}

Test(admin, an_answer_may_fail)
{
    start(NULL);
    seen.is_later = true;
    int fd = connect_to(BY_SOCKET);
    send_all(fd, "GET /read/x HTTP/1.1\r\n" HOST "\r\n");
    op_done(seen.waiting, ST_NOMEM);
    cr_expect_not_null(strstr(take(fd), " 500 "));
    stop();
}

Test(admin, leaving_cancels)
{
    start(NULL);
    seen.is_later = true;
    int fd = connect_to(BY_SOCKET);
    send_all(fd, "GET /read/x HTTP/1.1\r\n" HOST "\r\n");
    cr_assert_not_null(seen.waiting);
    close(fd);
    turns();
    cr_expect_eq(seen.cancels, 1);
    stop();
}

Test(admin, closing_cancels_too)
{
    start(NULL);
    seen.is_later = true;
    int fd = connect_to(BY_SOCKET);
    send_all(fd, "GET /read/x HTTP/1.1\r\n" HOST "\r\n");
    cr_assert_not_null(seen.waiting);
    stop();
    cr_expect_eq(seen.cancels, 1);
    close(fd);
}
