/* SPDX-License-Identifier: Apache-2.0 */
/* fields.c - the fields that the gateway adds to answers.      Runs on: worker.
 * RateLimit-Policy and RateLimit follow draft-ietf-httpapi-ratelimit-headers-10 (Structured Fields, RFC 9651), one item a
 * limit that is enforced; the X-RateLimit-*-Images fields are those of the OpenAI SDKs, for the limit that is nearest, in
 * images of the kind asked for. */
#include "core/cost.h"
#include "gate/request.h"
#include "http/writer.h"

/* The store told how this limit stands; from memory of a refusal only one of them is known. */
static bool is_told(const struct reserved_limit *l)
{
    return !l->limit.rule.is_dry_run && l->used_units >= 0;
}

/* 0 also where waiting does not help: more was asked for than the limit ever allows. */
static int64_t seconds_to_reset(const struct reserved_limit *l, int64_t now_us)
{
    if (reserved_limit_is_hopeless(l))
        return 0;
    return MAX((l->reset_us - now_us + 999999) / 1000000, 0);
}

/* Images that this request held and does not use: given back, or about to be. */
static int64_t returned_images(const struct request *req)
{
    const struct reservation *r = req->reservation;

    if (r->state == RESERVATION_SETTLED)
        return r->held_images - r->used_images;
    return req->answer_status && req->answer_status / 100 != 2 ? r->held_images : 0;
}

static int64_t ceiling_units(const struct limit_rule *rule)
{
    return rule->kind == LIMIT_RATE ? rule->burst_units : rule->units;
}

static int64_t units_left(const struct request *req, const struct reserved_limit *l)
{
    int64_t left = reserved_limit_left(l) + returned_images(req) * l->limit.image_units;

    return MIN(left, ceiling_units(&l->limit.rule) + l->granted_units);
}

static void write_name(struct text_out *out, const struct limit *limit)
{
    text_out_add(out, text_of(limit_name(limit->rule.kind)));
}

static void write_policy(const struct reservation *r, struct text_out *out)
{
    bool is_first = true;

    for (int i = 0; i < r->limits_len; i++) {
        const struct limit *limit = &r->limits[i].limit;
        int64_t window_s = limit_window_s(limit);

        if (!is_told(&r->limits[i]))
            continue;
        if (is_first)
            text_out_add(out, TEXT("RateLimit-Policy: \""));
        else
            text_out_add(out, TEXT(", \""));
        is_first = false;
        write_name(out, limit);
        text_out_add(out, TEXT("\";q="));
        text_out_int(out, limit->rule.units / UNITS_PER_IMAGE);
        if (window_s > 0) {
            text_out_add(out, TEXT(";w="));
            text_out_int(out, window_s);
        }
        if (limit->rule.kind == LIMIT_IN_FLIGHT)
            text_out_add(out, TEXT(";qu=\"concurrent-requests\""));
    }
    if (!is_first)
        text_out_add(out, TEXT("\r\n"));
}

static void write_limits(const struct request *req, int64_t now_us, struct text_out *out)
{
    const struct reservation *r = req->reservation;
    bool is_first = true;

    for (int i = 0; i < r->limits_len; i++) {
        const struct reserved_limit *l = &r->limits[i];

        if (!is_told(l))
            continue;
        if (is_first)
            text_out_add(out, TEXT("RateLimit: \""));
        else
            text_out_add(out, TEXT(", \""));
        is_first = false;
        write_name(out, &l->limit);
        text_out_add(out, TEXT("\";r="));
        text_out_int(out, units_left(req, l) / UNITS_PER_IMAGE);
        text_out_add(out, TEXT(";t="));
        text_out_int(out, seconds_to_reset(l, now_us));
    }
    if (!is_first)
        text_out_add(out, TEXT("\r\n"));
}

/* So many images of a job that each take image_units. */
static int64_t images_of(int64_t units, int64_t image_units)
{
    /* What nearly all take; to divide by a constant is to multiply. */
    return image_units == UNITS_PER_IMAGE ? units / UNITS_PER_IMAGE : units / MAX(image_units, 1);
}

static void write_nearest(const struct request *req, const struct reserved_limit *l, int64_t now_us,
                          struct text_out *out)
{
    int64_t image_units = l->limit.image_units;

    text_out_add(out, TEXT("X-RateLimit-Limit-Images: "));
    text_out_int(out, images_of(ceiling_units(&l->limit.rule), image_units));
    text_out_add(out, TEXT("\r\nX-RateLimit-Remaining-Images: "));
    text_out_int(out, images_of(units_left(req, l), image_units));
    text_out_add(out, TEXT("\r\nX-RateLimit-Reset-Images: "));
    text_out_int(out, seconds_to_reset(l, now_us));
    text_out_add(out, TEXT("s\r\n"));
}

/* The store was asked about these limits, and answered. */
static bool knows_limits(const struct request *req)
{
    const struct reservation *r = req->reservation;

    return r->limits_len > 0 && (r->state != RESERVATION_NONE || r->refused_by >= 0);
}

static void write_connection(struct request *req, struct text_out *out)
{
    if (atomic_load(&req->gate->shared->is_draining))
        req->client->must_close = true;
    if (req->client->must_close)
        text_out_add(out, TEXT("connection: close\r\n"));
    else if (req->is_version_1_0)
        text_out_add(out, TEXT("connection: keep-alive\r\n"));
}

void fields_write(struct request *req, struct text_out *out)
{
    /* There is no end of a line in it: it was made here, or judged. */
    text_out_add(out, TEXT("x-request-id: "));
    text_out_add(out, text_of(req->id));
    text_out_add(out, TEXT("\r\n"));
    if (knows_limits(req)) {
        const struct reserved_limit *nearest = reservation_tightest(req->reservation);
        int64_t now_us = quota_now_us(req->gate->quota);

        write_policy(req->reservation, out);
        write_limits(req, now_us, out);
        if (nearest && is_told(nearest))
            write_nearest(req, nearest, now_us, out);
    }
    write_connection(req, out);
}
