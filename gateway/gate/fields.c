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
static int64_t seconds_to_reset(const struct request *req, const struct reserved_limit *l)
{
    int64_t now_us = quota_now_us(req->gate->quota);

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

static void write_number(struct text_out *out, struct text name, int64_t value)
{
    text_out_add(out, name);
    text_out_int(out, value);
}

/* The name of a limit as an item of a list, and its first parameter. */
static void write_item(struct text_out *out, struct text separator, const struct limit *limit,
                       struct text parameter, int64_t value)
{
    text_out_add(out, separator);
    text_out_char(out, '"');
    text_out_add(out, text_of(limit_name(limit->rule.kind)));
    text_out_char(out, '"');
    write_number(out, parameter, value);
}

static void write_policy(const struct reservation *r, struct text_out *out)
{
    struct text separator = TEXT("RateLimit-Policy: ");

    for (int i = 0; i < r->limits_len; i++) {
        const struct limit *limit = &r->limits[i].limit;
        int64_t window_s = limit_window_s(limit);

        if (!is_told(&r->limits[i]))
            continue;
        write_item(out, separator, limit, TEXT(";q="), limit->rule.units / UNITS_PER_IMAGE);
        if (window_s > 0)
            write_number(out, TEXT(";w="), window_s);
        if (limit->rule.kind == LIMIT_IN_FLIGHT)
            text_out_add(out, TEXT(";qu=\"concurrent-requests\""));
        separator = TEXT(", ");
    }
    if (*separator.ptr == ',')
        text_out_add(out, TEXT("\r\n"));
}

static void write_limits(const struct request *req, struct text_out *out)
{
    const struct reservation *r = req->reservation;
    struct text separator = TEXT("RateLimit: ");

    for (int i = 0; i < r->limits_len; i++) {
        const struct reserved_limit *l = &r->limits[i];

        if (!is_told(l))
            continue;
        write_item(out, separator, &l->limit, TEXT(";r="), units_left(req, l) / UNITS_PER_IMAGE);
        write_number(out, TEXT(";t="), seconds_to_reset(req, l));
        separator = TEXT(", ");
    }
    if (*separator.ptr == ',')
        text_out_add(out, TEXT("\r\n"));
}

static void write_nearest(const struct request *req, const struct reserved_limit *l,
                          struct text_out *out)
{
    int64_t price = MAX(l->limit.image_units, 1);

    http_write_int_field(out, TEXT("X-RateLimit-Limit-Images"),
                         ceiling_units(&l->limit.rule) / price);
    http_write_int_field(out, TEXT("X-RateLimit-Remaining-Images"), units_left(req, l) / price);
    write_number(out, TEXT("X-RateLimit-Reset-Images: "), seconds_to_reset(req, l));
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
    http_write_field(out, TEXT("x-request-id"), text_of(req->id));
    if (knows_limits(req)) {
        const struct reserved_limit *nearest = reservation_tightest(req->reservation);

        write_policy(req->reservation, out);
        write_limits(req, out);
        if (nearest && is_told(nearest))
            write_nearest(req, nearest, out);
    }
    write_connection(req, out);
}
