/* SPDX-License-Identifier: Apache-2.0 */
/* answer.c - ANSWER: the gateway's own answer where none was relayed, and the last of it taken by the client.
 * Runs on: worker.
 * A refusal says why (x-meltguard-reason, error code), until when (Retry-After, RateLimit) and whether trying again helps
 * (x-should-retry), in the words of the client's dialect, or as RFC 9457 problem details where the client prefers them. */
#include <stdio.h>
#include <time.h>

#include "core/cost.h"
#include "gate/request.h"
#include "http/writer.h"

/* Over the longest message of a policy; the body holds it with each byte escaped. */
#define REFUSAL_MESSAGE_MAX 1024
#define REFUSAL_BODY_MAX    (6 * REFUSAL_MESSAGE_MAX + 1024)
#define REFUSAL_HEAD_MAX    2048
/* A day's reset is told to everybody at the same time; those who wait for it are spread over this. */
#define RESET_JITTER_S 30

static const struct reserved_limit *refused_limit(const struct request *req)
{
    const struct reservation *r = req->reservation;
    bool is_by_limit = outcome_rows[req->outcome].problem == PROBLEM_QUOTA;

    return is_by_limit && r->refused_by >= 0 ? &r->limits[r->refused_by] : NULL;
}

/* "2026-11-22T00:00:00+09:00" */
static void print_local_time(struct text_out *out, const struct zone *zone, int64_t at_s)
{
    int32_t offset_s = zone_offset_at(zone, at_s);
    int32_t minutes = (offset_s < 0 ? -offset_s : offset_s) / 60;
    time_t local_s = (time_t)(at_s + offset_s);
    struct tm tm;
    char day[32];

    gmtime_r(&local_s, &tm);
    strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
    text_out_printf(out, "%s%c%02d:%02d", day, offset_s < 0 ? '-' : '+', minutes / 60,
                    minutes % 60);
}

static void print_amount(struct text_out *out, int64_t units)
{
    text_out_int(out, units / UNITS_PER_IMAGE);
    if (units % UNITS_PER_IMAGE)
        text_out_printf(out, ".%03d", (int)(units % UNITS_PER_IMAGE));
}

static void print_quota_message(const struct request *req, const struct reserved_limit *l,
                                struct text_out *out)
{
    const struct limit_rule *rule = &l->limit.rule;
    int64_t left = reserved_limit_left(l);

    text_out_printf(out, "You exceeded your %s%s quota of ",
                    rule->scope == SCOPE_TEAM ? "team's " : "", limit_name(rule->kind));
    print_amount(out, rule->units + l->granted_units);
    text_out_add(out, rule->measure == MEASURE_CREDITS ? TEXT(" credits") : TEXT(" images"));
    if (left > 0) {
        text_out_add(out, TEXT(" ("));
        print_amount(out, req->job.images * l->limit.image_units);
        text_out_add(out, TEXT(" asked for, "));
        print_amount(out, left);
        text_out_add(out, TEXT(" left)"));
    }
    if (reserved_limit_is_hopeless(l)) {
        text_out_add(out, TEXT(". So much can never be had at once."));
        return;
    }
    text_out_add(out, TEXT(". It resets at "));
    print_local_time(out, &req->config->policy.zone, l->reset_us / 1000000);
    text_out_char(out, '.');
}

static struct complaint complaint_of(const struct request *req)
{
    return req->complaint ? *req->complaint : (struct complaint){.message = TEXT_NONE};
}

static void print_message(const struct request *req, struct text_out *out)
{
    struct complaint complaint = complaint_of(req);
    const struct outcome_row *row = &outcome_rows[req->outcome];

    if (req->outcome == OUTCOME_INVALID_REQUEST && complaint.message.len)
        text_out_add(out, complaint.message);
    else if (req->outcome == OUTCOME_QUOTA_EXHAUSTED)
        print_quota_message(req, refused_limit(req), out);
    else if (req->outcome == OUTCOME_TOO_MANY_IMAGES)
        text_out_printf(out,
                        "'n' is %lld; an account of this tier may ask for at most %lld images "
                        "in one request.",
                        (long long)req->job.images, (long long)req->terms->max_images_per_request);
    else
        text_out_add(out, text_of(row->message ? row->message : req->message->text));
}

static void write_body(const struct request *req, struct text_out *body)
{
    const struct outcome_row *row = &outcome_rows[req->outcome];
    const struct reserved_limit *limit = refused_limit(req);
    char buf[REFUSAL_MESSAGE_MAX];
    struct text_out message;
    struct refusal refusal = {
        .status = row->status,
        .type = row->type,
        .code = row->code,
        .param = req->outcome == OUTCOME_TOO_MANY_IMAGES ? TEXT("n") : complaint_of(req).param,
        .reason = row->word,
        .problem_type = problem_uri(row->problem),
        .title = http_reason(row->status),
        .violated_policy = limit ? limit_name(limit->limit.rule.kind) : NULL,
    };

    text_out_init(&message, buf, sizeof(buf));
    print_message(req, &message);
    refusal.message = text_out_text(&message);
    if (req->wants_problem)
        problem_refuse(&refusal, body);
    else
        req->dialect->refuse(&refusal, body);
}

/* Seconds; 0: none to tell. */
static int64_t retry_after_s(const struct request *req)
{
    const struct reserved_limit *limit = refused_limit(req);
    uint32_t jitter = (uint32_t)gate_random(req->gate);

    if (limit && reserved_limit_is_hopeless(limit))
        return 0;
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

/* An SDK's own retries, within a minute, may help. */
static bool may_retry_soon(const struct request *req)
{
    const struct reserved_limit *limit = refused_limit(req);

    if (limit && reserved_limit_is_hopeless(limit))
        return false;
    return outcome_rows[req->outcome].problem == PROBLEM_CAPACITY ||
           req->outcome == OUTCOME_RATE_LIMITED || req->outcome == OUTCOME_IN_FLIGHT_LIMITED;
}

static void write_head(struct request *req, struct text body, struct text_out *out)
{
    const struct outcome_row *row = &outcome_rows[req->outcome];
    int64_t wait_s = retry_after_s(req);

    http_write_status(out, row->status);
    http_write_date(out, loop_wall_us(req->gate->loop));
    http_write_field(
        out, TEXT("content-type"),
        text_of(req->wants_problem ? problem_content_type : req->dialect->refusal_content_type));
    http_write_int_field(out, TEXT("content-length"), (int64_t)body.len);
    http_write_field(out, TEXT("cache-control"), TEXT("no-store"));
    http_write_field(out, TEXT("x-meltguard-reason"), text_of(row->word));
    if (!row->message && row->status == 503)
        http_write_field(out, TEXT("content-language"), text_of(req->message->language));
    if (wait_s)
        http_write_int_field(out, TEXT("retry-after"), wait_s);
    if (!may_retry_soon(req))
        http_write_field(out, TEXT("x-should-retry"), TEXT("false"));
    if (row->status == 401)
        http_write_field(out, TEXT("www-authenticate"), TEXT("Bearer realm=\"meltguard\""));
    fields_write(req, out);
    http_write_end(out);
}

static void send_refusal(struct request *req)
{
    char head_buf[REFUSAL_HEAD_MAX], body_buf[REFUSAL_BODY_MAX];
    struct text_out head, body;
    struct iovec iov[2];

    text_out_init(&body, body_buf, sizeof(body_buf));
    write_body(req, &body);
    text_out_init(&head, head_buf, sizeof(head_buf));
    write_head(req, text_out_text(&body), &head);
    ASSERT(!head.is_full && !body.is_full);
    iov[0] = (struct iovec){head_buf, head.len};
    iov[1] = (struct iovec){body_buf, req->is_method_head ? 0 : body.len};
    req->answer_status = outcome_rows[req->outcome].status;
    client_send(req->client, iov, 2);
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
