/* SPDX-License-Identifier: Apache-2.0 */
/* test_dispatch.c - the job on its way to a backend: idle upstreams, real connections on the loopback, slow backends, early
 * answers.  Opens sockets: what connecting does can be seen on nothing else. */
#include "base/clock.h"
#include "unit/gate/scripted.h"
#include "unit/whole.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct scripted s;
static struct far_end *client;
static struct client *c;
static int listening[SCRIPTED_BACKENDS] = {-1, -1};

static void begin(void)
{
    scripted_open(&s, "timeouts: {connect: 30s, answer_idle: 30s}\n");
    c = scripted_client(&s, 1 << 20, &client);
}

static void end(void)
{
    for (int i = 0; i < SCRIPTED_BACKENDS; i++)
        if (listening[i] >= 0)
            close(listening[i]);
    scripted_close(&s);
}

static void listen_as(int backend, int backlog)
{
    struct address *at = &s.backends->backends[backend].address;

    cr_assert_eq(address_parse(TEXT("127.0.0.1:0"), at), ST_OK);
    listening[backend] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_geq(listening[backend], 0);
    cr_assert_eq(bind(listening[backend], &at->sa, at->len), 0);
    cr_assert_eq(listen(listening[backend], backlog), 0);
    cr_assert_eq(getsockname(listening[backend], &at->sa, &at->len), 0);
}

static void only(int backend)
{
    s.backends->backends[1 - backend].max_in_flight = 0;
}

static void ask(void)
{
    far_say(client, scripted_job("plus", 1));
    scripted_turns(&s, 2);
}

static int taken(int backend)
{
    return atomic_load(&s.backends->backends[backend].now.in_flight);
}

/* Answers over a real socket. */
static void serve(int backend)
{
    char bytes[4096];
    int fd = accept(listening[backend], NULL, NULL);
    const char *answer = scripted_answer(1);

    cr_assert_geq(fd, 0);
    cr_assert_gt(read(fd, bytes, sizeof(bytes)), 0);
    cr_assert_eq(write(fd, answer, strlen(answer)), (ssize_t)strlen(answer));
    SCRIPTED_UNTIL(&s, far_has(client, "200 OK"));
    close(fd);
    scripted_turns(&s, 2);
}

WHOLE_TEST(dispatch, connects)
{
    only(0);
    listen_as(0, 5);
    ask();
    SCRIPTED_UNTIL(&s, c->req->phase == PHASE_RELAY);
    serve(0);
}

WHOLE_TEST(dispatch, connects_at_once)
{
    char path[64];
    struct address *at = &s.backends->backends[0].address;
    struct text_out out;

    only(0);
    text_out_init(&out, path, sizeof(path));
    text_out_printf(&out, "unix:/tmp/meltguard-dispatch-%d", (int)getpid());
    cr_assert_eq(address_parse(text_out_text(&out), at), ST_OK);
    listening[0] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(listening[0], &at->sa, at->len), 0);
    cr_assert_eq(listen(listening[0], 5), 0);
    far_say(client, scripted_job("plus", 1));
    scripted_turns(&s, 1);
    scripted_turns(&s, 1);
    cr_assert_eq(c->req->phase, PHASE_RELAY);
    unlink(path + strlen("unix:"));
    serve(0);
}

WHOLE_TEST(dispatch, tries_another_where_one_refuses)
{
    listen_as(1, 5);
    atomic_store(&s.backends->backends[1].now.in_flight, 0);
    for (int i = 0; i < 4; i++) { /* whichever is picked first */
        far_read_anew(client);
        ask();
        SCRIPTED_UNTIL(&s, c->req->phase == PHASE_RELAY);
        cr_assert_eq(c->req->backend->index, 1);
        cr_assert_eq(taken(0), 0);
        serve(1);
        SCRIPTED_UNTIL(&s, list_is_empty(&s.gate->pool.idle[1]));
    }
}

WHOLE_TEST(dispatch, none_can_be_connected_to)
{
    ask();
    SCRIPTED_UNTIL(&s, !c->req);
    FAR_HAS(client, "x-meltguard-reason: no_backend\r\n");
    cr_assert_eq(s.store.used_images, 0);
    cr_assert_eq(atomic_load(&s.backends->backends[0].now.failures), 1);
    cr_assert_eq(atomic_load(&s.backends->backends[1].now.failures), 1);
}

/* With its queue of connections full, a listener leaves further ones without an answer. */
static void fill_backlog(int backend, int *fds, int len)
{
    const struct address *at = &s.backends->backends[backend].address;

    for (int i = 0; i < len; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(fds[i], &at->sa, at->len);
    }
}

WHOLE_TEST(dispatch, connect_timed_out)
{
    int fds[4];

    only(0);
    listen_as(0, 0);
    fill_backlog(0, fds, 4);
    ask();
    cr_assert_eq(c->req->phase, PHASE_DISPATCH);
    clock_skip_us(60000000);
    SCRIPTED_UNTIL(&s, !c->req);
    FAR_HAS(client, "x-meltguard-reason: no_backend\r\n");
    for (int i = 0; i < 4; i++)
        close(fds[i]);
}

WHOLE_TEST(dispatch, connect_cancelled)
{
    int fds[4];

    only(0);
    listen_as(0, 0);
    fill_backlog(0, fds, 4);
    ask();
    cr_assert_eq(c->req->phase, PHASE_DISPATCH);
    stream_reset(&client->stream);
    scripted_turns(&s, 2);
    cr_assert_eq(s.gate->clients_len, 0, "nothing was sent, so it ends with its client");
    cr_assert_eq(taken(0), 0);
    cr_assert_eq(scripted_outcomes(&s, OUTCOME_CLIENT_GONE), 1);
    for (int i = 0; i < 4; i++)
        close(fds[i]);
}

/* --- idle upstreams ----------------------------------------------------------------------------------------------------- */

WHOLE_TEST(dispatch, idle_upstream_that_was_closed_is_passed_over)
{
    struct far_end *stale, *fresh;

    only(0);
    scripted_upstream(&s, 0, 65536, &fresh);
    scripted_upstream(&s, 0, 65536, &stale);
    far_say(client, scripted_job("plus", 1));
    stream_close(&stale->stream); /* in this very turn */
    scripted_turns(&s, 3);
    FAR_HAS(fresh, "POST ");
    far_say(fresh, scripted_answer(1));
    scripted_turns(&s, 2);
    FAR_HAS(client, "200 OK");
    cr_assert_eq(atomic_load(&s.backends->backends[0].now.failures), 0);
}

WHOLE_TEST(dispatch, idle_upstream_that_spoke_unasked_is_not_used)
{
    struct far_end *odd, *good;

    only(0);
    scripted_upstream(&s, 0, 65536, &good);
    scripted_upstream(&s, 0, 65536, &odd);
    far_say(odd, scripted_answer(3));
    far_say(client, scripted_job("plus", 1));
    scripted_turns(&s, 3);
    FAR_HAS(good, "POST ");
    far_say(good, scripted_answer(1));
    scripted_turns(&s, 2);
    FAR_HAS(client, "200 OK");
}

/* --- slow backends ------------------------------------------------------------------------------------------------------ */

/* A job with a body of so many bytes. */
static void ask_much(size_t bytes)
{
    static const char begin_of_body[] = "{\"prompt\":\"";
    char *job = malloc(bytes + 512);
    int head = sprintf(job,
                       "POST /v1/images/generations HTTP/1.1\r\nHost: h\r\nX-Account-Id: a\r\n"
                       "X-Account-Tier: plus\r\nContent-Type: application/json\r\n"
                       "Content-Length: %zu\r\n\r\n",
                       bytes);

    memset(job + head, 'x', bytes);
    memcpy(job + head, begin_of_body, sizeof(begin_of_body) - 1);
    memcpy(job + head + bytes - 2, "\"}", 2);
    far_say_bytes(client, job, (size_t)head + bytes);
    free(job);
    scripted_turns(&s, 4);
}

#define MUCH 200000

static struct far_end *slow_backend(void)
{
    struct far_end *far;

    only(0);
    scripted_upstream(&s, 0, 1000, &far);
    return far;
}

static void ask_slow(void)
{
    ask_much(MUCH);
    cr_assert_eq(c->req->phase, PHASE_DISPATCH);
}

WHOLE_TEST(dispatch, body_at_the_pace_of_the_backend)
{
    struct far_end *far = slow_backend();

    s.config->answer_idle_ms = 5000;
    ask_much(MUCH);
    for (int i = 0; i < 2000 && c->req->phase == PHASE_DISPATCH; i++) {
        far_sip(far, 1000);
        scripted_turns(&s, 1);
    }
    cr_assert_eq(c->req->phase, PHASE_RELAY);
    FAR_HAS(far, "xxx\"}");
    far_say(far, scripted_answer(1));
    scripted_turns(&s, 3);
    FAR_HAS(client, "200 OK");
    cr_assert_not(list_is_empty(&s.gate->pool.idle[0]));
}

WHOLE_TEST(dispatch, answer_that_comes_before_all_is_sent)
{
    struct far_end *far = slow_backend();

    ask_slow();
    far_say(far, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno");
    scripted_turns(&s, 3);
    FAR_HAS(client, "413 Content Too Large");
    cr_assert_null(c->req);
    cr_assert(list_is_empty(&s.gate->pool.idle[0]), "half a job lies on it");
    cr_assert_eq(s.store.used_images, 0);
    cr_assert_eq(scripted_outcomes(&s, OUTCOME_BACKEND_REFUSED), 1);
}

WHOLE_TEST(dispatch, early_answer_in_pieces)
{
    static const char answer[] = "HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno";
    struct far_end *far = slow_backend();

    s.config->answer_idle_ms = 5000;
    ask_slow();
    for (size_t i = 0; i < sizeof(answer) - 1; i++) {
        far_say_bytes(far, answer + i, 1);
        far_sip(far, 100); /* and goes on reading meanwhile */
        scripted_turns(&s, 2);
    }
    FAR_HAS(client, "413 Content Too Large");
}

WHOLE_TEST(dispatch, interim_answer_while_sending_changes_nothing)
{
    struct far_end *far = slow_backend();

    s.config->answer_idle_ms = 5000;
    ask_slow();
    far_say(far, "HTTP/1.1 100 Continue\r\n\r\n");
    for (int i = 0; i < 2000 && c->req->phase == PHASE_DISPATCH; i++) {
        far_sip(far, 1000);
        scripted_turns(&s, 1);
    }
    cr_assert_eq(c->req->phase, PHASE_RELAY);
    far_say(far, scripted_answer(1));
    scripted_turns(&s, 3);
    FAR_HAS(client, "200 OK");
}

WHOLE_TEST(dispatch, lost_while_sending_is_not_sent_again)
{
    struct far_end *far = slow_backend();
    struct far_end *other;

    s.backends->backends[1].max_in_flight = 1;
    scripted_upstream(&s, 1, 65536, &other);
    atomic_store(&s.backends->backends[1].now.is_up, false);
    ask_slow();
    atomic_store(&s.backends->backends[1].now.is_up, true);
    stream_reset(&far->stream);
    scripted_turns(&s, 3);
    FAR_HAS(client, "\"code\":\"backend_lost\"");
    cr_assert_str_eq(far_read(other), "");
    cr_assert_eq(s.store.used_images, 0);
}

WHOLE_TEST(dispatch, sending_timed_out)
{
    slow_backend();
    ask_slow();
    clock_skip_us(60000000);
    SCRIPTED_UNTIL(&s, far_has(client, "504 Gateway Timeout"));
    cr_assert_eq(s.store.used_images, 0);
}

WHOLE_TEST(dispatch, sending_stopped)
{
    slow_backend();
    ask_slow();
    client_stop(c);
    cr_assert_eq(taken(0), 0);
    cr_assert_eq(s.store.used_images, 0);
}

WHOLE_TEST(dispatch, client_that_leaves_while_its_job_is_being_sent)
{
    struct far_end *far = slow_backend();

    s.config->answer_idle_ms = 5000;
    ask_slow();
    stream_reset(&client->stream);
    scripted_turns(&s, 2);
    cr_assert_eq(taken(0), 1, "a part of it is there already");
    for (int i = 0; i < 2000 && c->req->phase == PHASE_DISPATCH; i++) {
        far_sip(far, 1000);
        scripted_turns(&s, 1);
    }
    far_say(far, scripted_answer(1));
    scripted_turns(&s, 3);
    cr_assert_eq(s.store.used_images, 1);
    cr_assert_eq(scripted_outcomes(&s, OUTCOME_CLIENT_LEFT), 1);
}

/* --- heads -------------------------------------------------------------------------------------------------------------- */

WHOLE_TEST(dispatch, fields_that_stay_here_and_fields_that_are_added)
{
    struct far_end *far;

    only(0);
    scripted_upstream(&s, 0, 65536, &far);
    far_say(client,
            "GET http://other/v1/models?x=1 HTTP/1.1\r\nHost: other\r\nX-Account-Id: a\r\n"
            "X-Account-Tier: plus\r\nConnection: x-hop, keep-alive\r\nX-Hop: 1\r\nTE: trailers\r\n"
            "X-Request-Id: mine-1\r\nVia: 1.0 a\r\nvia: 1.0 b\r\n"
            "X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-For: 192.0.2.7\r\n"
            "Forwarded: for=9.9.9.9\r\n\r\n");
    scripted_turns(&s, 3);
    FAR_HAS(far, "GET /base/v1/models?x=1 HTTP/1.1\r\nhost: 127.0.0.1:1\r\n");
    FAR_HAS(far, "x-request-id: mine-1\r\n");
    FAR_HAS(far, "x-forwarded-for: 9.9.9.9, 192.0.2.7, 127.0.0.1\r\n");
    FAR_HAS(far, "forwarded: for=9.9.9.9, for=127.0.0.1;proto=http\r\n");
    FAR_HAS(far, "via: 1.0 a, 1.0 b, 1.1 meltguard\r\n");
    FAR_HAS(far, "traceparent: 00-");
    FAR_LACKS(far, "X-Hop");
    FAR_LACKS(far, "TE:");
    far_say(far, "HTTP/1.1 200 OK\r\nConnection: x-hop\r\nX-Hop: 1\r\nX-Meltguard-Reason: fake\r\n"
                 "X-Request-Id: other\r\nContent-Length: 0\r\n\r\n");
    scripted_turns(&s, 3);
    FAR_HAS(client, "x-request-id: mine-1\r\n");
    FAR_LACKS(client, "X-Hop");
    FAR_LACKS(client, "fake");
    FAR_LACKS(client, "other");
}

WHOLE_TEST(dispatch, lines_are_passed_on_as_they_came)
{
    struct far_end *far;

    only(0);
    scripted_upstream(&s, 0, 65536, &far);
    far_say(client, "GET /v1/models HTTP/1.1\r\nA: 1\r\nb:2\r\nHost: h\r\nX-Account-Id: a\r\n"
                    "X-Account-Tier: plus\r\nEmpty:\r\nC: \t3 \t\r\nd:4\r\nTE: trailers\r\n"
                    "Last: 5\r\n\r\n");
    scripted_turns(&s, 3);
    FAR_HAS(far, "\r\nA: 1\r\nb:2\r\n");
    FAR_HAS(far, "\r\nEmpty: \r\nC: 3\r\nd:4\r\nLast: 5\r\n");
    far_say(far,
            "HTTP/1.1 200 OK\r\ne:6\r\nF: 7\r\nContent-Length: 0\r\nG: 8\r\nh:9 \r\ni:\r\n\r\n");
    scripted_turns(&s, 3);
    FAR_HAS(client, "HTTP/1.1 200 OK\r\ne:6\r\nF: 7\r\nG: 8\r\nh: 9\r\ni: \r\nDate: ");
}

/* A proxy that adds a line of its own to what its client sent is believed, its client is not. */
WHOLE_TEST(dispatch, the_last_line_of_forwarded_for_counts)
{
    struct address from;

    s.store.reserve = ST_PENDING;
    far_say(client, "POST /v1/images/generations HTTP/1.1\r\nHost: h\r\nX-Account-Id: a\r\n"
                    "X-Account-Tier: plus\r\nContent-Type: application/json\r\n"
                    "X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-For: 192.0.2.7, 127.0.0.2\r\n"
                    "Content-Length: 2\r\n\r\n{}");
    scripted_turns(&s, 3);
    cr_assert_eq(address_parse(TEXT("192.0.2.7:0"), &from), ST_OK);
    cr_assert_eq(memcmp(&((struct sockaddr_in *)&c->req->from.sa)->sin_addr,
                        &((struct sockaddr_in *)&from.sa)->sin_addr, 4),
                 0);
    client_stop(c);
}

/* Heads of the largest size, and every backend tried: the memory of the request suffices. */
WHOLE_TEST(dispatch, largest_head_and_many_tries)
{
    enum { LONG = 15000 };
    char *job = malloc(LONG + 512);
    int len = sprintf(job, "GET /v1/models HTTP/1.1\r\nHost: h\r\nX-Account-Id: a\r\n"
                           "X-Account-Tier: plus\r\nX-Long: ");
    struct http_head head = {.head_bytes = 65536, .method_text = TEXT("GET"), .path = TEXT("/")};

    memset(job + len, 'y', LONG);
    strcpy(job + len + LONG, "\r\n\r\n");
    far_say(client, job);
    s.config->connect_timeout_ms = 1000;
    SCRIPTED_UNTIL(&s, far_has(client, "x-meltguard-reason: no_backend\r\n"));
    s.store.reserve = ST_PENDING;
    far_say(client, scripted_job("plus", 1));
    scripted_turns(&s, 3);
    c->req->backend = &s.backends->backends[0];
    for (int i = 0; i < 64; i++)
        cr_assert_gt(forward_job_head(c->req).len, 0);
    cr_assert_gt(forward_answer_head(c->req, &head).len, 0);
    client_stop(c);
    free(job);
}
