/* SPDX-License-Identifier: Apache-2.0 */
/* test_client.c - connections: requests sent ahead, half-closed and broken ones, lingering, slow readers. */
#include "base/clock.h"
#include "unit/gate/scripted.h"
#include "unit/whole.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOWHERE "GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n"

static struct scripted s;
static struct far_end *far;
static struct client *c;

static void begin(void)
{
    scripted_open(&s, "timeouts: {keep_alive: 20s, body: 20s}\n");
    c = scripted_client(&s, 65536, &far);
}

static void end(void)
{
    scripted_close(&s);
}

WHOLE_TEST(client, idle_for_too_long_is_closed)
{
    scripted_turns(&s, 1);
    clock_skip_us(60000000);
    SCRIPTED_UNTIL(&s, s.gate->clients_len == 0);
    cr_assert_eq(atomic_load(&s.shared.connections), 0);
    cr_assert_str_eq(far_read(far), "");
    cr_assert(far->has_fin);
}

WHOLE_TEST(client, that_leaves_idle_is_closed)
{
    stream_close(&far->stream);
    scripted_turns(&s, 2);
    cr_assert_eq(s.gate->clients_len, 0);
}

WHOLE_TEST(client, keeps_its_connection)
{
    for (int i = 0; i < 3; i++) {
        far_say(far, NOWHERE);
        scripted_turns(&s, 2);
        cr_assert_eq(scripted_count(far_read_anew(far), "404 Not Found"), 1);
    }
    cr_assert_eq(s.gate->clients_len, 1);
    cr_assert_null(c->slab);
}

WHOLE_TEST(client, requests_sent_ahead_are_answered_in_order)
{
    far_say(far, NOWHERE "GET /v1/models HTTP/1.1\r\nHost: h\r\n\r\n" NOWHERE NOWHERE);
    scripted_turns(&s, 5);
    cr_assert_eq(scripted_count(far_read(far), "404 Not Found"), 3);
    cr_assert_eq(scripted_count(far->got, "401 Unauthorized"), 1);
    cr_assert_gt(strstr(far->got, "401 "), strstr(far->got, "404 "));
    cr_assert_lt(strstr(far->got, "401 "), strstr(strstr(far->got, "401 "), "404 "));
}

WHOLE_TEST(client, half_a_request_sent_ahead_is_waited_for)
{
    struct far_end *backend;

    scripted_upstream(&s, 0, 65536, &backend);
    far_say(far, scripted_job("plus", 1));
    scripted_turns(&s, 3);
    far_say(far, "GET /nowh");
    scripted_turns(&s, 3); /* nobody waits for it: read once, then no more */
    far_say(backend, scripted_answer(1));
    scripted_turns(&s, 3);
    FAR_HAS(far, "200 OK");
    far_say(far, "ere HTTP/1.1\r\nHost: h\r\n\r\n");
    scripted_turns(&s, 3);
    FAR_HAS(far, "404 Not Found");
}

WHOLE_TEST(client, half_a_body_sent_ahead_is_waited_for)
{
    struct far_end *backend;
    char ahead[512];

    scripted_upstream(&s, 0, 65536, &backend);
    far_say(far, scripted_job("plus", 1));
    scripted_turns(&s, 3);
    strcpy(ahead, scripted_job("plus", 1));
    far_say_bytes(far, ahead, strlen(ahead) - 5);
    scripted_turns(&s, 3);
    far_say(backend, scripted_answer(1));
    scripted_turns(&s, 3);
    far_say_bytes(far, ahead + strlen(ahead) - 5, 5);
    scripted_turns(&s, 3);
    cr_assert_eq(c->req->phase, PHASE_RELAY);
    far_say(backend, scripted_answer(1));
    scripted_turns(&s, 3);
    cr_assert_eq(scripted_count(far_read(far), "200 OK"), 2);
}

/* The end of one request and more bytes of the next in one turn: the next begins once. */
WHOLE_TEST(client, bytes_in_the_turn_in_which_the_next_request_is_put_off)
{
    struct far_end *backend;

    scripted_upstream(&s, 0, 65536, &backend);
    far_say(far, scripted_job("plus", 1));
    far_say(far, "GET /nowh");
    scripted_turns(&s, 3);
    cr_assert_not_null(c->slab, "the next is here already, in part");
    cr_assert(c->stream.wanted & STREAM_READ);
    far_say(backend, scripted_answer(1));
    far_say(far, "ere HTTP");
    scripted_turns(&s, 3);
    FAR_HAS(far, "200 OK");
    cr_assert_eq(shared_requests(&s.shared), 1);
    far_say(far, "/1.1\r\nHost: h\r\n\r\n");
    scripted_turns(&s, 3);
    cr_assert_eq(scripted_count(far_read(far), "404 Not Found"), 1);
    cr_assert_eq(shared_requests(&s.shared), 0);
}

WHOLE_TEST(client, more_than_a_slab_sent_ahead)
{
    size_t sent = 0, len = strlen(NOWHERE) * 1500;
    char *ahead = malloc(len + 1);
    int answers = 0;

    ahead[0] = '\0';
    for (int i = 0; i < 1500; i++)
        memcpy(ahead + (size_t)i * strlen(NOWHERE), NOWHERE, strlen(NOWHERE));
    for (int i = 0; i < 2000 && answers < 1500; i++) {
        sent += far_push(far, ahead + sent, len - sent);
        scripted_turns(&s, 1);
        answers += scripted_count(far_read_anew(far), "404 Not Found");
    }
    cr_assert_geq(answers, 1490, "%d", answers); /* one may be cut in two between two reads */
    cr_assert_null(c->req);
    free(ahead);
}

WHOLE_TEST(client, half_closed_still_gets_its_answers)
{
    far_say(far, NOWHERE NOWHERE);
    stream_shut_write(&far->stream);
    scripted_turns(&s, 4);
    cr_assert_eq(scripted_count(far_read(far), "404 Not Found"), 2);
    cr_assert(far->has_fin);
    cr_assert_eq(s.gate->clients_len, 0);
}

/* An unanswered request must not be followed by an answer, which would seem to be its own. */
WHOLE_TEST(client, half_closed_in_the_queue_ends_without_an_answer_to_what_follows)
{
    s.backends->backends[0].max_in_flight = 0;
    s.backends->backends[1].max_in_flight = 0;
    far_say(far, scripted_job("plus", 1));
    far_say(far, NOWHERE);
    scripted_turns(&s, 3);
    cr_assert_eq(c->req->phase, PHASE_QUEUE);
    stream_shut_write(&far->stream);
    scripted_turns(&s, 3);
    cr_assert_str_eq(far_read(far), "");
    cr_assert_eq(s.gate->clients_len, 0);
}

WHOLE_TEST(client, half_closed_before_the_queue_ends_likewise)
{
    s.backends->backends[0].max_in_flight = 0;
    s.backends->backends[1].max_in_flight = 0;
    s.store.reserve = ST_PENDING;
    far_say(far, scripted_job("plus", 1));
    scripted_turns(&s, 3);
    far_say(far, NOWHERE);
    stream_shut_write(&far->stream);
    scripted_turns(&s, 3);
    c->is_half_closed = true;
    scripted_store_done(&s, ST_OK);
    scripted_turns(&s, 4);
    cr_assert_str_eq(far_read(far), "");
    cr_assert_eq(scripted_outcomes(&s, OUTCOME_CLIENT_GONE), 1);
    cr_assert_eq(scripted_outcomes(&s, OUTCOME_UNKNOWN_PATH), 0);
}

WHOLE_TEST(client, expects_to_be_asked_for_its_body)
{
    far_say(far, "POST /v1/images/generations HTTP/1.1\r\nHost: h\r\nX-Account-Id: a\r\n"
                 "X-Account-Tier: plus\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    scripted_turns(&s, 2);
    cr_assert_str_eq(far_read_anew(far), "HTTP/1.1 100 Continue\r\n\r\n");
    far_say(far, "{}");
    scripted_turns(&s, 2);
    FAR_HAS(far, "400 Bad Request"); /* no Content-Type */
}

WHOLE_TEST(client, refused_before_its_body_is_read_may_go_on_sending)
{
    static const char body[4000];
    size_t sent = 0;

    far_say(far,
            "POST /v1/images/generations HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n");
    scripted_turns(&s, 2);
    FAR_HAS(far, "401 Unauthorized");
    FAR_HAS(far, "connection: close");
    cr_assert(c->is_lingering);
    for (int i = 0; i < 20; i++) {
        sent += far_push(far, body, sizeof(body));
        scripted_turns(&s, 1);
    }
    cr_assert_eq(sent, 80000, "it is read away");
    stream_close(&far->stream);
    scripted_turns(&s, 2);
    cr_assert_eq(s.gate->clients_len, 0);
}

WHOLE_TEST(client, sends_a_large_body_without_keeping_others_from_their_turn)
{
    enum { LEN = 900000 };
    char head[256];
    char *body = malloc(LEN);
    struct far_end *fast, *other_end;
    struct client *sender = scripted_client(&s, 1 << 20, &fast);

    scripted_client(&s, 65536, &other_end);
    memset(body, ' ', LEN);
    s.gate->buffer_size = 1000;
    snprintf(head, sizeof(head),
             "POST /v1/images/generations HTTP/1.1\r\nHost: h\r\nX-Account-Id: a\r\n"
             "X-Account-Tier: plus\r\nContent-Length: %d\r\n\r\n",
             LEN);
    far_say(fast, head);
    far_say_bytes(fast, body, LEN);
    far_say(other_end, NOWHERE);
    scripted_turns(&s, 3);
    FAR_HAS(other_end, "404 Not Found");
    cr_assert_eq(sender->req->phase, PHASE_BODY, "900 pieces take more than three turns");
    for (int i = 0; i < 200 && sender->req; i++)
        scripted_turns(&s, 1);
    FAR_HAS(fast, "400 Bad Request");
    free(body);
}

WHOLE_TEST(client, drained_while_idle_is_closed)
{
    atomic_store(&s.shared.is_draining, true);
    gate_drain(s.gate);
    cr_assert_eq(s.gate->clients_len, 0);
}

WHOLE_TEST(client, drained_at_work_is_told_so)
{
    s.store.reserve = ST_PENDING;
    far_say(far, scripted_job("plus", 1));
    scripted_turns(&s, 3);
    atomic_store(&s.shared.is_draining, true);
    gate_drain(s.gate);
    cr_assert_eq(s.gate->clients_len, 1);
    scripted_store_done(&s, ST_LIMIT);
    FAR_HAS(far, "connection: close\r\n");
    scripted_turns(&s, 2);
    cr_assert_eq(s.gate->clients_len, 0);
}

WHOLE_TEST(client, head_too_large)
{
    char *head = malloc(20000);

    memset(head, 'a', 20000);
    memcpy(head, "GET / HTTP/1.1\r\nX: ", 19);
    far_say_bytes(far, head, 20000);
    scripted_turns(&s, 3);
    FAR_HAS(far, "431 ");
    cr_assert(c->is_lingering);
    free(head);
}

WHOLE_TEST(client, chunked_body_and_what_follows_it)
{
    far_say(far, "POST /v1/images/generations HTTP/1.1\r\nHost: h\r\nX-Account-Id: a\r\n"
                 "X-Account-Tier: plus\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n");
    scripted_turns(&s, 2);
    far_say(far, "1\r\n}\r\n0\r\n\r\n" NOWHERE);
    scripted_turns(&s, 3);
    FAR_HAS(far, "400 Bad Request");
    FAR_HAS(far, "404 Not Found");
}

WHOLE_TEST(client, that_breaks_before_its_job_is_sent_is_given_up)
{
    s.store.reserve = ST_PENDING;
    far_say(far, scripted_job("plus", 1));
    scripted_turns(&s, 3);
    stream_reset(&far->stream);
    scripted_turns(&s, 2);
    cr_assert_null(s.store.pending, "nobody waits for it any more");
    cr_assert_eq(scripted_outcomes(&s, OUTCOME_CLIENT_GONE), 1);
    cr_assert_eq(s.gate->clients_len, 0);
}
