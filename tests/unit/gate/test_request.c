/* SPDX-License-Identifier: Apache-2.0 */
/* test_request.c - the walk: each wait of each phase at once, later, cancelled and timed out; what is held comes back. */
#include "base/clock.h"
#include "unit/gate/scripted.h"
#include "unit/whole.h"

#include <string.h>

static struct scripted s;
static struct far_end *client, *backend;
static struct client *c;

static void begin(void)
{
    scripted_open(&s, "timeouts: {head: 20s, body: 20s, answer: 20s, answer_idle: 20s}\n");
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
}

static enum phase phase(void)
{
    return c->req ? c->req->phase : PHASE_NONE;
}

WHOLE_TEST(request, is_delivered)
{
    ask("free", 2);
    cr_assert_eq(phase(), PHASE_RELAY);
    cr_assert_eq(s.store.held_images, 2);
    cr_assert_eq(atomic_load(&s.backends->backends[0].now.in_flight), 1);
    FAR_HAS(backend, "POST /base/v1/images/generations HTTP/1.1\r\nhost: 127.0.0.1:1\r\n");
    FAR_HAS(backend, "{\"prompt\":\"a cat\",\"n\":2}");
    far_say(backend, scripted_answer(2));
    scripted_turns(&s, 3);
    FAR_HAS(client, "HTTP/1.1 200 OK\r\n");
    FAR_HAS(client, "{\"data\":[{\"b64_json\":\"AAAA\"},{\"b64_json\":\"AAAA\"}]}");
    FAR_HAS(client, "RateLimit-Policy: \"daily\";q=3;w=86400\r\n");
    FAR_HAS(client, "RateLimit: \"daily\";r=1;t=");
    cr_assert_eq(s.store.used_images, 2);
    cr_assert_eq(scripted_outcomes(&s, OUTCOME_DELIVERED), 1);
}

WHOLE_TEST(request, gets_back_what_was_not_made)
{
    ask("free", 3);
    far_say(backend, scripted_answer(2));
    scripted_turns(&s, 3);
    FAR_HAS(client, "200 OK");
    cr_assert_eq(s.store.used_images, 2);
}

WHOLE_TEST(request, pays_for_no_more_than_it_asked)
{
    ask("free", 1);
    far_say(backend, scripted_answer(4));
    scripted_turns(&s, 3);
    cr_assert_eq(s.store.used_images, 1);
    cr_assert_eq(
        stats_value(&s.gate->stats, STAT_IMAGES_EXTRA,
                    request_stats_tier(&(struct request){.is_known = true, .config = s.config})),
        3);
}

/* --- HEAD --------------------------------------------------------------------------------------------------------------- */

WHOLE_TEST(request, head_later)
{
    const char *job = scripted_job("free", 1);

    for (size_t i = 0; job[i]; i++) {
        far_say_bytes(client, job + i, 1);
        scripted_turns(&s, 2);
    }
    cr_assert_eq(phase(), PHASE_RELAY);
    far_say(backend, scripted_answer(1));
}

WHOLE_TEST(request, head_cancelled)
{
    far_say(client, "GET / HT");
    scripted_turns(&s, 2);
    cr_assert_eq(phase(), PHASE_HEAD);
    stream_close(&client->stream);
    scripted_turns(&s, 2);
    cr_assert_eq(scripted_outcomes(&s, OUTCOME_CLIENT_GONE), 1);
    cr_assert_eq(s.gate->clients_len, 0);
}

WHOLE_TEST(request, head_timed_out)
{
    far_say(client, "GET / HT");
    scripted_turns(&s, 2);
    clock_skip_us(60000000);
    SCRIPTED_UNTIL(&s, far_has(client, "408 Request Timeout"));
    FAR_HAS(client, "connection: close\r\n");
    stream_close(&client->stream);
    scripted_turns(&s, 2);
}

WHOLE_TEST(request, head_stopped)
{
    far_say(client, "GET / HT");
    scripted_turns(&s, 2);
    client_stop(c);
    cr_assert_eq(scripted_outcomes(&s, OUTCOME_STOPPED), 1);
}

/* --- BODY --------------------------------------------------------------------------------------------------------------- */

static void ask_without_body(void)
{
    char job[512];

    strcpy(job, scripted_job("free", 1));
    *strchr(job, '{') = '\0';
    far_say(client, job);
    scripted_turns(&s, 2);
    cr_assert_eq(phase(), PHASE_BODY);
}

WHOLE_TEST(request, body_later)
{
    ask_without_body();
    far_say(client, "{\"prompt\":\"a cat\",");
    scripted_turns(&s, 2);
    far_say(client, "\"n\":1}");
    scripted_turns(&s, 2);
    cr_assert_eq(phase(), PHASE_RELAY);
    far_say(backend, scripted_answer(1));
}

WHOLE_TEST(request, body_cancelled)
{
    ask_without_body();
    stream_reset(&client->stream);
    scripted_turns(&s, 2);
    cr_assert_eq(scripted_outcomes(&s, OUTCOME_CLIENT_GONE), 1);
    cr_assert_eq(s.store.reserves, 0);
}

WHOLE_TEST(request, body_half_closed)
{
    ask_without_body();
    stream_shut_write(&client->stream);
    scripted_turns(&s, 2);
    cr_assert_eq(scripted_outcomes(&s, OUTCOME_CLIENT_GONE), 1);
}

WHOLE_TEST(request, body_timed_out)
{
    ask_without_body();
    clock_skip_us(60000000);
    SCRIPTED_UNTIL(&s, far_has(client, "408 Request Timeout"));
    cr_assert_eq(scripted_outcomes(&s, OUTCOME_BODY_TIMEOUT), 1);
    stream_close(&client->stream);
    scripted_turns(&s, 2);
}

WHOLE_TEST(request, body_stopped)
{
    ask_without_body();
    client_stop(c);
    cr_assert_eq(scripted_outcomes(&s, OUTCOME_STOPPED), 1);
}

/* --- RESERVE ------------------------------------------------------------------------------------------------------------ */

WHOLE_TEST(request, reserve_refused)
{
    s.store.reserve = ST_LIMIT;
    ask("free", 1);
    FAR_HAS(client, "429 Too Many Requests\r\n");
    FAR_HAS(client, "\"code\":\"insufficient_quota\"");
    FAR_HAS(client, "x-should-retry: false\r\n");
    cr_assert_null(c->req);
}

WHOLE_TEST(request, reserve_unavailable)
{
    s.store.reserve = ST_UNAVAILABLE;
    ask("free", 1);
    FAR_HAS(client, "503 Service Unavailable\r\n");
    FAR_HAS(client, "x-meltguard-reason: store_unavailable\r\n");
}

WHOLE_TEST(request, reserve_later)
{
    s.store.reserve = ST_PENDING;
    ask("free", 1);
    cr_assert_eq(phase(), PHASE_RESERVE);
    scripted_store_done(&s, ST_OK);
    scripted_turns(&s, 2);
    cr_assert_eq(phase(), PHASE_RELAY);
    far_say(backend, scripted_answer(1));
}

WHOLE_TEST(request, reserve_refused_later)
{
    s.store.reserve = ST_PENDING;
    ask("free", 1);
    scripted_store_done(&s, ST_LIMIT);
    FAR_HAS(client, "429 ");
}

WHOLE_TEST(request, reserve_cancelled)
{
    s.store.reserve = ST_PENDING;
    ask("free", 1);
    cr_assert_not_null(s.store.pending);
    client_stop(c);
    cr_assert_null(s.store.pending);
}

WHOLE_TEST(request, reserve_timed_out)
{
    s.store.reserve = ST_PENDING;
    ask("free", 1);
    scripted_store_done(&s, ST_UNAVAILABLE);
    FAR_HAS(client, "503 ");
}

WHOLE_TEST(request, client_half_closed_while_reserving_is_answered)
{
    s.store.reserve = ST_PENDING;
    ask("free", 1);
    stream_shut_write(&client->stream);
    scripted_turns(&s, 2);
    scripted_store_done(&s, ST_OK);
    scripted_turns(&s, 2);
    far_say(backend, scripted_answer(1));
    scripted_turns(&s, 2);
    FAR_HAS(client, "200 OK");
    cr_assert(client->has_fin);
}

/* --- refusals before anything is held ----------------------------------------------------------------------------------- */

static void refused(const char *request, const char *status, enum outcome outcome)
{
    far_say(client, request);
    scripted_turns(&s, 3);
    FAR_HAS(client, status);
    cr_assert_eq(scripted_outcomes(&s, outcome), 1);
    cr_assert_eq(s.store.reserves, 0);
}

WHOLE_TEST(request, unknown_path)
{
    refused("GET /v1/images HTTP/1.1\r\nHost: h\r\n\r\n", "404 Not Found", OUTCOME_UNKNOWN_PATH);
}

WHOLE_TEST(request, unknown_account)
{
    refused("GET /v1/models HTTP/1.1\r\nHost: h\r\n\r\n", "401 Unauthorized", OUTCOME_MISSING_KEY);
}

WHOLE_TEST(request, unknown_tier)
{
    refused(scripted_job("gold", 1), "403 Forbidden", OUTCOME_UNKNOWN_TIER);
}

WHOLE_TEST(request, too_many_images)
{
    refused(scripted_job("free", 4), "400 Bad Request", OUTCOME_TOO_MANY_IMAGES);
    FAR_HAS(client, "at most 3 images");
}

WHOLE_TEST(request, no_backend_up)
{
    atomic_store(&s.backends->backends[0].now.is_up, false);
    atomic_store(&s.backends->backends[1].now.is_up, false);
    refused(scripted_job("plus", 1), "503 ", OUTCOME_NO_BACKEND);
}

/* Neither waited for nor read, and it may be here already: both look the same to the client, who may ask again. */
WHOLE_TEST(request, a_body_that_cannot_matter_is_not_read)
{
    static const char job[] =
        "POST /v1/images/generations HTTP/1.1\r\nHost: h\r\nX-Account-Id: alice\r\n"
        "X-Account-Tier: plus\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\n{]}";

    atomic_store(&s.backends->backends[0].now.is_up, false);
    atomic_store(&s.backends->backends[1].now.is_up, false);
    refused(job, "503 ", OUTCOME_NO_BACKEND);
    cr_assert_not(client->has_fin);
    client->len = 0;
    atomic_store(&s.backends->backends[0].now.is_up, true);
    refused(job, "400 ", OUTCOME_INVALID_REQUEST);
}

WHOLE_TEST(request, safe_path_passes_uncounted)
{
    far_say(client, "HEAD /v1/models HTTP/1.1\r\nHost: h\r\nX-Account-Id: a\r\n"
                    "X-Account-Tier: free\r\n\r\n");
    scripted_turns(&s, 3);
    FAR_HAS(backend, "HEAD /base/v1/models HTTP/1.1\r\n");
    far_say(backend, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
    scripted_turns(&s, 3);
    FAR_HAS(client, "content-length: 10\r\n");
    cr_assert_null(c->req);
    cr_assert_eq(s.store.reserves, 0);
    cr_assert_eq(scripted_outcomes(&s, OUTCOME_DELIVERED), 1);
}

WHOLE_TEST(request, stopped_while_its_answer_waits_for_the_client)
{
    struct far_end *slow;
    struct client *sipper = scripted_client(&s, 1000, &slow);
    static char answer[4096] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: "
                               "3000\r\n\r\n";

    memset(answer + strlen(answer), ' ', 3000);
    far_say(slow, scripted_job("plus", 1));
    scripted_turns(&s, 3);
    far_say(backend, answer);
    scripted_turns(&s, 3);
    cr_assert_not_null(sipper->req);
    cr_assert_eq(sipper->req->phase, PHASE_ANSWER);
    client_stop(sipper);
    cr_assert_eq(shared_requests(&s.shared), 0);
}

WHOLE_TEST(request, phases_have_names)
{
    cr_assert_str_eq(phase_name(PHASE_HEAD), "HEAD");
    cr_assert_str_eq(phase_name(PHASE_LOG), "LOG");
    cr_assert_str_eq(phase_name(PHASE_DONE), "DONE");
}
