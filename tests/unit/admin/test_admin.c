/* SPDX-License-Identifier: Apache-2.0 */
/* test_admin.c - the operator's listener.  Opens sockets: it is one. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/admin.h"
#include "unit/whole.h"

static struct loop *loop;
static struct admin *admin;
static char got[1 << 20];
static char *big;
static int asked;

static void answer_small(void *owner, struct admin_answer *out)
{
    cr_assert_eq(owner, &asked);
    asked++;
    out->body = strdup("ok\n");
    out->body_len = 3;
}

static void answer_big(void *owner, struct admin_answer *out)
{
    UNUSED(owner);
    out->content_type = "text/big";
    out->body = strdup(big);
    out->body_len = strlen(big);
}

static void answer_nothing(void *owner, struct admin_answer *out)
{
    UNUSED(owner);
    out->status = 500;
}

static const struct admin_route routes[] = {
    {"/healthz", answer_small}, {"/big", answer_big}, {"/nothing", answer_nothing}, {NULL, NULL}};

static void begin(void)
{
    struct address at;

    big = calloc(1, 500001);
    memset(big, 'b', 500000);
    cr_assert_eq(loop_new(&loop), ST_OK);
    cr_assert_eq(address_parse(TEXT("127.0.0.1:0"), &at), ST_OK);
    cr_assert_eq(admin_open(loop, &at, routes, &asked, &admin), ST_OK);
}

static void end(void)
{
    admin_close(&admin);
    admin_close(&admin);
    loop_run_once(loop, 0);
    loop_free(&loop);
    free(big);
}

static int visit(void)
{
    const struct address *at = admin_address(admin);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    cr_assert_eq(connect(fd, &at->sa, at->len), 0);
    return fd;
}

static void say(int fd, const char *bytes)
{
    cr_assert_eq(send(fd, bytes, strlen(bytes), MSG_NOSIGNAL), (ssize_t)strlen(bytes));
}

/* Reads until the end. */
static const char *hear(int fd)
{
    size_t len = 0;

    for (int i = 0; i < 2000; i++) {
        ssize_t n;

        loop_run_once(loop, 1);
        n = recv(fd, got + len, sizeof(got) - 1 - len, MSG_DONTWAIT);
        if (n == 0)
            break;
        len += n > 0 ? (size_t)n : 0;
    }
    got[len] = '\0';
    close(fd);
    return got;
}

static const char *ask(const char *request)
{
    int fd = visit();

    say(fd, request);
    return hear(fd);
}

static void has(const char *answer, const char *what)
{
    cr_assert(strstr(answer, what), "%s in %.300s", what, answer);
}

WHOLE_TEST(admin, answers)
{
    const char *answer = ask("GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n");

    has(answer, "HTTP/1.1 200 OK\r\n");
    has(answer, "content-length: 3\r\n");
    has(answer, "connection: close\r\n");
    has(answer, "\r\n\r\nok\n");
}

WHOLE_TEST(admin, head_has_no_body)
{
    const char *answer = ask("HEAD /healthz HTTP/1.1\r\nHost: h\r\n\r\n");

    has(answer, "content-length: 3\r\n");
    cr_assert_null(strstr(answer, "ok\n"));
}

WHOLE_TEST(admin, query_does_not_matter)
{
    has(ask("GET /healthz?verbose HTTP/1.1\r\nHost: h\r\n\r\n"), "200 OK");
}

WHOLE_TEST(admin, refusals)
{
    has(ask("GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n"), "HTTP/1.1 404 ");
    has(ask("POST /healthz HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"), "HTTP/1.1 405 ");
    has(got, "allow: GET, HEAD\r\n");
    has(ask("nonsense\r\n\r\n"), "HTTP/1.1 400 ");
    has(ask("GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n"), "HTTP/1.1 500 ");
    cr_assert_eq(asked, 0);
}

WHOLE_TEST(admin, head_too_large)
{
    char *head = calloc(1, 9000);

    strcpy(head, "GET / HTTP/1.1\r\nX: ");
    memset(head + strlen(head), 'x', 8500);
    has(ask(head), "HTTP/1.1 431 ");
    free(head);
}

WHOLE_TEST(admin, request_in_pieces)
{
    int fd = visit();

    say(fd, "GET /hea");
    for (int i = 0; i < 3; i++)
        loop_run_once(loop, 5);
    say(fd, "lthz HTTP/1.1\r\nHost: h\r\n\r\n");
    has(hear(fd), "200 OK");
}

WHOLE_TEST(admin, large_answer_to_a_slow_reader)
{
    const char *answer = ask("GET /big HTTP/1.1\r\nHost: h\r\n\r\n");

    has(answer, "content-type: text/big\r\n");
    cr_assert_str_eq(strstr(answer, "\r\n\r\n") + 4, big);
}

WHOLE_TEST(admin, visitor_that_leaves_in_the_middle)
{
    int fd = visit();

    say(fd, "GET /big HTTP/1.1\r\nHost: h\r\n\r\n");
    close(fd);
    for (int i = 0; i < 5; i++)
        loop_run_once(loop, 1);
    has(ask("GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"), "200 OK");
}

WHOLE_TEST(admin, closed_with_visitors)
{
    int fd = visit();

    for (int i = 0; i < 3; i++)
        loop_run_once(loop, 1);
    admin_close(&admin);
    cr_assert_str_eq(hear(fd), "");
}

WHOLE_TEST(admin, not_more_visitors_than_it_can_hold)
{
    int fds[66];

    for (int i = 0; i < 66; i++) {
        fds[i] = visit();
        loop_run_once(loop, 1);
    }
    for (int i = 0; i < 3; i++)
        loop_run_once(loop, 1);
    cr_assert_eq(recv(fds[65], got, 1, MSG_DONTWAIT), 0, "turned away");
    for (int i = 0; i < 66; i++)
        close(fds[i]);
    for (int i = 0; i < 3; i++)
        loop_run_once(loop, 1);
    has(ask("GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"), "200 OK");
}
