/* SPDX-License-Identifier: Apache-2.0 */
/* test_answer.c - what refusals look like, and that the longest of them fits. */
#include "unit/gate/scripted.h"
#include "unit/whole.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct scripted s;
static struct far_end *far;
static struct client *c;

static void begin(void)
{
    scripted_open(&s, "");
    c = scripted_client(&s, 65536, &far);
}

static void end(void)
{
    scripted_close(&s);
}

static void ask_with(const char *tier, const char *fields)
{
    char job[4096];
    const char *plain = scripted_job(tier, 1);
    const char *at = strstr(plain, "\r\n") + 2;

    snprintf(job, sizeof(job), "%.*s%s%s", (int)(at - plain), plain, fields, at);
    far_say(far, job);
    scripted_turns(&s, 4);
}

static void heat_all(void)
{
    struct load_sample sample;

    load_sample_clear(&sample);
    sample.taken_us = loop_now_us(s.loop);
    sample.temperature_mc = 95000;
    for (int i = 0; i < s.backends->len; i++)
        backend_report(&s.backends->backends[i], &sample);
}

WHOLE_TEST(answer, quota_spent)
{
    s.store.reserve = ST_LIMIT;
    ask_with("free", "");
    FAR_HAS(far, "HTTP/1.1 429 Too Many Requests\r\n");
    FAR_HAS(far, "RateLimit-Policy: \"daily\";q=3;w=86400\r\n");
    FAR_HAS(far, "RateLimit: \"daily\";r=0;t=");
    FAR_HAS(far, "X-RateLimit-Limit-Images: 3\r\n");
    FAR_HAS(far, "X-RateLimit-Remaining-Images: 0\r\n");
    FAR_HAS(far, "retry-after: ");
    FAR_HAS(far, "x-meltguard-reason: quota_exhausted\r\n");
    FAR_HAS(far, "You exceeded your daily quota of 3 images. It resets at ");
    FAR_HAS(far, "T00:00:00+09:00.");
    FAR_HAS(far, "\"type\":\"insufficient_quota\"");
}

WHOLE_TEST(answer, quota_spent_as_problem_details)
{
    s.store.reserve = ST_LIMIT;
    ask_with("free", "Accept: application/problem+json\r\n");
    FAR_HAS(far, "content-type: application/problem+json\r\n");
    FAR_HAS(far, "#quota-exceeded");
    FAR_HAS(far, "\"violated-policies\":[\"daily\"]");
}

static long retry_after(void)
{
    const char *at = strstr(far_read(far), "retry-after: ");

    cr_assert_not_null(at);
    return strtol(at + strlen("retry-after: "), NULL, 10);
}

WHOLE_TEST(answer, shed_in_the_language_of_the_client)
{
    heat_all();
    ask_with("free", "Accept-Language: fr, ko-KR;q=0.8\r\n");
    FAR_HAS(far, "503 Service Unavailable");
    FAR_HAS(far, "content-language: ko\r\n");
    FAR_HAS(far, "지금은 이미지 생성을 사용할 수 없습니다");
    FAR_HAS(far, "\"code\":\"server_is_overloaded\"");
    FAR_LACKS(far, "x-should-retry");
    cr_assert(retry_after() >= 1 && retry_after() <= 60);
}

/* What one was told is kept for the next one: not what it was not told. */
WHOLE_TEST(answer, each_of_many_is_told_its_own)
{
    static const struct {
        const char *fields, *has, *lacks;
    } cases[] = {
        {"", "\r\ncontent-type: application/json\r\n", "content-language: ko\r\n"},
        {"Accept-Language: ko\r\n", "지금은 이미지 생성을", "problem+json"},
        {"Accept-Language: ko\r\nAccept: application/problem+json\r\n", "problem+json\r\n",
         "\"error\":"},
        {"Accept: application/problem+json\r\n", "problem+json\r\n", "content-language: ko"},
        {"", "\"code\":\"server_is_overloaded\"", "problem+json"},
    };

    heat_all();
    for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
        c = scripted_client(&s, 65536, &far);
        ask_with("free", cases[i / 2].fields);
        FAR_HAS(far, "503 Service Unavailable");
        FAR_HAS(far, cases[i / 2].has);
        FAR_LACKS(far, cases[i / 2].lacks);
    }
}

static void ask_for_too_many(const char *body, const char *told)
{
    char job[512];
    struct far_end *one;

    scripted_client(&s, 65536, &one);
    snprintf(job, sizeof(job),
             "POST /v1/images/generations HTTP/1.1\r\nHost: h\r\nX-Account-Id: a\r\n"
             "X-Account-Tier: free\r\nContent-Type: application/json\r\n"
             "Content-Length: %zu\r\n\r\n%s",
             strlen(body), body);
    far_say(one, job);
    scripted_turns(&s, 4);
    FAR_HAS(one, "400 Bad Request");
    FAR_HAS(one, told);
}

WHOLE_TEST(answer, numbers_and_complaints_are_each_ones_own)
{
    for (int i = 0; i < 2; i++) {
        ask_for_too_many("{\"prompt\":\"x\",\"n\":9}", "'n' is 9; ");
        ask_for_too_many("{\"prompt\":\"x\",\"n\":8}", "'n' is 8; ");
        ask_for_too_many("{\"prompt\":\"x\",\"n\":1.5}", "\"param\":\"n\"");
    }
}

WHOLE_TEST(answer, head_request_gets_no_body)
{
    far_say(far, "HEAD /nowhere HTTP/1.1\r\nHost: h\r\n\r\n");
    scripted_turns(&s, 3);
    FAR_HAS(far, "404 Not Found");
    FAR_HAS(far, "content-length: ");
    FAR_LACKS(far, "{");
    cr_assert(stream_is_open(&c->stream));
}

WHOLE_TEST(answer, old_client_is_told_that_its_connection_stays)
{
    far_say(far, "GET /nowhere HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    scripted_turns(&s, 3);
    FAR_HAS(far, "connection: keep-alive\r\n");
    cr_assert_eq(s.gate->clients_len, 1);
    far_say(far, "GET /nowhere HTTP/1.0\r\n\r\n");
    scripted_turns(&s, 3);
    FAR_HAS(far, "connection: close\r\n");
    cr_assert_eq(s.gate->clients_len, 0);
}

WHOLE_TEST(answer, methods_and_versions)
{
    static const struct {
        const char *request, *status;
    } cases[] = {
        {"BREW / HTTP/1.1\r\nHost: h\r\n\r\n", "501 Not Implemented"},
        {"GET / HTTP/2.0\r\nHost: h\r\n\r\n", "505 HTTP Version Not Supported"},
        {"GET / HTTP/1.1\r\n\r\n", "400 Bad Request"},
        {"POST /v1/images/generations HTTP/1.1\r\nHost: h\r\nX-Account-Id: a\r\n"
         "X-Account-Tier: plus\r\n\r\n",
         "411 Length Required"},
        {"POST /v1/images/generations HTTP/1.1\r\nHost: h\r\nX-Account-Id: a\r\n"
         "X-Account-Tier: plus\r\nContent-Length: 99999999999\r\n\r\n",
         "413 Content Too Large"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct far_end *one;

        scripted_client(&s, 65536, &one);
        far_say(one, cases[i].request);
        scripted_turns(&s, 3);
        FAR_HAS(one, cases[i].status);
        FAR_HAS(one, "connection: close\r\n");
        stream_close(&one->stream);
        scripted_turns(&s, 2);
    }
}

WHOLE_TEST(answer, wrong_body_names_the_field)
{
    far_say(far, "POST /v1/images/generations HTTP/1.1\r\nHost: h\r\nX-Account-Id: a\r\n"
                 "X-Account-Tier: plus\r\nContent-Type: application/json\r\n"
                 "Content-Length: 9\r\n\r\n{\"n\":1.5}");
    scripted_turns(&s, 3);
    FAR_HAS(far, "400 Bad Request");
    FAR_HAS(far, "\"param\":\"n\"");
    FAR_HAS(far, "\"type\":\"invalid_request_error\"");
    cr_assert_eq(s.gate->clients_len, 1, "the connection is good for another");
}

/* With the longest of all that goes in: the message of a policy, a request id, a language, numbers. */
static void longest(enum outcome outcome, bool wants_problem, const char *message)
{
    static char id[REQUEST_ID_MAX + 1];
    struct message in_policy = {"abcdefgh", message};
    struct far_end *one;
    struct client *client = scripted_client(&s, 65536, &one);
    struct request *req;

    s.store.reserve = ST_PENDING;
    far_say(one, scripted_job("plus", 1));
    scripted_turns(&s, 3);
    req = client->req;
    memset(id, 'i', REQUEST_ID_MAX);
    req->id = id;
    req->message = &in_policy;
    req->wants_problem = wants_problem;
    struct reservation reservation;

    memcpy(&reservation, req->reservation, reservation_bytes(1));
    req->reservation = &reservation;
    reservation.limits_len = LIMITS_MAX;
    for (int i = 0; i < LIMITS_MAX; i++) {
        reservation.limits[i] = reservation.limits[0];
        reservation.limits[i].limit.rule.units = INT64_MAX / 4;
        reservation.limits[i].limit.image_units = 1000;
        reservation.limits[i].reset_us = INT64_C(99999999999000000);
        reservation.limits[i].limit.window.end_s = INT64_C(99999999999);
        reservation.limits[i].limit.window.start_s = 0;
    }
    reservation.refused_by = 0;
    struct complaint complaint = {.message = text_of(message), .param = TEXT("response_format")};

    req->complaint = &complaint;
    client->must_close = true;
    request_abort(req, outcome);
    FAR_HAS(one, id);
    if (!outcome_rows[outcome].message || outcome == OUTCOME_INVALID_REQUEST)
        FAR_HAS(one, wants_problem ? "\"reason\":" : "}}");
    scripted_turns(&s, 2);
}

WHOLE_TEST(answer, the_longest_fit_their_buffers)
{
    char message[1001];

    memset(message, '"', 1000);
    message[1000] = '\0';
    s.store.reserve = ST_PENDING;
    for (int problem = 0; problem < 2; problem++) {
        longest(OUTCOME_GPU_TEMPERATURE, problem, message);
        longest(OUTCOME_QUOTA_EXHAUSTED, problem, message);
        longest(OUTCOME_INVALID_REQUEST, problem, message);
        longest(OUTCOME_TOO_MANY_IMAGES, problem, message);
        longest(OUTCOME_MISSING_KEY, problem, message);
        memset(message, 0x01, 1000);
    }
}

WHOLE_TEST(answer, message_of_a_policy_comes_whole)
{
    char long_message[1001];
    struct message in_policy = {"en", long_message};

    memset(long_message, 'm', 1000);
    long_message[1000] = '\0';
    heat_all();
    s.config->policy.messages[0] = in_policy;
    ask_with("free", "");
    FAR_HAS(far, long_message);
}

WHOLE_TEST(answer, drafts_fields_tell_what_comes_back)
{
    struct far_end *backend;

    s.backends->backends[1].max_in_flight = 0;
    scripted_upstream(&s, 0, 65536, &backend);
    ask_with("free", "");
    stream_close(&backend->stream);
    scripted_turns(&s, 3);
    FAR_HAS(far, "502 Bad Gateway");
    FAR_HAS(far, "RateLimit: \"daily\";r=3;");
}
