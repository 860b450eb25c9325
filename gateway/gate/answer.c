/* SPDX-License-Identifier: Apache-2.0 */
/* answer.c - ANSWER: the gateway's own answer where none was relayed, and the last of it taken by the client.
 * Runs on: worker.
 * A refusal says why (x-meltguard-reason, error code), until when (Retry-After, RateLimit) and whether trying again helps
 * (x-should-retry), in the words of the client's dialect, or as RFC 9457 problem details where the client prefers them. */
#include <stdlib.h>

#include "core/cost.h"
#include "gate/request.h"
#include "http/writer.h"

/* Over the longest message of a policy; the body holds it with each byte escaped. */
#define REFUSAL_MESSAGE_MAX 1024
#define REFUSAL_BODY_MAX    (6 * REFUSAL_MESSAGE_MAX + 1024)
#define REFUSAL_HEAD_MAX    2048

/* All that a message, and what else is the same for all who are refused for the same reason, follow from. */
struct refusal_facts {
    int generation; /* of the configuration that the texts are from */
    enum outcome outcome;
    const struct dialect *dialect;
    const struct message *message; /* of the policy, in the client's language; NULL: not told */
    bool is_problem;
    bool is_hopeless;
    enum limit_kind kind; /* of the limit that refused; NONE: none did */
    enum limit_scope scope;
    enum limit_measure measure;
    int64_t quota_units, left_units;
    int64_t reset_s;
    int64_t images, asked_units, most_images; /* only where they are told */
};

/* The last answer's parts that follow from these facts: a flood is refused by copies. */
struct refusal_copy {
    struct refusal_facts facts; /* without an outcome: of nobody else's */
    struct text_out head;       /* the status line, and fields that follow from all this */
    struct text_out body;
    char head_buf[REFUSAL_HEAD_MAX], body_buf[REFUSAL_BODY_MAX];
};

/* A day's reset is told to everybody at the same time; those who wait for it are spread over this. */
#define RESET_JITTER_S  30
#define MINUTE_JITTER_S 6
/* What SDKs wait for at most before they try again by themselves. */
#define SOON_S 60

static const struct reserved_limit *refused_limit(const struct request *req)
{
    const struct reservation *r = req->reservation;
    bool is_by_limit = outcome_rows[req->outcome].problem == PROBLEM_QUOTA;

    return is_by_limit && r->refused_by >= 0 ? &r->limits[r->refused_by] : NULL;
}

/* More was asked for than the limit that refused, the account's or the service's, ever allows at once. */
static bool is_hopeless(const struct request *req)
{
    const struct reserved_limit *limit = refused_limit(req);

    if (req->outcome == OUTCOME_SERVICE_LIMIT)
        return req->share->reset_us == INT64_MAX;
    return limit && reserved_limit_is_hopeless(limit);
}

/* "2026-11-22T00:00:00+09:00" */
static void print_local_time(struct text_out *out, const struct zone *zone, int64_t at_s)
{
    int32_t offset_s = zone_offset_at(zone, at_s);
    unsigned minutes = (unsigned)(offset_s < 0 ? -offset_s : offset_s) / 60;

    text_out_time(out, at_s + offset_s);
    text_out_char(out, offset_s < 0 ? '-' : '+');
    text_out_digits(out, minutes / 60, 2);
    text_out_char(out, ':');
    text_out_digits(out, minutes % 60, 2);
}

static void print_amount(struct text_out *out, int64_t units)
{
    text_out_int(out, units / UNITS_PER_IMAGE);
    if (units % UNITS_PER_IMAGE) {
        text_out_char(out, '.');
        text_out_digits(out, (unsigned)(units % UNITS_PER_IMAGE), 3);
    }
}

static void print_quota_message(const struct refusal_facts *facts, const struct zone *zone,
                                struct text_out *out)
{
    text_out_add(out, TEXT("You exceeded your "));
    if (facts->scope == SCOPE_TEAM)
        text_out_add(out, TEXT("team's "));
    text_out_add(out, text_of(limit_name(facts->kind)));
    text_out_add(out, TEXT(" quota of "));
    print_amount(out, facts->quota_units);
    text_out_add(out, facts->measure == MEASURE_CREDITS ? TEXT(" credits") : TEXT(" images"));
    if (facts->left_units > 0) {
        text_out_add(out, TEXT(" ("));
        print_amount(out, facts->asked_units);
        text_out_add(out, TEXT(" asked for, "));
        print_amount(out, facts->left_units);
        text_out_add(out, TEXT(" left)"));
    }
    if (facts->is_hopeless) {
        text_out_add(out, TEXT(". So much can never be had at once."));
        return;
    }
    text_out_add(out, TEXT(". It resets at "));
    print_local_time(out, zone, facts->reset_s);
    text_out_char(out, '.');
}

static struct complaint complaint_of(const struct request *req)
{
    return req->complaint ? *req->complaint : (struct complaint){.message = TEXT_NONE};
}

static void note_limit(const struct request *req, const struct reserved_limit *l,
                       struct refusal_facts *facts)
{
    facts->kind = l->limit.rule.kind;
    if (req->outcome != OUTCOME_QUOTA_EXHAUSTED)
        return;
    facts->scope = l->limit.rule.scope;
    facts->measure = l->limit.rule.measure;
    facts->quota_units = l->limit.rule.units + l->granted_units;
    facts->left_units = reserved_limit_left(l);
    if (facts->left_units > 0)
        facts->asked_units = req->job.images * l->limit.image_units;
    if (!facts->is_hopeless)
        facts->reset_s = l->reset_us / 1000000;
}

static struct refusal_facts facts_of(const struct request *req)
{
    const struct reserved_limit *limit = refused_limit(req);
    struct refusal_facts facts = {
        .generation = req->config->generation,
        .outcome = req->outcome,
        .dialect = req->dialect,
        .is_problem = req->wants_problem,
        .is_hopeless = is_hopeless(req),
    };

    if (limit)
        note_limit(req, limit, &facts);
    if (req->outcome == OUTCOME_TOO_MANY_IMAGES) {
        facts.images = req->job.images;
        facts.most_images = req->terms->max_images_per_request;
    } else if (req->outcome == OUTCOME_SERVICE_LIMIT && facts.is_hopeless) {
        facts.images = req->job.images;
    } else if (!outcome_rows[req->outcome].message) {
        facts.message = req->message;
    }
    return facts;
}

static bool is_same(const struct refusal_facts *a, const struct refusal_facts *b)
{
    return a->outcome == b->outcome && a->generation == b->generation && a->dialect == b->dialect &&
           a->message == b->message && a->is_problem == b->is_problem &&
           a->is_hopeless == b->is_hopeless && a->kind == b->kind && a->scope == b->scope &&
           a->measure == b->measure && a->quota_units == b->quota_units &&
           a->left_units == b->left_units && a->reset_s == b->reset_s && a->images == b->images &&
           a->asked_units == b->asked_units && a->most_images == b->most_images;
}

static void print_message(const struct request *req, const struct refusal_facts *facts,
                          struct text_out *out)
{
    struct complaint complaint = complaint_of(req);

    if (req->outcome == OUTCOME_INVALID_REQUEST && complaint.message.len)
        text_out_add(out, complaint.message);
    else if (req->outcome == OUTCOME_QUOTA_EXHAUSTED)
        print_quota_message(facts, &req->config->policy.zone, out);
    else if (req->outcome == OUTCOME_SERVICE_LIMIT && facts->is_hopeless)
        text_out_printf(out, "So much can never be had at once: %lld images were asked for.",
                        (long long)facts->images);
    else if (req->outcome == OUTCOME_TOO_MANY_IMAGES)
        text_out_printf(out,
                        "'n' is %lld; an account of this tier may ask for at most %lld images "
                        "in one request.",
                        (long long)facts->images, (long long)facts->most_images);
    else
        text_out_add(out, text_of(facts->message ? facts->message->text
                                                 : outcome_rows[req->outcome].message));
}

static void write_body(const struct request *req, struct text message, struct text_out *body)
{
    const struct outcome_row *row = &outcome_rows[req->outcome];
    const struct reserved_limit *limit = refused_limit(req);
    struct refusal refusal = {
        .status = row->status,
        .type = row->type,
        .code = row->code,
        .param = req->outcome == OUTCOME_TOO_MANY_IMAGES ? TEXT("n") : complaint_of(req).param,
        .reason = row->word,
        .problem_type = problem_uri(row->problem),
        .title = http_reason(row->status),
        .violated_policy = limit ? limit_name(limit->limit.rule.kind) : NULL,
        .message = message,
    };

    if (req->wants_problem)
        problem_refuse(&refusal, body);
    else
        req->dialect->refuse(&refusal, body);
}

static void write_constant_head(const struct request *req, const struct refusal_facts *facts,
                                size_t body_bytes, struct text_out *out)
{
    const struct outcome_row *row = &outcome_rows[req->outcome];

    http_write_status(out, row->status);
    http_write_field(
        out, TEXT("content-type"),
        text_of(req->wants_problem ? problem_content_type : req->dialect->refusal_content_type));
    http_write_int_field(out, TEXT("content-length"), (int64_t)body_bytes);
    text_out_add(out, TEXT("cache-control: no-store\r\n"));
    http_write_field(out, TEXT("x-meltguard-reason"), text_of(row->word));
    /* The policy's sentence, in the client's language, is told as such. */
    if (facts->message && row->status == 503)
        http_write_field(out, TEXT("content-language"), text_of(facts->message->language));
    if (row->status == 401)
        text_out_add(out, TEXT("www-authenticate: Bearer realm=\"meltguard\"\r\n"));
}

static void make_copy(struct refusal_copy *copy, const struct request *req,
                      const struct refusal_facts *facts)
{
    char message_buf[REFUSAL_MESSAGE_MAX];
    struct text_out message;

    text_out_init(&message, message_buf, sizeof(message_buf));
    print_message(req, facts, &message);
    text_out_init(&copy->body, copy->body_buf, sizeof(copy->body_buf));
    write_body(req, text_out_text(&message), &copy->body);
    text_out_init(&copy->head, copy->head_buf, sizeof(copy->head_buf));
    write_constant_head(req, facts, copy->body.len, &copy->head);
    ASSERT(!copy->head.is_full && !copy->body.is_full);
    copy->facts = *facts;
    /* A complaint about one request is nobody else's. */
    if (req->complaint)
        copy->facts.outcome = OUTCOME_NONE;
}

/* To the end of the service's window; those who wait for it are spread, too. */
static int64_t until_service_s(const struct request *req, uint32_t jitter)
{
    int64_t wait_us = req->share->reset_us - quota_now_us(req->gate->quota);
    bool is_minute = service_row_period(req->share->refused_by) == SERVICE_MINUTE;

    return MAX((wait_us + 999999) / 1000000, 1) +
           jitter % (is_minute ? MINUTE_JITTER_S : RESET_JITTER_S);
}

/* Seconds; 0: none to tell. */
static int64_t retry_after_s(const struct request *req)
{
    const struct reserved_limit *limit = refused_limit(req);
    uint32_t jitter = (uint32_t)gate_random(req->gate);

    if (is_hopeless(req))
        return 0;
    if (req->outcome == OUTCOME_SERVICE_LIMIT)
        return until_service_s(req, jitter);
    if (limit) {
        int64_t wait_us = limit->reset_us - quota_now_us(req->gate->quota);
        bool is_calendar = limit_is_calendar(limit->limit.rule.kind);

        return MAX((wait_us + 999999) / 1000000, 1) + (is_calendar ? jitter % RESET_JITTER_S : 0);
    }
    if (outcome_rows[req->outcome].problem != PROBLEM_CAPACITY)
        return 0;
    if (req->verdict.retry_after_s)
        return req->verdict.retry_after_s;
    return admission_retry_after_s(REASON_BUSY, jitter);
}

/* An SDK's own retries may help. */
static bool may_retry_soon(const struct request *req, int64_t wait_s)
{
    if (is_hopeless(req) || (req->outcome == OUTCOME_SERVICE_LIMIT && wait_s > SOON_S))
        return false;
    return outcome_rows[req->outcome].problem == PROBLEM_CAPACITY ||
           req->outcome == OUTCOME_RATE_LIMITED || req->outcome == OUTCOME_IN_FLIGHT_LIMITED;
}

static void write_own_head(struct request *req, struct text_out *out)
{
    int64_t wait_s = retry_after_s(req);

    http_write_date(out, loop_wall_us(req->gate->loop));
    if (wait_s)
        http_write_int_field(out, TEXT("retry-after"), wait_s);
    if (!may_retry_soon(req, wait_s))
        text_out_add(out, TEXT("x-should-retry: false\r\n"));
    fields_write(req, out);
    http_write_end(out);
}

static void send_refusal(struct request *req)
{
    struct refusal_copy *copy = req->gate->refusal;
    struct refusal_facts facts = facts_of(req);
    char answer_buf[REFUSAL_HEAD_MAX + REFUSAL_BODY_MAX];
    struct text_out answer;

    if (req->complaint || !is_same(&copy->facts, &facts))
        make_copy(copy, req, &facts);
    text_out_init(&answer, answer_buf, sizeof(answer_buf));
    text_out_add(&answer, text_out_text(&copy->head));
    write_own_head(req, &answer);
    /* In one piece: that costs the kernel less than two. */
    if (!req->is_method_head)
        text_out_add(&answer, text_out_text(&copy->body));
    ASSERT(!answer.is_full);
    struct iovec iov = {answer_buf, answer.len};
    req->answer_status = outcome_rows[req->outcome].status;
    client_send(req->client, &iov, 1);
}

struct refusal_copy *answer_refusal_new(void)
{
    return calloc(1, sizeof(struct refusal_copy));
}

enum status answer_begin(struct request *req)
{
    struct client *client = req->client;

    if (outcome_rows[req->outcome].status && !client->is_gone) {
        if (!client_skip_body(client))
            client->must_close = true;
        send_refusal(req);
    } else if (!req->is_answer_begun) {
        client->must_close = true; /* or the next answer would seem to be this request's */
    }
    return client_flush(client, &req->op);
}

enum step answer_end(struct request *req, enum status st)
{
    UNUSED(req);
    UNUSED(st);
    return STEP_NEXT;
}
