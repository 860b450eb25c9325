/* SPDX-License-Identifier: Apache-2.0 */
/* test_relay.c - answers on their way: committed first, counted, held back by slow clients, broken off. */
#include "base/clock.h"
#include "unit/gate/scripted.h"
#include "unit/whole.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OK_JSON "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
#define CHUNKED OK_JSON "Transfer-Encoding: chunked\r\n\r\n"
#define IMAGE   "{\"b64_json\":\"AAAA\"}"

static struct scripted s;
static struct far_end *client, *backend;
static struct client *c;

static void begin(void)
{
    scripted_open(&s, "timeouts: {answer: 20s, answer_idle: 20s, write: 20s}\n");
    c = scripted_client(&s, 65536, &client);
    scripted_upstream(&s, 0, 65536, &backend);
    s.backends->backends[1].max_in_flight = 0;
}

static void end(void)
{
    scripted_close(&s);
}

static void ask(const char *tier, int images)
{
    far_say(client, scripted_job(tier, images));
    scripted_turns(&s, 4);
    cr_assert_eq(c->req->phase, PHASE_RELAY);
}

static void answer(const char *bytes)
{
    far_say(backend, bytes);
    scripted_turns(&s, 3);
}

static void backend_leaves(void)
{
    stream_close(&backend->stream);
    scripted_turns(&s, 3);
}

WHOLE_TEST(relay, head_split_over_reads)
{
    const char *bytes = scripted_answer(1);

    ask("plus", 1);
    for (size_t i = 0; bytes[i]; i++) {
        far_say_bytes(backend, bytes + i, 1);
        scripted_turns(&s, 2);
    }
    FAR_HAS(client, IMAGE);
    cr_assert_eq(s.store.used_images, 1);
}

WHOLE_TEST(relay, interim_answers_are_dropped)
{
    ask("plus", 1);
    answer("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n");
    cr_assert_eq(s.store.commits, 0);
    answer(scripted_answer(1));
    FAR_LACKS(client, "Early");
    FAR_HAS(client, "HTTP/1.1 200 OK\r\n");
}

WHOLE_TEST(relay, switching_protocols_was_not_asked_for)
{
    ask("plus", 1);
    answer("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n");
    FAR_HAS(client, "502 Bad Gateway");
    cr_assert_eq(s.store.used_images, 0);
}

WHOLE_TEST(relay, commits_before_the_first_byte)
{
    s.store.commit = ST_PENDING;
    ask("plus", 1);
    answer(scripted_answer(1));
    cr_assert_eq(client->len + strlen(far_read(client)), 0, "nothing before the commit");
    scripted_store_done(&s, ST_OK);
    FAR_HAS(client, IMAGE);
}

WHOLE_TEST(relay, commit_refused_is_delivered_all_the_same)
{
    s.store.commit = ST_PENDING;
    ask("plus", 1);
    answer(scripted_answer(1));
    scripted_store_done(&s, ST_UNAVAILABLE);
    FAR_HAS(client, IMAGE);
}

/* At once, or later. */
static void lose_the_hold(enum status st, bool is_later)
{
    s.store.loses_holds = true;
    s.store.commit = is_later ? ST_PENDING : st;
    ask("plus", 1);
    answer(scripted_answer(1));
    if (is_later)
        scripted_store_done(&s, st);
    scripted_turns(&s, 3);
    cr_assert_eq(s.store.used_images, 0);
    FAR_LACKS(client, IMAGE);
}

WHOLE_TEST(relay, what_is_no_longer_held_and_used_up_is_not_delivered)
{
    lose_the_hold(ST_LIMIT, false);
    FAR_HAS(client, "HTTP/1.1 429 ");
    FAR_HAS(client, "x-meltguard-reason: quota_exhausted\r\n");
    cr_assert_eq(scripted_outcomes(&s, OUTCOME_QUOTA_EXHAUSTED), 1);
}

WHOLE_TEST(relay, what_is_no_longer_held_is_told_later)
{
    lose_the_hold(ST_LIMIT, true);
    FAR_HAS(client, "HTTP/1.1 429 ");
}

WHOLE_TEST(relay, what_is_no_longer_held_waits_for_a_store)
{
    lose_the_hold(ST_UNAVAILABLE, true);
    FAR_HAS(client, "HTTP/1.1 503 ");
    cr_assert_eq(scripted_outcomes(&s, OUTCOME_STORE_UNAVAILABLE), 1);
}

WHOLE_TEST(relay, a_tier_that_passes_without_a_store_gets_what_is_no_longer_held)
{
    s.store.loses_holds = true;
    s.store.commit = ST_PENDING;
    ask("plus", 1);
    c->req->terms->on_store_down = STORE_DOWN_OPEN;
    answer(scripted_answer(1));
    scripted_store_done(&s, ST_UNAVAILABLE);
    FAR_HAS(client, IMAGE);
}

WHOLE_TEST(relay, commit_cancelled)
{
    s.store.commit = ST_PENDING;
    ask("plus", 1);
    answer(scripted_answer(1));
    cr_assert_not_null(s.store.pending);
    client_stop(c);
    cr_assert_null(s.store.pending);
    cr_assert_eq(s.store.used_images, 1);
}

WHOLE_TEST(relay, chunked_answer)
{
    ask("plus", 2);
    answer(CHUNKED "9\r\n{\"data\":[\r\n13\r\n" IMAGE "\r\n");
    FAR_HAS(client, "transfer-encoding: chunked\r\n");
    FAR_LACKS(client, "0\r\n\r\n");
    cr_assert_eq(s.store.settles, 0);
    answer("2\r\n]}\r\n0\r\nTrailer: x\r\n\r\n");
    FAR_HAS(client, "\r\n0\r\n\r\n");
    FAR_LACKS(client, "Trailer");
    cr_assert_eq(s.store.used_images, 1, "one of two came");
    cr_assert(stream_is_open(&c->stream));
}

WHOLE_TEST(relay, chunked_answer_to_an_old_client)
{
    char job[512];

    strcpy(job, scripted_job("plus", 1));
    memcpy(strstr(job, "HTTP/1.1"), "HTTP/1.0", 8);
    far_say(client, job);
    scripted_turns(&s, 3);
    answer(CHUNKED "9\r\n{\"data\":[\r\n13\r\n" IMAGE "\r\n2\r\n]}\r\n0\r\n\r\n");
    FAR_HAS(client, "connection: close\r\n");
    FAR_HAS(client, "\r\n\r\n{\"data\":[" IMAGE "]}");
    FAR_LACKS(client, "chunked");
    cr_assert(client->has_fin);
}

WHOLE_TEST(relay, answer_that_ends_with_its_connection)
{
    ask("plus", 1);
    answer(OK_JSON "\r\n{\"data\":[" IMAGE "]}");
    FAR_LACKS(client, "0\r\n\r\n");
    stream_shut_write(&backend->stream);
    scripted_turns(&s, 3);
    FAR_HAS(client, "\r\n0\r\n\r\n");
    cr_assert_eq(s.store.used_images, 1);
    cr_assert(list_is_empty(&s.gate->pool.idle[0]), "it cannot serve again");
}

WHOLE_TEST(relay, failed_job_costs_nothing)
{
    ask("free", 2);
    answer("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\n\r\nno");
    FAR_HAS(client, "500 Internal Server Error");
    FAR_HAS(client, "RateLimit: \"daily\";r=3;");
    cr_assert_eq(s.store.used_images, 0);
    cr_assert_eq(scripted_outcomes(&s, OUTCOME_BACKEND_FAILED), 1);
}

WHOLE_TEST(relay, refused_job_costs_nothing)
{
    ask("free", 2);
    answer("HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nno");
    cr_assert_eq(s.store.used_images, 0);
    cr_assert_eq(scripted_outcomes(&s, OUTCOME_BACKEND_REFUSED), 1);
    cr_assert_eq(atomic_load(&s.backends->backends[0].now.failures), 0);
}

WHOLE_TEST(relay, lost_before_its_head)
{
    ask("free", 2);
    backend_leaves();
    FAR_HAS(client, "502 Bad Gateway");
    FAR_HAS(client, "\"code\":\"backend_lost\"");
    cr_assert_eq(s.store.used_images, 0);
    cr_assert(stream_is_open(&c->stream));
}

WHOLE_TEST(relay, head_timed_out)
{
    ask("free", 2);
    clock_skip_us(60000000);
    SCRIPTED_UNTIL(&s, far_has(client, "504 Gateway Timeout"));
    cr_assert_eq(s.store.used_images, 0);
}

WHOLE_TEST(relay, head_cancelled)
{
    ask("free", 2);
    client_stop(c);
    scripted_turns(&s, 1);
    (void)far_read(backend);
    cr_assert(backend->has_fin || backend->is_broken);
    cr_assert_eq(s.store.used_images, 0);
}

WHOLE_TEST(relay, not_http)
{
    ask("free", 2);
    answer("SSH-2.0-OpenSSH\r\n");
    FAR_HAS(client, "\"code\":\"backend_invalid\"");
}

WHOLE_TEST(relay, broken_off_is_charged_by_whole_images_and_reset)
{
    ask("free", 3);
    answer(OK_JSON "Content-Length: 1000\r\n\r\n{\"data\":[" IMAGE ",{\"b64_js");
    FAR_HAS(client, "200 OK");
    backend_leaves();
    (void)far_read(client);
    cr_assert(client->is_broken, "it must not look whole");
    cr_assert_eq(s.store.used_images, 1);
    cr_assert_eq(scripted_outcomes(&s, OUTCOME_BROKEN_OFF), 1);
}

WHOLE_TEST(relay, piece_timed_out)
{
    ask("free", 3);
    answer(OK_JSON "Content-Length: 1000\r\n\r\n{\"data\":[");
    clock_skip_us(60000000);
    SCRIPTED_UNTIL(&s, shared_requests(&s.shared) == 0);
    cr_assert_eq(s.store.used_images, 0);
    cr_assert_eq(scripted_outcomes(&s, OUTCOME_BROKEN_OFF), 1);
}

WHOLE_TEST(relay, chunk_framing_broken)
{
    ask("free", 1);
    answer(CHUNKED "9\r\n{\"data\":[\r\nzz\r\n");
    cr_assert_eq(scripted_outcomes(&s, OUTCOME_BROKEN_OFF), 1);
    cr_assert_eq(s.store.used_images, 0);
}

WHOLE_TEST(relay, client_that_leaves_pays_and_the_backend_is_heard_out)
{
    ask("free", 1);
    stream_reset(&client->stream);
    scripted_turns(&s, 2);
    cr_assert_eq(atomic_load(&s.backends->backends[0].now.in_flight), 1, "the GPU is at work");
    answer(scripted_answer(1));
    cr_assert_eq(s.store.used_images, 1);
    cr_assert_eq(s.gate->clients_len, 0);
    cr_assert_not(list_is_empty(&s.gate->pool.idle[0]));
}

/* --- back-pressure ------------------------------------------------------------------------------------------------------ */

static char *big_answer(size_t bytes, size_t *out_len)
{
    char *big = malloc(bytes + 512);
    int head =
        sprintf(big, OK_JSON "Content-Length: %zu\r\n\r\n{\"data\":[{\"b64_json\":\"", bytes);
    size_t at = (size_t)head;
    size_t content = bytes - strlen("{\"data\":[{\"b64_json\":\"");

    memset(big + at, 'A', content);
    memcpy(big + at + content - 4, "\"}]}", 4);
    *out_len = at + content;
    return big;
}

WHOLE_TEST(relay, slow_client_holds_the_backend_back)
{
    struct far_end *slow;
    size_t len, sent = 0;
    char *big = big_answer(600000, &len);

    client_stop(c);
    c = scripted_client(&s, 1000, &slow);
    far_say(slow, scripted_job("plus", 1));
    scripted_turns(&s, 4);
    s.config->write_timeout_ms = 5000;
    s.config->answer_idle_ms = 5000;
    for (int i = 0; i < 300; i++) {
        sent += far_push(backend, big + sent, len - sent);
        scripted_turns(&s, 1);
    }
    cr_assert_lt(sent, 500000, "what the client does not read is not read here");
    cr_assert_lt(c->backlog_len, 300000);
    for (int i = 0; i < 5000 && c->req; i++) {
        sent += far_push(backend, big + sent, len - sent);
        far_sip(slow, 1000);
        scripted_turns(&s, 1);
    }
    cr_assert_eq(sent, len);
    (void)far_read(slow);
    cr_assert_eq(memcmp(slow->got + slow->len - 600000, big + len - 600000, 600000), 0);
    cr_assert_eq(s.store.used_images, 1);
    cr_assert_null(c->backlog);
    free(big);
}

WHOLE_TEST(relay, client_that_takes_nothing_is_dropped)
{
    struct far_end *slow;
    size_t len;
    char *big = big_answer(60000, &len);

    client_stop(c);
    c = scripted_client(&s, 1000, &slow);
    far_say(slow, scripted_job("plus", 1));
    scripted_turns(&s, 4);
    (void)far_push(backend, big, len);
    scripted_turns(&s, 10);
    clock_skip_us(60000000);
    SCRIPTED_UNTIL(&s, s.gate->clients_len == 0);
    cr_assert_eq(scripted_outcomes(&s, OUTCOME_CLIENT_LEFT), 1);
    cr_assert_eq(s.store.used_images, 1, "the GPU did the work");
    free(big);
}

WHOLE_TEST(relay, bytes_sent_ahead_while_flushing_do_not_spin)
{
    struct far_end *slow;
    size_t len;
    char *big = big_answer(60000, &len);
    size_t sent;

    s.config->write_timeout_ms = 5000;
    s.gate->buffer_size = 5000;
    client_stop(c);
    c = scripted_client(&s, 1000, &slow);
    far_say(slow, scripted_job("plus", 1));
    scripted_turns(&s, 4);
    sent = far_push(backend, big, len - 1);
    scripted_turns(&s, 3);
    cr_assert_eq(c->req->relay_wait, RELAY_CLIENT);
    far_say(slow, "GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
    scripted_turns(&s, 3);
    cr_assert_eq(c->stream.wanted & STREAM_READ, 0, "nobody waits for more");
    far_say_bytes(backend, big + sent, len - sent);
    for (int i = 0; i < 200 && !far_has(slow, "404 Not Found"); i++)
        scripted_turns(&s, 1);
    FAR_HAS(slow, "404 Not Found");
    free(big);
}

WHOLE_TEST(relay, fast_backend_leaves_room_for_others)
{
    size_t len, sent = 0;
    char *big = big_answer(900000, &len);
    struct far_end *fast;
    struct client *other;
    struct far_end *other_end;

    stream_close(&backend->stream);
    scripted_turns(&s, 2);
    scripted_upstream(&s, 0, 1 << 20, &fast);
    s.gate->buffer_size = 1000;
    ask("plus", 1);
    sent = far_push(fast, big, len);
    cr_assert_eq(sent, len);
    other = scripted_client(&s, 65536, &other_end);
    far_say(other_end, "GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n");
    scripted_turns(&s, 3);
    cr_assert_not_null(c->req, "900 pieces take more than three turns");
    FAR_HAS(other_end, "404 Not Found");
    cr_assert_null(other->req);
    for (int i = 0; i < 2000 && c->req; i++) {
        scripted_turns(&s, 1);
        (void)far_read_anew(client);
    }
    cr_assert_null(c->req);
    free(big);
}

WHOLE_TEST(relay, what_comes_back_is_on_its_way_before_the_last_byte)
{
    ask("plus", 3);
    answer(OK_JSON "Content-Length: 30\r\n\r\n{\"data\":[");
    s.store.commit = ST_PENDING;
    answer(IMAGE "]}");
    cr_assert_eq(c->req->relay_wait, RELAY_SETTLE);
    FAR_LACKS(client, "]}");
    scripted_store_done(&s, ST_OK);
    FAR_HAS(client, "{\"data\":[" IMAGE "]}");
    cr_assert_eq(s.store.used_images, 1);
}

WHOLE_TEST(relay, stopped_with_a_client_that_does_not_read)
{
    struct far_end *slow;
    size_t len;
    char *big = big_answer(60000, &len);

    s.config->write_timeout_ms = 5000;
    client_stop(c);
    c = scripted_client(&s, 1000, &slow);
    far_say(slow, scripted_job("plus", 1));
    scripted_turns(&s, 4);
    (void)far_push(backend, big, len - 1);
    scripted_turns(&s, 3);
    cr_assert_gt(c->backlog_len, 0);
    gate_stop(s.gate);
    cr_assert_eq(shared_requests(&s.shared), 0, "it waits for nobody");
    free(big);
}
